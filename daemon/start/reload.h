/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reloading: the configuration is read anew, and holds from then on.
 *
 * All of it does or nothing. What is wrong is told to whoever asked, in the log, and to the service
 * manager; then gmemd serves on as before. What was granted stays so, whatever the new limits are.
 * A gmemd that was started with a wrong configuration begins to serve by the first right one; those
 * who have connected meanwhile have to connect again, for now it is known whom it lets in.
 */
#pragma once

#include "daemon/gmemd.h"

/* 0; -EINVAL where it is refused, and gmemd->refusal says why; -ENOMEM. */
int reload_configuration(struct gmemd *gmemd);
