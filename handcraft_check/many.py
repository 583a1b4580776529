"""Proofs by as many workers as there are, of one folder or of many; a run that was ended goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from pathlib import Path
from typing import Any

from handcraft_check.errors import CheckError
from handcraft_check.folder.key import key_of
from handcraft_check.prove import prove
from handcraft_check.verdict import Verdict

Outcome = Verdict | CheckError


def prove_all(
    folders: Sequence[Path], executor: Executor | None, results: Path | None = None, **options: Any
) -> Iterator[tuple[Path, Outcome]]:
    """Prove folders, each as `prove` does, and yield each as soon as it is decided.

    Of several folders, each is proved by one worker. The proof of a single one is divided among all.

    Args:
        folders: Hugging Face directories with certificates.
        executor: of `concurrent.futures` or like it; its workers must see the folders. None for this
            process, one folder after the other.
        results: a file to which each verdict is added. What it knows of the same files and options is
            not proved again, so that a run which was ended goes on where it stopped. A proof that was
            ended goes on too: its state is in a file beside it until it is decided.
        options: of `prove`, which can be sent to a worker: rehash, regime, radius, context, budget.
            `progress` cannot, and is called where a single folder is proved.

    Yields:
        a folder, and its verdict or why it cannot be judged.

    Raises:
        CheckError: a worker ended before it was done, for want of memory for example; or the file of
            results cannot be written, which is found out before any proof.
    """
    if results is not None:
        _check_writable(results)
    known = {} if results is None else _known(results)
    futures: dict[Future[Outcome], tuple[Path, str]] = {}
    here = {"progress": options.pop("progress", lambda text: None), "executor": executor}
    for folder in folders:
        try:
            key = key_of(folder, options)
        except CheckError as error:
            yield folder, error
            continue
        state = None if results is None else results.with_name(f"{results.name}.{key[:16]}.state")
        if key in known:
            yield folder, known[key]
        elif executor is None or len(folders) == 1:
            found = _proved(folder, {**options, **here}, state)
            _keep(results, key, found)
            yield folder, found
        else:
            futures[executor.submit(_proved, folder, options, state)] = folder, key
    undecided = []
    for future in as_completed(futures):
        folder, key = futures[future]
        try:
            found = future.result()
        except BrokenExecutor:
            undecided.append(folder)
            continue
        _keep(results, key, found)
        yield folder, found
    if undecided:
        raise CheckError(
            f"a worker ended; {len(undecided)} of {len(folders)} folders are not decided",
            undecided[0],
            "run it again with the same file of results, and with fewer workers or more memory",
        )


def _check_writable(results: Path) -> None:
    try:
        results.open("a").close()
    except OSError as error:
        is_missing = not results.parent.exists()
        why = f"there is no folder {results.parent}" if is_missing else error.strerror
        raise CheckError(
            f"{results} cannot be written: {why}", results, "name a file in a folder that exists"
        ) from error


def _keep(results: Path | None, key: str, found: Outcome) -> None:
    """Add a verdict to the file of results."""
    if results is not None and isinstance(found, Verdict):
        with results.open("a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps([key, found.to_json()])}")  # behind a line that was cut off


def _proved(folder: Path, options: dict[str, Any], state: Path | None) -> Outcome:
    try:
        return prove(folder, state=state, **options)
    except CheckError as error:
        return error
    except MemoryError:
        return CheckError("the proof does not fit into memory", folder)


def _known(results: Path) -> dict[str, Verdict]:
    """The verdicts in a file, by the key of each; a line that was cut off is no verdict."""
    found = {}
    for line in results.read_text("utf-8").split("\n") if results.exists() else ():
        try:
            key, data = json.loads(line)
            found[key] = Verdict.from_json(data)
        except (ValueError, KeyError, TypeError):
            continue
    return found
