/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why gmemd does not answer, as far as its client can see.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define WAITING_REASON_MAX 512

/* Whether all that was sent there has been received; fd -1: no. */
bool waiting_is_received(int fd);

/* A part of a sentence. socket: the path; fd: connected there, or -1 while it can't be. */
void waiting_reason(const char *socket, int fd, char *ret, size_t size);
