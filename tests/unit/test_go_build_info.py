# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of Go programs, from ELF files made here: whole ones, and all that can be wrong with one."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.go_build_info import (
    GoModule,
    parse_modules,
    read_go_modules,
)
from hypothesis import given
from hypothesis import strategies as st

TEXT = (
    b"path\texample.org/shop/cmd/api\nmod\texample.org/shop\t(devel)\t\n"
    b"dep\tgithub.com/jackc/pgx/v5\tv5.5.4\th1:Xp2aQS8uXButQdnCMWNmvx6UysWQQC+u1EoizjguY+8=\n"
    b"dep\tgithub.com/go-resty/resty/v2\tv2.16.5\n=>\t./resty\t(devel)\t\nbuild\t-compiler=gc\n"
)
MODULES = (
    GoModule("example.org/shop", None),
    GoModule("github.com/jackc/pgx/v5", "v5.5.4"),
    GoModule("github.com/go-resty/resty/v2", "v2.16.5"),
)


def varint(number: int) -> bytes:
    data = b""
    while number > 0x7F:
        data += bytes([number & 0x7F | 0x80])
        number >>= 7
    return data + bytes([number])


def build_info(text: bytes = TEXT, *, flags: int = 2) -> bytes:
    framed = b"\x30\x77\xaf\x0c" * 4 + text + b"\xf9\x32\x43\x31" * 4
    head = b"\xff Go buildinf:" + bytes([8, flags])
    return head.ljust(32, b"\0") + varint(8) + b"go1.22.1" + varint(len(framed)) + framed


def elf(info: bytes, *, order: str = "<", wide: bool = True, sections: bool = True) -> bytes:
    """An executable with one writable segment that holds ``info``, and the sections' table unless it is stripped."""
    start = 512
    names = b"\0.shstrtab\0.go.buildinfo\0"
    names_at = start + len(info)
    table_at = (names_at + len(names) + 15) // 16 * 16
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]).ljust(12, b"\0")
    word = "Q" if wide else "I"
    sizes = (64, 56, 64) if wide else (52, 32, 40)
    count = 3 if sections else 0
    header = struct.pack(
        f"{order}16sHHI{word}{word}{word}IHHHHHH",
        *(ident, 2, 62, 1, 0x400000, sizes[0], table_at if count else 0, 0, sizes[0], sizes[1], 2, sizes[2], count),
        1 if count else 0,
    )
    if wide:
        segments = [(1, 5, 0, 0, 0, 64, 64, 4096), (1, 6, start, 0, 0, len(info), len(info), 4096)]
        rows = [(0,) * 10, (1, 3, 0, 0, names_at, len(names), 0, 0, 1, 0), (11, 1, 3, 0, start, len(info), 0, 0, 16, 0)]
        layouts = "IIQQQQQQ", "IIQQQQIIQQ"
    else:
        segments = [(1, 0, 0, 0, 64, 64, 5, 4096), (1, start, 0, 0, len(info), len(info), 6, 4096)]
        rows = [(0,) * 10, (1, 3, 0, 0, names_at, len(names), 0, 0, 1, 0), (11, 1, 3, 0, start, len(info), 0, 0, 16, 0)]
        layouts = "IIIIIIII", "IIIIIIIIII"
    head = header + b"".join(struct.pack(order + layouts[0], *one) for one in segments)
    table = b"".join(struct.pack(order + layouts[1], *row) for row in rows) if count else b""
    return (head.ljust(start, b"\0") + info + names).ljust(table_at, b"\0") + table


def read(data: bytes) -> tuple[GoModule, ...] | None:
    descriptor = os.memfd_create("program")
    try:
        os.write(descriptor, data)
        return read_go_modules(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("sections", [True, False])
def test_the_modules_of_a_program(order: str, *, wide: bool, sections: bool) -> None:
    assert read(elf(build_info(), order=order, wide=wide, sections=sections)) == MODULES


def test_the_section_is_found_far_inside_a_large_segment() -> None:
    data = elf(b"\0" * 100_000 + build_info())
    # The section's own offset: the segment begins a hundred thousand zeros before.
    table = int.from_bytes(data[40:48], "little")
    at = table + 2 * 64 + 24
    moved = data[:at] + struct.pack("<QQ", 512 + 100_000, len(build_info())) + data[at + 16 :]
    assert read(moved) == MODULES


def test_programs_that_name_no_modules() -> None:
    assert read(elf(build_info(b"path\tcommand-line-arguments\nbuild\t-compiler=gc\n"))) == ()
    assert read(elf(build_info(b""))) is None
    # Before Go 1.18 the section held pointers.
    assert read(elf(build_info(flags=0))) is None
    assert read(elf(b"\0" * 256)) is None
    assert read(elf(b"\0" * 8 + build_info(), sections=False)) is None, "the linker aligns it to 16 bytes"


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\2\1\1" + b"\xff" * 200, b"MZ" * 100])
def test_what_is_no_program(data: bytes) -> None:
    assert read(data) is None


def test_the_interpreter_of_this_test_is_not_written_in_go() -> None:
    descriptor = os.open(Path(sys.executable).resolve(), os.O_RDONLY)
    try:
        assert read_go_modules(descriptor) is None
    finally:
        os.close(descriptor)


def test_a_program_that_is_cut_anywhere_gives_all_or_nothing() -> None:
    for sections in (True, False):
        whole = elf(build_info(), sections=sections)
        assert {read(whole[:length]) for length in range(len(whole) + 1)} == {None, MODULES}


@given(st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), max_size=12), st.booleans(), st.booleans())
def test_no_broken_file_does_harm(changes: list[tuple[int, int]], wide: bool, sections: bool) -> None:  # noqa: FBT001 - hypothesis gives them
    data = bytearray(elf(build_info(), wide=wide, sections=sections))
    for position, value in changes:
        data[position % len(data)] = value
    found = read(bytes(data))
    assert found is None or all(isinstance(one, GoModule) for one in found)


@given(st.binary(max_size=400))
def test_no_header_does_harm(noise: bytes) -> None:
    found = read(b"\x7fELF\2\1\1" + noise)
    assert found is None or found == ()


def test_hostile_lines_are_left_out() -> None:
    lines = [
        b"dep\t\x1b[31mevil\tv1.0.0",
        b"dep\t" + b"a" * 300 + b"\tv1.0.0",
        b"dep",
        b"dep\tgithub.com/a/b\tlatest; rm",
        b"dep\t<script>\tv1",
        b"\xff\xfe\tdep\t1",
    ]
    assert parse_modules(b"\n".join(lines)) == (GoModule("github.com/a/b", None),)
    many = b"".join(b"dep\tgithub.com/a/b%d\tv1.0.0\n" % number for number in range(9000))
    assert len(parse_modules(many)) == 2000
