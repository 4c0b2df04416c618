"""The report for people: progress on a terminal, plain lines when piped, one block per finding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from conformance.registry import checks
from conformance.requirements import requirements
from conformance.results import RunResult, Subject
from conformance.verdicts import CaseResult, Verdict

_STYLE = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.WARN: "yellow",
    Verdict.ERROR: "bold magenta",
    Verdict.NOT_APPLICABLE: "dim",
    Verdict.SKIP: "dim",
}
_NAMES = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "fail",
    Verdict.WARN: "warn",
    Verdict.ERROR: "error",
    Verdict.NOT_APPLICABLE: "not applicable",
    Verdict.SKIP: "skipped",
}


class Listener(Protocol):
    """Is told what happens during a run, as it happens."""

    def subject_started(self, subject: Subject, cases: int) -> None:
        """A subject is about to be judged by that many cases."""

    def case_finished(self, case: CaseResult) -> None:
        """A case has its verdict."""

    def subject_finished(self, subject: Subject) -> None:
        """All cases of the subject have their verdicts."""


class ConsoleReport:
    """Prints findings as they come and the tally at the end.

    Cases that share one reason for not being graded are told of once. Passing cases get a line each with ``verbose``;
    without it a terminal shows a bar and a pipe shows nothing for them. ``repeat`` is the command that repeats one
    case, without its ``--only`` and ``--seed`` options.
    """

    def __init__(self, console: Console, *, seed: str, repeat: str, verbose: bool = False) -> None:
        self._console = console
        self._seed = seed
        self._repeat = repeat
        self._verbose = verbose
        self._progress: Progress | None = None
        self._told: set[str] = set()

    def subject_started(self, subject: Subject, cases: int) -> None:
        self._console.print(
            Text.assemble((str(subject.role), "bold"), f"  {subject.name}  {subject.where}  {cases} cases"),
            soft_wrap=True,
            highlight=False,
        )
        if self._console.is_terminal:
            columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._progress = Progress(*columns, console=self._console, transient=True)
            self._progress.add_task(str(subject.role), total=cases)
            self._progress.start()

    def case_finished(self, case: CaseResult) -> None:
        for block in self._describe(case):
            self._console.print(block, soft_wrap=True, highlight=False)
        if self._progress is not None:
            self._progress.advance(self._progress.task_ids[0])

    def subject_finished(self, subject: Subject) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def finish(self, result: RunResult) -> None:
        """Print the closing lines."""
        for line in summary_lines(result):
            self._console.print(line, soft_wrap=True, highlight=False)

    def _describe(self, case: CaseResult) -> list[Text]:
        head = Text.assemble(
            (f"{case.verdict.upper():<5}", _STYLE[case.verdict]),
            f" {case.id}  {case.level} {', '.join(case.requirements)}",
        )
        if case.verdict is Verdict.PASS and case.divergence is None:
            return [head] if self._verbose else []
        if case.not_graded:
            if case.observed in self._told:
                return []
            self._told.add(case.observed)
        rows = [("expected", case.expected), ("observed", case.observed)]
        if case.divergence:
            rows.append(
                ("differs", f"{case.divergence}: as deployed in 2025; the texts ask for the expected behaviour")
            )
        if case.attribution:
            rows.append(("blame", str(case.attribution)))
        if case.verdict in (Verdict.FAIL, Verdict.WARN, Verdict.ERROR):
            rows.append(("spec", f"spec/{requirements()[case.requirements[0]].chapter} {case.requirements[0]}"))
            if case.transcript:
                rows.append(("bytes", case.transcript))
            only = f" --only {case.id}" if case.id in checks() else ""  # what is explored has no id to select it by
            rows.append(("repeat", f"{self._repeat}{only} --seed {self._seed}"))
            if only:
                rows.append(("explain", f"openpcc-conformance explain {case.id}"))
        return [head, *(Text(f"  {name:<9} {text}") for name, text in rows if text)]


def summary_lines(result: RunResult) -> Sequence[str]:
    """Return the tally by role, why cases were not applicable or not graded, and the exit code."""
    lines = []
    for role in dict.fromkeys(case.role for case in result.cases):
        cases = [case for case in result.cases if case.role is role]
        counts = [(verdict, sum(case.verdict is verdict for case in cases)) for verdict in Verdict]
        told = " · ".join(f"{count} {_NAMES[verdict]}" for verdict, count in counts if count)
        lines.append(f"{role:<10} {told}")
    reasons = [f"not applicable: {case.observed}" for case in result.cases if case.verdict is Verdict.NOT_APPLICABLE]
    reasons += [case.observed for case in result.cases if case.not_graded]
    lines += [f"{reasons.count(reason)}× {reason}" for reason in dict.fromkeys(reasons)]
    code = result.exit()
    lines.append(
        f"profile {result.profile} · seed {result.seed} · exit {int(code)} ({code.name.lower().replace('_', ' ')})"
    )
    return lines
