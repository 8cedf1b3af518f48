#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Under a real systemd, files of a peer's that whoever drops them waits for, sent before gmemd is started by that very
# connection, and the file of a memory that its VMM holds: others are served, and gmemd is restarted and stopped as ever.
set -u
plan=20
. "$(dirname "$0")/units.sh"
set_up

# Orders to unit_attacker.py, each of which must be answered with "ok".
attacker() { # order
	local answer=
	echo "$1" >&"${ATTACKER[1]}"
	read -r -t 60 answer <&"${ATTACKER[0]}"
	[ "$answer" = ok ] || { echo "attacker: $1: $answer" >"$work/output"; return 1; }
}

longest=0 # microseconds
timed() { # command...
	local begun=${EPOCHREALTIME/./} took
	"$@" >"$work/output" 2>&1 || return 1
	took=$((${EPOCHREALTIME/./} - begun))
	[ "$took" -le "$longest" ] || longest=$took
}
# Far less than the time after which systemd would kill what is left; more on a machine where a restart that nobody stands in
# the way of takes long, too.
all_were_in_time() {
	local begun=${EPOCHREALTIME/./} took
	container_run systemctl restart gmemd.service && container_run gmemctl ping >/dev/null || return 1
	took=$((${EPOCHREALTIME/./} - begun))
	echo "the longest took $((longest / 1000)) ms, one with nobody in its way $((took / 1000)) ms" >"$work/output"
	[ "$longest" -lt 2000000 ] || [ "$longest" -lt $((4 * took)) ]
}

waits() { # helper
	container_run sh -c 'for one in /proc/[0-9]*; do
			[ "$(cat "$one/comm" 2>/dev/null)" = "$0" ] && grep "^State:.*D" "$one/status" && exit
		done; exit 1' "$1"
}

nobody_waits() { # helper
	! waits "$1"
}

restarts() { # while what
	timed container_run systemctl restart gmemd.service && attacker another && attacker goes_on
	report $? "$1: systemctl restart: all goes on"
	pid=$(main_pid gmemd.service) && container_run kill -KILL "$pid"
	timed attacker another && attacker goes_on
	report $? "$1: SIGKILL: its successor serves"
	timed container_run systemctl restart gmemd-keeper.service && attacker another && attacker goes_on
	report $? "$1: a restart of the keeper"
	timed container_run systemctl stop gmemd.service && attacker another && attacker goes_on
	report $? "$1: systemctl stop: the next connection starts it again"
}

install_project && install_python "$here/unit_attacker.py"
report $? "the installation goes in"

drop_in gmemd.service Environment=ASAN_OPTIONS=detect_leaks=0 WatchdogSec=2
container_run systemctl enable --now gmemd.socket gmemd-admin.socket >"$work/output" 2>&1
report $? "the sockets start"

container_run sh -c 'echo "[gate]\npolicy = preferred" >/etc/gmemd/gmemd.conf'
coproc ATTACKER { run_python /usr/local/lib/gmemd-test/unit_attacker.py 2>>"$work/output"; }
attacker_pid=$ATTACKER_PID

container_run systemctl is-active gmemd.service >"$work/output"
[ "$(cat "$work/output")" = inactive ] && attacker attack && attacker wait
report $? "two connect, the first of which starts gmemd, and sends a file meanwhile"
attacker next
report $? "the next client is served within a second"
attacker answered
report $? "who had asked before, and sent no file, is answered"
attacker refused
report $? "nobody can send a file any more"
eventually waits gmemd-screener
report $? "one process waits for the file, and it is none of the two daemons"

restarts "a file that is never dropped"

attacker hold && eventually waits gmemd-puncher
report $? "one holds its memory's file, and one process waits for it that is none of the two daemons"
restarts "a file that is held"
attacker let_go && eventually nobody_waits gmemd-puncher
report $? "nobody waits once its holder is gone"

[ "$(property gmemd.service NRestarts)" -le 2 ]
report $? "the watchdog had nothing to do"

attacker end
report $? "the file's server ends"
all_were_in_time
report $? "each restart and stop took less than two seconds"
kill "$attacker_pid" 2>/dev/null
wait "$attacker_pid" 2>/dev/null

exit $failures
