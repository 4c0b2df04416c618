"""Encapsulated responses say what the service said, to whom it was said, and as soon as it was said."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import product

import anyio

from conformance.peers.envelope import Opened, open_outer
from conformance.peers.gateway import GatewayWorld, compute
from conformance.peers.scripted import Received, answer_after_request
from conformance.peers.stepped import side_by_side
from conformance.registry import check
from conformance.verdicts import Violation, expect
from openpcc_ref.binary_http import encode_request, field_values
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import Http1Error, Responder
from openpcc_ref.oblivious_http import Form

BLOCK = 532
TEXT = ((b"content-type", b"text/plain"),)


def content_of(size: int) -> bytes:
    return bytes(index * 31 % 251 for index in range(size))


def sized(content: bytes, status: int = 200) -> Callable[[Received, Responder], Awaitable[None]]:
    """Return an answer that states its length."""

    async def answer(received: Received, responder: Responder) -> None:
        await answer_after_request(received, responder, status, TEXT, content)

    return answer


def unsized(*pieces: bytes) -> Callable[[Received, Responder], Awaitable[None]]:
    """Return an answer in the chunked transfer coding."""

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_head(200, (*TEXT, (b"transfer-encoding", b"chunked")))
        for piece in pieces:
            await responder.send(piece)
        await responder.finish()

    return answer


def _expect_content(reply: Opened, content: bytes, what: str) -> None:
    expect(
        reply.response.head.status == 200 and reply.response.content == content,
        expected=f"{len(content)} bytes of {what} unchanged",
        observed=str(reply),
    )


@check(
    id="gateway.responses.sized",
    requirements=["OHT-024", "OHT-025", "OHT-023"],
    title="A response of known length arrives as the service sent it",
)
async def sized_response(world: GatewayWorld) -> None:
    """Contents around the size of a block, and none at all, in answer to both forms."""
    for form in Form:
        for size in (0, 1, 400, BLOCK, 5000):
            world.router.answer = sized(content_of(size))
            reply = await world.ask(compute(b"content"), form)
            _expect_content(reply, content_of(size), "a response of known length")
            media_type = field_values(reply.response.head.fields, b"content-type")
            expect(
                media_type == (b"text/plain",),
                expected="its content-type inside",
                observed=f"{list(media_type) or 'none'}",
            )


@check(
    id="gateway.responses.unsized",
    requirements=["OHT-024", "OHT-025", "OHT-028"],
    title="A response of unknown length arrives as the service sent it",
)
async def unsized_response(world: GatewayWorld) -> None:
    """The service answers in the chunked transfer coding, in pieces of every size, to both forms."""
    pieces = [content_of(size) for size in (1, 600, 3, 4096, 531)]
    for form in Form:
        world.router.answer = unsized(*pieces)
        reply = await world.ask(compute(b"content"), form)
        _expect_content(reply, b"".join(pieces), "a response of unknown length")


@check(
    id="gateway.responses.large",
    requirements=["OHT-028", "OHT-026"],
    title="A megabyte goes through in both directions",
)
async def large(world: GatewayWorld) -> None:
    """Request and response have a megabyte each and arrive unchanged, in both forms."""
    content = content_of(2**20)
    for form in Form:
        world.router.reset()
        world.router.answer = sized(content)
        reply = await world.ask(compute(content), form)
        _expect_content(reply, content, "a large response")
        received = await world.router.arrival()
        same = received.complete and received.body == content
        expect(same, expected="a large request unchanged", observed=f"{len(received.body)} bytes")


@check(
    id="gateway.responses.statuses",
    requirements=["OHT-069", "MSG-009"],
    title="The service's status goes inside, whatever it is; the outer one is 200",
)
async def statuses(world: GatewayWorld) -> None:
    """Success, redirection, errors of either side, and statuses without content."""
    for status in (200, 201, 204, 304, 302, 402, 404, 429, 500, 503):
        content = b"" if status in (204, 304) else b"content"

        async def answer(received: Received, responder: Responder, status: int = status) -> None:
            await received.end()
            size = () if status in (204, 304) else ((b"content-length", b"7"),)
            await responder.send_head(status, (*TEXT, *size))
            if status not in (204, 304):
                await responder.send(b"content")
            await responder.finish()

        for form in Form:
            world.router.answer = answer
            reply = await world.ask(compute(b"content"), form)
            response = reply.response
            expect(
                response.head.status == status and response.content == content,
                expected=f"inner status {status} with {len(content)} bytes",
                observed=str(reply),
            )


@check(
    id="gateway.responses.redirect",
    requirements=["OHT-091", "OHT-066"],
    title="A redirect by a service is for the client, and not followed",
)
async def redirect(world: GatewayWorld) -> None:
    """The router redirects to a path of its own and to the bank, neither of which clients may ask for. HTTP libraries
    like to follow; the client must learn of the redirect, and nobody may be asked again."""
    for location in (b"/node-events", f"{world.bank.url}/accounts".encode()):
        for status, form in product((301, 302, 303, 307, 308), Form):
            world.router.reset()

            async def answer(
                received: Received, responder: Responder, status: int = status, location: bytes = location
            ) -> None:
                await answer_after_request(received, responder, status, ((b"location", location),), b"elsewhere")

            world.router.answer = answer
            reply = await world.ask(compute(b"content"), form)
            what = f"a redirect with {status} to {location.decode()}"
            seen = [received.target.decode("latin-1") for received in world.forwarded()]
            expect(seen == ["/"], expected=f"one request for {what}", observed=f"requests to {', '.join(seen)}")
            expect(reply.response.head.status == status, expected=f"inner status {status}", observed=str(reply))


@check(
    id="gateway.responses.informational",
    requirements=["OHT-091", "MSG-010"],
    title="An informational response of the service does not stand for its final one",
)
async def informational(world: GatewayWorld) -> None:
    """A 103 comes first, then success or an error with fields of its own; the client must learn of the latter."""
    hint = b"</style.css>"
    for status in (200, 402, 500):

        async def answer(received: Received, responder: Responder, status: int = status) -> None:
            await received.end()
            await responder.send_informational(103, ((b"link", hint),))
            await answer_after_request(received, responder, status, ((b"x-final", b"yes"), *TEXT), b"content")

        for form in Form:
            world.router.answer = answer
            reply = await world.ask(compute(b"content"), form)
            head, content = reply.response.head, reply.response.content
            final = field_values(head.fields, b"x-final") == (b"yes",)
            frozen = head.status == 200 and not final and field_values(head.fields, b"link") == (hint,)
            expect(
                head.status == status and final and content == b"content",
                expected=f"inner status {status} with the fields that belong to it",
                observed=f"{reply}, {'with' if final else 'without'} these fields",
                deployed="OHT-D18" if frozen else None,
            )


@check(
    id="gateway.responses.streamed",
    requirements=["OHT-089"],
    title="Response content is passed on before the service has finished",
)
async def streamed(world: GatewayWorld) -> None:
    """The service sends a first part and withholds the rest until the client has seen as much of it as fills chunks of
    the gateway's size, of which it may hold back two: one that is not full, and one that could be the last."""
    longest = await _longest_chunk(world)
    part = 4 * longest
    seen = anyio.Event()

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_head(200, (*TEXT, (b"transfer-encoding", b"chunked")))
        await responder.send(content_of(part))
        await seen.wait()
        await responder.send(b"the rest")
        await responder.finish()

    for form in Form:
        seen = anyio.Event()
        world.router.answer = answer
        envelope = world.envelope(form)
        plaintext = encode_request(compute(b"content"), indeterminate=form is Form.CHUNKED, pad_to=532)
        content = envelope.sealed(plaintext)
        size = (b"content-length", str(len(content)).encode())
        framing = (size,) if isinstance(content, bytes) else ((b"transfer-encoding", b"chunked"),)
        async with world.exchange(form, fields=framing) as exchange:
            await exchange.send(*([content] if isinstance(content, bytes) else content))
            await exchange.finish()
            try:
                await exchange.inner_bytes(envelope.context, part - 2 * longest)
            except (Http1Error, Rejected) as error:
                wanted = f"{part - 2 * longest} of the {part} bytes sent so far, in chunks of {longest}"
                raise Violation(f"{wanted}, before the service goes on", str(error)) from error
            finally:
                seen.set()
            reply = open_outer(await exchange.answer(), envelope.context)
        _expect_content(reply, content_of(part) + b"the rest", "a response in two parts")


async def _longest_chunk(world: GatewayWorld) -> int:
    """Return how many plaintext bytes the gateway puts into a chunk when there are many."""
    world.router.answer = unsized(content_of(50_000))
    reply = await world.ask(compute(b"content"), Form.CHUNKED)
    return max(map(len, reply.chunks))


@check(
    id="gateway.responses.coded-content",
    requirements=["OHT-091"],
    title="Coded content of the service stays as it says it is",
)
async def codedcontent_of(world: GatewayWorld) -> None:
    """The service answers in gzip and says so. Clients may undo it, and the gateway too if it says nothing of it any
    more; what must not be is content that is not what its fields say."""
    content = content_of(3000)
    coded = gzip.compress(content, mtime=0)

    async def answer(received: Received, responder: Responder) -> None:
        await answer_after_request(received, responder, 200, (*TEXT, (b"content-encoding", b"gzip")), coded)

    for form in Form:
        world.router.answer = answer
        reply = await world.ask(compute(b"content", ((b"accept-encoding", b"gzip"),)), form)
        kept = field_values(reply.response.head.fields, b"content-encoding") == (b"gzip",)
        expect(
            reply.response.content == (coded if kept else content),
            expected=f"the {'coded' if kept else 'decoded'} content, as the inner fields say",
            observed=f"{reply}, of {len(coded)} coded and {len(content)} decoded",
        )


@check(
    id="gateway.responses.concurrent",
    requirements=["OHT-024"],
    title="Exchanges side by side get their own answers",
)
async def concurrent(world: GatewayWorld) -> None:
    """Twelve clients ask at once; the service waits for all of them and then answers each with its own content."""
    count = 12
    together = anyio.Event()
    waiting = 0

    async def answer(received: Received, responder: Responder) -> None:
        nonlocal waiting
        await received.end()
        waiting += 1
        if waiting == count:
            together.set()
        await together.wait()
        await answer_after_request(received, responder, 200, TEXT, b"to " + received.body)

    async def client(number: int) -> None:
        content = b"client %d" % number
        form = Form.CHUNKED if number % 2 else Form.UNCHUNKED
        _expect_content(await world.ask(compute(content), form), b"to " + content, "the client's own answer")

    world.router.answer = answer
    await side_by_side(partial(client, number) for number in range(count))
