"""Expressions over many words, judged by transformers in every dtype and with both attentions."""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from gallery import facts
from judges import DTYPES, IMPLEMENTATIONS, judge

from handcraft import Program, Prompts, compile_program, predict, save, select

torch = judge("torch")
transformers = judge("transformers")

NAMES = ("induction", "bigram", "indirect object")


@cache
def program(name: str) -> Program:
    if name == "indirect object":
        return facts("ioi")["program"]
    words = tuple(f"w{n}" for n in range(300))
    prompts = Prompts(words, context=72 if name == "induction" else 8)
    token = prompts.token
    answer = token.map(dict(zip(words, words[7:] + words[:7], strict=True)))
    if name == "induction":
        before = token.at(-1, default="w0")
        answer = select(before, token).latest(token, default="w0")
    return Program(prompts=prompts, rules=[predict(answer).otherwise()])


@pytest.mark.parametrize(("name", "dtype"), [*product(NAMES, DTYPES)])
def test_transformers_answers_what_the_rules_mean(name: str, dtype: str, tmp_path: Path) -> None:
    """The texts are random, most of them over few words, which then occur often."""
    meant = program(name)
    save(compile_program(meant, dtype=dtype), tmp_path / "model")
    chosen = np.random.default_rng(3)
    sizes = [[2], [5], [9], [len(meant.vocabulary)]]
    texts = chosen.integers(0, sizes, size=(4, meant.context))
    expected = [meant.next_tokens(text) for text in texts.tolist()]
    for attention in IMPLEMENTATIONS:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            tmp_path / "model", dtype=getattr(torch, dtype), attn_implementation=attention
        ).eval()
        with torch.no_grad():
            logits = model(torch.from_numpy(texts)).logits[..., : len(meant.vocabulary)]
        assert logits.isfinite().all()
        assert logits.argmax(-1).tolist() == expected
