# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that reads an Ansible inventory for a sweep: ansible-core's own managers, in a process of their own.

Its own process because Ansible's collection finder takes over ``ansible_collections`` in the one that loads it, and
so that the inventory of 10,000 hosts is in memory once, and its templates are worked out on another core.

One JSON object comes on standard input (see ``main``). On standard output goes one JSON line ``{"hosts": [name, …]}``
and then one for each host, in order: ``{"host", "variables"}`` with the connection variables, templated and decrypted,
as the ssh connection plugin resolves them (variables before command line, environment and ``ansible.cfg``), or
``{"host", "problem"}``. ``{"error": sentence}`` ends it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["main"]

# The plugin's option, and the name under which its value goes on: the variable that Ansible documents first.
_SSH = {
    "host": "ansible_host",
    "port": "ansible_port",
    "remote_user": "ansible_user",
    "password": "ansible_password",
    "private_key_file": "ansible_ssh_private_key_file",
    "private_key_passphrase": "ansible_ssh_private_key_passphrase",
    "ssh_args": "ansible_ssh_args",
    "ssh_common_args": "ansible_ssh_common_args",
    "ssh_extra_args": "ansible_ssh_extra_args",
    "host_key_checking": "ansible_host_key_checking",
    # What a sweep refuses: without these it would pass them over.
    "private_key": "ansible_ssh_private_key",
    "pkcs11_provider": "ansible_ssh_pkcs11_provider",
    "ssh_executable": "ansible_ssh_executable",
}
_SUDO = {
    "become_user": "ansible_become_user",
    "become_exe": "ansible_become_exe",
    "become_flags": "ansible_become_flags",
    "become_pass": "ansible_become_password",
}
_PLAIN = ("ansible_connection", "ansible_become", "ansible_become_method", "ansible_python_interpreter")
_LONGEST = 400
_GIVE_A_SECRET = "give the vault's password with --ask-vault-pass or --vault-password-file"  # noqa: S105 - a sentence


class _LockedError(Exception):
    """The vault stayed shut, and that is an error of the whole inventory."""


def main() -> int:
    """Read ``sources pattern limit extra_vars vault_passwords vault_files user key_file become``; see above."""
    # Ctrl-C belongs to the sweep, which ends this program.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    # Whatever Ansible and its plugins print must not end up between the lines of the answer.
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    given = json.loads(sys.stdin.buffer.readline())
    try:
        _answer(given, answer)
    except BrokenPipeError:
        return 1
    except Exception as error:  # noqa: BLE001 - an inventory plugin may raise anything; it is said in one sentence
        with contextlib.suppress(BrokenPipeError):
            _put(answer, {"error": _sentence(error)})
    return 0


def _end(number: int, __: FrameType | None) -> NoReturn:
    """End at once, and with it the programs of inventories and vaults that are waited for."""
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text("ascii").split():
                with contextlib.suppress(OSError):
                    os.kill(int(child), signal.SIGTERM)
    os._exit(128 + number)


def _answer(given: dict[str, Any], answer: TextIO) -> None:
    # A source that cannot be read would take its hosts out of view without a word.
    os.environ.setdefault("ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED", "True")
    os.environ.setdefault("ANSIBLE_INVENTORY_UNPARSED_FAILED", "True")
    try:
        from ansible import constants, context  # noqa: PLC0415 - reads ansible.cfg as it is imported
        from ansible.module_utils.common.collections import ImmutableDict  # noqa: PLC0415 - the same
    except ImportError:
        _put(answer, {"error": "The inventory is read by ansible-core, which is not installed beside lastack."})
        return
    context.CLIARGS = ImmutableDict(
        extra_vars=_as_templates(given["extra_vars"]), user=given["user"], private_key_file=given["key_file"]
    )
    from ansible.inventory.manager import InventoryManager  # noqa: PLC0415 - as above
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415 - as above
    from ansible.plugins.loader import init_plugin_loader  # noqa: PLC0415 - as above
    from ansible.vars.hostvars import HostVars  # noqa: PLC0415 - as above
    from ansible.vars.manager import VariableManager  # noqa: PLC0415 - as above

    init_plugin_loader()
    loader = DataLoader()
    secrets = _unlock(loader, given)
    sources = given["sources"] or constants.DEFAULT_HOST_LIST
    inventory = InventoryManager(loader=loader, sources=list(sources))
    manager = VariableManager(loader=loader, inventory=inventory)
    HostVars(inventory=inventory, variable_manager=manager, loader=loader)
    inventory.subset(given["limit"])
    hosts = inventory.get_hosts(given["pattern"])
    _put(answer, {"hosts": [host.name for host in hosts], "known": len(inventory.hosts)})
    options = _Options(loader, become=bool(given["become"]))
    for number, host in enumerate(hosts):
        try:
            entry: dict[str, Any] = {"variables": options.of(host.name, manager.get_vars(host=host))}
        except Exception as error:
            # No password, or one that opens nothing from the beginning, is the operator's slip, not the hosts' trouble.
            if _is_locked(error) and (not secrets or number == 0):
                wanted = "" if secrets else f": {_GIVE_A_SECRET}"
                raise _LockedError(f"{host.name}: {_sentence(error).removesuffix('.')}{wanted}.") from error
            entry = {"problem": f"its variables cannot be used: {_sentence(error)}"}
        _put(answer, {"host": host.name, **entry})


def _as_templates(texts: list[str]) -> tuple[str, ...]:
    """Return what the command line said, as text whose templates are worked out: ansible-core trusts no other."""
    from ansible import template  # noqa: PLC0415 - see main

    # Since ansible-core 2.19; before, every text was trusted.
    trust = getattr(template, "trust_as_template", str)
    return tuple(map(trust, texts))


def _unlock(loader: Any, given: dict[str, Any]) -> int:  # noqa: ANN401 - ansible-core ships no types
    """Hand the vault's secrets to the loader, as every command of Ansible does; return how many there are."""
    from ansible import constants  # noqa: PLC0415 - see main
    from ansible.parsing import vault  # noqa: PLC0415 - see main

    files = [*given["vault_files"]]
    if constants.DEFAULT_VAULT_PASSWORD_FILE:
        files.append(constants.DEFAULT_VAULT_PASSWORD_FILE)
    named = [identity for identity in constants.DEFAULT_VAULT_IDENTITY_LIST or () if "@prompt" not in identity]
    secrets = [("default", vault.VaultSecret(password.encode("utf-8"))) for password in given["vault_passwords"]]
    for identity in [*named, *files]:
        name, __, file = identity.rpartition("@") if identity in named else ("", "", identity)
        secret = vault.get_file_vault_secret(filename=file, vault_id=name or None, loader=loader)
        secret.load()
        secrets.append((name or "default", secret))
        loader.set_vault_secrets(secrets)
    loader.set_vault_secrets(secrets)
    # Since ansible-core 2.19 a value is decrypted when it is used, with these.
    context = getattr(vault, "VaultSecretsContext", None)
    if context is not None:
        context.initialize(context(secrets))
    return len(secrets)


def _is_locked(error: BaseException | None) -> bool:
    """Tell whether the vault stayed shut; by name, because one of the classes is internal to ansible-core."""
    while error is not None:
        if any("Vault" in kind.__name__ for kind in type(error).__mro__):
            return True
        error = error.__cause__ or error.__context__
    return False


class _Options:
    """Resolves a host's connection options as the ssh connection plugin and the sudo plugin would."""

    def __init__(self, loader: Any, *, become: bool) -> None:  # noqa: ANN401 - ansible-core ships no types
        from ansible import constants  # noqa: PLC0415 - see main
        from ansible.plugins.loader import become_loader, connection_loader  # noqa: PLC0415 - see main

        # Their documentation is where their options are defined.
        connection_loader.get("ssh", class_only=True)
        become_loader.get("sudo", class_only=True)
        self._constants = constants
        self._loader = loader
        self._become = become
        self._names = {*_PLAIN}
        self._asked: list[tuple[str, str, str, str]] = []
        for wanted, kind, plugin in ((_SSH, "connection", "ssh"), (_SUDO, "become", "sudo")):
            definitions = constants.config.get_configuration_definitions(kind, plugin)
            # Some came with ansible-core 2.19, and an older one raises an error for what it does not know.
            self._asked += [(kind, plugin, option, name) for option, name in wanted.items() if option in definitions]
            for definition in definitions.values():
                self._names.update(entry["name"] for entry in definition.get("vars", ()))

    def of(self, host: str, variables: dict[str, Any]) -> dict[str, Any]:
        from ansible.template import Templar  # noqa: PLC0415 - see main

        templar = Templar(loader=self._loader, variables=variables)
        known = {name: templar.template(variables[name]) for name in sorted(self._names) if name in variables}
        known.setdefault("inventory_hostname", host)
        constants = self._constants
        found = {
            "ansible_connection": known.get("ansible_connection", constants.DEFAULT_TRANSPORT),
            "ansible_become": known.get("ansible_become", self._become or constants.DEFAULT_BECOME),
            "ansible_become_method": known.get("ansible_become_method", constants.DEFAULT_BECOME_METHOD),
            "ansible_python_interpreter": known.get(
                "ansible_python_interpreter", constants.config.get_config_value("INTERPRETER_PYTHON", variables={})
            ),
        }
        for kind, plugin, option, name in self._asked:
            value = constants.config.get_config_value(option, plugin_type=kind, plugin_name=plugin, variables=known)
            if value is not None and value != "":
                found[name] = value
        return {name: _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Any:  # noqa: ANN401 - what a template gave
    """Return a value in JSON's own types: Ansible marks its strings with types of its own."""
    if isinstance(value, bool) or value is None:
        return value
    return int(value) if isinstance(value, int) else str(value)


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())[:_LONGEST]
    return text or type(error).__name__


def _put(answer: TextIO, entry: dict[str, Any]) -> None:
    answer.write(json.dumps(entry) + "\n")
    answer.flush()


if __name__ == "__main__":
    sys.exit(main())
