/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The map of one VM: what of its guest's addresses is bound, resident, private, logged or mapped.
 */
#pragma once

#include "client/ctl/program.h"
#include "client/ctl/top/frame.h"

struct json_object;

struct map {
	char id[32];            /* of the VM; "": none is open */
	struct json_object *vm; /* vm.get's result; NULL: it is gone */
	unsigned zoom;          /* how many times closer than all of it at once */
	uint64_t first;         /* address that the first line begins at */
	uint64_t line;          /* bytes of one, when it was drawn last */
	size_t page;            /* lines that there was room for then */
	uint64_t end;           /* of what is bound */
};

/* Of the VM as it is now. An error has been reported; one that is gone is none. */
enum ctl_status map_renew(struct ctl *ctl, struct map *map);
void map_open(struct map *map, const char *id);
void map_close(struct map *map);

void map_draw(const struct ctl *ctl, struct map *map, struct frame *frame);
/* Returns whether it is a key of the map's; KEY_ESCAPE closes it. */
bool map_key(struct map *map, int key);
