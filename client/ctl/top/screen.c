/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The whole terminal. See screen.h. Control sequences are those of ECMA-48, and xterm's for the
 * alternate screen.
 */
#include "client/ctl/top/screen.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "kernel/host/process_start.h"

/* Within which the bytes that one key sends come. */
#define SEQUENCE_MS 50

struct screen {
	struct termios before;
	sigset_t signals_before;
	int signals; /* those that don't end the program */
};

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

/* What a signal's handler puts back. */
static const struct screen *shown;

static void put_text(const char *sequence)
{
	if (write(STDOUT_FILENO, sequence, strlen(sequence)) < 0)
		return; /* the terminal is gone */
}

/* The alternate screen without a cursor; keys as they come, unechoed. */
static void take_terminal(const struct screen *screen)
{
	struct termios raw = screen->before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	put_text("\033[?1049h\033[?25l");
}

/* Safe in a signal's handler. */
static void give_terminal_back(const struct screen *screen)
{
	put_text("\033[?25h\033[?1049l");
	tcsetattr(STDIN_FILENO, TCSANOW, &screen->before);
}

/* At once, whatever the program waits for. */
static void end_screen(int number)
{
	if (shown)
		give_terminal_back(shown);
	_exit(128 + number);
}

static int catch_signals(struct screen *screen)
{
	struct sigaction action = {.sa_handler = end_screen};
	sigset_t signals;

	for (size_t i = 0; i < sizeof ending_signals / sizeof *ending_signals; i++) {
		if (process_may_handle(ending_signals[i]))
			sigaction(ending_signals[i], &action, NULL);
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGTSTP);
	sigaddset(&signals, SIGWINCH);
	sigprocmask(SIG_BLOCK, &signals, &screen->signals_before);
	return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
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
	shown = screen;
	take_terminal(screen);
	return screen;
}

struct screen *screen_close(struct screen *screen)
{
	if (!screen)
		return NULL;
	fflush(stdout);
	give_terminal_back(screen);
	shown = NULL;
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
static void stop_screen(struct screen *screen)
{
	give_terminal_back(screen);
	raise(SIGSTOP);
	take_terminal(screen);
}

static enum screen_event take_signal(struct screen *screen)
{
	struct signalfd_siginfo info;

	if (read(screen->signals, &info, sizeof info) != sizeof info)
		return SCREEN_TIMEOUT;
	if (info.ssi_signo == SIGTSTP)
		stop_screen(screen);
	return SCREEN_RESIZED;
}

/* A byte that is there by then; -1: none is. */
static int next_byte(int milliseconds)
{
	struct pollfd event = {.fd = STDIN_FILENO, .events = POLLIN};
	unsigned char byte;

	if (poll(&event, 1, milliseconds) <= 0 || read(STDIN_FILENO, &byte, 1) != 1)
		return -1;
	return byte;
}

/* What comes behind ESC [ or ESC O, as xterm and the Linux console send it. */
static int read_sequence(void)
{
	static const struct {
		char end;
		int number, key;
	} keys[] = {{'A', 0, KEY_UP}, {'B', 0, KEY_DOWN}, {'C', 0, KEY_RIGHT}, {'D', 0, KEY_LEFT},
		{'H', 0, KEY_HOME}, {'F', 0, KEY_END}, {'~', 1, KEY_HOME}, {'~', 4, KEY_END},
		{'~', 7, KEY_HOME}, {'~', 8, KEY_END}, {'~', 5, KEY_PAGE_UP},
		{'~', 6, KEY_PAGE_DOWN}};
	int number = 0, byte = next_byte(SEQUENCE_MS);

	for (; byte >= '0' && byte <= '9' && number < 1000; byte = next_byte(SEQUENCE_MS))
		number = 10 * number + byte - '0';
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		if (keys[i].end == byte && keys[i].number == number)
			return keys[i].key;
	}
	return KEY_UNKNOWN;
}

/* -1: the terminal is gone. */
static int read_key(void)
{
	int byte = next_byte(0);

	if (byte == '\n')
		return KEY_ENTER;
	if (byte == '\b')
		return KEY_BACKSPACE;
	if (byte != '\033')
		return byte;
	byte = next_byte(SEQUENCE_MS);
	if (byte == '[' || byte == 'O')
		return read_sequence();
	return byte < 0 ? KEY_ESCAPE : KEY_UNKNOWN;
}

enum screen_event screen_wait(struct screen *screen, int milliseconds, int *ret)
{
	struct pollfd events[] = {
		{.fd = screen->signals, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
	int key;

	if (poll(events, 2, milliseconds) <= 0)
		return SCREEN_TIMEOUT;
	if (events[0].revents)
		return take_signal(screen);
	key = read_key();
	if (key < 0)
		return SCREEN_GONE;
	*ret = key;
	return SCREEN_KEY;
}
