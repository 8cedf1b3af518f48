/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files that a request names. See request_files.h.
 */
#include "daemon/request_files.h"

#include <errno.h>

#include "daemon/handler.h"
#include "kernel/cleanup.h"

static int refuse_number(struct request *request, const char *param, int r)
{
	if (r == -EBADF)
		return rpc_error_invalid_param(
			&request->error, param, "the number of a file that the process has open");
	if (r == -ESRCH)
		return rpc_error_gone(&request->error, "process", "that connected");
	return rpc_error_kernel(&request->error, -r, "pidfd_getfd");
}

static int take_file(int *number, const char *param, void *context)
{
	struct request *request = context;
	struct request_files *files = &request->files;
	int fd, r;

	if (request->caller->process.pid == 0)
		return request_process_unseen(request);
	r = process_duplicate_file_of(&request->caller->process, *number, &fd);
	if (r < 0)
		return refuse_number(request, param, r);
	files->fds[files->count++] = fd;
	*number = fd;
	return 0;
}

int request_files_take(struct request *request, const struct field *fields)
{
	return fields_each_fd(fields, &request->parameters, take_file, request);
}

void request_files_close(struct request_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		fd_close(files->fds[i]);
	files->count = 0;
}
