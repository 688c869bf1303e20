# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit's options as people give them, and the sentences they get back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.options import (
    GATHER_SUBSETS,
    OptionsError,
    gather_subsets,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.audit_options import (
    LOOK_OPTIONS,
    AuditOptionError,
    check_options,
    check_variable_names,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.host_summary import MAX_SUMMARY_BYTES, host_summary

REPORTS = Path(__file__).parent.parent / "fixtures" / "reports"


def test_text_from_a_command_line_gets_its_type() -> None:
    given = {
        "top": "5",
        "min_age_s": "0.5",
        "timeout_s": 10,
        "sockets": "yes",
        "redact": "False",
        "agent": "no",
        "namespaces": "host",
        "gather": "ports, !conntrack",
    }
    assert check_options(given) == {
        "top": 5,
        "min_age_s": 0.5,
        "timeout_s": 10.0,
        "sockets": True,
        "redact": False,
        "agent": False,
        "namespaces": "host",
        "gather": ["ports", "!conntrack"],
    }
    assert set(given) == set(LOOK_OPTIONS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top", "many"),
        ("top", 0),
        ("top", 1001),
        ("top", 2.5),
        ("top", True),
        ("top", None),
        ("min_age_s", -1),
        ("min_age_s", "nan"),
        ("min_age_s", 1e300),
        ("timeout_s", 0),
        ("timeout_s", "inf"),
        ("timeout_s", [30]),
        ("sockets", "maybe"),
        ("redact", 2),
        ("namespaces", "blue"),
        ("namespaces", ["all"]),
        ("gather", "nonsense"),
        ("gather", {"a": 1}),
        ("gather", [1]),
        ("gather", ""),
        ("gather", []),
        ("gather", "!all"),
        ("gather", "close_wait,!close_wait"),
    ],
)
def test_nonsense_gets_one_sentence_that_names_the_variable(name: str, value: object) -> None:
    with pytest.raises(AuditOptionError) as refused:
        check_options({name: value}, "tcp_audit_")
    sentence = str(refused.value)
    assert re.match(rf"tcp_audit_{name}[ :]", sentence)
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_a_wrong_subset_is_said_once() -> None:
    names = (
        "all, close_wait, dead_sockets, time_wait, ports, listeners, descriptors, memory, conntrack, counters, sysctls"
    )
    for value, wrong in (("foo", "'foo' is not one of"), ("!all", "nothing is left to gather; name some of")):
        with pytest.raises(AuditOptionError) as refused:
            check_options({"gather": value}, "tcp_audit_")
        assert str(refused.value) == f"tcp_audit_gather: {wrong} {names}."


@pytest.mark.parametrize("gather", [(), ("",), ("!all",), ("ports", "!ports"), ("ports", "!all")])
def test_a_look_at_nothing_is_refused(gather: tuple[str, ...]) -> None:
    with pytest.raises(OptionsError, match=r"^gather: nothing is left to gather"):
        gather_subsets(gather)


def test_subsets() -> None:
    assert gather_subsets(("all",)) == set(GATHER_SUBSETS)
    assert gather_subsets(("!ports",)) == set(GATHER_SUBSETS) - {"ports"}
    assert gather_subsets(("!ports", "ports", "memory")) == {"memory"}


def test_long_and_hostile_values_are_not_echoed() -> None:
    with pytest.raises(AuditOptionError) as refused:
        check_options({"top": "\x1b[31m" + "x" * 100_000})
    assert len(str(refused.value)) < 200
    assert "\x1b" not in str(refused.value)


def test_typing_errors_in_names_are_refused_with_the_likeliest_name() -> None:
    check_variable_names(["tcp_audit_top", "other", "tcp_auditing"], "tcp_audit_", ["top", "store"])
    with pytest.raises(AuditOptionError, match=r"tcp_audit_tpo \(did you mean tcp_audit_top\?\): known are"):
        check_variable_names(["tcp_audit_tpo"], "tcp_audit_", ["top", "store"])


def test_the_summary_stays_small_and_counts_what_it_leaves_out() -> None:
    report = json.loads((REPORTS / "sick.json").read_text(encoding="utf-8"))
    small = host_summary(report, "/runs/x.json")
    assert small["totals"] == {
        "close_wait": 2441,
        "close_wait_offenders": 3,
        "close_wait_undecided": 3,
        "dead_sockets": 312,
        "time_wait": 11204,
    }
    assert all("evidence" not in finding for finding in small["findings"])
    assert len(small["findings"]) + small["findings_truncated"] == len(report["findings"])
    report["host"]["name"] = "ü" * 256
    report["findings"] *= 50
    large = host_summary(report, "/" + "x" * 4000)
    assert len(json.dumps(large)) <= MAX_SUMMARY_BYTES < 4096
    assert len(large["findings"]) + large["findings_truncated"] == len(report["findings"])
