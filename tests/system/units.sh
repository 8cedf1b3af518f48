# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the tests of the units share: TAP, a container with the project installed in it, and looks at
# what runs there. To be sourced; $plan is the number of the tests.
#
# BUILD_DIR is meson's build directory. The container lives as long as the test.

: "${BUILD_DIR:?is where meson has built}"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/system/container.sh
. "$here/container.sh"

work=$(mktemp -d) || exit 1
number=0
failures=0

report() { # status name; what the test has written to $work/output says why
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number - $2"
	else
		echo "not ok $number - $2"
		tail -30 "$work/output" 2>/dev/null | cut -c1-200 | sed 's/^/# /'
		failures=1
	fi
	: >"$work/output"
}

skip_all() { # reason
	echo "1..0 # SKIP $1"
	exit 0
}

finish() {
	trap - EXIT
	container_end
	rm -rf "$work"
}

# A systemd, or the reason why there is none here.
set_up() {
	trap finish EXIT
	trap 'exit 1' INT TERM
	[ "$(id -u)" -eq 0 ] || skip_all "only root can make namespaces"
	[ -c /dev/kvm ] || skip_all "no /dev/kvm"
	"$BUILD_DIR/client/gmemctl" probe >/dev/null 2>&1 ||
		skip_all "gmemctl probe: this host has no guest_memfd behind a gate"
	container_boot "$work/container" 2>"$work/output" ||
		skip_all "no systemd boots in namespaces here: $(tail -1 "$work/output")"
	echo "1..$plan"
}

# Waits until a command succeeds, a minute at most.
eventually() {
	local i
	for i in $(seq 600); do
		"$@" >"$work/output" 2>&1 && return 0
		sleep 0.1
	done
	return 1
}

# On some machines KVM offers what it then refuses, and QEMU's -cpu host ends with an abort, of which bash would tell.
qemu_has_host_processor() {
	sh -c 'qemu-system-x86_64 -accel kvm -cpu host -nodefaults -display none -S -qmp stdio; exit $?' \
		<<<'{"execute":"qmp_capabilities"}{"execute":"quit"}' >/dev/null 2>&1
}

# Whole files, to the same paths inside.
put_into_container() { # directory
	tar -C "$1" -c . | container_run tar -C / -x --keep-directory-symlink --no-overwrite-dir
}

install_project() {
	DESTDIR=$work/install meson install -C "$BUILD_DIR" --no-rebuild >"$work/output" 2>&1 &&
		put_into_container "$work/install" &&
		container_run sh -c 'ldconfig; systemd-sysusers && systemd-tmpfiles --create &&
			install -D -m 644 /usr/local/share/gmemd/gmemd.conf /etc/gmemd/gmemd.conf &&
			chgrp kvm /dev/kvm && systemctl daemon-reload' >>"$work/output" 2>&1 &&
		plain_vmms
}

# A VMM that a test kills stays dead, and one that is to do all but make its VM has started.
plain_vmms() {
	printf '%s\n' '[Service]' Restart=no Type=exec | container_run sh -c 'mkdir -p /etc/systemd/system/gmem-vmm@.service.d &&
		cat >/etc/systemd/system/gmem-vmm@.service.d/plain.conf && systemctl daemon-reload'
}

# What tests write in Python, with its library: /tmp is emptied when a systemd boots.
install_python() { # script...
	mkdir -p "$work/python/usr/local/lib/gmemd-test" &&
		cp -r "$here/gmemtest" "$@" "$work/python/usr/local/lib/gmemd-test" &&
		put_into_container "$work/python"
}
run_python() { # argument...
	container_run env PYTHONPATH=/usr/local/lib/gmemd-test PYTHONDONTWRITEBYTECODE=1 \
		PYTHONUNBUFFERED=1 python3 "$@"
}

# Lines of a [Service] section, beside a unit's own.
drop_in() { # unit line...
	local unit=$1
	shift
	printf '%s\n' '[Service]' "$@" | container_run sh -c \
		'mkdir -p "/etc/systemd/system/$0.d" && cat >"/etc/systemd/system/$0.d/test.conf" &&
			systemctl daemon-reload' "$unit"
}

property() { # unit name
	container_run systemctl show -P "$2" "$1"
}

# Never 0, which kill(1) takes for this test's own process group.
main_pid() { # unit
	local pid
	pid=$(property "$1" MainPID)
	[ "${pid:-0}" -gt 0 ] && echo "$pid"
}

status_line() { # unit pattern
	container_run cat "/proc/$(main_pid "$1")/status" >"$work/output"
	grep -q "$2" "$work/output"
}

gmemd_has_its_user() {
	status_line gmemd.service "^Uid:[[:space:]]*$(container_run id -u gmemd)[[:space:]]"
}

# CAP_SYS_PTRACE; CAP_DAC_OVERRIDE and CAP_LINUX_IMMUTABLE, out of effect; and no other.
gmemd_has_its_capabilities() {
	status_line gmemd.service '^CapEff:[[:space:]]*0000000000080000$' &&
		status_line gmemd.service '^CapPrm:[[:space:]]*0000000000080202$' &&
		status_line gmemd.service '^CapBnd:[[:space:]]*0000000000080202$' &&
		status_line gmemd.service '^CapAmb:[[:space:]]*0000000000000000$'
}

gmemd_has_its_filter() {
	status_line gmemd.service '^NoNewPrivs:[[:space:]]*1$' &&
		status_line gmemd.service '^Seccomp:[[:space:]]*2$'
}

# gmemd's user, no capability, a filter.
keeper_is_confined() {
	local uid
	uid=$(container_run id -u gmemd)
	container_run cat "/proc/$(main_pid gmemd-keeper.service)/status" |
		grep -E '^(Uid|CapBnd|NoNewPrivs|Seccomp):' | tr -s '[:blank:]' ' ' >"$work/status"
	diff - "$work/status" >"$work/output" <<-EOF
		Uid: $uid $uid $uid $uid
		CapBnd: 0000000000000000
		NoNewPrivs: 1
		Seccomp: 2
	EOF
}
