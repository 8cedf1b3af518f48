/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VM's name. See name.h.
 */
#include "client/run/name.h"

#include <stdio.h>
#include <string.h>

#include "kernel/host/own_process.h"
#include "protocol/text.h"

/* Of the program's name. */
#define PROGRAM_BYTES_MAX 48

void name_after(const char *program, char *ret, size_t size)
{
	char base[PROGRAM_BYTES_MAX + 1], tag[24];

	text_copy(basename(program), base, sizeof base);
	own_process_tag(tag, sizeof tag);
	snprintf(ret, size, "%s-%s", base, tag);
}
