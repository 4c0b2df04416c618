"""The world around a router: the runner is the gateway in front of it, and nonce lock and nodes behind it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

import anyio

from conformance.peers.address import listen_address, own_address
from conformance.peers.hosted_nonce_lock import HostedNonceLock
from conformance.peers.mint import Mint
from conformance.peers.router_nodes import Node, NodeFarm, now
from conformance.peers.taps import Taps
from conformance.runfile import Limits, TargetSettings
from conformance.targets import RunningTarget, Target
from conformance.transcript import Transcript
from conformance.verdicts import NotApplicable, Violation, expect
from openpcc_ref.banking.nonce_state import Consumed, Locked
from openpcc_ref.credits import ATTESTATION, AnyCredit, Credit
from openpcc_ref.credits import credit as credit_format
from openpcc_ref.credits.nonce import QUANTUM, SAFE_AFTER
from openpcc_ref.http1 import Connection, Fields, Http1Error, IncomingResponse, connect, exchange, field_values
from openpcc_ref.protobuf.evidence_pb2 import SignedEvidenceList
from openpcc_ref.protobuf.router_pb2 import ComputeManifestList
from openpcc_ref.routing import Candidate, ManifestRequest, encode_manifest_request, encode_request_info

MESSAGE = b"application/octet-stream"
REQUEST = b"application/confsec-req"
BASE_NODES = 3
KEY_LENGTH = 120
"""Bytes of an encapsulated key of the suite in use."""

CHECK_EVERY_MS = 50
"""What a router is told when the runner starts it, so that nodes become routable soon."""

_REGISTERING_S = 100.0
"""How long a router may take to let the first nodes in: three health checks at the deployed interval of 30 s."""

_TOO_SLOW_S = 12.0
"""Routers that need longer are not asked about nodes that come and go: a case would not end in time."""

_POLL_S = 0.02
_REFRESH_S = 240.0
"""When the nodes of the run send their next heartbeat."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A response as far as it came."""

    status: int
    fields: Fields
    content: bytes
    trailers: Fields
    complete: bool
    """Whether it ended as its framing says it must."""

    def __str__(self) -> str:
        end = "" if self.complete else ", broken off"
        return f"status {self.status} with {len(self.content)} bytes{end}"


@dataclass(frozen=True, slots=True)
class Posted:
    """A compute request whose head is out, on a connection of its own."""

    connection: Connection

    async def reply(self) -> Reply:
        """Read the response as far as it comes; raises :class:`Http1Error` where there is none at all."""
        response = await self.connection.response()
        return await read_on(response)


async def read_on(response: IncomingResponse, pieces: Sequence[bytes] = ()) -> Reply:
    """Read the rest of a response of which ``pieces`` are known."""
    content = list(pieces)
    with suppress(Http1Error):  # a response that breaks off is an observation like any other
        async for chunk in response.body():
            content.append(chunk.data)
    return Reply(response.status, response.fields, b"".join(content), response.trailers, response.complete)


@dataclass(slots=True, kw_only=True)
class RouterCase:
    """What a check of the router has at hand. Deadlines in seconds."""

    url: str
    mint: Mint
    nonce_lock: HostedNonceLock
    farm: NodeFarm
    nodes: tuple[Node, ...]
    """Routable nodes that outlive the case: they are well and stay as they are."""
    own_address: str
    """Where the runner's connections to the router come from."""
    taps: Taps
    random: random.Random
    step_s: float
    registering_s: float
    """How long the router took to let the first nodes in."""
    own_nodes: list[Node] = field(default_factory=list)
    """Nodes that came in this case."""

    # -- compute requests ----------------------------------------------------------------------------------------------

    def candidate(self, node: Node | str) -> Candidate:
        """Return a node, or an identifier, as a candidate with a key of its own."""
        return Candidate(node if isinstance(node, str) else node.id, self.random.randbytes(KEY_LENGTH))

    def paid(self, credit: AnyCredit | bytes, *candidates: Candidate | Node) -> Fields:
        """Return the fields of a compute request: its payment and where it may go, by default to any node."""
        listed = [c if isinstance(c, Candidate) else self.candidate(c) for c in candidates or self.nodes]
        return (*credit_fields(credit), (b"x-routing-info", encode_request_info(listed).encode()))

    async def compute(
        self,
        fields: Fields,
        content: bytes = b"sealed request",
        *,
        media_type: bytes = REQUEST,
        target: bytes = b"/",
        method: bytes = b"POST",
    ) -> Reply:
        """Send a compute request of known length and read the response as far as it comes."""
        length = (b"content-length", str(len(content)).encode())
        async with self.posting((length, *fields), media_type=media_type, target=target, method=method) as posted:
            try:
                await posted.connection.send(content)
                await posted.connection.finish()
            except Http1Error:
                pass  # the router may have answered before the end
            return await posted.reply()

    @asynccontextmanager
    async def posting(
        self, fields: Fields, *, media_type: bytes = REQUEST, target: bytes = b"/", method: bytes = b"POST"
    ) -> AsyncIterator[Posted]:
        """Open a connection and send the head of a compute request; ``fields`` frame its content."""
        async with connect(self.url, tap=self.taps.of("gateway"), step_s=self.step_s) as connection:
            await connection.send_head(method, target, ((b"content-type", media_type), *fields))
            yield Posted(connection)

    async def served(self, credit: Credit, *candidates: Candidate | Node) -> Reply:
        """Send an honest compute request and require that a node's whole answer comes back."""
        reply = await self.compute(self.paid(credit, *candidates))
        expect(
            reply.status == 200 and reply.complete,
            expected="the node's whole answer with status 200",
            observed=str(reply),
        )
        return reply

    async def control(self) -> None:
        """Show that an honest request is served, so that a refusal means something; then forget it."""
        await self.served(self.mint.credit(100))
        self.forget()

    def forget(self) -> None:
        """Forget what nodes and nonce lock were asked so far."""
        self.farm.peer.requests.clear()
        self.nonce_lock.calls.clear()

    async def nothing_forwarded(self, what: str) -> None:
        """Require that no node got a request."""
        await self.farm.peer.catch_up()
        asked = len(self.farm.peer.requests)
        expect(asked == 0, expected=f"no node to be asked for {what}", observed=f"{asked} requests at nodes")

    async def refused(self, fields: Fields, status: int, what: str) -> Reply:
        """Send a compute request that must be refused with that status, and reach no node."""
        reply = await self.compute(fields)
        expect(reply.status == status, expected=f"status {status} for {what}", observed=str(reply))
        await self.nothing_forwarded(what)
        return reply

    def untouched(self, credit: AnyCredit, what: str) -> None:
        """Require that the nonce lock was not asked about a credit."""
        asked = self.nonce_lock.asked(credit.nonce)
        expect(not asked, expected=f"an untouched credit for {what}", observed=f"{', '.join(asked)} at the nonce lock")

    async def settled(self, credit: AnyCredit) -> str:
        """Wait until the nonce of a credit is no longer locked; return what it is: consumed, free or still locked."""

        async def is_settled() -> bool:
            return self.state(credit) != "locked"

        await _becomes_true(is_settled, self.step_s)
        return self.state(credit)

    def state(self, credit: AnyCredit) -> str:
        """Return what the nonce of a credit is: consumed, locked or free."""
        state = self.nonce_lock.state(credit.nonce)
        return "consumed" if isinstance(state, Consumed) else "locked" if isinstance(state, Locked) else "free"

    async def after_the_cut_over(self) -> None:
        """Wait while a refund may have to: one that is stamped with the next hour in the first seconds of an hour is
        kept back until they are over (PAY-023)."""
        await anyio.sleep(max(0.0, SAFE_AFTER + 1 - now() % QUANTUM))

    # -- messages ------------------------------------------------------------------------------------------------------

    async def post(
        self, path: bytes, content: bytes, fields: Fields = (), *, media_type: bytes | None = MESSAGE
    ) -> Reply:
        """Post a message and read the answer."""
        typed: Fields = ((b"content-type", media_type),) if media_type is not None else ()
        response, answer = await exchange(
            self.url, b"POST", path, (*typed, *fields), content, tap=self.taps.of("gateway"), step_s=self.step_s
        )
        return Reply(response.status, response.fields, answer, response.trailers, True)

    async def query(self, content: bytes, token: AnyCredit | bytes | None = None) -> Reply:
        """Post a query for manifests, by default with a good token."""
        paid = credit_fields(self.mint.credit(ATTESTATION) if token is None else token)
        return await self.post(b"/compute-manifests", content, paid)

    async def listed(self, *tags: str, limit: int = 500) -> ComputeManifestList:
        """Ask for manifests with a good token and return the list."""
        reply = await self.query(encode_manifest_request(ManifestRequest(frozenset(tags), limit)))
        expect(reply.status == 200, expected="status 200 for a good query", observed=str(reply))
        return ComputeManifestList.FromString(reply.content)

    async def event(self, content: bytes) -> Reply:
        """Post an event of a node."""
        return await self.post(b"/node-events", content)

    async def accepted(self, content: bytes) -> None:
        """Post an event that has to be accepted."""
        reply = await self.event(content)
        expect(reply.status == 200, expected="status 200 for an event", observed=str(reply))

    # -- nodes that come and go ----------------------------------------------------------------------------------------

    def new_node(
        self,
        tags: Sequence[str] = ("llm",),
        *,
        evidence: SignedEvidenceList | None = None,
        there: bool = True,
    ) -> Node:
        """Return a node of this case that the router has not heard of; it is shut down when the case ends."""
        if self.registering_s > _TOO_SLOW_S:
            raise NotApplicable(f"the router takes {self.registering_s:.0f} s to let a node in")
        node = self.farm.make(tags, there=there) if evidence is None else self.farm.make(tags, evidence=evidence)
        self.own_nodes.append(node)
        return node

    async def registered(
        self,
        tags: Sequence[str] = ("llm",),
        *,
        evidence: SignedEvidenceList | None = None,
        there: bool = True,
    ) -> Node:
        """Return a new node after the router has let it in."""
        node = self.new_node(tags, evidence=evidence, there=there)
        await self.accepted(node.heartbeat())
        await self.let_in(node)
        return node

    @property
    def patience_s(self) -> float:
        """How long a node may take to come or go."""
        return max(self.step_s, 3 * self.registering_s)

    async def is_routable(self, node: Node) -> bool:
        """Say whether the router would send a request to a node now. Nothing of that is remembered."""
        asked = list(self.farm.peer.requests)
        reply = await self.compute(self.paid(self.mint.credit(1), node))
        self.farm.peer.requests[:] = asked
        expect(reply.status != 400, expected="a good request to be served, or 404", observed=str(reply))
        return reply.status != 404

    async def let_in(self, node: Node) -> None:
        """Wait until requests go to a node; a violation if they never do."""
        await self._becomes(node, routable=True)

    async def kept_out(self, node: Node) -> None:
        """Wait until no request goes to a node any more; a violation if they go on."""
        await self._becomes(node, routable=False)

    async def _becomes(self, node: Node, *, routable: bool) -> None:
        async def is_as_wanted() -> bool:
            return await self.is_routable(node) is routable

        wanted = "requests to go to the node" if routable else "no request to go to the node any more"
        came = await _becomes_true(is_as_wanted, self.patience_s)
        expect(came, expected=wanted, observed=f"that was not so within {self.patience_s:g} s")

    async def never_let_in(self, node: Node, what: str) -> None:
        """Require that a node is not routable by the time another one is that registered after it."""
        await self.registered()
        routable = await self.is_routable(node)
        expect(not routable, expected=f"no requests to a node after {what}", observed="requests go to it")

    async def end_nodes(self) -> None:
        """Shut the nodes of this case down, so that they do not keep the router busy."""
        for node in self.own_nodes:
            with suppress(Http1Error):
                await self.event(node.shutdown(1 << 40))


async def _becomes_true(holds: Callable[[], Awaitable[bool]], within_s: float) -> bool:
    """Ask again and again, since nothing tells when; say whether it came true in time."""
    with anyio.move_on_after(within_s):
        while True:
            if await holds():
                return True
            await anyio.sleep(_POLL_S)
    return False


def credit_fields(credit: AnyCredit | bytes) -> Fields:
    """Return the field that carries a credit, or any other text."""
    text = credit if isinstance(credit, bytes) else credit_format.encode_text(credit).encode()
    return ((b"x-credit", text),)


def only_value(fields: Fields, name: bytes) -> bytes | None:
    """Return the value of a field that comes once; None if it is absent. A violation if it is repeated."""
    values = field_values(fields, name)
    expect(len(values) <= 1, expected=f"{name.decode()} at most once", observed=f"{len(values)} lines of it")
    return values[0] if values else None


@dataclass(slots=True, kw_only=True)
class RouterWorld:
    """The parties around one router (``conformance.engine.World``)."""

    subject: RunningTarget
    mint: Mint
    nonce_lock: HostedNonceLock
    farm: NodeFarm
    nodes: tuple[Node, ...]
    seed: str
    step_s: float
    taps: Taps
    registering_s: float = 0.0
    capabilities: frozenset[str] = frozenset()
    _heartbeats: int = 0
    _heartbeat_at: float = 0.0

    @asynccontextmanager
    async def case(self, transcript: Transcript) -> AsyncIterator[RouterCase]:
        """Open the world for one case."""
        self._reset(transcript)
        case = self._case(transcript.case_id)
        try:
            yield case
        finally:
            self.nonce_lock.reset()
            self.farm.health.reset()
            with anyio.CancelScope(shield=True), anyio.move_on_after(self.step_s):
                await case.end_nodes()
        for peer in (self.nonce_lock.peer, self.farm.peer):
            peer.raise_failure()

    async def honest_exchange(self) -> None:
        """Have one request served by a node; a router that was restarted is told of its nodes first."""
        self._reset(None)
        case = self._case("honest exchange")
        if monotonic() - self._heartbeat_at > _REFRESH_S:
            await self._register(case)
        if await self._serves(case):
            return
        await self._register(case)
        await _becomes_true(lambda: self._serves(case), _REGISTERING_S)  # the engine has a deadline of its own

    async def register(self) -> None:
        """Tell the router of the nodes of this run and wait until it has let in all of them.

        A router that cannot be told, or that answers anything else than that they are not there yet, is left to the
        honest exchange.
        """
        case = self._case("registering")
        started = monotonic()
        with suppress(Violation, Http1Error):
            await self._register(case)
            for node in self.nodes:
                await _becomes_true(partial(self._serves, case, node), _REGISTERING_S)
        self.registering_s = monotonic() - started

    async def _register(self, case: RouterCase) -> None:
        for node in self.nodes:
            await case.accepted(node.heartbeat(self._heartbeats))
        self._heartbeats += 1
        self._heartbeat_at = monotonic()

    async def _serves(self, case: RouterCase, *nodes: Node) -> bool:
        """Say whether a request is served, or else its nodes are not routable; anything else is a violation."""
        reply = await case.compute(case.paid(self.mint.credit(100), *nodes))
        if reply.status == 404 and not self.farm.peer.requests:
            return False
        served_by = [node for node in nodes or self.nodes if self.farm.asked(node)]
        expect(
            reply.status == 200 and reply.complete and len(served_by) == 1,
            expected="a request to be served by one of the nodes",
            observed=f"{reply}, {len(served_by)} nodes asked",
        )
        node = only_value(reply.fields, b"x-node-id")
        self.farm.peer.requests.clear()
        expect(reply.content.startswith(b"answer of"), expected="the node's answer", observed=str(reply))
        expect(node is not None, expected="x-node-id on the answer", observed="none")
        return True

    def _reset(self, transcript: Transcript | None) -> None:
        self.taps.reset(transcript)
        self.nonce_lock.reset()
        self.farm.peer.reset()
        self.farm.health.reset()

    def _case(self, name: str) -> RouterCase:
        return RouterCase(
            url=self.subject.url,
            mint=self.mint,
            nonce_lock=self.nonce_lock,
            farm=self.farm,
            nodes=self.nodes,
            own_address=own_address(self.subject.url) if self.subject.url else "",
            taps=self.taps,
            random=random.Random(f"{self.seed}/{name}"),
            step_s=self.step_s,
            registering_s=self.registering_s,
        )


@asynccontextmanager
async def open_router_world(
    target: Target, settings: TargetSettings, *, seed: str, limits: Limits
) -> AsyncIterator[RouterWorld]:
    """Start nonce lock and nodes, then the router, and wait until it has let the nodes in.

    Raises :class:`TargetFailed` when the subject cannot serve or was not fully described.
    """
    key = settings.currency_key
    step_s = limits.step_s * limits.scale
    nonce_lock, farm, taps = HostedNonceLock(step_s=step_s), NodeFarm(step_s=step_s), Taps()
    async with AsyncExitStack() as stack:
        host, port = listen_address(settings, "nonce-lock")
        await stack.enter_async_context(nonce_lock.peer.serve(host=host, port=port, tap=taps.of("nonce lock")))
        await stack.enter_async_context(farm.peer.serve(tap=taps.of("node")))
        await stack.enter_async_context(farm.absent.serve(tap=taps.of("node")))
        await stack.enter_async_context(farm.absent.unreachable())
        await stack.enter_async_context(farm.health.serve())
        config = {
            "currency_key": {"p": f"{key.p:x}", "q": f"{key.q:x}"},
            "allow_test_key": True,
            "nonce_lock_url": nonce_lock.peer.url,
            "check_every_ms": CHECK_EVERY_MS,
        }
        subject = await stack.enter_async_context(target.start(config))
        nodes = tuple(farm.make() for _ in range(BASE_NODES))
        world = RouterWorld(
            subject=subject,
            mint=Mint(key),
            nonce_lock=nonce_lock,
            farm=farm,
            nodes=nodes,
            seed=seed,
            step_s=step_s,
            taps=taps,
        )
        await world.register()
        yield world
