/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of VMs and of memories, which may be each other's: the end of a VM closes its memories,
 * and a memory that is closed may have another VM's last closed one let go, for which alone that VM
 * has remained.
 */
#pragma once

#include "daemon/vm/memory.h"

/* Its pages are gone, but for memory->resident. Keeps its file (closed_memory.h) or frees it, and
 * lets other files go where there are too many. Ledgers are to be committed then. */
void memory_close(struct memory *memory);
/* A closed one is watched no more. Frees it, and its VM where that has remained for nothing else.
 * Ledgers are to be committed then. */
void closed_memory_let_go(struct memory *memory);

/* It is released from now on: its slots, calls and private ranges are gone. Its memories are still
 * charged. */
void vm_stop(struct vm *vm);
/* Closes the memories of one that was stopped, and ends its charge and what it was promised. Their
 * pages should be gone; memory->resident says what is left of them. */
void vm_drop(struct vm *vm);
/* In the place of vm_free() once its process has ended, or has made room for another VM: it remains
 * for as long as files of closed memories are kept. */
void vm_end(struct vm *vm);
/*
 * Forgets it and closes what is held for it. Memory that was not released stays as it is for as
 * long as somebody else holds it. Takes NULL, returns NULL.
 */
struct vm *vm_free(struct vm *vm);

/* Forgets all VMs: those that run go on running, on the memory that they have. */
void vms_free(struct registry *registry);
/* Lets those go that are gone and that nobody sees: files of closed memories without pages. */
void vms_free_unseen(struct registry *registry);
