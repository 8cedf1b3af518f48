/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What slots are to be, told to gmemd and carried out: slots.h decides, this does it.
 *
 * There is nothing but to wait where gmemd is away. A refusal is said on stderr. Functions return 0
 * or what the ioctl would have: a negative errno.
 */
#pragma once

#include <stdint.h>

struct gmem_slot;

int binding_bind(const struct gmem_slot *slot);
int binding_unbind(uint32_t number);
/* From the one to the other, which are the same number's, with vCPUs held. */
int binding_exchange(const struct gmem_slot *before, const struct gmem_slot *after);
