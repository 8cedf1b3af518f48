/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A firmware that is the guest: 64 KiB, the last of them below 4 GiB, where the processor begins.
 *
 * It copies itself into RAM, so that what it executes is a memslot's that may be exchanged, and from there reads and
 * writes a word in every 64 KiB from 1 MiB on to the end of its memory, as the CMOS tells it: each pass expects what the
 * pass before has left, and leaves another. Through QEMU's debug console (port 0x402) it says "S" when it begins, "." for
 * each pass and "X" where a word is wrong, after which it halts. Its count of passes is at 0x6000; while the byte at
 * 0x6004 isn't 0, it waits and says "z", once.
 */
	.set code, 0x7000
	.set count, 0x6000
	.set pause, 0x6004
	.set console, 0x402
	.set step, 0x10000
	.set first, 0x100000

	.text
	.globl _start
	.code16
_start:
begin:
	cli
	cld
	lgdtl	%cs:gdt_pointer
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$8, $0xf0000 + (flat - begin)

	.code32
flat:
	movw	$16, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$0xf0000, %esi
	movl	$code, %edi
	movl	$(end - begin), %ecx
	rep movsb
	ljmpl	$8, $code + (in_ram - begin)

in_ram:
	movl	$'S', %eax
	movw	$console, %dx
	outb	%al, %dx
	/* ebx: its end, from the CMOS: what is above 16 MiB, in 64 KiB. */
	xorl	%eax, %eax
	movb	$0x35, %al
	outb	%al, $0x70
	inb	$0x71, %al
	shll	$8, %eax
	movl	%eax, %ebx
	xorl	%eax, %eax
	movb	$0x34, %al
	outb	%al, $0x70
	inb	$0x71, %al
	orl	%eax, %ebx
	shll	$16, %ebx
	addl	$0x1000000, %ebx
	movl	$0, count
	movl	$0, pause
	/* The first pass leaves what the second expects. */
	movl	$first, %edi
fill:
	movl	%edi, (%edi)
	addl	$step, %edi
	cmpl	%ebx, %edi
	jb	fill
	xorl	%ebp, %ebp

pass:
	movl	$first, %edi
check:
	movl	%edi, %eax
	addl	%ebp, %eax
	cmpl	%eax, (%edi)
	jne	wrong
	incl	%eax
	movl	%eax, (%edi)
	addl	$step, %edi
	cmpl	%ebx, %edi
	jb	check
	incl	%ebp
	movl	%ebp, count
	movb	$'.', %al
	movw	$console, %dx
	outb	%al, %dx
	cmpb	$0, pause
	je	pass
	movb	$'z', %al
	outb	%al, %dx
wait:
	cmpb	$0, pause
	jne	wait
	jmp	pass

wrong:
	movb	$'X', %al
	movw	$console, %dx
	outb	%al, %dx
halt:
	hlt
	jmp	halt

	/* Marked as accessed, for in the ROM nothing can mark them. */
	.p2align 3
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
gdt_pointer:
	.word	. - gdt - 1
	.long	0xf0000 + (gdt - begin)
end:

	.org	0xfff0
	.code16
	/* The last 16 bytes, with which it begins: CS is 0xf000 from then on. */
	.byte	0xea
	.word	0, 0xf000
	.org	0xffff
	.byte	0

	.section .note.GNU-stack, "", @progbits
