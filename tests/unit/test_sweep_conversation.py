# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes back from a host in a sweep: the report in noise, the password only where it is asked for, a reason."""

from __future__ import annotations

import json
import random
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import MAX_FILE_BYTES
from ansible_collections.lastack.linux.sweep.answer import (
    MOST_NOISE_BYTES,
    AnswerError,
    AnswerReader,
)
from ansible_collections.lastack.linux.sweep.conversation import Conversation
from ansible_collections.lastack.linux.sweep.payload import password_prompt

if TYPE_CHECKING:
    from collections.abc import Iterable

MARKER = "0123456789abcdef0123456789abcdef"
PROMPT = password_prompt(MARKER).encode()
REPORT = {"schema": "lastack.host/1", "text": "x" * 5000, "numbers": list(range(2000))}
JSON = json.dumps(REPORT).encode()
READY = f"\n{MARKER} ready 3.11.2 /usr/bin/python3\n".encode()
BODY = b"the body"


def framed(data: bytes, length: int | None = None) -> bytes:
    return f"\n{MARKER} answer {len(data) if length is None else length} 1700000000\n".encode() + data


ANSWER = framed(zlib.compress(JSON))


def heard(chunks: Iterable[bytes], errors: bytes = b"") -> Conversation:
    talk = Conversation(MARKER, BODY)
    talk.opening()
    if errors:
        talk.hear_errors(errors)
    for chunk in chunks:
        talk.hear_output(chunk)
    return talk


def reason(talk: Conversation, status: int | None = 0) -> AnswerError:
    with pytest.raises(AnswerError) as caught:
        talk.result(status)
    assert caught.value.reason == str(caught.value)
    return caught.value


def split(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"Welcome to web-17\n",
        b"no line end",
        b"".join(b"banner line %d\n" % number for number in range(10_000)),
        b"\0" * 100_000,
        b"\xff\xfe" + b"\r\n" * 50,
        b"x" * 1_000_000,
        MARKER.encode() + b"\n" + MARKER.encode(),
        b"\n" + MARKER.encode() + b" nothing known\n",
        b"\n" + MARKER.encode() + b" " + b"y" * 10_000,
        b"\n" + MARKER.encode() + b" \n" + MARKER.encode() + b" \n",
        b"+ exec /bin/sh -c 'it' lastack " + MARKER.encode() + b" answer 5 5\n",
    ],
    ids=["none", "motd", "open", "10,000", "NULs", "bytes", "long", "bare", "unknown", "run-on", "empty", "traced"],
)
@pytest.mark.parametrize("size", [1, 7, 1000, 10**9])
def test_the_report_is_found_in_any_noise(before: bytes, size: int) -> None:
    if size == 1:
        before = before[-3000:]
    talk = heard(split(before + READY + ANSWER + b"logout\n" + b"\0" * 3000, size))
    assert talk.finished
    assert talk.result(0) == REPORT
    assert (talk.python, talk.clock_s) == ("3.11.2 /usr/bin/python3", 1_700_000_000)


def test_it_does_not_matter_where_the_stream_is_cut() -> None:
    dice = random.Random(8)
    whole = b"noise\n" * 20 + READY + b"more" + ANSWER
    for __ in range(300):
        cuts = sorted(dice.randrange(len(whole)) for __ in range(6))
        chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
        assert heard(chunks).result(0) == REPORT


def test_the_exit_status_does_not_matter_once_the_report_is_there() -> None:
    for status in (0, 1, 255, None):
        assert heard([READY + ANSWER]).result(status) == REPORT


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_connection_that_closes_mid_stream_is_worth_another_try(share: float) -> None:
    data = zlib.compress(JSON)
    have = int(len(data) * share)
    talk = heard([READY, framed(data[:have], len(data))])
    assert not talk.finished
    assert talk.stage == "while it was on its way"
    error = reason(talk, None)
    assert error.reason == f"the connection ended after {have:,} of the report's {len(data):,} bytes"
    assert (error.outcome, error.transient) == ("failed", True)


@pytest.mark.parametrize(
    "flood", [b"\0" * 2**20, b"/dev/zero\n" * 100_000, (b"\n" + MARKER.encode() + b" ready x") * 20_000]
)
@pytest.mark.parametrize("stream", ["output", "errors"])
def test_a_flood_is_not_kept(flood: bytes, stream: str) -> None:
    talk = Conversation(MARKER, BODY)
    talk.opening()
    hear = talk.hear_output if stream == "output" else talk.hear_errors
    tracemalloc.start()
    try:
        for __ in range(1000):
            # One that goes on although nobody listens any more.
            hear(flood)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert talk.finished
    assert peak < 4 * len(flood)
    error = reason(talk, None)
    assert error.reason.startswith(f"the host sent more than {MOST_NOISE_BYTES // 2**20} MiB")
    assert (error.outcome, error.transient) == ("invalid", False)


@pytest.mark.parametrize(
    ("length", "clock"),
    [
        ("-5", "1"),
        ("+5", "1"),
        ("1e3", "1"),
        ("\u0661", "1"),
        ("", "1"),
        ("5", ""),
        ("5", "-1"),
        ("5", "1.5"),
        (" 5", "1"),
    ],
)
def test_a_header_that_is_none_is_refused(length: str, clock: str) -> None:
    talk = heard([f"\n{MARKER} answer {length} {clock}\n".encode(), b"12345"])
    assert talk.finished
    assert (reason(talk).outcome, str(reason(talk))) == ("invalid", "the host's answer does not begin as one")


@pytest.mark.parametrize("length", [str(MAX_FILE_BYTES + 1), "9" * 500])
def test_a_report_that_is_too_large_is_refused_before_it_comes(length: str) -> None:
    talk = heard([f"\n{MARKER} answer {length} 1\n".encode()])
    assert talk.finished
    assert reason(talk).reason.startswith("the host announced a report of ")
    assert len(reason(talk).reason) < 120


def test_a_bomb_is_not_unpacked() -> None:
    bomb = zlib.compress(b" " * 200_000_000)
    talk = heard([framed(bomb)])
    tracemalloc.start()
    try:
        error = reason(talk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.reason == "the report has more than the 1,048,576 bytes allowed"
    assert peak < 4 * MAX_FILE_BYTES


DATA = zlib.compress(JSON)


@pytest.mark.parametrize(
    ("data", "outcome", "words"),
    [
        (b"", "failed", "damaged"),
        (b"12345", "failed", "damaged"),
        (DATA[:-1], "failed", "damaged"),
        (DATA + b"x", "failed", "damaged"),
        (DATA[:50] + bytes([DATA[50] ^ 1]) + DATA[51:], "failed", "damaged"),
        (zlib.compress(b"{"), "invalid", "the report is not JSON"),
        (zlib.compress(b"[" * 100_000), "invalid", "the report is nested deeper"),
        (zlib.compress(b"\xff"), "invalid", "the report is not UTF-8"),
        (zlib.compress(b'{"a":NaN}'), "invalid", "the report holds NaN"),
        (zlib.compress(b"[1]"), "invalid", "the report is not a JSON object"),
        (zlib.compress(b""), "invalid", "the report is not JSON"),
    ],
    ids=["empty", "no zlib", "short", "long", "flipped", "half", "deep", "bytes", "NaN", "list", "blank"],
)
def test_what_is_no_report_is_refused(data: bytes, outcome: str, words: str) -> None:
    error = reason(heard([framed(data)]))
    assert words in error.reason
    assert (error.outcome, error.transient) == (outcome, outcome == "failed")


def test_no_answer_of_another_sweep_is_taken() -> None:
    other = ANSWER.replace(MARKER.encode(), MARKER[::-1].encode())
    assert not heard([READY, other]).finished


def test_without_a_password_all_goes_out_at_once_and_once() -> None:
    talk = Conversation(MARKER, BODY)
    assert (talk.opening(), talk.opening()) == (BODY, b"")
    assert talk.hear_errors(PROMPT) == b""
    assert talk.hear_output(READY) == b""
    assert talk.hear_output(READY) == b""


def test_the_password_goes_out_when_sudo_asks_and_the_body_when_python_is_there() -> None:
    talk = Conversation(MARKER, BODY, b"secret")
    assert talk.opening() == b""
    assert talk.stage == "before sudo asked for the password or Python began"
    assert talk.hear_errors(b"We trust you have received the usual lecture\n" + PROMPT) == b"secret\n"
    assert talk.stage == "before Python began"
    assert talk.hear_errors(b"sudo: a warning\n") == b""
    assert talk.hear_output(READY) == BODY
    assert talk.stage == "while the host looked"
    assert talk.hear_output(READY) == b""
    assert talk.hear_output(ANSWER) == b""
    assert talk.result(0) == REPORT


def test_where_sudo_asks_for_none_the_password_stays_here() -> None:
    talk = Conversation(MARKER, BODY, b"secret")
    assert talk.opening() == b""
    assert talk.hear_output(READY) == BODY
    # Whoever asks now is not sudo: that is done.
    assert talk.hear_errors(PROMPT) == b""
    assert not talk.finished


@pytest.mark.parametrize("size", [1, 5, len(PROMPT) - 1, len(PROMPT), 1000])
def test_a_question_in_pieces_is_one_question(size: int) -> None:
    talk = Conversation(MARKER, BODY, b"secret")
    talk.opening()
    sent = [talk.hear_errors(chunk) for chunk in split(b"sudo: unable to resolve host\n" + PROMPT, size)]
    assert b"".join(sent) == b"secret\n"
    assert sent[-1] == b"secret\n"
    assert not talk.finished
    # Other words that end as the question does are not one.
    assert talk.hear_errors(PROMPT[-20:]) == b""
    assert not talk.finished


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_wrong_password_is_not_given_twice(size: int) -> None:
    talk = Conversation(MARKER, BODY, b"secret")
    talk.opening()
    sent = b"".join(talk.hear_errors(chunk) for chunk in split(PROMPT + b"\nSorry, try again.\n" + PROMPT, size))
    assert sent == (b"secret\n" if size < 1000 else b"")
    assert talk.finished
    assert (reason(talk, None).reason, reason(talk, None).transient) == ("sudo refused the password", False)


@pytest.mark.parametrize("password", [b"a\nb", b"a\r", b"\0"])
def test_a_password_is_one_line(password: bytes) -> None:
    with pytest.raises(AnswerError, match="more than one line") as caught:
        Conversation(MARKER, BODY, password)
    assert repr(password) not in str(caught.value)


def test_no_reason_repeats_the_password() -> None:
    talk = Conversation(MARKER, BODY, b"secret")
    talk.opening()
    talk.hear_errors(PROMPT)
    talk.hear_errors(b"read_line: got 'secret'\n")
    assert reason(talk, 1).reason.endswith("its last words: read_line: got '***'")
    talk = Conversation(MARKER, BODY, b"secret")
    talk.hear_output(b"you typed secret\n")
    assert "secret" not in reason(talk, 1).reason


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("sudo: a password is required", "sudo asks for a password, and none was given: --ask-become-pass"),
        ("sudo: 1 incorrect password attempt", "sudo refused the password"),
        ("sudo: no password was provided", "sudo refused the password"),
        ("sudo: sorry, you must have a tty to run sudo", "sudo insists on a terminal"),
        ("bob is not in the sudoers file.", "sudo does not let this user"),
        ("bob is not in the sudoers file.  This incident will be reported.", "sudo does not let this user"),
        ("Sorry, user bob is not allowed to execute '/bin/sh' as root on h.", "sudo does not let this user"),
        ("Sorry, user bob may not run sudo on h.", "sudo does not let this user"),
        ("sudo: unknown user nosuch", "sudo does not know the user"),
        ("sudo: unknown user: nosuch", "sudo does not know the user"),
        ("sudo: account validation failure, is your account locked?", "sudo says that the account is locked"),
        ("sudo: Account or password is expired, reset your password and try again", "sudo says that the account"),
        ("sudo: timed out reading password", "sudo no longer waited"),
        ("sudo: effective uid is not 0, is /usr/bin/sudo on a file system with nosuid?", "sudo cannot work"),
        ('sudo: The "no new privileges" flag is set, which prevents sudo from running', "sudo cannot work"),
        ("/bin/sh: 1: exec: sudo: not found", "sudo is not on this host"),
        ("lastack: line 1: exec: sudo: not found", "sudo is not on this host"),
    ],
)
def test_sudo_s_complaints_are_told_apart(said: str, expected: str) -> None:
    error = reason(heard([], f"warning: something\n{said}\n".encode()), 1)
    assert error.reason.startswith(expected)
    assert said[:30] in error.reason
    assert not error.transient


@pytest.mark.parametrize(
    ("output", "errors", "status", "expected", "transient"),
    [
        (b"", b"", None, "the host ended the conversation before it looked", True),
        (b"", b"Connection to h closed\n", None, "...; its last words: Connection to h closed", True),
        (
            b"This account is currently not available.\n",
            b"",
            1,
            "status 1 and ran nothing; its last words: This acc",
            False,
        ),
        (b"", b"rbash: exec: restricted\n", 1, "its last words: rbash: exec: restricted", False),
        (b"% Invalid input\x1b[2J\r\n", b"", 0, "its last words: % Invalid input", False),
        (READY, b"", None, "the connection ended while the host looked", True),
        (READY, b"", 142, "was stopped on the host", False),
        (READY, b"", 137, "perhaps for want of memory", False),
        (READY, b"", 139, "the look ended with status 139 and no report", False),
        (READY + f"\n{MARKER} error look the host's state\n".encode(), b"", 86, "the host's state", False),
        (READY + f"\n{MARKER} error look\n".encode(), b"", 86, "the look failed without a word", False),
        (READY + f"\n{MARKER} error input cut\n".encode(), b"", 86, "cut", True),
        (
            f"\n{MARKER} none\n".encode(),
            b"",
            86,
            "no Python 3.9 or newer was found; ansible_python_interpreter can name one",
            False,
        ),
        (
            f"\n{MARKER} old 3.6.8 /usr/bin/python3\n{MARKER} old 3.6.8 /usr/bin/python3\n"
            f"{MARKER} old 2.7.5 /usr/bin/python\n{MARKER} none\n".encode(),
            b"",
            86,
            "found 3.6.8 at /usr/bin/python3, 2.7.5 at /usr/bin/python; ansible_python_interpreter can name one",
            False,
        ),
    ],
)
def test_every_end_has_its_reason(
    output: bytes, errors: bytes, status: int | None, expected: str, transient: object
) -> None:
    error = reason(heard([output] if output else [], errors), status)
    assert expected.removeprefix("...") in error.reason
    assert error.transient is transient
    assert error.outcome == "failed"
    assert error.reason.isprintable()


def test_hostile_words_are_made_harmless() -> None:
    talk = heard([b"\n" + MARKER.encode() + b" error look \x1b[2J\xe2\x80\xae" + b"A" * 1500 + b"\n"])
    assert reason(talk).reason.isprintable()
    assert len(reason(talk).reason) <= 500
    talk = heard(
        [f"\n{MARKER} old 3.6 /{number}\n".encode() for number in range(1000)] + [f"\n{MARKER} none\n".encode()]
    )
    assert len(reason(talk).reason) < 300


def test_a_line_that_is_too_long_for_ours_is_noise() -> None:
    talk = heard([f"\n{MARKER} error look {'x' * 5000}\n".encode()])
    assert not talk.finished
    assert heard([f"\n{MARKER} error look {'x' * 1500}\n".encode()]).finished


def test_a_reader_without_a_report_says_so() -> None:
    with pytest.raises(AnswerError, match="no whole report"):
        AnswerReader(MARKER).report()
