#!/bin/sh
# What waits in a SOCK_SEQPACKET socket can't be told from its byte counts. SIOCINQ is the sum of all packets (with SOCK_DGRAM it is the
# first one alone), and 0 where empty packets wait, even such as carry files. SIOCOUTQ counts an empty packet too, as the kernel's
# memory for it. Files that wait are in no count but scm_fds of the receiver's /proc/PID/fdinfo. An empty packet is received as 0 bytes,
# which is the end as well. MSG_PEEK installs the packet's files each time: peeking N times makes N descriptors of each.
#
# Seen on:   Linux 6.18.44.
# Expected:  unix(7) tells SIOCINQ of SOCK_STREAM, and for SOCK_DGRAM refers to udp(7): the next packet's size. For a socket that keeps
#            packets apart one expects the latter. recv(2) has MSG_PEEK leave the data where they are, and says nothing of files.
# Output seen: as in "expected" below.
#
# Needs: cc. Exit status: 0 as found, 1 changed, 77 can't be tried here.
set -eu

skip() {
	echo "skipped: $1"
	exit 77
}

command -v cc >/dev/null || skip "no C compiler"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM

cat >"$folder/program.c" <<'END'
#define _GNU_SOURCE
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SIOCINQ
#define SIOCINQ 0x541B
#endif

static int files_waiting(int sock)
{
	char path[64], line[256];
	int n = -1;
	FILE *file;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", sock);
	file = fopen(path, "r");
	if (!file)
		exit(2);
	while (fgets(line, sizeof line, file))
		sscanf(line, "scm_fds: %d", &n);
	fclose(file);
	return n;
}

static void show(const char *when, const int socks[2])
{
	int in = -1, out = -1;

	if (ioctl(socks[1], SIOCINQ, &in) || ioctl(socks[0], SIOCOUTQ, &out))
		exit(2);
	printf("  %s: SIOCINQ %d, SIOCOUTQ %s, scm_fds %d\n", when, in, out ? "more than 0" : "0",
		files_waiting(socks[1]));
}

/* With the standard input as a file, as often as wanted. */
static void send_packet(int sock, size_t size, unsigned files)
{
	char data[64] = {0}, control[CMSG_SPACE(2 * sizeof(int))] = {0};
	struct iovec part = {data, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (files) {
		struct cmsghdr *header;

		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(files * sizeof(int));
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(files * sizeof(int)); /* of zeros: the standard input */
	}
	if (sendmsg(sock, &message, 0) != (ssize_t)size)
		exit(2);
}

static void receive_packet(const char *name, int sock, int flags)
{
	char data[64], control[256];
	struct iovec part = {data, sizeof data};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *header;
	size_t files = 0;
	ssize_t n;

	message.msg_control = control;
	message.msg_controllen = sizeof control;
	n = recvmsg(sock, &message, flags | MSG_DONTWAIT);
	header = n < 0 ? NULL : CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS)
		files = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	printf("  %s: %zd bytes, flags %#x, %zu files\n", name, n, message.msg_flags, files);
}

static void try_type(const char *name, int type)
{
	int socks[2];

	printf("%s\n", name);
	if (socketpair(AF_UNIX, type, 0, socks))
		exit(2);
	show("nothing was sent", socks);
	send_packet(socks[0], 0, 0);
	show("an empty packet was", socks);
	send_packet(socks[0], 0, 2);
	show("an empty one with 2 files", socks);
	send_packet(socks[0], 10, 0);
	send_packet(socks[0], 20, 1);
	show("10 bytes, and 20 with 1 file", socks);
	receive_packet("received", socks[1], 0);
	receive_packet("peeked at", socks[1], MSG_PEEK);
	receive_packet("peeked at", socks[1], MSG_PEEK);
	receive_packet("received", socks[1], 0);
	show("the empty ones are received", socks);
	receive_packet("received", socks[1], 0);
	receive_packet("received", socks[1], 0);
	close(socks[0]);
	receive_packet("the other side has closed", socks[1], 0);
	close(socks[1]);
}

int main(void)
{
	int socks[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, socks) || files_waiting(socks[0]) < 0) {
		puts("the kernel has no scm_fds (Linux 5.6)");
		return 77;
	}
	close(socks[0]);
	close(socks[1]);
	try_type("SOCK_SEQPACKET", SOCK_SEQPACKET);
	try_type("SOCK_DGRAM", SOCK_DGRAM);
	return 0;
}
END
cat >"$folder/expected" <<'END'
SOCK_SEQPACKET
  nothing was sent: SIOCINQ 0, SIOCOUTQ 0, scm_fds 0
  an empty packet was: SIOCINQ 0, SIOCOUTQ more than 0, scm_fds 0
  an empty one with 2 files: SIOCINQ 0, SIOCOUTQ more than 0, scm_fds 2
  10 bytes, and 20 with 1 file: SIOCINQ 30, SIOCOUTQ more than 0, scm_fds 3
  received: 0 bytes, flags 0, 0 files
  peeked at: 0 bytes, flags 0, 2 files
  peeked at: 0 bytes, flags 0, 2 files
  received: 0 bytes, flags 0, 2 files
  the empty ones are received: SIOCINQ 30, SIOCOUTQ more than 0, scm_fds 1
  received: 10 bytes, flags 0, 0 files
  received: 20 bytes, flags 0, 1 files
  the other side has closed: 0 bytes, flags 0, 0 files
SOCK_DGRAM
  nothing was sent: SIOCINQ 0, SIOCOUTQ 0, scm_fds 0
  an empty packet was: SIOCINQ 0, SIOCOUTQ more than 0, scm_fds 0
  an empty one with 2 files: SIOCINQ 0, SIOCOUTQ more than 0, scm_fds 2
  10 bytes, and 20 with 1 file: SIOCINQ 0, SIOCOUTQ more than 0, scm_fds 3
  received: 0 bytes, flags 0, 0 files
  peeked at: 0 bytes, flags 0, 2 files
  peeked at: 0 bytes, flags 0, 2 files
  received: 0 bytes, flags 0, 2 files
  the empty ones are received: SIOCINQ 10, SIOCOUTQ more than 0, scm_fds 1
  received: 10 bytes, flags 0, 0 files
  received: 20 bytes, flags 0, 1 files
  the other side has closed: -1 bytes, flags 0, 0 files
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
