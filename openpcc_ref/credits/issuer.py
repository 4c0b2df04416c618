"""The issuer of credits: AuthBank, BlindBank and router, with one key. Chapter: ``spec/credits.md``."""

from __future__ import annotations

from dataclasses import dataclass

from openpcc_ref.credits import blind_rsa, credit, currency
from openpcc_ref.credits.blind_rsa import Verification
from openpcc_ref.credits.credit import AnyCredit, UnblindedCredit
from openpcc_ref.credits.currency import ATTESTATION, CurrencyValue
from openpcc_ref.credits.errors import CreditRejected
from openpcc_ref.credits.nonce import draw_nonce
from openpcc_ref.credits.rsa_keys import PrivateKey, require_currency_key, require_safe_primes
from openpcc_ref.errors import require
from openpcc_ref.protobuf import credit_pb2
from openpcc_ref.sources import Clock, RandomSource


@dataclass(frozen=True, slots=True)
class BlindSignRequest:
    """What a client asks an issuer to sign: a message the issuer cannot read, under a value it can."""

    value: CurrencyValue
    blinded_message: bytes


def request_to_message(request: BlindSignRequest) -> credit_pb2.BlindSignRequest:
    """Return the protobuf message of a request."""
    return credit_pb2.BlindSignRequest(
        value=currency.to_message(request.value), blinded_message=request.blinded_message
    )


def request_from_message(message: credit_pb2.BlindSignRequest) -> BlindSignRequest:
    """Return the request of a protobuf message; the issuer checks the blinded message when it signs.

    Raises :class:`CreditRejected` with the codes of values.
    """
    return BlindSignRequest(currency.from_message(message.value), message.blinded_message)


class Issuer:
    """Signs blinded messages and makes unblinded credits. Requirements: PAY-040, PAY-041, PAY-050, PAY-051.

    The issuer signs under any value: charging its amount, and refusing values that are not for sale, is up to the
    service (PAY-055). Raises :class:`CreditRejected` for a key that cannot stand for money; ``allow_test_key`` admits
    1024 bits.
    """

    def __init__(self, key: PrivateKey, *, random: RandomSource, clock: Clock, allow_test_key: bool = False) -> None:
        require_currency_key(key.public_key, allow_test_key=allow_test_key)
        require_safe_primes(key)
        self.key = key.public_key
        self._private_key = key
        self._random = random
        self._clock = clock

    def blind_sign(self, request: BlindSignRequest) -> bytes:
        """Return the blind signature. Raises :class:`CreditRejected` as :func:`blind_rsa.blind_sign` does."""
        return blind_rsa.blind_sign(self._private_key, request.blinded_message, request.value.blind_bytes)

    def issue_unblinded(self, value: CurrencyValue) -> tuple[UnblindedCredit, int]:
        """Return a credit made without a client, and the Unix time from which it may be handed out.

        The issuer plays both sides, so that the credit is made like every other. Requirements: PAY-020 to PAY-024,
        PAY-046.
        """
        nonce, usable_from = draw_nonce(int(self._clock().timestamp()), self._random)
        factor = blind_rsa.draw_blinding_factor(self.key, self._random)
        state = blind_rsa.blind(self.key, nonce.blind_bytes, value.blind_bytes, blinding_factor=factor)
        signature = blind_rsa.finalize(state, self.blind_sign(BlindSignRequest(value, state.blinded_message)))
        return UnblindedCredit(value, nonce, signature), usable_from

    def verify(self, any_credit: AnyCredit) -> Verification:
        """Verify a credit of either kind. Raises :class:`CreditRejected`."""
        return credit.verify_credit(self.key, any_credit)


def require_positive_amount(value: CurrencyValue) -> int:
    """Return the amount of a value that is to be booked. Requirements: PAY-010, PAY-011.

    Raises :class:`CreditRejected` with ``currency.amount.special`` or ``currency.amount.zero``.
    """
    amount = value.amount
    require(amount > 0, CreditRejected, "currency.amount.zero", where="value", expected="an amount above zero")
    return amount


def require_attestation(value: CurrencyValue) -> None:
    """Refuse every value but ``01 00``. Requirements: PAY-011. Raises with ``currency.special.not-attestation``."""
    require(
        value == ATTESTATION,
        CreditRejected,
        "currency.special.not-attestation",
        where="value",
        expected="the bytes 01 00",
    )
