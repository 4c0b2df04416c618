"""The roles of the standard, by the names used in every id, option and table."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Who is bound by a requirement and judged by a check."""

    RELAY = "relay"
    GATEWAY = "gateway"
    BANK = "bank"
    NONCE_LOCK = "nonce-lock"
    AUTHBANK = "authbank"
    ROUTER = "router"
    NODE = "node"
    CLIENT = "client"
    LIBRARY = "library"
