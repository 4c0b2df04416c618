"""A prompt through the whole stack: paid by a wallet, streamed, refunded, and the refund deposited."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anyio
import pytest

from conformance.vectors.currency_keys import DEPLOYED_1024
from openpcc_ref.badges import sign_badge
from openpcc_ref.client.errors import ClientRejected, NoAnswer, Refused
from openpcc_ref.client.wallet.operations import DepositCredit, ExchangeCredit
from openpcc_ref.errors import Rejected
from openpcc_ref.services.engine import Engine
from openpcc_ref.services.stack import StackSettings, open_stack
from openpcc_ref.services.stack_client import open_client

pytestmark = pytest.mark.anyio

SETTINGS = StackSettings(DEPLOYED_1024, nodes=2)
MODEL = SETTINGS.models[0]
PATH = b"/v1/chat/completions"


def chat(**more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "one two three"}], **more}


class Waiting(Engine):
    """Makes fifteen tokens of twenty and the others only once somebody has seen the first."""

    def __init__(self) -> None:
        self.seen = anyio.Event()
        self.made = 0

    async def pieces(self, path: str, asked: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        async for piece in super().pieces(path, asked):
            yield piece
            self.made += 1
            if self.made == 15:
                with anyio.fail_after(30):
                    await self.seen.wait()


async def test_the_first_token_arrives_before_the_last_is_made_and_the_refund_is_deposited() -> None:
    engine = Waiting()
    async with (
        open_stack(replace(SETTINGS, engine=engine)) as stack,
        open_client(stack, max_delay_s=0) as (
            client,
            funds,
        ),
    ):
        badge, nodes = await client.find_nodes(MODEL)
        assert {node.node_id for node in nodes} == set(stack.node_keys)
        content, made_at_first = b"", 0
        body = chat(stream=True, max_tokens=20)
        async with client.ask(PATH, body, badge, nodes, amount=200) as answer:
            async for piece in answer.content():
                content += piece
                if b"word0" in content and not made_at_first:
                    made_at_first = engine.made
                    engine.seen.set()
        assert answer.status == 200
        assert answer.node_id in stack.node_keys
        assert 0 < made_at_first <= 15 < engine.made
        events = [json.loads(line[6:]) for line in content.split(b"\n") if line.startswith(b"data: {")]
        words = [event["choices"][0]["delta"]["content"] for event in events if event["choices"]]
        assert words == [f"word{number} " for number in range(20)]
        # 200 - (0.5 * 3 + 2 * 20) = 158.5 lies between 152 and 160.
        refund = answer.refund
        assert refund is not None
        assert refund.value.amount in (152, 160)
        with anyio.fail_after(30):
            await funds.until(lambda: any(is_deposit(done, refund.value.amount) for done in funds.done))
        assert ExchangeCredit(refund) in funds.done
        status = funds.wallet.status
        assert status.spent == 200 - refund.value.amount
        assert status.lost == 0


def is_deposit(operation: object, amount: int) -> bool:
    return isinstance(operation, DepositCredit) and operation.credit.value.amount == amount


async def test_everything_unspent_goes_back_at_the_end() -> None:
    async with open_stack(SETTINGS) as stack, open_client(stack, max_delay_s=0) as (client, funds):
        badge, nodes = await client.find_nodes(MODEL)
        async with client.ask(PATH, chat(), badge, nodes, amount=200) as answer:
            assert json.loads(await answer.read())["usage"]["total_tokens"] == 8
        funds.wallet.close()
        funds.announce()
        with anyio.fail_after(30):
            await funds.until(lambda: funds.wallet.closed)
        status = funds.wallet.status
        assert (status.held, status.lost) == (0, 0)
        assert status.withdrawn + status.gained == status.returned + status.spent
        assert answer.refund is not None
        assert 0 < status.spent < 200


async def test_what_nodes_and_router_refuse() -> None:
    async with open_stack(SETTINGS) as stack, open_client(stack, max_delay_s=0) as (client, funds):
        badge, nodes = await client.find_nodes(MODEL)
        forged = sign_badge([MODEL], bytes(32))
        async with client.ask(PATH, chat(), forged, nodes, amount=200) as answer:
            assert answer.status == 400
            assert json.loads(await answer.read())["code"] == "ErrBadgeInvalid"
        assert answer.refund is not None
        assert answer.refund.value.amount == 200
        stranger = replace(nodes[0], node_id=nodes[0].node_id[:-4] + "0000")
        with pytest.raises(Refused, match="404: all candidate nodes unavailable"):
            async with client.ask(PATH, chat(), badge, [stranger], amount=200):
                pass
        # What was not spent is exchanged, since the router has seen it, and nothing is lost.
        with anyio.fail_after(30):
            await funds.until(lambda: sum(isinstance(done, ExchangeCredit) for done in funds.done) == 2)
        assert funds.wallet.status.lost == 0
        assert funds.wallet.status.spent == 0


async def test_a_client_asks_only_nodes_it_trusts_with_a_badge_it_checked() -> None:
    async with open_stack(SETTINGS) as stack:
        known, *_ = stack.node_keys.items()
        async with open_client(replace(stack, node_keys=dict([known])), max_delay_s=0) as (client, _):
            _, nodes = await client.find_nodes(MODEL)
            assert [(node.node_id, node.public_key) for node in nodes] == [known]
            with pytest.raises(Rejected, match="model"):
                await client.find_nodes("another")
        async with open_client(replace(stack, badge_public_key=stack.badge_public_key[::-1])) as (client, _):
            with pytest.raises((Rejected, ValueError)):
                await client.find_nodes(MODEL)
        async with open_client(replace(stack, api_key="unknown")) as (client, _):
            with pytest.raises(Refused, match="AuthBank answered with status 401"):
                await client.find_nodes(MODEL)


async def test_an_answer_that_is_left_early_gives_the_credit_up_for_exchange() -> None:
    async with open_stack(SETTINGS) as stack, open_client(stack, max_delay_s=0) as (client, funds):
        badge, nodes = await client.find_nodes(MODEL)
        with pytest.raises(LookupError):
            async with client.ask(PATH, chat(stream=True, max_tokens=60), badge, nodes, amount=200):
                raise LookupError
        # The router may have taken the credit already: then the bank refuses it, and it counts as spent.
        with anyio.fail_after(30):
            await funds.until(
                lambda: funds.wallet.status.spent == 200 or any(isinstance(done, ExchangeCredit) for done in funds.done)
            )
        status = funds.wallet.status
        assert status.withdrawn + status.gained == status.returned + status.spent + status.lost + status.held
        assert status.lost == 0


async def test_a_relay_that_is_gone_is_no_answer() -> None:
    async with open_stack(replace(SETTINGS, nodes=1)) as stack:
        gone = replace(stack, urls={**stack.urls, "relay": "http://127.0.0.1:9"})
        async with open_client(gone) as (client, _):
            with pytest.raises(NoAnswer):
                await client.find_nodes(MODEL)


def test_refusals_of_the_client_say_what_was_expected() -> None:
    rejected = ClientRejected("client.node.unknown", where="a node", expected="a node of this stack")
    assert "a node of this stack" in str(rejected)
