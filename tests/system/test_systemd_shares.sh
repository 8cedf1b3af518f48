#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Two scopes of one user under a real systemd: whatever one of them does, the other has its share.
set -u
plan=14
. "$(dirname "$0")/units.sh"
set_up

# A process in a scope of its own, of the one user that all have.
declare -A orders answers processes
start_in_scope() { # name [scope, if that has another, argument...]
	local name=$1 scope=${2-$1}
	shift
	[ $# -eq 0 ] || shift
	mkfifo "$work/$name.orders" "$work/$name.answers"
	container_run systemd-run --quiet --scope --unit="$scope" --uid=vmm --gid=gmem \
		env PYTHONPATH=/usr/local/lib/gmemd-test PYTHONDONTWRITEBYTECODE=1 \
		python3 /usr/local/lib/gmemd-test/scope_peer.py "$@" \
		<"$work/$name.orders" >"$work/$name.answers" 2>>"$work/$name.errors" &
	processes[$name]=$!
	# shellcheck disable=SC1083
	exec {orders[$name]}>"$work/$name.orders" {answers[$name]}<"$work/$name.answers"
}
end_scope() { # name of a scope's first process
	# shellcheck disable=SC1083
	exec {orders[$1]}>&- {answers[$1]}<&-
	container_run systemctl kill -s KILL "$1.scope" 2>/dev/null
	wait "${processes[$1]}" 2>/dev/null
	rm -f "$work/$1.orders" "$work/$1.answers"
}
ask() { # scope order...; the answer is in $answer
	local scope=$1
	shift
	echo "$*" >&"${orders[$scope]}"
	answer=
	read -r -t 60 answer <&"${answers[$scope]}"
	echo "$scope: $*: $answer" >>"$work/output"
	[ -n "$answer" ]
}
ping_is_soon() { # scope
	ask "$1" ping && [[ $answer == ok\ 0.* ]]
}
move_to() { # scope's processes, scope
	local group pid moved=1
	group=$(container_run systemctl show -P ControlGroup "$2.scope")
	for pid in $(container_run cat "/sys/fs/cgroup/systemd$(container_run systemctl show -P ControlGroup "$1.scope")/cgroup.procs" \
		2>/dev/null || container_run cat "/sys/fs/cgroup$(container_run systemctl show -P ControlGroup "$1.scope")/cgroup.procs"); do
		for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
			container_run sh -c 'echo "$0" >"$1"' "$pid" "$hierarchy$group/cgroup.procs" 2>/dev/null && moved=0
		done
	done
	return $moved
}
configure() { # line...
	printf '%s\n' '[limits]' "$@" | container_run sh -c 'cat >/etc/gmemd/gmemd.conf'
	container_run systemctl restart gmemd.service >"$work/output" 2>&1
}

install_project && install_python "$here/scope_peer.py" &&
	container_run sh -c 'systemctl enable --now gmemd.socket gmemd-admin.socket && useradd --no-create-home --user-group vmm' >>"$work/output" 2>&1 &&
	container_run gmemctl ping >>"$work/output" 2>&1
report $? "gmemd serves"

# One that takes all that it gets.
start_in_scope hostile && ask hostile connect 2048 && [ "$answer" = 1024 ]
report $? "a unit gets half of what its user may have"
start_in_scope other && ask other connect 1 && [ "$answer" = 1 ]
report $? "another unit of the user's gets a connection"
ask hostile flood && [ "$answer" = ok ] && ping_is_soon other
report $? "it is answered within a second beside a flood"
soon=0
for _ in $(seq 100); do
	ping_is_soon other || soon=1
done
report $soon "and so each time"
ask other connect 1 && [ "$answer" = 1 ] && container_run gmemctl status >>"$work/output" 2>&1
report $? "more connections are served, an operator's too"
end_scope hostile
end_scope other

# Its connections are gone once what it had sent is served.
few_connections() {
	[ "$(container_run ls "/proc/$(main_pid gmemd.service)/fd" | wc -l)" -lt 100 ]
}
eventually few_connections

# What is charged tells whose a connection is: of 16, a unit has 8, the next 4.
configure 'peers-per-user = 16'
start_in_scope one && ask one connect 16 && [ "$answer" = 8 ]
report $? "of few connections, too, a unit gets half"
start_in_scope two && ask two connect 0 && move_to one two && ask one connect 16 && [ "$answer" = 4 ]
report $? "one that leaves its unit is charged in the other for what it opens from then on"
ask two connect 16 && [ "$answer" = 0 ]
report $? "to which it is one with the others there"
start_in_scope three && ask three connect 16 && [ "$answer" = 2 ]
report $? "and what it had opened before is still its first unit's"
pid=$(main_pid gmemd.service) && container_run kill -KILL "$pid"
another() {
	local now
	now=$(main_pid gmemd.service) && [ "$now" != "$pid" ] && container_run gmemctl ping
}
eventually another && ping_is_soon one && ping_is_soon three
report $? "a killed gmemd's successor has the connections"
# Were all twelve the second unit's, there would be room for one.
start_in_scope again one && ask again connect 16 && [ "$answer" = 0 ]
report $? "and knows whose they are, wherever their process is now"
end_scope again
start_in_scope leaderless one leaderless && ask leaderless connect 16 && [ "$answer" = 0 ]
report $? "a process whose main thread has ended is in its unit as well"
start_in_scope four && ask four connect 16 && [ "$answer" = 1 ]
report $? "for another unit there is room, indeed"

exit $failures
