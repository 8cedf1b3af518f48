# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Ending the keepers that gmemds of a test have started, which outlive these. To be sourced.

# keepers_in DIRECTORY: the pids of those of gmemds whose runtime directories are in it. Another process may hang in what
# makes its command line's reader hang too; its name can be read.
keepers_in() {
	local file name
	for file in /proc/[0-9]*/cmdline; do
		read -r name 2>/dev/null <"${file%cmdline}comm" && [ "$name" = gmemd-keeper ] || continue
		{ tr '\0' ' ' <"$file"; } 2>/dev/null | grep -q "^gmemd-keeper --runtime-directory=$1/" &&
			basename "$(dirname "$file")"
	done
}

end_keepers() {
	local pid
	for pid in $(keepers_in "$1"); do
		kill -KILL "$pid"
	done
}
