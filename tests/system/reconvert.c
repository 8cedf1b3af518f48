/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VMM of libgmem's for test_reconvert.py: makes both halves of private memory, and once it is
 * told to go on by a line, converts each second page by one request. Amid that its connection
 * breaks, and another thread has it made again. Says what was wrong or "done", and stays until its
 * input ends.
 *
 *     reconvert SOCKET
 *
 * PRIVATE_KERNEL_FRAMES names the file of private_kernel.c's that says what is private.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/gmem.h"

#define PAGE   UINT64_C(4096)
#define RANGES 128u
#define SIZE   (2 * RANGES * PAGE)

static struct gmem *gmem;
static struct gmem_vm *vm;
static const volatile char *frames;

static void need(int r, const char *what)
{
	if (r >= 0)
		return;
	printf("%s: %s, %s\n", what, strerror(-r), gmem_last_error());
	exit(EXIT_FAILURE);
}

static void map_frames(void)
{
	const char *path = getenv("PRIVATE_KERNEL_FRAMES");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	frames = mmap(NULL, 2 * RANGES, PROT_READ, MAP_SHARED, fd, 0);
	need(frames == MAP_FAILED ? -EINVAL : 0, "PRIVATE_KERNEL_FRAMES");
	close(fd);
}

static void open_vm(const char *socket)
{
	const struct gmem_vm_options options = {.name = "reconvert", .gate = GMEM_GATE_NONE};
	const struct gmem_memory_options private = {.flags = GMEM_MEMORY_NO_FLAGS};
	const struct gmem_memory_options shared = {.backing = GMEM_BACKING_MEMFD};
	struct gmem_slot slot = {.memory_size = SIZE};
	void *bytes;

	need(gmem_connect(socket, &gmem), "connecting");
	need(gmem_vm_open(gmem, &options, &vm), "opening the VM");
	need(gmem_memory_create(vm, SIZE, &private, &slot.memory), "the private half");
	need(gmem_memory_create(vm, SIZE, &shared, &slot.shared_memory), "the shared half");
	need(gmem_memory_map(slot.shared_memory, 0, SIZE, PROT_READ | PROT_WRITE, &bytes),
		"mapping");
	slot.userspace_addr = (uintptr_t)bytes;
	need(gmem_slot_bind(vm, &slot), "binding");
}

static void *convert(void *context)
{
	struct gmem_range ranges[RANGES];

	(void)context;
	for (unsigned i = 0; i < RANGES; i++)
		ranges[i] = (struct gmem_range){2 * i * PAGE, PAGE};
	need(gmem_convertv(vm, GMEM_PRIVATE, ranges, RANGES, 0, NULL), "converting");
	return NULL;
}

static void ask_gmemd(void)
{
	char *result;

	need(gmem_call(gmem, "ping", "{}", &result), "ping");
	free(result);
}

/* Once the first of them is private. */
static void break_connection(void)
{
	while (frames[0] != '1')
		usleep(100);
	shutdown(gmem_fd(gmem), SHUT_RDWR);
	ask_gmemd();
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char line[16];

	if (argc != 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	map_frames();
	open_vm(argv[1]);
	printf("%s\n", gmem_vm_id(vm));
	if (!fgets(line, sizeof line, stdin))
		return EXIT_SUCCESS;
	ask_gmemd();
	if (pthread_create(&thread, NULL, convert, NULL) != 0)
		return EXIT_FAILURE;
	break_connection();
	pthread_join(thread, NULL);
	ask_gmemd();
	printf("done\n");
	while (fgets(line, sizeof line, stdin)) {
	}
	return EXIT_SUCCESS;
}
