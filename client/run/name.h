/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A name for a VM that was given none.
 */
#pragma once

#include <stddef.h>

/* The program's and a number: unique on the host, whatever PID namespace it is in. */
void name_after(const char *program, char *ret, size_t size);
