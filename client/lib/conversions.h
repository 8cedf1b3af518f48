/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conversions of this process that are under way, and what has come of them.
 *
 * What guest frames are is noted as each ioctl returns, so that a gmemd that has lost the VM is
 * told what the kernel has. Frames whose ioctl is being issued may be either, and it is told that,
 * too: whoever converts them asks it again then, and it has them set anew before it believes
 * anything. An ioctl's argument is in the mailbox, where a gmemd that has lost the VM may write
 * another's meanwhile: then nothing is known of what it has done.
 *
 * Threads that convert the same frames wait for one another. All of it is guarded by a lock of its
 * own: an ioctl waits for no turn.
 */
#pragma once

#include <pthread.h>
#include <sys/queue.h>

#include "client/gmem.h"
#include "kernel/base/ranges.h"
#include "kernel/base/uapi.h"

struct conversions {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	struct ranges under_way; /* asked for by threads, until they return */
	struct ranges private;   /* what is so */
	struct ranges uncertain; /* may be either */
	uint64_t told;           /* how often a gmemd was told of the VM, or is being told */
	uint64_t changes;        /* of frames or slots */
	LIST_HEAD(, contradiction) contradictions;
};

/* A vCPU's last exit that found frames to be what they are not noted as. */
struct contradiction {
	LIST_ENTRY(contradiction) link;
	const void *vcpu;
	uint64_t guest_phys_addr;
	uint64_t changes; /* when that was */
};

/* An ioctl that is being issued. */
struct conversion_issue {
	const struct kvm_memory_attributes *entry; /* in the mailbox */
	struct kvm_memory_attributes was;          /* before */
	uint64_t told;
};

void conversions_init(struct conversions *conversions);
void conversions_clear(struct conversions *conversions);

/* Waits until no other thread converts any of these. -ENOMEM. */
int conversions_begin(
	struct conversions *conversions, const struct gmem_range *ranges, size_t count);
void conversions_end(
	struct conversions *conversions, const struct gmem_range *ranges, size_t count);
/* They are that, whatever was noted of them. */
void conversions_note(struct conversions *conversions, enum gmem_state to,
	const struct gmem_range *ranges, size_t count);

/* The ioctl of that entry is issued now, which gmemd has written after it was told so often.
 * -ESTALE where it has been told once more, -ENOMEM. */
int conversions_issue(struct conversions *conversions, const void *entry, uint64_t told,
	struct conversion_issue *ret);
/* It has returned r. Whether the frames of issue->was are certain to be as it has them. */
bool conversions_issued(
	struct conversions *conversions, const struct conversion_issue *issue, int r);

/* What it makes the frames. */
enum gmem_state conversion_issue_to(const struct conversion_issue *issue);

/* Slots have changed. */
void conversions_note_change(struct conversions *conversions);

enum conversions_found {
	CONVERSIONS_ARE_OTHER, /* some of the frames are not so */
	CONVERSIONS_ARE_SO,
};

/* What is noted of a range. */
enum conversions_found conversions_find(
	struct conversions *conversions, enum gmem_state state, const struct gmem_range *range);
/* Whether the vCPU has had an exit there that contradicts what is noted, and nothing has changed
 * since. Notes this one. */
bool conversions_contradicted_again(
	struct conversions *conversions, const void *vcpu, uint64_t guest_phys_addr);

/* How often a gmemd was told of the VM, which may have lost it, or is being told. */
uint64_t conversions_told(struct conversions *conversions);
void conversions_note_told(struct conversions *conversions);
/* It is not noted as told once more until conversions_release(). False where it has been meanwhile:
 * then there is nothing to release. */
bool conversions_hold(struct conversions *conversions, uint64_t told);
void conversions_release(struct conversions *conversions);

enum conversions_set { CONVERSIONS_PRIVATE, CONVERSIONS_UNCERTAIN, CONVERSIONS_SETS };

/* Copies up to count ranges of a set from an address on. Returns how many. */
size_t conversions_copy(struct conversions *conversions, enum conversions_set set, uint64_t from,
	struct gmem_range *ranges, size_t count);
