"""`handcraft list`: the shipped programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handcraft.cli.input.options import Json
from handcraft.cli.input.shipped import shipped_programs, shipped_proofs, shipped_sizes, summary
from handcraft.cli.output.printing import fitted, print_json, terminal_width
from handcraft.display import count

EXAMPLES = ("handcraft list",)


def list_(json_: Json = False) -> None:
    """Show the shipped programs: how large each is as a GPT-2, and whether its answers are proved."""
    shipped, sizes, proofs = shipped_programs(), shipped_sizes(), shipped_proofs()
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "summary": summary(path),
            **sizes.get(name, {}),
            **({"proof": proofs[name]} if name in proofs else {}),
        }
        for name, path in shipped.items()
    ]
    if json_:
        print_json(rows)
        return
    width = max(map(len, shipped), default=0)
    facts = [f"{row['name']:<{width}}  {_sized(row)}{_proved(row)}" for row in rows]
    lines = [f"{fact}{row['summary']}" for fact, row in zip(facts, rows, strict=True)]
    most = terminal_width()
    if most is not None and max(map(len, lines), default=0) > most:  # each summary below its facts
        lines = [
            fitted(f"{fact.rstrip()}\n  {row['summary']}")
            for fact, row in zip(facts, rows, strict=True)
        ]
    for line in lines:
        print(line)


def _sized(row: Mapping[str, Any]) -> str:
    """Depth, width, heads and parameters in columns; nothing where they are not known."""
    if "blocks" not in row:
        return ""
    blocks, heads = count(row["blocks"], "block"), count(row["heads"], "head")
    return f"{blocks:<8}  {heads:<8}  width {row['width']:<4} {row['parameters']:>9,} parameters  "


def _proved(row: Mapping[str, Any]) -> str:
    """Whether the answers are proved or sampled, in a column; nothing where that is not known."""
    if "proof" not in row:
        return ""
    return f"{'proved' if row['proof']['verdict'] == 'proved' else 'sampled':<7}  "
