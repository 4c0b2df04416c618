"""Vectors of key configurations, rotation periods and the choice of keys. Chapter: ``spec/oblivious_http.md``."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.vectors.case import Case, Json
from conformance.vectors.coins import coins
from conformance.vectors.making import accepted_by_deployed_code, answered, edited
from openpcc_ref.hpke import AeadId, KdfId, KemId
from openpcc_ref.oblivious_http import SymmetricAlgorithm, derive_gateway_key, encode_key_config

AES_128: Json = {"kdf_id": int(KdfId.HKDF_SHA256), "aead_id": int(AeadId.AES_128_GCM)}
CHACHA20: Json = {"kdf_id": int(KdfId.HKDF_SHA256), "aead_id": int(AeadId.CHACHA20_POLY1305)}

_CONFIG = ("OHT-006",)
_LIST = ("OHT-006", "OHT-007")


def cases() -> Iterator[Case]:
    """Yield the cases about keys."""
    yield from _derivation()
    yield from _single_configuration()
    yield from _lists()
    yield from _headers()
    yield from _rotation_metadata()
    yield from _periods()
    yield from _client_choice()
    yield from _gateway_choice()


def config_of(case_id: str, kem_id: KemId, key_id: int = 1, *algorithms: Json) -> tuple[str, str]:
    """Return (key configuration, secret key) in hex, derived from the coins of a case."""
    pairs = tuple(SymmetricAlgorithm(**pair) for pair in algorithms or (AES_128,))
    key = derive_gateway_key(key_id, kem_id, coins(case_id, "seed", 32), pairs)
    return encode_key_config(key.config).hex(), key.secret_key.hex()


def _derivation() -> Iterator[Case]:
    for kem_id in KemId:
        case_id = f"oblivious-http.derive-key.{kem_id.name.lower().replace('_', '-')}"
        value = {
            "key_id": 200,
            "kem_id": int(kem_id),
            "seed": coins(case_id, "seed", 32).hex(),
            "algorithms": [AES_128, CHACHA20],
        }
        requirements = ("OHT-005", "OHT-006")
        yield answered(case_id, "key and configuration from a seed", "oblivious-http.derive-key", value, requirements)


def _single_configuration() -> Iterator[Case]:
    operation = "oblivious-http.decode-key-config"
    case_id = f"{operation}.x25519"
    config, _ = config_of(case_id, KemId.DHKEM_X25519, 7, AES_128, CHACHA20)
    control = answered(case_id, "an X25519 key with two algorithms", operation, {"key_config": config}, _CONFIG)
    yield control
    key, pairs = config[:70], config[74:]
    truncated = {
        "empty": ("", "no byte at all"),
        "kem-cut": (config[:4], "cut inside the KEM"),
        "key-cut": (config[:68], "public key one byte short"),
        "length-missing": (key, "ends behind the public key"),
        "length-cut": (key + "00", "cut inside the length of the algorithms"),
    }
    for fault, (octets, comment) in truncated.items():
        yield edited(control, fault, comment, "oblivious-http.key-config.truncated", key_config=octets)
    lengths = {
        "algorithms-none": ("0000", "no algorithm"),
        "algorithms-3": ("0003000101", "three bytes of algorithms"),
        "algorithms-6": ("0006" + pairs[:12], "six bytes of algorithms"),
        "algorithms-long": ("000c" + pairs, "length four bytes beyond the end"),
    }
    for fault, (octets, comment) in lengths.items():
        yield edited(control, fault, comment, "oblivious-http.key-config.algorithms-length", key_config=key + octets)
    for fault, pair in {
        "kdf-0": "00000001",
        "kdf-4": "00040001",
        "aead-0": "00010000",
        "aead-export": "0001ffff",
    }.items():
        octets = key + "0008" + pairs[:8] + pair
        comment = f"second algorithm is {pair}"
        yield edited(control, fault, comment, "oblivious-http.key-config.algorithm", key_config=octets)
    code = "oblivious-http.key-config.trailing"
    left_over = edited(control, "trailing", "one byte behind the end", code, ("OHT-007",), key_config=config + "00")
    yield accepted_by_deployed_code(left_over)
    for fault, kem in {"kem-0": "0000", "kem-unknown": "0031", "kem-ffff": "ffff"}.items():
        octets = config[:2] + kem + config[6:]
        yield edited(control, fault, f"KEM {kem}", "oblivious-http.key-config.kem", key_config=octets)
    yield from _off_curve()


def _off_curve() -> Iterator[Case]:
    operation = "oblivious-http.decode-key-config"
    case_id = f"{operation}.p256"
    config, _ = config_of(case_id, KemId.DHKEM_P256)
    control = answered(case_id, "a P-256 key", operation, {"key_config": config}, _CONFIG)
    yield control
    for fault, point in {"off-curve": "04" + "01" * 64, "compressed-marker": "02" + config[8:136]}.items():
        octets = config[:6] + point + config[136:]
        yield edited(
            control, fault, f"public key is {fault}", "oblivious-http.key-config.public-key", key_config=octets
        )


def _lists() -> Iterator[Case]:
    operation = "oblivious-http.decode-key-configs"
    yield answered(f"{operation}.empty", "a list without entries", operation, {"key_configs": ""}, _LIST)
    case_id = f"{operation}.three-mechanisms"
    entries = [config_of(f"{case_id}.{kem_id}", kem_id, index)[0] for index, kem_id in enumerate(KemId)]
    octets = "".join(f"{len(entry) // 2:04x}{entry}" for entry in entries)
    control = answered(case_id, "one key of each mechanism", operation, {"key_configs": octets}, _LIST)
    yield control
    yield answered(
        "oblivious-http.encode-key-configs.three-mechanisms",
        "one key of each mechanism",
        "oblivious-http.encode-key-configs",
        dict(control.expected or {}),
        _LIST,
    )
    case_id = f"{operation}.two-keys"
    first, second = (config_of(f"{case_id}.{key_id}", KemId.DHKEM_X25519, key_id)[0] for key_id in (1, 2))
    octets = f"0029{first}0029{second}"
    control = answered(case_id, "two X25519 keys", operation, {"key_configs": octets}, _LIST)
    yield control
    faults = {
        "last-entry-long": (f"0029{first}002a{second}", "last length one too large", "key-configs.truncated"),
        "last-entry-cut": (octets[:-2], "last byte missing", "key-configs.truncated"),
        "length-alone": (octets + "0029", "a length without an entry", "key-configs.truncated"),
        "length-cut": (octets + "00", "half a length", "key-configs.truncated"),
        "empty-entry": (f"0029{first}0000", "second entry without any byte", "key-config.truncated"),
        "left-over": (f"0029{first}002a{second}00", "a byte left over in the last entry", "key-config.trailing"),
        "left-over-first": (f"002a{first}000029{second}", "a byte left over in the first entry", "key-config.trailing"),
        "unknown-kem": (f"0029{first}002902fffe{second[6:]}", "second key of an unknown mechanism", "key-config.kem"),
    }  # fmt: skip
    for fault, (value, comment, code) in faults.items():
        case = edited(control, fault, comment, f"oblivious-http.{code}", ("OHT-007",), key_configs=value)
        yield accepted_by_deployed_code(case) if fault.startswith("left-over") else case


def _headers() -> Iterator[Case]:
    operation = "oblivious-http.decode-header"
    requirements = ("OHT-019",)
    control = answered(
        f"{operation}.deployed", "the deployed suite", operation, {"header": "01003000010001"}, requirements
    )
    yield control
    for length in (0, 3, 6):
        comment = f"{length} bytes"
        octets = control.input["header"][: 2 * length]
        code = "oblivious-http.header.truncated"
        yield edited(control, f"{length}-bytes", comment, code, ("OHT-019", "OHT-063"), header=octets)
    for fault, octets in {
        "kem-0": "01000000010001",
        "kdf-0": "01003000000001",
        "aead-0": "01003000010000",
        "aead-export": "0100300001ffff",
    }.items():
        code = "oblivious-http.header.algorithm"
        yield edited(control, fault, f"{fault} is no code point", code, ("OHT-019", "OHT-062"), header=octets)


def _rotation_metadata() -> Iterator[Case]:
    operation = "oblivious-http.decode-rotation-periods"
    requirements = ("OHT-010",)
    start, end = "2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z"

    def text(active_from: str = f'"{start}"', active_until: str = f'"{end}"', key_id: str = "1") -> str:
        return f'[{{"active_from":{active_from},"active_until":{active_until},"key_id":{key_id}}}]'.encode().hex()

    control = answered(f"{operation}.control", "one period", operation, {"rotation_periods": text()}, requirements)
    yield control
    accepted = {
        "empty": (b"[]".hex(), "no period"),
        "offset": (text('"2026-01-01T02:30:00+02:30"'), "a time stamp with an offset"),
        "negative-offset": (text('"2025-12-31T19:00:00-05:00"'), "a time stamp with a negative offset"),
        "nanoseconds": (text('"2026-01-01T00:00:00.123456789Z"'), "nine digits of a second"),
        "one-digit-fraction": (text('"2026-01-01T00:00:00.5Z"'), "half a second"),
        "spaces": (text().replace("2c", "2c20"), "spaces behind commas"),
        "highest-key-id": (text(key_id="255"), "key identifier 255"),
        "further-member": (text(key_id='1,"note":null'), "a member of another name"),
    }
    for name, (octets, comment) in accepted.items():
        yield answered(f"{operation}.{name}", comment, operation, {"rotation_periods": octets}, requirements)
    refused = {
        "cut": (text()[:-2], "json"),
        "object": (b"{}".hex(), "json"),
        "not-utf-8": ("ff" + text(), "json"),
        "not-a-number": (text(key_id="NaN"), "json"),
        "text-item": (b'["2026-01-01T00:00:00Z"]'.hex(), "shape"),
        "key-id-256": (text(key_id="256"), "key-id"),
        "key-id-negative": (text(key_id="-1"), "key-id"),
        "key-id-fraction": (text(key_id="1.5"), "key-id"),
        "key-id-text": (text(key_id='"1"'), "key-id"),
        "key-id-true": (text(key_id="true"), "key-id"),
        "key-id-null": (text(key_id="null"), "key-id"),
        "timestamp-null": (text("null"), "timestamp"),
        "timestamp-number": (text("1767225600"), "timestamp"),
        "timestamp-without-offset": (text('"2026-01-01T00:00:00"'), "timestamp"),
        "timestamp-date-only": (text(active_until='"2026-07-01"'), "timestamp"),
        "timestamp-month-13": (text('"2026-13-01T00:00:00Z"'), "timestamp"),
        "timestamp-february-30": (text('"2026-02-30T00:00:00Z"'), "timestamp"),
        "timestamp-hour-24": (text('"2026-01-01T24:00:00Z"'), "timestamp"),
        "timestamp-offset-24": (text('"2026-01-01T00:00:00+24:00"'), "timestamp"),
    }
    for fault, (octets, code) in refused.items():
        comment = f"{fault.replace('-', ' ')}"
        yield edited(control, fault, comment, f"oblivious-http.rotation.{code}", rotation_periods=octets)


def _periods() -> Iterator[Case]:
    operation = "oblivious-http.compute-period"
    for name, created in {
        "plain": "2025-09-11T18:00:13.132674Z",
        "thirty-first-of-august": "2025-08-24T00:00:00Z",
        "thirty-first-of-december": "2025-12-24T00:00:00Z",
        "twenty-ninth-of-august": "2025-08-22T00:00:00Z",
        "leap-year": "2027-08-22T23:59:59.999999Z",
    }.items():
        yield answered(f"{operation}.{name}", f"created {created}", operation, {"created": created}, ("OHT-015",))


def _client_choice() -> Iterator[Case]:
    operation = "oblivious-http.select-key"
    requirements = ("OHT-011", "OHT-012")
    case_id = f"{operation}.newest"
    configs = [config_of(f"{operation}.{key_id}", KemId.DHKEM_X25519, key_id)[0] for key_id in (1, 2, 3)]
    octets = "".join(f"0029{config}" for config in configs)

    def value(now: str, *periods: tuple[int, str, str], key_configs: str = octets) -> Json:
        rows = ",".join(f'{{"active_from":"{a}","active_until":"{b}","key_id":{key_id}}}' for key_id, a, b in periods)
        return {"key_configs": key_configs, "rotation_periods": f"[{rows}]".encode().hex(), "now": now}

    first = (1, "2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z")
    second = (2, "2026-06-01T00:00:00Z", "2026-12-01T00:00:00Z")
    future = (3, "2026-11-01T00:00:00Z", "2027-05-01T00:00:00Z")
    control = answered(
        case_id, "two active keys", operation, value("2026-06-15T00:00:00Z", first, second, future), requirements
    )
    yield control
    tie = (3, second[1], "2027-01-01T00:00:00Z")
    accepted = {
        "order-of-listing": (value("2026-06-15T00:00:00Z", second, first), "the newest is listed first"),
        "tie": (value("2026-06-15T00:00:00Z", second, tie), "two keys start together: the first listed"),
        "ends-earlier": (
            value("2026-06-15T00:00:00Z", (3, first[1], future[2]), second),
            "the key that started last ends first",
        ),
        "at-start-of-second": (value(second[1], first, second), "the second key starts now: not yet active"),
        "after-start-of-second": (value("2026-06-01T00:00:00.000001Z", first, second), "a microsecond later"),
        "at-end": (value(first[2], first), "the last moment of the only key"),
        "repeated-key-id": (
            value("2026-06-15T00:00:00Z", first, key_configs=f"0029{configs[0]}002901{configs[1][2:]}"),
            "two configurations with one key identifier: the first listed",
        ),
    }
    for name, (inputs, comment) in accepted.items():
        yield answered(f"{operation}.{name}", comment, operation, inputs, requirements)
    code = "oblivious-http.key-selection.none-active"
    yield edited(control, "all-expired", "a microsecond after the last key", code, now="2027-05-01T00:00:00.000001Z")
    yield edited(control, "all-future", "the first key starts now", code, now=first[1])
    none = value("2026-06-15T00:00:00Z")["rotation_periods"]
    yield edited(control, "no-period", "no period at all", code, rotation_periods=none)
    code = "oblivious-http.key-selection.no-configuration"
    yield edited(control, "no-configuration", "no key is configured", code, key_configs="")
    foreign = value("2026-06-15T00:00:00Z", first, (9, second[1], second[2]))["rotation_periods"]
    yield edited(control, "foreign-key-id", "the newest period names an unknown key", code, rotation_periods=foreign)


def _gateway_choice() -> Iterator[Case]:
    operation = "oblivious-http.find-key"
    requirements = ("OHT-011", "OHT-014")
    kem_id = int(KemId.X25519_KYBER768_DRAFT00)
    old = {
        "key_id": 1,
        "kem_id": kem_id,
        "algorithms": [AES_128],
        "active_from": "2026-01-01T00:00:00Z",
        "active_until": "2026-07-01T00:00:00Z",
    }
    new = {**old, "key_id": 2, "active_from": "2026-06-01T00:00:00Z", "active_until": "2026-12-01T00:00:00Z"}
    reused = {**new, "key_id": 1, "active_from": "2026-08-01T00:00:00Z"}
    keys = [old, new, reused]

    def value(now: str, header: str = "01003000010001") -> Json:
        return {"keys": keys, "header": header, "now": now}

    control = answered(
        f"{operation}.first", "the older of two active keys", operation, value("2026-06-15T00:00:00Z"), requirements
    )
    yield control
    accepted = {
        "second": (value("2026-06-15T00:00:00Z", "02003000010001"), "the newer of two active keys"),
        "reused-key-id": (value("2026-09-01T00:00:00Z"), "a key identifier used again after its first key expired"),
        "at-end": (value("2026-07-01T00:00:00Z"), "the last moment of a period"),
        "after-start": (value("2026-01-01T00:00:00.000001Z"), "the first moment of a period"),
    }
    for name, (inputs, comment) in accepted.items():
        yield answered(f"{operation}.{name}", comment, operation, inputs, requirements)
    refused = {
        "other-key-id": ("header", "03003000010001", "key-unknown", "a key identifier that no key has"),
        "other-kem": ("header", "01002000010001", "key-unknown", "the right identifier with another mechanism"),
        "aead-not-offered": ("header", "01003000010002", "algorithm", "an AEAD that the key does not offer"),
        "kdf-not-offered": ("header", "01003000020001", "algorithm", "a KDF that the key does not offer"),
        "at-start": ("now", "2026-01-01T00:00:00Z", "key-inactive", "the moment at which the period opens"),
        "after-end": ("now", "2026-07-01T00:00:00.000001Z", "key-inactive", "a microsecond after the period"),
        "before": ("now", "2025-12-31T23:59:59Z", "key-inactive", "a second before the period"),
    }
    for fault, (member, edit, code, comment) in refused.items():
        name = f"oblivious-http.request.{code}"
        yield edited(control, fault, comment, name, ("OHT-014", "OHT-062"), **{member: edit})
