"""Compile random programs of every kind, and compare them with what they mean at every level.

`python benchmarks/random_programs.py --programs 10000` compiles programs 0 to 9999 in turn for each
target and dtype. Program N is the same in every run: `--seed N --programs 1` is that one alone, and
prints it. What became of each is a line of `--results`, from which a run goes on where it ended.

Of each program, the graph after every pass, the ideal circuits and the weights are compared with its
meaning in plain Python (`drawn_programs.py`). In half precision the weights run with every step
rounded, as transformers does, and once more with sums in another order.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import numpy as np
from drawn_programs import KINDS, Case
from drawn_values import Text
from measuring import print_table

from handcraft import Compiled, Program, compile_program, rasp
from handcraft.circuits.ideal import ideal_logits
from handcraft.compiler import CompiledSequences, compile_sequences
from handcraft.compiler.ordinal import PASSES
from handcraft.compiler.ordinal.approximate import approximations, predicted
from handcraft.compiler.passes.aggregates import unequal
from handcraft.compiler.passes.run_nodes import run_nodes
from handcraft.compiler.passes.tables import split_bits
from handcraft.compiler.rules import plan_rules
from handcraft.compiler.rules.plan_rules import RuleWays
from handcraft.compiler.search import Way, smallest
from handcraft.compiler.stage import Stage
from handcraft.errors import CompileError, HandcraftError
from handcraft.model.rounded import as_reordered, as_rounded
from handcraft.verify import check_facts
from handcraft.weights import Plan, Sizes

TARGETS = [(a, d) for d in ("float32", "float64", "bfloat16", "float16") for a in ("block", "gpt2")]
HALF = ("bfloat16", "float16")

IN_GRAPHS, IN_CIRCUITS = 4, 8
"""How many texts of a length are tried in graphs and circuits, which take longer than weights."""

SECONDS = 60
"""Of processor time, the most that one program may take."""

CLOSE = 1e-3
"""The largest error of a probability."""


class Wrong(Exception):
    """Two levels disagree; the message says where."""


@dataclass(frozen=True)
class Trial:
    """What became of one program.

    Args:
        seed: its number.
        kind: of the program.
        target: the architecture.
        dtype: of the weights.
        answers: how many were compared.
        refused: the class of the error with which it was refused.
        wrong: the disagreement or the crash, if any.
    """

    seed: int
    kind: str
    target: str
    dtype: str
    answers: int = 0
    refused: str | None = None
    wrong: str | None = None


def trial(seed: int, *, shows: bool = False) -> Trial:
    """Draw a program, compile it, and compare."""
    kind = list(KINDS)[seed % len(KINDS)]
    target, dtype = TARGETS[seed // len(KINDS) % len(TARGETS)]
    found = Trial(seed, kind, target, dtype)
    random = Random(f"{kind} {seed}")
    case = KINDS[kind](random)
    if shows:
        print(shown(case.source), file=sys.stderr)
    try:
        found = Trial(seed, kind, target, dtype, compared(case, target, dtype, random, shows=shows))
    except HandcraftError as error:
        found = Trial(seed, kind, target, dtype, refused=type(error).__name__)
    except Exception as error:
        if shows:
            traceback.print_exc()
        found = Trial(seed, kind, target, dtype, wrong=f"{type(error).__name__}: {error}")
    return found


def compared(case: Case, target: str, dtype: str, random: Random, *, shows: bool = False) -> int:
    """Compile a program in a random way, and count the answers that were compared.

    Raises:
        Wrong: two levels disagree.
        HandcraftError: the program is refused, when it is compiled or before it would be saved.
    """
    texts = case.texts(random)
    options: dict[str, Any] = {"architecture": target, "dtype": dtype}
    if isinstance(case.source, rasp.SOp):
        made = rasp.compile(case.source, case.vocabulary, case.context, case.causal, **options)
        return _compare_rasp(case, made, texts)
    options["reuse"] = random.random() < 0.85
    if isinstance(case.source, dict):
        options["tolerance"] = random.choice((0, 0, inf))
        return _compare_values(case, compile_sequences(case.source, **options), texts)
    if case.source.has_only_patterns:
        options["tokens"] = random.choice(("auto", "auto", "one-hot", "binary"))
        layouts = ("auto", "auto", "binary", "one-hot", "sinusoidal")
        known = 3 if options["tokens"] == "binary" else len(layouts)  # then positions are bits too
        options["positions"] = random.choice(layouts[:known])
        longest = (case.context, case.context + 3)  # of 1,024 positions one-hot is too much
        is_long = options["positions"] != "one-hot" and random.random() < 0.2
        options["n_positions"] = None if is_long else random.choice(longest)
    if random.random() < (0.8 if case.shortest > 1 else 0.1):
        options["optimize"] = random.choice((True, True, random.sample(PASSES, 2)))
    with ExitStack() as stack:
        if "tokens" not in options and random.random() < 0.3:
            _only_in_bits(stack, random)
            options["in bits"] = True
        if shows:
            print(options, file=sys.stderr)
        options.pop("in bits", None)
        compiled = compile_program(case.source, **options)
    try:
        return _compare_rules(case, compiled, texts)
    except Wrong:
        check_facts(compiled)  # what is measured, and refused, before anything is saved
        raise


def _only_in_bits(stack: ExitStack, random: Random) -> None:
    """Have the compiler store everything in bits wherever it can."""
    for where, name in ((split_bits, "MANY"), (plan_rules, "MANY"), (unequal, "KEYS_FROM")):
        stack.enter_context(patch.object(where, name, 1))
    wanted = random.choice(("coded", "coded_directly", "coded_in_short"))

    def ways(self: RuleWays) -> tuple[Way, ...]:
        def in_bits(asked: Sizes) -> Plan | None:
            for way in (getattr(self, wanted), *self.ways_in_bits):
                with suppress(HandcraftError):
                    if plan := way(asked):
                        return plan
            return smallest((*self.ways_in_bits, *self.one_hot_ways), asked)

        return (in_bits,)

    stack.enter_context(patch.object(RuleWays, "ways", property(ways)))


# the comparisons of each level


def _compare_rules(case: Case, compiled: Compiled, texts: dict[int, list[Text]]) -> int:
    count = 0
    assert isinstance(case.source, Program)
    tokens = compiled.model.vocabulary.tokens
    lengths = {min(case.context + 4, compiled.model.shape.n_positions)} | set(texts)
    if len(lengths) > len(texts):  # a program of patterns goes on past its context
        texts = {**texts, max(lengths): [text * 3 for text in texts[case.context]]}
    for length, some in texts.items():
        _compare_graphs(compiled.stages, [text[:length] for text in some], causal=case.causal)
        meant = [case.meaning(text[:length]) for text in some]
        ids = np.array([[tokens.index(token) for token in text[:length]] for text in some])
        places = range(case.shortest - 1 if case.causal else 0, length)
        exact = ideal_logits(compiled.circuits, ids[:IN_CIRCUITS]).astype(np.float64)
        levels = {"ideal circuits": exact, "weights": compiled.model.forward(ids)}
        if compiled.model.dtype.name in HALF:
            levels["rounded"] = as_rounded(compiled.model).forward(ids)
            levels["reordered"] = as_reordered(compiled.model).forward(ids)
        for level, logits in levels.items():
            for text, row, right in zip(some, logits, meant, strict=False):
                for here in places:
                    if not _predicts(row[here], right[here], tokens):
                        raise Wrong(f"{level}: {' '.join(text)} at {here}: not {right[here]}")
                    count += level == "weights"
    if case.shortest > 1:
        _compare_approximate(case, texts)
    return count


def _predicts(logits: Any, right: Any, tokens: Sequence[str]) -> bool:
    """Whether logits single out a token, or are log-probabilities."""
    if isinstance(right, dict):
        shares = np.exp(logits.astype(np.float64) - logits.max())
        wanted = np.zeros(len(logits))
        for token, share in right.items():
            wanted[tokens.index(token)] = share
        return bool(np.abs(shares / shares.sum() - wanted).max() <= CLOSE)
    place = tokens.index(right)
    return bool((np.delete(logits, place) < logits[place]).all())


def _compare_graphs(stages: Iterable[Stage], texts: list[Text], *, causal: bool) -> None:
    """Every pass keeps every value; what is split into bits begins again."""
    for text in texts[:IN_GRAPHS]:
        before = None
        for stage in stages:
            values = run_nodes(stage.nodes, text, causal=causal)
            if before is not None and stage.name != "split into bits" and values != before:
                raise Wrong(f"after {stage.name!r}: {' '.join(text)}: {values} and not {before}")
            before = values


def _compare_approximate(case: Case, texts: dict[int, list[Text]]) -> None:
    """The graph that `optimize` makes, where it makes one."""
    with suppress(CompileError):
        prompts = case.source.prompts
        found_sums = approximations(predicted(case.source), prompts, relaxes=True, has_norm=False)
        answer = found_sums[0].line.decoded(found_sums[0].answers[0], predicted(case.source).text)
        for text in (text for some in texts.values() for text in some[:IN_GRAPHS]):
            found = run_nodes([answer], text, causal=True)[0][case.shortest - 1 :]
            if list(found) != case.meaning(text)[case.shortest - 1 :]:
                raise Wrong(f"approximate: {' '.join(text)}: {found}")


def _compare_values(case: Case, compiled: CompiledSequences, texts: dict[int, list[Text]]) -> int:
    count = 0
    for some in texts.values():
        meant = [case.meaning(text) for text in some]
        for text, rows in zip(some[:IN_GRAPHS], meant, strict=False):
            for stage in compiled.stages:
                found = run_nodes(stage.nodes, text, causal=case.causal)
                if list(zip(*found, strict=True)) != rows:
                    raise Wrong(f"after {stage.name!r}: {' '.join(text)}: {found}")
        ids = np.array([compiled.model.vocabulary.ids(text) for text in some])
        numbers, exact = compiled.numbers(ids), compiled.ideal(ids[:IN_CIRCUITS])
        for i, output in enumerate(compiled.outputs):
            for row, (text, rows) in enumerate(zip(some, meant, strict=True)):
                for here, number in enumerate(numbers[output.name][row].tolist()):
                    right = rows[here][i]
                    if row < IN_CIRCUITS and output.meant(exact[output.name][row][here]) != right:
                        raise Wrong(f"ideal circuits: {output.name} of {' '.join(text)} at {here}")
                    if not output.is_right(number, right):
                        raise Wrong(f"weights: {output.name} of {' '.join(text)} at {here}: {number}")
                    count += 1
    return count


def _compare_rasp(case: Case, made: rasp.CompiledSequence, texts: dict[int, list[Text]]) -> int:
    count = 0
    for text in (text for some in texts.values() for text in some):
        meant = case.meaning(text)
        if meant:
            found = made.apply(text)
            if found != meant:
                raise Wrong(f"weights: {' '.join(text)}: {found} and not {meant}")
            count += len(found)
    return count


# the report


def shown(source: Any) -> str:
    """A program as text."""
    if isinstance(source, Program):
        return "\n".join([f"{source.prompts}", *map(str, source.rules)])
    if isinstance(source, dict):
        prompts = next(iter(source.values())).prompts
        return "\n".join([f"{prompts}", *(f"{name} = {each}" for name, each in source.items())])
    return str(source)


def table(trials: Iterable[Trial]) -> Iterator[list[str]]:
    """A row for each kind, target and dtype, and one for all."""
    cells: dict[tuple[str, str, str], list[Trial]] = defaultdict(list)
    for each in trials:
        cells[each.kind, each.target, each.dtype].append(each)
        cells["all", "", ""].append(each)
    cells["all", "", ""] = cells.pop(("all", "", ""))  # last
    for (kind, target, dtype), some in cells.items():
        refused = Counter(each.refused for each in some if each.refused)
        errors = ", ".join(f"{count:,} {name}" for name, count in refused.most_common())
        wrong = sum(each.wrong is not None for each in some)
        answers = sum(each.answers for each in some)
        yield [kind, target, dtype, f"{len(some):,}", f"{answers:,}", errors or "0", str(wrong)]


def main() -> None:
    """Try programs, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=1000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="the number of the first")
    parser.add_argument("--results", type=Path, help="a file that collects a line for each program")
    asked = parser.parse_args()
    signal.signal(signal.SIGPROF, _too_long)
    trials = []
    if asked.results is not None and asked.results.exists():
        trials = [Trial(**json.loads(line)) for line in asked.results.read_text().splitlines()]
    known = {each.seed for each in trials}
    for seed in range(asked.seed, asked.seed + asked.programs):
        if seed in known:
            continue
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        found = trial(seed, shows=asked.programs == 1)
        signal.setitimer(signal.ITIMER_PROF, 0)
        trials.append(found)
        if found.wrong is not None:
            print(found, file=sys.stderr, flush=True)
        if asked.results is not None:
            with asked.results.open("a") as lines:
                lines.write(json.dumps(asdict(found)) + "\n")
    heads = ["kind", "target", "dtype", "programs", "answers", "refused", "wrong"]
    print_table(heads, table(sorted(trials, key=lambda each: (each.kind, each.target, each.dtype))))
    sys.exit(any(each.wrong is not None for each in trials))


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


if __name__ == "__main__":
    main()
