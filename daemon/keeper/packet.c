/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets between gmemd and gmemd-keeper. See packet.h.
 */
#include "daemon/keeper/packet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/base/cleanup.h"

#define FDS_LENGTH (KEEPER_BATCH * sizeof(int))

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(FDS_LENGTH)];
};

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

int keeper_id_compare(const struct keeper_id *a, const struct keeper_id *b)
{
	if (a->kind != b->kind)
		return compare_numbers(a->kind, b->kind);
	if (a->owner != b->owner)
		return compare_numbers(a->owner, b->owner);
	return compare_numbers(a->member, b->member);
}

size_t keeper_message_length(uint32_t count)
{
	return sizeof(struct keeper_header) + count * sizeof(struct keeper_id);
}

static void take_fds(struct msghdr *message, struct keeper_packet *packet)
{
	struct cmsghdr *header;

	for (header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		packet->n_fds = (unsigned)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(packet->fds, CMSG_DATA(header), packet->n_fds * sizeof(int));
	}
	packet->fds_lost = message->msg_flags & MSG_CTRUNC;
}

int keeper_packet_receive(int socket, struct keeper_packet *ret)
{
	union control control;
	struct iovec bytes = {&ret->message, sizeof ret->message};
	struct msghdr message = {.msg_iov = &bytes,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	ssize_t length;

	memset(ret, 0, sizeof *ret);
	do {
		length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_TRUNC);
	} while (length < 0 && errno == EINTR);
	if (length < 0)
		return -errno;
	take_fds(&message, ret);
	ret->length = (size_t)length;
	if (length > 0)
		return 0;
	keeper_packet_clear(ret);
	return -ECONNRESET;
}

void keeper_packet_clear(struct keeper_packet *packet)
{
	for (unsigned i = 0; i < packet->n_fds; i++)
		packet->fds[i] = fd_close(packet->fds[i]);
	packet->n_fds = 0;
}

int keeper_packet_send(int socket, const struct keeper_message *message, size_t length,
	const int *fds, unsigned n_fds)
{
	union control control = {0};
	struct iovec bytes = {(void *)message, length};
	struct msghdr packet = {.msg_iov = &bytes, .msg_iovlen = 1};
	ssize_t sent;

	if (n_fds > 0) {
		packet.msg_control = &control;
		packet.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
	}
	do {
		sent = sendmsg(socket, &packet, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static bool from_keeper_protocol(const struct keeper_packet *packet)
{
	return packet->length >= sizeof(struct keeper_header) &&
	       packet->message.header.magic == KEEPER_MAGIC;
}

static bool counts_valid(const struct keeper_header *header, unsigned n_fds)
{
	switch (header->operation) {
	case KEEPER_HELLO:
		return header->count == 0 && n_fds == 0;
	case KEEPER_PUT:
		return header->count >= 1 && header->count <= KEEPER_BATCH &&
		       n_fds == header->count;
	case KEEPER_DROP:
		return header->count >= 1 && header->count <= KEEPER_BATCH && n_fds == 0;
	case KEEPER_TAKE:
		return header->count <= 1 && n_fds == 0;
	case KEEPER_ACCEPT:
		return header->count == 2 && n_fds == 0;
	default:
		return false;
	}
}

/* What has a life is dropped with what it owns: else the keeper would see its end for ever. */
static bool lives_are_owned(const struct keeper_message *message)
{
	for (uint32_t i = 0; message->header.flags & KEEPER_LIFE && i < message->header.count;
		i++) {
		if (message->ids[i].kind < KEEPER_OWNED_KINDS)
			return false;
	}
	return true;
}

int keeper_request_check(const struct keeper_packet *packet)
{
	const struct keeper_header *header = &packet->message.header;
	uint32_t flags = header->operation == KEEPER_PUT ? KEEPER_STORE | KEEPER_LIFE : 0;

	if (!from_keeper_protocol(packet))
		return -EBADMSG;
	if (header->version != KEEPER_VERSION)
		return -EPROTONOSUPPORT;
	if (packet->fds_lost)
		return packet->n_fds < KEEPER_BATCH ? -EMFILE : -EBADMSG;
	if (!counts_valid(header, packet->n_fds) || header->flags & ~flags || header->result != 0 ||
		header->reserved != 0 || packet->length != keeper_message_length(header->count))
		return -EBADMSG;
	return lives_are_owned(&packet->message) ? 0 : -EBADMSG;
}

static bool contents_valid(const struct keeper_packet *packet)
{
	const struct keeper_header *header = &packet->message.header;
	size_t length = keeper_message_length(header->count);

	if (header->operation == KEEPER_HELLO && header->result == 0)
		length += sizeof(struct keeper_report);
	if (header->operation == KEEPER_ACCEPT && header->count > 1)
		return false;
	if (header->operation != KEEPER_TAKE && header->operation != KEEPER_ACCEPT &&
		header->count > 0)
		return false;
	return header->count <= KEEPER_BATCH && packet->n_fds == header->count &&
	       packet->length == length;
}

int keeper_answer_check(const struct keeper_packet *packet, const struct keeper_header *request)
{
	const struct keeper_header *header = &packet->message.header;

	if (!from_keeper_protocol(packet) || header->result > 0)
		return -EBADMSG;
	if (header->version != KEEPER_VERSION)
		return -EPROTONOSUPPORT;
	if (header->operation == KEEPER_REFUSAL && header->result < 0)
		return header->result;
	if (packet->fds_lost)
		return -EMFILE;
	if (header->operation != request->operation || header->serial != request->serial)
		return -EBADMSG;
	return contents_valid(packet) ? 0 : -EBADMSG;
}
