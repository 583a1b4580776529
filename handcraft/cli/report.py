"""How findings are shown to a person."""

from __future__ import annotations

from math import isfinite

from handcraft.verify import Report
from handcraft.verify.report import about
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
        print(f"tried all {report.contexts:,} {'legal prompts' if report.legal else 'contexts'}")
    elif report.legal:
        print(f"tried {report.tried:,} random legal prompts (seed {report.seed})")
    else:
        print(
            f"tried {report.tried:,} random contexts of {about(report.contexts)} (seed {report.seed})"
        )
    if report.longer:
        print(f"and {report.longer_in_words}")
    if report.rules:
        exercised = len(report.rules) - len(report.unexercised)
        right = sum(1 for _, count in report.answers if count)
        print(
            f"they made {exercised:,} of {len(report.rules):,} rules decide, "
            f"and {right:,} of {len(report.answers):,} tokens right"
        )
    for each in report.unexercised[:SHOWN]:
        at = f" ({each.place})" if each.place else ""
        print(f"warning: no context that was tried made this rule decide: {each.rule}{at}")
    if len(report.unexercised) > SHOWN:
        print(f"warning: and {len(report.unexercised) - SHOWN:,} more rules")
    print(f"failures: {report.failed:,}")
    if isfinite(report.margin):
        print(f"smallest logit margin: {report.margin:g}, {report.margin_place}")
    for failure in report.failures:
        if failure.broken:
            print(f"  {failure.place}: breaks an assumption: {failure.broken}")
            continue
        if failure.off is not None:
            print(f"  {failure.place}: a probability is off by {failure.off:.2g}")
            continue
        expected = "a tie" if failure.expected is None else repr(failure.expected)
        print(
            f"  {failure.place}: means {expected}, answered {failure.answered!r} "
            f"(margin {failure.margin:g})"
        )
    if report.failed > len(report.failures):
        print(f"  and {report.failed - len(report.failures):,} more")
