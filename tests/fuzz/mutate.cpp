// SPDX-License-Identifier: AGPL-3.0-only
// Drives a fuzz entry without libFuzzer: every corpus file, then seeded mutations of them.
//   fuzz_X CORPUS_DIRECTORY RUNS SEED
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

void run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

std::string mutate(const std::vector<std::string>& corpus, std::mt19937_64& random) {
  auto out = corpus[random() % corpus.size()];
  for (auto edits = 1 + random() % 6; edits > 0; --edits) {
    auto at = out.empty() ? 0 : random() % out.size();
    switch (random() % 6) {
    case 0:
      out.insert(out.begin() + static_cast<std::ptrdiff_t>(at), static_cast<char>(random()));
      break;
    case 1:
      if (!out.empty())
        out.erase(at, 1 + random() % 8);
      break;
    case 2:
      if (!out.empty())
        out[at] = static_cast<char>(random());
      break;
    case 3:
      if (!out.empty())
        out[at] = static_cast<char>(out[at] ^ (1 << (random() % 8)));
      break;
    case 4: {
      const auto& other = corpus[random() % corpus.size()];
      if (!other.empty())
        out.insert(at, other.substr(random() % other.size(), 1 + random() % 32));
      break;
    }
    case 5:
      out.resize(at);
      break;
    }
  }
  return out;
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s CORPUS_DIRECTORY RUNS SEED\n", argv[0]);
    return 2;
  }
  std::vector<std::string> corpus;
  for (const auto& entry : std::filesystem::directory_iterator{argv[1]})
    if (entry.is_regular_file())
      corpus.push_back(read(entry.path()));
  if (corpus.empty()) {
    std::fprintf(stderr, "%s: no corpus in %s\n", argv[0], argv[1]);
    return 1;
  }
  for (const auto& input : corpus)
    run(input);
  auto runs = std::strtoull(argv[2], nullptr, 10);
  auto seed = std::strtoull(argv[3], nullptr, 10);
  std::mt19937_64 random{seed};
  for (unsigned long long i = 0; i < runs; ++i)
    run(mutate(corpus, random));
  std::printf("%zu corpus files, %llu mutations, seed %llu: clean\n", corpus.size(), runs, seed);
}
