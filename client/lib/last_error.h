/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmem_last_error() says: of each thread, why its last call failed. It is gmemd's error where
 * gmemd refused, and one of the library's own else, in the same shape.
 */
#pragma once

#include <stddef.h>

struct json_object;

/* At the beginning of each call. */
void last_error_clear(void);
/* gmemd's. Returns -EREMOTEIO. */
int last_error_of_gmemd(struct json_object *error);
/* The library's own, a sentence without its full stop. Returns r, a negative errno. */
__attribute__((format(printf, 2, 3))) int last_error_own(int r, const char *format, ...);
/* At the end of each call: where it has failed with r and nothing has been said yet, says what
 * failed, and that as strerror(3) does. Returns r. */
int last_error_complete(int r, const char *what);

/* To have it again after calls in between. NULL where there is none; last_error_restore() frees. */
char *last_error_save(void);
void last_error_restore(char *take_saved);

/* The member of that name of its data, "" where there is none. */
void last_error_detail(const char *name, char *ret, size_t size);
/* How long gmemd asks to wait, in milliseconds; negative where it does not. */
long last_error_pause(void);
