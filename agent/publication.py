# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent puts into its folder at a publication: fact, metrics, status and state, each whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.agent.alive import read_start_ticks
from ansible_collections.lastack.linux.agent.cost import read_resident_bytes
from ansible_collections.lastack.linux.agent.fact import build_fact, rfc3339
from ansible_collections.lastack.linux.agent.journal import NOTICE, WARNING
from ansible_collections.lastack.linux.agent.metrics import build_metrics
from ansible_collections.lastack.linux.agent.records import VERDICTS
from ansible_collections.lastack.linux.agent.state import save_state
from ansible_collections.lastack.linux.agent.status import AgentStatus
from ansible_collections.lastack.linux.agent.whole_files import write_whole
from ansible_collections.lastack.linux.plugins.module_utils.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.lastack.linux.agent.configuration import Configuration
    from ansible_collections.lastack.linux.agent.cost import CpuBudget
    from ansible_collections.lastack.linux.agent.places import Places
    from ansible_collections.lastack.linux.agent.records import Pass
    from ansible_collections.lastack.linux.agent.watch import Dropped, Watch

__all__ = ["STATUS_SCHEMA", "Publication"]

# ruff: noqa: PTH108 - the agent does without pathlib, which costs memory

STATUS_SCHEMA = "lastack.agent-status/1"
_FRESH_TIMES = 3
_PUBLIC = 0o644


class Publication:
    """Writes the files of one agent, and knows what could not be done, so that the others say it."""

    def __init__(  # noqa: PLR0913 - what the agent knows of itself
        self,
        places: Places,
        configuration: Configuration,
        *,
        boot_id: str | None,
        started_s: float,
        watching_since_s: float,
        say: Callable[[int, str], None],
    ) -> None:
        """Publish to ``places``; ``say`` takes a priority and a line when something fails, and when it is over."""
        self.configuration = configuration
        self.passes = 0
        self._places = places
        self._boot_id = boot_id
        self._started_s = started_s
        self._watching_since_s = watching_since_s
        self._say = say
        self._troubles: dict[str, tuple[int, str]] = {}
        self._dropped_sockets = 0
        self._dropped_applications = 0

    def note_pass(self, dropped: Dropped) -> None:
        """Count a pass and what its bounded tables left out."""
        self.passes += 1
        self._dropped_sockets += dropped.sockets
        self._dropped_applications += dropped.applications

    def trouble(self, code: str, detail: str) -> None:
        """Remember what fails; say it when it begins or changes."""
        count, before = self._troubles.get(code, (0, ""))
        self._troubles[code] = (count + 1, detail)
        if detail != before:
            self._say(WARNING, detail[:1].upper() + detail[1:].rstrip(".") + ".")

    def over(self, code: str) -> None:
        """Forget what failed; say that it is over."""
        if self._troubles.pop(code, None) is not None:
            self._say(NOTICE, f"This is over: {code.replace('_', ' ')}.")

    def publish(self, watch: Watch, look: Pass, budget: CpuBudget) -> None:
        """Write everything; what cannot be written is a trouble, never an error."""
        outputs = self.configuration
        self.save_state(watch)
        status = self._status(budget)
        trends = watch.trends()
        if outputs.metrics:
            self._write("metrics", self._places.metrics, lambda: build_metrics(trends, look, status))
        else:
            self._remove(self._places.metrics)
        if outputs.fact:
            self._write("fact", self._places.fact, lambda: build_fact(trends, look, status, redact=outputs.redact))
        else:
            self._remove(self._places.fact)
        self._write("status", self._places.status, lambda: self._status_document(watch, look, status, budget))

    def save_state(self, watch: Watch) -> None:
        """Write what a later process of this boot goes on with."""
        try:
            save_state(
                self._places.state, watch.to_state(), boot_id=self._boot_id, watching_since_s=self._watching_since_s
            )
        except OSError as error:
            self.trouble("state_unwritten", f"the state cannot be written: {error.strerror}")
        else:
            self.over("state_unwritten")

    def _write(self, name: str, path: str, build: Callable[[], bytes]) -> None:
        code = f"{name}_unwritten"
        try:
            write_whole(path, build(), _PUBLIC)
        except OSError as error:
            self.trouble(code, f"the {name} cannot be written: {error.strerror}")
        except Exception as error:  # noqa: BLE001 - one output that cannot be made must not stop the others
            self.trouble(code, f"the {name} cannot be made: {type(error).__name__}")
        else:
            self.over(code)

    def _remove(self, path: str) -> None:
        # What is left there would be taken for the last word.
        with contextlib.suppress(OSError):
            os.unlink(path)

    def _status(self, budget: CpuBudget) -> AgentStatus:
        interval = budget.next_interval_s()
        return AgentStatus(
            version=VERSION,
            boot_id=self._boot_id,
            started_s=self._started_s,
            watching_since_s=self._watching_since_s,
            now_s=time.clock_gettime(time.CLOCK_BOOTTIME),
            wall_s=time.time(),
            interval_s=interval,
            fresh_for_s=_FRESH_TIMES * max(self.configuration.publish_s, interval),
            passes=self.passes,
            cpu_s=time.process_time(),
            cpu_pass_s=budget.so_far_s(),
            resident_bytes=read_resident_bytes(),
            dropped_sockets=self._dropped_sockets,
            dropped_applications=self._dropped_applications,
            unseen=tuple((code, count, detail) for code, (count, detail) in self._troubles.items()),
        )

    def _status_document(self, watch: Watch, look: Pass, status: AgentStatus, budget: CpuBudget) -> bytes:
        trends = watch.trends()
        verdicts = [trend.verdict for trend, __ in trends.values()]
        document: dict[str, Any] = {
            "schema": STATUS_SCHEMA,
            "version": status.version,
            "pid": os.getpid(),
            "start_ticks": read_start_ticks(os.getpid()),
            "boot_id": status.boot_id,
            "started_at": rfc3339(status, status.started_s),
            "watching_since": rfc3339(status, status.watching_since_s),
            "published_at": rfc3339(status, status.now_s),
            "published_boottime_s": round(status.now_s, 3),
            "fresh_for_s": round(status.fresh_for_s, 1),
            "outputs": [name for name in ("fact", "metrics", "journal") if getattr(self.configuration, name)],
            "interval_s": round(status.interval_s, 3),
            "configured_interval_s": budget.interval_s,
            "cpu_budget_percent": budget.budget_percent,
            "passes": status.passes,
            "cpu_s": round(status.cpu_s, 3),
            "cpu_pass_s": round(status.cpu_pass_s, 4),
            "running_s": round(status.now_s - status.started_s, 1),
            "resident_bytes": status.resident_bytes,
            "dropped": {"sockets": status.dropped_sockets, "applications": status.dropped_applications},
            "close_wait": {
                "total": look.total,
                "applications": len(trends),
                "verdicts": {verdict: verdicts.count(verdict) for verdict in VERDICTS},
            },
            "unseen": [
                {"code": code, "count": count, "detail": detail}
                for code, count, detail in (*look.unseen, *status.unseen)
            ],
        }
        return json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"
