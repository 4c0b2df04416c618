"""A bank or nonce lock that is killed at one named step: ``python dying_service.py bank before:consume``.

Every method of the service is a step that can be died before or after.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
from typing import Any

from openpcc_ref.services.bank import Bank
from openpcc_ref.services.launch import Service, main
from openpcc_ref.services.nonce_lock import NonceLockService


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(service: type[Service], moment: str, step: str) -> type[Service]:
    method = getattr(service, step)

    async def asynchronous(self: Any, *args: Any) -> Any:
        if moment == "before":
            die()
        await method(self, *args)
        die()

    def synchronous(self: Any, *args: Any) -> Any:
        if moment == "before":
            die()
        method(self, *args)
        die()

    replacement = asynchronous if inspect.iscoroutinefunction(method) else synchronous
    return type(f"Dying{service.__name__}", (service,), {step: replacement})


if __name__ == "__main__":
    services = {"bank": Bank, "nonce_lock": NonceLockService}
    main(dying(services[sys.argv[1]], *sys.argv[2].split(":")), [])
