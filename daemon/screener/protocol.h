/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmemd and gmemd-screener say to each other: packets of one byte over a pair of sockets, each
 * with one file or none.
 */
#pragma once

/* The screener's end. */
#define SCREENER_SOCKET 3

enum screener_word {
	/* gmemd's, each with a file; each is answered with SCREENER_DONE. */
	SCREENER_LISTENER = 'l',   /* accept those who connected while files could be sent */
	SCREENER_CONNECTION = 'c', /* has files in its queue: keep it */
	SCREENER_FAREWELL = 'f',   /* without one: gmemd has closed all that it has handed over */
	/* The screener's. */
	SCREENER_HARMLESS = 'h', /* with a connection of the listener's that has no files */
	SCREENER_DONE = 'd',
};
