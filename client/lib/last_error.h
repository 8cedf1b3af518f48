/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmem_last_error() says: of each thread, why its last call failed. It is gmemd's error where
 * gmemd refused, and one of the library's own else, in the same shape.
 */
#pragma once

#include <stdint.h>

struct json_object;
struct last_error;

/* At the beginning of each call. */
void last_error_clear(void);
/* gmemd's. Returns -EREMOTEIO. */
int last_error_of_gmemd(struct json_object *error);
/* The library's own, a sentence without its full stop. Returns r, a negative errno. */
__attribute__((format(printf, 2, 3))) int last_error_own(int r, const char *format, ...);
/* At the end of each call: where it has failed with r and nothing has been said yet, says what
 * failed, and that as strerror(3) does. Returns r. */
int last_error_complete(int r, const char *what);

/* What gmemd's error says besides its sentence; "" where it says nothing. */
struct last_error_details {
	char reason[32];  /* why, as a word: "gone" */
	char what[32];    /* of which kind of thing: "memory" */
	uint64_t id;      /* of which of them; 0: it says none, or it is no number */
	char with[32];    /* what it collides with: "listener" */
	char vm[64];      /* the id of the VM that there is already */
	int64_t pause_ms; /* to wait before it is asked again; negative: it asks for none */
};

/* Of the calling thread's last error: valid until there is another. */
const struct last_error_details *last_error_details(void);

/* To have it again after calls in between. NULL without memory; last_error_restore() frees. */
struct last_error *last_error_save(void);
void last_error_restore(struct last_error *take_saved);
