/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Capabilities, for the programs beside gmemd, which need none or one. gmemd's own are
 * privileges.h. See capabilities(7).
 *
 * no_new_privs is set as well. Where a service manager has left nothing to be given up it may have
 * denied capset(2); that is no error.
 */
#pragma once

/* Gives up all of them, for good. */
int capabilities_give_up(void);

/* Gives up all but that one, which goes to no program that this process runs; it needn't be
 * there. */
int capabilities_keep(unsigned capability);
