# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Libraries by the names of loaded files, and what an offender's hints and advice make of them."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.hints import add_hints, pids_worth_a_hint
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.libraries import (
    GEMS,
    LIBRARIES,
    RUBY_FILES,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.offenders import group_close_wait
from ansible_collections.lastack.linux.plugins.module_utils.observe.go_build_info import GoModule
from ansible_collections.lastack.linux.plugins.module_utils.observe.loaded_files import LoadedFiles
from ansible_collections.lastack.linux.plugins.plugin_utils.explain import load_page, page_ids
from ansible_collections.lastack.linux.plugins.plugin_utils.fleet_libraries import LibrariesMerge
from diagnose_samples import HOST, check_section, process, scan, socket
from hypothesis import given
from hypothesis import strategies as st

SITE = "/opt/venv/lib/python3.11/site-packages"
JAVA: dict[str, Any] = {
    "executable": "/usr/lib/jvm/java-17/bin/java",
    "arguments": ("java", "-jar", "/srv/shop/shop-1.2.jar"),
}
PYTHON: dict[str, Any] = {
    "executable": "/usr/bin/python3.11",
    "arguments": ("python3", "/srv/shop/sync.py", "--token", "hunter2"),
}


def loaded(**values: Any) -> LoadedFiles:  # noqa: ANN401 - any field of the record
    return LoadedFiles(9, (), (), (), ())._replace(**values)


def hinted(files: LoadedFiles | None, *, role: str = "client", redact: bool = True, **values: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    """The one offender of a process that holds leaked sockets, with hints."""
    one = process(9, **values)
    sockets = [
        socket(inode=500 + number, cookie=number, local_port=8443 if role == "server" else 40_000 + number)
        for number in range(3)
    ]
    if role == "server":
        sockets = [one._replace(remote_port=50_000 + number) for number, one in enumerate(sockets)]
    result = group_close_wait(sockets, scan({one.inode: [9] for one in sockets}), {9: one}, [], {}, {HOST: "host"})
    (offender,) = result.section["offenders"]
    assert offender["role"] == role
    assert pids_worth_a_hint([offender]) == [9]
    (offender,) = add_hints([offender], {9: files} if files else {}, {9: one}, redact=redact)
    check_section("close_wait", {**result.section, "offenders": [offender]})
    return offender


def libraries(files: LoadedFiles, **values: Any) -> list[tuple[str, str | None, str]]:  # noqa: ANN401 - any field
    found = hinted(files, **values)["hints"]["libraries"]
    return [(one["name"], one["version"], one["seen"]) for one in found]


@pytest.mark.parametrize(
    ("jar", "name", "version"),
    [
        ("/usr/share/java/httpclient-4.5.14.jar", "Apache HttpClient 4", "4.5.14"),
        ("/usr/share/java/httpclient.jar", "Apache HttpClient 4", None),
        ("/app/lib/org.apache.httpcomponents.httpclient_4.5.13.jar", "Apache HttpClient 4", "4.5.13"),
        ("/app/lib/httpclient5-5.3.1.jar", "Apache HttpClient 5", "5.3.1"),
        ("/app/lib/okhttp-4.12.0.jar", "OkHttp", "4.12.0"),
        ("/app/lib/okhttp-5.0.0-alpha.14.jar", "OkHttp", "5.0.0-alpha.14"),
        ("/app/lib/netty-transport-4.1.100.Final.jar", "Netty", "4.1.100.Final"),
        ("/app/lib/jetty-client-9.4.50.v20221201.jar", "Jetty HttpClient", "9.4.50.v20221201"),
        ("/app/lib/HikariCP-5.1.0.jar", "HikariCP", "5.1.0"),
        ("/app/lib/commons-dbcp2-2.9.0.jar", "Commons DBCP", "2.9.0"),
        ("/app/lib/c3p0-0.9.5.5.jar", "c3p0", "0.9.5.5"),
        ("/app/lib/lettuce-core-6.3.0.RELEASE.jar", "Lettuce", "6.3.0.RELEASE"),
        ("/app/lib/jedis-5.1.0.jar", "Jedis", "5.1.0"),
        ("/app/lib/mysql-connector-java-8.0.30.jar", "MySQL Connector/J", "8.0.30"),
        ("/app/lib/mysql-connector-j-8.1.0.jar", "MySQL Connector/J", "8.1.0"),
        ("/app/lib/postgresql-42.2.5.jre7.jar", "PostgreSQL JDBC driver", "42.2.5.jre7"),
        ("/app/lib/mongodb-driver-core-4.11.0.jar", "MongoDB driver", "4.11.0"),
        ("/app/lib/kafka-clients-3.6.0.jar", "Kafka client", "3.6.0"),
        ("/app/lib/reactor-netty-http-1.1.13.jar", "Reactor Netty", "1.1.13"),
    ],
)
def test_jars(jar: str, name: str, version: str | None) -> None:
    assert libraries(loaded(archives=(jar,)), **JAVA) == [(name, version, "jar")]


@pytest.mark.parametrize(
    ("path", "name", "version"),
    [
        (f"{SITE}/aiohttp/_http_parser.cpython-311-x86_64-linux-gnu.so", "aiohttp", None),
        (f"{SITE}/httptools/parser/parser.cpython-311-x86_64-linux-gnu.so", "httptools", None),
        (f"{SITE}/psycopg_binary/_psycopg.cpython-311-x86_64-linux-gnu.so", "psycopg", None),
        (f"{SITE}/psycopg_binary.libs/libpq-c0f32f75.so.5.16", "psycopg", None),
        ("/usr/lib/python3/dist-packages/psycopg2/_psycopg.cpython-311-x86_64-linux-gnu.so", "psycopg2", None),
        (f"{SITE}/grpc/_cython/cygrpc.cpython-311-x86_64-linux-gnu.so", "gRPC", None),
        ("/usr/lib/python3/dist-packages/pycurl.cpython-311-x86_64-linux-gnu.so", "pycurl", None),
        (f"{SITE}/MySQLdb/_mysql.cpython-311-x86_64-linux-gnu.so", "mysqlclient", None),
        (f"{SITE}/asyncpg/protocol/protocol.cpython-311-x86_64-linux-gnu.so", "asyncpg", None),
        (f"{SITE}/rasterio.libs/libcurl-8b1c2d.so.4.8.0", "libcurl", None),
        ("/usr/local/bundle/gems/pg-1.5.4/lib/pg_ext.so", "pg", "1.5.4"),
        ("/usr/lib/ruby/gems/3.1.0/extensions/x86_64-linux/3.1.0/mysql2-0.5.5/mysql2/mysql2.so", "mysql2", "0.5.5"),
        ("/usr/lib/x86_64-linux-gnu/ruby/vendor_ruby/3.1.0/pg_ext.so", "pg", None),
        ("/usr/lib/php/20220829/curl.so", "PHP curl", None),
        ("/usr/local/lib/php/extensions/no-debug-non-zts-20220829/redis.so", "PHP redis", None),
        ("/usr/lib/x86_64-linux-gnu/perl5/5.36/auto/DBD/Pg/Pg.so", "DBD::Pg", None),
        ("/usr/lib/x86_64-linux-gnu/libcurl-gnutls.so.4.8.0", "libcurl", None),
        ("/usr/lib/x86_64-linux-gnu/libpq.so.5.15", "libpq", None),
        ("/tmp/libnetty_transport_native_epoll_x86_6412345.so", "", None),
        ("/srv/node_modules/node-rdkafka/build/Release/node-librdkafka.node", "node-rdkafka", None),
        ("/srv/node_modules/@confluentinc/kafka-javascript/build/x.node", "confluent-kafka-javascript", None),
        ("/usr/share/dotnet/shared/Microsoft.NETCore.App/8.0.1/System.Net.Http.dll", ".NET HttpClient", None),
        (f"{SITE}/charset_normalizer/md.cpython-311-x86_64-linux-gnu.so", "", None),
        (f"{SITE}/curl/_x.cpython-311-x86_64-linux-gnu.so", "", None),
        ("/home/grpc/lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so", "", None),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", "", None),
        ("/usr/lib/x86_64-linux-gnu/libcurlish.so.4", "", None),
        ("/srv/curl.so", "", None),
    ],
)
def test_mapped_files(path: str, name: str, version: str | None) -> None:
    assert libraries(loaded(mapped=(path,)), **PYTHON) == ([(name, version, "mapped_file")] if name else [])


def test_go_modules_with_and_without_a_major_version() -> None:
    modules = (
        GoModule("example.org/shop", None),
        GoModule("github.com/jackc/pgx/v5", "v5.5.4"),
        GoModule("github.com/go-resty/resty/v2", "v2.16.5"),
        GoModule("go.etcd.io/etcd/client/v3", "v3.5.0-rc.1"),
        GoModule("google.golang.org/grpc", None),
    )
    assert libraries(loaded(go_modules=modules), executable="/srv/api", runtime="go") == [
        ("Resty (net/http)", "2.16.5", "go_module"),
        ("gRPC", None, "go_module"),
        ("pgx", "5.5.4", "go_module"),
        ("etcd client", "3.5.0-rc.1", "go_module"),
    ]


@pytest.mark.parametrize(
    ("executable", "arguments", "expected"),
    [
        ("/usr/sbin/nginx", ("nginx: worker process",), [("nginx", None, "executable")]),
        ("/usr/sbin/haproxy", ("haproxy", "-f", "x"), [("HAProxy", None, "executable")]),
        ("/usr/bin/python3", ("python3", "-m", "http.server", "80"), [("http.server", None, "script")]),
        ("/usr/bin/python3", ("python3", "/opt/venv/bin/gunicorn", "a:b"), [("Gunicorn", None, "script")]),
        ("/usr/bin/cat", ("nginx",), []),
        ("/usr/bin/python3", ("python3", "-c", "import nginx"), []),
    ],
)
def test_programs_that_are_libraries_enough(
    executable: str, arguments: tuple[str, ...], expected: list[tuple[str, None, str]]
) -> None:
    assert libraries(loaded(), executable=executable, arguments=arguments) == expected


def test_php_has_its_curl_compiled_in_or_as_a_file() -> None:
    php: dict[str, Any] = {"executable": "/usr/local/bin/php", "arguments": ("php", "/srv/shop.php")}
    image = hinted(loaded(mapped=("/usr/lib/libcurl.so.4.8.0",)), **php)
    assert [one["name"] for one in image["hints"]["libraries"]] == ["PHP curl"]
    assert image["advice"] == ["close_wait.idle_pool", "library.php_curl", "runtime.php"]
    both = loaded(mapped=("/usr/lib/php/20220829/curl.so", "/usr/lib/libcurl.so.4.8.0"))
    assert libraries(both, **php) == [("PHP curl", None, "mapped_file")]


def test_what_a_library_brings_along_is_not_named_beside_it() -> None:
    paths = ("/usr/lib/libpq.so.5.15", f"{SITE}/psycopg_c/_psycopg.cpython-311-x86_64-linux-gnu.so")
    assert libraries(loaded(mapped=paths), **PYTHON) == [("psycopg", None, "mapped_file")]
    jars = ("/a/lettuce-core-6.3.0.jar", "/a/netty-handler-4.1.1.jar", "/a/netty-transport-4.1.1.jar")
    assert libraries(loaded(archives=jars), **JAVA) == [("Lettuce", "6.3.0", "jar")]


def test_one_library_in_two_versions_is_two_and_a_nameless_copy_none() -> None:
    jars = ("/a/okhttp-4.12.0.jar", "/a/okhttp.jar", "/b/okhttp-3.13.1.jar", "/c/okhttp-4.12.0.jar")
    assert libraries(loaded(archives=jars), **JAVA) == [("OkHttp", "3.13.1", "jar"), ("OkHttp", "4.12.0", "jar")]


def test_those_with_a_remedy_come_first_and_eight_are_enough() -> None:
    jars = tuple(
        f"/a/{name}-1.0.jar"
        for name in (
            *("jedis", "postgresql", "kafka-clients", "amqp-client", "c3p0", "HikariCP", "commons-dbcp2", "redisson"),
            *("mongo-java-driver", "httpclient"),
        )
    )
    found = libraries(loaded(archives=jars), **JAVA)
    assert found[0] == ("Apache HttpClient 4", "1.0", "jar")
    assert len(found) == 8


def test_the_page_stands_between_the_finding_and_the_runtime() -> None:
    offender = hinted(loaded(archives=("/a/httpclient-4.5.14.jar",)), **JAVA)
    assert offender["advice"] == ["close_wait.idle_pool", "library.apache_httpclient4", "runtime.java"]
    assert offender["hints"]["libraries"][0]["page"] == "library.apache_httpclient4"


def test_the_page_of_a_client_is_no_remedy_for_connections_from_outside() -> None:
    jar = loaded(archives=("/a/httpclient-4.5.14.jar",))
    assert hinted(jar, role="server", **JAVA)["advice"] == ["close_wait.idle_pool", "runtime.java"]
    module: dict[str, Any] = {"executable": "/usr/bin/python3", "arguments": ("python3", "-m", "http.server")}
    assert "library.python_servers" in hinted(loaded(), role="server", **module)["advice"]
    assert "library.python_servers" not in hinted(loaded(), role="client", **module)["advice"]
    nginx: dict[str, Any] = {"executable": "/usr/sbin/nginx", "arguments": ("nginx",)}
    for role in ("client", "server"):
        assert "library.nginx" in hinted(loaded(), role=role, **nginx)["advice"]


def test_nobody_looked_is_not_nothing_found() -> None:
    offender = hinted(None, **JAVA)
    assert offender["hints"] is None
    assert offender["advice"] == ["close_wait.idle_pool", "runtime.java"]
    found = hinted(loaded(), executable="/usr/sbin/program")
    assert found["hints"] == {"libraries": [], "program": None, "log_files": []}


def test_what_runs_and_where_it_logs() -> None:
    logs = ("/var/log/shop/api.log", "/var/log/shop/error.log")
    hints = hinted(loaded(log_files=logs), **PYTHON)["hints"]
    assert hints == {"libraries": [], "program": "/srv/shop/sync.py", "log_files": list(logs)}
    assert "hunter2" not in json.dumps(hints)
    assert hinted(loaded(), **JAVA)["hints"]["program"] == "/srv/shop/shop-1.2.jar"


@pytest.mark.parametrize(
    ("arguments", "program"),
    [
        (("java", "-Dtoken=hunter2", "-cp", "/a:/b", "com.example.Main", "hunter2"), "com.example.Main"),
        (("java", "-m", "shop.api/com.example.Main"), "shop.api/com.example.Main"),
        (("java", "/srv/Shop.java", "8080"), "/srv/Shop.java"),
        (("java", "-jar", "/srv/a b@hunter2.jar"), None),
        (("java", "hunter2 hunter2"), None),
        (("java", "-jar"), None),
        ((), None),
    ],
)
def test_the_program_is_the_one_argument_that_names_it(arguments: tuple[str, ...], program: str | None) -> None:
    assert hinted(loaded(), executable="/usr/bin/java", arguments=arguments)["hints"]["program"] == program


def test_paths_are_redacted_and_cleaned() -> None:
    files = loaded(log_files=("/srv/token=hunter2/x.log", "/srv/\x1b[31m\u202e.log", "/srv/" + "x" * 400 + ".log"))
    java: dict[str, Any] = {
        "executable": "/usr/bin/java",
        "arguments": ("java", "-jar", "/srv/key-9f8a7b6c5d4e3f2a1b0c9d8e/a.jar"),
    }
    hints = hinted(files, **java)["hints"]
    assert "hunter2" not in hints["log_files"][0]
    assert hints["log_files"][1] == "/srv/\\x1b[31m\\u202e.log"
    assert len(hints["log_files"][2]) == 256
    assert "9f8a7b6c" not in hints["program"]
    assert "hunter2" in hinted(files, redact=False, **java)["hints"]["log_files"][0]


def test_three_processes_speak_for_an_application() -> None:
    workers = {pid: process(pid, **PYTHON) for pid in range(9, 15)}
    sockets = [socket(inode=pid, cookie=pid) for pid in workers]
    result = group_close_wait(sockets, scan({pid: [pid] for pid in workers}), workers, [], {}, {HOST: "host"})
    offenders = result.section["offenders"]
    pids = pids_worth_a_hint(offenders)
    assert pids == [9, 10, 11]
    files = {pid: loaded(pid=pid, log_files=(f"/srv/{pid}.log", "/srv/all.log")) for pid in pids}
    hints = add_hints(offenders, files, workers, redact=True)[0]["hints"]
    assert hints["log_files"] == ["/srv/9.log", "/srv/all.log", "/srv/10.log"]


_NAMES = st.text(alphabet="abclib-_./0129jarsovpyth@:\x1b\u202e", max_size=60)


@given(st.lists(_NAMES, max_size=5), st.lists(_NAMES, max_size=5), st.lists(st.tuples(_NAMES, _NAMES), max_size=5))
def test_no_name_does_harm(mapped: list[str], archives: list[str], modules: list[tuple[str, str]]) -> None:
    files = loaded(
        mapped=tuple(f"/x/site-packages/{name}.so" for name in mapped),
        archives=tuple(f"/{name}.jar" for name in archives),
        log_files=tuple(mapped[:3]),
        go_modules=tuple(GoModule(*pair) for pair in modules),
    )
    hints = hinted(files, **JAVA)["hints"]
    assert {one["name"] for one in hints["libraries"]} <= {library.name for library in LIBRARIES}
    assert len(json.dumps(hints)) < 4096


def test_the_table_is_sound() -> None:
    by_name: dict[str, set[str | None]] = {}
    for library in LIBRARIES:
        by_name.setdefault(library.name, set()).add(library.page)
        assert library.calls or library.serves
    assert all(len(pages) == 1 for pages in by_name.values())
    covered = set(itertools.chain.from_iterable(library.covers for library in LIBRARIES))
    assert covered <= set(by_name)
    assert set(RUBY_FILES.values()) <= set(GEMS)
    assert max(map(len, by_name)) <= 64


def test_every_page_of_the_table_exists() -> None:
    wanted = {library.page for library in LIBRARIES if library.page}
    assert not wanted - set(page_ids("library"))
    for page in wanted:
        assert load_page(page).id == page


def fleet_offender(page: str | None, *versions: str | None, advised: bool = True) -> dict[str, Any]:
    entries = [{"name": "OkHttp", "version": version, "seen": "jar", "page": page} for version in versions]
    return {"hints": {"libraries": entries}, "advice": [page] if advised and page else []}


def test_the_fleet_counts_hosts_and_versions() -> None:
    merge = LibrariesMerge()
    merge.add([fleet_offender("library.okhttp", "4.12.0", "3.13.1"), fleet_offender("library.okhttp", "4.12.0")])
    merge.add([fleet_offender("library.okhttp", "4.12.0")])
    merge.add([fleet_offender("library.okhttp", None), {"hints": None, "advice": []}, {"advice": []}])
    assert merge.result() == [
        {"name": "OkHttp", "page": "library.okhttp", "hosts": 3, "versions": ["4.12.0", "3.13.1"]}
    ]


def test_the_fleet_names_no_page_that_the_host_did_not_advise() -> None:
    merge = LibrariesMerge()
    merge.add([fleet_offender("library.okhttp", "4.12.0", advised=False)])
    assert merge.result()[0]["page"] is None


def test_a_forged_report_fills_no_memory() -> None:
    merge = LibrariesMerge()
    for host in range(50):
        entries = [
            {"name": f"lib{host}-{number}", "version": f"{number}", "seen": "jar", "page": None} for number in range(50)
        ]
        merge.add([{"hints": {"libraries": entries}, "advice": []}])
        merge.add([{"hints": {"libraries": [{**entries[0], "name": "a", "version": str(host)}]}, "advice": []}])
    found = merge.result()
    assert len(found) == 5
    assert all(len(one["versions"]) <= 3 for one in found)
