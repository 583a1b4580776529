"""What a script of a data set means: graph text or rule text, run on many texts at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from handcraft.compiler.text.read_graph import read_graph
from handcraft.compiler.text.show_pass import show_pass
from handcraft.compiler.text.write_graph import Result
from handcraft.errors import CompileError, ProgramError
from handcraft.language import parse_rules
from handcraft.language.graph.node import Node, walk
from handcraft.language.oracle.interpret_texts import TextsOracle
from handcraft.verify.texts.batch import Ids

NONE = -1
"""In place of a token where no rule fires, or an assumption is broken."""


@dataclass(frozen=True, eq=False)
class Script:
    """A script: rules over a graph of values.

    Args:
        results: the rules in the order in which they are tried.
        tokens: the vocabulary.
    """

    results: tuple[Result, ...]
    tokens: tuple[str, ...]

    @classmethod
    def of_graph(cls, text: str, tokens: tuple[str, ...]) -> Script:
        """The script that the field `graph` of a record has.

        Raises:
            CompileError: the text is no graph, or a rule of it predicts no token.
        """
        results = read_graph(text)
        for result in results:
            if not isinstance(result.answer, Node):
                raise CompileError(
                    f"{result.name!r} predicts probabilities", fix="predict a token in every rule"
                )
        return cls(results, tokens)

    @classmethod
    def of_rules(cls, text: str, tokens: tuple[str, ...]) -> Script:
        """A script that is a rule file over the same tokens.

        Raises:
            HandcraftError: the text is no rule file, or has another vocabulary.
        """
        program = parse_rules(text)
        if program.vocabulary.tokens != tokens:
            raise ProgramError(
                f"the rules are over {' '.join(program.vocabulary.tokens)}, and the model is not",
                fix=f"begin with: vocabulary {' '.join(tokens)}",
            )
        return cls.of_graph(show_pass(program, "as written"), tokens)

    @property
    def size(self) -> int:
        """How long the script is: its values, and its rules."""
        nodes = {node for result in self.results for node in walk(*result.nodes)}
        return len(nodes) + len(self.results)

    @cached_property
    def _oracle(self) -> TextsOracle:
        nodes = dict.fromkeys(node for result in self.results for node in result.nodes)
        return TextsOracle(list(nodes), self.tokens, causal=True)

    def answers(self, texts: Ids) -> Ids:
        """The ids of the tokens that are predicted: [text, position]; -1 where no rule fires."""
        computed = self._oracle.compute(texts)
        places = {token: i for i, token in enumerate(self.tokens)}
        found = np.full(texts.shape, NONE)
        for result in reversed(self.results):
            fires = np.ones(texts.shape, dtype=bool)
            for condition in result.conditions:
                is_true = computed.values[condition].table(bool).astype(bool)
                fires &= is_true[computed.codes[condition]]
            assert isinstance(result.answer, Node)
            ids = computed.values[result.answer].table(lambda value: places.get(str(value), NONE))
            found = np.where(fires, ids[computed.codes[result.answer]], found)
        past = np.arange(texts.shape[1]) >= computed.defined[:, None]
        return np.where(past, NONE, found)
