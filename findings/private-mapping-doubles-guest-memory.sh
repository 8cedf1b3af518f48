#!/bin/sh
# QEMU's preallocated guest memory in a file of tmpfs takes twice its size unless share=on is said: with share=off, the default of
# memory-backend-file, each page is first made in the file, as a page of zeros that nobody will ever read, and then copied. The file's half is
# in no figure of the process (neither RssShmem nor RssFile), only in the file's blocks, and it stays after QEMU has quit.
#
# Seen on:   QEMU 7.2.22, Debian 12's qemu-system-x86 and qemu-system-common
#            1:7.2+dfsg-7+deb12u18+b3; Linux 6.18.44.
# Expected:  QEMU's manual (-object memory-backend-file): share decides whether others see what the guest writes, and prealloc has
#            the memory's pages made beforehand. A private mapping of a sparse file reads as zeros, so that nothing would have to be made in
#            the file; but a write to a private mapping brings the file's page in first, and tmpfs has no hole that could be read.
# Output seen: as in "expected" below.
#
# Needs: tmpfs at /dev/shm with 128 MiB free, apt-get (Debian 12) and QEMU's libraries. Exit status: 0 as found, 1 changed, 77 can't be
# tried here.
set -eu

skip() {
	echo "skipped: $1"
	exit 77
}

version=1:7.2+dfsg-7+deb12u18+b3
shared=/dev/shm
[ "$(stat -f -c %T "$shared" 2>/dev/null)" = tmpfs ] || skip "no tmpfs at $shared"
[ "$(df --output=avail -k "$shared" | tail -n 1)" -ge 131072 ] || skip "too little room in $shared"
command -v apt-get >/dev/null || skip "no apt-get"

folder=$(mktemp -d)
memory=$(mktemp -d "$shared/finding-XXXXXX")
qemu=
clean_up() {
	[ -z "$qemu" ] || kill "$qemu" 2>/dev/null || :
	rm -rf "$folder" "$memory"
}
trap clean_up EXIT
trap 'exit 1' INT TERM PIPE

# Nothing is installed on the system: the packages are unpacked into the folder, and run from there.
(
	cd "$folder"
	apt-get download "qemu-system-x86=$version" "qemu-system-common=$version" >log 2>&1
) || skip "no packages: $(tail -n 1 "$folder/log")"
for package in "$folder"/*.deb; do
	dpkg-deb -x "$package" "$folder/unpacked"
done
program=$folder/unpacked/usr/bin/qemu-system-x86_64
QEMU_MODULE_DIR=$(echo "$folder"/unpacked/usr/lib/*/qemu)
export QEMU_MODULE_DIR
"$program" --version >"$folder/version" 2>"$folder/log" || skip "QEMU lacks a library: $(tail -n 1 "$folder/log")"
mkfifo "$folder/commands" "$folder/answers"

# In steps of 64 MiB: QEMU itself takes some.
in_mib() {
	steps=$((($1 + 32768) / 65536))
	echo "$((steps * 64)) MiB"
}

resident() {
	in_mib "$(awk -v field="$1:" '$1 == field { print $2 }' "/proc/$qemu/status")"
}

# Runs QEMU with the given option to where its memory is allocated, and says where it is.
run_qemu() {
	"$program" -machine none -nodefaults -display none -qmp stdio \
		-object "memory-backend-file,id=m,size=64M,mem-path=$memory/ram,prealloc=on,$1" \
		<"$folder/commands" >"$folder/answers" 2>"$folder/log" &
	qemu=$!
	exec 3>"$folder/commands" 4<"$folder/answers"
	echo '{"execute": "qmp_capabilities"}' >&3 || :
	while read -r answer <&4; do
		case $answer in *'"return"'*) break ;; esac
	done
	[ -d "/proc/$qemu" ] || skip "QEMU doesn't run here: $(tail -n 1 "$folder/log")" >&2
	echo "$1: anonymous $(resident RssAnon), shared $(resident RssShmem), file $(in_mib "$(du -k "$memory/ram" | cut -f 1)")"
	echo '{"execute": "quit"}' >&3
	exec 3>&-
	wait "$qemu" || :
	qemu=
	exec 4<&-
	echo "after it has quit: file $(in_mib "$(du -k "$memory/ram" | cut -f 1)")"
	rm "$memory/ram"
}

cat >"$folder/expected" <<'END'
share=off: anonymous 64 MiB, shared 0 MiB, file 64 MiB
after it has quit: file 64 MiB
share=on: anonymous 0 MiB, shared 64 MiB, file 64 MiB
after it has quit: file 64 MiB
END
run_qemu share=off >"$folder/seen"
run_qemu share=on >>"$folder/seen"

head -n 1 "$folder/version"
echo "Linux $(uname -r)"
cat "$folder/seen"
if diff -u "$folder/expected" "$folder/seen"; then
	echo "as found"
else
	echo "changed: what differs is above; QEMU said: $(cat "$folder/log")"
	exit 1
fi
