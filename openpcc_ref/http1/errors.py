"""The one way in which an HTTP/1.1 exchange goes wrong."""

from __future__ import annotations

from enum import StrEnum


class Failure(StrEnum):
    """What kind of thing went wrong, for those who must tell them apart."""

    UNREACHABLE = "no connection"
    TIMEOUT = "nothing came in time"
    RESET = "connection reset"
    CLOSED = "connection closed early"
    MALFORMED = "malformed message"


class Http1Error(Exception):
    """The peer or the network broke an exchange.

    ``failure`` is what happened, ``where`` the place in the exchange, ``expected`` what would have been right,
    ``status`` the code a server answers it with. Misuse of this package is ValueError instead.
    """

    def __init__(self, failure: Failure, *, where: str, expected: str, detail: str = "", status: int = 400) -> None:
        super().__init__(f"{failure} at {where}: expected {expected}{f' ({detail})' if detail else ''}")
        self.failure = failure
        self.where = where
        self.expected = expected
        self.status = status


def is_http1_error(error: BaseException) -> bool:
    """Say whether an exception, which may be a group, consists of :class:`Http1Error` alone."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_http1_error(part) for part in error.exceptions)
    return isinstance(error, Http1Error)
