"""How many random programs that compile are proved, and why the others are not.

    python benchmarks/proving_random.py [--programs 200] [--kinds "rules over expressions" values ...]

Programs are drawn as in random_programs.py, compiled in float32, written, and proved from their files;
one that takes more than `SECONDS` of processor time is given up. Those without a causal mask have a row
of their own. Program N of a kind is the same in
every run: `--seed N --programs 1` is that one alone, and prints it. What became of each is a line of
`--results`, from which a run goes on where it ended.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from drawn_programs import KINDS
from measuring import print_table
from random_programs import shown

from handcraft import Program, compile_program, compile_sequences, save
from handcraft.errors import HandcraftError
from handcraft.proofs.prove_folder import why_not
from handcraft_check.prove import prove

RULES = (
    "patterns",
    "patterns and conditions",
    "rules over expressions",
    "sums of digits",
    "rule files",
    "probabilities",
    "values",
)
"""The kinds that have a certificate."""

SECONDS = 30
"""Of processor time, the most that one proof may take, compiling included."""


@dataclass(frozen=True)
class Outcome:
    """What became of one program.

    Args:
        kind: of the program.
        seed: its number.
        verdict: ``proved``, ``unproved`` or ``refuted``; ``refused`` where it is not compiled.
        is_masked: whether a position sees only itself and earlier ones.
        reason: why it is not proved.
        margin: the least by which the right logit is above all others; infinite for values.
        cases: how many the proof has.
        seconds: processor time of the proof.
    """

    kind: str
    seed: int
    verdict: str
    is_masked: bool = True
    reason: str = ""
    margin: float = 0.0
    cases: int = 0
    seconds: float = 0.0


def outcome(kind: str, seed: int, *, shows: bool = False) -> Outcome:
    """Draw a program, compile it, and prove it."""
    case = KINDS[kind](Random(f"{kind} {seed}"))
    source, masked = case.source, case.causal
    if shows:
        print(shown(source), file=sys.stderr)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        try:
            save(compile_sequences(source) if kind == "values" else compile_program(source), folder)
        except HandcraftError as error:
            return Outcome(kind, seed, "refused", masked, type(error).__name__)
        if not (folder / "certificate.json").exists():
            why = why_not(source) if isinstance(source, Program) else "too large"
            return Outcome(kind, seed, "unproved", masked, f"no certificate: {why}")
        start = time.process_time()
        found = prove(folder)
        seconds = round(time.process_time() - start, 2)
        word, reason, margin = found.word, found.reason, found.margin
        return Outcome(kind, seed, word, masked, reason, margin, found.cases, seconds)


def limited(kind: str, seed: int, *, shows: bool = False) -> Outcome:
    """The same, given up where it takes too long."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        return outcome(kind, seed, shows=shows)
    except TimeoutError as error:
        masked = KINDS[kind](Random(f"{kind} {seed}")).causal
        return Outcome(kind, seed, "unproved", masked, str(error))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _too_long(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def table(found: list[Outcome]) -> Iterator[list[str]]:
    """A row for each kind, with a mask and without."""
    for kind, masked in dict.fromkeys((each.kind, each.is_masked) for each in found):
        some = [each for each in found if (each.kind, each.is_masked) == (kind, masked)]
        compiled = [each for each in some if each.verdict != "refused"]
        proved = [each for each in compiled if each.verdict == "proved"]
        words = Counter(
            re.sub(r"-?\d[\d.,e+-]*", "...", each.reason) for each in compiled if each not in proved
        )
        why = "; ".join(f"{count} {reason}" for reason, count in words.most_common())
        share = f"{100 * len(proved) / max(len(compiled), 1):.1f} %"
        slowest = f"{max((each.seconds for each in proved), default=0.0):.1f}"
        name = kind if masked else f"{kind}, no mask"
        yield [name, str(len(some)), str(len(compiled)), str(len(proved)), share, slowest, why]


def main() -> None:
    """Prove programs, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=200, help="how many of each kind")
    parser.add_argument("--seed", type=int, default=0, help="the number of the first")
    parser.add_argument("--kinds", nargs="*", choices=RULES, default=RULES)
    parser.add_argument("--results", type=Path, help="a file that collects a line for each program")
    asked = parser.parse_args()
    signal.signal(signal.SIGPROF, _too_long)
    found: list[Outcome] = []
    if asked.results is not None and asked.results.exists():
        found = [Outcome(**json.loads(line)) for line in asked.results.read_text().splitlines()]
    known = {(each.kind, each.seed) for each in found}
    for kind in asked.kinds:
        for seed in range(asked.seed, asked.seed + asked.programs):
            if (kind, seed) in known:
                continue
            found.append(limited(kind, seed, shows=asked.programs == 1))
            if asked.results is not None:
                with asked.results.open("a") as lines:
                    lines.write(json.dumps(asdict(found[-1])) + "\n")
    found = [each for each in found if each.kind in asked.kinds]
    print_table(
        ["kind", "drawn", "compiled", "proved", "share", "slowest s", "not proved"], table(found)
    )


if __name__ == "__main__":
    main()
