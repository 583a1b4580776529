"""The pytest plugin: profiles, a model named on the command line, and failures with an explanation.

pytest reads this file in every project where handcraft is installed, so it imports only pytest and what
takes no time. So that pytest takes no time to rewrite assertions in it: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from handcraft.errors import CommandError
from handcraft.testing.profiles import PROFILES, VARIABLE, profile

if TYPE_CHECKING:
    from handcraft.testing.models.answering import Answering

PROFILE = "--handcraft-profile"
MODEL = "--handcraft-model"
INI = "handcraft_model"

FOUND = "handcraft.testing.means.found"
"""Where the errors are defined that are explained; if it is not imported, none was raised."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("handcraft", "tests of models")
    group.addoption(
        PROFILE,
        choices=[*PROFILES],
        help=f"how many prompts are tried; by default as {VARIABLE} says, else ci if CI is set or dev",
    )
    group.addoption(
        MODEL, metavar="DIR", help="the model folder that the fixture handcraft_model reads"
    )
    parser.addini(INI, f"as {MODEL}, which comes first; from the folder of the file", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the profile for this run, and for the processes that it starts."""
    chosen = config.getoption(PROFILE)
    if chosen is None:
        return
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = chosen

    def restore() -> None:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before

    config.add_cleanup(restore)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which profile was chosen, where one was."""
    if not os.environ.get(VARIABLE):
        return None
    try:
        chosen = profile()
    except CommandError as error:
        raise pytest.UsageError(str(error)) from None
    return (
        f"handcraft: profile {chosen.name}, every prompt up to {chosen.every_up_to:,}, "
        f"else {chosen.sample:,}"
    )


@pytest.fixture(scope="session")
def handcraft_model(request: pytest.FixtureRequest) -> Answering:
    """The model that `pytest --handcraft-model DIR` names, or `handcraft_model` in its settings."""
    config = request.config
    named = config.getoption(MODEL)
    if not named and (stated := config.getini(INI)):
        named = str(config.rootpath / stated)
    if not named:
        raise pytest.UsageError(
            f"the fixture handcraft_model needs a model: give {MODEL} DIR, or write {INI} = DIR in the "
            "settings of pytest"
        )
    from handcraft.testing.models.as_model import as_model

    return as_model(named)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failure of `assert_means` why the model answers what it answers, where that is known."""
    report = yield
    found: Any = sys.modules.get(FOUND)
    if found is None or call.excinfo is None:
        return report
    error = call.excinfo.value
    if isinstance(error, found.Disagreement) and error.explain is not None:
        report.sections.append((f"why the answer {error.wrong.at}", error.explain()))
    return report
