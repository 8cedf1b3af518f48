/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration file: sections of settings, each with what it may be.
 */
#pragma once

#include "daemon/config/config.h"
#include "daemon/config/config_fault.h"

/*
 * Reads the file over what is in *config. required: whether it is wrong for it not to be there.
 * False where something is wrong: then *config is as it was, and *ret_faults says what.
 */
bool config_file_read(
	const char *path, bool required, struct config *config, struct config_faults *ret_faults);

/* The gate's policy, which the command line has too. False for what is none. */
bool config_set_gate(struct config *config, const char *value);
