"""Assert that the oracle, the ideal circuits and the forward pass give the same answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from handcraft.circuits.ideal import logits_of_prefixes
from handcraft.compiler import Compiled, compile_program
from handcraft.language import Program
from handcraft.language.rules.decision import decided
from handcraft.language.rules.distribution import Distribution
from handcraft.model.layers.attention import Array
from handcraft.verify import count_contexts, logit_margins
from handcraft.verify.probabilities import probabilities_after
from handcraft.verify.texts.allowed import drawn_texts, is_restricted
from handcraft.verify.texts.batch import Ids
from handcraft.verify.texts.contexts import every_text
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
        program: a program of rules, or a compiled one.
        every_up_to: if there are at most this many contexts, all are tried.
        sample: otherwise this many random ones are; of allowed prompts no more than `ALLOWED`.
        seed: the seed of the sample.

    Raises:
        AssertionError: they disagree; the message names the shortest context, and the levels.
        AssumptionError: an allowed prompt breaks an assumption of the program.
    """
    compiled = compile_program(program) if isinstance(program, Program) else program
    rules = compiled.source
    assert isinstance(rules, Program), "circuits laid out by hand have no rules to agree with"
    for texts, shortest in _prompts(rules, every_up_to, sample, seed):
        _assert_on(compiled, rules, texts, shortest)


def _prompts(program: Program, every_up_to: int, sample: int, seed: int) -> Iterator[tuple[Ids, int]]:
    """Allowed prompts, the shorter ones first, and how long those are that begin each of them."""
    prompts = program.prompts
    size, longest, is_some = len(prompts.vocabulary), prompts.context, is_restricted(prompts)
    everything = count_contexts(size, longest) <= every_up_to
    if is_some and (prompts.writes > 1 or not everything):
        drawn = sorted(drawn_texts(prompts, min(sample, ALLOWED), seed), key=lambda rows: rows.shape[1])
        for each in written_from(prompts, iter(drawn), following_in(program)):
            yield each.texts, each.shortest
        return
    has_prefixes = prompts.causal and not is_some  # a position answers as if it were the last
    for length in [longest] if has_prefixes else range(1, longest + 1):
        if everything:
            texts = every_text(size, length)
        else:
            rows = -(-sample // longest)
            texts = np.random.default_rng(seed).integers(0, size, size=(rows, length))
        allowed = prompts.allowed(texts)
        if allowed.any():
            yield texts[allowed], length if is_some else 1


def _assert_on(compiled: Compiled, program: Program, texts: Ids, shortest: int) -> None:
    """Compare at every position at which an allowed prompt ends; without a mask at all of them."""
    tokens = compiled.circuits.vocabulary.tokens
    meant = [_meant(program, row) for row in texts.tolist()]
    exact, prefixes = logits_of_prefixes(compiled.circuits, texts)
    levels = {
        "the ideal circuits": exact.floats[prefixes.of],  # [text, position, vocabulary]
        "the forward pass": compiled.model.forward(texts),  # [text, position, n_vocab]
    }
    if compiled.circuits.logit_scale is None:
        right = np.array([[tokens.index(token) for each in row for token in each] for row in meant])
        wrong = [~(_margins(found, right) > 0) for found in levels.values()]
    else:
        wanted = np.array(
            [[[float(each.get(token, 0)) for token in tokens] for each in row] for row in meant]
        )
        written = [probabilities_after(found)[..., : len(tokens)] for found in levels.values()]
        wrong = [np.abs(each - wanted).max(axis=-1) > CLOSE for each in written]
    differs = np.any(wrong, axis=0)  # [text, position]
    differs[:, : shortest - 1 if program.prompts.causal else 0] = False
    if not differs.any():
        return
    place = int(differs.any(axis=0).argmax())
    row = int(differs[:, place].argmax())
    found = {level: logits[row, place] for level, logits in levels.items()}
    seen = texts[row, : place + 1] if program.prompts.causal else texts[row]
    context = program.vocabulary.text(seen.tolist())
    at = f"after {context!r}" if len(seen) == place + 1 else f"at position {place} of {context!r}"
    lines = _lines(compiled, meant[row][place], found)
    raise AssertionError(f"they disagree {at}:\n" + "\n".join(lines))


def _meant(program: Program, row: list[int]) -> Sequence[Distribution]:
    """What a program means at every position of a text, interpreted by itself."""
    tokens = program.vocabulary.tokens
    if program.has_only_patterns:
        return [{tokens[i]: 1} for i in program.next_tokens(row)]  # type: ignore[dict-item]
    text = [tokens[i] for i in row]
    return [meant for _, meant in decided(program.decisions, text, causal=program.prompts.causal)]


def _margins(logits: Array, right: Ids) -> Array:
    """The margins of the right tokens: [text, position]."""
    flat = logits.reshape(-1, logits.shape[-1])
    return logit_margins(flat, right.reshape(-1)).reshape(right.shape)


def _lines(compiled: Compiled, meant: Distribution, found: dict[str, Array]) -> list[str]:
    """The answers of the three levels after one context."""
    tokens = compiled.circuits.vocabulary.tokens
    if compiled.circuits.logit_scale is None:
        (right,) = meant
        answers = {"the rules mean": right}
        for level, logits in found.items():
            best = np.flatnonzero(logits == logits.max()).tolist()
            named = tokens[best[0]] if best[0] < len(tokens) else "a padding token"
            answers[level] = "a tie" if len(best) > 1 else named
        margin = logit_margins(found["the forward pass"][None], np.array([tokens.index(right)]))[0]
        answers["the forward pass"] += f" (margin {float(margin):g})"
    else:
        numbers = {level: probabilities_after(logits).tolist() for level, logits in found.items()}
        numbers = {"the rules mean": [float(meant.get(token, 0)) for token in tokens], **numbers}
        answers = {level: " ".join(f"{each:.4f}" for each in row) for level, row in numbers.items()}
    return [f"  {level:19} {answer}" for level, answer in answers.items()]
