/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plain requests: the shortest ones, read without making a value of them.
 *
 * To have json-c read a ping takes longer than all else that a ping needs: it makes a locale for
 * each text, and an object of each part. What has no parameters, and nothing in it that could be
 * written in more than one way, is read here; of all else this says nothing.
 */
#pragma once

#include <stddef.h>

#include "protocol/message.h"

/* A method's name, with its NUL, at most: longer ones are not plain. */
#define PLAIN_METHOD_SIZE 32

struct plain_request {
	struct request_message message; /* as request_message_read() has it; its id is owned */
	char method[PLAIN_METHOD_SIZE];
};

/* False where the text is none. *ret must stay where it is, and its id is to be unreferenced. */
bool plain_request_read(const char *text, size_t length, struct plain_request *ret);
