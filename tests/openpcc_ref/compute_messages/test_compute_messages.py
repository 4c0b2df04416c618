"""Compute messages against known answers, and against everything that can go wrong on the way."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref import compute_messages as cm
from openpcc_ref.binary_http import Request, RequestHead, Response, ResponseHead
from openpcc_ref.chunked_stream import ChunkedStreamRejected
from openpcc_ref.compute_messages.encapsulated_key import request_aead
from openpcc_ref.errors import Rejected
from openpcc_ref.hpke import AeadId, HpkeRejected, KdfId, KemId, KeyPair, Suite, kem
from openpcc_ref.sources import RandomSource

FORMS = list(cm.Form)


def ramp(first: int, length: int) -> bytes:
    return bytes(range(first, first + length))


def drawing(*values: bytes) -> RandomSource:
    remaining = iter(values)

    def draw(length: int) -> bytes:
        value = next(remaining)
        assert len(value) == length
        return value

    return draw


def counting() -> RandomSource:
    """Fresh, reproducible bytes with every draw."""
    draws = itertools.count()
    return lambda length: hashlib.shake_256(b"draw %d" % next(draws)).digest(length)


P256 = kem(KemId.DHKEM_P256)
A, B = (P256.derive_key_pair(ramp(first, 32)) for first in (0x40, 0x60))
FIXED = (ramp(0, 32), ramp(0x20, 12), ramp(0x80, 32), ramp(0xA0, 32))
BODY = b'{"model":"llama3.2:1b","messages":[{"role":"user","content":"hi"}]}'
JSON = (b"content-type", b"application/json")
HEAD = RequestHead(b"POST", b"http", b"confsec.invalid", b"/v1/chat/completions", (JSON,))


def seal(form: cm.Form, plaintext: bytes, nodes: tuple[KeyPair, ...] = (A,)) -> tuple[bytes, list[bytes]]:
    sealer = cm.RequestSealer(form, random=counting())
    message = sealer.header() + sealer.seal(plaintext) + sealer.finish()
    return message, [sealer.encapsulate_key(node.public_key)[0] for node in nodes]


def open_all(opener: cm.RequestOpener | cm.ResponseOpener, pieces: Iterator[bytes] | list[bytes]) -> bytes:
    opened = [chunk for piece in pieces for chunk in opener.feed(piece)]
    opened += opener.finish()
    assert opener.final_seen
    return b"".join(opened)


def opener_of(form: cm.Form, key: bytes, node: KeyPair = A) -> cm.RequestOpener:
    return cm.RequestOpener(key, node.secret_key, form)


def test_unchunked_exchange_with_fixed_randomness() -> None:
    """The bytes agree with a second implementation of HPKE, computed from the same seeds."""
    request = Request(
        RequestHead(*_control(HEAD), ((b"content-length", b"67"), JSON)),
        BODY,
    )
    media_type, message, keys = cm.seal_request(request, [A.public_key, B.public_key], random=drawing(*FIXED))
    assert media_type == b"application/confsec-req"
    assert len(message) == 542
    assert sha256(message) == "e6d393901ae003fc12ac70b0d775477e43b5e002f601fd2b050099a84e11715e"
    (key_a, context), (key_b, _) = keys
    assert key_a.hex() == (
        "0000100001000104afd5d8459fadab9ff6be66457108ef67e2fd8afee4a2d2952a0d032ce28652502ccc5045d118eacc6c29048c3ac2"
        "a5136f143d2012e52f595426dc49c0c1b61a55739ef42beac4483243a2275470614be13a0fcfdbe32907a203674abda16808af83a712"
        "527941a0402974024b96734c"
    )
    assert key_b[-48:].hex() == (
        "bbe7ae1936a6c204044b46e0bafd361cb8a4cbd7b303fc00aa6d536e7034632f887e6a8bee69353a720e4bc124c11117"
    )
    received, node_context = cm.open_request(media_type, key_a, message, A.secret_key)
    assert received == request
    response = Response(ResponseHead(200, ((b"content-length", b"11"), JSON)), b'{"ok":true}')
    answer_type, answer = cm.seal_response(response, node_context, random=drawing(ramp(0xC0, 16)))
    assert answer_type == b"application/confsec-res"
    assert sha256(answer) == "1c77279ca1f6558ba608728bfe6d38e14af57f206daff6df4c31a0f8a847d5e8"
    assert cm.open_response(answer_type, answer, context) == response


def test_chunked_exchange_with_fixed_randomness() -> None:
    """Content in two Binary HTTP chunks, sealed as one full chunk: where content is cut does not show."""
    sealer = cm.RequestSealer(cm.Form.CHUNKED, random=drawing(*FIXED))
    encoder = cm.request_encoder(HEAD, content_length=None)
    pieces = [encoder.start(), encoder.content(BODY[:23]), encoder.content(BODY[23:]), encoder.finish()]
    message = sealer.header() + b"".join(map(sealer.seal, pieces)) + sealer.finish()
    assert len(message) == 561
    assert sha256(message) == "3c9d6d63a39fbeb804a6f2a2392e3770dbef13a8fcf91caa077a3706443c4b28"
    key, context = sealer.encapsulate_key(A.public_key)
    assert key[-48:].hex() == (
        "c73fadf5d077000c03428fd23e736247e7ce20b11928c3d20ec0847dbbf998e467b334d5f8aca8c287273357f45c3760"
    )
    opener = opener_of(cm.Form.CHUNKED, key)
    assert open_all(opener, [message]) == b"".join(pieces)
    answerer = cm.ResponseSealer(opener.context, cm.Form.CHUNKED, random=drawing(ramp(0xC0, 16)))
    head = ResponseHead(200, ((b"content-type", b"text/event-stream"),))
    response = cm.response_encoder(head, content_length=None)
    events = [b"data: 1\n\n", b"data: [DONE]\n\n"]
    pieces = [response.start(), *map(response.content, events), response.finish()]
    answer = answerer.header() + b"".join(map(answerer.seal, pieces)) + answerer.finish()
    assert sha256(answer) == "aff0b3108db38cec233b131634c3b7cabb292d0d3f889998b7e85150d4ea5ec6"
    received = cm.open_response(b"application/confsec-chunked-res", answer, context)
    assert (received.head, received.content) == (head, b"".join(events))


def _control(head: RequestHead) -> tuple[bytes, bytes, bytes, bytes]:
    return head.method, head.scheme, head.authority, head.path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("length", [0, 1, 513, 514, 515, 1028, 5000])
def test_every_candidate_opens_the_same_request(form: cm.Form, length: int) -> None:
    plaintext = counting()(length)
    message, keys = seal(form, plaintext, (A, B))
    for node, key in zip((A, B), keys, strict=True):
        assert open_all(opener_of(form, key, node), [message]) == plaintext


@pytest.mark.parametrize("form", FORMS)
def test_sizes_follow_from_the_length_alone(form: cm.Form) -> None:
    message, _ = seal(form, bytes(3 * 514))
    assert len(message) == (12 + 3 * 532 + 17 if form is cm.Form.CHUNKED else 12 + 3 * 514 + 16)


@given(cuts=st.lists(st.integers(0, 1500), max_size=8), flush=st.booleans())
def test_sealing_in_pieces_opens_as_one(cuts: list[int], flush: bool) -> None:
    """Chunks may be flushed early; without that, how the plaintext was cut does not show."""
    plaintext = counting()(1500)
    sealer = cm.RequestSealer(cm.Form.CHUNKED, random=counting())
    edges = [0, *sorted(cuts), len(plaintext)]
    message = sealer.header()
    for start, end in itertools.pairwise(edges):
        message += sealer.seal(plaintext[start:end]) + (sealer.flush() if flush else b"")
    message += sealer.finish()
    key, _ = sealer.encapsulate_key(A.public_key)
    assert open_all(opener_of(cm.Form.CHUNKED, key), [message]) == plaintext
    if not flush:
        assert message == seal(cm.Form.CHUNKED, plaintext)[0]


@pytest.mark.parametrize("form", FORMS)
def test_every_split_opens_alike(form: cm.Form) -> None:
    plaintext = counting()(600)
    message, [key] = seal(form, plaintext)
    for cut in range(len(message) + 1):
        assert open_all(opener_of(form, key), [message[:cut], message[cut:]]) == plaintext
    octets = [message[offset : offset + 1] for offset in range(len(message))]
    assert open_all(opener_of(form, key), octets) == plaintext


@pytest.mark.parametrize("form", FORMS)
def test_every_truncation_of_a_request_is_refused(form: cm.Form) -> None:
    message, [key] = seal(form, bytes(20))
    for length in range(len(message)):
        opener = opener_of(form, key)
        with pytest.raises(Rejected):
            open_all(opener, [message[:length]])
        assert not opener.final_seen


@pytest.mark.parametrize("form", FORMS)
def test_every_bit_flip_of_a_request_is_refused(form: cm.Form) -> None:
    """Except in the length of a chunk, where no varint of another value survives either."""
    message, [key] = seal(form, bytes(20))
    for flipped in bit_flips(message):
        with pytest.raises(Rejected):
            open_all(opener_of(form, key), [flipped])


def test_every_bit_flip_of_an_encapsulated_key_is_refused() -> None:
    _, [key] = seal(cm.Form.UNCHUNKED, b"")
    for flipped in bit_flips(key):
        with pytest.raises((cm.ComputeMessageRejected, HpkeRejected)):
            opener_of(cm.Form.UNCHUNKED, flipped)


def test_every_other_length_of_an_encapsulated_key_is_refused() -> None:
    _, [key] = seal(cm.Form.UNCHUNKED, b"")
    assert len(key) == cm.encapsulated_key_length() == 120
    for wrong in [*(key[:length] for length in range(120)), key + b"\0", key + key]:
        with pytest.raises(cm.ComputeMessageRejected, match=r"encapsulated-key\.length"):
            opener_of(cm.Form.UNCHUNKED, wrong)


def bit_flips(data: bytes) -> Iterator[bytes]:
    for offset, bit in itertools.product(range(len(data)), range(8)):
        yield data[:offset] + bytes([data[offset] ^ 1 << bit]) + data[offset + 1 :]


def test_keys_do_not_open_across_nodes_or_forms() -> None:
    message, [key_a, key_b] = seal(cm.Form.UNCHUNKED, b"x", (A, B))
    for key, node, form in ((key_a, B, cm.Form.UNCHUNKED), (key_b, A, cm.Form.UNCHUNKED), (key_a, A, cm.Form.CHUNKED)):
        with pytest.raises(HpkeRejected, match=r"hpke\.open"):
            opener_of(form, key, node)
    assert open_all(opener_of(cm.Form.UNCHUNKED, key_b, B), [message]) == b"x"


def contexts(form: cm.Form) -> tuple[cm.ReceiverContext, cm.ReceiverContext]:
    sealer = cm.RequestSealer(form, random=counting())
    key, client = sealer.encapsulate_key(A.public_key)
    return client, opener_of(form, key).context


@pytest.mark.parametrize("request_form", FORMS)
@pytest.mark.parametrize("form", FORMS)
def test_responses_choose_their_form_freely(request_form: cm.Form, form: cm.Form) -> None:
    client, node = contexts(request_form)
    plaintext = counting()(1200)
    sealer = cm.ResponseSealer(node, form, random=counting())
    message = sealer.header() + sealer.seal(plaintext) + sealer.finish()
    for cut in range(0, len(message), 37):
        assert open_all(cm.ResponseOpener(client, form), [message[:cut], message[cut:]]) == plaintext


@pytest.mark.parametrize("form", FORMS)
def test_every_truncation_and_flip_of_a_response_is_refused(form: cm.Form) -> None:
    client, node = contexts(cm.Form.UNCHUNKED)
    sealer = cm.ResponseSealer(node, form, random=counting())
    message = sealer.header() + sealer.seal(bytes(20)) + sealer.finish()
    for wrong in [*(message[:length] for length in range(len(message))), *bit_flips(message)]:
        with pytest.raises(Rejected):
            open_all(cm.ResponseOpener(client, form), [wrong])


def test_a_response_opens_with_its_own_context_only() -> None:
    sealer = cm.RequestSealer(cm.Form.UNCHUNKED, random=counting())
    pairs = [sealer.encapsulate_key(node.public_key) for node in (A, B)]
    answers = []
    for (key, _), node in zip(pairs, (A, B), strict=True):
        answer = cm.ResponseSealer(
            opener_of(cm.Form.UNCHUNKED, key, node).context, cm.Form.UNCHUNKED, random=counting()
        )
        answers.append(answer.header() + answer.seal(b"yes") + answer.finish())
    for (mine, answer), (theirs, (_, context)) in itertools.product(enumerate(answers), enumerate(pairs)):
        opener = cm.ResponseOpener(context, cm.Form.UNCHUNKED)
        if mine == theirs:
            assert open_all(opener, [answer]) == b"yes"
        else:
            with pytest.raises(cm.ComputeMessageRejected, match=r"response\.open"):
                open_all(opener, [answer])


def test_flushed_chunks_are_readable_at_once() -> None:
    client, node = contexts(cm.Form.UNCHUNKED)
    sealer = cm.ResponseSealer(node, cm.Form.CHUNKED, random=counting())
    opener = cm.ResponseOpener(client, cm.Form.CHUNKED)
    assert opener.feed(sealer.header() + sealer.seal(b"first")) == []
    assert opener.feed(sealer.flush()) == [b"first"]
    assert not opener.final_seen
    assert sealer.flush() == b""
    assert opener.feed(sealer.finish()) == []
    assert opener.finish() == []
    assert opener.final_seen


def test_nothing_follows_the_end() -> None:
    sealer = cm.RequestSealer(cm.Form.CHUNKED, random=counting())
    sealer.finish()
    sealer.seal(b"more")
    for late in (sealer.flush, sealer.finish):
        with pytest.raises(ValueError, match="final chunk has been sealed"):
            late()


def test_oversized_chunks_and_messages_are_refused_while_they_arrive() -> None:
    _, [key] = seal(cm.Form.CHUNKED, b"")
    opener = opener_of(cm.Form.CHUNKED, key)
    with pytest.raises(ChunkedStreamRejected, match=r"chunk\.long"):
        opener.feed(bytes(12) + bytes.fromhex("ffffffffffffffff"))
    _, [key] = seal(cm.Form.UNCHUNKED, b"")
    whole = cm.RequestOpener(key, A.secret_key, cm.Form.UNCHUNKED, max_whole=100)
    whole.feed(bytes(12 + 100))
    with pytest.raises(cm.ComputeMessageRejected, match=r"request\.long"):
        whole.feed(b"\0")


@pytest.mark.parametrize("kem_id", [KemId.DHKEM_P256, KemId.DHKEM_X25519])
@pytest.mark.parametrize(
    ("aead_id", "cipher"),
    [
        (AeadId.AES_128_GCM, AeadId.AES_256_GCM),
        (AeadId.AES_256_GCM, AeadId.AES_256_GCM),
        (AeadId.CHACHA20_POLY1305, AeadId.CHACHA20_POLY1305),
    ],
)
def test_the_cipher_of_a_request_always_takes_the_whole_key(kem_id: KemId, aead_id: AeadId, cipher: AeadId) -> None:
    suite = Suite(kem_id, KdfId.HKDF_SHA256, aead_id)
    assert request_aead(suite) is cipher
    node = kem(kem_id).derive_key_pair(ramp(1, 32))
    sealer = cm.RequestSealer(cm.Form.CHUNKED, random=counting(), suite=suite)
    message = sealer.header() + sealer.seal(b"x") + sealer.finish()
    key, client = sealer.encapsulate_key(node.public_key)
    opener = cm.RequestOpener(key, node.secret_key, cm.Form.CHUNKED, suite=suite)
    assert open_all(opener, [message]) == b"x"
    assert opener.context.nonce_length == client.nonce_length == max(aead_id.nk, 12)


def test_each_request_draws_everything_anew() -> None:
    random = counting()
    sealers = [cm.RequestSealer(cm.Form.UNCHUNKED, random=random) for _ in range(3)]
    messages = [sealer.header() + sealer.finish() for sealer in sealers]
    keys = [sealer.encapsulate_key(A.public_key)[0] for sealer in sealers for _ in range(2)]
    assert len({message[:12] for message in messages}) == 3
    assert len({key[7:72] for key in keys}) == 6


@pytest.mark.parametrize(
    ("decide", "known"),
    [
        (cm.request_form, [b"application/confsec-req", b"application/confsec-chunked-req"]),
        (cm.response_form, [b"application/confsec-res", b"application/confsec-chunked-res"]),
    ],
)
def test_media_types_compare_byte_for_byte(decide: Callable[[bytes], cm.Form], known: list[bytes]) -> None:
    assert list(map(decide, known)) == FORMS
    variants = [[name + b" ", b" " + name, name.upper(), name + b";q=1", name[:-1], b""] for name in known]
    swapped = [name.replace(b"re", b"RE", 1) for name in known]
    for wrong in [*itertools.chain(*variants), *swapped, b"message/ohttp-req", b"\xff"]:
        with pytest.raises(cm.ComputeMessageRejected, match=r"media-type"):
            decide(wrong)


def test_other_hosts_are_never_sealed() -> None:
    for authority in (b"example.com", b"confsec.invalid:80", b"CONFSEC.invalid", b""):
        head = RequestHead(b"POST", b"https", authority, b"/v1/chat/completions")
        with pytest.raises(ValueError, match="no other host"):
            cm.seal_request(Request(head), [A.public_key], random=counting())


@given(
    media_type=st.sampled_from(sorted(cm.REQUEST_MEDIA_TYPES.values())), key=st.binary(max_size=130), data=st.binary()
)
def test_arbitrary_input_is_refused_in_one_way(media_type: bytes, key: bytes, data: bytes) -> None:
    with pytest.raises(Rejected):
        cm.open_request(media_type, key, data, A.secret_key)


@given(form=st.sampled_from(FORMS), data=st.binary(max_size=200))
def test_arbitrary_bodies_are_refused_in_one_way(form: cm.Form, data: bytes) -> None:
    _, [key] = seal(form, b"")
    with pytest.raises(Rejected):
        open_all(opener_of(form, key), [data])
    client, _ = contexts(form)
    with pytest.raises(Rejected):
        open_all(cm.ResponseOpener(client, form), [data])


ECC, NIST_P256 = 0x0023, 0x0003


def test_the_key_of_a_node_as_a_tpm_describes_it() -> None:
    """A published key, and one of the 256th part whose X begins with a zero byte, which a TPM may leave out."""
    x = bytes.fromhex("961dcce3363c4111791dcdfc20ced6a79badfeca3fedf989246543327108001a")
    y = bytes.fromhex("683329f3bd48de502bfddcc76cb613b1e3071e10df2fa0c122edbc83b0821cd6")
    assert cm.encode_node_key(ECC, NIST_P256, x, y) == b"\4" + x + y
    pairs = (P256.derive_key_pair(number.to_bytes(32, "big")) for number in itertools.count())
    short = next(pair.public_key for pair in pairs if not pair.public_key[1])
    assert cm.encode_node_key(ECC, NIST_P256, short[1:33].lstrip(b"\0"), short[33:].lstrip(b"\0")) == short


@given(
    key_type=st.sampled_from([ECC, 1, 0x25]) | st.integers(0, 0xFFFF),
    curve=st.sampled_from([NIST_P256, 4]) | st.integers(0, 0xFFFF),
    x=st.binary(max_size=40),
    y=st.binary(max_size=40),
)
def test_arbitrary_keys_of_nodes_are_refused_in_one_way(key_type: int, curve: int, x: bytes, y: bytes) -> None:
    with pytest.raises(cm.ComputeMessageRejected, match=r"compute-message\.node-key\.(type|curve|coordinate|point)"):
        cm.encode_node_key(key_type, curve, x, y)


def test_nothing_secret_is_printed() -> None:
    sealer = cm.RequestSealer(cm.Form.UNCHUNKED, random=drawing(*FIXED))
    _, context = sealer.encapsulate_key(A.public_key)
    text = f"{sealer!r} {context!r} {A!r}"
    for secret in (FIXED[0], A.secret_key, context.hpke.exporter_secret):
        assert secret.hex() not in text
        assert repr(secret) not in text
