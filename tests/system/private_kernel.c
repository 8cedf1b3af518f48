/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A kernel with private memory, for programs that this is loaded into by LD_PRELOAD: gmemd, whose
 * probe then finds it offered, and VMMs, whose conversions are noted as the kernel would.
 *
 * What the gate refuses, and what KVM itself would, is refused. The file that PRIVATE_KERNEL_FRAMES
 * names has a byte for each guest frame: '1' where it is private. Calls take a while, so that what
 * is killed meanwhile is killed amid them. No guest can see any of this. Where KVM does it, for a
 * VM of the type, what it has done is noted, and what can't be known, as arguments that changed
 * meanwhile, as '?' until it is set again.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/base/uapi.h"

#define PAGE  4096ull
#define TAKES 300 /* microseconds, before and after */

static int (*real_ioctl)(int fd, unsigned long request, ...);
static char *frames; /* NULL: none */
static uint64_t frames_end;

__attribute__((constructor)) static void find_real(void)
{
	const char *path = getenv("PRIVATE_KERNEL_FRAMES");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	struct stat status;

	real_ioctl = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
	if (fd < 0 || fstat(fd, &status) < 0)
		return;
	frames = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	frames_end = (uint64_t)status.st_size;
	close(fd);
}

static int refuse(int error)
{
	errno = error;
	return -1;
}

static void note(const struct kvm_memory_attributes *arguments, char what)
{
	uint64_t first = arguments->address / PAGE, count = arguments->size / PAGE;

	for (uint64_t i = 0; i < count && first + i < frames_end; i++)
		frames[first + i] = what;
}

static char state_of(const struct kvm_memory_attributes *arguments)
{
	return arguments->attributes ? '1' : '0';
}

/* kvm_vm_ioctl_set_mem_attributes() */
static int set_attributes(const struct kvm_memory_attributes *arguments)
{
	uint64_t first = arguments->address / PAGE, count = arguments->size / PAGE;

	if (arguments->flags || arguments->attributes & ~(uint64_t)KVM_MEMORY_ATTRIBUTE_PRIVATE)
		return refuse(EINVAL);
	if (count == 0 || arguments->address % PAGE || arguments->size % PAGE)
		return refuse(EINVAL);
	if (!frames || first >= frames_end || count > frames_end - first)
		return refuse(EINVAL);
	note(arguments, state_of(arguments));
	usleep(TAKES);
	return 0;
}

/* The kernel, too, reads it once. */
static int copy_and_set(const void *argument)
{
	struct kvm_memory_attributes arguments;

	usleep(TAKES);
	memcpy(&arguments, argument, sizeof arguments);
	return set_attributes(&arguments);
}

static int set_by_kvm(int fd, const struct kvm_memory_attributes *argument)
{
	struct kvm_memory_attributes before = *argument, after;
	int r;

	usleep(TAKES);
	r = real_ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES, argument);
	after = *argument;
	if (r < 0 || !frames)
		return r;
	if (memcmp(&before, &after, sizeof after) == 0) {
		note(&after, state_of(&after));
	} else {
		note(&before, '?');
		note(&after, '?');
	}
	usleep(TAKES);
	return r;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;
	int r;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (request == KVM_CHECK_EXTENSION && (uintptr_t)argument == KVM_CAP_MEMORY_ATTRIBUTES)
		return KVM_MEMORY_ATTRIBUTE_PRIVATE;
	if (request != KVM_SET_MEMORY_ATTRIBUTES)
		return real_ioctl(fd, request, argument);
	r = set_by_kvm(fd, argument);
	return r < 0 && errno == ENOTTY ? copy_and_set(argument) : r;
}
