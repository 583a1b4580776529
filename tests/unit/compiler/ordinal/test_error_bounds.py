"""What optimize may not do: an answer or a threshold that its error bound would change is refused."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from handcraft.compiler.ordinal.build_circuits import STEADY, build_circuits
from handcraft.compiler.ordinal.codes import line_for
from handcraft.compiler.ordinal.compile_ordinal import check_design
from handcraft.compiler.ordinal.design import ECHO, Design
from handcraft.compiler.ordinal.form import Form, Look, Step
from handcraft.compiler.ordinal.share import group_parts
from handcraft.dtype import BFLOAT16, FLOAT16, FLOAT32, FLOAT64
from handcraft.errors import PrecisionError
from handcraft.origin import Origin
from handcraft.vocabulary import Vocabulary

LETTERS = "abcd"
VOCABULARY = Vocabulary(LETTERS)
LINE = line_for({letter: n for n, letter in enumerate(LETTERS)}, (), VOCABULARY)
HERE = Origin("here")
LAST = Look((((0, 1),),), (0, 1, 2, 3), (HERE,))
"""The number of the first token, asked at position 1."""

ERRORS = st.fractions(0, 1, max_denominator=1000)
DTYPES = st.sampled_from([FLOAT64, FLOAT32, FLOAT16, BFLOAT16])


def design(answer: Form, dtype=FLOAT32) -> Design:
    groups = tuple(group_parts(answer, shares=True, has_home=True))
    return Design(answer, LINE, groups, (1,), dtype)


def is_refused(step, *arguments) -> bool:
    try:
        step(*arguments)
    except PrecisionError:
        return True
    return False


@given(ERRORS, DTYPES)
def test_an_accepted_answer_stays_nearest_to_the_right_token(error, dtype):
    made = design(Form({LAST: 1}, (0,)).blurred(-error, error), dtype)
    largest = dtype.unit * 4 * made.reach**2 / 2  # what rounding may add to the logits of two tokens
    if error + ECHO + largest >= Fraction(1, 2):
        assert is_refused(check_design, made)
    if error <= Fraction(1, 4):
        assert not is_refused(check_design, made)


@given(ERRORS)
@example(Fraction(12, 25))
def test_an_accepted_threshold_has_a_gap_that_its_sum_never_enters(error):
    step = Step(Form({LAST: 1}, (0,)).blurred(-error, error), 1, 2, HERE, "c or d first")
    made = design(Form({LAST: 1, step: 1}, (0,)))
    assert is_refused(build_circuits, made, VOCABULARY, 2) or error < Fraction(1, 2)
    if is_refused(build_circuits, made, VOCABULARY, 2):
        assert error > Fraction(1, 4)
    else:
        (neuron,) = build_circuits(made, VOCABULARY, 2).blocks[0].neurons[:1]
        echo = (
            Fraction(made.reach) / made.scale
        )  # of the token at the destination, which the sum includes
        low, high = 1 + error + echo, 2 - error - echo
        assert low <= neuron.at_least - neuron.gap < neuron.at_least <= high
        assert neuron.gap > STEADY * echo
