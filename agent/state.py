# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent remembers over its own restart: one JSON file, of use only within the boot that it tells of."""

from __future__ import annotations

import json
import os
import stat
from typing import Any

from ansible_collections.lastack.linux.agent.whole_files import write_whole
from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import read_head

__all__ = ["StateUnusable", "load_state", "save_state"]

_SCHEMA = "lastack.agent-state/1"
_MOST_BYTES = 16 << 20


class StateUnusable(Exception):  # noqa: N818 - the agent starts anew; the text is one clause that says why
    """The state file is there and is of no use."""


def save_state(path: str, watch: dict[str, Any], *, boot_id: str | None, watching_since_s: float) -> None:
    """Write the state, readable for its owner alone. Raises ``OSError``; then the old state is still there."""
    state = {"schema": _SCHEMA, "boot_id": boot_id, "watching_since_s": watching_since_s, "watch": watch}
    write_whole(path, json.dumps(state, separators=(",", ":"), allow_nan=False).encode(), 0o600)


def load_state(path: str, *, boot_id: str | None, now_s: float) -> tuple[dict[str, Any], float] | None:
    """Return what the watch remembered and since when it watches; ``None`` without a file or of another boot.

    Raises:
        StateUnusable: the file cannot be read or is no state.
    """
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise StateUnusable("it is no regular file")
        data = read_head(path, _MOST_BYTES + 1, flags=os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateUnusable(error.strerror or "it cannot be read") from error
    if len(data) > _MOST_BYTES:
        raise StateUnusable("it is too large")
    try:
        state = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StateUnusable("it is no JSON") from error
    if not isinstance(state, dict) or state.get("schema") != _SCHEMA:
        raise StateUnusable(f"it is no {_SCHEMA}")
    if boot_id is None or state.get("boot_id") != boot_id:
        return None
    watch, since = state.get("watch"), state.get("watching_since_s")
    if not isinstance(watch, dict) or isinstance(since, bool) or not isinstance(since, (int, float)):
        raise StateUnusable("a part of it is missing")
    if not 0 <= since <= now_s:
        raise StateUnusable("it is of a moment that has not come yet")
    return watch, float(since)
