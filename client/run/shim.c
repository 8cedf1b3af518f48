/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starting a VMM with the library preloaded. See shim.h.
 */
#include "client/run/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "client/gmem.h"
#include "client/lib/environment.h"
#include "kernel/base/cleanup.h"

#define LIBRARY          "libgmem-shim.so"
#define PRELOAD_VARIABLE "LD_PRELOAD"

static bool find_beside(char *ret, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", ret, size);
	char *name;

	if (length < 0 || (size_t)length >= size - sizeof LIBRARY)
		return false;
	ret[length] = '\0';
	name = strrchr(ret, '/') + 1;
	memcpy(name, LIBRARY, sizeof LIBRARY);
	return access(ret, R_OK) == 0;
}

int shim_find(char *ret, size_t size)
{
	if (!find_beside(ret, size)) {
		snprintf(ret, size, "%s", GMEM_SHIM_DIRECTORY "/" LIBRARY);
		if (access(ret, R_OK) < 0)
			return -errno;
	}
	return ret[strcspn(ret, ": $")] == '\0' ? 0 : -EINVAL;
}

/* NULL: it is not to be there. */
static bool set(const char *variable, const char *value)
{
	return (value ? setenv(variable, value, /* overwrite= */ 1) : unsetenv(variable)) == 0;
}

static bool set_number(const char *variable, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof text, "%" PRIu64, number);
	return set(variable, number > 0 ? text : NULL);
}

static bool forget_other_vm(void)
{
	return set(GMEM_FD_VARIABLE, NULL) && set(GMEM_KVM_FD_VARIABLE, NULL) &&
	       set(GMEM_MAILBOX_FD_VARIABLE, NULL) && set(GMEM_MAILBOX_ADDRESS_VARIABLE, NULL) &&
	       set(GMEM_REPORT_FD_VARIABLE, NULL) && set(GMEM_VM_VARIABLE, NULL) &&
	       set(GMEM_PROCESS_VARIABLE, NULL) && set(GMEM_VM_TYPE_VARIABLE, NULL);
}

static bool describe_vm(const char *socket, const struct gmem_vm_options *options, unsigned timeout)
{
	cleanup_free char *whole = realpath(socket, NULL);

	return set(GMEM_SOCKET_VARIABLE, whole ? whole : socket) &&
	       set(GMEM_NAME_VARIABLE, options->name) && set(GMEM_UUID_VARIABLE, options->uuid) &&
	       set_number(GMEM_COMMIT_LIMIT_VARIABLE, options->commit_limit) &&
	       set(GMEM_RESERVATION_VARIABLE, options->reservation) &&
	       set(GMEM_GATE_VARIABLE, options->gate == GMEM_GATE_NONE ? "none" : NULL) &&
	       set(GMEM_MAPPINGS_VARIABLE,
		       options->mappings == GMEM_MAPPINGS_STAY ? "stay" : NULL) &&
	       set_number(GMEM_TIMEOUT_VARIABLE, timeout);
}

static bool preload(const char *library)
{
	const char *others = getenv(PRELOAD_VARIABLE);
	cleanup_free char *all = NULL;

	if (!others || others[0] == '\0')
		return set(PRELOAD_VARIABLE, library) && set(GMEM_SHIM_VARIABLE, library);
	if (asprintf(&all, "%s:%s", library, others) < 0) {
		all = NULL;
		return false;
	}
	return set(PRELOAD_VARIABLE, all) && set(GMEM_SHIM_VARIABLE, library);
}

static bool keep_fd(int fd)
{
	return fcntl(fd, F_SETFD, 0) == 0;
}

int shim_prepare_probe(const char *library, int kvm_fd)
{
	if (!forget_other_vm() || !keep_fd(kvm_fd) ||
		!set_number(GMEM_KVM_FD_VARIABLE, (uint64_t)kvm_fd) || !preload(library))
		return -errno;
	return 0;
}

int shim_prepare(const char *library, const char *socket, const struct gmem_vm_options *options,
	unsigned timeout)
{
	if (!forget_other_vm() || !describe_vm(socket, options, timeout) || !preload(library) ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}
