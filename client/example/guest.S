/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The example VMM's guest: real mode, one vCPU, no firmware.
 *
 * Begins at guest address 0x1000. Before it, at 0x0800, is the struct guest_table of guest.h: how many ranges
 * there are, room for the sum, and for each range its segment and how many 16-bit words it has. The guest fills the
 * ranges with a running count, sums all of it again, prints the sum through port 0xe9, writes it into the table and
 * halts; when it is run again, it does all of that again.
 */
	.section .rodata
	.globl example_guest, example_guest_end
	.code16
example_guest:
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$0x0700, %sp
	cld

	/* Fill: the count goes on from range to range. */
	xorw	%dx, %dx
	movw	$0x0804, %si
	movw	0x0800, %bp
fill_range:
	movw	(%si), %es
	movw	2(%si), %cx
	addw	$4, %si
	xorw	%di, %di
fill_word:
	movw	%dx, %ax
	stosw
	incw	%dx
	loop	fill_word
	decw	%bp
	jnz	fill_range

	/* Sum. */
	xorw	%dx, %dx
	movw	$0x0804, %si
	movw	0x0800, %bp
sum_range:
	movw	(%si), %es
	movw	2(%si), %cx
	addw	$4, %si
	xorw	%di, %di
sum_word:
	addw	%es:(%di), %dx
	addw	$2, %di
	loop	sum_word
	decw	%bp
	jnz	sum_range
	movw	%dx, 0x0802

	/* Print it: four hexadecimal digits. */
	movw	$(message - example_guest + 0x1000), %si
print:
	lodsb
	testb	%al, %al
	jz	digits
	outb	%al, $0xe9
	jmp	print
digits:
	movw	$4, %cx
digit:
	rolw	$4, %dx
	movb	%dl, %al
	andb	$0x0f, %al
	cmpb	$10, %al
	jb	decimal
	addb	$('a' - '0' - 10), %al
decimal:
	addb	$'0', %al
	outb	%al, $0xe9
	loop	digit
	movb	$'\n', %al
	outb	%al, $0xe9
	hlt
	jmp	example_guest
message:
	.asciz	"guest: the sum of my memory is "
example_guest_end:

	.section .note.GNU-stack, "", @progbits
