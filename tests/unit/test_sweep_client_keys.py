# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a sweep logs in: what a host is shown, in which order, and what is never said; real sshds: test_sweep_trust."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import paramiko
import pytest
from ansible_collections.lastack.linux.sweep.agent_keys import Agent, AgentError, AgentKey
from ansible_collections.lastack.linux.sweep.client_keys import (
    AuthenticationError,
    authenticate,
    forget_keys,
    locked_files,
    unlock,
)
from ansible_collections.lastack.linux.sweep.key_files import KeyFile, KeyFileError
from ansible_collections.lastack.linux.sweep.public_keys import pack, read_line
from ansible_collections.lastack.linux.sweep.ssh_settings import SshSettings
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from paramiko.common import MSG_USERAUTH_INFO_REQUEST, cMSG_USERAUTH_FAILURE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOST_KEY = paramiko.ECDSAKey.generate()
SECRET = "correct horse"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = [ed25519.Ed25519PrivateKey.generate() for __ in range(3)]
Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def blob_of(private: Private) -> bytes:
    form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return read_line(private.public_key().public_bytes(*form))


def written(path: Path, private: Private, passphrase: str = "") -> str:
    protection: Any = serialization.NoEncryption()
    if passphrase:
        builder = serialization.PrivateFormat.OpenSSH.encryption_builder().kdf_rounds(1)
        protection = builder.build(passphrase.encode("utf-8"))
    path.touch(0o600)
    path.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, protection))
    return str(path)


class Server(paramiko.ServerInterface):  # type: ignore[misc] # Paramiko ships no types
    """Takes what the test says, and remembers all it was told."""

    def __init__(self, methods: str = "publickey") -> None:
        self.methods = methods
        self.good_keys: list[bytes] = []
        self.good_password: str | None = None
        self.questions: list[tuple[str, bool]] = []
        self.after: dict[str, str] = {}
        """The methods that are wanted after one of this name."""
        self.told: list[object] = []

    def get_allowed_auths(self, __: str) -> str:
        return self.methods

    def check_auth_none(self, __: str) -> int:
        self.told.append("none")
        return int(paramiko.AUTH_FAILED)

    def _end(self, method: str, *, good: bool) -> int:
        if not good:
            return int(paramiko.AUTH_FAILED)
        if method in self.after:
            self.methods = self.after[method]
            return int(paramiko.AUTH_PARTIALLY_SUCCESSFUL)
        return int(paramiko.AUTH_SUCCESSFUL)

    def check_auth_publickey(self, __: str, key: paramiko.PKey) -> int:
        self.told.append(key.asbytes())
        return self._end("publickey", good=key.asbytes() in self.good_keys)

    def check_auth_password(self, __: str, password: str) -> int:
        self.told.append(password)
        return self._end("password", good=password == self.good_password)

    def check_auth_interactive(self, *__: str) -> paramiko.InteractiveQuery:
        return paramiko.InteractiveQuery("", "", *self.questions)

    def check_auth_interactive_response(self, answers: list[str]) -> int:
        self.told.append(answers)
        return self._end("keyboard-interactive", good=answers == [self.good_password])


@contextlib.contextmanager
def connected(server: Server, kind: type[paramiko.Transport] = paramiko.Transport) -> Iterator[paramiko.Transport]:
    ours, theirs = socket.socketpair()
    host, client = kind(theirs), paramiko.Transport(ours)
    host.add_server_key(HOST_KEY)
    host.start_server(event=threading.Event(), server=server)
    try:
        client.start_client(timeout=20)
        client.auth_timeout = 20
        yield client
    finally:
        ours.close()
        host.close()


@pytest.fixture(autouse=True)
def _no_keys_of_another_test() -> Iterator[None]:
    yield
    forget_keys()


@pytest.fixture
def settings(tmp_path: Path) -> SshSettings:
    """Three key files; any method."""
    files = tuple(written(tmp_path / f"id_{number}", private) for number, private in enumerate(PRIVATE))
    return SshSettings(
        "web-1",
        "web-1",
        user="ops",
        identity_files=files,
        methods=("publickey", "keyboard-interactive", "password"),
    )


@pytest.mark.parametrize(
    "private",
    [
        *PRIVATE[:1],
        RSA,
        *(ec.generate_private_key(curve) for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())),
    ],
    ids=lambda one: type(one).__name__ + str(getattr(one, "key_size", "")),
)
@pytest.mark.parametrize("passphrase", ["", "pass phrase ü"])
def test_a_key_file_signs(tmp_path: Path, private: Private, passphrase: str) -> None:
    file = KeyFile(written(tmp_path / "key", private, passphrase))
    assert file.blob == file.public() == blob_of(private)
    assert file.locked is bool(passphrase)
    algorithms = ["rsa-sha2-256", "rsa-sha2-512"] if private is RSA else [read_type(blob_of(private))]
    if passphrase:
        with pytest.raises(KeyFileError, match="protected by a passphrase"):
            file.sign(b"data", algorithms[0])
        assert not file.unlock("another")
        assert file.unlock(passphrase)
        assert not file.locked
    verifier = paramiko.PKey.from_type_string(read_type(blob_of(private)), blob_of(private))
    for algorithm in algorithms:
        for number in range(8):
            data = b"data %d" % number
            assert verifier.verify_ssh_sig(data, paramiko.Message(file.sign(data, algorithm)))


def read_type(blob: bytes) -> str:
    return blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode("ascii")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n!!!\n-----END OPENSSH PRIVATE KEY-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----",
    ],
)
def test_a_file_that_is_no_key_is_named(tmp_path: Path, settings: SshSettings, data: bytes) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(data)
    settings = settings._replace(identity_files=(str(path),))
    with connected(Server()) as transport, pytest.raises(AuthenticationError, match=f"{path}: it "):
        authenticate(transport, settings)


def test_files_that_block_or_are_missing_are_none(tmp_path: Path, settings: SshSettings) -> None:
    os.mkfifo(tmp_path / "pipe")
    settings = settings._replace(identity_files=(str(tmp_path / "pipe"), str(tmp_path / "missing"), str(tmp_path)))
    with (
        connected(Server()) as transport,
        pytest.raises(AuthenticationError, match="there was no key to show") as caught,
    ):
        authenticate(transport, settings)
    assert "missing" not in str(caught.value)


def test_a_host_is_asked_before_anything_is_signed(settings: SshSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    signed: list[str] = []
    sign = KeyFile.sign

    def counted(self: KeyFile, data: bytes, algorithm: str) -> bytes:
        signed.append(self.path)
        return sign(self, data, algorithm)

    monkeypatch.setattr(KeyFile, "sign", counted)
    server = Server()
    server.good_keys = [blob_of(PRIVATE[2])]
    with connected(server) as transport:
        authenticate(transport, settings)
        assert transport.is_authenticated()
        assert transport.get_username() == "ops"
    assert signed == [settings.identity_files[2]]
    assert server.told[:3] == [blob_of(one) for one in PRIVATE]


def test_keys_that_are_refused_are_named(settings: SshSettings) -> None:
    with connected(Server()) as transport, pytest.raises(AuthenticationError) as caught:
        authenticate(transport, settings, SECRET)
    files = settings.identity_files
    assert str(caught.value) == (
        f"web-1 port 22: login as ops refused: the host takes publickey; shown were {files[0]}, {files[1]} and 1 more"
    )


def test_a_password_is_said_once(settings: SshSettings) -> None:
    server = Server("publickey,keyboard-interactive,password")
    server.questions = [("Password: ", False)]
    with connected(server) as transport, pytest.raises(AuthenticationError, match="the password was wrong") as caught:
        authenticate(transport, settings, SECRET)
    assert [one for one in server.told if not isinstance(one, bytes)] == [[SECRET]]
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "other"), [("password", "keyboard-interactive"), ("keyboard-interactive", "password")]
)
def test_a_password_that_was_taken_is_not_said_to_be_wrong(settings: SshSettings, method: str, other: str) -> None:
    server = Server(method)
    server.questions, server.good_password = [("Password: ", False)], SECRET
    server.after = {method: other}
    with connected(server) as transport, pytest.raises(AuthenticationError) as caught:
        authenticate(transport, settings._replace(identity_files=(), methods=(method, other)), SECRET)
    assert f"the password was taken, but the host wants {other} as well" in str(caught.value)
    assert "wrong" not in str(caught.value)
    assert server.told in ([SECRET], [[SECRET]])


def test_a_password_after_a_key_may_still_be_wrong(settings: SshSettings) -> None:
    server = Server()
    server.good_keys, server.after = [blob_of(PRIVATE[0])], {"publickey": "password"}
    with connected(server) as transport, pytest.raises(AuthenticationError, match="the password was wrong") as caught:
        authenticate(transport, settings, SECRET)
    assert "taken" not in str(caught.value)


class Expired(paramiko.Transport):  # type: ignore[misc] # Paramiko ships no types
    """A host that takes the password and wants a new one (RFC 4252, 8)."""

    def _send_message(self, data: paramiko.Message) -> None:
        if data.asbytes()[:1] == cMSG_USERAUTH_FAILURE and self.server_object.told[-1:] == [SECRET]:
            data = paramiko.Message()
            data.add_byte(bytes([MSG_USERAUTH_INFO_REQUEST]))
            data.add_string("Your password has expired.")
            data.add_string("")
        super()._send_message(data)


def test_a_password_that_has_expired_is_said_to_be(settings: SshSettings) -> None:
    server = Server("password")
    settings = settings._replace(identity_files=(), methods=("password",))
    with connected(server, Expired) as transport, pytest.raises(AuthenticationError) as caught:
        authenticate(transport, settings, SECRET)
    assert "the password has expired: log in once by ssh to change it" in str(caught.value)
    assert "wrong" not in str(caught.value)
    assert server.told == [SECRET, "none"]


class AsksOn(Server):
    """PAM: after the password a code, or a new password; whether the first one was right is not said."""

    def check_auth_interactive_response(self, answers: list[str]) -> paramiko.InteractiveQuery:
        self.told.append(answers)
        return paramiko.InteractiveQuery("", "", ("Verification code: ", False))


def test_a_question_after_the_password_is_not_said_to_be_a_wrong_password(settings: SshSettings) -> None:
    server = AsksOn("keyboard-interactive")
    server.questions = [("Password: ", False)]
    with connected(server) as transport, pytest.raises(AuthenticationError) as caught:
        authenticate(transport, settings._replace(identity_files=()), SECRET)
    assert "the host asked another question after the password: for a code or a new password, perhaps" in str(
        caught.value
    )
    assert "wrong" not in str(caught.value)
    assert server.told == [[SECRET], "none"]


@pytest.mark.parametrize("questions", [[("Password: ", True)], [("Old: ", False), ("New: ", False)]])
def test_other_questions_get_no_password(settings: SshSettings, questions: list[tuple[str, bool]]) -> None:
    server = Server("keyboard-interactive,password")
    server.questions, server.good_password = questions, SECRET
    with connected(server) as transport:
        authenticate(transport, settings._replace(identity_files=()), SECRET)
    assert server.told == [SECRET]


def test_nothing_is_said_where_no_password_was_given(settings: SshSettings) -> None:
    server = Server("keyboard-interactive,password")
    server.questions = [("Password: ", False)]
    with connected(server) as transport, pytest.raises(AuthenticationError, match="keyboard-interactive, password"):
        authenticate(transport, settings._replace(identity_files=()))
    assert server.told == ["none"]


def test_methods_that_were_not_wanted_are_not_tried(settings: SshSettings) -> None:
    server = Server("publickey,password")
    server.good_password, server.good_keys = SECRET, [blob_of(PRIVATE[0])]
    settings_of_keys = settings._replace(methods=("publickey",), identity_files=settings.identity_files[1:])
    with connected(server) as transport, pytest.raises(AuthenticationError):
        authenticate(transport, settings_of_keys, SECRET)
    assert SECRET not in server.told
    server = Server("publickey,password")
    server.good_password = SECRET
    with connected(server) as transport:
        authenticate(transport, settings._replace(methods=("password", "publickey")), SECRET)
    assert server.told == [SECRET]


def test_a_key_and_a_password_one_after_the_other(settings: SshSettings) -> None:
    server = Server()
    server.good_keys, server.good_password = [blob_of(PRIVATE[1])], SECRET
    server.after = {"publickey": "password"}
    with connected(server) as transport:
        authenticate(transport, settings, SECRET)
    assert server.told[-1] == SECRET
    assert blob_of(PRIVATE[2]) not in server.told


@pytest.mark.parametrize(
    ("allowed", "signed_with"),
    [
        ((), "rsa-sha2-512"),
        (("rsa-sha2-256", "rsa-sha2-512"), "rsa-sha2-256"),
        (("ssh-ed25519",), ""),
        (("ssh-rsa",), ""),
    ],
)
def test_rsa_signs_as_the_settings_allow(
    tmp_path: Path, settings: SshSettings, monkeypatch: pytest.MonkeyPatch, allowed: tuple[str, ...], signed_with: str
) -> None:
    used: list[str] = []
    sign = KeyFile.sign

    def seen(self: KeyFile, data: bytes, algorithm: str) -> bytes:
        used.append(algorithm)
        return sign(self, data, algorithm)

    monkeypatch.setattr(KeyFile, "sign", seen)
    server = Server()
    server.good_keys = [blob_of(RSA)]
    settings = settings._replace(
        identity_files=(written(tmp_path / "rsa", RSA),), public_key_algorithms=allowed, required_rsa_bits=2048
    )
    with connected(server) as transport:
        with contextlib.nullcontext() if signed_with else pytest.raises(AuthenticationError):
            authenticate(transport, settings)
        assert used == ([signed_with] if signed_with else [])
    with connected(server) as transport, pytest.raises(AuthenticationError, match="there was no key to show"):
        authenticate(transport, settings._replace(required_rsa_bits=3072))


class Floods(paramiko.Transport):  # type: ignore[misc] # Paramiko ships no types
    """A host that answers a thousand times."""

    def _send_message(self, data: paramiko.Message) -> None:
        super()._send_message(data)
        if data.asbytes()[:1] == cMSG_USERAUTH_FAILURE:
            for __ in range(1000):
                super()._send_message(data)


def test_answers_that_nobody_asked_for_end_the_connection(settings: SshSettings) -> None:
    with connected(Server(), Floods) as transport:
        with pytest.raises((AuthenticationError, EOFError, paramiko.SSHException, OSError)):
            authenticate(transport, settings)
        transport.join(20)
        assert not transport.is_authenticated()


class Breaks(Server):
    """A host that ends at the first key."""

    def check_auth_publickey(self, *__: object) -> int:
        raise EOFError


def test_a_connection_that_breaks_may_be_tried_again(settings: SshSettings) -> None:
    with connected(Breaks()) as transport, pytest.raises((EOFError, OSError, paramiko.SSHException)) as caught:
        authenticate(transport, settings)
    assert not isinstance(caught.value, (AuthenticationError, paramiko.AuthenticationException))


def test_a_host_that_is_silent_ends_in_time(settings: SshSettings) -> None:
    class Silent(Server):
        def check_auth_publickey(self, *__: object) -> int:
            threading.Event().wait(5)
            return int(paramiko.AUTH_FAILED)

    with connected(Silent()) as transport:
        transport.auth_timeout = 0.3
        with pytest.raises(paramiko.SSHException, match="no answer to the login in time"):
            authenticate(transport, settings)


class FakeAgent:
    """An ssh-agent that says what the test wants."""

    def __init__(self, folder: Path, answer: Callable[[bytes], bytes]) -> None:
        self.path = str(folder / "agent")
        self.asked: list[bytes] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(8)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                with self._listener.accept()[0] as sock:
                    question = sock.recv(65536)
                    self.asked.append(question[4:])
                    sock.sendall(self._answer(question[4:]))

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[Callable[[Callable[[bytes], bytes]], FakeAgent]]:
    made: list[FakeAgent] = []

    def new(answer: Callable[[bytes], bytes]) -> FakeAgent:
        made.append(FakeAgent(tmp_path, answer))
        return made[-1]

    try:
        yield new
    finally:
        for one in made:
            one.end()


def holding(*privates: ed25519.Ed25519PrivateKey) -> Callable[[bytes], bytes]:
    def answer(question: bytes) -> bytes:
        if question[:1] == b"\x0b":
            keys = b"".join(pack(blob_of(one), b"key") for one in privates)
            return pack(b"\x0c" + len(privates).to_bytes(4, "big") + keys)
        blob = question[5 : 5 + int.from_bytes(question[1:5], "big")]
        size = int.from_bytes(question[5 + len(blob) : 9 + len(blob)], "big")
        data = question[9 + len(blob) : 9 + len(blob) + size]
        private = next(one for one in privates if blob_of(one) == blob)
        return pack(b"\x0e" + pack(pack(b"ssh-ed25519", private.sign(data))))

    return answer


def test_the_agents_named_keys_come_first(
    settings: SshSettings, agents: Callable[[Callable[[bytes], bytes]], FakeAgent]
) -> None:
    stranger = ed25519.Ed25519PrivateKey.generate()
    agent = agents(holding(stranger, PRIVATE[1]))
    settings = settings._replace(identity_agent=agent.path)
    server = Server()
    for __ in range(3):
        with connected(server) as transport, pytest.raises(AuthenticationError):
            authenticate(transport, settings)
    order = [blob_of(one) for one in (PRIVATE[1], stranger, PRIVATE[0], PRIVATE[2])]
    assert server.told == order * 3
    # One look for all hosts, and no signature that nobody wanted.
    assert agent.asked == [b"\x0b"]
    server = Server()
    server.good_keys = [blob_of(PRIVATE[1])]
    with connected(server) as transport:
        authenticate(transport, settings._replace(identities_only=True))
    assert len(agent.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        pack(b"\x05"),
        pack(b"\x0c\xff\xff\xff\xff"),
        pack(b"\x0c\0\0\0\1\0\0\xff\xff"),
        b"\0\0\0\x09\x0c",
    ],
)
def test_a_broken_agent_is_a_sentence(
    settings: SshSettings, agents: Callable[[Callable[[bytes], bytes]], FakeAgent], answer: bytes
) -> None:
    agent = agents(lambda __: answer)
    with pytest.raises(AgentError):
        Agent(agent.path).keys()
    with pytest.raises(AgentError):
        Agent(agent.path).sign(b"key", b"data", "ssh-ed25519")
    settings = settings._replace(identity_agent=agent.path, identity_files=())
    with connected(Server()) as transport, pytest.raises(AuthenticationError, match="the agent at"):
        authenticate(transport, settings)


def test_an_agent_that_will_not_sign_is_named_and_the_next_key_is_tried(
    settings: SshSettings, agents: Callable[[Callable[[bytes], bytes]], FakeAgent]
) -> None:
    keys = holding(PRIVATE[0])
    agent = agents(lambda question: keys(question) if question[:1] == b"\x0b" else pack(b"\x05"))
    assert Agent(agent.path).keys() == [AgentKey(blob_of(PRIVATE[0]), "key")]
    settings = settings._replace(identity_agent=agent.path)
    server = Server()
    server.good_keys = [blob_of(PRIVATE[0])]
    with connected(server) as transport, pytest.raises(AuthenticationError, match=r"the agent at .*agent refused"):
        authenticate(transport, settings)
    server.good_keys.append(blob_of(PRIVATE[1]))
    with connected(server) as transport:
        authenticate(transport, settings)


def test_protected_files_are_known_before_the_first_host(
    tmp_path: Path, settings: SshSettings, agents: Callable[[Callable[[bytes], bytes]], FakeAgent]
) -> None:
    path = written(tmp_path / "locked", PRIVATE[0], SECRET)
    other = written(tmp_path / "also", PRIVATE[1], SECRET)
    settings = settings._replace(identity_files=(path, other, str(tmp_path / "id_2")))
    assert locked_files([settings, settings]) == sorted([path, other])
    agent = agents(holding(PRIVATE[1]))
    assert locked_files([settings._replace(identity_agent=agent.path)]) == [path]
    assert not unlock(path, "")
    assert not unlock(path, "wrong")
    assert unlock(path, SECRET)
    assert unlock(path, "is not looked at any more")
    assert locked_files([settings]) == [other]
    assert not unlock(str(tmp_path / "missing"), SECRET)
    forget_keys()
    assert locked_files([settings]) == sorted([path, other])


def test_a_wrong_passphrase_is_worked_on_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same one comes with every host that has it as a variable, and each costs a tenth of a second."""
    path = written(tmp_path / "locked", PRIVATE[0], SECRET)
    tried: list[object] = []
    load = serialization.load_ssh_private_key

    def counted(*arguments: Any) -> object:  # noqa: ANN401 - handed on
        tried.append(arguments)
        return load(*arguments)

    monkeypatch.setattr(serialization, "load_ssh_private_key", counted)
    assert [unlock(path, "wrong") for __ in range(5)] == [False] * 5
    assert [unlock(path, SECRET) for __ in range(5)] == [True] * 5
    assert len(tried) == 2


def test_many_threads_read_a_key_once(settings: SshSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    begin = KeyFile.__init__

    def counted(self: KeyFile, path: str) -> None:
        reads.append(path)
        begin(self, path)

    monkeypatch.setattr(KeyFile, "__init__", counted)
    server = Server()
    server.good_keys = [blob_of(PRIVATE[0])]

    def log_in() -> None:
        with connected(server) as transport:
            authenticate(transport, settings)

    threads = [threading.Thread(target=log_in) for __ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert server.told.count(blob_of(PRIVATE[0])) == 12
    assert sorted(reads) == sorted(settings.identity_files)
