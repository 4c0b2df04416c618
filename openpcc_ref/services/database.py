"""SQLite as the durable memory of a service: what a transaction wrote is there after any crash.

WAL with full synchronization: a committed transaction survives the end of the process and of the power. Everything is
done in the thread of the event loop, so that between two awaits nobody else writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from openpcc_ref.services.config import ConfigRejected

BUSY_S = 30
"""How long a service waits for another that still has the database, as one that is just ending, in seconds."""


def open_database(path: str | None, schema: str) -> sqlite3.Connection:
    """Open or create the database; None keeps it in memory. Raises :class:`ConfigRejected`."""
    try:
        connection = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=BUSY_S)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(schema)
    except sqlite3.Error as error:
        raise ConfigRejected("config.value", where="config.database", expected=f"a usable database: {error}") from error
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Do everything in the context or, if it raises, nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
