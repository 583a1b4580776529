"""A Llama, of which every activation is known up to an error."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from handcraft_check.arithmetic.regime import Array, Regime
from handcraft_check.arithmetic.rounding import Bounded, added, rounded
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.by_windows.rms_norm_of_sums import rms_norm_of_sums
from handcraft_check.by_windows.sums import NormedSums, Sums
from handcraft_check.folder.config import Config
from handcraft_check.layers.blocks import Block
from handcraft_check.layers.gated_units import (
    SILU,
    gated_mlp,
    gated_sums,
    half_gated_mlp,
    half_gated_sums,
)
from handcraft_check.layers.half import for_each_value
from handcraft_check.layers.hidden_units import Activation
from handcraft_check.layers.layer_norm import Normed
from handcraft_check.layers.matrix import Ids, Matrix
from handcraft_check.layers.model import Model
from handcraft_check.layers.rms_norm import half_rms_norm, rms_norm
from handcraft_check.layers.rotary import Rotary, rotary_heads
from handcraft_check.layers.weights import HEAD, Tensors, Weights, without_bias
from handcraft_check.layers.zeros import units_in_use


class Llama(Model):
    """The tensors of a Llama; its texts have a begin token in front.

    That token is at position 0, and position i of a text is position i + 1 of the model. It sees only
    itself, so that what it is in each layer is known once for all texts.
    """

    def read_weights(
        self, config: Config, tensors: Mapping[str, Array], regime: Regime, *, is_exact: bool
    ) -> Weights:
        """All of them; the matrices of the file are transposed, and have no bias."""
        is_prefixed = "model.embed_tokens.weight" in tensors
        left = Tensors(config, tensors, "model." if is_prefixed else "", regime)
        width, heads = config.n_embd, config.n_head * config.head_dim
        shared, inner = config.kv_heads * config.head_dim, config.n_inner

        def norm(name: str) -> tuple[Bounded, Bounded]:
            none = np.zeros(width)
            return left.take(f"{name}.weight", width), Bounded(none, none)

        def matrix(name: str, out: int, read: int) -> Matrix:
            return without_bias(left.take(f"{name}.weight", out, read), regime)

        def block(name: str) -> Block:
            attention, pairs = rotary_heads(
                matrix(f"{name}.self_attn.q_proj", heads, width),
                matrix(f"{name}.self_attn.k_proj", shared, width),
                matrix(f"{name}.self_attn.v_proj", shared, width),
                matrix(f"{name}.self_attn.o_proj", width, heads),
                config.head_dim,
            )
            gate, up = (matrix(f"{name}.mlp.{each}_proj", inner, width) for each in ("gate", "up"))
            down, units = matrix(f"{name}.mlp.down_proj", width, inner), units_in_use(gate, up)
            assert config.theta is not None
            rotary = Rotary(pairs, config.theta, config.head_dim)
            norms = norm(f"{name}.input_layernorm"), norm(f"{name}.post_attention_layernorm")
            read = up.of_columns(units), down.of_rows(units), units, gate.of_columns(units)
            return Block(norms[0], attention, norms[1], *read, rotary)

        wte = left.take("embed_tokens.weight", config.vocab_size, width)
        blocks = [block(f"layers.{i}") for i in range(config.n_layer)]
        last = norm("norm")
        if config.is_tied:
            left.check_tied("embed_tokens.weight")
        head = wte if config.is_tied else left.take(HEAD, config.vocab_size, width)
        left.check_all_taken()
        none = np.zeros((config.n_positions, width))
        return Weights(wte, Bounded(none, none), blocks, last, without_bias(head, regime))

    @cached_property
    def begun(self) -> list[tuple[Bounded, Bounded]]:
        """Keys and values of the begin token in each layer: [1, head, dimension] each."""
        x, found = self._begin(), []
        for layer in range(self.config.n_layer):
            query, key, value = self.attend_from(layer, x, -1)
            found.append((key, value))
            x = self.feed_forward(layer, self.written(layer, x, self.read_by(layer, query, key, value)))
        return found

    def _begin(self) -> Stream:
        assert self.config.begin is not None
        return self.embed(np.array([self.config.begin]), -1)

    def embed(self, ids: Ids, position: int | Ids) -> Stream:
        """The embedding of tokens, wherever they are: [row] -> [row, n_embd]."""
        return self._apart(self.wte[ids])

    def _normed(self, x: Stream, weights: tuple[Bounded, Bounded]) -> Normed:
        gain, none = weights
        if self.regime.is_half:
            return half_rms_norm(x, gain, self.config.epsilon, self.regime.steps)
        return rms_norm(x, gain.center, self.config.epsilon).in_use(self.regime, gain.error, none.error)

    def attend_from(
        self, layer: int, x: Stream, position: int | Ids = 0, anywhere: Ids | None = None
    ) -> tuple[Bounded, Bounded, Bounded]:
        """Queries, keys and values of rows, [row, n_embd], at one position or each at its own.

        Queries and keys are rotated by the position, behind the begin token. Keys that may be at any of
        several positions are known up to what they are at each of these.
        """
        block, heads = self.blocks[layer], self.blocks[layer].heads
        assert block.rotary is not None
        matching, values = self.read(x, block.ln_1, heads.matching, heads.moving)
        at = np.atleast_1d(np.asarray(position) + self.config.lead)
        queries, keys = block.matching.boxes(matching)
        queries = block.rotary.rotated(queries, at, self.regime)
        if anywhere is None:
            keys = block.rotary.rotated(keys, at, self.regime)
        else:
            keys = block.rotary.rotated_anywhere(keys, anywhere + self.config.lead, self.regime)
        shape = (len(x.center), heads.count, heads.moved)
        return queries, keys, Bounded(values.center.reshape(shape), values.error.reshape(shape))

    @property
    def activation(self) -> Activation:
        """Of what gates hidden units."""
        return SILU

    def normed_sums(self, x: Sums, weights: tuple[Bounded, Bounded]) -> NormedSums:
        """Sums behind RMSNorm, of which the gain is known exactly."""
        return rms_norm_of_sums(x, weights[0].center, self.config.epsilon, self.regime.steps)

    def behind_units(self, layer: int, x: NormedSums) -> Stream:
        """The stream behind gated units that read such sums, before the addition is rounded."""
        block = self.blocks[layer]
        assert block.gate is not None
        if not self.regime.is_half:
            return gated_sums(x, block.gate, block.c_fc, block.mlp_out)
        out = half_gated_sums(x, block.gate, block.c_fc, block.mlp_out, self.regime)
        none = np.zeros((len(out.center), 0))
        error = x.stream.error + out.error
        return Stream(x.stream.center + out.center, error, error, none, self.no_directions)

    def feed_forward(self, layer: int, x: Stream) -> Stream:
        """The residual stream behind the gated MLP of one block: [row, n_embd]."""
        block = self.blocks[layer]
        assert block.gate is not None
        if not self.regime.is_half:
            normed = self._normed(x, block.ln_2)
            found = gated_mlp(normed, block.gate, block.c_fc, block.mlp_out, self.regime)
            wide = rounded(found.center - found.error, found.center + found.error)
            return found.rounded_to(wide, block.mlp_out.terms > 0)
        gate, up, down, regime = block.gate, block.c_fc, block.mlp_out, self.regime
        weight = np.maximum(gate.magnitude.max(axis=1), up.magnitude.max(axis=1))

        def written(read: Bounded) -> Bounded:
            return half_gated_mlp(read, gate, up, down, regime)

        def compute(some: Bounded) -> Bounded:
            normed = self._normed(self._apart(some), block.ln_2)
            read = Bounded(normed.center, normed.error)
            return added(some, for_each_value(read, regime.steps, weight, written), regime.steps)

        gain = np.abs(block.ln_2[0].center) * weight
        return self._apart(for_each_value(Bounded(x.center, x.error), regime.steps, gain, compute))
