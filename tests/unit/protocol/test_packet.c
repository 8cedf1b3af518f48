/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets over real sockets: their bytes, their descriptors, their limits, and the end of the
 * connection.
 */
#include "protocol/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lib/unit.h"

#define MANY_FDS 250 /* below SCM_MAX_FD */

static int ends[2];
static size_t fds_before;
static struct packet packet;

/* Sends past the limits that packet_send() keeps. */
static void send_raw(const char *bytes, size_t length, size_t n_fds)
{
	static char control[CMSG_SPACE(sizeof(int) * MANY_FDS)] __attribute__((aligned(8)));
	struct iovec vector = {(void *)bytes, length};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
	struct cmsghdr *header;

	if (n_fds > 0) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		for (size_t i = 0; i < n_fds; i++)
			((int *)CMSG_DATA(header))[i] = STDIN_FILENO;
	}
	CU_ASSERT_EQUAL(sendmsg(ends[0], &message, MSG_NOSIGNAL), (ssize_t)length);
}

static void receive(void)
{
	CU_ASSERT_EQUAL_FATAL(packet_receive(ends[1], MSG_DONTWAIT, &packet), 0);
}

static bool same_file(int a, int b)
{
	struct stat first, second;

	return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino;
}

/* Bytes */

static void test_bytes(void)
{
	CU_ASSERT_EQUAL(packet_send(ends[0], 0, "first", 5, NULL, 0), 0);
	CU_ASSERT_EQUAL(packet_send(ends[0], 0, "a\0b", 3, NULL, 0), 0);
	receive();
	CU_ASSERT_EQUAL(packet.length, 5);
	CU_ASSERT_STRING_EQUAL(packet.bytes, "first");
	CU_ASSERT_EQUAL(packet.fault, PACKET_WHOLE);
	CU_ASSERT_EQUAL(packet.fds.count, 0);
	receive();
	CU_ASSERT_EQUAL(packet.length, 3);
	CU_ASSERT_EQUAL(memcmp(packet.bytes, "a\0b", 4), 0);
}

static void test_longest(void)
{
	static char bytes[PACKET_BYTES_MAX + 1];

	memset(bytes, 'x', sizeof bytes);
	CU_ASSERT_EQUAL(packet_send(ends[0], 0, bytes, PACKET_BYTES_MAX, NULL, 0), 0);
	receive();
	CU_ASSERT_EQUAL(packet.fault, PACKET_WHOLE);
	CU_ASSERT_EQUAL(packet.length, PACKET_BYTES_MAX);
	CU_ASSERT_EQUAL(strlen(packet.bytes), PACKET_BYTES_MAX);
	CU_ASSERT_EQUAL(packet_send(ends[0], 0, bytes, PACKET_BYTES_MAX + 1, NULL, 0), -EMSGSIZE);
	CU_ASSERT_EQUAL(packet_receive(ends[1], MSG_DONTWAIT, &packet), -EAGAIN);
}

/* Its descriptors can be closed, and what follows is a packet of its own. */
static void test_too_long(void)
{
	static char bytes[PACKET_BYTES_MAX + 1];

	memset(bytes, 'x', sizeof bytes);
	send_raw(bytes, sizeof bytes, 3);
	CU_ASSERT_EQUAL(packet_send(ends[0], 0, "next", 4, NULL, 0), 0);
	receive();
	CU_ASSERT_EQUAL(packet.fault, PACKET_TOO_LONG);
	CU_ASSERT_EQUAL(packet.fds.count, 3);
	fd_list_close(&packet.fds);
	CU_ASSERT_EQUAL(unit_open_fds(), fds_before);
	receive();
	CU_ASSERT_EQUAL(packet.fault, PACKET_WHOLE);
	CU_ASSERT_STRING_EQUAL(packet.bytes, "next");
}

/* Descriptors */

static void test_fds(void)
{
	int sent[PACKET_FDS_MAX];

	for (size_t i = 0; i < PACKET_FDS_MAX; i++)
		sent[i] = memfd_create("sent", MFD_CLOEXEC);
	for (size_t count = 1; count <= PACKET_FDS_MAX; count++) {
		CU_ASSERT_EQUAL(packet_send(ends[0], 0, "fds", 3, sent, count), 0);
		receive();
		CU_ASSERT_EQUAL(packet.fault, PACKET_WHOLE);
		CU_ASSERT_EQUAL(packet.fds.count, count);
		for (size_t i = 0; i < count; i++) {
			CU_ASSERT_TRUE(same_file(packet.fds.fds[i], sent[i]));
			CU_ASSERT_EQUAL(fcntl(packet.fds.fds[i], F_GETFD), FD_CLOEXEC);
		}
		CU_ASSERT_EQUAL(unit_open_fds(), fds_before + PACKET_FDS_MAX + count);
		fd_list_close(&packet.fds);
		CU_ASSERT_EQUAL(packet.fds.count, 0);
		CU_ASSERT_EQUAL(unit_open_fds(), fds_before + PACKET_FDS_MAX);
	}
	for (size_t i = 0; i < PACKET_FDS_MAX; i++)
		close(sent[i]);
}

static void test_take(void)
{
	int sent[3] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
	int taken;

	CU_ASSERT_EQUAL(packet_send(ends[0], 0, "fds", 3, sent, 3), 0);
	receive();
	taken = fd_list_take(&packet.fds, 1);
	CU_ASSERT_TRUE(taken >= 0);
	CU_ASSERT_EQUAL(fd_list_take(&packet.fds, 1), -1);
	CU_ASSERT_EQUAL(fd_list_take(&packet.fds, 3), -1);
	CU_ASSERT_EQUAL(fd_list_take(&packet.fds, SIZE_MAX), -1);
	CU_ASSERT_EQUAL(packet.fds.count, 3);
	fd_list_close(&packet.fds);
	CU_ASSERT_EQUAL(fd_list_take(&packet.fds, 0), -1);
	/* What was taken stays. */
	CU_ASSERT_EQUAL(unit_open_fds(), fds_before + 1);
	close(taken);
	fd_list_close(&packet.fds);
}

static void test_too_many_fds(void)
{
	const size_t counts[] = {PACKET_FDS_MAX + 1, PACKET_FDS_MAX + 2, 64, MANY_FDS};
	int sent[PACKET_FDS_MAX + 1] = {0};

	CU_ASSERT_EQUAL(packet_send(ends[0], 0, "fds", 3, sent, PACKET_FDS_MAX + 1), -EMSGSIZE);
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		send_raw("many", 4, counts[i]);
		receive();
		CU_ASSERT_EQUAL(packet.fault, PACKET_TOO_MANY_FDS);
		CU_ASSERT_TRUE(packet.fds.count <= PACKET_FDS_MAX);
		fd_list_close(&packet.fds);
		CU_ASSERT_EQUAL(unit_open_fds(), fds_before);
	}
	CU_ASSERT_EQUAL(packet_send(ends[0], 0, "next", 4, NULL, 0), 0);
	receive();
	CU_ASSERT_EQUAL(packet.fault, PACKET_WHOLE);
}

/* The receiver's own limit: it gets some of them, to close. */
static void receive_at_the_limit(void *context)
{
	struct rlimit limit = {.rlim_cur = unit_open_fds() + 3, .rlim_max = 4096};
	int sent[PACKET_FDS_MAX] = {0};
	int next = dup(0);

	(void)context;
	limit.rlim_cur = (rlim_t)next + 3;
	close(next);
	CU_ASSERT_EQUAL(packet_send(ends[0], 0, "fds", 3, sent, PACKET_FDS_MAX), 0);
	fds_before = unit_open_fds();
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
	receive();
	CU_ASSERT_EQUAL(packet.fault, PACKET_TOO_MANY_FDS);
	fd_list_close(&packet.fds);
	CU_ASSERT_EQUAL(unit_open_fds(), fds_before);
}

static void test_receiver_at_its_limit(void)
{
	unit_in_child(receive_at_the_limit, NULL);
}

/* A user may have as many on their way as it may have open. */
static void send_to_the_limit(void *context)
{
	struct rlimit limit = {.rlim_cur = 64, .rlim_max = 64};
	int sent[PACKET_FDS_MAX] = {0};
	int r = 0;

	(void)context;
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
	if (getuid() == 0 && setresuid(65533, 65533, 65533) < 0) {
		unit_skip("not permitted to become another user");
		return;
	}
	for (unsigned i = 0; i < 16 && r == 0; i++)
		r = packet_send(ends[0], MSG_DONTWAIT, "fds", 3, sent, PACKET_FDS_MAX);
	CU_ASSERT_EQUAL(r, -ETOOMANYREFS);
	CU_ASSERT_EQUAL(packet_send(ends[0], MSG_DONTWAIT, "none", 4, NULL, 0), 0);
}

static void test_sender_at_its_limit(void)
{
	unit_in_child(send_to_the_limit, NULL);
}

/* Ends */

static void test_empty_packet(void)
{
	int fd = STDIN_FILENO;

	CU_ASSERT_EQUAL(packet_send(ends[0], 0, "", 0, NULL, 0), 0);
	CU_ASSERT_EQUAL(packet_send(ends[0], 0, "", 0, &fd, 1), 0);
	CU_ASSERT_EQUAL(packet_send(ends[0], 0, "next", 4, NULL, 0), 0);
	receive();
	CU_ASSERT_EQUAL(packet.length, 0);
	CU_ASSERT_EQUAL(packet.bytes[0], '\0');
	CU_ASSERT_EQUAL(packet.fault, PACKET_WHOLE);
	receive();
	CU_ASSERT_EQUAL(packet.length, 0);
	CU_ASSERT_EQUAL(packet.fds.count, 1);
	fd_list_close(&packet.fds);
	receive();
	CU_ASSERT_STRING_EQUAL(packet.bytes, "next");
}

static void test_nothing_there(void)
{
	packet.length = 77;
	CU_ASSERT_EQUAL(packet_receive(ends[1], MSG_DONTWAIT, &packet), -EAGAIN);
	CU_ASSERT_EQUAL(packet.length, 77);
	CU_ASSERT_EQUAL(packet_receive(-1, 0, &packet), -EBADF);
}

/* What was sent before the end is still there. */
static void on_alarm(int number)
{
	(void)number;
}

/* Signals, as often as a VMM may have them, end each wait: who waits looks how long it may. */
static int await_amid_signals(void)
{
	const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	const struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
	struct sigaction before;
	int r;

	sigaction(SIGALRM, &action, &before);
	setitimer(ITIMER_REAL, &often, NULL);
	r = packet_await(ends[1], &packet);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &before, NULL);
	return r;
}

static void test_waiting(void)
{
	CU_ASSERT_EQUAL(packet_limit_wait(ends[1], 1), 0);
	CU_ASSERT_EQUAL(packet_await(ends[1], &packet), -EAGAIN);
	CU_ASSERT_EQUAL(packet_limit_wait(ends[1], 3600 * 1000), 0);
	CU_ASSERT_EQUAL(await_amid_signals(), -EAGAIN);
	send_raw("x", 1, 0);
	CU_ASSERT_EQUAL(packet_await(ends[1], &packet), 0);
	CU_ASSERT_EQUAL(packet.length, 1);
	CU_ASSERT_EQUAL(packet_limit_wait(-1, 1), -EBADF);
}

static void test_end(void)
{
	int fd = STDIN_FILENO;

	CU_ASSERT_EQUAL(packet_send(ends[0], 0, "last", 4, NULL, 0), 0);
	CU_ASSERT_EQUAL(packet_send(ends[0], 0, "", 0, &fd, 1), 0);
	close(ends[0]);
	ends[0] = -1;
	receive();
	CU_ASSERT_STRING_EQUAL(packet.bytes, "last");
	receive();
	CU_ASSERT_EQUAL(packet.fds.count, 1);
	fd_list_close(&packet.fds);
	CU_ASSERT_EQUAL(packet_receive(ends[1], 0, &packet), -ECONNRESET);
	CU_ASSERT_EQUAL(packet_receive(ends[1], MSG_DONTWAIT, &packet), -ECONNRESET);
	/* Without SIGPIPE, which would kill this program. */
	CU_ASSERT_EQUAL(packet_send(ends[1], 0, "x", 1, NULL, 0), -EPIPE);
}

static void test_end_of_one_direction(void)
{
	CU_ASSERT_EQUAL(shutdown(ends[0], SHUT_WR), 0);
	CU_ASSERT_EQUAL(packet_receive(ends[1], 0, &packet), -ECONNRESET);
	CU_ASSERT_EQUAL(packet_send(ends[1], 0, "still", 5, NULL, 0), 0);
	CU_ASSERT_EQUAL(packet_receive(ends[0], MSG_DONTWAIT, &packet), 0);
}

static void test_queue_full(void)
{
	unsigned sent = 0;
	int r;

	while ((r = packet_send(ends[0], MSG_DONTWAIT, "x", 1, NULL, 0)) == 0)
		sent++;
	CU_ASSERT_EQUAL(r, -EAGAIN);
	CU_ASSERT_TRUE(sent > 0);
	receive();
	while (--sent > 0)
		receive();
	CU_ASSERT_EQUAL(packet_receive(ends[1], MSG_DONTWAIT, &packet), -EAGAIN);
}

/* Bytes alone, with a mark */

static char room[PACKET_BYTES_MAX + 1];
static struct mmsghdr mark;

static void check_received(const char *bytes, size_t length, bool too_long)
{
	struct packet_bytes received;

	CU_ASSERT_EQUAL_FATAL(packet_receive_marked(ends[1], room, &mark), 0);
	CU_ASSERT_NOT_EQUAL(mark.msg_len, PACKET_UNDONE);
	received = packet_received(room, &mark);
	CU_ASSERT_EQUAL_FATAL(received.length, length);
	CU_ASSERT_EQUAL(memcmp(received.bytes, bytes, length), 0);
	CU_ASSERT_EQUAL(received.bytes[length], '\0');
	CU_ASSERT_EQUAL(received.too_long, too_long);
}

static void test_marked(void)
{
	static char longest[PACKET_BYTES_MAX + 1];

	memset(longest, 'x', sizeof longest);
	CU_ASSERT_EQUAL(packet_receive_marked(ends[1], room, &mark), -EAGAIN);
	CU_ASSERT_EQUAL(mark.msg_len, PACKET_UNDONE);
	send_raw("a\0b", 3, 0);
	check_received("a\0b", 3, false);
	send_raw("", 0, 0);
	check_received("", 0, false);
	send_raw(longest, PACKET_BYTES_MAX, 0);
	check_received(longest, PACKET_BYTES_MAX, false);
	send_raw(longest, sizeof longest, 0);
	check_received(longest, PACKET_BYTES_MAX, true);
	send_raw("next", 4, 0);
	check_received("next", 4, false);
	CU_ASSERT_EQUAL(shutdown(ends[0], SHUT_WR), 0);
	CU_ASSERT_EQUAL(packet_receive_marked(ends[1], room, &mark), -ECONNRESET);
}

/* Files of one who could send them, which a peer of gmemd's can't. */
static void test_marked_closes_files(void)
{
	send_raw("x", 1, 3);
	check_received("x", 1, false);
	CU_ASSERT_EQUAL(unit_open_fds(), fds_before);
}

/* Connecting */

static void test_connect(void)
{
	char directory[] = "/tmp/test-packet-XXXXXX", path[64];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), accepted, fd = -77;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/socket", directory);
	strcpy(address.sun_path, path);
	CU_ASSERT_EQUAL(packet_connect(path, &fd), -ENOENT);
	CU_ASSERT_EQUAL(bind(listening, (struct sockaddr *)&address, sizeof address), 0);
	CU_ASSERT_EQUAL(packet_connect(path, &fd), -ECONNREFUSED);
	CU_ASSERT_EQUAL(fd, -77);
	CU_ASSERT_EQUAL(listen(listening, 1), 0);
	CU_ASSERT_EQUAL(packet_connect(path, &fd), 0);
	CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
	accepted = accept(listening, NULL, NULL);
	CU_ASSERT_EQUAL(packet_send(fd, 0, "hello", 5, NULL, 0), 0);
	CU_ASSERT_EQUAL(packet_receive(accepted, 0, &packet), 0);
	CU_ASSERT_STRING_EQUAL(packet.bytes, "hello");
	close(accepted);
	close(fd);
	close(listening);
	unlink(path);
	rmdir(directory);
	CU_ASSERT_EQUAL(unit_open_fds(), fds_before);
}

static void test_connect_path_length(void)
{
	char path[sizeof((struct sockaddr_un *)NULL)->sun_path + 1];
	int fd = -77, r;

	memset(path, '/', sizeof path);
	path[sizeof path - 1] = '\0';
	CU_ASSERT_EQUAL(packet_connect(path, &fd), -ENAMETOOLONG);
	path[sizeof path - 2] = '\0';
	/* This is the root, which is no socket, and which not everybody may write. */
	r = packet_connect(path, &fd);
	CU_ASSERT_TRUE(r == -ECONNREFUSED || r == -EACCES);
	CU_ASSERT_EQUAL(fd, -77);
	CU_ASSERT_EQUAL(unit_open_fds(), fds_before);
}

static void set_up(void)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	fds_before = unit_open_fds();
}

static void tear_down(void)
{
	if (ends[0] >= 0)
		close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"bytes", test_bytes},
		{"the longest", test_longest},
		{"too long", test_too_long},
		{"descriptors", test_fds},
		{"taking descriptors", test_take},
		{"too many descriptors", test_too_many_fds},
		{"a receiver at its limit of descriptors", test_receiver_at_its_limit},
		{"a sender at its limit of descriptors", test_sender_at_its_limit},
		{"empty", test_empty_packet},
		{"nothing there", test_nothing_there},
		{"waiting for one", test_waiting},
		{"the end", test_end},
		{"the end of one direction", test_end_of_one_direction},
		{"a full queue", test_queue_full},
		{"bytes with a mark", test_marked},
		{"bytes with a mark, of one who sends files", test_marked_closes_files},
		{"connecting", test_connect},
		{"connecting to a long path", test_connect_path_length},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "packet",
			.pSetUpFunc = set_up,
			.pTearDownFunc = tear_down,
			.pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
