/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The random-kill test's guest: 32-bit, flat, without paging, from address 0 on. ebx is the size of what it sums, in
 * bytes; behind that is a word that it counts its passes in. Each pass tells the sum through port 0xe9. Each step of
 * the sum can be taken back, so that no change of a single word is lost in it.
 */
	.section .rodata
	.globl kill_guest, kill_guest_end
	.code32
kill_guest:
	xorl	%esi, %esi
	movl	$0x811c9dc5, %eax
sum_word:
	xorl	(%esi), %eax
	imull	$16777619, %eax, %eax
	addl	$4, %esi
	cmpl	%ebx, %esi
	jb	sum_word
	incl	(%ebx)
	outl	%eax, $0xe9
	jmp	kill_guest
kill_guest_end:

	.section .note.GNU-stack, "", @progbits
