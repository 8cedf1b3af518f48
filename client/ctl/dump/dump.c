/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl dump: a VM's memory as an ELF core.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/ctl/bar.h"
#include "client/ctl/dump/copy.h"
#include "client/ctl/report.h"
#include "client/ctl/request.h"
#include "client/ctl/text.h"
#include "client/ctl/verb.h"
#include "client/gmem.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/process_start.h"
#include "protocol/json.h"

struct dump {
	struct ctl *ctl;
	struct dump_plan plan;
	struct core_file core;
	struct dump_source source;
	uint64_t memory; /* whose source that is; 0: none's */
	struct bar bar;
	uint64_t done, total; /* bytes of memory */
	uint64_t unread;
};

static volatile sig_atomic_t signal_come;

static void note_signal(int signal)
{
	signal_come = signal;
}

static void catch_signals(void)
{
	const struct sigaction action = {.sa_handler = note_signal};

	if (process_may_handle(SIGINT))
		sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* Of the file that the part is in. */
static enum ctl_status open_source(struct dump *dump, uint64_t memory)
{
	cleanup_fd int fd = -1;
	uint64_t size;
	char byte;
	bool mapped;
	int r;

	if (dump->memory == memory)
		return CTL_DONE;
	dump_source_close(&dump->source);
	dump->memory = 0;
	r = gmem_open_granted(dump->ctl->gmem, memory, &fd, &size);
	if (r < 0)
		return report_call(dump->ctl, r);
	mapped = pread(fd, &byte, 1, 0) < 0;
	if (mapped && geteuid() != 0) {
		fputs("gmemctl: only root is told which pages of a guest_memfd there are\n",
			stderr);
		return CTL_REFUSED;
	}
	r = dump_source_open(fd, size, mapped, &dump->source);
	if (r < 0)
		return report_system(dump->ctl, "reading guest memory", r);
	fd = -1; /* handed over */
	dump->memory = memory;
	return CTL_DONE;
}

/* One that an interrupted dump was amid is copied again, as a whole. */
static int copy_chunk(struct dump *dump, const struct dump_part *part, uint64_t at, uint64_t to)
{
	uint64_t left = part->size - at;
	uint64_t size = left < DUMP_CHUNK ? left : DUMP_CHUNK;
	int r = 0;

	if (to + size > dump->core.done) {
		r = core_file_cut(&dump->core, to);
		if (r == 0)
			r = dump_copy(&dump->source, part->offset + at, size, &dump->core, to,
				&dump->unread);
		if (r == 0)
			r = core_file_advance(&dump->core, to + size);
	}
	dump->done += size;
	bar_show(&dump->bar, dump->done, dump->total);
	return r;
}

/* to: where the part begins in the file. */
static enum ctl_status dump_part(struct dump *dump, const struct dump_part *part, uint64_t to)
{
	enum ctl_status status = open_source(dump, part->memory);
	int r = 0;

	for (uint64_t at = 0; status == CTL_DONE && at < part->size; at += DUMP_CHUNK) {
		if (signal_come)
			return (enum ctl_status)(128 + signal_come);
		r = copy_chunk(dump, part, at, to + at);
		if (r < 0)
			status = report_system(dump->ctl, dump->core.part_path, r);
	}
	return status;
}

static enum ctl_status dump_all(struct dump *dump)
{
	enum ctl_status status = CTL_DONE;

	for (size_t i = 0; status == CTL_DONE && i < dump->plan.n_segments; i++) {
		const struct dump_segment *segment = &dump->plan.segments[i];
		const struct dump_part *parts = dump->plan.parts + segment->first_part;

		for (size_t j = 0; status == CTL_DONE && j < segment->n_parts; j++) {
			uint64_t within = parts[j].guest_phys_addr - segment->guest_phys_addr;

			status = dump_part(dump, &parts[j], dump->core.offsets[i] + within);
		}
	}
	return status;
}

static enum ctl_status finish(struct dump *dump)
{
	int r = core_file_advance(&dump->core, dump->core.size);

	if (r == 0)
		r = core_file_finish(&dump->core);
	return r < 0 ? report_system(dump->ctl, dump->core.path, r) : CTL_DONE;
}

static void print_left_out(const struct dump *dump)
{
	const struct json_object *list = json_get(dump->plan.about, "left_out");

	for (size_t i = 0; i < json_length(list); i++) {
		const struct json_object *object = json_at(list, i);
		uint64_t at = 0, size = 0;
		char text[32];

		json_get_uint(object, "guest_phys_addr", &at);
		json_get_uint(object, "size", &size);
		text_of_size(size, text, sizeof text);
		printf("left out: %s at 0x%" PRIx64 ": %s\n", text, at,
			json_get_string(object, "why"));
	}
}

static void print_result(const struct dump *dump)
{
	struct json_object *value;
	char text[32];

	if (!dump->ctl->json) {
		print_left_out(dump);
		text_of_size(dump->unread, text, sizeof text);
		if (dump->unread > 0)
			printf("could not be read: %s\n", text);
		return;
	}
	value = json_new_object();
	json_add_string(value, "file", dump->core.path);
	json_add_uint(value, "segments", dump->plan.n_segments);
	json_add_uint(value, "bytes", dump->total);
	json_add(value, "left_out", json_ref(json_get(dump->plan.about, "left_out")));
	json_add_uint(value, "unread", dump->unread);
	print_value(dump->ctl, value);
	json_unref(value);
}

static enum ctl_status report_begin(const struct dump *dump, const char *path, int r)
{
	if (r == -EEXIST)
		fprintf(stderr, "gmemctl: %s is there already\n", path);
	else if (r == -ESTALE)
		fprintf(stderr,
			"gmemctl: %s.part is what is left of another dump, or its VM has changed; "
			"remove it\n",
			path);
	else if (r == -EPERM)
		fprintf(stderr,
			"gmemctl: %s.part is another user's, or others may open it; remove it\n",
			path);
	else if (r == -EBUSY)
		fprintf(stderr, "gmemctl: another gmemctl writes %s.part\n", path);
	else
		return report_system(dump->ctl, path, r);
	return CTL_REFUSED;
}

static enum ctl_status dump_to(struct dump *dump, const char *path)
{
	int r = core_file_begin(path, &dump->plan, &dump->core);
	enum ctl_status status;

	if (r < 0)
		return report_begin(dump, path, r);
	for (size_t i = 0; i < dump->plan.n_parts; i++)
		dump->total += dump->plan.parts[i].size;
	bar_begin(&dump->bar, dump->ctl, path);
	status = dump_all(dump);
	bar_end(&dump->bar, dump->done, dump->total);
	if (status == CTL_DONE)
		status = finish(dump);
	if (status == CTL_DONE)
		print_result(dump);
	else
		fprintf(stderr, "gmemctl: %s is kept; the same command goes on with it\n",
			dump->core.part_path);
	return status;
}

enum ctl_status ctl_dump(struct ctl *ctl, char **arguments)
{
	struct dump dump = {.ctl = ctl, .core = {.fd = -1}, .source = {.fd = -1}};
	struct json_object *vm;
	enum ctl_status status = request_vm(ctl, arguments[0], &vm);
	int r;

	if (status != CTL_DONE)
		return status;
	r = dump_plan_make(vm, &dump.plan);
	json_unref(vm);
	if (r == -ENODATA) {
		fputs("gmemctl: the VM has no memslot whose memory could be dumped\n", stderr);
		return CTL_NOT_FOUND;
	}
	if (r < 0)
		return report_system(ctl, "dumping", r);
	catch_signals();
	status = dump_to(&dump, arguments[1]);
	dump_source_close(&dump.source);
	core_file_clear(&dump.core);
	dump_plan_clear(&dump.plan);
	return status;
}
