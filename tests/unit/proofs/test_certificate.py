"""certificate.json says what was compiled, in the documented form, or there is none."""

from __future__ import annotations

import hashlib
import json
from itertools import product
from pathlib import Path
from random import Random
from time import process_time

import numpy as np
import pytest
from gallery import FOLDER, facts
from hypothesis import strategies as st
from json_schema import conforms

from handcraft import Program, Prompts, compile_program, parse_rules, predict, save
from handcraft.compiler import compile_sequences
from handcraft.errors import CheckpointError
from handcraft.formats import compile_again, fill, read_checkpoint
from handcraft.proofs import NotCertified, certificate, certificate_of, statement_of, write_meaning
from handcraft_check.program.meaning import Meaning, program_hash

DOCS = Path(__file__).parents[3] / "docs"
SCHEMA = json.loads((DOCS / "certificate.schema.json").read_text())

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
CONDITION = "vocabulary a b\ncontext 4\npredict b when count of a >= 2\npredict a otherwise"


def certificate_in(folder):
    return json.loads((folder / "certificate.json").read_text(encoding="utf-8"))


def test_a_folder_has_the_documented_certificate(tmp_path):
    save(compile_program(AAB), tmp_path / "aab")
    found = certificate_in(tmp_path / "aab")
    text = (DOCS / "certificate.md").read_text().split("```json")[1].split("```")[0]
    for name in found["files"]:
        content = (tmp_path / "aab" / name).read_bytes()
        assert found["files"][name] == hashlib.sha256(content).hexdigest()
        found["files"][name] = "..."
    assert found["program"] == program_hash(found["contexts"], found["meaning"])
    assert {**found, "program": "..."} == json.loads(text)
    lines = (tmp_path / "aab" / "certificate.json").read_text().splitlines()
    assert sum(line.startswith('{"op": ') for line in lines) == 11


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_certificates_of_shipped_programs_are_of_the_documented_form(name):
    program = facts(name).get("program")
    if not isinstance(program, Program):
        return
    stated = json.loads(json.dumps(statement_of(program)))
    for part in ("contexts", "meaning"):
        assert conforms(stated[part], SCHEMA["properties"][part], SCHEMA)
    Meaning.read(stated["meaning"], stated["vocabulary"])


def test_a_whole_certificate_is_of_the_documented_form(tmp_path):
    save(compile_program(AAB, dtype="bfloat16"), tmp_path / "aab")
    found = certificate_in(tmp_path / "aab")
    assert conforms(found, SCHEMA, SCHEMA)
    assert found["arithmetic"] == {"weights": "bfloat16", "steps": "float32"}
    for name in found:
        assert not conforms({k: v for k, v in found.items() if k != name}, SCHEMA, SCHEMA)
    assert not conforms({**found, "more": 1}, SCHEMA, SCHEMA)
    found["meaning"]["nodes"][0]["of"] = 0
    assert not conforms(found, SCHEMA, SCHEMA)


def test_a_certificate_has_the_ids_of_the_tokens(tmp_path):
    for name in ("model.safetensors", "config.json"):
        (tmp_path / name).touch()
    model = fill(compile_program(AAB, like="gpt2-small"), "gpt2-small", {"a": 64, "b": 65})
    assert certificate_of(statement_of(AAB), model, tmp_path)["token_ids"] == [64, 65]


def test_files_that_are_missing_are_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        certificate_of(statement_of(AAB), compile_program(AAB).model, tmp_path)


INPUTS = [
    {},
    {"inputs": "[ab]{2}c?"},
    {"inputs": "a+b", "writes": 3},
    {"inputs": "(ab)*c", "writes": 2},
    {"bos": "c"},
    {"bos": "c", "inputs": "c[ab]{1,3}"},
]


@pytest.mark.parametrize("options", INPUTS, ids=map(str, INPUTS))
def test_the_automaton_accepts_the_inputs(options):
    prompts = Prompts("abc", context=5, **options)
    contexts = statement_of(Program(prompts=prompts, rules=[predict("a").otherwise()]))["contexts"]
    assert (contexts["length"], contexts["writes"]) == (5, prompts.writes)
    for length in range(1, contexts["length"] - contexts["writes"] + 2):
        for text in product(range(3), repeat=length):
            state = 0
            for token in text:
                state = -1 if state < 0 else contexts["next"][state][contexts["kinds"][token]]
            is_input = state >= 0 and contexts["final"][state]
            assert is_input == prompts.inputs_among(np.array([text]))[0]


def refused(program):
    with pytest.raises(NotCertified) as raised:
        statement_of(program)
    return str(raised.value)


def test_python_code_cannot_be_certified(tmp_path):
    prompts = Prompts("ab", context=5, inputs=st.just("ab"))
    program = Program(prompts=prompts, rules=[predict("a").otherwise()])
    assert refused(program) == "Python code decides which prompts are allowed"
    save(compile_program(program), tmp_path / "by_code")
    assert not (tmp_path / "by_code" / "certificate.json").exists()


def test_a_context_that_expressions_cannot_read_is_not_certified():
    assert "positions" in refused(AAB.widened(9000))


@pytest.mark.parametrize(
    ("module", "limit", "why"),
    [
        (certificate, "CELLS_UP_TO", "the automaton of allowed prompts has"),
        (write_meaning, "NODES_UP_TO", "a graph of"),
        (write_meaning, "ROWS_UP_TO", "have more than 3 rows"),
    ],
)
def test_what_is_too_large_is_not_certified(monkeypatch, module, limit, why):
    prompts = Prompts("abcd", context=5, inputs="[abcd]+a")
    number = prompts.token.map({"a": 0, "b": 1, "c": 2, "d": 3})
    pairs = prompts.token.map({"a": "x", "b": "y", "c": "z", "d": "u"})
    rules = [predict("b").when(number * 2 + number >= 5), predict("c").when(pairs == "z")]
    program = Program(prompts=prompts, rules=[*rules, predict("a").otherwise()])
    assert statement_of(program)
    monkeypatch.setattr(f"{module.__name__}.{limit}", 3)
    assert why in refused(program)


def test_rules_over_thousands_of_words_take_a_row_each():
    words = [f"w{i}" for i in range(3000)]
    rules = [predict("w0").after(word) for word in words[1:]]
    stated = statement_of(Program(words, 4, [*rules, predict("w1").otherwise()]))
    tables = [node for node in stated["meaning"]["nodes"] if node["op"] == "table"]
    assert [table["rows"] for table in tables] == [[[word, True]] for word in words[1:]]
    assert not any(table["else"] for table in tables)


def test_the_rarer_value_of_a_class_has_rows():
    rules = [predict("b").after("[abc]c"), predict("a").after("[^ab]")]
    stated = statement_of(Program("abcde", 4, [*rules, predict("c").otherwise()]))
    tables = [node for node in stated["meaning"]["nodes"] if node["op"] == "table"]
    found = [(table["rows"], table["else"]) for table in tables]
    assert ([["d", False], ["e", False]], True) in found
    assert ([["c", True]], False) in found
    assert ([["a", False], ["b", False]], True) in found


def test_a_thousand_rules_are_stated_at_once():
    random = Random(0)
    words = [f"w{i}" for i in range(200)]
    contexts = [" ".join(random.choices(words, k=3)) for _ in range(1000)]
    rules = [predict(random.choice(words)).after(context) for context in dict.fromkeys(contexts)]
    program = Program(words, 1024, [*rules, predict("w0").otherwise()])
    begun = process_time()
    stated = statement_of(program)
    assert process_time() - begun < 10  # 0.5 s on an idle machine
    assert len(json.dumps(stated)) < 500_000


def test_models_of_values_have_a_certificate(tmp_path):
    compiled = compile_sequences({"first": Prompts("ab", 4).position == 0}, architecture="gpt2")
    save(compiled, tmp_path / "values", format="huggingface")
    (output,) = certificate_in(tmp_path / "values")["meaning"]["answer"]["values"]
    assert output["name"] == "first"
    assert output["within"] == {"over": [511, 1024]}


@pytest.mark.parametrize("program", [AAB, parse_rules(CONDITION)], ids=["patterns", "conditions"])
def test_a_folder_that_is_compiled_again_keeps_its_claim(tmp_path, program):
    save(compile_program(program), tmp_path / "first")
    folder = read_checkpoint(tmp_path / "first")
    save(compile_again(folder, dtype="float64"), tmp_path / "again", again=folder)
    first, second = certificate_in(tmp_path / "first"), certificate_in(tmp_path / "again")
    assert second["arithmetic"]["weights"] == "float64"
    assert first["program"] == second["program"]
    assert first["files"] != second["files"]


DAMAGED = {
    "no JSON": "{",
    "a list": "[]",
    "nothing": "{}",
    "no meaning": '{"vocabulary": ["a", "b"], "contexts": {}, "meaning": {}}',
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("damage", [*DAMAGED, "other tokens", "a folder"])
def test_a_damaged_certificate_is_not_kept(tmp_path, damage):
    save(compile_program(parse_rules(CONDITION)), tmp_path / "first")
    path = tmp_path / "first" / "certificate.json"
    other = {**certificate_in(tmp_path / "first"), "vocabulary": ["a", "c"]}
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    else:
        path.write_text(DAMAGED.get(damage) or json.dumps(other))
    folder = read_checkpoint(tmp_path / "first")
    save(compile_again(folder), tmp_path / "again", again=folder)
    assert not (tmp_path / "again" / "certificate.json").exists()


def test_how_much_is_proved_on_saving_is_one_of_three(tmp_path):
    with pytest.raises(CheckpointError) as raised:
        save(compile_program(AAB), tmp_path / "model", proof=False)
    assert "proof=False" in str(raised.value)
    assert "'never', 'quick', 'required'" in str(raised.value)
    assert not (tmp_path / "model").exists()
