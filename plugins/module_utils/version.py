# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The version of lastack: the one place that states it for Python (``galaxy.yml`` is held to it by a test)."""

from __future__ import annotations

__all__ = ["VERSION"]

VERSION = "0.1.0"
