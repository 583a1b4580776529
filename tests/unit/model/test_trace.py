"""The trace holds what its docstring says, in the shapes it says, and it all hangs together."""

from __future__ import annotations

import numpy as np
import pytest

from handcraft.errors import ModelError, VocabularyError
from handcraft.model import merge_heads

ATTENTION = ("query", "key", "value", "scores", "pattern", "head_output", "output")
MLP = ("pre_activation", "hidden", "output")


@pytest.fixture
def traced(random_model, shape):
    model = random_model(shape, seed=5)
    ids = np.random.default_rng(4).integers(0, shape.n_vocab, shape.n_positions).tolist()
    return model, ids, model.trace(model.vocabulary.text(ids))


def linear(model, name, x):
    return x @ model.tensors[f"{name}.weight"] + model.tensors[f"{name}.bias"]


def test_it_names_every_part_and_nothing_else(traced):
    model, _, trace = traced
    names = {"embedding", "logits"}
    for i, inner in enumerate(model.shape.n_inner):
        names |= {f"h.{i}.after_attention", f"h.{i}.output"}
        names |= {f"h.{i}.attn.{part}" for part in ATTENTION}
        names |= {f"h.{i}.mlp.{part}" for part in MLP} if inner else set()
    assert set(trace) == names
    assert len(trace) == len(names)


def test_every_part_has_the_shape_that_is_documented(traced):
    model, ids, trace = traced
    n, shape = len(ids), model.shape
    stream, per_head = (n, shape.n_embd), (shape.n_head, n, shape.head_dim)
    assert trace["embedding"].shape == stream
    assert trace["logits"].shape == (n, shape.n_vocab)
    for i, inner in enumerate(shape.n_inner):
        for part in ("after_attention", "output", "attn.output"):
            assert trace[f"h.{i}.{part}"].shape == stream
        for part in ("query", "key", "value", "head_output"):
            assert trace[f"h.{i}.attn.{part}"].shape == per_head
        for part in ("scores", "pattern"):
            assert trace[f"h.{i}.attn.{part}"].shape == (shape.n_head, n, n)
        if inner:
            assert trace[f"h.{i}.mlp.pre_activation"].shape == (n, inner)
            assert trace[f"h.{i}.mlp.hidden"].shape == (n, inner)
            assert trace[f"h.{i}.mlp.output"].shape == stream


def test_it_remembers_the_prompt(traced):
    model, ids, trace = traced
    assert trace.tokens == tuple(model.vocabulary.tokens[i] for i in ids)


def test_the_embedding_is_token_plus_position(traced):
    model, ids, trace = traced
    expected = model.tensors["wte.weight"][ids] + model.tensors["wpe.weight"][: len(ids)]
    np.testing.assert_array_equal(trace["embedding"], expected)


def test_every_part_adds_to_the_stream_before_it(traced):
    model, _, trace = traced
    x = trace["embedding"]
    for i, inner in enumerate(model.shape.n_inner):
        x = x + trace[f"h.{i}.attn.output"]
        np.testing.assert_allclose(trace[f"h.{i}.after_attention"], x)
        x = x + (trace[f"h.{i}.mlp.output"] if inner else 0)
        np.testing.assert_allclose(trace[f"h.{i}.output"], x)
    np.testing.assert_allclose(trace["logits"], x @ model.tensors["wte.weight"].T)


def test_the_logits_are_those_of_forward(traced):
    model, ids, trace = traced
    np.testing.assert_allclose(trace["logits"], model.forward([ids])[0], rtol=1e-12, atol=1e-12)


def test_scores_are_query_times_key_before_the_mask(traced):
    model, _, trace = traced
    for i in range(model.shape.n_layer):
        q, k = trace[f"h.{i}.attn.query"], trace[f"h.{i}.attn.key"]
        expected = np.einsum("hid,hjd->hij", q, k) / np.sqrt(model.shape.head_dim)
        np.testing.assert_allclose(trace[f"h.{i}.attn.scores"], expected, rtol=1e-12, atol=1e-12)


def test_patterns_are_causal_and_their_rows_sum_to_1(traced):
    model, _, trace = traced
    for i in range(model.shape.n_layer):
        pattern = trace[f"h.{i}.attn.pattern"]
        np.testing.assert_allclose(pattern.sum(axis=-1), 1)
        assert (np.triu(pattern, 1) == 0).all()
        assert (pattern >= 0).all()


def test_patterns_are_the_softmax_of_the_scores_seen(traced):
    model, ids, trace = traced
    for i in range(model.shape.n_layer):
        scores = trace[f"h.{i}.attn.scores"]
        for here in range(len(ids)):
            weights = np.exp(scores[:, here, : here + 1])
            expected = weights / weights.sum(axis=-1, keepdims=True)
            np.testing.assert_allclose(trace[f"h.{i}.attn.pattern"][:, here, : here + 1], expected)


def test_heads_give_the_mean_of_the_values_and_c_proj_writes_it(traced):
    model, _, trace = traced
    for i in range(model.shape.n_layer):
        name = f"h.{i}.attn"
        out = trace[f"{name}.pattern"] @ trace[f"{name}.value"]
        np.testing.assert_allclose(trace[f"{name}.head_output"], out, rtol=1e-12, atol=1e-12)
        written = linear(model, f"{name}.c_proj", merge_heads(out[None])[0])
        np.testing.assert_allclose(trace[f"{name}.output"], written, rtol=1e-12, atol=1e-12)


def test_hidden_units_are_the_positive_part_of_what_comes_before(traced):
    model, _, trace = traced
    for i, inner in enumerate(model.shape.n_inner):
        if inner:
            name = f"h.{i}.mlp"
            before = linear(model, f"{name}.c_fc", trace[f"h.{i}.after_attention"])
            np.testing.assert_allclose(trace[f"{name}.pre_activation"], before)
            np.testing.assert_allclose(trace[f"{name}.hidden"], np.maximum(before, 0))
            written = linear(model, f"{name}.c_proj", trace[f"{name}.hidden"])
            np.testing.assert_allclose(trace[f"{name}.output"], written)


def test_pre_activations_keep_their_negative_values(small):
    trace = small.trace("abcab")
    assert (trace["h.0.mlp.pre_activation"] < 0).any()
    assert (trace["h.0.mlp.hidden"] >= 0).all()


def test_no_part_of_a_trace_shares_memory_with_another_or_with_the_model(small):
    trace = small.trace("abc")
    for name in trace:
        before = {other: trace[other].copy() for other in trace if other != name}
        kept = trace[name].copy()
        trace[name][:] = 77.0
        for other, value in before.items():
            np.testing.assert_array_equal(trace[other], value, err_msg=f"{name} is {other}")
        trace[name][:] = kept
    np.testing.assert_array_equal(small.trace("abc")["logits"], trace["logits"])


def test_a_trace_is_shown_by_its_names_and_shapes(small):
    lines = repr(small.trace("abc")).splitlines()
    assert lines[0] == "trace of a b c"
    assert "h.0.attn.pattern [2, 3, 3]" in lines
    assert "h.0.mlp.hidden [3, 6]" in lines
    assert len(lines) == 1 + len(small.trace("abc"))


def test_an_error_for_a_missing_name_lists_those_there_are(small):
    with pytest.raises(ModelError) as caught:
        small.trace("abc")["h.9.output"]
    assert caught.value.what == "the trace has no 'h.9.output'"
    assert "h.0.attn.pattern" in caught.value.fix


def test_it_says_whether_a_name_is_there(small):
    trace = small.trace("abc")
    assert "h.0.output" in trace
    assert "h.9.output" not in trace


def test_it_gives_a_default_as_every_mapping_does(small):
    assert small.trace("abc").get("h.9.output") is None


@pytest.mark.parametrize(
    ("prompt", "error"),
    [("", ModelError), ("abcabc", ModelError), ("abX", VocabularyError)],
)
def test_a_prompt_that_cannot_be_run_is_refused(small, prompt, error):
    with pytest.raises(error):
        small.trace(prompt)


def test_a_run_resumes_from_every_state_of_the_residual_stream(traced):
    model, _, trace = traced
    for done, name in enumerate(stream_names(model)):
        logits = model.resume(trace[name][None], done)[0]
        assert np.allclose(logits, trace["logits"], atol=1e-5), name


def test_a_change_of_the_residual_stream_reaches_the_logits_of_later_positions_only(traced):
    model, ids, trace = traced
    last = len(ids) - 1
    for done, name in enumerate(stream_names(model)):
        changed = trace[name][None].copy()
        changed[0, last] += np.arange(model.shape.n_embd)
        moved = np.abs(model.resume(changed, done)[0] - trace["logits"]).max(axis=-1) > 1e-3
        assert not moved[:last].any()
        assert moved[last]


def stream_names(model):
    """The states of the residual stream, as a trace calls them, in order."""
    halves = (
        f"h.{i}.{half}" for i in range(model.shape.n_layer) for half in ("after_attention", "output")
    )
    return ["embedding", *halves]
