# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a host is reached: Ansible's variables, ssh's arguments and ssh_config, with ssh and without it."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import socket
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.sweep import ssh_answer, ssh_config_reader, ssh_settings
from ansible_collections.lastack.linux.sweep.ssh_settings import (
    Overrides,
    SettingsError,
    SshSettings,
    hop_settings,
    settings_for,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

HAS_SSH = shutil.which("ssh") is not None
WITH_SSH = pytest.mark.skipif(not HAS_SSH, reason="ssh is not installed")
HOME = pwd.getpwuid(os.getuid()).pw_dir


@pytest.fixture(params=[pytest.param("ssh", marks=WITH_SSH), "paramiko"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to read ssh_config."""
    if request.param == "paramiko":
        monkeypatch.setattr(ssh_settings, "ssh_program", lambda: None)
    return str(request.param)


@pytest.fixture
def without_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_settings, "ssh_program", lambda: None)


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], tuple[str]]:
    """Write an ssh_config of the test's own."""

    def write(text: str) -> tuple[str]:
        path = tmp_path / "ssh_config"
        path.write_text(text, encoding="utf-8")
        return (str(path),)

    return write


def settled(variables: Mapping[str, object] | None = None, files: tuple[str, ...] = ("none",)) -> SshSettings:
    """The settings of web-1; without a file nothing of the machine's own ssh_config is read."""
    return settings_for("web-1", variables or {}, config_files=files)


def complaint(variables: Mapping[str, object], files: tuple[str, ...] = ("none",)) -> str:
    with pytest.raises(SettingsError) as error:
        settled(variables, files)
    text = str(error.value)
    assert "\n" not in text
    assert text
    return text


def test_the_variables_of_ansible_say_where_and_who(reader: str) -> None:
    found = settled(
        {
            "ansible_host": "192.0.2.7",
            "ansible_port": 2222,
            "ansible_user": "ops",
            "ansible_ssh_private_key_file": "/keys/ops",
        }
    )
    assert reader
    assert found.host == "web-1"
    assert (found.hostname, found.port, found.user) == ("192.0.2.7", 2222, "ops")
    assert found.identity_files == ("/keys/ops",)
    assert found.methods == ("publickey",)
    assert found.strict == "yes"
    assert found.proxy_jump == ()
    assert found.known_name == "[192.0.2.7]:2222"


def test_without_variables_it_is_the_inventory_s_name(reader: str) -> None:
    found = settled()
    assert reader
    assert (found.hostname, found.port, found.known_name) == ("web-1", 22, "web-1")
    assert found.user == pwd.getpwuid(os.getuid()).pw_name
    assert f"{HOME}/.ssh/id_ed25519" in found.identity_files
    assert found.user_known_hosts[0] == f"{HOME}/.ssh/known_hosts"
    assert found.global_known_hosts[0] == "/etc/ssh/ssh_known_hosts"


def test_the_later_of_ansible_s_names_wins() -> None:
    found = settled({"ansible_host": "old", "ansible_ssh_host": "new", "ansible_user": "a", "ansible_ssh_user": "b"})
    assert (found.hostname, found.user) == ("new", "b")


def test_a_host_s_own_user_and_key_win_over_the_command_line(reader: str) -> None:
    overrides = Overrides(user="cli", key_file="/keys/cli", connect_timeout_s=0.3)
    own = {"ansible_user": "own", "ansible_ssh_private_key_file": "/keys/own"}
    assert reader
    found = settings_for("web-1", own, config_files=("none",), overrides=overrides)
    assert (found.user, found.identity_files, found.connect_timeout_s) == ("own", ("/keys/own",), 0.3)
    found = settings_for("web-1", {}, config_files=("none",), overrides=overrides)
    assert (found.user, found.identity_files, found.connect_timeout_s) == ("cli", ("/keys/cli",), 0.3)


def test_the_first_of_ansible_s_arguments_holds(reader: str) -> None:
    assert reader
    variables = {
        "ansible_ssh_args": "-o ConnectTimeout=3",
        "ansible_port": 23,
        "ansible_user": "variable",
        "ansible_ssh_common_args": "-p 24 -l common -o Port=25",
        "ansible_ssh_extra_args": "-o User=extra -o HostKeyAlias=extra",
    }
    found = settled(variables)
    assert (found.port, found.user, found.connect_timeout_s) == (23, "variable", 3.0)
    assert (found.host_key_alias, found.known_name) == ("extra", "extra")
    found = settled({**variables, "ansible_ssh_args": "-l args -p22"})
    assert (found.port, found.user, found.connect_timeout_s) == (22, "args", 10.0)


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        ("-o ProxyJump=a@b:23,c", "proxy_jump", ("a@b:23", "c")),
        ("-J 'a@b:23,c'", "proxy_jump", ("a@b:23", "c")),
        ("-oProxyJump=none", "proxy_jump", ()),
        ('-o ProxyCommand="ssh -W %h:%p -l %r %n b%%"', "proxy_command", "ssh -W 192.0.2.7:22 -l ops 192.0.2.7 b%"),
        ("-o 'ProxyCommand ssh -W %h:%p b'", "proxy_command", "ssh -W 192.0.2.7:22 b"),
        ("-o ProxyCommand=none", "proxy_command", ""),
        ("-o ProxyCommand=x -o ProxyUseFdpass=yes", "proxy_use_fdpass", True),
        ("-o StrictHostKeyChecking=no", "strict", "no"),
        ("-o StrictHostKeyChecking=off", "strict", "no"),
        ("-o stricthostkeychecking=accept-new", "strict", "accept-new"),
        ("-o StrictHostKeyChecking=ask", "strict", "yes"),
        ("-o UserKnownHostsFile=/dev/null", "user_known_hosts", ("/dev/null",)),
        ("-o 'UserKnownHostsFile=~/a /b/c'", "user_known_hosts", (f"{HOME}/a", "/b/c")),
        ("-o UserKnownHostsFile=none", "user_known_hosts", ()),
        ("-o GlobalKnownHostsFile=/etc/x", "global_known_hosts", ("/etc/x",)),
        ("-o RevokedHostKeys=/etc/revoked", "revoked_host_keys", "/etc/revoked"),
        ("-o HashKnownHosts=yes", "hash_known_hosts", True),
        ("-o IdentityFile=/a -o IdentityFile=~/b", "identity_files", ("/a", f"{HOME}/b")),
        ("-o IdentityFile=%d/%r-%n-%h.%p", "identity_files", (f"{HOME}/ops-192.0.2.7-192.0.2.7.22",)),
        ("-o IdentityFile=none", "identity_files", ()),
        ("-o CertificateFile=/a-cert.pub", "certificate_files", ("/a-cert.pub",)),
        ("-o IdentitiesOnly=yes", "identities_only", True),
        ("-o IdentityAgent=none", "identity_agent", "none"),
        ("-o IdentityAgent=SSH_AUTH_SOCK", "identity_agent", ""),
        ("-o IdentityAgent=~/agent", "identity_agent", f"{HOME}/agent"),
        ("-o Ciphers=aes128-ctr,aes256-ctr", "ciphers", ("aes128-ctr", "aes256-ctr")),
        ("-c aes128-ctr", "ciphers", ("aes128-ctr",)),
        ("-m hmac-sha2-256", "macs", ("hmac-sha2-256",)),
        ("-o KexAlgorithms=curve25519-sha256", "kex_algorithms", ("curve25519-sha256",)),
        ("-o HostKeyAlgorithms=ssh-ed25519", "host_key_algorithms", ("ssh-ed25519",)),
        ("-o CASignatureAlgorithms=ssh-ed25519", "ca_signature_algorithms", ("ssh-ed25519",)),
        ("-o AddressFamily=inet", "address_family", "inet"),
        ("-4", "address_family", "inet"),
        ("-6", "address_family", "inet6"),
        ("-b 127.0.0.1", "bind_address", "127.0.0.1"),
        ("-o ServerAliveInterval=15", "keepalive_s", 15),
        ("-o ServerAliveCountMax=7", "keepalive_count", 7),
        ("-o HostName=%h.example", "hostname", "192.0.2.7.example"),
        ("-4p2222", "port", 2222),
        ("-C -o ControlMaster=auto -o ControlPersist=60s -o ControlPath=/tmp/%C -o BatchMode=yes", "port", 22),
        ("-o Compression=yes -o LogLevel=ERROR -o TCPKeepAlive=no -o PermitLocalCommand=no -vvv -tt -A", "port", 22),
        ("-R 3128:localhost:3128 -L8080:localhost:80 -E /dev/null -o LocalForward='1 [::1]:2'", "port", 22),
    ],
)
def test_an_option_in_ansible_s_arguments_is_followed(reader: str, arguments: str, field: str, value: object) -> None:
    variables = {"ansible_host": "192.0.2.7", "ansible_user": "ops", "ansible_ssh_common_args": arguments}
    assert getattr(settled(variables), field) == value, reader


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"ansible_ssh_common_args": "-o NoSuchOption=1"}, ["nosuchoption"]),
        ({"ansible_ssh_extra_args": "-W host:22"}, ["ansible_ssh_extra_args", "-W"]),
        ({"ansible_ssh_extra_args": "-Z"}, ["ansible_ssh_extra_args", "-Z"]),
        ({"ansible_ssh_args": "-o Port=23 stray"}, ["ansible_ssh_args", "'stray'"]),
        ({"ansible_ssh_args": "-o"}, ["ansible_ssh_args", "-o", "needs a value"]),
        ({"ansible_ssh_args": "-o 'Port=1"}, ["ansible_ssh_args", "quotation"]),
        ({"ansible_ssh_args": "-o Port=abc"}, ["abc"]),
        ({"ansible_ssh_args": "-F /nonexistent/file"}, ["/nonexistent/file"]),
        ({"ansible_ssh_args": "-I /lib/pkcs11.so"}, ["pkcs11provider"]),
        ({"ansible_ssh_args": "-o KnownHostsCommand=/bin/true"}, ["knownhostscommand"]),
        ({"ansible_ssh_args": "-o BindInterface=lo"}, ["bindinterface"]),
        ({"ansible_ssh_args": "-o RemoteCommand=id"}, ["remotecommand"]),
        ({"ansible_ssh_args": "-o PreferredAuthentications=password"}, ["log in"]),
        ({"ansible_ssh_args": "-o PubkeyAuthentication=no"}, ["log in"]),
        ({"ansible_ssh_args": "-o ProxyCommand=%z"}, ["ProxyCommand", "%z"]),
        ({"ansible_ssh_args": "-o 'IdentityFile=${NO_SUCH_NAME}'"}, ["NO_SUCH_NAME"]),
        ({"ansible_port": 0}, ["ansible_port", "0"]),
        ({"ansible_port": "ssh"}, ["ansible_port", "ssh"]),
        ({"ansible_port": 65536}, ["ansible_port"]),
        ({"ansible_host": ["a"]}, ["ansible_host"]),
        ({"ansible_user": "a\0b"}, ["ansible_user", "NUL"]),
        ({"ansible_user": "$(id)"}, ["user"]),
        ({"ansible_user": "a;id"}, ["user"]),
        ({"ansible_host": "-oProxyCommand=id"}, ["host"]),
        ({"ansible_host": "a;id"}, ["host"]),
        ({"ansible_host": "a b"}, ["host"]),
        ({"ansible_ssh_private_key_file": 'a"b'}, ["ansible_ssh_private_key_file"]),
        ({"ansible_ssh_private_key": "-----BEGIN"}, ["ansible_ssh_private_key"]),
        ({"ansible_ssh_pkcs11_provider": "/lib/pkcs11.so"}, ["ansible_ssh_pkcs11_provider is not followed"]),
        ({"ansible_ssh_executable": "/opt/wrapper"}, ["ansible_ssh_executable is not followed", "/opt/wrapper"]),
        ({"ansible_ssh_executable": "/opt/ssh/wrapper"}, ["ansible_ssh_executable is not followed"]),
    ],
)
def test_what_is_not_followed_is_one_sentence(reader: str, variables: Mapping[str, object], words: list[str]) -> None:
    text = complaint(variables)
    for word in words:
        assert word.lower() in text.lower(), (reader, text)


def test_ssh_itself_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("", "ssh", "/usr/bin/ssh", "/opt/openssh/bin/ssh"):
        assert settled({"ansible_ssh_executable": name}).port == 22
    for name in ("ssh", "wrapper"):
        (tmp_path / name).write_text("#!/bin/sh\n", encoding="ascii")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "other-name").symlink_to(tmp_path / "ssh")
    monkeypatch.setattr(ssh_settings, "ssh_program", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert settled({"ansible_ssh_executable": "other-name"}).port == 22
    assert settled({"ansible_ssh_executable": str(tmp_path / "other-name")}).port == 22
    assert "not followed" in complaint({"ansible_ssh_executable": "wrapper"})


def test_an_option_of_ssh_that_only_ssh_knows_is_said(without_ssh: None) -> None:
    assert without_ssh is None
    assert "ciphers" in complaint({"ansible_ssh_args": "-o Ciphers=+aes128-cbc"})
    assert "canonicalizehostname" in complaint({"ansible_ssh_args": "-o CanonicalizeHostname=yes"})


def test_passwords_are_tried_only_if_there_is_one(reader: str) -> None:
    assert reader
    assert settled().methods == ("publickey",)
    with_password = {"ansible_password": "secret"}
    assert settled(with_password).methods == ("publickey", "keyboard-interactive", "password")
    fewer = {**with_password, "ansible_ssh_args": "-o PreferredAuthentications=password,gssapi-with-mic,publickey"}
    assert settled(fewer).methods == ("password", "publickey")
    fewer = {**with_password, "ansible_ssh_args": "-o PubkeyAuthentication=no -o KbdInteractiveAuthentication=no"}
    assert settled(fewer).methods == ("password",)
    assert "secret" not in repr(settled(with_password))


@pytest.mark.parametrize("value", [False, "False", "no", 0])
def test_ansible_s_host_key_checking(reader: str, value: object) -> None:
    assert settled({"ansible_host_key_checking": value}).strict == "no", reader
    assert settled({"ansible_ssh_host_key_checking": True}).strict == "yes"


def test_ssh_config_is_read_for_the_name(reader: str, config: Callable[[str], tuple[str]]) -> None:
    files = config(
        "Host web-*\n  HostName %h.example\n  Port 2022\n  User deploy\n  IdentityFile /k/%r\n"
        "Match originalhost db-1\n  User dba\n"
        "Host *\n  User root\n  ProxyJump bastion\n  IdentityFile /k/all\n  StrictHostKeyChecking accept-new\n"
    )
    web = settings_for("w", {"ansible_host": "web-1"}, config_files=files)
    assert (web.hostname, web.port, web.user, web.known_name) == (
        "web-1.example",
        2022,
        "deploy",
        "[web-1.example]:2022",
    )
    assert web.identity_files == ("/k/deploy", "/k/all")
    assert (web.proxy_jump, web.strict, web.config_files) == (("bastion",), "accept-new", files), reader
    db = settings_for("db-1", {"ansible_ssh_common_args": "-J other"}, config_files=files)
    assert (db.hostname, db.user, db.proxy_jump) == ("db-1", "dba", ("other",))


def test_tokens_stand_for_what_the_arguments_say(reader: str, config: Callable[[str], tuple[str]]) -> None:
    files = config("Host *\n  User root\n  IdentityFile ~/%r\n  ProxyCommand way %r %p\n  Port 23\n")
    found = settled({"ansible_user": "ops", "ansible_port": 24}, files)
    assert (found.identity_files, found.proxy_command) == ((f"{HOME}/ops",), "way ops 24"), reader


def test_a_jump_host_and_a_command_shut_each_other_out(reader: str, config: Callable[[str], tuple[str]]) -> None:
    files = config("Host web-*\n  ProxyCommand way\nHost *\n  ProxyJump bastion\n")
    found = settled({}, files)
    assert (found.proxy_jump, found.proxy_command) == ((), "way"), reader
    found = settled({"ansible_ssh_args": "-o ProxyJump=other"}, files)
    assert (found.proxy_jump, found.proxy_command) == (("other",), "")


def test_without_ssh_the_user_s_file_comes_before_the_system_s(
    without_ssh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert without_ssh is None
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text("Host *\n  Port 23\n", encoding="ascii")
    (tmp_path / "system").write_text("Host *\n  Port 24\n  HostName %h.example\n", encoding="ascii")
    monkeypatch.setattr(ssh_config_reader, "home", lambda: str(tmp_path))
    monkeypatch.setattr(ssh_config_reader, "SYSTEM_FILE", str(tmp_path / "system"))
    found = settled({}, ())
    assert (found.port, found.hostname) == (23, "web-1.example")


def test_the_file_of_a_host_s_own_arguments_wins(
    reader: str, config: Callable[[str], tuple[str]], tmp_path: Path
) -> None:
    files = config("Host *\n  Port 23\n")
    own = tmp_path / "own"
    own.write_text("Host *\n  Port 24\n", encoding="ascii")
    assert settled(files=files).port == 23, reader
    found = settled({"ansible_ssh_common_args": f"-F {own}"}, files)
    assert (found.port, found.config_files) == (24, (str(own),))


def test_a_broken_file_is_named_with_its_line(reader: str, config: Callable[[str], tuple[str]]) -> None:
    text = complaint({}, config("Host *\n  NoSuchOption 1\n"))
    assert "ssh_config" in text
    assert "nosuchoption" in text.lower(), reader


def test_what_paramiko_cannot_read_is_said(without_ssh: None, config: Callable[[str], tuple[str]]) -> None:
    assert without_ssh is None
    assert "line 2: Include" in complaint({}, config("# x\nInclude other\n"))
    assert "line 1: only Match" in complaint({}, config("Match user root\n  Port 23\n"))
    assert "does not exist" in complaint({}, ("/nonexistent/file",))


@WITH_SSH
def test_what_only_ssh_can_read_is_read(config: Callable[[str], tuple[str]], tmp_path: Path) -> None:
    (tmp_path / "more").write_text("Host web-1\n  Port 2022\n", encoding="ascii")
    files = config(
        f'Include {tmp_path}/more\nMatch user ops exec "test %h = web-1"\n  HostKeyAlias both\n'
        "Host *\n  Ciphers +aes128-cbc\n"
    )
    found = settled({"ansible_user": "ops"}, files)
    assert (found.port, found.host_key_alias) == (2022, "both")
    assert found.ciphers[-1] == "aes128-cbc"
    assert len(found.ciphers) > 1
    assert settled({"ansible_user": "other"}, files).host_key_alias == ""


@WITH_SSH
def test_the_digest_of_a_connection_is_ssh_s_own() -> None:
    found = settled({"ansible_ssh_args": "-o IdentityFile=/k/%C", "ansible_user": "ops"})
    text = socket.gethostname() + "web-1" + "22" + "ops"
    assert found.identity_files == (f"/k/{hashlib.sha1(text.encode()).hexdigest()}",)


@WITH_SSH
def test_a_path_with_a_space_stays_one_path(tmp_path: Path) -> None:
    folder = tmp_path / "my files"
    folder.mkdir()
    file, key = folder / "known hosts", folder / "id"
    file.touch()
    found = settled(
        {
            "ansible_ssh_args": f"-o 'UserKnownHostsFile=\"{file}\" /other'",
            "ansible_ssh_private_key_file": str(key),
        }
    )
    assert found.user_known_hosts == (str(file), "/other")
    assert found.identity_files == (str(key),)


@WITH_SSH
@pytest.mark.parametrize(
    "text",
    [
        "Host *\n  Port 2022\n  User root\n",
        "# no hosts\nUser root\nProxyJump bastion\n",
        "Host web-2\n  Port 2022\n",
        "Host !web-2 *\n  Port 2022\n",
        'Match host web-2\n  Port 2022\nMatch exec "test %h = web-3"\n  Port 2023\n',
        "Match host web-2\n  Port 2022\n",
        "HostName %h.example\n",
        "HostName web-1\n",
        "UserKnownHostsFile /k/%h\n",
        "IdentityFile /k/%n-%C\nProxyCommand ssh -W %h:%p b\n",
        "Include MORE\n",
        "ProxyJump web-2\n",
    ],
)
def test_hosts_share_an_answer_only_where_ssh_would_give_the_same(
    monkeypatch: pytest.MonkeyPatch, config: Callable[[str], tuple[str]], tmp_path: Path, text: str
) -> None:
    (tmp_path / "more").write_text("Host web-3\n  Port 2023\n", encoding="ascii")
    files = config(text.replace("MORE", str(tmp_path / "more")))
    hosts = ("web-1", "web-2", "web-3", "192.0.2.7", "WEB-2", "2001:db8::7", "bastion", "me@web-2")

    def every() -> list[SshSettings | str]:
        found: list[SshSettings | str] = []
        for host in hosts:
            try:
                found.append(settings_for("x", {"ansible_host": host}, config_files=files))
            except SettingsError as error:
                found.append(str(error))
        return found

    shared = every()
    monkeypatch.setattr(ssh_answer, "_may_differ", lambda __: True)
    monkeypatch.setattr(ssh_answer, "_ASKED", {})
    assert shared == every()


@WITH_SSH
def test_hosts_without_a_difference_cost_one_process(
    monkeypatch: pytest.MonkeyPatch, config: Callable[[str], tuple[str]]
) -> None:
    runs = []
    run = ssh_answer._run

    def counted(program: str, arguments: tuple[str, ...], host: str) -> object:
        runs.append(host)
        return run(program, arguments, host)

    monkeypatch.setattr(ssh_answer, "_run", counted)
    files = config("Host *\n  User root\n")
    found = [settings_for(f"web-{number}", {}, config_files=files) for number in range(50)]
    assert [one.hostname for one in found] == [f"web-{number}" for number in range(50)]
    assert runs == ["web-0"]
    config("Host web-1\n  User other\n")
    assert settings_for("web-1", {}, config_files=files).user == "other"
    assert settings_for("web-1", {}, config_files=files).user == "other"
    assert runs == ["web-0", "web-1"]


def test_an_ssh_that_hangs_or_is_gone_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\nexec sleep 61\n", encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setattr(ssh_settings, "ssh_program", lambda: str(program))
    monkeypatch.setattr(ssh_answer, "_WAIT_S", 0.2)
    assert "0.2 s" in complaint({})
    program.unlink()
    assert "cannot be run" in complaint({})


def test_the_hops_are_those_of_ssh(reader: str, config: Callable[[str], tuple[str]]) -> None:
    files = config(
        "Host inner\n  HostName 192.0.2.2\n  Port 2022\n  HostKeyAlias in\n"
        "Host outer\n  User jump\n  ConnectTimeout 4\n"
    )
    variables = {
        "ansible_ssh_common_args": "-J outer,me@inner:23 -o StrictHostKeyChecking=no -i /k/target",
        "ansible_user": "ops",
        "ansible_password": "secret",
    }
    target = settings_for("web-1", variables, config_files=files, overrides=Overrides(connect_timeout_s=2.5))
    inner = hop_settings(target)
    assert inner is not None, reader
    assert (inner.hostname, inner.port, inner.user, inner.known_name) == ("192.0.2.2", 23, "me", "in")
    # Nothing of the target's arguments holds for a hop.
    assert (inner.strict, inner.methods, inner.proxy_jump) == ("yes", ("publickey",), ("outer",))
    assert "/k/target" not in inner.identity_files
    assert (inner.connect_timeout_s, inner.config_files, inner.depth) == (2.5, files, 1)
    outer = hop_settings(inner)
    assert outer is not None
    assert (outer.hostname, outer.port, outer.user, outer.proxy_jump) == ("outer", 22, "jump", ())
    assert (outer.connect_timeout_s, outer.depth) == (4.0, 2)
    assert hop_settings(outer) is None


@pytest.mark.parametrize(
    ("hop", "user", "hostname", "port"),
    [
        ("bastion", "root", "bastion", 2022),
        ("a@b@bastion:23", "a@b", "bastion", 23),
        ("[2001:db8::1]:24", "root", "2001:db8::1", 24),
        ("2001:db8::1", "root", "2001:db8::1", 2022),
        ("ssh://me@bastion:25", "me", "bastion", 25),
    ],
)
def test_the_forms_of_a_hop(config: Callable[[str], tuple[str]], hop: str, user: str, hostname: str, port: int) -> None:
    files = config("Host *\n  User root\n  Port 2022\n")
    found = hop_settings(SshSettings("web-1", "web-1", proxy_jump=(hop,), config_files=files))
    assert found is not None
    assert (found.user, found.hostname, found.port) == (user, hostname, port)


def test_jump_hosts_that_go_round_are_a_sentence(reader: str, config: Callable[[str], tuple[str]]) -> None:
    files = config("Host a\n  ProxyJump b\nHost b\n  ProxyJump a\nHost *\n  ProxyJump a\n")
    found: SshSettings | None = settings_for("web-1", {}, config_files=files)

    def follow() -> None:
        hop = found
        for __ in range(100):
            assert hop is not None
            hop = hop_settings(hop)

    with pytest.raises(SettingsError, match=r"circle|loop"):
        follow()
    assert reader


def test_a_hop_that_cannot_be_followed_is_named(reader: str, config: Callable[[str], tuple[str]]) -> None:
    files = config("Host bastion\n  RemoteCommand id\n")
    with pytest.raises(SettingsError, match=r"the jump host bastion: .*remotecommand"):
        hop_settings(settings_for("web-1", {"ansible_ssh_args": "-J bastion"}, config_files=files))
    assert reader
