/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which of the VMM's files this library has to do with, by their numbers: the device and the VM
 * that it was given, and memfds, of which some become guest memory. And which numbers are this
 * library's own: a VMM that closes all that it has not opened itself is not to close those.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct ram;

/* Numbers that are noted are below this. */
#define FILES_MAX 65536

enum file_kind {
	FILE_DEVICE, /* /dev/kvm */
	FILE_VM,
	FILE_MEMFD,
	FILE_OWN,
	FILE_KINDS
};

struct file {
	enum file_kind kind;
	unsigned numbers; /* that it has */
	/* Of a memfd. */
	char name[64];
	unsigned flags;  /* memfd_create(2)'s */
	unsigned seals;  /* that the VMM has added to what is no memfd any more */
	struct ram *ram; /* what the number stands for now; NULL: the memfd */
};

/* Whether it may be one of them: without the books. */
bool files_has(int fd);

/* The rest with the books open. NULL where it is none of them. */
struct file *files_get(int fd);
/* Without a number yet. */
struct file *file_new(enum file_kind kind);
/* It stays while it is looked at with the books closed. */
void file_join(struct file *file);
void file_leave(struct file *file);
/* It has this number, too. One that is too high to be noted stays unknown. */
void files_put(int fd, struct file *file);
/* The number stands for something else from now on, or for nothing. */
void files_drop(int fd);
void files_drop_range(unsigned first, unsigned last);
/* It is this library's own, until files_drop(). Not its connection, which changes: see
 * broker_connection(). */
void files_keep(int fd);
bool files_are_own(int fd);
/* A number of a file that has become that RAM; -1: none has. */
int files_find(const struct ram *ram);
/* It is not that RAM any more. */
void file_leave_ram(struct file *file);
/* How many numbers files of that kind have. */
unsigned files_count(enum file_kind kind);
