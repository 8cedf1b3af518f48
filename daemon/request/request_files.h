/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files that a request names by their numbers in the peer's process.
 *
 * A handler that needs some says so when all else that it can check is as it must be and before it
 * changes anything: request_take_files(). The request is deferred then, and carried out again from
 * its beginning once a taker has taken them (daemon/peerfd/taker_client.h). A file that isn't what
 * it must be is refused before the handler is called again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/taker/protocol.h"

struct config;
struct owner;
struct request;
struct rpc_error;
struct taking_result;

/* One that is needed. */
struct file_wish {
	char param[32]; /* that names it: "memories[3].fd" */
	int number;
	enum taker_kind kind;
	uint64_t size;        /* of a guest_memfd; 0: any */
	const char *expected; /* completes the sentence "PARAM must be …" */
};

struct file_wishes {
	size_t count;
	struct file_wish wishes[TAKER_FILES_MAX];
	/* Whether to find out, too, how the process has mapped the first, a mailbox. */
	bool verify;
};

/* What was taken. Those that are -1 were taken over; the others are closed after the handler. */
struct request_files {
	size_t count;
	int *fds; /* in the wishes' order */
	/* Of the mailbox's mapping: mapping_verify()'s result and reason. */
	int mapping;
	const char *reason;
};

/*
 * 0 where they are there: request->files. REQUEST_DEFERRED, which the handler is to return; or the
 * code of the error that it filled in. The owner's takers do it.
 */
int request_take_files(
	struct request *request, struct owner *owner, const struct file_wishes *wishes);
/* The same for one file. *ret_fd stays the request's until it is taken over. */
int request_take_file(
	struct request *request, struct owner *owner, const struct file_wish *wish, int *ret_fd);
/* Why a taker could not be asked, or could not do what it was: not about a single file. what: what
 * it was to do. */
void request_taking_error(struct rpc_error *error, const struct config *config,
	const struct taking_result *result, const char *what);
/* Takes over the file of that wish. */
int request_take_over(struct request *request, size_t index);
