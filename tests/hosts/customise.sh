#!/bin/sh
# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes a Debian tree, $1, into the image of a test host. Keys, names and addresses come when a host boots.
set -eu
root=$1

rm -f "$root"/etc/ssh/ssh_host_* "$root"/etc/hostname "$root"/etc/resolv.conf "$root"/var/lib/dbus/machine-id
: >"$root"/etc/machine-id
: >"$root"/etc/resolv.conf

cat >>"$root"/etc/ssh/sshd_config <<'END'
UseDNS no
PasswordAuthentication no
PermitRootLogin prohibit-password
MaxStartups 200:30:400
MaxSessions 100
END

# The unprivileged user that escalates with sudo, as on many fleets.
chroot "$root" useradd --gid operator --create-home --shell /bin/bash operator
echo 'operator ALL=(ALL) NOPASSWD: ALL' >"$root"/etc/sudoers.d/operator
chmod 440 "$root"/etc/sudoers.d/operator
mkdir -p "$root/root/.ssh" "$root/home/operator/.ssh"
chmod 700 "$root/root/.ssh" "$root/home/operator/.ssh"
chroot "$root" chown operator:operator /home/operator/.ssh

# What cannot run in a container, or reaches for the machine's kernel.
for unit in console-getty.service getty.target getty@.service systemd-udevd.service systemd-udevd-control.socket \
    systemd-udevd-kernel.socket systemd-udev-trigger.service systemd-modules-load.service kmod-static-nodes.service \
    systemd-binfmt.service proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount dev-hugepages.mount \
    dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
    sys-fs-fuse-connections.mount systemd-remount-fs.service systemd-firstboot.service systemd-journald-audit.socket \
    systemd-timesyncd.service systemd-resolved.service systemd-networkd.service systemd-pstore.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
chroot "$root" systemctl enable ssh.service
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb
