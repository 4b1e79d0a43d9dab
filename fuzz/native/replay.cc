// Runs a harness on the files and folders that are named, where there is no libFuzzer to do it: fuzz_NAME PLACE ...
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t*, std::size_t size, std::size_t) { return size; }  // harnesses name it

int main(int count, char** places) {
  namespace fs = std::filesystem;
  std::vector<fs::path> files;
  for (int i = 1; i < count; ++i) {
    if (!fs::is_directory(places[i])) files.emplace_back(places[i]);
    else
      for (const fs::directory_entry& entry : fs::directory_iterator(places[i])) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    std::ifstream stream(file, std::ios::binary);
    const std::vector<char> content((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    expect(stream.good() || stream.eof(), file.c_str());
    std::fprintf(stderr, "%s\n", file.c_str());  // the last one before a report is the one that failed
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(content.data()), content.size());
  }
  std::fprintf(stderr, "stat::number_of_executed_units: %zu\n", files.size());
}
