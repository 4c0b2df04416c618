"""Attestation tokens: what a query for manifests costs, and what it costs when something is wrong."""

from __future__ import annotations

from contextlib import suppress

import anyio

from conformance.checks.router.manifests import ANY, expect_status
from conformance.peers.hosted_nonce_lock import operation_of
from conformance.peers.router_case import LockFailure, RouterCase
from conformance.peers.scripted import Received
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.base64_text import to_text
from openpcc_ref.credits import ATTESTATION, Credit, CurrencyValue
from openpcc_ref.credits import credit as credit_format
from openpcc_ref.http1 import Http1Error, Responder


@check(
    id="router.tokens.required",
    requirements=["RTR-010"],
    title="A query without a token that decodes is refused",
)
async def required(case: RouterCase) -> None:
    """No token, an empty one, no base64, no message, and messages that lack a part."""
    expect_status(await case.query(ANY), 200, "a query with a token")
    token = case.mint.credit(ATTESTATION)
    message = credit_format.to_message(token)
    for member in ("value", "nonce", "signature"):
        part = type(message)()
        part.CopyFrom(message)
        part.ClearField(member)
        text = to_text(part.SerializeToString()).encode()
        expect_status(await case.query(ANY, text), 400, f"a token without {member}")
    text = credit_format.encode_text(token).encode()
    for what, broken in (("no base64", b"=" + text), ("half a token", text[: len(text) // 8 * 4]), ("none", b"")):
        expect_status(await case.query(ANY, broken), 400, f"{what} as token")
    expect_status(await case.post(b"/compute-manifests", ANY), 400, "no token at all")
    case.untouched(token, "tokens that do not decode")


@check(
    id="router.tokens.value",
    requirements=["RTR-011", "PAY-120"],
    title="A token of any other value than 01 00 is refused",
)
async def value(case: RouterCase) -> None:
    """Well-signed credits of an ordinary zero, of one, of a lot, and of special values that are no tokens."""
    expect_status(await case.query(ANY), 200, "a query with a token")
    wrong = (CurrencyValue(0), CurrencyValue(1), CurrencyValue(511), CurrencyValue(1, special=True))
    for worth in (*wrong, CurrencyValue(256, special=True)):
        credit = case.mint.credit(worth)
        what = f"a query paid with the value {worth.blind_bytes.hex(' ')} in place of 01 00"
        expect_status(await case.query(ANY, credit), 400, what)
        case.untouched(credit, what)


@check(
    id="router.tokens.signature",
    requirements=["RTR-012", "PAY-109", "PAY-034"],
    title="A token that is not signed by the currency key is refused before its nonce is locked",
)
async def signature(case: RouterCase) -> None:
    """A token with the signature of another one, and one whose signature has a flipped bit."""
    expect_status(await case.query(ANY), 200, "a query with a token")
    good, other = case.mint.credit(ATTESTATION), case.mint.credit(ATTESTATION)
    flipped = bytes([other.signature[0], other.signature[1] ^ 1, *other.signature[2:]])
    for what, forged in (
        ("a token with another's signature", Credit(good.value, good.nonce, other.signature)),
        ("a token with a flipped bit", Credit(other.value, other.nonce, flipped)),
    ):
        expect_status(await case.query(ANY, forged), 400, what)
        case.untouched(forged, what)


@check(
    id="router.tokens.lock-first",
    requirements=["RTR-012"],
    title="A token is locked before the query is answered",
)
async def lock_first(case: RouterCase) -> None:
    """The nonce lock refuses: the token was consumed elsewhere, or is held by somebody. A good query gets 400 then, and
    so does a malformed one, which therefore costs nothing."""
    spent, held = case.mint.credit(ATTESTATION), case.mint.credit(ATTESTATION)
    case.nonce_lock.spend_elsewhere(spent.nonce)
    case.nonce_lock.service.lock(held.nonce)
    for what, token in (("a consumed token", spent), ("a locked token", held)):
        reply = await case.query(ANY, token)
        expect_status(reply, 400, what)
        asked = case.nonce_lock.asked(token.nonce)
        expect(asked == ["lock"], expected=f"one attempt to lock {what}", observed=", ".join(asked) or "none")


@check(
    id="router.tokens.lock-fails",
    requirements=["RTR-012"],
    title="No query is answered when the nonce lock fails",
)
async def lock_fails(case: RouterCase) -> None:
    """The nonce lock answers 500, hangs up, or answers without a ticket, once. A router may refuse then or ask again;
    but a query that is answered must have its token locked."""
    expect_status(await case.query(ANY), 200, "a query with a token")
    for how in LockFailure:
        token = case.mint.credit(ATTESTATION)
        case.lock_fails_once("lock", how)
        with suppress(Http1Error):  # a router may ask the lock again for longer than this case lasts
            reply = await case.query(ANY, token)
            expect(
                reply.status != 200 or case.state(token) != "free",
                expected=f"no answer with {how}",
                observed=f"{reply} for a token that nobody has locked",
                deployed="RTR-D27" if how is LockFailure.EMPTY else None,
            )


@check(
    id="router.tokens.consumed",
    requirements=["PAY-121", "RTR-013"],
    title="A token is consumed by its query, also if nothing is found",
)
async def consumed(case: RouterCase) -> None:
    """A query that finds nodes, one that finds none, and one for nothing: each token is spent afterwards."""
    for what, content in (("nodes", ANY), ("none", b"\x0a\x09not there\x10\x05"), ("nothing", b"")):
        token = case.mint.credit(ATTESTATION)
        expect_status(await case.query(content, token), 200, f"a query that finds {what}")
        state = await case.settled(token)
        seen = f"its nonce is {state}"
        expect(state == "consumed", expected=f"a consumed token after a query that finds {what}", observed=seen)
        expect_status(await case.query(content, token), 400, "the same token again")


@check(
    id="router.tokens.malformed-query",
    requirements=["RTR-013"],
    title="A token is consumed also when the query is malformed",
)
async def malformed_query(case: RouterCase) -> None:
    """No message at all, and a limit out of range: the query is refused with 400 and the token spent."""
    for what, content in (("a query that is no message", b"\xff\xff"), ("a query with limit 501", b"\x10\xf5\x03")):
        token = case.mint.credit(ATTESTATION)
        expect_status(await case.query(content, token), 400, what)
        state = await case.settled(token)
        expect(state == "consumed", expected=f"a consumed token after {what}", observed=f"its nonce is {state}")


@check(
    id="router.tokens.once",
    requirements=["RTR-012", "RTR-013"],
    title="One token pays for one of many simultaneous queries",
)
async def once(case: RouterCase) -> None:
    """Eight queries with one token at the same time. The nonce lock grants one lock; one query is answered."""
    token = case.mint.credit(ATTESTATION)
    statuses: list[int] = []
    arrived = 0
    everybody = anyio.Event()

    async def together(received: Received, responder: Responder) -> None:
        nonlocal arrived
        arrived += operation_of(received) == "lock"
        if arrived == 8:
            everybody.set()
        with anyio.move_on_after(case.step_s / 4):  # a router that lets one at a time do so is as good
            await everybody.wait()
        await case.nonce_lock.serve(received, responder)

    async def ask() -> None:
        statuses.append((await case.query(ANY, token)).status)

    case.nonce_lock.peer.answer = together
    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(ask)
    expect(
        sorted(statuses) == [200] + [400] * 7,
        expected="status 200 once and 400 seven times",
        observed=", ".join(str(status) for status in sorted(statuses)),
    )
