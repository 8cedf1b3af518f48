/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of KVM's exits. See exit_name.h.
 */
#include "client/example/exit_name.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

/* By their numbers, which are the kernel's ABI, up to Linux 6.18. */
static const char *const names[] = {
	"UNKNOWN",
	"EXCEPTION",
	"IO",
	"HYPERCALL",
	"DEBUG",
	"HLT",
	"MMIO",
	"IRQ_WINDOW_OPEN",
	"SHUTDOWN",
	"FAIL_ENTRY",
	"INTR",
	"SET_TPR",
	"TPR_ACCESS",
	"S390_SIEIC",
	"S390_RESET",
	"DCR",
	"NMI",
	"INTERNAL_ERROR",
	"OSI",
	"PAPR_HCALL",
	"S390_UCONTROL",
	"WATCHDOG",
	"S390_TSCH",
	"EPR",
	"SYSTEM_EVENT",
	"S390_STSI",
	"IOAPIC_EOI",
	"HYPERV",
	"ARM_NISV",
	"X86_RDMSR",
	"X86_WRMSR",
	"DIRTY_RING_FULL",
	"AP_RESET_HOLD",
	"X86_BUS_LOCK",
	"XEN",
	"RISCV_SBI",
	"RISCV_CSR",
	"NOTIFY",
	"LOONGARCH_IOCSR",
	"MEMORY_FAULT",
	"TDX",
};

const char *exit_name(uint32_t reason)
{
	static __thread char name[40];

	if (reason < sizeof names / sizeof *names)
		snprintf(name, sizeof name, "KVM_EXIT_%s", names[reason]);
	else
		snprintf(name, sizeof name, "exit reason %" PRIu32, reason);
	return name;
}
