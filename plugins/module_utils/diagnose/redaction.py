# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may carry a secret although it is no argument: names and paths, masked before they leave the host.

Command lines never leave the host at all; this is for executables, units, containers and image names, into which
people do put tokens and URLs. It errs on the side of masking: a mask costs a name, a miss costs a secret.
"""

from __future__ import annotations

import re

__all__ = ["MASK", "is_random", "redact_text"]

MASK = "***"

_URL_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/@]*@")
_BARE_USER = re.compile(r"[^\s/:@=,;]+:[^\s/@]+@(?=[^\s/@.])")
_KEY_VALUE = re.compile(
    r"""(?ix)
    ((?:pass(?:word|wd|phrase)?|pwd|secret|token|api[-_.]?key|access[-_.]?key|private[-_.]?key|auth(?:orization)?
       |credentials?|session(?:id)?|cookie|signature|sig|bearer)
     ["']? \s* (?:[=:]|%3d) \s*)
    (?:(?:bearer|basic)\s+)?
    ["']? [^\s&;,"'/]+
    """
)
_SCHEME_VALUE = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}")
_KNOWN_TOKEN = re.compile(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[abeoprs]-[\w-]{8,}"
    r"|(?:sk|pk|rk)[-_](?:live|test|proj|ant)?[-_]?[\w-]{12,}|AKIA[A-Z0-9]{12,}|ASIA[A-Z0-9]{12,}|AIza[\w-]{20,}"
    r"|npm_[A-Za-z0-9]{16,}|hf_[A-Za-z0-9]{16,}|hv[sb]\.[\w-]{16,}|eyJ[\w-]{8,}(?:\.[\w-]+)*)"
)
_RUN = re.compile(r"[A-Za-z0-9_+=-]{16,}")
_WORD = re.compile(r"[A-Za-z0-9]+")
_CHANGE = re.compile(r"(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])")

_LONG_WORD = 20
"""Letters and digits mixed without a separator, this long: no name, but half a hash, a key or an identifier."""
_MIXED_WORD = 16
"""The same where upper and lower case are mixed in as well: base64."""
_CHANGES = 6
"""Changes between letters and digits in one run: ``x86_64-el9-py311`` has four, a random one of 24 has more."""


def redact_text(text: str) -> str:
    """Return ``text`` with URL credentials, ``key=value`` secrets and long random-looking strings masked."""
    text = _URL_USER.sub(rf"\g<1>{MASK}@", text)
    text = _BARE_USER.sub(f"{MASK}@", text)
    text = _KEY_VALUE.sub(rf"\g<1>{MASK}", text)
    text = _SCHEME_VALUE.sub(rf"\g<1> {MASK}", text)
    text = _KNOWN_TOKEN.sub(MASK, text)
    return _RUN.sub(lambda run: MASK if is_random(run.group()) else run.group(), text)


def is_random(run: str) -> bool:
    """Return whether a string without blanks or slashes looks drawn, not chosen."""
    if len(run) >= _LONG_WORD and len(_CHANGE.findall(run)) >= _CHANGES:
        return True
    for word in _WORD.findall(run):
        if not (any(map(str.isdigit, word)) and any(map(str.isalpha, word))):
            continue
        mixed = any(map(str.isupper, word)) and any(map(str.islower, word))
        if len(word) >= _LONG_WORD or (mixed and len(word) >= _MIXED_WORD):
            return True
    return False
