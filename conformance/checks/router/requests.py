"""Compute requests before anything is forwarded: routing info, credits, and where there is no node."""

from __future__ import annotations

from conformance.peers.mint import SPECIALS, draw_nonce
from conformance.peers.router_case import RouterCase, credit_fields
from conformance.registry import check
from conformance.verdicts import NotApplicable, expect
from openpcc_ref.base64_text import to_text
from openpcc_ref.credits import Credit, CurrencyValue, Nonce, blind_rsa
from openpcc_ref.credits import credit as credit_format
from openpcc_ref.http1 import Fields
from openpcc_ref.protobuf.router_pb2 import ComputeCandidate, ComputeRequestInfo
from openpcc_ref.routing import make_node_id
from openpcc_ref.sources import system_random


@check(
    id="router.requests.routing-info",
    requirements=["RTR-031"],
    title="Routing info that names no candidate, or a bad one, is refused",
)
async def routing_info(case: RouterCase) -> None:
    """No routing info, no base64, no message, no candidate; then a good candidate together with one that has no
    identifier, one of version 4, no key or an empty one. Each is refused with 400 and the credit left alone."""
    await case.control()
    good = ComputeCandidate(id=case.nodes[0].id, encapsulated_key=b"key")
    text = _info(good)
    bad = {
        "an empty text": b"",
        "text that is no base64": b"=" + text,
        "text that is no message": to_text(b"\xff\xff").encode(),
        "a candidate without identifier": _info(good, ComputeCandidate(encapsulated_key=b"key")),
        "a UUID of version 4": _info(
            good, ComputeCandidate(id="7d444840-9dc0-41d1-b245-5ffdce74fad2", encapsulated_key=b"key")
        ),
        "an identifier that is no UUID": _info(good, ComputeCandidate(id="node", encapsulated_key=b"key")),
        "a candidate without key": _info(good, ComputeCandidate(id=case.nodes[1].id)),
        "a candidate with an empty key": _info(good, ComputeCandidate(id=case.nodes[1].id, encapsulated_key=b"")),
    }
    for what, value in bad.items():
        credit = case.mint.credit(10)
        await case.refused((*credit_fields(credit), (b"x-routing-info", value)), 400, f"{what} in X-Routing-Info")
        case.untouched(credit, what)
    credit = case.mint.credit(10)
    await case.refused(credit_fields(credit), 400, "no routing info")
    case.untouched(credit, "no routing info")


@check(
    id="router.requests.unused-fields",
    requirements=["RTR-032", "RTR-008"],
    title="Fields of candidates that are out of use or unknown are ignored",
)
async def unused_fields(case: RouterCase) -> None:
    """Fields 2 and 3 once held other keys. A candidate that has them, with an unknown field and in another order, is
    served, and the node gets the key of field 4."""
    node = case.nodes[0]
    candidate = b"\x22\x03key" + b"\x12\x05other" + b"\x1a\x05third" + b"\xa0\x06\x01" + b"\x0a\x24" + node.id.encode()
    text = to_text(b"\x0a" + bytes([len(candidate)]) + candidate).encode()
    reply = await case.compute((*credit_fields(case.mint.credit(10)), (b"x-routing-info", text)))
    expect(reply.status == 200, expected="status 200 for a candidate with unused fields", observed=str(reply))
    received = await case.farm.peer.arrival()
    keys = [value for name, value in received.fields if name == b"x-encapsulated-key"]
    expect(keys == [to_text(b"key").encode()], expected="the key of field 4 at the node, in base64", observed=f"{keys}")


@check(
    id="router.requests.ten-candidates",
    requirements=["RTR-033"],
    title="Ten candidates are supported",
)
async def ten_candidates(case: RouterCase) -> None:
    """Ten candidates with keys of 120 bytes, one of which is a node."""
    others = [case.candidate(make_node_id(number, random=system_random)) for number in range(1, 10)]
    await case.served(case.mint.credit(10), *others, case.nodes[0])


@check(
    id="router.requests.special-value",
    requirements=["RTR-035", "PAY-122", "PAY-003", "PAY-010", "PAY-011"],
    title="Compute requests cannot be paid with special values",
)
async def special_value(case: RouterCase) -> None:
    """Well-signed credits of special values, the attestation token among them: refused with 400 and left alone."""
    await case.control()
    for worth in (*SPECIALS, CurrencyValue(256, special=True)):
        credit = case.mint.credit(worth)
        what = f"a credit of the value {worth.blind_bytes.hex(' ')}"
        await case.refused(case.paid(credit), 400, what)
        case.untouched(credit, what)


@check(
    id="router.requests.malformed-credit",
    requirements=["RTR-039", "PAY-002", "PAY-026", "PAY-032", "PAY-033"],
    title="Credits that do not decode are refused",
)
async def malformed_credit(case: RouterCase) -> None:
    """No credit, no base64, no message, and messages that lack a part or have a wrong one."""
    await case.control()
    credit = case.mint.credit(10)
    text = credit_format.encode_text(credit).encode()
    bad: dict[str, bytes] = {
        "an empty text": b"",
        "text that is no base64": b"!" + text[1:],
        "half a credit": text[: len(text) // 8 * 4],
        "text that is no message": to_text(b"\xff\xff").encode(),
    }
    for member in ("value", "nonce", "signature"):
        message = credit_format.to_message(credit)
        message.ClearField(member)
        bad[f"a credit without {member}"] = to_text(message.SerializeToString()).encode()
    short = credit_format.to_message(credit)
    short.nonce.nonce = short.nonce.nonce[:15]
    bad["a nonce of 15 bytes"] = to_text(short.SerializeToString()).encode()
    unknown = credit_format.to_message(credit)
    unknown.value.currency = bytes([4, unknown.value.currency[1]])
    bad["a value with an unknown bit"] = to_text(unknown.SerializeToString()).encode()
    for what, value in bad.items():
        await case.refused(case.paid(value), 400, f"{what} in X-Credit")
    await case.refused(case.paid(credit)[1:], 400, "no credit")
    case.untouched(credit, "credits that do not decode")


@check(
    id="router.requests.forged-credit",
    requirements=["RTR-038", "PAY-109", "PAY-034", "PAY-053"],
    title="A credit with a wrong signature is refused before its nonce is locked",
)
async def forged_credit(case: RouterCase) -> None:
    """Good credits with another value, another hour, another random part or a flipped bit in the signature, and one of
    another length. Their nonces must not be locked: whoever could lock nonces with forged credits could block those of
    others."""
    await case.control()
    good = case.mint.credit(10)
    random = system_random(16)
    forged = {
        "a higher value": Credit(CurrencyValue(good.value.code + 1), good.nonce, good.signature),
        "another hour": Credit(good.value, Nonce(good.nonce.timestamp + 3600, good.nonce.random), good.signature),
        "another random part": Credit(good.value, Nonce(good.nonce.timestamp, random), good.signature),
        "a flipped bit": Credit(good.value, good.nonce, bytes([*good.signature[:-1], good.signature[-1] ^ 1])),
        "a signature of one byte": Credit(good.value, good.nonce, b"\x01"),
        "zeros before the signature": Credit(good.value, good.nonce, bytes(2) + good.signature),
    }
    for what, credit in forged.items():
        await case.refused(case.paid(credit), 400, f"a credit with {what}")
        case.untouched(credit, f"a credit with {what}")
    case.untouched(good, "forged credits")


@check(
    id="router.requests.any-salt",
    requirements=["PAY-047"],
    title="Salts of 48 bytes are accepted, and no others",
)
async def any_salt(case: RouterCase) -> None:
    """Issuers leave the salt at zeros, but who blinds may draw one: credits with random salts of 48 bytes are served.
    With 32 bytes, or none, they are refused."""
    for length, good in ((48, True), (32, False), (0, False)):
        value, nonce = CurrencyValue(10), draw_nonce()
        framed = blind_rsa.frame(nonce.blind_bytes, value.blind_bytes)
        salt = case.random.randbytes(length)
        credit = Credit(value, nonce, case.mint.sign(framed, case.mint.exponent(value.blind_bytes), salt=salt))
        if good:
            await case.served(credit)
            case.forget()
        else:
            await case.refused(case.paid(credit), 400, f"a credit with a salt of {length} bytes")


@check(
    id="router.requests.large-signature",
    requirements=["PAY-054"],
    title="A signature that is a number above the modulus is refused",
)
async def large_signature(case: RouterCase) -> None:
    """The modulus is added to a good signature that leaves room for it: the same credit with another spelling."""
    await case.control()
    key = case.mint.key.public_key
    for _ in range(500):
        good = case.mint.credit(10)
        number = int.from_bytes(good.signature, "big") + key.modulus
        if number < 1 << 8 * key.length:
            break
    else:
        raise NotApplicable("a modulus that leaves room for a larger number of its length")
    large = Credit(good.value, good.nonce, number.to_bytes(key.length, "big"))
    reply = await case.compute(case.paid(large))
    expect(
        reply.status == 400,
        expected="status 400 for a signature that is a number above the modulus",
        observed=str(reply),
        deployed="PAY-D07" if reply.status == 200 else None,
    )


@check(
    id="router.requests.long-value",
    requirements=["PAY-004"],
    title="A value of more than two bytes is refused",
)
async def long_value(case: RouterCase) -> None:
    """A third byte behind the two that are signed."""
    await case.control()
    message = credit_format.to_message(case.mint.credit(10))
    message.value.currency += b"\0"
    reply = await case.compute(case.paid(to_text(message.SerializeToString()).encode()))
    deployed = "PAY-D19" if reply.status == 200 else None
    expect(
        reply.status == 400, expected="status 400 for a value of three bytes", observed=str(reply), deployed=deployed
    )


@check(
    id="router.requests.nanos",
    requirements=["PAY-027"],
    title="Fractions of seconds in a nonce are ignored",
)
async def nanos(case: RouterCase) -> None:
    """A credit whose time stamp has nanoseconds is the same credit: it is served, and then it is spent."""
    credit = case.mint.credit(10)
    message = credit_format.to_message(credit)
    message.nonce.timestamp.nanos = 5
    reply = await case.compute(case.paid(to_text(message.SerializeToString()).encode()))
    expect(reply.status == 200, expected="status 200 for a credit with nanoseconds", observed=str(reply))
    case.forget()
    await case.refused(case.paid(credit), 400, "the same credit without them")


@check(
    id="router.requests.none-routable",
    requirements=["RTR-036"],
    title="Without a routable candidate the answer is 404 and the credit stays good",
)
async def none_routable(case: RouterCase) -> None:
    """Candidates that the router has never heard of. The answer is 404, the nonce lock is not asked, and the same
    credit then pays for a request."""
    credit = case.mint.credit(10)
    strangers = [case.candidate(make_node_id(number, random=system_random)) for number in (1, 1 << 40)]
    await case.refused(case.paid(credit, *strangers), 404, "candidates that are no nodes")
    case.untouched(credit, "candidates that are no nodes")
    await case.served(credit)


@check(
    id="router.requests.random-fields",
    requirements=["RTR-031", "RTR-039"],
    title="Arbitrary routing info and credits are refused",
)
async def random_fields(case: RouterCase) -> None:
    """Arbitrary bytes in base64, alone and behind the start of something good: 400 each, and no node is asked."""
    await case.control()
    credit = credit_format.encode_credit(case.mint.credit(10))
    good = case.paid(case.mint.credit(10))
    for number in range(30):
        junk = case.random.randbytes(case.random.randrange(1, 300))
        start = credit[: case.random.randrange(len(credit))] if number % 2 else b""
        broken: Fields = case.paid(to_text(start + junk).encode())
        if number % 3 == 0:
            broken = (good[0], (b"x-routing-info", to_text(b"\x0f" + junk).encode()))
        await case.refused(broken, 400, "arbitrary bytes")


def _info(*candidates: ComputeCandidate) -> bytes:
    return to_text(ComputeRequestInfo(candidates=candidates).SerializeToString()).encode()
