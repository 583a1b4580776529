"""Counter machine: run a program of two counters, where the text is the record of its steps.

Every token is one step: `a` and `b` add to the counters, `-` takes one from A, `+` and `*` add one to
B, `|` takes one from B. A counter is not stored: a head takes the mean of all steps so far, which is
more than 0 exactly where the counter is. The last step gives the machine's state, so each instruction
is one rule. Any program of two counters can be written like this, and two counters compute whatever can
be computed at all (Minsky, 1967), as long as there is text left to write their steps.
"""

from handcraft import Program, Prompts, predict

INPUT = 6

prompts = Prompts("ab=-+*|.", context=40, inputs=f"[ab]{{0,{INPUT}}}=(-[+][*])*(-[+]?)?[|]*")
token = prompts.token

in_a = prompts.everything.mean(token.map({"a": 1, "-": -1}, default=0)) > 0
in_b = prompts.everything.mean(token.map({"b": 1, "+": 1, "*": 1, "|": -1}, default=0)) > 0

program = Program(
    prompts=prompts,
    rules=[
        predict("+").after("-"),
        predict("*").after("+"),
        predict("-").when(in_a),
        predict("|").when(in_b),
        predict(".").otherwise(),
    ],
)

starts = f"[ab]{{0,{INPUT}}}="
"""What is in the counters, in any order: as many a and b."""


def meaning(prompt: str) -> str:
    """Every a becomes two in B, and then a stroke is written for each in B."""
    a, b = prompt.count("a"), prompt.count("b")
    return "-+*" * a + "|" * (2 * a + b) + "."
