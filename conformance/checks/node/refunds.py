"""Refunds: what a request cost is read out of the answer, and what the credit leaves is reported."""

from __future__ import annotations

import json
from typing import Any

from conformance.peers.node import NodeWorld
from conformance.peers.node_engine import JSON, PATHS, counts, is_openai, pieces, saying, streaming, whole
from conformance.peers.node_message import Opened, open_answer
from conformance.peers.scripted import Answer
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.credits.currency import exact, neighbours
from openpcc_ref.http1 import field_values

_PAID = 200
_LARGE = 262144
"""A credit of the size that clients pay with: the amounts near it are 8192 apart."""


async def _asked(world: NodeWorld, path: str, answer: Answer, *, amount: int = _PAID, streamed: bool = False) -> Opened:
    """Ask while the engine answers like this."""
    world.engine.answer = answer
    body = world.body(path, stream=True if streamed else None)
    return await world.ask(world.request(path=path, body=body), amount=amount)


def _expect_left(opened: Opened, left: float, what: str) -> None:
    """Require that what is left is refunded, rounded to a neighbour."""
    rounding = neighbours(left)
    fits = opened.refund is not None and not opened.refund.special
    fits = fits and opened.refund is not None and opened.refund.amount in (rounding.lower, rounding.upper)
    amounts = " or ".join(str(amount) for amount in dict.fromkeys((rounding.lower, rounding.upper)))
    expect(fits, expected=f"a refund of {amounts} for {what}", observed=_named(opened))


def _expect_none(opened: Opened, what: str, deployed: str | None = None) -> None:
    expect(opened.refund is None, expected=f"no refund for {what}", observed=_named(opened), deployed=deployed)


def _named(opened: Opened) -> str:
    if opened.refund is None:
        return "none"
    return "a special value" if opened.refund.special else f"a refund of {opened.refund.amount}"


def _expect_content(opened: Opened, content: bytes, what: str) -> None:
    passed = opened.status == 200 and opened.response.content == content
    expect(passed, expected=f"the engine's answer with {what}", observed=str(opened))


@check(
    id="node.refunds.usage",
    requirements=["NODE-051", "NODE-010"],
    title="What the usage leaves is refunded, on every path",
    needs=["node.engine"],
)
async def usage(world: NodeWorld) -> None:
    """Credits of 200, of which 124.5 are used: 72 or 76 are left. In an answer that is not streamed and in a streamed
    one, in the dialect of the path."""
    for path in PATHS:
        _expect_left(await _asked(world, path, saying(whole(path))), 75.5, f"an answer on {path}")
        streamed = await _asked(world, path, streaming(pieces(path), path), streamed=True)
        _expect_left(streamed, 75.5, f"a streamed answer on {path}")


@check(
    id="node.refunds.prices",
    requirements=["NODE-051", "NODE-053"],
    title="Input and output tokens have their prices",
    needs=["node.engine"],
)
async def prices(world: NodeWorld) -> None:
    """Only input, only output, both, and none; what is left is an amount that needs no rounding. A count of 0 is a
    usage: everything is left."""
    for read, written, left in ((336, 0, 32), (0, 92, 16), (16, 90, 12), (0, 0, 200)):
        for path in (PATHS[0], PATHS[2]):
            answer = saying(whole(path, **counts(path, read, written)))
            _expect_left(await _asked(world, path, answer), left, f"{read} read and {written} written on {path}")


@check(
    id="node.refunds.nothing-left",
    requirements=["NODE-052", "NODE-054"],
    title="Nothing left is no refund",
    needs=["node.engine"],
)
async def nothing_left(world: NodeWorld) -> None:
    """The usage costs exactly the credit, a token more, and far more. The answer is passed on."""
    for path in (PATHS[0], PATHS[2]):
        for read, written in ((0, 100), (1, 100), (10**6, 10**6), (2**60, 2**60)):
            answer = whole(path, **counts(path, read, written))
            opened = await _asked(world, path, saying(answer))
            what = f"{read} read and {written} written on {path}"
            _expect_none(opened, what)
            _expect_content(opened, answer, what)


@check(
    id="node.refunds.no-usage",
    requirements=["NODE-052"],
    title="An answer without usage gives no refund and is passed on",
    needs=["node.engine"],
)
async def no_usage(world: NodeWorld) -> None:
    """No counts at all, one of the two, texts, null, true, fractions and lists in their place; a stream that ends
    without usage."""
    for path in (PATHS[1], PATHS[3]):
        names = ("prompt_tokens", "completion_tokens") if is_openai(path) else ("prompt_eval_count", "eval_count")
        cases: list[tuple[str, dict[str, Any]]] = [("no counts", {"own": 1}), ("one count", {names[0]: 29})]
        cases += [(f"counts {bad!r}", dict.fromkeys(names, bad)) for bad in ("29", None, True, [29], 29.5)]
        for what, reported in cases:
            members = {"usage": reported} if is_openai(path) else reported
            answer = whole(path, **members)
            opened = await _asked(world, path, saying(answer))
            _expect_none(opened, f"{what} on {path}", deployed="NODE-D22" if "29.5" in what else None)
            _expect_content(opened, answer, f"{what} on {path}")
    parts = pieces(PATHS[0], own=1)
    opened = await _asked(world, PATHS[0], streaming(parts), streamed=True)
    _expect_none(opened, "a stream without usage")
    _expect_content(opened, b"".join(parts), "no usage in a stream")


@check(
    id="node.refunds.negative-usage",
    requirements=["NODE-054", "NODE-052"],
    title="Negative counts give no refund",
    needs=["node.engine"],
)
async def negative_usage(world: NodeWorld) -> None:
    """Either count is negative, so that the difference would exceed the credit, or seem to leave more than it does."""
    for path in (PATHS[0], PATHS[2]):
        for read, written in ((-29, 0), (0, -55), (29, -1), (-(2**40), 5)):
            opened = await _asked(world, path, saying(whole(path, **counts(path, read, written))))
            _expect_none(opened, f"{read} read and {written} written on {path}", deployed="NODE-D20")


@check(
    id="node.refunds.last-usage",
    requirements=["NODE-051"],
    title="The usage at the end of a stream counts, not one on the way",
    needs=["node.engine"],
)
async def last_usage(world: NodeWorld) -> None:
    """Pieces of a stream report a usage, as some engines do: of zero, then what was used so far; the last one that of
    all."""
    for path in (PATHS[0], PATHS[2]):
        for read, written, what in ((0, 0, "usages of zero"), (29, 20, "usages so far")):
            parts = [*pieces(path, **counts(path, read, written))[:-1], *pieces(path)[3:]]
            if not is_openai(path):  # whose lines end with what they count
                parts = [_with_counts(part, counts(path, read, written)) for part in parts[:3]] + parts[-1:]
            opened = await _asked(world, path, streaming(parts, path), streamed=True)
            _expect_left(opened, 75.5, f"{what} on the way and one at the end on {path}")


def _with_counts(line: bytes, reported: dict[str, Any]) -> bytes:
    return json.dumps(json.loads(line) | reported).encode() + b"\n"


@check(
    id="node.refunds.divided",
    requirements=["NODE-051"],
    title="The usage counts however the answer is cut into pieces",
    needs=["node.engine"],
)
async def divided(world: NodeWorld) -> None:
    """Answers and streams of the engine come in one piece, and in pieces of 5 bytes."""
    for path in (PATHS[0], PATHS[2]):
        for streamed in (False, True):
            said = b"".join(pieces(path)) if streamed else whole(path)
            for size, how in ((len(said), "in one piece"), (5, "in pieces of 5 bytes")):
                parts = [said[start : start + size] for start in range(0, len(said), size)]
                opened = await _asked(world, path, streaming(parts, path), streamed=streamed)
                what = f"{'a stream' if streamed else 'an answer'} {how} on {path}"
                _expect_content(opened, said, what)
                _expect_left(opened, 75.5, what)


@check(
    id="node.refunds.spoken-usage",
    requirements=["NODE-051"],
    title="Usage that the model speaks of is text and no usage",
    needs=["node.engine"],
)
async def spoken_usage(world: NodeWorld) -> None:
    """The generated text holds the members of a usage of zero, as a client could have it said. The true usage stands
    before it in the answer, and behind it."""
    for path in (PATHS[0], PATHS[2]):
        spoken = json.dumps(counts(path, 0, 0))
        behind = json.loads(whole(path, f"one {spoken} two"))
        for members, where in ((behind, "behind"), (counts(path) | behind, "before")):
            opened = await _asked(world, path, saying(json.dumps(members).encode()))
            _expect_left(opened, 75.5, f"a usage {where} a text about another on {path}")


@check(
    id="node.refunds.engine-error",
    requirements=["NODE-050"],
    title="An error of the engine refunds everything",
    needs=["node.engine"],
)
async def engine_error(world: NodeWorld) -> None:
    """Status 400, 404, 429, 500 and 503, some with a usage that would cost everything."""
    for status in (400, 404, 429, 500, 503):
        opened = await _asked(world, PATHS[0], saying(whole(PATHS[0]), status=status, fields=JSON))
        expect(opened.status == status, expected=f"inner status {status}", observed=str(opened))
        full = opened.refund == exact(_PAID)
        expect(full, expected=f"a refund of {_PAID} for status {status}", observed=_named(opened))


@check(
    id="node.refunds.refusal",
    requirements=["NODE-050"],
    title="A refused request is refunded in full",
)
async def refusal(world: NodeWorld) -> None:
    """An unknown path, a forged badge, a body that is no JSON; for several amounts."""
    body = world.body()
    for amount in (1, 200, 262144):
        for plaintext, what in (
            (world.request(path="/api/pull", body=body), "an unknown path"),
            (world.request(body=body, fields=world.fields(body, badge=b"***")), "no badge"),
            (world.request(body=b"{}"), "an empty object"),
        ):
            opened = await world.ask(plaintext, amount=amount)
            expect(opened.status in (400, 404), expected=f"a refusal of {what}", observed=str(opened))
            full = opened.refund == exact(amount)
            expect(full, expected=f"a refund of {amount} for {what}", observed=_named(opened))


@check(
    id="node.refunds.trailer-only",
    requirements=["NODE-010", "NODE-009"],
    title="The refund is reported in the trailer, which is announced",
)
async def trailer_only(world: NodeWorld) -> None:
    """An answer, a stream and a refusal: Trailer names X-Refund-Amount, the head has no such field and no field of the
    sealed response has it either."""
    streamed = world.request(body=world.body(stream=True))
    for plaintext, what in (
        (world.request(), "an answer"),
        (streamed, "a stream"),
        (world.request(body=b"{}"), "a refusal"),
    ):
        sealed = world.sealed()
        answer = await world.post(sealed.sealed(plaintext), sealed)
        opened = open_answer(answer, sealed.context)
        announced = b",".join(field_values(answer.fields, b"trailer")).lower()
        expect(b"x-refund-amount" in announced, expected=f"Trailer: X-Refund-Amount with {what}", observed="none")
        heads = (answer.fields, opened.response.head.fields, opened.response.trailers)
        early = sum(len(field_values(fields, b"x-refund-amount")) for fields in heads)
        expect(early == 0, expected="X-Refund-Amount in the trailer only", observed=f"{early} elsewhere")


@check(
    id="node.refunds.rounding",
    requirements=["NODE-053", "NODE-051"],
    title="Both neighbours of what is left occur",
    needs=["node.engine"],
)
async def rounding(world: NodeWorld) -> None:
    """14.5 of 15 are used, so that 0 and 1 are equally likely, until both were seen; a refund of 0 may be none. Chance
    hides one of them once in a billion runs."""
    answer = whole(PATHS[0], **counts(PATHS[0], 29, 0))
    seen: set[int] = set()
    for _ in range(31):
        opened = await _asked(world, PATHS[0], saying(answer), amount=15)
        refund = opened.refund
        seen.add(0 if refund is None or refund.special else refund.amount)
        if {0, 1} <= seen:
            break
    expect(seen == {0, 1}, expected="0 and 1 as refunds of a half", observed=f"only {sorted(seen)}")


@check(
    id="node.refunds.unbiased",
    requirements=["NODE-053", "NODE-051"],
    title="What is left is hardly ever rounded to the far neighbour",
    needs=["node.engine"],
)
async def unbiased(world: NodeWorld) -> None:
    """Of a credit of 262144 there are 253952.5 left, half a credit above an amount and 8191.5 below the next one, 16
    times: rounding that keeps the mean takes the upper one once in 16384 times, and three times in 16 hardly ever."""
    answer = whole(PATHS[0], **counts(PATHS[0], 16383, 0))
    left = neighbours(_LARGE - 16383 / 2)
    upper = 0
    for _ in range(16):
        opened = await _asked(world, PATHS[0], saying(answer), amount=_LARGE)
        _expect_left(opened, _LARGE - 16383 / 2, f"a credit of {_LARGE}")
        upper += opened.refund is not None and opened.refund.amount == left.upper
    expect(
        upper < 3,
        expected=f"{left.lower} as nearly every refund of {_LARGE - 8191.5}",
        observed=f"{upper} of 16 times {left.upper}",
    )
