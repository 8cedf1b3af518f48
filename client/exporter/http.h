/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The exporter's HTTP: /metrics, and /-/healthy, to be got; nothing else.
 */
#pragma once

#include <event2/event.h>

#include "client/exporter/page.h"

struct http;

/* Takes the listening socket. -ENOMEM. */
int http_new(struct event_base *base, struct page *page, int take_fd, struct http **ret);
/* Takes NULL, returns NULL. */
struct http *http_free(struct http *http);
