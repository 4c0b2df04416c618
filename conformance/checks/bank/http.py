"""Requests and answers: paths, methods, messages, and what is none."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from conformance.peers.bank import PATHS, BankCase, Reply
from conformance.registry import check
from conformance.verdicts import Violation, expect
from openpcc_ref.banking import messages
from openpcc_ref.banking.messages import Deposit, Withdrawal
from openpcc_ref.http1 import Http1Error, field_value
from openpcc_ref.protobuf.error_pb2 import Error
from openpcc_ref.services.message_service import MEDIA_TYPE

_OVERSIZED = 10 * 2**20
_RANDOM_BODIES = 200


@check(
    id="bank.http.answers",
    requirements=["PAY-089"],
    title="Each operation answers 200 with its message",
)
async def answers(case: BankCase) -> None:
    """Each operation is asked for in its simplest form. The status must be 200 and the content type
    `application/octet-stream`."""
    token = case.token()
    for what, reply in (
        ("a deposit", await case.deposit(token, case.mint.credit(31))),
        ("a withdrawal", await case.withdraw(token, [case.mint.pending(1).request])),
        ("a balance", await case.post("/balance", messages.encode_balance_request(token))),
        ("a full withdrawal", await case.withdraw_full(token)),
        ("an exchange", await case.exchange(case.mint.credit(1), case.mint.pending(1))),
    ):
        media_type = field_value(reply.fields, b"content-type")
        expect(
            (reply.status, media_type) == (200, MEDIA_TYPE),
            expected=f"status 200 with {MEDIA_TYPE.decode()} for {what}",
            observed=f"status {reply.status} with {(media_type or b'no media type').decode('latin-1')}",
        )


@check(
    id="bank.http.unknown-fields",
    requirements=["PAY-089"],
    title="Fields that a message does not have are ignored",
)
async def unknown_fields(case: BankCase) -> None:
    """A deposit and a balance request have a field 15 more than their messages. Both must be answered: messages grow
    that way."""
    token, more = case.token(), bytes.fromhex("7a03010203")
    deposit = messages.encode_deposit_request(Deposit(token, case.mint.credit(5)))
    balance = (await case.post("/deposit", deposit + more)).read(messages.decode_deposit_response, "a deposit")
    expect(balance == 5, expected="the balance 5", observed=f"the balance {balance}")
    reply = await case.post("/balance", messages.encode_balance_request(token) + more)
    balance = reply.read(messages.decode_balance_response, "a balance")
    expect(balance == 5, expected="the balance 5", observed=f"the balance {balance}")


@check(
    id="bank.http.methods",
    requirements=["PAY-089"],
    title="Every path has the one method POST",
)
async def methods(case: BankCase) -> None:
    """Each path is asked with GET, PUT and DELETE. Each must be refused with a status between 400 and 499, and none may
    have an effect: an account that is emptied with GET would be emptied by whoever prefetches."""
    token = await case.funded(5)
    content = messages.encode_withdraw_full_request(token)
    for path in PATHS:
        for method in (b"GET", b"PUT", b"DELETE"):
            reply = await case.post(path, content, method=method)
            reply.expect_client_error(f"{method.decode()} {path}")
    await case.expect_balance(token, 5, "requests with other methods")


@check(
    id="bank.http.paths",
    requirements=["PAY-089"],
    title="Other paths are not found",
)
async def paths(case: BankCase) -> None:
    """Good requests are posted to paths that differ from the known ones by case, by a slash, or by a letter. Each
    must be refused with a status between 400 and 499."""
    token = await case.funded(5)
    content = messages.encode_withdraw_full_request(token)
    for path in ("/", "/Withdraw-Full", "/withdraw-full/", "/withdraw-full/x", "/withdraw_full", "/credits"):
        (await case.post(path, content)).expect_client_error(f"POST {path}")
    await case.expect_balance(token, 5, "requests to other paths")


@check(
    id="bank.http.malformed",
    requirements=["PAY-091"],
    title="Content that is not the message is the client's fault",
)
async def malformed(case: BankCase) -> None:
    """To each path a good request is sent without its last byte, with a field of the wrong type in front, with a length
    that runs over the end, and followed by half a tag. The bank must answer with a status between 400 and 499: clients
    repeat what is answered with 5xx for minutes."""
    for path, good in _good_requests(case).items():
        for what, content in (
            ("without its last byte", good[:-1]),
            ("with a group that never ends", b"\x0b" + good),
            ("with a length beyond its end", b"\x0a\xff\xff\xff\x7f" + good),
            ("followed by half a tag", good + b"\x80"),
        ):
            (await case.post(path, content)).expect_client_error(f"{path} {what}", deployed="PAY-D12")


@check(
    id="bank.http.empty",
    requirements=["PAY-070", "PAY-078", "PAY-032"],
    title="No content is no request",
)
async def empty(case: BankCase) -> None:
    """Each path is asked without content. The bank must answer with a status between 400 and 499."""
    for path in PATHS:
        (await case.post(path, b"")).expect_client_error(f"{path} without content")


@check(
    id="bank.http.random",
    requirements=["PAY-091"],
    title="Random content is the client's fault",
)
async def random(case: BankCase) -> None:
    """200 requests with up to 300 random bytes go to all paths. None may succeed, and none may be answered with 5xx."""
    for number in range(_RANDOM_BODIES):
        content = case.random.randbytes(case.random.randrange(1, 300))
        path = PATHS[number % len(PATHS)]
        (await case.post(path, content)).expect_client_error(f"{path} with random bytes", deployed="PAY-D12")


@check(
    id="bank.http.oversized",
    requirements=["PAY-207"],
    title="Ten megabytes are refused",
)
async def oversized(case: BankCase) -> None:
    """Ten megabytes are sent as a deposit: a good one, and then an unknown field that is far too long. The bank must
    refuse it, or close the connection, without spending the credit."""
    token, credit = case.token(), case.mint.credit(5)
    good = messages.encode_deposit_request(Deposit(token, credit))
    padding = b"\x7a" + _varint(_OVERSIZED) + bytes(_OVERSIZED)
    try:
        reply = await case.post("/deposit", good + padding)
    except Http1Error:
        pass
    else:
        reply.expect_client_error("a deposit of ten megabytes")
    await case.expect_balance(token, 0, "a refused deposit")
    await case.paid_in(token, credit)


@check(
    id="bank.http.media-type-ignored-or-refused",
    requirements=["PAY-089"],
    title="Another content type is refused whole, or makes no difference",
)
async def media_type(case: BankCase) -> None:
    """Deposits are sent with another content type and with none. The bank may do them, or answer with a status
    between 400 and 499 and leave the credit as it was."""
    for fields in ((), ((b"content-type", b"application/json"),)):
        token, credit = case.token(), case.mint.credit(5)
        reply = await case.post("/deposit", messages.encode_deposit_request(Deposit(token, credit)), fields=fields)
        if reply.status != 200:
            reply.expect_client_error("a deposit with another content type")
            await case.expect_balance(token, 0, "a refused deposit")
            await case.paid_in(token, credit)
        await case.expect_balance(token, 5, "a deposit of 5")


@check(
    id="bank.http.error-message",
    requirements=["PAY-089"],
    title="A refusal carries an Error message",
)
async def error_message(case: BankCase) -> None:
    """A deposit of nothing and a withdrawal without requests are refused. The content must be a serialized `Error`
    under `application/octet-stream`, with a text."""
    token = await case.funded(1)
    for reply in (
        await case.deposit(token, case.mint.credit(0)),
        await case.withdraw(token, []),
    ):
        reply.expect_refused("what is no amount and no batch")
        media_type = field_value(reply.fields, b"content-type") or b"no media type"
        expect(
            media_type == MEDIA_TYPE,
            expected=f"an Error message as {MEDIA_TYPE.decode()} with status {reply.status}",
            observed=media_type.decode("latin-1"),
        )
        expect(
            _error_text(reply) != "",
            expected="an Error message with a text in field 1",
            observed=f"one without: {reply.content[:40].hex() or 'no content'}",
        )


def _good_requests(case: BankCase) -> dict[str, bytes]:
    token, pending = case.token(), case.mint.pending(1)
    exchange = messages.Exchange(case.mint.credit(1), pending.request.blinded_message)
    return {
        "/deposit": messages.encode_deposit_request(Deposit(token, case.mint.credit(1))),
        "/withdraw": messages.encode_withdraw_request(Withdrawal(token, (pending.request,))),
        "/withdraw-full": messages.encode_withdraw_full_request(token),
        "/exchange": messages.encode_exchange_request(exchange),
        "/balance": messages.encode_balance_request(token),
    }


def _error_text(reply: Reply) -> str:
    error = Error()
    try:
        error.ParseFromString(reply.content)
    except DecodeError as wrong:
        raise Violation("an Error message", f"content that cannot be read: {wrong}") from wrong
    return error.Message


def _varint(number: int) -> bytes:
    octets = bytearray()
    while number > 127:
        octets.append(number & 127 | 128)
        number >>= 7
    octets.append(number)
    return bytes(octets)
