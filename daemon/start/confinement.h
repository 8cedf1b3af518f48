/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmemd gives up, beside what its unit takes from it, in stages:
 *
 *  1. before anything else: all capabilities but those that it works with (base/privileges.h), of
 *     which two are in effect only while they are used;
 *  2. when all is set up, and before it serves anybody: the system calls by which a process changes
 *     the host, its namespaces or its own identity, or works on another's memory. What it starts
 *     can't call them either, and gets no privileges by what it executes;
 *  3. what it starts keeps what its one task needs (taker/, puncher/, keeper/confinement.h).
 *
 * The second is a list of what is denied: gmemd has libraries that may call what no list of ours
 * would have.
 */
#pragma once

/* The second stage, for all threads and for good. In a build with sanitizers, which trace their own
 * process, it does nothing. 0 or a negative errno. */
int gmemd_confinement_enter(void);
