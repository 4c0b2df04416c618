"""Where workers come from: a process that has everything loaded and has seen no request forks one for each.

Run it as ``python -m openpcc_ref.services.worker_zygote`` with a Unix socket as standard input. Each byte on it comes
with three descriptors, standard input and output of a worker and its leash: when the leash ends the worker is killed,
and when the worker ends its exit status goes into the leash. The socket's end ends everything. No worker sees what
another one has; what all share is the state before the first request. Requirements: NODE-011, NODE-063.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio

from openpcc_ref.services.node_worker import EXIT_FAILED, serve_standard_streams

ORDER = b"w"
"""The byte that comes with the descriptors of one worker."""

KILLED = 255
"""Exit status of a worker that a signal ended."""

_DESCRIPTORS = 3


class Zygote:
    """Forks workers that run ``work`` and exit with what it returns. ``control`` is where the orders come from."""

    def __init__(self, control: socket.socket, work: Callable[[], Awaitable[int]]) -> None:
        self._control = control
        self._work = work
        self._leashes: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._deaths, self._died = socket.socketpair()

    def run(self) -> None:
        """Serve until the control socket ends, then end what is left."""
        self._died.setblocking(False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this says when it ends
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._died.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._control, selectors.EVENT_READ, self._obey)
        self._selector.register(self._deaths, selectors.EVENT_READ, self._bury)
        while self._control.fileno() >= 0:
            for key, _ in self._selector.select():
                key.data()
        for pid in self._leashes:
            _kill(pid)
            os.waitpid(pid, 0)

    def _obey(self) -> None:
        """Fork a worker, or end with the socket."""
        order, descriptors = _receive(self._control)
        if not order:
            self._selector.unregister(self._control)
            self._control.close()
            return
        stdin, stdout, leash = descriptors
        pid = os.fork()
        if not pid:
            self._become_worker(stdin, stdout, leash)
        for descriptor in (stdin, stdout):
            os.close(descriptor)
        held = self._leashes[pid] = socket.socket(fileno=leash)
        self._selector.register(held, selectors.EVENT_READ, lambda: self._let_go(pid, held))

    def _let_go(self, pid: int, leash: socket.socket) -> None:
        """Kill the worker whose leash has ended; its death is told like any other."""
        if self._leashes.get(pid) is leash:  # and has not been buried since the event
            self._selector.unregister(leash)
            _kill(pid)

    def _bury(self) -> None:
        """Tell of each worker that has ended how it did."""
        self._deaths.recv(4096)
        for pid in list(self._leashes):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._tell(self._leashes.pop(pid), os.waitstatus_to_exitcode(status))

    def _tell(self, leash: socket.socket, status: int) -> None:
        with suppress(KeyError):  # of those that were let go
            self._selector.unregister(leash)
        with leash, suppress(OSError):  # nobody may be listening any more
            leash.send(bytes([status if status >= 0 else KILLED]))

    def _become_worker(self, stdin: int, stdout: int, leash: int) -> None:
        """Keep nothing but the two streams, serve one request, and end."""
        status = EXIT_FAILED
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._selector.close()
            for held in (self._deaths, self._died, *self._leashes.values()):
                held.close()
            os.close(leash)
            os.dup2(stdin, 0)
            os.dup2(stdout, 1)
            os.closerange(3, max(stdin, stdout) + 1)
            status = anyio.run(self._work)
        finally:
            os._exit(status)


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    """Return the next order with its descriptors; nothing once the socket has ended."""
    order, descriptors, _, _ = socket.recv_fds(control, len(ORDER), _DESCRIPTORS)
    return order, descriptors


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


async def _nothing() -> None:
    """Do nothing, after all that an event loop needs has been loaded."""


def main(work: Callable[[], Awaitable[int]] = serve_standard_streams) -> None:
    """Serve on standard input."""
    anyio.run(_nothing)
    gc.freeze()  # so that collecting garbage in a worker does not copy what all share
    Zygote(socket.socket(fileno=0), work).run()


if __name__ == "__main__":
    main()
