/* Names one image on a small board: no operating system, threads, files or exceptions.
 *
 * The program and the weights are constants in flash memory, and the weights are used where they lie. On a real board `image`
 * is what the camera writes; here it is copied from flash. `make board` builds this for a Cortex-M7 and runs it in an emulator
 * with 200,000 bytes of memory. */
#include <stdio.h>
#include <string.h>

#include "board.h"
#include "mobilenet.h"

#define SIDE 96
#define CLASSES 1000

/* A file as a constant. Packed weights must begin at a multiple of 64. */
#define EMBED(name, path)                                                                                       \
  __asm__(".section .rodata." #name ",\"a\"\n.balign 64\n.global " #name "\n" #name ":\n.incbin \"" path        \
          "\"\n.global " #name "_end\n" #name "_end:\n.byte 0\n.text\n");                                       \
  extern const unsigned char name[], name##_end[];
EMBED(program, MODEL "/model.program")
EMBED(weights, MODEL "/model.weights")
EMBED(photo, PHOTO) /* 3 bytes for each pixel, of the network's size */

static unsigned char image[SIDE * SIDE * 3];
static float scores[CLASSES];

void mobilenet_failed(const char *message) {
  board_say(message);
  board_stop(1);
}

int main(void) {
  float *outputs[] = {scores};
  mobilenet_model *model;
  mobilenet_runner *runner;
  mobilenet_info info;
  char line[160];
  unsigned digest = 2166136261u; /* FNV-1a of the scores' bytes, to compare with another machine's */
  int i, best = 0;

  memcpy(image, photo, sizeof(image));
  if (mobilenet_load(program, (size_t)(program_end - program), weights, (size_t)(weights_end - weights), &model) ||
      mobilenet_runner_new(model, NULL, 0, &runner))
    mobilenet_failed(mobilenet_message());
  mobilenet_describe(model, &info);
  if (info.height != SIDE || info.width != SIDE || info.num_labels != CLASSES) mobilenet_failed("a network of another size");
  if (mobilenet_run_image(runner, image, outputs)) mobilenet_failed(mobilenet_message());

  for (i = 1; i < CLASSES; ++i) best = scores[i] > scores[best] ? i : best;
  for (i = 0; i < (int)sizeof(scores); ++i) digest = (digest ^ ((const unsigned char *)scores)[i]) * 16777619u;
  snprintf(line, sizeof(line), "class %d, %s\nscores %08x\nplanned %u\n", best, mobilenet_label(model, best), digest,
           (unsigned)info.arena_bytes);
  board_say(line);
  return 0;
}
