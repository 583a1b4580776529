"""A state of the residual stream of a model, as tools call it."""

from __future__ import annotations

from dataclasses import dataclass

from handcraft.ground_truth.subject import LaidOut


@dataclass(frozen=True)
class HookPoint:
    """A state of the residual stream of a model, as tools call it.

    Args:
        trace: as `compiled.trace` calls it.
        transformer_lens: the hook of TransformerLens.
        module: the module of transformers whose input or output it is. No module outputs the stream
            after attention: for that state it is the module whose output attention adds to the stream.
        is_input: whether it is the input of that module.
    """

    trace: str
    transformer_lens: str
    module: str
    is_input: bool

    @classmethod
    def of(cls, done: int, *, rotary: bool) -> HookPoint:
        """The state after this many halves of blocks, as `Model.resume` counts them.

        With `rotary` the model is a Llama, else a GPT-2. The begin token of a Llama is at position 0 of
        what tools read there.
        """
        blocks, added_by = (
            ("model.layers", "self_attn") if rotary else ("transformer.h", "attn.resid_dropout")
        )
        if done == 0:
            return cls("embedding", "blocks.0.hook_resid_pre", f"{blocks}.0", True)
        layer, is_after_mlp = divmod(done - 1, 2)
        if is_after_mlp:
            block = f"{blocks}.{layer}"
            return cls(f"h.{layer}.output", f"blocks.{layer}.hook_resid_post", block, False)
        added = f"{blocks}.{layer}.{added_by}"
        return cls(f"h.{layer}.after_attention", f"blocks.{layer}.hook_resid_mid", added, False)

    def data(self) -> dict[str, object]:
        """The names as plain data."""
        return {
            "trace": self.trace,
            "transformer_lens": self.transformer_lens,
            "transformers": {"module": self.module, "of": "input" if self.is_input else "output"},
        }


def model_state(subject: LaidOut, state: int) -> int:
    """The state of the model that is a state of its circuits.

    The neurons of a block of the circuits may be spread over several blocks of the model.

    Args:
        subject: the model.
        state: how many halves of blocks (heads, then neurons) of the circuits come before it.

    Returns:
        How many halves of blocks of the model come before it, as `Model.resume` counts them.
    """
    if state == 0:
        return 0
    block, is_after_mlp = divmod(state - 1, 2)
    layers = [number for number, layer in enumerate(subject.layers) if layer.block == block]
    return subject.done(2 * layers[-1] + 2 if is_after_mlp else 2 * layers[0] + 1)
