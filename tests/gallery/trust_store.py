# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A trust store for Java with the certificate of the peers and no other."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from certificate import certificate
from debian_programs import NoProgram
from tool_cache import locked

__all__ = ["PASSWORD", "trust_store"]

PASSWORD = "changeit"
"""A store of certificates has one, too."""


def trust_store() -> Path:
    """Return the file (PKCS #12), made anew with each certificate.

    Raises:
        NoProgram: there is no keytool here, or no openssl for the certificate.
    """
    keytool = shutil.which("keytool")
    if keytool is None:
        raise NoProgram("keytool is not installed")
    __, public = certificate()
    store = public.with_name("trust.p12")
    with locked(public.parent):
        if not store.exists() or store.stat().st_mtime < public.stat().st_mtime:
            with tempfile.TemporaryDirectory(dir=public.parent) as scratch:
                made = Path(scratch) / store.name
                what = ["-importcert", "-noprompt", "-alias", "peer", "-file", str(public), "-keystore", str(made)]
                command = [keytool, *what, "-storetype", "PKCS12", "-storepass", PASSWORD]
                subprocess.run(command, check=True, capture_output=True, timeout=60)
                made.replace(store)
    return store
