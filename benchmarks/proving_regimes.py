"""How much of the gallery is proved where every step is rounded: a regime, and names of programs.

    python benchmarks/proving_regimes.py bfloat16 [NAME ...]
    python benchmarks/proving_regimes.py bfloat16-weights [NAME ...]
    python benchmarks/proving_regimes.py tf32 [NAME ...]
    python benchmarks/proving_regimes.py q8_0 [NAME ...]

In the second, weights are in bfloat16 and every step in float32; in the third, factors of products are
rounded to TF32; in the last, weights are those of blocks of GGUF, and the width is a multiple of 32.
Each program is compiled for gpt2 in the dtype of the regime with `provable=True`, written, and proved
from its files in a process of its own with one thread, for both attentions of transformers. The
smallest margin of 30 random contexts, run by transformers in the dtype of the steps, stands beside the
proved one. For TF32 the factors of its products are rounded as a GPU rounds them.
"""

from __future__ import annotations

import runpy
import sys
import time
from contextlib import nullcontext
from math import lcm
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measuring import answer, print_table, proof_measured, verdict_in_words
from proving import NAMES, ROOT

REGIMES = {
    "bfloat16": ("bfloat16", "bfloat16"),
    "float16": ("float16", "float16"),
    "bfloat16-weights": ("bfloat16", "float32"),
    "tf32": ("float32", "tf32"),
    "q8_0": ("float32", "q8_0"),
    "q4_0": ("float32", "q4_0"),
}
"""For each row of numbers, the dtype of the weights and that of the steps."""

CONTEXTS = 30

SECONDS = 240.0
"""A program that takes longer, compiling included, is given up."""


def proved(number: int) -> dict[str, Any]:
    """Prove one program in one regime, which are one number: programs of the second come behind."""
    from handcraft import compile_program, save
    from handcraft.errors import PrecisionError
    from handcraft.weights.layout import Sizes
    from handcraft_check.arithmetic.block_formats import BLOCK_FORMATS, SIZE
    from handcraft_check.errors import CheckError
    from handcraft_check.prove import prove

    dtype, steps = [*REGIMES.values()][number // len(NAMES)]
    name = NAMES[number % len(NAMES)]
    program = runpy.run_path(str(ROOT / "programs" / f"{name}.py")).get("program")
    if program is None or not hasattr(program, "rules"):
        return {"verdict": "laid out by hand"}
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        try:
            model = compile_program(program, dtype=dtype, provable=True)
            if steps in BLOCK_FORMATS:
                shape, step = model.model.shape, lcm(SIZE, model.model.shape.n_head)
                width = -(-shape.n_embd // step) * step
                model = compile_program(program, sizes=Sizes(n_embd=width))
            save(model, folder)
        except PrecisionError:
            return {"verdict": "refused by the compiler"}
        if not (folder / "certificate.json").exists():
            return {"verdict": "no certificate"}
        start = time.process_time()
        try:
            verdict = prove(folder, regime=steps)
        except CheckError as error:
            return {"verdict": f"refused: {error.what}"}
        found = {
            "verdict": verdict.word,
            "reason": verdict.reason,
            "cases": verdict.cases,
            "margin": verdict.margin,
            "s": time.process_time() - start,
        }
        if verdict.word == "proved":
            found["seen"] = smallest_seen(folder, steps)
        return found


def smallest_seen(folder: Path, steps: str) -> float:
    """The smallest margin of random contexts in transformers, eager and sdpa; of TF32 eager alone."""
    import torch
    from transformers import GPT2LMHeadModel

    from handcraft_check.arithmetic.block_formats import BLOCK_FORMATS
    from handcraft_check.claim import read_claim

    dtype = getattr(torch, "float32" if steps in (*BLOCK_FORMATS, "tf32") else steps)
    claim, random = read_claim(folder), np.random.default_rng(0)
    models = [
        GPT2LMHeadModel.from_pretrained(folder, dtype=dtype, attn_implementation=how)
        for how in (("eager",) if steps == "tf32" else ("eager", "sdpa"))
    ]
    if steps in BLOCK_FORMATS:
        for model in models:
            _store_in_blocks(model, steps)
    smallest, count, domain = np.inf, 0, claim.domain
    while count < CONTEXTS:
        state, places = 0, []
        while len(places) <= domain.length - domain.writes:
            followers = np.flatnonzero(domain.next[state] >= 0)
            if not len(followers):
                break
            places.append(int(random.choice(followers)))
            state = int(domain.next[state, places[-1]])
            if not domain.final[state]:
                continue
            count += 1
            right = int(claim.token_ids[int(claim.meaning.answers(np.array([places])).token[0])])
            ids = torch.from_numpy(claim.token_ids[places][None])
            for model in models:
                with torch.no_grad(), _in_tf32() if steps == "tf32" else nullcontext():
                    logits = model(ids).logits[0, -1].float().numpy()
                smallest = min(smallest, float(logits[right] - np.delete(logits, right).max()))
    return smallest


def _in_tf32() -> Any:
    """A context manager in which the factors of matrix products are rounded to 11 binary digits."""
    import torch
    from torch.overrides import TorchFunctionMode

    factors = {
        torch.addmm: slice(1, 3),
        torch.matmul: slice(0, 2),
        torch.nn.functional.linear: slice(0, 2),
    }

    class InTF32(TorchFunctionMode):
        """Rounds the factors of each product, to nearest."""

        def __torch_function__(self, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if f in factors:
                args = [*args]
                args[factors[f]] = map(_rounded_to_tf32, args[factors[f]])
            return f(*args, **(kwargs or {}))

    return InTF32()


def _rounded_to_tf32(numbers: Any) -> Any:
    """Float32 numbers of which the 13 last digits are 0."""
    import torch

    digits = numbers.contiguous().view(torch.int32)
    return ((digits + 0x0FFF + ((digits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


def _store_in_blocks(model: Any, name: str) -> None:
    """Change the matrices of a model of transformers to what a format of GGUF has in their place."""
    import torch

    from handcraft_check.arithmetic.block_formats import in_blocks

    for key, weight in model.named_parameters():  # lm_head is wte
        if weight.ndim == 2 and "wpe" not in key:
            rows = weight.data.numpy().astype(np.float64)
            found = in_blocks(rows, name)[0] if "wte" in key else in_blocks(rows.T, name)[0].T
            weight.data = torch.from_numpy(found.astype(np.float32))


def row(regime: str, number: int) -> tuple[str, ...]:
    """One row of the table."""
    place = [*REGIMES].index(regime) * len(NAMES) + number
    found = proof_measured(__file__, place, SECONDS)
    is_proved = found["verdict"] == "proved"
    cases = f"{found['cases']:,}" if is_proved else ""
    margins = [f"{found[name]:.4f}" if is_proved else "" for name in ("margin", "seen")]
    seconds = f"{found['s']:.1f}" if "s" in found else ""
    return (NAMES[number], verdict_in_words(found), cases, *margins, seconds)


def main() -> None:
    """Print the table."""
    regime, chosen = sys.argv[1], sys.argv[2:] or NAMES
    head = (f"in {regime}", "verdict", "cases", "proved margin", "smallest seen", "s")
    print_table(head, (row(regime, NAMES.index(name)) for name in chosen))


if __name__ == "__main__":
    if sys.argv[1:2] == ["proved"]:
        answer({"proved": proved}, sys.argv[1:])
    else:
        main()
