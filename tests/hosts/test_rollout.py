# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roll-out over real hosts under load: it passes, stops at a host that it harms, and everything comes back."""

from __future__ import annotations

import os
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest
from lab import Lab
from rollout_fleet import (
    DROPIN,
    HOSTS,
    LEDGER,
    OWN_CATALOGUE,
    PORT,
    SHORT,
    newest_record,
    on_all,
    play,
    serve,
    snapshot,
    specs,
)
from rollout_fleet import start as start_play

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs_root

SERVER = {"tcp_baseline_profile": "server", **SHORT}
OWN_FILE = "/etc/sysctl.d/50-own.conf"


@pytest.fixture(scope="module")
def hosts(bookworm: str) -> Iterator[Lab]:
    """Five hosts, each with a service and its clients."""
    del bookworm
    with Lab(specs()) as lab:
        serve(lab, *HOSTS)
        yield lab


@pytest.fixture
def fleet(hosts: Lab, tmp_path: Path) -> Iterator[Lab]:
    """Those hosts, and whatever a test leaves is taken back."""
    yield hosts
    for host in [host for host, state in hosts.state().items() if state == "off"]:
        hosts.start(host)
    serve(hosts, *HOSTS)
    there = on_all(HOSTS, lambda host: hosts.execute(host, "test", "-e", LEDGER, check=False).returncode == 0)
    changed = [host for host in HOSTS if there[host]]
    if changed:
        done = play(hosts, tmp_path, "tcp_rollback", "--limit", ",".join(changed), tcp_rollback_force=True)
        assert done.status == 0, done.output


def looks(lab: Lab) -> dict[str, str]:
    """Return what could be changed on each host."""
    return on_all(HOSTS, lambda host: snapshot(lab, host))


def has_baseline(lab: Lab, host: str) -> bool:
    """Tell whether a host has the drop-in of lastack."""
    return lab.execute(host, "test", "-e", DROPIN, check=False).returncode == 0


def test_a_roll_out_passes_all_batches_is_done_once_and_comes_back(fleet: Lab, tmp_path: Path) -> None:
    before = looks(fleet)
    predicted = play(fleet, tmp_path, "tcp_rollout", "--check", **SERVER)
    assert predicted.status == 0, predicted.output
    assert looks(fleet) == before
    assert predicted.screen.startswith(
        "check mode: nothing was changed; a run would change 5 of 5 hosts in 3 batches\n"
    )
    assert re.search(r"\n  batch 2 +2 hosts  web-2, web-3\n", predicted.screen)

    done = play(fleet, tmp_path, "tcp_rollout", tcp_rollout_probe_url=f"http://127.0.0.1:{PORT}/", **SERVER)
    assert done.status == 0, done.output
    assert done.screen.startswith("5 hosts have the baseline; 5 changed in 3 batches\n")
    assert [batch["hosts"] for batch in done.record["batches"]] == [["web-1"], ["web-2", "web-3"], ["web-4", "web-5"]]
    assert {batch["verdict"] for batch in done.record["batches"]} == {"passed"}
    assert set(done.statuses.values()) == {"passed"}
    assert all(has_baseline(fleet, host) for host in HOSTS)
    assert (done.record["state"], done.record["check"]) == ("finished", False)

    changed = looks(fleet)
    again = play(fleet, tmp_path, "tcp_rollout", **SERVER)
    assert again.status == 0, again.output
    assert again.screen.startswith("5 hosts have the baseline; 0 changed\n")
    assert again.record["batches"] == []
    assert looks(fleet) == changed

    one = play(fleet, tmp_path, "tcp_rollback", "--limit", "web-4")
    assert one.status == 0, one.output
    assert one.screen.startswith("1 host as before lastack, read back equal to the ledger\n")
    assert looks(fleet) == {**changed, "web-4": before["web-4"]}

    back = play(fleet, tmp_path, "tcp_rollback")
    assert back.status == 0, back.output
    assert re.match(
        r"5 hosts as before lastack, read back equal to the ledger\n"
        r"  rolled back +4  web-1, web-2, web-3, web-5\n  nothing to roll back +1  web-4$",
        back.screen,
    )
    assert looks(fleet) == before


def test_a_host_that_turns_bad_stops_the_roll_out_and_its_batch_comes_back(fleet: Lab, tmp_path: Path) -> None:
    # web-2 accepts in bursts: its queue must hold what comes in 0.8 s. The change leaves it 128 places.
    serve(fleet, "web-2", pause_s=0.8, rate=400)
    text = "net.ipv4.tcp_tw_recycle = 1\n# no line's end: é"
    write = f"cat > {OWN_FILE}; chgrp adm {OWN_FILE}; chmod 640 {OWN_FILE}"
    on_all(HOSTS, lambda host: fleet.execute(host, "sh", "-c", write, text=text))
    before = looks(fleet)
    (tmp_path / "own.yml").write_text(OWN_CATALOGUE)
    done = play(
        fleet,
        tmp_path,
        "tcp_rollout",
        tcp_baseline_catalogue=str(tmp_path / "own.yml"),
        tcp_baseline_settings=[{"key": "net.core.somaxconn", "value": "128"}],
        tcp_baseline_remove_harmful=True,
        **SERVER,
    )
    assert done.status == 2, done.output
    lines = done.screen.splitlines()
    assert lines[0] == "batch 2 of 3 (2 hosts): STOPPED, batch rolled back, 2 hosts untouched", done.output
    assert re.fullmatch(
        r"  web-2  Listen(Overflows|Drops) 0\.0 → [0-9.]+ a second since the change \(limit 0\.1\)", lines[1]
    )
    assert "  rolled back 2 of 2 to the ledger, read back equal" in lines
    assert "Next: look at web-2, then run the same command again: finished hosts are skipped" in lines
    assert done.statuses == {
        "web-1": "passed",
        "web-2": "restored",
        "web-3": "restored",
        "web-4": "waiting",
        "web-5": "waiting",
    }
    counters = {figure["counter"] for figure in done.record["hosts"]["web-2"]["figures"]}
    assert {"ListenOverflows", "ListenDrops"} <= counters
    assert "figures" not in done.record["hosts"]["web-4"]
    after = looks(fleet)
    assert {host: after[host] for host in HOSTS[1:]} == {host: before[host] for host in HOSTS[1:]}
    assert after["web-1"] != before["web-1"]
    serve(fleet, "web-2")

    # The same command: web-1 is skipped, and the others are well with it now.
    again = play(
        fleet,
        tmp_path,
        "tcp_rollout",
        tcp_baseline_catalogue=str(tmp_path / "own.yml"),
        tcp_baseline_settings=[{"key": "net.core.somaxconn", "value": "1024"}],
        **SERVER,
    )
    assert again.status == 0, again.output
    back = play(fleet, tmp_path, "tcp_rollback")
    assert back.status == 0, back.output
    assert looks(fleet) == before
    on_all(HOSTS, lambda host: fleet.execute(host, "rm", OWN_FILE))


def test_a_host_that_is_off_is_listed_and_done_later(fleet: Lab, tmp_path: Path) -> None:
    fleet.stop("web-2")
    done = play(fleet, tmp_path, "tcp_rollout", **SERVER)
    assert done.status != 0
    assert done.screen.startswith("4 of 5 hosts have the baseline; 4 changed in 3 batches\n"), done.output
    assert re.search(r"\n  web-2  unreachable \(", done.screen)
    assert re.search(r"\n  unreachable +1  web-2\n", done.screen)
    fleet.start("web-2")
    serve(fleet, "web-2")
    others = {host: look for host, look in looks(fleet).items() if host != "web-2"}
    again = play(fleet, tmp_path, "tcp_rollout", **SERVER)
    assert again.status == 0, again.output
    assert again.screen.startswith("5 hosts have the baseline; 1 changed in 1 batch\n")
    assert {host for host, status in again.statuses.items() if status == "passed"} == {"web-2"}
    assert {host: look for host, look in looks(fleet).items() if host != "web-2"} == others


def test_without_traffic_it_stops_or_goes_on_as_told(fleet: Lab, tmp_path: Path) -> None:
    serve(fleet, "web-3", rate=0)
    limits = {**SERVER, "tcp_rollout_soak_s": 1, "tcp_rollout_soak_limit_s": 5, "tcp_rollout_hosts": "web-3"}
    before = snapshot(fleet, "web-3")
    stopped = play(fleet, tmp_path, "tcp_rollout", **limits)
    assert stopped.status == 2, stopped.output
    assert stopped.screen.startswith("batch 1 of 1 (1 host): STOPPED, nothing of it was changed, 0 hosts untouched\n")
    assert "  web-3  Too little traffic before the change: " in stopped.screen
    assert snapshot(fleet, "web-3") == before

    done = play(fleet, tmp_path, "tcp_rollout", tcp_rollout_inconclusive="go_on", **limits)
    assert done.status == 0, done.output
    assert done.statuses == {"web-3": "unjudged"}
    assert re.search(r"\n  done, not judged +1  web-3\n", done.screen)
    assert has_baseline(fleet, "web-3")

    # There was time for a second look, and still too little traffic.
    assert "watching on, web-3: Too little traffic" in " ".join(done.output.split())
    # The commands on the screen select no other hosts than this roll-out.
    assert "-e tcp_rollback_hosts=web-3" in " ".join(done.screen.split())
    serve(fleet, "web-3")


def test_a_probe_that_fails_before_the_change_changes_nothing_and_after_it_takes_it_back(
    fleet: Lab, tmp_path: Path
) -> None:
    before = looks(fleet)
    unfit = play(fleet, tmp_path, "tcp_rollout", tcp_rollout_probe_url="http://127.0.0.1:9/", **SERVER)
    assert unfit.status == 2, unfit.output
    assert unfit.screen.startswith("batch 1 of 3 (1 host): STOPPED, nothing of it was changed, 4 hosts untouched\n")
    assert "  web-1  The probe failed before the change: " in unfit.screen
    assert looks(fleet) == before

    harmed = play(fleet, tmp_path, "tcp_rollout", tcp_rollout_probe_command=f"test ! -e {DROPIN}", **SERVER)
    assert harmed.status == 2, harmed.output
    assert harmed.screen.startswith("batch 1 of 3 (1 host): STOPPED, batch rolled back, 4 hosts untouched\n")
    assert "  web-1  The probe passed before the change and fails now: " in harmed.screen
    assert looks(fleet) == before


def test_a_killed_roll_out_is_judged_by_the_next(fleet: Lab, tmp_path: Path) -> None:
    killed = start_play(
        fleet, tmp_path, "tcp_rollout", **{**SERVER, "tcp_rollout_soak_s": 60, "tcp_rollout_soak_limit_s": 60}
    )
    try:
        end = time.monotonic() + 180
        while newest_record(tmp_path).get("hosts", {}).get("web-1", {}).get("status") != "changed":
            assert killed.poll() is None
            assert time.monotonic() < end
            time.sleep(0.2)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait(20)
    assert has_baseline(fleet, "web-1")
    # Meanwhile the host became bad.
    fleet.execute("web-1", "systemctl", "stop", "service")
    again = play(fleet, tmp_path, "tcp_rollout", **SERVER)
    assert again.status == 2, again.output
    assert again.screen.startswith("batch 1 of 3 (1 host): STOPPED, batch rolled back, 4 hosts untouched\n")
    assert re.search(r"^  web-1  (AttemptFails|OutRsts) 0\.0 % → ", again.screen, re.MULTILINE)
    assert not has_baseline(fleet, "web-1")
    serve(fleet, "web-1")


def test_what_somebody_else_has_set_since_is_left_and_said(fleet: Lab, tmp_path: Path) -> None:
    limit = ["--limit", "web-4,web-5"]
    before = {host: snapshot(fleet, host) for host in ("web-4", "web-5")}
    settings = [{"key": "net.ipv4.tcp_keepalive_probes", "value": "5"}]
    done = play(fleet, tmp_path, "tcp_rollout", *limit, tcp_baseline_settings=settings, **SERVER)
    assert done.status == 0, done.output
    fleet.execute("web-5", "sh", "-c", "echo 8 > /proc/sys/net/ipv4/tcp_keepalive_probes")
    back = play(fleet, tmp_path, "tcp_rollback", *limit)
    assert back.status == 2, back.output
    assert back.screen.startswith("1 of 2 hosts as before lastack, read back equal to the ledger\n")
    said = "CONFLICT web-5 net.ipv4.tcp_keepalive_probes was changed to '8' by somebody else since; it was left as"
    assert said in " ".join(back.screen.split())
    assert "--limit web-5 -e tcp_rollback_force=true" in " ".join(back.screen.split())
    assert snapshot(fleet, "web-4") == before["web-4"]
    assert fleet.execute("web-5", "cat", "/proc/sys/net/ipv4/tcp_keepalive_probes").stdout == "8\n"
    forced = play(fleet, tmp_path, "tcp_rollback", *limit, tcp_rollback_force=True)
    assert forced.status == 0, forced.output
    assert snapshot(fleet, "web-5") == before["web-5"]


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"tcp_rollout_soak": 5}, "Unknown variable tcp_rollout_soak (did you mean tcp_rollout_soak_s?)"),
        ({"tcp_rollout_batches": "all of them"}, "tcp_rollout_batches must be a list of numbers of hosts"),
    ],
)
def test_a_wrong_variable_ends_it_before_any_host_is_touched(
    fleet: Lab, tmp_path: Path, variables: dict[str, object], sentence: str
) -> None:
    done = play(fleet, tmp_path, "tcp_rollout", **{**SERVER, **variables})
    assert done.status == 2
    assert sentence in " ".join(done.output.split())
    assert "Apply the sysctls" not in done.output
    assert done.record == {}
