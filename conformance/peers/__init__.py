"""The other parties: for each judged role the world of runner-hosted neighbours around a subject."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

from conformance.engine import World
from conformance.peers.bank import open_bank_world
from conformance.peers.gateway import open_gateway_world
from conformance.peers.node import open_node_world
from conformance.peers.nonce_lock import open_nonce_lock_world
from conformance.peers.relay import open_relay_world
from conformance.peers.router import open_router_world
from conformance.roles import Role
from conformance.runfile import Limits, TargetSettings
from conformance.targets import Target

_WORLDS: Mapping[Role, Callable[..., AbstractAsyncContextManager[World]]] = {
    Role.RELAY: open_relay_world,
    Role.GATEWAY: open_gateway_world,
    Role.ROUTER: open_router_world,
    Role.BANK: open_bank_world,
    Role.NONCE_LOCK: open_nonce_lock_world,
    Role.NODE: open_node_world,
}

JUDGED_ROLES = tuple(_WORLDS)
"""The roles the runner can judge, in the order in which it does."""


def open_world(
    role: Role, target: Target, settings: TargetSettings, *, seed: str, limits: Limits
) -> AbstractAsyncContextManager[World]:
    """Start the neighbours and then the subject; the context ends them all.

    All randomness of the runner's parties follows from ``seed``. Entering raises
    :class:`~conformance.targets.TargetFailed` when the subject does not serve or a neighbour cannot listen.
    """
    return _WORLDS[role](target, settings, seed=seed, limits=limits)
