"""Judges never look at the network, use one thread, and their folders are written once."""

from __future__ import annotations

import logging
import os

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported

from judges import PROGRAMS, judge

from handcraft import compile_program, save


@pytest.fixture(scope="session")
def compiled():
    """A function that compiles one of `PROGRAMS` in a dtype, once."""
    known = {}

    def compile_named(name, dtype="float32"):
        if (name, dtype) not in known:
            known[name, dtype] = compile_program(PROGRAMS[name], dtype=dtype)
        return known[name, dtype]

    return compile_named


@pytest.fixture(scope="session")
def folder(compiled, tmp_path_factory):
    """A function that writes one of `PROGRAMS` in a dtype as a Hugging Face repository, once."""
    known = {}

    def write_named(name, dtype="float32"):
        if (name, dtype) not in known:
            target = tmp_path_factory.mktemp("judged") / "model"
            known[name, dtype] = save(compiled(name, dtype), target)
        return known[name, dtype]

    return write_named


@pytest.fixture
def one_thread():
    """One thread of torch: models this small only wait for more."""
    torch = judge("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class _Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


@pytest.fixture
def said():
    """What transformers and huggingface_hub log as a warning or worse, as a list that grows.

    Warnings in the sense of Python are errors anyway.
    """
    judge("transformers")
    transformers_logging = judge("transformers.utils.logging")
    transformers_logging.warning_once.cache_clear()  # else what was said before is not said again
    handler = _Kept()
    loggers = [logging.getLogger(name) for name in ("transformers", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.WARNING)  # TransformerLens turns it down when it is imported
    yield handler.said
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)
