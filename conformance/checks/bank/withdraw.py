"""Batches: signed whole at the expense of the account, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import anyio

from conformance.peers.at_once import at_once
from conformance.peers.bank import BankCase, Reply
from conformance.peers.mint import SPECIALS
from conformance.registry import check
from conformance.requirements import Level
from conformance.verdicts import Violation, expect
from openpcc_ref.banking import messages
from openpcc_ref.banking.accounts import AccountToken
from openpcc_ref.credits import ATTESTATION, MAX_AMOUNT, BlindSignRequest, PendingCredit, blind_rsa, currency
from openpcc_ref.protobuf import bank_pb2, credit_pb2


def _requests(pendings: Sequence[PendingCredit]) -> list[BlindSignRequest]:
    return [pending.request for pending in pendings]


@check(
    id="bank.withdraw.batch",
    requirements=["PAY-080", "PAY-055", "PAY-072"],
    title="A batch is signed in its order, and its sum is debited",
)
async def batch(case: BankCase) -> None:
    """Credits of 1, 2, 3, 3 and 16 are withdrawn at once from 100. Each signature must finalize the credit of its
    place, the balance must be 75, and one of the credits must be good for a deposit."""
    token = await case.funded(96, 4)
    balance, credits = await case.signed(token, case.pendings(1, 2, 3, 3, 16))
    expect(balance == 75, expected="the balance 75", observed=f"the balance {balance}")
    await case.expect_balance(token, 75, "a withdrawal of 25 from 100")
    await case.paid_in(case.token(), credits[-1])


@check(
    id="bank.withdraw.fifteen",
    requirements=["PAY-078"],
    title="A batch can have 1 to 15 requests",
)
async def fifteen(case: BankCase) -> None:
    """Batches of 1 and of 15 requests are withdrawn, which use up the account to the last unit."""
    token = await case.funded(48)
    await case.signed(token, case.pendings(3))
    balance, _ = await case.signed(token, case.pendings(*[3] * 15))
    expect(balance == 0, expected="the balance 0", observed=f"the balance {balance}")


@check(
    id="bank.withdraw.batch-size",
    requirements=["PAY-078"],
    title="An empty batch and one of more than 15 are refused",
)
async def batch_size(case: BankCase) -> None:
    """Batches of none, 16 and 1000 requests are asked of an account that could pay them. The bank must answer 400 and
    debit nothing."""
    token = await case.funded(1984)
    pending = case.mint.pending(1)
    many = [
        BlindSignRequest(
            pending.request.value, bytes([number >> 8, number & 255]) + pending.request.blinded_message[2:]
        )
        for number in range(1000)
    ]
    for requests in ([], _requests(case.pendings(*[1] * 16)), many):
        what = f"a batch of {len(requests)} requests"
        (await case.withdraw(token, requests)).expect_refused(what, 400)
        await case.expect_balance(token, 1984, what)


@check(
    id="bank.withdraw.no-amount",
    requirements=["PAY-079", "PAY-010", "PAY-003"],
    title="A batch with a zero or special value is refused whole",
)
async def no_amount(case: BankCase) -> None:
    """Batches of three, the middle one of nothing or of a special value, are asked for. The bank must answer 400, sign
    none of them and debit nothing. Signing the attestation token here would sell it for nothing."""
    token = await case.funded(8)
    for value in (currency.ZERO, *(value for value in SPECIALS if value.code < 256)):
        requests = _requests([case.mint.pending(3), case.mint.pending(value), case.mint.pending(3)])
        what = f"a batch with the value {value.blind_bytes.hex()}"
        read_as_amount = value.special and value.code > 255
        reply = await case.withdraw(token, requests)
        reply.expect_refused(what, 400, deployed="PAY-D05" if read_as_amount else None)
        await case.expect_balance(token, 8, what)


@check(
    id="bank.withdraw.special-as-amount",
    requirements=["PAY-003"],
    title="A request for a special value above 255 is not read as an amount",
)
async def special_as_amount(case: BankCase) -> None:
    """A signature under the value `03 00` is asked for. Whoever tests the first byte for being 1, and not its lowest
    bit, sells 524,288 instead. The account holds that much."""
    token = await case.funded(524_288)
    request = _raw_request(token, b"\x03\x00", case.mint.pending(1).request.blinded_message)
    reply = await case.post("/withdraw", request)
    balance = await case.balance(token)
    if reply.status != 400 or balance != 524_288:
        raise Violation(
            "status 400 for the value 0300, and nothing debited",
            f"status {reply.status} and a balance of {balance}",
            deployed="PAY-D05" if (reply.status, balance) == (200, 0) else None,
        )


@check(
    id="bank.withdraw.value-malformed",
    requirements=["PAY-002"],
    title="A request for a value that is no value is refused",
)
async def value_malformed(case: BankCase) -> None:
    """Signatures under values of no bytes, of one byte and with a first byte above 3, and without any value, are asked
    for. The bank must answer 400 and debit nothing."""
    token = await case.funded(16)
    blinded = case.mint.pending(1).request.blinded_message
    for octets in (None, b"", b"\x01", b"\x04\x01", b"\xff\xff"):
        what = (
            "a request without value" if octets is None else f"a request for the value {octets.hex() or 'of no bytes'}"
        )
        (await case.post("/withdraw", _raw_request(token, octets, blinded))).expect_refused(what, 400)
        await case.expect_balance(token, 16, what)


@check(
    id="bank.withdraw.value-too-long",
    requirements=["PAY-004", "PAY-055"],
    title="Bytes after a requested value are refused, or are not signed under",
)
async def value_too_long(case: BankCase) -> None:
    """A signature under the value `00 0a ff` is asked for. The bank should refuse it. If it signs, it must be for 10
    and under `00 0a`: under anything else the amount that was paid is not the one that is signed."""
    token, pending = await case.funded(16), case.mint.pending(10)
    reply = await case.post("/withdraw", _raw_request(token, b"\x00\x0a\xff", pending.request.blinded_message))
    debited = 16 - await case.balance(token)
    if reply.status == 200:
        _, signatures = reply.read(
            lambda content: messages.decode_withdraw_response(content, 1), "a withdrawal of the value 000aff"
        )
        right = signatures == (blind_rsa.blind_sign(case.mint.key, pending.request.blinded_message, b"\x00\x0a"),)
        raise Violation(
            "status 400 for a value of three bytes",
            f"{'the signature under 000a' if right else 'a signature under something else'} for {debited}",
            deployed="PAY-D19" if right and debited == 10 else None,
            level=Level.SHOULD if right and debited == 10 else Level.MUST,
        )
    reply.expect_refused("a request for a value of three bytes", 400)
    expect(debited == 0, expected="nothing to be debited for a refusal", observed=f"a debit of {debited}")


@check(
    id="bank.withdraw.repeated-message",
    requirements=["PAY-079"],
    title="A batch with one blinded message twice is refused",
)
async def repeated_message(case: BankCase) -> None:
    """A batch of three has the same blinded message in the first and the last place, once under one value and once
    under two. The bank must answer 400 and debit nothing."""
    token = await case.funded(100)
    for amount in (3, 4):
        first, second = _requests(case.pendings(3, 3))
        again = BlindSignRequest(currency.exact(amount), first.blinded_message)
        (await case.withdraw(token, [first, second, again])).expect_refused("a blinded message twice in one batch", 400)
        await case.expect_balance(token, 100, "a blinded message twice in one batch")


@check(
    id="bank.withdraw.uncovered",
    requirements=["PAY-082", "PAY-080"],
    title="A batch above the balance is refused whole",
)
async def uncovered(case: BankCase) -> None:
    """Three credits of 3 are asked of 8, one of 3 of 2, and one of 1 of nothing. Each must be refused, although
    parts of the first could be paid, and the balance must stay. Exactly what is there can then be withdrawn."""
    token = await case.funded(8)
    (await case.withdraw(token, _requests(case.pendings(3, 3, 3)))).expect_refused("a withdrawal of 9 from 8")
    await case.expect_balance(token, 8, "a refused withdrawal")
    await case.signed(token, case.pendings(3, 3))
    (await case.withdraw(token, _requests(case.pendings(3)))).expect_refused("a withdrawal of 3 from 2")
    await case.expect_balance(token, 2, "a refused withdrawal")
    await case.signed(token, case.pendings(2))
    (await case.withdraw(token, _requests(case.pendings(1)))).expect_refused("a withdrawal of 1 from 0")


@check(
    id="bank.withdraw.largest-sum",
    requirements=["PAY-080", "PAY-077"],
    title="Fifteen times the largest value is a sum like any other",
)
async def largest_sum(case: BankCase) -> None:
    """Fifteen credits of the largest value are asked of an account that has one unit less than that: refused. With the
    unit they must be signed. A sum that overflows 32 or 35 bits would be cheap."""
    token = await case.funded(*[MAX_AMOUNT] * 14, *_one_less_than_largest())
    pendings = case.pendings(*[MAX_AMOUNT] * 15)
    what = "15 times the largest value of one unit less"
    (await case.withdraw(token, _requests(pendings))).expect_refused(what)
    await case.paid_in(token, case.mint.credit(1))
    balance, _ = await case.signed(token, pendings)
    expect(balance == 0, expected="the balance 0", observed=f"the balance {balance}")


@check(
    id="bank.withdraw.unusable-message",
    requirements=["PAY-050", "PAY-080"],
    title="A batch with a blinded message that cannot be signed is refused whole",
)
async def unusable_message(case: BankCase) -> None:
    """Batches of three, the last message of which is empty, a byte short, a byte long, the modulus, or all ones, are
    asked for. Each must be refused, and nothing may be debited for the two good ones."""
    token = await case.funded(64)
    for what, message in unusable_messages(case):
        requests = [*_requests(case.pendings(3, 3)), BlindSignRequest(currency.exact(3), message)]
        (await case.withdraw(token, requests)).expect_refused(f"a batch with {what}")
        await case.expect_balance(token, 64, f"a batch with {what}")


@check(
    id="bank.withdraw.unknown-and-empty-alike",
    requirements=["PAY-081"],
    title="Withdrawals from unknown and from empty accounts are answered alike",
)
async def unknown_and_empty_alike(case: BankCase) -> None:
    """The same batch is asked of accounts that never were and of accounts that were emptied, by a batch and by a full
    withdrawal; once a good batch, once one of a special value, once one that cannot be signed. Status, fields except
    Date, and content must be the same: otherwise anyone can find out which tokens exist."""
    (good,) = _requests(case.pendings(1))
    emptied = {"an account emptied by a batch": await case.emptied()}
    emptied["an account emptied by a full withdrawal"] = token = await case.funded(16)
    await case.emptying(token)
    for what, request in (
        ("a withdrawal", good),
        ("a withdrawal of a special value", case.mint.pending(ATTESTATION).request),
        ("a withdrawal that cannot be signed", BlindSignRequest(good.value, b"")),
    ):
        unknown = [await case.withdraw(case.token(), [request]) for _ in range(2)]
        for whose, token in emptied.items():
            expect_alike(unknown, await case.withdraw(token, [request]), f"{what} from {whose}")


@check(
    id="bank.withdraw.race",
    requirements=["PAY-082", "PAY-080"],
    title="Withdrawals at once do not overdraw",
)
async def race(case: BankCase) -> None:
    """32 different withdrawals of 3 are asked at once of an account of 31. What is answered with 5xx is asked again
    until ten are signed. Exactly ten must be, and 1 must be left."""
    token = await case.funded(31)
    batches = [_requests(case.pendings(3)) for _ in range(32)]
    replies = await at_once([partial(case.withdraw, token, requests) for requests in batches])

    def signed() -> int:
        return sum(reply.status == 200 for reply in replies)

    with anyio.move_on_after(case.step_s):
        while signed() < 10 and any(reply.status >= 500 for reply in replies):
            for number, reply in enumerate(replies):
                if reply.status >= 500 and signed() < 10:
                    replies[number] = await case.withdraw(token, batches[number])
    balance = await case.balance(token)
    expect(
        (signed(), balance) == (10, 1),
        expected="10 withdrawals of 3 from 31, and 1 left",
        observed=f"{signed()} withdrawals, and {balance} left",
    )


def unusable_messages(case: BankCase) -> list[tuple[str, bytes]]:
    """Return blinded messages that no signer may sign, each with what is wrong with it."""
    key = case.mint.key.public_key
    good = case.mint.pending(1).request.blinded_message
    return [
        ("an empty blinded message", b""),
        ("a blinded message a byte short", good[1:]),
        ("a blinded message a byte long", b"\0" + good),
        ("the modulus as blinded message", key.modulus.to_bytes(key.length, "big")),
        ("a blinded message of ones", b"\xff" * key.length),
    ]


def expect_alike(unknown: Sequence[Reply], empty: Reply, what: str) -> None:
    """Require that a refusal cannot be told from those of two unknown accounts.

    A field whose values differ between the unknown ones, such as a number of the request, tells accounts apart no more
    than Date does: it only has to be there.
    """
    for reply in (*unknown, empty):
        reply.expect_refused(what)
    one, other = ([pair for pair in reply.fields if pair[0] != b"date"] for reply in unknown)
    drawn = {name for name, _ in set(one) ^ set(other)}

    def comparable(reply: Reply) -> list[tuple[bytes, bytes]]:
        return [(name, b"" if name in drawn else value) for name, value in reply.fields if name != b"date"]

    for part, first, second in (
        ("status", unknown[0].status, empty.status),
        ("fields", comparable(unknown[0]), comparable(empty)),
        ("content", unknown[0].content, empty.content),
    ):
        if first != second:
            raise Violation(
                f"{what} to be answered as from an account that never was: {part} {_shown(first)}",
                f"{part} {_shown(second)}",
            )


def _shown(part: int | bytes | list[tuple[bytes, bytes]]) -> str:
    if isinstance(part, list):
        return "; ".join(f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in part)
    return str(part)


def _raw_request(token: AccountToken, value: bytes | None, blinded_message: bytes) -> bytes:
    message = credit_pb2.BlindSignRequest(blinded_message=blinded_message)
    if value is not None:
        message.value.currency = value
    return bank_pb2.BatchWithdrawRequest(account_token=token.octets, requests=[message]).SerializeToString()


def _one_less_than_largest() -> list[int]:
    """Return amounts with values of their own that make one less than the largest value."""
    rest, amounts = MAX_AMOUNT - 1, []
    while rest:
        amounts.append(currency.neighbours(rest).lower)
        rest -= amounts[-1]
    return amounts
