"""EAP-IG 2.0.0 on a folder of ground truth: the model in TransformerLens, the circuit, the pairs."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import eap.attribute
import numpy as np
import pandas as pd
import torch
import transformers
from eap.evaluate import evaluate_graph
from eap.graph import Graph
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights

BATCH = 64


@dataclass(frozen=True)
class Truth:
    """A folder of ground truth, as EAP-IG reads it."""

    folder: Path
    model: HookedTransformer

    def graph(self):
        """The circuit."""
        return Graph.from_json(str(self.folder / "circuit.json"))

    def pairs(self, name="pairs.csv"):
        """A table of pairs. Prompts of digits are texts, and so is a prompt like `null`."""
        kinds = {"clean": str, "corrupted": str}
        return pd.read_csv(self.folder / name, dtype=kinds, keep_default_na=False)


def read(folder, model=None):
    """A folder with the model in it, or with a model beside it."""
    return Truth(Path(folder), hooked(Path(model or Path(folder) / "model")))


def hooked(folder):
    """Our checkpoint as a HookedTransformer, its weights as they are."""
    with redirect_stdout(io.StringIO()):
        model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    # TransformerLens tries a tokenizer on the letter a, which need not be a token.
    tokenizer.backend_tokenizer.model.unk_token = tokenizer.pad_token
    sizes = model.config
    config = HookedTransformerConfig(
        n_layers=sizes.n_layer,
        d_model=sizes.n_embd,
        n_ctx=sizes.n_positions,
        d_head=sizes.n_embd // sizes.n_head,
        n_heads=sizes.n_head,
        d_mlp=sizes.n_inner or 4 * sizes.n_embd,
        d_vocab=sizes.vocab_size,
        act_fn="gelu_new",
        normalization_type="LN",
        eps=sizes.layer_norm_epsilon,
        device="cpu",
        use_attn_result=True,
        use_split_qkv_input=True,
        use_hook_mlp_in=True,
    )
    lens = HookedTransformer(config)
    tensors = convert_gpt2_weights(model, config)
    tensors["unembed.b_U"] = torch.zeros(sizes.vocab_size)
    missing, unknown = lens.load_state_dict(tensors, strict=False)
    assert not unknown
    assert all(name.endswith(("attn.mask", "attn.IGNORE")) for name in missing), missing
    lens.set_tokenizer(tokenizer, default_padding_side="right")
    # EAP-IG asks for a token that begins each text. Ours begin with their own, or have none.
    lens.cfg.tokenizer_prepends_bos = True
    return lens


def batches(table):
    """Batches as EAP-IG takes them: clean prompts, corrupted prompts, labels; of one length each."""
    lengths = table["clean"].map(lambda text: len(text.split()) if " " in text else len(text))
    for _, rows in table.groupby(lengths, sort=True):
        for start in range(0, len(rows), BATCH):
            part = rows.iloc[start : start + BATCH]
            labels = part[["correct_idx", "incorrect_idx"]].to_numpy()
            yield part["clean"].tolist(), part["corrupted"].tolist(), torch.tensor(labels)


def last(logits, lengths):
    """The logits at the last position of each text."""
    return logits[torch.arange(len(logits)), lengths - 1]


def answers(logits, clean_logits, lengths, labels):
    """Whether each answer is the right one."""
    return (last(logits, lengths).argmax(-1) == labels[:, 0]).float()


def lead(logits, clean_logits, lengths, labels):
    """By how much the right token leads over the wrong one."""
    ends = last(logits, lengths)
    rows = torch.arange(len(ends))
    return ends[rows, labels[:, 0]] - ends[rows, labels[:, 1]]


def last_logits(logits, clean_logits, lengths, labels):
    """The logits themselves."""
    return last(logits, lengths)


def loss(logits, clean_logits, lengths, labels):
    """What attribution methods differentiate: minus the mean lead."""
    return -lead(logits, clean_logits, lengths, labels).mean()


def evaluate(truth, graph, table, metric):
    """The metric of each pair, in the order of the batches."""
    return evaluate_graph(truth.model, graph, [*batches(table)], metric, quiet=True)


class OnCpu:
    """torch for `eap.attribute`, which asks for memory of a GPU by name."""

    def __getattr__(self, name):
        return getattr(torch, name)

    def zeros(self, *sizes, device=None, **options):
        return torch.zeros(*sizes, **options)


METHODS = {"EAP": "EAP", "EAP-IG inputs": "EAP-IG-inputs", "EAP-IG activations": "EAP-IG-activations"}


def attribute(truth, table, method, *, steps=5):
    """A graph with the scores of an attribution method."""
    graph = Graph.from_model(truth.model)
    with patch.object(eap.attribute, "torch", OnCpu()):
        eap.attribute.attribute(
            truth.model, graph, [*batches(table)], loss, method, ig_steps=steps, quiet=True
        )
    return graph


def area_under_roc(truth_graph, graph):
    """The chance that a true edge has a higher absolute score than a false one; ties count a half."""
    scores = {name: abs(float(edge.score)) for name, edge in graph.edges.items()}
    true = np.array([scores[n] for n, e in truth_graph.edges.items() if e.in_graph])
    false = np.array([scores[n] for n, e in truth_graph.edges.items() if not e.in_graph])
    above = (true[:, None] > false[None]).mean()
    return float(above + (true[:, None] == false[None]).mean() / 2)


def precision_at_true(truth_graph, graph):
    """Of as many edges as are true, those with the highest scores: the share that is true."""
    order = sorted(graph.edges, key=lambda name: -abs(float(graph.edges[name].score)))
    count = sum(bool(edge.in_graph) for edge in truth_graph.edges.values())
    return sum(bool(truth_graph.edges[name].in_graph) for name in order[:count]) / count
