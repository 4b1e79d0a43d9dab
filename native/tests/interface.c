/* The C interface on one model: interface FOLDER [FOLDER_OF_ANOTHER_MODEL]
 *
 * Runs in the library's arena and in the caller's give the same bits, floats and bytes alike, without an allocation; what is wrong
 * is refused with a status and a message.
 * interface --prepare FOLDER WIDTH HEIGHT: pixels of 3 bytes in, the network's input out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mobilenet.h"

#define EXPECT(holds) \
  do { \
    if (!(holds)) { \
      printf("line %d: %s (%s)\n", __LINE__, #holds, mobilenet_message()); \
      exit(1); \
    } \
  } while (0)

static long allocations = 0;
#ifdef COUNT_ALLOCATIONS /* glibc's own functions behind the public names */
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
void *malloc(size_t bytes) {
  ++allocations;
  return __libc_malloc(bytes);
}
void *calloc(size_t count, size_t bytes) {
  ++allocations;
  return __libc_calloc(count, bytes);
}
#endif

/* At a multiple of 64, as packed weights need it; `taken` is to be freed. */
static char *read_all(const char *folder, const char *name, size_t *size, char **taken) {
  char path[4096], *bytes;
  FILE *file;
  snprintf(path, sizeof(path), "%s/%s", folder, name);
  file = fopen(path, "rb");
  EXPECT(file && !fseek(file, 0, SEEK_END));
  *size = (size_t)ftell(file);
  rewind(file);
  *taken = malloc(*size + 64);
  bytes = *taken + (64 - (size_t)((uintptr_t)*taken % 64));
  EXPECT(*taken && fread(bytes, 1, *size, file) == *size);
  fclose(file);
  return bytes;
}

/* Every cut and, here and there, a changed byte: a status, or a model that runs without harm. */
static void refuse_damage(char *program, size_t program_size, char *weights, size_t weights_size) {
  mobilenet_model *model;
  size_t i, cut;
  unsigned long random = 1;
  for (i = 0; i < 40; ++i) {
    cut = i < 20 ? i * 4 : program_size * (i - 19) / 21;
    EXPECT(mobilenet_load(program, cut, weights, weights_size, &model) == MOBILENET_WRONG_BYTES && !model);
    EXPECT(strlen(mobilenet_message()) > 0);
    cut = i < 20 ? i * 4 : weights_size * (i - 19) / 21;
    EXPECT(mobilenet_load(program, program_size, weights, cut, &model) == MOBILENET_WRONG_BYTES && !model);
  }
  for (i = 0; i < 200; ++i) {
    char *place, before;
    random = random * 6364136223846793005u + 1442695040888963407u;
    place = weights + (random >> 33) % (i % 2 ? weights_size : 6000);
    before = *place;
    *place = (char)(random >> 20);
    if (mobilenet_load(program, program_size, weights, weights_size, &model) == MOBILENET_OK) mobilenet_free(model);
    *place = before;
  }
}

static int prepare(const char *folder, int width, int height) {
  char program[4096], weights[4096];
  size_t bytes = 3 * (size_t)width * (size_t)height, values;
  uint8_t *pixels = malloc(bytes);
  float *input;
  mobilenet_model *model;
  mobilenet_info info;
  snprintf(program, sizeof(program), "%s/model.program", folder);
  snprintf(weights, sizeof(weights), "%s/model.weights", folder);
  EXPECT(mobilenet_load_files(program, weights, &model) == MOBILENET_OK);
  mobilenet_describe(model, &info);
  values = 3 * (size_t)info.height * (size_t)info.width;
  input = malloc(values * sizeof(float));
  EXPECT(fread(pixels, 1, bytes, stdin) == bytes);
  EXPECT(mobilenet_prepare(model, pixels, width, height, 3, 3 * (size_t)width, input) == MOBILENET_OK);
  EXPECT(fwrite(input, sizeof(float), values, stdout) == values);
  free(pixels), free(input), mobilenet_free(model);
  return 0;
}

int main(int argc, char **argv) {
  char *program, *weights, *taken[2], path[4096], weights_path[4096];
  size_t program_size, weights_size, values = 0, pixels, i;
  mobilenet_model *model, *other;
  mobilenet_runner *own, *lent;
  mobilenet_info info;
  mobilenet_output output;
  float *input, *first, *second, *outputs[32], *again[32];
  uint8_t *image, *arena;

  if (argc == 5 && !strcmp(argv[1], "--prepare")) return prepare(argv[2], atoi(argv[3]), atoi(argv[4]));
  EXPECT(argc >= 2);
  program = read_all(argv[1], "model.program", &program_size, &taken[0]);
  weights = read_all(argv[1], "model.weights", &weights_size, &taken[1]);
  EXPECT(mobilenet_load(program, program_size, weights, weights_size, &model) == MOBILENET_OK);
  mobilenet_free(model);
  refuse_damage(program, program_size, weights, weights_size);
  free(taken[0]), free(taken[1]);

  snprintf(path, sizeof(path), "%s/model.program", argv[1]);
  snprintf(weights_path, sizeof(weights_path), "%s/model.weights", argv[1]);
  EXPECT(mobilenet_load_files(path, weights_path, &model) == MOBILENET_OK);
  EXPECT(mobilenet_load_files(path, "/nowhere", &other) == MOBILENET_NO_FILE && strstr(mobilenet_message(), "/nowhere"));
  EXPECT(mobilenet_load_files(path, argv[1], &other) != MOBILENET_OK && !other);
  if (argc > 2) {
    char others[4096];
    snprintf(others, sizeof(others), "%s/model.weights", argv[2]);
    EXPECT(mobilenet_load_files(path, others, &other) == MOBILENET_WRONG_BYTES);
  }

  mobilenet_describe(model, &info);
  EXPECT(info.num_outputs >= 1 && info.num_outputs <= 32 && info.arena_bytes > 0);
  EXPECT(mobilenet_label(model, -1) == NULL && mobilenet_label(model, info.num_labels) == NULL);
  EXPECT(info.num_labels == 0 || strlen(mobilenet_label(model, info.num_labels - 1)) > 0);
  EXPECT(strlen(mobilenet_text(model, "task")) > 0 && mobilenet_text(model, "nothing") == NULL);
  EXPECT(mobilenet_describe_output(model, info.num_outputs, &output) == MOBILENET_WRONG_ARGUMENT);
  for (i = 0; i < (size_t)info.num_outputs; ++i) {
    EXPECT(mobilenet_describe_output(model, (int)i, &output) == MOBILENET_OK && strlen(output.name) > 0);
    values += (size_t)output.channels * (size_t)output.height * (size_t)output.width;
  }
  first = malloc(values * sizeof(float)), second = malloc(values * sizeof(float));
  for (values = 0, i = 0; i < (size_t)info.num_outputs; ++i) {
    mobilenet_describe_output(model, (int)i, &output);
    outputs[i] = first + values, again[i] = second + values;
    values += (size_t)output.channels * (size_t)output.height * (size_t)output.width;
  }

  pixels = (size_t)info.height * (size_t)info.width;
  image = malloc(3 * pixels), input = malloc(3 * pixels * sizeof(float));
  arena = malloc(info.arena_bytes + info.image_bytes + 1);
  for (i = 0; i < 3 * pixels; ++i) image[i] = (uint8_t)(i * 2654435761u >> 13);
  EXPECT(mobilenet_prepare(model, image, info.width, info.height, 5, 3, input) == MOBILENET_WRONG_ARGUMENT);
  EXPECT(mobilenet_prepare(model, image, info.width, info.height, 3, 3, input) == MOBILENET_WRONG_ARGUMENT);
  EXPECT(mobilenet_prepare(model, image, 0, info.height, 3, 3, input) == MOBILENET_WRONG_ARGUMENT);
  EXPECT(mobilenet_prepare(model, image, info.width, info.height, 3, (size_t)info.width * 3, input) == MOBILENET_OK);
  EXPECT(mobilenet_runner_new(model, arena, info.arena_bytes - 1, &lent) == MOBILENET_WRONG_ARGUMENT && !lent);
  if (info.image_bytes > 0) { /* no room for an image, and it says so */
    EXPECT(mobilenet_runner_new(model, arena, info.arena_bytes, &lent) == MOBILENET_OK);
    EXPECT(mobilenet_run_image(lent, image, outputs) == MOBILENET_WRONG_ARGUMENT);
    mobilenet_runner_free(lent);
  }
  EXPECT(mobilenet_runner_new(model, NULL, 0, &own) == MOBILENET_OK);
  EXPECT(mobilenet_runner_new(model, arena + 1, info.arena_bytes + info.image_bytes, &lent) == MOBILENET_OK);
  EXPECT(mobilenet_run(own, NULL, outputs) == MOBILENET_WRONG_ARGUMENT);

  memset(arena + 1, 255, info.arena_bytes); /* what was in the arena does not count */
  allocations = 0;
  EXPECT(mobilenet_run(own, input, outputs) == MOBILENET_OK && mobilenet_run(lent, input, again) == MOBILENET_OK);
  EXPECT(memcmp(first, second, values * sizeof(float)) == 0);
  if (strstr(mobilenet_text(model, "preprocessing"), "squash")) { /* an image of the input's size comes as it is */
    memset(second, 255, values * sizeof(float));
    EXPECT(mobilenet_run_image(lent, image, again) == MOBILENET_OK);
    EXPECT(memcmp(first, second, values * sizeof(float)) == 0);
  }
  EXPECT(allocations == 0);
  for (i = 0; i < values; ++i) EXPECT(first[i] == first[i]);

  mobilenet_runner_free(own), mobilenet_runner_free(lent), mobilenet_runner_free(NULL);
  mobilenet_free(model), mobilenet_free(NULL);
  free(first), free(second), free(image), free(input), free(arena);
  printf("the C interface on %s: all checks passed\n", argv[1]);
  return 0;
}
