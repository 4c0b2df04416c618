"""Badges: which are taken, which must not be, and that they open just the models that they name."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from conformance.peers.node import NodeWorld
from conformance.peers.node_engine import PATHS
from conformance.peers.node_material import NOT_SERVED
from conformance.peers.node_message import altered
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref import badges
from openpcc_ref.base64_text import from_text, to_text
from openpcc_ref.compute_messages import Form
from openpcc_ref.errors import Rejected
from openpcc_ref.protobuf.authbank_pb2 import Badge, Credentials

_NAME = badges.FIELD_NAME
_LARGEST = 1024
"""Characters of a badge that fit into a field. Requirements: NODE-035."""
_ORDER = 2**252 + 27742317777372353535851937790883648493
"""The order of the group of Ed25519. RFC 8032 section 5.1."""


def _signed(world: NodeWorld, models: bytes, *, message: bytes | None = None, seed: bytes | None = None) -> bytes:
    """Return the text of a badge with this encoded list; ``message`` is what is signed, if not what must be."""
    credentials = Credentials(models=models)
    key = Ed25519PrivateKey.from_private_bytes(world.material.badge_seed if seed is None else seed)
    signature = key.sign(credentials.SerializeToString() if message is None else message)
    return to_text(Badge(credentials=credentials, signature=signature).SerializeToString()).encode()


async def _refused(
    world: NodeWorld, cases: Iterable[tuple[bytes, str]], *, model: str | None = None, form: Form = Form.UNCHUNKED
) -> None:
    """Send requests that are honest but for the badge; each must be refused."""
    await world.control()
    body = world.body(model=model or world.model)
    for badge, what in cases:
        await world.refused(world.request(form, body=body, fields=world.fields(body, badge=badge)), what, form)


def _encoded(*names: bytes, order: Literal["little", "big"] = "little") -> bytes:
    return b"".join(len(name).to_bytes(4, order) + name for name in names)


@check(
    id="node.badges.required",
    requirements=["NODE-020", "AUTH-038"],
    title="A request without a badge is refused",
)
async def required(world: NodeWorld) -> None:
    """The field is missing, empty, or has another name; in both forms."""
    honest = world.material.badge([world.model])
    for form in Form:
        await world.control(form)
        body = world.body()
        others = tuple(line for line in world.fields(body) if line[0] != _NAME)
        for lines, what in (
            (others, "no badge"),
            ((*others, (_NAME, b"")), "an empty badge"),
            ((*others, (b"authorization", b"Bearer " + honest)), "a badge in Authorization"),
            ((*others, (b"x-confsec-badge-2", honest)), "a badge in another field"),
        ):
            await world.refused(world.request(form, body=body, fields=lines), what, form)


@check(
    id="node.badges.outer-field",
    requirements=["NODE-020"],
    title="A badge in the clear does not count",
)
async def outer_field(world: NodeWorld) -> None:
    """The sealed request has none; X-Confsec-Badge comes beside it, where router and gateway could put it."""
    await world.control()
    body = world.body()
    lines = tuple(line for line in world.fields(body) if line[0] != _NAME)
    outer = ((_NAME, world.material.badge([world.model])),)
    opened = await world.ask(world.request(body=body, fields=lines), fields=outer)
    expect(opened.status == 400, expected="inner status 400 without a sealed badge", observed=str(opened))
    await world.not_asked("a badge in the clear")


@check(
    id="node.badges.base64",
    requirements=["NODE-020", "AUTH-038"],
    title="A badge that is not base64 is refused",
)
async def base64(world: NodeWorld) -> None:
    """Asterisks; an honest badge with one behind it, in the alphabet for URLs, without its padding, and in
    hexadecimal."""
    name = 0
    text = world.material.badge([world.model])
    while (b"+" not in text and b"/" not in text) or not text.endswith(b"="):
        text = world.material.badge([world.model, f"other:{'0' * (name % 3)}{name}"])
        name += 1
    message = from_text(text.decode(), Rejected, "badge.text.base64")
    cases = (
        (b"***", "asterisks as a badge"),
        (text + b"*", "an asterisk behind the badge"),
        (text.replace(b"+", b"-").replace(b"/", b"_"), "a badge in the alphabet for URLs"),
        (text.rstrip(b"="), "a badge without its padding"),
        (message.hex().encode(), "a badge in hexadecimal"),
    )
    await _refused(world, cases)


@check(
    id="node.badges.malformed",
    requirements=["AUTH-038"],
    title="A badge that does not decode is refused",
)
async def malformed(world: NodeWorld) -> None:
    """Base64 of text, of a message that is cut, of one with a group that does not end, and of nothing but zeros."""
    message = from_text(world.material.badge([world.model]).decode(), Rejected, "badge.text.base64")
    cases = (
        (b"not a badge", "text as a badge"),
        (message[:-1], "a badge that is cut"),
        (message[:9], "a badge that is cut in its models"),
        (message + b"\x1b", "a badge with a group that does not end"),
        (bytes(40), "zeros as a badge"),
    )
    await _refused(world, [(to_text(data).encode(), what) for data, what in cases])


@check(
    id="node.badges.signature-absent",
    requirements=["AUTH-038", "NODE-021"],
    title="A badge without a signature, or with one of another length, is refused",
)
async def signature_absent(world: NodeWorld) -> None:
    """None, an empty one, the honest one cut by a byte and with one more."""
    honest = Badge.FromString(from_text(world.material.badge([world.model]).decode(), Rejected, "badge.text.base64"))
    cases = []
    for signature, what in (
        (None, "no signature"),
        (b"", "an empty signature"),
        (honest.signature[:-1], "a signature of 63 bytes"),
        (honest.signature + b"\0", "a signature of 65 bytes"),
    ):
        made = Badge(credentials=honest.credentials, signature=signature)
        cases.append((to_text(made.SerializeToString()).encode(), f"a badge with {what}"))
    await _refused(world, cases)


@check(
    id="node.badges.forged",
    requirements=["NODE-021", "AUTH-034", "AUTH-038"],
    title="A badge that the AuthBank did not sign is refused",
)
async def forged(world: NodeWorld) -> None:
    """Signed with another key; one bit altered at either end of the signature; a signature of zeros; the honest one
    with the order of the group added to its scalar, which RFC 8032 section 5.1.7 has refused."""
    encoded = badges.encode_models([world.model])
    honest = Badge.FromString(from_text(_signed(world, encoded).decode(), Rejected, "badge.text.base64"))
    cases = [(_signed(world, encoded, seed=world.random(32)), "a badge signed with another key")]
    for signature, what in (
        (altered(honest.signature, 0), "its first byte altered"),
        (altered(honest.signature, 40), "a byte of its second half altered"),
        (bytes(64), "zeros as a signature"),
        (honest.signature[:32] + _beyond_order(honest.signature[32:]), "a scalar beyond the order in its signature"),
    ):
        made = Badge(credentials=honest.credentials, signature=signature)
        cases.append((to_text(made.SerializeToString()).encode(), f"a badge with {what}"))
    await _refused(world, cases)


def _beyond_order(scalar: bytes) -> bytes:
    return (int.from_bytes(scalar, "little") + _ORDER).to_bytes(32, "little")


@check(
    id="node.badges.two-lines",
    requirements=["NODE-021", "AUTH-038"],
    title="Of two badges none lends its signature to the other",
)
async def two_lines(world: NodeWorld) -> None:
    """A forged badge names the asked model and an honest one another model, in two lines of the field, in both
    orders."""
    await world.control()
    body = world.body()
    others = tuple(line for line in world.fields(body) if line[0] != _NAME)
    forged_badge = _signed(world, badges.encode_models([world.model]), seed=world.random(32))
    lines = ((_NAME, forged_badge), (_NAME, world.material.badge([NOT_SERVED])))
    for pair, what in ((lines, "a forged badge before"), (lines[::-1], "a forged badge behind")):
        request = world.request(body=body, fields=(*others, *pair))
        await world.refused(request, f"{what} an honest one for another model")


@check(
    id="node.badges.model-added",
    requirements=["NODE-021", "AUTH-034", "AUTH-038"],
    title="A model that was added after signing is not opened",
)
async def model_added(world: NodeWorld) -> None:
    """The signature is honest, for another list, whose badge the node has seen: the asked model was put into it, or in
    place of another."""
    added = badges.encode_models([NOT_SERVED, world.model])
    alone = badges.encode_models([world.model])
    foreign = badges.signed_bytes([NOT_SERVED])
    await _refused(
        world,
        [
            (world.material.badge([NOT_SERVED]), "an honest badge for another model"),
            (_signed(world, added, message=foreign), "a badge with a model added"),
            (_signed(world, alone, message=foreign), "a badge with a model replaced"),
            (_signed(world, alone, message=b""), "a signature over an empty list"),
        ],
    )


@check(
    id="node.badges.signed-bytes",
    requirements=["AUTH-034", "NODE-021"],
    title="A signature over anything but the Credentials message is refused",
)
async def signed_bytes(world: NodeWorld) -> None:
    """By the right key, over the encoded list alone, over the model's name, and over the message in base64."""
    encoded = badges.encode_models([world.model])
    message = badges.signed_bytes([world.model])
    cases = [
        (_signed(world, encoded, message=signed), f"a signature over {what}")
        for signed, what in (
            (encoded, "the encoded list"),
            (world.model.encode(), "the name of the model"),
            (to_text(message).encode(), "the message in base64"),
        )
    ]
    await _refused(world, cases)


@check(
    id="node.badges.other-model",
    requirements=["NODE-024", "AUTH-038"],
    title="A badge opens only the models that it names",
)
async def other_model(world: NodeWorld) -> None:
    """Well-signed badges for another model, a part of the name, a longer name, the name in capitals, and for none."""
    model = world.model
    named: tuple[tuple[list[str], str], ...] = (
        ([NOT_SERVED], "another model"),
        ([model[:-1]], "a part of the model's name"),
        ([f"{model}2"], "a longer name"),
        ([model.upper()], "the name in capitals"),
        ([f"{model} {NOT_SERVED}"], "a name that contains it"),
        ([], "no model"),
    )
    cases = [(world.material.badge(models), f"a badge for {what}") for models, what in named if model not in models]
    await _refused(world, cases)


@check(
    id="node.badges.second-model",
    requirements=["NODE-024"],
    title="A badge for one model that the node serves does not open another",
    needs=["node.second-model"],
)
async def second_model(world: NodeWorld) -> None:
    """Both are served; each is asked for with the badge of the other one."""
    first, second = world.material.models[:2]
    for named, asked in ((first, second), (second, first)):
        cases = [(world.material.badge([named]), f"a badge for {named} and a request for {asked}")]
        await _refused(world, cases, model=asked)


@check(
    id="node.badges.not-served",
    requirements=["NODE-024"],
    title="A model that the node does not serve is refused, whatever the badge says",
)
async def not_served(world: NodeWorld) -> None:
    """The badge names the asked model, alone and beside one that is served."""
    for named in ([NOT_SERVED], [NOT_SERVED, world.model]):
        what = f"a model that is not served, with a badge for {len(named)}"
        await _refused(world, [(world.material.badge(named), what)], model=NOT_SERVED)


@check(
    id="node.badges.near-model",
    requirements=["NODE-024"],
    title="A name that is nearly that of a served model is another name",
)
async def near_model(world: NodeWorld) -> None:
    """The asked name has capitals, a blank before or behind, a tag or a registry more, or a letter less; the badge is
    for the served model, then for the asked name too."""
    model = world.model
    for asked in (model.upper(), f" {model}", f"{model} ", f"{model}:latest", f"library/{model}", model[:-1]):
        if asked not in world.material.models:
            cases = [
                (world.material.badge([model]), f"the model {asked!r} with a badge for {model!r}"),
                (world.material.badge([model, asked]), f"the model {asked!r} with a badge for {model!r} and itself"),
            ]
            await _refused(world, cases, model=asked)


@check(
    id="node.badges.several-models",
    requirements=["NODE-024", "NODE-022", "AUTH-032"],
    title="A badge for several models opens each that the node serves",
)
async def several_models(world: NodeWorld) -> None:
    """Names of other nodes' models sort before and behind, one with blanks; every model of the node is asked for."""
    badge = world.material.badge([*world.material.models, "0-first", " a b ", "~last", NOT_SERVED])
    for model in world.material.models[:2]:
        body = world.body(model=model)
        request = world.request(body=body, fields=world.fields(body, badge=badge))
        received = await world.accepted(request, f"{model} with a badge for several models")
        asked = json.loads(received.body).get("model") if received is not None else model
        expect(asked == model, expected=f"the engine to be asked for {model}", observed=f"it was asked for {asked!r}")


@check(
    id="node.badges.list-encoding",
    requirements=["NODE-022", "AUTH-033", "AUTH-032"],
    title="A list of models that is not encoded as it must be is refused",
)
async def list_encoding(world: NodeWorld) -> None:
    """Well signed throughout: lengths in the other byte order, an empty name, names out of order, bytes outside the
    printable ones, a name that is cut, and a text. The asked model is named wherever that can be."""
    model = world.model.encode()
    lists = (
        (_encoded(model, order="big"), "big-endian lengths"),
        (_encoded(b"", model), "an empty name"),
        (_encoded(b"~last", model), "names out of order"),
        (_encoded(model, b"\x7f"), "a control character"),
        (_encoded(model, "ä".encode()), "a name beyond ASCII"),
        (_encoded(model, b"\nnew"), "a line break"),
        (_encoded(model) + b"\5\0\0\0last", "a name that is cut"),
        (_encoded(model) + b"\1\0\0", "a length that is cut"),
        (model, "a name without a length"),
    )
    await _refused(world, [(_signed(world, models), f"a badge with {what}") for models, what in lists if models])


@check(
    id="node.badges.huge-length",
    requirements=["NODE-023", "AUTH-033", "NODE-022"],
    title="A claimed length of gigabytes is refused",
)
async def huge_length(world: NodeWorld) -> None:
    """A well-signed list in which a name claims 2, 3 and 4 GiB, alone and behind the asked model."""
    known = _encoded(world.model.encode())
    cases = []
    for length in (2**31, 3 * 2**30, 2**32 - 1):
        for before, where in ((b"", "alone"), (known, "behind a model")):
            models = before + length.to_bytes(4, "little") + b"name"
            cases.append((_signed(world, models), f"a name of {length} bytes {where}"))
    await _refused(world, cases)


@check(
    id="node.badges.longest",
    requirements=["NODE-035", "NODE-024"],
    title="A badge of 1024 characters is accepted and a longer one refused",
)
async def longest(world: NodeWorld) -> None:
    """As many models as fit, and one character of a name more than fits."""
    fitting = _filled(world, 0)
    expect(len(fitting) == _LARGEST, expected="a badge of 1024 characters", observed=str(len(fitting)))
    body = world.body()
    await world.accepted(
        world.request(body=body, fields=world.fields(body, badge=fitting)), "a badge of 1024 characters"
    )
    world.engine.reset()
    await _refused(world, [(_filled(world, 1), "a badge of more than 1024 characters")])


def _filled(world: NodeWorld, beyond: int) -> bytes:
    """Return a badge for the model and a long name, ``beyond`` bytes longer than the longest that fits."""
    length = badges.MAX_BADGE - len(badges.encode_badge(badges.sign_badge([world.model], world.material.badge_seed)))
    while len(text := world.material.badge([world.model, "~" * length])) > _LARGEST:
        length -= 1
    return text if not beyond else world.material.badge([world.model, "~" * (length + beyond)])


@check(
    id="node.badges.every-path",
    requirements=["NODE-020", "NODE-021"],
    title="Badges are checked on every path",
)
async def every_path(world: NodeWorld) -> None:
    """On each of the four paths an honest badge is accepted and a forged one refused."""
    forged_badge = _signed(world, badges.encode_models([world.model]), seed=world.random(32))
    for path in PATHS:
        await world.accepted(world.request(path=path), f"an honest request to {path}")
        world.engine.reset()
        body = world.body(path)
        fields = world.fields(body, badge=forged_badge)
        await world.refused(world.request(path=path, body=body, fields=fields), f"a forged badge on {path}")
