"""Ten-digit addition in the form that leaderboards for the smallest adding transformer ask for.

`build_model` gives a model and what is to be known of it, `add(model, a, b)` a sum of two numbers below
10^10, which transformers' `generate` writes token by token. `python benchmarks/adding.py` compiles the
program for `block` with every pass of `optimize` more, and for `gpt2` with none and with all, tries 10
edge cases and 10,000 random pairs with each, and prints a table;
`tests/judges/test_adding.py` tries fewer. Needs torch and transformers.
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

import numpy as np
import torch
import transformers

from handcraft import compile_program, save
from handcraft.compiler import PASSES, Compiled
from handcraft.model import Model

WIDTH = 11
BATCH = 500
PROGRAM = runpy.run_path(str(Path(__file__).resolve().parents[1] / "programs" / "add.py"))["program"]
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


def build_model(optimize: bool | Sequence[str] = True) -> tuple[Any, dict[str, object]]:
    """The GPT-2 that adds, as transformers loads it, and its facts.

    Args:
        optimize: as for `compile_program`.
    """
    compiled = compile_program(PROGRAM, optimize=optimize)
    model = loaded(compiled)
    return model, {
        "name": "handcraft add",
        "architecture": "GPT2LMHeadModel, unmodified",
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "nonzero": compiled.model.nonzero_parameters,
        "tricks": ["written as rules and compiled", "no training"],
    }


def loaded(compiled: Compiled) -> Any:
    """A compiled GPT-2, written and read by transformers."""
    with tempfile.TemporaryDirectory() as folder:
        saved = save(compiled, Path(folder) / "add")
        return transformers.AutoModelForCausalLM.from_pretrained(saved).eval()


def add(model: Any, a: int, b: int) -> int:
    """The sum of two numbers from 0 to 9,999,999,999.

    Raises:
        TypeError, ValueError: as `add_all`.
    """
    return add_all(model, [(a, b)])[0]


def add_all(model: Any, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """The sums of pairs, generated together.

    Raises:
        TypeError: an operand is not a whole number.
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
        raise TypeError(f"{number!r} is not a whole number")
    if not 0 <= number < 10**10:
        raise ValueError(f"{number} is not a number from 0 to 9,999,999,999, of up to ten digits")
    return f"{index(number):0{WIDTH}d}"[::-1]


def main(count: int) -> None:
    """Print a row for every target and every pass more: what it takes, and how many sums are right."""
    from measuring import print_table

    chosen = Random(0)
    pairs = [*EDGES, *((chosen.randrange(10**10), chosen.randrange(10**10)) for _ in range(count))]
    rows = []
    every = range(len(PASSES) + 1)
    for target, counts in (("block", every), ("gpt2", (0, len(PASSES)))):
        for some in counts:
            compiled = compile_program(PROGRAM, architecture=target, optimize=PASSES[:some])
            name = "all" if target == "gpt2" else f"+ {PASSES[some - 1]}"
            rows.append(_row(compiled, name if some else "none", pairs))
    print_table(list(rows[0]), [list(map(_shown, row.values())) for row in rows])
    print("The last of each target, as `handcraft compile programs/add.py --optimize` reports it:\n")
    for target in ("block", "gpt2"):
        compiled = compile_program(PROGRAM, architecture=target, optimize=True)
        print(f"```\n{target}, {compiled.report().optimized}\n```\n")


def _row(compiled: Compiled, passes: str, pairs: Sequence[tuple[int, int]]) -> dict[str, object]:
    """What one model takes, positions left out, and how many of the pairs it adds."""
    model, shape = compiled.model, compiled.model.shape
    numbers = [t for name, t in model.tensors.items() if name != "wpe.weight"]
    if compiled.model.architecture.norm == "layer":
        judged = loaded(compiled)
        batches = (pairs[i : i + BATCH] for i in range(0, len(pairs), BATCH))
        sums = [c for batch in batches for c in add_all(judged, batch)]
        right = sum(c == a + b for c, (a, b) in zip(sums, pairs, strict=True))
    else:
        right = int(_is_right(model, pairs).sum())
    return {
        "target": model.architecture.name,
        "passes": passes,
        "blocks": shape.n_layer,
        "heads": shape.n_head,
        "width": shape.n_embd,
        "hidden units": sum(shape.n_inner),
        "parameters": sum(t.size for t in numbers),
        "not 0": sum(int(np.count_nonzero(t)) for t in numbers),
        "distinct": len({float(n) for t in numbers for n in np.unique(t)}),
        "with positions": model.parameters,
        "right": f"{right:,} of {len(pairs):,}",
    }


def _shown(fact: object) -> str:
    return f"{fact:,}" if isinstance(fact, int) else str(fact)


def _is_right(model: Model, pairs: Sequence[tuple[int, int]]) -> Any:
    """Whether a model writes each sum: every digit is the best token after all right ones before it."""
    asked = np.array([model.vocabulary.ids(f"={_written(a)}+{_written(b)}=") for a, b in pairs])
    sums = np.array([model.vocabulary.ids(f"{a + b:0{WIDTH}d}"[::-1]) for a, b in pairs])
    texts = np.hstack([asked, sums[:, :-1]])
    said = model.forward(texts)[:, asked.shape[1] - 1 :].argmax(axis=-1)
    return (said == sums).all(axis=1)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
