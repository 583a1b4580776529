"""`GPTModel` of Raschka, Build a Large Language Model (From Scratch), from its description.

docs/from-scratch.md uses it. The description: the names and shapes of its state dict; nn.Linear
everywhere; queries, keys and values without bias; LayerNorm before attention, before the MLP and before
the head, with the biased variance and 1e-5; GELU by tanh; an MLP four times as wide; scores divided by
the square root of the head's width; an upper triangle of ones as mask, kept as a buffer; a head that is
not tied.
"""

from __future__ import annotations

from math import pi, sqrt

import torch
from torch import nn


class LayerNorm(nn.Module):
    """Subtract the mean, divide by the standard deviation, then scale and shift."""

    def __init__(self, width):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.shift = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        """[..., width] -> [..., width]."""
        centred = x - x.mean(dim=-1, keepdim=True)
        variance = (centred**2).mean(dim=-1, keepdim=True)
        return self.scale * centred / torch.sqrt(variance + 1e-5) + self.shift


class GELU(nn.Module):
    """The activation function, in its form by tanh."""

    def forward(self, x):
        """[...] -> [...]."""
        return 0.5 * x * (1 + torch.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))


class FeedForward(nn.Module):
    """The MLP: to four times the width, GELU, and back."""

    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, 4 * width), GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        """[batch, position, width] -> [batch, position, width]."""
        return self.layers(x)


class MultiHeadAttention(nn.Module):
    """Causal attention with several heads and an output projection."""

    def __init__(self, cfg):
        super().__init__()
        width, length = cfg["emb_dim"], cfg["context_length"]
        self.heads = cfg["n_heads"]
        self.W_query = nn.Linear(width, width, bias=cfg["qkv_bias"])
        self.W_key = nn.Linear(width, width, bias=cfg["qkv_bias"])
        self.W_value = nn.Linear(width, width, bias=cfg["qkv_bias"])
        self.out_proj = nn.Linear(width, width)
        self.dropout = nn.Dropout(cfg["drop_rate"])
        self.register_buffer("mask", torch.triu(torch.ones(length, length), diagonal=1))

    def forward(self, x):
        """[batch, position, width] -> [batch, position, width]."""
        batch, length, width = x.shape

        def split(y):  # [batch, position, width] -> [batch, head, position, head width]
            return y.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

        queries, keys, values = split(self.W_query(x)), split(self.W_key(x)), split(self.W_value(x))
        scores = queries @ keys.transpose(2, 3) / sqrt(width // self.heads)
        scores = scores.masked_fill(self.mask[:length, :length].bool(), -torch.inf)
        pattern = self.dropout(torch.softmax(scores, dim=-1))
        return self.out_proj((pattern @ values).transpose(1, 2).reshape(batch, length, width))


class TransformerBlock(nn.Module):
    """Attention and an MLP, each behind a LayerNorm and around it a residual connection."""

    def __init__(self, cfg):
        super().__init__()
        self.att = MultiHeadAttention(cfg)
        self.ff = FeedForward(cfg["emb_dim"])
        self.norm1 = LayerNorm(cfg["emb_dim"])
        self.norm2 = LayerNorm(cfg["emb_dim"])
        self.drop_shortcut = nn.Dropout(cfg["drop_rate"])

    def forward(self, x):
        """[batch, position, width] -> [batch, position, width]."""
        x = x + self.drop_shortcut(self.att(self.norm1(x)))
        return x + self.drop_shortcut(self.ff(self.norm2(x)))


class GPTModel(nn.Module):
    """Embeddings, blocks, a last LayerNorm and a head that is not tied."""

    def __init__(self, cfg):
        super().__init__()
        self.tok_emb = nn.Embedding(cfg["vocab_size"], cfg["emb_dim"])
        self.pos_emb = nn.Embedding(cfg["context_length"], cfg["emb_dim"])
        self.drop_emb = nn.Dropout(cfg["drop_rate"])
        self.trf_blocks = nn.Sequential(*(TransformerBlock(cfg) for _ in range(cfg["n_layers"])))
        self.final_norm = LayerNorm(cfg["emb_dim"])
        self.out_head = nn.Linear(cfg["emb_dim"], cfg["vocab_size"], bias=False)

    def forward(self, ids):
        """Token ids, [batch, position], to logits, [batch, position, vocab_size]."""
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.drop_emb(self.tok_emb(ids) + self.pos_emb(places))
        return self.out_head(self.final_norm(self.trf_blocks(x)))
