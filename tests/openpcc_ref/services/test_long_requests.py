"""Requests with images: passed on by every service as they arrive, held by the node's worker alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import anyio
import pytest

from conformance.vectors.currency_keys import DEPLOYED_1024
from openpcc_ref import compute_messages as cm
from openpcc_ref.binary_http import Content, Event, RequestEncoder, RequestHead, ResponseDecoder, ResponseHead
from openpcc_ref.binary_http import field_value as value_of
from openpcc_ref.client.pipeline import sealed_request
from openpcc_ref.compute_node import MAX_BODY
from openpcc_ref.credits import credit as credit_format
from openpcc_ref.http1 import Tap, connect
from openpcc_ref.oblivious_http import Form, RequestSealer, ResponseOpener
from openpcc_ref.routing import Candidate, encode_request_info
from openpcc_ref.services.config import ConfigRejected
from openpcc_ref.services.node import LARGEST_BODY, Node
from openpcc_ref.services.stack import Stack, StackSettings, Watcher, open_stack
from openpcc_ref.services.stack_client import open_client
from openpcc_ref.sources import system_random

SETTINGS = StackSettings(DEPLOYED_1024, nodes=1)
PATH = b"/v1/chat/completions"
PASSED_ON = (("client", "relay"), ("relay", "gateway"), ("gateway", "router"), ("router", "node"))
STEP = 256 * 1024
HELD = 64 * 1024
"""What the services together may hold back of a request that is still arriving, in bytes."""


class Meter(Watcher):
    """Counts what each party has received from each other one."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, str]] = Counter()
        self._moved = anyio.Event()

    def tap(self, source: str, destination: str) -> Tap:
        def note(connection: int, direction: str, moment: float, data: bytes) -> None:
            if direction == "in":
                self.seen[source, destination] += len(data)
                self._moved.set()
                self._moved = anyio.Event()

        return note

    async def reached(self, count: int) -> None:
        """Wait until every party on the way to the node has received that much."""
        with anyio.fail_after(30):
            while min(self.seen[pair] for pair in PASSED_ON) < count:
                await self._moved.wait()


def chat(model: str, length: int) -> dict[str, object]:
    url = "data:image/png;base64," + "A" * length
    parts = [{"type": "text", "text": "what is this"}, {"type": "image_url", "image_url": {"url": url}}]
    return {"model": model, "messages": [{"role": "user", "content": parts}]}


def pieces(sealer: RequestSealer, head: RequestHead, message: bytes) -> Iterator[bytes]:
    encoder = RequestEncoder(head, content_length=None)
    yield sealer.header() + sealer.seal(encoder.start())
    for start in range(0, len(message), STEP):
        step = message[start : start + STEP]
        cuts = range(0, len(step), 16000)
        yield b"".join(sealer.seal(encoder.content(step[cut : cut + 16000])) for cut in cuts)
    yield sealer.seal(encoder.finish()) + sealer.finish()


async def ask(stack: Stack, meter: Meter, form: cm.Form, length: int) -> tuple[ResponseHead, bytes]:
    """Send a long chat, each piece only when all services have passed on those before; return the node's answer."""
    async with open_client(stack, target=1, max_delay_s=0) as (client, funds):
        badge, (node,) = await client.find_nodes(stack.models[0])
        await funds.until(lambda: funds.wallet.status.available >= 200)
        payment = await funds.begin(200)
        request = sealed_request(PATH, chat(stack.models[0], length), badge)
        media_type, message, [(key, context)] = cm.seal_request(request, [node.public_key], form, random=system_random)
        fields = (
            (b"content-type", media_type),
            (b"x-routing-info", encode_request_info([Candidate(node.node_id, key)]).encode()),
            (b"x-credit", credit_format.encode_text(payment.credit).encode()),
        )
        head = RequestHead(b"POST", b"http", b"confsec-router.invalid", b"/", fields)
        sealer = RequestSealer(stack.gateway_key, Form.CHUNKED, random=system_random)
        meter.seen.clear()
        async with connect(stack.urls["relay"], step_s=60) as connection:
            outer = ((b"content-type", Form.CHUNKED.request_media_type), (b"transfer-encoding", b"chunked"))
            await connection.send_head(b"POST", b"/", outer)
            for number, piece in enumerate(pieces(sealer, head, message)):
                await connection.send(piece)
                await meter.reached(min(number * STEP, len(message)) - HELD)
            await connection.finish()
            sealed = await (await connection.response()).read()
        payment.cancel()
    return opened(sealed, ResponseOpener(sealer.context, Form.CHUNKED), context)


def opened(sealed: bytes, opener: ResponseOpener, context: cm.ReceiverContext) -> tuple[ResponseHead, bytes]:
    decoder = ResponseDecoder()
    events: list[Event] = []
    for part in [*opener.feed(sealed), *opener.finish()]:
        events += decoder.feed(part)
    events += decoder.finish()
    head = next(event for event in events if isinstance(event, ResponseHead))
    assert head.status == 200
    content = b"".join(event.data for event in events if isinstance(event, Content))
    inner = cm.open_response(value_of(head.fields, b"content-type") or b"", content, context)
    return inner.head, inner.content


@pytest.mark.anyio
@pytest.mark.parametrize("form", list(cm.Form))
async def test_a_long_request_streams_to_the_node_and_is_answered(form: cm.Form) -> None:
    meter = Meter()
    async with open_stack(replace(SETTINGS, watcher=meter)) as stack:
        head, content = await ask(stack, meter, form, 2 * MAX_BODY)
    assert head.status == 200
    # Three words and an image.
    assert json.loads(content)["usage"] == {"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}
    assert meter.seen["node", "engine"] > 2 * MAX_BODY


@pytest.mark.anyio
@pytest.mark.parametrize("form", list(cm.Form))
async def test_a_node_like_the_deployed_ones_refuses_it(form: cm.Form) -> None:
    meter = Meter()
    async with open_stack(replace(SETTINGS, watcher=meter, max_body=MAX_BODY)) as stack:
        head, content = await ask(stack, meter, form, MAX_BODY)
    assert head.status == 400
    assert json.loads(content)["code"] == "ErrBodyTooLarge"
    assert meter.seen["node", "engine"] == 0


CONFIG = {
    "secret_key": bytes([7] * 32).hex(),
    "models": ["m"],
    "tags": ["llm"],
    "badge_public_key": bytes(32).hex(),
    "engine_url": "http://127.0.0.1:9",
}


@pytest.mark.parametrize(
    ("config", "limit"),
    [({}, MAX_BODY), ({"max_body": 1}, 1), ({"max_body": LARGEST_BODY}, LARGEST_BODY)],
)
def test_the_limit_is_a_setting(config: dict[str, int], limit: int) -> None:
    node = Node.from_config({**CONFIG, **config})
    assert node.settings.rules.max_body == limit


@pytest.mark.parametrize("limit", [0, -1, LARGEST_BODY + 1, "1", 1.5, True, None])
def test_other_limits_are_refused(limit: object) -> None:
    with pytest.raises(ConfigRejected) as refused:
        Node.from_config({**CONFIG, "max_body": limit})
    assert refused.value.where == "config.max_body"
