/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page worker: threads that do what takes long because memories are large, for all of gmemd.
 *
 * Pages are counted or given back in steps, and owners take turns of a few milliseconds, so neither
 * the loop nor a small VM's job waits for a large one's. Releasing the memory of VMs whose process
 * has ended goes before all that somebody asks for, but for a small part of the time, as processes
 * can end without end; what operators ask for comes next.
 *
 * One thread works at a time. But whoever else has a file can keep all who punch it waiting, by
 * allocating in it, for as long as it likes. A thread that is late for that lets another take the
 * turns meanwhile: of threads there are as many as have been late at once, up to owners_threads(),
 * and one alone at a VM's work (share_hold()), so it waits alone. They touch nothing but the jobs.
 * Each has a gmemd-puncher, which waits in its place (puncher.h), so gmemd can end at any time.
 */
#pragma once

#include "daemon/pages/page_job.h"

struct page_closer;
struct page_worker;

/* All must outlive it. puncher: the program, NULL for the one that is beside gmemd, or installed.
 * -ENOMEM, -EMFILE, -EAGAIN. */
int page_worker_new(struct event_base *base, struct scheduler *scheduler, struct owners *owners,
	const char *puncher, struct page_worker **ret);
/* Ends the threads, which wait for nobody. Jobs that are not finished, and those that come then,
 * are done as they are. Takes NULL. */
void page_worker_stop(struct page_worker *pages);
/* Takes NULL, returns NULL. Nobody may refer to any page file of it any more. */
struct page_worker *page_worker_free(struct page_worker *pages);

/* The page worker has the job, and done will be called, in a turn of its owner's. */
void page_worker_submit(struct page_worker *pages, struct page_job *job);
/* The same, unless it is for the loop: then it is done, done has been called, which may have freed
 * the job, and true is returned. */
bool page_worker_do(struct page_worker *pages, struct page_job *job);

struct page_closer *page_worker_closer(struct page_worker *pages);

/* As owner_move(), while no thread looks at owners. pages: NULL where there are none. */
void page_worker_move_owner(
	struct page_worker *pages, struct owner *owner, struct owner *consume_place);
