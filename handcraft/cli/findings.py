"""How findings are shown to a person."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from handcraft.verify import Report
from handcraft.verify.report import Selected, about
from handcraft.verify.tally import SHOWN


def print_report(report: Report) -> None:
    """What verifying found, in a few lines."""
    for found in report.disagreements:
        print(f"disagrees: {found}")
    if report.disagreements and not report.tried:
        print("tried no context: no model can be built from these files")
        return
    if report.given:
        print(f"tried {report.tried:,} given {'prompt' if report.tried == 1 else 'prompts'}")
    elif report.is_exhaustive:
        what = "allowed prompts" if report.only_allowed else "contexts"
        print(f"tried all {report.contexts:,} {what}")
    elif report.only_allowed:
        print(f"tried {report.tried:,} random allowed prompts (seed {report.seed})")
    else:
        print(
            f"tried {report.tried:,} random contexts of {about(report.contexts)} (seed {report.seed})"
        )
    if report.longer:
        print(f"and {report.longer_in_words}")
    if report.answers:
        exercised = len(report.rules) - len(report.unexercised)
        right = sum(1 for _, count in report.answers if count)
        rules = f"{exercised:,} of {len(report.rules):,} rules decided, and " if report.rules else ""
        print(
            f"in this sample {rules}{right:,} of {len(report.answers):,} tokens were the right answer "
            "at least once"
        )
    if not report.counts_rules:
        print("compared with the ideal circuits, not with rules")
    for each in report.unexercised[:SHOWN]:
        at = f" ({each.place})" if each.place else ""
        print(f"warning: no context that was tried made this rule decide: {each.rule}{at}")
    if len(report.unexercised) > SHOWN:
        print(f"warning: and {len(report.unexercised) - SHOWN:,} more rules")
    _print_selections(report)
    print(f"failures: {report.failed:,}")
    if isfinite(report.margin):
        print(f"smallest logit margin: {report.margin:g}, {report.margin_place}")
    for failure in report.failures:
        if failure.broken:
            print(f"  {failure.place}: breaks an assumption: {failure.broken}")
            continue
        if failure.error is not None:
            print(f"  {failure.place}: a probability has an error of {failure.error:.2g}")
            continue
        expected = "a tie" if failure.expected is None else repr(failure.expected)
        print(
            f"  {failure.place}: expected {expected}, answered {failure.answered!r} "
            f"(margin {failure.margin:g})"
        )
    if report.failed > len(report.failures):
        print(f"  and {report.failed - len(report.failures):,} more")


def _print_selections(report: Report) -> None:
    """Which selections found a source in the sample, and which found none."""
    if not report.selections:
        return
    some = len(report.selections) - len(report.never_selected)
    optional = [each for each in report.selections if not each.always]
    none = len(optional) - len(report.always_selected)
    print(
        f"{some:,} of {len(report.selections):,} selections found a source somewhere, and "
        f"{none:,} of the {len(optional):,} that may select none did so"
    )
    _print_some("warning: no position that was tried selected a source", report.never_selected)
    _print_some("note: every position that was tried selected a source", report.always_selected)


def _print_some(what: str, selections: Sequence[Selected]) -> None:
    for each in selections[:SHOWN]:
        at = f" ({each.place})" if each.place else ""
        print(f"{what}: {each.selection}{at}")
    if len(selections) > SHOWN:
        print(f"{what.split(':')[0]}: and {len(selections) - SHOWN:,} more selections")
