# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of many hosts in headless Chromium: a page of rows at a time, sorted, filtered and opened on demand."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pypdf

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Visit
    from playwright.sync_api import Locator, Page

    Open = Callable[..., Visit]


def _names(page: Page) -> list[str]:
    return [name.partition(".")[0] for name in page.locator("#hosts-table tbody .name").all_inner_texts()]


def _sort(page: Page, heading: str) -> None:
    page.locator("#hosts-table thead button", has_text=heading).click()


def _pager(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Pages of the table of hosts, above it")


def test_a_page_of_hosts_at_a_time(visit: Open) -> None:
    page = visit("large").page
    assert _names(page) == [f"web-{number:03}" for number in range(50)]
    above = _pager(page)
    assert above.get_by_role("status").inner_text() == "Hosts 1 to 50 of 330"
    assert above.get_by_role("button", name="Previous").get_attribute("aria-disabled") == "true"
    above.get_by_role("button", name="Next").click()
    # Hosts that were not reached stand below those that leak and above those of which nothing has to be decided.
    assert _names(page)[8:12] == ["web-058", "web-059", "db-00", "db-01"]
    assert above.get_by_role("status").inner_text() == "Hosts 51 to 100 of 330"
    above.get_by_role("button", name="Last").click()
    assert above.get_by_role("status").inner_text() == "Hosts 301 to 330 of 330"
    assert above.get_by_role("button", name="Next").get_attribute("aria-disabled") == "true"
    assert not page.locator("#hosts-without-script").count()


def test_the_next_page_is_read_from_its_top(visit: Open) -> None:
    page = visit("large").page
    below = page.get_by_role("navigation", name="Pages of the table of hosts, below it")
    below.get_by_role("button", name="Next").focus()
    page.keyboard.press("Enter")
    assert _pager(page).get_by_role("button", name="Next").evaluate("e => e === document.activeElement")
    page.keyboard.press("Space")
    assert _pager(page).get_by_role("status").inner_text() == "Hosts 101 to 150 of 330"


def test_all_hosts_are_sorted_not_only_the_page(visit: Open) -> None:
    page = visit("large").page
    _sort(page, "TIME_WAIT")
    assert _names(page)[:2] == ["web-309", "web-308"]
    assert page.locator("#hosts-table th[aria-sort]").get_attribute("aria-sort") == "descending"
    _sort(page, "TIME_WAIT")
    # A host without a report has no figures: it stands before 0.
    assert _names(page)[19:22] == ["db-19", "web-000", "web-001"]
    _sort(page, "Host")
    attack = (
        "a</script><!--\\x1b[31m\\x1b]0;owned\\x07<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
        "\\u202edesrever\\u2066\\x0d\\x0aFORGED 0 sockets\\x00\\x9b1m\\u2028&amp;{{ 7*7 }}${jndi}"
    )
    assert _names(page)[:3] == [attack, "db-00", "db-01"]
    _sort(page, "View")
    assert page.locator("#hosts-table tbody tr:first-child td:last-child").inner_text() == "complete"


def test_hosts_are_found_by_name_application_finding_and_reason(visit: Open) -> None:
    page = visit("large").page
    box, status = page.get_by_label("Filter"), _pager(page).get_by_role("status")
    box.fill("ledger")
    assert status.inner_text() == "Hosts 1 to 50 of 60 that match"
    box.fill("ledger web-01")
    assert _names(page) == [f"web-{number:03}" for number in range(10, 20)]
    box.fill("ledger web-0")
    assert status.inner_text() == "Hosts 1 to 50 of 60 that match"
    box.fill('"web-01')
    assert _names(page) == [f"web-{number:03}" for number in range(10, 20)]
    box.fill('"ledger web-01"')
    assert _names(page) == []
    box.fill("timed out")
    assert _names(page) == [f"db-{number:02}" for number in range(20)]
    box.fill("<img src=x")
    assert len(_names(page)) == 1
    box.fill("no such thing")
    assert (status.inner_text(), _names(page)) == ("No host matches", [])
    box.press("Escape")
    assert status.inner_text() == "Hosts 1 to 50 of 330"


def test_what_is_sorted_stays_sorted_when_it_is_filtered(visit: Open) -> None:
    page = visit("large").page
    _sort(page, "TIME_WAIT")
    page.get_by_label("Filter").fill("ledger")
    assert _names(page)[:2] == ["web-059", "web-058"]
    _sort(page, "TIME_WAIT")
    assert _names(page)[:2] == ["web-000", "web-001"]


def test_a_host_opens_its_findings_on_demand(visit: Open) -> None:
    page = visit("large").page
    page.get_by_label("Filter").fill("web-030")
    press = page.get_by_role("button", name="web-030.example.org")
    assert press.get_attribute("aria-expanded") == "false"
    press.focus()
    page.keyboard.press("Enter")
    assert press.get_attribute("aria-expanded") == "true"
    listed = page.locator("#hosts-table tr.more li").all_inner_texts()
    assert re.fullmatch(r"critical\s+\S.* close_wait\.\w+", " ".join(listed[0].split()))
    assert len(listed) >= 3
    page.locator("#hosts-table tr.more a").first.click()
    assert page.locator("#explanations details[open]").count() == 1
    press.click()
    assert page.locator("#hosts-table tr.more").count() == 0
    # A host with details leads to them, one without findings to nothing.
    page.get_by_label("Filter").fill("web-003")
    page.locator("#hosts-table").get_by_role("link", name="web-003.example.org").click()
    assert page.locator("details.host[open] summary").inner_text().startswith("web-003")
    page.get_by_label("Filter").fill("web-300")
    assert page.locator("#hosts-table tbody :is(a, button)").count() == 0


def test_the_number_of_hosts_leads_to_these_hosts(visit: Open) -> None:
    page = visit("large").page
    page.locator("#applications").get_by_title("Show these hosts").nth(1).click()
    assert page.get_by_label("Filter").input_value() == '"leaks ledger-sync.service"'
    assert page.url.endswith("#hosts")
    assert _pager(page).get_by_role("status").inner_text() == "Hosts 1 to 50 of 60 that match"
    # Its own row, and the details of the ten worst hosts, stay too.
    assert page.locator("#applications tbody tr:visible").count() == 1
    assert page.locator("details.host:visible").count() == 10
    page.locator("#applications").get_by_title("Show these hosts").locator("visible=true").click()
    page.get_by_label("Filter").fill("")
    page.locator("#findings").get_by_title("Show these hosts").first.click()
    assert page.locator("#findings tbody tr:visible").count() == 1
    assert _pager(page).get_by_role("status").inner_text() == "Hosts 1 to 50 of 60 that match"


def test_the_rows_of_the_script_are_those_of_the_page(visit: Open) -> None:
    def row(page: Page, name: str) -> list[list[str]]:
        line = page.locator("#hosts-table tbody tr", has_text=name).first
        return line.evaluate(
            "line => [...line.querySelectorAll('*')].map(one => [one.tagName, one.getAttribute('class') ?? '',"
            " one.children.length ? '' : one.textContent, one.dataset?.label ?? '', one.getAttribute('href') ?? ''])"
        )

    for report, name in (("large", "web-003"), ("fleet", "db-2"), ("fleet", "web-18"), ("fleet", "web-40")):
        made, written = (visit(report, java_script_enabled=script).page for script in (True, False))
        # The template wraps what it cannot know to be empty.
        assert [part for part in row(made, name) if part[1] != "value"] == [
            part for part in row(written, name) if part[1] != "value"
        ]


def test_without_javascript_the_worst_hosts_stand_there(visit: Open) -> None:
    page = visit("large", java_script_enabled=False).page
    assert _names(page) == [f"web-{number:03}" for number in range(50)]
    assert page.locator("#hosts-without-script").inner_text() == (
        "The worst 50 of them stand here; with JavaScript this table shows all 330, to be sorted and filtered."
    )
    assert not page.get_by_role("button").count()


def test_400_pixels_are_enough_for_an_opened_host(visit: Open) -> None:
    page = visit("large", width=400).page
    page.get_by_label("Filter").fill("web-03")
    page.locator(".disclosure").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.get_by_label("Filter").fill("onerror")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_it_prints_more_than_a_page_of_hosts(visit: Open) -> None:
    page = visit("large").page
    pages = pypdf.PdfReader(io.BytesIO(page.pdf(format="A4"))).pages
    text = "".join("".join(one.extract_text().split()) for one in pages)
    assert "web-309.example.org" in text
    assert "Hosts1to330of330" in text
    assert len(_names(page)) == 50
