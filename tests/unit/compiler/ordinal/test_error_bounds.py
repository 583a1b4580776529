"""What optimize may not do: an answer or a threshold that its error bound would change is refused."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from handcraft.compiler.ordinal.approximate_sum import ApproximateSum
from handcraft.compiler.ordinal.build_circuits import STEADY, build_circuits
from handcraft.compiler.ordinal.codes import by_token, line_for
from handcraft.compiler.ordinal.compile_ordinal import check_design
from handcraft.compiler.ordinal.design import ECHO, Design
from handcraft.compiler.ordinal.share import group_parts
from handcraft.compiler.passes.ir import WeightedSum
from handcraft.dtype import BFLOAT16, FLOAT16, FLOAT32, FLOAT64
from handcraft.errors import PrecisionError
from handcraft.language.graph.wording import reads
from handcraft.vocabulary import Vocabulary

LETTERS = "abcd"
VOCABULARY = Vocabulary(LETTERS)
LINE = line_for({letter: n for n, letter in enumerate(LETTERS)}, (), VOCABULARY)
NUMBER = by_token(VOCABULARY, (0, 1, 2, 3), reads("number"))
FIRST = WeightedSum.of(NUMBER, [(1, ((0, 1),))], NUMBER)
"""The number of the first token, read at position 1."""

ERRORS = st.fractions(0, 1, max_denominator=1000)
DTYPES = st.sampled_from([FLOAT64, FLOAT32, FLOAT16, BFLOAT16])


def off_by(error: Fraction) -> ApproximateSum:
    return ApproximateSum({FIRST: 1}, (None, 0)).blurred(error)


def design(answer: ApproximateSum, dtype=FLOAT32) -> Design:
    groups = tuple(group_parts(answer, shares=True, has_home=True))
    return Design(answer, LINE, groups, dtype)


def is_refused(step, *arguments) -> bool:
    try:
        step(*arguments)
    except PrecisionError:
        return True
    return False


@given(ERRORS, DTYPES)
def test_an_accepted_answer_stays_nearest_to_the_right_token(error, dtype):
    made = design(off_by(error), dtype)
    largest = dtype.unit * 4 * made.reach**2 / 2  # what rounding may add to the logits of two tokens
    if error + ECHO + largest >= Fraction(1, 2):
        assert is_refused(check_design, made)
    if error <= Fraction(1, 4):
        assert not is_refused(check_design, made)


@given(ERRORS)
@example(Fraction(12, 25))
def test_an_accepted_threshold_has_a_gap_that_its_sum_never_enters(error):
    step = off_by(error).step(1, 2, reads("c or d first"), None)
    made = design(ApproximateSum({FIRST: 1, step: 1}, (None, 0)))
    assert is_refused(build_circuits, made) or error < Fraction(1, 2)
    if is_refused(build_circuits, made):
        assert error > Fraction(1, 4)
    else:
        (neuron,) = build_circuits(made).blocks[0].neurons[:1]
        echo = (
            Fraction(made.reach) / made.scale
        )  # of the token at the destination, which the sum includes
        low, high = 1 + error + echo, 2 - error - echo
        assert low <= neuron.at_least - neuron.gap < neuron.at_least <= high
        assert neuron.gap > STEADY * echo
