/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which of a process's resource limits may be behind an error (getrlimit(2)).
 */
#pragma once

#include <stddef.h>

/* As "; RLIMIT_NOFILE is 1024": those that are set and can have made a call fail with error, an
 * errno. "" where there are none. */
void limits_behind(int error, char *ret, size_t size);
