/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The functions of libc that a VMM calls, interposed: theory of operation.
 *
 * A VMM that knows nothing of gmemd opens /dev/kvm, makes a VM, maps or makes files of the memory
 * that is to be its guest's, and has KVM show them to the guest as memslots. Each of these steps is
 * a call of libc's, and this library, preloaded, stands before it:
 *
 *  - open of /dev/kvm gives gmemd's device, and opens this process's VM with gmemd: device.h. (Or
 *    the device alone, for a VM that gets no memory: then all else is libc's own.)
 *  - KVM_CREATE_VM gives that VM; KVM_SET_USER_MEMORY_REGION goes by gmemd: slots.h. KVM_RUN can be
 *    held off while a slot is exchanged: vcpus.h.
 *  - memfds that VMMs have RAM in become gmemd's when they get their size: memfds.h. Anonymous
 *    memory does when it is bound first: adopt.h. What shows which RAM is noted as it is mapped:
 *    mappings.h, areas.h; and which number is which file: files.h.
 *  - dropping pages of RAM frees them: advice.h.
 *
 * All else goes straight on to libc's own, or to the next library's (real.h): with nothing in
 * between where the call can't concern guest memory, and without a lock for KVM_RUN. So do all
 * calls of the thread that talks to gmemd (broker.h), and all in a child of the VMM's (book.h).
 * Nothing happens before the VMM opens the device but that mappings and files are noted, for other
 * programs are loaded with this library, too: a shell that starts the VMM, for one.
 *
 * A function here says which file does it, and turns what that returns into errno.
 */

/* Both names that a function has are defined here, each by itself. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/shim/advice.h"
#include "client/shim/book.h"
#include "client/shim/broker.h"
#include "client/shim/device.h"
#include "client/shim/files.h"
#include "client/shim/mappings.h"
#include "client/shim/memfds.h"
#include "client/shim/nodes.h"
#include "client/shim/ram.h"
#include "client/shim/real.h"
#include "client/shim/slots.h"
#include "client/shim/vcpus.h"
#include "kernel/base/uapi.h"

#define INTERPOSED __attribute__((visibility("default")))

static int returned(int r)
{
	if (r >= 0)
		return r;
	errno = -r;
	return -1;
}

/* Opening */

static bool opens_device(const char *path, int flags)
{
	return path && !broker_is_this_thread() && device_is_meant(path, flags);
}

#define OPEN(name, real)                                                                           \
	INTERPOSED int name(const char *path, int flags, ...)                                      \
	{                                                                                          \
		va_list arguments;                                                                 \
		unsigned mode;                                                                     \
                                                                                                   \
		va_start(arguments, flags);                                                        \
		mode = va_arg(arguments, unsigned);                                                \
		va_end(arguments);                                                                 \
		if (opens_device(path, flags))                                                     \
			return returned(device_open(flags));                                       \
		return real_calls()->real(path, flags, mode);                                      \
	}

#define OPENAT(name, real)                                                                         \
	INTERPOSED int name(int directory, const char *path, int flags, ...)                       \
	{                                                                                          \
		va_list arguments;                                                                 \
		unsigned mode;                                                                     \
                                                                                                   \
		va_start(arguments, flags);                                                        \
		mode = va_arg(arguments, unsigned);                                                \
		va_end(arguments);                                                                 \
		if (opens_device(path, flags))                                                     \
			return returned(device_open(flags));                                       \
		return real_calls()->real(directory, path, flags, mode);                           \
	}

#define OPEN_2(name, real)                                                                         \
	int name(const char *path, int flags);                                                     \
	INTERPOSED int name(const char *path, int flags)                                           \
	{                                                                                          \
		if (opens_device(path, flags))                                                     \
			return returned(device_open(flags));                                       \
		return real_calls()->real(path, flags);                                            \
	}

#define OPENAT_2(name, real)                                                                       \
	int name(int directory, const char *path, int flags);                                      \
	INTERPOSED int name(int directory, const char *path, int flags)                            \
	{                                                                                          \
		if (opens_device(path, flags))                                                     \
			return returned(device_open(flags));                                       \
		return real_calls()->real(directory, path, flags);                                 \
	}

OPEN(open, open)
OPEN(open64, open64)
OPENAT(openat, openat)
OPENAT(openat64, openat64)
OPEN_2(__open_2, open_2)
OPEN_2(__open64_2, open64_2)
OPENAT_2(__openat_2, openat_2)
OPENAT_2(__openat64_2, openat64_2)

/* KVM */

static bool is_kind(int fd, enum file_kind kind)
{
	const struct file *file;
	bool is = false;

	if (files_has(fd) && book_open()) {
		file = files_get(fd);
		is = file && file->kind == kind;
		book_close();
	}
	return is;
}

/* The second form, where it names no guest_memfd, begins as the first does. */
static bool is_plain(unsigned long request, const struct kvm_userspace_memory_region *region)
{
	return request == KVM_SET_USER_MEMORY_REGION || !(region->flags & KVM_MEM_GUEST_MEMFD);
}

static int ioctl_of_kvm(int fd, unsigned long request, void *argument)
{
	if (request == KVM_CREATE_VM && is_kind(fd, FILE_DEVICE))
		return returned(device_create_vm((unsigned long)argument));
	if (request == KVM_SET_SIGNAL_MASK)
		return returned(vcpus_set_signal_mask(fd, argument));
	if ((request == KVM_SET_USER_MEMORY_REGION || request == KVM_SET_USER_MEMORY_REGION2) &&
		argument && is_plain(request, argument) && is_kind(fd, FILE_VM))
		return returned(slots_set(argument));
	return real_calls()->ioctl(fd, request, argument);
}

INTERPOSED int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (request == KVM_RUN)
		return returned(vcpus_run(fd, argument));
	if (_IOC_TYPE(request) == KVMIO && !broker_is_this_thread())
		return ioctl_of_kvm(fd, (unsigned)request, argument);
	return real_calls()->ioctl(fd, request, argument);
}

/* memfds */

static int note_memfd(int fd, const char *name, unsigned flags)
{
	if (fd >= 0 && !broker_is_this_thread())
		memfds_note(fd, name, flags);
	return fd;
}

INTERPOSED int memfd_create(const char *name, unsigned flags)
{
	return note_memfd(real_calls()->memfd_create(name, flags), name, flags);
}

/* What happens to a file that has become guest memory; -EAGAIN: libc is to do it. */
static int resize(int fd, int64_t size)
{
	int r = -EAGAIN;

	if (size >= 0 && files_has(fd) && book_open()) {
		r = memfds_resize(fd, (uint64_t)size);
		book_close();
	}
	return r;
}

static int allocate(int fd, int mode, int64_t offset, int64_t size)
{
	const struct file *file;
	int r = -EAGAIN;

	if ((mode != 0 && !(mode & FALLOC_FL_PUNCH_HOLE)) || !files_has(fd) || !book_open())
		return r;
	file = files_get(fd);
	if (file && file->ram && mode == 0)
		r = memfds_allocate(file, offset, size);
	else if (file && file->ram && file->ram->page_size > 0)
		r = memfds_punch(file, mode, offset, size);
	book_close();
	return r;
}

#define FTRUNCATE(name, type)                                                                      \
	INTERPOSED int name(int fd, type size)                                                     \
	{                                                                                          \
		int r = resize(fd, size);                                                          \
                                                                                                   \
		return r == -EAGAIN ? real_calls()->name(fd, size) : returned(r);                  \
	}

#define FALLOCATE(name, type)                                                                      \
	INTERPOSED int name(int fd, int mode, type offset, type size)                              \
	{                                                                                          \
		int r = allocate(fd, mode, offset, size);                                          \
                                                                                                   \
		return r == -EAGAIN ? real_calls()->name(fd, mode, offset, size) : returned(r);    \
	}

#define POSIX_FALLOCATE(name, type)                                                                \
	INTERPOSED int name(int fd, type offset, type size)                                        \
	{                                                                                          \
		int r = allocate(fd, 0, offset, size);                                             \
                                                                                                   \
		return r == -EAGAIN ? real_calls()->name(fd, offset, size) : -r;                   \
	}

FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)
FALLOCATE(fallocate, off_t)
FALLOCATE(fallocate64, off64_t)
POSIX_FALLOCATE(posix_fallocate, off_t)
POSIX_FALLOCATE(posix_fallocate64, off64_t)

/* Numbers of files */

static bool is_connection(int fd)
{
	return fd >= 0 && fd == broker_connection();
}

/* The books stay open during the call: the number may be another thread's right after it. */
static bool open_for(int fd, int number)
{
	return (files_has(fd) || files_has(number) || is_connection(fd) || is_connection(number)) &&
	       !broker_is_this_thread() && book_open();
}

/* To the VMM those are not open. */
static bool is_own(int fd)
{
	return fd >= 0 && (files_are_own(fd) || is_connection(fd));
}

static int note_copy(int fd, int copy)
{
	struct file *file = files_get(fd);

	if (copy < 0 || copy == fd)
		return copy;
	if (file)
		files_put(copy, file);
	else
		files_drop(copy);
	return copy;
}

INTERPOSED int dup(int fd)
{
	int copy;

	if (!open_for(fd, -1))
		return real_calls()->dup(fd);
	copy = is_own(fd) ? returned(-EBADF) : note_copy(fd, real_calls()->dup(fd));
	book_close();
	return copy;
}

/* What dup2(2) says of a number that is just being opened: it can't be had. */
static int refuse_copy(int fd, int number)
{
	if (is_own(fd))
		return -EBADF;
	return is_own(number) ? -EBUSY : 0;
}

INTERPOSED int dup2(int fd, int number)
{
	int copy;

	if (!open_for(fd, number))
		return real_calls()->dup2(fd, number);
	copy = returned(refuse_copy(fd, number));
	if (copy == 0)
		copy = note_copy(fd, real_calls()->dup2(fd, number));
	book_close();
	return copy;
}

INTERPOSED int dup3(int fd, int number, int flags)
{
	int copy;

	if (!open_for(fd, number))
		return real_calls()->dup3(fd, number, flags);
	copy = returned(refuse_copy(fd, number));
	if (copy == 0)
		copy = note_copy(fd, real_calls()->dup3(fd, number, flags));
	book_close();
	return copy;
}

INTERPOSED int close(int fd)
{
	int r;

	if (!open_for(fd, -1))
		return real_calls()->close(fd);
	if (is_own(fd)) {
		book_close();
		return returned(-EBADF);
	}
	files_drop(fd);
	r = real_calls()->close(fd);
	book_close();
	return r;
}

/* From there on the first number of this library's own, or last + 1. */
static unsigned next_own(unsigned from, unsigned last)
{
	while (from <= last && from < FILES_MAX && !is_own((int)from))
		from++;
	return from <= last && from < FILES_MAX ? from : last + 1;
}

/* With the books open: what is between its own. */
static int close_others(unsigned first, unsigned last)
{
	int r = 0;

	if (last > INT_MAX)
		last = INT_MAX;
	for (unsigned own = first; r == 0 && first <= last; first = own + 1) {
		own = next_own(first, last);
		if (own == first)
			continue;
		files_drop_range(first, own - 1);
		r = real_calls()->close_range(first, own - 1, 0);
	}
	return r;
}

INTERPOSED int close_range(unsigned first, unsigned last, int flags)
{
	int r;

	if (flags != 0 || first > last || broker_is_this_thread() || !book_open())
		return real_calls()->close_range(first, last, flags);
	r = close_others(first, last);
	book_close();
	return r;
}

INTERPOSED void closefrom(int first)
{
	if (broker_is_this_thread() || !book_open()) {
		real_calls()->closefrom(first);
		return;
	}
	close_others(first < 0 ? 0 : (unsigned)first, INT_MAX);
	book_close();
}

static int fcntl_in_books(int (*real)(int fd, int command, ...), int fd, int command, long argument)
{
	struct file *file = files_get(fd);

	if (is_own(fd))
		return returned(-EBADF);
	if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
		return note_copy(fd, real(fd, command, argument));
	if (file && file->ram && command == F_ADD_SEALS)
		return returned(memfds_seal(file, (unsigned)argument));
	if (file && file->ram && command == F_GET_SEALS)
		return (int)file->seals;
	return real(fd, command, argument);
}

static bool fcntl_concerns(int command)
{
	return command == F_DUPFD || command == F_DUPFD_CLOEXEC || command == F_ADD_SEALS ||
	       command == F_GET_SEALS;
}

#define FCNTL(name)                                                                                \
	INTERPOSED int name(int fd, int command, ...)                                              \
	{                                                                                          \
		va_list arguments;                                                                 \
		long argument;                                                                     \
		int r;                                                                             \
                                                                                                   \
		va_start(arguments, command);                                                      \
		argument = va_arg(arguments, long);                                                \
		va_end(arguments);                                                                 \
		if (!fcntl_concerns(command) || !open_for(fd, -1))                                 \
			return real_calls()->name(fd, command, argument);                          \
		r = fcntl_in_books(real_calls()->name, fd, command, argument);                     \
		book_close();                                                                      \
		return r;                                                                          \
	}

FCNTL(fcntl)
FCNTL(fcntl64)

/* Mappings */

#define MMAP(name, type)                                                                           \
	INTERPOSED void *name(                                                                     \
		void *address, size_t size, int protection, int flags, int fd, type offset)        \
	{                                                                                          \
		const struct mapping_call call = {                                                 \
			real_calls()->name, address, size, protection, flags, fd, offset};         \
                                                                                                   \
		return broker_is_this_thread()                                                     \
			       ? call.real(address, size, protection, flags, fd, offset)           \
			       : mappings_map(&call);                                              \
	}

MMAP(mmap, off_t)
MMAP(mmap64, off64_t)

INTERPOSED int munmap(void *address, size_t size)
{
	return broker_is_this_thread() ? real_calls()->munmap(address, size)
				       : mappings_unmap(address, size);
}

INTERPOSED void *mremap(void *address, size_t size, size_t new_size, int flags, ...)
{
	va_list arguments;
	void *new_address;

	va_start(arguments, flags);
	new_address = va_arg(arguments, void *);
	va_end(arguments);
	return mappings_remap(address, size, new_size, flags, new_address);
}

INTERPOSED int mprotect(void *address, size_t size, int protection)
{
	return mappings_protect(address, size, protection);
}

INTERPOSED int madvise(void *address, size_t size, int advice)
{
	return returned(advise(address, size, advice));
}

/* libnuma's. */
long mbind(void *address, unsigned long size, int mode, const unsigned long *nodes,
	unsigned long end, unsigned flags);

INTERPOSED long mbind(void *address, unsigned long size, int mode, const unsigned long *nodes,
	unsigned long end, unsigned flags)
{
	return returned(nodes_bind(address, size, mode, nodes, end, flags));
}

/* System calls by their numbers */

#define FD(i)      ((int)argument[i])
#define TEXT(i)    ((const char *)argument[i])
#define POINTER(i) ((void *)argument[i])

static bool serve_file(long number, const long argument[static 6], long *ret)
{
	switch (number) {
	case SYS_open:
		*ret = open(TEXT(0), FD(1), (mode_t)argument[2]);
		return true;
	case SYS_openat:
		*ret = openat(FD(0), TEXT(1), FD(2), (mode_t)argument[3]);
		return true;
	case SYS_ioctl:
		*ret = ioctl(FD(0), (unsigned long)argument[1], POINTER(2));
		return true;
	case SYS_fcntl:
		*ret = fcntl(FD(0), FD(1), argument[2]);
		return true;
	case SYS_close:
		*ret = close(FD(0));
		return true;
	case SYS_close_range:
		*ret = close_range((unsigned)argument[0], (unsigned)argument[1], FD(2));
		return true;
	case SYS_dup:
		*ret = dup(FD(0));
		return true;
	case SYS_dup2:
		*ret = dup2(FD(0), FD(1));
		return true;
	case SYS_dup3:
		*ret = dup3(FD(0), FD(1), FD(2));
		return true;
	default:
		return false;
	}
}

static bool serve_memory(long number, const long argument[static 6], long *ret)
{
	switch (number) {
	case SYS_memfd_create:
		*ret = memfd_create(TEXT(0), (unsigned)argument[1]);
		return true;
	case SYS_ftruncate:
		*ret = ftruncate(FD(0), argument[1]);
		return true;
	case SYS_fallocate:
		*ret = fallocate(FD(0), FD(1), argument[2], argument[3]);
		return true;
	case SYS_mmap:
		*ret = (long)mmap(
			POINTER(0), (size_t)argument[1], FD(2), FD(3), FD(4), argument[5]);
		return true;
	case SYS_munmap:
		*ret = munmap(POINTER(0), (size_t)argument[1]);
		return true;
	case SYS_mprotect:
		*ret = mprotect(POINTER(0), (size_t)argument[1], FD(2));
		return true;
	case SYS_mbind:
		*ret = mbind(POINTER(0), (unsigned long)argument[1], FD(2), POINTER(3),
			(unsigned long)argument[4], (unsigned)argument[5]);
		return true;
	case SYS_madvise:
		*ret = madvise(POINTER(0), (size_t)argument[1], FD(2));
		return true;
	default:
		return false;
	}
}

/* The same by their numbers. What isn't known of is not looked at, and has up to six arguments. */
INTERPOSED long syscall(long number, ...)
{
	long argument[6], result;
	va_list arguments;

	va_start(arguments, number);
	for (int i = 0; i < 6; i++)
		argument[i] = va_arg(arguments, long);
	va_end(arguments);
	if (!broker_is_this_thread() &&
		(serve_file(number, argument, &result) || serve_memory(number, argument, &result)))
		return result;
	return real_calls()->syscall(number, argument[0], argument[1], argument[2], argument[3],
		argument[4], argument[5]);
}
