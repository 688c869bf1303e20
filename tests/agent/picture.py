# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of docs/agent.md: Prometheus's own graph page with two queries of the dashboard, as Chromium shows it.

.venv/bin/python tests/agent/picture.py      # root, chromium; two minutes
"""

from __future__ import annotations

import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from debian_programs import unpacked
from monitoring import start_monitoring
from stage import ROOT, Agent, Stage
from test_prometheus import DASHBOARD, RULES, VARIABLES, Monitored

__all__: list[str] = []

PICTURE = ROOT / "docs" / "images" / "agent-prometheus.png"
PACKAGES = (
    *("prometheus", "libjs-bootstrap4", "libjs-d3", "libjs-eonasdan-bootstrap-datetimepicker", "libjs-jquery"),
    *("libjs-jquery-hotkeys", "libjs-moment", "libjs-moment-timezone", "libjs-mustache", "libjs-popper.js"),
    *("libjs-rickshaw", "fonts-glyphicons-halflings"),
)
PANELS = ("Sockets in CLOSE_WAIT", "Descriptors end in")


def address() -> str:
    """The graph page with the panels' queries."""
    fields = []
    for number, title in enumerate(PANELS):
        expression = next(panel["targets"][0]["expr"] for panel in DASHBOARD["panels"] if panel["title"] == title)
        for name, value in VARIABLES.items():
            expression = expression.replace(name, value)
        settings = {"expr": expression, "tab": "0", "range_input": "90s", "step_input": "1"}
        fields += [(f"g{number}.{key}", value) for key, value in settings.items()]
    return f"http://127.0.0.1:9090/classic/graph?{urllib.parse.urlencode(fields)}"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, Stage(Path(folder) / "stage") as stage, Agent(stage) as agent:
        monitored = Monitored(stage, agent)
        start_monitoring(stage, monitored.textfiles, RULES, str(unpacked("prometheus", *PACKAGES)))
        monitored.start()
        stage.program("idling_pool", stage.server("closing_peer"), "--size", 150, "--fill", 10)
        stage.program("bounded_pool", stage.server("closing_peer"), "--size", 80, "--every", 0.05)
        stage.program("steady_leak", stage.server("closing_peer"), "--every", 0.2, "--limit", 450)
        time.sleep(45)
        stage.program("visitor", stage.server("stuck_accept"), "--mode", "silent", "--every", 0.2, "--count", 100)
        time.sleep(38)
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=20000"]
        options += [f"--user-data-dir={folder}/chromium", "--window-size=1300,1680", f"--screenshot={PICTURE}"]
        PICTURE.parent.mkdir(exist_ok=True)
        chromium = stage.start("chromium", *options, address(), folder=Path(folder), HOME=folder)
        assert stage.wait(chromium.pid, 90) == 0, chromium.errors.read_text(encoding="utf-8")
        monitored.end()


if __name__ == "__main__":
    main()
