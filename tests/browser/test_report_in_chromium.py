# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTML report in headless Chromium: it renders, sorts, filters, prints, fits, and lets no name act."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pypdf
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Visit
    from playwright.sync_api import Page

    Open = Callable[..., Visit]

# Contrast as WCAG 2.2 defines it (success criterion 1.4.3), of every element that shows text of its own.
CONTRASTS = """
() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const opacity = (element) => {
    let product = 1;
    for (let at = element; at; at = at.parentElement) product *= Number(getComputedStyle(at).opacity);
    return product;
  };
  const out = [];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.closest("script, style, .skip, .visually-hidden")) continue;
    const style = getComputedStyle(element);
    if (style.visibility !== "visible") continue;
    const back = behind(element);
    const share = opacity(element);
    const front = parse(style.color).slice(0, 3).map((v, i) => v * share + back[i] * (1 - share));
    const [light, dark] = [luminance(front), luminance(back)].sort((a, b) => b - a);
    const name = element.tagName + "." + element.className + " " + element.textContent.trim().slice(0, 30);
    out.push([(light + 0.05) / (dark + 0.05), name]);
  }
  return out;
}
"""


def _column(page: Page, section: str, column: int) -> list[str]:
    cells = page.locator(f"#{section} table[data-sortable] tbody tr > :nth-child({column})")
    return [text.split("\n")[0].strip() for text in cells.all_inner_texts()]


def _pdf_text(pdf: bytes) -> str:
    """The text of a PDF without spaces: where a line breaks depends on the fonts."""
    pages = pypdf.PdfReader(io.BytesIO(pdf)).pages
    return "".join("".join(page.extract_text().split()) for page in pages)


def test_it_renders_every_section_in_order(visit: Open) -> None:
    page = visit("fleet").page
    assert page.title() == "TCP audit of 4 hosts, 2026-11-23 04:30 UTC"
    headings = page.locator("h1, main h2").all_inner_texts()
    assert headings == [
        "4,862 sockets leaked by 3 applications on 2 hosts.",
        "Applications that leak sockets",
        "Findings",
        "Pressure",
        "TIME_WAIT",
        "Dead sockets",
        "Settings that differ between hosts",
        "Hosts",
        "Sockets by state",
        "Not seen",
        "Explanations",
    ]
    fills = page.locator("#applications svg.bar rect:nth-child(2)").evaluate_all(
        "rects => rects.map(r => r.getBoundingClientRect().width)"
    )
    whole = page.locator("#applications svg.bar").first.evaluate("bar => bar.getBoundingClientRect().width")
    assert fills == pytest.approx([0.681 * whole, 0.12 * whole, 0.97 * whole], abs=0.5)


def test_a_growing_leak_stands_first_with_its_deadline(visit: Open) -> None:
    page = visit("growing").page
    heading = page.locator("h1").inner_text()
    assert heading == (
        "7,293 sockets leaked by 3 applications on 3 hosts;"
        " 1 leak grows, descriptors gone in ~55 min on web-3.example.org."
    )
    first = page.locator("#applications tbody tr").first.inner_text()
    assert "checkout-api" in first
    assert "16/min on 2 hosts · descriptors gone in ~55 min on web-3.example.org" in " ".join(first.split())
    page.locator("#applications tbody tr").first.get_by_role("link", name="close_wait.growing").click()
    assert page.locator("#explain-close-wait-growing").is_visible()
    page.locator("#applications").get_by_role("link", name="verdict.pool").first.click()
    assert page.locator("#explain-verdict-pool").is_visible()
    assert "the agent's last word is 5 h old" in page.locator("header .notice").all_inner_texts()[-1]


def test_a_healthy_fleet_is_calm(visit: Open) -> None:
    page = visit("healthy").page
    assert page.locator("h1").inner_text() == "Nothing needs a decision."
    assert page.locator("main h2").all_inner_texts() == ["TIME_WAIT", "Hosts", "Sockets by state"]


def test_a_click_on_a_header_sorts(visit: Open) -> None:
    page = visit("fleet").page
    sockets = page.get_by_role("columnheader", name="Sockets").first
    assert _column(page, "applications", 3) == ["4,408", "380", "74"]
    assert sockets.get_attribute("aria-sort") is None
    sockets.get_by_role("button").click()
    assert sockets.get_attribute("aria-sort") == "descending"
    assert _column(page, "applications", 3) == ["4,408", "380", "74"]
    sockets.get_by_role("button").click()
    assert sockets.get_attribute("aria-sort") == "ascending"
    assert _column(page, "applications", 3) == ["74", "380", "4,408"]
    page.locator("#applications thead button", has_text="Oldest").click()
    assert _column(page, "applications", 4) == ["≥ 3 h", "40 min", "2 min"]
    assert sockets.get_attribute("aria-sort") is None


def test_the_keyboard_sorts_too(visit: Open) -> None:
    page = visit("fleet").page
    page.locator("#applications thead button").first.focus()
    page.keyboard.press("Enter")
    assert _column(page, "applications", 1) == ["checkout-api", "gateway", "ledger-sync.service"]
    page.keyboard.press("Space")
    assert _column(page, "applications", 1) == ["ledger-sync.service", "gateway", "checkout-api"]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Hosts"


def test_severities_sort_by_weight_not_by_name(visit: Open) -> None:
    page = visit("fleet").page
    page.locator("#findings thead button", has_text="Severity").click()
    assert _column(page, "findings", 1) == ["critical"] * 2 + ["warning"] * 4 + ["info"]
    page.locator("#findings thead button", has_text="Severity").click()
    assert _column(page, "findings", 1) == ["info"] + ["warning"] * 4 + ["critical"] * 2


def test_the_filter_leaves_what_fits(visit: Open) -> None:
    page = visit("fleet").page
    box = page.get_by_label("Filter")
    box.fill("LEDGER")
    shown = page.locator("#applications tbody tr:visible")
    assert [text.split("\n")[0] for text in shown.all_inner_texts()] == ["ledger-sync.service"]
    assert page.locator("#findings tbody tr:visible").count() == 1
    # The hosts on which it leaks; web-18 has no such application.
    names = page.locator("#hosts-table tbody .name").all_inner_texts()
    assert names == ["web-40.example.org", "web-17.example.org"]
    assert re.fullmatch(r"\d+ of \d+ rows", page.get_by_role("status").inner_text())
    box.fill("web-18")
    assert page.locator("#hosts > .scroll tbody tr:visible").count() == 1
    assert page.locator("#applications tbody tr:visible").count() == 0
    box.fill("gateway 8443 critical")
    assert page.locator("#findings tbody tr:visible").count() == 1
    # A table without a row that fits steps back, and its section says so.
    assert page.locator("#applications table").is_hidden()
    assert page.locator("#applications .hint").filter(has_text="Nothing here matches the filter.").is_visible()
    box.fill("no such thing")
    assert page.locator("[data-filter] tbody tr:visible, [data-filter-item]:visible").count() == 0
    assert page.get_by_role("status").inner_text() == "Nothing matches"
    box.press("Escape")
    assert page.locator("#applications tbody tr:visible").count() == 3
    assert page.get_by_text("Nothing here matches").filter(visible=True).count() == 0
    assert page.get_by_role("status").inner_text() == ""


@pytest.mark.parametrize("javascript", [True, False])
def test_a_link_to_an_explanation_opens_it(visit: Open, *, javascript: bool) -> None:
    page = visit("fleet", java_script_enabled=javascript).page
    body = page.get_by_role("heading", name="What does not help").first
    assert not body.is_visible()
    page.locator("#findings a", has_text="close_wait.stuck_accept").click()
    page.locator("#explain-close-wait-stuck-accept h3").first.wait_for(state="visible", timeout=5000)
    assert page.locator("#explanations details[open]").count() == 1


def test_a_fragment_in_the_address_opens_the_host(visit: Open) -> None:
    page = visit("fleet", fragment="#host-2").page
    assert page.locator("#host-2").is_visible()
    assert not page.locator("#host-1").is_visible()


def test_without_javascript_everything_can_be_read(visit: Open) -> None:
    page = visit("fleet", java_script_enabled=False).page
    assert not page.get_by_label("Filter").is_visible()
    assert page.locator("thead button").count() == 0
    assert _column(page, "applications", 3) == ["4,408", "380", "74"]
    page.locator("details.host summary").first.click()
    assert page.locator("#host-1").is_visible()


@pytest.mark.parametrize("name", ["fleet", "hostile", "healthy", "single", "growing", "large", "history"])
def test_400_pixels_are_enough(visit: Open, name: str) -> None:
    page = visit(name, width=400).page
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    outside = page.evaluate(
        """() => [...document.querySelectorAll("main *, header *, nav *, footer *")].filter((element) => {
          const box = element.getBoundingClientRect();
          const out = box.width && (box.right > 400.5 || box.left < -0.5);
          return out && !element.closest("pre, .visually-hidden, thead, #history table");
        }).map((element) => element.tagName + " " + element.textContent.slice(0, 40))"""
    )
    assert outside == []
    sizes = page.evaluate(
        "[...document.querySelectorAll('main td, main p, main li')].map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 11


@pytest.mark.parametrize("name", ["fleet", "healthy", "single", "growing", "history"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(visit: Open, name: str, scheme: str) -> None:
    page = visit(name, color_scheme=scheme).page
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    measured: list[tuple[float, str]] = page.evaluate(CONTRASTS)
    assert len(measured) > 30
    assert [(round(ratio, 2), what) for ratio, what in measured if ratio < 4.5] == []


def test_the_history_has_a_picture_and_a_table_of_each_application(visit: Open) -> None:
    page = visit("history").page
    page.get_by_role("link", name="History", exact=True).click()
    assert page.get_by_role("img", name="checkout-api: ").is_visible()
    summary = page.locator("#history summary", has_text="The figures of checkout-api")
    summary.click()
    assert page.locator("#history details[open] tbody tr").count() == 8
    assert page.locator("#history svg polyline, #history svg circle").count() > 8
    assert page.locator("#history b").count() == 0


def test_dark_mode_is_dark(visit: Open) -> None:
    def colours(scheme: str) -> Any:  # noqa: ANN401 - what the browser answers
        return visit("fleet", color_scheme=scheme).page.evaluate(
            "(({backgroundColor, color}) => [backgroundColor, color].map(c => c.match(/\\d+/g).map(Number)))"
            "(getComputedStyle(document.body))"
        )

    (light_paper, light_ink), (dark_paper, dark_ink) = colours("light"), colours("dark")
    assert (min(light_paper) > 200, max(light_ink) < 100) == (True, True)
    assert (max(dark_paper) < 50, min(dark_ink) > 200) == (True, True)


def test_hostile_names_are_inert(visit: Open) -> None:
    page = visit("hostile").page
    assert page.locator("script:not([type])").count() == 1
    assert page.locator("script[type]").evaluate_all("all => all.map(one => [one.type, one.id])") == [
        ["application/json", "hosts-data"]
    ]
    assert page.locator("img, iframe, object, embed, base, form").count() == 0
    text = page.locator("body").inner_text()
    assert "<script>alert(1)</script>" in text
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069\x00-\x08\x1b\x9b]", text)
    page.locator("#applications thead button").first.click()
    page.get_by_label("Filter").fill("<img src=x onerror=alert(2)>")
    assert page.locator("#applications tbody tr:visible").count() == 3


def test_the_policy_refuses_what_is_not_ours(browser: Any, reports: dict[str, str], tmp_path: Path) -> None:  # noqa: ANN401
    attack = (
        "<script>document.title = 'owned'</script><img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>"
        "<p style='color: red' onclick='document.title = 1' id='attack'>x</p>"
    )
    page_text = Path(unquote(urlsplit(reports["fleet"]).path)).read_text(encoding="utf-8")
    source = tmp_path / "attacked.html"
    source.write_text(page_text.replace("</footer>", "</footer>" + attack), encoding="utf-8")
    context = browser.new_context()
    page = context.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(source.as_uri())
    page.locator("#attack").click()
    assert page.title().startswith("TCP audit of")
    assert page.locator("#attack").evaluate("e => getComputedStyle(e).color") != "rgb(255, 0, 0)"
    assert sum("Content Security Policy" in message for message in refused) >= 4
    context.close()


@pytest.mark.parametrize("javascript", [True, False])
def test_it_prints_with_everything_open(visit: Open, *, javascript: bool) -> None:
    page = visit("fleet", java_script_enabled=javascript).page
    page.emulate_media(media="print")
    assert page.locator(".bar-nav").is_hidden()
    page.emulate_media(media="null")
    text = _pdf_text(page.pdf(format="A4"))
    assert "4,862socketsleakedby3applications" in text
    # From the details of a host and from an explanation, both closed on the screen.
    assert "312descriptorsof402open" in text
    assert "Whatdoesnothelp" in text
    assert "namespacesof2containerscouldnotbeentered" in text
    assert page.locator("details[open]").count() == 0
