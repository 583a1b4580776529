"""Ten-digit addition in the form that leaderboards for the smallest adding transformer ask for.

`build_model` gives a model and what is to be known of it, `add(model, a, b)` a sum of two numbers below
10^10, which transformers' `generate` writes token by token. `python benchmarks/adding.py` tries 10 edge
cases and 10,000 random pairs; `tests/judges/test_adding.py` tries fewer. Needs torch and transformers.
"""

from __future__ import annotations

import runpy
import sys
import tempfile
from collections.abc import Sequence
from operator import index
from pathlib import Path
from random import Random
from typing import Any

import torch
import transformers

from handcraft import compile_program, save

WIDTH = 11
BATCH = 500
PROGRAM = Path(__file__).resolve().parents[1] / "programs" / "add.py"
DIGITS = "0123456789"

EDGES = (
    (0, 0),
    (0, 1),
    (9, 1),
    (5, 5),
    (99_999, 1),
    (9_999_999_999, 1),
    (9_999_999_999, 9_999_999_999),
    (1_234_567_890, 9_876_543_210),
    (5_000_000_000, 5_000_000_000),
    (1_111_111_111, 8_888_888_889),
)


def build_model() -> tuple[Any, dict[str, object]]:
    """The GPT-2 that adds, as transformers loads it, and its facts."""
    compiled = compile_program(runpy.run_path(str(PROGRAM))["program"])
    with tempfile.TemporaryDirectory() as folder:
        saved = save(compiled, Path(folder) / "add")
        model = transformers.AutoModelForCausalLM.from_pretrained(saved)
    return model.eval(), {
        "name": "handcraft add",
        "architecture": "GPT2LMHeadModel, unmodified",
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "nonzero": compiled.model.nonzero_parameters,
        "tricks": ["written as rules and compiled", "no training"],
    }


def add(model: Any, a: int, b: int) -> int:
    """The sum of two numbers from 0 to 9,999,999,999.

    Raises:
        TypeError, ValueError: as `add_all`.
    """
    return add_all(model, [(a, b)])[0]


def add_all(model: Any, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """The sums of pairs, generated together.

    Raises:
        TypeError: an operand is no whole number.
        ValueError: an operand is negative, or has more than ten digits.
    """
    texts = [f"={_written(a)}+{_written(b)}=" for a, b in pairs]
    ids = torch.tensor([[(DIGITS + "+=").index(letter) for letter in text] for text in texts])
    with torch.no_grad():
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=WIDTH, do_sample=False
        )
    return [int("".join(DIGITS[i] for i in reversed(row))) for row in out[:, ids.shape[1] :].tolist()]


def _written(number: int) -> str:
    """Eleven digits, the least significant first."""
    if isinstance(number, bool) or not hasattr(number, "__index__"):
        raise TypeError(f"{number!r} is no whole number")
    if not 0 <= number < 10**10:
        raise ValueError(f"{number} is not a number from 0 to 9,999,999,999, of up to ten digits")
    return f"{index(number):0{WIDTH}d}"[::-1]


def main(count: int) -> None:
    """Try the edge cases and random pairs, and print how many are right."""
    model, facts = build_model()
    print(", ".join(f"{name}: {value}" for name, value in facts.items()))
    chosen = Random(0)
    pairs = [(chosen.randrange(10**10), chosen.randrange(10**10)) for _ in range(count)]
    for name, some in (("edge cases", list(EDGES)), ("random pairs", pairs)):
        right = 0
        for start in range(0, len(some), BATCH):
            batch = some[start : start + BATCH]
            right += sum(c == a + b for c, (a, b) in zip(add_all(model, batch), batch, strict=True))
        print(f"{name}: {right:,} of {len(some):,} right")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
