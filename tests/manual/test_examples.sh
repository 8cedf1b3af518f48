#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The examples of the manual pages, one by one, as they stand there, where gmemd is installed under a real systemd: with KVM
# if this host has it, else with gmemd's model. VM example, which they ask for, runs.
set -u
. "$(dirname "$0")/../system/units.sh"
: "${SOURCE_DIR:?is where the project is}"
trap finish EXIT
trap 'exit 1' INT TERM
[ "$(id -u)" -eq 0 ] || skip_all "only root can make namespaces"
container_boot "$work/container" 2>"$work/output" ||
	skip_all "no systemd boots in namespaces here: $(tail -1 "$work/output")"
# What stands there as -cpu host runs on what of it KVM has here.
processor=host
guests=yes
"$BUILD_DIR/client/gmemctl" probe >/dev/null 2>&1 || guests=
[ -z "$guests" ] || qemu_has_host_processor || processor=host,arch-capabilities=off

skip() { # name reason
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

mkdir "$work/examples"
python3 "$SOURCE_DIR/tests/manual/examples.py" "$work/examples" "$SOURCE_DIR"/units/manual/*.scd "$BUILD_DIR"/units/manual/*.scd \
	2>"$work/output"
report $? "examples are found"

# As the unit has it: other tests look at VMMs that are not ready yet.
notify=Type=notify
# No guest runs there, so VMMs stop when they have their memory.
serves_the_model() {
	drop_in gmemd.service ExecStart= 'ExecStart=/usr/local/sbin/gmemd --backend=model' &&
		drop_in gmem-vmm@.service "$notify" 'Environment="VMM=/usr/local/bin/gmem-example-vmm --pause-at=bound"'
}
install_project && {
	if [ -n "$guests" ]; then drop_in gmem-vmm@.service "$notify"; else serves_the_model; fi
} && container_run systemctl enable --now gmemd.socket gmemd-admin.socket >"$work/output" 2>&1 &&
	container_run systemctl start gmem-vmm@example >>"$work/output" 2>&1
report $? "gmemd is installed, and VM example runs"

as_user() { # command...
	local group
	group=$(container_run getent group gmem | cut -d: -f3)
	container_run setpriv --reuid nobody --regid nogroup --groups "$group" "$@"
}
run_root() { # script
	container_run bash -euo pipefail -s <"$1"
}
run_user() { # script
	as_user bash -euo pipefail -s <"$1"
}
# As the page says that it is built, in /tmp.
run_c() { # program
	container_run sh -euc 'cat >/tmp/example.c
		cc -Wall -Wextra -Werror /tmp/example.c -o /tmp/example $(pkg-config --cflags --libs gmem) -Wl,-rpath,/usr/local/lib' \
		<"$1" &&
		as_user /tmp/example && as_user gmem-run -- /tmp/example
}

for example in "$work"/examples/*; do
	name=$(basename "$example")
	title="${name%.*}: $(head -1 "$example")"
	if [ -z "$guests" ] && grep -qE -- '-accel kvm|gmemctl probe' "$example"; then
		skip "$title" "this host fails gmemctl probe"
		continue
	fi
	if grep -q '^virsh ' "$example"; then
		skip "$title" "there is no libvirtd beside this gmemd, as there is in domains"
		continue
	fi
	sed -i "s/-cpu host /-cpu $processor /" "$example"
	"run_${name##*.}" "$example" >"$work/output" 2>&1
	status=$?
	[ $status = 0 ] || container_run journalctl --no-pager -n 30 -o cat >>"$work/output"
	report $status "$title"
done

for page in gmemd gmemctl gmemd.conf gmem_free gmemd-protocol; do
	container_run man -w "$page"
done >"$work/output" 2>&1
[ "$(grep -c ^/usr/local/ "$work/output")" = 5 ]
report $? "man finds pages where they are installed"

echo "1..$number"
exit $failures
