# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real loaders on the resolver's own trees, in a mount namespace where /proc/sys is an empty memory disk.

The files that stand for sysctls are plain ones: no setting of this machine is in reach.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import resolve, sysctl_path

if TYPE_CHECKING:
    from types import ModuleType

pytestmark = pytest.mark.needs_root

_LOADERS = {
    "boot": next(
        (p for p in ("/usr/lib/systemd/systemd-sysctl", "/lib/systemd/systemd-sysctl") if Path(p).exists()), None
    ),
    "reload": shutil.which("sysctl", path="/usr/sbin:/sbin:/usr/bin:/bin"),
}
_UNTOUCHED = "?"
_KEYS = ("net.ipv4.tcp_a", "net.ipv4.tcp_b", "net.ipv4.tcp_c", "net.ipv4.conf.v0/100.x", "net.core.x")

# $1: the tree; the rest: the loader. Everything is mounted before anything is run, and a failed mount ends it.
_SCRIPT = """
set -eu
tree=$1; out=$2; shift 2
for folder in /etc /run /opt /usr/local /usr/lib/sysctl.d /proc/sys; do mount -t tmpfs none "$folder"; done
test -z "$(ls -A /proc/sys)"
cp -a "$tree/sys/." /proc/sys/
for folder in etc run opt usr/local usr/lib/sysctl.d; do
    if test -d "$tree/root/$folder"; then cp -a "$tree/root/$folder/." "/$folder/"; fi
done
"$@" >"$out/log" 2>&1 || true
cp -a /proc/sys/. "$out/"
"""


def _trees() -> ModuleType:
    path = Path(__file__).parents[1] / "unit" / "sysctl_trees.py"
    spec = importlib.util.spec_from_file_location("sysctl_trees", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_TREES = _trees()
# /lib cannot be replaced under the running programs.
_CASES = [case for case in _TREES.CASES if not any(name.split("/")[0] == "lib" for name in case.tree)]


@pytest.mark.parametrize("loader", _LOADERS)
@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_the_loader_writes_what_the_resolver_says(case: Any, loader: str, tmp_path: Path) -> None:  # noqa: ANN401 - a module loaded by path has no types
    program = _LOADERS[loader]
    if program is None or not Path("/usr/lib/sysctl.d").is_dir():
        pytest.skip(f"no loader for {loader} on this machine")
    root, out = tmp_path / "root", tmp_path / "out"
    out.mkdir()
    root.mkdir()
    _TREES.build(root, case.tree)
    for key in _KEYS:
        path = tmp_path / "sys" / sysctl_path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_UNTOUCHED)
    command = [program] if loader == "boot" else [program, "--system"]
    shell = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _SCRIPT, "sh"]
    subprocess.run([*shell, str(tmp_path), str(out), *command], check=True, timeout=20)

    resolution = resolve(root=str(root), keys=_KEYS)
    winners = resolution.boot if loader == "boot" else resolution.reload
    written = {key: (out / sysctl_path(key)).read_text().rstrip("\n") for key in _KEYS}
    expected = {key: winners[key].value if key in winners else _UNTOUCHED for key in _KEYS}
    assert written == expected, (out / "log").read_text()
