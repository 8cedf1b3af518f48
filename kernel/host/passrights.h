/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SO_PASSRIGHTS, of Linux 6.16: whether files may be sent to a local socket.
 *
 * Where it is 0, sendmsg(2) with files fails with EPERM at the sender. A connection has it as the
 * listening socket had it when the peer connected, which may be long before it is accepted; what
 * the peer has sent until it is taken away stays in the queue. Functions return 0 or a negative
 * errno: -ENOPROTOOPT where the kernel has no such thing.
 */
#pragma once

#include <stdbool.h>

/* Whether the kernel has it. */
int passrights_probe(void);

/* From now on who connects can't send files. *ret_had: whether those who have connected before
 * could. */
int passrights_withdraw(int listener, bool *ret_had);

/* The same of a connection, and looks whether its queue has files: then it is -EBUSY, and files may
 * be sent still, so that whoever comes next finds out as well. *ret_had is set then, too. */
int passrights_withdraw_from_peer(int connection, bool *ret_had);
