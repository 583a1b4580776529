"""A model as a folder: its tensors, and handcraft.json, which says what they mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, get_args, overload

from handcraft.circuits import Circuits
from handcraft.compiler import Compiled, CompiledSequences, compile_program
from handcraft.compiler.values.output import Output
from handcraft.compiler.values.value_model import ValueModel
from handcraft.display import short_repr, shorten_value
from handcraft.errors import CheckpointError, HandcraftError, ProofError, VocabularyError
from handcraft.explain import Explanation, explain_prediction
from handcraft.formats.folder import MANIFEST, check_target, whole_folder, write_text
from handcraft.formats.foreign_files import contradiction, shown
from handcraft.formats.huggingface.config_json import CONFIG
from handcraft.formats.huggingface.model_card import with_proof
from handcraft.formats.huggingface.read_repository import read_huggingface
from handcraft.formats.manifest.manifest import Grammar, Manifest, Spans, write_manifest
from handcraft.formats.manifest.read_manifest import (
    check_shape,
    parse_manifest,
    read_architecture,
    read_manifest,
    read_prompts,
    read_source,
)
from handcraft.formats.manifest.served import Origins, read_served
from handcraft.formats.manifest.values import bounded_again, read_values, spans_of
from handcraft.formats.read_raschka import is_raschka, read_raschka
from handcraft.formats.stated_values import stated_values
from handcraft.formats.tensors.tensor_file import read_tensors
from handcraft.formats.writers import READ_BACK, WRITERS, check_answers, check_format
from handcraft.language import Program, Prompts
from handcraft.model import Model, Stored, grow, published_shape
from handcraft.origin import Origin
from handcraft.proofs import (
    CERTIFICATE,
    NotCertified,
    Proof,
    Wanted,
    certificate_of,
    certificate_text,
    check_meaning,
    stated_in,
    statement_of,
)
from handcraft.proofs.write_meaning import Statement
from handcraft.verify.texts.allowed import is_restricted
from handcraft.vocabulary import Vocabulary, shorten
from handcraft.weights import Layout, Weight, Weights, read_stored

if TYPE_CHECKING:
    from handcraft.draw import Subject

CERTIFIED = ("huggingface", "safetensors")
"""The formats whose files `handcraft_check` reads."""


@short_repr
@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a folder contains.

    Args:
        model: the model.
        source: what it means: the rules, or the circuits with every symbol replaced by its value.
        folder: its path.
        manifest: all of handcraft.json.
        listed_origins: what its weights may serve; handcraft.json refers to them by number.
        values: the model with how values are read from it; None where it predicts tokens.
    """

    model: Model
    source: Program | Circuits
    folder: Path
    manifest: Manifest = field(repr=False)
    listed_origins: tuple[Origin, ...] = field(repr=False)
    values: ValueModel | None = None

    def prompts(self, *, as_far_as_known: bool = False) -> Prompts | None:
        """Which texts are allowed prompts, where not all are.

        With `as_far_as_known`, what only Python code says is left out: a prompt that it refuses may be
        let through.

        Raises:
            CheckpointError: Python code says which are, or handcraft.json contradicts itself.
        """
        with form_checked(self.folder):
            return read_prompts(self.manifest, as_far_as_known=as_far_as_known)

    @cached_property
    def origins(self) -> Origins:
        """For each tensor, what every nonzero weight serves, by its index."""
        shapes = self.model.shape.tensors(self.model.architecture)
        with form_checked(self.folder):
            return read_served(self.manifest.weights, self.listed_origins, shapes)

    @property
    def weights(self) -> Weights:
        """Every weight explained: what its row and its column stand for, and the rules it serves."""
        source, manifest = self.source, self.manifest
        written = source.rules if isinstance(source, Program) else manifest.written
        return Weights(self.model, manifest.names, self.origins, tuple(map(str, written)))

    @property
    def stored(self) -> tuple[Stored, ...]:
        """The values of the residual stream; none where the circuits are not known."""
        circuits, shape, norm = self._circuits, self.model.shape, self.model.architecture.has_norm
        if circuits is None:
            return ()
        layout = Layout(
            circuits.stream, shape.n_head, shape.n_embd, False, norm, reuses=circuits.reuses
        )
        first = {subspace.name: start for subspace, start in layout.start.items()}
        if first != {row.subspace: row.first for row in self.manifest.layout}:
            return ()
        return read_stored(circuits, layout.read, shape.n_embd, shape.n_layer)

    @property
    def subject(self) -> Subject:
        """All that there is to draw."""
        from handcraft.draw import Subject

        return Subject(
            name=self.folder.name,
            program=self.source if isinstance(self.source, Program) else None,
            circuits=self._circuits,
            model=self.model,
            names=self.manifest.names,
            origins=self.origins,
            stored=self.stored,
        )

    @overload
    def explain(self, prompt: str | Sequence[str], /) -> Explanation: ...

    @overload
    def explain(self, tensor: str, /, *index: int) -> Weight: ...

    def explain(self, what: str | Sequence[str], /, *index: int) -> Explanation | Weight:
        """Why the model answers what it answers on a prompt; or what one weight stands for.

        As `Compiled.explain`. Of rules over expressions a folder stores the words and the circuits, so
        the values are those that the circuits compute.
        """
        if index or (isinstance(what, str) and what in self.model.tensors):
            return self.weights.weight(what, index)  # type: ignore[arg-type]
        return explain_prediction(
            self.model,
            what,
            program=self.source if isinstance(self.source, Program) else None,
            circuits=self._circuits,
            weights=self.weights,
            answers=self.values is None,
        )

    @cached_property
    def _circuits(self) -> Circuits | None:
        """The circuits of the model; those of patterns are compiled again, None if others come out."""
        if isinstance(self.source, Circuits):
            return self.source
        with suppress(HandcraftError):
            circuits = compile_program(self.source, architecture=self.model.architecture).circuits
            heads = [[head.name for head in block.heads] for block in circuits.blocks]
            if heads == [[head.name for head in block.heads] for block in self.manifest.names.blocks]:
                return circuits
        return None


def save(
    compiled: Compiled | CompiledSequences,
    folder: str | Path,
    *,
    format: str | None = None,
    like: str | None = None,
    token_ids: Mapping[str, int] | None = None,
    again: Checkpoint | None = None,
    proof: Wanted = "never",
    meaning: Program | None = None,
) -> Path:
    """Write a compiled model to a folder, completely or not at all, if its answers are right.

    Args:
        compiled: what `compile_program` or `compile_sequences` gave.
        folder: must be missing, empty, or an earlier output, which is then replaced.
        format: one of `FORMATS`; by default ``huggingface`` for gpt2 with its mask, else
            ``safetensors``.
        like: the published GPT-2 whose shape to fill, such as ``gpt2-small``; the program must be
            compiled with its width and heads, as `compile_program(like=)` does.
        token_ids: ids for tokens in that shape; tokens left out get the lowest free ones.
        again: the folder whose circuits were compiled, as `compile_again` does; its prompt grammar and
    its outputs are kept.
        proof: whether `handcraft_check` proves the folder before it stands: "never", "quick" where that
            takes seconds, or "required". What it finds is in handcraft.json and in the model card.
        meaning: what circuits that were laid out by hand are to mean, for the certificate. Rules mean
            what they say.

    Returns:
        The folder.

    Raises:
        CheckpointError: the folder contains something else or cannot be written, or the format cannot
            represent the model.
        PrecisionError: the weights, as they were cast, give a wrong answer.
        ProofError: a proof is required, and was not found.
    """
    if not isinstance(compiled, Compiled | CompiledSequences):
        raise CheckpointError(
            f"{shorten_value(compiled)} is not a compiled program",
            fix="the compiled program comes first: save(compile_program(program), folder)",
        )
    if proof not in get_args(Wanted):
        wanted = ", ".join(map(repr, get_args(Wanted)))
        raise CheckpointError(f"proof={shorten_value(proof)}", fix=f"use one of: {wanted}")
    outputs: tuple[Output, ...] = ()
    spans: Spans = ()
    stated: Statement | None = None
    grammar = None if again is None else again.manifest.grammar
    if isinstance(compiled, CompiledSequences):
        outputs, spans = compiled.outputs, spans_of(compiled)
        with suppress(NotCertified):
            stated = stated_values(compiled)
        if is_restricted(compiled.prompts):
            grammar = Grammar.of(compiled.prompts)
        compiled = compiled.as_compiled()
    if meaning is not None and not isinstance(compiled.source, Circuits):
        raise CheckpointError(
            "a meaning is given for rules, which mean what they say",
            fix="leave out meaning=, or prove the folder: handcraft prove DIR --meaning PROGRAM",
        )
    architecture = compiled.model.architecture
    is_gpt2 = architecture.has_norm and architecture.causal
    chosen = format or ("huggingface" if is_gpt2 else "safetensors")
    check_format(chosen, architecture)
    if token_ids is not None and like is None:
        raise CheckpointError(
            "token ids are given, but no published shape",
            fix="fill a published shape too, as in like='gpt2-small', or leave the ids out",
        )
    target = Path(folder)
    check_target(target)
    model = compiled.model if like is None else fill(compiled, like, token_ids)
    if again is not None and again.values is not None:
        spans = again.manifest.spans
        with form_checked(again.folder):
            outputs = bounded_again(again.manifest, compiled)
    report = check_answers(compiled, None if again is None else again.prompts(as_far_as_known=True))
    compiled = replace(compiled, model=model)
    with whole_folder(target) as fresh:
        WRITERS[chosen](compiled, report, fresh)
        if chosen in CERTIFIED:
            if not outputs:
                stated = _stated(compiled, again, meaning)
            if stated is not None:
                certificate = certificate_of(stated, compiled.model, fresh)
                write_text(fresh / CERTIFICATE, certificate_text(certificate))
        proved = _proved(fresh, proof)
        text = write_manifest(
            compiled,
            chosen,
            grammar=grammar,
            outputs=outputs,
            spans=spans,
            facts=report.facts,
            proof=proved,
        )
        write_text(fresh / MANIFEST, text)
    return target


def _stated(compiled: Compiled, again: Checkpoint | None, meaning: Program | None) -> Statement | None:
    """What certificate.json states, if the program has a meaning that one can state.

    Circuits that are compiled again mean what the certificate of their folder states.
    """
    try:
        if meaning is not None:
            check_meaning(meaning, compiled.model)
            return statement_of(meaning)
        if isinstance(compiled.source, Program):
            return statement_of(compiled.source)
        if again is None:
            return None
        stated = stated_in(again.folder / CERTIFICATE)
    except NotCertified:
        return None
    is_same = stated["vocabulary"] == list(compiled.model.vocabulary.tokens)
    return stated if is_same else None


def _proved(folder: Path, wanted: Wanted) -> Proof | None:
    """Try to prove a folder that was written, and add what was found to its model card.

    Raises:
        ProofError: a proof is required, and was not found.
    """
    is_certified = (folder / CERTIFICATE).exists()
    if wanted == "never" or (wanted == "quick" and not is_certified):
        return None
    from handcraft.proofs.prove_folder import tried_proof  # not needed by those who read folders

    found = Proof("unproved", why="there is no certificate")
    if is_certified:
        found = tried_proof(folder, is_quick=wanted == "quick")
        card = folder / "README.md"
        if card.exists():
            write_text(card, with_proof(card.read_text(encoding="utf-8"), found))
    if wanted == "required" and found.verdict != "proved":
        raise ProofError(f"no proof was found: {found.why}", fix=PROVABLE)
    return found


PROVABLE = (
    "compile in float32 and write huggingface or safetensors, allow fewer prompts with inputs=, or "
    "shorten the context"
)


def load(folder: str | Path) -> Model:
    """The model in a folder: one that was compiled, any GPT-2 as Hugging Face saves it, or Raschka's.

    Raises:
        CheckpointError: files are missing, damaged or foreign, or contradict each other.
    """
    path = Path(folder)
    if is_raschka(path):
        return read_raschka(path)
    if (path / CONFIG).exists() and not is_checkpoint(path):
        return read_huggingface(path)
    return read_checkpoint(path).model


def read_checkpoint(folder: str | Path) -> Checkpoint:
    """The model in a folder, with what it means and where every weight comes from.

    Raises:
        CheckpointError: files are missing, damaged or foreign, or contradict each other.
    """
    path = Path(folder)
    data = parse_manifest(path)
    with form_checked(path):
        manifest, origins = read_manifest(data)
        architecture = read_architecture(manifest.architecture)
        vocabulary = Vocabulary(manifest.vocabulary, ids=manifest.token_ids)
        shape = manifest.shape
        check_shape(shape, vocabulary)
        source = read_source(manifest)
    if source.vocabulary.tokens != vocabulary.tokens or source.context > shape.n_positions:
        what = f"{MANIFEST} describes a program whose vocabulary or context differs from its model"
        raise contradiction(what, path / MANIFEST)
    if isinstance(source, Circuits) and source.causal is not architecture.causal:
        masked, unmasked = ("circuits", "model") if source.causal else ("model", "circuits")
        what = f"{MANIFEST} gives a causal mask to the {masked}, and none to the {unmasked}"
        raise contradiction(what, path / MANIFEST)
    if manifest.format not in READ_BACK:
        raise CheckpointError(
            f"the folder was written as {shown(manifest.format)}, for other tools to read",
            where=path,
            fix=f"compile it again with --format {', '.join(READ_BACK[:-1])} or {READ_BACK[-1]}",
        )
    tensors = read_tensors(path, shape, architecture)
    model = Model(architecture, shape, vocabulary, tensors)
    with form_checked(path):
        values = read_values(manifest, model, source)
    return Checkpoint(model, source, path, manifest, origins, values)


@contextmanager
def form_checked(folder: Path) -> Iterator[None]:
    """Errors about the form of handcraft.json, as errors of the folder."""
    try:
        yield
    except CheckpointError:
        raise
    except HandcraftError as error:
        problems = "; ".join(problem.what for problem in getattr(error, "problems", (error,)))
        what = f"{MANIFEST} contradicts itself: {problems}"
        raise contradiction(what, folder / MANIFEST) from error
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise contradiction(f"{MANIFEST} is malformed: {error}", folder / MANIFEST) from error


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder has a manifest, as those that handcraft wrote."""
    return (folder / MANIFEST).is_file()


def fill(compiled: Compiled, like: str, token_ids: Mapping[str, int] | None = None) -> Model:
    """The model in the shape of a published GPT-2, the rest of which is 0.

    Its tensors are made one at a time, when they are read.

    Tokens that `token_ids` leaves out get the lowest free ids.

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
