"""Encodings of tokens and positions, asked for by name: what is stored, and the same answers."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from handcraft import Compiled, Program, Prompts, compile_program, predict
from handcraft.circuits.subspace import Encoding
from handcraft.compiler.encodings import POSITIONS, TOKENS, Encodings
from handcraft.errors import CompileError, LimitError
from handcraft.testing import assert_agreement

RULES = [
    predict("c").after("start ab"),
    predict("b").after("a.[^b]"),
    predict("b").after("ca"),
    predict("c").after("start c"),
    predict("a").otherwise(),
]
PATTERNS = Program("abc", 5, RULES)


def embedded(compiled: Compiled, of: str) -> list[tuple[Encoding, list[list[float]]]]:
    """The encoding of every subspace that stores the token or the position, and its rows."""
    tables = [table for table in compiled.circuits.embedding if table.of == of]
    return [
        (
            table.subspace.encoding,
            [[float(dict(row).get(i, 0)) for i in range(table.subspace.width)] for row in table.rows],
        )
        for table in tables
    ]


def transposed(rows: list[list[float]]) -> list[tuple[float, ...]]:
    return list(zip(*rows, strict=True))


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
@pytest.mark.parametrize(("positions", "tokens"), [*product(POSITIONS, TOKENS)])
def test_rules_mean_the_same_in_every_encoding(positions, tokens, architecture):
    asked = {"positions": positions, "tokens": tokens, "n_positions": 5}
    assert_agreement(compile_program(PATTERNS, architecture=architecture, **asked))


def expressions() -> Program:
    prompts = Prompts("abcd", context=6)
    token, position = prompts.token, prompts.position
    before, back = token.at(-1, default="a"), token.at(-2, default="d")
    rules = [
        predict("c").when((back == "a") & (position >= 3)),
        predict("b").when(before == back),
        predict(back).otherwise(),
    ]
    return Program(prompts=prompts, rules=rules)


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
@pytest.mark.parametrize(("positions", "tokens"), [*product(POSITIONS, TOKENS)])
def test_rules_over_expressions_are_encoded_as_asked_too(positions, tokens, architecture):
    if (tokens, architecture) == ("binary", "block"):  # where the unembedding would read other flags
        with pytest.raises(LimitError, match="from the bits of tokens alone"):
            compile_program(expressions(), architecture=architecture, tokens=tokens)
        return
    found = compile_program(
        expressions(), architecture=architecture, positions=positions, tokens=tokens
    )
    assert_agreement(found)
    is_one_hot = {kind is Encoding.ONE_HOT for kind, _ in embedded(found, "position")}
    assert (True in is_one_hot) >= (positions == "one-hot")
    if tokens != "auto":
        kinds = {kind for kind, _ in embedded(found, "token")}
        assert (Encoding.SIGNED_BITS in kinds) == (tokens == "binary")


@pytest.mark.parametrize("program", [PATTERNS, Program("abc", 20, RULES)], ids=["short", "long"])
def test_one_hot_positions_have_a_dimension_each_and_no_other(program):
    found = compile_program(program, architecture="block", positions="one-hot", tokens="one-hot")
    ((encoding, rows),) = embedded(found, "position")
    assert encoding is Encoding.ONE_HOT
    assert rows == np.eye(program.context).tolist()


def test_binary_positions_are_the_bits_of_every_position_that_is_compared():
    found = compile_program(PATTERNS, positions="binary", tokens="one-hot", architecture="block")
    columns = {tuple(column) for _, rows in embedded(found, "position") for column in transposed(rows)}
    for back in (0, 1, 2):
        places = [max(0, i - back) for i in range(5)]
        for bit in range(3):
            digits = [place >> bit & 1 for place in places]
            is_stored = {tuple(digits), tuple(1 - d for d in digits)} & columns
            assert is_stored or len(set(digits)) == 1
    assert {number for column in columns for number in column} == {0, 1}


def test_sinusoidal_positions_are_cosines_and_sines_of_every_position_that_is_compared():
    found = compile_program(PATTERNS, positions="sinusoidal", tokens="one-hot", architecture="block")
    columns = np.array([c for _, rows in embedded(found, "position") for c in transposed(rows)])
    for back, wave, wavelength in product((0, 1, 2), (np.cos, np.sin), (4, 16)):
        angles = 2 * np.pi * np.maximum(0, np.arange(5) - back) / wavelength
        assert min(np.abs(columns - wave(angles)).max(axis=1)) < 1e-12


def test_in_gpt2_binary_positions_keep_the_scale_of_layer_norm():
    found = compile_program(PATTERNS, positions="binary", tokens="binary", n_positions=5)
    assert not found.layout.has_ballast
    one_hot = compile_program(PATTERNS, positions="binary", tokens="one-hot", n_positions=5)
    flags = [kind for kind, _ in embedded(one_hot, "position")]
    assert set(flags) == {Encoding.FLAG}


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
@pytest.mark.parametrize("positions", ["binary", "sinusoidal"])
def test_a_context_of_a_thousand_is_narrow_and_right(architecture, positions):
    program = Program("abc", 1000, RULES)
    compiled = compile_program(
        program, positions=positions, architecture=architecture, n_positions=1000
    )
    texts = np.random.default_rng(7).integers(0, 3, size=(4, 1000))
    texts[0, :2] = (0, 1)  # start ab
    answers = compiled.model.forward(texts).argmax(axis=-1)
    for text, answer in zip(texts.tolist(), answers.tolist(), strict=True):
        assert answer == [program.next_token(text[:n]) for n in range(1, 1001)]
    assert compiled.layout.n_embd < 200


def test_what_is_not_asked_for_is_chosen_by_size():
    sizes = {
        (positions, tokens): compile_program(
            PATTERNS, positions=positions, tokens=tokens, n_positions=5
        ).model.parameters
        for positions, tokens in product(POSITIONS, TOKENS)
    }
    assert sizes["auto", "auto"] == min(sizes["auto", tokens] for tokens in TOKENS)


@pytest.mark.parametrize(
    ("asked", "what"),
    [({"positions": "unary"}, "positions 'unary'"), ({"tokens": "unary"}, "tokens 'unary'")],
)
def test_an_encoding_that_there_is_not_is_refused(asked, what):
    with pytest.raises(CompileError, match=f"no encoding of {what}") as caught:
        compile_program(PATTERNS, **asked)
    assert "one-hot, binary" in caught.value.fix
    with pytest.raises(CompileError, match=f"no encoding of {what}"):
        Encodings(**asked)


def test_probabilities_cannot_be_told_by_bits_of_tokens():
    prompts = Prompts("abc", context=4)
    program = Program(
        prompts=prompts,
        rules=[predict({"a": 0.75, "b": 0.25}).when(prompts.token == "c"), predict("c").otherwise()],
    )
    with pytest.raises(LimitError, match="from the bits of tokens alone") as caught:
        compile_program(program, tokens="binary")
    assert "tokens='binary'" in caught.value.fix
    assert_agreement(compile_program(program, tokens="one-hot"))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_many_one_hot_tokens_behind_layer_norm_need_no_ballast(dtype):
    words = [f"w{n}" for n in range(100)]
    rules = [predict(f"w{n}").after(f"w{n - 1} w{n - 1}") for n in range(1, 100)]
    program = Program(words, 3, [*rules, predict("w0").otherwise()])
    found = compile_program(program, tokens="one-hot", dtype=dtype, n_positions=3)
    assert not found.layout.has_ballast
    assert {kind for kind, _ in embedded(found, "token")} == {Encoding.ONE_HOT}
    assert_agreement(found, every_up_to=0, sample=2_000)
