"""The parts of a credit: each has to be there and well formed, and no value is read as another."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from conformance.peers.bank import BankCase, Reply
from conformance.peers.mint import draw_nonce
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.credits import Credit, CurrencyValue, blind_rsa, credit, currency
from openpcc_ref.protobuf import bank_pb2, credit_pb2

_HIGH = CurrencyValue(256)
"""The smallest amount whose code has its highest bit set: 524,288."""


def _deposit(case: BankCase, message: credit_pb2.Credit, token: bytes) -> bytes:
    return bank_pb2.DepositRequest(account_token=token, credit=message).SerializeToString()


def _exchange(case: BankCase, message: credit_pb2.Credit) -> bytes:
    blinded = case.mint.pending(10).request.blinded_message
    return bank_pb2.ExchangeRequest(credit=message, blinded_message=blinded).SerializeToString()


async def _expect_malformed(case: BankCase, message: credit_pb2.Credit, what: str) -> None:
    """Require 400 for a credit as deposit and as exchange, and that nothing is booked."""
    token = case.token()
    reply = await case.post("/deposit", _deposit(case, message, token.octets))
    reply.expect_refused(f"a deposit of a credit {what}", 400)
    reply = await case.post("/exchange", _exchange(case, message))
    reply.expect_refused(f"an exchange of a credit {what}", 400)
    await case.expect_balance(token, 0, f"a deposit of a credit {what}")


@check(
    id="bank.credit.part-missing",
    requirements=["PAY-032"],
    title="A credit without value, nonce or signature is refused",
)
async def part_missing(case: BankCase) -> None:
    """From good credits the value, the nonce or the signature is taken away, or the signature is left empty."""
    for part in ("value", "nonce", "signature"):
        message = credit.to_message(case.mint.credit(10))
        message.ClearField(part)
        await _expect_malformed(case, message, f"without {part}")
    message = credit.to_message(case.mint.credit(10))
    message.signature = b""
    await _expect_malformed(case, message, "with an empty signature")


@check(
    id="bank.credit.absent",
    requirements=["PAY-032"],
    title="A request without its credit is refused",
)
async def absent(case: BankCase) -> None:
    """A deposit that names an account only, and an exchange that has a blinded message only, must be answered with
    400."""
    request = bank_pb2.DepositRequest(account_token=case.token().octets)
    (await case.post("/deposit", request.SerializeToString())).expect_refused("a deposit without credit", 400)
    exchange = bank_pb2.ExchangeRequest(blinded_message=case.mint.pending(10).request.blinded_message)
    (await case.post("/exchange", exchange.SerializeToString())).expect_refused("an exchange without credit", 400)


@check(
    id="bank.credit.nonce-incomplete",
    requirements=["PAY-026"],
    title="A nonce without stamp or of another length is refused",
)
async def nonce_incomplete(case: BankCase) -> None:
    """In good credits the stamp or the random part of the nonce is missing, or the random part is empty, a byte short
    or a byte long."""
    for part in ("timestamp", "nonce"):
        message = credit.to_message(case.mint.credit(10))
        message.nonce.ClearField(part)
        await _expect_malformed(case, message, f"whose nonce has no {part}")
    for change in (b"", lambda random: random[:-1], lambda random: random + b"\0"):
        message = credit.to_message(case.mint.credit(10))
        message.nonce.nonce = change(message.nonce.nonce) if callable(change) else change
        await _expect_malformed(case, message, f"whose nonce has {len(message.nonce.nonce)} random bytes")


@check(
    id="bank.credit.nanos",
    requirements=["PAY-027"],
    title="Nanoseconds of a stamp are ignored",
)
async def nanos(case: BankCase) -> None:
    """A good credit is deposited with `nanos` beside the seconds of its stamp. They are not signed: the deposit must be
    accepted, and the same credit without them must not be good for another one."""
    good, token, other = case.mint.credit(10), case.token(), case.token()
    message = credit.to_message(good)
    message.nonce.timestamp.CopyFrom(Timestamp(seconds=good.nonce.timestamp, nanos=999_999_999))
    reply = await case.post("/deposit", _deposit(case, message, token.octets))
    expect(reply.status == 200, expected="status 200 with nanos", observed=f"status {reply.status}")
    (await case.deposit(other, good)).expect_refused("the same credit without nanos")
    await case.expect_balance(token, 10, "a deposit with nanos")
    await case.expect_balance(other, 0, "a second deposit without nanos")


@check(
    id="bank.credit.value-malformed",
    requirements=["PAY-002"],
    title="A value that is no value is refused",
)
async def value_malformed(case: BankCase) -> None:
    """In good credits the value has no bytes, one byte, no field, or a first byte above 3. The signatures are made
    under the bytes that are sent, where they can be."""
    for octets in (None, b"", b"\x0a", b"\x04", b"\x04\x0a", b"\x80\x0a"):
        message = credit.to_message(case.mint.credit(10))
        message.value.ClearField("currency")
        if octets is not None:
            message.value.currency = octets
        what = "whose value has no field" if octets is None else f"of the value {octets.hex() or 'of no bytes'}"
        await _expect_malformed(case, message, what)


@check(
    id="bank.credit.special-as-amount",
    requirements=["PAY-003"],
    title="A special value above 255 is not read as an amount",
)
async def special_as_amount(case: BankCase) -> None:
    """A good credit of 524,288, the bytes `02 00`, is deposited as `03 00`, which is special. Whoever tests the first
    byte for being 1, and not its lowest bit, reads the plain amount, and finds the signature good."""
    token = case.token()
    for place, post in (("deposit", token.octets), ("exchange", None)):
        message = credit.to_message(case.mint.credit(_HIGH))
        message.value.currency = b"\x03\x00"
        if post is not None:
            reply = await case.post("/deposit", _deposit(case, message, post))
        else:
            reply = await case.post("/exchange", _exchange(case, message))
        _expect_400_or_deployed(reply, f"the {place} of a credit of the value 0300", "PAY-D05")


@check(
    id="bank.credit.value-too-long",
    requirements=["PAY-004"],
    title="Bytes after a value are refused, or count for nothing",
)
async def value_too_long(case: BankCase) -> None:
    """A good credit of 10 is deposited as `00 0a ff`. The bank should refuse it. If it accepts it, it must be as 10;
    and a signature that is made under all three bytes must not be accepted."""
    token = case.token()
    nonce = draw_nonce()
    framed = blind_rsa.frame(nonce.blind_bytes, b"\x00\x0a\xff")
    longer = Credit(currency.exact(10), nonce, case.mint.sign(framed, case.mint.exponent(b"\x00\x0a\xff")))
    message = credit.to_message(longer)
    message.value.currency = b"\x00\x0a\xff"
    reply = await case.post("/deposit", _deposit(case, message, token.octets))
    reply.expect_refused("a credit signed under three value bytes", 400)
    message = credit.to_message(case.mint.credit(10))
    message.value.currency = b"\x00\x0a\xff"
    reply = await case.post("/deposit", _deposit(case, message, token.octets))
    balance = await case.balance(token)
    expect(
        reply.status == 400 and balance == 0,
        expected="status 400 for a value of three bytes",
        observed=f"status {reply.status} and a balance of {balance}",
        deployed="PAY-D19" if (reply.status, balance) == (200, 10) else None,
    )


def _expect_400_or_deployed(reply: Reply, what: str, deployed: str) -> None:
    expect(
        reply.status == 400,
        expected=f"status 400 for {what}",
        observed=f"status {reply.status}",
        deployed=deployed if reply.status == 200 else None,
    )
