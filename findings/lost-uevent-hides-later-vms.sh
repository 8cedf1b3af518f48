#!/bin/sh
# Who listens to KVM's uevents and was too slow once is told so once, by ENOBUFS, and then misses VMs that are made later, in
# silence, although there is room for them: until all that was queued before has been taken, netlink queues nothing for that socket
# and reports no other loss. So ENOBUFS marks where a gap begins and not where it ends, and who goes on reading after it can't tell
# which VMs were made meanwhile.
#
# Seen on:   Linux 6.18.44.
# Expected:  netlink(7) says that ENOBUFS lets an application detect that messages were dropped, as if each gap had its own.
# Output seen: as in "expected" below.
#
# Needs: root, /dev/kvm, the first network namespace's uevents, cc. Exit status: 0 as found, 1 changed, 77 can't be tried here.
set -eu

skip() {
	echo "skipped: $1"
	exit 77
}

[ -r /dev/kvm ] && [ -w /dev/kvm ] || skip "no /dev/kvm"
command -v cc >/dev/null || skip "no C compiler"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM

cat >"$folder/program.c" <<'END'
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GROUP = 1, QUEUE = 16 * 1024, MANY = 200, TAKEN = 5 };

static int kvm, listener, losses;

static bool make_vm(void)
{
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);

	return vm >= 0 && close(vm) == 0;
}

/* By a process of its own, which the uevent names. */
static pid_t have_vm_made(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(make_vm() ? 0 : 1);
	waitpid(child, NULL, 0);
	return child;
}

/* Whether the creation of a VM by that process is among the next messages. */
static bool is_told(pid_t maker, int most)
{
	char text[4096], wanted[32];
	bool told = false;

	snprintf(wanted, sizeof wanted, "PID=%d", maker);
	while (most-- > 0) {
		ssize_t n = recv(listener, text, sizeof text - 1, MSG_DONTWAIT);
		bool create = false, its = false;

		if (n < 0 && errno == ENOBUFS)
			losses++;
		else if (n < 0)
			break;
		if (n < 0)
			continue;
		text[n] = '\0';
		for (char *line = text; line < text + n; line += strlen(line) + 1) {
			create |= strcmp(line, "EVENT=create") == 0;
			its |= strcmp(line, wanted) == 0;
		}
		told |= create && its;
	}
	return told;
}

static void say(const char *what, bool told)
{
	printf("%s: %s, losses told: %d\n", what, told ? "told" : "not told", losses);
	losses = 0;
}

int main(void)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = GROUP};
	int size = QUEUE;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	listener = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	if (kvm < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
	    !is_told(have_vm_made(), MANY)) {
		puts("this process hears of no VM that it makes");
		return 77;
	}
	for (int i = 0; i < MANY; i++)
		make_vm();
	is_told(0, TAKEN);
	printf("too many VMs, of which a few messages are taken: losses told: %d\n", losses);
	losses = 0;
	say("a VM, once a few were taken", is_told(have_vm_made(), MANY));
	say("a VM, once all were taken", is_told(have_vm_made(), MANY));
	return 0;
}
END
cat >"$folder/expected" <<'END'
too many VMs, of which a few messages are taken: losses told: 1
a VM, once a few were taken: not told, losses told: 0
a VM, once all were taken: told, losses told: 0
END
cc -O1 -Wall -o "$folder/program" "$folder/program.c"
status=0
"$folder/program" >"$folder/seen" || status=$?
[ "$status" != 77 ] || skip "$(cat "$folder/seen")"
echo "Linux $(uname -r)"
cat "$folder/seen"
if [ "$status" = 0 ] && diff -u "$folder/expected" "$folder/seen"; then
	echo "as found"
else
	echo "changed: status $status, and what differs is above"
	exit 1
fi
