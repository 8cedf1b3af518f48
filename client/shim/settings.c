/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings in the environment. See settings.h.
 */
#include "client/shim/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/environment.h"
#include "client/shim/book.h"

#define PRELOAD_VARIABLE "LD_PRELOAD"

bool settings_exist(void)
{
	return getenv(GMEM_SHIM_VARIABLE) != NULL;
}

/* NULL where there is none. */
static const char *take(const char *variable)
{
	const char *value = getenv(variable);
	char *copy;

	if (!value)
		return NULL;
	copy = book_allocate(strlen(value) + 1);
	strcpy(copy, value);
	unsetenv(variable);
	return copy;
}

static uint64_t take_number(const char *variable)
{
	uint64_t number = 0;

	environment_number(variable, &number);
	unsetenv(variable);
	return number;
}

/* gmem-run has put it before all that was there. */
static void leave_preload(const char *library)
{
	const char *value = getenv(PRELOAD_VARIABLE);
	size_t length = strlen(library);

	if (!value || strncmp(value, library, length) != 0)
		return;
	if (value[length] == ':')
		setenv(PRELOAD_VARIABLE, value + length + 1, /* overwrite= */ 1);
	else if (value[length] == '\0')
		unsetenv(PRELOAD_VARIABLE);
}

static void read_all(struct settings *settings)
{
	const char *gate = take(GMEM_GATE_VARIABLE);
	const char *library = take(GMEM_SHIM_VARIABLE);

	settings->probe = environment_take_fd(GMEM_KVM_FD_VARIABLE, &settings->kvm_fd) == 0;
	settings->socket = take(GMEM_SOCKET_VARIABLE);
	settings->vm.name = take(GMEM_NAME_VARIABLE);
	settings->vm.uuid = take(GMEM_UUID_VARIABLE);
	settings->vm.commit_limit = take_number(GMEM_COMMIT_LIMIT_VARIABLE);
	settings->vm.reservation = take(GMEM_RESERVATION_VARIABLE);
	settings->vm.gate = gate ? GMEM_GATE_NONE : GMEM_GATE_REQUIRED;
	settings->vm.mappings =
		take(GMEM_MAPPINGS_VARIABLE) ? GMEM_MAPPINGS_STAY : GMEM_MAPPINGS_GO;
	settings->timeout_ms = (unsigned)take_number(GMEM_TIMEOUT_VARIABLE) * 1000;
	leave_preload(library);
}

const struct settings *settings_take(void)
{
	static struct settings settings;

	if (settings_exist())
		read_all(&settings);
	return &settings;
}
