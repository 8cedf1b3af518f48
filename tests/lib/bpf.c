/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An interpreter of classic BPF. See bpf.h.
 */
#include "tests/lib/bpf.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noreturn)) static void reject(const char *why, size_t at)
{
	fprintf(stderr, "bpf: %s at instruction %zu\n", why, at);
	abort();
}

static uint32_t load(const struct seccomp_data *data, uint32_t offset, size_t at)
{
	uint32_t word;

	if (offset % sizeof word != 0 || offset > sizeof *data - sizeof word)
		reject("load outside the data", at);
	memcpy(&word, (const char *)data + offset, sizeof word);
	return word;
}

static bool condition(uint16_t code, uint32_t accumulator, uint32_t k, size_t at)
{
	switch (code) {
	case BPF_JMP | BPF_JEQ | BPF_K:
		return accumulator == k;
	case BPF_JMP | BPF_JGT | BPF_K:
		return accumulator > k;
	case BPF_JMP | BPF_JGE | BPF_K:
		return accumulator >= k;
	case BPF_JMP | BPF_JSET | BPF_K:
		return (accumulator & k) != 0;
	default:
		reject("unknown instruction", at);
	}
}

uint32_t bpf_run(const struct sock_filter *program, size_t length, const struct seccomp_data *data)
{
	uint32_t accumulator = 0;

	for (size_t at = 0; at < length; at++) {
		const struct sock_filter *instruction = &program[at];

		switch (instruction->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			accumulator = load(data, instruction->k, at);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			accumulator &= instruction->k;
			break;
		case BPF_RET | BPF_K:
			return instruction->k;
		default:
			at += condition(instruction->code, accumulator, instruction->k, at)
				      ? instruction->jt
				      : instruction->jf;
		}
	}
	reject("no return", length);
}
