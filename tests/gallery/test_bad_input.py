# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of which a host can tell only a part: the report says what is known and what is not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from entry import Entry
from exhibit import MIN_AGE_S, Exhibit

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.needs_root

COUNT = 12
IDLE = 6

MIXED = f"""
import sys, threading
import requests, urllib3

shop = f"http://127.0.0.1:{{sys.argv[1]}}"
session = requests.Session()
unread = [session.get(f"{{shop}}/unread/{{number}}/", stream=True) for number in range({COUNT})]
pools = [urllib3.PoolManager() for __ in range({IDLE})]
for pool in pools:
    pool.request("GET", f"{{shop}}/idle/")
print("ready", flush=True)
threading.Event().wait()
"""

UNNAMED = """
import http.client, sys, threading

calls = [http.client.HTTPConnection("127.0.0.1", int(sys.argv[1])) for __ in range(int(sys.argv[2]))]
for call in calls:
    call.request("GET", "/unread/")
print("ready", flush=True)
threading.Event().wait()
"""

PERL = """
use Socket;
my ($port, $count) = @ARGV;
for (1..$count) {
    socket(my $call, PF_INET, SOCK_STREAM, 0) or die;
    connect($call, sockaddr_in($port, inet_aton("127.0.0.1"))) or die;
    syswrite($call, "GET /unread/ HTTP/1.1\\r\\nHost: shop.example\\r\\n\\r\\n");
    push @calls, $call;
}
$| = 1; print "ready\\n"; sleep 300;
"""

STATIC = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A missing close: each connection is read to its end and forgotten. */
int main(int argc, char **argv) {
    struct sockaddr_in shop = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    char answer[4096];
    shop.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int number = 0; number < atoi(argv[2]); number++) {
        int call = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(call, (struct sockaddr *)&shop, sizeof shop)) return 1;
        dprintf(call, "GET /price/ HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        while (read(call, answer, sizeof answer) > 0) ;
    }
    puts("ready");
    fflush(stdout);
    pause();
    return argc;
}
"""


def exhibit(program: Path, *run: str, peer: Sequence[str] = (), count: int = COUNT) -> Exhibit:
    """A program that is in no entry, with the gallery's usual peer."""
    entry = Entry(
        name=program.name,
        library="",
        version=[],
        runtime="",
        page="",
        suffix="",
        run=[*run, "{program}", "{port}", "{count}"],
        needs=["python"],
        leak={},
        fixed={},
        peer_arguments=list(peer),
        count=count,
    )
    return Exhibit(entry, program, program.parent / "stage")


def only_offender(report: dict[str, Any]) -> dict[str, Any]:
    assert len(report["close_wait"]["offenders"]) == 1, report["close_wait"]["offenders"]
    found: dict[str, Any] = report["close_wait"]["offenders"][0]
    return found


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """A static binary without symbols."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    source, program = tmp_path / "forgetful.c", tmp_path / "forgetful"
    source.write_text(STATIC, encoding="utf-8")
    built = subprocess.run(
        ["gcc", "-static", "-s", "-O1", "-o", str(program), str(source)], check=False, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    return program


def test_two_mistakes_in_one_program_are_both_counted(tmp_path: Path) -> None:
    program = tmp_path / "mixed.py"
    program.write_text(MIXED, encoding="utf-8")
    with exhibit(program, "{python}", peer=["--size", "40000"]) as shown:
        report = shown.settled().report
        assert shown.works() == ""
    offender = only_offender(report)
    assert offender["app"] == "mixed.py"
    assert offender["count"] == COUNT + IDLE
    assert offender["causes"] == {"unread_data": COUNT, "eof_unnoticed": IDLE}
    # The worse mistake first; the page of the runtime names the libraries that may have made either.
    assert offender["advice"] == ["close_wait.unread_body", "close_wait.idle_pool", "runtime.python"]
    told = {one["id"]: one["summary"] for one in report["findings"] if one["subject"] == "mixed.py"}
    assert list(told) == ["close_wait.unread_body", "close_wait.idle_pool"]
    assert str(COUNT) in told["close_wait.unread_body"]
    assert str(IDLE) in told["close_wait.idle_pool"]


def test_a_runtime_without_a_page_is_called_native(tmp_path: Path) -> None:
    if not shutil.which("perl"):
        pytest.skip("perl is not installed")
    program = tmp_path / "collector.pl"
    program.write_text(PERL, encoding="utf-8")
    with exhibit(program, "perl", peer=["--size", "20000"]) as shown:
        offender = only_offender(shown.settled().report)
        assert shown.works() == ""
    assert (offender["app"], offender["kind"], offender["runtime"]) == ("collector.pl", "interpreter", "native")
    assert (offender["count"], offender["causes"]) == (COUNT, {"unread_data": COUNT})
    assert offender["hints"]["libraries"] == []
    assert offender["advice"] == ["close_wait.unread_body", "runtime.native"]


def test_an_interpreter_by_another_name_is_its_executable(tmp_path: Path) -> None:
    interpreter, program = tmp_path / "vortex", tmp_path / "collector"
    shutil.copy(Path(sys.executable).resolve(), interpreter)
    program.write_text(UNNAMED, encoding="utf-8")
    with exhibit(program, str(interpreter), peer=["--size", "20000"]) as shown:
        offender = only_offender(shown.settled().report)
        assert shown.works() == ""
    # Not "collector": what an unknown program takes for its script is not known, and its arguments are no names.
    assert (offender["app"], offender["kind"], offender["runtime"]) == ("vortex", "executable", "native")
    assert (offender["count"], offender["causes"]) == (COUNT, {"unread_data": COUNT})
    assert offender["hints"] == {"libraries": [], "program": None, "log_files": []}


def test_a_stripped_static_binary_is_named_and_nothing_is_made_up(static: Path) -> None:
    with exhibit(static) as shown:
        said = shown.settled()
        assert shown.works() == ""
    offender = only_offender(said.report)
    assert (offender["app"], offender["kind"], offender["runtime"]) == ("forgetful", "executable", "native")
    assert (offender["count"], offender["causes"]) == (COUNT, {"eof_read": COUNT})
    assert said.age_is_true(offender)
    assert offender["hints"]["libraries"] == []
    assert offender["advice"] == ["close_wait.leak", "runtime.native"]
    assert said.report["completeness"]["complete"] is True


def test_without_the_right_to_look_the_sockets_are_counted_and_nobody_is_blamed(static: Path) -> None:
    with exhibit(static) as shown:
        with_rights = shown.settled().report
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", str(Path(sys.executable).with_name("lastack"))]
        command += ["probe", "--json", "--min-age-s", str(MIN_AGE_S)]
        run = shown._stage.start(*command, folder=static.parent)
        assert shown._stage.wait(run.pid) == 0, run.errors.read_text(encoding="utf-8")
        report = json.loads(run.output.read_text(encoding="utf-8"))
        assert shown.works() == ""
    named = only_offender(with_rights)
    assert (named["app"], named["count"]) == ("forgetful", COUNT)
    # What the sockets themselves tell stays: how many, since when, why, with whom.
    nobody = only_offender(report)
    assert (nobody["kind"], nobody["pids"], nobody["exe"], nobody["runtime"]) == ("unknown", [], None, None)
    assert nobody["app"].startswith("unknown program")
    for key in ("count", "causes", "role", "peers"):
        assert nobody[key] == named[key], key
    assert nobody["age_s"]["at_least"] >= named["age_s"]["at_least"]
    assert (nobody["hints"], nobody["advice"]) == (None, ["close_wait.leak"])
    assert report["completeness"]["complete"] is False
    assert report["completeness"]["close_wait"]["unattributed"] == COUNT
    assert "owners_denied" in [one["code"] for one in report["completeness"]["warnings"]]
    findings = {one["id"]: one for one in report["findings"]}
    assert "view.incomplete" in findings
    assert "as root" in findings["close_wait.leak"]["next_step"]
