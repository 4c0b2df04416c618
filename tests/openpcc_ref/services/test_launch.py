"""Services as programs: one line in, one line out, and an end when the input closes."""

from __future__ import annotations

import json
import sys
from subprocess import PIPE

import anyio
import pytest

from openpcc_ref.http1 import Failure, Http1Error, exchange

pytestmark = pytest.mark.anyio

CONFIGS = {
    "relay": {"gateway_url": "http://127.0.0.1:9/"},
    "gateway": {
        "bank_url": "http://127.0.0.1:9",
        "router_url": "http://127.0.0.1:9",
        "keys": [
            {
                "id": 1,
                "kem_id": 48,
                "seed": "01" * 32,
                "active_from": "2025-01-01T00:00:00Z",
                "active_until": "2125-01-01T00:00:00Z",
            }
        ],
    },
}


@pytest.mark.parametrize("role", CONFIGS)
async def test_a_program_serves_until_its_input_closes(role: str) -> None:
    command = [sys.executable, "-m", f"openpcc_ref.services.{role}"]
    with anyio.fail_after(30):
        async with await anyio.open_process(command) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdin.send(json.dumps(CONFIGS[role]).encode() + b"\n")
            url = json.loads(await process.stdout.receive())["url"]
            assert (await exchange(url, b"DELETE"))[0].status == 405
            await process.stdin.aclose()
            assert await process.wait() == 0
    with pytest.raises(Http1Error) as caught:
        await exchange(url)
    assert caught.value.failure is Failure.UNREACHABLE


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", b"config: expected one line of JSON"),
        (b"{", b"config: expected one line of JSON"),
        (b"\xff\xfe", b"config: expected one line of JSON"),
        (b"[]", b"config.type at config: expected an object"),
        (b"{}", b"config.missing at config.gateway_url: expected a URL"),
    ],
)
async def test_a_program_without_a_usable_configuration_says_why(line: bytes, words: bytes) -> None:
    command = [sys.executable, "-m", "openpcc_ref.services.relay"]
    with anyio.fail_after(30):
        done = await anyio.run_process(command, input=line + b"\n", stderr=PIPE, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(words)
