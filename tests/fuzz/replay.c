/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tries each seed of a fuzzer once, without libFuzzer, and reports as TAP: argv[1] is the folder.
 * An input that something is wrong with ends the program.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

static int is_seed(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void try(const char *folder, const char *name)
{
	char path[4096];
	struct stat status;
	uint8_t *bytes;
	int fd;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	FUZZ_CHECK(fd >= 0 && fstat(fd, &status) == 0);
	bytes = malloc((size_t)status.st_size + 1);
	FUZZ_CHECK(bytes && read(fd, bytes, (size_t)status.st_size) == status.st_size);
	close(fd);
	LLVMFuzzerTestOneInput(bytes, (size_t)status.st_size);
	free(bytes);
}

int main(int argc, char **argv)
{
	struct dirent **entries;
	int count = argc == 2 ? scandir(argv[1], &entries, is_seed, alphasort) : -1;

	if (count <= 0) {
		printf("Bail out! no seeds\n");
		return EXIT_FAILURE;
	}
	printf("TAP version 13\n1..%d\n", count);
	for (int i = 0; i < count; i++) {
		fflush(stdout);
		try(argv[1], entries[i]->d_name);
		printf("ok %d - %s\n", i + 1, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return EXIT_SUCCESS;
}
