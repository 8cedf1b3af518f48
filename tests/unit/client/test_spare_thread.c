/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Spare threads: one that is done does what comes next, none waits for long, and a child of fork()
 * has its own.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#include "client/lib/spare_thread.h"
#include "kernel/host/process.h"
#include "tests/lib/unit.h"

#define TRIES       6000
#define INTERVAL_US 10000
#define MOMENT_US   1000 /* less than one waits for more */

/* A work that tells who does it, and is done when it may. */
struct task {
	struct spare_work work;
	sem_t told, may_end;
	pid_t thread;
	bool takes_signals;
};

static void do_task(void *context)
{
	struct task *task = context;
	sigset_t blocked;

	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	task->takes_signals = !sigismember(&blocked, SIGTERM);
	task->thread = gettid();
	sem_post(&task->told);
	sem_wait(&task->may_end);
}

static void begin(struct task *task)
{
	*task = (struct task){.work = {do_task, task}};
	sem_init(&task->told, 0, 0);
	sem_init(&task->may_end, 0, 0);
	CU_ASSERT_EQUAL_FATAL(spare_thread_run(&task->work), 0);
	sem_wait(&task->told);
}

static bool ends(pid_t thread)
{
	for (unsigned i = 0; i < TRIES; i++) {
		if (!process_thread_lives(getpid(), thread))
			return true;
		usleep(INTERVAL_US);
	}
	return false;
}

static void test_alone(void)
{
	struct task task;

	begin(&task);
	CU_ASSERT_NOT_EQUAL(task.thread, gettid());
	CU_ASSERT_FALSE(task.takes_signals);
	sem_post(&task.may_end);
	CU_ASSERT(ends(task.thread));
}

/* While one is at work another does what comes; of both, that are done, one waits. */
static void test_at_once(void)
{
	struct task first, second;

	begin(&first);
	begin(&second);
	CU_ASSERT_NOT_EQUAL(first.thread, second.thread);
	sem_post(&first.may_end);
	sem_post(&second.may_end);
	CU_ASSERT(ends(first.thread));
	CU_ASSERT(ends(second.thread));
}

/* As often as it is tried, at least once the thread that was there has done the next. */
static void test_again(void)
{
	bool again = false;

	for (unsigned i = 0; i < TRIES && !again; i++) {
		struct task first, second;

		begin(&first);
		sem_post(&first.may_end);
		usleep(MOMENT_US);
		begin(&second);
		sem_post(&second.may_end);
		again = first.thread == second.thread;
		CU_ASSERT_FATAL(ends(first.thread) && ends(second.thread));
	}
	CU_ASSERT(again);
}

static void use_in_child(void *context)
{
	struct task task;

	(void)context;
	begin(&task);
	sem_post(&task.may_end);
	CU_ASSERT(ends(task.thread));
}

static void test_child(void)
{
	struct task task;

	begin(&task);
	sem_post(&task.may_end);
	usleep(MOMENT_US); /* for it to wait for more */
	unit_in_child(use_in_child, NULL);
	CU_ASSERT(ends(task.thread));
}

/* What a thread of its own runs must not go before it. */
static void test_library(void)
{
	void *library = dlopen("libgmem.so.0", RTLD_NOW);

	CU_ASSERT_PTR_NOT_NULL_FATAL(library);
	dlclose(library);
	library = dlopen("libgmem.so.0", RTLD_NOW | RTLD_NOLOAD);
	CU_ASSERT_PTR_NOT_NULL_FATAL(library);
	dlclose(library);
}

int main(void)
{
	static CU_TestInfo tests[] = {
		{"a work has a thread, without signals, which then ends", test_alone},
		{"two works at once have two threads", test_at_once},
		{"the thread that is done does the next work", test_again},
		{"a child of fork() has a thread of its own", test_child},
		{"dlclose() leaves the library there", test_library},
		CU_TEST_INFO_NULL,
	};
	static CU_SuiteInfo suites[] = {
		{"spare threads", NULL, NULL, NULL, NULL, tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
