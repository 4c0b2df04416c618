"""What a target may offer beyond answering: a closed list that checks name in ``needs``.

A check whose needs are not met is not applicable, with the text below as the reason; it never passes silently.
"""

from __future__ import annotations

CAPABILITIES: dict[str, str] = {
    "kem.0x0020": "an active key for DHKEM(X25519) with HKDF-SHA256 and AES-128-GCM",
    "kem.0x0030": "an active key for X25519Kyber768Draft00 with HKDF-SHA256 and AES-128-GCM",
    "key.second": "two active keys for the same KEM under different key ids",
    "key.expired": "a key whose active_until has passed",
    "key.future": "a key whose active_from is still to come",
    "node.engine": "an inference engine of the runner's behind it",
    "node.second-model": "two models that it serves",
}
"""Capability to what the operator has to provide, in words that complete "the target does not offer …"."""
