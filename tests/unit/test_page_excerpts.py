# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page shows as the fix is what the gallery tests, line for line."""

from __future__ import annotations

import tomllib
from pathlib import Path

import page_excerpts
import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils import explain

ENTRIES = sorted(path.parent.name for path in page_excerpts.GALLERY.glob("*/entry.toml"))
PAGES = Path(explain.__file__).parent / "pages"
PROGRAM = """\
\"\"\"Fixed: it is closed.\"\"\"
def outer():
    # docs: begin
    with a() as b:
        b.read()
    # docs: end
    return
"""
PAGE = """\
# library.x: a library

## How to fix

<!-- gallery: sample -->
```python
old()
```

More.
"""


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    folder = tmp_path / "entries"
    (folder / "sample").mkdir(parents=True)
    (folder / "sample" / "sample_fixed.py").write_text(PROGRAM, encoding="utf-8")
    return folder


def test_the_pages_show_the_lines_of_the_tested_programs(capsys: pytest.CaptureFixture[str]) -> None:
    status = page_excerpts.main([])
    assert capsys.readouterr().err == ""
    assert status == 0


@pytest.mark.parametrize("name", ENTRIES)
def test_every_program_of_the_gallery_has_its_page(name: str) -> None:
    entry = tomllib.loads((page_excerpts.GALLERY / name / "entry.toml").read_text(encoding="utf-8"))
    wanted = [entry["page"], *entry["leak"].get("candidates", [])]
    assert not [page for page in wanted if page not in explain.page_ids()]
    assert name in page_excerpts.included((PAGES / f"{entry['page']}.md").read_text(encoding="utf-8"))


def test_a_page_is_renewed_on_demand_only(tmp_path: Path, gallery: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "library.x.md"
    page.write_text(PAGE, encoding="utf-8")
    assert page_excerpts.main([], tmp_path, gallery) == 1
    assert "library.x.md differs" in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == PAGE
    assert page_excerpts.main(["--write"], tmp_path, gallery) == 0
    assert page.read_text(encoding="utf-8") == PAGE.replace("old()\n", "with a() as b:\n    b.read()\n")
    assert page_excerpts.main([], tmp_path, gallery) == 0


def test_a_fence_is_made_where_none_is_yet(gallery: Path) -> None:
    bare = "<!-- gallery: sample -->\n\nMore.\n"
    assert page_excerpts.renewed(bare, gallery) == (
        "<!-- gallery: sample -->\n```python\nwith a() as b:\n    b.read()\n```\n\nMore.\n"
    )


def test_several_parts_of_a_program_follow_one_another(gallery: Path) -> None:
    program = gallery / "sample" / "sample_fixed.py"
    program.write_text("# docs: begin\na()\n# docs: end\nb()\n# docs: begin\nc()\n# docs: end\n", encoding="utf-8")
    assert page_excerpts.excerpt("sample", gallery) == ("python", "a()\n\nc()\n")


@pytest.mark.parametrize(
    "text",
    ["a()\n", "# docs: begin\na()\n", "# docs: end\n", "# docs: begin\n# docs: begin\n# docs: end\n"],
)
def test_marks_that_are_not_in_pairs_are_an_error(text: str, gallery: Path) -> None:
    (gallery / "sample" / "sample_fixed.py").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="pairs"):
        page_excerpts.excerpt("sample", gallery)


def test_an_entry_that_is_not_there_is_told(tmp_path: Path, gallery: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "library.x.md").write_text("<!-- gallery: nothing -->\n", encoding="utf-8")
    assert page_excerpts.main(["--write"], tmp_path, gallery) == 1
    assert "the gallery has 0 programs nothing/" in capsys.readouterr().err


def test_explain_does_not_print_the_comment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = explain.page_ids("runtime")[0]
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    (tmp_path / f"{page}.md").write_text(f"{text}\n<!-- gallery: sample -->\n```python\na()\n```\n", encoding="utf-8")
    monkeypatch.setattr(explain, "_PAGES", tmp_path)
    body = explain.load_page(page).body
    assert "<!--" not in body
    assert body.endswith("\n```python\na()\n```\n")
