"""What must stay between client and node, and between one request and the next."""

from __future__ import annotations

import json
from functools import partial

import anyio

from conformance.canaries import search
from conformance.peers.node import NodeWorld
from conformance.peers.node_engine import JSON, saying, whole
from conformance.peers.node_message import Opened
from conformance.peers.scripted import Received, answer_after_request
from conformance.peers.stepped import side_by_side
from conformance.registry import check
from conformance.targets import LaunchedTarget
from conformance.verdicts import NotApplicable, expect
from openpcc_ref.compute_messages import Form
from openpcc_ref.http1 import Responder

_PARALLEL = 4


async def _ask_everything(world: NodeWorld) -> dict[str, bytes]:
    """Ask in ways that are answered and refused, everything marked; return the marks."""
    marks = {name: world.random(12).hex() for name in ("prompt", "model", "path", "member", "answer")}
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
    )
    for plaintext in refused:
        await world.ask(plaintext)
    world.engine.answer = saying(marks["answer"].encode(), status=500, fields=JSON)
    await world.ask(world.request(body=body))
    secrets["badge"] = world.material.badge([world.model])
    if world.material.secret_key is not None:
        secrets["key of the node"] = world.material.secret_key
    return secrets


@check(
    id="node.secrecy.in-the-clear",
    requirements=["NODE-044", "NODE-008", "MSG-082"],
    title="Nothing of request, answer, badge or keys leaves the node in the clear",
    needs=["node.engine"],
)
async def in_the_clear(world: NodeWorld) -> None:
    """Answered requests, refusals of all kinds, an error of the engine, and one that cannot be reached: whatever the
    node sends back, in fields, content and trailers, is searched for marks as they are and re-encoded."""
    secrets = await _ask_everything(world)
    async with world.engine.unreachable():
        sealed = world.sealed()
        secrets["DEK of a failure"] = sealed.dek
        await world.post(sealed.sealed(world.request()), sealed)
    leaks = search(secrets, [("what came back", bytes(data)) for data in world.taps.inputs["router"].values()])
    expect(not leaks, expected="nothing of a request in the clear", observed=", ".join(map(str, leaks)))


@check(
    id="node.secrecy.logs",
    requirements=["NODE-012"],
    title="Nothing of request, answer, badge or keys is logged",
    needs=["node.engine"],
)
async def logs(world: NodeWorld) -> None:
    """Answered requests, refusals of all kinds and an error of the engine; then what the program wrote to standard
    output and standard error is searched. What goes into files cannot be seen."""
    if not isinstance(world.subject, LaunchedTarget):
        raise NotApplicable("what a node logs is seen only where the runner has started it")
    secrets = await _ask_everything(world)
    await world.subject.restart()  # what its buffers hold is written at its end
    leaks = search(secrets, [("standard output or error", world.subject.said())])
    expect(
        not leaks,
        expected="nothing of a request in the log",
        observed=", ".join(map(str, leaks)),
        deployed="NODE-D14",
    )


@check(
    id="node.secrecy.parallel",
    requirements=["NODE-011", "MSG-060"],
    title="Requests at the same time are not mixed up",
    needs=["node.engine"],
)
async def parallel(world: NodeWorld) -> None:
    """Four requests with prompts of their own; the engine answers, repeating the prompt, when all have arrived, the
    last one first."""
    arrived = [anyio.Event() for _ in range(_PARALLEL)]
    answered = [anyio.Event() for _ in range(_PARALLEL + 1)]
    answered[_PARALLEL].set()
    order: list[Received] = []

    async def echo(received: Received, responder: Responder) -> None:
        await received.end()
        order.append(received)
        number = len(order) - 1
        arrived[number].set()
        with anyio.move_on_after(world.step_s / 2):  # a node may take requests one after the other
            await arrived[-1].wait()
            await answered[number + 1].wait()
        prompt = json.loads(received.body)["prompt"]
        await answer_after_request(received, responder, 200, JSON, whole("/v1/completions", prompt))
        answered[number].set()

    world.engine.answer = echo
    prompts = [world.random(12).hex() for _ in range(_PARALLEL)]
    opened: dict[str, Opened] = {}

    async def ask(prompt: str) -> None:
        opened[prompt] = await world.ask(world.request(body=world.body(prompt=prompt)))

    await side_by_side(partial(ask, prompt) for prompt in prompts)
    for prompt in prompts:
        own = opened[prompt].response.content == whole("/v1/completions", prompt)
        expect(own, expected="to each request the answer to its own prompt", observed=str(opened[prompt]))


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
    expect(not leaks, expected="nothing of an earlier request", observed=", ".join(map(str, leaks)))
