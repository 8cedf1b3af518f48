/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Handlers: what carries out each method.
 *
 * A handler is given checked parameters and adds the members of its result; or it fills in the
 * error and returns its code, and has then changed nothing. One that needs files of the caller's
 * is called twice (request_files.h).
 */
#pragma once

#include "daemon/gmemd.h"
#include "daemon/owner/limit.h"
#include "daemon/request/delivery.h"
#include "protocol/json.h"
#include "protocol/methods.h"
#include "protocol/packet.h"

struct deferred_answer;
struct json_object;
struct profile;
struct request_files;

LIST_HEAD(deferred_answer_list, deferred_answer);

/* Who asks. */
struct caller {
	enum method_access access; /* by the socket */
	struct process process;    /* who connected */
	struct owner *owner;       /* who is charged for it */
	struct subscriber *subscriber;
	struct profile *profile; /* that it has begun; NULL: none */
	uint64_t resumption;     /* of all, up to which none left it behind; see resumption.h */
	struct delivery delivery;

	/* Of answers that come later: see deferred_answer.h. */
	struct deferred_answer_list deferrals;
	unsigned held; /* answers that must come before anything else is read */
	/* later: of an answer that comes out of turn, taken then; NULL: of the one that ends it. */
	void (*send)(struct caller *caller, struct json_object *message, struct fd_list *take_fds,
		struct later *take_later);
	/* The same, but it is dropped where too many wait already. */
	void (*notify)(struct caller *caller, struct json_object *message);
	void (*go_on)(struct caller *caller); /* reading, when nothing is held any more */

	/* Of a batch that goes on in the owner's next turn; NULL: there is none. */
	struct batch *paused;
	void (*wait_for_turn)(struct caller *caller);
};

/* What a request is one of; it is told of an answer that was deferred, and of its turn. */
struct batch {
	void (*go_on)(struct batch *batch, struct json_object *take_answer);
	void (*resume)(struct batch *batch);
	void (*abandon)(struct batch *batch); /* the caller is gone */
};

enum serve_outcome {
	SERVE_ANSWERED,
	SERVE_DEFERRED, /* the answer will come by the deferred answer */
};

/* What serves a request, and serves it again when what it waits for is there: see serve.h. */
struct server {
	enum serve_outcome (*serve)(struct json_object *message, struct request *request,
		struct json_object **ret_answer);
	void (*serve_again)(struct request *request, struct deferred_answer *take_deferred);
};

struct request {
	const struct server *server; /* once it is served */
	struct gmemd *gmemd;
	struct caller *caller;
	struct json_object *id; /* NULL: a notification, or unknown */
	bool notification;
	struct batch *batch; /* that it is of; NULL: none */
	struct numbered_request numbered;
	struct json_object *message; /* borrowed; NULL: it has none, see request_message_dup() */
	struct json_part text;       /* where it has none */
	const char *method;          /* once it is known; for who reads the journal */
	struct request_timer timer;
	union method_parameters parameters;
	const struct field *decoded; /* what they were decoded by already; NULL: they were not */
	struct request_files *files; /* that the parameters name, once they were taken */
	size_t looked;  /* at how many views the parameters tell of: see request_views.h */
	uint64_t shown; /* which of them the caller has */
	const uint64_t *discarded;  /* by request_discard(), before it is carried out again */
	bool recounted;             /* what its VM has closed was, for it */
	struct json_object *result; /* an object */
	struct fd_list answer_fds;  /* go with the answer, then are closed */
	struct rpc_error error;
	/* Why it is refused, where that is for want of room: of whom, or of its owner's counts. */
	const struct budget *refused_by;
	bool owner_is_full;
};

/* What carries out each method, by its number. */
typedef int handler(struct request *request);

/* The caller's, for who carries it out again. NULL without memory. */
struct json_object *request_message_dup(const struct request *request);

/* Helpers that handlers share. */

/* Whether the caller may know of the VM. */
bool caller_sees_vm(const struct caller *caller, const struct vm *vm);
/* The VM that the request names, if its caller may know of it. Returns 0, or the code of the error:
 * not_found, or gone for a VM that is released. */
int request_vm(struct request *request, const char *id, struct vm **ret);
/* The same, of a VM that the caller may have make memory: behind its gate if it needs one. */
int request_gated_vm(struct request *request, const char *id, struct vm **ret);
/* The same for a memory. busy while it is pending. */
int request_memory(struct request *request, uint64_t id, struct memory **ret);
int request_memory_pending(struct request *request);

/* Fills in that the peer's process is one that gmemd can't see. */
int request_process_unseen(struct request *request);
/* Whether a predecessor may have closed it for this very request: then it is no error that it is
 * gone. error: the request's. */
bool request_was_done(const struct request *request);

/* Fills in that the limit would be passed. why: a sentence without its full stop. */
int request_limit_error(struct request *request, enum limit limit, const char *why);
/* The same of what the owner has had charged as often as it may: its user's limit, or its
 * tenant's, whichever it is. */
int request_owner_limit_error(struct request *request, const struct owner *owner,
	enum owner_resource resource, const char *why_user, const char *why_tenant);
