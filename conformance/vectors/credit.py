"""The cases of ``vectors/credit.json``. Chapter: ``spec/credits.md``."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.vectors.blind_rsa_faults import blinding_of, modulus_of, primes_of
from conformance.vectors.case import Case, Json
from conformance.vectors.coins import coins
from conformance.vectors.currency_keys import DEPLOYED_1024, DRAFT_2048, KEY_3072, KEY_4096, OTHER_2048
from conformance.vectors.making import accepted_by_deployed_code, answered, edited, flipped
from openpcc_ref.base64_text import to_text
from openpcc_ref.credits import PrivateKey
from openpcc_ref.protobuf.credit_pb2 import Credit as Message

_HOUR = 1735689600
"""2025-01-01T00:00:00Z, a full hour."""

_MAKING = ("PAY-025", "PAY-033", "PAY-043", "PAY-044", "PAY-045", "PAY-046")
_MAKE_STEPS = ("framed_message", "encoded_message", "blinded_message", "blind_signature")
_SIGNATURE = "aa" * 128
_INVALID = "blind-rsa.signature.invalid"

_DEPLOYED_CODE_ACCEPTS = {"credit.message.value-trailing", "credit.text.folded"}


def cases() -> Iterator[Case]:
    """Yield the cases, every negative after its control."""
    for case in _all():
        yield accepted_by_deployed_code(case) if case.id in _DEPLOYED_CODE_ACCEPTS else case


def _all() -> Iterator[Case]:
    for key in (DEPLOYED_1024, DRAFT_2048, KEY_3072, KEY_4096):
        yield _made(key, "0011", "amount 17")
        yield _made(key, "0100", "an attestation token")
    yield _made(DEPLOYED_1024, "02ff", "the largest amount")
    yield _made(DEPLOYED_1024, "0000", "ordinary zero")
    yield from _messages()
    yield from _texts()
    yield from _verifications(DEPLOYED_1024)
    yield from _verifications(DRAFT_2048)


def _made(key: PrivateKey, value: str, comment: str) -> Case:
    bits = key.public_key.bits
    case_id = f"credit.make.{bits}.{value}"
    blinding = blinding_of(key, case_id, value)
    member = {
        **primes_of(key),
        "value": value,
        "timestamp": _HOUR,
        "random": coins(case_id, "random", 16).hex(),
        "blinding_factor": blinding["blinding_factor"],
    }
    return answered(case_id, f"{comment}, {bits} bits", "credit.make", member, _MAKING, steps=_MAKE_STEPS)


def _field(tag: str, octets: str) -> str:
    """Return a field of at most 16,383 octets."""
    length = len(octets) // 2
    encoded = f"{length:02x}" if length < 128 else f"{length & 127 | 128:02x}{length >> 7:02x}"
    return tag + encoded + octets


def _nonce(random: str, seconds: str = "08808bd2bb06") -> str:
    return _field("0a", seconds) + _field("12", random)


def _messages() -> Iterator[Case]:
    name = "credit.decode-message"
    random = coins("credit.message", "random", 16).hex()
    value, nonce, signature = _field("0a", "0a020011"), _field("12", _nonce(random)), _field("1a", _SIGNATURE)
    whole = value + nonce + signature
    control = answered("credit.message", "amount 17", name, {"message": whole}, ("PAY-032",))
    yield control
    for fault, comment, message in (
        ("reordered", "the parts in another order", signature + nonce + value),
        ("unknown-fields", "unknown fields are ignored", whole + "2001" + "2a03ffffff"),
        ("signature-short", "a signature of one byte is for verification to refuse", value + nonce + "1a01aa"),
        ("special", "a special value", _field("0a", "0a020100") + nonce + signature),
        ("split", "a value in two pieces is put together", _field("0a", "") + whole),
    ):
        yield answered(f"{control.id}.{fault}", comment, name, {"message": message}, ("PAY-032",))
    for fault, comment, code, message in (
        ("value-absent", "no value", "credit.value.absent", nonce + signature),
        ("nonce-absent", "no nonce", "credit.nonce.absent", value + signature),
        ("signature-absent", "no signature", "credit.signature.absent", value + nonce),
        ("signature-empty", "an empty signature", "credit.signature.absent", value + nonce + "1a00"),
        ("value-empty", "a value without bytes", "currency.bytes.truncated", "0a00" + nonce + signature),
        ("value-trailing", "a value of three bytes", "currency.bytes.trailing", "0a050a03001100" + nonce + signature),
        (
            "value-bits",
            "a value with a bit too high",
            "currency.bytes.unknown-bits",
            "0a040a020411" + nonce + signature,
        ),
        (
            "timestamp-absent",
            "a nonce without timestamp",
            "nonce.timestamp.absent",
            _with(value, _field("12", random), signature),
        ),
        (
            "random-absent",
            "a nonce without random part",
            "nonce.random.length",
            _with(value, "0a0608808bd2bb06", signature),
        ),
        (
            "random-short",
            "a random part of 15 bytes",
            "nonce.random.length",
            _with(value, _nonce(random[2:]), signature),
        ),
        (
            "random-long",
            "a random part of 17 bytes",
            "nonce.random.length",
            _with(value, _nonce(random + "00"), signature),
        ),
        ("cut", "bytes that end in the middle of an unknown field", "credit.malformed", whole + "2a05ff"),
        ("trailing", "half a tag behind the end", "credit.malformed", whole + "80"),
    ):
        yield edited(control, fault, comment, code, message=message)


def _with(value: str, nonce: str, signature: str) -> str:
    return value + _field("12", nonce) + signature


def _texts() -> Iterator[Case]:
    message = _with(_field("0a", "0a0202fe"), _nonce("ff" * 16), _field("1a", "fb" * 130))
    text = to_text(bytes.fromhex(message))
    assert "+" in text
    assert "/" in text
    assert text.endswith("=")
    control = answered(
        "credit.text", "an amount in the header field", "credit.decode-text", {"text": text}, ("PAY-033",)
    )
    yield control
    for fault, comment, edit in (
        ("url-safe", "the URL-safe alphabet", text.replace("+", "-").replace("/", "_")),
        ("unpadded", "no padding", text.rstrip("=")),
        ("folded", "a line break after 76 characters", f"{text[:76]}\r\n{text[76:]}"),
        ("space", "a space at the end", text + " "),
    ):
        yield edited(control, fault, comment, "credit.text.base64", text=edit)


def _verifications(key: PrivateKey) -> Iterator[Case]:
    bits = key.public_key.bits
    for value, comment in (("0011", "amount 17"), ("0100", "an attestation token")):
        made = _made(key, value, comment)
        assert made.expected is not None
        member: Json = {**modulus_of(key), "message": made.expected["message"]}
        control = answered(f"credit.verify.{bits}.{value}", comment, "credit.verify", member, ("PAY-034",))
        yield control
        other = "0000" if value == "0100" else "02ff"
        for fault, change, message in _changed(bytes.fromhex(made.expected["message"]), other):
            yield edited(control, fault, change, _INVALID, message=message)
        longer = Message.FromString(bytes.fromhex(made.expected["message"]))
        longer.signature = b"\0" + longer.signature
        error, octets = "blind-rsa.signature.length", longer.SerializeToString().hex()
        yield edited(control, "signature-long", "a zero byte before the signature", error, ("PAY-053",), message=octets)
    if key is DRAFT_2048:
        yield edited(control, "other-key", "another key", _INVALID, modulus=modulus_of(OTHER_2048)["modulus"])


def _changed(credit: bytes, other_value: str) -> Iterator[tuple[str, str, str]]:
    """Yield the credit with one of its parts changed."""
    message = Message.FromString(credit)
    message.value.currency = bytes.fromhex(other_value)
    yield "other-value", f"the value {other_value}", message.SerializeToString().hex()
    message = Message.FromString(credit)
    message.nonce.timestamp.seconds += 3600
    yield "later", "the next hour", message.SerializeToString().hex()
    message = Message.FromString(credit)
    message.nonce.nonce = bytes.fromhex(flipped(message.nonce.nonce.hex(), 0))
    yield "other-random", "a bit of the random part", message.SerializeToString().hex()
    for name, position in (("first", 0), ("last", -1)):
        message = Message.FromString(credit)
        message.signature = bytes.fromhex(flipped(message.signature.hex(), position))
        yield f"signature-{name}", f"a bit of the {name} byte of the signature", message.SerializeToString().hex()
