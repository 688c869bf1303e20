# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The summary of the role on one host: every status in its words, short where all is well, harmless text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.lastack.linux.plugins.filter.tcp_baseline_summary import FilterModule
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_results import FAILURES
from ansible_collections.lastack.linux.plugins.modules import sysctl_baseline
from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import load_catalogue
from ansible_collections.lastack.linux.plugins.plugin_utils.render import baseline
from ansible_collections.lastack.linux.plugins.plugin_utils.render.baseline import BaselineSummary, baseline_summary

CATALOGUE = load_catalogue()
FILE = "/etc/sysctl.d/99-tcp-lastack.conf"
SOMAXCONN = "net.core.somaxconn"
# What the module says that it returns: a result of another shape would prove nothing.
RETURNED = {*yaml.safe_load(sysctl_baseline.RETURN), "remarks", "warnings"}


def key(name: str, status: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - the fields of a result
    told = {"match": "exact", "wanted": "2", "before": "1", "after": "1", "boot": None, "reload": None}
    return {"key": name, "status": status, **told, "shadowed_by": "", "reason": "", "error": "", **fields}


def summed(
    *keys: dict[str, Any],
    check: bool = False,
    limits: dict[str, Any] | None = None,
    **more: Any,  # noqa: ANN401 - further keys of the result
) -> BaselineSummary:
    changed = any(one["status"] == "changed" for one in keys)
    result = {"changed": changed, "dropin": FILE, "sysctls": list(keys), **more}
    assert set(result) - {"changed"} <= RETURNED
    return baseline_summary(result, limits or {}, catalogue=CATALOGUE, host="web-1", check=check)


def text(summary: BaselineSummary) -> str:
    return " ".join(" ".join(summary.lines).split())


def test_a_host_on_which_all_is_right_is_two_lines() -> None:
    assert summed(key(SOMAXCONN, "ok"), key("net.ipv4.tcp_timestamps", "ok")).lines == [
        "web-1 · nothing to change · 2 already right",
        CATALOGUE.close_wait,
    ]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            key(SOMAXCONN, "changed", before="128", after="4096"),
            "changed net.core.somaxconn 128 → 4096 counts when a listener restarts; existing ones keep theirs",
        ),
        (key(SOMAXCONN, "changed", before="4096", after="4096"), "4096 (file only)"),
        (key("net.ipv4.tcp_fin_timeout", "kept", before="15", after="15", wanted="30"), "stronger than 30"),
        (key(SOMAXCONN, "gated", reason="No port pressure."), "gated net.core.somaxconn 1, not 2 No port pressure."),
        (
            key(SOMAXCONN, "never", before=None, after=None, reason="Harmful."),
            "refused net.core.somaxconn unset, not 2",
        ),
        (key(SOMAXCONN, "invalid", error="Invalid argument."), "invalid net.core.somaxconn 1, not 2 Invalid argument."),
        (key(SOMAXCONN, "clamped", before="1", after="7"), "1 → 7 the kernel allowed less than 2"),
        (key(SOMAXCONN, "shadowed", shadowed_by="/etc/sysctl.conf:7"), "/etc/sysctl.conf:7 wins"),
        (key(SOMAXCONN, "absent", before=None, after=None), "does not have the key"),
        (key(SOMAXCONN, "read_only"), "read-only net.core.somaxconn 1, not 2"),
    ],
)
def test_every_status_has_its_words(row: dict[str, Any], words: str) -> None:
    assert words in text(summed(row))


def test_a_shared_reason_stands_once_and_what_failed_first() -> None:
    timer = "counts when a socket's timer is next armed; running timers keep theirs"
    lines = summed(
        key("net.ipv4.tcp_keepalive_time", "changed", before="7200", after="300"),
        key("net.ipv4.tcp_keepalive_intvl", "changed", before="75", after="30"),
        key(SOMAXCONN, "invalid"),
    ).lines
    assert [line.strip() for line in lines].count(timer) == 1
    assert lines[2].split()[0] == "invalid"


def test_a_change_says_where_it_is_kept_and_how_to_undo_it() -> None:
    row = key(SOMAXCONN, "changed", before="128", after="4096", boot={"value": "4096", "file": FILE, "line": 4})
    assert f"1 line in {FILE}" in text(summed(row))
    assert "tcp_baseline_state=restored" in text(summed(row))
    checked = text(summed(row, check=True))
    assert "check mode: nothing was changed" in checked
    assert "Undo" not in checked


def test_a_restore_prints_no_file() -> None:
    secret = "password = 1\n" * 50
    restored = [
        {"subject": FILE, "kind": "file", "status": "restored", "before": secret, "after": None, "error": None},
        {
            "subject": SOMAXCONN,
            "kind": "runtime",
            "status": "restored",
            "before": "8192",
            "after": "4096",
            "error": None,
        },
        {
            "subject": "/etc/sysctl.conf",
            "kind": "file",
            "status": "conflict",
            "before": "x",
            "after": None,
            "error": "E.",
        },
    ]
    summary = summed(restored=restored, changed=True, failures=["/etc/sysctl.conf was changed since."])
    assert "2 restored" in text(summary)
    assert f"{FILE} removed again" in text(summary)
    assert "8192 → 4096" in text(summary)
    assert "password" not in text(summary)
    assert "Undo" not in text(summary)
    assert "E. tcp_baseline_force=true restores it all the same." in text(summary)
    assert summary.failed == [
        "/etc/sysctl.conf was changed since.",
        "tcp_baseline_force=true restores also what was changed since.",
    ]


@pytest.mark.parametrize(("before", "after", "values"), [("30-40", "", "30-40 → unset"), ("", "30", "unset → 30")])
def test_an_empty_value_has_a_word(before: str, after: str, values: str) -> None:
    one = {"subject": "net.x.y", "kind": "runtime", "status": "restored", "before": before, "after": after}
    assert values in text(summed(restored=[one], changed=True))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            key(SOMAXCONN, "restored", before="8192", after="4096", wanted="", reason="no longer named"),
            "restored net.core.somaxconn 8192 → 4096 no longer named",
        ),
        (
            key(SOMAXCONN, "conflict", before="9", after="9", wanted="", reason="no longer named; changed since"),
            "conflict net.core.somaxconn 9 no longer named; changed since",
        ),
        (
            key(SOMAXCONN, "failed", before="9", after="9", wanted="", error="It cannot be written."),
            "failed net.core.somaxconn 9 It cannot be written.",
        ),
        # What is neither wanted nor taken back must not pass as right.
        (
            key(SOMAXCONN, "ok", before="9", after="9", wanted="", reason="no longer named; what runs stays"),
            "left net.core.somaxconn 9 no longer named; what runs stays",
        ),
        (
            key(SOMAXCONN, "changed", before="9", after="9", wanted="", reason="its line left the file"),
            "changed net.core.somaxconn 9 (file only) its line left the file",
        ),
        (key("net.x.y", "changed", before=None, after=None, wanted=""), "changed net.x.y unset (file only)"),
    ],
)
def test_keys_that_are_not_named_any_more(row: dict[str, Any], words: str) -> None:
    summary = summed(row, key("net.ipv4.tcp_timestamps", "changed", before="0"), changed=True)
    assert words in text(summary)
    assert "Undo" in text(summary)


def test_no_promise_where_a_file_was_not_read() -> None:
    reason = "not certain: /etc/sysctl.d/zz.conf was not read"
    doubtful = key(SOMAXCONN, "changed", before="128", after="4096", boot=None, reason=reason)
    told = text(summed(doubtful, unseen=[{"code": "x", "detail": "/etc/sysctl.d/zz.conf is larger than 1 MiB."}]))
    assert "Not seen: /etc/sysctl.d/zz.conf" in told
    assert "so that the next boot sets" not in told
    assert "What the next boot sets is not certain for 1 setting: a file was not read." in told


def test_what_a_warning_says_is_not_said_again() -> None:
    row = key(SOMAXCONN, "ok", before="4096", after="4096")
    told = text(summed(row, remarks=["A file was changed."], warnings=["A file was changed."]))
    assert told.count("A file was changed.") == 1


def test_what_the_modules_remark_and_warn_of() -> None:
    told = text(summed(key(SOMAXCONN, "ok"), remarks=["A line went."], limits={"warnings": ["No unit x.", {"a": 1}]}))
    assert "Note: A line went." in told
    assert "Warning: No unit x." in told
    row = key("net.x.y", "absent", before=None, after=None, reason="Nobody has it.")
    assert text(summed(row, warnings=["Nobody has it."])).count("Nobody has it.") == 1


def test_others_that_would_set_it_are_named() -> None:
    overrides = {SOMAXCONN: {"value": "64", "place": "/etc/tune:3"}, "a.b": {"value": "1", "place": "/etc/tune:4"}}
    one = {"name": "ufw", "evidence": "/etc/tune", "overrides": overrides, "when": "when ufw starts", "yields": False}
    told = text(summed(key(SOMAXCONN, "ok"), managers=[one]))
    assert "ufw sets net.core.somaxconn = 64 when ufw starts (/etc/tune:3)." in told
    assert "a.b" not in told
    assert "ufw" not in text(summed(key(SOMAXCONN, "ok"), managers=[{**one, "yields": True}]))
    assert "what it sets is not known" in text(summed(key(SOMAXCONN, "ok"), managers=[{**one, "overrides": None}]))


def test_harmful_lines_say_whether_they_are_gone() -> None:
    line = {"place": "/etc/sysctl.conf:3", "key": "net.ipv4.tcp_tw_recycle", "reason": "Bad.", "removed": False}
    assert "still there: tcp_baseline_remove_harmful=true" in text(summed(harmful_lines=[line]))
    removed = {**line, "removed": True}
    assert "(removed)" in text(summed(harmful_lines=[removed], changed=True))
    assert "(would be removed)" in text(summed(harmful_lines=[removed], changed=True, check=True))


def test_every_word_of_a_status_is_in_the_readme() -> None:
    readme = (Path(__file__).parents[2] / "roles/tcp_baseline/README.md").read_text(encoding="utf-8")
    table = readme.split("## What the statuses mean")[1].split("## ")[0]
    told = {
        word for row in re.findall(r"^\| ([a-z, -]+) \| [^|]+ \|$", table, re.MULTILINE) for word in row.split(", ")
    }
    words = {baseline._WORDS.get(status, status) for status in baseline._STATUSES}
    assert told - {"status", "---"} == {*words, "already right"}
    (fails,) = re.findall(r"The host fails at the end[^.]+\.", table)
    for status in {*FAILURES, "invalid", "never", "clamped"}:
        assert baseline._WORDS.get(status, status) in fails, status


def test_limits_say_what_still_runs_with_the_old_one() -> None:
    unit = {
        "name": "nginx.service",
        "status": "needs_restart",
        "before": {"soft": 1024, "hard": 524288},
        "after": {"soft": 65536, "hard": 524288},
        "running": [{"pid": 1}, {"pid": 2}],
        "needs_restart": True,
        "reason": "",
    }
    told = text(summed(limits={"changed": True, "units": [unit], "failed_limits": ["F."]}))
    assert "old limit nginx.service 1024:524288 → 65536:524288" in told
    assert "2 processes still with the old limit: restart nginx.service" in told
    assert summed(limits={"units": [unit], "failed_limits": ["F."]}).failed == ["F."]


def test_what_a_host_wrote_is_harmless() -> None:
    told = "\n".join(summed(key(SOMAXCONN, "invalid", error="\x1b[31mred\r\nFORGED")).lines)
    assert "\x1b" not in told
    assert "\r" not in told
    assert not any(line.startswith("FORGED") for line in told.splitlines())


def test_very_many_keys_are_cut() -> None:
    lines = summed(*[key(f"net.a.b{number}", "invalid") for number in range(500)]).lines
    assert len(lines) < 80
    assert any("440 more settings" in line for line in lines)


def test_nothing_at_all_is_no_error() -> None:
    assert baseline_summary({}, {}, catalogue=CATALOGUE, host="web-1") == BaselineSummary(
        ["web-1 · nothing to change"], []
    )


def test_the_filter() -> None:
    (name, summarise), *rest = FilterModule().filters().items()
    assert (name, rest) == ("tcp_baseline_summary", [])
    assert summarise({"skipped": True}, {}, host="h") == {"lines": ["h · nothing to change"], "failed": []}
    with pytest.raises(AnsibleFilterError):
        summarise("text")
