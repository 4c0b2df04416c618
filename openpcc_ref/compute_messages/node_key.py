"""The public key of a node whose secret key is inside a TPM."""

from __future__ import annotations

from openpcc_ref.compute_messages.encapsulated_key import COMPUTE_SUITE
from openpcc_ref.compute_messages.media_types import ComputeMessageRejected
from openpcc_ref.errors import require
from openpcc_ref.hpke import kem

TPM_ALG_ECC = 0x0023
TPM_ECC_NIST_P256 = 0x0003

COORDINATE_LENGTH = 32
"""Bytes of a coordinate of P-256."""


def encode_node_key(key_type: int, curve: int, x: bytes, y: bytes) -> bytes:
    """Return the 65 bytes that clients encapsulate to, from ``type``, ``curveID`` and ``unique`` of a TPMT_PUBLIC.

    A TPM may leave out leading zero bytes of a coordinate; they are put back. Requirements: MSG-093, MSG-096. Raises
    :class:`ComputeMessageRejected` with ``compute-message.node-key.type``, ``….curve``, ``….coordinate`` or
    ``….point``.
    """
    _require(key_type == TPM_ALG_ECC, "type", "type", "an ECC key, 0x0023")
    _require(curve == TPM_ECC_NIST_P256, "curve", "curveID", "NIST P-256, 0x0003")
    for name, coordinate in (("x", x), ("y", y)):
        fits = len(coordinate) <= COORDINATE_LENGTH
        _require(fits, "coordinate", f"unique.{name}", f"at most {COORDINATE_LENGTH} bytes, {len(coordinate)} given")
    padded = (part[-COORDINATE_LENGTH:].rjust(COORDINATE_LENGTH, b"\0") for part in (x, y))
    public_key = b"\4" + b"".join(padded)
    _require(kem(COMPUTE_SUITE.kem_id).is_public_key(public_key), "point", "unique", "a point of the curve")
    return public_key


def _require(holds: bool, part: str, where: str, expected: str) -> None:
    require(holds, ComputeMessageRejected, f"compute-message.node-key.{part}", where=where, expected=expected)
