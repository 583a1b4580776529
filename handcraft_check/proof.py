"""One position after the other: what the model computes in every case, and what is meant there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft_check.cases import Entries, Ran, Runner
from handcraft_check.domain import Domain
from handcraft_check.errors import CheckError
from handcraft_check.evaluate import Evaluated, Evaluator, is_one
from handcraft_check.meaning import Meaning
from handcraft_check.model import Model
from handcraft_check.states import distinct

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

CASES = 1 << 12
"""How many cases are looked at together: what cannot be shown is found before all is split."""


@dataclass
class Policy:
    """What stays decided. It settles what can be proved and how fast, never what is true.

    Args:
        kept: positions, each with a source that stays decided behind it.
        eager: positions of which keys and values must be known up to rounding.
        is_single: whether no position is ever left undecided, so that each case is one context.
    """

    kept: set[tuple[int, int]] = field(default_factory=set)
    eager: set[int] = field(default_factory=set)
    is_single: bool = False


@dataclass(frozen=True, eq=False)
class Level:
    """The cases of one length.

    Args:
        entries: of each position: [case, position].
        states: of the automaton; -1 where no input is possible any more: [case].
        written: how many tokens the program has written; -1 where the text is not a context: [case].
        answers: the token that is predicted; -1 where it does not matter: [case].
    """

    entries: Ids
    states: Ids
    written: Ids
    answers: Ids


@dataclass(frozen=True, eq=False)
class Decided:
    """What was shown of some cases: an array each, [case].

    Args:
        ran: what the model computes.
        finished: whether nothing is left to show.
        assumed: whether the assumptions of the program surely hold.
        meant: whether it is known which token is meant, where one is.
        margins: how far the right logit surely is above all others.
        blame: the source to decide where it is not finished; -1 where none would help.
        own: the entry of the position itself.
        answers: the token that is meant, where the program goes on writing; else -1.
    """

    ran: Ran
    finished: Flags
    assumed: Flags
    meant: Flags
    margins: npt.NDArray[np.float64]
    blame: Ids
    own: Ids
    answers: Ids


class BudgetError(Exception):
    """An attempt took more cases than it may."""


class StuckError(Exception):
    """A case about which too little is known, however its positions are decided.

    Args:
        why: what cannot be shown.
        case: a context of the case.
        margin: the least margin that is possible.
        kept: positions and sources that should have stayed decided behind them.
        eager: the position of which too little is known, if there is one.
    """

    def __init__(
        self,
        why: str,
        case: tuple[str, ...],
        margin: float,
        kept: set[tuple[int, int]],
        eager: int | None,
    ) -> None:
        super().__init__(why)
        self.why, self.case, self.margin, self.kept, self.eager = why, case, margin, kept, eager


@dataclass
class Found:
    """What was shown so far.

    Args:
        margin: the least by which a right logit surely is above all others.
        worst: a context of the case in which it is.
        cases: how many cases there were.
    """

    margin: float = np.inf
    worst: tuple[str, ...] = ()
    cases: int = 0


class Proof:
    """One attempt, under one policy."""

    def __init__(
        self,
        model: Model,
        token_ids: Ids,
        domain: Domain,
        meaning: Meaning,
        policy: Policy,
        *,
        budget: int = 1 << 62,
        log: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.domain, self.meaning, self.policy = domain, meaning, policy
        self.budget, self.log, self.looked_at = budget, log, 0
        self.token_ids = token_ids
        roots = [part for rule in meaning.rules for part in (rule.flag, rule.token) if part is not None]
        self.evaluator = Evaluator(meaning.nodes, roots, meaning.vocabulary)
        self.entries = Entries(model.config.n_layer, self.evaluator.crossing)
        self.runner = Runner(model, token_ids, self.entries)
        self.found = Found()
        self._split_at: list[set[int]] = []

    def run(self) -> Found:
        """Show it for all contexts.

        Where a case is stuck, the proof goes back to where more should have stayed decided.

        Raises:
            StuckError: it cannot be shown.
        """
        none = np.zeros(1, dtype=np.int64)
        levels = [(Level(np.empty((1, 0), dtype=np.int64), none, none - 1, none - 1), Found())]
        while len(levels) <= self.domain.length:
            position = len(levels) - 1
            level, self.found = levels[-1][0], replace(levels[-1][1])
            try:
                followed = self._step(level, position)
            except StuckError as stuck:
                self.log(f"position {position}: {stuck.why} after {' '.join(stuck.case)}")
                back = self._learn(stuck)
                if back is None:
                    raise
                del levels[back + 1 :], self._split_at[back:]
                continue
            if followed is None:
                break
            levels.append((followed, self.found))
        return self.found

    def _learn(self, stuck: StuckError) -> int | None:
        """Let more stay decided: where the proof must go on, None if nothing is left to try.

        A position of which too little is known is decided together with what it read first.
        """
        policy = self.policy
        is_wide = stuck.eager is not None and stuck.eager not in policy.eager
        missing = stuck.kept - policy.kept
        if is_wide and missing:
            first = min(source for _, source in missing)
            missing = {(at, source) for at, source in missing if source == first}
        policy.kept |= missing
        back = [at for at, _ in missing]
        if is_wide and stuck.eager is not None:
            policy.eager.add(stuck.eager)
            back.append(stuck.eager)
        return min(back, default=None)

    def _step(self, level: Level, position: int) -> Level | None:
        domain, count = self.domain, len(level.states)
        width = len(self.token_ids)
        parents, tokens = np.repeat(np.arange(count), width), np.tile(np.arange(width), count)
        states = np.where(level.states[parents] >= 0, domain.next[level.states[parents], tokens], -1)
        states = np.where(position < domain.length - domain.writes + 1, states, -1)
        is_input = (states >= 0) & domain.final[states]
        goes_on = (level.written[parents] >= 0) & (tokens == level.answers[parents])
        goes_on &= level.written[parents] + 1 < domain.writes
        written = np.where(is_input, 0, np.where(goes_on, level.written[parents] + 1, -1))
        stays = (states >= 0) | goes_on
        if not stays.any():
            return None
        parents, tokens, states, written = (a[stays] for a in (parents, tokens, states, written))
        before = level.entries[parents]
        entries, rows = before.copy(), np.arange(len(parents))
        done: list[tuple[Ids, Ids, Ids, Ids]] = []  # rows, their sources, own entries, answers
        waiting = [(rows[i : i + CASES], entries[i : i + CASES]) for i in range(0, len(rows), CASES)][
            ::-1
        ]
        while waiting:
            rows, entries = waiting.pop()
            decided = self._decide(tokens[rows], position, entries, written[rows])
            finished, own, answers, blame = (
                decided.finished,
                decided.own,
                decided.answers,
                decided.blame,
            )
            stuck = ~finished & (blame < 0)
            if stuck.any():
                at = int(stuck.argmax())
                self._stuck(position, decided, at, entries[at], before[rows[at]], int(tokens[rows[at]]))
            done.append((rows[finished], entries[finished], own[finished], answers[finished]))
            more, split = self._split(rows[~finished], entries[~finished], blame[~finished])
            waiting += [
                (more[i : i + CASES], split[i : i + CASES]) for i in range(0, len(more), CASES)
            ][::-1]
        which = np.concatenate([part[0] for part in done])
        sources = np.concatenate([part[1] for part in done])
        own, answers = (np.concatenate([part[i] for part in done]) for i in (2, 3))
        self._split_at.append(set(np.flatnonzero((sources != before[which]).any(axis=0)).tolist()))
        self.found.cases += int((written[which] >= 0).sum())
        self.log(f"position {position}: {len(which)} cases")
        return self._joined(
            position, before[which], sources, own, states[which], written[which], answers
        )

    def _stuck(
        self, position: int, decided: Decided, at: int, entries: Ids, before: Ids, token: int
    ) -> None:
        """Say what would have to be known of a case, in another attempt."""
        if not decided.assumed[at]:
            why = "an assumption of the program may be broken"
        elif not decided.meant[at]:
            why = "the program may mean several tokens, or none"
        else:
            why = f"the margin may be as low as {decided.margins[at]:.4g}"
        kept: set[tuple[int, int]] = set()
        for source in np.flatnonzero(entries != before).tolist():
            earlier = [i for i, split in enumerate(self._split_at) if source in split]
            if earlier:
                kept.update((i, source) for i in range(earlier[-1], position))
        wide = int(decided.ran.wide[at])
        eager = wide if wide >= 0 and self.evaluator.orders else None
        raise StuckError(why, self._context(entries, token), float(decided.margins[at]), kept, eager)

    def _decide(self, tokens: Ids, position: int, entries: Ids, written: Ids) -> Decided:
        """What can be shown of some cases, and which source to decide in the others."""
        numbers = self.entries.read(entries, slice(len(self.entries.stores), None))
        read = {node: numbers[:, :, i] for i, node in enumerate(self.evaluator.crossing)}
        is_open = self.entries.is_set(entries)
        meant = self.evaluator.evaluate(tokens, position, read, is_open)
        ran = self.runner.run(tokens, position, entries)
        self.looked_at += len(tokens)
        if self.looked_at > self.budget:
            raise BudgetError
        is_context = written >= 0
        answers, blame, is_meant = self._answers(meant, is_context)
        is_assumed = np.ones(len(tokens), dtype=bool)
        broken = {}
        for node in self.evaluator.checked:
            broken[node] = flags = self.evaluator.broken(node, meant.numbers[node], is_context)
            is_assumed &= ~flags
        if not is_assumed.all():
            blame = np.where(is_assumed, blame, self.evaluator.blamed(meant, broken))
        margins = self._margins(ran, answers)
        finished = is_assumed & is_meant & (~is_context | (margins > 0))
        if position in self.policy.eager:
            finished &= ran.blame < 0
        blame = np.where(finished | (blame >= 0), blame, ran.blame)
        lowest = np.where(finished & is_context, margins, np.inf)
        at = int(lowest.argmin())
        if lowest[at] < self.found.margin:
            self.found.margin = float(lowest[at])
            self.found.worst = self._context(entries[at], tokens[at])
        continues = is_context & (written + 1 < self.domain.writes)
        own = self._own(meant, ran, tokens, position)
        answers = np.where(continues, answers, -1)
        return Decided(ran, finished, is_assumed, is_meant, margins, blame, own, answers)

    def _answers(self, meant: Evaluated, is_context: Flags) -> tuple[Ids, Ids, Flags]:
        """The predicted tokens, the source that decides them, and where they are known."""
        evaluator, count = self.evaluator, len(is_context)
        answers, blame = np.full(count, -1), np.full(count, -1)
        is_open, known = is_context.copy(), ~is_context
        places: dict[Any, int] = {token: i for i, token in enumerate(self.meaning.vocabulary)}
        wanted: dict[int, Flags] = {}

        def want(node: int, rows: Flags) -> None:
            if rows.any():
                wanted[node] = wanted.get(node, np.zeros(count, dtype=bool)) | rows

        for rule in self.meaning.rules:
            fires = is_open.copy()
            if rule.flag is not None:
                numbers = meant.numbers[rule.flag]
                fires &= evaluator.flags(rule.flag, numbers, lambda v: v == {True})
                fails = is_open & evaluator.flags(rule.flag, numbers, lambda v: v == {False})
                doubtful = is_open & ~fires & ~fails
                want(rule.flag, doubtful)
                is_open &= fails
            else:
                is_open = np.zeros(count, dtype=bool)
            if rule.token is None:
                raise CheckError("probabilities are not proved yet", "meaning.answer")
            sets = evaluator.sets[rule.token].listed
            each = np.array([places.get(next(iter(v)), -1) if is_one(v) else -1 for v in sets])
            answer = each[meant.numbers[rule.token]]
            answers = np.where(fires, answer, answers)
            known |= fires & (answer >= 0)
            want(rule.token, fires & (answer < 0))
        if wanted:
            blame = evaluator.blamed(meant, wanted)
        return answers, blame, known

    def _margins(self, ran: Ran, answers: Ids) -> npt.NDArray[np.float64]:
        """How far the right logit surely is above all others: [row]; -inf where none is known."""
        pairs, places = np.unique(
            ran.kinds * (len(self.token_ids) + 1) + answers + 1, return_inverse=True
        )
        kinds, answer = pairs // (len(self.token_ids) + 1), pairs % (len(self.token_ids) + 1) - 1
        center, error = ran.logits.center[kinds], ran.logits.error[kinds]
        rows, ids = np.arange(len(pairs)), self.token_ids[answer]
        own, others = center[rows, ids] - error[rows, ids], center + error
        others[rows, ids] = -np.inf
        found = np.where(answer >= 0, own - others.max(axis=1), -np.inf)
        return np.asarray(np.nan_to_num(found, nan=-np.inf)[places.reshape(-1)])

    def _own(self, meant: Evaluated, ran: Ran, tokens: Ids, position: int) -> Ids:
        crossing = [meant.numbers[node][:, None] for node in self.evaluator.crossing]
        numbers = np.concatenate([ran.numbers, *crossing], axis=1)
        return self.entries.decided(numbers, tokens, position if self.evaluator.orders else None)

    def _split(self, rows: Ids, entries: Ids, blame: Ids) -> tuple[Ids, Ids]:
        """One case for each alternative of the blamed source."""
        blamed = entries[np.arange(len(rows)), blame]
        sizes = np.array([max(1, len(self.entries.parts[e])) for e in blamed.tolist()], dtype=np.int64)
        again = np.repeat(np.arange(len(rows)), sizes)
        found = entries[again]
        parts = [p for e in blamed.tolist() for p in (self.entries.parts[e] or (e,))]
        found[np.arange(len(again)), blame[again]] = parts
        return rows[again], found

    def _joined(
        self,
        position: int,
        before: Ids,
        sources: Ids,
        own: Ids,
        states: Ids,
        written: Ids,
        answers: Ids,
    ) -> Level:
        """The cases as the next position finds them.

        Cases that are alike are one, and what is no longer needed is undecided again.
        """
        if self.evaluator.orders and not self.policy.is_single:
            for source in range(position):
                if (position, source) not in self.policy.kept:
                    sources[:, source] = before[:, source]
        if not self.evaluator.orders:
            sources = np.sort(sources, axis=1)
        keys = [sources, states[:, None], written[:, None], answers[:, None]]
        if self.policy.is_single:
            keys.append(own[:, None])
        first, kinds = distinct(np.concatenate(keys, axis=1))
        order = np.argsort(kinds, kind="stable")
        groups = np.split(own[order], np.flatnonzero(np.diff(kinds[order])) + 1)
        unions: dict[tuple[int, ...], int] = {}
        last = []
        for group in groups:
            members = tuple(np.unique(group).tolist())
            if members not in unions:
                unions[members] = self.entries.union(members, self.evaluator)
            last.append(unions[members])
        entries = np.concatenate([sources[first], np.array(last, dtype=np.int64)[:, None]], axis=1)
        if not self.evaluator.orders:
            entries = np.sort(entries, axis=1)
        return Level(entries, states[first], written[first], answers[first])

    def _context(self, entries: Ids, token: int) -> tuple[str, ...]:
        """One context of a case."""
        places = [*(self.entries.examples[entry] for entry in entries.tolist()), int(token)]
        return tuple(self.meaning.vocabulary[place] for place in places)
