"""What is advised where a fact does not hold that the weights rest on."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from handcraft import Program, compile_program, predict
from handcraft.errors import HandcraftError
from handcraft.verify import facts
from handcraft.verify.facts import AGAIN, check_facts

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])


def fixes(compiled) -> set[str]:
    with pytest.raises(HandcraftError) as caught:
        check_facts(compiled)
    error = caught.value
    return {problem.fix for problem in getattr(error, "problems", (error,))}


def test_for_changed_weights_compiling_again_is_advised():
    compiled = compile_program(AAB, positions="one-hot", n_positions=5)
    name = next(name for name in compiled.model.tensors if name.endswith("c_attn.weight"))
    halved = {**compiled.model.tensors, name: compiled.model.tensors[name] / 2}
    assert fixes(replace(compiled, model=replace(compiled.model, tensors=halved))) == {AGAIN}


def ask_for(monkeypatch, **gaps):
    """Let the facts of a dtype demand another score gap."""
    asked = {
        name: SimpleNamespace(name=name, underflow=gap, overflows_first=False)
        for name, gap in gaps.items()
    }
    monkeypatch.setattr(facts, "dtype_named", asked.get)


def test_a_dtype_whose_attention_is_hard_is_advised_after_it_was_tried(monkeypatch):
    ask_for(monkeypatch, float32=10**6, float64=700)
    compiled = compile_program(AAB, n_positions=5)
    (fix,) = fixes(compiled)
    assert fix.startswith("compile with dtype='float64'")
    check_facts(compile_program(AAB, n_positions=5, dtype="float64"))


def test_another_layout_of_positions_is_not_advised_where_it_does_not_help(monkeypatch):
    ask_for(monkeypatch, float32=10**6, float64=10**6)
    (fix,) = fixes(compile_program(AAB, n_positions=5))
    assert fix.startswith("nothing that was tried helps: dtype float64, ")
    assert "positions binary" in fix
