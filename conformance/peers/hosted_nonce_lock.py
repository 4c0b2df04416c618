"""The nonce lock as a neighbour of services that take credits: the reference one, which can be told to fail."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.peers.scripted import Answer, Received, ScriptedPeer, answer_after_request
from openpcc_ref.banking import messages
from openpcc_ref.banking.nonce_state import Consumed, NonceState
from openpcc_ref.credits import Nonce
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import Fields, Responder
from openpcc_ref.protobuf.error_pb2 import Error
from openpcc_ref.services.message_service import MEDIA_TYPE
from openpcc_ref.services.nonce_lock import NonceLockService

_FIELDS: Fields = ((b"content-type", MEDIA_TYPE),)


@dataclass(frozen=True, slots=True)
class Call:
    """What a neighbour asked of the lock, and how it was answered."""

    operation: str
    nonce: Nonce
    ticket: str
    """The ticket that was handed out or shown; empty where a lock was refused."""
    status: int


class HostedNonceLock:
    """The lock behind the subject. ``peer.answer`` is what it does, until the next case."""

    def __init__(self, *, step_s: float) -> None:
        self.service = NonceLockService()
        self.peer = ScriptedPeer(self.serve, step_s=step_s)
        self.calls: list[Call] = []

    def reset(self) -> None:
        """Become honest again and forget who asked; what is consumed stays consumed."""
        self.peer.reset()
        self.calls = []

    def asked(self, nonce: Nonce) -> list[str]:
        """Return the operations that were asked for a nonce in this case, in order."""
        return [call.operation for call in self.calls if call.nonce.random == nonce.random]

    def state(self, nonce: Nonce) -> NonceState:
        """Return the state of a nonce."""
        return self.service.find(nonce)

    def is_consumed(self, nonce: Nonce) -> bool:
        """Say whether a nonce is spent."""
        return isinstance(self.state(nonce), Consumed)

    def was_consumed(self, nonce: Nonce) -> bool:
        """Say whether the subject has consumed a nonce in this case."""
        wanted = ("consume", nonce.random, 200)
        return any((call.operation, call.nonce.random, call.status) == wanted for call in self.calls)

    def spend_elsewhere(self, nonce: Nonce) -> None:
        """Consume a nonce as another service would."""
        self.service.consume(nonce, self.service.lock(nonce))

    async def serve(self, received: Received, responder: Responder) -> None:
        """Answer as the reference does."""
        await received.end()
        status, content = self.perform(received)
        await answer_after_request(received, responder, status, _FIELDS, content)

    def perform(self, received: Received) -> tuple[int, bytes]:
        """Do what is asked and return status and content of the answer."""
        operation = operation_of(received)
        try:
            if operation == "lock":
                return self._lock(messages.decode_lock_request(received.body))
            if operation in ("consume", "release"):
                return self._settle(operation, *messages.decode_unlock_request(received.body))
        except Rejected as rejected:
            return _refusal(self.service.status_of(rejected), str(rejected))
        return _refusal(404, "no such operation")

    def fails(self, operation: str, status: int) -> Answer:
        """Return an answer that refuses one operation without doing it."""

        async def answer(received: Received, responder: Responder) -> None:
            await received.end()
            if operation_of(received) == operation:
                await answer_after_request(received, responder, status, _FIELDS, _refusal(status, "fault")[1])
            else:
                await self.serve(received, responder)

        return answer

    def loses_answers(self, operation: str) -> Answer:
        """Return an answer that does one operation and hangs up instead of saying so."""

        async def answer(received: Received, responder: Responder) -> None:
            await received.end()
            if operation_of(received) == operation:
                self.perform(received)
                await responder.abort()
            else:
                await self.serve(received, responder)

        return answer

    def says(self, operation: str, content: bytes) -> Answer:
        """Return an answer that does nothing for one operation and answers 200 with that content."""

        async def answer(received: Received, responder: Responder) -> None:
            await received.end()
            if operation_of(received) == operation:
                await answer_after_request(received, responder, 200, _FIELDS, content)
            else:
                await self.serve(received, responder)

        return answer

    def _lock(self, nonce: Nonce) -> tuple[int, bytes]:
        try:
            ticket = self.service.lock(nonce)
        except Rejected as rejected:
            self.calls.append(Call("lock", nonce, "", self.service.status_of(rejected)))
            raise
        self.calls.append(Call("lock", nonce, ticket, 200))
        return 200, messages.encode_lock_response(ticket)

    def _settle(self, operation: str, nonce: Nonce, ticket: str) -> tuple[int, bytes]:
        settle = self.service.consume if operation == "consume" else self.service.release
        try:
            settle(nonce, ticket)
        except Rejected as rejected:
            self.calls.append(Call(operation, nonce, ticket, self.service.status_of(rejected)))
            raise
        self.calls.append(Call(operation, nonce, ticket, 200))
        return 200, b""


def operation_of(received: Received) -> str:
    """Return which of the lock's operations a request asks for."""
    return received.target.rpartition(b"/")[2].decode("latin-1")


def _refusal(status: int, text: str) -> tuple[int, bytes]:
    return status, Error(Message=text).SerializeToString()
