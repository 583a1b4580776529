"""Tables of rule files: what they give for every token."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lark import Token, Tree

from handcraft.errors import HandcraftError, RuleSyntaxError, raise_all
from handcraft.language.patterns.pattern import unescape
from handcraft.origin import Place


@dataclass(frozen=True)
class RuleTable:
    """A table, before there is a vocabulary: ``table next a -> b  b -> c  otherwise a``.

    Args:
        name: how rules call it.
        rows: what it gives for the tokens that it names.
        rest: what it gives for all others; None where they have no value.
        place: where it begins.
    """

    name: str
    rows: Mapping[str, str]
    rest: str | None
    place: Place

    @classmethod
    def read(cls, tree: Tree[Token], place: Place) -> RuleTable:
        """The table that a statement describes.

        Raises:
            RuleSyntaxError: a token has two rows.
        """
        name = str(tree.children[0])
        rows: dict[str, str] = {}
        rest: str | None = None
        problems: list[HandcraftError] = []
        for part in tree.children[1:]:
            assert isinstance(part, Tree)
            *tokens, value = (unescape(str(word)) for word in part.children)
            if part.data == "rest":
                rest = value
                continue
            for token in tokens:
                if token in rows:
                    problems.append(
                        RuleSyntaxError(
                            f"the table `{name}` has two rows for {token!r}",
                            where=place,
                            fix=f"leave out one of: {token} -> {rows[token]}, {token} -> {value}",
                        )
                    )
                rows.setdefault(token, value)
        raise_all(problems)
        return cls(name, rows, rest, place)

    @property
    def results(self) -> tuple[str, ...]:
        """All that it gives, each once."""
        given = [*self.rows.values(), *(() if self.rest is None else (self.rest,))]
        return tuple(dict.fromkeys(given))

    @property
    def has_numbers(self) -> bool:
        """Whether all that it gives can be read as whole numbers."""
        return all(re.fullmatch("-?[0-9]{1,9}", result) for result in self.results)

    def values(self, tokens: Sequence[str]) -> dict[str, str]:
        """What it gives for every token.

        Raises:
            RuleSyntaxError: nothing, for one of them.
        """
        missing = [token for token in tokens if token not in self.rows]
        if missing and self.rest is None:
            raise RuleSyntaxError(
                f"the table `{self.name}` has no row for {missing[0]!r}",
                where=self.place,
                fix=f"add `{missing[0]} -> ...`, or end it with `otherwise` and a value for the others",
            )
        return {token: self.rows.get(token, self.rest or "") for token in tokens}
