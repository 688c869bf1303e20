# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sweep sends to a host: a command that every login shell takes, a program that runs from memory alone."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import time
import tokenize
import zlib
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils import sweep_entry
from ansible_collections.lastack.linux.plugins.module_utils.options import OptionsError
from ansible_collections.lastack.linux.plugins.plugin_utils.bundle import read_sources
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import require_host_report
from ansible_collections.lastack.linux.sweep import payload
from ansible_collections.lastack.linux.sweep.answer import AnswerError
from ansible_collections.lastack.linux.sweep.conversation import Conversation
from ansible_collections.lastack.linux.sweep.loader import (
    BECOME_SCRIPT,
    EXIT_TOO_OLD,
    PYTHON_LINE,
    SEARCH_SCRIPT,
)
from ansible_collections.lastack.linux.sweep.payload import (
    Become,
    PayloadError,
    Request,
    build_body,
    new_marker,
    password_prompt,
    remote_command,
    slim_source,
)
from carry import carry
from tool_cache import Python, pythons

MARKER = new_marker()
LITTLE: dict[str, Any] = {"gather": ["close_wait"], "namespaces": "host", "timeout_s": 10.0}
BODY = build_body(MARKER, LITTLE)
EVERY = pythons()
SHELLS = ("sh", "bash", "dash", "zsh", "fish", "tcsh", "csh", "ksh", "busybox")
ENTRY = "ansible_collections.lastack.linux.plugins.module_utils.sweep_entry"
SOURCES = read_sources(ENTRY)
MODULES = {name: source.decode() for name, source in SOURCES.items()}
REPORT = ENTRY.replace("sweep_entry", "report")


def body_of(**changes: object) -> bytes:
    """Return a body whose payload differs from the right one."""
    head, __, data = BODY.split(b"\n", 2)
    whole = {**json.loads(zlib.decompress(data)), **changes}
    packed = zlib.compress(json.dumps(whole).encode())
    return b"%s\n%d\n%s" % (head, len(packed), packed)


def command(interpreters: tuple[str, ...] = (sys.executable,), life_s: int = 60) -> list[str]:
    return ["/bin/sh", "-c", remote_command(Request(MARKER, interpreters, None, life_s))]


def script(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def only_these(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that alone has the Pythons of the host."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(payload, "PYTHONS", ("python3", "python3.11", "python"))
    monkeypatch.setenv("PATH", f"{folder}")
    return folder


def test_markers_are_random_words() -> None:
    made = {new_marker() for __ in range(100)}
    assert len(made) == 100
    assert all(len(one) == 32 and one.isalnum() and one.isascii() for one in made)


@pytest.mark.parametrize("text", [PYTHON_LINE, SEARCH_SCRIPT, BECOME_SCRIPT])
def test_shells_read_the_first_lines_alike(text: str) -> None:
    assert text.isascii()
    assert text.isprintable()
    assert not set(text) & set("'\\!")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_host_s_shell_does_not_matter(shell: str) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    start = [path, "sh"] if shell == "busybox" else [path]
    talk = Conversation(MARKER, BODY)
    status = carry(talk, [*start, "-c", remote_command(Request(MARKER, (sys.executable,)))])
    assert require_host_report(talk.result(status))["collector"]["name"] == "sweep"


@pytest.mark.parametrize("python", EVERY, ids=[one.version for one in EVERY])
def test_every_python_looks(python: Python) -> None:
    talk = Conversation(MARKER, BODY)
    report = require_host_report(talk.result(carry(talk, command(interpreters=(str(python.path),)))))
    assert report["options"]["gather"] == ["close_wait"]
    assert talk.python is not None
    assert talk.python.startswith(python.version + ".")
    assert talk.clock_s is not None


def test_the_look_is_the_one_that_was_asked_for() -> None:
    body = build_body(MARKER, {"top": 3, "min_age_s": 7.5, "redact": False, "agent": False, "sockets": True})
    talk = Conversation(MARKER, body)
    options = talk.result(carry(talk, command()))["options"]
    assert (options["top"], options["min_age_s"], options["redact"], options["agent"]) == (3, 7.5, False, False)


def test_options_are_refused_before_any_host_is_asked() -> None:
    with pytest.raises(OptionsError, match="namespaces: 'some'"):
        build_body(MARKER, {"namespaces": "some"})
    with pytest.raises(TypeError, match="colour"):
        build_body(MARKER, {"colour": True})


def test_nothing_is_written_on_the_host(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = {"HOME": str(home), "TMPDIR": str(home), "PATH": os.environ["PATH"]}
    shell = ["/bin/sh", "-c", "ulimit -f 0; ulimit -c 0; " + command()[-1]]
    talk = Conversation(MARKER, build_body(MARKER, {"timeout_s": 20.0}))
    # Not even one byte could be written into a file: the limit would end the program.
    status = carry(talk, shell, environment=environment, cwd=home)
    require_host_report(talk.result(status))
    assert not list(home.rglob("*"))


def test_what_lies_about_on_the_host_is_not_imported(tmp_path: Path) -> None:
    for name in ("zlib", "json", "signal", "ansible_collections", "socket"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hijacked')", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": str(tmp_path / "zlib.py")}
    talk = Conversation(MARKER, BODY)
    require_host_report(talk.result(carry(talk, command(), environment=environment, cwd=tmp_path)))


@pytest.mark.parametrize(
    "before",
    [
        b"the password\n",
        b"\0\0\n\n\r\n" * 1000,
        b"x" * 300_000 + b"\n",
        MARKER.encode() + b" almost\n" + MARKER[:-1].encode() + b"\n",
        b"\xff\xfe\x80\n",
    ],
    ids=["password", "NULs", "long line", "almost", "no text"],
)
def test_what_comes_before_the_marker_is_forgotten(before: bytes) -> None:
    talk = Conversation(MARKER, before + BODY)
    require_host_report(talk.result(carry(talk, command())))


@pytest.mark.parametrize(
    "sent",
    [b"", b"password\n", BODY[: len(BODY) // 2], BODY[:40], BODY[:-1]],
    ids=("none", "noise", "half", "start", "most"),
)
def test_a_request_that_is_cut_short_is_told(sent: bytes) -> None:
    done = subprocess.run(command(), check=False, input=sent, capture_output=True, timeout=60)
    talk = Conversation(MARKER, b"")
    talk.hear_output(done.stdout)
    with pytest.raises(AnswerError, match="standard input ended before the request") as caught:
        talk.answer(done.returncode)
    assert caught.value.transient
    assert b"password" not in done.stdout + done.stderr


def test_nothing_stays_where_nobody_talks_any_more() -> None:
    with subprocess.Popen(command(life_s=1), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as host:
        try:
            # Standard input stays open, as it does when the controller is gone without a word.
            assert host.wait(60) == 128 + 14
        finally:
            assert host.stdin is not None
            host.stdin.close()


def test_the_given_interpreter_goes_first_and_may_have_arguments(only_these: Path) -> None:
    script(only_these / "mine", f'#!/bin/sh\n[ "$1" = run ] && shift && exec {sys.executable} "$@"\n')
    script(only_these / "python3", "#!/bin/sh\nexit 1\n")
    talk = Conversation(MARKER, BODY)
    talk.result(carry(talk, command(interpreters=("auto_silent", "  mine   run "))))
    assert talk.python is not None


def test_interpreters_are_words_and_no_patterns(only_these: Path) -> None:
    script(only_these / "mine", f'#!/bin/sh\n[ "$1" = "*" ] && shift && exec {sys.executable} "$@"\n')
    assert "auto" not in remote_command(Request(MARKER, ("auto_legacy_silent",)))
    talk = Conversation(MARKER, BODY)
    require_host_report(talk.result(carry(talk, command(interpreters=("mine *",)), cwd=only_these)))


def test_streams_that_do_not_wait_are_waited_for() -> None:
    input_there, input_here = os.pipe()
    output_here, output_there = os.pipe()
    os.set_blocking(input_there, False)
    os.set_blocking(output_there, False)
    # More than a pipe holds.
    large = "import random\ndef collect_report(options): return {'x': random.Random(8).randbytes(200_000).hex()}"
    body = body_of(modules={**MODULES, REPORT: large})
    talk = Conversation(MARKER, b"")
    host = subprocess.Popen(command(), stdin=input_there, stdout=output_there)
    os.close(input_there)
    os.close(output_there)
    try:
        while talk.python is None and (data := os.read(output_here, 65_536)):
            talk.hear_output(data)
        # It is there and has nothing to read yet.
        time.sleep(0.3)
        for start in range(0, len(body), 20_000):
            os.write(input_here, body[start : start + 20_000])
        time.sleep(0.5)
        while data := os.read(output_here, 65_536):
            talk.hear_output(data)
        assert len(talk.result(host.wait(60))["x"]) == 400_000
    finally:
        os.close(input_here)
        os.close(output_here)
        host.kill()
        host.wait()


def test_nobody_who_listens_is_no_trouble() -> None:
    with subprocess.Popen(command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as host:
        assert host.stdout is not None
        assert host.stdout.readline() + host.stdout.readline() != b"\n"
        host.stdout.close()
        assert host.communicate(BODY, 60)[1] == b""
        assert host.returncode == sweep_entry.SAID


def test_the_next_python_is_taken_where_one_is_old_or_broken(only_these: Path) -> None:
    old = f'echo "{MARKER} old 3.6.8 /usr/bin/python3"; exit {EXIT_TOO_OLD}'
    script(only_these / "given", "#!/nonexistent/interpreter\n")
    script(only_these / "python3", f"#!/bin/sh\n{old}\n")
    script(only_these / "python3.11", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    talk = Conversation(MARKER, BODY)
    require_host_report(talk.result(carry(talk, command(interpreters=("given", "absent", "/absent")))))


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7", "3.8"])
def test_an_old_python_says_so_itself(version: str, only_these: Path) -> None:
    made = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    path = next((str(path) for path in sorted(made.glob(f"{version}.*/bin/python"))), None)
    path = path or next(
        (str(path) for path in (Path("/usr/bin"), Path("/usr/local/bin")) if (path / f"python{version}").exists()), None
    )
    if path is None:
        pytest.skip(f"there is no Python {version} here")
    (only_these / "python3").symlink_to(path)
    talk = Conversation(MARKER, BODY)
    status = carry(talk, command(interpreters=()))
    with pytest.raises(AnswerError, match=rf"^no Python 3\.9 or newer: found {version}\.\d+ at /\S+; ansible_python"):
        talk.result(status)


def test_no_python_at_all_is_a_reason(only_these: Path) -> None:
    assert not list(only_these.iterdir())
    talk = Conversation(MARKER, BODY)
    status = carry(talk, command(interpreters=()))
    with pytest.raises(
        AnswerError, match=r"^no Python 3\.9 or newer was found; ansible_python_interpreter can name one$"
    ) as caught:
        talk.result(status)
    assert (caught.value.outcome, caught.value.transient) == ("failed", False)


def test_a_broken_python_is_named(only_these: Path) -> None:
    script(only_these / "python3", "#!/bin/sh\necho 'No module named encodings' >&2; exit 1\n")
    talk = Conversation(MARKER, BODY)
    status = carry(talk, command(interpreters=()))
    with pytest.raises(AnswerError, match=r"was found; .*; its last words: No module named encodings$"):
        talk.result(status)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"options": {"namespaces": "some"}}, "namespaces: 'some' is neither"),
        ({"modules": {}}, "No module named 'ansible_collections'"),
        ({"options": {"top": "many"}}, r"^TypeError: .* \(options, line \d+\)$"),
        # Not where the login began, which may be a mount that has to go.
        ({"modules": {REPORT: "import os\nraise OSError(os.getcwd())"}}, "cannot be read: /$"),
        ({"modules": {REPORT: "\n\nraise ValueError('x' * 5000)"}}, r"^ValueError: x+ \(report, line 3\)$"),
        (
            {"modules": {REPORT: "raise OSError(5, 'Input/output error')"}},
            "the host's TCP state cannot be read: .*Input/output error",
        ),
    ],
)
def test_what_goes_wrong_on_the_host_is_said(changes: dict[str, Any], reason: str) -> None:
    talk = Conversation(MARKER, body_of(**changes))
    status = carry(talk, command())
    with pytest.raises(AnswerError, match=reason) as caught:
        talk.result(status)
    assert not caught.value.transient


def test_prints_do_not_end_up_in_the_answer() -> None:
    noisy = MODULES[REPORT] + "\nprint('loud')\nimport os; os.write(1, b'louder')"
    talk = Conversation(MARKER, body_of(modules={**MODULES, REPORT: noisy}))
    require_host_report(talk.result(carry(talk, command())))


@pytest.mark.parametrize("word", ["it's", "a\\b", "a!b", "a\nb", "a\tb", "p\u00e4th", "", "\0"])
def test_words_that_shells_read_differently_are_refused(word: str) -> None:
    with pytest.raises(PayloadError, match="cannot be part of a command line"):
        remote_command(Request(MARKER, become=Become(user=word)))


@pytest.mark.parametrize(
    "word", ["a b", "$HOME", "`id`", "$(id)", "*", '"', ";", "&", "|", "~", "#", "%", "^", "{a,b}"]
)
@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "fish"])
def test_other_words_arrive_as_they_are(word: str, shell: str, tmp_path: Path) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    sudo = script(tmp_path / "sudo", "#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    line = remote_command(Request(MARKER, become=Become(word, str(sudo))))
    done = subprocess.run([path, "-c", line], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.split("\n")[:5] == ["-H", "-n", "-u", word, "/bin/sh"]


def test_sudo_asks_only_where_there_is_a_password() -> None:
    without = remote_command(Request(MARKER, become=Become()))
    with_one = remote_command(Request(MARKER, become=Become(with_password=True)))
    assert "'sudo' '-H' '-n' '-u' 'root'" in without
    assert f"'sudo' '-H' '-S' '-p' '{password_prompt(MARKER)}' '-u' 'root'" in with_one


@pytest.mark.parametrize("name", sorted(SOURCES), ids=lambda name: name.rpartition(".")[2])
def test_a_slim_source_is_the_same_program(name: str) -> None:
    class Blank(ast.NodeTransformer):
        def visit_Expr(self, node: ast.Expr) -> ast.Expr:
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                node.value.value = ""
            return node

    slim = slim_source(SOURCES[name])
    assert ast.dump(ast.parse(slim)) == ast.dump(Blank().visit(ast.parse(SOURCES[name])))
    assert slim.count("\n") == SOURCES[name].count(b"\n")
    assert not any(
        token.type == tokenize.COMMENT
        for token in tokenize.generate_tokens(iter(slim.splitlines(keepends=True)).__next__)
    )
    ast.parse(slim, feature_version=(3, 9))
    # Where something fails is told by line.
    whole, cut = (ast.walk(ast.parse(source)) for source in (SOURCES[name], slim))
    assert [getattr(node, "lineno", 0) for node in whole] == [getattr(node, "lineno", 0) for node in cut]


@pytest.mark.parametrize(
    ("source", "slim"),
    [
        ('"""One."""\nx = 1  # why\n', '""\nx = 1\n'),
        ('def f():\n    """One.\n\n    Two.\n    """\n', 'def f():\n    ""\n\n\n\n'),
        ('x = "# no comment"  # one\n', 'x = "# no comment"\n'),
        ('x: int = 0\n"""What x is, \u00e4\u00f6."""; y = "\u00fc"  # \u00e4\n', 'x: int = 0\n""; y = "\u00fc"\n'),
        ('"""a\nb"""; x = 1\n', '""; x = 1\n\n'),
        ("# only\n", "\n"),
        ("", ""),
    ],
)
def test_comments_and_docstrings_go(source: str, slim: str) -> None:
    assert slim_source(source.encode()) == slim


def test_only_what_a_look_needs_is_sent() -> None:
    modules = json.loads(zlib.decompress(BODY.split(b"\n", 2)[2]))["modules"]
    assert REPORT in modules
    assert not [name for name in modules if ".tune." in name or ".agent." in name or ".plugin_utils." in name]
    assert len(BODY) < 120_000


def test_modules_come_from_memory_alone() -> None:
    finder = sweep_entry.SourcesInMemory({"pack.age.one": "x = __name__", "pack.age.two": "from pack.age.one import x"})
    sys.meta_path.insert(0, finder)  # type: ignore[arg-type]
    try:
        from pack.age import two  # type: ignore[import-not-found]  # noqa: PLC0415 - it is there only now

        assert two.x == "pack.age.one"
        assert finder.find_spec("pack.age.three") is None
        assert finder.find_spec("pac") is None
        assert sys.modules["pack.age"].__path__ == []
    finally:
        sys.meta_path.remove(finder)  # type: ignore[arg-type]
        for name in [name for name in sys.modules if name.split(".")[0] == "pack"]:
            del sys.modules[name]
