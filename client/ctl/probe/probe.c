/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl probe: what this host can and can't do. Asks the kernel itself, and gmemd only where
 * /dev/kvm can't be opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/ctl/probe/check.h"
#include "client/ctl/report.h"
#include "client/ctl/request.h"
#include "client/ctl/text.h"
#include "client/ctl/verb.h"
#include "kernel/base/cleanup.h"
#include "protocol/json.h"
#include "protocol/methods.h"

enum verdict { VERDICT_PASS, VERDICT_WARN, VERDICT_FAIL, VERDICTS };

static const char *const verdict_names[VERDICTS] = {"PASS", "WARN", "FAIL"};

/* The kernel's bits are in the order of the names. */
static uint64_t read_flags(const struct json_object *names)
{
	uint64_t flags = 0;

	for (size_t i = 0; i < json_length(names); i++) {
		for (unsigned bit = 0; memory_flag_names[bit]; bit++) {
			if (strcmp(memory_flag_names[bit], json_string(json_at(names, i))) == 0)
				flags |= 1ull << bit;
		}
	}
	return flags;
}

/* host: what host.describe has answered. */
static void read_offer(const struct json_object *host, struct host_offer *offer)
{
	const struct json_object *kernel = json_get(host, "kernel");
	const struct json_object *types = json_get(kernel, "vm_types");
	uint64_t type;

	for (size_t i = 0; i < json_length(types); i++) {
		const struct json_object *described = json_at(types, i);
		struct vm_type_offer *target;

		if (!json_get_uint(described, "type", &type) || type >= VM_TYPES_MAX)
			continue;
		target = &offer->vm_types[type];
		target->offered = true;
		target->guest_memfd = json_get_bool(described, "guest_memfd");
		target->guest_memfd_flags = read_flags(json_get(described, "guest_memfd_flags"));
		json_get_uint(described, "memory_attributes", &target->memory_attributes);
		target->converts_in_place = json_get_bool(described, "converts_in_place");
	}
	offer->vm_types[0].pre_fault_memory = json_get_bool(kernel, "pre_fault_memory");
	offer->kvm = true;
}

static int look_at_host(struct ctl *ctl, struct checked_host *host)
{
	cleanup_fd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct json_object *described;
	int r;

	host->kvm_errno = kvm < 0 ? errno : 0;
	r = probe_host(kvm, &host->offer);
	if (r < 0 || kvm >= 0 || host->kvm_errno == ENOENT)
		return r;
	if (request_try(ctl, "host.describe", NULL, &described) == 0) {
		read_offer(described, &host->offer);
		host->from_gmemd = true;
		json_unref(described);
	}
	return 0;
}

static enum verdict add_finding(
	struct json_object *findings, const struct check *check, const struct checked_host *host)
{
	struct json_object *finding = json_append_object(findings);
	enum verdict verdict = VERDICT_PASS;
	bool known = host->offer.kvm || !check->of_kvm;
	char detail[TEXT_SIZE] = "not known: nobody could ask KVM", remedy[TEXT_SIZE];

	if (!known || !check->present(host, detail, sizeof detail))
		verdict = check->required ? VERDICT_FAIL : VERDICT_WARN;
	json_add_string(finding, "name", check->name);
	json_add_string(finding, "verdict", verdict_names[verdict]);
	json_add_string(finding, "detail", detail);
	if (verdict != VERDICT_PASS) {
		json_add_string(finding, "consequence", check->consequence);
		check_remedy(check, host, remedy, sizeof remedy);
		json_add_string(finding, "remedy",
			known ? remedy : "See to it that /dev/kvm can be opened.");
	}
	return verdict;
}

static struct json_object *find_problem(const struct checked_host *host, unsigned counts[VERDICTS])
{
	struct json_object *value = json_new_object(), *findings;

	json_add_string(value, "kernel", host->offer.kernel_release);
	json_add_string(value, "asked", host->from_gmemd ? "gmemd" : "kernel");
	findings = json_add_array(value, "checks");
	for (const struct check *check = checks; check->name; check++)
		counts[add_finding(findings, check, host)]++;
	json_add_uint(value, "passed", counts[VERDICT_PASS]);
	json_add_uint(value, "warned", counts[VERDICT_WARN]);
	json_add_uint(value, "failed", counts[VERDICT_FAIL]);
	return value;
}

static void print_finding(const struct json_object *finding)
{
	const char *detail = json_get_string(finding, "detail");

	printf("  %-31s: %s%s%s\n", json_get_string(finding, "name"),
		json_get_string(finding, "verdict"), detail[0] ? "  " : "", detail);
	if (!json_has(finding, "remedy"))
		return;
	printf("      %s\n", json_get_string(finding, "consequence"));
	printf("      -> %s\n", json_get_string(finding, "remedy"));
}

static void print_findings(const struct json_object *value, const unsigned counts[VERDICTS])
{
	const struct json_object *findings = json_get(value, "checks");

	printf("Linux %s\n", json_get_string(value, "kernel"));
	for (size_t i = 0; i < json_length(findings); i++)
		print_finding(json_at(findings, i));
	printf("%u passed, %u warned, %u failed\n", counts[VERDICT_PASS], counts[VERDICT_WARN],
		counts[VERDICT_FAIL]);
}

enum ctl_status ctl_probe(struct ctl *ctl, char **arguments)
{
	struct checked_host host = {.kvm_errno = 0};
	unsigned counts[VERDICTS] = {0};
	struct json_object *value;
	int r;

	(void)arguments;
	r = look_at_host(ctl, &host);
	if (r < 0)
		return report_system(ctl, "probing", r);
	value = find_problem(&host, counts);
	if (ctl->json)
		print_value(ctl, value);
	else
		print_findings(value, counts);
	json_unref(value);
	return counts[VERDICT_FAIL] > 0 ? CTL_REFUSED : CTL_DONE;
}
