"""Run all cases of a pack on an engine, whatever the engine does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from handcraft.conformance.engines.engine import Facts
from handcraft.conformance.engines.vocabulary import vocabulary_in
from handcraft.conformance.pack.case import Case
from handcraft.conformance.pack.read_pack import ModelFiles, Pack
from handcraft.conformance.run.expected import Expected
from handcraft.conformance.run.findings import findings_of
from handcraft.conformance.run.judge import judged
from handcraft.conformance.run.result import BAD, Result, Run
from handcraft.conformance.run.supervised import Running, Trouble, supervised
from handcraft.errors import ConformanceError
from handcraft.phrase import either, phrase
from handcraft.progress import advance
from handcraft.vocabulary import Vocabulary


def run_pack(
    pack: Pack,
    engine: str,
    *,
    dtype: str = "float32",
    seconds: float = 60.0,
    skip: Sequence[Expected] = (),
    xfail: Sequence[Expected] = (),
) -> Run:
    """Run a pack on an engine.

    Args:
        pack: what `read_pack` gave.
        engine: as `engine_named` takes it.
        dtype: in which it runs.
        seconds: how long one case may take.
        skip: cases that are not run.
        xfail: cases that are expected to fail.

    Raises:
        ConformanceError: there is no such engine or dtype, or the engine cannot be started.
    """
    if not any(dtype in case.margins for case in pack.cases):
        raise ConformanceError(
            f"no case holds in {dtype}",
            fix=phrase("use ", either("dtype", ["float32", "bfloat16", "float16"])),
        )
    with supervised(engine, seconds) as running:
        return run_on(pack, running, dtype=dtype, skip=skip, xfail=xfail)


def run_on(
    pack: Pack,
    engine: Running,
    *,
    dtype: str = "float32",
    skip: Sequence[Expected] = (),
    xfail: Sequence[Expected] = (),
) -> Run:
    """Run a pack on an engine that runs already; see `run_pack`."""
    facts = engine.facts()
    _check(pack, facts, dtype)
    results = tuple(_results(pack, engine, facts, dtype, skip, xfail))
    findings = findings_of(pack, results)
    return Run(facts.name, facts.version, dtype, pack.hash, results, findings)


def _check(pack: Pack, facts: Facts, dtype: str) -> None:
    """Raise unless an engine can run some of a pack.

    Raises:
        ConformanceError: it reads no format of the pack, runs in no such dtype, has none of the models,
            or can run no case.
    """
    formats = dict.fromkeys(name for model in pack.models.values() for name in model.formats)
    if dtype not in facts.dtypes:
        raise ConformanceError(
            f"{facts.name} runs in {' and '.join(facts.dtypes)}, not in {dtype}",
            fix=phrase("use ", either("dtype", facts.dtypes)),
        )
    if facts.format not in formats:
        raise ConformanceError(
            f"{facts.name} reads {facts.format}, and the pack has {', '.join(formats)}",
            where=pack.folder,
            fix=f"let it read one of these, or write a pack with {facts.format}",
        )
    if facts.models is not None and not any(name in facts.models for name in pack.models):
        raise ConformanceError(
            f"{facts.name} has none of the models of the pack",
            where=pack.folder,
            fix="let it have a model under the name of its folder in the pack, such as aab",
        )
    if all(case.kind in facts.cannot for case in pack.cases):
        raise ConformanceError(
            f"{facts.name} can run no case of the pack",
            fix=next(iter(facts.cannot.values()), "choose other cases"),
        )


def _results(
    pack: Pack,
    engine: Running,
    facts: Facts,
    dtype: str,
    skip: Sequence[Expected],
    xfail: Sequence[Expected],
) -> Iterator[Result]:
    vocabularies = {name: _vocabulary(pack, model) for name, model in pack.models.items()}
    unloaded: dict[str, Trouble] = {}
    for number, case in enumerate(pack.cases):
        advance(facts.name, number, len(pack.cases))
        why = _why_skipped(case, pack.models[case.model], facts, dtype, skip)
        if why is not None:
            yield Result(case.id, case.model, "skipped", why)
            continue
        result = _result(case, pack, engine, facts, dtype, vocabularies[case.model], unloaded)
        expected = next((each for each in xfail if each.is_of(case)), None)
        yield result if expected is None else _as_expected(result, expected)


def _result(
    case: Case,
    pack: Pack,
    engine: Running,
    facts: Facts,
    dtype: str,
    vocabulary: Vocabulary,
    unloaded: dict[str, Trouble],
) -> Result:
    """Run one case; a model that could not be loaded is not tried again."""
    trouble = unloaded.get(case.model)
    if trouble is None:
        trouble = engine.load(pack.folder / pack.models[case.model].formats[facts.format], dtype)
        if trouble is not None:
            trouble = replace(trouble, text=f"cannot load {case.model}: {trouble.text}")
            unloaded[case.model] = trouble
    if trouble is not None:
        return Result(case.id, case.model, trouble.kind, trouble.text)
    began = time.monotonic()
    outcome = engine.answer(case.request)
    took = time.monotonic() - began
    if isinstance(outcome, Trouble):
        verb = {"error": "raises an error", "crashed": "crashes", "hung": "hangs"}[outcome.kind]
        return Result(case.id, case.model, outcome.kind, f"{verb}: {outcome.text}", (), took)
    return judged(case, outcome, pack, vocabulary, took)


def _why_skipped(
    case: Case, model: ModelFiles, facts: Facts, dtype: str, skip: Sequence[Expected]
) -> str | None:
    """Why a case is not run; None if it is."""
    expected = next((each for each in skip if each.is_of(case)), None)
    if expected is not None:
        return expected.reason
    if case.kind in facts.cannot:
        return facts.cannot[case.kind]
    if facts.models is not None and case.model not in facts.models:
        return "the engine has no model of this name"
    if dtype not in case.margins:
        return f"its margin does not hold in {dtype}"
    if facts.format not in model.formats:
        return f"the pack has no {facts.format} files of the model {model.name}"
    return None


def _as_expected(result: Result, expected: Expected) -> Result:
    if result.state in BAD:
        return replace(result, state="failed as expected")
    return replace(
        result, state="passed unexpectedly", says=f"passes a case that was to fail: {expected.reason}"
    )


def _vocabulary(pack: Pack, model: ModelFiles) -> Vocabulary:
    """The tokens of a model, by the names that findings use; numbers where it has no tokenizer file."""
    place = model.formats.get("huggingface")
    if place is None:
        return Vocabulary([f"#{number}" for number in range(model.n_vocab)])
    return vocabulary_in(pack.folder / place)
