# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many hosts have a profile of the baseline, what of it was not judged, and the command that rolls it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import count, data, plural

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["profile_command", "profile_words"]


def profile_words(fleet: Mapping[str, Any]) -> str:
    """Return how many hosts have the profile that was asked for; empty where none was, or where it is not known."""
    part = data(fleet, "baseline")
    judged, met = part.get("judged_hosts"), part.get("met_hosts")
    if judged is None or met is None:
        return ""
    name = f"the profile {part.get('profile')}"
    if not judged:
        return f"No host shows the settings by which {name} is judged"
    said = f"{count(met)} of {plural(int(judged), 'host')} {'has' if met == 1 else 'have'} {name}"
    keys = len(part.get("not_judged") or [])
    if not keys:
        return said
    only = f"{plural(keys, 'key')} {'is' if keys == 1 else 'are'} only for hosts behind an idle cutter"
    return f"{said} ({only}: not judged)"


def profile_command(fleet: Mapping[str, Any]) -> str:
    """Return the command that rolls the profile out, batch by batch."""
    profile = data(fleet, "baseline").get("profile")
    return f"ansible-playbook lastack.linux.tcp_rollout -i INVENTORY -e tcp_baseline_profile={profile}"
