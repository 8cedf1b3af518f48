/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's VM and the triggering of calls. See vm.h and gmem.h.
 */
#include "client/lib/vm.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "client/lib/last_error.h"
#include "client/lib/reconnect.h"
#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "kernel/kvm/mapping.h"
#include "protocol/json.h"

/* In its process; a child of that leaves all that is not its own. */
static void forget(struct gmem_vm *vm)
{
	struct bound_slot *slot;
	struct trapped *trapped;

	connection_take_turn_anyway(vm->gmem);
	vm->gmem->n_vms--;
	if (vm->gmem->vm == vm)
		vm->gmem->vm = NULL;
	while ((slot = LIST_FIRST(&vm->slots))) {
		LIST_REMOVE(slot, link);
		free(slot);
	}
	while ((trapped = LIST_FIRST(&vm->given_up))) {
		LIST_REMOVE(trapped, link);
		trapped_free(trapped);
	}
	ranges_clear(&vm->private_ranges);
	connection_leave_turn(vm->gmem);
}

static void vm_drop(struct gmem_vm *vm)
{
	if (connection_is_own(vm->gmem))
		forget(vm);
	else
		vm->gmem->n_vms--;
	if (vm->fd >= 0 && !vm->opening.gated)
		munmap((void *)(uintptr_t)vm->opening.mailbox_address, vm->opening.mailbox_length);
	fd_close(vm->fd);
	opening_clear(&vm->opening);
	free(vm);
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

/* What stands behind an errno of KVM_CREATE_VM's. */
static int explain_create(int r)
{
	if (r == -ENOSYS)
		return last_error_own(r,
			"KVM_CREATE_VM: nobody listens at this VM's gate any more: gmemd has "
			"released the VM, for the process that opened it has ended, or gmemd and "
			"its keeper have both died");
	if (r == -EPERM)
		return last_error_own(r, "KVM_CREATE_VM: gmemd has refused it; its log says why");
	if (r == -EINVAL)
		return last_error_own(r, "KVM_CREATE_VM: this KVM has no such VM type");
	return last_error_own(r, "KVM_CREATE_VM: %s", strerror(-r));
}

static int create_vm(struct gmem_vm *vm)
{
	struct trapped *given_up;
	int r = trapped_ioctl(
		vm->gmem, vm->opening.kvm_fd, KVM_CREATE_VM, vm->opening.type, &given_up);

	if (given_up) {
		trapped_free(given_up);
		return last_error_complete(r, "KVM_CREATE_VM");
	}
	if (r < 0)
		return explain_create(r);
	vm->fd = r;
	return 0;
}

static int vm_make(struct gmem_vm *vm)
{
	int r;

	if (vm->opening.modelled)
		return 0;
	r = map_mailbox(&vm->opening);
	if (r == -EEXIST)
		last_error_own(r, "something is mapped at 0x%" PRIx64 ", where the mailbox must be",
			vm->opening.mailbox_address);
	if (r < 0)
		return last_error_complete(r, "mapping the mailbox");
	return create_vm(vm);
}

static int check_options(const struct gmem_vm_options *options)
{
	if (!options)
		return last_error_own(
			-EINVAL, "options must not be NULL but under gmem-run, and this is not");
	if (!options->name)
		return last_error_own(-EINVAL, "options must have a name");
	if (options->gate != GMEM_GATE_REQUIRED && options->gate != GMEM_GATE_NONE)
		return last_error_own(-EINVAL, "there is no gate %d", (int)options->gate);
	if (options->initial_state != GMEM_SHARED && options->initial_state != GMEM_PRIVATE)
		return last_error_own(
			-EINVAL, "there is no initial state %d", (int)options->initial_state);
	return 0;
}

static int open_with_gmemd(
	struct gmem *gmem, const struct gmem_vm_options *options, struct opening *ret)
{
	int r;

	if (gmem->inherited)
		return opening_inherit(ret);
	r = check_options(options);
	return r < 0 ? r : opening_make(gmem, options, ret);
}

static struct gmem_vm *vm_new(struct gmem *gmem)
{
	struct gmem_vm *vm = calloc(1, sizeof *vm);

	if (!vm)
		return NULL;
	vm->gmem = gmem;
	vm->fd = -1;
	vm->opening = (struct opening){.kvm_fd = -1, .mailbox_fd = -1};
	connection_take_turn_anyway(gmem);
	gmem->n_vms++;
	connection_leave_turn(gmem);
	return vm;
}

static int vm_open(struct gmem *gmem, const struct gmem_vm_options *options, struct gmem_vm **ret)
{
	struct gmem_vm *vm = vm_new(gmem);
	int r;

	if (!vm)
		return -ENOMEM;
	r = open_with_gmemd(gmem, options, &vm->opening);
	if (r == 0)
		r = vm_make(vm);
	if (r < 0) {
		vm_drop(vm);
		return r;
	}
	if (options && !gmem->inherited)
		vm->minimum = options->minimum;
	gmem->vm = vm;
	*ret = vm;
	return 0;
}

int gmem_vm_open(struct gmem *gmem, const struct gmem_vm_options *options, struct gmem_vm **ret)
{
	int r = connection_enter(gmem);

	if (r == 0)
		r = vm_open(gmem, options, ret);
	return last_error_complete(r, "opening a VM");
}

struct gmem_vm *gmem_vm_free(struct gmem_vm *vm)
{
	if (!vm)
		return NULL;
	last_error_clear();
	if (vm->n_memories > 0) {
		last_error_own(-EBUSY, "gmem_vm_free() before gmem_memory_free() of its memories");
		return vm;
	}
	vm_drop(vm);
	return NULL;
}

/* Without memory for it a gmemd that loses the VM takes them for shared. */
void vm_note_converted(
	struct gmem_vm *vm, enum gmem_state to, const struct gmem_range *ranges, size_t count)
{
	connection_take_turn_anyway(vm->gmem);
	for (size_t i = 0; i < count; i++) {
		if (to == GMEM_PRIVATE)
			ranges_add(&vm->private_ranges, ranges[i].guest_phys_addr, ranges[i].size);
		else
			ranges_remove(
				&vm->private_ranges, ranges[i].guest_phys_addr, ranges[i].size);
	}
	connection_leave_turn(vm->gmem);
}

int vm_check_range_count(size_t count)
{
	if (count == 0)
		return last_error_own(-EINVAL, "there must be a range");
	if (count > GMEM_RANGES_MAX)
		return last_error_own(-E2BIG, "there must be at most %d ranges", GMEM_RANGES_MAX);
	return 0;
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

	last_error_detail("reason", reason, sizeof reason);
	return exchange->repeated &&
	       (strcmp(reason, "gone") == 0 || strcmp(reason, "not_found") == 0);
}

int gmem_vm_close(struct gmem_vm *vm)
{
	struct exchange exchange = {.repeated = false};
	int r = connection_enter(vm->gmem);

	if (r == 0)
		r = connection_request(vm->gmem, "vm.close", vm_params(vm), &exchange, NULL);
	if (r == -EREMOTEIO && is_closed(&exchange))
		r = 0;
	return last_error_complete(r, "closing the VM");
}

int gmem_vm_set_minimum(struct gmem_vm *vm, uint64_t minimum)
{
	struct json_object *params;
	int r = connection_enter(vm->gmem);

	if (r < 0)
		return r;
	params = vm_params(vm);
	json_add_uint(params, "minimum", minimum);
	r = connection_request(vm->gmem, "vm.set", params, NULL, NULL);
	if (r == 0)
		vm->minimum = minimum;
	return last_error_complete(r, "setting the VM's minimum");
}

int gmem_vm_fd(const struct gmem_vm *vm)
{
	int r = connection_check(vm->gmem);

	return r < 0 ? r : vm->fd;
}

int gmem_vm_kvm_fd(const struct gmem_vm *vm)
{
	int r = connection_check(vm->gmem);

	return r < 0 ? r : vm->opening.kvm_fd;
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

	last_error_detail("what", what, sizeof what);
	return strcmp(what, "call") == 0;
}

/* gmemd has lost the VM, and was told of it by another thread before this one had its file. */
static int tell_again(struct gmem_vm *vm)
{
	bool rebuilt;
	int r = connection_take_turn(vm->gmem);

	if (r < 0)
		return r;
	r = resumption_tell(vm, &rebuilt);
	if (r == -ECONNRESET)
		r = reconnect(vm->gmem);
	connection_leave_turn(vm->gmem);
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

/* Without a signal handler's SA_RESTART an ioctl can be interrupted. */
static int trigger(int vm_fd, unsigned long request, uint64_t address)
{
	int r;

	do
		r = ioctl(vm_fd, request, (void *)(uintptr_t)address);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

void vm_settle_given_up(struct gmem_vm *vm)
{
	struct trapped *trapped, *next;

	connection_take_turn_anyway(vm->gmem);
	for (trapped = LIST_FIRST(&vm->given_up); trapped; trapped = next) {
		uint64_t call = trapped->call;

		next = LIST_NEXT(trapped, link);
		if (!trapped_is_over(trapped))
			continue;
		LIST_REMOVE(trapped, link);
		trapped_free(trapped);
		report_failure(vm, call, 0, ECANCELED);
	}
	connection_leave_turn(vm->gmem);
}

static void note_given_up(struct gmem_vm *vm, struct trapped *take_trapped, uint64_t call)
{
	take_trapped->call = call;
	connection_take_turn_anyway(vm->gmem);
	LIST_INSERT_HEAD(&vm->given_up, take_trapped, link);
	connection_leave_turn(vm->gmem);
}

static void explain_call(int r)
{
	if (r == -ENOSYS || r == -EPERM)
		last_error_own(r, "the gate has refused an ioctl of this VM: %s",
			r == -EPERM ? "gmemd's log says why"
				    : "nobody listens at it any more, for gmemd and its keeper "
				      "have both died");
	else
		last_error_complete(r, "an ioctl of this VM that gmemd has prepared");
}

/* gmemd is told; what the caller is told stays so, whatever comes of that. */
static void fail_call(struct gmem_vm *vm, uint64_t call, uint64_t done, int r)
{
	char *error;

	explain_call(r);
	error = last_error_save();
	report_failure(vm, call, done, -r);
	last_error_restore(error);
}

static int trigger_one(
	struct gmem_vm *vm, unsigned long request, uint64_t address, struct trapped **ret_given_up)
{
	*ret_given_up = NULL;
	if (vm->opening.gated && request == KVM_CREATE_GUEST_MEMFD)
		return trapped_ioctl(vm->gmem, vm->fd, request, address, ret_given_up);
	return trigger(vm->fd, request, address);
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
		struct trapped *given_up;

		r = trigger_one(vm, request, address + i * stride, &given_up);
		if (given_up)
			note_given_up(vm, given_up, id);
		else if (r < 0)
			fail_call(vm, id, i, r);
		if (r < 0)
			return r;
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
