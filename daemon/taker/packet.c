/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets between gmemd and a gmemd-taker. See packet.h.
 */
#include "daemon/taker/packet.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

int taker_packet_receive(int socket, struct taker_packet *ret)
{
	memset(&ret->message, 0, sizeof ret->message);
	return fd_packet_receive(socket, &ret->message, sizeof ret->message, &ret->came);
}

bool taker_kind_is_handed_over(enum taker_kind kind)
{
	return kind != TAKER_KVM && kind != TAKER_VM;
}

size_t taker_request_length(uint32_t count)
{
	return sizeof(struct taker_header) + offsetof(struct taker_request, files) +
	       count * sizeof(struct taker_file);
}

size_t taker_answer_length(enum taker_operation operation)
{
	size_t length = sizeof(struct taker_header);

	return operation == TAKER_TAKE ? length + sizeof(struct taker_answer) : length;
}

static int check_header(const struct taker_packet *packet)
{
	const struct taker_header *header = &packet->message.header;

	if (packet->came.length < sizeof *header || header->magic != TAKER_MAGIC)
		return -EBADMSG;
	if (header->version != TAKER_VERSION)
		return -EPROTONOSUPPORT;
	return header->reserved == 0 ? 0 : -EBADMSG;
}

static bool files_valid(const struct taker_message *message)
{
	for (uint32_t i = 0; i < message->header.count; i++) {
		uint32_t kind = message->request.files[i].kind;

		if (kind < TAKER_GUEST_MEMFD || kind > TAKER_VM)
			return false;
	}
	return true;
}

static bool flags_valid(const struct taker_header *header)
{
	if (header->flags == TAKER_MAPPING_OF_FILE)
		return false;
	if (header->flags & TAKER_MAPPING_OF_FILE && header->count == 0)
		return false;
	return !(header->flags & ~(uint32_t)(TAKER_MAPPING | TAKER_MAPPING_OF_FILE));
}

static bool take_valid(const struct taker_packet *packet)
{
	const struct taker_header *header = &packet->message.header;

	return header->count <= TAKER_FILES_MAX && packet->came.n_fds == 1 &&
	       packet->came.length == taker_request_length(header->count) && flags_valid(header) &&
	       files_valid(&packet->message);
}

static bool close_valid(const struct taker_packet *packet)
{
	const struct taker_header *header = &packet->message.header;

	return header->count == 0 && header->flags == 0 && packet->came.n_fds == 0 &&
	       packet->came.length == sizeof *header;
}

int taker_request_check(const struct taker_packet *packet)
{
	const struct taker_header *header = &packet->message.header;
	int r = check_header(packet);
	bool valid;

	if (r < 0)
		return r;
	if (packet->came.fds_lost)
		return -EMFILE;
	valid = header->operation == TAKER_TAKE
			? take_valid(packet)
			: header->operation == TAKER_CLOSE && close_valid(packet);
	return valid && header->result == 0 ? 0 : -EBADMSG;
}

/* All files that are to be handed over, or none. */
static size_t files_due(const struct taker_message *request, int result)
{
	size_t due = 0;

	if (result < 0 || request->header.operation != TAKER_TAKE)
		return 0;
	for (uint32_t i = 0; i < request->header.count; i++)
		due += taker_kind_is_handed_over(request->request.files[i].kind);
	return due;
}

static bool answer_valid(const struct taker_packet *packet, const struct taker_message *request)
{
	const struct taker_answer *answer = &packet->message.answer;
	uint32_t count = request->header.count;

	if (request->header.operation != TAKER_TAKE)
		return true;
	return (answer->failed < count || (answer->failed == 0 && count == 0)) &&
	       answer->mapping <= 0 && memchr(answer->reason, '\0', sizeof answer->reason);
}

int taker_answer_check(const struct taker_packet *packet, const struct taker_message *request)
{
	const struct taker_header *header = &packet->message.header;
	int r = check_header(packet);

	if (r < 0)
		return r;
	if (packet->came.fds_lost)
		return -EMFILE;
	if (header->operation != request->header.operation ||
		header->serial != request->header.serial || header->flags != 0 ||
		header->count != 0 || header->result > 0)
		return -EBADMSG;
	if (packet->came.length != taker_answer_length(header->operation) ||
		packet->came.n_fds != files_due(request, header->result))
		return -EBADMSG;
	return answer_valid(packet, request) ? 0 : -EBADMSG;
}
