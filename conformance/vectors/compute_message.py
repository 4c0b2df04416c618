"""The cases of ``vectors/compute_message.json``. Chapter: ``spec/compute_messages.md``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from conformance.operations.compute_message import (
    drawn,
    node_key,
    open_key,
    open_request,
    seal_request,
    seal_response,
)
from conformance.vectors.case import Case, Json
from conformance.vectors.coins import coins
from conformance.vectors.making import beside
from openpcc_ref.binary_http import Request, RequestHead, Response, ResponseHead, encode_request, encode_response
from openpcc_ref.chunked_stream import ChunkSealer
from openpcc_ref.compute_messages import COMPUTE_SUITE, ENCODED_CHUNK
from openpcc_ref.hpke import AeadId, KeyPair, aead, kem, key_schedule, nonce_at, setup_base_sender
from openpcc_ref.hpke.suites import Suite
from openpcc_ref.varint import encode_varint

REQUEST, CHUNKED_REQUEST = "application/confsec-req", "application/confsec-chunked-req"
RESPONSE, CHUNKED_RESPONSE = "application/confsec-res", "application/confsec-chunked-res"

HEADER = bytes.fromhex("00001000010001")
WRAP_AAD = b"multi-encap-key"

_PROMPT = b'{"model":"llama3.2:1b","messages":[{"role":"user","content":"hi"}]}'
_JSON = (b"content-type", b"application/json")


def cases() -> Iterator[Case]:
    """Return the cases, every negative after its control."""
    yield from _node_keys()
    yield from _sealed_requests()
    yield from _encapsulated_keys()
    yield from _whole_requests()
    yield from _chunked_requests()
    yield from _responses()


def node(name: str) -> KeyPair:
    """Return the key pair of a node of these vectors."""
    return kem(COMPUTE_SUITE.kem_id).derive_key_pair(coins("compute-message.node", name, 32))


def _plaintext(*, chunked: bool, content: bytes = _PROMPT) -> bytes:
    length = () if chunked else ((b"content-length", str(len(content)).encode()),)
    head = RequestHead(b"POST", b"http", b"confsec.invalid", b"/v1/chat/completions", (*length, _JSON))
    return encode_request(Request(head, content), indeterminate=chunked, pad_to=ENCODED_CHUNK)


def _seal_input(name: str, plaintext: bytes, media_type: str, nodes: str) -> Json:
    return {
        "media_type": media_type,
        "plaintext": plaintext.hex(),
        "public_keys": [node(letter).public_key.hex() for letter in nodes],
        "dek": coins(name, "dek", 32).hex(),
        "nonce": coins(name, "nonce", 12).hex(),
        "ephemeral_seeds": [coins(name, f"ephemeral {letter}", 32).hex() for letter in nodes],
    }


def _node_keys() -> Iterator[Case]:
    """Keys as a TPM describes them: with coordinates of their length, shorter ones, and what is no key of P-256."""
    for name, place, comment in (
        ("valid", None, "both coordinates have 32 bytes"),
        ("short-x", 0, "the TPM leaves out a leading zero byte of X"),
        ("short-y", 1, "the TPM leaves out a leading zero byte of Y"),
    ):
        value = _tpm_key(place)
        case = Case(
            id=f"compute-message.node-key.{name}",
            comment=comment,
            operation="compute-message.node-key",
            requirements=("MSG-093",),
            input=value,
            expected=node_key(value),
        )
        yield case
        if place is None:
            control = case
    x, y = control.input["x"], control.input["y"]
    for fault, comment, part, requirement, edit in (
        ("type-rsa", "an RSA key, 0x0001", "type", "MSG-096", {"type": "0001"}),
        ("type-symmetric", "a symmetric key, 0x0025", "type", "MSG-096", {"type": "0025"}),
        ("curve-p384", "NIST P-384, 0x0004", "curve", "MSG-096", {"curve": "0004"}),
        ("curve-sm2", "SM2 P-256, 0x0020", "curve", "MSG-096", {"curve": "0020"}),
        ("long-x", "33 bytes of X, the first one 1", "coordinate", "MSG-093", {"x": f"01{x}"}),
        ("long-y", "33 bytes of Y, the first one 1", "coordinate", "MSG-093", {"y": f"01{y}"}),
        ("off-curve", "the last bit of Y flipped", "point", "MSG-096", {"y": _flip(bytes.fromhex(y), 31).hex()}),
        ("point-at-zero", "X is empty, as if it were zero", "point", "MSG-096", {"x": ""}),
    ):
        yield _spoilt(control, fault, comment, f"compute-message.node-key.{part}", requirement, **edit)


def _tpm_key(short: int | None) -> Json:
    """Return the description of a key; coordinate ``short`` has a leading zero byte, which is left out."""
    for number in range(2**12):
        point = node(f"in a TPM {number}").public_key[1:]
        zeros = [not point[0], not point[32]]
        if zeros == [short == 0, short == 1]:
            break
    x, y = (part[zero:].hex() for part, zero in zip((point[:32], point[32:]), zeros, strict=True))
    return {"type": "0023", "curve": "0003", "x": x, "y": y}


def _sealed_requests() -> Iterator[Case]:
    long = _plaintext(chunked=True, content=bytes(500)) + bytes(ENCODED_CHUNK)
    shapes = (
        ("whole-one-node", REQUEST, _plaintext(chunked=False), "A", "an unchunked request for one node"),
        ("whole-three-nodes", REQUEST, _plaintext(chunked=False), "ABC", "one message, three encapsulated keys"),
        ("whole-empty", REQUEST, b"", "A", "an empty plaintext: a nonce and a tag"),
        ("chunked-one-chunk", CHUNKED_REQUEST, _plaintext(chunked=True), "A", "one full chunk and the final one"),
        ("chunked-three-chunks", CHUNKED_REQUEST, long, "AB", "three full chunks and the final one"),
        ("chunked-empty", CHUNKED_REQUEST, b"", "A", "only the final chunk"),
    )
    requirements = ("MSG-054", "MSG-055", "MSG-057", "MSG-058", "MSG-070", "MSG-074", "MSG-078")
    for name, media_type, plaintext, nodes, comment in shapes:
        case_id = f"compute-message.seal.{name}"
        value = _seal_input(case_id, plaintext, media_type, nodes)
        operation = "compute-message.seal-request"
        yield Case(
            id=case_id,
            comment=comment,
            operation=operation,
            requirements=requirements,
            input=value,
            expected=seal_request(value),
        )


def _encapsulate(
    name: str,
    *,
    dek_length: int = 32,
    aad: bytes = WRAP_AAD,
    media_type: str = REQUEST,
    header: bytes = HEADER,
    suite: Suite = COMPUTE_SUITE,
) -> bytes:
    """Return an encapsulated key for node A, made as a careless sender would."""
    info = media_type.encode() + b"\0" + header
    random = drawn(coins(name, "ephemeral A", 32).hex())
    enc, context = setup_base_sender(suite, node("A").public_key, info, random=random)
    return header + enc + context.seal(coins(name, "dek", 32)[:dek_length], aad)


def _unusable_enc(name: str, enc: bytes) -> bytes:
    """Return a key around an unusable ``enc``, sealed to the secret that ignoring the failure would give: zeros."""
    key, base_nonce, _ = key_schedule(COMPUTE_SUITE, bytes(32), REQUEST.encode() + b"\0" + HEADER)
    wrapped = aead.seal(COMPUTE_SUITE.aead_id, key, nonce_at(base_nonce, 0), WRAP_AAD, coins(name, "dek", 32))
    return HEADER + enc + wrapped


def _encapsulated_keys() -> Iterator[Case]:
    name = "compute-message.key"
    good = _encapsulate(name)
    value: Json = {
        "media_type": REQUEST,
        "encapsulated_key": good.hex(),
        "secret_key": node("A").secret_key.hex(),
    }
    result = open_key(value)
    control = Case(
        id=f"{name}.valid",
        comment="an encapsulated key opened by its node",
        operation="compute-message.open-encapsulated-key",
        requirements=("MSG-040", "MSG-041", "MSG-042", "MSG-057", "MSG-070", "MSG-090", "MSG-091", "MSG-094"),
        input=value,
        steps={step: result.pop(step) for step in list(result) if step != "dek"},
        expected=result,
    )
    yield control

    def negative(fault: str, comment: str, error: str, requirement: str, **edit: str) -> Case:
        return replace(
            control,
            id=f"{name}.{fault}",
            comment=comment,
            requirements=(requirement,),
            input={**value, **edit},
            steps={},
            expected=None,
            error=error,
            control=control.id,
        )

    def flipped(offset: int) -> str:
        return bytes(octet ^ (index == offset) for index, octet in enumerate(good)).hex()

    length, header = "compute-message.encapsulated-key.length", "compute-message.encapsulated-key.header"
    for fault, comment, error, requirement, key in (
        ("trailing-byte", "one byte after the sealed key", length, "MSG-057", (good + b"\0").hex()),
        ("dek-16", "a data encryption key of 16 bytes", length, "MSG-056", _encapsulate(name, dek_length=16).hex()),
        ("dek-31", "a data encryption key of 31 bytes", length, "MSG-056", _encapsulate(name, dek_length=31).hex()),
        ("key-id", "key identifier 1", header, "MSG-043", "01" + good.hex()[2:]),
        ("kem-other", "another known KEM, 0x0020", header, "MSG-043", "000020" + good.hex()[6:]),
        ("kem-unknown", "KEM 0xffff", header, "MSG-040", "00ffff" + good.hex()[6:]),
        ("aead-other", "AEAD 0x0002", header, "MSG-043", "00001000010002" + good.hex()[14:]),
        ("enc-zeros", "an encapsulation of zeros", "hpke.enc.value", "MSG-090", _unusable_enc(name, bytes(65)).hex()),
        (
            "enc-off-curve",
            "a point that is not on the curve",
            "hpke.enc.value",
            "MSG-090",
            _unusable_enc(name, b"\x04" + bytes(31) + b"\1" + bytes(31) + b"\1").hex(),
        ),
        (
            "enc-compressed-prefix",
            "first byte 02 before 64 bytes",
            "hpke.enc.value",
            "MSG-090",
            _unusable_enc(name, b"\x02" + good[8:72]).hex(),
        ),
        ("sealed-flip", "a bit flipped in the sealed key", "hpke.open", "MSG-057", flipped(80)),
        ("tag-flip", "a bit flipped in the tag", "hpke.open", "MSG-057", flipped(119)),
        ("aad-empty", "sealed under an empty AAD", "hpke.open", "MSG-057", _encapsulate(name, aad=b"").hex()),
        ("aad-case", "a capital in the AAD", "hpke.open", "MSG-057", _encapsulate(name, aad=b"multi-encap-keY").hex()),
    ):  # fmt: skip
        yield negative(fault, comment, error, requirement, encapsulated_key=key)
    other = {"secret_key": node("B").secret_key.hex()}
    yield negative("other-node", "the key of another node", "hpke.open", "MSG-059", **other)
    yield negative("media-type-switched", "chunked name", "hpke.open", "MSG-058", media_type=CHUNKED_REQUEST)


def _opened(case_id: str, comment: str, requirements: tuple[str, ...], value: Json) -> Case:
    return Case(
        id=case_id,
        comment=comment,
        operation="compute-message.open-request",
        requirements=requirements,
        input=value,
        expected=open_request(value),
    )


def _spoilt(control: Case, fault: str, comment: str, error: str, requirement: str, **edit: str) -> Case:
    return beside(control, fault, comment, error, (requirement,), **edit)


def _whole_requests() -> Iterator[Case]:
    name = "compute-message.whole"
    dek, nonce = coins(name, "dek", 32), coins(name, "nonce", 12)
    plaintext = _plaintext(chunked=False)
    sealed = aead.seal(AeadId.AES_256_GCM, dek, nonce, b"", plaintext)
    value: Json = {
        "media_type": REQUEST,
        "encapsulated_key": _encapsulate(name).hex(),
        "secret_key": node("A").secret_key.hex(),
        "message": (nonce + sealed).hex(),
    }
    control = _opened(f"{name}.valid", "an unchunked request", ("MSG-055", "MSG-071", "MSG-073"), value)
    yield control
    refused, media_type = "compute-message.request.open", "compute-message.request.media-type"
    other_cipher = aead.seal(AeadId.AES_128_GCM, dek[:16], nonce, b"", plaintext)
    for fault, comment, requirement, message in (
        ("nonce-flip", "a bit flipped in the nonce", "MSG-054", _flip(nonce + sealed, 0)),
        ("body-flip", "a bit flipped in the ciphertext", "MSG-055", _flip(nonce + sealed, 12)),
        ("tag-flip", "a bit flipped in the tag", "MSG-055", _flip(nonce + sealed, len(sealed) + 11)),
        ("cut", "one byte short", "MSG-055", nonce + sealed[:-1]),
        ("trailing-byte", "one byte after the tag", "MSG-055", nonce + sealed + b"\0"),
        ("nonce-only", "nothing behind the nonce", "MSG-055", nonce),
        ("aes-128", "AES-128-GCM under half of the key", "MSG-055", nonce + other_cipher),
        ("aad-final", "sealed with the AAD of a final chunk", "MSG-086",
         nonce + aead.seal(AeadId.AES_256_GCM, dek, nonce, b"final", plaintext)),
    ):  # fmt: skip
        yield _spoilt(control, fault, comment, refused, requirement, message=message.hex())
    for fault, comment, text in (
        ("media-type-parameter", "a parameter behind the media type", f"{REQUEST}; charset=utf-8"),
        ("media-type-case", "a capital letter in the media type", "application/Confsec-req"),
        ("media-type-blank", "a blank behind the media type", f"{REQUEST} "),
        ("media-type-outer", "the media type of the outer layer", "message/ohttp-req"),
        ("media-type-octets", "application/octet-stream", "application/octet-stream"),
    ):
        yield _spoilt(control, fault, comment, media_type, "MSG-071", media_type=text)


def _flip(data: bytes, offset: int) -> bytes:
    return bytes(octet ^ (index == offset) for index, octet in enumerate(data))


def _chunked_requests() -> Iterator[Case]:
    name = "compute-message.chunked"
    dek, nonce = coins(name, "dek", 32), coins(name, "nonce", 12)
    plaintext = _plaintext(chunked=True)

    def sealer() -> ChunkSealer:
        return ChunkSealer(AeadId.AES_256_GCM, dek, nonce)

    def chunks(length: int) -> list[bytes]:
        stream = sealer()
        pieces = [plaintext[start : start + length] for start in range(0, len(plaintext), length)]
        return [*map(stream.seal, pieces), stream.seal_final()]

    def sealed(data: bytes, aad: bytes, number: int = 0) -> bytes:
        return aead.seal(AeadId.AES_256_GCM, dek, nonce_at(nonce, number), aad, data)

    full, few, ones = chunks(ENCODED_CHUNK), chunks(200), chunks(1)
    value: Json = {
        "media_type": CHUNKED_REQUEST,
        "encapsulated_key": _encapsulate(name, media_type=CHUNKED_REQUEST).hex(),
        "secret_key": node("A").secret_key.hex(),
        "message": (nonce + b"".join(full)).hex(),
    }

    def accepted(case: str, comment: str, requirements: tuple[str, ...], stream: bytes) -> Case:
        return _opened(f"{name}.{case}", comment, requirements, {**value, "message": (nonce + stream).hex()})

    layout = ("MSG-044", "MSG-045", "MSG-046")
    control = accepted("valid", "one chunk of 514 bytes and the final one", (*layout, "MSG-074"), b"".join(full))
    yield control
    yield accepted("three-chunks", "chunks of 200, 200 and 114 bytes", (*layout, "MSG-077"), b"".join(few))
    yield accepted("one-byte-chunks", "514 chunks of one byte", (*layout, "MSG-077"), b"".join(ones))
    yield accepted("final-full", "everything in the final chunk", ("MSG-048",), sealer().seal_final(plaintext))
    wide = b"\x80\0\x02\x12" + full[0][2:] + b"\x40" + full[1]
    yield accepted("wide-lengths", "lengths in longer varints than needed", ("MSG-044", "MSG-045"), wide)
    long = sealed(plaintext + b"\0", b"")
    opens, chunk_long = "chunked-stream.chunk.open", "chunked-stream.chunk.long"
    for fault, comment, error, requirement, stream in (
        ("final-missing", "no final chunk", "chunked-stream.final.missing", "MSG-047", full[0]),
        ("chunk-cut", "the end inside a chunk", "chunked-stream.chunk.truncated", "MSG-047", full[0][:-1]),
        ("swapped", "two chunks swapped", opens, "MSG-046", few[1] + few[0] + few[2] + few[3]),
        ("repeated", "a chunk sent twice", opens, "MSG-046", few[0] + few[0] + few[1] + few[2] + few[3]),
        ("dropped", "a chunk left out", opens, "MSG-046", few[0] + few[2] + few[3]),
        ("flipped", "a bit flipped in a chunk", opens, "MSG-044", _flip(full[0], 2) + full[1]),
        ("final-flipped", "a bit flipped in the final chunk", opens, "MSG-045", full[0] + _flip(full[1], 1)),
        ("final-aad-missing", "a final chunk without its AAD", opens, "MSG-045", full[0] + b"\0" + sealed(b"", b"", 1)),
        ("relabelled", "the last data chunk called final", opens, "MSG-045", few[0] + few[1] + b"\0" + few[2][2:]),
        ("trailing-byte", "a byte behind the final chunk", opens, "MSG-045", full[0] + full[1] + b"\0"),
        ("long", "a chunk of 515 bytes", chunk_long, "MSG-050",
         encode_varint(len(long)) + long + b"\0" + sealed(b"", b"final", 1)),
        ("final-long", "a final chunk of 515 bytes", chunk_long, "MSG-050", sealer().seal_final(plaintext + b"\0")),
        ("empty", "an empty data chunk", "chunked-stream.chunk.empty", "MSG-049",
         b"\x10" + sealed(b"", b"") + b"\0" + sealed(plaintext, b"final", 1)),
    ):  # fmt: skip
        yield _spoilt(control, fault, comment, error, requirement, message=(nonce + stream).hex())


def _responses() -> Iterator[Case]:
    head = ResponseHead(200, (_JSON,))
    answer = encode_response(Response(head, b'{"ok":true}'), pad_to=ENCODED_CHUNK)
    streamed = encode_response(Response(head, b"data: [DONE]\n\n"), indeterminate=True, pad_to=ENCODED_CHUNK)
    for name, request, media_type, plaintext in (
        ("whole", REQUEST, RESPONSE, answer),
        ("chunked", REQUEST, CHUNKED_RESPONSE, streamed + bytes(ENCODED_CHUNK)),
        ("whole-to-chunked-request", CHUNKED_REQUEST, RESPONSE, answer),
        ("chunked-to-chunked-request", CHUNKED_REQUEST, CHUNKED_RESPONSE, streamed),
    ):
        yield from _response_pair(name, request, media_type, plaintext)


def _response_pair(name: str, request: str, media_type: str, plaintext: bytes) -> Iterator[Case]:
    """One response sealed, opened, and refused in several ways."""
    case_id = f"compute-message.response-{name}"
    value: Json = {
        "request_media_type": request,
        "encapsulated_key": _encapsulate(case_id, media_type=request).hex(),
        "secret_key": node("A").secret_key.hex(),
        "media_type": media_type,
        "response_nonce": coins(case_id, "response nonce", 16).hex(),
        "plaintext": plaintext.hex(),
    }
    result = seal_response(value)
    message = bytes.fromhex(result.pop("message"))
    yield Case(
        id=f"{case_id}.seal",
        comment="sealed by the node that answers",
        operation="compute-message.seal-response",
        requirements=("MSG-052", "MSG-060", "MSG-072", "MSG-073"),
        input=value,
        steps=result,
        expected={"message": message.hex()},
    )
    opened = Case(
        id=f"{case_id}.open",
        comment="opened with the context of that node",
        operation="compute-message.open-response",
        requirements=("MSG-052", "MSG-059", "MSG-060", "MSG-083"),
        input={
            "request_media_type": request,
            "public_key": node("A").public_key.hex(),
            "ephemeral_seed": coins(case_id, "ephemeral A", 32).hex(),
            "media_type": media_type,
            "message": message.hex(),
        },
        expected={"plaintext": plaintext.hex()},
    )
    yield opened
    chunked = media_type == CHUNKED_RESPONSE
    refused = "chunked-stream.chunk.open" if chunked else "compute-message.response.open"
    other = node("B").public_key.hex()
    yield _spoilt(opened, "other-node", "the context of another candidate", refused, "MSG-059", public_key=other)
    seed = coins(case_id, "ephemeral B", 32).hex()
    yield _spoilt(opened, "other-request", "the context of another request", refused, "MSG-060", ephemeral_seed=seed)
    nonce_flip = _flip(message, 0).hex()
    yield _spoilt(opened, "nonce-flip", "a bit flipped in the nonce", refused, "MSG-052", message=nonce_flip)
    body_flip = _flip(message, 18).hex()
    yield _spoilt(opened, "body-flip", "a bit flipped in the ciphertext", refused, "MSG-052", message=body_flip)
    last_flip = _flip(message, len(message) - 1).hex()
    yield _spoilt(opened, "tag-flip", "a bit flipped in the last tag", refused, "MSG-052", message=last_flip)
    wrong = "compute-message.response.media-type"
    yield _spoilt(
        opened, "media-type", "a parameter behind the media type", wrong, "MSG-083", media_type=f"{media_type};q=1"
    )
    if chunked:
        missing = "chunked-stream.final.missing"
        cut = message[:-17].hex()
        yield _spoilt(opened, "final-missing", "no final chunk", missing, "MSG-047", message=cut)
