#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# VMMs as services, as they are installed, under a real systemd: started is what runs, limits and names come from what the
# administrator writes, and what crashes is started again.
set -u
plan=18
. "$(dirname "$0")/units.sh"
set_up

instance=db-1
unit="gmem-vmm@$instance.service"
name="data base 1"

configure() { # variable=value...
	printf '%s\n' "$@" | container_run sh -c 'mkdir -p /etc/gmemd/vmm && cat >"/etc/gmemd/vmm/$0.conf"' "$instance"
}
start() {
	container_run systemctl start "$unit" >"$work/output" 2>&1
}
restart() {
	container_run systemctl restart "$unit" >"$work/output" 2>&1
}
member() { # member of the VM's
	container_run gmemctl --json show "$name" 2>/dev/null | python3 -c "import json, sys; print(json.load(sys.stdin)['$1'])"
}
# Of v1's memory controller, or of v2.
limit() {
	local group
	group=$(property "$unit" ControlGroup)
	container_run sh -c 'cat "/sys/fs/cgroup/memory$0/memory.limit_in_bytes" 2>/dev/null || cat "/sys/fs/cgroup$0/memory.max"' "$group"
}

install_project && container_run rm /etc/systemd/system/gmem-vmm@.service.d/plain.conf && container_run systemctl daemon-reload
report $? "the installation goes in"
drop_in gmemd.service Environment=ASAN_OPTIONS=detect_leaks=0
container_run systemctl enable --now gmemd.socket gmemd-admin.socket >"$work/output" 2>&1
report $? "the sockets start"

configure MEMORY_MAX=300M COMMIT_LIMIT=64M "VM_NAME=$name"
start && [ "$(member state)" = running ]
report $? "what has started has a VM that runs"
[ "$(property "$unit" StatusText)" = "The VM runs" ]
report $? "systemctl status says so"
[ "$(member name)" = "$name" ]
report $? "it is called what VM_NAME= says"
[ "$(member promised)" = $((64 << 20)) ]
report $? "it is promised what COMMIT_LIMIT= says"
[ "$(property "$unit" MemoryMax)" = $((300 << 20)) ] && [ "$(limit)" = $((300 << 20)) ]
report $? "its cgroup has the limit that MEMORY_MAX= says"
pid=$(main_pid "$unit")
! container_run grep -qz NOTIFY_SOCKET "/proc/$pid/environ" &&
	[ "$(container_run cat "/proc/$pid/task/$pid/children")" = "" ]
report $? "the VMM has no NOTIFY_SOCKET, and no child"
alone() {
	[ "$(property "$unit" TasksCurrent)" = "$(container_run ls "/proc/$pid/task" | wc -l)" ]
}
eventually alone
report $? "and who told is gone"

name=$instance
configure COMMIT_LIMIT=128M
restart && [ "$(property "$unit" MemoryMax)" = infinity ] && [ "$(member promised)" = $((128 << 20)) ]
report $? "what the file says is read at each start"
configure MEMORY_MAX=much
! restart && container_run journalctl -q -o cat -u "$unit" | grep -q 'MEMORY_MAX=much must be'
report $? "a limit that is none is refused, and the journal says why"
configure COMMIT_LIMIT=much
container_run systemctl reset-failed "$unit"
! restart && container_run journalctl -q -o cat -u "$unit" | grep -q 'commit-limit must be a size'
report $? "so is a wrong COMMIT_LIMIT="
[ "$(property "$unit" NRestarts)" = 0 ]
report $? "which no other start would put right"

reservation=$(container_run gmemctl reserve "for $instance" 96M --ttl=5m)
configure "RESERVATION=$reservation"
container_run systemctl reset-failed "$unit"
restart && [ "$(member promised)" = $((96 << 20)) ] && ! container_run gmemctl reservations | grep -q "for $instance"
report $? "it is promised what was reserved that RESERVATION= names"
drop_in "$unit" Restart=no
! restart && container_run journalctl -q -o cat -u "$unit" | grep -q "reservation.*$reservation"
report $? "which it is once: the next start is refused, and the journal says why"

configure ''
container_run rm -r "/etc/systemd/system/$unit.d" && container_run systemctl daemon-reload
container_run systemctl reset-failed "$unit"
start
vm=$(member vm)
container_run systemctl kill -s KILL "$unit"
again() {
	[ "$(member state)" = running ] && [ "$(member vm)" != "$vm" ]
}
eventually again
report $? "a VMM that is killed is started again, with the next VM of its name"

configure "VMM=/usr/local/bin/gmem-example-vmm --rounds=1"
restart
ended() {
	[ "$(property "$unit" ActiveState)" = inactive ] && [ "$(property "$unit" NRestarts)" = 0 ]
}
eventually ended
report $? "one that ends by itself is not"

configure VMM='/bin/sleep 60'
drop_in "$unit" TimeoutStartSec=2 Restart=no
! start && [ "$(property "$unit" Result)" = timeout ]
report $? "one that makes no VM does not count as started"

exit $failures
