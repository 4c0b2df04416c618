"""The cases of ``vectors/routing.json``. Chapter: ``spec/routing.md``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from conformance.operations import routing as operations
from conformance.vectors.case import Case, Json
from conformance.vectors.coins import coin_source, coins
from conformance.vectors.making import answered, beside
from openpcc_ref.base64_text import from_text, to_text
from openpcc_ref.protobuf import evidence_pb2, router_pb2
from openpcc_ref.routing import RoutingRejected, make_node_id

NOW = 1_708_257_600
"""2024-02-18T12:00:00Z, the moment of most cases."""

_V4 = "7d444840-9dc0-41d1-b245-5ffdce74fad2"


def cases() -> Iterator[Case]:
    """Return the cases, every negative after its control."""
    yield from _node_ids()
    yield from _request_infos()
    yield from _choices()
    yield from _manifest_requests()
    yield from _manifests()
    yield from _events()
    yield from _merges()
    yield from _grades()
    yield from _rings()


def node_id(name: str) -> str:
    """Return the identifier of a node of these vectors."""
    return make_node_id(NOW * 1000, random=coin_source("routing.node", name))


def evidence(name: str) -> str:
    """Return a list of two pieces, the second of a type that nobody knows, as hexadecimal."""
    pieces = [
        evidence_pb2.SignedEvidencePiece(type=number, data=coins(name, "data", 8), signature=coins(name, "sig", 8))
        for number in (11, 4000)
    ]
    return evidence_pb2.SignedEvidenceList(items=pieces).SerializeToString().hex()


def _valid(case_id: str, comment: str, operation: str, requirements: str, value: Json) -> Case:
    return answered(case_id, comment, f"routing.{operation}", value, tuple(requirements.split()))


def _refused(control: Case, fault: str, comment: str, code: str, requirement: str, **edit: object) -> Case:
    return beside(control, fault, comment, f"routing.{code}", (requirement,), **edit)


def _node_ids() -> Iterator[Case]:
    text = node_id("A")
    requirements = "RTR-021 RTR-031 RTR-080 RTR-081"

    def valid(name: str, comment: str, form: str) -> Case:
        return _valid(f"routing.node-id.{name}", comment, "decode-node-id", requirements, {"text": form})

    control = valid("valid", "a UUID of version 7", text)
    yield control
    yield valid("upper-case", "the same in capitals", text.upper())
    digits = text.replace("-", "")
    yield valid("variant", "the variant is not looked at", "01954bd0-da22-7aed-0000-000000000001")
    for fault, comment, code, other in (
        ("version-4", "a UUID of version 4", "version", _V4),
        ("nil", "the nil UUID", "version", "00000000-0000-0000-0000-000000000000"),
        ("short", "one digit short", "form", text[:-1]),
        ("long", "one digit more", "form", text + "0"),
        ("no-hyphens", "32 digits without hyphens", "form", f"{digits[:14]}7{digits[15:]}"),
        ("letter", "a letter that is no digit", "form", text[:-1] + "g"),
        ("line-break", "a line break at the end", "form", text + "\n"),
    ):
        yield _refused(control, fault, comment, f"node-id.{code}", "RTR-031", text=other)


def _candidates(names: str) -> list[Json]:
    return [{"id": node_id(name), "encapsulated_key": coins("routing.key", name, 120).hex()} for name in names]


def _info(*rows: router_pb2.ComputeCandidate) -> str:
    return to_text(router_pb2.ComputeRequestInfo(candidates=rows).SerializeToString())


def _request_infos() -> Iterator[Case]:
    for name, names, comment in (("one", "A", "one candidate"), ("three", "ABC", "three candidates")):
        yield _valid(
            f"routing.encode-request-info.{name}",
            comment,
            "encode-request-info",
            "RTR-030 RTR-032",
            {"candidates": _candidates(names)},
        )
    text = operations.encode_info({"candidates": _candidates("AB")})["text"]
    requirements = "RTR-030 RTR-031 RTR-032"

    def valid(name: str, comment: str, info: str) -> Case:
        case_id = f"routing.request-info.{name}"
        return _valid(case_id, comment, "decode-request-info", requirements, {"text": info})

    control = valid("valid", "two candidates", text)
    yield control
    good = router_pb2.ComputeCandidate(id=node_id("A"), encapsulated_key=coins("routing.key", "A", 120))
    deprecated = good.SerializeToString() + b"\x12\x01x\x1a\x01y"
    wrapped = bytes((0x0A, len(deprecated) & 0x7F | 0x80, len(deprecated) >> 7)) + deprecated
    yield valid("fields-out-of-use", "fields 2 and 3 are ignored", to_text(wrapped))
    yield valid(
        "ten",
        "ten candidates with keys of 120 bytes",
        operations.encode_info({"candidates": _candidates("ABCDEFGHIJ")})["text"],
    )
    url_safe = text.replace("+", "-").replace("/", "_")
    for fault, comment, code, info in (
        ("empty", "no candidate", "request-info.empty", ""),
        ("url-safe", "the URL-safe alphabet", "request-info.base64", url_safe),
        ("unpadded", "no padding", "request-info.base64", text.rstrip("=")),
        ("not-base64", "no base64", "request-info.base64", f"{text[:4]}*{text[4:]}"),
        ("version-4", "a UUID of version 4", "node-id.version", _info(good, _changed(good, id=_V4))),
        ("id-long", "an identifier with a digit more", "node-id.form", _info(_changed(good, id=f"{good.id}0"))),
        ("key-empty", "an empty key", "request-info.encapsulated-key",
         _info(good, _changed(good, encapsulated_key=b""))),
        ("key-missing", "no key", "request-info.encapsulated-key", _info(_changed(good, encapsulated_key=None))),
        ("key-out-of-use", "a key in a field out of use", "request-info.encapsulated-key",
         to_text(b"\x0a\x29\x0a\x24" + node_id("A").encode() + b"\x12\x01x")),
        ("wire-type", "a field of no known wire type behind", "request-info.malformed",
         to_text(from_text(text, RoutingRejected, "") + b"\x0f")),
    ):  # fmt: skip
        if info != text:
            yield _refused(control, fault, comment, code, "RTR-031", text=info)


def _changed(candidate: router_pb2.ComputeCandidate, **edit: object) -> router_pb2.ComputeCandidate:
    changed = router_pb2.ComputeCandidate()
    changed.CopyFrom(candidate)
    for name, value in edit.items():
        if value is None:
            changed.ClearField(name)
        else:
            setattr(changed, name, value)
    return changed


def _choices() -> Iterator[Case]:
    ids = [row["id"] for row in _candidates("ABC")]
    twice = [*_candidates("AB"), {**_candidates("A")[0], "encapsulated_key": "00"}]
    for name, comment, candidates, routable, draws in (
        ("first", "draw 0 of three", _candidates("ABC"), ids, ["0000000000000000"]),
        ("last", "draw 5 of three", _candidates("ABC"), ids, ["0000000000000005"]),
        ("redrawn", "a draw that would favour some is drawn again", _candidates("ABC"), ids,
         ["ffffffffffffffff", "0000000000000001"]),
        ("eligible-only", "only routable candidates count", _candidates("ABC"), ids[1:], ["0000000000000000"]),
        ("twice", "a node named twice counts once, with its first key", twice, ids, ["0000000000000002"]),
        ("none", "no candidate is routable", _candidates("ABC"), [node_id("D")], []),
    ):  # fmt: skip
        value: Json = {"candidates": candidates, "routable": routable, "draws": draws}
        case_id = f"routing.pick.{name}"
        yield _valid(case_id, comment, "pick-candidate", "RTR-036 RTR-037", value)


def _manifest_requests() -> Iterator[Case]:
    def valid(name: str, comment: str, message: bytes) -> Case:
        value = {"message": message.hex()}
        case_id = f"routing.manifest-request.{name}"
        requirements = "RTR-007 RTR-008 RTR-014 RTR-015 RTR-095"
        return _valid(case_id, comment, "decode-manifest-request", requirements, value)

    message = router_pb2.ComputeManifestRequest
    control = valid("valid", "two tags and a limit", message(tags=["llm", "gpu"], limit=3).SerializeToString())
    yield control
    yield valid("empty", "an absent limit is 0", b"")
    yield valid("zero", "a limit of 0 that is written", message(limit=0).SerializeToString())
    yield valid("most", "the highest limit", message(limit=500).SerializeToString())
    yield valid("reordered", "the limit before the tags", bytes.fromhex("1003") + bytes.fromhex("0a036c6c6d"))
    yield valid("unknown-field", "a field with an unknown number", bytes.fromhex("10037a0178"))
    for fault, comment, code, data in (
        ("above", "a limit of 501", "manifest-request.limit", message(limit=501).SerializeToString()),
        ("negative", "a limit of -1", "manifest-request.limit", message(limit=-1).SerializeToString()),
        ("tag-long", "a tag of 513 bytes", "tag.long", message(tags=["t" * 513], limit=1).SerializeToString()),
        ("wire-type", "a field of no known wire type", "manifest-request.malformed", bytes.fromhex("0a036c6c6d0f")),
        ("not-protobuf", "JSON", "manifest-request.malformed", b'{"limit":3}'),
    ):
        yield _refused(control, fault, comment, code, "RTR-014" if "limit" in code else "RTR-095", message=data.hex())


def _manifests() -> Iterator[Case]:
    rows = [
        {"id": node_id(name), "tags": ["llm", f"model={name}"], "evidence": evidence(f"routing.manifest {name}")}
        for name in "AB"
    ]
    for name, comment, some in (("two", "two nodes", rows), ("none", "no node: no bytes", [])):
        yield _valid(
            f"routing.encode-manifests.{name}",
            comment,
            "encode-manifests",
            "RTR-015 RTR-020",
            {"manifests": some},
        )
    good = bytes.fromhex(operations.encode_list({"manifests": rows})["message"])
    item = router_pb2.ComputeManifest
    bad = [
        item(id=_V4, tags=["llm"]),
        item(id=node_id("C")),
        item(id=node_id("D"), tags=["t" * 513]),
        item(tags=["llm"]),
    ]
    mixed = router_pb2.ComputeManifestList(items=bad).SerializeToString() + good
    control = _decoded_manifests("valid", "two nodes, an evidence type that nobody knows", good)
    yield control
    yield _decoded_manifests("none", "no bytes", b"")
    yield _decoded_manifests("some-bad", "unusable manifests do not spoil the others", mixed)
    code = "manifests.malformed"
    yield _refused(
        control, "wire-type", "a field of no known wire type behind", code, "RTR-021", message=good.hex() + "0f"
    )


def _decoded_manifests(name: str, comment: str, message: bytes) -> Case:
    value = {"message": message.hex()}
    case_id = f"routing.manifests.{name}"
    return _valid(case_id, comment, "decode-manifests", "RTR-020 RTR-021", value)


def _event(**edit: object) -> Json:
    event: Json = {
        "node_id": node_id("A"),
        "index": 0,
        "at": float(NOW),
        "shutdown": False,
        "routing_info": {
            "url": "http://localhost:3700/generate",
            "healthcheck_url": "http://localhost:3700/_health",
            "tags": ["llm"],
            "evidence": evidence("routing.event"),
        },
    }
    return {**event, **edit}


def _message(event: Json) -> bytes:
    return bytes.fromhex(operations.encode_node_event({"event": event})["message"])


def _shutdown(index: int) -> bytes:
    return _message(_event(index=index, shutdown=True, routing_info=None))


def _url_only(index: int) -> bytes:
    message = router_pb2.NodeEvent.FromString(_message(_event(index=index)))
    message.heartbeat.routing_info_url = "http://localhost/routing-info"
    return message.SerializeToString()


def _events() -> Iterator[Case]:
    for name, comment, event in (
        ("heartbeat", "a heartbeat; index 0 is written", _event()),
        ("shutdown", "a shutdown", _event(index=10, shutdown=True, routing_info=None)),
        ("fraction", "a time between two seconds", _event(index=3, at=NOW + 0.5)),
    ):
        case_id = f"routing.encode-event.{name}"
        requirements = "RTR-007 RTR-087 RTR-088"
        yield _valid(case_id, comment, "encode-event", requirements, {"event": event})

    def valid(name: str, comment: str, message: bytes) -> Case:
        value = {"message": message.hex()}
        return _valid(f"routing.event.{name}", comment, "decode-event", "RTR-081 RTR-082", value)

    good = router_pb2.NodeEvent.FromString(_message(_event()))

    def changed(edit: Callable[[router_pb2.NodeEvent], object]) -> bytes:
        message = router_pb2.NodeEvent()
        message.CopyFrom(good)
        edit(message)
        return message.SerializeToString()

    control = valid("valid", "a heartbeat with routing info", good.SerializeToString())
    yield control
    yield valid("shutdown", "a shutdown", _shutdown(10))
    yield valid("url-only", "a heartbeat that names a URL of routing info", _url_only(1))
    yield valid("index-missing", "an absent index is 0", changed(lambda event: event.ClearField("event_index")))
    info = "heartbeat.routing_info"
    for fault, comment, code, message in (
        ("version-4", "a UUID of version 4", "node-id.version", changed(lambda event: setattr(event, "node_id", _V4))),
        ("index-negative", "index -1", "event.index", changed(lambda event: setattr(event, "event_index", -1))),
        ("timestamp-missing", "no time stamp", "event.timestamp", changed(lambda event: event.ClearField("timestamp"))),
        ("payload-missing", "no payload", "event.payload", changed(lambda event: event.ClearField("heartbeat"))),
        ("heartbeat-empty", "an empty heartbeat", "event.payload", changed(lambda event: event.heartbeat.Clear())),
        ("url-relative", "a relative URL", "event.url", changed(lambda event: _set(event, info, "url", "/generate"))),
        ("url-broken", "a URL that does not parse", "event.url", changed(lambda event: _set(event, info, "url", "://://"))),
        ("health-url-missing", "no health check URL", "event.url",
         changed(lambda event: event.heartbeat.routing_info.ClearField("healthcheck_url"))),
        ("tags-missing", "no tags", "event.tags",
         changed(lambda event: event.heartbeat.routing_info.ClearField("tags"))),
        ("tag-long", "a tag of 513 bytes", "tag.long",
         changed(lambda event: event.heartbeat.routing_info.tags.append("t" * 513))),
        ("wire-type", "a field of no known wire type behind", "event.malformed", good.SerializeToString() + b"\x0f"),
    ):  # fmt: skip
        requirement = "RTR-095" if code == "tag.long" else "RTR-081"
        yield _refused(control, fault, comment, code, requirement, message=message.hex())


def _set(message: object, path: str, name: str, value: str) -> None:
    for part in path.split("."):
        message = getattr(message, part)
    setattr(message, name, value)


def _merges() -> Iterator[Case]:
    info = _event()["routing_info"]

    def heartbeat(index: int, port: int = 3700, at: float = NOW) -> bytes:
        return _message(_event(index=index, at=float(at), routing_info={**info, "url": f"http://localhost:{port}/"}))

    for name, comment, messages in (
        ("newer", "a newer event", [heartbeat(0), heartbeat(1, at=NOW + 60)]),
        ("older", "an older event changes nothing", [heartbeat(1), heartbeat(0, at=NOW + 60)]),
        ("equal", "the same index again changes nothing", [heartbeat(0), heartbeat(0, 9999, NOW + 60)]),
        ("write-once", "other routing info is ignored", [heartbeat(0), heartbeat(1, 9999)]),
        ("by-index", "the index decides, not the clock", [heartbeat(0), heartbeat(1, at=NOW - 60)]),
        ("late-info", "an older heartbeat fills in routing info", [_url_only(5), heartbeat(4)]),
        ("url-only", "a URL is no routing info", [_url_only(0)]),
        ("shutdown", "a shutdown", [heartbeat(0), _shutdown(1)]),
        ("late-heartbeat", "a late heartbeat does not revive", [_shutdown(5), heartbeat(4)]),
        ("after-shutdown", "nor does a newer one", [heartbeat(0), _shutdown(1), heartbeat(2)]),
        ("late-shutdown", "a shutdown that is older than the last heartbeat", [heartbeat(5), _shutdown(4)]),
    ):
        value: Json = {"messages": [message.hex() for message in messages]}
        requirements = "RTR-083 RTR-084 RTR-085 RTR-093"
        yield _valid(f"routing.merge.{name}", comment, "merge-events", requirements, value)


_GRADING = {"min_checks": 4, "min_success_rate": 0.5, "failure_streak": 3, "max_age_s": 600.0}
_DEFAULT = {"min_checks": 3, "min_success_rate": 0.9, "failure_streak": 3, "max_age_s": 900.0}


def _grades() -> Iterator[Case]:
    """Histories as words: ``s0`` is a success in minute 0, ``f-4`` a failure four minutes before."""
    for name, comment, words, grading in (
        ("few", "three checks where four are needed", "s0 s1 s2", _GRADING),
        ("too-old", "checks older than the age", "s-4 s-3 s-2 s-1", _GRADING),
        ("half", "a rate exactly on the bound", "s0 f1 f2 s3", _GRADING),
        ("below", "a rate below the bound", "f0 f1 f2 s3", _GRADING),
        ("streak-short", "two failures at the end", "s0 s1 s2 f3 f4", _GRADING),
        ("streak", "three failures at the end", "s0 s1 s2 s4 s5 f6 f7 f8", _GRADING),
        ("old-failures", "failures too old to count", "f-4 f-3 f-2 f-1 s0 s1 s2 s3", _GRADING),
        ("edge-of-age", "a check exactly as old as the age", "s0 s7 s8 s9", _GRADING),
        ("default-two", "two successes are not enough", "s8 s9", _DEFAULT),
        ("default-three", "three successes are", "s7 s8 s9", _DEFAULT),
        ("default-one-of-nine", "one failure among nine", "s0 s1 s2 s3 f4 s5 s6 s7 s8", _DEFAULT),
        ("default-one-of-ten", "one failure among ten", "s0 s1 s2 s3 f4 s5 s6 s7 s8 s9", _DEFAULT),
        ("none", "no check at all", "", _DEFAULT),
        ("rate-off", "a rate of 0 leaves it to the streak", "f1 f2 s3", {**_DEFAULT, "min_success_rate": 0}),
        ("streak-off", "a streak of 0 leaves it to the rate", "f7 f8 f9",
         {**_DEFAULT, "min_success_rate": 0.1, "failure_streak": 0}),
    ):  # fmt: skip
        checks = [{"at": NOW + 60.0 * int(word[1:]), "healthy": word[0] == "s"} for word in words.split()]
        value: Json = {"checks": checks, "grading": grading, "now": NOW + 600.0}
        yield _valid(f"routing.grade.{name}", comment, "grade", "RTR-090 RTR-092", value)


def _rings() -> Iterator[Case]:
    for routers, nodes in ((1, 3), (2, 10), (3, 10), (10, 10), (10, 1)):
        value: Json = {
            "routers": [f"00000000-0000-4000-8000-{number:012}" for number in range(routers)],
            "nodes": [f"10000000-0000-4000-8000-{number:012}" for number in range(nodes)],
        }
        case_id = f"routing.ring.{routers}-{nodes}"
        comment = f"routers: {routers}, nodes: {nodes}"
        yield _valid(case_id, comment, "assign-nodes", "RTR-094", value)
