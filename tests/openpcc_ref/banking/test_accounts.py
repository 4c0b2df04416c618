"""Rules of tokens, batches and balances at their edges."""

from __future__ import annotations

import pytest

from openpcc_ref.banking import accounts
from openpcc_ref.banking.accounts import AccountToken
from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.credits import ATTESTATION, MAX_AMOUNT, BlindSignRequest, CreditRejected, CurrencyValue, currency


def requests(*amounts: int) -> list[BlindSignRequest]:
    return [BlindSignRequest(currency.exact(amount), bytes([number])) for number, amount in enumerate(amounts)]


def refusal(function: object, *args: object) -> str:
    with pytest.raises(CreditRejected) as caught:
        function(*args)  # type: ignore[operator]
    return caught.value.code


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_token_has_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        AccountToken(bytes(length))


def test_an_account_is_known_by_what_opens_nothing() -> None:
    token = AccountToken(bytes(range(32)))
    assert token.octets not in token.account_id
    assert token.account_id != AccountToken(bytes(32)).account_id
    assert token.octets.hex() not in repr(token)


def test_a_batch_has_1_to_15_requests_for_amounts() -> None:
    assert accounts.require_batch(requests(3)) == 3
    assert accounts.require_batch(requests(*[MAX_AMOUNT] * 15)) == 15 * MAX_AMOUNT
    assert refusal(accounts.require_batch, []) == "batch.size"
    assert refusal(accounts.require_batch, requests(*[1] * 16)) == "batch.size"
    assert refusal(accounts.require_batch, requests(3, 0, 3)) == "currency.amount.zero"
    special = [*requests(3), BlindSignRequest(ATTESTATION, b"x")]
    assert refusal(accounts.require_batch, special) == "currency.amount.special"
    assert refusal(accounts.require_batch, [*requests(3, 4), *requests(5)]) == "batch.repeated-message"


def test_a_debit_is_covered_or_refused_in_one_way() -> None:
    assert accounts.debit(9, 9) == 0
    texts = set()
    for balance, amount in ((8, 9), (0, 1), (0, 0)):
        with pytest.raises(BankingRejected) as caught:
            accounts.debit(balance, amount)
        texts.add(str(caught.value))
    assert len(texts) == 1


def test_all_of_a_balance_is_rounded_to_a_value() -> None:
    assert accounts.value_of_all(69, 0.0) == currency.exact(68)
    assert accounts.value_of_all(69, 1.0) == currency.exact(72)
    assert accounts.value_of_all(MAX_AMOUNT, 0.5) == CurrencyValue(511)
    assert refusal(accounts.value_of_all, MAX_AMOUNT + 1, 0.5) == "account.above-maximum"
    assert refusal(accounts.value_of_all, 0, 0.5) == "account.uncovered"
