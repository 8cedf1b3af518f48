/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's connection to gmemd: requests and their answers, and the events that come between
 * them.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "client/gmem.h"
#include "protocol/packet.h"

struct json_object;

/* Events kept for gmem_next_event(), at most; the oldest go first, and their sequence shows the
 * gap. */
#define EVENTS_KEPT_MAX 1024

struct kept_event {
	STAILQ_ENTRY(kept_event) link;
	struct json_object *params;
};

struct gmem {
	int fd;
	bool inherited; /* from gmem-run, which has opened the VM */
	char *path;     /* where to connect again; NULL: not known */
	unsigned reconnect_ms;
	bool broken;        /* and not mended */
	struct gmem_vm *vm; /* to go on with; NULL: none */
	bool subscribed;
	/* The newest that gmemd has answered with. */
	struct {
		uint64_t call, memory;
	} heard;
	/* Notifications since the last answer: gmemd may not have read them. */
	struct json_object *unconfirmed;
	/* Recursive: who needs several steps to be one, whatever connects again, takes it too. */
	pthread_mutex_t turn;
	uint64_t last_id;
	STAILQ_HEAD(kept_events, kept_event) events;
	unsigned n_events;
	gmem_pressure_handler pressure_handler; /* NULL: none */
	void *pressure_context;
	struct packet packet; /* what is being received */
};

/* What goes with a request, and what came with its answer. */
struct exchange {
	bool repeated;           /* after another connection: gmemd may have done it before */
	struct fd_list received; /* the caller's to take from and to close */
};

/*
 * Sends a request and waits for its answer. Takes params. exchange may be NULL where no fds are
 * meant to go or come. *ret_result is the caller's; ret_result may be NULL. -EREMOTEIO where gmemd
 * answered an error.
 */
int connection_request(struct gmem *gmem, const char *method, struct json_object *take_params,
	struct exchange *exchange, struct json_object **ret_result);
/*
 * The first of the events that have come that is of that kind, taken from them: its parameters,
 * which are the caller's. NULL where there is none.
 */
struct json_object *connection_take_event(struct gmem *gmem, const char *kind);
/* Takes in what has come, without waiting. Where gmemd is gone, goes on with another one if there
 * is one already. */
int connection_receive_events(struct gmem *gmem);
/* The same on this connection alone, by who has its turn. */
int connection_exchange(struct gmem *gmem, const char *method, struct json_object *take_params,
	struct exchange *exchange, struct json_object **ret_result);
/* Sends once more what gmemd may not have read. */
int connection_send_unconfirmed(struct gmem *gmem);
int64_t connection_now_ms(void);
/* The member of that name of what gmemd refused last, in its data; "" where there is none. */
void connection_refusal(const char *name, char *ret, size_t size);
/* Sends a notification. Takes params. */
int connection_notify(struct gmem *gmem, const char *method, struct json_object *take_params);
