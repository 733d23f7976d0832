// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_SCRIPT_HPP
#define MAILROOM_TESTS_FUZZ_SCRIPT_HPP

// What the fuzz targets share: the bytes of an input as a script, and how a finding is told.
//
// A target is a function that reads decisions from a script and compares what the library answers
// with a model. When they differ it says so and aborts: libFuzzer, and replay.cpp where there is
// none, then write the input down. A script that is over answers 0 to everything, so every input is
// a whole script, and a shorter one mostly does less.

#include <algorithm>   // min
#include <cstddef>     // size_t
#include <cstdint>     // uint8_t
#include <cstdio>      // fprintf, stderr
#include <cstdlib>     // abort
#include <string_view> // string_view

/// The target. Answers 0; a finding does not return.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace fuzz {

/// Tells what went wrong, and ends the program.
[[noreturn]] inline void fail(const char* what, int line = __builtin_LINE()) {
  std::fprintf(stderr, "\nfuzz: wrong: %s (line %d)\n", what, line);
  std::abort();
}

inline void expect(bool right, const char* what, int line = __builtin_LINE()) {
  if (!right) fail(what, line);
}

/// The bytes of an input, one decision after the other.
class script {
public:
  script(const std::uint8_t* data, std::size_t size) noexcept : at_{data}, left_{size} {}

  bool is_over() const noexcept { return left_ == 0; }

  std::uint8_t byte() noexcept {
    if (left_ == 0) return 0;
    --left_;
    return *at_++;
  }

  /// A number in [0, bound), for a bound of at most 256.
  std::size_t below(std::size_t bound) noexcept { return byte() % bound; }

  /// Is it this one of `n` cases? Never once the script is over.
  bool one_in(std::size_t n) noexcept { return below(n) == n - 1; }

  /// The next bytes, as many as there are up to `most`, as they stand.
  std::string_view text(std::size_t most) noexcept {
    const std::size_t length = std::min(left_, most);
    const std::string_view taken{reinterpret_cast<const char*>(at_), length};
    at_ += length;
    left_ -= length;
    return taken;
  }

private:
  const std::uint8_t* at_;
  std::size_t left_;
};

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_SCRIPT_HPP
