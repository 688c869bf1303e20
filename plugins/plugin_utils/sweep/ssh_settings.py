# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How one host is reached over ssh: what ssh_config(5), Ansible's variables and the command line say together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Overrides", "SettingsError", "SshSettings", "hop_settings", "settings_for"]


class SettingsError(Exception):
    """The settings of one host cannot be had or followed; the text is one sentence that says what and where."""


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
        raise NotImplementedError


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
    raise NotImplementedError


def hop_settings(settings: SshSettings) -> SshSettings | None:
    """Return the settings of the host through which ``settings.hostname`` is reached; None if it is reached directly.

    As ssh has it, a hop follows ssh_config(5) under its own name and takes nothing of the target's command line but
    the file of ``-F``; its own hop is the one before it in ``proxy_jump``. Raises ``SettingsError``, also for a loop.
    """
    raise NotImplementedError
