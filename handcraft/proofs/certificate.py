"""certificate.json: which contexts are allowed, what the program means there, and for which files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from handcraft.errors import CheckpointError, LimitError, ProofError
from handcraft.language import Program, Prompts
from handcraft.limits import JSON_BYTES
from handcraft.model import Model
from handcraft.proofs.write_meaning import (
    NotCertified,
    Stated,
    Statement,
    write_meaning,
    write_values,
)
from handcraft.vocabulary import shorten
from handcraft_check.errors import CheckError
from handcraft_check.program.meaning import Meaning, program_hash

CERTIFICATE = "certificate.json"

VERSION = 1

FILES = ("model.safetensors", "config.json")
"""The files that a certificate is about; the second where there is one."""

STATED = ("vocabulary", "contexts", "meaning")

CELLS_UP_TO = 2_000_000
"""The most entries of the automaton of allowed prompts, states times kinds of tokens."""


def statement_of(program: Program) -> Statement:
    """The part of a certificate that follows from the program: its tokens, contexts and meaning.

    Raises:
        NotCertified: it cannot be written down in a reasonable size.
    """
    try:
        meaning = program.meant
    except LimitError as error:
        raise NotCertified(error.what) from error
    return {
        "vocabulary": list(program.vocabulary.tokens),
        "contexts": _contexts(program.prompts),
        "meaning": write_meaning(meaning),
    }


def statement_of_values(prompts: Prompts, outputs: Sequence[Stated]) -> Statement:
    """The part of a certificate that follows from expressions, and where their values are read.

    It is about every position of every allowed text. With a causal mask, these are the ends of all that
    allowed texts begin with.

    Raises:
        NotCertified: it cannot be written down in a reasonable size.
    """
    contexts = _contexts(prompts)
    contexts["writes"] = 1
    if prompts.causal:
        contexts["final"] = [True] * len(contexts["final"])
    return {
        "vocabulary": list(prompts.vocabulary.tokens),
        "contexts": contexts,
        "meaning": write_values(prompts.vocabulary.tokens, outputs),
    }


def stated_in(path: Path) -> Statement:
    """The statement in a certificate.

    Raises:
        NotCertified: there is none, or a damaged one.
    """
    try:
        if not path.is_file() or path.stat().st_size > JSON_BYTES.most:
            raise NotCertified("the folder has no certificate")
        data = json.loads(path.read_text(encoding="utf-8"))
        stated = {name: data[name] for name in STATED}
        Meaning.read(stated["meaning"], stated["vocabulary"])
        return stated
    except (OSError, ValueError, KeyError, TypeError, RecursionError, CheckError) as error:
        raise NotCertified(f"the certificate is damaged: {error}") from error


def other_files(folder: Path) -> str:
    """Why the files of a folder are not those of its certificate; empty where their hashes fit.

    A verdict that is stored in handcraft.json is about the files of the certificate, and no others.
    """
    path = folder / CERTIFICATE
    try:
        if not path.is_file():
            return f"there is no {CERTIFICATE}"
        if path.stat().st_size > JSON_BYTES.most:
            return f"{CERTIFICATE} is damaged"
        hashes = json.loads(path.read_bytes())["files"]
        for name in FILES:
            if name in hashes and hashes[name] != sha256(folder / name):
                return f"{name} was changed"
        return "" if FILES[0] in hashes else f"{CERTIFICATE} is damaged"
    except CheckpointError as error:
        return error.what
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return f"{CERTIFICATE} is damaged"


def check_meaning(program: Program, model: Model) -> None:
    """Raise unless a program can be what a model means.

    Raises:
        ProofError: it has a token that the model does not know, a longer context than the model has
            positions, or another mask.
    """
    unknown = [token for token in program.vocabulary.tokens if token not in model.vocabulary.tokens]
    if unknown:
        raise ProofError(
            f"the program has the token {unknown[0]!r}, which the model does not know",
            where=program.place,
            fix=f"state what it means over its own tokens: {shorten(model.vocabulary.tokens)}",
        )
    if program.context > model.context:
        raise ProofError(
            f"the program has a context of {program.context}, and the model {model.context} positions",
            where=program.place,
            fix=f"state it with a context of {model.context}",
        )
    if program.prompts.causal != model.architecture.causal:
        masked, other = ("model", "program") if model.architecture.causal else ("program", "model")
        raise ProofError(
            f"the {masked} masks later positions, and the {other} does not",
            where=program.place,
            fix=f"state it over Prompts(causal={model.architecture.causal})",
        )


def certificate_of(stated: Statement, model: Model, folder: Path) -> Statement:
    """The certificate of a model that was written in a folder.

    Args:
        stated: what it means.
        model: the model, whose vocabulary has the ids of the tokens, and maybe more tokens.
        folder: contains the files that the certificate names by their hashes.

    Raises:
        CheckpointError: one of these files cannot be read.
        VocabularyError: the model does not know one of the tokens.
    """
    dtype = model.dtype.name
    files = [name for name in FILES if name == FILES[0] or (folder / name).exists()]
    return {
        "format": "handcraft-certificate",
        "version": VERSION,
        "files": {name: sha256(folder / name) for name in files},
        **({} if len(files) == len(FILES) else {"architecture": architecture_of(model)}),
        "program": program_hash(stated["contexts"], stated["meaning"]),
        "arithmetic": {"weights": dtype, "steps": "float32"},
        "vocabulary": stated["vocabulary"],
        "token_ids": list(model.vocabulary.ids(stated["vocabulary"])),
        "contexts": stated["contexts"],
        "meaning": stated["meaning"],
        "hints": {},
    }


def certificate_text(certificate: Statement) -> str:
    """A certificate as JSON, with a line for each part, node and rule."""
    meaning = certificate["meaning"]
    parts = {name: _dumped(part) for name, part in certificate.items()}
    parts["meaning"] = _object(
        {
            "nodes": _array(meaning["nodes"]),
            "answer": _object(
                {
                    name: _array(part) if isinstance(part, list) else _dumped(part)
                    for name, part in meaning["answer"].items()
                }
            ),
            "names": _dumped(meaning.get("names", {})),
        }
    )
    return _object(parts) + "\n"


def _object(parts: dict[str, str]) -> str:
    lines = ",\n".join(f"{_dumped(name)}: {part}" for name, part in parts.items())
    return f"{{\n{lines}\n}}"


def _array(items: Iterable[object]) -> str:
    lines = ",\n".join(map(_dumped, items))
    return f"[\n{lines}\n]"


def _dumped(part: object) -> str:
    return json.dumps(part, ensure_ascii=False)


def _contexts(prompts: Prompts) -> Statement:
    if prompts.inputs is not None and not isinstance(prompts.inputs, str):
        raise NotCertified("Python code decides which prompts are allowed")
    if not prompts.refuses_some:  # every text of one token or more
        kinds: Iterable[int] = [0] * len(prompts.vocabulary)
        following, final = [[1], [1]], [False, True]
    else:
        table = prompts.texts.table
        if table.columns.size > CELLS_UP_TO:
            raise NotCertified(f"the automaton of allowed prompts has {table.columns.size:,} entries")
        kinds, following, final = table.kinds.tolist(), table.columns.tolist(), table.final.tolist()
    return {
        "length": prompts.context,
        "causal": prompts.causal,
        "writes": prompts.writes,
        "kinds": kinds,
        "next": following,
        "final": final,
    }


def architecture_of(model: Model) -> Statement:
    """What config.json would say: the sizes, and what is computed."""
    facts, shape = model.architecture, model.shape
    return {
        "norm": facts.norm,
        "norm_epsilon": facts.norm_epsilon,
        "activation": facts.activation,
        "scales_scores": facts.scales_scores,
        "scales_by_layer": facts.scales_by_layer,
        "n_head": shape.n_head,
        "n_embd": shape.n_embd,
        "n_inner": list(shape.n_inner),
        "n_positions": shape.n_positions,
        "n_vocab": shape.n_vocab,
    }


def sha256(path: Path) -> str:
    """The hash of a file, as certificates state it.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror}", where=path, fix="compile the model again"
        ) from error
