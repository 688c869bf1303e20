# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate for 127.0.0.1 that signs itself: the peers speak TLS with it, and the programs trust it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from debian_programs import NoProgram
from tool_cache import cache_folder, locked

__all__ = ["certificate"]

_LIFE_S = 30 * 86400
_ONCE = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 60 -subj /CN=lastack-gallery"


def certificate() -> tuple[Path, Path]:
    """Return the file with key and certificate, and that with the certificate alone; made once a month.

    Raises:
        NoProgram: there is no openssl here.
    """
    if shutil.which("openssl") is None:
        raise NoProgram("openssl is not installed")
    folder = cache_folder("certificate")
    both, public = folder / "peer.pem", folder / "public.pem"
    with locked(folder):
        if not both.exists() or both.stat().st_mtime < time.time() - _LIFE_S:
            _make(both, public)
    return both, public


def _make(both: Path, public: Path) -> None:
    with tempfile.TemporaryDirectory(dir=both.parent) as scratch:
        key, made = Path(scratch) / "key", Path(scratch) / "public"
        names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", str(key), "-out", str(made)]
        subprocess.run(["openssl", *_ONCE.split(), *names], check=True, capture_output=True, timeout=60)
        whole = Path(scratch) / "both"
        whole.write_bytes(key.read_bytes() + made.read_bytes())
        whole.chmod(0o600)
        made.replace(public)
        whole.replace(both)
