"""Programs of windows are proved at all positions at once, and only where they are right."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from checked_programs import n_grams
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps import sweep

from handcraft import Program, Prompts, compile_program, lookup, predict, save
from handcraft.weights.layout import Sizes
from handcraft_check import attempts
from handcraft_check.attempts import attempted
from handcraft_check.by_cases.found import BudgetError
from handcraft_check.by_windows import window_model
from handcraft_check.by_windows.copies import copied
from handcraft_check.by_windows.narrow import narrowed
from handcraft_check.by_windows.window_model import WindowModel
from handcraft_check.by_windows.window_proof import _Kind, prove_windows
from handcraft_check.by_windows.windows import TokenSets, UnfitError, WindowMeaning
from handcraft_check.claim import read_claim
from handcraft_check.folder.files import read_tensors
from handcraft_check.layers.model import Model
from handcraft_check.prove import prove


def claim_of(program, folder, width=None):
    """What the folder of a compiled program says."""
    save(compile_program(program, architecture="gpt2", sizes=Sizes(n_embd=width)), folder)
    return read_claim(folder)


def texts(claim):
    """All texts of each length, as places: [text, position]."""
    for length in range(1, claim.domain.length + 1):
        yield np.array([*product(range(len(claim.token_ids)), repeat=length)])


@given(program=n_grams(), outright=st.sampled_from([0, 1 << 13]), width=st.sampled_from([None, 240]))
@settings(max_examples=sweep(60))
@pytest.mark.filterwarnings("ignore::handcraft.errors.HandcraftWarning")
def test_every_text_is_in_a_case_with_no_larger_margin(program, outright, width, tmp_path_factory):
    claim = claim_of(program, tmp_path_factory.mktemp("model"), width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window_model, "OUTRIGHT", outright)
        meaning = WindowMeaning(claim.meaning, claim.domain.length)
        count, length = len(claim.token_ids), claim.domain.length
        narrow = narrowed(claim.model, claim.token_ids, length, merges=True)
        heads = copied(narrow, np.arange(count), length)
        sets = TokenSets(count)
        kinds = {}
        for window in meaning.windows(heads.winners):
            model = WindowModel(narrow, heads, window, sets)
            kind = _Kind(meaning, model, np.arange(count), lambda text: None)
            kind.run(1 << 15)
            kinds.update({int(position): kind for position in window.positions})
    for some in texts(claim):
        kind = kinds[some.shape[1] - 1]
        where = kind.window.sources[np.searchsorted(kind.window.positions, some.shape[1] - 1)]
        picked = np.random.default_rng(len(some)).permutation(len(some))[:12]
        for text in some[picked]:
            cases = [
                case
                for case, (group, chosen) in enumerate(
                    zip(kind.done.groups, kind.done.chosen, strict=True)
                )
                if some.shape[1] - 1 in kind.model.groups[group]
                and all(text[at] in sets[number] for at, number in zip(where, chosen, strict=True))
            ]
            assert len(cases) == 1
            answer = claim.token_ids[claim.meaning.answers(text[None]).token[0]]
            logits = claim.model.run(claim.token_ids[text])
            others = np.delete(logits.center + logits.error, answer)
            most = (
                logits.center[answer] + logits.error[answer] - (others - 2 * logits.error.max()).max()
            )
            assert kind.judged.margins[cases[0]] <= most


def test_long_texts_take_no_more_cases_than_short_ones(tmp_path):
    rules = [predict("b").after("aab"), predict("c").after("ca"), predict("a").otherwise()]
    found = []
    for length in (64, 512):
        program = Program(vocabulary="abc", context=length, rules=rules)
        claim = claim_of(program, tmp_path / str(length))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(window_model, "OUTRIGHT", 0)
            found.append(
                prove_windows(claim.model, claim.token_ids, claim.domain, claim.meaning, budget=1 << 12)
            )
    assert found[1].margin > 20
    assert found[1].cases < 2 * found[0].cases < 1000


def test_words_that_no_rule_mentions_are_one_case(tmp_path):
    words = [f"w{number}" for number in range(60)]
    rules = [predict("w1").after("w2 w3 w4"), predict("w5").after("w4"), predict("w0").otherwise()]
    claim = claim_of(Program(vocabulary=words, context=40, rules=rules), tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window_model, "OUTRIGHT", 0)
        found = prove_windows(claim.model, claim.token_ids, claim.domain, claim.meaning, budget=1 << 12)
    assert found.margin > 5
    assert found.cases < 200


def test_a_wrong_rule_is_not_proved(tmp_path):
    rules = [predict("b").after("aab"), predict("c").after("ca"), predict("a").otherwise()]
    claim = claim_of(Program(vocabulary="abc", context=100, rules=rules), tmp_path / "right")
    rules[1] = predict("b").after("ca")
    other = claim_of(Program(vocabulary="abc", context=100, rules=rules), tmp_path / "wrong")
    with pytest.raises(UnfitError, match="too little is known"):
        prove_windows(claim.model, claim.token_ids, claim.domain, other.meaning, budget=1 << 15)
    found = attempted(replace(claim, meaning=other.meaning), 1 << 15, lambda text: None)
    assert found.word == "refuted"
    assert found.found.worst[-2:] == ("c", "a")
    assert found.reason == "the model predicts 'c', and 'b' is meant"


@pytest.mark.parametrize(("least", "context"), [(9.0, 6), (9.0, 60), (None, 6)])
def test_few_texts_are_decided_one_by_one_where_windows_show_far_less_than_runs(
    least, context, tmp_path, monkeypatch
):
    rules = [predict("b").after("aab"), predict("c").after("ca"), predict("a").otherwise()]
    claim = claim_of(Program(vocabulary="abc", context=context, rules=rules), tmp_path)
    shown = prove_windows(claim.model, claim.token_ids, claim.domain, claim.meaning, budget=1 << 15)
    worse = shown if least is None else replace(shown, margin=least)
    monkeypatch.setattr(attempts, "prove_windows", lambda *given, **options: worse)
    said: list[str] = []
    found = attempted(claim, 1 << 15, said.append)
    is_tried = least is not None and context == 6
    assert any("cases may show more" in line for line in said) is is_tried
    best = shown if is_tried else worse
    assert found.word == "proved"
    assert found.found.margin == pytest.approx(best.margin, rel=1e-3)


@pytest.mark.parametrize("block", ["h.0.attn.c_attn.weight", "h.0.mlp.c_fc.bias", "wpe.weight"])
def test_a_broken_model_is_not_proved(block, tmp_path):
    rules = [predict("b").after("aab"), predict("c").after("ca"), predict("a").otherwise()]
    claim = claim_of(Program(vocabulary="abc", context=30, rules=rules), tmp_path)
    right = claim_of(Program(vocabulary="abc", context=30, rules=rules), tmp_path)
    model = right.model
    if block == "wpe.weight":
        model.wpe.center[20] = model.wpe.center[3]
    elif block.endswith("c_fc.bias"):
        model.blocks[0].c_fc.bias[:] += 3 * np.abs(model.blocks[0].c_fc.bias).max()
    else:
        model.blocks[0].heads.matching.weight[:, 0] *= -1
    with pytest.raises(UnfitError):
        prove_windows(model, claim.token_ids, claim.domain, claim.meaning, budget=1 << 15)


def test_a_table_without_a_row_for_every_text(tmp_path):
    prompts = Prompts("ab", context=4)
    pair = lookup({("a", "a"): "b", ("a", "b"): "a", ("b", "a"): "b", ("b", "b"): "b"},
                  prompts.token, prompts.token.at(-1, default="a"))  # fmt: skip
    claim = claim_of(Program(prompts=prompts, rules=[predict(pair).otherwise()]), tmp_path)
    given = (claim.model, claim.token_ids, claim.domain)
    assert prove_windows(*given, claim.meaning, budget=1 << 12).margin > 5
    nodes = [
        replace(node, rest=None) if node.op == "table" and len(node.of) == 2 else node
        for node in claim.meaning.nodes
    ]
    assert tuple(nodes) != claim.meaning.nodes
    with pytest.raises(UnfitError, match="not every text"):
        prove_windows(*given, replace(claim.meaning, nodes=tuple(nodes)), budget=1 << 12)


@pytest.mark.parametrize("name", ["recall", "histogram", "parity", "median"])
def test_programs_that_read_no_windows(name, tmp_path):
    from importlib import import_module

    claim = claim_of(import_module(f"programs.{name}").program, tmp_path)
    with pytest.raises(UnfitError):
        prove_windows(claim.model, claim.token_ids, claim.domain, claim.meaning, budget=1 << 12)


def test_the_verdict_of_a_window_program(tmp_path):
    rules = [predict("b").after("aa"), predict("a").otherwise()]
    program = Program(vocabulary="ab", context=1024, rules=rules)
    save(compile_program(program, architecture="gpt2"), tmp_path)
    found = prove(tmp_path)
    assert found.word == "proved"
    assert found.inputs == 2**1025 - 2
    assert 29 < found.margin < 29.1037


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """A folder that is right after every text, its claim and its tensors."""
    rules = [
        predict("b").after("aab"),
        predict("c").after("ca"),
        predict("c").after("bb"),
        predict("b").after("c"),
        predict("a").otherwise(),
    ]
    folder = tmp_path_factory.mktemp("right")
    claim = claim_of(Program(vocabulary="abc", context=5, rules=rules), folder)
    content = (folder / "model.safetensors").read_bytes()
    return claim, read_tensors(content, "model.safetensors")[0]


@given(rng=st.integers(0, 2**32 - 1).map(np.random.default_rng), outright=st.sampled_from([0, 1 << 13]))
@settings(max_examples=15)
def test_a_changed_weight_that_changes_an_answer_keeps_no_proof(rng, outright, right):
    claim, tensors = right
    name = rng.choice(sorted(tensors))
    changed = tensors[name].copy().reshape(-1)
    place = rng.choice(np.flatnonzero(changed)) if changed.any() else 0
    old = changed[place]
    changed[place] = rng.choice([0, -old, 2 * old, old * 1.01, old + rng.normal(), 1e6, 3e38])
    model = Model(claim.model.config, {**tensors, name: changed.reshape(tensors[name].shape)})
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(window_model, "OUTRIGHT", outright)
            found = prove_windows(model, claim.token_ids, claim.domain, claim.meaning, budget=1 << 15)
    except (UnfitError, BudgetError):
        return
    for some in texts(claim):
        for text in some[rng.permutation(len(some))[:5]]:
            answer = claim.token_ids[claim.meaning.answers(text[None]).token[0]]
            logits = model.run(claim.token_ids[text])
            others = np.delete(logits.center, answer).max()
            assert logits.center[answer] - others >= found.margin - 2 * logits.error.max()
