"""Which rule is meant where weights are asked for by the rule that they serve."""

from __future__ import annotations

import pytest

from handcraft.errors import ModelError
from handcraft.weights.explained import Weights

RULES = ("predict a after b", "predict a after bb", "predict b otherwise")


@pytest.mark.parametrize(
    ("wanted", "rule"),
    [("predict a after b", 0), ("predict a after bb", 1), ("after bb", 1), ("3", 2), ("otherwise", 2)],
)
def test_a_rule_has_a_number_its_text_or_a_part_that_no_other_has(wanted, rule):
    assert Weights(None, None, {}, RULES).rule(wanted) == RULES[rule]


@pytest.mark.parametrize("wanted", ["predict a", "0", "4", "predict c"])
def test_a_rule_that_is_none_or_several_is_refused(wanted):
    with pytest.raises(ModelError):
        Weights(None, None, {}, RULES).rule(wanted)
