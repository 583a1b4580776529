"""The contexts of a certificate in words, for `--print-program`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def contexts_in_words(contexts: Mapping[str, Any], vocabulary: Sequence[str]) -> str:
    """The contexts of a certificate that was checked: their automaton, a line for each state."""
    length, writes, final = contexts["length"], contexts["writes"], contexts["final"]
    lines = [f"inputs: texts of 1 to {length - writes + 1} tokens that end in a final state"]
    for state, row in enumerate(contexts["next"]):
        after: dict[int, list[str]] = {}
        for token, kind in zip(vocabulary, contexts["kinds"], strict=True):
            after.setdefault(row[kind], []).append(repr(token))
        steps = [f"{' '.join(tokens)} to {to}" for to, tokens in after.items() if to >= 0]
        ending = ", final" if final[state] else ""
        lines.append(f"state {state}{ending}: {'; '.join(steps) or 'nothing follows'}")
    if not contexts["causal"]:
        lines.append("every position sees all others, and something is meant at each")
    if writes > 1:
        lines.append(f"behind an input, up to {writes - 1} tokens more, each the one that is predicted")
    return "\n".join(lines)
