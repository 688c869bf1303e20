# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host keys and logins of a sweep against real sshds, with the verdicts of OpenSSH's own ssh beside them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import real_sshd
from ansible_collections.lastack.linux.sweep.client_keys import (
    AuthenticationError,
    forget_keys,
    locked_files,
    unlock,
)
from ansible_collections.lastack.linux.sweep.connect import open_connection
from ansible_collections.lastack.linux.sweep.host_keys import HostKeyError, HostKeyVerdict
from ansible_collections.lastack.linux.sweep.lifeline import Lifeline
from ansible_collections.lastack.linux.sweep.ssh_settings import SshSettings
from real_sshd import PASSWORD, USER, Sshd, keygen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(bool(real_sshd.why_not()), reason=real_sshd.why_not() or "it can run"),
]

LIFE_S = 40.0
TYPES = ("ed25519", "rsa", "ecdsa")


class Place(NamedTuple):
    """The keys, and the sshds by name."""

    folder: Path
    sshds: dict[str, Sshd]

    def public(self, name: str) -> str:
        return " ".join((self.folder / f"{name}.pub").read_text(encoding="ascii").split()[:2])


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    # Short: an agent's socket may have 107 characters (unix(7)).
    folder = Path(tempfile.mkdtemp(prefix="lastack-", dir="/tmp"))
    try:
        for name in TYPES:
            keygen("-q", "-t", name, "-N", "", "-C", name, "-f", folder / f"host_{name}")
            keygen("-q", "-t", name, "-N", "", "-C", name, "-f", folder / f"user_{name}")
        for name in ("authority", "stranger", "user_authority", "certified", "expired"):
            keygen("-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name)
        keygen("-q", "-t", "ed25519", "-N", "a passphrase", "-C", "locked", "-f", folder / "locked")
        for name in ("host_ed25519", "host_rsa"):
            keygen(
                "-q",
                "-s",
                folder / "authority",
                "-I",
                "x",
                "-h",
                "-n",
                "127.0.0.1,web-1,*.example.org",
                folder / f"{name}.pub",
            )
        keygen(
            *("-q", "-s", folder / "authority", "-I", "x", "-h", "-n", "127.0.0.1", "-V", "20200101:20210101"),
            folder / "expired.pub",
        )
        keygen("-q", "-s", folder / "user_authority", "-I", "x", "-n", USER, folder / "certified.pub")
        allowed = "".join(
            (folder / f"{name}.pub").read_text() for name in ("user_ed25519", "user_rsa", "user_ecdsa", "locked")
        )
        (folder / "allowed").write_text(allowed, encoding="ascii")
        users = [
            f"AuthorizedKeysFile {folder}/allowed",
            f"TrustedUserCAKeys {folder}/user_authority.pub",
            "PasswordAuthentication yes",
        ]
        certificates = [f"HostCertificate {folder}/host_{name}-cert.pub" for name in ("ed25519", "rsa")]
        every = [f"HostKey {folder}/host_{name}" for name in TYPES]
        configurations = {
            "good": [*every, *certificates, *users],
            "rsa": [f"HostKey {folder}/host_rsa", *users],
            "expired": [f"HostKey {folder}/expired", f"HostCertificate {folder}/expired-cert.pub", *users],
            "both": [*every, "AuthenticationMethods publickey,password", *users],
        }
        with ExitStack() as stack:
            yield Place(
                folder, {name: stack.enter_context(Sshd(folder, name, lines)) for name, lines in configurations.items()}
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _no_keys_of_another_test() -> Iterator[None]:
    yield
    forget_keys()


class Known(NamedTuple):
    """What is known of a host, what is wanted, and whether its key is taken."""

    lines: str
    """NAME, PORTLESS and the names of keys in braces are filled in."""
    taken: bool
    options: dict[str, str] = {}  # noqa: RUF012 - never changed
    sshd: str = "good"


KNOWN = {
    "nothing": Known("", taken=False),
    "nothing, accept-new": Known("", taken=True, options={"StrictHostKeyChecking": "accept-new"}),
    "nothing, no": Known("", taken=True, options={"StrictHostKeyChecking": "no"}),
    "ed25519": Known("{name} {host_ed25519}", taken=True),
    "rsa": Known("{name} {host_rsa}", taken=True),
    "ecdsa": Known("{name} {host_ecdsa} a comment", taken=True),
    "among others": Known("# {name} {stranger}\n\nnonsense\nx,{name},y {host_rsa}", taken=True),
    "a right one after a wrong one": Known("{name} {stranger}\n{name} {host_ed25519}", taken=True),
    "without the port": Known("127.0.0.1 {host_ed25519}", taken=True),
    "another one without the port": Known("127.0.0.1 {stranger}", taken=False),
    "another port": Known("[127.0.0.1]:1 {host_ed25519}", taken=False),
    "a pattern": Known("[127.*]:* {host_ed25519}", taken=True),
    "but not": Known("[127.*]:*,!{name} {host_ed25519}", taken=False),
    "changed": Known("{name} {stranger}", taken=False),
    "changed, accept-new": Known("{name} {stranger}", taken=False, options={"StrictHostKeyChecking": "accept-new"}),
    "changed, no": Known("{name} {stranger}", taken=True, options={"StrictHostKeyChecking": "no"}),
    "of another type": Known("{name} {host_ed25519}", taken=False, sshd="rsa"),
    "of another type, accept-new": Known(
        "{name} {host_ed25519}", taken=False, sshd="rsa", options={"StrictHostKeyChecking": "accept-new"}
    ),
    "authority": Known("@cert-authority {name} {authority}", taken=True),
    "authority without the port": Known("@cert-authority 127.0.0.1 {authority}", taken=True),
    "authority, rsa": Known(
        "@cert-authority * {authority}",
        taken=True,
        options={"HostKeyAlgorithms": "rsa-sha2-512-cert-v01@openssh.com"},
    ),
    "another authority": Known("@cert-authority * {stranger}", taken=False),
    "an authority as a key": Known("{name} {authority}", taken=False),
    "a key as an authority": Known("@cert-authority * {host_ed25519}", taken=False),
    "authority, name that it names": Known(
        "@cert-authority web-1 {authority}", taken=True, options={"HostKeyAlias": "web-1"}
    ),
    "authority, name that it does not name": Known(
        "@cert-authority * {authority}", taken=False, options={"HostKeyAlias": "db-1"}
    ),
    "authority, a name is no pattern": Known(
        "@cert-authority * {authority}", taken=False, options={"HostKeyAlias": "db.example.org"}
    ),
    "authority, wrong name but known": Known(
        "@cert-authority * {authority}\ndb-1 {host_ed25519}", taken=True, options={"HostKeyAlias": "db-1"}
    ),
    "authority, expired": Known("@cert-authority * {authority}", taken=False, sshd="expired"),
    "authority, expired, accept-new": Known(
        "@cert-authority * {authority}", taken=True, sshd="expired", options={"StrictHostKeyChecking": "accept-new"}
    ),
    "authority, expired but known": Known(
        "@cert-authority * {authority}\n{name} {expired}", taken=True, sshd="expired"
    ),
    "authority that signs as is not allowed": Known(
        "@cert-authority * {authority}", taken=False, options={"CASignatureAlgorithms": "rsa-sha2-512"}
    ),
    "revoked": Known("{name} {host_ed25519}\n@revoked * {host_ed25519}", taken=False),
    "revoked, no": Known(
        "{name} {host_ed25519}\n@revoked * {host_ed25519}", taken=True, options={"StrictHostKeyChecking": "no"}
    ),
    "revoked elsewhere": Known("{name} {host_ed25519}\n@revoked web-1 {host_ed25519}", taken=True),
    "revoked authority": Known("@cert-authority * {authority}\n@revoked * {authority}", taken=False),
    "revoked, though certified": Known("@cert-authority * {authority}\n@revoked * {host_ed25519}", taken=False),
    "unknown marker": Known("@trusted {name} {host_ed25519}", taken=False),
    "in the list of revoked keys": Known(
        "{name} {host_ed25519}", taken=False, options={"RevokedHostKeys": "{folder}/host_ed25519.pub"}
    ),
    "in the list of revoked keys, no": Known(
        "{name} {host_ed25519}",
        taken=False,
        options={"RevokedHostKeys": "{folder}/host_ed25519.pub", "StrictHostKeyChecking": "no"},
    ),
    "not in the list of revoked keys": Known(
        "{name} {host_ed25519}", taken=True, options={"RevokedHostKeys": "{folder}/stranger.pub"}
    ),
    "no list of revoked keys": Known(
        "{name} {host_ed25519}", taken=False, options={"RevokedHostKeys": "{folder}/missing"}
    ),
    "short": Known("{name} {host_rsa}", taken=False, sshd="rsa", options={"RequiredRSASize": "4096"}),
}

FIELDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "StrictHostKeyChecking": ("strict", str),
    "HostKeyAlias": ("host_key_alias", str),
    "HostKeyAlgorithms": ("host_key_algorithms", lambda text: (text,)),
    "CASignatureAlgorithms": ("ca_signature_algorithms", lambda text: (text,)),
    "RevokedHostKeys": ("revoked_host_keys", str),
    "RequiredRSASize": ("required_rsa_bits", int),
}


def settings_of(place: Place, sshd: str, known: Path, **more: Any) -> SshSettings:  # noqa: ANN401 - any setting
    given = {"identity_files": (str(place.folder / "user_ed25519"),), "user_known_hosts": (str(known),), **more}
    return SshSettings("web-1", "127.0.0.1", port=place.sshds[sshd].port, user=USER, **given)


def opened(settings: SshSettings, password: str | None = None) -> HostKeyVerdict:
    """Log in, run something, and return why the host's key was taken."""
    lifeline = Lifeline(LIFE_S)
    try:
        sock = socket.create_connection((settings.hostname, settings.port), LIFE_S)
        lifeline.hold(sock)
        connection = open_connection(settings, sock, lifeline, password)
        assert connection.run("echo here", hide=True, in_stream=False).stdout == "here\n"
        return connection.verdict
    finally:
        lifeline.let_go()


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
def test_the_verdict_on_a_host_key_is_that_of_ssh(place: Place, tmp_path: Path, known: Known) -> None:
    name = known.options.get("HostKeyAlias", f"[127.0.0.1]:{place.sshds[known.sshd].port}")
    keys = {path.stem: place.public(path.stem) for path in place.folder.glob("*.pub") if "-cert" not in path.name}
    text = known.lines.format(name=name, **keys) + "\n"
    options = {option: value.format(folder=place.folder) for option, value in known.options.items()}
    files = [tmp_path / "ours", tmp_path / "theirs"]
    for file in files:
        file.write_text(text, encoding="ascii")
    fixed = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(files[1]),
        "GlobalKnownHostsFile": "/dev/null",
        "UpdateHostKeys": "no",
        "IdentityFile": str(place.folder / "user_ed25519"),
        "IdentitiesOnly": "yes",
        **options,
    }
    arguments = [word for option, value in fixed.items() for word in ("-o", f"{option}={value}")]
    port = str(place.sshds[known.sshd].port)
    theirs = subprocess.run(
        ["ssh", "-F", "/dev/null", *arguments, "-p", port, f"{USER}@127.0.0.1", "true"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIFE_S,
        check=False,
        env={**os.environ, "SSH_AUTH_SOCK": ""},
    )
    settings = settings_of(place, known.sshd, files[0])
    settings = settings._replace(**{FIELDS[name][0]: FIELDS[name][1](value) for name, value in options.items()})
    try:
        opened(settings)
        taken, reason = True, ""
    except HostKeyError as error:
        taken, reason = False, str(error)
    assert (taken, theirs.returncode == 0) == (known.taken, known.taken), reason + theirs.stderr
    # What is new is kept in the same line.
    assert files[0].read_text(encoding="ascii") == files[1].read_text(encoding="ascii")
    if not taken:
        assert "SHA256:" in reason or "RequiredRSASize" in reason


def test_a_wrong_key_that_may_pass_gets_no_password(place: Place, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{place.sshds['good'].port} {place.public('stranger')}\n", encoding="ascii")
    settings = settings_of(place, "good", known, strict="no", identity_files=(), methods=("publickey", "password"))
    with pytest.raises(AuthenticationError, match="there was no key to show"):
        opened(settings, PASSWORD)
    verdict = opened(settings._replace(identity_files=(str(place.folder / "user_rsa"),)), PASSWORD)
    assert not verdict.secrets_allowed
    assert "has changed" in verdict.doubt


def test_many_hosts_add_their_keys_at_once(place: Place, tmp_path: Path) -> None:
    known = tmp_path / "new" / "known_hosts"
    every = [settings_of(place, "good", known, strict="accept-new", host_key_alias=f"web-{n % 4}") for n in range(12)]
    every = [one._replace(hash_known_hosts=number % 2 == 0) for number, one in enumerate(every)]
    with ThreadPoolExecutor(12) as pool:
        verdicts = list(pool.map(opened, every))
    assert all(verdict.secrets_allowed for verdict in verdicts)
    assert len(known.read_text(encoding="ascii").splitlines()) == 4
    assert known.stat().st_mode & 0o777 == 0o600
    assert known.parent.stat().st_mode & 0o777 == 0o700
    for number in range(4):
        assert place.public("host_ed25519") in keygen("-F", f"web-{number}", "-f", known)
    assert all(opened(one._replace(strict="yes")).how.startswith(str(known)) for one in every[:4])


def test_a_key_stays_the_same_when_it_is_exchanged_again(place: Place, tmp_path: Path) -> None:
    lifeline = Lifeline(LIFE_S)
    settings = settings_of(place, "good", tmp_path / "known_hosts", strict="accept-new")
    try:
        sock = socket.create_connection((settings.hostname, settings.port), LIFE_S)
        lifeline.hold(sock)
        connection = open_connection(settings, sock, lifeline)
        shown = connection.transport.host_key_blob
        connection.transport.renegotiate_keys()
        assert connection.run("echo here", hide=True, in_stream=False).stdout == "here\n"
        assert connection.transport.host_key_blob == shown
    finally:
        lifeline.let_go()


class Agent:
    """A real ssh-agent."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / f"agent-{os.getpid()}")
        command = ["setpriv", "--pdeathsig", "KILL", "ssh-agent", "-D", "-a", self.path]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def add(self, *files: Path) -> None:
        for file in files:
            subprocess.run(
                ["ssh-add", "-q", str(file)],
                env={**os.environ, "SSH_AUTH_SOCK": self.path},
                stdin=subprocess.DEVNULL,
                check=True,
                capture_output=True,
                timeout=20,
            )

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        Path(self.path).unlink(missing_ok=True)


@pytest.fixture
def agent(place: Place) -> Iterator[Agent]:
    one = Agent(place.folder)
    try:
        for __ in range(500):
            if Path(one.path).exists():
                break
            subprocess.run(["sleep", "0.02"], check=True)
        yield one
    finally:
        one.end()


@pytest.fixture
def settings(place: Place, tmp_path: Path) -> SshSettings:
    """Of a host that is known."""
    known = tmp_path / "known"
    lines = [f"[127.0.0.1]:{sshd.port} {place.public('host_ed25519')}\n" for sshd in place.sshds.values()]
    known.write_text("".join(lines), encoding="ascii")
    return settings_of(place, "good", known, identity_files=())


@pytest.mark.parametrize("name", ["user_ed25519", "user_rsa", "user_ecdsa", "certified"])
def test_key_files_and_certificates_log_in(place: Place, settings: SshSettings, name: str) -> None:
    opened(settings._replace(identity_files=(str(place.folder / "missing"), str(place.folder / name))))
    expected = {"user_rsa": "RSA", "certified": "ED25519-CERT"}.get(name, name.removeprefix("user_").upper())
    accepted = [line for line in place.sshds["good"].log().splitlines() if line.startswith("Accepted publickey")]
    assert f"ssh2: {expected} SHA256:" in accepted[-1]


@pytest.mark.parametrize(("kind", "form"), [("rsa", "PEM"), ("rsa", "PKCS8"), ("ecdsa", "PEM"), ("ecdsa", "PKCS8")])
def test_other_forms_of_private_keys_log_in(
    place: Place, settings: SshSettings, tmp_path: Path, kind: str, form: str
) -> None:
    file = Path(shutil.copy(place.folder / f"user_{kind}", tmp_path / "key"))
    keygen("-q", "-p", "-N", "", "-m", form, "-f", file)
    opened(settings._replace(identity_files=(str(file),)))
    keygen("-q", "-p", "-N", "a passphrase", "-m", form, "-f", file)
    forget_keys()
    wanted = settings._replace(identity_files=(str(file),))
    assert locked_files([wanted]) == [str(file)]
    assert not unlock(str(file), "another passphrase")
    assert unlock(str(file), "a passphrase")
    opened(wanted)


def test_a_certificate_file_of_its_own_goes_with_its_key(place: Place, settings: SshSettings, tmp_path: Path) -> None:
    key = shutil.copy(place.folder / "certified", tmp_path / "key")
    shutil.copy(place.folder / "certified-cert.pub", tmp_path / "elsewhere.pub")
    settings = settings._replace(identity_files=(str(key),))
    with pytest.raises(AuthenticationError, match="the host takes publickey"):
        opened(settings)
    opened(settings._replace(certificate_files=(str(tmp_path / "elsewhere.pub"),)))


def test_a_protected_key_says_what_it_needs(place: Place, settings: SshSettings) -> None:
    file = str(place.folder / "locked")
    settings = settings._replace(identity_files=(file,))
    with pytest.raises(AuthenticationError, match="locked: it is protected by a passphrase, which was not given"):
        opened(settings)
    assert locked_files([settings]) == [file]
    assert not unlock(file, "")
    assert not unlock(file, "wrong")
    assert unlock(file, "a passphrase")
    assert locked_files([settings]) == []
    opened(settings)


def test_the_agent_signs(place: Place, settings: SshSettings, agent: Agent) -> None:
    agent.add(*(place.folder / name for name in ("stranger", "user_rsa", "certified")))
    held = settings._replace(identity_agent=agent.path)
    opened(held)
    with pytest.raises(AuthenticationError, match="there was no key to show"):
        opened(held._replace(identities_only=True))
    forget_keys()
    # The public half names the key that the agent holds.
    opened(held._replace(identities_only=True, identity_files=(f"{place.folder}/user_rsa.pub",)))
    opened(held._replace(identities_only=True, identity_files=(f"{place.folder}/certified",)))
    assert locked_files([held._replace(identity_files=(f"{place.folder}/locked",))]) == [f"{place.folder}/locked"]


def test_an_agent_with_too_many_keys_is_named(
    place: Place, settings: SshSettings, agent: Agent, tmp_path: Path
) -> None:
    for number in range(8):
        keygen("-q", "-t", "ed25519", "-N", "", "-C", f"key-{number}", "-f", tmp_path / str(number))
        agent.add(tmp_path / str(number))
    settings = settings._replace(identity_agent=agent.path, identity_files=(f"{place.folder}/user_rsa",))
    with pytest.raises(AuthenticationError, match=r"no more tries .MaxAuthTries.: name the key with IdentityFile"):
        opened(settings)
    opened(settings._replace(identities_only=True))


def test_an_agent_that_is_gone_is_named(settings: SshSettings, tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError, match=r"the agent at .*gone: no such file"):
        opened(settings._replace(identity_agent=str(tmp_path / "gone")))


def test_a_password_that_was_given_logs_in(settings: SshSettings) -> None:
    settings = settings._replace(methods=("publickey", "keyboard-interactive", "password"))
    opened(settings, PASSWORD)
    with pytest.raises(AuthenticationError, match="the password was wrong") as caught:
        opened(settings, "another one")
    assert "another one" not in str(caught.value)
    with pytest.raises(AuthenticationError, match=r"the host takes publickey, password.*; there was no key to show"):
        opened(settings)
    with pytest.raises(AuthenticationError, match="there was no key to show"):
        opened(settings._replace(methods=("publickey",)), PASSWORD)


def test_a_key_and_a_password_where_the_host_wants_both(place: Place, settings: SshSettings) -> None:
    settings = settings._replace(
        port=place.sshds["both"].port,
        identity_files=(str(place.folder / "user_rsa"),),
        methods=("publickey", "password"),
    )
    opened(settings, PASSWORD)
    with pytest.raises(AuthenticationError, match="the host takes password"):
        opened(settings)


def test_a_key_that_others_can_read_is_not_used(place: Place, settings: SshSettings, tmp_path: Path) -> None:
    file = Path(shutil.copy(place.folder / "user_rsa", tmp_path / "key"))
    file.chmod(0o644)
    with pytest.raises(AuthenticationError, match=r"others may read it .its mode is 0644"):
        opened(settings._replace(identity_files=(str(file),)))
