"""The text of a graph after any pass is read back as the same graph, with the same values."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sweeps import sweep

from handcraft import Expression, Program, Prompts, select
from handcraft.compiler.passes.cases import Setting
from handcraft.compiler.passes.ir import Attend
from handcraft.compiler.passes.run_nodes import run_nodes
from handcraft.compiler.passes.run_passes import AS_WRITTEN, each_stage, passes_to
from handcraft.compiler.stage import Stage
from handcraft.compiler.text.read_graph import read_graph
from handcraft.compiler.text.show_pass import RANKED, show_pass
from handcraft.compiler.text.write_graph import Result, write_graph
from handcraft.errors import CompileError
from handcraft.language.graph.domain import Finite
from handcraft.language.graph.node import Aggregate, Node, walk
from handcraft.testing import declared_prompts, expressions, sequence_programs

FOR_EVERY_GRAPH = [AS_WRITTEN, *passes_to("fuse tables")]


@st.composite
def outputs(draw: st.DrawFn) -> list[Expression]:
    """Two expressions, and what conditions and promises make of them."""
    causal = draw(st.booleans())
    prompts = draw(declared_prompts(max_tokens=3, causal=causal))
    made = expressions(prompts, depth=4, wide=draw(st.booleans()))
    one, other = draw(made), draw(made)
    found = [one, other]
    if isinstance(one.domain, Finite) and len(one.domain.values) <= 8:
        found.append(one.assume(one.domain.values))
        other = other if isinstance(other.domain, Finite) else prompts.token
        related = select(one, other, lambda key, query: str(key) < str(query))
        found.append(related.latest(prompts.position, default=-1))
    return found


def stages(made: list[Expression]) -> list[Stage]:
    """After every pass; a program that a pass refuses is another test's."""
    prompts = made[0].prompts
    try:
        return [
            *each_stage(
                [e.node for e in made],
                Setting(prompts.context, prompts.causal, soft=prompts.context % 2 == 0),
            )
        ]
    except CompileError:
        return []


def details(nodes: list[Node]) -> list[object]:
    """What nodes know of themselves that does not count when they are compared."""
    return [
        (node.unique if isinstance(node, Attend) else None)
        if not isinstance(node, Aggregate)
        else node.sources.always
        for node in walk(*nodes)
    ]


@settings(max_examples=sweep(40))
@given(outputs(), st.data())
def test_what_is_read_back_is_the_same_graph_with_the_same_values(made, data):
    prompts = made[0].prompts
    tokens = st.sampled_from(prompts.vocabulary.tokens)
    text = data.draw(st.lists(tokens, min_size=1, max_size=prompts.context))
    found = stages(made)
    assume(found)
    for stage in found:
        results = tuple(Result(f"output {i}", node) for i, node in enumerate(stage.nodes))
        back = read_graph(write_graph(results))
        assert back == results
        nodes = [result.answer for result in back]
        assert details(nodes) == details(stage.nodes)
        values = run_nodes(nodes, text, causal=prompts.causal)
        assert values == run_nodes(stage.nodes, text, causal=prompts.causal)
        assert read_graph(write_graph(back)) == results


@settings(max_examples=sweep(30))
@given(sequence_programs(), st.sampled_from([RANKED, *FOR_EVERY_GRAPH]))
def test_the_rules_of_a_program_are_read_back_as_they_were_shown(program: Program, name: str):
    shown = show_pass(program, name)
    back = read_graph(shown)
    assert without_comments(write_graph(back)) == without_comments(shown)
    assert {result.name for result in back} <= {str(rule) for rule in program.rules}


def without_comments(text: str) -> list[str]:
    return [line.split("  # ")[0] for line in text.splitlines()]


LABELS = [
    "",
    "a'b",
    'a"b',
    "'\\",
    "#\n%1",
    "a\x85\u2028\x1b",
    "\ud800",
    None,
    (),
    ("a",),
    ("a", (1, True, None)),
    (Fraction(1, 3), -2),
]


@settings(max_examples=sweep(30))
@given(
    st.lists(st.sampled_from(LABELS) | st.text(max_size=3), min_size=2, max_size=2, unique=True),
    st.sampled_from(["often", "%3", "token", "7", "a b", "# \n", "é", "²"]),
)
def test_labels_and_names_of_any_kind_are_read_back(labels, name):
    token = Prompts("ab", context=4).token
    labelled = token.map(dict(zip("ab", labels, strict=True))).named(name)
    results = (Result(name, labelled.node), Result("it", (labelled == labels[0]).named(name).node))
    assert read_graph(write_graph(results)) == results


@pytest.mark.parametrize("name", FOR_EVERY_GRAPH)
def test_a_name_of_the_author_is_the_name_of_one_line(name):
    prompts = Prompts("abc", context=6)
    often = (select(prompts.token, "a").count() >= 2).named("often")
    text = show_pass({"it": often & (prompts.position > 2), "other": often}, name)
    assert len([line for line in text.splitlines() if line.startswith("%often = ")]) == 1
    assert text.splitlines()[-1] == "'other' = %often"
