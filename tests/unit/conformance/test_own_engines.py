"""Engines of your own: arrays of any kind, and engines that can run nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handcraft.conformance.cases.request import Outcome, Request, outcome_of
from handcraft.conformance.engines.engine import Facts
from handcraft.conformance.engines.of_class import _Loaded
from handcraft.conformance.pack.case import Case, Wrong
from handcraft.conformance.pack.read_pack import ModelFiles, Pack
from handcraft.conformance.run.fewest import fewest_cases
from handcraft.conformance.run.findings import findings_of
from handcraft.conformance.run.result import Result
from handcraft.conformance.run.run_pack import run_on
from handcraft.errors import HandcraftError

CASE = Case("one", "", ("llama", "cache"), "m", "next", ((1,),), ("x",), (((2,),),), {"float32": None})
MODEL = ModelFiles("m", "", "llama", 4, 8, {"onnx": "models/m/onnx"}, {})
PACK = Pack(Path("pack"), "", {"m": MODEL}, {"f": "does f", "g": "does g"}, (CASE,))


class Ready:
    """An engine that answers 2, without a process."""

    def __init__(self, **facts):
        self.found = Facts("mine", "1", **{"format": "onnx", **facts})

    def facts(self):
        return self.found

    def load(self, folder, dtype):
        return None

    def answer(self, request):
        return Outcome(((2,),))


def test_an_engine_that_can_run_something_runs_it():
    assert run_on(PACK, Ready(models=frozenset({"m", "n"}))).counts == {"passed": 1}


@pytest.mark.parametrize(
    ("facts", "says", "fix"),
    [
        ({"dtypes": ("float16",)}, "mine runs in float16, not in float32", "dtype='float16'"),
        ({"format": "gguf"}, "mine reads gguf, and the pack has onnx", "write a pack with gguf"),
        ({"models": frozenset({"n"})}, "mine has none of the models", "under the name of its folder"),
        (
            {"cannot": {"next": "it has no next_logits"}},
            "mine can run no case",
            "it has no next_logits",
        ),
    ],
)
def test_an_engine_that_can_run_nothing_is_refused(facts, says, fix):
    with pytest.raises(HandcraftError, match=says) as error:
        run_on(PACK, Ready(**facts))
    assert fix in str(error.value)


class Gives:
    """An engine whose every method returns one thing."""

    def __init__(self, found):
        self.next_logits = self.all_logits = self.batch_logits = lambda *_: found


def test_tensors_of_any_dtype_and_lists_of_them_are_taken():
    torch = pytest.importorskip("torch")
    row = torch.tensor([1.0, 3.0, 2.0], dtype=torch.bfloat16, requires_grad=True)
    assert _Loaded(Gives(row)).answer(Request("next", ((0,),))).tokens == ((1,),)
    every = _Loaded(Gives([row, row.half()])).answer(Request("every", ((0, 1),)))
    assert every.tokens == ((1, 1),)
    assert every.logits[0].dtype == np.float32


@pytest.mark.parametrize(
    ("kind", "found", "says"),
    [
        ("next", np.zeros((1, 3)), r"next_logits gives an array of shape \[1, 3\], not \[n_vocab\]"),
        ("every", np.zeros(3), r"all_logits gives an array of shape \[3\], not \[position, n_vocab\]"),
        ("batch", np.zeros((1, 1, 3)), r"batch_logits .*\[1, 1, 3\], not \[prompt, n_vocab\]"),
    ],
)
def test_an_array_of_another_shape_is_refused_with_both(kind, found, says):
    with pytest.raises(HandcraftError, match=says):
        _Loaded(Gives(found)).answer(Request(kind, ((0, 1),)))


def test_logits_with_an_axis_too_many_are_described():
    engine = Ready()
    engine.answer = lambda request: replace(outcome_of([np.zeros((1, 4))]), logits=(np.zeros(4),))
    (result,) = run_on(PACK, engine).results
    assert result.says == "gives logits with 1 axes, not one for each place and id"


def test_models_of_which_the_same_is_said_are_one_finding():
    results = [
        Result(f"c{i}", f"m{i}", "error", f"cannot load m{i}: ValueError: no llama") for i in range(6)
    ]
    (finding,) = findings_of(PACK, results)
    assert finding.says == "cannot load m0, m1, m2, m3 and 2 more models: ValueError: no llama"
    (alone,) = findings_of(PACK, results[:1])
    assert alone.says == "cannot load m0: ValueError: no llama"


def case(name, *flags, model="m", length=1, **wrong):
    known = tuple(Wrong(((int(token[1:]),),), tuple(faults)) for token, faults in wrong.items())
    return replace(CASE, id=name, model=model, flags=flags, wrong=known, prompts=((0,) * length,))


def test_the_fewest_cases_divide_the_faults_of_each_target():
    models = {"m": MODEL, "g": replace(MODEL, name="g", architecture="gpt2")}
    cases = (
        case("together", "a", t1=["f", "g"]),
        case("dear", "a", length=400, t1=["f"], t2=["g"]),
        case("cheap", "a", t1=["f"], t2=["g"]),
        case("of-gpt2", "a", model="g", t1=["f"]),
        case("flag", "rare"),
        case("long", "rarest", length=10_000),
    )
    found = fewest_cases(replace(PACK, models=models, cases=cases))
    assert [each.id for each in found] == ["cheap", "of-gpt2", "flag"]
