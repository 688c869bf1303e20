# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A headless Chromium of the tests' own, and the pages that it opens: every request and message is recorded."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.render.html import render_html
from ansible_collections.lastack.linux.plugins.plugin_utils.render.html_history import history_section
from ansible_collections.lastack.linux.plugins.plugin_utils.render.html_hosts import HostRows
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Dialog, Page

# The samples of the unit tests; the folders of the tests are no packages.
sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
samples = importlib.import_module("sample_reports")
histories = importlib.import_module("history_samples")

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The sandbox refuses to run as root; the pages are our own files.
    "--no-sandbox",
)


class Visit:
    """One page that was opened, what it asked the network for, and what it complained about."""

    def __init__(self, page: Page, url: str) -> None:
        """Open ``url`` in ``page``."""
        self.page = page
        self.url = url
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", self._dialog)
        page.goto(url)

    def _dialog(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium with a fresh profile; skipped, with the reason, where there is none."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=program, args=list(_FLAGS))
        yield chromium
        chromium.close()


def large() -> str:
    """The page of 330 hosts: 60 leak, one has a name that attacks, 20 were not reached, the others are healthy."""
    table, worst = HostRows(), []
    for number in range(310):
        report = samples.sample("sick" if number < 60 else "healthy")
        report["host"]["inventory_name"] = f"web-{number:03}.example.org"
        if number == 100:
            report["host"]["inventory_name"] = "a</script><!--" + samples.HOSTILE
        report["states"]["TIME_WAIT"] = number
        table.add_report(report)
        worst += [report] if number < 10 else []
    fleet = samples.sample("fleet")
    for number in range(20):
        table.add_not_audited(f"db-{number:02}.example.org", "unreachable", "timed out")
    fleet["hosts"] |= {"meant": 330, "audited": 310, "unreachable": 20, "failed": 0, "missing": 0}
    return render_html(fleet, worst, table)


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The address of every report that the tests look at."""
    folder = tmp_path_factory.mktemp("reports")
    hosts = ("healthy", "sick", "partial")
    apps = {"checkout-api": 2204, "<b>" + samples.HOSTILE: 37}
    runs = {histories.run_on(day, 100 - day): apps for day in range(1, 9)}
    history = history_section(histories.history_of(folder / "history.sqlite", runs))
    pages = {
        "fleet": render_html(samples.sample("fleet"), map(samples.sample, hosts)),
        "hostile": render_html(samples.hostile("fleet"), map(samples.hostile, hosts)),
        "healthy": render_html(samples.healthy_fleet(), [samples.sample("healthy")]),
        "growing": render_html(samples.sample("growing_fleet"), samples.growing_hosts()),
        "single": render_html(samples.single_fleet(), [samples.sample("sick")]),
        "large": large(),
        "history": render_html(samples.sample("fleet"), [samples.sample("sick")], history=history),
    }
    for name, page in pages.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in pages}


@pytest.fixture
def visit(browser: Browser, reports: dict[str, str]) -> Iterator[Callable[..., Visit]]:
    """Open a report by name, with the options of a browser context; at the end nothing may have been complained of."""
    contexts, visits = [], []

    def open_report(name: str, *, fragment: str = "", width: int = 1280, **options: Any) -> Visit:  # noqa: ANN401 - Playwright's own
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        visits.append(Visit(context.new_page(), reports[name] + fragment))
        return visits[-1]

    yield open_report
    seen = [(visit.requests, visit.complaints, visit.url) for visit in visits]
    for context in contexts:
        context.close()
    for requests, complaints, url in seen:
        assert complaints == []
        assert [request.partition("#")[0] for request in requests] == [url.partition("#")[0]]
