"""The wheel is the product: installed anywhere, it brings the chapters and the vectors along."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import conformance
from conformance import resources
from conformance.requirements import requirements
from conformance.vectors import files

_ROOT = Path(conformance.__file__).parent.parent


def run(*arguments: str, cwd: Path, site: Path | None = None) -> str:
    """Run Python in a folder, before all else with the packages of ``site``, and return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if site is not None:
        environment["PYTHONPATH"] = str(site)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with nothing but the installed wheel."""
    built, installed = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("installed")
    offline = ("--no-deps", "--no-index", "--quiet", "--disable-pip-version-check")
    run("-m", "pip", "wheel", *offline, "--no-build-isolation", "--wheel-dir", str(built), str(_ROOT), cwd=built)
    (wheel,) = built.glob("openpcc_conformance-*-py3-none-any.whl")
    run("-m", "pip", "install", *offline, "--target", str(installed), str(wheel), cwd=built)
    return installed


@pytest.mark.slow
def test_runner_is_imported_from_the_wheel(site: Path, tmp_path: Path) -> None:
    where = run(
        "-c",
        "import conformance, openpcc_ref; print(conformance.__file__, openpcc_ref.__file__)",
        cwd=tmp_path,
        site=site,
    )
    assert where.split() == [str(site / name / "__init__.py") for name in ("conformance", "openpcc_ref")]


@pytest.mark.slow
def test_wheel_has_every_chapter_and_every_vector_file(site: Path) -> None:
    data = site / "conformance" / "data"
    for folder, pattern in (
        (resources.SPEC, "*.md"),
        (resources.SPEC, "proto/*.proto"),
        (resources.VECTORS, "**/*.json"),
    ):
        originals = sorted(folder.glob(pattern))
        assert originals
        for original in originals:
            copy = data / folder.name / original.relative_to(folder)
            assert copy.read_bytes() == original.read_bytes(), copy


@pytest.mark.slow
def test_wheel_lists_the_vectors(site: Path, tmp_path: Path) -> None:
    listed = run("-m", "conformance", "vectors", "list", "binary_http", cwd=tmp_path, site=site).splitlines()
    assert [line.split()[0] for line in listed] == [case.id for case in files.load("binary_http")]


@pytest.mark.slow
def test_wheel_explains_a_requirement(site: Path, tmp_path: Path) -> None:
    explained = run("-m", "conformance", "explain", "OHT-001", cwd=tmp_path, site=site)
    assert " ".join(requirements()["OHT-001"].text.split()) in " ".join(explained.split())


@pytest.mark.slow
def test_wheel_lists_the_checks(site: Path, tmp_path: Path) -> None:
    here = run("-m", "conformance", "list", cwd=_ROOT)
    assert run("-m", "conformance", "list", cwd=tmp_path, site=site) == here
    assert "relay." in here
    assert "gateway." in here
