"""A node that tells its engine how much a credit pays for, as the reference does not. Run as a program."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

from conformance.faults.node.base import FaultyNode
from openpcc_ref.compute_messages import ReceiverContext
from openpcc_ref.compute_node import EngineRequest, UsageReader
from openpcc_ref.services.launch import main
from openpcc_ref.services.node_worker import Worker


class _LimitingWorker(Worker):
    async def ask_engine(self, engine: EngineRequest, context: ReceiverContext) -> None:
        limit, body = self.parameters.credit_amount // 2, engine.body
        if engine.path.startswith("/v1/"):
            body = body.rstrip()[:-1] + b', "max_tokens": %d}' % limit
        elif "options" in json.loads(body):
            body = body.replace(b'"options": {', b'"options": {"num_predict": %d, ' % limit)
        else:
            body = body.rstrip()[:-1] + b', "options": {"num_predict": %d}}' % limit
        await super().ask_engine(replace(engine, body=body), context)

    def spent(self, usage: UsageReader) -> bool:
        return False


class LimitingNode(FaultyNode):
    """Leaves it to the engine to say no more than is paid for."""

    worker = _LimitingWorker


if __name__ == "__main__":
    main(LimitingNode, sys.argv[1:])
