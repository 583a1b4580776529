"""A plain Llama in torch, on the runs of `planted_gpt2`, and bugs as patches of its steps."""

from math import sqrt

import torch
from planted_gpt2 import PlainGPT2, with_patches


class PlainLlama(PlainGPT2):
    """RMSNorm, rotated queries and keys, query groups, SwiGLU, sliding window."""

    prefix = "model."

    def read(self, config):
        self.pad = config["bos_token_id"]
        self.eps = config["rms_norm_eps"]
        self.n_layer = config["num_hidden_layers"]
        self.n_head, self.n_kv = config["num_attention_heads"], config["num_key_value_heads"]
        self.head_dim = config["head_dim"]
        self.theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
        self.window = config.get("sliding_window")

    def encode(self, text):
        return [self.pad, *super().encode(text)]

    def allowed(self, mask, new):
        seen = super().allowed(mask, new)
        if self.window is None:
            return seen
        total = mask.shape[1]
        near = torch.triu(torch.ones(total, total), 1 - self.window)[-new:]
        return seen * near

    def start(self, ids, positions):
        self.places = positions
        return self.w["embed_tokens.weight"][ids]

    def block(self, layer, x, cache, allowed):
        name = f"layers.{layer}"
        x = x + self.attention(layer, self.norm(f"{name}.input_layernorm", x), cache, allowed)
        return x + self.mlp(layer, self.norm(f"{name}.post_attention_layernorm", x))

    def final(self, x):
        return self.norm("norm", x)

    def head(self, x):
        return x @ self.w.get("lm_head.weight", self.w["embed_tokens.weight"]).T

    def norm(self, name, x):
        return self.standardized(x.float()).to(x.dtype) * self.gain(name)

    def standardized(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)

    def through(self, name, x):
        return x @ self.w[f"{name}.weight"].T

    def frequencies(self):
        return self.theta ** (-torch.arange(0, self.head_dim, 2).float() / self.head_dim)

    def angles(self, positions):
        return positions[..., None].float() * self.frequencies()

    def query_places(self, positions):
        return positions

    def turned(self, x, positions):
        angles = self.angles(positions)[:, None]
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        a, b = x.chunk(2, -1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def for_queries(self, keys, values):
        times = self.n_head // self.n_kv
        return keys.repeat_interleave(times, 1), values.repeat_interleave(times, 1)

    def scale(self, layer):
        return 1 / sqrt(self.head_dim)

    def attention(self, layer, x, cache, allowed):
        part = f"layers.{layer}.self_attn"
        q, k, v = (
            self.through(f"{part}.{name}_proj", x).view(*x.shape[:2], -1, self.head_dim).transpose(1, 2)
            for name in "qkv"
        )
        q, k = self.turned(q, self.query_places(self.places)), self.turned(k, self.places)
        k, v = self.for_queries(*self.stored(cache, layer, k, v))
        scores = (q @ k.transpose(2, 3)) * self.scale(layer)
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        out = scores.float().softmax(-1).to(v.dtype) @ v
        return self.through(f"{part}.o_proj", out.transpose(1, 2).flatten(2))

    def activation(self, x):
        return torch.nn.functional.silu(x)

    def gated(self, gate, up):
        return self.activation(gate) * up

    def mlp(self, layer, x):
        part = f"layers.{layer}.mlp"
        hidden = self.gated(self.through(f"{part}.gate_proj", x), self.through(f"{part}.up_proj", x))
        return self.through(f"{part}.down_proj", hidden)


def _with(**steps):
    return with_patches(PlainLlama, **steps)


def _interleaved(self, right, x, positions):
    angles = self.angles(positions)[:, None]
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)


def _theta(self, right):
    return 10_000.0 ** (-torch.arange(0, self.head_dim, 2).float() / self.head_dim)


def _frequencies(dtype):
    return _with(frequencies=lambda self, right: right(self).to(dtype).float())


def _tiled(keys_too, values_too):
    def for_queries(self, right, keys, values):
        times = self.n_head // self.n_kv
        in_row = right(self, keys, values)
        in_turn = keys.repeat(1, times, 1, 1), values.repeat(1, times, 1, 1)
        return (in_turn if keys_too else in_row)[0], (in_turn if values_too else in_row)[1]

    return _with(for_queries=for_queries)


def _window(difference):
    def allowed(self, right, mask, new):
        window = self.window
        self.window = window and window + difference
        seen = right(self, mask, new)
        self.window = window
        return seen

    return _with(allowed=allowed)


def _no_window(self, right, mask, new):
    return PlainGPT2.allowed(self, mask, new)


def _eps(number):
    def standardized(self, right, x):
        self.eps = number
        return right(self, x)

    return _with(standardized=standardized)


LLAMA_BUGS = {
    "rope-pairs-interleaved": _with(turned=_interleaved),
    "rope-theta-10000": _with(frequencies=_theta),
    "rope-backwards": _with(angles=lambda s, right, positions: -right(s, positions)),
    "rope-scaled-by-2": _with(angles=lambda s, right, positions: right(s, positions) / 2),
    "rope-query-one-late": _with(query_places=lambda s, right, positions: positions + 1),
    "rope-query-one-early": _with(query_places=lambda s, right, positions: positions - 1),
    "rope-frequencies-bfloat16": _frequencies(torch.bfloat16),
    "rope-frequencies-float16": _frequencies(torch.float16),
    "rope-positions-bfloat16": _with(
        angles=lambda s, right, positions: right(s, positions.bfloat16().float())
    ),
    "no-rope": _with(turned=lambda s, right, x, positions: x),
    "keys-tiled": _tiled(True, False),
    "values-tiled": _tiled(False, True),
    "both-tiled": _tiled(True, True),
    "window-2": _window(-2),
    "window-1": _window(-1),
    "window+1": _window(1),
    "window+2": _window(2),
    "no-window": _with(allowed=_no_window),
    "rms-centred": _with(standardized=lambda s, right, x: right(s, x - x.mean(-1, keepdim=True))),
    "rms-gain-plus-one": _with(gain=lambda s, right, name: right(s, name) + 1),
    "rms-epsilon-outside": _with(
        standardized=lambda s, right, x: x / (x.pow(2).mean(-1, keepdim=True).sqrt() + s.eps)
    ),
    "rms-epsilon-1e-06": _eps(1e-6),
    "rms-epsilon-1e-12": _eps(1e-12),
    "gate-up-exchanged": _with(gated=lambda s, right, gate, up: right(s, up, gate)),
    "gelu-gate": _with(activation=lambda s, right, x: torch.nn.functional.gelu(x, approximate="tanh")),
    "relu-gate": _with(activation=lambda s, right, x: torch.relu(x)),
    "llama-head-tied": _with(head=lambda s, right, x: x @ s.w["embed_tokens.weight"].T),
}
"""Every bug by the id of the fault that the findings have to name."""
