// SPDX-License-Identifier: MIT
// The main program of a fuzz target where there is no libFuzzer.
//
//      mailroom.fuzz.queue FILE...    plays these inputs: what a fuzzer has found, or a corpus
//      mailroom.fuzz.queue            plays pseudo-random ones: MAILROOM_FUZZ_INPUTS of them, from
//                                     the seed MAILROOM_TEST_SEED, a new one if it is not set
//
// An input that ends the program is written to <program>.crash first, to be played again.

#include <fuzz/script.hpp>
#include <support/seed.hpp>

#include <algorithm>  // generate
#include <csignal>    // raise, signal, SIGABRT, SIGFPE, SIGSEGV, SIG_DFL
#include <cstddef>    // size_t
#include <cstdint>    // uint8_t
#include <cstdio>     // fopen, fwrite, fclose, printf, fprintf
#include <cstdlib>    // getenv, strtoull
#include <filesystem> // path
#include <fstream>    // ifstream
#include <iterator>   // istreambuf_iterator
#include <random>     // mt19937
#include <string>     // string
#include <vector>     // vector

// How a sanitizer, if there is one, tells that it is about to end the program.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*call)());

namespace {

using bytes = std::vector<std::uint8_t>;

bytes current;
std::string crash_file;

void keep_input() {
  if (std::FILE* const file = std::fopen(crash_file.c_str(), "wb")) {
    (void)std::fwrite(current.data(), 1, current.size(), file);
    (void)std::fclose(file);
    std::fprintf(stderr, "fuzz: the input is in %s\n", crash_file.c_str());
  }
}

/// The program is lost already, so this may do what a signal handler should not.
extern "C" void keep_input_and_die(int signal) {
  std::signal(signal, SIG_DFL);
  keep_input();
  std::raise(signal);
}

void keep_the_input_of_a_crash(const char* program) {
  crash_file = std::filesystem::path{program}.filename().string() + ".crash";
  std::signal(SIGABRT, keep_input_and_die);
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(keep_input);
  } else {
    for (const int signal : {SIGSEGV, SIGFPE}) std::signal(signal, keep_input_and_die);
  }
}

/// An input in a block of its own, so that a sanitizer sees who reads too far.
void play() {
  const bytes input{current};
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

bool play_file(const char* name) {
  std::ifstream file{name, std::ios::binary};
  if (!file) {
    std::fprintf(stderr, "fuzz: cannot read %s\n", name);
    return false;
  }
  current.assign(std::istreambuf_iterator<char>{file}, {});
  play();
  std::printf("%s: nothing found\n", name);
  return true;
}

void play_random(unsigned long long inputs) {
  std::printf("%llu inputs, MAILROOM_TEST_SEED=%u\n", inputs, test::seed());
  std::fflush(stdout);
  std::mt19937 random{test::seed()};
  for (unsigned long long i = 0; i != inputs; ++i) {
    current.resize(random() % 400);
    std::generate(current.begin(), current.end(),
                  [&random] { return static_cast<std::uint8_t>(random() >> 24); });
    play();
  }
}

} // namespace

int main(int count, char** arguments) {
  keep_the_input_of_a_crash(arguments[0]);
  bool all_read = true;
  for (int i = 1; i < count; ++i) all_read = play_file(arguments[i]) && all_read;
  if (count == 1) {
    const char* const wanted = std::getenv("MAILROOM_FUZZ_INPUTS");
    play_random(wanted == nullptr ? MAILROOM_FUZZ_INPUTS : std::strtoull(wanted, nullptr, 10));
  }
  return all_read ? 0 : 1;
}
