"""No run shows a value further off than is proved, with a causal mask and without."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from certified import JUDGED, THREADS, VARIANTS
from judges import judge

from handcraft import Prompts, compile_sequences, save, select, where
from handcraft_check.claim import read_claim
from handcraft_check.prove import prove

torch = judge("torch")
transformers = judge("transformers")
onnxruntime = judge("onnxruntime")

BATCHES = (1_000, 3, 1)


def outputs(prompts):
    """A count, a label, a flag, a mean, a choice of numbers, and what a head finds by content."""
    token, position = prompts.token, prompts.position
    worth = token.map({"a": 1, "b": -1, "c": 0})
    before = select(position, position, "<=")
    return {
        "same": select(token, token).count(),
        "last": token.at(-1, default="c"),
        "is b": token == "b",
        "balance": before.mean(worth),
        "chosen": where(token == "a", position * 3, worth),
        "latest": select(token, "a").latest(position, default=7),
    }


def proved(folder, architecture, causal):
    """What was compiled, its claim, and how far values are off at most, of what is allowed."""
    expressions = outputs(Prompts("abc", context=4, causal=causal))
    compiled = compile_sequences(expressions, architecture=architecture)
    verdict = prove(save(compiled, folder))
    assert verdict.word == "proved"
    return compiled, read_claim(folder), verdict.distance


@pytest.fixture(scope="module", params=product(["gpt2", "block"], [True, False]), ids=str)
def case(request, tmp_path_factory):
    return proved(tmp_path_factory.mktemp("values") / "model", *request.param)


def texts_of(claim):
    for length in range(1, claim.domain.length + 1):
        yield np.array([*product(range(len(claim.token_ids)), repeat=length)])


def meant(claim, texts):
    """The number of each output at every position, [text, position, output]."""
    if not claim.domain.causal:
        return claim.meaning.values_everywhere(texts)
    rows = [[claim.meaning.values(text[: end + 1]) for end in range(texts.shape[1])] for text in texts]
    return np.array(rows, dtype=np.float64)


def check(case, run, order=None):
    """Raise unless no number of any run is further off than is proved.

    Args:
        case: what was compiled, its claim, and what is proved.
        run: from ids, [text, position], to the last stream, [text, position, n_embd].
        order: which dimension stands at each place; as they are by default.
    """
    _, claim, distance = case
    for texts in texts_of(claim):
        ids, numbers = claim.token_ids[texts], meant(claim, texts)
        for size in BATCHES:
            some = len(texts) if size == BATCHES[0] else min(len(texts), 2 * size)
            for start in range(0, some, size):
                stop = min(start + size, some)
                stream = np.asarray(run(ids[start:stop]), dtype=np.float64)
                stream = stream if order is None else stream[:, :, np.argsort(order)]
                for i, output in enumerate(claim.meaning.outputs):
                    read = sum(float(factor) * stream[:, :, d] for d, factor in output.reads)
                    off = np.abs(read + float(output.constant) - numbers[start:stop, :, i])
                    assert off.max() <= distance * float(output.within), output.name


def test_numpy(case):
    model = case[0].values.model

    def run(ids):
        seen = {}
        model.watch(ids, seen.__setitem__)
        return seen[f"h.{model.shape.n_layer - 1}.output"]

    check(case, run)


def test_onnx_runtime(case, tmp_path):
    save(case[0], tmp_path / "onnx", format="onnx")
    for threads in THREADS:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"), options)
        check(case, lambda ids, s=session: s.run(["residual"], {"input_ids": ids})[0])


@pytest.mark.parametrize(("attention", "is_permuted", "threads"), VARIANTS)
def test_transformers(attention, is_permuted, threads, tmp_path, one_thread):
    """Of a GPT-2 with its mask: the last stream is what the last norm reads."""
    case = proved(tmp_path / "model", "gpt2", True)
    folder, order = tmp_path / "model", None
    if is_permuted:
        files = JUDGED["Original"].read(folder)
        order = np.random.default_rng(0).permutation(files.config["n_embd"])
        JUDGED["permuted"](files, np.random.default_rng(0)).write(folder)
    model = transformers.GPT2LMHeadModel.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention
    ).eval()
    seen = []
    model.transformer.ln_f.register_forward_pre_hook(lambda _, given: seen.append(given[0]))

    def run(ids):
        with torch.no_grad():
            model(torch.from_numpy(ids))
        return seen.pop().numpy()

    torch.set_num_threads(threads)
    check(case, run, order)
