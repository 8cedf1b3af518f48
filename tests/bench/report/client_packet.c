/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clients that exchange packets: with gmemd, with the echo server, and with nothing but a process.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/gmem.h"
#include "protocol/packet.h"
#include "tests/bench/bench.h"
#include "tests/bench/report/client.h"

#define SLOTS          64u
#define MEMORIES       2u
#define SLOT_SIZE      0x10000ull
#define USERSPACE_ADDR 0x100000000000 /* nothing is mapped there, and need not be */

static const char ping[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";
static const char pong[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}";

struct packet_client {
	int socket;
	const char *request;
};

static int new_client(int socket, const char *request, void **ret_client)
{
	struct packet_client *client = malloc(sizeof *client);

	if (!client)
		return -ENOMEM;
	*client = (struct packet_client){socket, request};
	*ret_client = client;
	return 0;
}

static int packet_client_connect(
	const char *address, const char *request, unsigned number, void **ret_client)
{
	int fd, r = packet_connect(address, &fd);

	(void)number;
	return r < 0 ? r : new_client(fd, request, ret_client);
}

static void packet_disconnect(void *context)
{
	struct packet_client *client = context;

	close(client->socket);
	free(client);
}

static void close_files(struct msghdr *message)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	int fds[16];
	size_t length;

	if (!header || header->cmsg_type != SCM_RIGHTS)
		return;
	length = header->cmsg_len - CMSG_LEN(0);
	memcpy(fds, CMSG_DATA(header), length);
	for (size_t i = 0; i < length / sizeof *fds; i++)
		close(fds[i]);
}

static int packet_exchange(void *context)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(16 * sizeof(int))];
	} control;
	struct packet_client *client = context;
	char bytes[PACKET_BYTES_MAX];
	struct iovec part = {bytes, sizeof bytes};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	ssize_t length;

	if (send(client->socket, client->request, strlen(client->request), MSG_NOSIGNAL) < 0)
		return -errno;
	length = recvmsg(client->socket, &message, MSG_CMSG_CLOEXEC);
	if (length < 0)
		return -errno;
	close_files(&message);
	return memmem(bytes, (size_t)length, "\"result\":", 9) ? 0 : -EPROTO;
}

/* Of a VM: this process's, for all clients. */

static struct {
	struct gmem *gmem;
	struct gmem_vm *vm;
	struct gmem_memory *memories[MEMORIES];
	char request[128];
} own;

static int make_memory(struct gmem_vm *vm, unsigned first, struct gmem_memory **ret)
{
	struct gmem_slot slot;
	int r = gmem_memory_create(vm, SLOTS / MEMORIES * SLOT_SIZE, NULL, ret);

	for (unsigned i = 0; r == 0 && i < SLOTS / MEMORIES; i++) {
		slot = (struct gmem_slot){.slot = first + i,
			.guest_phys_addr = (first + i) * SLOT_SIZE,
			.memory_size = SLOT_SIZE,
			.userspace_addr = USERSPACE_ADDR + (first + i) * SLOT_SIZE,
			.memory = *ret,
			.guest_memfd_offset = i * SLOT_SIZE};
		r = gmem_slot_bind(vm, &slot);
	}
	return r;
}

static void write_request(const char *method)
{
	int length = snprintf(own.request, sizeof own.request,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":", method);
	char *params = own.request + length;
	size_t size = sizeof own.request - (size_t)length;

	if (strcmp(method, "vm.get") == 0)
		snprintf(params, size, "{\"vm\":\"%s\"}}", gmem_vm_id(own.vm));
	else
		snprintf(
			params, size, "{\"memory\":%" PRIu64 "}}", gmem_memory_id(own.memories[0]));
}

static int vm_prepare(const char *address, const char *request)
{
	const struct gmem_vm_options options = {.name = "report", .gate = GMEM_GATE_NONE};
	int r = gmem_connect(address, &own.gmem);

	if (r == 0)
		r = gmem_vm_open(own.gmem, &options, &own.vm);
	for (unsigned i = 0; r == 0 && i < MEMORIES; i++)
		r = make_memory(own.vm, i * SLOTS / MEMORIES, &own.memories[i]);
	if (r == 0)
		write_request(request);
	return r;
}

static int vm_connect(const char *address, const char *request, unsigned number, void **ret_client)
{
	(void)request;
	return packet_client_connect(address, own.request, number, ret_client);
}

/* Bare: a process for each client, that answers and does nothing else. */

static int send_file(int socket, int file)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	struct iovec part = {(char *)(uintptr_t)pong, sizeof pong - 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (file >= 0) {
		memcpy(CMSG_DATA(&control.header), &file, sizeof file);
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static _Noreturn void answer(int socket, int file)
{
	char bytes[4096];

	while (recv(socket, bytes, sizeof bytes, 0) > 0 && send_file(socket, file) == 0)
		;
	_exit(EXIT_SUCCESS);
}

static int connect_bare(int file, void **ret_client)
{
	int pair[2], pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid = bench_fork();
	if (pid == 0) {
		close(pair[0]);
		answer(pair[1], file);
	}
	close(pair[1]);
	return pid < 0 ? pid : new_client(pair[0], ping, ret_client);
}

static int bare_connect(
	const char *address, const char *request, unsigned number, void **ret_client)
{
	(void)address;
	(void)request;
	(void)number;
	return connect_bare(-1, ret_client);
}

static int bare_file_connect(
	const char *address, const char *request, unsigned number, void **ret_client)
{
	int file = memfd_create("bench", MFD_CLOEXEC);

	(void)address;
	(void)request;
	(void)number;
	return file < 0 ? -errno : connect_bare(file, ret_client);
}

const struct client_kind client_packet = {
	"packet", NULL, packet_client_connect, packet_exchange, packet_disconnect};
const struct client_kind client_vm = {
	"vm", vm_prepare, vm_connect, packet_exchange, packet_disconnect};
const struct client_kind client_bare = {
	"bare", NULL, bare_connect, packet_exchange, packet_disconnect};
const struct client_kind client_bare_file = {
	"bare-file", NULL, bare_file_connect, packet_exchange, packet_disconnect};
