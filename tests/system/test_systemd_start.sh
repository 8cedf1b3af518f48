#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What gmemd's units do where they can't do all, under a real systemd: a wrong configuration, no /dev/kvm, a journald that does
# not read; and what ends a daemon that wasn't asked to end.
set -u
plan=27
. "$(dirname "$0")/units.sh"
set_up

configuration=/etc/gmemd/gmemd.conf

refuses() { # pattern
	! container_run gmemctl ping >"$work/output" 2>&1 && grep -q "$1" "$work/output"
}
serves() {
	container_run gmemctl ping >"$work/output" 2>&1
}
status_text() { # unit
	property "$1" StatusText
}
said() { # pattern: how many lines of gmemd's have it
	container_run journalctl --sync
	container_run journalctl -q -o cat SYSLOG_IDENTIFIER=gmemd | grep -c "$1"
}
# A VMM that nothing keeps from ending.
start_vmm() {
	container_run systemctl start gmem-vmm@example.service >"$work/output" 2>&1 && eventually vm_runs
}
vm_runs() {
	container_run gmemctl --json vms 2>/dev/null | grep -q '"name":"example".*"state":"running"'
}

install_project && install_python
report $? "the installation goes in"
drop_in gmemd.service Environment=ASAN_OPTIONS=detect_leaks=0
drop_in gmemd-keeper.service Environment=ASAN_OPTIONS=detect_leaks=0
container_run systemctl enable --now gmemd.socket gmemd-admin.socket >"$work/output" 2>&1 && start_vmm
report $? "a VMM's connection starts gmemd"

# A wrong configuration.
container_run sh -c 'cp "$0" "$0.right" && printf "[limits]\nslots-per-vm = many\n" >"$0"' "$configuration"
container_run gmemd --check-config >"$work/output" 2>&1
[ $? = 1 ] && grep -qx "$configuration:2: slots-per-vm: must be a number" "$work/output"
report $? "gmemd --check-config says what is wrong"
container_run systemctl restart gmemd.service >"$work/output" 2>&1
report $? "gmemd starts all the same"
began=$(date +%s%N)
refuses "$configuration:2: slots-per-vm: must be a number"
report $? "it tells who asks what is wrong ($((($(date +%s%N) - began) / 1000000)) ms)"
container_run gmemctl --json ping >"$work/output" 2>&1
grep -q '"code":-32007,.*"reason":"configuration","file":".*gmemd.conf","line":2,"setting":"slots-per-vm"' "$work/output"
report $? "by the contract's error"
status_text gmemd.service >"$work/output"
grep -q "^Refusing all requests: $configuration:2: slots-per-vm: must be a number$" "$work/output"
report $? "systemctl status says it, too"
for _ in 1 2 3 4 5 6 7 8 9 10; do refuses configuration || break; done
[ "$(property gmemd.service NRestarts)" = 0 ] && [ "$(said 'gmemd.conf:2:')" = 1 ]
report $? "it is not started again for who asks, and its journal says it once"

container_run systemctl kill -s KILL gmem-vmm@example.service
released() {
	[ "$(said 'process .* has ended; [1-9][0-9]* bytes released')" = 1 ]
}
eventually released
report $? "a VM of its predecessor's whose process ends is released"

container_run systemctl stop gmemd.service >"$work/output" 2>&1
pid=
started_once() {
	[ "$(main_pid gmemd.service)" = "$pid" ]
}
refuses configuration && pid=$(main_pid gmemd.service) && refuses configuration && started_once
report $? "one that is started by who asks tells it, and stays"
container_run mv "$configuration.right" "$configuration"
container_run systemctl restart gmemd.service >"$work/output" 2>&1 && serves
report $? "the next one, with a right configuration, serves"
status_text gmemd.service | grep -q '^Serving guest memory'
report $? "and says that"

# One that the service manager does not get started.
drop_in gmemd.service Environment=ASAN_OPTIONS=detect_leaks=0 'ExecStartPre=/bin/sleep 1000'
container_run systemctl stop gmemd.service >"$work/output" 2>&1
container_run gmemctl --timeout=3 ping >"$work/output" 2>&1
[ $? = 3 ] && grep -q 'waiting for gmemd at .*: the service manager listens there, and no gmemd has read the request' "$work/output"
report $? "who waits for one that is not started hears of it after 2 s, and that it is the service manager's matter"
drop_in gmemd.service Environment=ASAN_OPTIONS=detect_leaks=0
container_run systemctl restart gmemd.service >"$work/output" 2>&1 && serves
report $? "and has its answer when it is"

# A host without /dev/kvm, for a while.
container_run mv /dev/kvm /dev/kvm.away
container_run systemctl restart gmemd.service >"$work/output" 2>&1
refuses 'This host lacks /dev/kvm (No such file or directory)'
report $? "without /dev/kvm, gmemd tells who asks what is missing"
status_text gmemd.service | grep -q '^Refusing all requests: this host lacks /dev/kvm'
report $? "systemctl status says it, too"
[ "$(said 'this host lacks /dev/kvm')" = 1 ] && [ "$(property gmemd.service NRestarts)" = 0 ]
report $? "so does its journal, and it is not started again at once"
container_run mv /dev/kvm.away /dev/kvm
eventually serves
report $? "it is started again after a while, and serves when /dev/kvm is there"

# A journald that is stopped, and one that comes back.
journald=$(main_pid systemd-journald.service) && container_run kill -STOP "$journald"
cat >"$work/load.py" <<-'EOF'
	from gmemtest.wire import Peer
	peer = Peer("/run/gmemd/gmemd.sock", 60)
	for i in range(1000):
	    peer.call("vm.close", {"vm": peer.call("vm.open", {"name": "vm%d" % i})["vm"]})
EOF
run_python - <"$work/load.py" >"$work/output" 2>&1
report $? "a stopped journald: 1,000 VMs come and go"
serves
report $? "an operator is served"
container_run kill -CONT "$journald"
counted() {
	[ "$(said 'lines of this log could not be written at once and were dropped')" -ge 1 ]
}
eventually counted
report $? "when it goes on, the journal says how many lines were dropped"
lines=$(said '^vm-[0-9]*: \(opened as "vm\|closed;\)')
dropped=$(container_run journalctl -q -o cat SYSLOG_IDENTIFIER=gmemd PRIORITY=4 |
	sed -n 's/^\([0-9]*\) lines* of this log.*/\1/p' | awk '{ sum += $1 } END { print sum }')
echo "$lines lines, $dropped dropped" >"$work/output"
[ $((lines + dropped)) -eq 2000 ]
report $? "which are all that are missing"

# What ends a daemon, or doesn't.
start_vmm
report $? "a VM runs again"
pid=$(main_pid gmemd.service) && keeper_pid=$(main_pid gmemd-keeper.service) &&
	container_run kill -HUP "$pid" "$keeper_pid"
read_anew() {
	[ "$(said 'the configuration was read anew')" = 1 ]
}
eventually read_anew && [ "$(main_pid gmemd.service)" = "$pid" ] &&
	[ "$(main_pid gmemd-keeper.service)" = "$keeper_pid" ] && serves
report $? "SIGHUP ends neither, and gmemd reads its configuration anew"
another() { # unit pid
	local now
	now=$(main_pid "$1") && [ "$now" != "$2" ] && serves
}
for unit in gmemd.service gmemd-keeper.service; do
	failed=0
	for signal in TERM INT USR1 ALRM SEGV KILL; do
		pid=$(main_pid "$unit") && container_run kill -"$signal" "$pid"
		eventually another "$unit" "$pid" || failed=1
	done
	[ "$failed" = 0 ] && eventually vm_runs
	report $? "$unit is started again whichever signal ends it, and the VM goes on"
done
container_run systemctl stop gmemd.service >"$work/output" 2>&1
[ "$(property gmemd.service ActiveState)" = inactive ]
report $? "who stops it has it stopped"

exit $failures
