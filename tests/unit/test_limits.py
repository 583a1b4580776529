"""Limits: what is over one is refused before work begins, wherever it is asked for."""

from __future__ import annotations

import re
import subprocess
import sys
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import cache, reduce
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handcraft import (
    Program,
    Prompts,
    compile_program,
    compile_sequences,
    limits,
    memory,
    predict,
    rasp,
    regex,
    save,
    select,
    weighted,
    window,
)
from handcraft.architecture import BLOCK, GPT2
from handcraft.compiler.estimate import EXACT, least
from handcraft.compiler.passes.aggregates import joined
from handcraft.errors import HandcraftError, LimitError
from handcraft.language import automata, parse_rules, write_rules
from handcraft.language.graph import attend
from handcraft.language.patterns.parse_pattern import parse_pattern
from handcraft.language.regular import letters, machine, read, token_table
from handcraft.language.regular import matching as counted
from handcraft.language.regular.matching import Matching
from handcraft.language.text import phrase
from handcraft.limits import GIB, MEMORY, Limit, check_memory, memory_allowed, shown_number
from handcraft.rasp.lowering import lower_means
from handcraft.verify import verify
from handcraft.vocabulary import Vocabulary
from handcraft.weights import Sizes

EVERY = {name: limit for name, limit in vars(limits).items() if isinstance(limit, Limit)}
AAB = [predict("b").after("aa"), predict("a").otherwise()]
PROGRAM = Program("ab", 5, AAB)
COMPILED = compile_program(PROGRAM, architecture="block")
PROMPTS = Prompts("ab", context=5)


def words(number):
    return [f"w{i}" for i in range(number)]


def weights_of(number):
    return {-i: 1 for i in range(number)}


def chain(number):
    return reduce(lambda token, _: token.at(-1, default="a"), range(number), PROMPTS.token)


def conditions(number):
    if number == 1:
        return select(PROMPTS.token, "a")
    return conditions(number // 2) & conditions(number - number // 2)


def with_condition(length):
    rule = "predict b when token is a"
    return (
        rule.replace("when", f"when {'not ' * ((length - len(rule)) // 4 + 1)}")
        + "\npredict a otherwise"
    )


ASKED = {
    "CONTEXT": lambda n: Program("ab", n, AAB),
    "LISTED_POSITIONS": lambda n: Prompts("ab", n).position,
    "PATTERN": lambda n: parse_pattern("a" * n, Vocabulary("ab")),
    "PATTERN_TEXT": lambda n: parse_pattern("." * n, Vocabulary("ab")),
    "VOCABULARY": lambda n: Program(words(n), 5, [predict("w0").otherwise()]),
    "TOKENS": lambda n: Vocabulary(map(str, range(n))),
    "RULES": lambda n: Program("ab", 5, [AAB[0]] * n),
    "CONDITION_TEXT": lambda n: parse_rules(with_condition(n)),
    "RULES_TEXT": lambda n: parse_rules(" " * n),
    "NUMBER_BITS": lambda n: PROMPTS.constant(2 ** (n - 1)),
    "TERMS": lambda n: weighted(PROMPTS.position, weights_of(n), default=0),
    "DEPTH": lambda n: compile_sequences({"chain": chain(n)}),
    "CONDITIONS": conditions,
    "WIDTH": lambda n: compile_program(PROGRAM, sizes=Sizes(n_embd=n)),
    "HEADS": lambda n: compile_program(PROGRAM, sizes=Sizes(n_head=n)),
    "ADDED_TOKENS": lambda n: COMPILED.complete("aab", n),
    "SAMPLE": lambda n: verify(COMPILED.model, PROGRAM, sample=n, every_up_to=1),
}
"""For each limit, something that asks for a number of what it counts."""

IN_OTHER_TESTS = {"TABLE_ROWS", "JSON_BYTES", "BLOCKS", "PAGE_WEIGHTS"}


def matching(pattern):
    """How many texts an expression matches, counted by its automaton."""
    return Matching(pattern, Vocabulary("ab"), 30).count


def joint():
    token, position = PROMPTS.token, PROMPTS.position
    either = select(token, token) | select(position, position - 1)
    return compile_sequences({"it": either.latest(token, default="a")})


def means_of_means():
    window(2).mean(window(3).mean(window(4).mean(PROMPTS.position)))


def added():
    same = rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ)
    return rasp.build(rasp.Aggregate(same, rasp.indices, how="sum"), "ab", 5)


def written():
    often = PROMPTS.token.at(-1, default="a") == PROMPTS.token
    return write_rules(Program(prompts=PROMPTS, rules=[predict("a").when(often), AAB[1]]))


LOWERED = {
    "RELATION_PAIRS": (attend, 9, lambda: select(PROMPTS.token, PROMPTS.position, lambda t, i: i > 2)),
    "JOINT_VALUES": (joined, 3, joint),
    "DENOMINATOR": (attend, 4, means_of_means),
    "SUMMED_NUMBERS": (lower_means, 3, added),
    "WRITTEN_TEXT": (phrase, 9, written),
    "AUTOMATON_STATES": (automata, 4, lambda: regex("a{9}", "ab")),
    "AUTOMATON_MAPS": (automata, 3, lambda: regex("(aab|ba)*", "ab").state(PROMPTS.token)),
    "REGEX_TEXT": (read, 9, lambda: matching("ababababab")),
    "REGEX_DEPTH": (read, 2, lambda: matching("(((a)))")),
    "REGEX_CASES": (read, 9, lambda: matching("(?i)[a-z]")),
    "REGEX_NAMED": (read, 9, lambda: regex("[a-z]")),
    "REGEX_LETTERS": (letters, 3, lambda: matching("[ab][b-c]")),
    "REGEX_STATES": (machine, 4, lambda: matching("a{9}")),
    "REGEX_STEPS": (machine, 9, lambda: matching("(a|b){30}")),
    "REGEX_ENTRIES": (token_table, 9, lambda: matching("a{9}b")),
    "REGEX_COUNTS": (counted, 9, lambda: matching("a{3}")),
}
"""For each other limit where it is checked, a lower one, and what asks for more than that."""


@pytest.mark.parametrize("name", LOWERED)
def test_more_than_a_lower_limit_is_refused_with_that_number(name, monkeypatch):
    module, most, ask = LOWERED[name]
    for each in (module, limits, read):
        if hasattr(each, name):
            monkeypatch.setattr(each, name, replace(EVERY[name], most=most))
    with pytest.raises(HandcraftError) as caught:
        ask()
    assert re.search(rf"\b{most}\b", caught.value.what)
    assert caught.value.fix


def test_every_limit_is_checked_somewhere():
    assert EVERY.keys() - IN_OTHER_TESTS == ASKED.keys() | LOWERED.keys()


@pytest.mark.parametrize("name", ASKED)
def test_one_more_than_a_limit_is_refused_with_the_requested_and_the_allowed_number(name):
    limit = EVERY[name]
    with pytest.raises(LimitError) as caught:
        ASKED[name](limit.most + 1)
    assert f"{limit.most:,}" in caught.value.what
    assert limit.noun in caught.value.what
    assert caught.value.fix


def test_a_limit_on_memory_says_what_it_would_take():
    with pytest.raises(LimitError, match=r"about 16\.\d GiB"):
        Program("ab", 10**6, AAB)


def test_a_vocabulary_without_end_is_refused():
    with pytest.raises(LimitError, match="more than 1,048,576 tokens"):
        Vocabulary(map(str, count()))


@cache
def as_gpt2():
    return compile_program(PROGRAM, like="gpt2-small")


HUGE = st.sampled_from([10**k for k in (9, 12, 18, 30, 308, 400, 5_000)])
NUMBERS = HUGE | HUGE.map(lambda n: -n) | st.sampled_from([1e308, 1e-308, Fraction(1, 10**5_000)])

TAKERS = {
    "context of a program": lambda n: Program("ab", n, AAB),
    "context of prompts": lambda n: Prompts("ab", n).position,
    "writes": lambda n: Prompts("ab", 5, inputs="a", writes=n),
    "n_positions": lambda n: compile_program(PROGRAM, n_positions=n),
    "n_embd": lambda n: compile_program(PROGRAM, sizes=Sizes(n_embd=n)),
    "n_head": lambda n: compile_program(PROGRAM, sizes=Sizes(n_head=n)),
    "head_dim": lambda n: compile_program(PROGRAM, sizes=Sizes(head_dim=n)),
    "two sizes": lambda n: compile_program(PROGRAM, sizes=Sizes(n_head=n, head_dim=n)),
    "token ids": lambda n: save(as_gpt2(), "never", like="gpt2-small", token_ids={"a": n}),
    "tokens to complete": lambda n: COMPILED.complete("aab", n),
    "tokens to generate": lambda n: COMPILED.complete("aab", n),
    "sample": lambda n: verify(COMPILED.model, PROGRAM, sample=n, every_up_to=1),
    "rule file": lambda n: parse_rules(f"context {shown(n)}\npredict a otherwise"),
    "token so far back": lambda n: parse_rules(
        f"predict a when token {shown(n)} back is a\npredict a otherwise"
    ),
    "position in a rule file": lambda n: parse_rules(
        f"predict a when position > {shown(n)}\npredict a otherwise"
    ),
    "probability": lambda n: Program("ab", 5, [predict({"a": n, "b": 1}).otherwise()]),
}

ANSWERED = {
    "offset": lambda n: PROMPTS.token.at(n, default="a").trace("aab"),
    "place": lambda n: PROMPTS.token.at_position(n, default="a").trace("aab"),
    "window": lambda n: window(n).mean(PROMPTS.position).trace("aab"),
    "offset of a sum": lambda n: weighted(PROMPTS.position, {n: 1}).trace("aab"),
    "weight": lambda n: weighted(PROMPTS.position, {0: n}).trace("aab"),
    "factor": lambda n: (PROMPTS.position * n).trace("aab"),
    "sum": lambda n: (PROMPTS.position + n).trace("aab"),
    "modulus": lambda n: (PROMPTS.position % n).trace("aab"),
    "bound": lambda n: (PROMPTS.position > n).trace("aab"),
    "count": lambda n: (select(PROMPTS.token, "a").count() >= n).trace("aab"),
    "table": lambda n: PROMPTS.position.map(lambda x: x * n).trace("aab"),
}


def shown(number):
    return f"{number:f}" if isinstance(number, float) else f"{number.numerator:x}"


@pytest.mark.parametrize("taker", TAKERS)
@given(number=HUGE)
@settings(max_examples=4)
def test_an_absurd_number_is_refused(taker, number):
    with pytest.raises(HandcraftError) as caught:
        TAKERS[taker](number)
    assert len(str(caught.value)) < 8_000


@pytest.mark.parametrize("taker", ANSWERED)
@given(number=NUMBERS)
@settings(max_examples=8)
def test_an_absurd_number_is_refused_or_calculated_with(taker, number):
    with suppress(HandcraftError):
        ANSWERED[taker](number)


def test_numbers_that_grow_are_refused_before_they_are_too_long():
    def power(times):
        return reduce(lambda value, _: value * 10**60, range(times), PROMPTS.position)

    assert power(5).trace("aa") == (0, 10**300)
    with pytest.raises(LimitError, match="bits in a number"):
        power(20)


def test_an_offset_past_the_context_is_as_good_as_any():
    far, near = (PROMPTS.token.at(-n, default="b").trace("aaaaa") for n in (10**9, 5))
    assert far == near == ("b",) * 5
    wide, all_of_it = (window(n).mean(PROMPTS.position).trace("aaaaa") for n in (10**9, 5))
    assert wide == all_of_it


# --- memory ------------------------------------------------------------------------------------


@pytest.fixture
def allowed(monkeypatch):
    return lambda gib: monkeypatch.setenv(MEMORY, str(gib))


def test_half_of_the_memory_may_be_used(monkeypatch):
    monkeypatch.delenv(MEMORY, raising=False)
    monkeypatch.setattr(limits, "memory_of_machine", lambda: 8 * GIB)
    assert memory_allowed() == 4 * GIB
    check_memory(4 * GIB, "this")
    with pytest.raises(LimitError) as caught:
        check_memory(6 * GIB, "this", fix="less")
    assert caught.value.what == (
        "this takes about 6 GiB of memory, and half of the memory of this machine is 4 GiB"
    )
    assert caught.value.fix == "less; HANDCRAFT_MEMORY=6 in the environment allows it"


def test_more_memory_may_be_used_where_the_environment_says_so(allowed):
    allowed(0.5)
    with pytest.raises(LimitError, match=r"HANDCRAFT_MEMORY allows 0\.5 GiB"):
        check_memory(6 * GIB, "this")
    allowed(6)
    check_memory(6 * GIB, "this")


@pytest.mark.parametrize("told", ["", "much", "nan", "inf", "-1", "0", "9" * 5_000])
def test_memory_that_is_no_number_is_refused(allowed, told):
    allowed(told)
    with pytest.raises(LimitError, match="HANDCRAFT_MEMORY is"):
        memory_allowed()


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
def test_a_model_too_large_for_the_memory_is_refused_before_it_is_made(allowed, architecture):
    allowed(0.001)
    with pytest.raises(LimitError, match="of memory, and HANDCRAFT_MEMORY allows"):
        compile_program(PROGRAM, architecture=architecture, n_positions=4_096)
    allowed(0.2)
    compile_program(PROGRAM, architecture=architecture, n_positions=4_096)


def test_expressions_too_large_for_the_memory_are_refused(allowed):
    allowed(0.000001)
    late = predict("b").when(PROMPTS.position > 2)
    with pytest.raises(LimitError, match="a model of width"):
        compile_program(Program(prompts=PROMPTS, rules=[late, AAB[1]]))


def test_tokens_as_bits_are_advised_where_they_fit(allowed):
    program = Program(words(2_000), 5, [predict("w1").after("w2 w3"), predict("w0").otherwise()])
    allowed(0.1)
    with pytest.raises(LimitError, match="tokens='binary'") as caught:
        compile_program(program, tokens="one-hot")
    assert "tokens='binary'" in caught.value.fix
    assert compile_program(program, tokens="binary").complete("w2 w3", 1) == "w1"


@pytest.mark.parametrize("target", [BLOCK, GPT2])
@pytest.mark.parametrize("tokens", ["one-hot", "binary"])
def test_the_least_that_is_estimated_is_no_more_than_there_is(target, tokens):
    program = Program("abcdefg", 40, [predict("b").after("a..[ab]"), *AAB])
    found = least(program, target, Sizes(), "float32", as_bits=tokens == "binary")
    made = compile_program(program, architecture=target, tokens=tokens, n_positions=40)
    placed = sum(len(tensor.values) for tensor in made.placement.tensors.values())
    assert placed / 4 <= found.weights <= placed
    assert made.model.shape.n_embd / 4 <= found.width <= made.model.shape.n_embd
    assert found.parameters <= made.model.parameters


def test_an_exact_weight_takes_about_the_memory_that_is_estimated():
    tracemalloc.start()
    made = compile_program(PROGRAM, n_positions=512)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    placed = sum(len(tensor.values) for tensor in made.placement.tensors.values())
    assert EXACT / 2 < peak / placed < EXACT * 1.5


def test_the_limit_of_a_group_is_found_in_all_groups_around_it(tmp_path):
    (tmp_path / "own").write_text("4:cpu,memory:/a/b\n2:cpu:/c\n0::/d/e\nnonsense\n")
    for name, limit in {
        "memory/a/b/memory.limit_in_bytes": "900",
        "memory/a/memory.limit_in_bytes": "800\n",
        "d/e/memory.max": "max",
        "d/memory.max": "700",
        "c/memory.max": "1",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(limit)
    assert sorted(memory._group_limits(tmp_path / "own", tmp_path)) == [700, 800, 900]
    assert list(memory._group_limits(tmp_path / "none", tmp_path)) == []


def test_a_machine_has_memory():
    assert (1 << 28) < memory.memory_of_machine() < (1 << 50)


def test_a_huge_number_is_shown_by_its_size():
    assert shown_number(123_456_789) == "123,456,789"
    assert shown_number(10**5_000) == "about 10^5000"


ABSURD = """
import resource, sys
from handcraft.cli.main import main
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
main()
"""


@pytest.mark.parametrize(
    "rules",
    ["context 1000000\npredict b after aa\npredict a otherwise", f"predict b after {'a' * 20_000}"],
    ids=["a context of a million", "a pattern of 20,000 tokens"],
)
@pytest.mark.skipif(sys.platform == "win32", reason="there are no resource limits")
def test_absurd_rules_are_refused_in_two_gigabytes(rules, tmp_path):
    (tmp_path / "p.rules").write_text(rules)
    command = [sys.executable, "-c", ABSURD, "compile", "p.rules", "-o", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("LimitError: ")
    assert not (tmp_path / "out").exists()
