#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Runs every attack of the adversary as an unprivileged VMM under gmem-run, each in a process of its
# own, and looks after each whether gmemd is as it was: up, with no VM, as many file descriptors and
# nothing committed.
#
#     BUILD_DIR=build tests/adversary/test_adversary.sh [ATTACK...]
#
# ADVERSARY_TYPE in the environment: of VM, "sw_protected" say.

HERE=$(dirname "$0")
# shellcheck source=tests/system/tap.sh
. "$HERE/../system/tap.sh"

ATTACK_SECONDS_MAX=60

# Every line of the adversary's is a test of its own.
relay() {
	local attack=$1 line
	while IFS= read -r line; do
		case $line in
		"ok - "* | "not ok - "*)
			TAP_TESTS=$((TAP_TESTS + 1))
			[ "${line%% *}" = ok ] || TAP_FAILURES=$((TAP_FAILURES + 1))
			echo "${line%% - *} $TAP_TESTS - $attack: ${line#* - }"
			;;
		*)
			echo "# $line"
			;;
		esac
	done
}

# start_attack NAME: prints to $WORK_DIR/NAME.out; its pid is in $ATTACK_PID.
start_attack() {
	: >"$WORK_DIR/$1.out" # of an earlier one of that name
	(
		export ADVERSARY_MEETING="$WORK_DIR/scratch/meeting"
		cd "$WORK_DIR/scratch" || exit 1
		export ADVERSARY_SOCKET="$RUNTIME_DIR/gmemd.sock"
		case $1 in
		steal) set -- "$WORK_DIR/bin/adversary" "$1" ;;
		*) set -- "$WORK_DIR/bin/gmem-run" --socket="$ADVERSARY_SOCKET" --name="$1" \
			--type="${ADVERSARY_TYPE:-default}" -- \
			"$WORK_DIR/bin/adversary" "$1" ;;
		esac
		$AS timeout --foreground "$ATTACK_SECONDS_MAX" "$@" 2>&1
	) >"$WORK_DIR/$1.out" &
	ATTACK_PID=$!
	LIVING+=("$ATTACK_PID")
}

# end_attack NAME PID: waits for it and prints what it said.
end_attack() {
	local status
	wait "$2"
	status=$?
	relay "$1" <"$WORK_DIR/$1.out"
	is "$status" 0 "$1: the adversary has come to its end"
}

# attack NAME, or NAME+NAME for two that run side by side.
attack() {
	local first=${1%+*} second=${1#*+} first_pid
	start_attack "$first"
	first_pid=$ATTACK_PID
	if [ "$first" != "$second" ]; then
		start_attack "$1"
		end_attack "$1" "$ATTACK_PID"
		rm -f "$WORK_DIR/scratch/meeting"
	fi
	end_attack "$first" "$first_pid"
	LIVING=()
	released "$1: gmemd is as it was"
}

# gmemd ends under the attack.
orphan() {
	printf '[keeper]\nuse = yes\n' >"$WORK_DIR/keeper.conf"
	stop_gmemd
	start_gmemd --config="$WORK_DIR/keeper.conf"
	start_attack orphan
	until_true grep -q ready "$WORK_DIR/orphan.out"
	stop_gmemd KILL
	until_true grep -q waiting "$WORK_DIR/orphan.out"
	start_gmemd --config="$WORK_DIR/keeper.conf"
	end_attack orphan "$ATTACK_PID"
	LIVING=()
}

no_keeper_of_test() {
	[ -z "$(keepers_in "$WORK_DIR")" ]
}

# gmemd and its keeper end: stopped, gmemd starts no other keeper meanwhile.
end_gmemd_and_keeper() {
	kill -STOP "$GMEMD_PID"
	end_keepers "$WORK_DIR"
	stop_gmemd KILL
	until_true no_keeper_of_test
	result $? "abandoned: gmemd and its keeper are gone"
}

# abandoned KEEPER: nobody holds the gate's listener any more; KEEPER is yes or no.
abandoned() {
	printf '[keeper]\nuse = %s\n' "$1" >"$WORK_DIR/keeper.conf"
	stop_gmemd
	end_keepers "$WORK_DIR"
	until_true no_keeper_of_test
	start_gmemd --config="$WORK_DIR/keeper.conf"
	start_attack abandoned
	until_true grep -q ready "$WORK_DIR/abandoned.out"
	[ "$(keepers_in "$WORK_DIR" | wc -l)" = "$([ "$1" = yes ] && echo 1 || echo 0)" ]
	result $? "abandoned: a keeper is there where the configuration says $1"
	if [ "$1" = yes ]; then end_gmemd_and_keeper; else stop_gmemd KILL; fi
	touch "$WORK_DIR/scratch/gmemd-is-gone"
	until_true grep -q "^abandoned" "$WORK_DIR/abandoned.out"
	start_gmemd --config="$WORK_DIR/keeper.conf"
	touch "$WORK_DIR/scratch/gmemd-is-back"
	end_attack abandoned "$ATTACK_PID"
	rm -f "$WORK_DIR"/scratch/gmemd-is-*
	LIVING=()
}

# refused_for WORDS: what the log says of the last VMs that were refused.
refused_for() {
	grep -q "refused KVM_CREATE_VM .*$1" "$GMEMD_LOG"
	result $? "create-unknown: refused, for $1" "$(tail -5 "$GMEMD_LOG")"
}

begin_unknown() {
	start_attack create-unknown
	until_true grep -q ready "$WORK_DIR/create-unknown.out"
}
end_unknown() {
	touch "$WORK_DIR/scratch/outcome-is-unknown"
	end_attack create-unknown "$ATTACK_PID"
	rm -f "$WORK_DIR/scratch/outcome-is-unknown"
	LIVING=()
}

# What KVM tells is more than gmemd's queue holds.
flooded() {
	local device=/sys/devices/virtual/misc/kvm/uevent i
	if ! { echo change >"$device"; } 2>/dev/null; then
		skip "create-unknown: uevents that were lost" "no uevent of KVM can be had here"
		return
	fi
	begin_unknown
	kill -STOP "$GMEMD_PID"
	for ((i = 0; i < 5000; i++)); do echo change; done >"$device"
	kill -CONT "$GMEMD_PID"
	end_unknown
	refused_for "uevents of KVM were lost since"
}

started_again() {
	begin_unknown
	stop_gmemd KILL
	start_gmemd --config="$WORK_DIR/keeper.conf"
	end_unknown
	refused_for "gmemd was started again since"
}

deaf_gmemd() {
	GMEMD_UNDER=$BUILD_DIR/tests/system/without_netlink
	stop_gmemd
	start_gmemd --config="$WORK_DIR/keeper.conf"
	grep -q "can't be tried again: gmemd may have no netlink socket" "$GMEMD_LOG"
	result $? "create-unknown: gmemd says that it may have no netlink socket"
	begin_unknown
	end_unknown
	refused_for "gmemd may have no netlink socket"
	GMEMD_UNDER=
}

lack=$(host_lack)
[ -z "$lack" ] || skip_all "$lack"
echo "TAP version 13"
set_up "$BUILD_DIR/client/gmem-run" "$BUILD_DIR/tests/adversary/adversary"
start_gmemd_that_keeps_none
remember_idle_gmemd
AS="setpriv --reuid=$UNPRIVILEGED --regid=$UNPRIVILEGED --clear-groups --"
if [ $# -gt 0 ]; then
	for name; do
		attack "$name"
	done
	finish
fi
for name in $("$BUILD_DIR/tests/adversary/adversary" --list); do
	attack "$name"
done
attack steal
# What root may do beyond that.
AS=
for name in userfaultfd write trace remap mailbox-file shm; do
	attack "$name"
done
kill -0 "$GMEMD_PID"
result $? "gmemd has lived through all"
AS="setpriv --reuid=$UNPRIVILEGED --regid=$UNPRIVILEGED --clear-groups --"
orphan
flooded
started_again
deaf_gmemd
abandoned yes
abandoned no
no_sanitizer_complaint
finish
