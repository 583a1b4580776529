"""Texts in which every distinguishable window of tokens ends at every position of a model.

A rule reads the last tokens of a context, at any position, but a model encodes each position by its
own numbers, so every window must be tried at every position. A de Bruijn sequence is a cycle in which
every window occurs once. So there are as many texts as windows, each starting at another place of the
cycle, and every window ends at every position. If that takes few texts, the windows are wider than the
rules need: a head that attends to a wrong position may find the right token there by chance, but not in
all texts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handcraft.language import Program
from handcraft.verify.texts.batch import Ids

MOST_WINDOWS = 200_000
"""The longest cycle that is made; where there are more windows, it is one of narrower windows."""

WIDER_CONTEXTS = 1 << 16
"""Windows are wider than the rules need where no more contexts than this come of it."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Texts, and what they show.

    Args:
        texts: places in the vocabulary, [text, position].
        width: how many tokens the rules read.
        count: how many windows of that width the rules distinguish.
        seen: how many different ones end at each position with enough tokens before it.
    """

    texts: Ids
    width: int
    count: int
    seen: int


def window_texts(program: Program, positions: int, most: int, seed: int) -> Windows:
    """At most `most` texts of a length in which no two windows that end at one position are the same.

    If there are too few texts for all windows of tokens, tokens that no rule distinguishes count as
    one, and each occurrence is drawn at random from them.
    """
    random = np.random.default_rng(seed)
    width = max(1, program.reach)
    kinds = [[token] for token in range(len(program.vocabulary))]
    if len(kinds) ** width > most:
        kinds = token_kinds(program)
    count = len(kinds) ** width
    size, most_windows = len(kinds), min(most, WIDER_CONTEXTS // positions)
    shown = width  # the width of the windows in the cycle
    while shown > 1 and size**shown > MOST_WINDOWS:
        shown -= 1
    while size > 1 and shown < positions and size ** (shown + 1) <= most_windows:
        shown += 1
    cycle = window_cycle(size, shown, random)
    texts = min(most, len(cycle))
    starts = np.arange(texts) * len(cycle) // texts  # all of them different
    places = cycle[(starts[:, None] + np.arange(positions)) % len(cycle)]  # [text, position]
    members = np.array([len(kind) for kind in kinds])
    table = np.array([kind + kind[:1] * (members.max() - len(kind)) for kind in kinds])
    drawn = table[places, random.integers(0, members[places])]
    return Windows(drawn, width, count, min(texts, count))


def token_kinds(program: Program) -> list[list[int]]:
    """The tokens, in groups of those that are in the same token classes of all patterns."""
    classes = {allowed for clause in program.clauses for allowed in clause.pattern.classes}
    is_member = np.zeros((len(program.vocabulary), len(classes)), dtype=bool)
    for column, allowed in enumerate(classes):
        is_member[list(allowed), column] = True
    kinds: dict[bytes, list[int]] = {}
    for token, row in enumerate(np.packbits(is_member, axis=1)):
        kinds.setdefault(row.tobytes(), []).append(token)
    return list(kinds.values())


def window_cycle(size: int, width: int, random: np.random.Generator) -> Ids:
    """A random cycle over `size` letters in which every window of `width` occurs once.

    It is an Eulerian circuit of the graph whose nodes are the windows of one letter less, and whose
    edges are the letters that may follow (de Bruijn 1946; the circuit by Hierholzer's algorithm).

    Returns:
        [size ** width].

    >>> cycle = window_cycle(2, 3, np.random.default_rng(0)).tolist()
    >>> len({tuple((cycle + cycle)[i : i + 3]) for i in range(8)})
    8
    """
    nodes = size ** (width - 1)
    if nodes == 1:
        return random.permutation(size)
    following = random.permuted(np.tile(np.arange(size), (nodes, 1)), axis=1).tolist()
    walk, closed = [0], []
    while walk:
        node = walk[-1]
        if following[node]:
            walk.append((node * size + following[node].pop()) % nodes)
        else:
            closed.append(walk.pop())
    return np.array(closed[:0:-1], dtype=np.int64) % size
