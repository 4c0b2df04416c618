"""Whatever arrives, a router goes on serving others."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio

from conformance.peers.router_case import RouterCase
from conformance.peers.router_nodes import answers, target_of
from conformance.peers.scripted import Received
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.base64_text import to_text
from openpcc_ref.credits import currency
from openpcc_ref.http1 import Failure, Http1Error, Responder, connect, field_value


@check(
    id="router.robustness.not-http",
    requirements=["RTR-002"],
    title="Connections that do not speak HTTP are refused, and others served",
)
async def not_http(case: RouterCase) -> None:
    """Arbitrary bytes, a request line without end, contradictory lengths, a chunk size that is no number. Nothing
    reaches a node, and an honest request is served after each."""
    head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/confsec-req\r\n"
    for data in (
        case.random.randbytes(500),
        b"GET " + b"/" * 5000,
        head + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        head + b"transfer-encoding: chunked\r\n\r\nxyz\r\n",
        head + b"content-length: -1\r\n\r\n",
    ):
        async with connect(case.url, tap=case.taps.of("gateway"), step_s=case.step_s) as connection:
            await connection.send_raw(data)
            await connection.close_write()
            try:
                response = await connection.response()
                expect(response.status >= 400, expected="a refusal", observed=f"status {response.status}")
            except Http1Error as error:
                closed = error.failure in (Failure.CLOSED, Failure.RESET)
                expect(closed, expected="an answer or a closed connection", observed=str(error))
        await case.nothing_forwarded("what is no HTTP")
        await case.control()


@check(
    id="router.robustness.slow-node",
    requirements=["RTR-049"],
    title="A node that does not answer holds up nobody else",
)
async def slow_node(case: RouterCase) -> None:
    """Eight requests wait for a node that takes its time; requests to another node are served meanwhile."""
    go = anyio.Event()
    slow = case.nodes[0]

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        if received in case.farm.asked(slow):
            await go.wait()
        await answers([b"sealed"])(received, responder)

    case.farm.peer.answer = answer
    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(case.served, case.mint.credit(1), slow)
        try:
            await case.farm.peer.arrival(8)
            for _ in range(4):
                await case.served(case.mint.credit(1), case.nodes[1])
        finally:
            go.set()


@check(
    id="router.robustness.stalled-clients",
    requirements=["RTR-002"],
    title="Clients that stop in the middle hold up nobody else",
)
async def stalled_clients(case: RouterCase) -> None:
    """Thirty connections stop within the head, and twenty within the content, of requests that are paid for."""
    async with AsyncExitStack() as stack:
        for _ in range(30):
            connection = await stack.enter_async_context(connect(case.url, step_s=case.step_s))
            await connection.send_raw(b"POST / HTTP/1.1\r\nhost: x\r\nx-credit: ")
        for _ in range(20):
            chunked = (b"transfer-encoding", b"chunked")
            fields = (chunked, *case.paid(case.mint.credit(1)))
            posted = await stack.enter_async_context(case.posting(fields))
            await posted.connection.send(b"begun")
        for _ in range(5):
            await case.served(case.mint.credit(1))


@check(
    id="router.robustness.side-by-side",
    requirements=["RTR-047", "RTR-042"],
    title="Requests side by side are not mixed up",
)
async def side_by_side(case: RouterCase) -> None:
    """Thirty requests at once, with content, keys and credits of their own, to three nodes that answer with what they
    got. Everybody must get the answer to the own request, from the node that is named, and the node with each content
    the key and the amount that belong to it."""
    mixed: list[str] = []

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        sent = [field_value(received.fields, name) or b"" for name in (b"x-encapsulated-key", b"x-credit-amount")]
        await answers([b" ".join((received.target, *sent, received.body))])(received, responder)

    async def ask(number: int) -> None:
        node, value = case.nodes[number % 3], currency.round_up(number + 1)
        candidate = case.candidate(node)
        content = b"request-%d" % number
        reply = await case.compute(case.paid(case.mint.credit(value), candidate), content)
        named = (field_value(reply.fields, b"x-node-id") or b"").decode("latin-1").lower()
        key, amount = to_text(candidate.encapsulated_key), value.amount
        wanted = (target_of(node.label), key, str(amount), content.decode())
        seen = tuple(reply.content.decode("latin-1").split(" "))
        parts = ("node", "encapsulated key", "amount", "content")
        wrong = [part for part, *pair in zip(parts, wanted, seen, strict=False) if pair[0] != pair[1]]
        if seen != wanted or named != node.id:
            mixed.append(f"another {', '.join(wrong) or 'x-node-id or status'} in {reply}")

    case.farm.peer.answer = answer
    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(ask, number)
    expect(
        not mixed,
        expected="every answer for its own request",
        observed=f"{len(mixed)} of 30 wrong: {'; '.join(mixed[:2])}",
    )


@check(
    id="router.robustness.large-fields",
    requirements=["RTR-031"],
    title="Fields of any size are answered",
)
async def large_fields(case: RouterCase) -> None:
    """Routing info of up to a megabyte: served, refused or cut off, but nothing hangs and others are served."""
    for size in (1 << 14, 1 << 17, 1 << 20):
        fields = (case.paid(case.mint.credit(1))[0], (b"x-routing-info", b"A" * size))
        try:
            reply = await case.compute(fields)
            expect(reply.status >= 400, expected=f"a refusal of {size} bytes", observed=str(reply))
        except Http1Error as error:
            closed = error.failure is not Failure.TIMEOUT
            expect(closed, expected="an answer or a closed connection", observed=str(error))
        await case.nothing_forwarded("large routing info")
        await case.control()
