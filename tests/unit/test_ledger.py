# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger: first values for ever, on disk before the change, root's alone, one run at a time."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.tune import ledger as ledger_module
from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_files import FileState, RefusedPath, write_file
from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import (
    ABSENT,
    LedgerError,
    digest,
    open_ledger,
)
from host_trees import LIMITS, SYSCTL_CONF, SYSCTL_DROPIN, UNIT_DROPIN, build_host, picture, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

needs_uid_0 = pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
KEY = "net.ipv4.tcp_x"
FOLDER = "/var/lib/lastack"
FILE = "/var/lib/lastack/ledger.json"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    return build_host(tmp_path)


def fill(host: Path) -> Path:
    """Record one sysctl, and return the ledger's file."""
    with open_ledger(root=str(host)) as ledger:
        ledger.record_runtime(KEY, "1", "2")
    return host / FILE.lstrip("/")


def why_not(host: Path, *, check: bool = False) -> str:
    """Return the sentence of the refusal; everything stays as it was."""
    before = picture(host)
    with pytest.raises(LedgerError) as refused, open_ledger(root=str(host), check=check):
        pytest.fail("it was opened")
    assert picture(host) == before
    return str(refused.value)


def test_an_empty_ledger_leaves_nothing(host: Path) -> None:
    before = picture(host)
    with open_ledger(root=str(host)) as ledger:
        assert ledger.is_empty
        assert (host / FOLDER.lstrip("/")).stat().st_mode & 0o777 == 0o700
    assert picture(host) == before
    with open_ledger(root=str(host)) as ledger:
        ledger.record_runtime(KEY, "1", "2")
        ledger.forget(runtime=[KEY])
    assert picture(host) == before


def test_an_empty_ledger_leaves_nothing_after_a_failure_either(host: Path) -> None:
    before = picture(host)
    with pytest.raises(ZeroDivisionError), open_ledger(root=str(host)):
        raise ZeroDivisionError
    assert picture(host) == before


def test_something_else_in_the_folder_stays(host: Path) -> None:
    file = fill(host)
    (file.parent / "note").write_bytes(b"mine")
    with open_ledger(root=str(host)) as ledger:
        ledger.forget(runtime=[KEY])
    assert [entry.name for entry in file.parent.iterdir()] == ["note"]


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o777])
def test_modes_do_not_follow_the_umask(host: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        file = fill(host)
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o7777 == 0o600
    assert file.parent.stat().st_mode & 0o7777 == 0o700


def test_the_first_value_is_kept_for_ever(host: Path) -> None:
    for now, wanted in (("1", "2"), ("2", "3"), ("7", "4")):
        with open_ledger(root=str(host)) as ledger:
            ledger.record_runtime(KEY, now, wanted)
            ledger.confirm_runtime(KEY, wanted)
    with open_ledger(root=str(host)) as ledger:
        assert ledger.runtime[KEY]._replace(recorded=0) == ("1", "4", None, 0)
        assert abs(ledger.runtime[KEY].recorded - time.time()) < 600


def test_many_sysctls_are_one_write(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = []
    real = ledger_module.write_text

    def counted(folder: int, text: bytes) -> None:
        writes.append(text)
        real(folder, text)

    monkeypatch.setattr(ledger_module, "write_text", counted)
    with open_ledger(root=str(host)) as ledger:
        ledger.record_runtimes((f"{KEY}{number}", "1", "2") for number in range(20))
        ledger.confirm_runtimes({f"{KEY}{number}": "2" for number in range(20)})
        ledger.forget(runtime=[f"{KEY}{number}" for number in range(20)])
        ledger.forget()
    assert len(writes) == 3


@pytest.mark.parametrize("path", [SYSCTL_DROPIN, UNIT_DROPIN, SYSCTL_CONF, LIMITS])
def test_the_first_file_is_kept_for_ever(host: Path, path: str) -> None:
    put(host, path, b"theirs \xff\0", mode=0o640)
    for text in (b"one", b"two", None):
        with open_ledger(root=str(host)) as ledger:
            ledger.record_file(path, text)
            ledger.confirm_file(path)
    with open_ledger(root=str(host)) as ledger:
        entry = ledger.files[path]
    assert entry.before == FileState(b"theirs \xff\0", 0o640, os.getuid(), os.getgid(), None)
    assert (entry.set_sha256, entry.pending_sha256, entry.made_directories) == (ABSENT, None, ())


def test_a_directory_is_ours_for_every_file_in_it(host: Path) -> None:
    other = UNIT_DROPIN.replace("90", "91")
    with open_ledger(root=str(host)) as ledger:
        for path in (UNIT_DROPIN, other):
            ledger.record_file(path, b"x")
            write_file(path, b"x", root=str(host))
        assert [ledger.files[path].made_directories for path in (UNIT_DROPIN, other)] == [
            ("/etc/systemd/system/web.service.d",)
        ] * 2


def test_what_a_killed_run_wrote_is_ours(host: Path) -> None:
    """Killed between the write and the confirmation, then again: what stood there in between is still ours."""
    root = str(host)
    with open_ledger(root=root) as ledger:
        ledger.record_runtime(KEY, "1", "2")
        ledger.record_file(SYSCTL_DROPIN, b"one")
        write_file(SYSCTL_DROPIN, b"one", root=root)
    with open_ledger(root=root) as ledger:
        ledger.record_runtime(KEY, "2", "3")
        ledger.record_file(SYSCTL_DROPIN, b"two")
    with open_ledger(root=root) as ledger:
        assert ledger.runtime[KEY]._replace(recorded=0) == ("1", "2", "3", 0)
        entry = ledger.files[SYSCTL_DROPIN]
    assert (entry.before, entry.set_sha256, entry.pending_sha256) == (None, digest(b"one"), digest(b"two"))


def test_check_mode_writes_nothing_and_answers_alike(host: Path) -> None:
    before = picture(host)
    with open_ledger(root=str(host), check=True) as ledger:
        ledger.record_runtime(KEY, "1", "2")
        ledger.record_file(SYSCTL_DROPIN, b"x")
        ledger.record_process("7:8", before=(1, 2), wanted=(2, 2))
        assert ledger.runtime[KEY].pending == "2"
        assert ledger.files[SYSCTL_DROPIN].pending_sha256 == digest(b"x")
        assert ledger.processes["7:8"].set_soft == 2
        ledger.forget(runtime=[KEY])
        assert not ledger.runtime
    assert picture(host) == before


@pytest.mark.parametrize(
    "key", ["", "tcp_x", "net..x", "net/ipv4/x", "net.ipv4.//.x", "net.ipv4.a b", "net.\n", "../x"]
)
def test_a_key_that_leads_elsewhere_is_not_recorded(host: Path, key: str) -> None:
    with open_ledger(root=str(host)) as ledger, pytest.raises(LedgerError, match="is no sysctl key"):
        ledger.record_runtime(key, "1", "2")


def test_a_file_of_no_kind_is_not_recorded(host: Path) -> None:
    with open_ledger(root=str(host)) as ledger, pytest.raises(RefusedPath):
        ledger.record_file("/etc/shadow", b"")


def test_a_process_carries_its_boot(host: Path) -> None:
    (host / "proc/sys/kernel/random").mkdir(parents=True)
    (host / "proc/sys/kernel/random/boot_id").write_text("0a1b-2c\n")
    with open_ledger(root=str(host), proc=str(host / "proc")) as ledger:
        ledger.record_process("7:8", before=(1, -1), wanted=(5, -1))
        ledger.record_process("7:8", before=(5, -1), wanted=(6, -1))
    with open_ledger(root=str(host)) as ledger:
        assert ledger.processes["7:8"]._replace(recorded=0) == (1, -1, 6, -1, 0, "0a1b-2c")


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("part", ["var", "var/lib", "var/lib/lastack"])
def test_a_symlinked_directory_is_refused(host: Path, part: str, *, check: bool) -> None:
    fill(host)
    (host / part).rename(host / "elsewhere")
    (host / part).symlink_to(host / "elsewhere")
    assert why_not(host, check=check) == (
        f"The ledger cannot be used: /{part} is a symbolic link; nothing behind it is read or changed."
    )


@pytest.mark.parametrize("check", [False, True])
def test_a_symlinked_ledger_is_refused(host: Path, *, check: bool) -> None:
    file = fill(host)
    file.rename(host / "elsewhere")
    file.symlink_to(host / "elsewhere")
    assert why_not(host, check=check) == f"{FILE} is a symbolic link; it was kept and nothing was changed."


@needs_uid_0
def test_another_users_ledger_is_refused(host: Path) -> None:
    file = fill(host)
    os.chown(file, 1234, 0)
    assert why_not(host) == f"{FILE} belongs to uid 1234 and not to root; it was kept and nothing was changed."
    os.chown(file.parent, 1234, 0)
    assert why_not(host) == (
        f"The ledger cannot be used: {FOLDER} belongs to uid 1234 and not to root; nothing in it is read or changed."
    )


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o640, 0o604])
def test_a_ledger_open_to_others_is_refused(host: Path, mode: int) -> None:
    file = fill(host)
    file.chmod(mode)
    assert why_not(host) == (
        f"{FILE} is open to others than root (mode {mode:04o}, not 0600); it was kept and nothing was changed."
    )


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o711])
def test_a_directory_open_to_others_is_refused(host: Path, mode: int) -> None:
    fill(host).parent.chmod(mode)
    assert why_not(host) == f"{FOLDER} is open to others than root (mode {mode:04o}, not 0700); nothing was changed."


def test_a_hard_linked_ledger_is_refused(host: Path) -> None:
    os.link(fill(host), host / "other")
    assert why_not(host) == f"{FILE} has 2 names (hard links); it was kept and nothing was changed."


@pytest.mark.parametrize(
    ("spoil", "advice"),
    [
        (lambda host: put(host, FILE, b"{", mode=0o600), f"otherwise move {FILE} away: a new one is begun"),
        (lambda host: (host / FILE[1:]).symlink_to("elsewhere"), f"otherwise move {FILE} away: a new one is begun"),
        (lambda host: (host / FOLDER[1:]).chmod(0o755), f"then: chmod 0700 {FOLDER}"),
    ],
)
def test_a_refusal_says_what_to_do(host: Path, spoil: Callable[[Path], object], advice: str) -> None:
    (host / FOLDER[1:]).mkdir(mode=0o700, parents=True)
    spoil(host)
    with pytest.raises(LedgerError) as refused, open_ledger(root=str(host)):
        pass
    assert refused.value.told.startswith(f"{refused.value} ")
    assert advice in refused.value.told


def test_a_fifo_is_refused_without_waiting(host: Path) -> None:
    file = fill(host)
    file.unlink()
    os.mkfifo(file, 0o600)
    assert why_not(host) == f"{FILE} is no regular file; it was kept and nothing was changed."


def test_a_huge_ledger_is_refused(host: Path) -> None:
    os.truncate(fill(host), (16 << 20) + 1)
    with pytest.raises(LedgerError) as refused, open_ledger(root=str(host)):
        pytest.fail("it was opened")
    assert str(refused.value) == f"{FILE} is larger than 16777216 bytes; it was kept and nothing was changed."


def test_a_corrupt_ledger_is_refused_kept_and_said(host: Path) -> None:
    file = fill(host)
    text = file.read_bytes()
    for length in range(len(text) - 1):
        file.write_bytes(text[:length])
        with pytest.raises(LedgerError, match=r"is corrupt: .*; it was kept and nothing was changed"):
            open_ledger(root=str(host)).__enter__()
        assert file.read_bytes() == text[:length]
    file.write_bytes(b"")
    assert why_not(host) == (
        f"{FILE} is corrupt: it is not JSON (Expecting value: line 1 column 1 (char 0)); "
        "it was kept and nothing was changed."
    )


def changed(document: dict[str, Any], path: str, value: object) -> bytes:
    *folders, name = path.split("|")
    place: Any = document
    for folder in folders:
        place = place[folder]
    if value is KeyError:
        del place[name]
    else:
        place[name] = value
    return json.dumps(document).encode()


ENTRY: dict[str, Any] = {
    "before": None,
    "kind": "limits_dropin",
    "made_directories": [],
    "recorded": 1,
    "pending_sha256": None,
}
SHADOW = {**ENTRY, "set_sha256": None}
RUNTIME, FILES, PROCESS = f"runtime|{KEY}|", f"files|{LIMITS}|", "processes|7:8|"


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("schema", "lastack.ledger/2", "its schema is not lastack.ledger/1"),
        ("schema", 1, "its schema is not lastack.ledger/1"),
        ("runtime", KeyError, "the document has no runtime"),
        ("more", 1, "the document has a field 'more' that does not belong there"),
        ("runtime", [], "runtime is no object"),
        (f"runtime|{KEY}", [], f"runtime['{KEY}'] is no object"),
        (RUNTIME + "before", 1, f"runtime['{KEY}'].before is no sysctl value"),
        (RUNTIME + "before", "a\0", f"runtime['{KEY}'].before is no sysctl value"),
        (RUNTIME + "before", None, f"runtime['{KEY}'].before is no sysctl value"),
        (RUNTIME + "set", True, f"runtime['{KEY}'].set is no sysctl value"),
        (RUNTIME + "pending", "x" * (1 << 20), f"runtime['{KEY}'].pending is no sysctl value"),
        (RUNTIME + "recorded", "now", f"runtime['{KEY}'].recorded is no time"),
        (RUNTIME + "recorded", True, f"runtime['{KEY}'].recorded is no time"),
        (RUNTIME + "recorded", -1, f"runtime['{KEY}'].recorded is no time"),
        (RUNTIME + "recorded", float("nan"), "it holds NaN, which is no JSON"),
        (RUNTIME + "recorded", float("inf"), "it holds Infinity, which is no JSON"),
        (RUNTIME + "recorded", 10**30, "it holds a number of more than 20 digits"),
        (RUNTIME + "before", KeyError, f"runtime['{KEY}'] has no before"),
        ("runtime|../../etc/shadow", {"before": "", "set": None, "pending": None, "recorded": 1}, "is no sysctl key"),
        ("runtime|net.ipv4.//.//.x", {"before": "", "set": None, "pending": None, "recorded": 1}, "is no sysctl key"),
        ("files|/etc/shadow", SHADOW, "'/etc/shadow' is none of the files that lastack may change"),
        ("files|/etc/security/limits.d/../../shadow.conf", SHADOW, "is none of the files that lastack may change"),
        ("files|../../etc/sysctl.conf", SHADOW, "is none of the files that lastack may change"),
        (FILES + "kind", "sysctl_conf", f"files['{LIMITS}'].kind is not limits_dropin"),
        (FILES + "kind", [], f"files['{LIMITS}'].kind is not limits_dropin"),
        (FILES + "made_directories", ["/etc"], "made_directories is neither empty nor the file's own directory"),
        (FILES + "made_directories", "", "made_directories is neither empty nor the file's own directory"),
        (FILES + "set_sha256", "0", f"files['{LIMITS}'].set_sha256 is no SHA-256"),
        (FILES + "pending_sha256", 0, f"files['{LIMITS}'].pending_sha256 is no SHA-256"),
        (FILES + "before", "x", f"files['{LIMITS}'].before is no object"),
        (FILES + "before|content", "%%", f"files['{LIMITS}'].before.content is no base64"),
        (FILES + "before|content", "\u00e9", f"files['{LIMITS}'].before.content is no base64"),
        (FILES + "before|content", None, f"files['{LIMITS}'].before.content is no base64"),
        (FILES + "before|content", "AAAA" * (1 << 19), f"files['{LIMITS}'].before.content is no base64"),
        (FILES + "before|mode", 0o10000, f"files['{LIMITS}'].before.mode is no whole number from 0 to 4095"),
        (FILES + "before|mode", True, f"files['{LIMITS}'].before.mode is no whole number from 0 to 4095"),
        (FILES + "before|uid", -1, f"files['{LIMITS}'].before.uid is no whole number"),
        (FILES + "before|gid", 1.5, f"files['{LIMITS}'].before.gid is no whole number"),
        (FILES + "before|selinux", "", f"files['{LIMITS}'].before.selinux is no context"),
        (FILES + "before|selinux", 1, f"files['{LIMITS}'].before.selinux is no context"),
        (PROCESS + "before_soft", -2, "processes['7:8'].before_soft is no whole number from -1"),
        (PROCESS + "set_hard", "9", "processes['7:8'].set_hard is no whole number from -1"),
        (PROCESS + "boot", "../..", "processes['7:8'].boot is no boot id"),
        ("processes|0:1", {}, "processes['0:1'] has no before_hard"),
        (
            "processes|self:1",
            {"before_soft": 1, "before_hard": 1, "set_soft": 1, "set_hard": 1, "recorded": 1, "boot": ""},
            "processes['self:1'] is no PID:STARTTIME",
        ),
    ],
)
def test_every_field_is_checked(host: Path, path: str, value: object, why: str) -> None:
    put(host, LIMITS, "theirs")
    with open_ledger(root=str(host)) as ledger:
        ledger.record_runtime(KEY, "1", "2")
        ledger.record_file(LIMITS, b"ours")
        ledger.record_process("7:8", before=(1, 2), wanted=(2, 2))
    file = host / FILE.lstrip("/")
    file.write_bytes(changed(json.loads(file.read_bytes()), path, value))
    sentence = why_not(host)
    assert sentence.startswith(f"{FILE} is corrupt: ")
    assert why in sentence
    assert sentence.endswith("; it was kept and nothing was changed.")


@pytest.mark.parametrize(
    "text",
    [b"[" * 500_000, b'{"a":' * 100_000, b"\xff", b"null", b"[]", b"{}", b"9" * 5000],
    ids=lambda text: text[:9].decode("latin-1"),
)
def test_no_text_breaks_the_reader(host: Path, text: bytes) -> None:
    fill(host).write_bytes(text)
    assert why_not(host).startswith(f"{FILE} is corrupt: it")


def test_a_full_disk_stops_before_the_change(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(host)
    before = picture(host)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with open_ledger(root=str(host)) as ledger:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(LedgerError) as refused:
            ledger.record_runtime("net.ipv4.tcp_y", "1", "2")
        monkeypatch.undo()
        assert list(ledger.runtime) == [KEY]
    assert str(refused.value) == f"{FILE} cannot be written (No space left on device); nothing more was changed."
    assert picture(host) == before


def test_a_host_without_the_place_for_it(host: Path) -> None:
    (host / "var/lib").rmdir()
    assert why_not(host) == f"{FOLDER} cannot be made (No such file or directory); nothing was changed."
    with pytest.raises(LedgerError, match=r"cannot be made \(No such file or directory\)"):
        open_ledger(root=str(host), check=True).__enter__()


def test_a_missing_right_is_said(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_arguments: object, **_more: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "mkdir", denied)
    assert why_not(host) == f"{FOLDER} cannot be used (Permission denied; become root); nothing was changed."


HOLDER = """
import sys
from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import open_ledger
with open_ledger(root=sys.argv[1]) as ledger:
    ledger.record_runtime("net.ipv4.tcp_x", "1", "2")
    print("ready", flush=True)
    sys.stdin.readline()
"""


def start_holder(host: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(host)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    return holder


def test_two_runs_at_once(host: Path) -> None:
    with start_holder(host) as holder:
        try:
            assert why_not(host) in {
                f"{FOLDER} is locked by another run (pid {holder.pid}); nothing was changed.",
                # Where /proc/locks does not show it.
                f"{FOLDER} is locked by another run; nothing was changed.",
            }
            with open_ledger(root=str(host), check=True) as ledger:
                assert ledger.runtime[KEY].before == "1"
        finally:
            holder.kill()
    with open_ledger(root=str(host), wait_s=10) as ledger:
        assert ledger.runtime[KEY].before == "1"


def test_the_holder_of_the_lock_is_found_by_device_and_inode(host: Path, tmp_path: Path) -> None:
    fill(host)
    status = (host / FOLDER.lstrip("/")).stat()
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    proc = tmp_path / "proc"
    (proc / "locks").write_text(
        f"1: FLOCK  ADVISORY  WRITE 11 {device}:{status.st_ino + 1} 0 EOF\n"
        f"2: POSIX  ADVISORY  WRITE 12 {device}:{status.st_ino} 0 EOF\n"
        f"2: -> FLOCK  ADVISORY  WRITE 13 {device}:{status.st_ino} 0 EOF\n"
        f"3: FLOCK  ADVISORY  WRITE 4242 {device}:{status.st_ino} 0 EOF\n"
    )
    with open_ledger(root=str(host)):
        with pytest.raises(LedgerError) as refused, open_ledger(root=str(host), proc=str(proc)):
            pytest.fail("it was opened")
        assert str(refused.value) == f"{FOLDER} is locked by another run (pid 4242); nothing was changed."


def test_a_run_that_waits_gets_a_directory_that_exists(host: Path) -> None:
    """The run before removes the empty ledger's directory just when the next one has its lock."""
    with start_holder(host) as holder:
        waiting = subprocess.Popen(
            [sys.executable, "-c", HOLDER.replace("root=sys.argv[1]", "root=sys.argv[1], wait_s=60"), str(host)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with waiting:
            time.sleep(0.3)
            # What the holder would do at its end with nothing left.
            (host / FILE.lstrip("/")).unlink()
            (host / FOLDER.lstrip("/")).rmdir()
            holder.kill()
            assert waiting.stdout is not None
            assert waiting.stdout.readline() == "ready\n"
            assert waiting.communicate("\n", timeout=60)[0] == ""
    assert waiting.returncode == 0
    assert (host / FILE.lstrip("/")).exists()


def test_kill_minus_nine_at_any_point(host: Path) -> None:
    """Runs are killed while they record and write without end: the ledger is always whole and holds the original."""
    put(host, SYSCTL_CONF, "original")
    program = """
import sys
from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_files import write_file
from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import open_ledger
with open_ledger(root=sys.argv[1], wait_s=10) as ledger:
    for number in range(1000000):
        content = b"%d" % number
        ledger.record_file("/etc/sysctl.conf", content)
        write_file("/etc/sysctl.conf", content, root=sys.argv[1])
        ledger.confirm_file("/etc/sysctl.conf")
        if number == 3:
            print("ready", flush=True)
"""
    for round_ in range(6):
        with subprocess.Popen([sys.executable, "-c", program, str(host)], stdout=subprocess.PIPE, text=True) as victim:
            assert victim.stdout is not None
            assert victim.stdout.readline() == "ready\n"
            time.sleep(0.0017 * round_)
            victim.send_signal(signal.SIGKILL)
        with open_ledger(root=str(host), check=True) as ledger:
            entry = ledger.files[SYSCTL_CONF]
            assert entry.before is not None
            assert entry.before.content == b"original"
            ours = {entry.set_sha256, entry.pending_sha256, digest(b"original")}
            assert digest((host / "etc/sysctl.conf").read_bytes()) in ours
