"""Addresses: where runner-hosted neighbours listen, and the one from which the runner reaches the subject."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from conformance.runfile import TargetSettings
from conformance.targets import TargetFailed


def listen_address(settings: TargetSettings, neighbour: str) -> tuple[str, int]:
    """Return host and port for a neighbour: as the run file says, or a free port on loopback for a launched subject.

    Raises :class:`TargetFailed` when a running subject was not said to have been configured with any.
    """
    address = settings.listen.get(neighbour)
    if address is None and settings.mode == "launch":
        return "127.0.0.1", 0
    host, _, port = (address or "").rpartition(":")
    if not host or not port.isdigit():
        raise TargetFailed(f"target.listen.{neighbour}: expected host:port, where the subject has been told to find it")
    return host.strip("[]"), int(port)


def own_address(url: str) -> str:
    """Return the address that a connection to ``url`` comes from; nothing is sent."""
    parts = urlsplit(url)
    family, kind, protocol, _, address = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(address)
        return str(probe.getsockname()[0])
