# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look by hand: what the agent that runs remembers, and what the host shows now; nothing is written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.agent.configuration import read_configuration
from ansible_collections.lastack.linux.agent.cost import read_resident_bytes
from ansible_collections.lastack.linux.agent.fact import build_fact
from ansible_collections.lastack.linux.agent.look import Look
from ansible_collections.lastack.linux.agent.loop import boottime, look_options, read_boot_id
from ansible_collections.lastack.linux.agent.state import StateUnusable, load_state
from ansible_collections.lastack.linux.agent.status import AgentStatus
from ansible_collections.lastack.linux.agent.watch import StateError, Watch
from ansible_collections.lastack.linux.plugins.module_utils.version import VERSION

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.agent.places import Places

__all__ = ["look_once"]

_MORE_LOOKS = 2
"""The first search is made where a socket was made, and it takes two everywhere to be sure that nobody holds it."""
_UNMET = "applications_unmet"
_UNMET_DETAIL = "applications that the agent watches and that this look did not meet: nothing is said of them"
_UNPLACED = "sockets_unplaced"
_UNPLACED_DETAIL = "sockets that are too young to be judged, or whose owner was not found or could not be read"


def look_once(places: Places) -> tuple[bytes, bool]:
    """Return the fact of one look, and whether earlier looks of an agent are in it.

    Raises:
        ConfigurationError: the agent's configuration cannot be used.
    """
    configuration = read_configuration(places.configuration, may_be_missing=True)
    begin, boot_id = boottime(), read_boot_id()
    watch, since, remembered = Watch(configuration.thresholds), begin, False
    try:
        found = load_state(places.state, boot_id=boot_id, now_s=begin)
        if found is not None:
            watch, since, remembered = Watch.from_state(found[0], configuration.thresholds), found[1], True
    except (StateUnusable, StateError):
        # Another user's, or none of ours: then this look is the first.
        pass
    # One look by hand is not held to the agent's budget.
    options = look_options(configuration)._replace(pass_cpu_s=float("inf"), search_cpu_share=float("inf"))
    eyes = Look(options)
    eyes.remember(watch.first_seen_s())
    look = eyes.look()
    for __ in range(_MORE_LOOKS):
        if not look.unplaced:
            break
        # A holder that is not where its socket was made is searched everywhere by the looks that follow.
        look = eyes.look()
    watch.observe(look, configuration.interval_s)
    unmet = watch.unmet
    unseen = []
    if unmet:
        unseen.append((_UNMET, unmet, _UNMET_DETAIL))
    if look.unplaced and not look.applications:
        unseen.append((_UNPLACED, len(look.unplaced), _UNPLACED_DETAIL))
    status = AgentStatus(
        version=VERSION,
        boot_id=boot_id,
        started_s=begin,
        watching_since_s=since,
        now_s=boottime(),
        wall_s=time.time(),
        interval_s=configuration.interval_s,
        fresh_for_s=3 * max(configuration.interval_s, configuration.publish_s),
        passes=1,
        cpu_s=time.process_time(),
        cpu_pass_s=time.process_time(),
        resident_bytes=read_resident_bytes(),
        dropped_sockets=watch.dropped.sockets,
        dropped_applications=watch.dropped.applications,
        unseen=tuple(unseen),
    )
    return build_fact(watch.trends(), look, status, redact=configuration.redact), remembered
