#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# VMMs that are instances of one unit, under a real systemd: each has a user of its own and is a stranger to the others, to
# the kernel and to gmemd; and names that can't be a user's are refused with the reason.
set -u
plan=23
. "$(dirname "$0")/units.sh"
set_up

configure() { # vm variable=value...
	local name=$1
	shift
	printf '%s\n' "$@" | container_run sh -c 'mkdir -p /etc/gmemd/vmm && cat >"/etc/gmemd/vmm/$0.conf"' "$name"
}
configure_stranger() { # vm argument...
	local name=$1
	shift
	configure "$name" "VMM=/usr/bin/python3 /usr/local/lib/gmemd-test/stranger.py $*" \
		PYTHONPATH=/usr/local/lib/gmemd-test PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
}
start() { # vm
	container_run systemctl start "gmem-vmm@$1.service" >"$work/output" 2>&1
}
uid_of() { # vm
	container_run stat -c %u "/proc/$(main_pid "gmem-vmm@$1.service")"
}
printed() { # unit
	container_run journalctl --sync
	container_run journalctl -q -o cat -u "$1"
}
vm_runs() { # vm
	container_run gmemctl --json show "$1" 2>/dev/null | grep -q '"state":"running"' &&
		container_run gmemctl --json show "$1" | grep -q '"state":"bound"'
}
member() { # vm python-expression
	container_run gmemctl --json show "$1" | python3 -c "import json, sys; print(json.load(sys.stdin)$2)"
}

has_finished() { # vm
	printed "gmem-vmm@$1.service" | grep -q '^finished'
}

# What a stranger's lines must be, whatever the errno says of the reason.
attempts=16
all_refused() { # file count
	sed -n '/: /p' "$1" >"$work/lines"
	grep -vE ': (EPERM|EACCES|ENOENT|ESRCH)$' "$work/lines" >"$work/output" && return 1
	[ "$(wc -l <"$work/lines")" = "$2" ] || { cat "$1" >"$work/output"; return 1; }
}

install_project && install_python "$here/stranger.py"
report $? "the installation goes in"
drop_in gmemd.service Environment=ASAN_OPTIONS=detect_leaks=0
container_run systemctl enable --now gmemd.socket gmemd-admin.socket >"$work/output" 2>&1
report $? "the sockets start"

start first && eventually vm_runs first
report $? "a VMM starts as a service"
first_pid=$(main_pid gmem-vmm@first.service)
first_uid=$(uid_of first)
[ "$(container_run getent passwd "$first_uid" | cut -d: -f1)" = gmem-first ]
report $? "its user is its own"
first_vm=$(member first '["vm"]')
first_memory=$(member first '["memories"][0]["memory"]')

# The same attempts by who may: else they would fail for another reason than that they are a stranger's.
run_python - "$first_uid" "$first_pid" >"$work/control" 2>&1 <<-'EOF'
	import os, sys
	uid = int(sys.argv[1])
	os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
	os.execv(sys.executable, [sys.executable, "/usr/local/lib/gmemd-test/stranger.py", sys.argv[2]])
EOF
cp "$work/control" "$work/output"
[ "$(grep -c ': done$' "$work/control")" = "$attempts" ]
report $? "control: a process of the same user, outside of gate and sandbox, can do all of it"

configure_stranger second "$first_pid" hard "$first_vm" "$first_memory"
start second && eventually has_finished second
report $? "another VMM starts as a service, and tries"
[ "$(uid_of second)" != "$first_uid" ]
report $? "its user is another"
status_line gmem-vmm@second.service '^Seccomp:[[:space:]]*2$'
report $? "it is behind the gate"
printed gmem-vmm@second.service >"$work/said"
grep -vE '^(list VMs|vm\.|memory\.|slot\.|finished)' "$work/said" | grep -E '^[a-z /]+: [A-Za-z]+$' >"$work/attempts"
all_refused "$work/attempts" $((attempts + 2))
report $? "it can't see, read, write, signal, trace, stop or kill the first"
[ "$(main_pid gmem-vmm@first.service)" = "$first_pid" ] && vm_runs first
report $? "which runs on"
grep -q '^list VMs: its own$' "$work/said"
report $? "to gmemd, too, it has its own VM alone"
grep -E '^(vm|memory|slot)\.' "$work/said" >"$work/requests"
cp "$work/requests" "$work/output"
[ "$(wc -l <"$work/requests")" = 7 ] && ! grep -v ': not_found$' "$work/requests"
report $? "and can't look at, open, change, resume or close the first's, of which it hears nothing but that there is none"

# A dynamic uid is used again.
container_run systemctl stop gmem-vmm@second.service gmem-vmm@first.service >"$work/output" 2>&1
report $? "both are stopped"
configure_stranger first 1 hard "$first_vm" "$first_memory"
start first && eventually has_finished first
report $? "a VMM of the first's name starts"
[ "$(uid_of first)" = "$first_uid" ]
report $? "with the dead one's uid"
printed gmem-vmm@first.service >"$work/said"
grep -q '^list VMs: its own$' "$work/said" &&
	[ "$(grep -E '^(vm|memory|slot)\.' "$work/said" | grep -c ': not_found$')" = 7 ]
status=$?
cp "$work/said" "$work/output"
report $status "and nothing of what the dead one had"
container_run systemctl stop gmem-vmm@first.service

# Names
longest=abcdefghijklmnopqrstuvwx_-
configure "$longest"
start "$longest" && [ "$(container_run getent passwd "$(uid_of "$longest")" | cut -d: -f1)" = "gmem-$longest" ]
report $? "a name of 26 bytes can be a VM's"
container_run systemctl stop "gmem-vmm@$longest.service"

refused_with() { # vm words
	! start "$1" && grep -q 'dependency job' "$work/output" &&
		printed "gmem-vmm-name@$1.service" >"$work/output" && grep -qF -- "$2" "$work/output" &&
		grep -qF 'at most 26 bytes of A-Z a-z 0-9 _ -' "$work/output" &&
		[ "$(property "gmem-vmm@$1.service" ActiveState)" = inactive ]
}
refused_with "${longest}7" "has 27 bytes"
report $? "one of 27 is refused before systemd refuses its user: the journal says what is allowed"
refused_with a.b "gmem-vmm@a.b: "
report $? "so is one with a dot"
refused_with 'a\x2db' "has others"
report $? "so is one that systemd has escaped"
refused_with a@b "has others"
report $? "so is one with an @"
# With a colon the unit itself is wrong to systemd, which says so of the user's name.
! start a:b
status=$?
container_run journalctl -q -o cat _PID=1 >"$work/journal"
[ "$status" = 0 ] && grep -q 'Invalid user/group name.*: gmem-a:b' "$work/journal"
report $? "with a colon, systemd says itself that the user's name is wrong"
container_run gmemctl --json vms >"$work/output"
grep -qF '"vms":[]' "$work/output"
report $? "no VM is left"

exit $failures
