"""One position after the other: what the model computes in every case, and what is meant there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft_check.arithmetic.kinds import floats
from handcraft_check.by_cases.alternatives import Blamed
from handcraft_check.by_cases.cases import Entries, Ran, Runner
from handcraft_check.by_cases.found import BudgetError, Decided, Found, Level
from handcraft_check.by_cases.parts import Parts, Waiting
from handcraft_check.by_cases.policy import Forgotten, Policy, StuckError
from handcraft_check.by_cases.states import combinations, distinct
from handcraft_check.judged import Judge, Judged
from handcraft_check.layers.model import Model
from handcraft_check.program.answers import computed, predicted
from handcraft_check.program.domain import Domain
from handcraft_check.program.evaluate import Evaluated, Evaluator
from handcraft_check.program.meaning import Meaning
from handcraft_check.program.sets import Set, is_one
from handcraft_check.program.undecided import blamed
from handcraft_check.program.values import ValueReader, as_float

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

STATE = ("policy", "looked_at", "entries", "_levels", "_forgotten")
"""What an attempt found out, but for the sets of values that nodes have at earlier positions."""


class Proof:
    """One attempt, under one policy.

    Args:
        model: a GPT-2.
        token_ids: the id of each token of the vocabulary.
        domain: the contexts.
        meaning: what is meant after each.
        policy: what stays decided; it learns.
        budget: the most cases that may be looked at.
        log: called with what is going on.
        parts: who else decides cases; None for nobody.
        saved: called behind each position, when what is known may be saved.
    """

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
        parts: Parts | None = None,
        saved: Callable[[], None] = lambda: None,
    ) -> None:
        self.domain, self.meaning, self.policy = domain, meaning, policy
        self.budget, self.log, self.looked_at = budget, log, 0
        self.parts, self.saved = parts, saved
        self.token_ids = token_ids
        self.judge = Judge(token_ids, meaning.distributions, meaning.within, model.config.vocab_size)
        self.values = ValueReader(meaning.outputs, model.config.n_embd)
        self.allowed = 1.0 if meaning.outputs else self.judge.within
        self.evaluator = Evaluator(meaning.nodes, meaning.roots, meaning.vocabulary)
        self.orders = self.evaluator.orders or model.config.hides(domain.length)
        self.entries = Entries(model.config.n_layer, self.evaluator.crossing)
        everywhere = np.arange(domain.length) if policy.is_anywhere else None
        self.runner = Runner(model, token_ids, self.entries, everywhere)
        self.found = Found()
        none = np.zeros(1, dtype=np.int64)
        empty = Level(np.empty((1, 0), dtype=np.int64), none, none - 1, none - 1)
        self._levels = [(empty, self.found)]
        self._forgotten: list[Forgotten] = []

    def run(self) -> Found:
        """Show it for all contexts; once more, with a larger budget, goes on where it ended.

        Where a case is stuck, the proof goes back to where more should have stayed decided.

        Raises:
            StuckError: it cannot be shown.
            BudgetError: it takes more cases than it may.
        """
        levels = self._levels
        while len(levels) <= self.domain.length:
            position = len(levels) - 1
            level, self.found = levels[-1][0], replace(levels[-1][1])
            try:
                followed = self._step(level, position)
            except StuckError as stuck:
                self.log(f"position {position}: {stuck.why} after {' '.join(stuck.case)}")
                back = self.policy.learn(stuck, self._forgotten)
                if back is None:
                    raise
                del levels[back + 1 :], self._forgotten[back:]
                continue
            if followed is None:
                break
            levels.append((followed, self.found))
            self.saved()
        return self.found

    @property
    def state(self) -> dict[str, Any]:
        """All that was found out so far, for an attempt that goes on from there."""
        return {name: getattr(self, name) for name in STATE} | {"sets": self.evaluator.crossing_sets}

    def go_on(self, state: dict[str, Any]) -> None:
        """Go on from the state of an attempt at the same claim."""
        for name in STATE:
            setattr(self, name, state[name])
        self.know(state["entries"], state["sets"])

    def know(self, entries: Entries, sets: dict[int, list[Set]]) -> None:
        """Take over what another proof of the same claim knows of earlier positions.

        Args:
            entries: what is read of them.
            sets: those of each node that is read there, in the order of their numbers.
        """
        self.entries = self.runner.entries = entries
        self.evaluator.crossing_sets = sets

    def _step(self, level: Level, position: int) -> Level | None:
        domain, count = self.domain, len(level.states)
        width = len(self.token_ids)
        parents, tokens = np.repeat(np.arange(count), width), np.tile(np.arange(width), count)
        states = np.where(level.states[parents] >= 0, domain.next[level.states[parents], tokens], -1)
        states = np.where(position < domain.length - domain.writes + 1, states, -1)
        is_input = (states >= 0) & domain.final[states]
        goes_on = (level.written[parents] >= 0) & self.judge.follows(level.answers[parents], tokens)
        goes_on &= level.written[parents] + 1 < domain.writes
        written = np.where(is_input, 0, np.where(goes_on, level.written[parents] + 1, -1))
        stays = (states >= 0) | goes_on
        if not stays.any():
            return None
        parents, tokens, states, written = (a[stays] for a in (parents, tokens, states, written))
        before = level.entries[parents]
        rows = self._in_groups(tokens, before)
        entries = before[rows]
        done: list[tuple[Ids, Ids, Ids, Ids]] = []  # rows, their sources, own entries, answers
        waiting = Waiting(self, position, tokens, written)
        waiting.push(rows, entries)
        while waiting:
            rows, entries, decided = waiting.pop()
            own = self._noted(decided, tokens[rows], position, entries, written[rows])
            finished, blame = decided.finished, decided.blame
            stuck = ~finished & (blame.source < 0)
            if stuck.any():
                waiting.cancel()
                at = int(stuck.argmax())
                self._stuck(position, decided, at, entries[at], before[rows[at]], int(tokens[rows[at]]))
            done.append((rows[finished], entries[finished], own[finished], decided.answers[finished]))
            waiting.push(*self._split(rows[~finished], entries[~finished], blame[~finished]))
        which = np.concatenate([part[0] for part in done])
        sources = np.concatenate([part[1] for part in done])
        own, answers = (np.concatenate([part[i] for part in done]) for i in (2, 3))
        self.found.cases += int((written[which] >= 0).sum())
        self.log(f"position {position}: {len(which)} cases")
        return self._joined(
            position,
            parents[which],
            before[which],
            np.column_stack([sources, own]),
            np.column_stack([states[which], written[which], answers]),
        )

    def _in_groups(self, tokens: Ids, entries: Ids) -> Ids:
        """The cases in an order in which those are together of which much may be the same: [row].

        Where the order of tokens does not matter, these are texts of the same tokens.
        """
        if self.orders or not entries.size:
            return np.arange(len(tokens))
        texts = np.column_stack([np.array(self.entries.examples)[entries], tokens])
        return np.lexsort(np.sort(texts, axis=1).T)

    def _stuck(
        self, position: int, decided: Decided, at: int, entries: Ids, before: Ids, token: int
    ) -> None:
        """Say what would have to be known of a case, in another attempt."""
        if not decided.assumed[at]:
            why = "an assumption of the program may be broken"
        elif not decided.meant[at]:
            why = "the program may mean several tokens, or none"
        elif self.meaning.outputs:
            why = f"a value may be off by {decided.judged.distances[at]:.4g} times what is allowed"
        elif decided.judged.margins[at] <= 0:
            why = f"the margin may be as low as {decided.judged.margins[at]:.4g}"
        else:
            why = f"the probabilities may be off by {decided.judged.distances[at]:.4g}"
        decided_in_vain = np.flatnonzero(entries != before).tolist()
        if not decided.assumed[at]:
            decided_in_vain = self._of_assumptions(token, position, entries, before)
        eager = {}
        if self.orders:
            layer, spreads = self.runner.wide(token, position, entries)
            named = {*decided_in_vain, *spreads.argsort()[-1:].tolist()}
            eager = {source: layer for source in named if spreads[source] > 0}
        margin = float(decided.judged.margins[at])
        raise StuckError(why, self._context(entries, token), margin, position, decided_in_vain, eager)

    def _of_assumptions(self, token: int, position: int, entries: Ids, before: Ids) -> list[int]:
        """The decided sources on which it depends what assumptions are about; all if on none."""

        def about(entries: Ids) -> list[int]:
            numbers = self.evaluated(np.array([token]), position, entries[None]).numbers
            return [int(numbers[node][0]) for node in self.evaluator.checked]

        decided, found, left = (
            np.flatnonzero(entries != before).tolist(),
            about(entries),
            entries.copy(),
        )
        for source in decided:
            left[source] = before[source]
            if about(left) != found:
                left[source] = entries[source]
        return np.flatnonzero(left != before).tolist() or decided

    def evaluated(self, tokens: Ids, position: int, entries: Ids) -> Evaluated:
        """What is meant in some cases.

        Args:
            tokens: what stands there, places in the vocabulary: [case].
            position: where.
            entries: those of earlier positions: [case, source].
        """
        numbers = self.entries.read(entries, slice(len(self.entries.stores), None))
        read = {node: numbers[:, :, i] for i, node in enumerate(self.evaluator.crossing)}
        return self.evaluator.evaluate(tokens, position, read, self.entries.is_set(entries))

    def decide(self, tokens: Ids, position: int, entries: Ids, written: Ids) -> Decided:
        """What can be shown of some cases, and which source to decide in the others.

        Args:
            tokens: what stands there, places in the vocabulary: [case].
            position: where.
            entries: those of earlier positions: [case, source].
            written: how many tokens the program has written; -1 where it is no context: [case].
        """
        meant = self.evaluated(tokens, position, entries)
        ran = self.runner.run(tokens, position, entries)
        is_context = written >= 0
        answers, blame, is_meant = self._answers(meant, is_context)
        is_assumed = np.ones(len(tokens), dtype=bool)
        broken = {}
        for node in self.evaluator.checked:
            broken[node] = flags = self.evaluator.broken(node, meant.numbers[node], is_context)
            is_assumed &= ~flags
        if not is_assumed.all():
            blame = self._blamed(meant, broken).where(~is_assumed).or_else(blame)
        judged = self._judged_values(ran, meant) if self.meaning.outputs else self._judged(ran, answers)
        is_right = (judged.margins > 0) & (judged.distances <= self.allowed)
        finished = is_assumed & is_meant & (~is_context | is_right)
        finished &= (ran.blame.source < 0) | (ran.blame.layer >= self.policy.eager.get(position, 0))
        blame = blame.or_else(ran.blame)
        crossing = [meant.numbers[node][:, None] for node in self.evaluator.crossing]
        own = np.concatenate([ran.numbers, *crossing], axis=1)
        continues = is_context & (written + 1 < self.domain.writes)
        answers = np.where(continues, answers, -1)
        return Decided(finished, is_assumed, is_meant, judged, blame, own, answers)

    def _noted(self, decided: Decided, tokens: Ids, position: int, entries: Ids, written: Ids) -> Ids:
        """Note what was shown of cases, in the order of the walk; their own entries.

        Raises:
            BudgetError: these are more than may be looked at.
        """
        self.looked_at += len(tokens)
        if self.looked_at > self.budget:
            raise BudgetError
        judged = decided.judged
        for at in judged.worst(decided.finished & (written >= 0)):
            context = self._context(entries[at], tokens[at])
            margin, distance = float(judged.margins[at]), float(judged.distances[at])
            self.found = self.found.of_context(context, margin, distance)
        return self.entries.decided(decided.numbers, tokens, position if self.orders else None)

    def _answers(self, meant: Evaluated, is_context: Flags) -> tuple[Ids, Blamed, Flags]:
        """What is predicted, the source that decides it, and where it is known."""
        if self.meaning.outputs:
            found = computed(self.meaning, self.evaluator, meant.numbers, is_context)
        else:
            found = predicted(self.meaning, self.evaluator, meant.numbers, is_context)
        blame = self._blamed(meant, found.wanted)
        return found.answers, blame, ~is_context | (found.answers >= 0)

    def _blamed(self, meant: Evaluated, wanted: Mapping[int, Flags]) -> Blamed:
        """The sources that keep nodes from having one value each."""
        if not wanted:
            return Blamed.nobody(len(next(iter(meant.numbers.values()))))
        return Blamed.by_nodes(*blamed(self.evaluator, meant, wanted))

    def _judged(self, ran: Ran, answers: Ids) -> Judged:
        """What surely holds of the logits of some cases."""
        first, places = combinations(ran.kinds, answers + 1)
        kinds, answer, model = ran.kinds[first], answers[first], self.runner.model
        last, logits = ran.last[kinds], ran.logits[kinds]
        if self.meaning.distributions:
            judged = self.judge.judged(
                logits, answer, lambda rows, token: model.difference(last[rows], logits[rows], token)
            )
            return judged[places]
        margins = floats(model.margins(last, logits, self.token_ids[answer]))
        margins = np.nan_to_num(np.where(answer >= 0, margins, -np.inf), nan=-np.inf)
        return Judged(margins, np.zeros(len(margins)))[places]

    def _judged_values(self, ran: Ran, meant: Evaluated) -> Judged:
        """What surely holds of the numbers that stand for values: how far they are off, no margin."""
        listed = []
        for output in self.meaning.outputs:
            numbers = meant.numbers[output.node]
            sets = self.evaluator.sets[output.node].listed
            known = [as_float(next(iter(each))) if is_one(each) else np.nan for each in sets]
            listed.append(np.array(known)[numbers])
        center, error = (part[ran.kinds] for part in self.values.read(ran.last))
        shares = self.values.shares(center, error, np.stack(listed, axis=1))
        return Judged(np.full(len(shares), np.inf), shares)

    def _split(self, rows: Ids, entries: Ids, blame: Blamed) -> tuple[Ids, Ids]:
        """One case for each kind of alternatives of the blamed source."""
        blamed = entries[np.arange(len(rows)), blame.source]
        asked = zip(blamed.tolist(), blame.layer.tolist(), blame.reader.tolist(), strict=True)
        kinds = [self.entries.kinds(*each, self.evaluator) for each in asked]
        again = np.repeat(np.arange(len(rows)), np.array([len(each) for each in kinds], dtype=np.int64))
        found = entries[again]
        found[np.arange(len(again)), blame.source[again]] = [kind for each in kinds for kind in each]
        return rows[again], found

    def _joined(self, position: int, parents: Ids, before: Ids, entries: Ids, others: Ids) -> Level:
        """The cases as the next position finds them.

        Cases that are alike are one, and what is no longer needed is undecided again. Where a source
        is released that stayed decided until now, cases are alike if all sources that stay decided
        are, and each other source may be what it is in any of them.

        Args:
            position: behind which that is.
            parents: the case that each comes from: [case].
            before: the entries of the sources as they were: [case, source].
            entries: those of the sources, and the position's own, as they were decided.
            others: state, number of tokens written, and answer: [case, 3].
        """
        split = np.flatnonzero((entries[:, :-1] != before).any(axis=0)).tolist()
        mixed: list[int] = []
        alike = list(range(position + 1))
        if not self.policy.is_single:
            self.policy.expect(position, split)
            kept = self.policy.kept_behind(position)
            for source in set(range(position)) - set(kept):
                entries[:, source] = before[:, source]
            alike = kept
        elif not self.orders:
            entries = np.sort(entries, axis=1)
        first, kinds = distinct(np.column_stack([entries[:, alike], others]))
        joined = entries[first]
        varying = np.flatnonzero((entries != entries[0]).any(axis=0)).tolist()
        for source in set(varying) - set(alike):
            joined[:, source], is_mixed = self._united(entries[:, source], kinds, parents)
            if is_mixed:
                mixed.append(source)
        self._forgotten.append(Forgotten(frozenset(split), frozenset(mixed)))
        states, written, answers = others[first].T
        return Level(joined, states, written, answers)

    def _united(self, entries: Ids, kinds: Ids, parents: Ids) -> tuple[Ids, bool]:
        """For each kind of case, what one source may be in any of them: [kind].

        Args:
            entries: what it is in each: [case].
            kinds: of each case, from 0 on.
            parents: the case that each comes from: [case].

        Returns:
            These, and whether what the source was in cases of one kind depended on the parent.
        """
        first, _ = combinations(kinds, entries)
        order = np.lexsort((entries[first], kinds[first]))
        pairs, kind = entries[first][order], kinds[first][order]
        found = [
            self.entries.union(tuple(group.tolist()), self.evaluator)
            for group in np.split(pairs, np.flatnonzero(np.diff(kind)) + 1)
        ]
        families = kinds[combinations(kinds, parents)[0]]
        several = len(combinations(kinds, parents, entries)[0])
        depends = several < np.dot(np.bincount(families), np.bincount(kind))
        return np.array(found, dtype=np.int64), bool(depends)

    def _context(self, entries: Ids, token: int) -> tuple[str, ...]:
        """One context of a case."""
        places = [*(self.entries.examples[entry] for entry in entries.tolist()), int(token)]
        return tuple(self.meaning.vocabulary[place] for place in places)
