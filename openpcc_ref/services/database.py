"""SQLite as the durable memory of a service: what a transaction wrote is there after any crash.

WAL with full synchronization: a committed transaction survives the end of the process and of the power. Everything is
done in the thread of the event loop, so that between two awaits nobody else writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


def open_database(path: str | None, schema: str) -> sqlite3.Connection:
    """Open or create the database; None keeps it in memory. Raises sqlite3.Error."""
    connection = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(schema)
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
