"""What JSON Schema says of a document, as far as the schemas in docs use it."""

from __future__ import annotations

import re

TYPES = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}

KNOWN = {
    *("$schema", "$defs", "$ref", "title", "type", "const", "enum", "pattern", "minimum", "oneOf"),
    *("properties", "additionalProperties", "required", "items", "prefixItems", "minItems"),
}


def conforms(data, schema, root):
    """Whether a document conforms to a schema, which is part of `root`."""
    if isinstance(schema, bool):
        return schema
    assert schema.keys() <= KNOWN, schema.keys() - KNOWN
    if "$ref" in schema:
        return conforms(data, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    if "oneOf" in schema:
        return sum(conforms(data, each, root) for each in schema["oneOf"]) == 1
    if "type" in schema and type(data) not in TYPES[schema["type"]]:
        return False
    if "const" in schema and (type(data), data) != (type(schema["const"]), schema["const"]):
        return False
    if "enum" in schema and data not in schema["enum"]:
        return False
    if isinstance(data, str) and not re.search(schema.get("pattern", ""), data):
        return False
    if type(data) is int and data < schema.get("minimum", data):
        return False
    if isinstance(data, dict):
        known = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        return all(name in data for name in schema.get("required", ())) and all(
            conforms(value, known.get(name, others), root) for name, value in data.items()
        )
    if isinstance(data, list):
        first = schema.get("prefixItems", [])
        rest = [schema.get("items", True)] * max(0, len(data) - len(first))
        return len(data) >= schema.get("minItems", 0) and all(
            conforms(value, part, root) for value, part in zip(data, [*first, *rest], strict=False)
        )
    return True
