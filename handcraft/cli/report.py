"""How findings are shown to a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from math import isfinite
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from handcraft.compiler import Compiled
from handcraft.errors import CommandError
from handcraft.model import Model
from handcraft.verify import Report
from handcraft.verify.verify import Progress as Told
from handcraft.verify.verify import about

NEAR = 3
"""How many tensors are named in place of one that is not there."""


@contextmanager
def progress_bar(show: bool) -> Iterator[Told | None]:
    """A bar on the terminal, gone when it is done; None where nothing is to be shown."""
    if not show:
        yield None
        return
    columns = (TextColumn("contexts"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("contexts", total=None)
        yield lambda tried, planned: bar.update(task, completed=tried, total=planned)


def print_report(report: Report) -> None:
    """What verifying found, in a few lines."""
    if report.is_exhaustive:
        print(f"tried all {report.contexts:,} {'legal prompts' if report.legal else 'contexts'}")
    elif report.legal:
        print(f"tried {report.tried:,} random legal prompts (seed {report.seed})")
    else:
        print(
            f"tried {report.tried:,} random contexts of {about(report.contexts)} (seed {report.seed})"
        )
    if report.longer:
        print(f"and {report.longer:,} longer random contexts, up to the model's length")
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


def explain_weight(
    model: Model,
    origins: Mapping[str, Mapping[tuple[int, ...], tuple[str, ...]]],
    compiled: Compiled | None,
    tensor: str,
    index: tuple[int, ...],
) -> dict[str, Any]:
    """One weight: its value, what its row and column stand for, and the rules it serves.

    Raises:
        CommandError: there is no such tensor, or no such place in it.
    """
    if tensor not in model.tensors:
        raise CommandError(f"there is no tensor {tensor!r}", fix=_tensors_like(tensor, model))
    shape = model.tensors[tensor].shape
    inside = all(0 <= i < size for i, size in zip(index, shape, strict=False))
    if len(index) != len(shape) or not inside:
        raise CommandError(
            f"{tensor} is {list(shape)}, and has no place {list(index)}",
            fix=f"give {len(shape)} numbers, each from 0 and below its size",
        )
    served = origins.get(tensor, {}).get(index, ())
    return {
        "weight": f"{tensor}{list(index)}",
        "value": model.tensors[tensor][index].item(),
        "stands for": compiled.placement.tensors[tensor].describe(index) if compiled else None,
        "serves": list(served),
    }


def _tensors_like(name: str, model: Model) -> str:
    """Which tensors may have been meant: those that are called nearly so, else what there is."""
    bare = name.removeprefix("transformer.")
    known = list(model.tensors)
    near = [k for k in known if f".{bare}." in f".{k}."] or get_close_matches(bare, known, n=NEAR)
    if near:
        return f"did you mean {' or '.join(near[:NEAR])}?"
    blocks = model.shape.n_layer
    first = [k for k in known if not k.startswith("h.") or k.startswith("h.0.")]
    more = f", and so on up to h.{blocks - 1}" if blocks > 1 else ""
    return f"there are: {', '.join(first)}{more}"
