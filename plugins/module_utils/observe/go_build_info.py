# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that a Go program was built from, as the linker wrote them into the executable.

Source: ``debug/buildinfo/buildinfo.go`` and ``runtime/debug/mod.go`` of Go, elf(5). The form is that of Go 1.18 and
later, whose strings stand in the section itself; older ones hold pointers and give no answer. All reads are bounded,
and whatever a file says, the worst is no answer.
"""

from __future__ import annotations

import os
import re
import struct
from typing import NamedTuple

__all__ = ["GoModule", "parse_modules", "read_go_modules"]

_SECTIONS = 512
_SEGMENTS = 64
_NAMES_LIMIT = 65536
_SEARCHED = 65536
_STRINGS_LIMIT = 1 << 20
_MODULES = 2000
_MAGIC = b"\xff Go buildinf:"
_NAME = b".go.buildinfo\0"
_INLINE = 2
_HEADER = 32
_ALIGNED = 16
_SENTINEL = 16
"""The text of the modules has so many bytes before and after it, for whoever searches the file for it."""
_WRITABLE_LOAD = 1, 2
_SEGMENT = {True: "IIQ16xQ16x", False: "II8xI4xI4x"}
"""By width of the file: type, flags, offset and size; in a narrow one the flags stand last."""
_SECTION = {True: "I20xQQ24x", False: "I12xII16x"}
"""Name, offset and size."""
_PATH = re.compile(r"[A-Za-z0-9._~/+!-]{1,256}\Z")
_VERSION = re.compile(r"v[0-9A-Za-z.+-]{1,64}\Z")


class GoModule(NamedTuple):
    """A module that a program was built from."""

    path: str
    version: str | None
    """As Go writes it, with its ``v``; ``None`` for the main module of a build from a folder."""


class _Header(NamedTuple):
    """Where the tables of an ELF file are."""

    order: str
    wide: bool
    segments: tuple[int, int, int]
    """Offset, size of an entry, number of entries."""
    sections: tuple[int, int, int]
    names: int
    """Index of the section with the names of the sections."""


def read_go_modules(descriptor: int) -> tuple[GoModule, ...] | None:
    """Return the modules of the executable that is open as ``descriptor``; ``None`` where it names none.

    That is so for everything that is no ELF file, not written in Go, cut, or built without module information.
    """
    try:
        header = _header(_at(descriptor, 0, 64))
        if header is None:
            return None
        text = _build_info(descriptor, header)
    except (OSError, ValueError, OverflowError, struct.error):
        return None
    return parse_modules(text) if text else None


def parse_modules(text: bytes) -> tuple[GoModule, ...]:
    """Parse the build information's lines; a replaced module keeps its name, for the code is a fork of it."""
    modules: list[GoModule] = []
    for line in text.decode("utf-8", "replace").split("\n")[: 2 * _MODULES]:
        fields = line.split("\t")
        if fields[0] not in ("mod", "dep") or len(fields) < 3 or not _PATH.match(fields[1]):  # noqa: PLR2004 - what, path, version
            continue
        modules.append(GoModule(fields[1], fields[2] if _VERSION.match(fields[2]) else None))
    return tuple(modules[:_MODULES])


def _at(descriptor: int, offset: int, length: int) -> bytes:
    """Return the bytes there, fewer where the file ends; never more than a megabyte."""
    if not 0 <= offset < 1 << 62:
        raise ValueError(offset)
    return os.pread(descriptor, min(length, _STRINGS_LIMIT), offset)


def _header(data: bytes) -> _Header | None:
    if data[:4] != b"\x7fELF" or data[4:5] not in (b"\1", b"\2") or data[5:6] not in (b"\1", b"\2"):
        return None
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"  # noqa: PLR2004 - ELFCLASS64
    layout = "16xHHIQQQIHHHHHH" if wide else "16xHHIIIIIHHHHHH"
    fields = struct.unpack_from(order + layout, data)
    segments, sections = fields[4], fields[5]
    segment_size, segment_count, section_size, section_count, names = fields[8:13]
    if segment_size < struct.calcsize("=" + _SEGMENT[wide]) or segment_count > _SEGMENTS:
        return None
    if section_size < struct.calcsize("=" + _SECTION[wide]) or section_count > _SECTIONS:
        # A stripped file may say 0 for both.
        sections = section_count = 0
    return _Header(order, wide, (segments, segment_size, segment_count), (sections, section_size, section_count), names)


def _build_info(descriptor: int, header: _Header) -> bytes | None:
    for offset, size in (*_named_section(descriptor, header), *_first_writable(descriptor, header)):
        data = _at(descriptor, offset, min(size, _SEARCHED))
        at = data.find(_MAGIC)
        while at >= 0 and at % _ALIGNED:
            at = data.find(_MAGIC, at + 1)
        if at >= 0:
            return _inline_strings(descriptor, offset + at)
    return None


def _named_section(descriptor: int, header: _Header) -> list[tuple[int, int]]:
    offset, size, number = header.sections
    if not offset or not number or header.names >= number:
        return []
    layout = header.order + _SECTION[header.wide]
    table = _at(descriptor, offset, size * number)
    entries = [struct.unpack_from(layout, table, size * index) for index in range(number)]
    __, names_offset, names_size = entries[header.names]
    names = _at(descriptor, names_offset, min(names_size, _NAMES_LIMIT))
    return [(where, length) for name, where, length in entries if names[name : name + len(_NAME)] == _NAME]


def _first_writable(descriptor: int, header: _Header) -> list[tuple[int, int]]:
    offset, size, number = header.segments
    layout = header.order + _SEGMENT[header.wide]
    table = _at(descriptor, offset, size * number)
    load, writable = _WRITABLE_LOAD
    for index in range(number):
        fields = struct.unpack_from(layout, table, size * index)
        kind, flags, where, length = fields if header.wide else (fields[0], fields[3], fields[1], fields[2])
        if kind == load and flags & writable:
            return [(where, length)]
    return []


def _inline_strings(descriptor: int, offset: int) -> bytes | None:
    """Return the text of the modules: the second of two strings that stand after the header."""
    head = _at(descriptor, offset, _HEADER + 512)
    if len(head) < _HEADER or not head[15] & _INLINE:
        return None
    length, start = _varint(head, _HEADER)
    # The first one is the version of Go.
    position = start + length
    length, start = _varint(head, position)
    text = _at(descriptor, offset + start, length)
    # A cut text would end in a version that is none.
    return text[_SENTINEL:-_SENTINEL] if len(text) == length > 2 * _SENTINEL else None


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return an unsigned LEB128 number and the position after it; raises ``ValueError`` where it is cut."""
    value = shift = 0
    for index in range(position, min(position + 9, len(data))):
        value |= (data[index] & 0x7F) << shift
        if not data[index] & 0x80:
            return value, index + 1
        shift += 7
    raise ValueError(position)
