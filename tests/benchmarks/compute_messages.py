"""Speed of sealed compute messages, beside another implementation; run by hand.

``python tests/benchmarks/compute_messages.py [SECONDS [PROGRAM]]`` measures each step for that long (1 unless told) and
prints how many messages are sealed and opened in a second of processor time. Each is sealed for one node: a request
with its encapsulated key, a response with the keys that it needs.

``PROGRAM STEP FORM SIZE SECONDS`` does the same step with another implementation on one core and prints its messages a
second of processor time, nothing else; STEP is one of those below, FORM ``unchunked`` or ``chunked``, and SIZE the
plaintext's length in bytes. With it each line ends in the ratio of the reference's rate to the program's.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from time import process_time

from openpcc_ref.compute_messages import (
    COMPUTE_SUITE,
    Form,
    ReceiverContext,
    RequestOpener,
    RequestSealer,
    ResponseOpener,
    ResponseSealer,
)
from openpcc_ref.hpke import kem
from openpcc_ref.sources import system_random

SIZES = (1 << 10, 64 << 10, 1 << 20)
PAIR = kem(COMPUTE_SUITE.kem_id).generate(system_random)
"""The key of the node."""


def seal_request(form: Form, plaintext: bytes) -> tuple[bytes, ReceiverContext, bytes]:
    """Return encapsulated key, context and message."""
    sealer = RequestSealer(form, random=system_random)
    encapsulated_key, context = sealer.encapsulate_key(PAIR.public_key)
    return encapsulated_key, context, sealer.header() + sealer.seal(plaintext) + sealer.finish()


def open_request(form: Form, encapsulated_key: bytes, message: bytes) -> bytes:
    """Return the plaintext."""
    opener = RequestOpener(encapsulated_key, PAIR.secret_key, form)
    return b"".join([*opener.feed(message), *opener.finish()])


def seal_response(form: Form, context: ReceiverContext, plaintext: bytes) -> bytes:
    """Return the message."""
    sealer = ResponseSealer(context, form, random=system_random)
    return sealer.header() + sealer.seal(plaintext) + sealer.finish()


def open_response(form: Form, context: ReceiverContext, message: bytes) -> bytes:
    """Return the plaintext."""
    opener = ResponseOpener(context, form)
    return b"".join([*opener.feed(message), *opener.finish()])


def steps(form: Form, size: int) -> dict[str, Callable[[], object]]:
    """Return the steps by name, after a round trip has shown that they work."""
    plaintext = bytes(size)
    encapsulated_key, context, request = seal_request(form, plaintext)
    response = seal_response(form, context, plaintext)
    assert open_request(form, encapsulated_key, request) == open_response(form, context, response) == plaintext
    return {
        "seal-request": partial(seal_request, form, plaintext),
        "open-request": partial(open_request, form, encapsulated_key, request),
        "seal-response": partial(seal_response, form, context, plaintext),
        "open-response": partial(open_response, form, context, response),
    }


def rate(step: Callable[[], object], seconds: float) -> float:
    """Return how often ``step`` runs in a second of processor time."""
    begin, runs = process_time(), 0
    while (elapsed := process_time() - begin) < seconds:
        step()
        runs += 1
    return runs / elapsed


def peer_rate(program: str, name: str, form: Form, size: int, seconds: float) -> float:
    """Return what the other implementation says of a step. Raises OSError or CalledProcessError when it cannot."""
    command = [program, name, form.value, str(size), str(seconds)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main(seconds: float, program: str | None) -> None:
    """Print one line a form, size and step."""
    print(
        f"{'form':<11}{'bytes':>8}  {'step':<15}{'messages/s':>12}{'MB/s':>9}"
        + (f"{'peer/s':>12}{'ratio':>8}" * bool(program))
    )
    for form in Form:
        for size in SIZES:
            for name, step in steps(form, size).items():
                own = rate(step, seconds)
                line = f"{form.value:<11}{size:>8}  {name:<15}{own:>12.1f}{own * size / 1e6:>9.1f}"
                if program is not None:
                    peer = peer_rate(program, name, form, size, seconds)
                    line += f"{peer:>12.1f}{own / peer:>8.3f}"
                print(line, flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1, sys.argv[2] if len(sys.argv) > 2 else None)
