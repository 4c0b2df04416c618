"""The world around a compute node: the runner is the client behind the router, and the inference engine."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from random import Random
from typing import Any
from urllib.parse import urlsplit

from conformance.peers.address import listen_address
from conformance.peers.envelope import Content, raw_request
from conformance.peers.node_engine import PATHS, honest, whole
from conformance.peers.node_material import NodeMaterial, material_of
from conformance.peers.node_message import Answer, Opened, SealedRequest, expect_refused, open_answer
from conformance.peers.scripted import Received, ScriptedPeer
from conformance.peers.stepped import SteppedExchange
from conformance.peers.taps import Taps
from conformance.runfile import Limits, TargetSettings
from conformance.targets import NotStarted, RunningTarget, Target
from conformance.transcript import Transcript
from conformance.verdicts import expect
from openpcc_ref.binary_http import Request, RequestHead, encode_request
from openpcc_ref.compute_messages import (
    AUTHORITY,
    ENCODED_CHUNK,
    REQUEST_MEDIA_TYPES,
    Form,
    ReceiverContext,
    ResponseOpener,
)
from openpcc_ref.http1 import Fields, Http1Error, IncomingResponse, connect
from openpcc_ref.sources import RandomSource, system_random

AMOUNT = 1024
"""Credits that pay for a request where a check does not care: an amount that a credit can have."""


def padded(plaintext: bytes) -> bytes:
    """Return a Binary HTTP message filled up with zeros as clients do. Requirements: MSG-073."""
    return plaintext + bytes(-len(plaintext) % ENCODED_CHUNK)


class Exchange(SteppedExchange[Answer]):
    """One exchange with the node."""

    def _answer_of(self, response: IncomingResponse, content: bytes) -> Answer:
        return Answer(response.status, response.fields, content, response.trailers, response.complete)

    async def head(self) -> Answer:
        """Wait for status and fields; the content is still to come."""
        response = await self._head()
        return Answer(response.status, response.fields, b"", (), False)

    async def plaintext(self, context: ReceiverContext) -> AsyncIterator[bytes]:
        """Yield the plaintext of the sealed response as it arrives."""
        response = await self._head()
        head = await self.head()
        sealed = head.status == 200 and head.form is not None
        expect(sealed, expected="outer status 200 with a sealed response", observed=str(head))
        assert head.form is not None
        opener = ResponseOpener(context, head.form)
        async for chunk in response.body():
            self._pieces.append(chunk.data)
            for plaintext in opener.feed(chunk.data):
                yield plaintext


class NodeWorld:
    """Client, router and engine around one node. Deadlines in seconds."""

    def __init__(
        self, subject: RunningTarget, material: NodeMaterial, *, engine: bool, seed: str, step_s: float
    ) -> None:
        self.subject = subject
        self.material = material
        self.step_s = step_s
        # Sealed requests are fresh even where a run is repeated: a node may refuse one that it has seen.
        self.random: RandomSource = system_random
        self._has_engine = engine
        self._seed = seed
        self.taps = Taps()
        self.engine = ScriptedPeer(honest, step_s=step_s)

    @property
    def capabilities(self) -> frozenset[str]:
        """What the target offers."""
        offers = {"node.engine": self._has_engine, "node.second-model": len(self.material.models) > 1}
        return frozenset(name for name, offered in offers.items() if offered)

    @property
    def model(self) -> str:
        """The model that is asked for where a check does not care."""
        return self.material.models[0]

    @asynccontextmanager
    async def case(self, transcript: Transcript) -> AsyncIterator[NodeWorld]:
        """Record everything, with an honest engine that remembers nothing."""
        self.engine.reset()
        self.taps.reset(transcript)
        try:
            yield self
        finally:
            self.taps.reset(None)
            self.engine.raise_failure()

    async def honest_exchange(self) -> None:
        """Ask for a completion."""
        self.engine.reset()
        await self.control()

    async def control(self, form: Form = Form.UNCHUNKED) -> None:
        """Show that an honest request of this form is answered, so that a refusal means something."""
        opened = await self.ask(self.request(form), form, what=f"an honest {form} request")
        answered = opened.status == 200 and (not self._has_engine or opened.response.content == whole(PATHS[0]))
        expect(answered, expected=f"the engine's answer to an honest {form} request", observed=str(opened))
        self.engine.reset()

    def junk(self, label: str) -> Random:
        """Return reproducible arbitrary bytes."""
        return Random(f"{self._seed}/{label}")

    # -- what clients seal -------------------------------------------------------------------------------------------

    def body(self, path: str = PATHS[0], **members: Any) -> bytes:
        """Return a request body; members that are None are left out."""
        asked: dict[str, Any] = {"model": self.model}
        if "chat" in path:
            asked["messages"] = [{"role": "user", "content": "ping"}]
        else:
            asked["prompt"] = "ping"
        asked |= members
        return json.dumps({name: value for name, value in asked.items() if value is not None}).encode()

    def fields(self, body: bytes, *, badge: bytes | None = None, more: Fields = ()) -> Fields:
        """Return the fields of an honest inner request; ``badge`` replaces that for the model."""
        value = self.material.badge([self.model]) if badge is None else badge
        length = (b"content-length", str(len(body)).encode())
        return ((b"content-type", b"application/json"), length, (b"x-confsec-badge", value), *more)

    def request(
        self,
        form: Form = Form.UNCHUNKED,
        *,
        path: str | bytes = PATHS[0],
        body: bytes | None = None,
        fields: Fields | None = None,
        method: bytes = b"POST",
        authority: bytes = AUTHORITY,
    ) -> bytes:
        """Return the plaintext of a request, honest where nothing else is said."""
        target = path.encode() if isinstance(path, str) else path
        content = self.body(target.decode("latin-1")) if body is None else body
        lines = self.fields(content) if fields is None else fields
        if form is Form.UNCHUNKED:
            return padded(raw_request(method, authority, target, content, lines))
        request = Request(RequestHead(method, b"http", authority, target, lines), content)
        return encode_request(request, indeterminate=True, pad_to=ENCODED_CHUNK)

    def sealed(self, form: Form = Form.UNCHUNKED, **parts: Any) -> SealedRequest:
        """Return a fresh sealing for the node."""
        return SealedRequest(parts.pop("public_key", self.material.public_key), form, random=self.random, **parts)

    # -- exchanges ---------------------------------------------------------------------------------------------------

    async def ask(
        self,
        plaintext: bytes,
        form: Form = Form.UNCHUNKED,
        *,
        amount: int = AMOUNT,
        fields: Fields = (),
        what: str = "",
    ) -> Opened:
        """Send any plaintext, sealed as an honest client does, and open the answer; a violation if it is none."""
        sealed = self.sealed(form)
        answer = await self.post(sealed.sealed(plaintext), sealed, amount=amount, more=fields)
        return open_answer(answer, sealed.context, what)

    async def post(
        self,
        content: Content,
        sealed: SealedRequest,
        *,
        media_type: bytes | None = None,
        amount: int = AMOUNT,
        fields: Fields | None = None,
        more: Fields = (),
    ) -> Answer:
        """Do one exchange; ``media_type`` or all ``fields`` may be other than those that go with ``sealed``."""
        lines = self.outer_fields(sealed, media_type, amount) if fields is None else fields
        sized = isinstance(content, bytes)
        framing = (b"content-length", str(len(content)).encode()) if sized else (b"transfer-encoding", b"chunked")
        pieces = [content] if isinstance(content, bytes) else content
        async with self.exchange(fields=(*lines, framing, *more)) as exchange:
            with suppress(Http1Error):  # the node may have answered before the end
                await exchange.send(*pieces)
                await exchange.finish()
            return await exchange.answer()

    def outer_fields(self, sealed: SealedRequest, media_type: bytes | None = None, amount: int = AMOUNT) -> Fields:
        """Return the fields that the router sends with a sealed request."""
        return (
            (b"content-type", REQUEST_MEDIA_TYPES[sealed.form] if media_type is None else media_type),
            (b"x-encapsulated-key", sealed.key_text),
            (b"x-credit-amount", str(amount).encode()),
        )

    @asynccontextmanager
    async def exchange(
        self, *, fields: Fields, method: bytes = b"POST", target: bytes | None = None
    ) -> AsyncIterator[Exchange]:
        """Open a connection and send the head of a request."""
        async with connect(self.subject.url, tap=self.taps.of("router"), step_s=self.step_s) as connection:
            await connection.send_head(method, self.target if target is None else target, fields)
            yield Exchange(connection)

    @asynccontextmanager
    async def open_exchange(self, sealed: SealedRequest, *, amount: int = AMOUNT) -> AsyncIterator[Exchange]:
        """Open a connection and send the head of an honest request whose content comes in HTTP chunks."""
        lines = self.outer_fields(sealed, amount=amount)
        async with self.exchange(fields=(*lines, (b"transfer-encoding", b"chunked"))) as exchange:
            yield exchange

    @property
    def target(self) -> bytes:
        """The request target at which the node serves."""
        return (urlsplit(self.subject.url).path or "/").encode()

    # -- judgements --------------------------------------------------------------------------------------------------

    async def unopened(self, content: Content, sealed: SealedRequest, what: str, **parts: Any) -> Answer:
        """Send what cannot be opened: it must be refused in clear, and the engine hear nothing."""
        answer = await self.post(content, sealed, **parts)
        expect_refused(answer, what)
        await self.not_asked(what)
        return answer

    async def refused(
        self,
        plaintext: bytes,
        what: str,
        form: Form = Form.UNCHUNKED,
        *,
        status: int = 400,
        deployed: str | None = None,
    ) -> Opened:
        """Send a request that breaks a rule: it must be refused inside a sealed response, and the engine hear nothing.

        ``deployed`` excuses a node that takes the request for a valid one.
        """
        opened = await self.ask(plaintext, form, what=what)
        await self.engine.catch_up()
        asked = len(self.engine.requests)
        expect(
            opened.status == status and not asked,
            expected=f"inner status {status} for {what}, and no request to the engine",
            observed=f"{opened}, and {asked} {'request' if asked == 1 else 'requests'} to the engine",
            deployed=deployed if asked or opened.status == 200 else None,
        )
        if asked:
            self.engine.reset()  # which is excused
        return opened

    async def not_taken(self, content: Content, sealed: SealedRequest, what: str) -> None:
        """Send what must not become a request to the engine, refused in clear or inside a sealed response."""
        answer = await self.post(content, sealed)
        if answer.form is None:
            expect_refused(answer, what)
        else:
            opened = open_answer(answer, sealed.context)
            expect(opened.status == 400, expected=f"status 400 for {what}", observed=str(opened))
        await self.not_asked(what)

    async def accepted(self, plaintext: bytes, what: str, form: Form = Form.UNCHUNKED) -> Received | None:
        """Send a request that must be accepted; return what the engine got, or None without an engine."""
        sealed = self.sealed(form)
        return await self.answered(sealed.sealed(plaintext), sealed, what)

    async def answered(self, content: Content, sealed: SealedRequest, what: str) -> Received | None:
        """Send sealed content that must be accepted; return what the engine got, or None without an engine."""
        seen = len(self.engine.requests)
        answer = await self.post(content, sealed)
        opened = open_answer(answer, sealed.context, what)
        expect(opened.status == 200, expected=f"an answer to {what}", observed=str(opened))
        return await self.engine.arrival(seen + 1) if self._has_engine else None

    async def not_asked(self, what: str) -> None:
        """Require that the engine got no request."""
        await self.engine.catch_up()
        count = len(self.engine.requests)
        expect(count == 0, expected=f"no request to the engine for {what}", observed=f"{count} requests")


@asynccontextmanager
async def open_node_world(
    target: Target, settings: TargetSettings, *, seed: str, limits: Limits
) -> AsyncIterator[NodeWorld]:
    """Host the engine, start the node with keys minted from the seed (or described in the run file), and yield the
    world. Raises :class:`TargetFailed` when the subject cannot serve or was not fully described.
    """
    material = material_of(settings, seed)
    has_engine = settings.mode == "launch" or "engine" in settings.listen
    world = NodeWorld(NotStarted(), material, engine=has_engine, seed=seed, step_s=limits.step_s * limits.scale)
    async with AsyncExitStack() as stack:
        host, port = listen_address(settings, "engine") if has_engine else ("127.0.0.1", 0)
        await stack.enter_async_context(world.engine.serve(host=host, port=port, tap=world.taps.of("engine")))
        config = material.launch_config(world.engine.url)
        world.subject = await stack.enter_async_context(target.start(config))
        yield world
