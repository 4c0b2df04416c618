"""A relay serves one gateway resource; no request and no response leads it anywhere else."""

from __future__ import annotations

from urllib.parse import urlsplit

from conformance.peers.relay import RelayCase, answers
from conformance.registry import check
from conformance.verdicts import Violation, expect


@check(
    id="relay.resource.target",
    requirements=["OHT-052"],
    title="Path and query of the client do not change the resource",
)
async def target(case: RelayCase) -> None:
    """Requests name other paths, queries and path tricks. Each is refused with a 4xx (or sent back with a redirect to
    the path as the relay would have it), or arrives at the one gateway resource with nothing of the client's target."""
    here = case.target.rstrip(b"/")
    elsewhere = urlsplit(case.elsewhere.url).netloc.encode()
    for asked in (
        here + b"/other",
        here + b"/?url=http://" + elsewhere + b"/",
        here + b"/http://" + elsewhere + b"/",
        b"//" + elsewhere + b"/",
        here + b"/../../admin",
        here + b"/%2e%2e/@" + elsewhere,
        here + b"/;x=1",
    ):
        before = len(case.gateway.requests)
        response, _ = await case.post(case.request(), target=asked)
        name = asked.decode()
        if len(case.gateway.requests) == before:
            expect(
                300 <= response.status <= 499,
                expected=f"a refusal of the target {name}, or the request at the gateway",
                observed=f"status {response.status} and nothing at the gateway",
            )
        _expect_only_the_resource(case, f"the target {name}")


@check(
    id="relay.resource.absolute-target",
    requirements=["OHT-052"],
    title="An absolute target does not make it a proxy",
)
async def absolute_target(case: RelayCase) -> None:
    """The request names another origin in its target, as requests to proxies do. Nothing may arrive there."""
    await case.post(case.request(), target=case.elsewhere.url.encode() + b"/")
    _expect_only_the_resource(case, "an absolute target")


@check(
    id="relay.resource.host",
    requirements=["OHT-052"],
    title="The Host field does not choose where it connects",
)
async def host(case: RelayCase) -> None:
    """The request's Host field names another server. Nothing may arrive there."""
    await case.post(case.request(), fields=((b"host", urlsplit(case.elsewhere.url).netloc.encode()),))
    _expect_only_the_resource(case, "a foreign Host field")


@check(
    id="relay.resource.rerouting-fields",
    requirements=["OHT-052"],
    title="Fields that reroute requests are ignored",
)
async def rerouting_fields(case: RelayCase) -> None:
    """Fields by which intermediaries and frameworks let a request name its own target point to another server and
    another path. Nothing may arrive there, nor at another path of the gateway."""
    authority = urlsplit(case.elsewhere.url).netloc.encode()
    url = case.elsewhere.url.encode() + b"/"
    fields = (
        (b"x-forwarded-host", authority),
        (b"x-host", authority),
        (b"forwarded", b'host="' + authority + b'"'),
        (b"x-original-url", b"/other"),
        (b"x-rewrite-url", b"/other"),
        (b"x-target-url", url),
        (b"x-gateway-url", url),
        (b"destination", url),
        (b"x-http-method-override", b"DELETE"),
    )
    await case.post(case.request(), fields=fields)
    _expect_only_the_resource(case, "rerouting fields")


@check(
    id="relay.resource.redirect",
    requirements=["OHT-052"],
    title="A redirect by the gateway is not followed",
)
async def redirect(case: RelayCase) -> None:
    """The gateway redirects to another server, to another path of its own, and to itself. Nobody may be asked again; to
    the client the exchange failed."""
    asked = 0
    for location in (case.elsewhere.url.encode() + b"/", b"/other", case.resource):
        for status in (301, 302, 307, 308):
            case.gateway.answer = answers(status, ((b"location", location), (b"content-length", b"0")), b"")
            response, _ = await case.post(case.request())
            asked += 1
            what = f"a redirect with {status} to {location.decode()}"
            _expect_only_the_resource(case, what)
            seen = len(case.gateway.requests)
            expect(seen == asked, expected=f"one request for {what}", observed=f"{1 + seen - asked} at the gateway")
            expect(
                response.status >= 300,
                expected=f"the redirect with {status} or a failure",
                observed=f"status {response.status}",
            )


@check(
    id="relay.resource.connect",
    requirements=["OHT-052"],
    title="CONNECT opens no tunnel",
)
async def connect(case: RelayCase) -> None:
    """The client asks for a tunnel to another server and, whatever is answered, speaks into it. Nothing may arrive
    there."""
    authority = urlsplit(case.elsewhere.url).netloc.encode()
    async with case.raw_client() as client:
        await client.send(b"CONNECT " + authority + b" HTTP/1.1\r\nhost: " + authority + b"\r\n\r\n")
        answer = await client.status()
        if answer is not None and 200 <= answer <= 299:
            await client.send(b"GET /tunnelled HTTP/1.1\r\nhost: " + authority + b"\r\n\r\n")
            await client.answer()
            raise Violation("CONNECT to be refused", f"status {answer}")
    _expect_nothing_elsewhere(case, "CONNECT")


def _expect_nothing_elsewhere(case: RelayCase, what: str) -> None:
    strayed = b"".join(case.arrived("elsewhere"))
    expect(
        not strayed,
        expected=f"nothing at another server after {what}",
        observed=f"{len(strayed)} bytes there: {strayed[:60]!r}",
    )


def _expect_only_the_resource(case: RelayCase, what: str) -> None:
    """Require that nobody but the gateway resource was asked."""
    _expect_nothing_elsewhere(case, what)
    for received in case.gateway.requests:
        expect(
            received.target == case.resource,
            expected=f"the gateway resource {case.resource.decode()} after {what}",
            observed=f"the target {received.target.decode('latin-1')}",
        )
        expect(received.method == b"POST", expected=f"a POST after {what}", observed=f"{received.method.decode()}")
