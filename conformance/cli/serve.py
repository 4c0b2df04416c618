"""``serve``: the reference stack, for people who build a client."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from typing import Any

import anyio
import click

from conformance.vectors.currency_keys import DEPLOYED_1024
from openpcc_ref.compute_node import MAX_BODY
from openpcc_ref.oblivious_http import encode_key_configs
from openpcc_ref.services.node import LARGEST_BODY
from openpcc_ref.services.stack import Stack, StackSettings, open_stack


@click.command()
@click.option("--model", "models", multiple=True, metavar="NAME", help="A model that all nodes offer; repeatable.")
@click.option("--nodes", default=2, show_default=True, type=click.IntRange(1, 16), help="Compute nodes.")
@click.option("--engine", "engine_url", metavar="URL", help="An OpenAI-compatible server; default: a built-in one.")
@click.option(
    "--max-body",
    default=LARGEST_BODY,
    show_default=True,
    type=click.IntRange(1, LARGEST_BODY),
    metavar="BYTES",
    help=f"Longest body that nodes take; deployed nodes: {MAX_BODY}.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def serve(models: tuple[str, ...], nodes: int, engine_url: str | None, max_body: int, as_json: bool) -> None:
    """Run the reference stack on loopback until interrupted.

    The currency key is the published development key of 1024 bits, and nodes carry no hardware evidence: nothing of it
    is fit for real prompts or real money.
    """
    settings = StackSettings(DEPLOYED_1024, nodes=nodes, engine_url=engine_url, max_body=max_body)
    anyio.run(_serve, replace(settings, models=models or settings.models), as_json)


async def _serve(settings: StackSettings, as_json: bool) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with open_stack(settings) as stack:
            described = describe(stack)
            click.echo(json.dumps(described) if as_json else "\n".join(lines(described)))
            async for _ in signals:
                break


def describe(stack: Stack) -> dict[str, Any]:
    """Return what a client has to know, as JSON values; keys in hexadecimal."""
    return {
        "urls": dict(stack.urls),
        "api_key": stack.api_key,
        "models": list(stack.models),
        "max_body": stack.max_body,
        "gateway_keys": encode_key_configs([stack.gateway_key]).hex(),
        "currency_modulus": f"{stack.currency_key.modulus:x}",
        "badge_public_key": stack.badge_public_key.hex(),
        "nodes": [{"id": node_id, "public_key": key.hex()} for node_id, key in stack.node_keys.items()],
    }


def lines(described: dict[str, Any]) -> list[str]:
    """Return the description for people: one line per role, then what a client has to know."""
    shown = [f"{role:<12} {url}" for role, url in described["urls"].items()]
    shown.append("")
    shown.append(f"api key      {described['api_key']}")
    shown += [f"model        {model}" for model in described["models"]]
    shown.append(f"longest body {described['max_body']} bytes")
    shown.append(f"gateway keys {described['gateway_keys']}")
    shown += [f"node key     {node['id']} {node['public_key']}" for node in described["nodes"]]
    shown.append("Everything else that a client needs: --json. Ctrl-C ends it.")
    return shown
