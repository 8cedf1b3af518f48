/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The device and the VM. See device.h.
 */
#include "client/shim/device.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "client/shim/book.h"
#include "client/shim/broker.h"
#include "client/shim/files.h"
#include "client/shim/real.h"
#include "client/shim/say.h"
#include "client/shim/settings.h"
#include "client/shim/vcpus.h"

#define DEVICE_PATH "/dev/kvm"

/* What libgmem has; the VMM gets copies. */
static struct {
	pthread_mutex_t lock;
	const struct settings *settings; /* NULL: not asked for yet */
	bool open;
	atomic_bool probes; /* settings->probe, for who does not hold the lock */
	int kvm_fd, vm_fd;
	struct file *device, *vm; /* with the books open; NULL while the VMM has no number of it */
} device = {.lock = PTHREAD_MUTEX_INITIALIZER};

bool device_is_meant(const char *path, int flags)
{
	return strcmp(path, DEVICE_PATH) == 0 && !(flags & O_PATH) &&
	       (book_is_claimed() || settings_exist() || device.probes);
}

static void keep_files(void)
{
	int files[BROKER_FILES];

	broker_files(files);
	if (!book_open())
		return;
	for (unsigned i = 0; i < BROKER_FILES; i++)
		files_keep(files[i]);
	book_close();
}

static int open_vm(void)
{
	struct job job = {.run = broker_open_vm, .what = "opening the VM"};
	int r = broker_start(device.settings);

	if (r == 0)
		r = broker_do(&job);
	if (r < 0) {
		say("opening the VM: %s%s", r == -EREMOTEIO ? "gmemd refused: " : "",
			job.message[0] ? job.message : strerror(-r));
		return r == -EREMOTEIO ? -EACCES : r;
	}
	device.kvm_fd = gmem_vm_kvm_fd(broker_vm());
	device.vm_fd = gmem_vm_fd(broker_vm());
	device.open = true;
	keep_files();
	return 0;
}

static int ensure_vm(void)
{
	int r = device.open ? 0 : open_vm();

	return r < 0 ? r : vcpus_begin();
}

/* A probe's VM is none of ours. */
static int ensure_open(void)
{
	int r;

	pthread_mutex_lock(&device.lock);
	if (!device.settings) {
		device.settings = settings_take();
		device.probes = device.settings->probe;
		if (!device.probes)
			book_claim();
	}
	r = device.probes ? 0 : ensure_vm();
	pthread_mutex_unlock(&device.lock);
	return r;
}

static int copy_fd(int fd, bool close_on_exec)
{
	int copy = real_calls()->fcntl(fd, close_on_exec ? F_DUPFD_CLOEXEC : F_DUPFD, 0);

	return copy < 0 ? -errno : copy;
}

/* Its lowest free number. */
static int hand_out(int fd, bool close_on_exec, enum file_kind kind)
{
	int copy;

	if (!book_open())
		return -EPERM;
	copy = copy_fd(fd, close_on_exec);
	if (copy >= 0)
		files_put(copy, file_new(kind));
	book_close();
	return copy;
}

int device_open(int flags)
{
	int r = ensure_open();

	if (r < 0)
		return r;
	if (device.probes)
		return copy_fd(device.settings->kvm_fd, flags & O_CLOEXEC);
	return hand_out(device.kvm_fd, flags & O_CLOEXEC, FILE_DEVICE);
}

static bool has_vm(void)
{
	bool has = true;

	if (book_open()) {
		has = files_count(FILE_VM) > 0;
		book_close();
	}
	return has;
}

int device_create_vm(unsigned long type)
{
	if (!book_is_claimed()) {
		say("KVM_CREATE_VM: the VM is another process's: that which has opened /dev/kvm "
		    "has to make it");
		return -EPERM;
	}
	if (type != 0) {
		say("KVM_CREATE_VM: the VMM wants a VM of type %lu, and --shim has those of the "
		    "default type alone",
			type);
		return -EINVAL;
	}
	if (has_vm()) {
		say("KVM_CREATE_VM: gmemd lets a process have one VM");
		return -EPERM;
	}
	return hand_out(device.vm_fd, /* close_on_exec= */ true, FILE_VM);
}
