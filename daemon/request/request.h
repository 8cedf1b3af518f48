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
#include "daemon/request/request_files.h"
#include "protocol/methods.h"
#include "protocol/packet.h"

struct deferred_answer;
struct json_object;

LIST_HEAD(deferred_answer_list, deferred_answer);

/* Who asks. */
struct caller {
	enum method_access access; /* by the socket */
	struct process process;    /* who connected */
	struct owner *owner;       /* who is charged for it */
	struct subscriber *subscriber;
	bool *subscribed;
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

struct request {
	struct gmemd *gmemd;
	struct caller *caller;
	struct json_object *id; /* NULL: a notification, or unknown */
	bool notification;
	struct batch *batch;         /* that it is of; NULL: none */
	unsigned order;              /* in the batch */
	uint64_t number;             /* of all requests; 0: none is needed */
	struct json_object *message; /* borrowed */
	union method_parameters parameters;
	struct request_files *files; /* that the parameters name, once they were taken */
	bool recounted;              /* what its VM has closed was, for it */
	struct json_object *result;  /* an object */
	struct fd_list answer_fds;   /* go with the answer, then are closed */
	enum owed_files owed_files;  /* where a successor has them from */
	uint64_t owed_object;
	struct rpc_error error;
};

typedef int handler(struct request *request);

handler handle_ping;
handler handle_host_describe;
handler handle_rpc_discover;
handler handle_vm_open;
handler handle_vm_gate;
handler handle_vm_resume;
handler handle_vm_list;
handler handle_vm_get;
handler handle_vm_close;
handler handle_vm_set;
handler handle_memory_create;
handler handle_memory_open;
handler handle_memory_close;
handler handle_memory_reclaim;
handler handle_memory_preallocate;
handler handle_memory_cancel;
handler handle_slot_bind;
handler handle_slot_unbind;
handler handle_memory_convert;
handler handle_call_done;
handler handle_event_subscribe;

/* Helpers that handlers share. */

/* Whether the caller may know of the VM. */
bool caller_sees_vm(const struct caller *caller, const struct vm *vm);
/* The VM that the request names, if its caller may know of it. Returns 0, not_found, or gone for
 * one that is released. */
int request_vm(struct request *request, const char *id, struct vm **ret);
/* The same, of a VM that the caller may have make memory: behind its gate if it needs one. */
int request_gated_vm(struct request *request, const char *id, struct vm **ret);
/* The same for a memory. busy while it is pending. */
int request_memory(struct request *request, uint64_t id, struct memory **ret);
int request_memory_pending(struct request *request);

/* Whether the host and the policy allow a VM as it is told of. */
int request_may_offer_vm(
	struct request *request, const struct vm_open_parameters *told, unsigned type);
/* Whether the caller's process may have one more VM, of that user, name and UUID, which may be
 * NULL. */
int request_may_have_vm(struct request *request, uid_t uid, const char *name, const char *uuid);
/* Fills in that the peer's process is one that gmemd can't see. */
int request_process_unseen(struct request *request);
/* Fills in why vm_new() or vm_resume() made none. */
int request_vm_error(struct request *request, int r);
/* Adds what its process works with to the result: its ids, the device and the mailbox. */
int request_answer_vm(struct request *request, const struct vm *vm);
/* The files alone. vm may be NULL: then it is gone. */
int request_take_vm_files(struct request *request, const struct vm *vm);
/* Has a memory's file go with the answer; memory may be NULL. */
int request_take_memory_file(struct request *request, const struct memory *memory);
/* Fills in why memory_new() made none. */
int request_memory_error(
	struct request *request, int r, const struct budget *refused, uint64_t requested);

/* Has the fd go with the answer as the result's member of that name. Takes it. */
void request_answer_fd(
	struct request *request, struct json_object *object, const char *name, int take_fd);
/* Whether a predecessor may have closed it for this very request: then it is no error that it is
 * gone. error: the request's. */
bool request_was_done(const struct request *request);

/*
 * Adds the member of that name, "call" for one: what the VMM must trigger, or null where the call
 * is carried out, and then settles it.
 */
int request_answer_call(struct request *request, const char *name, struct call *take_call);
/* Fills in why there is no call of the VM's: a limit, or what the ioctl failed with. */
int request_call_error(
	struct request *request, const struct vm *vm, enum mailbox_command command, int r);
/* Fills in that the limit would be passed. why: a sentence without its full stop. */
int request_limit_error(struct request *request, enum limit limit, const char *why);
/* Has a slot's frames made private by one call; *ret is NULL where they are. */
int request_convert_slot(struct request *request, const struct slot *slot, struct call **ret);
