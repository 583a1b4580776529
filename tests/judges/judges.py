"""What the judges of compiled GPT-2 checkpoints share: packages, programs, texts and what they mean."""

from __future__ import annotations

import importlib
import importlib.util
import os
import warnings
from functools import cache, lru_cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, settings

from handcraft import Program, predict
from handcraft.circuits import Circuits, ideal_next
from handcraft.cli.input.sources import find
from handcraft.errors import HandcraftWarning
from handcraft.verify import logit_margins

ROOT = Path(__file__).parents[2]

DTYPES = ("float32", "bfloat16", "float16")
"""The dtypes in which checkpoints are written for transformers."""

IMPLEMENTATIONS = ("eager", "sdpa")
"""How transformers computes attention."""

NATS = 16
"""A margin that leaves a wrong token a probability below 2e-7: sampling gives the meant text too."""


def drawn(count):
    """Settings that draw so many examples, always the same, and show the first that fails as it is."""
    return settings(max_examples=count, derandomize=True, phases=[Phase.generate], deadline=None)


class Judge:
    """A package that judges. It is imported when a test asks it for something.

    That takes seconds, which a process that runs none of these tests saves.
    """

    def __init__(self, name):
        self._name = name

    def __getattribute__(self, attribute):  # not __getattr__: nnsight gives every object a `save`
        if attribute.startswith(("_", "pytest")):  # which pytest looks for wherever it finds a name
            return super().__getattribute__(attribute)
        return getattr(importlib.import_module(self._name), attribute)


def judge(name):
    """A package that judges; without it the tests are skipped, but in CI they fail."""
    package = name.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        if os.environ.get("CI"):
            pytest.fail(f"the judge {package} is missing, and in CI all must be there", pytrace=False)
        pytest.skip(f"the judge {package} is not installed", allow_module_level=True)
    return Judge(name)


def _suffixes(longest):
    """Rules in which each outvotes all later ones: b after aa..a, a after one a less, and so on."""
    rules = [predict("ab"[n % 2]).after("a" * n) for n in range(longest, 0, -1)]
    return [*rules, predict("b").otherwise()]


def _many(count):
    """Rules for different patterns of 4 letters, drawn at random."""
    random = np.random.default_rng(0)
    codes = random.choice(4**4, size=count, replace=False)
    letters = [["abcd"[code // 4**place % 4] for place in range(4)] for code in codes]
    rules = [predict(str(random.choice(list("abcd")))).after("".join(four)) for four in letters]
    return [*rules, predict("a").otherwise()]


def _programs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)  # a hidden rule is a fine example too
        return {
            "words": Program(
                "the cat dog sat ran",
                3,
                [
                    predict("sat").after("the cat"),
                    predict("ran").after("[cat dog] ."),
                    predict("the").otherwise(),
                ],
            ),
            "the start": Program(
                "abc",
                8,
                [
                    predict("c").after("start ab"),
                    predict("b").after("start [^b]"),
                    predict("a").after("b..c"),
                    predict("c").otherwise(),
                ],
            ),
            "rules that outvote six others": Program("ab", 8, _suffixes(6)),
            "two layers of neurons": Program("ab", 8, _suffixes(8)),
            "150 rules": Program("abcd", 6, _many(150)),
            "52 tokens": Program(
                [chr(65 + i) for i in range(26)] + [chr(97 + i) for i in range(26)],
                4,
                [predict(chr(97 + (i + 1) % 26)).after(chr(97 + i)) for i in range(26)]
                + [predict("A").otherwise()],
            ),
            "one token": Program("a", 1, [predict("a").otherwise()]),
        }


_FILES = [ROOT / "programs" / f"{name}.py" for name in ("aab", "by_hand", "induction")]

SHIPPED = {path.name: find(str(path)).source for path in _FILES}
"""Those of the gallery of which every context can be tried; test_programs.py has the others."""

PROGRAMS = SHIPPED | _programs()
"""Every shipped program, by its file, and some that take each way down through the compiler."""

AAB = "aab.py"


def short_texts(size, longest, most=5_000):
    """Texts whose prefixes are all contexts of `longest` tokens, or so many random ones.

    Args:
        size: how many tokens there are.
        longest: the length of the texts.
        most: how many texts are too many; 2,000 random ones then stand for them.

    Returns:
        Token ids, [text, position].
    """
    if size**longest <= most:
        return np.array(list(product(range(size), repeat=longest)))
    return np.random.default_rng(0).integers(0, size, size=(min(most, 2_000), longest))


def long_text(size, length):
    """One random text: [1, position]."""
    return np.random.default_rng(1).integers(0, size, size=(1, length))


def meant(source, texts):
    """The token that a program means after every prefix of every text: [text, position]."""
    if isinstance(source, Circuits):
        return ideal_next(source, texts)
    return np.array(_meant(source, tuple(map(tuple, texts.tolist()))))


@lru_cache(maxsize=64)
def _meant(source, texts):
    """The same: one program is judged in several dtypes and implementations."""
    after = cache(source.next_token)
    return [[after(text[:end]) for end in range(1, len(text) + 1)] for text in texts]


def continued(source, text, count):
    """A text and the `count` tokens that its rules mean to follow, as text."""
    ids = list(source.vocabulary.ids(text))
    for _ in range(count):
        ids.append(source.next_token(tuple(ids)))
    return source.vocabulary.text(ids)


def worst_margin(logits, expected):
    """The smallest lead of the right token over every other one, padding included.

    Args:
        logits: a tensor, [text, position, n_vocab].
        expected: the right tokens, [text, position].
    """
    rows = logits.detach().double().numpy().reshape(-1, logits.shape[-1])
    return float(logit_margins(rows, expected.reshape(-1)).min())


def state(model):
    """The tensors of a model as torch holds them, by the names that GPT2LMHeadModel has for them."""
    torch = judge("torch")
    tensors = {}
    for name, array in model.tensors.items():
        if array.dtype.name == "bfloat16":  # torch does not know the NumPy type of ml_dtypes
            tensor = torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
        else:
            tensor = torch.from_numpy(array.copy())
        tensors[f"transformer.{name}"] = tensor
    return tensors


def gpt2_in_memory(compiled, attention="eager", dtype=None):
    """GPT2LMHeadModel with the compiled weights, without a file between them.

    Only sizes are set; everything else is GPT-2 as transformers has it by default.

    Args:
        compiled: what was compiled, of the architecture gpt2.
        attention: one of `IMPLEMENTATIONS`.
        dtype: in which the model runs, by default that of its weights.
    """
    torch, transformers = judge("torch"), judge("transformers")
    shape = compiled.model.shape
    config = transformers.GPT2Config(
        vocab_size=shape.n_vocab,
        n_positions=shape.n_positions,
        n_embd=shape.n_embd,
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=shape.n_vocab - 1,
        attn_implementation=attention,
    )
    model = transformers.GPT2LMHeadModel(config).to(getattr(torch, compiled.model.dtype.name))
    result = model.load_state_dict(state(compiled.model), strict=False)
    assert result.missing_keys == ["lm_head.weight"]  # tied to wte
    assert result.unexpected_keys == []
    return model.to(dtype or model.dtype).eval()
