"""Facts that were measured on some texts are not said to hold for all."""

from __future__ import annotations

import json

import pytest

from handcraft import Program, compile_program, predict, save
from handcraft.errors import CheckpointError
from handcraft.formats import read_checkpoint
from handcraft.verify import Measured, measure_facts

RULES = [predict("b").after("aa"), predict("a").otherwise()]


def test_a_few_texts_are_not_said_to_be_all():
    few = measure_facts(compile_program(Program("ab", 5, RULES), n_positions=5))
    assert few.measured.in_words == "measured on all 32 texts of the full length"
    more = measure_facts(compile_program(Program("ab", 5, RULES), n_positions=9))
    assert more.measured.in_words == "measured on 33 texts, and not proved for others"
    many = measure_facts(compile_program(Program("ab", 30, RULES), n_positions=30))
    assert many.measured.in_words == "measured on 256 texts, and not proved for others"


def test_the_model_card_says_on_how_many_texts_the_facts_were_measured(tmp_path):
    folder = save(compile_program(Program("ab", 30, RULES), n_positions=30), tmp_path / "out")
    assert "measured on 256 texts, and not proved for others" in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    "damaged",
    [7, {}, {"texts": "7", "is_all": True}, {"texts": 7, "is_all": 0}, {"texts": -1, "is_all": True}],
)
def test_a_folder_says_on_how_many_texts_its_facts_were_measured(tmp_path, damaged):
    folder = save(compile_program(Program("ab", 5, RULES), n_positions=5), tmp_path / "out")
    assert read_checkpoint(folder).manifest.facts == Measured(32, True)
    path = folder / "handcraft.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "facts": damaged}))
    with pytest.raises(CheckpointError, match="facts"):
        read_checkpoint(folder)
