// The C interface: ../include/mobilenet.h. Arguments are checked here, and no exception leaves.
#include "mobilenet.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "../base/failure.h"
#include "../core/image.h"
#include "../core/runner.h"
#include "../core/weights_file.h"
#include "../isa/isa.h"

using mobilenet::Card;
using mobilenet::Kernels;
using mobilenet::kLine;
using mobilenet::Memory;
using mobilenet::OutputPlace;
using mobilenet::Program;
using mobilenet::Runner;

struct mobilenet_model {
  const Kernels* kernels;
  Memory card_bytes, weights;  // a copy of the card; the weights, if they are packed and this has read them
  Card card;
  std::vector<std::string> outputs;
  std::unique_ptr<const Program> program;
  bool has_stem = false;  // it reads planes of floats, so an image's bytes become these first

  std::size_t planes() const { return 3 * static_cast<std::size_t>(program->height) * static_cast<std::size_t>(program->width); }
  std::size_t image_bytes() const { return has_stem ? planes() * sizeof(float) + kLine : 0; }
};

struct mobilenet_runner {
  const mobilenet_model* model;
  Runner runner;
  Memory own;
  float* planes = nullptr;  // room for an image as floats, or null
  std::vector<OutputPlace> places;

  explicit mobilenet_runner(const mobilenet_model* of) : model(of), runner(of->program->threads), places(of->program->outputs.size()) {}
};

namespace {

#ifdef MOBILENET_NO_THREADS
char message[256];
#else
thread_local char message[256];
#endif

mobilenet_status failed(mobilenet_status status, const char* what) {
  message[std::string_view(what).copy(message, sizeof(message) - 1)] = 0;
  return status;
}

// Calls `work`, and turns what it throws into a status: `refused` for what is wrong with what was given.
template <class Work>
mobilenet_status guarded(mobilenet_status refused, Work work) {
  message[0] = 0;
#ifdef __cpp_exceptions
  try {
    return work();
  } catch (const std::invalid_argument& error) {
    return failed(refused, error.what());
  } catch (const std::bad_alloc&) {
    return failed(MOBILENET_NO_MEMORY, "there is not enough memory");
  } catch (const std::runtime_error& error) {
    return failed(MOBILENET_NO_THREAD, error.what());
  }
#else
  (void)refused;
  return work();
#endif
}

// Whether a step reads planes of floats.
constexpr auto is_stem = []<class S>(const S&) { return std::is_base_of_v<mobilenet::StemStep, S>; };

mobilenet_status load(const void* program, std::size_t program_bytes, const void* weights, std::size_t weights_bytes,
                      mobilenet_model** loaded) {
  auto model = std::make_unique<mobilenet_model>();
#ifdef MOBILENET_WASM
  const char* const isa = nullptr;  // a module has one instruction set, and no environment
#else
  const char* const isa = std::getenv("MOBILENET_ISA");
#endif
  model->kernels = &mobilenet::kernels_for(isa ? isa : "");
  model->card = mobilenet::read_card(weights, weights_bytes);
  if (!model->card.packing.lanes) {  // otherwise all stays where it is
    model->card_bytes = Memory(model->card.bytes);
    std::memcpy(model->card_bytes.as<char>(), weights, model->card.bytes);
    model->card = mobilenet::read_card(model->card_bytes.as<char>(), model->card.bytes);
  }
  const mobilenet::WeightsFile file(weights, weights_bytes);
  mobilenet::Slab slab;
  const auto find = [&](const mobilenet::Declaration& declared) { return file.pack(declared, *model->kernels, &slab); };
  model->program = mobilenet::read_program(program, program_bytes, find, *model->kernels, &model->outputs);
  for (const auto& stage : model->program->stages)
    for (const auto& part : stage)
      for (const auto& step : part)
        model->has_stem = model->has_stem || std::visit(is_stem, step.step);
  *loaded = model.release();
  return MOBILENET_OK;
}

#ifndef MOBILENET_NO_FILES
// The bytes of a file.
mobilenet_status read_file(const char* path, Memory& bytes, std::size_t& size) {
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path, "rb"), close);
  const auto unreadable = [&] {
    return failed(MOBILENET_NO_FILE, (std::string(path) + ": " + std::strerror(errno ? errno : EIO)).c_str());
  };
  if (!file || std::fseek(file.get(), 0, SEEK_END)) return unreadable();
  const long end = std::ftell(file.get());
  if (end < 0 || std::fseek(file.get(), 0, SEEK_SET)) return unreadable();
  size = static_cast<std::size_t>(end);
  bytes = Memory(size);
  return std::fread(bytes.as<char>(), 1, size, file.get()) == size ? MOBILENET_OK : unreadable();
}
#endif

mobilenet_status run(mobilenet_runner& runner, const float* input, float* const* outputs, const std::uint8_t* pixels) {
  const mobilenet_model& model = *runner.model;
  for (std::size_t i = 0; i < runner.places.size(); ++i) {
    if (!outputs[i]) return failed(MOBILENET_WRONG_ARGUMENT, "outputs: one of the pointers is NULL");
    runner.places[i] = {outputs[i]};
  }
  if (pixels)
    runner.runner.run_pixels(*model.program, pixels, model.card.preparation.levels, runner.places.data());
  else
    runner.runner.run(*model.program, input, runner.places.data(), nullptr);
  return MOBILENET_OK;
}

}  // namespace

const char* mobilenet_message(void) { return message; }

mobilenet_status mobilenet_load(const void* program, std::size_t program_bytes, const void* weights, std::size_t weights_bytes,
                                mobilenet_model** model) {
  if (!program || !weights || !model) return failed(MOBILENET_WRONG_ARGUMENT, "mobilenet_load: a pointer is NULL");
  *model = nullptr;
  return guarded(MOBILENET_WRONG_BYTES, [&] { return load(program, program_bytes, weights, weights_bytes, model); });
}

#ifndef MOBILENET_NO_FILES
mobilenet_status mobilenet_load_files(const char* program, const char* weights, mobilenet_model** model) {
  if (!program || !weights || !model) return failed(MOBILENET_WRONG_ARGUMENT, "mobilenet_load_files: a pointer is NULL");
  *model = nullptr;
  return guarded(MOBILENET_WRONG_BYTES, [&] {
    Memory bytes[2];
    std::size_t sizes[2];
    const char* paths[] = {program, weights};
    for (int i = 0; i < 2; ++i)
      if (const mobilenet_status status = read_file(paths[i], bytes[i], sizes[i]); status != MOBILENET_OK) return status;
    const mobilenet_status status = load(bytes[0].as<char>(), sizes[0], bytes[1].as<char>(), sizes[1], model);
    if (status == MOBILENET_OK && (*model)->card.packing.lanes) (*model)->weights = std::move(bytes[1]);
    return status;
  });
}
#endif

void mobilenet_free(mobilenet_model* model) { delete model; }

void mobilenet_describe(const mobilenet_model* model, mobilenet_info* info) {
  const Program& program = *model->program;
  *info = {.height = program.height,
           .width = program.width,
           .threads = program.threads,
           .num_outputs = static_cast<int>(program.outputs.size()),
           .num_labels = static_cast<int>(model->card.labels.size()),
           .arena_bytes = Runner::arena_needed(program),
           .image_bytes = model->image_bytes()};
}

mobilenet_status mobilenet_describe_output(const mobilenet_model* model, int index, mobilenet_output* output) {
  const auto& outputs = model->program->outputs;
  if (index < 0 || index >= static_cast<int>(outputs.size())) return failed(MOBILENET_WRONG_ARGUMENT, "there is no such output");
  *output = {model->outputs[index].c_str(), outputs[index].channels, outputs[index].height, outputs[index].width};
  return MOBILENET_OK;
}

const char* mobilenet_label(const mobilenet_model* model, int index) {
  return index >= 0 && index < static_cast<int>(model->card.labels.size()) ? model->card.labels[index] : nullptr;
}

const char* mobilenet_text(const mobilenet_model* model, const char* key) {
  for (const auto& [name, text] : model->card.texts)
    if (std::strcmp(name, key) == 0) return text;
  return nullptr;
}

const char* mobilenet_isa(const mobilenet_model* model) { return model->kernels->name; }

mobilenet_status mobilenet_prepare(const mobilenet_model* model, const std::uint8_t* pixels, int width, int height, int channels,
                                   std::size_t row_bytes, float* input) {
  if (!model || !pixels || !input) return failed(MOBILENET_WRONG_ARGUMENT, "mobilenet_prepare: a pointer is NULL");
  return guarded(MOBILENET_WRONG_ARGUMENT, [&] {
    const mobilenet::Preparation& preparation = model->card.preparation;
    if (preparation.height != model->program->height || preparation.width != model->program->width)
      mobilenet::fail_argument("the weights prepare images of " + mobilenet::decimal(preparation.width) + "x" +
                               mobilenet::decimal(preparation.height) + " pixels, the program takes others; export both together");
    mobilenet::prepare(preparation, pixels, width, height, channels, row_bytes, input, *model->kernels);
    return MOBILENET_OK;
  });
}

mobilenet_status mobilenet_runner_new(const mobilenet_model* model, void* arena, std::size_t arena_bytes, mobilenet_runner** runner) {
  if (!model || !runner) return failed(MOBILENET_WRONG_ARGUMENT, "mobilenet_runner_new: a pointer is NULL");
  *runner = nullptr;
  const std::size_t needed = Runner::arena_needed(*model->program), image = model->image_bytes();
  if (arena && arena_bytes < needed)
    return failed(MOBILENET_WRONG_ARGUMENT, "mobilenet_runner_new: the arena is smaller than arena_bytes of mobilenet_info");
  return guarded(MOBILENET_WRONG_ARGUMENT, [&] {
    auto made = std::make_unique<mobilenet_runner>(model);
    if (!arena) made->own = Memory(needed + image);
    char* const start = arena ? static_cast<char*>(arena) : made->own.as<char>();
    made->runner.prepare(*model->program, start);
    if (image && (!arena || arena_bytes >= needed + image)) {
      const std::size_t past = reinterpret_cast<std::uintptr_t>(start + needed) % kLine;
      made->planes = reinterpret_cast<float*>(start + needed + (past ? kLine - past : 0));
    }
    *runner = made.release();
    return MOBILENET_OK;
  });
}

void mobilenet_runner_free(mobilenet_runner* runner) { delete runner; }

mobilenet_status mobilenet_run(mobilenet_runner* runner, const float* input, float* const* outputs) {
  if (!runner || !input || !outputs) return failed(MOBILENET_WRONG_ARGUMENT, "mobilenet_run: a pointer is NULL");
  return guarded(MOBILENET_WRONG_ARGUMENT, [&] { return run(*runner, input, outputs, nullptr); });
}

mobilenet_status mobilenet_run_image(mobilenet_runner* runner, const std::uint8_t* pixels, float* const* outputs) {
  if (!runner || !pixels || !outputs) return failed(MOBILENET_WRONG_ARGUMENT, "mobilenet_run_image: a pointer is NULL");
  const mobilenet_model& model = *runner->model;
  if (!model.has_stem) return guarded(MOBILENET_WRONG_ARGUMENT, [&] { return run(*runner, nullptr, outputs, pixels); });
  if (!runner->planes)
    return failed(MOBILENET_WRONG_ARGUMENT, "mobilenet_run_image: the arena has no room for the image; see image_bytes of mobilenet_info");
  mobilenet::planes(pixels, static_cast<long>(model.planes() / 3), model.card.preparation.levels, runner->planes);
  return guarded(MOBILENET_WRONG_ARGUMENT, [&] { return run(*runner, runner->planes, outputs, nullptr); });
}
