"""What makes the answer of the last rule writes the logits itself, where that makes a smaller model."""

from __future__ import annotations

from random import Random

import pytest

from handcraft import Program, Prompts, compile_program, lookup, predict, select, verify, where
from handcraft.circuits.lifetimes import written_by_heads, written_by_neurons
from handcraft.compiler.compiled import Compiled
from handcraft.compiler.rules import rule_logits
from handcraft.compiler.rules.plan_rules import RuleWays
from handcraft.errors import CompileError, LayoutError, PrecisionError
from handcraft.testing import assert_agreement
from handcraft.weights import Sizes

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
    "made by a step function": FOLLOWED,
    "a table of a count": COUNTED,
    "a default": BEFORE,
    "a choice": where(BEFORE == "a", TOKEN, BEFORE),
}


def compiled(*rules, prompts: Prompts = PROMPTS, architecture: str = "block", **asked) -> Compiled:
    program = Program(prompts=prompts, rules=rules)
    made = compile_program(program, architecture=architecture, sizes=Sizes(**asked))
    report = verify(made.model, program, every_up_to=2_000, sample=2_000)
    assert report.passed, report.failures
    assert report.margin > 0
    return made


def parameters(made: Compiled) -> int:
    """How many numbers the model has."""
    return made.model.shape.parameters(made.model.architecture)


def writing_logits(made: Compiled) -> list[str]:
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


def test_a_head_writes_logits_without_neurons():
    made = compiled(predict(FIRST).otherwise())
    assert writing_logits(made) == ["heads"]
    assert not made.circuits.blocks[0].neurons


def test_a_step_function_writes_logits_in_its_own_block():
    made = compiled(predict(COUNTED).otherwise())
    assert writing_logits(made) == ["neurons"]


def test_induction_takes_two_blocks():
    assert len(compiled(predict(FOLLOWED).otherwise()).circuits.blocks) == 2


def test_the_token_itself_is_no_maker():
    """A tied head reads the token where it is embedded: another neuron names what it becomes."""
    made = compiled(predict(NEXT).otherwise())
    assert writing_logits(made) == ["neurons"]
    assert len(made.circuits.blocks[0].neurons) == 4


def test_earlier_rules_outweigh_directly_written_logits():
    made = compiled(predict("d").when(POSITION >= 3), predict(FIRST).otherwise())
    assert writing_logits(made) == ["heads and neurons"]


def test_the_token_is_not_read_after_a_head_wrote_logits():
    made = compiled(predict("d").when(TOKEN == "a"), predict(FIRST).otherwise())
    assert writing_logits(made) == ["neurons"]


def test_after_layernorm_no_subspace_is_read_after_logits_were_written_into_it():
    made = compiled(LATE, predict(FIRST).otherwise(), architecture="gpt2")
    assert writing_logits(made) == ["neurons"]


def test_many_rules_outvote_what_a_head_writes():
    rules = [predict("abcd"[k % 4]).when(k == POSITION) for k in range(7)]
    made = compiled(*rules, predict(FIRST).otherwise())
    assert writing_logits(made) == ["heads and neurons"]


def test_a_rule_with_a_veto_leaves_no_answer_to_a_head(monkeypatch):
    monkeypatch.setattr(rule_logits, "HIGHEST", 32)
    rules = [predict("ab"[k % 2]).when(k == POSITION) for k in range(7)]
    made = compiled(*rules, predict(FIRST).otherwise())
    assert writing_logits(made) == ["neurons"]


def test_where_only_one_of_the_two_ways_is_precise_enough_it_is_taken():
    """Behind LayerNorm a sum of 193 values is told apart where its 97 answers are not held as well."""
    prompts = Prompts([str(n) for n in range(97)], context=2)
    number = prompts.token.map(int)
    rule = predict(((number + number.at(-1, default=0)) % 97).map(str)).otherwise()
    program = Program(prompts=prompts, rules=[rule])
    made = compile_program(program, architecture="gpt2")
    assert writing_logits(made)[-1] == "neurons"
    assert verify(made.model, program).passed


SIX = Prompts("abcdef", context=4)
OPENED = select(SIX.position, 0).latest(SIX.token, default="a")
THREE_HEADS = [
    predict("b").when(SIX.token.at(-1, default="b") == "a"),
    predict("c").when(SIX.token.at(-2, default="b") == "b"),
    predict("d").when(OPENED == "c"),
    predict(OPENED).otherwise(),
]
"""One of three heads brings the first token and, where it writes logits, whether that is c besides: 7
channels instead of 6."""

EIGHT = Prompts("abcdefgh", context=4)
TWO_BACK = lookup(
    {(a, b): "abcdefgh"[(i * i * j + 3 * j + i) % 8 * j % 8]
     for i, a in enumerate("abcdefgh") for j, b in enumerate("abcdefgh")},
    EIGHT.token,
    EIGHT.token.at(-1, default="b"),
)  # fmt: skip
"""Its neurons do not fit one layer behind LayerNorm, and cannot take turns where they also write
logits, since they read the token."""

TWENTY = Prompts("abcdefghijklmnopqrst", context=4)
TWENTY_BACK = lookup(
    {(a, b): Random(f"{a}{b}").choice("abcdefghijklmnopqrst")
     for a in "abcdefghijklmnopqrst" for b in "abcdefghijklmnopqrst"},
    TWENTY.token,
    TWENTY.token.at(-1, default="b"),
)  # fmt: skip


def refused(*rules, prompts: Prompts, architecture: str = "block", **asked) -> CompileError:
    with pytest.raises(CompileError) as caught:
        compiled(*rules, prompts=prompts, architecture=architecture, **asked)
    return caught.value


def test_where_a_head_that_writes_logits_is_too_wide_neurons_write_them():
    direct = compiled(*THREE_HEADS, prompts=SIX, n_embd=21)
    assert writing_logits(direct) == ["heads", "neurons"]
    made = compiled(*THREE_HEADS, prompts=SIX, n_embd=18)
    assert writing_logits(made)[0] == ""


def test_where_neurons_that_write_logits_do_not_fit_one_layer_the_smallest_model_is_taken():
    made = compiled(predict(TWO_BACK).otherwise(), prompts=EIGHT, architecture="gpt2")
    wide = compiled(predict(TWO_BACK).otherwise(), prompts=EIGHT, architecture="gpt2", n_embd=64)
    assert writing_logits(wide) == ["neurons"]
    assert parameters(made) < parameters(wide)
    width = made.model.shape.n_embd
    assert parameters(made) <= parameters(
        compiled(predict(TWO_BACK).otherwise(), prompts=EIGHT, architecture="gpt2", n_embd=width)
    )


@pytest.mark.parametrize("missing", [1, 3])
def test_where_neither_way_fits_the_narrower_says_what_is_missing(missing):
    """Three heads are narrower where neurons write logits, a first token where its head does."""
    for rules, prompts, is_direct in (
        (THREE_HEADS, SIX, False),
        ([predict(OPENED).otherwise()], SIX, True),
    ):
        narrow = compiled(*rules, prompts=prompts)
        assert (writing_logits(narrow)[0] == "heads") == is_direct
        width = narrow.model.shape.n_embd
        heads = narrow.model.shape.n_head
        error = refused(*rules, prompts=prompts, n_embd=width - missing * heads)
        assert isinstance(error, LayoutError)
        assert error.fix == f"n_embd={width}"


def test_a_lack_of_width_is_reported_before_a_lack_of_precision():
    """A wider stream would do for neurons that write logits; no width makes the others precise."""
    rule, prompts = predict(TWENTY_BACK).otherwise(), TWENTY
    error = refused(rule, prompts=prompts, architecture="gpt2", n_embd=60)
    assert isinstance(error, LayoutError)


def test_where_neither_way_is_precise_enough_that_is_said():
    program = Program(prompts=TWENTY, rules=[predict(TWENTY_BACK).otherwise()])
    for sizes in (Sizes(), Sizes(n_embd=4)):
        with pytest.raises(PrecisionError, match="bfloat16 is safe for sums of up to"):
            compile_program(program, architecture="gpt2", dtype="bfloat16", sizes=sizes)


def test_a_program_shows_the_passes_of_the_plan_that_was_taken():
    def names(words: int) -> list[str]:
        prompts = Prompts([f"w{i}" for i in range(words)], context=3)
        rules = [predict(prompts.token.at(-1, default="w0")).otherwise()]
        compiled = compile_program(Program(prompts=prompts, rules=rules), architecture="block")
        return [stage.name for stage in compiled.stages]

    assert "split into bits" not in names(3)
    assert "split into bits" in names(60)


def test_what_bits_cannot_hold_is_planned_one_hot(monkeypatch):
    def refuse(self, asked, **_):
        raise PrecisionError("bits are too coarse")

    monkeypatch.setattr(RuleWays, "_in_bits", refuse)
    prompts = Prompts("abcdefgh", context=3)
    rules = [predict(prompts.token.at(-1, default="a")).otherwise()]
    assert_agreement(compile_program(Program(prompts=prompts, rules=rules), architecture="block"))
