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
	return kind != TAKER_KVM;
}

size_t taker_request_length(enum taker_operation operation, uint32_t count)
{
	size_t length = sizeof(struct taker_header);

	if (operation == TAKER_TAKE)
		length += offsetof(struct taker_request, files) + count * sizeof(struct taker_file);
	else if (operation == TAKER_LOOK)
		length += offsetof(struct taker_look, views) + count * sizeof(struct taker_view);
	return length;
}

size_t taker_answer_length(enum taker_operation operation)
{
	size_t length = sizeof(struct taker_header);

	if (operation == TAKER_TAKE)
		length += sizeof(struct taker_answer);
	else if (operation == TAKER_LOOK)
		length += sizeof(struct taker_look_answer);
	return length;
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

		if (kind < TAKER_GUEST_MEMFD || kind > TAKER_PIDFD)
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
	       packet->came.length == taker_request_length(TAKER_TAKE, header->count) &&
	       flags_valid(header) && files_valid(&packet->message);
}

/* A view wraps round nowhere, and is of something. */
static bool views_valid(const struct taker_message *message)
{
	for (uint32_t i = 0; i < message->header.count; i++) {
		const struct taker_view *view = &message->look.views[i];
		uint64_t end;

		if (view->length == 0 ||
			__builtin_add_overflow(view->address, view->length, &end) ||
			__builtin_add_overflow(view->offset, view->length, &end))
			return false;
	}
	return true;
}

static bool look_valid(const struct taker_packet *packet)
{
	const struct taker_header *header = &packet->message.header;

	return header->count > 0 && header->count <= TAKER_VIEWS_MAX && header->flags == 0 &&
	       packet->came.n_fds == 1 &&
	       packet->came.length == taker_request_length(TAKER_LOOK, header->count) &&
	       packet->message.look.reserved == 0 && views_valid(&packet->message);
}

static bool close_valid(const struct taker_packet *packet)
{
	const struct taker_header *header = &packet->message.header;

	return header->count == 0 && !(header->flags & ~(uint32_t)TAKER_QUIET) &&
	       packet->came.n_fds == 0 && packet->came.length == sizeof *header;
}

static bool request_valid(const struct taker_packet *packet)
{
	switch (packet->message.header.operation) {
	case TAKER_TAKE:
		return take_valid(packet);
	case TAKER_LOOK:
		return look_valid(packet);
	case TAKER_CLOSE:
		return close_valid(packet);
	default:
		return false;
	}
}

int taker_request_check(const struct taker_packet *packet)
{
	int r = check_header(packet);

	if (r < 0)
		return r;
	if (packet->came.fds_lost)
		return -EMFILE;
	return request_valid(packet) && packet->message.header.result == 0 ? 0 : -EBADMSG;
}

struct taker_asked taker_asked(const struct taker_message *request)
{
	struct taker_asked asked = {.serial = request->header.serial,
		.operation = request->header.operation,
		.count = request->header.count};

	if (asked.operation != TAKER_TAKE)
		return asked;
	for (uint32_t i = 0; i < asked.count; i++)
		asked.n_fds += taker_kind_is_handed_over(request->request.files[i].kind);
	return asked;
}

static bool answer_valid(const struct taker_packet *packet, const struct taker_asked *asked)
{
	const struct taker_answer *answer = &packet->message.answer;
	uint32_t count = asked->count;

	if (asked->operation == TAKER_LOOK)
		return count == TAKER_VIEWS_MAX || packet->message.look_answer.shown >> count == 0;
	if (asked->operation != TAKER_TAKE)
		return true;
	return (answer->failed < count || (answer->failed == 0 && count == 0)) &&
	       answer->mapping <= 0 && memchr(answer->reason, '\0', sizeof answer->reason);
}

int taker_answer_check(const struct taker_packet *packet, const struct taker_asked *asked)
{
	const struct taker_header *header = &packet->message.header;
	int r = check_header(packet);

	if (r < 0)
		return r;
	if (packet->came.fds_lost)
		return -EMFILE;
	if (header->operation != asked->operation || header->serial != asked->serial ||
		header->flags != 0 || header->count != 0 || header->result > 0)
		return -EBADMSG;
	if (packet->came.length != taker_answer_length(header->operation) ||
		packet->came.n_fds != (header->result < 0 ? 0 : asked->n_fds))
		return -EBADMSG;
	return answer_valid(packet, asked) ? 0 : -EBADMSG;
}
