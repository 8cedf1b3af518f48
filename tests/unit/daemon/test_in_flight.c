/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files in flight, over real sockets: each user has its part, and it comes back when they are
 * received.
 */
#include "daemon/peer/in_flight.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/packet.h"
#include "tests/lib/unit.h"

#define NOFILE 160
#define SHARE  (NOFILE / 16)
#define PEERS  24
#define USER   1001
#define OTHER  1002

static struct in_flight *in_flight;
static struct in_flight_peer peers[PEERS];
static int ends[PEERS][2];
static struct rlimit limit_before;
static struct packet packet;

static void set_up(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit_before);
	limit = (struct rlimit){NOFILE, limit_before.rlim_max};
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
	CU_ASSERT_EQUAL_FATAL(in_flight_new(&in_flight), 0);
	for (unsigned i = 0; i < PEERS; i++) {
		int r = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends[i]);

		CU_ASSERT_EQUAL_FATAL(r, 0);
		in_flight_begin(&peers[i], ends[i][0]);
	}
}

static void tear_down(void)
{
	for (unsigned i = 0; i < PEERS; i++) {
		in_flight_end(&peers[i]);
		close(ends[i][0]);
		close(ends[i][1]);
	}
	in_flight = in_flight_free(in_flight);
	setrlimit(RLIMIT_NOFILE, &limit_before);
}

static int send_file(unsigned peer, uid_t uid)
{
	const int file = STDIN_FILENO;
	int r = in_flight_charge(in_flight, &peers[peer], uid, 1);

	return r < 0 ? r : packet_send(ends[peer][0], MSG_DONTWAIT, "x", 1, &file, 1);
}

static void receive(unsigned peer)
{
	CU_ASSERT_EQUAL_FATAL(packet_receive(ends[peer][1], MSG_DONTWAIT, &packet), 0);
	fd_list_close(&packet.fds);
}

static void test_one_at_a_time(void)
{
	CU_ASSERT_EQUAL(send_file(0, USER), 0);
	CU_ASSERT_TRUE(in_flight_any(&peers[0]));
	CU_ASSERT_EQUAL(send_file(0, USER), -EAGAIN);
	receive(0);
	CU_ASSERT_FALSE(in_flight_any(&peers[0]));
	CU_ASSERT_EQUAL(send_file(0, USER), 0);
}

/* A packet without files in its queue holds them back, too: nobody could tell the two apart. */
static void test_behind_others(void)
{
	CU_ASSERT_EQUAL(packet_send(ends[0][0], MSG_DONTWAIT, "x", 1, NULL, 0), 0);
	CU_ASSERT_EQUAL(send_file(0, USER), -EAGAIN);
	receive(0);
	CU_ASSERT_EQUAL(send_file(0, USER), 0);
}

static void test_share(void)
{
	for (unsigned i = 0; i < SHARE; i++)
		CU_ASSERT_EQUAL(send_file(i, USER), 0);
	CU_ASSERT_EQUAL(send_file(SHARE, USER), -EDQUOT);
	CU_ASSERT_EQUAL(send_file(SHARE, OTHER), 0);
	receive(3);
	CU_ASSERT_EQUAL(send_file(SHARE + 1, USER), 0);
	CU_ASSERT_EQUAL(send_file(SHARE + 2, USER), -EDQUOT);
}

static void test_given_back(void)
{
	for (unsigned i = 0; i < SHARE; i++)
		CU_ASSERT_EQUAL(send_file(i, USER), 0);
	in_flight_give_back(&peers[0]);
	CU_ASSERT_FALSE(in_flight_any(&peers[0]));
	CU_ASSERT_EQUAL(send_file(SHARE, USER), 0);
	in_flight_end(&peers[1]);
	CU_ASSERT_EQUAL(send_file(SHARE + 1, USER), 0);
	CU_ASSERT_EQUAL(send_file(SHARE + 2, USER), -EDQUOT);
}

/* A peer that is gone has taken its queue with it. */
static void test_gone(void)
{
	CU_ASSERT_EQUAL(send_file(0, USER), 0);
	close(ends[0][1]);
	CU_ASSERT_FALSE(in_flight_any(&peers[0]));
	ends[0][1] = -1;
}

/* An answer that is more than the whole share goes out alone. */
static void test_larger_than_share(void)
{
	CU_ASSERT_EQUAL(in_flight_charge(in_flight, &peers[0], USER, SHARE + 5), 0);
	CU_ASSERT_EQUAL(packet_send(ends[0][0], MSG_DONTWAIT, "x", 1, NULL, 0), 0);
	CU_ASSERT_EQUAL(send_file(1, USER), -EDQUOT);
	receive(0);
	CU_ASSERT_EQUAL(send_file(1, USER), 0);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"a peer is sent files while it has received all", test_one_at_a_time},
		{"files wait for packets without any", test_behind_others},
		{"a user has its part of what may be in flight", test_share},
		{"what was not sent, or whose peer is gone, is given back", test_given_back},
		{"a peer's end takes its files along", test_gone},
		{"an answer with many files goes out alone", test_larger_than_share},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "in_flight",
			.pSetUpFunc = set_up,
			.pTearDownFunc = tear_down,
			.pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
