/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal of acts. See audit.h.
 */
#include "daemon/report/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "daemon/tenant/tenant.h"

/* MESSAGE_ID, GMEMD_ACT, those of a VM, and who has asked. */
#define FIELDS_MAX (10 + AUDIT_ALSO_MAX)

static const struct timeval telling_interval = {.tv_sec = 5};

struct fields {
	struct log_field all[FIELDS_MAX];
	size_t count;
	char tenant[TENANT_NAME_SIZE], pid[16], uid[16], by_pid[16], by_uid[16];
};

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void add_field(struct fields *fields, const char *name, const char *value)
{
	fields->all[fields->count++] = (struct log_field){name, value};
}

static void add_act(struct fields *fields, enum act act)
{
	add_field(fields, "MESSAGE_ID", act_descriptions[act].message_id);
	add_field(fields, "GMEMD_ACT", act_descriptions[act].name);
}

static void add_vm(struct fields *fields, const struct vm *vm)
{
	add_field(fields, "GMEMD_VM", vm->id);
	add_field(fields, "GMEMD_VM_NAME", vm->name);
	add_field(fields, "GMEMD_UUID", vm->uuid);
}

static void add_user(struct fields *fields, uid_t uid, const char *tenant)
{
	if (tenant)
		snprintf(fields->tenant, sizeof fields->tenant, "%s", tenant);
	else
		tenant_name_of_user(uid, fields->tenant);
	snprintf(fields->uid, sizeof fields->uid, "%u", uid);
	add_field(fields, "GMEMD_TENANT", fields->tenant);
	add_field(fields, "GMEMD_UID", fields->uid);
}

static void add_process(struct fields *fields, const struct process *process, const char *tenant)
{
	add_user(fields, process->uid, tenant);
	snprintf(fields->pid, sizeof fields->pid, "%d", process->pid);
	add_field(fields, "GMEMD_PID", fields->pid);
}

static void add_asker(struct fields *fields, const struct process *by)
{
	snprintf(fields->by_pid, sizeof fields->by_pid, "%d", by->pid);
	snprintf(fields->by_uid, sizeof fields->by_uid, "%u", by->uid);
	add_field(fields, "GMEMD_BY_PID", fields->by_pid);
	add_field(fields, "GMEMD_BY_UID", fields->by_uid);
}

static const char *tenant_of(const struct audit_entry *entry, const struct process *process)
{
	if (entry->tenant || !entry->vm || entry->vm->process.identity != process->identity)
		return entry->tenant;
	return entry->vm->tenant->name;
}

static void fill_fields(
	struct fields *fields, const struct audit_entry *entry, const struct process *process)
{
	add_act(fields, entry->act);
	if (entry->vm)
		add_vm(fields, entry->vm);
	if (process)
		add_process(fields, process, tenant_of(entry, process));
	if (entry->by && process && entry->by->identity != process->identity)
		add_asker(fields, entry->by);
	for (size_t i = 0; i < AUDIT_ALSO_MAX && entry->also[i].name; i++)
		add_field(fields, entry->also[i].name, entry->also[i].value);
}

static enum audit_kind kind_of(enum act act)
{
	switch (act) {
	case ACT_IOCTL_REFUSED:
	case ACT_REQUEST_REFUSED:
	case ACT_CONNECTION_REFUSED:
		return AUDIT_REFUSALS;
	default:
		return AUDIT_ACTS;
	}
}

static void leave_out(struct audit *audit)
{
	audit->counts[ACT_ENTRIES_LEFT_OUT]++;
	if (audit->telling && !event_pending(audit->telling, EV_TIMEOUT, NULL))
		event_add(audit->telling, &telling_interval);
}

static bool admits(struct audit *audit, const struct process *process, enum audit_kind kind)
{
	if (audit_bound_admits(&audit->bound, process->uid, kind, now_us()))
		return true;
	leave_out(audit);
	return false;
}

bool audit_admits_line(struct audit *audit, const struct process *process)
{
	return admits(audit, process, AUDIT_REFUSALS);
}

void audit_write(struct audit *audit, const struct audit_entry *entry, const char *format, ...)
{
	const struct process *process =
		entry->process || !entry->vm ? entry->process : &entry->vm->process;
	struct fields fields = {.count = 0};
	char message[1024];
	va_list arguments;

	audit->counts[entry->act]++;
	if (process && !admits(audit, process, kind_of(entry->act)))
		return;
	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	fill_fields(&fields, entry, process);
	log_entry(act_descriptions[entry->act].level, entry->vm ? entry->vm->id : NULL, fields.all,
		fields.count, message);
}

static void tell_left_out(struct audit *audit)
{
	unsigned position = 0;
	uint32_t count;
	uid_t uid;

	while (audit_bound_take_left_out(&audit->bound, &position, &uid, &count)) {
		struct fields fields = {.count = 0};
		char number[16], message[128];

		snprintf(number, sizeof number, "%" PRIu32, count);
		snprintf(message, sizeof message,
			"%" PRIu32 " entries about user %u were left out: there were too many",
			count, uid);
		add_act(&fields, ACT_ENTRIES_LEFT_OUT);
		add_user(&fields, uid, /* tenant= */ NULL);
		add_field(&fields, "GMEMD_COUNT", number);
		log_entry(act_descriptions[ACT_ENTRIES_LEFT_OUT].level, NULL, fields.all,
			fields.count, message);
	}
}

static void telling_due(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	tell_left_out(context);
}

int audit_watch(struct audit *audit, struct event_base *base)
{
	audit->telling = evtimer_new(base, telling_due, audit);
	return audit->telling ? 0 : -ENOMEM;
}

void audit_unwatch(struct audit *audit)
{
	if (audit->telling)
		event_free(audit->telling);
	audit->telling = NULL;
	tell_left_out(audit);
}
