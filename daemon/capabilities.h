/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Capabilities, for the programs beside gmemd, which need none. gmemd's own are privileges.h. See
 * capabilities(7).
 */
#pragma once

/* All of them, for good: no_new_privs is set as well. A service manager may have denied capset(2)
 * having left nothing to be given up; that is no error. */
int capabilities_give_up(void);
