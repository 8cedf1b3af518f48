#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Debian's packages: built by dpkg-buildpackage from a copy of this tree, looked at by lintian; those of the commit before are
# installed under a real systemd, upgraded to these while a VM runs, and removed. With KVM if this host has it, else with gmemd's
# model.
#
# It takes minutes, so it runs where PACKAGES says so, as in tests/run --long: yes, or a folder that has them already. COMMIT
# names another commit than the one before, PACKAGES_BEFORE a folder with the packages of one.
set -u
. "$(dirname "$0")/../system/units.sh"
: "${SOURCE_DIR:?is where the project is}"
trap finish EXIT
trap 'exit 1' INT TERM
[ -n "${PACKAGES-}" ] || skip_all "it takes minutes: tests/run --long runs it"
[ "$(id -u)" -eq 0 ] || skip_all "only root can make namespaces"
for tool in dpkg-buildpackage dh lintian; do
	command -v "$tool" >/dev/null || skip_all "no $tool"
done

skip() { # name reason
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}
this_tree() {
	(cd "$SOURCE_DIR" && git ls-files -z -co --exclude-standard 2>/dev/null || find . -type f -not -path './build*' -print0) |
		tar -C "$SOURCE_DIR" -c --null -T - --ignore-failed-read 2>/dev/null
}
commit=${COMMIT-HEAD~1}
tree_before() {
	git -C "$SOURCE_DIR" archive "$commit"
}
build_packages() { # folder tree [older]
	mkdir -p "$1/source" && $2 | tar -C "$1/source" -x && cp -r "$1/source/units/debian" "$1/source/debian" &&
		{ [ -z "${3-}" ] || sed -i '1s/)/~before)/' "$1/source/debian/changelog"; } &&
		(cd "$1/source" && DEB_BUILD_OPTIONS='noautodbgsym parallel=2' dpkg-buildpackage -b -us -uc) >"$work/output" 2>&1
}
built=$PACKAGES
before=${PACKAGES_BEFORE-}
if [ "$PACKAGES" = yes ]; then
	built=$work/tree
	build_packages "$built" this_tree
	report $? "dpkg-buildpackage builds them"
fi
title="those of the commit before are built"
if [ -n "$before" ]; then
	report 0 "those that are upgraded were built before"
elif git -C "$SOURCE_DIR" rev-parse -q --verify "$commit:units/debian" >/dev/null 2>&1; then
	before=$work/before
	build_packages "$before" tree_before older
	report $? "$title"
else
	before=$built
	skip "$title" "there is no such commit here, or it has no packages: they are installed over themselves"
fi
lintian --fail-on error "$built"/*.changes >"$work/output" 2>&1
report $? "lintian finds no error"

container_boot "$work/container" 2>"$work/output"
report $? "a systemd boots"
mkdir -p "$work/put/root/packages" "$work/put/root/before"
cp "$built"/*.deb "$work/put/root/packages" && cp "$before"/*.deb "$work/put/root/before" && put_into_container "$work/put"
container_run sh -c 'dpkg -i /root/before/*.deb' >"$work/output" 2>&1
report $? "they install"

sockets='gmemd.socket gmemd-admin.socket gmemd-keeper.socket'
sockets_wait() {
	# shellcheck disable=SC2086
	[ "$(container_run systemctl is-active $sockets | sort -u)" = active ] &&
		[ "$(container_run systemctl is-enabled $sockets | sort -u)" = enabled ]
}
sockets_wait >"$work/output" 2>&1
report $? "gmemd's sockets wait for whoever connects, and will after a boot"
container_run sh -c 'id gmemd && getent group gmem && man -w gmemd gmemctl libgmem gmem_free gmemd.conf &&
	cc -x c - -o /root/vmm $(pkg-config --cflags --libs gmem) && /root/vmm && /usr/bin/python3 -c "import gmem" &&
	bash -c ". /usr/share/bash-completion/completions/gmemctl && complete -p gmemctl"' \
	>"$work/output" 2>&1 <<<'#include <gmem.h>
int main(void) { return gmem_free(0) != 0; }'
report $? "users, manual pages, header, Python module and completion are there"

container_run chgrp kvm /dev/kvm
plain_vmms
guests=yes
if ! "$BUILD_DIR/client/gmemctl" probe >/dev/null 2>&1; then
	guests=
	drop_in gmemd.service ExecStart= 'ExecStart=/usr/sbin/gmemd --backend=model'
	drop_in gmem-vmm@.service 'Environment="VMM=/usr/bin/gmem-example-vmm --pause-at=bound"'
	# gmemd-libvirt has connected, so it runs already.
	container_run systemctl restart gmemd.service
fi
container_run systemctl start gmem-vmm@example >"$work/output" 2>&1 && container_run gmemctl show example >>"$work/output" 2>&1
report $? "a VM runs on them"

begun() { # unit...
	local unit
	for unit in "$@"; do container_run systemctl show -P ActiveEnterTimestampMonotonic "$unit"; done
}
the_vm() { echo "$(main_pid gmem-vmm@example.service) $(container_run gmemctl vms --noheadings -o id)"; }
# shellcheck disable=SC2086
socket_times=$(begun $sockets)
vm=$(the_vm)
gmemd=$(main_pid gmemd.service) keeper=$(main_pid gmemd-keeper.service)
container_run sh -c 'dpkg -i /root/packages/*.deb' >"$work/output" 2>&1
report $? "they are upgraded under it"
if [ "$before" != "$built" ]; then
	! container_run dpkg-query -W -f '${Version}\n' gmemd gmem-tools gmemd-libvirt libgmem0 | grep before >"$work/output" 2>&1
	report $? "each is the newer one"
fi
# shellcheck disable=SC2086
[ "$(begun $sockets)" = "$socket_times" ] && sockets_wait
report $? "the sockets are the same"
container_run gmemctl ping >"$work/output" 2>&1 && [ "$(main_pid gmemd.service)" != "$gmemd" ]
report $? "gmemd is another"
if [ -n "$guests" ]; then
	[ "$(the_vm)" = "$vm" ] && [ "$(main_pid gmemd-keeper.service)" != "$keeper" ]
	report $? "its keeper is, too, and the VM goes on"
else
	skip "its keeper is, too, and the VM goes on" "the model has no VM that outlives it"
	container_run systemctl restart gmem-vmm@example
fi

packages='gmemd-exporter gmemd-libvirt gmemd gmem-tools libgmem-dev libgmem0 python3-gmem'
eventually container_run gmemctl show example
! container_run dpkg -r gmemd-exporter gmemd-libvirt gmemd >"$work/output" 2>&1 && grep -q 'VMs run on' "$work/output" &&
	container_run gmemctl show example >>"$work/output" 2>&1
report $? "gmemd is not removed while a VM runs"
# shellcheck disable=SC2086
container_run systemctl stop gmem-vmm@example && container_run dpkg --configure -a >"$work/output" 2>&1 &&
	container_run dpkg --purge $packages >>"$work/output" 2>&1
report $? "they are removed"
# What has been written in the container, over this host's root; what was removed is a device there.
written() {
	(cd "$container_directory/fs/upper" && find . \( -path ./root -o -path ./tmp -o -path ./var/log -o -path ./run -o -path ./var/tmp \) -prune -o \
		! -type c -name "*gmem*" -print)
}
{
	container_run systemctl list-units --all --plain --no-legend "gmemd*" "gmem-vmm*" | grep -v slice
	written | grep -v -e '^./etc/systemd/system/gmem'
} >"$work/left"
[ ! -s "$work/left" ]
status=$?
cp "$work/left" "$work/output"
report $status "nothing is left of them but their user"

echo "1..$number"
exit $failures
