"""Accounts: a token is all there is to one."""

from __future__ import annotations

from collections.abc import Callable

from conformance.peers.bank import BankCase
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.banking import messages
from openpcc_ref.banking.accounts import TOKEN_LENGTH, AccountToken
from openpcc_ref.credits import credit
from openpcc_ref.credits.issuer import request_to_message
from openpcc_ref.http1 import field_value
from openpcc_ref.protobuf import bank_pb2


def _requests(case: BankCase) -> dict[str, Callable[[bytes | None], bytes]]:
    """Return, for each path that names an account, what makes a good request of a token, or of none."""
    deposited = credit.to_message(case.mint.credit(10))
    signed = request_to_message(case.mint.pending(1).request)

    def deposit(token: bytes | None) -> bytes:
        return bank_pb2.DepositRequest(account_token=token, credit=deposited).SerializeToString()

    def withdraw(token: bytes | None) -> bytes:
        return bank_pb2.BatchWithdrawRequest(account_token=token, requests=[signed]).SerializeToString()

    def withdraw_full(token: bytes | None) -> bytes:
        return bank_pb2.WithdrawFullUnblindedRequest(account_token=token).SerializeToString()

    def balance(token: bytes | None) -> bytes:
        return bank_pb2.BalanceRequest(account_token=token).SerializeToString()

    return {"/deposit": deposit, "/withdraw": withdraw, "/withdraw-full": withdraw_full, "/balance": balance}


@check(
    id="bank.account.token-length",
    requirements=["PAY-070"],
    title="A token of another length is refused",
)
async def token_length(case: BankCase) -> None:
    """Tokens of 0, 1, 16, 31, 33 and 64 bytes are sent to each path that names an account. The bank must answer 400."""
    for length in (0, 1, 16, 31, 33, 64):
        for path, make in _requests(case).items():
            reply = await case.post(path, make(case.random.randbytes(length)))
            reply.expect_refused(f"{path} with a token of {length} bytes", 400)


@check(
    id="bank.account.token-absent",
    requirements=["PAY-070"],
    title="A request without token is refused",
)
async def token_absent(case: BankCase) -> None:
    """The token is left out of a request to each path that names an account. The bank must answer 400."""
    for path, make in _requests(case).items():
        (await case.post(path, make(None))).expect_refused(f"{path} without token", 400)


@check(
    id="bank.account.every-bit-counts",
    requirements=["PAY-074", "PAY-088"],
    title="Tokens that differ in one bit are two accounts",
)
async def every_bit_counts(case: BankCase) -> None:
    """An account has 20. Tokens that differ from its token in one bit of the first, a middle and the last byte must be
    accounts with nothing in them, also for a full withdrawal."""
    token = await case.funded(20)
    for at in (0, TOKEN_LENGTH // 2, TOKEN_LENGTH - 1):
        bent = bytearray(token.octets)
        bent[at] ^= 1
        neighbour = AccountToken(bytes(bent))
        await case.expect_balance(neighbour, 0, f"nothing, with byte {at} of another's token changed")
        (await case.withdraw_full(neighbour)).expect_refused("emptying an account that never was")
    await case.expect_balance(token, 20, "attempts with tokens like its own")


@check(
    id="bank.account.any-token",
    requirements=["PAY-072", "PAY-070"],
    title="Any 32 bytes are a token",
)
async def any_token(case: BankCase) -> None:
    """Accounts are opened under tokens that begin or end with zero bytes, line feeds, or are no UTF-8. Each must
    hold what is deposited: nobody registers, and nobody is asked who they are."""
    for edge in (bytes(4), b"\n\r\n\r", b"\xff\xfe\xfd\xfc"):
        middle = case.token().octets[8:]
        for octets in (edge + middle + edge, edge + edge + middle):
            token = AccountToken(octets)
            await case.paid_in(token, case.mint.credit(3))
            await case.expect_balance(token, 3, "a deposit of 3")


@check(
    id="bank.account.nothing-kept-at-the-client",
    requirements=["PAY-072"],
    title="Answers carry nothing that identifies a client later",
)
async def nothing_kept(case: BankCase) -> None:
    """A deposit and a balance are asked for. The answers must ask for no credentials and set no cookie, entity tag or
    other thing that a client would send again."""
    token = case.token()
    for reply in (
        await case.deposit(token, case.mint.credit(1)),
        await case.post("/balance", messages.encode_balance_request(token)),
    ):
        found = [
            name.decode()
            for name in (b"set-cookie", b"www-authenticate", b"etag", b"last-modified", b"authentication-info")
            if field_value(reply.fields, name) is not None
        ]
        expect(not found, expected="no field that ties requests together", observed=" and ".join(found))


@check(
    id="bank.account.unknown-balance",
    requirements=["PAY-088"],
    title="The balance of an unknown account is 0",
)
async def unknown_balance(case: BankCase) -> None:
    """The balance of an account that never was is asked for, twice. It must be 0, without error."""
    token = case.token()
    for _ in range(2):
        await case.expect_balance(token, 0, "nothing")


@check(
    id="bank.account.empty-and-unknown-balance-alike",
    requirements=["PAY-081", "PAY-088", "PAY-090"],
    title="The balances of unknown and of empty accounts are the same octets",
)
async def empty_and_unknown_balance_alike(case: BankCase) -> None:
    """The balances of an account that never was and of one that was emptied are asked for. Both must be 0, and the
    contents the same: both say so, or both leave it out."""
    emptied = await case.emptied()
    contents = []
    for token in (case.token(), emptied):
        reply = await case.post("/balance", messages.encode_balance_request(token))
        balance = reply.read(messages.decode_balance_response, "a balance")
        expect(balance == 0, expected="the balance 0", observed=f"the balance {balance}")
        contents.append(reply.content)
    expect(
        contents[0] == contents[1],
        expected="the same octets for both",
        observed=" and ".join(content.hex() or "nothing" for content in contents),
    )
