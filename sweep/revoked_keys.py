# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that must not be taken any more: the file of RevokedHostKeys (ssh_config(5))."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.sweep.public_keys import KeyFormatError, read_line

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.sweep.host_certificates import HostCertificate

__all__ = ["why_revoked"]

_KRL_MAGIC = b"SSHKRL\n\0"


def why_revoked(path: str, key: bytes, certificate: HostCertificate | None) -> str:
    """Return why the file at ``path`` refuses this key, or the authority of its certificate; empty if it does not.

    A file that cannot be read refuses every key, as ssh has it.
    """
    problem, blobs = _listed(str(Path(path).expanduser()))
    if problem:
        return problem
    if key in blobs:
        return f"it is revoked by {path}:{blobs[key]}"
    if certificate and certificate.authority in blobs:
        return f"its authority is revoked by {path}:{blobs[certificate.authority]}"
    return ""


@functools.lru_cache(maxsize=64)
def _listed(path: str) -> tuple[str, dict[bytes, int]]:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return f"the list of revoked keys {path} cannot be read: {(error.strerror or str(error)).lower()}", {}
    if data.startswith(_KRL_MAGIC):
        return f"{path} is a key revocation list in ssh-keygen's binary form, which is not understood", {}
    found: dict[bytes, int] = {}
    for number, line in enumerate(data.split(b"\n"), 1):
        text = line.strip()
        if text and not text.startswith(b"#"):
            try:
                found.setdefault(read_line(text), number)
            except KeyFormatError as error:
                return f"{path}:{number} is no public key: {error}", {}
    return "", found
