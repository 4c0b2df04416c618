"""AuthBank and bank as a client sees them: the first knows it and is asked directly, the second must not.

Chapter: ``spec/banking.md``. Requirements: AUTH-003, AUTH-005, PAY-089, PAY-094, PAY-095.
"""

from __future__ import annotations

from collections.abc import Sequence

from openpcc_ref.banking import authbank_messages, messages
from openpcc_ref.banking.accounts import AccountToken
from openpcc_ref.banking.authbank_messages import KEY_FIELD, AuthRefund, AuthSignature, AuthWithdrawal
from openpcc_ref.client.errors import ClientRejected, NoAnswer, Refused
from openpcc_ref.client.oblivious import ObliviousClient
from openpcc_ref.credits.credit import AnyCredit, Credit, UnblindedCredit
from openpcc_ref.credits.issuer import BlindSignRequest
from openpcc_ref.http1 import Http1Error, exchange
from openpcc_ref.protobuf import parse
from openpcc_ref.protobuf.error_pb2 import Error

MEDIA_TYPE = b"application/octet-stream"
BANK = b"confsec-bank.invalid"


class AuthBankClient:
    """An AuthBank behind a URL, for one API key. Every method raises :class:`NoAnswer` and :class:`Refused`."""

    def __init__(self, url: str, api_key: str, *, step_s: float = 10.0, local_host: str | None = None) -> None:
        self._url = url
        self._api_key = api_key
        self._step_s = step_s
        self._local_host = local_host

    async def withdraw(self, request: BlindSignRequest) -> AuthSignature:
        """Get one credit signed at the expense of the account. Requirements: AUTH-018."""
        content = authbank_messages.encode_withdrawal(AuthWithdrawal(self._api_key, request))
        return authbank_messages.decode_signature(await self._post(b"/api/auth", content))

    async def attest(self, request: BlindSignRequest) -> AuthSignature:
        """Get one attestation token signed, and the badge of the account. Requirements: AUTH-020."""
        content = authbank_messages.encode_withdrawal(AuthWithdrawal(self._api_key, request))
        return authbank_messages.decode_signature(await self._post(b"/api/attestationRequest", content))

    async def refund(self, credit: Credit) -> None:
        """Give one credit back. Requirements: AUTH-028."""
        await self._post(b"/api/refund", authbank_messages.encode_refund(AuthRefund(self._api_key, credit)))

    async def _post(self, path: bytes, content: bytes) -> bytes:
        fields = ((b"content-type", MEDIA_TYPE), (KEY_FIELD, self._api_key.encode()))
        try:
            response, answer = await exchange(
                self._url, b"POST", path, fields, content, step_s=self._step_s, local_host=self._local_host
            )
        except Http1Error as error:
            raise NoAnswer(str(error)) from error
        return require_answer("the AuthBank", response.status, answer)


class BankClient:
    """The bank behind relay and gateway. Every method raises :class:`NoAnswer` and :class:`Refused`."""

    def __init__(self, oblivious: ObliviousClient) -> None:
        self._oblivious = oblivious

    async def deposit(self, token: AccountToken, credit: Credit) -> int:
        """Put a credit into an account; return the balance. Requirements: PAY-074."""
        content = messages.encode_deposit_request(messages.Deposit(token, credit))
        return messages.decode_deposit_response(await self._post(b"/deposit", content))

    async def withdraw(self, token: AccountToken, requests: Sequence[BlindSignRequest]) -> tuple[bytes, ...]:
        """Get a batch signed; return the blind signatures. Requirements: PAY-094."""
        content = messages.encode_withdraw_request(messages.Withdrawal(token, tuple(requests)))
        answer = await self._post(b"/withdraw", content)
        return messages.decode_withdraw_response(answer, len(requests))[1]

    async def withdraw_full(self, token: AccountToken) -> UnblindedCredit:
        """Empty an account. Requirements: PAY-083."""
        answer = await self._post(b"/withdraw-full", messages.encode_withdraw_full_request(token))
        return messages.decode_withdraw_full_response(answer)

    async def exchange(self, credit: AnyCredit, request: BlindSignRequest) -> bytes:
        """Swap a credit for a new one; return the blind signature. Requirements: PAY-085."""
        content = messages.encode_exchange_request(messages.Exchange(credit, request.blinded_message))
        return messages.decode_exchange_response(await self._post(b"/exchange", content))

    async def _post(self, path: bytes, content: bytes) -> bytes:
        answer, answered = await self._oblivious.post(BANK, path, ((b"content-type", MEDIA_TYPE),), content)
        return require_answer("the bank", answer.status, answered)


def require_answer(party: str, status: int, content: bytes) -> bytes:
    """Return the content of a good answer. Raises :class:`Refused`, or :class:`NoAnswer` for a server's own failure."""
    if status == 200:
        return content
    if 400 <= status < 500:
        raise Refused(party, status, error_text(content))
    raise NoAnswer(f"{party} answered with status {status}")


def error_text(content: bytes) -> str:
    """Return what an ``Error`` message says, or how long the content is that is none."""
    try:
        return parse(Error, content, ClientRejected, "client.error.malformed").Message
    except ClientRejected:
        return f"{len(content)} bytes that are no message"
