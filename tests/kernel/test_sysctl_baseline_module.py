# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``sysctl_baseline`` under a real ansible-playbook, in namespaces where nothing of the machine is in reach.

The network namespace has its own sysctls; /etc/sysctl.d, /etc/sysctl.conf and /var/lib are empty memory there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.lastack.linux.plugins.modules import sysctl_baseline

pytestmark = pytest.mark.needs_root

ROOT = Path(__file__).parents[2]
PLAYBOOK = Path(sys.executable).parent / "ansible-playbook"
MODULE = "lastack.linux.sysctl_baseline"
SOMAXCONN, KEEPALIVE = "net.core.somaxconn", "net.ipv4.tcp_keepalive_time"

# $1: a folder of the test's; the rest: the program. A failed mount ends it before anything is run.
INSIDE = """
set -eu
folder=$1; shift
for empty in /etc/sysctl.d /var/lib; do mount -t tmpfs -o mode=755 none "$empty"; done
if test -e /etc/sysctl.conf; then mount --bind "$folder/sysctl.conf" /etc/sysctl.conf; fi
test -z "$(ls -A /etc/sysctl.d /var/lib | grep -v :)"
sysctl -q -w net.core.somaxconn=128 net.ipv4.tcp_keepalive_time=7200
"$@"
cp -a /etc/sysctl.d "$folder/"
ls -A /var/lib >"$folder/var-lib"
"""


def play(folder: Path, *tasks: dict[str, Any]) -> list[dict[str, Any]]:
    """Run tasks on this machine, inside; return the result of each."""
    (folder / "sysctl.conf").touch()
    (folder / "home").mkdir()
    numbered = [{**task, "register": f"result_{at}"} for at, task in enumerate(tasks)]
    everything = ", ".join(f"result_{at}" for at in range(len(tasks)))
    report = {
        "ansible.builtin.copy": {"dest": str(folder / "results"), "content": f"{{{{ [{everything}] | to_json }}}}"},
        "check_mode": False,
        "diff": False,
    }
    book = folder / "play.yml"
    common = {"hosts": "localhost", "gather_facts": False, "connection": "local"}
    variables = {"ansible_python_interpreter": sys.executable}
    book.write_text(yaml.safe_dump([{**common, "vars": variables, "tasks": [*numbered, report]}]))
    environment = {
        "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
        "HOME": str(folder / "home"),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
    }
    shell = ["unshare", "--net", "--mount", "--propagation", "private", "--", "sh", "-c", INSIDE, "sh", str(folder)]
    command = [*shell, str(PLAYBOOK), "-i", "localhost,", "--diff", str(book)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120, env=environment, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "screen").write_text(done.stdout)
    results: list[dict[str, Any]] = json.loads((folder / "results").read_text())
    return results


def task(**arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - options of the module
    keywords = {name: arguments.pop(name) for name in ("check_mode", "ignore_errors") if name in arguments}
    return {"name": "One call", MODULE: arguments, **keywords}


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {one["key"]: one["status"] for one in result["sysctls"]}


def plain(result: dict[str, Any]) -> dict[str, Any]:
    """What the module itself returned, without what only tells how it was called."""
    return {name: value for name, value in result.items() if name not in {"invocation", "warnings", "deprecations"}}


def test_a_profile_from_check_to_restored(tmp_path: Path) -> None:
    client = {"profile": "client", "idle_cutter": True, "settings": [{"key": SOMAXCONN, "value": 4096}]}
    predicted, first, second, absent, restored, again = play(
        tmp_path,
        task(**client, check_mode=True),
        task(**client),
        task(**client),
        task(state="absent", settings=[{"key": SOMAXCONN}]),
        task(state="restored"),
        task(state="restored"),
    )
    assert plain(predicted) == plain(first)
    assert first["changed"]
    assert first["failures"] == []
    assert statuses(first)[SOMAXCONN] == "changed"
    assert statuses(first)["net.ipv4.tcp_keepalive_time"] == "changed"
    assert statuses(first)["net.ipv4.tcp_tw_reuse"] == "gated"
    screen = (tmp_path / "screen").read_text()
    assert "\n-net.core.somaxconn = 128\n" in screen
    assert "\n+net.core.somaxconn = 4096\n" in screen
    assert "+++ after: /etc/sysctl.d/99-tcp-lastack.conf" in screen
    documented = yaml.safe_load(sysctl_baseline.RETURN)
    assert set(plain(first)) - {"changed", "failed", "diff"} == set(documented)
    assert set(first["sysctls"][0]) == set(documented["sysctls"]["contains"])
    assert set(first["sysctls"][0]["boot"] or {}) <= set(documented["sysctls"]["contains"]["boot"]["sample"])
    assert (second["changed"], second["diff"]) == (False, [])
    assert (absent["changed"], absent["sysctls"][0]["boot"]) == (True, None)
    assert {one["status"] for one in restored["restored"]} == {"restored"}
    assert restored["changed"]
    assert not again["changed"]
    assert list((tmp_path / "sysctl.d").iterdir()) == []
    assert (tmp_path / "var-lib").read_text() == ""


def test_the_rest_is_applied_before_the_task_fails(tmp_path: Path) -> None:
    mixed = [
        {"key": "net.ipv4.tcp_wmem", "value": "0 1 1", "match": "exact"},
        {"key": "net.ipv4.tcp_tw_recycle", "value": "1"},
        {"key": "net.ipv4.conf.lo.rp_filter", "value": "1"},
        {"key": SOMAXCONN, "value": "4096"},
    ]
    boolean, failed, reported = play(
        tmp_path,
        task(settings=[{"key": "net.ipv4.tcp_syncookies", "value": True}], ignore_errors=True),
        task(settings=mixed, ignore_errors=True),
        task(settings=mixed, on_error="report"),
    )
    assert boolean["failed"]
    assert 'the value is the YAML boolean true; write value: "1".' in boolean["msg"]
    assert failed["failed"]
    assert failed["changed"]
    assert failed["failed_keys"] == ["net.ipv4.tcp_wmem", "net.ipv4.tcp_tw_recycle"]
    assert failed["msg"] == " ".join(failed["failures"])
    assert failed["failures"][0] == "net.ipv4.tcp_wmem: the kernel refused '0 1 1' (Invalid argument)."
    assert statuses(failed)[SOMAXCONN] == "changed"
    assert not reported.get("failed")
    assert reported["failures"] == failed["failures"]
    lines = (tmp_path / "sysctl.d/99-tcp-lastack.conf").read_text().splitlines()
    assert [line for line in lines if line.startswith("net")][-1] == f"{SOMAXCONN} = 4096"


def test_later_calls(tmp_path: Path) -> None:
    """A hand edit, a key that is no longer named, an algorithm that nobody has, and a ledger that was lost."""
    dropin = "/etc/sysctl.d/99-tcp-lastack.conf"
    two = [{"key": SOMAXCONN, "value": "16384", "match": "at_least"}, {"key": KEEPALIVE, "value": "600"}]
    nope = [{"key": "net.ipv4.tcp_congestion_control", "value": "nope"}]
    edit = {"path": dropin, "line": "# mine"}
    lost = {"path": "/var/lib/lastack", "state": "absent"}
    predicted_nope, refused, first, __, predicted, second, ___, unrestored, ____ = play(
        tmp_path,
        task(settings=nope, check_mode=True, on_error="report"),
        task(settings=nope, on_error="report"),
        task(settings=two),
        {"name": "Edit", "ansible.builtin.lineinfile": edit},
        task(settings=[two[0] | {"value": "8192"}], check_mode=True),
        task(settings=[two[0] | {"value": "8192"}]),
        {"name": "Lose the ledger", "ansible.builtin.file": lost},
        task(state="restored", ignore_errors=True),
        task(state="absent"),
    )
    assert plain(predicted_nope) == plain(refused)
    assert refused["failed_keys"] == ["net.ipv4.tcp_congestion_control"]
    assert first["remarks"] == []
    assert plain(predicted) == plain(second)
    assert [(one["key"], one["status"], one["after"]) for one in second["sysctls"]] == [
        (SOMAXCONN, "changed", "8192"),
        (KEEPALIVE, "restored", "7200"),
    ]
    (remark,) = second["remarks"]
    assert remark.startswith(f"{dropin} was changed by hand and is written anew; these lines go: ")
    assert remark.endswith("; # mine.")
    assert unrestored["failed"]
    assert unrestored["msg"].startswith(f"This module wrote {dropin}, but the ledger ")
    assert list((tmp_path / "sysctl.d").iterdir()) == []


def test_the_examples_run(tmp_path: Path) -> None:
    examples = yaml.safe_load(sysctl_baseline.EXAMPLES)
    results = play(tmp_path, *examples)
    assert all(not result.get("failed") for result in results)
    assert results[0]["changed"]
    assert [line["value"] for line in (one["boot"] for one in results[1]["sysctls"]) if line] != []
    assert statuses(results[2])["net.ipv4.conf.eth0/100.rp_filter"] == "absent"
    assert (tmp_path / "var-lib").read_text() == ""
