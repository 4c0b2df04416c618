"""Chunked requests: every division is accepted, and nothing but the whole in its order."""

from __future__ import annotations

from conformance.peers.node import NodeWorld
from conformance.peers.node_engine import PATHS
from conformance.peers.node_message import SealedRequest, open_answer, without
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.compute_messages import ENCODED_CHUNK, Form


def _parts(world: NodeWorld) -> tuple[SealedRequest, list[bytes]]:
    """Return a sealing and the plaintext of an honest request that takes several chunks."""
    plaintext = world.request(Form.CHUNKED, path=PATHS[0], body=world.body(prompt="a" * 1500))
    sealed = world.sealed(Form.CHUNKED)
    return sealed, [plaintext[start : start + ENCODED_CHUNK] for start in range(0, len(plaintext), ENCODED_CHUNK)]


def _sealed(world: NodeWorld) -> tuple[SealedRequest, list[bytes]]:
    """Return an honest request: nonce, several data chunks, final chunk."""
    sealed, parts = _parts(world)
    return sealed, [sealed.nonce, *map(sealed.chunk, parts), sealed.final()]


@check(
    id="node.chunks.sizes",
    requirements=["MSG-077", "MSG-074"],
    title="Every division into chunks of 1 to 514 bytes is accepted",
)
async def sizes(world: NodeWorld) -> None:
    """Chunks of 1, 7, 100, 513 and 514 bytes; HTTP chunks that do not follow them."""
    plaintext = world.request(Form.CHUNKED)
    for size in (1, 7, 100, 513, 514):
        sealed = world.sealed(Form.CHUNKED)
        content = b"".join(sealed.chunked(plaintext, size))
        pieces = [content[start : start + 333] for start in range(0, len(content), 333)]
        await world.answered(pieces, sealed, f"chunks of {size} bytes")


@check(
    id="node.chunks.final-with-data",
    requirements=["MSG-048"],
    title="A final chunk with data is accepted",
)
async def final_with_data(world: NodeWorld) -> None:
    """The last part of the request is in the final chunk."""
    sealed, parts = _parts(world)
    content = [sealed.nonce, *map(sealed.chunk, parts[:-1]), sealed.final(parts[-1])]
    await world.answered(content, sealed, "data in the final chunk")


@check(
    id="node.chunks.final-missing",
    requirements=["MSG-047", "MSG-045"],
    title="A request without its final chunk is not taken",
)
async def final_missing(world: NodeWorld) -> None:
    """The final chunk is left out, cut, and sealed as a data chunk; all that the request says has arrived."""
    await world.control(Form.CHUNKED)
    sealed, pieces = _sealed(world)
    await world.not_taken(pieces[:-1], sealed, "no final chunk")
    sealed, pieces = _sealed(world)
    await world.not_taken([*pieces[:-1], pieces[-1][:-1]], sealed, "a cut final chunk")
    sealed, parts = _parts(world)
    content = [sealed.nonce, *map(sealed.chunk, parts), sealed.final(aad=b"")]
    await world.not_taken(content, sealed, "a final chunk without its AAD")


@check(
    id="node.chunks.order",
    requirements=["MSG-046"],
    title="Chunks that are swapped, left out or repeated are not taken",
)
async def order(world: NodeWorld) -> None:
    """Of the data chunks two change places, one is missing, and one comes twice."""
    await world.control(Form.CHUNKED)
    sealed, pieces = _sealed(world)
    await world.not_taken([*pieces[:2], pieces[3], pieces[2], *pieces[4:]], sealed, "swapped chunks")
    sealed, pieces = _sealed(world)
    await world.not_taken(without(pieces, 2), sealed, "a missing chunk")
    sealed, pieces = _sealed(world)
    await world.not_taken([*pieces[:3], *pieces[2:]], sealed, "a repeated chunk")


@check(
    id="node.chunks.after-final",
    requirements=["MSG-045"],
    title="Bytes behind the final chunk are not taken",
)
async def after_final(world: NodeWorld) -> None:
    """Zeros, and a further chunk; the final chunk extends to the end."""
    await world.control(Form.CHUNKED)
    sealed, pieces = _sealed(world)
    await world.not_taken([*pieces, bytes(8)], sealed, "zeros behind the final chunk")
    sealed, pieces = _sealed(world)
    await world.not_taken([*pieces, sealed.chunk(bytes(8))], sealed, "a chunk behind the final one")


@check(
    id="node.chunks.long",
    requirements=["MSG-050"],
    title="A chunk of more than the bound is refused",
)
async def long(world: NodeWorld) -> None:
    """The first chunk has 65536 plaintext bytes; another one claims 4 GiB, and 4 MiB of data follow: the refusal must
    have come by then. Some HTTP servers read a little on before they answer early, so that a few bytes would not do."""
    await world.control(Form.CHUNKED)
    plaintext = world.request(Form.CHUNKED, body=world.body(prompt="a" * 70000))
    sealed = world.sealed(Form.CHUNKED)
    content = [sealed.nonce, sealed.chunk(plaintext[:65536]), sealed.chunk(plaintext[65536:]), sealed.final()]
    await world.unopened(content, sealed, "a chunk of 65536 bytes")
    sealed = world.sealed(Form.CHUNKED)
    async with world.open_exchange(sealed) as exchange:  # the request stays open: the length alone must do
        await exchange.send(sealed.nonce, b"\xc0\0\0\1\0\0\0\0")
        answer = await exchange.answer_while_sending(bytes(2**16), times=64)
    if answer is not None:
        expect(answer.status == 400, expected="status 400 for a chunk of 4 GiB", observed=str(answer))
    await world.not_asked("a chunk of 4 GiB")


@check(
    id="node.chunks.empty",
    requirements=["MSG-049"],
    title="A data chunk without plaintext is refused",
)
async def empty(world: NodeWorld) -> None:
    """It stands before the others and between them."""
    await world.control(Form.CHUNKED)
    for place in (0, 2):
        sealed, parts = _parts(world)
        content = [sealed.nonce, *map(sealed.chunk, [*parts[:place], b"", *parts[place:]]), sealed.final()]
        answer = await world.post(content, sealed)
        status = answer.status if answer.form is None else open_answer(answer, sealed.context).status
        expect(
            status == 400,
            expected="status 400 for a chunk without plaintext",
            observed=str(answer),
            deployed="MSG-D04" if status == 200 else None,
        )
