/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mailbox: where gmemd writes the arguments of a VM's ioctls. See mailbox.h.
 */
#include "kernel/kvm/mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/host/process.h"

/*
 * Below any program's own segments, and low for a reason: what precedes it in a VMM's
 * /proc/PID/smaps, which gmemd reads to verify the mapping, is then bounded by these 2 MiB, however
 * many mappings the VMM makes.
 */
#define MAILBOX_ADDRESS 0x200000

/*
 * As a size it is negative, as an address unaligned, as {slot, flags} it has illegal flags: the
 * kernel says EINVAL. So it does to zeroes, but for a slot: pages of other areas stay unallocated
 * until an entry there is used.
 */
#define MAILBOX_INVALID UINT64_MAX

#define MAILBOX_MODE         0444
#define MAILBOX_MODE_OPENING 0600
#define MAILBOX_SEALS        (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

#define SLOT_STRIDE 256

/* Slots: each page of theirs takes memory from the start, for zeroes are valid there. Attributes:
 * as many as the ranges of a packet. */
static const struct {
	uint32_t request;
	unsigned pages;
	unsigned stride;
} area_layout[MAILBOX_COMMANDS] = {
	[MAILBOX_CREATE] = {KVM_CREATE_GUEST_MEMFD, 1, 64},
	[MAILBOX_SLOT] = {KVM_SET_USER_MEMORY_REGION2, 1, SLOT_STRIDE},
	[MAILBOX_ATTRIBUTES] = {KVM_SET_MEMORY_ATTRIBUTES, 16, 32},
};

/* Of an area. Which are taken has a bit for each: in few where those suffice, else in many once one
 * is taken, for most VMs never have an attribute set. */
struct mailbox_entries {
	unsigned char *bytes; /* once it is mapped */
	uint16_t stride;
	uint16_t count;
	uint16_t free;
	uint16_t next; /* where the search for a free one begins */
	union {
		unsigned char few[sizeof(uint64_t)];
		unsigned char *many; /* NULL: none is */
	};
};

struct mailbox {
	int fd; /* read-only; -1: not asked for yet, or taken */
	int write_fd;
	struct file_identity identity;
	unsigned char *bytes; /* NULL: not mapped yet, for nothing has been written */
	uint64_t length;
	bool uncleared; /* free entries may be valid: a predecessor's */
	struct mailbox_entries entries[MAILBOX_COMMANDS];
};

static bool are_few(const struct mailbox_entries *entries)
{
	return entries->count <= 8 * sizeof entries->few;
}

static bool is_taken(const struct mailbox_entries *entries, unsigned entry)
{
	const unsigned char *taken = are_few(entries) ? entries->few : entries->many;

	return taken && taken[entry / 8] & 1u << entry % 8;
}

/* Before any is taken. */
static int make_bits(struct mailbox_entries *entries)
{
	if (!are_few(entries) && !entries->many)
		entries->many = calloc(1, (entries->count + 7) / 8);
	return are_few(entries) || entries->many ? 0 : -ENOMEM;
}

static void set_taken(struct mailbox_entries *entries, unsigned entry, unsigned count, bool taken)
{
	unsigned char *bits = are_few(entries) ? entries->few : entries->many;

	for (unsigned i = entry; i < entry + count; i++) {
		unsigned char bit = (unsigned char)(1u << i % 8);

		if (taken)
			bits[i / 8] |= bit;
		else
			bits[i / 8] &= (unsigned char)~bit;
	}
}

static unsigned char *entry_bytes(const struct mailbox_entries *entries, unsigned entry)
{
	return entries->bytes + entry * entries->stride;
}

/* The rest stays as it is: who has read the first word of a valid entry already must not find
 * zeroes behind it. */
static void entry_invalidate(const struct mailbox_entries *entries, unsigned entry)
{
	__atomic_store_n(
		(uint64_t *)entry_bytes(entries, entry), MAILBOX_INVALID, __ATOMIC_SEQ_CST);
}

static void entry_write(
	const struct mailbox_entries *entries, unsigned entry, const void *arguments, size_t size)
{
	unsigned char *bytes = entry_bytes(entries, entry);
	uint64_t first;

	memcpy(&first, arguments, sizeof first);
	memcpy(bytes + sizeof first, (const unsigned char *)arguments + sizeof first,
		size - sizeof first);
	__atomic_store_n((uint64_t *)bytes, first, __ATOMIC_RELEASE);
}

struct mailbox_area mailbox_area(enum mailbox_command command)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t offset = 0;

	for (unsigned before = 0; before < command; before++)
		offset += area_layout[before].pages * page;
	return (struct mailbox_area){
		.request = area_layout[command].request,
		.address = MAILBOX_ADDRESS + offset,
		.length = area_layout[command].pages * page,
		.stride = area_layout[command].stride,
	};
}

static void entries_set_up(struct mailbox *mailbox, enum mailbox_command command)
{
	const struct mailbox_area area = mailbox_area(command);
	uint16_t count = (uint16_t)(area.length / area.stride);

	mailbox->entries[command] = (struct mailbox_entries){
		.stride = (uint16_t)area.stride,
		.count = count,
		.free = count,
	};
}

static int mailbox_map(struct mailbox *mailbox)
{
	void *bytes;

	if (mailbox->bytes)
		return 0;
	bytes = mmap(
		NULL, mailbox->length, PROT_READ | PROT_WRITE, MAP_SHARED, mailbox->write_fd, 0);
	if (bytes == MAP_FAILED)
		return -errno;
	mailbox->bytes = bytes;
	for (unsigned command = 0; command < MAILBOX_COMMANDS; command++) {
		struct mailbox_entries *entries = &mailbox->entries[command];

		entries->bytes = mailbox->bytes + (mailbox_area(command).address - MAILBOX_ADDRESS);
	}
	return 0;
}

static void mailbox_set_up(struct mailbox *mailbox)
{
	for (unsigned command = 0; command < MAILBOX_COMMANDS; command++)
		entries_set_up(mailbox, command);
}

static int make_file(const char *name, uint64_t length, int *ret_fd)
{
	cleanup_fd int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)length) < 0 || fchmod(fd, MAILBOX_MODE) < 0)
		return -errno;
	*ret_fd = fd;
	fd = -1; /* handed over */
	return 0;
}

void mailbox_layout(uint64_t *ret_address, uint64_t *ret_length)
{
	*ret_address = MAILBOX_ADDRESS;
	*ret_length = 0;
	for (unsigned command = 0; command < MAILBOX_COMMANDS; command++)
		*ret_length += area_layout[command].pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* With nothing but its length. */
static struct mailbox *mailbox_allocate(void)
{
	struct mailbox *mailbox = calloc(1, sizeof *mailbox);
	uint64_t address;

	if (!mailbox)
		return NULL;
	mailbox->fd = -1;
	mailbox->write_fd = -1;
	mailbox_layout(&address, &mailbox->length);
	return mailbox;
}

/* Once it is mapped, which F_SEAL_FUTURE_WRITE allows no more. */
static int seal(const struct mailbox *mailbox, enum mailbox_writers writers)
{
	int seals = MAILBOX_SEALS;

	if (writers == MAILBOX_WRITER_ALONE)
		seals |= F_SEAL_FUTURE_WRITE;
	return fcntl(mailbox->write_fd, F_ADD_SEALS, seals) < 0 ? -errno : 0;
}

int mailbox_new(const char *name, enum mailbox_writers writers, struct mailbox **ret)
{
	struct mailbox *mailbox = mailbox_allocate();
	int r;

	if (!mailbox)
		return -ENOMEM;
	r = make_file(name, mailbox->length, &mailbox->write_fd);
	if (r == 0)
		r = file_identity_of(mailbox->write_fd, &mailbox->identity);
	mailbox_set_up(mailbox);
	if (r == 0)
		r = mailbox_map(mailbox);
	if (r == 0)
		r = seal(mailbox, writers);
	if (r == 0 && mailbox_fd(mailbox) < 0)
		r = -errno;
	if (r < 0) {
		mailbox_free(mailbox);
		return r;
	}
	for (unsigned entry = 0; entry < mailbox->entries[MAILBOX_SLOT].count; entry++)
		entry_invalidate(&mailbox->entries[MAILBOX_SLOT], entry);
	*ret = mailbox;
	return 0;
}

int mailbox_open(int fd, struct mailbox **ret)
{
	struct mailbox *mailbox = mailbox_allocate();
	struct file_look look;

	if (!mailbox)
		return -ENOMEM;
	if (file_look_at(fd, &look) < 0 || look.size != mailbox->length ||
		!(fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK)) {
		mailbox_free(mailbox);
		return -EBADMSG;
	}
	mailbox->write_fd = fd;
	mailbox->identity = look.identity;
	mailbox->uncleared = true;
	mailbox_set_up(mailbox);
	*ret = mailbox;
	return 0;
}

/* To all but its owner. A process that was killed while it opened one again leaves the other. */
static bool is_closed_mode(mode_t mode)
{
	return mode == MAILBOX_MODE || mode == MAILBOX_MODE_OPENING;
}

/* Seals first: only a memfd that was made to be sealed has these, so no file system of a peer's is
 * asked for the rest. */
static bool is_own_mailbox(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat status;

	return seals >= 0 && (seals & MAILBOX_SEALS) == MAILBOX_SEALS && fstat(fd, &status) == 0 &&
	       S_ISREG(status.st_mode) && is_closed_mode(status.st_mode & 07777) &&
	       status.st_uid == geteuid();
}

int mailbox_name(int fd, char *ret, size_t size)
{
	static const char before[] = "/memfd:", after[] = " (deleted)";
	char target[MAILBOX_NAME_SIZE + sizeof before + sizeof after];
	size_t length;

	if (!is_own_mailbox(fd) || process_file_target(getpid(), fd, target, sizeof target) < 0)
		return -EBADMSG;
	length = strlen(target);
	if (length < strlen(before) + strlen(after) || strncmp(target, before, strlen(before)) != 0)
		return -EBADMSG;
	length -= strlen(before) + strlen(after);
	if (length >= size || strcmp(target + strlen(before) + length, after) != 0)
		return -EBADMSG;
	memcpy(ret, target + strlen(before), length);
	ret[length] = '\0';
	return 0;
}

/* Its mode is what keeps it from being written; only its owner can change that, which this process
 * is, and only where it is not immutable. */
static int open_for_writing(int fd, int *ret_fd)
{
	char path[64];
	int write_fd = -1, r;

	if (memory_file_is_immutable(fd) && (r = memory_file_set_immutable(fd, false)) < 0)
		return r;
	if (fchmod(fd, MAILBOX_MODE_OPENING) < 0)
		return -errno;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	write_fd = open(path, O_RDWR | O_CLOEXEC);
	r = write_fd < 0 ? -errno : 0;
	if (fchmod(fd, MAILBOX_MODE) < 0 && r == 0)
		r = -errno;
	if (r < 0)
		fd_close(write_fd);
	else
		*ret_fd = write_fd;
	return r;
}

int mailbox_reopen(int fd, struct mailbox **ret)
{
	struct mailbox *mailbox;
	int write_fd = -1, r;

	if (!is_own_mailbox(fd))
		return -EBADMSG;
	if (fcntl(fd, F_GET_SEALS) & F_SEAL_FUTURE_WRITE)
		return -EROFS;
	r = open_for_writing(fd, &write_fd);
	if (r < 0)
		return r;
	r = mailbox_open(write_fd, &mailbox);
	if (r < 0) {
		fd_close(write_fd);
		return r;
	}
	r = mailbox_map(mailbox);
	if (r < 0)
		mailbox_free(mailbox);
	else
		*ret = mailbox;
	return r;
}

/* Notes: two copies, where the first two slots' entries have bytes that no command reads. The later
 * one that is whole is the note. */

#define NOTES 2

struct note {
	uint64_t sequence;
	uint64_t checksum;
	char text[MAILBOX_NOTE_SIZE];
};

#define SLOT_BYTES sizeof(struct kvm_userspace_memory_region2)

static uint64_t note_checksum(const struct note *note)
{
	uint64_t hash = (0xcbf29ce484222325 ^ note->sequence) * 0x100000001b3;

	for (size_t i = 0; i < sizeof note->text; i++)
		hash = (hash ^ (unsigned char)note->text[i]) * 0x100000001b3;
	return hash;
}

static bool note_is_whole(const struct note *note)
{
	return note->sequence > 0 && note->checksum == note_checksum(note) &&
	       memchr(note->text, '\0', sizeof note->text);
}

static struct note *note_at(const struct mailbox *mailbox, unsigned place)
{
	return (void *)(entry_bytes(&mailbox->entries[MAILBOX_SLOT], place) + SLOT_BYTES);
}

/* Of those in the two places the one that counts; -1: there is none. */
static int later_note(const struct note notes[static NOTES])
{
	int later = -1;

	for (int i = 0; i < NOTES; i++) {
		if (note_is_whole(&notes[i]) &&
			(later < 0 || notes[i].sequence > notes[later].sequence))
			later = i;
	}
	return later;
}

static void write_note(struct mailbox *mailbox, const char *text)
{
	struct note notes[NOTES] = {*note_at(mailbox, 0), *note_at(mailbox, 1)}, next;
	int later = later_note(notes);
	struct note *place = note_at(mailbox, later == 0 ? 1 : 0);

	next = (struct note){.sequence = later < 0 ? 1 : notes[later].sequence + 1};
	snprintf(next.text, sizeof next.text, "%s", text);
	next.checksum = note_checksum(&next);
	__atomic_store_n(&place->checksum, ~next.checksum, __ATOMIC_SEQ_CST);
	place->sequence = next.sequence;
	memcpy(place->text, next.text, sizeof next.text);
	__atomic_store_n(&place->checksum, next.checksum, __ATOMIC_RELEASE);
}

int mailbox_write_note(struct mailbox *mailbox, const char *text)
{
	int r = mailbox_map(mailbox);

	if (r == 0)
		write_note(mailbox, text);
	return r;
}

static int copy_note(const struct note notes[static NOTES], char ret[static MAILBOX_NOTE_SIZE])
{
	int later = later_note(notes);

	if (later < 0)
		return -ENOENT;
	memcpy(ret, notes[later].text, MAILBOX_NOTE_SIZE);
	return 0;
}

int mailbox_note(const struct mailbox *mailbox, char ret[static MAILBOX_NOTE_SIZE])
{
	return mailbox_read_note(mailbox->write_fd, ret);
}

/* In the file. */
static off_t slots_offset(void)
{
	return (off_t)(area_layout[MAILBOX_CREATE].pages * (uint64_t)sysconf(_SC_PAGESIZE));
}

/* Both by one read. */
int mailbox_read_note(int fd, char ret[static MAILBOX_NOTE_SIZE])
{
	unsigned char bytes[(NOTES - 1) * SLOT_STRIDE + sizeof(struct note)];
	struct note notes[NOTES];

	if (pread(fd, bytes, sizeof bytes, slots_offset() + (off_t)SLOT_BYTES) != sizeof bytes)
		return -ENOENT;
	for (unsigned i = 0; i < NOTES; i++)
		memcpy(&notes[i], bytes + i * SLOT_STRIDE, sizeof notes[i]);
	return copy_note(notes, ret);
}

/* Behind the first note. Nothing is there of an older gmemd's. */
#define GENERATION_AT (SLOT_STRIDE - sizeof(uint64_t))
_Static_assert(SLOT_BYTES + sizeof(struct note) <= GENERATION_AT, "a slot's entry");

void mailbox_note_generation(struct mailbox *mailbox, uint32_t generation)
{
	void *place = entry_bytes(&mailbox->entries[MAILBOX_SLOT], 0) + GENERATION_AT;

	if (*(const uint64_t *)place < generation)
		__atomic_store_n((uint64_t *)place, generation, __ATOMIC_RELAXED);
}

uint32_t mailbox_read_generation(int fd)
{
	uint64_t generation = 0;

	if (pread(fd, &generation, sizeof generation, slots_offset() + (off_t)GENERATION_AT) < 0)
		return 0;
	return (uint32_t)generation;
}

int mailbox_fix(const struct mailbox *mailbox)
{
	return memory_file_set_immutable(mailbox->write_fd, true);
}

bool mailbox_is_fixed(const struct mailbox *mailbox)
{
	return memory_file_is_immutable(mailbox->write_fd);
}

int mailbox_claim(
	struct mailbox *mailbox, enum mailbox_command command, unsigned entry, unsigned count)
{
	struct mailbox_entries *entries = &mailbox->entries[command];
	int r;

	if (entry >= entries->count || count > entries->count - entry)
		return -EBADMSG;
	for (unsigned i = entry; i < entry + count; i++) {
		if (is_taken(entries, i))
			return -EBADMSG;
	}
	r = mailbox_map(mailbox);
	if (r == 0)
		r = make_bits(entries);
	if (r < 0)
		return r;
	set_taken(entries, entry, count, true);
	entries->free = (uint16_t)(entries->free - count);
	return 0;
}

/* Where the file has pages, from offset on: reading others through the mapping would make them. */
static bool next_pages(
	const struct mailbox *mailbox, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end)
{
	off_t start = lseek(mailbox->write_fd, (off_t)offset, SEEK_DATA);
	off_t end = start < 0 ? start : lseek(mailbox->write_fd, start, SEEK_HOLE);

	if (start < 0 && errno == ENXIO)
		return false;
	*ret_start = start < 0 ? offset : (uint64_t)start;
	*ret_end = end < 0 ? mailbox->length : (uint64_t)end;
	return *ret_start < mailbox->length;
}

/* Whether the kernel could take it. An address can be 0, the size behind it can't. */
static bool entry_valid(const uint64_t *words, bool zeroes_valid)
{
	return words[0] != MAILBOX_INVALID && (words[0] != 0 || words[1] != 0 || zeroes_valid);
}

/* A part of a command's area: the entries that begin there. */
struct part {
	enum mailbox_command command;
	uint64_t start, end;
};

static bool is_to_be_cleared(const struct mailbox_entries *entries, enum mailbox_command command,
	unsigned entry, const void *words)
{
	return !is_taken(entries, entry) && entry_valid(words, command == MAILBOX_SLOT);
}

static int clear_part(const struct mailbox *mailbox, const struct part *part)
{
	const struct mailbox_entries *entries = &mailbox->entries[part->command];
	unsigned stride = entries->stride;

	for (unsigned entry = (unsigned)part->start / stride; entry < part->end / stride; entry++) {
		if (is_to_be_cleared(entries, part->command, entry, entry_bytes(entries, entry)))
			entry_invalidate(entries, entry);
	}
	return 0;
}

#define LOOK_SIZE 4096u

/* Whether anything is to be cleared in a part of up to LOOK_SIZE, or a negative errno. */
static int look_at_some(const struct mailbox *mailbox, const struct part *part)
{
	const struct mailbox_entries *entries = &mailbox->entries[part->command];
	uint64_t at = mailbox_area(part->command).address - MAILBOX_ADDRESS + part->start;
	unsigned stride = entries->stride;
	uint64_t words[LOOK_SIZE / sizeof(uint64_t)];
	ssize_t length = (ssize_t)(part->end - part->start);

	if (pread(mailbox->write_fd, words, (size_t)length, (off_t)at) != length)
		return -EIO;
	for (unsigned i = 0; i < length / stride; i++) {
		unsigned entry = (unsigned)part->start / stride + i;

		if (is_to_be_cleared(entries, part->command, entry, words + i * stride / 8))
			return 1;
	}
	return 0;
}

static int look_at_part(const struct mailbox *mailbox, const struct part *part)
{
	struct part some = *part;
	int r = 0;

	for (; r == 0 && some.start < part->end; some.start = some.end) {
		some.end = some.start + LOOK_SIZE < part->end ? some.start + LOOK_SIZE : part->end;
		r = look_at_some(mailbox, &some);
	}
	return r;
}

/* Each part that has pages, until act returns another than 0. */
static int each_part(const struct mailbox *mailbox,
	int (*act)(const struct mailbox *mailbox, const struct part *part))
{
	uint64_t start, end = 0;
	int r = 0;

	while (r == 0 && next_pages(mailbox, end, &start, &end)) {
		for (unsigned command = 0; r == 0 && command < MAILBOX_COMMANDS; command++) {
			const struct mailbox_area area = mailbox_area(command);
			uint64_t begin = area.address - MAILBOX_ADDRESS;
			struct part part = {.command = command,
				.start = start > begin ? start - begin : 0,
				.end = end > begin ? end - begin : 0};

			if (part.end > area.length)
				part.end = area.length;
			if (part.start < part.end)
				r = act(mailbox, &part);
		}
	}
	return r;
}

/* Mostly there is nothing to be cleared: whoever takes over thousands reads them faster than it
 * maps them. */
int mailbox_clear_free(struct mailbox *mailbox)
{
	int r = mailbox->bytes ? 1 : each_part(mailbox, look_at_part);

	if (r > 0) {
		r = mailbox_map(mailbox);
		if (r == 0)
			each_part(mailbox, clear_part);
	}
	if (r == 0)
		mailbox->uncleared = false;
	return r;
}

/* Before an entry is taken: it must be invalid until all of it is written. */
static int prepare_to_take(struct mailbox *mailbox, struct mailbox_entries *entries)
{
	int r = mailbox_map(mailbox);

	if (r == 0)
		r = make_bits(entries);
	return r == 0 && mailbox->uncleared ? mailbox_clear_free(mailbox) : r;
}

struct mailbox *mailbox_free(struct mailbox *mailbox)
{
	if (!mailbox)
		return NULL;
	for (unsigned command = 0; command < MAILBOX_COMMANDS; command++) {
		if (!are_few(&mailbox->entries[command]))
			free(mailbox->entries[command].many);
	}
	if (mailbox->bytes)
		munmap(mailbox->bytes, mailbox->length);
	fd_close(mailbox->fd);
	fd_close(mailbox->write_fd);
	free(mailbox);
	return NULL;
}

int mailbox_fd(struct mailbox *mailbox)
{
	char path[64];

	if (mailbox->fd < 0) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", mailbox->write_fd);
		mailbox->fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	return mailbox->fd;
}

int mailbox_take_fd(struct mailbox *mailbox)
{
	int fd = mailbox_fd(mailbox);

	mailbox->fd = -1; /* handed over */
	return fd;
}

int mailbox_write_fd(const struct mailbox *mailbox)
{
	return mailbox->write_fd;
}

struct file_identity mailbox_identity(const struct mailbox *mailbox)
{
	return mailbox->identity;
}

uint64_t mailbox_made(const struct mailbox *mailbox)
{
	struct statx status;

	if (statx(mailbox->write_fd, "", AT_EMPTY_PATH, STATX_BTIME, &status) < 0 ||
		!(status.stx_mask & STATX_BTIME))
		return 0;
	return (uint64_t)status.stx_btime.tv_sec * 1000000 + status.stx_btime.tv_nsec / 1000;
}

uint64_t mailbox_address(const struct mailbox *mailbox)
{
	(void)mailbox; /* of all the same */
	return MAILBOX_ADDRESS;
}

uint64_t mailbox_length(const struct mailbox *mailbox)
{
	return mailbox->length;
}

/* How many follow from entry on that are free, at most wanted. */
static unsigned free_run(const struct mailbox_entries *entries, unsigned entry, unsigned wanted)
{
	unsigned length = 0;

	while (length < wanted && entry + length < entries->count &&
		!is_taken(entries, entry + length))
		length++;
	return length;
}

static void take_run(struct mailbox_entries *entries, unsigned entry, unsigned length)
{
	set_taken(entries, entry, length, true);
	entries->free = (uint16_t)(entries->free - length);
	entries->next = (uint16_t)((entry + length) % entries->count);
}

int mailbox_take(
	struct mailbox *mailbox, enum mailbox_command command, unsigned wanted, unsigned *ret_entry)
{
	struct mailbox_entries *entries = &mailbox->entries[command];
	unsigned entry = entries->next, length;
	int r;

	if (entries->free == 0)
		return -ENOSPC;
	r = prepare_to_take(mailbox, entries);
	if (r < 0)
		return r;
	while ((length = free_run(entries, entry, wanted)) == 0)
		entry = (entry + 1) % entries->count;
	take_run(entries, entry, length);
	*ret_entry = entry;
	return (int)length;
}

int mailbox_take_all(
	struct mailbox *mailbox, enum mailbox_command command, unsigned wanted, unsigned *ret_entry)
{
	struct mailbox_entries *entries = &mailbox->entries[command];
	int r = prepare_to_take(mailbox, entries);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < entries->count; i++) {
		unsigned entry = (entries->next + i) % entries->count;

		if (free_run(entries, entry, wanted) < wanted)
			continue;
		take_run(entries, entry, wanted);
		*ret_entry = entry;
		return 0;
	}
	return -ENOSPC;
}

void mailbox_put(
	struct mailbox *mailbox, enum mailbox_command command, unsigned entry, unsigned count)
{
	struct mailbox_entries *entries = &mailbox->entries[command];

	for (unsigned i = entry; i < entry + count; i++)
		entry_invalidate(entries, i);
	set_taken(entries, entry, count, false);
	entries->free = (uint16_t)(entries->free + count);
}

unsigned mailbox_entries(const struct mailbox *mailbox, enum mailbox_command command)
{
	return mailbox->entries[command].count;
}

unsigned mailbox_free_entries(const struct mailbox *mailbox, enum mailbox_command command)
{
	return mailbox->entries[command].free;
}

uint64_t mailbox_entry_address(
	const struct mailbox *mailbox, enum mailbox_command command, unsigned entry)
{
	const struct mailbox_entries *entries = &mailbox->entries[command];

	return MAILBOX_ADDRESS + (uint64_t)(entry_bytes(entries, entry) - mailbox->bytes);
}

int mailbox_entry_at(const struct mailbox *mailbox, enum mailbox_command command, uint64_t address,
	unsigned *ret_entry)
{
	const struct mailbox_area area = mailbox_area(command);

	(void)mailbox; /* of all the same */
	if (address < area.address || address - area.address >= area.length)
		return -ENOENT;
	if ((address - area.address) % area.stride != 0)
		return -ENOENT;
	*ret_entry = (unsigned)((address - area.address) / area.stride);
	return 0;
}

void mailbox_write_create(
	struct mailbox *mailbox, unsigned entry, const struct kvm_create_guest_memfd *arguments)
{
	entry_write(&mailbox->entries[MAILBOX_CREATE], entry, arguments, sizeof *arguments);
}

void mailbox_write_slot(struct mailbox *mailbox, unsigned entry,
	const struct kvm_userspace_memory_region2 *arguments)
{
	entry_write(&mailbox->entries[MAILBOX_SLOT], entry, arguments, sizeof *arguments);
}

void mailbox_write_attributes(
	struct mailbox *mailbox, unsigned entry, const struct kvm_memory_attributes *arguments)
{
	entry_write(&mailbox->entries[MAILBOX_ATTRIBUTES], entry, arguments, sizeof *arguments);
}

void mailbox_read_slot(const struct mailbox *mailbox, unsigned entry,
	struct kvm_userspace_memory_region2 *ret_arguments)
{
	memcpy(ret_arguments, entry_bytes(&mailbox->entries[MAILBOX_SLOT], entry),
		sizeof *ret_arguments);
}

void mailbox_read_attributes(
	const struct mailbox *mailbox, unsigned entry, struct kvm_memory_attributes *ret_arguments)
{
	memcpy(ret_arguments, entry_bytes(&mailbox->entries[MAILBOX_ATTRIBUTES], entry),
		sizeof *ret_arguments);
}
