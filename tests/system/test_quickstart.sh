#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# units/quickstart: it succeeds on this host, and on one without KVM, and leaves nothing behind.

HERE=$(dirname "$0")
# shellcheck source=tests/system/tap.sh
. "$HERE/tap.sh"
: "${SOURCE_DIR:?is where the project is}"

# Longer where the machine is busy with more than this.
allowed_seconds() {
	awk '{ load = $1 / 2; print int(30 * (load > 1 ? load : 1)) }' /proc/loadavg
}

# shows WORDS DESCRIPTION
shows() {
	grep -q -e "$1" "$WORK_DIR/said"
	result $? "$2" "$(tail -15 "$WORK_DIR/said")"
}

# Of its gmemds; a keeper may take a moment to end.
keepers_left() {
	local i left
	for i in $(seq 600); do
		left=$(pgrep -f -- '^gmemd-keeper --runtime-directory=/tmp/gmemd-quickstart' || true)
		[ -n "$left" ] || return
		sleep 0.1
	done
	echo "after $i tries: $left"
}

# What a bare Debian 12 has not.
lack_programs() {
	local name
	mkdir "$WORK_DIR/lacking"
	for name in pgrep pkill ps killall; do
		printf '#!/bin/sh\necho "%s: not found" >&2\nexit 127\n' "$name" >"$WORK_DIR/lacking/$name"
	done
	chmod 755 "$WORK_DIR/lacking"/*
}

quickstart() { # description [command before it]
	local description=$1 before after status seconds
	shift
	before=$(ls -d /tmp/gmemd-quickstart.* 2>/dev/null)
	seconds=$SECONDS
	TMPDIR=$WORK_DIR PATH=$WORK_DIR/lacking:$PATH "$@" "$SOURCE_DIR/units/quickstart" "$BUILD_DIR" >"$WORK_DIR/said" 2>&1
	status=$?
	seconds=$((SECONDS - seconds))
	is "$status" 0 "$description: it succeeds"
	[ "$status" -eq 0 ] || sed 's/^/# /' "$WORK_DIR/said"
	after=$(ls -d /tmp/gmemd-quickstart.* 2>/dev/null)
	is "$after" "$before" "$description: it leaves no files"
	is "$(keepers_left)" "" "$description: it leaves no process"
	is "$(grep 'not found' "$WORK_DIR/said")" "" "$description: nothing is missing on a bare system"
	[ "$seconds" -le "$(allowed_seconds)" ]
	result $? "$description: it takes no longer than it may" "$seconds s"
	shows 'the guest sees "a secret", the host sees ""' "$description: conversion is shown"
	shows 'private_ranges\|Private ranges' "$description: and what gmemctl says of it"
	shows "32 KiB were reclaimed" "$description: and reclaiming"
}

[ "$(id -u)" -eq 0 ] || skip_all "needs root, to run a VMM as another user"
command -v meson >/dev/null || skip_all "no meson"
[ -e "$BUILD_DIR/client/gmem-example-vmm" ] || skip_all "the example VMM is x86 code"
echo "TAP version 13"
set_up
unset LD_LIBRARY_PATH
lack_programs

: >"$WORK_DIR/no-kvm"
# shellcheck disable=SC2016
quickstart "without KVM" unshare --mount --propagation private sh -c 'mount --bind "$0" /dev/kvm 2>/dev/null; exec "$@"' \
	"$WORK_DIR/no-kvm"
shows "a host needs Linux 6.18" "without KVM: its last lines say what a host needs"

lack=$(host_lack)
if [ -n "$lack" ]; then
	skip "with KVM" "$lack"
else
	quickstart "with KVM" env
	shows "the same" "with KVM: a guest runs"
	shows "took over from a predecessor: VMs 1" "with KVM: gmemd is killed under one, and another takes over"
	if command -v qemu-system-x86_64 >/dev/null; then
		shows "ram-1 *guest_memfd" "with KVM: an unmodified QEMU's memory is gmemd's"
	else
		skip "with KVM: an unmodified QEMU's memory is gmemd's" "no qemu-system-x86_64"
	fi
fi
finish
