"""What must be refused of ``vectors/blind_rsa.json``, under the 1024-bit key. Chapter: ``spec/credits.md``.

Lengths are shown wrong by a leading zero byte too many or too few, and ranges by the modulus added once: the number
meant is the same, so nothing but the check of length or range can refuse it. Fitting inputs are searched for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha384
from itertools import count
from math import gcd

from conformance.vectors.case import Case, Json
from conformance.vectors.coins import coin_source, coins
from conformance.vectors.currency_keys import DEPLOYED_1024, DRAFT_2048, OTHER_2048
from conformance.vectors.making import answered, edited, flipped
from openpcc_ref.credits import PrivateKey, blind_rsa, pss

_KEY = DEPLOYED_1024
_MODULUS = _KEY.public_key.modulus
_LENGTH = _KEY.public_key.length
_METADATA = "0011"
_FULL = 1 << 8 * _LENGTH
_INVALID = "blind-rsa.signature.invalid"
_VERIFYING = ("PAY-043", "PAY-044", "PAY-045", "PAY-047")

BLIND_STEPS = ("exponent", "framed_message", "encoded_message", "inverse")
VERIFY_STEPS = ("exponent", "framed_message", "encoded_message")


def cases() -> Iterator[Case]:
    """Yield the refusals, each after its control."""
    yield from _unblindable()
    yield from _unsignable()
    yield from _unfinalizable()
    yield from _verification_bounds()
    yield from _foreign_signatures()
    yield from _odd_encodings()
    yield from _other_keys()


def modulus_of(key: PrivateKey) -> Json:
    """Return the input member of a verifier's key."""
    return {"modulus": _octets(key.public_key.modulus, key)}


def primes_of(key: PrivateKey) -> Json:
    """Return the input members of a signer's key."""
    return {"p": f"{key.p:0{key.public_key.length}x}", "q": f"{key.q:0{key.public_key.length}x}"}


def blinding_of(key: PrivateKey, label: str, metadata: str) -> Json:
    """Return the input of a blinding, its secrets drawn for ``label``."""
    factor = blind_rsa.draw_blinding_factor(key.public_key, coin_source(label, "blinding factor"))
    return {
        **modulus_of(key),
        "message": coins(label, "message", 24).hex(),
        "metadata": metadata,
        "salt": blind_rsa.ZERO_SALT.hex(),
        "blinding_factor": _octets(factor, key),
    }


def _octets(number: int, key: PrivateKey = _KEY) -> str:
    return number.to_bytes(key.public_key.length, "big").hex()


def _searched(label: str, fits: Callable[[Json], bool]) -> Json:
    """Return the first input of a blinding, among those of numbered labels, that ``fits``."""
    return next(value for n in count() if fits(value := blinding_of(_KEY, f"{label}-{n}", _METADATA)))


def _encoded(value: Json) -> int:
    framed = blind_rsa.frame(bytes.fromhex(value["message"]), bytes.fromhex(value["metadata"]))
    return int.from_bytes(pss.encode(framed, _MODULUS.bit_length() - 1, blind_rsa.ZERO_SALT), "big")


def _raw(number: int, exponent: int | None = None) -> int:
    """Return ``number`` under the inverse of the metadata's exponent, or of another one."""
    exponent = exponent or blind_rsa.derive_exponent(_KEY.public_key, bytes.fromhex(_METADATA))
    return pow(number, pow(exponent, -1, (_KEY.p - 1) * (_KEY.q - 1)), _MODULUS)


def _blinded(value: Json) -> int:
    exponent = blind_rsa.derive_exponent(_KEY.public_key, bytes.fromhex(_METADATA))
    return _encoded(value) * pow(int(value["blinding_factor"], 16), exponent, _MODULUS) % _MODULUS


def _unblindable() -> Iterator[Case]:
    """A modulus that shares a factor with the encoded message is not one of two large primes."""
    modulus = next(number for number in range(_MODULUS - 6, _MODULUS) if number % 6 == 3)

    def fits(value: Json) -> bool:
        return _encoded(value) % 3 == 0 and gcd(int(value["blinding_factor"], 16), modulus) == 1

    value = _searched("blind-rsa.coprime", fits)
    name, comment = "blind-rsa.blind", "a modulus without small factors"
    control = answered("blind-rsa.coprime", comment, name, value, ("PAY-049",), steps=BLIND_STEPS)
    yield control
    error = "blind-rsa.message.not-coprime"
    yield edited(control, "three", "modulus and encoded message divisible by 3", error, modulus=_octets(modulus))


def _unsignable() -> Iterator[Case]:
    requirements, name = ("PAY-050",), "blind-rsa.blind-sign"
    label, comment = "blind-rsa.signable", "a blinded message that begins with a zero byte"
    small = _octets(_blinded(_searched(label, lambda value: 0 < _blinded(value) < _FULL >> 8)))
    control = answered(
        label, comment, name, {**primes_of(_KEY), "metadata": _METADATA, "blinded_message": small}, requirements
    )
    yield control
    zero = {**control.input, "blinded_message": "00" * _LENGTH}
    yield answered(f"{label}.zero", "the number zero is below the modulus", name, zero, requirements)
    for fault, comment, octets in (
        ("short", "without its leading zero byte", small[2:]),
        ("long", "with a zero byte more", "00" + small),
        ("empty", "no bytes", ""),
        ("double", "as many zero bytes before it", "00" * _LENGTH + small),
    ):
        yield edited(control, fault, comment, "blind-rsa.blinded-message.length", blinded_message=octets)
    for fault, comment, number in (
        ("modulus", "the modulus itself", _MODULUS),
        ("plus-modulus", "the same number plus the modulus", int(small, 16) + _MODULUS),
        ("all-ones", "the largest number of that many bytes", _FULL - 1),
    ):
        error = "blind-rsa.blinded-message.range"
        yield edited(control, fault, comment, error, blinded_message=number.to_bytes(_LENGTH, "big").hex())


def _unfinalizable() -> Iterator[Case]:
    requirements, name, error = ("PAY-052",), "blind-rsa.finalize", "blind-rsa.blind-signature"
    label, comment = "blind-rsa.finalizable", "a blind signature that begins with a zero byte"
    value = _searched(label, lambda value: _raw(_blinded(value)) < _FULL >> 8)
    blind_signature = _octets(_raw(_blinded(value)))
    control = answered(label, comment, name, {**value, "blind_signature": blind_signature}, requirements)
    yield control
    assert control.expected is not None
    other = blinding_of(_KEY, f"{label}.other", _METADATA)
    foreign = blind_rsa.derive_exponent(_KEY.public_key, bytes.fromhex("02ff"))
    for fault, comment, octets in (
        ("short", "without its leading zero byte", blind_signature[2:]),
        ("long", "with a zero byte more", "00" + blind_signature),
    ):
        yield edited(control, fault, comment, f"{error}.length", blind_signature=octets)
    for fault, comment, octets in (
        ("flipped", "its last bit", flipped(blind_signature, -1)),
        ("zero", "the number zero", "00" * _LENGTH),
        ("one", "the number one", _octets(1)),
        ("modulus", "the modulus", _octets(_MODULUS)),
        ("negative", "the modulus less the blind signature", _octets(_MODULUS - int(blind_signature, 16))),
        ("other-message", "the blind signature of another blinded message", _octets(_raw(_blinded(other)))),
        ("other-value", "a blind signature under the largest amount", _octets(_raw(_blinded(value), foreign))),
        ("unblinded", "the signature it stands for", control.expected["signature"]),
        ("echo", "the blinded message", _octets(_blinded(value))),
    ):
        yield edited(control, fault, comment, f"{error}.invalid", blind_signature=octets)


def _verifying(message: str, signature: int) -> Json:
    return {**modulus_of(_KEY), "message": message, "metadata": _METADATA, "signature": _octets(signature)}


def _accepted(case_id: str, comment: str, value: Json, requirements: tuple[str, ...] = _VERIFYING) -> Case:
    return answered(case_id, comment, "blind-rsa.verify", value, requirements, steps=VERIFY_STEPS)


def _verification_bounds() -> Iterator[Case]:
    """Numbers that are right in a wrong number of bytes, or right but for the modulus."""
    label = "blind-rsa.verifiable"
    value = _searched(label, lambda value: _raw(_encoded(value)) < _FULL >> 8)
    signature = _octets(_raw(_encoded(value)))
    comment = "a signature that begins with a zero byte"
    control = _accepted(label, comment, _verifying(value["message"], int(signature, 16)), ("PAY-053", "PAY-054"))
    yield control
    for fault, comment, octets in (
        ("short", "without its leading zero byte", signature[2:]),
        ("long", "with a zero byte more", "00" + signature),
    ):
        yield edited(control, fault, comment, "blind-rsa.signature.length", ("PAY-053",), signature=octets)
    increased = _octets(int(signature, 16) + _MODULUS)
    error = "blind-rsa.signature.range"
    yield edited(control, "plus-modulus", "the same number plus the modulus", error, ("PAY-054",), signature=increased)


def _foreign_signatures() -> Iterator[Case]:
    """Numbers that are signatures of something else, or under another exponent."""
    label = "blind-rsa.genuine"
    value = blinding_of(_KEY, label, _METADATA)
    encoded = _encoded(value)
    signature = _raw(encoded)
    exponent = blind_rsa.derive_exponent(_KEY.public_key, bytes.fromhex(_METADATA))
    control = _accepted(label, "a signature under amount 17", _verifying(value["message"], signature))
    yield control
    for fault, comment, number in (
        ("first-bit", "its first byte less one", signature - (_FULL >> 8)),
        ("zero", "the number zero", 0),
        ("one", "the number one", 1),
        ("modulus-less-one", "the modulus less one", _MODULUS - 1),
        ("negative", "the modulus less the signature", _MODULUS - signature),
        ("blinded", "the blind signature", _raw(_blinded(value))),
        ("encoded", "the encoded message", encoded),
        ("base-exponent", "under the exponent 65537", _raw(encoded, 65537)),
        (
            "product-exponent",
            "under 65537 times the derived exponent, as draft -00 has it",
            _raw(encoded, 65537 * exponent),
        ),
    ):
        yield edited(control, fault, comment, _INVALID, ("PAY-034", "PAY-043"), signature=_octets(number))
    for fault, comment, octets in (
        ("later", "the next hour in its message", flipped(value["message"], 7)),
        ("other-random", "another random part in its message", flipped(value["message"], -1)),
        ("message-longer", "a zero byte behind its message", value["message"] + "00"),
        ("message-shorter", "its message without the last byte", value["message"][:-2]),
        ("message-empty", "no message", ""),
    ):
        yield edited(control, fault, comment, _INVALID, ("PAY-034",), message=octets)
    for fault, comment, octets in (
        ("more", "the largest amount in place of 17", "02ff"),
        ("special", "the special value beside 17", "0111"),
        ("upper-half", "the highest bit of the code", "0211"),
        ("metadata-longer", "a zero byte behind its metadata", "001100"),
        ("metadata-empty", "no metadata", ""),
    ):
        yield edited(control, fault, comment, _INVALID, ("PAY-034", "PAY-044"), metadata=octets)


def _odd_encodings() -> Iterator[Case]:
    """Signatures with the right exponent of messages that were encoded in another way."""
    label = "blind-rsa.encoding"
    message, metadata = coins(label, "message", 24), bytes.fromhex(_METADATA)
    framed = blind_rsa.frame(message, metadata)
    bits = _MODULUS.bit_length() - 1
    genuine = pss.encode(framed, bits, blind_rsa.ZERO_SALT)
    control = _accepted(label, "salt of 48 zero bytes", _verifying(message.hex(), _raw(_number(genuine))))
    yield control
    for name, comment, salt in (
        ("ones", "a salt of 48 bytes ff", b"\xff" * 48),
        ("random", "a random salt of 48 bytes", coins(label, "salt", 48)),
    ):
        odd = {**control.input, "signature": _octets(_raw(_number(pss.encode(framed, bits, salt))))}
        yield _accepted(f"{label}.salt-{name}", comment, odd, ("PAY-047",))
    for fault, comment, requirement, encoded in (
        ("no-salt", "no salt", "PAY-047", pss.encode(framed, bits, b"")),
        ("salt-47", "a salt one byte short", "PAY-047", pss.encode(framed, bits, bytes(47))),
        ("salt-49", "a salt one byte long", "PAY-047", pss.encode(framed, bits, bytes(49))),
        ("not-framed", "the message without metadata", "PAY-044", pss.encode(message, bits, blind_rsa.ZERO_SALT)),
        ("prefix", "framed without `msg`", "PAY-044", pss.encode(framed[3:], bits, blind_rsa.ZERO_SALT)),
        (
            "unordered",
            "metadata behind the message",
            "PAY-044",
            pss.encode(framed[:7] + message + metadata, bits, bytes(48)),
        ),
        (
            "hashed-twice",
            "the digest of the message as message",
            "PAY-045",
            pss.encode(sha384(framed).digest(), bits, bytes(48)),
        ),
        ("trailer", "a last byte of cc", "PAY-045", genuine[:-1] + b"\xcc"),
        ("padding", "a bit in the padding", "PAY-045", bytes((genuine[0], genuine[1] ^ 1)) + genuine[2:]),
        ("separator", "a separator of 00", "PAY-045", genuine[:30] + bytes((genuine[30] ^ 1,)) + genuine[31:]),
        ("digest", "a bit of the digest", "PAY-045", genuine[:-2] + bytes((genuine[-2] ^ 1,)) + genuine[-1:]),
        ("short", "encoded for eight bits less", "PAY-045", pss.encode(framed, bits - 8, blind_rsa.ZERO_SALT)),
    ):
        yield edited(control, fault, comment, _INVALID, (requirement,), signature=_octets(_raw(_number(encoded))))
    top = next(n for n in count() if 1 << bits <= _number(_encoded_long(framed, n)) < _MODULUS)
    long = _octets(_raw(_number(_encoded_long(framed, top))))
    yield edited(control, "long", "encoded for one bit more", _INVALID, ("PAY-045",), signature=long)


def _encoded_long(framed: bytes, attempt: int) -> bytes:
    return pss.encode(framed, _MODULUS.bit_length(), coins(f"blind-rsa.encoding.long-{attempt}", "salt", 48))


def _other_keys() -> Iterator[Case]:
    """Two keys of one length: only one of them has signed."""
    label = "blind-rsa.key"
    value = blinding_of(DRAFT_2048, label, _METADATA)
    metadata = bytes.fromhex(_METADATA)
    signature = blind_rsa.blind_sign(
        DRAFT_2048, pss.encode(blind_rsa.frame(bytes.fromhex(value["message"]), metadata), 2047, bytes(48)), metadata
    )
    genuine = {
        **modulus_of(DRAFT_2048),
        "message": value["message"],
        "metadata": _METADATA,
        "signature": signature.hex(),
    }
    control = _accepted(label, "the key that signed", genuine)
    yield control
    other = modulus_of(OTHER_2048)["modulus"]
    yield edited(control, "other", "another key of that length", _INVALID, ("PAY-043",), modulus=other)


def _number(octets: bytes) -> int:
    return int.from_bytes(octets, "big")
