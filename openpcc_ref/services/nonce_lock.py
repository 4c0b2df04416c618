"""The nonce lock: the one record of spent nonces that AuthBank, bank and router share.

Run it as ``python -m openpcc_ref.services.nonce_lock`` with the configuration ``{"database": path or null}``.
Null keeps the record in memory. Requirements: PAY-026 to PAY-030, PAY-101 to PAY-108.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Self

from openpcc_ref.banking import messages, nonce_state
from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.banking.nonce_state import Consumed, Locked, NonceState
from openpcc_ref.credits.nonce import LIFESPAN, Expiry, Nonce, accepted_stamps, require_unexpired
from openpcc_ref.errors import Rejected, require
from openpcc_ref.http1 import IncomingRequest, field_values
from openpcc_ref.services.config import Settings
from openpcc_ref.services.database import open_database, transaction
from openpcc_ref.services.launch import main
from openpcc_ref.services.message_service import MEDIA_TYPE, MessageService, Route
from openpcc_ref.sources import Clock, RandomSource, system_clock, system_random

SCHEMA = """
CREATE TABLE IF NOT EXISTS nonces (
    random BLOB PRIMARY KEY,
    timestamp INTEGER NOT NULL,
    ticket TEXT NOT NULL,
    locked_since INTEGER -- null when consumed
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS nonces_by_timestamp ON nonces (timestamp);
"""

_STORE = """
INSERT INTO nonces VALUES (?, ?, ?, ?) ON CONFLICT (random) DO UPDATE SET
    timestamp = max(timestamp, excluded.timestamp), ticket = excluded.ticket, locked_since = excluded.locked_since
"""

REMEMBERED_S = LIFESPAN
"""Seconds for which a consumed nonce is known beyond PAY-030, so that a payee that was down learns that it consumed."""

TICKET_LENGTH = 8
"""Random bytes of a ticket."""

STATUSES = {"nonce-lock.locked": 409, "nonce-lock.consumed": 410, "nonce-lock.ticket": 404}
"""Status by code; every other refusal is 400. Requirements: PAY-105."""


class NonceLockService(MessageService):
    """A nonce lock on one database. A nonce is its 16 random bytes: another timestamp makes no other nonce."""

    expiry = Expiry.INTENDED

    def __init__(
        self, database: str | None = None, *, clock: Clock = system_clock, random: RandomSource = system_random
    ) -> None:
        self.records = open_database(database, SCHEMA)
        self.clock = clock
        self.random = random

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        settings = Settings(config)
        service = cls(settings.optional_text("database"))
        settings.end()
        return service

    def routes(self) -> Mapping[bytes, Route]:
        return {b"/lock": self.answer_lock, b"/consume": self.answer_consume, b"/release": self.answer_release}

    def status_of(self, rejected: Rejected) -> int:
        return STATUSES.get(rejected.code, 400)

    # -- messages ----------------------------------------------------------------------------------------------------

    async def answer_lock(self, request: IncomingRequest, content: bytes) -> bytes:
        """Answer ``/lock``. Requirements: PAY-026, PAY-105, PAY-106."""
        self.require_media_type(request)
        return messages.encode_lock_response(self.lock(messages.decode_lock_request(content)))

    async def answer_consume(self, request: IncomingRequest, content: bytes) -> bytes:
        """Answer ``/consume``. Requirements: PAY-026, PAY-105, PAY-106."""
        self.require_media_type(request)
        self.consume(*messages.decode_unlock_request(content))
        return b""

    async def answer_release(self, request: IncomingRequest, content: bytes) -> bytes:
        """Answer ``/release``. Requirements: PAY-026, PAY-105, PAY-106."""
        self.require_media_type(request)
        self.release(*messages.decode_unlock_request(content))
        return b""

    def require_media_type(self, request: IncomingRequest) -> None:
        """Refuse every content-type but the exact one. Requirements: PAY-106."""
        require(
            field_values(request.fields, b"content-type") == (MEDIA_TYPE,),
            BankingRejected,
            "message.media-type",
            where="content-type",
            expected=MEDIA_TYPE.decode(),
        )

    # -- transitions -------------------------------------------------------------------------------------------------

    def lock(self, nonce: Nonce) -> str:
        """Lock a nonce and return the ticket. Requirements: PAY-028, PAY-029, PAY-101 to PAY-103, PAY-107."""
        now = self.now()
        self.require_unexpired(nonce, now)
        ticket = self.draw_ticket()
        with transaction(self.records):
            self.forget_expired(now)
            self.store(nonce, self.locked(self.find(nonce), ticket, now))
        return ticket

    def consume(self, nonce: Nonce, ticket: str) -> None:
        """Consume a locked nonce. Requirements: PAY-102, PAY-104, PAY-108."""
        with transaction(self.records):
            self.store(nonce, self.consumed(self.find(nonce), ticket))

    def release(self, nonce: Nonce, ticket: str) -> None:
        """Free a locked nonce. Requirements: PAY-103, PAY-104."""
        with transaction(self.records):
            self.store(nonce, self.released(self.find(nonce), ticket))

    def locked(self, state: NonceState, ticket: str, now: int) -> NonceState:
        """Return the state after a lock."""
        return nonce_state.lock(state, ticket, now)

    def consumed(self, state: NonceState, ticket: str) -> NonceState:
        """Return the state after a consumption."""
        return nonce_state.consume(state, ticket)

    def released(self, state: NonceState, ticket: str) -> NonceState:
        """Return the state after a release."""
        nonce_state.release(state, ticket)
        return None

    def require_unexpired(self, nonce: Nonce, now: int) -> None:
        """Refuse a nonce of another time. Requirements: PAY-028, PAY-029."""
        require_unexpired(nonce, now, self.expiry)

    def draw_ticket(self) -> str:
        """Return a fresh ticket."""
        return self.random(TICKET_LENGTH).hex()

    def now(self) -> int:
        """Return the present moment in Unix seconds."""
        return int(self.clock().timestamp())

    # -- storage -----------------------------------------------------------------------------------------------------

    def find(self, nonce: Nonce) -> NonceState:
        """Return the present state of a nonce."""
        query = "SELECT ticket, locked_since FROM nonces WHERE random = ?"
        row = self.records.execute(query, (nonce.random,)).fetchone()
        return nonce_state.state_now(_state_of(row), self.now())

    def store(self, nonce: Nonce, state: NonceState) -> None:
        """Write the state of a nonce down, under the latest stamp it came with: it is remembered by that (PAY-030)."""
        if state is None:
            self.records.execute("DELETE FROM nonces WHERE random = ?", (nonce.random,))
            return
        since = state.since if isinstance(state, Locked) else None
        row = (nonce.random, nonce.timestamp, state.ticket, since)
        self.records.execute(_STORE, row)

    def forget_expired(self, now: int) -> None:
        """Drop what no lock would be granted for any more. Requirements: PAY-030."""
        oldest, _ = accepted_stamps(now - nonce_state.LOCK_S - REMEMBERED_S, self.expiry)
        self.records.execute("DELETE FROM nonces WHERE timestamp < ?", (oldest,))


def _state_of(row: tuple[str, int | None] | None) -> NonceState:
    if row is None:
        return None
    ticket, since = row
    return Consumed(ticket) if since is None else Locked(ticket, since)


if __name__ == "__main__":
    main(NonceLockService, sys.argv[1:])
