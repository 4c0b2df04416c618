"""How much the property tests try: HYPOTHESIS_PROFILE=long is for a thorough run by hand."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_UNHURRIED = (HealthCheck.too_slow, HealthCheck.data_too_large)

settings.register_profile("short", max_examples=100, deadline=None, derandomize=True, suppress_health_check=_UNHURRIED)
settings.register_profile("long", max_examples=10_000, deadline=None, suppress_health_check=_UNHURRIED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))
