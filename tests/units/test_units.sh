#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The units as systemd itself reads them: verified, their exposure, users, directories, and what an installation has.
set -u

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0
failures=0

report() { # status name
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number - $2"
	else
		echo "not ok $number - $2"
		tail -20 "$work/output" | sed 's/^/# /'
		failures=1
	fi
}
skip() { # name reason
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

echo 1..21

DESTDIR=$work/root meson install -C "$BUILD_DIR" --no-rebuild >"$work/output" 2>&1
report $? "everything installs"

installed=$(cd "$work/root" && find . -type f -o -type l | sed 's/^\.//')
status=0
for wanted in sbin/gmemd$ sbin/gmemd-exporter$ sbin/gmemd-keeper$ libexec/gmemd/gmemd-allocator$ libexec/gmemd/gmemd-taker$ libexec/gmemd/gmemd-screener$ libexec/gmemd/gmem-vmm-limits$ libexec/gmemd/gmem-vmm-name$ bin/gmemctl$ bin/gmem-run$ bin/gmem-example-vmm$ 'libgmem\.so\.0$' 'libgmem\.so$' \
	include/gmem.h$ pkgconfig/gmem.pc$ system/gmemd.service$ system/gmemd.socket$ \
	system/gmemd-admin.socket$ system/gmemd-exporter.service$ 'system/gmemd-export@.service$' 'system/gmemd-export@.timer$' monitoring/gmemd.rules.yml$ monitoring/gmemd-dashboard.json$ system/gmemd-keeper.service$ system/gmemd-keeper.socket$ 'system/gmem-vmm@.service$' 'system/gmem-vmm-name@.service$' sysusers.d/gmemd.conf$ tmpfiles.d/gmemd.conf$ \
	gmemd/gmemd.conf$ gmemd-protocol.md$ catalog/gmemd.catalog$ apparmor/apparmor-gmemd$ apparmor/apparmor-libvirt-qemu$ apparmor/apparmor-libvirtd$; do
	grep -q "/$wanted" <<<"$installed" || {
		echo "$wanted is not there"
		status=1
	}
done >"$work/output"
report $status "programs, library, header, pkg-config file, units, configuration and reference are installed"

prefix=$(meson introspect --buildoptions "$BUILD_DIR" |
	python3 -c 'import json, sys; print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"))')
! grep -v "^$prefix/" <<<"$installed" >"$work/output"
report $? "nothing is installed outside the prefix"

# What a unit starts is where the installation has put it: below DESTDIR here.
mkdir "$work/units"
for unit in gmemd.service gmemd-exporter.service gmemd-export@.service gmemd-export@.timer gmemd.socket gmemd-admin.socket gmemd-keeper.service gmemd-keeper.socket gmem-vmm@.service \
	gmem-vmm-name@.service gmemd-libvirt.service; do
	path=$(find "$work/root" -name "$unit")
	[ -n "$path" ] || continue # built without libvirt
	sed "/^Exec\(Start\|StartPre\|Reload\)=/s#/#$work/root/#" "$path" >"$work/units/$unit"
done
bridge=$work/units/gmemd-libvirt.service
[ -f "$bridge" ] || bridge=
systemd-analyze verify ${bridge:+"$bridge"} "$work"/units/gmemd.service "$work"/units/gmemd-exporter.service "$work/units/gmemd-export@nfd.timer" "$work/units/gmemd-export@nfd.service" "$work"/units/gmemd.socket \
	"$work"/units/gmemd-admin.socket "$work"/units/gmemd-keeper.service \
	"$work"/units/gmemd-keeper.socket "$work/units/gmem-vmm@example.service" \
	"$work/units/gmem-vmm-name@example.service" >"$work/output" 2>&1
status=$?
[ -s "$work/output" ] && status=1
report $status "systemd-analyze verify has nothing to say"

sed -i '/^ExecStart=/s#=.*#=/nonexistent/gmemd#' "$work/units/gmemd.service"
systemd-analyze verify "$work/units/gmemd.service" >"$work/output" 2>&1
[ -s "$work/output" ]
report $? "and it would have, of a program that is not there"

for setting in name:VM_NAME commit-limit:COMMIT_LIMIT reservation:RESERVATION; do
	grep -q "^Environment=.* ${setting#*:}=" "$work/units/gmem-vmm@.service" &&
		grep -q "^#   ${setting#*:}= " "$work/units/gmem-vmm@.service" &&
		grep -q "^ExecStart=.* --${setting%:*}=\${${setting#*:}} " "$work/units/gmem-vmm@.service"
	report $? "gmem-vmm@.service hands ${setting#*:}= to gmem-run, and says so"
done

systemd-analyze security --offline=yes --threshold=15 "$work/units/gmemd.service" >"$work/output" 2>&1
report $? "gmemd.service's exposure is at most 1.5 of 10"

systemd-analyze security --offline=yes --threshold=5 "$work/units/gmemd-keeper.service" >"$work/output" 2>&1
report $? "gmemd-keeper.service's exposure is at most 0.5 of 10"

for name in gmemd.sock admin.sock keeper.sock; do
	grep -qx "FileDescriptorName=$name" "$work"/units/*.socket &&
		grep -qx "ListenSequentialPacket=/run/gmemd/$name" "$work"/units/*.socket
	report $? "a socket unit passes $name by its name"
done

if systemd-sysusers --help 2>/dev/null | grep -q -- --root; then
	mkdir -p "$work/users/etc"
	systemd-sysusers --root="$work/users" "$(find "$work/root" -path '*sysusers.d/gmemd.conf')" >"$work/output" 2>&1 &&
		grep -q '^gmemd:' "$work/users/etc/passwd" && grep -q '^gmem:' "$work/users/etc/group" &&
		grep -q '^kvm:.*gmemd' "$work/users/etc/group" && grep -q '^gmem-admin:.*gmemd-libvirt' "$work/users/etc/group"
	report $? "sysusers makes the users gmemd in group kvm and gmemd-libvirt in gmem-admin, and the group gmem"
else
	skip "sysusers makes the users gmemd in group kvm and gmemd-libvirt in gmem-admin, and the group gmem" "this systemd-sysusers has no --root"
fi

systemd-tmpfiles --create --root="$work/tmpfiles" \
	"$(find "$work/root" -path '*tmpfiles.d/gmemd.conf')" >"$work/output" 2>&1 &&
	[ "$(stat -c %a "$work/tmpfiles/run/gmemd")" = 755 ]
report $? "tmpfiles makes /run/gmemd"

mkdir -p "$work/catalog/usr/lib/systemd/catalog" "$work/catalog/var/lib/systemd/catalog" &&
	cp "$(find "$work/root" -name gmemd.catalog)" "$work/catalog/usr/lib/systemd/catalog" &&
	journalctl --root="$work/catalog" --update-catalog >"$work/output" 2>&1 &&
	journalctl --root="$work/catalog" --list-catalog >"$work/listed" 2>>"$work/output" &&
	sed -n 's/^-- //p' "$work/catalog/usr/lib/systemd/catalog/gmemd.catalog" | sort >"$work/messages" &&
	cut -d' ' -f1 "$work/listed" | sort | diff "$work/messages" - >"$work/output" && [ -s "$work/messages" ]
report $? "journalctl makes its catalogue of gmemd's"

systemd-analyze security --offline=yes --threshold=15 "$work/units/gmemd-exporter.service" >"$work/output" 2>&1
report $? "gmemd-exporter.service's exposure is at most 1.5 of 10"

exposed="gmemd-libvirt.service's exposure is at most 1 of 10"
if [ -n "$bridge" ]; then
	systemd-analyze security --offline=yes --threshold=10 "$bridge" >"$work/output" 2>&1
	report $? "$exposed"
else
	skip "$exposed" "it is built without libvirt"
fi

name="AppArmor's parser takes the profile"
parser=$(PATH=$PATH:/sbin:/usr/sbin command -v apparmor_parser)
if [ -z "$parser" ]; then
	skip "$name" "there is no apparmor_parser"
else
	"$parser" -Q --skip-kernel-load --skip-cache "$(find "$work/root" -name apparmor-gmemd)" >"$work/output" 2>&1
	report $? "$name"
fi

# A profile as libvirt makes it of its template for a domain, and libvirtd's own, each with what is added to it.
for added in libvirt-qemu:abstractions/libvirt-qemu libvirtd:usr.sbin.libvirtd; do
	name="AppArmor's parser takes what is added for ${added%%:*}"
	part=$(find "$work/root" -name "apparmor-${added%%:*}")
	if [ -z "$parser" ]; then
		skip "$name" "there is no apparmor_parser"
	elif ! [ -f "/etc/apparmor.d/${added#*:}" ]; then
		skip "$name" "there is no /etc/apparmor.d/${added#*:}, of libvirt's"
	else
		if [ "${added%%:*}" = libvirtd ]; then
			sed "/<local.usr.sbin.libvirtd>/r $part" "/etc/apparmor.d/${added#*:}"
		else
			printf '%s\n' 'include <tunables/global>' 'profile libvirt-test flags=(attach_disconnected) {' \
				'include <abstractions/libvirt-qemu>'
			cat "$part"
			echo '}'
		fi >"$work/profile"
		"$parser" -Q --skip-kernel-load --skip-cache "$work/profile" >"$work/output" 2>&1
		report $? "$name"
	fi
done

exit $failures
