"""handcraft.json as data: what a folder says of its model, made from a compiled one, and read back.

Nothing that is read is run: rules are patterns, circuits are numbers.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from handcraft.architecture import Architecture, architecture_named
from handcraft.circuits import Circuits
from handcraft.compiler import Compiled
from handcraft.display import shorten_value
from handcraft.errors import CheckpointError, HandcraftWarning
from handcraft.formats.circuits_record import (
    circuits_from_record,
    circuits_to_record,
    is_causal,
    read_place,
)
from handcraft.formats.folder import RECORD
from handcraft.formats.foreign_files import PARSED, find_file, parse_object, shown_text, whole
from handcraft.language import Program, Prompts, Rule
from handcraft.limits import BLOCKS, check_memory
from handcraft.model import Shape
from handcraft.origin import Origin
from handcraft.vocabulary import Vocabulary
from handcraft.weights import AxisNames, Layout, Placement

VERSION = 1
"""The version of handcraft.json that is written and read."""

Record = dict[str, Any]
Origins = dict[str, dict[tuple[int, ...], tuple[str, ...]]]


def record_of(compiled: Compiled, format: str) -> Record:
    """Everything that handcraft.json says of a compiled model, but for its outputs."""
    model, circuits = compiled.model, compiled.circuits
    architecture, shape = model.architecture, model.shape
    listed, weights = _origin_table(compiled.placement)
    return {
        "handcraft": VERSION,
        "format": format,
        "architecture": architecture_record(architecture, shape),
        "shape": {
            "n_vocab": shape.n_vocab,
            "n_positions": shape.n_positions,
            "n_embd": shape.n_embd,
            "n_head": shape.n_head,
            "n_inner": list(shape.n_inner),
        },
        "vocabulary": list(circuits.vocabulary.tokens),
        "token_ids": list(model.vocabulary.numbers),
        "source": _source_record(compiled),
        "layout": _layout_rows(compiled.layout),
        "names": AxisNames.of(compiled.plan).to_record(),
        "origins": listed,
        "weights": weights,
    }


def architecture_record(architecture: Architecture, shape: Shape) -> Record:
    """What the model computes, apart from its sizes; its name says all but the mask and the scale."""
    return {
        "name": architecture.name,
        "norm": architecture.norm,
        "activation": architecture.activation,
        "tied": architecture.tied,
        "causal": architecture.causal,
        "score_scale": architecture.score_scale(shape.head_dim),
    }


def _layout_rows(layout: Layout) -> list[Record]:
    return [
        {
            "subspace": subspace.name,
            "encoding": subspace.encoding.value,
            "first": layout.start[subspace],
            "width": subspace.width,
            "dimensions": list(subspace.dimension_names),
        }
        for subspace in layout.subspaces
    ]


def _origin_table(placement: Placement) -> tuple[list[Record], Record]:
    """All origins, and for every nonzero weight which of them it serves.

    Neighbours along the last axis that serve the same are one run: the index of the first, how many
    they are, and the places of their origins in the list.
    """
    numbers: dict[Origin, int] = {}
    weights: Record = {
        name: _origin_runs(tensor.origins, numbers) if tensor.origins else []
        for name, tensor in placement.tensors.items()
    }
    listed = [
        {"what": origin.what, "place": origin.place.short if origin.place else None}
        for origin in numbers
    ]
    return listed, weights


def _origin_runs(
    origins: Mapping[tuple[int, ...], tuple[Origin, ...]], numbers: dict[Origin, int]
) -> list[list[Any]]:
    """The runs of one tensor; new origins are given the next numbers."""
    indices = np.array([*origins], dtype=np.int64)  # [weight, axis]
    order = np.lexsort(indices.T[::-1])
    indices, served = indices[order], [*origins.values()]
    # All weights of a neuron have the same tuple of origins, which is looked up once.
    same = np.array([id(each) for each in served])[order]
    _, first, which = np.unique(same, return_index=True, return_inverse=True)
    lists: dict[tuple[int, ...], int] = {}
    found = np.empty(len(first), dtype=np.int64)
    for each in np.argsort(first).tolist():
        places = (numbers.setdefault(o, len(numbers)) for o in served[order[first[each]]])
        found[each] = lists.setdefault(tuple(places), len(lists))
    serves = found[which.reshape(-1)]
    step = np.diff(indices, axis=0)
    follows = (step[:, :-1] == 0).all(axis=1) & (step[:, -1] == 1) & (np.diff(serves) == 0)
    starts = np.flatnonzero(np.concatenate([[True], ~follows]))
    lengths = np.diff(np.append(starts, len(indices)))
    listed = [[*places] for places in lists]
    return [
        [*index, length, listed[number]]
        for index, length, number in zip(
            indices[starts].tolist(), lengths.tolist(), serves[starts].tolist(), strict=True
        )
    ]


def line_by_key(record: Record) -> str:
    """JSON with a line for each top-level key: a person can find it, and it stays small."""
    lines = [
        f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in record.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_record(folder: Path) -> Record:
    """What handcraft.json holds.

    Raises:
        CheckpointError: it is missing, damaged, or of another version.
    """
    path = folder / RECORD
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is not a folder" if folder.exists() else f"there is no folder {folder}",
            where=folder,
            fix="name a folder that `handcraft compile` wrote",
        )
    if find_file(folder, RECORD) is None:
        raise CheckpointError(
            f"the folder holds no {RECORD}",
            where=folder,
            fix="name a folder that `handcraft compile` wrote",
        )
    try:
        size = path.stat().st_size
        check_memory(size * PARSED, f"{RECORD} of {size:,} bytes", where=path)
        record = parse_object(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{RECORD} cannot be read: {shown_text(error)}",
            where=path,
            fix="compile the program again",
        ) from error
    version = record.get("handcraft")
    if type(version) is not int or version != VERSION:
        raise CheckpointError(
            f"{RECORD} is of version {shorten_value(version)}",
            where=path,
            fix=f"this handcraft reads version {VERSION}; compile the program again",
        )
    return record


def read_architecture(facts: Record) -> Architecture:
    """The named architecture, without its mask where the record says so."""
    architecture = architecture_named(facts["name"])
    return architecture if is_causal(facts) else architecture.without_mask()


def read_shape(sizes: Record, vocabulary: Vocabulary) -> Shape:
    """The sizes of the model.

    Raises:
        ValueError: they cannot be.
    """
    shape = Shape(
        sizes["n_vocab"],
        sizes["n_positions"],
        sizes["n_embd"],
        sizes["n_head"],
        tuple(sizes["n_inner"]),
    )
    counts = (shape.n_vocab, shape.n_positions, shape.n_embd, shape.n_head)
    if not all(type(n) is int and n > 0 for n in counts):
        raise ValueError(f"sizes {shorten_value(counts)}")
    if shape.n_layer > BLOCKS.most:
        raise ValueError(f"{shape.n_layer:,} blocks, and {BLOCKS.most:,} are the most")
    if not all(type(n) is int and n >= 0 for n in shape.n_inner):
        raise ValueError(f"n_inner {shorten_value(sizes['n_inner'])}")
    if shape.n_embd % shape.n_head:
        raise ValueError(f"{shape.n_embd} dimensions do not make {shape.n_head} equal heads")
    if not 0 <= min(vocabulary.numbers) <= max(vocabulary.numbers) < shape.n_vocab:
        raise ValueError(f"token ids up to {max(vocabulary.numbers)} for n_vocab {shape.n_vocab}")
    if len(set(vocabulary.numbers)) != len(vocabulary):
        raise ValueError("two tokens have the same id")
    return shape


def _source_record(compiled: Compiled) -> Record:
    """The rules, where they are patterns; else the circuits: no code is run to read them back."""
    source = compiled.source
    if isinstance(source, Circuits):
        record: Record = {"circuits": circuits_to_record(source)}
        return {**record, "written": list(compiled.written)} if compiled.written else record
    if source.prompts is not None:
        written = [str(rule) for rule in source.rules]
        circuits = circuits_to_record(compiled.circuits)
        return {"circuits": circuits, "written": written, "legal": legal_record(source.prompts)}
    tokens = source.vocabulary.tokens
    rules = [
        [
            tokens[clause.token],
            None if clause.is_otherwise else clause.pattern.text(source.vocabulary),
            clause.rule.place.short if clause.rule.place else None,
        ]
        for clause in source.clauses
    ]
    return {"context": source.context, "rules": rules}


def legal_record(prompts: Prompts) -> Record:
    """Which prompts are legal; a strategy is code, and only that there is one is kept."""
    pattern = prompts.inputs if isinstance(prompts.inputs, str) else None
    by_code = prompts.inputs is not None and pattern is None
    return {
        "inputs": pattern,
        "bos": prompts.bos,
        "by_code": by_code,
        "writes": prompts.writes,
    }


def read_legal(
    record: Record, source: Program | Circuits, *, as_far_as_known: bool = False
) -> Prompts | None:
    """The legal prompts of a program whose rules were expressions, where not all texts are.

    Args:
        record: of the source.
        source: the rules or the circuits.
        as_far_as_known: leave out what Python code says.

    Raises:
        CheckpointError: Python code says which are.
    """
    legal = record.get("legal")
    if legal is None or (legal["inputs"], legal["bos"], legal["by_code"]) == (None, None, False):
        return None
    if legal["by_code"] and not as_far_as_known:
        raise CheckpointError(
            "a Hypothesis strategy decides which prompts are legal, and a folder contains no code",
            fix="verify the program that it was compiled from",
        )
    return Prompts(
        source.vocabulary,
        source.context,
        inputs=legal["inputs"],
        bos=legal["bos"],
        writes=legal.get("writes", 1),
    )


def read_source(record: Record, vocabulary: Vocabulary) -> Program | Circuits:
    """The rules, or the circuits; no code is run."""
    if "circuits" in record:
        return circuits_from_record(record["circuits"])
    rules = [
        Rule(token, pattern, *map(read_place, place)) for token, pattern, *place in record["rules"]
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)  # told when it was compiled
        return Program(Vocabulary(vocabulary.tokens), record["context"], rules)


def read_origins(record: Record, shapes: Mapping[str, tuple[int, ...]]) -> Origins:
    """For each tensor, what every nonzero weight serves, by its index.

    Args:
        record: all of handcraft.json.
        shapes: the sizes of the tensors.

    Raises:
        KeyError, TypeError, ValueError, IndexError: it has another form.
    """
    listed = [
        str(o["what"]) if o["place"] is None else f"{o['what']} ({o['place']})"
        for o in record["origins"]
    ]
    return {
        name: _weights_served(name, runs, shapes[name], listed)
        for name, runs in record["weights"].items()
    }


def _weights_served(
    name: str, runs: Iterable[Any], sizes: tuple[int, ...], listed: Sequence[str]
) -> dict[tuple[int, ...], tuple[str, ...]]:
    """What the weights of one tensor serve. Runs are in order, so they are no more than its weights."""
    found: dict[tuple[int, ...], tuple[str, ...]] = {}
    before: tuple[int, ...] = ()
    for *first, length, places in runs:
        index = tuple(whole(i) for i in first)
        is_inside = all(0 <= i < size for i, size in zip(index, sizes, strict=True))
        if not is_inside or index <= before or not 0 < whole(length) <= sizes[-1] - index[-1]:
            raise ValueError(f"{name} has a run of {shorten_value(length)} weights at {list(index)}")
        served = tuple(listed[whole(place)] for place in places)
        for step in range(length):
            before = (*index[:-1], index[-1] + step)
            found[before] = served
    return found
