"""handcraft.json of a disguise: what each weight serves, and what rows and columns stand for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from handcraft.disguise.carried import Carried, HeadCopy, Place
from handcraft.disguise.resize import used_heads
from handcraft.formats import Checkpoint
from handcraft.formats.manifest.convert import Tables
from handcraft.formats.manifest.manifest import Manifest, architecture_facts, manifest_text
from handcraft.formats.manifest.served import Origins, runs_of
from handcraft.model import AxisNames, BlockNames, HeadNames, Model
from handcraft.origin import Origin
from handcraft.proofs import Proof

DISTRACTOR = Origin("a distractor: it changes no answer")
"""What the weights of distractors serve."""

NOTHING = -1


def carried_manifest(
    checkpoint: Checkpoint, model: Model, carried: Carried, proof: Proof | None, format: str
) -> str:
    """The text of handcraft.json: the meaning of the original, and the origins of the new weights.

    If the stream was rotated or resized, subspaces have no dimensions of their own, so there is no
    layout; their bases are those of the original, moved by the map in disguise.json.

    Args:
        checkpoint: the folder that was disguised.
        model: the disguise.
        carried: the map from that folder's model.
        proof: what was proved of the disguise.
        format: of its folder.
    """
    tables = Tables()
    written = replace(
        checkpoint.manifest,
        format=format,
        architecture=architecture_facts(model.architecture, model.shape),
        shape=model.shape,
        token_ids=tuple(model.vocabulary.numbers),
        layout=(),
        names=_names(checkpoint.manifest, model, carried),
        weights={},
        facts=None,
        proof=proof,
        disguised=True,
    )
    served = _Served(checkpoint.origins, carried, tables)
    weights = {name: served.runs(name, tensor != 0) for name, tensor in model.tensors.items()}
    return manifest_text(replace(written, weights=weights), tables)


def _names(manifest: Manifest, model: Model, carried: Carried) -> AxisNames:
    """Names of dimensions, heads and hidden units."""
    stream = tuple(f"dimension {i} of the disguise" for i in range(model.shape.n_embd))
    return AxisNames(stream, tuple(_block_names(manifest.names, model, carried)))


def _block_names(names: AxisNames, model: Model, carried: Carried) -> Iterator[BlockNames]:
    for block, copies in enumerate(carried.heads):
        old = carried.blocks[block]
        known = names.blocks[old] if old is not None and old < len(names.blocks) else BlockNames((), ())
        used = used_heads(model, block)
        heads = []
        for i, copy in enumerate(copies):
            if Place(block, i) in carried.distractor_heads:
                heads.append(_mixed("a distractor", model))
            elif copy is None or i not in used or copy.source.number >= len(known.heads):
                heads.append(_mixed("unused", model))
            else:
                every = [at for at in carried.head(*copy.source) if at.number in used]
                nth = f", {every.index(Place(block, i)) + 1} of {len(every)}" if len(every) > 1 else ""
                heads.append(_mixed(f"{known.heads[copy.source.number].name}{nth}", model))
        units = []
        for i, number in enumerate(carried.units[block].tolist()):
            if Place(block, i) in carried.distractor_units:
                units.append("a distractor")
            else:
                units.append(known.units[number] if 0 <= number < len(known.units) else "unused")
        yield BlockNames(tuple(heads), tuple(units))


def _mixed(name: str, model: Model) -> HeadNames:
    channels = tuple(f"channel {i}" for i in range(model.shape.head_dim))
    return HeadNames(name, channels, channels)


@dataclass
class _Served:
    """What the weights of a disguise serve: what the old weights serve that they are made of.

    Along the stream every weight may be made of all old ones, so only the other axis tells them apart.
    """

    origins: Origins
    carried: Carried
    tables: Tables

    def runs(self, name: str, is_nonzero: Any) -> list[list[Any]]:
        """For one tensor, the runs of weights that serve the same; see `served_runs`."""
        listed: list[list[int]] = []
        numbers: dict[tuple[int, ...], int] = {}
        along = np.full(is_nonzero.shape, NOTHING)  # each weight's place in `listed`
        for index, served in self._groups(name, is_nonzero.shape):
            key = tuple(dict.fromkeys(map(self.tables.number, served)))
            if key:
                if key not in numbers:
                    numbers[key] = len(listed)
                    listed.append([*key])
                along[index] = numbers[key]
        kept = is_nonzero & (along != NOTHING)
        indices = np.argwhere(kept)
        return runs_of(indices, along[kept], listed) if len(indices) else []

    def _groups(self, name: str, shape: tuple[int, ...]) -> Iterator[tuple[Any, Iterable[Origin]]]:
        """Parts of a tensor, and what each serves."""
        parts = name.split(".")
        if parts[0] != "h":
            yield from self._of_ends(name)
            return
        block, part = int(parts[1]), ".".join(parts[2:])
        old = self.carried.blocks[block]
        before = self.origins.get(f"h.{old}.{part}", {}) if old is not None else {}
        if part == "attn.c_attn.weight" or part == "attn.c_attn.bias":
            yield from self._channels(block, _along(before, -1), shape[-1] // 3, reads=True)
        elif part == "attn.c_proj.weight":
            yield from self._channels(block, _along(before, 0), shape[0], reads=False)
        elif part in ("mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight"):
            by_unit = _along(before, 0 if part == "mlp.c_proj.weight" else -1)
            for i, number in enumerate(self.carried.units[block].tolist()):
                is_added = Place(block, i) in self.carried.distractor_units
                index = i if part == "mlp.c_proj.weight" else (..., i)
                yield index, [DISTRACTOR] if is_added else by_unit.get(number, ())
        elif before:
            yield ..., dict.fromkeys(origin for served in before.values() for origin in served)

    def _of_ends(self, name: str) -> Iterator[tuple[Any, Iterable[Origin]]]:
        """The embeddings, row by row, and ln_f."""
        before = self.origins.get(name, {})
        if name == "lm_head.weight" and not before:
            before = self.origins.get("wte.weight", {})
        rows = _along(before, 0)
        if name in ("wte.weight", "lm_head.weight"):
            for new, old in enumerate(self.carried.tokens.tolist()):
                yield new, rows.get(old, ())
        elif name == "wpe.weight":
            yield from rows.items()
        else:
            yield ..., dict.fromkeys(origin for served in before.values() for origin in served)

    def _channels(
        self, block: int, known: dict[int, list[Origin]], width: int, *, reads: bool
    ) -> Iterator[tuple[Any, Iterable[Origin]]]:
        """The columns of c_attn, or the rows of c_proj."""
        copies, old_width = self.carried.heads[block], self.carried.old.n_embd
        wide, was = self.carried.new.head_dim, self.carried.old.head_dim
        for i, copy in enumerate(copies):
            for part in range(3 if reads else 1):
                maps = _maps(copy)[part if reads else 3] if copy is not None else None
                for channel in range(wide):
                    at = part * width + i * wide + channel
                    index: Any = (..., at) if reads else at
                    if maps is None:
                        is_added = Place(block, i) in self.carried.distractor_heads
                        yield index, [DISTRACTOR] if is_added else ()
                        continue
                    assert copy is not None
                    first = part * old_width + copy.source.number * was
                    sources = first + np.flatnonzero(maps[channel])
                    yield index, [each for n in sources.tolist() for each in known.get(n, ())]


def _maps(copy: HeadCopy) -> tuple[Any, ...]:
    return copy.query, copy.key, copy.value, copy.output


def _along(served: Any, axis: int) -> dict[int, list[Origin]]:
    """What all weights with one index along an axis serve."""
    found: dict[int, dict[Origin, None]] = {}
    for index, origins in served.items():
        found.setdefault(index[axis], {}).update(dict.fromkeys(origins))
    return {number: [*each] for number, each in found.items()}
