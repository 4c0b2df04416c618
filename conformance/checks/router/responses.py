"""What a client gets to see of a node's response."""

from __future__ import annotations

import anyio

from conformance.peers.router_case import Posted, RouterCase, only_value, read_on
from conformance.peers.router_nodes import RESPONSE, answers, response_head
from conformance.peers.scripted import Received
from conformance.registry import check
from conformance.verdicts import Violation, expect
from openpcc_ref.http1 import Failure, Fields, Http1Error, Responder, field_value, field_values


@check(
    id="router.responses.node-id",
    requirements=["RTR-047"],
    title="X-Node-ID names the node that answers, whatever the node says",
)
async def node_id(case: RouterCase) -> None:
    """The client opens the response with what it kept for the node that this field names. The node sends the field,
    too, with the identifier of another one; the client must get one line, with the router's."""
    for node, other in zip(case.nodes, (*case.nodes[1:], case.nodes[0]), strict=True):
        forged = ((b"x-node-id", other.id.encode()), (b"X-NODE-ID", b"another"))
        case.farm.peer.answer = answers([b"sealed"], fields=forged)
        reply = await case.served(case.mint.credit(10), node)
        named = [value.decode("latin-1").lower() for value in field_values(reply.fields, b"x-node-id")]
        expect(named == [node.id], expected="the identifier of the node, once", observed=", ".join(named) or "nothing")


@check(
    id="router.responses.node-id-on-errors",
    requirements=["RTR-047"],
    title="X-Node-ID names the node also when it answers with an error",
)
async def node_id_on_errors(case: RouterCase) -> None:
    """The node refuses in the clear, as it does with requests it cannot open. The client must learn whose it is."""
    case.farm.peer.answer = answers([b"no"], status=400)
    reply = await case.compute(case.paid(case.mint.credit(10), case.nodes[0]))
    expect(reply.status == 400, expected="the node's status 400", observed=str(reply))
    named = (only_value(reply.fields, b"x-node-id") or b"nothing").decode("latin-1")
    expect(named.lower() == case.nodes[0].id, expected=f"the identifier {case.nodes[0].id}", observed=named)


@check(
    id="router.responses.no-node-id",
    requirements=["RTR-047"],
    title="Refusals of the router name no node",
)
async def no_node_id(case: RouterCase) -> None:
    """A request that is refused before a node is chosen: nobody has answered, so nobody is named."""
    await case.control()
    refused = await case.compute(case.paid(b"no credit"))
    expect(refused.status == 400, expected="status 400 for a bad credit", observed=str(refused))
    expect(
        only_value(refused.fields, b"x-node-id") is None,
        expected="no x-node-id on a refusal of the router",
        observed="a node is named",
    )


@check(
    id="router.responses.trailer-announced",
    requirements=["RTR-048"],
    title="Responses of nodes announce the trailer X-Refund",
)
async def trailer_announced(case: RouterCase) -> None:
    """Announced whether a refund follows or not, and in place of what the node announces."""
    await case.after_the_cut_over()
    value = b"CgIAAQ=="
    for what, trailers in (("no refund", ()), ("a refund", ((b"X-Refund-Amount", value),))):
        case.farm.peer.answer = answers([b"sealed"], trailers)
        reply = await case.served(case.mint.credit(10))
        announced = b",".join(field_values(reply.fields, b"trailer")).lower()
        names = {name.strip() for name in announced.split(b",")}
        seen = announced.decode("latin-1") or "nothing"
        expect(b"x-refund" in names, expected=f"Trailer: X-Refund on a response with {what}", observed=seen)


@check(
    id="router.responses.connection-fields",
    requirements=["PRIV-005"],
    title="Fields of the connection with the node stay behind",
)
async def connection_fields(case: RouterCase) -> None:
    """Fields that belong to the connection between router and node, and one that `Connection` names, do not reach the
    client."""
    own: Fields = ((b"connection", b"x-hop"), (b"x-hop", b"1"), (b"keep-alive", b"timeout=4711"))
    case.farm.peer.answer = answers([b"sealed"], fields=own)
    reply = await case.served(case.mint.credit(10))
    came = [name.decode() for name, value in own[1:] if value in field_values(reply.fields, name)]
    expect(not came, expected="no field of the node's connection", observed=", ".join(came))


@check(
    id="router.responses.content",
    requirements=["RTR-049"],
    title="Status, content and its type come back as the node sent them",
)
async def content(case: RouterCase) -> None:
    """Content of every byte, in odd pieces, and a large one; with a status of success and one of failure."""
    for status, pieces in (
        (200, [bytes([number]) * number for number in range(1, 256)]),
        (200, [case.random.randbytes(1 << 16)] * 32),
        (503, [b"not now"]),
    ):
        case.farm.peer.answer = answers(pieces, status=status)
        reply = await case.compute(case.paid(case.mint.credit(10)))
        expect(reply.status == status and reply.complete, expected=f"status {status}", observed=str(reply))
        same = reply.content == b"".join(pieces)
        expect(same, expected=f"{sum(map(len, pieces))} bytes, unchanged", observed=f"{len(reply.content)}, or others")
        media_type = field_value(reply.fields, b"content-type")
        expect(media_type == RESPONSE, expected=RESPONSE.decode(), observed=str(media_type))


@check(
    id="router.responses.streaming",
    requirements=["RTR-049"],
    title="Response data are passed on while the response goes on",
)
async def streaming(case: RouterCase) -> None:
    """The node sends a piece and waits until the client has it before it sends the next, down to one byte at a time. No
    response that is collected first can come through."""
    seen = anyio.Event()

    async def answer(received: Received, responder: Responder) -> None:
        nonlocal seen
        await received.end()
        await responder.send_head(200, response_head())
        for piece in pieces:
            await responder.send(piece)
            await seen.wait()
            seen = anyio.Event()
        await responder.finish()

    pieces = [b"a" * 532, b"b", b"c" * 5000]
    case.farm.peer.answer = answer
    length = (b"content-length", b"0")
    async with case.posting((length, *case.paid(case.mint.credit(10)))) as posted:
        await posted.connection.finish()
        response = await posted.connection.response()
        body, got = response.body(), b""
        for number in range(len(pieces)):
            while len(got) < sum(map(len, pieces[: number + 1])):
                got += (await anext(body)).data
            seen.set()
        reply = await read_on(response, [got])
    same = reply.complete and reply.content == b"".join(pieces)
    expect(same, expected="all pieces and a clean end", observed=str(reply))


async def _begins_at_the_end(posted: Posted, rest: anyio.Event) -> bool:
    """Send the rest of a request; say whether its response begins then, and ends when the node ends it."""
    try:
        await posted.connection.send(b"two")
        await posted.connection.finish()
        response = await posted.connection.response()
        first = (await anext(response.body())).data
        rest.set()
        reply = await read_on(response, [first])
    except Http1Error:
        return False
    return reply.complete and reply.content == b"earlylate"


@check(
    id="router.responses.both-ways",
    requirements=["RTR-097"],
    title="A response can begin before the request has ended",
)
async def both_ways(case: RouterCase) -> None:
    """The node answers the first piece of a chunked request while the client still sends; then the client ends its
    request and gets the rest."""
    rest = anyio.Event()

    async def answer(received: Received, responder: Responder) -> None:
        await received.content(3)
        await responder.send_head(200, response_head())
        await responder.send(b"early")
        await received.end()
        await rest.wait()
        await responder.send(b"late")
        await responder.finish()

    case.farm.peer.answer = answer
    chunked = (b"transfer-encoding", b"chunked")
    async with case.posting((chunked, *case.paid(case.mint.credit(10)))) as posted:
        await posted.connection.send(b"one")
        try:
            response = await posted.connection.response()
        except Http1Error as error:
            held_back = error.failure is Failure.TIMEOUT and await _begins_at_the_end(posted, rest)
            rest.set()
            deployed = "RTR-D24" if held_back else None
            raise Violation("the response while the request goes on", str(error), deployed=deployed) from error
        body = response.body()
        first = (await anext(body)).data
        await posted.connection.send(b"two")
        await posted.connection.finish()
        rest.set()
        reply = await read_on(response, [first])
    expect(reply.complete and reply.content == b"earlylate", expected="both pieces", observed=str(reply))


@check(
    id="router.responses.truncated-chunks",
    requirements=["RTR-074"],
    title="A chunked response that breaks off breaks off for the client",
)
async def truncated_chunks(case: RouterCase) -> None:
    """The node resets its connection, or closes it in good order, before the last chunk."""
    for how in ("reset", "closed"):

        async def answer(received: Received, responder: Responder, how: str = how) -> None:
            await received.end()
            if how == "reset":
                await responder.send_head(200, response_head())
                await responder.send(b"some")
                await responder.abort()
            else:
                head = b"HTTP/1.1 200 OK\r\ncontent-type: " + RESPONSE + b"\r\ntransfer-encoding: chunked\r\n\r\n"
                await responder.send_raw(head + b"4\r\nsome\r\n")

        case.farm.peer.answer = answer
        await expect_broken_off(case, f"a response whose connection was {how}")


@check(
    id="router.responses.truncated-length",
    requirements=["RTR-074"],
    title="A response shorter than its length breaks off for the client",
)
async def truncated_length(case: RouterCase) -> None:
    """The node announces 1000 bytes, sends 10 and closes."""

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: " + RESPONSE + b"\r\ncontent-length: 1000\r\n\r\n"
        await responder.send_raw(head + bytes(10))

    case.farm.peer.answer = answer
    await expect_broken_off(case, "a response shorter than its length")


async def expect_broken_off(case: RouterCase, what: str) -> None:
    """Require that the client sees the response break off, or a failure instead of it, and no refund."""
    try:
        reply = await case.compute(case.paid(case.mint.credit(10)))
    except Http1Error as error:
        closed = error.failure in (Failure.CLOSED, Failure.RESET)
        expect(closed, expected=f"a connection that ends for {what}", observed=str(error))
        return
    waits = reply.failure is Failure.TIMEOUT
    expect(not waits, expected=f"a response that breaks off for {what}", observed=f"{reply}, on an open connection")
    whole = reply.complete and reply.status < 500
    expect(not whole, expected=f"a response that breaks off for {what}", observed=f"{reply} and a clean end")
    refund = field_values((*reply.fields, *reply.trailers), b"x-refund")
    expect(not refund, expected=f"no refund for {what}", observed="a refund")
