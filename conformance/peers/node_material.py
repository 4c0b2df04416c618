"""What a node under test is configured with: its key, the AuthBank's key, the models that it serves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import shake_256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from conformance.runfile import TargetSettings
from conformance.targets import TargetFailed
from openpcc_ref.badges import encode_text, sign_badge
from openpcc_ref.compute_messages import COMPUTE_SUITE
from openpcc_ref.hpke import kem

MODELS = ("llama3.2:1b", "qwen2:1.5b-instruct")
"""The models of a launched node."""

NOT_SERVED = "unserved:0b"
"""A model that no node serves."""


@dataclass(frozen=True, slots=True)
class NodeMaterial:
    """The keys around a node. ``secret_key`` is known only of a node that the runner starts."""

    public_key: bytes
    badge_seed: bytes = field(repr=False)
    models: tuple[str, ...]
    secret_key: bytes | None = field(default=None, repr=False)

    @property
    def badge_public_key(self) -> bytes:
        """What the node verifies badges with."""
        return Ed25519PrivateKey.from_private_bytes(self.badge_seed).public_key().public_bytes_raw()

    def badge(self, models: Iterable[str]) -> bytes:
        """Return the value of ``X-Confsec-Badge`` for these models, as the AuthBank signs it."""
        return encode_text(sign_badge(models, self.badge_seed)).encode()

    def launch_config(self, engine_url: str) -> dict[str, Any]:
        """Return the configuration of a node that the runner starts."""
        return {
            "secret_key": (self.secret_key or b"").hex(),
            "models": list(self.models),
            "tags": ["llm"],
            "badge_public_key": self.badge_public_key.hex(),
            "engine_url": engine_url,
        }


def mint_material(seed: str) -> NodeMaterial:
    """Return the material of a node that the runner starts."""
    pair = kem(COMPUTE_SUITE.kem_id).derive_key_pair(_derived(seed, "node key"))
    return NodeMaterial(pair.public_key, _derived(seed, "badge key"), MODELS, pair.secret_key)


def material_of(settings: TargetSettings, seed: str) -> NodeMaterial:
    """Return the material of a target. Raises :class:`TargetFailed` for a running node that was not described."""
    if settings.mode == "launch":
        return mint_material(seed)
    node = settings.node
    if node is None:
        raise TargetFailed("target.node: expected the public key, badge seed and models of the running node")
    public_key = bytes.fromhex(node.public_key)
    if not kem(COMPUTE_SUITE.kem_id).is_public_key(public_key):
        raise TargetFailed("target.node.public_key: expected an uncompressed point of P-256")
    return NodeMaterial(public_key, bytes.fromhex(node.badge_seed), node.models)


def _derived(seed: str, label: str) -> bytes:
    return shake_256(f"{seed}/{label}".encode()).digest(32)
