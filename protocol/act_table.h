/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of acts, a row each, for acts.h and acts.c to make theirs of: ACT(symbol, name, id,
 * level, whose, also, subject, summary, advice).
 *
 * id: the MESSAGE_ID of its entries, which is never another's and never changes. also: the fields
 * that they have besides those of all. subject: a line, in which @FIELD@ is that field of the
 * entry. summary: what has happened; advice: what whoever reads it is to do.
 */

ACT(VM_OPENED, "vm_opened", "9e616137ae064d0187a6aa1e2e7aacad", LOG_INFO, ACT_OF_VM, "",
	"VM @GMEMD_VM_NAME@ was opened",
	"A process has opened a VM: gmemd gives it guest memory from now on.",
	"Nothing is to be done. Who may open VMs is who may connect to gmemd.sock "
	"(gmemd.socket), and what they may have is in gmemd.conf; `gmemctl show VM` "
	"tells what it has.")

ACT(GATE_SET, "gate_set", "45e97e44a5e148bfbd0ba66457a40d29", LOG_INFO, ACT_OF_VM, "",
	"VM @GMEMD_VM_NAME@ is behind its gate",
	"The VMM has handed over the listener of its gate: it can make the VM, and "
	"its memories, only as gmemd lets it.",
	"Nothing is to be done. A VM that has no such entry after vm_opened runs "
	"without a gate (`gmemctl vms` tells), or was never made.")

ACT(VM_RUNNING, "vm_running", "91b7bad5b7864f66b00c7bf62f0070d4", LOG_INFO, ACT_OF_VM, "",
	"VM @GMEMD_VM_NAME@ was made",
	"The VMM has made its VM: behind its gate, or, where the policy lets it, "
	"without one.",
	"Nothing is to be done. Where it says that there is no gate and there must "
	"be one, set [gate] policy = required in gmemd.conf.")

ACT(GATE_LOST, "gate_lost", "93de0b7c02204de283b983c731e5db2d", LOG_NOTICE, ACT_OF_VM, "",
	"The gate of VM @GMEMD_VM_NAME@ has lost its listener",
	"gmemd and gmemd-keeper have ended together, and the gate's listener with "
	"them: the VM runs on, and can make no guest_memfd any more.",
	"Restart the VM when that suits you. Find out why gmemd-keeper has ended: "
	"`journalctl -u gmemd-keeper`; nothing is to stop it while VMs run.")

ACT(IOCTL_REFUSED, "ioctl_refused", "bdfefb694f994cffaf5b2e05c3d13357", LOG_WARNING, ACT_OF_VM,
	"GMEMD_IOCTL GMEMD_REASON", "The gate of VM @GMEMD_VM_NAME@ has refused an ioctl",
	"The VMM has tried an ioctl that gmemd had not written the arguments of, and "
	"it has failed with EPERM.",
	"A VMM that works does not do so. Its guest may have taken it over: look at "
	"what else it does, and stop it. Or it uses libgmem wrongly; GMEMD_REASON "
	"says what was wrong.")

ACT(REQUEST_REFUSED, "request_refused", "e142ca3bdce44009aaef3ea0aa99b616", LOG_NOTICE, ACT_OF_PEER,
	"GMEMD_METHOD GMEMD_REASON", "@GMEMD_METHOD@ was refused to user @GMEMD_UID@",
	"gmemd has refused a request: it was not permitted, or a budget or a limit "
	"has no room for it. Nothing has changed by it.",
	"The message says what is missing, which budget is full, or which limit of "
	"gmemd.conf was reached. Raise that limit, give the tenant more, or ask who "
	"runs this process what it wants.")

ACT(CONNECTION_REFUSED, "connection_refused", "37d77c0f0a334ba9b1ae30b2110af0ce", LOG_NOTICE,
	ACT_OF_PEER, "GMEMD_LIMIT", "A connection was refused to user @GMEMD_UID@",
	"The user has as many connections as it may have; another was closed.",
	"Look at which of its processes hold connections (`ss -xp`), or raise the "
	"limit that GMEMD_LIMIT names in gmemd.conf.")

ACT(GRANT_MADE, "grant_made", "9ba2c77855b04ef2a3196e9840dbfce0", LOG_NOTICE, ACT_OF_VM,
	"GMEMD_GRANT GMEMD_MEMORY GMEMD_TO", "@GMEMD_TO@ may open a memory of VM @GMEMD_VM_NAME@",
	"The VMM has let another process, or all of another user, open a memory.",
	"Nothing is to be done where that is the VM's back end. What it opens it can keep: a "
	"guest_memfd can't be taken back. `gmemctl show VM` lists who may, and who has.")

ACT(MEMORY_OPENED, "memory_opened", "da38919d564c480bada60a9d12702735", LOG_NOTICE, ACT_OF_VM,
	"GMEMD_GRANT GMEMD_MEMORY",
	"Process @GMEMD_BY_PID@ has opened a memory of VM @GMEMD_VM_NAME@",
	"A process that is not the VM's has opened a memory that it was granted, and can see and "
	"change what the guest has there, for as long as it holds the file.",
	"Nothing is to be done where that is the VM's back end. Where it is not, end the process, "
	"and the VM.")

ACT(VM_RESUMED, "vm_resumed", "6a7abe88ca5e4042b618a75f14cb02b7", LOG_INFO, ACT_OF_VM, "",
	"VM @GMEMD_VM_NAME@ was resumed",
	"The VM's process goes on with it on another connection; or the VM was "
	"rebuilt from what its process still has, after gmemd and gmemd-keeper had "
	"ended together.",
	"Nothing is to be done, unless it was rebuilt: then find out why "
	"gmemd-keeper had ended.")

ACT(LIMIT_CHANGED, "limit_changed", "29b67f60eef84315a1d28d5f5f15d819", LOG_NOTICE, ACT_OF_HOST,
	"GMEMD_SCOPE GMEMD_LIMIT GMEMD_OLD GMEMD_NEW",
	"@GMEMD_LIMIT@ has changed from @GMEMD_OLD@ to @GMEMD_NEW@",
	"A setting of gmemd's was changed while it serves, or the host has another amount of "
	"memory than before.",
	"Compare with what is promised: `gmemctl status`. What was granted already stays so; what "
	"goes beyond is refused from now on.")

ACT(RESERVATION_MADE, "reservation_made", "0f3b5cc9c3bb486aa4d6d5ccadbb71ba", LOG_NOTICE,
	ACT_OF_PEER, "GMEMD_RESERVATION GMEMD_SIZE GMEMD_FOR",
	"@GMEMD_SIZE@ bytes were reserved: @GMEMD_RESERVATION@",
	"An operator has had memory promised to a VM that is to be opened.",
	"Nothing is to be done: it lapses by itself. `gmemctl reservations` lists what is "
	"reserved, and `gmemctl unreserve` gives it back. GMEMD_FOR is the tenant that alone may "
	"use it, where there is one.")

ACT(RESERVATION_USED, "reservation_used", "460c46a44d81491b835cbca10f36fe8f", LOG_INFO, ACT_OF_VM,
	"GMEMD_RESERVATION GMEMD_SIZE",
	"Reservation @GMEMD_RESERVATION@ is the promise of VM @GMEMD_VM_NAME@",
	"A VM was opened with a reservation, which is none any more: what was reserved is promised "
	"to the VM, or as much of it as its commit limit.",
	"Nothing is to be done.")

ACT(RESERVATION_LAPSED, "reservation_lapsed", "7db035c8bdcf4642a10a9bc9d92646fd", LOG_NOTICE,
	ACT_OF_HOST, "GMEMD_RESERVATION GMEMD_SIZE", "Reservation @GMEMD_RESERVATION@ has lapsed",
	"No VM was opened with it in its time: what was reserved others can have.",
	"Find out why its VM did not start; or have memory reserved for longer.")

ACT(RESERVATION_CANCELLED, "reservation_cancelled", "116617fc72a84a8587b8bff42e1f5b4f", LOG_NOTICE,
	ACT_OF_PEER, "GMEMD_RESERVATION GMEMD_SIZE",
	"Reservation @GMEMD_RESERVATION@ was cancelled",
	"An operator has given a reservation back: others can have what was reserved.",
	"Nothing is to be done.")

ACT(VM_LINGERS, "vm_lingers", "3523c10d4da94c15a7e15e8c45afdc66", LOG_NOTICE, ACT_OF_VM, "",
	"The process of VM @GMEMD_VM_NAME@ has ended, and its memory lingers",
	"The VMM has ended without having closed its VM. As gmemd.conf's linger "
	"says, its memory stays for a time, and is charged as it was.",
	"`gmemctl dump VM FILE` writes that memory to a file, and `gmemctl call "
	"vm.close` gives it back at once. Find out why the VMM has ended.")

ACT(VM_RELEASED, "vm_released", "c095938aad6a4d4b9db181b32649b3da", LOG_INFO, ACT_OF_VM,
	"GMEMD_RELEASED", "VM @GMEMD_VM_NAME@ was released",
	"The VM was closed, or its process has ended: its memory is back on the "
	"host, and its charges are gone.",
	"Nothing is to be done. GMEMD_BY_PID and GMEMD_BY_UID, where they are there, "
	"are the operator's who has closed it.")

ACT(ENTRIES_LEFT_OUT, "entries_left_out", "3107977257ce4b50bc05055e6a6d133d", LOG_WARNING,
	ACT_OF_USER, "GMEMD_COUNT", "Entries about user @GMEMD_UID@ were left out",
	"A user has made gmemd write more entries than it may, and the rest was left "
	"out. metrics.get counts them all.",
	"Look at the entries before this one: journalctl GMEMD_UID=@GMEMD_UID@. One "
	"that is refused so often is broken or hostile.")
