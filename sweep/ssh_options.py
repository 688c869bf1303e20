# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ssh's arguments as Ansible's variables hold them: strings such as ``-o ProxyJump=bastion -p 2222``, word by word."""

from __future__ import annotations

import functools
import shlex
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SettingsError", "Word", "option_of", "words_of"]


class SettingsError(Exception):
    """The settings of one host cannot be had or followed; the text is one sentence that says what and where."""


class Word(NamedTuple):
    """One option of ssh's command line: ``Word("p", "22")``; ``value`` is empty for an option that has none."""

    letter: str
    value: str = ""


# ssh(1). Followed: what says where the host is and how it is reached, and who logs in.
_FOLLOWED = frozenset("46")
_FOLLOWED_WITH_VALUE = frozenset("BbcFIiJlmopP")
# Of no matter to a look at one host: masters, forwardings, terminals, compression, what is logged and where.
_UNNEEDED = frozenset("2aACgKkMnqTtvXxYy")
_UNNEEDED_WITH_VALUE = frozenset("DELRSe")
# The same for options by name, where their values may differ from host to host for nothing.
_UNNEEDED_NAMES = frozenset(
    {"controlmaster", "controlpath", "controlpersist", "loglevel", "localforward", "remoteforward", "dynamicforward"}
)
_SAME_BY_LETTER = {"b": "bindaddress", "c": "ciphers", "i": "identityfile", "J": "proxyjump", "l": "user", "m": "macs"}
_SAME_BY_LETTER |= {"p": "port", "B": "bindinterface", "I": "pkcs11provider", "P": "tag"}
_SAME_WITHOUT_VALUE = {"4": ("addressfamily", "inet"), "6": ("addressfamily", "inet6")}


@functools.lru_cache(maxsize=256)
def words_of(text: str, where: str) -> tuple[Word, ...]:
    """Return the options of ``text`` that matter to a sweep, in their order; ``where`` names the variable.

    Raises ``SettingsError`` for an option that ssh(1) does not have or that a sweep does not follow, and for a word
    that is none. Source: getopt(3) and ssh(1); the string is split as Ansible's ssh connection plugin does.
    """
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise SettingsError(f"{where} cannot be split into words: {str(error).lower().rstrip('.')}") from None
    found: list[Word] = []
    rest = iter(parts)
    for part in rest:
        if "\0" in part:
            raise SettingsError(f"{where} holds a NUL character")
        if not part.startswith("-") or part in {"-", "--"}:
            raise SettingsError(f"{where} holds {one_line(repr(part), 80)}, which is no option of ssh")
        found += _words_in(part[1:], rest, where)
    return tuple(found)


def _words_in(letters: str, rest: Iterator[str], where: str) -> Iterator[Word]:
    """Yield the options of one word, several of which may share a dash: ``-4Cp22``."""
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter in _FOLLOWED:
            yield Word(letter)
        elif letter in _FOLLOWED_WITH_VALUE or letter in _UNNEEDED_WITH_VALUE:
            value = letters or next(rest, "")
            if not value:
                raise SettingsError(f"{where} ends with -{letter}, which needs a value")
            word = Word(letter, value)
            if letter in _FOLLOWED_WITH_VALUE and option_of(word)[0] not in _UNNEEDED_NAMES:
                yield word
            return
        elif letter not in _UNNEEDED:
            raise SettingsError(f"{where} has ssh's option -{one_line(letter)}, which a sweep does not follow")


def option_of(word: Word) -> tuple[str, str]:
    """Return a word as an option of ssh_config(5): its name in lower case, and its value; -F has no such name."""
    if word.letter in _SAME_WITHOUT_VALUE:
        return _SAME_WITHOUT_VALUE[word.letter]
    if word.letter != "o":
        return _SAME_BY_LETTER.get(word.letter, ""), word.value
    text = word.value.strip()
    end = next((at for at, letter in enumerate(text) if letter in "= \t"), len(text))
    value = text[end:].lstrip(" \t").removeprefix("=").lstrip(" \t")
    return text[:end].lower(), value
