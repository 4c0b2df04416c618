"""What checks of a router have at hand: compute requests, queries, events, and nodes that come and go."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

import anyio

from conformance.peers.hosted_nonce_lock import HostedNonceLock, operation_of
from conformance.peers.mint import Mint
from conformance.peers.router_nodes import Node, NodeFarm, now
from conformance.peers.scripted import Received
from conformance.peers.taps import Taps
from conformance.verdicts import NotApplicable, expect
from openpcc_ref.banking.nonce_state import Consumed, Locked
from openpcc_ref.credits import ATTESTATION, AnyCredit, Credit
from openpcc_ref.credits import credit as credit_format
from openpcc_ref.credits.nonce import QUANTUM, SAFE_AFTER
from openpcc_ref.http1 import (
    Connection,
    Failure,
    Fields,
    Http1Error,
    IncomingResponse,
    Responder,
    connect,
    exchange,
    field_values,
)
from openpcc_ref.protobuf import parse
from openpcc_ref.protobuf.error_pb2 import Error
from openpcc_ref.protobuf.evidence_pb2 import SignedEvidenceList
from openpcc_ref.protobuf.router_pb2 import ComputeManifestList
from openpcc_ref.routing import (
    Candidate,
    ManifestRequest,
    RoutingRejected,
    encode_manifest_request,
    encode_request_info,
)

MESSAGE = b"application/octet-stream"
REQUEST = b"application/confsec-req"
KEY_LENGTH = 120
"""Bytes of an encapsulated key of the suite in use."""

_TOO_SLOW_S = 12.0
"""Routers that need longer are not asked about nodes that come and go: a case would not end in time."""

_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Reply:
    """A response as far as it came."""

    status: int
    fields: Fields
    content: bytes
    trailers: Fields
    complete: bool
    """Whether it ended as its framing says it must."""
    failure: Failure | None = None
    """What ended it, if it is not complete."""

    def __str__(self) -> str:
        said = f" saying {self._text!r}" if self.status >= 400 and self._text else ""
        end = f", then {self.failure}" if self.failure else ""
        return f"status {self.status} with {len(self.content)} bytes{said}{end}"

    @property
    def _text(self) -> str:
        """What a refusal says to people: the text of an ``Error``, or what is readable of anything else."""
        try:
            text = parse(Error, self.content, RoutingRejected, "error").Message
        except RoutingRejected:
            text = self.content.decode("ascii", "replace")
        return "".join(letter for letter in text if letter.isascii() and letter.isprintable())[:60]


class LockFailure(StrEnum):
    """How a nonce lock fails without doing what it is asked for."""

    STATUS = "a nonce lock that answers 500"
    HANG_UP = "a nonce lock that hangs up"
    EMPTY = "a nonce lock that answers without a ticket"


@dataclass(frozen=True, slots=True)
class Posted:
    """A compute request whose head is out, on a connection of its own."""

    connection: Connection

    async def reply(self) -> Reply:
        """Read the response as far as it comes; raises :class:`Http1Error` where there is none at all."""
        response = await self.connection.response()
        return await read_on(response)


async def read_on(response: IncomingResponse, pieces: Sequence[bytes] = ()) -> Reply:
    """Read the rest of a response of which ``pieces`` are known."""
    content = list(pieces)
    failure = None
    try:
        async for chunk in response.body():
            content.append(chunk.data)
    except Http1Error as error:  # a response that breaks off is an observation like any other
        failure = error.failure
    return Reply(response.status, response.fields, b"".join(content), response.trailers, response.complete, failure)


@dataclass(slots=True, kw_only=True)
class RouterCase:
    """What a check of the router has at hand. Deadlines in seconds."""

    url: str
    mint: Mint
    nonce_lock: HostedNonceLock
    farm: NodeFarm
    nodes: tuple[Node, ...]
    """Routable nodes that outlive the case: they are well and stay as they are."""
    own_address: str
    """Where the runner's connections to the router come from."""
    taps: Taps
    random: random.Random
    step_s: float
    registering_s: float
    """How long the router took to let the first nodes in."""
    own_nodes: list[Node] = field(default_factory=list)
    """Nodes that came in this case."""

    # -- compute requests ----------------------------------------------------------------------------------------------

    def candidate(self, node: Node | str) -> Candidate:
        """Return a node, or an identifier, as a candidate with a key of its own."""
        return Candidate(node if isinstance(node, str) else node.id, self.random.randbytes(KEY_LENGTH))

    def paid(self, credit: AnyCredit | bytes, *candidates: Candidate | Node) -> Fields:
        """Return the fields of a compute request: its payment and where it may go, by default to any node."""
        listed = [c if isinstance(c, Candidate) else self.candidate(c) for c in candidates or self.nodes]
        return (*credit_fields(credit), (b"x-routing-info", encode_request_info(listed).encode()))

    async def compute(
        self,
        fields: Fields,
        content: bytes = b"sealed request",
        *,
        media_type: bytes = REQUEST,
        target: bytes = b"/",
        method: bytes = b"POST",
    ) -> Reply:
        """Send a compute request of known length and read the response as far as it comes."""
        length = (b"content-length", str(len(content)).encode())
        async with self.posting((length, *fields), media_type=media_type, target=target, method=method) as posted:
            try:
                await posted.connection.send(content)
                await posted.connection.finish()
            except Http1Error:
                pass  # the router may have answered before the end
            return await posted.reply()

    @asynccontextmanager
    async def posting(
        self, fields: Fields, *, media_type: bytes = REQUEST, target: bytes = b"/", method: bytes = b"POST"
    ) -> AsyncIterator[Posted]:
        """Open a connection and send the head of a compute request; ``fields`` frame its content."""
        async with connect(self.url, tap=self.taps.of("gateway"), step_s=self.step_s) as connection:
            await connection.send_head(method, target, ((b"content-type", media_type), *fields))
            yield Posted(connection)

    async def served(self, credit: Credit, *candidates: Candidate | Node) -> Reply:
        """Send an honest compute request and require that a node's whole answer comes back."""
        reply = await self.compute(self.paid(credit, *candidates))
        expect(
            reply.status == 200 and reply.complete,
            expected="the node's whole answer with status 200",
            observed=str(reply),
        )
        return reply

    async def control(self) -> None:
        """Show that an honest request is served, so that a refusal means something; then forget it."""
        await self.served(self.mint.credit(100))
        self.forget()

    def forget(self) -> None:
        """Forget what nodes and nonce lock were asked so far."""
        self.farm.peer.requests.clear()
        self.nonce_lock.calls.clear()

    async def nothing_forwarded(self, what: str) -> None:
        """Require that no node got a request."""
        await self.farm.peer.catch_up()
        asked = len(self.farm.peer.requests)
        expect(asked == 0, expected=f"no node to be asked for {what}", observed=f"{asked} requests at nodes")

    async def refused(self, fields: Fields, status: int, what: str) -> Reply:
        """Send a compute request that must be refused with that status, and reach no node."""
        reply = await self.compute(fields)
        expect(reply.status == status, expected=f"status {status} for {what}", observed=str(reply))
        await self.nothing_forwarded(what)
        return reply

    def untouched(self, credit: AnyCredit, what: str) -> None:
        """Require that the nonce lock was not asked about a credit."""
        asked = self.nonce_lock.asked(credit.nonce)
        expect(not asked, expected=f"an untouched credit for {what}", observed=f"{', '.join(asked)} at the nonce lock")

    def lock_fails_once(self, operation: str, how: LockFailure) -> None:
        """Have the nonce lock fail in one operation the first time that it is asked; then it is honest."""
        honest, failed = self.nonce_lock.serve, False
        failing = {
            LockFailure.STATUS: self.nonce_lock.fails(operation, 500),
            LockFailure.HANG_UP: _hang_up,
            LockFailure.EMPTY: self.nonce_lock.says(operation, b""),
        }[how]

        async def answer(received: Received, responder: Responder) -> None:
            nonlocal failed
            fails = not failed and operation_of(received) == operation
            failed = failed or fails
            await (failing if fails else honest)(received, responder)

        self.nonce_lock.peer.answer = answer

    async def settled(self, credit: AnyCredit) -> str:
        """Wait until the nonce of a credit is no longer locked; return what it is: consumed, free or still locked."""

        async def is_settled() -> bool:
            return self.state(credit) != "locked"

        await becomes_true(is_settled, self.step_s)
        return self.state(credit)

    def state(self, credit: AnyCredit) -> str:
        """Return what the nonce of a credit is: consumed, locked or free."""
        state = self.nonce_lock.state(credit.nonce)
        return "consumed" if isinstance(state, Consumed) else "locked" if isinstance(state, Locked) else "free"

    async def after_the_cut_over(self) -> None:
        """Wait while a refund may have to: one that is stamped with the next hour in the first seconds of an hour is
        kept back until they are over (PAY-023)."""
        await anyio.sleep(max(0.0, SAFE_AFTER + 1 - now() % QUANTUM))

    # -- messages ------------------------------------------------------------------------------------------------------

    async def post(
        self, path: bytes, content: bytes, fields: Fields = (), *, media_type: bytes | None = MESSAGE
    ) -> Reply:
        """Post a message and read the answer."""
        typed: Fields = ((b"content-type", media_type),) if media_type is not None else ()
        response, answer = await exchange(
            self.url, b"POST", path, (*typed, *fields), content, tap=self.taps.of("gateway"), step_s=self.step_s
        )
        return Reply(response.status, response.fields, answer, response.trailers, True)

    async def query(self, content: bytes, token: AnyCredit | bytes | None = None) -> Reply:
        """Post a query for manifests, by default with a good token."""
        paid = credit_fields(self.mint.credit(ATTESTATION) if token is None else token)
        return await self.post(b"/compute-manifests", content, paid)

    async def listed(self, *tags: str, limit: int = 500) -> ComputeManifestList:
        """Ask for manifests with a good token and return the list."""
        reply = await self.query(encode_manifest_request(ManifestRequest(frozenset(tags), limit)))
        expect(reply.status == 200, expected="status 200 for a good query", observed=str(reply))
        return ComputeManifestList.FromString(reply.content)

    async def event(self, content: bytes) -> Reply:
        """Post an event of a node."""
        return await self.post(b"/node-events", content)

    async def accepted(self, content: bytes, what: str = "a good event") -> None:
        """Post an event that has to be accepted."""
        reply = await self.event(content)
        expect(reply.status == 200, expected=f"status 200 for {what}", observed=str(reply))

    # -- nodes that come and go ----------------------------------------------------------------------------------------

    def new_node(
        self,
        tags: Sequence[str] = ("llm",),
        *,
        evidence: SignedEvidenceList | None = None,
        there: bool = True,
    ) -> Node:
        """Return a node of this case that the router has not heard of; it is shut down when the case ends."""
        if self.registering_s > _TOO_SLOW_S:
            raise NotApplicable(f"the router takes {self.registering_s:.0f} s to let a node in")
        node = self.farm.make(tags, there=there) if evidence is None else self.farm.make(tags, evidence=evidence)
        self.own_nodes.append(node)
        return node

    async def registered(
        self,
        tags: Sequence[str] = ("llm",),
        *,
        evidence: SignedEvidenceList | None = None,
        there: bool = True,
    ) -> Node:
        """Return a new node after the router has let it in."""
        node = self.new_node(tags, evidence=evidence, there=there)
        await self.accepted(node.heartbeat())
        await self.let_in(node)
        return node

    @property
    def patience_s(self) -> float:
        """How long a node may take to come or go."""
        return max(self.step_s, 3 * self.registering_s)

    async def is_routable(self, node: Node) -> bool:
        """Say whether the router would send a request to a node now. Nothing of that is remembered."""
        asked = list(self.farm.peer.requests)
        reply = await self.compute(self.paid(self.mint.credit(1), node))
        self.farm.peer.requests[:] = asked
        expect(reply.status != 400, expected="a good request to be served, or 404", observed=str(reply))
        return reply.status != 404

    async def let_in(self, node: Node, what: str = "a good heartbeat and successful health checks") -> None:
        """Wait until requests go to a node after ``what``; a violation if they never do."""
        checked = self.farm.health.asked.get(node.label, 0)
        came = await self._becomes(node, routable=True)
        checks = self.farm.health.asked.get(node.label, 0) - checked
        seen = f"status 404 for {self.patience_s:g} s, while {checks} health checks came to the node"
        expect(came, expected=f"requests to go to a node after {what}", observed=seen)

    async def kept_out(self, node: Node, what: str) -> None:
        """Wait until no request goes to a node after ``what``; a violation if they go on."""
        came = await self._becomes(node, routable=False)
        seen = f"requests still went to it {self.patience_s:g} s later"
        expect(came, expected=f"404 for a request whose only candidate is a node after {what}", observed=seen)

    async def _becomes(self, node: Node, *, routable: bool) -> bool:
        async def is_as_wanted() -> bool:
            return await self.is_routable(node) is routable

        return await becomes_true(is_as_wanted, self.patience_s)

    async def never_let_in(self, node: Node, what: str) -> None:
        """Require that a node is not routable by the time another one is that registered after it."""
        await self.registered()
        routable = await self.is_routable(node)
        expect(not routable, expected=f"no requests to a node after {what}", observed="requests go to it")

    async def end_nodes(self) -> None:
        """Shut the nodes of this case down, so that they do not keep the router busy."""
        for node in self.own_nodes:
            with suppress(Http1Error):
                await self.event(node.shutdown(1 << 40))


async def _hang_up(received: Received, responder: Responder) -> None:
    await received.end()
    await responder.abort()


async def becomes_true(holds: Callable[[], Awaitable[bool]], within_s: float) -> bool:
    """Ask again and again, since nothing tells when; say whether it came true in time."""
    with anyio.move_on_after(within_s):
        while True:
            if await holds():
                return True
            await anyio.sleep(_POLL_S)
    return False


def credit_fields(credit: AnyCredit | bytes) -> Fields:
    """Return the field that carries a credit, or any other text."""
    text = credit if isinstance(credit, bytes) else credit_format.encode_text(credit).encode()
    return ((b"x-credit", text),)


def only_value(fields: Fields, name: bytes) -> bytes | None:
    """Return the value of a field that comes once; None if it is absent. A violation if it is repeated."""
    values = field_values(fields, name)
    expect(len(values) <= 1, expected=f"{name.decode()} at most once", observed=f"{len(values)} lines of it")
    return values[0] if values else None
