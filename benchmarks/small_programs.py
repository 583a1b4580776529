"""Small programs, at least one of each kind of head and neuron: all contexts of each run quickly."""

from __future__ import annotations

from handcraft import Expression, Program, Prompts, predict, select, window


def programs() -> dict[str, Program]:
    """The programs, by name."""
    prompts = Prompts("ab", context=4)
    token, position = prompts.token, prompts.position
    is_a, before = select(token, "a"), token.at(-1, default="b")
    rules = {
        "latest": predict("b").when(is_a.latest(position, default=0) >= 2),
        "earliest": predict(is_a.earliest(before, default="b")).otherwise(),
        "count": predict("b").when(is_a.count() >= 2),
        "mean": predict("b").when(select(position, position, "<=").mean(token == "a") > 0.6),
        "exists": predict("b").when(is_a.exists() & (token == "b")),
        "before": predict(before).when(position >= 1),
    }
    found = {}
    for name, rule in rules.items():
        last = [] if name == "earliest" else [predict("a").otherwise()]
        found[name] = Program(prompts=prompts, rules=[rule, *last])
    return {
        **found,
        "aab": Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()]),
        "patterns": patterns(),
        "induction": induction(),
        "sum": digit_sum(),
        "parity": parity(),
        "carry": carry(),
        "reverse": reverse(),
        "window": majority_of_three(),
    }


def patterns() -> Program:
    """Patterns with classes, and one that is anchored."""
    rules = [
        predict("c").after("start a."),
        predict("b").after("[ab]c"),
        predict("a").after("b[^b]"),
        predict("c").otherwise(),
    ]
    return Program("abc", 4, rules)


def induction() -> Program:
    """What followed the last token when it occurred before."""
    prompts = Prompts("abc", context=4)
    token = prompts.token
    before = token.at(-1, default="a")
    return Program(
        prompts=prompts,
        rules=[predict(select(before, token).latest(token, default="a")).otherwise()],
    )


def digit_sum() -> Program:
    """The sum of two digits, modulo 4."""
    prompts = Prompts("0123+=", context=4, inputs=r"[0-3]\+[0-3]=")
    token = prompts.token
    digit = token.map({str(number): number for number in range(4)}, default=0)
    a, b = digit.at(-3, default=0), digit.at(-1, default=0)
    return Program(prompts=prompts, rules=[predict(((a + b) % 4).map(str)).otherwise()])


def parity() -> Program:
    """Whether the ones up to each place are even or odd: the program reads what it has written."""
    bits = 3
    prompts = Prompts("01=eo", context=2 * bits, inputs=f"[01]{{{bits}}}=", writes=bits)
    token = prompts.token
    bit, state = token.at(-bits, default="0"), token.map({"o": "o"}, default="e")
    is_odd = (bit == "1") != (state == "o")
    return Program(prompts=prompts, rules=[predict("o").when(is_odd), predict("e").otherwise()])


def carry() -> Program:
    """Addition of two numbers of two bits, the last one first; an assumption gives the carry."""
    width = 3
    first = 2 * width + 2
    prompts = Prompts("01+=", context=first + width, inputs=r"=[01]{2}0\+[01]{2}0=", writes=width)
    token, position = prompts.token, prompts.position
    bit = token.map({"1": 1}, default=0)

    def back(places: int) -> Expression:
        there = position.map(lambda here: here - places if here >= first else 0)
        return select(position, there).latest(bit, default=0)

    a, b = back(2 * width + 1), back(width)
    before = back(2 * width + 2) + back(width + 1) - back(0)
    total = a + b + (before.assume([-1, 0, 1, 2]) >= 1)
    return Program(prompts=prompts, rules=[predict((total % 2).map(str)).otherwise()])


def reverse() -> Program:
    """The letters before `=` in the other order."""
    prompts = Prompts("ab=", context=5, inputs="[ab]{1,2}=[ab]{0,2}")
    token, position = prompts.token, prompts.position
    there = 2 * select(token, "=").latest(position, default=0) - position - 1
    source = select(position, there).latest(token, default="=")
    return Program(prompts=prompts, rules=[predict(source).otherwise()])


def majority_of_three() -> Program:
    """What most of the last three tokens are."""
    prompts = Prompts("ab", context=5)
    is_most = window(3).mean(prompts.token == "a") > 0.5
    return Program(prompts=prompts, rules=[predict("a").when(is_most), predict("b").otherwise()])
