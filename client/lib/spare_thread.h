/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Spare threads: what may wait for ever is done in a thread of its own, without signals, which are
 * the program's to take.
 *
 * Starting and ending a thread takes several times as long as what it is there for. So one that is
 * done waits for more, but not for long: a program that confines its threads one by one, or may
 * have but one, is to find none of ours that it knows nothing of.
 */
#pragma once

/* Stays the caller's, and where it is, until run is called. */
struct spare_work {
	void (*run)(void *context);
	void *context;
};

/* Has it run by another thread, now or soon. As pthread_create() fails, with a negative errno. */
int spare_thread_run(struct spare_work *work);
