"""Values at every position of a text, as a table for a person and as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite

from handcraft.language.graph.domain import Value
from handcraft.verify import ValueReport
from handcraft.verify.report import about

WIDTH = 80
"""How wide a table may be, in characters."""

LABEL = 24
"""How many characters of a name are shown."""


def value_table(tokens: Sequence[str], values: Mapping[str, Sequence[Value]]) -> str:
    """A column for each token, with a row for each output; long texts go on below.

    >>> print(value_table("aab", {"seen": (1, 2, 1), "first": (True, False, True)}))
    token     a      a     b
    seen      1      2     1
    first  True  False  True
    """
    rows = [("token", tokens), *values.items()]
    labels = [_short(_cell(name), LABEL) for name, _ in rows]
    first = max(map(len, labels))
    most = WIDTH - first - 2
    cells = [[_short(_cell(value), most) for value in line] for _, line in rows]
    parts = []
    for part in _fitting([list(column) for column in zip(*cells, strict=True)], most):
        widths = [max(map(len, column)) for column in part]
        lines = []
        for i, label in enumerate(labels):
            line = "  ".join(f"{c[i]:>{w}}" for c, w in zip(part, widths, strict=True))
            lines.append(f"{label:<{first}}  {line}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _fitting(columns: Sequence[list[str]], most: int) -> Iterator[list[list[str]]]:
    """The columns in as few parts as fit, in order."""
    part: list[list[str]] = []
    used = -2
    for column in columns:
        width = max(map(len, column)) + 2
        if part and used + width > most:
            yield part
            part, used = [], -2
        part.append(column)
        used += width
    yield part


def _cell(value: Value) -> str:
    """A value as text that can be seen."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text if text.isprintable() and text.strip() == text != "" else repr(text)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def print_value_report(report: ValueReport) -> None:
    """What verifying values found, in a few lines."""
    for found in report.disagreements:
        print(f"disagrees: {found}")
    if report.disagreements and not report.tried:
        print("tried no text: no model can be built from these files")
        return
    print(f"tried {_tried(report)}: {report.values:,} values, compared with {report.judge}")
    names = [_short(_cell(output.name), LABEL) for output in report.outputs]
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


def _tried(report: ValueReport) -> str:
    what = "allowed prompt" if report.only_allowed else "text"
    if report.given:
        what = "given prompt"
    plural = "" if report.tried == 1 else "s"
    if report.given:
        return f"{report.tried:,} {what}{plural}"
    if report.is_exhaustive:
        return f"all {report.tried:,} {what}{plural}"
    texts = report.texts
    of = "" if texts is None else f" of {f'{texts:,}' if texts < 10**6 else about(texts)}"
    return f"{report.tried:,} random {what}{plural}{of} (seed {report.seed})"
