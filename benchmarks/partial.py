"""A compiled induction head in a model that is trained: `python benchmarks/partial.py`.

Two GPT-2 of one shape are trained by AdamW to predict the next word of an old nursery rhyme. One begins
with a compiled induction head, which stays frozen; the other begins with random numbers. In half of the
windows all words are renamed, in each in another way: there only what stands in the window itself says
what comes next. With `--picture` the losses are drawn as docs/pictures/partial-training.svg.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from measuring import print_table
from transformers import GPT2Config, GPT2LMHeadModel

import handcraft.torch
from handcraft import Program, Prompts, compile_program, predict, save, select
from handcraft.draw.curves import curves_svg
from handcraft.torch import Partial, still_used
from handcraft.weights import Sizes

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "pictures" / "partial-training.svg"

LAST = (
    ("the farmer sowing his corn", "that kept"),
    ("the cock that crowed in the morn", "that waked"),
    ("the priest all shaven and shorn", "that married"),
    ("the man all tattered and torn", "that kissed"),
    ("the maiden all forlorn", "that milked"),
    ("the cow with the crumpled horn", "that tossed"),
    ("the dog", "that worried"),
    ("the cat", "that killed"),
    ("the rat", "that ate"),
    ("the malt", "that lay in"),
    ("the house that jack built", ""),
)
"""The rhyme of the house that Jack built, as it was printed in 1755: who, and what they did."""

UNKNOWN = "?"
"""What the induction head predicts after a word that it has not seen."""

WINDOW, BATCH, STEPS, EVERY = 32, 16, 600, 20
RATE, MARGIN, SEED = 1e-3, 2.0, 0


def rhyme() -> list[str]:
    """All words, verse after verse, every line sung twice."""
    words: list[str] = []
    for first in reversed(range(len(LAST))):
        for who, did in LAST[first:]:
            words += [*who.split(), *did.split()] * 2
    return words


def induction(words: list[str]) -> Program:
    """Predict the word that followed the last time."""
    prompts = Prompts([*sorted(set(words)), UNKNOWN], context=WINDOW)
    token, position = prompts.token, prompts.position
    before = token.at(-1, default=UNKNOWN)
    followed = select(before, token) & select(position, 0, ">")
    answer = followed.latest(token, default=UNKNOWN)
    return Program(prompts=prompts, rules=[predict(answer).otherwise()])


class Tried:
    """The losses of one model on windows of the rhyme, as it is and with renamed words."""

    def __init__(self) -> None:
        self.plain: list[float] = []
        self.renamed: list[float] = []

    def measure(self, module: Any, text: Any, size: int) -> None:
        """Add the losses of a model as it is now, always on the same windows."""
        generator = torch.Generator().manual_seed(SEED + 1)
        module.eval()
        with torch.no_grad():
            ids = windows(text, 64, generator)
            self.plain.append(module(input_ids=ids, labels=ids).loss.item())
            ids = renamed(ids, size, generator)
            self.renamed.append(module(input_ids=ids, labels=ids).loss.item())
        module.train()


def windows(text: Any, count: int, generator: Any) -> Any:
    """Random windows of the text: [window, position]."""
    starts = torch.randint(0, len(text) - WINDOW, (count,), generator=generator)
    return torch.stack([text[start : start + WINDOW] for start in starts.tolist()])


def renamed(ids: Any, size: int, generator: Any) -> Any:
    """Windows in each of which every word stands for another one; `UNKNOWN`, the last, for none."""
    names = torch.stack([torch.randperm(size - 1, generator=generator) for _ in ids])
    return torch.gather(names, 1, ids)


def train(module: Any, text: Any, size: int, steps: int) -> tuple[Tried, float]:
    """Train one model; the losses every so often, and the seconds it took."""
    generator = torch.Generator().manual_seed(SEED)
    optimizer = torch.optim.AdamW(module.parameters(), lr=RATE, weight_decay=0.01)
    tried, start = Tried(), time.perf_counter()
    for step in range(steps + 1):
        if step % EVERY == 0:
            tried.measure(module, text, size)
        half = windows(text, BATCH // 2, generator)
        ids = torch.cat([half, renamed(windows(text, BATCH // 2, generator), size, generator)])
        optimizer.zero_grad()
        module(input_ids=ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
    return tried, time.perf_counter() - start


def partly_compiled(program: Program) -> Partial:
    """The induction head, frozen, in a model with room for more."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = compile_program(program, sizes=Sizes(n_embd=192, n_head=6))
        save(compiled, Path(folder) / "induction")
        return handcraft.torch.load(
            Path(folder) / "induction", blocks=1, logit_margin=MARGIN, seed=SEED
        )


def random_model(partial: Partial) -> Any:
    """A GPT-2 of the same shape that begins with random numbers."""
    torch.manual_seed(SEED)
    return GPT2LMHeadModel(GPT2Config(**partial.module.config.to_diff_dict())).train()


def main() -> None:
    """Train both, print the losses and what became of the compiled part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--picture", action="store_true", help=f"write {PICTURE.name}")
    options = parser.parse_args()
    words = rhyme()
    program = induction(words)
    text = torch.tensor(program.vocabulary.ids(" ".join(words)))
    partial = partly_compiled(program)
    size = len(program.vocabulary)
    print(f"{len(words)} words, {size - 1} of them different; {partial.model.parameters:,} parameters")
    compiled, compiled_s = train(partial.module, text, size, options.steps)
    learned, learned_s = train(random_model(partial), text, size, options.steps)
    both = ((compiled, "compiled head", compiled_s), (learned, "random start", learned_s))
    rows = [
        [
            name,
            *(f"{x:.2f}" for x in (t.plain[0], t.renamed[0], t.plain[-1], t.renamed[-1])),
            f"{s:.0f}",
        ]
        for t, name, s in both
    ]
    head = ["model", "rhyme, before", "renamed, before", "rhyme, after", "renamed, after", "s"]
    print_table(head, rows)
    generator = torch.Generator().manual_seed(SEED + 2)
    print(still_used(partial, renamed(windows(text, 32, generator), size, generator).numpy()))
    if options.picture:
        curves = {
            f"{name.split()[0]}: {kind}": losses
            for t, name, _ in both
            for kind, losses in (("rhyme", t.plain), ("renamed", t.renamed))
        }
        title = "Loss in nats a word, on the rhyme and with renamed words"
        picture = curves_svg(curves, title=title, x_label=f"times {EVERY} steps of training")
        PICTURE.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
