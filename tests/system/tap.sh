# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the test drivers share: TAP version 13, a gmemd of the test's own in a directory of its own,
# and programs that an unprivileged user can run. To be sourced.
#
# BUILD_DIR is meson's build directory. Everything that is started is ended by its pid.

: "${BUILD_DIR:?is where meson has built}"
# shellcheck source=tests/system/keepers.sh
. "$(dirname "${BASH_SOURCE[0]}")/keepers.sh"

UNPRIVILEGED=65534
TAP_TESTS=0
TAP_FAILURES=0
GMEMD_PID=
GMEMD_UNDER= # what gmemd is started by, which becomes it
WORK_DIR=
LIVING=() # pids to be ended at the end, whatever happens

# result TRUTH DESCRIPTION [DIAGNOSIS]: one line of TAP; TRUTH is an exit status.
result() {
	TAP_TESTS=$((TAP_TESTS + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $TAP_TESTS - $2"
	else
		TAP_FAILURES=$((TAP_FAILURES + 1))
		echo "not ok $TAP_TESTS - $2"
		[ -z "${3-}" ] || sed 's/^/# /' <<<"$3"
	fi
}

# is GOT EXPECTED DESCRIPTION
is() {
	local status=0
	[ "$1" = "$2" ] || status=1
	result "$status" "$3" "got \"$1\", expected \"$2\""
}

skip() {
	TAP_TESTS=$((TAP_TESTS + 1))
	echo "ok $TAP_TESTS - $1 # SKIP $2"
}

skip_all() {
	echo "TAP version 13"
	echo "1..0 # SKIP $1"
	exit 0
}

finish() {
	echo "1..$TAP_TESTS"
	[ "$TAP_FAILURES" -eq 0 ]
	exit
}

# end PID [SIGNAL]: ends a child and waits for it; its status is in $?.
end() {
	local state
	state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)
	kill -"${2-KILL}" "$1" 2>/dev/null
	# Only to one that was stopped: SIGCONT would cancel the SIGSTOP by which LeakSanitizer looks at one that ends.
	[ "$state" != T ] || kill -CONT "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

clean_up() {
	local pid
	for pid in "${LIVING[@]}"; do
		end "$pid"
	done
	[ -z "$GMEMD_PID" ] || end "$GMEMD_PID"
	[ -z "$WORK_DIR" ] || end_keepers "$WORK_DIR"
	[ -z "$WORK_DIR" ] || rm -rf "$WORK_DIR"
}

# until_true COMMAND...: tries for a minute.
until_true() {
	local tries
	for ((tries = 0; tries < 6000; tries++)); do
		"$@" && return
		sleep 0.01
	done
	return 1
}

# set_up PROGRAM...: a work directory with copies that the unprivileged user can execute.
set_up() {
	WORK_DIR=$(mktemp -d /tmp/gmemd-test.XXXXXX) || exit 1
	trap clean_up EXIT
	trap 'exit 1' INT TERM HUP
	chmod 755 "$WORK_DIR"
	mkdir "$WORK_DIR/bin"
	cp "$@" "$BUILD_DIR/client/libgmem.so.0" "$WORK_DIR/bin/"
	mkdir -m 777 "$WORK_DIR/scratch"
	export LD_LIBRARY_PATH="$WORK_DIR/bin"
}

unprivileged() {
	exec setpriv --reuid="$UNPRIVILEGED" --regid="$UNPRIVILEGED" --clear-groups -- "$@"
}

# start_gmemd [ARGUMENT...]: one of the test's own, in $RUNTIME_DIR; its log is in $GMEMD_LOG.
start_gmemd() {
	local served
	RUNTIME_DIR=$WORK_DIR/run
	GMEMD_LOG=$WORK_DIR/gmemd.log
	served=$(times_served)
	# bash has SIGINT ignored by what it starts like this, and gmemd leaves it so.
	# shellcheck disable=SC2086
	env --default-signal=INT $GMEMD_UNDER "$BUILD_DIR/daemon/gmemd" --runtime-directory="$RUNTIME_DIR" --config=/dev/null "$@" \
		>>"$GMEMD_LOG" 2>&1 &
	GMEMD_PID=$!
	if ! until_true serves_again "$served"; then
		sed 's/^/# /' "$GMEMD_LOG"
		echo "Bail out! gmemd does not start"
		exit 1
	fi
}

# How often a gmemd of this log has begun to serve; a killed one's sockets are there still.
times_served() {
	{ cat "$GMEMD_LOG" 2>/dev/null || true; } | grep -c " serves, kernel " || true
}
serves_again() { # before
	[ "$(times_served)" -gt "$1" ]
}

# stop_gmemd [SIGNAL]: ends it; its status is in $?.
stop_gmemd() {
	local pid=$GMEMD_PID
	GMEMD_PID=
	end "$pid" "${1-TERM}"
}

# observe [OPTION...]: see observe.c.
observe() {
	"$BUILD_DIR/tests/system/observe" "$@" "$RUNTIME_DIR" "$GMEMD_PID" 2>&1
}

# What gmemd has when nobody uses it, for "observe --fds".
remember_idle_gmemd() {
	local seen
	seen=$(observe) || echo "# $seen"
	# The second finds what the first may have left for good.
	sleep 0.1
	seen=$(observe) || echo "# $seen"
	IDLE_FDS=$(sed 's/.*fds=\([0-9]*\).*/\1/' <<<"$seen")
}

# start_gmemd_that_keeps_none [OPTION...]: no file of a closed memory, so that what is released can be seen from its files.
start_gmemd_that_keeps_none() {
	printf '[limits]\nclosed-memories-per-vm = 0\n' >"$WORK_DIR/keeps-none.conf"
	start_gmemd --config="$WORK_DIR/keeps-none.conf" "$@"
}

# released DESCRIPTION [OPTION...]: gmemd is as it was when it was idle.
released() {
	local description=$1 seen status
	shift
	seen=$(observe --fds="$IDLE_FDS" "$@")
	status=$?
	RELEASE_MS=$(sed -n 's/.* ms=//p' <<<"$seen")
	result "$status" "$description (after $RELEASE_MS ms)" "$seen; idle: fds=$IDLE_FDS"
}

no_sanitizer_complaint() {
	local complaints
	complaints=$(grep -E "runtime error|Sanitizer" "$GMEMD_LOG")
	is "$complaints" "" "no sanitizer has complained of gmemd"
}

# Whether the host has what these tests are about; else says what it lacks.
host_lack() {
	[ "$(id -u)" -eq 0 ] || { echo "needs root, to be gmemd"; return; }
	[ -r /dev/kvm ] && [ -w /dev/kvm ] || { echo "no /dev/kvm"; return; }
	command -v setpriv >/dev/null || { echo "no setpriv"; return; }
	"$BUILD_DIR/tests/system/host_lack"
}
