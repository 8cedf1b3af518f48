/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * HTTP. See http.h.
 */
#include "client/exporter/http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>

#include "client/common/say.h"
#include "kernel/base/cleanup.h"

/* Of a request: a collector's has neither a body nor long headers. */
#define HEADERS_MAX 8192
#define BODY_MAX    1024

/* A client that sends and takes nothing for so long is closed. */
#define CLIENT_SECONDS 10

/* Until it is tried again to accept, where there can be no more clients. */
#define FULL_MS 100

#define TEXT_PLAIN  "text/plain; charset=utf-8"
#define OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

struct http {
	struct evhttp *server;
	struct page *page;
};

/* Of who waits for metrics. */
struct metrics_request {
	struct page_waiter waiter;
	struct evhttp_request *request;
};

static void answer(
	struct evhttp_request *request, int code, const char *type, struct evbuffer *take_body)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);

	evhttp_add_header(headers, "Content-Type", type);
	evhttp_send_reply(request, code, NULL, take_body);
	if (take_body)
		evbuffer_free(take_body);
}

static void answer_line(struct evhttp_request *request, int code, const char *line)
{
	struct evbuffer *body = evbuffer_new();

	if (body)
		evbuffer_add_printf(body, "%s\n", line);
	answer(request, code, TEXT_PLAIN, body);
}

static void release(const void *text, size_t length, void *owner)
{
	(void)text;
	(void)length;
	page_release(owner);
}

static void send_metrics(
	struct evhttp_request *request, const char *text, size_t length, void *owner)
{
	struct evbuffer *body = text ? evbuffer_new() : NULL;

	if (body && evbuffer_add_reference(body, text, length, release, owner) == 0) {
		answer(request, HTTP_OK, OPENMETRICS, body);
		return;
	}
	if (body)
		evbuffer_free(body);
	page_release(owner);
	answer_line(request, HTTP_SERVUNAVAIL, "There is no memory for it.");
}

static void metrics_ready(struct page_waiter *waiter, const char *text, size_t length, void *owner)
{
	struct metrics_request *metrics = (struct metrics_request *)waiter;
	struct evhttp_request *request = metrics->request;

	evhttp_connection_set_closecb(evhttp_request_get_connection(request), NULL, NULL);
	free(metrics);
	send_metrics(request, text, length, owner);
}

/* libevent frees its request. */
static void client_gone(struct evhttp_connection *connection, void *context)
{
	struct metrics_request *metrics = context;

	(void)connection;
	page_forget(&metrics->waiter);
	free(metrics);
}

static void serve_metrics(struct http *http, struct evhttp_request *request)
{
	struct metrics_request *metrics = malloc(sizeof *metrics);

	if (!metrics) {
		answer_line(request, HTTP_SERVUNAVAIL, "There is no memory for it.");
		return;
	}
	*metrics = (struct metrics_request){.waiter = {.ready = metrics_ready}, .request = request};
	evhttp_connection_set_closecb(evhttp_request_get_connection(request), client_gone, metrics);
	page_ask(http->page, &metrics->waiter);
}

static void serve(struct evhttp_request *request, void *context)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	bool metrics = path && strcmp(path, "/metrics") == 0;
	enum evhttp_cmd_type method = evhttp_request_get_command(request);

	if (!metrics && (!path || strcmp(path, "/-/healthy") != 0)) {
		answer_line(request, HTTP_NOTFOUND, "There are /metrics and /-/healthy.");
	} else if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
		evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET, HEAD");
		answer_line(request, HTTP_BADMETHOD, "This is to be got.");
	} else if (metrics) {
		serve_metrics(context, request);
	} else {
		answer_line(request, HTTP_OK, "gmemd-exporter serves.");
	}
}

static void accept_again(evutil_socket_t fd, short what, void *listener)
{
	(void)fd;
	(void)what;
	evconnlistener_enable(listener);
}

/* There are as many clients as there may be, or no memory: those who connect wait for a moment. The
 * context is libevent's own. */
static void cannot_accept(struct evconnlistener *listener, void *context)
{
	const struct timeval pause = {.tv_usec = FULL_MS * 1000};
	struct event_base *base = evconnlistener_get_base(listener);

	(void)context;
	evconnlistener_disable(listener);
	if (event_base_once(base, -1, EV_TIMEOUT, accept_again, listener, &pause) < 0)
		evconnlistener_enable(listener);
}

/* So that what is not to be had is refused by us, by its name. */
static void take_all_methods(struct evhttp *server)
{
	evhttp_set_allowed_methods(server, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
						   EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
						   EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE |
						   EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH);
}

static void set_bounds(struct evhttp *server)
{
	evhttp_set_max_headers_size(server, HEADERS_MAX);
	evhttp_set_max_body_size(server, BODY_MAX);
	evhttp_set_timeout(server, CLIENT_SECONDS);
}

static int listen_on(struct evhttp *server, struct event_base *base, int take_fd)
{
	struct evconnlistener *listener = evconnlistener_new(
		base, NULL, NULL, LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE, 0, take_fd);

	if (!listener) {
		fd_close(take_fd);
		return -ENOMEM;
	}
	evconnlistener_set_error_cb(listener, cannot_accept);
	if (evhttp_bind_listener(server, listener))
		return 0;
	evconnlistener_free(listener);
	return -ENOMEM;
}

int http_new(struct event_base *base, struct page *page, int take_fd, struct http **ret)
{
	struct http *http = calloc(1, sizeof *http);
	int r = -ENOMEM;

	if (http) {
		http->page = page;
		http->server = evhttp_new(base);
	}
	if (http && http->server) {
		set_bounds(http->server);
		take_all_methods(http->server);
		evhttp_set_gencb(http->server, serve, http);
		r = listen_on(http->server, base, take_fd);
	} else {
		fd_close(take_fd);
	}
	if (r == 0)
		*ret = http;
	else
		http_free(http);
	return r;
}

struct http *http_free(struct http *http)
{
	if (!http)
		return NULL;
	if (http->server)
		evhttp_free(http->server);
	free(http);
	return NULL;
}
