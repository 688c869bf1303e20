# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTML report as a document: self-contained, well formed, inert; how it behaves is tested in a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import unicodedata
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.explain import load_page, page_ids
from ansible_collections.lastack.linux.plugins.plugin_utils.render import html_view
from ansible_collections.lastack.linux.plugins.plugin_utils.render.html import render_html
from ansible_collections.lastack.linux.plugins.plugin_utils.render.markdown import to_html
from hypothesis import example, given
from hypothesis import strategies as st
from markupsafe import Markup
from sample_reports import growing_hosts, healthy_fleet, hostile, sample, single_fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

VOID = frozenset({"meta", "input", "br"})


class Document(HTMLParser):
    """The tags, attributes and text of a page; every element has to be closed where HTML asks for it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.raw: dict[str, list[str]] = {"style": [], "script": [], "data": []}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute of {tag} occurs twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        raw = self.open[-1] if self.open else ""
        if raw == "script" and self.tags[-1][1].get("type") == "application/json":
            raw = "data"
        self.raw.get(raw, self.words).append(data)

    @property
    def text(self) -> str:
        """The readable text, with single spaces."""
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element of that name."""
        return [attributes for name, attributes in self.tags if name == tag]


def _fleet_page() -> str:
    return render_html(sample("fleet"), [sample("healthy"), sample("sick"), sample("partial")])


@pytest.fixture(scope="module")
def page() -> str:
    return _fleet_page()


def test_what_was_loaded_stands_with_the_application_and_in_the_details_of_the_host() -> None:
    page = Document(_fleet_page())
    assert "loaded: Apache HttpClient 4 4.5.14 , HikariCP 5.1.0" in page.text
    assert "Apache HttpClient 4 (4.5.14) , HikariCP (5.1.0)" in page.text
    assert "writes /var/log/checkout/api.log" in page.text
    assert "/usr/bin/python3.11 /opt/ledger/sync.py" in page.text
    # A page that is not part of the document is not linked to.
    links = {str(attributes["href"]) for attributes in page.all("a")}
    targets = {f"#{attributes['id']}" for __, attributes in page.tags if "id" in attributes}
    assert {link for link in links if link.startswith("#explain-library-")} <= targets


def test_every_element_is_closed(page: str) -> None:
    document = Document(page)
    assert document.open == []
    assert page.startswith("<!DOCTYPE html>\n")


def test_the_policy_allows_what_is_inline_and_nothing_else(page: str) -> None:
    document = Document(page)
    style, script = ("".join(document.raw[name]) for name in ("style", "script"))

    def allowed(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    metas = [meta for meta in document.all("meta") if meta.get("http-equiv")]
    assert metas == [
        {
            "http-equiv": "Content-Security-Policy",
            "content": f"default-src 'none'; style-src {allowed(style)}; script-src {allowed(script)}; "
            "base-uri 'none'; form-action 'none'",
        }
    ]
    assert document.all("style") == [{}]
    assert document.all("script") == [{"type": "application/json", "id": "hosts-data"}, {}]


def test_nothing_points_out_of_the_page(page: str) -> None:
    document = Document(page)
    ids = [attributes["id"] for __, attributes in document.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {"link", "img", "iframe", "object", "embed", "form", "base"}.isdisjoint(tag for tag, __ in document.tags)
    for tag, attributes in document.tags:
        assert not any(name.startswith("on") or name in {"style", "src", "srcset", "action"} for name in attributes), (
            tag
        )
    targets = [anchor["href"] for anchor in document.all("a")]
    assert targets
    assert all(target is not None and target.startswith("#") and target[1:] in ids for target in targets)
    assert "url(" not in "".join(document.raw["style"])
    assert "@import" not in "".join(document.raw["style"])


def test_labels_name_their_inputs_and_headings_their_sections(page: str) -> None:
    document = Document(page)
    ids = {attributes["id"] for __, attributes in document.tags if "id" in attributes}
    assert all(label["for"] in ids for label in document.all("label"))
    assert all(section["aria-labelledby"] in ids for section in document.all("section"))
    assert len(document.all("main")) == len(document.all("h1")) == 1
    times = {time["datetime"] for time in document.all("time")}
    assert "2026-11-23T04:30:00Z" in times
    # A page's own tables stand below the words that introduce them.
    assert len(document.all("caption")) == len([table for table in document.all("table") if table != {"class": "told"}])


def test_all_sections_say_what_the_fleet_report_says(page: str) -> None:
    text = Document(page).text
    fleet = sample("fleet")
    assert "4,862 sockets leaked by 3 applications on 2 hosts." in text
    assert "4 of 8 hosts audited; 1 unreachable, 1 failed" in text
    for finding in fleet["findings"]:
        assert finding["summary"] in text
        assert finding["next_step"] in text
    for row in fleet["hosts"]["not_audited"]:
        assert row["reason"] in text
    assert "namespaces of 2 containers could not be entered" in text
    assert "10.2.0.7:5432 uses 61 % of 28,232 ports from 10.2.0.4" in text
    assert "/etc/sysctl.d/10-old.conf:3" in text
    # From the details of a host.
    assert "[2001:db8::7]:443" in text
    assert "312 descriptors of 402 open, pid 5120" in text


def test_the_page_of_every_finding_that_occurs_is_inside(page: str) -> None:
    document = Document(page)
    ids = {attributes.get("id") for __, attributes in document.tags}
    for finding in sample("fleet")["findings"]:
        assert html_view.anchor(finding["id"]) in ids
        assert " ".join(load_page(finding["id"]).title.split()) in document.text


def test_what_grows_is_said_first_with_its_end_and_its_pages() -> None:
    document = Document(render_html(sample("growing_fleet"), growing_hosts()))
    assert "1 leak grows, descriptors gone in ~55 min on web-3.example.org." in document.text
    assert "grows 16/min on 2 hosts" in document.text
    assert "Agents. 1 of 3 not heard: web-40.example.org (the agent's last word is 5 h old: no trend)" in document.text
    # From the details of a host.
    assert "grows 12/min · descriptors gone in ~108 min" in document.text
    assert "watched since 2026-11-23 01:26 UTC: 2,204 sockets came and none went in 184 min." in document.text
    assert "An agent (lastack 0.1.0) has watched this host since 2026-11-21 19:02 UTC." in document.text
    ids = {attributes.get("id") for __, attributes in document.tags}
    for page_id in ("close_wait.growing", "verdict.leak", "verdict.pool", "verdict.stuck", "verdict.watching"):
        assert html_view.anchor(page_id) in ids
    assert html_view.anchor("verdict.burst") not in ids


def test_a_finding_of_a_newer_lastack_is_shown_without_a_page() -> None:
    fleet = sample("fleet")
    fleet["findings"][0]["id"] = "quic.unheard_of"
    assert "quic.unheard_of" in Document(render_html(fleet, [])).text


def test_a_healthy_fleet_says_so_in_one_sentence() -> None:
    document = Document(render_html(healthy_fleet(), [sample("healthy")]))
    assert "Nothing needs a decision." in document.text
    assert "CLOSE_WAIT 812 in transit, TIME_WAIT 24,032 normal, at most 4 % of a limit." in document.text
    assert "Partial view" not in document.text
    assert not any(section.get("id") in {"findings", "pressure", "not-seen"} for section in document.all("section"))


def test_settings_say_whose_file_sets_them_and_who_comes_after() -> None:
    fleet = sample("fleet")
    value = {"value": "4096", "hosts": 30, "winner": "/etc/sysctl.d/90-web.conf:3", "owner": "ansible", "manager": None}
    other = {"value": "128", "hosts": 2, "winner": None, "owner": None, "manager": "tuned", "sources": [{}, {}, {}]}
    fleet["drift"] = [{"key": "net.core.somaxconn", "values": [value, other], "values_truncated": 7}]
    text = Document(render_html(fleet, [])).text
    assert "4096 30 /etc/sysctl.d/90-web.conf:3 of ansible" in text
    assert "128 2 no file then tuned and 2 other sources" in text
    assert "7 more values not listed" in text
    assert "Limits of open files" not in text


def test_limits_that_differ_say_what_decides_and_what_a_restart_changes() -> None:
    fleet = sample("fleet")
    source = {"owner": "package", "stale_hosts": 3, "sources": [], "sources_truncated": 0}
    values = [
        {"soft": 1024, "hard": 524288, "hosts": 30, "winner": "/etc/systemd/system/api.service:9", **source},
        {"soft": -1, "hard": None, "hosts": 1, "winner": None, "owner": None, "stale_hosts": 0, "sources": []},
    ]
    fleet["limits"] = [{"what": "application", "name": "checkout-api", "values": values, "values_truncated": 0}]
    fleet |= {"limits_truncated": 4, "drift": []}
    text = Document(render_html(fleet, [])).text
    assert (
        "checkout-api application 1,024 524,288 30 /etc/systemd/system/api.service:9 of package"
        " on 3 hosts its file says otherwise: a restart changes it"
    ) in text
    assert "checkout-api application unlimited not set 1 no line" in text
    assert "4 more limits that differ not listed." in text
    assert "Kernel settings whose value differs" not in text


def test_the_history_has_its_place() -> None:
    history = Markup("<h3>checkout-api</h3><p>2,204 leaked sockets, +12 a day</p>")
    page = render_html(sample("fleet"), [sample("sick")], history=history)
    document = Document(page)
    assert "History checkout-api 2,204 leaked sockets, +12 a day" in document.text
    assert document.open == []
    assert {"href": "#history"} in document.all("a")
    assert "h-history" not in _fleet_page()


def test_a_run_of_one_host_does_not_count_hosts() -> None:
    document = Document(render_html(single_fleet(), [sample("sick")]))
    assert "4,862 sockets leaked by 3 applications on web-17.example.org." in document.text
    assert "Worst host" not in document.text
    assert "The host" in document.text
    assert any("open" in details for details in document.all("details"))
    # The findings stand in their own section; the details of the only host do not repeat them.
    step = sample("sick")["findings"][0]["next_step"]
    assert document.text.count(step) == 1


def test_a_run_without_any_answer_claims_nothing() -> None:
    fleet = healthy_fleet()
    fleet["hosts"] |= {"audited": 0, "unreachable": 500}
    text = Document(render_html(fleet, [])).text
    assert "No host was audited, so nothing is known." in text
    assert "Nothing needs a decision" not in text
    assert "0 of 500 hosts audited; 500 unreachable" in text


def test_the_least_host_report_that_the_schema_allows() -> None:
    needed = ("schema", "host", "collected_at", "duration_s", "collector", "completeness", "states", "findings")
    report: dict[str, Any] = {key: value for key, value in sample("sick").items() if key in needed}
    assert "web-17.example.org" in Document(render_html(sample("fleet"), [report])).text


def test_hosts_are_read_once_and_the_worst_stand_in_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_view, "_ROWS", 5)
    monkeypatch.setattr(html_view, "_DETAILS", 2)

    def hosts() -> Iterator[dict[str, Any]]:
        for number in range(12):
            report = sample("healthy" if number % 3 else "sick")
            report["host"]["inventory_name"] = f"web-{number:02}"
            yield report

    fleet = sample("fleet")
    fleet["hosts"] |= {"meant": 12, "audited": 12, "not_audited": []}
    document = Document(render_html(fleet, hosts()))
    assert "The worst 5 of them stand here; with JavaScript this table shows all 12" in document.text
    assert "Details of 2 more hosts are in the run folder." in document.text
    table = document.text.partition("Hosts, worst first")[2].partition("Details of the hosts")[0]
    assert re.findall(r"web-\d\d", table) == ["web-00", "web-03", "web-06", "web-09", "web-01"]
    data = json.loads("".join(document.raw["data"]))
    assert [line[0] for line in data["hosts"]][:6] == ["web-00", "web-03", "web-06", "web-09", "web-01", "web-02"]
    assert len(data["hosts"]) == 12


def test_hosts_that_are_not_listed_are_counted() -> None:
    text = Document(render_html(sample("fleet"), [sample("sick")])).text
    assert "The worst 5 of 8 hosts; the reports of the others are in the run folder." in text


def test_listed_sockets_are_shown() -> None:
    report = sample("sick")
    report["close_wait"]["sockets"] = [
        {
            "namespace": "host",
            "namespace_id": 1,
            "local_address": "10.2.0.4",
            "local_port": 40112,
            "remote_address": "2001:db8::9",
            "remote_port": 443,
            "receive_queue": 25,
            "send_queue": 0,
            "age_s": {"at_least": 90.0, "at_most": None},
            "cause": "eof_unnoticed_tls",
            "verdict": "offender",
            "app": "ledger-sync.service",
            "pids": [901],
            "inode": 77,
            "cookie": "1f",
        }
    ]
    text = Document(render_html(sample("fleet"), [report])).text
    assert "10.2.0.4:40112 [2001:db8::9]:443 ledger-sync.service ≥ 90 s idle pool, likely TLS 25" in text


def test_what_was_left_out_is_never_called_healthy() -> None:
    fleet, host = healthy_fleet(1), sample("healthy")
    fleet["states"]["CLOSE_WAIT"]["sum"], fleet["close_wait"]["total"] = 535, 0
    host["options"]["gather"] = ["sysctls"]
    host["options"]["namespaces"] = "host"
    text = Document(render_html(fleet, [host])).text
    assert "Nothing needs a decision in what was looked at." in text
    assert "CLOSE_WAIT 535 (not judged: left out by gather)" in text
    assert "in transit" not in text.partition("Explanations")[0]
    assert "Left out by gather: close_wait on 1 host, dead_sockets on 1 host," in text
    assert "Leaked sockets not judged" in text
    assert "complete as asked" in text
    assert "Only the collector's own network namespace was looked at." in text


def test_one_narrow_look_takes_the_clean_bill_from_the_fleet() -> None:
    host = sample("healthy")
    host["options"]["gather"] = ["!conntrack"]
    text = Document(render_html(healthy_fleet(), [sample("healthy"), host])).text
    assert "Nothing needs a decision in what was looked at." in text
    assert "Left out by gather: conntrack on at least 1 host." in text
    assert "Left out by gather: conntrack on 1 host." in Document(render_html(healthy_fleet(1), [host])).text


def test_an_application_says_where_to_look_and_what_to_do(page: str) -> None:
    document = Document(page)
    assert "pid 4121, to 10.2.0.9:8443 on web-17.example.org" in document.text
    assert "→ on web-17.example.org : Consume or close the response body" in document.text
    rows = [attributes["id"] for __, attributes in document.tags if str(attributes.get("id")).startswith("finding-")]
    assert rows == [f"finding-{number}" for number in range(1, 8)]
    links = [anchor["href"] for anchor in document.all("a") if str(anchor["href"]).startswith("#finding-")]
    assert links == ["#finding-1", "#finding-3", "#finding-2"]


def test_cut_hosts_and_findings_are_counted() -> None:
    fleet = sample("fleet")
    fleet["apps"][0]["hosts"] = 9
    fleet["findings_truncated"] = 4
    text = Document(render_html(fleet, [])).text
    assert "web-40.example.org 2,204 +7 more" in text
    assert "Critical findings at least 2 Warnings at least 4" in text


def test_the_banner_says_what_hid_most() -> None:
    hosts = [sample("partial"), sample("partial")]
    for host in hosts:
        host["completeness"]["warnings"].reverse()
    hosts[0]["completeness"]["warnings"][1] |= {"code": "owners_denied", "detail": "processes that may not be read"}
    text = Document(render_html(sample("fleet"), hosts[:1])).text
    assert "1 without a result; 1 seen in part: 31 processes that may not be read. What was not seen" in text
    hosts[1]["completeness"]["warnings"] = hosts[0]["completeness"]["warnings"]
    assert (
        "31 processes that may not be read (and on at least 1 more host)."
        in Document(render_html(sample("fleet"), hosts)).text
    )


def test_hosts_that_were_not_audited_stand_in_the_table_of_hosts(page: str) -> None:
    table = Document(page).text.partition("Hosts, worst first")[2].partition("Details of the hosts")[0]
    assert re.search(r"db-2\.example\.org \S.* unreachable ", table)
    assert re.search(r"db-9\.example\.org .*'/usr/bin/python3' was not found\. failed", table)


def test_hostile_texts_are_text() -> None:
    clean = Document(_fleet_page())
    page = render_html(hostile("fleet"), [hostile("healthy"), hostile("sick"), hostile("partial")])
    attacked = Document(page)
    assert [tag for tag, __ in attacked.tags if tag in {"script", "img", "style"}] == ["style", "script", "script"]
    assert {tag for tag, __ in attacked.tags} == {tag for tag, __ in clean.tags}
    assert {name for __, attributes in attacked.tags for name in attributes} == {
        name for __, attributes in clean.tags for name in attributes
    }
    assert [attacked.raw[name] for name in ("style", "script")] == [clean.raw[name] for name in ("style", "script")]
    bad = {character for character in page if unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp", "Cs"}}
    # Line breaks are the template's, tabs our own pages' (in a Makefile or a table of ss).
    assert bad <= {"\n", "\t"}
    shown = [name for name in page_ids() if f"<summary><code>{name}</code>" in page]
    assert page.count("\t") == sum(load_page(name).body.count("\t") for name in shown)
    # The attack did arrive: without this the test could not fail.
    assert attacked.text.count("<script>alert(1)</script>") > 50
    assert "{{ 7*7 }}" in attacked.text


@pytest.mark.parametrize("name", page_ids())
def test_every_page_becomes_html(name: str) -> None:
    body = load_page(name).body
    document = Document(str(to_html(body, top=2)))
    assert document.open == []
    allowed = {"h3", "h4", "p", "ul", "ol", "li", "pre", "code", "strong", "em"}
    allowed |= {"div", "table", "thead", "tbody", "tr", "th", "td", "span"}
    assert {tag for tag, __ in document.tags} <= allowed
    assert "|" not in re.sub(r"<pre>.*?</pre>|<code>.*?</code>", "", str(to_html(body)), flags=re.DOTALL)
    # No mark of Markdown is left outside code, and no word is lost.
    words = re.findall(r"[A-Za-z]{3,}", re.sub(r"^```\w*", "", body, flags=re.MULTILINE))
    assert re.findall(r"[A-Za-z]{3,}", document.text) == words
    assert "**" not in re.sub(r"\s", "", document.text) or "**" in "".join(re.findall(r"`[^`]*`", body))


def test_markdown_subset() -> None:
    source = """## Head `x`

Two lines
of **bold** and *soft* text, 2 * 3 * 4.

- one
  more
- two
  1. inner
  2. second

```sh
a < b   # kept
  indented
```

    block
"""
    assert str(to_html(source, top=2)) == (
        "<h3>Head <code>x</code></h3>\n"
        "<p>Two lines of <strong>bold</strong> and <em>soft</em> text, 2 * 3 * 4.</p>\n"
        "<ul><li>one more</li><li>two\n<ol><li>inner</li><li>second</li></ol></li></ul>\n"
        "<pre><code>a &lt; b   # kept\n  indented</code></pre>\n"
        "<pre><code>block</code></pre>"
    )


def test_a_table_and_the_heading_before_each_cell() -> None:
    source = '| a "q" | b |\n| --- | :-: |\n| `x|y` | **z** |\n| short |\n'
    head = '<thead><tr><th scope="col">a &#34;q&#34;</th><th scope="col">b</th></tr></thead>'
    first = '<tr><td data-label="a &#34;q&#34;"><span><code>x|y</code></span></td>'
    assert str(to_html(source)) == (
        f'<div class="scroll"><table class="told">{head}<tbody>{first}'
        '<td data-label="b"><span><strong>z</strong></span></td></tr>'
        '<tr><td data-label="a &#34;q&#34;"><span>short</span></td></tr></tbody></table></div>'
    )
    assert str(to_html("| a lone bar |\n")) == "<p>| a lone bar |</p>"


def test_code_that_names_a_page_is_a_link_where_the_page_is_there() -> None:
    anchors = {"close_wait.leak": "explain-close-wait-leak"}
    source = "`lastack explain\nclose_wait.leak`, `close_wait.leak`, `lastack explain runtime.go`\n"
    link = '<a href="#explain-close-wait-leak"><code>{}</code></a>'
    assert str(to_html(source, anchors=anchors)) == (
        f"<p>{link.format('lastack explain close_wait.leak')}, {link.format('close_wait.leak')}, "
        "<code>lastack explain runtime.go</code></p>"
    )


@given(st.text("ab <>&\"'`*#-1.|\n  ", max_size=200))
@example('| <b a="1"> | " onclick="x |\n| - | - |\n| <script> | `|` |\n')
def test_markdown_never_passes_html_on(source: str) -> None:
    document = Document(str(to_html(source)))
    assert document.open == []
    assert {tag for tag, __ in document.tags} <= {
        "h4",
        "h5",
        "h6",
        "p",
        "ul",
        "ol",
        "li",
        "pre",
        "code",
        "strong",
        "em",
        *("div", "table", "thead", "tbody", "tr", "th", "td", "span"),
    }
    names = {name for __, attributes in document.tags for name in attributes}
    assert names <= {"class", "scope", "data-label"}
