"""The world around a node: what it leaves out, and that it says what the operator forgot."""

from __future__ import annotations

import pytest

from conformance.peers.node import open_node_world
from conformance.roles import Role
from conformance.runfile import Limits, NodeSettings, TargetSettings
from conformance.targets import TargetFailed, UrlTarget
from tests.conformance.judging import quick_checks


@pytest.mark.anyio
async def test_a_node_at_a_url_has_to_be_described() -> None:
    settings = TargetSettings(mode="url", url="http://127.0.0.1:1")
    with pytest.raises(TargetFailed, match=r"target\.node: expected"):
        async with open_node_world(UrlTarget("http://127.0.0.1:1"), settings, seed="seed", limits=Limits()):
            pass


@pytest.mark.anyio
async def test_a_public_key_that_is_no_point_is_refused() -> None:
    node = NodeSettings(public_key="04" + "00" * 64, badge_seed="00" * 32, models=("llama3.2:1b",))
    settings = TargetSettings(mode="url", url="http://127.0.0.1:1", node=node)
    with pytest.raises(TargetFailed, match=r"target\.node\.public_key"):
        async with open_node_world(UrlTarget("http://127.0.0.1:1"), settings, seed="seed", limits=Limits()):
            pass


@pytest.mark.anyio
async def test_a_node_without_the_runners_engine_is_judged_by_what_needs_none() -> None:
    """Its engine is out of the runner's reach, so that checks that need one do not apply."""
    known = quick_checks(Role.NODE)
    needy = [check for check in known if "node.engine" in check.needs]
    assert needy
    assert len(needy) < len(known)
    node = NodeSettings(public_key=PUBLIC_KEY, badge_seed="00" * 32, models=("llama3.2:1b",))
    settings = TargetSettings(mode="url", url="http://127.0.0.1:1", node=node)
    target = UrlTarget("http://127.0.0.1:1")
    async with open_node_world(target, settings, seed="seed", limits=Limits()) as world:
        assert world.capabilities == frozenset()


PUBLIC_KEY = (
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
"""The base point of P-256."""
