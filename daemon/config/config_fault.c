/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is wrong in a configuration file. See config_fault.h.
 */
#include "daemon/config/config_fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void config_faults_of_file(struct config_faults *faults, const char *path)
{
	faults->order++;
	snprintf(faults->file, sizeof faults->file, "%s", path);
}

void config_faults_add(
	struct config_faults *faults, unsigned line, const char *setting, const char *format, ...)
{
	struct config_fault *fault = &faults->all[faults->count];
	va_list arguments;

	if (faults->count == CONFIG_FAULTS_MAX)
		return;
	faults->count++;
	*fault = (struct config_fault){.order = faults->order, .line = line};
	strcpy(fault->file, faults->file);
	snprintf(fault->setting, sizeof fault->setting, "%s", setting);
	va_start(arguments, format);
	vsnprintf(fault->text, sizeof fault->text, format, arguments);
	va_end(arguments);
}

static int compare_lines(const void *a, const void *b)
{
	const struct config_fault *one = a, *other = b;

	if (one->order != other->order)
		return one->order < other->order ? -1 : 1;
	return one->line < other->line ? -1 : one->line > other->line;
}

void config_faults_sort(struct config_faults *faults)
{
	qsort(faults->all, faults->count, sizeof *faults->all, compare_lines);
}

void config_faults_print(const struct config_faults *faults, unsigned index, char *ret, size_t size)
{
	const struct config_fault *fault = &faults->all[index];
	char line[16] = "";

	if (fault->line > 0)
		snprintf(line, sizeof line, ":%u", fault->line);
	snprintf(ret, size, "%s%s: %s%s%s", fault->file, line, fault->setting,
		fault->setting[0] ? ": " : "", fault->text);
}
