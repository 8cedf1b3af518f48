/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ends of pressure triggers: a thread of its own closes them, one after the other, while the
 * loop goes on, for it has to wait (kept_trigger.h).
 */
#pragma once

#include "kernel/host/pressure.h"

/* Takes what is closed already, with -1 in it; what it takes is so afterwards. */
void trigger_end(struct pressure_trigger *trigger);
