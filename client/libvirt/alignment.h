/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Having gmemd's VMs as their domains are to be.
 */
#pragma once

#include "client/libvirt/domain.h"

struct broker;
struct json_object;

/*
 * Sets what gmemd has otherwise of the VMs of those that are unaligned and run. A VM is a domain's
 * only where it has its UUID and its process is in the cgroup of the domain's machine. A limit that
 * the VM has passed already is not set. Where gmemd isn't there, or goes meanwhile, they stay
 * unaligned.
 */
void align_domains(struct broker *broker, struct domain_tree *domains);
