/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The help of top. See help.h. It fits a terminal of 40 columns and 10 lines.
 */
#include "client/ctl/top/help.h"

static const char *const lines[] = {
	"arrows j k PgUp PgDn Home End: move",
	"Enter: the VM as a map    Esc: back",
	"/: VMs that fit (* ?)      Esc: all",
	"c r p d: by committed, resident,",
	"  private, rate    n a t: name, age,",
	"  tenant    R: the other way round",
	"+ -: closer and farther, in a map",
	"b: bytes    q: quit    any key: on",
};

void top_help_draw(struct frame *frame)
{
	frame_text(frame, STYLE_TITLE, "gmemctl top: keys");
	frame_line_end(frame);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		frame_text(frame, STYLE_PLAIN, lines[i]);
		frame_line_end(frame);
	}
	frame_leave(frame, 1);
}
