"""What would make a refused program compile: some changes are tried, and those that work are advised.

Nothing is tried before the fix of the error is read: code that only catches it spends no time on this.
How much is tried is bounded by counts and not by a clock: the same program always gets the same advice.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, wraps
from typing import Any, ParamSpec, TypeAlias, TypeVar

from handcraft.architecture import LLAMA, Architecture, architecture_named
from handcraft.circuits import Circuits
from handcraft.dtype import dtype_named
from handcraft.errors import HandcraftError, HandcraftWarning, PrecisionError
from handcraft.language import Program
from handcraft.language.graph.domain import Finite, Value, finite
from handcraft.language.graph.node import (
    Aggregate,
    Assumed,
    Comparison,
    Constant,
    Embedded,
    Lookup,
    Node,
    walk,
)
from handcraft.language.oracle.interned import UNDEFINED
from handcraft.language.oracle.interpret_texts import TextsOracle
from handcraft.language.restated import (
    Stated,
    expressions_of,
    promise,
    prompts_of,
    with_context,
    with_promise,
)
from handcraft.phrase import Phrase, Words, listed, phrase, setting
from handcraft.weights.layout import Sizes

TRIES = 16
"""The most times that something is compiled for one error."""

WORK = 16_000
"""The most `work` that is compiled for one error, in all tries together. A unit is 0.05 to 2 ms."""

SLOW = 5
"""How many values take about as long to compile as a rule, or as a value that is compared by `<`: each
of these is a dimension or a neuron."""

WIDEST = 64
"""The largest dimension of a head that is advised."""

SHORTEST = 4
"""The shortest context that is advised."""

SIMPLER = {"llama": ("gpt2", "which embeds positions"), "gpt2": ("block", "which has no LayerNorm")}
"""For a target, one that has less in the way of precision, and why."""

TEXTS_UP_TO = 4096
"""The most allowed prompts that are run to list the values that an expression has."""

PROMISES = 3
"""The most expressions of which an assumption is tried."""

PROMISED_UP_TO = 6
"""The most values that an assumption lists: as many as its text shows."""

Source: TypeAlias = "Stated | Circuits"
"""What was to be compiled."""

Given = ParamSpec("Given")
Made = TypeVar("Made")

Compile: TypeAlias = "Callable[..., object]"
"""Compiles a source with options; if that fails, it raises an error without advice."""


def work(source: Source) -> int:
    """How large a source is, as a measure of the time that compiling it takes.

    It counts the values and table rows that the graph of its expressions lists, its rules and its
    tokens; for circuits, heads and neurons.
    """
    if isinstance(source, Circuits):
        return sum(len(block.heads) + len(block.neurons) for block in source.blocks)
    listed = SLOW * len(source.rules) if isinstance(source, Program) else 0
    for node in walk(*(expression.node for expression in expressions_of(source))):
        listed += _values(node) + (len(node.table) if isinstance(node, Lookup) else 0)
        for case in node.sources.cases if isinstance(node, Aggregate) else ():
            listed += SLOW * sum(_values(each.key) for each in case if each.relation != Comparison.EQ)
    return listed + len(prompts_of(source).vocabulary)


def _values(node: Node) -> int:
    return len(node.domain.values) if isinstance(node.domain, Finite) else 1


@dataclass
class Trying:
    """Compiles changed programs, as long as the budget lasts.

    Args:
        compile_once: compiles, without advice.
        source: what was refused.
        options: with which options.
        about: the expression that the refusal is about.
        left: how often it may still compile.
        work_left: how much `work` it may still compile.
        tried: what was tried, in words.
    """

    compile_once: Compile
    source: Source
    options: Mapping[str, Any]
    about: Node | None = None
    left: int = TRIES
    work_left: int = WORK
    tried: list[str] = field(default_factory=list)

    @property
    def _is_text(self) -> bool:
        """Whether the program is rules as text, and no Python."""
        rules = self.source.rules if isinstance(self.source, Program) else ()
        return any(rule.written is not None or rule.pattern_place is not None for rule in rules)

    def can_try(self, source: Source) -> bool:
        """Whether the budget is large enough to compile a source once more."""
        return self.left > 0 and work(source) <= self.work_left

    def fits(self, source: Source, **options: object) -> bool:
        """Whether something compiles, with some options changed; False if the budget is too small."""
        if not self.can_try(source):
            return False
        self.left -= 1
        self.work_left -= work(source)
        with warnings.catch_warnings(action="ignore", category=HandcraftWarning):
            try:
                self.compile_once(source, **{**self.options, **options})
            except HandcraftError:
                return False
        return True

    def changes(self) -> Iterator[Words]:
        """The changes that work, the easiest first."""
        yield from self._dtypes()
        if isinstance(self.source, Circuits):
            return
        yield from self._rotations()
        yield from self._encodings()
        yield from self._promises(self.source)
        yield from self._contexts(self.source)
        yield from self._architectures()

    def _dtypes(self) -> Iterator[Words]:
        dtype = dtype_named(self.options.get("dtype", "float32"))
        wider = dtype.wider
        if (
            wider is None
            or not self.can_try(self.source)
            or (wider.bits == dtype.bits and self.about is not None)
        ):
            return  # `Precision` sets the same limits for both
        self.tried.append(f"dtype {wider.name}")
        if self.fits(self.source, dtype=wider.name):
            yield setting("dtype", wider.name)

    @property
    def _target(self) -> Architecture:
        target = self.options.get("architecture", "block")
        return target if isinstance(target, Architecture) else architecture_named(target)

    def _rotations(self) -> Iterator[Words]:
        """Wider heads of a Llama, which rotate by more frequencies, and the usual ones."""
        target, sizes = self._target, self.options.get("sizes") or Sizes()
        if not target.is_rotary or self.options.get("like"):
            return
        width = sizes.head_dim or WIDEST
        while width < WIDEST and self.can_try(self.source):
            width *= 2
            self.tried.append(f"head_dim {width}")
            if self.fits(self.source, sizes=replace(sizes, head_dim=width)):
                yield setting("head_dim", width)
                return
        if target.theta != LLAMA.theta and self.can_try(self.source):
            self.tried.append(f"theta {LLAMA.theta:g}")
            if self.fits(self.source, architecture=replace(target, theta=LLAMA.theta)):
                yield setting("theta", LLAMA.theta)

    def _architectures(self) -> Iterator[Words]:
        """The target that has one fact less to satisfy: no rotation, or no norm."""
        name, because = SIMPLER.get(self._target.name, (None, None))
        if name is None or self.options.get("like") or not self.can_try(self.source):
            return
        self.tried.append(f"architecture {name}")
        if self.fits(self.source, architecture=name):
            yield phrase(setting("architecture", name), f", {because}")

    def _encodings(self) -> Iterator[Words]:
        """Other encodings of positions and tokens, where rules have patterns only."""
        if not isinstance(self.source, Program) or not self.source.has_only_patterns:
            return
        for option in ("tokens",) if self._target.is_rotary else ("positions", "tokens"):
            for name in ("one-hot", "binary"):
                if name == self.options.get(option) or not self.can_try(self.source):
                    continue
                self.tried.append(f"{option} {name}")
                if self.fits(self.source, **{option: name}):
                    yield setting(option, name)
                    return

    def _contexts(self, source: Stated) -> Iterator[Words]:
        """The largest context, by bisection; nothing if the source depends on its context."""
        prompts = prompts_of(source)
        if not isinstance(prompts.inputs, str | None):
            return
        longest = prompts.context
        if self.options.get("like") or self.options.get("n_positions") or longest <= SHORTEST:
            return
        low, high, best, shortest = SHORTEST - 1, longest, 0, longest
        kept = min(work(source), self.work_left // 2)  # for the architecture
        while high - low > 1:
            middle = (low + high) // 2
            try:
                shorter = with_context(source, middle)
            except HandcraftError:
                low = middle
                continue
            if not self.can_try(shorter) or work(shorter) > self.work_left - kept:
                break
            shortest = min(shortest, middle)
            if self.fits(shorter):
                low = best = middle
            else:
                high = middle
        if best:
            is_largest = high - low == 1
            said = f", {'the largest that fits' if is_largest else 'which fits'}"
            in_program = f"context={best}"  # which no option sets
            as_line = f"`context {best}`" if self._is_text else in_program
            yield phrase(Phrase(in_program, as_line), said)
        elif shortest < longest:
            self.tried.append(f"a context of {shortest}")

    def _promises(self, source: Stated) -> Iterator[Words]:
        """Assumptions that are true for every allowed prompt, if those are few enough to run all."""
        if self._is_text or not self.can_try(source):
            return  # a rule file cannot express them
        for said, promised in promises(source, self.about):
            if not self.can_try(source):
                return
            self.tried.append(f"`{said}`")
            if self.fits(promised):
                yield f"`{said}`, the values that occur"
                return


def promises(source: Stated, about: Node | None = None) -> Iterator[tuple[str, Stated]]:
    """Assumptions that are true for every allowed prompt, in words, and the source with each.

    Args:
        source: nothing is found if it has too many allowed prompts to run all of them.
        about: the expression to begin with.
    """
    occurring = values_that_occur(source)
    roots = [expression.node for expression in expressions_of(source)]
    nodes = [node for node in walk(*roots) if _may_be_promised(node, occurring)]
    nodes.sort(key=lambda node: node != about)
    for node in nodes[:PROMISES]:
        try:
            promised = with_promise(source, node, occurring[node])
        except HandcraftError:
            continue
        yield str(promise(node, occurring[node])), promised


def values_that_occur(source: Stated) -> dict[Node, tuple[Value, ...]]:
    """The values of each node on all allowed prompts; nothing where those are too many to run all."""
    prompts, roots = prompts_of(source), [each.node for each in expressions_of(source)]
    if not roots or prompts.writes > 1 or not isinstance(prompts.inputs, str | None):
        return {}
    if not prompts.refuses_some and prompts.context * len(prompts.vocabulary) > TEXTS_UP_TO:
        return {}
    try:
        if prompts.texts.count > TEXTS_UP_TO:
            return {}
        oracle = TextsOracle(roots, prompts.vocabulary.tokens, causal=prompts.causal)
        found: dict[Node, set[Value]] = {node: set() for node in walk(*roots)}
        for texts in prompts.texts:
            computed = oracle.compute(texts)
            for node, seen in found.items():
                codes = computed.codes[node]
                if (codes == UNDEFINED).any():
                    return {}  # an allowed prompt breaks an assumption
                seen.update(computed.values[node].values[code] for code in set(codes.ravel().tolist()))
    except HandcraftError:
        return {}
    return {node: finite(values).values for node, values in found.items()}


def _may_be_promised(node: Node, occurring: Mapping[Node, tuple[Value, ...]]) -> bool:
    """Whether fewer values occur than the node may have, as far as its domain says."""
    if isinstance(node, Assumed | Constant | Embedded) or node not in occurring:
        return False
    if len(occurring[node]) > PROMISED_UP_TO:
        return False
    return not isinstance(node.domain, Finite) or len(occurring[node]) < len(node.domain.values)


def advised(compile_once: Callable[Given, Made]) -> Callable[Given, Made]:
    """A function whose PrecisionErrors advise what was tried when their fix is first read.

    Args:
        compile_once: compiles a source with options, without advice.
    """
    signature = inspect.signature(compile_once)

    @wraps(compile_once)
    def compiled(*given: Given.args, **options: Given.kwargs) -> Made:
        try:
            return compile_once(*given, **options)
        except PrecisionError as error:
            if error.is_tight:
                bound = signature.bind(*given, **options)
                bound.apply_defaults()
                (source,) = bound.args
                try_later([error], compile_once, source, bound.kwargs)
            raise

    return compiled


def try_later(
    errors: Sequence[PrecisionError],
    compile_once: Compile,
    source: Source,
    options: Mapping[str, Any],
    again: str | None = None,
) -> None:
    """Try what would make a program compile when the fix of one of some errors is read.

    Args:
        errors: what is wrong with it; all get the same fix.
        compile_once: compiles a source with options, without advice, and raises where these are wrong.
        source: what was compiled.
        options: with which options.
        again: what to advise where nothing need be changed; None where that was tried.
    """
    about = errors[0].about if errors and isinstance(errors[0].about, Node) else None
    find = cache(lambda: _found(Trying(compile_once, source, options, about), again))
    for error in errors:
        error.fix_later(find)


def _found(trying: Trying, again: str | None) -> Words | None:
    """What to do; None where nothing was tried."""
    if again is not None and trying.fits(trying.source):
        return again
    changes = list(trying.changes())
    if not changes:
        return f"nothing that was tried helps: {', '.join(trying.tried)}" if trying.tried else None
    tried = {1: "tried", 2: "both tried"}.get(len(changes), "each tried")
    return phrase(Phrase("compile with ", "use "), listed(changes, "; or "), f" ({tried})")
