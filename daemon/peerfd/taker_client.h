/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Takings: gmemd needs files of peers' processes, and has to look at how a process has mapped some.
 *
 * Both can wait for ever, so processes of their own do them (gmemd-taker), which an owner has while
 * it needs them. An owner's takings are done in their order; where its processes are slow, it has
 * more of them, up to a limit, and one that hangs counts. Each taking ends within TAKER_LATE_MS,
 * done or not.
 */
#pragma once

#include <event2/event.h>
#include <sys/types.h>

#include "daemon/owner/limit.h"
#include "daemon/taker/protocol.h"
#include "kernel/host/file_view.h"
#include "kernel/host/process.h"
#include "kernel/kvm/mapping.h"

struct owner;
struct taking;
struct takings;

struct taking_request {
	struct owner *owner;           /* whose takers do it */
	const struct process *process; /* that the files are of */
	size_t n_files;
	struct taker_file files[TAKER_FILES_MAX];
	bool verify; /* a mapping, too: the expected one, or the first file's */
	bool of_file;
	pid_t thread; /* whose; 0: any of the process's */
	struct mapping_expected mapping;
	/* In the place of all that: which of these views of files the process has. 0: it is no
	 * look. The views stay the caller's. */
	size_t n_views;
	const struct file_view *views;
};

struct taking_result {
	/*
	 * 0 where all files are as they must be. Else an answer's error (daemon/taker/protocol.h)
	 * about one of them; -EDQUOT where as many takers as may be hang, -ETIMEDOUT, or why none
	 * can be started or asked.
	 */
	int result;
	size_t failed;
	enum limit limit; /* of -EDQUOT */
	/* Those that are handed over, in the request's order. Who takes one sets it to -1. */
	size_t n_fds;
	int *fds;
	/* mapping_verify()'s result and reason. */
	int mapping;
	const char *reason;
	uint64_t shown; /* of a look: bit N is the Nth view's */
};

typedef void taking_done(void *context, struct taking_result *result);

/* base and config must outlive it. program: NULL for the one that is beside gmemd, or installed. */
int takings_new(struct event_base *base, const struct config *config, const char *program,
	struct takings **ret);
/* Takings that are under way are forgotten: nobody is told of their end, and nothing is waited for.
 * Takes NULL, returns NULL. */
struct takings *takings_free(struct takings *takings);

/*
 * Begins one. done is called once, later, from the loop. Owner and process stay the caller's, and
 * need not outlive the call. -ENOMEM, -EMFILE.
 */
int taking_start(struct takings *takings, const struct taking_request *request, taking_done *done,
	void *context, struct taking **ret);
/* Its end is not told. Takes NULL, returns NULL. */
struct taking *taking_cancel(struct taking *taking);

/* Nothing more is taken for the owner, who goes: its takers end as soon as they are idle. */
void takings_forget_owner(struct takings *takings, const struct owner *owner);
