"""Regenerate the modules of this package from ``spec/proto``; needs grpcio-tools (extra ``dev``)."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).parent
PROTO = PACKAGE.parent.parent / "spec" / "proto"

_POOL_FOLDER = "openpcc"
"""Prefix of the file names in Python's descriptor pool, which all libraries of a process share."""


def generated_modules() -> dict[str, str]:
    """Return the text of every generated module by file name."""
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, _POOL_FOLDER)
        folder.mkdir()
        for source in sorted(PROTO.glob("*.proto")):
            imports = re.sub(r'^import "(\w+\.proto)"', rf'import "{_POOL_FOLDER}/\1"', source.read_text(), flags=re.M)
            (folder / source.name).write_text(imports)
        well_known = Path(protoc.__file__).parent / "_proto"
        options = [f"-I{scratch}", f"-I{well_known}", f"--python_out={scratch}", f"--pyi_out={scratch}"]
        status = protoc.main(["protoc", *options, *map(str, sorted(folder.glob("*.proto")))])
        if status != 0:
            raise RuntimeError(f"protoc ended with status {status}")
        return {path.name: _relocated(path.read_text()) for path in sorted(folder.glob("*_pb2.py*"))}


def _relocated(text: str) -> str:
    """Return a generated module with its imports pointing to this package."""
    return re.sub(rf"^from {_POOL_FOLDER} import", "from openpcc_ref.protobuf import", text, flags=re.M)


if __name__ == "__main__":
    for name, text in generated_modules().items():
        (PACKAGE / name).write_text(text)
