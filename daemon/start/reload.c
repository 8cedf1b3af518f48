/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reloading. See reload.h.
 */
#include "daemon/start/reload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/base/log.h"
#include "daemon/base/notify.h"
#include "daemon/budget/capacity_probe.h"
#include "daemon/config/command_line.h"
#include "daemon/config/config_setting.h"
#include "daemon/config/config_tenant.h"
#include "daemon/peer/listener.h"
#include "daemon/pressure/watch.h"

/* systemd 253 and later know by the time which of several reloads it is. */
static void tell_reloading(void)
{
	struct timespec now;
	char state[64];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		(uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	notify_send(state);
}

static void tell_faults(const struct config_faults *faults)
{
	char told[CONFIG_FAULT_TEXT_MAX];

	for (unsigned i = 0; i < faults->count; i++) {
		config_faults_print(faults, i, told, sizeof told);
		log_error("%s", told);
	}
	log_warning("the configuration is refused; what holds is as it was");
}

/* What can't be changed any more stays as it is. */
static void keep_started(const struct config *old, struct config *next)
{
	strcpy(next->runtime_directory, old->runtime_directory);
	for (unsigned i = 0; i < config_settings_count; i++) {
		const struct config_setting *setting = &config_settings[i];

		if (!setting->at_start || config_setting_equal(setting, old, next))
			continue;
		config_setting_copy(setting, old, next);
		next->origins[i] = (struct config_origin){.source = CONFIG_FROM_EARLIER};
		log_warning("[%s] %s is changed, which holds from gmemd's next start on",
			setting->section, setting->name);
	}
}

static void tell_changes(struct gmemd *gmemd, const struct config *old, const struct config *next)
{
	char before[CONFIG_VALUE_SIZE], after[CONFIG_VALUE_SIZE];

	for (unsigned i = 0; i < config_settings_count; i++) {
		const struct config_setting *setting = &config_settings[i];

		if (config_setting_equal(setting, old, next))
			continue;
		config_setting_print(setting, old, before);
		config_setting_print(setting, next, after);
		audit_write(&gmemd->audit,
			&(struct audit_entry){.act = ACT_LIMIT_CHANGED,
				.also = {{"GMEMD_SCOPE", setting->section},
					{"GMEMD_LIMIT", setting->name}, {"GMEMD_OLD", before},
					{"GMEMD_NEW", after}}},
			"[%s] %s is %s now; it was %s", setting->section, setting->name, after,
			before);
	}
}

static void print_of_tenant(
	const struct config_tenant *tenant, unsigned number, char ret[static CONFIG_VALUE_SIZE])
{
	if (tenant->origins[number].source == CONFIG_FROM_DEFAULT)
		strcpy(ret, "not set");
	else
		config_setting_print(&config_tenant_settings[number], tenant, ret);
}

static void tell_tenant(
	struct gmemd *gmemd, const struct config_tenant *old, const struct config_tenant *next)
{
	char before[CONFIG_VALUE_SIZE], after[CONFIG_VALUE_SIZE], scope[TENANT_NAME_SIZE + 8];

	snprintf(scope, sizeof scope, TENANT_SECTION "%s", next->name);
	for (unsigned i = 0; i < config_tenant_settings_count; i++) {
		const char *name = config_tenant_settings[i].name;

		if (config_setting_equal(&config_tenant_settings[i], old, next))
			continue;
		print_of_tenant(old, i, before);
		print_of_tenant(next, i, after);
		audit_write(&gmemd->audit,
			&(struct audit_entry){.act = ACT_LIMIT_CHANGED,
				.also = {{"GMEMD_SCOPE", scope}, {"GMEMD_LIMIT", name},
					{"GMEMD_OLD", before}, {"GMEMD_NEW", after}}},
			"[%s] %s is %s now; it was %s", scope, name, after, before);
	}
}

static void tell_tenants(struct gmemd *gmemd, const struct config *old, const struct config *next)
{
	for (unsigned i = 0; i < next->tenants.count; i++) {
		const struct config_tenant *tenant = next->tenants.all[i];
		const struct config_tenant *was = config_tenant_find(&old->tenants, tenant->name);

		if (was)
			tell_tenant(gmemd, was, tenant);
		else
			log_info("tenant %s is new", tenant->name);
	}
	for (unsigned i = 0; i < old->tenants.count; i++) {
		const char *name = old->tenants.all[i]->name;

		if (!config_tenant_find(&next->tenants, name))
			log_info("tenant %s is in the configuration no more: it keeps what it has, "
				 "and no VM is opened in it",
				name);
	}
}

/* What of the settings was made something else of. */
static void apply(struct gmemd *gmemd)
{
	if (capacity_follow_host(&gmemd->capacity, &gmemd->config, gmemd->host.memory_total) < 0)
		log_warning("a NUMA node is new, and there is no memory for its budget: nothing is "
			    "made there");
	pressure_watch_follow_config(gmemd->pressure);
	listeners_follow_config(gmemd->listeners);
}

/* The first that can be refused, of what is right by itself. */
static int take_tenants(
	struct gmemd *gmemd, const struct config *config, struct config_faults *faults)
{
	struct tenants_refused refused;
	char of_node[32] = "";
	int r = tenants_configure(
		&gmemd->registry.tenants, config, gmemd->host.memory_total, &refused);

	if (r == 0)
		overrides_forget(&gmemd->overrides);
	if (r == -ENOSPC) {
		if (refused.node != NODE_ANY)
			snprintf(of_node, sizeof of_node, " of node %d", refused.node);
		config_faults_of_file(faults, config->paths.all[refused.tenant->origin.file]);
		config_faults_add(faults, refused.tenant->origin.line,
			refused.node == NODE_ANY ? "reserve" : "node-reserve",
			"of tenant %s must be what others have left%s", refused.tenant->name,
			of_node);
	} else if (r < 0) {
		config_faults_add(faults, 0, "", "%s", strerror(-r));
	}
	return r;
}

static void take(struct gmemd *gmemd, const struct config *read)
{
	struct config next = *read;

	keep_started(&gmemd->config, &next);
	tell_changes(gmemd, &gmemd->config, &next);
	tell_tenants(gmemd, &gmemd->config, &next);
	config_clear(&gmemd->config);
	gmemd->config = next;
	gmemd->configured = *read;
	apply(gmemd);
	if (gmemd->faults)
		log_info("gmemd " GMEMD_VERSION " serves, kernel %s", gmemd->host.kernel_release);
	gmemd->faults = NULL;
	log_info("the configuration was read anew");
}

static void read_anew(struct gmemd *gmemd, struct config_faults *faults)
{
	const struct command_line *command_line = &gmemd->command_line;
	struct config config;

	/* It was right when gmemd started. */
	if (config_read(command_line->argc, command_line->argv, &config, faults) != CONFIG_RUN)
		config_faults_add(faults, 0, "", "the command line is wrong");
	else if (faults->count > 0)
		config_clear(&config);
	else if (take_tenants(gmemd, &config, faults) < 0)
		config_clear(&config);
	else
		take(gmemd, &config);
}

int reload_configuration(struct gmemd *gmemd)
{
	struct config_faults *faults = calloc(1, sizeof *faults);

	if (!faults)
		return -ENOMEM;
	tell_reloading();
	read_anew(gmemd, faults);
	free(gmemd->refusal);
	gmemd->refusal = NULL;
	if (faults->count > 0) {
		tell_faults(faults);
		gmemd->refusal = faults;
	} else {
		free(faults);
	}
	if (gmemd->status_changed)
		event_active(gmemd->status_changed, EV_TIMEOUT, 0);
	return gmemd->refusal ? -EINVAL : 0;
}
