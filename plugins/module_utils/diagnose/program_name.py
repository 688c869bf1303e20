# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The name of what an interpreter runs: script, module, jar or main class, and nothing else of its arguments.

Arguments carry passwords, tokens and URLs. Only the one argument that the interpreter itself takes for the program is
looked at, found by skipping that interpreter's options with their values; only its base name is used, and only where
it is spelt like a name. Anything else gives no name.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.redaction import redact_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Interpreter", "interpreter_of", "plain_name", "program_of", "program_path"]


class Interpreter(NamedTuple):
    """How one family of interpreters takes its arguments."""

    name: str
    """The executable's name without a version."""
    runtime: str
    with_value: frozenset[str]
    """Options whose value is the next argument."""
    inline: tuple[str, ...]
    """Options after which code, not a file, follows: no name can come from it."""
    suffixes: tuple[str, ...]
    """How its scripts end."""


_NODE = Interpreter(
    "node",
    "node",
    frozenset(
        {"-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions", "--title"}
        | {"--env-file", "--env-file-if-exists", "--icu-data-dir", "--openssl-config", "--redirect-warnings"}
        | {"--diagnostic-dir", "--input-type", "--max-http-header-size", "--dns-result-order", "--watch-path"}
        | {"--stack-trace-limit", "--v8-pool-size", "--heapsnapshot-signal", "--report-directory", "--tls-keylog"}
    ),
    ("-e", "--eval", "-p", "--print", "-pe", "-i", "--interactive", "--run", "-"),
    (".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".jsx", ".tsx"),
)
_PYTHON = Interpreter(
    "python",
    "python",
    frozenset({"-W", "-X", "--check-hash-based-pycs"}),
    ("-c", "-"),
    (".py", ".pyw", ".pyc", ".pyz", ".pex"),
)
_RUBY = Interpreter(
    "ruby",
    "ruby",
    frozenset({"-I", "-r", "-C", "-E", "--encoding", "--external-encoding", "--internal-encoding", "--enable"})
    | {"--disable", "--require"},
    ("-e", "-"),
    (".rb", ".ru"),
)
_PERL = Interpreter("perl", "native", frozenset({"-I", "-M", "-m"}), ("-e", "-E", "-"), (".pl", ".pm", ".cgi", ".psgi"))
_PHP = Interpreter(
    "php",
    "php",
    frozenset({"-c", "-d", "--php-ini", "--define", "-z", "--zend-extension", "-g", "--global"}),
    ("-r", "--run", "-B", "-R", "-E", "-S", "-", "-a"),
    (".php", ".phar", ".phtml"),
)
_SHELL = Interpreter(
    "shell",
    "native",
    frozenset({"-o", "+o", "-O", "+O", "--rcfile", "--init-file"}),
    ("-c", "-s", "-"),
    (".sh", ".bash"),
)
_DOTNET = Interpreter(
    "dotnet",
    "native",
    frozenset(
        {"--additionalprobingpath", "--additional-deps", "--depsfile", "--fx-version", "--roll-forward"}
        | {"--runtimeconfig"}
    ),
    (),
    (".dll",),
)
_JAVA = Interpreter(
    "java",
    "java",
    frozenset(
        {"-cp", "-classpath", "--class-path", "-p", "--module-path", "--upgrade-module-path", "--add-modules"}
        | {"--limit-modules", "--enable-native-access", "--add-reads", "--add-exports", "--add-opens"}
        | {"--patch-module", "--source", "-d", "--describe-module", "-agentlib", "-splash"}
    ),
    (),
    (".jar", ".war"),
)

_BY_NAME = {
    "node": _NODE,
    "nodejs": _NODE,
    "python": _PYTHON,
    "pypy": _PYTHON,
    "ruby": _RUBY,
    "jruby": _RUBY,
    "perl": _PERL,
    "php": _PHP,
    "php-cgi": _PHP,
    "php-fpm": _PHP,
    "bash": _SHELL,
    "dash": _SHELL,
    "sh": _SHELL,
    "ash": _SHELL,
    "ksh": _SHELL,
    "zsh": _SHELL,
    "dotnet": _DOTNET,
    "java": _JAVA,
    "jsvc": _JAVA,
}

_VERSION = re.compile(r"-?[0-9]+(?:\.[0-9]+)*t?$")
_NAME = re.compile(r"(?=[0-9]*[A-Za-z_])[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}\Z")
_PATH = re.compile(r"[A-Za-z0-9_.+@~/-]{1,1024}\Z")
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*){0,15}\Z")
_CLASS = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_$]*\.)*[A-Z_][A-Za-z0-9_$]*\Z")
_JAVA_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")
_JAR_VERSION = re.compile(
    r"[-_.]v?[0-9]+(?:\.[0-9]+)*(?:[-.](?:SNAPSHOT|RELEASE|FINAL|Final|GA|RC[0-9]*|M[0-9]+))*(?=\.[a-z]+\Z)"
)
_COUNTER = re.compile(r"[-_.]?[0-9]{4,}(?=\.|\Z)")
_TEMPORARY = re.compile(r"/(?:tmp|var/tmp|dev/shm|run/user)/|/(?:pip-|_MEI|tmp)[^/]*/")
_TITLES = (
    (re.compile(r"gunicorn: (?:master|worker) \[([A-Za-z_][A-Za-z0-9_.-]*)[^\]]*\]"), "gunicorn:", "python"),
    (re.compile(r"gunicorn\b"), "gunicorn", "python"),
    (re.compile(r"\[?celeryd?\b"), "celery", "python"),
    (re.compile(r"puma(?:: cluster worker [0-9]+)?[: ].*\[([A-Za-z_][A-Za-z0-9_.-]*)\]\Z"), "puma:", "ruby"),
    (re.compile(r"puma\b"), "puma", "ruby"),
    (re.compile(r"sidekiq [0-9.]+ ([A-Za-z_][A-Za-z0-9_.-]*) \["), "sidekiq:", "ruby"),
    (re.compile(r"sidekiq\b"), "sidekiq", "ruby"),
    (re.compile(r"unicorn (?:master|worker)\b"), "unicorn", "ruby"),
    (re.compile(r"Passenger \w+App: /(?:[^ /]+/)*([A-Za-z_][A-Za-z0-9_.-]*)(?: |\Z)"), "passenger:", ""),
    (re.compile(r"resque-"), "resque", "ruby"),
    (re.compile(r"php-fpm: pool ([A-Za-z_][A-Za-z0-9_.-]*)\Z"), "php-fpm:", "php"),
    (re.compile(r"php-fpm: "), "php-fpm", "php"),
    (re.compile(r"PM2 v"), "pm2", "node"),
)
"""Titles that frameworks write over their arguments; the group, if any, is the name that an administrator chose.

The last word is the runtime that the framework is written for (any, if empty): in another the words are anybody's.
"""

_GENERIC_WORDS = """
index main app server start run cli worker manage wsgi asgi bootstrap service daemon bin www console
__main__ setup init program application artisan launcher entrypoint handler
"""
_GENERIC = frozenset(_GENERIC_WORDS.split())
"""Script names that say nothing without the folder they lie in."""
_GENERIC_FOLDERS_WORDS = """
src dist build lib bin app apps current release releases public www html code server service out
output target opt srv usr local home root var data shared scripts node_modules js ts py php site-
packages dist-packages workspace workdir project deploy tmp
"""
_GENERIC_FOLDERS = frozenset(_GENERIC_FOLDERS_WORDS.split())
_FOLDERS_UP = 4
_BINARY_FOLDERS = frozenset({"bin", "sbin", "libexec", "scripts"})


def interpreter_of(executable: str) -> Interpreter | None:
    """Return the interpreter family of an executable's base name (``python3.11``, ``php-fpm8.2``), else ``None``."""
    name = executable.lower()
    return _BY_NAME.get(name) or _BY_NAME.get(_VERSION.sub("", name))


def program_of(interpreter: Interpreter, arguments: Sequence[str]) -> str | None:
    """Return the stable name of what ``arguments`` (with the interpreter's own name first) run, or ``None``."""
    if not arguments:
        return None
    title = _title(interpreter, arguments[0])
    if title:
        return title
    if len(arguments) == 1 and " " in arguments[0]:
        return None
    found = _found(interpreter, arguments)
    return found.name(found.argument) if found else None


def program_path(interpreter: Interpreter, arguments: Sequence[str]) -> str | None:
    """Return what ``arguments`` run as it was spelt: a script's path, a module, a jar, a class; ``None`` if no name.

    It is the one argument that ``program_of`` takes its name from, and only where it gives one.
    """
    if not arguments or _title(interpreter, arguments[0]) or (len(arguments) == 1 and " " in arguments[0]):
        return None
    found = _found(interpreter, arguments)
    if found is None or found.name(found.argument) is None:
        return None
    return found.argument if _PATH.match(found.argument) and "@" not in found.argument else None


def plain_name(text: str) -> str | None:
    """Return ``text`` if it is spelt like a program's name and not like a secret, its trailing number dropped."""
    if not _NAME.match(text) or redact_text(text) != text:
        return None
    name = _COUNTER.sub("", text)
    return name if _NAME.match(name) else None


def _title(interpreter: Interpreter, first: str) -> str | None:
    for pattern, name, runtime in _TITLES:
        found = pattern.match(first[:1024])
        if not found or runtime not in ("", interpreter.runtime):
            continue
        if not name.endswith(":"):
            return name
        own = plain_name(found.group(1))
        return name + own if own else name[:-1]
    return None


class _Found(NamedTuple):
    """The argument that an interpreter takes for the program, and how that kind of argument names it."""

    argument: str
    name: Callable[[str], str | None]


def _found(interpreter: Interpreter, arguments: Sequence[str]) -> _Found | None:
    return _java(arguments[1:]) if interpreter is _JAVA else _script(interpreter, arguments[1:])


def _script(interpreter: Interpreter, arguments: Sequence[str]) -> _Found | None:  # noqa: PLR0911 - one return per kind
    position = 0
    file = functools.partial(_file, interpreter)
    while position < len(arguments):
        argument = arguments[position]
        if interpreter is _PYTHON and argument.startswith("-m"):
            module = argument[2:] or (arguments[position + 1] if position + 1 < len(arguments) else "")
            return _Found(module, _module)
        if interpreter is _PYTHON and re.match(r"-[bBdEhiIOPqsSuvVx]+m\Z", argument):
            return _Found(arguments[position + 1], _module) if position + 1 < len(arguments) else None
        if argument == "--":
            return _Found(arguments[position + 1], file) if position + 1 < len(arguments) else None
        if interpreter is _PHP and argument in ("-f", "--file"):
            return _Found(arguments[position + 1], file) if position + 1 < len(arguments) else None
        if _is_inline(interpreter, argument):
            return None
        if not argument.startswith(("-", "+")):
            if interpreter is _DOTNET and argument in ("exec", "run"):
                position += 1
                continue
            return _Found(argument, file)
        position += 2 if _takes_value(interpreter, argument) else 1
    return None


def _takes_value(interpreter: Interpreter, argument: str) -> bool:
    if interpreter is _SHELL and re.match(r"[-+][A-Za-z]+o\Z", argument):
        return True  # `bash -euo pipefail`
    return argument in interpreter.with_value


def _is_inline(interpreter: Interpreter, argument: str) -> bool:
    if argument in interpreter.inline:
        return True
    if argument.startswith("--"):
        return argument.split("=", 1)[0] in interpreter.inline
    if interpreter in (_SHELL, _PERL, _PYTHON, _RUBY) and argument.startswith("-"):
        # Short options may be joined: `bash -lc CODE`, `perl -ne CODE`; after an option's own value they are not.
        letters = re.match(r"-([A-Za-z]+)", argument)
        codes = {option[1:] for option in interpreter.inline if len(option) > 1}
        valued = {option[1:] for option in interpreter.with_value if re.match(r"-[A-Za-z]\Z", option)}
        for letter in letters.group(1) if letters else "":
            if letter in codes:
                return True
            if letter in valued:
                return False
    return False


def _java(arguments: Sequence[str]) -> _Found | None:
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        following = arguments[position + 1] if position + 1 < len(arguments) else ""
        if argument == "-jar":
            return _Found(following, functools.partial(_file, _JAVA))
        if argument in ("-m", "--module") or argument.startswith("--module="):
            module = following if "=" not in argument else argument.split("=", 1)[1]
            return _Found(module, _java_module)
        if not argument.startswith(("-", "@")):
            return _Found(argument, _basename if argument.endswith(".java") else _class)
        position += 2 if argument in _JAVA.with_value else 1
    return None


def _java_module(module: str) -> str | None:
    name = module.split("/", 1)[0]
    return name if _JAVA_MODULE.match(name) and redact_text(name) == name else None


def _class(name: str) -> str | None:
    return name if _CLASS.match(name) and redact_text(name) == name else None


def _module(module: str) -> str | None:
    if not _MODULE.match(module) or redact_text(module) != module:
        return None
    return module.removesuffix(".__main__")[:128]


def _file(interpreter: Interpreter, path: str) -> str | None:
    if not _PATH.match(path) or "@" in path:
        return None
    base = _basename(path)
    if base is None:
        return None
    if base.endswith(interpreter.suffixes):
        return _with_folder(path, base)
    folders = path.split("/")[:-1]
    if path.startswith("/") and len(folders) > 1 and folders[-1] in _BINARY_FOLDERS:
        # A console script; a bare word could be anything, a password too.
        return base
    return None


def _basename(path: str) -> str | None:
    base = path.rsplit("/", 1)[-1]
    if not _NAME.match(base) or redact_text(base) != base:
        return None
    base = _JAR_VERSION.sub("", base) if base.endswith((".jar", ".war", ".phar")) else base
    return plain_name(base)


def _with_folder(path: str, base: str) -> str:
    if base.split(".", 1)[0].lower() not in _GENERIC or _TEMPORARY.search(path):
        return base
    folders = [folder for folder in path.split("/")[:-1] if folder]
    for folder in folders[: -_FOLDERS_UP - 1 : -1]:
        if folder.lower() in _GENERIC_FOLDERS or folder in (".", ".."):
            continue
        name = plain_name(folder)
        if name is None or len(name) != len(folder):
            continue
        # The account under /home is no application.
        return f"{name}/{base}" if path.split(f"/{folder}/")[0] != "/home" else base
    return base
