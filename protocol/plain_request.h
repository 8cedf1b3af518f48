/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plain requests: most of them, read without making values of what they say.
 *
 * To make a value of each part, look for it by its name and free it takes longer than all else that
 * a ping needs, or most of what a slot.bind does. What has nothing in it that could be written in
 * more than one way, and parameters that are as the method's table has them, is read here; of all
 * else this says nothing.
 */
#pragma once

#include <stddef.h>

#include "protocol/message.h"
#include "protocol/methods.h"
#include "protocol/plain_fields.h"

/* A method's name, with its NUL, at most: longer ones are not plain. */
#define PLAIN_METHOD_SIZE 32

struct plain_request {
	/* As request_message_read() has it, but for its parameters; its id is owned. */
	struct request_message message;
	char method[PLAIN_METHOD_SIZE];
	/* What the parameters were decoded by, and are to be released by; NULL: it has none. */
	const struct field *decoded;
	struct plain_strings strings; /* of the parameters */
};

/* False where the text is none: then *parameters is zeroes. *ret must stay where it is, and its id
 * is to be unreferenced. Its parameters are decoded to *parameters. */
bool plain_request_read(const char *text, size_t length, union method_parameters *parameters,
	struct plain_request *ret);
