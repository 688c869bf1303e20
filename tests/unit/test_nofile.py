# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptor limits in one call: what is written, what is predicted, who is behind, and the way back."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.tune import nofile_processes
from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import LedgerError, open_ledger
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile import (
    NofileOptions,
    NofileResult,
    as_answer,
    failures,
    set_limits,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_results import Ceiling, read_ceiling
from fake_systemd import FakeSystemd
from host_trees import LIMITS, UNIT_DROPIN, build_host, picture, put
from process_trees import add_process

if TYPE_CHECKING:
    from pathlib import Path

NR_OPEN = 1048576
WEB = {"name": "web", "soft": 4096, "hard": 8192}
TEXT = "[Service]\nLimitNOFILE={}\n"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    build_host(tmp_path)
    put(tmp_path, "/proc/sys/fs/nr_open", f"{NR_OPEN}\n")
    put(tmp_path, "/proc/stat", f"cpu 1 2\nbtime {int(time.time()) - 100000}\n")
    put(tmp_path, "/etc/debian_version", "12.1\n")
    put(tmp_path, "/etc/pam.d/su", "session required pam_limits.so\n")
    put(tmp_path, "/etc/passwd", "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:/bin/sh\n")
    return tmp_path


@pytest.fixture
def systemd(host: Path) -> FakeSystemd:
    fake = FakeSystemd(host)
    fake.add("web.service", "LimitNOFILE=64")
    fake.add("db.service")
    return fake


def limits(host: Path, systemd: FakeSystemd | None, *, check: bool = False, **options: Any) -> NofileResult:  # noqa: ANN401 - options
    run = None if systemd is None else systemd.run
    return set_limits(NofileOptions(**options), run=run, root=str(host), proc=str(host / "proc"), check=check)


def both(host: Path, systemd: FakeSystemd, **options: Any) -> NofileResult:  # noqa: ANN401 - options
    """Run in check mode, which changes nothing and predicts the run, then run."""
    before = picture(host)
    calls = len(systemd.calls)
    predicted = limits(host, systemd, check=True, **options)
    assert picture(host) == before
    assert {call[1] for call in systemd.calls[calls:]} <= {"show"}
    result = limits(host, systemd, **options)
    assert predicted == result
    return result


def run_process(  # noqa: PLR0913 - a process has many sides
    host: Path, systemd: FakeSystemd, unit: str, pid: int, soft: int, hard: int, *, ago_s: float = 50000
) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    add_process(
        host / "proc",
        pid,
        soft=soft,
        hard=hard,
        start_ticks=int((100000 - ago_s) * ticks),
        cgroup=f"0::/system.slice/{unit}\n",
        comm=unit.partition(".")[0].encode(),
    )
    systemd.active[unit] = (pid, f"/system.slice/{unit}")


def test_a_unit_gets_a_drop_in_and_one_reload(host: Path, systemd: FakeSystemd) -> None:
    result = both(host, systemd, units=[WEB, {"name": "db.service", "soft": 2048}])
    assert result.changed
    web, db = result.units
    assert (web.status, web.before, web.after) == ("changed", (64, 64), (4096, 8192))
    assert (db.status, db.before, db.after) == ("changed", (1024, 524288), (2048, 524288))
    assert web.path == UNIT_DROPIN
    assert (host / UNIT_DROPIN[1:]).read_text().endswith(TEXT.format("4096:8192"))
    assert systemd.count("daemon-reload") == 1
    assert failures(result) == []
    assert as_answer(result)["diff"][0] == {
        "before_header": f"{UNIT_DROPIN} (absent)",
        "after_header": UNIT_DROPIN,
        "before": "",
        "after": (host / UNIT_DROPIN[1:]).read_text(),
    }


def test_the_second_run_changes_nothing(host: Path, systemd: FakeSystemd) -> None:
    options: dict[str, Any] = {"units": [WEB], "users": [{"name": "ann", "soft": 4096}, {"name": "*", "hard": 9000}]}
    limits(host, systemd, **options)
    before = picture(host)
    result = both(host, systemd, **options)
    assert picture(host) == before
    assert not result.changed
    assert [one.status for one in (*result.units, *result.users)] == ["ok"] * 3
    assert systemd.count("daemon-reload") == 1


def test_what_an_administrator_set_higher_stays(host: Path, systemd: FakeSystemd) -> None:
    systemd.add("web.service", "LimitNOFILE=100000")
    before = picture(host)
    result = both(host, systemd, units=[WEB])
    assert (result.changed, result.units[0].status, result.units[0].after) == (False, "kept", (100000, 100000))
    assert picture(host) == before
    result = both(host, systemd, units=[{**WEB, "match": "exact"}])
    assert (result.units[0].status, result.units[0].after) == ("changed", (4096, 8192))


def test_our_drop_in_goes_when_an_administrator_sets_more(host: Path, systemd: FakeSystemd) -> None:
    limits(host, systemd, units=[WEB])
    put(host, "/etc/systemd/system/web.service.d/50-admin.conf", TEXT.format(100000))
    systemd.run(["systemctl", "daemon-reload"])
    result = both(host, systemd, units=[WEB])
    assert (result.units[0].status, result.units[0].after) == ("changed", (100000, 100000))
    assert not (host / UNIT_DROPIN[1:]).exists()
    assert limits(host, systemd, units=[WEB]).units[0].status == "kept"


def test_a_wish_may_shrink_again(host: Path, systemd: FakeSystemd) -> None:
    limits(host, systemd, units=[WEB])
    result = both(host, systemd, units=[{"name": "web", "soft": 128, "hard": 256}])
    assert result.units[0].after == (128, 256)


def test_a_later_drop_in_that_wins_is_named(host: Path, systemd: FakeSystemd) -> None:
    later = put(host, "/etc/systemd/system/web.service.d/99-admin.conf", "[Unit]\n" + TEXT.format(100))
    systemd.run(["systemctl", "daemon-reload"])
    for changed in (True, False):
        result = both(host, systemd, units=[WEB])
        (web,) = result.units
        assert (result.changed, web.status, web.after) == (changed, "shadowed", (100, 100))
        assert web.shadowed_by == "/etc/systemd/system/web.service.d/99-admin.conf"
        assert failures(result) == [
            "/etc/systemd/system/web.service.d/99-admin.conf is applied after our drop-in and sets 100:100."
        ]
    later.unlink()
    systemd.run(["systemctl", "daemon-reload"])
    assert both(host, systemd, units=[WEB]).units[0].status == "ok"


def test_more_than_the_host_allows_is_capped(host: Path, systemd: FakeSystemd) -> None:
    options = {
        "units": [{"name": "web", "soft": 2000000}],
        "users": [{"name": "ann", "hard": 3000000}],
        "processes": [{"program": "nothing", "soft": 3000000}],
    }
    for changed in (True, False):
        result = both(host, systemd, **options)
        assert result.changed is changed
        web, ann = result.units[0], result.users[0]
        assert (web.status, web.after, web.wanted, web.allowed) == (
            "capped",
            (NR_OPEN, NR_OPEN),
            (2000000, None),
            NR_OPEN,
        )
        assert (ann.status, ann.after, ann.allowed) == ("capped", (None, NR_OPEN), NR_OPEN)
        assert failures(result) == [
            "2000000 is wanted for web and this host allows 1048576: fs.nr_open.",
            "3000000 is wanted for ann and this host allows 1048576: fs.nr_open.",
        ]
    assert (host / "proc/sys/fs/nr_open").read_text() == f"{NR_OPEN}\n"


def test_a_container_is_capped_by_its_first_process(host: Path) -> None:
    proc = host / "proc"
    assert read_ceiling(str(proc)) == Ceiling(NR_OPEN, "fs.nr_open")
    folder = add_process(proc, 1, soft=1024, hard=20000)
    assert read_ceiling(str(proc)) == Ceiling(NR_OPEN, "fs.nr_open")
    put(host, "/proc/self/uid_map", "         0    1000000      65536\n")
    capped = Ceiling(20000, "the hard limit of process 1, which nothing in this container may exceed")
    assert read_ceiling(str(proc)) == capped
    put(host, "/proc/self/uid_map", "         0          0 4294967295\n")
    for bounding, ceiling in (("000001ffffffffff", NR_OPEN), ("00000000a80425fb", 20000)):
        (folder / "status").write_text(f"Name:\tsystemd\nCapBnd:\t{bounding}\n")
        assert read_ceiling(str(proc)).value == ceiling
    (folder / "limits").write_text("")
    assert read_ceiling(str(proc)).value == NR_OPEN


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("web.socket", "web.socket is no service; only services (.service) get limits of open files here."),
        ("user.slice", "user.slice is no service; only services (.service) get limits of open files here."),
        ("var.mount", "var.mount is no service; only services (.service) get limits of open files here."),
        ("../../etc", "'../../etc' is no name of a unit."),
        ("a b", "'a b' is no name of a unit."),
        ("-h", "'-h' is no name of a unit."),
        ("*", "'*' is no name of a unit."),
        ("a\nb", "'a\\nb' is no name of a unit."),
    ],
)
def test_only_services(host: Path, systemd: FakeSystemd, name: str, why: str) -> None:
    result = both(host, systemd, units=[{"name": name, "soft": 100}, WEB])
    assert [one.status for one in result.units] == ["refused", "changed"]
    assert failures(result) == [why]
    assert not any(name in call for call in systemd.calls)


def test_refused_values_leave_the_others(host: Path, systemd: FakeSystemd) -> None:
    result = both(
        host,
        systemd,
        units=[{"name": "db", "soft": "infinity"}, WEB],
        users=[{"name": "ann", "soft": 100, "hard": 90}, {"name": "a b", "soft": 100}, {"name": "root", "soft": 100}],
        processes=[{"pid": 7, "soft": "unlimited"}],
    )
    assert [one.status for one in result.units] == ["refused", "changed"]
    assert [one.status for one in result.users] == ["refused", "refused", "changed"]
    assert [one.status for one in result.processes] == ["refused"]
    told = failures(result)
    assert told[0].startswith("units[0] (db): soft infinity is refused: it means fs.nr_open")
    assert told[1:3] == [
        "users[0] (ann): soft 100 is above hard 90, which no kernel accepts.",
        "'a b' is neither a user nor @group nor *.",
    ]
    assert told[3].startswith("processes[0] (7): soft unlimited is refused: it means fs.nr_open")


def test_units_that_are_not_there(host: Path, systemd: FakeSystemd) -> None:
    systemd.load_states["off.service"] = "masked"
    systemd.load_states["web.service"] = "bad-setting"
    result = both(host, systemd, units=[{"name": name, "soft": 100} for name in ("none", "off", "web")])
    assert [(one.status, one.reason) for one in result.units] == [
        ("absent", "This host has no unit none.service."),
        ("absent", "off.service is masked."),
        ("refused", "systemd cannot load web.service (bad-setting); it was not changed."),
    ]
    assert not result.changed
    assert len(failures(result)) == 1


def test_an_alias_is_the_unit_itself(host: Path, systemd: FakeSystemd) -> None:
    systemd.aliases["www.service"] = "web.service"
    result = both(host, systemd, units=[{**WEB, "name": "www"}, {"name": "web", "soft": 100}])
    assert [one.unit for one in result.units] == ["web.service", ""]
    assert (host / UNIT_DROPIN[1:]).exists()
    assert failures(result) == ["web and www are one unit, web.service; name it once."]
    assert both(host, systemd, state="absent", units=[{"name": "www"}]).changed
    assert not (host / UNIT_DROPIN[1:]).parent.exists()


def test_a_template_reaches_all_its_instances(host: Path, systemd: FakeSystemd) -> None:
    systemd.add("job@.service", "LimitNOFILE=64")
    run_process(host, systemd, "job@1.service", 71, 64, 64)
    run_process(host, systemd, "job@2.service", 72, 64, 64)
    result = both(host, systemd, units=[{"name": "job@.service", "soft": 512}])
    (job,) = result.units
    assert (job.status, job.before, job.after) == ("changed", (64, 64), (512, 512))
    assert (host / "etc/systemd/system/job@.service.d/90-lastack-nofile.conf").exists()
    assert [one.pid for one in job.running] == [71, 72]
    result = both(host, systemd, units=[{"name": "job@1", "soft": 1024}])
    assert (result.units[0].after, [one.pid for one in result.units[0].running]) == ((1024, 1024), [71])


def test_without_systemd_one_sentence(host: Path) -> None:
    result = limits(host, None, units=[WEB], users=[{"name": "ann", "soft": 100}])
    assert failures(result) == ["This host does not run systemd; web was not changed."]
    assert result.users[0].status == "changed"


def test_systemctl_that_is_there_without_systemd(host: Path, systemd: FakeSystemd) -> None:
    (host / "run/systemd/system").rmdir()
    assert failures(limits(host, systemd, units=[WEB])) == ["This host does not run systemd; web was not changed."]
    assert systemd.calls == []


@pytest.mark.parametrize("verb", ["show", "daemon-reload"])
def test_a_systemd_that_fails_is_said(host: Path, systemd: FakeSystemd, verb: str) -> None:
    systemd.failing[verb] = "Failed to connect to bus:\nNo such file or directory\n"
    result = limits(host, systemd, units=[WEB])
    assert failures(result) == [f"systemctl {verb} failed: Failed to connect to bus: No such file or directory."]
    assert result.units[0].status == "failed"
    systemd.failing.clear()
    assert limits(host, systemd, units=[WEB]).units[0].status == "changed"
    assert systemd.count("daemon-reload") == (2 if verb == "daemon-reload" else 1)


def test_a_run_that_was_killed_before_the_reload_converges(host: Path, systemd: FakeSystemd) -> None:
    systemd.failing["daemon-reload"] = "killed"
    limits(host, systemd, units=[WEB])
    systemd.failing.clear()
    result = both(host, systemd, units=[WEB])
    assert (result.changed, result.units[0].status, result.units[0].after) == (True, "changed", (4096, 8192))
    assert not both(host, systemd, units=[WEB]).changed


def test_running_units_with_the_old_limit_are_named(host: Path, systemd: FakeSystemd) -> None:
    run_process(host, systemd, "web.service", 50, 64, 64)
    add_process(host / "proc", 51, soft=64, hard=64, cgroup="0::/system.slice/web.service/worker\n")
    add_process(host / "proc", 52, soft=64, hard=64, cgroup="0::/system.slice/web.service-other\n")
    for status, changed in (("changed", True), ("needs_restart", False)):
        result = both(host, systemd, units=[WEB])
        (web,) = result.units
        assert (result.changed, web.status, web.needs_restart) == (changed, status, True)
        assert [(one.pid, one.limits) for one in web.running] == [(50, (64, 64)), (51, (64, 64))]
    assert systemd.count("try-restart") == 0
    assert failures(result) == []


def test_what_was_not_wished_for_asks_for_no_restart(host: Path, systemd: FakeSystemd) -> None:
    systemd.add("web.service", "LimitNOFILE=4096:8192")
    run_process(host, systemd, "web.service", 50, 4096, 5000)
    assert not both(host, systemd, units=[{"name": "web", "soft": 4096}]).units[0].needs_restart
    assert both(host, systemd, units=[{"name": "web", "soft": 4096, "hard": 6000}]).units[0].needs_restart


def test_restart_when_asked_and_only_once(host: Path, systemd: FakeSystemd) -> None:
    run_process(host, systemd, "web.service", 50, 64, 64)

    def restarted(_unit: str) -> None:
        run_process(host, systemd, "web.service", 60, 4096, 8192, ago_s=-10)
        (host / "proc/50/limits").write_text("")

    systemd.on_restart = restarted
    result = both(host, systemd, units=[WEB], restart=True)
    (web,) = result.units
    assert (web.status, web.restarted, web.needs_restart, web.running) == ("changed", True, False, ())
    result = both(host, systemd, units=[WEB], restart=True)
    assert (result.changed, result.units[0].status, systemd.count("try-restart")) == (False, "ok", 1)


def test_a_program_that_lowers_its_own_limits_is_not_restarted_again(host: Path, systemd: FakeSystemd) -> None:
    limits(host, systemd, units=[WEB])
    run_process(host, systemd, "web.service", 50, 100, 100, ago_s=-10)
    result = both(host, systemd, units=[WEB], restart=True)
    (web,) = result.units
    assert (result.changed, web.status, web.needs_restart, web.restarted) == (False, "ok", False, False)
    assert [one.pid for one in web.running] == [50]
    assert web.reason == (
        "Process 50 started after that was configured and has less: it set its own limits, or systemd may not "
        "give more."
    )


def test_a_restart_that_fails_is_said(host: Path, systemd: FakeSystemd) -> None:
    run_process(host, systemd, "web.service", 50, 64, 64)
    systemd.failing["try-restart"] = "Job for web.service failed."
    assert failures(limits(host, systemd, units=[WEB], restart=True)) == [
        "systemctl try-restart failed: Job for web.service failed."
    ]


def test_select_is_warned_of_once(host: Path, systemd: FakeSystemd) -> None:
    warning = (
        "{}: a soft limit above 1024 lets descriptors above 1023 come up, with which select() corrupts memory in C "
        "programs; make sure that they use poll() or epoll."
    )
    systemd.add("big.service", "LimitNOFILE=2000")
    options = {
        "units": [WEB, {"name": "big", "soft": 3000}, {"name": "db", "soft": 1024}],
        "users": [{"name": "ann", "soft": 3000}],
    }
    assert both(host, systemd, **options).warnings == (warning.format("web, ann"),)
    # Not what was so before, whatever else is changed of it.
    options["units"][0] = {**WEB, "hard": 9000}
    assert both(host, systemd, **options).warnings == ()
    many = [{"name": f"u{number}", "soft": 2000} for number in range(9)]
    put(host, "/etc/passwd", "".join(f"u{number}:x:{number}:1::/:/bin/sh\n" for number in range(9)))
    assert both(host, systemd, users=many).warnings == (warning.format("u0, u1, u2, u3, u4, u5, u6 and 2 more"),)


def test_select_is_no_matter_where_nothing_comes_of_it(host: Path, systemd: FakeSystemd) -> None:
    put(host, "/etc/security/limits.d/95-admin.conf", "ann soft nofile 100\n")
    result = both(host, systemd, users=[{"name": "ann", "soft": 3000}])
    assert (result.users[0].status, result.warnings) == ("shadowed", ())


@pytest.mark.parametrize(
    ("user", "names", "warning"),
    [
        ("nouser", "", "nouser is no user of this host (/etc/passwd); its limit counts for nobody."),
        (
            "nouser",
            "passwd: files systemd\n",
            "nouser is no user of this host (/etc/passwd); its limit counts for nobody.",
        ),
        # A name service may know more than the files, and may hang when it is asked.
        ("nouser", "# passwd: files\npasswd:  files sss # ours\n", ""),
        ("ann", "", ""),
        (
            "@nogroup",
            "passwd: files ldap\n",
            "@nogroup is no group of this host (/etc/group); its limit counts for nobody.",
        ),
        ("@nogroup", "group: files ldap\n", ""),
        ("@ops", "", ""),
    ],
)
def test_a_login_that_does_not_exist_is_warned_of(
    host: Path, systemd: FakeSystemd, user: str, names: str, warning: str
) -> None:
    put(host, "/etc/group", "ops:x:7:ann\n")
    if names:
        put(host, "/etc/nsswitch.conf", names)
    users = [{"name": user, "soft": 512}, {"name": "root", "soft": 512}]
    assert both(host, systemd, users=users).warnings == ((warning,) if warning else ())


def test_a_unit_that_does_not_exist_is_warned_of(host: Path, systemd: FakeSystemd) -> None:
    systemd.load_states["off.service"] = "masked"
    result = both(host, systemd, units=[{"name": "nope", "soft": 512}, {"name": "off", "soft": 512}])
    assert result.warnings == ("This host has no unit nope.service.", "off.service is masked.")
    assert failures(result) == []


def test_logins_and_the_lines_that_decide(host: Path, systemd: FakeSystemd) -> None:
    put(host, "/etc/security/limits.conf", "* soft nofile 2000\n@ops hard nofile 100000\n")
    put(host, "/etc/security/limits.d/95-admin.conf", "root - nofile 1000\n")
    users = [
        {"name": "ann", "soft": 4096},
        {"name": "@ops", "soft": 512, "hard": 4096},
        {"name": "root", "soft": 4096},
        {"name": "*", "soft": 1000},
    ]
    result = both(host, systemd, users=users)
    assert [(one.name, one.status, one.before, one.after, one.path) for one in result.users] == [
        ("ann", "changed", (2000, None), (4096, None), f"{LIMITS}:3"),
        ("@ops", "kept", (2000, 100000), (2000, 100000), "/etc/security/limits.conf:1"),
        ("root", "shadowed", (1000, 1000), (1000, 1000), "/etc/security/limits.d/95-admin.conf:1"),
        ("*", "kept", (2000, None), (2000, None), "/etc/security/limits.conf:1"),
    ]
    assert failures(result) == [
        "/etc/security/limits.d/95-admin.conf:1 wins over our lines for root and sets 1000:1000."
    ]
    assert (host / LIMITS[1:]).read_text().splitlines()[2:] == [
        "ann soft nofile 4096",
        "root soft nofile 4096",
        "root hard nofile 4096",
    ]


def test_no_limit_is_lost_beside_ours(host: Path, systemd: FakeSystemd) -> None:
    """A user's soft limit makes pam_limits drop a later ``-`` line of the group with its hard limit."""
    put(host, "/etc/group", "devs:x:2000:ann\n")
    put(host, "/etc/security/limits.d/95-devs.conf", "@devs - nofile 10000\n")
    for __ in range(2):
        result = both(host, systemd, users=[{"name": "ann", "soft": 4096, "match": "exact"}])
        assert result.users[0].after == (4096, 10000)
    assert (host / LIMITS[1:]).read_text().splitlines()[2:] == ["ann soft nofile 4096", "ann hard nofile 10000"]


def test_a_login_that_is_exempt_is_said(host: Path, systemd: FakeSystemd) -> None:
    put(host, "/etc/security/limits.conf", "ann -\n")
    result = both(host, systemd, users=[{"name": "ann", "soft": 4096}])
    assert failures(result) == ["/etc/security/limits.conf:1 takes all limits of these files from ann."]
    assert (result.users[0].status, result.users[0].after) == ("shadowed", (None, None))


def test_logins_of_earlier_calls_stay(host: Path, systemd: FakeSystemd) -> None:
    limits(host, systemd, users=[{"name": "ann", "soft": 512}, {"name": "bob", "soft": 512}])
    both(host, systemd, users=[{"name": "ann", "soft": 600}])
    assert (host / LIMITS[1:]).read_text().splitlines()[2:] == ["ann soft nofile 600", "bob soft nofile 512"]
    both(host, systemd, users=[{"name": "bob"}], state="absent")
    assert (host / LIMITS[1:]).read_text().splitlines()[2:] == ["ann soft nofile 600"]
    both(host, systemd, users=[{"name": "ann"}], state="absent")
    assert not (host / LIMITS[1:]).exists()


def test_what_logins_do_not_get_is_said(host: Path, systemd: FakeSystemd) -> None:
    (host / "etc/pam.d/su").unlink()
    assert both(host, systemd, users=[{"name": "*", "soft": 512}]).warnings == (
        "Groups and * do not cover root on this host; name root for a limit of its logins.",
        "Nothing in /etc/pam.d uses pam_limits, so no login gets these limits.",
    )
    (host / "etc/debian_version").unlink()
    put(host, "/etc/pam.d/su", "session required pam_limits.so\n")
    assert both(host, systemd, users=[{"name": "*", "soft": 600}]).warnings == ()


def test_a_host_without_pam(host: Path, systemd: FakeSystemd) -> None:
    (host / "etc/security/limits.d").rmdir()
    (host / "etc/security").rmdir()
    result = both(host, systemd, users=[{"name": "ann", "soft": 512}])
    assert [(one.status, one.reason) for one in result.users] == [
        ("absent", "This host has no /etc/security; pam_limits is not used here.")
    ]


def test_restored_is_byte_for_byte(host: Path, systemd: FakeSystemd) -> None:
    put(host, LIMITS, b"# theirs \xff\n", mode=0o600)
    put(host, "/etc/systemd/system/db.service.d/90-lastack-nofile.conf", TEXT.format(70))
    systemd.run(["systemctl", "daemon-reload"])
    before = picture(host)
    limits(host, systemd, units=[WEB, {"name": "db", "soft": 2048}], users=[{"name": "ann", "soft": 512}])
    reloads = systemd.count("daemon-reload")
    result = both(host, systemd, state="restored")
    assert result.changed
    assert {one.status for one in result.restored} == {"restored"}
    assert picture(host) == before
    assert systemd.count("daemon-reload") == reloads + 1
    assert "LimitNOFILE=64" in systemd.run(["systemctl", "show", "--", "web.service"])[1]
    again = both(host, systemd, state="restored")
    assert (again.changed, again.restored, systemd.count("daemon-reload")) == (False, (), reloads + 1)


def test_a_restore_that_was_killed_before_the_reload_converges(host: Path, systemd: FakeSystemd) -> None:
    limits(host, systemd, units=[WEB])
    systemd.failing["daemon-reload"] = "killed"
    assert failures(limits(host, systemd, state="restored")) == ["systemctl daemon-reload failed: killed."]
    systemd.failing.clear()
    systemd.active["web.service"] = (1, "")
    limits(host, systemd, state="restored")
    assert "LimitNOFILE=64" in systemd.run(["systemctl", "show", "--", "web.service"])[1]


def test_what_somebody_changed_is_a_conflict(host: Path, systemd: FakeSystemd) -> None:
    limits(host, systemd, units=[WEB])
    put(host, UNIT_DROPIN, "# an administrator's\n")
    result = both(host, systemd, state="restored")
    assert as_answer(result)["conflicts"] == [UNIT_DROPIN]
    assert failures(result) == [f"{UNIT_DROPIN} was changed by somebody else since; it was left as it is."]
    both(host, systemd, state="restored", force=True)
    assert not (host / UNIT_DROPIN[1:]).exists()


def test_absent_takes_everything_of_ours(host: Path, systemd: FakeSystemd) -> None:
    before = picture(host)
    limits(host, systemd, units=[WEB, {"name": "db", "soft": 2048}], users=[{"name": "ann", "soft": 512}])
    result = both(host, systemd, state="absent")
    assert [one.name for one in (*result.units, *result.users)] == ["db.service", "web.service", "ann"]
    assert picture(host) == before
    assert not both(host, systemd, state="absent").changed


def test_absent_takes_only_what_is_named(host: Path, systemd: FakeSystemd) -> None:
    limits(host, systemd, units=[WEB, {"name": "db", "soft": 2048}], users=[{"name": "ann", "soft": 512}])
    assert both(host, systemd, state="absent", units=[{"name": "web"}, {"name": "x.socket"}]).changed
    assert not (host / UNIT_DROPIN[1:]).exists()
    assert (host / LIMITS[1:]).exists()


def test_a_drop_in_without_a_ledger_is_recorded_before_it_goes(host: Path, systemd: FakeSystemd) -> None:
    put(host, UNIT_DROPIN, "# left over\n")
    before = picture(host)
    assert both(host, systemd, state="absent").changed
    assert both(host, systemd, state="restored").changed
    assert picture(host) == before


def test_a_lost_ledger_is_no_success(host: Path, systemd: FakeSystemd) -> None:
    limits(host, systemd, units=[WEB], users=[{"name": "ann", "soft": 512}])
    shutil.rmtree(host / "var/lib/lastack")
    # A file of somebody else under our name is none of ours.
    put(host, "/etc/systemd/system/db.service.d/90-lastack-nofile.conf", "# by hand\n")
    before = picture(host)
    result = both(host, systemd, state="restored")
    assert (result.changed, [(one.subject, one.status) for one in result.restored]) == (
        False,
        [(LIMITS, "failed"), (UNIT_DROPIN, "failed")],
    )
    assert failures(result) == [
        f"{path} was written by lastack, and the ledger does not know what was there before; "
        "it was left as it is, and state=absent removes it."
        for path in (LIMITS, UNIT_DROPIN)
    ]
    assert picture(host) == before
    both(host, systemd, state="absent", units=[{"name": "web"}], users=[{"name": "ann"}])
    assert not (host / UNIT_DROPIN[1:]).exists()
    # What was taken away does not come back.
    assert limits(host, systemd, state="restored") == NofileResult(changed=False)


def test_a_file_of_ours_from_before_the_ledger_is_no_success(host: Path, systemd: FakeSystemd) -> None:
    limits(host, systemd, units=[WEB])
    shutil.rmtree(host / "var/lib/lastack")
    limits(host, systemd, units=[{**WEB, "soft": 5000}])
    result = both(host, systemd, state="restored")
    assert [(one.subject, one.status) for one in result.restored] == [
        (UNIT_DROPIN, "restored"),
        (UNIT_DROPIN, "failed"),
    ]
    assert (host / UNIT_DROPIN[1:]).read_text().endswith(TEXT.format("4096:8192"))


@pytest.mark.parametrize("path", [UNIT_DROPIN, LIMITS])
def test_a_symlinked_drop_in_is_refused(host: Path, systemd: FakeSystemd, path: str) -> None:
    (host / "precious").write_bytes(b"precious")
    (host / path[1:]).parent.mkdir(exist_ok=True)
    (host / path[1:]).symlink_to(host / "precious")
    result = both(host, systemd, units=[WEB], users=[{"name": "ann", "soft": 512}])
    assert failures(result) == [f"{path} is a symbolic link; it was neither followed nor changed."]
    assert (host / "precious").read_bytes() == b"precious"
    assert sorted(one.status for one in (*result.units, *result.users)) == ["changed", "failed"]
    told = failures(both(host, systemd, state="absent"))
    assert told == [f"{path} is a symbolic link; it was neither followed nor changed."]


def test_an_unwritable_directory_is_predicted(
    host: Path, systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, ledger = os.access, (host / "var/lib").stat().st_ino

    def access(path: str, mode: int, *, dir_fd: int | None = None) -> bool:
        denied = path == "." and dir_fd is not None and os.fstat(dir_fd).st_ino != ledger
        return not denied and real(path, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "access", access)
    result = limits(host, systemd, check=True, units=[WEB], users=[{"name": "ann", "soft": 512}])
    assert failures(result) == [
        f"{UNIT_DROPIN} cannot be changed (Permission denied).",
        f"{LIMITS} cannot be changed (Permission denied).",
    ]


def test_a_full_disk_is_said_and_leaves_nothing_half(
    host: Path, systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.rename

    def full(source: str, target: str, **more: int) -> None:
        if target.endswith(".conf"):
            raise OSError(28, "No space left on device")
        real(source, target, **more)

    monkeypatch.setattr(os, "rename", full)
    result = limits(host, systemd, units=[WEB], users=[{"name": "ann", "soft": 512}])
    assert failures(result) == [
        f"{UNIT_DROPIN} cannot be changed (No space left on device).",
        f"{LIMITS} cannot be changed (No space left on device).",
    ]
    assert not result.changed
    monkeypatch.undo()
    assert {one.status for one in both(host, systemd, state="restored").restored} == {"unchanged"}
    assert not (host / UNIT_DROPIN[1:]).parent.exists()


def test_a_ledger_in_use_or_corrupt_stops_everything(host: Path, systemd: FakeSystemd) -> None:
    with open_ledger(root=str(host)) as ledger:
        ledger.record_runtime("net.ipv4.tcp_x", "1", "2")
        before = picture(host)
        with pytest.raises(LedgerError, match="/var/lib/lastack is locked by another run"):
            limits(host, systemd, units=[WEB])
        assert picture(host) == before
    (host / "var/lib/lastack/ledger.json").write_text("{")
    before = picture(host)
    for check in (True, False):
        with pytest.raises(LedgerError, match="json is corrupt"):
            limits(host, systemd, check=check, units=[WEB])
    assert picture(host) == before


class Kernel:
    """The limits of the processes of a folder, in place of prlimit(2)."""

    def __init__(self, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.proc = host / "proc"
        self.calls: list[tuple[int, tuple[int, int]]] = []
        self.error: OSError | None = None
        self.recycle = False
        monkeypatch.setattr(nofile_processes.resource, "prlimit", self.prlimit)

    def prlimit(self, pid: int, _resource: int, limits: tuple[int, int]) -> tuple[int, int]:
        if self.error is not None:
            raise self.error
        file = self.proc / str(pid) / "limits"
        words = file.read_text().splitlines()[-1].split()
        self.calls.append((pid, limits))
        file.write_text(f"Max open files            {limits[0]:<20} {limits[1]:<20} files     \n")
        if self.recycle:
            self.recycle = False
            stat = self.proc / str(pid) / "stat"
            stat.write_text(stat.read_text().replace(" 1000 ", " 2000 "))
        return int(words[3]), int(words[4])


def test_running_processes_are_raised_and_never_lowered(
    host: Path, systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel(host, monkeypatch)
    run_process(host, systemd, "web.service", 50, 64, 100)
    add_process(host / "proc", 51, comm=b"averylongprogramname"[:15], soft=9000, hard=9000)
    processes = [
        {"unit": "web", "soft": 4096},
        {"program": "averylongprogramname", "soft": 4096, "hard": 10000},
        {"pid": 52, "soft": 4096},
        {"program": "none", "soft": 4096},
    ]
    predicted = limits(host, systemd, check=True, processes=processes)
    assert kernel.calls == []
    result = limits(host, systemd, processes=processes)
    assert predicted == result
    assert [(one.pid, one.status, one.before, one.after) for one in result.processes] == [
        (50, "changed", (64, 100), (4096, 4096)),
        (51, "changed", (9000, 9000), (9000, 10000)),
        (52, "absent", (None, None), (None, None)),
        (0, "absent", (None, None), (None, None)),
    ]
    assert result.processes[2].reason == "Process 52 has ended or may not be read."
    assert result.processes[3].reason == "No process of program none is running."
    again = limits(host, systemd, processes=processes[:2])
    assert (again.changed, [one.status for one in again.processes]) == (False, ["ok", "kept"])
    with open_ledger(root=str(host), check=True) as ledger:
        assert {key: entry[:4] for key, entry in ledger.processes.items()} == {
            f"50:{50000 * os.sysconf('SC_CLK_TCK')}": (64, 100, 4096, 4096),
            "51:1000": (9000, 9000, 9000, 10000),
        }


def test_raised_processes_need_no_restart(host: Path, systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch) -> None:
    Kernel(host, monkeypatch)
    run_process(host, systemd, "web.service", 50, 64, 64)
    options = {"units": [WEB], "processes": [{"unit": "web", "soft": 4096, "hard": 8192}]}
    assert not both(host, systemd, **options).units[0].needs_restart


def test_a_recycled_pid_is_given_back(host: Path, systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(host, monkeypatch)
    kernel.recycle = True
    add_process(host / "proc", 50, soft=64, hard=64)
    result = limits(host, systemd, processes=[{"pid": 50, "soft": 4096}])
    assert kernel.calls == [(50, (4096, 4096)), (50, (64, 64))]
    assert [(one.status, one.reason) for one in result.processes] == [("absent", "Process 50 has ended.")]
    assert not result.changed
    assert not (host / "var/lib/lastack").exists()


def test_a_process_that_may_not_be_raised_is_said(
    host: Path, systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel(host, monkeypatch)
    kernel.error = PermissionError(1, "Operation not permitted")
    add_process(host / "proc", 50, soft=64, hard=64)
    result = limits(host, systemd, processes=[{"pid": 50, "soft": 4096}])
    assert failures(result) == ["The limits of process 50 cannot be raised (Operation not permitted)."]
    assert not (host / "var/lib/lastack").exists()


def test_processes_that_ended_leave_the_ledger(
    host: Path, systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    Kernel(host, monkeypatch)
    for pid in (50, 51):
        add_process(host / "proc", pid, soft=64, hard=64)
        limits(host, systemd, processes=[{"pid": pid, "soft": 4096}])
        (host / f"proc/{50}/stat").write_text("50 (x) Z 1\n")
    with open_ledger(root=str(host), check=True) as ledger:
        assert list(ledger.processes) == ["51:1000"]
