# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a run folder to its reports: merge the hosts, write the fleet report, the text screen and the HTML page."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import PROFILES
from ansible_collections.lastack.linux.plugins.plugin_utils.fleet import FLEET_SCHEMA, FleetMerge
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema
from ansible_collections.lastack.linux.plugins.plugin_utils.render.html import render_html
from ansible_collections.lastack.linux.plugins.plugin_utils.render.html_hosts import HostRows
from ansible_collections.lastack.linux.plugins.plugin_utils.render.text import render_run
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import (
    FLEET,
    HTML,
    TEXT,
    RunFolder,
    RunFolderError,
    utc_now,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.schema_check import compiled
from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import stored_hosts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.plugin_utils.host_outcomes import Outcome
    from ansible_collections.lastack.linux.plugins.plugin_utils.sinks import Sink
    from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import StoredHost
    from markupsafe import Markup

__all__ = ["Finished", "finish_merged", "finish_run", "merge_run", "rerender_run", "summary_of", "waiting_hosts"]


class Finished(NamedTuple):
    """What a finished run leaves."""

    fleet: dict[str, Any]
    text: str
    """The first screen, plain."""
    text_path: str
    html_path: str
    hosts: list[dict[str, Any]]
    """The reports of the worst hosts, worst first; of a run of one host its own."""


def merge_run(path: str) -> dict[str, Any]:
    """Merge the host reports of a run folder into ``lastack.fleet/1``; writes nothing.

    Hosts without an outcome count as ``missing``, host files that cannot be used as ``invalid`` with the reason.
    Raises ``RunFolderError``.
    """
    run = RunFolder.read(path)
    run.release()
    merge = _merge(run, stored_hosts(run))
    return merge.result(_run_of(run))


def waiting_hosts(run: RunFolder) -> int:
    """Return of how many hosts nothing has been heard yet."""
    return sum(1 for outcome in run.outcomes().values() if outcome is None)


def finish_run(run: RunFolder) -> Finished | None:
    """Merge and render the run and mark it as finished; raises ``RunFolderError``.

    Returns ``None`` if another process of the run has done so and nothing came in since.

    The manifest is written last: a run that was interrupted here is still unfinished, and can be finished again.
    """
    try:
        with run.exclusive():
            if run.manifest["finished"] and not run.journal_exists:
                return None
            run.manifest["finished_at"] = utc_now()
            table = HostRows()
            with run.closing() as close_host:
                merge = _merge(run, stored_hosts(run), [table], close_host)
                finished = _write(run, merge, table)
    except OSError as error:
        raise RunFolderError(f"Cannot write to the run folder {run.path}: {error.strerror or error}.") from error
    return finished


def finish_merged(
    run: RunFolder, hosts: Iterable[StoredHost], *, finished_at: str, before_close: Callable[[], None]
) -> Finished:
    """Render ``hosts`` as the run, whose folder gets their reports while they pass, and mark it as finished.

    ``before_close`` is called before the manifest is written. Raises ``RunFolderError``.
    """
    try:
        run.manifest["finished_at"] = finished_at
        table = HostRows()
        with run.closing() as close_host:
            merge = _merge(run, hosts, [table], close_host)
            finished = _write(run, merge, table)
            before_close()
    except OSError as error:
        raise RunFolderError(f"Cannot write to the run folder {run.path}: {error.strerror or error}.") from error
    return finished


def rerender_run(
    path: str, sinks: Sequence[Sink] = (), *, history: Markup | None = None, page: IO[bytes] | None = None
) -> tuple[dict[str, Any], str]:
    """Merge and render a run folder again, whether it finished or was cut short; ``sinks`` see the same one pass.

    ``history`` is the inside of the HTML page's section of that name, made by ``html_history``. ``page`` gets the
    HTML page as well, also where the folder cannot be written.

    Returns the fleet report and the path of the HTML page; the path is empty if the folder cannot be written.
    Raises ``RunFolderError`` for a folder that is no run folder or whose run still goes on, and what a sink raises.
    """
    run = RunFolder.read(path)
    run.require_ended()
    run.release()
    table = HostRows()
    merge = _merge(run, stored_hosts(run), [table, *sinks])
    try:
        with run.exclusive():
            finished = _write(run, merge, table, history)
    except OSError:
        fleet, html_path = merge.result(_run_of(run)), ""
        if page is not None:
            page.write(render_html(fleet, merge.worst_reports(), table, history=history).encode("utf-8"))
    else:
        fleet, html_path = finished.fleet, finished.html_path
        if page is not None:
            page.write(Path(html_path).read_bytes())
    for sink in sinks:
        sink.finish(fleet)
    return fleet, html_path


def _run_of(run: RunFolder) -> dict[str, Any]:
    kept = {key: run.manifest[key] for key in ("id", "made_by", "version", "started_at", "finished_at")}
    options = run.manifest["options"]
    # A manifest may come from anywhere, and its options are checked by nobody.
    return {**kept, **{key: options[key] for key, check in _merged_checks().items() if check(options.get(key))}}


@cache
def _merged_checks() -> dict[str, Callable[[Any], bool]]:
    properties = load_schema(FLEET_SCHEMA)["properties"]["run"]["properties"]
    return {key: compiled(properties[key]) for key in ("merged", "duplicates")}


def _merge(
    run: RunFolder,
    hosts: Iterable[StoredHost],
    sinks: Sequence[Sink] = (),
    close_host: Callable[[str, Outcome], None] | None = None,
) -> FleetMerge:
    profile = run.manifest["options"].get("profile")
    merge = FleetMerge(profile=profile if profile in PROFILES else None)
    for stored in hosts:
        if stored.report is None:
            merge.add_not_audited(stored.name, stored.outcome.outcome, stored.outcome.reason)
        else:
            merge.add(stored.name, stored.report)
        for sink in sinks:
            sink.add(stored)
        if close_host is not None:
            close_host(stored.host, stored.outcome)
    return merge


def _write(run: RunFolder, merge: FleetMerge, table: HostRows, history: Markup | None = None) -> Finished:
    fleet = merge.result(_run_of(run))
    html_path = run.path / HTML
    hosts = merge.worst_reports()
    text = render_run(fleet, hosts, report_path=_readable(html_path))
    run.write(FLEET, json.dumps(fleet, indent=1, ensure_ascii=False).encode("utf-8") + b"\n")
    run.write(HTML, render_html(fleet, hosts, table, history=history).encode("utf-8"))
    text_path = run.write(TEXT, text.rstrip("\n").encode("utf-8") + b"\n")
    return Finished(fleet, text, str(text_path), str(html_path), hosts)


def _readable(path: Path) -> str:
    """Return ``path`` as a person would type it: relative where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (OSError, ValueError):
        return str(path)


def summary_of(fleet: Mapping[str, Any]) -> dict[str, Any]:
    """Return the few numbers of a fleet report that a playbook may want to act on."""
    severities: dict[str, int] = {"critical": 0, "warning": 0, "info": 0}
    for finding in fleet["findings"]:
        severities[finding["severity"]] += 1
    counted = ("meant", "audited", "failed", "unreachable", "invalid", "missing", "incomplete")
    return {
        "hosts": {key: fleet["hosts"][key] for key in counted},
        "close_wait": dict(fleet["close_wait"]),
        "findings": severities,
    }
