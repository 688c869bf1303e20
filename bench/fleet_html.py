# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTML report of 10,000 generated hosts in headless Chromium: its size, when it answers, and how fast.

    .venv/bin/python bench/fleet_html.py [--hosts 10000] [--screenshot PATH]
    .venv/bin/python bench/fleet_html.py --save     # and write docs/bench-fleet-page.md

Interactive is the moment, from the start of the navigation, when the first key that a reader pressed in the filter has
found its rows and they are painted: keys are sent from the first byte of the page on. The exit status is 1 if a limit
is not kept: 5 MB, and two seconds to interactive (the median of the visits). Without ``--save`` only a temporary
folder is written to.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from generated_reports import generate
from playwright.sync_api import sync_playwright
from tables import machine

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["main"]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "bench-fleet-page.md"
LIMIT_BYTES = 5_000_000
LIMIT_INTERACTIVE_MS = 2000.0
LASTACK = Path(sys.executable).with_name("lastack")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    # The sandbox refuses to run as root; the page is our own file.
    "--no-sandbox",
    # Text in shades of grey keeps the picture small.
    "--disable-lcd-text",
)
WIDTH = 1120
WORDS = ("checkout-api", "db-00", "ports.near", "no route", "zzz")

# From an input or a click until the frame after its rows has been painted: a frame's callbacks run before its paint,
# a message that they send is answered after it.
WATCH = """
const lasting = [];
globalThis.lasting = lasting;
globalThis.blocked = 0;
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) globalThis.blocked += task.duration - 50;
}).observe({ type: "longtask", buffered: true });
for (const kind of ["input", "click"]) {
  addEventListener(kind, (event) => requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => lasting.push([event.timeStamp, performance.now()]);
    port2.postMessage(0);
  }), true);
}
"""


class Visit(NamedTuple):
    """One visit in a fresh profile; all in milliseconds but the heap (bytes)."""

    loaded: float
    interactive: float
    blocked: float
    heap: float
    keys: list[float]
    sorts: list[float]


def visit(browser: Browser, page_file: Path) -> Visit:
    """Open the page, press keys as soon as there is a filter, then filter and sort."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(page_file.as_uri(), wait_until="commit")
    box = page.get_by_label("Filter", exact=True)
    # The field is hidden until the script takes keys; this waits for it and nothing else.
    box.press("c")
    page.wait_for_function("lasting.length > 0")
    interactive = page.evaluate("lasting[0][1]")
    page.wait_for_load_state("load")
    loaded = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    blocked = page.evaluate("blocked")
    box.press("Escape")

    def lasting(act: Any) -> list[float]:  # noqa: ANN401 - any callable
        page.evaluate("lasting.length = 0")
        act()
        page.wait_for_timeout(100)
        return [painted - begun for begun, painted in page.evaluate("lasting")]

    keys: list[float] = []
    for word in WORDS:
        keys += lasting(lambda word=word: box.press_sequentially(word, delay=50))
        box.press("Escape")
    heads = page.locator("#hosts-table thead button")
    sorts = [spent for index in range(heads.count()) for spent in lasting(heads.nth(index).click)]
    session = context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")["usedSize"]
    context.close()
    return Visit(loaded, interactive, blocked, heap, keys, sorts)


def report_of(hosts: int, folder: Path) -> Path:
    """Generate so many hosts and let lastack write their report, as its user does."""
    run = folder / "run"
    generate(run, hosts)
    subprocess.run([LASTACK, "report", str(run)], check=True, stdout=subprocess.DEVNULL, timeout=900)
    return run / "report.html"


def screenshot(browser: Browser, page_file: Path, target: Path) -> None:
    """Take the picture of the documentation: the head of the page, and below it the hosts of one application."""
    context = browser.new_context(viewport={"width": WIDTH, "height": 690}, reduced_motion="reduce")
    page = context.new_page()
    page.goto(page_file.as_uri())
    parts = [page.screenshot()]
    page.locator("#applications").get_by_title("Show these hosts").nth(1).click()
    page.get_by_role("navigation", name="above").get_by_role("button", name="Next").click()
    page.locator(".disclosure").nth(1).click()
    page.mouse.move(0, 0)
    page.evaluate("document.getElementById('hosts').scrollIntoView()")
    parts.append(page.screenshot(clip={"x": 0, "y": 0, "width": WIDTH, "height": 560}))
    images = "".join(f'<img src="data:image/png;base64,{base64.b64encode(part).decode()}">' for part in parts)
    # A new page: the report's policy would let no image into its own.
    frame = context.new_page()
    frame.set_content(f"<style>body {{ margin: 0 }} img {{ display: block }}</style>{images}")
    frame.screenshot(path=target, full_page=True)
    context.close()


def table(hosts: int, size: int, visits: list[Visit]) -> tuple[str, bool]:
    """Return the figures in Markdown and whether the limits are kept."""
    interactive = [one.interactive for one in visits]
    kept = size < LIMIT_BYTES, statistics.median(interactive) <= LIMIT_INTERACTIVE_MS
    keys = [spent for one in visits for spent in one.keys]
    sorts = [spent for one in visits for spent in one.sorts]
    lines = [
        f"| report of {hosts:,} hosts | median | worst | limit | kept |",
        "| --- | ---: | ---: | ---: | --- |",
        f"| size | {size / 1e6:.2f} MB | | < {LIMIT_BYTES / 1e6:.0f} MB | {'yes' if kept[0] else 'NO'} |",
        f"| DOMContentLoaded | {_median_worst([one.loaded for one in visits], 'ms')} | | |",
        f"| interactive: the first key is answered and painted | {_median_worst(interactive, 'ms')} "
        f"| ≤ {LIMIT_INTERACTIVE_MS / 1000:.0f} s | {'yes' if kept[1] else 'NO'} |",
        f"| main thread blocked beyond 50 ms a task | {_median_worst([one.blocked for one in visits], 'ms')} | | |",
        f"| JavaScript heap after use | {_median_worst([one.heap / 1e6 for one in visits], 'MB')} | | |",
        f"| a key in the filter, until painted ({len(keys)} keys) | {_median_worst(keys, 'ms')} | | |",
        f"| sorting all hosts, until painted ({len(sorts)} clicks) | {_median_worst(sorts, 'ms')} | | |",
    ]
    return "\n".join(lines), all(kept)


def _median_worst(values: list[float], unit: str) -> str:
    return f"{statistics.median(values):.0f} {unit} | {max(values):.0f} {unit}"


def main() -> int:
    """Measure, print the table; return 1 if a limit is not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=10_000)
    parser.add_argument("--visits", type=int, default=5)
    parser.add_argument("--save", action="store_true", help="write the figures to docs/bench-fleet-page.md, too")
    parser.add_argument("--screenshot", type=Path, metavar="PATH", help="also write a picture of the page to this file")
    arguments = parser.parse_args()
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        print("There is no Chromium here: apt-get install chromium", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="lastack-html-") as folder, sync_playwright() as driver:
        page_file = report_of(arguments.hosts, Path(folder))
        browser = driver.chromium.launch(executable_path=program, args=list(FLAGS))
        visits = [visit(browser, page_file) for __ in range(arguments.visits)]
        if arguments.screenshot is not None:
            screenshot(browser, page_file, arguments.screenshot)
        version = browser.version
        browser.close()
        text, kept = table(arguments.hosts, page_file.stat().st_size, visits)
    made = f"{machine()}\n\nChromium {version}, headless; {len(visits)} visits, each in a fresh profile.\n\n{text}"
    print(made)
    if arguments.save:
        title = "# Benchmark: the report of 10,000 hosts in a browser"
        PAGE.write_text(
            f"{title}\n\nWritten by `.venv/bin/python bench/fleet_html.py --save`.\n\n{made}\n", encoding="utf-8"
        )
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
