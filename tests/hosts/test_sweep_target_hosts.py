# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sweep's command over real ssh and through real sudo: each refusal told apart, no password unasked."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import require_host_report
from ansible_collections.lastack.linux.sweep.conversation import AnswerError, Conversation
from ansible_collections.lastack.linux.sweep.payload import (
    Become,
    Request,
    build_body,
    new_marker,
    remote_command,
)
from carry import carry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

pytestmark = pytest.mark.needs_root

MARKER = new_marker()
BODY = build_body(MARKER, {})
RIGHT, WRONG, NEVER = "the-right-one", "the-wrong-one", "never-asked-for"
USERS = ("sweep-asks", "sweep-stranger", "sweep-limited", "sweep-tty")
MAKE = f"""\
set -eu
for user in {" ".join(USERS)}; do
    useradd --create-home --shell /bin/bash "$user"
    echo "$user:{RIGHT}" | chpasswd
    mkdir -p "/home/$user/.ssh"
    cp /home/operator/.ssh/authorized_keys "/home/$user/.ssh/"
    chown -R "$user:" "/home/$user/.ssh"
    # Noise on both streams before anything else.
    printf 'seq 10000; echo what a day >&2\\n' >"/home/$user/.bashrc"
done
cat >/etc/sudoers.d/sweep <<'END'
sweep-asks ALL=(ALL) ALL
sweep-limited ALL=(ALL) NOPASSWD: /bin/true
sweep-tty ALL=(ALL) NOPASSWD: ALL
Defaults:sweep-tty requiretty
END
chmod 440 /etc/sudoers.d/sweep
"""
UNMAKE = f"""\
rm -f /etc/sudoers.d/sweep
for user in {" ".join(USERS)}; do
    userdel --force --remove "$user"
done
"""


class Case(NamedTuple):
    """Who asks for what, and the start of the reason, or None for a report."""

    user: str
    become: Become
    password: str | None
    reason: str | None


WITH = Become(with_password=True)
CASES = {
    "root needs no sudo": Case("root", Become(program="no-such-sudo"), None, None),
    "nobody asks": Case("operator", Become(), None, None),
    "nobody asks, one offered": Case("operator", WITH, NEVER, None),
    "another user": Case("operator", Become(user="nobody"), None, None),
    "asked": Case("sweep-asks", WITH, RIGHT, None),
    "asked, none given": Case("sweep-asks", Become(), None, "sudo asks for a password, and none was given"),
    "asked, wrong": Case("sweep-asks", WITH, WRONG, "sudo refused the password"),
    "not in sudoers": Case("sweep-stranger", WITH, RIGHT, "sudo does not let this user do that"),
    "other commands alone": Case("sweep-limited", WITH, RIGHT, "sudo does not let this user do that"),
    "terminal wanted": Case("sweep-tty", Become(), None, "sudo insists on a terminal"),
    "no such user": Case("operator", Become(user="no-such-user"), None, "sudo does not know the user to become"),
    "no such sudo": Case("operator", Become(program="no-such-sudo"), None, "sudo is not on this host"),
}


@pytest.fixture(scope="module")
def made(lab: Lab) -> Iterator[Lab]:
    """The lab with users whom sudo treats differently; they are gone afterwards."""
    names = [name for name, state in lab.state().items() if state != "off"]
    try:
        for name in names:
            lab.execute(name, "sh", "-c", MAKE)
        yield lab
    finally:
        for name in names:
            lab.execute(name, "sh", "-c", UNMAKE, check=False)


def ask(lab: Lab, host: str, case: Case) -> dict[str, Any]:
    password = None if case.password is None else case.password.encode()
    talk = Conversation(MARKER, BODY, password)
    line = remote_command(Request(MARKER, become=case.become))
    ssh = ["ssh", "-T", "-F", str(lab.folder / "ssh_config"), "-l", case.user, host]
    return require_host_report(talk.result(carry(talk, [*ssh, line], timeout_s=120)))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_sudo_is_served_or_its_refusal_told(case: Case, made: Lab, host: str) -> None:
    if case.reason is None:
        report = ask(made, host, case)
        assert report["completeness"]["privileged"] is (case.become.user == "root")
        return
    with pytest.raises(AnswerError) as caught:
        ask(made, host, case)
    assert caught.value.reason.startswith(case.reason)
    assert not caught.value.transient
    assert not any(password in caught.value.reason for password in (RIGHT, WRONG))


def test_no_password_is_left_on_a_host_and_a_wrong_one_counts_once(made: Lab, host: str) -> None:
    mark = "lastack-sweep-test-begins"
    made.execute(host, "logger", mark)
    for name in ("asked, wrong", "asked", "nobody asks, one offered"):
        try:
            ask(made, host, CASES[name])
        except AnswerError:
            assert name == "asked, wrong"
    look = f"journalctl --no-pager --quiet --output cat | sed -n '/{mark}/,$p'"
    journal = made.execute(host, "sh", "-c", look).stdout
    assert journal.count("pam_unix(sudo:auth): authentication failure") == 1
    assert "1 incorrect password attempt ;" in journal
    for password in (RIGHT, WRONG, NEVER):
        assert password not in journal
    places = "/home /root /tmp /var/tmp /var/log /run"
    everywhere = f"find {places} -xdev -type f -exec grep -ls -e {RIGHT} -e {WRONG} -e {NEVER} {{}} + || true"
    assert made.execute(host, "sh", "-c", everywhere).stdout == ""


def test_nothing_is_left_on_a_host(made: Lab, host: str) -> None:
    listing = shlex.join(["find", "/", "-xdev", "-newer", "/run/sweep-began", "-type", "f"])
    made.execute(host, "touch", "/run/sweep-began")
    ask(made, host, CASES["asked"])
    new = made.execute(host, "sh", "-c", f"sleep 1; {listing}; rm /run/sweep-began").stdout.split()
    # Who came and who became root is logged, as the host wishes.
    logs = ("/var/log/", "/var/lib/systemd/", "/run/log/", "/run/systemd/", "/run/user/", "/run/sudo/", "/run/utmp")
    assert [path for path in new if not path.startswith((*logs, "/proc/", "/sys/", "/var/lib/sudo/"))] == []
    assert MARKER not in made.execute(host, "ps", "-e", "-o", "args").stdout
