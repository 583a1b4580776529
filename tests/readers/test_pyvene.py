"""pyvene 0.1.8 exchanges every variable of a causal model, and the model answers as that says."""

from __future__ import annotations

from functools import cache

import pytest
from interchange import CausalFolder, Projected, count_right
from truth_programs import adder

from handcraft import compile_program
from handcraft.cli.input.sources import compile_found, find
from handcraft.ground_truth import Wanted, of_compiled, write_ground_truth

NAMES = [
    "aab",
    "add",
    "adder of 2",
    "brackets",
    "copy_text",
    "grammar",
    "induction",
    "ioi",
    "ngram",
    "sort",
]


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    """A function from the name of a program to its folder."""

    @cache
    def made(name):
        compiled = compile_program(adder(2)) if "of" in name else compile_found(find(name).source)
        folder = tmp_path_factory.mktemp(name)
        write_ground_truth(of_compiled(compiled, name), folder, what=["causal"], wanted=Wanted(128))
        return CausalFolder.read(folder)

    return made


@pytest.mark.parametrize("name", NAMES)
def test_every_intervention_gives_the_answers_of_the_causal_model(causal, name):
    folder = causal(name)
    for variable in folder.variables():
        right, tried = count_right(folder, variable)
        assert right == tried > 0, variable["name"]


def test_an_orthogonal_projection_to_the_basis_exchanges_the_carry(causal):
    folder = causal("add")
    (carry,) = (each for each in folder.variables() if each["name"] == "carry")
    right, tried = count_right(folder, carry, Projected)
    assert right == tried


def test_the_featurizer_of_another_variable_is_found_out(causal):
    folder = causal("add")
    variables = {each["name"]: each for each in folder.variables()}

    class Other(CausalFolder):
        def tensors(self, name):
            return super().tensors("b" if name == "a" else name)

    right, tried = count_right(Other(folder.folder, folder.model), variables["a"])
    assert right < tried / 2
