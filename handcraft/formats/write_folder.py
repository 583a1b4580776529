"""Write a compiled model to a folder, completely or not at all, if its answers are right."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import get_args

from handcraft.circuits import Circuits
from handcraft.compiler import Compiled, CompiledSequences
from handcraft.compiler.values.output import Output
from handcraft.display import shorten_value
from handcraft.errors import CheckpointError, ProofError, VocabularyError
from handcraft.formats.checkpoint import Checkpoint, form_checked
from handcraft.formats.folder import MANIFEST, check_target, whole_folder, write_text
from handcraft.formats.huggingface.model_card import with_proof
from handcraft.formats.manifest.manifest import Grammar, Spans, write_manifest
from handcraft.formats.manifest.values import bounded_again, spans_of
from handcraft.formats.stated_values import stated_values
from handcraft.formats.writers import WRITERS, check_answers, check_format
from handcraft.language import Program
from handcraft.language.meaning import Meaning
from handcraft.model import Model, grow, published_shape
from handcraft.proofs import (
    CERTIFICATE,
    NotCertified,
    Proof,
    Wanted,
    Words,
    certificate_of,
    certificate_text,
    check_meaning,
    stated_in,
    statement_of,
    words_of,
)
from handcraft.proofs.write_meaning import Statement
from handcraft.verify.texts.allowed import is_restricted
from handcraft.vocabulary import shorten

CERTIFIED = ("huggingface", "safetensors")
"""The formats whose files `handcraft_check` reads."""


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
    meant: Meaning | Words | None = None
    grammar = None if again is None else again.manifest.grammar
    if isinstance(compiled, CompiledSequences):
        outputs, spans = compiled.outputs, spans_of(compiled)
        with suppress(NotCertified):
            stated, meant = stated_values(compiled), compiled.meant
        if is_restricted(compiled.prompts):
            grammar = Grammar.of(compiled.prompts)
        compiled = compiled.as_compiled()
    if meaning is not None and not isinstance(compiled.source, Circuits):
        raise CheckpointError(
            "a meaning is given for rules, which mean what they say",
            fix="leave out meaning=, or prove the folder: `handcraft prove DIR --meaning PROGRAM`",
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
    words: Words | None = None
    with whole_folder(target) as fresh:
        WRITERS[chosen](compiled, report, fresh)
        if chosen in CERTIFIED:
            if not outputs:
                stated, meant = _stated(compiled, again, meaning)
            if stated is not None:
                certificate = certificate_of(stated, compiled.model, fresh)
                write_text(fresh / CERTIFICATE, certificate_text(certificate))
                words = _words(meant, certificate["program"])
        proved = _proved(fresh, proof)
        text = write_manifest(
            compiled,
            chosen,
            grammar=grammar,
            outputs=outputs,
            spans=spans,
            facts=report.facts,
            proof=proved,
            words=words,
        )
        write_text(fresh / MANIFEST, text)
    return target


def _stated(
    compiled: Compiled, again: Checkpoint | None, meaning: Program | None
) -> tuple[Statement | None, Meaning | Words | None]:
    """What certificate.json states, if the program has a meaning that one can state, and how it reads.

    Circuits that are compiled again mean what the certificate of their folder states. Rules that are
    patterns are stored as they are, so it need not be said how they read.
    """
    try:
        if meaning is not None:
            check_meaning(meaning, compiled.model)
            return statement_of(meaning), meaning.meant
        if isinstance(compiled.source, Program):
            source = compiled.source
            return statement_of(source), None if source.has_only_patterns else source.meant
        if again is None:
            return None, None
        stated = stated_in(again.folder / CERTIFICATE)
    except NotCertified:
        return None, None
    is_same = stated["vocabulary"] == list(compiled.model.vocabulary.tokens)
    return (stated, again.manifest.words) if is_same else (None, None)


def _words(meant: Meaning | Words | None, program: str) -> Words | None:
    """How the certificate reads that states what is meant."""
    return words_of(meant, program) if isinstance(meant, Meaning) else meant


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
