// SPDX-License-Identifier: MIT
#ifndef TREEGREP_FAILURE_HPP
#define TREEGREP_FAILURE_HPP

// Why a file or directory cannot be searched: the reason in its topic, the sentence for the user.

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

namespace treegrep {

struct failure {
  std::string_view reason; // of skip.<reason>; empty: there was none
  std::string sentence;    // empty: not worth a message
};

inline failure failure_of(int error) {
  const auto because = [error](std::string_view reason) {
    return failure{reason, std::generic_category().message(error)};
  };
  switch (error) {
  case 0: return {};
  case EACCES:
  case EPERM: return because("permission");
  case ENOENT: return because("missing");
  case ENAMETOOLONG: return because("name_too_long");
  default: return because("unreadable");
  }
}

} // namespace treegrep

#endif // TREEGREP_FAILURE_HPP
