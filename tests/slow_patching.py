"""Edge patching written out, one text and one number at a time: to compare a fast one with.

It knows edges by their names only, adds up the input of every reader from its sources, and runs in
float64. It shares nothing with `handcraft.ground_truth` or with the forward pass of a model.
"""

from __future__ import annotations

from math import cos, erf, exp, pi, sin, sqrt

import numpy as np


def slow_logits(model, clean, corrupted, edges):
    """The logits after a clean text, [position, n_vocab], where some edges are patched.

    Args:
        model: the model.
        clean: the ids of a text.
        corrupted: those of a text of the same length.
        edges: the names of the patched edges.
    """
    run = _run_llama if model.architecture.theta else _run
    other, _ = run(model, corrupted, {}, frozenset())
    _, logits = run(model, clean, other, frozenset(edges))
    return logits


def _run_llama(model, ids, other, edges):
    """The same of a Llama, whose begin token stands before the text: its logits are left out."""
    tensors = {name: np.asarray(each, dtype=np.float64) for name, each in model.tensors.items()}
    shape, architecture = model.shape, model.architecture
    size, group = shape.head_dim, shape.n_head // shape.kv_heads
    embedding = tensors["embed_tokens.weight"]
    added = {"input": np.array([embedding[i] for i in (len(embedding) - 1, *ids)])}

    def seen(reader, gain):
        pairs = added.items()
        x = sum(other[n] if f"{n}->{reader}" in edges else own for n, own in pairs)
        roots = [sqrt(sum(row**2) / len(row) + architecture.norm_epsilon) for row in x]
        return x / np.array(roots)[:, None] * tensors[gain]

    def rows(name, layer, number):
        return tensors[f"layers.{layer}.self_attn.{name}_proj.weight"][number * size :][:size]

    def turned(x):
        half, found = size // 2, x.copy()
        for place, row in enumerate(x):
            for j in range(half):
                angle = place * architecture.theta ** (-2 * j / size)
                one, two = row[j], row[j + half]
                found[place, j] = one * cos(angle) - two * sin(angle)
                found[place, j + half] = two * cos(angle) + one * sin(angle)
        return found

    for layer in range(shape.n_layer):
        norms = [f"layers.{layer}.{name}_layernorm.weight" for name in ("input", "post_attention")]
        heads = {}
        for head in range(shape.n_head):
            node, shared = f"a{layer}.h{head}", head // group
            q = turned(seen(f"{node}<q>", norms[0]) @ rows("q", layer, head).T)
            k = turned(seen(f"{node}<k>", norms[0]) @ rows("k", layer, shared).T)
            v = seen(f"{node}<v>", norms[0]) @ rows("v", layer, shared).T
            moved = _attended(q, k, v, 1 / sqrt(size), True, architecture.window)
            out = tensors[f"layers.{layer}.self_attn.o_proj.weight"]
            heads[node] = moved @ out[:, head * size : (head + 1) * size].T
        added.update(heads)
        gate, up, down = (
            tensors[f"layers.{layer}.mlp.{name}_proj.weight"].T for name in ("gate", "up", "down")
        )
        x = seen(f"m{layer}", norms[1])
        sums = x @ gate
        added[f"m{layer}"] = (sums / (1 + np.exp(np.minimum(-sums, 700))) * (x @ up)) @ down
    head = embedding if architecture.tied else tensors["lm_head.weight"]
    return added, (seen("logits", "norm.weight") @ head.T)[1:]


def _run(model, ids, other, edges):
    """What every source adds, by its name; and the logits."""
    tensors = {name: np.asarray(each, dtype=np.float64) for name, each in model.tensors.items()}
    shape, architecture = model.shape, model.architecture
    length, width, size = len(ids), shape.n_embd, shape.head_dim
    added = {"input": np.array([tensors["wte.weight"][i] for i in ids])}
    fixed = tensors["wpe.weight"][:length].copy()

    def seen(reader):
        total = fixed.copy()
        for name, own in added.items():
            total += other[name] if f"{name}->{reader}" in edges else own
        return total

    def normed(name, x):
        if architecture.norm == "none":
            return x
        rows = []
        for row in x:
            mean = sum(row) / width
            variance = sum((each - mean) ** 2 for each in row) / width
            scaled = (row - mean) / sqrt(variance + architecture.norm_epsilon)
            rows.append(scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"])
        return np.array(rows)

    for layer in range(shape.n_layer):
        block = f"h.{layer}"
        weight, bias = tensors[f"{block}.attn.c_attn.weight"], tensors[f"{block}.attn.c_attn.bias"]
        out = tensors[f"{block}.attn.c_proj.weight"]
        heads = {}
        for head in range(shape.n_head):
            node = f"a{layer}.h{head}"
            parts = []
            for third, letter in enumerate("qkv"):
                columns = slice(third * width + head * size, third * width + (head + 1) * size)
                x = normed(f"{block}.ln_1", seen(f"{node}<{letter}>"))
                parts.append(x @ weight[:, columns] + bias[columns])
            moved = _attended(*parts, architecture.score_scale(size, layer), architecture.causal)
            heads[node] = moved @ out[head * size : (head + 1) * size]
        added.update(heads)
        fixed += tensors[f"{block}.attn.c_proj.bias"]
        added[f"m{layer}"] = np.zeros((length, width))
        if shape.n_inner[layer]:
            mlp = f"{block}.mlp"
            x = normed(f"{block}.ln_2", seen(f"m{layer}"))
            before = x @ tensors[f"{mlp}.c_fc.weight"] + tensors[f"{mlp}.c_fc.bias"]
            hidden = np.vectorize(ACTIVATIONS[architecture.activation])(before)
            written = hidden @ tensors[f"{mlp}.c_proj.weight"] + tensors[f"{mlp}.c_proj.bias"]
            added[f"m{layer}"] = written
    return added, normed("ln_f", seen("logits")) @ tensors["wte.weight"].T


def _attended(queries, keys, values, scale, causal, window=None):
    """The means of values, weighted by softmax, destination by destination."""
    found = []
    for here, query in enumerate(queries):
        last = here if causal else len(keys) - 1
        first = 0 if window is None else max(0, here - window + 1)
        scores = [float(query @ keys[there]) * scale for there in range(first, last + 1)]
        weights = [exp(score - max(scores)) for score in scores]
        found.append(sum(w * values[there] for there, w in enumerate(weights, first)) / sum(weights))
    return np.array(found)


ACTIVATIONS = {
    "relu": lambda x: max(x, 0.0),
    "gelu_tanh": lambda x: x / 2 * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))),
    "gelu_erf": lambda x: x / 2 * (1 + erf(x / sqrt(2))),
}
