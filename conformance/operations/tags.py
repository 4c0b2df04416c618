"""Tags as operations. Chapter: ``spec/routing.md``."""

from __future__ import annotations

from conformance.operations import operation
from conformance.vectors.case import Json
from openpcc_ref.routing import tags


@operation("tags.match")
def match(value: Json) -> Json:
    """Say whether a node with the offered tags answers a request for others."""
    requested = tags.decode_tags(value["requested"], "requested")
    return {"matches": tags.matches(requested, tags.decode_tags(value["offered"], "offered"))}


@operation("tags.parse-field")
def parse_field(value: Json) -> Json:
    """Parse a value of ``X-Confsec-Node-Tags``."""
    return {"tags": sorted(tags.parse_field(value["text"]))}


@operation("tags.values")
def values(value: Json) -> Json:
    """Return what some tags give for a key."""
    return {"values": sorted(tags.values(value["tags"], value["key"]))}
