"""Routing: messages, node state, health and choice."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref.base64_text import to_text
from openpcc_ref.routing import (
    Candidate,
    Check,
    Grade,
    Grading,
    Manifest,
    ManifestRequest,
    NodeEvent,
    NodeState,
    NodeTable,
    RoutingInfo,
    RoutingRejected,
    decode_event,
    decode_manifest_request,
    decode_manifests,
    decode_node_id,
    decode_request_info,
    encode_event,
    encode_manifest_request,
    encode_manifests,
    encode_request_info,
    is_healthy,
    make_node_id,
    merge_event,
    merge_states,
    pick_candidate,
    ring,
    select_manifests,
    tags,
    uniform_index,
)

NODE = "01954bd0-da22-7aed-858a-7da965fcee3f"
EVIDENCE = bytes.fromhex("0a0d080a1204746573741a03736967")
INFO = RoutingInfo("http://localhost:3700/generate", "http://localhost:3700/_health", frozenset({"llm"}), EVIDENCE)
NOW = 1708257600.0


def test_messages_have_the_published_bytes() -> None:
    key = b"key" + bytes.fromhex(NODE.replace("-", ""))
    assert encode_request_info([Candidate(NODE, key)]) == (
        "CjsKJDAxOTU0YmQwLWRhMjItN2FlZC04NThhLTdkYTk2NWZjZWUzZiITa2V5AZVL0Noieu2Fin2pZfzuPw=="
    )
    request = encode_manifest_request(ManifestRequest(frozenset({"llm", "model=llama3.2:1b"}), 3))
    assert request.hex() == "0a036c6c6d0a116d6f64656c3d6c6c616d61332e323a31621003"
    assert encode_manifest_request(ManifestRequest(frozenset(), 0)).hex() == "1000"
    text = NODE.encode().hex()
    assert encode_manifests([Manifest(NODE, frozenset({"llm"}), EVIDENCE)]).hex() == (
        f"0a3c0a24{text}12036c6c6d1a0f{EVIDENCE.hex()}"
    )
    assert encode_event(NodeEvent(NODE, 0, NOW, routing_info=INFO)).hex() == (
        f"0a24{text}10001a0608c0e2c7ae0622571255121e687474703a2f2f6c6f63616c686f73743a333730302f67656e6572617465"
        f"1a1d687474703a2f2f6c6f63616c686f73743a333730302f5f6865616c746822036c6c6d2a0f{EVIDENCE.hex()}"
    )
    assert encode_event(NodeEvent(NODE, 10, NOW, shutdown=True)).hex() == f"0a24{text}100a1a0608c0e2c7ae062a00"


node_ids = st.builds(
    lambda ms, draw: make_node_id(ms, random=lambda length: draw[:length]),
    st.integers(0, 2**48 - 1),
    st.binary(min_size=10, max_size=10),
)
texts = st.text(st.characters(codec="utf-8"), max_size=20)


@given(node_id=node_ids)
def test_made_identifiers_decode(node_id: str) -> None:
    assert decode_node_id(node_id) == node_id
    assert node_id[19] in "89ab"


@given(candidates=st.lists(st.builds(Candidate, node_ids, st.binary(min_size=1, max_size=130)), min_size=1, max_size=5))
def test_candidates_survive_their_text_form(candidates: list[Candidate]) -> None:
    assert decode_request_info(encode_request_info(candidates)) == tuple(candidates)


@given(rows=st.lists(st.builds(Manifest, node_ids, st.frozensets(texts, min_size=1), st.just(EVIDENCE)), max_size=4))
def test_manifests_survive_and_are_selected_by_their_tags(rows: list[Manifest]) -> None:
    usable, refused = decode_manifests(encode_manifests(rows))
    assert (usable, refused) == (tuple(rows), ())
    for row in rows:
        chosen = select_manifests(ManifestRequest(row.tags, 500), rows)
        assert row in chosen
        assert all(row.tags <= other.tags for other in chosen)
    for limit in range(len(rows) + 2):
        assert len(select_manifests(ManifestRequest(frozenset(), limit), rows)) == min(limit, len(rows))


@given(node_id=node_ids, index=st.integers(0, 2**63 - 1), at=st.integers(0, 2**33), shutdown=st.booleans())
def test_events_survive(node_id: str, index: int, at: int, shutdown: bool) -> None:
    event = NodeEvent(node_id, index, float(at), shutdown, None if shutdown else INFO)
    assert decode_event(encode_event(event)) == event


DECODERS: list[Callable[[bytes], object]] = [
    decode_event,
    decode_manifest_request,
    decode_manifests,
    lambda data: decode_request_info(to_text(data)),
]


@pytest.mark.parametrize("decode", DECODERS)
@given(data=st.binary(max_size=120))
def test_arbitrary_octets_are_refused_in_one_way(decode: Callable[[bytes], object], data: bytes) -> None:
    with contextlib.suppress(RoutingRejected):
        decode(data)


@given(text=st.text(max_size=60))
def test_arbitrary_text_is_refused_in_one_way(text: str) -> None:
    for decode in (decode_node_id, decode_request_info, tags.parse_field):
        with contextlib.suppress(RoutingRejected):
            decode(text)


def test_every_cut_of_an_event_is_refused_or_lacks_what_was_cut() -> None:
    data = encode_event(NodeEvent(NODE, 7, NOW, routing_info=INFO))
    for length in range(len(data)):
        with pytest.raises(RoutingRejected):
            decode_event(data[:length])


def test_misuse_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="at least one candidate"):
        encode_request_info([])
    with pytest.raises(ValueError, match="carries routing info"):
        encode_event(NodeEvent(NODE, 0, NOW))
    with pytest.raises(ValueError, match="equals sign"):
        tags.pair("model", "a=b")
    assert tags.pair("model", "a") == "model=a"
    with pytest.raises(ValueError, match="at least one router"):
        ring.owners([], [NODE])
    for wrong in ({"min_checks": 0}, {"min_success_rate": 1.1}, {"failure_streak": -1}, {"max_age_s": 0}):
        with pytest.raises(ValueError, match=r"at least 1 check|maximal age"):
            Grading(**wrong)
    with pytest.raises(ValueError, match="rate or a streak"):
        Grading(min_success_rate=0, failure_streak=0)


def events(*indices: int) -> list[NodeEvent]:
    return [NodeEvent(NODE, index, NOW + index, routing_info=INFO) for index in indices]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_order_in_which_events_arrive_does_not_matter(order: tuple[int, ...]) -> None:
    sent = [*events(0, 1, 2), NodeEvent(NODE, 3, NOW + 3, shutdown=True)]
    state: NodeState | None = None
    for number in order:
        state = merge_event(state, sent[number])
    assert state == NodeState(3, NOW + 3, INFO, NOW + 3)
    assert merge_event(state, sent[order[0]]) == state


def test_merging_with_a_peer_takes_what_is_newer_and_keeps_routing_info() -> None:
    mine = NodeState(5, NOW, INFO)
    other = RoutingInfo("http://other/", "http://other/_health", frozenset({"llm"}), b"")
    theirs = NodeState(7, NOW + 2, other, NOW + 2)
    assert merge_states(mine, theirs) == NodeState(7, NOW + 2, INFO, NOW + 2)
    assert merge_states(theirs, mine) == theirs
    assert merge_states(NodeState(5, NOW), NodeState(4, NOW, other, NOW)) == NodeState(5, NOW, other)
    assert merge_states(theirs, NodeState(8, NOW + 3)) == NodeState(8, NOW + 3, other, NOW + 2)
    for state in (mine, theirs):
        assert merge_states(state, state) == state


def healthy_table() -> NodeTable:
    table = NodeTable()
    table.add_event(NodeEvent(NODE, 0, NOW, routing_info=INFO))
    for second in range(3):
        assert NODE not in table.routable(NOW + second)
        table.add_check(NODE, Check(NOW + second, True))
    return table


def test_a_node_is_routable_while_healthy_and_alive() -> None:
    table = healthy_table()
    assert table.routable(NOW + 3) == {NODE: INFO}
    assert dict(table.to_check(NOW + 3)) == {NODE: INFO.healthcheck_url}
    assert table.routable(NOW + 900) == {NODE: INFO}
    assert table.routable(NOW + 901) == {}
    assert dict(table.to_check(NOW + 901)) == {}
    table.add_event(NodeEvent(NODE, 1, NOW + 880, routing_info=INFO))
    for second in (890, 891, 892):
        table.add_check(NODE, Check(NOW + second, True))
    assert table.routable(NOW + 901) == {NODE: INFO}
    for second in (902, 903, 904):
        table.add_check(NODE, Check(NOW + second, False))
    assert table.routable(NOW + 905) == {}


def test_a_node_that_shut_down_stays_out() -> None:
    table = healthy_table()
    table.add_event(NodeEvent(NODE, 4, NOW + 4, shutdown=True))
    for late in (3, 5):
        table.add_event(NodeEvent(NODE, late, NOW + late, routing_info=INFO))
        assert table.routable(NOW + 5) == {}


def test_checks_of_unknown_nodes_and_nodes_without_routing_info() -> None:
    table = NodeTable(Grading(min_checks=1))
    table.add_check(NODE, Check(NOW, True))
    table.add_event(NodeEvent(NODE, 0, NOW))
    table.add_check(NODE, Check(NOW, True))
    assert table.routable(NOW) == {}
    assert dict(table.to_check(NOW)) == {}
    table.add_event(NodeEvent(NODE, 0, NOW, routing_info=INFO))
    assert table.routable(NOW) == {NODE: INFO}


def test_health_is_a_status_of_two_hundred_and_something() -> None:
    assert [status for status in range(100, 600) if is_healthy(status)] == list(range(200, 300))


@given(history=st.lists(st.booleans(), min_size=3, max_size=30))
def test_grades_follow_rate_and_streak(history: list[bool]) -> None:
    checks = [Check(float(second), healthy) for second, healthy in enumerate(history)]
    failed = not any(history[-3:]) or sum(history) / len(history) < 0.9
    assert Grading().grade(checks, 30.0) is (Grade.UNAVAILABLE if failed else Grade.OK)


def test_choice_is_uniform_over_routable_nodes() -> None:
    """Chi-square with three degrees of freedom: 27.9 is exceeded once in 250,000 runs of a fair choice."""
    ids = [make_node_id(number, random=os.urandom) for number in range(5)]
    candidates = [Candidate(node_id, b"k") for node_id in (*ids, ids[0])]
    draws = 4000
    counts = Counter(pick_candidate(candidates, set(ids[:4]), random=os.urandom) for _ in range(draws))
    assert {picked.node_id for picked in counts if picked} == set(ids[:4])
    expected = draws / 4
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 27.9


def test_draws_that_would_favour_some_are_repeated() -> None:
    drawn = iter([b"\xff" * 8, bytes(7) + b"\x05"])
    assert uniform_index(3, lambda _: next(drawn)) == 2
    assert [uniform_index(1, bytes)] == [0]


@given(
    st.lists(node_ids, min_size=1, max_size=30, unique=True), st.lists(node_ids, min_size=1, max_size=5, unique=True)
)
def test_every_node_has_one_owner(nodes: list[str], routers: list[str]) -> None:
    owners = ring.owners(routers, nodes)
    assert set(owners) == set(nodes)
    assert set(owners.values()) <= set(routers)
