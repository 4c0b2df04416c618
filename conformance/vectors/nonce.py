"""The cases of ``vectors/nonce.json``. Chapter: ``spec/credits.md``."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.vectors.case import Case
from conformance.vectors.coins import coins
from conformance.vectors.making import answered, edited
from openpcc_ref.credits import Expiry, Nonce, nonce

_HOUR = 1735689600
"""2025-01-01T00:00:00Z, a full hour."""

_STAMPING = ("PAY-021", "PAY-022", "PAY-023", "PAY-024")
_PARSING = ("PAY-026", "PAY-027")


def cases() -> Iterator[Case]:
    """Yield the cases, every negative after its control."""
    yield from _choices()
    yield from _encodings()
    yield from _decodings()
    for reading in Expiry:
        yield from _expiries(reading)


def _choices() -> Iterator[Case]:
    for seconds, factor, comment in (
        (0, 0.9999999999999999, "on the hour the hour itself, whatever the factor"),
        (1, 0.9998, "a second after the hour, the next hour: wait for second 30"),
        (29, 0.992, "in the last second of waiting, the next hour"),
        (30, 0.992, "from second 30 on the next hour needs no waiting"),
        (1200, 0.6666, "after a third of the hour, below the probability of two thirds"),
        (1200, 0.6667, "after a third of the hour, above the probability of two thirds"),
        (1800, 0.5, "in the middle of the hour, a factor equal to the probability"),
        (3599, 0.0, "in the last second, a factor of 0"),
        (3599, 0.001, "in the last second, a factor above the probability"),
    ):
        value = {"now": _HOUR + seconds, "factor": factor}
        name = f"nonce.choose.second-{seconds}.{str(factor).replace('.', '-')}"
        yield answered(name, comment, "nonce.choose-timestamp", value, _STAMPING)


def _encodings() -> Iterator[Case]:
    random = coins("nonce.encode", "random", nonce.RANDOM_LENGTH).hex()
    for name, comment, timestamp in (
        ("hour", "a full hour", _HOUR),
        ("zero", "the beginning of Unix time; a timestamp of zero is there, not absent", 0),
        ("next-century", "more than 32 bits", 1 << 32),
        ("negative", "before the beginning of Unix time: two's complement", -3600),
    ):
        value = {"timestamp": timestamp, "random": random}
        yield answered(f"nonce.encode.{name}", comment, "nonce.encode", value, ("PAY-025", "PAY-027"))


def _decodings() -> Iterator[Case]:
    random = coins("nonce.decode", "random", nonce.RANDOM_LENGTH)
    stamp, length = "0a06" + "08" + "808bd2bb06", "1210"
    whole = stamp + length + random.hex()
    assert whole == nonce.encode_nonce(Nonce(_HOUR, random)).hex()
    control = answered("nonce.decode", "a full hour", "nonce.decode", {"message": whole}, _PARSING)
    yield control
    for name, comment, message in (
        ("nanos", "nanoseconds are ignored", "0a0c" + "08808bd2bb06" + "10ff93ebdc03" + length + random.hex()),
        ("reordered", "the random part first", length + random.hex() + stamp),
        ("unknown-fields", "unknown fields are ignored", whole + "1801" + "2a03ffffff"),
        ("seconds-absent", "a timestamp without seconds is the beginning of Unix time", "0a00" + length + random.hex()),
        ("not-an-hour", "a timestamp that is no full hour", "0a06" + "08818bd2bb06" + length + random.hex()),
    ):
        yield answered(f"nonce.decode.{name}", comment, "nonce.decode", {"message": message}, _PARSING)
    for fault, comment, code, message in (
        ("timestamp-absent", "no timestamp", "timestamp.absent", length + random.hex()),
        ("random-absent", "no random part", "random.length", stamp),
        ("random-empty", "an empty random part", "random.length", stamp + "1200"),
        ("random-short", "15 bytes", "random.length", stamp + "120f" + random[1:].hex()),
        ("random-long", "17 bytes", "random.length", stamp + "1211" + random.hex() + "00"),
        ("blind-bytes", "timestamp and random part in one field", "random.length", stamp + "1218" + "00" * 24),
        ("cut", "bytes that end in the middle of an unknown field", "malformed", whole + "2a05ff"),
        ("tag-zero", "a field with the number 0", "malformed", whole + "00"),
        ("trailing", "half a tag behind the end", "malformed", whole + "80"),
    ):
        yield edited(control, fault, comment, f"nonce.{code}", ("PAY-026",), message=message)


def _expiries(reading: Expiry) -> Iterator[Case]:
    """The nonce lock's window at three moments of an hour; the flag says whose reading it is."""
    oldest, newest = (0, 26) if reading is Expiry.DEPLOYED else (-26, 1)
    flags = (reading.value.capitalize(),)
    for second, first, last in (
        (0, oldest - 1, newest),
        (29, oldest - 1, newest),
        (30, oldest, newest),
        (3569, oldest, newest),
        (3570, oldest, newest + 1),
        (3599, oldest, newest + 1),
    ):
        base = f"nonce.expiry.{reading}.second-{second}"
        value = {"now": _HOUR + second, "reading": reading.value, "timestamp": _HOUR}
        control = answered(base, "this hour", "nonce.check-expiry", value, ("PAY-028",), flags=flags)
        yield control
        for name, comment, hours in (
            ("next-hour", "the next hour", 1),
            ("first", "the oldest hour that is accepted", first),
            ("last", "the newest hour that is accepted", last),
        ):
            edit = {**value, "timestamp": _HOUR + hours * nonce.QUANTUM}
            yield answered(f"{base}.{name}", comment, "nonce.check-expiry", edit, ("PAY-028",), flags=flags)
        for fault, comment, code, hours in (
            ("before", "the hour before the oldest", "expired", first - 1),
            ("behind", "the hour after the newest", "too-early", last + 1),
            ("past", "28 hours ago, refused by either reading", "expired", -28),
            ("future", "28 hours ahead, refused by either reading", "too-early", 28),
        ):
            edit = {"timestamp": _HOUR + hours * nonce.QUANTUM}
            yield edited(control, fault, comment, f"nonce.{code}", ("PAY-029",), **edit)
