/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Scrapes. See scrape.h.
 */
#include "client/exporter/scrape.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "client/common/openmetrics.h"
#include "client/common/paged.h"
#include "client/exporter/open_files.h"
#include "kernel/base/cleanup.h"
#include "protocol/json.h"
#include "protocol/message.h"
#include "protocol/packet.h"

/* For the whole of it: collectors wait for ten, mostly. */
#define SECONDS 5

/* What is asked for, in this order: VMs first, whose pages are counted for that. */
enum step { STEP_VMS, STEP_METRICS, STEP_NODES, STEPS };

static const char *const step_methods[STEPS] = {
	[STEP_VMS] = "vm.list", [STEP_METRICS] = "metrics.get", [STEP_NODES] = "node.list"};

struct scrape {
	struct scrape_plan plan;
	int fd;
	struct event *readable;
	struct event *late;
	enum step step;
	struct paged answers[STEPS];
	struct packet packet;
};

struct scrape *scrape_free(struct scrape *scrape)
{
	if (!scrape)
		return NULL;
	for (unsigned step = 0; step < STEPS; step++)
		paged_clear(&scrape->answers[step]);
	if (scrape->readable)
		event_free(scrape->readable);
	if (scrape->late)
		event_free(scrape->late);
	fd_close(scrape->fd);
	free(scrape);
	return NULL;
}

/* Names are printed as what reads metrics shows them. */
static struct json_object *told(struct scrape *scrape, enum step step)
{
	return json_make_printable(json_ref(scrape->answers[step].whole));
}

static void print_text(struct scrape *scrape, FILE *file)
{
	struct openmetrics text = {
		.metrics = told(scrape, STEP_METRICS),
		.nodes = told(scrape, STEP_NODES),
		.vms = scrape->plan.vms ? told(scrape, STEP_VMS) : NULL,
	};

	openmetrics_print(&text, file);
	json_unref(text.vms);
	json_unref(text.nodes);
	json_unref(text.metrics);
}

static void finish(struct scrape *scrape, const char *why)
{
	const struct scrape_plan plan = scrape->plan;
	size_t length = 0;
	char *text = NULL;
	FILE *file;

	for (unsigned step = 0; why && step < STEPS; step++)
		paged_clear(&scrape->answers[step]);
	file = open_memstream(&text, &length);
	if (file) {
		print_text(scrape, file);
		if (fclose(file) != 0)
			length = 0;
	}
	scrape_free(scrape);
	plan.done(plan.context, text, length, why);
}

static int ask(struct scrape *scrape)
{
	struct json_object *params = json_new_object(), *request;
	const char *bytes;
	size_t length;
	int r = -ENOMEM;

	paged_add_cursor(&scrape->answers[scrape->step], params);
	request = message_request(1, step_methods[scrape->step], params);
	bytes = json_print(request, &length);
	if (bytes)
		r = packet_send(scrape->fd, MSG_DONTWAIT, bytes, length, NULL, 0);
	json_unref(request);
	return r;
}

/* 1 where there is more to come, 0 where that was all. */
static int go_on(struct scrape *scrape, struct json_object *result)
{
	int r = paged_add(&scrape->answers[scrape->step], result);

	if (r < 0)
		return r;
	if (r == 0)
		scrape->step++;
	if (scrape->step == STEPS)
		return 0;
	r = ask(scrape);
	return r < 0 ? r : 1;
}

/* What came is gmemd's answer, or its error. */
static int read_answer(struct scrape *scrape, struct json_object *message, const char **ret_why)
{
	struct json_object *result = json_get(message, "result");
	int r;

	if (!json_is_object(result)) {
		*ret_why = json_has(message, "error")
				   ? json_get_string(json_get(message, "error"), "message")
				   : "what came is no answer";
		return -EPROTO;
	}
	r = go_on(scrape, result);
	if (r < 0)
		*ret_why = strerror(-r);
	return r;
}

static void receive(struct scrape *scrape)
{
	struct packet *packet = &scrape->packet;
	struct json_object *message;
	const char *why = "what came is no JSON";
	char kept[256];
	int r = packet_receive(scrape->fd, MSG_DONTWAIT, packet);

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		finish(scrape, strerror(-r));
		return;
	}
	fd_list_close(&packet->fds);
	message = json_parse(packet->bytes, packet->length, &why);
	r = message ? read_answer(scrape, message, &why) : -EPROTO;
	snprintf(kept, sizeof kept, "%s", why);
	json_unref(message);
	if (r <= 0)
		finish(scrape, r < 0 ? kept : NULL);
}

static void readable(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	receive(context);
}

static void too_late(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	finish(context, "it does not answer");
}

/* Without waiting for room in its queue. */
static int connect_at_once(const char *path, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	cleanup_fd int fd =
		open_files_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return fd;
	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return -errno;
	*ret_fd = fd;
	fd = -1; /* taken */
	return 0;
}

static int watch(struct scrape *scrape, struct event_base *base)
{
	const struct timeval limit = {.tv_sec = SECONDS};

	scrape->readable = event_new(base, scrape->fd, EV_READ | EV_PERSIST, readable, scrape);
	scrape->late = evtimer_new(base, too_late, scrape);
	if (!scrape->readable || !scrape->late || event_add(scrape->readable, NULL) < 0 ||
		evtimer_add(scrape->late, &limit) < 0)
		return -ENOMEM;
	return 0;
}

int scrape_begin(struct event_base *base, const struct scrape_plan *plan, struct scrape **ret)
{
	struct scrape *scrape = calloc(1, sizeof *scrape);
	int r;

	if (!scrape)
		return -ENOMEM;
	scrape->plan = *plan;
	scrape->step = plan->vms || plan->count ? STEP_VMS : STEP_METRICS;
	scrape->fd = -1;
	*ret = scrape;
	r = connect_at_once(plan->socket, &scrape->fd);
	if (r == 0)
		r = watch(scrape, base);
	if (r == 0)
		r = ask(scrape);
	if (r < 0)
		finish(scrape, strerror(-r));
	return 0;
}
