/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What keys there are.
 */
#pragma once

#include "client/ctl/top/frame.h"

void top_help_draw(struct frame *frame);
