"""Mutation testing: change one token of the compiler, and see whether a test notices.

`python benchmarks/mutants.py` takes a sample of mutants of every file in `NEAR`, and
`python benchmarks/mutants.py FILE ...` of some. A mutant that survives all tests is either a line that
no test depends on, or a change without effect.

Each mutant is written to a scratch copy of the package, never to the working tree. A fork of this
process runs the tests: it has imported what the package imports, and nothing of the package.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import copy
import importlib
import json
import os
import random
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path
from time import process_time
from typing import Any

from measuring import print_table

ROOT = Path(__file__).resolve().parents[1]
UNIT = "tests/unit/"

SECONDS = 40
"""Of processor time for the tests of one mutant: a loop without an end is killed by then."""
BYTES = 4 << 30
"""Of memory, likewise."""


def _unit(*names: str) -> list[str]:
    """The files of unit tests with these names, whatever folder they lie in."""
    found = {path.stem: str(path.relative_to(ROOT)) for path in (ROOT / UNIT).rglob("test_*.py")}
    return [found[f"test_{name}"] for name in names]


_RANKS = _unit("overlap_index", "ranked_heights", "lowering_ways")
_PATTERNS = _unit("replacements", "position_layouts", "codewords")
_PLANS = _unit("rule_logits", "dimension_reuse", "direct_logits", "values_in_bits")
_BITS = _unit("values_in_bits", "cubes")
_LEARNED = _unit("one_source_proofs", "lowered_aggregates")
_TABLES = _unit("fused_tables", "guarded_tables", "found_steps")
_FEATURES = _unit("features", "score_terms", "ramp_units", "assembled_circuits")
_WEIGHTS = _unit("hidden_units", "level_norms", "weight_layout", "emitted_weights")
_ORDINAL = _unit("lines_and_circles", "deep_sums", "optimize")


def _of(tests: list[str], folder: str, *names: str) -> dict[str, list[str]]:
    """The files of a folder that these tests concern."""
    return {f"compiler/{folder}/{name}.py": tests for name in names}


NEAR = {
    **_of(_RANKS, "rules", "rank_rules", "overlap"),
    **_of(_PATTERNS, "rules", "lower_codewords", "regions", "replacements", "positions"),
    **_of(_unit("lowering_ways", "position_layouts"), "rules", "lower_rules", "plan_patterns"),
    **_of(_PLANS, "rules", "plan_rules", "ruled"),
    **_of(_BITS, "rules", "coded_rules", "cubes"),
    **_of(_unit("rule_logits", "ramp_units", "direct_logits"), "rules", "rule_logits"),
    "compiler/search.py": _unit("dimension_reuse", "compiling", "direct_logits"),
    **_of(_LEARNED, "passes", "lower_aggregates", "head_outputs", "proofs"),
    **_of(_unit("simple_conditions") + _LEARNED, "passes", "cases"),
    **_of(_unit("soft_counts") + _LEARNED, "passes", "counts", "soft_counts"),
    **_of(_unit("folded_trees", "weighted_sums"), "passes", "fold", "ir", "run_nodes"),
    **_of(_TABLES, "passes", "fuse", "guarded", "joined", "step_function"),
    **_of(_unit("weights_program", "found_steps"), "passes", "weights_program"),
    **_of(_unit("split_positions") + _BITS, "passes", "split_bits", "split_positions"),
    **_of(_unit("unequal_keys"), "passes", "unequal"),
    **_of(_FEATURES, "features", "allocate", "assemble", "assembly", "places"),
    **_of(_FEATURES, "features", "make_heads", "make_neurons", "score_terms"),
    **_of(_unit("distinguishable_values") + _FEATURES, "features", "feature"),
    **_of(_unit("distinguishable_values", "refused_precision"), "features", "precision"),
    **_of(_unit("dimension_reuse", "assembled_circuits"), "features", "reuse", "at_start"),
    **_of(
        _ORDINAL, "ordinal", "compile_ordinal", "approximate", "read_sum", "codes",
        "share", "circle", "design", "patterns", "build_circuits",
    ),
    "weights/layers.py": _WEIGHTS,
    "weights/layout.py": _unit("weight_layout", "placed_circuits") + _WEIGHTS,
    "weights/norms.py": _unit("level_norms") + _WEIGHTS,
    "weights/emit.py": _unit("emitted_weights") + _unit("symbolic_weights"),
}  # fmt: skip
"""The tests of each file, those that concern it most first."""

SIZES = "tests/acceptance/test_shipped_programs.py::test_its_size_is_the_one_that_is_listed"
"""Tried next: many changes that leave every answer right make a model larger."""

FAR = {
    ("compiler/passes/", "compiler/features/", "compiler/rules/"): [
        *_unit("dimension_reuse"),
        *_unit("rule_logits", "features", "found_steps", "fused_tables", "folded_trees",
                    "assembled_circuits", "ramp_units", "guarded_tables", "refused_precision"),
        "tests/property/test_mixed_rules.py",
    ],
    ("compiler/ordinal/",): ["tests/property/test_optimized_answers.py"],
    ("compiler/",): _unit("codewords", "position_layouts", "replacements", "results"),
    ("weights/",): [
        *_unit("symbolic_weights", "lowering_ways", "codewords"),
        *_unit("ramp_units", "assembled_circuits", "rule_logits"),
        "tests/property/test_agreement.py",
    ],
}  # fmt: skip
"""More tests, for what survives those: of the first prefix that a file has."""


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    path: str
    line: int
    old: str
    new: str
    source: str
    """The whole file, changed."""

    def __str__(self) -> str:
        return f"`{_short(self.old)}` -> `{_short(self.new)}`"


def _short(text: str) -> str:
    return text if len(text) <= 48 else text[:45] + "..."


SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "all": "any", "any": "all"}


def mutants_of(path: str, source: str) -> list[Mutant]:
    """Every mutant of a file, in the order of its lines."""
    lines = source.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    whole = source.encode()
    found = []
    for node, changed in _changes(ast.parse(source)):
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        old, new = ast.unparse(node), ast.unparse(changed)
        text = (whole[:start] + f"({new})".encode() + whole[end:]).decode()
        found.append(Mutant(path, node.lineno, old, new, text))
    return sorted(found, key=lambda mutant: (mutant.line, mutant.old, mutant.new))


def _changes(tree: ast.AST) -> Iterator[tuple[Any, ast.expr]]:
    """Expressions, and what each becomes."""
    for node in _computed(tree):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            yield node, _changed(node, ops=[SWAPPED[type(node.ops[0])]()])
        elif isinstance(node, ast.BoolOp) or (isinstance(node, ast.BinOp) and type(node.op) in SWAPPED):
            yield node, _changed(node, op=SWAPPED[type(node.op)]())
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node, node.operand
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield node, ast.Constant(not node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, int):
            yield node, ast.Constant(node.value + 1)
            yield node, ast.Constant(node.value - 1)
        elif isinstance(node, ast.Name) and node.id in NAMES:
            yield node, ast.Name(NAMES[node.id])
        conditions = [node.test] if isinstance(node, ast.If | ast.IfExp) else []
        conditions += node.ifs if isinstance(node, ast.comprehension) else []
        for condition in conditions:
            yield condition, ast.Constant(True)
            yield condition, ast.Constant(False)  # also leaves out the `return` of a guard


def _computed(node: ast.AST) -> Iterator[ast.AST]:
    """All below a node that is computed: no types, texts, decorators and errors."""
    yield node
    left_out = {"annotation", "returns", "decorator_list"}
    for name, value in ast.iter_fields(node):
        for each in value if isinstance(value, list) else [value]:
            if (
                isinstance(each, ast.AST)
                and name not in left_out
                and not isinstance(each, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom)
            ):
                yield from _computed(each)


def _changed(node: ast.expr, **changes: Any) -> ast.expr:
    changed = copy.copy(node)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed


def sample(paths: list[str], count: int, seed: int) -> list[Mutant]:
    """So many mutants of each file, or all that it has; the same for the same seed and file."""
    found = []
    for path in paths:
        every = mutants_of(path, (ROOT / "handcraft" / path).read_text(encoding="utf-8"))
        chosen = random.Random(f"{seed} {path}").sample(every, min(count, len(every)))
        found += sorted(chosen, key=lambda mutant: mutant.line)
    return found


class FirstFailure:
    """A plugin of pytest that keeps the name of the first test that fails.

    Args:
        budget: after so many seconds of processor time no further test begins; the tests run in an
            order drawn by chance, so that each file has its share.
    """

    def __init__(self, budget: float) -> None:
        self.name = ""
        self.budget = budget

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Draw the order."""
        if self.budget < inf:
            random.Random(0).shuffle(items)

    def pytest_runtest_teardown(self, item: Any) -> None:
        """End where the budget is spent."""
        if process_time() > self.budget:
            item.session.shouldstop = "the budget is spent"

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep it."""
        if report.failed and not self.name:
            self.name = report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        """A file that cannot be imported."""
        self.pytest_runtest_logreport(report)


def killer(scratch: Path, mutant: Mutant | None, tests: Iterable[str], budget: float = inf) -> str:
    """The first test that fails with a mutant in place, or nothing."""
    if mutant is not None:
        file = scratch / "handcraft" / mutant.path
        right = file.read_text(encoding="utf-8")
        for stale in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
            stale.unlink()
        file.write_text(mutant.source, encoding="utf-8")
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        os.write(writing, _run(scratch, tests, budget).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    if mutant is not None:
        file.write_text(right, encoding="utf-8")
    return json.loads(said) if said else "no end, or no memory"


def _run(scratch: Path, tests: Iterable[str], budget: float) -> str:
    """Run tests in this process, and return the first that fails as JSON."""
    import pytest

    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_DATA, (BYTES, BYTES))
    with open(os.devnull, "w") as nothing:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nothing.fileno(), stream.fileno())
    sys.path.insert(0, str(scratch))
    sys.dont_write_bytecode = True
    first = FirstFailure(process_time() + budget)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    status = pytest.main([*options, *dict.fromkeys(tests)], plugins=[first])
    is_fine = status == 0 or process_time() > first.budget
    import handcraft

    assert Path(handcraft.__file__).is_relative_to(scratch)
    return json.dumps(first.name or ("" if is_fine else f"pytest: {status!r}"))


def main() -> None:
    """Try mutants, and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "files", nargs="*", help="such as compiler/features/reuse.py; all in NEAR where none is named"
    )
    parser.add_argument("--count", type=int, default=8, help="mutants of each file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--line", type=int, help="only mutants of this line, all of them")
    parser.add_argument("--budget", type=float, default=inf, help="seconds for the tests of a file")
    parser.add_argument("--near", action="store_true", help="leave out the tests in FAR")
    asked = parser.parse_args()
    paths = asked.files or list(NEAR)
    tried = sample(paths, 10**6 if asked.line else asked.count, asked.seed)
    tried = [mutant for mutant in tried if asked.line in (None, mutant.line)]
    os.chdir(ROOT)
    os.environ.update(CI="1", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", HANDCRAFT_EXAMPLES="60")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder).resolve()
        shutil.copytree(ROOT / "handcraft", scratch / "handcraft")
        shutil.copytree(ROOT / "programs", scratch / "programs")
        compileall.compile_dir(scratch / "handcraft", quiet=1)  # once, and not in every fork
        _import_what_is_shared()
        suites = [NEAR[path] for path in paths] + ([] if asked.near else [_far(path) for path in paths])
        for tests in dict.fromkeys(map(tuple, suites)):
            if broken := killer(scratch, None, tests, asked.budget):
                sys.exit(f"{broken} fails without any change")
        survived = []
        for mutant in tried:
            if not _told(mutant, killer(scratch, mutant, NEAR[mutant.path], asked.budget)):
                survived.append(mutant)
        left = survived
        if not asked.near:
            print("\nmore tests, for those that survived\n", flush=True)
            left = [m for m in survived if not _told(m, killer(scratch, m, _far(m.path)))]
    print()
    print_table(
        ["file", "mutants there are", "tried", "killed", "survived"],
        [
            [
                path,
                str(len(mutants_of(path, (ROOT / "handcraft" / path).read_text(encoding="utf-8")))),
                *(str(count) for count in _counts(path, tried, left)),
            ]
            for path in paths
        ],
    )


def _counts(path: str, tried: list[Mutant], left: list[Mutant]) -> tuple[int, int, int]:
    """How many were tried, killed, and survived."""
    number, survived = (sum(each.path == path for each in some) for some in (tried, left))
    return number, number - survived, survived


def _told(mutant: Mutant, by: str) -> str:
    """Print what became of a mutant, and return it."""
    print(f"{mutant.path}:{mutant.line} {mutant} {by or 'SURVIVED'}", flush=True)
    return by


def _far(path: str) -> list[str]:
    """The tests in FAR that concern a file, without those that it survived."""
    tests = next(tests for prefixes, tests in FAR.items() if path.startswith(prefixes))
    return [SIZES, *(test for test in tests if test not in NEAR[path])]


def _import_what_is_shared() -> None:
    """So that no fork imports it again."""
    for name in (
        "highspy",
        "hypothesis",
        "lark",
        "ml_dtypes",
        "numpy",
        "pytest",
        "rich",
        "sympy",
        "typer",
    ):
        importlib.import_module(name)


if __name__ == "__main__":
    main()
