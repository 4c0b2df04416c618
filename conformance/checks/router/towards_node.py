"""What a node gets to see of a compute request, and where it goes."""

from __future__ import annotations

from conformance.peers.router_case import RouterCase, credit_fields
from conformance.peers.router_nodes import target_of
from conformance.peers.scripted import Received
from conformance.registry import check
from conformance.verdicts import Violation, expect
from openpcc_ref.base64_text import to_text
from openpcc_ref.credits import currency
from openpcc_ref.credits.currency import MAX_AMOUNT
from openpcc_ref.http1 import Fields, field_values

MEDIA_TYPES = (b"application/confsec-req", b"application/confsec-chunked-req")

_FORWARDING = (
    b"forwarded",
    b"via",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-proto",
    b"x-forwarded-server",
    b"x-real-ip",
    b"true-client-ip",
    b"x-client-ip",
    b"x-request-id",
    b"x-correlation-id",
    b"traceparent",
    b"tracestate",
    b"baggage",
    b"x-forwarded",
    b"x-forwarded-by",
    b"x-forwarded-client-cert",
    b"x-original-forwarded-for",
    b"x-remote-addr",
    b"x-session-id",
    b"x-trace-id",
    b"x-amzn-trace-id",
    b"x-b3-traceid",
    b"b3",
    b"cf-connecting-ip",
    b"cookie",
)


@check(
    id="router.towards-node.payment-stays",
    requirements=["RTR-041"],
    title="Neither credit nor routing info reaches the node",
)
async def payment_stays(case: RouterCase) -> None:
    """A node that knew the nonce could tie the request to a withdrawal; one that knew the candidates, to a client.
    Neither the fields nor their values may come, under any name."""
    paid = case.paid(case.mint.credit(10))
    received = await _forwarded(case, paid)
    for name, value in paid:
        expect(
            not field_values(received.fields, name), expected=f"no {name.decode()} at the node", observed="it is there"
        )
        arrived = any(value in bytes(data) for data in case.taps.inputs.get("node", {}).values())
        expect(not arrived, expected=f"no value of {name.decode()} at the node", observed="it came in another field")


@check(
    id="router.towards-node.payment-in-trailers",
    requirements=["RTR-041", "RTR-042", "RTR-043"],
    title="Payment fields do not reach the node as trailers either",
)
async def payment_in_trailers(case: RouterCase) -> None:
    """A chunked request is paid for in its head and says all of it once more in its trailer, with a key and an amount
    of the client's own. The router may refuse; if it forwards, none of these trailers may come along."""
    paid = case.paid(case.mint.credit(10))
    trailers = (*paid, (b"x-encapsulated-key", b"Zm9yZ2Vk"), (b"x-credit-amount", b"99999999999"))
    announced = (b"trailer", b", ".join(name for name, _ in trailers))
    async with case.posting((announced, (b"transfer-encoding", b"chunked"), *paid)) as posted:
        await posted.connection.send(b"sealed request")
        await posted.connection.finish(trailers)
        await posted.reply()
    await case.farm.peer.catch_up()
    for received in case.farm.peer.requests:
        await received.end()
        came = [name.decode() for name, _ in trailers if field_values(received.trailers, name)]
        expect(not came, expected="no payment fields in trailers at the node", observed=", ".join(came))


@check(
    id="router.towards-node.encapsulated-key",
    requirements=["RTR-042"],
    title="The node gets its own encapsulated key, whatever the client sent",
)
async def encapsulated_key(case: RouterCase) -> None:
    """Two candidates have keys of their own, and the client sends the field itself, too. The node must get one line
    with the key that belongs to it."""
    for _ in range(6):
        case.forget()
        candidates = {node.label: case.candidate(node) for node in case.nodes[:2]}
        forged = ((b"x-encapsulated-key", b"Zm9yZ2Vk"), (b"X-ENCAPSULATED-KEY", b"Zm9yZ2VkIHRvbw=="))
        received = await _forwarded(case, (*case.paid(case.mint.credit(10), *candidates.values()), *forged))
        node = next(node for node in case.nodes if received in case.farm.asked(node))
        wanted = (to_text(candidates[node.label].encapsulated_key).encode(),)
        _expect_field(received, b"x-encapsulated-key", wanted, "the chosen candidate's key")


@check(
    id="router.towards-node.credit-amount",
    requirements=["RTR-043", "PAY-005"],
    title="The node learns the credit's amount in decimal digits, whatever the client sent",
)
async def credit_amount(case: RouterCase) -> None:
    """Amounts from 1 to the largest, with a larger one that the client claims in the field."""
    for amount in (1, 16, 1000, 1 << 20, MAX_AMOUNT):
        case.forget()
        value = currency.round_up(amount)
        claimed: Fields = ((b"x-credit-amount", b"99999999999"),)
        received = await _forwarded(case, (*case.paid(case.mint.credit(value)), *claimed))
        _expect_field(received, b"x-credit-amount", (str(value.amount).encode(),), "the credit's amount")


@check(
    id="router.towards-node.content",
    requirements=["RTR-044"],
    title="Content and its type reach the node unchanged",
)
async def content(case: RouterCase) -> None:
    """Both media types, with known and with unknown length, and content of every byte. No content coding is added."""
    sealed = bytes(range(256)) * 16
    for media_type in MEDIA_TYPES:
        case.forget()
        await case.compute(case.paid(case.mint.credit(10)), sealed, media_type=media_type)
        await _expect_content(case, sealed, media_type)
        case.forget()
        chunked: Fields = ((b"transfer-encoding", b"chunked"), *case.paid(case.mint.credit(10)))
        async with case.posting(chunked, media_type=media_type) as posted:
            for start in range(0, len(sealed), 532):
                await posted.connection.send(sealed[start : start + 532])
            await posted.connection.finish()
            await posted.reply()
        await _expect_content(case, sealed, media_type)


@check(
    id="router.towards-node.large-content",
    requirements=["RTR-044"],
    title="Large content reaches the node",
)
async def large_content(case: RouterCase) -> None:
    """A request of 8 MiB, which is a prompt with pictures, arrives byte for byte."""
    sealed = case.random.randbytes(1 << 20) * 8
    reply = await case.compute(case.paid(case.mint.credit(10)), sealed)
    expect(reply.status == 200, expected="status 200 for 8 MiB", observed=str(reply))
    await _expect_content(case, sealed, MEDIA_TYPES[0])


@check(
    id="router.towards-node.truncated-request",
    requirements=["RTR-044"],
    title="A request that breaks off does not become a whole one",
)
async def truncated_request(case: RouterCase) -> None:
    """The client resets its connection within the content. What the node gets must not end as if it were whole."""
    for framing in ((b"transfer-encoding", b"chunked"), (b"content-length", b"2000")):
        case.forget()
        async with case.posting((framing, *case.paid(case.mint.credit(10)))) as posted:
            await posted.connection.send(bytes(1000))
            received = await _arrives_or_not(case)
            await posted.connection.abort()
        if received is not None:
            await received.end()
        else:  # what the router has of it may still come, as it gives up waiting for the rest
            await case.served(case.mint.credit(1))
            await case.farm.peer.catch_up()
        whole = [arrived for arrived in case.farm.peer.requests if arrived.complete and arrived.body == bytes(1000)]
        seen = "a whole request of the first 1000 bytes at the node"
        expect(not whole, expected="a request that breaks off, as it came, or none", observed=seen)


@check(
    id="router.towards-node.forwarding-fields",
    requirements=["RTR-045", "PRIV-005", "PRIV-015", "OHT-077"],
    title="No field says where a request came from",
)
async def forwarding_fields(case: RouterCase) -> None:
    """A minimal request reaches the node without fields that say who asked or by which way it came, without a
    `User-Agent` that nobody sent, and without the address that the connection came from."""
    received = await _forwarded(case, case.paid(case.mint.credit(10)))
    added = [name.decode() for name in (*_FORWARDING, b"user-agent") if field_values(received.fields, name)]
    expect(not added, expected="no field that says where it came from", observed=", ".join(added))
    address = case.own_address.encode()
    telling = [name.decode() for name, value in received.fields if name != b"host" and address in value]
    expect(not telling, expected="no address of the sender", observed=f"it is in {', '.join(telling)}")


@check(
    id="router.towards-node.same-view",
    requirements=["RTR-045", "PRIV-015"],
    title="Equal requests of different clients look the same",
)
async def same_view(case: RouterCase) -> None:
    """Three clients send the same request to the same node with credits of the same value, over connections of their
    own. Apart from `Date`, the node must see the same fields each time: a value that differs is an identifier."""
    candidate = case.candidate(case.nodes[0])
    views: list[dict[bytes, tuple[bytes, ...]]] = []
    for _ in range(3):
        case.forget()
        received = await _forwarded(case, case.paid(case.mint.credit(10), candidate))
        names = {name for name, _ in received.fields} - {b"date"}
        views.append({name: field_values(received.fields, name) for name in names})
    every = sorted(set().union(*views))
    differing = [name.decode("latin-1") for name in every if len({view.get(name) for view in views}) > 1]
    expect(not differing, expected="the same fields each time", observed=f"different {', '.join(differing)}")


@check(
    id="router.towards-node.connection-fields",
    requirements=["PRIV-005"],
    title="Fields of the connection stay behind",
)
async def connection_fields(case: RouterCase) -> None:
    """Fields that belong to the connection with the gateway, and one that `Connection` names, do not reach the node."""
    own: Fields = (
        (b"connection", b"x-hop"),
        (b"x-hop", b"1"),
        (b"keep-alive", b"timeout=5"),
        (b"proxy-authorization", b"Basic Zzpn"),
        (b"proxy-connection", b"keep-alive"),
    )
    received = await _forwarded(case, (*case.paid(case.mint.credit(10)), *own))
    came = [name.decode() for name, value in own[1:] if value in field_values(received.fields, name)]
    expect(not came, expected="no field of the other connection", observed=", ".join(came))


@check(
    id="router.towards-node.url",
    requirements=["RTR-046"],
    title="Requests go to the URL that the node registered, whatever the client's query is",
)
async def url(case: RouterCase) -> None:
    """Nodes have a path and a query in their URL. Requests with and without a query of their own must be posted to
    exactly that target."""
    for target in (b"/", b"/?of=another", b"/?/compute/else"):
        case.forget()
        reply = await case.compute(case.paid(case.mint.credit(10), case.nodes[0]), target=target)
        expect(reply.status == 200, expected=f"status 200 for POST {target.decode()}", observed=str(reply))
        received = await case.farm.peer.arrival()
        wanted = f"POST {target_of(case.nodes[0].label)}"
        seen = f"{received.method.decode('latin-1')} {received.target.decode('latin-1')}"
        expect(seen == wanted, expected=wanted, observed=seen)


@check(
    id="router.towards-node.doubled-fields",
    requirements=["RTR-041", "RTR-038"],
    title="Payment fields that come twice neither reach the node nor pay twice",
)
async def doubled_fields(case: RouterCase) -> None:
    """A second `X-Credit` and a second `X-Routing-Info`. The router may refuse; if it forwards, none of the four lines
    may come along, and one credit at most may be spent."""
    one, two = case.mint.credit(10), case.mint.credit(10)
    await case.compute((*case.paid(one), *credit_fields(two), *case.paid(two)[1:]))
    await case.farm.peer.catch_up()
    for received in case.farm.peer.requests:
        for name in (b"x-credit", b"x-routing-info"):
            lines = len(field_values(received.fields, name))
            expect(lines == 0, expected=f"no {name.decode()} at the node", observed=f"{lines} lines of it")
    spent = [await case.settled(credit) for credit in (one, two)].count("consumed")
    expect(spent <= 1, expected="one credit to be spent at most", observed="both are")


async def _forwarded(case: RouterCase, fields: Fields) -> Received:
    """Send an honest request with these fields and return what a node got."""
    reply = await case.compute(fields)
    expect(reply.status == 200, expected="status 200", observed=str(reply))
    received = await case.farm.peer.arrival()
    await received.end()
    return received


async def _arrives_or_not(case: RouterCase) -> Received | None:
    """Return the request at the node; None where the router waits for the whole of it."""
    try:
        return await case.farm.peer.arrival()
    except Violation:
        return None


async def _expect_content(case: RouterCase, sealed: bytes, media_type: bytes) -> None:
    received = await case.farm.peer.arrival()
    await received.end()
    same = received.complete and received.body == sealed
    expect(same, expected=f"{len(sealed)} bytes, unchanged", observed=f"{len(received.body)} bytes, or others")
    _expect_field(received, b"content-type", (media_type,), "the client's content-type")
    _expect_field(received, b"content-encoding", (), "no content coding")


def _expect_field(received: Received, name: bytes, wanted: tuple[bytes, ...], what: str) -> None:
    values = field_values(received.fields, name)
    seen = ", ".join(value.decode("latin-1")[:60] for value in values) or "nothing"
    expect(values == wanted, expected=f"{what} in {name.decode()}, once", observed=seen)
