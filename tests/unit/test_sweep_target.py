# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host of the inventory asks of a sweep, and what a sweep cannot do."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.lastack.linux.sweep.inventory import Entry
from ansible_collections.lastack.linux.sweep.payload import Become
from ansible_collections.lastack.linux.sweep.target import (
    Passwords,
    Target,
    TargetError,
    target_of,
)

SECRET = "s3cret"
NONE = Passwords()


def target(passwords: Passwords = NONE, **variables: object) -> Target:
    given = {f"ansible_{name}": value for name, value in variables.items()}
    return target_of(Entry("web-1", given), passwords, marker="m", life_s=65)


def test_a_plain_host_goes_by_ssh_as_nobody_else() -> None:
    found = target(connection="ssh", python_interpreter="auto_silent", become=False, become_flags="-H -S -n")
    assert (found.local, found.ssh_password, found.become_password) == (False, None, None)
    assert (found.request.interpreters, found.request.become, found.request.life_s) == ((), None, 65)


def test_the_host_s_own_passwords_win() -> None:
    common = Passwords(ssh="one", become="two")
    shared = target(common, become=True)
    own = target(common, become="yes", password="three", become_password="four")
    assert (shared.ssh_password, shared.become_password) == ("one", b"two")
    assert (own.ssh_password, own.become_password) == ("three", b"four")
    # No password for sudo goes along where nobody becomes anybody.
    assert target(common).become_password is None


def test_become_is_sudo_with_its_user_and_program() -> None:
    found = target(become="true", become_user="postgres", become_exe="/opt/sudo", become_flags="-H -S -n")
    assert found.request.become == Become(user="postgres", program="/opt/sudo", with_password=False)
    assert target(Passwords(become=SECRET), become=True).request.become == Become(with_password=True)


def test_an_interpreter_and_the_local_connection_are_followed() -> None:
    found = target(connection="local", python_interpreter="/usr/bin/env python3")
    assert (found.local, found.request.interpreters) == (True, ("/usr/bin/env python3",))


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"connection": "winrm"}, "winrm"),
        ({"connection": "community.docker.docker"}, "community.docker.docker"),
        ({"become": True, "become_method": "su"}, "su"),
        ({"become": True, "become_flags": "-H -S -n -i"}, "-i"),
    ],
)
def test_what_a_sweep_cannot_do_is_said_never_left_out(variables: dict[str, Any], said: str) -> None:
    with pytest.raises(TargetError, match=said):
        target(**variables)


def test_a_method_that_is_not_used_matters_to_nobody() -> None:
    assert target(become=False, become_method="su").request.become is None


def test_variables_that_cannot_be_had_are_the_reason() -> None:
    with pytest.raises(TargetError, match="broken"):
        target_of(Entry("x", {}, "its variables are broken"), Passwords(), marker="m", life_s=1)


def test_no_password_shows_in_a_repr() -> None:
    passwords = Passwords(ssh=SECRET, become=SECRET)
    shown = repr(passwords) + repr(target(passwords, become=True)) + f"{[passwords]}"
    assert SECRET not in shown
