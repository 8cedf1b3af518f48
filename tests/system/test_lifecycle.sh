#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# However a VMM ends, and wherever in its life, all that was its is released: the example VMM, as an
# unprivileged user, with and without gmem-run, ended at every stage.
#
# It is to be so within 100 ms. The times are reported, not judged: what is judged is 5 s.

HERE=$(dirname "$0")
# shellcheck source=tests/system/tap.sh
. "$HERE/tap.sh"

EXAMPLE_BYTES=$((0x2c000))
STAGES="connected opened created bound run unbound"
SLOWEST_MS=0

# start_vmm run|alone [ARGUMENT...]: its pid is in $VMM_PID, what it prints in $VMM_OUT.
start_vmm() {
	local how=$1
	shift
	VMM_OUT=$WORK_DIR/vmm.out
	if [ "$how" = run ]; then
		set -- "$WORK_DIR/bin/gmem-run" --socket="$RUNTIME_DIR/gmemd.sock" -- \
			"$WORK_DIR/bin/gmem-example-vmm" "$@"
	else
		set -- "$WORK_DIR/bin/gmem-example-vmm" --socket="$RUNTIME_DIR/gmemd.sock" "$@"
	fi
	: >"$VMM_OUT" # what the one before has said is not this one's
	# A SIGSEGV from outside is no bug to be reported, which can hang in one that holds malloc's lock.
	ASAN_OPTIONS=handle_segv=0 unprivileged "$@" >"$VMM_OUT" 2>&1 &
	VMM_PID=$!
	LIVING=("$VMM_PID")
}

stopped() {
	local state
	read -r _ _ state _ <"/proc/$1/stat" && [ "$state" = T ]
}

# What gmemd must have of the VMM at a stage: VMs and committed bytes. gmem-run has opened the VM
# before the VMM begins.
expected_at() {
	local vms=1 committed=0
	[ "$1" = alone ] && [ "$2" = connected ] && vms=0
	case $2 in
	created | bound | run | unbound) committed=$EXAMPLE_BYTES ;;
	esac
	echo "vms=$vms committed=$committed"
}

remember_slowest() {
	SLOWEST_MS=$(printf '%s\n' "$SLOWEST_MS" "${RELEASE_MS:-0}" | sort -n | tail -1)
}

# kill_vmm DESCRIPTION SIGNAL: its status is in $VMM_STATUS.
kill_vmm() {
	released "$1" --kill="$VMM_PID" --signal="$2"
	remember_slowest
	wait "$VMM_PID" 2>/dev/null
	VMM_STATUS=$?
	LIVING=()
}

kill_at_stage() {
	local how=$1 stage=$2 seen
	start_vmm "$how" --pause-at="$stage"
	until_true stopped "$VMM_PID" || sed 's/^/# /' "$VMM_OUT"
	seen=$(observe | sed 's/ fds=[0-9]*//; s/ ms=.*//')
	is "$seen" "$(expected_at "$how" "$stage")" "$how, $stage: gmemd has what is the VMM's"
	kill_vmm "$how, $stage: killed, all is released" 9
}

# end_in_run HOW SIGNAL: in the middle of KVM_RUN or near it.
end_in_run() {
	local how=$1 signal=$2
	start_vmm "$how" --rounds=0 --interval=0
	until_true grep -q "the same" "$VMM_OUT"
	result $? "$how, SIG$signal: the guest runs"
	kill_vmm "$how, SIG$signal in a run: all is released" "$(kill -l "$signal")"
	[ "$VMM_STATUS" -ne 0 ]
	result $? "$how, SIG$signal: the VMM's status ($VMM_STATUS) tells"
}

end_by_itself() {
	start_vmm "$1"
	wait "$VMM_PID"
	is $? 0 "$1: the VMM ends well"
	LIVING=()
	released "$1: it gave all back"
	remember_slowest
}

# Four at once, killed one by one: a release takes nothing of the others'.
kill_some_of_many() {
	local pids=() number seen
	for number in 1 2 3 4; do
		start_vmm run --pause-at=bound
		until_true stopped "$VMM_PID"
		pids+=("$VMM_PID")
	done
	LIVING=("${pids[@]}")
	end "${pids[0]}"
	end "${pids[1]}"
	until_true vms_are 2
	seen=$(observe | sed 's/ fds=[0-9]*//; s/ ms=.*//')
	is "$seen" "vms=2 committed=$((2 * EXAMPLE_BYTES))" "two of four are killed: two are left"
	end "${pids[2]}"
	end "${pids[3]}"
	LIVING=()
	released "all four are killed: all is released"
}

vms_are() {
	observe | grep -q "vms=$1 "
}

# gmemd ends on SIGTERM; the VM does not.
outlive_gmemd() {
	local rounds
	start_vmm run --rounds=0 --interval=10
	until_true grep -q "the same" "$VMM_OUT"
	stop_gmemd
	is $? 0 "gmemd, ended while a VM runs, exits with 0"
	[ -S "$RUNTIME_DIR/gmemd.sock" ] && [ -S "$RUNTIME_DIR/admin.sock" ]
	result $? "its sockets stay for the next one"
	rounds=$(grep -c "the same" "$VMM_OUT")
	until_true more_rounds_than "$rounds"
	result $? "the VM runs on, on the memory that it has"
	end "$VMM_PID"
	LIVING=()
}

more_rounds_than() {
	[ "$(grep -c "the same" "$VMM_OUT")" -gt "$1" ]
}

# Under pressure from the start: gmemd asks for all that the VMM has.
balloon() {
	local rounds
	printf '[pressure]\nfloor = 100%%\n' >"$WORK_DIR/pressure.conf"
	start_gmemd --config="$WORK_DIR/pressure.conf"
	start_vmm run --rounds=0 --interval=10
	until_true grep -q "in the balloon" "$VMM_OUT"
	result $? "the VMM is asked for memory"
	# How much that is depends on how far its guest was when gmemd counted its pages; it is asked again for what was not
	# there yet.
	until_true grep -qE 'gave [1-9][0-9]* KiB back, [1-9][0-9]* KiB are in the balloon' "$VMM_OUT"
	result $? "it gives back what its balloon holds" "$(grep gave "$VMM_OUT")"
	rounds=$(grep -c "the same" "$VMM_OUT")
	until_true more_rounds_than "$((rounds + 1))"
	result $? "its guest runs on with less"
	is "$(grep -c "NOT THE SAME" "$VMM_OUT")" 0 "and sums what it has"
	end "$VMM_PID"
	LIVING=()
	stop_gmemd
	is $? 0 "gmemd, ended under pressure, exits with 0"
}

lack=$(host_lack)
[ -z "$lack" ] || skip_all "$lack"
[ -x "$BUILD_DIR/client/gmem-example-vmm" ] || skip_all "the example VMM is for x86-64"
echo "TAP version 13"
set_up "$BUILD_DIR/client/gmem-run" "$BUILD_DIR/client/gmem-example-vmm"
start_gmemd_that_keeps_none
remember_idle_gmemd
for how in run alone; do
	end_by_itself "$how"
	for stage in $STAGES; do
		kill_at_stage "$how" "$stage"
	done
	for signal in KILL TERM SEGV; do
		end_in_run "$how" "$signal"
	done
done
kill_some_of_many
echo "# the slowest release took $SLOWEST_MS ms"
outlive_gmemd
balloon
no_sanitizer_complaint
finish
