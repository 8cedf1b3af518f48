/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's connection to gmemd: what is kept of it, whose turn it is, and for how long.
 *
 * A call has its turn from its first step to its last, and nothing in it waits without end: from
 * its beginning, or the last sign of gmemd since, no longer than gmem_set_reconnect_limit() says.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "client/gmem.h"
#include "kernel/host/own_process.h"
#include "protocol/packet.h"

struct json_object;

/* How long gmemd may be silent where the caller has set no other limit. */
#define CONNECTION_PATIENCE_MS 30000

struct kept_event {
	STAILQ_ENTRY(kept_event) link;
	struct json_object *params;
};

/* Most answers come sooner: these are waited for without asking poll() and the clock. */
#define CONNECTION_BRIEF_WAIT_MS 50

/* Notifications: see exchange.h. */
struct unconfirmed {
	pthread_mutex_t lock;     /* of the list, which is added to without the turn */
	struct json_object *list; /* NULL: none */
	size_t sent;              /* of these, on this connection */
};

struct gmem {
	int fd;
	bool waits_briefly; /* at fd, in the call that receives */
	bool inherited;     /* from gmem-run, which has opened the VM */
	char *path;         /* where to connect again; NULL: not known */
	struct own_process_mark *mark;
	_Atomic unsigned limit_ms; /* as gmem_set_reconnect_limit() says */
	bool broken;               /* and not mended */
	unsigned reconnected;      /* so often */
	struct gmem_vm *vm;        /* to go on with; NULL: none */
	unsigned n_vms;            /* that have not been freed */
	bool subscribed;
	/* The newest that gmemd has answered with. */
	struct {
		uint64_t call, memory;
	} heard;
	struct unconfirmed unconfirmed;
	/* Recursive: who needs several steps to be one, whatever connects again, takes it too. */
	pthread_mutex_t turn;
	unsigned depth;       /* of who has it */
	int64_t began;        /* when who has it wanted it first */
	int64_t deadline;     /* of who has it, if it wants to wait less; 0: none */
	_Atomic int64_t sign; /* of gmemd, when last */
	uint64_t last_id;
	STAILQ_HEAD(kept_events, kept_event) events;
	unsigned n_events;
	int kept_signal; /* readable when one was kept; -1: nobody waits for them */
	gmem_pressure_handler pressure_handler; /* NULL: none */
	void *pressure_context;
	struct packet packet; /* what is being received */
};

bool connection_is_own(const struct gmem *gmem);
/* -ECHILD, and that is the last error, in another process than the one that connected. */
int connection_check(const struct gmem *gmem);
/* The same at the beginning of each call: forgets the last error. */
int connection_enter(const struct gmem *gmem);
/*
 * Waits for the turn. -ECHILD in another process; -ECONNRESET where the call that has it has no
 * sign of gmemd for too long.
 */
int connection_take_turn(struct gmem *gmem);
/* For what must be done whatever gmemd does, in the process that connected. */
void connection_take_turn_anyway(struct gmem *gmem);
void connection_leave_turn(struct gmem *gmem);

/* Time, in milliseconds. */
int64_t connection_now_ms(void);
void connection_note_sign(struct gmem *gmem);
/* Until when a call that has begun then may wait for gmemd. */
int64_t connection_until_of(const struct gmem *gmem, int64_t began);
/* The same for who has the turn. */
int64_t connection_until(const struct gmem *gmem);
/* How long it may be silent. */
int64_t connection_patience(const struct gmem *gmem);

/*
 * Connects. Where too many wait there already, waits for their end until then: -EAGAIN.
 */
int connection_open(const char *path, int64_t until, int *ret_fd);
/* To be called whenever gmem->fd is another socket. */
void connection_limit_wait(struct gmem *gmem);

/* A copy of it as JSON, the caller's. -ENOMEM. */
int connection_copy_json(struct json_object *value, char **ret);
