/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What KVM tells of VMs that are made. See kvm_events.h.
 */
#include "kernel/kvm/kvm_events.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"

/* How each uevent of KVM's device begins; NUL ends the line. */
static const char start[] = "change@/devices/virtual/misc/kvm";
#define START_WORDS (sizeof start / sizeof(uint32_t))

#define UEVENT_GROUP     1
#define UEVENT_BYTES_MAX 4096
#define QUEUE_BYTES      (1 << 20)
#define QUEUED_BYTES_MIN 512 /* of one: its data, and what the kernel has beside it */

/* The kernel doubles what it is asked for. */
_Static_assert(KVM_EVENTS_MAX >= 2 * QUEUE_BYTES / QUEUED_BYTES_MIN, "a whole queue");

/* Others' uevents must not fill the queue. */
static int attach_filter(int fd)
{
	struct sock_filter program[2 * START_WORDS + 2];
	struct sock_fprog whole = {.len = sizeof program / sizeof *program, .filter = program};
	uint32_t word;

	for (size_t i = 0; i < START_WORDS; i++) {
		unsigned char left = (unsigned char)(2 * (START_WORDS - i) - 1);

		memcpy(&word, start + i * sizeof word, sizeof word);
		program[2 * i] = (struct sock_filter)BPF_STMT(
			BPF_LD | BPF_W | BPF_ABS, (uint32_t)(i * sizeof word));
		program[2 * i + 1] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, ntohl(word), 0, left);
	}
	program[2 * START_WORDS] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UEVENT_BYTES_MAX);
	program[2 * START_WORDS + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &whole, sizeof whole) < 0 ? -errno : 0;
}

int kvm_events_open(int *ret_fd)
{
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = UEVENT_GROUP};
	const int type = SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, size = QUEUE_BYTES;
	cleanup_fd int fd = socket(AF_NETLINK, type, NETLINK_KOBJECT_UEVENT);
	int r;

	if (fd < 0)
		return -errno;
	/* The kernel gives what it may. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	r = attach_filter(fd);
	if (r < 0)
		return r;
	if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		return -errno;
	*ret_fd = fd;
	fd = -1; /* handed over */
	return 0;
}

/* Of NUL-terminated lines. */
static const char *value_of(const char *text, size_t length, const char *name)
{
	for (const char *line = text; line < text + length; line += strlen(line) + 1) {
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == '=')
			return line + strlen(name) + 1;
	}
	return NULL;
}

/* 0: none. */
static pid_t thread_of_creation(const char *text, size_t length)
{
	const char *event = value_of(text, length, "EVENT");
	const char *thread = value_of(text, length, "PID");

	if (strcmp(text, start) != 0 || !event || strcmp(event, "create") != 0 || !thread)
		return 0;
	return atoi(thread);
}

/* By the kernel alone: whoever may send in the network namespace could say anything. */
int kvm_events_next(int fd, pid_t *ret_thread)
{
	char text[UEVENT_BYTES_MAX + 1];
	struct sockaddr_nl sender;
	socklen_t size = sizeof sender;
	ssize_t length;

	do
		length = recvfrom(fd, text, UEVENT_BYTES_MAX, 0, (struct sockaddr *)&sender, &size);
	while (length < 0 && errno == EINTR);
	if (length < 0)
		return -errno;
	text[length] = '\0';
	*ret_thread = sender.nl_pid == 0 ? thread_of_creation(text, (size_t)length) : 0;
	return 0;
}
