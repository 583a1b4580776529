"""Random programs of patterns, compiled to Llamas, are proved in their dtype, and no run differs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from checked_programs import n_grams
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_margins import DTYPES, margins

from handcraft import Program, Prompts, compile_program, predict, save
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.by_windows.cases import Cases
from handcraft_check.by_windows.rotary_windows import RotaryWindowModel, rotary_copies
from handcraft_check.by_windows.windows import TokenSets, WindowMeaning
from handcraft_check.claim import read_claim
from handcraft_check.errors import CheckError
from handcraft_check.layers.matrix import Ids
from handcraft_check.prove import prove
from handcraft_check.radius import prove_radius

patterns = n_grams(most=6).filter(lambda program: all(rule.flag is None for rule in program.rules))

pytestmark = pytest.mark.filterwarnings("ignore::handcraft.errors.HandcraftWarning")


@given(program=patterns, dtype=st.sampled_from(DTYPES))
@settings(max_examples=25)
def test_a_compiled_llama_is_proved(program, dtype, tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    save(compile_program(program, architecture="llama", dtype=dtype), folder)
    verdict = prove(folder, regime=dtype)
    assert verdict.word == "proved", verdict
    for how in ("eager", "sdpa"):
        assert verdict.margin <= margins(folder, dtype, how)


@given(program=patterns, dtype=st.sampled_from(DTYPES), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_sets_of_tokens_hold_each_text(program, dtype, seed, tmp_path_factory):
    """What is computed of sets of tokens at all positions of a kind holds what each text makes."""
    folder, rng = tmp_path_factory.mktemp("llama"), np.random.default_rng(seed)
    save(compile_program(program, architecture="llama", dtype=dtype), folder)
    claim = read_claim(folder, regime=dtype)
    if dtype != "float32":
        claim = claim.each[rng.integers(2)]
    count, length = len(claim.token_ids), claim.domain.length
    heads = rotary_copies(claim.model, claim.token_ids, length)
    sets = TokenSets(count)
    for window in WindowMeaning(claim.meaning, length).windows(heads.winners):
        model = RotaryWindowModel(claim.model, heads, window, sets)
        groups = model.add(model.together(is_outright=False))
        some = [np.flatnonzero(rng.random(count) < 0.6) for _ in range(window.sources.shape[1])]
        some = [each if len(each) else np.array([0]) for each in some]
        chosen = np.array([[sets.number(each) for each in some]])
        cases, x = model.run(Cases(groups, chosen), 1 << 12)
        at = int(rng.integers(len(window.positions)))
        text = rng.integers(count, size=window.positions[at] + 1)
        for source, each in zip(window.sources[at], some, strict=True):
            text[source] = rng.choice(each)
        alone = claim.model.run(claim.token_ids[text])
        case = the_case_of(text[window.sources[at]], cases, sets)
        logits = model.logits(claim.model.normed_sums(x.rows(case), claim.model.ln_f))
        assert_overlaps(alone, logits[0])


def the_case_of(tokens: Ids, cases: Cases, sets: TokenSets) -> Ids:
    """The only one of some cases that allows tokens."""
    found = [
        case
        for case, chosen in enumerate(cases.chosen)
        if all(token in sets[number] for token, number in zip(tokens, chosen, strict=True))
    ]
    assert len(found) == 1
    return np.array(found)


def assert_overlaps(alone: Bounded, many: Bounded) -> None:
    """Both contain what is computed, so that no interval is beside the other."""
    if np.isnan(many.center).any():
        return
    assert (np.abs(alone.center - many.center) <= alone.error + many.error).all()


BEGIN = {"SpecialToken": {"id": "<s>", "type_id": 0}}
TEXT = {"Sequence": {"id": "A", "type_id": 0}}
NO_TEMPLATE = "in a way that is not known"
TEMPLATES = {
    "none": ({"single": [TEXT]}, r"the id in front of a text is none, and 2 in config\.json"),
    "another": (
        {"special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
        r"the id in front of a text is 0, and 2 in config\.json",
    ),
    "twice": ({"single": [BEGIN, BEGIN, TEXT]}, "the id in front of a text is 2 and 2"),
    "at the end too": ({"single": [BEGIN, TEXT, BEGIN]}, "the id 2 is added at the end"),
    "no text": ({"single": [BEGIN]}, NO_TEMPLATE),
    "two texts": ({"single": [BEGIN, TEXT, TEXT]}, NO_TEMPLATE),
    "an empty piece": ({"single": [BEGIN, TEXT, {}]}, NO_TEMPLATE),
    "another kind": ({"type": "BertProcessing", "cls": ["<s>", 2]}, NO_TEMPLATE),
    "no kind": ({"type": None}, NO_TEMPLATE),
    "unknown token": ({"special_tokens": {}}, NO_TEMPLATE),
    "no template": (None, r"the id in front of a text is none, and 2 in config\.json"),
}


@pytest.mark.parametrize("change", TEMPLATES)
def test_the_tokenizer_puts_the_begin_token_in_front_and_adds_no_more(change, tmp_path):
    prompts = Prompts("ab", context=3)
    program = Program(prompts=prompts, rules=[predict("b").after("aa"), predict("a").otherwise()])
    save(compile_program(program, architecture="llama"), tmp_path)
    path = tmp_path / "tokenizer.json"
    data = json.loads(path.read_text())
    other, why = TEMPLATES[change]
    data["post_processor"] = other and data["post_processor"] | other
    path.write_text(json.dumps(data))
    with pytest.raises(CheckError, match=why):
        prove(tmp_path)
    path.unlink()
    assert prove(tmp_path).word == "proved"


def test_a_llama_has_a_radius(tmp_path):
    prompts = Prompts("ab", context=3)
    program = Program(prompts=prompts, rules=[predict("b").after("aa"), predict("a").otherwise()])
    save(compile_program(program, architecture="llama"), tmp_path)
    radius, verdict = prove_radius(tmp_path)
    assert verdict.word == "proved"
    assert 2.0**-24 < radius < 2.0**-3
    claim, rng = read_claim(tmp_path), np.random.default_rng(0)
    model = claim.model
    for _ in range(10):
        moved = _moved(model, rng, radius)
        for text in ([0], [0, 0], [1, 0, 0], [0, 1, 1]):
            ids = claim.token_ids[np.array(text)]
            answer = int(claim.meaning.answers(np.array([text])).codes[0])
            logits = moved.run(ids)
            others = np.delete(logits.center, claim.token_ids[answer])
            margin = logits.center[claim.token_ids[answer]] - others.max()
            assert margin >= verdict.margin - 2 * logits.error.max()


def _moved(model, rng, radius):
    """The same model with all weights moved, by up to a share of each."""

    def off(each):
        share = rng.choice([-1, 1], size=each.shape) * rng.choice([1, rng.random()])
        return each * (1 + radius * share)

    block, found = model.blocks[0], type(model).__new__(type(model))
    found.__dict__ |= {name: each for name, each in vars(model).items() if name != "begun"}
    heads = replace(
        block.heads,
        matching=replace(block.heads.matching, weight=off(block.heads.matching.weight)),
        moving=replace(block.heads.moving, weight=off(block.heads.moving.weight)),
        out=replace(block.heads.out, weight=off(block.heads.out.weight)),
    )
    units = {
        name: replace(getattr(block, name), weight=off(getattr(block, name).weight))
        for name in ("gate", "c_fc", "mlp_out")
    }
    found.blocks = [replace(block, heads=heads, **units)]
    found.unembedding = replace(model.unembedding, weight=off(model.unembedding.weight))
    return found
