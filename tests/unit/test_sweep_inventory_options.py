# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the ssh plug-in's options an inventory's reader hands on: also those that a sweep refuses to pass over."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.sweep import inventory
from ansible_collections.lastack.linux.sweep.inventory import Entry, Inventory, Selection
from ansible_collections.lastack.linux.sweep.ssh_settings import SettingsError, settings_for

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_ansible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ANSIBLE_")]:
        monkeypatch.delenv(name)
    (tmp_path / "ansible.cfg").write_text("[defaults]\nlocalhost_warning = False\n", encoding="utf-8")
    monkeypatch.setenv("ANSIBLE_CONFIG", str(tmp_path / "ansible.cfg"))
    monkeypatch.setenv("HOME", str(tmp_path))


def read(selection: Selection) -> dict[str, Entry]:
    with Inventory(selection) as entries:
        return {entry.host: entry for entry in entries.entries()}


def test_what_a_sweep_does_not_follow_is_handed_on_to_be_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text(
        "key ansible_private_key=PEM\nold-name ansible_ssh_private_key=PEM\n"
        "card ansible_ssh_pkcs11_provider=/lib/card.so\nprogram ansible_ssh_executable=/opt/wrapper\nplain\n",
        encoding="ascii",
    )
    found = {name: entry.variables for name, entry in read(Selection(sources=(str(hosts),))).items()}
    names = ("ansible_ssh_private_key", "ansible_ssh_pkcs11_provider", "ansible_ssh_executable")
    assert {host: tuple(found[host].get(name) for name in names) for host in found} == {
        "key": ("PEM", None, "ssh"),
        "old-name": ("PEM", None, "ssh"),
        "card": (None, "/lib/card.so", "ssh"),
        "program": (None, None, "/opt/wrapper"),
        "plain": (None, None, "ssh"),
    }
    for host in ("key", "old-name", "card", "program"):
        with pytest.raises(SettingsError, match="is not followed by a sweep"):
            settings_for(host, found[host], config_files=("none",))
    assert settings_for("plain", found["plain"], config_files=("none",)).hostname == "plain"
    monkeypatch.setenv("ANSIBLE_SSH_EXECUTABLE", "/opt/wrapper")
    assert read(Selection(sources=("a,",)))["a"].variables["ansible_ssh_executable"] == "/opt/wrapper"


OLDER = """
import runpy
from ansible import constants
now = constants.config.get_configuration_definitions
def then(*arguments, **named):
    return {name: one for name, one in now(*arguments, **named).items() if not name.startswith("private_key")}
constants.config.get_configuration_definitions = then
runpy.run_path(%r, run_name="__main__")
"""


def test_an_option_that_this_ansible_core_does_not_have_is_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ansible-core 2.16 to 2.18 know no private_key, and no passphrase."""
    reader = tmp_path / "reader.py"
    reader.write_text(OLDER % str(inventory._READER), encoding="utf-8")
    monkeypatch.setattr(inventory, "_READER", reader)
    entry = read(Selection(sources=("a,",), user="ops"))["a"]
    assert (entry.problem, entry.variables["ansible_user"]) == ("", "ops")
