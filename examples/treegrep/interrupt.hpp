// SPDX-License-Identifier: MIT
#ifndef TREEGREP_INTERRUPT_HPP
#define TREEGREP_INTERRUPT_HPP

// Ctrl-C as a stop request. A thread of its own waits for the signal, so there is no signal handler,
// and nothing that one must not do. A second Ctrl-C ends the program on the spot.

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <initializer_list>
#include <stop_token>
#include <thread>
#include <utility>

namespace treegrep {

class interrupt {
public:
  /// To be made before any other thread: they inherit the blocked signals.
  explicit interrupt(std::stop_source search) {
    const sigset_t blocked = set_of({SIGINT, SIGTERM, wake_up});
    pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
    waiting_ = std::jthread([this, stop = std::move(search)](const std::stop_token& over) mutable {
      wait(stop, over);
    });
  }

  ~interrupt() {
    waiting_.request_stop();
    pthread_kill(waiting_.native_handle(), wake_up);
  }

  interrupt(const interrupt&) = delete;
  interrupt& operator=(const interrupt&) = delete;

  /// The signal that came; 0 if none did.
  int caught() const { return caught_; }

private:
  static constexpr int wake_up = SIGUSR1;

  static sigset_t set_of(std::initializer_list<int> signals) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals) sigaddset(&set, signal);
    return set;
  }

  void wait(std::stop_source& search, const std::stop_token& over) {
    sigset_t expected = set_of({SIGINT, SIGTERM, wake_up});
    while (!over.stop_requested()) {
      int signal = 0;
      sigwait(&expected, &signal);
      if (signal == wake_up) continue;
      caught_ = signal;
      search.request_stop();
      expected = set_of({wake_up});
      let_the_next_one_kill();
    }
  }

  static void let_the_next_one_kill() {
    ::signal(SIGINT, SIG_DFL);
    ::signal(SIGTERM, SIG_DFL);
    const sigset_t fatal = set_of({SIGINT, SIGTERM});
    pthread_sigmask(SIG_UNBLOCK, &fatal, nullptr);
  }

  std::atomic<int> caught_ = 0;
  std::jthread waiting_;
};

} // namespace treegrep

#endif // TREEGREP_INTERRUPT_HPP
