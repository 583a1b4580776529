"""Known answers for inference engines: models whose wrong answers say what is wrong with the engine.

`write_pack` writes models and cases to a folder, `read_pack` reads them, and `run_pack` runs them on an
engine. The models are small GPT-2s in which one fault of an engine changes the answer, and the
token that comes out names the fault.

- `layout`: codewords, named dimensions and gauges, from which models are laid out.
- `models`: the models, one file each.
- `faults`: a forward pass in NumPy with a place for every known fault, and the faults.
- `cases`: what is asked, and what is right.
- `pack`: cases measured in every dtype and with every fault; files, hashes, a schema.
- `engines`: adapters of engines.
- `run`: a process that may fail, judging, what failed cases have in common, reports.
"""

from typing import TYPE_CHECKING

from handcraft.on_use import imported_on_use

if TYPE_CHECKING:
    from handcraft.conformance.pack.read_pack import Pack, read_pack
    from handcraft.conformance.pack.write_pack import write_pack
    from handcraft.conformance.run.run_pack import run_pack
else:
    __getattr__, __dir__ = imported_on_use(
        __name__,
        {
            "handcraft.conformance.pack.read_pack": ("Pack", "read_pack"),
            "handcraft.conformance.pack.write_pack": ("write_pack",),
            "handcraft.conformance.run.run_pack": ("run_pack",),
        },
    )

__all__ = ["Pack", "read_pack", "run_pack", "write_pack"]
