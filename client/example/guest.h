/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The example VMM's guest, as its VMM loads it: see example_guest.S.
 */
#pragma once

#include <stdint.h>

#define GUEST_CODE_ADDRESS  0x1000
#define GUEST_TABLE_ADDRESS 0x0800 /* struct guest_table */
#define GUEST_CONSOLE_PORT  0xe9
#define GUEST_RANGES_MAX    8

struct guest_table {
	uint16_t n_ranges;
	uint16_t sum; /* the guest's answer */
	struct {
		uint16_t segment; /* guest address / 16 */
		uint16_t words;   /* of 16 bits */
	} ranges[GUEST_RANGES_MAX];
};

extern const unsigned char example_guest[], example_guest_end[];
