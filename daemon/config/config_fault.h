/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is wrong in configuration files, and in which line.
 */
#pragma once

#include <limits.h>
#include <stddef.h>

struct config_fault {
	char file[PATH_MAX];
	unsigned order;   /* of its file among those that were read */
	unsigned line;    /* from 1; 0: of the file as a whole */
	char setting[64]; /* its name; "" where the line has none */
	char text[480];   /* what is allowed there, as "must be a number" */
};

/* More are not told of at once. */
#define CONFIG_FAULTS_MAX 16

struct config_faults {
	char file[PATH_MAX]; /* that is being read */
	unsigned order;
	struct config_fault all[CONFIG_FAULTS_MAX]; /* sorted by line once all files are read */
	unsigned count;
};

/* What is added from now on is of that file. */
void config_faults_of_file(struct config_faults *faults, const char *path);

/* Takes note of one. */
__attribute__((format(printf, 4, 5))) void config_faults_add(
	struct config_faults *faults, unsigned line, const char *setting, const char *format, ...);

void config_faults_sort(struct config_faults *faults);

/* A whole one, with its file. */
#define CONFIG_FAULT_TEXT_MAX (PATH_MAX + 600)

/* "FILE:LINE: SETTING: TEXT", of the one at index. */
void config_faults_print(
	const struct config_faults *faults, unsigned index, char *ret, size_t size);
