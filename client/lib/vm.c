/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's VM. See gmem.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "client/lib/connection.h"
#include "client/lib/last_error.h"
#include "client/lib/opening.h"
#include "client/lib/reconnect.h"
#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "kernel/kvm/mapping.h"
#include "kernel/kvm/quirks.h"
#include "protocol/json.h"

/* In its process; a child of that leaves all that is not its own. */
static void forget_vm(struct gmem_vm *vm)
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
	connection_leave_turn(vm->gmem);
	conversions_clear(&vm->conversions);
}

static void vm_drop(struct gmem_vm *vm)
{
	if (connection_is_own(vm->gmem))
		forget_vm(vm);
	else
		vm->gmem->n_vms--;
	if (vm->fd >= 0 && !vm->opening.gated)
		munmap((void *)(uintptr_t)vm->opening.mailbox_address, vm->opening.mailbox_length);
	report_page_free(vm->report_page);
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
	/* Without it all goes on as well, and more slowly. */
	if (vm->opening.type == 0 && vm->opening.mappings == GMEM_MAPPINGS_STAY)
		quirk_slot_zap_all_off(vm->fd);
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
	vm_map_report_page(vm, vm->opening.report_fd);
	vm->opening.report_fd = fd_close(vm->opening.report_fd);
	return create_vm(vm);
}

static int check_mappings(const struct gmem_vm_options *options)
{
	if (options->mappings != GMEM_MAPPINGS_STAY && options->mappings != GMEM_MAPPINGS_GO)
		return last_error_own(-EINVAL,
			"mappings must be GMEM_MAPPINGS_STAY or GMEM_MAPPINGS_GO, not %d",
			(int)options->mappings);
	return 0;
}

static int check_options(const struct gmem_vm_options *options)
{
	if (!options)
		return last_error_own(-EINVAL, "options may be NULL under gmem-run alone, and "
					       "gmem-run has not started this process");
	if (!options->name)
		return last_error_own(-EINVAL, "options must have a name");
	if (options->gate != GMEM_GATE_REQUIRED && options->gate != GMEM_GATE_NONE)
		return last_error_own(-EINVAL,
			"gate must be GMEM_GATE_REQUIRED or GMEM_GATE_NONE, not %d",
			(int)options->gate);
	if (options->initial_state != GMEM_SHARED && options->initial_state != GMEM_PRIVATE)
		return last_error_own(-EINVAL,
			"initial_state must be GMEM_SHARED or GMEM_PRIVATE, not %d",
			(int)options->initial_state);
	return check_mappings(options);
}

/* What it is was told to gmem-run; what the VMM makes of it is told here. */
static int inherit(const struct gmem_vm_options *options, struct opening *ret)
{
	int r = options ? check_mappings(options) : 0;

	if (r == 0)
		r = opening_inherit(ret);
	if (r == 0 && options)
		ret->mappings = options->mappings;
	return r;
}

static int open_with_gmemd(
	struct gmem *gmem, const struct gmem_vm_options *options, struct opening *ret)
{
	int r;

	if (gmem->inherited)
		return inherit(options, ret);
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
	conversions_init(&vm->conversions);
	vm->opening = (struct opening){.kvm_fd = -1, .mailbox_fd = -1, .report_fd = -1};
	connection_take_turn_anyway(gmem);
	gmem->n_vms++;
	connection_leave_turn(gmem);
	return vm;
}

/* Of the connection that the VM was opened on; gmem-run's was never made again. */
static unsigned reconnected_before(struct gmem *gmem)
{
	unsigned reconnected;

	connection_take_turn_anyway(gmem);
	reconnected = gmem->inherited ? 0 : gmem->reconnected;
	connection_leave_turn(gmem);
	return reconnected;
}

/* From now on whoever connects again tells of the VM, whose calls' ids begin anew. Another thread
 * may have connected again since it was opened. */
static int go_on_with(struct gmem_vm *vm, unsigned reconnected)
{
	struct gmem *gmem = vm->gmem;
	int r = 0;

	connection_take_turn_anyway(gmem);
	gmem->vm = vm;
	gmem->heard.call = 0;
	if (gmem->reconnected != reconnected)
		r = reconnect_with_vm(gmem);
	connection_leave_turn(gmem);
	return r;
}

static int vm_open(struct gmem *gmem, const struct gmem_vm_options *options, struct gmem_vm **ret)
{
	unsigned reconnected = reconnected_before(gmem);
	struct gmem_vm *vm = vm_new(gmem);
	int r;

	if (!vm)
		return -ENOMEM;
	r = open_with_gmemd(gmem, options, &vm->opening);
	if (r == 0)
		r = vm_make(vm);
	if (r == 0 && options && !gmem->inherited)
		vm->minimum = options->minimum;
	if (r == 0) {
		r = go_on_with(vm, reconnected);
		if (r < 0 && !gmem->inherited)
			connection_notify_later(gmem, "vm.close", vm_params(vm));
	}
	if (r < 0)
		vm_drop(vm);
	else
		*ret = vm;
	return r;
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
		last_error_own(
			-EBUSY, "the VM's memories must be freed before it, by gmem_memory_free()");
		return vm;
	}
	vm_drop(vm);
	return NULL;
}

/* Closed before the answer was lost. */
static bool is_closed(const struct exchange *exchange)
{
	const char *reason = last_error_details()->reason;

	return exchange->repeated &&
	       (strcmp(reason, "gone") == 0 || strcmp(reason, "not_found") == 0);
}

/* Whoever connects again meanwhile, or later, does not tell of it. */
static int close_untold(struct gmem_vm *vm)
{
	struct exchange exchange = {.repeated = false};
	struct gmem_vm *told = vm->gmem->vm;
	int r;

	if (told == vm)
		vm->gmem->vm = NULL;
	r = connection_request(vm->gmem, "vm.close", vm_params(vm), &exchange, NULL);
	if (r == -EREMOTEIO && is_closed(&exchange))
		r = 0;
	if (r < 0)
		vm->gmem->vm = told;
	return r;
}

int gmem_vm_close(struct gmem_vm *vm)
{
	int r = connection_enter(vm->gmem);

	if (r == 0)
		r = connection_take_turn(vm->gmem);
	if (r == 0) {
		r = close_untold(vm);
		connection_leave_turn(vm->gmem);
	}
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
