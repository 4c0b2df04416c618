"""Refunds: what a node reports as unspent becomes a credit, once, in the trailer, and never more than was paid."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.peers.router_case import Reply, RouterCase
from conformance.peers.router_nodes import answers, response_head
from conformance.registry import check
from conformance.verdicts import Violation, expect
from openpcc_ref.base64_text import from_text, to_text
from openpcc_ref.credits import ATTESTATION, CreditRejected, CurrencyValue, UnblindedCredit, currency
from openpcc_ref.credits import credit as credit_format
from openpcc_ref.credits.credit import verify_credit
from openpcc_ref.credits.currency import MAX_AMOUNT
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import Failure, Fields, Http1Error, field_values
from openpcc_ref.protobuf.credit_pb2 import Credit as Message

SPENT = 10_000
"""An amount that is paid; it is rounded up to the next value."""


@check(
    id="router.refunds.issued",
    requirements=["RTR-061", "PAY-125", "PAY-001", "PAY-025", "PAY-043", "PAY-044", "PAY-045"],
    title="What the node reports comes back as a good credit of that value",
)
async def issued(case: RouterCase) -> None:
    """Values from one to the whole payment. Each comes back once, in the trailer, as a credit of exactly that
    value under the currency key."""
    paid = currency.round_up(SPENT)
    for unspent in (CurrencyValue(1), CurrencyValue(15), CurrencyValue(16), CurrencyValue(100), paid):
        reply = await refunding(case, paid, (amount_of(unspent),))
        refund = refund_of(case, reply)
        expect(refund is not None, expected=f"a refund of {unspent.amount}", observed="none")
        assert refund is not None
        same = refund.value == unspent
        expect(same, expected=f"a refund of {unspent.amount}", observed=f"one of the code {refund.value.code}")


@check(
    id="router.refunds.none",
    requirements=["RTR-062"],
    title="Without an amount from the node there is no refund",
)
async def none(case: RouterCase) -> None:
    """Responses without the trailer: one that announces it and one that does not, and a failure of the node."""
    for status, fields in ((200, response_head()), (200, ()), (500, ())):
        case.farm.peer.answer = answers([b"sealed"], status=status, fields=fields[:1])
        reply = await case.compute(case.paid(case.mint.credit(10)))
        expect(reply.status == status, expected=f"the node's status {status}", observed=str(reply))
        expect_no_refund(reply, "a response without an amount")


@check(
    id="router.refunds.trailer-only",
    requirements=["PAY-125"],
    title="A refund comes in the trailer, once",
)
async def trailer_only(case: RouterCase) -> None:
    """A refund in the head would be promised before the nonce is consumed. The trailer has one line of it."""
    reply = await refunding(case, currency.round_up(SPENT), (amount_of(CurrencyValue(9)),))
    in_head, in_trailer = field_values(reply.fields, b"x-refund"), field_values(reply.trailers, b"x-refund")
    expect(not in_head, expected="no X-Refund in the head", observed=f"{len(in_head)} lines of it")
    expect(len(in_trailer) == 1, expected="X-Refund once in the trailer", observed=f"{len(in_trailer)} lines of it")


@check(
    id="router.refunds.amount-hidden",
    requirements=["RTR-063"],
    title="The amount that the node reports does not reach the client",
)
async def amount_hidden(case: RouterCase) -> None:
    """Reported in the trailer, as it should be, and in the head, where it does not belong: the client gets to see the
    field nowhere."""
    name, value = amount_of(CurrencyValue(9))
    await refunding(case, currency.round_up(SPENT), ((name, value),))
    case.farm.peer.answer = answers([b"sealed"], ((name, value), (b"X-REFUND-AMOUNT", value)))
    await case.compute(case.paid(case.mint.credit(10)))
    _expect_hidden(case, name, "the trailer", None)
    case.farm.peer.answer = answers([b"sealed"], fields=((name, value),))
    await case.compute(case.paid(case.mint.credit(10)))
    _expect_hidden(case, name, "the head", "RTR-D25")


def _expect_hidden(case: RouterCase, name: bytes, where: str, deployed: str | None) -> None:
    shown = any(name.lower() + b":" in bytes(data).lower() for data in case.taps.inputs.get("gateway", {}).values())
    seen = f"it came through from {where} of the node's response"
    expect(not shown, expected="no X-Refund-Amount at the client", observed=seen, deployed=deployed)


@check(
    id="router.refunds.above-payment",
    requirements=["RTR-064", "PAY-123"],
    title="No refund is above the payment",
)
async def above_payment(case: RouterCase) -> None:
    """A node reports more than was paid, from the next value to the largest there is. It must not become money, and the
    end must not look like one without a refund of what is known to be left."""
    for paid, unspent in ((10, 11), (200, 208), (200, MAX_AMOUNT), (1, MAX_AMOUNT)):
        claimed = currency.round_up(unspent)
        reply = await refunding(case, currency.exact(paid), (amount_of(claimed),), whole=False)
        await _expect_no_such_refund(case, reply, claimed, f"{unspent} reported for a payment of {paid}")


@check(
    id="router.refunds.special",
    requirements=["PAY-123", "RTR-064"],
    title="No refund is of a special value",
)
async def special(case: RouterCase) -> None:
    """A node reports the attestation token, or another special value, as unspent. Nodes must not make tokens."""
    for value in (ATTESTATION, CurrencyValue(1, special=True), CurrencyValue(257, special=True)):
        reply = await refunding(case, currency.round_up(SPENT), (amount_of(value),), whole=False)
        await _expect_no_such_refund(case, reply, value, f"the special value {value.blind_bytes.hex(' ')} reported")


@check(
    id="router.refunds.malformed",
    requirements=["RTR-062"],
    title="What is no amount becomes no refund",
)
async def malformed(case: RouterCase) -> None:
    """No base64, an integer, no message, one byte, an unknown bit. The response may break off; no refund comes."""
    texts = (b"!!!", b"12", b"CgI", to_text(b"\xff").encode(), to_text(b"\x0a\x01\x05").encode(), b"CgIEBQ==", b"")
    for text in texts:
        reply = await refunding(case, currency.round_up(SPENT), ((b"X-Refund-Amount", text),), whole=False)
        expect_no_refund(reply, f"the amount {text.decode()!r}")


@check(
    id="router.refunds.repeated-amount",
    requirements=["RTR-064"],
    title="Two amounts do not become two refunds",
)
async def repeatedamount_of(case: RouterCase) -> None:
    """The node reports two amounts, each within the payment and together above it. At most one may be refunded."""
    paid = currency.exact(16)
    reply = await refunding(case, paid, (amount_of(CurrencyValue(12)), amount_of(CurrencyValue(11))), whole=False)
    refund = refund_of(case, reply)
    most = refund is None or refund.value.amount <= paid.amount
    expect(most, expected="at most 16 back of 16", observed=f"{refund.value.amount if refund else 0}")


@check(
    id="router.refunds.zero",
    requirements=["PAY-124"],
    title="A refund of zero is not sent",
)
async def zero(case: RouterCase) -> None:
    """A credit of nothing is worth nothing, and costs an exchange."""
    reply = await refunding(case, currency.round_up(SPENT), (amount_of(CurrencyValue(0)),), whole=False)
    await _expect_no_such_refund(case, reply, CurrencyValue(0), "an amount of zero", deployed="RTR-D26")


@check(
    id="router.refunds.forged-trailer",
    requirements=["RTR-065"],
    title="A trailer X-Refund of the node is dropped",
)
async def forged_trailer(case: RouterCase) -> None:
    """With an amount and without one the node sends a trailer `X-Refund` of its own. A client that took it for the
    router's could be told apart later by who shows that credit."""
    forged = credit_format.encode_text(case.mint.credit(5)).encode()
    for trailers in (((b"X-Refund", forged),), ((b"X-REFUND", forged), amount_of(CurrencyValue(3)))):
        reply = await refunding(case, currency.round_up(SPENT), trailers, whole=False)
        passed = field_values(reply.trailers, b"x-refund").count(forged)
        seen = f"it came {passed} times"
        expect(passed == 0, expected="no X-Refund of the node", observed=seen, deployed="RTR-D22" if passed else None)


@check(
    id="router.refunds.forged-field",
    requirements=["RTR-065"],
    title="A field X-Refund of the node is dropped",
)
async def forged_field(case: RouterCase) -> None:
    """The node sends `X-Refund` in the head of its response."""
    forged = credit_format.encode_text(case.mint.credit(5)).encode()
    case.farm.peer.answer = answers([b"sealed"], fields=((b"x-refund", forged),))
    reply = await case.served(case.mint.credit(10))
    passed = field_values((*reply.fields, *reply.trailers), b"x-refund")
    deployed = "RTR-D22" if forged in passed else None
    expect(not passed, expected="no X-Refund of the node", observed="it came along", deployed=deployed)


@check(
    id="router.refunds.no-length",
    requirements=["RTR-067"],
    title="A response that may have a refund has no declared length",
)
async def no_length(case: RouterCase) -> None:
    """A trailer needs the chunked transfer coding."""
    reply = await refunding(case, currency.round_up(SPENT), (amount_of(CurrencyValue(3)),))
    length = field_values(reply.fields, b"content-length")
    expect(not length, expected="no content-length with a refund", observed=str(length))
    expect(refund_of(case, reply) is not None, expected="a refund", observed="none")


@check(
    id="router.refunds.fresh",
    requirements=["PAY-020", "PAY-021", "PAY-027"],
    title="Every refund has a nonce of its own, stamped with an hour",
)
async def fresh(case: RouterCase) -> None:
    """Twelve refunds of one value: their random parts differ from each other and from those of what was paid, and
    their stamps are the present hour or the next one, without fractions."""
    seen: set[bytes] = set()
    for _ in range(12):
        reply = await refunding(case, currency.exact(10), (amount_of(CurrencyValue(3)),))
        refund = refund_of(case, reply)
        expect(refund is not None, expected="a refund", observed="none")
        assert refund is not None
        seen.add(refund.nonce.random)
        message = Message.FromString(from_text(reply_text(reply), CreditRejected, "refund"))
        fraction = message.nonce.timestamp.nanos
        expect(fraction == 0, expected="a stamp without nanoseconds", observed=f"a stamp with {fraction} ns")
        stamp = refund.nonce.timestamp
        ahead = stamp - case.mint.credit(1).nonce.timestamp
        whole = stamp % 3600 == 0 and -3600 <= ahead <= 3600
        expect(whole, expected="a stamp of this hour or the next", observed=f"{stamp}, {ahead} s ahead of this hour")
    paid = {call.nonce.random for call in case.nonce_lock.calls}
    expect(
        len(seen - paid) == 12, expected="12 nonces of their own", observed=f"only {len(seen - paid)} different ones"
    )


@check(
    id="router.refunds.no-salt",
    requirements=["PAY-046"],
    title="The signature of a refund has the salt of zeros",
)
async def no_salt(case: RouterCase) -> None:
    """A salt that an issuer chose could mark a credit. With zeros there is one signature for a nonce and a value, which
    the runner computes too."""
    for code in (1, 20, 100):
        reply = await refunding(case, currency.round_up(SPENT), (amount_of(CurrencyValue(code)),))
        refund = refund_of(case, reply)
        expect(refund is not None, expected="a refund", observed="none")
        assert refund is not None
        same = case.mint.credit(refund.value, nonce=refund.nonce).signature == refund.signature
        expect(same, expected="the one signature with a salt of zeros", observed="another one that verifies")


def reply_text(reply: Reply) -> str:
    """Return the text of the refund in the trailer of a reply."""
    return field_values(reply.trailers, b"x-refund")[0].decode("latin-1")


def refund_of(case: RouterCase, reply: Reply) -> UnblindedCredit | None:
    """Return the refund in the trailer of a reply, if there is one. A violation if it is no good credit."""
    lines = field_values(reply.trailers, b"x-refund")
    expect(len(lines) <= 1, expected="one refund at most", observed=f"{len(lines)} lines of X-Refund")
    if not lines:
        return None
    try:
        refund = credit_format.decode_text(UnblindedCredit, lines[0].decode("latin-1"))
        verify_credit(case.mint.key.public_key, refund)
    except Rejected as rejected:
        raise Violation("a credit of the currency key in X-Refund", str(rejected)) from rejected
    return refund


async def refunding(
    case: RouterCase, paid: CurrencyValue, trailers: Sequence[tuple[bytes, bytes]], *, whole: bool = True
) -> Reply:
    """Pay for a request whose node reports something in its trailer.

    A router may break off where it refuses that (not ``whole``): it then has given no refund.
    """
    await case.after_the_cut_over()
    case.farm.peer.answer = answers([b"sealed", b"response"], tuple(trailers))
    try:
        reply = await case.compute(case.paid(case.mint.credit(paid)))
    except Http1Error as error:
        if whole or error.failure is Failure.TIMEOUT:
            raise
        return Reply(502, (), b"", (), False, error.failure)
    if whole:
        expect(reply.status == 200 and reply.complete, expected="the node's whole response", observed=str(reply))
    waits = reply.failure is Failure.TIMEOUT
    expect(not waits, expected="a response that ends, cleanly or not", observed=f"{reply}, on an open connection")
    return reply


def amount_of(value: CurrencyValue) -> tuple[bytes, bytes]:
    """Return the trailer in which a node reports this value."""
    return (b"X-Refund-Amount", currency.encode_text(value).encode())


def expect_no_refund(reply: Reply, what: str) -> None:
    """Require that a reply has no refund, neither in its head nor in its trailer."""
    lines: Fields = tuple(line for line in (*reply.fields, *reply.trailers) if line[0] == b"x-refund")
    expect(not lines, expected=f"no refund for {what}", observed=f"{len(lines)} lines of X-Refund")


async def _expect_no_such_refund(
    case: RouterCase, reply: Reply, claimed: CurrencyValue, what: str, deployed: str = "RTR-D09"
) -> None:
    refund = refund_of(case, reply)
    as_deployed = refund is not None and refund.value == claimed
    expect(
        refund is None,
        expected=f"no refund for {what}",
        observed="a refund of exactly that" if as_deployed else "another refund",
        deployed=deployed if as_deployed else None,
    )
