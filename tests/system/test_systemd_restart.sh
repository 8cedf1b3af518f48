#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Restarts under a real systemd, of the project's own units: what VMs, guests and connections see
# of them.
set -u
plan=102
. "$(dirname "$0")/units.sh"
set_up

# Orders to unit_peer.py, each of which must be answered with "ok".
peer() { # order argument...
	local answer=
	echo "$*" >&"${PEER[1]}"
	read -r -t 60 answer <&"${PEER[0]}"
	[ "$answer" = ok ] || { echo "peer: $*: $answer" >>"$work/output"; return 1; }
}

described() { # vm
	container_run gmemctl --json show "$1" 2>&1
}
printed() { # vm
	container_run journalctl -q -o cat -u "gmem-vmm@$1.service"
}
sums() { # vm
	printed "$1" | grep -c 'the same'
}
sums_go_on() { # vm
	[ "$(sums "$1")" -gt "$((seen + 1))" ]
}
vm_is() { # vm state
	container_run gmemctl --json vms 2>/dev/null | grep -qF "\"name\":\"$1\"" &&
		described "$1" | grep -qF "\"state\":\"$2\""
}
paused() { # vm
	status_line "gmem-vmm@$1.service" '^State:[[:space:]]*T'
}
change_of() { # unit
	local now
	now=$(main_pid "$1") && [ "$now" != "$2" ]
}

start_vmm() { # vm option...
	local name=$1
	shift
	container_run sh -c 'mkdir -p /etc/gmemd/vmm && echo "$1" >"/etc/gmemd/vmm/$0.conf"' \
		"$name" "VMM=/usr/local/bin/gmem-example-vmm --rounds=0 --interval=10 $*"
	container_run systemctl start "gmem-vmm@$name.service" >"$work/output" 2>&1
}

# What is logged from here on; not by a cursor, after which journalctl skips the first match.
journal_from_here() {
	container_run journalctl --sync
	since=$(date +@%s.%6N)
}
logged() { # journalctl's arguments
	container_run journalctl -q -o cat --since="$since" "$@"
}
# Of the two and of systemd of them; the keeper says nothing but errors, nor does gmemd on stderr.
complaints() { # pattern of what is expected, and must be there
	container_run journalctl --sync
	{
		logged -p warning SYSLOG_IDENTIFIER=gmemd
		logged SYSLOG_IDENTIFIER=gmemd _TRANSPORT=stdout
		logged SYSLOG_IDENTIFIER=gmemd-keeper
		logged -p warning _PID=1 UNIT=gmemd.service UNIT=gmemd-keeper.service \
			UNIT=gmemd.socket UNIT=gmemd-admin.socket UNIT=gmemd-keeper.socket |
			grep -v "process [0-9]* (gmemd-\(taker\|puncher\))\|usually indicates unclean termination" # they end by themselves: KillMode=process
	} >"$work/journal"
	grep -vE "${1:-^$}" "$work/journal" >"$work/output" && return 1
	[ -z "${1-}" ] || grep -qE "$1" "$work/journal"
}

# What must go on, as it is now.
remember() {
	pid=$(main_pid gmemd.service)
	keeper_pid=$(main_pid gmemd-keeper.service)
	vmm_pid=$(main_pid gmem-vmm@example.service)
	before=$(described example)
	seen=$(sums example)
	journal_from_here
}

# After what has been done to gmemd.
goes_on() { # what restarts [expected complaints]
	eventually change_of gmemd.service "$pid" && container_run gmemctl ping >/dev/null &&
		property gmemd.service NRestarts >"$work/output" && grep -qx "$2" "$work/output"
	report $? "$1: another gmemd serves, after $2 restarts by systemd"
	[ "$(main_pid gmemd-keeper.service)" = "$keeper_pid" ]
	report $? "$1: the keeper stays"
	peer answered && peer_hears_of_a_vm
	report $? "$1: connections go on, and a subscription"
	vm_goes_on "$1"
	complaints "${3-}"
	report $? "$1: nothing is complained of"
}
vm_goes_on() { # what
	described example >"$work/now"
	diff - "$work/now" <<<"$before" >"$work/output"
	report $? "$1: the VM, its memories and its slots are as they were"
	eventually sums_go_on example && [ "$(main_pid gmem-vmm@example.service)" = "$vmm_pid" ] &&
		! printed example | grep 'NOT' >"$work/output"
	report $? "$1: its guest goes on summing"
}
peer_hears_of_a_vm() {
	start_vmm passing --pause-at=opened && peer event vm_opened passing &&
		container_run systemctl stop gmem-vmm@passing.service &&
		peer event vm_released passing
}

install_project && install_python "$here/unit_peer.py"
report $? "the installation goes in"

# As in test_systemd.sh.
drop_in gmemd.service Environment=ASAN_OPTIONS=detect_leaks=0 WatchdogSec=2
drop_in gmemd-keeper.service Environment=ASAN_OPTIONS=detect_leaks=0
container_run systemctl enable --now gmemd.socket gmemd-admin.socket >"$work/output" 2>&1
report $? "the sockets start"

start_vmm example && eventually vm_is example running
report $? "a VMM starts as a service"
seen=0
eventually sums_go_on example
report $? "and its guest sums"

coproc PEER { run_python /usr/local/lib/gmemd-test/unit_peer.py 2>>"$work/output"; }
peer_pid=$PEER_PID
peer begin && peer send && peer answered && peer_hears_of_a_vm
report $? "other connections, and a subscription"

remember
peer send
container_run systemctl restart gmemd.service >"$work/output" 2>&1
goes_on "systemctl restart" 0

remember
container_run kill -KILL "$pid"
peer send
goes_on "SIGKILL" 1 "code=killed|Failed with result 'signal'"

remember
container_run kill -STOP "$pid"
peer send
goes_on "a gmemd that hangs" 2 \
	"Watchdog timeout|Killing process|code=killed|Failed with result 'watchdog'"

# One VMM that will make its VM, and one that will end, meanwhile.
start_vmm ending && start_vmm late --pause-at=connected && eventually vm_is ending running &&
	eventually paused late
report $? "two more VMMs"
remember
container_run systemctl stop gmemd.service >"$work/output" 2>&1
[ "$(property gmemd.service Result)" = success ] &&
	[ "$(property gmemd.service ActiveState)" = inactive ]
report $? "gmemd stops cleanly"
peer send
container_run systemctl kill -s CONT gmem-vmm@late.service
container_run systemctl kill -s KILL gmem-vmm@ending.service
eventually sums_go_on example
report $? "the guest runs on without it"
container_run systemctl start gmemd.service >"$work/output" 2>&1
goes_on "stop and start" 0
seen=0
peer event vm_released ending && eventually sums_go_on late
report $? "a VMM that has ended meanwhile is released, and one that makes its VM goes on"
container_run systemctl stop gmem-vmm@late.service

remember
container_run systemctl stop gmemd.service >"$work/output" 2>&1
peer send && container_run gmemctl ping >/dev/null
goes_on "stop and a connection" 0

remember
container_run systemctl restart gmemd.socket gmemd-admin.socket >"$work/output" 2>&1
peer send
goes_on "a restart of its sockets" 0

# Far more often than systemd's default limit allows.
restarts() {
	for _ in $(seq 8); do
		container_run systemctl restart gmemd.service || return 1
	done
}
kills() {
	for _ in $(seq 8); do
		pid=$(main_pid gmemd.service) && container_run kill -KILL "$pid" &&
			eventually change_of gmemd.service "$pid" || return 1
	done
}
remember
restarts >"$work/output" 2>&1
report $? "it can be restarted eight times in a row"
kills
report $? "and be killed as often"
peer send
goes_on "eight restarts and kills" 8 "code=killed|Failed to start|Failed with result 'signal'"

# It is said once, and waits to be put right.
configuration=/etc/gmemd/gmemd.conf
remember
container_run sh -c 'cp "$0" "$0.right" && echo nonsense >>"$0"' "$configuration"
container_run systemctl restart gmemd.service >"$work/output" 2>&1 &&
	[ "$(property gmemd.service NRestarts)" = 0 ] && ! container_run gmemctl ping >"$work/output" 2>&1 &&
	grep -q "configuration is wrong: $configuration:[0-9]*: must be" "$work/output"
report $? "one with a wrong configuration stays, and tells who asks"
container_run mv "$configuration.right" "$configuration"
container_run systemctl restart gmemd.service >"$work/output" 2>&1
peer send
goes_on "a wrong configuration" 0 "$configuration:[0-9]*: must be|refuses all requests until"

# An upgrade: other files, another version.
upgrade() {
	meson install -C "$BUILD_DIR" --no-rebuild --destdir "$work/install" || return 1
	sed -i 's/0\.1\.0/0.1.1/g' "$work/install/usr/local/sbin/gmemd" &&
		put_into_container "$work/install" && container_run systemctl daemon-reload
}
is_the_installed() { # unit
	container_run readlink "/proc/$(main_pid "$1")/exe" >"$work/output" &&
		! grep -q 'deleted' "$work/output"
}
remember
container_run sh -c 'echo "# as the administrator wants it" >>"$0"' "$configuration"
upgrade >"$work/output" 2>&1 && ! is_the_installed gmemd.service &&
	container_run grep -q '^# as the administrator' "$configuration"
report $? "another version is installed, and the configuration stays"
container_run systemctl restart gmemd.service >"$work/output" 2>&1
peer send
goes_on "an upgrade of gmemd" 0
is_the_installed gmemd.service && container_run gmemctl status >"$work/output" &&
	grep -q '^gmemd.*0\.1\.1' "$work/output"
report $? "the new gmemd is of the other version"

# The keeper alone. gmemd gives the next one all that there is.
keeper_is_new() {
	change_of gmemd-keeper.service "$keeper_pid" && [ "$(main_pid gmemd.service)" = "$pid" ] &&
		container_run gmemctl --json status >"$work/output" &&
		grep -q '"keeper":{[^}]*"held":[1-9]' "$work/output"
}
keeper_replaced() { # what [expected complaints]
	eventually keeper_is_new
	report $? "$1: gmemd has another keeper"
	vm_goes_on "$1"
	complaints "gmemd-keeper is gone${2-}"
	report $? "$1: nothing is complained of"
	remember
	container_run systemctl restart gmemd.service >"$work/output" 2>&1
	peer send
	goes_on "$1, and of gmemd" 0
}
remember
container_run systemctl restart gmemd-keeper.service >"$work/output" 2>&1
keeper_replaced "an upgrade of the keeper"
is_the_installed gmemd-keeper.service
report $? "the new keeper is what is installed"
remember
container_run kill -KILL "$keeper_pid"
keeper_replaced "SIGKILL of the keeper" "|code=killed|Failed with result 'signal'"

gmemd_has_its_user && gmemd_has_its_capabilities && gmemd_has_its_filter
report $? "gmemd is as confined as ever"
keeper_is_confined
report $? "so is the keeper"

# libgmem gives its VM back with its next call. What differs is what has been touched and told since,
# and that nobody serves its gate any more.
resumable() { # vm
	described "$1" | sed -E 's/"(resident|gate|minimum)":("[a-z]*"|[0-9]*)//g'
}
start_vmm halfway --pause-at=opened && start_vmm bound --pause-at=bound &&
	eventually paused halfway && eventually paused bound
report $? "one more VMM, with a VM and no memory yet, and one with memory and slots"
remember
before=$(resumable bound)
container_run systemctl restart gmemd.service gmemd-keeper.service >"$work/output" 2>&1
eventually change_of gmemd.service "$pid" &&
	eventually change_of gmemd-keeper.service "$keeper_pid" &&
	peer ended && peer begin && peer send && peer answered
report $? "both at once: connections end, and others can be made"
eventually sums_go_on example
report $? "both at once: a guest goes on summing"
container_run systemctl kill -s CONT gmem-vmm@bound.service
seen=0
eventually vm_is bound running && eventually sums_go_on bound && resumable bound >"$work/now" &&
	diff - "$work/now" <<<"$before" >"$work/output"
report $? "both at once: a VM is resumed with its memory and its slots, and its guest sums"
container_run systemctl kill -s CONT gmem-vmm@halfway.service
refused() {
	printed halfway | grep 'gmemd refused.*listener of the VM.s gate'
}
eventually refused
report $? "both at once: a VM whose gate nobody serves can create no more memory, and is told why"
complaints
report $? "both at once: nothing is complained of"

# The end
# shellcheck disable=SC1083,SC2093
exec {PEER[1]}>&-
wait "$peer_pid"
container_run systemctl stop 'gmem-vmm@*.service' >"$work/output" 2>&1
no_vms() {
	container_run gmemctl --json vms | grep -qF '"vms":[]'
}
eventually no_vms
report $? "all VMs are released when their VMMs are stopped"
container_run systemctl stop gmemd.service gmemd-keeper.service >"$work/output" 2>&1
for unit in gmemd gmemd-keeper; do
	echo "$(property "$unit.service" ActiveState) $(property "$unit.service" Result)"
done | uniq >"$work/output"
container_run ls -A /run/gmemd >>"$work/output"
printf '%s\n' 'inactive success' admin.sock gmemd.sock keeper.sock |
	diff - "$work/output" >"$work/now"
report $? "both stop cleanly, and leave nothing but the sockets of their units"
complaints
report $? "nothing is complained of"

# Of sockets that gmemd has made itself, which nobody passes to it, the keeper gives systemd a
# duplicate.
own_unit() { # unit
	container_run sh -c 'sed -e "/^\(Requires\|Wants\|After\|Restart\|Also\)=/d" \
		-e "/^ExecStart=/s#\$# --runtime-directory=/run/own#" \
		-e "/^Type=/s/\$/\nRuntimeDirectory=own\nRuntimeDirectoryPreserve=yes/" \
		-e "/^Type=/s/\$/\nEnvironment=ASAN_OPTIONS=detect_leaks=0/" \
		"$(systemctl show -P FragmentPath "$0.service")" \
		>"/run/systemd/system/own-$0.service"' "$1"
}
own_unit gmemd && own_unit gmemd-keeper && container_run systemctl daemon-reload &&
	container_run systemctl start own-gmemd-keeper.service >"$work/output" 2>&1 &&
	container_run systemctl start own-gmemd.service >"$work/output" 2>&1 &&
	container_run gmemctl --socket=/run/own/admin.sock ping >"$work/output"
report $? "a gmemd makes its sockets itself"
container_run systemctl kill -s KILL own-gmemd.service
has_failed() {
	[ "$(property own-gmemd.service ActiveState)" = failed ]
}
eventually has_failed
container_run systemctl restart own-gmemd-keeper.service >"$work/output" 2>&1
run_python - >"$work/output" 2>&1 <<-'EOF'
	import subprocess
	from gmemtest.wire import Peer
	peer = Peer("/run/own/admin.sock", 20)
	subprocess.run(["systemctl", "start", "own-gmemd.service"], check=True)
	peer.call("ping")
EOF
report $? "they outlive it and a restart of its keeper: who connects then waits for the next gmemd"

exit $failures
