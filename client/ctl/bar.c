/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Progress. See bar.h.
 */
#include "client/ctl/bar.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "client/ctl/text.h"

#define WIDTH_DEFAULT 80
#define WIDTH_MAX     400

static uint64_t monotonic_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

void bar_begin(struct bar *bar, const struct ctl *ctl, const char *what)
{
	*bar = (struct bar){.ctl = ctl,
		.what = what,
		.terminal = isatty(STDOUT_FILENO) && !ctl->json,
		.began = monotonic_us()};
}

static size_t terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return WIDTH_DEFAULT;
	return size.ws_col < WIDTH_MAX ? size.ws_col : WIDTH_MAX;
}

static void size_text(const struct ctl *ctl, uint64_t bytes, char *ret, size_t size)
{
	if (ctl->bytes)
		snprintf(ret, size, "%" PRIu64, bytes);
	else
		text_of_size(bytes, ret, size);
}

/* "3.5G of 8G, 2.1G/s, 2 s left" */
static void describe_rate(
	const struct bar *bar, uint64_t done, uint64_t total, char *ret, size_t size)
{
	uint64_t microseconds = monotonic_us() - bar->began + 1;
	uint64_t rate = (uint64_t)((double)done * 1e6 / (double)microseconds);
	char done_text[32], total_text[32], rate_text[32], left[32] = "";

	size_text(bar->ctl, done, done_text, sizeof done_text);
	size_text(bar->ctl, total, total_text, sizeof total_text);
	size_text(bar->ctl, rate, rate_text, sizeof rate_text);
	if (rate > 0 && done < total)
		snprintf(left, sizeof left, ", %" PRIu64 " s left",
			(total - done + rate - 1) / rate);
	snprintf(ret, size, "%s of %s, %s/s%s", done_text, total_text, rate_text, left);
}

/* One column less than there are: no terminal wraps that. */
static void draw(const struct bar *bar, uint64_t done, uint64_t total, const char *text)
{
	size_t width = terminal_width() - 1;
	size_t taken = strlen(bar->what) + strlen(text) + sizeof ": [] " - 1;
	size_t cells = width > taken + 10 ? width - taken : 0, full = cells;
	char hashes[WIDTH_MAX + 1];

	memset(hashes, '#', sizeof hashes - 1);
	hashes[sizeof hashes - 1] = '\0';
	if (total > 0)
		full = (size_t)((double)done / (double)total * (double)cells);
	if (cells > 0)
		printf("\r%s: [%.*s%*s] %s\033[K", bar->what, (int)full, hashes,
			(int)(cells - full), "", text);
	else
		printf("\r%.*s\033[K", (int)width, text);
	fflush(stdout);
}

void bar_show(struct bar *bar, uint64_t done, uint64_t total)
{
	uint64_t time = monotonic_us();
	char text[160];

	if (bar->ctl->json || (!bar->terminal && bar->shown > 0 && time - bar->shown < 1000000))
		return;
	bar->shown = time;
	describe_rate(bar, done, total, text, sizeof text);
	if (bar->terminal) {
		draw(bar, done, total, text);
	} else {
		printf("%s: %s\n", bar->what, text);
		fflush(stdout);
	}
}

void bar_end(struct bar *bar, uint64_t done, uint64_t total)
{
	bar->shown = 0;
	bar_show(bar, done, total);
	if (bar->terminal)
		putchar('\n');
}
