"""Counter machine: run a program of two counters, where the text is the trace of its steps.

Every token is one step: `a` and `b` add to the counters, `-` subtracts one from A, `+` and `*` add one
to B, `|` subtracts one from B. A counter is not stored: a head takes the mean of all steps so far,
which is more than 0 exactly if the counter is. The last step determines the machine's state, so each
instruction is one rule. Any program of two counters can be written like this, and two counters are
enough to compute anything computable (Minsky, 1967), as long as the context has space for their steps.
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
"""The initial counters: an a or a b for each unit, in any order."""


def meaning(prompt: str) -> str:
    """Every a becomes two in B, and then a stroke is written for each in B."""
    a, b = prompt.count("a"), prompt.count("b")
    return "-+*" * a + "|" * (2 * a + b) + "."
