"""Programs that are started: what they must say, and what is told of those that do not say it."""

from __future__ import annotations

import os
import signal
import sys

import anyio
import pytest

from conformance.roles import Role
from conformance.targets import LaunchTarget, TargetFailed, UrlTarget, embedded

pytestmark = pytest.mark.anyio


def program(source: str, *, startup_s: float = 20.0) -> LaunchTarget:
    return LaunchTarget([sys.executable, "-c", source], name="it", startup_s=startup_s)


ANSWERS = "import json, os, sys; config = json.loads(sys.stdin.readline()); print(json.dumps({'url': config['say']}))"


async def test_a_program_gets_its_configuration_and_says_its_url() -> None:
    target = program(f"{ANSWERS}; sys.stdout.flush(); sys.stdin.read()")
    async with target.start({"say": "http://127.0.0.1:1/x"}) as running:
        assert running.url == "http://127.0.0.1:1/x"
        assert await running.epitaph() == ""


async def test_a_restarted_program_is_another_process() -> None:
    source = "import json, os, sys; sys.stdin.readline(); print(json.dumps({'url': f'http://h/{os.getpid()}'}))"
    async with program(f"{source}; sys.stdout.flush(); sys.stdin.read()").start({}) as running:
        first = running.url
        assert await running.restart()
        assert running.url != first


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import sys; sys.stdin.readline(); sys.exit('no such key')", "it ended before it printed its URL"),
        ("import sys; sys.stdin.readline(); sys.exit('no such key')", "its last words: no such key"),
        ("import sys; sys.stdin.readline(); print('ready')", 'expected one line {"url": …}'),
        ("import sys; sys.stdin.readline(); print('[1]')", 'expected one line {"url": …}'),
        ("import sys; sys.stdin.readline(); print('{}')", 'expected one line {"url": …}'),
        ("import sys; sys.stdin.close(); print('x' * 10 ** 6, end='')", "it ended before it printed its URL"),
    ],
)
async def test_a_program_that_does_not_serve_is_told_of(source: str, told: str) -> None:
    with pytest.raises(TargetFailed) as failed:
        async with program(source).start({}):
            pass
    assert told in str(failed.value)


async def test_a_silent_program_is_given_up_and_ended() -> None:
    target = program("import sys; sys.stdin.read()", startup_s=0.2)
    with pytest.raises(TargetFailed, match="said nothing"):
        async with target.start({}):
            pass


async def test_a_missing_program_is_told_of() -> None:
    with pytest.raises(TargetFailed, match="cannot start /no/such/program: No such file"):
        async with LaunchTarget(["/no/such/program"]).start({}):
            pass


async def test_the_end_of_a_killed_program_is_told() -> None:
    source = "import json, os, sys; sys.stdin.readline(); print(json.dumps({'url': f'http://h/{os.getpid()}'}))"
    async with program(f"{source}; sys.stdout.flush(); sys.stdin.read()").start({}) as running:
        os.kill(int(running.url.rpartition("/")[2]), signal.SIGKILL)
        with anyio.fail_after(10):
            while not await running.epitaph():
                pass
        assert await running.epitaph() == " (killed by signal 9)"


async def test_a_program_that_says_much_need_not_wait_for_a_reader() -> None:
    source = f"{ANSWERS}; print('x' * 2**20, 'all said'); sys.stdout.flush(); sys.stdin.read()"
    async with program(source).start({"say": "http://127.0.0.1:1/x"}) as running:
        assert running.url == "http://127.0.0.1:1/x"
        with anyio.fail_after(10):
            while not running.said().endswith(b"all said\n"):
                await anyio.lowlevel.checkpoint()


async def test_a_program_that_ignores_its_closed_input_is_killed() -> None:
    source = (
        "import json, os, signal, sys, time; sys.stdin.readline(); signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print(json.dumps({'url': f'http://h/{os.getpid()}'})); sys.stdout.flush(); time.sleep(600)"
    )
    async with program(source).start({}) as running:
        pid = int(running.url.rpartition("/")[2])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_url_target_cannot_be_restarted() -> None:
    async with UrlTarget("http://127.0.0.1:1").start({}) as running:
        assert (running.url, await running.restart(), await running.epitaph()) == ("http://127.0.0.1:1", False, "")


def test_the_reference_is_a_program_like_any_other() -> None:
    assert embedded(Role.NONCE_LOCK).command[1:] == ["-m", "openpcc_ref.services.nonce_lock"]
