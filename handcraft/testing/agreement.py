"""The one assertion: oracle, ideal circuits and forward pass give the same answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from handcraft.circuits import ideal_next
from handcraft.circuits.ideal import ideal_logits
from handcraft.compiler import Compiled, compile_program
from handcraft.language import Program, Prompts
from handcraft.language.decision import Distribution, decided
from handcraft.model.attention import Array
from handcraft.verify import count_contexts, logit_margins
from handcraft.verify.probabilities import softmax
from handcraft.verify.texts.allowed import drawn_texts, is_restricted
from handcraft.verify.texts.contexts import Ids
from handcraft.verify.texts.written_part import following_in, written_from

EVERY_UP_TO = 50_000
SAMPLE = 20_000

ALLOWED = 2_000
"""How many allowed prompts are drawn at most, each of which is interpreted by itself."""

CLOSE = 1e-3
"""The largest error of a probability."""


def assert_agreement(
    program: Program | Compiled,
    *,
    every_up_to: int = EVERY_UP_TO,
    sample: int = SAMPLE,
    seed: int = 0,
) -> None:
    """Assert that what a program means, its ideal circuits and its model agree.

    Only allowed prompts are tried; without a causal mask, at every position. If a program predicts
    probabilities, those are compared.

    Args:
        program: a rule program, which is compiled, or one that already is.
        every_up_to: with at most so many contexts, every one is tried.
        sample: otherwise so many drawn at random; of allowed prompts no more than `ALLOWED`.
        seed: of the sample.

    Raises:
        AssertionError: they disagree; the message names the shortest context, and the levels.
        AssumptionError: an allowed prompt breaks an assumption of the program.
    """
    compiled = compile_program(program) if isinstance(program, Program) else program
    rules = compiled.source
    assert isinstance(rules, Program), "circuits laid out by hand have no rules to agree with"
    if rules.has_only_patterns:
        _assert_on(compiled, rules, _texts(rules, every_up_to, sample, seed))
        return
    for written in _prompts(rules, rules.prompts, every_up_to, sample, seed):
        _assert_on_prompts(compiled, rules, rules.prompts, *written)


def _texts(program: Program, every_up_to: int, sample: int, seed: int) -> Ids:
    """Texts whose prefixes are the contexts to try: [text, position]."""
    size, longest = len(program.vocabulary), program.context
    if count_contexts(size, longest) <= every_up_to:
        return _every_text(size, longest)
    return _some_texts(size, longest, -(-sample // longest), seed)


def _every_text(size: int, length: int) -> Ids:
    numbers = np.arange(size**length)
    digits = [numbers // size**place % size for place in reversed(range(length))]
    return np.stack(digits, axis=1)


def _some_texts(size: int, length: int, rows: int, seed: int) -> Ids:
    return np.random.default_rng(seed).integers(0, size, size=(rows, length))


def _prompts(
    program: Program, prompts: Prompts, every_up_to: int, sample: int, seed: int
) -> Iterator[tuple[Ids, int]]:
    """Allowed prompts, the shorter ones first, and how long those are that begin each of them."""
    size, longest = len(prompts.vocabulary), prompts.context
    everything = count_contexts(size, longest) <= every_up_to
    if is_restricted(prompts) and (prompts.writes > 1 or not everything):
        drawn = sorted(drawn_texts(prompts, min(sample, ALLOWED), seed), key=lambda rows: rows.shape[1])
        for each in written_from(prompts, iter(drawn), following_in(program)):
            yield each.texts, each.shortest
        return
    lengths = [longest] if _has_prefixes(prompts) else range(1, longest + 1)
    for length in lengths:
        rows = -(-sample // (longest if _has_prefixes(prompts) else len(lengths)))
        texts = _every_text(size, length) if everything else _some_texts(size, length, rows, seed)
        allowed = prompts.allowed(texts)
        if allowed.any():
            yield texts[allowed], length if is_restricted(prompts) else 1


def _has_prefixes(prompts: Prompts) -> bool:
    """Whether what stands at a position of a prompt is what stands at the end of its prefix."""
    return prompts.causal and not is_restricted(prompts)


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
                f"they disagree after {context!r}:\n"
                f"  the rules mean      {_token(program, int(meant[first]))}\n"
                f"  the ideal circuits  {_token(program, int(circuits[first]))}\n"
                f"  the forward pass    {_token(program, answered)}"
                f" (margin {float(margins[first]):g})"
            )


def _assert_on_prompts(
    compiled: Compiled, program: Program, prompts: Prompts, texts: Ids, shortest: int
) -> None:
    """Compare at every position at which an allowed prompt ends; without a mask at all of them."""
    logits = compiled.model.forward(texts)  # [text, position, n_vocab]
    exact = ideal_logits(compiled.circuits, texts).astype(np.float64)  # [text, position, vocabulary]
    rulings = [
        decided(program.decisions, _tokens(prompts, row), causal=prompts.causal) for row in texts
    ]
    for place in range(shortest - 1 if prompts.causal else 0, texts.shape[1]):
        for row, text in enumerate(texts):
            _, meant = rulings[row][place]
            parted = _parted(compiled, meant, exact[row, place], logits[row, place])
            if parted is not None:
                raise AssertionError(f"they disagree {_where(prompts, text, place)}:\n{parted}")


def _where(prompts: Prompts, text: Ids, place: int) -> str:
    seen = text[: place + 1] if prompts.causal else text
    context = prompts.vocabulary.join(_tokens(prompts, seen))
    return f"after {context!r}" if len(seen) == place + 1 else f"at position {place} of {context!r}"


def _tokens(prompts: Prompts, row: Ids) -> list[str]:
    return [prompts.vocabulary.token(token) for token in row.tolist()]


def _parted(compiled: Compiled, meant: Distribution, exact: Array, logits: Array) -> str | None:
    """The answers of the three levels after one context, where they disagree."""
    tokens = compiled.circuits.vocabulary.tokens
    if compiled.circuits.logit_scale is None:
        (right,) = meant
        others = [i for i, token in enumerate(tokens) if token != right]
        place = tokens.index(right)
        circuits = exact[place] - max(exact[others], default=-np.inf)
        rest = np.delete(logits, place)
        margin = float(logits[place]) - max(rest.tolist(), default=-np.inf)
        if circuits > 0 and margin > 0:
            return None
        return (
            f"  the rules mean      {right}\n"
            f"  the ideal circuits  {tokens[int(exact.argmax())] if circuits else 'a tie'}\n"
            f"  the forward pass    {_named(tokens, int(logits.argmax()))} (margin {margin:g})"
        )
    wanted = np.array([float(meant.get(token, 0)) for token in tokens])
    levels = {"the ideal circuits": softmax(exact), "the forward pass": softmax(logits)}
    if all(np.abs(found[: len(tokens)] - wanted).max() <= CLOSE for found in levels.values()):
        return None
    lines = [f"  {'the rules mean':19} {_shown(wanted)}"]
    lines += [f"  {level:19} {_shown(found)}" for level, found in levels.items()]
    return "\n".join(lines)


def _shown(probabilities: Array) -> str:
    return " ".join(f"{each:.4f}" for each in probabilities.tolist())


def _named(tokens: Sequence[str], token: int) -> str:
    return tokens[token] if token < len(tokens) else "a padding token"


def _token(program: Program, token: int) -> str:
    if token < 0:
        return "a tie"
    return program.vocabulary.token(token)  # an id past the vocabulary is shown as its number
