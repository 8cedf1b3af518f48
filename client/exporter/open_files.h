/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How many files the exporter may have open: that bounds its clients, for each is one, and leaves
 * some that they can't take.
 */
#pragma once

/* Clients that may be connected at a time; others wait in the kernel's queue. */
#define CLIENTS_MAX 32

/* When all that clients don't have is open. 0 or a negative errno. */
int open_files_limit(void);
/* As socket(2), of one that is not a client's: never refused for clients that there are. A negative
 * errno. */
int open_files_socket(int family, int type);
