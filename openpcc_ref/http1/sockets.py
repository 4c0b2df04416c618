"""A TCP socket as a byte stream that can also be reset, which a stream over a transport cannot be on demand."""

from __future__ import annotations

import os
import socket
import struct

import anyio
from anyio.abc import ByteStream

RECEIVE_SIZE = 65536
"""Bytes read at a time."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class SocketStream(ByteStream):
    """Sends and receives on a connected socket. The caller sets deadlines; OSError means the connection is gone."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        if connected.family in (socket.AF_INET, socket.AF_INET6):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connected

    async def receive(self, max_bytes: int = RECEIVE_SIZE) -> bytes:
        """Return some bytes. Raises :class:`anyio.EndOfStream` when the peer has sent all it will."""
        await anyio.lowlevel.checkpoint()
        while True:
            try:
                data = self._socket.recv(max_bytes)
            except BlockingIOError:
                await anyio.wait_readable(self._socket)
                continue
            if not data:
                raise anyio.EndOfStream
            return data

    async def send(self, item: bytes) -> None:
        """Send all bytes."""
        await anyio.lowlevel.checkpoint()
        left = memoryview(item)
        while left:
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                await anyio.wait_writable(self._socket)

    async def send_eof(self) -> None:
        """Send no more; receiving goes on."""
        self._socket.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; whoever waits on it learns of it."""
        if self._socket.fileno() >= 0:
            anyio.notify_closing(self._socket)
            self._socket.close()

    def reset(self) -> None:
        """Drop the connection so that the peer sees a reset, never an end."""
        if self._socket.fileno() >= 0:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.close()


async def connect_tcp(host: str, port: int, local_host: str | None = None) -> SocketStream:
    """Connect to the first address of ``host`` that answers. Raises OSError when none does.

    ``local_host`` is the address to connect from; by default the system chooses.
    """
    refused: OSError | None = None
    for family, kind, protocol, _, address in await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        candidate = socket.socket(family, kind, protocol)
        candidate.setblocking(False)
        try:
            if local_host is not None:
                candidate.bind((local_host, 0))
            await _connect(candidate, address)
        except OSError as error:
            candidate.close()
            refused = error
        except BaseException:
            candidate.close()
            raise
        else:
            return SocketStream(candidate)
    raise refused or OSError(f"{host} has no address")


async def _connect(candidate: socket.socket, address: tuple[str, int]) -> None:
    try:
        candidate.connect(address)
    except BlockingIOError:
        await anyio.wait_writable(candidate)
    problem = candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if problem:
        raise OSError(problem, os.strerror(problem))


def listen_tcp(host: str, port: int, *, reserve_only: bool = False) -> socket.socket:
    """Return a listening socket, or one that only keeps the port and refuses connections."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        if not reserve_only:
            listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
