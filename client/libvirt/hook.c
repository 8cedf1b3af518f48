/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd-libvirt-hook: what libvirt runs from /etc/libvirt/hooks/qemu.d when a domain is about to
 * start, and when it has ended: NAME OPERATION SUBOPERATION EXTRA, and the domain's XML on stdin.
 *
 * Before a domain starts whose emulator is gmem-run-qemu, be it anew or restored, its memory is
 * reserved under its UUID, for its machine alone. If that is refused, so is the start, and what
 * this says on stderr is what virsh shows. What is left of a reservation when the domain has ended
 * or never began is given back; it lapses by itself, too.
 *
 * It must not call libvirt, which waits for it, and prints nothing on stdout, which libvirt would
 * take for another XML.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/gmem.h"
#include "client/libvirt/domain_facts.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/machine_cgroup.h"
#include "kernel/host/process_start.h"
#include "protocol/error.h"
#include "protocol/json.h"
#include "protocol/text.h"

#define SOCKET     "/run/gmemd/admin.sock"
#define WAIT_MS    10000
#define TTL_MS     300000 /* from there to QEMU's start */
#define XML_MAX    ((size_t)16 << 20)
#define EXIT_USAGE 2

static int refuse(const char *domain, const char *why)
{
	char name[256], reason[1024];

	text_copy_printable(domain, name, sizeof name);
	text_copy_printable(why, reason, sizeof reason);
	fprintf(stderr, "gmemd: domain %s: %s\n", name, reason);
	return EXIT_FAILURE;
}

/* The caller's; NULL where it can't be read. */
static char *read_xml(void)
{
	size_t room = 1 << 16, length = 0, got = 1;
	char *xml = NULL, *larger;

	while (got > 0 && room <= XML_MAX && (larger = realloc(xml, room))) {
		xml = larger;
		got = fread(xml + length, 1, room - length - 1, stdin);
		length += got;
		if (length == room - 1)
			room *= 2;
	}
	if (got > 0 || ferror(stdin)) {
		free(xml);
		return NULL;
	}
	xml[length] = '\0';
	return xml;
}

static int call(struct gmem *gmem, const char *method, struct json_object *params)
{
	cleanup_free char *result = NULL;

	return gmem_call(gmem, method, json_print(params, NULL), &result);
}

static int64_t error_code(void)
{
	const char *text = gmem_last_error(), *why;
	struct json_object *error = json_parse(text, strlen(text), &why);
	int64_t code = 0;

	json_get_int(error, "code", &code);
	json_unref(error);
	return code;
}

static int cancel(struct gmem *gmem, const char *uuid)
{
	struct json_object *params = json_new_object();
	int r;

	json_add_string(params, "reservation", uuid);
	r = call(gmem, "reservation.cancel", params);
	json_unref(params);
	return r;
}

static struct json_object *describe(const struct domain_facts *facts)
{
	struct json_object *params = json_new_object();
	char machine[MACHINE_PREFIX_SIZE];

	machine_prefix(facts->id, machine);
	json_add_string(params, "name", facts->uuid);
	json_add_uint(params, "size", domain_facts_commit_limit(facts));
	if (facts->tenant)
		json_add_string(params, "tenant", facts->tenant);
	json_add_string(params, "machine", machine);
	json_add_uint(params, "ttl_ms", TTL_MS);
	return params;
}

/* One of its own that an earlier start has left is in the way of nothing. */
static int create(struct gmem *gmem, const struct domain_facts *facts)
{
	struct json_object *params = describe(facts);
	int r = call(gmem, "reservation.create", params);

	if (r == -EREMOTEIO && error_code() == RPC_CONFLICT) {
		cancel(gmem, facts->uuid);
		r = call(gmem, "reservation.create", params);
	}
	json_unref(params);
	return r;
}

static int reserve(const struct domain_facts *facts)
{
	struct gmem *gmem;
	char why[FACTS_TEXT_MAX];
	int r;

	if (facts->fault[0]) {
		snprintf(why, sizeof why, "<gmem:memory> in its metadata: %.400s", facts->fault);
		return refuse(facts->name, why);
	}
	if (facts->id < 0)
		return refuse(facts->name, "libvirt has given it no number yet");
	r = gmem_connect(SOCKET, &gmem);
	if (r < 0)
		return refuse(facts->name, "no gmemd serves at " SOCKET);
	gmem_set_reconnect_limit(gmem, WAIT_MS);
	r = create(gmem, facts);
	if (r < 0)
		r = refuse(facts->name, gmem_last_message());
	gmem_free(gmem);
	return r;
}

/* There may be none: it was used, or never made, or gmemd is away. */
static int release(const struct domain_facts *facts)
{
	struct gmem *gmem;

	if (gmem_connect(SOCKET, &gmem) < 0)
		return EXIT_SUCCESS;
	gmem_set_reconnect_limit(gmem, WAIT_MS);
	cancel(gmem, facts->uuid);
	gmem_free(gmem);
	return EXIT_SUCCESS;
}

static int run(const char *domain, int (*work)(const struct domain_facts *facts))
{
	cleanup_free char *xml = read_xml();
	struct domain_facts facts;
	char why[FACTS_TEXT_MAX];
	int status;

	if (!xml)
		return refuse(domain, "its XML can't be read from stdin");
	if (domain_facts_read(xml, &facts, why) < 0)
		return refuse(domain, why);
	status = facts.is_ours ? work(&facts) : EXIT_SUCCESS;
	domain_facts_clear(&facts);
	return status;
}

int main(int argc, char **argv)
{
	if (process_start(PROCESS_TOOL) < 0)
		return EXIT_FAILURE;
	if (argc < 4) {
		fprintf(stderr, "gmemd-libvirt-hook is run by libvirt: NAME OPERATION SUBOPERATION "
				"EXTRA\n");
		return EXIT_USAGE;
	}
	if (strcmp(argv[2], "prepare") == 0)
		return run(argv[1], reserve);
	if (strcmp(argv[2], "release") == 0)
		return run(argv[1], release);
	return EXIT_SUCCESS;
}
