"""The JSON of a request: no second reading of it, nothing beside what the path has, and the usage that must be asked
for."""

from __future__ import annotations

import json
from typing import Any

from conformance.peers.node import NodeWorld
from conformance.peers.node_engine import PATHS, is_openai, same_request, without_limits
from conformance.peers.node_material import NOT_SERVED
from conformance.registry import check
from conformance.verdicts import expect

_IMAGE = "data:image/png;base64,iVBORw0KGgo="
_OPTION_TOOL = {"type": "function", "function": {"name": "count", "stream_options": {"include_usage": True}}}
_TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


def _after(body: bytes, text: str) -> bytes:
    """Return an object with further members at its end."""
    return body[:-1] + b", " + text.encode() + b"}"


def _before(body: bytes, text: str) -> bytes:
    """Return an object with further members at its beginning."""
    return b"{" + text.encode() + b", " + body[1:]


async def _one_meaning(world: NodeWorld, body: bytes, what: str, path: str = PATHS[0]) -> None:
    """Require that a body is refused, or reaches the engine so that every parser reads the allowed model."""
    world.engine.reset()
    opened = await world.ask(world.request(path=path, body=body))
    if opened.status != 200:
        expect(opened.status == 400, expected=f"inner status 400 for {what}", observed=str(opened))
        await world.not_asked(what)
        return
    received = await world.engine.arrival()
    twice: list[str] = []

    def members_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice.extend(name for name in names if names.count(name) > 1)
        return dict(pairs)

    value = json.loads(received.body, object_pairs_hook=members_of)
    names = [name.casefold() for name in value]
    single = not twice and len(set(names)) == len(names) and names == list(value)
    expect(
        single and value.get("model") == world.model,
        expected=f"a refusal of {what}, or one meaning of it at the engine",
        observed="it reached the engine as it came",
        deployed="NODE-D03" if received.body == body else None,
    )


@check(
    id="node.json.model-twice",
    requirements=["NODE-040", "NODE-024"],
    title="A body that names its model twice cannot be read in two ways",
    needs=["node.engine"],
)
async def model_twice(world: NodeWorld) -> None:
    """Beside the allowed model stands one that is not, before and behind it, its name also written with an escape."""
    await world.control()
    body = world.body()
    for other, how in ((f'"model": "{NOT_SERVED}"', ""), (f'"\\u006dodel": "{NOT_SERVED}"', " with an escape")):
        await _one_meaning(world, _before(body, other), f"a forbidden model{how} before the allowed one")
        await _one_meaning(world, _after(body, other), f"a forbidden model{how} behind the allowed one")


@check(
    id="node.json.model-case",
    requirements=["NODE-040", "NODE-024"],
    title="A model in a member of another case cannot be read in two ways",
    needs=["node.engine"],
)
async def model_case(world: NodeWorld) -> None:
    """MODEL and Model name the forbidden or the allowed model, beside the member model and instead of it."""
    await world.control()
    body = world.body()
    for name in ("MODEL", "Model"):
        forbidden, allowed = f'"{name}": "{NOT_SERVED}"', f'"{name}": "{world.model}"'
        swapped = world.body(model=NOT_SERVED)
        await _one_meaning(world, _before(body, forbidden), f"a forbidden {name} before the allowed model")
        await _one_meaning(world, _after(body, forbidden), f"a forbidden {name} behind the allowed model")
        await _one_meaning(world, _after(swapped, allowed), f"an allowed {name} behind a forbidden model")
        await _one_meaning(world, _before(world.body(model=None), allowed), f"only {name}")


@check(
    id="node.json.member-twice",
    requirements=["NODE-040"],
    title="Other members twice, or in another case, cannot be read in two ways",
    needs=["node.engine"],
)
async def member_twice(world: NodeWorld) -> None:
    """A second prompt, a second stream flag, PROMPT, and messages with the letter that folds to an s."""
    await world.control()
    body = world.body()
    chat = PATHS[1]
    for changed, what, path in (
        (_after(body, '"prompt": "pong"'), "a second prompt", PATHS[0]),
        (_after(body, '"stream": false, "stream": true'), "a second stream flag", PATHS[0]),
        (_after(body, '"PROMPT": "pong"'), "PROMPT beside prompt", PATHS[0]),
        (_after(world.body(chat), '"me\u017f\u017fages": []'), "messages with another s", chat),
    ):
        await _one_meaning(world, changed, what, path)


@check(
    id="node.json.nested-twice",
    requirements=["NODE-040"],
    title="A member twice in an object within the body cannot be read in two ways",
    needs=["node.engine"],
)
async def nested_twice(world: NodeWorld) -> None:
    """Two contents and two roles of one message, a usage option that is true and false, and one of Ollama's twice, also
    with an escape."""
    await world.control()
    message = '"messages": [{"role": "user", "content": "ping", %s}]'
    streamed = '"stream": true, "stream_options": {"include_usage": true, "include_usage": false}'
    for path, members, what in (
        (PATHS[1], message % '"content": "pong"', "a second content of a message"),
        (PATHS[1], message % '"\\u0072ole": "system"', "a second role of a message, with an escape"),
        (PATHS[3], message % '"content": "pong"', "a second content of a message"),
        (PATHS[0], f'"prompt": "ping", {streamed}', "a second usage option"),
        (PATHS[2], '"prompt": "ping", "options": {"seed": 1, "seed": 2}', "a second seed in the options"),
    ):
        body = f'{{"model": "{world.model}", {members}}}'.encode()
        await _one_meaning(world, body, f"{what} on {path}", path)


@check(
    id="node.json.malformed",
    requirements=["NODE-039"],
    title="A body that is no JSON object is refused",
)
async def malformed(world: NodeWorld) -> None:
    """null, a text, a list, a number, a cut object, single quotes, a comma too many, a comment, and NaN."""
    await world.control()
    body = world.body()
    for changed, what in (
        (b"null", "null"),
        (b'"text"', "a text"),
        (b"[" + body + b"]", "a list"),
        (b"7", "a number"),
        (body[:-1], "a cut object"),
        (body.replace(b'"', b"'"), "single quotes"),
        (body[:-1] + b",}", "a comma too many"),
        (b"/* */" + body, "a comment"),
        (_after(body, '"temperature": NaN'), "NaN"),
    ):
        await world.refused(world.request(body=changed), f"{what} as a body")


@check(
    id="node.json.utf-8",
    requirements=["NODE-039"],
    title="A body that is not UTF-8 is refused",
)
async def utf_8(world: NodeWorld) -> None:
    """A prompt with a byte that begins nothing, one with a cut sequence, and a body in UTF-16."""
    await world.control()
    body = world.body()
    for changed, what in ((b"\xff", "a byte FF"), (b"\xc3", "a cut sequence")):
        damaged = body.replace(b"ping", b"pi" + changed + b"ng")
        await world.refused(world.request(body=damaged), f"{what} in a text", deployed="NODE-D05")
    await world.refused(world.request(body=body.decode().encode("utf-16-le")), "a body in UTF-16")


@check(
    id="node.json.trailing",
    requirements=["NODE-039"],
    title="Anything but blanks behind the object is refused",
)
async def trailing(world: NodeWorld) -> None:
    """Blanks are accepted; a second object, a text, a comma, a brace and a bracket are not."""
    body = world.body()
    await world.accepted(world.request(body=b" \n" + body + b" \t\r\n"), "blanks around the object")
    world.engine.reset()
    for text, what in ((body, "a second object"), (b' "x"', "a text"), (b",", "a comma")):
        await world.refused(world.request(body=body + text), f"{what} behind the object")
    for text in (b"}", b"]"):
        await world.refused(world.request(body=body + text), f"{text.decode()} behind the object", deployed="NODE-D05")


@check(
    id="node.json.members",
    requirements=["NODE-039"],
    title="Members that a path does not have, and other types, are refused",
)
async def members(world: NodeWorld) -> None:
    """On each path a member of another path and an unknown one; numbers, texts and lists in each other's place."""
    await world.control()
    cases: list[tuple[str, dict[str, Any]]] = [
        ("/v1/completions", {"options": {}}),
        ("/v1/completions", {"prompt": ["ping"]}),
        ("/v1/completions", {"prompt": 7}),
        ("/v1/completions", {"stream": "true"}),
        ("/v1/completions", {"stream": 1}),
        ("/v1/completions", {"max_tokens": True}),
        ("/v1/completions", {"max_tokens": 7.5}),
        ("/v1/completions", {"temperature": "0.5"}),
        ("/v1/completions", {"stream": True, "stream_options": {"include_usage": True, "other": 1}}),
        ("/v1/chat/completions", {"prompt": "ping"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "ping", "own": 1}]}),
        ("/v1/chat/completions", {"messages": {"role": "user"}}),
        ("/v1/chat/completions", {"max_tokens": "7"}),
        ("/api/generate", {"max_tokens": 7}),
        ("/api/generate", {"model": 7}),
        ("/api/chat", {"max_tokens": 7}),
        ("/api/chat", {"messages": ["ping"]}),
    ]
    for path, more in cases:
        what = f"{json.dumps(more)} on {path}"
        await world.refused(world.request(path=path, body=world.body(path, **more)), what)


@check(
    id="node.json.required",
    requirements=["NODE-041"],
    title="A body without a model, a prompt or messages is refused",
)
async def required(world: NodeWorld) -> None:
    """On each path: without each of the two, with null, and with empty texts."""
    await world.control()
    for path in PATHS:
        content = "messages" if "chat" in path else "prompt"
        for name in ("model", content):
            body = json.loads(world.body(path))
            for value, what in ((None, f"{name} null"), ("", f"an empty {name}")):
                if value is None or name != "messages":
                    changed = json.dumps(body | {name: value}).encode()
                    await world.refused(world.request(path=path, body=changed), f"{what} on {path}")
            absent = world.body(path, **{name: None})
            await world.refused(world.request(path=path, body=absent), f"no {name} on {path}")


@check(
    id="node.json.content-kept",
    requirements=["NODE-040", "NODE-039"],
    title="Tools, tool calls, images and options reach the engine as they came",
    needs=["node.engine"],
)
async def content_kept(world: NodeWorld) -> None:
    """Chats in both dialects with tools, an earlier tool call, an image, texts beyond ASCII and options."""
    parts = [
        {"type": "text", "text": "Was \u00e4ndert <b>sich</b>? \U0001f980 \n"},
        {"type": "image_url", "image_url": {"url": _IMAGE}},
    ]
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"K\u00f6ln"}'}}
    openai = {
        "messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": None, "tool_calls": [call]}],
        "tools": [_TOOL],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_object"},
        "temperature": 0.25,
        "seed": 0,
        "stop": ["\n", "END"],
    }
    ollama = {
        "messages": [{"role": "user", "content": "\u00e4", "images": ["iVBORw0KGgo="]}],
        "tools": [_TOOL],
        "options": {"temperature": 0, "num_ctx": 4096, "stop": ["a"]},
        "format": {"type": "object"},
        "keep_alive": "5m",
    }
    for path, more in (("/v1/chat/completions", openai), ("/api/chat", ollama)):
        body = json.dumps({"model": world.model, **more}, ensure_ascii=False).encode()
        received = await world.accepted(
            world.request(path=path, body=body), f"a chat with tools and an image on {path}"
        )
        assert received is not None
        expect(
            same_request(received.body, body),
            expected=f"the client's body at the engine for {path}",
            observed=f"a difference in {', '.join(_differing(received.body, body))}",
        )


@check(
    id="node.json.usage-wanted",
    requirements=["NODE-042"],
    title="The engine is asked for the usage of streamed answers",
    needs=["node.engine"],
)
async def usage_wanted(world: NodeWorld) -> None:
    """On both /v1/ paths, without the option, with it empty, null and false; and with its name and value elsewhere, in
    a text and in a tool, where they ask for nothing."""
    for path in filter(is_openai, PATHS):
        for more in (
            "",
            ', "stream_options": {}',
            ', "stream_options": null',
            ', "stream_options": {"include_usage": false}',
            ', "stop": "\\"stream_options\\": {\\"include_usage\\": true}"',
            f', "tools": {json.dumps([_OPTION_TOOL])}' if "chat" in path else "",
        ):
            body = _after(world.body(path), f'"stream": true{more}')
            received = await world.accepted(world.request(path=path, body=body), f"a streamed request{more}")
            assert received is not None
            options = json.loads(received.body).get("stream_options")
            wanted = isinstance(options, dict) and options.get("include_usage") is True
            expect(wanted, expected=f"include_usage true for a streamed request{more}", observed=json.dumps(options))


@check(
    id="node.json.nothing-else-changed",
    requirements=["NODE-043"],
    title="Asking for the usage changes nothing else in the body",
    needs=["node.engine"],
)
async def nothing_else_changed(world: NodeWorld) -> None:
    """Streamed requests with values of zero, numbers that doubles do not hold, and an order of their own; the same
    not streamed, and streamed on the other paths, where nothing is to be changed at all."""
    extras = '"seed": 0, "temperature": 0.10000000000000000555, "n": 9007199254740993, "echo": false'
    options = '"options": {"seed": 0, "n": 9007199254740993}'
    for path, more in (
        (PATHS[0], f'{extras}, "stream": true, "stop": "<"'),
        (PATHS[0], extras),
        (PATHS[2], f'{options}, "stream": true'),
    ):
        body = _after(world.body(path), more)
        received = await world.accepted(world.request(path=path, body=body), f"a request to {path} with {more}")
        assert received is not None
        sent, got = (json.loads(data, parse_int=str, parse_float=str) for data in (body, received.body))
        got = without_limits(got, sent)
        if is_openai(path) and '"stream": true' in more:
            got.pop("stream_options", None)
        same = json.dumps(sent) == json.dumps(got)  # in the same order
        expect(same, expected=f"nothing else changed in {more}", observed="another body", deployed="NODE-D04")


def _differing(got: bytes, sent: bytes) -> list[str]:
    """Return the names of members that are not the same."""
    ours, theirs = json.loads(sent), json.loads(got)
    return sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
