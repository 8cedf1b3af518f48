/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The listening sockets. See listener.h.
 */
#include "daemon/peer/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/listen_socket.h"
#include "daemon/base/log.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/fdstore/inherited_fds.h"
#include "daemon/peer/acceptor.h"
#include "daemon/peer/rival.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/passrights.h"

#define LISTENERS 2
#define BACKLOG   128

/* What a killed gmemd was starting has all of its files for a moment: until it is executed. */
#define REMNANT_TRIES    100
#define REMNANT_PAUSE_MS 20

struct listener {
	const char *name;
	enum method_access access;
	int fd;
	bool made;      /* by us or a predecessor, so that we remove it */
	uint64_t inode; /* of the path, where it was made */
	struct sockaddr_un address;
	char rival[RIVAL_TEXT_SIZE]; /* who has the path */
	struct acceptor *acceptor;
	struct listeners *listeners;
};

struct listeners {
	struct gmemd *gmemd;
	struct peer_list peers;
	struct listener all[LISTENERS];
};

static uint64_t number_of(const struct listener *listener)
{
	return (uint64_t)(listener - listener->listeners->all);
}

/* A socket that nobody answers at is what a killed gmemd has left. Connecting to what is no socket
 * is refused, too; that is somebody's file. -EBUSY where whoever listened has ended, and another
 * has the socket; or it may have: a queue that is full tells of nobody. */
static int remove_stale(struct listener *listener)
{
	const struct sockaddr_un *address = &listener->address;
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat status;

	if (fd < 0)
		return -errno;
	if (lstat(address->sun_path, &status) == 0 && !S_ISSOCK(status.st_mode))
		return -ENOTSOCK;
	if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
		return rival_describe(fd, listener->rival) ? -EADDRINUSE : -EBUSY;
	if (errno == EAGAIN) {
		strcpy(listener->rival,
			"its queue of connections is full, and nobody accepts them");
		return -EBUSY;
	}
	if (errno != ECONNREFUSED && errno != ENOENT)
		return -errno;
	if (unlink(address->sun_path) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

static int clear_path(struct listener *listener)
{
	const struct timespec pause = {.tv_nsec = REMNANT_PAUSE_MS * 1000000L};
	int r = remove_stale(listener);

	for (unsigned i = 0; r == -EBUSY && i < REMNANT_TRIES; i++) {
		nanosleep(&pause, NULL);
		r = remove_stale(listener);
	}
	return r == -EBUSY ? -EADDRINUSE : r;
}

/* Whether those who have connected before could send files: see passrights.h. The model does
 * without where the kernel can't. */
static bool keep_files_out(const struct listener *listener)
{
	bool could = false;

	return passrights_withdraw(listener->fd, &could) == 0 && could;
}

static bool anybody_waits(const struct listener *listener)
{
	struct pollfd event = {.fd = listener->fd, .events = POLLIN};

	return poll(&event, 1, 0) > 0;
}

static int listener_bind(struct listener *listener, mode_t mode)
{
	int r;

	r = clear_path(listener);
	if (r == 0)
		r = listen_socket_bind(&listener->address, &listener->fd);
	if (r < 0)
		return r;
	listener->made = true;
	keep_files_out(listener);
	if (chmod(listener->address.sun_path, mode) < 0)
		return -errno;
	return listen(listener->fd, BACKLOG) < 0 ? -errno : 0;
}

static void put_listener(const struct listener *listener)
{
	fdstore_put_one(listener->listeners->gmemd->fdstore, FDSTORE_LISTENER, number_of(listener),
		listener->inode, listener->fd);
}

/* Whether the path leads to that very socket: another could be there by now. The inode tells, which
 * is the socket's as long as it is held; the directory may have been spelled otherwise then. */
static bool leads_to(const struct listener *listener, int fd, uint64_t inode)
{
	struct stat status;

	return listen_socket_is(fd) && lstat(listener->address.sun_path, &status) == 0 &&
	       S_ISSOCK(status.st_mode) && status.st_ino == inode;
}

/* The one that a predecessor has left. Others are of no use. By listening again, connections are
 * told of this process. */
static bool listener_inherit(struct listener *listener, mode_t mode)
{
	struct gmemd *gmemd = listener->listeners->gmemd;
	const struct keeper_id *id;
	size_t position = 0;

	while (gmemd->inherited &&
		(id = inherited_fds_next(gmemd->inherited, FDSTORE_LISTENER, &position))) {
		cleanup_fd int fd = -1;

		if (id->owner != number_of(listener))
			continue;
		fd = inherited_fds_take(gmemd->inherited, id->kind, id->owner, id->member);
		if (leads_to(listener, fd, id->member) &&
			chmod(listener->address.sun_path, mode) == 0 && listen(fd, BACKLOG) == 0) {
			listener->inode = id->member;
			listener->fd = fd;
			listener->made = true;
			fd = -1; /* handed over */
			return true;
		}
		fdstore_drop(gmemd->fdstore, id->kind, id->owner, id->member);
	}
	return false;
}

static int listener_new(struct listener *listener, mode_t mode)
{
	const struct config *config = &listener->listeners->gmemd->config;
	struct stat status;
	int r;

	if (mkdir(config->runtime_directory, 0755) < 0 && errno != EEXIST)
		return -errno;
	r = listener_bind(listener, mode);
	if (r < 0)
		return r;
	if (lstat(listener->address.sun_path, &status) < 0)
		return -errno;
	listener->inode = status.st_ino;
	return 0;
}

static mode_t mode_of(const struct listener *listener)
{
	const struct config *config = &listener->listeners->gmemd->config;

	return listener->access == ACCESS_VMM ? config->vmm_socket_mode
					      : config->operator_socket_mode;
}

static int listener_make(struct listener *listener)
{
	const struct config *config = &listener->listeners->gmemd->config;
	mode_t mode = mode_of(listener);
	int r;

	listener->address.sun_family = AF_UNIX;
	snprintf(listener->address.sun_path, sizeof listener->address.sun_path, "%s/%s",
		config->runtime_directory, listener->name);
	r = listener_inherit(listener, mode) ? 0 : listener_new(listener, mode);
	if (r < 0)
		log_error("%s: %s", listener->address.sun_path,
			r == -EADDRINUSE ? listener->rival : strerror(-r));
	return r;
}

/* Of one that was made by another, too. */
static int listener_watch(struct listener *listener)
{
	bool could_send = keep_files_out(listener);
	const struct acceptor_plan plan = {
		.name = listener->name,
		.fd = listener->fd,
		.access = listener->access,
		.id = {FDSTORE_LISTENER, number_of(listener), listener->inode},
		.peers = &listener->listeners->peers,
		.screened_first = could_send && anybody_waits(listener),
	};

	return acceptor_new(listener->listeners->gmemd, &plan, &listener->acceptor);
}

static struct listener *listener_without_fd(struct listeners *listeners, const char *name)
{
	for (unsigned i = 0; i < LISTENERS; i++) {
		if (strcmp(name, listeners->all[i].name) == 0 && listeners->all[i].fd < 0)
			return &listeners->all[i];
	}
	return NULL;
}

/* Closes what has no name of ours. */
static void take_passed(const char *name, int take_fd, void *context)
{
	struct listener *listener = listener_without_fd(context, name);

	if (listener && listen_socket_is(take_fd)) {
		fcntl(take_fd, F_SETFL, fcntl(take_fd, F_GETFL) | O_NONBLOCK);
		listener->fd = take_fd;
		return;
	}
	log_warning("the file that was passed as \"%s\" is closed: it is no listening SEQPACKET "
		    "socket named gmemd.sock or admin.sock",
		name);
	fd_close(take_fd);
}

static int listeners_set_up(struct listeners *listeners)
{
	int r;

	r = listen_sockets_take_passed(take_passed, listeners);
	for (unsigned i = 0; r == 0 && i < LISTENERS; i++) {
		if (listeners->all[i].fd < 0)
			r = listener_make(&listeners->all[i]);
		if (r == 0)
			r = listener_watch(&listeners->all[i]);
		if (r == 0)
			put_listener(&listeners->all[i]);
	}
	return r;
}

int listeners_new(struct gmemd *gmemd, struct listeners **ret)
{
	struct listeners *listeners = calloc(1, sizeof *listeners);
	int r;

	if (!listeners)
		return -ENOMEM;
	listeners->gmemd = gmemd;
	TAILQ_INIT(&listeners->peers);
	listeners->all[0] = (struct listener){.name = "gmemd.sock", .access = ACCESS_VMM};
	listeners->all[1] = (struct listener){.name = "admin.sock", .access = ACCESS_OPERATOR};
	for (unsigned i = 0; i < LISTENERS; i++) {
		listeners->all[i].fd = -1;
		listeners->all[i].listeners = listeners;
	}
	r = listeners_set_up(listeners);
	if (r < 0) {
		listeners_free(listeners);
		return r;
	}
	gmemd->listeners = *ret = listeners;
	return 0;
}

struct peer_list *listeners_peers(struct listeners *listeners)
{
	return &listeners->peers;
}

void listeners_follow_config(struct listeners *listeners)
{
	for (unsigned i = 0; i < LISTENERS; i++) {
		const struct listener *listener = &listeners->all[i];
		const char *path = listener->address.sun_path;

		if (listener->made && chmod(path, mode_of(listener)) < 0)
			log_warning("%s: its mode stays as it was: %s", path, strerror(errno));
	}
	if (listeners->gmemd->faults)
		peers_end_provisional(&listeners->peers);
}

void listeners_accept_waiting(struct listeners *listeners)
{
	for (unsigned i = 0; i < LISTENERS; i++)
		acceptor_accept_waiting(listeners->all[i].acceptor);
}

bool listeners_have_peers(const struct listeners *listeners)
{
	bool have = !TAILQ_EMPTY(&listeners->peers);

	for (unsigned i = 0; i < LISTENERS; i++)
		have |= acceptor_is_asking(listeners->all[i].acceptor);
	return have;
}

static void remove_made(const struct listener *listener)
{
	struct gmemd *gmemd = listener->listeners->gmemd;

	if (listener->made && fdstore_is_left(gmemd->fdstore))
		return;
	if (listener->made)
		unlink(listener->address.sun_path);
	fdstore_drop(gmemd->fdstore, FDSTORE_LISTENER, number_of(listener), listener->inode);
}

struct listeners *listeners_free(struct listeners *listeners)
{
	if (!listeners)
		return NULL;
	listeners->gmemd->listeners = NULL;
	peers_free(&listeners->peers);
	for (unsigned i = 0; i < LISTENERS; i++) {
		struct listener *listener = &listeners->all[i];

		acceptor_free(listener->acceptor);
		remove_made(listener);
		fd_close(listener->fd);
	}
	if (!fdstore_is_left(listeners->gmemd->fdstore))
		fdstore_await_sent(listeners->gmemd->fdstore, FDSTORE_SEND_MS);
	free(listeners);
	return NULL;
}
