# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue file, and the sentences that its loader has for a broken one."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.sysctl_drift import judge_sysctls
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import SysctlState
from ansible_collections.lastack.linux.plugins.plugin_utils import catalogue as module
from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import (
    PROFILES,
    CatalogueError,
    for_target,
    load_catalogue,
)

CATALOGUE = load_catalogue()
RAW: dict[str, Any] = yaml.safe_load(Path(module.__file__).with_name("catalogue.yml").read_text(encoding="utf-8"))

# Section 1 of the vetted baseline.
KEYS = [
    "net.ipv4.tcp_syn_retries",
    "net.ipv4.tcp_synack_retries",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_orphan_retries",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_tw_reuse_delay",
    "net.ipv4.tcp_tw_recycle",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_rfc1337",
    "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.tcp_retries2",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.core.somaxconn",
    "net.core.netdev_max_backlog",
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.core.rmem_max",
    "net.core.wmem_max",
    "net.ipv4.tcp_notsent_lowat",
    "net.ipv4.tcp_migrate_req",
    "net.ipv4.tcp_syn_linear_timeouts",
    "net.ipv4.tcp_rto_max_ms",
    "fs.file-max",
    "fs.nr_open",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_timeout_time_wait",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
]


def test_every_key_of_the_baseline_is_there() -> None:
    assert list(CATALOGUE.keys) == KEYS


def test_the_profiles_are_those_of_the_baseline() -> None:
    short = {
        name: {
            key.rsplit(".", 1)[1]: (entry["semantics"], entry["value"], entry["when"])
            for key, entry in CATALOGUE.profile(name).items()
        }
        for name in PROFILES
    }
    exact = {"tcp_syncookies": ("exactly", "1", "always"), "tcp_timestamps": ("exactly", "1", "always")}
    queue = {"somaxconn": ("at_least", "4096", "always")}
    ports = {
        "tcp_tw_reuse": ("exactly", "1", "port_pressure"),
        "ip_local_port_range": ("at_least", "16384 65535", "port_pressure"),
        "ip_local_reserved_ports": ("union", "", "port_pressure"),
    }

    def keepalive(seconds: str, when: str) -> dict[str, tuple[str, str, str]]:
        return {
            "tcp_keepalive_time": ("at_most", seconds, when),
            "tcp_keepalive_intvl": ("at_most", "30", when),
            "tcp_keepalive_probes": ("at_most", "5", when),
        }

    assert short == {
        "server": {**exact, **queue, **keepalive("300", "idle_cutter")},
        "client": {**exact, **ports, **keepalive("200", "always")},
        "mixed": {**exact, **queue, **ports, **keepalive("200", "always")},
    }


def test_no_profile_of_another_name() -> None:
    with pytest.raises(KeyError):
        CATALOGUE.profile("database")


def test_what_lastack_would_write_is_allowed_and_not_harmful() -> None:
    for name in PROFILES:
        for key, entry in CATALOGUE.profile(name).items():
            if not entry["value"]:
                continue
            first = int(entry["value"].split()[0])
            allowed = CATALOGUE.keys[key].allowed
            assert any(low <= first <= (first if high is None else high) for low, high in allowed), key
            assert judge_sysctls([state_of(key, entry["value"])], for_target(CATALOGUE)) == []


def state_of(key: str, value: str) -> SysctlState:
    return SysctlState(key, value, True, value, "a:1", value, "a:1", (), ())  # noqa: FBT003 - fields of a record


def test_what_travels_is_small_and_plain() -> None:
    travelling = for_target(CATALOGUE)
    assert list(travelling) == KEYS
    assert len(json.dumps(travelling)) < 8192
    assert json.loads(json.dumps(travelling)) == travelling
    assert travelling["net.ipv4.tcp_tw_recycle"]["removed"] == "4.12"
    assert travelling["net.ipv4.tcp_mem"]["namespace"] == "init"
    assert travelling["net.ipv4.tcp_rfc1337"] == {}


def test_changing_what_travels_leaves_the_catalogue_alone() -> None:
    for_target(CATALOGUE)["net.ipv4.tcp_syncookies"]["harmful"][0]["reason"] = "changed"
    assert for_target(CATALOGUE)["net.ipv4.tcp_syncookies"]["harmful"][0]["reason"] != "changed"


@pytest.mark.parametrize("name", KEYS)
def test_texts_are_sentences(name: str) -> None:
    key = CATALOGUE.keys[name]
    for text in (key.summary, key.recommendation, key.reason, *(rule["reason"] for rule in key.harmful)):
        assert text.endswith(".")
        assert not text[0].islower()
        assert "  " not in text


def test_the_defaults_are_this_kernels() -> None:
    """Only what no distribution changes and what a new network namespace gets as well."""
    for name in ("net.ipv4.tcp_rto_max_ms", "net.ipv4.tcp_tw_reuse_delay", "net.ipv4.tcp_syn_linear_timeouts"):
        path = Path("/proc/sys") / name.replace(".", "/")
        if path.exists():
            assert path.read_text().strip() == CATALOGUE.keys[name].default


def broken(tmp_path: Path, key: str, **changes: object) -> Path:
    data = copy.deepcopy(RAW)
    for field, value in changes.items():
        if value is ...:
            del data["keys"][key][field]
        else:
            data["keys"][key][field] = value
    return written(tmp_path, data)


def written(tmp_path: Path, data: object) -> Path:
    path = tmp_path / "catalogue.yml"
    path.write_text(yaml.safe_dump(data))
    return path


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"summary": ...}, "lacks summary"),
        ({"summary": ""}, "summary: is a sentence"),
        ({"colour": "red"}, "has unknown fields: colour"),
        ({"namespace": "host"}, "namespace: is 'host', not one of ns, ro, init, global"),
        ({"semantics": "maybe"}, "semantics: is 'maybe'"),
        ({"semantics": "leave"}, "is left alone and yet has profiles"),
        ({"default": 1}, "default: is text or null"),
        ({"default": None}, "has a default or a default_rule"),
        ({"removed": 4.12}, "removed: is a quoted kernel version"),
        ({"range": [2, 1]}, "range: begins above its end"),
        ({"range": "1..2"}, "range: is a list of two numbers"),
        ({"allowed": [[None, 1]]}, "allowed: every range has a beginning"),
        ({"allowed": 1}, "allowed: is a list"),
        ({"accepts": [1]}, "accepts: is a list of quoted values"),
        ({"harmful": {}}, "harmful: is a list of rules"),
        ({"harmful": [{"below": 1}]}, "harmful: lacks reason"),
        ({"harmful": [{"reason": "R."}]}, "harmful: has 0 conditions"),
        ({"harmful": [{"reason": "R.", "below": 1, "above": 2}]}, "harmful: has 2 conditions"),
        ({"harmful": [{"reason": "R.", "below": "1"}]}, "below is a number"),
        ({"harmful": [{"reason": "R.", "below": True}]}, "below is a number"),
        ({"harmful": [{"reason": "R.", "any": False}]}, "any is true or absent"),
        ({"harmful": [{"reason": "R.", "equals": []}]}, "equals is a list of numbers"),
        ({"harmful": [{"reason": "R.", "between": [1, None]}]}, "between has two ends"),
        ({"harmful": [{"reason": "R.", "below": 1, "severity": "loud"}]}, "severity: is 'loud'"),
        ({"harmful": [{"reason": "R.", "below": 1, "only_if_set": 1}]}, "only_if_set is true or false"),
        ({"profiles": []}, "profiles: is no mapping"),
        ({"profiles": {"db": {}}}, "profiles: is 'db'"),
        ({"profiles": {"server": {"value": 1, "when": "always"}}}, "has its value in quotes"),
        ({"profiles": {"server": {"value": "1", "when": "never"}}}, "when: is 'never'"),
        ({"option": {"semantics": "at_most"}}, "option: lacks reason, value"),
        ({"option": {"semantics": "at_most", "value": 1, "reason": "R."}}, "option: has its value in quotes"),
    ],
)
def test_a_fault_is_named_with_its_place(changes: dict[str, object], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(broken(tmp_path, "net.core.somaxconn", **changes))
    assert str(caught.value).startswith("net.core.somaxconn: ")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "catalogue.yml: holds exactly keys and limits"),
        ({"keys": {}}, "catalogue.yml: holds exactly keys and limits"),
        ({"keys": {}, "limits": {"a": {}}}, "keys: is a mapping"),
        ({"keys": {"Bad Key": {}}, "limits": RAW["limits"]}, "Bad Key: is no dotted sysctl key"),
        ({"keys": {1: {}}, "limits": RAW["limits"]}, "1: is no dotted sysctl key"),
        ({"keys": {"a.b": 1}, "limits": RAW["limits"]}, "a.b: is no mapping"),
        ({"keys": RAW["keys"], "limits": {"L": {}}}, "L: lacks"),
        (
            {"keys": RAW["keys"], "limits": {"L": {**RAW["limits"]["LimitNOFILE"], "profiles": ["x"]}}},
            "L: profiles: is 'x'",
        ),
    ],
)
def test_a_fault_of_the_whole_file(data: object, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(written(tmp_path, data))
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe\x00", b"keys: !!python/object:os.system {}"])
def test_no_yaml(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "catalogue.yml"
    path.write_bytes(content)
    with pytest.raises(CatalogueError, match=r"catalogue.yml: no YAML"):
        load_catalogue(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_catalogue(tmp_path / "none.yml")
