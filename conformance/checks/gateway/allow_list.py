"""What a gateway forwards, and to whom: two hosts and a handful of paths."""

from __future__ import annotations

from collections.abc import Iterable

from conformance.peers.envelope import raw_request
from conformance.peers.gateway import ALLOWED, BANK, BANK_PATHS, ROUTER, GatewayWorld, inner
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.oblivious_http import Form

_CANARY = b"what only the named service may see"


async def _not_forwarded(world: GatewayWorld, plaintext: bytes, what: str, *, least: int = 400) -> None:
    """Send a message that has to be refused, by whatever means; the status is at least ``least``."""
    status, seen = await world.status_of(plaintext, Form.UNCHUNKED)
    await world.nothing_forwarded(what)
    expect(least <= status <= 499, expected=f"a refusal of {what}", observed=seen)


async def _refused_inside(world: GatewayWorld, requests: Iterable[tuple[bytes, bytes, bytes]]) -> None:
    """Send requests that are not allowed; each must get an inner 404 or 405."""
    await world.control(Form.UNCHUNKED)
    for method, host, path in requests:
        what = f"{method.decode()} {path.decode('latin-1')} at {host.decode()}"
        reply = await world.deliver(raw_request(method, host, path, b"content"), Form.UNCHUNKED)
        await world.nothing_forwarded(what)
        expect(
            reply.response.head.status in (404, 405),
            expected=f"inner status 404 or 405 for {what}",
            observed=str(reply),
        )


@check(
    id="gateway.allow-list.allowed",
    requirements=["OHT-067", "OHT-066"],
    title="Every allowed request reaches the service it names",
)
async def allowed(world: GatewayWorld) -> None:
    """All pairs of method and path go to bank or router, with target and content unchanged."""
    for method, host, path in ALLOWED:
        world.bank.reset()
        world.router.reset()
        content = _CANARY if method == b"POST" else b""
        reply = await world.ask(inner(method, host, path, content), Form.UNCHUNKED)
        right, wrong = (world.bank, world.router) if host == BANK else (world.router, world.bank)
        what = f"{method.decode()} {path.decode()}"
        expect(not wrong.requests, expected=f"{what} at the {host.decode()}", observed="a request at the other service")
        received = await right.arrival()
        seen = (received.method, received.target, received.body)
        expect(seen == (method, path, content), expected=f"{what} as it was sent", observed=f"{seen[:2]}")
        expect(reply.response.head.status == 200, expected=f"the answer to {what}", observed=str(reply))


@check(
    id="gateway.allow-list.foreign-host",
    requirements=["OHT-065"],
    title="A request to any other host is not forwarded",
)
async def foreign_host(world: GatewayWorld) -> None:
    """Names that end in, begin with or resemble the two, loopback, and the addresses of bank and router themselves."""
    await world.control(Form.UNCHUNKED)
    own = [peer.url.removeprefix("http://").encode() for peer in (world.bank, world.router)]
    for host in (b"example.com", b"x." + ROUTER, ROUTER + b".example.com", b"confsec-router", b"localhost", *own):
        await _not_forwarded(world, raw_request(b"GET", host, b"/ping"), f"the host {host.decode()}")


@check(
    id="gateway.allow-list.host-with-port",
    requirements=["OHT-065"],
    title="An allowed host with a port is not forwarded",
)
async def host_with_port(world: GatewayWorld) -> None:
    """Port 80, which is the default, and an empty port are ports too."""
    await world.control(Form.UNCHUNKED)
    for port in (b":80", b":443", b":"):
        await _not_forwarded(world, raw_request(b"GET", ROUTER + port, b"/ping"), f"port {port.decode()!r}")


@check(
    id="gateway.allow-list.host-spelling",
    requirements=["OHT-065"],
    title="An allowed host in another spelling is not forwarded",
)
async def host_spelling(world: GatewayWorld) -> None:
    """Upper case, a trailing dot, userinfo, percent-encoding, blanks at either end, and a zero byte, at which some
    languages see the end of a text."""
    await world.control(Form.UNCHUNKED)
    spellings = (ROUTER.upper(), ROUTER + b".", b"user@" + ROUTER, b"confsec%2drouter.invalid", b" " + ROUTER)
    for host in (*spellings, ROUTER + b" ", ROUTER + b"\0", ROUTER + b"\0.example.com"):
        await _not_forwarded(world, raw_request(b"GET", host, b"/ping"), f"the host {host.decode()!r}")


@check(
    id="gateway.allow-list.no-host",
    requirements=["OHT-065"],
    title="A request without a host is not forwarded",
)
async def no_host(world: GatewayWorld) -> None:
    """The authority is empty and there is no host field."""
    await world.control(Form.UNCHUNKED)
    await _not_forwarded(world, raw_request(b"GET", b"", b"/ping"), "an empty authority")


@check(
    id="gateway.allow-list.other-host-field",
    requirements=["OHT-065", "MSG-023"],
    title="A host field that contradicts the authority is not forwarded",
)
async def other_host_field(world: GatewayWorld) -> None:
    """Whichever of the two is looked at, the other is something else; two host fields contradict each other."""
    await world.control(Form.UNCHUNKED)
    for authority, hosts in (
        (ROUTER, [b"example.com"]),
        (b"example.com", [ROUTER]),
        (ROUTER, [BANK]),
        (b"", [ROUTER, b"example.com"]),
    ):
        fields = tuple((b"host", host) for host in hosts)
        what = f"authority {authority.decode()!r} with host {', '.join(host.decode() for host in hosts)}"
        await _not_forwarded(world, raw_request(b"GET", authority, b"/ping", b"", fields), what)


@check(
    id="gateway.allow-list.path",
    requirements=["OHT-066", "RTR-003", "RTR-004"],
    title="Any other path is an inner 404 or 405",
)
async def path(world: GatewayWorld) -> None:
    """Endpoints of router and bank that clients have no business with, and neighbours of allowed paths."""
    router = (b"/node-events", b"/_health", b"/metrics", b"/ping/", b"/PING", b"/compute-manifests/x", b"/x")
    bank = (b"/", b"/_health", b"/deposits", b"/withdraw/full", b"/BALANCE", b"/balance/")
    await _refused_inside(
        world, [*((b"POST", ROUTER, path) for path in router), *((b"POST", BANK, path) for path in bank)]
    )


@check(
    id="gateway.allow-list.method",
    requirements=["OHT-066"],
    title="An allowed path with another method is an inner 404 or 405",
)
async def method(world: GatewayWorld) -> None:
    """Methods are compared with case; what writes may not be read and the reverse."""
    bank = [(method, BANK, path) for path in BANK_PATHS for method in (b"GET", b"PUT")]
    router = [(b"POST", b"/ping"), (b"GET", b"/"), (b"GET", b"/compute-manifests"), (b"DELETE", b"/")]
    extra = [(b"post", ROUTER, b"/"), (b"OPTIONS", ROUTER, b"/ping"), (b"TRACE", ROUTER, b"/ping")]
    await _refused_inside(world, [*bank, *((method, ROUTER, path) for method, path in router), *extra])


@check(
    id="gateway.allow-list.other-service",
    requirements=["OHT-066", "OHT-067"],
    title="A path of one service at the other is an inner 404 or 405",
)
async def other_service(world: GatewayWorld) -> None:
    """Paths of the bank at the router and the reverse."""
    at_router = [(b"POST", ROUTER, path) for path in BANK_PATHS]
    await _refused_inside(world, [*at_router, (b"GET", BANK, b"/ping"), (b"POST", BANK, b"/compute-manifests")])


async def _never_reached(world: GatewayWorld, targets: Iterable[tuple[bytes, bytes]]) -> None:
    """Send targets that no reading makes an allowed one; to redirect to the path as it should be is to refuse."""
    await world.control(Form.UNCHUNKED)
    for method, target in targets:
        what = f"the target {target.decode('latin-1')!r}"
        await _not_forwarded(world, raw_request(method, ROUTER, target, b"content"), what, least=300)


@check(
    id="gateway.allow-list.dot-segments",
    requirements=["OHT-066"],
    title="Dot segments lead nowhere",
)
async def dot_segments(world: GatewayWorld) -> None:
    """Read with and without removing dot segments, each of these is a path that is not allowed."""
    paths = (b"/compute-manifests/../node-events", b"/./node-events", b"/ping/../../node-events", b"/../node-events")
    await _never_reached(world, [(b"POST", path) for path in paths])


@check(
    id="gateway.allow-list.percent-encoding",
    requirements=["OHT-066"],
    title="Percent-encoding leads nowhere",
)
async def percent_encoding(world: GatewayWorld) -> None:
    """Encoded letters, slashes and dots, once and twice, and bytes that HTTP does not know in a target."""
    paths = (
        b"/%6eode-events",
        b"/compute-manifests%2f..%2fnode-events",
        b"/%2e%2e/node-events",
        b"/compute-manifests%3f/../node-events",
        b"/%252e%252e/node-events",
        b"/compute-manifests%00",
    )
    await _never_reached(world, [(b"POST", path) for path in paths])


@check(
    id="gateway.allow-list.target-form",
    requirements=["OHT-066", "OHT-065"],
    title="Targets in absolute, authority or asterisk form are not forwarded",
)
async def target_form(world: GatewayWorld) -> None:
    """A URL of a forbidden path, a second authority in front of the path, no path, an asterisk, CONNECT."""
    await _never_reached(
        world,
        [
            (b"GET", b"http://" + ROUTER + b"/node-events"),
            (b"GET", b"//example.com/ping"),
            (b"GET", b"ping"),
            (b"GET", b""),
            (b"OPTIONS", b"*"),
            (b"CONNECT", b""),
            (b"CONNECT", b"/"),
        ],
    )


@check(
    id="gateway.allow-list.url-as-path",
    requirements=["OHT-066"],
    title="A URL in place of the path is not forwarded, even where its own path is an allowed one",
)
async def url_as_path(world: GatewayWorld) -> None:
    """Whoever reduces it to a path has two hosts, and the list was asked about one."""
    for url in (b"http://example.com/ping", b"http://" + ROUTER + b"/ping"):
        await world.control(Form.UNCHUNKED)
        status, seen = await world.status_of(raw_request(b"GET", ROUTER, url), Form.UNCHUNKED)
        await world.settled()
        targets = [received.target for received in world.forwarded()]
        expect(
            not targets and 300 <= status <= 499,
            expected=f"a refusal of {url.decode()} as a path, with nothing forwarded",
            observed=f"{seen}; {b', '.join(targets).decode('latin-1') or 'nothing'} behind the gateway",
            deployed="OHT-D16" if targets == [b"/ping"] and not world.bank.requests else None,
        )


@check(
    id="gateway.allow-list.query",
    requirements=["OHT-066"],
    title="A query does not make a path an allowed one",
)
async def query(world: GatewayWorld) -> None:
    """An allowed path in the query or fragment of another."""
    targets = (b"/node-events?/ping", b"/node-events?x=/compute-manifests", b"/node-events#/ping")
    await _never_reached(world, [(b"POST", target) for target in targets])


@check(
    id="gateway.allow-list.line-break",
    requirements=["OHT-066"],
    title="A target or method with line breaks, blanks or zero bytes puts nothing behind the gateway",
)
async def line_break(world: GatewayWorld) -> None:
    """Written to the upstream as they are, these would be a second request or another one; compared up to a zero byte,
    some are allowed."""
    smuggled = b"/compute-manifests HTTP/1.1\r\nhost: x\r\n\r\nPOST /node-events"
    await _never_reached(world, [(b"POST", smuggled), (b"POST", b"/ HTTP/1.1\r\nx: y"), (b"POST /x", b"/")])
    await _never_reached(world, [(b"POST", b"/compute-manifests\0/x"), (b"POST\0", b"/"), (b"GET", b"/ping\0")])
