/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration files: FILE, and those in the directory FILE.d whose names end with ".conf", in
 * the order of their names. What is set last counts.
 */
#pragma once

#include "daemon/config/config.h"
#include "daemon/config/config_fault.h"

/*
 * Reads the files over what is in *config, which has read none before. required: whether it is
 * wrong for the first not to be there. False where something is wrong: then *config is as it was,
 * and *ret_faults says what.
 */
bool config_file_read(
	const char *path, bool required, struct config *config, struct config_faults *ret_faults);
