# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of a sweep: what ansible-core reads, as a sweep needs it, in a process of its own."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.sweep.inventory import (
    Entry,
    Inventory,
    InventoryError,
    Selection,
)

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
    with Inventory(selection) as inventory:
        entries = list(inventory.entries())
        assert tuple(entry.host for entry in entries) == inventory.hosts
    return {entry.host: entry for entry in entries}


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "hosts"


HOSTS = """
[web]
web-[1:3] ansible_port=2200
[db]
db-1 ansible_host="{{ addresses[inventory_hostname] }}" ansible_user=root
[all:vars]
ansible_ssh_common_args='-o ProxyJump={{ hostvars["web-1"].ansible_host | default("bastion") }}'
"""


def test_variables_are_those_of_groups_and_hosts_and_templated(tmp_path: Path) -> None:
    hosts = write(
        tmp_path,
        hosts=HOSTS,
        group_vars__web="ansible_user: www\nansible_become: true\nansible_become_user: '{{ ansible_user }}-adm'\n",
        group_vars__all="addresses: {db-1: 10.0.0.7}\n",
    )
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "web-2").write_text("ansible_python_interpreter: /opt/python\n", encoding="utf-8")
    found = read(Selection(sources=(str(hosts),)))
    assert list(found) == ["web-1", "web-2", "web-3", "db-1"]
    assert not any(entry.problem for entry in found.values())
    web, other, db = (found[name].variables for name in ("web-1", "web-2", "db-1"))
    assert (web["ansible_port"], web["ansible_user"], web["ansible_become_user"]) == (2200, "www", "www-adm")
    assert (web["ansible_become"], db["ansible_become"]) == (True, False)
    assert (web["ansible_python_interpreter"], other["ansible_python_interpreter"]) == ("auto", "/opt/python")
    assert (db["ansible_host"], db["ansible_user"]) == ("10.0.0.7", "root")
    assert db["ansible_ssh_common_args"] == "-o ProxyJump=bastion"


def test_what_the_inventory_leaves_open_comes_from_the_command_line_and_ansible_cfg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = write(tmp_path, hosts="a ansible_user=own\nb\n")
    (tmp_path / "ansible.cfg").write_text(
        "[defaults]\nremote_user = cfg\nprivate_key_file = /keys/cfg\nhost_key_checking = False\n"
        "[ssh_connection]\nssh_args = -o Ciphers=aes128-ctr\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("ANSIBLE_SSH_EXTRA_ARGS", "-o BatchMode=yes")
    found = read(Selection(sources=(str(hosts),)))
    assert [found[name].variables["ansible_user"] for name in "ab"] == ["own", "cfg"]
    assert found["b"].variables["ansible_ssh_private_key_file"] == "/keys/cfg"
    assert found["b"].variables["ansible_host_key_checking"] is False
    assert found["b"].variables["ansible_ssh_args"] == "-o Ciphers=aes128-ctr"
    assert found["b"].variables["ansible_ssh_extra_args"] == "-o BatchMode=yes"
    given = read(
        Selection(sources=(str(hosts),), user="cli", key_file="/keys/cli", become=True, extra_vars=("ansible_port=7",))
    )
    assert [given[name].variables["ansible_user"] for name in "ab"] == ["own", "cli"]
    assert given["b"].variables["ansible_ssh_private_key_file"] == "/keys/cli"
    assert (given["b"].variables["ansible_become"], given["b"].variables["ansible_port"]) == (True, 7)


@pytest.mark.parametrize("given", ["{ansible_port: '{{ 2000 + 22 }}'}", "ansible_port='{{ 2000 + 22 }}'"])
def test_templates_of_the_command_line_are_worked_out(given: str) -> None:
    found = read(Selection(sources=("one,",), extra_vars=(given,)))
    assert str(found["one"].variables["ansible_port"]) == "2022"


def test_limits_and_patterns_select(tmp_path: Path) -> None:
    hosts = write(tmp_path, hosts=HOSTS, names="web-3\ndb-1\n", group_vars__all="addresses: {db-1: 10.0.0.7}\n")
    sources = (str(hosts),)
    assert list(read(Selection(sources=sources, pattern="web:!web-2"))) == ["web-1", "web-3"]
    assert list(read(Selection(sources=sources, pattern="web", limit=f"@{tmp_path / 'names'}"))) == ["web-3"]
    assert list(read(Selection(sources=("one,two",)))) == ["one", "two"]
    local = read(Selection(sources=sources, pattern="localhost"))
    assert local["localhost"].variables["ansible_connection"] == "local"


def test_one_host_s_broken_template_is_its_own_trouble(tmp_path: Path) -> None:
    hosts = write(tmp_path, hosts='good\nbad ansible_host="{{ nobody_knows }}"\nlast\n')
    found = read(Selection(sources=(str(hosts),)))
    assert [bool(entry.problem) for entry in found.values()] == [False, True, False]
    assert "nobody_knows" in found["bad"].problem


VAULT = "correct horse"


def encrypted(text: str) -> str:
    from ansible.parsing.vault import VaultLib, VaultSecret  # noqa: PLC0415 - reads ansible.cfg, which is the fixture's

    secret = VaultSecret(VAULT.encode("ascii"))
    data: bytes = VaultLib([("default", secret)]).encrypt(text, secret)
    return data.decode("ascii")


@pytest.mark.parametrize("by_file", [False, True])
def test_the_vault_opens(tmp_path: Path, *, by_file: bool) -> None:
    inline = encrypted("s3cret").replace("\n", "\n  ")
    hosts = write(
        tmp_path,
        hosts="a\n",
        host_vars__a=f"ansible_become_password: !vault |\n  {inline}\n",
        group_vars__all=encrypted("ansible_user: hidden\n"),
        key=f"{VAULT}\n",
    )
    selection = Selection(sources=(str(hosts),))
    known: dict[str, Any] = {"vault_files": (str(tmp_path / "key"),)} if by_file else {"vault_passwords": (VAULT,)}
    variables = read(selection._replace(**known))["a"].variables
    assert (variables["ansible_become_password"], variables["ansible_user"]) == ("s3cret", "hidden")
    with pytest.raises(InventoryError, match="ecrypt") as failed:
        read(selection._replace(vault_passwords=("mistyped",)))
    assert "mistyped" not in str(failed.value)


def riddles(folder: Path) -> Selection:
    inline = encrypted("s3cret").replace("\n", "\n  ")
    hosts = write(
        folder,
        hosts="plain\nfile\ninline\nlast\n",
        host_vars__file=encrypted("ansible_user: hidden\n"),
        host_vars__inline=f"ansible_user: !vault |\n  {inline}\n",
    )
    return Selection(sources=(str(hosts),))


def test_variables_that_no_secret_opens_are_their_host_s_own_trouble(tmp_path: Path) -> None:
    found = read(riddles(tmp_path)._replace(vault_passwords=("mistyped",)))
    assert [bool(entry.problem) for entry in found.values()] == [False, True, True, False]
    for name in ("file", "inline"):
        assert "ecrypt" in found[name].problem
        assert "mistyped" not in found[name].problem


@pytest.mark.parametrize("name", ["file", "inline"])
def test_the_first_host_s_locked_variables_are_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    selection = riddles(tmp_path)._replace(vault_passwords=("mistyped",), pattern=f"{name}:last")
    with pytest.raises(InventoryError, match=rf"{name}: .*ecrypt") as failed:
        read(selection)
    assert "--ask-vault-pass" not in str(failed.value)


def test_without_any_secret_locked_variables_are_an_error_that_says_what_is_wanted(tmp_path: Path) -> None:
    with Inventory(riddles(tmp_path)) as inventory:
        entries = inventory.entries()
        assert next(entries) == ("plain", next(iter(read(Selection(sources=("plain,",))).values())).variables, "")
        with pytest.raises(InventoryError, match=r"file: .*--ask-vault-pass"):
            next(entries)


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        (Selection(sources=("a,b",), pattern="web-*"), "No host of the inventory matches web-*."),
        (Selection(sources=("a,b",), limit="c"), "limit"),
        (Selection(sources=("a,b",), limit="@/nonexistent/names"), "/nonexistent/names"),
        (Selection(sources=("/nonexistent/hosts",)), "/nonexistent/hosts"),
    ],
)
def test_no_host_is_an_error_of_one_sentence(
    selection: Selection, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InventoryError) as failed:
        read(selection)
    assert said in str(failed.value)
    assert "\n" not in str(failed.value)
    assert "Traceback" not in capfd.readouterr().err


def test_a_source_that_cannot_be_read_takes_no_host_out_of_view(tmp_path: Path) -> None:
    good = write(tmp_path, hosts="a\n")
    bad = tmp_path / "bad.yml"
    bad.write_text("all: [not, {an: inventory\n", encoding="utf-8")
    with pytest.raises(InventoryError):
        read(Selection(sources=(str(good), str(bad))))


def test_what_a_plugin_prints_is_no_answer(tmp_path: Path) -> None:
    script = tmp_path / "hosts.py"
    script.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        "print('noise', file=sys.stderr)\n"
        "print(json.dumps({'all': {'hosts': ['x']}, '_meta': {'hostvars': {'x': {'ansible_port': 9}}}}))\n",
        encoding="utf-8",
    )
    script.chmod(0o755)
    assert read(Selection(sources=(str(script),)))["x"].variables["ansible_port"] == 9


def test_the_reader_ends_with_the_sweep(tmp_path: Path) -> None:
    many = tmp_path / "hosts"
    many.write_text("".join(f"host-{number}\n" for number in range(2000)), encoding="utf-8")
    with Inventory(Selection(sources=(str(many),))) as inventory:
        next(inventory.entries())
        program = inventory._program
        assert program.poll() is None
    assert program.poll() is not None
