"""One prediction explained: what is said agrees with the oracle, the weights and the sums."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from fractions import Fraction
from functools import cache
from math import fsum
from pathlib import Path

import gallery
import numpy as np
import pytest
from json_schema import conforms

from handcraft import Program, Prompts, compile_program, compile_sequences, predict, save, select
from handcraft.errors import ModelError, VocabularyError
from handcraft.explain import explain_prediction
from handcraft.explain.explanation import Look
from handcraft.explain.write_text import write_text
from handcraft.formats import read_checkpoint, subject_of
from handcraft.model import Model

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "explain.schema.json").read_text())

PROMPTS = {
    "aab": ["a", "aa", "aab", "baaba"],
    "induction": ["a", "abca", "cabcabca"],
    "dyck1": ["()=", "(()=", "())((("],
    "histogram": ["abcab=", "abcab=2"],
    "most_frequent": None,
    "reverse": None,
    "sort": None,
    "add": None,
    "caesar": None,
    "ioi": None,
    "median": None,
    "parity": None,
    "rule110": None,
    "tictactoe": None,
}
"""Prompts of each program; None for some allowed ones, drawn at random."""


@cache
def prompts_of(name: str) -> list[str]:
    program = gallery.facts(name)["program"]
    if (given := PROMPTS[name]) is not None:
        return given
    drawn = [row for rows in program.prompts.texts.draw(4, seed=3) for row in rows.tolist()]
    return [program.vocabulary.text(row) for row in drawn[:4]]


EXPLAINED = ("aab", "induction", "dyck1", "histogram", "most_frequent", "reverse", "sort")

CASES = [(name, prompt) for name in EXPLAINED for prompt in prompts_of(name)]


def total(explanation, k: int) -> float:
    return fsum(part.logits[k] for part in explanation.parts)


@pytest.mark.parametrize(("name", "prompt"), CASES)
def test_parts_sum_to_the_logits_to_the_last_bit_in_block(name, prompt):
    found = gallery.compiled(name, "block").explain(prompt)
    for k, logit in enumerate(found.logits):
        assert total(found, k) == logit
    if name not in ("dyck1", "histogram", "most_frequent"):  # they compute means, which are rounded
        assert all(part.kind != "rounding" for part in found.parts)


@pytest.mark.parametrize(("name", "prompt"), CASES)
@pytest.mark.parametrize("architecture", ["block", "gpt2"])
def test_what_rounding_adds_is_within_the_stated_bound(name, prompt, architecture):
    found = gallery.compiled(name, architecture).explain(prompt)
    assert (found.scale is None) == (architecture == "block")
    rounding = [part for part in found.parts if part.kind == "rounding"]
    for k, bound in enumerate(found.bound):
        assert bound < 0.01
        assert abs(sum(part.logits[k] for part in rounding)) <= bound
        assert total(found, k) == pytest.approx(found.logits[k], rel=1e-15, abs=1e-13)
        assert fsum(share.logits[k] for share in found.shares) == pytest.approx(total(found, k), 1e-12)


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
def test_a_neuron_of_the_last_block_adds_what_is_missing_without_it(architecture):
    compiled = gallery.compiled("dyck1", architecture)
    model, found = compiled.model, compiled.explain("(()=")
    last = model.shape.n_layer - 1
    ids = list(model.vocabulary.numbers)
    tried = 0
    for part in found.parts:
        if part.kind != "neuron" or part.block != last:
            continue
        units = next(
            each.units for each in found.neurons if (each.block, each.name) == (last, part.name)
        )
        name = f"h.{last}.mlp.c_proj.weight"
        weights = model.tensors[name].copy()
        weights[list(units)] = 0
        without = replace(model, tensors={**model.tensors, name: weights})
        trace, cut = model.trace("(()="), without.trace("(()=")
        before = trace["logits"][-1, ids].astype(np.float64)
        if architecture == "block":
            assert (before - cut["logits"][-1, ids] == part.logits).all()
        else:  # the scale of ln_f is kept
            stream = cut[f"h.{last}.output"][-1].astype(np.float64)
            normed = (stream - stream.mean()) * found.scale * model.tensors["ln_f.weight"]
            frozen = (normed + model.tensors["ln_f.bias"]) @ model.tensors["wte.weight"][ids].T
            assert before - frozen == pytest.approx(part.logits, abs=1e-2)
        tried += 1
    assert tried


@pytest.mark.parametrize(("name", "prompt"), CASES)
def test_the_rule_that_fires_is_the_one_that_decides(name, prompt):
    program = gallery.facts(name)["program"]
    found = gallery.compiled(name).explain(prompt)
    ids = np.array([program.vocabulary.ids(prompt)])
    row, place = np.array([0]), np.array([ids.shape[1] - 1])
    decided = program.rules_at(ids, row, place)[0]
    fired = [rule for rule in found.rules if rule.state == "fires"]
    assert [rule.number for rule in fired] == [decided + 1]
    assert fired[0].predicts == program.vocabulary.token(int(program.answers_at(ids, row, place)[0]))
    assert fired[0].predicts == found.answer
    assert fired[0].origin == program.rules[decided].origin
    for rule in found.rules:
        holds = all(condition.holds for condition in rule.conditions)
        assert holds == (rule.state in ("fires", "comes later"))


def test_rules_that_nearly_fire_lack_the_fewest_conditions():
    found = compile_program(
        Program(
            "abc", 6, [predict("c").after("aab"), predict("b").after("ca"), predict("a").otherwise()]
        )
    ).explain("aac")
    assert [rule.state for rule in found.rules] == ["nearly", "does not", "fires"]
    (missing,) = [each for each in found.rules[0].conditions if not each.holds]
    assert (missing.text, missing.reads) == ("token == 'b'", {"token": "c"})


def test_values_have_the_names_and_the_places_of_their_variables():
    prompts = Prompts("abc", context=6)
    token = prompts.token
    before = token.at(-1, default="a")
    same = before == token
    program = Program(prompts=prompts, rules=[predict("c").when(same), predict(before).otherwise()])
    found = compile_program(program).explain("abb")
    assert {value.origin.what: value.values for value in found.values} == {
        "before": ("a", "a", "b"),
        "same": (True, False, True),
    }
    assert [value.definition for value in found.values] == [
        "token.at(-1, default='a')",
        "before == token",
    ]
    assert all(Path(value.origin.place.file).name == Path(__file__).name for value in found.values)
    means = prompts.everything.mean(token == "a")
    rule = predict("a").when(means > Fraction(1, 2))
    mean = compile_program(Program(prompts=prompts, rules=[rule, predict("b").otherwise()]))
    assert mean.explain("aab").rules[0].conditions[0].reads == {"means": Fraction(2, 3)}


@pytest.mark.parametrize(("name", "prompt"), CASES)
def test_heads_look_where_the_pattern_says_and_read_what_the_program_computes(name, prompt):
    compiled = gallery.compiled(name)
    found, trace = compiled.explain(prompt), compiled.trace(prompt)
    values = {value.origin.what: value.values for value in found.values}
    assert found.heads
    for head in found.heads:
        pattern = trace[f"h.{head.block}.attn.pattern"][head.head]
        for look in head.looks:
            weights = {source.position: source.weight for source in look.sources}
            if not look.others:
                assert sum(weights.values()) == pytest.approx(1, abs=1e-4)
            for position, weight in weights.items():
                assert pattern[look.position, position] == weight
            reads = [(look.position, look.queries), *((s.position, s.keys) for s in look.sources)]
            for position, read in reads:
                for name, value in read.items():
                    known = {"token": found.tokens, "position": range(len(found.tokens)), **values}
                    if name in known:
                        assert known[name][position] == value
    last = [head.looks[-1] for head in found.heads]
    assert all(look.is_used for look in last)


def test_a_position_that_no_later_head_reads_is_not_used():
    found = gallery.compiled("induction").explain("abca")
    first, second = found.heads
    assert [look.is_used for look in second.looks] == [False, False, False, True]
    assert [look.is_used for look in first.looks] == [False, True, False, True]
    (source,) = second.looks[-1].sources
    assert (source.position, source.token, source.keys["before"]) == (1, "b", "a")


def said(found) -> dict:
    """What an explanation says of a program, without the folders of the places."""
    data = json.loads(json.dumps(found.to_json()))
    for each in [*data["rules"], *data["values"]]:
        if each["origin"]["place"] is not None:
            each["origin"]["place"]["file"] = Path(each["origin"]["place"]["file"]).name
    return {key: data[key] for key in ("tokens", "answer", "meant", "rules", "values")}


@pytest.mark.parametrize("name", PROMPTS)
def test_a_folder_says_what_its_program_says(name, tmp_path):
    compiled = gallery.compiled(name, "block" if name == "rule110" else "gpt2")
    save(compiled, tmp_path / "out")
    checkpoint = read_checkpoint(tmp_path / "out")
    for prompt in prompts_of(name):
        here, there = compiled.explain(prompt), checkpoint.explain(prompt)
        assert said(there) == said(here)
        assert there.logits == here.logits
        assert [(p.kind, p.name, p.logits) for p in there.parts] == [
            (p.kind, p.name, p.logits) for p in here.parts
        ]
        assert [[o.what for o in p.serves] for p in there.parts] == [
            [o.what for o in p.serves] for p in here.parts
        ]
        assert there.heads == replace_places(here.heads, there.heads)
        assert there.notes == here.notes
        assert write_text(there) == write_text(here)
        assert (there.to_markdown(), there.to_html()) == (here.to_markdown(), here.to_html())
        assert conforms(json.loads(json.dumps(there.to_json())), SCHEMA, SCHEMA)


def test_a_prompt_longer_than_the_program_is_judged_and_no_proof_is_about_it(tmp_path):
    compiled = gallery.compiled("aab")
    save(compiled, tmp_path / "out")
    said_of_long = (
        "the program is written for up to 5 tokens and this prompt has 8: its patterns mean the same "
        "here, but no proof is about longer prompts"
    )
    for model in (compiled, read_checkpoint(tmp_path / "out")):
        found = model.explain("abababaa")
        assert found.notes == (said_of_long,)
        assert (found.meant, found.answer) == ("b", "b")
        assert [rule.state for rule in found.rules][:1] == ["fires"]
        assert model.explain("ababa").notes == ()


def replace_places(heads, others):
    """Heads with what those of a folder serve, whose places have no folder."""
    assert [[o.what for o in h.serves] for h in heads] == [[o.what for o in h.serves] for h in others]
    return tuple(replace(h, serves=o.serves) for h, o in zip(heads, others, strict=True))


@pytest.mark.parametrize("name", ["aab", "induction", "histogram"])
def test_a_folder_without_handcraft_json_says_what_its_certificate_states(name, tmp_path):
    compiled = gallery.compiled(name)
    save(compiled, tmp_path / "out")
    (tmp_path / "out" / "handcraft.json").unlink()
    subject = subject_of(tmp_path / "out")
    for prompt in prompts_of(name):
        here, foreign = compiled.explain(prompt), explain_prediction(subject, prompt)
        assert (foreign.logits, foreign.meant) == (here.logits, here.meant)
        assert any("what the weights alone say" in note for note in foreign.notes)
        # without the names, conditions are taken apart differently: what fires is the same
        fired = [[r.number for r in f.rules if r.state == "fires"] for f in (here, foreign)]
        assert fired[0] == fired[1]
        for k in range(len(here.answers)):
            assert total(foreign, k) == pytest.approx(here.logits[k])
    (tmp_path / "out" / "certificate.json").unlink()
    alone = explain_prediction(subject_of(tmp_path / "out"), prompt)
    assert (alone.rules, alone.values, alone.meant) == ((), (), None)


def test_a_folder_without_a_certificate_shows_what_its_circuits_store(tmp_path):
    compiled = gallery.compiled("histogram")
    save(compiled, tmp_path / "out")
    (tmp_path / "out" / "certificate.json").unlink()
    here = compiled.explain("abcab=")
    there = read_checkpoint(tmp_path / "out").explain("abcab=")
    assert there.logits == here.logits
    assert there.meant is None
    assert [rule.state for rule in there.rules] == ["fires", "unknown", "comes later"]
    assert any("stores these rules as words" in note for note in there.notes)
    assert there.values
    assert {value.origin.what for value in there.values} != {v.origin.what for v in here.values}


def test_a_certificate_of_another_program_is_not_believed(tmp_path):
    for name in ("dyck1", "parity"):
        save(gallery.compiled(name), tmp_path / name)
    shutil.copy(tmp_path / "parity" / "certificate.json", tmp_path / "dyck1")
    there = read_checkpoint(tmp_path / "dyck1").explain("(()=")
    assert there.meant is None


def test_a_model_of_values_explains_values():
    token = Prompts("abc", context=6).token
    seen = select(token, token).count()
    found = compile_sequences({"seen": seen}).explain("abca")
    assert (found.answer, found.logits, found.parts) == (None, (), ())
    assert [(value.origin.what, value.values) for value in found.values] == [("seen", (1, 1, 1, 2))]
    assert "computes values" in str(found)


def test_circuits_written_by_hand_show_what_they_store():
    found = compile_program(gallery.facts("by_hand")["circuits"], architecture="block").explain("aab")
    assert found.values == (), "the head writes to the logits alone"
    (head,) = found.heads
    assert head.looks[2].queries == {"position": 2}
    assert found.rules == ()


ALL = [("by_hand", "aab"), *CASES]


@pytest.mark.parametrize(("name", "prompt"), ALL)
def test_every_format_has_what_there_is(name, prompt):
    facts = gallery.facts(name)
    found = compile_program(facts.get("program") or facts["circuits"]).explain(prompt)
    text = str(found)
    assert max(map(len, text.splitlines())) <= 80
    html, markdown = found.to_html(), found.to_markdown()
    for title in ("Prediction", "Heads", "What adds up to the logits"):
        assert f"\n{title}\n" in f"\n{text}"
        assert f"## {title}\n" in markdown
        assert f"<h4>{title}</h4>" in html
    assert "<script" not in html
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert conforms(data, SCHEMA, SCHEMA)
    assert data["answer"] == found.answer
    assert not conforms({**data, "answer": 3}, SCHEMA, SCHEMA)


def test_tokens_that_mean_something_in_html_or_markdown_are_shown_as_they_are():
    program = Program(["<b>", "|", "*"], 3, [predict("|").after("<b>"), predict("*").otherwise()])
    found = compile_program(program).explain(["<b>", "|"])
    assert "<b>" not in found.to_html()
    assert "&lt;b&gt;" in found.to_html()
    table = [line for line in found.to_markdown().splitlines() if line.startswith("|")]
    assert table
    assert "\\<b\\>" in found.to_markdown()


PROMPT = "when mary and john went to the store john gave a drink to"


def looks(name: str, prompt, attends: str) -> dict[int, Look]:
    """Where the head with a condition attends, by position."""
    found = gallery.compiled(name).explain(prompt)
    (head,) = (each for each in found.heads if each.attends == attends)
    return {look.position: look for look in head.looks}


def test_a_condition_is_shown_true_where_it_holds_however_it_is_stored():
    found = looks("ioi", PROMPT, "(before.exists() & is_name) == True")
    flag = "before.exists() & is_name"
    assert found[12].sources[0].position == 8
    assert found[12].sources[0].keys[flag] is True
    assert found[1].sources[0].keys[flag] is False
    for look in found.values():
        assert all(flag in source.keys and f"{flag} (2)" not in source.keys for source in look.sources)


def test_where_nothing_matches_the_explanation_says_so():
    found = looks("ioi", PROMPT, "token == token and position < position")
    assert [at for at, look in found.items() if not look.is_empty] == [8, 12]
    assert not looks("reverse", "abc=", "token == '='")[3].is_empty
    assert looks("reverse", "abc=", "token == '='")[2].is_empty
    text = str(gallery.compiled("reverse").explain("abc="))
    assert re.search(r"^  2 c +2 c \(1\) +nothing matches$", text, re.MULTILINE)
    assert re.search(r"^  3 = +3 = \(1\) +there token = =", text, re.MULTILINE)


@pytest.mark.parametrize(("name", "prompt"), [("reverse", "abc="), ("ioi", PROMPT)])
def test_a_prompt_is_shown_as_it_can_be_given_again(name, prompt):
    found = gallery.compiled(name).explain(prompt)
    assert f"\n  prompt: {prompt}\n" in str(found)
    assert repr(found).startswith(f"<explanation of {prompt!r}: ")


@pytest.mark.parametrize("width", [80, 100, 120])
def test_headings_and_labels_of_positions_stay_on_one_line(width):
    found = gallery.compiled("ioi").explain(PROMPT)
    lines = write_text(found, width).splitlines()
    shown = "\n".join(lines)
    assert max(map(len, lines)) <= width
    for position, each in enumerate(found.tokens):
        assert re.search(rf"  {position} {each}(  |$)", shown, re.MULTILINE)
    values = lines[lines.index("Values") : lines.index("Heads")]
    labels = [line for line in values if line.startswith("  others.latest")]
    assert labels
    assert all("...fault='the') " in line for line in labels)


def test_of_a_large_vocabulary_the_highest_logits_are_listed():
    words = [f"w{n}" for n in range(40)]
    found = compile_program(
        Program(words, 3, [predict("w39").after("w7"), predict("w20").otherwise()])
    ).explain(["w7"])
    assert len(found.answers) == 16
    assert found.answer == "w39"
    assert sorted(found.logits)[-2] == found.logits[found.answers.index(found.runner_up)]
    assert "of 40 logits, the JSON lists the 16 highest" in found.notes
    assert len(found.to_json()["answers"]) == 16


def test_a_prompt_that_is_not_allowed_is_explained_all_the_same():
    found = gallery.compiled("dyck1").explain("((")
    assert found.meant is None
    assert any("promises no answer" in note for note in found.notes)
    assert found.parts


@pytest.fixture
def aab() -> Model:
    return gallery.compiled("aab", "block")


def test_an_unknown_token_an_empty_prompt_and_a_long_one_are_refused(aab):
    with pytest.raises(VocabularyError, match="'x' is not in the vocabulary") as unknown:
        aab.explain("axb")
    assert "a b" in unknown.value.fix
    with pytest.raises(ModelError, match="the prompt is empty"):
        aab.explain("")
    most = aab.model.shape.n_positions
    with pytest.raises(ModelError, match=f"a prompt of {most + 2} tokens, but the model sees") as long:
        aab.explain("ab" * (most // 2 + 1) + "a" * (most % 2))
    fixed = long.value.fix.split("'")[1]
    assert aab.explain(fixed).tokens == tuple(fixed)


def test_a_weight_is_explained_as_before(aab):
    assert aab.explain("wte.weight", 0, 1).place == "wte.weight[0, 1]"
    with pytest.raises(ModelError, match="has no entry"):
        aab.explain("wte.weight")
    with pytest.raises(ModelError, match="there is no tensor"):
        aab.explain("wtf.weight", 0, 1)
