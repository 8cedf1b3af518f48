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

#include "client/ctl_report.h"
#include "client/ctl_verb.h"
#include "client/gmem.h"

enum { OPTION_SOCKET = 256, OPTION_JSON, OPTION_BYTES, OPTION_COUNT };

static const struct option options[] = {
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"json", no_argument, NULL, OPTION_JSON},
	{"bytes", no_argument, NULL, OPTION_BYTES},
	{"count", required_argument, NULL, OPTION_COUNT},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

/* What the command line says besides what goes into struct ctl. */
struct command_line {
	bool help, version;
	const char *unknown; /* an option that there is not, or without its value */
	const char *count;
};

static bool parse_count(const char *text, uint64_t *ret)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' || number == 0)
		return false;
	*ret = number;
	return true;
}

static void read_option(int option, char **argv, struct ctl *ctl, struct command_line *line)
{
	switch (option) {
	case OPTION_SOCKET:
		ctl->socket = optarg;
		break;
	case OPTION_JSON:
		ctl->json = true;
		break;
	case OPTION_BYTES:
		ctl->bytes = true;
		break;
	case OPTION_COUNT:
		line->count = optarg;
		break;
	case 'h':
		line->help = true;
		break;
	case 'V':
		line->version = true;
		break;
	default:
		line->unknown = argv[optind - 1];
	}
}

/* To the end even where something is wrong: --json says how to report it. */
static enum ctl_status read_options(
	int argc, char **argv, struct ctl *ctl, struct command_line *line)
{
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "hV", options, NULL)) != -1)
		read_option(option, argv, ctl, line);
	if (line->unknown)
		return report_usage(ctl,
			"\"%s\" is no option, or its value is missing or too much; try gmemctl "
			"help",
			line->unknown);
	if (line->count && !parse_count(line->count, &ctl->count))
		return report_usage(ctl, "--count must be a number from 1 on");
	return CTL_DONE;
}

static enum ctl_status check_verb(const struct ctl *ctl, const struct verb *verb, int n_arguments)
{
	if (ctl->bytes && !(verb->options & VERB_BYTES))
		return report_usage(ctl, "%s takes no --bytes", verb->name);
	if (ctl->count > 0 && !(verb->options & VERB_COUNT))
		return report_usage(ctl, "%s takes no --count", verb->name);
	if (n_arguments >= verb->arguments_min && n_arguments <= verb->arguments_max)
		return CTL_DONE;
	if (verb->arguments_max == 0)
		return report_usage(ctl, "%s takes no arguments", verb->name);
	return report_usage(ctl, "%s takes %s", verb->name, verb->arguments);
}

/* arguments: the verb's name and its arguments; ends with NULL. */
static enum ctl_status run_verb(struct ctl *ctl, char **arguments, int n_arguments)
{
	const struct verb *verb = n_arguments > 0 ? verb_by_name(arguments[0]) : NULL;
	enum ctl_status status;
	char names[256];

	verb_names(names, sizeof names);
	if (n_arguments == 0)
		return report_usage(ctl, "a verb is missing:%s", names);
	if (!verb)
		return report_usage(
			ctl, "there is no verb \"%s\"; there are%s", arguments[0], names);
	status = check_verb(ctl, verb, n_arguments - 1);
	if (status != CTL_DONE)
		return status;
	return verb->run(ctl, arguments + 1);
}

static enum ctl_status run(struct ctl *ctl, int argc, char **argv)
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
	return run_verb(ctl, argv + optind, argc - optind);
}

int main(int argc, char **argv)
{
	struct ctl ctl = {.socket = CTL_DEFAULT_SOCKET};
	enum ctl_status status;

	setlocale(LC_CTYPE, "");
	status = run(&ctl, argc, argv);
	if (status == CTL_DONE && (fflush(stdout) != 0 || ferror(stdout)))
		status = report_system(&ctl, "stdout", -EIO);
	gmem_free(ctl.gmem);
	return status;
}
