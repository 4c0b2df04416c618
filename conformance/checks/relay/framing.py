"""Where a message ends is the same to the relay and to the gateway, whatever a client sends.

A message whose end two readers find at different places lets one client put requests into the mouth of another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from conformance.peers.relay import REQUEST, RelayCase
from conformance.registry import check
from conformance.verdicts import expect

_CHUNKED_CONTENT = b"5\r\nhello\r\n0\r\n\r\n"


@check(
    id="relay.framing.length-and-chunks",
    requirements=["OHT-053"],
    title="A length beside the chunked coding is not passed on",
)
async def length_and_chunks(case: RelayCase) -> None:
    """A request has both a length and the chunked transfer coding, in either order, and content that is whole by both
    readings. The relay may refuse it; if it forwards it, the gateway must see one kind of framing."""
    length = b"content-length: %d" % len(_CHUNKED_CONTENT)
    coding = b"transfer-encoding: chunked"
    await _send_each(case, [(length + b"\r\n" + coding), (coding + b"\r\n" + length)])


@check(
    id="relay.framing.two-lengths",
    requirements=["OHT-053"],
    title="Two lengths are not passed on",
)
async def two_lengths(case: RelayCase) -> None:
    """A request states two different lengths, in two lines or in one. The relay may refuse it; if it forwards it, the
    gateway must see one length."""
    short, long = b"%d" % (len(_CHUNKED_CONTENT) - 3), b"%d" % len(_CHUNKED_CONTENT)
    await _send_each(
        case,
        [
            b"content-length: " + short + b"\r\ncontent-length: " + long,
            b"content-length: " + long + b"\r\ncontent-length: " + short,
            b"content-length: " + short + b", " + long,
        ],
    )


@check(
    id="relay.framing.odd-codings",
    requirements=["OHT-053"],
    title="Disguised transfer codings are not passed on",
)
async def odd_codings(case: RelayCase) -> None:
    """The chunked transfer coding is misspelt, folded, hidden behind a bare line feed or written twice, always beside a
    length. The relay may refuse each; if it forwards one, the gateway must see one kind of framing."""
    length = b"content-length: %d\r\n" % len(_CHUNKED_CONTENT)
    await _send_each(
        case,
        [
            length + disguised
            for disguised in (
                b"transfer-encoding: xchunked",
                b"transfer-encoding : chunked",
                b"transfer-encoding:\x0bchunked",
                b"transfer-encoding: chunked, identity",
                b"transfer-encoding: identity\r\ntransfer-encoding: chunked",
                b"transfer-encoding:\r\n chunked",
                b"accept: a\ntransfer-encoding: chunked",
            )
        ],
    )


@check(
    id="relay.framing.odd-lengths",
    requirements=["OHT-053"],
    title="A length that is no number completes no request",
)
async def odd_lengths(case: RelayCase) -> None:
    """The length has a sign, a prefix, a unit, an exponent or a fraction. No reading of it is right, so no complete
    request may reach the gateway."""
    for length in (b"+14", b"-1", b"0x0e", b"14 bytes", b"1e1", b"14.0"):
        await _send(case, b"content-length: " + length)
        _expect_none_complete(case, f"the length {length.decode()!r}")


@check(
    id="relay.framing.odd-chunk-sizes",
    requirements=["OHT-053"],
    title="A chunk size that is no number completes no request",
)
async def odd_chunk_sizes(case: RelayCase) -> None:
    """Chunk sizes have a sign, a prefix, too many digits or none. No reading of them is right, so no complete request
    may reach the gateway."""
    for size in (b"+5", b"-5", b"0x5", b"g", b"", b"1" + b"0" * 16 + b"5", b"5,5"):
        await _send(case, b"transfer-encoding: chunked", size + b"\r\nhello\r\n0\r\n\r\n")
        _expect_none_complete(case, f"the chunk size {size.decode()!r}")


@check(
    id="relay.framing.hidden-lines",
    requirements=["PRIV-005"],
    title="No field line is hidden in another",
)
async def hidden_lines(case: RelayCase) -> None:
    """The one field that every relay passes on has a bare line feed, carriage return or zero octet in it, and another
    field line behind that. The relay may refuse it or read it as two lines; the gateway may not get these octets
    (RFC 9110 section 5.5)."""
    for separator in (b"\n", b"\r", b"\0"):
        async with case.raw_client() as client:
            await client.send(case.raw_request(case.request(), media_type=REQUEST + separator + b"x-hidden: 1"))
            await client.answer()
        for arrived in case.arrived():
            head = arrived.partition(b"\r\n\r\n")[0]
            bare = re.search(rb".{,40}((?<!\r)\n|\r(?!\n)|\0).{,40}", head, re.DOTALL)
            expect(
                bare is None,
                expected="a head at the gateway without bare line feeds, carriage returns or zero octets",
                observed=repr(bare[0]) if bare else "",
            )


async def _send_each(case: RelayCase, framings: Sequence[bytes]) -> None:
    for framing in framings:
        await _send(case, framing)
        for arrived in case.arrived():
            _expect_one_framing(arrived, framing)


async def _send(case: RelayCase, framing: bytes, content: bytes = _CHUNKED_CONTENT) -> None:
    """Send a request with these framing lines, and wait until the relay has answered or closed."""
    async with case.raw_client() as client:
        await client.send(case.raw_request(content, framing=framing))
        await client.close_write()  # so that nobody has cause to wait for more
        await client.answer()


def _expect_one_framing(arrived: bytes, sent: bytes) -> None:
    """Require that the first request on a connection has one sound kind of framing, read as loosely as can be."""
    head = re.split(rb"\r?\n\r?\n", arrived, maxsplit=1)[0].replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    lines = [line.partition(b":") for line in re.split(rb"[\r\n]+", head)[1:]]
    named = [(name.strip().lower(), value.strip()) for name, _, value in lines]
    lengths = [value for name, value in named if name == b"content-length"]
    codings = [value.lower() for name, value in named if name == b"transfer-encoding"]
    sound = (codings == [b"chunked"] and not lengths) or (not codings and len(lengths) == 1 and lengths[0].isdigit())
    framing = [name + b": " + value for name, value in named if name in (b"content-length", b"transfer-encoding")]
    expect(
        sound,
        expected=f"one kind of framing at the gateway for {sent!r}",
        observed=f"{b', '.join(framing).decode('latin-1') or 'no framing'}",
    )


def _expect_none_complete(case: RelayCase, what: str) -> None:
    complete = [received for received in case.gateway.requests if received.complete]
    expect(
        not complete,
        expected=f"no complete request at the gateway for {what}",
        observed=f"one with the content {complete[0].body[:40]!r}" if complete else "",
    )
