"""A server that completes texts, right or with a fault, as the runner sees it."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from handcraft.conformance.cases.request import Request
from handcraft.conformance.engines.named import engine_named
from handcraft.conformance.models.compiled import PROGRAMS, compiled
from handcraft.errors import HandcraftError
from handcraft.formats.huggingface.write_repository import write_model

AAB = PROGRAMS["aab"][0]()


def completed(data):
    """What a server answers: the text by the rules, one choice for each prompt."""
    prompts = data["prompt"] if isinstance(data["prompt"], list) else [data["prompt"]]
    choices = []
    for index, prompt in enumerate(prompts):
        text, reason = prompt, "length"
        for _ in range(data["max_tokens"]):
            token = AAB.meaning(text)
            if token in data.get("stop", []):
                reason = "stop"
                break
            text += token
        written = text[len(prompt) :]
        choices.append({"index": index, "text": written, "finish_reason": reason})
    return {"choices": choices[::-1]}


@contextmanager
def server(answer=completed, status=200):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.reply({"data": [{"id": "aab"}]}, 200)

        def do_POST(self):
            data = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert data["temperature"] == 0
            assert data["model"] == "aab"
            self.reply(answer(data), status)

        def reply(self, data, code):
            body = data if isinstance(data, bytes) else json.dumps(data).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack") / "aab" / "huggingface"
    folder.mkdir(parents=True)
    write_model(compiled("aab").model, folder)
    return folder


def ids(text):
    return AAB.vocabulary.ids(text)


def test_texts_are_completed_one_by_one_and_in_batches(folder):
    with server() as address:
        model = engine_named(address).load(folder, "float32")
        one = model.answer(Request("generate", (ids("ba"),), new_tokens=6))
        assert one.tokens == (ids("abaaba"),)
        both = model.answer(Request("batch", (ids("aa"), ids("b"))))
        assert both.tokens == (ids("b"), ids("a"))


def test_a_stop_is_part_of_the_answer(folder):
    with server() as address:
        model = engine_named(address).load(folder, "float32")
        found = model.answer(Request("generate", (ids("ba"),), new_tokens=6, end=ids("b")[0]))
        assert found.tokens == (ids("ab"),)


def test_listed_tokens_count_more_than_the_text(folder):
    def answer(data):
        found = completed(data)
        found["choices"][0] |= {"text": "?", "logprobs": {"tokens": [" b"]}}
        return found

    with server(answer) as address:
        model = engine_named(address).load(folder, "float32")
        assert model.answer(Request("next", (ids("aa"),))).tokens == (ids("b"),)


@pytest.mark.parametrize(
    ("answer", "status", "says"),
    [
        (lambda data: {"error": "out of memory"}, 500, "answers 500.*out of memory"),
        (lambda data: b"<html>", 200, "gives no JSON"),
    ],
)
def test_a_server_that_fails_says_how(folder, answer, status, says):
    with server(answer, status) as address:
        model = engine_named(address).load(folder, "float32")
        with pytest.raises(HandcraftError, match=says):
            model.answer(Request("next", (ids("aa"),)))


def test_a_model_that_is_not_served_and_a_server_that_is_not_there(folder, tmp_path):
    other = tmp_path / "hops" / "huggingface"
    with server() as address, pytest.raises(HandcraftError, match="has no model hops"):
        engine_named(address).load(other, "float32")
    with pytest.raises(HandcraftError, match="gives no JSON"):
        engine_named(address).load(folder, "float32")


def test_only_completions_are_asked_of_a_server():
    with server() as address:
        facts = engine_named(address).facts
    assert set(facts.cannot) == {"every", "pieces", "beams", "encode"}
    assert facts.version == "with 1 model"
    assert facts.models == {"aab"}
