"""Reading a service's configuration: every member checked once, none unknown."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from openpcc_ref.errors import Rejected, require
from openpcc_ref.oblivious_http import decode_timestamp

_T = TypeVar("_T")


class ConfigRejected(Rejected):
    """The configuration of a service is not usable."""


class Settings:
    """One JSON object of a configuration; ``where`` is its path in the whole. Read what is known, then ``end``."""

    def __init__(self, members: object, where: str = "config") -> None:
        _require(isinstance(members, Mapping), "type", where, "an object")
        self._left: dict[str, Any] = dict(members) if isinstance(members, Mapping) else {}
        self._where = where

    def has(self, name: str) -> bool:
        """Say whether an optional member is there."""
        return name in self._left

    def url(self, name: str) -> str:
        """Take an absolute http or https URL."""
        return _url(self._take(name, str, "a URL"), self._path(name))

    def urls(self, name: str) -> list[str]:
        """Take a list of at least one such URL."""
        values = self.texts(name)
        _require(bool(values), "value", self._path(name), "at least one URL")
        return [_url(value, f"{self._path(name)}[{index}]") for index, value in enumerate(values)]

    def integer(self, name: str, low: int, high: int) -> int:
        """Take a number in a closed range."""
        value = self._take(name, int, "a number")
        _require(not isinstance(value, bool) and low <= value <= high, "value", self._path(name), f"{low} to {high}")
        return value

    def choice(self, name: str, among: Collection[int]) -> int:
        """Take one of some numbers."""
        value = self._take(name, int, "a number")
        _require(
            value in among, "value", self._path(name), f"one of {', '.join(str(int(value)) for value in sorted(among))}"
        )
        return value

    def hex_bytes(self, name: str, length: int | None = None) -> bytes:
        """Take ``length`` bytes in hexadecimal, or any number but none of them."""
        text = self._take(name, str, "a string of hexadecimal digits")
        try:
            value = bytes.fromhex(text)
        except ValueError:
            value = b""
        wanted = len(value) == length if length is not None else bool(value)
        _require(wanted, "value", self._path(name), f"{length or 'some'} bytes in hexadecimal")
        return value

    def hex_integer(self, name: str) -> int:
        """Take a positive number in hexadecimal."""
        text = self._take(name, str, "a number in hexadecimal")
        try:
            value = int.from_bytes(bytes.fromhex(text.rjust(len(text) + len(text) % 2, "0")), "big")
        except ValueError:
            value = 0
        _require(value > 0, "value", self._path(name), "a positive number in hexadecimal")
        return value

    def text(self, name: str) -> str:
        """Take a string that is not empty."""
        value = self._take(name, str, "a string")
        _require(bool(value), "value", self._path(name), "a string that is not empty")
        return value

    def optional_text(self, name: str) -> str | None:
        """Take a string, or None where the member is null or not there."""
        if self._left.get(name) is None:
            self._left.pop(name, None)
            return None
        return self.text(name)

    def texts(self, name: str) -> list[str]:
        """Take a list of strings."""
        values = self._take(name, list, "a list of strings")
        _require(all(isinstance(value, str) for value in values), "type", self._path(name), "a list of strings")
        return values

    def flag(self, name: str) -> bool:
        """Take a truth value; one that is not there is false."""
        return self._take(name, bool, "true or false") if name in self._left else False

    def object(self, name: str) -> Settings:
        """Take an object."""
        return Settings(self._take(name, dict, "an object"), self._path(name))

    def timestamp(self, name: str) -> datetime:
        """Take an RFC 3339 time stamp."""
        value = decode_timestamp(self._take(name, str, "an RFC 3339 time stamp"))
        _require(value is not None, "value", self._path(name), "an RFC 3339 time stamp")
        assert value is not None
        return value

    def objects(self, name: str) -> list[Settings]:
        """Take a list of at least one object."""
        rows = self._take(name, list, "a list of objects")
        _require(bool(rows), "value", self._path(name), "at least one object")
        return [Settings(row, f"{self._path(name)}[{index}]") for index, row in enumerate(rows)]

    def end(self) -> None:
        """Refuse members that nobody took."""
        unknown = ", ".join(sorted(self._left))
        _require(not unknown, "unknown", self._where, f"no member {unknown}")

    def _take(self, name: str, kind: type[_T], expected: str) -> _T:
        value = self._left.pop(name, None)
        _require(isinstance(value, kind), "missing" if value is None else "type", self._path(name), expected)
        assert isinstance(value, kind)
        return value

    def _path(self, name: str) -> str:
        return f"{self._where}.{name}"


def _url(text: str, where: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    _require(usable, "value", where, "an absolute http or https URL")
    return text


def _require(holds: bool, fault: str, where: str, expected: str) -> None:
    require(holds, ConfigRejected, f"config.{fault}", where=where, expected=expected)
