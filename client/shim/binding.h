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

/* Also of one that is bound already, where only the flags of a plain slot change. */
int binding_bind(const struct gmem_slot *slot);
int binding_unbind(const struct gmem_slot *slot);
/* Deletes the slot of that number and binds it as this, while no vCPU is in the guest. */
int binding_exchange(const struct gmem_slot *slot);
