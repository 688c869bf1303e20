# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack completion``: scripts for bash, zsh and fish, generated from the command's own parser."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.cli.outcome import SUCCESS
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.terminal import write

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

__all__ = ["SHELLS", "SUMMARY", "add_arguments", "run"]

SUMMARY = "print a completion script for a shell"

SHELLS = ("bash", "zsh", "fish")

_EPILOG = """\
bash:  source <(lastack completion bash)
zsh:   lastack completion zsh > "${fpath[1]}/_lastack"
fish:  lastack completion fish > ~/.config/fish/completions/lastack.fish
"""


class _Argument(NamedTuple):
    """One option or positional of a command, as a shell needs it."""

    options: tuple[str, ...]
    """Spellings; empty for a positional."""
    description: str
    takes_value: bool
    words: tuple[str, ...]
    """Possible values; empty for free text."""
    files: bool
    """Whether the value is a path."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lastack completion``."""
    parser.add_argument("shell", choices=SHELLS, help="the shell that reads the script")
    parser.epilog = _EPILOG


def run(arguments: argparse.Namespace) -> int:
    """Print the script of one shell."""
    from ansible_collections.lastack.linux.plugins.plugin_utils.cli.main import (  # noqa: PLC0415 - main imports us
        build_parser,
    )

    parser = build_parser()
    commands: dict[str, tuple[str, list[_Argument]]] = {}
    general = []
    for action in _actions(parser):
        if isinstance(action.choices, dict):
            for name, command in action.choices.items():
                described = [_argument(inner) for inner in _actions(command)]
                commands[name] = (str(command.description).rstrip("."), described)
        else:
            general.append(_argument(action))
    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[arguments.shell]
    write(script(general, commands))
    return SUCCESS


def _actions(parser: argparse.ArgumentParser) -> Sequence[argparse.Action]:
    return parser._actions  # noqa: SLF001 - argparse has no public way to list what it was told


def _argument(action: argparse.Action) -> _Argument:
    words: tuple[str, ...] = tuple(str(choice) for choice in action.choices or ())
    if action.dest == "page":
        from ansible_collections.lastack.linux.plugins.plugin_utils.explain import (  # noqa: PLC0415 - not for probe
            page_ids,
        )

        words = tuple(page_ids())
    if action.dest == "gather":
        from ansible_collections.lastack.linux.plugins.module_utils.options import (  # noqa: PLC0415 - the same
            GATHER_SUBSETS,
        )

        words = ("all", *GATHER_SUBSETS)
    return _Argument(
        options=tuple(action.option_strings),
        description=str(action.help or ""),
        takes_value=action.nargs != 0,
        words=words,
        files=action.dest in ("run_folder", "html", "path", "tickets"),
    )


def _bash(general: Sequence[_Argument], commands: Mapping[str, tuple[str, list[_Argument]]]) -> str:
    cases = []
    for name, (__, arguments) in commands.items():
        by_option = [
            f"        {'|'.join(argument.options)}) {_bash_values(argument)}; return ;;"
            for argument in arguments
            if argument.options and argument.takes_value
        ]
        options = [option for argument in arguments for option in argument.options]
        positional = next((argument for argument in arguments if not argument.options), None)
        plain = _bash_values(positional) if positional else ":"
        values = ["      case $previous in", *by_option, "      esac"] if by_option else []
        cases += [
            f"    {name})",
            *values,
            f"      if [[ $current == -* ]]; then {_bash_words(options)}",
            f"      else {plain}; fi ;;",
        ]
    first = [*commands, *(option for argument in general for option in argument.options)]
    return "\n".join(
        [
            "# bash completion of lastack",
            "_lastack() {",
            "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}",
            "  COMPREPLY=()",
            "  if ((COMP_CWORD == 1)); then",
            f"    {_bash_words(first)}",
            "    return",
            "  fi",
            "  case ${COMP_WORDS[1]} in",
            *cases,
            "  esac",
            "}",
            "complete -F _lastack lastack",
        ]
    )


def _bash_values(argument: _Argument) -> str:
    if argument.words:
        return _bash_words(argument.words)
    if argument.files:
        return 'compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$current")'
    return ":"


def _bash_words(words: Sequence[str]) -> str:
    return f'mapfile -t COMPREPLY < <(compgen -W "{" ".join(words)}" -- "$current")'


def _zsh(general: Sequence[_Argument], commands: Mapping[str, tuple[str, list[_Argument]]]) -> str:
    cases = []
    for name, (__, arguments) in commands.items():
        specifications = " \\\n        ".join(_zsh_argument(argument) for argument in arguments)
        cases += [f"    {name})", f"      _arguments \\\n        {specifications} ;;"]
    names = [f"    {_quoted(f'{name}:{summary}')}" for name, (summary, __) in commands.items()]
    return "\n".join(
        [
            "#compdef lastack",
            "# zsh completion of lastack",
            "_lastack() {",
            "  local -a commands",
            "  commands=(",
            *names,
            "  )",
            "  if ((CURRENT == 2)); then",
            "    _describe command commands",
            f"    _arguments {' '.join(_zsh_argument(argument) for argument in general)}",
            "    return",
            "  fi",
            "  local command=${words[2]}",
            "  shift words",
            "  ((CURRENT--))",
            "  case $command in",
            *cases,
            "  esac",
            "}",
            # Autoloaded from fpath the file is the function's body; sourced it only defines it.
            'if [[ $funcstack[1] == _lastack ]]; then _lastack "$@"; else compdef _lastack lastack; fi',
        ]
    )


def _zsh_argument(argument: _Argument) -> str:
    values = f"({' '.join(argument.words)})" if argument.words else "_files" if argument.files else " "
    if not argument.options:
        return _quoted(f"::{argument.description.replace(':', ' ')}:{values}")
    described = f"[{argument.description.replace(': ', ' ').translate(str.maketrans('[]:', '() '))}]"
    value = f":value:{values}" if argument.takes_value else ""
    return " ".join(_quoted(f"{option}{described}{value}") for option in argument.options)


def _fish(general: Sequence[_Argument], commands: Mapping[str, tuple[str, list[_Argument]]]) -> str:
    lines = ["# fish completion of lastack", "complete -c lastack -f"]
    lines += [f"complete -c lastack -n __fish_use_subcommand {_fish_argument(argument)}" for argument in general]
    for name, (summary, arguments) in commands.items():
        lines.append(f"complete -c lastack -n __fish_use_subcommand -a {name} -d {_quoted(summary)}")
        condition = _quoted(f"__fish_seen_subcommand_from {name}")
        lines += [f"complete -c lastack -n {condition} {_fish_argument(argument)}" for argument in arguments]
    return "\n".join(lines)


def _fish_argument(argument: _Argument) -> str:
    parts = [f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}" for option in argument.options]
    if argument.takes_value and argument.options:
        parts.append("-r" if argument.files else "-x")
    if argument.files:
        parts.append("-F")
    if argument.words:
        parts.append(f"-a {_quoted(' '.join(argument.words))}")
    if argument.options:
        parts.append(f"-d {_quoted(argument.description)}")
    return " ".join(parts) or "-f"


def _quoted(text: str) -> str:
    """In single quotes, as bash, zsh and fish all read them."""
    return "'" + text.replace("'", "'\\''") + "'"
