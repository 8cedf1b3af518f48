/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What QEMU's command line says of its VM.
 */
#pragma once

#include <stdbool.h>

#include "protocol/methods.h"

enum qemu_purpose {
	QEMU_GUEST, /* a machine that may get memory */
	QEMU_PROBE, /* -machine none: it is asked what it and KVM offer, as libvirt does */
	QEMU_WORDS, /* -version, -help: it opens no device */
};

struct qemu_command {
	enum qemu_purpose purpose;
	char name[NAME_BYTES_MAX + 1]; /* -name; "" where there is none */
	const char *uuid;              /* -uuid; NULL where there is none */
};

/* Where an option is given more than once the last counts, as for QEMU. What is too long for a name
 * is cut. */
void qemu_command_read(char *const *arguments, struct qemu_command *ret);
