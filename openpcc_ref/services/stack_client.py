"""The reference client of a running stack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from openpcc_ref.client.banks import AuthBankClient, BankClient
from openpcc_ref.client.errors import ClientRejected
from openpcc_ref.client.funds import Funds
from openpcc_ref.client.oblivious import ObliviousClient
from openpcc_ref.client.pipeline import Client
from openpcc_ref.client.wallet import Wallet, plan_for
from openpcc_ref.credits.currency import exact
from openpcc_ref.credits.payee import Payee
from openpcc_ref.credits.rsa_keys import TEST_KEY_BITS
from openpcc_ref.routing import Manifest
from openpcc_ref.services.stack import Stack
from openpcc_ref.sources import RandomSource, system_clock, system_random


@asynccontextmanager
async def open_client(
    stack: Stack,
    *,
    credit_size: int = 200,
    target: int = 1,
    max_delay_s: float = 5.0,
    local_host: str | None = None,
    random: RandomSource = system_random,
) -> AsyncIterator[tuple[Client, Funds]]:
    """Return a client and what it pays with; credits have ``credit_size``, an amount that one credit can have.

    ``max_delay_s`` bounds the waits that hide when a credit was made (PAY-134); less than 5 gives privacy away.
    """
    public_key = stack.currency_key
    test_key = public_key.bits == TEST_KEY_BITS
    payee = Payee(public_key, random=random, clock=system_clock, allow_test_key=test_key)
    plan = plan_for(exact(credit_size), target=target, max_delay_s=max_delay_s)
    wallet = Wallet(plan, clock=system_clock, random=random, verify=payee.verify)
    authbank = AuthBankClient(stack.urls["authbank"], stack.api_key, local_host=local_host)
    oblivious = ObliviousClient(stack.urls["relay"], stack.gateway_key, random=random, local_host=local_host)
    funds = Funds(wallet, payee, authbank, BankClient(oblivious), clock=system_clock)

    def verify(manifest: Manifest) -> bytes:
        """Look the key up: nodes of this stack have no evidence that could prove it."""
        key = stack.node_keys.get(manifest.node_id)
        if key is None:
            raise ClientRejected("client.node.unknown", where=manifest.node_id, expected="a node of this stack")
        return key

    client = Client(
        authbank, oblivious, funds, payee, verify=verify, badge_public_key=stack.badge_public_key, random=random
    )
    async with funds.running():
        yield client, funds
