"""Selections select what they say, and a pattern that matches nothing is an error."""

from __future__ import annotations

import pytest

from conformance.registry import Check
from conformance.roles import Role
from conformance.selection import SelectionInvalid, matches, select


async def _check(_: object) -> None:
    """Nothing."""


CHECKS = {
    name: Check(id=name, title=name, requirements=(requirement,), needs=(), costly=False, function=_check)
    for name, requirement in (
        ("gateway.replay.fresh-nonce", "OHT-075"),
        ("relay.content.request", "OHT-053"),
        ("relay.content.response", "OHT-053"),
        ("relay.privacy.date", "OHT-056"),
    )
}


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("relay.content.request", "relay.content.request", True),
        ("relay.*.request", "relay.content.request", True),
        ("relay.*", "relay.content.request", False),
        ("relay.**", "relay.content.request", True),
        ("**.request", "relay.content.request", True),
        ("relay.content.re*", "relay.content.response", True),
        ("relay.content.re", "relay.content.response", False),
        ("relayXcontent.request", "relay.content.request", False),
    ],
)
def test_patterns(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({}, list(CHECKS)),
        ({"roles": [Role.GATEWAY]}, ["gateway.replay.fresh-nonce"]),
        ({"include": ["relay.content.*"]}, ["relay.content.request", "relay.content.response"]),
        ({"include": ["relay.**"], "exclude": ["**.response"]}, ["relay.content.request", "relay.privacy.date"]),
        ({"requirements": ["OHT-056", "OHT-075"]}, ["gateway.replay.fresh-nonce", "relay.privacy.date"]),
        ({"roles": [Role.RELAY], "requirements": ["OHT-075"]}, []),
    ],
)
def test_every_criterion_has_to_admit(criteria: dict[str, list[str]], expected: list[str]) -> None:
    assert [check.id for check in select(CHECKS, **criteria)] == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("criteria", "text"),
    [
        ({"include": ["relay.contents.request"]}, "did you mean 'relay.content.request'?"),
        ({"exclude": ["router.**"]}, "no check matches 'router.**'"),
        ({"requirements": ["OHT-999"]}, "no check verifies requirement 'OHT-999'"),
    ],
)
def test_what_matches_nothing_is_an_error(criteria: dict[str, list[str]], text: str) -> None:
    with pytest.raises(SelectionInvalid) as raised:
        select(CHECKS, **criteria)  # type: ignore[arg-type]
    assert text in str(raised.value)
