# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of JSON Schema 2020-12 that lastack's schemas use, checked with the standard library alone.

Stricter than the standard in two points, because the numbers are counted with afterwards: an integer is never
written with a decimal point, and no number lies beyond what 64 bits or a finite double can hold.
"""

from __future__ import annotations

import json
import math
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KEYWORDS", "MAX_INTEGER", "load_schema", "schema_problems"]

_FOLDER = Path(__file__).parent / "schemas"
_ENOUGH = 5

MAX_INTEGER = 2**64 - 1
"""What is counted fits in 64 bits."""

# What the checker below understands; annotations say nothing about validity. A test holds the schemas to it.
KEYWORDS = frozenset(
    {
        "$defs",
        "$id",
        "$ref",
        "$schema",
        "additionalProperties",
        "const",
        "description",
        "enum",
        "items",
        "maxItems",
        "maxLength",
        "minItems",
        "minimum",
        "pattern",
        "properties",
        "propertyNames",
        "required",
        "title",
        "type",
    }
)

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_WORDS = {
    "object": "an object",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


@cache
def load_schema(schema_id: str) -> Mapping[str, Any]:
    """Return the JSON Schema of an id such as ``lastack.host/1``."""
    path = _FOLDER / (schema_id.replace("/", "-") + ".json")
    schema: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def schema_problems(data: object, schema: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with ``data``, one clause each, at most five; an empty list if nothing is.

    ``data`` is plain JSON (``dict``, ``list``, ``str``, ``int``, ``float``, ``bool``, ``None``) of bounded depth.
    """
    checker = _Checker(schema.get("$defs", {}))
    checker.check(data, schema, "")
    return checker.problems


class _Checker:
    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self.problems: list[str] = []

    def _wrong(self, where: str, what: str) -> None:
        self.problems.append(f"{one_line(where, 120) or 'the report'} {what}")

    def check(self, value: Any, schema: Mapping[str, Any], where: str) -> None:  # noqa: ANN401 - any JSON value
        if len(self.problems) >= _ENOUGH:
            return
        if "$ref" in schema:
            self.check(value, self._definitions[schema["$ref"].rpartition("/")[2]], where)
        if not self._has_type(value, schema, where):
            return
        self._check_choice(value, schema, where)
        if isinstance(value, str):
            self._check_string(value, schema, where)
        elif _is_a(value, "number"):
            self._check_number(value, schema, where)
        elif isinstance(value, list):
            self._check_list(value, schema, where)
        elif isinstance(value, dict):
            self._check_object(value, schema, where)

    def _has_type(self, value: object, schema: Mapping[str, Any], where: str) -> bool:
        allowed = schema.get("type")
        if allowed is None:
            return True
        names = [allowed] if isinstance(allowed, str) else allowed
        if any(_is_a(value, name) for name in names):
            return True
        self._wrong(where, f"is {_kind(value)}, not {' or '.join(_WORDS[name] for name in names)}")
        return False

    def _check_choice(self, value: object, schema: Mapping[str, Any], where: str) -> None:
        if "const" in schema and value != schema["const"]:
            self._wrong(where, f"is {_shown(value)}, not {_shown(schema['const'])}")
        if "enum" in schema and not (_is_scalar(value) and value in schema["enum"]):
            self._wrong(where, f"is {_shown(value)}, which is none of the allowed values")

    def _check_string(self, value: str, schema: Mapping[str, Any], where: str) -> None:
        if len(value) > schema.get("maxLength", math.inf):
            self._wrong(where, f"is longer than {schema['maxLength']} characters")
        elif "pattern" in schema and not re.search(schema["pattern"], value):
            self._wrong(where, f"is {_shown(value)}, which is not of the form {schema['pattern']}")

    def _check_number(self, value: float, schema: Mapping[str, Any], where: str) -> None:
        if not math.isfinite(value) if isinstance(value, float) else abs(value) > MAX_INTEGER:
            self._wrong(where, "is out of range")
        elif value < schema.get("minimum", -math.inf):
            self._wrong(where, f"is below {schema['minimum']}")

    def _check_list(self, value: list[Any], schema: Mapping[str, Any], where: str) -> None:
        if len(value) > schema.get("maxItems", math.inf):
            self._wrong(where, f"has more than {schema['maxItems']} entries")
            return
        if len(value) < schema.get("minItems", 0):
            self._wrong(where, f"has fewer than {schema['minItems']} entries")
            return
        items = schema.get("items")
        if items is not None:
            for position, item in enumerate(value):
                self.check(item, items, f"{where}[{position}]")

    def _check_object(self, value: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> None:
        for key in schema.get("required", ()):
            if key not in value:
                self._wrong(f"{where}.{key}".lstrip("."), "is missing")
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties")
        names = schema.get("propertyNames")
        for key, item in value.items():
            inner = f"{where}.{key}".lstrip(".")
            if names is not None:
                self.check(key, names, inner)
            if key in properties:
                self.check(item, properties[key], inner)
            elif others is not None:
                self.check(item, others, inner)


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _is_a(value: object, name: str) -> bool:
    # In Python True is an int, in JSON it is not.
    return isinstance(value, _TYPES[name]) and (not isinstance(value, bool) or name == "boolean")


def _kind(value: object) -> str:
    for name, words in _WORDS.items():
        if _is_a(value, name):
            return words
    return f"a Python {type(value).__name__}"


def _shown(value: object) -> str:
    return one_line(json.dumps(value, ensure_ascii=False), 60) if _is_scalar(value) else _kind(value)
