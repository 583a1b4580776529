"""The benchmark of scale, scaled down: a rule for every hidden unit of a GPT-2, in transformers."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from judges import DTYPES, NATS, ROOT, judge

from handcraft import compile_program, parse_rules, save
from handcraft.weights import Sizes

torch = judge("torch")
transformers = judge("transformers")

pytestmark = pytest.mark.usefixtures("one_thread")

RULES, WORDS = 3 * 288, 100
SIZES = Sizes(n_embd=72, n_head=6)


@pytest.fixture(scope="module")
def scale():
    """What the benchmark defines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))  # where it finds what benchmarks share
        return runpy.run_path(str(ROOT / "benchmarks" / "scale.py"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_rule_is_right_as_a_prompt_behind_other_words_and_where_none_matches(
    scale, dtype, tmp_path: Path
):
    pairs = scale["drawn_pairs"](RULES, WORDS)
    text = scale["rule_file"](pairs, scale["made_up_words"](WORDS))
    compiled = compile_program(parse_rules(text), dtype=dtype, sizes=SIZES, n_positions=16)
    assert [len(layer.units) for layer in compiled.plan.layers] == [288, 288, 288]
    folder = save(compiled, tmp_path / "model")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    assert model.dtype == getattr(torch, dtype)
    for kind, contexts in scale["contexts_of"](pairs, WORDS):
        if kind != "each rule as a prompt" and dtype != "float32":
            contexts = contexts[::4]  # torch computes in half precision slowly
        tried, wrong, margin = scale["wrong_and_margin"](model, contexts, pairs)
        assert (tried, wrong) == (len(contexts), 0), kind
        assert margin > NATS
