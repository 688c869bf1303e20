# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of the operator's own that neither the catalogue nor the kernel has: misspelt, most likely, and told."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import Catalogue

__all__ = ["tell_unknown_keys"]

_ALIKE = 0.8


def tell_unknown_keys(catalogue: Catalogue, result: Mapping[str, Any]) -> list[str]:
    """Return a warning for each unknown key of a result of ``sysctl_baseline``, and say it in the key's ``reason``."""
    rows = result.get("sysctls")
    warnings = []
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and row.get("status") == "absent" and row.get("key") not in catalogue.keys:
            key = one_line(str(row.get("key")), 255)
            why = f"Neither the catalogue nor this kernel has {key}; {_advice(key, catalogue.keys)}"
            row["reason"] = why
            warnings.append(why)
    return warnings


def _advice(key: str, known: Iterable[str]) -> str:
    alike = difflib.get_close_matches(key, list(known), n=1, cutoff=_ALIKE)
    return f"is it {alike[0]}?" if alike else "look at its spelling, and whether its kernel module is loaded."
