"""A server that completes texts: POST /v1/completions, as most servers speak it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

from handcraft.conformance.cases.request import Outcome, Request
from handcraft.conformance.engines.engine import Facts, Loaded
from handcraft.conformance.engines.vocabulary import vocabulary_in
from handcraft.display import count
from handcraft.errors import ConformanceError
from handcraft.vocabulary import Vocabulary

SECONDS = 600
"""How long to wait for a server; the runner stops waiting earlier."""


@dataclass(frozen=True)
class ServerEngine:
    """A server at an address such as ``http://localhost:8000``.

    A case is sent to the model with the name of its own, so the server has to have models of the pack
    under their names.
    """

    address: str

    @property
    def facts(self) -> Facts:
        """What is known of it."""
        why = "the server only completes texts"
        models = self._models()
        return Facts(
            self.address,
            f"with {count(len(set(models.values())), 'model')}",
            "huggingface",
            {"every": why, "pieces": why, "beams": why, "encode": why},
            models=frozenset(models),
        )

    def load(self, folder: Path, dtype: str) -> Loaded:
        """Check that the server has the model; it says itself in which dtype it runs."""
        name, models = folder.parent.name, self._models()
        if name not in models:
            raise ConformanceError(
                f"the server at {self.address} has no model {name}",
                fix=f"serve {folder} as {name}",
            )
        return _Loaded(self.address, models[name], vocabulary_in(folder))

    def _models(self) -> dict[str, str]:
        """The id of each model that is served, by each of its parts: of a path, one is its name."""
        try:
            ids = [str(model["id"]) for model in _sent(f"{self.address}/v1/models")["data"]]
        except (KeyError, TypeError) as error:
            raise ConformanceError(
                "the server does not list its models",
                where=f"{self.address}/v1/models",
                fix='answer {"data": [{"id": NAME}, ...]}',
            ) from error
        return {part: id for id in ids for part in (*re.split(r"[/\\.]", id), id)}


@dataclass(frozen=True)
class _Loaded:
    address: str
    name: str
    vocabulary: Vocabulary

    def answer(self, request: Request) -> Outcome:
        texts = [self._text(prompt) for prompt in request.prompts]
        wanted: dict[str, Any] = {
            "model": self.name,
            "prompt": texts if len(texts) > 1 else texts[0],
            "max_tokens": request.new_tokens,
            "temperature": 0,
            "logprobs": 1,
        }
        if request.end is not None:
            wanted["stop"] = [self.vocabulary.token(request.end)]
        answer = _sent(f"{self.address}/v1/completions", wanted)
        if not isinstance(answer, dict) or "choices" not in answer:
            raise ConformanceError(
                "the server gives no choices", where=f"{self.address}/v1/completions", fix="see its log"
            )
        choices = sorted(answer["choices"], key=lambda choice: choice.get("index", 0))
        rows = []
        for choice in choices:
            tokens = self._tokens(choice)
            if choice.get("finish_reason") == "stop" and request.end is not None:
                tokens = (*tokens, request.end)  # a server leaves out what it stopped at
            rows.append(tokens)
        return Outcome(tuple(rows))

    def _text(self, prompt: tuple[int, ...]) -> str:
        """A prompt as text, without the begin token, which the server adds."""
        known = set(self.vocabulary.numbers)
        return self.vocabulary.text(id for id in prompt if id in known)

    def _tokens(self, choice: dict[str, Any]) -> tuple[int, ...]:
        """The ids of a completion, by the tokens that the server lists, or else by its text."""
        listed = (choice.get("logprobs") or {}).get("tokens")
        pieces = [token.strip() for token in listed] if listed else self._pieces(choice["text"])
        return self.vocabulary.ids(pieces)

    def _pieces(self, text: str) -> list[str]:
        """The tokens of a text, with or without blanks between words; the longest first."""
        longest = sorted(self.vocabulary.tokens, key=len, reverse=True)
        return re.findall("|".join(map(re.escape, longest)), text)


def _sent(address: str, data: dict[str, Any] | None = None) -> Any:
    """The JSON that a server answers with.

    Raises:
        ConformanceError: it cannot be reached, refuses, or answers something else.
    """
    body = None if data is None else json.dumps(data).encode()
    request = HttpRequest(address, body, {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=SECONDS) as answer:
            return json.loads(answer.read())
    except HTTPError as error:
        raise ConformanceError(
            f"the server answers {error.code}: {error.read().decode(errors='replace')[:200]}",
            where=address,
            fix="see the log of the server",
        ) from error
    except (URLError, TimeoutError, ValueError) as error:
        raise ConformanceError(
            f"the server gives no JSON: {error}", where=address, fix="start it, or correct the address"
        ) from error
