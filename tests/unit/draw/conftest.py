"""Pictures, read back box by box from the SVG that a viewer gets, and circuits to draw."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

import pytest

from handcraft.circuits import (
    Bias,
    Block,
    Circuits,
    Coefficients,
    Head,
    Neuron,
    copy,
    embed_position,
    embed_token,
    flag,
    look_back,
    one_hot,
)
from handcraft.draw import circuits_graph, render
from handcraft.origin import Origin

SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Box:
    kind: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True)
class Line:
    kind: str
    tail: Box
    head: Box
    label: str
    is_dashed: bool


@dataclass(frozen=True)
class Picture:
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    around: tuple[str, ...]
    """Text outside of boxes: the titles of blocks, and the legend."""

    def of(self, kind: str) -> list[Box]:
        return [box for box in self.boxes if box.kind == kind]

    def only(self, kind: str) -> Box:
        (box,) = self.of(kind)
        return box


def read_picture(svg: bytes) -> Picture:
    boxes: dict[str, Box] = {}
    lines: list[Line] = []
    around: list[str] = []
    root = ElementTree.fromstring(svg).find(f"{SVG}g")
    assert root is not None
    around += [text.text or "" for text in root.findall(f"{SVG}text")]
    groups = [
        (*f"{group.get('class', '')} ".split(" ")[:2], group) for group in root.findall(f"{SVG}g")
    ]
    for what, kind, group in groups:
        words = tuple((text.text or "").replace("\xa0", " ") for text in group.iter(f"{SVG}text"))
        if what == "node":
            boxes[group.findtext(f"{SVG}title", "")] = Box(kind, words)
        elif what == "cluster":
            around += words
    for what, kind, group in groups:
        if what == "edge":
            tail, head = group.findtext(f"{SVG}title", "").split("->")
            label = "".join(text.text or "" for text in group.iter(f"{SVG}text")).strip()
            path = group.find(f"{SVG}path")
            assert path is not None
            is_dashed = path.get("stroke-dasharray") is not None
            lines.append(Line(kind, boxes[tail], boxes[head], label, is_dashed))
    return Picture(tuple(boxes.values()), tuple(lines), tuple(around))


@pytest.fixture(autouse=True)
def no_dot(monkeypatch, tmp_path):
    """No program called dot: every machine draws the same."""
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def draw():
    def picture(circuits: Circuits) -> Picture:
        return read_picture(render(circuits_graph(circuits).source, "svg"))

    return picture


@pytest.fixture
def noting():
    """Circuits of two blocks: the first notes which rules match, a flag for each; the second speaks."""

    def circuits(rules: int) -> Circuits:
        token, before = one_hot("token", "ab"), one_hot("token 1 back", "ab")
        position = one_hot("position", range(4))
        flags = [flag(f"rule {i} matches") for i in range(rules)]
        origins = [(Origin(f"rule {i}"),) for i in range(rules)]
        fetch = Head(
            "fetch",
            attends=look_back(position, 1),
            moves=(copy(token, before),),
            writes=(copy(before, before),),
            origins=(Origin("all rules"),),
        )
        notes = [
            Neuron(
                f"note {i}",
                reads=(Coefficients(before, ((0, 1),)), Coefficients(token, ((i % 2, 1),))),
                at_least=2,
                writes=(Coefficients(flags[i], ((0, 1),)),),
                origins=origins[i],
            )
            for i in range(rules)
        ]
        speaks = [
            Neuron(
                f"speak {i}",
                reads=tuple(Coefficients(f, ((0, 1),)) for f in (flags[i], flags[i // 2])[: i + 1]),
                at_least=1,
                writes=(Coefficients(token, ((i % 2, 256),)),),
                origins=origins[i],
            )
            for i in range(rules)
        ]
        adds = Bias(Coefficients(token, ((0, 128),)), (Origin("predict a otherwise"),))
        return Circuits(
            "ab",
            4,
            embedding=[embed_position(position), embed_token(token)],
            blocks=[Block((fetch,), neurons=tuple(notes)), Block((), (), tuple(speaks), (adds,))],
            unembedding=token,
        )

    return circuits
