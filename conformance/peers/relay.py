"""The world around a relay: the runner is the client in front of it and the gateway behind it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from conformance.peers.address import listen_address, own_address
from conformance.peers.raw_client import RawClient, dial
from conformance.peers.scripted import Answer, Received, ScriptedPeer, answer_after_request
from conformance.peers.taps import Taps
from conformance.runfile import Limits, TargetSettings
from conformance.targets import RunningTarget, Target
from conformance.transcript import Transcript
from conformance.verdicts import Violation, expect
from openpcc_ref.http1 import Connection, Fields, IncomingResponse, Responder, connect, exchange

REQUEST = b"message/ohttp-req"
CHUNKED_REQUEST = b"message/ohttp-chunked-req"
RESPONSE = b"message/ohttp-res"
CHUNKED_RESPONSE = b"message/ohttp-chunked-res"
INCREMENTAL: Fields = ((b"incremental", b"?1"),)
CHUNKED: Fields = ((b"transfer-encoding", b"chunked"),)

_REQUEST_HEADER = bytes.fromhex("01003000010001")
_ENC_LENGTH = 1120
_SEALED_CHUNK = b"\x42\x24"
"""The length of a chunk of 532 plaintext bytes, sealed, as varint."""


@dataclass(slots=True, kw_only=True)
class RelayCase:
    """What a check of the relay has at hand."""

    url: str
    gateway: ScriptedPeer
    elsewhere: ScriptedPeer
    """A server that the relay has no business with."""
    resource: bytes
    """The request target of the gateway resource."""
    client_address: str
    """Where the client's connections come from."""
    step_s: float
    taps: Taps
    random: random.Random
    _raw_clients: int = 0

    @property
    def target(self) -> bytes:
        """The request target of the relay resource."""
        return (urlsplit(self.url).path or "/").encode()

    def request(self) -> bytes:
        """Return what an unchunked encapsulated request looks like from outside; different at each call."""
        return _REQUEST_HEADER + self.random.randbytes(_ENC_LENGTH + 532 + 16)

    def response(self) -> bytes:
        """Return what an unchunked encapsulated response looks like from outside; different at each call."""
        return self.random.randbytes(16 + 532 + 16)

    def request_pieces(self, chunks: int = 3) -> list[bytes]:
        """Return a chunked encapsulated request by pieces: the start, each chunk, the final chunk."""
        return [_REQUEST_HEADER + self.random.randbytes(_ENC_LENGTH), *self._pieces(chunks)]

    def response_pieces(self, chunks: int = 3) -> list[bytes]:
        """Return a chunked encapsulated response by pieces: the nonce, each chunk, the final chunk."""
        return [self.random.randbytes(16), *self._pieces(chunks)]

    def canary(self) -> bytes:
        """Return a marked value that occurs nowhere else."""
        return b"canary" + self.random.randbytes(12).hex().encode()

    def arrived(self, peer: str = "gateway") -> list[bytes]:
        """Return the raw bytes that came in at a peer so far, one item for each of its connections."""
        return [bytes(data) for data in self.taps.inputs.get(peer, {}).values()]

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """Connect to the relay as one client."""
        async with connect(self.url, tap=self.taps.of("client"), step_s=self.step_s) as connection:
            yield connection

    async def post(
        self, content: bytes, *, media_type: bytes = REQUEST, fields: Fields = (), target: bytes | None = None
    ) -> tuple[IncomingResponse, bytes]:
        """Send content with its length over a connection of its own and return the whole response."""
        own = ((b"content-type", media_type), *fields)
        return await exchange(
            self.url, b"POST", target or self.target, own, content, tap=self.taps.of("client"), step_s=self.step_s
        )

    @asynccontextmanager
    async def chunked_post(
        self, *, media_type: bytes = CHUNKED_REQUEST, fields: Fields = INCREMENTAL
    ) -> AsyncIterator[Connection]:
        """Connect and send the head of a request whose content follows in HTTP chunks."""
        async with self.connect() as connection:
            await connection.send_head(b"POST", self.target, ((b"content-type", media_type), *fields, *CHUNKED))
            yield connection

    async def post_in_chunks(
        self, pieces: Sequence[bytes] = (), *, fields: Fields = INCREMENTAL, trailers: Fields = ()
    ) -> tuple[IncomingResponse, bytes]:
        """Send a chunked encapsulated request, each piece as one HTTP chunk, and return the whole response."""
        async with self.chunked_post(fields=fields) as connection:
            for piece in pieces or self.request_pieces():
                await connection.send(piece)
            await connection.finish(trailers)
            response = await connection.response()
            return response, await response.read()

    def forwarded(self, response: IncomingResponse, number: int = 1) -> Received:
        """Return the ``number``-th request at the gateway; a violation, if the response came without it."""
        if len(self.gateway.requests) < number:
            raise Violation("the request at the gateway", f"status {response.status} and nothing at the gateway")
        return self.gateway.requests[number - 1]

    @asynccontextmanager
    async def raw_client(self) -> AsyncIterator[RawClient]:
        """Connect to the relay as a client that keeps no rules."""
        async with await dial(self.url) as stream:
            # Apart from the numbers of other connections, which are positive.
            self._raw_clients -= 1
            yield RawClient(stream, self._raw_clients, tap=self.taps.of("client"), step_s=self.step_s)

    def raw_request(self, content: bytes, *, framing: bytes | None = None, media_type: bytes = REQUEST) -> bytes:
        """Return a whole request as bytes, by default with its length."""
        lines = [
            b"POST " + self.target + b" HTTP/1.1",
            b"host: " + urlsplit(self.url).netloc.encode(),
            b"content-type: " + media_type,
            b"content-length: %d" % len(content) if framing is None else framing,
        ]
        return b"\r\n".join(lines) + b"\r\n\r\n" + content

    def _pieces(self, chunks: int) -> list[bytes]:
        sealed = [_SEALED_CHUNK + self.random.randbytes(548) for _ in range(chunks)]
        return [*sealed, b"\0" + self.random.randbytes(16)]


def sized(media_type: bytes, content: bytes) -> Fields:
    """Return the fields of a response with that content."""
    return ((b"content-type", media_type), (b"content-length", str(len(content)).encode()))


def answers(status: int, fields: Fields, content: bytes) -> Answer:
    """Return an answer of the gateway: after the whole request, with exactly these fields."""

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_head(status, fields)
        await responder.send(content)
        await responder.finish()

    return answer


def answers_in_chunks(media_type: bytes, pieces: Sequence[bytes], fields: Fields = INCREMENTAL) -> Answer:
    """Return an answer of the gateway: after the whole request, each piece as one HTTP chunk."""

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_head(200, ((b"content-type", media_type), *fields))
        for piece in pieces:
            await responder.send(piece)
        await responder.finish()

    return answer


def expect_same(sent: bytes, received: bytes, what: str) -> None:
    """Require that content arrived byte for byte."""
    if sent == received:
        return
    where = next((at for at, (a, b) in enumerate(zip(sent, received, strict=False)) if a != b), None)
    how = "one is the start of the other" if where is None else f"the first difference is at byte {where}"
    raise Violation(f"{what} of {len(sent)} bytes, unchanged", f"{len(received)} bytes; {how}")


async def honest_answer(received: Received, responder: Responder) -> None:
    """Answer as a gateway that opens the request and gets a response of one block."""
    await answer_after_request(received, responder, 200, ((b"content-type", RESPONSE),), bytes(16 + 532 + 16))


@dataclass(slots=True, kw_only=True)
class RelayWorld:
    """The parties around one relay (``conformance.engine.World``)."""

    subject: RunningTarget
    gateway: ScriptedPeer
    elsewhere: ScriptedPeer
    seed: str
    step_s: float
    resource: bytes | None
    """The target of the gateway resource; None until the first honest exchange shows where it is configured."""
    taps: Taps
    randomness: random.Random
    """For honest exchanges; each case has its own, so that one case can be repeated alone."""
    capabilities: frozenset[str] = frozenset()

    @asynccontextmanager
    async def case(self, transcript: Transcript) -> AsyncIterator[RelayCase]:
        """Open the world for one case."""
        self._reset(transcript)
        try:
            yield self._case(self.resource or b"/", random.Random(f"{self.seed}/{transcript.case_id}"))
        finally:
            self.gateway.raise_failure()
            self.elsewhere.raise_failure()

    async def honest_exchange(self) -> None:
        """Do one exchange that reaches the gateway and comes back as 200."""
        self._reset(None)
        case = self._case(b"/", self.randomness)
        response, _ = await case.post(case.request())
        expect(response.status == 200, expected="status 200", observed=f"status {response.status}")
        arrived = await self.gateway.arrival()
        if self.resource is None:
            self.resource = arrived.target

    def _reset(self, transcript: Transcript | None) -> None:
        self.taps.reset(transcript)
        self.gateway.reset()
        self.elsewhere.reset()

    def _case(self, resource: bytes, randomness: random.Random) -> RelayCase:
        return RelayCase(
            url=self.subject.url,
            gateway=self.gateway,
            elsewhere=self.elsewhere,
            resource=resource,
            client_address=own_address(self.subject.url),
            step_s=self.step_s,
            taps=self.taps,
            random=randomness,
        )


@asynccontextmanager
async def open_relay_world(
    target: Target, settings: TargetSettings, *, seed: str, limits: Limits
) -> AsyncIterator[RelayWorld]:
    """Start gateway and decoy, then the relay with the gateway's URL as its upstream."""
    step_s = limits.step_s * limits.scale
    gateway = ScriptedPeer(honest_answer, step_s=step_s)
    elsewhere = ScriptedPeer(honest_answer, step_s=step_s)
    taps = Taps()
    host, port = listen_address(settings, "gateway")
    async with (
        gateway.serve(host=host, port=port, tap=taps.of("gateway")),
        elsewhere.serve(tap=taps.of("elsewhere")),
        target.start({"gateway_url": f"{gateway.url}/"}) as subject,
    ):
        yield RelayWorld(
            subject=subject,
            gateway=gateway,
            elsewhere=elsewhere,
            seed=seed,
            step_s=step_s,
            resource=b"/" if settings.mode == "launch" else None,
            taps=taps,
            randomness=random.Random(seed),
        )
