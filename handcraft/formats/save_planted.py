"""Write a model that is wrong on purpose, as a folder that does not say where it is wrong."""

from __future__ import annotations

from pathlib import Path

from handcraft.errors import ProofError
from handcraft.formats.folder import whole_folder, write_text
from handcraft.formats.huggingface.write_repository import write_model
from handcraft.proofs import CERTIFICATE, NotCertified, certificate_of, certificate_text, statement_of
from handcraft.proofs.plant import Planted

CARD = """---
library_name: transformers
pipeline_tag: text-generation
tags:
- handcraft
- adversarial
---

# A {family} that is wrong on purpose

`certificate.json` states which prompts are allowed and what is meant after each. After exactly one of
them this model predicts another token{when}. It was made by `handcraft plant`, to test verifiers: none
may pass it. Nothing in this folder says after which prompt it is wrong.
"""


def save_planted(planted: Planted, folder: str | Path) -> Path:
    """Write what transformers reads, and a certificate of the program without what was planted.

    Returns:
        The folder, which has no handcraft.json, since that would explain the planted weights.

    Raises:
        CheckpointError: the folder contains something, or transformers has no such model.
        ProofError: the program has no certificate.
    """
    target = Path(folder)
    try:
        stated = statement_of(planted.program)
    except NotCertified as error:
        raise ProofError(
            f"there is no certificate: {error}",
            where=planted.program.place,
            fix="docs/certificate.md says which programs have one",
        ) from error
    model = planted.compiled.model
    family = "Llama" if model.architecture.is_rotary else "GPT-2"
    when = "" if planted.only_in is None else f", once its weights are rounded to {planted.only_in}"
    with whole_folder(target) as fresh:
        write_model(model, fresh)
        write_text(fresh / CERTIFICATE, certificate_text(certificate_of(stated, model, fresh)))
        write_text(fresh / "README.md", CARD.format(family=family, when=when))
    return target
