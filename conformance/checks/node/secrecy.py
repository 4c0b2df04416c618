"""What must stay between client and node, and between one request and the next."""

from __future__ import annotations

import json
from functools import partial

import anyio

from conformance.canaries import search
from conformance.peers.node import NodeWorld
from conformance.peers.node_engine import JSON, saying, streaming, whole
from conformance.peers.node_message import Opened
from conformance.peers.scripted import Answer, Received, answer_after_request
from conformance.peers.stepped import side_by_side
from conformance.registry import check
from conformance.targets import LaunchedTarget
from conformance.verdicts import NotApplicable, expect
from openpcc_ref.compute_messages import Form
from openpcc_ref.credits.currency import neighbours
from openpcc_ref.http1 import Fields, Responder

_PARALLEL = 4
_AMOUNTS = (128, 256, 1024, 8192)[:_PARALLEL]
_ASKED = ("prompt", "model", "path", "member", "authority", "method", "content type")
_ANSWERED = ("answer", "line", "field of the engine", "nonsense")


async def _ask_everything(world: NodeWorld) -> dict[str, bytes]:
    """Ask in ways that are answered and refused, everything marked; return the marks."""
    marks = {name: world.random(12).hex() for name in (*_ASKED, *_ANSWERED)}
    secrets = {name: value.encode() for name, value in marks.items()}
    prompt = {"prompt": marks["prompt"]}
    for form in Form:
        sealed = world.sealed(form)
        secrets[f"DEK {form}"] = sealed.dek
        world.engine.answer = saying(whole("/v1/completions", marks["answer"]))
        await world.post(sealed.sealed(world.request(form, body=world.body(**prompt))), sealed)
    body = world.body(**prompt)
    refused = (
        world.request(path=f"/v1/{marks['path']}", body=body),
        world.request(body=world.body(model=marks["model"], prompt=marks["prompt"])),
        world.request(body=json.dumps(json.loads(body) | {marks["member"]: 1}).encode()),
        world.request(body=body[:-1]),
        world.request(body=body, fields=world.fields(body, badge=b"***")),
        world.request(body=body, authority=f"{marks['authority']}.example".encode()),
        world.request(body=body, method=marks["method"].upper().encode()),
        world.request(body=body, fields=_other_type(world, body, f"text/{marks['content type']}")),
    )
    for plaintext in refused:
        sealed = world.sealed()
        await world.post(sealed.sealed(plaintext), sealed)
    own: Fields = (*JSON, (b"x-own", marks["field of the engine"].encode()))
    for status in (200, 500):
        world.engine.answer = saying(marks["answer"].encode(), status=status, fields=own)
        await world.ask(world.request(body=body))
    world.engine.answer = streaming([f"{marks['line']}\n".encode(), f"data: {marks['line']}\n\n".encode()])
    await world.ask(world.request(body=world.body(**prompt, stream=True)))
    for raw in (b"%s\r\n\r\n", b"HTTP/1.1 200 OK\r\n%s\r\n\r\n", b"HTTP/1.1 307 Go\r\nlocation: /%s\r\n\r\n"):
        world.engine.answer = _saying_raw(raw % marks["nonsense"].encode())
        sealed = world.sealed()
        await world.post(sealed.sealed(world.request(body=body)), sealed)
    secrets["badge"] = world.material.badge([world.model])
    if world.material.secret_key is not None:
        secrets["key of the node"] = world.material.secret_key
    return secrets


def _other_type(world: NodeWorld, body: bytes, media_type: str) -> Fields:
    lines = world.fields(body)
    return tuple((name, media_type.encode() if name == b"content-type" else value) for name, value in lines)


def _saying_raw(data: bytes) -> Answer:
    """Return an engine that says what need not be HTTP."""

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_raw(data)

    return answer


@check(
    id="node.secrecy.in-the-clear",
    requirements=["NODE-044", "NODE-008", "MSG-082"],
    title="Nothing of request, answer, badge or keys leaves the node in the clear",
    needs=["node.engine"],
)
async def in_the_clear(world: NodeWorld) -> None:
    """Answered requests, refusals of all kinds, an error of the engine, one that talks nonsense, and one that cannot be
    reached: whatever the node sends back, in fields, content and trailers, is searched for marks as they are and
    re-encoded."""
    secrets = await _ask_everything(world)
    async with world.engine.unreachable():
        sealed = world.sealed()
        secrets["DEK of a failure"] = sealed.dek
        await world.post(sealed.sealed(world.request()), sealed)
    leaks = search(secrets, [("what came back", bytes(data)) for data in world.taps.inputs["router"].values()])
    expect(not leaks, expected="nothing of a request in the clear", observed=", ".join(dict.fromkeys(map(str, leaks))))


@check(
    id="node.secrecy.logs",
    requirements=["NODE-012"],
    title="Nothing of request, answer, badge or keys is logged",
    needs=["node.engine"],
)
async def logs(world: NodeWorld) -> None:
    """Answered requests, refusals of all kinds, an error of the engine and nonsense; then what the program wrote to
    standard output and standard error is searched. What goes into files cannot be seen."""
    if not isinstance(world.subject, LaunchedTarget):
        raise NotApplicable("what a node logs is seen only where the runner has started it")
    secrets = await _ask_everything(world)
    await world.subject.restart()  # what its buffers hold is written at its end
    leaks = search(secrets, [("standard output or error", world.subject.said())])
    expect(
        not leaks,
        expected="nothing of a request in the log",
        observed=", ".join(dict.fromkeys(map(str, leaks))),
        deployed="NODE-D14",
    )


@check(
    id="node.secrecy.parallel",
    requirements=["NODE-011", "MSG-060"],
    title="Requests at the same time are not mixed up",
    needs=["node.engine"],
)
async def parallel(world: NodeWorld) -> None:
    """Four requests with prompts and amounts of their own; the engine answers, repeating the prompt, when all have
    arrived, the last one first. Each refund is what is left of the request's own amount."""
    arrived = [anyio.Event() for _ in range(_PARALLEL)]
    answered = [anyio.Event() for _ in range(_PARALLEL + 1)]
    answered[_PARALLEL].set()
    order: list[Received] = []
    patience = anyio.current_time() + world.step_s / 2

    async def echo(received: Received, responder: Responder) -> None:
        await received.end()
        order.append(received)
        number = len(order) - 1
        arrived[number].set()
        with anyio.move_on_after(patience - anyio.current_time()):  # a node may take requests one after the other
            await arrived[-1].wait()
            await answered[number + 1].wait()
        prompt = json.loads(received.body)["prompt"]
        await answer_after_request(received, responder, 200, JSON, whole("/v1/completions", prompt))
        answered[number].set()

    world.engine.answer = echo
    amounts = {world.random(12).hex(): amount for amount in _AMOUNTS}
    opened: dict[str, Opened] = {}

    async def ask(prompt: str) -> None:
        request = world.request(body=world.body(prompt=prompt))
        opened[prompt] = await world.ask(request, amount=amounts[prompt])

    await side_by_side(partial(ask, prompt) for prompt in amounts)
    for prompt, amount in amounts.items():
        own = opened[prompt].response.content == whole("/v1/completions", prompt)
        expect(own, expected="to each request the answer to its own prompt", observed=str(opened[prompt]))
        rounding, refund = neighbours(amount - 124.5), opened[prompt].refund
        expect(
            refund is not None and not refund.special and refund.amount in (rounding.lower, rounding.upper),
            expected=f"a refund of {rounding.lower} or {rounding.upper} of {amount}",
            observed="none" if refund is None else f"a refund of {refund.amount}",
        )


@check(
    id="node.secrecy.nothing-kept",
    requirements=["NODE-011", "NODE-014"],
    title="Nothing of one request reaches the next",
    needs=["node.engine"],
)
async def nothing_kept(world: NodeWorld) -> None:
    """A first request has marked content and its answer sets a marked cookie; two further requests, one refused, meet
    neither at the engine nor in their answers."""
    marks = {name: world.random(12).hex() for name in ("prompt", "cookie", "answer")}
    cookie = (b"set-cookie", f"session={marks['cookie']}".encode())
    world.engine.answer = saying(whole("/v1/completions", marks["answer"]), fields=(*JSON, cookie))
    await world.ask(world.request(body=world.body(prompt=marks["prompt"])))
    world.engine.reset()
    world.taps.inputs.pop("engine", None)
    answers = [await world.ask(world.request()), await world.ask(world.request(body=b"{}"))]
    places = [("the engine", bytes(data)) for data in world.taps.inputs.get("engine", {}).values()]
    places += [("an answer", b"".join(opened.chunks)) for opened in answers]
    leaks = search({name: value.encode() for name, value in marks.items()}, places)
    expect(not leaks, expected="nothing of an earlier request", observed=", ".join(dict.fromkeys(map(str, leaks))))
