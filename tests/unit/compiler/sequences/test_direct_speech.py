"""What makes the answer of the last rule writes the logits itself, where that makes a smaller model."""

from __future__ import annotations

import pytest

from handcraft import Program, Prompts, compile_program, predict, select, verify, where
from handcraft.circuits.lifetimes import written_by_heads, written_by_neurons
from handcraft.compiler.compiled import Compiled

PROMPTS = Prompts("abcd", context=8)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
BEFORE = TOKEN.at(-1, default="b")
NEXT = TOKEN.map({"a": "b", "b": "c", "c": "d", "d": "a"})
FIRST = select(POSITION, 0).latest(TOKEN, default="a")
FOLLOWED = select(BEFORE, TOKEN).latest(TOKEN, default="a")
COUNTED = select(TOKEN, TOKEN).count().map(lambda n: "abcd"[n % 4])
LATE = predict("d").when(POSITION >= 5)

ANSWERS = {
    "brought by a head": FIRST,
    "a table of what is brought": FIRST.map({"a": "c", "b": "c", "c": "d", "d": "a"}),
    "made by a ladder": FOLLOWED,
    "a table of a count": COUNTED,
    "a default": BEFORE,
    "a choice": where(BEFORE == "a", TOKEN, BEFORE),
}


def compiled(*rules, architecture: str = "block", dtype: str = "float32") -> Compiled:
    program = Program(prompts=PROMPTS, rules=rules)
    made = compile_program(program, architecture=architecture, dtype=dtype)
    report = verify(made.model, program, every_up_to=2_000, sample=2_000)
    assert report.passed, report.failures
    assert report.margin > 0
    return made


def speaking(made: Compiled) -> list[str]:
    """What writes logits: heads, neurons, or both, of each block."""
    logits = made.circuits.unembedding
    return [
        " and ".join(
            kind
            for kind, written in (
                ("heads", written_by_heads(block)),
                ("neurons", written_by_neurons(block)),
            )
            if logits in written
        )
        for block in made.circuits.blocks
    ]


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_every_kind_of_answer_is_right(answer, architecture):
    compiled(predict(answer).otherwise(), architecture=architecture)
    compiled(LATE, predict(answer).otherwise(), architecture=architecture)


def test_a_head_speaks_without_neurons():
    made = compiled(predict(FIRST).otherwise())
    assert speaking(made) == ["heads"]
    assert not made.circuits.blocks[0].neurons


def test_a_ladder_speaks_in_its_own_block():
    made = compiled(predict(COUNTED).otherwise())
    assert speaking(made) == ["neurons"]


def test_induction_takes_two_blocks():
    assert len(compiled(predict(FOLLOWED).otherwise()).circuits.blocks) == 2


def test_the_token_itself_is_no_maker():
    """A tied head reads the token where it is embedded: another neuron names what it becomes."""
    made = compiled(predict(NEXT).otherwise())
    assert speaking(made) == ["neurons"]
    assert len(made.circuits.blocks[0].neurons) == 4


def test_earlier_rules_outvote_what_is_spoken():
    made = compiled(predict("d").when(POSITION >= 3), predict(FIRST).otherwise())
    assert speaking(made) == ["heads and neurons"]


def test_the_token_is_not_read_where_a_head_has_spoken():
    made = compiled(predict("d").when(TOKEN == "a"), predict(FIRST).otherwise())
    assert speaking(made) == ["neurons"]


def test_behind_layernorm_nothing_is_read_after_it_was_spoken():
    made = compiled(LATE, predict(FIRST).otherwise(), architecture="gpt2")
    assert speaking(made) == ["neurons"]


def test_many_rules_tell_apart_which_of_them_fires():
    rules = [predict("abcd"[k % 4]).when(k == POSITION) for k in range(7)]
    made = compiled(*rules, predict(FIRST).otherwise())
    assert speaking(made) == ["neurons"]


def test_where_only_one_of_the_two_ways_is_precise_enough_it_is_taken():
    """Behind LayerNorm a sum of 193 values is told apart where its 97 answers are not held as well."""
    prompts = Prompts([str(n) for n in range(97)], context=2)
    number = prompts.token.map(int)
    rule = predict(((number + number.at(-1, default=0)) % 97).map(str)).otherwise()
    program = Program(prompts=prompts, rules=[rule])
    made = compile_program(program, architecture="gpt2")
    assert speaking(made)[-1] == "neurons"
    assert verify(made.model, program).passed
