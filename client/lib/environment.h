/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmem-run hands its VMM: fds by inheritance, and environment variables that say which. Of a
 * gmemd whose back end is the model there is neither device nor mailbox.
 */
#pragma once

#include <stdint.h>

#define GMEM_FD_VARIABLE              "GMEM_FD"              /* the connection to gmemd */
#define GMEM_SOCKET_VARIABLE          "GMEM_SOCKET"          /* the path that it leads to */
#define GMEM_KVM_FD_VARIABLE          "GMEM_KVM_FD"          /* /dev/kvm */
#define GMEM_MAILBOX_FD_VARIABLE      "GMEM_MAILBOX_FD"      /* the mailbox, to be mapped whole */
#define GMEM_MAILBOX_ADDRESS_VARIABLE "GMEM_MAILBOX_ADDRESS" /* and where, in decimal */
#define GMEM_REPORT_FD_VARIABLE       "GMEM_REPORT_FD"       /* the report page; may be missing */
#define GMEM_VM_VARIABLE              "GMEM_VM"              /* the VM's id */
#define GMEM_PROCESS_VARIABLE         "GMEM_PROCESS" /* own_process_number() of the VM's process */
#define GMEM_VM_TYPE_VARIABLE         "GMEM_VM_TYPE" /* KVM_CREATE_VM's argument, in decimal */

/* With --shim, where the VM is opened when the VMM opens /dev/kvm: what it is to be. */
#define GMEM_SHIM_VARIABLE         "GMEM_SHIM" /* the library's path, as LD_PRELOAD begins */
#define GMEM_NAME_VARIABLE         "GMEM_NAME"
#define GMEM_UUID_VARIABLE         "GMEM_UUID"
#define GMEM_COMMIT_LIMIT_VARIABLE "GMEM_COMMIT_LIMIT" /* bytes, in decimal */
#define GMEM_RESERVATION_VARIABLE  "GMEM_RESERVATION"  /* its id or name */
#define GMEM_GATE_VARIABLE         "GMEM_GATE"         /* "none" where there is to be none */
#define GMEM_MAPPINGS_VARIABLE     "GMEM_MAPPINGS"     /* "stay": enum gmem_mappings */
#define GMEM_TIMEOUT_VARIABLE      "GMEM_TIMEOUT"      /* seconds */

/*
 * Takes over the fd that a variable names: it has FD_CLOEXEC from now on and the variable is gone.
 * -ENOENT where there is no such variable, -EBADF where it names no open fd.
 */
int environment_take_fd(const char *variable, int *ret_fd);
/* A number. -ENOENT, -EINVAL. */
int environment_number(const char *variable, uint64_t *ret);
