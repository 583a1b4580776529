"""Compiled models of every kind that a folder can hold."""

from __future__ import annotations

import shutil
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest

from handcraft import Program, compile_program, predict, save
from handcraft.circuits import (
    Block,
    Circuits,
    Head,
    bias,
    embed_position,
    embed_token,
    one_hot,
    project,
    scalar,
    value_map,
    window,
)
from handcraft.cli.input.sources import find

PROGRAMS = Path(__file__).parents[3] / "programs"


def aab():
    return find(str(PROGRAMS / "aab.py")).source


def by_hand():
    return find(str(PROGRAMS / "by_hand.py")).source


def words():
    return Program("the cat sat", 3, [predict("sat").after("the cat"), predict("the").otherwise()])


def neurons():
    """Two rules of two conditions each predict the same token: an MLP decides."""
    return Program(
        "abc",
        4,
        [predict("b").after("ab"), predict("b").after("start c.a"), predict("c").after("[^b]a"),
         predict("a").otherwise()],
    )  # fmt: skip


def binary():
    """A long context, whose positions are held in signed bits."""
    return Program("ab#", 40, [predict("b").after("start aa"), predict("#").after("b.[ab]"),
                               predict("a").otherwise()])  # fmt: skip


def thirds():
    """Circuits by hand with fractions, a window of three, and no origin anywhere."""
    position, token = one_hot("position", range(4)), one_hot("token", "xyz")
    sums = scalar("sums")
    head = Head(
        "last three",
        attends=window(position, 3),
        moves=(value_map(token, {"x": Fraction(1, 3), "y": Fraction(-2, 7)}, into=sums),),
        writes=(project(sums, into=token, numbers={"y": 9, "z": Fraction(5, 2)}),),
    )
    return Circuits(
        "xyz",
        4,
        embedding=[embed_position(position), embed_token(token)],
        scratch=[sums],
        blocks=[Block(heads=(head,), attention_bias=(bias(token, {"x": Fraction(7, 3)}),))],
        unembedding=token,
    )


SOURCES = {
    "aab": aab,
    "by_hand": by_hand,
    "words": words,
    "neurons": neurons,
    "binary": binary,
    "thirds": thirds,
}


@pytest.fixture(params=SOURCES.values(), ids=SOURCES.keys())
def source(request):
    return request.param()


@pytest.fixture(params=["safetensors", "npz"])
def format(request):
    return request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(scope="session")
def compiled():
    """The reference program, compiled."""
    return compile_program(aab(), architecture="block")


@pytest.fixture(scope="session")
def with_neurons():
    return compile_program(neurons(), architecture="block")


@pytest.fixture(scope="session")
def laid_out_by_hand():
    return compile_program(by_hand(), architecture="block")


@pytest.fixture(scope="session")
def copy_of(compiled, with_neurons, laid_out_by_hand, tmp_path_factory):
    """A function that copies the folder of one of the models above, which is written once."""
    models = {"compiled": compiled, "with_neurons": with_neurons, "laid_out_by_hand": laid_out_by_hand}

    @cache
    def written(name: str, format: str) -> Path:
        return save(models[name], tmp_path_factory.mktemp("written") / "model", format=format)

    def copied(name: str, format: str, target: Path) -> Path:
        return shutil.copytree(written(name, format), target)

    return copied


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: the bytes of files, None for folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="session")
def everything_in():
    return snapshot
