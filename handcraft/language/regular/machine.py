r"""The automaton of a regular expression, whose states are made when texts reach them.

A state is a set of *threads*: all ways of having matched so far. A thread knows what of the expression
is left, what must come next (`$` and `\b` say that), the text of groups that are referred to again, and
what it *owes*: a lookahead is a state of its own that is followed along, and must match in the end or
must not. So a lookahead costs only states, wherever it is, and nothing is ever tried twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from handcraft.language.regular.letters import Letters
from handcraft.language.regular.read import RegularExpressionError, read_expression, shown
from handcraft.language.regular.tree import (
    NO_TEXTS,
    Again,
    Ahead,
    Behind,
    Capture,
    Captured,
    Choice,
    Frame,
    Groups,
    Head,
    IfCaptured,
    Letter,
    Limit,
    Next,
    Node,
    Owed,
    Repeat,
    Sequence,
    State,
    Thread,
    repeat,
)
from handcraft.limits import REGEX_STATES, REGEX_STEPS

DEAD = -1
"""The state from which nothing is matched any more."""

NIL = 0
"""The place after the whole of an expression."""


class Machine:
    """The automaton of a regular expression over some letters.

    States are numbers. Letters that no state distinguishes are of one kind.

    Raises:
        RegularExpressionError: it is not a regular expression, or not a supported one.

    >>> machine = Machine("(?!b)[ab]+", Letters("ab"))
    >>> machine.is_final(machine.after(machine.start, "ab"))
    True
    >>> machine.after(machine.start, "ba") == DEAD
    True
    """

    def __init__(self, pattern: str, letters: Letters) -> None:
        self.pattern = pattern
        self.letters = letters
        tree = read_expression(pattern, letters)
        anything = Letter(letters.matched(r"[\s\S]"))
        found = _nodes(tree)
        refers = any(isinstance(node, Again) for node in found)
        self.kind_of, self._bits = letters.kinds(each=refers)
        self._free = Limit(self._bits[anything.letters], True, False)
        self._ended = Limit(0, True, False)
        behind = sorted({node.letters for node in found if isinstance(node, Behind)})
        self._behind = {number: place for place, number in enumerate(behind)}
        kinds = max(self.kind_of, default=-1) + 1
        self._signs = [tuple(bool(self._bits[n] >> kind & 1) for n in behind) for kind in range(kinds)]
        self._frames = [Frame(None, 0, 0, NIL)]
        self._needs: list[frozenset[int]] = [frozenset()]
        self._frame_numbers: dict[Frame, int] = {}
        self._states: list[State] = []
        self._state_numbers: dict[tuple[tuple[bool, ...] | None, frozenset[Thread]], int] = {}
        self._known: dict[tuple[frozenset[Head], bool, bool], int] = {}
        self._steps = 0
        self._anything = self._frame(repeat(anything, 0, None), NIL)
        self.start = self._begin(self._frame(tree, NIL), None)

    def is_final(self, state: int) -> bool:
        """Whether the text may end in a state."""
        return state != DEAD and self._states[state].is_final

    def after(self, state: int, text: str) -> int:
        """The state after some letters."""
        for letter in text:
            state = self.step(state, self.kind_of[self.letters.places[letter]])
        return state

    def step(self, state: int, kind: int) -> int:
        """The state after a letter of a kind.

        Raises:
            RegularExpressionError: there come to be too many states, or it takes too long.
        """
        if state == DEAD:
            return DEAD
        known = self._states[state].steps
        if kind not in known:
            known[kind] = self._step(self._states[state], kind)
        return known[kind]

    def _step(self, state: State, kind: int) -> int:
        threads = set()
        for kinds, after in chain(state.heads, state.narrow.get(kind, ())):
            if kinds >> kind & 1:
                self._spend(1 + len(after.owed) + sum(len(text) // 8 for *_, text in after.groups))
                thread = self._moved(after, kind)
                if thread is not None:
                    threads.add(thread)
        return self._state(self._signs[kind], threads)

    def _moved(self, thread: Thread, kind: int) -> Thread | None:
        """A thread whose letter was read: what it owes and the groups it records go on too."""
        groups, owed = thread.groups, thread.owed
        if groups:
            groups = frozenset(
                (group, is_open, (*text, kind) if is_open else text) for group, is_open, text in groups
            )
        if owed:
            going = self._still_owed(Owed(self.step(each.state, kind), each.negated) for each in owed)
            if going is None:
                return None
            owed = going
        return Thread(thread.frame, thread.limit, groups, owed)

    def _still_owed(self, debts: Iterable[Owed]) -> frozenset[Owed] | None:
        """Those lookaheads that are not decided; None where one has failed."""
        left = []
        for each in debts:
            is_dead = each.state == DEAD
            if is_dead or self._states[each.state].is_certain:
                if is_dead != each.negated:
                    return None
            else:
                left.append(each)
        return frozenset(left)

    def _begin(self, frame: int, before: tuple[bool, ...] | None, groups: Groups = NO_TEXTS) -> int:
        return self._state(before, {Thread(frame, self._free, groups, frozenset())})

    def _state(self, before: tuple[bool, ...] | None, threads: set[Thread]) -> int:
        """The number of a state, made where it is new."""
        if not threads:
            return DEAD
        key = (before, frozenset(threads))
        if key not in self._state_numbers:
            self._state_numbers[key] = self._kept(self._made(before, threads))
        return self._state_numbers[key]

    def _kept(self, state: State) -> int:
        """The number of a state: threads that have come to the same letters make the same one."""
        if not (state.heads or state.narrow or state.is_final):
            return DEAD
        heads = frozenset(chain(state.heads, *state.narrow.values()))
        key = (heads, state.is_final, state.is_certain)
        if key not in self._known:
            if len(self._states) >= REGEX_STATES.most:
                raise self._too_large(f"more than {REGEX_STATES.most:,} states")
            self._known[key] = len(self._states)
            self._states.append(state)
        return self._known[key]

    def _made(self, before: tuple[bool, ...] | None, threads: set[Thread]) -> State:
        """Follow threads up to their next letters."""
        state = State()
        waiting, seen = list(threads), set(threads)
        while waiting:
            self._spend()
            thread = waiting.pop()
            node, _, _, rest = self._frames[thread.frame]
            if thread.frame == self._anything and thread.limit == self._free and not thread.owed:
                state.is_certain = True
            if node is None:
                matched = all(self.is_final(each.state) != each.negated for each in thread.owed)
                state.is_final = state.is_final or (thread.limit.at_end and matched)
            elif isinstance(node, Letter):
                kinds = self._bits[node.letters] & thread.limit.kinds
                if kinds:
                    limit = self._ended if thread.limit.is_last else self._free
                    after = Thread(rest, limit, self._needed(thread.groups, rest), thread.owed)
                    several, last = kinds & (kinds - 1), kinds.bit_length() - 1
                    heads = state.heads if several else state.narrow.setdefault(last, [])
                    heads.append(Head(kinds, after))
            else:
                for each in self._followed(thread, before, seen):
                    if each not in seen:
                        seen.add(each)
                        waiting.append(each)
        return state

    def _followed(
        self, thread: Thread, before: tuple[bool, ...] | None, seen: set[Thread]
    ) -> list[Thread]:
        """What a thread becomes without reading a letter."""
        node, least, most, rest = self._frames[thread.frame]
        match node:
            case Sequence():
                for item in reversed(node.items):
                    rest = self._frame(item, rest)
                return [thread.at(rest)]
            case Choice():
                return [thread.at(self._frame(each, rest)) for each in node.branches]
            case Repeat():
                return self._repeated(thread, node, least, most, rest, seen)
            case Behind():
                found = node.at_start if before is None else before[self._behind[node.letters]]
                return [thread.at(rest)] if found else []
            case Next():
                kinds = self._bits[node.letters] & thread.limit.kinds
                at_end = node.at_end and thread.limit.at_end
                limit = Limit(kinds, at_end, node.is_last or thread.limit.is_last)
                return [Thread(rest, limit, thread.groups, thread.owed)] if kinds or at_end else []
            case Ahead():
                begun = self._frame(node.item, self._anything)
                groups = self._needed(thread.groups, begun)
                debts = [*thread.owed, Owed(self._begin(begun, before, groups), node.negated)]
                owed = self._still_owed(debts)
                return [] if owed is None else [Thread(rest, thread.limit, thread.groups, owed)]
            case Capture():
                opened = thread.groups | {(node.group, True, ())} if node.keeps_text else thread.groups
                closing = self._frame(node.end, rest)
                return [Thread(self._frame(node.item, closing), thread.limit, opened, thread.owed)]
            case _:
                return self._referred(thread, node, rest)

    def _repeated(
        self, thread: Thread, node: Repeat, least: int, most: int | None, rest: int, seen: set[Thread]
    ) -> list[Thread]:
        """Once more, or no more."""
        found = [] if least else [thread.at(rest)]
        if most is None or most > 0:
            left = None if most is None else most - 1
            again = self._counted(node, max(0, least - 1), left, rest)
            if not least and again != thread.frame:
                # Once more without a letter leads to fewer times than there are from here.
                seen.add(thread.at(again))
            found.append(thread.at(self._frame(node.item, again)))
        return found

    def _referred(self, thread: Thread, node: Node | None, rest: int) -> list[Thread]:
        """Where groups end, and where they are referred to."""
        texts = {group: text for group, is_open, text in thread.groups if not is_open}
        if isinstance(node, Captured):
            opened = {group: text for group, is_open, text in thread.groups if is_open}
            groups = {each for each in thread.groups if each[0] != node.group}
            groups.add((node.group, False, opened.get(node.group, ())))
            return [Thread(rest, thread.limit, self._needed(frozenset(groups), rest), thread.owed)]
        if isinstance(node, IfCaptured):
            chosen = node.then if node.group in texts else node.otherwise
            return [thread.at(self._frame(chosen, rest))]
        assert isinstance(node, Again)
        if node.group not in texts:
            return []
        for place in reversed(texts[node.group]):
            rest = self._frame(node.same[place], rest)
        return [Thread(rest, thread.limit, self._needed(thread.groups, rest), thread.owed)]

    def _needed(self, groups: Groups, frame: int) -> Groups:
        """Those groups that are open, or that what is left refers to."""
        if not groups:
            return groups
        needs = self._needs[frame]
        return frozenset(each for each in groups if each[1] or each[0] in needs)

    def _frame(self, node: Node, rest: int) -> int:
        """The number of a node with a frame after it."""
        if isinstance(node, Repeat):
            return self._counted(node, node.least, node.most, rest)
        return self._numbered(Frame(node, 0, 0, rest), node.captures)

    def _counted(self, node: Repeat, least: int, most: int | None, rest: int) -> int:
        """The same for what is still to be repeated so many times."""
        return self._numbered(Frame(node, least, most, rest), node.captures if least else frozenset())

    def _numbered(self, frame: Frame, captures: frozenset[int]) -> int:
        if frame not in self._frame_numbers:
            assert frame.node is not None
            self._spend()
            self._frame_numbers[frame] = len(self._frames)
            self._frames.append(frame)
            self._needs.append(frame.node.needs | (self._needs[frame.rest] - captures))
        return self._frame_numbers[frame]

    def _spend(self, steps: int = 1) -> None:
        self._steps += steps
        if self._steps > REGEX_STEPS.most:
            raise self._too_large(f"more than {REGEX_STEPS.most:,} steps to make")

    def _too_large(self, needed: str) -> RegularExpressionError:
        return RegularExpressionError(
            f"the automaton of {shown(self.pattern)} takes {needed}",
            fix="repeat less often, refer to fewer groups, or leave out what only distinguishes texts "
            "that are too long for the context",
        )


def _nodes(tree: Node) -> list[Node]:
    """All nodes of a tree."""
    found, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        found.append(node)
        for part in vars(node).values():
            parts = part if isinstance(part, tuple) else (part,)
            waiting += [each for each in parts if isinstance(each, Node)]
    return found
