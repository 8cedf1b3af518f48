/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Profiles: where the time of requests went since an operator has asked, for host.profile.
 *
 * Each connection has one at most, and all measure the same stages: as long as there is any, and no
 * longer. Nothing of it outlives gmemd.
 */
#pragma once

#include "daemon/base/stage.h"

struct json_object;
struct profile;

/* From now on. NULL without memory. */
struct profile *profile_begin(struct stages *stages);
/* Takes NULL, returns NULL. */
struct profile *profile_end(struct profile *profile);
/* As host.profile has it. */
void profile_describe(const struct profile *profile, struct json_object *object);
