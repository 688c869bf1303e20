# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile, own settings, exclusions and catalogue become the one list that a host gets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from ansible_collections.lastack.linux.plugins.module_utils.tune.settings import parse_settings
from ansible_collections.lastack.linux.plugins.plugin_utils.baseline_settings import (
    BaselineError,
    baseline_settings,
    removable,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import PROFILES, load_catalogue

if TYPE_CHECKING:
    from pathlib import Path

CATALOGUE = load_catalogue()
SOMAXCONN, REUSE, RECYCLE = "net.core.somaxconn", "net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_tw_recycle"
KEEPALIVE = "net.ipv4.tcp_keepalive_time"


def built(**options: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 - the options of the function
    return {setting["key"]: setting for setting in baseline_settings(CATALOGUE, **options)}


def own(key: str, value: object, **fields: object) -> dict[str, dict[str, Any]]:
    return built(settings=[{"key": key, "value": value, **fields}])


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_what_the_catalogue_says(profile: str) -> None:
    settings = built(profile=profile)
    said = CATALOGUE.profile(profile)
    assert set(settings) == set(said)
    for key, setting in settings.items():
        assert (setting["value"], setting["match"]) == (said[key]["value"], said[key]["match"])
        assert setting["needs"] == ("port_pressure" if said[key]["when"] == "port_pressure" else "")
        assert bool(setting["gated"]) == (said[key]["when"] == "idle_cutter")
        assert setting["reason"]
        assert setting["never"] == ""
    assert json.loads(json.dumps(settings)) == settings
    # The module reads it with the same parser.
    assert [setting.key for setting in parse_settings(list(settings.values()))] == list(settings)


def test_keepalive_of_a_server_needs_the_word_of_the_operator() -> None:
    assert "idle_cutter" in built(profile="server")[KEEPALIVE]["gated"]
    assert built(profile="server", idle_cutter=True)[KEEPALIVE]["gated"] == ""


def test_ports_are_reserved_before_the_range_grows() -> None:
    keys = list(built(profile="client"))
    assert keys.index("net.ipv4.ip_local_reserved_ports") < keys.index("net.ipv4.ip_local_port_range")


def test_an_own_value_replaces_the_profiles_and_its_gate() -> None:
    settings = built(profile="client", settings=[{"key": "net/ipv4/tcp_tw_reuse", "value": 1}])
    assert list(settings) == list(built(profile="client"))
    assert (settings[REUSE]["needs"], settings[REUSE]["value"], settings[REUSE]["match"]) == ("", "1", "exact")


def test_own_keys_follow_the_profile_in_their_order() -> None:
    extra = [{"key": "net.ipv4.tcp_sack", "value": "1"}, {"key": "net.ipv4.tcp_fin_timeout", "value": "30"}]
    assert list(built(profile="server", settings=extra))[-2:] == ["net.ipv4.tcp_sack", "net.ipv4.tcp_fin_timeout"]


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        (SOMAXCONN, "8192", "at_least"),
        ("net.ipv4.tcp_fin_timeout", "30", "at_most"),
        ("net.ipv4.ip_local_port_range", "20000 65535", "wider"),
        ("net.ipv4.ip_local_reserved_ports", "8080,9000-9010", "union"),
        ("net.ipv4.tcp_sack", "1", "exact"),
        ("net.ipv4.tcp_rfc1337", "1", "exact"),
    ],
)
def test_the_rule_is_the_catalogues_unless_named(key: str, value: str, match: str) -> None:
    assert own(key, value)[key]["match"] == match
    assert own(key, value, match="exact")[key]["match"] == "exact"
    assert own(key, value)[key]["never"] == ""


def test_what_the_kernel_takes_and_what_is_vetted_travels() -> None:
    setting = own("net.ipv4.tcp_syn_retries", "4")["net.ipv4.tcp_syn_retries"]
    assert (setting["range"], setting["allowed"], setting["scope"]) == ([1, 127], [[3, 127]], "ns")
    unknown = own("net.ipv4.tcp_sack", "1")["net.ipv4.tcp_sack"]
    assert (unknown["range"], unknown["allowed"], unknown["scope"]) == ([None, None], [], "")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (RECYCLE, "1", "behind NAT"),
        (RECYCLE, "0", "behind NAT"),
        ("net.ipv4.tcp_mem", "1 2 3", "fits it to the machine"),
        ("net.ipv4.tcp_syncookies", "0", "drops new connections"),
        ("net.ipv4.tcp_timestamps", "0", "old segments"),
        ("net.ipv4.tcp_orphan_retries", "3", "truncated"),
        ("net.ipv4.tcp_fin_timeout", "75", "Above 60"),
        (KEEPALIVE, "10", "first short outage"),
        ("net.ipv4.tcp_syn_retries", "2", "3 to 127"),
        ("net.ipv4.ip_local_port_range", "500 65535", "1024"),
        (SOMAXCONN, "64", "cut below"),
    ],
)
def test_what_is_not_vetted_is_refused_with_the_reason(key: str, value: str, words: str) -> None:
    assert words in own(key, value)[key]["never"]


def test_exclusions_hold_for_profile_and_own_settings() -> None:
    settings = built(
        profile="server",
        settings=[{"key": "net.ipv4.tcp_sack", "value": "1"}],
        exclude=[SOMAXCONN, "net/ipv4/tcp_sack"],
    )
    assert SOMAXCONN not in settings
    assert "net.ipv4.tcp_sack" not in settings
    # A key of another profile may be excluded for all hosts.
    assert built(profile="server", exclude=[REUSE]) == built(profile="server")


def test_every_setting_of_the_old_snippet_is_taken_or_refused_as_its_verdict_says() -> None:
    for verdict in CATALOGUE.snippet:
        key, __, value = verdict.setting.partition(" = ")
        refused = bool(own(key, value)[key]["never"])
        if verdict.verdict in ("keep", "optional", "gated"):
            assert not refused, key
        if verdict.verdict == "never":
            assert refused, key


def test_names_alone_are_enough_where_nothing_is_written() -> None:
    (setting,) = baseline_settings(CATALOGUE, settings=[{"key": RECYCLE}], values=False)
    assert (setting["key"], setting["value"], setting["never"]) == (RECYCLE, "", "")


def test_lines_that_may_be_removed() -> None:
    assert removable(CATALOGUE) == {RECYCLE: CATALOGUE.never[RECYCLE].reason}


def test_a_value_of_an_own_catalogue_is_held_to_the_ranges(tmp_path: Path) -> None:
    own = {
        "summary": "Ours.",
        "scope": "ns",
        "reason": "Ours.",
        "match": "exact",
        "profiles": {"server": {"value": "-1", "when": "always"}},
    }
    path = tmp_path / "catalogue.yml"
    path.write_text(yaml.safe_dump({"keys": {"net.ipv4.tcp_fin_timeout": own}}))
    settings = baseline_settings(load_catalogue(path), profile="server")
    (setting,) = [one for one in settings if one["key"] == "net.ipv4.tcp_fin_timeout"]
    assert setting["never"] == (
        "-1 is outside of what is safe to set (1 to 60, 90 and more): "
        "The kernel takes zero and negative times without an error."
    )
    path.write_text(
        yaml.safe_dump({"keys": {SOMAXCONN: {**own, "profiles": {"server": {"value": "on", "when": "always"}}}}})
    )
    with pytest.raises(BaselineError, match=r"^The catalogue \(net.core.somaxconn\): the value 'on' is a boolean"):
        baseline_settings(load_catalogue(path), profile="server")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"profile": "database"}, "profile is 'database', not one of server, client, mixed."),
        ({"settings": [{"key": SOMAXCONN, "value": True}]}, 'write value: "1"'),
        ({"settings": [{"key": SOMAXCONN}]}, "Entry 1 of settings (net.core.somaxconn) has no value."),
        ({"settings": ["net.core.somaxconn=1"]}, "Entry 1 of settings is no mapping"),
        ({"settings": [{"value": "1"}]}, "Entry 1 of settings has no key."),
        (
            {"settings": [{"key": SOMAXCONN, "value": "many"}]},
            "Entry 1 of settings (net.core.somaxconn): match at_least needs",
        ),
        (
            {"settings": [{"key": SOMAXCONN, "value": "1", "colour": 1}]},
            "Entry 1 of settings (net.core.somaxconn) has 'colour', "
            "which is none of key, value, match, reason, persist.",
        ),
        (
            {"settings": [{"key": REUSE, "value": "1"}, {"key": SOMAXCONN, "value": "1", "allowed": []}]},
            "Entry 2 of settings (net.core.somaxconn) has 'allowed', "
            "which is none of key, value, match, reason, persist.",
        ),
        (
            {"settings": [{"key": SOMAXCONN, "value": "1"}, {"key": "net/core/somaxconn", "value": "2"}]},
            "Entry 1 of settings and entry 2 of settings both set net.core.somaxconn; name each key once.",
        ),
        ({"exclude": ["net.core.somaxcon"]}, "exclude names net.core.somaxcon, which neither"),
        ({"exclude": ["../../etc/passwd"]}, "exclude names"),
    ],
)
def test_a_mistake_is_one_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BaselineError) as caught:
        built(**options)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
