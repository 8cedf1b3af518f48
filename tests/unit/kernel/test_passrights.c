/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SO_PASSRIGHTS, as the kernel has it: what a connection has of it, when files are refused, what
 * tells of those that are queued.
 */
#include "kernel/host/passrights.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "tests/lib/unit.h"

#define ROUNDS 300

static bool lacks_it(void)
{
	if (passrights_probe() == 0)
		return false;
	unit_skip("the kernel lacks SO_PASSRIGHTS, of Linux 6.16");
	return true;
}

/* With a file, or without: 0 or a negative errno. */
static int send_packet(int socket, size_t length, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS,
			     .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec bytes = {"hello", length};
	struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
		memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int listen_anywhere(struct sockaddr_un *ret_address, socklen_t *ret_length)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	/* The kernel gives it a name that nobody has. */
	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	*ret_length = sizeof *ret_address;
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)ret_address, sizeof(sa_family_t)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(fd, 8), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *)ret_address, ret_length), 0);
	return fd;
}

static int connect_to(const struct sockaddr_un *address, socklen_t length)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	CU_ASSERT_EQUAL_FATAL(connect(fd, (const struct sockaddr *)address, length), 0);
	return fd;
}

static int accept_next(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	return fd;
}

static void test_connections(void)
{
	struct sockaddr_un address;
	socklen_t length;
	int listener, before, after, accepted;
	bool had = false;

	if (lacks_it())
		return;
	listener = listen_anywhere(&address, &length);
	before = connect_to(&address, length);
	CU_ASSERT_EQUAL(passrights_withdraw(listener, &had), 0);
	CU_ASSERT_TRUE(had);
	CU_ASSERT_EQUAL(passrights_withdraw(listener, &had), 0);
	CU_ASSERT_FALSE(had);
	after = connect_to(&address, length);
	CU_ASSERT_EQUAL(send_packet(before, 5, STDIN_FILENO), 0);
	CU_ASSERT_EQUAL(send_packet(after, 5, STDIN_FILENO), -EPERM);
	CU_ASSERT_EQUAL(send_packet(after, 0, STDIN_FILENO), -EPERM);
	CU_ASSERT_EQUAL(send_packet(after, 5, -1), 0);
	accepted = accept_next(listener);
	CU_ASSERT_EQUAL(passrights_withdraw_from_peer(accepted, &had), -EBUSY);
	CU_ASSERT_TRUE(had);
	fd_close(accepted);
	accepted = accept_next(listener);
	CU_ASSERT_EQUAL(passrights_withdraw_from_peer(accepted, &had), 0);
	CU_ASSERT_FALSE(had);
	CU_ASSERT_EQUAL(send_packet(after, 5, STDIN_FILENO), -EPERM);
	CU_ASSERT_EQUAL(send_packet(accepted, 5, STDIN_FILENO), 0);
	fd_close(accepted);
	fd_close(after);
	fd_close(before);
	fd_close(listener);
}

static void test_queues(void)
{
	static const struct {
		size_t length;
		int file;
		int r;
		const char *what;
	} rows[] = {
		{5, -1, 0, "bytes"},
		{0, -1, 0, "an empty packet"},
		{5, STDIN_FILENO, -EBUSY, "a file"},
		{0, STDIN_FILENO, -EBUSY, "a file in an empty packet"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows && !lacks_it(); i++) {
		int ends[2], r;
		bool had;

		CU_ASSERT_EQUAL_FATAL(
			socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
		CU_ASSERT_EQUAL(send_packet(ends[0], 5, -1), 0);
		CU_ASSERT_EQUAL(send_packet(ends[0], rows[i].length, rows[i].file), 0);
		for (unsigned again = 0; again < 2; again++) {
			r = passrights_withdraw_from_peer(ends[1], &had);
			UNIT_ASSERT_ROW(r == rows[i].r, "%s, time %u: %d", rows[i].what, again, r);
		}
		UNIT_ASSERT_ROW(
			had == (rows[i].r < 0), "%s: whether more can be sent", rows[i].what);
		fd_close(ends[0]);
		fd_close(ends[1]);
	}
}

struct sender {
	int socket;
	volatile bool stop;
};

static void *send_files(void *context)
{
	struct sender *sender = context;
	int r = 0;

	while (!sender->stop && (r == 0 || r == -EPERM || r == -EAGAIN))
		r = send_packet(sender->socket, 1, STDIN_FILENO);
	return NULL;
}

static unsigned scm_fds(int socket)
{
	char path[64], line[256];
	unsigned count = 0;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", socket);
	{
		cleanup_file FILE *file = fopen(path, "re");

		while (file && fgets(line, sizeof line, file))
			sscanf(line, "scm_fds: %u", &count);
	}
	return count;
}

/* However the sender is interrupted: where no files were found, none comes any more. */
static void test_race(void)
{
	unsigned clean = 0;

	for (unsigned i = 0; i < ROUNDS && !lacks_it(); i++) {
		struct sender sender = {.stop = false};
		pthread_t thread;
		int ends[2], r;
		bool had;

		CU_ASSERT_EQUAL_FATAL(
			socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
		sender.socket = ends[0];
		CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, send_files, &sender), 0);
		r = passrights_withdraw_from_peer(ends[1], &had);
		usleep(100);
		clean += r == 0;
		CU_ASSERT_TRUE(r == -EBUSY || (r == 0 && scm_fds(ends[1]) == 0));
		sender.stop = true;
		pthread_join(thread, NULL);
		fd_close(ends[0]);
		fd_close(ends[1]);
	}
	printf("# %u of %u had none\n", clean, ROUNDS);
}

static CU_TestInfo tests[] = {
	{"who connects afterwards can't send files, who has connected before can",
		test_connections},
	{"files in a queue are found, and nothing else is taken for one", test_queues},
	{"no file comes after a queue was found to have none", test_race},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	CU_SuiteInfo suites[] = {
		{.pName = "passrights", .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
