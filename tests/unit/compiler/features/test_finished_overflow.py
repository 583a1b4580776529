"""float16 ends at 65,504: what overflows in a finished model is refused, or stored in another way."""

from __future__ import annotations

import gallery
import numpy as np
import pytest

from handcraft import Program, Prompts, compile_program, predict, select
from handcraft.compiler.features.overflow import check_finished, largest_score
from handcraft.dtype import dtype_named
from handcraft.errors import PrecisionError
from handcraft.verify.facts import check_facts

LARGEST = dtype_named("float16").largest


def test_what_overflows_is_refused_before_anything_is_written():
    with pytest.raises(PrecisionError, match=r"h.2.attn.scores is 157,683, but the largest float16"):
        gallery.compiled("dyck2", dtype="float16")


@pytest.mark.parametrize("name", ["brackets", "histogram"])
def test_tokens_as_flags_are_taken_where_they_do_not_overflow(name):
    compiled = gallery.compiled(name, dtype="float16")
    assert compiled.model.parameters > gallery.compiled(name).model.parameters
    assert max(check_facts(compiled).largest.values()) <= LARGEST


def latest(context):
    prompts = Prompts("abc", context)
    token, position = prompts.token, prompts.position
    found = select(token, token) & select(position, position, "<")
    rules = [predict(found.latest(token.at(-1, default="a"), default="b")).otherwise()]
    return Program(prompts=prompts, rules=rules)


@pytest.mark.parametrize("context", [4, 12, 33])
def test_what_compiles_overflows_nowhere_in_other_texts_either(context):
    """The texts that `save` runs are others, and more."""
    compiled = compile_program(latest(context), dtype="float16")
    assert max(check_facts(compiled).largest.values()) <= LARGEST


def test_other_dtypes_end_later():
    model = gallery.compiled("induction", dtype="bfloat16").model
    large = {name: tensor * 8 for name, tensor in model.tensors.items()}
    check_finished(type(model)(model.architecture, model.shape, model.vocabulary, large),
                   gallery.facts("induction")["program"])  # fmt: skip


def test_masked_scores_and_those_that_get_no_weight_do_not_count():
    scores = np.array([[[[1.0, 9e9], [-9e9, -7.0]]]])
    assert largest_score(scores[..., :1, :1], causal=True) == 1
    assert largest_score(np.where(scores > 8e9, 0, scores), causal=True) == 7
    assert largest_score(np.where(scores > 8e9, 0, scores), causal=False) == 7
