/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests that go on after the connection broke, and notifications.
 */
#pragma once

#include "client/lib/exchange.h"

/*
 * Sends a request and waits for its answer. Takes params. exchange may be NULL where no fds are
 * meant to go or come. *ret_result is the caller's; ret_result may be NULL. -EREMOTEIO where gmemd
 * answered an error.
 */
int connection_request(struct gmem *gmem, const char *method, struct json_object *take_params,
	struct exchange *exchange, struct json_object **ret_result);
/* Sends a notification. Takes params. One that can't be sent goes with what is sent next. */
int connection_notify(struct gmem *gmem, const char *method, struct json_object *take_params);
/* One that waits for that. */
void connection_notify_later(
	struct gmem *gmem, const char *method, struct json_object *take_params);
