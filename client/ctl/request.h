/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl's requests to gmemd: connecting when there is the first, joining answers that come in
 * pages, and finding a VM.
 */
#pragma once

#include "client/ctl/program.h"

struct json_object;

/* Without a word: 0 or what gmem_connect() or gmem_call() has returned. Takes params, which may be
 * NULL. The caller owns *ret_result. */
int request_try(struct ctl *ctl, const char *method, struct json_object *take_params,
	struct json_object **ret_result);
/* The same; an error has been reported. */
enum ctl_status request(struct ctl *ctl, const char *method, struct json_object *take_params,
	struct json_object **ret_result);

/* All VMs, as vm.list's result. */
enum ctl_status request_vms(struct ctl *ctl, struct json_object **ret_list);
/* Has gmemd count all VMs' pages, as it does where it lists them. */
enum ctl_status request_count(struct ctl *ctl);
/* What a method without parameters answers in pages. */
enum ctl_status request_whole(struct ctl *ctl, const char *method, struct json_object **ret_whole);
/* The VM of that id, name or uuid, whole, as vm.get's result. */
enum ctl_status request_vm(struct ctl *ctl, const char *which, struct json_object **ret_vm);
/* The same by its id alone; NULL where there is none, or none any more. */
enum ctl_status request_vm_of_id(struct ctl *ctl, const char *id, struct json_object **ret_vm);
/* Whether a memory of vm.get's is the one that --memory names, if it does. */
bool request_is_memory(const struct ctl *ctl, const struct json_object *memory);
