"""Taking credits: as payment, and in exchange for new ones. Chapter: ``spec/credits.md``.

The order of steps is what protects the money: verify, lock the nonce, deliver, consume, and hand out value only after
the nonce is consumed. The record of nonces is another party; a :class:`NonceLock` stands for it. Requirements: PAY-109
to PAY-111, PAY-085, PAY-087, PAY-123.
"""

from __future__ import annotations

from typing import Protocol

import anyio

from openpcc_ref.credits.credit import AnyCredit, Credit, UnblindedCredit
from openpcc_ref.credits.currency import CurrencyValue
from openpcc_ref.credits.errors import CreditRejected
from openpcc_ref.credits.issuer import BlindSignRequest, Issuer
from openpcc_ref.credits.nonce import Nonce
from openpcc_ref.errors import require


class NonceLock(Protocol):
    """The record of nonces that all payees share.

    ``lock`` returns a ticket, or raises :class:`CreditRejected` for a nonce that is locked, consumed or expired;
    ``consume`` and ``release`` want that ticket. Other exceptions mean that the record could not be reached.
    """

    async def lock(self, nonce: Nonce) -> str: ...
    async def consume(self, nonce: Nonce, ticket: str) -> None: ...
    async def release(self, nonce: Nonce, ticket: str) -> None: ...


async def _release(nonce_lock: NonceLock, nonce: Nonce, ticket: str) -> None:
    """Release a lock even if the task is being cancelled, as when the client has gone. Requirements: PAY-111."""
    with anyio.CancelScope(shield=True):
        await nonce_lock.release(nonce, ticket)


class Transaction:
    """One credit taken as payment, its nonce locked, to be settled once: committed or rolled back."""

    def __init__(self, issuer: Issuer, nonce_lock: NonceLock, credit: Credit, ticket: str) -> None:
        self.credit = credit
        self._issuer = issuer
        self._nonce_lock = nonce_lock
        self._ticket = ticket
        self._settled = False

    async def commit(self) -> None:
        """Consume the nonce: the credit is spent.

        If the nonce lock fails, the lock is released as far as possible and the credit counts as unspent. Raises
        ValueError when the transaction is settled already.
        """
        self._settle()
        try:
            await self._nonce_lock.consume(self.credit.nonce, self._ticket)
        except BaseException:
            await _release(self._nonce_lock, self.credit.nonce, self._ticket)
            raise

    async def commit_with_unspent(self, unspent: CurrencyValue) -> tuple[UnblindedCredit, int]:
        """Commit and return an unblinded credit of the rest, with the Unix time from which it may be handed out.

        Requirements: PAY-110, PAY-123. Raises :class:`CreditRejected` with ``currency.amount.special`` or
        ``credit.unspent.above-payment``; the transaction is still open then.
        """
        require(
            unspent.amount <= self.credit.value.amount,
            CreditRejected,
            "credit.unspent.above-payment",
            where="unspent value",
            expected="at most the value of the credit",
        )
        await self.commit()
        return self._issuer.issue_unblinded(unspent)

    async def rollback(self) -> None:
        """Release the nonce: the credit can be used again. Has no effect on a settled transaction."""
        if not self._settled:
            self._settled = True
            await _release(self._nonce_lock, self.credit.nonce, self._ticket)

    def _settle(self) -> None:
        if self._settled:
            raise ValueError("this transaction is already settled")
        self._settled = True


class Processor:
    """Takes credits as payment. Whether a value is acceptable is checked by the caller, before."""

    def __init__(self, issuer: Issuer, nonce_lock: NonceLock) -> None:
        self._issuer = issuer
        self._nonce_lock = nonce_lock

    async def begin(self, credit: Credit) -> Transaction:
        """Verify the credit, then lock its nonce. Requirements: PAY-109.

        Raises :class:`CreditRejected` for a signature that does not verify and for a nonce that cannot be locked.
        """
        if not isinstance(credit, Credit):
            raise TypeError("an unblinded credit must be exchanged before it pays for anything")
        self._issuer.verify(credit)
        ticket = await self._nonce_lock.lock(credit.nonce)
        return Transaction(self._issuer, self._nonce_lock, credit, ticket)


class Exchanger:
    """Swaps a credit of either kind for a new one of equal value."""

    def __init__(self, issuer: Issuer, nonce_lock: NonceLock) -> None:
        self._issuer = issuer
        self._nonce_lock = nonce_lock

    async def exchange(self, credit: AnyCredit, request: BlindSignRequest) -> bytes:
        """Return the blind signature for ``request`` after consuming the nonce of ``credit``.

        Requirements: PAY-085, PAY-087, PAY-109, PAY-110. Raises :class:`CreditRejected` with
        ``credit.exchange.other-value``, for a signature that does not verify, for a nonce that cannot be locked and for
        a blinded message that cannot be signed.
        """
        require(
            credit.value == request.value,
            CreditRejected,
            "credit.exchange.other-value",
            where="value",
            expected="the value of the credit",
        )
        self._issuer.verify(credit)
        ticket = await self._nonce_lock.lock(credit.nonce)
        try:
            signature = self._issuer.blind_sign(request)
        except BaseException:
            await _release(self._nonce_lock, credit.nonce, ticket)
            raise
        # Should this fail, nobody knows whether the nonce is consumed: no signature, and no second chance by release.
        await self._nonce_lock.consume(credit.nonce, ticket)
        return signature
