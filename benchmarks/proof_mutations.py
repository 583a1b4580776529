"""How often a changed model or certificate stays proved, and whether one ever does that is wrong.

    python benchmarks/proof_mutations.py [--weights 10000] [--workers 2] [--results FILE]

Each mutation changes one weight, one key of config.json, the ids of tokens in tokenizer.json, one field
of the certificate, or takes the certificate of another program. All contexts are then run in float32:
it is harmful where an answer is not the one that is meant. A run that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from judged_folders import Original, contexts, least_margin, least_of, meant_ids
from small_programs import programs

from handcraft import compile_program
from handcraft_check import attempts
from handcraft_check.claim import Claim, read_claim
from handcraft_check.errors import CheckError
from handcraft_check.prove import prove

KINDS = ("weight", "config", "tokenizer", "certificate", "swapped")

ROOT = Path(__file__).resolve().parents[1]


def mutated_weight(random: Random, files: Original) -> str:
    """Change one weight."""
    name = random.choice(sorted(files.tensors))
    files.tensors[name] = tensor = files.tensors[name].copy()
    places = np.flatnonzero(tensor) if random.random() < 0.8 else np.arange(tensor.size)
    place = int(random.choice(places.tolist() or [0]))
    flat = tensor.reshape(-1)
    old = float(flat[place])
    new = random.choice(
        [
            0.0,
            -old,
            2 * old,
            old * (1 + random.choice([-1, 1]) * 2.0 ** -random.randint(1, 20)),
            old + random.gauss(0, 1) * 10 ** random.uniform(-4, 2),
            float(random.choice(flat.tolist())),
            random.choice([-1, 1]) * random.choice([1e6, 1e19, 1e30, 3e38]),
        ]
    )
    with np.errstate(over="ignore"):
        flat[place] = new
    return f"{name}[{place}]: {old} -> {new}"


def mutated_config(random: Random, files: Original) -> str:
    """Change one key of config.json."""
    width = files.config["n_embd"]
    values: dict[str, list[Any]] = {
        "n_head": [n for n in range(1, width + 1) if width % n == 0],
        "layer_norm_epsilon": [1e-12, 1e-6, 1e-3, 0.1, 0.9],
        "scale_attn_weights": [True, False],
        "scale_attn_by_inverse_layer_idx": [True, False],
        "reorder_and_upcast_attn": [True],
        "n_layer": [1, 2, 3],
        "n_positions": [3, 4, 5],
        "n_inner": [width, 4 * width + 4],
        "vocab_size": [files.config["vocab_size"] + 1],
        "num_hidden_layers": [1],
        "activation_function": ["gelu", "relu"],
        "tie_word_embeddings": [False],
        "dtype": ["bfloat16", "float16"],
        "pad_token_id": [0],
    }
    key = random.choice(sorted(values))
    files.config[key] = random.choice(values[key])
    return f"{key}: {files.config[key]}"


def mutated_tokenizer(random: Random, files: Original) -> str:
    """Give tokens other ids in tokenizer.json."""
    assert files.tokenizer is not None
    vocab = files.tokenizer["model"]["vocab"]
    first, second = random.sample(sorted(vocab), 2)
    if random.random() < 0.8:
        vocab[first], vocab[second] = vocab[second], vocab[first]
    else:
        vocab[first] = vocab[second]
    return f"{first!r}: {vocab[first]}, {second!r}: {vocab[second]}"


def mutated_certificate(random: Random, files: Original) -> str:
    """Change one field of the certificate to another value that is legal there."""
    cert = files.certificate
    kind = random.choice(["token_ids", "vocabulary", "arithmetic", *["contexts"] * 3, *["meaning"] * 8])
    if kind in ("token_ids", "vocabulary"):
        files.tokenizer = None  # which would contradict it
    if kind == "token_ids":
        ids = cert["token_ids"]
        random.shuffle(ids)
        if random.random() < 0.5:
            ids[0] = random.randrange(files.config["vocab_size"])
    elif kind == "vocabulary":
        random.shuffle(cert["vocabulary"])
    elif kind == "arithmetic":
        cert["arithmetic"]["weights"] = random.choice(["bfloat16", "float16"])
    elif kind == "contexts":
        return _mutated_contexts(random, cert["contexts"])
    else:
        return _mutated_part(random, cert["meaning"])
    return f"{kind}: {cert[kind]}"


def _mutated_contexts(random: Random, part: dict[str, Any]) -> str:
    """Change one value of the automaton, or how much it allows."""
    key = random.choice(sorted(part))
    states = len(part["final"])
    if key in ("length", "writes"):
        part[key] = random.randint(1, 6)
    elif key == "causal":
        part[key] = not part[key]
    elif key == "next":
        row = part[key][random.randrange(states)]
        row[random.randrange(len(row))] = random.randrange(-1, states)
    elif key == "kinds":
        part[key][random.randrange(len(part[key]))] = random.randrange(len(part["next"][0]))
    else:
        place = random.randrange(states)
        part[key][place] = not part[key][place]
    return f"contexts.{key}: {part[key]}"


def _mutated_part(random: Random, meaning: dict[str, Any]) -> str:
    """Change one value in the nodes or rules: a number, a flag, a name, or which node is read."""
    places: list[tuple[Any, Any]] = []

    def walk(part: Any) -> None:
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            if isinstance(value, dict | list):
                walk(value)
            elif key != "op":
                places.append((part, key))

    for part in ("nodes", "answer", "names"):
        walk(meaning[part])
    part, key = random.choice(places)
    old = part[key]
    relations, hows = ["==", "!=", "<", "<=", ">", ">="], ["latest", "earliest", "mean", "count"]
    if isinstance(old, bool):
        part[key] = not old
    elif isinstance(old, int):
        part[key] = old + random.choice([-1, 1, 2])
    elif old in relations or old in hows:
        part[key] = random.choice(relations if old in relations else hows)
    else:
        part[key] = random.choice(["a", "b", 0, None])
    return f"{key}: {old} -> {part[key]}"


MUTATIONS = {
    "weight": mutated_weight,
    "config": mutated_config,
    "tokenizer": mutated_tokenizer,
    "certificate": mutated_certificate,
}


class Judge:
    """Programs as folders of their own, to be changed and judged.

    Args:
        temporary: an empty folder.
        names: of which programs; None for all.
        optimize: whether they are compiled with `optimize`.
    """

    def __init__(
        self, temporary: Path, names: Collection[str] | None = None, *, optimize: bool = False
    ) -> None:
        self.folders, self.originals, self.meant = {}, {}, {}
        for name, program in programs().items():
            if names is not None and name not in names:
                continue
            self.folders[name] = folder = temporary / name
            compile_program(program, optimize=optimize).save(folder)
            self.originals[name] = Original.read(folder)
            claim = read_claim(folder)
            self.meant[name] = [
                (claim.token_ids[texts], meant_ids(claim, answers))
                for texts, answers in contexts(claim)
            ]

    def outcome(self, name: str, kind: str, number: int) -> tuple[str, bool | None, str]:
        """Mutate once: the verdict, whether all answers are right, and what was changed.

        Whether they are is None where the files say nothing that could be judged.

        Raises:
            AssertionError: it is proved, and a context has a lower margin than the proved one.
        """
        files = copy.deepcopy(self.originals[name])
        if kind == "swapped":
            others = [other for other in self.originals if other != name]
            what = others[number % len(others)]
            files.certificate = copy.deepcopy(self.originals[what].certificate)
            files.tokenizer = None
        else:
            what = MUTATIONS[kind](Random(f"{name} {kind} {number}"), files)
        folder = self.folders[name]
        files.write(folder)
        claim: Claim | None = None
        try:
            claim = read_claim(folder, rehash=True)
            verdict = prove(folder, rehash=True, budget=attempts.BUDGETS[0], is_located=False)
        except CheckError:
            least = None if kind != "weight" else least_of(files, self.meant[name])
            return "refused", None if least is None else least > 0, what
        unchanged = kind in ("weight", "tokenizer")
        least = least_of(files, self.meant[name]) if unchanged else least_margin(files, claim)
        assert verdict.word != "proved" or least >= verdict.margin, (name, what, least, verdict)
        assert verdict.word != "refuted" or least <= 0, (name, what, least, verdict)
        return verdict.word, least > 0, what


def tasks(weights: int, first: int = 0) -> Iterator[tuple[str, str, int]]:
    """The mutations: as many of weights, a tenth of that of each other kind, and every swap.

    Args:
        weights: how many weights.
        first: of weights, those of each program from this number on; of other kinds a tenth of it.
    """
    names = list(programs())
    for kind in KINDS:
        start = first if kind == "weight" else 0 if kind == "swapped" else -(-first // 10)
        each = -(-weights // len(names)) if kind == "weight" else -(-weights // (10 * len(names)))
        each = len(names) - 1 if kind == "swapped" else each
        yield from ((name, kind, number) for number in range(start, each) for name in names)


def version() -> str:
    """A hash of compiler, checker and programs: results of another version do not count."""
    found = hashlib.sha256()
    for folder in ("handcraft", "handcraft_check", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()


_judge_in = cache(Judge)
"""One judge a process, in a folder of its own."""


def _judged(temporary: Path, task: tuple[str, str, int]) -> list[Any]:
    judge = _judge_in(temporary / str(os.getpid()))
    try:
        return [*task, *judge.outcome(*task)]
    except AssertionError as error:  # the others are judged all the same
        return [*task, "wrong", False, str(error)]


def known_results(path: Path) -> dict[tuple[str, str, int], list[Any]]:
    """The results that a file contains, if they are of this version."""
    if not path.exists():
        return {}
    lines = [line for line in path.read_text("utf-8").split("\n") if line]
    if not lines or json.loads(lines[0]) != version():
        return {}
    found = {}
    for line in lines[1:]:
        try:
            name, kind, number, *rest = json.loads(line)
        except ValueError:  # the last line of a run that was ended
            continue
        found[name, kind, number] = [name, kind, number, *rest]
    return found


def results(wanted: Iterable[tuple[str, str, int]], path: Path, executor: Executor) -> list[list[Any]]:
    """The outcome of each mutation; what is not known yet is found, and added to the file."""
    known = known_results(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    wanted = list(wanted)
    with path.open("w", encoding="utf-8") as file, tempfile.TemporaryDirectory() as temporary:
        print(*map(json.dumps, (version(), *known.values())), sep="\n", file=file, flush=True)
        futures = [
            executor.submit(_judged, Path(temporary), task) for task in wanted if task not in known
        ]
        for count, future in enumerate(as_completed(futures), 1):
            row = future.result()
            known[row[0], row[1], row[2]] = row
            print(json.dumps(row), file=file, flush=True)
            if count % 100 == 0:
                print(f"{count:,} of {len(futures):,}", file=sys.stderr, flush=True)
    return [known[task] for task in wanted]


def table(rows: list[list[Any]]) -> Iterator[str]:
    """How many mutations of each kind there were, and what became of them, as Markdown."""
    yield "| changed | mutations | harmful | of these proved | harmless | of these proved | refused |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    names = list(programs())
    lines = [(name, "weight", f"weights of {name}") for name in names]
    for name, kind, label in [*lines, *((None, kind, kind) for kind in KINDS)]:
        found = Counter(
            (word, is_right)
            for program, k, _, word, is_right, _ in rows
            if k == kind and name in (None, program)
        )
        cells = [label, found.total()]
        for flag in (False, True):
            cells.append(sum(n for (_, is_right), n in found.items() if is_right is flag))
            cells.append(found["proved", flag] + found["wrong", flag])
        cells.append(sum(n for (word, _), n in found.items() if word == "refused"))
        yield f"| {' | '.join(f'{c:,}' if isinstance(c, int) else c for c in cells)} |"


def main() -> None:
    """Print the table, and end with 1 where a harmful mutation stayed proved."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=int, default=10_000, help="how many weights to change")
    parser.add_argument("--first", type=int, default=0, help="the first mutation of each program")
    parser.add_argument("--workers", type=int, default=2, help="how many processes")
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "proof-mutations.jsonl")
    given = parser.parse_args()
    with ProcessPoolExecutor(given.workers) as executor:
        rows = results(tasks(given.weights, given.first), given.results, executor)
    print(*table(rows), sep="\n")
    wrong = [row for row in rows if row[3] == "wrong"]
    for row in wrong:
        print("the verdict is wrong:", *row, file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
