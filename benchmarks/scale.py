"""One rule for every hidden unit of GPT-2 small: compile them, and try every one in transformers.

36,864 rules, one for each of the 3,072 hidden units of 12 blocks, predict a word after two words, all
pairs different, over 1,000 made-up words. They are drawn from a seed and written as a rule file, which
is read and compiled in the shape of GPT-2 small and written as a Hugging Face repository. The checker
proves it from its files. An unmodified `GPT2LMHeadModel` then answers every rule as a prompt; rules
behind random words; and contexts that match none. What is right is looked up in the pairs as they were
drawn, without handcraft. Needs torch and transformers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

from measuring import answer, measured, peak_memory, print_table, verdict_in_words

RULES, WORDS = 36_864, 1_000
SHAPE = "gpt2-small"
LONGEST = 16
SAMPLE = 2_000
BATCH = 256
DTYPES = ("float32", "bfloat16")
FOLDER = Path(__file__).resolve().parents[1] / "build" / "scale"

Pairs = dict[tuple[int, int], int]
"""What follows each pair of words; all are places in the list of words."""


def made_up_words(count: int) -> list[str]:
    """Words of two syllables, in order."""
    syllables = ["".join(letters) for letters in product("bdfgklmnprstvz", "aeiou")]
    return sorted(Random(0).sample(["".join(pair) for pair in product(syllables, repeat=2)], count))


def drawn_pairs(rules: int, words: int) -> Pairs:
    """Random pairs, all different, and what follows them; the first word follows all others."""
    chosen = Random(1)
    pairs = chosen.sample(range(words * words), rules)
    return {divmod(pair, words): chosen.randrange(1, words) for pair in pairs}


def rule_file(pairs: Pairs, words: Sequence[str]) -> str:
    """The rules as text."""
    lines = [f"vocabulary {' '.join(words)}", f"context {LONGEST}"]
    lines += [f"predict {words[c]} after {words[a]} {words[b]}" for (a, b), c in pairs.items()]
    return "\n".join([*lines, f"predict {words[0]} otherwise", ""])


def build(rules: int, words: int) -> dict[str, Any]:
    """Read the rule file, compile it, save it; seconds and peak memory of each."""
    from handcraft import compile_program, parse_rules, save

    path = FOLDER / "pairs.rules"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(rule_file(drawn_pairs(rules, words), made_up_words(words)), encoding="utf-8")
    start = time.perf_counter()
    program = parse_rules(path.read_text(encoding="utf-8"), str(path))
    read = time.perf_counter()
    compiled = compile_program(program, like=SHAPE)
    made = time.perf_counter()
    held = peak_memory()
    save(compiled, FOLDER / "model", like=SHAPE)
    return {
        "blocks": compiled.model.shape.n_layer,
        "width": compiled.model.shape.n_embd,
        "units": sum(len(layer.units) for layer in compiled.plan.layers),
        "nonzero": compiled.model.nonzero_parameters,
        "s to read": read - start,
        "s to compile": made - read,
        "s to save": time.perf_counter() - made,
        "MB to compile": held,
    }


def prove() -> dict[str, Any]:
    """What the checker proves of the repository."""
    from handcraft_check.prove import prove

    start = time.process_time()
    verdict = prove(FOLDER / "model")
    return {
        "verdict": verdict.word,
        "reason": verdict.reason,
        "cases": verdict.cases,
        "margin": verdict.margin,
        "s": time.process_time() - start,
    }


def contexts_of(pairs: Pairs, words: int) -> Iterator[tuple[str, list[list[int]]]]:
    """The contexts to try, by what they show."""
    chosen = Random(2)

    def some(count: int) -> list[int]:
        return [chosen.randrange(words) for _ in range(count)]

    yield "each rule as a prompt", [list(pair) for pair in pairs]
    picked = chosen.sample(list(pairs), min(SAMPLE, len(pairs)))
    yield (
        "rules behind other words",
        [[*some(chosen.randint(1, LONGEST - 2)), *pair] for pair in picked],
    )
    drawn = (some(chosen.randint(1, LONGEST)) for _ in range(2 * SAMPLE))
    unmatched = [ids for ids in drawn if tuple(ids[-2:]) not in pairs]
    yield "contexts that no rule matches", unmatched[:SAMPLE]


def judge(rules: int, words: int) -> dict[str, Any]:
    """What transformers answers: how many of each kind are wrong, and the smallest margin."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    pairs = drawn_pairs(rules, words)
    found: dict[str, Any] = {}
    for dtype in DTYPES:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            FOLDER / "model", dtype=getattr(torch, dtype)
        ).eval()
        found["parameters"] = sum(parameter.numel() for parameter in model.parameters())
        start = time.perf_counter()
        found[dtype] = {
            kind: wrong_and_margin(model, contexts, pairs)
            for kind, contexts in contexts_of(pairs, words)
        }
        print(f"{dtype}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return found


def wrong_and_margin(model: Any, contexts: Iterable[list[int]], pairs: Pairs) -> tuple[int, int, float]:
    """How many contexts were tried, how many are answered wrong, and the smallest margin in nats."""
    import torch

    by_length: dict[int, list[list[int]]] = {}
    for ids in contexts:
        by_length.setdefault(len(ids), []).append(ids)
    tried, wrong, margin = 0, 0, float("inf")
    for same in by_length.values():
        for start in range(0, len(same), BATCH):
            batch = same[start : start + BATCH]
            meant = torch.tensor([pairs.get((*ids[-2:],), 0) for ids in batch])[:, None]
            with torch.inference_mode():
                ids = torch.tensor(batch)
                logits = model(ids, use_cache=False, logits_to_keep=1).logits[:, -1].float()
            right = logits.gather(1, meant)
            others = logits.scatter(1, meant, -float("inf")).max(dim=1, keepdim=True).values
            tried += len(batch)
            wrong += int((right <= others).sum())
            margin = min(margin, float((right - others).min()))
    return tried, wrong, margin


def main(rules: int, words: int) -> None:
    """Print both tables."""
    made: Any = measured(__file__, "build", rules, words)
    proved: Any = measured(__file__, "prove")
    judged: Any = measured(__file__, "judge", rules, words)
    print_table(
        ["rules", "words", "blocks", "width", "hidden units", "parameters", "not 0", "s to read",
         "s to compile", "peak MB", "s to save", "peak MB"],
        [[f"{rules:,}", f"{words:,}", str(made["blocks"]), str(made["width"]), f"{made['units']:,}",
          f"{judged['parameters']:,}", f"{made['nonzero']:,}", f"{made['s to read']:.1f}",
          f"{made['s to compile']:.1f}", str(made["MB to compile"]), f"{made['s to save']:.0f}",
          str(made["peak MB"])]],
    )  # fmt: skip
    print_table(
        ["verdict", "cases", "proved margin", "s", "peak MB"],
        [[verdict_in_words(proved), f"{proved['cases']:,}", f"{proved['margin']:.4f}",
          f"{proved['s']:.0f}", str(proved["peak MB"])]],
    )  # fmt: skip
    print_table(
        ["in transformers", "dtype", "tried", "wrong", "smallest margin in nats"],
        [
            [kind, dtype, f"{tried:,}", str(wrong), f"{margin:g}"]
            for dtype in DTYPES
            for kind, (tried, wrong, margin) in judged[dtype].items()
        ],
    )


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in ("build", "prove", "judge"):
        answer({"build": build, "prove": prove, "judge": judge}, sys.argv[1:])
    else:
        main(*map(int, sys.argv[1:3])) if len(sys.argv) > 2 else main(RULES, WORDS)
