"""Nodes that open what they must not, do not open what they must, or say why they did not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

from conformance.faults import fault
from conformance.faults.node.base import FaultyNode
from conformance.faults.node.openers import (
    ENC_END,
    HEADER,
    DekOpener,
    LaterTry,
    OpenedKey,
    OtherBindings,
    SecondTry,
    WholeOpener,
    context_of,
    info_of,
    unauthenticated,
    wrapped_key,
    x_coordinate,
)
from openpcc_ref.binary_http import RequestHead
from openpcc_ref.compute_messages import (
    COMPUTE_SUITE,
    REQUEST_MEDIA_TYPES,
    ComputeMessageRejected,
    Form,
    ReceiverContext,
    RequestOpener,
)
from openpcc_ref.compute_messages.encapsulated_key import HEADER_LENGTH, WRAP_AAD
from openpcc_ref.compute_node import Parameters
from openpcc_ref.errors import Rejected, require
from openpcc_ref.hpke import AeadId, aead, kem, setup_base_recipient
from openpcc_ref.http1 import IncomingRequest, Responder
from openpcc_ref.services.node import UNOPENED, Deliver, WorkerFailed
from openpcc_ref.services.node_worker import EngineFailed, Unopened, Worker


class _SmallMessages(Worker):
    def opener(self) -> Any:
        key, secret_key, form = self.parameters.encapsulated_key, self.settings.secret_key, self.parameters.form
        return RequestOpener(key, secret_key, form, max_whole=2**16)


@fault(
    id="node.opening.small-messages",
    breaks=["MSG-055", "NODE-036"],
    trips=["node.opening.unchunked"],
    also=["node.requests.body-limit"],
)
class SmallMessages(FaultyNode):
    """Opens unchunked requests of up to 64 KiB."""

    worker = _SmallMessages


class _Failing(Worker):
    def opener(self) -> Any:
        try:
            return super().opener()
        except Rejected as rejected:
            if rejected.code == "hpke.open":
                raise EngineFailed from rejected
            raise


@fault(
    id="node.opening.foreign-is-own-failure",
    breaks=["NODE-006"],
    trips=["node.opening.other-key"],
    also=[
        "node.opening.info",
        "node.opening.key-altered",
        "node.opening.one-message",
        "node.opening.other-media-type",
        "node.opening.wrap-aad",
    ],
)
class ForeignIsOwnFailure(FaultyNode):
    """Takes a key that does not open for a failure of its own, and says 500."""

    worker = _Failing


class _AnyTag(SecondTry):
    def keys(self, encapsulated_key: bytes, form: Form) -> Iterator[OpenedKey]:
        enc, wrapped = encapsulated_key[HEADER_LENGTH:ENC_END], encapsulated_key[ENC_END:]
        context = setup_base_recipient(COMPUTE_SUITE, enc, self.settings.secret_key, info_of(form))
        if len(wrapped) == 48:
            yield unauthenticated(context.key, context.base_nonce, wrapped), ReceiverContext(enc, context)


@fault(
    id="node.opening.unauthenticated-key",
    breaks=["MSG-057"],
    trips=["node.opening.key-altered", "node.opening.wrap-aad"],
    also=["node.opening.one-message"],
)
class UnauthenticatedKey(FaultyNode):
    """Decrypts data encryption keys without a look at their tag."""

    worker = _AnyTag


@fault(id="node.opening.any-length", breaks=["MSG-057"], trips=["node.opening.key-length"])
class AnyLength(FaultyNode):
    """Reads of an encapsulated key as much as it needs."""

    without = ("compute-message.encapsulated-key.length",)


class _AnyIdentifier(OtherBindings):
    def bindings(self, header: bytes, form: Form) -> Iterator[tuple[bytes, bytes]]:
        if header[1:] == HEADER[1:]:
            yield info_of(form, header), WRAP_AAD


@fault(id="node.opening.any-identifier", breaks=["MSG-043"], trips=["node.opening.key-header"])
class AnyIdentifier(FaultyNode):
    """Has one key and does not look at the identifier."""

    worker = _AnyIdentifier


class _AnySuite(OtherBindings):
    def bindings(self, header: bytes, form: Form) -> Iterator[tuple[bytes, bytes]]:
        if header[:1] == HEADER[:1]:
            yield info_of(form, header), WRAP_AAD


@fault(
    id="node.opening.any-suite",
    breaks=["MSG-040", "MSG-070"],
    trips=["node.opening.key-header"],
    also=["node.opening.one-message"],
)
class AnySuite(FaultyNode):
    """Has one suite and does not look at what the header says."""

    worker = _AnySuite


class _NoZero(OtherBindings):
    def bindings(self, header: bytes, form: Form) -> Iterator[tuple[bytes, bytes]]:
        yield REQUEST_MEDIA_TYPES[form] + header, WRAP_AAD


@fault(id="node.opening.info-without-zero", breaks=["MSG-041", "MSG-086"], trips=["node.opening.info"])
class InfoWithoutZero(FaultyNode):
    """Tries an info without the zero byte as well."""

    worker = _NoZero


class _Unbound(OtherBindings):
    def bindings(self, header: bytes, form: Form) -> Iterator[tuple[bytes, bytes]]:
        yield b"", WRAP_AAD


@fault(id="node.opening.info-empty", breaks=["MSG-041", "MSG-086"], trips=["node.opening.info"])
class InfoEmpty(FaultyNode):
    """Tries an empty info as well."""

    worker = _Unbound


class _EitherType(OtherBindings):
    def bindings(self, header: bytes, form: Form) -> Iterator[tuple[bytes, bytes]]:
        yield from ((info_of(other), WRAP_AAD) for other in Form)


@fault(
    id="node.opening.either-media-type",
    breaks=["NODE-007", "MSG-058"],
    trips=["node.opening.other-media-type"],
    also=["node.opening.one-message"],
)
class EitherMediaType(FaultyNode):
    """Tries both media types."""

    worker = _EitherType


class _NoAad(OtherBindings):
    def bindings(self, header: bytes, form: Form) -> Iterator[tuple[bytes, bytes]]:
        yield info_of(form), b""


@fault(id="node.opening.no-aad", breaks=["MSG-057", "MSG-086"], trips=["node.opening.wrap-aad"])
class NoAad(FaultyNode):
    """Tries an empty AAD as well."""

    worker = _NoAad


class _AnyDek(OtherBindings):
    wrapped_length = 32

    def bindings(self, header: bytes, form: Form) -> Iterator[tuple[bytes, bytes]]:
        yield info_of(form), WRAP_AAD


@fault(id="node.opening.short-dek", breaks=["MSG-056"], trips=["node.opening.dek-length"])
class ShortDek(FaultyNode):
    """Lets the length of the data encryption key select the cipher."""

    worker = _AnyDek


class _HalfKeyOpener(WholeOpener):
    def otherwise(self, dek: bytes, nonce: bytes, sealed: bytes) -> bytes:
        opened = aead.open_sealed(AeadId.AES_128_GCM, dek[:16], nonce, b"", sealed)
        code = "compute-message.request.open"
        require(opened is not None, ComputeMessageRejected, code, where="body", expected="either cipher")
        return opened or b""


class _EitherCipher(LaterTry):
    whole_opener = _HalfKeyOpener


@fault(id="node.opening.either-cipher", breaks=["MSG-055", "MSG-086"], trips=["node.opening.aes-128"])
class EitherCipher(FaultyNode):
    """Tries AES-128-GCM as well."""

    worker = _EitherCipher


class _Compressed(SecondTry):
    def keys(self, encapsulated_key: bytes, form: Form) -> Iterator[OpenedKey]:
        enc, wrapped = encapsulated_key[HEADER_LENGTH:-48], encapsulated_key[-48:]
        if enc[:1] in (b"\2", b"\3"):
            with suppress(Rejected, ValueError):
                dh = x_coordinate(self.settings.secret_key, enc)
                yield wrapped_key(context_of(dh, enc, self.settings.secret_key, form), wrapped, enc)


@fault(id="node.opening.compressed", breaks=["MSG-090"], trips=["node.opening.enc-form"])
class Compressed(FaultyNode):
    """Takes compressed points."""

    worker = _Compressed


class _Hybrid(SecondTry):
    def keys(self, encapsulated_key: bytes, form: Form) -> Iterator[OpenedKey]:
        enc, wrapped = encapsulated_key[HEADER_LENGTH:ENC_END], encapsulated_key[ENC_END:]
        if enc[:1] in (b"\6", b"\7"):
            with suppress(Rejected, ValueError):
                dh = x_coordinate(self.settings.secret_key, b"\4" + enc[1:])
                yield wrapped_key(context_of(dh, enc, self.settings.secret_key, form), wrapped, enc)


@fault(id="node.opening.hybrid", breaks=["MSG-090"], trips=["node.opening.enc-form"])
class Hybrid(FaultyNode):
    """Takes points in hybrid form."""

    worker = _Hybrid


class _Stripping(Worker):
    def opener(self) -> Any:
        key, form, secret_key = self.parameters.encapsulated_key, self.parameters.form, self.settings.secret_key
        enc = key[HEADER_LENGTH:ENC_END]
        if len(key) != ENC_END + 48 or not kem(COMPUTE_SUITE.kem_id).is_public_key(enc):
            return super().opener()
        dh = x_coordinate(secret_key, enc)
        if dh[0]:
            return super().opener()
        return DekOpener(*wrapped_key(context_of(dh.lstrip(b"\0"), enc, secret_key, form), key[ENC_END:], enc), form)


@fault(
    id="node.opening.stripped-coordinate",
    breaks=["MSG-091"],
    trips=["node.opening.short-coordinate"],
    also=["node.*.*"],  # whichever check has the one request in 256
)
class StrippedCoordinate(FaultyNode):
    """Drops leading zeros of the shared coordinate, as a TPM may."""

    worker = _Stripping


class _NoTagOpener(WholeOpener):
    def otherwise(self, dek: bytes, nonce: bytes, sealed: bytes) -> bytes:
        return unauthenticated(dek, nonce, sealed)


class _Unauthenticated(LaterTry):
    whole_opener = _NoTagOpener


@fault(
    id="node.opening.unauthenticated-body",
    breaks=["MSG-055", "NODE-006"],
    trips=["node.opening.body-altered"],
    also=["node.opening.body-truncated", "node.opening.one-message"],
)
class UnauthenticatedBody(FaultyNode):
    """Decrypts unchunked requests without a look at their tag."""

    worker = _Unauthenticated


class _NeedingNonce(Worker):
    keyed = False

    def opener(self) -> Any:
        opener = super().opener()
        self.keyed = True
        return opener

    async def open(self, message: AsyncIterator[bytes]) -> tuple[RequestHead, bytes, ReceiverContext, Rejected | None]:
        received = 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal received
            async for piece in message:
                received += len(piece)
                yield piece

        try:
            return await super().open(counted())
        except Unopened as unopened:
            if self.keyed and received < 12:
                raise EngineFailed from unopened
            raise


@fault(
    id="node.opening.short-is-own-failure",
    breaks=["MSG-047", "NODE-006"],
    trips=["node.opening.body-truncated"],
    also=["node.opening.one-message"],
)
class ShortIsOwnFailure(FaultyNode):
    """Fails where not even the nonce is whole, and says 500."""

    worker = _NeedingNonce


@fault(id="node.opening.any-framing", breaks=["NODE-006"], trips=["node.opening.not-binary-http"])
class AnyFraming(FaultyNode):
    """Takes unknown framing indicators for the first one."""

    without = ("binary-http.framing.unknown",)


class _Telling(Worker):
    def opener(self) -> Any:
        try:
            return super().opener()
        except Rejected as rejected:
            raise _Told(rejected.code) from rejected


class _Told(Unopened):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@fault(id="node.opening.reasons", breaks=["MSG-082"], trips=["node.opening.one-message"])
class Reasons(FaultyNode):
    """Says at which step of the key it failed."""

    worker = _Telling

    async def work(self, parameters: Parameters, request: IncomingRequest, deliver: Deliver) -> None:
        try:
            await super().work(parameters, request, deliver)
        except WorkerFailed as failure:
            if isinstance(failure.__cause__, _Told):
                raise failure.__cause__ from None
            raise

    async def compute(self, request: IncomingRequest, responder: Responder) -> None:
        try:
            await super().compute(request, responder)
        except _Told as told:
            await self.refuse(responder, 400, f"{UNOPENED}: {told.code}")
