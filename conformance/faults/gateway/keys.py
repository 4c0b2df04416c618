"""Gateways that open with the wrong keys, or refuse what they should open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from conformance.faults import fault
from conformance.faults.gateway.base import LenientGateway
from openpcc_ref.hpke import AeadId, KdfId, KemId, RecipientContext, Suite, setup_base_recipient
from openpcc_ref.oblivious_http import Form, GatewayKey, PeriodState, RequestHeader, RequestOpener
from openpcc_ref.services.gateway import Gateway


def _state(key: GatewayKey, now: datetime) -> PeriodState:
    return key.period.state(now) if key.period else PeriodState.ACTIVE


@fault(
    id="gateway.keys.no-kyber",
    breaks=["OHT-002"],
    trips=["gateway.keys.kyber", "gateway.keys.every-active"],
    also=[
        "gateway.encapsulation.enc-truncated",
        "gateway.encapsulation.enc-altered",
        "gateway.encapsulation.enc-zero",
        "gateway.keys.identifier-altered",
    ],
)
class NoKyber(Gateway):
    """Has only the keys that any library offers."""

    def accepted_keys(self) -> Sequence[GatewayKey]:
        return [key for key in self.keys if key.config.kem_id != KemId.X25519_KYBER768_DRAFT00]


@fault(id="gateway.keys.no-x25519", breaks=["OHT-003"], trips=["gateway.keys.x25519"])
class NoX25519(Gateway):
    """Has only the keys that deployed gateways have."""

    def accepted_keys(self) -> Sequence[GatewayKey]:
        return [key for key in self.keys if key.config.kem_id != KemId.DHKEM_X25519]


@fault(
    id="gateway.keys.newest-only",
    breaks=["OHT-014"],
    trips=["gateway.keys.every-active"],
    also=["gateway.keys.identifier-altered"],
)
class NewestOnly(Gateway):
    """Drops a key as soon as a newer one of its KEM is active."""

    def accepted_keys(self) -> Sequence[GatewayKey]:
        newest: dict[int, GatewayKey] = {}
        for key in self.keys:
            if _state(key, self.clock()) is PeriodState.ACTIVE:
                other = newest.get(key.config.kem_id)
                newer = other is None or (
                    key.period and other.period and key.period.active_from > other.period.active_from
                )
                newest[key.config.kem_id] = key if newer or other is None else other
        return list(newest.values())


class _Timeless(Gateway):
    """Ignores one end of the periods."""

    forgiven: PeriodState

    def accepted_keys(self) -> Sequence[GatewayKey]:
        now = self.clock()
        return [replace(key, period=None) if _state(key, now) is self.forgiven else key for key in self.keys]


@fault(
    id="gateway.keys.expired-accepted",
    breaks=["OHT-014"],
    trips=["gateway.keys.expired"],
    also=["gateway.errors.key-problem"],
)
class ExpiredAccepted(_Timeless):
    """Goes on opening with keys whose period is over."""

    forgiven = PeriodState.EXPIRED


@fault(
    id="gateway.keys.future-accepted",
    breaks=["OHT-014"],
    trips=["gateway.keys.not-yet-active"],
    also=["gateway.errors.key-problem"],
)
class FutureAccepted(_Timeless):
    """Opens with keys before their period."""

    forgiven = PeriodState.NOT_YET_ACTIVE


@fault(
    id="gateway.keys.identifier-ignored",
    breaks=["OHT-062"],
    trips=["gateway.keys.unknown-id", "gateway.keys.other-kem"],
    also=["gateway.errors.key-problem"],
)
class IdentifierIgnored(LenientGateway):
    """Takes its first key where the identifier names none."""

    without = ("oblivious-http.request.key-unknown",)


class _OwnSuiteOpener(RequestOpener):
    """Opens with the suite of the key, whatever the header says; the info is bound to the header all the same."""

    def decapsulate(self, header: RequestHeader, key: GatewayKey, enc: bytes) -> RecipientContext:
        own = key.config.algorithms[0]
        suite = Suite(KemId(key.config.kem_id), KdfId(own.kdf_id), AeadId(own.aead_id))
        return setup_base_recipient(suite, enc, key.secret_key, header.info(self._form))


@fault(
    id="gateway.keys.suite-ignored",
    breaks=["OHT-062"],
    trips=["gateway.keys.unregistered-code-point"],
    also=["gateway.keys.unknown-id", "gateway.keys.other-kem", "gateway.errors.key-problem"],
)
class SuiteIgnored(LenientGateway):
    """Opens with the suite it has, whatever code points the header names."""

    without = (
        "oblivious-http.header.algorithm",
        "oblivious-http.request.algorithm",
        "oblivious-http.request.key-unknown",
    )

    def opener(self, form: Form) -> RequestOpener:
        return _OwnSuiteOpener(self.accepted_keys(), form, self.clock(), self.max_chunk)


@fault(
    id="gateway.keys.header-followed",
    breaks=["OHT-062"],
    trips=["gateway.keys.kdf-not-offered", "gateway.keys.aead-not-offered"],
)
class HeaderFollowed(LenientGateway):
    """Uses the KDF and AEAD that the header names, whether its key offers them or not."""

    without = ("oblivious-http.request.algorithm",)


class _FirstKyberOpener(RequestOpener):
    """Reads one key identifier for another."""

    _started = False

    def feed(self, data: bytes) -> list[bytes]:
        if not self._started and data[1:3] == KemId.X25519_KYBER768_DRAFT00.to_bytes(2, "big"):
            data = b"\x02" + data[1:]
        self._started = True
        return super().feed(data)


@fault(
    id="gateway.keys.identifier-forced",
    breaks=["OHT-014", "OHT-020"],
    trips=["gateway.keys.identifier-altered", "gateway.keys.every-active"],
)
class IdentifierForced(Gateway):
    """Takes every identifier of a KEM for that of its first key, in the info as well."""

    def opener(self, form: Form) -> RequestOpener:
        return _FirstKyberOpener(self.accepted_keys(), form, self.clock(), self.max_chunk)
