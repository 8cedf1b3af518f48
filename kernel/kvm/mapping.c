/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mailbox's mapping in a VMM. See mapping.h.
 */
#include "kernel/kvm/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "kernel/host/maps_record.h"

/*
 * A read of smaps walks the page tables of each mapping that it reports. The kernel reports no
 * further mapping once the read is satisfied, and a record is longer than this; so a read never
 * walks beyond the mailbox.
 */
#define SMAPS_READ_SIZE 256

int mapping_make(int fd, uint64_t address, uint64_t length)
{
	void *wanted = (void *)(uintptr_t)address;
	void *mapped = mmap(wanted, length, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);

	return mapped == MAP_FAILED ? -errno : 0;
}

int mapping_make_permanent(int fd, uint64_t address, uint64_t length)
{
	void *mapped = (void *)(uintptr_t)address;
	int r;

	r = mapping_make(fd, address, length);
	if (r < 0)
		return r;
	if (syscall(__NR_mseal, mapped, length, 0) == 0)
		return 0;
	r = -errno;
	munmap(mapped, length);
	return r;
}

static const char *record_fault(
	const struct maps_record *record, const struct mapping_expected *expected)
{
	if (record->start != expected->address ||
		record->end != expected->address + expected->length || record->offset != 0)
		return "the mapping is not the whole mailbox";
	if (file_identity_compare(&record->file, &expected->file) != 0)
		return "another file is mapped at the mailbox's address";
	if (strcmp(record->permissions, "r--s") != 0)
		return "the mailbox is not mapped read-only and shared";
	return NULL;
}

static bool flags_have(const char *line, const char *flag)
{
	for (const char *at = line + strlen("VmFlags:"); (at = strstr(at, flag)); at++) {
		if (at[-1] == ' ' && (at[2] == ' ' || at[2] == '\n' || at[2] == '\0'))
			return true;
	}
	return false;
}

static const char *flags_fault(const char *line)
{
	if (!flags_have(line, "sl"))
		return "the mailbox's mapping is not sealed";
	if (flags_have(line, "wr") || flags_have(line, "mw"))
		return "the mailbox's mapping could be made writable";
	return NULL;
}

/* Reads records in the order of their addresses, up to the flags of the one at the mailbox's
 * address or the first beyond it. */
int mapping_verify_in(FILE *smaps, const struct mapping_expected *expected, const char **ret_reason)
{
	struct maps_record record;
	cleanup_free char *line = NULL;
	bool reached = false;
	size_t size = 0;

	*ret_reason = "nothing is mapped at the mailbox's address";
	while (getline(&line, &size, smaps) > 0) {
		if (maps_record_parse(line, &record)) {
			if (reached || record.start > expected->address)
				return -EPERM;
			if (record.end <= expected->address)
				continue;
			*ret_reason = record_fault(&record, expected);
			if (*ret_reason)
				return -EPERM;
			reached = true;
			*ret_reason =
				"the kernel does not tell whether the mailbox's mapping is sealed";
		} else if (reached && strncmp(line, "VmFlags:", 8) == 0) {
			*ret_reason = flags_fault(line);
			return *ret_reason ? -EPERM : 0;
		}
	}
	return ferror(smaps) ? -EIO : -EPERM;
}

int mapping_verify(pid_t process, const struct mapping_expected *expected, const char **ret_reason)
{
	char path[64], buffer[SMAPS_READ_SIZE];
	cleanup_file FILE *smaps = NULL;

	snprintf(path, sizeof path, "/proc/%d/smaps", process);
	smaps = fopen(path, "re");
	if (!smaps)
		return -errno;
	setvbuf(smaps, buffer, _IOFBF, sizeof buffer);
	return mapping_verify_in(smaps, expected, ret_reason);
}
