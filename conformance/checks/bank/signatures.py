"""Signatures: good ones of the right thing, and nothing else, at each place that takes credits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from conformance.peers.bank import BankCase
from conformance.peers.mint import Mint, draw_nonce
from conformance.registry import check
from conformance.vectors.currency_keys import KEY_4096, OTHER_1024, OTHER_2048
from conformance.verdicts import Violation, expect
from openpcc_ref.credits import Credit, Nonce, PrivateKey, blind_rsa, currency
from openpcc_ref.credits.nonce import QUANTUM
from openpcc_ref.credits.pss import HASH_LENGTH
from openpcc_ref.credits.rsa_keys import generate_private_key

_AMOUNT = 20


async def _expect_refused_everywhere(
    case: BankCase, wrong: Sequence[tuple[str, Credit]], *, deployed: str | None = None
) -> None:
    """Require 400 for each credit as deposit and as exchange; what a bank takes is told with what was wrong with it."""
    token = await case.funded(1)
    for what, credit in wrong:
        for place, reply in (
            ("deposit", await case.deposit(token, credit)),
            ("exchange", await case.exchange(credit, case.mint.pending(credit.value))),
        ):
            if reply.status != 400:  # a credit that was taken says nothing at the next place
                raise Violation(
                    f"status 400 for the {place} of a credit with {what}",
                    f"status {reply.status}",
                    deployed=deployed if reply.status == 200 else None,
                )
    await case.expect_balance(token, 1, "credits with wrong signatures")


@check(
    id="bank.signature.other-key",
    requirements=["PAY-034", "PAY-075", "PAY-086"],
    title="A credit of another currency is refused",
)
async def other_key(case: BankCase) -> None:
    """Credits signed as they should be, by a key of the same length that is not the bank's, are deposited and
    exchanged."""
    key = _another_key(case)
    await _expect_refused_everywhere(case, [("a signature by another key", Mint(key).credit(_AMOUNT))])


@check(
    id="bank.signature.other-value",
    requirements=["PAY-034", "PAY-075", "PAY-086"],
    title="A signature is good for one value",
)
async def other_value(case: BankCase) -> None:
    """A good credit of 20 claims to be worth 40, 16 or the largest amount."""
    wrong = [
        (f"the value changed to {amount}", replace(case.mint.credit(_AMOUNT), value=currency.exact(amount)))
        for amount in (40, 16, currency.MAX_AMOUNT)
    ]
    await _expect_refused_everywhere(case, wrong)


@check(
    id="bank.signature.exponent-and-message",
    requirements=["PAY-043", "PAY-044"],
    title="The value is bound by the exponent and by the message",
)
async def exponent_and_message(case: BankCase) -> None:
    """The value goes into the exponent and into the signed message. Signatures that have it in one of the two only, and
    signatures under 65537 or without the frame, must be refused."""
    mint, value, other = case.mint, currency.exact(_AMOUNT).blind_bytes, currency.exact(40).blind_bytes

    def signed(nonce: Nonce, framed: bytes, exponent: int) -> Credit:
        return Credit(currency.exact(_AMOUNT), nonce, mint.sign(framed, exponent))

    nonces = [draw_nonce() for _ in range(4)]
    messages = [nonce.blind_bytes for nonce in nonces]
    frame = blind_rsa.frame
    await _expect_refused_everywhere(
        case,
        [
            ("another value in the message", signed(nonces[0], frame(messages[0], other), mint.exponent(value))),
            ("the exponent of another value", signed(nonces[1], frame(messages[1], value), mint.exponent(other))),
            ("the exponent 65537", signed(nonces[2], frame(messages[2], value), 65537)),
            ("a message without its frame", signed(nonces[3], messages[3], mint.exponent(value))),
        ],
    )


@check(
    id="bank.signature.nonce",
    requirements=["PAY-034", "PAY-025"],
    title="A signature is good for one nonce",
)
async def nonce(case: BankCase) -> None:
    """In good credits the stamp is moved by an hour, a bit of the random part is flipped, and two random parts are
    swapped."""
    one, other = case.mint.credit(_AMOUNT), case.mint.credit(_AMOUNT)
    stamp, random = one.nonce.timestamp, one.nonce.random
    flipped = random[:-1] + bytes([random[-1] ^ 1])
    await _expect_refused_everywhere(
        case,
        [
            ("another stamp", replace(one, nonce=Nonce(stamp + QUANTUM, random))),
            ("a flipped bit in the nonce", replace(one, nonce=Nonce(stamp, flipped))),
            ("the nonce of another credit", replace(one, nonce=other.nonce)),
        ],
    )


@check(
    id="bank.signature.changed",
    requirements=["PAY-034"],
    title="A changed signature is refused",
)
async def changed(case: BankCase) -> None:
    """In good signatures the first, a middle and the last byte are changed; others are all zeros, the number 1, and
    random."""
    length = case.mint.key.public_key.length
    wrong = []
    for at in (0, length // 2, length - 1):
        good = case.mint.credit(_AMOUNT)
        bent = bytearray(good.signature)
        bent[at] ^= 1
        wrong.append((f"byte {at} of the signature changed", replace(good, signature=bytes(bent))))
    number = case.random.randrange(2, case.mint.key.public_key.modulus).to_bytes(length, "big")
    for what, signature in (
        ("a signature of zeros", bytes(length)),
        ("the signature 1", (1).to_bytes(length, "big")),
        ("a random signature", number),
    ):
        wrong.append((what, replace(case.mint.credit(_AMOUNT), signature=signature)))
    await _expect_refused_everywhere(case, wrong)


@check(
    id="bank.signature.length",
    requirements=["PAY-053"],
    title="A signature is as long as the modulus",
)
async def length(case: BankCase) -> None:
    """Good signatures with a zero byte before or after them, and without their first or last byte. Those with a byte
    before them are the same numbers."""
    wrong = []
    for what, cut, before, after in (
        ("a zero byte before the signature", slice(None), b"\0", b""),
        ("a zero byte after the signature", slice(None), b"", b"\0"),
        ("a signature without its first byte", slice(1, None), b"", b""),
        ("a signature without its last byte", slice(-1), b"", b""),
    ):
        good = case.mint.credit(_AMOUNT)
        wrong.append((what, replace(good, signature=before + good.signature[cut] + after)))
    await _expect_refused_everywhere(case, wrong)


@check(
    id="bank.signature.not-below-modulus",
    requirements=["PAY-054"],
    title="A signature is a number below the modulus",
)
async def not_below_modulus(case: BankCase) -> None:
    """To a good signature the modulus is added, which leaves it the same number for whoever computes modulo it."""
    key = case.mint.key.public_key
    credit = case.mint.credit(_AMOUNT)
    while (number := int.from_bytes(credit.signature, "big") + key.modulus) >= 1 << 8 * key.length:
        credit = case.mint.credit(_AMOUNT)
    wrong = replace(credit, signature=number.to_bytes(key.length, "big"))
    await _expect_refused_everywhere(case, [("the modulus added to its signature", wrong)], deployed="PAY-D07")


@check(
    id="bank.signature.salt",
    requirements=["PAY-047", "PAY-045"],
    title="A salt has 48 bytes, whichever they are",
)
async def salt(case: BankCase) -> None:
    """A signature with a salt of 48 bytes ff must be accepted; those with no salt, with 32 and with 20 bytes must be
    refused. A salt that is not zero tells its client apart, but that is the client's harm."""
    value = currency.exact(_AMOUNT)

    def salted(salt: bytes) -> Credit:
        nonce = draw_nonce()
        framed = blind_rsa.frame(nonce.blind_bytes, value.blind_bytes)
        exponent = case.mint.exponent(value.blind_bytes)
        return Credit(value, nonce, case.mint.sign(framed, exponent, salt=salt))

    token = case.token()
    await case.paid_in(token, salted(b"\xff" * HASH_LENGTH))
    await case.exchanged(salted(b"\xff" * HASH_LENGTH))
    await _expect_refused_everywhere(case, [(f"a salt of {size} bytes", salted(bytes(size))) for size in (0, 20)])


@check(
    id="bank.signature.before-lock",
    requirements=["PAY-109"],
    title="The nonce lock is not asked about a bad credit",
)
async def before_lock(case: BankCase) -> None:
    """A credit is deposited and exchanged with a signature of zeros, with one that differs in its last bit, and under
    another value. The nonce lock must not hear of it: otherwise anyone who learns a nonce can block its credit. Then
    the good credit must be accepted."""
    good = case.mint.credit(_AMOUNT)
    bent = good.signature[:-1] + bytes([good.signature[-1] ^ 1])
    for bad in (
        replace(good, signature=bytes(len(good.signature))),
        replace(good, signature=bent),
        replace(good, value=currency.exact(2 * _AMOUNT)),
    ):
        (await case.deposit(case.token(), bad)).expect_refused("a bad signature")
        (await case.exchange(bad, case.mint.pending(bad.value))).expect_refused("a bad signature")
    await case.lock.peer.catch_up()
    asked = case.lock.asked(good.nonce)
    expect(not asked, expected="no call to the nonce lock for a bad credit", observed=" and ".join(asked))
    await case.paid_in(case.token(), good)


def _another_key(case: BankCase) -> PrivateKey:
    """Return a key of the length of the bank's that is not the bank's."""
    bits = case.mint.key.public_key.bits
    for key in (OTHER_1024, OTHER_2048, KEY_4096):
        if key.public_key.bits == bits and key != case.mint.key:
            return key
    return generate_private_key(bits, random=case.random.randbytes)
