# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How one host is reached over ssh: what ssh_config(5), Ansible's variables and the command line say together."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.plugins.plugin_utils.sweep.ssh_answer import ask_ssh, ssh_program
from ansible_collections.lastack.linux.plugins.plugin_utils.sweep.ssh_config_reader import read_config
from ansible_collections.lastack.linux.plugins.plugin_utils.sweep.ssh_options import (
    SettingsError,
    Word,
    words_of,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.sweep.ssh_tokens import (
    expanded,
    tokens_of,
    with_environment,
    with_home,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.plugin_utils.sweep.ssh_answer import Answer

__all__ = ["Overrides", "SettingsError", "SshSettings", "hop_settings", "settings_for"]

_PORT = 22
_HIGHEST_PORT = 65535
_CHAIN = 8
_YES = frozenset({"yes", "true", "on", "1"})
_NO = frozenset({"no", "false", "off", "0"})
_METHODS = {
    "publickey": "pubkeyauthentication",
    "keyboard-interactive": "kbdinteractiveauthentication",
    "password": "passwordauthentication",
}
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
_PORTS = ("ansible_port", "ansible_ssh_port")
_USER = ("ansible_user", "ansible_ssh_user")
_KEY_FILE = ("ansible_private_key_file", "ansible_ssh_private_key_file")
_PASSWORD = ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password")
_KEY_CHECKING = ("ansible_host_key_checking", "ansible_ssh_host_key_checking")
_NO_VARIABLE_OF_OURS = ("ansible_private_key", "ansible_ssh_private_key", "ansible_ssh_pkcs11_provider")
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
    name = _text(variables, _HOST) or host
    for variable in _NO_VARIABLE_OF_OURS:
        if variables.get(variable):
            raise SettingsError(f"{variable} is not followed by a sweep: use a key file or an agent")
    words = _words(variables, overrides)
    files = [word.value for word in words if word.letter == "F"][-1:] or list(config_files)
    answer = _ask(words, files, name)
    return _settings(
        host,
        name,
        answer,
        files,
        connect_timeout_s=overrides.connect_timeout_s,
        with_password=bool(_text(variables, _PASSWORD)),
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


def _words(variables: Mapping[str, object], overrides: Overrides) -> list[Word]:
    """Return ssh's command line in the order of Ansible's ssh connection plugin: the first value of an option holds."""
    words = [*_arguments(variables, "ansible_ssh_args")]
    if _text(variables, _KEY_CHECKING).lower() in _NO:
        words.append(Word("o", "StrictHostKeyChecking=no"))
    port = _text(variables, _PORTS)
    if port:
        if not (port.isascii() and port.isdecimal() and 0 < int(port) <= _HIGHEST_PORT):
            raise SettingsError(f"ansible_port is {one_line(port, 40)}, which is no port")
        words.append(Word("p", port))
    key_file = _text(variables, _KEY_FILE) or overrides.key_file
    if key_file:
        if '"' in key_file or "\n" in key_file:
            raise SettingsError("ansible_ssh_private_key_file holds a quotation mark or a line break")
        words.append(Word("o", f'IdentityFile="{Path(key_file).expanduser()}"'))
    user = _text(variables, _USER) or overrides.user
    if user:
        words.append(Word("l", user))
    words.append(Word("o", f"ConnectTimeout={max(1, math.ceil(overrides.connect_timeout_s))}"))
    return [
        *words,
        *_arguments(variables, "ansible_ssh_common_args"),
        *_arguments(variables, "ansible_ssh_extra_args"),
    ]


def _arguments(variables: Mapping[str, object], name: str) -> tuple[Word, ...]:
    text = _text(variables, (name,))
    return words_of(text, name) if text else ()


def _text(variables: Mapping[str, object], names: Sequence[str]) -> str:
    found = ""
    for name in names:
        value = variables.get(name)
        if value is None:
            continue
        if not isinstance(value, str | int):
            raise SettingsError(f"{name} is neither text nor a number")
        found = str(value)
        if "\0" in found:
            raise SettingsError(f"{name} holds a NUL character")
    return found


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
        value = _one(answer, option, nothing)
        if value.lower() != nothing:
            raise SettingsError(f"ssh's option {option} ({one_line(value, 80)}) is not followed by a sweep")
    hostname, user = _one(answer, "hostname", asked), _one(answer, "user", "")
    port = _number(answer, "port", _PORT)
    if _BAD_HOST.search(hostname):
        raise SettingsError(f"{one_line(repr(hostname), 100)} is no name that ssh takes for a host")
    if _BAD_USER.search(user):
        raise SettingsError(f"{one_line(repr(user), 100)} is no name that ssh takes for a user")
    alias, jump = _one(answer, "hostkeyalias", ""), _unless_none(answer, "proxyjump")
    tokens = tokens_of(
        asked=_one(answer, "host", asked),
        hostname=hostname,
        port=port,
        user=user,
        alias=alias,
        jump=jump,
        digest=_one(answer, "controlpath", "")[1:],
    )
    way = {token: tokens[token] for token in "%hnpr"}
    timeout = _number(answer, "connecttimeout", 0)
    given = max(1, math.ceil(connect_timeout_s))
    return SshSettings(
        host,
        hostname,
        port,
        user,
        identity_files=_files(answer, "identityfile", tokens),
        certificate_files=_files(answer, "certificatefile", tokens),
        identities_only=_yes(answer, "identitiesonly"),
        identity_agent=_agent(answer, tokens),
        methods=_methods(answer, with_password=with_password),
        proxy_jump=tuple(expanded(one, way, "ProxyJump") for one in jump.split(",") if one),
        proxy_command="" if jump else expanded(_unless_none(answer, "proxycommand"), way, "ProxyCommand"),
        proxy_use_fdpass=_yes(answer, "proxyusefdpass"),
        user_known_hosts=_known_hosts(answer, "userknownhostsfile"),
        global_known_hosts=_known_hosts(answer, "globalknownhostsfile"),
        revoked_host_keys=with_home(_unless_none(answer, "revokedhostkeys")),
        hash_known_hosts=_yes(answer, "hashknownhosts"),
        strict=_strict(answer),
        host_key_alias=alias,
        host_key_algorithms=_names(answer, "hostkeyalgorithms"),
        ca_signature_algorithms=_names(answer, "casignaturealgorithms"),
        public_key_algorithms=_names(answer, "pubkeyacceptedalgorithms", "pubkeyacceptedkeytypes"),
        ciphers=_names(answer, "ciphers"),
        macs=_names(answer, "macs"),
        kex_algorithms=_names(answer, "kexalgorithms"),
        required_rsa_bits=_number(answer, "requiredrsasize", 1024),
        address_family=_one(answer, "addressfamily", "any"),
        bind_address=_one(answer, "bindaddress", ""),
        connect_timeout_s=connect_timeout_s if timeout in {0, given} else float(timeout),
        keepalive_s=_number(answer, "serveraliveinterval", 0),
        keepalive_count=_number(answer, "serveralivecountmax", 3),
        config_files=tuple(files),
        depth=depth,
    )


def _one(answer: Answer, name: str, default: str) -> str:
    values = answer.get(name)
    return values[0] if values else default


def _unless_none(answer: Answer, name: str) -> str:
    value = _one(answer, name, "")
    return "" if value.lower() == "none" else value


def _yes(answer: Answer, name: str) -> bool:
    return _one(answer, name, "no").lower() in _YES


def _number(answer: Answer, name: str, default: int) -> int:
    value = _unless_none(answer, name)
    if not value:
        return default
    if not (value.isascii() and value.isdecimal()):
        raise SettingsError(f"ssh's option {name} is {one_line(value, 40)}, which is no number")
    return int(value)


def _names(answer: Answer, *options: str) -> tuple[str, ...]:
    text = next((_one(answer, option, "") for option in options if option in answer), "")
    return tuple(filter(None, text.split(",")))


def _strict(answer: Answer) -> str:
    value = _one(answer, "stricthostkeychecking", "ask").lower()
    if value in _NO:
        return "no"
    if value in _YES or value == "ask":
        return "yes"
    if value == "accept-new":
        return value
    raise SettingsError(f"StrictHostKeyChecking is {one_line(value, 40)}, which is not understood")


def _methods(answer: Answer, *, with_password: bool) -> tuple[str, ...]:
    wanted = _one(answer, "preferredauthentications", ",".join(_METHODS)).split(",")
    allowed = [name for name in wanted if name in _METHODS and with_password | (name == "publickey")]
    found = tuple(name for name in allowed if _one(answer, _METHODS[name], "yes").lower() not in _NO)
    if not found:
        raise SettingsError(
            "ssh's options leave no way to log in that a sweep knows: a key, or a password that is given"
        )
    return found


def _files(answer: Answer, option: str, tokens: Mapping[str, str]) -> tuple[str, ...]:
    """Return the paths of an option that ``ssh -G`` shows as they are written."""
    return tuple(
        expanded(with_environment(with_home(value), option), tokens, option)
        for value in answer.get(option, ())
        if value.lower() != "none"
    )


def _agent(answer: Answer, tokens: Mapping[str, str]) -> str:
    """Return the agent's socket, "none", or nothing for that of SSH_AUTH_SOCK."""
    value = _one(answer, "identityagent", "")
    if value.lower() in {"", "none"}:
        return value.lower()
    if value == "SSH_AUTH_SOCK":
        return ""
    if value.startswith("$") and not value.startswith("${"):
        return os.environ.get(value[1:], "none")
    return expanded(with_environment(with_home(value), "IdentityAgent"), tokens, "IdentityAgent")


def _known_hosts(answer: Answer, option: str) -> tuple[str, ...]:
    """Return the files of one line; ``ssh -G`` puts no quotes around a path with a space in it."""
    found: list[str] = []
    for part in _one(answer, option, "").split(" "):
        if found and not part.startswith(("/", "~")) and not Path(part).exists():
            found[-1] += f" {part}"
        elif part and part.lower() != "none":
            found.append(with_home(part))
    return tuple(found)


def _hop(text: str) -> tuple[str, str, str]:
    """Return user, name and port of ``[user@]host[:port]`` or ``ssh://[user@]host[:port]``; empty where not given."""
    user, __, place = text.removeprefix("ssh://").rstrip("/").rpartition("@")
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(\d+))?", place)
    if bracketed:
        return user, bracketed[1], bracketed[2] or ""
    name, colon, port = place.partition(":")
    return (user, name, port) if colon and ":" not in port else (user, place, "")
