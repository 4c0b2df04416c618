"""Where the chapters, the vectors and the schemas are, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
_INSTALLED = _PACKAGE / "data"
_ROOT = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent

SPEC = _ROOT / "spec"
VECTORS = _ROOT / "vectors"
SCHEMA = _PACKAGE / "schema"
