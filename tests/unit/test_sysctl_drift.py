# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings on sysctls: what is reported, how often, and what stays silent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.sysctl_drift import (
    judge_sysctls,
    sysctl_section,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import SysctlState
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_values import same_value
from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import for_target, load_catalogue
from hypothesis import given
from hypothesis import strategies as st

CATALOGUE = for_target(load_catalogue())
SOMAXCONN = "net.core.somaxconn"
RECYCLE = "net.ipv4.tcp_tw_recycle"
CONNTRACK = "net.netfilter.nf_conntrack_max"
FILE, LATER = "/etc/sysctl.d/10-a.conf:3", "/etc/sysctl.conf:41"


def state(key: str, current: str | None = None, **fields: Any) -> SysctlState:  # noqa: ANN401 - fields of the record
    """One state; a ``boot`` value comes with ``FILE``, a ``reload`` value with ``LATER`` (else the same as boot)."""
    boot = fields.pop("boot", None)
    reload = fields.pop("reload", boot)
    given_fields = {
        "exists": current is not None,
        "configured": boot,
        "winner": None if boot is None else FILE,
        "reload_configured": reload,
        "reload_winner": None if reload is None else (FILE if reload == boot else LATER),
        "shadowed": (),
        "overridden": (),
        **fields,
    }
    return SysctlState(key=key, current=current, **given_fields)


def found(*states: SysctlState) -> list[tuple[str, str]]:
    return [(finding["id"], finding["severity"]) for finding in judge_sysctls(states, CATALOGUE)]


DRIFT, HARMFUL = ("sysctl.drift", "warning"), ("sysctl.harmful", "warning")
NOTICE = ("sysctl.harmful", "info")
UNKNOWN, SHADOWED = ("sysctl.unknown_key", "info"), ("sysctl.shadowed", "info")


@pytest.mark.parametrize(
    ("given_state", "expected"),
    [
        # Nothing to say.
        (state(SOMAXCONN, "4096"), []),
        (state(SOMAXCONN, "4096", boot="4096"), []),
        (state(SOMAXCONN, "4096", boot="4096 # ours"), []),
        (state(SOMAXCONN, "4096", boot="0x1000"), []),
        (state(SOMAXCONN), []),
        (state("net.ipv4.ip_local_port_range", "32768 60999", boot="32768\t60999"), []),
        # Runtime is not what boot says.
        (state(SOMAXCONN, "4096", boot="8192"), [DRIFT]),
        (state("net.ipv4.ip_local_port_range", "32768 60999", boot="32768 61000"), [DRIFT]),
        # Boot is not what reload says, in either direction.
        (state(SOMAXCONN, "4096", boot="4096", reload="8192"), [DRIFT]),
        (state(SOMAXCONN, "4096", reload="4096"), [DRIFT]),
        (state(SOMAXCONN, "4096", boot="4096", reload=None), [DRIFT]),
        # Both at once are one finding.
        (state(SOMAXCONN, "4096", boot="8192", reload="1024"), [DRIFT]),
        # What is not certain or not readable is not judged.
        (state(SOMAXCONN, "4096", boot="8192", certain=False), []),
        (state(SOMAXCONN, None, exists=True, boot="8192"), []),
        (state(SOMAXCONN, None, exists=True, boot="8192", reload="1024"), [DRIFT]),
        # A key of the past.
        (state(RECYCLE, boot="1"), [HARMFUL]),
        (state(RECYCLE, boot="0"), [HARMFUL]),
        (state(RECYCLE, reload="1"), [HARMFUL]),
        (state(RECYCLE, boot="1", certain=False), [HARMFUL]),
        (state(RECYCLE), []),
        (state(RECYCLE, "0"), []),
        # A key that this kernel does not have.
        (state("net.ipv4.tcp_typo", boot="1"), [UNKNOWN]),
        (state("net.ipv4.tcp_typo", reload="1"), [UNKNOWN]),
        (state(CONNTRACK, boot="1"), []),
        (state("net.bridge.bridge-nf-call-iptables", boot="1"), []),
        (state("net.ipv4.tcp_max_orphans", boot="200000"), []),
        (state(CONNTRACK, "262144", boot="524288"), [DRIFT]),
        # Hidden lines.
        (state(SOMAXCONN, "4096", shadowed=(LATER,)), [SHADOWED]),
        (state(SOMAXCONN, "4096", shadowed=(LATER,), certain=False), []),
        # Several findings on one key.
        (state("net.ipv4.tcp_syncookies", "1", boot="0"), [HARMFUL, DRIFT]),
    ],
)
def test_findings(given_state: SysctlState, expected: list[tuple[str, str]]) -> None:
    assert found(given_state) == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("net.ipv4.tcp_abort_on_overflow", "1", [HARMFUL]),
        ("net.ipv4.tcp_abort_on_overflow", "0", []),
        ("net.ipv4.tcp_syncookies", "0", [HARMFUL]),
        ("net.ipv4.tcp_syncookies", "1", []),
        ("net.ipv4.tcp_syncookies", "2", [NOTICE]),
        ("net.ipv4.tcp_timestamps", "0", [HARMFUL]),
        ("net.ipv4.tcp_timestamps", "1", []),
        ("net.ipv4.tcp_timestamps", "2", []),
        ("net.ipv4.tcp_fin_timeout", "0", [HARMFUL]),
        ("net.ipv4.tcp_fin_timeout", "15", []),
        ("net.ipv4.tcp_fin_timeout", "60", []),
        ("net.ipv4.tcp_fin_timeout", "61", [HARMFUL]),
        ("net.ipv4.tcp_fin_timeout", "89", [HARMFUL]),
        ("net.ipv4.tcp_fin_timeout", "90", []),
        ("net.ipv4.tcp_retries2", "7", [HARMFUL]),
        ("net.ipv4.tcp_retries2", "8", []),
        ("net.ipv4.tcp_orphan_retries", "0", []),
        ("net.ipv4.tcp_orphan_retries", "3", [HARMFUL]),
        ("net.ipv4.tcp_orphan_retries", "8", []),
        ("net.ipv4.tcp_keepalive_time", "29", [HARMFUL]),
        ("net.ipv4.tcp_keepalive_time", "30", []),
        ("net.ipv4.tcp_keepalive_intvl", "-5", [HARMFUL]),
        ("net.ipv4.tcp_keepalive_probes", "2", [HARMFUL]),
        ("net.ipv4.tcp_keepalive_probes", "3", []),
        (SOMAXCONN, "127", [HARMFUL]),
        (SOMAXCONN, "128", []),
        ("net.ipv4.tcp_rmem", "4096 131072 6291456", []),
        ("net.ipv4.tcp_rmem", "4096 6291456 131072", [HARMFUL]),
        ("net.ipv4.tcp_wmem", "4096 4096 4096", []),
        ("net.ipv4.tcp_tw_reuse", "1", []),
    ],
)
def test_harmful_values_whoever_set_them(key: str, value: str, expected: list[tuple[str, str]]) -> None:
    assert found(state(key, value)) == expected
    assert found(state(key, value, boot=value)) == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("net.ipv4.tcp_max_tw_buckets", "4095", [HARMFUL]),
        ("net.ipv4.tcp_max_tw_buckets", "4096", []),
        ("net.ipv4.tcp_max_orphans", "1000", [HARMFUL]),
        ("net.ipv4.tcp_mem", "100 200 300", [NOTICE]),
        ("fs.file-max", "65535", [HARMFUL]),
    ],
)
def test_values_that_the_kernel_may_choose_but_no_file_should(
    key: str, value: str, expected: list[tuple[str, str]]
) -> None:
    assert found(state(key, value)) == []
    assert found(state(key, value, boot=value)) == expected


def only(given_state: SysctlState) -> dict[str, Any]:
    (finding,) = judge_sysctls([given_state], CATALOGUE)
    return finding


def test_drift_names_both_places() -> None:
    finding = only(state(SOMAXCONN, "4096", boot="8192", reload="1024"))
    assert finding["summary"] == (
        f"{SOMAXCONN} is 4096 now, {FILE} sets 8192 at boot, {LATER} sets 1024 on sysctl --system."
    )
    assert FILE in finding["next_step"]
    assert LATER in finding["next_step"]
    assert finding["evidence"] == {
        "current": "4096",
        "configured": "8192",
        "winner": FILE,
        "reload_configured": "1024",
        "reload_winner": LATER,
    }


def test_drift_of_a_module_key_says_why() -> None:
    assert "module" in only(state(CONNTRACK, "262144", boot="524288"))["next_step"]


def test_a_removed_key_is_said_with_its_place_and_version() -> None:
    finding = only(state(RECYCLE, reload="1"))
    assert finding["summary"].startswith(f"{RECYCLE} = 1 is what {LATER} sets: ")
    assert finding["next_step"] == f"Correct or remove {RECYCLE} in {LATER}."
    assert finding["evidence"]["removed"] == "4.12"


def test_every_line_of_a_removed_key_is_to_go() -> None:
    finding = only(state(RECYCLE, boot="1", reload="0"))
    assert finding["evidence"]["places"] == [FILE, LATER]
    assert finding["next_step"] == f"Correct or remove {RECYCLE} in {FILE} and {LATER}."


def test_a_running_harmful_value_blames_only_the_file_that_says_it() -> None:
    findings = judge_sysctls([state("net.ipv4.tcp_retries2", "3", boot="5")], CATALOGUE)
    assert findings[0]["summary"].startswith("net.ipv4.tcp_retries2 is 3, and no file says so: ")
    same = only(state("net.ipv4.tcp_retries2", "3", boot="3"))
    assert same["summary"].startswith(f"net.ipv4.tcp_retries2 is 3, set by {FILE}: ")


def test_hostile_text_is_cleaned_and_bounded() -> None:
    hostile = state("net.ipv4.tcp_typo", boot="\x1b[31m" + "x" * 5000, winner="/etc/sysctl.d/\x1b]0;.conf:1")
    text = json.dumps([judge_sysctls([hostile], {}), sysctl_section([hostile])], ensure_ascii=False)
    assert "\\u001b" not in text
    assert len(text) < 4096


@pytest.mark.parametrize(
    ("key", "one", "other", "same"),
    [
        ("a", "1", "1", True),
        ("a", "1", "2", False),
        ("a", "16", "0x10", True),
        ("a", "8", "010", True),
        ("a", "-1", "-1", True),
        ("a", "-1", "1", False),
        ("a", "30", "30 # why", True),
        ("a", "1 2 3", "1", True),
        ("a", "1 2", "1 3", False),
        ("a", "", "", True),
        ("a", "1", "", False),
        ("a", "cubic", "cubic", True),
        ("a", "cubic", "bbr", False),
        ("a", None, None, True),
        ("a", None, "1", False),
        ("net.ipv4.ip_local_reserved_ports", "9000-9002", "9000,9001,9002", True),
        ("net.ipv4.ip_local_reserved_ports", "9000-9002", "9000,9001", False),
        ("net.ipv4.ip_local_reserved_ports", "", "9000", False),
        ("net.ipv4.ip_local_reserved_ports", "9000", "9000 # why", False),
        ("net.ipv4.ip_local_reserved_ports", "x", "y", False),
    ],
)
def test_same_value(key: str, one: str | None, other: str | None, same: bool) -> None:  # noqa: FBT001 - a parameter set
    for left, right in ((one, other), (other, one)):
        assert same_value(key, left, right) is same


def test_section_holds_what_exists_or_is_set() -> None:
    section = sysctl_section(
        [
            state(SOMAXCONN, "4096"),
            state("net.ipv4.tcp_syncookies", "1", boot="1"),
            state(RECYCLE, reload="1"),
            state("net.ipv4.tcp_rto_max_ms"),
        ]
    )
    assert section == {
        SOMAXCONN: {"current": "4096", "configured": None, "winner": None},
        "net.ipv4.tcp_syncookies": {"current": "1", "configured": "1", "winner": FILE},
        RECYCLE: {
            "current": None,
            "configured": None,
            "winner": None,
            "reload_configured": "1",
            "reload_winner": LATER,
        },
    }


OPTIONAL = st.none() | st.text(max_size=30) | st.integers().map(str)
STATES = st.builds(
    SysctlState,
    key=st.sampled_from(sorted(CATALOGUE)) | st.text(max_size=30),
    current=OPTIONAL,
    exists=st.booleans(),
    configured=OPTIONAL,
    winner=OPTIONAL,
    reload_configured=OPTIONAL,
    reload_winner=OPTIONAL,
    shadowed=st.lists(st.text(max_size=20), max_size=3).map(tuple),
    overridden=st.just(()),
    certain=st.booleans(),
)


@given(st.lists(STATES, max_size=5))
def test_any_state_gives_whole_findings(states: list[SysctlState]) -> None:
    for finding in judge_sysctls(states, CATALOGUE):
        assert set(finding) == {"id", "severity", "remedy", "subject", "summary", "evidence", "next_step"}
        assert finding["remedy"] == "kernel"
        assert finding["id"].startswith("sysctl.")
        assert all(text.isprintable() for text in (finding["subject"], finding["summary"], finding["next_step"]))
        assert len(finding["summary"]) <= 4096
    json.dumps(sysctl_section(states))


@pytest.mark.parametrize("field", ["overridden", "shadowed"])
def test_a_line_that_loses_and_sets_what_no_value_is_right_for_is_named(field: str) -> None:
    lost: dict[str, Any] = {field: (LATER,)}
    (finding,) = [
        finding for finding in judge_sysctls([state(RECYCLE, **lost)], CATALOGUE) if finding["id"] == "sysctl.harmful"
    ]
    assert LATER in finding["summary"]
    assert LATER in finding["next_step"]
    assert finding["evidence"]["places"] == [LATER]


def test_every_line_that_sets_what_no_value_is_right_for_is_to_go() -> None:
    (finding,) = judge_sysctls([state(RECYCLE, boot="1", overridden=(LATER,))], CATALOGUE)
    assert finding["evidence"]["places"] == [FILE, LATER]
    assert finding["next_step"] == f"Correct or remove {RECYCLE} in {FILE} and {LATER}."


def test_an_old_kernel_that_has_the_key_switched_off_is_no_finding() -> None:
    assert found(state(RECYCLE, "0")) == []
    assert found(state(RECYCLE, "1")) == [HARMFUL]
