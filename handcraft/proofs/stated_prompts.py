"""The allowed prompts of a certificate whose program's own prompts are not known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from handcraft.errors import PromptError
from handcraft.proofs.write_meaning import NotCertified, Statement
from handcraft_check.errors import CheckError
from handcraft_check.program.domain import Domain


@dataclass(frozen=True)
class StatedPrompts:
    """The automaton of a certificate, which says which prompts are inputs."""

    tokens: tuple[str, ...]
    domain: Domain

    @classmethod
    def read(cls, stated: Statement) -> StatedPrompts:
        """The prompts that a statement is about.

        Raises:
            NotCertified: they are damaged.
        """
        try:
            domain = Domain.read(stated["contexts"], stated["vocabulary"])
        except CheckError as error:
            raise NotCertified(f"the certificate is damaged: {error}") from error
        return cls(tuple(stated["vocabulary"]), domain)

    @property
    def refuses_some(self) -> bool:
        """Whether some text is no input."""
        return bool((self.domain.next < 0).any()) or not self.domain.final[self.domain.next].all()

    def check_promised(self, tokens: Sequence[str], answer: Callable[[Sequence[str]], str]) -> None:
        """Raise unless a prompt begins with an input, and goes on as the program predicts.

        Args:
            tokens: the prompt.
            answer: what is predicted after a text.

        Raises:
            PromptError: it does not.
        """
        places = {token: place for place, token in enumerate(self.tokens)}
        state, longest = 0, 0
        for length, token in enumerate(tokens[: self.domain.length - self.domain.writes + 1], 1):
            state = int(self.domain.next[state, places[token]]) if token in places else -1
            if state < 0:
                break
            if self.domain.final[state]:
                longest = length
        written = range(longest, len(tokens))
        is_input = longest and len(written) < self.domain.writes
        if not is_input or any(answer(tokens[:at]) != tokens[at] for at in written):
            raise PromptError(
                "the certificate does not allow this prompt",
                fix="`python -m handcraft_check FOLDER --print-program` says which it allows",
            )
