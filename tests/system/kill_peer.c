/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process of the random-kill test, as all of them are. See kill_peer.h.
 */
#include "tests/system/kill_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WHAT_SIZE 160

struct peer_settings peer;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool paused = true, ended;
static unsigned running;

/* What each thread does, for the watchdog. */
static struct doing {
	pid_t tid;
	bool busy;
	int64_t since_ms;
	char what[WHAT_SIZE];
} doings[PEER_THREADS_MAX];

static const struct peer_role *role;

/* Failures */

/* One line on stdout, whatever other threads do. */
static _Noreturn void say_and_end(const char *text)
{
	if (dprintf(STDOUT_FILENO, "failed: %s\n", text) < 0)
		_exit(4);
	_exit(3);
}

void peer_fail(const char *format, ...)
{
	char text[16384];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	say_and_end(text);
}

void peer_need(int r, const char *what)
{
	if (r < 0)
		peer_fail("%s: %s, %s", what, strerror(-r), gmem_last_error());
}

/* The watchdog */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void peer_doing(unsigned thread, const char *format, ...)
{
	struct doing *doing = &doings[thread];
	va_list arguments;

	pthread_mutex_lock(&lock);
	va_start(arguments, format);
	vsnprintf(doing->what, sizeof doing->what, format, arguments);
	va_end(arguments);
	doing->tid = gettid();
	doing->since_ms = now_ms();
	doing->busy = true;
	pthread_mutex_unlock(&lock);
}

void peer_idle(unsigned thread)
{
	pthread_mutex_lock(&lock);
	doings[thread].busy = false;
	pthread_mutex_unlock(&lock);
}

void peer_done(unsigned thread)
{
	peer_idle(thread);
	__atomic_add_fetch(peer.counter, 1, __ATOMIC_RELAXED);
}

/* A file of the thread's in /proc, as one line; "" where it can't be read. */
static void read_proc(pid_t tid, const char *name, char *ret, size_t size)
{
	char path[64];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof path, "/proc/self/task/%d/%s", tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, ret, size - 1);
		close(fd);
	}
	ret[n > 0 ? n : 0] = '\0';
	for (char *end = ret; (end = strchr(end, '\n'));)
		*end = ' ';
}

static _Noreturn void report_hang(const struct doing *doing, int64_t now)
{
	char syscall[256], where[64], stack[1024];

	read_proc(doing->tid, "syscall", syscall, sizeof syscall);
	read_proc(doing->tid, "wchan", where, sizeof where);
	read_proc(doing->tid, "stack", stack, sizeof stack);
	peer_fail("%s hangs for %jd ms in \"%s\": syscall %s, wchan %s, stack %s", peer.name,
		(intmax_t)(now - doing->since_ms), doing->what, syscall, where, stack);
}

static void *watch(void *nothing)
{
	const int64_t limit_ms = (int64_t)peer.limit_seconds * 1000;

	for (;;) {
		usleep(200 * 1000);
		pthread_mutex_lock(&lock);
		for (unsigned i = 0; i < PEER_THREADS_MAX; i++) {
			int64_t now = now_ms();

			if (doings[i].busy && now - doings[i].since_ms > limit_ms)
				report_hang(&doings[i], now);
		}
		pthread_mutex_unlock(&lock);
	}
	return nothing;
}

/* Threads */

bool peer_goes_on(void)
{
	bool goes_on;

	pthread_mutex_lock(&lock);
	if (paused) {
		running--;
		pthread_cond_broadcast(&changed);
		while (paused)
			pthread_cond_wait(&changed, &lock);
		running++;
	}
	goes_on = !ended;
	pthread_mutex_unlock(&lock);
	return goes_on;
}

static void *run_thread(void *number)
{
	role->work((unsigned)(uintptr_t)number);
	return NULL;
}

static void set_paused(bool pause)
{
	pthread_mutex_lock(&lock);
	paused = pause;
	pthread_cond_broadcast(&changed);
	while (pause && running > 0)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void start_threads(pthread_t threads[static PEER_THREADS_MAX])
{
	running = role->threads;
	for (unsigned i = 0; i < role->threads; i++)
		peer_need(
			-pthread_create(&threads[i], NULL, run_thread, (void *)(uintptr_t)(i + 1)),
			"starting a thread");
	set_paused(true);
}

static void end_threads(pthread_t threads[static PEER_THREADS_MAX])
{
	ended = true;
	set_paused(false);
	for (unsigned i = 0; i < role->threads; i++)
		pthread_join(threads[i], NULL);
}

static void answer(void)
{
	role->print(stdout);
	putchar('\n');
	fflush(stdout);
}

int peer_main(const struct peer_role *of)
{
	pthread_t threads[PEER_THREADS_MAX], watchdog;
	char line[16];

	role = of;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	peer_need(-pthread_create(&watchdog, NULL, watch, NULL), "starting the watchdog");
	role->start();
	start_threads(threads);
	answer();
	while (fgets(line, sizeof line, stdin)) {
		if (strcmp(line, "end\n") == 0)
			break;
		set_paused(strcmp(line, "pause\n") == 0);
		if (paused)
			answer();
		else
			puts("{}");
		fflush(stdout);
	}
	end_threads(threads);
	role->end();
	puts("{}");
	return EXIT_SUCCESS;
}

struct gmem *peer_connect(void)
{
	struct gmem *gmem;
	int r;

	peer_doing(0, "connecting");
	while ((r = gmem_connect(peer.socket, &gmem)) == -ECONNREFUSED || r == -ENOENT)
		usleep(1000);
	peer_need(r, "connecting");
	peer_idle(0);
	return gmem;
}

#define UNBROKEN 64 /* steps, in the mean */

void peer_break_sometimes(struct gmem *gmem, uint64_t *chance)
{
	if (peer_random(chance, UNBROKEN) == 0)
		shutdown(gmem_fd(gmem), SHUT_RDWR);
}

/* Chance */

uint64_t peer_mix(uint64_t number)
{
	number += 0x9e3779b97f4a7c15;
	number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9;
	number = (number ^ (number >> 27)) * 0x94d049bb133111eb;
	return number ^ (number >> 31);
}

uint64_t peer_random(uint64_t *state, uint64_t below)
{
	return peer_mix(++*state) % below;
}

/* Settings */

static void map_counter(const char *path, unsigned long index)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *mapped;

	peer_need(fd < 0 ? -errno : 0, path);
	mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	peer_need(mapped == MAP_FAILED ? -errno : 0, "mapping the counter");
	close(fd);
	peer.counter = (uint64_t *)mapped + index;
}

int main(int argc, char **argv)
{
	if (argc != 9)
		peer_fail("usage: kill_load ROLE SOCKET NAME GATE SEED SECONDS COUNTERS INDEX");
	peer = (struct peer_settings){.socket = argv[2],
		.name = argv[3],
		.gate = strcmp(argv[4], "none") == 0 ? GMEM_GATE_NONE : GMEM_GATE_REQUIRED,
		.seed = strtoull(argv[5], NULL, 10),
		.limit_seconds = strtoull(argv[6], NULL, 10)};
	map_counter(argv[7], strtoul(argv[8], NULL, 10));
	if (strcmp(argv[1], "guest") == 0)
		return peer_main(&guest_role);
	if (strcmp(argv[1], "operator") == 0)
		return peer_main(&operator_role);
	if (strcmp(argv[1], "convert") == 0)
		return peer_main(&convert_role);
	return peer_main(&load_role);
}
