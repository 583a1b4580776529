"""`handcraft page`: a page for programs, folders and models made elsewhere, and its errors."""

import json
import re

import pytest

from handcraft import compile_program, load, parse_rules

VALUES = """
from handcraft import Prompts, select
prompts = Prompts("ab", context=4)
outputs = {"before": prompts.token.at(-1, default="a")}
"""


def data_of(file):
    """The data of a page."""
    html = file.read_text(encoding="utf-8")
    return json.loads(re.search('(?s)id="data">(.*?)</script>', html)[1])


def test_a_page_of_a_program_has_its_file_and_its_proof(run, tmp_path):
    ran = run("page", "aab", "-o", "aab.html", "--prompt", "aab")
    assert ran.out == f"wrote aab.html ({(tmp_path / 'aab.html').stat().st_size:,} bytes)\n"
    data = data_of(tmp_path / "aab.html")
    assert data["title"] == "aab"
    assert data["example"] == "aab"
    assert data["proof"]["text"].startswith("proved: right after every one of 62 prompts")
    assert data["claim"].startswith("inputs: texts of 1 to 5 tokens")
    assert data["source"]["lines"][data["rules"][0][2] - 1].strip() == 'predict("b").after("aa"),'


def test_a_page_begins_with_a_prompt_that_is_allowed(run, tmp_path):
    assert run("page", "add", "-o", "add.html").status == 0
    assert re.fullmatch(r"=\d+\+\d+=", data_of(tmp_path / "add.html")["example"])


def test_a_page_of_a_folder_says_what_was_proved(run, tmp_path):
    assert run("compile", "aab", "-o", "aab").status == 0
    assert run("page", "aab/", "-o", "folder.html").status == 0
    data = data_of(tmp_path / "folder.html")
    assert data["title"] == "aab"
    assert data["proof"]["verdict"] == "proved"
    assert data["source"] is None
    assert data["rules"][0][0] == "predict b after aa"


def test_a_folder_without_handcraft_json_shows_its_weights(run, tmp_path):
    assert run("compile", "aab", "-o", "aab").status == 0
    (tmp_path / "aab" / "handcraft.json").unlink()
    ran = run("page", "aab/", "-o", "stated.html")
    assert "the page shows what the weights alone say, and what its certificate states" in ran.err
    data = data_of(tmp_path / "stated.html")
    assert data["names"] is None
    assert len(data["rules"]) == len(data["meaning"]["answer"]["rules"]) == 2
    (tmp_path / "aab" / "certificate.json").unlink()
    ran = run("page", "aab/", "-o", "weights.html")
    assert "has no handcraft.json: the page shows what the weights alone say\n" in ran.err
    data = data_of(tmp_path / "weights.html")
    assert (data["names"], data["meaning"], data["rules"]) == (None, None, [])
    assert "only the weights are known" in data["noMeaning"]
    assert sum(len(each["gaps"]) for each in data["tensors"].values()) == load(
        tmp_path / "aab"
    ).nonzero_parameters  # fmt: skip


def test_a_stored_verdict_is_shown_only_beside_the_files_that_it_is_about(run, tmp_path):
    assert run("compile", "aab", "-o", "aab").status == 0
    weights = tmp_path / "aab" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 128  # the sign of the last weight
    weights.write_bytes(content)
    assert run("page", "aab/", "-o", "changed.html").status == 0
    assert data_of(tmp_path / "changed.html")["proof"] == {
        "verdict": "unknown",
        "text": "these are not the files that were judged: model.safetensors was changed",
    }
    (tmp_path / "aab" / "certificate.json").unlink()
    assert run("page", "aab/", "-o", "bare.html").status == 0
    assert data_of(tmp_path / "bare.html")["proof"]["text"].endswith("there is no certificate.json")


def test_circuits_that_say_what_they_mean_are_proved(run, tmp_path):
    assert run("page", "by_hand", "-o", "by_hand.html").status == 0
    proof = data_of(tmp_path / "by_hand.html")["proof"]
    assert proof["verdict"] == "proved"


def test_a_certificate_is_proved_without_handcraft_json(run, tmp_path):
    assert run("compile", "aab", "-o", "aab").status == 0
    (tmp_path / "aab" / "handcraft.json").unlink()
    assert run("page", "aab/", "-o", "proved.html").status == 0
    proof = data_of(tmp_path / "proved.html")["proof"]
    assert proof["text"].startswith("proved: right after every one of 62 prompts")
    certificate = tmp_path / "aab" / "certificate.json"
    certificate.write_text(
        certificate.read_text().replace('"model.safetensors": "', '"model.safetensors": "0')
    )
    assert run("page", "aab/", "-o", "other.html").status == 0
    proof = data_of(tmp_path / "other.html")["proof"]
    assert proof["verdict"] == "unknown"
    assert "is not the file that the certificate is about" in proof["text"]
    certificate.unlink()
    assert run("page", "aab/", "-o", "untried.html").status == 0
    assert "no proof was tried" in data_of(tmp_path / "untried.html")["proof"]["text"]


def test_a_page_of_expressions_and_of_their_folder_shows_values(run, tmp_path):
    (tmp_path / "values.py").write_text(VALUES)
    assert run("page", "values.py", "-o", "values.html").status == 0
    data = data_of(tmp_path / "values.html")
    assert data["title"] == "values"
    assert [(each["name"], each["line"]) for each in data["outputs"]] == [("before", 4)]
    assert data["source"]["name"] == "values.py"
    assert data["proof"]["text"].startswith("proved: at every position of every one of 30 prompts")
    assert data["context"] == 4
    assert run("compile", "values.py", "-o", "values").status == 0
    assert run("page", "values", "-o", "folder.html").status == 0
    folder = data_of(tmp_path / "folder.html")
    assert folder["meaning"]["answer"] == data["meaning"]["answer"]
    assert folder["proof"] == data["proof"]
    assert folder["source"] is None


def test_as_json_it_says_what_it_wrote(run, tmp_path):
    ran = run("page", "by_hand", "-o", "by_hand.html", "--json")
    size = (tmp_path / "by_hand.html").stat().st_size
    assert json.loads(ran.out) == {"file": "by_hand.html", "bytes": size}


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    [
        (["aab", "-o", "aab.txt"], "aab.txt is not an .html file", "-o aab.html"),
        (["aab", "-o", "a.html", "--prompt", "axb"], "'x' is not in the vocabulary", "a b"),
        (["aab", "-o", "values.py/a.html"], "cannot be written", "choose a place"),
        (["aab/", "-o", "a.html", "--dtype", "float16"], "already compiled", "leave out the options"),
        (["empty", "-o", "a.html"], "empty", "compile"),
        (["nowhere", "-o", "a.html"], "no shipped program 'nowhere'", "shipped programs are"),
    ],
)
def test_what_is_wrong_is_said_in_three_parts(run, tmp_path, arguments, what, fix):
    (tmp_path / "values.py").write_text("")
    (tmp_path / "empty").mkdir()
    program = parse_rules("vocabulary a b\ncontext 5\npredict a otherwise\n")
    compile_program(program).save(tmp_path / "aab")
    arguments = [str(each) for each in arguments]
    ran = run("page", *arguments)
    assert ran.status == 2
    assert what in ran.err
    assert "  where: " in ran.err
    assert fix in ran.err.partition("  fix: ")[2]
    assert not (tmp_path / "a.html").exists()
