/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An attack on gmemd itself by a VMM that no gmem-run has started: it keeps a listener that it
 * hands over, and takes trapped calls away from under gmemd's hands.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "protocol/json.h"
#include "tests/adversary/adversary.h"

/* How long it tries, and how long gmemd may take for an answer. */
#define TRIAL_SECONDS  3
#define ANSWER_SECONDS 5
#define THIEVES        2

/* Traps getppid(2) of the calling thread and of what it starts. */
static int make_listener(void)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof program / sizeof *program, program};

	require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges");
	return (int)syscall(
		__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
}

static void *steal(void *context)
{
	int listener = *(int *)context;

	for (;;) {
		struct seccomp_notif trap = {0};
		struct seccomp_notif_resp answer = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &trap) < 0)
			continue;
		answer.id = trap.id;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
	return NULL;
}

static void hand_over(struct gmem *gmem, int listener)
{
	struct exchange exchange = {.repeated = false};
	struct json_object *params = json_new_object(), *result;

	json_add_string(params, "name", "thief");
	require(connection_request(gmem, "vm.open", params, &exchange, &result) == 0, "a VM");
	fd_list_close(&exchange.received);
	exchange = (struct exchange){.repeated = false};
	params = json_new_object();
	json_add_string(params, "vm", json_get_string(result, "vm"));
	json_add_uint(params, "listener", (uint64_t)listener);
	require(connection_request(gmem, "vm.gate", params, &exchange, NULL) == 0,
		"gmemd takes the listener");
	json_unref(result);
}

static void too_late(int number)
{
	static const char text[] = "not ok - gmemd answers while its trapped calls are stolen\n";

	(void)number;
	_exit(write(STDOUT_FILENO, text, sizeof text - 1) < 0 ? 2 : 1);
}

void attack_steal(struct world *world)
{
	pthread_t thieves[THIEVES];
	int listener;

	signal(SIGALRM, too_late);
	alarm(ANSWER_SECONDS);
	for (unsigned i = 0; i < THIEVES; i++)
		require(pthread_create(&thieves[i], NULL, steal, &listener) == 0, "a thief");
	listener = make_listener();
	require(listener >= 0, "a listener");
	hand_over(world->gmem, listener);
	for (time_t end = time(NULL) + TRIAL_SECONDS; time(NULL) < end;) {
		alarm(ANSWER_SECONDS);
		syscall(__NR_getppid);
		require(connection_request(world->gmem, "ping", NULL, NULL, NULL) == 0,
			"an answer");
	}
	verdict(true, "gmemd answers while its trapped calls are stolen");
}
