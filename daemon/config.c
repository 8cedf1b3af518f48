/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmemd was told. See config.h.
 */
#include "daemon/config.h"

#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CONFIG_FILE "/etc/gmemd/gmemd.conf"

static const struct config defaults = {
	.runtime_directory = DEFAULT_RUNTIME_DIRECTORY,
	.backend = BACKEND_AUTO,
	.gate_policy = GATE_POLICY_REQUIRED,
	.vmm_socket_mode = 0666,
	.operator_socket_mode = 0600,
	.peers_per_user = 2048,
	.vms_per_user = 2048,
	.memories_per_user = 8192,
	.memories_per_vm = 64,
	.slots_per_vm = 4096,
	.own_memory_per_vm = 256ull << 20,
	.commit_limit = 0,
};

/* Each takes the text of one setting; false where it is none of its values. */
static bool set_runtime_directory(struct config *config, const char *value)
{
	if (value[0] != '/' || strlen(value) >= sizeof config->runtime_directory - 16)
		return false;
	strcpy(config->runtime_directory, value);
	return true;
}

static bool set_gate(struct config *config, const char *value)
{
	if (strcmp(value, "required") == 0)
		config->gate_policy = GATE_POLICY_REQUIRED;
	else if (strcmp(value, "preferred") == 0)
		config->gate_policy = GATE_POLICY_PREFERRED;
	else
		return false;
	return true;
}

static bool set_backend(struct config *config, const char *value)
{
	if (strcmp(value, "auto") == 0)
		config->backend = BACKEND_AUTO;
	else if (strcmp(value, "kvm") == 0)
		config->backend = BACKEND_KVM;
	else
		return false;
	return true;
}

static bool parse_number(const char *text, int base, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, base);
	return errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == '\0';
}

static bool set_mode(const char *value, mode_t *mode)
{
	uint64_t number;

	if (!parse_number(value, 8, &number) || number > 0777)
		return false;
	*mode = (mode_t)number;
	return true;
}

static bool set_vmm_socket_mode(struct config *config, const char *value)
{
	return set_mode(value, &config->vmm_socket_mode);
}

static bool set_operator_socket_mode(struct config *config, const char *value)
{
	return set_mode(value, &config->operator_socket_mode);
}

static const struct {
	const char *section, *name;
	bool (*set)(struct config *config, const char *value); /* or NULL: a number at */
	size_t number;
	const char *expected;
} settings[] = {
	{"gate", "policy", set_gate, 0, "required or preferred"},
	{"sockets", "vmm-mode", set_vmm_socket_mode, 0, "an octal file mode"},
	{"sockets", "admin-mode", set_operator_socket_mode, 0, "an octal file mode"},
	{"limits", "peers-per-user", NULL, offsetof(struct config, peers_per_user), "a number"},
	{"limits", "vms-per-user", NULL, offsetof(struct config, vms_per_user), "a number"},
	{"limits", "memories-per-user", NULL, offsetof(struct config, memories_per_user),
		"a number"},
	{"limits", "memories-per-vm", NULL, offsetof(struct config, memories_per_vm), "a number"},
	{"limits", "slots-per-vm", NULL, offsetof(struct config, slots_per_vm), "a number"},
	{"limits", "own-memory-per-vm", NULL, offsetof(struct config, own_memory_per_vm),
		"a number of bytes"},
	{"limits", "commit-limit", NULL, offsetof(struct config, commit_limit),
		"a number of bytes"},
};

struct file_reading {
	struct config *config;
	const char *path;
};

/* inih's handler: 1 for a setting that is right. */
static int read_setting(void *context, const char *section, const char *name, const char *value)
{
	struct file_reading *reading = context;

	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		uint64_t *number = (uint64_t *)((char *)reading->config + settings[i].number);

		if (strcmp(settings[i].section, section) != 0 ||
			strcmp(settings[i].name, name) != 0)
			continue;
		if (settings[i].set ? settings[i].set(reading->config, value)
				    : parse_number(value, 10, number))
			return 1;
		fprintf(stderr, "gmemd: %s: [%s] %s must be %s\n", reading->path, section, name,
			settings[i].expected);
		return 0;
	}
	fprintf(stderr, "gmemd: %s: there is no setting [%s] %s\n", reading->path, section, name);
	return 0;
}

/* ini_parse() takes what can be opened and not read, such as a directory, for an empty file. */
static int parse_file(struct file_reading *reading)
{
	FILE *file = fopen(reading->path, "re");
	int line, number;

	if (!file)
		return -1;
	line = ini_parse_file(file, read_setting, reading);
	number = errno;
	if (line == 0 && ferror(file))
		line = -1;
	fclose(file);
	errno = number;
	return line;
}

/* required: whether it is wrong for the file not to be there. */
static bool read_file(const char *path, bool required, struct config *config)
{
	struct file_reading reading = {config, path};
	int line = parse_file(&reading);

	if (line == -1 && !required && errno == ENOENT)
		return true;
	if (line < 0)
		fprintf(stderr, "gmemd: %s: %s\n", path, strerror(errno));
	if (line > 0)
		fprintf(stderr, "gmemd: %s: line %d is wrong\n", path, line);
	return line == 0;
}

enum { OPTION_RUNTIME_DIRECTORY = 256, OPTION_CONFIG, OPTION_BACKEND, OPTION_GATE };

static const struct option options[] = {
	{"runtime-directory", required_argument, NULL, OPTION_RUNTIME_DIRECTORY},
	{"config", required_argument, NULL, OPTION_CONFIG},
	{"backend", required_argument, NULL, OPTION_BACKEND},
	{"gate", required_argument, NULL, OPTION_GATE},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static const char usage[] =
	"Usage: gmemd [--runtime-directory=DIR] [--config=FILE] [--backend=auto|kvm]\n"
	"             [--gate=required|preferred]\n"
	"Owns the guest memory of all VMs on this host. Runs in the foreground.\n"
	"\n"
	"  --runtime-directory=DIR  where its sockets are (" DEFAULT_RUNTIME_DIRECTORY ")\n"
	"  --config=FILE            its configuration (" DEFAULT_CONFIG_FILE ")\n"
	"  --backend=BACKEND        auto and kvm: the kernel's guest_memfd\n"
	"  --gate=POLICY            required: every VM has a gate;\n"
	"                           preferred: a VM may ask to do without\n"
	"  --help, --version\n";

static bool set_option(struct config *config, int option)
{
	if (option == OPTION_RUNTIME_DIRECTORY && !set_runtime_directory(config, optarg))
		fprintf(stderr,
			"gmemd: --runtime-directory must be an absolute path of at most %zu "
			"bytes\n",
			sizeof config->runtime_directory - 17);
	else if (option == OPTION_BACKEND && !set_backend(config, optarg))
		fprintf(stderr, "gmemd: --backend must be auto or kvm\n");
	else if (option == OPTION_GATE && !set_gate(config, optarg))
		fprintf(stderr, "gmemd: --gate must be required or preferred\n");
	else
		return true;
	return false;
}

/* First for the file alone, for the rest overrides what is in it. */
static enum config_outcome find_file(int argc, char **argv, const char **ret_path)
{
	int option;

	while ((option = getopt_long(argc, argv, "hV", options, NULL)) != -1) {
		switch (option) {
		case OPTION_CONFIG:
			*ret_path = optarg;
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

enum config_outcome config_read(int argc, char **argv, struct config *ret)
{
	struct config config = defaults;
	const char *path = NULL;
	enum config_outcome outcome = find_file(argc, argv, &path);
	int option;

	if (outcome != CONFIG_RUN)
		return outcome;
	if (!read_file(path ? path : DEFAULT_CONFIG_FILE, path != NULL, &config))
		return CONFIG_WRONG;
	optind = 1;
	while ((option = getopt_long(argc, argv, "hV", options, NULL)) != -1) {
		if (!set_option(&config, option))
			return CONFIG_WRONG;
	}
	*ret = config;
	return CONFIG_RUN;
}
