"""Is the answer right after every context? Proved, unproved or refuted, from the files alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from handcraft_check.config import Config
from handcraft_check.domain import Domain
from handcraft_check.errors import CheckError
from handcraft_check.exact import NotANumberError
from handcraft_check.files import (
    CERTIFICATE,
    CONFIG,
    JSON_UP_TO,
    TENSORS,
    TENSORS_UP_TO,
    TOKENIZER,
    key_of,
    read_bytes,
    read_json,
    read_tensors,
    sha256,
)
from handcraft_check.judged import Judge, surely_off
from handcraft_check.meaning import BROKEN, Meaning, program_hash
from handcraft_check.model import Model
from handcraft_check.nodes import fields, items
from handcraft_check.parts import Parts
from handcraft_check.policy import Policy, StuckError
from handcraft_check.proof import BudgetError, Found, Ids, Proof
from handcraft_check.regime import IN_FLOAT32, Array, regime_named
from handcraft_check.rounding import Bounded
from handcraft_check.saved import Saved
from handcraft_check.tokenizer import check_tokenizer
from handcraft_check.unmasked import last_everywhere, prove_unmasked
from handcraft_check.values import ValueReader, named
from handcraft_check.window_proof import prove_windows
from handcraft_check.windows import UnfitError
from handcraft_check.words import at_least, at_most

Word: TypeAlias = Literal["proved", "unproved", "refuted"]

BUDGETS = (1 << 13, 1 << 17, 1 << 21)
"""How many cases the attempts may take; each is tried with undecided positions, then without."""

EXACTLY = ", bounds computed in whole numbers of 2^-512"
"""What a verdict says of bounds that are not computed in float64."""

ASSUMED = (
    "round to nearest; sums in float32 or wider, in any order, with fused multiply-add or without; exp "
    "within 4 units in the last place, exp(0) = 1; square root and division within one; tanh is 1 "
    "beyond 10; LayerNorm and softmax in float32, a mean as a sum or kept running, the variance about "
    "it; a mask leaves later positions no weight"
)
"""What every proof assumes of the machine."""


@dataclass(frozen=True)
class Verdict:
    """What was found out about a folder.

    Args:
        word: ``proved``, ``unproved`` or ``refuted``.
        inputs: how many inputs the claim is about.
        writes: how many tokens the program writes after each.
        length: the most tokens of a context.
        arithmetic: the dtype of the weights, and the regime, in words.
        margin: the least by which the right logit surely is above all others; where it is not proved,
            the least that could not be excluded.
        context: where that is; of a refuted claim, a context after which the model is wrong.
        cases: how many cases the proof has.
        seconds: how long it took.
        reason: why it is not proved; empty where it is.
        within: how far probabilities may be from those meant, in total variation, by the certificate;
            None where the program has none.
        distance: how far they are at most, as was shown, where it is proved.
        farthest: where that is.
        values: of a model of values, how far each may be off by the certificate; `distance` is how far
            they are at most, of that.
        everywhere: whether it is about every position of each context, as without a causal mask.
    """

    word: Word
    inputs: int
    writes: int
    length: int
    arithmetic: str
    margin: float
    context: tuple[str, ...]
    cases: int
    seconds: float
    reason: str = ""
    within: float | None = None
    distance: float = 0.0
    farthest: tuple[str, ...] = ()
    values: Mapping[str, float] | None = None
    everywhere: bool = False

    def __str__(self) -> str:
        text = " ".join(self.context)
        domain = f"{self.inputs:,} inputs, contexts of up to {self.length:,} tokens"
        if self.writes > 1:
            domain += f", and the {self.writes} tokens that are written after each"
        if self.everywhere:
            domain += ", at every position"
        lines = [f"{self.word}: {domain}", f"arithmetic: {self.arithmetic}; {ASSUMED}"]
        if self.word == "proved":
            if self.within is not None:
                far = " ".join(self.farthest)
                lines.append(
                    f"probabilities: off by at most {at_most(self.distance)} in total variation "
                    f"({self.within:g} is allowed), most after {far!r}"
                )
            margin = f"at least {at_least(self.margin)}, least after {text!r}"
            margin = margin if self.context else "none, since every token may follow"
            if self.values is not None:
                bounds = ", ".join(f"{name} {within:g}" for name, within in self.values.items())
                lines.append(
                    f"values: off by at most {at_most(self.distance)} times what is allowed "
                    f"({bounds}), most after {' '.join(self.farthest)!r}; {self.cases:,} cases"
                )
            else:
                lines.append(f"margin: {margin}; {self.cases:,} cases")
        else:
            lines.append(f"reason: {self.reason}")
            most = f", where the margin may be {at_least(self.margin)}" if self.values is None else ""
            lines.append(f"context: {text!r}{most}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return {
            "verdict": self.word,
            "inputs": self.inputs,
            "writes": self.writes,
            "length": self.length,
            "arithmetic": self.arithmetic,
            "margin": self.margin if np.isfinite(self.margin) else None,
            "context": list(self.context),
            "cases": self.cases,
            "seconds": self.seconds,
            "reason": self.reason,
            "everywhere": self.everywhere,
        } | (
            {}
            if self.within is None and self.values is None
            else {
                "within": self.within,
                "values": self.values,
                "distance": self.distance,
                "farthest": list(self.farthest),
            }
        )

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Verdict:
        """A verdict as `to_json` writes it."""
        given = dict(data)
        word, margin = given.pop("verdict"), given.pop("margin")
        infinite = np.inf if word == "proved" else -np.inf
        return cls(
            word=word,
            margin=infinite if margin is None else margin,
            context=tuple(given.pop("context")),
            farthest=tuple(given.pop("farthest", ())),
            **given,
        )


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

    def proof(self, is_single: bool) -> Proof:
        """An attempt to prove it: with positions that stay undecided, or with none."""
        policy = Policy(is_single=is_single)
        return Proof(self.model, self.token_ids, self.domain, self.meaning, policy)


def read_claim(
    folder: Path,
    *,
    certificate: Path | None = None,
    rehash: bool = False,
    regime: str | None = None,
    radius: float = 0.0,
    exact: bool = False,
) -> Claim:
    """Read a folder with a certificate.

    Args:
        folder: a Hugging Face directory, or one with a model.safetensors.
        certificate: a file, in place of that in the folder.
        rehash: whether to take the files as they are, whatever hashes the certificate has.
        regime: the name of one, in place of that of the certificate.
        radius: how far all weights may be from those of the file, relatively.
        exact: whether bounds are computed in whole numbers of 2^-512 in place of float64.

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
                "compile it again, or take the files as they are: python -m handcraft_check --rehash",
            )
    if given["program"] != program_hash(given["contexts"], given["meaning"]):
        raise CheckError("its program was edited: the hash of contexts and meaning differs", where)
    vocabulary = items(given["vocabulary"], where, most=1 << 24)
    if not vocabulary or not all(isinstance(token, str) for token in vocabulary):
        raise CheckError("the vocabulary is no list of tokens", where)
    if len(set(vocabulary)) < len(vocabulary):
        raise CheckError("a token occurs twice in the vocabulary", where)
    if "architecture" in given:
        config = Config.of_architecture(given["architecture"], f"{where}: architecture")
    else:
        config = Config.read(read_json(content[CONFIG], CONFIG), CONFIG)
    token_ids = items(given["token_ids"], where, most=len(vocabulary), length=len(vocabulary))
    if not all(type(each) is int and 0 <= each < config.vocab_size for each in token_ids):
        raise CheckError("token_ids are no ids of the model", where)
    if len(set(token_ids)) < len(token_ids):
        raise CheckError("two tokens have one id", where)
    if (folder / TOKENIZER).exists():
        tokenizer = read_json(read_bytes(folder / TOKENIZER, JSON_UP_TO), TOKENIZER)
        check_tokenizer(tokenizer, vocabulary, token_ids, TOKENIZER)
    arithmetic = fields(given["arithmetic"], ("weights", "steps"), where)
    if arithmetic["weights"] not in ("float32", "bfloat16", "float16"):
        raise CheckError(f"weights in {arithmetic['weights']!r} are not checked", where)
    stated = regime_named(arithmetic["steps"], where)
    used = replace(stated if regime is None else regime_named(regime, "--regime"), radius=radius)
    is_gpt2 = config == replace(config, has_norm=True, activation="gelu_new")
    if exact and not (is_gpt2 and used == IN_FLOAT32):
        raise CheckError(
            f"exact bounds are computed of {IN_FLOAT32.name} only, of GPT-2, without a radius",
            fix=f"ask for --regime {IN_FLOAT32.name}, or leave out --exact",
        )
    if used.is_half and not is_gpt2:
        raise CheckError(
            f"only for GPT-2 it is known which steps are rounded to {used.steps.name}",
            where,
            "prove it in float32 or tf32",
        )
    domain = Domain.read(given["contexts"], vocabulary)
    if not domain.causal and CONFIG in content:
        raise CheckError("its contexts have no causal mask, and GPT-2 has one", where)
    if domain.length > config.n_positions:
        raise CheckError(
            f"contexts of {domain.length} tokens, and the model has {config.n_positions} positions",
            where,
        )
    tensors = read_tensors(content[TENSORS], TENSORS)
    for name, tensor in tensors.items():
        if not is_of(tensor, arithmetic["weights"]):
            raise CheckError(f"{name} is not in {arithmetic['weights']}", TENSORS)
    meaning = Meaning.read(given["meaning"], vocabulary, causal=domain.causal)
    if exact and (meaning.distributions or meaning.outputs):
        what = "values" if meaning.outputs else "probabilities"
        raise CheckError(f"exact bounds of {what} are not computed", where, "leave out --exact")
    return Claim(
        Model(config, tensors, used, is_exact=exact),
        np.array(token_ids, dtype=np.int64),
        domain,
        meaning,
        f"weights in {arithmetic['weights']}, {used}" + (EXACTLY if exact else ""),
    )


def prove(
    folder: Path | str,
    *,
    certificate: Path | None = None,
    rehash: bool = False,
    regime: str | None = None,
    radius: float = 0.0,
    exact: bool = False,
    budget: int = BUDGETS[-1],
    progress: Callable[[str], None] = lambda text: None,
    executor: Executor | None = None,
    state: Path | None = None,
) -> Verdict:
    """Prove, for every context, that the model predicts what the program means.

    Where that is a token, it has the highest logit. Where it is probabilities, those of the model are
    as near as the certificate says, and no token that cannot follow is above one that can.

    Args:
        folder: a Hugging Face GPT-2 directory, or one with a model.safetensors.
        certificate: a file, in place of that in the folder.
        rehash: whether to take the files as they are, whatever hashes the certificate has.
        regime: the name of one, in place of that of the certificate.
        radius: how far all weights may be from those of the file, relatively.
        exact: whether bounds are computed in whole numbers of 2^-512 in place of float64, which takes a
            hundred times as long or more.
        budget: the most cases that an attempt may take.
        progress: called with what is going on, from time to time.
        executor: decides parts of the proof at once; its workers must see the folder. The verdict is
            that of one process, to the last bit, and so is the number of cases.
        state: a file in which what is known is kept while the proof goes on, and from which it goes on
            where it was ended. It is believed, as far as it is about the same files and options.

    Raises:
        CheckError: the folder cannot be judged.
    """
    started = time.perf_counter()
    options: dict[str, Any] = {
        "certificate": certificate,
        "rehash": rehash,
        "regime": regime,
        "radius": radius,
        "exact": exact,
    }
    claim = read_claim(Path(folder), **options)
    key = "" if executor is None and state is None else key_of(Path(folder), options)
    saved = None if state is None else Saved(state, key)
    beyond = unsupported(claim)
    if beyond:
        shown = Shown("unproved", Found(-np.inf), beyond)
    else:
        shown = Shown("proved", Found())
        for number, each in enumerate(claim.each):
            make = partial(proof_at, Path(folder), options, key, number)
            helped = Helped(executor, make, saved, number)
            try:
                found = attempted(each, budget, progress, helped)
            except NotANumberError:
                found = Shown("unproved", Found(-np.inf), "a number may be infinite, or none")
            shown = shown.and_of(found, each.model.regime.attention)
            if shown.word != "proved":
                break
    if saved is not None:
        saved.remove()
    return Verdict(
        shown.word,
        claim.domain.count(),
        claim.domain.writes,
        claim.domain.length,
        claim.arithmetic,
        shown.found.margin,
        shown.found.worst,
        shown.found.cases if shown.word == "proved" else 0,
        round(time.perf_counter() - started, 3),
        shown.reason,
        None if claim.meaning.within is None else float(claim.meaning.within),
        shown.found.distance,
        shown.found.farthest,
        named(claim.meaning.outputs) if claim.meaning.outputs else None,
        not claim.domain.causal,
    )


@dataclass(frozen=True)
class Shown:
    """What was shown of a claim in one arithmetic.

    Args:
        word: ``proved``, ``unproved`` or ``refuted``.
        found: the least margin, and where it is.
        reason: why it is not proved.
    """

    word: Word
    found: Found
    reason: str = ""

    def and_of(self, other: Shown, attention: str) -> Shown:
        """What was shown of this, which is proved, and of the next attention together."""
        found = other.found.of_context(self.found.worst, self.found.margin, -1.0)
        found = found.of_context(self.found.farthest, np.inf, self.found.distance)
        cases = self.found.cases + other.found.cases
        named = f", with {attention} attention" if attention and other.reason else ""
        return Shown(other.word, replace(found, cases=cases), other.reason + named)


@dataclass(frozen=True)
class Helped:
    """Who decides parts of a proof, and where its state is kept.

    Args:
        executor: decides parts; None for nobody.
        make: makes a proof of the claim at a worker, told whether all positions are decided.
        saved: keeps states; None for nowhere.
        number: of the claim, where there are several.
    """

    executor: Executor | None = None
    make: Callable[[bool], Proof] | None = None
    saved: Saved | None = None
    number: int = 0

    def proof(self, claim: Claim, is_single: bool, progress: Callable[[str], None]) -> Proof:
        """A proof of a claim, which goes on where an earlier one was ended."""
        found = claim.proof(is_single)
        found.log = progress
        if self.executor is not None and self.make is not None:
            found.parts = Parts(self.executor, partial(self.make, is_single))
        if self.saved is not None:
            self.saved.follow(found, (self.number, is_single))
        return found


def proof_at(folder: Path, options: dict[str, Any], key: str, number: int, is_single: bool) -> Proof:
    """A proof of one of the claims of a folder, at a worker.

    Raises:
        CheckError: the worker sees other files in the folder.
    """
    if key_of(folder, options) != key:
        raise CheckError("a worker sees other files, or has another checker", folder)
    return read_claim(folder, **options).each[number].proof(is_single)


def attempted(
    claim: Claim, budget: int, progress: Callable[[str], None], helped: Helped | None = None
) -> Shown:
    """Try to prove a claim in one arithmetic, with more and more cases.

    Args:
        claim: made of contexts and a meaning that can be proved.
        budget: the most cases that an attempt may take.
        progress: called with what is going on, from time to time.
        helped: who decides parts, and where the state is kept.
    """
    helped = helped or Helped()
    domain = claim.domain
    if not domain.causal:
        return _attempted_unmasked(claim, budget, progress)
    try:
        found = prove_windows(
            claim.model, claim.token_ids, domain, claim.meaning, budget=budget, log=progress
        )
        return Shown("proved", found)
    except BudgetError:  # cases position by position would be more
        return Shown("unproved", Found(-np.inf), f"it takes more than {budget:,} cases")
    except UnfitError as error:
        if error.context and (wrong := _run(claim, error.context)):
            return Shown("refuted", Found(-np.inf, error.context), wrong)
        progress(f"not at all positions at once: {error}")
    reason, least = "", Found(-np.inf)
    attempts = {is_single: helped.proof(claim, is_single, progress) for is_single in (False, True)}
    orders = attempts[True].evaluator.orders
    if not orders:  # equal texts in any order are one: nothing stays undecided
        del attempts[False]
    for limit in (each for each in BUDGETS if each <= budget):
        is_few = not orders or domain.prefixes(limit) <= limit
        is_next = is_few and limit > BUDGETS[0]  # each text is one case before sets are tried further
        for is_single, attempt in sorted(attempts.items(), reverse=is_next):
            if is_single and limit < budget and not is_few:
                continue
            attempt.budget = budget if is_single and is_few and orders else limit
            try:
                return Shown("proved", attempt.run())
            except BudgetError:
                reason = reason or f"it takes more than {limit:,} cases"
                least = least if least.worst else attempt.found
            except StuckError as stuck:
                reason, least = stuck.why, Found(stuck.margin, stuck.case)
                if wrong := _run(claim, stuck.case):
                    return Shown("refuted", least, wrong)
                if is_single:
                    return Shown("unproved", least, reason)
                del attempts[False]
    return Shown("unproved", least, reason)


def _attempted_unmasked(claim: Claim, budget: int, progress: Callable[[str], None]) -> Shown:
    """The same where later positions are seen."""
    given = claim.model, claim.token_ids, claim.domain, claim.meaning
    try:
        return Shown("proved", prove_unmasked(*given, budget=budget, log=progress))
    except BudgetError:
        return Shown("unproved", Found(-np.inf), f"it takes more than {budget:,} cases")
    except StuckError as stuck:
        least = Found(stuck.margin, stuck.case)
        places = [claim.meaning.vocabulary.index(token) for token in stuck.case]
        answer = int(claim.meaning.answers_everywhere(np.array([places])).codes[0, stuck.position])
        if answer == BROKEN:
            return Shown("refuted", least, "the context breaks an assumption of the program")
        last = last_everywhere(claim.model, claim.token_ids[np.array([places])])
        wrong = _wrong_answer(claim, claim.model.logits(last)[stuck.position], answer)
        if wrong:
            return Shown("refuted", least, f"{wrong} at position {stuck.position}")
        return Shown("unproved", least, stuck.why)


def is_of(tensor: Array, dtype: str) -> bool:
    """Whether all numbers of a tensor are numbers of a dtype: storing them in it rounds none."""
    if dtype == "bfloat16":
        return not (tensor.astype(np.float32).view(np.uint32) & 0xFFFF).any()
    return dtype == "float32" or bool(
        (np.abs(tensor) < 65520).all() and (tensor.astype(np.float16) == tensor).all()
    )


def unsupported(claim: Claim) -> str:
    """Why nothing can be proved of a claim, in words; empty where an attempt can be made."""
    if not claim.domain.causal and claim.meaning.outputs:
        return "values of models without a causal mask are not proved yet"
    if not claim.domain.causal and claim.domain.writes > 1:
        return "without a causal mask nothing is written"
    return ""


def _run(claim: Claim, context: tuple[str, ...]) -> str:
    """What is wrong after one context, whatever the order of sums; empty where nothing surely is.

    Only a context of the domain counts: a case may stand for others as well.
    """
    places = [claim.meaning.vocabulary.index(token) for token in context]
    if not is_context(claim, places):
        return ""
    answer = int(claim.meaning.answers(np.array([places])).codes[0])
    if answer == BROKEN:
        return "the context breaks an assumption of the program"
    if claim.meaning.outputs:
        return _wrong_value(claim, places)
    return _wrong_answer(claim, claim.model.run(claim.token_ids[places]), answer)


def _wrong_answer(claim: Claim, logits: Bounded, answer: int) -> str:
    """What is wrong with logits, [vocab_size], by an answer; empty where nothing surely is."""
    judge = claim.judge
    low, high = logits.center - logits.error, logits.center + logits.error
    logs = judge.logs_of(answer)
    may = logs > -np.inf
    right = int(np.where(may, high, np.inf).argmin())
    other = int(np.where(may, -np.inf, low).argmax())
    known = {
        int(number): token
        for number, token in zip(claim.token_ids, claim.meaning.vocabulary, strict=True)
    }
    if not may[other] and low[other] > high[right]:  # not where NaN is possible
        predicted = known.get(other, f"token {other}")
        if may.sum() == 1:
            return f"the model predicts {predicted!r}, and {known[right]!r} is meant"
        return f"the model prefers {predicted!r}, which cannot follow, to {known[right]!r}"
    if judge.within < np.inf and (off := surely_off(logits, logs)) > judge.within:
        return f"the probabilities are off by at least {off:.4g} in total variation"
    return ""


def _wrong_value(claim: Claim, places: list[int]) -> str:
    """Which value surely is off by more than is allowed after one context; empty where none is."""
    outputs = claim.meaning.outputs
    reader = ValueReader(outputs, claim.model.config.n_embd)
    center, error = reader.read(claim.model.last(claim.token_ids[places]))
    values = claim.meaning.values(np.array(places))
    assert values is not None
    off = reader.surely(center, error, np.array([[float(value) for value in values]]))[0]
    at = int(np.where(np.isnan(off), -np.inf, off).argmax())
    if not off[at] > 1:
        return ""
    found, meant = center[0, at], float(values[at])
    return f"{outputs[at].name} is {found:.6g}, and {meant:.6g} is meant"


def is_context(claim: Claim, places: list[int]) -> bool:
    """Whether a text is a context of the domain: an input, and what the program writes after it."""
    domain, state, end = claim.domain, 0, 0
    for position, place in enumerate(places[: domain.length - domain.writes + 1]):
        state = int(domain.next[state, place])
        if state < 0:
            break
        end = position + 1 if domain.final[state] else end
    if not 0 < end <= len(places) <= min(domain.length, end + domain.writes - 1):
        return False
    followed = [claim.meaning.answers(np.array([places[:i]])).codes for i in range(end, len(places))]
    return all(
        claim.judge.follows(codes, np.array([place])).all()
        for place, codes in zip(places[end:], followed, strict=True)
    )
