/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The whole terminal, for as long as a live view has it: put back as it was whatever ends it, but
 * SIGKILL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct screen;

/* One at a time. NULL with errno set. */
struct screen *screen_open(void);
/* Takes NULL, returns NULL. */
struct screen *screen_close(struct screen *screen);

void screen_size(const struct screen *screen, size_t *ret_rows, size_t *ret_columns);

enum screen_event {
	SCREEN_TIMEOUT,
	SCREEN_KEY,
	SCREEN_RESIZED,
	SCREEN_GONE, /* the terminal */
};

/* Keys that are no character. Others are what they send: a character may be of several bytes, which
 * come one by one. */
enum {
	KEY_ENTER = '\r',
	KEY_BACKSPACE = 0x7f,
	KEY_SPECIAL = 0x100,
	KEY_ESCAPE = KEY_SPECIAL,
	KEY_UP,
	KEY_DOWN,
	KEY_LEFT,
	KEY_RIGHT,
	KEY_HOME,
	KEY_END,
	KEY_PAGE_UP,
	KEY_PAGE_DOWN,
	KEY_UNKNOWN,
};

/* Waits so long at most. A signal that ends the program does so at once. */
enum screen_event screen_wait(struct screen *screen, int milliseconds, int *ret_key);
