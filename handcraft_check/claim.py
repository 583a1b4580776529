"""What a folder says of itself: read strictly, from its files alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from handcraft_check.arithmetic.regime import IN_FLOAT32, Array, Regime, regime_named
from handcraft_check.by_cases.policy import Policy, Way
from handcraft_check.by_cases.proof import Ids, Proof
from handcraft_check.errors import CheckError
from handcraft_check.folder.beside import check_beside
from handcraft_check.folder.config import Config, check_dtype
from handcraft_check.folder.files import (
    CERTIFICATE,
    CONFIG,
    JSON_UP_TO,
    TENSORS,
    TENSORS_UP_TO,
    TOKENIZER,
    read_bytes,
    read_json,
    read_tensors,
    sha256,
)
from handcraft_check.folder.llama import is_llama, read_llama
from handcraft_check.folder.tokenizer import check_added_tokens, check_plain, check_tokenizer
from handcraft_check.judged import Judge
from handcraft_check.layers.llama import Llama
from handcraft_check.layers.model import Model
from handcraft_check.program.domain import Domain
from handcraft_check.program.meaning import Meaning, program_hash
from handcraft_check.program.nodes import fields, items

EXACTLY = ", bounds computed in whole numbers of 2^-512"
"""What a verdict says of bounds that are not computed in float64."""


@dataclass(frozen=True, eq=False)
class Claim:
    """What a folder says of itself, and the model in it.

    Args:
        model: read from its tensors and config.
        token_ids: the id of each token of the vocabulary.
        domain: the contexts.
        meaning: what is meant after each.
        arithmetic: in which the claim is made, in words.
    """

    model: Model
    token_ids: Ids
    domain: Domain
    meaning: Meaning
    arithmetic: str

    @property
    def judge(self) -> Judge:
        """What must hold of its logits."""
        given = self.meaning.distributions, self.meaning.within, self.model.config.vocab_size
        return Judge(self.token_ids, *given)

    @property
    def each(self) -> tuple[Claim, ...]:
        """One claim for each way in which the regime may compute; they hold together."""
        return tuple(replace(self, model=self.model.within(r)) for r in self.model.regime.each)

    def proof(self, way: Way) -> Proof:
        """An attempt to prove it."""
        policy = Policy(is_single=way != "sets", is_anywhere=way == "anywhere")
        return Proof(self.model, self.token_ids, self.domain, self.meaning, policy)


def read_claim(
    folder: Path,
    *,
    certificate: Path | None = None,
    rehash: bool = False,
    regime: str | None = None,
    radius: float = 0.0,
    exact: bool = False,
    context: int | None = None,
) -> Claim:
    """Read a folder with a certificate.

    Args:
        folder: a Hugging Face directory, or one with a model.safetensors.
        certificate: a file, in place of that in the folder.
        rehash: whether to take the files as they are, whatever hashes the certificate has.
        regime: the name of one, in place of that of the certificate.
        radius: how far all weights may be from those of the file, relatively.
        exact: whether bounds are computed in whole numbers of 2^-512 in place of float64.
        context: the most tokens of a context, in place of that of the certificate.

    Raises:
        CheckError: a file is missing, malformed, too large, or not what the certificate is about.
    """
    path = folder / CERTIFICATE if certificate is None else certificate
    where = str(path)
    data = read_json(read_bytes(path, JSON_UP_TO), where)
    names = ("format", "version", "files", "program", "arithmetic", "vocabulary", "token_ids")
    given = fields(data, (*names, "contexts", "meaning", "hints", "?architecture"), where)
    if (given["format"], given["version"]) != ("handcraft-certificate", 1):
        raise CheckError(
            f"it is of the format {given['format']!r}, version {given['version']!r}",
            where,
            "compile the program again: this checker reads handcraft-certificate, version 1",
        )
    content = _files_of(folder, given, where, rehash=rehash)
    if given["program"] != program_hash(given["contexts"], given["meaning"]):
        raise CheckError("its program was edited: the hash of contexts and meaning differs", where)
    vocabulary = items(given["vocabulary"], where, most=1 << 24)
    if not vocabulary or not all(isinstance(token, str) for token in vocabulary):
        raise CheckError("the vocabulary is no list of tokens", where)
    if len(set(vocabulary)) < len(vocabulary):
        raise CheckError("a token occurs twice in the vocabulary", where)
    if "architecture" in given:
        if (folder / CONFIG).exists():
            raise CheckError(
                f"it states an architecture, and {CONFIG} states one too, which is the one that is run",
                where,
                f"remove {CONFIG}, or leave out architecture",
            )
        config = Config.of_architecture(given["architecture"], f"{where}: architecture")
    else:
        of_config = read_json(content[CONFIG], CONFIG)
        read = read_llama if is_llama(of_config) else Config.read
        config = read(of_config, CONFIG)
    token_ids = items(given["token_ids"], where, most=len(vocabulary), length=len(vocabulary))
    if not all(type(each) is int and 0 <= each < config.vocab_size for each in token_ids):
        raise CheckError("token_ids are no ids of the model", where)
    if len(set(token_ids)) < len(token_ids):
        raise CheckError("two tokens have one id", where)
    if CONFIG in content:
        check_beside(folder, of_config, [*token_ids, config.begin])
    if config.begin in token_ids:
        token = vocabulary[token_ids.index(config.begin)]
        raise CheckError(f"the begin token of {CONFIG}, {config.begin}, has the id of {token!r}", where)
    if (folder / TOKENIZER).exists():
        tokenizer = read_json(read_bytes(folder / TOKENIZER, JSON_UP_TO), TOKENIZER)
        check_tokenizer(tokenizer, vocabulary, token_ids, TOKENIZER)
        check_added_tokens(tokenizer, config.begin, TOKENIZER)
        check_plain(tokenizer, TOKENIZER)
    arithmetic = fields(given["arithmetic"], ("weights", "steps"), where)
    if arithmetic["weights"] not in ("float32", "bfloat16", "float16"):
        raise CheckError(f"weights in {arithmetic['weights']!r} are not checked", where)
    stated = regime_named(arithmetic["steps"], where)
    used = replace(stated if regime is None else regime_named(regime, "--regime"), radius=radius)
    _check_regime(config, used, where, exact=exact)
    domain = Domain.read(given["contexts"], vocabulary)
    if context is not None:
        domain = domain.up_to(context)
    if not domain.causal and CONFIG in content:
        raise CheckError("its contexts have no causal mask, and the model has one", where)
    if domain.length > config.longest:
        front = " behind the begin token" if config.lead else ""
        raise CheckError(
            f"contexts of {domain.length} tokens, and the model has {config.longest} positions{front}",
            where,
        )
    tensors, dtypes = read_tensors(content[TENSORS], TENSORS)
    if CONFIG in content:
        check_dtype(of_config, dtypes, (arithmetic["weights"], used.steps.name), CONFIG)
    for name, tensor in tensors.items():
        if not is_of(tensor, arithmetic["weights"]):
            raise CheckError(f"{name} is not in {arithmetic['weights']}", TENSORS)
    meaning = Meaning.read(given["meaning"], vocabulary, causal=domain.causal)
    if exact and (meaning.distributions or meaning.outputs or not domain.causal):
        what = "values" if meaning.outputs else "probabilities"
        what = what if domain.causal else "models without a mask"
        raise CheckError(f"exact bounds of {what} are not computed", where, "leave out --exact")
    return Claim(
        (Llama if config.is_rotary else Model)(config, tensors, used, is_exact=exact),
        np.array(token_ids, dtype=np.int64),
        domain,
        meaning,
        f"weights in {arithmetic['weights']}, {used}" + (EXACTLY if exact else ""),
    )


def _files_of(folder: Path, given: Mapping[str, Any], where: str, *, rehash: bool) -> dict[str, bytes]:
    """The files that a certificate is about, by name, with the hashes that it states."""
    limits = {TENSORS: TENSORS_UP_TO}
    if "architecture" not in given:
        limits[CONFIG] = JSON_UP_TO
    content = {name: read_bytes(folder / name, most) for name, most in limits.items()}
    hashes = fields(given["files"], (*limits,), where)
    for name, each in content.items():
        if not rehash and hashes[name] != sha256(each):
            raise CheckError(
                f"{name} is not the file that the certificate is about: its hash differs",
                where,
                "compile it again, or take the files as they are: "
                f"python -m handcraft_check --rehash {folder}",
            )
    return content


def _check_regime(config: Config, used: Regime, where: str, *, exact: bool) -> None:
    """Raise if models of this kind are not checked in a regime, or not with exact bounds."""
    is_gpt2 = config.has_norm and config.activation == "gelu_new"
    if exact and not (is_gpt2 and used == IN_FLOAT32):
        raise CheckError(
            f"exact bounds are computed of {IN_FLOAT32.name} only, of GPT-2, without a radius",
            fix=f"ask for --regime {IN_FLOAT32.name}, or leave out --exact",
        )
    if used.is_half and not (is_gpt2 or config.is_rotary):
        raise CheckError(
            f"only for GPT-2 and Llama it is known which steps are rounded to {used.steps.name}",
            where,
            "prove it in float32 or tf32",
        )


def is_of(tensor: Array, dtype: str) -> bool:
    """Whether all numbers of a tensor are numbers of a dtype: storing them in it rounds none."""
    if dtype == "bfloat16":
        return not (tensor.astype(np.float32).view(np.uint32) & 0xFFFF).any()
    return dtype == "float32" or bool(
        (np.abs(tensor) < 65520).all() and (tensor.astype(np.float16) == tensor).all()
    )
