# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a ``lastack.local/1`` fact is, and whether a value is one: root publishes nothing that is not.

The same schema stands beside the controller's code as ``lastack.local-1.json``; a test holds both equal. That file lets
readers meet keys they do not know; here such a key is refused, for the agent that writes is of the same bundle.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.agent.records import VERDICTS
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.observe.agent_fact import (
    MAX_FACT_BYTES,
    MAX_FRESH_S,
    SCHEMA_ID,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CAUSES",
    "KINDS",
    "LOCAL_SCHEMA",
    "MAX_FACT_BYTES",
    "MAX_FRESH_S",
    "RUNTIMES",
    "SCHEMA_ID",
    "fact_problem",
    "render_fact",
]

KINDS = ("container", "unit", "interpreter", "executable", "listener", "kernel", "unknown")
RUNTIMES = ("java", "node", "python", "go", "ruby", "php", "native")
CAUSES = (
    *("unaccepted", "eof_unnoticed", "eof_unnoticed_tls", "eof_unnoticed_farewell", "unread_data"),
    *("eof_read", "eof_consumed", "half_close", "unknown"),
)


def _object(*optional: str, **properties: Any) -> dict[str, Any]:  # noqa: ANN401 - any schema
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _list(items: dict[str, Any], most: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "maxItems": most}


def _text(most: int = 256) -> dict[str, Any]:
    return {"type": "string", "maxLength": most}


def _text_or_null(most: int = 256) -> dict[str, Any]:
    return {"type": ["string", "null"], "maxLength": most}


_COUNT = {"type": "integer", "minimum": 0}
_COUNT_OR_NULL = {"type": ["integer", "null"], "minimum": 0}
_SECONDS = {"type": "number", "minimum": 0}
_FIGURE_OR_NULL = {"type": ["number", "null"]}
_SECONDS_OR_NULL = {"type": ["number", "null"], "minimum": 0}
_TIME = {
    "type": "string",
    "maxLength": 20,
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
}
_LIMIT = {"type": ["integer", "null"], "minimum": -1}

_TREND = _object(
    verdict={"enum": list(VERDICTS)},
    reason=_text(1024),
    count=_COUNT,
    arrivals=_COUNT,
    departures=_COUNT,
    growth_per_min=_FIGURE_OR_NULL,
    turnover_per_min=_FIGURE_OR_NULL,
    first_seen=_TIME,
    ready_in_s=_SECONDS_OR_NULL,
    exhaustion_in_s=_SECONDS_OR_NULL,
    exhaustion_pid=_COUNT_OR_NULL,
    observed_at=_TIME,
)
_OFFENDER = _object(
    app=_text(),
    kind={"enum": list(KINDS)},
    namespace=_text(),
    unit=_text_or_null(),
    container=_text_or_null(),
    exe=_text_or_null(1024),
    runtime={"enum": [*RUNTIMES, None]},
    user=_text_or_null(),
    pids=_list(_COUNT, 5),
    count=_COUNT,
    age_s={**_object(at_least=_SECONDS_OR_NULL, at_most=_SECONDS_OR_NULL), "type": ["object", "null"]},
    causes={"type": "object", "propertyNames": {"enum": list(CAUSES)}, "additionalProperties": _COUNT},
    cause={"enum": [*CAUSES, None]},
    role={"enum": ["client", "server", "mixed", None]},
    peers=_list(_object(address=_text(), port=_COUNT_OR_NULL, count=_COUNT), 3),
    local_ports=_list(_object(port=_COUNT, count=_COUNT), 3),
    descriptors={
        **_object(
            open=_COUNT_OR_NULL,
            soft_limit=_LIMIT,
            hard_limit=_LIMIT,
            used_percent=_SECONDS_OR_NULL,
            worst_pid=_COUNT_OR_NULL,
        ),
        "type": ["object", "null"],
    },
    advice=_list(_text(), 10),
    remedy=_text_or_null(1024),
    trend=_TREND,
)
_FINDING = _object(
    id=_text(),
    severity={"enum": ["critical", "warning", "info"]},
    remedy={"enum": ["app", "kernel", "limits", "none"]},
    subject=_text(),
    summary=_text(1024),
    next_step=_text(1024),
)

LOCAL_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:lastack:schema:lastack.local:1",
    "title": "lastack.local/1: what the agent of one host has watched (ansible_local.lastack)",
    **_object(
        schema={"const": SCHEMA_ID},
        collector=_object(name={"const": "agent"}, version=_text()),
        boot_id=_text_or_null(),
        published_at=_TIME,
        published_boottime_s=_SECONDS,
        fresh_for_s=_SECONDS,
        interval_s=_SECONDS,
        watching_since=_TIME,
        completeness=_object(
            complete={"type": "boolean"},
            warnings=_list(_object(code=_text(), count=_COUNT, detail=_text(512)), 20),
        ),
        dropped=_object(sockets=_COUNT, applications=_COUNT),
        close_wait=_object(
            total=_COUNT,
            verdicts=_object(**dict.fromkeys(VERDICTS, _COUNT)),
            earliest_exhaustion_s=_SECONDS_OR_NULL,
        ),
        offenders=_list(_OFFENDER, 200),
        truncated=_COUNT,
        findings=_list(_FINDING, 200),
        findings_truncated=_COUNT,
    ),
}

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_MAX_INTEGER = 2**63 - 1


def fact_problem(value: object) -> str | None:
    """Return what makes ``value`` no ``lastack.local/1`` fact, one clause that names the place; ``None`` if it is one.

    Beyond the schema it refuses keys that the schema does not name, integers beyond 63 bits, numbers that are not
    finite, and text that ``clean_text`` would change: control characters, invisible ones, line ends.
    """
    return _problem(value, LOCAL_SCHEMA, "")


def render_fact(value: Mapping[str, Any]) -> bytes:
    """Return the one spelling of a fact: compact JSON in ASCII, which every locale of a target can read."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def _problem(value: object, schema: Mapping[str, Any], where: str) -> str | None:
    shown = where or "the fact"
    words = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if words is not None and not (isinstance(value, (str, type(None))) and value in words):
        return f"{shown} is none of the known words"
    if "type" in schema and not _is_of(value, schema["type"]):
        return f"{shown} has the wrong type"
    found = None
    if isinstance(value, str):
        found = _text_problem(value, schema, shown)
    elif isinstance(value, list):
        found = _list_problem(value, schema, where)
    elif isinstance(value, dict):
        found = _object_problem(value, schema, where)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        found = _number_problem(value, schema, shown)
    return found


def _is_of(value: object, types: str | list[str]) -> bool:
    wanted = [types] if isinstance(types, str) else types
    if isinstance(value, bool):
        return "boolean" in wanted
    return any(isinstance(value, _TYPES[name]) for name in wanted)


def _text_problem(text: str, schema: Mapping[str, Any], shown: str) -> str | None:
    if len(text) > schema.get("maxLength", math.inf):
        return f"{shown} is too long"
    if "pattern" in schema and not re.fullmatch(schema["pattern"], text):
        return f"{shown} is not of the form it should have"
    if clean_text(text, len(text) + 1) != text:
        return f"{shown} holds control or invisible characters"
    return None


def _number_problem(number: float, schema: Mapping[str, Any], shown: str) -> str | None:
    if isinstance(number, int) and abs(number) > _MAX_INTEGER:
        return f"{shown} is out of range"
    if not math.isfinite(number) or not number >= schema.get("minimum", -math.inf):
        return f"{shown} is out of range"
    return None


def _list_problem(items: list[Any], schema: Mapping[str, Any], where: str) -> str | None:
    if len(items) > schema["maxItems"]:
        return f"{where} has more than {schema['maxItems']} entries"
    for index, item in enumerate(items):
        found = _problem(item, schema["items"], f"{where}[{index}]")
        if found:
            return found
    return None


def _object_problem(entries: dict[str, Any], schema: Mapping[str, Any], where: str) -> str | None:
    properties: Mapping[str, Any] = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in entries:
            return f"{where or 'the fact'} has no {name}"
    names = schema.get("propertyNames", {}).get("enum", properties)
    for name, value in entries.items():
        # The name is the writer's own text, so it is not shown.
        if name not in names:
            return f"{where or 'the fact'} has a key that does not belong there"
        inner = properties.get(name, schema.get("additionalProperties"))
        found = _problem(value, inner, f"{where}.{name}" if where else name)
        if found:
            return found
    return None
