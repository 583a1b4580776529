"""A plain GPT-2 in torch that is run as engines are, and bugs as patches of its steps.

It shares no code with the package: it is what the package has to judge.
"""

import json
from math import sqrt

import torch
from safetensors.torch import load_file


class PlainGPT2:
    """GPT-2 with a cache, left padding, greedy generation and beams."""

    version = "1"
    prefix = "transformer."

    def __init__(self, folder, dtype):
        self.read(json.loads((folder / "config.json").read_text()))
        stored = load_file(folder / "model.safetensors")
        self.w = {k.removeprefix(self.prefix): v.to(getattr(torch, dtype)) for k, v in stored.items()}
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        self.vocab = tokenizer["model"]["vocab"]
        self.is_characters = tokenizer["decoder"] is not None

    def read(self, config):
        self.pad, self.eps = config["pad_token_id"], config["layer_norm_epsilon"]
        self.n_layer, self.n_head = config["n_layer"], config["n_head"]

    # What the runner calls

    def encode(self, text):
        return [self.vocab[token] for token in (text if self.is_characters else text.split())]

    def next_logits(self, ids):
        return self.batch_logits([ids])[0]

    def all_logits(self, ids):
        return self.forward(self.empty(), torch.tensor([ids]), torch.ones(1, len(ids)))[0]

    def batch_logits(self, prompts):
        ids, mask = self.padded(prompts)
        return self.forward(self.empty(), ids, mask)[:, -1]

    def pieces_logits(self, ids, pieces):
        cache, found, start = self.empty(), [], 0
        for n in pieces:
            piece = torch.tensor([ids[start : start + n]])
            found.append(self.forward(cache, piece, torch.ones(1, n))[0, -1])
            start += n
        return torch.stack(found)

    def generate(self, prompts, new_tokens, end):
        cache = self.empty()
        ids, mask = self.padded(prompts)
        logits = self.forward(cache, ids, mask)[:, -1]
        rows = [[] for _ in prompts]
        for _ in range(new_tokens):
            chosen = logits.argmax(-1)
            for row, token in zip(rows, chosen.tolist(), strict=True):
                if not row or not self.is_end(row[-1], end):
                    row.append(token)
            logits = self.forward(cache, chosen[:, None], torch.ones(len(rows), 1))[:, -1]
        return rows

    def search(self, ids, new_tokens, beams):
        cache = self.empty()
        logits = self.forward(cache, torch.tensor([ids]), torch.ones(1, len(ids)))[:, -1]
        texts, scores = [[]], torch.zeros(1)
        for _ in range(new_tokens):
            total = scores[:, None] + logits.float().log_softmax(-1)
            scores, places = total.flatten().topk(beams)
            parents, tokens = places // total.shape[1], places % total.shape[1]
            texts = [[*texts[p], t] for p, t in zip(parents.tolist(), tokens.tolist(), strict=True)]
            self.reorder(cache, parents)
            logits = self.forward(cache, tokens[:, None], torch.ones(len(texts), 1))[:, -1]
        return texts[int(scores.argmax())]

    # The steps

    def empty(self):
        return {"mask": None, "kv": [None] * self.n_layer}

    def is_end(self, token, end):
        return token == end

    def reorder(self, cache, parents):
        cache["mask"] = cache["mask"][parents]
        cache["kv"] = [kv and (kv[0][parents], kv[1][parents]) for kv in cache["kv"]]

    def padded(self, prompts):
        n = max(map(len, prompts))
        ids = torch.tensor([[self.pad] * (n - len(p)) + list(p) for p in prompts])
        mask = torch.tensor([[0.0] * (n - len(p)) + [1.0] * len(p) for p in prompts])
        return ids, mask

    def positions(self, mask, new):
        return (mask.cumsum(1) - 1).clamp(min=0).long()[:, -new:]

    def allowed(self, mask, new):
        total = mask.shape[1]
        causal = torch.tril(torch.ones(total, total))[-new:]
        return causal[None] * mask[:, None]

    def forward(self, cache, ids, mask):
        cache["mask"] = mask if cache["mask"] is None else torch.cat([cache["mask"], mask], 1)
        new = ids.shape[1]
        positions = self.positions(cache["mask"], new)
        allowed = self.allowed(cache["mask"], new)[:, None] > 0
        x = self.start(ids, positions)
        for layer in self.order():
            x = self.block(layer, x, cache, allowed)
        return self.head(self.final(x))

    def start(self, ids, positions):
        last = self.w["wpe.weight"].shape[0] - 1
        return self.w["wte.weight"][ids] + self.w["wpe.weight"][positions.clamp(0, last)]

    def order(self):
        return list(range(self.n_layer))

    def block(self, layer, x, cache, allowed):
        x = x + self.attention(layer, self.norm(f"h.{layer}.ln_1", x), cache, allowed)
        return x + self.mlp(layer, self.norm(f"h.{layer}.ln_2", x))

    def final(self, x):
        return self.norm("ln_f", x)

    def head(self, x):
        return x @ self.w.get("lm_head.weight", self.w["wte.weight"]).T

    def norm(self, name, x):
        scaled = self.standardized(x.float()).to(x.dtype)
        return scaled * self.gain(name) + self.shift(name)

    def standardized(self, x):
        x = x - x.mean(-1, keepdim=True)
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)

    def gain(self, name):
        return self.w[f"{name}.weight"]

    def shift(self, name):
        return self.w[f"{name}.bias"]

    def linear(self, name, x):
        return x @ self.matrix(name) + self.bias(name)

    def matrix(self, name):
        return self.w[f"{name}.weight"]

    def bias(self, name):
        return self.w[f"{name}.bias"]

    def parts(self, qkv):
        return qkv.chunk(3, -1)

    def heads(self, x):
        return x.view(*x.shape[:2], self.n_head, -1).transpose(1, 2)

    def width(self):
        return self.w["wte.weight"].shape[1]

    def joined(self, x):
        return x.transpose(1, 2).flatten(2)

    def scale(self, layer):
        return 1 / sqrt(self.width() // self.n_head)

    def stored(self, cache, layer, k, v):
        if cache["kv"][layer] is not None:
            before_k, before_v = cache["kv"][layer]
            k, v = torch.cat([before_k, k], 2), torch.cat([before_v, v], 2)
        cache["kv"][layer] = (k, v)
        return k, v

    def attention(self, layer, x, cache, allowed):
        q, k, v = map(self.heads, self.parts(self.linear(f"h.{layer}.attn.c_attn", x)))
        k, v = self.stored(cache, layer, k, v)
        scores = (q @ k.transpose(2, 3)) * self.scale(layer)
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        out = scores.float().softmax(-1).to(v.dtype) @ v
        return self.linear(f"h.{layer}.attn.c_proj", self.joined(out))

    def activation(self, x):
        return torch.nn.functional.gelu(x, approximate="tanh")

    def mlp(self, layer, x):
        hidden = self.activation(self.linear(f"h.{layer}.mlp.c_fc", x))
        return self.linear(f"h.{layer}.mlp.c_proj", hidden)


def with_patches(engine, **steps):
    """A class with patched steps; a patch gets the engine, the right step, and its arguments."""
    patched = {}
    for name, step in steps.items():
        right = getattr(engine, name)
        patched[name] = lambda self, *a, step=step, right=right: step(self, right, *a)
    return type("Planted", (engine,), patched)


def _with(**steps):
    return with_patches(PlainGPT2, **steps)


def _columns(mask, new):
    return torch.arange(mask.shape[1])[None, -new:].expand(len(mask), -1)


def _in_order(self, right, prompts, *more, order):
    found = right(self, prompts, *more)
    return [found[i] for i in order(list(range(len(prompts))))]


def _batch_in_order(self, right, prompts, order):
    found = right(self, prompts)
    return torch.stack([found[i] for i in order(list(range(len(prompts))))])


def _reordered(order):
    return _with(
        batch_logits=lambda s, right, p: _batch_in_order(s, right, p, order),
        generate=lambda s, right, p, n, e: _in_order(s, right, p, n, e, order=order),
    )


def _right_padded(self, right, prompts):
    ids, mask = right(self, prompts)
    rows = [torch.roll(row, len(p)) for row, p in zip(ids, prompts, strict=True)]
    return torch.stack(rows), torch.ones_like(mask)


def _first_row(self, right, cache, ids, mask):
    return right(self, cache, ids[:1].expand_as(ids), mask[:1].expand_as(mask))


def _forgotten(self, right, mask, new):
    seen = right(self, mask, new).clone()
    seen[:, :, : mask.shape[1] - new] = 0
    return seen


def _unmasked_piece(self, right, mask, new):
    seen = right(self, mask, new).clone()
    if new < mask.shape[1]:
        seen[:, :, -new:] = mask[:, None, -new:]
    return seen


def _top_left(self, right, mask, new):
    if new in (1, mask.shape[1]):
        return right(self, mask, new)
    return torch.tril(torch.ones(new, mask.shape[1]))[None] * mask[:, None]


def _shows_next(self, right, mask, new):
    total = mask.shape[1]
    return torch.tril(torch.ones(total, total), 1)[-new:][None] * mask[:, None]


def _hides_self(self, right, mask, new):
    total = mask.shape[1]
    return torch.tril(torch.ones(total, total), -1)[-new:][None] * mask[:, None]


def _overwritten(self, right, cache, layer, k, v):
    if cache["kv"][layer] is not None:
        before_k, before_v = (part.clone() for part in cache["kv"][layer])
        before_k[:, :, -1], before_v[:, :, -1] = k[:, :, 0], v[:, :, 0]
        cache["kv"][layer] = (before_k, before_v)
    return right(self, cache, layer, k, v)


def _first_block(self, right, cache, layer, k, v):
    right(self, cache, layer, k, v)
    return cache["kv"][0]


def _first_row_cache(self, right, cache, layer, k, v):
    k, v = right(self, cache, layer, k, v)
    return k[:1].expand_as(k), v[:1].expand_as(v)


def _page_edge(page):
    def stored(self, right, cache, layer, k, v):
        k, v = (part.clone() for part in right(self, cache, layer, k, v))
        for edge in range(page - 1, k.shape[2], page):
            k[:, :, edge], v[:, :, edge] = k[:, :, edge - 1], v[:, :, edge - 1]
        return k, v

    return _with(stored=stored)


def _page_repeats(page):
    def stored(self, right, cache, layer, k, v):
        k, v = right(self, cache, layer, k, v)
        second = min(2 * page, v.shape[2]) - page
        v = v.clone()
        if second > 0:
            v[:, :, page : page + second] = v[:, :, :second].clone()
        return k, v

    return _with(stored=stored)


def _twice(self, right, cache, ids, mask):
    if cache["mask"] is not None and ids.shape[1] == 1 and "fed" not in cache:
        cache["fed"] = True
        right(self, cache, ids, mask)
    return right(self, cache, ids, mask)


def _kept_beams(self, right, cache, parents):
    if len(cache["mask"]) != len(parents):
        right(self, cache, parents)


def _interleaved(self, right, x):
    return x.view(*x.shape[:2], -1, self.n_head).permute(0, 3, 1, 2)


def _per_head(self, right, qkv):
    rows, new, _ = qkv.shape
    by_head = qkv.view(rows, new, self.n_head, 3, -1)
    return [by_head[..., i, :].flatten(2) for i in range(3)]


def _turned(self, right, name):
    weight = right(self, name)
    return weight.T if weight.shape[0] == weight.shape[1] else weight


def _parallel(self, right, layer, x, cache, allowed):
    written = self.attention(layer, self.norm(f"h.{layer}.ln_1", x), cache, allowed)
    return x + written + self.mlp(layer, self.norm(f"h.{layer}.ln_2", x))


def _norms_after(self, right, layer, x, cache, allowed):
    x = self.norm(f"h.{layer}.ln_1", x + self.attention(layer, x, cache, allowed))
    return self.norm(f"h.{layer}.ln_2", x + self.mlp(layer, x))


def _eps(number):
    def standardized(self, right, x):
        self.eps = number
        return right(self, x)

    return _with(standardized=standardized)


def _eps_outside(self, right, x):
    x = x - x.mean(-1, keepdim=True)
    return x / (x.pow(2).mean(-1, keepdim=True).sqrt() + self.eps)


def _unbiased(self, right, x):
    return (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + self.eps)


def _uncentred(self, right, x):
    return x * torch.rsqrt(x.var(-1, keepdim=True, unbiased=False) + self.eps)


BUGS = {
    "padding-counted": _with(positions=lambda s, right, mask, new: _columns(mask, new)),
    "padding-counted-later": _with(
        positions=lambda s, right, mask, new: right(s, mask, new) if new > 1 else _columns(mask, new)
    ),
    "padding-seen": _with(allowed=lambda s, right, mask, new: right(s, torch.ones_like(mask), new)),
    "padding-answered": _with(padded=_right_padded),
    "only-first-row": _with(forward=_first_row),
    "rows-reversed": _reordered(lambda rows: rows[::-1]),
    "rows-shifted": _reordered(lambda rows: rows[-1:] + rows[:-1]),
    "positions-one-late": _with(positions=lambda s, right, mask, new: right(s, mask, new) + 1),
    "positions-restart": _with(positions=lambda s, right, mask, new: right(s, mask[:, -new:], new)),
    "positions-one-short": _with(
        positions=lambda s, right, mask, new: right(s, mask, new) - int(new < mask.shape[1])
    ),
    "positions-one-long": _with(
        positions=lambda s, right, mask, new: right(s, mask, new) + int(new < mask.shape[1])
    ),
    "positions-of-piece": _with(
        positions=lambda s, right, mask, new: (
            right(s, mask, new) if new == mask.shape[1] else right(s, mask, new)[:, :1].expand(-1, new)
        )
    ),
    "positions-of-first-row": _with(
        positions=lambda s, right, mask, new: right(s, mask, new)[:1].expand(len(mask), -1)
    ),
    "positions-wrap": _with(positions=lambda s, right, mask, new: right(s, mask, new) % 256),
    "no-positions": _with(positions=lambda s, right, mask, new: right(s, mask, new) * 0),
    "mask-of-first-row": _with(
        allowed=lambda s, right, mask, new: right(s, mask[:1].expand_as(mask), new)
    ),
    "cache-forgotten": _with(allowed=_forgotten),
    "cache-last-overwritten": _with(stored=_overwritten),
    "cache-of-first-block": _with(stored=_first_block),
    "cache-of-first-row": _with(stored=_first_row_cache),
    "piece-unmasked": _with(allowed=_unmasked_piece),
    "piece-mask-top-left": _with(allowed=_top_left),
    "first-token-twice": _with(forward=_twice),
    "page-16-edge": _page_edge(16),
    "page-64-edge": _page_edge(64),
    "page-128-edge": _page_edge(128),
    "page-16-repeats": _page_repeats(16),
    "page-64-repeats": _page_repeats(64),
    "no-mask": _with(allowed=lambda s, right, mask, new: mask[:, None].expand(-1, new, -1)),
    "mask-hides-self": _with(allowed=_hides_self),
    "mask-shows-next": _with(allowed=_shows_next),
    "ends-at-0": _with(is_end=lambda s, right, token, end: token in (0, end)),
    "ends-at-2": _with(is_end=lambda s, right, token, end: token in (2, end)),
    "ends-at-last": _with(is_end=lambda s, right, token, end: token in (s.pad - 1, end)),
    "never-ends": _with(is_end=lambda s, right, token, end: False),
    "beams-greedy": _with(search=lambda s, right, ids, n, beams: right(s, ids, n, 1)),
    "beams-keep-caches": _with(reorder=_kept_beams),
    "no-scale": _with(scale=lambda s, right, layer: 1.0),
    "scale-head-dim": _with(scale=lambda s, right, layer: right(s, layer) ** 2),
    "scale-width": _with(scale=lambda s, right, layer: s.width() ** -0.5),
    "scale-inverted": _with(scale=lambda s, right, layer: 1 / right(s, layer)),
    "scale-by-layer": _with(scale=lambda s, right, layer: right(s, layer) / (layer + 1)),
    "query-key-exchanged": _with(parts=lambda s, right, qkv: [right(s, qkv)[i] for i in (1, 0, 2)]),
    "key-value-exchanged": _with(parts=lambda s, right, qkv: [right(s, qkv)[i] for i in (0, 2, 1)]),
    "thirds-per-head": _with(parts=_per_head),
    "heads-interleaved": _with(
        heads=_interleaved, joined=lambda s, right, x: x.permute(0, 2, 3, 1).flatten(2)
    ),
    "heads-merged-wrong": _with(joined=lambda s, right, x: x.reshape(x.shape[0], x.shape[2], -1)),
    "matrices-turned": _with(matrix=_turned),
    "no-attention-bias": _with(bias=lambda s, right, name: right(s, name) * (".attn." not in name)),
    "no-mlp-bias": _with(bias=lambda s, right, name: right(s, name) * (".mlp." not in name)),
    "blocks-reversed": _with(order=lambda s, right: right(s)[::-1]),
    "last-block-missing": _with(order=lambda s, right: right(s)[:-1]),
    "parallel": _with(block=_parallel),
    "norms-after": _with(block=_norms_after),
    "no-final-norm": _with(final=lambda s, right, x: x),
    "no-centring": _with(standardized=_uncentred),
    "variance-unbiased": _with(standardized=_unbiased),
    "epsilon-outside": _with(standardized=_eps_outside),
    "epsilon-1e-06": _eps(1e-6),
    "epsilon-1e-12": _eps(1e-12),
    "no-norm-bias": _with(shift=lambda s, right, name: right(s, name) * 0),
    "gain-plus-one": _with(gain=lambda s, right, name: right(s, name) + 1),
    "gelu-erf": _with(activation=lambda s, right, x: torch.nn.functional.gelu(x)),
    "gelu-quick": _with(activation=lambda s, right, x: x * torch.sigmoid(1.702 * x)),
    "silu": _with(activation=lambda s, right, x: torch.nn.functional.silu(x)),
    "relu": _with(activation=lambda s, right, x: torch.relu(x)),
    "head-tied": _with(head=lambda s, right, x: x @ s.w["wte.weight"].T),
    "ids-one-off": _with(head=lambda s, right, x: right(s, x).roll(1, -1)),
}
"""Every bug by the id of the fault that the findings have to name."""
