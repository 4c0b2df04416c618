"""What of a client shows behind a relay, and what that means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from conformance.canaries import VERBATIM, Leak, search
from conformance.peers.relay import INCREMENTAL, RelayCase
from conformance.peers.scripted import Received
from conformance.verdicts import Violation, expect
from openpcc_ref.http1 import Fields, IncomingResponse

DEPLOYED_PASSES_FIELDS = "OHT-D09"
"""Deployed relays pass on all fields but hop-by-hop and forwarding ones."""


async def post_marked(case: RelayCase, fields: Mapping[str, bytes], *, extra: Fields = ()) -> list[Leak]:
    """Post an honest request of each form with a canary in each field (name to template); return where they show."""
    marks = {name: case.canary() for name in fields}
    marked = tuple((name.encode(), template % marks[name]) for name, template in fields.items())
    whole, _ = await case.post(case.request(), fields=(*extra, *marked))
    _expect_forwarded_or_refused(case, 1, whole)
    asked = len(case.gateway.requests)
    in_chunks, _ = await case.post_in_chunks(fields=(*INCREMENTAL, *extra, *marked))
    _expect_forwarded_or_refused(case, asked + 1, in_chunks)
    return traces(case, marks)


def _expect_forwarded_or_refused(case: RelayCase, number: int, response: IncomingResponse) -> None:
    if len(case.gateway.requests) < number and not 400 <= response.status <= 499:
        raise Violation("the request at the gateway, or a 4xx", f"status {response.status} and nothing at the gateway")


def traces(case: RelayCase, secrets: Mapping[str, bytes]) -> list[Leak]:
    """Return where secrets show at the gateway: in the parts of requests, else in the bytes on the wire."""
    leaks = search(secrets, [place for received in case.gateway.requests for place in places(received)])
    seen = {leak.secret for leak in leaks}
    hidden = {name: value for name, value in secrets.items() if name not in seen}
    return leaks + search(hidden, [("the bytes on the wire", data) for data in case.arrived()])


def places(received: Received) -> Iterator[tuple[str, bytes]]:
    """Yield where in a request something can show, its content excepted."""
    yield "the method", received.method
    yield "the target", received.target
    for kind, lines in (("field", received.fields), ("trailer", received.trailers)):
        for name, value in lines:
            yield f"{kind} {name.decode('latin-1')}", value
            yield f"the name of a {kind}", name


def expect_no_trace(leaks: Sequence[Leak], deployed: str | None = None) -> None:
    """Require that nothing leaked. ``deployed`` excuses what was passed on as it was, in the field it was in."""
    as_it_was = all(leak.rendering == VERBATIM and leak.place == f"field {leak.secret}" for leak in leaks)
    seen = list(dict.fromkeys(map(str, leaks)))
    shown = "; ".join(seen[:4]) + (f" and {len(seen) - 4} more" if len(seen) > 4 else "")
    expect(
        not leaks,
        expected="no trace on the other side of the relay",
        observed=shown,
        deployed=deployed if as_it_was else None,
    )
