/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Verifications. See verification.h.
 */
#include "daemon/verification.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/errand.h"

struct job {
	struct errand errand;
	struct gmemd *gmemd;
	struct verification verification;
	verification_done *done;
};

static void verify(struct errand *errand)
{
	struct verification *verification = &((struct job *)errand)->verification;

	verification->reason = "the mailbox's mapping could not be read";
	verification->result = mapping_verify(
		verification->trap.thread, &verification->expected, &verification->reason);
}

static void verified(struct errand *errand)
{
	struct job *job = (struct job *)errand;

	job->done(job->gmemd, &job->verification);
	free(job);
}

int verification_start(
	struct gmemd *gmemd, const struct verification *verification, verification_done *done)
{
	struct job *job = malloc(sizeof *job);
	int r;

	if (!job)
		return -ENOMEM;
	*job = (struct job){
		.errand = {.work = verify, .done = verified},
		.gmemd = gmemd,
		.verification = *verification,
		.done = done,
	};
	r = errand_start(gmemd->base, &job->errand);
	if (r < 0)
		free(job);
	return r;
}
