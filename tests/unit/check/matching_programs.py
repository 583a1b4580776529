"""Programs that read what followed last time, and what float32 makes of them."""

from __future__ import annotations

import float32_steps as steps
import numpy as np
from float32_steps import F
from hypothesis import strategies as st

from handcraft import Program, Prompts, compile_program, predict, save, select
from handcraft_check.claim import read_claim
from handcraft_check.folder.files import read_tensors

WORDS = "abcde"


@st.composite
def matching(draw, most=6):
    """What followed the latest or the earliest source that matches, and other rules."""
    words = WORDS[: draw(st.integers(2, 4))]
    prompts = Prompts(words, context=draw(st.integers(2, most)))
    token, position = prompts.token, prompts.position
    back, default = draw(st.integers(1, 2)), st.sampled_from(words)
    key, here = token.at(-back, default=draw(default)), token
    if draw(st.booleans()):
        some = set(draw(st.lists(default, unique=True)))
        key, here = (each.map(lambda word: word in some) for each in (key, here))
    found = select(key, here)
    if draw(st.booleans()):
        found = found & select(position, draw(st.integers(0, 2)), draw(st.sampled_from("><")))
    read = getattr(found, draw(st.sampled_from(["latest", "earliest"])))
    followed = predict(read(token, default=draw(default)))
    rules = [predict(draw(default)).after(draw(default) + draw(default))] if draw(st.booleans()) else []
    if draw(st.booleans()):
        rules += [followed.when(found.exists()), predict(draw(default)).otherwise()]
    else:
        rules.append(followed.otherwise())
    return Program(prompts=prompts, rules=rules)


def induction(words=WORDS, context=6, how="latest", back=1, first=0):
    """What followed, where only later positions count."""
    prompts = Prompts(words, context=context)
    before = prompts.token.at(-back, default=words[0])
    found = select(before, prompts.token) & select(prompts.position, first, ">=")
    followed = getattr(found, how)(prompts.token, default=words[-1])
    return Program(prompts=prompts, rules=[predict(followed).otherwise()])


def compiled_to(program, folder):
    """The claim and the tensors of a folder in which values are bits."""
    save(compile_program(program, architecture="gpt2", tokens="binary"), folder)
    content = (folder / "model.safetensors").read_bytes()
    return read_claim(folder), read_tensors(content, "model.safetensors")[0]


def forward(rng, config, tensors, ids):
    """GPT-2 in float32, sums in any order: streams in front of each block, scores, and logits."""

    def norm(x, name):
        return steps.layer_norm(
            rng, x, *(tensors[f"{name}.{k}"] for k in ("weight", "bias")), config.epsilon
        )

    def linear(x, name):
        return steps.product(rng, x, tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    tensors = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    x = (tensors["wte.weight"][ids] + tensors["wpe.weight"][: len(ids)]).astype(F)
    width = config.n_embd // config.n_head
    streams, scores = [x], []
    for layer in range(config.n_layer):
        read = linear(norm(x, f"h.{layer}.ln_1"), f"h.{layer}.attn.c_attn")
        parts = read.reshape(len(ids), 3, config.n_head, width)
        out = np.zeros((len(ids), config.n_head, width), dtype=F)
        scores.append(np.full((config.n_head, len(ids), len(ids)), -np.inf))
        for head in range(config.n_head):
            for i in range(len(ids)):
                keys, values = (parts[: i + 1, k, head] for k in (1, 2))
                none = np.zeros(i + 1)
                dot = steps.product(rng, parts[i : i + 1, 0, head], keys.T, none)
                scores[-1][head, i, : i + 1] = dot = dot * F(1 / np.sqrt(width))
                weights = steps.softmax(rng, dot.astype(F))
                out[i, head] = steps.product(rng, weights, values, np.zeros(width))[0]
        x = (x + linear(out.reshape(len(ids), -1), f"h.{layer}.attn.c_proj")).astype(F)
        hidden = steps.gelu(linear(norm(x, f"h.{layer}.ln_2"), f"h.{layer}.mlp.c_fc"))
        x = (x + linear(hidden.astype(F), f"h.{layer}.mlp.c_proj")).astype(F)
        streams.append(x)
    head = tensors.get("lm_head.weight", tensors["wte.weight"])
    logits = steps.product(rng, norm(x, "ln_f")[-1:], head.T, np.zeros(len(head)))
    return streams, scores, logits[0].astype(np.float64)
