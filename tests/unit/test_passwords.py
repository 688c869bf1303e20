# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A password's file in another encoding; files, programs and what is neither: test_sweep_command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.cli import passwords
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.outcome import CommandError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("as_program", [True, False])
def test_a_password_in_another_encoding_is_sent_to_nobody(tmp_path: Path, *, as_program: bool) -> None:
    """Sent with another character in its place it would be wrong on every host, and could lock the accounts."""
    file = tmp_path / "file"
    file.write_bytes(b"#!/bin/sh\nprintf 's\\351cret'\n" if as_program else b"s\xe9cret\n")
    file.chmod(0o700 if as_program else 0o600)
    with pytest.raises(CommandError) as failed:
        passwords.password_of_file(str(file))
    assert str(failed.value) == f"{file}: its first line is not UTF-8, so the password is not known."


@pytest.mark.parametrize("as_program", [True, False])
def test_a_line_that_is_no_password_is_not_cut_to_one(tmp_path: Path, *, as_program: bool) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"#!/bin/sh\nhead -c 5000 /dev/zero | tr '\\0' x\n" if as_program else b"x" * 5000)
    file.chmod(0o700 if as_program else 0o600)
    with pytest.raises(CommandError, match="its first line is longer than any password"):
        passwords.password_of_file(str(file))


def test_another_encoding_after_the_first_line_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"s3cret\nnot \xe9\n")
    assert passwords.password_of_file(str(tmp_path / "file")) == "s3cret"
