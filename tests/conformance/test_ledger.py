"""The books notice what a bank makes, loses, takes twice, or takes without spending."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from conformance.ledger import Books
from conformance.requirements import Level
from conformance.verdicts import Violation
from openpcc_ref.banking import messages
from openpcc_ref.banking.accounts import AccountToken
from openpcc_ref.banking.messages import Deposit, Exchange, Withdrawal
from openpcc_ref.credits import BlindSignRequest, Credit, Nonce, UnblindedCredit, currency

TOKEN = AccountToken(bytes(range(32)))
OTHER = AccountToken(bytes(32))
_numbers = count(1)


def credit(amount: int) -> Credit:
    return Credit(currency.exact(amount), Nonce(0, next(_numbers).to_bytes(16, "big")), b"signature")


def deposit(books: Books, one: Credit, status: int | None = 200, token: AccountToken = TOKEN) -> None:
    books.note("/deposit", messages.encode_deposit_request(Deposit(token, one)), status, b"")


def withdraw(books: Books, amount: int, message: bytes = b"m", status: int | None = 200) -> None:
    request = Withdrawal(TOKEN, (BlindSignRequest(currency.exact(amount), message),))
    books.note("/withdraw", messages.encode_withdraw_request(request), status, b"")


def withdraw_full(books: Books, amount: int, status: int | None = 200) -> None:
    unblinded = UnblindedCredit(currency.exact(amount), credit(1).nonce, b"signature")
    answer = messages.encode_withdraw_full_response(unblinded)
    books.note("/withdraw-full", messages.encode_withdraw_full_request(TOKEN), status, answer)


def exchange(books: Books, one: Credit, message: bytes = b"m", status: int | None = 200) -> None:
    books.note("/exchange", messages.encode_exchange_request(Exchange(one, message)), status, b"")


def close(books: Books, held: int, *, consumed: Callable[[Nonce], bool] = lambda _: True) -> None:
    books.close({token: held if token == TOKEN.octets else 0 for token in books.tokens}, consumed)


def broken(books: Books, held: int, *, consumed: Callable[[Nonce], bool] = lambda _: True) -> str:
    with pytest.raises(Violation) as raised:
        close(books, held, consumed=consumed)
    assert raised.value.level is Level.MUST
    return raised.value.observed


def test_what_came_in_went_out_or_is_held() -> None:
    books = Books()
    deposit(books, credit(100 - 4))
    withdraw(books, 30)
    close(books, 66)
    assert broken(books, 67) == "67 held"
    assert broken(books, 65) == "65 held"


def test_a_repeated_answer_counts_once() -> None:
    books, one = Books(), credit(16)
    for _ in range(2):
        deposit(books, one)
        withdraw(books, 4)
    close(books, 12)


def test_rounding_is_the_banks() -> None:
    books = Books()
    deposit(books, credit(64))
    deposit(books, credit(5))
    withdraw_full(books, 72)
    close(books, 0)
    assert broken(books, 8) == "8 held"


def test_exact_balances_leave_no_room_for_rounding() -> None:
    books = Books()
    deposit(books, credit(16))
    withdraw_full(books, 15)
    assert broken(books, 0) == "0 held"


@pytest.mark.parametrize("held", [10, 14])
def test_a_lost_answer_leaves_two_possibilities(held: int) -> None:
    books = Books()
    deposit(books, credit(10))
    deposit(books, credit(4), None)
    close(books, held)
    assert broken(books, 15) == "15 held"


def test_a_lost_withdrawal_may_have_been_debited() -> None:
    books = Books()
    deposit(books, credit(10))
    withdraw(books, 4, status=None)
    close(books, 6)
    close(books, 10)
    assert broken(books, 5) == "5 held"


def test_a_lost_full_withdrawal_may_have_emptied_the_account() -> None:
    books = Books()
    deposit(books, credit(10))
    withdraw_full(books, 10, None)
    close(books, 0)
    close(books, 10)
    assert broken(books, 11) == "11 held"


def test_a_credit_that_is_taken_twice_is_noticed() -> None:
    books, one = Books(), credit(10)
    deposit(books, one)
    exchange(books, one)
    assert broken(books, 10) == "one was taken for 2 different requests"
    books, one = Books(), credit(10)
    exchange(books, one, b"first")
    exchange(books, one, b"second")
    assert broken(books, 0) == "one was taken for 2 different requests"


def test_a_credit_that_is_taken_has_to_be_consumed() -> None:
    books = Books()
    deposit(books, credit(10))
    assert broken(books, 10, consumed=lambda _: False) == "one is not consumed"


def test_a_credit_that_is_refused_must_not_be_consumed() -> None:
    books = Books()
    deposit(books, credit(10), 402)
    assert broken(books, 0) == "its nonce is consumed"
    close(books, 0, consumed=lambda _: False)


def test_a_failure_may_have_consumed() -> None:
    books = Books()
    deposit(books, credit(10), 503)
    close(books, 0)


def test_what_is_no_message_is_left_to_the_checks() -> None:
    books = Books()
    books.note("/deposit", b"\xff", 200, b"")
    books.note("/withdraw-full", messages.encode_withdraw_full_request(TOKEN), 200, b"\xff")
    books.note("/elsewhere", b"", 200, b"")
    close(books, 0)
