/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Timer files: timers that are set nearly always.
 *
 * While any timer of libevent's is set, the kernel sets and cancels one of its own each time that
 * the loop waits, which takes a third of a microsecond for each packet. What looks at something
 * once in a while has a timerfd(2) instead, which is a file like others to the loop.
 */
#pragma once

#include <event2/event.h>
#include <stdint.h>

struct timer_file;

/* Not set yet. due comes before other events. -ENOMEM, -EMFILE. */
int timer_file_new(struct event_base *base, void (*due)(void *context), void *context,
	struct timer_file **ret);
/* Takes NULL, returns NULL. */
struct timer_file *timer_file_free(struct timer_file *timer);
/* Once, after that time, which is not 0, from now. */
void timer_file_set(struct timer_file *timer, uint64_t microseconds);
