"""A program that forks workers which do what the first line of their input says; for tests of the pool."""

from __future__ import annotations

import os
import signal
import sys

import anyio

from openpcc_ref.services.worker_zygote import main

REMEMBERED: list[str] = []
"""What this process has been told; a worker that remembers another one's line shares memory with it."""


async def obey() -> int:
    order, _, argument = sys.stdin.readline().strip().partition(" ")
    REMEMBERED.append(order)
    sys.stdout.write(f"{os.getpid()} {os.getppid()} {len(REMEMBERED)}\n")
    sys.stdout.flush()
    match order:
        case "exit":
            return int(argument)
        case "raise":
            raise LookupError(argument)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "read":
            await anyio.to_thread.run_sync(sys.stdin.read)
        case "hang":
            await anyio.sleep_forever()
    return 0


if __name__ == "__main__":
    main(obey)
