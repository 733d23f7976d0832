// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_SUSPENSION_SIGNALS_HPP
#define MAILROOM_TESTS_SUSPENSION_SIGNALS_HPP

// Stops threads by a signal, wherever they are, and lets them go on.
//
// A thread that is told to stop says so from its signal handler, and waits there for a second
// signal, which is blocked until it waits. Both steps are allowed in a handler.

#include <atomic>    // atomic
#include <csignal>   // pthread_kill, sigaction, sigset_t, sigsuspend, SIG*
#include <cstddef>   // size_t
#include <pthread.h> // pthread_self, pthread_t

namespace test {

/// A thread that can be stopped.
class stoppable {
public:
  /// The thread itself, before it can be stopped and after it cannot be any more. Its operations
  /// are counted in between.
  void enter() noexcept {
    mine_ = this;
    self_ = ::pthread_self();
    is_ready_.store(true);
  }
  void count() noexcept { operations_.fetch_add(1, std::memory_order::relaxed); }
  std::size_t operations() const noexcept { return operations_.load(std::memory_order::relaxed); }
  bool is_ready() const noexcept { return is_ready_.load(); }

  /// Who stops it; is_still() will be true some time after stop().
  void stop() noexcept {
    wanted_.store(true);
    (void)::pthread_kill(self_, SIGUSR1);
  }
  bool is_still() const noexcept { return still_.load(); }
  void go_on() noexcept {
    wanted_.store(false);
    (void)::pthread_kill(self_, SIGUSR2);
  }

  /// Before any thread enters.
  static void install() noexcept {
    struct sigaction stand{};
    stand.sa_handler = stand_still;
    stand.sa_flags = SA_RESTART;
    (void)sigemptyset(&stand.sa_mask);
    (void)sigaddset(&stand.sa_mask, SIGUSR2);
    (void)sigaction(SIGUSR1, &stand, nullptr);
    struct sigaction nothing{};
    nothing.sa_handler = [](int) {};
    nothing.sa_flags = SA_RESTART;
    (void)sigemptyset(&nothing.sa_mask);
    (void)sigaction(SIGUSR2, &nothing, nullptr);
  }

private:
  static void stand_still(int) {
    stoppable& me = *mine_;
    sigset_t all_but_go_on;
    (void)pthread_sigmask(SIG_SETMASK, nullptr, &all_but_go_on);
    (void)sigdelset(&all_but_go_on, SIGUSR2);
    me.still_.store(true);
    while (me.wanted_.load()) (void)sigsuspend(&all_but_go_on);
    me.still_.store(false);
  }

  static inline thread_local stoppable* mine_ = nullptr;
  pthread_t self_{};
  std::atomic<std::size_t> operations_{0};
  std::atomic<bool> is_ready_{false};
  std::atomic<bool> wanted_{false};
  std::atomic<bool> still_{false};
};

} // namespace test

#endif // MAILROOM_TESTS_SUSPENSION_SIGNALS_HPP
