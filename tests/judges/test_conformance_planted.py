"""Bugs that are planted in a plain GPT-2 in torch: each has to be found and named."""

from functools import cache

import pytest
import torch
from conformance_pack import shared_pack
from planted_gpt2 import BUGS, PlainGPT2

from handcraft.conformance.engines.engine import Facts
from handcraft.conformance.engines.of_class import _Loaded
from handcraft.conformance.run.run_pack import run_on
from handcraft.conformance.run.supervised import Trouble


class InProcess:
    """An engine without a process of its own, since many are tried."""

    def __init__(self, engine):
        self.engine = cache(engine)

    def facts(self):
        return Facts("planted", "1", "huggingface")

    def load(self, folder, dtype):
        self.model = _Loaded(self.engine(folder, dtype))

    def answer(self, request):
        try:
            with torch.inference_mode():
                return self.model.answer(request)
        except Exception as error:
            return Trouble("error", str(error))


def test_the_healthy_engine_is_free_of_findings():
    run = run_on(shared_pack(), InProcess(PlainGPT2))
    assert run.passed
    assert run.findings == ()
    assert {result.state for result in run.results} == {"passed"}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_and_named(bug):
    run = run_on(shared_pack(), InProcess(BUGS[bug]))
    assert not run.passed
    first = run.findings[0]
    assert first.faults == (bug,), first
    assert first.says == shared_pack().faults[bug]
    assert len(run.findings) <= 2


def test_two_bugs_at_once_are_both_named():
    both = type("Both", (BUGS["gelu-erf"], BUGS["padding-counted"]), {})
    findings = run_on(shared_pack(), InProcess(both)).findings
    assert {finding.faults for finding in findings} == {("gelu-erf",), ("padding-counted",)}


def test_an_unknown_bug_is_described_by_what_was_read():
    def stored(self, cache, layer, k, v):
        k, v = PlainGPT2.stored(self, cache, layer, k, v)
        v = v.clone()
        v[:, :, 130:] = v[:, :, 1:2]
        return k, v

    bug = type("Unknown", (PlainGPT2,), {"stored": stored})
    findings = run_on(shared_pack(), InProcess(bug)).findings
    assert findings
    assert all("slot 1 was read" in finding.says for finding in findings if not finding.faults)
