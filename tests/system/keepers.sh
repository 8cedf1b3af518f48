# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Ending the keepers that gmemds of a test have started, which outlive these. To be sourced.

# end_keepers DIRECTORY: those of gmemds whose runtime directories are in it.
end_keepers() {
	local file
	for file in /proc/[0-9]*/cmdline; do
		tr '\0' ' ' <"$file" 2>/dev/null | grep -q "^gmemd-keeper --runtime-directory=$1/" &&
			kill -KILL "$(basename "$(dirname "$file")")"
	done
}
