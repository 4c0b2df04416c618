"""The machine-readable report (``conformance/schema/results.schema.json``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from conformance.results import RunResult
from conformance.verdicts import CaseResult, Verdict

SCHEMA_VERSION = 1


def to_json(result: RunResult) -> dict[str, Any]:
    """Return the report as a value valid under the published schema."""
    tally = result.tally()
    return {
        "schema": SCHEMA_VERSION,
        "suite": {"name": "openpcc-conformance", "version": result.suite_version},
        "profile": str(result.profile),
        "seed": result.seed,
        "started": result.started.isoformat(),
        "subjects": [
            {"role": str(subject.role), "name": subject.name, "where": subject.where} for subject in result.subjects
        ],
        "cases": [_case(case) for case in result.cases],
        "summary": {str(verdict): tally.get(verdict, 0) for verdict in Verdict},
        "exit": int(result.exit()),
    }


def write(result: RunResult, path: Path) -> None:
    """Write the report to ``path``, whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(to_json(result), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def _case(case: CaseResult) -> dict[str, Any]:
    return {
        "id": case.id,
        "role": str(case.role),
        "title": case.title,
        "requirements": list(case.requirements),
        "level": str(case.level),
        "verdict": str(case.verdict),
        "expected": case.expected,
        "observed": case.observed,
        "attribution": case.attribution and str(case.attribution),
        "divergence": case.divergence,
        "duration_ms": case.duration_ms,
        "transcript": case.transcript,
    }
