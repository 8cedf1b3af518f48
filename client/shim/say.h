/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sentences for whoever has started the VMM, on its stderr.
 */
#pragma once

/* One line, in one write, whatever else writes there. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);
/* The same, and ends the VMM with the status of gmem-run's own failures. */
__attribute__((format(printf, 1, 2))) _Noreturn void say_and_end(const char *format, ...);
