/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration file: whatever is wrong in it is told by its line, and then nothing of it
 * counts.
 */
#include <string.h>
#include <unistd.h>

#include "daemon/config/config_file.h"
#include "tests/fuzz/fuzz.h"

static unsigned count_lines(const uint8_t *bytes, size_t size)
{
	unsigned lines = 1;

	for (size_t i = 0; i < size; i++)
		lines += bytes[i] == '\n';
	return lines;
}

static void check_faults(const struct config_faults *faults, unsigned lines)
{
	static char text[CONFIG_FAULT_TEXT_MAX];

	FUZZ_CHECK(faults->count > 0 && faults->count <= CONFIG_FAULTS_MAX);
	for (unsigned i = 0; i < faults->count; i++) {
		FUZZ_CHECK(faults->all[i].line <= lines && faults->all[i].text[0]);
		FUZZ_CHECK(i == 0 || faults->all[i - 1].line <= faults->all[i].line);
		config_faults_print(faults, i, text, sizeof text);
		FUZZ_CHECK(strlen(text) > strlen(faults->all[i].file));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct config_faults faults;
	struct config config, before;
	int file = fuzz_file(bytes, size);
	char path[32];

	memcpy(&config, &config_defaults, sizeof config);
	memcpy(&before, &config, sizeof config);
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	if (config_file_read(path, /* required= */ true, &config, &faults)) {
		FUZZ_CHECK(faults.count == 0);
		config_clear(&config);
	} else {
		FUZZ_CHECK(memcmp(&config, &before, sizeof config) == 0);
		check_faults(&faults, count_lines(bytes, size));
	}
	close(file);
	return 0;
}
