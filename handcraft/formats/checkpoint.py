"""A model as a folder: its tensors, and handcraft.json, which says what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import count
from pathlib import Path

from handcraft.circuits import Circuits
from handcraft.compiler import Compiled, CompiledSequences
from handcraft.compiler.sequences.value_model import ValueModel
from handcraft.display import short_repr, shorten_value
from handcraft.dtype import FLOAT64
from handcraft.errors import CheckpointError, HandcraftError, VocabularyError
from handcraft.formats.folder import RECORD, check_target, whole_folder, write_text
from handcraft.formats.foreign_files import whole
from handcraft.formats.huggingface.config_json import CONFIG
from handcraft.formats.huggingface.read_repository import read_huggingface
from handcraft.formats.outputs_record import (
    bounded_again,
    outputs_to_record,
    read_outputs,
    read_values,
    spans_of,
)
from handcraft.formats.record import (
    Origins,
    Record,
    legal_record,
    line_by_key,
    read_architecture,
    read_legal,
    read_origins,
    read_record,
    read_shape,
    read_source,
    record_of,
)
from handcraft.formats.tensors.tensor_file import read_tensors
from handcraft.formats.writers import READ_BACK, WRITERS, check_answers, check_format
from handcraft.language import Program, Prompts
from handcraft.model import Model, grow, published_shape
from handcraft.verify import Measured, Report
from handcraft.vocabulary import Vocabulary, shorten
from handcraft.weights import AxisNames, Weight, Weights


@short_repr
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
    def facts(self) -> Measured | None:
        """On what the facts were measured that the weights rest on; None where nothing says it."""
        match self.record.get("facts"):
            case {"texts": int(texts), "is_all": bool(is_all)} if 0 <= texts < FLOAT64.whole:
                return Measured(texts, is_all)
        return None

    @property
    def prompts(self) -> Prompts | None:
        """Which texts are legal prompts, where not all are.

        Raises:
            CheckpointError: Python code says which are, or handcraft.json says it in no form known.
        """
        return self._legal(as_far_as_known=False)

    @property
    def known_prompts(self) -> Prompts | None:
        """The same, but for what only Python code says: a prompt that it refuses may be let through.

        Raises:
            CheckpointError: handcraft.json says it in no form known.
        """
        return self._legal(as_far_as_known=True)

    def _legal(self, *, as_far_as_known: bool) -> Prompts | None:
        try:
            return read_legal(self.record["source"], self.source, as_far_as_known=as_far_as_known)
        except CheckpointError:
            raise
        except HandcraftError as error:
            raise _contradiction(error, self.folder) from error
        except FORM_ERRORS as error:
            raise _other_form(error, self.folder) from error

    @cached_property
    def values(self) -> ValueModel | None:
        """The model with how values are read from it; None where it predicts tokens.

        Raises:
            CheckpointError: handcraft.json does not say it in a form that can be read.
        """
        try:
            outputs = read_outputs(self.record, self.source)
            if not outputs:
                return None
            return read_values(self.record, outputs, self.model, self.source.context)
        except HandcraftError as error:
            raise _contradiction(error, self.folder) from error
        except FORM_ERRORS as error:
            raise _other_form(error, self.folder) from error

    @cached_property
    def origins(self) -> Origins:
        """For each tensor, what every nonzero weight serves, by its index.

        Raises:
            CheckpointError: handcraft.json does not say it in a form that can be read.
        """
        try:
            shapes = self.model.shape.tensors(self.model.architecture)
            return read_origins(self.record, shapes)
        except FORM_ERRORS as error:
            raise _other_form(error, self.folder) from error

    @cached_property
    def names(self) -> AxisNames | None:
        """What rows and columns stand for; None where the folder is too old to say so.

        Raises:
            CheckpointError: handcraft.json does not say it in a form that can be read.
        """
        try:
            return AxisNames.of_record(self.record["names"]) if "names" in self.record else None
        except FORM_ERRORS as error:
            raise _other_form(error, self.folder) from error

    @property
    def weights(self) -> Weights:
        """Every weight explained: what its row and its column stand for, and the rules it serves."""
        source = self.source
        written = (
            source.rules if isinstance(source, Program) else self.record["source"].get("written", ())
        )
        words = {f"{o['what']} ({o['place']})": str(o["what"]) for o in self.record["origins"]}
        return Weights(self.model, self.names, self.origins, tuple(map(str, written)), words)

    def explain(self, tensor: str, *index: int) -> Weight:
        """What one weight stands for, and the rules it serves.

        Args:
            tensor: its name, such as ``h.0.attn.c_attn.weight``.
            index: row and column, or the place in a bias.

        Raises:
            ModelError: there is no such tensor, or no such place in it.
        """
        return self.weights.weight(tensor, index)


def save(
    compiled: Compiled | CompiledSequences,
    folder: str | Path,
    *,
    format: str | None = None,
    like: str | None = None,
    token_ids: Mapping[str, int] | None = None,
    again: Checkpoint | None = None,
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
        again: the folder whose circuits were compiled, as `compile_again` does; what it says of legal
            prompts and of outputs is kept.

    Returns:
        The folder.

    Raises:
        CheckpointError: the folder holds something else or cannot be written, or the format cannot
            hold the model.
        PrecisionError: the weights, as they were cast, give a wrong answer.
    """
    save_and_report(compiled, folder, format=format, like=like, token_ids=token_ids, again=again)
    return Path(folder)


def save_and_report(
    compiled: Compiled | CompiledSequences,
    folder: str | Path,
    *,
    format: str | None = None,
    like: str | None = None,
    token_ids: Mapping[str, int] | None = None,
    again: Checkpoint | None = None,
) -> Report:
    """Write a compiled model as `save` does.

    Returns:
        What the weights answered before they were written.
    """
    if not isinstance(compiled, Compiled | CompiledSequences):
        raise CheckpointError(
            f"{shorten_value(compiled)} is not what a compiler gives",
            fix="the compiled program comes first: save(compile_program(program), folder)",
        )
    own: Record = {"outputs": []}
    prompts = None
    if isinstance(compiled, CompiledSequences):
        own = {"outputs": outputs_to_record(compiled.outputs), "spans": spans_of(compiled)}
        prompts = compiled.prompts
        compiled = compiled.as_compiled()
    architecture = compiled.model.architecture
    is_gpt2 = architecture.has_norm and architecture.causal
    chosen = format or ("huggingface" if is_gpt2 else "safetensors")
    check_format(chosen, architecture)
    if token_ids is not None and like is None:
        raise CheckpointError(
            "ids are chosen for tokens, but no shape that has room for them",
            fix="fill a published shape too, as in like='gpt2-small', or leave the ids out",
        )
    target = Path(folder)
    check_target(target)
    model = compiled.model if like is None else fill(compiled, like, token_ids)
    if again is not None and again.values is not None:
        own = _again(compiled, again)
    report = check_answers(compiled, None if again is None else again.known_prompts)
    compiled = replace(compiled, model=model)
    with whole_folder(target) as fresh:
        WRITERS[chosen](compiled, report, fresh)
        record = {**record_of(compiled, chosen), **own}
        if report.facts is not None:
            record["facts"] = asdict(report.facts)
        legal = None if again is None else again.record["source"].get("legal")
        if prompts is not None and (prompts.inputs is not None or prompts.bos is not None):
            legal = legal_record(prompts)
        if legal is not None:
            record = {**record, "source": {**record["source"], "legal": legal}}
        write_text(fresh / RECORD, line_by_key(record))
    return report


def _again(compiled: Compiled, before: Checkpoint) -> Record:
    """What a record says of values, of a model whose circuits come from a folder.

    Raises:
        PrecisionError: a value may be told wrong.
        CheckpointError: the folder does not say what its numbers can be.
    """
    assert before.values is not None
    try:
        outputs = bounded_again(before.values.outputs, before.record, compiled)
    except FORM_ERRORS as error:
        raise _other_form(error, before.folder) from error
    return {"outputs": outputs_to_record(outputs), "spans": before.record["spans"]}


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
    record = read_record(path)
    try:
        architecture = read_architecture(record["architecture"])
        vocabulary = Vocabulary(record["vocabulary"], ids=map(whole, record["token_ids"]))
        shape = read_shape(record["shape"], vocabulary)
        source = read_source(record["source"], vocabulary)
        layout = tuple(dict(row) for row in record["layout"])
    except HandcraftError as error:
        raise _contradiction(error, path) from error
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
    checkpoint = Checkpoint(model, source, layout, path, record)
    _ = checkpoint.values  # raises where it is of another form
    return checkpoint


FORM_ERRORS = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
"""What reading data of another form raises."""


def _contradiction(error: HandcraftError, folder: Path) -> CheckpointError:
    problems = getattr(error, "problems", (error,))
    return CheckpointError(
        f"{RECORD} contradicts itself: {'; '.join(problem.what for problem in problems)}",
        where=folder / RECORD,
        fix="compile the program again",
    )


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
    for token, number in given.items():
        if type(number) is not int:
            raise VocabularyError(
                f"the id of {token!r} is {shorten_value(number)}, of type {type(number).__name__}",
                fix="give whole numbers, as in token_ids={'a': 64}",
            )
    taken = set(given.values())
    free = (number for number in count() if number not in taken)
    return [given[token] if token in given else next(free) for token in tokens]
