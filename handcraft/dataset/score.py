"""How well recovered scripts give the answers of the models from which they were recovered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from handcraft.architecture import architecture_named
from handcraft.dataset.decompile import asked_texts, decompile
from handcraft.dataset.record import KINDS
from handcraft.dataset.script import Script
from handcraft.dataset.write_dataset import DATASET, FORMAT
from handcraft.display import count
from handcraft.errors import CheckpointError, HandcraftError
from handcraft.formats.tensors.shards import read_header
from handcraft.language import write_rules
from handcraft.model import Model, Shape
from handcraft.progress import advance
from handcraft.vocabulary import Vocabulary

JUDGED = 4_096
"""On how many texts of each program scripts are compared; on all, if those are fewer."""

OTHER_SEED = 1
"""Judged texts are drawn with another seed than the baseline's."""


@dataclass(frozen=True)
class Score:
    """How well scripts of one kind were recovered.

    Args:
        kind: of the programs.
        programs: how many there are.
        recovered: for how many of them a script was given that can be read.
        equal: how many scripts give all answers that were compared.
        answers: the mean share of answers that are right; 0 for a missing script.
        length: of the scripts that give all answers, the mean length divided by that of the script
            that was compiled. A length is the number of values and rules of the graph. None if no
            script gives all answers.
    """

    kind: str
    programs: int
    recovered: int
    equal: int
    answers: float
    length: float | None


def score(folder: str | Path, scripts: str | Path | None = None) -> tuple[Score, ...]:
    """Judge recovered scripts, or the baseline if none are given.

    Args:
        folder: a data set.
        scripts: a file of JSON lines, each with the `number` of a program and its `text` as a rule
            file, or its `graph`.

    Raises:
        CheckpointError: the folder is no data set, or the file has a line that is none of these, or one
            of a program that the data set does not have.
    """
    found = Path(folder)
    given = None if scripts is None else read_scripts(Path(scripts))
    results: dict[str, list[tuple[float | None, float | None]]] = {kind: [] for kind in KINDS}
    total = described(found)["programs"]
    if given is not None:
        _check_numbers(given, found, cast(Path, scripts))
    for done, (facts, model) in enumerate(records(found)):
        advance("judge scripts", done, total)
        if given is None:
            rules = decompile(model, context=facts["context"])
            script: Mapping[str, Any] | None = {"text": write_rules(rules)}
        else:
            script = given.get(facts["number"])
        results[facts["kind"]].append(_judged(facts, script))
    return tuple(_score(kind, judged) for kind, judged in results.items() if judged)


def _check_numbers(given: Mapping[int, object], folder: Path, scripts: Path) -> None:
    """Raise unless every script is that of a program of the data set."""
    known = {facts["number"] for facts in programs_of(folder)}
    unknown = sorted(given.keys() - known)
    if unknown:
        shown = ", ".join(map(str, unknown[:3])) + (", .." if len(unknown) > 3 else "")
        raise CheckpointError(
            f"{count(len(unknown), 'script')} of a program that is not in the data set: number {shown}",
            where=scripts,
            fix=f"give the `number` of a line of {folder}/shard-*.jsonl, such as {min(known)}",
        )


def _judged(
    facts: Mapping[str, Any], script: Mapping[str, Any] | None
) -> tuple[float | None, float | None]:
    """The share of right answers, None without a script; and the length, as a share."""
    if script is None:
        return None, None
    tokens = tuple(facts["vocabulary"])
    texts = asked_texts(len(tokens), facts["context"], JUDGED, OTHER_SEED)
    written = Script.of_graph(facts["graph"], tokens)
    try:
        if "text" in script:
            found = Script.of_rules(script["text"], tokens)
        else:
            found = Script.of_graph(script["graph"], tokens)
        answers = found.answers(texts)
    except HandcraftError:
        return None, None
    right = float((answers == written.answers(texts)).mean())
    return right, found.size / written.size if right == 1 else None


def _score(kind: str, judged: list[tuple[float | None, float | None]]) -> Score:
    shares = [right for right, _ in judged if right is not None]
    lengths = [length for _, length in judged if length is not None]
    return Score(
        kind,
        len(judged),
        len(shares),
        sum(right == 1 for right in shares),
        float(np.sum(shares)) / len(judged),
        float(np.mean(lengths)) if lengths else None,
    )


def described(folder: Path) -> dict[str, Any]:
    """dataset.json.

    Raises:
        CheckpointError: there is none, or it is of another format.
    """
    path = folder / DATASET
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read: {error}", where=folder, fix="write one with `handcraft dataset`"
        ) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise CheckpointError(
            f"{DATASET} is not of format {FORMAT}", where=path, fix="write it with this version"
        )
    return data


def records(folder: Path) -> Iterator[tuple[Mapping[str, Any], Model]]:
    """The lines of a data set, each with its model."""
    for shard in described(folder)["shards"]:
        tensors = read_header(folder / f"{shard['name']}.safetensors")
        for facts in _lines_of(folder, shard["name"]):
            prefix = f"{facts['number']}/"
            own = {
                name.removeprefix(prefix): stored.values()
                for name, stored in tensors.items()
                if name.startswith(prefix)
            }
            yield facts, _model(facts, own)


def programs_of(folder: Path) -> Iterator[dict[str, Any]]:
    """What a data set says of each program."""
    for shard in described(folder)["shards"]:
        yield from _lines_of(folder, shard["name"])


def _lines_of(folder: Path, shard: str) -> Iterator[dict[str, Any]]:
    for line in (folder / f"{shard}.jsonl").read_text("utf-8").splitlines():
        yield json.loads(line)


def _model(facts: Mapping[str, Any], tensors: Mapping[str, Any]) -> Model:
    architecture = architecture_named(facts["architecture"])
    shape = (_llama_shape if architecture.is_rotary else _gpt2_shape)(facts, tensors)
    return Model(architecture, shape, Vocabulary(facts["vocabulary"]), tensors)


def _gpt2_shape(facts: Mapping[str, Any], tensors: Mapping[str, Any]) -> Shape:
    inner = tuple(
        tensors[f"h.{block}.mlp.c_fc.bias"].shape[0] if f"h.{block}.mlp.c_fc.bias" in tensors else 0
        for block in range(facts["blocks"])
    )
    n_vocab, n_embd = tensors["wte.weight"].shape
    return Shape(n_vocab, tensors["wpe.weight"].shape[0], n_embd, facts["heads"], inner)


def _llama_shape(facts: Mapping[str, Any], tensors: Mapping[str, Any]) -> Shape:
    """Its positions are those of a text and that of the begin token."""

    def rows(name: str) -> list[int]:
        return [tensors[f"layers.{b}.{name}_proj.weight"].shape[0] for b in range(facts["blocks"])]

    n_vocab, n_embd = tensors["embed_tokens.weight"].shape
    queries, keys = rows("self_attn.q")[0], rows("self_attn.k")[0]
    head_dim = queries // facts["heads"]
    inner = tuple(rows("mlp.gate"))
    positions = facts["context"] + 1
    return Shape(n_vocab, positions, n_embd, facts["heads"], inner, keys // head_dim, head_dim)


def read_scripts(path: Path) -> dict[int, Mapping[str, Any]]:
    """Recovered scripts by the numbers of their programs."""
    found: dict[int, Mapping[str, Any]] = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{path} cannot be read: {error}", where=path, fix="name a file of JSON lines"
        ) from error
    for place, line in enumerate(lines, start=1):
        data = _line(line)
        if data is None:
            raise CheckpointError(
                f"line {place} is no script",
                where=path,
                fix='write lines such as {"number": 0, "text": "vocabulary a b\\ncontext 3\\n..."}',
            )
        found[data["number"]] = data
    return found


def _line(line: str) -> dict[str, Any] | None:
    try:
        data = json.loads(line)
    except ValueError:
        return None
    if not isinstance(data, dict) or not isinstance(data.get("number"), int):
        return None
    texts: Iterable[object] = [data[key] for key in ("text", "graph") if key in data]
    return data if [*map(type, texts)] == [str] else None
