"""Rules over expressions, judged by transformers: every context, in every dtype that holds them."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from judges import judge

from handcraft import Program, Prompts, compile_program, predict, save, select
from handcraft.errors import PrecisionError

torch = judge("torch")
transformers = judge("transformers")

PROMPTS = Prompts("abc", context=5)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
BEFORE = TOKEN.at(-1, default="a")
AGAIN = select(BEFORE, TOKEN)

PROGRAMS = {
    "what followed last time": [
        predict(AGAIN.latest(TOKEN, default="c")).when(AGAIN.exists()),
        predict(TOKEN.at_position(0)).otherwise(),
    ],
    "more a than b": [
        predict("a").when(select(TOKEN, "a").count() > select(TOKEN, "b").count()),
        predict("b").otherwise(),
    ],
    "patterns and flags": [
        predict("c").after("a[bc]").when(POSITION % 2 == 0),
        predict(BEFORE).when(select(TOKEN, TOKEN).count() >= 2),
        predict("b").otherwise(),
    ],
    "mostly early": [
        predict("a").when(select(TOKEN, TOKEN).mean(POSITION) < 1.5),
        predict(TOKEN).otherwise(),
    ],
}


REFUSED = {("patterns and flags", "bfloat16"), ("patterns and flags", "float16")}
DTYPES = ["float32", "bfloat16", "float16"]


@pytest.mark.parametrize(
    ("name", "dtype"), [pair for pair in product(PROGRAMS, DTYPES) if pair not in REFUSED]
)
def test_transformers_answers_what_the_rules_mean(name: str, dtype: str, tmp_path: Path) -> None:
    program = Program(prompts=PROMPTS, rules=PROGRAMS[name])
    save(compile_program(program, dtype=dtype), tmp_path / "model")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "model", dtype=getattr(torch, dtype)
    ).eval()
    for length in range(1, PROMPTS.context + 1):
        texts = list(product(range(3), repeat=length))
        with torch.no_grad():
            answers = model(torch.tensor(texts)).logits[:, -1].argmax(-1).tolist()
        meant = [program.next_token(text) for text in texts]
        assert answers == meant


@pytest.mark.parametrize(("name", "dtype"), sorted(REFUSED))
def test_a_dtype_that_is_too_coarse_is_refused(name: str, dtype: str) -> None:
    with pytest.raises(PrecisionError, match=r"the same attention weight|cannot represent"):
        compile_program(Program(prompts=PROMPTS, rules=PROGRAMS[name]), dtype=dtype)


def test_transformers_gives_the_probabilities_that_rules_name(tmp_path: Path) -> None:
    program = Program(
        prompts=PROMPTS,
        rules=[
            predict({"a": 0.2, "b": 0.3, "c": 0.5}).when(TOKEN == "a"),
            predict({"a": 0.01, "c": 0.99}).when(select(TOKEN, "b").count() == 2),
            predict("b").otherwise(),
        ],
    )
    save(compile_program(program), tmp_path / "model")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    for length in range(1, PROMPTS.context + 1):
        texts = list(product(range(3), repeat=length))
        with torch.no_grad():
            shares = model(torch.tensor(texts)).logits[:, -1, :3].softmax(-1).numpy()
        meant = [
            [
                float(program.distribution([PROMPTS.vocabulary.tokens[i] for i in text]).get(t, 0))
                for t in "abc"
            ]
            for text in texts
        ]
        np.testing.assert_allclose(shares, meant, atol=1e-5)
