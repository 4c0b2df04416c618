"""When a chunked request is complete: not when its content is there, but when its final chunk has been opened."""

from __future__ import annotations

from conformance.peers.envelope import Envelope
from conformance.peers.gateway import PING, ROUTER, Deployed, GatewayWorld, inner
from conformance.peers.scripted import Received
from conformance.registry import check
from openpcc_ref.binary_http import Request, encode_request, field_value
from openpcc_ref.oblivious_http import Form

_CONTENT = bytes(index * 5 % 251 for index in range(1500))
_SIZE = str(len(_CONTENT)).encode()


def _final_missing(envelope: Envelope, plaintext: bytes) -> list[bytes]:
    return envelope.chunked(plaintext)[:-1]


def _final_without_aad(envelope: Envelope, plaintext: bytes) -> list[bytes]:
    blocks = [plaintext[offset : offset + 532] for offset in range(0, len(plaintext), 532)]
    return [envelope.start, *map(envelope.chunk, blocks), envelope.final(aad=b"")]


def _byte_behind(envelope: Envelope, plaintext: bytes) -> list[bytes]:
    return [*envelope.chunked(plaintext), b"\0"]


_ENDS = {
    "a missing final chunk": _final_missing,
    "a final chunk with empty AAD": _final_without_aad,
    "a byte behind the final chunk": _byte_behind,
}


async def _waits_for_the_end(world: GatewayWorld, request: Request, deployed: Deployed) -> None:
    """Send a whole message in both framings, but never with a proper end; nothing may be completed."""
    for indeterminate in (True, False):
        plaintext = encode_request(request, indeterminate=indeterminate, pad_to=532)
        for what, cut in _ENDS.items():
            await world.control(Form.CHUNKED)
            envelope = world.envelope(Form.CHUNKED)
            pieces = cut(envelope, plaintext)
            await world.never_completed(pieces, Form.CHUNKED, envelope.context, what, deployed=deployed)


@check(
    id="gateway.completion.stated-length",
    requirements=["OHT-035", "OHT-087", "OHT-027"],
    title="A chunked request that states its content length is not complete before its final chunk",
)
async def stated_length(world: GatewayWorld) -> None:
    """All of the content is there and its inner Content-Length is right; the end is missing, forged, or overrun."""
    fields = ((b"content-type", b"application/confsec-chunked-req"), (b"content-length", _SIZE))

    def is_deployed(received: Received) -> bool:
        return received.body == _CONTENT and field_value(received.fields, b"content-length") == _SIZE

    await _waits_for_the_end(world, inner(b"POST", ROUTER, b"/", _CONTENT, fields), Deployed("OHT-D17", is_deployed))


@check(
    id="gateway.completion.no-content",
    requirements=["OHT-035", "OHT-087", "OHT-027"],
    title="A chunked request without content is not forwarded whole before its final chunk",
)
async def no_content(world: GatewayWorld) -> None:
    """A GET is all there with its head; the end is missing, forged, or overrun."""
    await _waits_for_the_end(world, PING, Deployed("OHT-D17", lambda received: received.target == b"/ping"))
