# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Identity: the same name on every host, by the first rule that applies, and never a secret of the command line."""

from __future__ import annotations

import re
import string
from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.identity import UNKNOWN_APP, Identity, identify
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.workload import image_name, unit_of
from diagnose_samples import process
from hypothesis import example, given
from hypothesis import strategies as st

_ID = "3f1b2c4d5e6f" + "a1" * 26


def _named(executable: str, *arguments: str, **values: Any) -> Identity:  # noqa: ANN401 - any field of the record
    return identify(process(executable=executable, arguments=arguments, **values))


def test_a_title_of_another_runtime_is_anybodys_words() -> None:
    assert "hunter2" not in str(_named("/usr/bin/python3", "php-fpm: pool hunter2"))
    assert "hunter2" not in str(_named("/usr/bin/node", "puma 5.6.4 (tcp://0.0.0.0:3000) [hunter2]"))


def test_go_is_known_by_its_heap() -> None:
    gateway = process(executable="/opt/gateway", arguments=("gateway", "--token", "t"), runtime="go")
    assert (identify(gateway).app, identify(gateway).runtime) == ("gateway", "go")


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("/system.slice/nginx.service", "nginx.service"),
        ("/system.slice/system-worker.slice/worker@3.service", "worker@.service"),
        ("/system.slice/worker@10.0.0.1-8080.service/child", "worker@.service"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/mine.service", "mine.service"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox-123.scope", None),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", None),
        ("/user.slice/user-1000.slice/session-3.scope", None),
        ("/system.slice/batch.scope", "batch.scope"),
        ("/system.slice/run-u123.service", None),
        ("/system.slice/run-r5f0c9a.scope", None),
        ("/system.slice/dbus-:1.3-org.example.Thing@0.service", "dbus-org.example.Thing@.service"),
        *((f"/system.slice/{name}.service", None) for name in ("cron", "crond", "ssh", "sshd", "docker", "containerd")),
        *((f"/system.slice/{name}.service", None) for name in ("supervisor", "systemd-logind", "pm2-deploy")),
        ("/system.slice/sshd@4-10.0.0.1:22-10.0.0.2:5000.service", None),
        ("/system.slice/ev il\x1b.service", None),
        ("/", None),
        (None, None),
    ],
)
def test_unit(cgroup: str | None, unit: str | None) -> None:
    assert unit_of(cgroup) == unit
    identity = identify(process(cgroup=cgroup))
    assert (identity.app, identity.kind) == ((unit, "unit") if unit else ("program", "executable"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"container_name": "checkout", "container_id": _ID}, ("checkout", "container", _ID[:12])),
        ({"container_id": _ID, "container_image": "registry:5000/acme/pay:1.2"}, ("pay", "container", _ID[:12])),
        ({"container_id": _ID, "container_image": "sha256:" + "ab" * 32}, ("program", "executable", _ID[:12])),
        ({"container_id": _ID}, ("program", "executable", _ID[:12])),
        ({"container_name": "web"}, ("web", "container", "web")),
        ({"cgroup": f"/system.slice/docker-{_ID}.scope"}, ("program", "executable", None)),
        ({"cgroup": f"/kubepods/burstable/pod1/{_ID}/system.slice/x.service"}, ("program", "executable", None)),
    ],
)
def test_container(values: dict[str, Any], expected: tuple[str, str, str | None]) -> None:
    identity = identify(process(**values))
    assert (identity.app, identity.kind, identity.container) == expected
    assert identity.unit is None


def test_an_id_is_never_an_image_name() -> None:
    assert image_name("sha256:" + "ab" * 32) is None
    assert image_name("acme/pay@sha256:" + "ab" * 32) == "pay"


@pytest.mark.parametrize(
    ("executable", "arguments", "app", "runtime"),
    [
        (
            "/usr/bin/node",
            "node -r x --inspect=0.0.0.0:9229 /srv/checkout/server.js --key k",
            "checkout/server.js",
            "node",
        ),
        ("/usr/bin/nodejs", "nodejs worker-thing.mjs", "worker-thing.mjs", "node"),
        ("/usr/bin/node", "node -e require('x')", "node", "node"),
        ("/usr/bin/node", "node", "node", "node"),
        ("/usr/bin/node", "node https://internal-host/main.js", "node", "node"),
        ("/usr/bin/node", "node /home/alice/app.js", "app.js", "node"),
        ("/usr/bin/node", "node /srv/shop/releases/20240101120000/index.js", "shop/index.js", "node"),
        ("/usr/bin/python3.11", "python3 -W ignore -X dev /opt/x/ledger.py", "ledger.py", "python"),
        ("/usr/bin/python3.9", "python3 -u -m http.server 8000", "http.server", "python"),
        ("/usr/bin/python3.9", "python3 -um uvicorn shop:app", "uvicorn", "python"),
        ("/usr/bin/python3", "/usr/bin/python3 /usr/local/bin/celery -A shop worker", "celery", "python"),
        ("/usr/bin/python3", "python3 -c import-os", "python", "python"),
        ("/usr/bin/python3", "python3 -Ic import-os", "python", "python"),
        ("/usr/bin/python3", "python3 /tmp/pip-build-x1/setup.py", "setup.py", "python"),
        ("/usr/bin/pypy3.10", "pypy3 job.py", "job.py", "python"),
        ("/opt/jdk/bin/java", "java -Xmx1g -cp a.jar:b.jar -Dk=v com.acme.shop.Main run", "com.acme.shop.Main", "java"),
        ("/opt/jdk/bin/java", "java -jar /opt/checkout-api-1.4.2-SNAPSHOT.jar --port 1", "checkout-api.jar", "java"),
        ("/opt/jdk/bin/java", "java --module-path m -m com.acme/com.acme.Main", "com.acme", "java"),
        ("/opt/jdk/bin/java", "java --add-opens java.base/x=ALL Main", "Main", "java"),
        ("/opt/jdk/bin/java", "java -cp only", "java", "java"),
        ("/usr/bin/ruby3.1", "ruby -I lib -r bundler /srv/shop/worker-loop.rb", "worker-loop.rb", "ruby"),
        ("/usr/bin/php8.2", "php -d memory_limit=1G -f /srv/shop/queue.php", "queue.php", "php"),
        ("/usr/bin/php8.2", "php -S 0.0.0.0:8000 router.php", "php", "php"),
        ("/usr/bin/perl", "perl -MFoo -w /opt/x/relay.pl", "relay.pl", "native"),
        ("/usr/bin/bash", "bash -euo pipefail /opt/jobs/sync.sh", "sync.sh", "native"),
        ("/usr/bin/bash", "bash -lc something", "bash", "native"),
        ("/usr/bin/dotnet", "dotnet /app/Acme.Api.dll --urls x", "Acme.Api.dll", "native"),
        ("/usr/sbin/nginx", "nginx -g daemon", "nginx", "native"),
        ("/opt/checkout/gateway", "gateway --token t", "gateway", "native"),
        ("/tmp/xyz123/tmpab12cd", "x", "unknown program", "native"),
    ],
)
def test_program(executable: str, arguments: str, app: str, runtime: str) -> None:
    comm = executable.rsplit("/", 1)[-1]
    identity = _named(executable, *arguments.split(" "), comm=comm)
    assert (identity.app, identity.runtime) == (app, runtime)


@pytest.mark.parametrize(
    ("executable", "title", "app"),
    [
        ("/usr/bin/python3", "gunicorn: master [shop.wsgi:application]", "gunicorn:shop.wsgi"),
        ("/usr/bin/python3", "gunicorn: worker [shop.wsgi:application]", "gunicorn:shop.wsgi"),
        ("/usr/bin/python3", "[celeryd: celery@web-17:MainProcess] -active- (worker)", "celery"),
        ("/usr/bin/ruby", "puma 5.6.4 (tcp://0.0.0.0:3000) [shop]", "puma:shop"),
        ("/usr/bin/ruby", "puma: cluster worker 0: 4141 [shop]", "puma:shop"),
        ("/usr/bin/ruby", "sidekiq 6.5.0 shop [0 of 10 busy]", "sidekiq:shop"),
        ("/usr/sbin/php-fpm8.2", "php-fpm: pool www", "php-fpm:www"),
        ("/usr/bin/python3", "my own title --password hunter2", "python"),
    ],
)
def test_titles(executable: str, title: str, app: str) -> None:
    assert _named(executable, title).app == app


@pytest.mark.parametrize(
    ("executable", "comm", "expected"),
    [
        (None, "nginx", ("nginx", "executable", None)),
        (None, "python3", ("python", "executable", "python")),
        (None, "ev\x1b[31mil", (UNKNOWN_APP, "unknown", None)),
        (None, None, (UNKNOWN_APP, "unknown", None)),
        ("/opt/we ird\n", "fine", ("fine", "executable", "native")),
        ("/opt/relay-20240101", "relay", ("relay", "executable", "native")),
    ],
)
def test_where_the_executable_tells_little(
    executable: str | None, comm: str | None, expected: tuple[str, str, str | None]
) -> None:
    identity = identify(process(executable=executable, comm=comm, arguments=None))
    assert (identity.app, identity.kind, identity.runtime) == expected


_SECRET = st.text(string.ascii_letters + string.digits, min_size=5, max_size=40).map(lambda text: "Zq9" + text)
_SHAPES = (
    "{}",
    "--password={}",
    "-p{}",
    "https://user:{}@host/path",
    "https://host/x.py?token={}",
    "postgres://app:{}@db/x",
    "user:{}@host",
    "token={}",
    "Bearer {}",
    "-Dpassword={}",
    "--token {}",
)
_COMMANDS = (
    ("/usr/bin/python3", ["python3", "-W", "ignore", "/opt/shop/ledger.py", "serve"]),
    ("/usr/bin/python3", ["python3", "-m", "http.server", "8000"]),
    ("/usr/bin/node", ["node", "--inspect", "-r", "x", "server.js", "serve"]),
    ("/usr/bin/ruby", ["ruby", "-I", "lib", "shop.rb", "serve"]),
    ("/usr/bin/perl", ["perl", "-w", "shop.pl", "serve"]),
    ("/usr/bin/php", ["php", "-d", "a=b", "shop.php", "serve"]),
    ("/usr/bin/bash", ["bash", "-eu", "shop.sh", "serve"]),
    ("/usr/bin/dotnet", ["dotnet", "shop.dll", "serve"]),
    ("/opt/checkout/gateway", ["gateway", "serve"]),
)


@given(st.sampled_from(_COMMANDS), st.sampled_from(_SHAPES), _SECRET, st.data())
def test_no_secret_in_any_argument_position_is_ever_part_of_an_identity(
    command: tuple[str, list[str]], shape: str, secret: str, data: st.DataObject
) -> None:
    executable, arguments = command
    # A module's name is whatever follows -m; nobody can put a secret there and have Python start.
    positions = [at for at in range(len(arguments) + 1) if at == 0 or arguments[at - 1] != "-m"]
    at = data.draw(st.sampled_from(positions))
    words = [*arguments[:at], shape.format(secret), *arguments[at:]]
    identity = _named(executable, *words)
    assert not [field for field in identity if field and secret in field]


@given(st.sampled_from(_SHAPES), _SECRET, st.integers(1, 6))
def test_no_secret_among_the_arguments_of_java_is_ever_part_of_an_identity(shape: str, secret: str, at: int) -> None:
    words = ["java", "-cp", "a.jar", "-Xmx1g", "com.acme.Main", "serve", "now"]
    text = shape.format(secret)
    if at == 1 or (at in (3, 4) and shape == "{}"):
        text = f"-Dpassword={secret}"  # a bare word before the class would be the class
    identity = _named("/usr/bin/java", *words[:at], text, *words[at:])
    assert not [field for field in identity if field and secret in field]


@given(st.lists(st.text(max_size=40), max_size=8), st.sampled_from([one[0] for one in _COMMANDS] + ["/usr/bin/java"]))
@example(["-m"], "/usr/bin/python3")
@example(["-jar"], "/usr/bin/java")
def test_any_command_line_gives_a_plain_name(arguments: list[str], executable: str) -> None:
    identity = _named(executable, *arguments)
    assert re.fullmatch(r"[A-Za-z0-9_.+$:/-]{1,130}( program)?", identity.app)


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60), st.text(max_size=200))
def test_hostile_names_come_out_clean(comm: str, name: str, image: str, cgroup: str) -> None:
    identity = identify(
        process(comm=comm, executable=f"/x/{comm}", container_name=name, container_image=image, cgroup=cgroup)
    )
    for field in identity:
        assert field is None or field.isprintable()
    assert identity.app
