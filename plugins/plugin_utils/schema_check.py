# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A JSON Schema made into one yes-or-no function: thousands of reports are checked, and nearly all of them are valid.

``json_schema`` says what is wrong with those that are not; what this accepts, that accepts too.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import KEYWORDS, MAX_INTEGER, load_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Check = Callable[[Any], bool]

__all__ = ["compiled", "is_valid"]

_ANNOTATIONS = frozenset({"$id", "$schema", "$defs", "description", "title"})
_LISTS = frozenset({"items", "maxItems", "minItems"})
_OBJECTS = frozenset({"additionalProperties", "properties", "propertyNames", "required"})


def is_valid(data: object, schema_id: str) -> bool:
    """Tell whether ``json_schema.schema_problems`` finds nothing in ``data`` of plain, exact JSON types.

    Subclasses of ``dict``, ``list``, ``str``, ``int`` and ``float`` are not accepted: ask ``schema_problems``.
    """
    return _of_id(schema_id)(data)


@cache
def _of_id(schema_id: str) -> Check:
    return compiled(load_schema(schema_id))


def compiled(schema: Mapping[str, Any]) -> Check:
    """Return the function of a schema without recursive ``$ref``; raises ``ValueError`` for unknown keywords."""
    return _compile(schema, schema.get("$defs", {}))


def _compile(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Check:
    unknown = set(schema) - KEYWORDS
    if unknown:
        raise ValueError(f"unknown keywords: {', '.join(sorted(unknown))}")
    checks = []
    if "$ref" in schema:
        checks.append(_compile(definitions[schema["$ref"].rpartition("/")[2]], definitions))
    if "const" in schema:
        checks.append(_one_of((schema["const"],)))
    if "enum" in schema:
        checks.append(_one_of(tuple(schema["enum"])))
    if not checks or set(schema) - _ANNOTATIONS - {"$ref", "const", "enum"}:
        checks.append(_of_types(schema, definitions))
    if len(checks) == 1:
        return checks[0]
    return lambda value: all(check(value) for check in checks)


def _one_of(allowed: tuple[Any, ...]) -> Check:
    if not all(value is None or isinstance(value, str) for value in allowed):
        raise ValueError("const and enum are understood for strings and null only")
    return lambda value: (value is None or isinstance(value, str)) and value in allowed


def _of_types(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Check:
    """Return the check that looks at the type of the value first."""
    named = schema.get("type", ("object", "array", "string", "number", "boolean", "null"))
    by_type: dict[type, Check | None] = {}
    for name in (named,) if isinstance(named, str) else named:
        by_type |= _of_type(name, schema, definitions)
    if len(by_type) == 1:
        ((only, inner),) = by_type.items()
        if inner is None:
            return lambda value: only is type(value)
        return lambda value: only is type(value) and inner(value)

    def check(value: Any) -> bool:  # noqa: ANN401 - any JSON value
        try:
            found = by_type[type(value)]
        except KeyError:
            return False
        return found is None or found(value)

    return check


def _of_type(name: str, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[type, Check | None]:
    if name == "object":
        return {dict: _of_object(schema, definitions)}
    if name == "array":
        return {list: _of_list(schema, definitions)}
    if name == "string":
        return {str: _of_string(schema)}
    if name == "integer":
        return {int: _of_integer(schema)}
    if name == "number":
        return {int: _of_integer(schema), float: _of_float(schema)}
    return {bool if name == "boolean" else type(None): None}


def _of_string(schema: Mapping[str, Any]) -> Check | None:
    longest = schema.get("maxLength", math.inf)
    if "pattern" in schema:
        search = re.compile(schema["pattern"]).search
        return lambda value: len(value) <= longest and search(value) is not None
    return (lambda value: len(value) <= longest) if "maxLength" in schema else None


def _of_integer(schema: Mapping[str, Any]) -> Check:
    least = max(schema.get("minimum", -MAX_INTEGER), -MAX_INTEGER)
    return lambda value: least <= value <= MAX_INTEGER


def _of_float(schema: Mapping[str, Any]) -> Check:
    least = schema.get("minimum", -math.inf)
    return lambda value: math.isfinite(value) and value >= least


def _of_list(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Check | None:
    if not _LISTS & set(schema):
        return _is_json
    least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    item = _compile(schema["items"], definitions) if "items" in schema else _is_json
    return lambda value: least <= len(value) <= most and all(map(item, value))


def _of_object(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Check | None:
    if not _OBJECTS & set(schema):
        return _is_json
    required = frozenset(schema.get("required", ()))
    known = {key: _compile(inner, definitions) for key, inner in schema.get("properties", {}).items()}
    other = _compile(schema["additionalProperties"], definitions) if "additionalProperties" in schema else _is_json
    name = _compile(schema["propertyNames"], definitions) if "propertyNames" in schema else None
    find = known.get

    def check(value: dict[str, Any]) -> bool:
        if not required <= value.keys() or (name is not None and not all(map(name, value))):
            return False
        for key, inner in value.items():  # noqa: SIM110 - all() over a generator takes twice as long
            if not find(key, other)(inner):
                return False
        return True

    return check


def _is_json(_value: object) -> bool:
    # What no schema speaks of is not looked at, as in json_schema.
    return True
