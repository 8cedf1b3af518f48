/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host_lack: prints what this host lacks for a gated VM on guest_memfd; nothing where it lacks
 * nothing.
 */
#include <fcntl.h>
#include <stdio.h>

#include "kernel/base/cleanup.h"
#include "kernel/kvm/probe.h"

int main(void)
{
	cleanup_fd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	static struct host_offer offer;

	if (kvm < 0 || probe_host(kvm, &offer) < 0)
		puts("no usable /dev/kvm");
	else if (!offer.vm_types[0].guest_memfd)
		printf("kernel %s has no guest_memfd\n", offer.kernel_release);
	else if (!offer.gate)
		printf("kernel %s lacks %s\n", offer.kernel_release, offer.gate_missing);
	return 0;
}
