"""Search for prompts with small margins, after which a model comes nearest to answering wrong."""

from __future__ import annotations

import numpy as np

from handcraft.testing.means.by_hypothesis import try_examples
from handcraft.testing.means.tally import Tally
from handcraft.testing.means.trials import Listed, Trials
from handcraft.testing.models.answering import Answering, Ids
from handcraft.testing.models.of_handcraft import OfHandcraft
from handcraft.testing.prompt_strategy import inputs_strategy

STEPS = 200
"""After so many steps the search from one prompt ends; each makes its margin thinner."""

NEIGHBOURS = 2_000
"""How many of the prompts that differ in one token are tried at each step."""

WORK = 2e11
"""About how many multiplications all prompts take together: half a minute of a core. Only of models of
handcraft it is known how many a prompt takes."""


def hunt(tally: Tally, trials: Trials | Listed, *, examples: int, seed: int) -> None:
    """Search for thinner margins than were found, and count the answers that were tried on the way.

    Hypothesis makes prompts like those with the thinnest margins. Then, from the thinnest ones that
    were found, tokens are replaced, inserted and left out for as long as a margin gets thinner.
    """
    if isinstance(trials, Listed):
        return
    left = _affordable(tally.trying.subject.model, trials)

    def attempt(prompt: tuple[int, ...]) -> float:
        if not prompt:
            return np.inf
        return _tried(tally, np.array([prompt], dtype=np.int64))

    try_examples(
        inputs_strategy(trials.prompts, trials.longest, trials.program),
        tuple,
        attempt,
        examples=max(1, int(min(examples, left / 2))),
        seed=seed,
        aim=True,
    )
    left -= min(examples, left / 2)
    for margin, prompt, _ in tuple(tally.thinnest):
        left -= _descend(tally, trials, prompt, margin, left, np.random.default_rng(seed))


def _affordable(model: Answering, trials: Trials) -> float:
    """How many prompts are tried at most; the model runs anew for each token that it writes."""
    if not isinstance(model, OfHandcraft):
        return np.inf
    writes = trials.prompts.writes
    return WORK / (model.model.parameters * (trials.longest + writes) * writes)


def _descend(
    tally: Tally,
    trials: Trials,
    prompt: tuple[int, ...],
    margin: float,
    most: float,
    random: np.random.Generator,
) -> int:
    """Step to a neighbour with a thinner margin for as long as there is one.

    Returns:
        How many prompts were tried; about as many as `most` at the most.
    """
    tried = 0
    for _ in range(STEPS):
        best, left = prompt, min(NEIGHBOURS, most - tried)
        if left < len(prompt):
            break
        for texts in _neighbours(prompt, len(trials.prompts.vocabulary), int(left), random):
            allowed = texts[trials.allowed(texts)]
            if not len(allowed):
                continue
            tried += len(allowed)
            lowest, _ = tally.trying.lowest(allowed, tally.least_margin)
            row = int(lowest.argmin())
            if lowest[row] < margin:
                margin, best = float(lowest[row]), tuple(allowed[row].tolist())
        if best == prompt:
            break
        prompt = best
        _tried(tally, np.array([prompt], dtype=np.int64))
    return tried


def _tried(tally: Tally, inputs: Ids) -> float:
    lowest = np.inf
    for answers in tally.trying.answers(inputs):
        tally.add(answers)
        lowest = min(lowest, float(answers.margins.min(initial=np.inf)))
    return lowest


def _neighbours(
    prompt: tuple[int, ...], size: int, most: int, random: np.random.Generator
) -> list[Ids]:
    """The prompts that differ by one token: replaced, inserted or left out; of many some."""
    text, length = np.array(prompt, dtype=np.int64), len(prompt)
    tokens = np.arange(size)
    if size * length > most:
        tokens = random.choice(size, size=max(1, most // length), replace=False)
    found = [np.stack([np.delete(text, i) for i in range(length)])] if length > 1 else []
    replaced = np.tile(text, (length, len(tokens), 1))
    replaced[np.arange(length), :, np.arange(length)] = tokens
    inserted = np.stack([np.insert(text, i, token) for i in range(length + 1) for token in tokens])
    return [*found, replaced.reshape(-1, length), inserted]
