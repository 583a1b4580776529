"""Is the answer right after every context? Proved, unproved or refuted, from the files alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from handcraft_check.arithmetic.exact import NotANumberError
from handcraft_check.attempts import BUDGETS, Helped, Shown, attempted, proof_at, unsupported
from handcraft_check.by_cases.found import Found
from handcraft_check.by_cases.saved import Saved
from handcraft_check.claim import read_claim
from handcraft_check.first_break import first_break
from handcraft_check.folder.key import key_of
from handcraft_check.program.values import named
from handcraft_check.program.words import counted
from handcraft_check.verdict import Verdict


def prove(
    folder: Path | str,
    *,
    certificate: Path | None = None,
    rehash: bool = False,
    regime: str | None = None,
    radius: float = 0.0,
    exact: bool = False,
    context: int | None = None,
    budget: int = BUDGETS[-1],
    progress: Callable[[str], None] = lambda text: None,
    executor: Executor | None = None,
    state: Path | None = None,
    is_located: bool = True,
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
        context: the most tokens of a context, in place of that of the certificate.
        budget: the most cases that an attempt may take.
        progress: called with what is going on, from time to time.
        executor: decides parts of the proof at once; its workers must see the folder. The verdict is
            that of one process, to the last bit, and so is the number of cases.
        state: a file in which what is known is kept while the proof goes on, and from which it goes on
            where it was ended. It is believed, as far as it is about the same files and options.
        is_located: whether an unproved verdict names the part of the model where a bound breaks.

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
        "context": context,
    }
    claim, broken = read_claim(Path(folder), **options), ""
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
                if is_located and not exact and shown.position is not None:
                    broken = first_break(each, shown.found.worst, shown.position)
                break
    if saved is not None:
        saved.remove()
    return Verdict(
        shown.word,
        counted(claim.domain.count()),
        claim.domain.writes,
        claim.domain.length,
        claim.arithmetic,
        shown.found.margin,
        shown.found.worst,
        shown.found.cases if shown.word == "proved" else 0,
        round(time.perf_counter() - started, 3),
        shown.reason,
        broken,
        None if claim.meaning.within is None else float(claim.meaning.within),
        shown.found.distance,
        shown.found.farthest,
        named(claim.meaning.outputs) if claim.meaning.outputs else None,
        not claim.domain.causal,
        shown.ran_out,
        "" if all(len(token) == 1 for token in claim.meaning.vocabulary) else " ",
        "llama" if claim.model.config.is_rotary else "gpt2",
    )
