"""Llamas of which one weight is changed: none is proved with a larger margin than a run has."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from llama_margins import torch, transformers
from random_layers import seeds
from safetensors.numpy import load_file, save_file

from handcraft import Program, Prompts, compile_program, predict, save, select, where
from handcraft_check.claim import read_claim
from handcraft_check.prove import prove

pytestmark = pytest.mark.filterwarnings("ignore::handcraft.errors.HandcraftWarning")

JUDGED = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "judged_folders.py"))

WEIGHTS = "model.safetensors"


def reverse() -> Program:
    """Writes the text before the sign backwards, with steps of gated units that read positions."""
    prompts = Prompts("ab=", context=6, inputs="[ab]{1,3}=", writes=2)
    token, position = prompts.token, prompts.position
    length = select(token, "=").latest(position, default=0)
    there = length + length - position - 1
    found = select(position, where(position >= length, there, 0)).latest(token, default="a")
    return Program(prompts=prompts, rules=[predict(found).otherwise()])


def sort() -> Program:
    """Writes the letters before the sign in order: texts in any order are one case."""
    prompts = Prompts("ab=.", context=7, inputs="[ab]{1,3}=[ab]{0,3}")
    token = prompts.token
    sign = where(select(token, "=").exists(), -1, 1)
    owed = {letter: prompts.everything.mean(where(token == letter, sign, 0)) > 0 for letter in "ab"}
    rules = [predict(letter).when(owed[letter]) for letter in "ab"]
    return Program(prompts=prompts, rules=[*rules, predict(".").otherwise()])


class Changed:
    """A folder, and the same model in transformers."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.folder = save(compile_program(program, architecture="llama"), folder)
        self.tensors = load_file(folder / WEIGHTS)
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        claim = read_claim(folder)
        self.begin = claim.model.config.begin
        self.contexts = [
            (claim.token_ids[texts], claim.token_ids[answers])
            for texts, answers in JUDGED["contexts"](claim)
        ]
        assert all((answers >= 0).all() for _, answers in JUDGED["contexts"](claim))

    def change(self, rng: np.random.Generator) -> None:
        """Change one weight, in the folder and in the model."""
        tensors = {name: each.copy() for name, each in self.tensors.items()}
        flat = tensors[str(rng.choice(sorted(tensors)))].reshape(-1)
        used = np.flatnonzero(flat)
        place = rng.choice(used) if len(used) and rng.random() < 0.9 else rng.integers(len(flat))
        old = float(flat[place])
        near = [old * (1 + sign * 2.0 ** -rng.integers(1, 21)) for sign in (-1, 1)]
        flat[place] = rng.choice(
            [0.0, -old, 2 * old, *near, old + rng.normal(), float(rng.choice(flat))]
        )
        save_file(tensors, self.folder / WEIGHTS)
        state = {name: torch.from_numpy(each) for name, each in tensors.items()}
        if "lm_head.weight" not in state:
            state["lm_head.weight"] = state["model.embed_tokens.weight"]
        self.model.load_state_dict(state)

    def least(self) -> float:
        """The least margin of all contexts, as transformers computes it."""
        found = []
        for texts, answers in self.contexts:
            begun = np.column_stack([np.full(len(texts), self.begin), texts])
            with torch.no_grad():
                logits = self.model(torch.from_numpy(begun)).logits[:, -1].numpy().astype(np.float64)
            rows = np.arange(len(texts))
            own = logits[rows, answers].copy()
            logits[rows, answers] = -np.inf
            margins = own - logits.max(axis=1)
            found.append(np.where(np.isnan(margins), -np.inf, margins).min())
        return float(min(found))


@pytest.fixture(scope="module", params=[reverse, sort], ids=lambda each: each.__name__)
def changed(request, tmp_path_factory):
    found = Changed(request.param(), tmp_path_factory.mktemp("llama"))
    assert prove(found.folder).word == "proved"
    return found


@given(rng=seeds)
@settings(max_examples=40)
def test_no_harmful_change_of_a_weight_is_proved(changed, rng):
    changed.change(rng)
    verdict, least = (
        prove(changed.folder, rehash=True, budget=1 << 13, is_located=False),
        changed.least(),
    )
    assert verdict.word != "proved" or least >= verdict.margin
    assert verdict.word != "refuted" or least <= 0
