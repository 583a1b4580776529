"""A model as a folder: its tensors, and handcraft.json, which says what they mean."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from handcraft.architecture import Architecture, architecture_named
from handcraft.circuits import Circuits
from handcraft.compiler import Compiled, CompiledSequences
from handcraft.errors import CheckpointError, HandcraftError, HandcraftWarning, VocabularyError
from handcraft.formats.circuits_record import circuits_from_record, circuits_to_record, is_causal
from handcraft.formats.folder import RECORD, check_target, whole_folder
from handcraft.formats.huggingface_config import CONFIG
from handcraft.formats.huggingface_read import read_huggingface
from handcraft.formats.tensor_file import read_tensors
from handcraft.formats.writers import READ_BACK, WRITERS, check_answers, check_format
from handcraft.language import Program, Prompts, Rule
from handcraft.model import Model, Shape, grow, published_shape
from handcraft.origin import Origin
from handcraft.vocabulary import Vocabulary, shorten
from handcraft.weights import Layout, Placement

VERSION = 1
"""The version of handcraft.json that is written and read."""

Record = dict[str, Any]
Origins = dict[str, dict[tuple[int, ...], tuple[str, ...]]]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a folder holds.

    Args:
        model: the model.
        source: what it means: the rules, or the circuits with every symbol replaced by its value.
        layout: for each subspace, its name, its encoding, its first dimension and its width.
        folder: where it lies.
        record: all of handcraft.json.
    """

    model: Model
    source: Program | Circuits
    layout: tuple[Record, ...] = field(repr=False)
    folder: Path
    record: Record = field(repr=False)

    @property
    def prompts(self) -> Prompts | None:
        """Which texts are legal prompts, where not all are.

        Raises:
            CheckpointError: Python code says which are, or handcraft.json says it in no form known.
        """
        try:
            return _read_legal(self.record["source"], self.source)
        except FORM_ERRORS as error:
            raise _other_form(error, self.folder) from error

    @cached_property
    def origins(self) -> Origins:
        """For each tensor, what every nonzero weight serves, by its index.

        Raises:
            CheckpointError: handcraft.json does not say it in a form that can be read.
        """
        try:
            return _read_origins(self.record)
        except FORM_ERRORS as error:
            raise _other_form(error, self.folder) from error


def save(
    compiled: Compiled | CompiledSequences,
    folder: str | Path,
    *,
    format: str | None = None,
    like: str | None = None,
    token_ids: Mapping[str, int] | None = None,
) -> Path:
    """Write a compiled model to a folder, whole or not at all, if it answers what it should.

    Args:
        compiled: what `compile_program` or `compile_sequences` gave.
        folder: must be missing, empty, or an earlier output, which is then replaced.
        format: one of `FORMATS`; by default ``huggingface`` for gpt2 with its mask, else
            ``safetensors``.
        like: the published GPT-2 whose shape to fill, such as ``gpt2-small``; the program must be
            compiled with its width and heads, as `compile_program(like=)` does.
        token_ids: ids for tokens in that shape; tokens left out get the lowest free ones.

    Returns:
        The folder.

    Raises:
        CheckpointError: the folder holds something else or cannot be written, or the format cannot
            hold the model.
        PrecisionError: the weights, as they were cast, give a wrong answer.
    """
    outputs: list[Record] = []
    if isinstance(compiled, CompiledSequences):
        outputs = _output_records(compiled)
        compiled = compiled.as_compiled()
    architecture = compiled.model.architecture
    is_gpt2 = architecture.norm == "layer" and architecture.causal
    chosen = format or ("huggingface" if is_gpt2 else "safetensors")
    check_format(chosen, architecture)
    if token_ids is not None and like is None:
        raise CheckpointError(
            "ids are chosen for tokens, but no shape that has room for them",
            fix="fill a published shape too, as in like='gpt2-small', or leave the ids out",
        )
    target = Path(folder)
    check_target(target)
    report = check_answers(compiled)
    if like is not None:
        compiled = replace(compiled, model=fill(compiled, like, token_ids))
    with whole_folder(target) as fresh:
        WRITERS[chosen](compiled, report, fresh)
        record = {**_record(compiled, chosen), "outputs": outputs}
        (fresh / RECORD).write_text(_line_by_key(record), encoding="utf-8")
    return target


def load(folder: str | Path) -> Model:
    """The model in a folder: one that was compiled, or any GPT-2 as Hugging Face saves it.

    Raises:
        CheckpointError: files are missing, damaged or foreign, or contradict each other.
    """
    path = Path(folder)
    if (path / CONFIG).exists() and not is_checkpoint(path):
        return read_huggingface(path)
    return read_checkpoint(path).model


def read_checkpoint(folder: str | Path) -> Checkpoint:
    """The model in a folder, with what it means and where every weight comes from.

    Raises:
        CheckpointError: files are missing, damaged or foreign, or contradict each other.
    """
    path = Path(folder)
    record = _read_record(path)
    try:
        architecture = _read_architecture(record["architecture"])
        vocabulary = Vocabulary(record["vocabulary"], ids=map(int, record["token_ids"]))
        shape = _read_shape(record["shape"], vocabulary)
        source = _read_source(record["source"], vocabulary)
        layout = tuple(dict(row) for row in record["layout"])
    except HandcraftError as error:
        problems = getattr(error, "problems", (error,))
        raise CheckpointError(
            f"{RECORD} contradicts itself: {'; '.join(problem.what for problem in problems)}",
            where=path / RECORD,
            fix="compile the program again",
        ) from error
    except FORM_ERRORS as error:
        raise _other_form(error, path) from error
    if source.vocabulary.tokens != vocabulary.tokens or source.context > shape.n_positions:
        raise CheckpointError(
            f"{RECORD} describes a program of another vocabulary or context than its model",
            where=path / RECORD,
            fix="compile the program again",
        )
    if isinstance(source, Circuits) and source.causal is not architecture.causal:
        masked, unmasked = ("circuits", "model") if source.causal else ("model", "circuits")
        raise CheckpointError(
            f"{RECORD} gives a causal mask to the {masked}, and none to the {unmasked}",
            where=path / RECORD,
            fix="compile the program again",
        )
    if record.get("format") not in READ_BACK:
        raise CheckpointError(
            f"the folder was written as {record.get('format')}, for other tools to read",
            where=path,
            fix=f"compile it again with --format {', '.join(READ_BACK[:-1])} or {READ_BACK[-1]}",
        )
    tensors = read_tensors(path, shape, architecture)
    model = Model(architecture, shape, vocabulary, tensors)
    return Checkpoint(model, source, layout, path, record)


FORM_ERRORS = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
"""What reading data of another form raises."""


def _other_form(error: Exception, folder: Path) -> CheckpointError:
    return CheckpointError(
        f"{RECORD} has another form: {type(error).__name__} {error}",
        where=folder / RECORD,
        fix="compile the program again",
    )


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder looks like one that was written here."""
    return (folder / RECORD).is_file()


def fill(compiled: Compiled, like: str, token_ids: Mapping[str, int] | None = None) -> Model:
    """The model in the shape of a published GPT-2, the rest of which is 0.

    Its tensors are made one at a time, when asked.

    Args:
        compiled: compiled with `like`.
        like: such as ``gpt2-small``.
        token_ids: ids for tokens; tokens left out get the lowest free ones.

    Raises:
        LayoutError: the program does not fit, or an id is outside the vocabulary or given twice.
        VocabularyError: an id is given to an unknown token.
    """
    return grow(compiled.model, published_shape(like), _ids(compiled, token_ids))


def _ids(compiled: Compiled, chosen: Mapping[str, int] | None) -> list[int]:
    """The id of every token: the chosen one, or the lowest that is free."""
    given = dict(chosen or {})
    tokens = compiled.model.vocabulary.tokens
    unknown = sorted(given.keys() - set(tokens))
    if unknown:
        raise VocabularyError(
            f"an id is chosen for {unknown[0]!r}, which is not in the vocabulary",
            fix=f"its tokens are: {shorten(tokens)}",
        )
    taken = set(given.values())
    free = (number for number in count() if number not in taken)
    return [given[token] if token in given else next(free) for token in tokens]


def _record(compiled: Compiled, format: str) -> Record:
    model, circuits = compiled.model, compiled.circuits
    architecture, shape = model.architecture, model.shape
    listed, weights = _origin_table(compiled.placement)
    return {
        "handcraft": VERSION,
        "format": format,
        "architecture": {
            "name": architecture.name,
            "norm": architecture.norm,
            "activation": architecture.activation,
            "tied": architecture.tied,
            "causal": architecture.causal,
            "score_scale": architecture.score_scale(shape.head_dim),
        },
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
        "origins": listed,
        "weights": weights,
    }


def _output_records(compiled: CompiledSequences) -> list[Record]:
    """For every output its values, and the sum over the residual stream that stands for one of them."""
    return [
        {
            "name": output.name,
            "values": [str(v) for v in getattr(output.domain, "values", ())],
            "constant": str(output.reading.constant),
            "reads": [
                [part.subspace.name, i, str(number)]
                for part in compiled.places.coefficients(output.reading)
                for i, number in part.entries
            ],
        }
        for output in compiled.outputs
    ]


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
    weights: Record = {}
    for name, tensor in placement.tensors.items():
        runs: list[list[Any]] = []
        following: tuple[int, ...] = ()
        served: tuple[Origin, ...] = ()
        for index in sorted(tensor.origins):
            here = tensor.origins[index]
            if index == following and here == served:
                runs[-1][-2] += 1
            else:
                places = [numbers.setdefault(origin, len(numbers)) for origin in here]
                runs.append([*index, 1, places])
            following, served = (*index[:-1], index[-1] + 1), here
        weights[name] = runs
    listed = [
        {"what": origin.what, "place": origin.place.short if origin.place else None}
        for origin in numbers
    ]
    return listed, weights


def _line_by_key(record: Record) -> str:
    """JSON with a line for each top-level key: a person can find it, and it stays small."""
    lines = [
        f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in record.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _read_record(folder: Path) -> Record:
    path = folder / RECORD
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is not a folder" if folder.exists() else f"there is no folder {folder}",
            where=folder,
            fix="name a folder that `handcraft compile` wrote",
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"the folder holds no {RECORD}",
            where=folder,
            fix="name a folder that `handcraft compile` wrote",
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{RECORD} cannot be read: {error}", where=path, fix="compile the program again"
        ) from error
    version = record.get("handcraft") if isinstance(record, dict) else None
    if type(version) is not int or version != VERSION:
        raise CheckpointError(
            f"{RECORD} is of version {version!r}",
            where=path,
            fix=f"this handcraft reads version {VERSION}; compile the program again",
        )
    return dict(record)


def _read_architecture(facts: Record) -> Architecture:
    """The named architecture, without its mask where the record says so."""
    architecture = architecture_named(facts["name"])
    return architecture if is_causal(facts) else architecture.without_mask()


def _read_shape(sizes: Record, vocabulary: Vocabulary) -> Shape:
    shape = Shape(
        sizes["n_vocab"],
        sizes["n_positions"],
        sizes["n_embd"],
        sizes["n_head"],
        tuple(sizes["n_inner"]),
    )
    counts = (shape.n_vocab, shape.n_positions, shape.n_embd, shape.n_head)
    if not all(type(n) is int and n > 0 for n in counts):
        raise ValueError(f"sizes {sizes}")
    if not all(type(n) is int and n >= 0 for n in shape.n_inner):
        raise ValueError(f"n_inner {sizes['n_inner']}")
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
        return {"circuits": circuits_to_record(source)}
    if source.prompts is not None:
        written = [str(rule) for rule in source.rules]
        circuits = circuits_to_record(compiled.circuits)
        return {"circuits": circuits, "written": written, "legal": _legal_record(source.prompts)}
    tokens = source.vocabulary.tokens
    rules = [
        [
            tokens[clause.token],
            None if clause.is_otherwise else clause.pattern.text(source.vocabulary),
        ]
        for clause in source.clauses
    ]
    return {"context": source.context, "rules": rules}


def _legal_record(prompts: Prompts) -> Record:
    """Which prompts are legal; a strategy is code, and only that there is one is kept."""
    pattern = prompts.inputs if isinstance(prompts.inputs, str) else None
    by_code = prompts.inputs is not None and pattern is None
    return {"inputs": pattern, "bos": prompts.bos, "by_code": by_code}


def _read_legal(record: Record, source: Program | Circuits) -> Prompts | None:
    """The legal prompts of a program whose rules were expressions, where not all texts are.

    Raises:
        CheckpointError: Python code says which are.
    """
    legal = record.get("legal")
    if legal is None or (legal["inputs"], legal["bos"], legal["by_code"]) == (None, None, False):
        return None
    if legal["by_code"]:
        raise CheckpointError(
            "a Hypothesis strategy says which prompts are legal, and a folder holds no code",
            fix="verify the program that it was compiled from",
        )
    return Prompts(source.vocabulary, source.context, inputs=legal["inputs"], bos=legal["bos"])


def _read_source(record: Record, vocabulary: Vocabulary) -> Program | Circuits:
    if "circuits" in record:
        return circuits_from_record(record["circuits"])
    rules = [Rule(token, pattern) for token, pattern in record["rules"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)  # told when it was compiled
        return Program(Vocabulary(vocabulary.tokens), record["context"], rules)


def _read_origins(record: Record) -> Origins:
    listed = [
        str(o["what"]) if o["place"] is None else f"{o['what']} ({o['place']})"
        for o in record["origins"]
    ]
    origins: Origins = {}
    for name, runs in record["weights"].items():
        origins[name] = {}
        for *first, length, places in runs:
            served = tuple(listed[place] for place in places)
            for step in range(length):
                origins[name][(*first[:-1], first[-1] + step)] = served
    return origins
