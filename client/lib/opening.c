/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening a VM with gmemd. See opening.h.
 */
#include "client/lib/opening.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/lib/connection.h"
#include "client/lib/environment.h"
#include "client/lib/last_error.h"
#include "kernel/base/cleanup.h"
#include "kernel/kvm/gate.h"
#include "kernel/kvm/probe.h"
#include "protocol/json.h"
#include "protocol/text.h"

static struct json_object *open_params(const struct gmem_vm_options *options)
{
	struct json_object *params = json_new_object();

	json_add_string(params, "name", options->name);
	if (options->uuid)
		json_add_string(params, "uuid", options->uuid);
	if (options->type)
		json_add_string(params, "type", options->type);
	if (options->commit_limit > 0)
		json_add_uint(params, "commit_limit", options->commit_limit);
	if (options->minimum > 0)
		json_add_uint(params, "minimum", options->minimum);
	if (options->reservation)
		json_add_string(params, "reservation", options->reservation);
	if (options->initial_state == GMEM_PRIVATE)
		json_add_string(params, "initial_state", "private");
	json_add_string(params, "gate", options->gate == GMEM_GATE_NONE ? "none" : "required");
	return params;
}

static int read_areas(struct json_object *list, struct mailbox_area areas[static MAILBOX_COMMANDS])
{
	uint64_t request;

	if (json_length(list) != MAILBOX_COMMANDS)
		return -EPROTO;
	for (size_t i = 0; i < MAILBOX_COMMANDS; i++) {
		struct json_object *area = json_at(list, i);

		if (!json_get_uint(area, "request", &request) ||
			!json_get_uint(area, "address", &areas[i].address) ||
			!json_get_uint(area, "length", &areas[i].length) ||
			!json_get_uint(area, "stride", &areas[i].stride))
			return -EPROTO;
		areas[i].request = (uint32_t)request;
	}
	return 0;
}

/* An older gmemd has none. */
static void read_report_page(
	struct json_object *report, struct fd_list *fds, struct opening *opening)
{
	uint64_t fd;

	if (json_get_uint(report, "fd", &fd))
		opening->report_fd = fd_list_take(fds, fd);
}

static int read_result(struct json_object *result, struct fd_list *fds, struct opening *opening)
{
	struct json_object *mailbox = json_get(result, "mailbox");
	uint64_t kvm, fd;

	text_copy_printable(json_get_string(result, "vm"), opening->id, sizeof opening->id);
	opening->modelled = !mailbox;
	if (opening->modelled) {
		opening->gated = false;
		return 0;
	}
	if (!json_get_uint(result, "kvm", &kvm) || !json_get_uint(mailbox, "fd", &fd) ||
		!json_get_uint(mailbox, "address", &opening->mailbox_address) ||
		!json_get_uint(mailbox, "length", &opening->mailbox_length))
		return -EPROTO;
	read_report_page(json_get(result, "report"), fds, opening);
	opening->kvm_fd = fd_list_take(fds, kvm);
	opening->mailbox_fd = fd_list_take(fds, fd);
	return opening->kvm_fd < 0 || opening->mailbox_fd < 0 ? -EPROTO : 0;
}

/* Handed over before the answer was lost. */
static bool is_handed_over(const struct exchange *exchange)
{
	return exchange->repeated && strcmp(last_error_details()->with, "listener") == 0;
}

static int hand_over(struct gmem *gmem, const char *id, int listener)
{
	struct json_object *params = json_new_object();
	struct exchange exchange = {.repeated = false};
	int r;

	json_add_string(params, "vm", id);
	json_add_uint(params, "listener", (uint64_t)listener);
	r = connection_request(gmem, "vm.gate", params, &exchange, NULL);
	if (r == -EREMOTEIO && is_handed_over(&exchange))
		return 0;
	if (r == 0)
		fd_list_close(&exchange.received);
	return r;
}

static int put_up_gate(struct gmem *gmem, struct json_object *result, const char *id)
{
	struct mailbox_area areas[MAILBOX_COMMANDS];
	cleanup_fd int listener = -1;
	const char *obstacle;
	int r;

	r = read_areas(json_get(json_get(result, "mailbox"), "areas"), areas);
	if (r < 0)
		return r;
	r = gate_install(areas, &listener);
	if (r == 0)
		return hand_over(gmem, id, listener);
	obstacle = gate_obstacle(r);
	return last_error_own(r, "no gate can be put up: %s", obstacle ? obstacle : strerror(-r));
}

/* gmemd keeps a VM as long as its process lives; one that came to nothing must not stay. The error
 * stays what it was. */
static void abandon_vm(struct gmem *gmem, const char *id)
{
	struct json_object *params = json_new_object();
	struct last_error *error = last_error_save();

	json_add_string(params, "vm", id);
	connection_notify(gmem, "vm.close", params);
	last_error_restore(error);
}

/* Opened before the answer was lost: gmemd says so, and which. */
static int resume_opened(
	struct gmem *gmem, struct exchange *exchange, struct json_object **ret_result)
{
	struct json_object *params;

	if (last_error_details()->vm[0] == '\0')
		return -EREMOTEIO;
	params = json_new_object();
	json_add_string(params, "vm", last_error_details()->vm);
	return connection_request(gmem, "vm.resume", params, exchange, ret_result);
}

/* gmemd knows which types there are; this library must know the number of what gmemd has taken. */
static int read_type(const char *type, unsigned *ret)
{
	if (!type || vm_type_by_name(type, ret) == 0)
		return 0;
	return last_error_own(-EOPNOTSUPP, "this libgmem does not know the VM type \"%s\"", type);
}

static int finish_opening(struct gmem *gmem, const struct gmem_vm_options *options,
	struct json_object *result, struct fd_list *fds, struct opening *opening)
{
	int r;

	r = read_result(result, fds, opening);
	if (r == 0)
		r = read_type(options->type, &opening->type);
	if (r == 0 && opening->gated)
		r = put_up_gate(gmem, result, opening->id);
	if (r == 0 || opening->id[0] == '\0')
		return r;
	last_error_complete(r, "opening the VM");
	abandon_vm(gmem, opening->id);
	return r;
}

int opening_make(struct gmem *gmem, const struct gmem_vm_options *options, struct opening *ret)
{
	struct opening opening = {.kvm_fd = -1,
		.mailbox_fd = -1,
		.report_fd = -1,
		.gated = options->gate == GMEM_GATE_REQUIRED,
		.mappings = options->mappings};
	struct exchange exchange = {.repeated = false};
	struct json_object *result;
	int r;

	r = connection_request(gmem, "vm.open", open_params(options), &exchange, &result);
	if (r == -EREMOTEIO && exchange.repeated)
		r = resume_opened(gmem, &exchange, &result);
	if (r < 0)
		return r;
	r = finish_opening(gmem, options, result, &exchange.received, &opening);
	fd_list_close(&exchange.received);
	json_unref(result);
	if (r < 0)
		opening_clear(&opening);
	else
		*ret = opening;
	return r;
}

/* None of it is there where gmemd's back end is the model. */
static int inherit_files(struct opening *opening)
{
	struct stat status;
	int r;

	r = environment_take_fd(GMEM_KVM_FD_VARIABLE, &opening->kvm_fd);
	opening->modelled = r == -ENOENT && !getenv(GMEM_MAILBOX_FD_VARIABLE);
	if (opening->modelled)
		return 0;
	if (r == 0)
		r = environment_take_fd(GMEM_MAILBOX_FD_VARIABLE, &opening->mailbox_fd);
	if (r == 0)
		r = environment_number(GMEM_MAILBOX_ADDRESS_VARIABLE, &opening->mailbox_address);
	if (r == 0 && fstat(opening->mailbox_fd, &status) < 0)
		r = -errno;
	if (r < 0)
		return r;
	opening->mailbox_length = (uint64_t)status.st_size;
	/* An older gmem-run hands over none. */
	r = environment_take_fd(GMEM_REPORT_FD_VARIABLE, &opening->report_fd);
	return r == -ENOENT ? 0 : r;
}

/* A kernel that numbers no processes leaves it to the gate to find out. */
static int check_process(void)
{
	uint64_t opener, own;

	if (environment_number(GMEM_PROCESS_VARIABLE, &opener) < 0 ||
		own_process_number(&own) < 0 || opener == own)
		return 0;
	return last_error_own(-ECHILD,
		"gmem-run has opened this VM for another process, of which this one is a child: a "
		"VMM under gmem-run must not daemonise, and must not be started by a program that "
		"stays its parent");
}

static int read_environment(struct opening *opening)
{
	const char *id = getenv(GMEM_VM_VARIABLE);
	uint64_t type = 0;
	int r;

	if (!id)
		return -ENOENT;
	snprintf(opening->id, sizeof opening->id, "%s", id);
	r = environment_number(GMEM_VM_TYPE_VARIABLE, &type);
	opening->type = (unsigned)type;
	return r == 0 || r == -ENOENT ? inherit_files(opening) : r;
}

int opening_inherit(struct opening *ret)
{
	struct opening opening = {.kvm_fd = -1, .mailbox_fd = -1, .report_fd = -1, .gated = true};
	int r = check_process();

	if (r < 0)
		return r;
	r = read_environment(&opening);
	if (r < 0) {
		opening_clear(&opening);
		return last_error_own(r,
			"what gmem-run has put into the environment is incomplete: %s",
			strerror(-r));
	}
	*ret = opening;
	return 0;
}

void opening_clear(struct opening *opening)
{
	opening->kvm_fd = fd_close(opening->kvm_fd);
	opening->mailbox_fd = fd_close(opening->mailbox_fd);
	opening->report_fd = fd_close(opening->report_fd);
}
