"""The world around a router: what it leaves out, and that it says what the operator forgot."""

from __future__ import annotations

import pytest

from conformance.peers.router import open_router_world
from conformance.registry import checks
from conformance.roles import Role
from conformance.runfile import Limits, TargetSettings
from conformance.targets import TargetFailed, UrlTarget, embedded
from conformance.transcript import Transcript


@pytest.mark.anyio
async def test_a_router_at_a_url_has_to_be_told_where_the_nonce_lock_is() -> None:
    settings = TargetSettings(mode="url", url="http://127.0.0.1:1")
    with pytest.raises(TargetFailed, match=r"target\.listen\.nonce-lock"):
        async with open_router_world(UrlTarget("http://127.0.0.1:1"), settings, seed="seed", limits=Limits()):
            pass


@pytest.mark.anyio
async def test_a_router_that_is_slow_to_let_nodes_in_is_not_asked_about_them() -> None:
    settings = TargetSettings(mode="launch")
    async with open_router_world(embedded(Role.ROUTER), settings, seed="seed", limits=Limits()) as world:
        assert world.registering_s < 12
        world.registering_s = 60.0
        check = checks()["router.events.shutdown"]
        with pytest.raises(Exception, match="60 s to let a node in"):
            async with world.case(Transcript(check.id, "seed")) as case:
                await check.function(case)


@pytest.mark.anyio
async def test_a_restarted_router_is_told_of_its_nodes() -> None:
    settings = TargetSettings(mode="launch")
    async with open_router_world(embedded(Role.ROUTER), settings, seed="seed", limits=Limits()) as world:
        assert await world.subject.restart()
        async with world.case(Transcript("router.events.shutdown", "seed")) as case:
            await case.served(case.mint.credit(10))
        await world.honest_exchange()
