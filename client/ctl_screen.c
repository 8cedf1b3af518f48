/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The whole terminal. See ctl_screen.h. Control sequences are those of ECMA-48, and xterm's for the
 * alternate screen.
 */
#include "client/ctl_screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

struct screen {
	struct termios before;
	sigset_t signals_before;
	int signals;
};

static int catch_signals(struct screen *screen)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGQUIT);
	sigaddset(&signals, SIGTSTP);
	sigaddset(&signals, SIGWINCH);
	sigprocmask(SIG_BLOCK, &signals, &screen->signals_before);
	return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The alternate screen without a cursor; keys as they come, unechoed. */
static void take_terminal(const struct screen *screen)
{
	struct termios raw = screen->before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	fputs("\033[?1049h\033[?25l", stdout);
	fflush(stdout);
}

static void give_terminal_back(const struct screen *screen)
{
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &screen->before);
}

struct screen *screen_open(void)
{
	struct screen *screen = calloc(1, sizeof *screen);

	if (!screen)
		return NULL;
	screen->signals = tcgetattr(STDIN_FILENO, &screen->before) < 0 ? -1 : catch_signals(screen);
	if (screen->signals < 0) {
		free(screen);
		return NULL;
	}
	take_terminal(screen);
	return screen;
}

struct screen *screen_close(struct screen *screen)
{
	if (!screen)
		return NULL;
	give_terminal_back(screen);
	close(screen->signals);
	sigprocmask(SIG_SETMASK, &screen->signals_before, NULL);
	free(screen);
	return NULL;
}

void screen_size(const struct screen *screen, size_t *ret_rows, size_t *ret_columns)
{
	struct winsize size = {.ws_row = 0};

	(void)screen;
	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	*ret_rows = size.ws_row > 0 ? size.ws_row : 24;
	*ret_columns = size.ws_col > 0 ? size.ws_col : 80;
}

/* As any program: the terminal is the shell's meanwhile. */
static void stop(struct screen *screen)
{
	give_terminal_back(screen);
	raise(SIGSTOP);
	take_terminal(screen);
}

static enum screen_event take_signal(struct screen *screen, int *ret)
{
	struct signalfd_siginfo info;

	if (read(screen->signals, &info, sizeof info) != sizeof info)
		return SCREEN_TIMEOUT;
	*ret = (int)info.ssi_signo;
	if (*ret == SIGTSTP)
		stop(screen);
	return *ret == SIGTSTP || *ret == SIGWINCH ? SCREEN_RESIZED : SCREEN_SIGNAL;
}

enum screen_event screen_wait(struct screen *screen, int milliseconds, int *ret)
{
	struct pollfd events[] = {
		{.fd = screen->signals, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
	unsigned char key;

	if (poll(events, 2, milliseconds) <= 0)
		return SCREEN_TIMEOUT;
	if (events[0].revents)
		return take_signal(screen, ret);
	if (read(STDIN_FILENO, &key, 1) != 1) {
		*ret = SIGHUP; /* the terminal is gone */
		return SCREEN_SIGNAL;
	}
	*ret = key;
	return SCREEN_KEY;
}
