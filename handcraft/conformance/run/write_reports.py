"""A run as JUnit XML, as JSON, and as a table for people."""

from __future__ import annotations

import json
from dataclasses import asdict
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from rich.console import Console
from rich.table import Table

from handcraft.conformance.run.result import Result, Run
from handcraft.display import count

MOST = 3
"""How many cases of a finding the table names."""


def as_json(run: Run) -> str:
    """A run as JSON."""
    data = {**asdict(run), "passed": run.passed, "counts": run.counts}
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def as_junit(run: Run) -> str:
    """A run as JUnit XML, which CI servers read."""
    failures = [each for each in run.results if each.state in ("failed", "passed unexpectedly")]
    errors = [each for each in run.results if each.state in ("crashed", "hung", "error")]
    skipped = [each for each in run.results if each.state in ("skipped", "failed as expected")]
    suite = Element(
        "testsuite",
        name=f"{run.engine} {run.dtype}",
        tests=str(len(run.results)),
        failures=str(len(failures)),
        errors=str(len(errors)),
        skipped=str(len(skipped)),
        time=f"{sum(each.seconds for each in run.results):.3f}",
    )
    for each in run.results:
        case = SubElement(
            suite, "testcase", classname=each.model, name=each.id, time=f"{each.seconds:.3f}"
        )
        kind = "failure" if each in failures else "error" if each in errors else "skipped"
        if each.state != "passed":
            SubElement(case, kind, message=_message(each), type=each.state)
    indent(suite)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(suite, encoding="unicode")}\n'


def _message(result: Result) -> str:
    named = f" ({', '.join(result.faults)})" if result.faults else ""
    text = f"{result.says}{named}"
    return "".join(c if c.isprintable() else "?" for c in text)  # XML has no control characters


def print_table(run: Run, console: Console) -> None:
    """What is broken in one sentence each, and what was not run."""
    counts = ", ".join(f"{number} {state}" for state, number in run.counts.items())
    console.print(f"{run.engine} {run.version}, {run.dtype}: {counts}", highlight=False, markup=False)
    if run.findings:
        table = Table("the engine", "cases", "such as", title_justify="left")
        for finding in run.findings:
            shown = ", ".join(finding.cases[:MOST])
            table.add_row(finding.says, str(len(finding.cases)), shown)
        console.print(table, markup=False)
    reasons: dict[str, int] = {}
    for each in run.results:
        if each.state == "skipped":
            reasons[each.says] = reasons.get(each.says, 0) + 1
    for reason, number in reasons.items():
        console.print(f"not run: {count(number, 'case')}: {reason}", highlight=False, markup=False)
