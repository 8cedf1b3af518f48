/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The functions of libc. See real.h.
 */
#include "client/shim/real.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <string.h>

static struct real real;
static _Atomic bool looked_up;

#define MEMBER(name, symbol)                                                                       \
	{                                                                                          \
		(symbol), offsetof(struct real, name)                                              \
	}

static const struct {
	const char *symbol;
	size_t member;
} symbols[] = {
	MEMBER(open, "open"),
	MEMBER(open64, "open64"),
	MEMBER(openat, "openat"),
	MEMBER(openat64, "openat64"),
	MEMBER(open_2, "__open_2"),
	MEMBER(open64_2, "__open64_2"),
	MEMBER(openat_2, "__openat_2"),
	MEMBER(openat64_2, "__openat64_2"),
	MEMBER(ioctl, "ioctl"),
	MEMBER(fcntl, "fcntl"),
	MEMBER(fcntl64, "fcntl64"),
	MEMBER(memfd_create, "memfd_create"),
	MEMBER(ftruncate, "ftruncate"),
	MEMBER(ftruncate64, "ftruncate64"),
	MEMBER(fallocate, "fallocate"),
	MEMBER(fallocate64, "fallocate64"),
	MEMBER(posix_fallocate, "posix_fallocate"),
	MEMBER(posix_fallocate64, "posix_fallocate64"),
	MEMBER(mmap, "mmap"),
	MEMBER(mmap64, "mmap64"),
	MEMBER(munmap, "munmap"),
	MEMBER(mremap, "mremap"),
	MEMBER(mprotect, "mprotect"),
	MEMBER(madvise, "madvise"),
	MEMBER(close, "close"),
	MEMBER(close_range, "close_range"),
	MEMBER(closefrom, "closefrom"),
	MEMBER(dup, "dup"),
	MEMBER(dup2, "dup2"),
	MEMBER(dup3, "dup3"),
	MEMBER(syscall, "syscall"),
};

/* Threads that do so at once write the same. */
static void look_up(void)
{
	for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
		void *found = dlsym(RTLD_NEXT, symbols[i].symbol);

		memcpy((char *)&real + symbols[i].member, &found, sizeof found);
	}
	atomic_store_explicit(&looked_up, true, memory_order_release);
}

/* Other libraries' constructors may call before this one's: then it is done there. Not in a signal
 * handler, once this has run. */
__attribute__((constructor)) static void begin(void)
{
	real_calls();
}

const struct real *real_calls(void)
{
	if (!atomic_load_explicit(&looked_up, memory_order_acquire))
		look_up();
	return &real;
}
