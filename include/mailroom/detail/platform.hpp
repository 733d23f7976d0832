// SPDX-License-Identifier: MIT
#ifndef MAILROOM_DETAIL_PLATFORM_HPP
#define MAILROOM_DETAIL_PLATFORM_HPP

// Everything that the library asks of the machine and its operating system; the one seam.
//
// No other header includes <atomic>, calls the kernel or reads a clock. Tests that want to drive
// the schedule put a file of the same name in front of this one on the include path; no macro and
// no template parameter in the shipped headers is needed for it.
//
//   atomic<T>    an atomic object whose every access names its order: there is no default
//   cell<T>      room for one T, which may or may not be alive
//   fence()      a fence of the given order; fence_all_threads() one in all threads at once
//   relax()      tells the core that this loop waits; yield() gives the core away; hesitate() is
//                for who does not wait
//   prefetch_for_write()  asks for a cache line that is going to be written
//   now()        nanoseconds on the steady clock
//   futex        a 32-bit word that threads can sleep on
//   descriptor   what poll can wait for
//   stack_hint() a number that mostly differs between threads; random_seed() one between calls
//   line_bytes, longest_spin, block_bytes, ...  numbers that suit today's machines
//   innermost_handler  what the thread is running, so that a handler may end its own subscription
//   thread_number(), label_of(), process_number()  who is there, where mailboxes are checked
//
// Decision: 64-bit atomics must be lock-free where the library is used. A 32-bit target that has
//   them (i386 with cmpxchg8b, ARMv7) is supported, any other is refused below with a sentence.
// Decision: the thread sanitizer does not know fences and reports races that are none, so under it
//   a fence is a read-modify-write of one shared word, which orders at least as much.
// Decision: no std::atomic::wait. Its notify looks for sleepers with a load that may pass the
//   store before it, and it has no deadline. Linux's futex takes an absolute deadline on the
//   steady clock; elsewhere a mutex and a condition variable stand in for it.
// Decision: a descriptor is an eventfd on Linux, a pipe on other systems of the POSIX family, and
//   elsewhere there is none.

#include <mailroom/detail/config.hpp>

#include <atomic>  // atomic, atomic_thread_fence, memory_order
#include <cstddef> // size_t
#include <cstdint> // int64_t, uint32_t, uintptr_t
#include <limits>  // numeric_limits
#include <memory>  // addressof, construct_at, destroy_at
#include <utility> // forward

#if defined(__linux__) && __has_include(<linux/futex.h>)
#define MAILROOM_DETAIL_FUTEX 1
#include <climits>       // INT_MAX
#include <cerrno>        // errno
#include <ctime>         // clock_gettime, timespec
#include <linux/futex.h> // FUTEX_*
#if __has_include(<linux/membarrier.h>)
#include <linux/membarrier.h> // MEMBARRIER_CMD_*
#endif
#include <sched.h>       // sched_yield
#include <sys/syscall.h> // SYS_futex
#include <unistd.h>      // syscall
#else
#define MAILROOM_DETAIL_FUTEX 0
#include <chrono>             // steady_clock
#include <condition_variable> // condition_variable
#include <mutex>              // mutex, unique_lock
#include <thread>             // this_thread
#endif

#if defined(__linux__) && __has_include(<sys/eventfd.h>)
#define MAILROOM_DETAIL_DESCRIPTOR 1 // an eventfd
#include <cerrno>                    // errno
#include <sys/eventfd.h>             // eventfd, eventfd_read, eventfd_write
#include <unistd.h>                  // close
#elif defined(__unix__) || defined(__APPLE__)
#define MAILROOM_DETAIL_DESCRIPTOR 2 // a pipe
#include <cerrno>                    // errno
#include <fcntl.h>                   // fcntl
#include <unistd.h>                  // close, pipe, read, write
#else
#define MAILROOM_DETAIL_DESCRIPTOR 0
#endif

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h> // _mm_pause, __yield
#endif

#if MAILROOM_CHECKED
#if __has_include(<pthread.h>)
#include <pthread.h> // pthread_atfork, pthread_getname_np, pthread_self
#else
#include <functional> // hash
#include <thread>     // this_thread
#endif
#endif

namespace mailroom::inline MAILROOM_ABI::detail {

// ---- Atomics

using std::memory_order;

/// std::atomic without its defaults: an access that does not name its order does not compile.
template <class T>
class atomic {
  static_assert(std::atomic<T>::is_always_lock_free,
                "mailroom: this target has no lock-free atomics of 64 bits; the library's promises "
                "cannot be kept here");

public:
  constexpr atomic() noexcept : value_{T{}} {}
  constexpr explicit atomic(T value) noexcept : value_{value} {}
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;
  ~atomic() = default;

  T load(memory_order order) const noexcept { return value_.load(order); }
  void store(T value, memory_order order) noexcept { value_.store(value, order); }
  T exchange(T value, memory_order order) noexcept { return value_.exchange(value, order); }
  T fetch_add(T value, memory_order order) noexcept { return value_.fetch_add(value, order); }
  T fetch_sub(T value, memory_order order) noexcept { return value_.fetch_sub(value, order); }

  /// Never fails without a reason; `expected` then holds what was there.
  bool compare_exchange(T& expected, T desired, memory_order success,
                        memory_order failure) noexcept {
    return value_.compare_exchange_strong(expected, desired, success, failure);
  }

private:
  std::atomic<T> value_;
};

#if defined(__SANITIZE_THREAD__)
#define MAILROOM_DETAIL_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MAILROOM_DETAIL_TSAN 1
#endif
#endif
#ifndef MAILROOM_DETAIL_TSAN
#define MAILROOM_DETAIL_TSAN 0
#endif

#if MAILROOM_DETAIL_TSAN
inline std::atomic<unsigned> fence_word{0};
inline void fence(memory_order) noexcept { fence_word.fetch_add(0, memory_order::seq_cst); }
#else
inline void fence(memory_order order) noexcept { std::atomic_thread_fence(order); }
#endif

/// Keeps the compiler from moving accesses across; the machine may.
inline void compiler_fence() noexcept { std::atomic_signal_fence(memory_order::seq_cst); }

#if defined(__linux__) && __has_include(<linux/membarrier.h>)

/// Can one thread pass a fence for all threads of the program? The kernel is asked once. (The
/// thread sanitizer would not know of it.)
inline bool can_fence_all_threads() noexcept {
  if (MAILROOM_DETAIL_TSAN) return false;
  static const bool is_registered =
      ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
  return is_registered;
}

/// Passes a seq_cst fence in every thread of the program, at some point during the call.
///
/// Decision: a kernel that has promised it and then refuses, as behind a filter of a sandbox, is
///   asked once more, and then 10 ms are waited out: no store stays in its buffer that long
///   (Morrison, Afek, Temporally Bounding TSO, ASPLOS 2015).
inline void fence_all_threads() noexcept {
  if (::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0) return;
  ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
  if (::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0) return;
  fence(memory_order::seq_cst);
  const std::timespec span{0, 10'000'000};
  ::nanosleep(&span, nullptr);
  fence(memory_order::seq_cst);
}

#else

inline bool can_fence_all_threads() noexcept { return false; }
inline void fence_all_threads() noexcept { fence(memory_order::seq_cst); }

#endif

// ---- Room for one message

/// Storage for one T. The queue that owns it knows whether a T lives there.
template <class T>
class cell {
public:
  cell() noexcept {} // NOLINT(modernize-use-equals-default): the union has nothing to construct
  cell(const cell&) = delete;
  cell& operator=(const cell&) = delete;
  ~cell() {} // NOLINT(modernize-use-equals-default): the owner has destroyed what lived here

  /// Begins the life of a T. Throws what its constructor throws; then nothing lives here.
  template <class... Args>
  void construct(Args&&... args) {
    std::construct_at(std::addressof(value_), std::forward<Args>(args)...);
  }

  /// The T that lives here.
  T& value() noexcept { return value_; }
  const T& value() const noexcept { return value_; }

  /// Where a T may be made by other means.
  T* place() noexcept { return std::addressof(value_); }

  /// Ends its life.
  void destroy() noexcept { std::destroy_at(std::addressof(value_)); }

private:
  union {
    T value_;
  };
};

// ---- Waiting

/// Tells the core that the thread is waiting in a loop.
inline void relax() noexcept {
#if defined(_MSC_VER) && !defined(__clang__)
#if defined(_M_IX86) || defined(_M_X64)
  _mm_pause();
#else
  __yield();
#endif
#elif defined(__i386__) || defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  asm volatile("yield" ::: "memory");
#elif defined(__riscv)
  asm volatile(".insn i 0x0F, 0, x0, x0, 0x010" ::: "memory"); // pause; a no-op where unknown
#endif
}

/// So many short pauses, after which the caller goes on whether or not something has changed.
inline void hesitate(int pauses) noexcept {
  for (int i = 0; i != pauses; ++i) relax();
}

/// Asks for the cache line of `address`, to write to it soon. Any address will do. (A function that
/// does nothing else has no effect for g++ -O2, which leaves out the calls of it.)
inline void prefetch_for_write([[maybe_unused]] const void* address) noexcept {
#if defined(__GNUC__)
  __builtin_prefetch(address, 1);
#endif
}

/// A deadline or the time, in nanoseconds on the steady clock.
using nanoseconds = std::int64_t;

/// The deadline that never comes.
inline constexpr nanoseconds never = std::numeric_limits<nanoseconds>::max();

#if MAILROOM_DETAIL_FUTEX

inline void yield() noexcept { ::sched_yield(); }

inline nanoseconds now() noexcept {
  std::timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return nanoseconds{time.tv_sec} * 1'000'000'000 + nanoseconds{time.tv_nsec};
}

/// A word to sleep on.
struct futex {
  atomic<std::uint32_t> word;
};

// Where time_t is wider than the kernel's old one, the old call would misread the deadline.
#if defined(SYS_futex_time64)
inline constexpr long futex_call = sizeof(std::time_t) > sizeof(long) ? SYS_futex_time64
                                                                      : SYS_futex;
#else
inline constexpr long futex_call = SYS_futex;
#endif

/// Sleeps while the word holds `expected`, until a wake or the deadline; may also return early.
///
/// Returns   false only when the deadline has passed
inline bool futex_wait(futex& place, std::uint32_t expected, nanoseconds deadline) noexcept {
  constexpr nanoseconds second = 1'000'000'000;
  constexpr nanoseconds last = std::numeric_limits<std::time_t>::max();
  std::timespec until{};
  if (deadline > 0) {
    until.tv_sec = static_cast<std::time_t>(deadline / second < last ? deadline / second : last);
    until.tv_nsec = static_cast<long>(deadline % second);
  }
  const long result =
      ::syscall(futex_call, &place.word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                deadline == never ? nullptr : &until, nullptr, FUTEX_BITSET_MATCH_ANY);
  return result == 0 || errno != ETIMEDOUT;
}

inline void futex_wake(futex& place, long how_many) noexcept {
  ::syscall(futex_call, &place.word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, how_many, nullptr, nullptr,
            0);
}

inline void futex_wake_one(futex& place) noexcept { futex_wake(place, 1); }
inline void futex_wake_all(futex& place) noexcept { futex_wake(place, INT_MAX); }

#else

inline void yield() noexcept { std::this_thread::yield(); }

inline nanoseconds now() noexcept {
  const auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
}

/// A word to sleep on. Whoever changed the word passes the lock before waking, so that a sleeper
/// has either seen the change or is already waiting for the signal.
struct futex {
  atomic<std::uint32_t> word;
  std::mutex lock;
  std::condition_variable changed;
};

inline bool futex_wait(futex& place, std::uint32_t expected, nanoseconds deadline) {
  using std::chrono::steady_clock;
  std::unique_lock held{place.lock};
  if (place.word.load(memory_order::acquire) != expected) return true;
  if (deadline == never) {
    place.changed.wait(held);
    return true;
  }
  const steady_clock::time_point until{
      std::chrono::duration_cast<steady_clock::duration>(std::chrono::nanoseconds{deadline})};
  return place.changed.wait_until(held, until) == std::cv_status::no_timeout;
}

inline void futex_wake_one(futex& place) {
  {
    const std::lock_guard passed{place.lock};
  }
  place.changed.notify_one();
}

inline void futex_wake_all(futex& place) {
  {
    const std::lock_guard passed{place.lock};
  }
  place.changed.notify_all();
}

#endif

// ---- Descriptors

/// A descriptor that poll finds readable from raise() to lower(). What was done before a raise has
/// happened before whatever follows the poll that finds it. Raises may meet; a lower meets none.
#if MAILROOM_DETAIL_DESCRIPTOR == 1

class descriptor {
public:
  using native_type = int;
  static constexpr bool is_supported = true;

  descriptor() = default;
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (is_open()) ::close(number_);
  }

  /// Makes one that is raised.
  ///
  /// Returns   0, or the system's error
  int open() noexcept {
    number_ = ::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    return is_open() ? 0 : errno;
  }
  bool is_open() const noexcept { return number_ != -1; }
  native_type native() const noexcept { return number_; }
  void raise() noexcept { (void)::eventfd_write(number_, 1); }
  void lower() noexcept {
    ::eventfd_t raises = 0;
    (void)::eventfd_read(number_, &raises);
  }

private:
  int number_ = -1;
};

#elif MAILROOM_DETAIL_DESCRIPTOR == 2

class descriptor {
public:
  using native_type = int;
  static constexpr bool is_supported = true;

  descriptor() = default;
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() { close(); }

  int open() noexcept {
    int error = ::pipe(ends_) == 0 ? 0 : errno;
    for (const int end : ends_) {
      const bool is_set = error == 0 && ::fcntl(end, F_SETFD, FD_CLOEXEC) != -1 &&
                          ::fcntl(end, F_SETFL, O_NONBLOCK) != -1;
      if (error == 0 && !is_set) error = errno;
    }
    if (error == 0) {
      raise();
    } else {
      close();
    }
    return error;
  }
  bool is_open() const noexcept { return ends_[0] != -1; }
  native_type native() const noexcept { return ends_[0]; }
  void raise() noexcept {
    const char one = 0;
    [[maybe_unused]] const auto written = ::write(ends_[1], &one, 1);
  }
  void lower() noexcept {
    char one = 0;
    while (::read(ends_[0], &one, 1) == 1) {
    }
  }

private:
  void close() noexcept {
    for (int& end : ends_) {
      if (end != -1) ::close(end);
      end = -1;
    }
  }

  int ends_[2] = {-1, -1};
};

#else

/// There is none to be had.
class descriptor {
public:
  using native_type = int;
  static constexpr bool is_supported = false;

  static constexpr bool is_open() noexcept { return false; }
  static constexpr void raise() noexcept {}
  static constexpr void lower() noexcept {}
};

#endif

// ---- Numbers that suit a machine, and that no promise depends on

/// How much travels between two cores at a time. (What two threads write is further apart: see
/// cache_line.)
inline constexpr std::size_t line_bytes = 64;

/// How long a waiting thread looks again and again before it sleeps, in nanoseconds: about as long
/// as it costs to sleep and to be woken, or, where that has not helped lately, next to nothing. And
/// how often it looks from one look at the clock to the next.
inline constexpr std::uint32_t longest_spin = 20'000;
inline constexpr std::uint32_t shortest_spin = 1'000;
inline constexpr int looks_per_clock = 8;

/// How many threads can read a snapshot at a time without writing the same cache line.
inline constexpr std::size_t reader_stripes = 16;

/// About how large a block of slots is, and how many it has at least.
inline constexpr std::size_t block_bytes = 1024;
inline constexpr std::size_t least_block_slots = 8;

/// How many empty blocks a queue keeps for later.
inline constexpr std::size_t spare_blocks = 8;

/// How many positions a ring passes from one move of its hints to the next.
inline constexpr std::uint64_t positions_per_hint = 32;

/// How often a call looks again at a slot that is not ready, before it asks why.
inline constexpr int looks_at_slot = 2;

/// How many pauses a call makes that has lost a place to another, before it tries the next: the
/// winner may go on meanwhile with the lines that it has.
inline constexpr int pauses_after_loss = 32;

/// How many readers of a broadcast are given room for at a time.
inline constexpr std::size_t cursors_together = 16;

// ---- What a thread is, and what it is in the middle of

/// A handler that the current thread is running; topic/subscriber.hpp knows the rest.
struct handler_frame;

/// The innermost of them. Whoever sets it puts the former back, so nothing stays behind.
inline thread_local handler_frame* innermost_handler = nullptr;

#if MAILROOM_CHECKED

/// A thread as a debugger shows it: its number, which is never 0, and the name that it was given.
struct thread_label {
  std::uint64_t number;
  char name[64];
};

inline std::uint64_t thread_number() noexcept {
#if __has_include(<pthread.h>)
  return std::uintptr_t(::pthread_self()); // a number or a pointer
#else
  return std::hash<std::thread::id>{}(std::this_thread::get_id()) | 1U;
#endif
}

/// Of a thread that has not ended.
inline thread_label label_of(std::uint64_t thread) noexcept {
  thread_label label{thread, ""};
#if defined(__GLIBC__) || defined(__APPLE__)
  const auto handle = ::pthread_t(std::uintptr_t(thread));
  if (::pthread_getname_np(handle, label.name, sizeof label.name) != 0) *label.name = 0;
#endif
  return label;
}

/// Another one in a child process. (To ask the kernel each time takes longer than a push.)
inline int process_number() noexcept {
  static int forks = 0; // changes only in a child, while it has one thread
#if __has_include(<pthread.h>)
  static const int is_told = ::pthread_atfork(nullptr, nullptr, [] { ++forks; });
  (void)is_told;
#endif
  return forks;
}

#endif // MAILROOM_CHECKED

/// A number below `places` that is mostly the same for one thread and mostly differs between
/// threads: it comes from the stack.
///
/// Decision: not a thread_local, which would leave something behind in every thread, and not the
///   thread's id, which costs a call. A wrong guess costs a longer search, never correctness.
inline std::size_t stack_hint(std::uint32_t places) noexcept {
  const char here = 0;
  const auto page = reinterpret_cast<std::uintptr_t>(&here) >> 16; // 64 KiB of one stack are alike
  const std::uint64_t spread = (std::uint64_t{page} * 0x9E3779B97F4A7C15U) >> 32;
  return static_cast<std::size_t>((spread * places) >> 32);
}

/// A number that is hardly ever the same again, to draw lots with: it comes from the clock.
inline std::uint64_t random_seed() noexcept {
  std::uint64_t mixed = static_cast<std::uint64_t>(now()) * 0x9E3779B97F4A7C15U;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9U;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
  return mixed ^ (mixed >> 31);
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_PLATFORM_HPP
