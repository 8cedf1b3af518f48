/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl: the operators' program.
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/report.h"
#include "client/ctl/verb.h"
#include "client/gmem.h"
#include "kernel/host/process_start.h"
#include "protocol/methods.h"

/* Behind all bits of enum verb_options, and what is shifted there. */
enum { OPTION_SOCKET = 1 << 24, OPTION_JSON, OPTION_TIMEOUT };

/* Options that not every verb takes: their value is the bit of enum verb_options. */
static const struct option options[] = {
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"json", no_argument, NULL, OPTION_JSON},
	{"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{"bytes", no_argument, NULL, VERB_BYTES},
	{"count", required_argument, NULL, VERB_COUNT},
	{"memory", required_argument, NULL, VERB_MEMORY},
	{"node", required_argument, NULL, VERB_NODE},
	{"threads", required_argument, NULL, VERB_THREADS},
	{"populate", no_argument, NULL, VERB_POPULATE},
	{"force", no_argument, NULL, VERB_FORCE},
	{"interval", required_argument, NULL, VERB_INTERVAL},
	{"sort", required_argument, NULL, VERB_SORT},
	{"ttl", required_argument, NULL, VERB_TTL},
	{"output", required_argument, NULL, VERB_OUTPUT},
	{"noheadings", no_argument, NULL, VERB_NO_HEADINGS},
	{"name", required_argument, NULL, VERB_NAME},
	{"tenant", required_argument, NULL, VERB_TENANT},
	{"state", required_argument, NULL, VERB_STATE},
	{"unit", required_argument, NULL, VERB_UNIT},
	{"pid", required_argument, NULL, VERB_PID},
	{"watch", no_argument, NULL, VERB_WATCH},
	{"vms", no_argument, NULL, VERB_VMS},
	{"help", no_argument, NULL, 'h' << 16},
	{"version", no_argument, NULL, 'V' << 16},
	{NULL, 0, NULL, 0},
};

/* What the command line says besides what goes into struct ctl. */
struct command_line {
	bool help, version;
	unsigned given;      /* enum verb_options */
	const char *unknown; /* an option that there is not, or without its value */
	const char *wrong;   /* what a value must be that isn't */
};

static bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' || number < min ||
		number > max)
		return false;
	*ret = number;
	return true;
}

/* Seconds, or with a unit; in milliseconds. */
static bool parse_duration(const char *text, uint64_t *ret)
{
	static const struct {
		char name;
		uint64_t milliseconds;
	} units[] = {{'\0', 1000}, {'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno != 0 || text[0] < '0' || text[0] > '9' || (*end && end[1]))
		return false;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		uint64_t max = RESERVATION_MS_MAX / units[i].milliseconds;

		if (*end != units[i].name)
			continue;
		*ret = number * units[i].milliseconds;
		return number >= 1 && number <= max;
	}
	return false;
}

/* Where a text goes that the verb looks at. NULL: the option has none. */
static const char **text_of_option(unsigned option, struct ctl *ctl)
{
	switch (option) {
	case VERB_MEMORY:
		return &ctl->memory;
	case VERB_SORT:
		return &ctl->sort_by;
	case VERB_OUTPUT:
		return &ctl->output;
	case VERB_NAME:
		return &ctl->filter.name;
	case VERB_TENANT:
		return &ctl->filter.tenant;
	case VERB_STATE:
		return &ctl->filter.state;
	case VERB_UNIT:
		return &ctl->filter.unit;
	default:
		return NULL;
	}
}

/* What is said by the option's being there. NULL: it has a value. */
static bool *switch_of_option(unsigned option, struct ctl *ctl)
{
	switch (option) {
	case VERB_BYTES:
		return &ctl->bytes;
	case VERB_POPULATE:
		return &ctl->populate;
	case VERB_FORCE:
		return &ctl->force;
	case VERB_NO_HEADINGS:
		return &ctl->no_headings;
	case VERB_WATCH:
		return &ctl->watch;
	case VERB_VMS:
		return &ctl->vms;
	default:
		return NULL;
	}
}

/* Returns what the option's number must be where it is not, else NULL. */
static const char *read_number(unsigned option, struct ctl *ctl)
{
	uint64_t seconds;

	switch (option) {
	case VERB_COUNT:
		return parse_number(optarg, 1, UINT64_MAX, &ctl->count)
			       ? NULL
			       : "--count must be a number from 1 on";
	case VERB_NODE:
		return parse_number(optarg, 0, 1023, &ctl->node)
			       ? NULL
			       : "--node must be a NUMA node's number";
	case VERB_THREADS:
		return parse_number(optarg, 1, 1024, &ctl->threads)
			       ? NULL
			       : "--threads must be a number from 1 to 1024";
	case VERB_PID:
		return parse_number(optarg, 1, INT32_MAX, &ctl->filter.pid)
			       ? NULL
			       : "--pid must be a process's number";
	case VERB_INTERVAL:
		if (!parse_number(optarg, 1, 3600, &seconds))
			return "--interval must be seconds from 1 to 3600";
		ctl->milliseconds = seconds * 1000;
		break;
	case VERB_TTL:
		return parse_duration(optarg, &ctl->ttl)
			       ? NULL
			       : "--ttl must be a time such as 90s, 10m, 2h or 7d, at most 30d";
	}
	return NULL;
}

static const char *read_value(unsigned option, struct ctl *ctl)
{
	const char **text = text_of_option(option, ctl);
	bool *said = switch_of_option(option, ctl);

	if (text)
		*text = optarg;
	else if (said)
		*said = true;
	else
		return read_number(option, ctl);
	return NULL;
}

static void read_option(int option, char **argv, struct ctl *ctl, struct command_line *line)
{
	const char *wrong;

	switch (option) {
	case OPTION_SOCKET:
		ctl->socket = optarg;
		break;
	case OPTION_JSON:
		ctl->json = true;
		break;
	case OPTION_TIMEOUT:
		if (!parse_number(optarg, 0, CTL_TIMEOUT_MAX, &ctl->timeout))
			line->wrong = "--timeout must be seconds, at most 86400; 0: for ever";
		break;
	case 'h':
	case 'h' << 16:
		line->help = true;
		break;
	case 'V':
	case 'V' << 16:
		line->version = true;
		break;
	case '?':
		line->unknown = argv[optind - 1];
		break;
	default:
		if (option == 'o')
			option = VERB_OUTPUT;
		line->given |= (unsigned)option;
		wrong = read_value((unsigned)option, ctl);
		line->wrong = line->wrong ? line->wrong : wrong;
	}
}

/* To the end even where something is wrong: --json says how to report it. */
static enum ctl_status read_options(
	int argc, char **argv, struct ctl *ctl, struct command_line *line)
{
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "hVo:", options, NULL)) != -1)
		read_option(option, argv, ctl, line);
	if (line->unknown)
		return report_usage(ctl,
			"there is no option \"%s\", or it lacks a value, or takes none; try "
			"gmemctl help",
			line->unknown);
	return line->wrong ? report_usage(ctl, "%s", line->wrong) : CTL_DONE;
}

static enum ctl_status check_verb(
	const struct ctl *ctl, const struct verb *verb, unsigned given, int n_arguments)
{
	unsigned takes = verb->options | (verb->options & VERB_FILE ? VERB_OUTPUT : 0);

	for (const struct option *option = options; option->name; option++) {
		unsigned bit = (unsigned)option->val & given & ~takes;

		if (option->val < OPTION_SOCKET && bit)
			return report_usage(ctl, "%s takes no --%s", verb->name, option->name);
	}
	if (n_arguments >= verb->arguments_min && n_arguments <= verb->arguments_max)
		return CTL_DONE;
	if (verb->arguments_max == 0)
		return report_usage(ctl, "%s takes no arguments", verb->name);
	return report_usage(ctl, "%s takes %s", verb->name, verb->arguments);
}

/* arguments: the verb's name and its arguments; ends with NULL. */
static enum ctl_status run_verb(struct ctl *ctl, unsigned given, char **arguments, int n_arguments)
{
	const struct verb *verb = n_arguments > 0 ? verb_by_name(arguments[0]) : NULL;
	enum ctl_status status;
	char names[512];

	verb_names(names, sizeof names);
	if (n_arguments == 0)
		return report_usage(ctl, "a verb is missing:%s", names);
	if (!verb)
		return report_usage(
			ctl, "there is no verb \"%s\"; there are%s", arguments[0], names);
	status = check_verb(ctl, verb, given, n_arguments - 1);
	if (status != CTL_DONE)
		return status;
	return verb->run(ctl, arguments + 1);
}

static enum ctl_status run_command(struct ctl *ctl, int argc, char **argv)
{
	struct command_line line = {.help = false};
	enum ctl_status status = read_options(argc, argv, ctl, &line);

	if (status != CTL_DONE)
		return status;
	if (line.help)
		return ctl_help(ctl, (char *[]){NULL});
	if (line.version) {
		puts("gmemctl " GMEMD_VERSION);
		return CTL_DONE;
	}
	return run_verb(ctl, line.given, argv + optind, argc - optind);
}

int main(int argc, char **argv)
{
	struct ctl ctl = {.socket = CTL_DEFAULT_SOCKET,
		.node = CTL_ANY,
		.threads = CTL_ANY,
		.filter = {.pid = CTL_ANY},
		.milliseconds = 1000,
		.ttl = CTL_TTL,
		.timeout = CTL_TIMEOUT};
	enum ctl_status status;
	int r = process_start(PROCESS_TOOL);

	if (r < 0)
		return report_system(&ctl, "/dev/null", r);
	setlocale(LC_CTYPE, "");
	status = run_command(&ctl, argc, argv);
	if (status == CTL_DONE && (fflush(stdout) != 0 || ferror(stdout)))
		status = report_system(&ctl, "stdout", -EIO);
	gmem_free(ctl.gmem);
	return status;
}
