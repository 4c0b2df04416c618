"""Mutants: the reference with exactly one check switched off.

Where the code behind a check has nothing to go on with (bytes that are missing read as nothing, a tag that is not there
does not verify), the mutant also lacks the checks that then cannot hold. They are named here, each with its reason.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from openpcc_ref.errors import without_check

_CONTROL_DATA = "binary-http.control-data.truncated"
_NO_PATH = "binary-http.path.empty"
_CHUNK_OPEN = "chunked-stream.chunk.open"
_REQUEST_OPEN = "oblivious-http.request.open"

_consequences: dict[str, tuple[str, ...]] = {
    # Where no byte is, none of the control data is either.
    "binary-http.framing.truncated": (_CONTROL_DATA, "binary-http.method.token", _NO_PATH),
    # What is missing of the control data reads as nothing, and nothing is no path.
    _CONTROL_DATA: (_NO_PATH,),
    # A section that stops inside a line leaves a line that stops.
    "binary-http.section.truncated": ("binary-http.field-line.truncated",),
    # A missing status reads as zero.
    "binary-http.status.truncated": ("binary-http.status.range",),
    # What is left of a cut P-256 key is no point.
    "hpke.enc.length": ("hpke.enc.value",),
    "hpke.public-key.length": ("hpke.public-key.value",),
    # Without a length there is no final chunk.
    "chunked-stream.length.truncated": ("chunked-stream.final.missing",),
    # Fewer bytes than a tag hold no tag.
    "chunked-stream.chunk.short": (_CHUNK_OPEN,),
    # The content ends long before a length that no content has.
    "chunked-stream.chunk.long": ("chunked-stream.chunk.truncated",),
    # A missing byte reads as zero, and zero is no code point.
    "oblivious-http.header.truncated": ("oblivious-http.header.algorithm",),
    # Half an encapsulated key gives a secret that opens nothing.
    "oblivious-http.request.truncated": (_REQUEST_OPEN, "hpke.enc.value"),
    "oblivious-http.request.decapsulation": (_REQUEST_OPEN, "hpke.enc.value"),
    # Half a response nonce gives keys that open nothing.
    "oblivious-http.response.truncated": ("oblivious-http.response.open",),
    # What is missing of a configuration reads as nothing, so that neither key nor algorithms are there.
    "oblivious-http.key-config.truncated": tuple(
        f"oblivious-http.key-config.{fault}" for fault in ("kem", "public-key", "algorithms-length")
    ),
    # Where a key of unknown length ends is not known, and what follows is read at the wrong place.
    "oblivious-http.key-config.kem": tuple(
        f"oblivious-http.key-config.{fault}" for fault in ("algorithms-length", "algorithm", "trailing")
    ),
    # The last two bytes of a pair that is cut in half read as zero.
    "oblivious-http.key-config.algorithms-length": ("oblivious-http.key-config.algorithm",),
    # A list entry that ends too early is a truncated configuration.
    "oblivious-http.key-configs.truncated": tuple(
        f"oblivious-http.key-config.{fault}"
        for fault in ("truncated", "kem", "public-key", "algorithms-length", "algorithm")
    ),
    # Where no period is, none names a key.
    "oblivious-http.key-selection.none-active": ("oblivious-http.key-selection.no-configuration",),
    # What is no object has no members.
    "oblivious-http.rotation.shape": ("oblivious-http.rotation.key-id", "oblivious-http.rotation.timestamp"),
}
"""Error code to the codes of the checks that fall with it."""


def mutant(code: str) -> AbstractContextManager[None]:
    """Return a context in which the reference lacks the check that refuses with ``code``."""
    return without_check(code, *_consequences.get(code, ()))
