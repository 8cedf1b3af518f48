#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The journal of acts, as journald has it of gmemd under its unit: fields to search by, and the catalogue's explanations.
set -u
plan=9
. "$(dirname "$0")/units.sh"
set_up

# What a journal has of an act: its entries, as JSON.
acts() { # name
	container_run journalctl --sync
	container_run journalctl -q -o json _SYSTEMD_UNIT=gmemd.service "GMEMD_ACT=$1"
}
there_is() { # name pattern...
	local pattern
	acts "$1" >"$work/output"
	shift
	for pattern; do
		grep -q "$pattern" "$work/output" || return 1
	done
}
of_example() { # name
	local uid
	uid=$(property gmem-vmm@example.service UID)
	there_is "$1" '"MESSAGE_ID":"[0-9a-f]\{32\}"' '"GMEMD_VM":"vm-[0-9]*"' '"GMEMD_VM_NAME":"example"' \
		'"GMEMD_UUID":"[-0-9a-f]\{36\}"' "\"GMEMD_TENANT\":\"uid:$uid\"" "\"GMEMD_PID\":\"$vmm\"" "\"GMEMD_UID\":\"$uid\""
}

install_project && container_run journalctl --update-catalog >>"$work/output" 2>&1
report $? "the installation goes in, and the catalogue is made anew"
container_run journalctl --list-catalog | grep -c ' gmemd: ' >"$work/output"
[ "$(cat "$work/output")" -ge 11 ]
report $? "the catalogue has all acts"

drop_in gmemd.service Environment=ASAN_OPTIONS=detect_leaks=0
container_run systemctl enable --now gmemd.socket gmemd-admin.socket >"$work/output" 2>&1 &&
	container_run systemctl start gmem-vmm@example.service >"$work/output" 2>&1
vmm=$(main_pid gmem-vmm@example.service)
eventually of_example vm_running
report $? "a VM that is made"
of_example vm_opened && of_example gate_set
report $? "was opened before, and had its gate"

container_run journalctl -q -x -o short GMEMD_ACT=vm_opened >"$work/output"
grep -q 'Subject: VM example was opened' "$work/output" && grep -q 'Nothing is to be done' "$work/output"
report $? "journalctl -x explains it"

# Not in group gmem: the socket itself keeps others out; so as root.
container_run gmemctl --socket=/run/gmemd/gmemd.sock call vm.open '{"name":"bare","gate":"none"}' >"$work/output" 2>&1
eventually there_is request_refused '"GMEMD_METHOD":"vm.open"' '"GMEMD_REASON":"not_permitted"' '"GMEMD_UID":"0"' '"PRIORITY":"5"'
report $? "a refusal"
container_run journalctl -q -x GMEMD_ACT=request_refused >"$work/output"
grep -q 'Subject: vm.open was refused to user 0' "$work/output"
report $? "is explained"

container_run systemctl kill -s KILL gmem-vmm@example.service
eventually there_is vm_released "\"GMEMD_PID\":\"$vmm\"" '"GMEMD_RELEASED":"[1-9][0-9]*"'
report $? "what is released when a VMM is killed"

container_run gmemctl --json call metrics.get >"$work/output"
grep -q '"gmemd_vm_opened_total":1' "$work/output" && grep -q '"gmemd_vm_released_total":1' "$work/output" &&
	grep -q '"gmemd_request_refused_total":1' "$work/output"
report $? "metrics.get counts them"

exit $failures
