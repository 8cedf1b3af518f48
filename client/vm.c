/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's VM and the triggering of calls. See vm.h and gmem.h.
 */
#include "client/vm.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "client/reconnection.h"
#include "kernel/cleanup.h"
#include "kernel/mapping.h"
#include "kernel/uapi.h"
#include "protocol/json.h"

/* It fails with EINTR where a signal is pending when the gate has let it through, or work of
 * io_uring's, and by the answer of a gmemd that was started amid it: then it can be tried again,
 * unless gmemd does not know what came of it. So signals must wait. */
static int create_vm(int kvm_fd, unsigned long type)
{
	sigset_t all, before;
	int fd, r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	do
		fd = ioctl(kvm_fd, KVM_CREATE_VM, type);
	while (fd < 0 && errno == EINTR);
	r = fd < 0 ? -errno : fd;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

/* A kernel that can't seal has no gate either: what gmem-run was told to do without, this process
 * can't know. */
static int map_mailbox(const struct opening *opening)
{
	const uint64_t address = opening->mailbox_address, length = opening->mailbox_length;
	int r = -ENOSYS;

	if (opening->gated)
		r = mapping_make_permanent(opening->mailbox_fd, address, length);
	return r == -ENOSYS ? mapping_make(opening->mailbox_fd, address, length) : r;
}

static int vm_make(struct gmem_vm *vm)
{
	int r;

	if (vm->opening.modelled)
		return 0;
	r = map_mailbox(&vm->opening);
	if (r < 0)
		return r;
	vm->fd = create_vm(vm->opening.kvm_fd, vm->opening.type);
	return vm->fd < 0 ? vm->fd : 0;
}

int gmem_vm_open(struct gmem *gmem, const struct gmem_vm_options *options, struct gmem_vm **ret)
{
	struct gmem_vm *vm = calloc(1, sizeof *vm);
	int r;

	if (!vm)
		return -ENOMEM;
	vm->gmem = gmem;
	vm->fd = -1;
	vm->opening = (struct opening){.kvm_fd = -1, .mailbox_fd = -1};
	if (gmem->inherited)
		r = opening_inherit(&vm->opening);
	else
		r = options ? opening_make(gmem, options, &vm->opening) : -EINVAL;
	if (r == 0)
		r = vm_make(vm);
	if (r < 0) {
		gmem_vm_free(vm);
		return r;
	}
	gmem->vm = vm;
	*ret = vm;
	return 0;
}

struct gmem_vm *gmem_vm_free(struct gmem_vm *vm)
{
	if (!vm)
		return NULL;
	vm_forget(vm);
	if (vm->fd >= 0 && !vm->opening.gated)
		munmap((void *)(uintptr_t)vm->opening.mailbox_address, vm->opening.mailbox_length);
	fd_close(vm->fd);
	opening_clear(&vm->opening);
	free(vm);
	return NULL;
}

void vm_forget(struct gmem_vm *vm)
{
	struct bound_slot *slot;

	pthread_mutex_lock(&vm->gmem->turn);
	if (vm->gmem->vm == vm)
		vm->gmem->vm = NULL;
	while ((slot = LIST_FIRST(&vm->slots))) {
		LIST_REMOVE(slot, link);
		free(slot);
	}
	ranges_clear(&vm->private_ranges);
	pthread_mutex_unlock(&vm->gmem->turn);
}

/* Without memory for it a gmemd that loses the VM takes them for shared. */
void vm_note_converted(
	struct gmem_vm *vm, enum gmem_state to, const struct gmem_range *ranges, size_t count)
{
	pthread_mutex_lock(&vm->gmem->turn);
	for (size_t i = 0; i < count; i++) {
		if (to == GMEM_PRIVATE)
			ranges_add(&vm->private_ranges, ranges[i].guest_phys_addr, ranges[i].size);
		else
			ranges_remove(
				&vm->private_ranges, ranges[i].guest_phys_addr, ranges[i].size);
	}
	pthread_mutex_unlock(&vm->gmem->turn);
}

struct json_object *vm_params(const struct gmem_vm *vm)
{
	struct json_object *params = json_new_object();

	json_add_string(params, "vm", vm->opening.id);
	return params;
}

/* Closed before the answer was lost. */
static bool is_closed(const struct exchange *exchange)
{
	char reason[32];

	connection_refusal("reason", reason, sizeof reason);
	return exchange->repeated &&
	       (strcmp(reason, "gone") == 0 || strcmp(reason, "not_found") == 0);
}

int gmem_vm_close(struct gmem_vm *vm)
{
	struct exchange exchange = {.repeated = false};
	int r = connection_request(vm->gmem, "vm.close", vm_params(vm), &exchange, NULL);

	return r == -EREMOTEIO && is_closed(&exchange) ? 0 : r;
}

int gmem_vm_fd(const struct gmem_vm *vm)
{
	return vm->fd;
}

int gmem_vm_kvm_fd(const struct gmem_vm *vm)
{
	return vm->opening.kvm_fd;
}

const char *gmem_vm_id(const struct gmem_vm *vm)
{
	return vm->opening.id;
}

static struct json_object *report(const struct gmem_vm *vm, uint64_t call, uint64_t done)
{
	struct json_object *params = vm_params(vm);

	json_add_uint(params, "call", call);
	json_add_uint(params, "done", done);
	return params;
}

static void report_failure(struct gmem_vm *vm, uint64_t call, uint64_t done, int number)
{
	struct json_object *params = report(vm, call, done);

	json_add_string(params, "errno", strerrorname_np(number));
	connection_notify(vm->gmem, "call.done", params);
}

/* Where a report is repeated, gmemd knows of it by the first one or by what it was told of the VM.
 */
static bool is_unknown_call(void)
{
	char what[32];

	connection_refusal("what", what, sizeof what);
	return strcmp(what, "call") == 0;
}

/* gmemd has lost the VM, and was told of it by another thread before this one had its file. */
static int tell_again(struct gmem_vm *vm)
{
	bool rebuilt;
	int r;

	pthread_mutex_lock(&vm->gmem->turn);
	r = resumption_tell(vm, &rebuilt);
	if (r == -ECONNRESET)
		r = reconnect(vm->gmem);
	pthread_mutex_unlock(&vm->gmem->turn);
	return r;
}

static int report_done(struct gmem_vm *vm, uint64_t call, uint64_t count, uint64_t *discarded)
{
	struct exchange exchange = {.repeated = false};
	struct json_object *result;
	uint64_t bytes = 0;
	int r;

	if (!discarded)
		return connection_notify(vm->gmem, "call.done", report(vm, call, count));
	r = connection_request(vm->gmem, "call.done", report(vm, call, count), &exchange, &result);
	if (r == -EREMOTEIO && exchange.repeated && is_unknown_call())
		return 0;
	if (r < 0)
		return r;
	json_get_uint(result, "discarded", &bytes);
	json_unref(result);
	*discarded += bytes;
	return 0;
}

void vm_report_untouched(struct gmem_vm *vm, struct json_object *call)
{
	uint64_t id;

	if (json_get_uint(call, "id", &id))
		report_failure(vm, id, 0, ECANCELED);
}

int vm_report_created(struct gmem_vm *vm, uint64_t call, int fd)
{
	struct exchange exchange = {.repeated = false};
	struct json_object *params = report(vm, call, 1);
	int r;

	json_add_uint(params, "fd", (uint64_t)fd);
	r = connection_request(vm->gmem, "call.done", params, &exchange, NULL);
	if (r == -EREMOTEIO && is_unknown_call())
		return exchange.repeated ? 0 : tell_again(vm);
	if (r == -EREMOTEIO)
		report_failure(vm, call, 0, ECANCELED);
	return r;
}

/* Without a signal handler's SA_RESTART a trapped ioctl can be interrupted before gmemd has seen
 * it. */
static int trigger(int vm_fd, unsigned long request, uint64_t address)
{
	int r;

	do
		r = ioctl(vm_fd, request, (void *)(uintptr_t)address);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

int vm_trigger(struct gmem_vm *vm, struct json_object *call, uint64_t *ret_id)
{
	uint64_t id, request, address, stride, count;
	int r = 0;

	if (!json_get_uint(call, "id", &id) || !json_get_uint(call, "request", &request) ||
		!json_get_uint(call, "address", &address) ||
		!json_get_uint(call, "stride", &stride) || !json_get_uint(call, "count", &count))
		return -EPROTO;
	for (uint64_t i = 0; i < count; i++) {
		r = trigger(vm->fd, request, address + i * stride);
		if (r < 0) {
			report_failure(vm, id, i, -r);
			return r;
		}
	}
	*ret_id = id;
	return r;
}

int vm_report(struct gmem_vm *vm, struct json_object *call, uint64_t *discarded)
{
	uint64_t id, count;

	if (!json_get_uint(call, "id", &id) || !json_get_uint(call, "count", &count))
		return -EPROTO;
	return report_done(vm, id, count, discarded);
}

int vm_carry_out(struct gmem_vm *vm, struct json_object *call, uint64_t *discarded)
{
	uint64_t id;
	int r;

	if (!call)
		return 0;
	r = vm_trigger(vm, call, &id);
	return r < 0 ? r : vm_report(vm, call, discarded);
}
