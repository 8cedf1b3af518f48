/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line. See command_line.h.
 */
#include "daemon/config/command_line.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config/config_file.h"
#include "daemon/config/config_setting.h"
#include "protocol/text.h"

#define DEFAULT_CONFIG_FILE "/etc/gmemd/gmemd.conf"

static bool set_runtime_directory(struct config *config, const char *value)
{
	if (value[0] != '/' || strlen(value) > RUNTIME_DIRECTORY_MAX)
		return false;
	strcpy(config->runtime_directory, value);
	return true;
}

static bool set_backend(struct config *config, const char *value)
{
	if (strcmp(value, "auto") == 0)
		config->backend = BACKEND_AUTO;
	else if (strcmp(value, "kvm") == 0)
		config->backend = BACKEND_KVM;
	else if (strcmp(value, "model") == 0)
		config->backend = BACKEND_MODEL;
	else
		return false;
	return true;
}

static bool set_gate(struct config *config, const char *value)
{
	const struct config_setting *setting =
		config_setting_at(offsetof(struct config, gate_policy));

	*config_setting_origin(config, setting) =
		(struct config_origin){.source = CONFIG_FROM_COMMAND_LINE};
	return config_setting_parse(setting, value, config);
}

enum {
	OPTION_RUNTIME_DIRECTORY = 256,
	OPTION_CONFIG,
	OPTION_BACKEND,
	OPTION_GATE,
	OPTION_CHECK_CONFIG,
};

static const struct option options[] = {
	{"runtime-directory", required_argument, NULL, OPTION_RUNTIME_DIRECTORY},
	{"config", required_argument, NULL, OPTION_CONFIG},
	{"backend", required_argument, NULL, OPTION_BACKEND},
	{"gate", required_argument, NULL, OPTION_GATE},
	{"check-config", no_argument, NULL, OPTION_CHECK_CONFIG},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static const char usage[] =
	"Usage: gmemd [--runtime-directory=DIR] [--config=FILE] [--backend=auto|kvm|model]\n"
	"             [--gate=required|preferred]\n"
	"       gmemd --check-config [--config=FILE]\n"
	"Owns the guest memory of all VMs on this host. Runs in the foreground.\n"
	"\n"
	"  --runtime-directory=DIR  where its sockets are (" DEFAULT_RUNTIME_DIRECTORY ")\n"
	"  --config=FILE            its configuration (" DEFAULT_CONFIG_FILE "), with\n"
	"                           the files *.conf in the directory FILE.d; it is read\n"
	"                           again on SIGHUP, and by gmemctl reload\n"
	"  --backend=BACKEND        auto and kvm: the kernel's guest_memfd;\n"
	"                           model: a model of it without any VM, to develop with\n"
	"  --gate=POLICY            required: every VM has a gate;\n"
	"                           preferred: a VM may ask to do without\n"
	"  --check-config           checks the configuration, says what is wrong, and exits:\n"
	"                           0 where nothing is, else 1\n"
	"  --help, --version\n";

static bool set_option(struct config *config, int option)
{
	if (option == OPTION_RUNTIME_DIRECTORY && !set_runtime_directory(config, optarg))
		fprintf(stderr,
			"gmemd: --runtime-directory must be an absolute path of at most %d "
			"bytes\n",
			RUNTIME_DIRECTORY_MAX);
	else if (option == OPTION_BACKEND && !set_backend(config, optarg))
		fprintf(stderr, "gmemd: --backend must be auto, kvm or model\n");
	else if (option == OPTION_GATE && !set_gate(config, optarg))
		fprintf(stderr, "gmemd: --gate must be required or preferred\n");
	else
		return true;
	return false;
}

/* What the command line says of the file. */
struct file_wanted {
	const char *path; /* NULL: the default one */
	bool check;
};

/* First for the file alone, for the rest overrides what is in it. */
static enum config_outcome find_file(int argc, char **argv, struct file_wanted *wanted)
{
	int option;

	optind = 0; /* from the start, also where it is read again */
	while ((option = getopt_long(argc, argv, "hV", options, NULL)) != -1) {
		switch (option) {
		case OPTION_CONFIG:
			wanted->path = optarg;
			break;
		case OPTION_CHECK_CONFIG:
			wanted->check = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return CONFIG_EXIT;
		case 'V':
			puts("gmemd " GMEMD_VERSION);
			return CONFIG_EXIT;
		case '?':
			fputs("Try gmemd --help.\n", stderr);
			return CONFIG_WRONG;
		}
	}
	if (optind == argc)
		return CONFIG_RUN;
	fprintf(stderr, "gmemd: there is no argument \"%s\"; try gmemd --help\n", argv[optind]);
	return CONFIG_WRONG;
}

static enum config_outcome tell_faults(const struct config_faults *faults)
{
	char text[CONFIG_FAULT_TEXT_MAX], printable[2 * CONFIG_FAULT_TEXT_MAX];

	for (unsigned i = 0; i < faults->count; i++) {
		config_faults_print(faults, i, text, sizeof text);
		text_copy_printable(text, printable, sizeof printable);
		fprintf(stderr, "%s\n", printable);
	}
	return faults->count > 0 ? CONFIG_FAULTY : CONFIG_EXIT;
}

enum config_outcome config_read(
	int argc, char **argv, struct config *ret, struct config_faults *ret_faults)
{
	struct config config = config_defaults;
	struct file_wanted wanted = {.path = NULL};
	enum config_outcome outcome = find_file(argc, argv, &wanted);
	int option;

	if (outcome != CONFIG_RUN)
		return outcome;
	config_file_read(wanted.path ? wanted.path : DEFAULT_CONFIG_FILE, wanted.path != NULL,
		&config, ret_faults);
	optind = 1;
	while ((option = getopt_long(argc, argv, "hV", options, NULL)) != -1) {
		if (!set_option(&config, option)) {
			config_clear(&config);
			return CONFIG_WRONG;
		}
	}
	if (wanted.check) {
		config_clear(&config);
		return tell_faults(ret_faults);
	}
	*ret = config;
	return CONFIG_RUN;
}
