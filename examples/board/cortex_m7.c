/* The start of a Cortex-M7, and what C's library asks of it. Memory that was never written is counted, so that the program can say
 * how much it took. Words go to a debugger or emulator by Arm's semihosting. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "board.h"

#define PAINT 0xA5A5A5A5u

extern uint32_t data_source[], data_start[], data_end[], bss_start[], bss_end[], heap_start[], ram_end[]; /* of board.ld */
extern void (*const init_array_start[])(void), (*const init_array_end[])(void);
static char *heap = (char *)heap_start;

int main(void);

static int semihost(int operation, const void *argument) {
  register int r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

void board_say(const char *text) { semihost(0x04, text); }

void board_stop(int status) {
  const uint32_t reason[] = {0x20026, (uint32_t)status}; /* the application has ended, with a status */
  semihost(0x20, reason);
  for (;;) {
  }
}

/* Memory for malloc: from the end of all variables upward, as far as the stack has not come. */
void *_sbrk(ptrdiff_t bytes) {
  char *taken = heap, *stack = __builtin_frame_address(0);
  if (bytes > stack - heap) {
    errno = ENOMEM;
    return (void *)-1;
  }
  heap += bytes;
  return taken;
}

void _exit(int status) {
  board_stop(status);
  for (;;) {
  }
}

/* Nothing is destroyed at the end: there is no end. */
void *__dso_handle = NULL;
int __aeabi_atexit(void *object, void (*destroy)(void *), void *library) {
  (void)object, (void)destroy, (void)library;
  return 0;
}

/* The first thing that runs. */
void reset(void) {
  uint32_t *word, *source = data_source;
  void (*const *constructor)(void);
  char line[160];
  *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* the floating-point unit is on */
  __asm__ volatile("dsb\nisb");
  for (word = data_start; word < data_end;) *word++ = *source++;
  for (word = bss_start; word < bss_end;) *word++ = 0;
  for (word = heap_start; word < (uint32_t *)__builtin_frame_address(0) - 64;) *word++ = PAINT;
  for (constructor = init_array_start; constructor < init_array_end; ++constructor) (*constructor)();
  if (main()) board_stop(1);
  for (word = ram_end; word[-1] != PAINT || word[-2] != PAINT || word[-3] != PAINT || word[-4] != PAINT;) --word;
  snprintf(line, sizeof(line), "variables %u\nheap %u\nstack %u\n", (unsigned)((char *)heap_start - (char *)data_start),
           (unsigned)(heap - (char *)heap_start), (unsigned)((char *)ram_end - (char *)word));
  board_say(line);
  board_stop(0);
}

static void fault(void) {
  board_say("fault\n");
  board_stop(2);
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    ram_end, (void *)reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault};
