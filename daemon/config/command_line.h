/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line, which overrides the configuration file, which overrides the defaults.
 */
#pragma once

#include "daemon/config/config.h"
#include "daemon/config/config_fault.h"

/*
 * Reads the command line and the configuration files that it names, or the default ones if they
 * exist; the same command line can be read again. With CONFIG_RUN, *ret_faults has what is wrong in
 * the files; then *ret is what it would be without any. The caller clears *ret.
 */
enum config_outcome config_read(
	int argc, char **argv, struct config *ret, struct config_faults *ret_faults);
