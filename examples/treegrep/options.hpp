// SPDX-License-Identifier: MIT
#ifndef TREEGREP_OPTIONS_HPP
#define TREEGREP_OPTIONS_HPP

// What the command line asks for.

#include <getopt.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace treegrep {

struct options {
  std::string pattern;
  std::vector<std::string> places; // directories, or files
  unsigned workers = std::clamp(std::thread::hardware_concurrency(), 1U, 64U);
  bool regex = false;
  bool summary = false;
  bool help = false;
};

/// The command line makes no sense; what() says why.
struct usage_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline constexpr std::string_view help_text =
    R"(Usage: treegrep [OPTION]... PATTERN DIR...
Print the lines that contain PATTERN, of all text files in the directory trees
DIR..., as path:line:text. A DIR may also be a file.

  -E           PATTERN is an ECMAScript regular expression, not plain text
  -j N         search with N threads, 1 to 256; default: one for each processor
  --summary    print no lines, but how many there are, by file extension
  -h, --help   print this help
  --           what follows is no option, even if it begins with -

Several lines in PATTERN are alternatives. All is compared byte by byte.

Which files are searched, and which lines count, is as for LC_ALL=C grep -rI:
symbolic links are followed only where DIR is one; devices, pipes and sockets
are left out, and so are files with a NUL byte.

What cannot be searched is named on standard error and counted in the summary;
the rest is searched all the same. With -E this includes lines on which the
expression takes too long, or too much memory.

Ctrl-C ends the search; what was found until then is reported.

Exit status: 0 if a line was found; 1 if there is none; 2 if none was found but
something could not be searched, if the command line makes no sense, or if
standard output could not be written; 130 after Ctrl-C.
)";

inline unsigned parse_workers(std::string_view text) {
  unsigned workers = 0;
  const char* const end = text.data() + text.size();
  const auto [parsed, error] = std::from_chars(text.data(), end, workers);
  if (error != std::errc{} || parsed != end || workers < 1 || workers > 256) {
    throw usage_error("-j needs a number from 1 to 256, not '" + std::string(text) + "'");
  }
  return workers;
}

enum long_option { summary_option = 256, help_option }; // beyond all letters

/// Says which option getopt_long stopped at.
inline std::string bad_option(char** argv) {
  const bool is_letter = optopt > 0 && optopt < summary_option;
  return "bad option '" +
         (is_letter ? std::string{'-', static_cast<char>(optopt)} : argv[optind - 1]) + "'";
}

/// Reads the command line; throws usage_error.
inline options parse(int argc, char** argv) {
  static constexpr option long_options[] = {{"summary", no_argument, nullptr, summary_option},
                                            {"help", no_argument, nullptr, help_option},
                                            {nullptr, 0, nullptr, 0}};
  options result;
  opterr = 0; // we report errors ourselves
  int letter = 0;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread so far
  while ((letter = getopt_long(argc, argv, ":Ej:h", long_options, nullptr)) != -1) {
    switch (letter) {
    case 'E': result.regex = true; break;
    case 'j': result.workers = parse_workers(optarg); break;
    case summary_option: result.summary = true; break;
    case 'h':
    case help_option: result.help = true; return result;
    case ':': throw usage_error("-j needs a number");
    default: throw usage_error(bad_option(argv));
    }
  }
  if (optind == argc) throw usage_error("no PATTERN given");
  result.pattern = argv[optind++];
  if (optind == argc) throw usage_error("no DIR given: where to search?");
  result.places.assign(argv + optind, argv + argc);
  return result;
}

} // namespace treegrep

#endif // TREEGREP_OPTIONS_HPP
