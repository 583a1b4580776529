"""The tokens of a program: single characters, or words separated by spaces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, count

from handcraft.display import shorten_value
from handcraft.errors import VocabularyError, raise_all
from handcraft.limits import TOKENS

_SURROGATE = re.compile(r"[\ud800-\udfff]")

REPR_UP_TO = 60
"""The largest vocabulary of which a repr shows every token."""


QUOTES = "'\"`"
"""Quotation marks that may be around a token by mistake."""


@dataclass(frozen=True, init=False, repr=False)
class Vocabulary:
    """A finite, ordered set of tokens; by default the id of a token is its index.

    A vocabulary whose tokens are all one character long splits text into characters; any
    other splits it into words at spaces.

    Args:
        tokens: a string without spaces (its characters), a string with spaces (its words), or any
            iterable of strings.
        ids: the id of each token, if that is not its index.

    Raises:
        VocabularyError: no tokens, a token twice, an empty token, or a word that contains a space.
        LimitError: more than `TOKENS`.

    >>> Vocabulary("ab").tokens
    ('a', 'b')
    >>> Vocabulary("the cat sat").ids("the sat")
    (0, 2)
    """

    tokens: tuple[str, ...]
    numbers: tuple[int, ...]
    _ids: dict[str, int] = field(repr=False, compare=False)

    def __init__(self, tokens: str | Iterable[str], ids: Iterable[int] | None = None) -> None:
        listed = _listed(tokens)
        TOKENS.check(len(listed))
        _check_tokens(listed)
        numbers = tuple(range(len(listed)) if ids is None else ids)
        object.__setattr__(self, "tokens", tuple(listed))
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "_ids", dict(zip(listed, numbers, strict=True)))

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __str__(self) -> str:
        return " ".join(self.tokens)

    def __repr__(self) -> str:
        few = len(self) <= REPR_UP_TO
        shown = (
            repr(self.join(self.tokens))
            if few
            else f"{self.join(self.tokens[:8])!r}... {len(self):,} tokens"
        )
        own = "" if self.is_counted else f", ids={list(self.numbers)}" if few else ", ids=..."
        return f"Vocabulary({shown}{own})"

    @cached_property
    def _tokens(self) -> dict[int, str]:
        return dict(zip(self.numbers, self.tokens, strict=True))

    @property
    def is_counted(self) -> bool:
        """Whether a token's id is its place in the order."""
        return self.numbers == tuple(range(len(self.tokens)))

    @property
    def is_characters(self) -> bool:
        """Whether every token is a single character, so that text needs no blanks."""
        return all(len(token) == 1 for token in self.tokens)

    @property
    def separator(self) -> str:
        """What separates two tokens in text: nothing for characters, a space for words."""
        return "" if self.is_characters else " "

    def split(self, text: str) -> tuple[str, ...]:
        """The tokens of `text`, known or not."""
        return tuple(text) if self.is_characters else tuple(text.split())

    def id(self, token: str) -> int:
        """The id of one token."""
        return self.ids((token,))[0]

    def advice(self, token: str) -> str:
        """What to use in place of a token that is not in the vocabulary.

        >>> Vocabulary(["the", "cat,"]).advice("cat")
        "use one of its 2 tokens: the cat, ('cat,' differs in capitals, quotes or commas)"
        """
        plain = _plain(token)
        near = [each for each in self.tokens if plain and _plain(each) == plain]
        quoted = all(each != _plain(each) and each[0] in QUOTES for each in self.tokens)
        differs = f" ({near[0]!r} differs in capitals, quotes or commas)" if near else ""
        note = differs or (" (the quotes are part of them)" if quoted else "")
        return f"use one of its {len(self)} tokens: {shorten(self.tokens)}{note}"

    def ids(self, text: str | Sequence[str]) -> tuple[int, ...]:
        """The ids of a text or of a sequence of tokens.

        Raises:
            VocabularyError: a token is not in the vocabulary; the message counts it from 1.
        """
        try:
            tokens = self.split(text) if isinstance(text, str) else tuple(text)
            return tuple([self._ids[token] for token in tokens])
        except TypeError:
            raise _no_text(text) from None
        except KeyError:
            place, token = next((i, t) for i, t in enumerate(tokens, 1) if t not in self._ids)
            if not isinstance(token, str):
                raise _no_text(text) from None
            raise VocabularyError(
                f"{token!r} is not in the vocabulary",
                where=f"token {place} of {self.join(tokens)!r}",
                fix=self.advice(token),
            ) from None

    def text(self, ids: Iterable[int]) -> str:
        """The text that `ids` spell; an id that no token has is shown as its number."""
        return self.separator.join(map(self.token, ids))

    def token(self, number: int) -> str:
        """The token whose id is `number`, or the number in angle brackets where none has it."""
        return self._tokens.get(number, f"<{number}>")

    def join(self, tokens: Iterable[str]) -> str:
        """The text that `tokens` spell."""
        return self.separator.join(tokens)

    def unspelled(self, names: Iterable[str]) -> str:
        """The first of some names, or of further ones, that no text over the vocabulary has in it.

        Tokenizers look for special tokens inside any text, so other tokens must not spell them.

        >>> Vocabulary("ab<>s").unspelled(["<s>", "[BOS]"])
        '[BOS]'
        """
        letters, words = frozenset(self.tokens), " ".join(self.tokens)

        def is_spelled(name: str) -> bool:
            return letters.issuperset(name) if self.is_characters else name in words

        unused = (chr(code) for code in count(0xE000))  # the private use area of Unicode
        return next(name for name in chain(names, unused) if not is_spelled(name))


BEGIN = ("<s>", "[BOS]", "\u2402")
"""Names for the begin token, which a rotary model puts before every text."""


def begin_name(vocabulary: Vocabulary) -> str:
    """The name of the begin token of a rotary model: the first that no text has in it."""
    return vocabulary.unspelled(BEGIN)


def _listed(tokens: object) -> list[str]:
    """The tokens that a vocabulary is made from.

    Raises:
        VocabularyError: what is given is no text and no list, or a text of which it is not clear
            whether its tokens are characters or words.
    """
    if not isinstance(tokens, str):
        if not isinstance(tokens, Iterable):
            raise VocabularyError(
                f"the vocabulary is {tokens!r}, of type {type(tokens).__name__}",
                fix='name the tokens, as in "ab" or "the cat sat" or ["the", "cat", "sat"]',
            )
        return TOKENS.take(tokens)
    words = tokens.split()
    if _has_blank(tokens) and len(words) == 1 and len(words[0]) > 1:
        raise VocabularyError(
            f"the vocabulary {tokens!r} is one word and a space: it could mean "
            f"{len(words[0])} characters, or the space as a token, or the word",
            fix=f"write {words[0]!r} for its characters, {[*tokens]!r} with the space as a token, "
            f"or {words!r} for the word",
        )
    return words if _has_blank(tokens) else list(tokens)


def _no_text(text: object) -> VocabularyError:
    """The error for a prompt that is something else."""
    return VocabularyError(
        f"{shorten_value(text)} is neither text nor a list of tokens",
        fix="give a text, or its tokens as strings; model.forward takes ids, as [batch, position]",
    )


def shorten(words: Sequence[object], most: int = 12) -> str:
    """The first words of a list, and how many more there are."""
    shown = " ".join(str(word) for word in words[:most])
    return shown if len(words) <= most else f"{shown} and {len(words) - most} more"


def _has_blank(text: str) -> bool:
    return any(character.isspace() for character in text)


def _check_tokens(tokens: Sequence[object]) -> None:
    raise_all([VocabularyError(what, fix=fix) for what, fix in _problems(tokens)])


def _problems(tokens: Sequence[object]) -> Iterator[tuple[str, str]]:
    """What is wrong with each token, and the fix."""
    if not tokens:
        yield "the vocabulary is empty", 'name at least one token, as in vocabulary="ab"'
    has_words = any(isinstance(token, str) and len(token) > 1 for token in tokens)
    separators: list[str] = []
    seen: set[str] = set()
    for place, token in enumerate(tokens, 1):
        this = f"token {place} of the vocabulary"
        if not isinstance(token, str):
            yield f"{this} is {token!r}, of type {type(token).__name__}", "tokens are strings"
            continue
        if token == "":
            yield f"{this} is empty", "leave it out"
        elif _SURROGATE.search(token):
            fix = "leave it out: it is not valid UTF-8, and no file can store it"
            yield f"{this}, {token!r}, contains half of a character", fix
        elif len(token) > 1 and _has_blank(token):
            fix = "spaces separate words: make it two tokens"
            yield f"the word {token!r} of the vocabulary contains a space", fix
        elif token in seen:
            yield f"the token {token!r} is in the vocabulary twice", "name it once"
        if has_words and len(token) == 1 and token.isspace():
            separators.append(token)
        seen.add(token)
    for word in separators:
        what = f"the vocabulary has words and also the token {word!r}, which separates them"
        yield what, "leave it out, or use single characters only"


def _plain(token: str) -> str:
    """A token without the quotes and commas around it, in small letters."""
    return token.strip(f"{QUOTES},;").lower()
