# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack sweep`` as a command: its passwords, its errors, its exit status; hosts are this machine alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.cli import passwords
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.outcome import CommandError
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems

LASTACK = str(Path(sys.executable).parent / "lastack")
QUICK = ("--gather", "memory", "--namespaces", "host", "--no-agent")
WAIT_S = 60.0


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    (folder / "ansible.cfg").touch()
    return {**kept, "HOME": str(folder), "ANSIBLE_CONFIG": str(folder / "ansible.cfg")}


def sweep(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LASTACK, "sweep", *arguments],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        # Nobody is asked anything: there is no terminal.
        start_new_session=True,
    )


def here(folder: Path, text: str) -> str:
    hosts = folder / "hosts"
    hosts.write_text(text, encoding="utf-8")
    return str(hosts)


def test_this_machine_is_looked_at_without_ssh(tmp_path: Path) -> None:
    hosts = here(tmp_path, "a ansible_connection=local\nb ansible_connection=local\nwin ansible_connection=winrm\n")
    done = sweep(tmp_path, "-i", hosts, "--store", "run", *QUICK)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 hosts audited")
    assert "win failed (ansible_connection is winrm" in done.stdout
    assert "run/report.html" in done.stdout
    assert done.stdout == (tmp_path / "run" / "report.txt").read_text(encoding="utf-8")
    assert done.stderr == ""
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert schema_problems(manifest, load_schema("lastack.run/1")) == []
    assert (manifest["made_by"], manifest["finished"]) == ("sweep", True)
    # As the audit keeps them, and nothing else: no password, no catalogue.
    assert manifest["options"] == {
        "agent": False,
        "gather": ["memory"],
        "min_age_s": 60.0,
        "namespaces": "host",
        "redact": True,
        "sockets": False,
        "timeout_s": 30.0,
        "top": 20,
    }


def test_json_is_the_fleet_report_and_the_default_folder_is_dated(tmp_path: Path) -> None:
    done = sweep(tmp_path, "-i", here(tmp_path, "a ansible_connection=local\n"), "--json", *QUICK)
    assert done.returncode == 0, done.stderr
    assert schema_problems(json.loads(done.stdout), load_schema("lastack.fleet/1")) == []
    assert len(list((tmp_path / "lastack-runs").glob("*Z/report.html"))) == 1


def test_nothing_seen_is_no_success(tmp_path: Path) -> None:
    done = sweep(tmp_path, "-i", here(tmp_path, "win ansible_connection=winrm\n"), "--store", "run")
    assert done.returncode == 2
    assert "no host could be looked at" in done.stderr
    assert json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))["finished"] is True


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-i", "/nonexistent/hosts"), "/nonexistent/hosts"),
        (("-i", "a,", "nobody-*"), "nobody-*"),
        (("-i", "a,", "--forks", "0"), "--forks"),
        (("-i", "a,", "--forks", "1001"), "at most 1,000"),
        (("-i", "a,", "--retries", "-1"), "--retries"),
        (("-i", "a,", "--gather", "everything"), "everything"),
        (("-i", "a,", "--store", " "), "--store"),
        (("-i", "a,", "--store", "/proc/run"), "/proc/run"),
        (("-i", "a,", "-K"), "--ask-become-pass asks on a terminal, and there is none"),
        (("-i", "a,", "-k"), "--ask-pass asks on a terminal"),
        (("-i", "a,", "-J"), "--ask-vault-pass asks on a terminal"),
        (("-i", "a,", "--become-password-file", "/nonexistent/key"), "/nonexistent/key"),
    ],
)
def test_errors_are_one_sentence_and_leave_nothing(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = sweep(tmp_path, *arguments)
    assert done.returncode == 2, done.stderr
    complaint = [line for line in done.stderr.splitlines() if line.startswith("lastack: ")]
    assert len(complaint) == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "lastack-runs").exists()


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_a_closed_stream_is_no_defect(tmp_path: Path, closed: str) -> None:
    hosts = here(tmp_path, "a ansible_connection=local\n")
    line = f'exec "$@" {closed}'
    done = subprocess.run(
        ["sh", "-c", line, "sh", LASTACK, "sweep", "-i", hosts, "--store", "run", *QUICK],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        start_new_session=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 host audited")


def hanging(folder: Path) -> str:
    python = folder / "python"
    python.write_text(f"#!/bin/sh\ntouch {folder}/begun-$$\nexec sleep 60\n", encoding="ascii")
    python.chmod(0o755)
    names = "".join(f"h{number} ansible_python_interpreter={python}\n" for number in range(6))
    return here(folder, f"{names}[all:vars]\nansible_connection=local\n")


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [LASTACK, "sweep", *arguments],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(folder: Path, pattern: str, count: int, process: subprocess.Popen[str]) -> list[Path]:
    end = time.monotonic() + WAIT_S
    while len(found := list(folder.glob(pattern))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, f"no {pattern}"
        time.sleep(0.02)
    return found


def wait_until_gone(pid: str) -> None:
    end = time.monotonic() + WAIT_S
    while True:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return
        # Whoever became its parent may let it lie.
        if stat.rpartition(")")[2].split()[0] == "Z":
            return
        assert time.monotonic() < end, f"process {pid} goes on"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_finishes_the_folder(tmp_path: Path, number: signal.Signals) -> None:
    process = started(tmp_path, "-i", hanging(tmp_path), "--store", "run", "--forks", "2")
    try:
        begun = wait_for(tmp_path, "begun-*", 2, process)
        # As a terminal does it: everybody in the foreground hears it.
        os.killpg(process.pid, number)
        output, errors = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + number
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert output.startswith("0 hosts audited")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["finished"] is True
    assert {(entry["outcome"], entry["reason"]) for entry in manifest["hosts"].values()} == {
        ("missing", "the sweep was interrupted")
    }
    assert len(list(tmp_path.glob("begun-*"))) == 2
    for mark in begun:
        wait_until_gone(mark.name.partition("-")[2])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_inventory_program_that_hangs_does_not_outlive_the_command(tmp_path: Path, number: signal.Signals) -> None:
    program = tmp_path / "hosts"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/begun-$$\nexec sleep 60\n", encoding="ascii")
    program.chmod(0o755)
    process = started(tmp_path, "-i", str(program), "--store", "run")
    try:
        (begun,) = wait_for(tmp_path, "begun-*", 1, process)
        process.send_signal(number)
        output, errors = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, output, errors) == (128 + number, "", "")
    assert not (tmp_path / "run").exists()
    wait_until_gone(begun.name.partition("-")[2])


def test_an_inventory_s_lookup_that_hangs_holds_up_neither_results_nor_ctrl_c(tmp_path: Path) -> None:
    hosts = here(tmp_path, "a ansible_connection=local\nb ansible_connection=local\n")
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "b").write_text(
        f"ansible_user: \"{{{{ lookup('pipe', 'touch {tmp_path}/begun-$$; exec sleep 300') }}}}\"\n", encoding="utf-8"
    )
    process = started(tmp_path, "-i", hosts, "--store", "run", *QUICK)
    try:
        (begun,) = wait_for(tmp_path, "begun-*", 1, process)
        wait_for(tmp_path, "run/hosts/a*.json", 1, process)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=WAIT_S)
    finally:
        if process.poll() is None:
            # With the reader of the inventory, and what that waits for.
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == 130, errors
    assert output.startswith("1 host audited")
    outcomes = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))["hosts"]
    assert outcomes["a"]["outcome"] == "ok"
    assert (outcomes["b"]["outcome"], outcomes["b"]["reason"]) == ("missing", "the sweep was interrupted")
    wait_until_gone(begun.name.partition("-")[2])


def locked_up(folder: Path, names: str, locked: str) -> str:
    hosts = here(folder, "".join(f"{name} ansible_connection=local\n" for name in names))
    (folder / "host_vars").mkdir()
    (folder / "host_vars" / locked).write_text("ansible_connection: local\n", encoding="utf-8")
    (folder / "key").write_text("c0rrect-horse\n", encoding="utf-8")
    (folder / "other").write_text("an0ther-horse\n", encoding="utf-8")
    subprocess.run(
        [
            str(Path(LASTACK).with_name("ansible-vault")),
            *("encrypt", "--vault-password-file", str(folder / "key"), str(folder / "host_vars" / locked)),
        ],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=WAIT_S,
        check=True,
    )
    return hosts


def test_a_host_whose_variables_stay_locked_is_a_reason_in_the_report(tmp_path: Path) -> None:
    hosts = locked_up(tmp_path, "abcd", "c")
    done = sweep(tmp_path, "-i", hosts, "--store", "run", "--vault-password-file", "other", *QUICK)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 hosts audited")
    assert "c failed (its variables cannot be used: " in done.stdout


def test_an_inventory_that_breaks_off_leaves_a_finished_run(tmp_path: Path) -> None:
    done = sweep(tmp_path, "-i", locked_up(tmp_path, "abcd", "c"), "--store", "run", *QUICK)
    assert done.returncode == 2
    assert done.stdout.startswith("2 hosts audited")
    (complaint,) = [line for line in done.stderr.splitlines() if line.startswith("lastack: ")]
    assert "c: " in complaint
    assert "--ask-vault-pass" in complaint
    assert str(tmp_path / "run") in complaint
    assert (tmp_path / "run" / "report.html").exists()
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["finished"] is True
    assert [entry["outcome"] for entry in manifest["hosts"].values()] == ["ok", "ok", "missing", "missing"]
    assert "--ask-vault-pass" in manifest["hosts"]["d"]["reason"]


def test_an_inventory_that_breaks_off_at_its_first_host_leaves_nothing(tmp_path: Path) -> None:
    done = sweep(
        tmp_path, "-i", locked_up(tmp_path, "cd", "c"), "--store", "run", "--vault-password-file", "other", *QUICK
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "c: " in done.stderr
    assert not (tmp_path / "run").exists()


def test_few_open_files_mean_few_hosts_at_a_time(tmp_path: Path) -> None:
    hosts = here(tmp_path, "".join(f"a{number} ansible_connection=local\n" for number in range(20)))
    line = 'ulimit -n 64; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", line, "sh", LASTACK, "sweep", "-i", hosts, "--store", "run", "--forks", "200", *QUICK],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        start_new_session=True,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("20 hosts audited"), done.stdout
    assert "only 64 files (ulimit -n): 5 hosts at the same time, not 200." in done.stderr


def test_a_second_interrupt_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    process = started(tmp_path, "-i", hanging(tmp_path), "--store", "run")
    try:
        wait_for(tmp_path, "begun-*", 2, process)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "interrupted" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 130
    finally:
        process.kill()
        process.communicate()
        for mark in tmp_path.glob("begun-*"):
            pid = mark.name.partition("-")[2]
            if Path(f"/proc/{pid}/cmdline").exists() and b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(int(pid), signal.SIGKILL)


def test_a_password_comes_from_a_file_or_a_program(tmp_path: Path) -> None:
    file, program = tmp_path / "file", tmp_path / "program"
    file.write_bytes(b"s3cret \xc3\xa9\r\nsecond line\n")
    program.write_text("#!/bin/sh\necho from-a-program\n", encoding="ascii")
    program.chmod(0o755)
    assert passwords.password_of_file(str(file)) == "s3cret é"
    assert passwords.password_of_file(str(program)) == "from-a-program"


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 3\n", "#!/nonexistent/shell\n", ""])
def test_a_password_that_is_none_is_an_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "file"
    file.write_text(text, encoding="ascii")
    file.chmod(0o755 if text else 0o600)
    with pytest.raises(CommandError, match="file"):
        passwords.password_of_file(str(file))


def test_the_password_is_in_no_command_line_and_no_file(tmp_path: Path) -> None:
    secret = "un1que-s3cret-word"
    (tmp_path / "key").write_text(secret, encoding="ascii")
    process = started(
        tmp_path, "-i", hanging(tmp_path), "--store", "run", "--become-password-file", "key", "-e", "ansible_become=no"
    )
    try:
        wait_for(tmp_path, "begun-*", 2, process)
        lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        environments = Path(f"/proc/{process.pid}/environ").read_bytes()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
        process.wait()
    assert not any(secret.encode("ascii") in line for line in (*lines, environments))
    assert secret not in output + errors
    for path in (tmp_path / "run").rglob("*"):
        assert path.is_dir() or secret.encode("ascii") not in path.read_bytes(), path
