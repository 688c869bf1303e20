# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The quick check of a schema and the one that explains agree on every value."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems
from ansible_collections.lastack.linux.plugins.plugin_utils.schema_check import compiled, is_valid

REPORTS = Path(__file__).parent.parent / "fixtures" / "reports"
ODD = (None, True, False, 0, -1, 1, 2**64, 2**64 - 1, -(2**64), 0.5, -0.5, float("nan"), float("inf"), "", "x", "A.b")
LONG: tuple[Any, ...] = ("x" * 5000, "\n", [], {}, [None], {"a": 1}, [1] * 10001, "2026-11-23T04:30:12Z", "critical")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 - JSON
    """Every place in a value, its own first."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


def mutated(report: dict[str, Any], path: tuple[Any, ...], value: object) -> Any:  # noqa: ANN401 - JSON
    if not path:
        return value
    changed = copy.deepcopy(report)
    inner: Any = changed
    for step in path[:-1]:
        inner = inner[step]
    if value is mutated:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return changed


@pytest.mark.parametrize("name", ["sick", "growing", "partial", "fleet"])
def test_both_checks_agree_wherever_a_report_is_changed(name: str) -> None:
    report = json.loads((REPORTS / f"{name}.json").read_text(encoding="utf-8"))
    schema_id = "lastack.fleet/1" if name == "fleet" else "lastack.host/1"
    schema = load_schema(schema_id)
    assert is_valid(report, schema_id)
    everywhere = places(report)
    chance = random.Random(1)
    refused = 0
    for value in (*ODD, *LONG, mutated):
        for path in chance.sample(everywhere, 25):
            if value is mutated and not path:
                continue
            changed = mutated(report, path, value)
            valid = is_valid(changed, schema_id)
            refused += not valid
            assert valid == (schema_problems(changed, schema) == []), (path, value)
    # If nearly all passed, the walk above would show nothing.
    assert refused > 200


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"minimum": 3},
        {"maxLength": 2},
        {"type": "array"},
        {"type": ["integer", "null"]},
        {"items": {"type": "number"}, "minItems": 1},
        {"additionalProperties": {"const": "x"}, "propertyNames": {"maxLength": 1}},
        {"enum": ["x", None]},
        {"$ref": "#/$defs/one", "maxLength": 3, "$defs": {"one": {"type": "string", "pattern": "^A"}}},
    ],
    ids=str,
)
def test_both_checks_agree_on_small_schemas(schema: dict[str, Any]) -> None:
    check = compiled(schema)
    for value in (*ODD, *LONG):
        assert check(value) == (schema_problems(value, schema) == []), value


def test_what_it_does_not_understand_is_no_schema() -> None:
    with pytest.raises(ValueError, match="unknown keywords: oneOf"):
        compiled({"oneOf": []})
    with pytest.raises(ValueError, match="strings and null only"):
        compiled({"enum": [1]})


def test_subclasses_are_left_to_the_other_check() -> None:
    class Marked(str):
        __slots__ = ()

    assert not compiled({"type": "string"})(Marked("x"))
    assert schema_problems(Marked("x"), {"type": "string"}) == []
