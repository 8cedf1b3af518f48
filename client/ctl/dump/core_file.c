/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A dump's file. See core_file.h.
 */
#include "client/ctl/dump/core_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "protocol/json.h"

#define ALIGNMENT 4096u

#ifdef __aarch64__
#define MACHINE EM_AARCH64
#else
#define MACHINE EM_X86_64
#endif

static const char owner[] = "gmemd";

/* All before the first segment. */
struct head {
	char *bytes;
	size_t size;
};

static uint64_t aligned(uint64_t bytes, uint64_t to)
{
	return (bytes + to - 1) / to * to;
}

static size_t note_size(size_t text)
{
	return sizeof(Elf64_Nhdr) + aligned(sizeof owner, 4) + aligned(text, 4);
}

static void put_note(char *at, const char *text, size_t length)
{
	const Elf64_Nhdr note = {.n_namesz = sizeof owner,
		.n_descsz = (Elf64_Word)length,
		.n_type = DUMP_NOTE_ABOUT};

	memcpy(at, &note, sizeof note);
	memcpy(at + sizeof note, owner, sizeof owner);
	memcpy(at + sizeof note + aligned(sizeof owner, 4), text, length);
}

static void put_header(char *at, const struct dump_plan *plan)
{
	const Elf64_Ehdr header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
					   ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_CORE,
		.e_machine = MACHINE,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof header,
		.e_ehsize = sizeof header,
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (Elf64_Half)(plan->n_segments + 1)};

	memcpy(at, &header, sizeof header);
}

static void put_segments(
	Elf64_Phdr *to, const struct dump_plan *plan, uint64_t at, struct core_file *core)
{
	for (size_t i = 0; i < plan->n_segments; i++) {
		const struct dump_segment *segment = &plan->segments[i];

		to[i] = (Elf64_Phdr){.p_type = PT_LOAD,
			.p_flags = PF_R | PF_W | PF_X,
			.p_offset = at,
			.p_vaddr = segment->guest_phys_addr,
			.p_paddr = segment->guest_phys_addr,
			.p_filesz = segment->n_parts > 0 ? segment->size : 0,
			.p_memsz = segment->size,
			.p_align = ALIGNMENT};
		core->offsets[i] = at;
		at = aligned(at + to[i].p_filesz, ALIGNMENT);
	}
	core->size = at;
}

static int make_head(const struct dump_plan *plan, struct core_file *core, struct head *ret)
{
	size_t length, table = sizeof(Elf64_Phdr) * (plan->n_segments + 1);
	const char *text = json_print(plan->about, &length);
	size_t note = sizeof(Elf64_Ehdr) + table, noted = text ? note_size(length) : 0;
	size_t size = aligned(note + noted, ALIGNMENT);
	cleanup_free Elf64_Phdr *headers = malloc(table);

	core->offsets = calloc(plan->n_segments, sizeof *core->offsets);
	ret->bytes = calloc(1, size);
	if (!text || !headers || !core->offsets || !ret->bytes)
		return -ENOMEM;
	headers[0] =
		(Elf64_Phdr){.p_type = PT_NOTE, .p_offset = note, .p_filesz = noted, .p_align = 4};
	put_segments(headers + 1, plan, size, core);
	put_header(ret->bytes, plan);
	memcpy(ret->bytes + sizeof(Elf64_Ehdr), headers, table);
	put_note(ret->bytes + note, text, length);
	ret->size = size;
	return 0;
}

int core_file_write(const struct core_file *core, uint64_t offset, const void *bytes, size_t size)
{
	const char *at = bytes;

	while (size > 0) {
		ssize_t written = pwrite(core->fd, at, size, (off_t)offset);

		if (written < 0 && errno != EINTR)
			return -errno;
		if (written <= 0)
			continue;
		at += written;
		offset += (uint64_t)written;
		size -= (size_t)written;
	}
	return 0;
}

int core_file_cut(struct core_file *core, uint64_t offset)
{
	if (offset >= core->done)
		return 0;
	core->done = offset;
	return ftruncate(core->fd, (off_t)offset) < 0 ? -errno : 0;
}

int core_file_advance(struct core_file *core, uint64_t offset)
{
	if (offset > core->done && ftruncate(core->fd, (off_t)offset) < 0)
		return -errno;
	core->done = offset > core->done ? offset : core->done;
	return 0;
}

/* What a guest has in its memory is nobody else's to read: a file that another user has put there,
 * or can open, is none of ours. And one gmemctl at a time writes it. */
static int check_part(const struct core_file *core, struct stat *ret)
{
	if (fstat(core->fd, ret) < 0)
		return -errno;
	if (!S_ISREG(ret->st_mode))
		return -EEXIST;
	if (ret->st_uid != geteuid() || ret->st_mode & (S_IRWXG | S_IRWXO))
		return -EPERM;
	if (flock(core->fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	/* Its size, now that nobody else changes it. */
	return fstat(core->fd, ret) < 0 ? -errno : 0;
}

/* What there is begins as it would: it goes on where that ends. One without its whole head is
 * begun anew. */
static int go_on(struct core_file *core, const struct head *head)
{
	cleanup_free char *there = malloc(head->size);
	struct stat status;
	int r = there ? check_part(core, &status) : -ENOMEM;

	if (r < 0)
		return r;
	if ((uint64_t)status.st_size < head->size) {
		r = core_file_write(core, 0, head->bytes, head->size);
		core->done = head->size;
		return r;
	}
	if (pread(core->fd, there, head->size, 0) != (ssize_t)head->size)
		return -EIO;
	if (memcmp(there, head->bytes, head->size) != 0)
		return -ESTALE;
	core->done = (uint64_t)status.st_size;
	return 0;
}

static int open_part(const char *path, struct core_file *core)
{
	core->path = strdup(path);
	if (!core->path || asprintf(&core->part_path, "%s.part", path) < 0) {
		core->part_path = NULL;
		return -ENOMEM;
	}
	if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	core->fd = open(core->part_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return core->fd < 0 ? -errno : 0;
}

int core_file_begin(const char *path, const struct dump_plan *plan, struct core_file *ret)
{
	struct core_file core = {.fd = -1};
	struct head head = {.size = 0};
	int r = open_part(path, &core);

	if (r == 0)
		r = make_head(plan, &core, &head);
	if (r == 0)
		r = go_on(&core, &head);
	free(head.bytes);
	if (r < 0)
		core_file_clear(&core);
	else
		*ret = core;
	return r;
}

/* Another file that has come by that name meanwhile stays. */
int core_file_finish(struct core_file *core)
{
	if (fsync(core->fd) < 0)
		return -errno;
	if (renameat2(AT_FDCWD, core->part_path, AT_FDCWD, core->path, RENAME_NOREPLACE) == 0)
		return 0;
	/* There are file systems that can't say so. */
	if (errno != EINVAL)
		return -errno;
	return rename(core->part_path, core->path) < 0 ? -errno : 0;
}

void core_file_clear(struct core_file *core)
{
	core->fd = fd_close(core->fd);
	free(core->offsets);
	free(core->path);
	free(core->part_path);
	*core = (struct core_file){.fd = -1};
}
