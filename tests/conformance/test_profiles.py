"""What deployed code does gets the verdict of its row under interop-2025, and nothing else is excused by it."""

from __future__ import annotations

import pytest

from conformance.faults import faults
from conformance.results import Exit, RunResult
from conformance.verdicts import Profile, Verdict
from tests.conformance.judging import faulty, judge, quick_checks, verdict_on

DEPLOYED = """
    gateway.responses.form-of-upstream     gateway.responses.chunked-form            OHT-D02 warn
    gateway.chunks.empty-accepted          gateway.chunks.empty-non-final            OHT-D03 warn
    gateway.chunks.small                   gateway.chunks.largest                    OHT-D04 warn
    gateway.sealing.bad-request-in-clear   gateway.errors.host-encapsulated          OHT-D05 warn
    gateway.responses.not-incremental      gateway.responses.incremental             OHT-D06 pass
    gateway.fields.expectation-forwarded   gateway.fields.expect                     OHT-D12 warn
    gateway.routes.url-reduced             gateway.allow-list.url-as-path            OHT-D16 warn
    gateway.messages.low-byte              gateway.messages.framing-value            MSG-D08 warn
    gateway.messages.lines-split           gateway.messages.field-injection          MSG-D09 warn
    gateway.messages.blanks-removed        gateway.messages.field-blanks             MSG-D09 warn
    gateway.messages.any-length            gateway.messages.content-length-sign      MSG-D13 warn
    gateway.messages.other-length          gateway.messages.content-length-differs   MSG-D13 warn
    bank.recognises-no-repetition          bank.repetition.deposit                   PAY-D09 warn
    bank.recognises-no-repetition          bank.nonce-lock.consume-fails-exchange    PAY-D32 fail
    router.refunds.any-amount              router.refunds.above-payment              RTR-D09 fail
    router.settlement.breaks-leave-locks   router.settlement.cut-response            RTR-D10 warn
    router.manifests.zeroed-types          router.manifests.unknown-evidence         RTR-D19 warn
    router.events.forgetful                router.events.revival                     RTR-D21 warn
    router.responses.one-way               router.responses.both-ways                RTR-D24 pass
    router.refunds.nodes-trailer           router.refunds.forged-trailer             RTR-D22 fail
    node.opening.short-dek                 node.opening.dek-length                   MSG-D17 warn
    node.chunks.empty                      node.chunks.empty                         MSG-D04 pass
    node.responses.clean-end               node.responses.engine-cut                 NODE-D16 warn
    node.secrecy.refusals-logged           node.secrecy.logs                         NODE-D14 fail
    node.streams.unlimited                 node.streams.credit-spent                 NODE-D08 warn
"""
"""Fault, check, divergence and what it comes to under interop-2025."""

UNEXCUSED = """
    gateway.keys.expired-accepted          gateway.keys.expired                      fail
    gateway.chunks.completed-anyway        gateway.chunks.final-missing              fail
    gateway.responses.not-padded           gateway.responses.padding                 warn
    gateway.fields.outer-server            gateway.fields.outer-response             fail
    router.tokens.any-value                router.tokens.value                       fail
    router.requests.few-candidates         router.requests.ten-candidates            warn
    router.refunds.any-amount              router.refunds.above-payment              fail
    router.refunds.nothing                 router.refunds.zero                       warn
    router.settlement.breaks-leave-locks   router.settlement.cut-response            warn
    router.events.forgetful                router.events.revival                     warn
    node.opening.any-length                node.opening.key-length                   fail
    node.opening.short-dek                 node.opening.dek-length                   warn
    node.parameters.any-amount             node.parameters.amount-positive           fail
    node.refunds.generous                  node.refunds.negative-usage               fail
    node.responses.clean-end               node.responses.engine-cut                 warn
    node.responses.cut-is-end              node.responses.engine-cut                 fail
    node.responses.small-chunks            node.responses.filled                     warn
    node.streams.unlimited                 node.streams.credit-spent                 warn
"""
"""Fault, check and what it comes to under strict."""


def rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.strip().splitlines()]


@pytest.mark.anyio
@pytest.mark.parametrize(("fault", "check", "divergence", "verdict"), rows(DEPLOYED))
async def test_what_is_deployed_gets_the_verdict_of_its_row(
    fault: str, check: str, divergence: str, verdict: str
) -> None:
    assert await verdict_on(fault, check, Profile.INTEROP_2025) == (Verdict(verdict), divergence)


@pytest.mark.anyio
async def test_a_worse_violation_behind_an_excused_one_is_seen() -> None:
    fault, check = "gateway.messages.bytes-cleaned", "gateway.messages.field-injection"
    assert await verdict_on(fault, check, Profile.INTEROP_2025) == (Verdict.FAIL, None)


@pytest.mark.anyio
@pytest.mark.parametrize(("fault", "check", "verdict"), rows(UNEXCUSED))
async def test_strict_goes_by_the_level(fault: str, check: str, verdict: str) -> None:
    assert (await verdict_on(fault, check))[0] is Verdict(verdict)


WHOLLY_DEPLOYED = """
    bank.reads-special-values-as-amounts         PAY-D05
    bank.takes-signatures-above-the-modulus      PAY-D07
    bank.crashes-on-malformed-content            PAY-D12
    bank.blames-itself-for-missing-money         PAY-D13
    bank.cuts-values                             PAY-D19
    bank.blames-itself-for-unusable-messages     PAY-D24
    nonce-lock.blames-itself-for-wrong-tickets   PAY-D11
    nonce-lock.consumes-once                     PAY-D25
"""
"""Faults that are clean under interop-2025 whatever the check, and the divergence that excuses them."""

HARMFUL = """
    bank.lends bank.takes-consumed-credits bank.empties-at-once bank.verifies-nothing
    nonce-lock.grants-at-once nonce-lock.releases-consumed-nonces
""".split()


async def judge_wholly(name: str) -> RunResult:
    role = faults()[name].role
    return await judge(role, faulty(name), quick_checks(role), Profile.INTEROP_2025)


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize(("name", "divergence"), rows(WHOLLY_DEPLOYED))
async def test_what_does_only_what_is_deployed_is_clean(name: str, divergence: str) -> None:
    result = await judge_wholly(name)
    assert result.exit() is Exit.CLEAN, {
        case.id: case.observed for case in result.cases if case.verdict is Verdict.FAIL
    }
    assert divergence in {case.divergence for case in result.cases}


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("name", HARMFUL)
async def test_what_makes_money_or_spends_twice_is_excused_by_no_profile(name: str) -> None:
    assert (await judge_wholly(name)).exit() is Exit.FAILED
