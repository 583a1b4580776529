"""What verification found, printed as text."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from handcraft.cli.output.value_table import labels_of
from handcraft.display import count
from handcraft.verify import Report, ValueReport
from handcraft.verify.report import Exercise, Failure, Selected, about
from handcraft.verify.tally import SHOWN


def print_report(report: Report | ValueReport) -> None:
    """What was found, in a few lines."""
    for found in report.disagreements:
        print(f"disagrees: {found}")
    if isinstance(report, ValueReport):
        noun, total = "text", report.texts
    else:
        noun, total = "context", report.contexts
    if report.disagreements and not report.tried:
        print(f"tried no {noun}: no model can be built from these files")
        return
    tried = f"tried {_tried(report, noun, total)}"
    if isinstance(report, ValueReport):
        print(f"{tried}: {report.values:,} values, compared with {report.judge}")
        _print_values(report)
    else:
        print(tried)
        _print_answers(report)


def _tried(report: Report | ValueReport, noun: str, total: int | None) -> str:
    """How many were tried, of how many."""
    what = "given prompt" if report.given else "allowed prompt" if report.only_allowed else noun
    if report.given:
        return count(report.tried, what)
    if report.is_exhaustive:
        return f"all {count(report.tried, what)}"
    is_known = total is not None and not (report.only_allowed and isinstance(report, Report))
    of = f" of {f'{total:,}' if total < 10**6 else about(total)}" if is_known and total else ""
    return f"{count(report.tried, f'random {what}')}{of} (seed {report.seed})"


def _print_values(report: ValueReport) -> None:
    names = labels_of([output.name for output in report.outputs])
    width = max(map(len, ["output", *names]))
    print(f"{'output':<{width}}  {'wrong':>7}  {'worst error':>11}  {'bound':>9}")
    for name, output in zip(names, report.outputs, strict=True):
        bound = f"{output.bound:.3g}" if isfinite(output.bound) else "none"
        print(f"{name:<{width}}  {output.wrong:>7,}  {output.worst:>11.3g}  {bound:>9}")
    print(f"values wrong: {report.wrong:,}")
    if report.broken:
        print(f"allowed prompts that break an assumption: {report.broken:,}")
    for failure in report.failures:
        print(f"  {failure}")


def _print_answers(report: Report) -> None:
    if report.longer:
        print(f"and {report.longer_in_words}")
    if report.answers:
        decided = len(report.rules) - len(report.unexercised)
        right = sum(1 for _, times in report.answers if times)
        rules = f"{decided:,} of {len(report.rules):,} rules decided, and " if report.rules else ""
        print(
            f"in this sample {rules}{right:,} of {len(report.answers):,} tokens were the right answer "
            "at least once"
        )
    if not report.counts_rules:
        print("compared with the ideal circuits, not with rules")
    what = "warning: no context that was tried made this rule decide"
    _print_some(what, [(each.rule, each) for each in report.unexercised], "rules")
    if report.selections:
        _print_selections(report)
    print(f"failures: {report.failed:,}")
    if isfinite(report.margin):
        print(f"smallest logit margin: {report.margin:g}, {report.margin_place}")
    for failure in report.failures:
        print(f"  {failure.place}: {_failure(failure)}")
    if report.failed > len(report.failures):
        print(f"  and {report.failed - len(report.failures):,} more")


def _failure(failure: Failure) -> str:
    if failure.broken:
        return f"breaks an assumption: {failure.broken}"
    if failure.error is not None:
        return f"a probability has an error of {failure.error:.2g}"
    expected = "a tie" if failure.expected is None else repr(failure.expected)
    return f"expected {expected}, answered {failure.answered!r} (margin {failure.margin:g})"


def _print_selections(report: Report) -> None:
    """Which selections found a source in the sample, and which found none."""
    some = len(report.selections) - len(report.never_selected)
    optional = [each for each in report.selections if not each.always]
    none = len(optional) - len(report.always_selected)
    print(
        f"{some:,} of {len(report.selections):,} selections found a source somewhere, and "
        f"{none:,} of the {len(optional):,} that may select none did so"
    )
    for what, found in (
        ("warning: no position that was tried selected a source", report.never_selected),
        ("note: every position that was tried selected a source", report.always_selected),
    ):
        _print_some(what, [(each.selection, each) for each in found], "selections")


def _print_some(what: str, found: Sequence[tuple[str, Exercise | Selected]], noun: str) -> None:
    """A line for each of the first, with its place."""
    for text, each in found[:SHOWN]:
        print(f"{what}: {text}{f' ({each.place})' if each.place else ''}")
    if len(found) > SHOWN:
        print(f"{what.split(':')[0]}: and {len(found) - SHOWN:,} more {noun}")
