# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits of real services and logins: systemd and PAM do what the module says, and everything comes back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

pytestmark = pytest.mark.needs_root

# Opens descriptors until it may not, and says in a file how far it came.
GREEDY = """\
import os, time
opened = []
try:
    while len(opened) < 200:
        opened.append(os.open("/dev/null", os.O_RDONLY))
    said = "enough"
except OSError as error:
    said = error.strerror
# Room for the answer.
for one in opened[:5]:
    os.close(one)
with open("/run/greedy.new", "w") as file:
    file.write(said)
os.rename("/run/greedy.new", "/run/greedy")
time.sleep(600)
"""
UNIT = "[Service]\nLimitNOFILE=64\nExecStart=/usr/bin/python3 /opt/greedy.py\n"


@pytest.fixture
def greedy(lab: Lab, host: str) -> Iterator[str]:
    """A service that runs out of descriptors; gone again at the end."""
    lab.execute(host, "tee", "/opt/greedy.py", text=GREEDY)
    lab.execute(host, "tee", "/etc/systemd/system/greedy.service", text=UNIT)
    lab.execute(host, "systemctl", "daemon-reload")
    lab.execute(host, "systemctl", "start", "greedy")
    yield host
    apply(lab, host, state="restored", force=True, on_error="report")
    lab.execute(host, "systemctl", "stop", "greedy", check=False)
    lab.execute(host, "sh", "-c", "rm -rf /opt/greedy.py /run/greedy /etc/systemd/system/greedy.service*")
    lab.execute(host, "systemctl", "daemon-reload")


def apply(lab: Lab, host: str, *flags: str, **options: object) -> dict[str, Any]:
    """Run the module on one host, and return its result."""
    return module(lab, host, "nofile_limits", *flags, **options)


def module(lab: Lab, host: str, name: str, *flags: str, **options: object) -> dict[str, Any]:
    """Run a module of the collection on one host, and return its result."""
    done = lab.run(
        "ansible",
        host,
        "-i",
        str(lab.inventory),
        "-m",
        f"lastack.linux.{name}",
        "-a",
        json.dumps(options),
        *flags,
        ANSIBLE_LOAD_CALLBACK_PLUGINS="1",
        ANSIBLE_STDOUT_CALLBACK="ansible.builtin.oneline",
    )
    __, separator, answer = done.stdout.partition(" => ")
    assert separator, done.stdout + done.stderr
    return dict(json.loads(answer.strip().partition("\n")[0]))


def said(lab: Lab, host: str) -> str:
    """Wait for what the greedy service says, and take it."""
    wait = "for i in $(seq 300); do test -e /run/greedy && break; sleep 0.1; done; cat /run/greedy; rm /run/greedy"
    return lab.execute(host, "sh", "-c", wait).stdout


def snapshot(lab: Lab, host: str) -> str:
    """Return every file that could be changed, with owner, mode and content."""
    look = (
        "find /etc/systemd/system /etc/security /var/lib/lastack* -printf '%p %y %m %u %g %l\\n' -type f -exec cat {} +"
    )
    return lab.execute(host, "sh", "-c", look + " 2>/dev/null || true").stdout


def test_a_unit_runs_out_of_descriptors_before_and_not_after(lab: Lab, greedy: str) -> None:
    assert said(lab, greedy) == "Too many open files"
    before = snapshot(lab, greedy)
    options: dict[str, object] = {"units": [{"name": "greedy", "soft": 512}, {"name": "not-here", "soft": 512}]}
    predicted = apply(lab, greedy, "--check", **options)
    assert snapshot(lab, greedy) == before
    result = apply(lab, greedy, **options)
    assert predicted["units"] == result["units"]
    unit, missing = result["units"]
    assert (unit["status"], unit["before"], unit["after"]) == (
        "changed",
        {"soft": 64, "hard": 64},
        {"soft": 512, "hard": 512},
    )
    assert unit["needs_restart"]
    assert [one["limits"] for one in unit["running"]] == [{"soft": 64, "hard": 64}]
    assert missing["reason"] == "This host has no unit not-here.service."
    again = apply(lab, greedy, **options)
    assert (again["changed"], again["units"][0]["status"]) == (False, "needs_restart")
    restarted = apply(lab, greedy, restart=True, **options)
    assert (restarted["changed"], restarted["units"][0]["running"]) == (True, [])
    assert said(lab, greedy) == "enough"
    assert not apply(lab, greedy, restart=True, **options)["changed"]
    back = apply(lab, greedy, state="restored")
    assert back["changed"]
    assert snapshot(lab, greedy) == before
    shown = lab.execute(greedy, "systemctl", "show", "-p", "LimitNOFILE,LimitNOFILESoft,NeedDaemonReload", "greedy")
    assert sorted(shown.stdout.split()) == ["LimitNOFILE=64", "LimitNOFILESoft=64", "NeedDaemonReload=no"]


def test_who_wins_is_who_systemd_says(lab: Lab, greedy: str) -> None:
    folder = "/etc/systemd/system/greedy.service.d"
    lab.execute(greedy, "mkdir", "-p", folder, "/run/systemd/system/greedy.service.d")
    options: dict[str, object] = {"units": [{"name": "greedy", "soft": 512}], "on_error": "report"}
    # In byte order: "9-" comes before "90", because "-" comes before the digits.
    for place, name, status in (
        ("/etc", "99-z.conf", "shadowed"),
        ("/run", "91-a.conf", "shadowed"),
        ("/etc", "10-b.conf", "changed"),
        ("/etc", "9-a.conf", "changed"),
    ):
        file = f"{place}/systemd/system/greedy.service.d/{name}"
        lab.execute(greedy, "tee", file, text="[Service]\nLimitNOFILE=100\n")
        lab.execute(greedy, "systemctl", "daemon-reload")
        predicted = apply(lab, greedy, "--check", **options)
        result = apply(lab, greedy, **options)
        unit = result["units"][0]
        assert predicted["units"] == result["units"]
        assert (unit["status"], unit["shadowed_by"]) == (status, file if status == "shadowed" else ""), name
        shown = lab.execute(greedy, "systemctl", "show", "-p", "LimitNOFILESoft", "--value", "greedy").stdout.strip()
        assert int(shown) == unit["after"]["soft"] == (100 if status == "shadowed" else 512)
        apply(lab, greedy, state="restored")
        lab.execute(greedy, "rm", file)
    lab.execute(greedy, "rm", "-rf", folder, "/run/systemd/system/greedy.service.d")


def test_a_running_process_is_raised(lab: Lab, greedy: str) -> None:
    done = apply(lab, greedy, processes=[{"unit": "greedy", "soft": 64}, {"pid": 4194303, "soft": 512}])
    assert [one["status"] for one in done["processes"]] == ["ok", "absent"]
    # A host of a lab has users of its own: only the machine's root may raise a hard limit.
    done = apply(lab, greedy, processes=[{"unit": "greedy", "hard": 512}], on_error="report")
    assert [one["reason"].partition(" cannot")[0].rstrip("0123456789") for one in done["processes"]] == [
        "The limits of process "
    ]
    pid = done["processes"][0]["pid"]
    lab.execute(greedy, "prlimit", "--pid", str(pid), "--nofile=32:64")
    done = apply(lab, greedy, processes=[{"unit": "greedy", "soft": 64}])
    assert [(one["pid"], one["before"]["soft"], one["after"]["soft"]) for one in done["processes"]] == [(pid, 32, 64)]
    show = ["prlimit", "--pid", str(pid), "--nofile", "--noheadings", "--output=SOFT,HARD"]
    assert lab.execute(greedy, *show).stdout.split() == ["64", "64"]
    assert apply(lab, greedy, state="restored")["restored"][0]["status"] == "restored"
    assert lab.execute(greedy, *show).stdout.split() == ["32", "64"]


def login_limits(lab: Lab, host: str, user: str) -> list[int]:
    done = lab.execute(host, "su", "-s", "/bin/sh", user, "-c", "ulimit -Sn; ulimit -Hn")
    return [int(word) for word in done.stdout.split()]


def test_logins_get_what_the_module_says(lab: Lab, host: str) -> None:
    """The predicted line is what PAM applies: users before groups before *, the last of a kind, root on its own."""
    before = snapshot(lab, host)
    files = {
        "10-a.conf": "nobody soft nofile 700\n@nogroup - nofile 800\n* - nofile 900\n",
        "9-b.conf": "* hard nofile 1000\n",
        "95-z.conf": "daemon - nofile 600\n",
    }
    try:
        for name, text in files.items():
            lab.execute(host, "tee", f"/etc/security/limits.d/{name}", text=text)
        users = [
            {"name": "nobody", "soft": 512},
            {"name": "root", "soft": 512, "hard": 950},
            {"name": "*", "soft": 950},
            {"name": "daemon", "soft": 650},
            {"name": "games", "soft": 300, "match": "exact"},
        ]
        result = apply(lab, host, users=users, on_error="report")
        found = {one["name"]: one for one in result["users"]}
        assert {name: one["status"] for name, one in found.items()} == {
            "nobody": "kept",
            "root": "changed",
            "*": "changed",
            "daemon": "shadowed",
            "games": "changed",
        }
        for name in ("nobody", "root", "daemon", "games"):
            after = found[name]["after"]
            assert login_limits(lab, host, name) == [after["soft"], after["hard"]], name
        star = found["*"]["after"]
        assert login_limits(lab, host, "bin") == [star["soft"], star["hard"]]
        assert found["daemon"]["shadowed_by"] == "/etc/security/limits.d/95-z.conf:1"
        assert not apply(lab, host, users=users, on_error="report")["changed"]
    finally:
        apply(lab, host, state="restored", on_error="report")
        lab.execute(host, "rm", "-f", *(f"/etc/security/limits.d/{name}" for name in files))
    assert snapshot(lab, host) == before


def test_a_container_is_capped_by_what_its_first_process_has(lab: Lab, greedy: str) -> None:
    hard = int(lab.execute(greedy, "sh", "-c", "grep 'Max open' /proc/1/limits").stdout.split()[4])
    nr_open = int(lab.execute(greedy, "cat", "/proc/sys/fs/nr_open").stdout)
    assert hard <= nr_open
    result = apply(lab, greedy, units=[{"name": "greedy", "soft": 2**30}], on_error="report", restart=True)
    unit = result["units"][0]
    assert (unit["status"], unit["allowed"], unit["after"]["soft"]) == ("capped", hard, hard)
    lab.execute(greedy, "systemctl", "restart", "greedy")
    pid = lab.execute(greedy, "systemctl", "show", "-p", "MainPID", "--value", "greedy").stdout.strip()
    limits = lab.execute(greedy, "sh", "-c", f"grep 'Max open' /proc/{pid}/limits").stdout.split()
    assert limits[3:5] == [str(hard), str(hard)]
    assert int(lab.execute(greedy, "cat", "/proc/sys/fs/nr_open").stdout) == nr_open


def test_a_report_names_the_file_that_limits_a_unit_and_a_login(lab: Lab, greedy: str) -> None:
    (unit,) = apply(lab, greedy, units=[{"name": "greedy", "soft": 512}], users=[{"name": "operator", "soft": 4321}])[
        "units"
    ]
    limits = module(lab, greedy, "tcp_facts", agent=False)["ansible_facts"]["lastack"]["limits"]
    (running,) = (one for one in limits["applications"] if one["unit"] == "greedy.service")
    configured = running.pop("configured")
    assert (running["processes"], running["soft"], running["hard"]) == (1, 64, 64)
    assert (configured["soft"], configured["hard"]) == (512, 512) == (unit["after"]["soft"], unit["after"]["hard"])
    show = lab.execute(greedy, "systemctl", "show", "--property=LimitNOFILE,LimitNOFILESoft", "greedy").stdout
    assert sorted(show.split()) == ["LimitNOFILE=512", "LimitNOFILESoft=512"]
    file, __, line = configured["place"].partition(":")
    assert "LimitNOFILE=" in lab.execute(greedy, "sed", "-n", f"{line}p", file).stdout
    (login,) = (one for one in limits["logins"] if one["domain"] == "operator" and one["soft"] is not None)
    assert login["soft"] == 4321
    file, __, line = login["place"].partition(":")
    assert lab.execute(greedy, "sed", "-n", f"{line}p", file).stdout.split()[:4:3] == ["operator", "4321"]
