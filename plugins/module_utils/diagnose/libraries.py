# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network libraries that a host can see in a process, by the names of their files, and the pages of their remedies.

A file that is loaded is evidence of a library and never proof that the leak is its user's: the words are "loaded".
Left out on purpose: what comes along with others and says nothing (``libldap`` with libcurl, ``charset_normalizer``
with requests, but with much else too), and what is no file of its own (pure Python, npm packages, jars inside a jar).
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "ASSEMBLIES",
    "EXECUTABLES",
    "GEMS",
    "GO_MODULES",
    "HTTP_SERVER",
    "JARS",
    "LIBCURL",
    "LIBRARIES",
    "NODE_PACKAGES",
    "PERL_MODULES",
    "PHP_CURL",
    "PHP_EXTENSIONS",
    "PYTHON_PACKAGES",
    "RUBY_FILES",
    "SCRIPTS",
    "SHARED_OBJECTS",
    "Library",
]


class Library(NamedTuple):
    """A library as people call it."""

    name: str
    page: str | None = None
    """Of ``lastack explain``; ``None`` without one."""
    calls: bool = True
    """It makes connections: its page is a remedy for a client's leak."""
    serves: bool = False
    """It accepts connections: its page is a remedy for a server's leak."""
    covers: tuple[str, ...] = ()
    """Names of libraries that it brings along and that need no mention beside it."""


def _server(name: str) -> Library:
    return Library(name, calls=False, serves=True)


LIBCURL = Library("libcurl")
PHP_CURL = Library("PHP curl", "library.php_curl", covers=("libcurl",))
HTTP_SERVER = Library("http.server", "library.python_servers", calls=False, serves=True)
_LIBPQ, _MYSQL, _HIREDIS = Library("libpq"), Library("MySQL client"), Library("hiredis")
_RDKAFKA, _GRPC, _ZEROMQ, _ORACLE = Library("librdkafka"), Library("gRPC"), Library("ZeroMQ"), Library("Oracle client")
_PSYCOPG = Library("psycopg", "library.psycopg_pool", covers=("libpq",))
_PSYCOPG2 = Library("psycopg2", covers=("libpq",))
_HTTPCLIENT4 = Library("Apache HttpClient 4", "library.apache_httpclient4")
_HTTPCLIENT5 = Library("Apache HttpClient 5")
_OKHTTP = Library("OkHttp", "library.okhttp")
_NETTY = Library("Netty")
_REACTOR_NETTY = Library("Reactor Netty", covers=("Netty",))
_DBCP, _TOMCAT_JDBC, _MONGODB = Library("Commons DBCP"), Library("Tomcat JDBC pool"), Library("MongoDB driver")
_JAVA_GRPC = Library("gRPC", covers=("Netty",))
_GO_HTTP = "library.go_net_http"
_TOMCAT, _JETTY = _server("Tomcat"), _server("Jetty")

JARS = {
    "httpclient": _HTTPCLIENT4,
    "httpclient-osgi": _HTTPCLIENT4,
    "httpclient5": _HTTPCLIENT5,
    "httpasyncclient": Library("Apache HttpAsyncClient 4"),
    "commons-httpclient": Library("Apache HttpClient 3"),
    "okhttp": _OKHTTP,
    "okhttp-jvm": _OKHTTP,
    "url-connection-client": Library("AWS SDK on HttpURLConnection", "library.httpurlconnection"),
    "jetty-client": Library("Jetty HttpClient"),
    "async-http-client": Library("AsyncHttpClient", covers=("Netty",)),
    "google-http-client": Library("Google HTTP client"),
    "unirest-java": Library("Unirest"),
    "reactor-netty": _REACTOR_NETTY,
    "reactor-netty-http": _REACTOR_NETTY,
    "reactor-netty-core": _REACTOR_NETTY,
    "vertx-core": Library("Vert.x", covers=("Netty",)),
    "netty": _NETTY,
    "netty-all": _NETTY,
    "netty-transport": _NETTY,
    "netty-handler": _NETTY,
    "netty-codec-http": _NETTY,
    "HikariCP": Library("HikariCP"),
    "commons-dbcp2": _DBCP,
    "commons-dbcp": _DBCP,
    "tomcat-dbcp": _DBCP,
    "tomcat-jdbc": _TOMCAT_JDBC,
    "c3p0": Library("c3p0"),
    "druid": Library("Druid pool"),
    "lettuce-core": Library("Lettuce", covers=("Netty",)),
    "jedis": Library("Jedis"),
    "redisson": Library("Redisson", covers=("Netty",)),
    "mysql-connector-j": Library("MySQL Connector/J"),
    "mysql-connector-java": Library("MySQL Connector/J"),
    "mariadb-java-client": Library("MariaDB Connector/J"),
    "postgresql": Library("PostgreSQL JDBC driver"),
    "ojdbc8": Library("Oracle JDBC driver"),
    "ojdbc10": Library("Oracle JDBC driver"),
    "ojdbc11": Library("Oracle JDBC driver"),
    "mssql-jdbc": Library("SQL Server JDBC driver"),
    "mongodb-driver-core": _MONGODB,
    "mongodb-driver-sync": _MONGODB,
    "mongo-java-driver": _MONGODB,
    "java-driver-core": Library("Cassandra driver", covers=("Netty",)),
    "kafka-clients": Library("Kafka client"),
    "amqp-client": Library("RabbitMQ client"),
    "grpc-core": _JAVA_GRPC,
    "grpc-netty": _JAVA_GRPC,
    "grpc-netty-shaded": _JAVA_GRPC,
    "catalina": _TOMCAT,
    "tomcat-embed-core": _TOMCAT,
    "jetty-server": _JETTY,
    "undertow-core": _server("Undertow"),
}
"""By artifact, the jar's name without its version."""

PYTHON_PACKAGES = {
    "aiohttp": Library("aiohttp", "library.aiohttp"),
    "psycopg_binary": _PSYCOPG,
    "psycopg_c": _PSYCOPG,
    "psycopg2": _PSYCOPG2,
    "psycopg2_binary": _PSYCOPG2,
    "asyncpg": Library("asyncpg"),
    "pycurl": Library("pycurl", covers=("libcurl",)),
    "grpc": _GRPC,
    "MySQLdb": Library("mysqlclient", covers=("MySQL client",)),
    "_mysql_connector": Library("MySQL Connector/Python", covers=("MySQL client",)),
    "mysql": Library("MySQL Connector/Python", covers=("MySQL client",)),
    "pymssql": Library("pymssql"),
    "oracledb": Library("python-oracledb", covers=("Oracle client",)),
    "cx_Oracle": Library("cx_Oracle", covers=("Oracle client",)),
    "pymongo": Library("PyMongo"),
    "cassandra": Library("Cassandra driver"),
    "clickhouse_driver": Library("clickhouse-driver"),
    "confluent_kafka": Library("confluent-kafka", covers=("librdkafka",)),
    "aiokafka": Library("aiokafka"),
    "hiredis": _HIREDIS,
    "zmq": Library("PyZMQ", covers=("ZeroMQ",)),
    "gevent": Library("gevent", serves=True),
    "httptools": _server("httptools"),
}
"""Packages with compiled modules, by the folder or file below ``site-packages``."""

GEMS = {
    "pg": Library("pg", covers=("libpq",)),
    "mysql2": Library("mysql2", covers=("MySQL client",)),
    "curb": Library("curb", covers=("libcurl",)),
    "llhttp-ffi": Library("http.rb"),
    "eventmachine": Library("EventMachine", serves=True),
    "grpc": _GRPC,
    "hiredis": _HIREDIS,
    "hiredis-client": _HIREDIS,
    "bson": _MONGODB,
    "puma": _server("Puma"),
    "unicorn": _server("Unicorn"),
    "thin": _server("Thin"),
}
"""Ruby gems with compiled extensions."""

RUBY_FILES = {"pg_ext": "pg", "mysql2": "mysql2", "curb_core": "curb", "puma_http11": "puma", "unicorn_http": "unicorn"}
"""Gems by the file that a distribution's package puts into ``vendor_ruby``."""

PHP_EXTENSIONS = {
    "curl": PHP_CURL,
    "pgsql": Library("PHP pgsql", covers=("libpq",)),
    "pdo_pgsql": Library("PHP pgsql", covers=("libpq",)),
    "mysqlnd": Library("PHP mysqlnd"),
    "redis": Library("PHP redis"),
    "memcached": Library("PHP memcached", covers=("libmemcached",)),
    "mongodb": Library("PHP mongodb"),
    "grpc": _GRPC,
    "amqp": Library("PHP amqp", covers=("librabbitmq",)),
    "rdkafka": Library("PHP rdkafka", covers=("librdkafka",)),
    "swoole": Library("Swoole", serves=True),
    "openswoole": Library("Swoole", serves=True),
}

PERL_MODULES = {
    "DBD::Pg": Library("DBD::Pg", covers=("libpq",)),
    "DBD::mysql": Library("DBD::mysql", covers=("MySQL client",)),
    "DBD::Oracle": Library("DBD::Oracle", covers=("Oracle client",)),
    "WWW::Curl": Library("WWW::Curl", covers=("libcurl",)),
    "Net::Curl": Library("Net::Curl", covers=("libcurl",)),
}

NODE_PACKAGES = {
    "pg-native": Library("pg-native", covers=("libpq",)),
    "libpq": Library("pg-native", covers=("libpq",)),
    "oracledb": Library("node-oracledb", covers=("Oracle client",)),
    "ibm_db": Library("ibm_db"),
    "msnodesqlv8": Library("msnodesqlv8"),
    "couchbase": Library("Couchbase SDK"),
    "node-rdkafka": Library("node-rdkafka", covers=("librdkafka",)),
    "@confluentinc/kafka-javascript": Library("confluent-kafka-javascript", covers=("librdkafka",)),
    "zeromq": Library("ZeroMQ.js", covers=("ZeroMQ",)),
    "node-libcurl": Library("node-libcurl", covers=("libcurl",)),
    "grpc": _GRPC,
    "uWebSockets.js": _server("uWebSockets.js"),
}
"""npm packages with compiled add-ons; the others are text that Node closes after reading."""

SHARED_OBJECTS = {
    "curl": LIBCURL,
    "pq": _LIBPQ,
    "mysqlclient": _MYSQL,
    "mariadb": _MYSQL,
    "hiredis": _HIREDIS,
    "memcached": Library("libmemcached"),
    "rdkafka": _RDKAFKA,
    "rabbitmq": Library("librabbitmq"),
    "mongoc": Library("libmongoc"),
    "zmq": _ZEROMQ,
    "grpc": _GRPC,
    "grpc++": _GRPC,
    "clntsh": _ORACLE,
    "sybdb": Library("FreeTDS"),
    "cassandra": Library("Cassandra driver"),
    "nats": Library("NATS client"),
    "soup": Library("libsoup"),
    "neon": Library("neon"),
    "serf": Library("Serf"),
    "cpprest": Library("C++ REST SDK"),
    "PocoNet": Library("POCO Net"),
    "Qt5Network": Library("Qt Network"),
    "Qt6Network": Library("Qt Network"),
    "netty_transport_native_epoll_x86_64": _NETTY,
    "netty_transport_native_epoll_aarch_64": _NETTY,
}
"""By the name between ``lib`` and the first dot or hyphen."""

ASSEMBLIES = {
    "System.Net.Http": Library(".NET HttpClient"),
    "Npgsql": Library("Npgsql"),
    "MySqlConnector": Library("MySqlConnector"),
    "MySql.Data": Library("MySQL Connector/NET"),
    "Microsoft.Data.SqlClient": Library("Microsoft.Data.SqlClient"),
    "System.Data.SqlClient": Library("System.Data.SqlClient"),
    "StackExchange.Redis": Library("StackExchange.Redis"),
    "RabbitMQ.Client": Library("RabbitMQ client"),
    "MongoDB.Driver": _MONGODB,
    "Grpc.Net.Client": _GRPC,
    "RestSharp": Library("RestSharp", covers=(".NET HttpClient",)),
}

GO_MODULES = {
    "github.com/go-resty/resty": Library("Resty (net/http)", _GO_HTTP),
    "github.com/hashicorp/go-retryablehttp": Library("go-retryablehttp (net/http)", _GO_HTTP),
    "github.com/hashicorp/go-cleanhttp": Library("go-cleanhttp (net/http)", _GO_HTTP),
    "github.com/imroc/req": Library("req (net/http)", _GO_HTTP),
    "github.com/dghubble/sling": Library("sling (net/http)", _GO_HTTP),
    "github.com/aws/aws-sdk-go": Library("AWS SDK (net/http)"),
    "github.com/aws/aws-sdk-go-v2": Library("AWS SDK (net/http)"),
    "github.com/elastic/go-elasticsearch": Library("go-elasticsearch (net/http)"),
    "github.com/valyala/fasthttp": Library("fasthttp", serves=True),
    "google.golang.org/grpc": Library("gRPC", serves=True),
    "github.com/gorilla/websocket": Library("Gorilla WebSocket", serves=True),
    "github.com/jackc/pgx": Library("pgx"),
    "github.com/lib/pq": Library("lib/pq"),
    "github.com/go-sql-driver/mysql": Library("Go MySQL driver"),
    "github.com/redis/go-redis": Library("go-redis"),
    "github.com/go-redis/redis": Library("go-redis"),
    "github.com/gomodule/redigo": Library("Redigo"),
    "go.mongodb.org/mongo-driver": _MONGODB,
    "github.com/segmentio/kafka-go": Library("kafka-go"),
    "github.com/IBM/sarama": Library("Sarama"),
    "github.com/Shopify/sarama": Library("Sarama"),
    "github.com/rabbitmq/amqp091-go": Library("amqp091-go"),
    "github.com/nats-io/nats.go": Library("NATS client"),
    "go.etcd.io/etcd/client/v3": Library("etcd client"),
}
"""By module path, without the major version at its end where that is not part of the name here."""

EXECUTABLES = {
    "nginx": Library("nginx", "library.nginx", serves=True),
    "haproxy": Library("HAProxy", "library.haproxy", serves=True),
    "envoy": Library("Envoy", serves=True),
    "squid": Library("Squid", serves=True),
    "apache2": Library("Apache httpd", serves=True),
    "httpd": Library("Apache httpd", serves=True),
    "lighttpd": Library("lighttpd", serves=True),
    "varnishd": Library("Varnish", serves=True),
}

SCRIPTS = {
    "http.server": HTTP_SERVER,
    "gunicorn": _server("Gunicorn"),
    "uvicorn": _server("Uvicorn"),
    "hypercorn": _server("Hypercorn"),
    "celery": Library("Celery"),
    "puma": GEMS["puma"],
    "unicorn": GEMS["unicorn"],
    "sidekiq": Library("Sidekiq"),
}
"""Modules and console scripts, by what the interpreter was told to run."""

_TABLES: tuple[dict[str, Library], ...] = (
    *(JARS, PYTHON_PACKAGES, GEMS, PHP_EXTENSIONS, PERL_MODULES, NODE_PACKAGES, ASSEMBLIES, GO_MODULES, EXECUTABLES),
    *(SCRIPTS, SHARED_OBJECTS),
)
LIBRARIES: tuple[Library, ...] = tuple(dict.fromkeys(library for table in _TABLES for library in table.values()))
"""All of them, in the order in which they are named."""
