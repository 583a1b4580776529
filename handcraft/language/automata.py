"""Finite automata as sequences: the state after each token.

A token acts on an automaton as a map from states to states, and so does a sequence of tokens. The maps
of ever longer sequences are composed pairwise,

    map of the last 2k tokens = (map of the last k tokens) after (the same map, k positions back)

so that log2(context) blocks compute the state after every token. This is the parallel prefix of
"Transformers Learn Shortcuts to Automata" (Liu et al., 2022), section 3. A program that writes its
state into the text takes one step for each token, and needs one block.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from handcraft.display import short_repr
from handcraft.errors import DomainError, HandcraftError, ProgramError, raise_all
from handcraft.language.graph.domain import Finite, Kind
from handcraft.language.graph.wording import Wording, reads
from handcraft.language.regular import Letters, Machine, RegularExpressionError, mentioned
from handcraft.language.sequences.expression import Expression, as_expression, finished
from handcraft.language.sequences.functions import lookup, where
from handcraft.language.written.variable_name import variable_name
from handcraft.language.written.written_place import PACKAGE, written_place
from handcraft.limits import AUTOMATON_MAPS, AUTOMATON_STATES
from handcraft.origin import Place, caller_place

State: TypeAlias = "str | int"
Transitions: TypeAlias = "Mapping[Any, State] | Iterable[tuple[State, str, State]]"


@short_repr
@dataclass(frozen=True, init=False, eq=False)
class Automaton:
    """A deterministic finite automaton.

    Args:
        states: all of them: strings, or whole numbers.
        start: the state before the first token.
        accept: the states in which it accepts.
        transitions: for each state and token the next state: a table whose keys are pairs, or triples
            of state, token and next state. Every pair must be there, once.
        name: its name where expressions are printed; by default that of its variable.

    Raises:
        ProgramError: missing or contradictory transitions, unknown states; all that is wrong at once.

    >>> from handcraft import Prompts
    >>> parity = Automaton(["even", "odd"], "even", ["even"], {
    ...     ("even", "0"): "even", ("even", "1"): "odd", ("odd", "0"): "odd", ("odd", "1"): "even",
    ... })
    >>> token = Prompts("01", context=8).token
    >>> parity.state(token).trace("1101")
    ('odd', 'even', 'even', 'odd')
    """

    states: tuple[State, ...]
    start: State
    accept: frozenset[State]
    transitions: Mapping[tuple[State, str], State]
    name: str = field(repr=False)
    place: Place | None = field(repr=False)

    def __init__(
        self,
        states: Iterable[State],
        start: State,
        accept: Iterable[State],
        transitions: Transitions,
        *,
        name: str | None = None,
        place: Place | None = None,
    ) -> None:
        place = place or caller_place(1)
        known, accepting = tuple(states), tuple(accept)
        triples = _triples(transitions, place)
        raise_all(list(_problems(known, start, accepting, triples, place)))
        table: dict[tuple[State, str], State] = {(s, t): after for s, t, after in triples}
        vars(self).update(states=known, start=start, accept=frozenset(accepting))
        if name is None:
            variable = variable_name(sys._getframe(1), PACKAGE)
            name = "automaton" if variable is None else variable[0]
        vars(self).update(transitions=table, name=name, place=place)

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The tokens that it reads, in the order of its transitions."""
        return tuple(dict.fromkeys(token for _, token in self.transitions))

    def accepts(self, sequence: Expression) -> Expression:
        """A flag at every position: whether it accepts the text up to there."""
        return self._named(
            self.state(sequence).map({s: s in self.accept for s in self.states}),
            reads(f"{self.name}.accepts(", sequence.node, ")"),
        )

    def state(self, sequence: Expression) -> Expression:
        """The state after each token, from left to right, also in a program without a causal mask.

        It takes about log2(context) blocks.

        Raises:
            DomainError: the sequence has values outside the alphabet, or too many maps are possible.
        """
        self._check(sequence, frozenset(self.alphabet), "alphabet")
        assert isinstance(sequence.domain, Finite)
        places = {state: i for i, state in enumerate(self.states)}
        of_token = {
            str(token): tuple(places[self.transitions[s, str(token)]] for s in self.states)
            for token in sequence.domain.values
        }
        known = list(dict.fromkeys(of_token.values()))
        here = self._called(sequence.map({t: _label(m) for t, m in of_token.items()}), "1", sequence)
        stretch = 1
        while stretch < sequence.prompts.context:
            # the map of two neighbouring stretches: the later one's after the earlier one's
            pairs = {(_label(a), _label(b)): tuple(a[s] for s in b) for a in known for b in known}
            before = here.at(-stretch, default=_label(known[0]))
            both = lookup({pair: _label(m) for pair, m in pairs.items()}, here, before)
            is_there = sequence.prompts.position >= stretch
            stretch *= 2
            here = self._called(where(is_there, both, here), str(stretch), sequence)
            known = self._fewer([*known, *pairs.values()], stretch)
        return self._named(
            here.map({_label(m): self.states[m[places[self.start]]] for m in known}),
            reads(f"{self.name}.state(", sequence.node, ")"),
        )

    def step(self, state: Expression, sequence: Expression) -> Expression:
        """The next state at every position, from the state before it and the token: one table.

        Raises:
            DomainError: `state` has a value that is no state, or `sequence` one outside the alphabet.
        """
        self._check(state, frozenset(self.states), "states")
        self._check(sequence, frozenset(self.alphabet), "alphabet")
        stepped = lookup(lambda s, t: self.transitions[s, t], state, sequence)
        text = reads(f"{self.name}.step(", state.node, ", ", sequence.node, ")")
        return self._named(stepped, text)

    def run(self, tokens: Iterable[str]) -> State:
        """The state after a text, in plain Python.

        >>> regex("(ab)*").run("aba")
        '1'
        """
        state = self.start
        for token in tokens:
            state = self.transitions[state, token]
        return state

    def _fewer(self, maps: Iterable[_Map], stretch: int) -> list[_Map]:
        """Each map once.

        Raises:
            DomainError: there are more than `AUTOMATON_MAPS`.
        """
        known = list(dict.fromkeys(maps))
        if len(known) > AUTOMATON_MAPS.most:
            raise DomainError(
                f"{stretch} tokens can do {len(known)} different things to the states of {self.name}, "
                f"and at most {AUTOMATON_MAPS.most} are composed",
                where=written_place() or self.place,
                fix="use fewer states, a shorter context, or write the state: .step(state, token)",
            )
        return known

    def _check(self, sequence: Expression, known: frozenset[Hashable], what: str) -> None:
        given = as_expression(sequence, f"{self.name}.state").domain
        values = given.values if isinstance(given, Finite) else ()
        unknown = [value for value in values if value not in known or isinstance(value, bool)]
        if given.kind is Kind.FLAG or not values or unknown:
            found = f", such as {unknown[0]!r}" if unknown else f", which are {given}"
            raise DomainError(
                f"`{sequence}` has values outside the {what} of {self.name}{found}",
                where=written_place() or self.place,
                fix=f"give {self.name} transitions for them, or .map() them to others",
            )

    def _called(self, expression: Expression, stretch: str, sequence: Expression) -> Expression:
        return self._named(expression, reads(f"{self.name} over {stretch} of ", sequence.node))

    def _named(self, expression: Expression, text: Wording) -> Expression:
        return finished(expression.prompts, expression.node.called(text, None), levels_up=2)


_Map: TypeAlias = "tuple[int, ...]"
"""What some tokens do to the states: for each state, by number, the state after them."""


def _label(states: Iterable[int]) -> str:
    """A map as text, which is a value that expressions can have."""
    return " ".join(map(str, states))


def regex(pattern: str, alphabet: Iterable[str] | None = None) -> Automaton:
    r"""The smallest automaton that accepts the full matches of a regular expression.

    Args:
        pattern: as for `re.fullmatch` of Python, with lookaheads, `^`, `$` and references to groups,
            unless they need too many states.
        alphabet: the tokens that it reads, each character by character; by default the characters that
            the pattern names. ``[a-c]`` names a, b and c, ``\d`` the ten digits of ASCII, ``[^a]`` a,
            and ``.`` names none.

    Raises:
        ProgramError: the pattern is not a regular expression, its automaton would be too large, or
            no alphabet is given and the pattern names no character.

    >>> from handcraft import Prompts
    >>> token = Prompts("ab", context=6).token
    >>> regex("(ab)*").accepts(token).trace("ababb")
    (False, True, False, True, False)
    """
    place = caller_place(1)
    try:
        tokens = mentioned(pattern) if alphabet is None else tuple(alphabet)
        if not tokens and alphabet is None:
            raise ProgramError(
                f"{pattern!r} names no character, so its alphabet is unknown",
                where=place,
                fix=f'name the tokens it reads, as in regex({pattern!r}, alphabet="ab")',
            )
        table, final = _smallest(*_states(pattern, tokens))
    except RegularExpressionError as error:
        raise RegularExpressionError(error.what, where=place, fix=error.fix) from None
    return Automaton(
        [str(number) for number in range(len(table))],
        "0",
        [str(number) for number, is_final in enumerate(final) if is_final],
        {
            (str(number), token): str(after)
            for number, row in enumerate(table)
            for token, after in zip(tokens, row, strict=True)
        },
        name=f"regex({pattern!r})",
        place=place,
    )


def _states(pattern: str, tokens: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
    """The next state for each state and token, from state 0 on, and which states accept."""
    machine = Machine(pattern, Letters("".join(tokens)))
    numbers, rows = {machine.start: 0}, []
    waiting = [machine.start]
    for state in waiting:
        after = [machine.after(state, token) for token in tokens]
        for each in after:
            if each not in numbers:
                numbers[each] = len(numbers)
                waiting.append(each)
        if len(waiting) > AUTOMATON_STATES.most:
            raise RegularExpressionError(
                f"{pattern!r} takes more than {AUTOMATON_STATES.most:,} states",
                fix="repeat less often, or list its states: Automaton(states, start, accept, ...)",
            )
        rows.append([numbers[each] for each in after])
    return rows, [machine.is_final(state) for state in waiting]


def _smallest(rows: list[list[int]], final: list[bool]) -> tuple[list[list[int]], list[bool]]:
    """The smallest equivalent automaton, by splitting classes of states (Moore's algorithm).

    Args:
        rows: the next state for each state and token.
        final: which states accept.

    Returns:
        Both for the merged states, which are numbered in the order in which a walk reaches them.
    """
    table = np.array(rows, dtype=np.int64).reshape(len(rows), -1)  # [state, token]
    classes, count = np.array(final, dtype=np.int64), 0
    while count < classes.max() + 1:  # until no class is split
        count = int(classes.max()) + 1
        columns = np.column_stack([classes, classes[table]])
        classes = np.unique(columns, axis=0, return_inverse=True)[1].reshape(-1)
    named, first = np.unique(classes, return_index=True)  # states are in the order of the walk
    order = np.argsort(first)
    numbers = np.empty(len(named), dtype=np.int64)
    numbers[order] = np.arange(len(named))
    kept = first[order]
    return numbers[classes[table[kept]]].tolist(), [final[state] for state in kept]


def _triples(transitions: Transitions, place: Place) -> list[tuple[State, str, State]]:
    """Transitions as triples, however they were written."""
    try:
        if isinstance(transitions, Mapping):
            return [(state, token, after) for (state, token), after in transitions.items()]
        return [(state, token, after) for state, token, after in transitions]
    except (TypeError, ValueError):
        raise ProgramError(
            "the transitions of an automaton have the wrong form",
            where=place,
            fix='write {("even", "1"): "odd", ...}, or triples ("even", "1", "odd")',
        ) from None


def _problems(
    states: Sequence[State],
    start: State,
    accept: Sequence[State],
    triples: Sequence[tuple[State, str, State]],
    place: Place,
) -> Iterator[HandcraftError]:
    known = dict.fromkeys(states)
    if not states or len(known) < len(states):
        twice = next((s for s in states if states.count(s) > 1), None)
        what = "an automaton has no states" if not states else f"state {twice!r} is listed twice"
        yield ProgramError(what, where=place, fix="list every state once")
    for state in dict.fromkeys(
        [start, *accept, *(s for s, _, _ in triples), *(s for *_, s in triples)]
    ):
        if state not in known:
            yield ProgramError(
                f"the automaton has no state {state!r}",
                where=place,
                fix=f"use one of {', '.join(map(repr, states))}, or add it to the states",
            )
    table: dict[tuple[State, str], State] = {}
    for state, token, after in triples:
        if table.setdefault((state, token), after) != after:
            yield ProgramError(
                f"in state {state!r} the token {token!r} leads to {table[state, token]!r} and to "
                f"{after!r}",
                where=place,
                fix="keep one of the two transitions",
            )
    tokens = dict.fromkeys(token for _, token, _ in triples)
    missing = [(s, t) for s in known for t in tokens if (s, t) not in table]
    if not tokens:
        yield ProgramError("an automaton has no transitions", where=place, fix="give some")
    if missing:
        shown = ", ".join(f"({s!r}, {t!r})" for s, t in missing[:3])
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        yield ProgramError(
            f"no transition for {shown}{more}", where=place, fix="give the next state for every pair"
        )
