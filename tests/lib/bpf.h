/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An interpreter of the classic BPF that seccomp filters are written in.
 *
 * Independent of what writes them: it knows the instructions that the gate uses, and aborts on all
 * others, on loads outside the data and on jumps outside the program. Reference:
 * Documentation/networking/filter.rst.
 */
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

/* What the program returns for the system call. */
uint32_t bpf_run(const struct sock_filter *program, size_t length, const struct seccomp_data *data);
