"""Which requests leave a gateway, and for where. Requirements: OHT-065 to OHT-067."""

from __future__ import annotations

BANK = b"confsec-bank.invalid"
ROUTER = b"confsec-router.invalid"

ROUTES: dict[bytes, dict[bytes, frozenset[bytes]]] = {
    BANK: {
        path: frozenset({b"POST"}) for path in (b"/deposit", b"/exchange", b"/withdraw", b"/withdraw-full", b"/balance")
    },
    ROUTER: {
        b"/": frozenset({b"POST"}),
        b"/compute-manifests": frozenset({b"POST"}),
        b"/ping": frozenset({b"GET", b"HEAD"}),
    },
}
"""Methods by path by inner host. All three compare exactly; a query is no part of the path."""
