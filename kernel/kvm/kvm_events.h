/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What KVM tells of VMs that are made.
 *
 * KVM tells of each VM by a uevent (EVENT=create) before KVM_CREATE_VM returns: so it is in the
 * queue of who listens by then, whatever the process does with the VM's fd. It names the thread
 * that has made it by its id in the first PID namespace. Of network namespaces the kernel tells
 * those that are of the first user namespace. Reference: kobject_uevent_env(), virt/kvm/kvm_main.c.
 */
#pragma once

#include <sys/types.h>

/* A socket, readable where there is something to be taken. -EAFNOSUPPORT where netlink sockets are
 * not allowed. The caller owns the fd, which has FD_CLOEXEC and waits for nothing. */
int kvm_events_open(int *ret_fd);

/* More than can be told without being taken: what was told before is among the next so many. */
#define KVM_EVENTS_MAX 4096

/* The thread that has made the next VM; 0 where what is told next is something else. -EAGAIN where
 * no more is told, -ENOBUFS where some were lost before that: then nothing else is told, and no
 * loss of it, until what is left was taken (af_netlink.c, NETLINK_S_CONGESTED). */
int kvm_events_next(int fd, pid_t *ret_thread);
