"""The world around a gateway: the runner is the client behind the relay, the bank and the router."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from random import Random
from typing import TypeVar
from urllib.parse import urlsplit

from conformance.peers.address import listen_address
from conformance.peers.envelope import Content, Envelope, Opened, Outer, expect_refused, open_outer
from conformance.peers.gateway_keys import KeyRing, launch_keys, mint_keys
from conformance.peers.scripted import Received, ScriptedPeer, answer_after_request
from conformance.peers.stepped import SteppedExchange
from conformance.peers.taps import Taps
from conformance.runfile import Limits, TargetSettings
from conformance.targets import NotStarted, RunningTarget, Target, TargetFailed
from conformance.transcript import Transcript
from conformance.verdicts import Violation, expect
from openpcc_ref.binary_http import Request, RequestHead, encode_request
from openpcc_ref.hpke import KemId
from openpcc_ref.http1 import Fields, Http1Error, IncomingResponse, Responder, connect
from openpcc_ref.oblivious_http import Form, KeyConfig, ResponseContext, ResponseOpener
from openpcc_ref.sources import Clock, RandomSource, system_clock, system_random

BANK = b"confsec-bank.invalid"
ROUTER = b"confsec-router.invalid"

T = TypeVar("T")

BANK_PATHS = (b"/deposit", b"/exchange", b"/withdraw", b"/withdraw-full", b"/balance")
ALLOWED = (
    *((b"POST", BANK, path) for path in BANK_PATHS),
    (b"GET", ROUTER, b"/ping"),
    (b"POST", ROUTER, b"/compute-manifests"),
    (b"POST", ROUTER, b"/"),
)
"""What a gateway forwards. Requirements: OHT-066."""


def inner(method: bytes, host: bytes, path: bytes, content: bytes = b"", fields: Fields = ()) -> Request:
    """Return a request as clients put it into an envelope."""
    return Request(RequestHead(method, b"http", host, path, fields), content)


PING = inner(b"GET", ROUTER, b"/ping")


def compute(content: bytes, fields: Fields = ()) -> Request:
    """Return a compute request with opaque content."""
    return inner(b"POST", ROUTER, b"/", content, ((b"content-type", b"application/confsec-req"), *fields))


@dataclass(frozen=True, slots=True)
class Deployed:
    """What deployed code makes of an invalid request, and the divergence that says so."""

    divergence: str
    is_this: Callable[[Received], bool]


class Exchange(SteppedExchange[Outer]):
    """One outer exchange."""

    def _answer_of(self, response: IncomingResponse, content: bytes) -> Outer:
        return Outer(response.status, response.fields, content, response.complete)

    async def inner_bytes(self, context: ResponseContext, length: int) -> bytes:
        """Wait for ``length`` bytes of the inner response while it is still going on; return what there is by then."""
        response = await self._head()
        head = Outer(response.status, response.fields, b"", False)
        expect(head.status == 200 and head.form is not None, expected="an encapsulated response", observed=str(head))
        assert head.form is not None
        opener = ResponseOpener(context, head.form)
        opened = b""
        async for chunk in response.body():
            self._pieces.append(chunk.data)
            opened += b"".join(opener.feed(chunk.data))
            if len(opened) >= length:
                break
        return opened


class GatewayWorld:
    """Client, bank and router around one gateway. Deadlines in seconds."""

    def __init__(
        self, subject: RunningTarget, keys: KeyRing, *, seed: str, step_s: float, random: RandomSource = system_random
    ) -> None:
        self.subject = subject
        self.keys = keys
        self.step_s = step_s
        # Encapsulations are fresh even where a run is repeated: a gateway may refuse an enc it has seen.
        self.random = random
        self._seed = seed
        self.taps = Taps()
        self.bank = ScriptedPeer(_honest, step_s=step_s)
        self.router = ScriptedPeer(_honest, step_s=step_s)

    @property
    def capabilities(self) -> frozenset[str]:
        """What the target offers."""
        return self.keys.capabilities()

    @property
    def key(self) -> KeyConfig:
        """The key used where a check does not care which."""
        return self.keys.active[0]

    async def probe(self) -> None:
        """Find out whether DHKEM(X25519), which a gateway need not have, can stand in for the costlier KEM."""
        required = {key.kem_id for key in self.keys.active} - {int(KemId.DHKEM_X25519)}
        if not required or len(self.keys.by_kem) == len(required):
            return
        try:
            await self.control(Form.UNCHUNKED, self.keys.of_kem(KemId.DHKEM_X25519))
        except (Violation, Http1Error):
            self.keys = replace(self.keys, unsupported=frozenset({int(KemId.DHKEM_X25519)}))

    @asynccontextmanager
    async def case(self, transcript: Transcript) -> AsyncIterator[GatewayWorld]:
        """Record everything, with honest peers that remember nothing."""
        self._reset()
        self.taps.transcript = transcript
        try:
            yield self
        finally:
            self.taps.transcript = None
            self.bank.raise_failure()
            self.router.raise_failure()

    async def honest_exchange(self) -> None:
        """Ask the router for a sign of life."""
        self._reset()
        await self.control(Form.UNCHUNKED, self.key)

    async def control(self, form: Form, key: KeyConfig | None = None) -> None:
        """Show that an honest request of this form and key is answered, so that a refusal means something."""
        reply = await self.ask(PING, form, key)
        expect(
            reply.response.head.status == 200 and reply.response.content == b"pong",
            expected=f"pong for an honest {form} request",
            observed=str(reply),
        )
        self._reset()

    def _reset(self) -> None:
        self.bank.reset()
        self.router.reset()

    def envelope(self, form: Form, key: KeyConfig | None = None) -> Envelope:
        """Return a fresh encapsulation."""
        return Envelope(key or self.key, form, random=self.random)

    def junk(self, label: str) -> Random:
        """Return reproducible arbitrary bytes."""
        return Random(f"{self._seed}/{label}")

    async def ask(self, request: Request, form: Form, key: KeyConfig | None = None) -> Opened:
        """Send a request as an honest client does and open the answer; a violation if it is not an answer."""
        plaintext = encode_request(request, indeterminate=form is Form.CHUNKED, pad_to=532)
        return await self.deliver(plaintext, form, key)

    async def deliver(self, plaintext: bytes, form: Form, key: KeyConfig | None = None) -> Opened:
        """Send any plaintext in an honest envelope and open the answer."""
        envelope = self.envelope(form, key)
        outer = await self.post(envelope.sealed(plaintext), form)
        return open_outer(outer, envelope.context)

    async def status_of(self, plaintext: bytes, form: Form) -> tuple[int, str]:
        """Send any plaintext in an honest envelope; return the status, inner if there is one, and what was seen."""
        envelope = self.envelope(form)
        outer = await self.post(envelope.sealed(plaintext), form)
        if outer.form is None:
            return outer.status, str(outer)
        reply = open_outer(outer, envelope.context)
        return reply.response.head.status, str(reply)

    async def post(
        self, content: Content, form: Form | bytes | None, *, fields: Fields = (), method: bytes = b"POST"
    ) -> Outer:
        """Do one outer exchange. ``form`` gives the media type, which may also be stated as such or left out."""
        sized = isinstance(content, bytes)
        framing = (b"content-length", str(len(content)).encode()) if sized else (b"transfer-encoding", b"chunked")
        pieces = [content] if isinstance(content, bytes) else content
        async with self.exchange(form, fields=(framing, *fields), method=method) as exchange:
            try:
                await exchange.send(*pieces)
                await exchange.finish()
            except Http1Error:
                pass  # the gateway may have answered before the end
            return await exchange.answer()

    @asynccontextmanager
    async def exchange(
        self,
        form: Form | bytes | None,
        *,
        fields: Fields = ((b"transfer-encoding", b"chunked"),),
        method: bytes = b"POST",
    ) -> AsyncIterator[Exchange]:
        """Open a connection and send the head of an outer request, by default one whose content is chunked."""
        media_type = form.request_media_type if isinstance(form, Form) else form
        typed: Fields = ((b"content-type", media_type),) if media_type is not None else ()
        hint: Fields = ((b"incremental", b"?1"),) if form is Form.CHUNKED else ()
        async with connect(self.subject.url, tap=self.taps.of("relay"), step_s=self.step_s) as connection:
            await connection.send_head(method, self.target, (*typed, *hint, *fields))
            yield Exchange(connection)

    @property
    def target(self) -> bytes:
        """The request target at which the gateway serves."""
        return (urlsplit(self.subject.url).path or "/").encode()

    async def refusal(self, content: Content, form: Form | bytes | None, what: str) -> Outer:
        """Send something that must be refused outside any encapsulation, with nothing forwarded."""
        outer = await self.post(content, form)
        expect_refused(outer, what)
        await self.nothing_forwarded(what)
        return outer

    async def nothing_forwarded(self, what: str) -> None:
        """Require that neither bank nor router saw a request."""
        await self._catch_up()
        seen = [f"{received.method.decode()} {received.target.decode('latin-1')}" for received in self.forwarded()]
        seen += self.malformed()
        expect(not seen, expected=f"nothing forwarded for {what}", observed=f"{', '.join(seen)} behind the gateway")

    async def never_completed(
        self, content: Content, form: Form, context: ResponseContext, what: str, *, deployed: Deployed | None = None
    ) -> None:
        """Send what must not become a request: none is completed behind the gateway, and no success reported.

        Closing the connection is one way to refuse. ``deployed`` excuses what deployed code makes of it.
        """
        outer = None
        with suppress(Http1Error):
            outer = await self.post(content, form)
        await self.settled()
        malformed = self.malformed()
        expect(
            not malformed,
            expected=f"no request for {what}, or an incomplete one",
            observed=f"{', '.join(malformed)} behind the gateway",
        )
        completed = [received for received in self.forwarded() if received.complete]
        seen = ", ".join(received.target.decode("latin-1") for received in completed)
        excused = deployed is not None and len(completed) == 1 and deployed.is_this(completed[0])
        refused = expect(
            not completed,
            expected=f"no completed request for {what}",
            observed=f"a complete request to {seen}",
            deployed=deployed.divergence if deployed and excused else None,
        )
        if not refused or outer is None:
            return
        if outer.form is None:
            expect(outer.status >= 400, expected=f"an error for {what}", observed=str(outer))
        elif outer.complete:
            reply = open_outer(outer, context)
            expect(reply.response.head.status >= 400, expected=f"an error for {what}", observed=str(reply))

    async def settled(self) -> None:
        """Wait until every request behind the gateway is over."""
        await self._catch_up()
        for received in self.forwarded():
            await received.end()

    async def _catch_up(self) -> None:
        await self.bank.catch_up()
        await self.router.catch_up()

    def forwarded(self) -> Sequence[Received]:
        """Return what bank and router saw so far."""
        return [*self.bank.requests, *self.router.requests]

    def malformed(self) -> list[str]:
        """Return what came to bank and router so far and is no HTTP request."""
        return [f"a request that is no HTTP ({why})" for why in (*self.bank.malformed, *self.router.malformed)]


@asynccontextmanager
async def open_gateway_world(
    target: Target, settings: TargetSettings, *, seed: str, limits: Limits, clock: Clock = system_clock
) -> AsyncIterator[GatewayWorld]:
    """Host bank and router, start the gateway with keys minted from the seed (or those of the run file), and yield
    the world. Raises :class:`TargetFailed` when the subject cannot serve or was not fully described.
    """
    now = clock()
    keys = settings.keys or (mint_keys(seed, now) if settings.mode == "launch" else ())
    ring = KeyRing.of(keys, now)
    if not ring.active:
        raise TargetFailed("target.keys: expected at least one key that is active now, of a KEM the runner knows")
    world = GatewayWorld(NotStarted(), ring, seed=seed, step_s=limits.step_s * limits.scale)
    async with AsyncExitStack() as stack:
        for name, peer in (("bank", world.bank), ("router", world.router)):
            host, port = listen_address(settings, name)
            await stack.enter_async_context(peer.serve(host=host, port=port, tap=world.taps.of(name)))
        config = {"bank_url": world.bank.url, "router_url": world.router.url, "keys": launch_keys(keys)}
        world.subject = await stack.enter_async_context(target.start(config))
        await world.probe()
        yield world


async def _honest(received: Received, responder: Responder) -> None:
    """Answer as bank and router do, with content that says what was asked."""
    await received.end()
    if received.method == b"CONNECT":  # must not become a tunnel when a gateway forwards it
        await answer_after_request(received, responder, 501, (), b"")
        return
    content = b"pong" if received.target == b"/ping" else b"answer to " + received.target
    fields = ((b"content-type", b"text/plain"),)
    await answer_after_request(received, responder, 200, fields, content if received.method != b"HEAD" else b"")
