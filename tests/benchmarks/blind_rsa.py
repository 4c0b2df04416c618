"""Speed of blind signatures; run by hand.

``python tests/benchmarks/blind_rsa.py [SECONDS]`` measures each step for that long (2 unless told) and prints how many
of them one core does in a second, at the length of the development key and at those of currency keys.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter

from conformance.vectors.currency_keys import DEPLOYED_1024, DRAFT_2048, KEY_4096
from openpcc_ref.credits import PrivateKey, blind_rsa, currency
from openpcc_ref.sources import system_random

STEPS = ("blind", "sign", "finalize", "verify")


def rate(step: Callable[[], object], seconds: float) -> float:
    """Return how often ``step`` runs in a second."""
    begin, runs = perf_counter(), 0
    while perf_counter() - begin < seconds:
        step()
        runs += 1
    return runs / (perf_counter() - begin)


def rates(key: PrivateKey, seconds: float) -> list[float]:
    """Return the rates of the four steps, in their order, each with the inputs of one credit."""
    message, metadata = bytes(24), currency.exact(17).blind_bytes
    state = blinded(key, message, metadata)
    blind_signature = blind_rsa.blind_sign(key, state.blinded_message, metadata)
    signature = blind_rsa.finalize(state, blind_signature)
    return [
        rate(lambda: blinded(key, message, metadata), seconds),
        rate(lambda: blind_rsa.blind_sign(key, state.blinded_message, metadata), seconds),
        rate(lambda: blind_rsa.finalize(state, blind_signature), seconds),
        rate(lambda: blind_rsa.verify(key.public_key, message, metadata, signature), seconds),
    ]


def blinded(key: PrivateKey, message: bytes, metadata: bytes) -> blind_rsa.BlindingState:
    """Blind with a fresh factor, as for every credit."""
    factor = blind_rsa.draw_blinding_factor(key.public_key, system_random)
    return blind_rsa.blind(key.public_key, message, metadata, blinding_factor=factor)


def main(seconds: float) -> None:
    """Print one line a key."""
    print("bits  " + "".join(f"{step + '/s':>12}" for step in STEPS))
    for key in (DEPLOYED_1024, DRAFT_2048, KEY_4096):
        print(f"{key.public_key.bits:<6}" + "".join(f"{value:>12.1f}" for value in rates(key, seconds)))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 2)
