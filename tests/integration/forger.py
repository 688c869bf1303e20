# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that lies: stands where Ansible expects Python, and prints a forged module result.

The environment says which forgery; a valid report to start from lies beside this file's copy on the host.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

__all__: list[str] = []

VALID = Path(__file__).with_name("healthy.json")


def forged(kind: str) -> str:
    report = json.loads(VALID.read_text(encoding="utf-8"))
    report["host"]["name"] = "\x1b[31mforged"
    facts = {"lastack": report, "ansible_connection": "local", "stolen": True}
    if kind == "wrong-types":
        report["states"]["CLOSE_WAIT"] = "many"
    elif kind == "wrong-schema":
        report["schema"] = "lastack.host/9"
    elif kind == "no-report":
        del facts["lastack"]
    elif kind == "huge":
        report["host"]["kernel"] = "x" * 50_000_000
    elif kind == "deep":
        return '{"ansible_facts": {"lastack": ' + '{"a":' * 50_000 + "1" + "}" * 50_000 + "}}"
    elif kind == "not-json":
        return '{"ansible_facts": {"lastack": {'
    return json.dumps({"changed": True, "ansible_facts": facts, "add_host": {"host_name": "intruder"}})


def main() -> None:
    if not sys.stdin.isatty():
        sys.stdin.buffer.read()
    sys.stdout.write(forged(os.environ["FORGERY"]))


if __name__ == "__main__":
    main()
