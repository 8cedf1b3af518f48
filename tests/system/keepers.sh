# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Ending the keepers that gmemds of a test have started, which outlive these. To be sourced.

# keepers_in DIRECTORY: the pids of those of gmemds whose runtime directories are in it. By their names first: a command line
# is in its process's memory, which can be waited for without end.
keepers_in() {
	local directory
	for directory in /proc/[0-9]*; do
		[ "$(cat "$directory/comm" 2>/dev/null)" = gmemd-keeper ] || continue
		tr '\0' ' ' <"$directory/cmdline" 2>/dev/null | grep -q "^gmemd-keeper --runtime-directory=$1/" &&
			basename "$directory"
	done
}

end_keepers() {
	local pid
	for pid in $(keepers_in "$1"); do
		kill -KILL "$pid"
	done
}
