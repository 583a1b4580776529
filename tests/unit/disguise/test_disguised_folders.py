"""A disguised folder: what is written, what is known of it, and that it is read as any other."""

import json
from dataclasses import replace

import numpy as np
import pytest
from disguised_models import random_gpt2

from handcraft import (
    Program,
    Prompts,
    compile_program,
    disguise,
    load,
    predict,
    read_checkpoint,
    save,
    select,
)
from handcraft.disguise import Distract, Match, Noise, Pad, Permute, Rotate, Split, read_record
from handcraft.errors import CheckpointError, ModelError, PrecisionError
from handcraft.formats import verify_folder
from handcraft.formats.huggingface.write_repository import write_model

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
ALL = [Split(), Distract(1, 4), Permute(), Rotate(), Match()]


def induction():
    prompts = Prompts("abc", 6)
    seen = select(prompts.token.at(-1, default="a"), prompts.token)
    return Program(
        prompts=prompts, rules=[predict(seen.latest(prompts.token, default="a")).otherwise()]
    )


@pytest.fixture(scope="module")
def aab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original") / "aab"
    return save(compile_program(AAB, positions="auto"), folder, proof="quick")


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_disguised_folder_answers_as_its_program_means(aab, tmp_path):
    made = disguise(aab, ALL, seed=3)
    folder = made.save(tmp_path / "out")
    report = verify_folder(folder)
    assert report.passed
    assert report.is_exhaustive
    assert made.after.tried > 62
    checkpoint = read_checkpoint(folder)
    assert checkpoint.source.rules == read_checkpoint(aab).source.rules
    assert checkpoint.manifest.disguised
    assert checkpoint.stored == ()


def test_the_checker_proves_the_disguise_from_its_files(aab, tmp_path):
    folder = disguise(aab, ALL, seed=3).save(tmp_path / "out")
    proof = read_checkpoint(folder).manifest.proof
    assert proof is not None
    assert proof.verdict == "proved"
    assert "**Proved**" not in (folder / "README.md").read_text()
    assert "proved: right after every one of 62 prompts" in (folder / "README.md").read_text()


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(aab, tmp_path):
    first, second, third = (
        files(disguise(aab, ALL, seed=seed).save(tmp_path / name))
        for seed, name in ((7, "a"), (7, "b"), (8, "c"))
    )
    assert first == second
    assert first["model.safetensors"] != third["model.safetensors"]


def test_an_earlier_transform_draws_the_same_whatever_follows():
    compiled = compile_program(AAB)
    alone = disguise(compiled, [Rotate(within_heads=False)], seed=2).model.tensors
    both = disguise(compiled, [Rotate(within_heads=False), Permute(heads=False)], seed=2).model.tensors
    assert (alone["wte.weight"] == both["wte.weight"]).all()


def test_the_record_is_read_back(aab, tmp_path):
    made = disguise(aab, [Pad(n_embd=48, n_head=4, n_layer=3), *ALL], seed=1)
    record = read_record(made.save(tmp_path / "out"))
    assert [step.transform for step in record.steps] == [
        "pad",
        "split",
        "distract",
        "permute",
        "rotate",
        "match",
    ]
    assert record.steps[1].parameters == {"heads": 2, "units": 2}
    read, carried = record.carried, made.carried
    assert (read.stream == carried.stream).all()
    assert (read.blocks, read.old, read.new) == (carried.blocks, carried.old, carried.new)
    assert read.distractor_heads == carried.distractor_heads
    assert read.distractor_units == carried.distractor_units
    assert read.head(0, 0) == carried.head(0, 0) != ()
    assert all((one == other).all() for one, other in zip(read.units, carried.units, strict=True))
    assert set(record.original) == {"model.safetensors", "config.json"}


def test_a_folder_that_is_disguised_twice_has_one_map_from_the_first_original(aab, tmp_path):
    once = disguise(aab, [Split(), Distract(1, 3)], seed=1)
    folder = once.save(tmp_path / "once")
    twice = disguise(folder, [Permute(), Rotate()], seed=2)
    record = read_record(twice.save(tmp_path / "twice"))
    assert [step.transform for step in record.steps] == ["split", "distract", "permute", "rotate"]
    assert record.original == read_record(folder).original
    expected = once.carried.then(twice.carried)
    assert np.array_equal(record.carried.stream, expected.stream)
    assert len(record.carried.distractor_units) == len(once.carried.distractor_units) == 3
    assert verify_folder(tmp_path / "twice").passed


def test_what_weights_serve_is_carried_along(aab, tmp_path):
    made = disguise(aab, [Split(1, 2), Distract(1, 2), Permute(), Rotate()], seed=5)
    checkpoint, before = read_checkpoint(made.save(tmp_path / "out")), read_checkpoint(aab)
    served = before.origins["h.0.mlp.c_proj.weight"]
    for number in {index[0] for index in served}:
        wanted = {origin for index, each in served.items() if index[0] == number for origin in each}
        for place in made.carried.unit(0, number):
            assert {*checkpoint.origins["h.0.mlp.c_proj.weight"][place.number, 0]} == wanted
            assert {*checkpoint.origins["h.0.mlp.c_fc.weight"][0, place.number]} == wanted
    for place in made.carried.distractor_units:
        (origin,) = checkpoint.origins["h.0.mlp.c_proj.weight"][place.number, 0]
        assert origin.what == "a distractor: it changes no answer"
    for name, tensor in checkpoint.model.tensors.items():
        for index in np.argwhere(tensor).tolist():
            assert checkpoint.origins[name].get(tuple(index)), (name, index)
    assert checkpoint.weights.weight("h.0.mlp.c_fc.weight", (0, place.number)).stands_for[1] == (
        "hidden unit: a distractor"
    )


def test_programs_with_expressions_are_judged_by_their_circuits(tmp_path):
    folder = save(compile_program(induction()), tmp_path / "induction")
    made = disguise(folder, ALL, seed=1)
    assert made.after.is_all
    report = verify_folder(made.save(tmp_path / "out"))
    assert report.passed
    assert report.tried == 3 + 9 + 27 + 81 + 243 + 729


def test_a_block_without_layer_norm_is_disguised(tmp_path):
    folder = save(compile_program(induction(), architecture="block"), tmp_path / "block")
    made = disguise(folder, [Split(), Distract(2, 2, "pairs"), Permute(), Rotate()], seed=1)
    assert verify_folder(made.save(tmp_path / "out")).passed
    assert (tmp_path / "out" / "certificate.json").exists()


def test_noise_within_the_proved_radius_stays_proved(aab, tmp_path):
    made = disguise(aab, [Noise(0.5)], seed=1)
    before, after = read_checkpoint(aab).model.tensors, made.model.tensors
    changes = np.concatenate(
        [
            np.abs(after[name][before[name] != 0] / before[name][before[name] != 0] - 1)
            for name in before
            if ".ln_" not in f".{name}"
        ]
    )
    assert 1e-6 < changes.max() < 1e-2
    assert (after["h.0.mlp.c_fc.weight"][before["h.0.mlp.c_fc.weight"] == 0] == 0).all()
    folder = made.save(tmp_path / "out")
    assert read_checkpoint(folder).manifest.proof.verdict == "proved"


def foreign(folder, **facts):
    """A GPT-2 that was made elsewhere, of which nothing is known."""
    model = random_gpt2(**facts)
    narrow = {name: each.astype(np.float32) for name, each in model.tensors.items()}
    folder.mkdir()
    write_model(replace(model, tensors=narrow), folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "eos_token_id": 3, "custom": "kept", "hidden_size": 12}))
    return folder


def test_a_model_of_which_nothing_is_known_keeps_its_answers(tmp_path):
    folder = foreign(tmp_path / "gpt2")
    made = disguise(folder, [Split(), Distract(), Permute(), Rotate()], seed=4)
    assert (made.record.judged["by"], made.after.is_all) == ("original", False)
    out = made.save(tmp_path / "out")
    assert not (out / "handcraft.json").exists()
    config = json.loads((out / "config.json").read_text())
    assert (config["eos_token_id"], config["custom"]) == (3, "kept")
    assert "hidden_size" not in config
    assert (out / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
    ids = np.random.default_rng(0).integers(6, size=(5, 6))
    assert np.allclose(load(out).forward(ids), load(folder).forward(ids), rtol=0, atol=1e-3)
    again = disguise(out, [Permute()], seed=1)
    assert [step.transform for step in again.record.steps][-2:] == ["rotate", "permute"]
    again.save(out)  # what was written before is replaced
    assert read_record(out).carried.old.n_embd == 12


def test_a_tied_model_is_rotated_only_untied(tmp_path):
    folder = foreign(tmp_path / "gpt2", tied=True)
    with pytest.raises(ModelError, match="different gains"):
        disguise(folder, [Rotate()])
    out = disguise(folder, [Rotate()], untie=True).save(tmp_path / "out")
    assert json.loads((out / "config.json").read_text())["tie_word_embeddings"] is False


def test_an_untied_disguise_of_a_program_is_read_and_verified(tmp_path):
    rules = [predict("b").after("ab"), predict("c").after("c"), predict("a").otherwise()]
    folder = save(compile_program(Program("abc", 6, rules)), tmp_path / "rules")
    model = load(folder)
    gain = model.tensors["ln_f.weight"].copy()
    used = np.flatnonzero(np.abs(model.tensors["wte.weight"]).sum(axis=0))
    gain[used[0]] *= np.float32(1 + 2**-10)  # as if it had been trained on
    write_model(replace(model, tensors={**model.tensors, "ln_f.weight": gain}), folder)
    out = disguise(folder, [Rotate()], untie=True).save(tmp_path / "out")
    assert not read_checkpoint(out).model.architecture.tied
    assert verify_folder(out).passed


def damaged(name, change):
    def damage(folder):
        path = folder / name
        path.write_bytes(change(path.read_bytes()))

    return damage


DAMAGE = {
    "another version": damaged(
        "disguise.json", lambda b: b.replace(b'"disguise": 1', b'"disguise": 9')
    ),
    "no JSON": damaged("disguise.json", lambda b: b[:-20]),
    "a block that is not there": damaged(
        "disguise.json", lambda b: b.replace(b'"blocks": [0]', b'"blocks": [4]')
    ),
    "a distractor that is not there": damaged(
        "disguise.json",
        lambda b: b.replace(b'"distractor_heads": [[0,', b'"distractor_heads": [[9,'),
    ),
    "a text for a number": damaged(
        "disguise.json", lambda b: b.replace(b'"blocks": [0]', b'"blocks": ["0"]')
    ),
    "another map": damaged("disguise.safetensors", lambda b: b[:-8] + bytes(8)),
    "other weights": damaged("model.safetensors", lambda b: b[:-4] + b"\x01" + bytes(3)),
    "no map": lambda folder: (folder / "disguise.safetensors").unlink(),
    "no record": lambda folder: (folder / "disguise.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_record_is_an_error(aab, tmp_path, damage):
    folder = disguise(aab, [Distract(1, 2), Rotate()]).save(tmp_path / "out")
    read_record(folder)
    damage(folder)
    with pytest.raises(CheckpointError):
        read_record(folder)


def test_a_model_of_values_is_refused(tmp_path):
    from handcraft import compile_sequences

    prompts = Prompts("ab", 4)
    folder = save(compile_sequences({"last": prompts.token.at(-1, default="a")}), tmp_path / "values")
    with pytest.raises(ModelError, match="computes values"):
        disguise(folder, [Rotate()])


def test_a_model_that_is_wrong_already_is_refused(aab, tmp_path):
    checkpoint = read_checkpoint(aab)
    tensors = {**checkpoint.model.tensors, "ln_f.weight": -checkpoint.model.tensors["ln_f.weight"]}
    wrong = replace(checkpoint, model=replace(checkpoint.model, tensors=tensors))
    with pytest.raises(PrecisionError, match="the original itself answers"):
        disguise(wrong, [Rotate()])
