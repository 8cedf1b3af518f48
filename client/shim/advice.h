/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * madvise(2) where guest memory is gmemd's.
 *
 * MADV_DONTNEED on a guest_memfd's mapping is 0 and frees nothing. Of anonymous memory it gives the
 * pages back, and zeroes are read then: a balloon relies on it. So there it is MADV_REMOVE, which
 * does the same; as does MADV_FREE, whose pages may be gone at once. Of a memfd's mapping it has
 * never freed anything: who wants that punches a hole, which a guest_memfd takes.
 */
#pragma once

#include <stddef.h>

/* As the call: 0, or a negative errno. */
int advise(void *address, size_t size, int advice);
/* What an area's advice says, of what has taken its place: a bit for each, 1 << advice. */
void advice_repeat(void *address, size_t size, unsigned advice);
