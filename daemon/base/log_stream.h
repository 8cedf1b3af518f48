/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines to stderr, none of which is waited for: a line goes out whole and at once, or not at all.
 *
 * stderr can't be given O_NONBLOCK, which belongs to the open file description: a shell may have
 * that, too. So a socket is written to with MSG_DONTWAIT, a pipe with RWF_NOWAIT (Linux 6.4) or,
 * where that isn't to be had, when poll(2) says that it has room for PIPE_BUF bytes; a terminal
 * through a description of our own, which can have O_NONBLOCK, or, where it may not be opened, byte
 * by byte as it has room. A file on a disk is waited for as long as its disk takes.
 *
 * SIGPIPE must be ignored.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The longest line: of as many bytes a pipe takes all or none (POSIX says 512 at least). */
#define LOG_LINE_MAX 2048

enum log_stream_kind {
	LOG_STREAM_FILE,
	LOG_STREAM_SOCKET,
	LOG_STREAM_PIPE,
	LOG_STREAM_TERMINAL,
};

struct log_stream {
	enum log_stream_kind kind;
	int fd;    /* stderr's, or one of our own */
	bool own;  /* a description of our own, with O_NONBLOCK */
	bool amid; /* a line of which only the beginning went out */
};

void log_stream_open(struct log_stream *stream);
/* The line without its end. Returns 0, or a negative errno where it is lost; -EAGAIN: for the
 * moment. At most LOG_LINE_MAX bytes of it are written. */
int log_stream_write(struct log_stream *stream, const char *line, size_t length);
