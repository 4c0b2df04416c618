"""Canaries are found however they are dressed, and nothing else is."""

from __future__ import annotations

import base64
import hashlib
import os
from urllib.parse import quote

import pytest

from conformance.canaries import VERBATIM, address_renderings, search

SECRET = b"canary0a1b2c3d4e5f60718293a4b5"
ADDRESS = "192.0.2.77"


@pytest.mark.parametrize(
    ("dressed", "form"),
    [
        (b"session=" + SECRET, VERBATIM),
        (SECRET.upper(), VERBATIM),
        (SECRET[::-1], "reversed text"),
        (SECRET.hex().upper().encode(), "hex"),
        (b"".join(b"%%%02X" % octet for octet in SECRET), "percent-encoding"),
        (base64.b64encode(SECRET), "base64"),
        (base64.b64encode(b"a" + SECRET + b"z"), "base64"),
        (base64.b64encode(b"ab" + SECRET), "base64"),
        (base64.urlsafe_b64encode(b"session=" + SECRET + b"; path=/"), "base64"),
        (base64.b32encode(b"xyz" + SECRET + b"."), "base32"),
        (hashlib.sha256(SECRET).hexdigest().encode(), "a digest in hex"),
        (hashlib.sha256(SECRET).hexdigest()[:32].encode(), "a digest in hex"),
        (hashlib.md5(SECRET).hexdigest().encode(), "a digest in hex"),
        (base64.b64encode(hashlib.sha1(SECRET).digest()), "a digest in base64"),
    ],
)
def test_a_dressed_canary_is_found(dressed: bytes, form: str) -> None:
    (leak,) = search({"cookie": SECRET}, [("field x", dressed), ("field y", b"nothing")])
    assert (leak.secret, leak.place, leak.rendering) == ("cookie", "field x", form)


@pytest.mark.parametrize(
    "dressed",
    [
        b"for=192.0.2.77;proto=https",
        b"::ffff:192.0.2.77",
        b"::ffff:c000:24d",
        b"c000024d",
        b"3221226061",
        b"77.2.0.192.in-addr.arpa",
        base64.b64encode(b"ip=192.0.2.77,"),
        base64.b64encode(bytes([192, 0, 2, 77])),
        hashlib.sha256(b"192.0.2.77").hexdigest().encode(),
        quote("192.0.2.77").encode(),
    ],
)
def test_a_dressed_address_is_found(dressed: bytes) -> None:
    found = search({"address": b""}, [("field x", dressed)], forms=lambda _: address_renderings(ADDRESS))
    assert [leak.place for leak in found] == ["field x"]


def test_an_address_of_version_6_is_found() -> None:
    for dressed in (b"2001:db8::7", b"20010db8000000000000000000000007", b"[2001:DB8::7]:443"):
        found = search({"address": b""}, [("field x", dressed)], forms=lambda _: address_renderings("2001:db8::7"))
        assert found, dressed


def test_random_bytes_are_no_canary() -> None:
    noise = [(f"field {number}", base64.b64encode(os.urandom(300))) for number in range(200)]
    assert search({"cookie": SECRET}, noise) == []
    assert search({"address": b""}, noise, forms=lambda _: address_renderings(ADDRESS)) == []


def test_each_secret_is_told_of_at_each_place() -> None:
    other = SECRET[::-1].replace(b"0", b"x")
    leaks = search({"a": SECRET, "b": other}, [("p", SECRET + other), ("q", other)])
    assert [str(leak) for leak in leaks] == ["a in p", "b in p", "b in q"]
