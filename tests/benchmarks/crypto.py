"""How fast the reference seals, opens and encapsulates. Run by hand: ``python tests/benchmarks/crypto.py``."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from openpcc_ref.chunked_stream import ChunkOpener, ChunkSealer
from openpcc_ref.hpke import AeadId, KemId, kem
from openpcc_ref.sources import system_random

CHUNK_SIZES = (512, 16384)
SECONDS = 2.0


def main() -> None:
    """Print one line per measurement."""
    for aead_id in AeadId:
        for size in CHUNK_SIZES:
            count = 16 * 2**20 // size
            sealed = seal(aead_id, size, count)
            report(f"seal {aead_id.name} in chunks of {size}", partial(seal, aead_id, size, count), size * count)
            report(f"open {aead_id.name} in chunks of {size}", partial(unseal, aead_id, sealed), size * count)
    for kem_id in KemId:
        mechanism = kem(kem_id)
        pair = mechanism.generate(system_random)
        _, enc = mechanism.encapsulate(pair.public_key, system_random)
        report(f"encapsulate {kem_id.name}", partial(mechanism.encapsulate, pair.public_key, system_random))
        report(f"decapsulate {kem_id.name}", partial(mechanism.decapsulate, enc, pair.secret_key))


def seal(aead_id: AeadId, size: int, count: int) -> list[bytes]:
    """Seal a stream of ``count`` chunks of ``size`` plaintext bytes."""
    sealer = ChunkSealer(aead_id, bytes(aead_id.nk), bytes(12))
    data = bytes(size)
    return [*(sealer.seal(data) for _ in range(count)), sealer.seal_final()]


def unseal(aead_id: AeadId, pieces: list[bytes]) -> None:
    """Open a stream that arrives chunk by chunk."""
    opener = ChunkOpener(aead_id, bytes(aead_id.nk), bytes(12))
    for piece in pieces:
        opener.feed(piece)
    opener.finish()


def report(what: str, act: Callable[[], object], size: int | None = None) -> None:
    """Repeat ``act`` for some time and print MB/s (10^6 bytes), or calls per second without a size."""
    rounds, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < SECONDS:
        act()
        rounds += 1
    rate = f"{size * rounds / elapsed / 1e6:9.1f} MB/s" if size else f"{rounds / elapsed:9.0f} per second"
    print(f"{what:<48}{rate}")


if __name__ == "__main__":
    main()
