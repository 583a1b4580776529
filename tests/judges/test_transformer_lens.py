"""Compiled checkpoints in TransformerLens: same answers, also after LayerNorm is folded away.

Folding and centring should move no logit difference by more than 1e-4. Measured on 9 programs of
`PROGRAMS` and 100 random ones, whose logits differ by up to 488 nats:

- Where only the weights are float32, as TransformerLens always folds them, and the arithmetic is
  float64, a difference moves by 4.9e-8 of the largest one at most: float32 rounds by up to 6e-8.
- Where the arithmetic is float32 too, it moves by 4e-7 of the largest one at most, which is 1.05e-4.
  The folded weights are not the cause: TransformerLens computes LayerNorm with other operations than
  torch, and that alone, with untouched weights, moves a difference by up to 1.02e-4.

So 1e-4 holds wherever logits differ by less than 250 nats, and what is left is rounding.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from judges import (
    AAB,
    NATS,
    PROGRAMS,
    continued,
    drawn,
    gpt2_in_memory,
    judge,
    long_text,
    meant,
    short_texts,
    worst_margin,
)
from sweeps import part, sweep

from handcraft import compile_program
from handcraft.testing import rule_programs

torch = judge("torch")
transformers = judge("transformers")
model_bridge = judge("transformer_lens.model_bridge")

pytestmark = pytest.mark.usefixtures("one_thread")

ABSOLUTE = 1e-4
"""By how much a logit difference may move, in nats."""

ROUNDING = 5e-7
"""By how much of the largest one it may move where that is more: about four roundings of float32."""


def forgiving_tokenizer(folder):
    """The tokenizer of a folder, which takes what it does not know for padding instead of failing.

    TransformerLens tries every tokenizer on the letter a, to see what it puts before a text. Ours fail
    where that is no token. This is what people with such a vocabulary write.
    """
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.model.unk_token = tokenizer.pad_token
    return tokenizer


def bridge_to(folder, model=None):
    """TransformerLens on a folder, or on a model in memory with the tokenizer of the folder.

    A bridge rebuilds the model that it is given: make a new one for everything else.
    """
    tokenizer = forgiving_tokenizer(folder)
    boot = model_bridge.TransformerBridge.boot_transformers
    if model is None:
        return boot(str(folder), tokenizer=tokenizer, device="cpu")
    return boot(str(folder), hf_model=model, tokenizer=tokenizer, dtype=model.dtype, device="cpu")


def processed(bridge, **options):
    """The bridge after folding LayerNorm and value biases, and centring what writes and unembeds."""
    before = {name: tensor.clone() for name, tensor in bridge.state_dict().items()}
    bridge.enable_compatibility_mode(disable_warnings=True, **options)
    if not options:
        after = bridge.state_dict()
        assert any(name not in after or not torch.equal(before[name], after[name]) for name in before)
        gains = [block.ln1.weight for block in bridge.blocks] + [bridge.ln_final.weight]
        assert all((gain == 1).all() for gain in gains)  # folded away
    return bridge


def logits(model, ids):
    """The logits of a bridge or of a model of transformers: [text, position, n_vocab]."""
    with torch.inference_mode():
        answer = model(torch.as_tensor(ids))
    return answer if isinstance(answer, torch.Tensor) else answer.logits


def texts_for(source, compiled):
    """Short and long texts: each [text, position]."""
    size, positions = len(source.vocabulary), compiled.circuits.context
    return [short_texts(size, min(6, positions), most=800), long_text(size, min(500, positions))]


def assert_means(bridge, source, compiled):
    for texts in texts_for(source, compiled):
        expected = meant(source, texts)
        answers = logits(bridge, texts)
        np.testing.assert_array_equal(answers.argmax(-1).numpy(), expected)
        assert worst_margin(answers, expected) > NATS


def differences(rows, right):
    """Every logit less that of the right token, in float64: [text, position, n_vocab]."""
    wide = rows.double()
    return wide - wide.gather(-1, torch.as_tensor(right)[..., None])


def moved_by_folding(make, source, compiled):
    """The most that folding and centring move a logit difference, and the largest difference, in nats.

    Args:
        make: a function that boots a new bridge.
        source: the program.
        compiled: what was compiled.
    """
    plain, folded = make(), processed(make())
    moved, largest = [], []
    for texts in texts_for(source, compiled):
        right = meant(source, texts)
        before, after = (differences(logits(bridge, texts), right) for bridge in (plain, folded))
        moved.append(float((after - before).abs().max()))
        largest.append(float(before.abs().max()))
    return max(moved), max(largest)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_bridge_gives_the_logits_of_transformers(folder, compiled, name):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder(name), attn_implementation="eager")
    bridge = bridge_to(folder(name))
    for texts in texts_for(PROGRAMS[name], compiled(name)):
        wanted = logits(model, texts)
        bound = max(ABSOLUTE, ROUNDING * float(wanted.max() - wanted.min()))
        torch.testing.assert_close(logits(bridge, texts), wanted, rtol=0, atol=bound)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_bridge_answers_as_the_program_means(folder, compiled, name):
    assert_means(bridge_to(folder(name)), PROGRAMS[name], compiled(name))


@pytest.mark.parametrize("name", PROGRAMS)
def test_in_compatibility_mode_it_answers_as_the_program_means(folder, compiled, name):
    assert_means(processed(bridge_to(folder(name))), PROGRAMS[name], compiled(name))


@pytest.mark.parametrize(("name", "dtype"), part([*product(PROGRAMS, ["float32", "float64"])], 0, 3))
def test_folding_and_centring_move_no_logit_difference(folder, compiled, name, dtype):
    def make():
        return bridge_to(folder(name), gpt2_in_memory(compiled(name), dtype=getattr(torch, dtype)))

    moved, _ = moved_by_folding(make, PROGRAMS[name], compiled(name))
    assert moved <= ABSOLUTE


@drawn(sweep(25))
@given(program=rule_programs())
def test_random_programs_answer_as_they_mean_before_and_after_folding(folder, program):
    compiled = compile_program(program)

    def boot(dtype):
        return bridge_to(folder(AAB), gpt2_in_memory(compiled, dtype=dtype))

    assert_means(boot(torch.float32), program, compiled)
    assert_means(processed(boot(torch.float32)), program, compiled)
    moved, _ = moved_by_folding(lambda: boot(torch.float64), program, compiled)
    assert moved <= ABSOLUTE
    moved, largest = moved_by_folding(lambda: boot(torch.float32), program, compiled)
    assert moved <= max(ABSOLUTE, ROUNDING * largest)


def test_without_processing_compatibility_mode_changes_no_logit(folder):
    texts = short_texts(2, 8)
    plain = logits(bridge_to(folder(AAB)), texts)
    assert torch.equal(logits(processed(bridge_to(folder(AAB)), no_processing=True), texts), plain)


def test_a_processing_that_moves_logits_would_have_been_seen(folder, compiled):
    made = []

    def make():
        model = gpt2_in_memory(compiled(AAB))
        if made:  # the one that is then folded
            with torch.no_grad():
                model.transformer.h[0].mlp.c_proj.weight.mul_(1 + 1e-5)
        made.append(bridge_to(folder(AAB), model))
        return made[-1]

    moved, _ = moved_by_folding(make, PROGRAMS[AAB], compiled(AAB))
    assert moved > 2 * ABSOLUTE


@pytest.mark.parametrize("is_processed", [False, True])
def test_attention_is_seen_to_be_hard(folder, is_processed):
    bridge = bridge_to(folder(AAB))
    if is_processed:
        processed(bridge)
    with torch.inference_mode():
        _, cache = bridge.run_with_cache(torch.as_tensor(long_text(2, 200)))
    pattern = cache["blocks.0.attn.hook_pattern"][0]  # [head, destination, source]
    assert sorted(set(pattern.unique().tolist())) == [0, 1]
    (looked,) = pattern.argmax(-1)
    assert looked.tolist() == [0, *range(199)]


@pytest.mark.parametrize("is_processed", [False, True])
@pytest.mark.parametrize(("name", "prompt"), [(AAB, "aabaa"), ("words", "dog the cat")])
def test_a_text_goes_in_and_its_continuation_comes_out(folder, name, prompt, is_processed):
    bridge = bridge_to(folder(name))
    if is_processed:
        processed(bridge)
    source = PROGRAMS[name]
    tokens = bridge.to_tokens(prompt, prepend_bos=False)
    assert tokens.tolist() == [list(source.vocabulary.ids(prompt))]
    assert bridge.to_string(tokens[0]) == prompt
    # Without its cache: TransformerLens 4.3 looks for the cache of transformers under the name that it
    # had before 5.24, finds none, and then runs on the last token alone.
    options = {"prepend_bos": False, "use_past_kv_cache": False, "verbose": False}
    written = bridge.generate(prompt, max_new_tokens=30, do_sample=False, **options)
    assert written == continued(source, prompt, 30)


def test_a_folder_whose_tokens_include_the_letter_a_boots_with_its_own_tokenizer(folder):
    bridge = model_bridge.TransformerBridge.boot_transformers(str(folder(AAB)), device="cpu")
    assert_means(bridge, PROGRAMS[AAB], compile_program(PROGRAMS[AAB]))
    assert bridge.to_tokens("aab", prepend_bos=False).tolist() == [[0, 0, 1]]


def test_any_other_folder_needs_a_tokenizer_that_accepts_unknown_text(folder):
    with pytest.raises(Exception, match="UNK"):
        model_bridge.TransformerBridge.boot_transformers(str(folder("words")), device="cpu")
