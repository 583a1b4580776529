"""The least margin of a folder of a Llama, as transformers computes it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from handcraft_check.claim import read_claim

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

DTYPES = ("float32", "bfloat16", "float16")


def texts(claim, most=400):
    """Texts of each length, as places, all of them or some: [text, position]."""
    count = len(claim.token_ids)
    for length in range(1, claim.domain.length + 1):
        if count**length <= most:
            yield np.array([*product(range(count), repeat=length)])
        else:
            yield np.random.default_rng(length).integers(count, size=(most, length))


def margins(folder, dtype, how):
    """The least margin of the texts, as transformers computes it."""
    claim = read_claim(folder, rehash=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=getattr(torch, dtype), attn_implementation=how
    )
    least = np.inf
    for some in texts(claim):
        begun = np.column_stack([np.full(len(some), claim.model.config.begin), claim.token_ids[some]])
        with torch.no_grad():
            logits = model(torch.from_numpy(begun)).logits[:, -1].float().numpy()
        rows, right = np.arange(len(some)), claim.token_ids[claim.meaning.answers(some).codes]
        own = logits[rows, right].copy()
        logits[rows, right] = -np.inf
        least = min(least, float((own - logits.max(axis=1)).min()))
    return least
