"""Certificates: what `handcraft_check` needs to know of a compiled model besides its files."""

from handcraft.proofs.certificate import (
    CERTIFICATE,
    architecture_of,
    certificate_of,
    certificate_text,
    check_meaning,
    other_files,
    stated_in,
    statement_of,
    statement_of_values,
)
from handcraft.proofs.proof import Proof, Wanted
from handcraft.proofs.read_meaning import read_meaning
from handcraft.proofs.stated_prompts import StatedPrompts
from handcraft.proofs.words import Words, words_of
from handcraft.proofs.write_meaning import NotCertified, Stated

__all__ = [
    "CERTIFICATE",
    "NotCertified",
    "Proof",
    "Stated",
    "StatedPrompts",
    "Wanted",
    "Words",
    "architecture_of",
    "certificate_of",
    "certificate_text",
    "check_meaning",
    "other_files",
    "read_meaning",
    "stated_in",
    "statement_of",
    "statement_of_values",
    "words_of",
]
