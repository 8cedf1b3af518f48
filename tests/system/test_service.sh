#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# gmemd as a service: its sockets, made by itself or passed, and what it tells its service manager.

HERE=$(dirname "$0")
# shellcheck source=tests/system/tap.sh
. "$HERE/tap.sh"

logged() {
	grep -q -e "$1" "$GMEMD_LOG"
}

# Both sockets are gmemd's.
serves() {
	local seen
	seen=$(observe)
	result $? "$1" "$seen"
}

# What gmemd has made in a directory; its keeper's files are the keeper's.
its_files() {
	find "$1" -mindepth 1 ! -name 'keeper.*' -printf '%f\n' 2>/dev/null | sort | xargs
}

test_sockets() {
	start_gmemd
	serves "gmemd serves at the sockets that it has made"
	is "$(stat -c %a "$RUNTIME_DIR/gmemd.sock" "$RUNTIME_DIR/admin.sock" | xargs)" "666 600" \
		"VMMs of all users may connect, operators are its own user"
	timeout 60 "$BUILD_DIR/daemon/gmemd" --runtime-directory="$RUNTIME_DIR" --config=/dev/null \
		2>"$WORK_DIR/second.log"
	is $? 1 "a second gmemd at the same place exits with 1"
	grep -q "another gmemd serves there" "$WORK_DIR/second.log"
	result $? "and says why" "$(cat "$WORK_DIR/second.log")"
	serves "the first serves on"
	stop_gmemd INT
	is $? 0 "gmemd exits with 0 on SIGINT"
	is "$(its_files "$RUNTIME_DIR")" "" "its sockets are removed"
}

test_stale_sockets() {
	start_gmemd
	stop_gmemd KILL
	is "$(its_files "$RUNTIME_DIR")" "admin.sock gmemd.sock" "a killed gmemd leaves its sockets"
	start_gmemd
	until_true observe_quietly
	serves "the next one has them"
	stop_gmemd
	is "$(its_files "$RUNTIME_DIR")" "" "and removes them at its end"
}

observe_quietly() {
	observe >/dev/null
}

# Nothing of someone else's is taken for a stale socket.
test_foreign_file() {
	mkdir -p "$WORK_DIR/foreign"
	echo precious >"$WORK_DIR/foreign/gmemd.sock"
	timeout 60 "$BUILD_DIR/daemon/gmemd" --runtime-directory="$WORK_DIR/foreign" --config=/dev/null \
		2>"$WORK_DIR/foreign.log"
	is $? 1 "gmemd exits with 1 where a file of another kind has its socket's name"
	is "$(cat "$WORK_DIR/foreign/gmemd.sock" 2>&1)" precious "the file is still there"
}

# Where it may make no socket, such as in /run/gmemd.
test_plain_user() {
	local status
	mkdir -p -m 755 "$WORK_DIR/roots"
	(unprivileged timeout 60 "$WORK_DIR/bin/gmemd" --backend=model --runtime-directory="$WORK_DIR/roots" --config=/dev/null) \
		2>"$WORK_DIR/plain.log"
	status=$?
	is "$status" 1 "a plain user's gmemd exits with 1 in a directory that is not that user's"
	grep -q "roots: .*--runtime-directory=DIR" "$WORK_DIR/plain.log"
	result $? "and says what to add" "$(cat "$WORK_DIR/plain.log")"
}

start_notified() {
	NOTIFICATIONS=$WORK_DIR/notifications
	"$BUILD_DIR/tests/system/notified" "$WORK_DIR/notify" >"$NOTIFICATIONS" &
	NOTIFIED_PID=$!
	LIVING=("$NOTIFIED_PID")
	until_true test -S "$WORK_DIR/notify"
}

stop_notified() {
	end "$NOTIFIED_PID"
	LIVING=()
	rm -f "$WORK_DIR/notify"
}

told_times() {
	[ "$(grep -c -x -e "$1" "$NOTIFICATIONS")" -ge "$2" ]
}

test_notifications() {
	start_notified
	export NOTIFY_SOCKET=$WORK_DIR/notify WATCHDOG_USEC=200000
	unset WATCHDOG_PID
	start_gmemd
	until_true told_times READY=1 1
	result $? "gmemd tells that it is ready"
	grep -q "^STATUS=." "$NOTIFICATIONS"
	result $? "and what it does" "$(cat "$NOTIFICATIONS")"
	until_true told_times WATCHDOG=1 4
	result $? "it feeds the watchdog" "$(cat "$NOTIFICATIONS")"
	told_times STOPPING=1 1
	is $? 1 "it does not tell yet that it is stopping"
	stop_gmemd
	until_true told_times STOPPING=1 1
	result $? "it tells that it is stopping" "$(cat "$NOTIFICATIONS")"
	stop_notified
}

# The watchdog of another process is not its own.
test_foreign_watchdog() {
	start_notified
	export NOTIFY_SOCKET=$WORK_DIR/notify WATCHDOG_USEC=20000 WATCHDOG_PID=1
	start_gmemd
	until_true told_times READY=1 1
	sleep 0.3
	told_times WATCHDOG=1 1
	is $? 1 "gmemd does not feed another's watchdog"
	stop_gmemd
	stop_notified
	unset WATCHDOG_PID
	WATCHDOG_USEC=200000
	# shellcheck disable=SC2016
	start_notified
	RUNTIME_DIR=$WORK_DIR/run GMEMD_LOG=$WORK_DIR/gmemd.log
	bash -c 'WATCHDOG_PID=$$ exec "$@"' bash "$BUILD_DIR/daemon/gmemd" \
		--runtime-directory="$RUNTIME_DIR" --config=/dev/null >>"$GMEMD_LOG" 2>&1 &
	GMEMD_PID=$!
	until_true told_times WATCHDOG=1 1
	result $? "but its own" "$(cat "$NOTIFICATIONS")"
	stop_gmemd
	stop_notified
	unset NOTIFY_SOCKET WATCHDOG_USEC
}

# activate NAMES SOCKET...: gmemd with passed sockets in $RUNTIME_DIR, and a directory of its own in
# which it need not make any.
activate() {
	local names=$1 listen=() socket
	shift
	RUNTIME_DIR=$WORK_DIR/passed
	GMEMD_LOG=$WORK_DIR/activated.log
	mkdir -p "$RUNTIME_DIR"
	for socket; do
		listen+=(--listen="$RUNTIME_DIR/$socket")
	done
	systemd-socket-activate --seqpacket --fdname="$names" "${listen[@]}" \
		"$BUILD_DIR/daemon/gmemd" --runtime-directory="$WORK_DIR/own" --config=/dev/null \
		>"$GMEMD_LOG" 2>&1 &
	GMEMD_PID=$!
	until_true test -S "$RUNTIME_DIR/${*: -1}"
}

deactivate() {
	stop_gmemd
	is $? 0 "$1: gmemd exits with 0"
	[ -S "$RUNTIME_DIR/gmemd.sock" ]
	result $? "$1: what was passed is not gmemd's to remove"
	rm -rf "$RUNTIME_DIR" "$WORK_DIR/own"
}

test_activation() {
	if ! command -v systemd-socket-activate >/dev/null; then
		skip "socket activation" "no systemd-socket-activate"
		return
	fi
	activate gmemd.sock:admin.sock gmemd.sock admin.sock
	serves "gmemd serves at passed sockets"
	is "$(its_files "$WORK_DIR/own")" "" "it has made none of its own"
	deactivate "passed"
	activate admin.sock:gmemd.sock admin.sock gmemd.sock
	serves "their order does not matter"
	deactivate "passed in another order"
	activate gmemd.sock:other:admin.sock gmemd.sock other admin.sock
	serves "an unknown one among them does not matter"
	logged 'the file that was passed as "other" is closed'
	result $? "it is closed and logged" "$(cat "$GMEMD_LOG")"
	! grep -q " $RUNTIME_DIR/other$" /proc/net/unix
	result $? "nobody listens there any more"
	deactivate "passed with another"
	activate gmemd.sock gmemd.sock
	test_half_activation
	activate admin.sock:gmemd.sock gmemd.sock admin.sock
	test_swapped_names
}

# Only one is passed: the other is gmemd's own.
test_half_activation() {
	local passed=$RUNTIME_DIR
	until_true connects "$passed/gmemd.sock"
	until_true test -S "$WORK_DIR/own/admin.sock"
	result $? "gmemd makes what was not passed" "$(cat "$GMEMD_LOG")"
	ln -s "$passed/gmemd.sock" "$WORK_DIR/own/gmemd.sock"
	RUNTIME_DIR=$WORK_DIR/own
	serves "gmemd serves at both"
	RUNTIME_DIR=$passed
	rm "$WORK_DIR/own/gmemd.sock"
	deactivate "passed one"
}

# The name decides, not the path: VMMs find themselves at what is called gmemd.sock.
test_swapped_names() {
	mkdir "$WORK_DIR/swapped"
	ln -s "$RUNTIME_DIR/gmemd.sock" "$WORK_DIR/swapped/admin.sock"
	ln -s "$RUNTIME_DIR/admin.sock" "$WORK_DIR/swapped/gmemd.sock"
	RUNTIME_DIR=$WORK_DIR/swapped
	serves "a socket is what its name says, wherever it is"
	RUNTIME_DIR=$WORK_DIR/passed
	deactivate "passed under swapped names"
}

# connects PATH: a VMM, which starts an activated gmemd.
connects() {
	"$BUILD_DIR/client/gmem-run" --socket="$1" -- true 2>/dev/null
}

lack=$(host_lack)
[ -z "$lack" ] || skip_all "$lack"
echo "TAP version 13"
set_up "$BUILD_DIR/client/gmem-run" "$BUILD_DIR/daemon/gmemd"
for part in sockets stale_sockets foreign_file plain_user notifications foreign_watchdog activation; do
	"test_$part"
done
GMEMD_LOG=$WORK_DIR/gmemd.log
no_sanitizer_complaint
finish
