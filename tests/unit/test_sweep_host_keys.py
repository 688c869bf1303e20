# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""known_hosts, host certificates and the verdicts on them; real sshds are in test_sweep_trust."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import paramiko
import pytest
from ansible_collections.lastack.linux.sweep import known_hosts
from ansible_collections.lastack.linux.sweep.host_certificates import (
    HostCertificate,
    read_certificate,
)
from ansible_collections.lastack.linux.sweep.host_keys import (
    HostKeyError,
    HostKeyPolicy,
    HostKeyVerdict,
)
from ansible_collections.lastack.linux.sweep.host_patterns import matches_list
from ansible_collections.lastack.linux.sweep.known_hosts import KnownHostsFile
from ansible_collections.lastack.linux.sweep.public_keys import (
    KeyFormatError,
    describe_key,
    pack,
    plain_key,
    read_line,
    rsa_bits,
)
from ansible_collections.lastack.linux.sweep.ssh_settings import SshSettings
from ansible_collections.lastack.linux.sweep.ssh_transport import SshTransport
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, utils
from cryptography.hazmat.primitives.serialization import SSHCertificateBuilder, SSHCertificateType

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AUTHORITY_ALGORITHMS = ("ssh-ed25519", "rsa-sha2-512", "sk-ssh-ed25519@openssh.com", "ecdsa-sha2-nistp256")
NOW_S = 1_800_000_000
SHARED = rsa.generate_private_key(public_exponent=65537, key_size=2048)
Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def line_of(private: Private) -> str:
    form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return private.public_key().public_bytes(*form).decode("ascii")


def blob_of(private: Private) -> bytes:
    return read_line(line_of(private).encode("ascii"))


HOST = ed25519.Ed25519PrivateKey.generate()
OTHER = ed25519.Ed25519PrivateKey.generate()
AUTHORITY = ed25519.Ed25519PrivateKey.generate()


def certificate_by(
    authority: Private,
    *names: bytes,
    kind: SSHCertificateType = SSHCertificateType.HOST,
    critical: bytes = b"",
    times: tuple[int, int] = (NOW_S - 10, NOW_S + 10),
) -> bytes:
    builder = SSHCertificateBuilder().public_key(HOST.public_key()).type(kind).key_id(b"of web-1")
    builder = builder.valid_principals(list(names)) if names else builder.valid_for_all_principals()
    builder = builder.valid_after(times[0]).valid_before(times[1])
    if critical:
        builder = builder.add_critical_option(critical, b"")
    return read_line(builder.sign(authority).public_bytes())


@pytest.mark.parametrize(
    ("name", "patterns", "fits"),
    [
        ("web-1", "web-1", True),
        ("WEB-1", "web-1", True),
        ("web-1", "Web-1", True),
        ("web-1", "web-?", True),
        ("web-12", "web-?", False),
        ("web-1", "db-1,web-*", True),
        ("web-1", "*,!web-1", False),
        ("web-1", "!web-1,*", False),
        ("web-2", "!web-1", False),
        ("[web-1]:22022", "[*]:22022", True),
        ("web-1", "[w]eb-1", False),
        ("web.example", "web-example", False),
        ("webxexample", "web.example", False),
        ("", "", True),
        ("a" * 200 + "b", "*a" * 40 + "c", False),
    ],
)
def test_patterns_are_those_of_ssh(name: str, patterns: str, fits: bool) -> None:  # noqa: FBT001 - a column of the table
    assert matches_list(name, patterns) is fits


@pytest.mark.parametrize(
    "private", [HOST, SHARED, ec.generate_private_key(ec.SECP384R1())], ids=lambda one: type(one).__name__
)
def test_keys_are_described_as_ssh_does(private: Private) -> None:
    blob = blob_of(private)
    assert describe_key(blob).endswith(paramiko.PKey.from_type_string(line_of(private).split()[0], blob).fingerprint)
    assert plain_key(blob) == blob
    assert rsa_bits(blob) == (2048 if private is SHARED else None)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"ssh-ed25519",
        b"ssh-ed25519 !!!",
        b"ssh-rsa " + line_of(HOST).split()[1].encode("ascii"),
        b"ssh-ed25519 " + base64.b64encode(blob_of(HOST) + b"\0\0\0\0"),
        b"ssh-ed25519 " + base64.b64encode(pack(b"ssh-ed25519")),
        b"ssh-new " + base64.b64encode(pack(b"ssh-new", b"x")),
        b"x " + base64.b64encode(b"\xff\xff\xff\xff"),
    ],
)
def test_what_is_no_key_is_refused(text: bytes) -> None:
    with pytest.raises(KeyFormatError):
        read_line(text)


@pytest.mark.parametrize(
    "authority", [AUTHORITY, SHARED, ec.generate_private_key(ec.SECP256R1())], ids=lambda one: type(one).__name__
)
def test_a_certificate_says_for_whom_and_by_whom(authority: Private) -> None:
    read = read_certificate(certificate_by(authority, b"web-1", b"10.0.0.1"))
    assert read.plain == blob_of(HOST)
    assert read.authority == blob_of(authority)
    assert read.principals == ("web-1", "10.0.0.1")
    assert (read.valid_after_s, read.valid_before_s) == (NOW_S - 10, NOW_S + 10)
    for name in ("web-1", "WEB-1", "10.0.0.1"):
        assert not read.why_not(name, AUTHORITY_ALGORITHMS, NOW_S)


@pytest.mark.parametrize(
    ("blob", "moment_s", "reason"),
    [
        (certificate_by(AUTHORITY, b"web-2"), NOW_S, "is for web-2, not for web-1"),
        (certificate_by(AUTHORITY, b"*"), NOW_S, "is for *, not for web-1"),
        (certificate_by(AUTHORITY, b"a", b"b", b"c"), NOW_S, "is for a, b and 1 more, not for web-1"),
        (certificate_by(AUTHORITY, b"web-1"), NOW_S - 11, "is not valid before 2027-01-15 07:59 UTC"),
        (certificate_by(AUTHORITY, b"web-1"), NOW_S + 10, "expired on 2027-01-15 08:00 UTC"),
        (certificate_by(AUTHORITY, b"web-1", times=(2**63, 2**64 - 1)), NOW_S, "before a day after the year 9999"),
        (certificate_by(AUTHORITY, b"web-1", kind=SSHCertificateType.USER), NOW_S, "is one for users, not for hosts"),
        (certificate_by(AUTHORITY, b"web-1", critical=b"only-at-night"), NOW_S, "demands only-at-night"),
        (certificate_by(ec.generate_private_key(ec.SECP384R1())), NOW_S, "is signed with ecdsa-sha2-nistp384"),
    ],
)
def test_a_certificate_that_does_not_vouch_says_why(blob: bytes, moment_s: int, reason: str) -> None:
    assert reason in read_certificate(blob).why_not("web-1", AUTHORITY_ALGORITHMS, moment_s)


def test_a_forged_certificate_is_none() -> None:
    blob = certificate_by(AUTHORITY, b"web-1")
    forged = blob.replace(b"web-1", b"web-2")
    assert forged != blob
    with pytest.raises(KeyFormatError, match="the signature on its host certificate is wrong"):
        read_certificate(forged)


def test_a_broken_certificate_is_never_more_than_a_sentence() -> None:
    blob = certificate_by(AUTHORITY, b"web-1")
    for end in range(len(blob)):
        with pytest.raises(KeyFormatError):
            read_certificate(blob[:end])
    for place in range(0, len(blob), 3):
        for value in (0, 0x7F, 0xFF):
            changed = bytearray(blob)
            changed[place] = value
            try:
                read = read_certificate(bytes(changed))
            except KeyFormatError:
                continue
            # Only what was there before can bear the signature.
            assert bytes(changed) == blob
            assert isinstance(read, HostCertificate)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_hardware_keys_may_be_authorities(kind: str) -> None:
    """PROTOCOL.u2f: they sign digests, together with flags and a counter."""
    application, tail = b"ssh:", b"\x01\x00\x00\x00\x07"
    if kind == "ed25519":
        short = ed25519.Ed25519PrivateKey.generate()
        private: Private = short
        authority = pack(b"sk-ssh-ed25519@openssh.com", short.public_key().public_bytes_raw(), application)
    else:
        private = ec.generate_private_key(ec.SECP256R1())
        point = private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        authority = pack(b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", point, application)
    plain = blob_of(HOST)
    body = pack(b"ssh-ed25519-cert-v01@openssh.com", b"a nonce") + plain[len(pack(b"ssh-ed25519")) :]
    body += bytes(8) + (2).to_bytes(4, "big") + pack(b"id", pack(b"web-1"))
    body += bytes(8) + b"\xff" * 8 + pack(b"", b"", b"", authority)
    signed = hashlib.sha256(application).digest() + tail + hashlib.sha256(body).digest()
    if isinstance(private, ed25519.Ed25519PrivateKey):
        made = private.sign(signed)
    else:
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        numbers = utils.decode_dss_signature(private.sign(signed, ec.ECDSA(hashes.SHA256())))
        made = pack(*(number.to_bytes(33, "big") for number in numbers))
    name = authority[4 : 4 + int.from_bytes(authority[:4], "big")]
    blob = body + pack(pack(name, made) + tail)
    assert read_certificate(blob).principals == ("web-1",)
    assert not read_certificate(blob).why_not("web-1", (name.decode("ascii"),))
    with pytest.raises(KeyFormatError):
        read_certificate(body + pack(pack(name, made) + b"\x01\x00\x00\x00\x08"))
    with pytest.raises(KeyFormatError):
        read_certificate(body + pack(pack(name, made)))


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="not installed: ssh-keygen")
def test_names_are_found_as_ssh_keygen_finds_them(tmp_path: Path) -> None:
    key = line_of(HOST)
    file = tmp_path / "known_hosts"
    lines = [f"web-1 {key}", f"web-2,[web-2]:2222,10.0.0.2 {key} of two", f"*.example.org,!bad.example.org {key}"]
    lines += [f"@cert-authority web-? {line_of(AUTHORITY)}", f"@revoked * {line_of(OTHER)}", "# web-9 x y", "web-9"]
    lines += [f"\tweb-5\t{key}", f"hidden {key}", f"[hidden]:2222 {key}"]
    file.write_text("\n".join(lines[-2:]) + "\n", encoding="ascii")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True, timeout=20)
    hashed = file.read_text(encoding="ascii")
    assert "hidden" not in hashed
    file.write_text("\n".join(lines[:-2]) + "\n" + hashed.rstrip("\n"), encoding="ascii")
    ours = KnownHostsFile(str(file))
    for name in (
        "web-1",
        "web-2",
        "[web-2]:2222",
        "a.example.org",
        "bad.example.org",
        "hidden",
        "[hidden]:2222",
        "web-5",
    ):
        for __ in range(2):
            found = subprocess.run(
                ["ssh-keygen", "-F", name, "-f", str(file)], check=False, capture_output=True, text=True, timeout=20
            ).stdout
            theirs = [int(line.split("line ")[1].split()[0]) for line in found.splitlines() if line.startswith("#")]
            assert [one.line for one in ours.keys_of(name)] == theirs, name
    assert len(ours.keys_of("web-9")) == 2


def test_a_file_that_changes_is_read_again_and_one_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    ours = KnownHostsFile(str(file))
    assert ours.keys_of("web-1") == []
    assert not ours.problem
    file.write_text(f"web-1 {line_of(HOST)}\n", encoding="ascii")
    assert [one.place for one in ours.keys_of("web-1")] == [f"{file}:1"]
    file.unlink()
    assert ours.keys_of("web-1") == []
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    broken = KnownHostsFile(str(tmp_path / "loop"))
    assert broken.keys_of("web-1") == []
    assert "cannot be read" in broken.problem
    os.mkfifo(tmp_path / "pipe")
    assert KnownHostsFile(str(tmp_path / "pipe")).keys_of("web-1") == []


def test_hostile_lines_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    good = line_of(HOST).encode("ascii")
    noise = [
        b"\xff\xfe \x00",
        b"@",
        b"@revoked",
        b"@revoked @revoked web-1 " + good,
        b"|1|",
        b"|1|x|y " + good,
        b"," * 5000,
    ]
    noise += [b"web-1 ssh-ed25519 " + b"A" * 70000, b"web-1 " + good[:-8], b"web-1 1024 35 1234567", b"\r", b" " * 5000]
    file.write_bytes(b"\n".join([*noise, b"web-1 " + good + b"\r", *noise]))
    assert [one.line for one in KnownHostsFile(str(file)).keys_of("web-1")] == [len(noise) + 1]


def test_a_torn_last_line_is_not_added_to(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"web-1 {line_of(OTHER)}", encoding="ascii")
    ours = KnownHostsFile(str(file))
    assert ours.add("web-2", blob_of(HOST), hashed=False) == []
    assert file.read_text(encoding="ascii") == f"web-1 {line_of(OTHER)}\nweb-2 {line_of(HOST)}\n"
    assert [one.line for one in ours.keys_of("web-2")] == [2]
    # Somebody was faster: nothing is added, and what they know is told.
    assert [one.blob for one in ours.add("web-1", blob_of(HOST), hashed=False)] == [blob_of(OTHER)]


class Shown(paramiko.Transport):  # type: ignore[misc] # Paramiko ships no types
    """A transport that was shown a key."""

    def __init__(self, blob: bytes) -> None:
        self.host_key_blob = blob


@pytest.fixture
def settings(tmp_path: Path) -> SshSettings:
    return SshSettings("web-1", "web-1", user_known_hosts=(str(tmp_path / "known_hosts"),))


def judged(settings: SshSettings, blob: bytes, known: str = "") -> HostKeyVerdict:
    with open(settings.user_known_hosts[0], "w", encoding="ascii") as file:  # noqa: PTH123 - a name
        file.write(known)
    return HostKeyPolicy(settings).check(Shown(blob))


def test_a_known_key_is_taken_with_its_place(settings: SshSettings) -> None:
    verdict = judged(settings, blob_of(HOST), f"\nweb-1 {line_of(HOST)}\n")
    assert verdict == HostKeyVerdict(f"{settings.user_known_hosts[0]}:2")


def test_a_changed_key_names_both_and_the_place(settings: SshSettings) -> None:
    with pytest.raises(HostKeyError) as caught:
        judged(settings, blob_of(HOST), f"web-1 {line_of(SHARED)}\nweb-1 {line_of(OTHER)}\n")
    place = f"{settings.user_known_hosts[0]}:2"
    shown, known = describe_key(blob_of(HOST)), describe_key(blob_of(OTHER))
    assert str(caught.value) == (
        f"the host key of web-1 has changed: it shows {shown}, {place} has {known}; "
        "if the host was set up anew, remove that line"
    )


def test_an_unknown_key_tells_where_it_was_sought_and_what_to_do(settings: SshSettings) -> None:
    with pytest.raises(HostKeyError) as caught:
        HostKeyPolicy(settings).check(Shown(blob_of(HOST)))
    assert str(caught.value) == (
        f"the host key of web-1, {describe_key(blob_of(HOST))}, is not known: not in {settings.user_known_hosts[0]}; "
        "compare it and log in once by ssh, or add it there"
    )


def test_no_check_means_no_secrets(settings: SshSettings) -> None:
    settings = settings._replace(strict="no")
    verdict = judged(settings, blob_of(HOST), f"web-1 {line_of(OTHER)}\n")
    assert not verdict.secrets_allowed
    assert "has changed" in verdict.doubt
    verdict = judged(settings, blob_of(HOST), f"@revoked web-1 {line_of(HOST)}\nweb-1 {line_of(HOST)}\n")
    assert not verdict.secrets_allowed
    assert "is revoked by" in verdict.doubt
    # What is new is no wrong key.
    assert judged(settings, blob_of(HOST)).secrets_allowed


def test_a_certificate_of_a_known_authority_needs_no_key(settings: SshSettings) -> None:
    now = int(time.time())
    blob = certificate_by(AUTHORITY, b"web-1", times=(now - 60, now + 600))
    verdict = judged(settings, blob, f"@cert-authority web-* {line_of(AUTHORITY)}\n")
    assert verdict.how == f"certificate, authority in {settings.user_known_hosts[0]}:1"
    with pytest.raises(HostKeyError, match="is not known: its host certificate is for web-1, not for alias"):
        judged(settings._replace(host_key_alias="alias"), blob, f"@cert-authority * {line_of(AUTHORITY)}\n")
    with pytest.raises(HostKeyError, match="the signature on its host certificate is wrong"):
        judged(settings, blob.replace(b"of web-1", b"of web-2"), f"web-1 {line_of(HOST)}\n")


def test_a_name_that_no_line_can_have_is_not_written(settings: SshSettings) -> None:
    for name in ("*", "web-1,web-2", "web 1", "web-1\nweb-2 x", "@revoked", "|1|x", "wéb"):
        verdict = judged(settings._replace(host_key_alias=name, strict="accept-new"), blob_of(HOST))
        assert "was not kept" in verdict.doubt
        assert KnownHostsFile(settings.user_known_hosts[0]).keys_of("web-1") == []
        with open(settings.user_known_hosts[0], encoding="ascii") as file:  # noqa: PTH123 - a name
            assert not file.read()


def test_a_file_that_cannot_be_written_is_no_obstacle(settings: SshSettings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = settings._replace(strict="accept-new", user_known_hosts=(str(tmp_path / "file" / "known_hosts"),))
    verdict = HostKeyPolicy(settings).check(Shown(blob_of(HOST)))
    assert verdict.secrets_allowed
    assert "was not kept" in verdict.doubt
    settings = settings._replace(user_known_hosts=("/dev/null",))
    assert HostKeyPolicy(settings).check(Shown(blob_of(HOST))).secrets_allowed
    settings = settings._replace(user_known_hosts=())
    assert HostKeyPolicy(settings).check(Shown(blob_of(HOST))).how == "new, kept nowhere"


def test_a_list_of_revoked_keys_that_is_broken_refuses_all(settings: SshSettings, tmp_path: Path) -> None:
    for number, data in enumerate((b"nonsense\n", b"SSHKRL\n\0\0\0\0\1")):
        path = tmp_path / f"revoked-{number}"
        path.write_bytes(data)
        with pytest.raises(HostKeyError, match="is refused"):
            judged(settings._replace(revoked_host_keys=str(path)), blob_of(HOST), f"web-1 {line_of(HOST)}\n")


def test_what_is_no_key_at_all_is_refused(settings: SshSettings) -> None:
    for blob in (b"", b"\0\0\0\1", pack(b"ssh-new", b"x")):
        with pytest.raises(HostKeyError, match="the host key of web-1 cannot be trusted"):
            judged(settings, blob)


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours


@pytest.mark.parametrize(
    ("known", "first"),
    [
        ("", "ssh-ed25519-cert-v01@openssh.com"),
        (f"web-1 {line_of(HOST)}\n", "ssh-ed25519-cert-v01@openssh.com"),
        (f"web-1 {line_of(SHARED)}\n", "rsa-sha2-512-cert-v01@openssh.com"),
        (f"web-1 {line_of(SHARED)}\n@cert-authority * {line_of(AUTHORITY)}\n", "ssh-ed25519-cert-v01@openssh.com"),
        (f"web-2 {line_of(SHARED)}\n", "ssh-ed25519-cert-v01@openssh.com"),
    ],
)
def test_known_keys_are_asked_for_first(settings: SshSettings, sock: socket.socket, known: str, first: str) -> None:
    with open(settings.user_known_hosts[0], "w", encoding="ascii") as file:  # noqa: PTH123 - a name
        file.write(known)
    offered = HostKeyPolicy(settings).new_transport(sock).preferred_keys
    assert offered[0] == first
    assert len(set(offered)) == len(offered) == 12


def test_algorithms_are_those_of_the_settings(settings: SshSettings, sock: socket.socket) -> None:
    settings = settings._replace(
        ciphers=("chacha20-poly1305@openssh.com", "aes256-ctr"),
        macs=("umac-64@openssh.com", "hmac-sha2-512"),
        kex_algorithms=("sntrup761x25519-sha512@openssh.com", "curve25519-sha256"),
        host_key_algorithms=("ssh-ed25519", "ssh-dss"),
    )
    transport = HostKeyPolicy(settings).new_transport(sock)
    assert transport.preferred_ciphers == ("aes256-ctr",)
    assert transport.preferred_macs == ("hmac-sha2-512",)
    assert transport.preferred_kex == ("curve25519-sha256",)
    assert transport.preferred_keys == ("ssh-ed25519",)
    settings = settings._replace(ciphers=("chacha20-poly1305@openssh.com",))
    with pytest.raises(HostKeyError, match="Ciphers for web-1 names nothing that a sweep can: chacha20-poly1305@"):
        HostKeyPolicy(settings).new_transport(sock)


def test_what_is_shown_is_what_was_agreed(sock: socket.socket) -> None:
    """A server must not show another kind of key than the one that the checks were made for."""
    transport = SshTransport(sock, ("ssh-ed25519",))
    transport.H = b"what was exchanged"
    signature = pack(b"ssh-ed25519", HOST.sign(transport.H))
    blob = certificate_by(AUTHORITY, b"web-1")
    for agreed, shown in (
        ("ssh-ed25519", blob),
        ("ssh-ed25519-cert-v01@openssh.com", blob_of(HOST)),
        ("rsa-sha2-512", blob_of(HOST)),
        ("ssh-ed25519", b""),
        ("ssh-ed25519", blob_of(HOST)[:-1]),
    ):
        transport.host_key_type = agreed
        with pytest.raises(paramiko.SSHException, match="the host"):
            transport._verify_key(shown, signature)
        assert not transport.host_key_blob
    transport.host_key_type = "ssh-ed25519"
    with pytest.raises(paramiko.SSHException, match=r"Signature verification|cannot be read"):
        transport._verify_key(blob_of(HOST), pack(b"ssh-ed25519", OTHER.sign(transport.H)))
    assert not transport.host_key_blob
    transport._verify_key(blob_of(HOST), signature)
    assert transport.host_key_blob == blob_of(HOST)
    with pytest.raises(paramiko.SSHException, match="has changed its key in the middle"):
        transport._verify_key(blob_of(OTHER), pack(b"ssh-ed25519", OTHER.sign(transport.H)))


def test_files_are_read_once_for_all_hosts(settings: SshSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    read = known_hosts._text

    def counted(path: str) -> str:
        reads.append(path)
        return read(path)

    monkeypatch.setattr(known_hosts, "_text", counted)
    judged(settings, blob_of(HOST), f"* {line_of(HOST)}\n")
    for number in range(50):
        HostKeyPolicy(settings._replace(hostname=f"web-{number}")).check(Shown(blob_of(HOST)))
    assert reads == [settings.user_known_hosts[0]]
