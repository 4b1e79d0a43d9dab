/* Names an image: classify MODEL-c IMAGE.ppm
 *
 * MODEL-c is the folder that `mobilenet export MODEL --to c` writes. A PPM of 8 bits: `convert photo.jpg photo.ppm`. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "mobilenet.h"

#define MAX_CLASSES 4096

static int number(FILE *file) { /* of a PPM's head, past spaces and comments */
  int byte, value = 0;
  while ((byte = getc(file)) == ' ' || byte == '\n' || byte == '\t' || byte == '\r' || byte == '#')
    while (byte == '#' && (byte = getc(file)) != '\n' && byte != EOF) byte = '#';
  for (; byte >= '0' && byte <= '9' && value < 100000000; byte = getc(file)) value = 10 * value + byte - '0';
  return value; /* the one space behind it is read, too */
}

static uint8_t *read_ppm(const char *path, int *width, int *height) {
  FILE *file = fopen(path, "rb");
  uint8_t *pixels = NULL;
  if (file && getc(file) == 'P' && getc(file) == '6') {
    size_t bytes;
    *width = number(file), *height = number(file);
    if (*width > 0 && *width < 65536 && *height > 0 && *height < 65536 && number(file) == 255) {
      bytes = (size_t)*width * *height * 3;
      pixels = malloc(bytes);
      if (pixels && fread(pixels, 1, bytes, file) != bytes) free(pixels), pixels = NULL;
    }
  }
  if (file) fclose(file);
  return pixels;
}

static int fail(const char *what) {
  fprintf(stderr, "classify: %s\n", what);
  return 1;
}

int main(int argc, char **argv) {
  static float scores[MAX_CLASSES];
  float *outputs[] = {scores}, *input, largest, sum = 0;
  char program[4096], weights[4096];
  int width, height, i, k;
  uint8_t *pixels;
  mobilenet_model *model;
  mobilenet_runner *runner;
  mobilenet_info info;
  mobilenet_output output;

  if (argc != 3) return fail("give a folder of `mobilenet export MODEL --to c`, and an image (PPM, P6)");
  snprintf(program, sizeof(program), "%s/model.program", argv[1]);
  snprintf(weights, sizeof(weights), "%s/model.weights", argv[1]);
  if (mobilenet_load_files(program, weights, &model) != MOBILENET_OK) return fail(mobilenet_message());
  mobilenet_describe(model, &info);
  if (mobilenet_describe_output(model, 0, &output) != MOBILENET_OK) return fail(mobilenet_message());
  if (info.num_outputs != 1 || output.height * output.width != 1 || output.channels > MAX_CLASSES)
    return fail("the model is no classifier, or has more than 4096 classes");
  pixels = read_ppm(argv[2], &width, &height);
  if (!pixels) return fail("the image cannot be read: it must be a PPM (P6) of 8 bits");
  input = malloc(sizeof(float) * 3 * (size_t)info.height * (size_t)info.width);
  if (!input) return fail("there is not enough memory");

  if (mobilenet_prepare(model, pixels, width, height, 3, (size_t)width * 3, input) != MOBILENET_OK ||
      mobilenet_runner_new(model, NULL, 0, &runner) != MOBILENET_OK || mobilenet_run(runner, input, outputs) != MOBILENET_OK)
    return fail(mobilenet_message());

  for (largest = scores[0], i = 1; i < output.channels; ++i) largest = scores[i] > largest ? scores[i] : largest;
  for (i = 0; i < output.channels; ++i) sum += scores[i] = expf(scores[i] - largest);
  for (k = 0; k < 5 && k < output.channels; ++k) {
    int best = 0;
    for (i = 1; i < output.channels; ++i) best = scores[i] > scores[best] ? i : best;
    printf("%5.1f %%  %s\n", 100 * scores[best] / sum, info.num_labels ? mobilenet_label(model, best) : "(no label)");
    scores[best] = -1;
  }
  mobilenet_runner_free(runner);
  mobilenet_free(model);
  free(input);
  free(pixels);
  return 0;
}
