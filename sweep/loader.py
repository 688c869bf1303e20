# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first lines that run on a host: a shell script that finds a Python, and a line of Python that reads the rest.

They travel on a command line through the login shell of the host, so neither has what shells read differently even in
single quotes: no quote of that kind, no backslash, no exclamation mark, no line end. Python 2.7 and 3.6 must be able to
parse the line of Python, to say in their own words that they are too old.
"""

from __future__ import annotations

__all__ = ["BECOME_SCRIPT", "EXIT_SAID", "EXIT_TOO_OLD", "OLDEST", "PYTHONS", "PYTHON_LINE", "SEARCH_SCRIPT"]

OLDEST = (3, 9)
"""The oldest Python that the collection's modules run under."""
EXIT_TOO_OLD = 85
EXIT_SAID = 86
"""Python has told on standard output what is wrong: no other one can do better."""

PYTHONS = (
    "python3",
    *(f"python3.{minor}" for minor in range(14, OLDEST[1] - 1, -1)),
    "/usr/libexec/platform-python",
    "/usr/bin/python3",
    "/usr/local/bin/python3",
    # Only to be able to name its version.
    "python",
)
"""Where Pythons are found, in the order in which they are tried."""

PYTHON_LINE = ";".join(
    (
        "import sys",
        # As -I does, which Python 2 has not: nothing is imported from the working directory.
        "sys.path[:]=[p for p in sys.path if p]",
        "a=sys.argv",
        "w=lambda *t:(sys.stdout.write(chr(10)+a[1]+chr(32)+chr(32).join(t)+chr(10)),sys.stdout.flush())",
        'v="%d.%d.%d "%sys.version_info[:3]+str(sys.executable)',
        f'sys.version_info[:2]<{OLDEST!r} and (w("old",v),sys.exit({EXIT_TOO_OLD}))',
        "import json,os,signal,zlib",
        # Whatever it waits for, it does not stay: not for a controller that is gone, and not in a read that hangs.
        "signal.alarm(int(a[2]))",
        "os.set_blocking(0,True)",
        "i=sys.stdin.buffer",
        'w("ready",v)',
        # What comes before the marker is nobody's business: it is read and forgotten.
        'any(l.strip()==a[1].encode() for l in iter(lambda:i.readline(65536),b"")) or '
        f'(w("error","input","standard","input","ended","before","the","request"),sys.exit({EXIT_SAID}))',
        "p=json.loads(zlib.decompress(i.read(int(i.readline(32)))))",
        'g={"__name__":"lastack"}',
        'exec(compile(p["entry"],"entry","exec"),g)',
        'sys.exit(g["main"](a[1],p))',
    )
)
"""Arguments: the marker, and after how many seconds to end. Reads lines up to the marker, a length, and the payload.

-E -s -S -B go with it: no variable of the environment, no site-packages and no ``.pth`` file has a say, and no
``__pycache__`` is written.
"""

SEARCH_SCRIPT = (
    "set -f; LC_ALL=C; export LC_ALL; p=$1 m=$2 s=$3; shift 3; "
    "for c; do "
    'command -v "${c%% *}" >/dev/null 2>&1 || continue; '
    '$c -E -s -S -B -c "$p" "$m" "$s"; r=$?; '
    # Done, told, or ended by a signal: what was on standard input is gone, so another Python could not take over.
    f"case $r in 0|{EXIT_SAID}|129|1[3-9]?|2??) exit $r;; esac; "
    "done; "
    'echo; echo "$m none"; '
    f"exit {EXIT_SAID}"
)
"""Arguments: ``PYTHON_LINE``, the marker, the seconds, and commands of Pythons to try, words parted by blanks."""

BECOME_SCRIPT = (
    "LC_ALL=C; export LC_ALL; n=$1 u=$2; shift 2; "
    # Who is root already needs no sudo, nor that it is installed.
    '[ "$u" = root ] && [ "$(id -u)" = 0 ] && shift "$n"; '
    'exec "$@"'
)
"""Arguments: the number of words of the sudo command, the user, the sudo command, and what it runs."""
