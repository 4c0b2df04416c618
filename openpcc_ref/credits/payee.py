"""The wallet's side of a credit: make a nonce, blind it, unblind what comes back. Chapter: ``spec/credits.md``."""

from __future__ import annotations

from openpcc_ref.credits import blind_rsa, credit
from openpcc_ref.credits.blind_rsa import BlindingState, Verification
from openpcc_ref.credits.credit import AnyCredit, Credit
from openpcc_ref.credits.currency import CurrencyValue
from openpcc_ref.credits.issuer import BlindSignRequest
from openpcc_ref.credits.nonce import Nonce, draw_nonce
from openpcc_ref.credits.rsa_keys import PublicKey, require_currency_key
from openpcc_ref.sources import Clock, RandomSource


class PendingCredit:
    """A credit that waits for its blind signature."""

    def __init__(self, value: CurrencyValue, nonce: Nonce, state: BlindingState, usable_from: int) -> None:
        self.request = BlindSignRequest(value, state.blinded_message)
        self.usable_from = usable_from
        """Unix time before which nobody may see the credit; the caller waits for it. Requirements: PAY-023, PAY-024."""
        self._nonce = nonce
        self._state = state
        self._finalized = False

    def finalize(self, blind_signature: bytes) -> Credit:
        """Return the credit, once. Requirements: PAY-052, PAY-056.

        Raises :class:`CreditRejected` as :func:`blind_rsa.finalize` does, after which another signature may be tried,
        and ValueError when the credit was handed out before.
        """
        if self._finalized:
            raise ValueError("this credit is already finalized")
        signature = blind_rsa.finalize(self._state, blind_signature)
        self._finalized = True
        return Credit(self.request.value, self._nonce, signature)


class Payee:
    """Prepares and verifies credits under one currency key. Requirements: PAY-020 to PAY-024, PAY-042 to PAY-049.

    Raises :class:`CreditRejected` for a key that cannot stand for money; ``allow_test_key`` admits 1024 bits.
    """

    def __init__(self, key: PublicKey, *, random: RandomSource, clock: Clock, allow_test_key: bool = False) -> None:
        require_currency_key(key, allow_test_key=allow_test_key)
        self.key = key
        self._random = random
        self._clock = clock

    def begin(self, value: CurrencyValue) -> PendingCredit:
        """Return a new credit of ``value`` to be signed."""
        nonce, usable_from = draw_nonce(int(self._clock().timestamp()), self._random)
        factor = blind_rsa.draw_blinding_factor(self.key, self._random)
        state = blind_rsa.blind(self.key, nonce.blind_bytes, value.blind_bytes, blinding_factor=factor)
        return PendingCredit(value, nonce, state, usable_from)

    def verify(self, any_credit: AnyCredit) -> Verification:
        """Verify a credit of either kind. Raises :class:`CreditRejected`."""
        return credit.verify_credit(self.key, any_credit)
