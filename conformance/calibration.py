"""Calibration subjects: programs that are no implementation at all. None of their cases may be graded pass or fail.

``python -m conformance.calibration NAME`` serves one by the launch protocol, for whichever role is asked.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial

from openpcc_ref.http1 import IncomingRequest, Responder

Misbehaviour = Callable[[IncomingRequest, Responder], Awaitable[None]]
