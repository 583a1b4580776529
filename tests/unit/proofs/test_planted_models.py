"""Models that are wrong on purpose are wrong exactly where they were planted, and never proved."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from gallery import facts
from safetensors.numpy import load_file, save_file
from sweeps import DEEP

from handcraft import Program, Prompts, predict
from handcraft.errors import CompileError, PromptError, ProofError, VocabularyError
from handcraft.formats.save_planted import save_planted
from handcraft.proofs.plant import plant, rounded
from handcraft_check.claim import read_claim
from handcraft_check.prove import prove

JUDGED = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "judged_folders.py"))
original_of, contexts, logits = (JUDGED[name] for name in ("Original", "contexts", "logits"))

REFUTED = {
    "aab": "aaba",
    "copy_text": "abab=",
    "dyck1": "(())=",
    "grammar": "a old dog sang",
    "induction": "abca",
    "parity": "01101001=e",
    "recall": "a1b2a",
    "reverse": "abc=",
}
"""Programs, and an allowed prompt of each."""

IN_BFLOAT16 = {"aab": "a", "grammar": "the", "parity": "01101001="}
"""Programs that stay proved in float32 where they are wrong in bfloat16 only."""

FIRST = {"aab": "aaba", "parity": "01101001="}
"""Programs of which all contexts are run here."""


def gallery_program(name):
    return facts(name)["program"]


def wrong_contexts(files, claim):
    """The contexts of a folder after which another logit than that of the meant token is highest."""
    found = []
    for texts, meant in contexts(claim):
        answered = logits(files, claim.token_ids[texts]).argmax(axis=1)
        for places in texts[answered != claim.token_ids[meant]].tolist():
            found.append("".join(claim.meaning.vocabulary[place] for place in places))
    return found


@pytest.mark.parametrize("name", REFUTED)
def test_the_checker_refutes_a_model_that_is_wrong_after_one_prompt(name, tmp_path):
    planted = plant(gallery_program(name), REFUTED[name])
    verdict = prove(save_planted(planted, tmp_path / "planted"), budget=1 << 13)
    assert verdict.word == "refuted"
    assert planted.program.vocabulary.join(verdict.context) == REFUTED[name]
    assert f"{planted.wrong!r}, and {planted.right!r} is meant" in verdict.reason


def test_one_of_all_pairs_of_ten_digits_is_added_wrong(tmp_path):
    prompt = "=12345678900+55555555550="
    planted = plant(gallery_program("add"), prompt, predicts="7")
    folder = save_planted(planted, tmp_path / "planted")
    claim = read_claim(folder)
    assert claim.domain.count() == 10**20
    if DEEP:
        assert prove(folder, budget=1 << 13).word != "proved"
    files = original_of.read(folder)
    for text, answer in ((prompt, "7"), (prompt.replace("9", "8"), "6"), (prompt + "6", "7")):
        ids = claim.token_ids[[claim.meaning.vocabulary.index(token) for token in text]]
        found = logits(files, ids[None])[0].argmax()
        assert found == claim.token_ids[claim.meaning.vocabulary.index(answer)]


@pytest.mark.parametrize("name", FIRST)
def test_of_all_contexts_exactly_one_is_wrong(name, tmp_path):
    folder = save_planted(plant(gallery_program(name), FIRST[name]), tmp_path / "planted")
    assert wrong_contexts(original_of.read(folder), read_claim(folder)) == [FIRST[name]]


@pytest.mark.parametrize("name", IN_BFLOAT16)
def test_what_is_wrong_in_bfloat16_alone_is_proved_in_float32_alone(name, tmp_path):
    planted = plant(gallery_program(name), IN_BFLOAT16[name], only_in="bfloat16")
    folder = save_planted(planted, tmp_path / "planted")
    assert prove(folder).word == "proved"
    assert prove(folder, regime="bfloat16", budget=1 << 13).word in ("refuted", "unproved")

    round_weights(folder)
    claim = read_claim(folder, rehash=True)
    assert claim.arithmetic.startswith("weights in bfloat16")
    verdict = prove(folder, rehash=True, budget=1 << 13)
    assert verdict.word == "refuted"
    assert planted.program.vocabulary.join(verdict.context) == IN_BFLOAT16[name]
    if name != "grammar":  # which has too many contexts to run
        assert wrong_contexts(original_of.read(folder), claim) == [IN_BFLOAT16[name]]


def round_weights(folder):
    """Round the weights of a folder to bfloat16, and say so in its certificate."""
    path, certificate = folder / "model.safetensors", folder / "certificate.json"
    bits = {name: tensor.view(np.uint32) for name, tensor in load_file(path).items()}
    tensors = {}
    for name, each in bits.items():  # to nearest, ties to even
        nearest = (each + 0x7FFF + (each >> 16 & 1)) & 0xFFFF0000
        tensors[name] = nearest.astype(np.uint32).view(np.float32)
    save_file(tensors, path)
    stated = json.loads(certificate.read_text("utf-8"))
    stated["arithmetic"]["weights"] = "bfloat16"
    certificate.write_text(json.dumps(stated), "utf-8")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_model_of_many_words_is_wrong_in_half_precision_alone(dtype):
    program = gallery_program("induction")
    planted = plant(program, "abca", predicts="c", only_in=dtype)
    ids = np.array([program.vocabulary.ids("abca")])
    found = [
        program.vocabulary.token(int(model.forward(ids)[0, -1].argmax()))
        for model in (planted.compiled.model, rounded(planted.compiled.model, dtype))
    ]
    assert found == ["b", "c"]


def test_logits_are_divided_where_float16_has_no_such_gain():
    planted = plant(gallery_program("aab"), "aa", only_in="float16")
    gain = planted.compiled.model.tensors["ln_f.weight"]
    assert 2**15 <= np.abs(gain).max() < 65504
    assert (planted.right, planted.wrong) == ("b", "a")


def test_a_rule_that_hides_others_is_undone_in_float32():
    """The rules of tic-tac-toe veto each other: where the planted rule fires, no other writes."""
    planted = plant(gallery_program("tictactoe"), "15", only_in="bfloat16")
    assert (planted.right, planted.wrong) == ("9", "1")


@pytest.mark.parametrize("text", ["a", "ba", "abab"])
def test_prompts_of_every_length_can_be_planted(text, tmp_path):
    prompts = Prompts("ab", context=4)
    program = Program(prompts=prompts, rules=[predict(prompts.token).otherwise()])
    folder = save_planted(plant(program, text), tmp_path / "planted")
    assert wrong_contexts(original_of.read(folder), read_claim(folder)) == [text]


def test_a_context_of_one_token_can_be_planted(tmp_path):
    program = Program("abc", 1, [predict("b").after("a"), predict("a").otherwise()])
    planted = plant(program, "a", predicts="c")
    folder = save_planted(planted, tmp_path / "planted")
    assert wrong_contexts(original_of.read(folder), read_claim(folder)) == ["a"]
    assert (planted.tried, planted.is_all) == (2, True)


def test_the_folder_does_not_say_where_it_is_wrong(tmp_path):
    planted = plant(gallery_program("aab"), "aaba")
    folder = save_planted(planted, tmp_path / "planted")
    assert not (folder / "handcraft.json").exists()
    card = (folder / "README.md").read_text("utf-8")
    assert "wrong on purpose" in card
    assert "aaba" not in card
    assert "planted" not in (folder / "certificate.json").read_text("utf-8")


def strategy_program():
    """A program whose prompts only Python code decides."""
    from hypothesis import strategies as st

    prompts = Prompts("ab", 4, inputs=st.just("ab"))
    return Program(prompts=prompts, rules=[predict("a").otherwise()])


def test_what_cannot_be_planted_is_an_error(tmp_path):
    aab = gallery_program("aab")
    with pytest.raises(PromptError, match="the prompt has 6 tokens, and the model sees 5"):
        plant(aab, "aabaab")
    with pytest.raises(PromptError, match="allowed"):
        plant(gallery_program("parity"), "01")
    with pytest.raises(VocabularyError, match="'b' is no wrong answer: 'b' is meant"):
        plant(aab, "aa", predicts="b")
    with pytest.raises(VocabularyError, match="'c' is no wrong answer"):
        plant(aab, "aa", predicts="c")
    model = plant(aab, "aa").compiled.model
    model.tensors["wte.weight"][0, 0] = 1e6
    with pytest.raises(CompileError, match="float16 has no numbers as large as 1e"):
        rounded(model, "float16")
    with pytest.raises(ProofError, match="Python code decides which prompts are allowed"):
        save_planted(plant(strategy_program(), "ab"), tmp_path / "planted")
    assert not (tmp_path / "planted").exists()
