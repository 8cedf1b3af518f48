/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Releases. See release.h.
 */
#include "daemon/release/release.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "daemon/base/container_of.h"
#include "daemon/base/kill_step.h"
#include "daemon/base/log.h"
#include "daemon/pages/page_worker.h"
#include "daemon/prealloc/preallocations.h"
#include "daemon/pressure/watch.h"
#include "daemon/release/call_reports.h"
#include "daemon/request/deferred_answer.h"
#include "daemon/vm/closed_memory.h"
#include "daemon/vm/vm_end.h"
#include "daemon/vm/vm_ledger.h"
#include "protocol/json.h"

/* How a VM is released. */
struct release_way {
	bool ended;        /* its process has */
	bool told;         /* that it is released, to all who hear of it */
	struct process by; /* who has asked for it; without an identity: nobody */
};

/* What is to be done once the pages are gone, and for whom. It is done by the job's function, at
 * once or when the page worker has done the job; that ends by release_answer(). */
struct release {
	struct preallocating_wait wait;
	struct page_job *job;
	struct gmemd *gmemd;
	struct request
		*request; /* while it is carried out; NULL: it is deferred, or there is none */
	struct deferred_answer *deferred; /* NULL: nobody waits */
	struct vm *vm;                    /* all of it; it stays while it is releasing */
	uint64_t memory;                  /* of a memory: its id */
	struct release_way way;           /* of a VM */
	uint64_t giver;                   /* number of the VM that gives something back; 0: none */
};

static int no_memory(struct request *request)
{
	return rpc_error_internal(&request->error, "no memory");
}

static void helpers_ended(struct preallocating_wait *wait)
{
	struct release *release = CONTAINER_OF(wait, struct release, wait);

	page_worker_submit(release->gmemd->pages, release->job);
}

/* Whose pages an operator has given back can keep that waiting, and nothing else of operators'. */
static struct page_job *taken_from(
	const struct request *request, struct vm *vm, struct page_job *job)
{
	if (job && request->caller->access == ACCESS_OPERATOR)
		page_job_take_from(job, vm->owner);
	return job;
}

/* NULL without memory. */
static struct page_job *job_of_request(const struct request *request, struct vm *vm, size_t room)
{
	return taken_from(request, vm, page_job_new(request->caller->owner, room));
}

/* Takes the job; NULL without memory, or where there is no job. */
static struct release *new_release(
	struct gmemd *gmemd, struct page_job *take_job, void (*done)(struct page_job *job))
{
	struct release *release = take_job ? calloc(1, sizeof *release) : NULL;

	if (!release) {
		page_job_free(take_job);
		return NULL;
	}
	release->wait.over = helpers_ended;
	release->gmemd = gmemd;
	release->job = take_job;
	take_job->done = done;
	take_job->context = release;
	return release;
}

/* waits: helpers that allocate are still ending. True where it is done, and freed. */
static bool begin_release(struct release *release, bool waits)
{
	return !waits && page_worker_do(release->gmemd->pages, release->job);
}

/* Without memory for it nobody will be answered when it is done. */
static int wait_for(struct request *request, struct release *release)
{
	release->request = NULL;
	release->deferred = request_defer(request, DEFERRED_ANSWER_IN_ORDER, NULL, NULL);
	return release->deferred ? REQUEST_DEFERRED : no_memory(request);
}

static int carry_out_release(struct request *request, struct release *release, bool waits)
{
	release->request = request;
	return begin_release(release, waits) ? 0 : wait_for(request, release);
}

/* The result of who has asked, or one that nobody reads. */
static struct json_object *result_of(const struct release *release)
{
	return release->request ? release->request->result : json_new_object();
}

/* Takes the result that it had of result_of(). */
static void release_answer(struct release *release, struct json_object *take_result)
{
	if (release->deferred)
		deferred_answer_give(release->deferred, take_result);
	else if (!release->request)
		json_unref(take_result);
	page_job_free(release->job);
	free(release);
}

static void answer_released(struct release *release, uint64_t released)
{
	struct json_object *result = result_of(release);

	json_add_uint(result, "released", released);
	release_answer(release, result);
}

/* What an operator takes is no answer of the VM; nor are huge pages, which relieve nobody. */
static uint64_t giver_of(const struct request *request, const struct memory *memory)
{
	bool gives = request->caller->access == ACCESS_VMM && memory->page_size == 0;

	return gives ? memory->vm->number : 0;
}

static uint64_t count_released(const struct release *release)
{
	uint64_t released = page_job_released(release->job);

	pressure_watch_given(release->gmemd->pressure, release->giver, released);
	return released;
}

/* All of its pages, and from now on they are nobody's. */
static void add_whole(struct page_job *job, struct memory *memory)
{
	page_file_set_released(memory->pages);
	page_job_add(job, PAGES_PUNCH, memory->pages, 0, memory->size);
}

/* A memory */

/* left: of its pages, counted again after they were given back. */
static void close_released(struct gmemd *gmemd, struct memory *memory, uint64_t left)
{
	events_memory(&gmemd->events, memory, EVENT_MEMORY_CLOSED);
	memory->resident = left;
	memory_close(memory);
	STEP("memory.close: freed");
	vm_ledgers_commit(&gmemd->registry);
	STEP("memory.close: committed");
}

/* Its VM may have been released meanwhile, which then has it. */
static void memory_released(struct page_job *job)
{
	struct release *release = job->context;
	struct memory *memory = registry_memory(&release->gmemd->registry, release->memory);
	uint64_t released = count_released(release);

	STEP("memory.close: punched");
	if (memory && memory->vm->state != VM_RELEASING)
		close_released(release->gmemd, memory, page_job_left(job, memory->pages));
	answer_released(release, released);
}

int release_memory(struct request *request, struct memory *memory)
{
	struct page_job *job = job_of_request(request, memory->vm, 1);
	struct release *release = new_release(request->gmemd, job, memory_released);
	bool waits;

	if (!release)
		return no_memory(request);
	release->memory = memory->id;
	release->giver = giver_of(request, memory);
	memory->state = OBJECT_CLOSING;
	STEP("memory.close: begun");
	waits = preallocating_stop_memory(request->gmemd, memory, &release->wait);
	add_whole(job, memory);
	return carry_out_release(request, release, waits);
}

void release_closing_memory(struct gmemd *gmemd, struct memory *memory)
{
	struct page_job *job = page_job_new(memory->vm->owner, 1);
	struct release *release = new_release(gmemd, job, memory_released);

	if (!release) {
		close_released(gmemd, memory, /* left= */ 0);
		return;
	}
	release->memory = memory->id;
	add_whole(job, memory);
	begin_release(release, /* waits= */ false);
}

/* A closed memory */

static void closed_released(struct page_job *job)
{
	struct release *release = job->context;
	struct memory *memory = registry_closed_memory(&release->gmemd->registry, release->memory);

	if (memory)
		closed_memory_count(memory, job->parts[0].left, /* given_back= */ true);
	answer_released(release, count_released(release));
}

int release_closed_memory(struct request *request, struct memory *memory)
{
	struct page_job *job = job_of_request(request, memory->vm, 1);
	struct release *release = new_release(request->gmemd, job, closed_released);

	if (!release)
		return no_memory(request);
	release->memory = memory->id;
	release->giver = giver_of(request, memory);
	page_job_add(job, PAGES_PUNCH, memory->pages, 0, memory->size);
	page_worker_submit(request->gmemd->pages, job);
	return wait_for(request, release);
}

int release_nothing(struct request *request)
{
	rpc_error_clear(&request->error);
	json_add_uint(request->result, "released", 0);
	return 0;
}

/* Ranges of a memory */

static void ranges_reclaimed(struct page_job *job)
{
	struct release *release = job->context;
	struct json_object *result = result_of(release);

	STEP("memory.reclaim: punched");
	json_add_uint(result, "reclaimed", count_released(release));
	json_add_uint(result, "resident", job->parts[job->count - 1].resident);
	release_answer(release, result);
}

/* The last part counts what is left. */
static struct page_job *job_of_ranges(struct request *request, const struct memory *memory,
	const struct file_range *ranges, size_t count)
{
	struct page_job *job = job_of_request(request, memory->vm, 2);

	if (!job || page_job_add_ranges(job, PAGES_PUNCH, memory->pages, ranges, count) < 0)
		return page_job_free(job);
	page_job_add(job, PAGES_COUNT, memory->pages, 0, memory->size);
	return job;
}

int release_ranges(struct request *request, struct memory *memory, const struct file_range *ranges,
	size_t count)
{
	struct page_job *job = job_of_ranges(request, memory, ranges, count);
	struct release *release = new_release(request->gmemd, job, ranges_reclaimed);

	if (!release)
		return no_memory(request);
	release->giver = giver_of(request, memory);
	return carry_out_release(request, release, /* waits= */ false);
}

/* A VM */

/* Pages that a pipe or an io_uring has pinned are in no file any more, and in no count. */
static void tell_released(
	struct gmemd *gmemd, const struct vm *vm, const struct release_way *way, uint64_t released)
{
	static const char uncounted[] = "; what a pipe or an io_uring has pinned stays charged to "
					"its memory cgroup, and shows in no count";
	char bytes[24];
	const struct audit_entry entry = {.act = ACT_VM_RELEASED,
		.vm = vm,
		.by = way->by.identity ? &way->by : NULL,
		.also = {{"GMEMD_RELEASED", bytes}}};

	snprintf(bytes, sizeof bytes, "%" PRIu64, released);
	if (way->ended)
		audit_write(&gmemd->audit, &entry, "process %d has ended; %s bytes released%s",
			vm->process.pid, bytes, uncounted);
	else
		audit_write(&gmemd->audit, &entry, "closed; %s bytes released%s", bytes, uncounted);
	events_vm(&gmemd->events, vm, EVENT_VM_RELEASED);
}

/* What has come of them. */
static void note_left(struct vm *vm, const struct page_job *job)
{
	struct memory *memory;

	RB_FOREACH (memory, memory_tree, &vm->memories)
		memory->resident = memory->pages ? page_job_left(job, memory->pages) : 0;
	RB_FOREACH (memory, memory_tree, &vm->closed)
		closed_memory_count(
			memory, page_job_left(job, memory->pages), /* given_back= */ true);
}

static void stop_vm(struct gmemd *gmemd, struct vm *vm)
{
	vm_stop(vm);
	pressure_watch_forget(gmemd->pressure, vm);
}

/* job: NULL where there was no memory for one, and the kernel gives the pages back when the files
 * are closed. */
static void drop_released(struct gmemd *gmemd, struct vm *vm, const struct page_job *job,
	const struct release_way *way)
{
	if (job)
		note_left(vm, job);
	vm_drop(vm);
	if (!way->told)
		tell_released(gmemd, vm, way, job ? page_job_released(job) : 0);
}

/* Its process may have ended meanwhile, who then is not watched any more. */
static void vm_released(struct page_job *job)
{
	struct release *release = job->context;
	struct vm *vm = release->vm;
	uint64_t released = page_job_released(job);

	STEP("vm.close: punched");
	if (vm->state == VM_RELEASING)
		vm_state_change(&vm->state, VM_RELEASED);
	drop_released(release->gmemd, vm, job, &release->way);
	if (!release->request && !vm->watch)
		vm_end(vm);
	answer_released(release, released);
}

static struct page_job *job_of_vm(struct vm *vm, struct owner *owner)
{
	struct page_job *job = page_job_new(owner, vm->n_memories + vm->closed_counts.all);
	struct memory *memory;

	RB_FOREACH (memory, memory_tree, &vm->memories) {
		if (job && memory->pages)
			add_whole(job, memory);
	}
	RB_FOREACH (memory, memory_tree, &vm->closed) {
		if (job)
			page_job_add(job, PAGES_PUNCH, memory->pages, 0, memory->size);
	}
	return job;
}

/* False where it is done. */
static bool vm_is_to_wait(struct release *release)
{
	struct vm *vm = release->vm;

	if (begin_release(release, preallocating_stop_vm(release->gmemd, vm, &release->wait)))
		return false;
	vm_state_change(&vm->state, VM_RELEASING);
	return true;
}

int release_vm(struct request *request, struct vm *vm)
{
	struct page_job *job = taken_from(request, vm, job_of_vm(vm, request->caller->owner));
	struct release *release = new_release(request->gmemd, job, vm_released);

	if (!release)
		return no_memory(request);
	release->vm = vm;
	release->way.by = request->caller->process;
	release->request = request;
	stop_vm(request->gmemd, vm);
	return vm_is_to_wait(release) ? wait_for(request, release) : 0;
}

/* What a process has left that has ended, or a predecessor. */
static void release_left(struct gmemd *gmemd, struct vm *vm, const struct release_way *way)
{
	struct page_job *job = job_of_vm(vm, vm->owner);
	struct release *release = new_release(gmemd, job, vm_released);

	if (!release) {
		preallocating_stop_vm(gmemd, vm, NULL);
		drop_released(gmemd, vm, /* job= */ NULL, way);
		if (way->ended)
			vm_end(vm);
		return;
	}
	release->vm = vm;
	release->way = *way;
	job->of_the_dead = way->ended;
	vm_is_to_wait(release);
}

void release_ended_vm(struct gmemd *gmemd, struct vm *vm)
{
	const struct release_way way = {.ended = true, .told = vm_is_released(vm)};

	call_reports_settle(gmemd, vm);
	stop_vm(gmemd, vm);
	if (vm->state != VM_RELEASING) /* else what does that frees it */
		release_left(gmemd, vm, &way);
}

/* Its predecessor has told that it is released once its memories were gone. */
void release_rest(struct gmemd *gmemd, struct vm *vm)
{
	const struct release_way way = {.told = vm->n_memories == 0};

	vm_stop(vm);
	release_left(gmemd, vm, &way);
}
