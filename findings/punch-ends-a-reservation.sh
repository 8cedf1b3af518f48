#!/bin/sh
# A file of huge pages that has all of them reserved loses, with each page that is punched out of it, that page's reservation. The
# punch returns 0, the mapping stays, and nothing is seen of it as long as the host has a free page left: then whoever touches the
# hole is ended by SIGBUS, though the mapping had been made with its reservation, which is there to prevent that, and a new mapping
# fails with ENOMEM. A page that was reserved and never touched keeps its reservation if it is punched. Mapping the hole once more and
# unmapping it at once reserves it again, for all who have the file. cachestat(2) does not know such files; st_blocks is exact.
#
# Seen on:   Linux 6.18.44.
# Expected:  of fallocate(2), that the range reads as zeroes afterwards; of mmap(2), which says of MAP_NORESERVE alone that "one might
#            get SIGSEGV upon a write if no physical memory is available", that a mapping without it is safe until it is unmapped. So a
#            balloon, which punches and is deflated later, is expected to give the guest back what it was promised.
# Output seen: as in "expected" below.
#
# Needs: root, four free stretches of 2 MiB, cc. Sets 4 huge pages aside beside those that there are, and puts the number back.
# Exit status: 0 as found, 1 changed, 77 can't be tried here.
set -eu

skip() {
	echo "skipped: $1"
	exit 77
}

pages=/sys/kernel/mm/hugepages/hugepages-2048kB
[ -w $pages/nr_hugepages ] || skip "no huge pages can be set aside: $pages/nr_hugepages"
command -v cc >/dev/null || skip "no C compiler"
before=$(cat $pages/nr_hugepages)
folder=$(mktemp -d)
trap 'echo "$before" >$pages/nr_hugepages; rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
[ "$(cat $pages/free_hugepages)" = "$(cat $pages/resv_hugepages)" ] || skip "others' free huge pages would be taken"
{ echo $((before + 4)) >$pages/nr_hugepages; } 2>/dev/null || skip "no huge pages can be set aside"
[ "$(cat $pages/nr_hugepages)" = $((before + 4)) ] || skip "memory is too fragmented"

cat >"$folder/program.c" <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE       (2ul << 20)
#define PUNCH      (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define HUGE_PAGES (MFD_CLOEXEC | MFD_HUGETLB | 21u << 26 /* MFD_HUGE_2MB */)

static int make(unsigned long pages)
{
	int fd = memfd_create("finding", HUGE_PAGES);

	if (fd < 0 || ftruncate(fd, (off_t)(pages * PAGE)))
		exit(77);
	return fd;
}

static char *map(int fd, unsigned long page, unsigned long count)
{
	return mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(page * PAGE));
}

static unsigned blocks(int fd)
{
	struct stat status;

	fstat(fd, &status);
	return (unsigned)((unsigned long)status.st_blocks * 512 / PAGE);
}

/* In a child, for what happens to it. */
static const char *touch(char *bytes)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		*(volatile char *)bytes = 1;
		_exit(0);
	}
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "fine";
}

static void try_map(const char *what, int fd, unsigned long page)
{
	char *bytes = map(fd, page, 1);

	printf("%s: %s\n", what, bytes == MAP_FAILED ? strerror(errno) : "fine");
	if (bytes != MAP_FAILED)
		munmap(bytes, PAGE);
}

int main(void)
{
	uint64_t range[2] = {0, 0}, counts[5];
	int fd = make(3), other = make(2), first, second;
	char *bytes = map(fd, 0, 3);

	if (bytes == MAP_FAILED)
		return 77;
	bytes[0] = bytes[PAGE] = 1;
	printf("two of three pages touched: st_blocks has %u, cachestat: %s\n", blocks(fd),
		syscall(451 /* Linux 6.5 */, fd, range, counts, 0) ? strerror(errno) : "fine");
	first = fallocate(fd, PUNCH, 0, PAGE);
	second = fallocate(fd, PUNCH, 2 * PAGE, PAGE);
	printf("punched: %d and %d, of which the second was never there; %u is left\n", first, second,
		blocks(fd));
	printf("others allocate two pages: %s\n",
		fallocate(other, FALLOC_FL_KEEP_SIZE, 0, 2 * PAGE) ? strerror(errno) : "fine");
	printf("touching what was punched: %s\n", touch(bytes));
	printf("touching what was reserved and never there: %s\n", touch(bytes + 2 * PAGE));
	try_map("mapping what was punched", fd, 0);
	close(other);
	try_map("the same, once others have given theirs back", fd, 0);
	other = make(1);
	printf("others allocate all that is free: %s\n",
		fallocate(other, FALLOC_FL_KEEP_SIZE, 0, PAGE) ? strerror(errno) : "fine");
	other = make(1);
	printf("and one more: %s\n",
		fallocate(other, FALLOC_FL_KEEP_SIZE, 0, PAGE) ? strerror(errno) : "fine");
	printf("touching what was punched: %s\n", touch(bytes));
	return 0;
}
END
cat >"$folder/expected" <<'END'
two of three pages touched: st_blocks has 2, cachestat: Operation not supported
punched: 0 and 0, of which the second was never there; 1 is left
others allocate two pages: fine
touching what was punched: Bus error
touching what was reserved and never there: fine
mapping what was punched: Cannot allocate memory
the same, once others have given theirs back: fine
others allocate all that is free: fine
and one more: No space left on device
touching what was punched: fine
END

cc -O1 -Wall -o "$folder/program" "$folder/program.c"
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
