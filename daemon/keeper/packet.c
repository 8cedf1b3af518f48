/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets between gmemd and gmemd-keeper. See packet.h.
 */
#include "daemon/keeper/packet.h"

#include <errno.h>
#include <string.h>

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

int keeper_packet_receive(int socket, struct keeper_packet *ret)
{
	/* What is looked at before the length is. */
	memset(&ret->message.header, 0, sizeof ret->message.header);
	return fd_packet_receive(socket, &ret->message, sizeof ret->message, &ret->came);
}

void keeper_packet_clear(struct keeper_packet *packet)
{
	fd_packet_clear(&packet->came);
}

int keeper_packet_send(int socket, const struct keeper_message *message, size_t length,
	const int *fds, unsigned n_fds)
{
	return fd_packet_send(socket, message, length, fds, n_fds);
}

static bool from_keeper_protocol(const struct keeper_packet *packet)
{
	return packet->came.length >= sizeof(struct keeper_header) &&
	       packet->message.header.magic == KEEPER_MAGIC;
}

static bool counts_valid(const struct keeper_header *header, size_t n_fds)
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
	case KEEPER_TAKE_MANY:
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
	if (packet->came.fds_lost)
		return packet->came.n_fds < KEEPER_BATCH ? -EMFILE : -EBADMSG;
	if (!counts_valid(header, packet->came.n_fds) || header->flags & ~flags ||
		header->result != 0 || header->reserved != 0 ||
		packet->came.length != keeper_message_length(header->count))
		return -EBADMSG;
	return lives_are_owned(&packet->message) ? 0 : -EBADMSG;
}

/* Of ids, at most. */
static uint32_t answer_room(uint16_t operation)
{
	switch (operation) {
	case KEEPER_TAKE:
		return KEEPER_BATCH;
	case KEEPER_TAKE_MANY:
		return KEEPER_MANY;
	default:
		return operation == KEEPER_ACCEPT;
	}
}

static bool contents_valid(const struct keeper_packet *packet)
{
	const struct keeper_header *header = &packet->message.header;
	size_t length = keeper_message_length(header->count);

	if (header->operation == KEEPER_HELLO && header->result == 0)
		length += sizeof(struct keeper_report);
	return header->count <= answer_room(header->operation) &&
	       packet->came.n_fds == header->count && packet->came.length == length;
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
	if (packet->came.fds_lost)
		return -EMFILE;
	if (header->operation != request->operation || header->serial != request->serial)
		return -EBADMSG;
	return contents_valid(packet) ? 0 : -EBADMSG;
}
