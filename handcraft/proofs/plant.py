"""Models that are wrong on purpose, after exactly one prompt: what no verifier must pass.

The compiler makes them: a rule for exactly that prompt comes before all others. What is meant, and
stated in the certificate, is the program without that rule.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from handcraft.circuits import Circuits, Neuron
from handcraft.circuits.number import Number
from handcraft.circuits.subspace import Coefficients, Subspace
from handcraft.compiler import Compiled, compile_program
from handcraft.display import short_repr
from handcraft.dtype import DType, dtype_named
from handcraft.errors import CompileError, HandcraftWarning, PromptError, VocabularyError
from handcraft.language import Program, predict, select
from handcraft.language.rules.rule import Rule
from handcraft.model import Model
from handcraft.verify import verify
from handcraft.vocabulary import shorten

OnlyIn = Literal["bfloat16", "float16"]

EVERY_UP_TO = 100_000
"""With at most so many contexts, every one is tried before a planted model is handed over."""

SAMPLE = 2_000
"""How many random contexts are tried where there are more."""


@short_repr
@dataclass(frozen=True, eq=False)
class Planted:
    """A model that is wrong after one prompt.

    Args:
        program: what is meant.
        compiled: the model, in float32.
        prompt: as text.
        right: the token that is meant after the prompt.
        wrong: the token that the model predicts there.
        only_in: the dtype to which weights must be rounded before it does; None if it does as it is.
        tried: how many other contexts were tried, all of them right.
        is_all: whether those are all other contexts.
    """

    program: Program
    compiled: Compiled
    prompt: str
    right: str
    wrong: str
    only_in: OnlyIn | None
    tried: int
    is_all: bool

    def __str__(self) -> str:
        if self.only_in is None:
            said = f"after {self.prompt!r} it predicts {self.wrong!r}, and {self.right!r} is meant"
        else:
            said = (
                f"after {self.prompt!r} it predicts {self.right!r}, as is meant, and {self.wrong!r} "
                f"where its weights are rounded to {self.only_in}"
            )
        others = f"all {self.tried:,} other contexts" if self.is_all else f"{self.tried:,} others"
        return f"{said}; right after {others} that were tried"


def plant(
    program: Program,
    prompt: str | Sequence[str],
    *,
    predicts: str | None = None,
    only_in: OnlyIn | None = None,
) -> Planted:
    """A GPT-2 of a program that is wrong after one prompt, and right after all others.

    Args:
        program: what is meant.
        prompt: after which the model is to be wrong: an allowed one.
        predicts: the wrong token; by default the first of the vocabulary that is wrong.
        only_in: be right in float32 after this prompt too, and wrong where the weights are rounded to
            this dtype.

    Raises:
        PromptError: the prompt is not allowed, or longer than the context.
        VocabularyError: the wrong token is unknown, or is the right one.
        CompileError: the model cannot be made so.

    >>> from handcraft import Program, predict
    >>> aab = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    >>> print(plant(aab, "baa"))
    after 'baa' it predicts 'a', and 'b' is meant; right after all 61 other contexts that were tried
    """
    tokens, right, wrong = _read(program, prompt, predicts)
    rule = _rule(program, tokens, wrong)
    with warnings.catch_warnings():  # of the rules of the program, given when it was made
        warnings.simplefilter("ignore", HandcraftWarning)
        changed = Program(prompts=program.prompts, rules=[rule, *program.rules], place=program.place)
    if only_in is None:
        compiled = compile_program(changed)
    else:
        in_dtype = compile_program(changed, dtype=only_in)
        planted = _corrected(in_dtype.circuits, rule, right, dtype_named(only_in))
        compiled = _read_within(compile_program(planted), dtype_named(only_in))
    text = program.vocabulary.join(tokens)
    tried, is_all = _others_tried(compiled.model, program, text, is_wrong=only_in is None)
    if only_in is not None:
        model = rounded(compiled.model, only_in)
        tried, is_all = _others_tried(model, program, text, is_wrong=True)
    return Planted(program, compiled, text, right, wrong, only_in, tried, is_all)


def _read_within(compiled: Compiled, dtype: DType) -> Compiled:
    """The same model, its logits divided by a power of two where a dtype has no such gain of ln_f."""
    gain = compiled.model.tensors["ln_f.weight"]
    halvings = 0
    while np.abs(gain).max() > dtype.largest * 2.0**halvings:
        halvings += 1
    tensors = {**compiled.model.tensors, "ln_f.weight": gain * gain.dtype.type(2.0**-halvings)}
    return replace(compiled, model=replace(compiled.model, tensors=tensors)) if halvings else compiled


def rounded(model: Model, dtype: OnlyIn) -> Model:
    """The same model with its weights rounded to a dtype; every step is computed in float32.

    Raises:
        CompileError: a weight is too large for it.
    """
    kind = dtype_named(dtype)
    for name, tensor in model.tensors.items():
        if np.abs(tensor).max(initial=0) > kind.largest:
            raise CompileError(
                f"{dtype} has no numbers as large as {np.abs(tensor).max():g}",
                where=f"{name} of the planted model",
                fix="plant what is wrong in bfloat16",
            )
    return replace(
        model, tensors={name: each.astype(kind.numpy) for name, each in model.tensors.items()}
    )


def _read(
    program: Program, prompt: str | Sequence[str], predicts: str | None
) -> tuple[list[str], str, str]:
    """The tokens of the prompt, the token that is meant after it, and the wrong one."""
    vocabulary = program.vocabulary
    tokens = [vocabulary.token(number) for number in vocabulary.ids(prompt)]
    if len(tokens) > program.context:
        raise PromptError(
            f"the prompt has {len(tokens)} tokens, and the model sees {program.context}",
            where=repr(vocabulary.join(tokens)),
            fix=f"give a prompt of at most {program.context} tokens",
        )
    right = program.meaning(tokens)
    others = [token for token in vocabulary.tokens if token != right]
    if not others or (predicts is not None and predicts not in others):
        raise VocabularyError(
            f"{predicts or right!r} is no wrong answer: {right!r} is meant after the prompt, and the "
            f"tokens are {shorten(vocabulary.tokens)}",
            fix=f"predict one of: {shorten(others)}" if others else "use a vocabulary of two tokens",
        )
    return tokens, right, predicts or others[0]


def _rule(program: Program, tokens: Sequence[str], wrong: str) -> Rule:
    """The rule that fires after exactly one text.

    It fires at the last position of the text, if no token up to there is another than in the text.
    """
    prompts, last = program.prompts, len(tokens) - 1
    wanted = prompts.position.map(dict(enumerate(tokens)), default=tokens[-1])
    differs = select(prompts.token != wanted, True).exists()
    return predict(wrong).when((prompts.position == last) & ~differs)


def _corrected(circuits: Circuits, rule: Rule, right: str, dtype: DType) -> Circuits:
    """The circuits with the right answer in place of a rule's, unless weights are rounded to a dtype.

    Beside the neuron that writes w for the rule come two with the same condition, which write -n e and
    (n + 1) e, for e = r - w. The three sum to r, which is as large as w and stands for the right token.
    In a dtype with p digits, the neighbours of n = 2^(p + 1) times a number are further from it than
    twice that number. So (n + 1) e is rounded to n e, the two cancel, and w remains.

    Raises:
        CompileError: no neuron serves that rule alone.
    """
    target, n = circuits.unembedding, 1 << dtype.significand + 1
    assert target is not None
    blocks, found = [], False
    for block in circuits.blocks:
        neurons = [*block.neurons]
        for neuron in block.neurons:
            if isinstance(neuron, Neuron) and _serves(neuron, rule, target):
                found = True
                change = _change(neuron.writes[0], right)
                for factor in (-n, n + 1):
                    entries = tuple((place, factor * number) for place, number in change.items())
                    added = Coefficients(target, entries)
                    neurons.append(
                        replace(neuron, name=f"{neuron.name}, {factor} times", writes=(added,))
                    )
        blocks.append(replace(block, neurons=tuple(neurons)))
    if not found:
        raise CompileError(
            "no neuron serves the planted rule alone, so that nothing can correct it",
            where=rule.where,
            fix="plant an answer that is wrong in float32 too",
        )
    return replace(circuits, blocks=tuple(blocks))


def _change(wrong: Coefficients, right: str) -> dict[int, Number]:
    """What must be added to a wrong answer to make it the right one, by the dimension."""
    size = max(abs(number) for _, number in wrong.entries)
    entries = wrong.subspace.entries(right)
    change: dict[int, Number] = {place: size * number for place, number in entries}
    for place, number in wrong.entries:
        change[place] = change.get(place, 0) - number
    return {place: number for place, number in sorted(change.items()) if number}


def _serves(neuron: Neuron, rule: Rule, target: Subspace) -> bool:
    """Whether a neuron writes the answer of a rule, and serves no other."""
    return neuron.origins == (rule.origin,) and [each.subspace for each in neuron.writes] == [target]


def _others_tried(model: Model, program: Program, prompt: str, *, is_wrong: bool) -> tuple[int, bool]:
    """How many other contexts were tried, all of them right, and whether they are all that there are.

    Raises:
        CompileError: the model is wrong after another one, or not as it should be after this one.
    """
    report = verify(model, program, every_up_to=EVERY_UP_TO, sample=SAMPLE)
    others = [failure.context for failure in report.failures if failure.context != prompt]
    if others or is_wrong == verify(model, program, given=[prompt]).passed:
        what = f"the model is wrong after {others[0]!r}" if others else "nothing has changed"
        raise CompileError(
            f"the model cannot be made so: {what}",
            where=f"planting after {prompt!r}",
            fix="plant another token, or after another prompt",
        )
    return report.tried - report.failed, report.is_exhaustive
