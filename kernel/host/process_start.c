/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a process inherits. See process_start.h.
 */
#include "kernel/host/process_start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

/* Those below are open: it gets the lowest number that is free, which is the closed one's. */
static int open_in_place(int fd, int mode)
{
	if (fcntl(fd, F_GETFD) >= 0)
		return 0;
	return open("/dev/null", mode) < 0 ? -errno : 0;
}

static int open_standard_files(enum process_role role)
{
	/* Writing to what is open for reading alone fails. */
	int output = role == PROCESS_TOOL ? O_RDONLY : O_RDWR;
	int r = open_in_place(STDIN_FILENO, O_RDWR);

	if (r == 0)
		r = open_in_place(STDOUT_FILENO, output);
	if (r == 0)
		r = open_in_place(STDERR_FILENO, O_RDWR);
	return r;
}

static void set_signals(enum process_role role)
{
	static const int ignored[] = {SIGHUP, SIGPIPE, SIGTTOU, SIGXFSZ};
	sigset_t none;

	signal(SIGCHLD, SIG_DFL);
	if (role == PROCESS_TOOL)
		signal(SIGPIPE, SIG_DFL);
	for (size_t i = 0; role == PROCESS_DAEMON && i < sizeof ignored / sizeof *ignored; i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int process_start(enum process_role role)
{
	int r = open_standard_files(role);

	set_signals(role);
	if (role == PROCESS_DAEMON)
		umask(022);
	return r;
}

bool process_may_handle(int number)
{
	struct sigaction action;

	return sigaction(number, NULL, &action) < 0 || action.sa_handler != SIG_IGN;
}
