"""The world around a nonce lock: what it asks after every case."""

from __future__ import annotations

import pytest

from conformance.peers.nonce_lock import NonceLockWorld, open_nonce_lock_world
from conformance.runfile import Limits, TargetSettings
from conformance.transcript import Transcript
from conformance.verdicts import Violation
from tests.conformance.judging import faulty

pytestmark = pytest.mark.anyio


async def test_consumed_nonces_are_asked_for_after_every_case() -> None:
    target, settings = faulty("nonce-lock.grants-consumed-nonces"), TargetSettings(mode="launch")
    async with open_nonce_lock_world(target, settings, seed="seed", limits=Limits()) as world:
        with pytest.raises(Violation, match="every consumed nonce to stay so"):
            await _consume_one(world)


async def _consume_one(world: NonceLockWorld) -> None:
    async with world.case(Transcript("case", "seed")) as case:
        nonce = case.nonce()
        await case.consume(nonce, await case.lock(nonce))
