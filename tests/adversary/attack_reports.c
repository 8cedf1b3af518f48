/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attacks with reports: files that are not what was created, and lies about what was done.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/packet.h"
#include "tests/adversary/adversary.h"

static void report_refused(struct world *world, const struct order *order, int fd,
	const char *reason, const char *what)
{
	int r = report(world, order, fd);

	verdict(r == -EREMOTEIO && reason_is(reason), "%s is refused (%s)", what,
		r == 0 ? "IT IS TAKEN" : gmem_last_error());
}

/* Three creations: of one page, ready; of two and of three, triggered but not reported. */
void attack_wrong_fds(struct world *world)
{
	struct order ready, two, three;
	int fd = make_memory(world, PAGE, &ready), two_fd, three_fd, pipes[2];
	int own = memfd_create("own", MFD_CLOEXEC);

	require(order_memory(world, 2 * PAGE, &two) == 0 &&
			order_memory(world, 3 * PAGE, &three) == 0,
		"gmemd writes two creations");
	two_fd = trigger(world, &two);
	three_fd = trigger(world, &three);
	require(two_fd >= 0 && three_fd >= 0, "both create");
	require(ftruncate(own, 2 * PAGE) == 0 && pipe2(pipes, O_CLOEXEC) == 0, "own files");
	report_refused(world, &two, three_fd, "invalid_params", "a guest_memfd of another size");
	report_refused(world, &two, own, "invalid_params", "a memfd");
	report_refused(world, &two, pipes[0], "invalid_params", "a pipe");
	report_refused(world, &two, world->vm.fd, "invalid_params", "the VM");
	report_refused(world, &two, world->vm.opening.kvm_fd, "invalid_params", "/dev/kvm");
	report_refused(world, &two, world->vm.opening.mailbox_fd, "invalid_params", "the mailbox");
	report_refused(world, &two, world->gmem->fd, "invalid_params", "the connection");
	report_refused(world, &two, -1, "invalid_params", "no file");
	verdict(report(world, &two, two_fd) == 0, "control: the right one is taken");
	verdict(report(world, &three, three_fd) == 0, "control: so is the other");
	close(fd);
	control(world);
}

void attack_untriggered(struct world *world)
{
	struct order one, other, third;
	int fd, third_fd;

	require(order_memory(world, PAGE, &one) == 0 && order_memory(world, PAGE, &other) == 0 &&
			order_memory(world, PAGE, &third) == 0,
		"gmemd writes three creations");
	fd = trigger(world, &one);
	require(fd >= 0, "one creates");
	report_refused(world, &other, fd, "conflict", "a creation that was never triggered");
	verdict(report(world, &one, fd) == 0, "control: the one that was is taken");
	report_refused(world, &other, fd, "conflict", "it a second time, under the other's name");
	third_fd = trigger(world, &third);
	require(third_fd >= 0, "the third creates");
	report_refused(world, &third, fd, "conflict", "a guest_memfd that gmemd has");
	verdict(report(world, &third, third_fd) == 0, "control: its own is taken");
	report_refused(world, &third, third_fd, "not_found", "a report of what is reported");
	control(world);
}

static void lie_about_binding(struct world *world)
{
	struct order memory, slot, again;
	int fd = make_memory(world, PAGE, &memory);

	require(order_slot(world, 1, 0x1000000, memory.memory, fd, &slot) == 0,
		"gmemd writes a slot");
	verdict(report(world, &slot, -1) == 0, "success is reported of a slot never bound");
	refused(EINVAL, trigger(world, &slot), "binding it then after all");
	verdict(close_memory(world, memory.memory) == -EREMOTEIO && reason_is("conflict"),
		"gmemd takes the memory for used");
	require(order_unbind(world, 1, &slot) == 0, "gmemd writes its end");
	verdict(report(world, &slot, -1) == 0, "success is reported of its end");
	require(order_slot(world, 2, 0x2000000, memory.memory, fd, &again) == 0 &&
			trigger(world, &again) == 0,
		"the memory can be bound");
	verdict(report_failure(world, &again, "EINVAL") == 0,
		"failure is reported of a slot that is bound");
	require(order_slot(world, 2, 0x2000000, memory.memory, fd, &again) == 0,
		"gmemd writes it once more");
	refused(EINVAL, trigger(world, &again), "binding what is bound");
	require(report_failure(world, &again, "EINVAL") == 0, "gmemd hears of that");
	verdict(close_memory(world, memory.memory) == 0, "the memory can be given back");
	close(fd);
}

static void lie_about_creation(struct world *world)
{
	struct order memory, other;
	int fd, other_fd;

	require(order_memory(world, PAGE, &memory) == 0, "gmemd writes a creation");
	fd = trigger(world, &memory);
	require(fd >= 0, "it creates");
	verdict(report_failure(world, &memory, "ENOMEM") == 0,
		"failure is reported of a memory that was created");
	verdict(report(world, &memory, fd) == -EREMOTEIO && reason_is("not_found"),
		"success can't be reported after it");
	verdict(order_slot(world, 1, 0x1000000, memory.memory, fd, &other) == -EREMOTEIO &&
			reason_is("not_found"),
		"what gmemd takes for never created can't be bound");
	require(order_memory(world, PAGE, &other) == 0, "gmemd writes another creation");
	other_fd = trigger(world, &other);
	require(other_fd >= 0, "it creates");
	verdict(report(world, &other, fd) == 0, "the first is taken for the second");
	verdict(report_failure(world, &other, "ENOMEM") == -EREMOTEIO && reason_is("not_found"),
		"failure can't be reported after success");
	close(fd);
	close(other_fd);
}

void attack_lies(struct world *world)
{
	lie_about_binding(world);
	lie_about_creation(world);
	control(world);
}

/* --- two VMMs that help each other --- */

static const char *meeting_place(void)
{
	const char *path = getenv("ADVERSARY_MEETING");

	require(path != NULL, "ADVERSARY_MEETING says where to meet");
	return path;
}

static int meet(void)
{
	for (int tries = 0; tries < 500; tries++) {
		int fd;

		if (packet_connect(meeting_place(), &fd) == 0)
			return fd;
		usleep(10000);
	}
	require(false, "the giver serves");
	return -1;
}

static int await_meeting(void)
{
	struct sockaddr_storage address = {.ss_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fd;

	snprintf((char *)&address + sizeof address.ss_family, 100, "%s", meeting_place());
	require(bind(listener, (struct sockaddr *)&address, 110) == 0 && listen(listener, 1) == 0,
		"a place to meet");
	fd = accept(listener, NULL, NULL);
	require(fd >= 0, "the taker comes");
	close(listener);
	return fd;
}

/* A memory that gmemd has, one that it was not told of, and the VM itself. */
void attack_giver(struct world *world)
{
	struct order ready, unreported;
	int fds[3], meeting = await_meeting();
	char end;

	fds[0] = make_memory(world, PAGE, &ready);
	require(order_memory(world, 2 * PAGE, &unreported) == 0, "gmemd writes a creation");
	fds[1] = trigger(world, &unreported);
	fds[2] = world->vm.fd;
	require(packet_send(meeting, 0, "take", 4, fds, 3) == 0, "the files are given");
	require(read(meeting, &end, 1) == 0, "the taker is done");
	verdict(report(world, &unreported, fds[1]) == 0,
		"control: the giver's memory is still the giver's");
	control(world);
}

static void try_to_bind(struct world *world, int foreign)
{
	struct order memory, slot;
	int fd;

	require(order_memory(world, PAGE, &memory) == 0, "gmemd writes a creation");
	fd = trigger(world, &memory);
	require(fd >= 0 && report(world, &memory, fd) == 0, "a memory of the taker's own");
	require(order_slot(world, 1, 0x1000000, memory.memory, foreign, &slot) == 0,
		"gmemd writes a slot");
	refused(EINVAL, trigger(world, &slot), "binding another VM's guest_memfd");
	require(dup2(fd, foreign) == foreign, "the right file takes its number");
	verdict(trigger(world, &slot) == 0, "control: the right one binds by the same entry");
}

void attack_taker(struct world *world)
{
	static struct packet packet;
	struct order one, two;
	int meeting = meet(), fd, two_fd;

	require(packet_receive(meeting, 0, &packet) == 0 && packet.fds.count == 3,
		"the giver gives");
	require(order_memory(world, PAGE, &one) == 0 && order_memory(world, 3 * PAGE, &two) == 0,
		"gmemd writes two creations");
	fd = trigger(world, &one);
	two_fd = trigger(world, &two);
	require(fd >= 0 && two_fd >= 0, "both create");
	report_refused(world, &one, packet.fds.fds[0], "conflict", "another VM's memory");
	report_refused(world, &two, packet.fds.fds[1], "invalid_params",
		"another VM's unreported memory of another size");
	refused(EIO, ioctl(packet.fds.fds[2], KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY),
		"asking another VM");
	refused(EPERM, ioctl(packet.fds.fds[2], two.request, two.entry),
		"creating for another VM by an entry that is used");
	verdict(report(world, &one, fd) == 0 && report(world, &two, two_fd) == 0,
		"control: the taker's own are taken");
	try_to_bind(world, packet.fds.fds[0]);
	control(world);
	close(meeting);
}
