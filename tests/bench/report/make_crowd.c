/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * make_crowd: many VMMs, of two memories each; says as JSON how long they took to make, and the VM
 * of the last one, and ends with them when its input does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/crowd.h"

int main(int argc, char **argv)
{
	struct crowd_plan plan = {.memories = 2};
	struct crowd crowd;
	double began;
	char byte;
	int r;

	if (argc != 5 || atoi(argv[2]) < 1 || atoi(argv[3]) < 2 ||
		(strcmp(argv[4], "gate") != 0 && strcmp(argv[4], "no-gate") != 0)) {
		fprintf(stderr, "Usage: %s SOCKET VMMS SLOTS gate|no-gate\n", argv[0]);
		return 2;
	}
	plan.vmms = (unsigned)atoi(argv[2]);
	plan.slots = (unsigned)atoi(argv[3]) / plan.memories * plan.memories;
	plan.no_gate = strcmp(argv[4], "no-gate") == 0;
	began = bench_now();
	r = crowd_start(argv[1], &plan, &crowd);
	if (r == 0)
		printf("{\"seconds\": %.6f, \"last\": \"%s\"}\n", (bench_now() - began) / 1e9,
			crowd.last);
	fflush(stdout);
	while (r == 0 && read(STDIN_FILENO, &byte, 1) > 0)
		;
	crowd_end(&crowd);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
