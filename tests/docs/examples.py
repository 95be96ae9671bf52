"""Judge the examples of a description by its schemas; run where jsonschema is.

Reads the description from standard input, writes how many examples were judged and which do not fit.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

_PLACE = "description:"


def main() -> None:
    description = json.load(sys.stdin)
    resource = DRAFT202012.create_resource(description)
    registry = Registry().with_resource(_PLACE, resource)
    pairs = list(_examples(description, "#"))
    misfits = [place for place, schema, example in pairs if not _fits(registry, schema, example)]
    json.dump({"judged": len(pairs), "misfits": misfits}, sys.stdout)


def _examples(node: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """Give every example with the schema beside it (media types, headers) or around it (schemas)."""
    if isinstance(node, list):
        for number, item in enumerate(node):
            yield from _examples(item, f"{place}/{number}")
    if not isinstance(node, dict):
        return
    if "schema" in node and "example" in node:
        yield place, node["schema"], node["example"]
    if "type" in node:
        yield from ((place, node, example) for example in node.get("examples", []))
        yield from [(place, node, node["default"])] if "default" in node else []
    for name, value in node.items():
        if name not in {"example", "examples"}:
            yield from _examples(value, f"{place}/{name.replace('/', '~1')}")


def _fits(registry: Any, schema: Any, example: Any) -> bool:
    whole = {"$id": _PLACE + "example", "allOf": [_absolute(schema)]}
    validator = Draft202012Validator(
        whole, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    return bool(validator.is_valid(example))


def _absolute(node: Any) -> Any:
    """Let references within the description lead into it from outside."""
    if isinstance(node, list):
        return [_absolute(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {name: _PLACE + value if name == "$ref" else _absolute(value) for name, value in node.items()}


if __name__ == "__main__":
    main()
