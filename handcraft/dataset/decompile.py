"""A baseline decompiler: rules that answer as a model does, found by running it.

It does not look at the weights. It runs the model on many texts, and writes one rule for every ending
of a text after which the most frequent answer changes.
"""

from __future__ import annotations

import warnings

import numpy as np

from handcraft.errors import HandcraftWarning
from handcraft.language import Program, predict
from handcraft.language.patterns.pattern import Pattern
from handcraft.model import Model
from handcraft.verify.texts.batch import Ids
from handcraft.verify.texts.contexts import every_text

ASKED = 4_096
"""On how many texts the model is asked; all there are, if those are fewer."""

LONGEST = 4
"""The most tokens of an ending that a rule reads."""


def decompile(
    model: Model, *, context: int, asked: int = ASKED, longest: int = LONGEST, seed: int = 0
) -> Program:
    """Rules over the last tokens that answer as a model does, as far as these tokens decide its answer.

    A rule is written for an ending if the most frequent answer after it differs from the most frequent
    answer after the ending that is one token shorter. The start of the text counts as a token, so
    rules may be anchored there. If the answers of the model depend on at most `longest` tokens, and it
    is run on every text, the rules answer exactly as it does.

    Args:
        model: the model; its answers are greedy.
        context: the most tokens of a text.
        asked: on how many texts the model is run.
        longest: the most tokens of an ending.
        seed: the seed of the texts, if there are too many to run all.

    Returns:
        A program of patterns over the tokens of the model; the longest patterns come first.
    """
    size = len(model.vocabulary)
    texts = asked_texts(size, context, asked, seed)
    answers = model.forward(np.array(model.vocabulary.numbers)[texts])
    answers = (
        answers[..., list(model.vocabulary.numbers)].argmax(axis=-1).reshape(-1)
    )  # [text * position]
    endings = _endings(texts, min(longest, context), size)  # [text * position, longest]
    start = size
    usual = np.full(len(answers), np.bincount(answers, minlength=size).argmax())
    rules = [predict(model.vocabulary.tokens[usual[0]]).otherwise()]
    for length in range(1, endings.shape[1] + 1):
        found, of = np.unique(endings[:, -length:], axis=0, return_inverse=True)
        counts = np.zeros((len(found), size), dtype=np.int64)
        np.add.at(counts, (of.reshape(-1), answers), 1)
        best = counts.argmax(axis=1)[of.reshape(-1)]
        best = np.where(
            counts[of.reshape(-1), usual] == counts.max(axis=1)[of.reshape(-1)], usual, best
        )
        changed = np.unique(of.reshape(-1)[best != usual])
        for ending in changed.tolist():
            tokens = [token for token in found[ending].tolist() if token != start]
            pattern = Pattern(tuple(frozenset({token}) for token in tokens), len(tokens) < length)
            answer = best[of.reshape(-1) == ending][0]
            text = pattern.text(model.vocabulary)
            rules.append(predict(model.vocabulary.tokens[answer]).after(text))
        usual = best
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)  # a rule that longer ones hide
        return Program(model.vocabulary, context, rules[::-1])


def asked_texts(size: int, context: int, asked: int, seed: int) -> Ids:
    """Every text of the full length, or random ones if there are too many: [text, position]."""
    if size**context <= asked:
        return every_text(size, context)
    return np.random.default_rng(seed).integers(0, size, size=(asked, context))


def _endings(texts: Ids, longest: int, start: int) -> Ids:
    """The last tokens at every position of every text, `start` before its first token."""
    padded = np.pad(texts, ((0, 0), (longest, 0)), constant_values=start)
    windows = np.lib.stride_tricks.sliding_window_view(padded, longest, axis=1)[:, 1:]
    return windows.reshape(-1, longest)
