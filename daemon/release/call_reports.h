/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reports by the page: what VMMs have written into their report pages
 * (kernel/kvm/report_page.h) is settled as if they had sent call.done.
 *
 * gmemd is not told when one is written. So it looks before it carries out a request: of a VMM,
 * into the page of its VM; of an operator, into all pages, for what is told must be so. It looks
 * before a VM is released, when it takes over from a predecessor, and, while there is a VM with
 * calls that wait to be reported, after a while in any case.
 *
 * What a look settles is committed before anything else is done, one call after the other, and the
 * words stay: a successor finds those that were not settled.
 */
#pragma once

#include "daemon/request/request.h"

struct call_reports;

/* -ENOMEM, -EMFILE. */
int call_reports_new(struct gmemd *gmemd, struct call_reports **ret);
/* Takes NULL, returns NULL. */
struct call_reports *call_reports_free(struct call_reports *reports);

/* The VM's process is told of a call, which it may report by its page. */
void call_reports_await(struct gmemd *gmemd, struct vm *vm);
/* Settles all that its page reports. */
void call_reports_settle(struct gmemd *gmemd, struct vm *vm);
/* The same before the request, of whatever it can tell of or change. Of an operator's: a bounded
 * number of calls, in the order in which they began to wait, for any VMM can write many reports at
 * once; the rest follows soon. */
void call_reports_settle_for(const struct request *request);
