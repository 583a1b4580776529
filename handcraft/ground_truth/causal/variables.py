"""The variables of a causal model: expressions of a program with a place where they can be exchanged.

A place is tested by running the model: every intervention that is tried must give the answers of the
causal model. An expression without such a place is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from handcraft.circuits import Subspace
from handcraft.errors import GroundTruthError
from handcraft.ground_truth.causal.mechanisms import Ids, Mechanisms
from handcraft.ground_truth.causal.places import Place, Places, Seen
from handcraft.ground_truth.causal.trials import Exchanges, Sample, Tally, Trials
from handcraft.ground_truth.contexts import Contexts, sample_contexts
from handcraft.ground_truth.part import Wanted
from handcraft.ground_truth.stream.featurizer import Featurizer, stream_states
from handcraft.ground_truth.stream.hook_point import model_state
from handcraft.ground_truth.stream.ideal_states import ideal_states
from handcraft.ground_truth.subject import LaidOut
from handcraft.language.graph.domain import Value
from handcraft.language.graph.node import Constant, Node, is_position
from handcraft.origin import Origin
from handcraft.phrase import Words, phrase, setting

FIRST = 16
"""How many interventions are tried at a place before all of them: most wrong places fail at once."""


@dataclass(frozen=True, eq=False)
class Variable:
    """An expression that can be exchanged.

    Args:
        name: what the program calls it.
        node: its number.
        origin: where it was written.
        place: where it is exchanged.
        done: the state of the residual stream of the model, as `Model.resume` counts.
        featurizer: how it is read and written there.
        values: the values that were seen.
        codewords: what is stored of each, all that is exchanged with it included: [value, width].
        is_exact: whether a value is stored as the same codeword wherever it occurs; otherwise it is the
            same only for its readers.
        positions: the positions at which it had several values.
        parents: the variables that it is computed from.
        tally: what came of interventions.
        orthogonal: the same by orthogonal projections.
        exchanges: the interventions.
    """

    name: str
    node: int
    origin: Origin
    place: Place
    done: int
    featurizer: Featurizer
    values: tuple[Value, ...]
    codewords: npt.NDArray[np.float64] = field(repr=False)
    is_exact: bool
    positions: tuple[int, ...]
    parents: tuple[str, ...]
    tally: Tally
    orthogonal: Tally
    exchanges: tuple[Exchanges, ...] = field(repr=False)


@dataclass(frozen=True)
class LeftOut:
    """An expression that is no variable.

    Args:
        name: what the program calls it.
        node: its number.
        why: the reason.
        tally: what came of interventions at the best place, where it is stored at all.
    """

    name: str
    node: int
    why: str
    tally: Tally | None = None


@dataclass(frozen=True, eq=False)
class CausalModel:
    """The causal model of a program, and where its variables are.

    Args:
        mechanisms: the expressions, and how they are computed.
        variables: those that can be exchanged, in the order of computation.
        left_out: the others, apart from constants and functions of the position.
    """

    mechanisms: Mechanisms
    variables: tuple[Variable, ...]
    left_out: tuple[LeftOut, ...]


def causal_model(subject: LaidOut, wanted: Wanted) -> CausalModel:
    """The causal model of a model that predicts tokens.

    Raises:
        GroundTruthError: no program is known, it predicts nothing, or none of its expressions has a
            place of its own.
    """
    if not subject.predicts:
        raise GroundTruthError(
            "a causal model is about answers, and this model computes values",
            fix="ask for other parts: values,features,components",
        )
    mechanisms = Mechanisms.of_subject(subject)
    contexts = sample_contexts(subject, wanted.examples, wanted.seed).by_length
    together = [[each] for each in contexts] if not mechanisms.meaning.causal else [contexts]
    samples = [_sample(subject, mechanisms, each) for each in together]
    trials = Trials(subject.model, mechanisms, samples, wanted.examples, wanted.seed)
    places = Places(subject.circuits, mechanisms.nodes, _seen(subject, mechanisms, contexts))
    search = _Search(subject, mechanisms, samples, trials, places)
    variables, left_out = search.run()
    if not variables:
        _refuse(subject, search, wanted)
    return CausalModel(mechanisms, variables, left_out)


def _refuse(subject: LaidOut, search: _Search, wanted: Wanted) -> None:
    """Say why there is no variable.

    Raises:
        GroundTruthError: always.
    """
    others: Words = "ask for other parts: values,components"
    fix: Words
    if not search.varying:
        what, fix = f"no answer of {subject.name} depends on the prompt", others
    elif not search.has_tried:
        what = f"among the prompts that were drawn of {subject.name} no two differ at the same position"
        fix = phrase("draw more of them: ", setting("examples", 4 * wanted.examples))
    else:
        what, fix = f"no expression of {subject.name} is stored where it could be exchanged", others
    raise GroundTruthError(what, where=subject.source.place, fix=fix)


def _sample(subject: LaidOut, mechanisms: Mechanisms, contexts: Sequence[Contexts]) -> Sample:
    """The texts of some lengths together: what follows the end of a text changes nothing before it."""
    longest = max(each.texts.shape[1] for each in contexts)

    def padded(part: Ids, by: int) -> Ids:
        return np.pad(part, ((0, 0), (0, longest - part.shape[1])), constant_values=by)

    texts = np.concatenate([padded(each.texts, 0) for each in contexts])
    lengths = np.concatenate([np.full(len(each), each.texts.shape[1]) for each in contexts])
    asked = np.concatenate([padded(each.meant, -1) for each in contexts]) >= 0
    return Sample(texts, lengths, asked, mechanisms.run(texts), stream_states(subject.model, texts))


def _seen(subject: LaidOut, mechanisms: Mechanisms, contexts: Sequence[Contexts]) -> list[Seen]:
    """What is stored and meant, with one code for each value of an expression in all texts."""
    numbered: list[dict[Value, int]] = [{} for _ in mechanisms.nodes]
    found = []
    for each in contexts:
        columns = mechanisms.run(each.texts).columns
        codes: list[Ids] = []
        for number, known in enumerate(numbered):
            column = columns[number]
            places = [-1 if v is None else known.setdefault(v, len(known)) for v in column.values]
            codes.append(np.broadcast_to(np.array(places)[column.codes], each.texts.shape))
        found.append(Seen(ideal_states(subject.circuits, each.texts), codes, numbered))
    return found


class _Search:
    """Finds the variables.

    Attributes:
        varying: the expressions that depend on the text.
        has_tried: whether any intervention was possible.
    """

    def __init__(
        self,
        subject: LaidOut,
        mechanisms: Mechanisms,
        samples: Sequence[Sample],
        trials: Trials,
        places: Places,
    ) -> None:
        self.subject, self.mechanisms, self.samples = subject, mechanisms, samples
        self.trials, self.places = trials, places
        self.varying: set[int] = set()
        self.has_tried = False

    def run(self) -> tuple[tuple[Variable, ...], tuple[LeftOut, ...]]:
        """All variables, and all other expressions that depend on the text."""
        variables: list[Variable] = []
        left_out: list[LeftOut] = []
        names: dict[int, str] = {}
        varying = self.varying
        for number, node in enumerate(self.mechanisms.nodes):
            children = {self.places.number(child) for child in node.children}
            if not _depends_on_text(node) and not children & varying:
                continue
            varying.add(number)
            name = _unused(str(node), {*names.values(), *(each.name for each in left_out)})
            found = self._variable(number, name, self._parents(number, names))
            if isinstance(found, Variable):
                names[number] = name
                variables.append(found)
            else:
                left_out.append(found)
        return tuple(variables), tuple(left_out)

    def _variable(self, number: int, name: str, parents: tuple[str, ...]) -> Variable | LeftOut:
        if number not in self.places.stored:
            why = "it is not stored: what reads it reads what it is computed from"
            return LeftOut(name, number, why)
        exchanges, is_all = self.trials.exchanges(number)
        if not any(each.compared.any() for each in exchanges):
            return LeftOut(name, number, "no two texts differ in it alone before an answer")
        self.has_tried = True
        few = [each.defined(FIRST) for each in exchanges[:1]]
        best: tuple[int, Place] | None = None
        for place in self._places_of(number):
            first = self._tried(place, few)
            if first.tried == first.right:
                tally = self._tried(place, exchanges, is_all=is_all)
                if tally.is_right:
                    return self._made(number, name, parents, place, tally, exchanges)
            if best is None or first.right > best[0]:
                best = first.right, place
        if best is None:
            return LeftOut(name, number, "it is read before all of it is written")
        why = "other weights read what it is computed from, so an exchange changes only a part"
        return LeftOut(name, number, why, self._tried(best[1], exchanges, is_all=is_all))

    def _places_of(self, number: int) -> Iterator[Place]:
        """The candidates of an expression, each once."""
        seen: set[tuple[int, tuple[Subspace, ...]]] = set()
        for place in self.places.candidates(number):
            if (place.state, place.subspaces) not in seen:
                seen.add((place.state, place.subspaces))
                yield place

    def _tried(
        self,
        place: Place,
        exchanges: Sequence[Exchanges],
        *,
        is_all: bool = False,
        is_orthogonal: bool = False,
    ) -> Tally:
        """What comes of interventions at a place."""
        done = model_state(self.subject, place.state)
        featurizer = self.subject.featurizer(place.subspaces)
        return self.trials.tally(
            exchanges, done, featurizer, is_all=is_all, is_orthogonal=is_orthogonal
        )

    def _made(
        self,
        number: int,
        name: str,
        parents: tuple[str, ...],
        place: Place,
        tally: Tally,
        exchanges: Sequence[Exchanges],
    ) -> Variable:
        """The variable of an expression whose place is right."""
        words = self.places.codewords(number, place)
        return Variable(
            name,
            number,
            self.mechanisms.nodes[number].origin,
            place,
            model_state(self.subject, place.state),
            self.subject.featurizer(place.subspaces),
            tuple(words),
            np.array([*words.values()]),
            self.places.is_exact(number, place),
            self._positions(number),
            parents,
            tally,
            self._tried(place, exchanges, is_all=tally.is_all, is_orthogonal=True),
            tuple(exchanges),
        )

    def _positions(self, number: int) -> tuple[int, ...]:
        found: set[int] = set()
        for codes in (sample.codes(number) for sample in self.samples):
            for position in range(codes.shape[1]):
                if len({*codes[:, position].tolist()} - {0}) > 1:
                    found.add(position)
        return tuple(sorted(found))

    def _parents(self, number: int, names: dict[int, str]) -> tuple[str, ...]:
        """The nearest variables that an expression is computed from."""
        found: dict[str, None] = {}
        stack, seen = [*reversed(self.mechanisms.nodes[number].children)], set[Node]()
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            known = names.get(self.places.number(node))
            if known is None:
                stack += reversed(node.children)
            else:
                found[known] = None
        return tuple(found)


def _depends_on_text(node: Node) -> bool:
    """Whether it is neither a constant, nor the position, nor made of other expressions."""
    return not node.children and not isinstance(node, Constant) and not is_position(node)


def _unused(name: str, taken: set[str]) -> str:
    """The name, numbered if another expression has it."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name}, {number}", number + 1
    return found
