"""Canaries: marked values, and the search for them in what a party saw, as they are and re-encoded."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

VERBATIM = "verbatim"

_DIGESTS: tuple[Callable[[bytes], bytes], ...] = (
    lambda secret: hashlib.md5(secret, usedforsecurity=False).digest(),
    lambda secret: hashlib.sha1(secret, usedforsecurity=False).digest(),
    lambda secret: hashlib.sha256(secret).digest(),
    lambda secret: hashlib.sha512(secret).digest(),
)
_SHORTEST_DIGEST = 16
"""How many leading bytes of a digest are searched for; some are truncated before they are used as a name."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A canary that was found."""

    secret: str
    """What the canary stands for."""
    place: str
    rendering: str

    def __str__(self) -> str:
        how = "" if self.rendering == VERBATIM else f" as {self.rendering}"
        return f"{self.secret} in {self.place}{how}"


def renderings(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the forms in which a value is searched for: (name of the form, lower-case bytes)."""
    yield VERBATIM, secret.lower()
    yield "reversed text", secret[::-1].lower()
    yield "hex", secret.hex().encode()
    yield "percent-encoding", b"".join(b"%%%02x" % octet for octet in secret)
    for skipped in range(3):
        for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            yield name, _inner(encode(bytes(skipped) + secret), skipped, len(secret), 6).lower()
    for skipped in range(5):
        yield "base32", _inner(base64.b32encode(bytes(skipped) + secret), skipped, len(secret), 5).lower()
    for digest in _DIGESTS:
        value = digest(secret)[:_SHORTEST_DIGEST]
        yield "a digest in hex", value.hex().encode()
        yield "a digest in base64", base64.b64encode(value)[:21].lower()
        yield "a digest in base64url", base64.urlsafe_b64encode(value)[:21].lower()


def address_renderings(address: str) -> Iterator[tuple[str, bytes]]:
    """Yield the forms in which an IP address is searched for."""
    yield from renderings(address.encode())
    parsed = ip_address(address)
    yield "packed hex", parsed.packed.hex().encode()
    yield "an integer", str(int(parsed)).encode()
    yield "packed base64", base64.b64encode(parsed.packed).rstrip(b"=").lower()
    yield "reverse pointer", parsed.reverse_pointer.encode()
    if isinstance(parsed, IPv4Address):
        yield "reversed octets", ".".join(reversed(address.split("."))).encode()
        yield "a mapped address", f"::ffff:{parsed.packed[:2].hex()}:".encode()


def search(
    secrets: Mapping[str, bytes],
    places: Iterable[tuple[str, bytes]],
    *,
    forms: Callable[[bytes], Iterator[tuple[str, bytes]]] = renderings,
) -> list[Leak]:
    """Return where the secrets (name to value) show, each place and secret at most once."""
    needles = [(name, list(dict.fromkeys(forms(value)))) for name, value in secrets.items()]
    found = []
    for place, haystack in places:
        lowered = haystack.lower()
        for name, rendered in needles:
            hit = next((form for form, needle in rendered if needle in lowered), None)
            if hit is not None:
                found.append(Leak(name, place, hit))
    return found


def _inner(encoded: bytes, skipped: int, length: int, bits: int) -> bytes:
    """Return the characters of an encoding that depend on the secret alone, not on what stands around it."""
    first = -(-skipped * 8 // bits)
    return encoded[first : (skipped + length) * 8 // bits]
