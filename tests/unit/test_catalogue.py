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
    SCHEMA,
    CatalogueError,
    for_target,
    load_catalogue,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema
from jsonschema import Draft202012Validator

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
            key.rsplit(".", 1)[1]: (entry["match"], entry["value"], entry["when"])
            for key, entry in CATALOGUE.profile(name).items()
        }
        for name in PROFILES
    }
    exact = {"tcp_syncookies": ("exact", "1", "always"), "tcp_timestamps": ("exact", "1", "always")}
    queue = {"somaxconn": ("at_least", "4096", "always")}
    ports = {
        "tcp_tw_reuse": ("exact", "1", "port_pressure"),
        "ip_local_port_range": ("wider", "16384 65535", "port_pressure"),
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
def test_an_entry_is_complete_and_in_sentences(name: str) -> None:
    key = CATALOGUE.keys[name]
    sentences = (key.summary, key.recommendation, key.reason, key.improves, key.cannot, key.risk)
    for text in (*sentences, *(rule["reason"] for rule in key.harmful)):
        assert text.endswith(".")
        assert "  " not in text
    assert not any(text[0].islower() for text in sentences if not text.startswith("connect()"))
    assert key.unit
    assert key.effect
    assert key.source
    assert key.default is not None or key.default_rule


def test_no_setting_is_said_to_help_close_wait() -> None:
    assert not [key.name for key in CATALOGUE.keys.values() if "CLOSE_WAIT" in key.improves]
    assert "only the program" in CATALOGUE.close_wait


def test_the_schema_is_one_and_holds_the_catalogue() -> None:
    schema = load_schema(SCHEMA)
    Draft202012Validator.check_schema(schema)
    assert list(Draft202012Validator(schema).iter_errors(RAW)) == []


def test_a_gated_value_names_evidence_that_is_explained() -> None:
    gates = {value["when"] for key in CATALOGUE.keys.values() for value in key.profiles.values()} - {"always"}
    assert gates == set(CATALOGUE.evidence) == {"port_pressure", "idle_cutter"}


def test_the_never_list() -> None:
    assert {name: never.remove for name, never in CATALOGUE.never.items()} == {
        "net.ipv4.tcp_tw_recycle": True,
        "net.ipv4.tcp_mem": False,
    }


def test_every_setting_of_the_old_snippet_has_a_verdict() -> None:
    verdicts = {verdict.setting: verdict.verdict for verdict in CATALOGUE.snippet}
    assert verdicts == {
        "net.ipv4.tcp_syn_retries = 2": "modify",
        "net.ipv4.tcp_synack_retries = 2": "modify",
        "net.ipv4.tcp_keepalive_time = 1200": "modify",
        "net.ipv4.tcp_keepalive_probes = 5": "keep",
        "net.ipv4.tcp_orphan_retries = 3": "drop",
        "net.ipv4.tcp_fin_timeout = 30": "optional",
        "net.ipv4.tcp_max_syn_backlog = 4096": "drop",
        "net.ipv4.tcp_syncookies = 1": "keep",
        "net.ipv4.tcp_tw_reuse = 1": "gated",
        "net.ipv4.tcp_tw_recycle = 1": "never",
        "net.core.netdev_max_backlog = 3000": "drop",
    }
    for verdict in CATALOGUE.snippet:
        key, __, value = verdict.setting.partition(" = ")
        entry = CATALOGUE.keys[key]
        profiled = [profile for profile in entry.profiles.values() if profile["value"] == value]
        # What the verdict says is what the profiles and the option do.
        assert (verdict.verdict == "never") == (entry.never is not None)
        assert (verdict.verdict == "keep") == any(profile["when"] != "port_pressure" for profile in profiled)
        assert (verdict.verdict == "gated") == any(profile["when"] == "port_pressure" for profile in profiled)
        assert (verdict.verdict == "optional") == (entry.option is not None and entry.option["value"] == value)


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
        ({"summary": ...}, "summary is missing"),
        ({"summary": ""}, "summary is"),
        ({"colour": "red"}, "colour is "),
        ({"scope": "host"}, 'scope is "host"'),
        ({"match": "maybe"}, 'match is "maybe"'),
        ({"match": ...}, "has profiles and no match"),
        ({"never": {"reason": "R."}}, "is never set and yet has profiles"),
        ({"never": True}, "never is true or false, not an object"),
        ({"default": 1}, "default is an integer, not a string"),
        ({"removed": 4.12}, "removed is a number, not a string"),
        ({"range": [2, 1]}, "range begins above its end"),
        ({"range": "1..2"}, "range is a string, not a list"),
        ({"allowed": [[None, 1]]}, "allowed has a range without a beginning"),
        ({"allowed": 1}, "allowed is an integer, not a list"),
        ({"accepts": [1]}, "accepts[0] is an integer, not a string"),
        ({"harmful": {}}, "harmful is an object, not a list"),
        ({"harmful": [{"below": 1}]}, "reason is missing"),
        ({"harmful": [{"reason": "R."}]}, "harmful has a rule with 0 conditions"),
        ({"harmful": [{"reason": "R.", "below": 1, "above": 2}]}, "harmful has a rule with 2 conditions"),
        ({"harmful": [{"reason": "R.", "below": "1"}]}, "below is a string"),
        ({"harmful": [{"reason": "R.", "below": True}]}, "below is true or false"),
        ({"harmful": [{"reason": "R.", "any": False}]}, "any is false, not true"),
        ({"harmful": [{"reason": "R.", "equals": []}]}, "equals has fewer than 1"),
        ({"harmful": [{"reason": "R.", "between": [1, None]}]}, "between[1] is null"),
        ({"harmful": [{"reason": "R.", "between": [2, 1]}]}, "harmful begins above its end"),
        ({"harmful": [{"reason": "R.", "below": 1, "severity": "loud"}]}, 'severity is "loud"'),
        ({"harmful": [{"reason": "R.", "below": 1, "only_if_set": 1}]}, "only_if_set is an integer"),
        ({"profiles": []}, "profiles is a list, not an object"),
        ({"profiles": {"db": {"value": "1", "when": "always"}}}, 'profiles.db is "db"'),
        ({"profiles": {"server": {"value": 1, "when": "always"}}}, "value is an integer, not a string"),
        ({"profiles": {"server": {"value": "1\n2", "when": "always"}}}, "value is"),
        ({"profiles": {"server": {"value": "1", "when": "never"}}}, 'when is "never"'),
        ({"option": {"match": "at_most"}}, "option.value is missing"),
        ({"option": {"match": "at_most", "value": 1, "reason": "R."}}, "value is an integer"),
    ],
)
def test_a_fault_is_named_with_its_place(changes: dict[str, object], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(broken(tmp_path, "net.core.somaxconn", **changes))
    assert str(caught.value).startswith("catalogue.yml: keys.net.core.somaxconn")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "is no mapping of keys and limits"),
        ({"colour": 1}, 'colour is "colour"'),
        ({"keys": []}, "keys is a list"),
        ({"keys": {"Bad Key": {}}}, "keys.Bad Key is"),
        ({"keys": {1: {}}}, "keys.1 is an integer"),
        ({"keys": {"a.b": 1}}, "keys.a.b is an integer, not an object"),
        ({"limits": {"LimitNOFILE": {}}}, "limits.LimitNOFILE.summary is missing"),
        ({"limits": {"LimitCORE": {}}}, "limits.LimitCORE is"),
        ({"limits": {"LimitNOFILE": {**RAW["limits"]["LimitNOFILE"], "profiles": ["x"]}}}, 'profiles[0] is "x"'),
        ({"evidence": {"moon": {}}}, "evidence.moon is"),
        ({"snippet": [{"setting": "a.b = 1", "verdict": "maybe", "today": "T."}]}, 'verdict is "maybe"'),
    ],
)
def test_a_fault_of_the_whole_file(data: object, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(written(tmp_path, data))
    assert str(caught.value).startswith("catalogue.yml: ")
    assert sentence in str(caught.value)


def test_a_catalogue_of_ones_own_adds_and_replaces(tmp_path: Path) -> None:
    own = {
        "net.core.somaxconn": {
            "summary": "Ours.",
            "scope": "ns",
            "reason": "Measured.",
            "match": "at_least",
            "profiles": {"server": {"value": "16384", "when": "always"}},
        },
        "net.ipv4.conf.eth0/100.rp_filter": {"summary": "New.", "scope": "ns", "reason": "Ours."},
    }
    catalogue = load_catalogue(written(tmp_path, {"keys": own}))
    assert list(catalogue.keys) == [*KEYS, "net.ipv4.conf.eth0/100.rp_filter"]
    assert catalogue.profile("server")["net.core.somaxconn"]["value"] == "16384"
    # A replaced entry is replaced as a whole, except for what is ever written.
    assert "net.core.somaxconn" not in catalogue.profile("mixed")
    assert catalogue.keys["net.core.somaxconn"].allowed == CATALOGUE.keys["net.core.somaxconn"].allowed
    assert catalogue.keys["net.core.somaxconn"].improves == ""
    assert load_catalogue() == CATALOGUE


BARE = {"summary": "Ours.", "scope": "ns", "reason": "Ours."}
NEVER = "lastack never writes this key, and a catalogue of your own cannot lift that: It dropped connections of clients"


@pytest.mark.parametrize(
    ("key", "entry", "sentence"),
    [
        ("net.ipv4.tcp_tw_recycle", {}, NEVER),
        (
            "net.ipv4.tcp_fin_timeout",
            {"allowed": [[-1, 60]]},
            "allowed -1 to 60 holds values that do harm, and a catalogue of your own cannot lift that: "
            "The kernel takes zero and negative times without an error.",
        ),
        ("net.ipv4.tcp_fin_timeout", {"allowed": [[1, 20], [50, 61]]}, "allowed 50 to 61 holds values that do harm"),
        ("net.ipv4.tcp_fin_timeout", {"allowed": [[1, None]]}, "allowed 1 and more holds values that do harm"),
        ("net.ipv4.tcp_syncookies", {"allowed": [[0, 1]]}, "A full SYN queue drops new connections"),
        ("net.core.somaxconn", {"allowed": [[127, 65535]]}, "cut below what any kernel had"),
    ],
)
def test_a_catalogue_of_ones_own_lifts_nothing(
    key: str, entry: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(written(tmp_path, {"keys": {key: {**BARE, **entry}}}))
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("catalogue.yml: keys.net")


def test_what_a_catalogue_of_ones_own_allows_beyond_the_vetted_is_said(tmp_path: Path) -> None:
    own = {"net.core.somaxconn": {**BARE, "allowed": [[128, 65535]]}, "net.x.y": {**BARE, "allowed": [[1, 1]]}}
    catalogue = load_catalogue(written(tmp_path, {"keys": own}))
    assert catalogue.keys["net.core.somaxconn"].allowed == ((128, 65535),)
    assert catalogue.notes == (
        "catalogue.yml: net.core.somaxconn allows 128 to 65535, beyond what is vetted (4096 to 65535).",
    )


def test_a_catalogue_of_ones_own_may_be_stricter(tmp_path: Path) -> None:
    own = {
        "net.ipv4.tcp_fin_timeout": {**BARE, "allowed": [[15, 30], [40, 60]]},
        "net.ipv4.tcp_tw_recycle": {**BARE, "never": {"reason": "It broke our shop."}},
        "net.ipv4.tcp_sack": {**BARE, "allowed": [[1, 1]]},
    }
    catalogue = load_catalogue(written(tmp_path, {"keys": own}))
    keys = catalogue.keys
    assert catalogue.notes == ()
    assert keys["net.ipv4.tcp_fin_timeout"].allowed == ((15, 30), (40, 60))
    never = keys["net.ipv4.tcp_tw_recycle"].never
    assert never is not None
    assert (never.reason, never.remove) == ("It broke our shop.", True)


def test_the_whole_catalogue_may_be_ones_own(tmp_path: Path) -> None:
    assert load_catalogue(written(tmp_path, RAW)) == CATALOGUE


@pytest.mark.parametrize(
    "content",
    [b"a: [", b"\xff\xfe\x00", b"keys: !!python/object:os.system {}", b"keys: {}\nkeys: {}\n", b"[" * 5000],
)
def test_no_yaml(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "catalogue.yml"
    path.write_bytes(content)
    with pytest.raises(CatalogueError, match=r"catalogue.yml: no YAML"):
        load_catalogue(path)


def test_a_key_that_stands_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.yml"
    path.write_text("keys:\n  a.b: {}\n  a.c: {}\n  a.b: {}\n")
    with pytest.raises(CatalogueError, match=r"a\.b stands twice"):
        load_catalogue(path)


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(CatalogueError, match="larger than"):
        load_catalogue("/dev/zero")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_catalogue(tmp_path / "none.yml")
