# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the documentation site and check every link in it: ``build_site.py [FOLDER]``, build/site if none is given.

MkDocs with its built-in theme, strictly; then LinkChecker over the files, offline, fragments included. The pages work
from ``file://`` and load nothing from outside. There is no search: a page that was opened from a file may not read an
index; the explanations have an index page instead.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from site_pages import navigation, site

__all__ = ["ROOT", "SiteError", "build", "check_links", "main"]

ROOT = Path(__file__).resolve().parent.parent
BUILD_S = 300
#: LinkChecker becomes "nobody" where root runs it, who may not read a clone in root's own folder. It reads files only.
_LINKCHECKER = (
    "from linkcheck.command import linkchecker as command; command.drop_privileges = lambda: None; "
    "command.linkchecker()"
)


class SiteError(Exception):
    """The site could not be built, or a link in it leads nowhere; the text is what the tool said."""


def build(folder: Path, root: Path = ROOT) -> None:
    """Write the site into ``folder``, whose former content goes.

    Raises:
        SiteError: if mkdocs had anything to say.
    """
    made = site(root)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for path, text in made.pages.items():
            _write(work / "docs" / path, text)
        for path, file in made.assets.items():
            (work / "docs" / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, work / "docs" / path)
        _write(work / "docs" / "site.css", _styles())
        _write(work / "mkdocs.yml", yaml.safe_dump(_configuration(made.pages), sort_keys=False))
        command = [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "--quiet",
            "--config-file",
            str(work / "mkdocs.yml"),
        ]
        # The home page has the time of the build in a comment; the same source makes the same site.
        done = _run(command, cwd=work, SOURCE_DATE_EPOCH="0")
        if done.returncode or done.stderr.strip():
            raise SiteError(f"{done.stdout}{done.stderr}".strip())
        for path in ("404.html", "sitemap.xml", "sitemap.xml.gz"):
            # They are a web server's and know no server here.
            (work / "site" / path).unlink(missing_ok=True)
        if folder.exists():
            shutil.rmtree(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(work / "site", folder)


def check_links(folder: Path) -> None:
    """Follow every link from the first page; those to other hosts are not followed.

    Raises:
        SiteError: with LinkChecker's report, if a file or a fragment is not there.
    """
    with tempfile.TemporaryDirectory() as name:
        configuration = Path(name) / "linkcheckerrc"
        configuration.write_text("[checking]\nthreads=2\nrecursionlevel=-1\n[AnchorCheck]\n", encoding="utf-8")
        words = ["--config", str(configuration), "--no-status", "--output=text", str(folder / "index.html")]
        done = _run([sys.executable, "-c", _LINKCHECKER, *words], HOME=name)
    if done.returncode:
        raise SiteError(f"{done.stdout}{done.stderr}".strip())


def _run(command: list[str], cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **environment}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=BUILD_S
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _styles() -> str:
    light = _pygments("default", ".codehilite")
    dark = _pygments("github-dark", "[data-bs-theme=dark] .codehilite")
    own = Path(__file__).with_name("site.css").read_text(encoding="utf-8")
    return f"{light}\n{dark}\n{own}"


def _pygments(style: str, selector: str) -> str:
    done = _run([sys.executable, "-m", "pygments", "-S", style, "-f", "html", "-a", selector])
    if done.returncode:
        raise SiteError(done.stderr.strip())
    return done.stdout


def _configuration(pages: dict[str, str]) -> dict[str, object]:
    return {
        "site_name": "lastack",
        "site_description": "Whose TCP trouble is it: the kernel's, a limit's, or the application's?",
        "docs_dir": "docs",
        "site_dir": "site",
        "use_directory_urls": False,
        # highlight.js would come from another host.
        "theme": {"name": "mkdocs", "color_mode": "auto", "user_color_mode_toggle": True, "highlightjs": False},
        "plugins": [],
        "extra_css": ["site.css"],
        "markdown_extensions": [{"codehilite": {"guess_lang": False}}, {"toc": {"permalink": False}}],
        "nav": navigation(pages),
        # The explanations are in the menu by their index.
        "validation": {
            "nav": {"omitted_files": "ignore"},
            "links": {"anchors": "warn", "absolute_links": "warn", "unrecognized_links": "warn"},
        },
    }


def main(arguments: list[str]) -> int:
    """Build, check, say where it is; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "site")
    options = parser.parse_args(arguments)
    try:
        build(options.folder)
        check_links(options.folder)
    except (SiteError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(list(options.folder.rglob('*.html')))} pages, every link holds: {options.folder / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
