"""``needs``: what an operator has to configure before a role can be judged."""

from __future__ import annotations

import click

from conformance.capabilities import CAPABILITIES
from conformance.cli.options import fail
from conformance.registry import checks
from conformance.roles import Role

_SETUP = {
    Role.RELAY: """\
The runner plays the client in front of the relay and the gateway behind it.
Point the relay's one upstream (its gateway URL) at the runner's gateway:
  started by the runner   mode = "launch": one JSON line on the program's standard input says {"gateway_url": …}
  already running         mode = "url":    choose a fixed address, e.g. listen = { gateway = "127.0.0.1:3200" }""",
    Role.GATEWAY: """\
The runner plays the relay in front of the gateway, and the bank and the router behind it.
Point bank URL and router URL at the runner, and give the gateway keys whose seeds the runner knows:
  started by the runner   mode = "launch": one JSON line on the program's standard input says
                          {"bank_url": …, "router_url": …, "keys": […]}, each key an object with
                          id, kem_id, seed (32 bytes as hex), active_from and active_until (RFC 3339)
  already running         mode = "url":    listen = { bank = "127.0.0.1:3500", router = "127.0.0.1:3600" } and one
                          [[target.keys]] table per configured key (seed: 32 bytes as hex)""",
    Role.BANK: """\
The runner plays all clients in front of the bank, without relay and gateway, and the nonce lock behind it.
Point the bank's nonce lock URL at the runner, and give bank and runner the same currency key:
  started by the runner   mode = "launch": one JSON line on the program's standard input says
                          {"currency_key": {"p": …, "q": …}, "nonce_lock_url": …, "database": null,
                          "allow_test_key": true or false}, the primes in hexadecimal
  already running         mode = "url":    listen = { nonce-lock = "127.0.0.1:3501" }
In both modes the key is the published development key of 1024 bits, unless the run file has another:
currency_key = { p = "…", q = "…" } under [target]. A bank that uses no nonce lock cannot pass.""",
    Role.ROUTER: """\
The runner plays the gateway in front of the router, and the nonce lock and all nodes behind it.
Point the router's nonce lock URL at the runner, and give router and runner the same currency key:
  started by the runner   mode = "launch": one JSON line on the program's standard input says
                          {"currency_key": {"p": …, "q": …}, "nonce_lock_url": …, "allow_test_key": true,
                          "check_every_ms": …}, the primes in hexadecimal; the last is how often nodes are to be checked
  already running         mode = "url":    listen = { nonce-lock = "127.0.0.1:3501" }
In both modes the key is the published development key of 1024 bits, unless the run file has another:
currency_key = { p = "…", q = "…" } under [target]. Nothing is to be said of nodes: they come by POST /node-events
and listen on free ports. The sooner a router lets nodes in, the shorter the run; one that needs more than 12 seconds
is not asked about nodes that come and go.""",
    Role.NODE: """\
The runner plays the client and the router in front of the node, and the inference engine behind it.
Point the node's engine URL at the runner, and let runner and node agree on the node's key, the badges and the models:
  started by the runner   mode = "launch": one JSON line on the program's standard input says
                          {"secret_key": …, "models": […], "tags": […], "badge_public_key": …, "engine_url": …}:
                          the P-256 scalar of the node's key and the Ed25519 key that badges verify with, in hexadecimal
  already running         mode = "url":    listen = { engine = "127.0.0.1:3800" } and a table [target.node] with
                          public_key (what the node attests, 65 bytes), badge_seed (of the Ed25519 key that signs
                          badges, 32 bytes), both in hexadecimal, and models
Evidence of the hardware is not asked for: the runner seals for the key that it is told. Nodes that log to standard
output or error are listened to where the runner has started them.""",
    Role.NONCE_LOCK: """\
The runner plays the services that spend nonces.
  started by the runner   mode = "launch": one JSON line on the program's standard input says {"database": null}
  already running         mode = "url":    nothing else""",
}


@click.command()
@click.argument("role", type=click.Choice([role.value for role in Role]))
def needs(role: str) -> None:
    """Say what ROLE must be given before it can be judged."""
    asked = Role(role)
    if asked not in _SETUP:
        fail(f"no checks judge the role {role} yet; roles judged: {', '.join(_SETUP)}")
    click.echo(f"{_SETUP[asked]}\n")
    wanting = {need: [c.id for c in checks().values() if c.role is asked and need in c.needs] for need in CAPABILITIES}
    for need, ids in wanting.items():
        if ids:
            click.echo(f"{need}: {CAPABILITIES[need]}; without it {len(ids)} checks are not applicable")
    click.echo(
        'A program started by the runner answers with one line {"url": …} on standard output when it serves,\n'
        "and ends when its standard input closes. Everything listens on loopback."
    )
