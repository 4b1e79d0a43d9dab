/* The C interface of the mobilenet engine: classifiers, detectors and segmenters of the MobileNet family.
 *
 *     mobilenet_model *model = NULL;
 *     mobilenet_runner *runner = NULL;
 *     if (mobilenet_load_files("cat.program", "cat.weights", &model) != MOBILENET_OK ||
 *         mobilenet_runner_new(model, NULL, 0, &runner) != MOBILENET_OK)
 *       puts(mobilenet_message());
 *     ... mobilenet_prepare(...) or pixels of your own, then mobilenet_run(...) as often as you like ...
 *     mobilenet_runner_free(runner);
 *     mobilenet_free(model);
 *
 * `mobilenet export MODEL --to c` writes the two files. A model is constant: threads may share it. A runner serves one thread at a
 * time. Nothing is allocated while a runner runs. Functions that can fail return a status, and mobilenet_message() says why.
 * How-to: docs/how-to/c.md. C89 with stdint.h, C99, and C++. */
#ifndef MOBILENET_H
#define MOBILENET_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOBILENET_INTERFACE 1 /* raised when a function or a struct below changes */

typedef enum {
  MOBILENET_OK = 0,
  MOBILENET_WRONG_ARGUMENT = 1, /* a value that the function does not take */
  MOBILENET_WRONG_BYTES = 2,    /* a program or weights that are damaged, of another version, or do not belong together */
  MOBILENET_NO_FILE = 3,        /* a file that cannot be read */
  MOBILENET_NO_MEMORY = 4,
  MOBILENET_NO_THREAD = 5 /* the system starts no more threads */
} mobilenet_status;

typedef struct mobilenet_model mobilenet_model;   /* a program with its weights */
typedef struct mobilenet_runner mobilenet_runner; /* memory and threads for one run at a time */

typedef struct {
  int height, width;  /* of the input, in pixels */
  int threads;        /* that work on one image, the caller's included */
  int num_outputs;
  int num_labels;     /* 0 if the file holds none */
  size_t arena_bytes; /* that a runner needs for mobilenet_run */
  size_t image_bytes; /* and these beside them for mobilenet_run_image; 0 for an integer network */
} mobilenet_info;

typedef struct {
  const char *name;            /* lives as long as the model */
  int channels, height, width; /* floats, channel by channel, row by row; a classifier's height and width are 1 */
} mobilenet_output;

/* Why the last call on this thread failed: one line. Empty if none did. */
const char *mobilenet_message(void);

/* A model from bytes in memory, or from files. Weights are packed for this processor, so the bytes may go away afterwards; they must
 * begin at a multiple of 8 in memory. Weights that `mobilenet export --in-place` has packed are used where they lie: they must begin
 * at a multiple of 64, and stay until mobilenet_free. The environment variable MOBILENET_ISA chooses an instruction set. */
mobilenet_status mobilenet_load(const void *program, size_t program_bytes, const void *weights, size_t weights_bytes,
                                mobilenet_model **model);
mobilenet_status mobilenet_load_files(const char *program, const char *weights, mobilenet_model **model);
void mobilenet_free(mobilenet_model *model); /* after all its runners; NULL is allowed */

void mobilenet_describe(const mobilenet_model *model, mobilenet_info *info);
mobilenet_status mobilenet_describe_output(const mobilenet_model *model, int index, mobilenet_output *output);

/* The label of a class, in UTF-8, in the order of the outputs (a detector's without its background); NULL if there is none. */
const char *mobilenet_label(const mobilenet_model *model, int index);

/* What else the file says, in UTF-8, by key: "task", "architecture", "precision"; "preprocessing", "decoding" and others are JSON.
 * NULL if there is no such key. */
const char *mobilenet_text(const mobilenet_model *model, const char *key);

/* The instruction set in use, for example "avx512" or "neon". */
const char *mobilenet_isa(const mobilenet_model *model);

/* The input of the network from an image of any size: resized, cut or padded and normalized as `mobilenet predict` does, to the
 * same bits. `pixels` are rows of red, green, blue and, if `channels` is 4, a byte that is not read; a row begins `row_bytes`
 * after the one before it. `input` has room for 3 * height * width floats. This function allocates. */
mobilenet_status mobilenet_prepare(const mobilenet_model *model, const uint8_t *pixels, int width, int height, int channels,
                                   size_t row_bytes, float *input);

/* A runner with an arena of its own (arena NULL, arena_bytes 0), or in the caller's: arena_bytes of mobilenet_info, and
 * image_bytes more if it is to run images; any alignment; it must stay until mobilenet_runner_free. Starts the threads. */
mobilenet_status mobilenet_runner_new(const mobilenet_model *model, void *arena, size_t arena_bytes, mobilenet_runner **runner);
void mobilenet_runner_free(mobilenet_runner *runner); /* NULL is allowed */

/* Runs the network. `input` is 3 * height * width floats, the planes of red, green and blue, normalized; `outputs` are pointers
 * to room for each output's floats. */
mobilenet_status mobilenet_run(mobilenet_runner *runner, const float *input, float *const *outputs);

/* The same of an image that has the network's height and width: 3 * height * width bytes, red, green, blue. */
mobilenet_status mobilenet_run_image(mobilenet_runner *runner, const uint8_t *pixels, float *const *outputs);

#ifdef __cplusplus
}
#endif

#endif
