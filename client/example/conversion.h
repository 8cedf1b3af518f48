/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What conversion does, shown without a guest: on gmemd's model, whose private memory the VMM can
 * look into as no VMM can with KVM.
 */
#pragma once

#include "client/gmem.h"

/* Makes memories and a slot of its own, and takes them away again. look is called while guest
 * frames are private. 0 or a negative errno, and then gmem_last_message() says why. */
int example_convert(struct gmem_vm *vm, void (*look)(void *context), void *context);
