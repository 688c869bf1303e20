# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ssh_config(5) by Paramiko's reader, for a machine without ssh: a part of it, and a sentence for what is no part."""

from __future__ import annotations

import getpass
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.ssh_answer import (
    FOLLOWED,
    OLD_NAMES,
    SYSTEM_FILE,
    Answer,
)
from ansible_collections.lastack.linux.sweep.ssh_options import SettingsError, option_of
from ansible_collections.lastack.linux.sweep.ssh_tokens import expanded, home, with_home

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.lastack.linux.sweep.ssh_options import Word

__all__ = ["read_config"]

# These add up; of all others the first value holds.
_LISTS = frozenset({"identityfile", "certificatefile"})
# Of no matter to a look at one host.
_UNNEEDED = frozenset(
    {
        "addkeystoagent",
        "batchmode",
        "checkhostip",
        "clearallforwardings",
        "compression",
        "connectionattempts",
        "controlmaster",
        "controlpath",
        "controlpersist",
        "dynamicforward",
        "escapechar",
        "exitonforwardfailure",
        "fingerprinthash",
        "forwardagent",
        "forwardx11",
        "forwardx11timeout",
        "forwardx11trusted",
        "gatewayports",
        "gssapiauthentication",
        "gssapidelegatecredentials",
        "gssapikeyexchange",
        "hostbasedauthentication",
        "ipqos",
        "localcommand",
        "localforward",
        "loglevel",
        "logverbose",
        "nohostauthenticationforlocalhost",
        "numberofpasswordprompts",
        "obscurekeystroketiming",
        "permitlocalcommand",
        "permitremoteopen",
        "rekeylimit",
        "remoteforward",
        "requesttty",
        "sendenv",
        "setenv",
        "stdinnull",
        "streamlocalbindmask",
        "streamlocalbindunlink",
        "syslogfacility",
        "tcpkeepalive",
        "updatehostkeys",
        "verifyhostkeydns",
        "visualhostkey",
        "xauthlocation",
    }
)
_ALGORITHMS = frozenset(
    {"hostkeyalgorithms", "casignaturealgorithms", "pubkeyacceptedalgorithms", "ciphers", "macs", "kexalgorithms"}
)
_USUAL_KEYS = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk")
_LINE = re.compile(r"[^\s=\"]+")
_MATCHES = frozenset({"all", "host", "originalhost"})
_HIDDEN = {ord("%"): 1, ord("~"): 2}
_SHOWN = {1: "%", 2: "~"}
# One of the two, whichever comes first.
_EITHER = {"proxyjump": "proxycommand", "proxycommand": "proxyjump"}
_NO_SSH = "without ssh installed here"


def read_config(words: Sequence[Word], files: Sequence[str], host: str) -> Answer:
    """Return what these arguments and files say of ``host``, in the form of ``ssh -G``.

    ``files`` is one file in place of the user's and the system's, or nothing. Raises ``SettingsError`` for what cannot
    be followed: Include, Match by anything but names, algorithms that add to a list (``+name``), unknown options.
    """
    found: dict[str, list[str]] = {}
    for word in words:
        name, value = option_of(word)
        if name:
            _put(found, name, [value], "the host's ssh arguments")
    if list(files) != ["none"]:
        for file, needed in [(file, True) for file in files] or [
            (f"{home()}/.ssh/config", False),
            (SYSTEM_FILE, False),
        ]:
            for name, values in _looked_up(file, host, needed=needed).items():
                _put(found, name, values, file)
    found["hostname"] = [expanded(name, {"h": host, "%": "%"}, "Hostname") for name in found.get("hostname", [host])]
    found.setdefault("user", [getpass.getuser()])
    found.setdefault("identityfile", [f"~/.ssh/{name}" for name in _USUAL_KEYS])
    found.setdefault("userknownhostsfile", ["~/.ssh/known_hosts ~/.ssh/known_hosts2"])
    found.setdefault("globalknownhostsfile", ["/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"])
    return {"host": (host,)} | {name: tuple(values) for name, values in found.items()}


def _put(found: dict[str, list[str]], name: str, values: list[str], where: str) -> None:
    name = OLD_NAMES.get(name, name)
    if name in _UNNEEDED:
        return
    if name not in FOLLOWED:
        raise SettingsError(f"{where}: the option {one_line(name, 60)} is not understood {_NO_SSH}")
    values = [value.strip().strip('"') for value in values]
    if name in _ALGORITHMS and values[0][:1] in {"+", "-", "^"}:
        raise SettingsError(f"{where}: {name} {one_line(values[0], 60)} cannot be worked out {_NO_SSH}")
    if name in _LISTS:
        found.setdefault(name, []).extend(value for value in values if value not in found.get(name, ()))
    elif _EITHER.get(name) not in found:
        found.setdefault(name, values)


def _looked_up(file: str, host: str, *, needed: bool) -> dict[str, list[str]]:
    import paramiko  # noqa: PLC0415 - a machine with ssh does not need it here

    try:
        text = Path(with_home(file)).read_text("utf-8", errors="surrogateescape")
    except FileNotFoundError:
        if needed:
            raise SettingsError(f"{one_line(file, 160)} does not exist") from None
        return {}
    except OSError as error:
        raise SettingsError(f"{one_line(file, 160)} cannot be read: {(error.strerror or '').lower()}") from None
    for number, line in enumerate(text.splitlines(), 1):
        words = _LINE.findall(line)
        name = words[0].lower() if words else ""
        if name == "include":
            raise SettingsError(f"{one_line(file, 160)} line {number}: Include is not followed {_NO_SSH}")
        if name == "match" and not {word.lower().lstrip("!") for word in words[1::2]} <= _MATCHES:
            raise SettingsError(
                f"{one_line(file, 160)} line {number}: only Match all, host and originalhost are followed {_NO_SSH}"
            )
    try:
        # Paramiko would replace tokens by what its own lookup knows: the files, not the arguments.
        entries = dict(paramiko.SSHConfig.from_text(text.translate(_HIDDEN)).lookup(host))
    except Exception as error:  # noqa: BLE001 - it raises what it meets, and all of it means the same
        raise SettingsError(f"{one_line(file, 160)} cannot be read: {one_line(str(error), 120)}") from None
    return {
        name: [str(value).translate(_SHOWN) for value in (values if isinstance(values, list) else [values])]
        for name, values in entries.items()
        # Paramiko adds the name itself where no file has one.
        if (name, values) != ("hostname", host)
    }
