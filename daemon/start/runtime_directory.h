/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The runtime directory, where the sockets are.
 */
#pragma once

#include "daemon/config/config.h"

/*
 * Makes it where it isn't there, and gives it the one spelling that it has without "..", "//" and
 * symbolic links, where that fits: sockets that a predecessor has left are known again by their
 * paths. Where gmemd is to make the sockets, sees that it may. Returns 0 or a negative errno, with
 * the reason in the log.
 */
int runtime_directory_prepare(struct config *config);
