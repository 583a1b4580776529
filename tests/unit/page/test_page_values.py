"""Pages of models of values: page.mjs reads the values that Python reads, and knows which are meant."""

import json
import os
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from handcraft import Prompts, compile_sequences, select, where
from handcraft.errors import CompileError, PrecisionError
from handcraft.formats import read_checkpoint, save
from handcraft.page import of_checkpoint, of_compiled, page_data
from handcraft.testing import declared_prompts, expressions

from .pages import in_node, needs_node

pytestmark = needs_node

EXAMPLES = int(os.environ.get("HANDCRAFT_EXAMPLES", "6"))

UNCHECKED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]


def texts_of(prompts, count=30):
    """Some texts of every length, as places in the vocabulary."""
    rng = np.random.default_rng(0)
    most = len(prompts.vocabulary)
    return [rng.integers(most, size=1 + n % prompts.context).tolist() for n in range(count)]


def written(value):
    """A value as JavaScript writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def assert_same_values(made, subject, folder):
    """The page decodes every output as Python does, and finds it to be what the expressions mean."""
    texts = texts_of(made.prompts)
    tokens = made.prompts.vocabulary.tokens
    found = in_node(folder, page_data(subject), valued=texts)["computed"]
    wanted = made.apply([[tokens[place] for place in text] for text in texts])
    for n, (text, rows) in enumerate(zip(texts, found, strict=True)):
        for output, row in zip(made.outputs, rows, strict=True):
            where_ = (output.name, text)
            assert all(is_right is not False for _, is_right in row), where_
            if output.is_distinguishable:
                assert [shown for shown, _ in row] == [*map(written, wanted[output.name][n])], where_
            else:
                numbers = [float(shown) for shown, _ in row]
                assert numbers == pytest.approx(wanted[output.name][n], rel=1e-5, abs=1e-5), where_


def every_kind(context=6):
    """Outputs of every kind: counts, fractions, flags, labels, negative numbers."""
    prompts = Prompts("abc", context=context)
    token, position = prompts.token, prompts.position
    seen = select(token, token).count()
    share = select(position, position, "<=").mean(where(token == "a", 1, 0))
    return {
        "seen": seen,
        "share": share,
        "scaled": share * Fraction(3, 7) - 2,
        "before": token.at(-1, default="c"),
        "first": seen == 1,
        "always": seen == seen,
        "pair": where(token == "a", position - 3, Fraction(1, 2)),
        "label": token.map({"a": ("x", 1), "b": ("y", 2), "c": ("z", 3)}),
    }


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
def test_values_of_every_kind_are_those_that_python_reads(architecture, tmp_path):
    made = compile_sequences(every_kind(), architecture=architecture)
    assert_same_values(made, of_compiled(made), tmp_path)


def test_a_folder_of_a_model_of_values_has_the_same_values_and_meaning(tmp_path):
    made = compile_sequences(every_kind())
    checkpoint = read_checkpoint(save(made, tmp_path / "model"))
    assert_same_values(made, of_checkpoint(checkpoint), tmp_path)
    data, own = page_data(of_checkpoint(checkpoint)), page_data(of_compiled(made))
    assert data["meaning"]["nodes"] == own["meaning"]["nodes"]
    assert [{**each, "reads": 0, "within": 0} for each in data["outputs"]] == [
        {**each, "reads": 0, "within": 0, "line": None} for each in own["outputs"]
    ]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=UNCHECKED)
@given(st.data(), st.sampled_from(["block", "gpt2"]), st.booleans())
def test_of_random_expressions(tmp_path, data, architecture, causal):
    prompts = data.draw(declared_prompts(max_tokens=3, causal=causal))
    outputs = {f"value {i}": data.draw(expressions(prompts, depth=3, wide=i == 0)) for i in range(2)}
    try:
        made = compile_sequences(outputs, architecture=architecture)
    except (CompileError, PrecisionError):
        reject()
    assert_same_values(made, of_compiled(made), tmp_path)


def test_numbers_that_a_tolerance_does_not_tell_apart_stay_numbers(tmp_path):
    prompts = Prompts("ab", context=5)
    mean = select(prompts.token, prompts.token).mean(prompts.position)
    outputs = {"x": prompts.everything.mean(mean)}
    made = compile_sequences(outputs, architecture="gpt2", tolerance=1e-3)
    assert not made.outputs[0].is_distinguishable
    assert_same_values(made, of_compiled(made), tmp_path)


def test_a_text_that_breaks_an_assumption_is_neither_right_nor_wrong(tmp_path):
    prompts = Prompts("ab", context=4)
    made = compile_sequences({"before": prompts.token.at(-1, default="a").assume(["a"])})
    found = in_node(tmp_path, page_data(of_compiled(made)), valued=[[0, 0, 1], [0, 1, 0]])["computed"]
    assert [[is_right for _, is_right in rows[0]] for rows in found] == [
        [True, True, True],
        [True, True, None],
    ]


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
def test_the_terms_of_a_number_add_up_to_it(architecture, tmp_path):
    made = compile_sequences(every_kind(4), architecture=architecture)
    found = in_node(tmp_path, page_data(of_compiled(made)), summed=[0, 1, 0, 2])["sums"]
    assert found["outputs"]["count"] == 4 * len(made.outputs)
    assert found["outputs"]["plain"] == 0
    assert found["outputs"]["off"] <= 1e-12
    assert "logits" not in found


def test_a_certificate_about_other_outputs_is_not_shown(tmp_path):
    made = compile_sequences(every_kind(4))
    folder = save(made, tmp_path / "model")
    certificate = folder / "certificate.json"
    certificate.write_text(certificate.read_text().replace('"name": "seen"', '"name": "sawn"'))
    assert '"sawn"' in certificate.read_text()
    manifest = folder / "handcraft.json"
    facts = json.loads(manifest.read_text())
    said = []
    for known in (facts, {**facts, "words": None}):  # folders written before have no words
        manifest.write_text(json.dumps(known))
        data = page_data(of_checkpoint(read_checkpoint(folder)))
        assert data["meaning"] is None
        said.append(data["noMeaning"])
    assert said == [
        "the certificate states another program than handcraft.json describes",
        "the certificate of the folder is about other outputs",
    ]
