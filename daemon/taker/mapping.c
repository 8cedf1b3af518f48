/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How another process has mapped a file. See mapping.h.
 */
#include "daemon/taker/mapping.h"

#include <errno.h>

#include "kernel/kvm/mapping.h"

static int describe_mapping(
	const struct taker_message *request, int first, struct mapping_expected *ret)
{
	const struct taker_request *wanted = &request->request;

	ret->address = wanted->address;
	ret->length = wanted->length;
	if (request->header.flags & TAKER_MAPPING_OF_FILE)
		return file_identity_of(first, &ret->file);
	ret->file = (struct file_identity){.device = wanted->device, .inode = wanted->inode};
	return 0;
}

struct verification {
	struct mapping_expected expected;
	const char *reason;
};

static int verify_of_thread(pid_t thread, int pidfd, void *context)
{
	struct verification *verification = context;

	int r = mapping_verify(thread, &verification->expected, &verification->reason);

	(void)pidfd;
	return r == -ENOENT ? -ESRCH : r;
}

int taker_mapping_verify(const struct taker_process *process, const struct taker_message *request,
	int first, const char **ret_reason)
{
	struct verification verification = {.reason = "the mailbox's mapping could not be read"};
	int r = describe_mapping(request, first, &verification.expected);

	if (r == 0 && request->request.thread > 0)
		r = verify_of_thread(request->request.thread, -1, &verification);
	else if (r == 0)
		r = taker_threads_visit(process, verify_of_thread, &verification);
	*ret_reason = verification.reason;
	return r;
}
