"""Statuses: what repeating cannot cure is the client's fault, and is said to be so."""

from __future__ import annotations

from conformance.checks.bank.withdraw import unusable_messages
from conformance.peers.bank import BankCase
from conformance.registry import check
from openpcc_ref.banking import messages
from openpcc_ref.banking.messages import Exchange
from openpcc_ref.credits import MAX_AMOUNT, BlindSignRequest, currency


@check(
    id="bank.status.spent",
    requirements=["PAY-091"],
    title="A spent credit is no reason to try again",
)
async def spent(case: BankCase) -> None:
    """Credits whose nonces are consumed in the common record are deposited and exchanged. The status must be between
    400 and 499; 410 is the usual one."""
    for credit in (case.mint.credit(8), case.mint.credit(8)):
        case.lock.spend_elsewhere(credit.nonce)
        reply = await case.deposit(case.token(), credit)
        reply.expect_client_error("a deposit of a spent credit", deployed="PAY-D13")
        reply = await case.exchange(credit, case.mint.pending(8))
        reply.expect_client_error("an exchange of a spent credit", deployed="PAY-D13")


@check(
    id="bank.status.locked",
    requirements=["PAY-091"],
    title="A locked credit is no fault of the bank",
)
async def locked(case: BankCase) -> None:
    """Another service holds the nonce of a credit, which is deposited and exchanged. The status must be between 400 and
    499; 409 is the usual one."""
    credit = case.mint.credit(8)
    case.lock.service.lock(credit.nonce)
    (await case.deposit(case.token(), credit)).expect_client_error("a deposit of a locked credit", deployed="PAY-D13")
    reply = await case.exchange(credit, case.mint.pending(8))
    reply.expect_client_error("an exchange of a locked credit", deployed="PAY-D13")


@check(
    id="bank.status.uncovered",
    requirements=["PAY-091"],
    title="Missing money is no reason to try again",
)
async def uncovered(case: BankCase) -> None:
    """More than the balance is asked of a poor, an empty and an unknown account, and the latter two are emptied. The
    status must be between 400 and 499; 402 is the usual one."""
    request = case.mint.pending(31).request
    for whose, token in (
        ("a poor", await case.funded(30)),
        ("an empty", await case.emptied()),
        ("an unknown", case.token()),
    ):
        reply = await case.withdraw(token, [request])
        reply.expect_client_error(f"a withdrawal from {whose} account", deployed="PAY-D13")
    for whose, token in (("an empty", await case.emptied()), ("an unknown", case.token())):
        reply = await case.withdraw_full(token)
        reply.expect_client_error(f"a full withdrawal from {whose} account", deployed="PAY-D13")


@check(
    id="bank.status.above-largest-value",
    requirements=["PAY-091"],
    title="Too much for one credit is no reason to try again",
)
async def above_largest_value(case: BankCase) -> None:
    """An account with one unit more than the largest value is emptied. The status must be between 400 and 499; 422
    is the usual one."""
    token = await case.funded(MAX_AMOUNT, 1)
    reply = await case.withdraw_full(token)
    reply.expect_client_error("a full withdrawal above the largest value", deployed="PAY-D13")


@check(
    id="bank.status.unusable-message",
    requirements=["PAY-091"],
    title="An unusable blinded message is no reason to try again",
)
async def unusable_message(case: BankCase) -> None:
    """Blinded messages of a wrong length, and not below the modulus, are sent for a withdrawal and for an exchange. The
    status must be between 400 and 499."""
    token = await case.funded(8)
    for what, message in unusable_messages(case):
        reply = await case.withdraw(token, [BlindSignRequest(currency.exact(1), message)])
        reply.expect_client_error(f"a withdrawal for {what}", deployed="PAY-D24")
        request = messages.encode_exchange_request(Exchange(case.mint.credit(1), message))
        reply = await case.post("/exchange", request)
        reply.expect_client_error(f"an exchange for {what}", deployed="PAY-D24")
