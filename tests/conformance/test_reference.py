"""The reference passes every check of every role."""

from __future__ import annotations

import pytest

from conformance.peers import JUDGED_ROLES
from conformance.results import Exit
from conformance.roles import Role
from conformance.targets import embedded
from conformance.verdicts import Verdict
from tests.conformance.judging import judge, quick_checks

PROMISED = {
    Role.RELAY: 25,
    Role.GATEWAY: 45,
    Role.BANK: 40,
    Role.NONCE_LOCK: 15,
    Role.ROUTER: 45,
    Role.NODE: 40,
}
"""How many checks a role has at the least."""


@pytest.mark.anyio
@pytest.mark.parametrize("role", JUDGED_ROLES)
async def test_the_reference_passes_every_quick_check(role: Role) -> None:
    result = await judge(role, embedded(role), quick_checks(role))
    assert len(result.cases) >= PROMISED[role]
    assert {case.id: case.observed for case in result.cases if case.verdict is not Verdict.PASS} == {}
    assert result.exit() is Exit.CLEAN
