"""The whole stack starts ready, on loopback, and leaves nothing behind."""

from __future__ import annotations

from collections import defaultdict
from urllib.parse import urlsplit

import pytest

from conformance.vectors.currency_keys import DEPLOYED_1024
from openpcc_ref.http1 import Failure, Http1Error, Tap, exchange
from openpcc_ref.services.stack import StackSettings, Watcher, open_stack

pytestmark = pytest.mark.anyio

SETTINGS = StackSettings(DEPLOYED_1024)
ROLES = {"relay", "gateway", "authbank", "bank", "nonce-lock", "router", "node 1", "node 2", "engine"}


async def test_every_role_listens_and_none_is_left() -> None:
    async with open_stack(SETTINGS) as stack:
        assert set(stack.urls) == ROLES
        assert {urlsplit(url).hostname for url in stack.urls.values()} == {"127.0.0.1"}
        assert len(set(stack.urls.values())) == len(ROLES)
        assert len(stack.node_keys) == 2
        for role in ("gateway", "router", "node 1", "node 2"):
            response, _ = await exchange(stack.urls[role], b"GET", b"/_health")
            assert (role, response.status) == (role, 200)
        assert stack.api_key not in repr(stack)
    for url in stack.urls.values():
        with pytest.raises(Http1Error) as failed:
            await exchange(url)
        assert failed.value.failure is Failure.UNREACHABLE


async def test_a_failure_of_the_caller_comes_out_as_it_is() -> None:
    with pytest.raises(LookupError, match="the caller's own"):
        async with open_stack(StackSettings(DEPLOYED_1024, nodes=1)):
            raise LookupError("the caller's own")


async def test_a_watcher_sees_each_pair_of_parties_apart() -> None:
    class Pairs(Watcher):
        def __init__(self) -> None:
            self.seen: dict[tuple[str, str], bytes] = defaultdict(bytes)
            self.addresses: dict[tuple[str, str], set[str]] = defaultdict(set)

        def tap(self, source: str, destination: str) -> Tap:
            def note(connection: int, direction: str, moment: float, data: bytes) -> None:
                self.seen[source, destination] += data

            return note

        def met(self, source: str, destination: str, address: str) -> None:
            self.addresses[source, destination].add(address)

    pairs = Pairs()
    async with open_stack(StackSettings(DEPLOYED_1024, nodes=1, watcher=pairs)) as stack:
        await exchange(stack.urls["relay"], b"GET", b"/marked", local_host="127.0.0.77")
    assert b"POST /node-events" in pairs.seen["node", "router"]
    assert b"GET /_health" in pairs.seen["router", "node"]
    assert b"GET /marked" in pairs.seen["client", "relay"]
    assert pairs.addresses["client", "relay"] == {"127.0.0.77"}
    assert not any(b"/marked" in data for pair, data in pairs.seen.items() if pair != ("client", "relay"))
