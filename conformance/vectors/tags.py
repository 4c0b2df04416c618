"""The cases of ``vectors/tags.json``. Chapter: ``spec/routing.md``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from conformance.operations import tags as operations
from conformance.vectors.case import Case, Json
from openpcc_ref.routing.tags import MAX_TAG


def cases() -> Iterator[Case]:
    """Return the cases, every negative after its control."""
    node = ["llm", "engine=ollama", "model=llama3.2:1b", "model=gemma3:1b"]
    for name, comment, requested, offered in (
        ("all", "a request for two of the node's tags", ["llm", "model=gemma3:1b"], node),
        ("none", "no requested tag matches any node", [], node),
        ("one-missing", "one of two tags is missing", ["llm", "model=qwen2:72b"], node),
        ("case", "a tag in another case is another tag", ["LLM"], node),
        ("prefix", "the beginning of a tag is another tag", ["model=gemma3"], node),
        ("blank", "a blank makes another tag", ["llm "], node),
        ("repeated", "a repeated tag counts once", ["llm", "llm"], ["llm", "llm", "gpu"]),
        ("empty-tag", "the empty tag is a tag", [""], node),
        ("empty-tag-offered", "and matches where it is offered", [""], ["", "llm"]),
    ):
        yield _valid(f"tags.match.{name}", comment, "tags.match", requested=requested, offered=offered)
    yield from _lengths()
    for name, comment, text in (
        ("two", "two tags", "llm,model=gemma3:1b"),
        ("blanks", "blanks around tags are dropped", " llm ,\tgpu "),
        ("empty-parts", "empty parts are dropped", ",llm,,"),
        ("empty", "nothing asks for any node", ""),
        ("commas", "nothing but commas asks for any node", " , ,"),
        ("repeated", "a repeated tag counts once", "llm,llm"),
    ):
        yield _valid(f"tags.field.{name}", comment, "tags.parse-field", text=text)
    for name, comment, tags, key in (
        ("two", "two values for a key", node, "model"),
        ("none", "no value for a key", node, "cloud"),
        ("empty", "the empty value", ["model=", "model"], "model"),
        ("equals", "an equals sign in a value", ["model=a=b"], "model"),
        ("key-prefix", "a longer key with the same beginning", ["models=a"], "model"),
    ):
        yield _valid(f"tags.values.{name}", comment, "tags.values", tags=tags, key=key)


def _lengths() -> Iterator[Case]:
    longest, letters = "t" * MAX_TAG, "é" * (MAX_TAG // 2)
    control = _valid("tags.length.longest", "512 bytes", "tags.match", requested=[longest], offered=["llm"])
    yield control
    yield _valid("tags.length.letters", "512 bytes in 256 letters", "tags.match", requested=[letters], offered=["llm"])
    for fault, comment, tag in (
        ("long", "513 bytes", longest + "t"),
        ("long-letters", "513 bytes in 257 letters", letters + "t"),
        ("long-key", "a key of 600 bytes", "k" * 600 + "=v"),
    ):
        yield replace(
            control,
            id=f"tags.length.{fault}",
            comment=comment,
            input={**control.input, "requested": [tag]},
            expected=None,
            error="routing.tag.long",
            control=control.id,
        )


def _valid(case_id: str, comment: str, operation: str, **value: object) -> Case:
    by_operation = {
        "tags.match": (operations.match, ("RTR-017", "RTR-018", "RTR-095")),
        "tags.parse-field": (operations.parse_field, ("RTR-018",)),
        "tags.values": (operations.values, ("RTR-017",)),
    }
    function, requirements = by_operation[operation]
    arguments: Json = dict(value)
    return Case(
        id=case_id,
        comment=comment,
        operation=operation,
        requirements=requirements,
        input=arguments,
        expected=function(arguments),
    )
