"""Which keys a gateway opens with, and for which it refuses."""

from __future__ import annotations

from dataclasses import replace

from conformance.peers.envelope import Envelope
from conformance.peers.gateway import PING, GatewayWorld
from conformance.registry import check
from openpcc_ref.binary_http import encode_request
from openpcc_ref.hpke import KemId
from openpcc_ref.oblivious_http import Form, KeyConfig, SymmetricAlgorithm

_PLAINTEXT = encode_request(PING, pad_to=532)


async def _refused(world: GatewayWorld, key: KeyConfig, what: str) -> None:
    """Seal an honest request to ``key`` in both forms; each must be refused in clear."""
    for form in Form:
        await world.control(form)
        await world.refusal(world.envelope(form, key).sealed(_PLAINTEXT), form, what)


@check(
    id="gateway.keys.kyber",
    requirements=["OHT-002", "OHT-004", "OHT-005", "MSG-042"],
    needs=["kem.0x0030"],
    title="A request sealed to X25519Kyber768Draft00 is answered",
)
async def kyber(world: GatewayWorld) -> None:
    """The key is derived from its seed with Kyber768 of round 3; both forms are sent and must be answered."""
    for form in Form:
        await world.control(form, world.keys.of_kem(KemId.X25519_KYBER768_DRAFT00))


@check(
    id="gateway.keys.x25519",
    requirements=["OHT-003", "OHT-005", "MSG-042"],
    needs=["kem.0x0020"],
    title="A request sealed to DHKEM(X25519) is answered",
)
async def x25519(world: GatewayWorld) -> None:
    """The key is derived from its seed; both forms are sent and must be answered."""
    for form in Form:
        await world.control(form, world.keys.of_kem(KemId.DHKEM_X25519))


@check(
    id="gateway.keys.every-active",
    requirements=["OHT-014", "OHT-011"],
    needs=["key.second"],
    title="Every key inside its period is accepted, not only the newest",
)
async def every_active(world: GatewayWorld) -> None:
    """Two keys of one KEM are active at a time, as during a rotation; requests to either are answered."""
    assert world.keys.pair is not None
    for key in world.keys.pair:
        await world.control(Form.UNCHUNKED, key)


@check(
    id="gateway.keys.expired",
    requirements=["OHT-014", "OHT-011", "OHT-062"],
    needs=["key.expired"],
    title="A key past its period is refused",
)
async def expired(world: GatewayWorld) -> None:
    """A request is sealed to a configured key whose active_until has passed, without any tolerance for clocks."""
    for key in world.keys.expired:
        await _refused(world, key, "an expired key")


@check(
    id="gateway.keys.not-yet-active",
    requirements=["OHT-014", "OHT-011", "OHT-062"],
    needs=["key.future"],
    title="A key before its period is refused",
)
async def not_yet_active(world: GatewayWorld) -> None:
    """A request is sealed to a configured key whose active_from is still to come."""
    for key in world.keys.future:
        await _refused(world, key, "a key that is not yet active")


@check(
    id="gateway.keys.unknown-id",
    requirements=["OHT-062", "MSG-043"],
    title="A key identifier that no key has is refused",
)
async def unknown_id(world: GatewayWorld) -> None:
    """The request is sealed to a real key but under an unused identifier; who tries all keys would open it."""
    await _refused(world, replace(world.key, key_id=world.keys.unused_id()), "an unknown key identifier")


@check(
    id="gateway.keys.other-kem",
    requirements=["OHT-062", "MSG-043"],
    needs=["kem.0x0020", "kem.0x0030"],
    title="A key identifier with the KEM of another key is refused",
)
async def other_kem(world: GatewayWorld) -> None:
    """The header pairs the identifier of one key with the KEM of another, to which the request is really sealed."""
    first, second = (world.keys.of_kem(kem) for kem in (KemId.X25519_KYBER768_DRAFT00, KemId.DHKEM_X25519))
    await _refused(world, replace(second, key_id=first.key_id), "a KEM that the named key does not have")


@check(
    id="gateway.keys.unregistered-code-point",
    requirements=["OHT-062", "MSG-040"],
    title="Code points of no KEM, KDF or AEAD are refused",
)
async def unregistered_code_point(world: GatewayWorld) -> None:
    """The header names KEM 0, KDF 0, AEAD 0 or the export-only AEAD; the sealing is bound to just that header."""
    honest = world.envelope(Form.UNCHUNKED).header
    for header, what in (
        (replace(honest, kem_id=0x0000), "KEM 0x0000"),
        (replace(honest, kdf_id=0x0000), "KDF 0x0000"),
        (replace(honest, aead_id=0x0000), "AEAD 0x0000"),
        (replace(honest, aead_id=0xFFFF), "the export-only AEAD"),
    ):
        for form in Form:
            await world.control(form)
            envelope = Envelope(world.key, form, random=world.random, header=header)
            await world.refusal(envelope.sealed(_PLAINTEXT), form, what)


@check(
    id="gateway.keys.kdf-not-offered",
    requirements=["OHT-062"],
    title="A KDF that the key does not offer is refused",
)
async def kdf_not_offered(world: GatewayWorld) -> None:
    """The request is sealed consistently with HKDF-SHA512; a gateway that follows the header would open it."""
    await _not_offered(world, SymmetricAlgorithm(0x0003, 0x0001), "a KDF that the key does not offer")


@check(
    id="gateway.keys.aead-not-offered",
    requirements=["OHT-062"],
    title="An AEAD that the key does not offer is refused",
)
async def aead_not_offered(world: GatewayWorld) -> None:
    """The request is sealed consistently with AES-256-GCM; a gateway that follows the header would open it."""
    await _not_offered(world, SymmetricAlgorithm(0x0001, 0x0002), "an AEAD that the key does not offer")


async def _not_offered(world: GatewayWorld, algorithm: SymmetricAlgorithm, what: str) -> None:
    for form in Form:
        await world.control(form)
        envelope = Envelope(world.key, form, random=world.random, algorithm=algorithm)
        await world.refusal(envelope.sealed(_PLAINTEXT), form, what)


@check(
    id="gateway.keys.identifier-altered",
    requirements=["OHT-062", "OHT-020"],
    needs=["key.second"],
    title="A key identifier changed after sealing is refused",
)
async def identifier_altered(world: GatewayWorld) -> None:
    """The identifier of one active key is replaced on the way by that of another."""
    assert world.keys.pair is not None
    first, second = world.keys.pair
    for form in Form:
        await world.control(form, first)
        content = world.envelope(form, first).sealed(_PLAINTEXT)
        swapped = bytes([second.key_id])
        altered = swapped + content[1:] if isinstance(content, bytes) else [swapped + content[0][1:], *content[1:]]
        await world.refusal(altered, form, "another key's identifier")
