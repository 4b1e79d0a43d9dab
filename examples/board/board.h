/* What a board brings to board.c. */
#ifndef BOARD_H
#define BOARD_H

void board_say(const char *text);
void board_stop(int status);

#endif
