# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redaction: credentials, key=value secrets and tokens are masked; the names of programs are not."""

from __future__ import annotations

import string

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.redaction import MASK, redact_text
from hypothesis import given
from hypothesis import strategies as st

_WORD = st.text(string.ascii_letters + string.digits, min_size=6, max_size=30)


@pytest.mark.parametrize(
    ("raw", "secret"),
    [
        ("postgres://app:s3cr3t@db/x", "s3cr3t"),
        ("https://onlytoken@host/", "onlytoken"),
        ("/opt/run?token=abcdef&x=1", "abcdef"),
        ("DB_PASSWORD=hunter2", "hunter2"),
        ("api-key: k99", "k99"),
        ("password='hunter2'", "hunter2"),
        ("Authorization: Bearer abc.def.ghi", "abc.def.ghi"),
        ("deploy-ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_abc"),
        ("/opt/a8f5f167f44f4964e6c998dee827110c/app", "a8f5f167"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "c2ln"),
        ("svc-AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7"),
        ("wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "wJalrXUtn"),
        ("admin:hunter2@db1", "hunter2"),
    ],
)
def test_masked(raw: str, secret: str) -> None:
    shown = redact_text(raw)
    assert secret not in shown
    assert MASK in shown


@pytest.mark.parametrize(
    "name",
    [
        "/usr/lib/jvm/java-17-openjdk-amd64/bin/java",
        "kube-state-metrics-2-8-0-debian-11-r10",
        "worker@.service",
        "x86_64-linux-gnu-python3.11-el9",
        "3f1b2c4d5e6f",
        "checkout-api.jar",
        "org.apache.catalina.startup.Bootstrap",
        "system-systemd\\x2dfsck.slice",
        "author-service",
        "/usr/sbin/php-fpm8.2",
        "token-service",
    ],
)
def test_names_stay(name: str) -> None:
    assert redact_text(name) == name


@given(_WORD, _WORD, st.sampled_from(("password", "token", "api_key", "SECRET", "access-key")))
def test_no_secret_in_a_url_or_after_its_key_survives(user: str, secret: str, key: str) -> None:
    assert f":{secret}@" not in redact_text(f"redis://{user}:{secret}@host/0")
    assert f"={secret}" not in redact_text(f"/run/{user}?{key}={secret}")
