# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an action plugin has to know of the play that its task belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["keeps_step", "play_hosts", "play_id"]


def play_id(task: Any) -> str:  # noqa: ANN401 - ansible.playbook.task.Task, which has no types
    """Return what tells the play of ``task`` from the other plays of the process."""
    return str(getattr(_play(task), "_uuid", ""))


def keeps_step(task: Any) -> bool:  # noqa: ANN401 - as above
    """Tell whether all hosts have ended a task before any host starts the next one.

    The strategies ``free`` and ``host_pinned`` (and those named after them, such as ``mitogen_free``) do not, and
    do not honour ``run_once``.
    """
    strategy = str(getattr(_play(task), "strategy", "") or "linear").rpartition(".")[2]
    return "free" not in strategy and "host_pinned" not in strategy


def play_hosts(variables: Mapping[str, Any]) -> list[str]:
    """Return the hosts that the play was meant for, unreachable ones included."""
    hosts = variables.get("ansible_play_hosts_all") or [variables["inventory_hostname"]]
    return [str(host) for host in hosts]


def _play(task: Any) -> Any:  # noqa: ANN401 - as above
    return getattr(getattr(task, "_parent", None), "_play", None)
