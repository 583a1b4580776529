"""A program that a dtype, LayerNorm or its context refuses: what is advised was tried, and works."""

from __future__ import annotations

import pickle
import re
import sys
import time
from fractions import Fraction
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count

import pytest

from handcraft import Program as Rules
from handcraft import Prompts, compile_program, compile_sequences, parse_rules, predict, select, window
from handcraft.compiler import advice
from handcraft.compiler.advice import TRIES, WORK, Trying, values_that_occur, work
from handcraft.errors import HandcraftError, PrecisionError
from handcraft.language.restated import with_context, with_promise

EXPRESSIONS = {
    "count": lambda t, i: select(t, t).count(),
    "count that may be 0": lambda t, i: select(t, t.at(-1, default="a")).count(),
    "latest": lambda t, i: select(t, t).latest(i),
    "window": lambda t, i: window(30).mean(t == "a") >= Fraction(1, 3),
    "comparison of means": lambda t, i: select(t, t).mean(i) >= select(t, "a").mean(i, default=0),
    "table": lambda t, i: select(t, t).count().map(lambda n: n % 3),
    "means of means": lambda t, i: select(t, t).mean(select(t, t).mean(i)) >= 1,
}


def expression(name: str, context: int):
    prompts = Prompts("abc", context=context)
    return EXPRESSIONS[name](prompts.token, prompts.position)


def refused(source, **options) -> PrecisionError:
    compiled = compile_program if isinstance(source, Rules) else compile_sequences
    with pytest.raises(PrecisionError) as caught:
        compiled(source, **options)
    return caught.value


def advised_context(fix: str) -> int | None:
    found = re.search(r"context[= ](\d+)", fix)
    return int(found[1]) if found else None


REFUSED = [
    ("count", 16, "block", "bfloat16"),
    ("count", 80, "gpt2", "float32"),
    ("count that may be 0", 32, "block", "float16"),
    ("latest", 600, "block", "float16"),
    ("window", 40, "block", "bfloat16"),
    ("comparison of means", 32, "block", "bfloat16"),
    ("table", 32, "block", "bfloat16"),
    ("means of means", 16, "block", "float32"),
]


@pytest.mark.parametrize(("name", "context", "architecture", "dtype"), REFUSED)
def test_every_advised_fix_compiles(name, context, architecture, dtype):
    options = {"architecture": architecture, "dtype": dtype}
    fix = refused({"x": expression(name, context)}, **options).fix
    assert fix.startswith("compile with ")
    fitting = advised_context(fix)
    if fitting is not None:
        compile_sequences({"x": expression(name, fitting)}, **options)
        assert "the largest that fits" in fix
        refused({"x": expression(name, fitting + 1)}, **options)
    if wider := re.search(r"dtype='(\w+)'", fix):
        compile_sequences({"x": expression(name, context)}, **{**options, "dtype": wider[1]})
    if "architecture='block'" in fix:
        compile_sequences({"x": expression(name, context)}, architecture="block", dtype=dtype)
    assert fitting or wider, "something was advised"


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_shorter_context_changes_nothing_that_an_expression_says(name):
    long, short = expression(name, 32), expression(name, 7)
    stated = with_context({"x": long}, 7)["x"]
    assert stated.domain == short.domain
    for text in ("abcacba", "aaa", "cbcbcb"):
        assert stated.trace(text) == short.trace(text) == long.trace(text)


def test_what_rests_on_its_context_is_not_shortened():
    prompts = Prompts("ab", context=12)
    with pytest.raises(HandcraftError):
        with_context({"x": prompts.token.at_position(9, default="a")}, 5)
    five = Prompts("ab", context=12, inputs="[ab]{9}")
    with pytest.raises(HandcraftError):
        with_context({"x": five.token}, 5)


def test_an_assumption_is_advised_that_holds_on_every_allowed_prompt():
    prompts = Prompts("ab", context=16, inputs="a{16}|b{5}")
    mean = window(16).mean(prompts.token == "a")
    table = {value: value * 16 % 3 for value in mean.domain.values}
    fix = refused({"x": mean.map(table)}, dtype="bfloat16").fix
    assert "`mean.assume([0, 1])`, the values that occur" in fix
    made = compile_sequences({"x": mean.assume([0, 1]).map(table)}, dtype="bfloat16")
    assert made.apply(["a" * 16, "b" * 5])["x"] == [(1,) * 16, (0,) * 5]


def test_values_occur_on_allowed_prompts_only():
    prompts = Prompts("ab", context=3, inputs="a+b?")
    here = select(prompts.token, prompts.token).count()
    assert values_that_occur({"x": here})[here.node] == (1, 2, 3)
    open_ended = Prompts("abcdef", context=30)
    assert not values_that_occur({"x": select(open_ended.token, "a").count()})


def test_a_promise_is_kept_by_what_reads_the_expression():
    prompts = Prompts("ab", context=9)
    here = select(prompts.token, prompts.token).count()
    stated = with_promise({"x": here % 4 == 1}, here.node, [1, 2])["x"]
    assert set(stated.node.arguments[0].domain.values) == {1, 2}


def test_where_nothing_helps_the_fix_says_what_was_tried():
    prompts = Prompts("ab", context=8)
    sizes = prompts.token.map({"a": Fraction(1, 10**9), "b": 10**20})
    small = prompts.everything.mean(sizes) <= Fraction(1, 10**9)
    error = refused({"x": small}, architecture="gpt2", dtype="float16")
    tried = "dtype float32, a context of 4, architecture block"
    assert error.fix == f"nothing that was tried helps: {tried}"
    assert refused({"x": small}).fix == "nothing that was tried helps: a context of 4"


def test_a_rule_file_is_advised_in_its_own_words():
    text = "vocabulary a b\ncontext {}\npredict a when count of b > count of a\npredict b otherwise"
    error = refused(parse_rules(text.format(20)), dtype="bfloat16")
    assert "dtype='float32'" in error.fix
    error.speak_command_line()
    said = error.fix
    assert said.startswith("use --dtype float32")
    assert "'" not in said
    fitting = advised_context(said)
    assert f"`context {fitting}`, the largest that fits" in said
    compile_program(parse_rules(text.format(fitting)), dtype="bfloat16")


def test_a_program_over_expressions_is_advised_too():
    prompts = Prompts("ab", context=40)
    often = select(prompts.token, prompts.token).count() > 3
    program = Rules(prompts=prompts, rules=[predict("b").when(often), predict("a").otherwise()])
    fix = refused(program, dtype="bfloat16", architecture="block").fix
    fitting = advised_context(fix)
    shorter = Prompts("ab", context=fitting)
    often = select(shorter.token, shorter.token).count() > 3
    rules = [predict("b").when(often), predict("a").otherwise()]
    compile_program(Rules(prompts=shorter, rules=rules), dtype="bfloat16", architecture="block")


def counted(source, allowed: int = TRIES) -> tuple[Trying, list[str]]:
    """What is tried where everything is refused."""
    tried: list[str] = []

    def refuse(_, **options):
        tried.append(str(options))
        raise PrecisionError("no", is_tight=True)

    trying = Trying(refuse, source, {"dtype": "float16", "architecture": "gpt2"}, left=allowed)
    assert not list(trying.changes())
    return trying, tried


@pytest.mark.parametrize("allowed", [0, 1, 5, TRIES])
def test_no_more_is_compiled_than_the_budget_allows(allowed):
    _, tried = counted({"x": expression("count", 2000)}, allowed)
    assert len(tried) <= allowed


@pytest.mark.parametrize("context", [9, 200, 2000])
@pytest.mark.parametrize("allowed", [0, 30, WORK])
def test_no_more_work_is_compiled_than_the_budget_allows(context, allowed):
    done = []

    def refuse(source, **options):
        done.append(work(source))
        raise PrecisionError("no", is_tight=True)

    options = {"dtype": "float16", "architecture": "gpt2"}
    trying = Trying(refuse, {"x": expression("count", context)}, options, work_left=allowed)
    assert not list(trying.changes())
    assert sum(done) == allowed - trying.work_left <= allowed
    assert bool(done) == (allowed > context)


def test_a_context_is_called_the_largest_only_if_the_next_was_tried():
    source, options = {"x": expression("count", 100)}, {"architecture": "gpt2"}
    for allowed in range(0, 1500, 50):
        trying = Trying(compile_sequences, source, options, work_left=allowed)
        for change in trying.changes():
            fitting = advised_context(change.python)
            assert "the largest that fits" not in change.python or fitting == 72


def test_advice_does_not_depend_on_the_clock(monkeypatch):
    """A copy of the module, made where an hour passes between any two looks at a clock."""
    hours = count(step=3600)
    for clock in ("monotonic", "perf_counter", "process_time", "time"):
        monkeypatch.setattr(time, clock, lambda: next(hours))
    spec = spec_from_file_location("slow_advice", advice.__file__)
    slow = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "slow_advice", slow)
    spec.loader.exec_module(slow)
    source, options = {"x": expression("count", 100)}, {"architecture": "gpt2"}
    found = [each.Trying(compile_sequences, source, options).changes() for each in (advice, slow)]
    quick, slowly = ([change.python for change in changes] for changes in found)
    assert (
        quick
        == slowly
        == ["context=72, the largest that fits", "architecture='block', which has no LayerNorm"]
    )


def test_nothing_is_tried_before_the_fix_is_read(monkeypatch):
    asked = []
    monkeypatch.setattr(advice, "_found", lambda *tried: asked.append(tried) or "a fix")
    error = refused({"x": expression("count", 16)}, dtype="bfloat16")
    assert not asked
    assert (error.fix, error.fix) == ("a fix", "a fix")
    assert len(asked) == 1


def test_an_error_goes_to_another_process_with_its_fix():
    error = refused({"x": expression("count", 16)}, dtype="bfloat16")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_an_error_that_states_its_own_fix_keeps_it():
    with pytest.raises(PrecisionError) as caught:
        compile_sequences({"x": expression("count", 4)}, dtype="int8")
    assert caught.value.fix == "use one of: float32, float64, float16, bfloat16"
