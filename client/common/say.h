/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the bridge to libvirt and the exporter say: lines on stderr, with their level as the journal
 * takes it.
 */
#pragma once

#include <syslog.h>

__attribute__((format(printf, 2, 3))) void say(int level, const char *format, ...);
