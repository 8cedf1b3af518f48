/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm.list and vm.get: what a peer may see, in pages that fit a packet.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "daemon/methods/counted_answer.h"
#include "daemon/methods/methods.h"
#include "daemon/release/call_reports.h"
#include "daemon/report/describe.h"
#include "daemon/request/page_cursor.h"
#include "daemon/vm/closed_memory.h"
#include "daemon/vm/slot_views.h"
#include "protocol/json.h"
#include "protocol/packet.h"

/* What a VM takes at most, without its texts, and what all of an answer's may. */
#define VM_BYTES       430
#define LIST_BYTES_MAX (PACKET_BYTES_MAX - 512)

/* What an object of each list takes at most. */
#define MEMORY_BYTES 480
#define SLOT_BYTES   500
#define RANGE_BYTES  80
#define CALL_BYTES   180
#define GRANT_BYTES  200

/* Behind all numbers of slots. */
#define LEAVING_SLOTS (UINT64_C(1) << 32)

/* What is asked for, as it outlives the request. */
struct list_context {
	uint64_t from, limit;
	char named[NAME_BYTES_MAX + 1]; /* "": all */
};

/* How much there is of an answer so far. */
struct listing {
	uint64_t listed;
	size_t bytes;
};

/* At most, where each byte of a text may take two. */
static size_t vm_bytes(const struct vm *vm)
{
	const struct owner_name unit = owner_name(vm->owner);

	return VM_BYTES + 2 * (strlen(vm->name) + strlen(vm->tenant->name) + strlen(unit.unit));
}

/* Whether it has room for one more, which is counted then. */
static bool listing_takes(
	struct listing *listing, const struct list_context *context, const struct vm *vm)
{
	size_t bytes = listing->bytes + vm_bytes(vm);

	if (listing->listed == context->limit || bytes > LIST_BYTES_MAX)
		return false;
	*listing = (struct listing){listing->listed + 1, bytes};
	return true;
}

static bool is_listed(
	const struct caller *caller, const struct list_context *context, const struct vm *vm)
{
	size_t length = strlen(context->named);

	if (!caller_sees_vm(caller, vm))
		return false;
	return length == 0 || strcmp(vm->name, context->named) == 0 ||
	       (length >= UUID_PREFIX_MIN && strncasecmp(vm->uuid, context->named, length) == 0);
}

/* A VMM sees its own VM alone: what it asks costs no look at others'. */
static struct vm *first_vm(
	struct gmemd *gmemd, const struct caller *caller, const struct list_context *context)
{
	struct vm key = {.number = context->from}, *own;

	if (caller->access == ACCESS_OPERATOR)
		return RB_NFIND(vm_tree, &gmemd->registry.vms, &key);
	own = registry_vm_of_any_process(&gmemd->registry, &caller->process);
	return own && own->number >= context->from ? own : NULL;
}

static struct vm *next_vm(const struct caller *caller, struct vm *vm)
{
	return caller->access == ACCESS_OPERATOR ? RB_NEXT(vm_tree, _, vm) : NULL;
}

static int fill_list(struct gmemd *gmemd, const struct caller *caller, const void *what,
	struct json_object *result, struct rpc_error *error)
{
	const struct list_context *context = what;
	struct json_object *list = json_add_array(result, "vms");
	struct vm *vm = first_vm(gmemd, caller, context);
	struct listing listing = {.listed = 0};

	(void)error;
	for (; vm; vm = next_vm(caller, vm)) {
		if (!is_listed(caller, context, vm))
			continue;
		if (!listing_takes(&listing, context, vm)) {
			page_cursor_add(result, "vm", vm->number);
			break;
		}
		describe_vm(json_append_object(list), vm);
	}
	return 0;
}

static int add_listed(
	struct page_count *count, const struct request *request, const struct list_context *context)
{
	struct vm *vm = first_vm(request->gmemd, request->caller, context);
	struct listing listing = {.listed = 0};
	int r = 0;

	for (; r == 0 && vm; vm = next_vm(request->caller, vm)) {
		if (!is_listed(request->caller, context, vm))
			continue;
		if (!listing_takes(&listing, context, vm))
			break;
		r = page_count_add(count, vm);
		views_look(vm);
	}
	return r;
}

int handle_vm_list(struct request *request)
{
	const struct vm_list_parameters *parameters = &request->parameters.vm_list;
	struct list_context context = {.limit = parameters->limit};
	struct page_count *count;
	int r;

	if (parameters->cursor && !page_cursor_read(parameters->cursor, "vm", &context.from))
		return page_cursor_error(request);
	if (parameters->named)
		strcpy(context.named, parameters->named);
	count = page_count_new(&request->gmemd->registry, request->caller->owner);
	r = count ? add_listed(count, request, &context) : -ENOMEM;
	if (r < 0) {
		page_count_free(count);
		return rpc_error_internal(&request->error, "no memory");
	}
	return request_answer_counted(request, count, fill_list, &context, sizeof context);
}

/* One answer's part of what there is to see of a VM: its lists one after the other. */
enum view_list {
	VIEW_MEMORIES,
	VIEW_SLOTS,
	VIEW_PRIVATE_RANGES,
	VIEW_UNCERTAIN_RANGES,
	VIEW_CALLS,
	VIEW_CLOSED_MEMORIES,
	VIEW_GRANTS,
	VIEW_HOLDERS,
	VIEW_LISTS
};

struct view {
	struct vm *vm;
	enum view_list list; /* the one that it begins in */
	uint64_t from;       /* and the first number there */
	size_t room;         /* in bytes */
};

static bool fits(struct view *view, size_t bytes)
{
	if (bytes > view->room)
		return false;
	view->room -= bytes;
	return true;
}

/* Each adds what there is from a number on. False where there is no room; then *next is the first
 * that is missing. */
static bool view_memories(struct view *view, struct json_object *list, uint64_t *next)
{
	struct memory *memory;

	while ((memory = vm_memory_from(view->vm, *next))) {
		*next = memory->id;
		if (!fits(view, MEMORY_BYTES))
			return false;
		describe_memory(json_append_object(list), memory);
		*next = memory->id + 1;
	}
	return true;
}

/* After the others, as many as there can be: a page begins with all of them, or none. */
static bool view_leaving_slots(struct view *view, struct json_object *list, uint64_t *next)
{
	size_t bytes = 0;

	*next = LEAVING_SLOTS;
	EACH_LEAVING_SLOT (slot, view->vm)
		bytes += SLOT_BYTES;
	if (!fits(view, bytes))
		return false;
	EACH_LEAVING_SLOT (slot, view->vm)
		describe_slot(json_append_object(list), slot);
	return true;
}

static bool view_slots(struct view *view, struct json_object *list, uint64_t *next)
{
	struct slot *slot = vm_slot_from(view->vm, *next);

	for (; slot; slot = vm_slot_after(slot)) {
		*next = slot->number;
		if (!fits(view, SLOT_BYTES))
			return false;
		describe_slot(json_append_object(list), slot);
	}
	return view_leaving_slots(view, list, next);
}

static bool view_ranges(
	struct view *view, const struct ranges *of, struct json_object *list, uint64_t *next)
{
	struct range_place place;
	const struct range *range = ranges_from(of, *next, &place);

	for (; range; range = ranges_next(&place)) {
		struct json_object *object;

		*next = range->start;
		if (!fits(view, RANGE_BYTES))
			return false;
		object = json_append_object(list);
		json_add_uint(object, "guest_phys_addr", range->start);
		json_add_uint(object, "size", range->end - range->start);
	}
	return true;
}

static bool view_private_ranges(struct view *view, struct json_object *list, uint64_t *next)
{
	return view_ranges(view, &view->vm->private_ranges, list, next);
}

static bool view_uncertain_ranges(struct view *view, struct json_object *list, uint64_t *next)
{
	return view_ranges(view, &view->vm->uncertain, list, next);
}

static bool view_calls(struct view *view, struct json_object *list, uint64_t *next)
{
	struct call *call = vm_call_from(view->vm, *next);

	for (; call; call = TAILQ_NEXT(call, link)) {
		*next = call->id;
		if (call->settling)
			continue;
		if (!fits(view, CALL_BYTES))
			return false;
		json_append_made(list, describe_call(call));
	}
	return true;
}

static bool view_closed_memories(struct view *view, struct json_object *list, uint64_t *next)
{
	struct memory *memory;

	while ((memory = vm_filled_memory_from(view->vm, *next))) {
		*next = memory->id;
		if (!fits(view, MEMORY_BYTES))
			return false;
		describe_closed_memory(json_append_object(list), memory);
		*next = memory->id + 1;
	}
	return true;
}

/* The numbers of these are their places among them. */
static bool view_some_grants(
	struct view *view, struct json_object *list, uint64_t *next, bool holdings)
{
	const struct grant *grant;
	uint64_t place = 0;

	TAILQ_FOREACH (grant, &view->vm->grants.all, link) {
		if ((grant->kind == GRANT_HOLDING) != holdings || place++ < *next)
			continue;
		if (!fits(view, GRANT_BYTES))
			return false;
		if (holdings)
			describe_holder(json_append_object(list), view->vm, grant);
		else
			describe_grant(json_append_object(list), grant);
		*next = place;
	}
	return true;
}

static bool view_grants(struct view *view, struct json_object *list, uint64_t *next)
{
	return view_some_grants(view, list, next, /* holdings= */ false);
}

static bool view_holders(struct view *view, struct json_object *list, uint64_t *next)
{
	return view_some_grants(view, list, next, /* holdings= */ true);
}

static const struct {
	const char *member;
	const char *word; /* in a cursor */
	bool (*view)(struct view *view, struct json_object *list, uint64_t *next);
} view_lists[VIEW_LISTS] = {
	[VIEW_MEMORIES] = {"memories", "memory", view_memories},
	[VIEW_SLOTS] = {"slots", "slot", view_slots},
	[VIEW_PRIVATE_RANGES] = {"private_ranges", "private", view_private_ranges},
	[VIEW_UNCERTAIN_RANGES] = {"uncertain_ranges", "uncertain", view_uncertain_ranges},
	[VIEW_CALLS] = {"calls", "call", view_calls},
	[VIEW_CLOSED_MEMORIES] = {"closed_memories", "closed", view_closed_memories},
	[VIEW_GRANTS] = {"grants", "grant", view_grants},
	[VIEW_HOLDERS] = {"holders", "holder", view_holders},
};

static bool view_read(const char *cursor, struct view *view)
{
	for (view->list = 0; cursor && view->list < VIEW_LISTS; view->list++) {
		if (page_cursor_read(cursor, view_lists[view->list].word, &view->from))
			return true;
	}
	return !cursor;
}

static void view_add(struct json_object *result, struct view *view)
{
	bool full = false;

	for (enum view_list list = 0; list < VIEW_LISTS; list++) {
		struct json_object *array = json_add_array(result, view_lists[list].member);
		uint64_t next = list == view->list ? view->from : 0;

		if (full || list < view->list || view_lists[list].view(view, array, &next))
			continue;
		page_cursor_add(result, view_lists[list].word, next);
		full = true;
	}
}

struct get_context {
	uint64_t number; /* the VM's */
	enum view_list list;
	uint64_t from;
};

static int fill_view(struct gmemd *gmemd, const struct caller *caller, const void *what,
	struct json_object *result, struct rpc_error *error)
{
	const struct get_context *context = what;
	struct vm key = {.number = context->number};
	struct view view = {.list = context->list, .from = context->from, .room = PAGE_BYTES_MAX};
	char id[32];

	(void)caller;
	view.vm = RB_FIND(vm_tree, &gmemd->registry.vms, &key);
	if (!view.vm) {
		snprintf(id, sizeof id, "vm-%" PRIu64, context->number);
		return rpc_error_not_found(error, "vm", id);
	}
	describe_vm(result, view.vm);
	json_add_uint(result, "minimum", view.vm->minimum);
	view_add(result, &view);
	return 0;
}

int handle_vm_get(struct request *request)
{
	const struct vm_get_parameters *parameters = &request->parameters.vm_get;
	struct vm *vm = registry_vm_by_id(&request->gmemd->registry, parameters->vm);
	struct page_count *count;
	struct get_context context;
	struct view view = {.vm = vm};
	int r;

	if (!vm || !caller_sees_vm(request->caller, vm))
		return rpc_error_not_found(&request->error, "vm", parameters->vm);
	if (!view_read(parameters->cursor, &view))
		return page_cursor_error(request);
	call_reports_settle(request->gmemd, vm);
	context = (struct get_context){vm->number, view.list, view.from};
	count = page_count_new(&request->gmemd->registry, request->caller->owner);
	r = count ? page_count_add(count, vm) : -ENOMEM;
	if (r < 0) {
		page_count_free(count);
		return rpc_error_internal(&request->error, "no memory");
	}
	if (!parameters->cursor)
		page_count_await_views(count, vm);
	return request_answer_counted(request, count, fill_view, &context, sizeof context);
}
