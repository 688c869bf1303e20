# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The baseline on a folder that stands for a host: statuses, files, winners, failures, check mode and the way back."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import PortPressure
from ansible_collections.lastack.linux.plugins.module_utils.tune import guarded_files, runtime_changes
from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_files import RefusedPath
from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import LedgerError, open_ledger
from ansible_collections.lastack.linux.plugins.module_utils.tune.match import port_list, satisfies
from ansible_collections.lastack.linux.plugins.module_utils.tune.results import as_return, failures
from ansible_collections.lastack.linux.plugins.module_utils.tune.settings import parse_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sysctl_hosts import DROPIN, FakeHost

SOMAXCONN = "net.core.somaxconn"
REUSE, RANGE, RESERVED = (
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
)
TIMESTAMPS, CONNTRACK = "net.ipv4.tcp_timestamps", "net.netfilter.nf_conntrack_max"
# Each change is synced to disk several times, which tests need not wait for.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
LEDGER = "var/lib/lastack/ledger.json"
LARGE = "#" * ((1 << 20) + 1)
QUEUE = {"key": SOMAXCONN, "value": "4096", "match": "at_least"}


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path / "host")
    host.set(SOMAXCONN, "128")
    return host


def entry(key: str, value: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of a setting
    return {"key": key, "value": value, **fields}


class TestStatuses:
    def test_changed_then_ok(self, host: FakeHost) -> None:
        first = host.apply(QUEUE)
        assert (first.keys[0].status, first.keys[0].before, first.keys[0].after) == ("changed", "128", "4096")
        assert first.changed
        assert host.get(SOMAXCONN) == "4096"
        assert host.dropin() == ["net.core.somaxconn = 4096"]
        assert first.keys[0].boot is not None
        assert first.keys[0].boot.place == "/etc/sysctl.d/99-tcp-lastack.conf:4"
        assert first.keys[0].reload == first.keys[0].boot
        before = host.picture()
        second = host.apply(QUEUE)
        assert (second.keys[0].status, second.changed, second.diff) == ("ok", False, [])
        assert host.picture() == before

    def test_kept(self, host: FakeHost) -> None:
        host.set(SOMAXCONN, "65535")
        result = host.one(QUEUE)
        assert (result.status, result.wanted, result.after) == ("kept", "4096", "65535")
        # What runs now also runs after the next boot.
        assert host.dropin() == ["net.core.somaxconn = 65535"]

    def test_accepted_values_are_kept(self, host: FakeHost) -> None:
        host.set(TIMESTAMPS, "2")
        assert host.one(entry(TIMESTAMPS, "1", accepts=["2"])).status == "kept"
        assert host.one(entry(TIMESTAMPS, "1")).status == "changed"

    def test_absent_is_no_failure(self, host: FakeHost) -> None:
        result = host.apply(entry("net.ipv4.nope", "1"))
        (one,) = result.keys
        assert (one.status, one.before, one.after) == ("absent", None, None)
        assert one.reason == "this kernel or namespace has no net.ipv4.nope"
        assert (result.failed_keys, result.changed, host.dropin()) == ((), False, [])
        assert not (host.root / "var/lib/lastack").exists()

    def test_a_folder_is_no_key(self, host: FakeHost) -> None:
        assert host.one(entry("net.core", "1")).status == "absent"

    def test_the_dot_of_an_interface(self, host: FakeHost) -> None:
        host.set("net.ipv4.conf.eth0/100.rp_filter", "0")
        wrong = host.one(entry("net.ipv4.conf.eth0.100.rp_filter", "1"))
        assert wrong.status == "absent"
        assert wrong.reason.endswith("; write net.ipv4.conf.eth0/100.rp_filter, if that is meant")
        assert host.one(entry("net.ipv4.conf.eth0/100.rp_filter", "1")).status == "changed"
        assert host.dropin() == ["net.ipv4.conf.eth0/100.rp_filter = 1"]
        assert host.one(entry("net/ipv4/conf/eth0.100/rp_filter", "1")).status == "ok"

    def test_never(self, host: FakeHost) -> None:
        result = host.apply(entry(SOMAXCONN, "1", never="It is too small"), QUEUE | {"key": "net.core.other"})
        assert result.keys[0].status == "never"
        assert result.failed_keys == (SOMAXCONN,)
        assert failures(result) == ["net.core.somaxconn = 1 is refused: It is too small."]
        assert host.get(SOMAXCONN) == "128"

    def test_zero_and_negative_times_are_refused(self, host: FakeHost) -> None:
        key = "net.ipv4.tcp_fin_timeout"
        host.set(key, "60")
        for value in ("0", "-1", "61"):
            result = host.apply(entry(key, value, allowed=[[1, 60], [90, None]]))
            assert result.keys[0].status == "never"
            assert failures(result) == [
                f"{key} = {value} is refused: {value} is outside of what is safe to set (1 to 60, 90 and more)."
            ]
        assert host.get(key) == "60"

    def test_a_value_of_another_form(self, host: FakeHost) -> None:
        result = host.apply(entry(SOMAXCONN, "30 # seconds"))
        assert result.keys[0].status == "invalid"
        assert failures(result) == ["net.core.somaxconn: '30 # seconds' is not made of whole numbers."]

    def test_what_the_kernel_refuses(self, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
        refuse(monkeypatch, 22)
        host.set("net.core.other", "1")
        result = host.apply(entry(SOMAXCONN, "4096"), entry("net.core.other", "1"))
        assert [one.status for one in result.keys] == ["invalid", "ok"]
        assert failures(result) == ["net.core.somaxconn: the kernel refused '4096' (Invalid argument)."]
        # Nothing was changed, so that nothing is left to restore but the file.
        with open_ledger(root=str(host.root), check=True) as ledger:
            assert dict(ledger.runtime) == {}
        assert host.dropin() == ["net.core.other = 1"]

    def test_clamped(self, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
        at_most(monkeypatch, 1000)
        result = host.apply(QUEUE)
        one = result.keys[0]
        assert (one.status, one.before, one.after, result.failed_keys) == ("clamped", "128", "1000", (SOMAXCONN,))
        assert failures(result) == ["net.core.somaxconn: the kernel made '1000' of '4096'."]
        # What the kernel accepted is what is persisted, and the file says so.
        assert host.dropin() == ["net.core.somaxconn = 1000"]
        assert "# net.core.somaxconn = 4096 was asked for; this is what the kernel accepted." in read(host, DROPIN)
        again = host.apply(QUEUE, check=True)
        assert (again.keys[0].status, again.changed) == ("clamped", False)
        once_more = host.apply(QUEUE)
        assert (once_more.keys[0], once_more.changed) == (again.keys[0], False)

    def test_a_missing_right_at_the_write(self, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
        refuse(monkeypatch, 1)
        result = host.apply(QUEUE)
        assert (result.keys[0].status, host.dropin()) == ("clamped", [])
        assert failures(result) == ["net.core.somaxconn: the kernel refused '4096' (Operation not permitted)."]

    def test_partial_failure_applies_the_rest(self, host: FakeHost) -> None:
        host.kernel(net__core__a="1", net__core__b="1")
        result = host.apply(
            entry("net.core.a", "x"),
            entry("net.core.b", "2"),
            entry("net.ipv4.tcp_tw_recycle", "1", never="Gone"),
            QUEUE,
        )
        assert [one.status for one in result.keys] == ["invalid", "changed", "never", "changed"]
        assert result.failed_keys == ("net.core.a", "net.ipv4.tcp_tw_recycle")
        assert (host.get("net.core.b"), host.get(SOMAXCONN)) == ("2", "4096")
        assert host.dropin() == ["net.core.b = 2", "net.core.somaxconn = 4096"]


def refuse(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def write(key: str, value: str, *, proc: str) -> None:
        raise OSError(number, os.strerror(number), f"{proc}{key}{value}")

    monkeypatch.setattr(runtime_changes, "write_runtime", write)


def at_most(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    real = runtime_changes.write_runtime

    def write(key: str, value: str, *, proc: str) -> None:
        real(key, str(min(int(value), most)), proc=proc)

    monkeypatch.setattr(runtime_changes, "write_runtime", write)


def read(host: FakeHost, name: str) -> str:
    return (host.root / name).read_text()


class TestWinners:
    """What the files of others mean for ours."""

    def test_shadowed_at_boot_names_file_and_line(self, host: FakeHost) -> None:
        host.file("etc/sysctl.d/zz-app.conf", f"# ours\n{SOMAXCONN} = 512\n")
        result = host.apply(entry(SOMAXCONN, "4096"))
        one = result.keys[0]
        assert (one.status, one.shadowed_by) == ("shadowed", "/etc/sysctl.d/zz-app.conf:2")
        assert one.reason == "/etc/sysctl.d/zz-app.conf:2 wins at boot"
        assert host.get(SOMAXCONN) == "4096"
        assert result.failed_keys == (SOMAXCONN,)
        assert failures(result) == ["net.core.somaxconn is set to something weaker by /etc/sysctl.d/zz-app.conf:2."]

    def test_shadowed_on_reload_by_sysctl_conf(self, host: FakeHost) -> None:
        host.file("etc/sysctl.conf", f"{SOMAXCONN}=512\n")
        one = host.one(QUEUE)
        assert (one.status, one.shadowed_by) == ("shadowed", "/etc/sysctl.conf:1")
        assert one.reason == "/etc/sysctl.conf:1 wins on sysctl --system"
        assert one.boot is not None
        assert one.boot.value == "4096"

    def test_a_later_file_that_is_as_good_shadows_nothing(self, host: FakeHost) -> None:
        host.file("etc/sysctl.conf", f"{SOMAXCONN}=8192\n")
        one = host.one(QUEUE)
        # It counts as the administrator's: what the reload would set runs now.
        assert (one.status, one.after) == ("changed", "8192")
        assert one.reload is not None
        assert one.reload.place == "/etc/sysctl.conf:1"

    def test_a_key_that_a_later_line_excludes(self, host: FakeHost) -> None:
        host.file("etc/sysctl.d/zz.conf", f"-{SOMAXCONN}\n")
        one = host.one(QUEUE)
        assert (one.status, one.shadowed_by) == ("shadowed", "a line that excludes the key")

    def test_no_line_where_the_administrators_own_is_as_good(self, host: FakeHost) -> None:
        host.file("etc/sysctl.d/50-admin.conf", f"{SOMAXCONN} = 65535\n")
        one = host.one(QUEUE)
        assert (one.status, one.after, host.dropin()) == ("changed", "65535", [])
        assert one.reason == "/etc/sysctl.d/50-admin.conf:1 sets something stronger, and that stays"
        assert one.boot is not None
        assert one.boot.place == "/etc/sysctl.d/50-admin.conf:1"
        # Raised later, it is not held down by a line of ours.
        host.file("etc/sysctl.d/50-admin.conf", f"{SOMAXCONN} = 70000\n")
        assert host.one(QUEUE).boot.value == "70000"  # type: ignore[union-attr]

    def test_a_line_of_ours_goes_when_the_administrator_asks_for_more(self, host: FakeHost) -> None:
        host.apply(QUEUE)
        host.file("etc/sysctl.d/50-admin.conf", f"{SOMAXCONN} = 65535\n")
        result = host.apply(QUEUE)
        assert (result.keys[0].after, host.dropin()) == ("65535", [])
        assert not host.apply(QUEUE).changed

    def test_exact_always_has_its_line(self, host: FakeHost) -> None:
        host.file("etc/sysctl.d/50-admin.conf", f"{SOMAXCONN} = 4096\n")
        assert host.one(entry(SOMAXCONN, "4096")).status == "changed"
        assert host.dropin() == ["net.core.somaxconn = 4096"]

    def test_a_broken_line_of_others_counts_for_nothing(self, host: FakeHost) -> None:
        host.file("etc/sysctl.d/50-admin.conf", f"{SOMAXCONN} = lots\n")
        one = host.one(QUEUE)
        assert (one.status, one.after, host.dropin()) == ("changed", "4096", ["net.core.somaxconn = 4096"])

    def test_reserved_ports_are_merged_with_files_and_what_runs(self, host: FakeHost) -> None:
        host.set(RESERVED, "8080")
        host.file("etc/sysctl.d/50-admin.conf", f"{RESERVED} = 7000\n")
        one = host.one(entry(RESERVED, "9001,9000", match="union"))
        assert (one.after, host.dropin()) == ("7000,8080,9000-9001", [f"{RESERVED} = 7000,8080,9000-9001"])

    def test_an_empty_list_can_be_asked_for(self, host: FakeHost) -> None:
        host.set(RESERVED, "8080")
        assert host.one(entry(RESERVED, "")).after == ""
        assert (host.get(RESERVED), host.dropin()) == ("", [f"{RESERVED} ="])
        host.set(RESERVED, "8080")
        assert host.one(entry(RESERVED, ""), check=True).status == "changed"
        host.file("etc/sysctl.d/zz.conf", f"{RESERVED} = 7000\n")
        assert host.one(entry(RESERVED, "")).shadowed_by == "/etc/sysctl.d/zz.conf:1"

    def test_a_module_key_does_not_fail_a_reload(self, host: FakeHost) -> None:
        host.set(CONNTRACK, "100")
        host.apply(entry(CONNTRACK, "200", match="at_least"))
        assert host.dropin() == ["-net.netfilter.nf_conntrack_max = 200"]
        host.key_file(CONNTRACK).unlink()
        result = host.apply(entry(CONNTRACK, "200", match="at_least"))
        # The module is not loaded now; its line stays for when it is.
        assert (result.keys[0].status, result.changed) == ("absent", False)
        assert host.dropin() == ["-net.netfilter.nf_conntrack_max = 200"]

    def test_a_host_without_systemd_says_so(self, host: FakeHost) -> None:
        (host.root / "run/systemd/system").rmdir()
        assert [one.code for one in host.apply(QUEUE).unseen] == ["sysctl_boot_loader_unknown"]

    def test_what_cannot_be_read_is_said(self, host: FakeHost) -> None:
        host.file("etc/sysctl.d/10-large.conf", LARGE)
        result = host.apply(QUEUE)
        assert [one.code for one in result.unseen] == ["sysctl_file_too_large"]
        # Ours is read later, whatever it says.
        assert result.keys[0].boot is not None

    def test_a_later_file_that_was_not_read_leaves_the_winner_open(self, host: FakeHost) -> None:
        host.file("etc/sysctl.d/zz-large.conf", LARGE)
        result = host.apply(QUEUE)
        one = result.keys[0]
        assert (one.status, one.boot, one.reload) == ("changed", None, None)
        assert one.reason == "not certain: /etc/sysctl.d/zz-large.conf was not read"
        assert (result.failed_keys, host.dropin()) == ((), ["net.core.somaxconn = 4096"])

    def test_sysctl_conf_that_was_not_read_leaves_the_reload_open(self, host: FakeHost) -> None:
        host.file("etc/sysctl.conf", LARGE)
        one = host.one(QUEUE | {"reason": "A queue."})
        assert one.boot is not None
        assert one.boot.value == "4096"
        assert one.reload is None
        assert one.reason == "A queue.; not certain: /etc/sysctl.conf was not read".replace(".;", ";")

    def test_a_line_behind_a_zero_byte_counts(self, host: FakeHost) -> None:
        host.file("etc/sysctl.d/zz-d.conf", f"\0x\n{SOMAXCONN}=77\n")
        result = host.apply(QUEUE)
        assert (result.keys[0].status, result.unseen) == ("shadowed", ())
        assert result.keys[0].shadowed_by == "/etc/sysctl.d/zz-d.conf:2"

    def test_other_managers_are_named(self, host: FakeHost) -> None:
        host.file("etc/default/ufw", "IPT_SYSCTL=/etc/ufw/sysctl.conf\n")
        host.file("etc/ufw/ufw.conf", "ENABLED=yes\n")
        host.file("etc/ufw/sysctl.conf", "net/ipv4/tcp_syncookies=0\nnet/core/somaxconn=8192\n")
        host.set("net.ipv4.tcp_syncookies", "1")
        result = host.apply(QUEUE, entry("net.ipv4.tcp_syncookies", "1"))
        (manager,) = result.managers
        assert manager.name == "ufw"
        assert list(manager.overrides or {}) == ["net.ipv4.tcp_syncookies"]


class TestDropin:
    def test_holds_the_settings_in_their_order_and_no_others(self, host: FakeHost) -> None:
        host.kernel(net__core__a="1", net__core__b="1")
        host.apply(entry("net.core.b", "2", reason="because"), entry("net.core.a", "2"), QUEUE)
        assert host.dropin() == ["net.core.b = 2", "net.core.a = 2", "net.core.somaxconn = 4096"]
        assert "# because\nnet.core.b = 2\n" in read(host, DROPIN)
        result = host.apply(QUEUE)
        assert result.changed
        assert host.dropin() == ["net.core.somaxconn = 4096"]
        assert (host.get("net.core.a"), host.get("net.core.b")) == ("1", "1")

    def test_a_setting_that_is_not_persisted(self, host: FakeHost) -> None:
        host.apply(QUEUE | {"persist": False})
        assert (host.get(SOMAXCONN), host.dropin()) == ("4096", [])

    def test_nothing_is_persisted(self, host: FakeHost) -> None:
        assert host.one(QUEUE, persist=False).boot is None
        assert (host.get(SOMAXCONN), host.dropin()) == ("4096", [])

    def test_a_file_of_somebody_else_is_refused_or_taken_over(self, host: FakeHost) -> None:
        theirs = host.file(DROPIN, "net.core.somaxconn = 1\n")
        theirs.chmod(0o600)
        before = host.picture()
        with pytest.raises(RefusedPath) as error:
            host.apply(QUEUE)
        assert str(error.value) == (
            "/etc/sysctl.d/99-tcp-lastack.conf is there and was not written by this module; give another path, or "
            "force: what it holds now is then kept in the ledger."
        )
        assert host.picture() == before
        host.apply(QUEUE, force=True)
        assert host.dropin() == ["net.core.somaxconn = 4096"]
        assert not failures(host.apply(state="restored"))
        assert host.picture() == before

    @pytest.mark.parametrize("path", ["/etc/passwd", "/etc/sysctl.conf", "/etc/sysctl.d/../passwd", "x.conf", "/etc/x"])
    def test_no_other_path(self, host: FakeHost, path: str) -> None:
        with pytest.raises(RefusedPath):
            host.apply(QUEUE, path=path)
        assert host.get(SOMAXCONN) == "128"

    def test_a_symlinked_dropin(self, host: FakeHost) -> None:
        target = host.file("etc/target", "")
        (host.root / DROPIN).symlink_to(target)
        with pytest.raises(RefusedPath) as error:
            host.apply(QUEUE)
        assert str(error.value) == (
            "/etc/sysctl.d/99-tcp-lastack.conf is a symbolic link; it was neither followed nor changed."
        )
        assert (host.get(SOMAXCONN), target.read_text()) == ("128", "")

    def test_disk_full_while_persisting(self, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_more: object, **_options: object) -> None:
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr(guarded_files, "_write", full)
        result = host.apply(QUEUE)
        assert result.keys[0].status == "changed"
        assert failures(result) == [
            "/etc/sysctl.d/99-tcp-lastack.conf could not be written (No space left on device); "
            "the values hold until the next boot."
        ]
        assert (result.changed, host.get(SOMAXCONN), host.dropin()) == (True, "4096", [])
        monkeypatch.undo()
        assert host.apply(QUEUE).changed
        assert host.dropin() == ["net.core.somaxconn = 4096"]

    def test_a_directory_that_is_none(self, host: FakeHost) -> None:
        (host.root / "etc/sysctl.d").rmdir()
        host.file("etc/sysctl.d", "")
        with pytest.raises(RefusedPath) as error:
            host.apply(QUEUE)
        assert str(error.value) == "/etc/sysctl.d is no directory; nothing behind it is read or changed."
        assert host.get(SOMAXCONN) == "128"

    def test_a_missing_directory_is_made_and_goes_again(self, host: FakeHost) -> None:
        (host.root / "etc/sysctl.d").rmdir()
        before = host.picture()
        host.apply(QUEUE)
        assert host.dropin() == ["net.core.somaxconn = 4096"]
        host.apply(state="restored")
        assert host.picture() == before


class TestLedgerTrouble:
    """Nothing is changed where it could not be undone."""

    def test_a_corrupt_ledger_is_kept_and_said(self, host: FakeHost) -> None:
        host.apply(QUEUE)
        (host.root / LEDGER).write_text("{")
        host.set(SOMAXCONN, "128")
        with pytest.raises(LedgerError, match=r"is corrupt: .*; it was kept and nothing was changed"):
            host.apply(QUEUE)
        assert (host.get(SOMAXCONN), read(host, LEDGER)) == ("128", "{")

    def test_two_runs_at_once(self, host: FakeHost) -> None:
        with open_ledger(root=str(host.root)):
            with pytest.raises(LedgerError, match=r"is locked by another run.*; nothing was changed"):
                host.apply(QUEUE)
            assert host.get(SOMAXCONN) == "128"
            assert host.one(QUEUE, check=True).status == "changed"
        assert host.one(QUEUE).status == "changed"

    def test_a_ledger_that_is_a_link(self, host: FakeHost) -> None:
        host.apply(QUEUE)
        ledger = host.root / LEDGER
        ledger.rename(host.root / "elsewhere")
        ledger.symlink_to(host.root / "elsewhere")
        with pytest.raises(LedgerError, match="is a symbolic link; it was kept and nothing was changed"):
            host.apply(QUEUE | {"value": "8192"})
        assert host.get(SOMAXCONN) == "4096"

    def test_the_first_value_is_kept_over_many_runs(self, host: FakeHost) -> None:
        for value in ("4096", "8192", "9000"):
            host.apply(entry(SOMAXCONN, value))
        assert not failures(host.apply(state="restored"))
        assert host.get(SOMAXCONN) == "128"


class TestContainers:
    @pytest.mark.parametrize(
        ("inside", "word"),
        [({"user": 7}, "a container"), ({"pid": 7}, "a container"), ({"net": 7}, "a network namespace of its own")],
    )
    def test_a_value_of_the_machine_is_never_written(self, host: FakeHost, inside: dict[str, int], word: str) -> None:
        host.kernel(fs__nr_open="1000", net__core__rmem_max="1000")
        host.enclose(**inside)
        result = host.apply(
            entry("fs.nr_open", "2000"), entry("net.core.rmem_max", "2000", scope="global"), QUEUE, persist=True
        )
        assert [one.status for one in result.keys] == ["read_only", "read_only", "changed"]
        assert result.keys[0].reason == f"the machine has one value, which is never written from inside {word}"
        assert (result.failed_keys, host.get("fs.nr_open"), host.get("net.core.rmem_max")) == ((), "1000", "1000")
        assert host.dropin() == ["net.core.somaxconn = 4096"]
        assert host.one(entry("fs.nr_open", "1000")).status == "ok"

    def test_on_the_machine_it_is(self, host: FakeHost) -> None:
        host.kernel(fs__nr_open="1000")
        assert host.one(entry("fs.nr_open", "2000", scope="global")).status == "changed"

    def test_read_only_proc_sys(self, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
        deny_writing(monkeypatch)
        for check in (True, False):
            result = host.apply(QUEUE, check=check)
            assert result.keys[0].status == "read_only"
            assert failures(result) == ["net.core.somaxconn cannot be written (Read-only file system)."]
            assert not result.changed
        host.enclose(user=7)
        assert failures(host.apply(QUEUE)) == []


def deny_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def deny(path: Any, flags: int, *rest: Any, **more: Any) -> int:  # noqa: ANN401 - os.open's own
        if "/proc/sys/" in str(path) and flags & os.O_WRONLY:
            raise OSError(30, os.strerror(30), path)
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", deny)


class TestGates:
    WANTED = (
        {"key": RESERVED, "value": "", "match": "union", "needs": "port_pressure"},
        {"key": REUSE, "value": "1", "needs": "port_pressure"},
        {"key": RANGE, "value": "16384 65535", "match": "wider", "needs": "port_pressure"},
    )

    @pytest.fixture
    def client(self, host: FakeHost) -> FakeHost:
        for key, value in ((REUSE, "2"), (RANGE, "32768\t60999"), (RESERVED, ""), (TIMESTAMPS, "1")):
            host.set(key, value)
        return host

    def test_without_pressure_they_are_reported(self, client: FakeHost) -> None:
        result = client.apply(*self.WANTED, evidence=lambda: PortPressure(12.5, "10.0.0.1:443", frozenset()))
        assert [one.status for one in result.keys] == ["ok", "gated", "gated"]
        assert result.keys[1].reason == (
            "no destination uses half of the automatic ports (most: 12.5 % towards 10.0.0.1:443)"
        )
        assert (result.changed, result.failed_keys, client.dropin()) == (False, (), [])

    def test_without_evidence_nothing_is_assumed(self, client: FakeHost) -> None:
        result = client.apply(*self.WANTED)
        assert result.keys[1].reason == "how many local ports are in use is not known"

    def test_without_timestamps_nothing_is_gained(self, client: FakeHost) -> None:
        client.set(TIMESTAMPS, "0")
        pressed = {"evidence": lambda: PortPressure(90.0, "10.0.0.1:443", frozenset())}
        result = client.apply(*self.WANTED, **pressed)
        assert result.keys[1].reason == "net.ipv4.tcp_timestamps is 0, and nothing is gained without timestamps"
        # Turned on by the same call, they count.
        result = client.apply(*self.WANTED, entry(TIMESTAMPS, "1"), **pressed)
        assert [one.status for one in result.keys] == ["ok", "changed", "changed", "changed"]

    def test_with_pressure_listeners_are_reserved_first(self, client: FakeHost) -> None:
        evidence = PortPressure(50.0, "10.0.0.1:443", frozenset({22, 20000, 20001, 40000}))
        result = client.apply(*self.WANTED, evidence=lambda: evidence)
        assert [(one.status, one.after) for one in result.keys] == [
            ("changed", "20000-20001"),
            ("changed", "1"),
            ("changed", "16384 65535"),
        ]
        # The pressure is gone because of it, and everything stays.
        again = client.apply(*self.WANTED, evidence=lambda: PortPressure(1.0, "", frozenset()))
        assert [one.status for one in again.keys] == ["ok", "ok", "ok"]
        assert not again.changed

    def test_a_listener_in_the_way_closes_the_range(self, client: FakeHost) -> None:
        evidence = PortPressure(99.0, "10.0.0.1:443", frozenset({20000}))
        result = client.apply(self.WANTED[2], evidence=lambda: evidence)
        assert result.keys[0].status == "gated"
        assert result.keys[0].reason == "something listens on 20000, inside the new range and not reserved"
        client.set(RESERVED, "20000")
        assert client.one(self.WANTED[2], evidence=lambda: evidence).status == "changed"

    def test_the_controllers_gate(self, client: FakeHost) -> None:
        result = client.apply(entry(SOMAXCONN, "4096", gated="Nobody said so"))
        assert (result.keys[0].status, result.keys[0].reason) == ("gated", "Nobody said so")
        assert (client.get(SOMAXCONN), client.dropin()) == ("128", [])


class TestHarmfulLines:
    NEVER = {"net.ipv4.tcp_tw_recycle": "It broke NAT."}  # noqa: RUF012 - read only
    LINES = "# tuning\nnet.ipv4.tcp_tw_recycle = 1\nnet.ipv4.tcp_fin_timeout = 30\n-net/ipv4/tcp_tw_recycle=0\n"

    def test_found_and_left(self, host: FakeHost) -> None:
        host.file("etc/sysctl.conf", self.LINES)
        result = host.apply(QUEUE, never=self.NEVER)
        assert [(one.place, one.removed, one.error) for one in result.harmful] == [
            ("/etc/sysctl.conf:2", False, ""),
            ("/etc/sysctl.conf:4", False, ""),
        ]
        assert failures(result) == []
        assert read(host, "etc/sysctl.conf") == self.LINES

    def test_removed_and_restored(self, host: FakeHost) -> None:
        conf = host.file("etc/sysctl.conf", self.LINES)
        conf.chmod(0o640)
        (host.root / "etc/sysctl.d/99-sysctl.conf").symlink_to("../sysctl.conf")
        host.file("etc/sysctl.d/10-old.conf", "net.ipv4.tcp_tw_recycle=1")
        host.file("usr/lib/sysctl.d/10-vendor.conf", "net.ipv4.tcp_tw_recycle=1\n")
        before = host.picture()
        predicted = host.apply(QUEUE, never=self.NEVER, remove_harmful=True, check=True)
        assert host.picture() == before
        result = host.apply(QUEUE, never=self.NEVER, remove_harmful=True)
        assert predicted == result
        assert read(host, "etc/sysctl.conf") == "# tuning\nnet.ipv4.tcp_fin_timeout = 30\n"
        assert conf.stat().st_mode & 0o777 == 0o640
        assert read(host, "etc/sysctl.d/10-old.conf") == ""
        assert as_return(result)["removed_lines"] == [
            "/etc/sysctl.d/10-old.conf:1",
            "/etc/sysctl.d/99-sysctl.conf:2",
            "/etc/sysctl.d/99-sysctl.conf:4",
            "/etc/sysctl.conf:2",
            "/etc/sysctl.conf:4",
        ]
        assert len(failures(result)) == 1
        assert failures(result)[0].startswith("'/usr/lib/sysctl.d/10-vendor.conf' is none of the files")
        again = host.apply(QUEUE, never=self.NEVER, remove_harmful=True)
        assert not again.changed
        assert not failures(host.apply(state="restored"))
        assert host.picture() == before


class TestStates:
    def test_absent_takes_lines_out_and_leaves_the_kernel(self, host: FakeHost) -> None:
        host.set("net.core.a", "1")
        host.apply(QUEUE, entry("net.core.a", "2"))
        check = host.apply({"key": "net/core/a"}, {"key": "net.core.b"}, state="absent", check=True)
        result = host.apply({"key": "net/core/a"}, {"key": "net.core.b"}, state="absent")
        assert check == result
        assert [(one.key, one.status, one.boot) for one in result.keys] == [
            ("net.core.a", "changed", None),
            ("net.core.b", "ok", None),
        ]
        assert host.dropin() == ["net.core.somaxconn = 4096"]
        assert host.get("net.core.a") == "2"
        assert host.apply(state="absent").changed
        assert not (host.root / DROPIN).exists()
        assert not host.apply(state="absent").changed
        host.apply(state="restored")
        assert (host.get("net.core.a"), host.get(SOMAXCONN)) == ("1", "128")

    def test_absent_leaves_the_file_of_somebody_else(self, host: FakeHost) -> None:
        host.file(DROPIN, "net.core.a = 1\n")
        assert not host.apply(state="absent").changed
        assert read(host, DROPIN) == "net.core.a = 1\n"

    def test_restored_is_exact_and_leaves_nothing(self, host: FakeHost) -> None:
        before = host.picture()
        host.apply(QUEUE)
        predicted = host.apply(state="restored", check=True)
        result = host.apply(state="restored")
        assert predicted == result
        assert [(one.subject, one.status) for one in result.restored] == [
            ("/etc/sysctl.d/99-tcp-lastack.conf", "restored"),
            (SOMAXCONN, "restored"),
        ]
        assert result.changed
        assert host.picture() == before
        again = host.apply(state="restored")
        assert (again.changed, again.restored) == (False, ())

    def test_a_conflict_is_said_and_left_unless_forced(self, host: FakeHost) -> None:
        host.apply(QUEUE)
        host.set(SOMAXCONN, "999")
        result = host.apply(state="restored")
        assert as_return(result)["conflicts"] == [SOMAXCONN]
        assert failures(result) == [
            "net.core.somaxconn was changed to '999' by somebody else since; it was left as it is."
        ]
        assert host.get(SOMAXCONN) == "999"
        assert not failures(host.apply(state="restored", force=True))
        assert host.get(SOMAXCONN) == "128"


KEYS = {
    SOMAXCONN: st.integers(1, 70000).map(str),
    "net.ipv4.tcp_rmem": st.lists(st.integers(1, 9000), min_size=3, max_size=3).map(lambda n: "\t".join(map(str, n))),
    TIMESTAMPS: st.sampled_from(["0", "1", "2"]),
    # As the kernel spells them: a plain file would show what was written.
    RESERVED: st.sets(st.integers(1, 20), max_size=6).map(port_list),
    RANGE: st.tuples(st.integers(1024, 30000), st.integers(30001, 65535)).map(lambda ends: f"{ends[0]}\t{ends[1]}"),
    "net.ipv4.tcp_congestion_control": st.sampled_from(["cubic", "reno"]),
}
RULES = {RESERVED: ["union", "exact"], RANGE: ["wider", "exact"], "net.ipv4.tcp_congestion_control": ["exact"]}
FILES = (
    "etc/sysctl.conf",
    "etc/sysctl.d/10-a.conf",
    "etc/sysctl.d/zz.conf",
    "etc/sysctl.d/.dot.conf",
    "run/sysctl.d/zz.conf",
    "usr/lib/sysctl.d/50-b.conf",
    DROPIN,
)


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    """A kernel, its files, what is asked for, and how."""
    kernel = {key: draw(values) for key, values in KEYS.items() if draw(st.booleans())}
    files = {}
    for name in FILES:
        keys = draw(st.lists(st.sampled_from(sorted(KEYS)), max_size=2))
        if keys:
            files[name] = "".join(f"{draw(st.sampled_from(['', '-']))}{key} = {draw(KEYS[key])}\n" for key in keys)
    entries = []
    for key in draw(st.permutations(sorted(KEYS))):
        if draw(st.booleans()):
            match = draw(st.sampled_from(RULES.get(key, ["exact", "at_least", "at_most"])))
            value = " ".join(draw(KEYS[key]).split())
            fields = {"persist": draw(st.booleans()), "gated": draw(st.sampled_from(["", "", "no"]))}
            fields |= {
                "never": draw(st.sampled_from(["", "", "", "bad"])),
                "scope": draw(st.sampled_from(["", "global"])),
            }
            fields["accepts"] = ["2"] if key == TIMESTAMPS else []
            entries.append({"key": key, "value": value, "match": match, **fields})
    options = {
        "persist": draw(st.booleans()),
        "force": True,
        "remove_harmful": draw(st.booleans()),
        "never": {TIMESTAMPS: "for the test"} if draw(st.booleans()) else {},
    }
    return {"kernel": kernel, "files": files, "entries": entries, "options": options, "enclosed": draw(st.booleans())}


def make(folder: str, world: dict[str, Any]) -> FakeHost:
    host = FakeHost(Path(folder) / "host")
    for key, value in world["kernel"].items():
        host.set(key, value)
    for name, content in world["files"].items():
        host.file(name, content)
    host.enclose(**({"net": 7} if world["enclosed"] else {}))
    return host


def normal(host: FakeHost) -> dict[str, Any]:
    """The host with the kernel's white space collapsed, as the kernel would choose it anew."""
    return {
        name: (mode, b" ".join(content.split()) if content is not None and name.startswith("proc/sys") else content)
        for name, (mode, content) in host.picture().items()
    }


FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FEW
@given(world=worlds())
def test_check_predicts_the_run_and_changes_nothing(world: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        host = make(folder, world)
        before = host.picture()
        predicted = host.apply(*world["entries"], check=True, **world["options"])
        assert host.picture() == before
        result = host.apply(*world["entries"], **world["options"])
        assert as_return(predicted) == as_return(result)
        assert result.changed == bool(result.diff) == (normal(host) != normal_of(before, host))


def normal_of(picture: dict[str, Any], host: FakeHost) -> dict[str, Any]:
    """An earlier picture in normal form, with the ledger that the host has now."""
    kept = {
        name: (mode, b" ".join(content.split()) if content is not None and name.startswith("proc/sys") else content)
        for name, (mode, content) in picture.items()
    }
    return kept | {name: entry for name, entry in normal(host).items() if name.startswith("var/lib/lastack")}


@FEW
@given(world=worlds())
def test_the_second_run_changes_nothing_and_predicts_that(world: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        host = make(folder, world)
        first = host.apply(*world["entries"], **world["options"])
        before = host.picture()
        for check in (True, False):
            again = host.apply(*world["entries"], check=check, **world["options"])
            assert not again.changed
            assert again.diff == []
            assert again.failed_keys == first.failed_keys
            assert host.picture() == before


@FEW
@given(world=worlds(), other=worlds())
def test_restore_after_apply_is_identity(world: dict[str, Any], other: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        host = make(folder, world)
        before = normal(host)
        host.apply(*world["entries"], **world["options"])
        predicted = host.apply(*other["entries"], check=True, **other["options"])
        assert as_return(predicted) == as_return(host.apply(*other["entries"], **other["options"]))
        result = host.apply(state="restored")
        assert failures(result) == []
        assert normal(host) == before


@FEW
@given(world=worlds())
def test_what_is_said_to_be_good_is_good(world: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        host = make(folder, world)
        result = host.apply(*world["entries"], **world["options"])
        asked = {setting.key: setting for setting in parse_settings(world["entries"])}
        for one in result.keys:
            if one.status in ("ok", "kept", "changed"):
                assert satisfies(asked[one.key], host.get(one.key))
                gated = asked[one.key].gated
                if world["options"]["persist"] and asked[one.key].persist and not gated:
                    for line in (one.boot, one.reload):
                        wanted = asked[one.key]
                        silent = line is None and not one.after and wanted.match != "exact"
                        assert silent or (line is not None and satisfies(wanted, line.value))
