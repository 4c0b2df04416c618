"""What the AuthBank tells clients before anything else: addresses and signed keys. Chapter: ``spec/banking.md``.

The two bundles are passed on as they are. Requirements: AUTH-010, AUTH-016.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.errors import require
from openpcc_ref.protobuf import authbank_pb2, parse


@dataclass(frozen=True, slots=True)
class IdentityPolicy:
    """Who may have signed the bundles: an issuer and a subject, each as a text, a regular expression, or both."""

    oidc_issuer: str | None = None
    oidc_issuer_regex: str | None = None
    oidc_subject: str | None = None
    oidc_subject_regex: str | None = None


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The configuration of a client. The bundles are serialized sigstore bundles, as they were signed."""

    router_url: str
    bank_url: str
    relays: tuple[str, ...]
    ohttp_key_configs_bundle: bytes
    currency_key_bundle: bytes
    identity_policy: IdentityPolicy | None = None


def encode_client_config(config: ClientConfig) -> bytes:
    """Return a serialized ``AuthConfigResponse``: the same bytes for the same configuration."""
    message = authbank_pb2.AuthConfigResponse(
        router_url=config.router_url,
        bank_url=config.bank_url,
        relays=[authbank_pb2.OHTTPRelay(url=url) for url in config.relays],
        ohttp_key_configs_bundle=config.ohttp_key_configs_bundle,
        currency_key_bundle=config.currency_key_bundle,
    )
    policy = config.identity_policy
    if policy is not None:
        message.identity_policy.CopyFrom(
            authbank_pb2.IdentityPolicy(
                oidc_issuer=policy.oidc_issuer,
                oidc_issuer_regex=policy.oidc_issuer_regex,
                oidc_subject=policy.oidc_subject,
                oidc_subject_regex=policy.oidc_subject_regex,
            )
        )
    return message.SerializeToString(deterministic=True)


def decode_client_config(data: bytes) -> ClientConfig:
    """Return the configuration of a serialized ``AuthConfigResponse``.

    Empty addresses of router and bank pass, for clients do not use them. Raises :class:`BankingRejected` with
    ``message.malformed``, ``config.url``, ``config.no-relay`` or ``config.no-bundle``.
    """
    message = parse(authbank_pb2.AuthConfigResponse, data, BankingRejected, "message.malformed")
    for name in ("router_url", "bank_url"):
        _require_url(getattr(message, name), name, may_be_empty=True)
    _require(bool(message.relays), "no-relay", "relays", "at least one relay")
    for number, relay in enumerate(message.relays):
        _require_url(relay.url, f"relays[{number}].url")
    for name in ("ohttp_key_configs_bundle", "currency_key_bundle"):
        _require(bool(getattr(message, name)), "no-bundle", name, "a sigstore bundle")
    return ClientConfig(
        message.router_url,
        message.bank_url,
        tuple(relay.url for relay in message.relays),
        message.ohttp_key_configs_bundle,
        message.currency_key_bundle,
        _policy(message.identity_policy) if message.HasField("identity_policy") else None,
    )


def _policy(message: authbank_pb2.IdentityPolicy) -> IdentityPolicy:
    return IdentityPolicy(*(getattr(message, name) if message.HasField(name) else None for name in _POLICY_FIELDS))


_POLICY_FIELDS = ("oidc_issuer", "oidc_issuer_regex", "oidc_subject", "oidc_subject_regex")


def _require_url(text: str, where: str, *, may_be_empty: bool = False) -> None:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    _require(usable or (may_be_empty and not text), "url", where, "an absolute http or https URL")


def _require(holds: bool, fault: str, where: str, expected: str) -> None:
    require(holds, BankingRejected, f"config.{fault}", where=where, expected=expected)
