"""Transcripts hold what was seen, in order, and say what they left out."""

from __future__ import annotations

import random
from pathlib import Path

import cbor2
import pytest

from conformance.transcript import MAX_BYTES, Transcript, read


def test_a_transcript_is_a_sequence_of_its_events(tmp_path: Path) -> None:
    transcript = Transcript("relay.content.request", "7f3a")
    transcript.record("client", 3, "out", 100.5, b"POST")
    transcript.record("gateway", 1, "in", 100.75, b"\x00\xff")
    path = transcript.write(tmp_path / "new" / "folder")
    assert path.name == "relay.content.request.cborseq"
    assert list(read(path.read_bytes())) == [
        {"format": "openpcc-transcript", "version": 1, "case": "relay.content.request", "seed": "7f3a", "left_out": 0},
        {"t": 0, "party": "client", "connection": 3, "direction": "out", "data": b"POST"},
        {"t": 0.25, "party": "gateway", "connection": 1, "direction": "in", "data": b"\x00\xff"},
    ]


def test_what_is_too_much_is_left_out_and_counted() -> None:
    transcript = Transcript("relay.content.large", "1")
    transcript.record("client", 1, "out", 0, bytes(MAX_BYTES - 1))
    transcript.record("client", 1, "out", 0, bytes(2))
    transcript.record("client", 1, "out", 0, bytes(1))
    head, *events = read(transcript.encode())
    assert head["left_out"] == 1
    assert [len(event["data"]) for event in events] == [MAX_BYTES - 1, 1]


def test_a_cut_transcript_is_refused() -> None:
    transcript = Transcript("a", "1")
    transcript.record("client", 1, "out", 0, random.Random(1).randbytes(100))
    whole = transcript.encode()
    head, _ = read(whole)
    boundary = len(cbor2.dumps(head, canonical=True))
    for length in {*range(1, len(whole))} - {boundary}:
        with pytest.raises(cbor2.CBORDecodeError):
            list(read(whole[:length]))
