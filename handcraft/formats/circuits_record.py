"""Circuits as plain data and back, every symbol replaced by its value. No code is run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from handcraft.circuits import (
    Bias,
    Block,
    Circuits,
    Codes,
    Coefficients,
    Encoding,
    Head,
    LinearMap,
    Nats,
    Neuron,
    Ramp,
    Relation,
    Reuse,
    Shares,
    Subspace,
    Table,
)
from handcraft.circuits.number import Number, Plain, evaluate
from handcraft.formats.foreign_files import whole
from handcraft.origin import Origin, Place

Record = dict[str, Any]


def circuits_to_record(circuits: Circuits) -> Record:
    """Everything that decides what the circuits answer, as JSON data."""
    writer = _Writer(circuits.values)
    body = {
        "vocabulary": list(circuits.vocabulary.tokens),
        "context": circuits.context,
        "causal": circuits.causal,
        "embedding": [
            {
                "of": table.of,
                "subspace": writer.name(table.subspace),
                "rows": [[[i, writer.number(n)] for i, n in row] for row in table.rows],
            }
            for table in circuits.embedding
        ],
        "scratch": [writer.name(subspace) for subspace in circuits.scratch],
        "blocks": [writer.block(block) for block in circuits.blocks],
        "unembedding": circuits.unembedding and writer.name(circuits.unembedding),
        "nats": circuits.nats
        and {"rest": writer.name(circuits.nats.rest), "squares": writer.number(circuits.nats.squares)},
        "results": circuits.results and [writer.name(subspace) for subspace in circuits.results],
        "reuses": [
            {"subspace": writer.name(r.subspace), "within": writer.name(r.within), "at": r.at}
            for r in circuits.reuses
        ],
    }
    origins = [[o.what, o.place.short if o.place else None] for o in writer.origins]
    return {"subspaces": list(writer.subspaces.values()), "origins": origins, **body}


def circuits_from_record(record: Record) -> Circuits:
    """The circuits that a record describes.

    Raises:
        KeyError, TypeError, ValueError: the record has another form.
        HandcraftError: the circuits do not fit together.
    """
    reader = _Reader(record["subspaces"], record.get("origins", ()))
    unembedding = record["unembedding"]
    return Circuits(
        record["vocabulary"],
        record["context"],
        embedding=[
            Table(
                table["of"],
                reader.subspaces[table["subspace"]],
                tuple(tuple((whole(i), read_number(n)) for i, n in row) for row in table["rows"]),
            )
            for table in record["embedding"]
        ],
        scratch=[reader.subspaces[name] for name in record["scratch"]],
        blocks=[reader.block(block) for block in record["blocks"]],
        unembedding=None if unembedding is None else reader.subspaces[unembedding],
        causal=is_causal(record),
        nats=reader.nats(record.get("nats")),
        results=reader.named(record.get("results")),
        reuses=[
            Reuse(reader.subspaces[r["subspace"]], reader.subspaces[r["within"]], whole(r["at"]))
            for r in record.get("reuses", ())
        ],
    )


def is_causal(record: Record) -> bool:
    """Whether a record speaks of a causal mask; one that says nothing of it does.

    Raises:
        ValueError: it says something else than yes or no.
    """
    causal = record.get("causal", True)
    if not isinstance(causal, bool):
        raise ValueError(f"causal {causal!r}")
    return causal


class _Writer:
    """Names every subspace it meets, and numbers every origin, so that the record defines them once."""

    def __init__(self, values: Mapping[str, Plain]) -> None:
        self.values = values
        self.subspaces: dict[str, Record] = {}
        self.origins: dict[Origin, int] = {}

    def serves(self, origins: Iterable[Origin]) -> Record:
        """What a circuit serves; nothing is said of one that serves every rule."""
        numbers = [self.origins.setdefault(origin, len(self.origins)) for origin in origins]
        return {"serves": numbers} if numbers else {}

    def name(self, subspace: Subspace) -> str:
        """The key of a subspace; channels of a head may share a name with another subspace."""
        own: Record = {
            "name": subspace.name,
            "values": list(subspace.values),
            "encoding": subspace.encoding.value,
        }
        if subspace.codes is not None:
            own["dimensions"] = list(subspace.codes.dimensions)
            own["words"] = [[self.number(n) for n in word] for word in subspace.codes.words]
        key = subspace.name
        while self.subspaces.setdefault(key, {"key": key, **own}) != {"key": key, **own}:
            key += "'"
        return key

    def number(self, number: Number) -> int | str:
        plain = evaluate(number, self.values)
        return plain if isinstance(plain, int) else str(plain)

    def linear(self, maps: Iterable[LinearMap]) -> list[Record]:
        return [
            {
                "from": self.name(m.source),
                "to": self.name(m.target),
                "entries": [[i, j, self.number(n)] for i, j, n in m.entries],
                **self.serves(m.origins),
            }
            for m in maps
        ]

    def coefficients(self, parts: Iterable[Coefficients]) -> list[Record]:
        return [
            {
                "subspace": self.name(part.subspace),
                "entries": [[i, self.number(n)] for i, n in part.entries],
            }
            for part in parts
        ]

    def head(self, head: Head) -> Record:
        return {
            "name": head.name,
            "label": head.attends.label,
            "query": self.linear(head.attends.query),
            "key": self.linear(head.attends.key),
            "gap": self.number(head.attends.gap),
            "picks_one": head.attends.picks_one,
            "always_asked": self.coefficients(head.attends.always_asked),
            "moves": self.linear(head.moves),
            "writes": self.linear(head.writes),
            "sharpness": None if head.sharpness is None else self.number(head.sharpness),
            "shares": head.attends.shares
            and [[[i, self.number(n)] for i, n in shares] for shares in head.attends.shares],
            "within": head.attends.within,
            **self.serves(head.origins),
        }

    def neuron(self, neuron: Neuron | Ramp) -> Record:
        facts: Record = {
            "name": neuron.name,
            "reads": self.coefficients(neuron.reads),
            "writes": self.coefficients(neuron.writes),
            **self.serves(neuron.origins),
        }
        if isinstance(neuron, Neuron):
            known = {key: getattr(neuron, key) for key in ("gap", "most")}
            stated = {key: self.number(n) for key, n in known.items() if n is not None}
            return facts | {"at_least": self.number(neuron.at_least), **stated}
        return facts | {
            "constant": self.number(neuron.constant),
            "lets": self.coefficients(neuron.lets),
            "lets_constant": self.number(neuron.lets_constant),
            "most": self.number(neuron.most),
        }

    def biases(self, biases: Iterable[Bias]) -> list[Record]:
        return [{**self.coefficients([b.adds])[0], **self.serves(b.origins)} for b in biases]

    def block(self, block: Block) -> Record:
        return {
            "heads": [self.head(head) for head in block.heads],
            "attention_bias": self.biases(block.attention_bias),
            "neurons": [self.neuron(neuron) for neuron in block.neurons],
            "neuron_bias": self.biases(block.neuron_bias),
            "settled": [self.name(subspace) for subspace in block.settled],
            "kept": [self.name(subspace) for subspace in block.kept],
        }


class _Reader:
    """Knows the subspaces of a record by their keys, and the origins by their numbers."""

    def __init__(self, subspaces: Iterable[Record], origins: Iterable[list[Any]]) -> None:
        self.origins = [Origin(str(what), read_place(place)) for what, place in origins]
        self.subspaces = {
            str(s["key"]): Subspace(
                str(s["name"]), tuple(s["values"]), Encoding(s["encoding"]), _codes(s)
            )
            for s in subspaces
        }

    def serves(self, record: Record) -> tuple[Origin, ...]:
        return tuple(self.origins[number] for number in record.get("serves", ()))

    def linear(self, records: Iterable[Record]) -> tuple[LinearMap, ...]:
        return tuple(
            LinearMap(
                self.subspaces[r["from"]],
                self.subspaces[r["to"]],
                tuple((whole(i), whole(j), read_number(n)) for i, j, n in r["entries"]),
                self.serves(r),
            )
            for r in records
        )

    def coefficients(self, records: Iterable[Record]) -> tuple[Coefficients, ...]:
        return tuple(
            Coefficients(
                self.subspaces[r["subspace"]],
                tuple((whole(i), read_number(n)) for i, n in r["entries"]),
            )
            for r in records
        )

    def head(self, record: Record) -> Head:
        query, key = self.linear(record["query"]), self.linear(record["key"])
        return Head(
            str(record["name"]),
            attends=Relation(
                str(record["label"]),
                query,
                key,
                read_number(record["gap"]),
                bool(record["picks_one"]),
                self.coefficients(record.get("always_asked", ())),
                _shares(record.get("shares")),
                float(record.get("within", 0)),
            ),
            moves=self.linear(record["moves"]),
            writes=self.linear(record["writes"]),
            sharpness=None if record["sharpness"] is None else read_number(record["sharpness"]),
            origins=self.serves(record),
        )

    def neuron(self, record: Record) -> Neuron | Ramp:
        name = str(record["name"])
        reads, writes = self.coefficients(record["reads"]), self.coefficients(record["writes"])
        if "at_least" in record:
            stated = {key: record.get(key) for key in ("gap", "most")}
            known = {key: read_number(n) for key, n in stated.items() if n is not None}
            at_least = read_number(record["at_least"])
            return Neuron(name, reads, at_least, writes, origins=self.serves(record), **known)
        return Ramp(
            name,
            reads,
            constant=read_number(record["constant"]),
            lets=self.coefficients(record["lets"]),
            lets_constant=read_number(record["lets_constant"]),
            most=read_number(record["most"]),
            writes=writes,
            origins=self.serves(record),
        )

    def named(self, names: Iterable[str] | None) -> list[Subspace] | None:
        return None if names is None else [self.subspaces[name] for name in names]

    def nats(self, record: Record | None) -> Nats | None:
        if record is None:
            return None
        return Nats(self.subspaces[record["rest"]], read_number(record["squares"]))

    def biases(self, records: Iterable[Record]) -> tuple[Bias, ...]:
        return tuple(Bias(self.coefficients([r])[0], self.serves(r)) for r in records)

    def block(self, record: Record) -> Block:
        return Block(
            heads=tuple(self.head(r) for r in record["heads"]),
            attention_bias=self.biases(record["attention_bias"]),
            neurons=tuple(self.neuron(r) for r in record["neurons"]),
            neuron_bias=self.biases(record["neuron_bias"]),
            settled=tuple(self.subspaces[name] for name in record.get("settled", ())),
            kept=tuple(self.subspaces[name] for name in record.get("kept", ())),
        )


def read_place(text: str | None) -> Place | None:
    """A place as `Place.short` writes it.

    Raises:
        ValueError: it is written otherwise.
    """
    if text is None:
        return None
    file, line, column = text.rsplit(":", 2)
    return Place(file, int(line), int(column))


def _shares(rows: Iterable[Iterable[tuple[int, object]]] | None) -> tuple[Shares, ...] | None:
    if rows is None:
        return None
    return tuple(tuple((whole(i), read_number(n)) for i, n in shares) for shares in rows)


def _codes(record: Record) -> Codes | None:
    if "words" not in record:
        return None
    words = tuple(tuple(read_number(n) for n in word) for word in record["words"])
    return Codes(tuple(map(str, record["dimensions"])), words)


def read_number(value: object) -> Plain:
    """An integer, or a fraction written p/q."""
    if isinstance(value, str):
        top, slash, bottom = value.partition("/")
        below = int(bottom) if slash else 1
        if below == 0:
            raise ValueError(f"{value!r} divides by 0")
        return Fraction(int(top), below)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"{value!r} is neither an integer nor a fraction p/q")
