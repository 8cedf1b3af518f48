/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * smaps: whether a mailbox is mapped as it must be. What is let pass has a line that says so.
 */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "kernel/kvm/mapping.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct mapping_expected expected = {
		.address = 0x70000000, .length = 0x8000, .file = {makedev(0, 1), 1234}};
	struct fuzz_input input = {bytes, size};
	char *text = fuzz_text(&input);
	FILE *smaps = fmemopen(text, strlen(text) + 1, "r");
	const char *reason = NULL;
	int r;

	FUZZ_CHECK(smaps);
	r = mapping_verify_in(smaps, &expected, &reason);
	FUZZ_CHECK(r == 0 || r == -EPERM || r == -EIO);
	FUZZ_CHECK(r == 0 || reason);
	if (r == 0)
		FUZZ_CHECK(strstr(text, "r--s") && strstr(text, " sl") && strstr(text, "1234"));
	fclose(smaps);
	free(text);
	return 0;
}
