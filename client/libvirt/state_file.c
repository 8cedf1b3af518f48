/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state file. See state_file.h.
 */
#include "client/libvirt/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "protocol/json.h"

static const char *or_null(const char *text)
{
	return text && text[0] ? text : NULL;
}

static void add_domain(struct json_object *array, const struct domain *domain)
{
	const struct domain_facts *facts = &domain->facts;
	struct json_object *object = json_append_object(array);

	json_add_string(object, "uuid", domain->uuid);
	json_add_string(object, "name", facts->name);
	json_add_string(object, "title", facts->title);
	json_add_bool(object, "active", domain->active);
	if (facts->name) {
		json_add_uint(object, "maximum", facts->maximum);
		json_add_uint(object, "limit", domain_facts_commit_limit(facts));
	}
	json_add_string(object, "tenant", facts->tenant);
	json_add_string(object, "fault", or_null(facts->fault));
	json_add_string(object, "unread", or_null(domain->unread));
	json_add_string(object, "refused", or_null(domain->refused));
}

static struct json_object *describe(const struct state *state)
{
	struct json_object *object = json_new_object(), *array;
	struct domain *domain;

	json_add_string(object, "uri", state->uri);
	json_add_bool(object, "libvirt", state->libvirt);
	json_add_bool(object, "gmemd", state->gmemd);
	json_add_uint(object, "time", (uint64_t)time(NULL));
	array = json_add_array(object, "domains");
	RB_FOREACH (domain, domain_tree, state->domains)
		add_domain(array, domain);
	return object;
}

static int write_text(const char *path, const char *text, size_t length)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	ssize_t written;

	if (fd < 0)
		return -errno;
	while (length > 0) {
		written = write(fd, text, length);
		if (written < 0)
			return -errno;
		text += written;
		length -= (size_t)written;
	}
	return 0;
}

int state_file_write(const char *path, const struct state *state)
{
	struct json_object *object = describe(state);
	char next[PATH_MAX];
	const char *text;
	size_t length = 0;
	int r = -ENOMEM;

	text = json_print(object, &length);
	if (snprintf(next, sizeof next, "%s.new", path) >= (int)sizeof next)
		r = -ENAMETOOLONG;
	else if (text)
		r = write_text(next, text, length);
	if (r == 0 && rename(next, path) < 0)
		r = -errno;
	json_unref(object);
	return r;
}
