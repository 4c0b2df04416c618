"""What faulty nodes are made of: workers within the front end's process, with checks of the reference left out.

A worker that is a process of its own takes longer to start than all it does; only faults that are about processes
need one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from openpcc_ref.compute_node import OutputDecoder, Parameters
from openpcc_ref.errors import Rejected, without_check
from openpcc_ref.http1 import IncomingRequest, Responder
from openpcc_ref.services.node import Deliver, Node, WorkerFailed
from openpcc_ref.services.node_worker import EngineFailed, Unopened, Worker
from openpcc_ref.services.worker_pool import WorkerPool


class FaultyNode(Node):
    """``worker`` serves requests; ``without`` are codes of refusals (``openpcc_ref.errors.require``) left out."""

    worker: type[Worker] = Worker
    without: tuple[str, ...] = ()

    @property
    def workers(self) -> WorkerPool:
        return self._workers

    @workers.setter
    def workers(self, pool: WorkerPool) -> None:
        self._workers = WorkerPool(idle=0)

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        with without_check(*self.without):
            await super().handle(request, responder)

    async def work(self, parameters: Parameters, request: IncomingRequest, deliver: Deliver) -> None:
        decoder = OutputDecoder()

        async def output(data: bytes) -> None:
            for event in decoder.feed(data):
                await deliver(event)

        async def message() -> AsyncIterator[bytes]:
            async for chunk in request.body():
                yield chunk.data

        try:
            await self.worker(self.settings, parameters, output).run(message())
        except (Unopened, EngineFailed) as failure:
            raise WorkerFailed(unopened=isinstance(failure, Unopened)) from failure
        except Rejected as rejected:
            raise WorkerFailed(unopened=False) from rejected
