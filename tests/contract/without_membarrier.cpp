// SPDX-License-Identifier: MIT
// Runs a program for which the kernel has no fence for all threads, as in a sandbox: a filter in
// front of it refuses the call. What was found out about the kernel before does not count there.
//
//      mailroom.without_membarrier unknown|refused|revoked PROGRAM ARGUMENT...
//
//   unknown   the kernel does not know the call (ENOSYS), as an old one
//   refused   it may not be used (EPERM), as in a container
//   revoked   the kernel promises the fence, and then refuses every one of them (EPERM)
//
// The status is that of the program; 77 says that nobody was refused anything here.

#include <cstdio>  // fprintf, perror, stderr
#include <cstring> // strcmp

#if defined(__SANITIZE_THREAD__)
#define MAILROOM_TEST_WHY_NOT "under the thread sanitizer the library does not ask for it"
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MAILROOM_TEST_WHY_NOT "under the thread sanitizer the library does not ask for it"
#endif
#endif
#if !defined(__linux__) || !__has_include(<linux/membarrier.h>) || !__has_include(<linux/seccomp.h>)
#define MAILROOM_TEST_WHY_NOT "this system has no such call, or no filters"
#endif

namespace {

int skip(const char* why) {
  std::fprintf(stderr, "without_membarrier: skipped: %s\n", why);
  return 77;
}

} // namespace

#if defined(MAILROOM_TEST_WHY_NOT)

int main() { return skip(MAILROOM_TEST_WHY_NOT); }

#else

#include <bit>                // endian
#include <cerrno>             // ENOSYS, EPERM, errno
#include <cstddef>            // offsetof
#include <linux/filter.h>     // BPF_*, sock_filter, sock_fprog
#include <linux/membarrier.h> // MEMBARRIER_CMD_*
#include <linux/seccomp.h>    // SECCOMP_*, seccomp_data
#include <sys/prctl.h>        // prctl
#include <sys/syscall.h>      // SYS_membarrier
#include <unistd.h>           // execv, syscall

namespace {

/// Answers `error` to the call of membarrier with `command`, or with any, from here on, and in what
/// is run in place of this program. (It hides nothing from anybody, so it does not ask which kind
/// of machine the call is meant for.)
bool refuse(unsigned error, unsigned command, bool any_command) {
  constexpr unsigned number = offsetof(seccomp_data, nr);
  constexpr unsigned first = offsetof(seccomp_data, args) +
                             (std::endian::native == std::endian::big ? sizeof(unsigned) : 0);
  constexpr unsigned short load = BPF_LD | BPF_W | BPF_ABS;
  constexpr unsigned short is_equal = BPF_JMP | BPF_JEQ | BPF_K;
  constexpr unsigned short answer = BPF_RET | BPF_K;
  const auto skip_command = static_cast<unsigned char>(any_command ? 2 : 0);
  sock_filter steps[] = {
      BPF_STMT(load, number),
      BPF_JUMP(is_equal, SYS_membarrier, 0, 4),
      BPF_JUMP(is_equal, SYS_membarrier, skip_command, 0),
      BPF_STMT(load, first),
      BPF_JUMP(is_equal, command, 0, 1),
      BPF_STMT(answer, SECCOMP_RET_ERRNO | error),
      BPF_STMT(answer, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{sizeof steps / sizeof steps[0], steps};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

bool ask_kernel(int command) { return ::syscall(SYS_membarrier, command, 0, 0) == 0; }

} // namespace

int main(int count, char** arguments) {
  if (count < 3) return std::fprintf(stderr, "without_membarrier: how, and which program?\n"), 2;
  const bool is_revoked = std::strcmp(arguments[1], "revoked") == 0;
  const bool is_unknown = std::strcmp(arguments[1], "unknown") == 0;
  if (!ask_kernel(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)) return skip("the kernel has none");
  if (!refuse(is_unknown ? ENOSYS : EPERM, MEMBARRIER_CMD_PRIVATE_EXPEDITED, !is_revoked)) {
    return skip("filters are not allowed here");
  }
  if (ask_kernel(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) != is_revoked ||
      ask_kernel(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) {
    return std::fprintf(stderr, "without_membarrier: the filter does not refuse it\n"), 2;
  }
  ::execv(arguments[2], arguments + 2);
  std::perror("without_membarrier: cannot run the program");
  return 2;
}

#endif
