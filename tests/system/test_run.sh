#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# gmem-run as a program: what it exits with, and what it hands its VMM. A VMM here is any program.

HERE=$(dirname "$0")
# shellcheck source=tests/system/tap.sh
. "$HERE/tap.sh"

# run [OPTION...] -- COMMAND...: as an unprivileged user; output in $SAID, status in $STATUS.
run() {
	SAID=$(unprivileged "$WORK_DIR/bin/gmem-run" --socket="$RUNTIME_DIR/gmemd.sock" "$@" 2>&1)
	STATUS=$?
}

# exits STATUS DESCRIPTION [PATTERN]: of the last run, and what it said.
exits() {
	local status=1
	[ "$STATUS" -eq "$1" ] && grep -q -e "${3-}" <<<"$SAID$'\n'" && status=0
	result "$status" "exits with $1: $2" "status $STATUS: $SAID"
}

test_usage() {
	run
	exits 2 "no VMM" "there is no VMM"
	run --
	exits 2 "no VMM behind --" "there is no VMM"
	run --nonsense -- true
	exits 2 "an unknown option" "nonsense"
	run --gate=perhaps -- true
	exits 2 "an unknown gate" "gate"
	run --initial-state=neither -- true
	exits 2 "an unknown initial state" "initial-state"
	run --commit-limit=many -- true
	exits 2 "a limit that is no size" "commit-limit"
	run --help
	exits 0 "--help" "Usage"
	run --version
	exits 0 "--version" "gmem-run"
}

test_no_daemon() {
	local directory=$RUNTIME_DIR
	RUNTIME_DIR=$WORK_DIR/nowhere
	run -- true
	exits 125 "no gmemd's socket" "nowhere"
	RUNTIME_DIR=$directory
}

test_refusals() {
	run --type=nonsense -- true
	exits 125 "a type that nobody knows" "gmemd refused: .*type"
	run --type=30 -- true
	exits 125 "a type that the kernel lacks" "KVM_CAP_VM_TYPES"
	run --gate=none -- true
	exits 125 "no gate where the policy requires one" "not permitted"
	run --initial-state=private -- true
	exits 125 "private memory where the type has none" "KVM_CAP_MEMORY_ATTRIBUTES"
	run --uuid=nonsense -- true
	exits 125 "a UUID that is none" "uuid"
}

test_names() {
	local holder
	unprivileged "$WORK_DIR/bin/gmem-run" --socket="$RUNTIME_DIR/gmemd.sock" --name=taken -- \
		sleep 60 &
	holder=$!
	LIVING=("$holder")
	until_true is_called "$holder" sleep
	run --name=taken -- true
	exits 125 "a name that the user has given already" "has a VM of this name"
	run --name=other -- true
	exits 0 "another name"
	"$WORK_DIR/bin/gmem-run" --socket="$RUNTIME_DIR/gmemd.sock" --name=taken -- true
	is $? 0 "another user may give the same name"
	end "$holder"
	LIVING=()
	until_true name_is_free
	result $? "the name is free again once its VMM has ended"
}

is_called() {
	[ "$(cat "/proc/$1/comm" 2>/dev/null)" = "$2" ]
}

name_is_free() {
	run --name=taken -- true
	[ "$STATUS" -eq 0 ]
}

test_execution() {
	run -- "$WORK_DIR/bin/nothing"
	exits 127 "no such program" "No such file"
	run -- gmemd-no-such-program
	exits 127 "none in the PATH" "No such file"
	touch "$WORK_DIR/bin/text"
	run -- "$WORK_DIR/bin/text"
	exits 126 "a file that is not executable" "Permission denied"
	run -- "$WORK_DIR/scratch"
	exits 126 "a directory" "Permission denied"
}

# Without a name given, its VM has one of its own.
test_default_names() {
	local long=$WORK_DIR/bin/12345678901234567890123456789012345678901234567ä first second
	run --name=$'\xff' -- true
	exits 125 "a name that is no UTF-8" "not UTF-8"
	ln -s /bin/true "$long"
	run -- "$long"
	exits 0 "a program whose name would be cut inside a character"
	ln -s /bin/true "$WORK_DIR/bin/"$'\xff'
	run -- "$WORK_DIR/bin/"$'\xff'
	exits 0 "a program whose name is no UTF-8"
	# Both of them are process 1.
	unshare --pid --fork --kill-child "$WORK_DIR/bin/gmem-run" --socket="$RUNTIME_DIR/gmemd.sock" -- sleep 60 &
	first=$!
	LIVING=("$first")
	until_true has_vms 1
	unshare --pid --fork --kill-child "$WORK_DIR/bin/gmem-run" --socket="$RUNTIME_DIR/gmemd.sock" -- sleep 60 &
	second=$!
	LIVING=("$first" "$second")
	until_true has_vms 2
	result $? "the same process number in two PID namespaces makes two names" \
		"$("$BUILD_DIR/client/gmemctl" --socket="$RUNTIME_DIR/admin.sock" vms 2>&1)"
	end "$first"
	end "$second"
	LIVING=()
	until_true has_vms 0
}

has_vms() {
	[ "$("$BUILD_DIR/client/gmemctl" --socket="$RUNTIME_DIR/admin.sock" --json vms | grep -o '"state":"running"\|"state":"opening"' | wc -l)" = "$1" ]
}

# What stands in the way is said, by whoever finds it.
test_obstacles() {
	# shellcheck disable=SC2016
	run -- sh -c '"$@"; exit $?' - "$WORK_DIR/bin/gmem-run" --socket="$RUNTIME_DIR/gmemd.sock" --name=below -- true
	exits 125 "a gate below another" "runs below a seccomp listener already"
	run -- "$WORK_DIR/bin/gmemctl" --socket="$RUNTIME_DIR/gmemd.sock" probe
	exits 1 "gmemctl probe, below a gate" "a gate below this process *: FAIL .*seccomp listener"
	[ -n "$EXAMPLE" ] || {
		skip "a VMM that is a child of gmem-run's process" "the example VMM is x86 code"
		skip "a VMM that daemonises" "the example VMM is x86 code"
		return
	}
	# shellcheck disable=SC2016
	run -- sh -c '"$0"; echo "the VMM ended with $?"' "$WORK_DIR/bin/gmem-example-vmm"
	exits 0 "a VMM that is a child of gmem-run's process" "must not daemonise"
	# shellcheck disable=SC2016
	run -- sh -c 'setsid "$0" >"$1" 2>&1 &' "$WORK_DIR/bin/gmem-example-vmm" "$WORK_DIR/scratch/daemon"
	until_true grep -q "must not daemonise" "$WORK_DIR/scratch/daemon"
	result $? "a VMM that daemonises" "$(cat "$WORK_DIR/scratch/daemon")"
}

test_status() {
	local status
	for status in 0 1 7 124 125 126 127 255; do
		run -- sh -c "exit $status"
		exits "$status" "the VMM's own status"
	done
	# shellcheck disable=SC2016
	run -- sh -c 'kill -KILL $$'
	exits 137 "the VMM was killed"
	run -- sh -c "exit 2" argument --version
	exits 2 "the VMM's options are the VMM's"
}

test_inheritance() {
	# shellcheck disable=SC2016
	run -- sh -c 'echo $GMEM_VM $GMEM_MAILBOX_ADDRESS; ls -l /proc/self/fd/$GMEM_FD \
		/proc/self/fd/$GMEM_KVM_FD /proc/self/fd/$GMEM_MAILBOX_FD'
	exits 0 "the VMM has its VM's id" "^vm-[0-9]* [0-9]*$"
	exits 0 "its connection" "socket:"
	exits 0 "/dev/kvm" "/dev/kvm"
	exits 0 "its mailbox" "gmemd-mailbox"
	# shellcheck disable=SC2016
	run -- sh -c 'ls -l /proc/self/fd'
	! grep -q "seccomp" <<<"$SAID"
	result $? "the VMM has no listener" "$SAID"
	run -- grep -E "^(NoNewPrivs|Seccomp|Seccomp_filters):" /proc/self/status
	is "$(tr -d '[:space:]' <<<"$SAID")" "NoNewPrivs:1Seccomp:2Seccomp_filters:1" \
		"the VMM is behind the gate"
}

# What libgmem does when it makes the VM is the VMM's to say, under gmem-run too.
test_quirk() {
	local which
	for which in stay go null; do
		run -- "$WORK_DIR/bin/quirk_vmm" "$which"
		if [ "$STATUS" -eq 77 ]; then
			skip "the VMM's own option for mappings: $which" "this KVM takes down all"
		else
			exits 0 "the VMM's own option for mappings: $which"
		fi
	done
}

test_node() {
	if unprivileged_opens_kvm; then
		skip "the VMM can't open /dev/kvm" "on this host any user can"
	else
		run -- sh -c ": <>/dev/kvm"
		[ "$STATUS" -ne 0 ] && grep -q "ermission denied" <<<"$SAID"
		result $? "the VMM can't open /dev/kvm" "$SAID"
	fi
}

filters_of() {
	sed -n 's/^Seccomp_filters:[[:space:]]*//p' "/proc/$1/status"
}

has_filters() {
	[ "$(filters_of "$1")" -ge "$2" ] 2>/dev/null
}

# A VMM's own sandbox below the gate.
test_sandbox() {
	run -- "$WORK_DIR/bin/sandboxed"
	exits 0 "a VMM that installs filters for all its threads by libseccomp"
	if ! command -v qemu-system-x86_64 >/dev/null; then
		skip "QEMU's -sandbox on installs below the gate" "no qemu-system-x86_64"
		return
	fi
	mkfifo -m 666 "$WORK_DIR/scratch/qmp"
	unprivileged "$WORK_DIR/bin/gmem-run" --socket="$RUNTIME_DIR/gmemd.sock" -- \
		qemu-system-x86_64 -machine none -nodefaults -display none -S -qmp stdio \
		-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny \
		<"$WORK_DIR/scratch/qmp" >"$WORK_DIR/scratch/qmp.out" 2>&1 &
	LIVING=("$!")
	exec 9>"$WORK_DIR/scratch/qmp"
	echo '{"execute":"qmp_capabilities"}' >&9
	until_true grep -q '"return"' "$WORK_DIR/scratch/qmp.out"
	until_true has_filters "${LIVING[0]}" 2
	result $? "QEMU's -sandbox on installs below the gate" "$(cat "$WORK_DIR/scratch/qmp.out")"
	echo '{"execute":"quit"}' >&9
	exec 9>&-
	wait "${LIVING[0]}"
	is $? 0 "QEMU ends as it is told to"
	LIVING=()
}

unprivileged_opens_kvm() {
	(unprivileged sh -c ": <>/dev/kvm") 2>/dev/null
}

lack=$(host_lack)
[ -z "$lack" ] || skip_all "$lack"
echo "TAP version 13"
# All of which the unprivileged user may search.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
EXAMPLE=
[ ! -e "$BUILD_DIR/client/gmem-example-vmm" ] || EXAMPLE=$BUILD_DIR/client/gmem-example-vmm
# shellcheck disable=SC2086
set_up "$BUILD_DIR/client/gmem-run" "$BUILD_DIR/client/gmemctl" "$BUILD_DIR/tests/system/sandboxed" \
	"$BUILD_DIR/tests/system/quirk_vmm" $EXAMPLE
start_gmemd_that_keeps_none
remember_idle_gmemd
for part in usage no_daemon refusals names default_names obstacles execution status inheritance quirk node sandbox; do
	"test_$part"
	released "$part: gmemd is as it was"
done
no_sanitizer_complaint
finish
