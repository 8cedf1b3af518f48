/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lines of a configuration file, as libinih is to see them.
 *
 * libinih 55 reads lines of up to 199 bytes, and takes what is beyond that for lines of their own:
 * so a long comment could become a setting. And it takes a line that begins with a blank for more
 * of the setting before. So it reads from here: comments are left out, blanks before a line too,
 * and a line that it could not take as a whole is a fault.
 */
#pragma once

#include "daemon/config/config_fault.h"

/* Of one line, without its end. */
#define CONFIG_LINE_MAX 198

struct config_lines {
	struct config_faults *faults;
	char *text, *next; /* of the whole file, which ends with a NUL; owned */
	size_t left;       /* bytes from next on */
	unsigned line;     /* the last that was read */
};

/* Reads the file. -EFBIG where it can't be a configuration, or a negative errno. */
int config_lines_open(
	const char *path, struct config_faults *faults, struct config_lines *ret_lines);
void config_lines_close(struct config_lines *lines);

/* libinih's reader: fgets(3) from the lines. */
char *config_lines_read(char *line, int size, void *lines);
