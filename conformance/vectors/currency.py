"""The cases of ``vectors/currency.json``. Chapter: ``spec/credits.md``."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.vectors.case import Case
from conformance.vectors.making import accepted_by_deployed_code, answered, edited
from openpcc_ref.credits import MAX_AMOUNT, CurrencyValue, currency

_FORMS = ("PAY-001", "PAY-002")
_ROUNDING = ("PAY-007", "PAY-008")

_DEPLOYED_CODE_ACCEPTS = {
    "currency.plain-zero.special-upper-half",
    "currency.plain-zero.special-largest",
    "currency.bytes.three",
    "currency.bytes.three-zero",
    "currency.bytes.long",
    "currency.message.field-three",
    "currency.text.line-feed",
}


def cases() -> Iterator[Case]:
    """Yield the cases, every negative after its control."""
    for case in _all():
        yield accepted_by_deployed_code(case) if case.id in _DEPLOYED_CODE_ACCEPTS else case


def _all() -> Iterator[Case]:
    for code in range(currency.CODES):
        yield from _both_ways(CurrencyValue(code))
    yield from _unencodable_amounts()
    yield from _special_values()
    yield from _malformed_bytes()
    yield from _messages()
    yield from _texts()
    yield from _roundings()
    yield from _bookable()


def _both_ways(value: CurrencyValue) -> Iterator[Case]:
    comment = f"amount {value.amount:,}"
    amount, octets = {"amount": value.amount}, {"blind_bytes": value.blind_bytes.hex()}
    name = f"{value.code:03}"
    encode, read = "currency.encode-amount", "currency.read-amount"
    yield answered(f"currency.encode.{name}", comment, encode, amount, ("PAY-001", "PAY-005"), steps=("code",))
    yield answered(f"currency.read.{name}", comment, read, octets, ("PAY-001", "PAY-005"))


def _unencodable_amounts() -> Iterator[Case]:
    control = answered(
        "currency.exact",
        "an amount of five significant bits",
        "currency.encode-amount",
        {"amount": 62},
        ("PAY-006",),
        steps=("code",),
    )
    yield control
    for fault, comment, amount in (
        ("negative", "minus one", -1),
        ("most-negative", "the smallest signed 64-bit number", -(1 << 63)),
        ("overflow", "one above the largest amount", MAX_AMOUNT + 1),
        ("overflow-exact", "five significant bits beyond the largest amount", 16 << 31),
        ("overflow-signed", "the largest signed 64-bit number", (1 << 63) - 1),
        ("inexact-33", "six significant bits, the smallest such amount", 33),
        ("inexact-49", "six significant bits", 49),
        ("inexact-63", "six bits, all set", 63),
        ("inexact-252", "six significant bits before two zeros", 252),
        ("inexact-1000", "a round number in the decimal system", 1000),
        ("inexact-1025", "eleven significant bits", 1025),
        ("inexact-largest", "one below the largest amount", MAX_AMOUNT - 1),
    ):
        cause = "overflow" if "overflow" in fault else "negative" if "negative" in fault else "inexact"
        yield edited(control, fault, comment, f"currency.amount.{cause}", amount=amount)


def _special_values() -> Iterator[Case]:
    read = answered("currency.plain-zero", "ordinary zero", "currency.read-amount", {"blind_bytes": "0000"}, _FORMS)
    yield read
    for fault, comment, octets in (
        ("special-zero", "the attestation value has no amount", "0100"),
        ("special-ten", "no amount with the special bit", "010a"),
        ("special-upper-half", "the special bit beside the highest bit of the code", "0300"),
        ("special-largest", "all ten bits set", "03ff"),
    ):
        error = "currency.amount.special"
        yield edited(read, fault, comment, error, ("PAY-003", "PAY-010"), blind_bytes=octets)
        yield answered(
            f"currency.decode.{fault}",
            comment,
            "currency.decode-blind-bytes",
            {"blind_bytes": octets},
            ("PAY-001", "PAY-003"),
            flags=("DeployedCodeDiffers",) if octets.startswith("03") else (),
        )


def _malformed_bytes() -> Iterator[Case]:
    control = answered(
        "currency.bytes", "amount 524,288", "currency.decode-blind-bytes", {"blind_bytes": "0200"}, _FORMS
    )
    yield control
    for fault, comment, cause, requirement, octets in (
        ("empty", "no bytes", "truncated", "PAY-002", ""),
        ("one", "one byte", "truncated", "PAY-002", "02"),
        ("three", "a byte too many", "trailing", "PAY-004", "0200ff"),
        ("three-zero", "a zero byte too many", "trailing", "PAY-004", "020000"),
        ("long", "a thousand bytes", "trailing", "PAY-004", "02" + "00" * 999),
        ("bit-two", "the lowest unused bit", "unknown-bits", "PAY-002", "0600"),
        ("bit-seven", "the highest unused bit", "unknown-bits", "PAY-002", "8200"),
        ("little-endian", "the bytes of 32 in the wrong order", "unknown-bits", "PAY-002", "2000"),
        ("all-ones", "all bits set", "unknown-bits", "PAY-002", "ffff"),
    ):
        yield edited(control, fault, comment, f"currency.bytes.{cause}", (requirement,), blind_bytes=octets)


def _messages() -> Iterator[Case]:
    name = "currency.decode-message"
    control = answered("currency.message", "amount 10", name, {"message": "0a02000a"}, _FORMS)
    yield control
    unknown = {"message": "0a02000a" + "1001" + "5a03ffffff"}
    yield answered("currency.message.unknown-fields", "unknown fields are ignored", name, unknown, _FORMS)
    repeated = {"message": "0a02000b" + "0a02000a"}
    yield answered(
        "currency.message.repeated", "of a field that is there twice the last counts", name, repeated, _FORMS
    )
    for fault, comment, code, message in (
        ("empty", "the field is absent", "bytes.truncated", ""),
        ("field-empty", "the field is empty", "bytes.truncated", "0a00"),
        ("field-one", "the field has one byte", "bytes.truncated", "0a0102"),
        ("other-field", "the bytes in field 2", "bytes.truncated", "1202000a"),
        ("wire-type", "a varint in place of bytes", "bytes.truncated", "080a"),
        ("field-three", "the field has three bytes", "bytes.trailing", "0a03000a00"),
        ("field-bits", "a bit that has no meaning", "bytes.unknown-bits", "0a02040a"),
        ("cut", "bytes that end in the middle of an unknown field", "malformed", "0a02000a12"),
        ("cut-tag", "bytes that end in the middle of a tag", "malformed", "0a02000a80"),
        ("tag-zero", "a field with the number 0", "malformed", "0a02000a00"),
        ("length-huge", "a length of 2 GiB less one byte", "malformed", "0a02000a12ffffffff07"),
    ):
        yield edited(control, fault, comment, f"currency.{code}", ("PAY-002",), message=message)


def _texts() -> Iterator[Case]:
    control = answered(
        "currency.text", "amount 32,212,254,720", "currency.decode-text", {"text": "CgIC/g=="}, ("PAY-033",)
    )
    yield control
    for fault, comment, text in (
        ("url-safe", "the URL-safe alphabet", "CgIC_g=="),
        ("unpadded", "no padding", "CgIC/g"),
        ("padding-short", "one character of padding in place of two", "CgIC/g="),
        ("line-feed", "a line feed at the end", "CgIC/g==\n"),
        ("space", "a space at the beginning", " CgIC/g=="),
    ):
        yield edited(control, fault, comment, "currency.text.base64", text=text)
    yield edited(control, "empty", "no text: no bytes", "currency.bytes.truncated", ("PAY-002",), text="")


def _roundings() -> Iterator[Case]:
    steps = ("lower", "upper", "lower_probability")
    for amount, factor, comment in (
        (0, 0.9, "zero is itself"),
        (0.5, 0.5, "a factor equal to the probability rounds down"),
        (0.5, 0.500001, "a factor above the probability rounds up"),
        (1.6, 0.4, "the factor above the double nearest to 0.4 less an ulp"),
        (31.5, 0.75, "between the last amounts one apart"),
        (32, 0.9, "32 is itself"),
        (32.5, 0.75, "above 32 the neighbours are two apart"),
        (32.5, 0.76, "above 32 the neighbours are two apart"),
        (33, 0.5, "an integer without a value"),
        (33, 0.6, "an integer without a value"),
        (64.1, 0.9, "a fraction above an amount"),
        (68, 0.99, "68 is itself"),
        (69, 0.75, "equality rounds down"),
        (69, 0.76, "the next factor of two digits rounds up"),
        (145.3, 0.5, "a fraction between 144 and 152"),
        (145.3, 0.84, "a fraction between 144 and 152"),
        (1000, 1.0, "a factor of 1 always rounds up"),
        (1025, 0.0, "a factor of 0 always rounds down"),
        (1025, 1.0, "a factor of 1 always rounds up"),
        (262093, 0.005, "close below 262,144"),
        (262093, 0.5, "close below 262,144"),
        (33285996543.5, 0.5, "half below the largest amount"),
        (33285996544, 0.99, "the largest amount is itself"),
    ):
        name = f"currency.round.{str(amount).replace('.', '-')}.{str(factor).replace('.', '-')}"
        value = {"amount": amount, "factor": factor}
        yield answered(name, comment, "currency.round", value, _ROUNDING, steps=steps)
    value = {"amount": 0.25, "factor": 0.5}
    control = answered("currency.round", "a quarter", "currency.round", value, _ROUNDING, steps=steps)
    yield control
    for fault, comment, cause, amount in (
        ("negative", "below zero by a half", "negative", -0.5),
        ("overflow", "above the largest amount by a half", "overflow", MAX_AMOUNT + 0.5),
        ("overflow-far", "an amount beyond all integers of 64 bits", "overflow", 1e300),
    ):
        yield edited(control, fault, comment, f"currency.amount.{cause}", ("PAY-006", "PAY-007"), amount=amount)


def _bookable() -> Iterator[Case]:
    name = "currency.require-amount"
    control = answered("currency.bookable", "amount 1", name, {"blind_bytes": "0001"}, ("PAY-010", "PAY-011"))
    yield control
    for fault, comment, cause, octets in (
        ("zero", "ordinary zero", "zero", "0000"),
        ("undefined", "a special value that nobody has defined", "special", "0101"),
        ("upper-half", "the special bit beside the highest bit of the code", "special", "0301"),
    ):
        # Not the attestation value: without the check it reads as zero, which is a second fault.
        yield edited(control, fault, comment, f"currency.amount.{cause}", blind_bytes=octets)
    name = "currency.require-attestation"
    control = answered("currency.attestation", "the attestation value", name, {"blind_bytes": "0100"}, ("PAY-011",))
    yield control
    for fault, comment, octets in (
        ("plain-zero", "ordinary zero", "0000"),
        ("plain", "amount 10", "000a"),
        ("other-special", "a special value that nobody has defined", "0101"),
        ("upper-half", "a special value that nobody has defined, of the upper half", "0300"),
    ):
        yield edited(control, fault, comment, "currency.special.not-attestation", blind_bytes=octets)
