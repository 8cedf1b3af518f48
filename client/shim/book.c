/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose the books are. See book.h.
 */
#include "client/shim/book.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/shim/say.h"
#include "kernel/host/own_process.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct own_process_mark *mark;
static _Atomic pid_t owner; /* 0: nobody has claimed them */

static void lock_it(void)
{
	pthread_mutex_lock(&lock);
}

static void unlock_it(void)
{
	pthread_mutex_unlock(&lock);
}

/* Who forks has no other thread amid a change then. */
__attribute__((constructor)) static void begin(void)
{
	pthread_atfork(lock_it, unlock_it, unlock_it);
}

/* A child of vfork() has its parent's memory, and its mark, but not its number. */
static bool is_owner(void)
{
	return own_process_has_mark(mark) && getpid() == owner;
}

bool book_is_claimed(void)
{
	return owner != 0 && is_owner();
}

bool book_open(void)
{
	if (owner != 0 && !is_owner())
		return false;
	lock_it();
	return true;
}

void book_close(void)
{
	unlock_it();
}

void book_claim(void)
{
	if (!mark && own_process_mark(&mark) < 0)
		say_and_end("no memory");
	owner = getpid();
}

void *book_allocate(size_t size)
{
	void *allocated = calloc(1, size);

	if (!allocated)
		say_and_end("no memory");
	return allocated;
}
