"""Compiled checkpoints, judged by transformers: GPT2LMHeadModel answers what the rules mean."""

from __future__ import annotations

import json
import random
import re
import shutil
import tempfile
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judges import (
    AAB,
    DTYPES,
    IMPLEMENTATIONS,
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

from handcraft import Program, Prompts, compile_program, predict, save, select
from handcraft.formats.huggingface.tokenizer import tokenizer_config, tokenizer_json
from handcraft.testing import rule_programs
from handcraft.vocabulary import Vocabulary

torch = judge("torch")
transformers = judge("transformers")
safetensors = judge("safetensors")
safetensors_torch = judge("safetensors.torch")

pytestmark = pytest.mark.usefixtures("one_thread")

NOTHING = {"missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"}

SHORT, LONG = 6, 1_000

AAB_203 = ("aab" * 68)[:203]
"""aab and the 200 tokens that follow it."""


def read(folder, **options):
    """The model in a folder, as most people read it."""
    return transformers.AutoModelForCausalLM.from_pretrained(folder, **options)


def read_tokenizer(folder):
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def known(folder):
    """A function that reads the model of a program and its tokenizer once, for who changes neither."""

    @cache
    def read_named(name, dtype, attention="sdpa"):
        model = read(folder(name, dtype), attn_implementation=attention)
        assert model.dtype == getattr(torch, dtype)
        return model, read_tokenizer(folder(name, dtype))

    return read_named


def logits(model, ids, **inputs):
    """[text, position, n_vocab], and no number of any layer leaves the model's own dtype."""
    ids = torch.as_tensor(ids)
    with torch.inference_mode():
        answer = model(ids, output_hidden_states=True, **{"use_cache": False, **inputs})
    assert {state.dtype for state in answer.hidden_states} == {model.dtype}
    assert answer.logits.dtype == model.dtype
    assert answer.logits.isfinite().all()
    return answer.logits


def assert_answers(model, source, compiled, most=5_000):
    """Assert that the meant token leads by more than `NATS`, on short texts and on a long one."""
    size, positions = len(source.vocabulary), compiled.circuits.context
    short = short_texts(size, min(SHORT, positions), most)
    long = long_text(size, min(LONG, positions))
    for texts in (short, long):
        expected = meant(source, texts)
        answers = logits(model, texts)
        np.testing.assert_array_equal(answers.argmax(-1).numpy(), expected)
        assert worst_margin(answers, expected) > NATS


def step_by_step(model, ids):
    """The logits when every token is given alone, with what the cache kept of those before it."""
    cache, rows = None, []
    with torch.inference_mode():
        for position in range(ids.shape[1]):
            here = ids[:, position : position + 1]
            answer = model(here, cache=cache, use_cache=True)
            cache = answer.cache
            rows.append(answer.logits)
    assert cache.get_seq_length() == ids.shape[1]
    return torch.cat(rows, dim=1)


# Loading


@pytest.mark.parametrize(
    ("name", "attention", "dtype"), part([*product(PROGRAMS, IMPLEMENTATIONS, DTYPES)], 0, 5)
)
def test_from_pretrained_finds_every_tensor_and_warns_of_nothing(folder, name, dtype, attention, said):
    model, found = read(
        folder(name, dtype), attn_implementation=attention, dtype=dtype, output_loading_info=True
    )
    tokenizer = read_tokenizer(folder(name, dtype))
    assert found.keys() >= NOTHING
    assert {key: list(value) for key, value in found.items() if value} == {}
    assert said == []
    assert type(model) is transformers.GPT2LMHeadModel
    assert model.config._attn_implementation == attention
    assert {tensor.dtype for tensor in model.parameters()} == {getattr(torch, dtype)}
    assert len(tokenizer) == model.config.vocab_size


@pytest.mark.parametrize("dtype", DTYPES)
def test_by_default_a_model_is_read_in_the_dtype_it_was_compiled_in(folder, dtype):
    assert read(folder(AAB, dtype)).dtype == getattr(torch, dtype)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_file_holds_the_parameters_of_the_model_and_nothing_else(folder, name):
    stored = safetensors_torch.load_file(folder(name) / "model.safetensors")
    model = read(folder(name))
    parameters = dict(model.named_parameters())  # a tied tensor is listed once
    assert stored.keys() == parameters.keys()
    assert all(torch.equal(stored[key], parameters[key]) for key in stored)
    assert model.lm_head.weight is model.transformer.wte.weight


def test_the_file_says_that_it_is_for_torch(folder):
    with safetensors.safe_open(folder(AAB) / "model.safetensors", framework="pt") as file:
        assert file.metadata()["format"] == "pt"


SIZES = {"vocab_size", "n_positions", "n_embd", "n_head", "n_layer", "n_inner"}
TOKENS = {"bos_token_id", "eos_token_id", "pad_token_id"}
DROPOUTS = {"attn_pdrop", "embd_pdrop", "resid_pdrop"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_apart_from_sizes_tokens_and_dropout_it_is_gpt2_as_it_was_published(folder, name):
    config = transformers.AutoConfig.from_pretrained(folder(name))
    ours, default = config.to_dict(), transformers.GPT2Config().to_dict()
    changed = {key for key in ours.keys() | default.keys() if ours.get(key) != default.get(key)}
    about_the_file = {"architectures", "dtype", "n_ctx", "transformers_version", "_name_or_path"}
    assert changed <= SIZES | TOKENS | DROPOUTS | about_the_file
    assert (config.activation_function, config.layer_norm_epsilon) == ("gelu_new", 1e-5)
    assert config.n_inner == 4 * config.n_embd
    assert ours["n_ctx"] == config.n_positions
    assert {ours[key] for key in DROPOUTS} == {0}
    assert config.architectures == ["GPT2LMHeadModel"]


def damaged(folder, target, change):
    """A copy of a folder, with its tensors changed."""
    shutil.copytree(folder, target)
    tensors = safetensors_torch.load_file(target / "model.safetensors")
    change(tensors)
    safetensors_torch.save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    return target


def test_a_missing_tensor_would_have_been_seen(folder, tmp_path, said):
    def change(tensors):
        del tensors["transformer.h.0.ln_1.bias"]

    _, found = read(damaged(folder(AAB), tmp_path / "less", change), output_loading_info=True)
    assert set(found["missing_keys"]) == {"transformer.h.0.ln_1.bias"}
    assert said


def test_a_tensor_too_many_would_have_been_seen(folder, tmp_path, said):
    def change(tensors):
        tensors["transformer.h.0.ln_3.bias"] = torch.zeros(3)

    _, found = read(damaged(folder(AAB), tmp_path / "more", change), output_loading_info=True)
    assert set(found["unexpected_keys"]) == {"transformer.h.0.ln_3.bias"}
    assert said


def test_a_config_read_alone_and_generation_settings_warn_of_nothing(folder, said):
    config = transformers.AutoConfig.from_pretrained(folder(AAB))
    generation = transformers.GenerationConfig.from_pretrained(folder(AAB))
    assert config.eos_token_id is generation.eos_token_id is None
    assert config.bos_token_id is generation.bos_token_id is None
    assert config.pad_token_id == generation.pad_token_id == 2
    assert said == []


# Answers


@pytest.mark.parametrize(
    ("name", "attention", "dtype"), part([*product(PROGRAMS, IMPLEMENTATIONS, DTYPES)], 0, 5)
)
def test_a_program_is_answered_as_it_means(known, compiled, name, dtype, attention):
    model, _ = known(name, dtype, attention)
    most = 3_000 if dtype == "float32" else 300
    assert_answers(model, PROGRAMS[name], compiled(name, dtype), most)


@drawn(sweep(100))
@given(rule_programs(), st.sampled_from(IMPLEMENTATIONS))
def test_random_programs_are_answered_as_they_mean_in_float32(program, attention):
    compiled = compile_program(program)
    assert_answers(gpt2_in_memory(compiled, attention), program, compiled)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@drawn(sweep(25))
@given(program=rule_programs(), attention=st.sampled_from(IMPLEMENTATIONS))
def test_random_programs_are_answered_as_they_mean_in_half_precision(dtype, program, attention):
    compiled = compile_program(program, dtype=dtype)
    model = gpt2_in_memory(compiled, attention)
    assert model.dtype == getattr(torch, dtype)
    assert_answers(model, program, compiled, most=300)


@drawn(sweep(12))
@given(rule_programs(min_tokens=3, min_context=6), st.sampled_from(DTYPES))
def test_random_programs_are_answered_as_they_mean_through_a_folder(program, dtype):
    compiled = compile_program(program, dtype=dtype)
    with tempfile.TemporaryDirectory() as place:
        model = read(save(compiled, Path(place) / "model"))
        assert model.dtype == getattr(torch, dtype)
        assert_answers(model, program, compiled, most=300)


def test_the_model_in_memory_answers_what_the_one_in_the_folder_does(folder, compiled):
    texts = short_texts(2, 8)
    in_memory = logits(gpt2_in_memory(compiled(AAB), "sdpa"), texts)
    assert torch.equal(in_memory, logits(read(folder(AAB), attn_implementation="sdpa"), texts))


def test_weights_that_answer_something_else_would_have_been_seen(compiled):
    model = gpt2_in_memory(compiled(AAB))
    with torch.no_grad():
        model.transformer.h[0].mlp.c_proj.weight.neg_()
    with pytest.raises(AssertionError):
        assert_answers(model, PROGRAMS[AAB], compiled(AAB))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("attention", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", [AAB, "words", "the start", "two layers of neurons"])
def test_with_and_without_a_cache_every_answer_is_the_same(folder, name, dtype, attention):
    model = read(folder(name, dtype), attn_implementation=attention)
    source = PROGRAMS[name]
    texts = np.random.default_rng(2).integers(0, len(source.vocabulary), size=(8, 24))
    expected = meant(source, texts)
    cached = step_by_step(model, torch.as_tensor(texts))
    assert cached.dtype == model.dtype
    np.testing.assert_array_equal(cached.argmax(-1).numpy(), expected)
    np.testing.assert_array_equal(logits(model, texts).argmax(-1).numpy(), expected)
    assert worst_margin(cached, expected) > NATS


@pytest.mark.parametrize("attention", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_in_training_mode_it_answers_the_same_to_the_last_bit(folder, compiled, name, attention):
    model = read(folder(name), attn_implementation=attention)
    source = PROGRAMS[name]
    texts = long_text(len(source.vocabulary), min(100, compiled(name).circuits.context))
    evaluated = logits(model.eval(), texts)
    assert torch.equal(logits(model.train(), texts), evaluated)
    assert model.training


# Padding


def padded(model, texts):
    """Texts of several lengths padded on the left: ids and mask, [text, position]."""
    longest = max(len(text) for text in texts)
    rows = [[model.config.pad_token_id] * (longest - len(text)) + list(text) for text in texts]
    mask = [[0] * (longest - len(text)) + [1] * len(text) for text in texts]
    return torch.tensor(rows), torch.tensor(mask)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("attention", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", [AAB, "words", "the start", "150 rules"])
def test_padding_on_the_left_changes_no_answer(folder, name, dtype, attention):
    model = read(folder(name, dtype), attn_implementation=attention)
    source = PROGRAMS[name]
    random = np.random.default_rng(3)
    lengths = [1, 2, 3, 5, 8, 13, 30]
    texts = [random.integers(0, len(source.vocabulary), size=length).tolist() for length in lengths]
    ids, mask = padded(model, texts)
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    together = logits(model, ids, attention_mask=mask, position_ids=places)
    for row, text in enumerate(texts):
        expected = meant(source, np.array([text]))
        answers = together[row : row + 1, -len(text) :]
        np.testing.assert_array_equal(answers.argmax(-1).numpy(), expected)
        assert worst_margin(answers, expected) > NATS


@pytest.mark.parametrize("attention", IMPLEMENTATIONS)
@pytest.mark.parametrize("cache", [True, False])
def test_a_batch_padded_on_the_left_is_continued_as_each_text_alone(folder, attention, cache, said):
    model = read(folder(AAB), attn_implementation=attention)
    tokenizer = read_tokenizer(folder(AAB))
    prompts = ["a", "aab", "ab", "bbbbbbbbbbbaa", "b"]
    batch = tokenizer(prompts, return_tensors="pt", padding=True)
    assert batch["attention_mask"].sum(-1).tolist() == [len(prompt) for prompt in prompts]
    written = model.generate(**batch, max_new_tokens=20, use_cache=cache, do_sample=False)
    texts = tokenizer.decode(written, skip_special_tokens=True)
    assert texts == [continued(PROGRAMS[AAB], prompt, 20) for prompt in prompts]
    assert said == []


# Generation


def test_what_is_meant_to_follow_aab_is_aab_again():
    assert continued(PROGRAMS[AAB], "aab", 200) == AAB_203


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_pipeline_continues_aab_for_200_tokens_exactly(folder, dtype, said):
    generate = transformers.pipeline("text-generation", model=str(folder(AAB, dtype)))
    assert generate.model.dtype == getattr(torch, dtype)
    assert generate("aab", max_new_tokens=200) == [{"generated_text": AAB_203}]
    assert said == []


def test_the_pipeline_continues_words_after_a_prompt_that_ends_with_a_blank(folder):
    generate = transformers.pipeline("text-generation", model=str(folder("words")))
    prompts = ["the cat", "dog", "ran dog sat the"]  # the pipeline puts what follows right behind
    found = [generate(f"{prompt} ", max_new_tokens=30)[0]["generated_text"] for prompt in prompts]
    assert found == [continued(PROGRAMS["words"], prompt, 30) for prompt in prompts]


def test_the_pipeline_continues_a_batch(folder):
    generate = transformers.pipeline("text-generation", model=str(folder(AAB)))
    prompts = ["aab", "b", "bbaa", "a"]
    found = generate(prompts, max_new_tokens=20, batch_size=4)
    texts = [answers[0]["generated_text"] for answers in found]
    assert texts == [continued(PROGRAMS[AAB], prompt, 20) for prompt in prompts]


@pytest.mark.parametrize(("name", "prompt"), [(AAB, "ab"), ("words", "the cat")])
def test_the_code_on_the_model_card_writes_the_meant_text(folder, monkeypatch, capsys, name, prompt):
    monkeypatch.chdir(folder(name))
    card = Path("README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    text = continued(PROGRAMS[name], prompt, 10)
    assert capsys.readouterr().out == f"[{{'generated_text': '{text}'}}]\n"


def test_generation_fills_all_1024_positions(folder):
    model, tokenizer = read(folder(AAB)), read_tokenizer(folder(AAB))
    prompt = tokenizer("aab", return_tensors="pt")
    written = model.generate(**prompt, max_new_tokens=1021, do_sample=False)
    assert tokenizer.decode(written[0]) == ("aab" * 342)[:1024]


WAYS = {
    "greedy": {"do_sample": False},
    "greedy without a cache": {"do_sample": False, "use_cache": False},
    "four beams": {"do_sample": False, "num_beams": 4},
    "sampled": {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0},
    "sampled with four beams": {"do_sample": True, "num_beams": 4, "top_k": 0},
    "sampled as by default": {"do_sample": True},
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        (AAB, "b"),
        ("words", "the cat"),
        ("the start", "ab"),
        ("two layers of neurons", "aaaaab"),
        ("52 tokens", "Aq"),
    ],
)
def test_generation_gives_the_meant_text(known, name, prompt, dtype, way):
    model, tokenizer = known(name, dtype)
    ids = tokenizer(prompt, return_tensors="pt")
    expected = continued(PROGRAMS[name], prompt, 24)
    for seed in range(sweep(12 if dtype == "float32" else 4) if WAYS[way]["do_sample"] else 1):
        torch.manual_seed(seed)
        written = model.generate(**ids, max_new_tokens=24, **WAYS[way])
        assert tokenizer.decode(written[0]) == expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_all_wrong_tokens_together_have_a_chance_below_one_in_a_million(known, compiled, name, dtype):
    source = PROGRAMS[name]
    texts = long_text(len(source.vocabulary), min(300, compiled(name).circuits.context))
    expected = torch.as_tensor(meant(source, texts))[..., None]
    model, _ = known(name, dtype)
    chances = torch.softmax(logits(model, texts).double(), dim=-1)
    assert float(chances.scatter(-1, expected, 0).sum(-1).max()) < 1e-6


# Tokenizers


CHARACTERS = {
    "letters": "ab",
    "blanks": [" ", "\t", "\n", "\r", "\u00a0", "\u2003", "x"],
    "marks": list("<>#\"'\\/{}[]()$^.*+?|&;:,!@%~`-_="),
    "accents, combined and not": ["\u00e9", "e", "\u0301", "\u00df", "S"],
    "other scripts": ["\u65e5", "\u672c", "\u044f", "\u05d0", "\U0001f600", "\u200d"],
    "capitals": list("aAbBzZ"),
    "digits": list("0123456789"),
    "invisible": ["\x00", "\x1b", "\ufeff", "\u202e", "\u0085", "a"],
    "the characters of <pad>": list("<pad>"),
    "the characters of <pad>, and a line below": list("<pad>_"),
}

WORDS = {
    "words": ["the", "cat", "sat"],
    "marked words": ["<b>", "#", '"', "\\n", "don't", "na\u00efve", "x", "##s", "[a]", "."],
    "words that end and begin alike": ["a", "ab", "b", "aba"],
    "a word that is <pad>": ["x", "<pad>", "<pad>_"],
    "words around <pad>": ["x", "y", "x<pad>y"],
}


def tokenizer_of(tokens, place):
    """The tokenizer of a compiled program over some tokens, read from its folder."""
    program = Program(Vocabulary(tokens), 2, [predict(tokens[-1]).otherwise()])
    return read_tokenizer(save(compile_program(program, n_positions=64), place / "model"))


@pytest.mark.parametrize("tokens", CHARACTERS.values(), ids=CHARACTERS)
def test_characters_survive_the_tokenizer(tokens, tmp_path, said):
    vocabulary = Vocabulary(list(tokens))
    tokenizer = tokenizer_of(list(tokens), tmp_path)
    texts = ["".join(tokens), "".join(reversed(tokens)), tokens[0] * 3, tokens[-1] + tokens[0]]
    for text in texts:
        ids = list(vocabulary.ids(text))
        assert tokenizer(text)["input_ids"] == ids
        assert tokenizer.decode(ids) == text
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert said == []


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_words_survive_the_tokenizer(words, tmp_path, said):
    vocabulary = Vocabulary(words)
    tokenizer = tokenizer_of(words, tmp_path)
    for text in [" ".join(words), " ".join(reversed(words)), words[0], f"{words[-1]} {words[0]}"]:
        ids = list(vocabulary.ids(text))
        assert tokenizer(text)["input_ids"] == ids
        assert tokenizer.decode(ids) == text
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert said == []


@drawn(60)
@given(st.data())
def test_any_character_vocabulary_survives_the_tokenizer(data):
    character = st.characters(codec="utf-8")
    tokens = data.draw(st.lists(character, min_size=1, max_size=12, unique=True))
    text = data.draw(st.lists(st.sampled_from(tokens), min_size=1, max_size=12).map("".join))
    vocabulary = Vocabulary(tokens)
    ids = {token: i for i, token in enumerate((*tokens, "<pad>"))}
    with tempfile.TemporaryDirectory() as place:
        for name, record in (
            ("tokenizer.json", tokenizer_json(vocabulary, ids, "<pad>")),
            ("tokenizer_config.json", tokenizer_config(64, "<pad>")),
        ):
            (Path(place) / name).write_text(json.dumps(record), encoding="utf-8")
        tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(place)
    assert tokenizer(text)["input_ids"] == list(vocabulary.ids(text))
    assert tokenizer.decode(vocabulary.ids(text)) == text


@pytest.mark.parametrize("text", ["c", "abc", "a b", "aB", "ab\n", "\u00e1", "<unk>"])
def test_an_unknown_character_is_an_error(folder, text):
    tokenizer = read_tokenizer(folder(AAB))
    with pytest.raises(Exception, match="UNK"):
        tokenizer(text)


@pytest.mark.parametrize("text", ["the bird", "The", "the,", "thecat", "<unk>"])
def test_an_unknown_word_is_an_error(folder, text):
    tokenizer = read_tokenizer(folder("words"))
    with pytest.raises(Exception, match="UNK"):
        tokenizer(text)


def test_words_are_read_whatever_the_blanks_between_them(folder):
    tokenizer = read_tokenizer(folder("words"))
    ids = list(PROGRAMS["words"].vocabulary.ids("the cat sat"))
    assert tokenizer(" the  cat\n\tsat\u00a0")["input_ids"] == ids
    assert tokenizer.decode(ids) == "the cat sat"


def test_a_tokenizer_adds_nothing_to_a_text(folder):
    tokenizer = read_tokenizer(folder(AAB))
    assert tokenizer("aab", add_special_tokens=True)["input_ids"] == [0, 0, 1]
    assert tokenizer.bos_token is tokenizer.eos_token is tokenizer.unk_token is None
    assert tokenizer.pad_token_id == 2
    assert tokenizer.model_max_length == 1024


# Written again by transformers


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [AAB, "words"])
def test_what_transformers_saves_again_is_the_same_model(folder, tmp_path, name, dtype, said):
    model, tokenizer = read(folder(name, dtype)), read_tokenizer(folder(name, dtype))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again, found = read(tmp_path, output_loading_info=True)
    tokenizer_again = read_tokenizer(tmp_path)
    assert {key: list(value) for key, value in found.items() if value} == {}
    assert said == []
    first = safetensors_torch.load_file(folder(name, dtype) / "model.safetensors")
    second = safetensors_torch.load_file(tmp_path / "model.safetensors")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert all(first[key].dtype == second[key].dtype == model.dtype for key in first)
    texts = short_texts(len(PROGRAMS[name].vocabulary), 4)
    assert torch.equal(logits(again, texts), logits(model, texts))
    text = PROGRAMS[name].vocabulary.text([1, 0, 0])
    assert tokenizer_again(text)["input_ids"] == tokenizer(text)["input_ids"] == [1, 0, 0]
    assert tokenizer_again.decode([1, 0, 0]) == text
    prompt = tokenizer_again(text, return_tensors="pt")
    written = again.generate(**prompt, max_new_tokens=20, do_sample=False)
    assert tokenizer_again.decode(written[0]) == continued(PROGRAMS[name], text, 20)


@pytest.mark.parametrize("dtype", part(DTYPES, DTYPES.index("bfloat16"), len(DTYPES)))
def test_a_thousand_trigrams_and_a_rule_over_an_expression_are_answered_in_every_dtype(dtype):
    letters, chosen = "abcdefghijklmnopqrstuvwxyz", random.Random(0)
    prompts = Prompts(letters, context=8)
    seen = sorted({"".join(chosen.choices(letters, k=3)) for _ in range(1_000)})
    rules = [predict(chosen.choice(letters)).after(pattern) for pattern in seen]
    late = predict("b").when(select(prompts.token, "e").exists() & (prompts.position >= 5))
    source = Program(prompts=prompts, rules=[late, *rules, predict("a").otherwise()])
    compiled = compile_program(source, dtype=dtype)
    texts = np.random.default_rng(3).integers(0, 26, size=(150, 8))
    expected = source.answers_at(texts, *np.divmod(np.arange(texts.size), 8)).reshape(texts.shape)
    answers = logits(gpt2_in_memory(compiled, "sdpa"), texts)
    np.testing.assert_array_equal(answers[..., :26].argmax(-1).numpy(), expected)
    assert worst_margin(answers, expected) > NATS
