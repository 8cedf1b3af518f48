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
#include "daemon/request/deferred_answer.h"
#include "daemon/vm/closed_memory.h"
#include "daemon/vm/vm_ledger.h"
#include "protocol/json.h"

/* What is to be done once the pages are gone, and for whom. */
struct release {
	struct preallocating_wait wait;
	struct page_job *job;
	struct gmemd *gmemd;
	struct deferred_answer *deferred; /* NULL: nobody waits */
	struct vm *vm;                    /* all of it; it stays while it is releasing */
	uint64_t memory;                  /* of a memory: its id */
	bool ended;                       /* the VM's process has */
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

/* NULL without memory; then the request is told. */
static struct release *new_release(
	struct request *request, struct page_job *job, void (*done)(struct page_job *job))
{
	struct release *release = job ? calloc(1, sizeof *release) : NULL;

	if (!release) {
		no_memory(request);
		return NULL;
	}
	release->wait.over = helpers_ended;
	release->gmemd = request->gmemd;
	release->job = job;
	job->done = done;
	job->context = release;
	return release;
}

/* waits: helpers that allocate are still ending. True where it is done. */
static bool do_release(struct release *release, bool waits)
{
	return !waits && page_worker_do(release->gmemd->pages, release->job);
}

/* The thread has the job. Without memory for it nobody will be answered when it is done. */
static int wait_for(struct request *request, struct release *release)
{
	release->deferred = request_defer(request, DEFERRED_ANSWER_IN_ORDER, NULL, NULL);
	return release->deferred ? REQUEST_DEFERRED : no_memory(request);
}

static void answer_released(struct deferred_answer *deferred, uint64_t released)
{
	struct json_object *result;

	if (!deferred)
		return;
	result = json_new_object();
	json_add_uint(result, "released", released);
	deferred_answer_give(deferred, result);
}

/* What an operator takes is no answer of the VM. */
static uint64_t giver_of(const struct request *request, const struct memory *memory)
{
	return request->caller->access == ACCESS_VMM ? memory->vm->number : 0;
}

static uint64_t count_released(const struct release *release, const struct page_job *job)
{
	uint64_t released = page_job_released(job);

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
static void forget_memory(struct gmemd *gmemd, struct memory *memory, uint64_t left)
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

	if (memory && memory->vm->state != VM_RELEASING)
		forget_memory(release->gmemd, memory, page_job_left(job, memory->pages));
	answer_released(release->deferred, count_released(release, job));
	page_job_free(job);
	free(release);
}

int release_memory(struct request *request, struct memory *memory)
{
	struct page_job *job = job_of_request(request, memory->vm, 1);
	struct release *release = new_release(request, job, memory_released);
	bool waits;

	if (!release) {
		page_job_free(job);
		return request->error.code;
	}
	release->memory = memory->id;
	release->giver = giver_of(request, memory);
	memory->state = OBJECT_CLOSING;
	STEP("memory.close: begun");
	waits = preallocating_stop_memory(request->gmemd, memory, &release->wait);
	add_whole(job, memory);
	if (!do_release(release, waits))
		return wait_for(request, release);
	json_add_uint(request->result, "released", count_released(release, job));
	STEP("memory.close: punched");
	forget_memory(request->gmemd, memory, page_job_left(job, memory->pages));
	page_job_free(job);
	free(release);
	return 0;
}

/* A closed memory */

static void closed_released(struct page_job *job)
{
	struct release *release = job->context;
	struct gmemd *gmemd = release->gmemd;
	struct memory *memory = registry_closed_memory(&gmemd->registry, release->memory);

	if (memory)
		closed_memory_count(memory, job->parts[0].left, /* given_back= */ true);
	answer_released(release->deferred, count_released(release, job));
	page_job_free(job);
	free(release);
}

int release_closed_memory(struct request *request, struct memory *memory)
{
	struct page_job *job = job_of_request(request, memory->vm, 1);
	struct release *release = new_release(request, job, closed_released);

	if (!release) {
		page_job_free(job);
		return request->error.code;
	}
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

static void add_reclaimed(
	struct json_object *result, const struct release *release, const struct page_job *job)
{
	STEP("memory.reclaim: punched");
	json_add_uint(result, "reclaimed", count_released(release, job));
	json_add_uint(result, "resident", job->parts[job->count - 1].resident);
}

static void ranges_reclaimed(struct page_job *job)
{
	struct release *release = job->context;
	struct json_object *result = json_new_object();

	add_reclaimed(result, release, job);
	if (release->deferred)
		deferred_answer_give(release->deferred, result);
	else
		json_unref(result);
	page_job_free(job);
	free(release);
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
	struct release *release = new_release(request, job, ranges_reclaimed);

	if (!release) {
		page_job_free(job);
		return request->error.code;
	}
	release->giver = giver_of(request, memory);
	if (!page_worker_do(request->gmemd->pages, job))
		return wait_for(request, release);
	add_reclaimed(request->result, release, job);
	page_job_free(job);
	free(release);
	return 0;
}

/* A VM */

/* Pages that a pipe or an io_uring has pinned are in no file any more, and in no count. */
static void tell_released(struct gmemd *gmemd, struct vm *vm, bool ended, uint64_t released)
{
	static const char uncounted[] = "; what a pipe or an io_uring has pinned stays charged to "
					"its memory cgroup, and shows in no count";

	if (ended)
		log_vm_info(vm->id, "process %d has ended; %" PRIu64 " bytes released%s",
			vm->process.pid, released, uncounted);
	else
		log_vm_info(vm->id, "closed; %" PRIu64 " bytes released%s", released, uncounted);
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

static void vm_released(struct page_job *job)
{
	struct release *release = job->context;
	struct vm *vm = release->vm;
	uint64_t released = page_job_released(job);

	vm_state_change(&vm->state, VM_RELEASED);
	note_left(vm, job);
	vm_drop(vm);
	tell_released(release->gmemd, vm, release->ended, released);
	if (!vm->watch)
		vm_end(vm); /* its process has ended, now or meanwhile */
	answer_released(release->deferred, released);
	page_job_free(job);
	free(release);
}

static void stop(struct gmemd *gmemd, struct vm *vm)
{
	vm_stop(vm);
	pressure_watch_forget(gmemd->pressure, vm);
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
static bool begin_vm(struct release *release, bool waits)
{
	if (do_release(release, waits))
		return false;
	vm_state_change(&release->vm->state, VM_RELEASING);
	return true;
}

int release_vm(struct request *request, struct vm *vm)
{
	struct page_job *job = taken_from(request, vm, job_of_vm(vm, request->caller->owner));
	struct release *release = new_release(request, job, vm_released);
	bool begun;

	if (!release) {
		page_job_free(job);
		return request->error.code;
	}
	release->vm = vm;
	stop(request->gmemd, vm);
	begun = begin_vm(release, preallocating_stop_vm(request->gmemd, vm, &release->wait));
	STEP("vm.close: punched");
	if (begun)
		return wait_for(request, release);
	note_left(vm, job);
	vm_drop(vm);
	tell_released(request->gmemd, vm, /* ended= */ false, page_job_released(job));
	json_add_uint(request->result, "released", page_job_released(job));
	page_job_free(job);
	free(release);
	return 0;
}

/* False where it is done. */
static bool release_later(struct gmemd *gmemd, struct vm *vm, struct page_job *job, bool ended)
{
	struct release *release = calloc(1, sizeof *release);

	if (!job || !release) {
		preallocating_stop_vm(gmemd, vm, NULL);
		free(release);
		return false;
	}
	*release = (struct release){
		.wait.over = helpers_ended, .job = job, .gmemd = gmemd, .vm = vm, .ended = ended};
	job->done = vm_released;
	job->context = release;
	job->of_the_dead = ended;
	if (begin_vm(release, preallocating_stop_vm(gmemd, vm, &release->wait)))
		return true;
	free(release);
	return false;
}

/* Without memory for a job the kernel gives the pages back when the files are closed. */
void release_ended_vm(struct gmemd *gmemd, struct vm *vm)
{
	bool was_released = vm_is_released(vm);
	struct page_job *job;

	stop(gmemd, vm);
	if (vm->state == VM_RELEASING)
		return; /* what does that frees it */
	job = job_of_vm(vm, vm->owner);
	if (release_later(gmemd, vm, job, /* ended= */ true))
		return;
	if (job)
		note_left(vm, job);
	vm_drop(vm);
	if (!was_released)
		tell_released(gmemd, vm, /* ended= */ true, job ? page_job_released(job) : 0);
	vm_end(vm);
	page_job_free(job);
}

void release_rest(struct gmemd *gmemd, struct vm *vm)
{
	struct page_job *job = job_of_vm(vm, vm->owner);

	vm_stop(vm);
	if (release_later(gmemd, vm, job, /* ended= */ false))
		return;
	if (job)
		note_left(vm, job);
	vm_drop(vm);
	page_job_free(job);
}

void release_closing_memory(struct gmemd *gmemd, struct memory *memory)
{
	struct page_job *job = page_job_new(memory->vm->owner, 1);
	struct release *release = calloc(1, sizeof *release);

	if (job && release) {
		*release = (struct release){.gmemd = gmemd, .memory = memory->id};
		add_whole(job, memory);
		job->done = memory_released;
		job->context = release;
		if (!page_worker_do(gmemd->pages, job))
			return;
	}
	forget_memory(gmemd, memory, job ? page_job_left(job, memory->pages) : 0);
	page_job_free(job);
	free(release);
}
