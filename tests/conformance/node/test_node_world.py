"""The world around a compute node: what it can do without the runner's engine, and what the operator forgot."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from conformance.peers.node import open_node_world
from conformance.roles import Role
from conformance.runfile import Limits, NodeSettings, TargetSettings
from conformance.targets import LaunchTarget, TargetFailed, UrlTarget, embedded
from conformance.verdicts import Verdict
from tests.conformance.judging import judge, quick_checks

BASE_POINT = (
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
"""A point of P-256 in 65 bytes."""

URL = "http://127.0.0.1:1"


def described(public_key: str = BASE_POINT, **settings: dict[str, str]) -> TargetSettings:
    node = NodeSettings(public_key=public_key, badge_seed="00" * 32, models=("llama3.2:1b",))
    return TargetSettings(mode="url", url=URL, node=node, **settings)  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_a_node_at_a_url_has_to_be_described() -> None:
    settings = TargetSettings(mode="url", url=URL)
    with pytest.raises(TargetFailed, match=r"target\.node: expected"):
        async with open_node_world(UrlTarget(URL), settings, seed="seed", limits=Limits()):
            pass


@pytest.mark.anyio
@pytest.mark.parametrize("public_key", ["04" + "00" * 64, BASE_POINT[:-2], BASE_POINT[:-1] + "4"])
async def test_a_public_key_that_is_no_point_is_refused(public_key: str) -> None:
    with pytest.raises(TargetFailed, match=r"target\.node\.public_key"):
        async with open_node_world(UrlTarget(URL), described(public_key), seed="seed", limits=Limits()):
            pass


@pytest.mark.anyio
@pytest.mark.parametrize(("listen", "offered"), [({}, set()), ({"engine": "127.0.0.1:0"}, {"node.engine"})])
async def test_a_node_at_a_url_has_the_runners_engine_where_that_has_an_address(
    listen: dict[str, str], offered: set[str]
) -> None:
    async with open_node_world(UrlTarget(URL), described(listen=listen), seed="seed", limits=Limits()) as world:
        assert world.capabilities == offered


@pytest.mark.anyio
async def test_a_launched_node_answers_again_after_a_restart() -> None:
    settings = TargetSettings(mode="launch")
    async with open_node_world(embedded(Role.NODE), settings, seed="seed", limits=Limits()) as world:
        assert world.capabilities == {"node.engine", "node.second-model"}
        await world.honest_exchange()
        assert await world.subject.restart()
        await world.honest_exchange()


@pytest.mark.anyio
async def test_a_node_that_tells_its_engine_a_limit_passes() -> None:
    """The other way to limit generation to what the credit pays for is no change of the client's body."""
    target = LaunchTarget([sys.executable, str(Path(__file__).with_name("limiting_node.py"))])
    met = [check for check in quick_checks(Role.NODE) if check.id.startswith(("node.json.", "node.streams."))]
    result = await judge(Role.NODE, target, met)
    assert {case.id: case.observed for case in result.cases if case.verdict is not Verdict.PASS} == {}
    assert "node.streams.credit-spent" in {case.id for case in result.cases}


@pytest.mark.anyio
async def test_a_node_that_differs_where_it_may_passes() -> None:
    """It writes bodies anew, names its answers, serves one request at a time and none twice. Only a recommendation
    that it does not follow is held against it."""
    target = LaunchTarget([sys.executable, str(Path(__file__).with_name("other_node.py"))])
    result = await judge(Role.NODE, target, quick_checks(Role.NODE))
    held = {case.id: case.verdict for case in result.cases if case.verdict is not Verdict.PASS}
    assert held == {"node.json.nothing-else-changed": Verdict.WARN}
