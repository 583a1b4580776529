"""Where values are stored: decoding the model's own residual stream gives what the program says."""

from __future__ import annotations

import numpy as np
import pytest
from gallery import compiled, facts
from hypothesis import given, settings
from sweeps import sweep

from handcraft import compile_program, compile_sequences
from handcraft.errors import AssumptionError, CompileError
from handcraft.ground_truth import locate, of_checkpoint, of_compiled
from handcraft.ground_truth.contexts import drawn_texts, sample_contexts
from handcraft.ground_truth.values.located import state_name
from handcraft.ground_truth.values.observe import known_values
from handcraft.testing import rule_programs, sequence_programs


def checked(subject, *, seen=128, fresh=12):
    """How many values at how many positions of fresh texts were decoded to what the program says."""
    values = [value for value in locate(subject, texts=seen) if value.meant is not None]
    assert {"token", "position"} & {value.name for value in values}
    tokens, right = subject.circuits.vocabulary.tokens, 0
    if subject.predicts:
        texts = [each.texts for each in sample_contexts(subject, 200, seed=1).by_length]
    else:
        texts = drawn_texts(subject, 200, seed=1)
    for row in [row for rows in texts for row in rows.tolist()][-fresh:]:
        text = [tokens[place] for place in row]
        try:
            known = known_values(subject, text)
        except AssumptionError:
            continue
        trace = subject.model.trace(text)
        for value in values:
            for state in range(value.states[0], value.states[1] + 1):
                decoded = value.decode(trace[state_name(subject, state)])
                name, candidate = value.meant
                for meant, found in zip(known[name][candidate], decoded, strict=True):
                    # Else it was not seen before, or a head finds nothing there.
                    if meant in value.codewords:
                        assert any(meant == each for each in found), (value, state, text)
                        right += 1
    return right


NAMES = ["aab", "add", "induction", "sort", "histogram", "grammar", "tictactoe", "ioi"]


@pytest.mark.parametrize("architecture", ["gpt2", "block"])
@pytest.mark.parametrize("name", NAMES)
def test_decoding_gives_the_value_of_the_program(name, architecture):
    assert checked(of_compiled(compiled(name, architecture), name)) > 100


@settings(max_examples=sweep(60))
@given(program=rule_programs())
def test_values_of_random_rules_are_decoded(program):
    assert checked(of_compiled(compile_program(program)))


@settings(max_examples=sweep(60))
@given(program=sequence_programs())
def test_values_of_random_expressions_are_decoded(program):
    try:
        subject = of_compiled(compile_program(program))
    except CompileError:
        return
    assert checked(subject)


def test_values_of_a_model_without_rules_are_decoded():
    from handcraft import Prompts, select

    prompts = Prompts("abc", 6)
    token = prompts.token
    before = token.at(-1, default="a")
    outputs = {"count": select(token, "b").count(), "same": before == token}
    assert checked(of_compiled(compile_sequences(outputs))) > 100


def test_a_decoder_that_is_shifted_by_one_dimension_is_wrong():
    subject = of_compiled(compiled("induction"))
    value = next(each for each in locate(subject) if each.name == "before")
    stream = subject.model.trace("abcab")[state_name(subject, value.states[0])]
    meant = subject.oracle("abcab")["before"]
    meant = meant[value.meant[1]]
    assert [meant[i] in found for i, found in enumerate(value.decode(stream))] == [True] * 5
    moved = value.decode(np.roll(stream, 1, axis=-1))
    assert [meant[i] in found for i, found in enumerate(moved)] != [True] * 5


def test_a_value_has_its_name_and_the_line_where_it_was_written():
    values = {value.name: value for value in locate(of_compiled(compiled("add")))}
    carry = values["carry"]
    assert carry.origin is not None
    assert carry.origin.place is not None
    assert carry.origin.place.short.startswith("add.py:37")
    assert dict(carry.codewords) == {False: (0,), True: (1,)}
    assert carry.encodings == ("scalar",)
    assert (carry.written, carry.states, carry.read) == (2, (2, 4), 3)


def test_circuits_laid_out_by_hand_have_the_codewords_that_they_state():
    from handcraft.cli.input.sources import find

    found = find("by_hand").source
    values = {value.name: value for value in locate(of_compiled(compile_program(found)))}
    assert dict(values["token"].codewords) == {"a": (1, 0), "b": (0, 1)}


def test_a_folder_gives_the_places_of_what_it_was_compiled_from(tmp_path):
    from handcraft import read_checkpoint, save

    made = compiled("induction")
    save(made, tmp_path / "model")
    folder = of_checkpoint(read_checkpoint(tmp_path / "model"))
    for one, other in zip(locate(of_compiled(made)), locate(folder), strict=True):
        assert (one.name, one.states, one.read) == (other.name, other.states, other.read)
        np.testing.assert_array_equal(one.matrix, other.matrix)
    assert facts("induction")["program"].context == folder.circuits.context
