/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why KVM_RUN has ended, by the name that <linux/kvm.h> has for it.
 */
#pragma once

#include <stdint.h>

/* "KVM_EXIT_MMIO"; "exit reason 99" for one that is newer than this program. Lives until this
 * thread's next call. */
const char *exit_name(uint32_t reason);
