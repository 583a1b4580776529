"""Proof for windows: all positions of a kind at once, and all tokens that no rule distinguishes.

A case is a kind of position and, for each token that is read there, a set of tokens. It begins with all
tokens, and is divided where the model or the program treats them differently, until the right logit
surely is above all others. A thousand rules over two hundred words take some thousand cases, however
long the texts are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from handcraft_check.arithmetic.kinds import is_exact
from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.by_cases.found import Found
from handcraft_check.by_matches.match_proof import matched_models
from handcraft_check.by_windows.cases import Cases, in_steps, joined
from handcraft_check.by_windows.copies import copied
from handcraft_check.by_windows.divided import apart
from handcraft_check.by_windows.margins import margins_of_logits, margins_of_sums
from handcraft_check.by_windows.narrow import narrowed
from handcraft_check.by_windows.rotary_windows import RotaryWindowModel, rotary_copies
from handcraft_check.by_windows.sums import Sums
from handcraft_check.by_windows.values import Values
from handcraft_check.by_windows.window_model import WindowModel
from handcraft_check.by_windows.windows import TokenSets, UnfitError, WindowMeaning
from handcraft_check.judged import Judge, Judged
from handcraft_check.layers.matrix import Ids
from handcraft_check.layers.model import Model
from handcraft_check.program.domain import Domain
from handcraft_check.program.meaning import Meaning, Rule

LARGE = 1 << 12
"""A case counts once for each block, and for each time a model has so many tokens or hidden units."""

HALVED = 32
"""A set of up to so many tokens is divided into single ones where no better way is known."""


def prove_windows(
    model: Model,
    token_ids: Ids,
    domain: Domain,
    meaning: Meaning,
    *,
    budget: int,
    log: Callable[[str], None] = lambda text: None,
) -> Found:
    """Show that the right logit is above all others, after every text of up to `domain.length` tokens.

    Raises:
        UnfitError: the program reads no windows, or it cannot be shown in this way.
        BudgetError: it takes more cases than the budget, or as much time.
    """
    if domain.writes > 1:
        raise UnfitError("it goes on writing")
    is_rotary = model.config.is_rotary
    is_known = model.regime.is_known if is_rotary else model.regime.is_float32
    if not is_known or is_exact(model.wte.center):
        raise UnfitError("it is not in float32")
    later = [layer for layer, block in enumerate(model.blocks) if layer and block.heads.count]
    program = WindowMeaning(meaning, domain.length, matches=bool(later))
    if later and (is_rotary or not program.matched or len(later) > 1):
        raise UnfitError("heads of a later block read")
    if not is_rotary:
        model = narrowed(model, token_ids, domain.length, merges=not meaning.distributions)
        token_ids = np.arange(len(token_ids))
    copy, make = (rotary_copies, RotaryWindowModel) if is_rotary else (copied, WindowModel)
    heads = copy(model, token_ids, domain.length)
    sets = TokenSets(len(token_ids))
    kinds: Iterable[WindowModel] = [
        make(model, heads, window, sets) for window in program.windows(heads.winners)
    ]
    if later:
        kinds = matched_models(program, [*kinds], later[0], budget)
    found = Found()
    for each in kinds:
        kind = _Kind(program, each, token_ids, log)
        budget -= kind.run(budget)
        found = replace(found, cases=found.cases + len(kind.done))
        for at in kind.judged.worst(np.ones(len(kind.done), dtype=bool)):
            margin, distance = float(kind.judged.margins[at]), float(kind.judged.distances[at])
            found = found.of_context(kind.context(kind.done, at), margin, distance)
    return found


class _Kind:
    """The proof for one kind of position."""

    def __init__(
        self, program: WindowMeaning, model: WindowModel, token_ids: Ids, log: Callable[[str], None]
    ) -> None:
        self.program, self.model, self.token_ids, self.log = program, model, token_ids, log
        self.window, self.sets = model.window, model.sets
        self.done = Cases(np.empty(0, dtype=np.int64), np.empty((0, self.atoms), dtype=np.int64))
        self.judged = Judged(np.empty(0), np.empty(0))
        self.judge = Judge(
            token_ids,
            program.meaning.distributions,
            program.meaning.within,
            model.model.config.vocab_size,
        )

    @property
    def atoms(self) -> int:
        """How many tokens are read."""
        return len(self.model.tables)

    def run(self, budget: int) -> int:
        """Divide cases until all are shown.

        Args:
            budget: how many cases may be looked at; fewer of a large model.

        Returns:
            How much of the budget that took.

        Raises:
            BudgetError: it would be more.
            UnfitError: it cannot be shown in this way.
        """
        waiting, looked_at, model = self.model.first(), 0, self.model.model
        rules: Sequence[Rule] = self.program.meaning.rules
        inner = max(len(block.opening.bias) for block in model.blocks)
        size = model.config.n_layer * max(1, max(len(model.unembedding.bias), inner) // LARGE)
        while len(waiting):
            self.log(f"positions {self.window.positions[0]}...: {len(waiting)} cases")
            cases, x = self.model.run(waiting, (budget - looked_at) // size)
            looked_at += len(cases) * size
            waiting, rules = self._look(cases, x, rules)
        return looked_at

    def context(self, cases: Cases, number: int) -> tuple[str, ...]:
        """One context of a case."""
        position = int(self.model.groups[cases.groups[number]][0])
        tokens = [0] * (position + 1)
        for source, token in self.model.tokens_at(position, cases.chosen[number]):
            tokens[source] = token
        return tuple(self.program.meaning.vocabulary[token] for token in tokens)

    def _look(self, cases: Cases, x: Sums, rules: Sequence[Rule]) -> tuple[Cases, Sequence[Rule]]:
        """Keep the cases that are shown, behind all blocks; the others, divided.

        Args:
            cases: these.
            x: the last stream.
            rules: those that may fire.

        Returns:
            What is left, and the rules that may fire there.
        """
        values = Values(self.program, self.window, self.sets, cases.chosen, rules)
        parts = [
            self._judged(x.rows(rows), values.answers[rows])
            for rows in in_steps(len(cases), self.model.step(self.model.model.unembedding))
        ]
        judged = Judged(*(np.concatenate(each) for each in zip(*parts, strict=True)))
        shown = (judged.margins > 0) & (judged.distances <= self.judge.within)
        self.done = joined([self.done, cases.rows(shown)])
        self.judged = self.judged.and_of(judged[shown])
        left = np.flatnonzero(~shown)
        divider = _Divider(self, cases.rows(left), values.undecided(left))
        return divider.divided(), values.open_rules(left)

    def _judged(self, x: Sums, answers: Ids) -> tuple[Array, Array]:
        """What surely holds of the logits of some cases: margins and distances."""
        model = self.model.model
        last = model.normed_sums(x, model.ln_f)
        if not self.program.meaning.distributions and not model.regime.is_half:
            least = self.judged.margins.min(initial=np.inf)
            found = margins_of_sums(last, model.unembedding, answers, self.token_ids, least)
            return found, np.zeros(len(found))
        logits = self.model.logits(last)
        if not self.program.meaning.distributions:
            return margins_of_logits(logits, answers, self.token_ids), np.zeros(len(answers))

        def differences(rows: Ids, token: int) -> Bounded:
            if not model.regime.is_half:
                return model.difference_read(last.rows(rows), token)
            some = logits[rows]
            error = some.error[:, token, None] + some.error
            return Bounded(some.center[:, token, None] - some.center, error)

        judged = self.judge.judged(logits, answers, differences)
        return judged.margins, judged.distances


class _Divider:
    """Divides cases that cannot be shown as they are, although no hidden unit divides them further."""

    def __init__(self, kind: _Kind, cases: Cases, needed: Sequence[Sequence[int]]) -> None:
        self.kind, self.cases, self.needed = kind, cases, needed
        self.model, self.sets = kind.model, kind.sets

    def divided(self) -> Cases:
        """All cases again, each in several."""
        halves: dict[int, list[int]] = {}
        parts: list[Cases] = []
        for row in range(len(self.cases)):
            chosen = self.cases.chosen[row]
            open_ = [a for a in range(self.kind.atoms) if chosen[a] >= self.sets.vocabulary]
            if not open_:
                halves.setdefault(int(self.cases.groups[row]), []).append(row)
                continue
            atom, pieces = self._by_meaning(row, open_) or self._by_logits(row, open_)
            again = np.repeat(chosen[None], len(pieces), axis=0)
            again[:, atom] = [self.sets.number(piece) for piece in pieces]
            parts.append(Cases(np.full(len(pieces), self.cases.groups[row]), again))
        for group, rows in halves.items():
            positions = self.model.groups[group]
            if len(positions) == 1:
                context = self.kind.context(self.cases, rows[0])
                raise UnfitError(f"too little is known at position {positions[0]}", context)
            middle = len(positions) // 2
            for number in self.model.add([positions[:middle], positions[middle:]]).tolist():
                parts.append(Cases(np.full(len(rows), number), self.cases.chosen[rows]))
        return joined([self.cases.rows(np.arange(0)), *parts])

    def _by_meaning(self, row: int, open_: Sequence[int]) -> tuple[int, Sequence[Ids]] | None:
        """Tokens apart that the program treats differently, where it may mean several answers."""
        nodes = self.needed[row]
        best: tuple[int, Sequence[Ids]] | None = None
        for atom in open_:
            codes = self.kind.program.distinguished(self.kind.window, nodes, atom)
            if codes.shape[1]:
                tokens = self.sets[self.cases.chosen[row, atom]]
                pieces = apart(tokens, codes[tokens])
                if len(pieces) > 1 and (best is None or len(pieces) < len(best[1])):
                    best = atom, pieces
        return best

    def _by_logits(self, row: int, open_: Sequence[int]) -> tuple[int, Sequence[Ids]]:
        """Single tokens of the smallest set, or halves of it."""
        atom = min(open_, key=lambda a: len(self.sets[self.cases.chosen[row, a]]))
        tokens = self.sets[self.cases.chosen[row, atom]]
        if len(tokens) <= HALVED:
            return atom, [tokens[i : i + 1] for i in range(len(tokens))]
        return atom, [tokens[: len(tokens) // 2], tokens[len(tokens) // 2 :]]
