/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Subjects with a bug, to see that the differential test finds it: the model, with one of its calls
 * led astray on the way.
 */
#pragma once

#include "tests/conformance/subject.h"

#define PLANTED_BUGS 4

const char *planted_name(unsigned bug);
/* A model with that bug. To be freed with subject_free(). */
struct subject *planted_new(const struct model_rules *rules, unsigned bug);
