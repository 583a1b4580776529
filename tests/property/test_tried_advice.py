"""Every fix that a refusal names is applied, one at a time: the program then compiles."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import event, given, reject, settings
from hypothesis import strategies as st
from sweeps import DEEP

from handcraft import Program, Prompts, compile_program, predict, select
from handcraft.errors import HandcraftError, HandcraftWarning, LayoutError, PrecisionError
from handcraft.language.restated import with_context
from handcraft.testing import rule_programs
from handcraft.weights import Sizes

NAMED = re.compile(r"(dtype|architecture|positions|tokens)='([\w-]+)'")
NUMBERED = re.compile(r"(context|n_embd|n_head|head_dim)=(\d+)")

VALUES = {
    "count": lambda t, i: select(t, t).count(),
    "count back": lambda t, i: select(t, t.at(-1, default="a")).count(),
    "latest": lambda t, i: select(t.at(-1, default="a"), t).latest(i, default=0),
    "earliest": lambda t, i: select(t, "b").earliest(i, default=0),
    "mean": lambda t, i: select(i, i, "<=").mean(t == "a"),
    "position": lambda t, i: i,
}


@st.composite
def conditions(draw) -> Program:
    """A program with a condition on a number that takes precision."""
    context = draw(st.sampled_from([8, 24, 60, 130, 300]))
    prompts = Prompts(draw(st.sampled_from(["ab", "abcd"])), context=context)
    value = VALUES[draw(st.sampled_from(sorted(VALUES)))](prompts.token, prompts.position)
    most = draw(st.integers(1, context - 1))
    flag = value * 2 >= 1 if str(value.node).endswith("== 'a')") else value >= most
    rules = [predict("b").when(flag), predict(prompts.token).otherwise()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)  # of a condition that is always true
        return Program(prompts=prompts, rules=rules)


@st.composite
def targets(draw) -> dict[str, Any]:
    options = {
        "architecture": draw(st.sampled_from(["block", "gpt2", "gpt2"])),
        "dtype": draw(st.sampled_from(["float32", "bfloat16", "float16"])),
    }
    sizes = draw(
        st.sampled_from([None, None, (8, 1, None), (24, None, None), (None, 1, 2), (24, 2, 12)])
    )
    return options | ({"sizes": Sizes(*sizes)} if sizes else {})


def advised(
    source: Program, options: dict[str, Any], fix: str
) -> Iterator[tuple[Program, dict[str, Any]]]:
    """What is compiled with each fix that is named by an option or a number."""
    for name, value in NAMED.findall(fix):
        yield source, options | {name: value}
    numbers = {name: int(value) for name, value in NUMBERED.findall(fix)}
    if "context" in numbers:
        shorter = with_context(source, numbers.pop("context"))
        assert isinstance(shorter, Program)
        yield shorter, options
    if numbers:  # sizes are named together
        yield source, options | {"sizes": replace(options.get("sizes", Sizes()), **numbers)}


@settings(max_examples=240 if DEEP else 20)
@given(st.one_of(conditions(), rule_programs(max_context=40)), targets())
def test_every_fix_that_is_named_makes_the_program_compile(source, options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)
        try:
            compile_program(source, **options)
        except HandcraftError as error:
            fixes = [problem.fix for problem in getattr(error, "problems", (error,))]
            of_sizes = isinstance(error, LayoutError)
        else:
            reject()
        for fix in fixes:
            applied = list(advised(source, options, fix)) if not fix.startswith("nothing that") else []
            event("advice applied" if applied else "advice in words")
            for changed, with_options in applied:
                try:
                    compile_program(changed, **with_options)
                except PrecisionError:  # that float16 overflows is seen once the sizes are right
                    assert of_sizes, fix
                    assert with_options.get("dtype") == "float16", fix
