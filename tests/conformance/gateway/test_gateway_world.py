"""The world around a gateway: what it leaves out, and that it says what the operator forgot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from conformance.peers.gateway import open_gateway_world
from conformance.peers.gateway_keys import mint_keys
from conformance.registry import checks
from conformance.roles import Role
from conformance.runfile import Limits, TargetSettings
from conformance.targets import LaunchTarget, TargetFailed, UrlTarget, embedded
from conformance.verdicts import Verdict
from tests.conformance.judging import faulty, judge


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (TargetSettings(mode="url", url="http://127.0.0.1:1"), r"target\.keys"),
        (
            TargetSettings(mode="url", url="http://127.0.0.1:1", keys=mint_keys("seed", datetime.now(UTC))),
            r"target\.listen\.bank",
        ),
    ],
)
async def test_a_gateway_at_a_url_has_to_be_described(settings: TargetSettings, named: str) -> None:
    with pytest.raises(TargetFailed, match=named):
        async with open_gateway_world(UrlTarget("http://127.0.0.1:1"), settings, seed="seed", limits=Limits()):
            pass


@pytest.mark.anyio
async def test_a_gateway_at_a_url_without_other_keys_leaves_checks_out() -> None:
    now = datetime.now(UTC)
    keys = tuple(key for key in mint_keys("url", now) if key.id == 1)
    listen = {"bank": "127.0.0.1:0", "router": "127.0.0.1:0"}
    settings = TargetSettings(mode="url", keys=keys, listen=listen)
    met = [checks()[name] for name in ("gateway.keys.expired", "gateway.keys.kyber", "gateway.keys.unknown-id")]
    target = _LaunchedByUrl(faulty("gateway.responses.not-padded"))
    result = await judge(Role.GATEWAY, target, met, settings=settings)
    assert [case.verdict for case in result.cases] == [Verdict.NOT_APPLICABLE, Verdict.NOT_APPLICABLE, Verdict.PASS]


class _LaunchedByUrl:
    """A launched gateway that stands for one somebody else has configured with the keys of the run file."""

    def __init__(self, target: LaunchTarget) -> None:
        self._target = target
        self.where = "a URL"
        self.start = target.start


@pytest.mark.anyio
async def test_the_clock_decides_which_keys_are_active() -> None:
    keys = mint_keys("seed", datetime.now(UTC))
    settings = TargetSettings(mode="launch", keys=keys)
    later = keys[0].active_until + timedelta(days=365)
    opening = open_gateway_world(embedded(Role.GATEWAY), settings, seed="seed", limits=Limits(), clock=lambda: later)
    with pytest.raises(TargetFailed, match="active now"):
        async with opening:
            pass
