"""The nonce lock as its payees see it. Requirements: PAY-100, PAY-105."""

from __future__ import annotations

from urllib.parse import urlsplit

from openpcc_ref.banking import messages
from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.credits.nonce import Nonce
from openpcc_ref.http1 import Http1Error, exchange
from openpcc_ref.services.message_service import MEDIA_TYPE

_REFUSALS = {409: ("locked", "a nonce that is not locked"), 410: ("consumed", "a nonce that is not consumed")}

_NOT_ABOUT_THE_NONCE = (401, 402, 403, 407, 408, 421, 423, 425, 429, 451)
"""Statuses by which whatever stands before a nonce lock turns a request away: they say nothing of the nonce."""


class NonceLockUnavailable(Exception):
    """The nonce lock gave no usable answer: what became of the nonce is unknown."""


class NonceLockClient:
    """A nonce lock behind a URL. ``step_s`` bounds each wait for it, in seconds.

    Its refusals are :class:`BankingRejected` with ``nonce-lock.locked`` (409), ``nonce-lock.consumed`` (410) or
    ``nonce-lock.refused`` (another status of 400 to 499 that can be about the nonce); everything else is
    :class:`NonceLockUnavailable`.
    """

    def __init__(self, url: str, *, step_s: float = 10.0) -> None:
        self._url = url
        self._step_s = step_s

    async def lock(self, nonce: Nonce) -> str:
        """Lock a nonce and return the ticket."""
        content = await self._post("/lock", messages.encode_lock_request(nonce))
        try:
            return messages.decode_lock_response(content)
        except BankingRejected as rejected:
            raise NonceLockUnavailable(str(rejected)) from rejected

    async def consume(self, nonce: Nonce, ticket: str) -> None:
        """Consume a locked nonce. ``nonce-lock.consumed`` says that it was consumed under this very ticket."""
        await self._post("/consume", messages.encode_unlock_request(nonce, ticket))

    async def release(self, nonce: Nonce, ticket: str) -> None:
        """Free a locked nonce. ``nonce-lock.consumed`` says that it was consumed under this very ticket."""
        await self._post("/release", messages.encode_unlock_request(nonce, ticket))

    async def _post(self, path: str, content: bytes) -> bytes:
        target = (urlsplit(self._url).path.rstrip("/") + path).encode()
        fields = ((b"content-type", MEDIA_TYPE),)
        try:
            response, answer = await exchange(self._url, b"POST", target, fields, content, step_s=self._step_s)
        except Http1Error as error:
            raise NonceLockUnavailable(str(error)) from error
        if response.status == 200:
            return answer
        if 400 <= response.status < 500 and response.status not in _NOT_ABOUT_THE_NONCE:
            fault, expected = _REFUSALS.get(response.status, ("refused", "a nonce and a ticket that it accepts"))
            raise BankingRejected(f"nonce-lock.{fault}", where="nonce", expected=expected)
        raise NonceLockUnavailable(f"{path}: status {response.status}")
