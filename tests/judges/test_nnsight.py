"""Compiled checkpoints in nnsight: the same logits, and every block can be read and written."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from judges import (
    AAB,
    DTYPES,
    NATS,
    PROGRAMS,
    continued,
    gpt2_in_memory,
    judge,
    meant,
    short_texts,
    worst_margin,
)
from sweeps import part

torch = judge("torch")
transformers = judge("transformers")
nnsight = judge("nnsight")

pytestmark = pytest.mark.usefixtures("one_thread")


def opened(folder, **options):
    """A folder as nnsight reads it by itself."""
    return nnsight.TransformersModel(
        str(folder), task="text-generation", dispatch=True, device_map="cpu", **options
    )


def as_hidden(output):
    """The residual stream that a block gives: alone, or first of several in older versions."""
    return output[0] if isinstance(output, tuple) else output


@pytest.mark.parametrize(("name", "dtype"), part([*product(PROGRAMS, DTYPES)], 0, 2))
def test_a_traced_model_gives_the_logits_of_transformers_to_the_last_bit(folder, name, dtype):
    source = PROGRAMS[name]
    model = transformers.AutoModelForCausalLM.from_pretrained(folder(name, dtype))
    length = min(12, model.config.n_positions)
    texts = np.random.default_rng(4).integers(0, len(source.vocabulary), size=(6, length))
    ids = torch.as_tensor(texts)
    with torch.no_grad():
        wanted = model(ids, output_hidden_states=True)

    traced = nnsight.NNsight(model)
    with torch.no_grad(), traced.trace(ids):
        embedded = traced.transformer.drop.output.save()
        first = traced.transformer.h[0].output.save()
        normed = traced.transformer.ln_f.output.save()
        logits = traced.lm_head.output.save()

    assert logits.dtype == getattr(torch, dtype)
    assert torch.equal(logits, wanted.logits)
    assert torch.equal(embedded, wanted.hidden_states[0])
    assert torch.equal(normed, wanted.hidden_states[-1])
    if model.config.n_layer > 1:
        assert torch.equal(as_hidden(first), wanted.hidden_states[1])
    else:
        assert torch.equal(model.transformer.ln_f(as_hidden(first)), wanted.hidden_states[-1])
    expected = meant(source, texts)
    np.testing.assert_array_equal(logits.argmax(-1).numpy(), expected)
    assert worst_margin(logits, expected) > NATS


@pytest.mark.parametrize("name", [AAB, "words", "two layers of neurons"])
def test_a_folder_is_opened_and_a_text_traced(folder, name):
    source = PROGRAMS[name]
    text = source.vocabulary.text([0, 1, 0, 0, 1])
    model = opened(folder(name))
    with torch.no_grad(), model.trace(text):
        last = model.transformer.h[-1].output.save()
        logits = model.lm_head.output.save()
    plain = transformers.AutoModelForCausalLM.from_pretrained(folder(name))
    with torch.no_grad():
        wanted = plain(torch.tensor([[0, 1, 0, 0, 1]]), output_hidden_states=True)
        assert torch.equal(plain.transformer.ln_f(as_hidden(last)), wanted.hidden_states[-1])
    assert torch.equal(logits, wanted.logits)
    expected = meant(source, np.array([[0, 1, 0, 0, 1]]))
    np.testing.assert_array_equal(logits.argmax(-1).numpy(), expected)


def test_the_stream_read_after_the_first_block_is_the_one_that_was_laid_out(folder, compiled):
    texts = short_texts(2, 6)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder(AAB))
    traced = nnsight.NNsight(model)
    with torch.no_grad(), traced.trace(torch.as_tensor(texts)):
        first = traced.transformer.h[0].output.save()
    stream = as_hidden(first).numpy()
    layout, unembedding = compiled(AAB).layout, compiled(AAB).circuits.unembedding
    start, width = layout.start[unembedding], unembedding.width
    written = stream[..., start : start + width]
    np.testing.assert_array_equal(written.argmax(-1), meant(PROGRAMS[AAB], texts))
    np.testing.assert_allclose(stream.sum(-1), 0, atol=1e-5)  # what LayerNorm takes away is nothing


def test_a_token_written_into_the_stream_changes_the_answer(compiled):
    model = gpt2_in_memory(compiled(AAB))
    traced = nnsight.NNsight(model)
    ids = torch.tensor([[0, 0, 0, 0]])  # aaaa: b follows
    other = torch.tensor([[0, 0, 1, 0]])  # aaba: a follows
    with torch.no_grad():
        swapped = model.transformer.wte(other) + model.transformer.wpe(torch.arange(4))
        with traced.trace(ids):
            traced.transformer.drop.output = swapped
            logits = traced.lm_head.output.save()
        untouched, meant_there = model(ids).logits, model(other).logits
    assert untouched[0, -1].argmax() == 1
    assert logits[0, -1].argmax() == 0
    assert torch.equal(logits, meant_there)


@pytest.mark.parametrize(("name", "prompt"), [(AAB, "bb"), ("words", "the cat")])
def test_generation_gives_the_meant_text(folder, name, prompt):
    model = opened(folder(name))
    with torch.no_grad(), model.generate(prompt, max_new_tokens=20, do_sample=False) as tracer:
        written = tracer.result.save()
    assert model.tokenizer.decode(written[0]) == continued(PROGRAMS[name], prompt, 20)
