"""What would make a refused program compile: some changes are tried, and those that work are advised.

Nothing is tried before the fix of the error is read: code that only catches it spends no time on this.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from time import monotonic
from typing import Any, TypeAlias

from handcraft.architecture import Architecture
from handcraft.circuits import Circuits
from handcraft.dtype import dtype_named
from handcraft.errors import HandcraftError, HandcraftWarning, PrecisionError
from handcraft.language import Program
from handcraft.language.graph.domain import Finite, Value, finite
from handcraft.language.graph.node import Assumed, Constant, Embedded, Node, walk
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

TRIES = 16
"""The most times that something is compiled for one error."""

SECONDS = 3.0
"""No more is tried after so long, nor where the refusal itself took longer."""

SHORTEST = 4
"""Shorter contexts are not worth advising."""

TEXTS_UP_TO = 4096
"""So many allowed prompts are run to list the values that an expression has."""

PROMISES = 3
"""Of so many expressions an assumption is tried."""

PROMISED_UP_TO = 6
"""The most values that an assumption lists: as many as its text shows."""

Source: TypeAlias = "Stated | Circuits"
"""What was to be compiled."""

Compile: TypeAlias = "Callable[..., object]"
"""Compiles a source with options, and does nothing else where that fails."""


@dataclass(frozen=True)
class Change:
    """A change that makes a program compile.

    Args:
        python: how it is written in Python.
        command: how it is written on a command line, or in the rule file that the program is.
    """

    python: str
    command: str


@dataclass
class Trying:
    """Compiles changed programs, as long as the budget lasts.

    Args:
        compile_once: compiles, without advice.
        source: what was refused.
        options: with which options.
        about: the expression that the refusal is about.
        left: how often it may still compile.
        tried: what was tried, in words.
    """

    compile_once: Compile
    source: Source
    options: Mapping[str, Any]
    about: Node | None = None
    left: int = TRIES
    tried: list[str] = field(default_factory=list)
    until: float = field(default_factory=lambda: monotonic() + SECONDS)

    @property
    def _is_text(self) -> bool:
        """Whether the program is rules as text, and no Python."""
        rules = self.source.rules if isinstance(self.source, Program) else ()
        return any(rule.written is not None or rule.pattern_place is not None for rule in rules)

    @property
    def is_over(self) -> bool:
        """Whether the budget is spent."""
        return self.left <= 0 or monotonic() > self.until

    def fits(self, source: Source, **options: object) -> bool:
        """Whether something compiles, with some options changed."""
        if self.is_over:
            return False
        self.left -= 1
        with warnings.catch_warnings(action="ignore", category=HandcraftWarning):
            try:
                self.compile_once(source, **{**self.options, **options})
            except HandcraftError:
                return False
        return True

    def changes(self) -> Iterator[Change]:
        """The changes that work, the easiest first."""
        yield from self._dtypes()
        if isinstance(self.source, Circuits):
            return
        yield from self._layouts()
        yield from self._promises(self.source)
        yield from self._contexts(self.source)
        yield from self._architectures()

    def _dtypes(self) -> Iterator[Change]:
        dtype = dtype_named(self.options.get("dtype", "float32"))
        wider = dtype.wider
        if wider is None or self.is_over or (wider.bits == dtype.bits and self.about is not None):
            return  # `Precision` sets the same limits for both
        self.tried.append(f"dtype {wider.name}")
        if self.fits(self.source, dtype=wider.name):
            yield Change(f"dtype={wider.name!r}", f"--dtype {wider.name}")

    def _architectures(self) -> Iterator[Change]:
        target = self.options.get("architecture")
        name = target.name if isinstance(target, Architecture) else target
        if name != "gpt2" or self.options.get("like") or self.is_over:
            return
        self.tried.append("architecture block")
        if self.fits(self.source, architecture="block"):
            said = ", which has no LayerNorm"
            yield Change(f"architecture='block'{said}", f"--architecture block{said}")

    def _layouts(self) -> Iterator[Change]:
        """Other codes of positions and tokens, where rules have patterns only."""
        if not isinstance(self.source, Program) or not self.source.has_only_patterns:
            return
        for option in ("positions", "tokens"):
            for layout in ("one-hot", "binary"):
                if layout == self.options.get(option) or self.is_over:
                    continue
                self.tried.append(f"{option} {layout}")
                if self.fits(self.source, **{option: layout}):
                    yield Change(f"{option}={layout!r}", f"--{option} {layout}")
                    return

    def _contexts(self, source: Stated) -> Iterator[Change]:
        """The largest context, by halving; what rests on its context is left out."""
        prompts = prompts_of(source)
        if not isinstance(prompts.inputs, str | None):
            return
        longest = prompts.context
        if self.options.get("like") or self.options.get("n_positions") or longest <= SHORTEST:
            return
        low, high, best, shortest = SHORTEST - 1, longest, 0, longest
        until = self.until - SECONDS / 3  # the last third is for the architecture
        while high - low > 1 and not self.is_over and monotonic() < until:
            middle = (low + high) // 2
            try:
                shorter = with_context(source, middle)
            except HandcraftError:
                low = middle
                continue
            shortest = min(shortest, middle)
            if self.fits(shorter):
                low = best = middle
            else:
                high = middle
        if best:
            is_largest = high - low == 1
            said = f", {'the largest that fits' if is_largest else 'which fits'}"
            as_line = f"`context {best}`" if self._is_text else f"context={best}"
            yield Change(f"context={best}{said}", f"{as_line}{said}")
        elif shortest < longest:
            self.tried.append(f"a context of {shortest}")

    def _promises(self, source: Stated) -> Iterator[Change]:
        """Assumptions that hold on every allowed prompt, where those are few enough to run all."""
        if self._is_text:
            return  # sentences have no word for them
        occurring = values_that_occur(source)
        roots = [expression.node for expression in expressions_of(source)]
        nodes = [node for node in walk(*roots) if _may_be_promised(node, occurring)]
        nodes.sort(key=lambda node: node != self.about)
        for node in nodes[:PROMISES]:
            if self.is_over:
                return
            said = str(promise(node, occurring[node]))
            try:
                promised = with_promise(source, node, occurring[node])
            except HandcraftError:
                continue
            self.tried.append(f"`{said}`")
            if self.fits(promised):
                as_written = f"`{said}`, the values that occur"
                yield Change(as_written, as_written)
                return


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


@contextmanager
def advised(compile_once: Compile, source: Source, options: Mapping[str, Any]) -> Iterator[None]:
    """Let a tight refusal say in its fix what would do; it is tried when the fix is read first.

    Args:
        compile_once: compiles a source with options, without advice.
        source: what is compiled.
        options: with which options.
    """
    started = monotonic()
    try:
        yield
    except PrecisionError as error:
        if error.is_tight and monotonic() - started <= SECONDS:
            try_later([error], compile_once, source, options)
        raise


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


def _found(trying: Trying, again: str | None) -> tuple[str | None, str | None]:
    """What to do, in Python and on a command line; None where nothing was tried."""
    if again is not None and trying.fits(trying.source):
        return again, again
    changes = list(trying.changes())
    failed = f"nothing that was tried helps: {', '.join(trying.tried)}" if trying.tried else None
    return (
        "compile with " + _joined([change.python for change in changes]) if changes else failed,
        "use " + _joined([change.command for change in changes]) if changes else failed,
    )


def _joined(changes: list[str]) -> str:
    tried = {1: "tried", 2: "both tried"}.get(len(changes), "each tried")
    return f"{'; or '.join(changes)} ({tried})"
