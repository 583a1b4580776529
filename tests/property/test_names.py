"""Names are for people: nothing is computed, compiled or written in another way because of them."""

from __future__ import annotations

import ast
import warnings
from fractions import Fraction
from itertools import cycle

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from handcraft import (
    Expression,
    Program,
    Prompts,
    compile_program,
    compile_sequences,
    lookup,
    parse_rules,
    predict,
    select,
    weighted,
    where,
    window,
)
from handcraft.errors import HandcraftError, HandcraftWarning
from handcraft.language import write_rules
from handcraft.language.graph.wording import LONGEST
from handcraft.testing import declared_prompts, expressions

slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
few = settings(slow, max_examples=20)

ODD = ["token", "position", "everything", "x", "x (2)", "x, 2", "rest", "nothing", "match 1"]
ODD += ["carried 1", "select(token, 'a')", "position, 2", "step", "1", "(", "a" * 50, "a" * 50 + "b"]
NAMES = st.lists(st.sampled_from(ODD), min_size=1, max_size=6)
"""Names that mean something elsewhere, and names that are alike."""


def renamed(expression: Expression, names: list[str]) -> Expression:
    """The expression made again from its text, with a name for every part of it."""
    left = cycle(names)

    def named(value: object) -> object:
        return value.named(next(left)) if isinstance(value, Expression) else value

    class Naming(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            made = self.generic_visit(node)
            is_value = isinstance(made, ast.BinOp | ast.UnaryOp | ast.Compare | ast.Call | ast.Name)
            if not is_value:
                return made
            return ast.Call(ast.Name("named", ast.Load()), [made], [])

    tree = ast.fix_missing_locations(Naming().visit(ast.parse(str(expression), mode="eval")))
    prompts = expression.prompts
    known = {"token": prompts.token, "position": prompts.position, "everything": prompts.everything}
    functions = {
        each.__name__: each
        for each in (lookup, select, weighted, where, window, abs, int, str, Fraction)
    }
    return eval(compile(tree, "<text>", "eval"), {**known, **functions, "named": named})


@st.composite
def twins(draw, **options):
    """An expression, and the same under names."""
    prompts = draw(declared_prompts(causal=draw(st.booleans())))
    expression = draw(expressions(prompts, depth=4, **options))
    assume(expression.node.text.size <= LONGEST)
    return expression, renamed(expression, draw(NAMES))


@slow
@given(twins())
def test_an_expression_under_other_names_is_equal(drawn):
    plain, named = drawn
    assert named.node == plain.node
    assert hash(named.node) == hash(plain.node)
    assert named.domain == plain.domain


def compiled(expression: Expression) -> object:
    try:
        found = compile_sequences({"value": expression})
    except HandcraftError as error:
        return type(error)
    tensors = found.model.tensors
    return {name: (tensor.shape, tensor.tobytes()) for name, tensor in tensors.items()}


@few
@given(twins())
def test_names_change_no_byte_of_a_model(drawn):
    plain, named = drawn
    assert compiled(named) == compiled(plain)


def written(flag: Expression) -> str | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)
        rules = [predict(flag.prompts.vocabulary.tokens[0]).when(flag)]
        rules.append(predict(flag.prompts.vocabulary.tokens[-1]).otherwise())
        program = Program(prompts=flag.prompts, rules=rules)
        try:
            text = write_rules(program)
        except HandcraftError:
            return None
        again = parse_rules(text)
    for token in program.vocabulary.tokens:
        for other in program.vocabulary.tokens:
            tokens = ([token, other] * program.context)[: program.context]
            assert again.trace(tokens) == program.trace(tokens)
    return text


@slow
@given(twins(kind="flag"))
def test_names_change_no_word_of_a_rule_file(drawn):
    plain, named = drawn
    assert written(named) == written(plain)


@slow
@given(st.data(), NAMES)
def test_sentences_are_written_the_same_under_names(data, names):
    prompts = Prompts("abc", context=5)
    token, position = prompts.token, prompts.position
    tests = st.sampled_from(  # as arguments they have no names, so their texts can be read again
        [
            token == "a",
            token.at(-1, default="a") == "b",
            token.at(-2, default="c") == "a",
            position % 2 == 1,
            position >= 3,
            select(token, "b").count() > 1,
            select(token, "c").exists(),
        ]
    )
    flag = data.draw(tests)
    for _ in range(data.draw(st.integers(0, 3))):
        other = data.draw(tests)
        flag = data.draw(st.sampled_from([flag & other, flag | other, ~flag]))
    found = written(flag)
    assert found is not None
    assert written(renamed(flag, names)) == found


def test_names_that_subspaces_would_share_stay_apart():
    prompts = Prompts("ab", context=5)
    token, position = prompts.token, prompts.position
    before = token.at(-1, default="a")
    for names in [
        ["rest", "nothing", "match 1"],
        ["x", "x", "x, 2"],
        ["x (2)", "x", "x"],
        ["match 1", "carried 1", "match 2"],
    ]:
        parts = [select(token, token).count(), select(before, token).count(), position % 3]
        named = [part.named(name) for part, name in zip(parts, names, strict=True)]
        rules = [[predict({"a": 0.25, "b": 0.75}).when(sum(each, 0) >= 3)] for each in (parts, named)]
        one, other = (
            compile_program(Program(prompts=prompts, rules=[*each, predict("a").otherwise()]))
            for each in rules
        )
        assert one.model == other.model


def test_a_position_is_one_under_any_name_and_nothing_else_is():
    prompts = Prompts("abcdef", context=4)
    token, position = prompts.token, prompts.position
    for name in ("pos", "position", "token"):
        here = position.named(name)
        assert select(here, 0).latest(token).node == select(position, 0).latest(token).node
        assert select(here, here).count().domain == select(position, position).count().domain
        number = token.map({each: 2 * i for i, each in enumerate("abcdef")})
        for plain, query in [(token, "c"), (token, token), (number, position), (number, 4)]:
            named = select(plain.named(name), query).exists()
            assert compiled(named) == compiled(select(plain, query).exists())
