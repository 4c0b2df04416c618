"""Nonces: whole ones, of about now."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from conformance.peers.nonce_lock import PATHS, NonceLockCase
from conformance.registry import check
from openpcc_ref.banking import messages
from openpcc_ref.credits import Nonce, nonce
from openpcc_ref.protobuf import credit_pb2, nonce_lock_pb2

_TOO_FAR_HOURS = 28


def _request(path: str, message: credit_pb2.Nonce | None, ticket: str = "0123456789abcdef") -> bytes:
    if path == "/lock":
        return nonce_lock_pb2.LockRequest(nonce=message).SerializeToString()
    return nonce_lock_pb2.UnlockRequest(nonce=message, ticket=ticket).SerializeToString()


@check(
    id="nonce-lock.nonce.present",
    requirements=["PAY-028"],
    title="Stamps of this and of the next hour are accepted",
)
async def present(case: NonceLockCase) -> None:
    """Nonces stamped with the present and with the next hour are locked."""
    for hours in (0, 1):
        await case.lock(case.nonce(hours=hours))


@check(
    id="nonce-lock.nonce.expired",
    requirements=["PAY-029", "PAY-105"],
    title="Stamps of days past are refused with 400",
)
async def expired(case: NonceLockCase) -> None:
    """Nonces stamped 28 hours, 30 days and 30 years ago, and in the year 1, are locked. Each must be answered with
    400."""
    for hours in (_TOO_FAR_HOURS, 30 * 24, 30 * 365 * 24):
        (await case.ask_lock(case.nonce(hours=-hours))).expect_refused(f"a stamp {hours} hours old", 400)
    ancient = Nonce(-62_135_596_800, case.nonce().random)
    (await case.ask_lock(ancient)).expect_refused("a stamp of the year 1", 400)


@check(
    id="nonce-lock.nonce.too-early",
    requirements=["PAY-029", "PAY-105"],
    title="Stamps of days to come are refused with 400",
)
async def too_early(case: NonceLockCase) -> None:
    """Nonces stamped 28 hours, 30 days and 30 years ahead are locked. Each must be answered with 400: what is
    remembered until its stamp has passed would be remembered for ever."""
    for hours in (_TOO_FAR_HOURS, 30 * 24, 30 * 365 * 24):
        (await case.ask_lock(case.nonce(hours=hours))).expect_refused(f"a stamp {hours} hours ahead", 400)


@check(
    id="nonce-lock.nonce.incomplete",
    requirements=["PAY-026", "PAY-105"],
    title="A nonce without stamp, or of another length, is refused with 400",
)
async def incomplete(case: NonceLockCase) -> None:
    """To each path nonces go without stamp, without random part, and with random parts of 0, 15, 17 and 32 bytes."""
    for path in PATHS:
        whole = nonce.to_message(case.nonce())
        for part in ("timestamp", "nonce"):
            message = credit_pb2.Nonce()
            message.CopyFrom(whole)
            message.ClearField(part)
            (await case.post(path, _request(path, message))).expect_refused(f"{path} of a nonce without {part}", 400)
        for length in (0, 15, 17, 32):
            message = credit_pb2.Nonce(timestamp=whole.timestamp, nonce=case.random.randbytes(length))
            reply = await case.post(path, _request(path, message))
            reply.expect_refused(f"{path} of a nonce of {length} random bytes", 400)


@check(
    id="nonce-lock.nonce.absent",
    requirements=["PAY-026", "PAY-105"],
    title="A request without nonce is refused with 400",
)
async def absent(case: NonceLockCase) -> None:
    """Each path is asked without nonce, with and without other content."""
    for path in PATHS:
        for content in (_request(path, None), b""):
            (await case.post(path, content)).expect_refused(f"{path} without nonce", 400)


@check(
    id="nonce-lock.nonce.nanos",
    requirements=["PAY-027"],
    title="Nanoseconds make no other nonce",
)
async def nanos(case: NonceLockCase) -> None:
    """A nonce is locked with `nanos` beside its seconds. The same nonce without them must be locked, and be consumed
    under the ticket; with other `nanos` it must then be consumed."""
    plain = case.nonce()
    message = nonce.to_message(plain)
    message.timestamp.CopyFrom(Timestamp(seconds=plain.timestamp, nanos=1))
    reply = await case.post("/lock", _request("/lock", message))
    ticket = reply.read(messages.decode_lock_response, "a lock with nanos")
    await case.expect_locked(plain, "a lock with nanos")
    await case.consume(plain, ticket)
    message.timestamp.nanos = 999_999_999
    (await case.post("/lock", _request("/lock", message))).expect_refused("a consumed nonce with other nanos", 410)


@check(
    id="nonce-lock.nonce.other-stamp",
    requirements=["PAY-101", "PAY-102"],
    title="Another stamp makes no other nonce",
)
async def other_stamp(case: NonceLockCase) -> None:
    """A nonce is its 16 random bytes. One of this hour is locked: under the stamp of the next hour it must be locked
    too, and once it is consumed, be consumed under either."""
    plain = case.nonce()
    later = Nonce(plain.timestamp + nonce.QUANTUM, plain.random)
    ticket = await case.lock(plain)
    await case.expect_locked(later, "a lock of the same 16 bytes under another stamp")
    await case.consume(plain, ticket)
    await case.expect_consumed(later, "a consumption of the same 16 bytes under another stamp")
