"""Balances, begun spends and answers that may be asked for again, in one database.

Every method is one step; what belongs together is done in one ``transaction`` of its caller. Moments are Unix seconds.
Requirements: PAY-073, PAY-074, PAY-092, PAY-093.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any

from openpcc_ref.banking.spends import Spend
from openpcc_ref.credits.nonce import Nonce
from openpcc_ref.services.database import open_database, transaction

REPEATABLE_S = 600
"""Seconds for which an identical request gets the first answer again: longer than clients repeat (PAY-092)."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (id BLOB PRIMARY KEY, balance INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spends (
    nonce BLOB PRIMARY KEY,
    timestamp INTEGER NOT NULL,
    purpose BLOB NOT NULL,
    account_id BLOB NOT NULL,
    amount INTEGER NOT NULL,
    blind_signature BLOB NOT NULL,
    ticket TEXT NOT NULL,
    settled INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replies (
    request BLOB PRIMARY KEY,
    content BLOB NOT NULL,
    usable_from INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL
) WITHOUT ROWID;
"""

_SPEND = "timestamp, nonce, purpose, account_id, amount, blind_signature, ticket, settled"


@dataclass(frozen=True, slots=True)
class Reply:
    """The content of an answer, and the moment from which it may be given."""

    content: bytes
    usable_from: int = 0


class Ledger:
    """What bank and AuthBank remember. An account is known by an id of its own, never by its secret."""

    def __init__(self, path: str | None) -> None:
        self._connection: Connection = open_database(path, SCHEMA)

    def transaction(self) -> AbstractContextManager[object]:
        """Make one step of everything in the context."""
        return transaction(self._connection)

    def open_account(self, account_id: bytes, balance: int) -> None:
        """Open an account, unless there is one already."""
        self._connection.execute("INSERT OR IGNORE INTO accounts VALUES (?, ?)", (account_id, balance))

    def balance(self, account_id: bytes) -> int:
        """Return a balance; that of an unknown account is 0. Requirements: PAY-088."""
        row = self._one("SELECT balance FROM accounts WHERE id = ?", account_id)
        return row[0] if row else 0

    def set_balance(self, account_id: bytes, balance: int) -> None:
        """Set a balance. Requirements: PAY-074."""
        self._connection.execute("INSERT OR REPLACE INTO accounts VALUES (?, ?)", (account_id, balance))

    def record(self, spend: Spend, now: int) -> None:
        """Write down a spend that begins. Raises sqlite3.IntegrityError if the nonce has one."""
        nonce = spend.nonce
        row = (spend.purpose, spend.account_id, spend.amount, spend.blind_signature, spend.ticket, spend.settled, now)
        self._connection.execute(
            "INSERT INTO spends VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (nonce.random, nonce.timestamp, *row)
        )

    def find_spend(self, nonce: Nonce) -> Spend | None:
        """Return what is written down about a nonce."""
        row = self._one(f"SELECT {_SPEND} FROM spends WHERE nonce = ?", nonce.random)
        return _spend(row) if row else None

    def expected(self, account_id: bytes) -> int:
        """Return what spends that were begun and not ended will add to a balance, if they succeed."""
        row = self._one("SELECT sum(amount) FROM spends WHERE account_id = ? AND NOT settled", account_id)
        return row[0] or 0

    def unsettled(self) -> list[Spend]:
        """Return the spends that were begun and not ended."""
        rows = self._connection.execute(f"SELECT {_SPEND} FROM spends WHERE NOT settled ORDER BY recorded_at")
        return [_spend(row) for row in rows.fetchall()]

    def mark_settled(self, spend: Spend, now: int) -> bool:
        """Note that the nonce is consumed under this spend's ticket; say whether this was the first note of it.

        However long ago the spend began, its answer can be asked for from now on (PAY-092).
        """
        cursor = self._connection.execute(
            "UPDATE spends SET settled = 1, recorded_at = ? WHERE nonce = ? AND ticket = ? AND NOT settled",
            (now, spend.nonce.random, spend.ticket),
        )
        return cursor.rowcount == 1

    def drop(self, spend: Spend) -> None:
        """Forget a spend that came to nothing, but not another one of the same nonce, begun under a later ticket."""
        self._connection.execute(
            "DELETE FROM spends WHERE nonce = ? AND ticket = ? AND NOT settled", (spend.nonce.random, spend.ticket)
        )

    def keep_reply(self, request: bytes, reply: Reply, now: int) -> None:
        """Remember the answer to a request."""
        row = (request, reply.content, reply.usable_from, now)
        self._connection.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)", row)

    def find_reply(self, request: bytes) -> Reply | None:
        """Return the answer that a request got."""
        row = self._one("SELECT content, usable_from FROM replies WHERE request = ?", request)
        return Reply(*row) if row else None

    def forget_reply(self, request: bytes) -> None:
        """Forget the answer to a request."""
        self._connection.execute("DELETE FROM replies WHERE request = ?", (request,))

    def forget_old(self, now: int) -> None:
        """Forget what nobody may ask for again: the nonce lock alone remembers spent nonces for long."""
        before = (now - REPEATABLE_S,)
        self._connection.execute("DELETE FROM spends WHERE settled AND recorded_at < ?", before)
        self._connection.execute("DELETE FROM replies WHERE recorded_at < ?", before)

    def _one(self, query: str, parameter: bytes) -> Any:
        return self._connection.execute(query, (parameter,)).fetchone()


def _spend(row: Any) -> Spend:
    timestamp, random, purpose, account_id, amount, blind_signature, ticket, settled = row
    return Spend(Nonce(timestamp, random), purpose, account_id, amount, blind_signature, ticket, bool(settled))
