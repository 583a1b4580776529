"""A model of the same shape, trained: `python benchmarks/training.py`.

A GPT-2 of the width, heads, blocks and hidden units of a compiled program is trained by AdamW on all
texts of the program, until the right token is first wherever the program writes, or until time is up.
Beside it: the compiled model. There is nothing to generalise to, so a trained model could be right
everywhere; the question is how long that takes, and by what margin.
"""

from __future__ import annotations

import argparse
import runpy
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from measuring import answer, measured, print_table

ROOT = Path(__file__).resolve().parents[1]

NAMES = ("aab", "parity", "reverse")
SECONDS = 120
SEED = 0
BATCH, RATE = 256, 3e-3


def texts(name: str, file: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Every longest text of a program, and after how many tokens it begins to write."""
    program = file["program"]
    if name == "aab":
        for letters in product("ab", repeat=program.context):
            yield "".join(letters), 1
        return
    meaning: Callable[[str], str] = file["meaning"]
    starts = (
        ["".join(bits) + "=" for bits in product("01", repeat=8)]
        if name == "parity"
        else ["".join(t) + "=" for n in range(1, 8) for t in product("abc", repeat=n)]
    )
    for start in starts:
        yield start + meaning(start), len(start)


def examples(name: str, file: dict[str, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Token ids, [text, position], and the right next token, -100 where the program writes nothing."""
    program = file["program"]
    listed = list(texts(name, file))
    length = max(len(text) for text, _ in listed)
    ids = np.zeros((len(listed), length), dtype=np.int64)
    right = np.full((len(listed), length), -100, dtype=np.int64)
    for row, (text, begins) in enumerate(listed):
        numbers = program.vocabulary.ids(text)
        ids[row, : len(text)] = numbers
        if name == "aab":
            meant = [program.meaning(text[: end + 1]) for end in range(len(text))]
            right[row] = program.vocabulary.ids("".join(meant))
        else:
            right[row, begins - 1 : len(text) - 1] = numbers[begins:]
    end = program.context  # the last token that is written is not read
    return ids[:, :end], right[:, :end]


def trained(number: int) -> dict[str, Any]:
    """Train one program's shape."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from handcraft import compile_program

    name = NAMES[number]
    file = runpy.run_path(str(ROOT / "programs" / f"{name}.py"))
    start = time.process_time()
    compiled = compile_program(file["program"])
    compile_seconds = time.process_time() - start
    shape = compiled.model.shape
    ids, right = (torch.from_numpy(array) for array in examples(name, file))
    torch.manual_seed(SEED)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=shape.n_vocab,
            n_positions=shape.n_positions,
            n_embd=shape.n_embd,
            n_head=shape.n_head,
            n_layer=shape.n_layer,
            n_inner=max(shape.n_inner),
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    where = right >= 0

    def wrong_and_margin() -> tuple[int, float]:
        with torch.no_grad():
            logits = torch.cat([model(part).logits for part in ids.split(1024)])[where]
        meant = right[where]
        of_right = logits.gather(1, meant[:, None])[:, 0]
        others = logits.scatter(1, meant[:, None], -torch.inf).max(dim=1).values
        margins = of_right - others
        return int((margins <= 0).sum()), float(margins.min())

    generator = torch.Generator().manual_seed(SEED)
    steps, start = 0, time.process_time()
    wrong, margin = wrong_and_margin()
    while wrong and time.process_time() - start < SECONDS:
        for _ in range(20):
            rows = torch.randint(len(ids), (min(BATCH, len(ids)),), generator=generator)
            loss = torch.nn.functional.cross_entropy(
                model(ids[rows]).logits.flatten(0, 1), right[rows].flatten()
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
        wrong, margin = wrong_and_margin()
    return {
        "program": name,
        "answers": int(where.sum()),
        "parameters": compiled.model.parameters,
        "steps": steps,
        "seconds": time.process_time() - start,
        "wrong": wrong,
        "margin": margin,
        "compile": compile_seconds,
        "compiled margin": compiled_margin(compiled, ids.numpy(), right.numpy()),
    }


def compiled_margin(compiled: Any, ids: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> float:
    """The smallest logit margin of the compiled model on the same texts."""
    logits = compiled.model.forward(ids)[right >= 0]
    rows, meant = np.arange(len(logits)), right[right >= 0]
    of_right = logits[rows, meant].copy()
    logits[rows, meant] = -np.inf
    return float((of_right - logits.max(axis=1)).min())


HEADS = (
    "program",
    "answers",
    "parameters",
    "trained: steps",
    "CPU s",
    "wrong",
    "smallest margin",
    "compiled: CPU s",
    "wrong",
    "smallest margin",
)


def rows() -> Iterator[list[str]]:
    """A row for each program."""
    for number in range(len(NAMES)):
        found: dict[str, Any] = measured(__file__, "trained", number)
        yield [
            found["program"],
            f"{found['answers']:,}",
            f"{found['parameters']:,}",
            f"{found['steps']:,}",
            f"{found['seconds']:.1f}",
            f"{found['wrong']:,}",
            f"{found['margin']:.3g}",
            f"{found['compile']:.2f}",
            "0" if found["compiled margin"] > 0 else "some",
            f"{found['compiled margin']:.3g}",
        ]


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    print_table(HEADS, rows())


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "trained":
        answer({"trained": trained}, sys.argv[1:])
    else:
        main()
