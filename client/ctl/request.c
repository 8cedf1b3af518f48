/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl's requests to gmemd. See request.h.
 */
#include "client/ctl/request.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/common/paged.h"
#include "client/common/waiting.h"
#include "client/ctl/report.h"
#include "client/ctl/text.h"
#include "client/gmem.h"
#include "kernel/base/cleanup.h"
#include "protocol/error.h"
#include "protocol/json.h"
#include "protocol/methods.h"

/* More than a page of vm.list has. */
#define PAGE_MEMBERS 8
#define SAME_CURSOR  "gmemd has given the same cursor twice"

static void tell_failure(void *context, bool given_up, const char *message)
{
	report_waiting(context, given_up, message);
}

/* Not before we give up ourselves. */
static void set_limit(struct ctl *ctl)
{
	bool limited = ctl->timeout > 0 && !ctl->patient;
	unsigned limit = limited ? ((unsigned)ctl->timeout + 1) * 1000 : UINT_MAX;

	gmem_set_reconnect_limit(ctl->gmem, limit);
}

static int connect_and_call(struct ctl *ctl, struct waiting *waiting, const char *method,
	const char *params, char **ret_text)
{
	int r = 0;

	if (!ctl->gmem) {
		r = gmem_connect(ctl->socket, &ctl->gmem);
		if (r < 0)
			return r;
		set_limit(ctl);
	}
	waiting_at(waiting, gmem_fd(ctl->gmem));
	return gmem_call(ctl->gmem, method, params, ret_text);
}

/* Without a word, as request_try(); params NULL: none. *ret_text is the caller's to free(). */
static int try_text(struct ctl *ctl, const char *method, const char *params, char **ret_text)
{
	const struct waiting_plan plan = {.socket = ctl->socket,
		.limit = (unsigned)ctl->timeout,
		.status = CTL_NO_DAEMON,
		.patient = ctl->patient,
		.tell = tell_failure,
		.context = ctl};
	struct waiting *waiting = waiting_begin(&plan);
	int r = connect_and_call(ctl, waiting, method, params, ret_text);

	waiting_end(waiting);
	return r;
}

int request_try(struct ctl *ctl, const char *method, struct json_object *take_params,
	struct json_object **ret_result)
{
	cleanup_free char *text = NULL;
	int r = try_text(ctl, method, take_params ? json_print(take_params, NULL) : NULL, &text);

	json_unref(take_params);
	if (r < 0)
		return r;
	*ret_result = text_read(ctl, text, strlen(text));
	return *ret_result ? 0 : -EPROTO;
}

static enum ctl_status report(const struct ctl *ctl, int r)
{
	return ctl->gmem ? report_call(ctl, r) : report_connect(ctl, r);
}

enum ctl_status request(struct ctl *ctl, const char *method, struct json_object *take_params,
	struct json_object **ret_result)
{
	int r = request_try(ctl, method, take_params, ret_result);

	return r == 0 ? CTL_DONE : report(ctl, r);
}

/* A parameter of each page's request; NULL: none. */
struct asked {
	const char *name, *value;
};

static struct json_object *page_params(const struct asked *asked, const struct paged *paged)
{
	struct json_object *params = json_new_object();

	if (asked)
		json_add_string(params, asked->name, asked->value);
	paged_add_cursor(paged, params);
	return params;
}

/* first: the first page where the caller has it already, else NULL. */
static enum ctl_status request_pages(struct ctl *ctl, const char *method, const struct asked *asked,
	struct json_object *take_first, struct json_object **ret_whole)
{
	struct json_object *page = take_first;
	struct paged paged = {.whole = NULL};
	enum ctl_status status = CTL_DONE;
	int more;

	do {
		if (!page)
			status = request(ctl, method, page_params(asked, &paged), &page);
		if (status != CTL_DONE)
			break;
		more = paged_add(&paged, page);
		page = json_unref(page);
		if (more < 0)
			status = report_answer(ctl, SAME_CURSOR);
	} while (status == CTL_DONE && more > 0);
	if (status == CTL_DONE)
		*ret_whole = json_ref(paged.whole);
	paged_clear(&paged);
	return status;
}

enum ctl_status request_whole(struct ctl *ctl, const char *method, struct json_object **ret_whole)
{
	return request_pages(ctl, method, NULL, NULL, ret_whole);
}

enum ctl_status request_vms(struct ctl *ctl, struct json_object **ret_list)
{
	return request_pages(ctl, "vm.list", NULL, NULL, ret_list);
}

/* The parameters of the next page's request, by a page's text, for free(); NULL: it was the last.
 * The cursor is as it is written there. -ELOOP where it came before, -EPROTO, -ENOMEM. */
static int next_params(const char *page, struct cursors *cursors, char **ret_params)
{
	struct json_member members[PAGE_MEMBERS];
	const struct json_part *cursor = NULL;
	const char *why;
	size_t count = 0;

	*ret_params = NULL;
	if (!json_split_object(page, strlen(page), members, PAGE_MEMBERS, &count, &why))
		return -EPROTO;
	for (size_t i = 0; i < count && i < PAGE_MEMBERS; i++) {
		if (json_part_is(&members[i].name, "\"cursor\""))
			cursor = &members[i].value;
	}
	if (!cursor)
		return 0;
	if (asprintf(ret_params, "{\"cursor\":%.*s}", (int)cursor->length, cursor->bytes) < 0) {
		*ret_params = NULL;
		return -ENOMEM;
	}
	return cursors_note(cursors, *ret_params);
}

/* *params is the next page's, for free(), or NULL. */
static enum ctl_status count_page(struct ctl *ctl, struct cursors *cursors, char **params)
{
	cleanup_free char *text = NULL;
	int r = try_text(ctl, "vm.list", *params, &text);

	free(*params);
	*params = NULL;
	if (r < 0)
		return report(ctl, r);
	r = next_params(text, cursors, params);
	if (r == -ELOOP)
		return report_answer(ctl, SAME_CURSOR);
	return r < 0 ? report_system(ctl, "vm.list", r) : CTL_DONE;
}

enum ctl_status request_count(struct ctl *ctl)
{
	struct cursors cursors = {.seen = NULL};
	char *params = NULL;
	enum ctl_status status;

	do
		status = count_page(ctl, &cursors, &params);
	while (status == CTL_DONE && params);
	free(params);
	cursors_clear(&cursors);
	return status;
}

/* What is looked for: a VM of that name or uuid, or whose uuid begins so. */
struct sought {
	const char *which;
	bool prefix, released;
};

static bool is_gone(const char *state)
{
	return strcmp(state, "released") == 0 || strcmp(state, "lingering") == 0;
}

/* Name and uuid are a tenant's to choose, so that VMs of two tenants can have the same, and a VM
 * the same as one that is released, or whose process has ended. */
static bool is_called(const struct json_object *vm, const struct sought *sought)
{
	const char *uuid = json_get_string(vm, "uuid");
	size_t length = strlen(sought->which);

	if (sought->released != is_gone(json_get_string(vm, "state")))
		return false;
	if (sought->prefix)
		return length >= UUID_PREFIX_MIN && strncasecmp(uuid, sought->which, length) == 0;
	return text_is_name(json_get_string(vm, "name"), sought->which) ||
	       strcasecmp(uuid, sought->which) == 0;
}

static enum ctl_status report_ambiguous(
	const struct ctl *ctl, const struct sought *sought, const struct json_object *vms)
{
	char ids[512] = "";

	for (size_t i = 0; i < json_length(vms); i++) {
		const struct json_object *vm = json_at(vms, i);
		size_t used = strlen(ids);

		if (is_called(vm, sought))
			snprintf(ids + used, sizeof ids - used, " %s", json_get_string(vm, "vm"));
	}
	return report_usage(ctl, "more than one VM is called \"%s\"; say which by its id:%s",
		sought->which, ids);
}

/* *ret_id: NULL where there is none. */
static enum ctl_status find_id(const struct ctl *ctl, const struct sought *sought,
	const struct json_object *vms, const char **ret_id)
{
	const char *id = NULL;

	for (size_t i = 0; i < json_length(vms); i++) {
		if (!is_called(json_at(vms, i), sought))
			continue;
		if (id)
			return report_ambiguous(ctl, sought, vms);
		id = json_get_string(json_at(vms, i), "vm");
	}
	*ret_id = id;
	return CTL_DONE;
}

/* A whole name before how a uuid begins, and one that lives before one that is gone. */
static enum ctl_status find_first_id(const struct ctl *ctl, const char *which,
	const struct json_object *list, const char **ret_id)
{
	enum ctl_status status = CTL_DONE;
	const char *id = NULL;

	for (unsigned i = 0; status == CTL_DONE && !id && i < 4; i++) {
		const struct sought sought = {which, /* prefix= */ i >= 2, /* released= */ i % 2};

		status = find_id(ctl, &sought, json_get(list, "vms"), &id);
	}
	*ret_id = id;
	return status;
}

/* Those that gmemd finds by that; or all, for it may be the name as it is printed. */
static enum ctl_status request_candidates(
	struct ctl *ctl, const char *which, struct json_object **ret_list)
{
	const struct asked named = {"named", which};
	struct json_object *first = NULL;
	int r = -EINVAL;

	if (which[0] != '\0' && strlen(which) <= NAME_BYTES_MAX)
		r = request_try(ctl, "vm.list", page_params(&named, &(struct paged){.whole = NULL}),
			&first);
	if (r == 0 && json_length(json_get(first, "vms")) > 0)
		return request_pages(ctl, "vm.list", &named, first, ret_list);
	json_unref(first);
	return request_vms(ctl, ret_list);
}

/* Where there is none, gmemd is asked by the name itself: the error is its own. */
static enum ctl_status request_vm_by_name(
	struct ctl *ctl, const char *which, struct json_object **ret_vm)
{
	struct asked vm = {"vm", NULL};
	struct json_object *list;
	enum ctl_status status = request_candidates(ctl, which, &list);

	if (status != CTL_DONE)
		return status;
	status = find_first_id(ctl, which, list, &vm.value);
	if (!vm.value)
		vm.value = which;
	if (status == CTL_DONE)
		status = request_pages(ctl, "vm.get", &vm, NULL, ret_vm);
	json_unref(list);
	return status;
}

enum ctl_status request_vm(struct ctl *ctl, const char *which, struct json_object **ret_vm)
{
	const struct asked vm = {"vm", which};
	struct json_object *first;
	int r = request_try(
		ctl, "vm.get", page_params(&vm, &(struct paged){.whole = NULL}), &first);

	if (r == 0)
		return request_pages(ctl, "vm.get", &vm, first, ret_vm);
	if (!ctl->gmem)
		return report_connect(ctl, r);
	if (r == -EREMOTEIO && last_error_code(ctl) == RPC_NOT_FOUND)
		return request_vm_by_name(ctl, which, ret_vm);
	return report_call(ctl, r);
}

enum ctl_status request_vm_of_id(struct ctl *ctl, const char *id, struct json_object **ret_vm)
{
	const struct asked vm = {"vm", id};
	struct json_object *first;
	int r = request_try(
		ctl, "vm.get", page_params(&vm, &(struct paged){.whole = NULL}), &first);

	*ret_vm = NULL;
	if (r == 0)
		return request_pages(ctl, "vm.get", &vm, first, ret_vm);
	if (!ctl->gmem)
		return report_connect(ctl, r);
	return r == -EREMOTEIO && last_error_code(ctl) == RPC_NOT_FOUND ? CTL_DONE
									: report_call(ctl, r);
}

bool request_is_memory(const struct ctl *ctl, const struct json_object *memory)
{
	char id[32] = "";
	uint64_t number;

	if (!ctl->memory)
		return true;
	if (json_get_uint(memory, "memory", &number))
		snprintf(id, sizeof id, "%" PRIu64, number);
	return strcmp(ctl->memory, id) == 0 ||
	       text_is_name(json_get_string(memory, "name"), ctl->memory);
}
