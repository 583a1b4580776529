"""A reader of causal_model.json: what every expression of a program is, also where some are set.

It needs Python and nothing else. `unrolled` gives the same as variables with parents and mechanisms,
one for each expression at each position, as `CausalModel` of MIB's causal-variable track takes them.
"""

from __future__ import annotations

import json
import operator
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path

COMPARED = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def load(path):
    """The causal model in a file; fractions are written as {"over": [1, 3]}."""

    def plain(data):
        return Fraction(*data["over"]) if data.keys() == {"over"} else data

    return json.loads(Path(path).read_text(encoding="utf-8"), object_hook=plain)


def run(model, tokens, setting=None):
    """The value of every expression at every position: {(expression, position): value}.

    None stands for no value: the program says nothing there.

    Args:
        model: the causal model.
        tokens: the text.
        setting: values that are set, by expression and position.
    """
    values = {}
    for number in range(len(model["meaning"]["nodes"])):
        for place in range(len(tokens)):
            given = [values[parent] for parent in parents(model, number, place)]
            found = mechanism(model, number, place, tokens)(*given)
            values[number, place] = (setting or {}).get((number, place), found)
    return values


def answer(model, values, place):
    """What is predicted after a position: a token, or the probability of each; None for nothing."""
    for rule in model["meaning"]["answer"]["rules"]:
        fires = rule["if"] is None or values[rule["if"], place]
        if fires is None:
            return None
        if fires:
            return rule.get("probabilities") or values[rule["token"], place]
    return None


def parents(model, number, place):
    """What an expression at a position is computed from: expressions and positions, in order."""
    node = model["meaning"]["nodes"][number]
    if node["op"] == "aggregate":
        matches = [match for case in node["cases"] for match in case]
        elsewhere = [match["key"] for match in matches] + [node["value"]] * (node["value"] is not None)
        here = [(match["query"], place) for match in matches]
        return [(one, there) for there in range(place + 1) for one in elsewhere] + here
    if node["op"] == "choice":
        return [(node[part], place) for part in ("if", "then", "else")]
    of = node.get("of", [])
    return [(one, place) for one in (of if isinstance(of, list) else [of])]


def mechanism(model, number, place, tokens=()):
    """The function from the values of the parents to the value of an expression at a position."""
    node, domain = model["meaning"]["nodes"][number], model["domains"][number]

    def compute(*given):
        found = None if None in given else _value(node, place, given, tokens)
        return found if found is not None and _is_in(found, domain) else None

    return compute


def _value(node, place, given, tokens):
    match node["op"]:
        case "token":
            return tokens[place]
        case "position":
            return place
        case "constant":
            return node["value"]
        case "table":
            rows = {tuple(row[:-1]): row[-1] for row in node["rows"]}
            return rows.get(given, node.get("else"))
        case "sum":
            return node["constant"] + sum(map(operator.mul, node["factors"], given))
        case "at_least":
            return given[0] >= node["bound"]
        case "choice":
            return given[1] if given[0] else given[2]
        case "assumed":
            return given[0] if _is_in(given[0], node["values"]) else None
        case "aggregate":
            return _aggregate(node, place, given)


def _aggregate(node, place, given):
    """What is found at the positions that are selected: those up to this one where a case is true."""
    matches = [match for case in node["cases"] for match in case]
    step = len(matches) + (node["value"] is not None)
    queries, chosen = given[step * (place + 1) :], []
    for there in range(place + 1):
        keys = given[step * there : step * (there + 1)]
        holds = [_holds(m, key, q) for m, key, q in zip(matches, keys, queries, strict=False)]
        ends = [*accumulate(map(len, node["cases"]), initial=0)]
        if any(all(holds[start:end]) for start, end in pairwise(ends)):
            chosen.append(keys[-1] if node["value"] is not None else there)
    if node["how"] in ("count", "exists"):
        return len(chosen) if node["how"] == "count" else bool(chosen)
    if not chosen:
        return node["default"]
    if node["how"] == "mean":
        return Fraction(sum(chosen)) / len(chosen)
    return chosen[-1] if node["how"] == "latest" else chosen[0]


def _holds(match, key, query):
    if isinstance(match["relation"], str):
        return COMPARED[match["relation"]](key, query)
    return [key, query] in match["relation"]["pairs"]


def _is_in(value, domain):
    if isinstance(domain, list):
        return value in domain
    parts = (Fraction(value) / domain["unit"]).denominator
    return domain["low"] <= value <= domain["high"] and parts <= domain["parts"]


def unrolled(model, length):
    """Variables, values, parents and mechanisms of what is predicted after a text of some length.

    An expression has a variable for each position, such as `carry@25`; `raw_input` is the text, and
    `raw_output` the answer after it.
    """
    meaning, end = model["meaning"], length - 1
    roots = [(rule[part], end) for rule in meaning["answer"]["rules"] for part in ("if", "token")]
    roots = [root for root in dict.fromkeys(roots) if root[0] is not None]
    waiting, above = list(roots), {}
    while waiting:
        each = waiting.pop()
        if each not in above:
            above[each] = parents(model, *each)
            waiting += above[each]
    called = {v["node"]: v["name"] for v in [*model["variables"], *model["left_out"]]}

    def name(each):
        return f"{called.get(each[0], meaning['nodes'][each[0]]['op'] + ' ' + str(each[0]))}@{each[1]}"

    order = sorted(above)  # every expression reads earlier ones only
    token = next(number for number, node in enumerate(meaning["nodes"]) if node["op"] == "token")
    text = [(token, place) for place in range(length)]
    order = sorted({*order, *text})
    of = {name(each): [name(one) for one in above.get(each, ())] for each in order}
    values = {name(each): model["domains"][each[0]] for each in order}
    functions = {name(each): mechanism(model, *each) for each in order}
    for each in text:
        functions[name(each)] = lambda: model["vocabulary"][0]  # MIB sets the inputs
    of |= {"raw_input": [name(each) for each in text], "raw_output": [name(root) for root in roots]}
    values |= {"raw_input": [""], "raw_output": [""]}
    functions["raw_input"] = lambda *tokens: "".join(tokens)
    functions["raw_output"] = lambda *given: answer(model, dict(zip(roots, given, strict=True)), end)
    return [*of], values, of, functions
