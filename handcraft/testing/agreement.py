"""The one assertion: oracle, ideal circuits and forward pass give the same answers."""

from __future__ import annotations

import numpy as np

from handcraft.circuits import ideal_next
from handcraft.compiler import Compiled, compile_program
from handcraft.language import Program
from handcraft.verify import count_contexts, logit_margins
from handcraft.verify.contexts import Ids

EVERY_UP_TO = 50_000
SAMPLE = 20_000


def assert_agreement(
    program: Program | Compiled,
    *,
    every_up_to: int = EVERY_UP_TO,
    sample: int = SAMPLE,
    seed: int = 0,
) -> None:
    """Assert that what a program means, its ideal circuits and its model agree.

    Args:
        program: a rule program, which is compiled, or one that already is.
        every_up_to: with at most so many contexts, every one is tried.
        sample: otherwise so many drawn at random.
        seed: of the sample.

    Raises:
        AssertionError: naming the shortest context where they part, and on which floor.
    """
    compiled = compile_program(program) if isinstance(program, Program) else program
    rules = compiled.source
    assert isinstance(rules, Program), "circuits laid out by hand have no rules to agree with"
    for texts in _texts(rules, every_up_to, sample, seed):
        _assert_on(compiled, rules, texts)


def _texts(program: Program, every_up_to: int, sample: int, seed: int) -> list[Ids]:
    """Texts whose prefixes are the contexts to try: [text, position]."""
    size, longest = len(program.vocabulary), program.context
    if count_contexts(size, longest) <= every_up_to:
        numbers = np.arange(size**longest)
        digits = [numbers // size**place % size for place in reversed(range(longest))]
        return [np.stack(digits, axis=1)]
    random = np.random.default_rng(seed)
    rows = -(-sample // longest)  # every prefix of a text is a context
    return [random.integers(0, size, size=(rows, longest))]


def _assert_on(compiled: Compiled, program: Program, texts: Ids) -> None:
    logits = compiled.model.forward(texts)  # [text, position, n_vocab]
    ideal = ideal_next(compiled.circuits, texts)  # [text, position]
    for length in range(1, texts.shape[1] + 1):
        contexts, rows = np.unique(texts[:, :length], axis=0, return_index=True)
        meant = np.array([program.next_token(tuple(context)) for context in contexts.tolist()])
        circuits = ideal[rows, length - 1]
        margins = logit_margins(logits[rows, length - 1], meant)
        wrong = np.flatnonzero((circuits != meant) | ~(margins > 0))
        if len(wrong):
            first = int(wrong[0])
            context = program.vocabulary.text(contexts[first].tolist())
            answered = int(logits[rows[first], length - 1].argmax())
            raise AssertionError(
                f"they part after {context!r}:\n"
                f"  the rules mean      {_token(program, int(meant[first]))}\n"
                f"  the ideal circuits  {_token(program, int(circuits[first]))}\n"
                f"  the forward pass    {_token(program, answered)}"
                f" (margin {float(margins[first]):g})"
            )


def _token(program: Program, token: int) -> str:
    if token < 0:
        return "a tie"
    return program.vocabulary.token(token)  # an id past the vocabulary is shown as its number
