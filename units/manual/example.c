/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gmem.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define SIZE (2 << 20)

static int give_memory(struct gmem_vm *vm, struct gmem_memory **ret)
{
	struct gmem_slot slot = {.guest_phys_addr = 0, .memory_size = SIZE};
	void *bytes;
	int r;

	r = gmem_memory_create(vm, SIZE, NULL, ret);
	if (r < 0)
		return r;
	r = gmem_memory_map(*ret, 0, SIZE, PROT_READ | PROT_WRITE, &bytes);
	if (r < 0)
		return r;
	memset(bytes, 0xf4, SIZE); /* HLT, all over */
	slot.userspace_addr = (uintptr_t)bytes;
	slot.memory = *ret;
	return gmem_slot_bind(vm, &slot);
}

int main(void)
{
	const struct gmem_vm_options options = {.name = "minimal"};
	struct gmem *gmem = NULL;
	struct gmem_vm *vm = NULL;
	struct gmem_memory *memory = NULL;
	int r;

	r = gmem_connect(NULL, &gmem);
	if (r == 0)
		r = gmem_vm_open(gmem, &options, &vm);
	if (r == 0)
		r = give_memory(vm, &memory);
	if (r == 0)
		printf("VM %s has %d bytes\n", gmem_vm_id(vm), SIZE);
	else
		fprintf(stderr, "%s\n", gmem_last_message());
	gmem_memory_free(memory);
	gmem_vm_free(vm);
	gmem_free(gmem);
	return r < 0;
}
