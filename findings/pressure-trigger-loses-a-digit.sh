#!/bin/sh
# A pressure trigger loses the last character that is written, whatever it is: ended by neither a newline nor a NUL, "… 20000000" is
# a window of 2 s and no longer one of 20 s. So a window of 20 s, which the kernel refuses (10 s at most), is taken; a threshold that
# fits the window that was meant is refused; a window of 2 s is refused as one of 200 ms; and nothing can be read back that would
# tell which window there is.
#
# Seen on:   Linux 6.18.44.
# Expected:  Documentation/accounting/psi.rst names the words to be written and no end, as other files of /proc and of cgroups take
#            them with any end. Its example in C writes the NUL as well and doesn't say why.
# Output seen: as in "expected" below.
#
# Needs: /proc/pressure, cc. Exit status: 0 as found, 1 changed, 77 can't be tried here.
set -eu

skip() {
	echo "skipped: $1"
	exit 77
}

[ -w /proc/pressure/memory ] || skip "no /proc/pressure/memory that can be written"
command -v cc >/dev/null || skip "no C compiler"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM

cat >"$folder/program.c" <<'END'
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void set_trigger(const char *words, const char *end, size_t end_bytes, const char *end_name)
{
	char text[64];
	size_t n = strlen(words);
	int file = open("/proc/pressure/memory", O_RDWR | O_NONBLOCK);
	ssize_t written;

	memcpy(text, words, n);
	memcpy(text + n, end, end_bytes);
	written = write(file, text, n + end_bytes);
	printf("%s, %-10s %s\n", words, end_name, written < 0 ? strerror(errno) : "accepted");
	close(file);
}

static void set_with_each_end(const char *words)
{
	set_trigger(words, "", 1, "NUL:");
	set_trigger(words, "\n", 1, "newline:");
	set_trigger(words, "", 0, "no end:");
}

int main(void)
{
	int file = open("/proc/pressure/memory", O_RDWR | O_NONBLOCK);

	if (file < 0 || write(file, "some 150000 2000000", 20) != 20) {
		puts("this user can have no pressure trigger");
		return 77;
	}
	close(file);
	set_with_each_end("some 2000000 20000000");
	set_with_each_end("some 2000001 20000000");
	set_with_each_end("some 1000000 2000000");
	return 0;
}
END
cat >"$folder/expected" <<'END'
some 2000000 20000000, NUL:       Invalid argument
some 2000000 20000000, newline:   Invalid argument
some 2000000 20000000, no end:    accepted
some 2000001 20000000, NUL:       Invalid argument
some 2000001 20000000, newline:   Invalid argument
some 2000001 20000000, no end:    Invalid argument
some 1000000 2000000, NUL:       accepted
some 1000000 2000000, newline:   accepted
some 1000000 2000000, no end:    Invalid argument
END

cc -O1 -Wall -pthread -o "$folder/program" "$folder/program.c"
status=0
"$folder/program" >"$folder/seen" || status=$?
[ "$status" != 77 ] || skip "$(cat "$folder/seen")"
echo "Linux $(uname -r)"
cat "$folder/seen"
if [ "$status" = 0 ] && diff -u "$folder/expected" "$folder/seen"; then
	echo "as found"
else
	echo "changed: status $status, and what differs is above"
	exit 1
fi
