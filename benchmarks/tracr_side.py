"""Compile one program of the size table with Tracr, and print what came out as JSON.

Runs in an environment that has Tracr and not handcraft; `benchmarks/peers.py` starts it. The programs
are those of Tracr's own library, called as it documents them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
from tracr.compiler import compiling, lib
from tracr.rasp import rasp

PROGRAMS: dict[str, Callable[[int], Any]] = {
    "reverse": lambda length: lib.make_reverse(rasp.tokens),
    "sort": lambda length: lib.make_sort(rasp.tokens, rasp.tokens, max_seq_len=length, min_key=1),
    "sort_by_frequency": lambda length: lib.make_sort_freq(length),
    "three_sequences": lambda length: lib.make_nary_sequencemap(
        lambda x, y, z: x + y - z, rasp.tokens, rasp.indices, lib.make_hist()
    ),
    "shuffle_dyck": lambda length: lib.make_shuffle_dyck(["ab", "cd"]),
    "histogram": lambda length: lib.make_hist(),
    "fraction": lambda length: lib.make_frac_prevs(rasp.tokens == 0),
    "balance": lambda length: lib.make_pair_balance(rasp.tokens, 0, 1),
    "sort_distinct": lambda length: lib.make_sort_unique(rasp.tokens, rasp.tokens),
}
"""By the name of the function in benchmarks/size_table.py that writes the same program."""

LETTERS = "abcdefghij"


def main(name: str, tokens: int, length: int, runs: int) -> None:
    """Print layers, width, parameters and the best time of some runs, after one that does not count."""
    vocabulary = set(LETTERS[:tokens]) if name == "shuffle_dyck" else set(range(tokens))
    seconds = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        model = compiling.compile_rasp_to_model(PROGRAMS[name](length), vocabulary, length)
        seconds.append(time.perf_counter() - start)
    leaves = jax.tree_util.tree_leaves(model.params)
    found = {
        "layers": model.model_config.num_layers,
        "width": int(model.params["token_embed"]["embeddings"].shape[1]),
        "parameters": int(sum(leaf.size for leaf in leaves)),
        "seconds": min(seconds[1:] or seconds),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
