/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl domains: libvirt's domains as gmemd-libvirt has read them, beside what gmemd has of them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "client/ctl/report.h"
#include "client/ctl/request.h"
#include "client/ctl/table.h"
#include "client/ctl/verb.h"
#include "kernel/base/cleanup.h"
#include "protocol/json.h"

#define DEFAULT_STATE "/run/gmemd-libvirt/domains"
#define STATE_MAX     ((size_t)64 << 20)

static const struct column columns[] = {
	{"name", "NAME", TEXT_PLAIN},
	{"title", "TITLE", TEXT_PLAIN},
	{"state", "STATE", TEXT_PLAIN},
	{"vm", "VM", TEXT_PLAIN},
	{"tenant", "TENANT", TEXT_PLAIN},
	{"limit", "LIMIT", TEXT_BYTES},
	{"committed", "COMMITTED", TEXT_BYTES},
	{"remark", "REMARK", TEXT_PLAIN},
	{.member = NULL},
};

/* The text of the state file; the caller's. */
static int read_file(const char *path, char **ret_text, size_t *ret_length)
{
	cleanup_file FILE *file = fopen(path, "re");
	cleanup_free char *text = NULL;
	size_t room = 1 << 16, length = 0, got = 1;

	if (!file)
		return -errno;
	while (got > 0) {
		char *larger = realloc(text, room);

		if (!larger)
			return -ENOMEM;
		text = larger;
		got = fread(text + length, 1, room - length, file);
		length += got;
		if (length == room)
			room *= 2;
		if (room > STATE_MAX)
			return -EFBIG;
	}
	if (ferror(file))
		return -EIO;
	*ret_text = text;
	*ret_length = length;
	text = NULL; /* handed over */
	return 0;
}

static enum ctl_status read_state(
	const struct ctl *ctl, const char *path, struct json_object **ret_state)
{
	cleanup_free char *text = NULL;
	size_t length = 0;
	int r = read_file(path, &text, &length);

	if (r == -ENOENT)
		return report_no_bridge(ctl, path);
	if (r < 0)
		return report_system(ctl, path, r);
	*ret_state = text_read(ctl, text, length);
	return *ret_state ? CTL_DONE : report_system(ctl, path, -EBADMSG);
}

/* The one whose process lives; NULL where there is none. */
static struct json_object *find_vm(const struct json_object *vms, const char *uuid)
{
	for (size_t i = 0; i < json_length(vms); i++) {
		struct json_object *vm = json_at(vms, i);

		if (strcasecmp(json_get_string(vm, "uuid"), uuid) == 0 &&
			strcmp(json_get_string(vm, "state"), "released") != 0 &&
			strcmp(json_get_string(vm, "state"), "lingering") != 0)
			return vm;
	}
	return NULL;
}

/* What differs, "" where nothing does. */
static void compare(
	const struct json_object *domain, const struct json_object *vm, char *ret, size_t size)
{
	const char *tenant = json_get_string(domain, "tenant");
	uint64_t limit = 0, promised = 0;
	char bytes[32];

	json_get_uint(domain, "limit", &limit);
	json_get_uint(vm, "promised", &promised);
	text_of_size(promised, bytes, sizeof bytes);
	ret[0] = '\0';
	if (strcmp(json_get_string(domain, "name"), json_get_string(vm, "name")) != 0)
		snprintf(ret, size, "gmemd knows it as %s", json_get_string(vm, "name"));
	else if (tenant[0] && strcmp(tenant, json_get_string(vm, "tenant")) != 0)
		snprintf(ret, size, "gmemd has it in tenant %s", json_get_string(vm, "tenant"));
	else if (promised == 0)
		snprintf(ret, size, "gmemd has promised it nothing");
	else if (promised != limit)
		snprintf(ret, size, "gmemd has promised it %s", bytes);
}

static void describe_remark(
	const struct json_object *domain, const struct json_object *vm, char *ret, size_t size)
{
	static const char *const told[] = {"unread", "fault", "refused"};
	bool active = json_get_bool(domain, "active");

	for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
		const char *text = json_get_string(domain, told[i]);

		if (text[0]) {
			snprintf(ret, size, "%s", text);
			return;
		}
	}
	ret[0] = '\0';
	if (active && !vm)
		snprintf(ret, size, "its memory is not gmemd's");
	else if (!active && vm)
		snprintf(ret, size, "it is shut off for libvirt, and has a VM");
	else if (vm)
		compare(domain, vm, ret, size);
}

static void complete(struct json_object *domain, const struct json_object *vms)
{
	const struct json_object *vm = find_vm(vms, json_get_string(domain, "uuid"));
	char remark[TEXT_SIZE];

	json_add_string(domain, "state", json_get_bool(domain, "active") ? "running" : "shut off");
	json_add_string(domain, "vm", vm ? json_get_string(vm, "vm") : NULL);
	json_add(domain, "committed", vm ? json_ref(json_get(vm, "committed")) : NULL);
	describe_remark(domain, vm, remark, sizeof remark);
	json_add_string(domain, "remark", remark[0] ? remark : NULL);
}

/* What is shown may be old then. */
static void report_missing(const struct ctl *ctl, const struct json_object *state)
{
	if (!json_get_bool(state, "libvirt") && !ctl->json)
		fprintf(stderr,
			"gmemctl: gmemd-libvirt has no connection to %s; this is what it "
			"has read before\n",
			json_get_string(state, "uri"));
}

enum ctl_status ctl_domains(struct ctl *ctl, char **arguments)
{
	struct json_object *state = NULL, *list = NULL, *domains;
	enum ctl_status status;

	status = read_state(ctl, arguments[0] ? arguments[0] : DEFAULT_STATE, &state);
	if (status == CTL_DONE)
		status = request_vms(ctl, &list);
	if (status == CTL_DONE) {
		domains = json_get(state, "domains");
		for (size_t i = 0; i < json_length(domains); i++)
			complete(json_at(domains, i), json_get(list, "vms"));
		if (ctl->json)
			print_value(ctl, state);
		else
			status = print_table(ctl, columns, domains);
		report_missing(ctl, state);
	}
	json_unref(list);
	json_unref(state);
	return status;
}
