"""Fields of a client that have no business at the gateway end at the relay."""

from __future__ import annotations

from conformance.peers.relay import RelayCase
from conformance.peers.relay_view import DEPLOYED_PASSES_FIELDS, expect_no_trace, post_marked, traces
from conformance.registry import check


@check(
    id="relay.privacy.forwarding-fields",
    requirements=["OHT-055"],
    title="Forwarded and X-Forwarded fields of the client are dropped",
)
async def forwarding_fields(case: RelayCase) -> None:
    """The client's request comes with what proxies before it have noted about it. None of it may reach the gateway."""
    names = "forwarded x-forwarded-for x-forwarded-host x-forwarded-proto".split()
    expect_no_trace(await post_marked(case, dict.fromkeys(names, b"%b")))


@check(
    id="relay.privacy.address-fields",
    requirements=["OHT-055"],
    title="Other fields that name a client or a proxy are dropped",
)
async def address_fields(case: RelayCase) -> None:
    """As before, with `Via` and the fields that content delivery networks and load balancers use."""
    names = (
        "via x-real-ip x-client-ip client-ip true-client-ip cf-connecting-ip fastly-client-ip x-cluster-client-ip "
        "x-original-forwarded-for x-envoy-external-address x-forwarded-client-cert client-cert"
    ).split()
    expect_no_trace(
        await post_marked(case, {name: b"1.1 %b" if name == "via" else b"%b" for name in names}), DEPLOYED_PASSES_FIELDS
    )


@check(
    id="relay.privacy.credentials",
    requirements=["PRIV-002", "OHT-056"],
    title="Cookies and credentials of the client are dropped",
)
async def credentials(case: RelayCase) -> None:
    """The client, by mistake, sends cookies, an API key and credentials. None of them may reach the gateway."""
    fields = {"cookie": b"session=%b", "authorization": b"Bearer %b", "x-api-key": b"%b", "api-key": b"%b"}
    expect_no_trace(await post_marked(case, fields), DEPLOYED_PASSES_FIELDS)


@check(
    id="relay.privacy.tracing-fields",
    requirements=["PRIV-015", "OHT-056"],
    title="Trace and request identifiers of the client are dropped",
)
async def tracing_fields(case: RelayCase) -> None:
    """The client's library adds identifiers by which records of several services are joined. None may reach the
    gateway."""
    names = "traceparent tracestate baggage x-request-id x-correlation-id b3 x-amzn-trace-id idempotency-key".split()
    expect_no_trace(await post_marked(case, dict.fromkeys(names, b"%b")), DEPLOYED_PASSES_FIELDS)


@check(
    id="relay.privacy.unknown-fields",
    requirements=["PRIV-005", "OHT-056"],
    title="Fields nobody has named are dropped",
)
async def unknown_fields(case: RelayCase) -> None:
    """The request carries fields that no chapter names, and known ones that have no business here. None may reach the
    gateway."""
    names = "x-custom x-user-label openai-organization from content-disposition content-location link prefer trailer"
    expect_no_trace(await post_marked(case, dict.fromkeys(names.split(), b"%b")), DEPLOYED_PASSES_FIELDS)


@check(
    id="relay.privacy.client-software",
    requirements=["OHT-056"],
    title="Fields that describe the client's software are dropped",
)
async def client_software(case: RelayCase) -> None:
    """User agent, preferences and origin make a fingerprint. None of them should reach the gateway."""
    names = "user-agent accept accept-language accept-encoding origin referer sec-ch-ua dnt if-none-match".split()
    expect_no_trace(await post_marked(case, dict.fromkeys(names, b"%b")), DEPLOYED_PASSES_FIELDS)


@check(
    id="relay.privacy.date",
    requirements=["OHT-056"],
    title="The client's Date is dropped",
)
async def date(case: RelayCase) -> None:
    """The client's clock is off by a characteristic amount. Its `Date` should not reach the gateway; the relay may send
    its own."""
    skewed = b"Mon, 05 Jan 2009 07:13:%02d GMT" % case.random.randrange(60)
    await case.post(case.request(), fields=((b"date", skewed),))
    leaks = traces(case, {"date": skewed})
    expect_no_trace(leaks, "OHT-D07")


@check(
    id="relay.privacy.host",
    requirements=["OHT-056"],
    title="The client's Host is not passed on",
)
async def host(case: RelayCase) -> None:
    """The client reaches the relay under a name that is its own, as wildcard names allow. The name should not reach the
    gateway."""
    name = case.canary() + b".relay.example"
    await case.post(case.request(), fields=((b"host", name),))
    expect_no_trace(traces(case, {"host": name}), DEPLOYED_PASSES_FIELDS)


@check(
    id="relay.privacy.hop-by-hop-fields",
    requirements=["PRIV-005"],
    title="Fields meant for the relay alone end there",
)
async def hop_by_hop_fields(case: RelayCase) -> None:
    """The request carries fields for this hop only, among them those its `Connection` field names. None may reach the
    gateway."""
    fields = {
        "keep-alive": b"%b",
        "proxy-connection": b"%b",
        "proxy-authorization": b"Basic %b",
        "x-hop": b"%b",
        "te": b"trailers, %b",
    }
    expect_no_trace(await post_marked(case, fields, extra=((b"connection", b"x-hop, te, keep-alive"),)))
