"""Write a disguise as a folder: the model, its map and meaning, and what is proved of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from handcraft.disguise.apply_transforms import Disguise
from handcraft.disguise.carry_manifest import carried_manifest
from handcraft.disguise.record import write_record
from handcraft.disguise.weight_kinds import weight_statistics
from handcraft.errors import CheckpointError
from handcraft.formats.folder import MANIFEST, check_target, whole_folder, write_text
from handcraft.formats.huggingface.config_json import ALIASES, CONFIG
from handcraft.formats.huggingface.write_repository import (
    METADATA,
    check_class,
    config,
    write_json,
    write_model,
)
from handcraft.formats.tensors.safetensors_file import pending, prefix_of, write_safetensors
from handcraft.model import Model
from handcraft.proofs import CERTIFICATE, Proof, certificate_of, certificate_text
from handcraft.proofs.certificate import FILES, sha256
from handcraft.proofs.prove_folder import tried_proof

SIZES = ("vocab_size", "n_positions", "n_ctx", "n_embd", "n_layer", "n_head", "n_inner")
"""The keys of config.json that a disguise changes, beside whether the unembedding is tied."""

CARD = """---
library_name: transformers
pipeline_tag: text-generation
tags:
- handcraft
- interpretability
---

# A disguised GPT-2

{verdict}

This model answers as another one does, whose every weight is known. `disguise.json` says what was done
to it, and with `disguise.safetensors` where every head, hidden unit and direction of the residual
stream of the original is. Leave both, and `handcraft.json`, out of what is handed to somebody who is to
find out.

## What was done

{steps}

## Sizes

{sizes}

## Weights

{statistics}
"""


def write_disguise(disguise: Disguise, target: Path) -> Path:
    """Write a disguise to a folder, completely or not at all.

    A certificate of the original states what is meant, which is the same for the disguise. It is
    written for the new files, and a proof is tried for a few seconds.

    Raises:
        CheckpointError: the folder contains something else or cannot be written, or a proof refutes it.
    """
    check_target(target)
    original, model = disguise.original, disguise.model
    with whole_folder(target) as fresh:
        form = _write_model(disguise, fresh)
        proof = _proved(disguise, fresh)
        if original.checkpoint is not None:
            text = carried_manifest(original.checkpoint, model, disguise.carried, proof, form)
            write_text(fresh / MANIFEST, text)
        write_text(fresh / "README.md", _card(disguise, proof))
        names = [name for name in (*FILES, CERTIFICATE) if (fresh / name).exists()]
        write_record(
            replace(disguise.record, files={name: sha256(fresh / name) for name in names}), fresh
        )
    return target


def _write_model(disguise: Disguise, folder: Path) -> str:
    """Write weights, config and tokenizer; the name of the format."""
    original, model = disguise.original, disguise.model
    if original.config is not None:
        _write_foreign(disguise, folder)
        return "huggingface"
    form = "huggingface" if original.checkpoint is None else original.checkpoint.manifest.format
    if form == "huggingface":
        write_model(model, folder)
        return form
    write_safetensors(folder / "model.safetensors", pending(model), METADATA)
    return "safetensors"


def _write_foreign(disguise: Disguise, folder: Path) -> None:
    """Write a GPT-2 that was made elsewhere: its own config with other sizes, its own tokenizer."""
    model, old = disguise.model, disguise.original.config
    assert old is not None
    check_class(model.architecture)
    made = config(model, padding=0)
    changed = {key: made[key] for key in (*SIZES, "tie_word_embeddings", "dtype")}
    gone = {*ALIASES.values(), "torch_dtype"}
    kept = {key: value for key, value in old.items() if key not in gone}
    write_json(folder / CONFIG, {**kept, **changed})
    write_safetensors(
        folder / "model.safetensors", pending(model, prefix_of(model.architecture)), METADATA
    )
    for name, data in disguise.original.copied.items():
        (folder / name).write_bytes(data)


def _proved(disguise: Disguise, folder: Path) -> Proof | None:
    """Write the certificate and try a proof.

    Raises:
        CheckpointError: it is refuted, though no answer that was tried is wrong.
    """
    stated = disguise.original.stated
    if stated is None:
        return None
    certificate = certificate_of(stated, disguise.model, folder)
    write_text(folder / CERTIFICATE, certificate_text(certificate))
    found = tried_proof(folder, is_quick=True)
    if found.verdict == "refuted":
        raise CheckpointError(
            f"a prompt that was not tried refutes the disguise: {found.why}",
            where=disguise.original.name,
            fix="try another seed, or leave out transforms until it is right",
        )
    return found


def verdict(disguise: Disguise, proof: Proof | None) -> str:
    """What is known about whether every answer is right, in words."""
    after = disguise.after
    many = f"all {after.tried:,} answers" if after.is_all else f"{after.tried:,} answers"
    if disguise.original.source is None:
        return f"tried: {many} are those of the original"
    tried = f"tried: {many} are right, by a logit margin of at least {after.margin:.6g}"
    return tried if proof is None else f"{proof}\n{tried}"


def _card(disguise: Disguise, proof: Proof | None) -> str:
    """The model card."""
    shape, record = disguise.model.shape, disguise.record
    steps = "\n".join(
        f"{i}. {step.transform}, {_listed(step.parameters)}: {step.guarantee}."
        for i, step in enumerate(record.steps, 1)
    )
    sizes = (
        f"{shape.n_layer} blocks, {shape.n_head} heads of {shape.head_dim}, width {shape.n_embd}, "
        f"{shape.n_positions} positions, {shape.n_vocab} tokens, {disguise.model.dtype.name}: "
        f"{disguise.model.parameters:,} parameters."
    )
    return CARD.format(
        verdict=verdict(disguise, proof).replace("\n", "\n\n"),
        steps=steps,
        sizes=sizes,
        statistics=statistics_table(disguise.original.model, disguise.model),
    )


def _listed(parameters: dict[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in parameters.items()) or "without parameters"


def statistics_table(before: Model, after: Model) -> str:
    """The statistics of the weights of two models, as a Markdown table."""
    known = {each.kind: each for each in weight_statistics(before)}
    lines = [
        "| tensor | standard deviation | zeros | excess kurtosis | GPT-2 at initialization |",
        "| --- | --- | --- | --- | --- |",
    ]
    for new in weight_statistics(after):
        old = known.get(new.kind)
        pairs = (
            (f"{old.deviation:.3g} -> " if old else "") + f"{new.deviation:.3g}",
            (f"{old.zeros:.1%} -> " if old else "") + f"{new.zeros:.1%}",
            (f"{old.kurtosis:.3g} -> " if old else "") + f"{new.kurtosis:.3g}",
            "1, all equal" if new.wanted is None else f"{new.wanted:.3g}",
        )
        lines.append(f"| `{new.kind}` | {' | '.join(pairs)} |")
    return "\n".join(lines)
