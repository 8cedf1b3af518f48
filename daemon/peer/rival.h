/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who listens at a socket's path that gmemd wanted to have.
 */
#pragma once

#include <stdbool.h>

#define RIVAL_TEXT_SIZE 160

/* Says it by a connection to it, as the end of a line of the log. False where whoever listened has
 * ended, and somebody else has the socket. */
bool rival_describe(int connection, char ret[static RIVAL_TEXT_SIZE]);
