/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lines of a configuration file. See config_lines.h.
 */
#include "daemon/config/config_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"

#define FILE_MAX (1u << 20)

static const char byte_order_mark[] = "\xef\xbb\xbf";

/* One byte more than a file may have, to see that it has more. Returns how many there are. */
static ssize_t read_all(int fd, char *text)
{
	size_t length = 0;

	while (length <= FILE_MAX) {
		ssize_t got = read(fd, text + length, FILE_MAX + 1 - length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return (ssize_t)length;
		length += (size_t)got;
	}
	return -EFBIG;
}

int config_lines_open(
	const char *path, struct config_faults *faults, struct config_lines *ret_lines)
{
	/* A pipe's writer is not waited for. */
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text;
	ssize_t length;

	if (fd < 0)
		return -errno;
	text = malloc(FILE_MAX + 1);
	if (!text)
		return -ENOMEM;
	length = read_all(fd, text);
	if (length < 0) {
		free(text);
		return (int)length;
	}
	*ret_lines = (struct config_lines){
		.faults = faults, .text = text, .next = text, .left = (size_t)length};
	return 0;
}

void config_lines_close(struct config_lines *lines)
{
	free(lines->text);
	lines->text = lines->next = NULL;
}

static void skip(struct config_lines *lines, size_t count)
{
	lines->next += count;
	lines->left -= count;
}

/* The next line's length without its end. */
static size_t find_end(const struct config_lines *lines)
{
	const char *end = memchr(lines->next, '\n', lines->left);

	return end ? (size_t)(end - lines->next) : lines->left;
}

static void skip_blanks(struct config_lines *lines)
{
	while (lines->left > 0 && (*lines->next == ' ' || *lines->next == '\t'))
		skip(lines, 1);
}

/* "" for what libinih need not see, or could not. */
static void take(struct config_lines *lines, size_t length, char *line)
{
	line[0] = '\0';
	if (length == 0 || *lines->next == '#' || *lines->next == ';')
		return;
	if (memchr(lines->next, '\0', length)) {
		config_faults_add(
			lines->faults, lines->line, "", "must be text, without NUL bytes");
	} else if (length > CONFIG_LINE_MAX) {
		config_faults_add(lines->faults, lines->line, "",
			"must be a line of at most %d bytes; it has %zu", CONFIG_LINE_MAX, length);
	} else {
		memcpy(line, lines->next, length);
		line[length] = '\0';
	}
}

char *config_lines_read(char *line, int size, void *lines_)
{
	struct config_lines *lines = lines_;
	size_t length;

	if (lines->left == 0 || size < CONFIG_LINE_MAX + 2)
		return NULL;
	if (lines->line++ == 0 && lines->left >= 3 && memcmp(lines->next, byte_order_mark, 3) == 0)
		skip(lines, 3);
	skip_blanks(lines);
	length = find_end(lines);
	take(lines, length, line);
	strcat(line, "\n");
	skip(lines, length < lines->left ? length + 1 : length);
	return line;
}
