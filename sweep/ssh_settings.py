# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How one host is reached over ssh: what ssh_config(5), Ansible's variables and the command line say together."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.ssh_answer import ask_ssh, ssh_program
from ansible_collections.lastack.linux.sweep.ssh_command import command_words, text_of
from ansible_collections.lastack.linux.sweep.ssh_config_reader import read_config
from ansible_collections.lastack.linux.sweep.ssh_options import SettingsError, Word
from ansible_collections.lastack.linux.sweep.ssh_tokens import expanded, tokens_of, with_home
from ansible_collections.lastack.linux.sweep.ssh_values import (
    agent_of,
    files_of,
    is_on,
    known_hosts_of,
    methods_of,
    names_of,
    number_of,
    one_of,
    strictness,
    unless_none,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lastack.linux.sweep.ssh_answer import Answer

__all__ = ["Overrides", "SettingsError", "SshSettings", "hop_settings", "settings_for"]

_PORT = 22
_CHAIN = 8
# What ssh would do and a sweep does not; the value is the one that asks for nothing.
_NOT_FOLLOWED = {
    "knownhostscommand": "none",
    "pkcs11provider": "none",
    "bindinterface": "none",
    "remotecommand": "none",
    "sessiontype": "default",
}
# Later names win, as in Ansible's list of them.
_HOST = ("ansible_host", "ansible_ssh_host")
_PASSWORD = ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password")
# ssh.c, valid_hostname() and valid_ruser(): both become part of a shell's line.
_BAD_HOST = re.compile(r"^-|^$|[\s\x00-\x1f\x7f'`\"$\\;&<>|(){}]")
_BAD_USER = re.compile(r"^-|^$|[\x00-\x1f\x7f'`\";&<>|(){}]|\s-|\\$")


class Overrides(NamedTuple):
    """What the command line of the sweep says for every host; empty where it says nothing.

    As in Ansible, a host's own ``ansible_user`` and ``ansible_ssh_private_key_file`` win over these.
    """

    user: str = ""
    key_file: str = ""
    connect_timeout_s: float = 10.0


class SshSettings(NamedTuple):
    """The settings of a connection to one host, with every token of ssh_config(5) replaced.

    ``strict`` is "yes" (also where ssh would ask), "accept-new" or "no". ``proxy_jump`` are the hops as written
    ([user@]host[:port]), nearest first: ``hop_settings`` gives the settings of the last one. ``proxy_command`` is a
    shell's command line, or empty. ``methods`` are those of "publickey", "password" and "keyboard-interactive"
    that may be tried, the preferred one first. Algorithm names are OpenSSH's, in the wanted order.
    """

    host: str
    hostname: str
    port: int = 22
    user: str = ""
    identity_files: tuple[str, ...] = ()
    certificate_files: tuple[str, ...] = ()
    identities_only: bool = False
    identity_agent: str = ""
    methods: tuple[str, ...] = ("publickey",)
    proxy_jump: tuple[str, ...] = ()
    proxy_command: str = ""
    proxy_use_fdpass: bool = False
    user_known_hosts: tuple[str, ...] = ()
    global_known_hosts: tuple[str, ...] = ()
    revoked_host_keys: str = ""
    hash_known_hosts: bool = False
    strict: str = "yes"
    host_key_alias: str = ""
    host_key_algorithms: tuple[str, ...] = ()
    ca_signature_algorithms: tuple[str, ...] = ()
    public_key_algorithms: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()
    kex_algorithms: tuple[str, ...] = ()
    required_rsa_bits: int = 1024
    address_family: str = "any"
    bind_address: str = ""
    connect_timeout_s: float = 10.0
    keepalive_s: int = 0
    keepalive_count: int = 3
    config_files: tuple[str, ...] = ()
    depth: int = 0

    @property
    def known_name(self) -> str:
        """The name that known_hosts has for the host: the alias, the name, or ``[name]:port`` (sshd(8))."""
        return self.host_key_alias or (self.hostname if self.port == _PORT else f"[{self.hostname}]:{self.port}")


def settings_for(
    host: str,
    variables: Mapping[str, object],
    *,
    config_files: Sequence[str] = (),
    overrides: Overrides = Overrides(),  # noqa: B008 - immutable
) -> SshSettings:
    """Return how ``host`` of the inventory is reached.

    ``variables`` are the host's connection variables, templated: those of Ansible's ssh connection plugin
    (``ansible_host``, ``ansible_port``, ``ansible_user``, ``ansible_ssh_private_key_file``, ``ansible_ssh_args``,
    ``ansible_ssh_common_args``, ``ansible_ssh_extra_args``, ``ansible_ssh_host_key_checking``, their aliases); others
    are passed over. What comes from ansible.cfg or the environment is to be put there by the caller.
    ``config_files`` is one file that is read in place of the user's and the system's (ssh -F); nothing means these two.
    A password only decides whether password methods are tried; it is not kept.

    Raises ``SettingsError`` with one sentence: an option that is not understood, a broken file, a bad value.
    Source: ssh_config(5), asked of ``ssh -G`` where ssh is installed, and of paramiko's reader where it is not.
    """
    name = text_of(variables, _HOST) or host
    words = command_words(
        variables, user=overrides.user, key_file=overrides.key_file, connect_timeout_s=overrides.connect_timeout_s
    )
    files = [word.value for word in words if word.letter == "F"][-1:] or list(config_files)
    answer = _ask(words, files, name)
    return _settings(
        host,
        name,
        answer,
        files,
        connect_timeout_s=overrides.connect_timeout_s,
        with_password=bool(text_of(variables, _PASSWORD)),
    )


def hop_settings(settings: SshSettings) -> SshSettings | None:
    """Return the settings of the host through which ``settings.hostname`` is reached; None if it is reached directly.

    As ssh has it, a hop follows ssh_config(5) under its own name and takes nothing of the target's command line but
    the file of ``-F``; its own hop is the one before it in ``proxy_jump``. Raises ``SettingsError``, also for a loop.
    """
    if not settings.proxy_jump:
        return None
    *before, last = settings.proxy_jump
    if settings.depth >= _CHAIN:
        raise SettingsError(
            f"{one_line(settings.hostname, 100)} is behind more than {_CHAIN} jump hosts, or they go round in a circle"
        )
    user, name, port = _hop(last)
    words = [Word("J", ",".join(before))] if before else []
    words += [Word("l", user)] if user else []
    words += [Word("p", port)] if port else []
    try:
        answer = _ask(words, settings.config_files, name)
        return _settings(
            name,
            name,
            answer,
            settings.config_files,
            connect_timeout_s=settings.connect_timeout_s,
            depth=settings.depth + 1,
        )
    except SettingsError as error:
        raise SettingsError(f"the jump host {one_line(name, 100)}: {error}") from None


def _ask(words: Sequence[Word], files: Sequence[str], name: str) -> Answer:
    if _BAD_HOST.search(name):
        raise SettingsError(f"{one_line(repr(name), 100)} is no name that ssh takes for a host")
    program = ssh_program()
    plain = [word for word in words if word.letter != "F"]
    if program is None:
        return read_config(plain, files, name)
    arguments = [part for file in files for part in ("-F", file)]
    for letter, value in plain:
        arguments += [f"-{letter}", value] if value else [f"-{letter}"]
    return ask_ssh(program, arguments, name)


def _settings(  # noqa: PLR0913 - all of it goes into one answer
    host: str,
    asked: str,
    answer: Answer,
    files: Sequence[str],
    *,
    connect_timeout_s: float,
    with_password: bool = False,
    depth: int = 0,
) -> SshSettings:
    for option, nothing in _NOT_FOLLOWED.items():
        value = one_of(answer, option, nothing)
        if value.lower() != nothing:
            raise SettingsError(f"ssh's option {option} ({one_line(value, 80)}) is not followed by a sweep")
    hostname, user = one_of(answer, "hostname", asked), one_of(answer, "user", "")
    port = number_of(answer, "port", _PORT)
    if _BAD_HOST.search(hostname):
        raise SettingsError(f"{one_line(repr(hostname), 100)} is no name that ssh takes for a host")
    if _BAD_USER.search(user):
        raise SettingsError(f"{one_line(repr(user), 100)} is no name that ssh takes for a user")
    alias, jump = one_of(answer, "hostkeyalias", ""), unless_none(answer, "proxyjump")
    tokens = tokens_of(
        asked=one_of(answer, "host", asked),
        hostname=hostname,
        port=port,
        user=user,
        alias=alias,
        jump=jump,
        digest=one_of(answer, "controlpath", "")[1:],
    )
    way = {token: tokens[token] for token in "%hnpr"}
    timeout = number_of(answer, "connecttimeout", 0)
    given = max(1, math.ceil(connect_timeout_s))
    return SshSettings(
        host,
        hostname,
        port,
        user,
        identity_files=files_of(answer, "identityfile", tokens),
        certificate_files=files_of(answer, "certificatefile", tokens),
        identities_only=is_on(answer, "identitiesonly"),
        identity_agent=agent_of(answer, tokens),
        methods=methods_of(answer, with_password=with_password),
        proxy_jump=tuple(expanded(one, way, "ProxyJump") for one in jump.split(",") if one),
        proxy_command=expanded(unless_none(answer, "proxycommand"), way, "ProxyCommand"),
        proxy_use_fdpass=is_on(answer, "proxyusefdpass"),
        user_known_hosts=known_hosts_of(answer, "userknownhostsfile"),
        global_known_hosts=known_hosts_of(answer, "globalknownhostsfile"),
        revoked_host_keys=with_home(unless_none(answer, "revokedhostkeys")),
        hash_known_hosts=is_on(answer, "hashknownhosts"),
        strict=strictness(answer),
        host_key_alias=alias,
        host_key_algorithms=names_of(answer, "hostkeyalgorithms"),
        ca_signature_algorithms=names_of(answer, "casignaturealgorithms"),
        public_key_algorithms=names_of(answer, "pubkeyacceptedalgorithms"),
        ciphers=names_of(answer, "ciphers"),
        macs=names_of(answer, "macs"),
        kex_algorithms=names_of(answer, "kexalgorithms"),
        required_rsa_bits=number_of(answer, "requiredrsasize", 1024),
        address_family=one_of(answer, "addressfamily", "any"),
        bind_address=one_of(answer, "bindaddress", ""),
        connect_timeout_s=connect_timeout_s if timeout in {0, given} else float(timeout),
        keepalive_s=number_of(answer, "serveraliveinterval", 0),
        keepalive_count=number_of(answer, "serveralivecountmax", 3),
        config_files=tuple(files),
        depth=depth,
    )


def _hop(text: str) -> tuple[str, str, str]:
    """Return user, name and port of ``[user@]host[:port]`` or ``ssh://[user@]host[:port]``; empty where not given."""
    user, __, place = text.removeprefix("ssh://").rstrip("/").rpartition("@")
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(\d+))?", place)
    if bracketed:
        return user, bracketed[1], bracketed[2] or ""
    name, colon, port = place.partition(":")
    return (user, name, port) if colon and ":" not in port else (user, place, "")
