/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Subjects with a bug. See planted.h.
 */
#include "tests/conformance/planted.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

/* The calls that are led astray, and one table of operations for each bug. */
static const struct subject_operations *model;
static struct subject_operations tables[PLANTED_BUGS];

/* A punch that goes past the page at 4 keeps that page. */
static int punch_too_little(
	struct subject *subject, unsigned memory, int mode, int64_t offset, int64_t length)
{
	if (mode & FALLOC_FL_PUNCH_HOLE && offset == 4 * (int64_t)PAGE && length > (int64_t)PAGE)
		offset += (int64_t)PAGE;
	return model->fallocate(subject, memory, mode, offset, length);
}

static int forget_v1_deletion(struct subject *subject, unsigned vm, enum model_region_call call,
	const struct kvm_userspace_memory_region2 *arguments)
{
	struct kvm_userspace_memory_region2 other = *arguments;
	int r = model->region(subject, vm, call, arguments);

	if (r < 0 || call == MODEL_REGION_V2 || arguments->memory_size > 0)
		return r;
	other.memory_size = PAGE; /* deleted, and put back */
	other.flags = 0;
	model->region(subject, vm, call, &other);
	return r;
}

static int wrong_errno(struct subject *subject, unsigned vm, enum model_region_call call,
	const struct kvm_userspace_memory_region2 *arguments)
{
	int r = model->region(subject, vm, call, arguments);

	return r == -EEXIST ? -EINVAL : r;
}

/* Writes of one page's last bytes go to the next byte. */
static int guest_writes_astray(
	struct subject *subject, unsigned vm, uint64_t guest_phys_addr, uint8_t *byte, bool write)
{
	if (write && guest_phys_addr % PAGE > PAGE / 2 && guest_phys_addr % PAGE < PAGE - 1)
		guest_phys_addr++;
	return model->guest(subject, vm, guest_phys_addr, byte, write);
}

static const char *const names[PLANTED_BUGS] = {
	"a punch that keeps a page",
	"a deletion through the v1 call that does not last",
	"EINVAL for overlapping guest addresses",
	"a guest's write that goes to the next byte",
};

const char *planted_name(unsigned bug)
{
	return names[bug];
}

struct subject *planted_new(const struct model_rules *rules, unsigned bug)
{
	struct subject *subject = subject_new_model(rules);

	model = subject->operations;
	for (unsigned i = 0; i < PLANTED_BUGS; i++)
		tables[i] = *model;
	tables[0].fallocate = punch_too_little;
	tables[1].region = forget_v1_deletion;
	tables[2].region = wrong_errno;
	tables[3].guest = guest_writes_astray;
	subject->operations = &tables[bug];
	return subject;
}
