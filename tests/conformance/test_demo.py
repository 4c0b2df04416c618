"""``demo`` and ``serve``: the stack for people, and what its parties saw."""

from __future__ import annotations

import base64
import json
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from click.testing import CliRunner

from conformance.cli import main
from conformance.cli.demo import SETTINGS, MarkedEngine, converse, report, tokens, verdict
from conformance.results import Exit
from conformance.sightings import PARTIES, Secret, Sightings
from openpcc_ref.http1 import Fields, Http1Error, IncomingRequest, exchange
from openpcc_ref.services.relay import Relay

ONE_NODE = replace(SETTINGS, nodes=1)


def test_demo_streams_an_answer_and_shows_what_each_party_saw() -> None:
    result = CliRunner().invoke(main, ["demo", "What is seen?"])
    assert result.exit_code == Exit.CLEAN, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("> What is seen? prompt-")
    assert lines[1].startswith("answer-")
    assert lines[1].endswith("word23 ")
    table = {line.split()[0]: line.split()[1:9] for line in lines if line.split()[:1] and line.split()[0] in PARTIES}
    assert set(table) == set(PARTIES)
    #                          address API key prompt answer node credit refund account
    assert table["relay"] == ["saw", "-", "-", "-", "-", "-", "-", "-"]
    assert table["gateway"] == ["-", "-", "-", "-", "saw", "saw", "saw", "saw"]
    assert table["authbank"] == ["saw", "saw", "-", "-", "-", "-", "-", "-"]
    assert table["node"] == ["-", "-", "saw", "saw", "saw", "-", "-", "-"]
    assert lines[-1].startswith("Each party saw what it needs and nothing else")


@pytest.mark.anyio
async def test_the_first_token_is_shown_before_the_engine_makes_the_last() -> None:
    """The gateway sends chunks of one length only, so a few tokens have to be made for one to leave."""
    first_shown = anyio.Event()
    made: list[dict[str, Any]] = []

    class Waiting(MarkedEngine):
        async def pieces(self, path: str, asked: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
            async for piece in super().pieces(path, asked):
                yield piece
                made.append(piece)
                if len(made) == 15:
                    with anyio.fail_after(30):
                        await first_shown.wait()

    made_at_first: list[int] = []

    def show(text: str) -> None:
        if text.startswith("answer-"):
            made_at_first.append(len(made))
            first_shown.set()

    sightings, _ = await converse(ONE_NODE, "a prompt", show, engine_class=Waiting)
    assert verdict(sightings) is Exit.CLEAN
    assert len(made_at_first) == 1
    assert made_at_first[0] <= 15 < 24 <= len(made)


class TellsTheAddress(Relay):
    """Passes the client's address on to the gateway."""

    def request_fields(self, request: IncomingRequest) -> Fields:
        return (*super().request_fields(request), (b"x-client", request.client_address.encode()))


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform != "linux", reason="loopback has one address")
async def test_demo_fails_when_a_party_sees_what_it_must_not() -> None:
    sightings, watched = await converse(replace(ONE_NODE, relay_class=TellsTheAddress), "a prompt", lambda text: None)
    assert verdict(sightings) is Exit.FAILED
    leaks = [line for line in report(sightings, watched) if line.startswith("LEAK")]
    assert leaks == ["LEAK  gateway must not see: address in relay → gateway, request"]


PROMPT = Secret("prompt", b"prompt-0123456789abcdef", frozenset({"node", "engine"}))


def passing(*passed: tuple[str, str, bytes]) -> Sightings:
    watched = Sightings()
    for source, destination, data in passed:
        for octet in (data[:7], data[7:]):
            tap = watched.tap(source, destination)
            tap(1, "in", 0.0, octet)
    return watched


@pytest.mark.parametrize(
    ("data", "rendering"),
    [
        (PROMPT.value, "verbatim"),
        (b"x" + base64.b64encode(b"??" + PROMPT.value + b"?"), "base64"),
        (PROMPT.value.hex().encode(), "hex"),
        (b"5\r\nprompt\r\n12\r\n-0123456789abcdef\r\n0\r\n\r\n", "verbatim"),
    ],
)
def test_a_secret_is_found_however_it_is_written(data: bytes, rendering: str) -> None:
    expected = ("node", "engine", PROMPT.value)
    sightings = passing(expected, ("relay", "gateway", data)).find([PROMPT])
    forbidden = {one.party: one.leak.rendering for one in sightings if one.forbidden and one.leak}
    assert forbidden == {"relay": rendering, "gateway": rendering}
    assert verdict(sightings) is Exit.FAILED


def test_a_search_that_finds_too_little_proves_nothing() -> None:
    sightings = passing(("relay", "gateway", b"nothing")).find([PROMPT])
    assert not any(one.forbidden for one in sightings)
    assert {one.party for one in sightings if one.missing} == {"node", "engine"}
    assert verdict(sightings) is Exit.SUITE_FAULT
    assert sum(line.startswith("BLIND") for line in report(sightings, Sightings())) == 2


def test_an_address_is_seen_by_the_one_connected_to() -> None:
    watched = Sightings()
    watched.met("client", "relay", "127.12.34.56")
    address = Secret("address", b"127.12.34.56", frozenset({"relay"}), is_address=True)
    assert [one.party for one in watched.find([address]) if one.leak] == ["relay"]


@pytest.mark.anyio
async def test_tokens_are_read_wherever_the_stream_is_cut() -> None:
    events: list[dict[str, Any]] = [{"choices": [{"delta": {"content": text}}]} for text in ("a", "b")] + [
        {"choices": [], "usage": {}}
    ]
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + b"data: [DONE]\n\n"
    for step in (1, 7, 1000):

        async def content(step: int = step) -> Any:
            for start in range(0, len(stream), step):
                yield stream[start : start + step]

        assert [token async for token in tokens(content())] == ["a", "b"]


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def running(pids: list[str]) -> list[str]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform != "linux", reason="reads processes from /proc")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
async def test_serve_says_where_it_serves_and_leaves_nothing_behind(ending: signal.Signals) -> None:
    command = [sys.executable, "-m", "conformance", "serve", "--nodes", "1", "--model", "mine"]
    command += ["--max-body", "1000", "--json"]
    async with await anyio.open_process(command) as process:
        assert process.stdout is not None
        with anyio.fail_after(60):
            line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 65536)
        described = json.loads(line)
        assert described["models"] == ["mine"]
        assert described["max_body"] == 1000
        assert len(described["nodes"]) == 1
        response, _ = await exchange(described["urls"]["router"], b"GET", b"/ping")
        assert response.status == 200
        zygotes = children(process.pid)
        workers = [worker for zygote in zygotes for worker in children(int(zygote))]
        assert zygotes
        process.send_signal(ending)
        with anyio.fail_after(30):
            assert await process.wait() == 0
    assert running([*zygotes, *workers]) == []
    for url in described["urls"].values():
        with pytest.raises(Http1Error):
            await exchange(url)


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform != "linux", reason="sends signals")
async def test_serve_prints_a_line_for_each_role() -> None:
    command = [sys.executable, "-m", "conformance", "serve", "--nodes", "2"]
    async with await anyio.open_process(command) as process:
        assert process.stdout is not None
        stream = BufferedByteReceiveStream(process.stdout)
        receive = partial(stream.receive_until, b"\n", 65536)
        with anyio.fail_after(60):
            lines = [(await receive()).decode() for _ in range(9)]
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(30):
            await process.wait()
    roles = {line.rsplit(maxsplit=1)[0] for line in lines}
    assert roles == {*PARTIES, "node 1", "node 2"} - {"node"}
    assert all(line.split()[-1].startswith("http://127.0.0.1:") for line in lines)
