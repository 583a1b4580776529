"""Llamas, judged by transformers: eager and sdpa, three dtypes, caches, padding, batches, windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from judges import DTYPES, IMPLEMENTATIONS, NATS, judge, long_text, meant, short_texts, worst_margin
from llamas import AAB, ARCHITECTURES, PROGRAMS, SHAPES, WINDOW, begun, random_llama, texts_of

from handcraft import compile_program, predict, save
from handcraft.architecture import LLAMA
from handcraft.errors import CheckpointError
from handcraft.formats import load, verify_folder
from handcraft.formats.huggingface.write_repository import write_model
from handcraft.language import Program
from handcraft.model import as_rounded, continue_ids
from handcraft.testing import as_model, assert_means, cache_machine
from handcraft.testing.models.of_transformers import OfTransformers

torch = judge("torch")
transformers = judge("transformers")

pytestmark = pytest.mark.usefixtures("one_thread")

EVERY = {
    f"{shape}, {architecture}": (SHAPES[shape], ARCHITECTURES[architecture])
    for shape in SHAPES
    for architecture in ARCHITECTURES
} | {"window": (SHAPES["heads in pairs"], WINDOW)}


@pytest.fixture(params=EVERY.values(), ids=EVERY)
def facts(request):
    return request.param


@pytest.fixture(params=DTYPES)
def dtype(request):
    return request.param


@pytest.fixture(params=IMPLEMENTATIONS)
def attention(request):
    return request.param


def read(folder, attention="eager"):
    """The model in a folder, as most people read it."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", attn_implementation=attention
    )
    return model.eval()


def logits_of(judged, ids, **options):
    with torch.no_grad():
        return judged(torch.tensor(ids), **options).logits.float().numpy()


def written(model, folder):
    folder.mkdir()
    write_model(model, folder)
    return folder


def test_random_weights_give_the_logits_of_numpy(facts, dtype, tmp_path):
    model = random_llama(*facts, dtype)
    judged = read(written(model, tmp_path / "model"))
    expected = "MistralForCausalLM" if model.architecture.window else "LlamaForCausalLM"
    assert type(judged).__name__ == expected
    ids = texts_of(model)
    found = logits_of(judged, begun(model, ids))[:, 1:]
    if dtype == "float32":
        np.testing.assert_allclose(found, model.forward(ids), atol=1e-5)
    else:  # every step is rounded as here, so most logits are the same number
        ours = as_rounded(model).forward(ids)
        assert (found == ours).mean() > 0.9
        np.testing.assert_allclose(found, ours, atol=0.02)


def test_what_was_written_is_read_back_and_after_transformers_saved_it_too(facts, dtype, tmp_path):
    model = random_llama(*facts, dtype)
    folder = written(model, tmp_path / "model")
    assert load(folder) == model
    read(folder).save_pretrained(tmp_path / "again")
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "again")
    assert load(tmp_path / "again") == model


def test_the_tokenizer_puts_the_begin_token_before_every_text(tmp_path):
    model = random_llama(SHAPES["heads in pairs"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(written(model, tmp_path / "model"))
    assert tokenizer("abc")["input_ids"] == [5, 0, 1, 2]
    assert (tokenizer.bos_token, tokenizer.pad_token, tokenizer.eos_token) == ("<s>", "<s>", None)
    assert tokenizer.decode([5, 0, 1, 2], skip_special_tokens=True) == "abc"
    batch = tokenizer(["abc", "a"], padding=True)
    assert batch["input_ids"] == [[5, 0, 1, 2], [5, 5, 5, 0]]
    assert batch["attention_mask"] == [[1, 1, 1, 1], [0, 0, 1, 1]]


@pytest.fixture(scope="module")
def compiled():
    known = {}

    def compile_named(name, dtype, **options):
        key = (name, dtype, *options.items())
        if key not in known:
            known[key] = compile_program(PROGRAMS[name], architecture="llama", dtype=dtype, **options)
        return known[key]

    return compile_named


@pytest.mark.parametrize("name", PROGRAMS)
def test_compiled_programs_answer_every_context_and_long_texts(
    compiled, name, dtype, attention, tmp_path
):
    made = compiled(name, dtype)
    judged = read(save(made, tmp_path / "model"), attention)
    assert judged.num_parameters() == made.model.parameters
    source = PROGRAMS[name]
    for texts in (short_texts(len(source.vocabulary), source.context), long_text(2, 1_000)):
        logits = torch.tensor(logits_of(judged, begun(made.model, texts))[:, 1:])
        assert worst_margin(logits, meant(source, texts)) >= NATS


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_both_heads_are_there(dtype, tied, tmp_path):
    made = compile_program(AAB, architecture=replace(LLAMA, tied=tied), dtype=dtype)
    judged = read(save(made, tmp_path / "model"))
    assert judged.config.tie_word_embeddings == tied
    texts = short_texts(2, 8)
    logits = torch.tensor(logits_of(judged, begun(made.model, texts))[:, 1:])
    assert worst_margin(logits, meant(AAB, texts)) >= NATS


def test_answers_with_a_cache_are_those_of_a_full_run_wherever_a_text_is_cut(
    compiled, dtype, attention, tmp_path
):
    made = compiled("aab", dtype)
    judged = read(save(made, tmp_path / "model"), attention)
    text = torch.tensor(begun(made.model, np.array([AAB.vocabulary.ids("aabaabbbaaab")])))
    expected = [AAB.next_token(tuple(text[0, 1 : end + 1].tolist())) for end in range(1, text.shape[1])]
    for cut in range(1, text.shape[1]):
        with torch.no_grad():
            first = judged(text[:, :cut], use_cache=True)
            rest, cache = [], first.past_key_values
            for place in range(cut, text.shape[1]):
                step = judged(text[:, [place]], past_key_values=cache, use_cache=True)
                cache = step.past_key_values
                rest.append(step.logits)
        logits = torch.cat([first.logits, *rest], dim=1)[:, 1:].float()
        assert worst_margin(logits, np.array([expected])) >= NATS


def test_batches_padded_on_the_left_are_continued_as_meant(compiled, dtype, attention, tmp_path):
    made = compiled("aab", dtype)
    folder = save(made, tmp_path / "model")
    judged, tokenizer = read(folder, attention), transformers.AutoTokenizer.from_pretrained(folder)
    prompts = ["a", "aa", "ab", "aabaa", "bbbbbbbbbbbbb", "baabaabaa"]
    batch = tokenizer(prompts, padding=True, return_tensors="pt")
    with torch.no_grad():
        found = judged.generate(**batch, max_new_tokens=20, do_sample=False)
    for prompt, text in zip(
        prompts, tokenizer.batch_decode(found, skip_special_tokens=True), strict=True
    ):
        ids = list(AAB.vocabulary.ids(prompt))
        for _ in range(20):
            ids.append(AAB.next_token(tuple(ids)))
        assert text == AAB.vocabulary.text(ids)
        own = continue_ids(made.model, AAB.vocabulary.ids(prompt), 20)
        assert AAB.vocabulary.text(own) == text[len(prompt) :]


def test_a_batch_gives_what_its_rows_give_alone(compiled, dtype, attention, tmp_path):
    made = compiled("words", dtype)
    judged = read(save(made, tmp_path / "model"), attention)
    texts = begun(made.model, texts_of(made.model, rows=6, length=9))
    together = logits_of(judged, texts).argmax(-1)
    alone = [logits_of(judged, text[None])[0].argmax(-1) for text in texts]
    np.testing.assert_array_equal(together, alone)


def test_a_folder_of_ours_is_verified_as_other_tools_read_it(compiled, dtype, tmp_path):
    assert verify_folder(save(compiled("aab", dtype), tmp_path / "model")).passed


def test_casting_a_model_after_it_was_loaded_rounds_its_frequencies(compiled, tmp_path):
    """What docs/llama.md warns of: state the dtype when the model is loaded."""
    judged = read(save(compiled("aab", "float32"), tmp_path / "model"))
    assert judged.model.rotary_emb.inv_freq.dtype == torch.float32
    folder = save(compiled("aab", "bfloat16"), tmp_path / "half")
    assert read(folder).model.rotary_emb.inv_freq.dtype == torch.float32
    assert judged.to(torch.bfloat16).model.rotary_emb.inv_freq.dtype == torch.bfloat16


def test_a_llama_of_transformers_is_tested_with_its_begin_token(compiled, tmp_path):
    folder = save(compiled("aab", "float32"), tmp_path / "model")
    judged = as_model(read(folder), vocabulary="ab", begin=2)
    assert isinstance(judged, OfTransformers)
    assert judged.positions == 1024
    assert assert_means(judged, AAB).is_all
    machine = cache_machine(judged, longest=6)
    machine.TestCase("runTest").runTest()
    with pytest.raises(AssertionError):
        assert_means(as_model(read(folder), vocabulary="ab"), AAB)


def test_a_folder_with_a_begin_token_elsewhere_is_read_by_transformers(compiled, tmp_path):
    """Its begin token is the first of its ids, so only transformers can read it."""
    folder = save(compiled("aab", "float32"), tmp_path / "model")
    judged, tokens = read(folder), transformers.AutoTokenizer.from_pretrained(folder)
    order = [2, 0, 1]
    with torch.no_grad():
        judged.model.embed_tokens.weight.copy_(judged.model.embed_tokens.weight[order].clone())
    judged.config.bos_token_id = judged.config.pad_token_id = 0
    judged.save_pretrained(tmp_path / "moved")
    tokens.save_pretrained(tmp_path / "moved")
    path = tmp_path / "moved" / "tokenizer.json"
    path.write_text(
        path.read_text()
        .replace('"id": 2,', '"id": 0,')
        .replace('"a": 0', '"a": 1')
        .replace('"b": 1', '"b": 2')
        .replace('"<s>": 2', '"<s>": 0')
        .replace("2\n", "0\n")
    )
    with pytest.raises(CheckpointError, match="bos_token_id is 0"):
        load(tmp_path / "moved")
    found = as_model(tmp_path / "moved", vocabulary={"a": 1, "b": 2})
    assert isinstance(found, OfTransformers)
    assert found.begin == 0
    assert assert_means(found, AAB).is_all


def test_a_width_that_the_class_refuses_is_refused_before_it_is_written(tmp_path):
    model = random_llama(replace(SHAPES["heads in pairs"], n_embd=18, own_head_dim=4))
    with pytest.raises(CheckpointError) as caught:
        written(model, tmp_path / "model")
    assert caught.value.what == (
        "a width of 18 is no multiple of 4 heads, which LlamaForCausalLM requires even where the width "
        "of a head is stated"
    )


def test_a_window_hides_what_is_further_back(tmp_path):
    model = random_llama(SHAPES["heads in pairs"], replace(LLAMA, window=4), "float32")
    judged = read(written(model, tmp_path / "model"))
    ids = texts_of(model, rows=1)
    for back in (1, 3, 4, 30):
        changed = ids.copy()
        changed[0, -1 - back] = (changed[0, -1 - back] + 1) % len(model.vocabulary)
        for logits in (
            lambda each: model.forward(each)[0, -1],
            lambda each: logits_of(judged, begun(model, each))[0, -1],
        ):
            moved = np.abs(logits(changed) - logits(ids)).max()
            # two blocks: what is seen is 2 * (window - 1) back at most
            assert (moved > 1e-4) == (back <= 6)


def test_rules_that_outvote_six_others_are_meant(dtype, tmp_path):
    rules = [predict("ab"[n % 2]).after("a" * n) for n in range(6, 0, -1)]
    source = Program("ab", 8, [*rules, predict("b").otherwise()])
    made = compile_program(source, architecture="llama", dtype=dtype)
    judged = read(save(made, tmp_path / "model"))
    texts = short_texts(2, 8)
    logits = torch.tensor(logits_of(judged, begun(made.model, texts))[:, 1:])
    assert worst_margin(logits, meant(made.source, texts)) >= NATS
