"""Llamas of programs that do not depend on the order of tokens: one case for all orders."""

from __future__ import annotations

import json

import llama_folders
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_margins import DTYPES, margins
from random_layers import seeds

from handcraft import Program, Prompts, compile_program, predict, save, select, where
from handcraft_check.arithmetic.regime import REGIMES
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.claim import read_claim
from handcraft_check.layers.rotary import Rotary
from handcraft_check.prove import prove

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore::handcraft.errors.HandcraftWarning")


def letters(text="ab", context=6, **more):
    prompts = Prompts(text, context=context, **more)
    return prompts, prompts.token, prompts.everything


def exists():
    prompts, token, _ = letters()
    rules = [predict("a").when(select(token, "a").exists()), predict("b").otherwise()]
    return Program(prompts=prompts, rules=rules)


def most():
    prompts, token, everywhere = letters("abc", 5)
    share = everywhere.mean(where(token == "a", 1, where(token == "b", -1, 0)))
    rules = [predict("a").when(share > 0), predict("b").when(share < 0), predict("c").otherwise()]
    return Program(prompts=prompts, rules=rules)


def counted():
    prompts, token, _ = letters("ab", 7)
    rules = [predict("a").when(select(token, "b").count() == 2), predict("b").otherwise()]
    return Program(prompts=prompts, rules=rules)


PROGRAMS = {each.__name__: each for each in (exists, most, counted)}


@given(seeds, st.sampled_from(DTYPES), st.sampled_from([1e4, 100.0]), st.integers(1, 4))
def test_a_key_is_known_wherever_it_stands(rng, name, theta, half):
    rotary = Rotary(np.arange(half)[None], theta, 2 * half)
    center = np.concatenate([rng.integers(-9, 9, size=(3, 1, 2 * half)), np.zeros((3, 1, 2))], axis=-1)
    x = Bounded(center, np.where(center == 0, 0.0, rng.choice([0, 2.0**-20])))
    positions = np.sort(rng.permutation(40)[: rng.integers(1, 9)])
    found = rotary.rotated_anywhere(x, positions, REGIMES[name])
    for position in positions:
        there = rotary.rotated(x, np.array([position]), REGIMES[name])
        slack = 1e-15 * np.abs(there.center)
        assert (np.abs(there.center - found.center) + there.error <= found.error + slack).all()


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_run_has_a_smaller_margin_than_is_proved(name, tmp_path):
    save(compile_program(PROGRAMS[name](), architecture="llama"), tmp_path)
    verdict, claim = prove(tmp_path), read_claim(tmp_path)
    text_by_text = claim.proof("texts").run()
    assert verdict.word == "proved", verdict
    assert verdict.cases < verdict.inputs / 2
    assert verdict.cases <= text_by_text.cases
    assert verdict.margin == pytest.approx(text_by_text.margin, rel=1e-3)
    for how in ("eager", "sdpa"):
        assert verdict.margin <= margins(tmp_path, "float32", how)


def of_another_program(folder, program, other):
    """A Llama of one program with the certificate of another."""
    save(compile_program(program, architecture="llama"), folder)
    save(compile_program(other, architecture="llama"), folder / "other")
    (folder / "certificate.json").write_text((folder / "other" / "certificate.json").read_text())
    return folder


def test_a_model_that_depends_on_the_order_is_refuted(tmp_path):
    """It finds the a of all texts that are in order, and of no text that begins and ends in b."""
    prompts, token, _ = letters(context=5)
    position = prompts.position
    first, last = (select(position, at).latest(token) for at in (0, position))
    rules = [predict("a").when((first == "a") | (last == "a")), predict("b").otherwise()]
    seen = Program(prompts=prompts, rules=rules)
    other = Program(
        prompts=prompts,
        rules=[predict("a").when(select(token, "a").exists()), predict("b").otherwise()],
    )
    verdict = prove(of_another_program(tmp_path, seen, other), rehash=True)
    assert verdict.word == "refuted"
    assert "a" in verdict.context


def test_a_window_hides_the_first_positions_of_a_text_in_any_order(tmp_path):
    """It sees two tokens: the texts of an a and two b are the same to it only in some orders."""
    prompts, token, _ = letters(context=3, inputs="[ab][ab]b")
    rules = [predict("a").when(select(token, "b").count() >= 2), predict("b").otherwise()]
    save(compile_program(Program(prompts=prompts, rules=rules), architecture="llama"), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    sizes = {"hidden_size": 4, "intermediate_size": 1, "num_hidden_layers": 1, "head_dim": 4}
    config |= sizes | {"num_attention_heads": 1, "num_key_value_heads": 1, "rms_norm_eps": 1e-6}
    config |= {"tie_word_embeddings": False}
    config |= {"model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": 2}
    block = "model.layers.0"
    moved, written = np.zeros((2, 4, 4))
    moved[0, 0] = written[2, 0] = 1
    tensors = {
        "model.embed_tokens.weight": np.array([[-1, 1, 0, 0], [1, 1, 0, 0], [-1, 1, 0, 0]]),
        f"{block}.input_layernorm.weight": np.ones(4),
        f"{block}.self_attn.q_proj.weight": np.zeros((4, 4)),
        f"{block}.self_attn.k_proj.weight": np.zeros((4, 4)),
        f"{block}.self_attn.v_proj.weight": moved,
        f"{block}.self_attn.o_proj.weight": written,
        f"{block}.post_attention_layernorm.weight": np.ones(4),
        f"{block}.mlp.gate_proj.weight": np.zeros((1, 4)),
        f"{block}.mlp.up_proj.weight": np.zeros((1, 4)),
        f"{block}.mlp.down_proj.weight": np.zeros((4, 1)),
        "model.norm.weight": np.ones(4),
        "lm_head.weight": np.array([[0, -20, 30, 0], [0, 0, 0, 0], [0, -90, 0, 0]]),
    }
    llama_folders.write(tmp_path, {k: each.astype(np.float32) for k, each in tensors.items()}, config)
    verdict = prove(tmp_path, rehash=True)
    assert (verdict.word, verdict.context) == ("refuted", ("b", "a", "b"))
