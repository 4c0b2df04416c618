"""What a router offers: a sign of life, two messages, and one path for compute requests."""

from __future__ import annotations

from conformance.peers.router_case import MESSAGE, Reply, RouterCase, credit_fields
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.credits import ATTESTATION
from openpcc_ref.http1 import exchange, field_value
from openpcc_ref.protobuf import parse
from openpcc_ref.protobuf.error_pb2 import Error
from openpcc_ref.routing import ManifestRequest, RoutingRejected, encode_manifest_request

QUERY = encode_manifest_request(ManifestRequest(frozenset(), 10))


@check(id="router.interface.ping", requirements=["RTR-001"], title="GET /ping is answered with pong")
async def ping(case: RouterCase) -> None:
    """Clients ask for this sign of life at their start."""
    response, answer = await exchange(case.url, b"GET", b"/ping", tap=case.taps.of("gateway"), step_s=case.step_s)
    seen = f"status {response.status} with {answer[:20]!r}"
    expect(response.status == 200 and answer == b"pong", expected="status 200 and the body pong", observed=seen)


@check(
    id="router.interface.paths",
    requirements=["RTR-002"],
    title="Compute requests on another path than / are refused and not paid for",
)
async def paths(case: RouterCase) -> None:
    """Good requests on paths that are not exactly the root: nothing may reach a node and no credit may be touched."""
    await case.control()
    for target in (b"/x", b"//", b"/.", b"/..", b"/compute", b"/index.html", b"/ping", b"/_health", b"/%2f"):
        credit = case.mint.credit(10)
        reply = await case.compute(case.paid(credit), target=target)
        what = f"POST {target.decode()}"
        if expect(
            reply.status >= 300,
            expected=f"a refusal of {what}",
            observed=str(reply),
            deployed="RTR-D23" if target == b"/%2f" and reply.status == 200 else None,
        ):
            await case.nothing_forwarded(what)
            case.untouched(credit, what)


@check(
    id="router.interface.methods",
    requirements=["RTR-002"],
    title="Other methods than POST on / are refused and not paid for",
)
async def methods(case: RouterCase) -> None:
    """Requests that are good but for their method: nothing may reach a node and no credit may be touched."""
    await case.control()
    for method in (b"GET", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"post", b"XPOST"):
        credit = case.mint.credit(10)
        reply = await case.compute(case.paid(credit), method=method)
        what = f"{method.decode()} /"
        expect(reply.status >= 300, expected=f"a refusal of {what}", observed=str(reply))
        await case.nothing_forwarded(what)
        case.untouched(credit, what)


@check(
    id="router.interface.error-messages",
    requirements=["RTR-005"],
    title="Refusals of messages are messages themselves",
)
async def error_messages(case: RouterCase) -> None:
    """A malformed event, a query without a token and a malformed query: each is refused with an `Error`."""
    expect_error_message(await case.event(b"\xff"), "a malformed event")
    expect_error_message(await case.post(b"/compute-manifests", QUERY), "a query without a token")
    expect_error_message(await case.query(b"\xff"), "a malformed query")


@check(
    id="router.interface.event-content-type",
    requirements=["RTR-006"],
    title="Events of another content type are refused",
)
async def event_content_type(case: RouterCase) -> None:
    """A good heartbeat under other names, with a parameter, and under none. It counts for nothing."""
    node = case.new_node()
    for media_type in (b"application/protobuf", b"application/octet-stream; v=1", b"text/plain", None):
        reply = await case.post(b"/node-events", node.heartbeat(), media_type=media_type)
        what = f"an event as {media_type.decode() if media_type else 'nothing'}"
        expect(reply.status == 400, expected=f"status 400 for {what}", observed=str(reply))
    await case.never_let_in(node, "a heartbeat of another content type")


@check(
    id="router.interface.query-content-type",
    requirements=["RTR-006"],
    title="Queries of another content type are refused",
)
async def query_content_type(case: RouterCase) -> None:
    """A good query under other names, with a parameter, and under none, each with a token of its own."""
    for media_type in (b"application/protobuf", b"application/octet-stream; v=1", b"text/plain", None):
        paid = credit_fields(case.mint.credit(ATTESTATION))
        reply = await case.post(b"/compute-manifests", QUERY, paid, media_type=media_type)
        what = f"a query as {media_type.decode() if media_type else 'nothing'}"
        expect(reply.status == 400, expected=f"status 400 for {what}", observed=str(reply))


@check(
    id="router.interface.events-elsewhere",
    requirements=["RTR-004"],
    title="Nothing that clients can reach takes events",
)
async def events_elsewhere(case: RouterCase) -> None:
    """Gateways let clients through to `/`, `/compute-manifests` and `/ping`, whatever the query is. A heartbeat that
    comes there, paid or not, must not bring a node in."""
    node = case.new_node()
    event = node.heartbeat()
    for target in (b"/", b"/compute-manifests", b"/compute-manifests?/node-events", b"/?path=/node-events"):
        value = ATTESTATION if target.startswith(b"/compute") else 10
        for paid in ((), case.paid(case.mint.credit(value))):
            await case.post(target, event, (*paid, (b"x-original-url", b"/node-events")))
    await exchange(
        case.url,
        b"GET",
        b"/ping",
        ((b"content-type", MESSAGE),),
        event,
        tap=case.taps.of("gateway"),
        step_s=case.step_s,
    )
    await case.never_let_in(node, "events on the paths of clients")


def expect_error_message(reply: Reply, what: str) -> None:
    """Require a refusal whose content is a serialized ``Error``."""
    expect(400 <= reply.status <= 599, expected=f"a refusal of {what}", observed=str(reply))
    media_type = field_value(reply.fields, b"content-type") or b"nothing"
    expect(media_type == MESSAGE, expected=f"{MESSAGE.decode()} for {what}", observed=media_type.decode("latin-1"))
    try:
        message = parse(Error, reply.content, RoutingRejected, "error")
    except RoutingRejected:
        message = Error()
    expect(bool(message.Message), expected=f"an Error with a text for {what}", observed=f"{reply.content[:40]!r}")
