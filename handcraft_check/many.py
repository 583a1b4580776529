"""Proofs of many folders, by as many workers as there are; what is known is kept if a run is ended."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from pathlib import Path
from typing import Any

from handcraft_check.errors import CheckError
from handcraft_check.files import JSON_UP_TO, TENSORS_UP_TO, read_bytes, sha256
from handcraft_check.prove import CERTIFICATE, CONFIG, TENSORS, TOKENIZER, Verdict, prove

Outcome = Verdict | CheckError


def prove_all(
    folders: Sequence[Path], executor: Executor, results: Path | None = None, **options: Any
) -> Iterator[tuple[Path, Outcome]]:
    """Prove folders, each as `prove` does, and yield each as soon as it is decided.

    Args:
        folders: Hugging Face directories with certificates.
        executor: of `concurrent.futures` or like it; its workers must see the folders.
        results: a file to which each verdict is added. What it knows of the same files and options is
            not proved again, so that a run which was ended goes on where it stopped.
        options: of `prove`, which can be sent to a worker: rehash, regime, radius, budget.

    Yields:
        a folder, and its verdict or why it cannot be judged.

    Raises:
        CheckError: a worker ended before it was done, for want of memory for example.
    """
    known = {} if results is None else _known(results)
    futures: dict[Future[Outcome], tuple[Path, str]] = {}
    for folder in folders:
        try:
            key = _key(folder, options)
        except CheckError as error:
            yield folder, error
            continue
        if key in known:
            yield folder, known[key]
        else:
            futures[executor.submit(_proved, folder, options)] = folder, key
    undecided = []
    for future in as_completed(futures):
        folder, key = futures[future]
        try:
            found = future.result()
        except BrokenExecutor:
            undecided.append(folder)
            continue
        if results is not None and isinstance(found, Verdict):
            with results.open("a", encoding="utf-8") as file:
                file.write(f"\n{json.dumps([key, found.to_json()])}")  # behind a line that was cut off
        yield folder, found
    if undecided:
        raise CheckError(
            f"a worker ended; {len(undecided)} of {len(folders)} folders are not decided",
            undecided[0],
            "run it again with the same file of results, and with fewer workers or more memory",
        )


def _proved(folder: Path, options: dict[str, Any]) -> Outcome:
    try:
        return prove(folder, **options)
    except CheckError as error:
        return error
    except MemoryError:
        return CheckError("the proof does not fit into memory", folder)


def _key(folder: Path, options: dict[str, Any]) -> str:
    """A hash of all that a verdict depends on."""
    limits = {TENSORS: TENSORS_UP_TO, CERTIFICATE: JSON_UP_TO}
    limits |= {name: JSON_UP_TO for name in (CONFIG, TOKENIZER) if (folder / name).exists()}
    hashes = [(name, sha256(read_bytes(folder / name, most))) for name, most in limits.items()]
    return sha256(json.dumps([_checker(), hashes, sorted(options.items())]).encode())


def _checker() -> str:
    """A hash of the checker: verdicts of another one do not count."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return sha256("".join(sha256(path.read_bytes()) for path in files).encode())


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
