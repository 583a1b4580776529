"""How well attribution methods find true circuits: a table, as a script of `make readers`.

For each program: the area under the ROC curve of absolute scores; and the precision of as many edges
as are true, those with the highest scores.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from eap_ig import METHODS, area_under_roc, attribute, precision_at_true, read

from handcraft import compile_program
from handcraft.cli.input.sources import compile_found, find
from handcraft.disguise import Distract, Permute, Rotate, Split, disguise
from handcraft.ground_truth import Wanted, of_compiled, of_disguise, write_ground_truth
from handcraft.weights import Sizes

NAMES = ["aab", "induction", "parity", "add", "sort", "dyck1", "most_frequent", "median"]
NAMES += ["palindrome", "ioi"]

PAIRS = 64


DISGUISED = ["induction"]

TRANSFORMS = [Split(2, 2), Distract(2, 8), Permute(), Rotate()]


def truths(name, folder, hides):
    """The ground truth of a program, or of a disguise of it."""
    source = find(name).source
    compiled = compile_found(source)
    if compiled.model.shape.n_head == 1:  # EAP-IG 2.0.0 fails where a block has one head
        compiled = compile_program(source, sizes=Sizes(n_head=2))
    subject, model = of_compiled(compiled, name), None
    if hides:
        made = disguise(compiled, TRANSFORMS, seed=1, untie=True)
        model = made.save(folder / "disguise")
        subject = of_disguise(subject, made.model, made.carried, name=name)
    write_ground_truth(subject, folder / "truth", what=["circuit"], wanted=Wanted(PAIRS))
    return read(folder / "truth", model)


def main(names, disguised):
    packages = ("eap", "transformer-lens", "torch", "transformers")
    print("with " + ", ".join(f"{package} {version(package)}" for package in packages) + "\n")
    titles = [f"{method}: {what}" for method in METHODS for what in ("AUROC", "precision")]
    print("| " + " | ".join(["program", "edges", "true", *titles]) + " |")
    print("| " + " | ".join(["---"] * (3 + len(titles))) + " |")
    every = [(name, False) for name in names] + [(name, True) for name in disguised]
    for name, hides in every:
        with TemporaryDirectory() as temporary:
            truth = truths(name, Path(temporary), hides)
            graph, table = truth.graph(), truth.pairs("examples.csv")
            true = sum(bool(edge.in_graph) for edge in graph.edges.values())
            cells = [f"`{name}`" + (", disguised" if hides else ""), f"{len(graph.edges):,}", str(true)]
            for method in METHODS.values():
                found = attribute(truth, table, method)
                cells += [f"{f(graph, found):.2f}" for f in (area_under_roc, precision_at_true)]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or NAMES, sys.argv[1:] or DISGUISED)
