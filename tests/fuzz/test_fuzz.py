"""Damaged folders, rule files and patterns: each is read, or refused in three parts, in bounded time.

`HANDCRAFT_FUZZ_SECONDS` says how long all of it takes, 20 seconds where nothing says so; `make fuzz`
takes ten minutes and another seed each time. What fails is kept in build/fuzz/ and named with its seed:
`HANDCRAFT_FUZZ_SEED=7 HANDCRAFT_FUZZ_SECONDS=1` begins with that input again.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from mutate import damaged_bytes, damaged_json, damaged_text

from handcraft import Program, compile_program, complete, predict
from handcraft.errors import HandcraftError, HandcraftWarning
from handcraft.formats import load, read_checkpoint, save
from handcraft.language import parse_rules
from handcraft.language.patterns.parse_pattern import parse_pattern
from handcraft.vocabulary import Vocabulary

SECONDS = float(os.environ.get("HANDCRAFT_FUZZ_SECONDS", "20"))
SEED = int(os.environ.get("HANDCRAFT_FUZZ_SEED", "0"))

LONGEST = 20
"""Seconds of one input; most take milliseconds, and other work may slow them down."""

LONGEST_MESSAGE = 100_000
"""The most characters of a message: that of 20 errors whose parts are as long as they may be."""

HERE = Path(__file__).parent
KEPT = HERE.parents[1] / "build" / "fuzz"
RULES = {path.name: path.read_text(encoding="utf-8") for path in sorted(HERE.glob("corpus/*.rules"))}
PATTERNS = (HERE / "corpus" / "patterns.txt").read_text(encoding="utf-8").splitlines()
VOCABULARIES = [Vocabulary("ab"), Vocabulary("ab[]^.\\é"), Vocabulary("the cat sat start")]


@contextmanager
def bounded(what: str):
    """Let through what reads or is refused; anything else fails, and so does what takes too long."""

    def too_long(*_):
        pytest.fail(f"{what} takes more than {LONGEST} s")

    timer = hasattr(signal, "SIGALRM")
    if timer:
        before = signal.signal(signal.SIGALRM, too_long)
        signal.alarm(LONGEST)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HandcraftWarning)
            warnings.simplefilter("ignore", RuntimeWarning)  # damaged weights may be huge
            yield
    except HandcraftError as error:
        if len(str(error)) > LONGEST_MESSAGE:
            pytest.fail(f"{what} is refused with {len(str(error)):,} characters")
    except Exception as error:
        pytest.fail(f"{what}: {type(error).__name__}: {error}")
    finally:
        if timer:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)


def seeds(share: float):
    """Seeds, until a share of the time is over."""
    end = time.monotonic() + SECONDS * share
    seed = SEED
    while time.monotonic() < end:
        yield seed
        seed += 1


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One good folder of each kind: patterns and expressions, in each format that is read."""
    home = tmp_path_factory.mktemp("folders")
    long = Program("ab", 20, [predict("b").after("a.a"), predict("a").otherwise()])
    compiled = {
        "block": compile_program(parse_rules(RULES["pairs.rules"]), architecture="block"),
        "npz": compile_program(long, architecture="block"),
        "gpt2": compile_program(parse_rules(RULES["pairs.rules"]), n_positions=8),
        "expressions": compile_program(parse_rules(RULES["conditions.rules"]), architecture="block"),
        "half": compile_program(parse_rules(RULES["pairs.rules"]), dtype="bfloat16", n_positions=8),
    }
    for name, each in compiled.items():
        save(each, home / name, format="npz" if name == "npz" else None)
    shutil.copytree(home / "gpt2", home / "foreign")
    (home / "foreign" / "handcraft.json").unlink()
    return sorted(path for path in home.iterdir())


def read_all_of(folder: Path) -> None:
    """Everything that a folder is asked for."""
    model = load(folder)
    complete(model, model.vocabulary.tokens[:1], 2)
    if (folder / "handcraft.json").exists():
        checkpoint = read_checkpoint(folder)
        _ = checkpoint.origins
        checkpoint.prompts(as_far_as_known=True)


def test_a_damaged_folder_is_read_or_refused(folders, tmp_path):
    before = peak_memory()
    for seed in seeds(0.6):
        random = Random(seed)
        folder = tmp_path / str(seed)
        shutil.copytree(random.choice(folders), folder)
        files = sorted(path for path in folder.iterdir() if path.suffix != ".md")
        for path in random.sample(files, random.choice((1, 1, 2))):
            as_json = path.suffix == ".json" and random.random() < 0.8
            damage = damaged_json if as_json else damaged_bytes
            path.write_bytes(damage(path.read_bytes(), random))
        with bounded(f"the folder of seed {seed}, kept in {KEPT / str(seed)}"):
            try:
                read_all_of(folder)
            except HandcraftError:
                raise
            except BaseException:
                shutil.copytree(folder, KEPT / str(seed), dirs_exist_ok=True)
                raise
        shutil.rmtree(folder)
    assert peak_memory() - before < 1 << 30


def test_a_damaged_rule_file_is_read_or_refused():
    before = peak_memory()
    for seed in seeds(0.3):
        random = Random(seed)
        text = damaged_text(random.choice(list(RULES.values())), random)
        with bounded(f"the rule file of seed {seed}, {text[:2_000]!r}"):
            parse_rules(text)
    assert peak_memory() - before < 1 << 30


def test_a_damaged_pattern_is_read_or_refused():
    for seed in seeds(0.1):
        random = Random(seed)
        text, vocabulary = damaged_text(random.choice(PATTERNS), random), random.choice(VOCABULARIES)
        with bounded(f"the pattern of seed {seed}, {text[:2_000]!r}"):
            pattern = parse_pattern(text, vocabulary)
            assert parse_pattern(pattern.text(vocabulary), vocabulary) == pattern


def peak_memory() -> int:
    """The most memory that this process has had, in bytes."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
