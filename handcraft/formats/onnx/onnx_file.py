"""Write a model as an ONNX graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from handcraft.formats.foreign_files import import_extra
from handcraft.formats.onnx.gpt2_graph import Gpt2Graph
from handcraft.formats.onnx.graph import WEIGHTS
from handcraft.formats.onnx.llama_graph import LlamaGraph
from handcraft.model import Model

FILE = "model.onnx"
"""The graph, with the weights in it unless they are too many."""

INLINE = 1 << 27
"""The most bytes of weights that a graph contains itself: it is made in memory, and at most 2 GiB."""


def write_onnx(model: Model, folder: Path, *, with_stream: bool = False) -> None:
    """Write a model as an ONNX graph: ``input_ids`` in, ``logits`` out.

    ``input_ids`` is int64 [batch, length] with both axes dynamic; ``logits`` is [batch, length,
    n_vocab], float64 for a float64 model and float32 for any other. The weights keep their names and
    their type; float16 and bfloat16 are cast to float32 before anything is computed with them, as in
    `Model.forward`. Intermediates have their names in `Model.trace`. The tokens are in the metadata
    under ``vocabulary``, a JSON object with the id of each. More than `INLINE` bytes of weights go to a
    file beside the graph, one tensor at a time.

    The texts of a Llama start with the begin token, whose id is in the metadata under ``begin``: its
    ``input_ids`` have it first, as a tokenizer gives them, and the logits after it come out too.

    Every architecture is supported, causal or not. The caller must check ids and lengths: an id below 0
    counts from the end of the vocabulary, one above it or a length above n_positions fails. In float64
    ONNX Runtime rounds the scale of scores to float32, which costs 1e-8, and has no Erf for gelu_erf.

    `with_stream` adds the output ``residual``, [batch, length, n_embd]: the residual stream after the
    last block, from which the values of a model without logits are read.
    """
    path = folder / FILE
    onnx = import_extra("onnx", "ONNX")
    stands_alone = model.parameters * model.dtype.itemsize <= INLINE
    graph_of = LlamaGraph if model.architecture.is_rotary else Gpt2Graph
    graph = graph_of(onnx, model, stands_alone=stands_alone, with_stream=with_stream)
    graph.build()
    if not stands_alone:
        with (folder / WEIGHTS).open("wb") as file:
            for name in graph.shapes:
                np.ascontiguousarray(model.tensors[name]).tofile(file)
    path.write_bytes(graph.proto().SerializeToString(deterministic=True))
