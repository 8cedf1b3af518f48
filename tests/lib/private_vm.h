/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A gmemd without sockets, and one VM with private memory in it, on whatever host.
 *
 * Its memories are memfds, guest_memfds too: what is asked of either's file is the same. What can't
 * be set up aborts.
 */
#pragma once

#include "daemon/request/dispatch.h"
#include "daemon/vm/backend.h"

struct private_vm {
	struct gmemd gmemd;
	struct caller caller; /* its VMM */
	struct vm *vm;
	struct packet packet; /* the last one asked */
	struct json_object *answer;
};

void private_vm_init(struct private_vm *ret, const struct backend *backend);
void private_vm_end(struct private_vm *private_vm);

/* A ready one, without flags. */
struct memory *private_vm_memory(
	struct private_vm *private_vm, enum memory_backing backing, uint64_t size);
/* A bound one. */
struct slot *private_vm_slot(struct private_vm *private_vm, const struct slot_request *request);

/* The answer to a packet of the VMM's, to be freed by json_unref(). printf(3)'s format. */
struct json_object *private_vm_ask(struct private_vm *private_vm, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The same, but true where the answer comes later: private_vm_answer(). */
bool private_vm_begin(struct private_vm *private_vm, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Lets the loop go on until it has come. */
struct json_object *private_vm_answer(struct private_vm *private_vm);
/* The same to memory.convert. */
struct json_object *private_vm_convert(struct private_vm *private_vm, enum convert_to to,
	bool discard, const struct guest_range *ranges, size_t count);
/* Writes that request's packet, to be dispatched as often as one likes. */
void private_vm_write_convert(struct private_vm *private_vm, enum convert_to to, bool discard,
	const struct guest_range *ranges, size_t count, struct packet *ret);
