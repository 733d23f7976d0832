// SPDX-License-Identifier: MIT
// mailroom 0.1.0 in one header, generated from include/ by single_include/amalgamate.cmake.
// Do not edit it: edit there, then build the target mailroom.amalgamate.

// ---- <mailroom/detail/config.hpp>

#ifndef MAILROOM_DETAIL_CONFIG_HPP
#define MAILROOM_DETAIL_CONFIG_HPP

// What the compiler was told: the version, the cache line, whether exceptions exist, and whether
// mailboxes are checked.
//
// These are all the macros of the library. The only one that changes a type is MAILROOM_CHECKED,
// and it puts everything into another inline namespace, so that units with and without it can be in
// one program. Units with and without exceptions do not belong into one program, as with any header
// library: the linker keeps one copy of each inline function, and it may be the one that cannot
// catch.
//
// Decision: cache_line is a constant of ours. std::hardware_destructive_interference_size follows
//   -mtune, so two units of one program could disagree about a layout; and 64 is too little where
//   the adjacent line is prefetched with the first (x86-64) or lines are 128 bytes (Apple, POWER).

#include <cstddef>   // size_t
#include <cstdlib>   // abort
#include <stdexcept> // invalid_argument, length_error

#define MAILROOM_VERSION_MAJOR 0
#define MAILROOM_VERSION_MINOR 1
#define MAILROOM_VERSION_PATCH 0

/// The user defines it as 1, before the first header, for mailboxes that are checked while the
/// program runs: see mailbox/checks.hpp.
#ifndef MAILROOM_CHECKED
#define MAILROOM_CHECKED 0
#endif

/// The inline namespace in which everything stands.
#if MAILROOM_CHECKED
#define MAILROOM_ABI v0_checked
#else
#define MAILROOM_ABI v0
#endif

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define MAILROOM_EXCEPTIONS 1
#else
#define MAILROOM_EXCEPTIONS 0
#endif

namespace mailroom::inline MAILROOM_ABI::detail {

/// Data that different threads write stands at least this many bytes apart.
inline constexpr std::size_t cache_line = 128;

/// Lets a test start a queue at a position of its choice. Only tests define it.
struct test_access;

/// Reports a bad argument. Where exceptions are off there is nobody to tell: the program ends.
///
/// Throws    std::invalid_argument
[[noreturn]] inline void throw_invalid_argument([[maybe_unused]] const char* what) {
#if MAILROOM_EXCEPTIONS
  throw std::invalid_argument{what};
#else
  std::abort();
#endif
}

/// Reports a size that cannot be had.
///
/// Throws    std::length_error
[[noreturn]] inline void throw_length_error([[maybe_unused]] const char* what) {
#if MAILROOM_EXCEPTIONS
  throw std::length_error{what};
#else
  std::abort();
#endif
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_CONFIG_HPP

// ---- <mailroom/detail/platform.hpp>

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

// ---- <mailroom/detail/mutex.hpp>

#ifndef MAILROOM_DETAIL_MUTEX_HPP
#define MAILROOM_DETAIL_MUTEX_HPP

// The lock of the rare paths: subscribing, cancelling, naming a topic for the first time, and
// waiting in a list.
//
// Nothing that pushes, pops or publishes to a known topic takes it, but to wake a select or a
// coroutine. It stands here, and not where it is used, so that the tests can put their own in its
// place.

#include <mutex> // mutex, lock_guard

namespace mailroom::inline MAILROOM_ABI::detail {

using std::lock_guard;
using std::mutex;

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_MUTEX_HPP

// ---- <mailroom/detail/fences.hpp>

#ifndef MAILROOM_DETAIL_FENCES_HPP
#define MAILROOM_DETAIL_FENCES_HPP

// Two fences for two sides that each write something and then look at what the other has written
// (Dekker): with one between the write and the look on either side, at least one of them sees the
// other.
//
//      the side in a hurry        the other side
//      write mine                 write mine
//      light()                    heavy()
//      look at theirs             look at theirs
//
// symmetric_fences   both are a seq_cst fence
// asymmetric_fences  heavy() makes every thread of the program pass a fence, wherever it is, so
//                    that light() is none at all. Where the kernel cannot do that: symmetric.
//
// Memory order
//   (D)   Dekker: as drawn. Each of the two sides has passed its fence, or heavy() has passed one
//         in its place, before it looks.
//
// Decision: what heavy() does is found out while the program runs, and kept in the object: parts of
//   a program that were compiled differently cannot disagree, which would lose wake-ups.
//
// Sources: P1202R5, Asymmetric Fences; membarrier(2) of Linux.

namespace mailroom::inline MAILROOM_ABI::detail {

struct symmetric_fences {
  static void light() noexcept { fence(memory_order::seq_cst); } // (D)
  static void heavy() noexcept { fence(memory_order::seq_cst); } // (D)
};

class asymmetric_fences {
public:
  void light() const noexcept {
    if (for_all_) {
      compiler_fence();
    } else {
      fence(memory_order::seq_cst); // (D)
    }
  }
  void heavy() const noexcept {
    if (for_all_) {
      fence_all_threads();
    } else {
      fence(memory_order::seq_cst); // (D)
    }
  }

private:
  bool for_all_ = can_fence_all_threads();
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_FENCES_HPP

// ---- <mailroom/detail/capacity.hpp>

#ifndef MAILROOM_DETAIL_CAPACITY_HPP
#define MAILROOM_DETAIL_CAPACITY_HPP

// How many messages a queue may hold, checked once, at construction; how many it holds about now.
//
// A ring of slots is a power of two, so that a position becomes a slot by one mask; the capacity is
// exactly what was asked for, so a ring may have slots that are never used at the same time.
//
// Decision: no std::min and std::max. <algorithm> made one line in six of what whoever includes a
//   queue compiles, and nothing else of it is used.

#include <bit>     // bit_ceil
#include <cstddef> // size_t
#include <cstdint> // int64_t, uint64_t
#include <limits>  // numeric_limits

namespace mailroom::inline MAILROOM_ABI {

/// As the Capacity of a queue: it is chosen when the queue is constructed.
inline constexpr std::size_t dynamic_capacity = static_cast<std::size_t>(-1);

namespace detail {

/// The largest number of slots: half the address space keeps every difference of indices positive.
inline constexpr std::size_t max_slots = std::numeric_limits<std::size_t>::max() / 4 + 1;

/// Returns `capacity`, which is at least one and at most `most`.
///
/// Throws    std::invalid_argument for 0; std::length_error above `most`
constexpr std::size_t checked_capacity(std::size_t capacity, std::size_t most = max_slots) {
  if (capacity == 0) throw_invalid_argument("mailroom: a queue needs a capacity of at least 1");
  if (capacity > most) throw_length_error("mailroom: the capacity of a queue is too large");
  return capacity;
}

/// The number of slots of a ring for `capacity` messages: the least power of two that holds them.
constexpr std::size_t slots_for(std::size_t capacity) noexcept { return std::bit_ceil(capacity); }

template <class Number>
constexpr Number smaller_of(Number one, Number other) noexcept {
  return other < one ? other : one;
}
template <class Number>
constexpr Number larger_of(Number one, Number other) noexcept {
  return one < other ? other : one;
}

/// The distance of two positions as a number of messages, in [0, capacity]: they were read one
/// after the other, and both may have moved meanwhile.
constexpr std::size_t size_within(std::uint64_t distance, std::size_t capacity) noexcept {
  if (static_cast<std::int64_t>(distance) <= 0) return 0;
  return static_cast<std::size_t>(smaller_of<std::uint64_t>(distance, capacity));
}

/// How many messages are in `queue` about now, in [0, capacity()].
template <class Queue>
std::size_t approx_size(const Queue& queue) noexcept {
  const std::uint64_t out = queue.popped();
  return size_within(queue.pushed() - out, queue.capacity());
}

} // namespace detail
} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_DETAIL_CAPACITY_HPP

// ---- <mailroom/detail/storage.hpp>

#ifndef MAILROOM_DETAIL_STORAGE_HPP
#define MAILROOM_DETAIL_STORAGE_HPP

// A fixed number of elements: inside the object when the number is known, else from an allocator.
//
// The elements are atomics and cells, which are made without arguments and never moved. Nothing is
// allocated after construction; an allocation that fails leaves nothing behind.

#include <cstddef> // size_t
#include <memory>  // allocator_traits, to_address, uninitialized_default_construct_n, destroy_n

namespace mailroom::inline MAILROOM_ABI::detail {

/// `Count` elements inside the object; the allocator has nothing to do.
template <class Element, std::size_t Count, class Allocator>
class storage {
public:
  storage(std::size_t, const Allocator&) noexcept {}

  Element& operator[](std::size_t index) noexcept { return elements_[index]; }
  const Element& operator[](std::size_t index) const noexcept { return elements_[index]; }
  static constexpr std::size_t size() noexcept { return Count; }

private:
  Element elements_[Count];
};

/// A number of elements that is chosen at construction, from the allocator.
template <class Element, class Allocator>
class storage<Element, dynamic_capacity, Allocator> {
  using allocator = typename std::allocator_traits<Allocator>::template rebind_alloc<Element>;
  using traits = std::allocator_traits<allocator>;

public:
  storage(std::size_t count, const Allocator& source)
      : allocator_(source), count_{count}, elements_{traits::allocate(allocator_, count)} {
    std::uninitialized_default_construct_n(std::to_address(elements_), count_);
  }
  storage(const storage&) = delete;
  storage& operator=(const storage&) = delete;
  ~storage() {
    std::destroy_n(std::to_address(elements_), count_);
    traits::deallocate(allocator_, elements_, count_);
  }

  Element& operator[](std::size_t index) noexcept { return std::to_address(elements_)[index]; }
  const Element& operator[](std::size_t index) const noexcept {
    return std::to_address(elements_)[index];
  }
  std::size_t size() const noexcept { return count_; }

private:
  [[no_unique_address]] allocator allocator_;
  std::size_t count_;
  typename traits::pointer elements_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_STORAGE_HPP

// ---- <mailroom/detail/slot_word.hpp>

#ifndef MAILROOM_DETAIL_SLOT_WORD_HPP
#define MAILROOM_DETAIL_SLOT_WORD_HPP

// What a slot of the slot-exchange ring says, in one word of 64 bits.
//
// Slot i serves the positions i, i + slots, i + 2 * slots, ... one after the other, and passes
// through two states for each of them. A word is the number of states passed, the phase, in its
// upper bits, and the index of the cell that the slot holds in its lower ones:
//
//      phase 2 * lap         empty: the position of that lap waits for its message
//      phase 2 * lap + 1     full:  its message is in the cell
//      phase 2 * lap + 2     empty: the message was taken; the next lap's position waits
//
//      | phase: 64 - index_bits                     | cell: index_bits |
//
// A phase only grows, so a word that a thread has seen cannot come back, nor be taken for another
// lap's, unless the thread stands still while the phase runs through half of its values. The cell
// gets no more bits than it needs, so that this takes at least 2^55 messages (2^60 from 32 slots
// on). Positions and phases may wrap.

#include <bit>     // bit_width, countr_zero
#include <cstddef> // size_t
#include <cstdint> // int64_t, uint64_t

namespace mailroom::inline MAILROOM_ABI::detail {

class slot_word {
public:
  using word = std::uint64_t;
  using position = std::uint64_t;

  /// For a ring of `slots` slots, a power of two, that share `cells` cells.
  constexpr slot_word(std::size_t slots, std::size_t cells) noexcept
      : slots_{slots}, index_bits_{static_cast<int>(std::bit_width(cells))},
        lap_shift_{index_bits_ + 1 - std::countr_zero(slots)},
        index_mask_{(word{1} << index_bits_) - 1} {}

  constexpr std::size_t slots() const noexcept { return slots_; }
  constexpr std::size_t slot_of(position at) const noexcept {
    return static_cast<std::size_t>(at) & (slots_ - 1);
  }

  /// The word of the slot that holds `cell` and waits for the message of position `at`.
  constexpr word empty(position at, std::size_t cell) const noexcept { return base(at) | cell; }

  /// The word of the slot that holds the message of position `at` in `cell`.
  constexpr word full(position at, std::size_t cell) const noexcept {
    return base(at) + one_phase() + cell;
  }

  /// The word that comes after `seen` in its slot, and holds `cell`.
  constexpr word next(word seen, std::size_t cell) const noexcept {
    return (seen | index_mask_) + 1 + cell;
  }

  /// `seen`, which is empty, as the last word of its slot: it holds no cell that exists.
  constexpr word sealed(word seen) const noexcept { return seen | index_mask_; }
  constexpr bool is_sealed(word seen) const noexcept { return cell(seen) == index_mask_; }

  /// The cell that the slot holds.
  constexpr std::size_t cell(word seen) const noexcept {
    return static_cast<std::size_t>(seen & index_mask_);
  }

  /// What the word says about position `at`:
  ///   below 0  the message of the lap before is still there
  ///   0        the position waits for its message
  ///   1        its message is there
  ///   2..      its message was taken; 3, 4, ... the same slot has gone on with later laps
  constexpr std::int64_t phase(word seen, position at) const noexcept {
    return static_cast<std::int64_t>(seen - base(at)) >> index_bits_;
  }

  /// Whether position `at` waits for its message and can have it: phase 0, and not sealed.
  constexpr bool has_room(word seen, position at) const noexcept {
    return seen - base(at) < index_mask_;
  }
  /// Whether the message of position `at` is there: phase 1.
  constexpr bool has_message(word seen, position at) const noexcept {
    return seen - base(at) - one_phase() < index_mask_;
  }

private:
  constexpr word base(position at) const noexcept {
    return (at & ~position{slots_ - 1}) << lap_shift_;
  }
  constexpr word one_phase() const noexcept { return index_mask_ + 1; }

  std::size_t slots_;
  int index_bits_; // so many that the largest index is not a cell: it says sealed
  int lap_shift_;  // from where a position counts laps to where the word does; never below 1
  word index_mask_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_SLOT_WORD_HPP

// ---- <mailroom/detail/spare_cells.hpp>

#ifndef MAILROOM_DETAIL_SPARE_CELLS_HPP
#define MAILROOM_DETAIL_SPARE_CELLS_HPP

// The cells that no slot of a ring holds: each call in progress borrows one.
//
// There are as many places as spare cells. A call empties a place and later refills the same one,
// mostly with another cell. Where to begin looking depends on the thread, so that threads mostly
// find a place, and a cache line, of their own. What else a thread likes to find again may stand
// beside the cell.
//
// Invariants
//   (I1)  a place that is empty belongs to the one call that emptied it; nobody else writes it, but
//         for writing empty again
//   (I2)  the constructor is alone
//
// Memory order
//   (S)   spare: giving a cell back -> taking it: its last user has left it.

#include <cstddef> // size_t
#include <limits>  // numeric_limits

namespace mailroom::inline MAILROOM_ABI::detail {

/// The index of a cell that is none.
inline constexpr std::size_t no_cell = std::numeric_limits<std::size_t>::max();

struct nothing_beside {};

/// `Beside` is shared by whoever begins at a place: it has to look after itself.
template <std::size_t Count, class Beside = nothing_beside>
class spare_cells {
public:
  /// Fills the places with the cells first, first + 1, ...
  explicit spare_cells(std::size_t first) noexcept {
    for (std::size_t i = 0; i != Count; ++i) {
      places_[i].cell.store(first + i, memory_order::relaxed); // (I2)
    }
  }

  /// A cell, and the place that it came from.
  struct loan {
    std::size_t cell = no_cell;
    std::size_t place = 0;
  };

  /// The place where the calling thread begins to look: often the same again.
  static std::size_t here() noexcept { return stack_hint(Count); }

  /// What stands beside a place.
  Beside& beside(std::size_t place) noexcept { return places_[place].beside; }

  /// Takes a cell out; looks at the place `start` first.
  ///
  /// Caller    anyone
  /// Progress  wait-free: looks at every place once
  /// Returns   no_cell if every place looked empty, which takes about Count calls in progress
  loan take(std::size_t start = here()) noexcept {
    for (std::size_t i = 0; i != Count; ++i) {
      const std::size_t place = (start + i) % Count;
      if (places_[place].cell.load(memory_order::relaxed) == no_cell) continue;              // (I1)
      const std::size_t cell = places_[place].cell.exchange(no_cell, memory_order::acquire); // (S)
      if (cell != no_cell) return {cell, place};
    }
    return {};
  }

  /// Puts a cell into the place that the caller emptied.
  ///
  /// Progress  wait-free
  void give(loan back) noexcept {
    places_[back.place].cell.store(back.cell, memory_order::release); // (S)
  }

private:
  struct alignas(cache_line / 2) padded {
    atomic<std::size_t> cell;
    Beside beside;
  };
  padded places_[Count];
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_SPARE_CELLS_HPP

// ---- <mailroom/detail/counted.hpp>

#ifndef MAILROOM_DETAIL_COUNTED_HPP
#define MAILROOM_DETAIL_COUNTED_HPP

// An object that lives as long as somebody refers to it; the count is inside the object.
//
// Decision: not std::shared_ptr, whose count can neither be put in the object nor be driven by the
//   tests' own atomics, and whose pointer cannot be read without a lock while it is replaced.
//
// Invariants
//   (I1)  who makes a new reference holds one, or is kept from losing the object by other means
//
// Memory order
//   (R)   released: all that was done through a reference -> the destructor that runs after the
//         last one is gone.

#include <concepts> // derived_from
#include <cstddef>  // size_t
#include <utility>  // exchange, forward, swap

namespace mailroom::inline MAILROOM_ABI::detail {

template <class T>
class ref;

/// The base of what is counted.
class counted {
public:
  counted() = default;
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  virtual ~counted() = default;

private:
  template <class T>
  friend class ref;

  void hold() const noexcept {
    references_.fetch_add(1, memory_order::relaxed); // (I1)
  }
  void drop() const noexcept {
    if (references_.fetch_sub(1, memory_order::acq_rel) == 1) delete this; // (R)
  }

  mutable atomic<std::size_t> references_;
};

/// A reference to a counted object, or to none.
template <class T>
class ref {
public:
  ref() noexcept = default;
  explicit ref(T* object) noexcept : object_{object} {
    if (object_ != nullptr) object_->hold();
  }
  ref(const ref& other) noexcept : ref{other.object_} {}
  ref(ref&& other) noexcept : object_{std::exchange(other.object_, nullptr)} {}
  template <std::derived_from<T> U>
  ref(const ref<U>& other) noexcept : ref{other.get()} {}
  ref& operator=(ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~ref() {
    if (object_ != nullptr) object_->drop();
  }

  T* get() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }

private:
  T* object_ = nullptr;
};

/// Makes a counted object and the first reference to it.
template <class T, class... Args>
ref<T> make_counted(Args&&... args) {
  return ref<T>{new T(std::forward<Args>(args)...)};
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_COUNTED_HPP

// ---- <mailroom/detail/hook.hpp>

#ifndef MAILROOM_DETAIL_HOOK_HPP
#define MAILROOM_DETAIL_HOOK_HPP

// A callable of the user that is kept, and called when something happens that the user may want to
// know; or none.
//
// Decision: not std::function, which wants a target that can be copied, and may throw.

#include <memory>      // make_unique, unique_ptr
#include <type_traits> // decay, is_nothrow_invocable, is_same, remove_cvref
#include <utility>     // forward

namespace mailroom::inline MAILROOM_ABI::detail {

/// Called with `Args`, by several threads at a time perhaps.
template <class... Args>
class hook {
public:
  /// None.
  hook() noexcept = default;

  /// Throws    what the allocation and the copy or move of `call` throw
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, hook>)
  explicit hook(F&& call)
      : target_{std::make_unique<target_of<std::decay_t<F>>>(std::forward<F>(call))} {}

  explicit operator bool() const noexcept { return target_ != nullptr; }

  /// Only where there is one.
  void operator()(Args... args) const noexcept { target_->call(std::forward<Args>(args)...); }

private:
  struct target {
    target() = default;
    target(const target&) = delete;
    target& operator=(const target&) = delete;
    virtual ~target() = default;
    virtual void call(Args... args) noexcept = 0;
  };

  template <class F>
  struct target_of final : target {
    static_assert(std::is_nothrow_invocable_v<F&, Args...>, "mailroom: a hook must be noexcept");
    template <class G>
    explicit target_of(G&& callable) : call_(std::forward<G>(callable)) {}
    void call(Args... args) noexcept override { call_(std::forward<Args>(args)...); }
    F call_;
  };

  std::unique_ptr<target> target_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_HOOK_HPP

// ---- <mailroom/core/status.hpp>

#ifndef MAILROOM_CORE_STATUS_HPP
#define MAILROOM_CORE_STATUS_HPP

// What an operation answers: a status, or a message and else a status.
//
// The state of a queue is never an exception. The first six statuses are those of P0260R20,
// Concurrent Queues, with its meanings.
//
// Decision: expected is a type of ours in every language mode, so that a C++20 and a C++23 unit of
//   one program agree about the type that an operation returns. It converts to std::expected.
// Decision: error() of an expected that holds a value answers E{}, which for queue_status is
//   success, where std::expected is undefined: a question about a status deserves a true answer.

#include <memory>      // addressof, construct_at, destroy_at
#include <string_view> // string_view
#include <type_traits> // is_copy_constructible, is_nothrow_move_constructible
#include <utility>     // forward, move
#include <version>     // __cpp_lib_expected

#if defined(__cpp_lib_expected)
#include <expected> // expected, unexpected
#endif

namespace mailroom::inline MAILROOM_ABI {

enum class [[nodiscard]] queue_status : unsigned char {
  success = 0,
  empty,
  full,
  closed,
  busy,       ///< somebody else is in the middle of an operation: retry; never empty, never full
  busy_async, ///< reserved for P0260's asynchronous operations
  timeout,    ///< the deadline came first
  stopped,    ///< a stop token ended the wait
  dropped,    ///< the overflow policy discarded the new message
  lagged,     ///< a reader was overtaken
};

/// The name of a status, as it is written in the program.
constexpr std::string_view to_string(queue_status status) noexcept {
  switch (status) {
  case queue_status::success: return "success";
  case queue_status::empty: return "empty";
  case queue_status::full: return "full";
  case queue_status::closed: return "closed";
  case queue_status::busy: return "busy";
  case queue_status::busy_async: return "busy_async";
  case queue_status::timeout: return "timeout";
  case queue_status::stopped: return "stopped";
  case queue_status::dropped: return "dropped";
  case queue_status::lagged: return "lagged";
  }
  return "unknown";
}

/// The reason why there is no value, on its way into an expected.
template <class E>
struct unexpected {
  E error;
};
template <class E>
unexpected(E) -> unexpected<E>;

namespace detail {

/// Chooses the constructor of expected that takes a message out of a queue.
struct take_t {
  explicit take_t() = default;
};
inline constexpr take_t take{};

} // namespace detail

/// A T, or the reason why there is none. Operations of one object are not synchronised.
template <class T, class E>
class [[nodiscard]] expected {
  static constexpr bool nothrow_move = std::is_nothrow_move_constructible_v<T>;

public:
  using value_type = T;
  using error_type = E;

  expected(T&& value) noexcept(nothrow_move) : value_(std::move(value)), has_value_{true} {}
  expected(const T& value) : value_(value), has_value_{true} {}
  expected(unexpected<E> reason) noexcept : error_{reason.error}, has_value_{false} {}

  /// Moves `from` in and then, only if that did not throw, calls `commit`, which ends the life of
  /// what was moved from. This is how a queue gives a message away without a moment to lose it in.
  template <class Commit>
  expected(detail::take_t, T& from, Commit&& commit) noexcept(nothrow_move)
      : value_(std::move(from)), has_value_{true} {
    std::forward<Commit>(commit)();
  }
  /// The same for a message that others still read: it is copied.
  template <class Commit>
  expected(detail::take_t, const T& from,
           Commit&& commit) noexcept(std::is_nothrow_copy_constructible_v<T>)
      : value_(from), has_value_{true} {
    std::forward<Commit>(commit)();
  }

  expected(expected&& other) noexcept(nothrow_move) : has_value_{other.has_value_} {
    adopt(std::move(other));
  }
  expected(const expected& other)
    requires std::is_copy_constructible_v<T>
      : has_value_{other.has_value_} {
    adopt(other);
  }
  expected& operator=(expected&& other) noexcept(nothrow_move) {
    if (this != &other) replace(std::move(other));
    return *this;
  }
  expected& operator=(const expected& other)
    requires std::is_copy_constructible_v<T>
  {
    if (this != &other) replace(expected(other));
    return *this;
  }
  ~expected() { end(); }

  constexpr bool has_value() const noexcept { return has_value_; }
  constexpr explicit operator bool() const noexcept { return has_value_; }

  /// The value. There must be one.
  T& operator*() & noexcept { return value_; }
  T&& operator*() && noexcept { return std::move(value_); }
  const T& operator*() const& noexcept { return value_; }
  T* operator->() noexcept { return std::addressof(value_); }
  const T* operator->() const noexcept { return std::addressof(value_); }

  /// The reason, or E{} when there is a value.
  E error() const noexcept { return has_value_ ? E{} : error_; }

  /// The value, or the given one instead.
  template <class U>
  T value_or(U&& instead) && {
    return has_value_ ? std::move(value_) : static_cast<T>(std::forward<U>(instead));
  }
  template <class U>
  T value_or(U&& instead) const& {
    return has_value_ ? value_ : static_cast<T>(std::forward<U>(instead));
  }

#if defined(__cpp_lib_expected)
  operator std::expected<T, E>() && {
    if (has_value_) return std::move(value_);
    return std::unexpected<E>{error_};
  }
#endif

private:
  template <class Other>
  void adopt(Other&& other) {
    if (has_value_) {
      std::construct_at(std::addressof(value_), std::forward<Other>(other).value_);
    } else {
      std::construct_at(std::addressof(error_), other.error_);
    }
  }
  /// What replaces the value may be a part of it, so it is taken out first.
  void replace(expected&& other) noexcept(nothrow_move) {
    expected kept(std::move(other));
    end();
    has_value_ = false; // what a throwing move leaves behind
    std::construct_at(std::addressof(error_), kept.error());
    if (!kept.has_value_) return;
    std::construct_at(std::addressof(value_), std::move(kept.value_));
    has_value_ = true;
  }
  void end() noexcept {
    if (has_value_) std::destroy_at(std::addressof(value_));
  }

  union {
    T value_;
    E error_;
  };
  bool has_value_;
};

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_CORE_STATUS_HPP

// ---- <mailroom/core/concepts.hpp>

#ifndef MAILROOM_CORE_CONCEPTS_HPP
#define MAILROOM_CORE_CONCEPTS_HPP

// What may travel, what may stop a wait, and what a queue promises.
//
// A guarantee is a fact that a program can ask for, not a word in a manual:
//
//      static_assert(queue_facts<Q>::push_progress == progress::lock_free);
//
// Sources: P0260R20, C++ Concurrent Queues (the three concepts of a queue that closes).

#include <concepts>    // constructible_from, convertible_to, copyable, destructible, same_as
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <optional>    // optional
#include <type_traits> // is_object, is_const, is_volatile, is_array
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI {

/// What may travel: an object that can be moved and destroyed. It needs no default constructor,
/// and no value is reserved.
template <class T>
concept message = std::is_object_v<T> && !std::is_const_v<T> && !std::is_volatile_v<T> &&
                  !std::is_array_v<T> && std::move_constructible<T> && std::destructible<T>;

/// A message whose move cannot fail, so that it can always be handed back.
template <class T>
concept nothrow_message = message<T> && std::is_nothrow_move_constructible_v<T>;

/// What a message can be made of, from a range that may not fit whole: an element that does not fit
/// must still be there. It is copied or converted from a value that stays, or it is a message
/// itself, whose move can be undone.
template <class Element, class T>
concept range_element = std::constructible_from<T, Element> &&
                        (!std::is_rvalue_reference_v<Element> ||
                         (std::same_as<Element, T&&> && std::is_nothrow_move_constructible_v<T>));

/// A callable that takes a message.
template <class F, class T>
concept message_handler = requires(F& handler, T&& value) { handler(std::move(value)); };

/// Any stop token of the std::stop_token family; <stop_token> itself is not needed.
template <class S>
concept stoppable_token = std::copyable<S> && requires(const S& token) {
  { token.stop_requested() } noexcept -> std::convertible_to<bool>;
  { token.stop_possible() } noexcept -> std::convertible_to<bool>;
};

/// The token of a wait that nobody stops.
struct never_stop {
  static constexpr bool stop_requested() noexcept { return false; }
  static constexpr bool stop_possible() noexcept { return false; }
};

/// How many threads may be at one end of a queue at a time.
enum class arity : unsigned char { one, many };

/// Whose order a queue keeps.
enum class ordering : unsigned char { fifo, fifo_per_producer };

/// What a thread that stands still in the middle of an operation does to the others.
enum class progress : unsigned char {
  wait_free,        ///< nothing: every call ends after a bounded number of steps of its own
  lock_free,        ///< nothing: somebody's call always ends
  obstruction_free, ///< a call that runs alone ends
  blocking,         ///< others may have to wait for it
};

/// What queue Q promises. Specialised beside each queue, with the members
///   arity producers, consumers;  ordering order;  progress push_progress, pop_progress;
///   bool bounded;  bool sequentially_consistent (push and pop publish by a seq_cst
///   read-modify-write, so that whoever looks for a sleeper afterwards needs no fence).
template <class Q>
struct queue_facts;

/// A queue that never waits.
template <class Q>
concept queue =
    message<typename Q::value_type> && requires(Q& q, const Q& c, typename Q::value_type&& value) {
      { q.try_push(std::move(value)) } -> std::same_as<queue_status>;
      { q.try_pop() } -> std::same_as<expected<typename Q::value_type, queue_status>>;
      { c.size_approx() } noexcept -> std::same_as<std::size_t>;
      { c.capacity() } noexcept -> std::same_as<std::size_t>;
      { c.pushed() } noexcept -> std::convertible_to<std::uint64_t>;
      { c.popped() } noexcept -> std::convertible_to<std::uint64_t>;
      { queue_facts<Q>::producers } -> std::convertible_to<arity>;
      { queue_facts<Q>::consumers } -> std::convertible_to<arity>;
    };

/// P0260: a queue that can be closed, and is used without waiting.
template <class Q>
concept basic_concurrent_queue = requires(Q& q, const Q& c, typename Q::value_type&& value) {
  { c.is_closed() } noexcept -> std::same_as<bool>;
  { q.close() } noexcept -> std::same_as<void>;
  { q.try_push(std::move(value)) } -> std::same_as<queue_status>;
  { q.try_pop() } -> std::same_as<expected<typename Q::value_type, queue_status>>;
};

/// P0260: the same, with operations that wait.
template <class Q>
concept concurrent_queue =
    basic_concurrent_queue<Q> && requires(Q& q, typename Q::value_type&& value) {
      { q.push(std::move(value)) } -> std::same_as<bool>;
      { q.pop() } -> std::same_as<std::optional<typename Q::value_type>>;
    };

/// What a coroutine can wait for; <coroutine> itself is not needed.
template <class A>
concept awaitable = requires(A&& a) { std::forward<A>(a).operator co_await(); } || requires(A& a) {
  { a.await_ready() } -> std::convertible_to<bool>;
  a.await_resume();
};

/// P0260: a queue that can be closed, with operations that a coroutine waits for.
template <class Q>
concept async_concurrent_queue =
    basic_concurrent_queue<Q> && requires(Q& q, typename Q::value_type&& value) {
      { q.async_push(std::move(value)) } noexcept -> awaitable;
      { q.async_pop() } noexcept -> awaitable;
    };

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_CORE_CONCEPTS_HPP

// ---- <mailroom/core/wait.hpp>

#ifndef MAILROOM_CORE_WAIT_HPP
#define MAILROOM_CORE_WAIT_HPP

// How a thread waits in a mailbox. The policy is the third template parameter of mailbox.
//
// Use it       as it comes: park. A waiting thread then costs nothing.
// Instead use  spin when a core is yours and nothing but the answer matters: nobody ever makes a
//              system call, and a push need not look for sleepers;
//              yield when threads share cores and none may sleep;
//              park_fenced where cores are kept free of interrupts.

namespace mailroom::inline MAILROOM_ABI::wait_policy {

struct spin {};  ///< looks again, with a pause between
struct yield {}; ///< looks a few times, then lets another thread run between looks
struct park {};  ///< looks a few times, then sleeps in the kernel until there is something to do

/// As park, but never interrupts another core. Over spsc_queue, park lets who goes to sleep pass a
/// fence for all threads (membarrier), which costs a core that is in the middle of something
/// else a microsecond; here every push and pop passes one for itself.
struct park_fenced {};

} // namespace mailroom::inline MAILROOM_ABI::wait_policy

#endif // MAILROOM_CORE_WAIT_HPP

// ---- <mailroom/core/clock.hpp>

#ifndef MAILROOM_CORE_CLOCK_HPP
#define MAILROOM_CORE_CLOCK_HPP

// Deadlines: every timed operation waits for a point in time on the steady clock.
//
// A duration becomes a deadline once, at the beginning of the call. Huge durations, and
// time_point::max(), become the deadline that never comes instead of overflowing; negative ones
// have passed already: the operation is tried, but does not wait.
//
// A time point of another clock, such as the system clock, can move while a thread waits for it. A
// deadline keeps such a time point, and expired() asks that clock again: a wait that ends early
// because the clock was set back goes on.

#include <chrono>      // duration, time_point, steady_clock
#include <ratio>       // nano, ratio_divide
#include <type_traits> // is_integral

namespace mailroom::inline MAILROOM_ABI::detail {

/// Converts to nanoseconds, rounding up; what does not fit becomes the nearest that does.
template <class Rep, class Period>
constexpr nanoseconds to_nanoseconds(const std::chrono::duration<Rep, Period>& span) noexcept {
  using wide = std::chrono::duration<long double, std::nano>;
  using factor = std::ratio_divide<Period, std::nano>;
  constexpr long double most = 9.2e18L; // a little less than fits
  const long double wanted = wide{span}.count();
  if (!(wanted < most)) return never; // also what is not a number: it never comes
  if (wanted <= -most) return -never;
  if constexpr (std::is_integral_v<Rep> && factor::den == 1) {
    return static_cast<nanoseconds>(span.count()) * static_cast<nanoseconds>(factor::num);
  } else {
    const auto below = static_cast<nanoseconds>(wanted);
    return static_cast<long double>(below) < wanted ? below + 1 : below;
  }
}

/// The point `span` nanoseconds after `start`, or never.
constexpr nanoseconds later(nanoseconds start, nanoseconds span) noexcept {
  if (span == never) return never;
  if (span > 0 && start > never - span) return never;
  return start + span;
}

/// A wait without a deadline.
struct no_deadline {
  static constexpr nanoseconds wake_at() noexcept { return never; }
  static constexpr bool expired() noexcept { return false; }
};

/// A point on the steady clock.
class steady_deadline {
public:
  template <class Rep, class Period>
  explicit steady_deadline(const std::chrono::duration<Rep, Period>& from_now) noexcept
      : at_{later(now(), to_nanoseconds(from_now))} {}
  template <class Duration>
  explicit steady_deadline(
      const std::chrono::time_point<std::chrono::steady_clock, Duration>& point) noexcept
      : at_{to_nanoseconds(point.time_since_epoch())} {}

  /// When a sleeper should look again.
  nanoseconds wake_at() const noexcept { return at_; }
  bool expired() const noexcept { return at_ != never && now() >= at_; }

private:
  nanoseconds at_;
};

/// A point on any other clock: it is asked again before a wait is given up.
template <class Clock>
class clock_deadline {
public:
  template <class Duration>
  explicit clock_deadline(const std::chrono::time_point<Clock, Duration>& point) noexcept
      : at_{point == point.max() ? never : to_nanoseconds(point.time_since_epoch())} {}

  nanoseconds wake_at() const {
    const nanoseconds current = clock_now();
    if (at_ == never) return never;
    if (at_ <= current) return 0;
    return later(now(), current < 0 && at_ > never + current ? never : at_ - current);
  }
  bool expired() const { return at_ != never && clock_now() >= at_; }

private:
  static nanoseconds clock_now() { return to_nanoseconds(Clock::now().time_since_epoch()); }

  nanoseconds at_; // on Clock
};

/// The deadline for a time point of any clock.
template <class Duration>
auto deadline_at(const std::chrono::time_point<std::chrono::steady_clock, Duration>& point) {
  return steady_deadline{point};
}
template <class Clock, class Duration>
auto deadline_at(const std::chrono::time_point<Clock, Duration>& point) {
  return clock_deadline<Clock>{point};
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_CORE_CLOCK_HPP

// ---- <mailroom/queue/index_ring.hpp>

#ifndef MAILROOM_QUEUE_INDEX_RING_HPP
#define MAILROOM_QUEUE_INDEX_RING_HPP

// Slots between one writer and one reader, who tell each other how far they are by two positions.
//
// spsc_queue builds on it where messages are large. Where they are small, line_ring.hpp is used,
// which has the same members.
//
// Position p lives in slot p & mask. Both positions only grow.
//
//              head (the reader's)     tail (the writer's)
//                v                       v
//      . . . . . a  b  c  d  e  f  g  h  . . . .
//
// Invariants
//   (I1)  0 <= tail - head <= capacity, in unsigned arithmetic; the positions may wrap
//   (I2)  the slots of [head, tail) hold a message; all others are raw storage
//   (I3)  only the writer writes tail, limit and its own copy of tail, written; only the reader
//         head, seen_tail and its own copy of head, read
//   (I4)  limit <= head + capacity and seen_tail <= tail: a stale copy can only err towards looking
//         again
//   (I5)  written() tells a number, not what is in the slots; that it is not below read() comes
//         from (E)
//
// Memory order: two edges carry everything between the threads.
//   (F)   filled:  the writer stores tail -> the reader loads it and sees the messages built.
//   (E)   emptied: the reader stores head -> the writer loads it and sees the slots empty.
//
// Decision: neither side reads the position that it shares: the other side's looking takes the line
//   away, and its owner would have to get it back to learn its own number. Each keeps a copy on a
//   line of its own.
// Decision: the writer asks for the cache lines that it will write next. To write to a line takes
//   it from the reader, and that is what the writer waits for.
//
// Sources: Lamport, Specifying Concurrent Program Modules, TOPLAS 1983 (the ring); Le, Guatto,
// Cohen, Pop, Correct and Efficient Bounded FIFO Queues, SBAC-PAD 2013 (the orders and the copies).

#include <cstddef> // size_t
#include <cstdint> // uint64_t
#include <span>    // span

namespace mailroom::inline MAILROOM_ABI::detail {

template <class T, std::size_t Capacity, class Allocator>
class index_ring {
public:
  class writer;
  class reader;

  /// Throws    what the allocator throws
  index_ring(std::size_t capacity, const Allocator& allocator, std::uint64_t first)
      : capacity_{capacity}, cells_{slots_for(capacity), allocator}, written_{first},
        limit_{first + capacity}, tail_{first}, read_{first}, seen_tail_{first}, head_{first} {}

  std::size_t capacity() const noexcept { return capacity_; }

  /// How many messages were ever published, and how many slots were ever given back.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  std::uint64_t written() const noexcept { return tail_.load(memory_order::relaxed); } // (I5)
  std::uint64_t read() const noexcept { return head_.load(memory_order::acquire); }    // (E)

private:
  static constexpr std::size_t slots =
      Capacity == dynamic_capacity ? dynamic_capacity : slots_for(Capacity);
  static constexpr std::size_t cells_ahead = larger_of<std::size_t>(4 * line_bytes / sizeof(T), 1);

  cell<T>* slot(std::uint64_t at) noexcept { return &cells_[index(at)]; }
  std::size_t index(std::uint64_t at) const noexcept {
    return static_cast<std::size_t>(at) & (cells_.size() - 1);
  }
  /// The slots of [at, end) that stand in one piece.
  std::span<cell<T>> piece(std::uint64_t at, std::uint64_t end) noexcept {
    const std::uint64_t before_wrap = cells_.size() - index(at);
    return {slot(at), static_cast<std::size_t>(smaller_of(end - at, before_wrap))};
  }

  // Constant after construction, but for the cells.
  const std::size_t capacity_;
  storage<cell<T>, slots, Allocator> cells_;

  // The writer's lines: its own, and the one that it shares.
  alignas(cache_line) std::uint64_t written_;
  std::uint64_t limit_;
  alignas(cache_line) atomic<std::uint64_t> tail_;

  // The reader's lines.
  alignas(cache_line) std::uint64_t read_;
  std::uint64_t seen_tail_;
  alignas(cache_line) atomic<std::uint64_t> head_;
};

/// One call of the writer. What it has built is published, once, when it goes out of scope.
template <class T, std::size_t Capacity, class Allocator>
class index_ring<T, Capacity, Allocator>::writer {
public:
  explicit writer(index_ring& ring) noexcept : ring_{ring}, from_{ring.written_}, at_{from_} {}
  writer(const writer&) = delete;
  writer& operator=(const writer&) = delete;
  ~writer() {
    if (at_ == from_) return;
    ring_.written_ = at_;
    ring_.tail_.store(at_, memory_order::release); // (F)
  }

  /// Whether the ring is not full; looks at the reader only when it seems to be.
  bool has_room() noexcept {
    if (at_ == ring_.limit_) {
      ring_.limit_ = ring_.head_.load(memory_order::acquire) + ring_.capacity_; // (E)
      if (at_ == ring_.limit_) return false;
    }
    prefetch_for_write(ring_.slot(at_ + cells_ahead));
    return true;
  }

  /// The raw cell for the next message, when there is room.
  cell<T>& next() noexcept { return *ring_.slot(at_); }

  /// The same for several messages, in order: those that stand in one piece. There may be more
  /// behind them. Looks as has_room does.
  std::span<cell<T>> room() noexcept {
    if (!has_room()) return {};
    return ring_.piece(at_, ring_.limit_);
  }

  /// The next `count` of these cells hold a message now.
  void built(std::size_t count) noexcept { at_ += count; }

private:
  index_ring& ring_;
  const std::uint64_t from_;
  std::uint64_t at_;
};

/// One call of the reader. What it has taken is given back, once, when it goes out of scope.
template <class T, std::size_t Capacity, class Allocator>
class index_ring<T, Capacity, Allocator>::reader {
public:
  explicit reader(index_ring& ring) noexcept : ring_{ring}, from_{ring.read_}, at_{from_} {}
  reader(const reader&) = delete;
  reader& operator=(const reader&) = delete;
  ~reader() {
    if (at_ == from_) return;
    ring_.read_ = at_;
    ring_.head_.store(at_, memory_order::release); // (E)
  }

  /// Whether the ring is not empty; looks at the writer only when it seems to be.
  bool has_message() noexcept {
    if (at_ != ring_.seen_tail_) return true;
    ring_.seen_tail_ = ring_.tail_.load(memory_order::acquire); // (F)
    return at_ != ring_.seen_tail_;
  }

  /// The next message, when there is one.
  cell<T>& next() noexcept { return *ring_.slot(at_); }

  /// The same for several messages, in order: those that stand in one piece. There may be more
  /// behind them. Looks as has_message does.
  std::span<cell<T>> ready() noexcept {
    if (!has_message()) return {};
    return ring_.piece(at_, ring_.seen_tail_);
  }

  /// The next `count` of these cells are empty now.
  void taken(std::size_t count) noexcept { at_ += count; }

private:
  index_ring& ring_;
  const std::uint64_t from_;
  std::uint64_t at_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_QUEUE_INDEX_RING_HPP

// ---- <mailroom/queue/line_ring.hpp>

#ifndef MAILROOM_QUEUE_LINE_RING_HPP
#define MAILROOM_QUEUE_LINE_RING_HPP

// Slots between one writer and one reader, packed into lines that carry their own news.
//
// spsc_queue builds on it where several messages fit into a cache line. Where they do not,
// index_ring.hpp is used, which has the same members.
//
// A line is what travels between two cores at a time: some messages, and how far they are written.
// So a message and the news of it arrive together; the reader looks at no other word of the
// writer's. (With a shared position, the position travels first and the message after it.)
//
//      +-----------------------------+-----------------------------+----
//      | a  b  c  d  e  f  g | end 7 | h  i  j  .  .  .  . | end 10| ...
//      +-----------------------------+-----------------------------+----
//         ^ head (the reader's)                  ^ tail (the writer's)
//
// Invariants
//   (I1)  0 <= tail - head <= capacity <= slots, in unsigned arithmetic; the positions may wrap
//   (I2)  the slots of [head, tail) hold a message; all others are raw storage
//   (I3)  only the writer writes tail, back and limit; only the reader head, read (its own copy of
//         head), front and seen_end. A thread that reads what only it writes needs no order, and
//         nobody but the constructor writes before there are two
//   (I4)  limit <= head + capacity and seen_end <= the end of the first line: a stale copy can only
//         err towards looking again
//   (I5)  written() tells a number, not what is in the slots; that it is not below read() comes
//         from (F) and (E): tail is stored before the end that a reader follows
//   (I6)  a line's end only grows. Seen from head in that line it is of an earlier lap (at most
//         head), of this one, or of the next, and then the line was filled before: by (I1) no slot
//         of it is written again before head has left that slot
//
// Memory order: two edges carry everything between the threads.
//   (F)   filled:  the writer stores a line's end -> the reader loads it and sees the messages.
//   (E)   emptied: the reader stores head -> the writer loads it and sees the slots empty.
//
// Decision: the reader tells of every message that it took, not of every line, so that there is
//   room exactly when there should be. It costs a store to a line of its own, which the writer
//   reads only when the ring looks full.
// Decision: the reader does not read head, for the writer's looking takes that line away.
// Decision: as many lines as the capacity needs, no power of two: neither side divides, because
//   each keeps the place where it is.
// Decision: the writer asks early for the line that it will need next but one: to write to a line
//   takes it from the reader.
// Decision: what happens once in a line is a function of its own. What is left of a push is then
//   small enough for compilers to put it where it is called, with -O2 as well.
//
// Sources: Giacomoni, Moseley, Vachharajani, FastForward for Efficient Pipeline Parallelism, PPoPP
// 2008 (slots that say themselves whether they are full); index_ring.hpp for the rest.

#include <cstddef> // size_t
#include <cstdint> // int64_t, uint64_t
#include <span>    // span

namespace mailroom::inline MAILROOM_ABI::detail {

template <class T, std::size_t Capacity, class Allocator>
class line_ring {
public:
  class writer;
  class reader;

  /// How many messages a line has room for, beside the word that tells how far they are written.
  static constexpr std::size_t cells_in_line = (line_bytes - sizeof(std::uint64_t)) / sizeof(T);

  /// Throws    what the allocator throws
  line_ring(std::size_t capacity, const Allocator& allocator, std::uint64_t first)
      : capacity_{capacity}, lines_{lines_for(capacity), allocator}, tail_{first},
        limit_{first + capacity}, back_{begin_}, read_{first}, seen_end_{first}, front_{begin_},
        head_{first} {
    for (std::size_t i = 0; i != lines_.size(); ++i) {
      lines_[i].end.store(first, memory_order::relaxed); // (I3)
    }
  }

  std::size_t capacity() const noexcept { return capacity_; }

  /// How many messages were ever published, and how many slots were ever given back.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  std::uint64_t written() const noexcept { return tail_.load(memory_order::relaxed); } // (I5)
  std::uint64_t read() const noexcept { return head_.load(memory_order::acquire); }    // (E)

private:
  struct alignas(line_bytes) line {
    cell<T> cells[cells_in_line];
    atomic<std::uint64_t> end; ///< the position behind the last message written here
  };

  static constexpr std::size_t lines_for(std::size_t capacity) noexcept {
    return capacity / cells_in_line + (capacity % cells_in_line != 0);
  }
  static constexpr std::size_t lines =
      Capacity == dynamic_capacity ? dynamic_capacity : lines_for(Capacity);

  line* behind(line* last) noexcept { return last + 1 == end_ ? begin_ : last + 1; }
  void publish(line* last, std::uint64_t end) noexcept {
    tail_.store(end, memory_order::relaxed);     // (I5)
    last->end.store(end, memory_order::release); // (F)
  }
  line* begin_next_line(std::uint64_t end) noexcept;

  // Constant after construction, but for the lines.
  const std::size_t capacity_;
  storage<line, lines, Allocator> lines_;
  line* const begin_ = &lines_[0];
  line* const end_ = &lines_[0] + lines_.size();

  // The writer's line.
  alignas(cache_line) atomic<std::uint64_t> tail_;
  std::uint64_t limit_;
  line* back_;
  std::uint32_t back_cell_ = 0;

  // The reader's line, and what it tells the writer.
  alignas(cache_line) std::uint64_t read_;
  std::uint64_t seen_end_;
  line* front_;
  std::uint32_t front_cell_ = 0;
  alignas(cache_line) atomic<std::uint64_t> head_;
};

/// The writer's line is full; the positions before `end` are filled.
template <class T, std::size_t Capacity, class Allocator>
auto line_ring<T, Capacity, Allocator>::begin_next_line(std::uint64_t end) noexcept -> line* {
  publish(back_, end);
  back_ = behind(back_);
  back_cell_ = 0;
  prefetch_for_write(behind(behind(back_)));
  return back_;
}

/// One call of the writer. What it has built is published line by line, the last when it goes out
/// of scope.
template <class T, std::size_t Capacity, class Allocator>
class line_ring<T, Capacity, Allocator>::writer {
public:
  explicit writer(line_ring& ring) noexcept
      : ring_{ring}, at_{ring.tail_.load(memory_order::relaxed)}, // (I3)
        line_{ring.back_}, from_{ring.back_cell_}, cell_{from_} {}
  writer(const writer&) = delete;
  writer& operator=(const writer&) = delete;
  ~writer() {
    if (cell_ == from_) return;
    ring_.publish(line_, at_);
    ring_.back_cell_ = cell_;
  }

  /// Whether the ring is not full; looks at the reader only when it seems to be.
  bool has_room() noexcept {
    if (at_ != ring_.limit_) return true;
    ring_.limit_ = ring_.head_.load(memory_order::acquire) + ring_.capacity_; // (E)
    return at_ != ring_.limit_;
  }

  /// The raw cell for the next message, when there is room.
  cell<T>& next() noexcept { return line_->cells[cell_]; }

  /// The same for several messages, in order: those that stand in one piece. There may be more
  /// behind them. Looks as has_room does.
  std::span<cell<T>> room() noexcept {
    if (!has_room()) return {};
    const std::size_t in_line = cells_in_line - cell_;
    const std::uint64_t free = smaller_of<std::uint64_t>(in_line, ring_.limit_ - at_);
    return {&next(), static_cast<std::size_t>(free)};
  }

  /// The next `count` of these cells hold a message now.
  void built(std::size_t count) noexcept {
    at_ += count;
    cell_ += static_cast<std::uint32_t>(count);
    if (cell_ != cells_in_line) return;
    line_ = ring_.begin_next_line(at_);
    cell_ = from_ = 0;
  }

private:
  line_ring& ring_;
  std::uint64_t at_;
  line* line_;
  std::uint32_t from_;
  std::uint32_t cell_;
};

/// One call of the reader. What it has taken is given back, once, when it goes out of scope.
template <class T, std::size_t Capacity, class Allocator>
class line_ring<T, Capacity, Allocator>::reader {
public:
  explicit reader(line_ring& ring) noexcept
      : ring_{ring}, from_{ring.read_}, at_{from_}, line_{ring.front_}, cell_{ring.front_cell_} {}
  reader(const reader&) = delete;
  reader& operator=(const reader&) = delete;
  ~reader() {
    if (at_ == from_) return;
    ring_.read_ = at_;
    ring_.front_cell_ = cell_;
    ring_.head_.store(at_, memory_order::release); // (E)
  }

  /// Whether the ring is not empty; looks at the writer only when it seems to be.
  bool has_message() noexcept { return at_ != ring_.seen_end_ || look(); }

  /// The next message, when there is one.
  cell<T>& next() noexcept { return line_->cells[cell_]; }

  /// The same for several messages, in order: those that stand in one piece. There may be more
  /// behind them. Looks as has_message does.
  std::span<cell<T>> ready() noexcept {
    if (!has_message()) return {};
    return {&next(), static_cast<std::size_t>(ring_.seen_end_ - at_)};
  }

  /// The next `count` of these cells are empty now.
  void taken(std::size_t count) noexcept {
    at_ += count;
    cell_ += static_cast<std::uint32_t>(count);
    if (cell_ != cells_in_line) return;
    line_ = ring_.front_ = ring_.behind(line_);
    cell_ = 0;
  }

private:
  bool look() noexcept {
    const std::uint64_t end = line_->end.load(memory_order::acquire); // (F)
    const std::uint64_t last = at_ + (cells_in_line - cell_);
    if (static_cast<std::int64_t>(end - at_) <= 0) return false; // (I6)
    ring_.seen_end_ = static_cast<std::int64_t>(end - last) < 0 ? end : last;
    return true;
  }

  line_ring& ring_;
  const std::uint64_t from_;
  std::uint64_t at_;
  line* line_;
  std::uint32_t cell_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_QUEUE_LINE_RING_HPP

// ---- <mailroom/queue/spsc_queue.hpp>

#ifndef MAILROOM_QUEUE_SPSC_QUEUE_HPP
#define MAILROOM_QUEUE_SPSC_QUEUE_HPP

// A bounded queue from one producer thread to one consumer thread.
//
// Use it       when one thread only pushes and one thread only pops.
// Instead use  mpmc_queue when either side has more than one thread;
//              mailbox when somebody should sleep until there is a message or room.
//
// Two rings have the same members, and the size of a message decides which one is used.
// line_ring.hpp packs messages of up to 16 bytes into cache lines that carry their own news;
// index_ring.hpp is the classical ring with two positions. There is the proof and there are the
// memory orders; this is what one calls.
//
// Invariants
//   (I1)  capacity is exactly what was asked for: full and empty are told from the positions of
//         both sides, and each side looks again before it says so
//   (I2)  what a call has built or taken is told to the other side when the call ends, also when it
//         ends by an exception
//
// Decision: two rings, and no more. A line saves the transfer of a position for each few messages,
//   which counts most where the cores are far apart; a message that fills a line by itself would
//   need a second one for the word beside it, which is what the position costs.
// Decision: what moves one message says inline. Without that g++ calls it wherever a program has a
//   few such places, and the message goes through memory: that costs as much as the queue does.
// Decision: if an iterator or a constructor throws in the middle of a range, what was taken before
//   is published: an input iterator cannot give it back.

#include <concepts>    // constructible_from, copy_constructible, assignable_from
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <iterator>    // input_iterator, sentinel_for, output_iterator, make_move_iterator
#include <memory>      // addressof, allocator
#include <span>        // span
#include <type_traits> // conditional, is_invocable_r, is_nothrow_constructible, ...
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI {

template <message T, std::size_t Capacity = dynamic_capacity, class Allocator = std::allocator<T>>
class spsc_queue {
  static_assert(Capacity != 0, "mailroom: a queue needs a capacity of at least 1");

public:
  using value_type = T;
  using size_type = std::size_t;
  using allocator_type = Allocator;

  /// Makes an empty queue whose slots are inside the object. Throws nothing.
  spsc_queue()
    requires(Capacity != dynamic_capacity)
      : spsc_queue{Capacity, Allocator{}, 0} {}

  /// Makes an empty queue for exactly `capacity` messages; allocates once, and never again.
  ///
  /// Throws    std::invalid_argument for 0, std::length_error for too many, and what the
  ///           allocator throws
  explicit spsc_queue(std::size_t capacity, const Allocator& allocator = {})
    requires(Capacity == dynamic_capacity)
      : spsc_queue{detail::checked_capacity(capacity), allocator, 0} {}

  /// Destroys the messages still inside, first in first.
  ///
  /// Caller    anyone, once both threads have stopped using the queue
  ~spsc_queue();

  spsc_queue(const spsc_queue&) = delete;
  spsc_queue& operator=(const spsc_queue&) = delete;

  // ---- The producer

  /// Puts a message at the back.
  ///
  /// Caller    the producer
  /// Progress  wait-free
  /// Cost      O(1): one release store, and one acquire load when the queue looks full
  /// Throws    what T's constructor throws; queue and argument are then as that left them
  /// Orders    all before a successful call happens before the return of the pop that takes it
  /// Returns   success, or full and the argument untouched: pops that happen before the call are
  ///           always seen, a pop in flight may not be
  queue_status try_push(const T& value)
    requires std::copy_constructible<T>
  {
    return try_emplace(value);
  }
  queue_status try_push(T&& value) { return try_emplace(std::move(value)); }

  /// Builds a message at the back, in its slot. Everything else is as for try_push; the arguments
  /// are not touched unless there is room.
  template <class... Args>
    requires std::constructible_from<T, Args...>
  queue_status try_emplace(Args&&... args) noexcept(std::is_nothrow_constructible_v<T, Args...>);

  /// Puts as many messages of [first, last) at the back as fit, at most capacity().
  ///
  /// Caller    the producer
  /// Progress  wait-free, if the iterator is
  /// Cost      O(messages taken): one release store, or one for each cache line
  /// Throws    what the iterator or T's constructor throws; the messages before are in the queue
  /// Returns   the first element that was not taken
  template <std::input_iterator I, std::sentinel_for<I> S>
    requires std::constructible_from<T, std::iter_reference_t<I>>
  I try_push_range(I first, S last);

  /// Moves as many messages from the beginning of the run as fit. Otherwise as try_push_range.
  ///
  /// Returns   the rest, untouched
  std::span<T> try_move_range(std::span<T> messages);

  /// Lets `fill(place, n)` build up to n messages in raw storage for T[n], from the first on, and
  /// publishes them. n is at most `max`, and often less: the slots up to the end of a line, or of
  /// the ring. fill says how many it has built; if it throws, it has destroyed them.
  ///
  /// Caller    the producer
  /// Progress  wait-free, if fill is
  /// Cost      one release store
  /// Throws    what `fill` throws; the queue is then as before
  /// Returns   how many were built; 0 when the queue is full, without a call of fill
  template <class F>
    requires std::is_invocable_r_v<std::size_t, F&, T*, std::size_t>
  size_type try_write_n(size_type max, F&& fill);

  // ---- The consumer

  /// Takes the message at the front.
  ///
  /// Caller    the consumer
  /// Progress  wait-free
  /// Cost      O(1): one release store, and one acquire load when the queue looks empty
  /// Throws    what T's move constructor throws; the message then is still in the queue
  /// Orders    see try_push
  /// Returns   the message, or empty: pushes that happen before the call are always seen, a push
  ///           in flight may not be
  expected<T, queue_status> try_pop() noexcept(std::is_nothrow_move_constructible_v<T>);

  /// The same by assignment: `into` is untouched unless the answer is success.
  ///
  /// Throws    what T's move assignment throws; the message then is still in the queue
  queue_status try_pop(T& into) noexcept(std::is_nothrow_move_assignable_v<T>)
    requires std::assignable_from<T&, T&&>;

  /// Takes up to `max` messages, and gives their slots back together.
  ///
  /// Caller    the consumer
  /// Progress  wait-free, if the iterator is
  /// Throws    what the assignment to `*out` throws; that message is still in the queue
  /// Returns   how many were taken
  template <std::output_iterator<T> O>
  size_type try_pop_n(O out, size_type max);

  /// Hands messages to `handler`, in place, as T&&, until there is none. The slots are given back
  /// together, so these are at most capacity(). The handler may not pop from the queue.
  ///
  /// Caller    the consumer
  /// Progress  wait-free, if the handler is
  /// Throws    what `handler` throws; the message that it was given is consumed, the others stay
  /// Returns   how many were handed over
  template <message_handler<T> F>
  size_type consume_all(F&& handler);

  /// The message at the front, which stays there; nullptr when the queue is empty.
  ///
  /// Caller    the consumer
  /// Progress  wait-free
  T* front() noexcept;

  /// Destroys the message that front() showed, and gives its slot back.
  ///
  /// Caller    the consumer, after front() answered a message
  /// Progress  wait-free
  void pop_front() noexcept;

  /// The first messages that stand in one piece, often not all; none when the queue is empty. They
  /// stay there.
  ///
  /// Caller    the consumer
  /// Progress  wait-free
  std::span<T> readable() noexcept;

  /// Destroys the first `count` of what readable() showed, and gives their slots back together.
  ///
  /// Caller    the consumer, after readable() answered at least `count` messages
  /// Progress  wait-free
  void release(size_type count) noexcept;

  // ---- Anybody

  /// How many messages there are about now, in [0, capacity()]: a hint, never a reason.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  size_type size_approx() const noexcept { return detail::approx_size(*this); }

  /// How many messages fit: exactly what was asked for.
  size_type capacity() const noexcept { return ring_.capacity(); }

  /// How many messages were ever put in, and how many were ever taken out. Exact once the threads
  /// have stopped; while they run each only grows, and popped() read first is never above pushed().
  ///
  /// Caller    anyone
  /// Progress  wait-free
  std::uint64_t pushed() const noexcept { return ring_.written(); }
  std::uint64_t popped() const noexcept { return ring_.read(); }

private:
  static constexpr bool fits_into_lines = sizeof(T) <= detail::line_bytes / 4;
  using ring = std::conditional_t<fits_into_lines, detail::line_ring<T, Capacity, Allocator>,
                                  detail::index_ring<T, Capacity, Allocator>>;
  using writer = typename ring::writer;
  using reader = typename ring::reader;
  using cells = std::span<detail::cell<T>>;

  friend struct detail::test_access;
  spsc_queue(std::size_t capacity, const Allocator& allocator, std::uint64_t first)
      : ring_{capacity, allocator, first} {}

  ring ring_;
};

template <class T, std::size_t Capacity, class Allocator>
struct queue_facts<spsc_queue<T, Capacity, Allocator>> {
  static constexpr arity producers = arity::one;
  static constexpr arity consumers = arity::one;
  static constexpr ordering order = ordering::fifo;
  static constexpr progress push_progress = progress::wait_free;
  static constexpr progress pop_progress = progress::wait_free;
  static constexpr bool bounded = true;
  static constexpr bool sequentially_consistent = false;
};

// ---- Definitions, in the order of the class

template <message T, std::size_t Capacity, class Allocator>
spsc_queue<T, Capacity, Allocator>::~spsc_queue() {
  consume_all([](T&&) noexcept {});
}

template <message T, std::size_t Capacity, class Allocator>
template <class... Args>
  requires std::constructible_from<T, Args...>
inline queue_status spsc_queue<T, Capacity, Allocator>::try_emplace(Args&&... args) noexcept(
    std::is_nothrow_constructible_v<T, Args...>) {
  writer back{ring_};
  if (!back.has_room()) return queue_status::full;
  back.next().construct(std::forward<Args>(args)...);
  back.built(1);
  return queue_status::success;
}

template <message T, std::size_t Capacity, class Allocator>
template <std::input_iterator I, std::sentinel_for<I> S>
  requires std::constructible_from<T, std::iter_reference_t<I>>
I spsc_queue<T, Capacity, Allocator>::try_push_range(I first, S last) {
  writer back{ring_};
  size_type left = capacity();
  while (left != 0 && first != last) {
    const cells room = back.room();
    if (room.empty()) break;
    for (detail::cell<T>& each : room.first(detail::smaller_of(room.size(), left))) {
      if (first == last) break;
      each.construct(*first);
      back.built(1);
      --left;
      ++first;
    }
  }
  return first;
}

template <message T, std::size_t Capacity, class Allocator>
std::span<T> spsc_queue<T, Capacity, Allocator>::try_move_range(std::span<T> messages) {
  const auto begin = std::make_move_iterator(messages.begin());
  const auto rest = try_push_range(begin, std::make_move_iterator(messages.end()));
  return messages.subspan(static_cast<std::size_t>(rest - begin));
}

template <message T, std::size_t Capacity, class Allocator>
template <class F>
  requires std::is_invocable_r_v<std::size_t, F&, T*, std::size_t>
std::size_t spsc_queue<T, Capacity, Allocator>::try_write_n(size_type max, F&& fill) {
  writer back{ring_};
  const cells room = back.room();
  const size_type most = detail::smaller_of(room.size(), max);
  if (most == 0) return 0;
  const size_type count = fill(room.front().place(), most);
  back.built(count);
  return count;
}

template <message T, std::size_t Capacity, class Allocator>
inline expected<T, queue_status>
spsc_queue<T, Capacity, Allocator>::try_pop() noexcept(std::is_nothrow_move_constructible_v<T>) {
  reader front{ring_};
  if (!front.has_message()) return unexpected{queue_status::empty};
  detail::cell<T>& cell = front.next();
  return {detail::take, cell.value(), [&] {
            cell.destroy();
            front.taken(1);
          }};
}

template <message T, std::size_t Capacity, class Allocator>
inline queue_status
spsc_queue<T, Capacity, Allocator>::try_pop(T& into) noexcept(std::is_nothrow_move_assignable_v<T>)
  requires std::assignable_from<T&, T&&>
{
  reader front{ring_};
  if (!front.has_message()) return queue_status::empty;
  detail::cell<T>& cell = front.next();
  into = std::move(cell.value());
  cell.destroy();
  front.taken(1);
  return queue_status::success;
}

template <message T, std::size_t Capacity, class Allocator>
template <std::output_iterator<T> O>
std::size_t spsc_queue<T, Capacity, Allocator>::try_pop_n(O out, size_type max) {
  reader front{ring_};
  size_type count = 0;
  while (count != max) {
    const cells ready = front.ready();
    if (ready.empty()) break;
    for (detail::cell<T>& each : ready.first(detail::smaller_of(ready.size(), max - count))) {
      *out = std::move(each.value());
      each.destroy();
      front.taken(1);
      ++count;
      ++out;
    }
  }
  return count;
}

template <message T, std::size_t Capacity, class Allocator>
template <message_handler<T> F>
std::size_t spsc_queue<T, Capacity, Allocator>::consume_all(F&& handler) {
  struct consumed {
    detail::cell<T>& cell;
    reader& front;
    ~consumed() {
      cell.destroy();
      front.taken(1);
    }
  };
  reader front{ring_};
  size_type count = 0;
  for (cells ready = front.ready(); !ready.empty(); ready = front.ready()) {
    for (detail::cell<T>& each : ready) {
      const consumed one{each, front};
      handler(std::move(each.value()));
      ++count;
    }
  }
  return count;
}

template <message T, std::size_t Capacity, class Allocator>
T* spsc_queue<T, Capacity, Allocator>::front() noexcept {
  reader front{ring_};
  return front.has_message() ? std::addressof(front.next().value()) : nullptr;
}

template <message T, std::size_t Capacity, class Allocator>
void spsc_queue<T, Capacity, Allocator>::pop_front() noexcept {
  release(1);
}

template <message T, std::size_t Capacity, class Allocator>
std::span<T> spsc_queue<T, Capacity, Allocator>::readable() noexcept {
  const cells ready = reader{ring_}.ready();
  if (ready.empty()) return {};
  return {std::addressof(ready.front().value()), ready.size()};
}

template <message T, std::size_t Capacity, class Allocator>
void spsc_queue<T, Capacity, Allocator>::release(size_type count) noexcept {
  reader front{ring_};
  for (detail::cell<T>& each : front.ready().first(count)) each.destroy();
  front.taken(count);
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_QUEUE_SPSC_QUEUE_HPP

// ---- <mailroom/queue/exchange_ring.hpp>

#ifndef MAILROOM_QUEUE_EXCHANGE_RING_HPP
#define MAILROOM_QUEUE_EXCHANGE_RING_HPP

// The slot-exchange ring: a bounded n:m FIFO of cell indices, lock-free, exact.
//
// Use it       never: it is the inside of mpmc_queue, which owns the cells and what is in them.
//
// A slot always holds the index of a cell, full or empty. Whoever puts a full cell in takes the
// empty one out by the same CAS, and the other way round. Nobody ever owns a slot, so a thread that
// stands still in the middle of an operation holds nothing that another thread needs.
//
//      slots   [ empty,5 | full,2 | full,7 | empty,0 | ... ]      see slot_word.hpp
//                           ^ head     tail ^
//
// head and tail are hints, moved once every few operations. Whoever needs the front or the end
// walks there, slot by slot, from wherever it stood last; the hint is for those who have been away
// for long, and a slot that is laps ahead says how far to jump.
//
// Invariants
//   (I1)  positions are filled in order without a gap, and emptied likewise: a CAS on a position
//         comes after its thread has seen all earlier ones filled (emptied), which is for ever
//   (I2)  a hint never passes the truth, and whoever reads it sees all positions below it as done
//   (I3)  after a CAS that failed, the slot is read again with acquire before anything follows
//   (I4)  the constructor is alone with the ring
//
// Memory order
//   (X)   exchanged: the CAS on a slot publishes the cell that it puts in -> the load of the slot
//         by whoever takes it out. It is seq_cst, so that a caller who looks for sleepers
//         afterwards, by a seq_cst load, cannot miss one.
//   (O)   one order: the loads and CASes of all slots are seq_cst, so that all threads agree on the
//         order in which two slots changed. With acquire alone one thread could be told full,
//         having seen a push but not a pop, while another is told empty, having seen the pop but
//         not the push.
//   (H)   hint: the store of a hint -> its load: what the storing thread saw done is done. Who
//         remembers a place for others owes them the same.
//
// Linearisation: the CAS for success; the load of the slot that answered for empty, full, closed.
//
// Decision: capacity is exact over a ring of a power of two: where the ring is larger than the
//   capacity, filling also looks whether the message one capacity before has been taken.
// Decision: the ring itself can be ended (seal), so that a mailbox can close without losing a
//   message: a late push meets the sealed slot instead of slipping in behind the last pop.
//
// Sources: Shann, Huang, Chen, A Practical Nonblocking Queue Algorithm Using Compare-and-Swap,
// ICPADS 2000, and Colvin, Groves, Formal Verification of an Array-Based Nonblocking Queue, ICECCS
// 2005 (one word per slot); Nikolaev, A Scalable, Portable, and Memory-Efficient Lock-Free FIFO
// Queue, DISC 2019 (indices instead of data). The exchange of cells and the lazy hints are ours.

#include <cstddef> // size_t
#include <cstdint> // int64_t

namespace mailroom::inline MAILROOM_ABI::detail {

/// `Slots` is the number of slots, or dynamic_capacity.
template <std::size_t Slots, class Allocator>
class exchange_ring {
public:
  using position = slot_word::position;
  using word = slot_word::word;

  /// Where a walk stands, and what the slot said. A walk may begin at any position below which
  /// the walker knows all to be done: a hint, or where somebody stood before it.
  struct place {
    position at;
    word seen = 0;
  };

  /// Makes an empty ring that begins at position `first`; slot i holds cell i. The indices of the
  /// cells are below slots() + `spares`.
  exchange_ring(std::size_t capacity, std::size_t spares, const Allocator& allocator,
                position first);

  /// Positions may wrap, so they are compared by their distance.
  static constexpr bool is_before(position a, position b) noexcept {
    return static_cast<std::int64_t>(b - a) > 0;
  }

  std::size_t slots() const noexcept { return words_.slots(); }
  std::size_t capacity() const noexcept { return capacity_; }

  /// Where to begin to walk to the front.
  ///
  /// Caller    anyone, as for all that follows
  /// Progress  wait-free
  place near_front() const noexcept { return {head_.hint.load(memory_order::acquire)}; } // (H)

  /// Walks to the first position that was not filled.
  ///
  /// Progress  lock-free: a step is only added by somebody's success
  /// Returns   success if there is room; full; closed
  queue_status walk_to_room(place& end) const noexcept {
    end.seen = read(end.at);
    return words_.has_room(end.seen, end.at) ? room_at(end.at) : walk_on_to_room(end);
  }

  /// Walks to the first position that was not emptied.
  ///
  /// Progress  lock-free
  /// Returns   success if there is a message; empty; closed
  queue_status walk_to_message(place& front) const noexcept {
    front.seen = read(front.at);
    return words_.has_message(front.seen, front.at) ? queue_status::success
                                                    : walk_on_to_message(front);
  }

  /// Puts a full cell in at the place where a walk has seen room, or an empty one where it has seen
  /// a message; `cell` is then the one that was there, and the place is behind it.
  ///
  /// Progress  wait-free
  /// Returns   false if somebody else was faster: walk again
  bool try_exchange(place& where, std::size_t& cell) noexcept {
    return swap_at(where, words_.next(where.seen, cell), cell);
  }

  /// Moves a hint, once in a while, to a place that was just passed.
  void advance_front(const place& passed) noexcept { advance(head_.hint, passed.at); }
  void advance_end(const place& passed) noexcept { advance(tail_.hint, passed.at); }

  /// The full cell at the place where a walk has seen a message.
  std::size_t cell_at(const place& front) const noexcept { return words_.cell(front.seen); }

  /// Ends the ring, if it is empty.
  ///
  /// Progress  lock-free
  /// Returns   whether it is sealed now; false when there is a message
  bool seal() noexcept;

  /// The first position that was not filled (emptied): exact when nobody else is at work.
  ///
  /// Progress  lock-free
  position end() const noexcept;
  position front() const noexcept;

private:
  /// After so many steps a walk asks the hint whether it knows better.
  static constexpr int short_walk = 4;

  struct alignas(cache_line) line {
    atomic<position> hint;
  };

  atomic<word>& slot(position at) noexcept { return slots_[words_.slot_of(at)]; }
  word read(position at) const noexcept {
    return slots_[words_.slot_of(at)].load(memory_order::seq_cst); // (X) (O)
  }
  bool swap_at(place& where, word next, std::size_t& cell) noexcept;
  queue_status room_at(position end) const noexcept {
    return capacity_ == slots() ? queue_status::success : room_in_larger_ring(end);
  }
  queue_status room_in_larger_ring(position end) const noexcept;
  queue_status walk_on_to_room(place& end) const noexcept;
  queue_status walk_on_to_message(place& front) const noexcept;
  void go_on(place& walker, std::int64_t done, int steps, const line& hinted) const noexcept;
  static void advance(atomic<position>& hint, position at) noexcept;

  // Constant after construction, but for the slots.
  const std::size_t capacity_;
  const slot_word words_;
  storage<atomic<word>, Slots, Allocator> slots_;

  // The hints, each on a line of its own.
  line tail_;
  line head_;
};

// ---- Definitions, in the order of the class

template <std::size_t Slots, class Allocator>
exchange_ring<Slots, Allocator>::exchange_ring(std::size_t capacity, std::size_t spares,
                                               const Allocator& allocator, position first)
    : capacity_{capacity}, words_{slots_for(capacity), slots_for(capacity) + spares},
      slots_{words_.slots(), allocator} {
  for (position at = first; at != first + slots(); ++at) {
    slot(at).store(words_.empty(at, words_.slot_of(at)), memory_order::relaxed); // (I4)
  }
  tail_.hint.store(first, memory_order::relaxed); // (I4)
  head_.hint.store(first, memory_order::relaxed); // (I4)
}

template <std::size_t Slots, class Allocator>
bool exchange_ring<Slots, Allocator>::seal() noexcept {
  for (place front = near_front();;) {
    const auto status = walk_to_message(front);
    if (status != queue_status::empty) return status == queue_status::closed;
    std::size_t parked; // is lost; nobody will need it
    if (swap_at(front, words_.sealed(front.seen), parked)) return true;
  }
}

template <std::size_t Slots, class Allocator>
slot_word::position exchange_ring<Slots, Allocator>::end() const noexcept {
  place end{tail_.hint.load(memory_order::relaxed)}; // (I2)
  (void)walk_to_room(end);
  return end.at;
}

template <std::size_t Slots, class Allocator>
slot_word::position exchange_ring<Slots, Allocator>::front() const noexcept {
  place front = near_front();
  (void)walk_to_message(front);
  return front.at;
}

/// The CAS: exchanges the word that was seen for the next one, and so the cells.
template <std::size_t Slots, class Allocator>
bool exchange_ring<Slots, Allocator>::swap_at(place& where, word next, std::size_t& cell) noexcept {
  if (!slot(where.at).compare_exchange(where.seen, next, memory_order::seq_cst, // (X)
                                       memory_order::relaxed)) {                // (I3)
    return false;
  }
  cell = words_.cell(where.seen);
  ++where.at;
  return true;
}

/// In a ring with more slots than capacity: is the message one capacity before `end` still there?
/// That it was taken is for ever, so a CAS after this answer keeps the capacity exact.
template <std::size_t Slots, class Allocator>
queue_status exchange_ring<Slots, Allocator>::room_in_larger_ring(position end) const noexcept {
  const position hint = head_.hint.load(memory_order::relaxed); // (I2)
  if (end - hint < capacity_) return queue_status::success;
  const position before = end - capacity_;
  const bool is_full = words_.phase(read(before), before) == 1;
  return is_full ? queue_status::full : queue_status::success;
}

/// The walk, where the slot at its beginning says something else than room.
template <std::size_t Slots, class Allocator>
queue_status exchange_ring<Slots, Allocator>::walk_on_to_room(place& end) const noexcept {
  for (int steps = 1;; ++steps) {
    const auto phase = words_.phase(end.seen, end.at);
    if (phase < 0) return queue_status::full;
    if (phase == 0) return words_.is_sealed(end.seen) ? queue_status::closed : room_at(end.at);
    go_on(end, phase - 1, steps, tail_);
    end.seen = read(end.at);
  }
}

template <std::size_t Slots, class Allocator>
queue_status exchange_ring<Slots, Allocator>::walk_on_to_message(place& front) const noexcept {
  for (int steps = 1;; ++steps) {
    const auto phase = words_.phase(front.seen, front.at);
    if (phase == 1) return queue_status::success;
    if (phase < 1) {
      return words_.is_sealed(front.seen) ? queue_status::closed : queue_status::empty;
    }
    go_on(front, phase - 2, steps, head_);
    front.seen = read(front.at);
  }
}

/// One step of a walk, from a slot whose phase is `done` beyond the one that the walker looks for:
/// to the hint if that is further, else to the next position, or as many laps further as the slot
/// has gone on.
template <std::size_t Slots, class Allocator>
void exchange_ring<Slots, Allocator>::go_on(place& walker, std::int64_t done, int steps,
                                            const line& hinted) const noexcept {
  const position laps = static_cast<position>(done) / 2;
  walker.at += 1 + slots() * laps;
  if (laps == 0 && steps != short_walk) return;
  const position hint = hinted.hint.load(memory_order::acquire); // (H)
  if (is_before(walker.at, hint)) walker.at = hint;
}

/// If somebody else has moved the hint meanwhile, they helped.
template <std::size_t Slots, class Allocator>
void exchange_ring<Slots, Allocator>::advance(atomic<position>& hint, position at) noexcept {
  if (at % positions_per_hint != 0) return;
  position seen = hint.load(memory_order::relaxed); // (I2)
  if (!is_before(seen, at)) return;
  hint.compare_exchange(seen, at, memory_order::release, // (H)
                        memory_order::relaxed);          // (I2)
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_QUEUE_EXCHANGE_RING_HPP

// ---- <mailroom/queue/cell_exchange.hpp>

#ifndef MAILROOM_QUEUE_CELL_EXCHANGE_HPP
#define MAILROOM_QUEUE_CELL_EXCHANGE_HPP

// Messages in cells, whose indices a ring keeps in order, and what it takes to put one in.
//
// Use it       never: it is the inside of mpmc_queue, which has the contracts.
//
// Whoever uses the ring has a cell in its hands: an empty one to give for a message, or one with a
// message to give for an empty one. A handle keeps its cell from call to call; a plain call is a
// handle for one call, and borrows a spare cell. Beside the spare cells stand bookmarks: where a
// thread that begins to look there stood last in the ring, so that it need not walk far.
//
//      filler    hand [cell + message] --CAS--> slot, and the slot's empty cell is in the hand
//      emptier   hand [cell]           --CAS--> slot, and the slot's full cell is in the hand
//
// Invariants
//   (I1)  a cell is in one slot, or in one spare place, or in one hand (the cell whose slot was
//         sealed is in none)
//   (I2)  a message lives in a cell that is full in a slot, or in a hand; nowhere else
//   (I3)  below a bookmark all is filled (emptied), and a bookmark may be far behind
//   (I4)  the constructor is alone
//
// Memory order
//   (H)   bookmark: its store -> its load: what its writer saw done is done, as for the hints of
//         exchange_ring.

#include <cstddef> // size_t
#include <cstdint> // int64_t, uint64_t
#include <utility> // exchange, forward

namespace mailroom::inline MAILROOM_ABI::detail {

template <message T, std::size_t Slots, class Allocator>
class cell_exchange {
  struct bookmarks;
  template <auto Bookmark>
  class hand;

public:
  /// About how many calls and handles may have a cell in their hands at a time.
  static constexpr std::size_t spares = 64;

  using ring_type = exchange_ring<Slots, Allocator>;
  using position = typename ring_type::position;

  cell_exchange(std::size_t capacity, const Allocator& allocator, position first);
  ~cell_exchange();
  cell_exchange(const cell_exchange&) = delete;
  cell_exchange& operator=(const cell_exchange&) = delete;

  ring_type& ring() noexcept { return ring_; }
  const ring_type& ring() const noexcept { return ring_; }

  class filler;
  class emptier;

private:
  friend struct test_access;

  static constexpr std::size_t static_cells =
      Slots == dynamic_capacity ? dynamic_capacity : Slots + spares;

  ring_type ring_;
  storage<cell<T>, static_cells, Allocator> cells_;
  spare_cells<spares, bookmarks> spares_;
};

/// Where threads stood last.
template <message T, std::size_t Slots, class Allocator>
struct cell_exchange<T, Slots, Allocator>::bookmarks {
  atomic<position> end;
  atomic<position> front;
};

/// A cell, or none yet; a message in it, or not; and a place in the ring.
template <message T, std::size_t Slots, class Allocator>
template <auto Bookmark>
class cell_exchange<T, Slots, Allocator>::hand {
public:
  explicit hand(cell_exchange& of) noexcept
      : of_{of}, here_{of.spares_.here()}, place_{bookmark().load(memory_order::acquire)} {} // (H)
  hand(hand&& other) noexcept
      : of_{other.of_}, here_{other.here_}, place_{other.place_},
        loan_{std::exchange(other.loan_, {})}, alive_{std::exchange(other.alive_, false)} {}
  hand& operator=(const hand&) = delete;
  ~hand() {
    if (alive_) destroy();
    if (ring_type::is_before(bookmark().load(memory_order::relaxed), place_.at)) { // (I3)
      bookmark().store(place_.at, memory_order::release);                          // (H)
    }
    if (has_cell()) of_.spares_.give(loan_);
  }

  std::size_t capacity() const noexcept { return of_.ring_.capacity(); }

  /// Takes a spare cell, if there is none in the hand; says whether there is one then.
  bool acquire() noexcept {
    if (!has_cell()) loan_ = of_.spares_.take(here_);
    return has_cell();
  }

  template <class... Args>
  void construct(Args&&... args) {
    of_.cells_[loan_.cell].construct(std::forward<Args>(args)...);
    alive_ = true;
  }
  T& value() noexcept { return of_.cells_[loan_.cell].value(); }
  void destroy() noexcept {
    alive_ = false;
    of_.cells_[loan_.cell].destroy();
  }

protected:
  bool has_cell() const noexcept { return loan_.cell != no_cell; }
  atomic<position>& bookmark() noexcept { return of_.spares_.beside(here_).*Bookmark; }

  cell_exchange& of_;
  std::size_t here_;
  typename ring_type::place place_;
  typename spare_cells<spares, bookmarks>::loan loan_;
  bool alive_ = false;
};

/// A hand that puts messages in.
template <message T, std::size_t Slots, class Allocator>
class cell_exchange<T, Slots, Allocator>::filler : public hand<&bookmarks::end> {
public:
  using hand<&bookmarks::end>::hand;

  /// Looks whether there is room.
  ///
  /// Progress  lock-free, as for all that follows
  /// Returns   success, full, closed
  queue_status look() noexcept { return this->of_.ring_.walk_to_room(this->place_); }

  /// Puts in the message that is in the hand. Where that fails, it stays there.
  queue_status put() noexcept {
    while (!this->of_.ring_.try_exchange(this->place_, this->loan_.cell)) {
      hesitate(pauses_after_loss);
      if (const auto status = look(); status != queue_status::success) return status;
    }
    this->alive_ = false;
    this->of_.ring_.advance_end(this->place_);
    return queue_status::success;
  }

  /// Builds a message and puts it in, after a look has seen room; `undo` gets it back where the
  /// room has gone meanwhile.
  template <class Undo, class... Args>
  queue_status build_and_put(Undo undo, Args&&... args) {
    if (!this->acquire()) return queue_status::busy;
    this->construct(std::forward<Args>(args)...);
    const auto status = put();
    if (status != queue_status::success) {
      undo(this->value());
      this->destroy();
    }
    return status;
  }
};

/// A hand that takes messages out.
template <message T, std::size_t Slots, class Allocator>
class cell_exchange<T, Slots, Allocator>::emptier : public hand<&bookmarks::front> {
public:
  using hand<&bookmarks::front>::hand;

  /// Takes the first message out, into the hand, which has none.
  ///
  /// Progress  lock-free
  /// Returns   success, empty, closed, busy
  queue_status take() noexcept {
    for (;; hesitate(pauses_after_loss)) {
      const auto status = this->of_.ring_.walk_to_message(this->place_);
      if (status != queue_status::success) return status;
      if (!this->acquire()) return queue_status::busy;
      if (this->of_.ring_.try_exchange(this->place_, this->loan_.cell)) break;
    }
    this->alive_ = true;
    this->of_.ring_.advance_front(this->place_);
    return queue_status::success;
  }

  /// Destroys the message in the hand at the end of a block.
  class last_use {
  public:
    explicit last_use(emptier& of) noexcept : of_{of} {}
    last_use(const last_use&) = delete;
    last_use& operator=(const last_use&) = delete;
    ~last_use() { of_.destroy(); }

  private:
    emptier& of_;
  };
};

// ---- Definitions, in the order of the class

template <message T, std::size_t Slots, class Allocator>
cell_exchange<T, Slots, Allocator>::cell_exchange(std::size_t capacity, const Allocator& allocator,
                                                  position first)
    : ring_{capacity, spares, allocator, first}, cells_{ring_.slots() + spares, allocator},
      spares_{ring_.slots()} {
  if (first == 0) return; // that is where bookmarks begin
  for (std::size_t place = 0; place != spares; ++place) {
    spares_.beside(place).end.store(first, memory_order::relaxed);   // (I4)
    spares_.beside(place).front.store(first, memory_order::relaxed); // (I4)
  }
}

/// Destroys the messages that are in the ring, first in first.
template <message T, std::size_t Slots, class Allocator>
cell_exchange<T, Slots, Allocator>::~cell_exchange() {
  auto front = ring_.near_front();
  for (; ring_.walk_to_message(front) == queue_status::success; ++front.at) {
    cells_[ring_.cell_at(front)].destroy();
  }
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_QUEUE_CELL_EXCHANGE_HPP

// ---- <mailroom/queue/mpmc_queue.hpp>

#ifndef MAILROOM_QUEUE_MPMC_QUEUE_HPP
#define MAILROOM_QUEUE_MPMC_QUEUE_HPP

// A bounded queue from many producer threads to many consumer threads, lock-free.
//
// Use it       when either side has more than one thread, or one that may be stopped anywhere.
// Instead use  spsc_queue when each side has exactly one thread;
//              mailbox when somebody should sleep until there is a message or room.
//
// Messages live in cells, and a ring of cell indices keeps their order (exchange_ring.hpp, which
// has the proof). A producer builds its message in a cell that nobody else knows, then swaps that
// cell for the empty one in the slot; a consumer swaps an empty cell in and the full one out
// (cell_exchange.hpp). So nobody ever stands in another's way, however long a message takes to be
// built (claim) or read (received).
//
// A call borrows its cell. A thread that calls often makes a handle, producer or consumer, which
// keeps its cell from call to call, and knows where in the ring it stood: half as many RMWs.
//
//      mpmc_queue<order> orders{1024};
//      mpmc_queue<order>::producer out{orders};   // in each thread that pushes
//      out.try_push(next);
//
// Limit: 64 calls, handles, claims and received messages can hold a cell at a time. Who finds none
// answers busy. A thread that dies in a call costs one.
//
// Decision: cells instead of messages in the slots. A message cannot be written in one step, so
//   whoever writes it into the ring owns a slot meanwhile, and stops all others when it stands
//   still: that is the ticket ring. The price is one more cache line for each message.
// Decision: where a caller stood last is remembered, by its handle, or beside its spare cell. The
//   ends of the ring as two shared numbers, which everybody reads and writes in every call, were
//   slower with two threads and more; hints alone made each call walk.
// Decision: who has lost a slot to another pauses 32 times before it looks again: the winner goes
//   on with the lines that it has. A fixed number, so that a call that loses nothing counts
//   nothing. Nobody is waited for: the next look comes whatever others do.
// Decision: lock-free for any message first, then these figures: the time of others by that of
//   handles; 8 bytes, room for 1024, two cores of an AMD EPYC near each other, more threads yield.
//   Who can lose a CAS pauses as we do. Medians by turns: of 87 samples alone, of 65 at 1:1, of 15
//   beyond; the quartiles are within 6 %, 25 % and mostly 50 %. (The variants are not kept.)
//                                              alone    1:1    2:2    4:4    8:8
//     SCQ (Nikolaev, DISC 2019)                 3.15   4.64   4.03   4.22   4.85
//     positions claimed, then cells exchanged   1.61   1.91   1.30   1.35   1.51
//     hints every position, not every 32nd      1.74   1.41   1.57   1.32   1.67
//     hints every 8th                           1.08   1.08   0.93   1.03   1.18
//     hints every 128th                         0.98   1.05   0.99   0.88   1.35
//     messages of 32 bits in the slots          0.93   0.49   0.83   0.70   0.91
//     cells on lines of their own               1.00   0.82   1.08   1.05   1.66
//     no pauses                                 1.00   1.02   2.38   1.99   2.98
//     1 pause, doubled by each loss up to 64    1.04   1.05   0.99   1.00   1.70
//     64 pauses                                 1.01   1.02   0.63   0.85   1.08
//     mpmc_ticket_queue, not lock-free          0.98   0.54   0.80   0.84   1.05
//   More pauses make the call of who lost longer; rare hints, the walk of who was away; lines cost
//   room.

#include <concepts>    // constructible_from, copy_constructible
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <iterator>    // input_iterator, sentinel_for, output_iterator, make_move_iterator
#include <memory>      // addressof, allocator, construct_at, destroy_at
#include <span>        // span
#include <type_traits> // is_nothrow_move_assignable, is_polymorphic, is_same
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI {

template <message T, std::size_t Capacity = dynamic_capacity, class Allocator = std::allocator<T>>
class mpmc_queue {
  static_assert(Capacity != 0, "mailroom: a queue needs a capacity of at least 1");

public:
  using value_type = T;
  using size_type = std::size_t;
  using allocator_type = Allocator;

  // Handles, and messages in place.
  class producer;
  class consumer;
  class claim;
  class received;

  /// About how many calls, handles, claims and received messages can be at a time before one more
  /// answers busy.
  static constexpr std::size_t spare_cells = 64;

  /// Makes an empty queue whose slots are inside the object. Throws nothing.
  mpmc_queue()
    requires(Capacity != dynamic_capacity)
      : mpmc_queue{Capacity, Allocator{}, 0} {}

  /// Makes an empty queue for exactly `capacity` messages; allocates here, and never again.
  ///
  /// Cost      bit_ceil(capacity) words, and as many cells and spare_cells more; the object has
  ///           4 KiB for those that are spare
  /// Throws    std::invalid_argument for 0, std::length_error for too many, and what the
  ///           allocator throws
  explicit mpmc_queue(std::size_t capacity, const Allocator& allocator = {})
    requires(Capacity == dynamic_capacity)
      : mpmc_queue{detail::checked_capacity(capacity), allocator, 0} {}

  /// Destroys the messages still inside, first in first.
  ///
  /// Caller    anyone, once no other thread uses the queue, and nothing that it lent is left
  ~mpmc_queue() = default;

  mpmc_queue(const mpmc_queue&) = delete;
  mpmc_queue& operator=(const mpmc_queue&) = delete;

  // ---- Producers

  /// Puts a message at the back.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  /// Cost      O(1): two RMWs, by a producer one, and one in 32 calls; more if others are faster
  /// Throws    what T's constructor throws; the queue is then as before
  /// Orders    all before a successful call happens before the return of the pop that takes it
  /// Returns   success; or full, exactly; closed after seal(); busy when there is no spare cell.
  ///           The argument keeps its message unless success
  queue_status try_push(const T& value)
    requires std::copy_constructible<T>
  {
    return producer{*this}.try_push(value);
  }
  /// A message that is handed back is assigned to its argument, or made anew there if it has no
  /// assignment that cannot throw: then the argument is a whole object, not part of another.
  queue_status try_push(T&& value)
    requires nothrow_message<T>
  {
    return producer{*this}.try_push(std::move(value));
  }

  /// Builds a message from the arguments at the back. Everything else is as for try_push, but where
  /// the queue becomes full or closed during the call the arguments may have been used, and their
  /// message dropped.
  template <class... Args>
    requires std::constructible_from<T, Args...>
  queue_status try_emplace(Args&&... args) {
    return producer{*this}.try_emplace(std::forward<Args>(args)...);
  }

  /// Puts messages of [first, last) at the back, in order, until one does not fit or the answer is
  /// busy. Other producers' messages may come between them. An element may be read twice.
  ///
  /// Caller    anyone
  /// Progress  lock-free, if the iterator is
  /// Cost      O(messages taken): one RMW each
  /// Throws    what the iterator or T's constructor throws; the messages before are in the queue
  /// Returns   the first element that was not taken
  template <std::input_iterator I, std::sentinel_for<I> S>
    requires range_element<std::iter_reference_t<I>, T>
  I try_push_range(I first, S last) {
    return producer{*this}.try_push_range(std::move(first), std::move(last));
  }

  /// Moves messages from the beginning of the run. Otherwise as try_push_range.
  ///
  /// Returns   the rest, untouched
  std::span<T> try_move_range(std::span<T> messages)
    requires nothrow_message<T>
  {
    return producer{*this}.try_move_range(messages);
  }

  /// Puts a message at the back, and where there is no room takes messages from the front and
  /// hands them to `evicted`, in order, as T&&, until there is.
  ///
  /// Caller    anyone
  /// Progress  lock-free, if `evicted` is
  /// Cost      as try_push, and try_pop for each message handed over
  /// Throws    what `evicted` throws: its message is consumed, and `value` keeps its own
  /// Orders    see try_push
  /// Returns   success; closed; busy when there is no spare cell, perhaps behind messages that were
  ///           handed over. The argument keeps its message unless success
  template <message_handler<T> F>
  queue_status force_push(T&& value, F&& evicted)
    requires nothrow_message<T>;

  /// Builds a message from the arguments, in a cell that nobody else knows: to be filled at leisure
  /// and put in by commit(), or dropped.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Cost      one RMW, mostly; at most spare_cells
  /// Throws    what T's constructor throws
  /// Returns   the claim; or busy when there is no spare cell
  template <class... Args>
    requires std::constructible_from<T, Args...>
  expected<claim, queue_status> try_claim(Args&&... args);

  // ---- Consumers

  /// Takes the message at the front.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  /// Cost      O(1): two RMWs, by a consumer one, and one in 32 calls; more if others are faster
  /// Throws    nothing
  /// Orders    see try_push
  /// Returns   the message; or empty, exactly; closed after seal(); busy for want of a cell
  expected<T, queue_status> try_pop() noexcept
    requires nothrow_message<T>
  {
    return consumer{*this}.try_pop();
  }

  /// The same by assignment: `into` is untouched unless the answer is success.
  queue_status try_pop(T& into) noexcept
    requires std::is_nothrow_move_assignable_v<T>
  {
    return consumer{*this}.try_pop(into);
  }

  /// Takes up to `max` messages, one by one, until there is none or the answer is busy.
  ///
  /// Caller    anyone
  /// Progress  lock-free, if the iterator is
  /// Cost      O(messages taken): one RMW each
  /// Throws    what the assignment to `*out` throws; that message is consumed, the others stay
  /// Returns   how many were taken
  template <std::output_iterator<T> O>
  size_type try_pop_n(O out, size_type max) {
    return consumer{*this}.try_pop_n(std::move(out), max);
  }

  /// Hands messages to `handler`, in place, as T&&, until there is none or the answer is busy, and
  /// at most capacity().
  /// The handler may use the queue. While it runs it holds one spare cell, and blocks nobody.
  ///
  /// Caller    anyone
  /// Progress  lock-free, if the handler is
  /// Throws    what `handler` throws; the message that it was given is consumed, the others stay
  /// Returns   how many were handed over
  template <message_handler<T> F>
  size_type consume_all(F&& handler) {
    return consumer{*this}.consume_all(handler);
  }

  /// Takes the message at the front, to be read where it is.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  /// Cost      as try_pop; the message is not moved
  /// Throws    nothing
  /// Orders    see try_push
  /// Returns   the message, which is out of the queue now; or as try_pop
  expected<received, queue_status> try_receive() noexcept;

  // ---- Anybody

  /// Ends the queue, if it is empty: from then on every push and pop answers closed.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  /// Returns   whether the queue is sealed now; false when there is a message
  bool seal() noexcept { return cells_.ring().seal(); }

  /// How many messages there are about now, in [0, capacity()]: a hint, never a reason.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  size_type size_approx() const noexcept { return detail::approx_size(*this); }

  /// How many messages fit: exactly what was asked for.
  size_type capacity() const noexcept { return cells_.ring().capacity(); }

  /// How many messages were ever put in, and how many were ever taken out. Exact once the threads
  /// have stopped; while they run each only grows, and popped() read first is never above pushed().
  ///
  /// Caller    anyone
  /// Progress  lock-free
  std::uint64_t pushed() const noexcept { return cells_.ring().end(); }
  std::uint64_t popped() const noexcept { return cells_.ring().front(); }

private:
  static constexpr std::size_t static_slots =
      Capacity == dynamic_capacity ? dynamic_capacity : detail::slots_for(Capacity);

  using cells = detail::cell_exchange<T, static_slots, Allocator>;
  static_assert(cells::spares == spare_cells);

  friend struct detail::test_access;
  mpmc_queue(std::size_t capacity, const Allocator& allocator, std::uint64_t first)
      : cells_{capacity, allocator, first} {}

  cells cells_;
};

template <class T, std::size_t Capacity, class Allocator>
struct queue_facts<mpmc_queue<T, Capacity, Allocator>> {
  static constexpr arity producers = arity::many;
  static constexpr arity consumers = arity::many;
  static constexpr ordering order = ordering::fifo;
  static constexpr progress push_progress = progress::lock_free;
  static constexpr progress pop_progress = progress::lock_free;
  static constexpr bool bounded = true;
  static constexpr bool sequentially_consistent = true;
};

/// The way in for a thread that pushes often. Its members promise what those of the queue promise;
/// it takes a spare cell with the first message, and keeps one until it is destroyed.
///
/// Caller    one thread at a time, and not from what the handle itself is running: a constructor,
///           an iterator. These may use the queue. The queue outlives it
template <message T, std::size_t Capacity, class Allocator>
class mpmc_queue<T, Capacity, Allocator>::producer {
public:
  explicit producer(mpmc_queue& to) noexcept : own_{to.cells_} {}

  queue_status try_push(const T& value)
    requires std::copy_constructible<T>
  {
    return try_emplace(value);
  }
  queue_status try_push(T&& value)
    requires nothrow_message<T>
  {
    return try_put([&](T& built) noexcept { hand_back(value, built); }, std::move(value));
  }
  template <class... Args>
    requires std::constructible_from<T, Args...>
  queue_status try_emplace(Args&&... args) {
    return try_put([](T&) noexcept {}, std::forward<Args>(args)...);
  }
  template <std::input_iterator I, std::sentinel_for<I> S>
    requires range_element<std::iter_reference_t<I>, T>
  I try_push_range(I first, S last);
  std::span<T> try_move_range(std::span<T> messages)
    requires nothrow_message<T>;

private:
  template <class Undo, class... Args>
  queue_status try_put(Undo undo, Args&&... args) {
    const auto status = own_.look();
    if (status != queue_status::success) return status;
    return own_.build_and_put(undo, std::forward<Args>(args)...);
  }
  static void hand_back(T& target, T& built) noexcept;

  typename cells::filler own_;
};

/// The way out for a thread that pops often: as producer.
///
/// Caller    as for producer: a handler, an assignment or a destructor may use the queue, but not
///           the handle that is running it
template <message T, std::size_t Capacity, class Allocator>
class mpmc_queue<T, Capacity, Allocator>::consumer {
public:
  explicit consumer(mpmc_queue& from) noexcept : own_{from.cells_} {}

  expected<T, queue_status> try_pop() noexcept
    requires nothrow_message<T>;
  queue_status try_pop(T& into) noexcept
    requires std::is_nothrow_move_assignable_v<T>;
  template <std::output_iterator<T> O>
  size_type try_pop_n(O out, size_type max);
  template <message_handler<T> F>
  size_type consume_all(F&& handler);

private:
  using last_use = typename cells::emptier::last_use;

  typename cells::emptier own_;
};

/// A message that is not in the queue yet. Holding one blocks nobody.
///
/// Caller    one thread at a time; the queue outlives it. Who was moved from can only be destroyed
template <message T, std::size_t Capacity, class Allocator>
class mpmc_queue<T, Capacity, Allocator>::claim {
public:
  /// The message; until commit() was successful.
  T& operator*() noexcept { return own_.value(); }
  T* operator->() noexcept { return std::addressof(own_.value()); }

  /// Puts the message at the back. Not after success.
  ///
  /// Progress  lock-free
  /// Cost      one RMW, and one in 32 calls; more if others are faster
  /// Orders    see try_push
  /// Returns   success; or full, exactly; closed after seal(): the message stays here then
  queue_status commit() noexcept {
    const auto status = own_.look();
    return status == queue_status::success ? own_.put() : status;
  }

private:
  friend mpmc_queue;
  explicit claim(mpmc_queue& to) noexcept : own_{to.cells_} {}

  typename cells::filler own_;
};

/// A message that is out of the queue, and destroyed with this. Holding one blocks nobody.
///
/// Caller    as for claim
template <message T, std::size_t Capacity, class Allocator>
class mpmc_queue<T, Capacity, Allocator>::received {
public:
  T& operator*() noexcept { return own_.value(); }
  T* operator->() noexcept { return std::addressof(own_.value()); }

private:
  friend mpmc_queue;
  explicit received(mpmc_queue& from) noexcept : own_{from.cells_} {}

  typename cells::emptier own_;
};

// ---- Definitions, in the order of the classes

template <message T, std::size_t Capacity, class Allocator>
template <message_handler<T> F>
queue_status mpmc_queue<T, Capacity, Allocator>::force_push(T&& value, F&& evicted)
  requires nothrow_message<T>
{
  for (;;) { // with one cell in hand at a time
    const auto status = try_push(std::move(value));
    if (status != queue_status::full) return status;
    typename cells::emptier out{cells_};
    const auto taken = out.take();
    if (taken == queue_status::busy) return taken;
    if (taken != queue_status::success) continue;
    const typename cells::emptier::last_use guard{out};
    evicted(std::move(out.value()));
  }
}

template <message T, std::size_t Capacity, class Allocator>
template <class... Args>
  requires std::constructible_from<T, Args...>
auto mpmc_queue<T, Capacity, Allocator>::try_claim(Args&&... args)
    -> expected<claim, queue_status> {
  claim made{*this};
  if (!made.own_.acquire()) return unexpected{queue_status::busy};
  made.own_.construct(std::forward<Args>(args)...);
  return made;
}

template <message T, std::size_t Capacity, class Allocator>
auto mpmc_queue<T, Capacity, Allocator>::try_receive() noexcept
    -> expected<received, queue_status> {
  received taken{*this};
  const auto status = taken.own_.take();
  if (status != queue_status::success) return unexpected{status};
  return taken;
}

template <message T, std::size_t Capacity, class Allocator>
template <std::input_iterator I, std::sentinel_for<I> S>
  requires range_element<std::iter_reference_t<I>, T>
I mpmc_queue<T, Capacity, Allocator>::producer::try_push_range(I first, S last) {
  for (; first != last && own_.look() == queue_status::success; ++first) {
    auto&& source = *first;
    auto undo = [&]([[maybe_unused]] T& built) noexcept {
      if constexpr (std::is_same_v<decltype(source), T&&>) hand_back(source, built);
    };
    const auto status = own_.build_and_put(undo, std::forward<decltype(source)>(source));
    if (status != queue_status::success) break;
  }
  return first;
}

template <message T, std::size_t Capacity, class Allocator>
std::span<T> mpmc_queue<T, Capacity, Allocator>::producer::try_move_range(std::span<T> messages)
  requires nothrow_message<T>
{
  const auto begin = std::make_move_iterator(messages.begin());
  const auto rest = try_push_range(begin, std::make_move_iterator(messages.end()));
  return messages.subspan(static_cast<std::size_t>(rest - begin));
}

/// Moves a message back into the argument that it came from. Without an assignment it is made anew
/// there, which a part of a larger object would not survive.
template <message T, std::size_t Capacity, class Allocator>
void mpmc_queue<T, Capacity, Allocator>::producer::hand_back(T& target, T& built) noexcept {
  if constexpr (std::is_nothrow_move_assignable_v<T>) {
    target = std::move(built);
  } else {
    static_assert(!std::is_polymorphic_v<T>,
                  "mailroom: a polymorphic message needs a nothrow move assignment");
    std::destroy_at(std::addressof(target));
    std::construct_at(std::addressof(target), std::move(built));
  }
}

template <message T, std::size_t Capacity, class Allocator>
inline expected<T, queue_status> mpmc_queue<T, Capacity, Allocator>::consumer::try_pop() noexcept
  requires nothrow_message<T>
{
  if (const auto status = own_.take(); status != queue_status::success) {
    return unexpected{status};
  }
  const last_use guard{own_};
  return std::move(own_.value());
}

template <message T, std::size_t Capacity, class Allocator>
inline queue_status mpmc_queue<T, Capacity, Allocator>::consumer::try_pop(T& into) noexcept
  requires std::is_nothrow_move_assignable_v<T>
{
  const auto status = own_.take();
  if (status != queue_status::success) return status;
  const last_use guard{own_};
  into = std::move(own_.value());
  return status;
}

template <message T, std::size_t Capacity, class Allocator>
template <std::output_iterator<T> O>
std::size_t mpmc_queue<T, Capacity, Allocator>::consumer::try_pop_n(O out, size_type max) {
  size_type count = 0;
  for (; count != max && own_.take() == queue_status::success; ++count, (void)++out) {
    const last_use guard{own_};
    *out = std::move(own_.value());
  }
  return count;
}

template <message T, std::size_t Capacity, class Allocator>
template <message_handler<T> F>
std::size_t mpmc_queue<T, Capacity, Allocator>::consumer::consume_all(F&& handler) {
  const size_type most = own_.capacity();
  size_type count = 0;
  for (; count != most && own_.take() == queue_status::success; ++count) {
    const last_use guard{own_};
    handler(std::move(own_.value()));
  }
  return count;
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_QUEUE_MPMC_QUEUE_HPP

// ---- <mailroom/queue/ticket_ring.hpp>

#ifndef MAILROOM_QUEUE_TICKET_RING_HPP
#define MAILROOM_QUEUE_TICKET_RING_HPP

// The ticket ring: slots that one call at a time has to itself, in the order of their positions.
//
// Use it       never: it is the inside of mpmc_ticket_queue, which builds and moves the messages.
//
// A call takes the next position, as one takes a ticket; then it has the slot of that position to
// itself, and tells by the slot's turn when it is done. Position p lives in slot p modulo slots.
//
//      tail, head   2p; the tail of a sealed ring is 2p + 1
//      turn         2p: free for p     2p + 1: has the message of p     then 2 (p + slots)
//
//      push         turn == tail?      CAS tail, build,    turn := 2p + 1
//      pop          turn == head + 1?  CAS head, move out, turn := 2 (p + slots)
//
// While there are messages and room neither side reads the other's position. A call that stands
// still behind its CAS keeps its slot: pops get no further than the push, pushes no further than
// the pop.
//
// Invariants
//   (I1)  turns, head and tail only grow, modulo 2^64; 2^62 messages take a century
//   (I2)  head <= tail <= head + capacity, and tail stays once it is odd
//   (I3)  a position that was read too early is noticed: the CAS fails, or the turn of its slot is
//         further on
//   (I4)  a slot that is free for tail (has the message of head) stays so until tail (head) moves
//   (I5)  seen_head is a number that was head once: it can only err towards looking again, and the
//         slot itself is read after it
//   (I6)  end() is a number, not what is in the slots; that front(), read first, is not above it
//         comes from (P)
//   (I7)  the constructor is alone with the ring
//
// Memory order
//   (F)   filled: the message, built -> who takes it, by the turn of its slot.
//   (E)   emptied: the slot, without its message -> who builds the next one there, by the turn.
//   (P)   positions: who has moved head or tail -> who looks why a slot is not ready; so that no
//         turn is seen without the position that led to it, and no head without its tail.
//   (D)   Dekker: the CASes of head and tail are seq_cst, and so are the loads that tell empty and
//         full. A caller who looks for sleepers after its push or pop, by a seq_cst load, cannot
//         miss one that was told empty or full: that one would have seen the position moved, and
//         been told busy as long as the slot was not ready.
//   (B)   behind: who has moved head -> who finds no message there, so that it sees the tail that
//         head followed, and is told empty, not busy. Argued: busy says nothing about the order of
//         calls, so no scenario can tell; and in the checker a seq_cst load is never that old.
//   (S)   sealed: what happened before the seal -> whoever is told closed.
//
// Linearisation: the CAS for success; the load of the other side's position for empty and full.
//
// Decision: positions count in twos. The turn of a free slot then is the tail itself, a ring of one
//   slot can tell full from free, and the seal needs no masking: a sealed tail is nobody's turn.
// Decision: capacity is exact over a ring of a power of two. Where the ring is larger than the
//   capacity a push also compares with head: with a copy beside tail, renewed when it says full.
// Decision: a position is taken by CAS when its slot is seen to be ready, not by fetch_add: one
//   that was taken too early cannot be given back, and its call would have to wait.
// Decision: slots stand side by side. On lines of their own, or with neighbours spread over several
//   lines, each message would cost the transfer of a line where now several share one, which counts
//   most where the cores are far apart.
// Decision: who finds a slot not ready looks twice more, a pause apart, before it reads the other
//   side's position (a push only where each slot may be used). A consumer that polls would take the
//   line of tail from the producers each time, and keep them so slow that it goes on finding
//   nothing. Not to look at tail at all would tell empty where there is something.
// Decision: who has lost a position to another pauses before it tries the next, and reads it anew
//   then: with two threads and more that takes a half to a fifth of the time. Nobody is waited for.
//
// Sources: Vyukov, Bounded MPMC queue, 1024cores.net (the ring and its turns).

#include <cstddef> // size_t
#include <cstdint> // int64_t, uint64_t

namespace mailroom::inline MAILROOM_ABI::detail {

/// `Slots` is the number of slots, or dynamic_capacity.
template <class T, std::size_t Slots, class Allocator>
class ticket_ring {
public:
  using word = std::uint64_t; // a position, in twos; or a turn
  struct slot;

  /// A position that the caller has taken, and the slot that is its own until it says filled or
  /// emptied.
  struct place {
    word at;
    slot* own;
  };

  /// Makes an empty ring that begins at position `first`.
  ///
  /// Throws    what the allocator throws
  ticket_ring(std::size_t capacity, const Allocator& allocator, std::uint64_t first);

  std::size_t capacity() const noexcept { return capacity_; }

  /// Is there room for a message? success says that a slot was free, and takes nothing.
  ///
  /// Caller    anyone, as for all that follows
  /// Progress  lock-free: it looks again only after somebody's success
  /// Returns   success; full; closed; busy
  queue_status look_for_room() noexcept;

  /// Takes the next position at the back, if its slot is free, for the caller to build a message
  /// there and say filled.
  ///
  /// Progress  lock-free, as look_for_room
  /// Cost      one RMW
  /// Returns   success; full; closed; busy
  queue_status take_back(place& taken) noexcept;

  /// Takes the next position at the front, if its message is there, for the caller to move it out,
  /// end it and say emptied. Otherwise as take_back.
  ///
  /// Returns   success; empty; closed; busy
  queue_status take_front(place& taken) noexcept;

  /// The same for up to `count` positions, which is at least 1; `first` is the first of as many as
  /// are free, or there. The others follow by next.
  ///
  /// Returns   as for one; on success `count` says how many
  queue_status take_back(place& first, std::size_t& count) noexcept;
  queue_status take_front(place& first, std::size_t& count) noexcept;
  place next(place taken) noexcept { return place_of(next(taken.at)); }

  /// The cell of a position that the caller has taken.
  static detail::cell<T>& cell(place taken) noexcept { return taken.own->message; }

  /// Gives the position on to whoever pops.
  ///
  /// Caller    who has taken it and built its message
  /// Progress  wait-free
  void filled(place taken) noexcept {
    taken.own->turn.store(taken.at + full, memory_order::release); // (F)
  }

  /// Gives the slot on to whoever pushes a lap later.
  ///
  /// Caller    who has taken the position and ended its message
  /// Progress  wait-free
  void emptied(place taken) noexcept {
    taken.own->turn.store(taken.at + twice(slots_.size()), memory_order::release); // (E)
  }

  /// Ends the ring, if it is empty.
  ///
  /// Progress  lock-free
  /// Returns   whether it is sealed now; false when there is a message, built or not
  bool seal() noexcept;

  /// The first position that was not taken at the back (at the front): exact at rest.
  ///
  /// Progress  wait-free
  std::uint64_t end() const noexcept { return number(tail_.load(memory_order::relaxed)); }   // (I6)
  std::uint64_t front() const noexcept { return number(head_.load(memory_order::acquire)); } // (P)

private:
  static constexpr word sealed = 1; // of tail
  static constexpr word full = 1;   // of a turn

  bool comes_soon(word at, word turn) const noexcept;
  queue_status why_no_room(word at) noexcept;
  queue_status why_no_message(word at) noexcept;
  std::size_t room(word at, std::size_t most) const noexcept;
  std::size_t ready(word at, word turn, std::size_t most) const noexcept;

  std::size_t index(word at) const noexcept {
    return static_cast<std::size_t>(at >> 1) & (slots_.size() - 1);
  }
  place place_of(word at) noexcept { return {at, &slots_[index(at)]}; }
  word turn_of(word at) const noexcept {
    return slots_[index(at)].turn.load(memory_order::acquire); // (F) (E)
  }
  static word next(word at) noexcept { return at + 2; }
  static word twice(std::size_t count) noexcept { return word{count} * 2; }
  /// Read as signed, so that positions wrap where numbers of 64 bits do.
  static std::uint64_t number(word at) noexcept {
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(at) >> 1);
  }
  static bool is_reached(word turn, word wanted) noexcept {
    return static_cast<std::int64_t>(turn - wanted) >= 0;
  }

  // Constant after construction, but for the slots.
  const std::size_t capacity_;
  storage<slot, Slots, Allocator> slots_;

  // The producers' line, and the consumers'.
  alignas(cache_line) atomic<word> tail_;
  atomic<word> seen_head_; // used where there are more slots than messages
  alignas(cache_line) atomic<word> head_;
};

// ---- Definitions, in the order of the class

template <class T, std::size_t Slots, class Allocator>
struct ticket_ring<T, Slots, Allocator>::slot {
  atomic<word> turn;
  detail::cell<T> message;
};

template <class T, std::size_t Slots, class Allocator>
ticket_ring<T, Slots, Allocator>::ticket_ring(std::size_t capacity, const Allocator& allocator,
                                              std::uint64_t first)
    : capacity_{capacity}, slots_{slots_for(capacity), allocator}, tail_{2 * first},
      seen_head_{2 * first}, head_{2 * first} {
  word at = 2 * first;
  for (std::size_t i = 0; i != slots_.size(); ++i, at = next(at)) {
    place_of(at).own->turn.store(at, memory_order::relaxed); // (I7)
  }
}

template <class T, std::size_t Slots, class Allocator>
queue_status ticket_ring<T, Slots, Allocator>::look_for_room() noexcept {
  for (;;) {
    const word at = tail_.load(memory_order::relaxed); // (I3)
    if (ready(at, at, room(at, 1)) != 0) return queue_status::success;
    if (const auto status = why_no_room(at); status != queue_status::success) return status;
  }
}

template <class T, std::size_t Slots, class Allocator>
inline queue_status ticket_ring<T, Slots, Allocator>::take_back(place& taken) noexcept {
  word at = tail_.load(memory_order::relaxed); // (I3)
  for (;;) {
    taken = place_of(at);
    if (room(at, 1) != 0 && taken.own->turn.load(memory_order::acquire) == at) { // (E)
      if (tail_.compare_exchange(at, next(at), memory_order::seq_cst,            // (D) (P)
                                 memory_order::relaxed)) {                       // (I3)
        return queue_status::success;
      }
      hesitate(pauses_after_loss);
    } else if (const auto status = why_no_room(at); status != queue_status::success) {
      return status;
    }
    at = tail_.load(memory_order::relaxed); // (I3)
  }
}

template <class T, std::size_t Slots, class Allocator>
inline queue_status ticket_ring<T, Slots, Allocator>::take_front(place& taken) noexcept {
  word at = head_.load(memory_order::relaxed); // (I3)
  for (;;) {
    taken = place_of(at);
    if (taken.own->turn.load(memory_order::acquire) == at + full) {   // (F)
      if (head_.compare_exchange(at, next(at), memory_order::seq_cst, // (D) (P)
                                 memory_order::relaxed)) {            // (I3)
        return queue_status::success;
      }
      hesitate(pauses_after_loss);
    } else if (const auto status = why_no_message(at); status != queue_status::success) {
      return status;
    }
    at = head_.load(memory_order::relaxed); // (I3)
  }
}

template <class T, std::size_t Slots, class Allocator>
queue_status ticket_ring<T, Slots, Allocator>::take_back(place& first,
                                                         std::size_t& count) noexcept {
  word at = tail_.load(memory_order::relaxed); // (I3)
  for (;;) {
    first = place_of(at);
    if (const std::size_t some = ready(at, at, room(at, count)); some != 0) {
      if (tail_.compare_exchange(at, at + twice(some), memory_order::seq_cst, // (D) (P)
                                 memory_order::relaxed)) {                    // (I3)
        count = some;
        return queue_status::success;
      }
      hesitate(pauses_after_loss);
    } else if (const auto status = why_no_room(at); status != queue_status::success) {
      return status;
    }
    at = tail_.load(memory_order::relaxed); // (I3)
  }
}

template <class T, std::size_t Slots, class Allocator>
queue_status ticket_ring<T, Slots, Allocator>::take_front(place& first,
                                                          std::size_t& count) noexcept {
  word at = head_.load(memory_order::relaxed); // (I3)
  for (;;) {
    first = place_of(at);
    if (const std::size_t some = ready(at, at + full, count); some != 0) {
      if (head_.compare_exchange(at, at + twice(some), memory_order::seq_cst, // (D) (P)
                                 memory_order::relaxed)) {                    // (I3)
        count = some;
        return queue_status::success;
      }
      hesitate(pauses_after_loss);
    } else if (const auto status = why_no_message(at); status != queue_status::success) {
      return status;
    }
    at = head_.load(memory_order::relaxed); // (I3)
  }
}

template <class T, std::size_t Slots, class Allocator>
bool ticket_ring<T, Slots, Allocator>::seal() noexcept {
  for (;;) {
    word at = tail_.load(memory_order::acquire); // (S)
    if ((at & sealed) != 0) return true;
    const word head = head_.load(memory_order::acquire); // (P)
    if (head == at) {
      if (tail_.compare_exchange(at, at | sealed, memory_order::release, // (S)
                                 memory_order::relaxed)) {               // (I3)
        return true;
      }
    } else if (is_reached(at, head)) {
      return false;
    }
  }
}

/// Looks a few times more whether the slot of `at` has come to `turn`.
template <class T, std::size_t Slots, class Allocator>
bool ticket_ring<T, Slots, Allocator>::comes_soon(word at, word turn) const noexcept {
  for (int i = 0; i != looks_at_slot; ++i) {
    hesitate(1);
    if (is_reached(turn_of(at), turn)) return true;
  }
  return false;
}

/// Why there was no room at `at`: full, closed or busy; success if that is no longer so.
template <class T, std::size_t Slots, class Allocator>
queue_status ticket_ring<T, Slots, Allocator>::why_no_room(word at) noexcept {
  if (capacity_ == slots_.size() && comes_soon(at, at)) return queue_status::success;
  if (tail_.load(memory_order::acquire) != at) return queue_status::success; // (S)
  if ((at & sealed) != 0) return queue_status::closed;
  const word head = head_.load(memory_order::seq_cst); // (D) (P)
  if (at - head == twice(capacity_)) return queue_status::full;
  if (capacity_ != slots_.size()) seen_head_.store(head, memory_order::relaxed); // (I5)
  return is_reached(turn_of(at), at) ? queue_status::success : queue_status::busy;
}

/// Why there was no message at `at`: empty, closed or busy; success if that is no longer so.
template <class T, std::size_t Slots, class Allocator>
queue_status ticket_ring<T, Slots, Allocator>::why_no_message(word at) noexcept {
  if (comes_soon(at, at + full)) return queue_status::success;
  if (head_.load(memory_order::acquire) != at) return queue_status::success; // (B)
  const word tail = tail_.load(memory_order::seq_cst);                       // (D) (S)
  if (tail == at) return queue_status::empty;
  if (tail == (at | sealed)) return queue_status::closed;
  return is_reached(turn_of(at), at + full) ? queue_status::success : queue_status::busy;
}

/// How many of `most` messages fit, as far as is known. Where each slot may be used the slots know.
template <class T, std::size_t Slots, class Allocator>
std::size_t ticket_ring<T, Slots, Allocator>::room(word at, std::size_t most) const noexcept {
  if (capacity_ == slots_.size()) return most;
  const word inside = (at - seen_head_.load(memory_order::relaxed)) / 2; // (I5)
  return inside < capacity_ ? smaller_of(most, capacity_ - static_cast<std::size_t>(inside)) : 0;
}

/// How many slots from `at` on, at most `most`, are at their turn: at `turn` the first.
template <class T, std::size_t Slots, class Allocator>
std::size_t ticket_ring<T, Slots, Allocator>::ready(word at, word turn,
                                                    std::size_t most) const noexcept {
  std::size_t count = 0;
  for (; count != most && turn_of(at) == turn; ++count) {
    at = next(at);
    turn = next(turn);
  }
  return count;
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_QUEUE_TICKET_RING_HPP

// ---- <mailroom/queue/mpmc_ticket_queue.hpp>

#ifndef MAILROOM_QUEUE_MPMC_TICKET_QUEUE_HPP
#define MAILROOM_QUEUE_MPMC_TICKET_QUEUE_HPP

// A bounded queue from many producer threads to many consumer threads, fast but not lock-free.
//
// Use it       when either side has more than one thread, and a thread that is stopped in the
//              middle of a call may hold up the others for as long: they are told busy meanwhile.
// Instead use  mpmc_queue when nobody may be held up, or a move may throw;
//              spsc_queue when each side has exactly one thread;
//              mailbox when somebody should sleep until there is a message or room.
//
// Messages live in the slots of a ring; ticket_ring.hpp has the proof and the memory orders.
// A call takes the next position by a CAS; then its slot is its own until it gives it on.
//
//      try_push    free slot? --CAS tail--> build the message     --store--> whoever pops
//      try_pop     full slot? --CAS head--> move the message out  --store--> whoever pushes
//
// A call that stands still between its CAS and its store stops the others, though none of them
// waits: behind a push the messages are hidden, behind a pop its place is missing a lap later, and
// the answer is busy. Full and empty never stand for busy: they are exact, and count what is in the
// middle of being put in as inside, what is in the middle of being taken out as gone.
//
// Invariants
//   (I1)  between the CAS and the store of a call runs nothing but a constructor, an assignment
//         from and the destructor of a message, and none of these throws
//
// Decision: so that (I1) holds, what may throw or take long is done before the CAS, or after the
//   store: a message whose constructor may throw is built beside the queue and moved in, and
//   handlers and iterators get messages that were moved out.
// Decision: a run takes several positions by one CAS where no iterator of the caller's runs in
//   between: from and to contiguous ranges, if building and assigning cannot throw. Else one by
//   one.

#include <concepts>    // constructible_from, copy_constructible
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <iterator>    // input_iterator, sentinel_for, output_iterator, contiguous_iterator, ...
#include <memory>      // allocator, to_address
#include <span>        // span
#include <type_traits> // is_nothrow_assignable, is_nothrow_constructible, ...
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI {

template <message T, std::size_t Capacity = dynamic_capacity, class Allocator = std::allocator<T>>
class mpmc_ticket_queue {
  static_assert(Capacity != 0, "mailroom: a queue needs a capacity of at least 1");
  static_assert(nothrow_message<T>,
                "mailroom: mpmc_ticket_queue needs a message whose move cannot throw; mpmc_queue "
                "takes others too");

public:
  using value_type = T;
  using size_type = std::size_t;
  using allocator_type = Allocator;

  /// Makes an empty queue whose slots are inside the object. Throws nothing.
  mpmc_ticket_queue()
    requires(Capacity != dynamic_capacity)
      : mpmc_ticket_queue{Capacity, Allocator{}, 0} {}

  /// Makes an empty queue for exactly `capacity` messages; allocates once, and never again.
  ///
  /// Cost      bit_ceil(capacity) slots: a word and a message each
  /// Throws    std::invalid_argument for 0, std::length_error for too many, and what the
  ///           allocator throws
  explicit mpmc_ticket_queue(std::size_t capacity, const Allocator& allocator = {})
    requires(Capacity == dynamic_capacity)
      : mpmc_ticket_queue{detail::checked_capacity(capacity), allocator, 0} {}

  /// Destroys the messages still inside, first in first.
  ///
  /// Caller    anyone, once no other thread uses the queue
  ~mpmc_ticket_queue();

  mpmc_ticket_queue(const mpmc_ticket_queue&) = delete;
  mpmc_ticket_queue& operator=(const mpmc_ticket_queue&) = delete;

  // ---- Producers

  /// Puts a message at the back.
  ///
  /// Caller    anyone
  /// Progress  blocking: where a pop stands still with the place that is needed it answers busy, at
  ///           once. No call waits: what it does again is because of others' success
  /// Cost      O(1): one RMW and one store; more when others are faster
  /// Throws    what T's constructor throws; the queue is then as before
  /// Orders    all before a successful call happens before the return of the pop that takes it
  /// Returns   success; full, exactly; closed after seal(); busy, see Progress. The argument keeps
  ///           its message unless success
  queue_status try_push(const T& value)
    requires std::copy_constructible<T>
  {
    return try_emplace(value);
  }
  queue_status try_push(T&& value) noexcept { return put(std::move(value)); }

  /// Builds a message from the arguments at the back. Everything else is as for try_push, but where
  /// that may throw and the answer changes during the call (to full, closed or busy) the arguments
  /// may have been used, and their message dropped.
  template <class... Args>
    requires std::constructible_from<T, Args...>
  queue_status try_emplace(Args&&... args) noexcept(std::is_nothrow_constructible_v<T, Args...>);

  /// Puts messages of [first, last) at the back, in order, until one does not fit or the answer is
  /// busy. Other producers' messages may come between them. An element may be read twice.
  ///
  /// Caller    anyone
  /// Progress  blocking: as try_push
  /// Cost      O(messages taken): one store each, and one RMW each; where the range is contiguous
  ///           and nothing can throw, one RMW for all that there is room for
  /// Throws    what the iterator or T's constructor throws; the messages before are in the queue
  /// Returns   the first element that was not taken
  template <std::input_iterator I, std::sentinel_for<I> S>
    requires range_element<std::iter_reference_t<I>, T>
  I try_push_range(I first, S last);

  /// Moves messages from the beginning of the run. Otherwise as try_push_range.
  ///
  /// Returns   the rest, untouched
  std::span<T> try_move_range(std::span<T> messages) noexcept;

  // ---- Consumers

  /// Takes the message at the front.
  ///
  /// Caller    anyone
  /// Progress  blocking: where a push stands still with the message at the front it answers busy,
  ///           at once. No call waits: what it does again is because of others' success
  /// Cost      O(1): one RMW and one store; more when others are faster
  /// Throws    nothing
  /// Orders    see try_push
  /// Returns   the message; empty, exactly; closed after seal(); busy, see Progress
  expected<T, queue_status> try_pop() noexcept;

  /// The same by assignment: `into` is untouched unless the answer is success.
  queue_status try_pop(T& into) noexcept
    requires std::is_nothrow_move_assignable_v<T>;

  /// Takes up to `max` messages, until there is none or the answer is busy.
  ///
  /// Caller    anyone
  /// Progress  blocking: as try_pop
  /// Cost      O(messages taken): one store each, and one RMW each; where `out` is contiguous and
  ///           the assignment cannot throw, one RMW for all that are there
  /// Throws    what the assignment to `*out` throws; that message is consumed, the others stay
  /// Returns   how many were taken
  template <std::output_iterator<T> O>
  size_type try_pop_n(O out, size_type max);

  /// Hands messages to `handler`, each moved out of its slot before, as T&&, until there is none or
  /// the answer is busy, and at most capacity(). The handler may use the queue and holds up nobody.
  ///
  /// Caller    anyone
  /// Progress  blocking: as try_pop
  /// Throws    what `handler` throws; the message that it was given is consumed, the others stay
  /// Returns   how many were handed over
  template <message_handler<T> F>
  size_type consume_all(F&& handler);

  // ---- Anybody

  /// Ends the queue, if it is empty: from then on every push and pop answers closed.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  /// Returns   whether the queue is sealed now; false when there is a message, or a push in the
  ///           middle
  bool seal() noexcept { return ring_.seal(); }

  /// How many messages there are about now, in [0, capacity()]: a hint, never a reason.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  size_type size_approx() const noexcept { return detail::approx_size(*this); }

  /// How many messages fit: exactly what was asked for.
  size_type capacity() const noexcept { return ring_.capacity(); }

  /// How many messages were ever put in, and how many were ever taken out; those that are just
  /// being put in or taken out count already. While threads run each only grows, and popped() read
  /// first is never above pushed().
  ///
  /// Caller    anyone
  /// Progress  wait-free
  std::uint64_t pushed() const noexcept { return ring_.end(); }
  std::uint64_t popped() const noexcept { return ring_.front(); }

private:
  static constexpr std::size_t static_slots =
      Capacity == dynamic_capacity ? dynamic_capacity : detail::slots_for(Capacity);
  using ring = detail::ticket_ring<T, static_slots, Allocator>;
  using place = typename ring::place;

  friend struct detail::test_access;
  mpmc_ticket_queue(std::size_t capacity, const Allocator& allocator, std::uint64_t first)
      : ring_{capacity, allocator, first} {}

  template <class... Args>
  queue_status build_and_put(Args&&... args);
  template <class... Args>
  queue_status put(Args&&... args) noexcept;
  template <class Build>
  size_type put_run(size_type wanted, Build build) noexcept;
  template <class Take>
  size_type take_run(size_type wanted, Take take) noexcept;
  void end_message(place at) noexcept;

  ring ring_;
};

template <class T, std::size_t Capacity, class Allocator>
struct queue_facts<mpmc_ticket_queue<T, Capacity, Allocator>> {
  static constexpr arity producers = arity::many;
  static constexpr arity consumers = arity::many;
  static constexpr ordering order = ordering::fifo;
  static constexpr progress push_progress = progress::blocking;
  static constexpr progress pop_progress = progress::blocking;
  static constexpr bool bounded = true;
  static constexpr bool sequentially_consistent = true; // by the position that a call takes
};

// ---- Definitions, in the order of the class

template <message T, std::size_t Capacity, class Allocator>
mpmc_ticket_queue<T, Capacity, Allocator>::~mpmc_ticket_queue() {
  take_run(capacity(), [](T&&, size_type) noexcept {});
}

template <message T, std::size_t Capacity, class Allocator>
template <class... Args>
  requires std::constructible_from<T, Args...>
inline queue_status mpmc_ticket_queue<T, Capacity, Allocator>::try_emplace(Args&&... args) noexcept(
    std::is_nothrow_constructible_v<T, Args...>) {
  if constexpr (!std::is_nothrow_constructible_v<T, Args...>) {
    if (const auto status = ring_.look_for_room(); status != queue_status::success) return status;
  }
  return build_and_put(std::forward<Args>(args)...);
}

template <message T, std::size_t Capacity, class Allocator>
template <std::input_iterator I, std::sentinel_for<I> S>
  requires range_element<std::iter_reference_t<I>, T>
I mpmc_ticket_queue<T, Capacity, Allocator>::try_push_range(I first, S last) {
  if constexpr (std::contiguous_iterator<I> && std::sized_sentinel_for<S, I> &&
                std::is_nothrow_constructible_v<T, std::iter_reference_t<I>>) {
    auto* const run = std::to_address(first);
    const auto build = [run](detail::cell<T>& cell, size_type i) noexcept {
      cell.construct(run[i]);
    };
    const size_type count = put_run(static_cast<size_type>(last - first), build);
    return first + static_cast<std::iter_difference_t<I>>(count);
  } else {
    while (first != last && ring_.look_for_room() == queue_status::success &&
           build_and_put(*first) == queue_status::success) {
      ++first;
    }
    return first;
  }
}

template <message T, std::size_t Capacity, class Allocator>
std::span<T>
mpmc_ticket_queue<T, Capacity, Allocator>::try_move_range(std::span<T> messages) noexcept {
  const auto build = [messages](detail::cell<T>& cell, size_type i) noexcept {
    cell.construct(std::move(messages[i]));
  };
  return messages.subspan(put_run(messages.size(), build));
}

template <message T, std::size_t Capacity, class Allocator>
inline expected<T, queue_status> mpmc_ticket_queue<T, Capacity, Allocator>::try_pop() noexcept {
  place taken;
  const auto status = ring_.take_front(taken);
  if (status != queue_status::success) return unexpected{status};
  return {detail::take, ring::cell(taken).value(), [this, taken] { end_message(taken); }};
}

template <message T, std::size_t Capacity, class Allocator>
inline queue_status mpmc_ticket_queue<T, Capacity, Allocator>::try_pop(T& into) noexcept
  requires std::is_nothrow_move_assignable_v<T>
{
  place taken;
  const auto status = ring_.take_front(taken);
  if (status != queue_status::success) return status;
  into = std::move(ring::cell(taken).value());
  end_message(taken);
  return queue_status::success;
}

template <message T, std::size_t Capacity, class Allocator>
template <std::output_iterator<T> O>
std::size_t mpmc_ticket_queue<T, Capacity, Allocator>::try_pop_n(O out, size_type max) {
  if constexpr (std::contiguous_iterator<O> &&
                std::is_nothrow_assignable_v<std::iter_reference_t<O>, T>) {
    auto* const run = std::to_address(out);
    return take_run(max, [run](T&& one, size_type i) noexcept { run[i] = std::move(one); });
  } else {
    size_type count = 0;
    for (; count != max; ++count, (void)++out) {
      auto one = try_pop();
      if (!one) break;
      *out = *std::move(one);
    }
    return count;
  }
}

template <message T, std::size_t Capacity, class Allocator>
template <message_handler<T> F>
std::size_t mpmc_ticket_queue<T, Capacity, Allocator>::consume_all(F&& handler) {
  size_type count = 0;
  for (; count != capacity(); ++count) {
    auto one = try_pop();
    if (!one) break;
    handler(*std::move(one));
  }
  return count;
}

/// Puts a message in that is built in its slot, or beside it where that may throw. (I1)
template <message T, std::size_t Capacity, class Allocator>
template <class... Args>
queue_status mpmc_ticket_queue<T, Capacity, Allocator>::build_and_put(Args&&... args) {
  if constexpr (std::is_nothrow_constructible_v<T, Args...>) {
    return put(std::forward<Args>(args)...);
  } else {
    return put(T(std::forward<Args>(args)...));
  }
}

/// Puts a message in that is built in its slot. (I1)
template <message T, std::size_t Capacity, class Allocator>
template <class... Args>
inline queue_status mpmc_ticket_queue<T, Capacity, Allocator>::put(Args&&... args) noexcept {
  place own;
  const auto status = ring_.take_back(own);
  if (status != queue_status::success) return status;
  ring::cell(own).construct(std::forward<Args>(args)...);
  ring_.filled(own);
  return queue_status::success;
}

/// Lets `build(cell, i)` build messages, as many at a time as there is room for. (I1)
template <message T, std::size_t Capacity, class Allocator>
template <class Build>
std::size_t mpmc_ticket_queue<T, Capacity, Allocator>::put_run(size_type wanted,
                                                               Build build) noexcept {
  size_type done = 0;
  while (done != wanted) {
    place at;
    size_type count = wanted - done;
    if (ring_.take_back(at, count) != queue_status::success) break;
    for (; count != 0; --count, ++done, at = ring_.next(at)) {
      build(ring::cell(at), done);
      ring_.filled(at);
    }
  }
  return done;
}

/// Lets `take(message, i)` move messages out, as many at a time as there are. (I1)
template <message T, std::size_t Capacity, class Allocator>
template <class Take>
std::size_t mpmc_ticket_queue<T, Capacity, Allocator>::take_run(size_type wanted,
                                                                Take take) noexcept {
  size_type done = 0;
  while (done != wanted) {
    place at;
    size_type count = wanted - done;
    if (ring_.take_front(at, count) != queue_status::success) break;
    for (; count != 0; --count, ++done, at = ring_.next(at)) {
      take(std::move(ring::cell(at).value()), done);
      end_message(at);
    }
  }
  return done;
}

template <message T, std::size_t Capacity, class Allocator>
void mpmc_ticket_queue<T, Capacity, Allocator>::end_message(place at) noexcept {
  ring::cell(at).destroy();
  ring_.emptied(at);
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_QUEUE_MPMC_TICKET_QUEUE_HPP

// ---- <mailroom/queue/block_chain.hpp>

#ifndef MAILROOM_QUEUE_BLOCK_CHAIN_HPP
#define MAILROOM_QUEUE_BLOCK_CHAIN_HPP

// An endless row of slots, of which only the part in use exists: blocks of slots, linked.
//
// Use it       never: it is the inside of mpsc_queue, which knows what is in the slots.
//
// A producer takes a ticket, which is a position in the row, finds its block and fills the slot.
// The one consumer walks along behind. Blocks that it has left come back as spare ones.
//
//      oldest       front              hint
//        v            v                  v
//      [ 0..63 ] -> [ 64..127 ] -> [ 128..191 ] -> [ 192..255 ]       linked up to limit = 256
//        left          ^ head             ^ ticket
//
// A ticket is only taken when its block is linked, or the producer has as many blocks in its hands
// as are missing. So memory that runs out is noticed before there is anything to be undone.
//
// Why no block ends while a producer may still touch it. A producer P with ticket t reads hint
// after it took t, walks from there to its own block, perhaps links blocks behind that, and writes
// its slot; that is the last that it touches.
//   - Its own block and later ones: the consumer does not get past t before P has written its slot.
//   - A block b before its own: P touches it only if the hint that it read was not yet past b.
//     Whoever moves hint past b reads the ticket word afterwards, by a RMW, and notes the number m
//     that it finds as the passed of b. If t >= m then P's ticket comes after that RMW, so P sees
//     the moved hint (T), and never comes to b. So t < m, and the consumer keeps b until its head
//     is at m: then P has written its slot, and the consumer has read it.
// For the same reason the pointer that P compares hint with is not that of a block made anew: hint
// only moves on, and a block behind it does not come back before P is done.
//
// Invariants
//   (I1)  limit never passes the end of the last block that is linked
//   (I2)  a block that is not in the chain is as new, and nobody else knows it
//   (I3)  a value that only decides whether to look closer, or that a CAS checks, orders nothing
//   (I4)  passed is a number. Who noted it, and everybody who could touch the block, has a ticket
//         below it; what they did to the block is seen with their slots, up to head >= passed
//   (I5)  positions do not wrap: 2^63 messages take centuries
//
// Memory order
//   (T)   ticket: the RMW on the ticket word, after hint has moved -> the CAS that takes a later
//         ticket, which continues its release sequence.
//   (D)   Dekker: taking a ticket is seq_cst, so that a producer who looks for sleepers afterwards,
//         by a seq_cst load, cannot miss one that found the row empty.
//   (L)   linked: the block, as it was made -> whoever finds it behind its predecessor; limit,
//         after a block was linked -> the producer that relies on it, so that its walk finds it.
//   (H)   hint: the block, as it was made -> whoever starts to walk there.
//   (R)   recycled: the block, as the consumer made it anew -> the producer that takes it.
//   (S)   sealed: what happened before the seal -> whoever is told closed.
//
// Decision: tickets are taken by CAS, not by fetch_add. Only so a producer knows its position
//   before it is committed to it, and leaves no hole when memory ends or the row is sealed.
// Decision: an address is enough for a spare block: it is swapped out whole, never unlinked from a
//   list, so nothing can be mistaken for what was there before (ABA).
//
// Sources: Yang, Mellor-Crummey, A Wait-free Queue as Fast as Fetch-and-Add, PPoPP 2016 (the row of
// blocks); Adas, Friedman, Jiffy: A Fast, Memory Efficient, Wait-Free Multi-Producers
// Single-Consumer Queue, 2020 (the consumer frees them); Tokio's mpsc channel (a number noted when
// the hint has moved).

#include <bit>     // bit_floor
#include <cstddef> // size_t
#include <cstdint> // uint64_t
#include <memory>  // allocator_traits, construct_at, destroy_at, pointer_traits, to_address

namespace mailroom::inline MAILROOM_ABI::detail {

/// `Slot` is made without arguments; how it is filled and emptied is the owner's matter.
template <class Slot, class Allocator>
class block_chain {
public:
  using position = std::uint64_t;

  /// How many slots a block has.
  static constexpr std::size_t block_slots =
      larger_of(least_block_slots, std::bit_floor(block_bytes / sizeof(Slot)));

  /// Makes an empty row that begins at position `first`.
  ///
  /// Throws    what the allocator throws
  block_chain(const Allocator& allocator, position first);

  /// Ends all blocks. What is in the slots is the owner's.
  ~block_chain();

  block_chain(const block_chain&) = delete;
  block_chain& operator=(const block_chain&) = delete;

  /// Takes the next slot, for its producer to fill, who touches nothing else here afterwards.
  ///
  /// Caller    anyone
  /// Progress  lock-free, if the allocator is
  /// Cost      one RMW; some more, once in block_slots calls. Allocates if no spare block is left
  /// Throws    what the allocator throws; then nothing was taken
  /// Returns   nullptr if the row is sealed
  Slot* claim();

  /// The slot at the front, claimed or not; nullptr if its block is not linked yet.
  ///
  /// Caller    the consumer
  /// Progress  wait-free but for giving blocks back
  Slot* front() noexcept;

  /// Goes on to the next slot, when the front one is done with.
  ///
  /// Caller    the consumer, after front() answered a slot
  void pop_front() noexcept { ++head_; }

  /// Where the consumer is.
  position head() const noexcept { return head_; }

  /// What a front slot that is not filled means: busy if it is claimed, else empty or closed.
  ///
  /// Caller    the consumer
  /// Progress  wait-free
  queue_status why_not() const noexcept;

  /// The first position that was not claimed.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  position end() const noexcept {
    return tickets_.load(memory_order::relaxed) & ~sealed; // (I3)
  }

  /// Ends the row if nothing was claimed beyond `head`, where the consumer is or has been.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Returns   whether it is sealed now
  bool seal(position head) noexcept;
  bool is_sealed() const noexcept {
    return (tickets_.load(memory_order::acquire) & sealed) != 0; // (S)
  }

private:
  static constexpr position sealed = position{1} << 63; // of the ticket word
  static constexpr position not_passed = ~position{0};  // is above every head

  struct block {
    position first = 0;
    block* before = nullptr; // in the chain; or the next one in the same hands
    atomic<block*> next;
    atomic<position> passed{not_passed};
    Slot slots[block_slots];

    position end() const noexcept { return first + block_slots; }
  };
  class carried;

  using allocator = typename std::allocator_traits<Allocator>::template rebind_alloc<block>;
  using traits = std::allocator_traits<allocator>;

  block& find(position ticket, carried& own) noexcept;
  void move_hint(block& from, block& to) noexcept;
  block* extend(block& last, carried& own) noexcept;
  void recycle_left() noexcept;
  block* take_spare() noexcept;
  void give(block& fresh) noexcept;
  block& allocate();
  void free(block& old) noexcept;

  [[no_unique_address]] const allocator allocator_;

  // The producers' lines: the word that all change, and what changes once in a block.
  alignas(cache_line) atomic<position> tickets_;
  alignas(cache_line) atomic<position> limit_;
  atomic<block*> hint_;

  // Between both sides.
  alignas(cache_line) atomic<block*> spares_[spare_blocks];

  // The consumer's line.
  alignas(cache_line) position head_;
  block* front_;
  block* oldest_;
};

// ---- Definitions, in the order of the class

/// The blocks that a producer has in its hands. What it does not need it gives back.
template <class Slot, class Allocator>
class block_chain<Slot, Allocator>::carried {
public:
  explicit carried(block_chain& chain) noexcept : chain_{chain} {}
  carried(const carried&) = delete;
  carried& operator=(const carried&) = delete;
  ~carried() {
    while (first_ != nullptr) chain_.give(pop());
  }

  /// Takes as many that the position would have a block.
  void provide(position ticket) {
    while (chain_.limit_.load(memory_order::acquire) + count_ * block_slots <= ticket) { // (L)
      if (!take_spare()) push(chain_.allocate());
    }
  }
  bool take_spare() noexcept {
    block* const spare = chain_.take_spare();
    if (spare != nullptr) push(*spare);
    return spare != nullptr;
  }

  void push(block& fresh) noexcept {
    fresh.before = first_;
    first_ = &fresh;
    ++count_;
  }
  block& pop() noexcept {
    block& fresh = *first_;
    first_ = fresh.before;
    --count_;
    return fresh;
  }

private:
  block_chain& chain_;
  block* first_ = nullptr;
  std::size_t count_ = 0;
};

template <class Slot, class Allocator>
block_chain<Slot, Allocator>::block_chain(const Allocator& source, position first)
    : allocator_(source), tickets_{first}, head_{first} {
  front_ = oldest_ = &allocate();
  front_->first = first - first % block_slots;
  hint_.store(front_, memory_order::relaxed);         // (I2)
  limit_.store(front_->end(), memory_order::relaxed); // (I2)
}

template <class Slot, class Allocator>
block_chain<Slot, Allocator>::~block_chain() {
  while (oldest_ != nullptr) {
    block& old = *oldest_;
    oldest_ = old.next.load(memory_order::relaxed); // (I2)
    free(old);
  }
  while (block* const spare = take_spare()) free(*spare);
}

template <class Slot, class Allocator>
Slot* block_chain<Slot, Allocator>::claim() {
  carried own{*this};
  position ticket = tickets_.load(memory_order::acquire); // (S)
  do {
    if ((ticket & sealed) != 0) return nullptr;
    own.provide(ticket);
  } while (!tickets_.compare_exchange(ticket, ticket + 1, memory_order::seq_cst, // (T) (D)
                                      memory_order::acquire)); // (S)
  block& mine = find(ticket, own);
  const std::size_t index = static_cast<std::size_t>(ticket) % block_slots;
  if (index == block_slots / 2 && mine.next.load(memory_order::relaxed) == nullptr && // (I3)
      own.take_spare()) {
    (void)extend(mine, own); // ahead of need, by one of all
  }
  return &mine.slots[index];
}

template <class Slot, class Allocator>
Slot* block_chain<Slot, Allocator>::front() noexcept {
  if (head_ == front_->end()) {
    block* const next = front_->next.load(memory_order::acquire); // (L)
    if (next == nullptr) return nullptr;
    front_ = next;
    recycle_left();
  }
  return &front_->slots[static_cast<std::size_t>(head_) % block_slots];
}

template <class Slot, class Allocator>
queue_status block_chain<Slot, Allocator>::why_not() const noexcept {
  const position ticket = tickets_.load(memory_order::acquire); // (S)
  if ((ticket & sealed) != 0) return queue_status::closed;
  return ticket == head_ ? queue_status::empty : queue_status::busy;
}

template <class Slot, class Allocator>
bool block_chain<Slot, Allocator>::seal(position head) noexcept {
  position ticket = head;
  return tickets_.compare_exchange(ticket, head | sealed, memory_order::release, // (S)
                                   memory_order::acquire) ||                     // (S)
         (ticket & sealed) != 0;
}

/// Walks from the hint to the block of the ticket: onwards, where missing blocks are linked; or
/// back, if others have moved the hint further.
template <class Slot, class Allocator>
auto block_chain<Slot, Allocator>::find(position ticket, carried& own) noexcept -> block& {
  block* const hinted = hint_.load(memory_order::acquire); // (H)
  block* at = hinted;
  while (at->end() <= ticket) {
    block* next = at->next.load(memory_order::acquire); // (L)
    if (next == nullptr) next = extend(*at, own);
    at = next;
  }
  if (at != hinted) move_hint(*hinted, *at);
  while (ticket < at->first) at = at->before;
  return *at;
}

/// Moves the hint to the own block, and notes in those it has passed who may still come to them. If
/// somebody else has moved it meanwhile, they do.
template <class Slot, class Allocator>
void block_chain<Slot, Allocator>::move_hint(block& from, block& to) noexcept {
  block* seen = &from;
  if (!hint_.compare_exchange(seen, &to, memory_order::release, // (H)
                              memory_order::relaxed)) {         // (I3)
    return;
  }
  const position ticket = tickets_.fetch_add(0, memory_order::release); // (T)
  for (block* each = &from; each != &to;) {
    block* const next = each->next.load(memory_order::relaxed); // (I3)
    each->passed.store(ticket, memory_order::relaxed);          // (I4)
    each = next;
  }
}

/// Links a block in hand behind the last one. Returns what is there now.
template <class Slot, class Allocator>
auto block_chain<Slot, Allocator>::extend(block& last, carried& own) noexcept -> block* {
  block& fresh = own.pop();
  fresh.first = last.end();
  fresh.before = &last;
  block* next = nullptr;
  if (last.next.compare_exchange(next, &fresh, memory_order::release, // (L)
                                 memory_order::acquire)) {            // (L)
    limit_.fetch_add(block_slots, memory_order::release);             // (L)
    return &fresh;
  }
  own.push(fresh);
  return next;
}

/// Makes the blocks that no producer can come to any more spare ones.
template <class Slot, class Allocator>
void block_chain<Slot, Allocator>::recycle_left() noexcept {
  while (oldest_ != front_ && oldest_->passed.load(memory_order::relaxed) <= head_) { // (I4)
    block& old = *oldest_;
    oldest_ = old.next.load(memory_order::relaxed); // (I4)
    std::destroy_at(&old);
    give(*std::construct_at(&old));
  }
}

template <class Slot, class Allocator>
auto block_chain<Slot, Allocator>::take_spare() noexcept -> block* {
  for (auto& place : spares_) {
    if (place.load(memory_order::relaxed) == nullptr) continue;                            // (I3)
    if (block* const spare = place.exchange(nullptr, memory_order::acquire)) return spare; // (R)
  }
  return nullptr;
}

/// Keeps a block for later, if there is a place for it.
template <class Slot, class Allocator>
void block_chain<Slot, Allocator>::give(block& fresh) noexcept {
  for (auto& place : spares_) {
    block* none = nullptr;
    if (place.load(memory_order::relaxed) == nullptr &&             // (I3)
        place.compare_exchange(none, &fresh, memory_order::release, // (R)
                               memory_order::relaxed)) {            // (I3)
      return;
    }
  }
  free(fresh);
}

template <class Slot, class Allocator>
auto block_chain<Slot, Allocator>::allocate() -> block& {
  allocator source{allocator_};
  return *std::construct_at(std::to_address(traits::allocate(source, 1)));
}

template <class Slot, class Allocator>
void block_chain<Slot, Allocator>::free(block& old) noexcept {
  allocator source{allocator_};
  std::destroy_at(&old);
  traits::deallocate(source, std::pointer_traits<typename traits::pointer>::pointer_to(old), 1);
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_QUEUE_BLOCK_CHAIN_HPP

// ---- <mailroom/queue/mpsc_queue.hpp>

#ifndef MAILROOM_QUEUE_MPSC_QUEUE_HPP
#define MAILROOM_QUEUE_MPSC_QUEUE_HPP

// An unbounded queue from many producer threads to one consumer thread.
//
// Use it       where a producer must never be told full, as the inbox of an actor or a logger.
// Instead use  mpmc_queue with a bound, where producers may be faster for long: this one then grows
//              until memory ends; or where a producer may be stopped in the middle of a push;
//              intrusive_mpsc_queue when the messages are objects that exist already.
//
// Messages stand in an endless row of slots (block_chain.hpp, which has the proof). A producer
// takes the next slot, builds its message in it and says so; the consumer takes them in the order
// of the row. Blocks of slots that the consumer has left are used again: while the number of
// messages inside swings by less than eight blocks, of a kilobyte or eight messages, nothing is
// allocated.
//
//      try_push    ticket: CAS --> slot: build, then full        one RMW and one store
//      try_pop     slot is full? take the message                no RMW
//
// Invariants
//   (I1)  a slot is filled or skipped once, by who took it, and then left by the consumer once
//   (I2)  only the consumer writes popped and passed_over
//   (I3)  pushed() tells a number, not what is in the messages; that it is not below popped() comes
//         from (E)
//
// Memory order
//   (F)   filled: the producer stores full -> the consumer loads it and sees the message built.
//   (E)   emptied: the consumer has seen the ticket of what it took -> whoever reads popped() first
//         and pushed() then.
//   (X)   skipped: the ticket of a message that was never built -> whoever takes it off pushed().
//
// Linearisation: a push where it takes its ticket; empty and closed where the ticket word is read.
//
// A producer that stands still between its ticket and its store hides what was pushed behind it:
// pop answers busy until it goes on. So pop_progress is blocking, though no call waits.
//
// Decision: what may throw is done before there is a ticket: the memory for a new block, and the
//   message itself where its constructor may throw and its move cannot. Only a message whose move
//   may throw too is built in its slot whatever happens; if that fails the slot is skipped.

#include <concepts>    // constructible_from, copy_constructible, assignable_from
#include <cstddef>     // size_t
#include <cstdint>     // int64_t, uint32_t, uint64_t
#include <iterator>    // input_iterator, sentinel_for, output_iterator
#include <limits>      // numeric_limits
#include <memory>      // addressof, allocator
#include <span>        // span
#include <type_traits> // is_nothrow_constructible, is_nothrow_move_constructible
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI {

template <message T, class Allocator = std::allocator<T>>
class mpsc_queue {
public:
  using value_type = T;
  using size_type = std::size_t;
  using allocator_type = Allocator;

  /// Makes an empty queue. The allocator is used by whoever pushes or pops, by several threads at a
  /// time: it must permit that, as std::allocator does and an unsynchronized pool does not.
  ///
  /// Cost      allocates the first block
  /// Throws    what the allocator throws
  mpsc_queue() : mpsc_queue{Allocator{}} {}
  explicit mpsc_queue(const Allocator& allocator) : mpsc_queue{allocator, 0} {}

  /// Destroys the messages still inside, first in first.
  ///
  /// Caller    anyone, once no other thread uses the queue
  ~mpsc_queue();

  mpsc_queue(const mpsc_queue&) = delete;
  mpsc_queue& operator=(const mpsc_queue&) = delete;

  // ---- Producers

  /// Puts a message at the back.
  ///
  /// Caller    anyone
  /// Progress  lock-free, if the allocator is
  /// Cost      O(1): one RMW and one store; more when others are faster. Allocates a block when the
  ///           last one is used up and no spare one is left
  /// Throws    what T's constructor throws, and what the allocator throws: no message was put in
  ///           then, and the argument keeps its own unless T's move threw
  /// Orders    all before a successful call happens before the return of the pop that takes it
  /// Returns   success; closed after seal(), and the argument keeps its message
  queue_status try_push(const T& value)
    requires std::copy_constructible<T>
  {
    return try_emplace(value);
  }
  queue_status try_push(T&& value) { return try_emplace(std::move(value)); }

  /// Builds a message from the arguments at the back. Everything else is as for try_push, but where
  /// the memory ends or the queue is sealed during the call the arguments may have been used.
  template <class... Args>
    requires std::constructible_from<T, Args...>
  queue_status try_emplace(Args&&... args);

  /// Puts the messages of [first, last) at the back, in order. Other producers' messages may come
  /// between them.
  ///
  /// Caller    anyone
  /// Progress  lock-free, if the iterator and the allocator are
  /// Cost      O(messages): one RMW each
  /// Throws    what the iterator, T's constructor or the allocator throws; the messages before are
  ///           in the queue
  /// Returns   the first element that was not taken: `last`, unless the queue is sealed
  template <std::input_iterator I, std::sentinel_for<I> S>
    requires range_element<std::iter_reference_t<I>, T>
  I try_push_range(I first, S last);

  /// Moves the messages of the run. Otherwise as try_push_range.
  ///
  /// Returns   the rest, untouched
  std::span<T> try_move_range(std::span<T> messages);

  // ---- The consumer

  /// Takes the message at the front.
  ///
  /// Caller    the consumer
  /// Progress  wait-free, but for the allocator, which gets blocks back that are too many
  /// Cost      O(1): no RMW; a few once in a block
  /// Throws    what T's move constructor throws; the message then is still in the queue
  /// Orders    see try_push
  /// Returns   the message; or empty, exactly; closed after seal(); busy when the message at the
  ///           front is just being put in
  expected<T, queue_status> try_pop() noexcept(std::is_nothrow_move_constructible_v<T>);

  /// The same by assignment: `into` is untouched unless the answer is success.
  ///
  /// Throws    what T's move assignment throws; the message then is still in the queue
  queue_status try_pop(T& into) noexcept(std::is_nothrow_move_assignable_v<T>)
    requires std::assignable_from<T&, T&&>;

  /// Takes up to `max` messages, until there is none or the answer is busy.
  ///
  /// Caller    the consumer
  /// Progress  as try_pop, if the iterator is wait-free
  /// Throws    what the assignment to `*out` throws; that message is still in the queue
  /// Returns   how many were taken
  template <std::output_iterator<T> O>
  size_type try_pop_n(O out, size_type max);

  /// Hands the messages that are there at the call to `handler`, in place, as T&&, until there is
  /// none or the answer is busy. The handler may push into the queue, but not pop from it.
  ///
  /// Caller    the consumer
  /// Progress  as try_pop, if the handler is wait-free
  /// Throws    what `handler` throws; the message that it was given is consumed, the others stay
  /// Returns   how many were handed over
  template <message_handler<T> F>
  size_type consume_all(F&& handler);

  // ---- Anybody

  /// Ends the queue, if it is empty: from then on every push and pop answers closed.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Returns   whether the queue is sealed now; false when there is a message, a pop in flight, or
  ///           a slot that a push left by a throw, until a pop has passed over it
  bool seal() noexcept;

  /// How many messages there are about now: a hint, never a reason.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  size_type size_approx() const noexcept;

  /// How many messages fit: there is no bound, so this is the largest number.
  static constexpr size_type capacity() noexcept { return std::numeric_limits<size_type>::max(); }

  /// How many messages were ever put in, and how many were ever taken out. Exact once the threads
  /// have stopped; while they run popped() read first is never above pushed(), and each only grows,
  /// except that a message whose constructor throws in its slot is counted until then.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  std::uint64_t pushed() const noexcept;
  std::uint64_t popped() const noexcept;

private:
  using enum detail::memory_order;

  enum class state : std::uint32_t { claimed, full, skipped };
  struct slot {
    detail::atomic<state> is;
    detail::cell<T> message;
  };

  /// Tells the consumer, when it goes out of scope, what has become of a slot.
  struct filling {
    mpsc_queue& queue;
    slot& at;
    state outcome = state::skipped;
    ~filling() {
      if (outcome == state::skipped) queue.skipped_.fetch_add(1, release); // (X)
      at.is.store(outcome, release);                                       // (F)
    }
  };

  friend struct detail::test_access;
  mpsc_queue(const Allocator& allocator, std::uint64_t first);

  template <class... Args>
  queue_status put(Args&&... args);
  slot* front(queue_status& status) noexcept;
  void pop_front(slot& at) noexcept;

  detail::block_chain<slot, Allocator> slots_;

  // The consumer's line.
  alignas(detail::cache_line) detail::atomic<std::uint64_t> popped_;
  detail::atomic<std::uint64_t> passed_over_;

  // Written when a constructor throws in its slot.
  alignas(detail::cache_line) detail::atomic<std::uint64_t> skipped_;
};

template <class T, class Allocator>
struct queue_facts<mpsc_queue<T, Allocator>> {
  static constexpr arity producers = arity::many;
  static constexpr arity consumers = arity::one;
  static constexpr ordering order = ordering::fifo;
  static constexpr progress push_progress = progress::lock_free;
  static constexpr progress pop_progress = progress::blocking;
  static constexpr bool bounded = false;
  static constexpr bool sequentially_consistent = true; // a push by its ticket; nobody awaits a pop
};

// ---- Definitions, in the order of the class

template <message T, class Allocator>
mpsc_queue<T, Allocator>::~mpsc_queue() {
  queue_status status;
  while (slot* const at = front(status)) pop_front(*at);
}

template <message T, class Allocator>
template <class... Args>
  requires std::constructible_from<T, Args...>
queue_status mpsc_queue<T, Allocator>::try_emplace(Args&&... args) {
  if constexpr (nothrow_message<T> && !std::is_nothrow_constructible_v<T, Args...>) {
    if (slots_.is_sealed()) return queue_status::closed;
    return put(T(std::forward<Args>(args)...));
  } else {
    return put(std::forward<Args>(args)...);
  }
}

template <message T, class Allocator>
template <std::input_iterator I, std::sentinel_for<I> S>
  requires range_element<std::iter_reference_t<I>, T>
I mpsc_queue<T, Allocator>::try_push_range(I first, S last) {
  while (first != last && try_emplace(*first) == queue_status::success) ++first;
  return first;
}

template <message T, class Allocator>
std::span<T> mpsc_queue<T, Allocator>::try_move_range(std::span<T> messages) {
  while (!messages.empty() && try_push(std::move(messages.front())) == queue_status::success) {
    messages = messages.subspan(1);
  }
  return messages;
}

template <message T, class Allocator>
expected<T, queue_status>
mpsc_queue<T, Allocator>::try_pop() noexcept(std::is_nothrow_move_constructible_v<T>) {
  queue_status status;
  slot* const at = front(status);
  if (at == nullptr) return unexpected{status};
  return {detail::take, at->message.value(), [this, at] { pop_front(*at); }};
}

template <message T, class Allocator>
queue_status
mpsc_queue<T, Allocator>::try_pop(T& into) noexcept(std::is_nothrow_move_assignable_v<T>)
  requires std::assignable_from<T&, T&&>
{
  queue_status status;
  slot* const at = front(status);
  if (at == nullptr) return status;
  into = std::move(at->message.value());
  pop_front(*at);
  return queue_status::success;
}

template <message T, class Allocator>
template <std::output_iterator<T> O>
std::size_t mpsc_queue<T, Allocator>::try_pop_n(O out, size_type max) {
  queue_status status;
  size_type count = 0;
  for (; count != max; ++count, (void)++out) {
    slot* const at = front(status);
    if (at == nullptr) break;
    *out = std::move(at->message.value());
    pop_front(*at);
  }
  return count;
}

template <message T, class Allocator>
template <message_handler<T> F>
std::size_t mpsc_queue<T, Allocator>::consume_all(F&& handler) {
  struct consumed {
    mpsc_queue& queue;
    slot& at;
    ~consumed() { queue.pop_front(at); }
  };
  const std::uint64_t end = slots_.end();
  queue_status status;
  size_type count = 0;
  for (; slots_.head() < end; ++count) {
    slot* const at = front(status);
    if (at == nullptr || slots_.head() >= end) break; // perhaps behind slots that were skipped
    const consumed one{*this, *at};
    handler(std::move(at->message.value()));
  }
  return count;
}

template <message T, class Allocator>
bool mpsc_queue<T, Allocator>::seal() noexcept {
  return slots_.seal(popped() + passed_over_.load(relaxed)); // (I2)
}

template <message T, class Allocator>
std::size_t mpsc_queue<T, Allocator>::size_approx() const noexcept {
  const std::uint64_t out = popped();
  return static_cast<std::size_t>(pushed() - out);
}

template <message T, class Allocator>
std::uint64_t mpsc_queue<T, Allocator>::pushed() const noexcept {
  const std::uint64_t skipped = skipped_.load(acquire); // (X)
  return slots_.end() - skipped;
}

template <message T, class Allocator>
std::uint64_t mpsc_queue<T, Allocator>::popped() const noexcept {
  return popped_.load(acquire); // (E)
}

template <message T, class Allocator>
mpsc_queue<T, Allocator>::mpsc_queue(const Allocator& allocator, std::uint64_t first)
    : slots_{allocator, first}, popped_{first} {}

/// Builds a message in the next slot. If its constructor throws the slot is skipped.
template <message T, class Allocator>
template <class... Args>
queue_status mpsc_queue<T, Allocator>::put(Args&&... args) {
  slot* const at = slots_.claim();
  if (at == nullptr) return queue_status::closed;
  filling own{*this, *at};
  at->message.construct(std::forward<Args>(args)...);
  own.outcome = state::full;
  return queue_status::success;
}

/// The slot of the message at the front; or nullptr, and the status that says why.
template <message T, class Allocator>
auto mpsc_queue<T, Allocator>::front(queue_status& status) noexcept -> slot* {
  for (;;) {
    slot* const at = slots_.front();
    const state is = at == nullptr ? state::claimed : at->is.load(acquire); // (F)
    if (is == state::full) return at;
    if (is == state::claimed) {
      status = slots_.why_not();
      return nullptr;
    }
    slots_.pop_front();
    passed_over_.store(passed_over_.load(relaxed) + 1, relaxed); // (I2)
  }
}

template <message T, class Allocator>
void mpsc_queue<T, Allocator>::pop_front(slot& at) noexcept {
  at.message.destroy();
  slots_.pop_front();
  popped_.store(popped_.load(relaxed) + 1, release); // (E) (I2)
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_QUEUE_MPSC_QUEUE_HPP

// ---- <mailroom/queue/intrusive_mpsc_queue.hpp>

#ifndef MAILROOM_QUEUE_INTRUSIVE_MPSC_QUEUE_HPP
#define MAILROOM_QUEUE_INTRUSIVE_MPSC_QUEUE_HPP

// A queue of the caller's own objects, from many producer threads to one consumer thread.
//
// Use it       when the messages are objects that exist anyway, as tasks and actors do: nothing is
//              allocated, copied or moved, a push cannot fail, and a producer that stands still
//              hides nothing.
// Instead use  mpsc_queue when the queue shall own its messages.
//
//      struct job : mailroom::intrusive_node { ... };
//      mailroom::intrusive_mpsc_queue<job> jobs;
//
// One word is all that the threads share: the newest of the nodes that nobody has taken. A push
// puts its node before it; the consumer takes them all by one exchange, turns them round, and hands
// them out from there.
//
//      newest --> [4] --> [3] --> nothing        exchange, reverse --> [3] [4]
//
// The word has a third value: the consumer is at rest. Exactly one push ends the rest, and is told;
// so a runtime schedules an actor once, however many send to it at a time:
//
//      sender      if (inbox.push(mail)) schedule(actor);
//      actor       do inbox.consume_all(handle); while (!inbox.try_rest());
//
// Ownership. A node belongs to the caller. From push() until the consumer gets it back it must stay
// alive and in place, and be in no other queue; the queue writes its link and nothing else. Nodes
// that are inside when the queue ends are left as they are: whoever owns them takes them out first.
//
// Invariants
//   (I1)  only the consumer takes nodes out of the word, all at once; so a push that finds the same
//         address as before may rely on it (no ABA)
//   (I2)  a value that a CAS or an exchange checks orders nothing
//
// Memory order
//   (F)   filled: the node as it was pushed -> the consumer that takes it. A later push continues
//         the release sequence, so one acquire is enough for all.
//   (R)   rest: what the consumer did before it went to rest -> the push that ends the rest, and so
//         whoever it tells to go on.
//
// Sources: Treiber, Systems Programming: Coping with Parallelism, 1986 (the list); the third value
// is how CAF's mailboxes and Folly's AtomicNotificationQueue put their reader to sleep.

#include <concepts> // derived_from, invocable
#include <cstddef>  // size_t
#include <memory>   // addressof

namespace mailroom::inline MAILROOM_ABI {

template <class Node>
class intrusive_mpsc_queue;

/// The base of what can be in an intrusive queue. A copy is in no queue.
class intrusive_node {
public:
  intrusive_node() noexcept = default;
  intrusive_node(const intrusive_node&) noexcept {}
  intrusive_node& operator=(const intrusive_node&) noexcept { return *this; }

protected:
  ~intrusive_node() = default;

private:
  template <class Node>
  friend class intrusive_mpsc_queue;
  intrusive_node* next_ = nullptr;
};

template <class Node>
class intrusive_mpsc_queue {
public:
  using node_type = Node;
  using size_type = std::size_t;

  /// Makes an empty queue, at rest. Throws nothing.
  intrusive_mpsc_queue() noexcept : newest_{&rest_} {
    static_assert(std::derived_from<Node, intrusive_node>,
                  "mailroom: what is put into an intrusive queue derives from intrusive_node");
  }

  /// Leaves the nodes inside alone.
  ///
  /// Caller    anyone, once no other thread uses the queue
  ~intrusive_mpsc_queue() = default;

  intrusive_mpsc_queue(const intrusive_mpsc_queue&) = delete;
  intrusive_mpsc_queue& operator=(const intrusive_mpsc_queue&) = delete;

  // ---- Producers

  /// Puts a node at the back.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  /// Cost      O(1): one RMW; more when others are faster
  /// Throws    nothing
  /// Orders    all before the call happens before the return of the pop that takes the node; and
  ///           all before try_rest() before the return of the push that answers true
  /// Returns   whether it has ended the consumer's rest: then the caller sees to it that the
  ///           consumer goes on. Where the consumer never rests this may be ignored
  bool push(Node& node) noexcept;

  // ---- The consumer

  /// Takes the node at the front.
  ///
  /// Caller    the consumer
  /// Progress  wait-free
  /// Cost      O(1) on the average: what was pushed meanwhile is taken by one RMW and turned round
  /// Orders    see push
  /// Returns   the node, which is the caller's again; or nullptr if the queue is empty, exactly
  Node* try_pop() noexcept;

  /// Hands the nodes that are there at the call to `handler`, as Node&, in order. The handler may
  /// push and destroy them, and push others, but not pop.
  ///
  /// Caller    the consumer
  /// Progress  wait-free, if the handler is
  /// Throws    what `handler` throws; the node that it was given is out, the others stay
  /// Returns   how many were handed over
  template <std::invocable<Node&> F>
  size_type consume_all(F&& handler);

  /// Goes to rest, if the queue is empty: the next push will answer true.
  ///
  /// Caller    the consumer. After true it is no longer that: the next one is whom the push that
  ///           answers true tells to go on
  /// Progress  wait-free
  /// Orders    see push
  /// Returns   false if there is a node, and the consumer goes on
  bool try_rest() noexcept;

private:
  using enum detail::memory_order;
  using link = intrusive_node*;

  bool take_all() noexcept;
  Node& take_first() noexcept;

  // The producers' line.
  alignas(detail::cache_line) detail::atomic<link> newest_;

  // The consumer's line: what it has taken, in order; and nobody's node, which stands in the word
  // while the consumer is at rest.
  alignas(detail::cache_line) link first_ = nullptr;
  intrusive_node rest_;
};

template <class Node>
struct queue_facts<intrusive_mpsc_queue<Node>> {
  static constexpr arity producers = arity::many;
  static constexpr arity consumers = arity::one;
  static constexpr ordering order = ordering::fifo;
  static constexpr progress push_progress = progress::lock_free;
  static constexpr progress pop_progress = progress::wait_free;
  static constexpr bool bounded = false;
  static constexpr bool sequentially_consistent = false;
};

// ---- Definitions, in the order of the class

template <class Node>
bool intrusive_mpsc_queue<Node>::push(Node& node) noexcept {
  intrusive_node& own = node;
  link seen = newest_.load(relaxed); // (I2)
  do {
    own.next_ = seen == &rest_ ? nullptr : seen;
  } while (!newest_.compare_exchange(seen, &own, acq_rel, // (F) (R)
                                     relaxed)); // (I2)
  return seen == &rest_;
}

template <class Node>
Node* intrusive_mpsc_queue<Node>::try_pop() noexcept {
  if (first_ == nullptr && !take_all()) return nullptr;
  return std::addressof(take_first());
}

template <class Node>
template <std::invocable<Node&> F>
std::size_t intrusive_mpsc_queue<Node>::consume_all(F&& handler) {
  size_type count = 0;
  for (; first_ != nullptr; ++count) handler(take_first()); // is older than what is in the word
  if (take_all()) {
    for (; first_ != nullptr; ++count) handler(take_first());
  }
  return count;
}

template <class Node>
bool intrusive_mpsc_queue<Node>::try_rest() noexcept {
  if (first_ != nullptr) return false;
  link seen = nullptr;
  return newest_.compare_exchange(seen, &rest_, release, // (R)
                                  relaxed) ||            // (I2)
         seen == &rest_;
}

/// Takes all nodes out of the word, the newest first, and turns them round. There are none in hand.
template <class Node>
bool intrusive_mpsc_queue<Node>::take_all() noexcept {
  const link newest = newest_.load(relaxed); // (I2)
  if (newest == nullptr || newest == &rest_) return false;
  for (link each = newest_.exchange(nullptr, acquire); each != nullptr;) { // (F)
    const link next = each->next_;
    each->next_ = first_;
    first_ = each;
    each = next;
  }
  return true;
}

template <class Node>
Node& intrusive_mpsc_queue<Node>::take_first() noexcept {
  const link first = first_;
  first_ = first->next_;
  return static_cast<Node&>(*first);
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_QUEUE_INTRUSIVE_MPSC_QUEUE_HPP

// ---- <mailroom/queue/reader_cursors.hpp>

#ifndef MAILROOM_QUEUE_READER_CURSORS_HPP
#define MAILROOM_QUEUE_READER_CURSORS_HPP

// How far each reader of a ring has read, so that its producers know what may be overwritten.
//
// Use it       never: it is a part of the lossless broadcast_queue.
//
// Every reader has a cursor of its own, on a cache line of its own, which only it writes. Cursors
// stand in chunks; chunks form a list that only grows, and ends with the ring. So a producer may
// look at all cursors at any time, and a cursor is used again by a later reader.
//
//      first --> | at  at  at  ... | --> | at  at  at  ... | --> none
//
// A cursor that no reader has stands `far` ahead of all messages, where it holds nobody back.
//
// Invariants
//   (I1)  only its reader writes a cursor; one that no reader has is taken by a CAS
//   (I2)  a cursor is not above its reader's place: an old value holds back more, never less
//   (I3)  what least() answers is for ever not above any reader's place, now or later: see (J)
//   (I4)  the maker of a chunk is alone with it, and so is the destructor with all
//   (I5)  `end` may be an old one; whoever joins then holds back too much for a moment
//
// Memory order
//   (E)   emptied: what a reader did with messages -> the cursor, which it stores afterwards ->
//         the producer that loads it and overwrites them.
//   (H)   handed over: a cursor is taken by an RMW, which does not end what its last reader has
//         released, and the fence behind it acquires that; so the next store hands it on too.
//   (J)   joining: a reader puts its cursor there, then reads where the ring ends, and begins
//         there; a producer reads where the ring ends, then loads the cursors. A fence stands
//         between the two steps of each, so one of them sees the other: either the producer finds
//         the cursor, or the reader begins at or behind the end that the producer starts from.
//   (L)   listed: a chunk is built -> whoever finds it in the list. Later chunks are added by a CAS
//         too, so who finds a chunk has seen those behind it built.
//
// Decision: the place to begin is read after the cursor is there, instead of checking afterwards
//   whether it was still good: there is nothing to retry.

#include <cstddef> // size_t
#include <cstdint> // int64_t, uint64_t
#include <memory>  // allocator_traits, construct_at, destroy_at, pointer_traits, to_address

namespace mailroom::inline MAILROOM_ABI::detail {

template <class Allocator>
class reader_cursors {
public:
  using position = std::uint64_t;

  /// Where one reader stands: it is done with all messages below.
  struct alignas(cache_line) cursor {
    atomic<position> at;
  };

  /// A cursor, and the position of the first message that its reader gets.
  struct membership {
    cursor* own;
    position from;
  };

  explicit reader_cursors(const Allocator& source) noexcept : allocator_(source) {}
  reader_cursors(const reader_cursors&) = delete;
  reader_cursors& operator=(const reader_cursors&) = delete;
  ~reader_cursors();

  /// Makes the caller a reader of the ring that ends at `end`. From now on least() minds it.
  ///
  /// Caller    anyone, as for all that follows; the allocator must then allow it too
  /// Progress  lock-free, if the allocator is
  /// Cost      O(readers); allocates when there are more of them than ever before
  /// Throws    what the allocator throws; nothing has changed then
  membership join(const atomic<position>& end);

  /// The reader is done with all messages below `at`.
  ///
  /// Caller    the cursor's reader
  /// Progress  wait-free
  static void move(cursor& own, position at) noexcept {
    own.at.store(at, memory_order::release); // (E)
  }

  /// Gives the cursor up; its reader held nobody back beyond `at`.
  static void leave(cursor& own, position at) noexcept { move(own, at + far); }

  /// The least position that a reader may still need, or `end`, which the caller has read, when all
  /// are done.
  ///
  /// Progress  wait-free, but for readers that are more than ever before
  /// Cost      O(readers)
  position least(position end) const noexcept;

private:
  static constexpr position far = position{1} << 62;

  struct chunk {
    cursor cursors[cursors_together];
    chunk* next;
  };
  using allocator = typename std::allocator_traits<Allocator>::template rebind_alloc<chunk>;
  using traits = std::allocator_traits<allocator>;

  /// Whether no reader has the cursor. `far` is farther than an old `end` can be wrong.
  static bool is_free(position at, position end) noexcept {
    return static_cast<std::int64_t>(at - end) > static_cast<std::int64_t>(far / 2);
  }
  cursor& take_cursor(position end);
  cursor& add_chunk(position end);

  [[no_unique_address]] allocator allocator_;
  atomic<chunk*> first_;
};

// ---- Definitions, in the order of the class

template <class Allocator>
reader_cursors<Allocator>::~reader_cursors() {
  chunk* each = first_.load(memory_order::relaxed); // (I4)
  while (each != nullptr) {
    chunk* const next = each->next;
    std::destroy_at(each);
    traits::deallocate(allocator_, std::pointer_traits<typename traits::pointer>::pointer_to(*each),
                       1);
    each = next;
  }
}

template <class Allocator>
typename reader_cursors<Allocator>::membership
reader_cursors<Allocator>::join(const atomic<position>& end) {
  cursor& own = take_cursor(end.load(memory_order::relaxed)); // (I5)
  fence(memory_order::seq_cst);                               // (J)
  const position from = end.load(memory_order::relaxed);      // (J)
  move(own, from);
  return {&own, from};
}

template <class Allocator>
std::uint64_t reader_cursors<Allocator>::least(position end) const noexcept {
  fence(memory_order::seq_cst); // (J)
  position found = end;
  const chunk* each = first_.load(memory_order::acquire); // (L)
  for (; each != nullptr; each = each->next) {
    for (const cursor& one : each->cursors) {
      const position at = one.at.load(memory_order::acquire); // (E)
      if (static_cast<std::int64_t>(at - found) < 0) found = at;
    }
  }
  return found;
}

/// Makes a cursor that no reader has the caller's, and puts it to `end`.
template <class Allocator>
typename reader_cursors<Allocator>::cursor& reader_cursors<Allocator>::take_cursor(position end) {
  chunk* each = first_.load(memory_order::acquire); // (L)
  for (; each != nullptr; each = each->next) {
    for (cursor& one : each->cursors) {
      position at = one.at.load(memory_order::relaxed);                               // (I1)
      if (is_free(at, end) && one.at.compare_exchange(at, end, memory_order::relaxed, // (H)
                                                      memory_order::relaxed)) {       // (I1)
        return one;
      }
    }
  }
  return add_chunk(end);
}

template <class Allocator>
typename reader_cursors<Allocator>::cursor& reader_cursors<Allocator>::add_chunk(position end) {
  allocator mine{allocator_};
  chunk* const made = std::construct_at(std::to_address(traits::allocate(mine, 1)));
  for (cursor& one : made->cursors) one.at.store(end + far, memory_order::relaxed); // (I4)
  made->cursors[0].at.store(end, memory_order::relaxed);                            // (I4)
  chunk* first = first_.load(memory_order::relaxed);                                // (L)
  do {
    made->next = first;
  } while (!first_.compare_exchange(first, made, memory_order::release, // (L)
                                    memory_order::relaxed)); // (L)
  return made->cursors[0];
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_QUEUE_READER_CURSORS_HPP

// ---- <mailroom/queue/gated_ring.hpp>

#ifndef MAILROOM_QUEUE_GATED_RING_HPP
#define MAILROOM_QUEUE_GATED_RING_HPP

// A ring of messages that every reader reads in place, and that overwrites none before all have.
//
// Use it       never: it is the inside of the lossless broadcast_queue.
//
// Position p lives in slot p & mask, and stays there until a push needs the slot again. A producer
// remembers a position below which all readers are done, the gate, and looks at their cursors only
// when the ring seems full: one look for about as many pushes as the ring is long.
//
//        slowest reader   other readers        end
//             v             v       v           v
//      . . .  a   b   c  d  e   f   g   h   i   . . . .
//
// One producer publishes by one store of the end. Many first claim a position, by a CAS on the end
// that comes after the check for room, and then stamp the slot; the claim cannot fail afterwards.
//
// Invariants
//   (I1)  only the producer writes the end, the gate and `oldest_`, where there is one
//   (I2)  all cursors are at or above any gate that was ever stored: an old gate errs towards full
//   (I3)  a slot is built in by the one who claimed its position; it has found there the stamp of
//         the lap before, and a gate beyond that lap's position
//   (I4)  the constructor and the destructor are alone with the ring
//
// Memory order
//   (F)   filled: the message is built -> the producer stores the end, or the slot's stamp -> the
//         reader that loads it. Also the next producer of the slot, which destroys the message.
//   (G)   gate:   readers are done -> the producer that looked at their cursors stores the gate ->
//         a producer that loads it overwrites what they read. See (E) of reader_cursors.
//   (C)   claim:  tells positions only; what a claim rests on came by (F) and (G) before, through
//         loads that acquire. Argued: the CAS cannot be seen before those loads are done, and who
//         takes the value up does so to claim, to join or to tell empty from busy.
//
// Edge: a producer that stands still between claim and stamp hides its message and all behind it:
//   readers answer busy there; producers go on until the ring is full, or, where nobody reads,
//   until they come round to its slot, and then answer busy.
// Edge: where nobody reads the ring is never full.
//
// Decision: a message is destroyed by the push that uses its slot again, or with the ring. Which
//   reader is the last one is not known without a write to shared memory for each message read.
// Decision: many producers need messages whose move cannot throw: a position that was claimed must
//   be filled. What may throw is built before the claim, which also keeps the claim short.

#include <cstddef>     // size_t
#include <cstdint>     // int64_t, uint64_t
#include <iterator>    // input_iterator, sentinel_for, iter_reference_t
#include <type_traits> // is_nothrow_constructible
#include <utility>     // exchange, forward, move

namespace mailroom::inline MAILROOM_ABI::detail {

template <class T, arity Producers, class Allocator>
class gated_ring;

// ---- One producer

template <class T, class Allocator>
class gated_ring<T, arity::one, Allocator> {
public:
  using position = std::uint64_t;
  using cursors = reader_cursors<Allocator>;

  gated_ring(std::size_t capacity, const Allocator& allocator, position first);
  ~gated_ring();

  std::size_t capacity() const noexcept { return capacity_; }

  /// Builds a message at the end.
  ///
  /// Caller    the producer
  /// Progress  wait-free
  /// Throws    what T's constructor throws; no message is gone then but one that all have read
  /// Returns   success, or full
  template <class... Args>
  queue_status try_put(Args&&... args);

  /// The same for a run, which is published together.
  ///
  /// Returns   the first element that was not taken
  template <std::input_iterator I, std::sentinel_for<I> S>
  I try_put_range(I first, S last);

  /// The position of the next message.
  position end() const noexcept { return tail_.load(memory_order::relaxed); } // (I1)

  // ---- For readers

  typename cursors::membership join() { return cursors_.join(tail_); }

  /// Is there a message at `at`? `seen` is the end that this reader has seen.
  ///
  /// Progress  wait-free
  /// Returns   success, empty, or busy
  queue_status look(position at, position& seen) const noexcept;
  const T& message(position at) const noexcept { return cells_[index(at)].value(); }

private:
  std::size_t index(position at) const noexcept {
    return static_cast<std::size_t>(at) & (cells_.size() - 1);
  }
  bool has_room(position tail) noexcept;
  template <class... Args>
  void build(position tail, Args&&... args);

  // Constant after construction, but for the cells and the cursors.
  const std::size_t capacity_;
  storage<cell<T>, dynamic_capacity, Allocator> cells_;
  cursors cursors_;

  // The producer's line.
  alignas(cache_line) atomic<position> tail_;
  position gate_;
  position oldest_; // the first message that was not destroyed
};

// ---- Many producers

template <class T, class Allocator>
class gated_ring<T, arity::many, Allocator> {
public:
  using position = std::uint64_t;
  using cursors = reader_cursors<Allocator>;

  gated_ring(std::size_t capacity, const Allocator& allocator, position first);
  ~gated_ring();

  std::size_t capacity() const noexcept { return capacity_; }

  /// Builds a message at the end.
  ///
  /// Caller    anyone
  /// Progress  as the Edge in the banner says
  /// Throws    what T's constructor throws; nothing has changed then
  /// Returns   success, full, or busy
  template <class... Args>
  queue_status try_put(Args&&... args);

  /// The same for a run, one by one.
  template <std::input_iterator I, std::sentinel_for<I> S>
  I try_put_range(I first, S last);

  position end() const noexcept { return claim_.load(memory_order::relaxed); } // (C)

  // ---- For readers

  typename cursors::membership join() { return cursors_.join(claim_); }
  queue_status look(position at, position& seen) const noexcept;
  const T& message(position at) const noexcept { return slot(at).message.value(); }

private:
  /// The stamp is the position of the message, plus one.
  struct stamped {
    atomic<position> stamp;
    cell<T> message;
  };

  stamped& slot(position at) noexcept { return slots_[index(at)]; }
  const stamped& slot(position at) const noexcept { return slots_[index(at)]; }
  std::size_t index(position at) const noexcept {
    return static_cast<std::size_t>(at) & (slots_.size() - 1);
  }
  bool has_room(position end) noexcept;
  queue_status find_room(position& end) noexcept;
  queue_status try_claim(position& at) noexcept;
  template <class... Args>
  void build(position at, Args&&... args) noexcept;

  // Constant after construction, but for the slots and the cursors.
  const std::size_t capacity_;
  const position first_;
  storage<stamped, dynamic_capacity, Allocator> slots_;
  cursors cursors_;

  // What producers write: the one with each message, the other when the ring looks full.
  alignas(cache_line) atomic<position> claim_;
  alignas(cache_line) atomic<position> gate_;
};

// ---- A reader of either

template <class T, arity Producers, class Allocator>
class gated_reader {
  using ring = gated_ring<T, Producers, Allocator>;
  using cursors = typename ring::cursors;

public:
  using position = std::uint64_t;

  explicit gated_reader(ring& of) : gated_reader{of, of.join()} {}
  gated_reader(gated_reader&& other) noexcept
      : ring_{other.ring_}, own_{std::exchange(other.own_, nullptr)}, joined_{other.joined_},
        at_{other.at_}, seen_{other.seen_} {}
  gated_reader& operator=(gated_reader&& other) noexcept {
    gated_reader taken{std::move(other)};
    std::swap(ring_, taken.ring_);
    std::swap(own_, taken.own_);
    joined_ = taken.joined_;
    seen_ = taken.seen_;
    std::swap(at_, taken.at_);
    return *this;
  }
  ~gated_reader() {
    if (own_ != nullptr) cursors::leave(*own_, at_);
  }

  /// Looks for the next message: message() after success, then step(), and release() for all.
  queue_status find() noexcept { return ring_->look(at_, seen_); }
  const T& message() const noexcept { return ring_->message(at_); }
  void step() noexcept { ++at_; }
  void release() noexcept { cursors::move(*own_, at_); }

  position passed() const noexcept { return at_ - joined_; }
  static position missed() noexcept { return 0; }
  position ahead() const noexcept { return ring_->end() - at_; }

private:
  gated_reader(ring& of, typename cursors::membership place) noexcept
      : ring_{&of}, own_{place.own}, joined_{place.from}, at_{place.from}, seen_{place.from} {}

  ring* ring_;
  typename cursors::cursor* own_;
  position joined_;
  position at_;
  position seen_;
};

// ---- Definitions, in the order of the classes

template <class T, class Allocator>
gated_ring<T, arity::one, Allocator>::gated_ring(std::size_t capacity, const Allocator& allocator,
                                                 position first)
    : capacity_{capacity}, cells_{slots_for(capacity), allocator}, cursors_{allocator},
      tail_{first}, gate_{first}, oldest_{first} {}

template <class T, class Allocator>
gated_ring<T, arity::one, Allocator>::~gated_ring() {
  for (const position tail = end(); oldest_ != tail; ++oldest_) cells_[index(oldest_)].destroy();
}

template <class T, class Allocator>
template <class... Args>
queue_status gated_ring<T, arity::one, Allocator>::try_put(Args&&... args) {
  const position tail = tail_.load(memory_order::relaxed); // (I1)
  if (!has_room(tail)) return queue_status::full;
  build(tail, std::forward<Args>(args)...);
  tail_.store(tail + 1, memory_order::release); // (F)
  return queue_status::success;
}

template <class T, class Allocator>
template <std::input_iterator I, std::sentinel_for<I> S>
I gated_ring<T, arity::one, Allocator>::try_put_range(I first, S last) {
  struct published_run {
    atomic<position>& end;
    const position from;
    position at = from;
    ~published_run() {
      if (at != from) end.store(at, memory_order::release); // (F)
    }
  };
  published_run run{tail_, tail_.load(memory_order::relaxed)}; // (I1)
  for (; first != last && has_room(run.at); ++first) {
    build(run.at, *first);
    ++run.at;
  }
  return first;
}

template <class T, class Allocator>
queue_status gated_ring<T, arity::one, Allocator>::look(position at,
                                                        position& seen) const noexcept {
  if (at == seen) seen = tail_.load(memory_order::acquire); // (F)
  return at == seen ? queue_status::empty : queue_status::success;
}

/// Is there room at `tail`? Looks at the readers only when there seems to be none. The gate may go
/// back then: see (I5) of reader_cursors.
template <class T, class Allocator>
bool gated_ring<T, arity::one, Allocator>::has_room(position tail) noexcept {
  if (tail - gate_ >= capacity_) gate_ = cursors_.least(tail);
  return tail - gate_ < capacity_;
}

template <class T, class Allocator>
template <class... Args>
void gated_ring<T, arity::one, Allocator>::build(position tail, Args&&... args) {
  if (tail - oldest_ == cells_.size()) cells_[index(oldest_++)].destroy();
  cells_[index(tail)].construct(std::forward<Args>(args)...);
}

template <class T, class Allocator>
gated_ring<T, arity::many, Allocator>::gated_ring(std::size_t capacity, const Allocator& allocator,
                                                  position first)
    : capacity_{capacity}, first_{first}, slots_{slots_for(capacity), allocator},
      cursors_{allocator}, claim_{first}, gate_{first} {
  for (position at = first - slots_.size(); at != first; ++at) {
    slot(at).stamp.store(at + 1, memory_order::relaxed); // (I4)
  }
}

/// What was claimed and never built, by a thread that died, is left out.
template <class T, class Allocator>
gated_ring<T, arity::many, Allocator>::~gated_ring() {
  const position last = end();
  for (position at = last - smaller_of<position>(last - first_, slots_.size()); at != last; ++at) {
    if (slot(at).stamp.load(memory_order::relaxed) == at + 1) slot(at).message.destroy(); // (I4)
  }
}

template <class T, class Allocator>
template <class... Args>
queue_status gated_ring<T, arity::many, Allocator>::try_put(Args&&... args) {
  position at = end();
  if constexpr (std::is_nothrow_constructible_v<T, Args...>) {
    const auto status = try_claim(at);
    if (status == queue_status::success) build(at, std::forward<Args>(args)...);
    return status;
  } else {
    if (const auto status = find_room(at); status != queue_status::success) return status;
    return try_put(T(std::forward<Args>(args)...));
  }
}

template <class T, class Allocator>
template <std::input_iterator I, std::sentinel_for<I> S>
I gated_ring<T, arity::many, Allocator>::try_put_range(I first, S last) {
  while (first != last && try_put(*first) == queue_status::success) ++first;
  return first;
}

template <class T, class Allocator>
queue_status gated_ring<T, arity::many, Allocator>::look(position at, position&) const noexcept {
  const position stamp = slot(at).stamp.load(memory_order::acquire); // (F)
  if (stamp == at + 1) return queue_status::success;
  return end() == at ? queue_status::empty : queue_status::busy;
}

template <class T, class Allocator>
bool gated_ring<T, arity::many, Allocator>::has_room(position end) noexcept {
  const auto fits = [&](position gate) {
    return static_cast<std::int64_t>(end - gate) < static_cast<std::int64_t>(capacity_);
  };
  if (fits(gate_.load(memory_order::acquire))) return true; // (G)
  const position least = cursors_.least(end);
  gate_.store(least, memory_order::release); // (G)
  return fits(least);
}

/// Walks from `end` to a position that was not claimed, and where a message could be built now.
template <class T, class Allocator>
queue_status gated_ring<T, arity::many, Allocator>::find_room(position& end) noexcept {
  for (;;) {
    if (!has_room(end)) return queue_status::full;
    const position stamp = slot(end).stamp.load(memory_order::acquire); // (F)
    const auto laps = static_cast<std::int64_t>(stamp - (end + 1 - slots_.size()));
    if (laps == 0) return queue_status::success;
    if (laps < 0) return queue_status::busy;
    end = claim_.load(memory_order::relaxed); // (C)
  }
}

template <class T, class Allocator>
queue_status gated_ring<T, arity::many, Allocator>::try_claim(position& at) noexcept {
  do {
    if (const auto status = find_room(at); status != queue_status::success) return status;
  } while (!claim_.compare_exchange(at, at + 1, memory_order::relaxed, // (C)
                                    memory_order::relaxed)); // (C)
  return queue_status::success;
}

/// Fills the slot of a position that was claimed.
template <class T, class Allocator>
template <class... Args>
void gated_ring<T, arity::many, Allocator>::build(position at, Args&&... args) noexcept {
  stamped& own = slot(at);
  if (at - first_ >= slots_.size()) own.message.destroy();
  own.message.construct(std::forward<Args>(args)...);
  own.stamp.store(at + 1, memory_order::release); // (F)
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_QUEUE_GATED_RING_HPP

// ---- <mailroom/queue/overwriting_ring.hpp>

#ifndef MAILROOM_QUEUE_OVERWRITING_RING_HPP
#define MAILROOM_QUEUE_OVERWRITING_RING_HPP

// A ring of messages that keeps the last ones for any number of readers, and waits for none.
//
// Use it       never: it is the inside of the lossy broadcast_queue.
//
// A slot is one word: the lap of its message, and the index of the cell that the message is in
// (slot_word.hpp; here all words are of the kind full). A producer writes its message into a cell
// that no slot holds, and then puts that cell into the slot; the cell that was there is the next
// one to write into. So a message appears and disappears in one step, and a producer that stands
// still anywhere holds back nobody: many of them follow one another as in exchange_ring.hpp.
//
//      slots   [ lap 3: cell 5 | lap 3: cell 0 | lap 2: cell 7 | ... ]     spare: cells 2, 9, ...
//                                       ^ end
//
// A reader copies the cell, and then looks whether the slot still says the same. If it does not, a
// producer may have written into the cell meanwhile, and what was copied is thrown away: the reader
// was overtaken, and goes on at the oldest message there. Messages are copied piece by piece
// through relaxed atomics, so they must be trivially copyable.
//
// Invariants
//   (I1)  a cell is in one slot, or spare, or in the hands of one push; only a push that has it in
//         its hands writes into it
//   (I2)  positions are filled in order without a gap: a producer fills a position after it has
//         seen all earlier ones filled, or the hint above them, which is true for ever
//   (I3)  a hint never passes the truth. What is behind it, is read from the slots
//   (I4)  after a CAS that failed, the slot is read again with acquire before anything follows
//   (I5)  the constructor is alone with the ring
//   (I6)  only the producer writes the slots and the hint, where there is one
//
// Memory order
//   (P)   published: the pieces are written -> the slot is given the cell -> the reader that finds
//         it there. Also the producer that takes the cell out and writes into it: its pieces are
//         later ones.
//   (V)   verified: a producer takes a cell out of its slot, a fence, and writes pieces; a reader
//         reads a piece, a fence, and reads the slot again. Whoever has read one of the new pieces
//         finds the slot changed.
//
// Decision: not a counter in each slot that is odd while somebody writes there: a producer that
//   stands still would then lock its slot, and the next one at it had to wait or to lose a message.
//   The price is a second cache line for each message.
//
// Sources: Boehm, Can Seqlocks Get Along with Programming Language Memory Models?, MSPC 2012 (the
// two fences and the relaxed pieces). That cells are exchanged is ours.

#include <array>       // array
#include <bit>         // bit_cast
#include <cstddef>     // byte, size_t
#include <cstdint>     // int64_t, uint64_t
#include <cstring>     // memcpy
#include <memory>      // addressof
#include <tuple>       // tuple_size
#include <type_traits> // conditional

namespace mailroom::inline MAILROOM_ABI::detail {

template <class T, arity Producers, class Allocator>
class overwriting_ring {
  static constexpr bool is_shared = Producers == arity::many;

public:
  using position = slot_word::position;
  using word = slot_word::word;

  /// About how many pushes may stand still inside at a time before one answers busy.
  static constexpr std::size_t spares = is_shared ? 64 : 1;

  /// A message in pieces that can be read and written in one step.
  using piece = std::size_t;
  using image = std::array<piece, (sizeof(T) + sizeof(piece) - 1) / sizeof(piece)>;

  /// Makes a ring whose first message gets the position `first`.
  overwriting_ring(std::size_t capacity, const Allocator& allocator, position first);

  std::size_t capacity() const noexcept { return capacity_; }
  std::size_t slots() const noexcept { return words_.slots(); }

  /// Puts a message at the end, over the oldest one.
  ///
  /// Caller    the producer, or anyone where there are many
  /// Progress  wait-free with one producer, else lock-free
  /// Returns   success, or busy behind 64 unfinished pushes
  queue_status put(const T& message) noexcept;

  /// The position of the next message.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  position end() const noexcept { return end_behind(hint_.load(memory_order::relaxed)); } // (I3)

  /// The same for somebody who knows that the message before `at` was put in.
  position end_behind(position at) const noexcept;

  /// Copies the message at `at`.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Returns   success, empty, or lagged when it is not there any more
  queue_status read(position at, image& into) const noexcept;

private:
  static constexpr position hint_interval = 8;
  struct pieces_of_one {
    atomic<piece> pieces[std::tuple_size_v<image>];
  };
  /// The cell that the only producer has in its hands, or the cells that nobody has.
  using spare_place = std::conditional_t<is_shared, spare_cells<spares>, std::size_t>;

  friend struct test_access;

  atomic<word>& slot(position at) noexcept { return slots_[words_.slot_of(at)]; }
  const atomic<word>& slot(position at) const noexcept { return slots_[words_.slot_of(at)]; }
  void write(std::size_t cell, const T& message) noexcept;
  void put_alone() noexcept;
  void put_among_others(std::size_t& cell) noexcept;
  word walk_to_end(position& at) const noexcept;

  // Constant after construction, but for the slots and the cells.
  const std::size_t capacity_;
  const slot_word words_;
  storage<atomic<word>, dynamic_capacity, Allocator> slots_;
  storage<pieces_of_one, dynamic_capacity, Allocator> cells_;

  // What producers write. A lonely one keeps the hint exact.
  alignas(cache_line) atomic<position> hint_;
  spare_place spare_;
};

/// One that reads such a ring.
template <class T, arity Producers, class Allocator>
class overtaken_reader {
  using ring = overwriting_ring<T, Producers, Allocator>;

public:
  using position = typename ring::position;

  explicit overtaken_reader(const ring& of) noexcept
      : ring_{&of}, joined_{of.end()}, at_{joined_} {}

  /// Looks for the next message: message() after success, then step(). After lagged the reader has
  /// already gone on to the oldest message that is there.
  queue_status find() noexcept;
  T message() const noexcept;
  void step() noexcept { ++at_; }
  void release() noexcept {}

  position passed() const noexcept { return at_ - joined_; }
  position missed() const noexcept { return missed_; }
  position ahead() const noexcept { return ring_->end() - at_; }

private:
  const ring* ring_;
  position joined_;
  position at_;
  position missed_ = 0;
  typename ring::image found_{};
};

// ---- Definitions, in the order of the classes

template <class T, arity Producers, class Allocator>
overwriting_ring<T, Producers, Allocator>::overwriting_ring(std::size_t capacity,
                                                            const Allocator& allocator,
                                                            position first)
    : capacity_{capacity}, words_{slots_for(capacity), slots_for(capacity) + spares},
      slots_{words_.slots(), allocator}, cells_{words_.slots() + spares, allocator}, hint_{first},
      spare_{words_.slots()} {
  for (position at = first - slots(); at != first; ++at) {
    slot(at).store(words_.full(at, words_.slot_of(at)), memory_order::relaxed); // (I5)
  }
}

template <class T, arity Producers, class Allocator>
queue_status overwriting_ring<T, Producers, Allocator>::put(const T& message) noexcept {
  if constexpr (is_shared) {
    auto loan = spare_.take();
    if (loan.cell == no_cell) return queue_status::busy;
    write(loan.cell, message);
    put_among_others(loan.cell);
    spare_.give(loan);
  } else {
    write(spare_, message);
    put_alone();
  }
  return queue_status::success;
}

template <class T, arity Producers, class Allocator>
std::uint64_t overwriting_ring<T, Producers, Allocator>::end_behind(position at) const noexcept {
  const position hint = hint_.load(memory_order::relaxed); // (I3)
  if (static_cast<std::int64_t>(hint - at) > 0) at = hint;
  (void)walk_to_end(at);
  return at;
}

template <class T, arity Producers, class Allocator>
queue_status overwriting_ring<T, Producers, Allocator>::read(position at,
                                                             image& into) const noexcept {
  const word seen = slot(at).load(memory_order::acquire); // (P)
  const auto phase = words_.phase(seen, at);
  if (phase < 1) return queue_status::empty;
  if (phase > 1) return queue_status::lagged;
  std::size_t next = 0;
  for (const atomic<piece>& each : cells_[words_.cell(seen)].pieces) {
    into[next++] = each.load(memory_order::relaxed); // (V)
  }
  fence(memory_order::acquire);                            // (V)
  const word again = slot(at).load(memory_order::relaxed); // (V)
  return again == seen ? queue_status::success : queue_status::lagged;
}

/// Fills a cell that is in the caller's hands.
template <class T, arity Producers, class Allocator>
void overwriting_ring<T, Producers, Allocator>::write(std::size_t cell, const T& message) noexcept {
  image pieces{};
  std::memcpy(pieces.data(), std::addressof(message), sizeof(T));
  fence(memory_order::release); // (V)
  std::size_t next = 0;
  for (atomic<piece>& each : cells_[cell].pieces) {
    each.store(pieces[next++], memory_order::relaxed); // (V)
  }
}

template <class T, arity Producers, class Allocator>
void overwriting_ring<T, Producers, Allocator>::put_alone() noexcept {
  const position at = hint_.load(memory_order::relaxed);          // (I6)
  const word before = slot(at).load(memory_order::relaxed);       // (I6)
  slot(at).store(words_.full(at, spare_), memory_order::release); // (P)
  spare_ = words_.cell(before);
  hint_.store(at + 1, memory_order::relaxed); // (I3)
}

/// The hint is moved once the walk to the end has become long.
template <class T, arity Producers, class Allocator>
void overwriting_ring<T, Producers, Allocator>::put_among_others(std::size_t& cell) noexcept {
  position hint = hint_.load(memory_order::relaxed); // (I3)
  position at = hint;
  word seen = walk_to_end(at);
  while (!slot(at).compare_exchange(seen, words_.full(at, cell), memory_order::release, // (P)
                                    memory_order::relaxed)) {                           // (I4)
    seen = walk_to_end(at);
  }
  cell = words_.cell(seen);
  if (at + 1 - hint < hint_interval) return;
  hint_.compare_exchange(hint, at + 1, memory_order::relaxed, // (I3)
                         memory_order::relaxed);              // (I3)
}

/// Walks to the first position that was not filled, and answers what its slot says.
template <class T, arity Producers, class Allocator>
slot_word::word
overwriting_ring<T, Producers, Allocator>::walk_to_end(position& at) const noexcept {
  for (;;) {
    const word seen = slot(at).load(memory_order::acquire); // (P)
    const auto phase = words_.phase(seen, at);
    if (phase < 1) return seen;
    at += 1 + slots() * (static_cast<position>(phase - 1) / 2);
  }
}

template <class T, arity Producers, class Allocator>
queue_status overtaken_reader<T, Producers, Allocator>::find() noexcept {
  const auto status = ring_->read(at_, found_);
  if (status != queue_status::lagged) return status;
  // Its slot holds a message of a later lap, so the end is at least a lap ahead.
  const position oldest = ring_->end_behind(at_ + ring_->slots() + 1) - ring_->slots();
  missed_ += oldest - at_;
  at_ = oldest;
  return status;
}

template <class T, arity Producers, class Allocator>
T overtaken_reader<T, Producers, Allocator>::message() const noexcept {
  std::array<std::byte, sizeof(T)> bytes;
  std::memcpy(bytes.data(), found_.data(), sizeof(T));
  return std::bit_cast<T>(bytes);
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_QUEUE_OVERWRITING_RING_HPP

// ---- <mailroom/queue/broadcast_queue.hpp>

#ifndef MAILROOM_QUEUE_BROADCAST_QUEUE_HPP
#define MAILROOM_QUEUE_BROADCAST_QUEUE_HPP

// A bounded queue each of whose readers sees every message.
//
// Use it       when several threads need the same messages, all of them and in the same order.
// Instead use  mpmc_queue when each message is for one of them;
//              dispatcher when a name decides who gets it, or readers should sleep.
//
// Each message is stored once, whoever reads it; readers keep their own places.
//
//      lossless   the slowest reader holds producers back: the queue is then full (gated_ring.hpp)
//      lossy      producers overwrite the oldest message; a reader that was overtaken is told so,
//                 once, knows how many it missed, and goes on at the oldest one still there
//                 (overwriting_ring.hpp)
//
// What a push costs does not depend on the number of readers: a lossy one knows none of them, a
// lossless one looks at their places only when the queue seems full.
//
//                        push         pop          a thread that stands still in a push
//      lossless, one     wait-free    wait-free    -
//      lossless, many    blocking     blocking     hides its message and those behind: busy
//      lossy, one        wait-free    wait-free    -
//      lossy, many       lock-free    lock-free    holds one of 64 cells; behind 64 of them: busy
//
// A reader that stands still stops no other reader. In a lossless queue it is what full means.
//
// A message is destroyed by the push that uses its slot again, or with the queue.
//
// Limit: several readers look at one message at the same time, as const T&. T must allow that: a
//   copy, or whatever a handler does with it, may not write to what two of them share unguarded.
//
// Sources: Thompson, Farley, Barker, Gee, Stewart, Disruptor, 2011 (a ring and a place for each
// reader). That a claim comes after the check for room, and readers may come and go, is ours.

#include <concepts>    // assignable_from, constructible_from, copy_constructible, invocable
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <iterator>    // input_iterator, sentinel_for, output_iterator, make_move_iterator
#include <memory>      // allocator
#include <span>        // span
#include <type_traits> // is_nothrow_constructible, is_trivially_copyable
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI {

/// What happens when a reader is slower than the producers.
enum class broadcast_mode : unsigned char {
  lossless, ///< producers are told that the queue is full
  lossy,    ///< the reader misses messages, and is told how many
};

template <message T, broadcast_mode Mode = broadcast_mode::lossless, arity Producers = arity::many,
          class Allocator = std::allocator<T>>
class broadcast_queue {
  static constexpr bool is_lossy = Mode == broadcast_mode::lossy;
  static_assert(!is_lossy || std::is_trivially_copyable_v<T>,
                "mailroom: a lossy broadcast_queue needs trivially copyable messages");
  static_assert(is_lossy || Producers == arity::one || nothrow_message<T>,
                "mailroom: a lossless broadcast_queue of many producers needs messages whose move "
                "cannot throw");

public:
  using value_type = T;
  using size_type = std::size_t;
  using allocator_type = Allocator;
  class reader;

  /// Makes a queue for `capacity` messages, which nobody reads yet.
  ///
  /// Cost      allocates here; later only subscribe() of a lossless queue does
  /// Throws    std::invalid_argument for 0, std::length_error for too many, and what the
  ///           allocator throws
  explicit broadcast_queue(std::size_t capacity, const Allocator& allocator = {})
      : broadcast_queue{detail::checked_capacity(capacity), allocator, 0} {}

  /// Destroys the messages still inside, first in first.
  ///
  /// Caller    anyone, once no other thread uses the queue and all its readers are gone
  ~broadcast_queue() = default;

  broadcast_queue(const broadcast_queue&) = delete;
  broadcast_queue& operator=(const broadcast_queue&) = delete;

  // ---- Producers

  /// Puts a message at the back, for all who are readers now.
  ///
  /// Caller    anyone; one thread, if Producers is one
  /// Progress  as the table in the banner says
  /// Cost      O(1): one producer needs no RMW; many need one (lossless) or three (lossy). When the
  ///           lossless queue seems full, O(readers) and a fence
  /// Throws    what T's constructor throws; readers notice nothing of it
  /// Orders    all before a successful call happens before the return of each pop that reads it
  /// Returns   success; full (lossless): messages that readers passed before the call make room; or
  ///           busy: another push is not finished. The argument keeps its message unless success
  queue_status try_push(const T& value)
    requires std::copy_constructible<T>
  {
    return try_emplace(value);
  }
  queue_status try_push(T&& value) { return try_emplace(std::move(value)); }

  /// Builds a message from the arguments at the back. Everything else is as for try_push, but where
  /// a lossless queue of many producers fills up during the call, and the constructor may throw,
  /// the arguments may have been used and their message dropped.
  template <class... Args>
    requires std::constructible_from<T, Args...>
  queue_status try_emplace(Args&&... args);

  /// Puts messages of [first, last) at the back, in order, until the answer is not success. One
  /// producer of a lossless queue publishes them together. An element may be read twice.
  ///
  /// Caller    as try_push
  /// Progress  as try_push, if the iterator is
  /// Cost      O(messages taken)
  /// Throws    what the iterator or T's constructor throws; the messages before are in the queue
  /// Returns   the first element that was not taken
  template <std::input_iterator I, std::sentinel_for<I> S>
    requires range_element<std::iter_reference_t<I>, T>
  I try_push_range(I first, S last);

  /// Moves messages from the beginning of the run. Otherwise as try_push_range.
  ///
  /// Returns   the rest, untouched
  std::span<T> try_move_range(std::span<T> messages)
    requires range_element<T&&, T>;

  // ---- Anybody

  /// Makes a reader, which sees all messages that are pushed from now on.
  ///
  /// Caller    anyone. Where a lossless queue allocates, its allocator must allow that too
  /// Progress  lock-free, if the allocator is; who stands still in here is already a reader
  /// Cost      O(readers) in a lossless queue, which allocates when there are more than ever before
  /// Throws    what the allocator throws; nothing has changed then
  /// Orders    the reader sees every push that this call happens before, and none that happens
  ///           before the call
  reader subscribe() { return reader{ring_}; }

  /// How many messages are kept for a reader, at least: what was asked for. A lossless queue keeps
  /// no more; a lossy one up to the next power of two.
  size_type capacity() const noexcept { return ring_.capacity(); }

  /// How many messages were ever put in. Exact once the threads have stopped; it only grows.
  ///
  /// Caller    anyone
  /// Progress  as subscribe in a lossy queue; else wait-free
  std::uint64_t pushed() const noexcept { return ring_.end(); }

private:
  using ring = std::conditional_t<is_lossy, detail::overwriting_ring<T, Producers, Allocator>,
                                  detail::gated_ring<T, Producers, Allocator>>;
  using place = std::conditional_t<is_lossy, detail::overtaken_reader<T, Producers, Allocator>,
                                   detail::gated_reader<T, Producers, Allocator>>;

  friend struct detail::test_access;
  broadcast_queue(std::size_t capacity, const Allocator& allocator, std::uint64_t first)
      : ring_{capacity, allocator, first} {}

  ring ring_;
};

/// One who reads all messages. It may pass from thread to thread, but is used by one at a time. It
/// leaves the queue when it is destroyed, and must be gone before the queue is. One that was moved
/// from may only be destroyed or assigned to.
template <message T, broadcast_mode Mode, arity Producers, class Allocator>
class broadcast_queue<T, Mode, Producers, Allocator>::reader {
public:
  reader(reader&&) noexcept = default;
  reader& operator=(reader&&) noexcept = default;
  ~reader() = default;

  /// Copies the next message.
  ///
  /// Caller    the reader's thread, as for all that follows
  /// Progress  as the table in the banner says
  /// Cost      O(1): no RMW
  /// Throws    what T's copy constructor throws; the message then is still the next one
  /// Orders    see try_push
  /// Returns   the message; empty: pushes that happen before the call are always seen; busy behind
  ///           a push that is not finished (lossless, many producers); or lagged (lossy): messages
  ///           were overwritten, missed() has grown, and the next one is the oldest still there
  expected<T, queue_status> try_pop() noexcept(std::is_nothrow_copy_constructible_v<T>)
    requires std::copy_constructible<T>;

  /// The same by assignment: `into` is untouched unless the answer is success.
  ///
  /// Throws    what T's copy assignment throws; the message then is still the next one
  queue_status try_pop(T& into) noexcept(std::is_nothrow_assignable_v<T&, const T&>)
    requires std::assignable_from<T&, const T&>;

  /// Copies up to `max` messages. A gap in a lossy queue ends the run, behind its last message:
  /// missed() has grown then, and the next call goes on behind the gap.
  ///
  /// Progress  as try_pop, if the iterator is
  /// Throws    what the assignment to `*out` throws; that message is still the next one
  /// Returns   how many there were
  template <std::output_iterator<const T&> O>
  size_type try_pop_n(O out, size_type max);

  /// Hands messages to `handler` as const T&, and at most capacity(): in their slots, where the
  /// queue is lossless, and their room is given back together. A gap ends the run as in try_pop_n.
  ///
  /// Progress  as try_pop, if the handler is
  /// Throws    what `handler` throws; the message that it was given is passed, the others stay
  /// Returns   how many were handed over
  template <std::invocable<const T&> F>
  size_type consume_all(F&& handler);

  /// How many messages wait for this reader about now, in [0, capacity()]: a hint, never a reason.
  ///
  /// Progress  as pushed
  size_type size_approx() const noexcept;

  /// How many messages lie behind this reader since it subscribed, and how many of these it missed:
  /// it has seen all others.
  ///
  /// Progress  wait-free
  std::uint64_t passed() const noexcept { return place_.passed(); }
  std::uint64_t missed() const noexcept { return place_.missed(); }

private:
  friend class broadcast_queue;
  explicit reader(ring& of) : capacity_{of.capacity()}, place_{of} {}

  /// Gives the room of a run back, when it goes out of scope.
  struct passed_run {
    place& at;
    ~passed_run() { at.release(); }
  };

  size_type capacity_;
  place place_;
};

template <class T, broadcast_mode Mode, arity Producers, class Allocator>
struct queue_facts<broadcast_queue<T, Mode, Producers, Allocator>> {
  static constexpr arity producers = Producers;
  static constexpr arity consumers = arity::many;
  static constexpr ordering order = ordering::fifo;
  static constexpr progress push_progress = Producers == arity::one         ? progress::wait_free
                                            : Mode == broadcast_mode::lossy ? progress::lock_free
                                                                            : progress::blocking;
  static constexpr progress pop_progress = push_progress;
  static constexpr bool bounded = true;
  static constexpr bool sequentially_consistent = false;
};

// ---- Definitions, in the order of the classes

template <message T, broadcast_mode Mode, arity Producers, class Allocator>
template <class... Args>
  requires std::constructible_from<T, Args...>
queue_status broadcast_queue<T, Mode, Producers, Allocator>::try_emplace(Args&&... args) {
  if constexpr (is_lossy) {
    return ring_.put(T(std::forward<Args>(args)...));
  } else {
    return ring_.try_put(std::forward<Args>(args)...);
  }
}

template <message T, broadcast_mode Mode, arity Producers, class Allocator>
template <std::input_iterator I, std::sentinel_for<I> S>
  requires range_element<std::iter_reference_t<I>, T>
I broadcast_queue<T, Mode, Producers, Allocator>::try_push_range(I first, S last) {
  if constexpr (is_lossy || Producers == arity::many) {
    while (first != last && try_emplace(*first) == queue_status::success) ++first;
    return first;
  } else {
    return ring_.try_put_range(std::move(first), std::move(last));
  }
}

template <message T, broadcast_mode Mode, arity Producers, class Allocator>
std::span<T> broadcast_queue<T, Mode, Producers, Allocator>::try_move_range(std::span<T> messages)
  requires range_element<T&&, T>
{
  const auto begin = std::make_move_iterator(messages.begin());
  const auto rest = try_push_range(begin, std::make_move_iterator(messages.end()));
  return messages.subspan(static_cast<std::size_t>(rest - begin));
}

template <message T, broadcast_mode Mode, arity Producers, class Allocator>
expected<T, queue_status>
broadcast_queue<T, Mode, Producers, Allocator>::reader::try_pop() noexcept(
    std::is_nothrow_copy_constructible_v<T>)
  requires std::copy_constructible<T>
{
  if (const auto status = place_.find(); status != queue_status::success) {
    return unexpected{status};
  }
  const T& next = place_.message();
  return {detail::take, next, [this]() noexcept {
            place_.step();
            place_.release();
          }};
}

template <message T, broadcast_mode Mode, arity Producers, class Allocator>
queue_status broadcast_queue<T, Mode, Producers, Allocator>::reader::try_pop(T& into) noexcept(
    std::is_nothrow_assignable_v<T&, const T&>)
  requires std::assignable_from<T&, const T&>
{
  const auto status = place_.find();
  if (status != queue_status::success) return status;
  const T& next = place_.message();
  into = next;
  place_.step();
  place_.release();
  return status;
}

template <message T, broadcast_mode Mode, arity Producers, class Allocator>
template <std::output_iterator<const T&> O>
std::size_t broadcast_queue<T, Mode, Producers, Allocator>::reader::try_pop_n(O out,
                                                                              size_type max) {
  const passed_run run{place_};
  size_type count = 0;
  for (; count != max && place_.find() == queue_status::success; ++count, (void)++out) {
    const T& next = place_.message();
    *out = next;
    place_.step();
  }
  return count;
}

template <message T, broadcast_mode Mode, arity Producers, class Allocator>
template <std::invocable<const T&> F>
std::size_t broadcast_queue<T, Mode, Producers, Allocator>::reader::consume_all(F&& handler) {
  const passed_run run{place_};
  size_type count = 0;
  for (; count != capacity_ && place_.find() == queue_status::success; ++count) {
    const T& next = place_.message();
    place_.step();
    handler(next);
  }
  return count;
}

template <message T, broadcast_mode Mode, arity Producers, class Allocator>
std::size_t broadcast_queue<T, Mode, Producers, Allocator>::reader::size_approx() const noexcept {
  return detail::size_within(place_.ahead(), capacity_);
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_QUEUE_BROADCAST_QUEUE_HPP

// ---- <mailroom/mailbox/stop.hpp>

#ifndef MAILROOM_MAILBOX_STOP_HPP
#define MAILROOM_MAILBOX_STOP_HPP

// How a stop request reaches a thread that sleeps.
//
// A token that can call back (std::stop_token, or any token with a member callback_type, which
// C++26 makes the common form) wakes the sleeper the moment the stop is requested. A token that
// only answers questions is asked again every millisecond.
//
// Decision: this header includes <stop_token> where the standard library has one, for C++20's
//   std::stop_token does not name its callback. Nothing below the mailbox floor includes it.

#include <utility> // move
#include <version> // __cpp_lib_jthread

#if defined(__cpp_lib_jthread)
#include <stop_token> // stop_callback, stop_token
#endif

namespace mailroom::inline MAILROOM_ABI::detail {

template <class S, class F>
concept calls_back = requires { typename S::template callback_type<F>; };

/// Calls `F` from the thread that requests the stop, from construction to destruction; at once if
/// the stop was requested before. The destructor waits for a call in progress.
///
/// Only for tokens that never call back: how long to sleep before asking again.
template <stoppable_token S, class F>
class stop_watch {
public:
  static constexpr bool calls_back = false;
  stop_watch(const S& token, F) noexcept : possible_{token.stop_possible()} {}
  nanoseconds look_again_at() const noexcept { return possible_ ? now() + 1'000'000 : never; }

private:
  bool possible_;
};

template <class F>
class stop_watch<never_stop, F> {
public:
  static constexpr bool calls_back = true; // when that time comes
  stop_watch(const never_stop&, F) noexcept {}
  static constexpr nanoseconds look_again_at() noexcept { return never; }
};

template <stoppable_token S, class F>
  requires calls_back<S, F>
class stop_watch<S, F> {
public:
  static constexpr bool calls_back = true;
  stop_watch(const S& token, F call) : callback_(token, std::move(call)) {}
  static constexpr nanoseconds look_again_at() noexcept { return never; }

private:
  typename S::template callback_type<F> callback_;
};

#if defined(__cpp_lib_jthread)
template <class F>
  requires(!calls_back<std::stop_token, F>)
class stop_watch<std::stop_token, F> {
public:
  static constexpr bool calls_back = true;
  stop_watch(const std::stop_token& token, F call) : callback_(token, std::move(call)) {}
  static constexpr nanoseconds look_again_at() noexcept { return never; }

private:
  std::stop_callback<F> callback_;
};
#endif

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_MAILBOX_STOP_HPP

// ---- <mailroom/mailbox/waiter.hpp>

#ifndef MAILROOM_MAILBOX_WAITER_HPP
#define MAILROOM_MAILBOX_WAITER_HPP

// Who waits for several events, or is no thread; and where those stand that wait for the same.
//
// Use it       to wait for the first of several events, in a coroutine, or behind a descriptor.
// Instead use  event_count, where a thread waits for one event: that needs no list and no lock.
//
// A waiter has a place in the list of each event that it waits for: one for a pop, several for a
// select. Whoever makes such an event happen takes the first of its list who still waits, and tells
// it which event it was. What it means to be woken is the waiter's own: a thread stops sleeping, a
// coroutine is resumed, a file descriptor becomes readable.
//
//      wait_list "not empty" of a        [place]--[place]--[place]
//                                           |        |        |
//                                        waiter   waiter   waiter     a thread, a coroutine, ...
//                                                    |
//      wait_list "not empty" of b                 [place]             a select stands in two lists
//
// Invariants
//   (I1)  of all that may end a wait, one does: whoever changes verdict from waiting. An event does
//         it while it holds the lock of its list; the waiter itself, when it leaves
//   (I2)  a place is in its list from its construction until it is destroyed, or an event of that
//         list has come by, which has ended the wait or found it ended; so none meets it twice.
//         Links and members of the list belong to the list's lock
//   (I3)  an event uses a waiter, and a place of it, only while it holds the lock of a list that
//         the place is in, or from which it has just taken it. So a waiter that has destroyed its
//         places is forgotten. The exception is a waiter that asks to be resumed: who ended its
//         wait owns it from then on
//   (I4)  `length` is written under the lock; who reads 0 without it has nobody to wake, by (D)
//
// Memory order
//   (D)   Dekker: a place is counted, then a fence (fences.hpp), then the waiter looks <-> what it
//         waits for is published, then perhaps a fence, then the seq_cst load of length. One sees
//         the other.
//   (U)   unpark: what was done before it -> the thread, before its next look. (What an event has
//         done comes with the lock; this is for a stop.) By an RMW, so that who unparks it a
//         second time does not hide the first; the fence of (D) comes between the RMW of the
//         thread and its look.
//
// Decision: a lock, for as long as it takes to find who still waits, and for a system call when
//   that is a thread; and only where somebody waits. A list that is left in the middle, by
//   deadlines, stops and selects, needs one or has worse.
// Decision: a thread is woken under the lock. It passes the lock before it leaves, so it cannot be
//   gone while it is being woken.
//
// Sources: the wait queues with a word per waiter that Go's select and Rust's crossbeam-channel
// have; Mellor-Crummey, Scott, TOCS 1991 (a waiter waits on memory of its own).

#include <cstdint> // uint32_t, uint64_t

namespace mailroom::inline MAILROOM_ABI::detail {

/// One who waits for the first of some events.
class waiter {
public:
  waiter() = default;
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  /// Waits again. Only while it has no place.
  void begin() noexcept { verdict_.store(waiting, memory_order::relaxed); } // (I1)

  /// Ends the wait without an event.
  ///
  /// Returns   false if an event has ended it before
  bool leave() noexcept { return end(left); }

  /// Has an event ended the wait, and which?
  bool is_fired() const noexcept { return verdict() >= first_event; }
  std::uint32_t event() const noexcept { return verdict() - first_event; }

protected:
  ~waiter() = default;

private:
  friend class wait_list;
  static constexpr std::uint32_t waiting = 0;
  static constexpr std::uint32_t left = 1;
  static constexpr std::uint32_t first_event = 2;

  /// What being woken means, for a waiter whose wait an event has ended. Under the lock of the
  /// event's list, so it must be short, and wait for nobody.
  ///
  /// Returns   whether resume() is to be called when the lock is released; if not, the waiter may
  ///           be gone by then
  virtual bool wake() noexcept = 0;
  virtual void resume() noexcept {}

  std::uint32_t verdict() const noexcept { return verdict_.load(memory_order::relaxed); } // (I1)
  bool end(std::uint32_t verdict) noexcept {
    std::uint32_t expected = waiting;
    using enum memory_order;
    return verdict_.compare_exchange(expected, verdict, relaxed, relaxed); // (I1)
  }

  atomic<std::uint32_t> verdict_;
};

/// A thread that waits.
class sleeper final : public waiter {
public:
  /// Waits again. What was done before an unpark so far has happened before.
  void begin() noexcept {
    (void)unparked_.word.exchange(0, memory_order::relaxed); // (U)
    waiter::begin();
  }

  /// Sleeps until it is unparked, or the deadline; may also return early.
  void park(nanoseconds deadline) noexcept { (void)futex_wait(unparked_, 0, deadline); }

  /// Makes it look again.
  ///
  /// Caller    anyone, while the sleeper lives
  void unpark() noexcept {
    (void)unparked_.word.exchange(1, memory_order::release); // (U)
    futex_wake_one(unparked_);
  }

private:
  bool wake() noexcept override {
    unpark();
    return false;
  }

  futex unparked_;
};

/// Those who wait for the same event.
class wait_list {
public:
  class place;

  /// Wakes the first who still waits, if there is one.
  ///
  /// Caller    anyone, after publishing by a seq_cst RMW, or with a seq_cst fence behind it
  /// Progress  wait-free while nobody waits; else blocking: on the lock of the list
  void wake_one() noexcept;

  /// Wakes all who wait. Otherwise as wake_one.
  void wake_all() noexcept;

private:
  void wake_first() noexcept;
  void append(place& last) noexcept;
  void remove(place& gone) noexcept;
  bool take(place& first) noexcept;
  waiter* fire_until_resumed(std::uint64_t last) noexcept;

  atomic<std::uint32_t> length_; // (I4)
  mutex lock_;
  place* first_ = nullptr;
  place* last_ = nullptr;
  std::uint64_t arrivals_ = 0; // so many places were ever in it
};

/// A waiter's place in a list, from construction to destruction.
class wait_list::place {
public:
  /// Stands at the end of the list. The heavy fence must follow, and then a look.
  place(wait_list& list, waiter& who, std::uint32_t event = 0) noexcept
      : list_{list}, who_{who}, event_{event} {
    const lock_guard held{list.lock_};
    list.append(*this);
  }
  place(const place&) = delete;
  place& operator=(const place&) = delete;

  /// Is forgotten by the list. The waiter must have left, or an event have ended the wait.
  ~place() {
    const lock_guard held{list_.lock_}; // also when it is out: who wakes it may not be through
    if (is_in_) list_.remove(*this);
  }

private:
  friend class wait_list;
  wait_list& list_;
  waiter& who_;
  const std::uint32_t event_;
  bool is_in_ = false;
  std::uint64_t number_ = 0; // of its arrival
  place* before_ = nullptr;
  place* behind_ = nullptr;
};

// ---- Definitions, in the order of the class

inline void wait_list::wake_one() noexcept {
  if (length_.load(memory_order::seq_cst) != 0) wake_first(); // (D)
}

[[gnu::noinline]] inline void wait_list::wake_first() noexcept {
  waiter* to_resume = nullptr;
  bool somebody = false;
  {
    const lock_guard held{lock_};
    for (place* each = first_; each != nullptr && !somebody;) {
      place& next = *each;
      waiter& who = next.who_;
      each = each->behind_;
      somebody = take(next);
      if (somebody && who.wake()) to_resume = &who;
    }
  }
  if (to_resume != nullptr) to_resume->resume();
}

/// Those who come while others are resumed are not woken: it would never end.
inline void wait_list::wake_all() noexcept {
  if (length_.load(memory_order::seq_cst) == 0) return; // (D)
  std::uint64_t last = 0;
  for (;;) {
    waiter* to_resume = nullptr;
    {
      const lock_guard held{lock_};
      if (last == 0) last = arrivals_;
      to_resume = fire_until_resumed(last);
    }
    if (to_resume == nullptr) return;
    to_resume->resume(); // and then anybody may have gone
  }
}

inline void wait_list::append(place& last) noexcept {
  last.before_ = last_;
  (last_ == nullptr ? first_ : last_->behind_) = &last;
  last_ = &last;
  last.is_in_ = true;
  last.number_ = ++arrivals_;
  length_.fetch_add(1, memory_order::relaxed); // (D)
}

inline void wait_list::remove(place& gone) noexcept {
  (gone.before_ == nullptr ? first_ : gone.before_->behind_) = gone.behind_;
  (gone.behind_ == nullptr ? last_ : gone.behind_->before_) = gone.before_;
  gone.is_in_ = false;
  length_.fetch_sub(1, memory_order::relaxed); // (I4)
}

/// Takes a place out, and ends the wait of its waiter.
///
/// Returns   false if something has ended it before
inline bool wait_list::take(place& first) noexcept {
  const bool was_waiting = first.who_.end(waiter::first_event + first.event_);
  remove(first);
  return was_waiting;
}

/// Wakes those who came up to `last`, from the front on.
///
/// Returns   the first of them who is to be resumed without the lock, before the next is woken
inline waiter* wait_list::fire_until_resumed(std::uint64_t last) noexcept {
  for (place* each = first_; each != nullptr && each->number_ <= last;) {
    place& next = *each;
    each = each->behind_;
    waiter& who = next.who_;
    if (take(next) && who.wake()) return &who;
  }
  return nullptr;
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_MAILBOX_WAITER_HPP

// ---- <mailroom/mailbox/event_count.hpp>

#ifndef MAILROOM_MAILBOX_EVENT_COUNT_HPP
#define MAILROOM_MAILBOX_EVENT_COUNT_HPP

// Lets a thread wait until something may have changed: the one waiting mechanism of the mailboxes.
//
// Use it       to wait for a condition that lives in a lock-free structure: the thread that changes
//              it pays two loads when nobody waits.
// Instead use  mailbox, which does all of this for a queue.
//
//      the waiting thread                     the thread that changes something
//      1  sleepers + 1                        1  publish, by a seq_cst RMW or with a fence behind
//      2  fence                               2  sleepers == 0?  then that was all
//      3  remember epoch                      3  epoch + 1
//      4  look again: done? then leave        4  wake one
//      5  sleep while epoch is the same
//      6  back to 3
//
// A thread that waits for one event sleeps on the event itself, as above. Who waits for several, or
// is no thread, has a place in the list of each (waiter.hpp).
//
// Invariants
//   (I1)  one of the two notices the other: either 4 sees what was published, or 2 sees the
//         sleeper. Both have a seq_cst step between their write and their read (Dekker)
//   (I2)  a wake-up that was meant for a message is never carried away: a sleeper that was woken
//         looks again before it leaves for a timeout or a stop, and one that leaves without having
//         been able to look (an exception, busy) wakes the next
//   (I3)  nobody sleeps on `busy`: that state ends without a wake-up
//   (I4)  a counter for statistics orders nothing, nor does a guess at how long to spin
//   (I5)  the own registration is withdrawn after the last look; who still sees it wakes once more
//
// Memory order
//   (D)   Dekker: the registration, then the heavy fence, then the look <-> the publication, then
//         the light fence, or none behind a seq_cst RMW, then the seq_cst load of sleepers.
//   (W)   wake: what was published before epoch moved -> the sleeper that reads the new epoch sees
//         it in its next look.
//
// A wake-up could only be missed by a thread that stands still between 3 and 5 while the epoch
// moves exactly 2^32 times.
//
// Decision: two ways to wait. Without a list there is no lock, so a producer of high priority is
//   not held up by a consumer that is just falling asleep, and to be woken costs one system call.
//   Where both kinds wait, one of each is woken: who finds nothing waits on.
// Decision: before it sleeps a thread looks again and again for a while, because to sleep and to be
//   woken costs several microseconds. How long is learnt: twice as long after it has helped, half
//   as long after it has not.
// Decision: then it may give the core away, once, and look again: where threads share cores, whom
//   it waits for is perhaps the next to run there, and nobody need sleep. It is tried in about one
//   wait of 16, and after it has helped in each, until it has been in vain 16 times. Where somebody
//   has kept the core for so long that he must be a stranger, it is tried half as often, down to
//   one wait of 4096: who sleeps is served before him, but not who gives way to him. Such a wait
//   may end late by as long as that.
//
// Sources: Vyukov's eventcount; Burckhardt, Alur, Martin, CheckFence, PLDI 2007 (publish, then look
// for a sleeper, is wrong without a fence); Karlin, Li, Manasse, Owicki, Empirical Studies of
// Competitive Spinning, SOSP 1991 (as long as it costs not to).

#include <algorithm>   // min
#include <cstdint>     // uint32_t, uint64_t
#include <type_traits> // is_same, remove_const

namespace mailroom::inline MAILROOM_ABI::detail {

/// What an attempt answers when it is worth waiting for another one.
constexpr bool is_unfinished(queue_status status) noexcept {
  return status == queue_status::empty || status == queue_status::full ||
         status == queue_status::busy;
}

/// Who changes something passes the light fence of Fences between that and notify, unless it was
/// done by a seq_cst RMW and the fences are symmetric.
template <class Wait, class Fences = symmetric_fences>
class event_count {
  static_assert(std::is_same_v<Wait, wait_policy::spin> ||
                    std::is_same_v<Wait, wait_policy::yield> ||
                    std::is_same_v<Wait, wait_policy::park> ||
                    std::is_same_v<Wait, wait_policy::park_fenced>,
                "mailroom: the wait policy is none of wait_policy::spin, yield, park, park_fenced");

public:
  static constexpr bool parks =
      std::is_same_v<Wait, wait_policy::park> || std::is_same_v<Wait, wait_policy::park_fenced>;

  static constexpr bool is_asymmetric = !std::is_same_v<Fences, symmetric_fences>;

  explicit event_count(const Fences& fences = {}) noexcept : fences_{fences} {}

  /// Wakes one of those who wait here, if there is one.
  ///
  /// Caller    anyone, after publishing by a seq_cst RMW, or with a seq_cst fence behind it
  /// Progress  wait-free, with a system call only if somebody sleeps; but where one waits who is in
  ///           the list, blocking: on its lock
  void notify_one() noexcept;

  /// Wakes all of them. Otherwise as notify_one.
  void notify_all() noexcept;

  /// The same for a change that is not published in such a way, as a flag of somebody else.
  void interrupt() noexcept;

  /// Calls `attempt` until it answers anything but empty, full or busy, or the wait is ended.
  ///
  /// Caller    anyone
  /// Progress  blocking: waits for a notification, the stop, or the deadline
  /// Throws    what `attempt`, the token and the clock throw
  /// Returns   what `attempt` answered; else stopped, else timeout. Something that was there before
  ///           the stop or the deadline comes before them, and a stop before a timeout
  template <class Deadline, stoppable_token S, class Attempt>
  queue_status await(const Deadline& deadline, const S& token, Attempt&& attempt);

  /// Those who do not sleep here, but wait. Between a place in it and the look stands this fence.
  wait_list& list() noexcept { return list_; }
  void order_before_look() const noexcept { fences_.heavy(); }

  /// One of them begins to wait. For statistics.
  void count_wait() noexcept { waits_.fetch_add(1, relaxed); } // (I4)

  /// How often one waited, and how often a thread was woken. For statistics.
  std::uint64_t waits() const noexcept { return waits_.load(relaxed); }     // (I4)
  std::uint64_t wakeups() const noexcept { return wakeups_.load(relaxed); } // (I4)

private:
  using enum memory_order;
  static constexpr std::uint32_t most_credit = 16;
  static constexpr std::uint32_t least_caution = 16;
  static constexpr std::uint32_t most_caution = 4096;
  static constexpr nanoseconds longest_turn = 200'000;

  /// Counts the thread among the sleepers.
  struct registration {
    event_count& event;
    explicit registration(event_count& at) noexcept : event{at} {
      event.sleepers_.fetch_add(1, relaxed); // (D)
      event.fences_.heavy();
    }
    registration(const registration&) = delete;
    registration& operator=(const registration&) = delete;
    ~registration() { event.sleepers_.fetch_sub(1, relaxed); } // (I5)
  };

  /// Wakes another sleeper for one that leaves without having looked. (I2)
  struct unused_wake_up {
    event_count& event;
    bool needed = false;
    ~unused_wake_up() {
      if (needed) event.notify_one();
    }
  };

  struct outcome {
    queue_status status;
    bool saw_busy;
  };

  void wake_sleeper() noexcept;
  template <class Deadline, stoppable_token S, class Attempt>
  static outcome look(const Deadline& deadline, const S& token, Attempt& attempt);
  template <class Attempt>
  queue_status spin(Attempt& attempt);
  template <class Attempt>
  queue_status look_after_others(Attempt& attempt);
  template <class Deadline, stoppable_token S, class Attempt>
  queue_status look_repeatedly(const Deadline& deadline, const S& token, Attempt& attempt);
  template <class Deadline, stoppable_token S, class Attempt>
  queue_status sleep(const Deadline& deadline, const S& token, Attempt& attempt);

  // On a line of its own: a notifier only reads it while nobody waits.
  alignas(cache_line) atomic<std::uint32_t> sleepers_;
  wait_list list_;
  [[no_unique_address]] Fences fences_;
  alignas(cache_line) futex epoch_;
  atomic<std::uint32_t> patience_{longest_spin / 2}; // nanoseconds
  atomic<std::uint32_t> credit_;                     // so often it may give the core away in vain
  atomic<std::uint32_t> caution_{least_caution};     // waits from one try of that to the next
  atomic<std::uint64_t> waits_;
  atomic<std::uint64_t> wakeups_;
};

// ---- Definitions, in the order of the class

template <class Wait, class Fences>
inline void event_count<Wait, Fences>::notify_one() noexcept {
  if constexpr (parks) {
    list_.wake_one();
    if (sleepers_.load(seq_cst) != 0) wake_sleeper(); // (D)
  }
}

template <class Wait, class Fences>
void event_count<Wait, Fences>::notify_all() noexcept {
  if constexpr (parks) {
    list_.wake_all();
    if (sleepers_.load(seq_cst) == 0) return; // (D)
    wakeups_.fetch_add(1, relaxed);           // (I4)
    epoch_.word.fetch_add(1, release);        // (W)
    futex_wake_all(epoch_);
  }
}

template <class Wait, class Fences>
void event_count<Wait, Fences>::interrupt() noexcept {
  if constexpr (parks) {
    fences_.light();
    notify_all();
  }
}

template <class Wait, class Fences>
template <class Deadline, stoppable_token S, class Attempt>
queue_status event_count<Wait, Fences>::await(const Deadline& deadline, const S& token,
                                              Attempt&& attempt) {
  queue_status status = look(deadline, token, attempt).status;
  if (!is_unfinished(status)) return status;
  count_wait();
  if constexpr (!std::is_same_v<Wait, wait_policy::spin> && longest_spin != 0) {
    status = spin(attempt);
    if (!is_unfinished(status)) return status;
  }
  if constexpr (parks) return sleep(deadline, token, attempt);
  return look_repeatedly(deadline, token, attempt);
}

template <class Wait, class Fences>
[[gnu::noinline]] void event_count<Wait, Fences>::wake_sleeper() noexcept {
  wakeups_.fetch_add(1, relaxed);    // (I4)
  epoch_.word.fetch_add(1, release); // (W)
  futex_wake_one(epoch_);
}

/// One attempt, and the verdict on it. The end of the wait is looked for first, so that whatever
/// happened before the stop or the deadline is still found.
template <class Wait, class Fences>
template <class Deadline, stoppable_token S, class Attempt>
typename event_count<Wait, Fences>::outcome
event_count<Wait, Fences>::look(const Deadline& deadline, const S& token, Attempt& attempt) {
  const bool is_stopped = token.stop_requested();
  const bool is_late = !is_stopped && deadline.expired();
  const queue_status seen = attempt();
  const bool saw_busy = seen == queue_status::busy;
  if (!is_unfinished(seen)) return {seen, saw_busy};
  if (is_stopped) return {queue_status::stopped, saw_busy};
  return {is_late ? queue_status::timeout : seen, saw_busy};
}

/// Looks again and again, as long as that has been worth it lately.
template <class Wait, class Fences>
template <class Attempt>
queue_status event_count<Wait, Fences>::spin(Attempt& attempt) {
  const std::uint32_t patience = patience_.load(relaxed); // (I4)
  const nanoseconds end = now() + patience;
  do {
    for (int i = 0; i != looks_per_clock; ++i) {
      relax();
      const queue_status status = attempt();
      if (is_unfinished(status)) continue;
      if (patience < longest_spin) patience_.store(patience * 2, relaxed); // (I4)
      return status;
    }
  } while (now() < end);
  patience_.store(larger_of(patience / 2, shortest_spin), relaxed); // (I4)
  return look_after_others(attempt);
}

/// Looks once more when others have had the core, if that has been worth it lately.
template <class Wait, class Fences>
template <class Attempt>
queue_status event_count<Wait, Fences>::look_after_others(Attempt& attempt) {
  const std::uint32_t credit = credit_.load(relaxed);   // (I4)
  const std::uint32_t caution = caution_.load(relaxed); // (I4)
  if (credit == 0 && waits() % caution != 0) return queue_status::busy;
  const nanoseconds begin = now();
  yield();
  const bool was_long = now() - begin > longest_turn;
  const queue_status status = attempt();
  if (was_long) {
    credit_.store(0, relaxed);                                      // (I4)
    caution_.store(smaller_of(caution * 2, most_caution), relaxed); // (I4)
  } else if (is_unfinished(status)) {
    if (credit != 0) credit_.store(credit - 1, relaxed); // (I4)
  } else {
    credit_.store(most_credit, relaxed);    // (I4)
    caution_.store(least_caution, relaxed); // (I4)
  }
  return status;
}

template <class Wait, class Fences>
template <class Deadline, stoppable_token S, class Attempt>
queue_status event_count<Wait, Fences>::look_repeatedly(const Deadline& deadline, const S& token,
                                                        Attempt& attempt) {
  for (;;) {
    const queue_status status = look(deadline, token, attempt).status;
    if (!is_unfinished(status)) return status;
    if constexpr (std::is_same_v<Wait, wait_policy::yield>) {
      yield();
    } else {
      relax();
    }
  }
}

template <class Wait, class Fences>
template <class Deadline, stoppable_token S, class Attempt>
queue_status event_count<Wait, Fences>::sleep(const Deadline& deadline, const S& token,
                                              Attempt& attempt) {
  const auto wake = [this]() noexcept { interrupt(); };
  const registration registered{*this};
  const stop_watch<S, std::remove_const_t<decltype(wake)>> watch{token, wake};
  unused_wake_up handed_on{*this};
  for (;;) {
    handed_on.needed = true;                               // until the attempt has answered
    const std::uint32_t epoch = epoch_.word.load(acquire); // (W)
    const outcome found = look(deadline, token, attempt);
    handed_on.needed = found.saw_busy;
    if (!is_unfinished(found.status)) return found.status;
    if (found.saw_busy) {
      yield(); // (I3)
    } else {
      (void)futex_wait(epoch_, epoch, std::min(deadline.wake_at(), watch.look_again_at()));
    }
  }
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_MAILBOX_EVENT_COUNT_HPP

// ---- <mailroom/mailbox/closing.hpp>

#ifndef MAILROOM_MAILBOX_CLOSING_HPP
#define MAILROOM_MAILBOX_CLOSING_HPP

// How a mailbox closes without losing a message that is just being pushed.
//
// A push looks at the closed flag and then puts its message in; close() may come between the two.
// Every push that answered success must be delivered, so the pop that wants to answer closed has to
// know that no push can still come. There are two ways to know:
//
//   sealed_end    the queue itself can be ended: the pop seals it, and a late push meets the seal.
//                 Costs nothing before that.
//   watched_end   one producer: it says when it is in a push, and the pop waits for it to leave.
//                 Costs a push the light one of two fences.
//
// Invariants
//   (I1)  watched_end: only the producer writes pushing
//   (I2)  watched_end: once closed, with no push in progress and nothing in the queue, it stays so;
//         whoever finds that out notes it in over, for a producer that goes on trying sets pushing
//         again and again. The note says no more than that, so it orders nothing: who reads it has
//         seen the closed flag
//
// Memory order
//   (C)   close: what happened before close() -> whoever sees the flag.
//   (D)   Dekker: the producer sets pushing, then the light fence, then it looks at closed <-> the
//         pop sees closed, then the heavy fence, then it looks at pushing. One sees the other.
//   (P)   push ended: the message in the queue -> the pop that sees pushing cleared.

#include <concepts>    // same_as
#include <cstdint>     // uint32_t
#include <type_traits> // conditional

namespace mailroom::inline MAILROOM_ABI::detail {

/// 1 once closed. A whole word: not every machine has lock-free atomics of a byte.
using closed_flag = atomic<std::uint32_t>;

/// A queue that can be ended from outside.
template <class Queue>
concept sealable = requires(Queue& queue) {
  { queue.seal() } noexcept -> std::same_as<bool>;
};

template <class Queue>
class sealed_end {
  using result = expected<typename Queue::value_type, queue_status>;

public:
  sealed_end() = default;
  explicit sealed_end(const auto& /* fences */) noexcept {} // it needs none

  /// Is the mailbox still open for the push that begins now?
  struct push_in_progress {
    bool is_open;
  };
  static push_in_progress begin_push(const closed_flag& closed) noexcept {
    return {closed.load(memory_order::acquire) == 0}; // (C)
  }

  /// The pop of a closed mailbox: a message, or closed for ever.
  ///
  /// Progress  lock-free
  static result last_pop(Queue& queue) noexcept {
    while (!queue.seal()) {
      if (result last = queue.try_pop(); last || last.error() == queue_status::busy) return last;
    }
    return unexpected{queue_status::closed};
  }

  /// Is there nothing left in a closed mailbox, for ever?
  static bool is_over(Queue& queue) noexcept { return queue.seal(); }
};

template <class Queue, class Fences = symmetric_fences>
class watched_end {
  using result = expected<typename Queue::value_type, queue_status>;

public:
  explicit watched_end(const Fences& fences = {}) noexcept : fences_{fences} {}

  struct push_in_progress {
    atomic<std::uint32_t>& pushing;
    const bool is_open;
    push_in_progress(watched_end& end, const closed_flag& closed) noexcept
        : pushing{end.pushing_}, is_open{end.begin(closed)} {}
    push_in_progress(const push_in_progress&) = delete;
    push_in_progress& operator=(const push_in_progress&) = delete;
    ~push_in_progress() { pushing.store(0, memory_order::release); } // (P)
  };
  push_in_progress begin_push(const closed_flag& closed) noexcept { return {*this, closed}; }

  /// Progress  wait-free; answers busy while a push is in progress
  result last_pop(Queue& queue) noexcept {
    if (over_.load(memory_order::relaxed) != 0) return unexpected{queue_status::closed}; // (I2)
    if (is_pushing()) return unexpected{queue_status::busy};
    result last = queue.try_pop();
    if (last || last.error() != queue_status::empty) return last;
    over_.store(1, memory_order::relaxed); // (I2)
    return unexpected{queue_status::closed};
  }

  bool is_over(const Queue& queue) noexcept {
    if (over_.load(memory_order::relaxed) != 0) return true; // (I2)
    if (queue.size_approx() != 0 || is_pushing() || queue.size_approx() != 0) return false;
    over_.store(1, memory_order::relaxed); // (I2)
    return true;
  }

private:
  bool begin(const closed_flag& closed) noexcept {
    pushing_.store(1, memory_order::relaxed); // (D) (I1)
    fences_.light();
    return closed.load(memory_order::acquire) == 0; // (D) (C)
  }
  bool is_pushing() const noexcept {
    fences_.heavy();
    return pushing_.load(memory_order::acquire) != 0; // (D) (P)
  }

  [[no_unique_address]] Fences fences_;
  alignas(cache_line) atomic<std::uint32_t> pushing_; // (I1)
  alignas(cache_line) atomic<std::uint32_t> over_;    // (I2)
};

template <class Queue, class Fences>
struct choose_closing {
  static_assert(sealable<Queue> || queue_facts<Queue>::producers == arity::one,
                "mailroom: a queue with many producers needs seal() to be closed without loss");
  using type = std::conditional_t<sealable<Queue>, sealed_end<Queue>, watched_end<Queue, Fences>>;
};

/// The way in which a mailbox over `Queue` closes.
template <class Queue, class Fences = symmetric_fences>
using closing = typename choose_closing<Queue, Fences>::type;

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_MAILBOX_CLOSING_HPP

// ---- <mailroom/mailbox/options.hpp>

#ifndef MAILROOM_MAILBOX_OPTIONS_HPP
#define MAILROOM_MAILBOX_OPTIONS_HPP

// What one says to a mailbox when it is made, and what it says about itself afterwards.

#include <cstddef> // size_t
#include <cstdint> // uint64_t

namespace mailroom::inline MAILROOM_ABI {

/// What happens to a push when there is no room.
enum class overflow : unsigned char {
  block,       ///< it waits
  reject,      ///< it answers full
  drop_newest, ///< its message is discarded, and counted; it answers dropped
  drop_oldest, ///< the oldest message is discarded, and counted; it succeeds
};

struct mailbox_options {
  std::size_t capacity = 1024; ///< ignored by queues that fix or lack one
  overflow on_full = overflow::block;
  const char* name = ""; ///< for statistics and traces; must outlive the mailbox
};

/// Exact once the threads have stopped; while they run, numbers of different moments.
struct mailbox_stats {
  std::uint64_t pushed;     ///< messages put in
  std::uint64_t popped;     ///< messages delivered
  std::uint64_t rejected;   ///< pushes refused by overflow::reject
  std::uint64_t dropped;    ///< messages discarded by drop_newest or drop_oldest
  std::uint64_t discarded;  ///< messages discarded by close(discard)
  std::uint64_t push_waits; ///< those that found no room and waited; and waits for the end
  std::uint64_t pop_waits;  ///< those that found no message and waited
  std::uint64_t wakeups;    ///< notifications that met a thread asleep in push or pop
  std::size_t depth;        ///< messages inside
};

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_MAILBOX_OPTIONS_HPP

// ---- <mailroom/mailbox/checks.hpp>

#ifndef MAILROOM_MAILBOX_CHECKS_HPP
#define MAILROOM_MAILBOX_CHECKS_HPP

// Checked mode: a mailbox that is used against its contract says so, and names both sides.
//
// Use it       in tests and while looking for a bug: -D MAILROOM_CHECKED=1, or the same #define
//              before the first header of the library. Without it this page is empty: no byte in a
//              mailbox, no instruction in a call.
// Instead use  a sanitizer, for races in the messages themselves. The lock below orders the calls
//              of a checked mailbox, so a race detector sees less of a program that is checked.
//
// Each mailbox has a list of the calls that are in it, each with its thread:
//
//      push     thread 0x7f..a0 (feeder)    at the producers' end
//      run      thread 0x7f..b0 (worker)    in its handler
//      push     thread 0x7f..c0 (main)      <-- comes in: the queue has one producer, and there is
//                                               one at that end already: reported
//
// Reported are (the names are those of violation_rule):
//
//      one_producer, one_consumer  two threads in a call of the same end, where the queue has one
//                         thread there. A call that waits is in it all the while, and so are a
//                         select and a coroutine that wait
//      destroyed_in_use   the mailbox is destroyed while somebody is in a call, in a handler of run
//                         or in on_drop, or waits in a select or a coroutine
//      waits_for_itself   the handler of run, over a queue with one consumer, pushes into its own
//                         full mailbox, or calls close_and_wait while messages are inside, with
//                         neither a deadline nor a token: only who waits could make room, or
//                         somebody who closes the mailbox, on which no handler should rely
//      push_from_on_drop  a push into the mailbox that is just discarding, and may again
//
// Not reported is what the contract allows: an end that is handed over, between two calls, to
// another thread; a handler that pops, or pushes with try_push, a deadline or a token. Nor what
// nobody can see from inside: two producers that never meet in a call, though nothing orders them.
// To make such meet, a call that finds the end in other hands than before stays for some
// microseconds. The handlers of a select and of consume_all, the body of a loop over a consumer,
// and a coroutine that was resumed are not known as handlers. What a thread does at an end where a
// coroutine of its own waits counts as part of that, though the coroutine may go on elsewhere.
//
// Files with and without it may be in one program: everything is in another inline namespace, so
// each kind has mailboxes of its own. Who hands a mailbox to a function of the other kind does not
// link; a class with a mailbox inside must be known to files of one kind only.
//
// Invariants
//   (I1)  the list and what is said in it belong to the lock of the list
//   (I2)  no code of the user runs under that lock, so no other lock is ever taken inside
//   (I3)  a call that a call of the same thread makes at the same end is part of it
//   (I4)  whose name is asked for under the lock has not left, and so not ended; a coroutine keeps
//         the name of its thread
//   (I5)  a child process touches neither list nor lock of what it inherited: threads that it does
//         not have may be in the one, and hold the other
//
// Memory order
//   (H)   handler: all that was done before it was set -> the thread that calls it.
//         Argued: the checker runs no checked mailboxes.
//
// Decision: a violation ends the program, as a failed assert does. Who sets a handler can do
//   otherwise; when that returns, the call goes on as if nothing had been seen.
// Decision: only overlapping calls are a second producer. To know whether two that do not overlap
//   were ordered needs the clocks of a race detector, for all that the program does.

#include <type_traits> // is_empty

#if MAILROOM_CHECKED
#include <cstddef> // size_t
#include <cstdint> // uint64_t
#include <cstdio>  // fprintf
#include <cstdlib> // abort
#include <utility> // exchange
#endif

namespace mailroom::inline MAILROOM_ABI::detail {

/// Where in a mailbox a call is: at one of the ends, in the user's code, or elsewhere.
enum class station : unsigned char { producing, consuming, elsewhere, handling, dropping };

} // namespace mailroom::inline MAILROOM_ABI::detail

#if MAILROOM_CHECKED

namespace mailroom::inline MAILROOM_ABI {

enum class violation_rule : unsigned char {
  one_producer,
  one_consumer,
  destroyed_in_use,
  waits_for_itself,
  push_from_on_drop,
};

constexpr const char* to_string(violation_rule rule) noexcept {
  switch (rule) {
  case violation_rule::one_producer: return "a second producer";
  case violation_rule::one_consumer: return "a second consumer";
  case violation_rule::destroyed_in_use: return "destroyed in use";
  case violation_rule::waits_for_itself: return "waits for itself";
  case violation_rule::push_from_on_drop: return "a push from on_drop";
  }
  return "?";
}

/// A call in a mailbox, and who made it.
struct mailbox_visitor {
  const char* call;            ///< "push", "the handler of run", ...
  detail::thread_label thread; ///< as a debugger shows it: a number, and the name that it was given
};

/// What a checked mailbox has seen.
struct violation {
  violation_rule rule;
  const char* mailbox;      ///< its name
  mailbox_visitor comes;    ///< whose call is against the rule
  mailbox_visitor is_there; ///< because of this one, which is not over
};

using violation_handler = void (*)(const violation&) noexcept;

/// Says a violation in one line on stderr, and ends the program.
[[noreturn]] inline void abort_on_violation(const violation& seen) noexcept {
  std::fprintf(stderr,
               "mailroom: mailbox \"%s\": %s: %s in thread 0x%llx (%s), "
               "while %s is not over in thread 0x%llx (%s)\n",
               seen.mailbox, to_string(seen.rule), seen.comes.call,
               static_cast<unsigned long long>(seen.comes.thread.number), seen.comes.thread.name,
               seen.is_there.call, static_cast<unsigned long long>(seen.is_there.thread.number),
               seen.is_there.thread.name);
  std::abort();
}

namespace detail {
inline atomic<violation_handler> current_violation_handler{&abort_on_violation};
} // namespace detail

/// Sets who is told of violations, for all checked mailboxes, in place of abort_on_violation, which
/// nullptr stands for. It is called in the thread whose call is against the rule, before that goes
/// on.
///
/// Caller    anyone
/// Progress  wait-free
/// Returns   who was told before
inline violation_handler set_violation_handler(violation_handler wanted) noexcept {
  if (wanted == nullptr) wanted = &abort_on_violation;
  return detail::current_violation_handler.exchange(wanted, detail::memory_order::acq_rel); // (H)
}

namespace detail {

class presence;

/// Whether an end was last used by the same thread.
enum class hands : unsigned char { same, other };

/// The calls that are in one mailbox.
class visitors {
public:
  visitors(arity producers, arity consumers, const char* name) noexcept
      : name_{name}, how_many_{producers, consumers} {}

  /// The mailbox is about to be destroyed.
  void expect_none() noexcept;

  /// A call waits for a message to be taken out, and nothing else ends its wait.
  void expect_a_consumer(const char* call) noexcept;

private:
  friend class presence;
  struct finding {
    violation_rule rule;
    mailbox_visitor who;
  };

  static std::size_t index(station at) noexcept { return static_cast<std::size_t>(at); }
  bool is_inherited() const noexcept { return process_ != process_number(); }
  bool is_for_one(station at) const noexcept {
    return at <= station::consuming && how_many_[index(at)] == arity::one;
  }
  presence* newest_of(std::uint64_t thread) noexcept;
  finding look(const presence* own, station at, std::uint64_t thread) const noexcept;
  hands pass(station at, std::uint64_t thread) noexcept;
  void append(presence& last) noexcept;
  void remove(presence& gone) noexcept;
  void report(violation_rule rule, const mailbox_visitor& comes,
              const mailbox_visitor& is_there) const noexcept {
    const violation seen{rule, name_, comes, is_there};
    current_violation_handler.load(memory_order::acquire)(seen); // (H)
  }

  const char* const name_;
  const int process_ = process_number();
  const arity how_many_[2];        // at each end, by station
  std::uint64_t last_thread_[2]{}; // that came to it
  mutex lock_;
  presence* first_ = nullptr;
  presence* last_ = nullptr;
};

/// A call in a mailbox, from when it comes in until it leaves.
class presence {
public:
  presence() noexcept = default;
  presence(visitors& in, const char* call, station at) noexcept {
    if (enter(in, call, at) == hands::other) stay_for_a_moment();
  }
  presence(const presence&) = delete;
  presence& operator=(const presence&) = delete;
  ~presence() { leave(); }

  /// Comes in, or goes to another station, or goes on in another thread.
  ///
  /// Returns   in whose hands the end was before
  hands enter(visitors& in, const char* call, station at) noexcept;
  void leave() noexcept;

  /// The thread may end before it leaves, for it is a coroutine that is in the mailbox.
  void keep_name() noexcept;

private:
  friend class visitors;
  mailbox_visitor named() const noexcept {
    return *who_.thread.name != 0 ? who_ : mailbox_visitor{who_.call, label_of(who_.thread.number)};
  }
  static void stay_for_a_moment() noexcept {
    const nanoseconds end = now() + longest_spin;
    while (now() < end) yield();
  }

  visitors* in_ = nullptr; // whose list it is in
  mailbox_visitor who_{};
  station at_ = station::elsewhere;
  bool is_reported_ = false;
  presence* before_ = nullptr;
  presence* behind_ = nullptr;
};

// ---- Definitions, in the order of the classes

inline void visitors::expect_none() noexcept {
  if (is_inherited()) return; // (I5)
  const mailbox_visitor self{"~mailbox", label_of(thread_number())};
  mailbox_visitor found{};
  {
    const lock_guard held{lock_};
    if (first_ == nullptr) return;
    const presence* const own = newest_of(self.thread.number);
    found = (own == nullptr ? first_ : own)->named();
  }
  report(violation_rule::destroyed_in_use, self, found);
}

inline void visitors::expect_a_consumer(const char* call) noexcept {
  if (!is_for_one(station::consuming) || is_inherited()) return;
  const mailbox_visitor self{call, label_of(thread_number())};
  mailbox_visitor found{};
  {
    const lock_guard held{lock_};
    presence* each = first_;
    while (each != nullptr &&
           (each->at_ != station::handling || each->who_.thread.number != self.thread.number)) {
      each = each->behind_;
    }
    if (each == nullptr || each->is_reported_) return;
    each->is_reported_ = true;
    found = each->named();
  }
  report(violation_rule::waits_for_itself, self, found);
}

inline presence* visitors::newest_of(std::uint64_t thread) noexcept {
  presence* each = last_;
  while (each != nullptr && each->who_.thread.number != thread) each = each->before_;
  return each;
}

/// What speaks against a call that comes to a station. `own` is the newest of its thread.
inline visitors::finding visitors::look(const presence* own, station at,
                                        std::uint64_t thread) const noexcept {
  if (at == station::producing && own != nullptr && own->at_ == station::dropping) {
    return {violation_rule::push_from_on_drop, own->named()};
  }
  const auto rule =
      at == station::producing ? violation_rule::one_producer : violation_rule::one_consumer;
  if (!is_for_one(at)) return {rule, {}};
  const presence* each = first_;
  while (each != nullptr && (each->at_ != at || each->who_.thread.number == thread)) {
    each = each->behind_;
  }
  return {rule, each == nullptr ? mailbox_visitor{} : each->named()};
}

/// Notes who came last to an end that is for one.
inline hands visitors::pass(station at, std::uint64_t thread) noexcept {
  if (!is_for_one(at)) return hands::same;
  const std::uint64_t before = std::exchange(last_thread_[index(at)], thread);
  return before == 0 || before == thread ? hands::same : hands::other;
}

inline void visitors::append(presence& last) noexcept {
  last.in_ = this;
  last.before_ = last_;
  last.behind_ = nullptr;
  (last_ == nullptr ? first_ : last_->behind_) = &last;
  last_ = &last;
}

inline void visitors::remove(presence& gone) noexcept {
  (gone.before_ == nullptr ? first_ : gone.before_->behind_) = gone.behind_;
  (gone.behind_ == nullptr ? last_ : gone.behind_->before_) = gone.before_;
}

inline hands presence::enter(visitors& in, const char* call, station at) noexcept {
  leave();
  if (in.is_inherited()) return hands::same; // (I5)
  visitors::finding found{};
  hands last = hands::same;
  {
    const lock_guard held{in.lock_};
    const std::uint64_t thread = thread_number();
    const presence* const own = in.newest_of(thread);
    if (own != nullptr && own->at_ == at) return last; // (I3)
    found = in.look(own, at, thread);
    last = in.pass(at, thread);
    who_ = {call, {thread, ""}};
    at_ = at;
    is_reported_ = false;
    in.append(*this);
  }
  if (found.who.call != nullptr) in.report(found.rule, named(), found.who);
  return last;
}

inline void presence::leave() noexcept {
  visitors* const left = std::exchange(in_, nullptr);
  if (left == nullptr || left->is_inherited()) return; // (I5)
  const lock_guard held{left->lock_};
  left->remove(*this);
}

inline void presence::keep_name() noexcept {
  if (in_ == nullptr) return;
  const lock_guard held{in_->lock_};
  who_ = named();
  if (*who_.thread.name == 0) who_.thread.name[0] = '?'; // it has none, and is not asked again
}

} // namespace detail
} // namespace mailroom::inline MAILROOM_ABI

#else

namespace mailroom::inline MAILROOM_ABI::detail {

/// Nobody is remembered.
class visitors {
public:
  constexpr visitors(arity, arity, const char*) noexcept {}
  static void expect_none() noexcept {}
  static void expect_a_consumer(const char*) noexcept {}
};

class presence {
public:
  presence() noexcept {} // NOLINT(modernize-use-equals-default): else the compiler finds it unused
  presence(const visitors&, const char*, station) noexcept {}
  presence(const presence&) = delete;
  presence& operator=(const presence&) = delete;
  ~presence() {} // NOLINT(modernize-use-equals-default): the same
  static void enter(const visitors&, const char*, station) noexcept {}
  static void leave() noexcept {}
  static void keep_name() noexcept {}
};

static_assert(std::is_empty_v<visitors> && std::is_empty_v<presence>);

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_CHECKED

#endif // MAILROOM_MAILBOX_CHECKS_HPP

// ---- <mailroom/mailbox/loss.hpp>

#ifndef MAILROOM_MAILBOX_LOSS_HPP
#define MAILROOM_MAILBOX_LOSS_HPP

// What becomes of the messages that a mailbox does not deliver: who gets them, and how many
// they were.
//
// Use it       never: it is the inside of mailbox. What a user meets of it are discard, and the
//              on_drop that a mailbox can be made with.
//
//      drop_newest     the message of the push    --+
//      drop_oldest     the message in front         |     counted, then given to on_drop; if there
//      close(discard)  all that is inside           +-->  is none, what was in the mailbox is
//      ~mailbox        what is still inside       --+     destroyed, and a push keeps its message
//
// Invariants
//   (I1)  a counter for statistics orders nothing
//
// Decision: an on_drop that may throw is refused by the compiler. It runs in the middle of a push,
//   of a close and of a destructor, and none of them has anybody to tell.
// Decision: drop_newest gives on_drop the message of the push itself where that may be moved from,
//   and else a copy: a message that can only be moved should arrive somewhere too.

#include <cstdint>     // uint64_t
#include <type_traits> // decay, is_nothrow_invocable
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI {

/// Chooses the close() that throws away what is inside.
struct discard_t {
  explicit discard_t() = default;
};
inline constexpr discard_t discard{};

namespace detail {

/// Counts the messages of a mailbox that are not delivered, and gives them to on_drop.
template <class T>
class losses {
public:
  /// Nobody wants the messages.
  losses() noexcept = default;

  /// `on_drop` gets them, as T&&.
  ///
  /// Throws    what the allocation and the copy or move of `on_drop` throw
  template <message_handler<T> F>
  explicit losses(F&& on_drop) : on_drop_{std::forward<F>(on_drop)} {
    static_assert(std::is_nothrow_invocable_v<std::decay_t<F>&, T&&>,
                  "mailroom: an on_drop must be noexcept");
  }

  /// Has somebody to be told of what is left in the end?
  bool is_watched() const noexcept { return static_cast<bool>(on_drop_); }

  /// A push was refused. Its message is where it was.
  void reject() noexcept { rejected_.fetch_add(1, relaxed); } // (I1)

  /// A message was taken out to make room, or does not come in.
  void drop(T&& message) noexcept {
    dropped_.fetch_add(1, relaxed); // (I1)
    hand_over(std::move(message));
  }

  /// The same for a message that stays where it is: on_drop gets a copy.
  ///
  /// Throws    what copying the message throws; then it is not counted
  void drop(const T& message) {
    if (is_watched()) return drop(T(message));
    dropped_.fetch_add(1, relaxed); // (I1)
  }

  /// A message was taken out because nobody will.
  void discard(T&& message) noexcept {
    discarded_.fetch_add(1, relaxed); // (I1)
    hand_over(std::move(message));
  }

  std::uint64_t rejected() const noexcept { return rejected_.load(relaxed); }   // (I1)
  std::uint64_t dropped() const noexcept { return dropped_.load(relaxed); }     // (I1)
  std::uint64_t discarded() const noexcept { return discarded_.load(relaxed); } // (I1)

private:
  using enum memory_order;

  void hand_over(T&& message) noexcept {
    if (on_drop_) on_drop_(std::move(message));
  }

  const hook<T&&> on_drop_{};
  atomic<std::uint64_t> rejected_;
  atomic<std::uint64_t> dropped_;
  atomic<std::uint64_t> discarded_;
};

} // namespace detail
} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_MAILBOX_LOSS_HPP

// ---- <mailroom/mailbox/mailbox.hpp>

#ifndef MAILROOM_MAILBOX_MAILBOX_HPP
#define MAILROOM_MAILBOX_MAILBOX_HPP

// A queue that waits: with deadlines, stop tokens, a policy for overflow, and an orderly end.
//
// Use it       between threads of which one may have to wait for the other; it is to a queue what
//              std::stack is to a container: mailbox<T, spsc_queue<T>> is the same over another.
// Instead use  the queue itself, if nobody ever waits;
//              dispatcher, when the same message is for several receivers.
//
//      push -->  [ queue ]  --> pop             closed: a flag; what was pushed before it is still
//        :          |            :              delivered, and the pop that finds no more seals
//     not_full <----+----> not_empty            the queue, so that no push can slip in behind it
//
// When several outcomes are possible at once:
//      pop    a message, before closed, before stopped, before timeout
//      push   closed, before room, before stopped, before timeout
//
// Invariants
//   (I1)  every push that answered success is delivered, discarded by drop_oldest or close(discard)
//         and counted, or destroyed with the mailbox; every push that answered anything else left
//         its message alone, unless drop_newest has given it to on_drop
//   (I2)  once a pop has answered closed, no push succeeds and every pop answers closed
//
// Memory order
//   (C)   close: what happened before close() -> whoever sees the flag. How a racing push is told
//         from a late one is in closing.hpp.
// A push, a pop or close publishes, by a seq_cst RMW or with the light fence behind it, then looks
// for sleepers: that is its half of (D) in event_count.hpp. Where the queue has no bound, and so
// need not publish its pops, the pop that answers closed does so for those before it.
//
// Decision: the overflow policy belongs to the mailbox, not to the push: a bound that every caller
//   may lift is none. A policy other than block never waits, not even in a timed push.
// Decision: the message needs a nothrow move, so that none can be lost on its way out.
// Decision: who waits for the end sleeps where pushes wait for room. In a closed mailbox none does,
//   and every pop looks there anyway, so that it costs nothing when nobody waits.
// Decision: the first attempt of a push or a pop, and the look for sleepers behind it, are inline;
//   what waits and what wakes is kept out of line. Inline too, it costs every call its registers.
// Decision: run takes its messages out one by one, not by consume_all. Handled where they are, they
//   would keep a slow handler's room from the producers.

#include <chrono>      // duration, time_point
#include <concepts>    // constructible_from, convertible_to
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <iterator>    // input_iterator, sentinel_for, output_iterator
#include <memory>      // allocator
#include <optional>    // optional
#include <type_traits> // conditional, is_constructible, is_lvalue_reference, is_same, remove_cvref
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI {

namespace detail {

struct mailbox_access; // mailbox_access.hpp
template <class Box>
class pop_attempt;
template <class Box>
class push_attempt;
template <class Attempt, class S>
class async_operation; // needs 
/// How a push or a pop, and a thread that goes to sleep, notice each other. A seq_cst RMW needs no
/// fence behind it, so there is nothing to save; a plain store does, and then the sleeper pays.
template <class Queue, class Wait>
using mailbox_fences = std::conditional_t<!queue_facts<Queue>::sequentially_consistent &&
                                              std::is_same_v<Wait, wait_policy::park>,
                                          asymmetric_fences, symmetric_fences>;

} // namespace detail

template <message T, class Queue = mpmc_queue<T>, class Wait = wait_policy::park>
class mailbox {
  static_assert(queue<Queue>, "mailroom: a mailbox needs a queue of mailroom's kind");
  static_assert(nothrow_message<T>, "mailroom: a mailbox needs a message whose move cannot throw");

public:
  using value_type = T;
  using queue_type = Queue;

  /// Makes an empty, open mailbox.
  ///
  /// Throws    what the queue's constructor throws; std::invalid_argument for drop_oldest over a
  ///           queue with one consumer, where a push cannot take the oldest message out
  explicit mailbox(std::size_t capacity) : mailbox{mailbox_options{.capacity = capacity}} {}
  explicit mailbox(mailbox_options options = {});
  template <class Allocator>
    requires std::constructible_from<Queue, std::size_t, const Allocator&>
  mailbox(mailbox_options options, const Allocator& allocator);

  /// The same, with somebody who gets, as T&&, the messages that the policy, close(discard) or the
  /// destructor discards. `on_drop` is called by the thread that does, in several perhaps at once,
  /// and may not throw. It may use this mailbox, but for a push into it that may discard again.
  template <message_handler<T> F>
  mailbox(mailbox_options options, F&& on_drop);

  /// Discards the messages still inside.
  ///
  /// Caller    anyone, once no other thread uses the mailbox or waits in it
  ~mailbox();

  mailbox(const mailbox&) = delete;
  mailbox& operator=(const mailbox&) = delete;

  // ---- Producers

  /// Puts a message in; waits for room if overflow is block.
  ///
  /// Caller    as for the queue's push
  /// Progress  blocking: waits for room; with any other policy as the queue's push
  /// Cost      the queue's push and three loads (over spsc_queue two fences more, where the kernel
  ///           has none for all threads); a system call when somebody sleeps, and a lock when a
  ///           select or a coroutine waits
  /// Throws    what copying the message throws; nothing was put in
  /// Orders    all before a successful call happens before the return of the pop that takes it
  /// Returns   true if the message is in; false if it is not, and the argument untouched (unless
  ///           drop_newest gave it to on_drop): the mailbox is closed, the stop was requested, or
  ///           the policy refused it
  bool push(const T& value) { return push(value, never_stop{}); }
  bool push(T&& value) { return push(std::move(value), never_stop{}); }
  template <stoppable_token S>
  bool push(const T& value, S token) {
    return push_or_wait(value, detail::no_deadline{}, token) == queue_status::success;
  }
  template <stoppable_token S>
  bool push(T&& value, S token) {
    return push_or_wait(std::move(value), detail::no_deadline{}, token) == queue_status::success;
  }

  /// Builds a message from the arguments, then puts it in like push.
  template <class... Args>
    requires std::constructible_from<T, Args...>
  bool emplace(Args&&... args) {
    return push(T(std::forward<Args>(args)...));
  }

  /// Puts a message in if there is room, or as the overflow policy has it.
  ///
  /// Caller    as for the queue's push
  /// Progress  as the queue's push; but where a select or a coroutine waits, blocking: on the lock
  ///           of their list
  /// Returns   success; full; closed; dropped under drop_newest; busy if the queue says so. The
  ///           argument keeps its message unless success, or unless on_drop got it
  queue_status try_push(const T& value) { return offer(value); }
  queue_status try_push(T&& value) { return offer(std::move(value)); }

  /// The same, and adds to `dropped` how many messages the policy discarded in this call.
  queue_status try_push(const T& value, std::size_t& dropped) { return offer(value, &dropped); }
  queue_status try_push(T&& value, std::size_t& dropped) {
    return offer(std::move(value), &dropped);
  }

  /// Like push, from a coroutine, which is suspended instead of the thread:
  /// `bool is_in = co_await box.async_push(std::move(message))`. Needs mailbox/async.hpp.
  ///
  /// Caller    as for the queue's push; the message, and the mailbox, must be there until then
  /// Progress  as try_push, and blocking: on the lock of the list, where it must wait for room
  /// Returns   what can be awaited, once: whether the message is in; if not, it is untouched
  template <stoppable_token S = never_stop>
  detail::async_operation<detail::push_attempt<mailbox>, S> async_push(T&& value,
                                                                       S token = {}) noexcept {
    return {detail::push_attempt<mailbox>(*this, value), std::move(token)};
  }

  /// Waits for room until a point in time, on any clock, or for a duration.
  ///
  /// Progress  blocking: waits for room, the deadline, or the stop
  /// Returns   success; closed; stopped; timeout, never early; or what the policy answers
  template <class Rep, class Period, stoppable_token S = never_stop>
  queue_status try_push_for(T&& value, std::chrono::duration<Rep, Period> timeout, S token = {}) {
    return push_or_wait(std::move(value), detail::steady_deadline{timeout}, token);
  }
  template <class Rep, class Period, stoppable_token S = never_stop>
  queue_status try_push_for(const T& value, std::chrono::duration<Rep, Period> timeout,
                            S token = {}) {
    return push_or_wait(value, detail::steady_deadline{timeout}, token);
  }
  template <class Clock, class Duration, stoppable_token S = never_stop>
  queue_status try_push_until(T&& value, std::chrono::time_point<Clock, Duration> deadline,
                              S token = {}) {
    return push_or_wait(std::move(value), detail::deadline_at(deadline), token);
  }
  template <class Clock, class Duration, stoppable_token S = never_stop>
  queue_status try_push_until(const T& value, std::chrono::time_point<Clock, Duration> deadline,
                              S token = {}) {
    return push_or_wait(value, detail::deadline_at(deadline), token);
  }

  /// Puts [first, last) in, in order, waiting for room as push does. What the policy discards is
  /// passed over; other producers' messages may come between.
  ///
  /// Progress  blocking: waits for room
  /// Throws    what the iterator or the copy of a message throws; those before it are in
  /// Returns   the first element that was not taken: `last`, unless closed or refused
  template <std::input_iterator I, std::sentinel_for<I> E>
    requires range_element<std::iter_reference_t<I>, T> &&
             std::convertible_to<std::iter_reference_t<I>, T>
  I push_range(I first, E last);

  // ---- Consumers

  /// Takes the first message; waits for one.
  ///
  /// Caller    as for the queue's pop
  /// Progress  blocking: waits for a message
  /// Cost      the queue's pop and two loads (over spsc_queue one fence more, where the kernel has
  ///           none for all threads); a system call when somebody sleeps, and a lock when a select
  ///           or a coroutine waits
  /// Throws    nothing (a token's callback may)
  /// Orders    see push
  /// Returns   the message; nullopt once closed and drained, or stopped with no message there
  std::optional<T> pop() { return pop(never_stop{}); }
  template <stoppable_token S>
  std::optional<T> pop(S token);

  /// Takes the first message if there is one.
  ///
  /// Caller    as for the queue's pop
  /// Progress  as the queue's pop; but where a select or a coroutine waits for room, blocking: on
  ///           the lock of their list
  /// Returns   the message; empty; closed, for ever; busy if the queue says so, or if the one
  ///           producer is in the middle of a push into a mailbox that is being closed
  expected<T, queue_status> try_pop();

  /// The same by assignment: `into` is untouched unless the answer is success.
  queue_status try_pop(T& into)
    requires std::is_nothrow_move_assignable_v<T>;

  /// Waits for a message until a point in time, on any clock, or for a duration.
  ///
  /// Progress  blocking: waits for a message, the deadline, or the stop
  /// Returns   the message; closed; stopped; timeout, never early
  template <class Rep, class Period, stoppable_token S = never_stop>
  expected<T, queue_status> try_pop_for(std::chrono::duration<Rep, Period> timeout, S token = {}) {
    return pop_or_wait(detail::steady_deadline{timeout}, token);
  }
  template <class Clock, class Duration, stoppable_token S = never_stop>
  expected<T, queue_status> try_pop_until(std::chrono::time_point<Clock, Duration> deadline,
                                          S token = {}) {
    return pop_or_wait(detail::deadline_at(deadline), token);
  }

  /// Waits for one message, then takes what is there, up to `max`.
  ///
  /// Progress  blocking: waits for the first message
  /// Throws    what the assignment to `*out` throws; that message is consumed, unless the queue can
  ///           keep it (spsc_queue does, but for the first); the others stay
  /// Returns   how many; 0 once closed and drained, stopped, or if max is 0
  template <std::output_iterator<T> O, stoppable_token S = never_stop>
  std::size_t pop_n(O out, std::size_t max, S token = {});

  /// Hands what is there to `handler`, in place, as T&&, without waiting. Producers that wait are
  /// told of the room at the end of the call, so the handler must not wait for one of them.
  ///
  /// Progress  as the queue's consume_all, if the handler is; but where a select or a coroutine
  ///           waits for room, blocking: on the lock of their list
  /// Throws    what `handler` throws; the message that it was given is consumed, the others stay
  /// Returns   how many were handed over; 0 also when it is drained, which is_drained() tells
  template <message_handler<T> F>
  std::size_t consume_all(F&& handler);

  /// Hands every message to `handler` as T&&, waiting for the next one.
  ///
  /// Progress  blocking: waits for messages
  /// Throws    what `handler` throws; its message is consumed, and run may be called again
  /// Returns   closed, when everything was delivered; or stopped
  template <message_handler<T> F, stoppable_token S = never_stop>
  queue_status run(F&& handler, S token = {});

  /// Like pop, from a coroutine: `std::optional<T> got = co_await box.async_pop()`. Who pops is the
  /// coroutine, in whatever thread: a queue with one consumer has one that awaits.
  ///
  /// Caller    as for the queue's pop; the mailbox must be there until then
  /// Progress  as try_pop, and blocking: on the lock of the list, where it must wait for a message
  /// Returns   what can be awaited, once: the message; nullopt once closed and drained, or stopped
  template <stoppable_token S = never_stop>
  detail::async_operation<detail::pop_attempt<mailbox>, S> async_pop(S token = {}) noexcept {
    return {detail::pop_attempt<mailbox>(*this), std::move(token)};
  }

  // ---- Anybody

  /// Ends the intake: from now on pushes are refused; what is inside is still delivered. Whoever
  /// waits is woken. May be called again.
  ///
  /// Caller    anyone
  /// Progress  wait-free, with a system call for each side where somebody sleeps; but where a
  ///           select or a coroutine waits, blocking: on the lock of their list
  /// Orders    all before the call happens before whoever is told closed
  void close() noexcept;

  /// The same, and discards what is inside.
  ///
  /// Caller    as for the queue's pop
  /// Progress  blocking: waits for pushes that are in the middle; over mpmc_queue lock-free
  void close(discard_t) noexcept;

  /// Ends the intake and waits until all messages are taken, though perhaps not handled yet.
  ///
  /// Caller    anyone but a thread that is to take them
  /// Progress  blocking: waits for the pop that takes the last message; over mpsc_queue, at worst,
  ///           for the one after it, which is told closed
  /// Cost      every pop meanwhile makes a system call; over spsc_queue the end itself one that
  ///           interrupts the program's other cores
  /// Returns   closed; or stopped, or timeout, never early: the mailbox is closed then too
  void close_and_wait() { (void)close_and_await(detail::no_deadline{}, never_stop{}); }
  template <class Rep, class Period, stoppable_token S = never_stop>
  queue_status close_and_wait_for(std::chrono::duration<Rep, Period> timeout, S token = {}) {
    return close_and_await(detail::steady_deadline{timeout}, token);
  }
  template <class Clock, class Duration, stoppable_token S = never_stop>
  queue_status close_and_wait_until(std::chrono::time_point<Clock, Duration> deadline,
                                    S token = {}) {
    return close_and_await(detail::deadline_at(deadline), token);
  }

  bool is_closed() const noexcept { return closed_.load(acquire) != 0; } // (C)

  /// Is it closed, and nothing left, for ever?
  ///
  /// Caller    anyone
  /// Progress  lock-free
  bool is_drained() const noexcept { return is_closed() && closing_.is_over(queue_); }

  /// Caller    anyone
  /// Progress  as the queue's size_approx
  mailbox_stats stats() const noexcept;
  std::size_t size_approx() const noexcept { return queue_.size_approx(); }
  std::size_t capacity() const noexcept { return queue_.capacity(); }
  const char* name() const noexcept { return options_.name; }

private:
  using enum detail::memory_order;
  using fences = detail::mailbox_fences<Queue, Wait>;
  using event = detail::event_count<Wait, fences>;
  using station = detail::station;
  friend struct detail::mailbox_access;

  template <class Deadline, class S>
  static constexpr bool is_endless =
      std::is_same_v<Deadline, detail::no_deadline> && std::is_same_v<S, never_stop>;
  template <class Deadline>
  static constexpr const char* call_name(const char* endless, const char* timed) noexcept {
    return std::is_same_v<Deadline, detail::no_deadline> ? endless : timed;
  }

  static void check(const mailbox_options& options);
  static Queue make_queue(std::size_t capacity);
  template <class U, class Deadline, stoppable_token S>
  queue_status push_or_wait(U&& value, const Deadline& deadline, const S& token);
  template <class U, class Deadline, stoppable_token S>
  queue_status wait_to_push(queue_status status, U&& value, const Deadline& deadline,
                            const S& token);
  template <class Deadline, stoppable_token S>
  expected<T, queue_status> pop_or_wait(const Deadline& deadline, const S& token);
  template <class Deadline, stoppable_token S>
  void wait_to_pop(expected<T, queue_status>& result, const Deadline& deadline, const S& token);
  template <class U>
  queue_status push_element(U&& element);
  template <class U>
  queue_status attempt_push(U&& value);
  template <class U>
  queue_status offer(U&& value, std::size_t* dropped = nullptr);
  template <class U>
  queue_status refuse(U&& value, std::size_t* dropped);
  queue_status evict_and_push(T&& value, std::size_t* dropped);
  template <class Deadline, stoppable_token S>
  queue_status close_and_await(const Deadline& deadline, const S& token);
  void told_closed() noexcept;
  void told_of_all() noexcept;
  void order_before_look() const noexcept;
  void published(event& other_side) noexcept;

  /// Tells the other side, when it goes out of scope, that there may be several.
  struct announcement {
    const mailbox& from;
    event& other_side;
    ~announcement() {
      from.order_before_look();
      other_side.notify_all();
    }
  };

  const mailbox_options options_;
  mutable Queue queue_; // mutable: to ask whether it is over may seal it
  [[no_unique_address]] const fences fences_{};
  mutable detail::closing<Queue, fences> closing_{fences_};
  [[no_unique_address]] detail::visitors visitors_{queue_facts<Queue>::producers,
                                                   queue_facts<Queue>::consumers, options_.name};
  alignas(detail::cache_line) detail::closed_flag closed_;
  event not_empty_{fences_};
  event not_full_{fences_}; // or, once closed, over
  detail::losses<T> losses_;
};

/// P0260's name for it.
template <message T, class Allocator = std::allocator<T>>
using bounded_queue = mailbox<T, mpmc_queue<T, dynamic_capacity, Allocator>>;

// ---- Definitions, in the order of the class

template <message T, class Queue, class Wait>
mailbox<T, Queue, Wait>::mailbox(mailbox_options options)
    : options_{options}, queue_(make_queue(options.capacity)) {
  check(options);
}

template <message T, class Queue, class Wait>
template <class Allocator>
  requires std::constructible_from<Queue, std::size_t, const Allocator&>
mailbox<T, Queue, Wait>::mailbox(mailbox_options options, const Allocator& allocator)
    : options_{options}, queue_(options.capacity, allocator) {
  check(options);
}

template <message T, class Queue, class Wait>
template <message_handler<T> F>
mailbox<T, Queue, Wait>::mailbox(mailbox_options options, F&& on_drop)
    : options_{options}, queue_(make_queue(options.capacity)), losses_(std::forward<F>(on_drop)) {
  check(options);
}

template <message T, class Queue, class Wait>
mailbox<T, Queue, Wait>::~mailbox() {
  visitors_.expect_none();
  if (!losses_.is_watched()) return;
  const detail::presence told{visitors_, "on_drop of ~mailbox",
                              MAILROOM_CHECKED != 0 && !is_closed() ? station::dropping
                                                                    : station::elsewhere};
  while (auto left = queue_.try_pop()) losses_.discard(std::move(*left));
}

template <message T, class Queue, class Wait>
template <std::input_iterator I, std::sentinel_for<I> E>
  requires range_element<std::iter_reference_t<I>, T> &&
           std::convertible_to<std::iter_reference_t<I>, T>
I mailbox<T, Queue, Wait>::push_range(I first, E last) {
  const detail::presence here{visitors_, "push_range", station::producing};
  while (first != last) {
    {
      const announcement announced{*this,
                                   not_empty_}; // after the push, also if it throws in the middle
      const auto push = closing_.begin_push(closed_);
      if (!push.is_open) return first;
      first = queue_.try_push_range(std::move(first), last);
    }
    if (first == last) break;
    const queue_status status = push_element(*first);
    if (status != queue_status::success && status != queue_status::dropped) return first;
    ++first;
  }
  return first;
}

template <message T, class Queue, class Wait>
template <stoppable_token S>
inline std::optional<T> mailbox<T, Queue, Wait>::pop(S token) {
  auto result = pop_or_wait(detail::no_deadline{}, token);
  if (!result) return std::nullopt;
  return std::optional<T>{std::move(*result)};
}

template <message T, class Queue, class Wait>
inline expected<T, queue_status> mailbox<T, Queue, Wait>::try_pop() {
  const detail::presence here{visitors_, "try_pop", station::consuming};
  auto result = queue_.try_pop();
  if (!result && result.error() == queue_status::empty && is_closed()) {
    result = closing_.last_pop(queue_);
  }
  if (result) {
    published(not_full_);
  } else if (result.error() == queue_status::closed) {
    told_closed();
  }
  return result;
}

template <message T, class Queue, class Wait>
queue_status mailbox<T, Queue, Wait>::try_pop(T& into)
  requires std::is_nothrow_move_assignable_v<T>
{
  auto result = try_pop();
  if (result) into = std::move(*result);
  return result.error();
}

template <message T, class Queue, class Wait>
template <std::output_iterator<T> O, stoppable_token S>
std::size_t mailbox<T, Queue, Wait>::pop_n(O out, std::size_t max, S token) {
  if (max == 0) return 0;
  const detail::presence here{visitors_, "pop_n", station::consuming};
  auto first = pop_or_wait(detail::no_deadline{}, token);
  if (!first) return 0;
  *out = std::move(*first);
  const announcement announced{*this,
                               not_full_}; // after the pops, also if one throws in the middle
  return 1 + queue_.try_pop_n(++out, max - 1);
}

template <message T, class Queue, class Wait>
template <message_handler<T> F>
std::size_t mailbox<T, Queue, Wait>::consume_all(F&& handler) {
  const detail::presence here{visitors_, "consume_all", station::consuming};
  struct ending {
    mailbox& of;
    ~ending() { of.told_of_all(); }
  };
  const ending told{*this}; // after the handler, also if it throws
  return queue_.consume_all(std::forward<F>(handler));
}

template <message T, class Queue, class Wait>
template <message_handler<T> F, stoppable_token S>
queue_status mailbox<T, Queue, Wait>::run(F&& handler, S token) {
  detail::presence here;
  for (;;) {
    here.enter(visitors_, "run", station::consuming);
    auto result = pop_or_wait(detail::no_deadline{}, token);
    if (!result) return result.error();
    here.enter(visitors_, "the handler of run", station::handling);
    handler(std::move(*result));
  }
}

template <message T, class Queue, class Wait>
void mailbox<T, Queue, Wait>::close() noexcept {
  const detail::presence here{visitors_, "close", station::elsewhere};
  closed_.store(1, release); // (C)
  not_empty_.interrupt();
  not_full_.interrupt();
}

template <message T, class Queue, class Wait>
void mailbox<T, Queue, Wait>::close(discard_t) noexcept {
  const detail::presence here{visitors_, "close(discard)", station::consuming};
  close();
  for (;;) {
    auto left = try_pop();
    if (left) {
      losses_.discard(std::move(*left));
    } else if (left.error() == queue_status::closed) {
      return;
    } else {
      detail::yield(); // busy
    }
  }
}

template <message T, class Queue, class Wait>
mailbox_stats mailbox<T, Queue, Wait>::stats() const noexcept {
  const std::uint64_t dropped = losses_.dropped();
  const std::uint64_t discarded = losses_.discarded();
  const std::uint64_t lost =
      discarded + (options_.on_full == overflow::drop_oldest ? dropped : 0); // of those inside
  const std::uint64_t taken = queue_.popped();
  return {.pushed = queue_.pushed(),
          .popped = taken < lost ? 0 : taken - lost,
          .rejected = losses_.rejected(),
          .dropped = dropped,
          .discarded = discarded,
          .push_waits = not_full_.waits(),
          .pop_waits = not_empty_.waits(),
          .wakeups = not_full_.wakeups() + not_empty_.wakeups(),
          .depth = queue_.size_approx()};
}

template <message T, class Queue, class Wait>
void mailbox<T, Queue, Wait>::check(const mailbox_options& options) {
  if (options.on_full == overflow::drop_oldest && queue_facts<Queue>::consumers == arity::one) {
    detail::throw_invalid_argument(
        "mailroom: overflow::drop_oldest needs a queue with many consumers");
  }
}

template <message T, class Queue, class Wait>
Queue mailbox<T, Queue, Wait>::make_queue([[maybe_unused]] std::size_t capacity) {
  if constexpr (std::is_constructible_v<Queue, std::size_t>) {
    return Queue(capacity);
  } else {
    return Queue();
  }
}

template <message T, class Queue, class Wait>
template <class U, class Deadline, stoppable_token S>
inline queue_status mailbox<T, Queue, Wait>::push_or_wait(U&& value, const Deadline& deadline,
                                                          const S& token) {
  const detail::presence here{visitors_, call_name<Deadline>("push", "try_push_for"),
                              station::producing};
  const queue_status status = attempt_push(std::forward<U>(value));
  if (status == queue_status::success) return status;
  return wait_to_push(status, std::forward<U>(value), deadline, token);
}

/// What a push does whose first attempt has not succeeded.
template <message T, class Queue, class Wait>
template <class U, class Deadline, stoppable_token S>
[[gnu::noinline]] queue_status mailbox<T, Queue, Wait>::wait_to_push(queue_status status, U&& value,
                                                                     const Deadline& deadline,
                                                                     const S& token) {
  if (status == queue_status::closed) return status;
  const auto attempt = [&] {
    const queue_status answer = attempt_push(std::forward<U>(value));
    if (is_endless<Deadline, S> && answer == queue_status::full) {
      visitors_.expect_a_consumer("push");
    }
    return answer;
  };
  if (options_.on_full == overflow::block) return not_full_.await(deadline, token, attempt);
  if (status == queue_status::full) status = refuse(std::forward<U>(value), nullptr);
  while (status == queue_status::busy) {
    detail::yield();
    status = offer(std::forward<U>(value));
  }
  return status;
}

template <message T, class Queue, class Wait>
template <class Deadline, stoppable_token S>
inline expected<T, queue_status> mailbox<T, Queue, Wait>::pop_or_wait(const Deadline& deadline,
                                                                      const S& token) {
  const detail::presence here{visitors_, call_name<Deadline>("pop", "try_pop_for"),
                              station::consuming};
  auto result = try_pop();
  if (!result) wait_to_pop(result, deadline, token);
  return result;
}

/// What a pop does whose first attempt has not succeeded.
template <message T, class Queue, class Wait>
template <class Deadline, stoppable_token S>
[[gnu::noinline]] void mailbox<T, Queue, Wait>::wait_to_pop(expected<T, queue_status>& result,
                                                            const Deadline& deadline,
                                                            const S& token) {
  if (result.error() == queue_status::closed) return;
  const queue_status status = not_empty_.await(deadline, token, [&] {
    result = try_pop();
    return result.error();
  });
  if (!result) result = unexpected{status};
}

/// Pushes an element of a range. If it is not a message it becomes one here, once.
template <message T, class Queue, class Wait>
template <class U>
queue_status mailbox<T, Queue, Wait>::push_element(U&& element) {
  if constexpr (std::is_same_v<std::remove_cvref_t<U>, T>) {
    return push_or_wait(std::forward<U>(element), detail::no_deadline{}, never_stop{});
  } else {
    return push_or_wait(T(std::forward<U>(element)), detail::no_deadline{}, never_stop{});
  }
}

/// One attempt, without waiting. The value is moved from only on success.
template <message T, class Queue, class Wait>
template <class U>
inline queue_status mailbox<T, Queue, Wait>::attempt_push(U&& value) {
  queue_status status = queue_status::closed;
  {
    const auto push = closing_.begin_push(closed_);
    if (!push.is_open) return status;
    status = queue_.try_push(std::forward<U>(value));
  }
  if (status == queue_status::success) published(not_empty_);
  return status;
}

/// One attempt, and what the overflow policy makes of it when there is no room.
template <message T, class Queue, class Wait>
template <class U>
queue_status mailbox<T, Queue, Wait>::offer(U&& value, std::size_t* dropped) {
  const detail::presence here{visitors_, "try_push", station::producing};
  const queue_status status = attempt_push(std::forward<U>(value));
  return status == queue_status::full ? refuse(std::forward<U>(value), dropped) : status;
}

/// What the overflow policy makes of a push that has found no room.
template <message T, class Queue, class Wait>
template <class U>
queue_status mailbox<T, Queue, Wait>::refuse(U&& value, std::size_t* dropped) {
  switch (options_.on_full) {
  case overflow::block: break;
  case overflow::reject: losses_.reject(); break;
  case overflow::drop_newest: {
    const detail::presence told{visitors_, "on_drop", station::dropping};
    losses_.drop(std::forward<U>(value));
    if (dropped != nullptr) ++*dropped;
    return queue_status::dropped;
  }
  case overflow::drop_oldest:
    if constexpr (std::is_lvalue_reference_v<U>) {
      return evict_and_push(T(value), dropped); // a copy that throws costs no other message
    } else {
      return evict_and_push(std::move(value), dropped);
    }
  }
  return queue_status::full;
}

/// Discards the oldest message until there is room. Whoever pops meanwhile helps.
template <message T, class Queue, class Wait>
queue_status mailbox<T, Queue, Wait>::evict_and_push(T&& value, std::size_t* dropped) {
  queue_status status = queue_status::full;
  while (status == queue_status::full) {
    if (is_closed()) return queue_status::closed;
    if (auto oldest = queue_.try_pop()) {
      published(not_full_); // for who waits for the end
      if (dropped != nullptr) ++*dropped;
      const detail::presence told{visitors_, "on_drop", station::dropping};
      losses_.drop(std::move(*oldest));
    }
    status = attempt_push(std::move(value));
  }
  return status;
}

/// Ends the intake, and waits until it is over. What is neither over nor inside is in the middle of
/// a call, at whose end nobody need be told.
template <message T, class Queue, class Wait>
template <class Deadline, stoppable_token S>
queue_status mailbox<T, Queue, Wait>::close_and_await(const Deadline& deadline, const S& token) {
  const detail::presence here{visitors_, "close_and_wait", station::elsewhere};
  close();
  const queue_status status = not_full_.await(deadline, token, [this]() noexcept {
    if (is_drained()) return queue_status::closed;
    const queue_status seen = queue_.size_approx() == 0 ? queue_status::busy : queue_status::empty;
    if (is_endless<Deadline, S> && seen == queue_status::empty) {
      visitors_.expect_a_consumer("close_and_wait");
    }
    return seen;
  });
  if (status == queue_status::closed) not_full_.notify_all(); // the last pop tells only one
  return status;
}

/// A pop has found the end. Where pops are not published, who waits for it may not know of all.
template <message T, class Queue, class Wait>
void mailbox<T, Queue, Wait>::told_closed() noexcept {
  if constexpr (event::parks && !queue_facts<Queue>::bounded) {
    fences_.light();
    not_full_.notify_all();
  }
}

/// Several messages were taken out. Where pops are not published, it is told who waits for the end.
template <message T, class Queue, class Wait>
void mailbox<T, Queue, Wait>::told_of_all() noexcept {
  if constexpr (queue_facts<Queue>::bounded) {
    order_before_look();
    not_full_.notify_all();
  } else {
    told_closed();
  }
}

/// Makes what was published come before the look for sleepers that follows.
template <message T, class Queue, class Wait>
void mailbox<T, Queue, Wait>::order_before_look() const noexcept {
  if constexpr (event::parks && !queue_facts<Queue>::sequentially_consistent) fences_.light();
}

/// Tells the other side that there is a message, or room for one.
template <message T, class Queue, class Wait>
inline void mailbox<T, Queue, Wait>::published(event& other_side) noexcept {
  order_before_look();
  other_side.notify_one();
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_MAILBOX_MAILBOX_HPP

// ---- <mailroom/mailbox/mailbox_access.hpp>

#ifndef MAILROOM_MAILBOX_MAILBOX_ACCESS_HPP
#define MAILROOM_MAILBOX_MAILBOX_ACCESS_HPP

// What select, the coroutines and the topics need of a mailbox that its users do not: one attempt,
// where to wait for the next, and the fence between; and waits with a deadline of any kind.

#include <utility> // forward

namespace mailroom::inline MAILROOM_ABI::detail {

struct mailbox_access {
  template <class Box>
  static constexpr bool is_asymmetric = Box::event::is_asymmetric;
  template <class Box>
  static wait_list& not_empty(Box& box) noexcept {
    static_assert(Box::event::parks, "mailroom: select and coroutines need a mailbox that parks");
    return box.not_empty_.list();
  }
  /// Belongs between a place in one of the lists, and the attempt.
  template <class Box>
  static void order_before_attempt(const Box& box) noexcept {
    box.not_empty_.order_before_look();
  }
  template <class Box>
  static wait_list& not_full(Box& box) noexcept {
    static_assert(Box::event::parks, "mailroom: select and coroutines need a mailbox that parks");
    return box.not_full_.list();
  }
  template <class Box>
  static void count_pop_wait(Box& box) noexcept {
    box.not_empty_.count_wait();
  }
  template <class Box>
  static void count_push_wait(Box& box) noexcept {
    box.not_full_.count_wait();
  }
  /// Somebody begins to wait, or goes on, who is no call of the mailbox.
  template <class Box>
  static void enter(Box& box, presence& who, const char* call, station at) noexcept {
    who.enter(box.visitors_, call, at);
  }
  /// Does a push wait for room?
  template <class Box>
  static bool blocks(const Box& box) noexcept {
    return box.options_.on_full == overflow::block;
  }
  /// Waits for room in the end, whatever the overflow policy: full is not decided upon here.
  template <class Box, class U>
  static queue_status attempt_push(Box& box, U&& value) {
    const presence here{box.visitors_, "on_push of try_select", station::producing};
    return box.attempt_push(std::forward<U>(value));
  }
  /// As the timed calls of a mailbox, of which each takes the deadline in a form of its own.
  template <class Box, class U, class Deadline, stoppable_token S>
  static queue_status push_until(Box& box, U&& value, const Deadline& deadline, const S& token) {
    return box.push_or_wait(std::forward<U>(value), deadline, token);
  }
  template <class Box, class Deadline, stoppable_token S>
  static queue_status close_and_wait_until(Box& box, const Deadline& deadline, const S& token) {
    return box.close_and_await(deadline, token);
  }
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_MAILBOX_MAILBOX_ACCESS_HPP

// ---- <mailroom/mailbox/selection.hpp>

#ifndef MAILROOM_MAILBOX_SELECTION_HPP
#define MAILROOM_MAILBOX_SELECTION_HPP

// How one of several cases is chosen, and waited for: the inside of select.
//
// A case is an event, which has a list to wait in and can be attempted, or a time or a stop, which
// comes by itself. select.hpp has all of them.
//
//      look at the times and stops, then attempt each event, in an order that is drawn
//        |  none: for a while again and again
//        v
//      a place in the list of each event, a fence, a look --> one: leave all lists, carry it out
//        |  none: sleep until one of them wakes the thread, a time comes, or a stop
//        +--> again
//
// A thread takes its places in the lists, passes a fence, and looks: that is its half of what
// waiter.hpp calls (D).
//
// Invariants
//   (I1)  a case that is not carried out has taken no message, and has left its own where it was
//   (I2)  a wake-up that another case got is never carried away: who leaves without having used it
//         wakes the next of that list
//   (I3)  nobody sleeps on `busy`: that state ends without a wake-up
//
// Decision: the order in which cases are tried is drawn anew for each call, from the clock: no
//   state is left behind, in the thread or elsewhere.

#include <array>   // array
#include <cstddef> // size_t
#include <cstdint> // uint32_t, uint64_t
#include <tuple>   // get, tuple
#include <utility> // index_sequence, index_sequence_for, make_index_sequence, swap

namespace mailroom::inline MAILROOM_ABI {

/// What a select has done.
struct [[nodiscard]] select_result {
  std::size_t index;   ///< of the case that was carried out; the number of cases if none was
  queue_status status; ///< success; timeout; stopped; closed: all are out; empty: none was ready

  explicit operator bool() const noexcept { return status == queue_status::success; }
};

namespace detail {

/// How a stop reaches the thread that selects.
struct unparking {
  sleeper* thread;
  void operator()() const noexcept { thread->unpark(); }
};

enum class preference : unsigned char { none, in_order };

/// One call of select.
template <class... Cases>
class selection {
  static constexpr std::size_t count = sizeof...(Cases);
  static constexpr std::size_t events = (std::size_t{Cases::is_event} + ... + 0);
  static_assert(events != 0, "mailroom: a select needs an on_pop or an on_push");

public:
  selection(preference order, Cases&... cases) noexcept : cases_{cases...} {
    if (order == preference::none) shuffle();
  }

  /// Looks at every case, and waits until one is ready; then carries it out.
  select_result wait() { return finish(look_until_done()); }

  /// The same without waiting.
  select_result look_once() { return finish(look()); }

private:
  using lists = std::array<wait_list*, events>;

  struct outcome {
    std::size_t index;
    queue_status status;
    bool saw_busy = false;
    bool is_done() const noexcept { return status != queue_status::empty; }
  };

  /// A wake-up that has not been used: the next of that list gets it. (I2)
  struct wake_up {
    wait_list* in_hand = nullptr;
    ~wake_up() { take(nullptr); }
    void take(wait_list* another) noexcept {
      if (in_hand != nullptr) in_hand->wake_one();
      in_hand = another;
    }
  };

  /// The thread's places in all the lists. A wake-up that it gets is then in hand.
  class attendance {
  public:
    attendance(sleeper& self, const lists& all, wake_up& woken) noexcept
        : attendance{self, all, woken, std::make_index_sequence<events>{}} {}
    attendance(const attendance&) = delete;
    attendance& operator=(const attendance&) = delete;
    ~attendance() {
      if (!self_.leave()) woken_.take(lists_[self_.event()]);
    }

  private:
    template <std::size_t... I>
    attendance(sleeper& self, const lists& all, wake_up& woken, std::index_sequence<I...>) noexcept
        : self_{(self.begin(), self)}, lists_{all}, woken_{woken},
          places_{{wait_list::place{*all[I], self, static_cast<std::uint32_t>(I)}...}} {}

    sleeper& self_;
    const lists& lists_;
    wake_up& woken_;
    std::array<wait_list::place, events> places_;
  };

  /// The stop callbacks, as long as the thread may sleep.
  struct watching {
    selection& all;
    ~watching() {
      all.for_each_other([](auto& one) { one.forget(); });
    }
  };

  outcome look();
  outcome look_until_done();
  outcome look_for_a_while();
  outcome sleep();
  select_result finish(const outcome& found);
  void shuffle() noexcept;
  lists all_lists() noexcept;
  void order_before_look() noexcept;

  /// Calls `visit` with case `which`.
  template <class F>
  void visit(std::size_t which, F&& call) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (void)((I == which && (call(std::get<I>(cases_)), true)) || ...);
    }(std::index_sequence_for<Cases...>{});
  }
  /// Calls `call` with each case that is no event: the times and the stops.
  template <class F>
  void for_each_other(F&& call) {
    for (std::size_t i = 0; i != count; ++i) {
      visit(i, [&]<class Case>(Case& one) {
        if constexpr (!Case::is_event) call(one);
      });
    }
  }

  /// And with each that is one.
  template <class F>
  void for_each_event(F&& call) {
    for (const std::size_t which : event_cases) {
      visit(which, [&]<class Case>(Case& one) {
        if constexpr (Case::is_event) call(one);
      });
    }
  }
  static wait_list* list_of(const lists& all, std::size_t which) noexcept {
    for (std::size_t i = 0; i != events; ++i) {
      if (event_cases[i] == which) return all[i];
    }
    return nullptr;
  }

  static constexpr std::array<std::size_t, events> event_cases = [] {
    std::array<std::size_t, events> all{};
    std::size_t found = 0;
    std::size_t i = 0;
    ((Cases::is_event ? void(all[found++] = i++) : void(++i)), ...);
    return all;
  }();

  std::tuple<Cases&...> cases_;
  std::array<std::size_t, events> order_ = event_cases; // in which they are tried
};

/// One attempt at each. The times and stops are looked at first, so that whatever happened before
/// them is still found.
template <class... Cases>
typename selection<Cases...>::outcome selection<Cases...>::look() {
  outcome found{count, queue_status::empty};
  for (std::size_t i = 0; i != count; ++i) {
    visit(i, [&]<class Case>(Case& one) {
      if constexpr (!Case::is_event) {
        if (found.status == queue_status::stopped || !one.has_come()) return;
        if (found.is_done() && Case::meaning != queue_status::stopped) return;
        found = {i, Case::meaning};
      }
    });
  }
  bool is_open = false;
  for (const std::size_t which : order_) {
    queue_status status = queue_status::closed;
    visit(which, [&]<class Case>(Case& one) {
      if constexpr (Case::is_event) status = one.attempt();
    });
    if (status == queue_status::success) return {which, status, found.saw_busy};
    is_open |= status != queue_status::closed;
    found.saw_busy |= status == queue_status::busy;
  }
  if (!is_open) return {count, queue_status::closed};
  return found;
}

/// All the while it is in the mailboxes of all its cases, for who checks.
template <class... Cases>
typename selection<Cases...>::outcome selection<Cases...>::look_until_done() {
  std::array<presence, events> presences;
  std::size_t entered = 0;
  for_each_event([&](auto& one) { one.enter(presences[entered++]); });
  const outcome found = look_for_a_while();
  return found.is_done() ? found : sleep();
}

template <class... Cases>
typename selection<Cases...>::outcome selection<Cases...>::look_for_a_while() {
  outcome found = look();
  if constexpr (longest_spin != 0) {
    const nanoseconds end = now() + longest_spin / 4;
    while (!found.is_done() && now() < end) {
      relax();
      found = look();
    }
  }
  return found;
}

template <class... Cases>
typename selection<Cases...>::outcome selection<Cases...>::sleep() {
  sleeper self;
  const watching watch{*this};
  for_each_other([&](auto& one) { one.watch(self); });
  const lists all = all_lists();
  for_each_event([](auto& one) { one.count_wait(); });
  wake_up woken;
  for (;;) {
    outcome found{count, queue_status::empty, true};
    {
      const attendance here{self, all, woken};
      order_before_look();
      while (!found.is_done() && found.saw_busy) {
        found = look();
        if (found.saw_busy) yield(); // (I3)
      }
      const bool is_used =
          found.status != queue_status::success || woken.in_hand == list_of(all, found.index);
      if (is_used && !found.saw_busy) woken.in_hand = nullptr; // (I2)
      if (!found.is_done()) {
        nanoseconds wake_at = never;
        for_each_other([&](auto& one) { wake_at = smaller_of(wake_at, one.look_again_at()); });
        self.park(wake_at);
      }
    }
    if (found.is_done()) return found;
  }
}

template <class... Cases>
select_result selection<Cases...>::finish(const outcome& found) {
  visit(found.index, [](auto& one) { one.finish(); });
  return {found.index, found.status};
}

/// Draws an order.
template <class... Cases>
void selection<Cases...>::shuffle() noexcept {
  std::uint64_t drawn = random_seed();
  for (std::size_t left = events; left > 1; --left) {
    drawn = drawn * 6364136223846793005U + 1442695040888963407U; // Knuth's MMIX
    const auto which = static_cast<std::size_t>(((drawn >> 32) * left) >> 32);
    std::swap(order_[left - 1], order_[which]);
  }
}

template <class... Cases>
typename selection<Cases...>::lists selection<Cases...>::all_lists() noexcept {
  lists all{};
  for (std::size_t i = 0; i != events; ++i) {
    visit(event_cases[i], [&]<class Case>(Case& one) {
      if constexpr (Case::is_event) all[i] = &one.list();
    });
  }
  return all;
}

/// One fence of each kind: what one of them does, it does for all mailboxes.
template <class... Cases>
void selection<Cases...>::order_before_look() noexcept {
  bool has_passed[2]{};
  for_each_event([&]<class Case>(Case& one) {
    bool& passed = has_passed[Case::is_asymmetric ? 1 : 0];
    if (!passed) one.order_before_attempt();
    passed = true;
  });
}

} // namespace detail
} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_MAILBOX_SELECTION_HPP

// ---- <mailroom/mailbox/select.hpp>

#ifndef MAILROOM_MAILBOX_SELECT_HPP
#define MAILROOM_MAILBOX_SELECT_HPP

// Waits for the first of several mailboxes: a message in one, room in another, a time, a stop.
//
//      select(on_pop(orders, [](order&& next) { ... }),
//             on_pop(prices, [](price&& next) { ... }),
//             on_push(log, entry, [] { ... }),
//             after(100ms, [] { ... }),
//             on_stop(token));
//
// Use it       where one thread serves several mailboxes and has to serve whichever is ready.
// Instead use  one mailbox, if the messages can be of one type: it is cheaper and keeps an order;
//              pop with a token or a deadline, for one mailbox.
//
// Exactly one case is carried out, in the calling thread, after the waiting is over. If several are
// ready, each of them is as likely (select), or the first in the list comes first
// (select_in_order). Messages and room come before a stop, a stop before a time. A case whose
// mailbox is closed and drained, or closed for a push, is out; when all are, the answer is closed.
//
// How one is chosen and waited for is in selection.hpp.
//
// Decision: a push in a select waits for room, whatever the overflow policy of its mailbox: a
//   policy decides what to do instead of waiting.

#include <chrono>      // duration, time_point
#include <concepts>    // invocable, same_as
#include <memory>      // addressof
#include <optional>    // optional
#include <type_traits> // decay, remove_cvref, remove_reference
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI {

namespace detail {

template <class Box, class F>
class pop_case;
template <class Box, class U, class F>
class push_case;
template <class Deadline, class F>
class time_case;
template <stoppable_token S, class F>
class stop_case;

struct nothing {
  constexpr void operator()() const noexcept {}
};

template <class Case>
concept select_case = requires(std::remove_cvref_t<Case>& one) { one.finish(); };

} // namespace detail

/// The case of a message: `handler(T&&)` gets it. If the handler throws, the message is consumed.
template <class Box, message_handler<typename Box::value_type> F>
[[nodiscard]] auto on_pop(Box& box, F&& handler) {
  return detail::pop_case<Box, std::decay_t<F>>{box, std::forward<F>(handler)};
}

/// The case of room for `value`, which keeps its message unless this case is carried out;
/// `handler()` is called when it is in. The value must outlive the select.
template <class Box, class U, std::invocable F = detail::nothing>
  requires std::same_as<std::remove_cvref_t<U>, typename Box::value_type>
[[nodiscard]] auto on_push(Box& box, U&& value, F&& handler = {}) {
  return detail::push_case<Box, U, std::decay_t<F>>{box, std::forward<U>(value),
                                                    std::forward<F>(handler)};
}

/// The case that it takes too long, or a time has come on any clock. Counted from this call on.
template <class Rep, class Period, std::invocable F = detail::nothing>
[[nodiscard]] auto after(std::chrono::duration<Rep, Period> span, F&& handler = {}) {
  return detail::time_case<detail::steady_deadline, std::decay_t<F>>{detail::steady_deadline{span},
                                                                     std::forward<F>(handler)};
}
template <class Clock, class Duration, std::invocable F = detail::nothing>
[[nodiscard]] auto at(std::chrono::time_point<Clock, Duration> point, F&& handler = {}) {
  return detail::time_case<decltype(detail::deadline_at(point)), std::decay_t<F>>{
      detail::deadline_at(point), std::forward<F>(handler)};
}

/// The case that a stop is requested.
template <stoppable_token S, std::invocable F = detail::nothing>
[[nodiscard]] auto on_stop(S token, F&& handler = {}) {
  return detail::stop_case<S, std::decay_t<F>>{std::move(token), std::forward<F>(handler)};
}

/// Waits until one of the cases is ready, and carries it out. Any of those that are, with the same
/// probability.
///
/// Caller    as for each mailbox's pop or push
/// Progress  blocking: waits for the first case
/// Throws    what the handler of the case, or the copy of its message, throws
/// Orders    as the pop or push
/// Returns   which case; timeout is never early
template <detail::select_case... Cases>
select_result select(Cases&&... cases);

/// The same, but of several the first in the list is carried out.
template <detail::select_case... Cases>
select_result select_in_order(Cases&&... cases);

/// Carries out one of the cases that are ready, as select, but does not wait for one.
///
/// Progress  as the pops and pushes
/// Returns   which case; empty if none is ready
template <detail::select_case... Cases>
select_result try_select(Cases&&... cases);

// ---- The cases

namespace detail {

template <class Box, class F>
class pop_case {
  static_assert(
      !requires { typename Box::mailbox_type; },
      "mailroom: a select takes a mailbox: of the end of a channel that is box()");

public:
  static constexpr bool is_event = true;
  static constexpr bool is_asymmetric = mailbox_access::is_asymmetric<Box>;
  template <class G>
  pop_case(Box& box, G&& handler) : box_{box}, handler_(std::forward<G>(handler)) {}

  wait_list& list() noexcept { return mailbox_access::not_empty(box_); }
  void enter(presence& self) noexcept {
    mailbox_access::enter(box_, self, "on_pop of select", station::consuming);
  }
  void count_wait() noexcept { mailbox_access::count_pop_wait(box_); }
  void order_before_attempt() noexcept { mailbox_access::order_before_attempt(box_); }
  queue_status attempt() {
    auto found = box_.try_pop();
    if (found) taken_.emplace(std::move(*found));
    return found.error();
  }
  void finish() {
    auto message = std::move(*taken_); // which is gone when the handler is through with it
    taken_.reset();
    handler_(std::move(message));
  }

private:
  Box& box_;
  F handler_;
  std::optional<typename Box::value_type> taken_;
};

template <class Box, class U, class F>
class push_case {
  static_assert(
      !requires { typename Box::mailbox_type; },
      "mailroom: a select takes a mailbox: of the end of a channel that is box()");

public:
  static constexpr bool is_event = true;
  static constexpr bool is_asymmetric = mailbox_access::is_asymmetric<Box>;
  template <class G>
  push_case(Box& box, U&& value, G&& handler)
      : box_{box}, value_{std::addressof(value)}, handler_(std::forward<G>(handler)) {}

  wait_list& list() noexcept { return mailbox_access::not_full(box_); }
  void enter(presence& self) noexcept {
    mailbox_access::enter(box_, self, "on_push of select", station::producing);
  }
  void count_wait() noexcept { mailbox_access::count_push_wait(box_); }
  void order_before_attempt() noexcept { mailbox_access::order_before_attempt(box_); }
  queue_status attempt() { return mailbox_access::attempt_push(box_, std::forward<U>(*value_)); }
  void finish() { handler_(); }

private:
  Box& box_;
  std::remove_reference_t<U>* value_;
  F handler_;
};

template <class Deadline, class F>
class time_case {
public:
  static constexpr bool is_event = false;
  static constexpr queue_status meaning = queue_status::timeout;
  template <class G>
  time_case(Deadline deadline, G&& handler)
      : deadline_{deadline}, handler_(std::forward<G>(handler)) {}

  bool has_come() const { return deadline_.expired(); }
  void watch(sleeper&) noexcept {}
  void forget() noexcept {}
  nanoseconds look_again_at() const { return deadline_.wake_at(); }
  void finish() { handler_(); }

private:
  Deadline deadline_;
  F handler_;
};

template <stoppable_token S, class F>
class stop_case {
public:
  static constexpr bool is_event = false;
  static constexpr queue_status meaning = queue_status::stopped;
  template <class G>
  stop_case(S token, G&& handler) : token_{std::move(token)}, handler_(std::forward<G>(handler)) {}

  bool has_come() const { return token_.stop_requested(); }
  void watch(sleeper& thread) { watch_.emplace(token_, unparking{&thread}); }
  void forget() noexcept { watch_.reset(); }
  nanoseconds look_again_at() const noexcept { return watch_ ? watch_->look_again_at() : never; }
  void finish() { handler_(); }

private:
  S token_;
  F handler_;
  std::optional<stop_watch<S, unparking>> watch_;
};

} // namespace detail

template <detail::select_case... Cases>
select_result select(Cases&&... cases) {
  return detail::selection<std::remove_cvref_t<Cases>...>{detail::preference::none, cases...}
      .wait();
}

template <detail::select_case... Cases>
select_result select_in_order(Cases&&... cases) {
  using selection = detail::selection<std::remove_cvref_t<Cases>...>;
  return selection{detail::preference::in_order, cases...}.wait();
}

template <detail::select_case... Cases>
select_result try_select(Cases&&... cases) {
  using selection = detail::selection<std::remove_cvref_t<Cases>...>;
  return selection{detail::preference::none, cases...}.look_once();
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_MAILBOX_SELECT_HPP

// ---- <mailroom/mailbox/rotation.hpp>

#ifndef MAILROOM_MAILBOX_ROTATION_HPP
#define MAILROOM_MAILBOX_ROTATION_HPP

// Cases that take turns, in a set that changes; and their places in the lists of their mailboxes:
// the inside of selector.
//
//          turn
//            |
//      +-> [case]---[case]---[case]-+      a look begins with whose turn it is, and ends with the
//      |      |        |        |   |      first that can be carried out; the turn is then at the
//      +------|--------|--------|---+      next one
//           place    place    place        while somebody waits, one in the list of each mailbox
//
// Who waits stands in the lists, passes a fence, and looks: that is its half of what waiter.hpp
// calls (D).
//
// Invariants
//   (I1)  a wake-up is used by the next attempt at its case, or handed on to the next of that list:
//         when the turn ends before it comes to that case, when the case is removed, and in the end
//   (I2)  the set, and what the cases are, belongs to one thread. Others see the waiter and its
//         places, as waiter.hpp says
//   (I3)  nobody is in the set whose mailbox is at its end, or who has been removed; and nobody out
//         of the set has a place
//
// Decision: one waiter with a place in each list, not one for each case. It holds one wake-up at
//   most, and can give it back before a handler runs; so nobody sleeps beside a message which the
//   selector was told of, but which a slow handler keeps it from. What else keeps an event loop
//   from asking again does: there a mailbox should have no other reader.
// Decision: turns, not lots as in select: what is kept can remember whose turn it is.

#include <cstddef>  // size_t
#include <cstdint>  // uint32_t
#include <memory>   // unique_ptr
#include <optional> // optional
#include <utility>  // exchange, move

namespace mailroom::inline MAILROOM_ABI::detail {

class rotation;

/// A case that can be in a set.
class kept_case {
public:
  kept_case(const kept_case&) = delete;
  kept_case& operator=(const kept_case&) = delete;
  virtual ~kept_case() = default;

  bool is_in_a_set() const noexcept { return set_ != nullptr; }

  /// Calls its handler, which may cancel the case, and destroy the set.
  static void carry_out(kept_case& one);

  /// Takes it out of its set, and destroys it; where its handler runs, when that has returned.
  static void cancel(std::unique_ptr<kept_case> one) noexcept;

protected:
  kept_case() = default;

private:
  friend class rotation;
  virtual queue_status attempt() = 0;
  virtual void finish() = 0;
  virtual wait_list& list() noexcept = 0;
  virtual void order_before_attempt() noexcept = 0;
  virtual bool is_asymmetric() const noexcept = 0;
  virtual void enter(presence& self) noexcept = 0;
  virtual void count_wait() noexcept = 0;

  void stand(waiter& who, std::uint32_t number) noexcept {
    enter(presence_);
    number_ = number;
    place_.emplace(list(), who, number);
  }
  void leave() noexcept {
    place_.reset();
    presence_.leave();
  }

  rotation* set_ = nullptr;
  kept_case* before_ = nullptr;
  kept_case* behind_ = nullptr;
  std::optional<wait_list::place> place_;
  [[no_unique_address]] presence presence_; // in the mailbox, while it has a place
  std::uint32_t number_ = 0;                // of its event, while it has a place
  unsigned runs_ = 0;                       // so many calls of its handler have not returned
  bool is_cancelled_ = false;               // by its handler: who runs that destroys it
};

template <class Case>
class kept_case_of final : public kept_case {
public:
  explicit kept_case_of(Case&& one) : case_{std::move(one)} {}

private:
  queue_status attempt() override { return case_.attempt(); }
  void finish() override { case_.finish(); }
  wait_list& list() noexcept override { return case_.list(); }
  void order_before_attempt() noexcept override { case_.order_before_attempt(); }
  bool is_asymmetric() const noexcept override { return Case::is_asymmetric; }
  void enter(presence& self) noexcept override { case_.enter(self); }
  void count_wait() noexcept override { case_.count_wait(); }

  Case case_;
};

class rotation {
public:
  struct outcome {
    kept_case* which; // to be carried out
    queue_status status;
  };

  rotation() = default;
  rotation(const rotation&) = delete;
  rotation& operator=(const rotation&) = delete;

  /// Leaves the cases alone, and all lists.
  ~rotation();

  /// Takes a case in, whose turn comes last. Nobody stands in the lists.
  void add(kept_case& one) noexcept;

  /// Takes a case out.
  void remove(kept_case& one) noexcept;

  /// An attempt at each in turn, until one succeeds. Those at their end leave the set.
  ///
  /// Returns   success; empty; closed if none is in the set; busy if one was, and none was ready
  outcome look();

  /// Takes a place for `who` in each list, and passes a fence. A look must follow.
  void stand(waiter& who) noexcept;

  /// Leaves all lists. A wake-up that came is then in hand.
  ///
  /// Returns   who stood there and still waited; else nobody
  waiter* withdraw() noexcept;

  /// Gives a wake-up that is in hand to the next of its list.
  void hand_on() noexcept;

  /// Statistics: all of them begin to wait.
  void count_waits() noexcept {
    for_each([](kept_case& one) { one.count_wait(); });
  }

  bool is_standing() const noexcept { return standing_ != nullptr; }
  bool is_woken() const noexcept { return is_standing() && standing_->is_fired(); }
  std::size_t size() const noexcept { return size_; }

private:
  void unlink(kept_case& one) noexcept;
  template <class F>
  void for_each(F&& call) {
    kept_case* each = turn_;
    for (std::size_t left = size_; left != 0; --left) call(*std::exchange(each, each->behind_));
  }

  kept_case* turn_ = nullptr;
  std::size_t size_ = 0;
  waiter* standing_ = nullptr;
  kept_case* in_hand_ = nullptr; // whose wake-up is not used yet
};

// ---- Definitions, in the order of the classes

inline void kept_case::carry_out(kept_case& one) {
  struct call {
    kept_case& of;
    ~call() {
      if (--of.runs_ == 0 && of.is_cancelled_) delete &of;
    }
  };
  ++one.runs_;
  const call running{one};
  one.finish();
}

inline void kept_case::cancel(std::unique_ptr<kept_case> one) noexcept {
  if (one == nullptr) return;
  if (one->set_ != nullptr) one->set_->remove(*one);
  if (one->runs_ != 0) one.release()->is_cancelled_ = true;
}

inline rotation::~rotation() {
  (void)withdraw();
  hand_on();
  while (turn_ != nullptr) unlink(*turn_);
}

inline void rotation::add(kept_case& one) noexcept {
  one.set_ = this;
  if (turn_ == nullptr) turn_ = one.before_ = one.behind_ = &one;
  one.behind_ = turn_;
  one.before_ = turn_->before_;
  one.before_->behind_ = turn_->before_ = &one;
  ++size_;
}

/// It may have been woken up to the moment when its place is gone. (I1)
inline void rotation::remove(kept_case& one) noexcept {
  one.leave();
  if (is_woken()) (void)withdraw();
  if (in_hand_ == &one) hand_on();
  unlink(one);
}

inline rotation::outcome rotation::look() {
  bool saw_busy = false;
  for (std::size_t left = size_; left != 0; --left) {
    kept_case& one = *std::exchange(turn_, turn_->behind_);
    const queue_status status = one.attempt();
    saw_busy |= status == queue_status::busy;
    if (in_hand_ == &one && status != queue_status::busy) in_hand_ = nullptr; // (I1)
    if (status == queue_status::success) return {&one, status};
    if (status == queue_status::closed) unlink(one);
  }
  if (saw_busy) return {nullptr, queue_status::busy};
  return {nullptr, size_ == 0 ? queue_status::closed : queue_status::empty};
}

/// One fence of each kind: what one of them does, it does for all mailboxes.
inline void rotation::stand(waiter& who) noexcept {
  standing_ = &who;
  std::uint32_t number = 0;
  for_each([&](kept_case& one) { one.stand(who, number++); });
  bool has_passed[2]{};
  for_each([&](kept_case& one) {
    bool& passed = has_passed[one.is_asymmetric() ? 1 : 0];
    if (!passed) one.order_before_attempt();
    passed = true;
  });
}

inline waiter* rotation::withdraw() noexcept {
  if (!is_standing()) return nullptr;
  waiter& who = *std::exchange(standing_, nullptr);
  const bool was_waiting = who.leave();
  for_each([](kept_case& one) { one.leave(); });
  if (was_waiting) return &who;
  hand_on();
  for_each([&](kept_case& one) {
    if (one.number_ == who.event()) in_hand_ = &one;
  });
  return nullptr;
}

inline void rotation::hand_on() noexcept {
  if (in_hand_ != nullptr) std::exchange(in_hand_, nullptr)->list().wake_one();
}

inline void rotation::unlink(kept_case& one) noexcept {
  one.leave(); // (I3)
  one.set_ = nullptr;
  one.before_->behind_ = one.behind_;
  one.behind_->before_ = one.before_;
  if (turn_ == &one) turn_ = one.behind_;
  if (--size_ == 0) turn_ = nullptr;
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_MAILBOX_ROTATION_HPP

// ---- <mailroom/mailbox/selector.hpp>

#ifndef MAILROOM_MAILBOX_SELECTOR_HPP
#define MAILROOM_MAILBOX_SELECTOR_HPP

// A set of mailboxes that changes while the program runs, for one thread or one event loop: a
// select that is kept, and a descriptor for epoll, poll and asio.
//
//      selector all;
//      auto first = all.add(on_pop(orders, [](order&& next) { ... }));
//      auto second = all.add(on_pop(prices, [](price&& next) { ... }));
//
//      while (all.select(token) == queue_status::success) {}          a thread, which sleeps
//
//      poll(all.native_handle()), and whenever it is readable:        an event loop
//      while (all.try_select() == queue_status::success) {}
//
// Use it       where one thread serves mailboxes that come and go; where it waits for sockets too.
// Instead use  select, where the mailboxes are known when the program is written: it allocates
//              nothing, and waits for times and stops as for any other case;
//              coroutines (async.hpp), for thousands: here, to wait takes a lock for each.
//
// A case stays until it is cancelled, or its mailbox is drained (for a push: closed): then it
// leaves the set by itself, and the mailbox may go. The cases take turns: one that is ready is
// carried out before any other is for the second time. How one is chosen is in rotation.hpp.
//
// A coroutine that waits in one of the mailboxes may be resumed inside of a call of the selector.
// There it must not use the selector; its promise can have it resumed elsewhere (async.hpp).
//
//      the selector                          the descriptor        the mailboxes
//      looks: nothing                        readable              pushes find nobody
//      stands in all lists, looks: nothing   lowered: not          pushes find its places
//      is woken by the first of them         raised: readable      pushes find nobody
//      looks: leaves all lists, a handler
//
// Invariants
//   (I1)  an open descriptor is readable, unless the selector stands in the lists as its doorbell
//         and has not been woken: from a try_select, outside of its handlers, that answers empty or
//         closed to the next event
//   (I2)  while a handler runs the selector stands nowhere and has no wake-up in hand, but in a
//         select that the handler calls: what comes meanwhile wakes others
//   (I3)  nobody waits on `busy`: that state ends without a wake-up
//
// Decision: the descriptor is made when it is first asked for: a thread that sleeps needs none.
// Decision: a case belongs to its registration, and the selector only links them: either may be
//   destroyed first.
//
// Sources: Schmidt, Reactor, in Pattern Languages of Program Design, 1995 (handlers that come and
// go, and one loop that waits for what they handle).

#include <algorithm>    // min
#include <chrono>       // duration, time_point
#include <cstddef>      // size_t
#include <cstdlib>      // abort
#include <memory>       // make_unique, unique_ptr
#include <system_error> // generic_category, system_error
#include <utility>      // move

namespace mailroom::inline MAILROOM_ABI {

class selector {
public:
  using native_handle_type = detail::descriptor::native_type;
  class registration;

  /// An empty set. It is destroyed by its owner, perhaps in a handler; its cases may stay behind.
  selector() = default;
  selector(const selector&) = delete;
  selector& operator=(const selector&) = delete;
  ~selector() {
    for (handling* each = innermost_; each != nullptr; each = each->outer) each->of = nullptr;
  }

  // ---- The set

  /// Takes in an on_pop or an on_push. The value of a push must be there as long as the case is in
  /// the set; its handler puts the next message where the last one was, or cancels, before anything
  /// else.
  ///
  /// Caller    the owner, also from a handler. The mailbox must be there as long as the case is in
  ///           the set
  /// Progress  blocking: on the locks of the lists, where an empty try_select was the last call
  /// Cost      one allocation; a system call where the descriptor is not readable
  /// Throws    what the allocation, and the move of the handler, throw
  /// Returns   what it is cancelled with
  template <detail::select_case Case>
  registration add(Case one);

  /// How many cases are in it.
  std::size_t size() const noexcept { return cases_.size(); }

  // ---- For an event loop

  /// What poll and its kind wait for: while it is readable, try_select may find something. For a
  /// wait by level, or one by edge (EPOLLET) that asks until the answer is empty or closed. It is
  /// the selector's: nobody else reads or closes it. Only where the system has such descriptors.
  ///
  /// Caller    the owner
  /// Throws    std::system_error, by the first call
  template <class Descriptor = detail::descriptor>
    requires(Descriptor::is_supported)
  native_handle_type native_handle();

  /// Carries out one case, if one is ready.
  ///
  /// Caller    the owner, also from a handler; as for each mailbox's pop or push
  /// Progress  as the pops and pushes; with a descriptor, blocking: on the locks of the lists,
  ///           where it finds nothing
  /// Cost      the attempts. With a descriptor, the first that finds nothing: a system call, a
  ///           lock for each case, a fence (over spsc_queue one for all threads), and the attempts
  ///           again; the next that finds something: a lock for each case, and a system call where
  ///           no event has raised the descriptor
  /// Throws    what the handler throws, whose message is consumed; what a push's copy throws
  /// Orders    as the pop or push
  /// Returns   success; empty; closed if the set is empty; busy if a mailbox was, and none ready
  queue_status try_select();

  // ---- For a thread

  /// Carries out one case; waits for one.
  ///
  /// Progress  blocking: waits for the first case, or the stop
  /// Returns   success; closed; stopped. Otherwise as try_select
  template <stoppable_token S = never_stop>
  queue_status select(S token = {}) {
    return select_or_wait(detail::no_deadline{}, token);
  }

  /// The same until a point in time, on any clock, or for a duration.
  ///
  /// Progress  blocking: waits for the first case, the deadline, or the stop
  /// Returns   success; closed; stopped; timeout, never early
  template <class Rep, class Period, stoppable_token S = never_stop>
  queue_status try_select_for(std::chrono::duration<Rep, Period> timeout, S token = {}) {
    return select_or_wait(detail::steady_deadline{timeout}, token);
  }
  template <class Clock, class Duration, stoppable_token S = never_stop>
  queue_status try_select_until(std::chrono::time_point<Clock, Duration> deadline, S token = {}) {
    return select_or_wait(detail::deadline_at(deadline), token);
  }

private:
  using outcome = detail::rotation::outcome;

  /// Who waits while an event loop does.
  class doorbell final : public detail::waiter {
  public:
    detail::descriptor wire;
    void ring() noexcept { wire.raise(); }

  private:
    bool wake() noexcept override {
      ring();
      return false;
    }
  };

  /// Leaves the lists, and hands on a wake-up that was not used. (I2)
  struct departure {
    selector& all;
    bool is_needed = true;
    ~departure() {
      if (!is_needed) return;
      all.withdraw();
      all.cases_.hand_on();
    }
  };

  /// A handler that runs, which may destroy the selector.
  struct handling {
    selector* of;
    handling* outer;
    explicit handling(selector& by) noexcept : of{&by}, outer{std::exchange(by.innermost_, this)} {}
    handling(const handling&) = delete;
    handling& operator=(const handling&) = delete;
    ~handling() {
      if (of != nullptr) of->innermost_ = outer;
    }
  };

  template <class Deadline, stoppable_token S>
  queue_status select_or_wait(const Deadline& deadline, const S& token);
  template <class Deadline, stoppable_token S>
  outcome look_for_a_while(const Deadline& deadline, const S& token);
  template <class Deadline, stoppable_token S>
  outcome sleep(const Deadline& deadline, const S& token);
  template <class Deadline, stoppable_token S>
  outcome look(const Deadline& deadline, const S& token);
  outcome look_or_ring();
  queue_status carry_out(const outcome& found);
  void withdraw() noexcept;

  handling* innermost_ = nullptr;
  doorbell bell_;
  detail::rotation cases_; // the last: its end leaves the lists
};

/// The right of a case to be in a selector; given back when it is destroyed or cancelled.
class [[nodiscard]] selector::registration {
public:
  /// Of no case.
  registration() noexcept = default;
  registration(registration&& other) noexcept = default;
  registration& operator=(registration&& other) noexcept {
    if (this != &other) {
      cancel();
      one_ = std::move(other.one_);
    }
    return *this;
  }

  /// Cancels.
  ~registration() { cancel(); }

  /// Takes the case out of the set, if it is still in one, and destroys it; while its handler runs,
  /// when that has returned.
  ///
  /// Caller    the owner of the selector, also from any handler
  /// Progress  blocking: on the locks of the lists. Whoever is woken in place of the selector is
  ///           woken here: a coroutine is resumed
  void cancel() noexcept { detail::kept_case::cancel(std::move(one_)); }

  /// Is the case in a set? Not after cancel(), nor once its mailbox is drained.
  bool is_active() const noexcept { return one_ != nullptr && one_->is_in_a_set(); }

private:
  friend class selector;
  explicit registration(std::unique_ptr<detail::kept_case> one) noexcept : one_{std::move(one)} {}

  std::unique_ptr<detail::kept_case> one_;
};

// ---- Definitions, in the order of the class

namespace detail {

/// Does a handler hear of it when the case is carried out?
template <class Case>
inline constexpr bool is_heard = true;
template <class Box, class U>
inline constexpr bool is_heard<push_case<Box, U, nothing>> = false;

[[noreturn]] inline void throw_no_descriptor([[maybe_unused]] int error) {
#if MAILROOM_EXCEPTIONS
  throw std::system_error{error, std::generic_category(), "mailroom: no descriptor for a selector"};
#else
  std::abort();
#endif
}

} // namespace detail

template <detail::select_case Case>
selector::registration selector::add(Case one) {
  static_assert(Case::is_event,
                "mailroom: a selector takes on_pop and on_push; a time or a stop is "
                "an argument of its select");
  static_assert(detail::is_heard<Case>, "mailroom: a push in a selector needs a handler, which "
                                        "brings the next message or cancels");
  auto made = std::make_unique<detail::kept_case_of<Case>>(std::move(one));
  withdraw(); // the new one may be ready: (I1)
  cases_.add(*made);
  return registration{std::move(made)};
}

template <class Descriptor>
  requires(Descriptor::is_supported)
selector::native_handle_type selector::native_handle() {
  Descriptor& wire = bell_.wire;
  if (!wire.is_open()) {
    const int error = wire.open();
    if (error != 0) detail::throw_no_descriptor(error);
  }
  return wire.native();
}

inline queue_status selector::try_select() { return carry_out(look_or_ring()); }

template <class Deadline, stoppable_token S>
queue_status selector::select_or_wait(const Deadline& deadline, const S& token) {
  outcome found = look_for_a_while(deadline, token);
  if (detail::is_unfinished(found.status)) found = sleep(deadline, token);
  return carry_out(found);
}

template <class Deadline, stoppable_token S>
selector::outcome selector::look_for_a_while(const Deadline& deadline, const S& token) {
  const departure leaves{*this};
  withdraw();
  outcome found = look(deadline, token);
  if constexpr (detail::longest_spin != 0) {
    const detail::nanoseconds end = detail::now() + detail::longest_spin / 4;
    while (detail::is_unfinished(found.status) && detail::now() < end) {
      detail::relax();
      found = look(deadline, token);
    }
  }
  return found;
}

template <class Deadline, stoppable_token S>
selector::outcome selector::sleep(const Deadline& deadline, const S& token) {
  detail::sleeper self;
  const departure leaves{*this};
  const detail::stop_watch<S, detail::unparking> watch{token, detail::unparking{&self}};
  cases_.count_waits();
  for (;;) {
    self.begin();
    cases_.stand(self);
    outcome found = look(deadline, token);
    while (found.status == queue_status::busy) {
      detail::yield(); // (I3)
      found = look(deadline, token);
    }
    if (found.status != queue_status::empty) return found;
    self.park(std::min(deadline.wake_at(), watch.look_again_at()));
    withdraw();
  }
}

/// The end of the wait is looked for first, so that whatever happened before the stop or the
/// deadline is still found.
template <class Deadline, stoppable_token S>
selector::outcome selector::look(const Deadline& deadline, const S& token) {
  const bool is_stopped = token.stop_requested();
  const bool is_late = !is_stopped && deadline.expired();
  const outcome found = cases_.look();
  if (!detail::is_unfinished(found.status)) return found;
  if (is_stopped) return {nullptr, queue_status::stopped};
  return is_late ? outcome{nullptr, queue_status::timeout} : found;
}

/// Looks; before it says that there is nothing, it looks again with a lowered descriptor.
inline selector::outcome selector::look_or_ring() {
  departure leaves{*this};
  for (;;) {
    const outcome found = cases_.look();
    const bool is_quiet =
        found.status == queue_status::empty || found.status == queue_status::closed;
    if (!is_quiet || !bell_.wire.is_open()) return found;
    if (innermost_ != nullptr) return found; // (I2): the descriptor stays readable
    if (cases_.is_standing() && !cases_.is_woken()) {
      leaves.is_needed = false;
      return found;
    }
    withdraw();
    bell_.wire.lower();
    bell_.begin();
    cases_.count_waits();
    cases_.stand(bell_);
  }
}

/// Calls the handler, which may destroy the selector.
inline queue_status selector::carry_out(const outcome& found) {
  if (found.which == nullptr) return found.status;
  const handling now{*this};
  detail::kept_case::carry_out(*found.which);
  return found.status;
}

/// Leaves the lists. Where that ends the wait of the doorbell, nobody else raises it. (I1)
inline void selector::withdraw() noexcept {
  if (cases_.withdraw() == &bell_) bell_.ring();
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_MAILBOX_SELECTOR_HPP

// ---- <mailroom/mailbox/channel.hpp>

#ifndef MAILROOM_MAILBOX_CHANNEL_HPP
#define MAILROOM_MAILBOX_CHANNEL_HPP

// The two ends of a mailbox, which lives and closes with those who hold them.
//
// Use it       when threads come and go, and none of them is the one to close the mailbox; when
//              who sends should notice that nobody receives any more.
// Instead use  mailbox, when somebody outlives all who use it, and knows when to close it.
//
//      producer  --+                              +-->  consumer
//      producer  --+-->  [ mailbox, counts ]  --+
//      producer  --+                              +-->  consumer
//
//      auto [tx, rx] = channel<order>(64);
//      std::thread clerk([in = std::move(rx)]() mutable { for (auto& each : in) handle(each); });
//      tx.push(next);
//
// The last producer that goes closes the mailbox: consumers get what is inside, and then the end.
// The last consumer that goes closes it and discards what is inside: producers are refused. An end
// can be copied where the queue allows many of its kind, and it can always be moved. One that was
// moved from, or made from nothing, is empty: who pushes into it or pops from it is told closed.
//
// Invariants
//   (I1)  who makes another end holds one of its kind, so that the count is not 0
//   (I2)  a count that has been 0 stays 0: a weak_producer only counts upwards from a number that
//         it has seen, and that was not 0
//
// Memory order
//   (L)   left: all that was done through an end -> the closing by the last of its kind, and so
//         whoever is told closed.
//
// Decision: the mailbox is not destroyed with the last consumer, only emptied: a producer may be in
//   the middle of a push. It ends with the last end of either kind, and the last weak_producer.
// Decision: who iterates over a consumer gets an lvalue, so that an algorithm that looks twice does
//   not take the message away the first time. Who wants to keep the message moves it.

#include <chrono>      // duration, time_point
#include <concepts>    // constructible_from, convertible_to
#include <cstddef>     // ptrdiff_t, size_t
#include <iterator>    // default_sentinel_t, input_iterator, output_iterator, sentinel_for, ...
#include <memory>      // addressof
#include <optional>    // optional
#include <type_traits> // is_nothrow_move_assignable
#include <utility>     // forward, move, swap

namespace mailroom::inline MAILROOM_ABI {

template <class Mailbox>
class weak_producer;
template <class Mailbox>
struct channel_ends;

namespace detail {

/// How many ends of one kind there are. It begins with one.
class end_count {
public:
  void join() noexcept { count_.fetch_add(1, memory_order::relaxed); } // (I1)

  /// Joins unless all have left.
  bool try_join() noexcept {
    std::size_t seen = count_.load(memory_order::relaxed); // (I2)
    while (seen != 0) {
      if (count_.compare_exchange(seen, seen + 1, memory_order::relaxed, // (I2)
                                  memory_order::relaxed)) {              // (I2)
        return true;
      }
    }
    return false;
  }

  /// Returns   whether it was the last
  bool leave() noexcept { return count_.fetch_sub(1, memory_order::acq_rel) == 1; } // (L)

private:
  atomic<std::size_t> count_{1};
};

/// A mailbox, and how many ends it has.
template <class Mailbox>
struct shared_mailbox : counted {
  template <class... Args>
  explicit shared_mailbox(const mailbox_options& options, Args&&... args)
      : box(options, std::forward<Args>(args)...) {}

  end_count producers;
  end_count consumers;
  Mailbox box;
};

/// What distinguishes the two kinds of ends.
struct producing {
  template <class Mailbox>
  static constexpr arity how_many = queue_facts<typename Mailbox::queue_type>::producers;
  template <class Mailbox>
  static end_count& ends(shared_mailbox<Mailbox>& shared) noexcept {
    return shared.producers;
  }
  template <class Mailbox>
  static void all_gone(Mailbox& box) noexcept {
    box.close();
  }
};
struct consuming {
  template <class Mailbox>
  static constexpr arity how_many = queue_facts<typename Mailbox::queue_type>::consumers;
  template <class Mailbox>
  static end_count& ends(shared_mailbox<Mailbox>& shared) noexcept {
    return shared.consumers;
  }
  template <class Mailbox>
  static void all_gone(Mailbox& box) noexcept {
    box.close(discard);
  }
};

/// A reference to a mailbox that counts as an end of a kind, or none.
template <class Mailbox, class Kind>
class channel_end {
  static constexpr bool is_copied = Kind::template how_many<Mailbox> == arity::many;

public:
  using shared = ref<shared_mailbox<Mailbox>>;

  channel_end() noexcept = default;
  /// The end that is meant is counted already.
  explicit channel_end(shared counted_for) noexcept : shared_{std::move(counted_for)} {}
  channel_end(channel_end&& other) noexcept = default;
  channel_end(const channel_end& other) noexcept
    requires is_copied
      : shared_{other.shared_} {
    if (shared_) Kind::ends(*shared_).join();
  }
  channel_end& operator=(channel_end&& other) noexcept {
    channel_end taken{std::move(other)};
    std::swap(shared_, taken.shared_);
    return *this;
  }
  channel_end& operator=(const channel_end& other) noexcept
    requires is_copied
  {
    channel_end taken{other};
    std::swap(shared_, taken.shared_);
    return *this;
  }
  ~channel_end() {
    if (shared_ && Kind::ends(*shared_).leave()) Kind::all_gone(shared_->box);
  }

  const shared& shared_with() const noexcept { return shared_; }
  explicit operator bool() const noexcept { return static_cast<bool>(shared_); }
  Mailbox& box() const noexcept { return shared_->box; }

private:
  shared shared_;
};

} // namespace detail

/// The way into a channel. Its members promise what those of the mailbox do, and those of an empty
/// end answer like a closed mailbox.
///
/// Caller    as for the mailbox, but not while the end is moved, assigned or destroyed
template <class Mailbox>
class [[nodiscard]] producer {
public:
  using mailbox_type = Mailbox;
  using value_type = typename Mailbox::value_type;

  /// An empty end.
  producer() noexcept = default;

  /// Is this an end of a channel?
  explicit operator bool() const noexcept { return static_cast<bool>(end_); }

  template <stoppable_token S = never_stop>
  bool push(const value_type& value, S token = {}) {
    return end_ && end_.box().push(value, token);
  }
  template <stoppable_token S = never_stop>
  bool push(value_type&& value, S token = {}) {
    return end_ && end_.box().push(std::move(value), token);
  }
  template <class... Args>
    requires std::constructible_from<value_type, Args...>
  bool emplace(Args&&... args) {
    return end_ && end_.box().emplace(std::forward<Args>(args)...);
  }
  queue_status try_push(const value_type& value) {
    return end_ ? end_.box().try_push(value) : queue_status::closed;
  }
  queue_status try_push(value_type&& value) {
    return end_ ? end_.box().try_push(std::move(value)) : queue_status::closed;
  }
  template <class Duration, stoppable_token S = never_stop>
  queue_status try_push_for(const value_type& value, Duration timeout, S token = {}) {
    return end_ ? end_.box().try_push_for(value, timeout, token) : queue_status::closed;
  }
  template <class Duration, stoppable_token S = never_stop>
  queue_status try_push_for(value_type&& value, Duration timeout, S token = {}) {
    return end_ ? end_.box().try_push_for(std::move(value), timeout, token) : queue_status::closed;
  }
  template <class TimePoint, stoppable_token S = never_stop>
  queue_status try_push_until(const value_type& value, TimePoint deadline, S token = {}) {
    return end_ ? end_.box().try_push_until(value, deadline, token) : queue_status::closed;
  }
  template <class TimePoint, stoppable_token S = never_stop>
  queue_status try_push_until(value_type&& value, TimePoint deadline, S token = {}) {
    return end_ ? end_.box().try_push_until(std::move(value), deadline, token)
                : queue_status::closed;
  }
  template <std::input_iterator I, std::sentinel_for<I> E>
    requires range_element<std::iter_reference_t<I>, value_type> &&
             std::convertible_to<std::iter_reference_t<I>, value_type>
  I push_range(I first, E last) {
    return end_ ? end_.box().push_range(std::move(first), std::move(last)) : std::move(first);
  }

  /// The mailbox, for what concerns both sides: close(), stats(). Not of an empty end.
  Mailbox& box() const noexcept { return end_.box(); }

private:
  friend channel_ends<Mailbox>;
  friend weak_producer<Mailbox>;
  using end = detail::channel_end<Mailbox, detail::producing>;
  explicit producer(typename end::shared counted_for) noexcept : end_{std::move(counted_for)} {}

  end end_;
};

/// The way out of a channel; the messages are also a range, which ends with the channel. Everything
/// else is as for producer.
template <class Mailbox>
class [[nodiscard]] consumer {
public:
  using mailbox_type = Mailbox;
  using value_type = typename Mailbox::value_type;
  class iterator;

  /// An empty end.
  consumer() noexcept = default;

  /// Is this an end of a channel?
  explicit operator bool() const noexcept { return static_cast<bool>(end_); }

  template <stoppable_token S = never_stop>
  std::optional<value_type> pop(S token = {}) {
    return end_ ? end_.box().pop(token) : std::nullopt;
  }
  expected<value_type, queue_status> try_pop() {
    if (!end_) return unexpected{queue_status::closed};
    return end_.box().try_pop();
  }
  queue_status try_pop(value_type& into)
    requires std::is_nothrow_move_assignable_v<value_type>
  {
    return end_ ? end_.box().try_pop(into) : queue_status::closed;
  }
  template <class Duration, stoppable_token S = never_stop>
  expected<value_type, queue_status> try_pop_for(Duration timeout, S token = {}) {
    if (!end_) return unexpected{queue_status::closed};
    return end_.box().try_pop_for(timeout, token);
  }
  template <class TimePoint, stoppable_token S = never_stop>
  expected<value_type, queue_status> try_pop_until(TimePoint deadline, S token = {}) {
    if (!end_) return unexpected{queue_status::closed};
    return end_.box().try_pop_until(deadline, token);
  }
  template <std::output_iterator<value_type> O, stoppable_token S = never_stop>
  std::size_t pop_n(O out, std::size_t max, S token = {}) {
    return end_ ? end_.box().pop_n(std::move(out), max, token) : 0;
  }
  template <message_handler<value_type> F, stoppable_token S = never_stop>
  queue_status run(F&& handler, S token = {}) {
    return end_ ? end_.box().run(std::forward<F>(handler), token) : queue_status::closed;
  }

  /// The messages, one after the other, as the iterator is asked for them.
  ///
  /// Progress  wait-free; the iterator waits for a message where it is compared or dereferenced
  iterator begin() noexcept { return iterator{end_ ? &end_.box() : nullptr}; }
  static std::default_sentinel_t end() noexcept { return {}; }

  /// As of producer.
  Mailbox& box() const noexcept { return end_.box(); }

private:
  friend channel_ends<Mailbox>;
  using counted_end = detail::channel_end<Mailbox, detail::consuming>;
  explicit consumer(typename counted_end::shared counted_for) noexcept
      : end_{std::move(counted_for)} {}

  counted_end end_;
};

/// Takes a message when it is first asked for it, or whether there is one, and holds it until it
/// moves on: a loop that breaks off, or takes so many, takes no more than it has seen. The consumer
/// outlives it.
template <class Mailbox>
class consumer<Mailbox>::iterator {
public:
  using value_type = typename Mailbox::value_type;
  using difference_type = std::ptrdiff_t;
  using iterator_concept = std::input_iterator_tag;

  iterator() noexcept = default;
  iterator(iterator&& other) noexcept
      : box_{other.box_}, is_due_{other.is_due_}, held_{std::move(other.held_)} {}
  iterator& operator=(iterator&& other) noexcept {
    if (this == &other) return *this;
    box_ = other.box_;
    is_due_ = other.is_due_;
    held_.reset();
    if (other.held_) held_.emplace(std::move(*other.held_));
    return *this;
  }
  ~iterator() = default;

  value_type& operator*() const { return take(), *held_; }
  value_type* operator->() const { return take(), std::addressof(*held_); }
  iterator& operator++() {
    take(); // one that nobody has looked at is passed over
    held_.reset();
    is_due_ = true;
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const iterator& at, std::default_sentinel_t) {
    return at.take(), !at.held_.has_value();
  }

private:
  friend consumer;
  explicit iterator(Mailbox* box) noexcept : box_{box}, is_due_{box != nullptr} {}

  /// Waits for the message that is due.
  void take() const {
    if (!is_due_) return;
    is_due_ = false;
    if (auto next = box_->pop()) held_.emplace(std::move(*next));
  }

  Mailbox* box_ = nullptr;
  mutable bool is_due_ = false;
  mutable std::optional<value_type> held_;
};

/// Knows a channel without keeping it open.
///
/// Caller    one thread at a time
template <class Mailbox>
class weak_producer {
  static_assert(queue_facts<typename Mailbox::queue_type>::producers == arity::many,
                "mailroom: a weak_producer needs a queue with many producers");

public:
  /// Of no channel.
  weak_producer() noexcept = default;
  weak_producer(const producer<Mailbox>& of) noexcept : shared_{of.end_.shared_with()} {}

  /// One more producer.
  ///
  /// Progress  lock-free
  /// Returns   the producer; an empty one if the last has gone
  producer<Mailbox> lock() const noexcept {
    if (!shared_ || !shared_->producers.try_join()) return {};
    return producer<Mailbox>{shared_};
  }

private:
  typename producer<Mailbox>::end::shared shared_;
};

/// Both ends of a channel.
template <class Mailbox>
struct channel_ends {
  producer<Mailbox> tx;
  consumer<Mailbox> rx;

  explicit channel_ends(const detail::ref<detail::shared_mailbox<Mailbox>>& made) noexcept
      : tx{made}, rx{made} {}
};

/// Makes a mailbox, and its two ends. It is made from the options, and from what else the mailbox
/// can be made from: an allocator, or an on_drop.
///
/// Cost      one allocation, and those of the mailbox
/// Throws    what the constructor of the mailbox and the allocation throw
template <message T, class Queue = mpmc_queue<T>, class Wait = wait_policy::park, class... Args>
  requires std::constructible_from<mailbox<T, Queue, Wait>, mailbox_options, Args...>
channel_ends<mailbox<T, Queue, Wait>> channel(mailbox_options options = {}, Args&&... args) {
  using shared = detail::shared_mailbox<mailbox<T, Queue, Wait>>;
  return channel_ends{detail::make_counted<shared>(options, std::forward<Args>(args)...)};
}
template <message T, class Queue = mpmc_queue<T>, class Wait = wait_policy::park,
          std::integral Size>
channel_ends<mailbox<T, Queue, Wait>> channel(Size capacity) {
  return channel<T, Queue, Wait>(mailbox_options{.capacity = static_cast<std::size_t>(capacity)});
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_MAILBOX_CHANNEL_HPP

// ---- <mailroom/mailbox/async.hpp>

#ifndef MAILROOM_MAILBOX_ASYNC_HPP
#define MAILROOM_MAILBOX_ASYNC_HPP

// A coroutine that waits in a mailbox, instead of a thread.
//
//      std::optional<T> got = co_await box.async_pop();             nullopt: closed, or stopped
//      bool is_in = co_await box.async_push(std::move(message));    false: then it is still there
//
// Use it       where very many wait, or where the thread has something else to do meanwhile.
// Instead use  pop and push, where a thread may sleep.
//
// These are members of mailbox; this header must be included where they are called. Both take a
// stop token too. The kind of coroutine is the caller's own: the library has none, and allocates
// nothing.
//
//        co_await --> one attempt --> done: that was all
//                         |
//            +------> running: a place in the list, a fence, the stop, an attempt --> done: resumed
//            |            |
//            |<-- no -- not notified meanwhile? then suspended; the thread goes its own way
//            |            :
//            +------- notified, by a push (pop), by close(), or by a stop: that thread runs it
//
// A suspended coroutine is resumed in the thread that woke it, before its push, pop, close() or
// request_stop() returns: that thread runs the coroutine until it suspends again. Where it wakes
// another one by what it does, that one runs inside of it: a chain of n that wake each other is n
// calls deep. A promise with a member schedule(std::coroutine_handle<>) is asked instead, and may
// have the coroutine resumed elsewhere or later; a message that was taken for a coroutine which is
// destroyed before that goes with it. What leaves schedule(), or a resumed coroutine, as an
// exception ends the program.
//
// Who wakes a coroutine makes the attempt for it. Where the queue then answers busy, that thread
// waits until the call that is in the middle goes on.
//
// Precedence is that of mailbox: a message before closed before stopped; for a push closed before
// room before stopped.
//
// Invariants
//   (I1)  one thread at a time runs an awaiter: the one that awaits, and later whoever has changed
//         phase from suspended. All others touch nothing of it but phase and, under the lock of the
//         list, what waiter.hpp says
//   (I2)  who has suspended an awaiter does not touch it again: it may be gone already
//   (I3)  a wake-up is used or handed on: one that came before the last look is used by it; one
//         that came later, or was followed by nothing but busy, wakes the next in the list
//   (I4)  nobody is suspended on `busy`: that state ends without a wake-up
//
// Memory order
//   (S)   suspended: all that was done to the awaiter -> whoever finds it suspended and runs it.
//         Argued: the acquire is for place_, a plain member, which the checker does not see; what
//         it sees are looks, and before them comes the fence of the mailbox.
//   (N)   notified: a stop that was requested -> the next look of the thread that runs the awaiter.
//         (What an event has published comes with the lock of the list.)
//         Whoever notifies does it by an RMW: it hides neither (S) nor another (N).
//
// A coroutine takes its place in the list, passes the fence of the mailbox, and looks: that is its
// half of what waiter.hpp calls (D).
//
// Decision: a stop does not end the wait itself, it makes the awaiter look again, like an event. So
//   there is one way through, and one word that says who goes on.
// Decision: a token that can only be asked does not compile: nobody would ask it.
// Decision: a coroutine that finds nothing after a wake-up waits behind the others from then on.
//
// Sources: P0260R20 (async_push, async_pop); Baker, cppcoro (who suspends last, goes on).

#include <cstdint>  // uint32_t
#include <optional> // optional
#include <utility>  // move
#include <version>  // __cpp_lib_coroutine

#if defined(__cpp_lib_coroutine)
#include <coroutine> // coroutine_handle

namespace mailroom::inline MAILROOM_ABI {

/// A promise that says itself where and when its coroutine is resumed.
template <class Promise>
concept scheduling_promise =
    requires(Promise& promise, std::coroutine_handle<> who) { promise.schedule(who); };

namespace detail {

/// What a coroutine tries until it is done: to take a message.
template <class Box>
class pop_attempt {
public:
  using answer = std::optional<typename Box::value_type>;

  explicit pop_attempt(Box& box) noexcept : box_{&box} {}
  queue_status operator()() {
    auto got = box_->try_pop();
    if (got) taken_.emplace(std::move(*got));
    return got.error();
  }
  answer take_answer() noexcept { return std::move(taken_); }
  wait_list& list() noexcept { return mailbox_access::not_empty(*box_); }
  void order_before_attempt() noexcept { mailbox_access::order_before_attempt(*box_); }
  void enter(presence& self) noexcept {
    mailbox_access::enter(*box_, self, "async_pop", station::consuming);
    self.keep_name();
  }
  void count_wait() noexcept { mailbox_access::count_pop_wait(*box_); }

private:
  Box* box_;
  answer taken_;
};

/// Or to put one in.
template <class Box>
class push_attempt {
public:
  using answer = bool;

  push_attempt(Box& box, typename Box::value_type& value) noexcept : box_{&box}, value_{&value} {}
  queue_status operator()() {
    const queue_status status = box_->try_push(std::move(*value_));
    is_in_ = status == queue_status::success;
    const bool is_refused = status == queue_status::full && !mailbox_access::blocks(*box_);
    return is_refused ? queue_status::dropped : status;
  }
  answer take_answer() noexcept { return is_in_; }
  wait_list& list() noexcept { return mailbox_access::not_full(*box_); }
  void order_before_attempt() noexcept { mailbox_access::order_before_attempt(*box_); }
  void enter(presence& self) noexcept {
    mailbox_access::enter(*box_, self, "async_push", station::producing);
    self.keep_name();
  }
  void count_wait() noexcept { mailbox_access::count_push_wait(*box_); }

private:
  Box* box_;
  typename Box::value_type* value_;
  bool is_in_ = false;
};

/// A coroutine that waits until an attempt is done.
template <class Attempt, class S>
class awaiter final : public waiter {
public:
  awaiter(Attempt attempt, S token) noexcept
      : attempt_{std::move(attempt)}, token_{std::move(token)} {}
  awaiter(const awaiter&) = delete;
  awaiter& operator=(const awaiter&) = delete;

  /// Of a suspended coroutine too, which then waits no longer.
  ///
  /// Caller    anyone, while nothing resumes the coroutine
  ~awaiter() {
    stop_.reset(); // waits for a call in progress
    if (place_) withdraw();
  }

  bool await_ready() { return !is_unfinished(attempt_()); }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> who);
  typename Attempt::answer await_resume() noexcept { return attempt_.take_answer(); }

private:
  using enum memory_order;
  static constexpr std::uint32_t running = 0;
  static constexpr std::uint32_t suspended = 1;
  static constexpr std::uint32_t notified = 2;

  /// What a stop calls.
  struct end_of_wait {
    awaiter* self;
    void operator()() const noexcept { self->stop(); }
  };

  bool wake() noexcept override { return phase_.exchange(notified, relaxed) == suspended; } // (S)
  void resume() noexcept override;
  void stop() noexcept;
  bool run();
  bool look();
  void withdraw() noexcept;
  template <class Promise>
  static void go_on(std::coroutine_handle<> who);

  Attempt attempt_;
  S token_;
  std::coroutine_handle<> who_;
  void (*go_on_)(std::coroutine_handle<>) = nullptr;
  atomic<std::uint32_t> phase_{running};
  std::optional<wait_list::place> place_;
  [[no_unique_address]] presence presence_;
  std::optional<stop_watch<S, end_of_wait>> stop_;
};

/// What async_pop and async_push return: it does nothing until it is awaited, once.
template <class Attempt, class S>
class [[nodiscard]] async_operation {
  static_assert(stop_watch<S, void (*)()>::calls_back,
                "mailroom: to stop a coroutine needs a token that calls back");

public:
  async_operation(Attempt attempt, S token) noexcept
      : attempt_{std::move(attempt)}, token_{std::move(token)} {}
  awaiter<Attempt, S> operator co_await() && noexcept {
    return awaiter<Attempt, S>(std::move(attempt_), std::move(token_));
  }

private:
  Attempt attempt_;
  S token_;
};

// ---- Definitions, in the order of the class

/// Returns   whether the coroutine is suspended; then it may be running elsewhere, or gone
template <class Attempt, class S>
template <class Promise>
bool awaiter<Attempt, S>::await_suspend(std::coroutine_handle<Promise> who) {
  who_ = who;
  go_on_ = go_on<Promise>;
  attempt_.count_wait();
  stop_.emplace(token_, end_of_wait{this});
  return !run();
}

/// Goes on in place of the thread that has suspended it. (I1)
template <class Attempt, class S>
void awaiter<Attempt, S>::resume() noexcept {
  if (run()) go_on_(who_);
}

template <class Attempt, class S>
void awaiter<Attempt, S>::stop() noexcept {
  if (phase_.exchange(notified, release) == suspended) resume(); // (S) (N)
}

/// Attempt after attempt, until one is done, or nothing is left to do but to wait.
///
/// Returns   whether it is done; if not, whoever wakes it has it now (I2)
template <class Attempt, class S>
bool awaiter<Attempt, S>::run() {
  for (;;) {
    (void)phase_.exchange(running, acquire); // (S) (N)
    attempt_.enter(presence_);
    if (place_) { // the look that follows uses the wake-up
      (void)leave();
      place_.reset();
    }
    begin();
    place_.emplace(attempt_.list(), *this);
    attempt_.order_before_attempt();
    if (look()) {
      withdraw();
      presence_.leave();
      return true;
    }
    std::uint32_t expected = running;
    if (phase_.compare_exchange(expected, suspended, release, relaxed)) return false; // (S) (N)
  }
}

/// Returns   whether an attempt was done or the wait is stopped; false: there is nothing to do
template <class Attempt, class S>
bool awaiter<Attempt, S>::look() {
  for (;;) {
    const bool is_stopped = token_.stop_requested();
    const queue_status status = attempt_();
    if (!is_unfinished(status)) return true;
    if (is_stopped) {
      if (status == queue_status::busy) attempt_.list().wake_one(); // (I3), be it for itself
      return true;
    }
    if (status != queue_status::busy) return false;
    yield(); // (I4)
  }
}

/// Waits no longer, and hands on a wake-up that came behind the last look. (I3)
template <class Attempt, class S>
void awaiter<Attempt, S>::withdraw() noexcept {
  const bool is_unused = !leave();
  place_.reset();
  if (is_unused) attempt_.list().wake_one();
}

/// Where a coroutine is resumed: where its promise says, or here.
template <class Attempt, class S>
template <class Promise>
void awaiter<Attempt, S>::go_on(std::coroutine_handle<> who) {
  if constexpr (scheduling_promise<Promise>) {
    std::coroutine_handle<Promise>::from_address(who.address()).promise().schedule(who);
  } else {
    who.resume();
  }
}

} // namespace detail
} // namespace mailroom::inline MAILROOM_ABI

#endif // defined(__cpp_lib_coroutine)

#endif // MAILROOM_MAILBOX_ASYNC_HPP

// ---- <mailroom/topic/filter_syntax.hpp>

#ifndef MAILROOM_TOPIC_FILTER_SYNTAX_HPP
#define MAILROOM_TOPIC_FILTER_SYNTAX_HPP

// How a filter or a topic name is written: its tokens, and what is wrong with it.
//
// A text is read as tokens between separators. A token of a filter that is a wildcard and nothing
// else stands for other tokens:
//
//      dialect  separator  one token  several            empty token  longest text
//      exact    none                                     no           any
//      nats     .          *          >  one or more     no           any
//      mqtt     /          +          #  none or more    yes          65535 bytes
//      amqp     .          *          #  none or more    yes          255 bytes
//
// `>`, and the `#` of mqtt, end a filter; the `#` of amqp stands anywhere, as often as it likes. In
// mqtt a wildcard inside a level is refused; elsewhere it is a character like others. No name has a
// wildcard, but in amqp, where names know no wildcards. The empty text is a name in amqp only: it
// has no token, so there is no name whose only token is empty. No text holds a NUL.
//
// In mqtt a filter may name its group: `$share/group/filter`. A name that looks so is only a name.
//
// Sources: nats-server, server/sublist.go; MQTT Version 5.0 (OASIS Standard), 4.7 and 4.8.2; AMQP
// 0-9-1, 3.1.3.3 (words), 4.2.5.3 (short strings: 255 bytes, no NUL).

#include <algorithm>   // min
#include <cstddef>     // size_t
#include <string>      // string, to_string
#include <string_view> // string_view

namespace mailroom::inline MAILROOM_ABI {

/// How topic names and filters are read.
enum class dialect : unsigned char { exact, nats, mqtt, amqp };

/// What is wrong with a filter or a name, and at which byte; false when nothing is.
struct name_fault {
  const char* reason = nullptr; ///< lives for ever
  std::size_t at = 0;

  constexpr explicit operator bool() const noexcept { return reason != nullptr; }
};

namespace detail {

/// What a text is meant to be.
enum class name_kind : unsigned char { filter, topic };

/// What a token of a filter stands for: itself, one token, one or more, none or more.
enum class token_kind : unsigned char { plain, one, some, many };

/// The characters that mean something in a dialect; NUL, which is in no text, where there is none.
struct spelling {
  char separator;
  char one;
  char several;
  token_kind meaning; // of several
};

constexpr spelling spelling_of(dialect rules) noexcept {
  if (rules == dialect::nats) return {'.', '*', '>', token_kind::some};
  if (rules == dialect::mqtt) return {'/', '+', '#', token_kind::many};
  if (rules == dialect::amqp) return {'.', '*', '#', token_kind::many};
  return {'\0', '\0', '\0', token_kind::plain};
}

/// A place in a text: at one of its tokens, or behind the last one.
class token_cursor {
public:
  constexpr token_cursor(std::string_view text, dialect rules) noexcept
      : text_{text}, spelling_{spelling_of(rules)} {
    if (text.empty()) {
      begin_ = 1;
    } else {
      find_end();
    }
  }

  constexpr bool is_over() const noexcept { return begin_ > text_.size(); }

  /// Not when is_over, as all that follows.
  constexpr void next() noexcept {
    begin_ = end_ + 1;
    if (!is_over()) find_end();
  }
  constexpr std::string_view token() const noexcept { return text_.substr(begin_, end_ - begin_); }

  /// What the token of a filter stands for.
  constexpr token_kind kind() const noexcept {
    if (end_ - begin_ != 1) return token_kind::plain;
    if (text_[begin_] == spelling_.one) return token_kind::one;
    if (text_[begin_] == spelling_.several) return spelling_.meaning;
    return token_kind::plain;
  }
  constexpr bool is_plain() const noexcept { return kind() == token_kind::plain; }

  /// All from here to another place in the same text, without the separator before that place;
  /// without data() when there is no token between them.
  constexpr std::string_view until(const token_cursor& behind) const noexcept {
    if (begin_ == behind.begin_) return {};
    return text_.substr(begin_, behind.begin_ - 1 - begin_);
  }

private:
  constexpr void find_end() noexcept {
    end_ = std::min(text_.find(spelling_.separator, begin_), text_.size());
  }

  std::string_view text_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  spelling spelling_;
};

inline constexpr std::string_view share_prefix = "$share/";

/// The group that a valid filter names; empty if it names none.
constexpr std::string_view group_of(std::string_view filter, dialect rules) noexcept {
  if (rules != dialect::mqtt || !filter.starts_with(share_prefix)) return {};
  const std::size_t begin = share_prefix.size();
  return filter.substr(begin, filter.find('/', begin) - begin);
}

/// What of a valid filter is compared with names: all but the group.
constexpr std::string_view body_of(std::string_view filter, dialect rules) noexcept {
  const std::string_view group = group_of(filter, rules);
  return group.empty() ? filter : filter.substr(share_prefix.size() + group.size() + 1);
}

/// Why no token of dialect nats may hold `c`; nullptr when it may.
constexpr const char* refusal_of(char c) noexcept {
  if (c == '\0') return "forbidden NUL";
  if (c == ' ') return "forbidden space";
  if (c == '\t') return "forbidden tab";
  if (c == '\r') return "forbidden carriage return";
  if (c == '\n') return "forbidden line feed";
  if (c == '\f') return "forbidden form feed";
  return nullptr;
}

/// The first NUL of a text, or that it is empty, where it must not be.
constexpr name_fault find_fault_exact(std::string_view text) noexcept {
  if (text.empty()) return {"empty name", 0};
  const std::size_t nul = text.find('\0');
  if (nul != text.npos) return {refusal_of('\0'), nul};
  return {};
}

/// The first fault of a text in dialect nats.
constexpr name_fault find_fault_nats(std::string_view text, name_kind kind) noexcept {
  for (std::size_t begin = 0, end = 0;; begin = ++end) {
    for (; end != text.size() && text[end] != '.'; ++end) {
      if (const char* reason = refusal_of(text[end])) return {reason, end};
    }
    if (end == begin) return {"empty token", begin};
    const bool tail = end - begin == 1 && text[begin] == '>';
    const bool star = end - begin == 1 && text[begin] == '*';
    if (kind == name_kind::topic && (tail || star)) return {"wildcard in a topic name", begin};
    if (tail && end != text.size()) return {"'>' before the last token", begin};
    if (end == text.size()) return {};
  }
}

/// The first fault of what stands before the filter in `$share/group/filter`.
constexpr name_fault find_fault_group(std::string_view text) noexcept {
  const std::size_t begin = share_prefix.size();
  const std::size_t end = std::min(text.find('/', begin), text.size());
  if (begin == end) return {"empty group name", begin};
  for (std::size_t at = begin; at != end; ++at) {
    if (text[at] == '\0') return {refusal_of('\0'), at};
    if (text[at] == '+' || text[at] == '#') return {"wildcard in a group name", at};
  }
  if (end == text.size() || end + 1 == text.size()) return {"no filter after the group", end};
  return {};
}

/// The first fault of a text in dialect mqtt.
constexpr name_fault find_fault_mqtt(std::string_view text, name_kind kind) noexcept {
  std::size_t at = 0;
  if (kind == name_kind::filter && text.starts_with(share_prefix)) {
    if (const name_fault fault = find_fault_group(text)) return fault;
    at = text.find('/', share_prefix.size()) + 1;
  }
  if (text.empty()) return {"empty name", 0};
  for (; at != text.size(); ++at) {
    if (text[at] == '\0') return {refusal_of('\0'), at};
    if (text[at] != '+' && text[at] != '#') continue;
    if (kind == name_kind::topic) return {"wildcard in a topic name", at};
    const bool begins = at == 0 || text[at - 1] == '/';
    const bool ends = at + 1 == text.size() || text[at + 1] == '/';
    if (!begins || !ends) return {"wildcard inside a level", at};
    if (text[at] == '#' && at + 1 != text.size()) return {"'#' before the last level", at};
  }
  if (text.size() > 65535) return {"more than 65535 bytes", 65535};
  return {};
}

/// The first fault of a text in dialect amqp.
constexpr name_fault find_fault_amqp(std::string_view text) noexcept {
  if (text.empty()) return {};
  if (const name_fault fault = find_fault_exact(text)) return fault;
  if (text.size() > 255) return {"more than 255 bytes", 255};
  return {};
}

/// The first fault of a text: the one place that knows which filters and names are valid.
constexpr name_fault find_fault(std::string_view text, dialect rules, name_kind kind) noexcept {
  if (rules == dialect::exact) return find_fault_exact(text);
  if (rules == dialect::mqtt) return find_fault_mqtt(text, kind);
  if (rules == dialect::amqp) return find_fault_amqp(text);
  return find_fault_nats(text, kind);
}

/// Throws    std::invalid_argument: mailroom: filter "a..b": empty token at byte 2
[[noreturn]] inline void throw_fault(std::string_view text, name_kind kind, name_fault fault) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string what = kind == name_kind::filter ? "mailroom: filter \"" : "mailroom: topic \"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      what += c;
    } else { // a NUL would end the message here, a line feed would split it
      what += "\\x";
      what += digits[byte / 16U];
      what += digits[byte % 16U];
    }
  }
  what += "\": ";
  what += fault.reason;
  what += " at byte " + std::to_string(fault.at);
  throw_invalid_argument(what.c_str());
}

/// Throws    std::invalid_argument for a name that cannot be published to: what is wrong, and where
inline void check_topic(std::string_view name, dialect rules) {
  if (const name_fault fault = find_fault(name, rules, name_kind::topic)) {
    throw_fault(name, name_kind::topic, fault);
  }
}

} // namespace detail
} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_TOPIC_FILTER_SYNTAX_HPP

// ---- <mailroom/topic/filter_match.hpp>

#ifndef MAILROOM_TOPIC_FILTER_MATCH_HPP
#define MAILROOM_TOPIC_FILTER_MATCH_HPP

// Lays the tokens of a filter beside those of a topic.
//
//      filter   a . # . b . * . # . c          a block is what stands between two `#`
//      topic    a x x . b x . x x x c
//                    |  '-.-'    |   '- the last block lies at the end
//                    |   a block lies at the first place where it fits
//                    '- what no block covers belongs to the `#`
//
// The first place is the right one: whoever lies further left leaves more room for the others. So a
// block that fits is never moved again, whatever comes behind it, and only the block that is just
// being laid can fail, and is tried one token further. Every token of the topic is then compared
// with each token of one block at most: tokens of the topic times tokens of the longest block. The
// naive way, which goes back to the block before as well, takes exponential time.
//
// Where several `#` could share a text in several ways this is the rule too: each of them, from the
// left, takes as little as it can, and the last one takes what is left.
//
// Decision: no set of states, one bit for each token of the filter, that moves along the topic. It
//   has to compare each token of the topic with all tokens of the filter, not with those of a block
//   only; it needs memory as soon as there are more tokens than bits; and it does not know who took
//   what.
//
// Sources: K. J. Krauss, Matching Wildcards: An Algorithm (Dr. Dobb's, 2008), for characters.

#include <algorithm>   // min
#include <cstddef>     // size_t
#include <span>        // span
#include <string_view> // string_view

namespace mailroom::inline MAILROOM_ABI::detail {

/// Lays a filter beside words. `fits(token, word)` says whether a token that stands for one word
/// can stand for this one; `tell(n, from, behind)` is told which words the wildcard number n takes,
/// again whenever that changes. Both get cursors.
template <class Fits, class Tell>
class layout {
public:
  constexpr layout(token_cursor filter, token_cursor words, Fits fits, Tell tell)
      : filter_{filter}, words_{words}, block_{filter}, from_{words}, tried_{words}, fits_{fits},
        tell_{tell} {}

  /// Do all tokens of the filter find their words, and all words a token? Asked once.
  constexpr bool succeeds() {
    for (;;) {
      const token_kind kind = filter_.is_over() ? token_kind::plain : filter_.kind();
      if (kind == token_kind::many || kind == token_kind::some) {
        if (kind == token_kind::some && words_.is_over()) return false;
        begin_block();
      } else if (filter_.is_over() && words_.is_over()) {
        return true;
      } else if (!filter_.is_over() && !words_.is_over() && fits_(filter_, words_)) {
        lay_token(kind);
      } else if (!in_block_ || words_.is_over()) { // one word further there are even less of them
        return false;
      } else {
        move_block();
      }
    }
  }

private:
  /// The filter stands at a wildcard for several: a block begins behind it.
  constexpr void begin_block() {
    filter_.next();
    block_ = filter_;
    from_ = tried_ = words_;
    in_block_ = true;
    many_ = wildcard_++;
    if (filter_.is_over()) {
      while (!words_.is_over()) words_.next();
    }
    tell_(many_, from_, words_);
  }

  constexpr void lay_token(token_kind kind) {
    const token_cursor word = words_;
    words_.next();
    if (kind == token_kind::one) tell_(wildcard_++, word, words_);
    filter_.next();
  }

  constexpr void move_block() {
    tried_.next();
    words_ = tried_;
    filter_ = block_;
    wildcard_ = many_ + 1;
    tell_(many_, from_, tried_);
  }

  token_cursor filter_; // the next token to be laid
  token_cursor words_;  // where
  token_cursor block_;  // the block that is being laid,
  token_cursor from_;   // the first place it could have,
  token_cursor tried_;  // and the one that is tried
  Fits fits_;
  Tell tell_;
  std::size_t wildcard_ = 0; // number of the next one
  std::size_t many_ = 0;     // number of the one before the block
  bool in_block_ = false;    // not in the one at the beginning, which cannot be moved
};

struct nobody_asks {
  constexpr void operator()(std::size_t, const token_cursor&, const token_cursor&) const noexcept {}
};

/// Does a token of a filter stand for this word?
constexpr bool stands_for(const token_cursor& token, const token_cursor& word) noexcept {
  return token.kind() == token_kind::one || token.token() == word.token();
}

constexpr bool begins_with_wildcard(std::string_view body, dialect rules) noexcept {
  const token_cursor first{body, rules};
  return !first.is_over() && !first.is_plain();
}

/// In mqtt a filter that begins with a wildcard does not see the names that begin with `$`.
constexpr bool is_hidden(std::string_view body, std::string_view name, dialect rules) noexcept {
  return rules == dialect::mqtt && name.starts_with('$') && begins_with_wildcard(body, rules);
}

/// Is the token that begins at `at` the character `c` and nothing else?
constexpr bool is_token(std::string_view text, std::size_t at, char c, char separator) noexcept {
  return at < text.size() && text[at] == c && (at + 1 == text.size() || text[at + 1] == separator);
}

/// Where only the last token stands for several nothing is ever moved: both texts, byte by byte.
constexpr bool match_in_one_pass(std::string_view body, std::string_view topic,
                                 spelling marks) noexcept {
  for (std::size_t p = 0, t = 0;; ++p, ++t) { // a token begins at p, and one at t
    if (is_token(body, p, marks.several, marks.separator)) return true;
    if (is_token(body, p, marks.one, marks.separator)) {
      t = std::min(topic.find(marks.separator, t), topic.size());
      ++p;
    } else {
      for (; p != body.size() && body[p] != marks.separator; ++p, ++t) {
        if (t == topic.size() || topic[t] != body[p]) return false;
      }
    }
    if (t == topic.size()) {
      if (p == body.size()) return true;
      return marks.meaning == token_kind::many &&
             is_token(body, p + 1, marks.several, marks.separator);
    }
    if (p == body.size() || topic[t] != marks.separator) return false;
  }
}

/// Does a filter match a topic that is valid?
constexpr bool match(std::string_view body, std::string_view topic, dialect rules) noexcept {
  if (is_hidden(body, topic, rules)) return false;
  if (rules != dialect::amqp) return match_in_one_pass(body, topic, spelling_of(rules));
  return layout{token_cursor{body, rules}, token_cursor{topic, rules}, stands_for, nobody_asks{}}
      .succeeds();
}

/// How many wildcards a filter has.
constexpr std::size_t count_wildcards(std::string_view body, dialect rules) noexcept {
  std::size_t count = 0;
  for (token_cursor at{body, rules}; !at.is_over(); at.next()) count += at.is_plain() ? 0U : 1U;
  return count;
}

/// Writes down what the first wildcards take, as many as there is room for.
struct captures {
  std::span<std::string_view> into;

  constexpr void operator()(std::size_t wildcard, const token_cursor& from,
                            const token_cursor& behind) const noexcept {
    if (wildcard < into.size()) into[wildcard] = from.until(behind);
  }
};

/// Writes down what the wildcards of a filter take of a topic that it matches.
constexpr void capture(std::string_view body, std::string_view topic, dialect rules,
                       std::span<std::string_view> into) noexcept {
  (void)layout{token_cursor{body, rules}, token_cursor{topic, rules}, stands_for, captures{into}}
      .succeeds();
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_TOPIC_FILTER_MATCH_HPP

// ---- <mailroom/topic/filter_relation.hpp>

#ifndef MAILROOM_TOPIC_FILTER_RELATION_HPP
#define MAILROOM_TOPIC_FILTER_RELATION_HPP

// What two filters of one dialect have to do with each other: is there a name that both match; does
// one match all that the other matches?
//
// Overlap. If both have a wildcard for several, what stands between the first and the last of each
// can always be written one after the other, so only the beginnings and the ends can be at odds. If
// one of them has none it is a row of words, some of which are free, and the other is laid beside
// it as beside a topic.
//
// Cover. The hardest name of the narrow filter has, where a wildcard stands, words that nobody has
// seen before: only a wildcard of the wide one takes them. How many, for a `#`? None, or very many;
// who takes both takes all between (I1). The wide filter is read as a machine that can be at many
// places at once. At each `#` of the narrow one every machine goes on for none, and one new machine
// for very many stands for the worst of them (I2). In the end all must have arrived.
//
//      narrow   a.*.#.b     none:       a ? b          very many:  a ? ? ? ? ? b
//      wide     a.#.b       takes it                   takes it              so it covers
//
// Invariants
//   (I1)  Let a filter take L R, and L z..z R with very many unseen words z. Then it takes L z R
//         and, word by word, any number of z. Look at the gap between L and R. If a `#` is there
//         it takes the z. If not, a block U V lies across it, U on the end of L. In L z..z R some
//         `#` takes z; let it stand before that block (else read all this backwards), which thus
//         begins with q words z (or within R, q = 0). What is before the block may lie as in L R,
//         what is behind it as in L z..z R or as in L R, and the block itself,
//           for q <= 1               as in L z..z R;
//           for q >= length of U     with U, which is all `*`, one word further, V as in L R;
//           else                     with its first q words, all `*`, on the last q - 1 of L and on
//                                    z, the others as in L z..z R.
//   (I2)  Among places the last one at a `#` matters: it takes all that the earlier ones do. After
//         very many unseen words a machine is there and at the `*` behind it, and nowhere else. So
//         of such machines the one that came least far is the worst.
//
// Both are exact for names of any length. Where only names beyond 255 bytes (amqp) or 65535 bytes
// (mqtt) make the difference, overlap says yes and cover says no.
//
// Decision: no automaton of both filters, searched for a name. It has a state for each set of
//   places that can occur, and there is no small bound on these.

#include <algorithm>   // max, min
#include <array>       // array
#include <bitset>      // bitset
#include <cstddef>     // size_t
#include <string_view> // string_view

namespace mailroom::inline MAILROOM_ABI::detail {

constexpr bool is_several(const token_cursor& at) noexcept {
  return at.kind() == token_kind::many || at.kind() == token_kind::some;
}

constexpr bool has_several(token_cursor at) noexcept {
  while (!at.is_over() && !is_several(at)) at.next();
  return !at.is_over();
}

// ---- Overlap

/// Is there a word for which both tokens stand?
constexpr bool can_agree(const token_cursor& a, const token_cursor& b) noexcept {
  return !a.is_plain() || !b.is_plain() || a.token() == b.token();
}

/// Can the tokens before the first wildcard for several agree? Both filters have one.
constexpr bool begins_agree(token_cursor a, token_cursor b) noexcept {
  for (; !is_several(a) && !is_several(b); a.next(), b.next()) {
    if (!can_agree(a, b)) return false;
  }
  return true;
}

/// The tokens behind the last wildcard for several.
struct filter_end {
  token_cursor at;
  std::size_t length = 0;

  constexpr explicit filter_end(token_cursor filter) noexcept : at{filter} {
    while (!filter.is_over()) {
      const bool begins_here = is_several(filter);
      filter.next();
      length = begins_here ? 0 : length + 1;
      if (begins_here) at = filter;
    }
  }
};

/// Can the tokens behind it agree?
constexpr bool ends_agree(token_cursor a, token_cursor b) noexcept {
  filter_end one{a};
  filter_end other{b};
  for (; one.length > other.length; --one.length) one.at.next();
  for (; other.length > one.length; --other.length) other.at.next();
  for (; !one.at.is_over(); one.at.next(), other.at.next()) {
    if (!can_agree(one.at, other.at)) return false;
  }
  return true;
}

/// Can the filter match what a row of tokens, none of them for several, stands for?
constexpr bool overlaps_row(token_cursor filter, token_cursor row) noexcept {
  token_cursor second = row;
  if (!row.is_over()) second.next();
  const bool is_one_word = !row.is_over() && second.is_over();
  const auto fits = [is_one_word](const token_cursor& token, const token_cursor& word) {
    if (is_one_word && token.is_plain() && token.token().empty()) return false; // is no name
    return can_agree(token, word);
  };
  return layout{filter, row, fits, nobody_asks{}}.succeeds();
}

/// Is there a name that both filters match?
constexpr bool overlap(std::string_view a, std::string_view b, dialect rules) noexcept {
  if (rules == dialect::exact) return a == b;
  if (is_hidden(a, b, rules) || is_hidden(b, a, rules)) return false;
  const token_cursor one{a, rules};
  const token_cursor other{b, rules};
  if (!has_several(one)) return overlaps_row(other, one);
  if (!has_several(other)) return overlaps_row(one, other);
  return begins_agree(one, other) && ends_agree(one, other);
}

// ---- Cover

/// Does a token stand for every word for which the other one does?
constexpr bool covers_token(const token_cursor& wide, const token_cursor& narrow) noexcept {
  if (wide.kind() == token_kind::one) return true;
  return narrow.is_plain() && wide.token() == narrow.token();
}

/// Cover, where both filters end with the only wildcard for several. `last` is what that of the
/// narrow one stands for.
constexpr bool covers_tail(token_cursor wide, token_cursor narrow, token_kind last) noexcept {
  for (;;) {
    const token_kind kind = is_several(narrow) ? last : token_kind::one;
    if (wide.kind() == token_kind::many) return true;
    if (kind == token_kind::many) return false;
    if (wide.kind() == token_kind::some) return true;
    if (!covers_token(wide, narrow)) return false;
    wide.next();
    if (kind == token_kind::some) {
      last = token_kind::many; // one word of its own is covered
    } else {
      narrow.next();
    }
  }
}

/// A filter of dialect amqp as a machine. At its place p the tokens before p have found words.
class amqp_machine {
public:
  explicit amqp_machine(std::string_view filter) noexcept : filter_{filter} {
    for (token_cursor at{filter, dialect::amqp}; !at.is_over(); at.next()) {
      kinds_[size_++] = at.kind();
    }
    for (std::size_t p = size_; p-- != 0;) {
      if (kinds_[p] == token_kind::plain) continue;
      reach_[p] = reach_[p + 1];
      if (kinds_[p] == token_kind::many && reach_[p] == 0) reach_[p] = p + 1;
    }
  }

  /// Does it match all names that `narrow` stands for?
  bool covers(std::string_view narrow) const noexcept {
    const token_cursor begin{narrow, dialect::amqp};
    if (!needs_more(begin)) return covers(begin, most);
    std::size_t number = 0;
    for (token_cursor at = begin; !at.is_over(); at.next(), ++number) {
      if (is_several(at) && !covers(begin, number)) return false;
    }
    return true;
  }

private:
  static constexpr std::size_t most = 256; // tokens in 255 bytes
  using places = std::bitset<most + 1>;

  /// Is an empty token all that there is beside the `#`? It alone is no name.
  static bool needs_more(token_cursor at) noexcept {
    std::size_t words = 0;
    bool has_text = false;
    for (; !at.is_over(); at.next()) {
      if (is_several(at)) continue;
      ++words;
      has_text = has_text || !at.token().empty();
    }
    return words == 1 && !has_text;
  }

  /// The same, where the `#` with a certain number stands for one word at least.
  bool covers(token_cursor narrow, std::size_t some) const noexcept {
    std::array<places, most / 2 + 1> machines;
    std::size_t count = 1;
    machines[0] = with_none_taken(places{1});
    for (std::size_t number = 0; !narrow.is_over(); narrow.next(), ++number) {
      if (!is_several(narrow) || number == some) {
        const places fitting = places_for(narrow);
        for (std::size_t m = 0; m != count; ++m) machines[m] = step(machines[m], fitting);
      }
      if (!is_several(narrow)) continue;
      std::size_t worst = most + 1;
      for (std::size_t m = 0; m != count; ++m) worst = std::min(worst, furthest(machines[m]));
      if (worst == 0) return false;
      machines[count++] = after_unseen_words(worst - 1);
    }
    for (std::size_t m = 0; m != count; ++m) {
      if (!machines[m][size_]) return false;
    }
    return true;
  }

  /// Where a token stands for all that `narrow` does, or for an unseen word if that is a wildcard.
  places places_for(const token_cursor& narrow) const noexcept {
    places fitting;
    std::size_t p = 0;
    for (token_cursor at{filter_, dialect::amqp}; !at.is_over(); at.next(), ++p) {
      fitting[p] = covers_token(at, narrow);
    }
    return fitting;
  }

  places step(const places& from, const places& fitting) const noexcept {
    places to;
    for (std::size_t p = 0; p != size_; ++p) {
      if (!from[p]) continue;
      if (kinds_[p] == token_kind::many) {
        to[p] = true;
      } else if (fitting[p]) {
        to[p + 1] = true;
      }
    }
    return with_none_taken(to);
  }

  /// A `#` may take nothing.
  places with_none_taken(places at) const noexcept {
    for (std::size_t p = 0; p != size_; ++p) {
      if (at[p] && kinds_[p] == token_kind::many) at[p + 1] = true;
    }
    return at;
  }

  /// One more than the place of the last `#` that is reached when only unseen words come; or 0.
  std::size_t furthest(const places& from) const noexcept {
    std::size_t found = 0;
    for (std::size_t p = 0; p != size_; ++p) {
      if (from[p]) found = std::max(found, reach_[p]);
    }
    return found;
  }

  places after_unseen_words(std::size_t many) const noexcept { // (I2)
    places at;
    at[many] = true;
    at[++many] = true;
    while (many != size_ && kinds_[many] == token_kind::one) at[++many] = true;
    return at;
  }

  std::string_view filter_;
  std::size_t size_ = 0;
  std::array<token_kind, most> kinds_;
  std::array<std::size_t, most + 1> reach_{}; // from a place to furthest
};

/// Does a filter match all names that another one matches?
constexpr bool cover(std::string_view wide, std::string_view narrow, dialect rules) noexcept {
  if (rules == dialect::exact) return wide == narrow;
  if (is_hidden(wide, narrow, rules)) return false;
  const token_cursor outer{wide, rules};
  const token_cursor inner{narrow, rules};
  if (!has_several(inner)) return layout{outer, inner, covers_token, nobody_asks{}}.succeeds();
  if (!has_several(outer)) return false;
  if (rules == dialect::amqp) return amqp_machine{wide}.covers(narrow);
  const bool needs_one = rules == dialect::nats || narrow == "#" || narrow == "/#"; // "" is no name
  return covers_tail(outer, inner, needs_one ? token_kind::some : token_kind::many);
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_TOPIC_FILTER_RELATION_HPP

// ---- <mailroom/topic/filter.hpp>

#ifndef MAILROOM_TOPIC_FILTER_HPP
#define MAILROOM_TOPIC_FILTER_HPP

// A topic filter: says which topic names a subscriber wants to hear.
//
// Use it       to check names and filters before they reach a dispatcher, or to match by hand.
// Instead use  dispatcher, which owns the filters of its subscribers and calls them itself.
//
// A name is a text; a dialect says how it is read. `exact` reads it whole: any bytes but NUL, equal
// or not. The others read tokens between separators, and a filter may have wildcards among them:
//
//              filter   matches             does not match
//      nats    a.b      a.b                 a, a.b.c, A.B
//              a.*.c    a.b.c               a.c, a.b.b.c       * is exactly one token
//              a.>      a.b, a.b.c          a, b.a             > is one token or more, at end
//              a*.b     a*.b                ab.b               inside a token: plain characters
//      mqtt    a/+      a/b, a/             a, a/b/c           + is one level, also an empty one
//              a/#      a, a/b, a/b/c       ab                 # is any number of levels, at end
//              +/b, #   a/b                 $a/b               wildcards in front do not see a `$`
//      amqp    a.*      a.b, a.*            a, a.b.c           * is exactly one word
//              a.#.b    a.b, a.c.c.b        ab, a.b.c          # is any number of words, anywhere
//
// Bytes count as they are: no case folding, no Unicode normalisation. What is no filter and no name
// is in filter_syntax.hpp. `$share/group/filter`, in mqtt, matches what the filter in it does.
//
// Invariants, unless the filter was moved from
//   (I1)  pattern_ is a valid filter by rules_
//   (I2)  literal_ says that pattern_ is a valid topic too, and matches this topic and no other
//
// Decision: the pattern stays text and is walked beside the topic. A list of tokens would save
//   looking for separators, and cost an allocation for each filter.
// Decision: captures go to the caller's span. A type that holds all of them would allocate, or be
//   large for everybody; who wrote the filter knows how many wildcards it has.
//
// Sources: NATS documentation, Subject-Based Messaging; MQTT Version 5.0 (OASIS Standard), 4.7 and
// 4.8.2; AMQP 0-9-1, 3.1.3.3. The cases in tests/unit/topic/vectors were measured with servers.

#include <cstddef>     // size_t
#include <span>        // span
#include <string>      // string
#include <string_view> // string_view

namespace mailroom::inline MAILROOM_ABI {

class topic_filter {
public:
  /// Makes the filter that `pattern` describes.
  ///
  /// Cost      O(pattern); one copy of the pattern
  /// Throws    std::invalid_argument that says what is wrong with the pattern, and where;
  ///           std::bad_alloc
  explicit topic_filter(std::string_view pattern, dialect rules = dialect::nats);

  /// Tells why no filter can be made of `pattern`.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Cost      O(pattern), no allocation; may run at compile time
  /// Throws    nothing
  /// Returns   the first fault and its place; false if there is none
  [[nodiscard]] static constexpr name_fault find_fault(std::string_view pattern,
                                                       dialect rules) noexcept {
    return detail::find_fault(pattern, rules, detail::name_kind::filter);
  }

  /// Tells why `name` cannot be published to; otherwise as find_fault. What has no fault as a name
  /// has none as a pattern, but for what begins with `$share/` in mqtt.
  [[nodiscard]] static constexpr name_fault find_topic_fault(std::string_view name,
                                                             dialect rules) noexcept {
    return detail::find_fault(name, rules, detail::name_kind::topic);
  }

  /// Tells whether a filter can be made of `pattern`; otherwise as find_fault.
  [[nodiscard]] static constexpr bool valid(std::string_view pattern, dialect rules) noexcept {
    return !find_fault(pattern, rules);
  }

  /// Tells whether `name` can be published to; otherwise as find_fault.
  [[nodiscard]] static constexpr bool valid_topic(std::string_view name, dialect rules) noexcept {
    return !find_topic_fault(name, rules);
  }

  /// Tells whether `topic` is one of the names that the pattern stands for.
  ///
  /// Caller    anyone, concurrently with all other const members
  /// Progress  wait-free
  /// Cost      O(topic), whatever the pattern; in amqp, where `#` may stand anywhere, O(topic *
  ///           pattern between two `#`); no allocation
  /// Throws    nothing
  /// Returns   false also for a topic that is not valid
  [[nodiscard]] bool matches(std::string_view topic) const noexcept;

  /// Writes down what the wildcards stand for, in their order, as pieces of `topic`. Where words
  /// could go to several `#`, each of them, from the left, takes as little as it can, and the last
  /// one the rest. Who takes no word at all leaves a view without data(); an empty word has some.
  ///
  /// Caller    as for matches
  /// Progress  wait-free
  /// Cost      as for matches
  /// Throws    nothing
  /// Returns   whether the topic matches; `into` is left alone if not, and beyond wildcards()
  bool capture(std::string_view topic, std::span<std::string_view> into) const noexcept;

  /// Tells whether there is a name that both filters match. The longest text that a dialect allows
  /// is not looked at.
  ///
  /// Caller    as for matches
  /// Progress  wait-free
  /// Cost      O(both patterns); O(pattern * pattern) in amqp; no allocation
  /// Throws    std::invalid_argument for filters of different dialects
  [[nodiscard]] bool overlaps(const topic_filter& other) const;

  /// Tells whether this filter matches every name that the other one matches. The longest text that
  /// a dialect allows is not looked at.
  ///
  /// Caller    as for matches
  /// Progress  wait-free
  /// Cost      O(both patterns); in amqp O(pattern * pattern * number of `#`); no allocation
  /// Throws    std::invalid_argument for filters of different dialects
  [[nodiscard]] bool covers(const topic_filter& other) const;

  /// The text the filter was made of; it lives as long as the filter.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Throws    nothing
  [[nodiscard]] std::string_view pattern() const noexcept { return pattern_; }

  /// The group that the pattern names with `$share/`; empty if it names none.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Throws    nothing
  [[nodiscard]] std::string_view group() const noexcept {
    return detail::group_of(pattern_, rules_);
  }

  /// The dialect the pattern is read in.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Throws    nothing
  [[nodiscard]] dialect rules() const noexcept { return rules_; }

  /// How many tokens of the pattern are wildcards.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Cost      O(pattern)
  /// Throws    nothing
  [[nodiscard]] std::size_t wildcards() const noexcept {
    return detail::count_wildcards(body(), rules_);
  }

  /// Tells whether the pattern has no wildcard and no group, and so matches one name only: itself.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Cost      O(1)
  /// Throws    nothing
  [[nodiscard]] bool is_literal() const noexcept { return literal_; }

  /// Compares pattern and dialect; filters that differ may still match the same topics.
  ///
  /// Caller    anyone, concurrently with all other const members
  /// Progress  wait-free
  /// Cost      O(pattern)
  /// Throws    nothing
  [[nodiscard]] bool operator==(const topic_filter&) const noexcept = default;

private:
  std::string_view body() const noexcept { return detail::body_of(pattern_, rules_); }
  void check_dialect_of(const topic_filter& other) const;

  std::string pattern_; // (I1)
  dialect rules_;
  bool literal_ = false; // (I2)
};

// ---- Definitions, in the order of the class

inline topic_filter::topic_filter(std::string_view pattern, dialect rules)
    : pattern_{pattern}, rules_{rules} {
  if (const name_fault fault = find_fault(pattern, rules)) {
    detail::throw_fault(pattern, detail::name_kind::filter, fault);
  }
  literal_ = group().empty() && wildcards() == 0;
}

inline bool topic_filter::matches(std::string_view topic) const noexcept {
  if (literal_) return topic == pattern_; // (I2)
  return detail::match(body(), topic, rules_) && valid_topic(topic, rules_);
}

inline bool topic_filter::capture(std::string_view topic,
                                  std::span<std::string_view> into) const noexcept {
  if (!matches(topic)) return false;
  detail::capture(body(), topic, rules_, into);
  return true;
}

inline bool topic_filter::overlaps(const topic_filter& other) const {
  check_dialect_of(other);
  return detail::overlap(body(), other.body(), rules_);
}

inline bool topic_filter::covers(const topic_filter& other) const {
  check_dialect_of(other);
  return detail::cover(body(), other.body(), rules_);
}

inline void topic_filter::check_dialect_of(const topic_filter& other) const {
  if (rules_ != other.rules_) {
    detail::throw_invalid_argument("mailroom: filters of different dialects are not compared");
  }
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_TOPIC_FILTER_HPP

// ---- <mailroom/topic/snapshot.hpp>

#ifndef MAILROOM_TOPIC_SNAPSHOT_HPP
#define MAILROOM_TOPIC_SNAPSHOT_HPP

// A counted object that readers take without a lock while a writer replaces it.
//
// A reader loads the pointer and then counts a reference; in between the writer could drop the last
// one. So a reader says where it is, in one of two counters, while it does these two steps, and a
// writer that has replaced the pointer waits, before it drops the old object, until everybody has
// left who may have seen it. No user code runs between the two steps, so the wait is short.
//
//      reader                                  writer (one at a time)
//      inside[phase] + 1                       pointer: old -> new
//      load the pointer, count a reference     twice: turn phase, wait for inside[old phase] == 0
//      inside[phase] - 1                       drop old
//
// The phase is only there so that the writer's wait ends: readers that come later count elsewhere.
//
// Memory order
//   (D)   Dekker: a reader counts itself and then loads the pointer, the writer replaces the
//         pointer and then reads the counters; all four are seq_cst. A reader that saw the old
//         pointer is seen in its counter, whichever phase it read.
//   (L)   left: the reference counted by a reader -> the writer that sees it gone. Argued: the
//         model checker never lets a reader be seen to leave before it has counted its reference,
//         but the two are relaxed steps on different words, and a machine may let them pass.
//   (N)   new: what the writer put into the object -> the reader that loads its pointer.
//
// Invariants
//   (I1)  any phase will do for a reader; the writer looks at both counters
//   (I2)  only one writer at a time changes the phase and the pointer
//   (I3)  who compares the pointer holds the object that it hopes for, and has seen all of it
//
// Sources: McKenney et al., sleepable read-copy update (the two counters and the phase).

#include <cstddef> // size_t
#include <cstdint> // uint32_t
#include <utility> // move

namespace mailroom::inline MAILROOM_ABI::detail {

/// Knows which readers are between their two steps.
class grace_period {
public:
  /// A reader, from its first step to its last.
  class reader {
  public:
    explicit reader(grace_period& period) noexcept
        : counter_{period.counters_[stack_hint(reader_stripes)]
                       .inside[period.phase_.load(memory_order::relaxed) % 2]} { // (I1)
      counter_.fetch_add(1, memory_order::seq_cst);                              // (D)
    }
    reader(const reader&) = delete;
    reader& operator=(const reader&) = delete;
    ~reader() { counter_.fetch_sub(1, memory_order::release); } // (L)

  private:
    atomic<std::uint32_t>& counter_;
  };

  /// Waits until all readers have left that began before the call.
  ///
  /// Caller    one thread at a time
  /// Progress  blocking: waits for readers, none of which waits for anybody
  void wait_for_readers() noexcept {
    for (int turn = 0; turn != 2; ++turn) {
      const auto phase = phase_.load(memory_order::relaxed); // (I2)
      phase_.store(phase + 1, memory_order::relaxed);        // (I1)
      for (stripe& each : counters_) {
        while (each.inside[phase % 2].load(memory_order::seq_cst) != 0) yield(); // (D) (L)
      }
    }
  }

private:
  struct alignas(cache_line / 2) stripe {
    atomic<std::uint32_t> inside[2];
  };

  stripe counters_[reader_stripes];
  atomic<std::uint32_t> phase_;
};

/// The place where the current object stands.
template <class T>
class snapshot {
public:
  explicit snapshot(ref<T> first) noexcept : owner_{std::move(first)}, current_{owner_.get()} {}

  /// Is this still the current object? The caller holds it, so its address is no other's.
  ///
  /// Caller    anyone
  /// Progress  wait-free: one load
  bool is_current(const ref<T>& held) const noexcept {
    return current_.load(memory_order::relaxed) == held.get(); // (I3)
  }

  /// The current object.
  ///
  /// Caller    anyone
  /// Progress  wait-free: three RMWs
  ref<T> load(grace_period& period) const noexcept {
    const grace_period::reader inside{period};
    return ref<T>{current_.load(memory_order::seq_cst)}; // (D) (N)
  }

  /// Replaces the object, and gives the old one back: it may be dropped after a grace period.
  ///
  /// Caller    one writer at a time
  [[nodiscard]] ref<T> replace(ref<T> next) noexcept {
    current_.exchange(next.get(), memory_order::seq_cst); // (D) (N)
    ref<T> old = std::move(owner_);
    owner_ = std::move(next);
    return old;
  }

  /// The current object, for the writer.
  const ref<T>& owner() const noexcept { return owner_; }

private:
  ref<T> owner_; // (I2)
  atomic<T*> current_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_TOPIC_SNAPSHOT_HPP

// ---- <mailroom/topic/name_table.hpp>

#ifndef MAILROOM_TOPIC_NAME_TABLE_HPP
#define MAILROOM_TOPIC_NAME_TABLE_HPP

// Finds what belongs to a name, without a lock, while a writer adds names.
//
// Open addressing: a name is in the first free place from its hash on. A place is written once.
// When half of the places are taken a table of twice the size takes over; the old ones stay until
// the end, for a reader may still be in one. Together they are no larger than the newest.
//
// A reader in an old table may miss a name that was added since: it then asks the writer's side.
//
// Invariants
//   (I1)  a place, once written, never changes; an entry stays where it is
//   (I2)  one writer at a time
//
// Memory order
//   (N)   new: the entry, and the table with all its places -> the reader that loads the pointer.

#include <cstddef>     // size_t
#include <functional>  // hash
#include <memory>      // make_unique, unique_ptr
#include <string_view> // string_view
#include <utility>     // forward, move
#include <vector>      // vector

namespace mailroom::inline MAILROOM_ABI::detail {

/// Entries have a member name() and a constructor that takes the name first.
template <class Entry>
class name_table {
public:
  name_table() { grow(64); }
  name_table(const name_table&) = delete;
  name_table& operator=(const name_table&) = delete;
  ~name_table() = default;

  /// Caller    anyone
  /// Progress  wait-free
  /// Cost      O(name), and a few looks
  /// Returns   nullptr for a name that is not there, or was added a moment ago
  Entry* find(std::string_view name) const noexcept {
    const table& now = *current_.load(memory_order::acquire); // (N)
    for (std::size_t at = std::hash<std::string_view>{}(name);; ++at) {
      Entry* const entry = now.at(at).load(memory_order::acquire); // (N)
      if (entry == nullptr || entry->name() == name) return entry;
    }
  }

  /// Adds a name that is not there.
  ///
  /// Caller    one writer at a time
  /// Throws    std::bad_alloc and what the entry's constructor throws; nothing is added then
  template <class... Args>
  Entry& add(std::string_view name, Args&&... args) {
    if (entries_.size() * 2 >= tables_.back()->places) grow(tables_.back()->places * 2);
    entries_.push_back(std::make_unique<Entry>(name, std::forward<Args>(args)...));
    tables_.back()->put(*entries_.back());
    return *entries_.back();
  }

  /// All entries, for the writer.
  const std::vector<std::unique_ptr<Entry>>& entries() const noexcept { return entries_; }

private:
  struct table {
    explicit table(std::size_t size)
        : places{size}, slots{std::make_unique<atomic<Entry*>[]>(size)} {}
    atomic<Entry*>& at(std::size_t place) const noexcept { return slots[place & (places - 1)]; }
    void put(Entry& entry) const noexcept {
      std::size_t place = std::hash<std::string_view>{}(entry.name());
      while (at(place).load(memory_order::relaxed) != nullptr) ++place; // (I2)
      at(place).store(&entry, memory_order::release);                   // (N)
    }
    const std::size_t places; // a power of two
    const std::unique_ptr<atomic<Entry*>[]> slots;
  };

  void grow(std::size_t places) {
    auto next = std::make_unique<table>(places);
    for (const auto& entry : entries_) next->put(*entry);
    tables_.push_back(std::move(next));
    current_.store(tables_.back().get(), memory_order::release); // (N)
  }

  std::vector<std::unique_ptr<Entry>> entries_;
  std::vector<std::unique_ptr<table>> tables_;
  atomic<const table*> current_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_TOPIC_NAME_TABLE_HPP

// ---- <mailroom/topic/patience.hpp>

#ifndef MAILROOM_TOPIC_PATIENCE_HPP
#define MAILROOM_TOPIC_PATIENCE_HPP

// How long a call of a topic waits at most.
//
//      hub.publish("a", m)                    as long as it takes
//      hub.publish("a", m, 10ms)              a duration from now on
//      hub.publish("a", m, point)             a point in time, on any clock
//      hub.publish("a", m, token)             until a stop is requested
//      hub.publish("a", m, 10ms, token)       whatever comes first
//
// Decision: one name with a limit behind, not publish_for and publish_until: what is published is
//   an argument of its own, so that nothing can be taken for anything else.

#include <chrono>  // duration, time_point
#include <utility> // move

namespace mailroom::inline MAILROOM_ABI {

namespace detail {

template <class Deadline, stoppable_token S>
struct patience {
  Deadline deadline;
  S token;

  /// Why it is over: stopped or timeout; success while it is not.
  queue_status verdict() const {
    if (token.stop_requested()) return queue_status::stopped;
    return deadline.expired() ? queue_status::timeout : queue_status::success;
  }
};

inline constexpr patience<no_deadline, never_stop> for_ever{};

template <class Rep, class Period, stoppable_token S = never_stop>
auto patience_of(std::chrono::duration<Rep, Period> span, S token = {}) {
  return patience<steady_deadline, S>{steady_deadline{span}, std::move(token)};
}
template <class Clock, class Duration, stoppable_token S = never_stop>
auto patience_of(std::chrono::time_point<Clock, Duration> point, S token = {}) {
  return patience<decltype(deadline_at(point)), S>{deadline_at(point), std::move(token)};
}
template <stoppable_token S>
auto patience_of(S token) {
  return patience<no_deadline, S>{{}, std::move(token)};
}

} // namespace detail

/// A duration, a point in time, a stop token, or one of the first two and a token.
template <class... Limits>
concept wait_limit = requires(Limits... limits) { detail::patience_of(limits...); };

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_TOPIC_PATIENCE_HPP

// ---- <mailroom/topic/delivery.hpp>

#ifndef MAILROOM_TOPIC_DELIVERY_HPP
#define MAILROOM_TOPIC_DELIVERY_HPP

// What a subscriber asks for and what it receives.
//
//      subscription_options   how much may wait for it, and what happens to more; its group
//      delivery               a message with the name that it was published to, its number, and how
//                             many were lost before it
//      handler_failure        what the dispatcher's on_error is told when a handler throws
//
// A handler takes a delivery, or just the message.

#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <exception>   // exception_ptr
#include <string_view> // string_view
#include <type_traits> // is_invocable
#include <utility>     // move

namespace mailroom::inline MAILROOM_ABI {

struct subscription_options {
  std::size_t capacity = 1024;        ///< messages that wait at most
  overflow on_full = overflow::block; ///< what a publish does when they do
  std::string_view group = {};        ///< members of one group share its messages
  const char* name = "";              ///< for statistics and traces; must outlive the subscription
};

/// What a subscriber receives.
template <message T>
struct delivery {
  T value;
  std::uint64_t sequence; ///< counts the messages of the publishing handle, from 0

  /// Messages that the overflow policy discarded, told here for the first time: those before this
  /// one. (Under drop_oldest, a message that is discarded in the very moment in which this one is
  /// taken may be told with this one or the next.) The sum is exact. What overflow::reject refused
  /// was told to the publisher, and is not counted.
  std::uint64_t missed;

  /// The name that it was published to. Lives as long as the delivery, whatever else ends.
  std::string_view topic() const noexcept { return topic_; }

  delivery(T&& message, std::uint64_t number, std::uint64_t lost, std::string_view topic,
           detail::ref<const detail::counted> keeper) noexcept
      : value(std::move(message)), sequence{number}, missed{lost}, topic_{topic},
        keeper_{std::move(keeper)} {}

private:
  std::string_view topic_;
  detail::ref<const detail::counted> keeper_; // what the name lives in
};

/// A handler has thrown.
template <message T>
struct handler_failure {
  const std::exception_ptr& error;
  const T& value;           ///< as the handler has left it
  std::uint64_t sequence;   ///< as in delivery
  std::string_view topic;   ///< likewise
  const char* subscription; ///< its name, from the options; empty for on(), which has none
  std::string_view filter;  ///< and what it was subscribed to
};

namespace detail {

/// A message on its way to one subscriber.
template <class T>
struct envelope {
  T value;
  std::uint64_t sequence;
  std::string_view topic; // lives as long as the routing
  std::uint64_t lost;     // what the subscriber had lost when it was sent
};

template <class F, class T>
concept takes_delivery = std::is_invocable_v<F&, delivery<T>&&>;
template <class F, class T>
concept takes_message = std::is_invocable_v<F&, const T&>;

/// A handler takes a delivery, or just the message.
template <class F, class T>
concept handler_of = takes_delivery<F, T> || takes_message<F, T>;

} // namespace detail
} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_TOPIC_DELIVERY_HPP

// ---- <mailroom/topic/handler_gate.hpp>

#ifndef MAILROOM_TOPIC_HANDLER_GATE_HPP
#define MAILROOM_TOPIC_HANDLER_GATE_HPP

// Lets the handlers of a subscription run until it is cancelled, and waits for those that do.
//
// Use it       never: it is the inside of subscription.
//
//      run_handler --> cancelled? --> count, run, leave --> the last one destroys the handler
//      cancel ------->  refuse, wait until nobody runs
//
// Invariants
//   (I1)  after wait_for_handlers() has returned no handler begins, and none runs but for those
//         that the calling thread is in, and, if it is in one, those excused by (I2)
//   (I2)  a handler that has cancelled is excused until it leaves: others that cancel inside do not
//         wait for it. It stops being excused before it stops running, and is looked at in the
//         opposite order, so nobody is excused for another
//   (I3)  whoever wants to destroy the handler has seen that nobody runs it; one of them does
//   (I4)  who begins to hand out messages while others wait for the end of that need not be seen
//
// Memory order
//   (D)   Dekker: whoever runs a handler counts itself and then looks at cancelled; refuse() sets
//         cancelled and then the count is looked at; all four are seq_cst. One sees the other. And:
//         whoever changes what others wait for does so by a seq_cst RMW, then looks for sleepers.
//   (L)   left: what a handler did -> the cancel() that waited for it; what was done while messages
//         were handed out -> who waited for the end of that.

#include <cstddef> // size_t
#include <cstdint> // uint32_t
#include <utility> // forward

namespace mailroom::inline MAILROOM_ABI::detail {

/// A handler that the current thread is running, and the one around it.
struct handler_frame {
  const void* owner;
  handler_frame* outer;
  bool has_cancelled = false; // its own subscription
};

/// Who has handlers. The base of a subscriber, of which it is the half that knows no message.
class handler_gate : public counted {
public:
  bool is_cancelled() const noexcept { return cancelled_.load(memory_order::seq_cst) != 0; } // (D)

  /// Lets no handler begin any more.
  void refuse() noexcept { cancelled_.store(1, memory_order::seq_cst); } // (D)

  /// Waits for the handlers that run in other threads, behind refuse(). A handler that cancels its
  /// own subscription is itself not waited for by others who do the same. (I1)
  ///
  /// Returns   whether nobody runs a handler now, not even this thread
  bool wait_for_handlers() noexcept;

  /// Is this thread in a handler of the subscription?
  bool runs_here() const noexcept;

  /// Waits for those who hand out messages.
  ///
  /// Caller    anyone but one of them
  void wait_for_runs() noexcept;

  /// Destroys the handler, if nobody has yet. Whoever has seen, behind refuse(), that none runs
  /// calls it: the handler may own what keeps the subscriber alive. Who comes in later sees the
  /// cancellation and does not touch it.
  void drop_handler_once() noexcept {
    if (dropped_.exchange(1, memory_order::relaxed) == 0) drop_handler(); // (I3)
  }

protected:
  /// Hands out messages, as long as it lives.
  class ongoing_run {
  public:
    explicit ongoing_run(handler_gate& owner) noexcept : of_{owner} {
      of_.runs_.fetch_add(1, memory_order::relaxed); // (I4)
    }
    ongoing_run(const ongoing_run&) = delete;
    ongoing_run& operator=(const ongoing_run&) = delete;
    ~ongoing_run() {
      of_.runs_.fetch_sub(1, memory_order::seq_cst); // (D) (L)
      of_.idle_.notify_all();
    }

  private:
    handler_gate& of_;
  };

  /// Runs `call` as a handler, unless the subscription is cancelled.
  ///
  /// Returns   success or closed
  template <class F>
  queue_status run_handler(F&& call) {
    const running_handler frame{*this};
    if (is_cancelled()) return queue_status::closed;
    std::forward<F>(call)();
    return queue_status::success;
  }

private:
  /// Counts a handler while it runs, and remembers in which thread.
  struct running_handler {
    handler_gate& of;
    handler_frame frame;
    explicit running_handler(handler_gate& owner) noexcept;
    running_handler(const running_handler&) = delete;
    running_handler& operator=(const running_handler&) = delete;
    ~running_handler();
  };

  virtual void drop_handler() noexcept = 0;
  bool excuse_own_handlers() noexcept;

  atomic<std::uint32_t> cancelled_;
  atomic<std::uint32_t> dropped_;
  atomic<std::size_t> running_;
  atomic<std::size_t> excused_; // of these, how many have called cancel() themselves
  atomic<std::size_t> runs_;
  event_count<wait_policy::park> idle_;
};

// ---- Definitions, in the order of the class

inline bool handler_gate::wait_for_handlers() noexcept {
  const bool is_inside = excuse_own_handlers();
  (void)idle_.await(no_deadline{}, never_stop{}, [this, is_inside]() noexcept {
    const std::size_t running = running_.load(memory_order::seq_cst);                 // (D) (L)
    const std::size_t excused = is_inside ? excused_.load(memory_order::relaxed) : 0; // (I2)
    return running <= excused ? queue_status::success : queue_status::empty;
  });
  return !is_inside;
}

inline bool handler_gate::runs_here() const noexcept {
  const auto* frame = innermost_handler;
  while (frame != nullptr && frame->owner != this) frame = frame->outer;
  return frame != nullptr;
}

inline void handler_gate::wait_for_runs() noexcept {
  (void)idle_.await(no_deadline{}, never_stop{}, [this]() noexcept {
    const std::size_t runs = runs_.load(memory_order::acquire); // (L)
    return runs == 0 ? queue_status::success : queue_status::empty;
  });
}

inline handler_gate::running_handler::running_handler(handler_gate& owner) noexcept
    : of{owner}, frame{&owner, innermost_handler} {
  innermost_handler = &frame;
  of.running_.fetch_add(1, memory_order::seq_cst); // (D)
}

inline handler_gate::running_handler::~running_handler() {
  innermost_handler = frame.outer;
  if (frame.has_cancelled) of.excused_.fetch_sub(1, memory_order::relaxed); // (I2)
  const bool is_over = of.is_cancelled(); // before leaving, so that nobody comes in after us
  const bool is_last = of.running_.fetch_sub(1, memory_order::seq_cst) == 1; // (D) (L)
  of.idle_.notify_all();
  if (is_over && is_last) of.drop_handler_once();
}

/// Returns   whether this thread is in a handler of the subscription
inline bool handler_gate::excuse_own_handlers() noexcept {
  bool is_inside = false;
  std::size_t added = 0;
  for (auto* frame = innermost_handler; frame != nullptr; frame = frame->outer) {
    if (frame->owner != this) continue;
    is_inside = true;
    added += frame->has_cancelled ? 0 : 1;
    frame->has_cancelled = true;
  }
  if (added != 0) {
    excused_.fetch_add(added, memory_order::seq_cst); // (D)
    idle_.notify_all();
  }
  return is_inside;
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_TOPIC_HANDLER_GATE_HPP

// ---- <mailroom/topic/subscriber.hpp>

#ifndef MAILROOM_TOPIC_SUBSCRIBER_HPP
#define MAILROOM_TOPIC_SUBSCRIBER_HPP

// A subscription as the publishers see it: somebody to offer a message to.
//
// Use it       never: it is the inside of subscription and dispatcher.
//
//      queued_subscriber   a mailbox; the messages wait there for pop, try_pop or run
//      direct_subscriber   a handler, which runs in the publisher's thread

#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <exception>   // current_exception
#include <string>      // string
#include <string_view> // string_view
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI::detail {

template <class T>
class subscriber;
template <class T>
class queued_subscriber;

/// May the message be moved out of the envelope?
enum class transfer : unsigned char { copy, move };

template <class T>
using error_hook = hook<const handler_failure<T>&>;

/// Who knows the subscribers, can forget one, and is told when a handler throws.
template <class T>
class subscriber_list : public counted {
public:
  explicit subscriber_list(error_hook<T> told) noexcept : on_error{std::move(told)} {}
  /// Gives it no message any more; the one forgets it, the other knows it while it is emptied.
  virtual void remove(subscriber<T>& gone) noexcept = 0;
  virtual void retire(subscriber<T>& ended) noexcept = 0;

  const error_hook<T> on_error;
};

/// The group of a subscription. In mqtt a filter may name one: the filter is part of it then, so
/// that `$share/g/a/+` and `$share/g/#` are two groups.
///
/// Throws    std::invalid_argument when both name one
inline std::string group_for(const topic_filter& filter, const subscription_options& options) {
  if (filter.group().empty()) return std::string{options.group};
  if (!options.group.empty()) {
    throw_invalid_argument("mailroom: a group in the filter and another one in the options");
  }
  return std::string{filter.pattern()};
}

/// One subscription, as the publishers see it.
template <class T>
class subscriber : public handler_gate {
public:
  subscriber(topic_filter wanted, const subscription_options& options, ref<subscriber_list<T>> list)
      : filter_{std::move(wanted)}, group_{group_for(filter_, options)}, name_{options.name},
        list_{std::move(list)} {}

  const topic_filter& filter() const noexcept { return filter_; }
  const std::string& group() const noexcept { return group_; }
  const char* name() const noexcept { return name_; }

  /// Gives the message to the subscriber, without waiting for room.
  ///
  /// Throws    what a handler or the copy of a message throws
  /// Returns   success; full; dropped; closed. The envelope keeps its message unless success
  virtual queue_status offer(envelope<T>& sent, transfer how, std::size_t& dropped) = 0;

  /// The subscriber, if it is one with a mailbox.
  virtual queued_subscriber<T>* queue() noexcept { return nullptr; }

  /// Can it still get new messages?
  virtual bool is_open() const noexcept = 0;

  /// Ends the intake, and waits until what is queued was handed out by those who do that; if
  /// nobody does, or this thread, does not wait.
  virtual void drain() noexcept = 0;

  /// Ends the intake. What is queued stays.
  virtual void close() noexcept = 0;

  /// The dispatcher ends: first all are told, so that none waits for another, then each is waited
  /// for. A mailbox stays until it is empty; a handler must not run any more.
  virtual void announce_end() noexcept = 0;
  virtual void finish() noexcept = 0;

  /// Ends everything, and waits for the handlers that run in other threads.
  void cancel() noexcept {
    this->refuse();
    close();
    list_->remove(*this);
    const bool nobody_runs = this->wait_for_handlers();
    drop_messages();
    if (nobody_runs) this->drop_handler_once();
  }

protected:
  /// Gets no message any more; what is queued is still to be taken.
  void retire() noexcept { list_->retire(*this); }

  /// Calls a handler with a message. What it throws goes to the dispatcher's on_error, if there is
  /// one.
  template <class Call>
  void call_handler([[maybe_unused]] const T& value, [[maybe_unused]] std::uint64_t sequence,
                    [[maybe_unused]] std::string_view topic, Call&& call) {
#if MAILROOM_EXCEPTIONS
    if (list_->on_error) {
      try {
        std::forward<Call>(call)();
      } catch (...) {
        list_->on_error(
            {std::current_exception(), value, sequence, topic, name_, filter_.pattern()});
      }
      return;
    }
#endif
    std::forward<Call>(call)();
  }

private:
  /// Destroys what is queued.
  virtual void drop_messages() noexcept = 0;

  const topic_filter filter_;
  const std::string group_;
  const char* const name_;
  const ref<subscriber_list<T>> list_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_TOPIC_SUBSCRIBER_HPP

// ---- <mailroom/topic/queued_subscriber.hpp>

#ifndef MAILROOM_TOPIC_QUEUED_SUBSCRIBER_HPP
#define MAILROOM_TOPIC_QUEUED_SUBSCRIBER_HPP

// A subscriber with a mailbox of its own, where its messages wait for pop, try_pop or run.
//
// Use it       never: it is the inside of subscription.
//
// Invariants
//   (I1)  a counter for statistics orders nothing

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <optional> // optional
#include <utility>  // as_const, move

namespace mailroom::inline MAILROOM_ABI::detail {

/// A subscriber with a mailbox.
template <class T>
class queued_subscriber final : public subscriber<T> {
public:
  queued_subscriber(topic_filter wanted, const subscription_options& options,
                    ref<subscriber_list<T>> list)
      : subscriber<T>{std::move(wanted), options, std::move(list)}, on_full_{options.on_full},
        box_{mailbox_options{options.capacity, options.on_full, options.name}} {}

  queue_status offer(envelope<T>& sent, transfer how, std::size_t& dropped) override {
    sent.lost = missed();
    counted_loss lost{*this, dropped};
    for (;;) {
      const queue_status status = how == transfer::move
                                      ? box_.try_push(std::move(sent), lost.messages)
                                      : box_.try_push(std::as_const(sent), lost.messages);
      if (status != queue_status::busy) return status;
      yield();
    }
  }
  queued_subscriber* queue() noexcept override { return this; }

  /// The same, but waits for room. Only if full is worth waiting on.
  ///
  /// Returns   success; closed; timeout; stopped
  template <class Deadline, stoppable_token S>
  queue_status offer_until(envelope<T>& sent, transfer how, const Deadline& deadline,
                           const S& token) {
    sent.lost = missed();
    if (how == transfer::copy) {
      return mailbox_access::push_until(box_, std::as_const(sent), deadline, token);
    }
    return mailbox_access::push_until(box_, std::move(sent), deadline, token);
  }

  /// Is it? Not for who is in a handler of it: that would wait for itself.
  bool is_worth_waiting() const noexcept {
    return on_full_ == overflow::block && is_open() && !this->runs_here();
  }
  bool blocks() const noexcept { return on_full_ == overflow::block; }

  /// Is there room, so that an offer would not have to wait or drop?
  bool has_room() const noexcept { return box_.size_approx() < box_.capacity(); }

  /// How many messages wait?
  std::size_t depth() const noexcept { return box_.size_approx(); }

  /// Ends the intake, and waits until all messages are taken; but not in a handler of its own,
  /// which keeps this thread from taking them.
  ///
  /// Returns   closed; timeout; stopped
  template <class Deadline, stoppable_token S>
  queue_status close_and_wait(const Deadline& deadline, const S& token) {
    if (this->runs_here()) return queue_status::closed;
    return mailbox_access::close_and_wait_until(box_, deadline, token);
  }

  void drain() noexcept override {
    box_.close();
    this->retire();
    if (!this->runs_here()) this->wait_for_runs();
  }
  bool is_open() const noexcept override { return !box_.is_closed(); }
  void close() noexcept override { box_.close(); }
  void announce_end() noexcept override { box_.close(); }
  void finish() noexcept override {}

  template <stoppable_token S>
  std::optional<delivery<T>> pop(S token) {
    auto taken = box_.pop(token);
    if (!taken || this->is_cancelled()) return std::nullopt;
    return open(std::move(*taken));
  }

  expected<delivery<T>, queue_status> try_pop() {
    auto taken = box_.try_pop();
    if (this->is_cancelled()) return unexpected{queue_status::closed};
    if (!taken) return unexpected{taken.error()};
    return open(std::move(*taken));
  }

  template <class F, stoppable_token S>
  queue_status run(F& handler, S token) {
    const typename handler_gate::ongoing_run here{*this};
    return box_.run(
        [&](envelope<T>&& taken) { (void)this->run_handler([&] { hand_over(handler, taken); }); },
        token);
  }

  std::uint64_t missed() const noexcept { return lost_.load(memory_order::relaxed); } // (I1)

private:
  template <class F>
  void hand_over(F& handler, envelope<T>& taken) {
    if constexpr (takes_delivery<F, T>) {
      delivery<T> next = open(std::move(taken));
      this->call_handler(next.value, next.sequence, next.topic(),
                         [&] { handler(std::move(next)); });
    } else {
      this->call_handler(taken.value, taken.sequence, taken.topic,
                         [&] { handler(std::as_const(taken.value)); });
    }
  }

  void drop_messages() noexcept override { box_.close(discard); }
  void drop_handler() noexcept override {}

  /// Messages that the policy discards during an offer; counted however the offer ends.
  struct counted_loss {
    queued_subscriber& of;
    std::size_t& told;
    std::size_t messages = 0;
    ~counted_loss() {
      told += messages;
      if (messages != 0) of.lost_.fetch_add(messages, memory_order::relaxed); // (I1)
    }
  };

  /// What was lost before this message and has not been told: under drop_oldest what was discarded
  /// until now, else what had been refused when the message was sent.
  delivery<T> open(envelope<T>&& taken) noexcept {
    const std::uint64_t until = on_full_ == overflow::drop_oldest ? missed() : taken.lost;
    std::uint64_t told = told_.load(memory_order::relaxed);                            // (I1)
    while (told < until && !told_.compare_exchange(told, until, memory_order::relaxed, // (I1)
                                                   memory_order::relaxed)) {           // (I1)
    }
    return {std::move(taken.value), taken.sequence, told < until ? until - told : 0, taken.topic,
            ref<const counted>{this}};
  }

  const overflow on_full_;
  mailbox<envelope<T>> box_;
  atomic<std::uint64_t> lost_;
  atomic<std::uint64_t> told_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_TOPIC_QUEUED_SUBSCRIBER_HPP

// ---- <mailroom/topic/direct_subscriber.hpp>

#ifndef MAILROOM_TOPIC_DIRECT_SUBSCRIBER_HPP
#define MAILROOM_TOPIC_DIRECT_SUBSCRIBER_HPP

// A subscriber whose handler runs in the publisher's thread.
//
// Use it       never: it is the inside of subscription.

#include <cstddef>  // size_t
#include <optional> // optional
#include <utility>  // as_const, forward, in_place, move

namespace mailroom::inline MAILROOM_ABI::detail {

/// A subscriber whose handler runs in the publisher's thread.
template <class T, class F>
class direct_subscriber final : public subscriber<T> {
public:
  template <class G>
  direct_subscriber(topic_filter wanted, ref<subscriber_list<T>> list, G&& handler)
      : subscriber<T>{std::move(wanted), subscription_options{}, std::move(list)},
        handler_(std::in_place, std::forward<G>(handler)) {}

  queue_status offer(envelope<T>& sent, transfer, std::size_t&) override {
    return this->run_handler([&] {
      if constexpr (takes_delivery<F, T>) {
        delivery<T> next{T(sent.value), sent.sequence, 0, sent.topic, ref<const counted>{this}};
        this->call_handler(next.value, sent.sequence, sent.topic,
                           [&] { (*handler_)(std::move(next)); });
      } else {
        this->call_handler(sent.value, sent.sequence, sent.topic,
                           [&] { (*handler_)(std::as_const(sent.value)); });
      }
    });
  }
  void drain() noexcept override { this->cancel(); }
  bool is_open() const noexcept override { return !this->is_cancelled(); }
  void close() noexcept override {}
  void announce_end() noexcept override { this->refuse(); }
  void finish() noexcept override { this->cancel(); }

private:
  void drop_messages() noexcept override {}
  void drop_handler() noexcept override { handler_.reset(); }

  std::optional<F> handler_; // none once cancelled
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_TOPIC_DIRECT_SUBSCRIBER_HPP

// ---- <mailroom/topic/destinations.hpp>

#ifndef MAILROOM_TOPIC_DESTINATIONS_HPP
#define MAILROOM_TOPIC_DESTINATIONS_HPP

// Who gets the messages of one topic, and how a message is given to all of them.
//
// Use it       never: it is the inside of dispatcher.
//
//      destinations: [ loner | loner | group: a, b ]
//      publish       first to each that need not be waited for, then to those that block
//
// Invariants
//   (I1)  a list never changes once publishers can see it
//   (I2)  a place in a round orders nothing

#include <bit>         // countr_zero
#include <chrono>      // milliseconds
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <exception>   // current_exception, exception_ptr, rethrow_exception
#include <string>      // string
#include <string_view> // string_view
#include <utility>     // forward
#include <vector>      // vector

namespace mailroom::inline MAILROOM_ABI {

/// What became of a published message.
struct publish_result {
  std::size_t matched;   ///< destinations: subscriptions of their own, and groups
  std::size_t delivered; ///< of these, how many have it
  std::size_t dropped;   ///< messages, this or older ones, that overflow policies discarded for it
  std::size_t refused = 0; ///< of those that matched, how many had no room: their policy is reject,
                           ///< the wait for them has ended, or they wait for this thread's handler
};

namespace detail {

/// The members of a group take turns. The place in the round outlives every list.
struct round : counted {
  explicit round(std::string_view group) : name{group} {}
  const std::string name;
  atomic<std::size_t> turn;
};

/// One or several subscribers of which one gets the message.
template <class T>
struct destination {
  std::vector<ref<subscriber<T>>> members;
  ref<round> turns; // none for a loner

  /// Offers the message to the member whose turn it is; to the next if that one has no room, or has
  /// left.
  ///
  /// Returns   what the member answered; busy for full, if that is worth waiting for
  queue_status offer(envelope<T>& sent, transfer how, std::size_t& dropped) const;

  /// Waits until one of them has it, or the limit is over; for one member of several a millisecond
  /// at a time, by turns.
  ///
  /// Returns   what the member answered; timeout; stopped
  template <class Deadline, stoppable_token S>
  queue_status await(envelope<T>& sent, transfer how, const patience<Deadline, S>& limit,
                     std::size_t& dropped) const;

private:
  queue_status offer_from(std::size_t first, envelope<T>& sent, transfer how,
                          std::size_t& dropped) const;
  std::size_t first_with_room(std::size_t turn) const noexcept;
  queued_subscriber<T>* worth_waiting(std::size_t turn) const noexcept;
};

/// All destinations of one topic.
template <class T>
struct destinations : counted {
  std::vector<destination<T>> all;

  /// Gives the message to all of them: first to those that need no waiting, then, one after the
  /// other, to those that block, until the patience is over. Moves it to the last one.
  ///
  /// Throws    the first exception of a handler, or of a copy of the message, after everybody else
  ///           was served
  template <class Deadline, stoppable_token S>
  publish_result publish(envelope<T>& sent, const patience<Deadline, S>& limit) const;

private:
  static void count(queue_status status, publish_result& result) noexcept;
};

/// Runs `call`, and keeps the first exception for later.
template <class F>
void run_guarded(F&& call, [[maybe_unused]] std::exception_ptr& first) {
#if MAILROOM_EXCEPTIONS
  try {
    std::forward<F>(call)();
  } catch (...) {
    if (!first) first = std::current_exception();
  }
#else
  std::forward<F>(call)();
#endif
}

// ---- Definitions, in the order of the classes

template <class T>
queue_status destination<T>::offer(envelope<T>& sent, transfer how, std::size_t& dropped) const {
  if (members.size() == 1) return offer_from(0, sent, how, dropped);
  const std::size_t turn = turns->turn.fetch_add(1, memory_order::relaxed); // (I2)
  return offer_from(first_with_room(turn), sent, how, dropped);
}

template <class T>
template <class Deadline, stoppable_token S>
queue_status destination<T>::await(envelope<T>& sent, transfer how,
                                   const patience<Deadline, S>& limit, std::size_t& dropped) const {
  constexpr std::chrono::milliseconds moment{1};
  for (std::size_t turn = 0;; ++turn) {
    const queue_status verdict = limit.verdict(); // before the attempts: room comes before the end
    queued_subscriber<T>* const one =
        verdict == queue_status::success ? worth_waiting(turn) : nullptr;
    if (one != nullptr && members.size() == 1) {
      return one->offer_until(sent, how, limit.deadline, limit.token);
    }
    queue_status status = queue_status::timeout;
    if (one != nullptr) status = one->offer_until(sent, how, steady_deadline{moment}, limit.token);
    if (status != queue_status::success) status = offer_from(turn, sent, how, dropped);
    if (status != queue_status::busy) return status;
    if (verdict != queue_status::success) return verdict;
  }
}

/// Members that have left are passed over, also one that was found full before it left.
template <class T>
queue_status destination<T>::offer_from(std::size_t first, envelope<T>& sent, transfer how,
                                        std::size_t& dropped) const {
  queue_status result = queue_status::closed;
  for (std::size_t i = 0; i != members.size(); ++i) {
    subscriber<T>& member = *members[(first + i) % members.size()];
    const queue_status status = member.offer(sent, how, dropped);
    if (status == queue_status::closed) continue;
    if (status != queue_status::full || !member.queue()->blocks()) return status;
    if (member.runs_here()) result = status;
  }
  return worth_waiting(first) != nullptr ? queue_status::busy : result;
}

template <class T>
std::size_t destination<T>::first_with_room(std::size_t turn) const noexcept {
  for (std::size_t i = 0; i != members.size(); ++i) {
    const std::size_t candidate = (turn + i) % members.size();
    if (!members[candidate]->is_open()) continue;        // it has left
    const auto* const box = members[candidate]->queue(); // none: a handler, which needs no room
    if (box == nullptr || box->has_room()) return candidate;
  }
  return turn % members.size();
}

/// The first from `turn` on that blocks, and may be waited for.
template <class T>
queued_subscriber<T>* destination<T>::worth_waiting(std::size_t turn) const noexcept {
  for (std::size_t i = 0; i != members.size(); ++i) {
    auto* const one = members[(turn + i) % members.size()]->queue();
    if (one != nullptr && one->is_worth_waiting()) return one;
  }
  return nullptr;
}

template <class T>
void destinations<T>::count(queue_status status, publish_result& result) noexcept {
  switch (status) {
  case queue_status::success: ++result.delivered; break;
  case queue_status::closed: --result.matched; break; // it has left meanwhile
  case queue_status::full:
  case queue_status::timeout:
  case queue_status::stopped: ++result.refused; break;
  default: break; // busy: later; dropped is counted in messages
  }
}

template <class T>
template <class Deadline, stoppable_token S>
publish_result destinations<T>::publish(envelope<T>& sent,
                                        const patience<Deadline, S>& limit) const {
  publish_result result{all.size(), 0, 0};
  std::exception_ptr failure;
  std::uint64_t waiting = 0; // a bit for each of the first 64 that has no room and blocks
  for (std::size_t i = 0; i != all.size(); ++i) {
    const auto how = i + 1 == all.size() && waiting == 0 ? transfer::move : transfer::copy;
    run_guarded(
        [&] {
          queue_status status = all[i].offer(sent, how, result.dropped);
          if (status == queue_status::busy) {
            if (i < 64) {
              waiting |= std::uint64_t{1} << i;
            } else {
              status = all[i].await(sent, how, limit, result.dropped);
            }
          }
          count(status, result);
        },
        failure);
  }
  while (waiting != 0) {
    const auto& slow = all[static_cast<std::size_t>(std::countr_zero(waiting))];
    waiting &= waiting - 1;
    run_guarded(
        [&] {
          const auto how = waiting == 0 ? transfer::move : transfer::copy;
          count(slow.await(sent, how, limit, result.dropped), result);
        },
        failure);
  }
#if MAILROOM_EXCEPTIONS
  if (failure) std::rethrow_exception(failure);
#endif
  return result;
}

} // namespace detail
} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_TOPIC_DESTINATIONS_HPP

// ---- <mailroom/topic/routing.hpp>

#ifndef MAILROOM_TOPIC_ROUTING_HPP
#define MAILROOM_TOPIC_ROUTING_HPP

// Who gets what: for every topic that was named, the list of its destinations.
//
// Use it       never: it is the inside of dispatcher.
//
//      subscribers ---- filters ---+        (one lock, taken to subscribe, cancel, add a name)
//                                  v
//      name table:  "orders.eu" -> route -> destinations: [ loner | loner | group: a, b ]
//                   "orders.us" -> route -> destinations: [ loner ]         (no lock to read)
//
// Matching happens when a name is added or a subscription changes, not when a message is published.
// A change rebuilds the lists of the topics that its filter matches, and no others.
//
// Invariants
//   (I1)  a list never changes; a change replaces it. A subscriber that is gone may stand in a list
//         that somebody still holds: its mailbox is closed and refuses
//   (I2)  the members of one group that match a topic are one destination, whatever their filters
//         (the rule of NATS queue groups: one group, one delivery)
//   (I3)  a number in a sequence orders nothing
//   (I4)  what the lock protects is touched with the lock held; objects of users are destroyed, and
//         their code runs, without it

#include <algorithm>   // any_of, find_if, none_of
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <exception>   // exception_ptr, rethrow_exception
#include <string>      // string
#include <string_view> // string_view
#include <utility>     // move, pair
#include <vector>      // erase_if, vector

namespace mailroom::inline MAILROOM_ABI {

/// What was left when the wait for the end of a dispatcher was over.
struct close_report {
  queue_status status;       ///< closed: everything is taken or gone, but for what only the caller
                             ///< could take, in its own handler; or why not: timeout, stopped
  std::size_t subscriptions; ///< with messages in their mailbox
  std::size_t messages;      ///< in all of these
};

namespace detail {

/// One topic.
template <class T>
class route {
public:
  route(std::string_view name, ref<const destinations<T>> first)
      : list{std::move(first)}, name_{name} {}

  std::string_view name() const noexcept { return name_; }

  /// The number of a message that is published by name, not through a handle.
  std::uint64_t next_sequence() noexcept {
    return sequence_.fetch_add(1, memory_order::relaxed); // (I3)
  }

  snapshot<const destinations<T>> list;

private:
  const std::string name_;
  atomic<std::uint64_t> sequence_;
};

/// The routes and the subscribers of one dispatcher. Lives as long as anybody needs a part of it.
template <class T>
class routing final : public subscriber_list<T> {
public:
  explicit routing(dialect rules, error_hook<T> told = {})
      : subscriber_list<T>{std::move(told)}, rules_{rules} {}

  dialect rules() const noexcept { return rules_; }
  grace_period& period() noexcept { return period_; }

  /// The route of a name; made if there is none.
  ///
  /// Progress  wait-free for a known name; else blocking: takes the lock
  /// Throws    std::invalid_argument for a bad name; std::bad_alloc
  route<T>& intern(std::string_view name);

  /// Would a message to this topic have a destination?
  bool is_wanted(std::string_view name) const noexcept;

  /// Adds a subscriber to all lists that it belongs to, or, if that throws, to none; finishes it if
  /// the routing is closed.
  void add(const ref<subscriber<T>>& added);
  void remove(subscriber<T>& gone) noexcept override;
  void retire(subscriber<T>& ended) noexcept override;

  /// Gives nobody a message any more, and accepts no more subscribers. Their mailboxes are closed,
  /// not emptied.
  void close() noexcept;

  /// The same, and waits until the mailboxes are empty.
  ///
  /// Throws    std::bad_alloc; it is closed then
  template <class Deadline, stoppable_token S>
  close_report close(const patience<Deadline, S>& limit);

private:
  using list = ref<const destinations<T>>;

  list build(std::string_view name);
  ref<round> round_of(const std::string& group);
  using rebuilt = std::vector<std::pair<route<T>*, list>>;
  using subscribers = std::vector<ref<subscriber<T>>>;
  [[nodiscard]] rebuilt rebuild_matching(const topic_filter& filter);
  [[nodiscard]] rebuilt lists_without(const subscriber<T>& gone) noexcept;
  static ref<subscriber<T>> take(subscribers& from, const subscriber<T>& which) noexcept;
  void reserve_ends();

  const dialect rules_;
  mutable mutex lock_;
  mutable grace_period period_;
  name_table<route<T>> routes_;    // (I4), but for find
  subscribers subscribers_;        // (I4)
  subscribers ended_;              // (I4): drained or closed, those with a mailbox
  std::vector<ref<round>> rounds_; // (I4)
  bool closed_ = false;            // (I4)
  const list nobody_ = make_counted<destinations<T>>();
};

// ---- Definitions, in the order of the classes

template <class T>
route<T>& routing<T>::intern(std::string_view name) {
  if (route<T>* known = routes_.find(name)) return *known;
  check_topic(name, rules_);
  const lock_guard locked{lock_};
  if (route<T>* known = routes_.find(name)) return *known;
  return routes_.add(name, build(name));
}

template <class T>
bool routing<T>::is_wanted(std::string_view name) const noexcept {
  if (route<T>* known = routes_.find(name)) return !known->list.load(period_)->all.empty();
  const lock_guard locked{lock_};
  return std::any_of(subscribers_.begin(), subscribers_.end(),
                     [&](const auto& each) { return each->filter().matches(name); });
}

template <class T>
void routing<T>::add(const ref<subscriber<T>>& added) {
  std::exception_ptr failure;
  rebuilt old; // dropped after the lock
  {
    const lock_guard locked{lock_};
    if (!closed_) {
      subscribers_.push_back(added);
      run_guarded(
          [&] {
            reserve_ends();
            old = rebuild_matching(added->filter());
          },
          failure);
      if (!failure) return;
      subscribers_.pop_back();
    }
  }
#if MAILROOM_EXCEPTIONS
  if (failure) std::rethrow_exception(failure);
#endif
  added->announce_end(); // the dispatcher is closed
  added->finish();
}

/// Makes room for all subscribers among those that have ended, so that to end needs no memory.
template <class T>
void routing<T>::reserve_ends() {
  const std::size_t most = ended_.size() + subscribers_.size();
  if (ended_.capacity() < most) ended_.reserve(2 * most);
}

template <class T>
void routing<T>::remove(subscriber<T>& gone) noexcept {
  rebuilt old;             // dropped after the lock
  ref<subscriber<T>> last; // likewise
  const lock_guard locked{lock_};
  last = take(ended_, gone);
  if (last) return;
  last = take(subscribers_, gone);
  if (last) old = lists_without(gone);
}

template <class T>
void routing<T>::retire(subscriber<T>& ended) noexcept {
  rebuilt old; // dropped after the lock
  const lock_guard locked{lock_};
  auto last = take(subscribers_, ended);
  if (!last) return;
  ended_.push_back(std::move(last)); // there is room: see add()
  old = lists_without(ended);
}

/// Allocates nothing, so a list is dropped under the lock; but its subscribers are not, for `gone`
/// holds them too.
template <class T>
void routing<T>::close() noexcept {
  subscribers gone;
  {
    const lock_guard locked{lock_};
    if (closed_) return;
    closed_ = true;
    for (const auto& each : subscribers_) {
      if (each->queue() != nullptr) ended_.push_back(each); // there is room: see add()
    }
    gone.swap(subscribers_);
    for (const auto& each : routes_.entries()) {
      const list old = each->list.replace(nobody_);
      period_.wait_for_readers();
    }
  }
  for (const auto& each : gone) each->announce_end();
  for (const auto& each : gone) each->finish();
}

template <class T>
template <class Deadline, stoppable_token S>
close_report routing<T>::close(const patience<Deadline, S>& limit) {
  close();
  subscribers ended;
  {
    const lock_guard locked{lock_};
    ended = ended_;
  }
  close_report result{queue_status::closed, 0, 0};
  for (const auto& each : ended) {
    const queue_status status = each->queue()->close_and_wait(limit.deadline, limit.token);
    if (result.status == queue_status::closed) result.status = status;
  }
  for (const auto& each : ended) {
    const std::size_t depth = each->queue()->depth();
    result.subscriptions += depth == 0 ? 0 : 1;
    result.messages += depth;
  }
  return result;
}

/// Takes a subscriber out of a list. Returns it, or none.
template <class T>
ref<subscriber<T>> routing<T>::take(subscribers& from, const subscriber<T>& which) noexcept {
  const auto is = [&](const auto& each) { return each.get() == &which; };
  const auto found = std::find_if(from.begin(), from.end(), is);
  if (found == from.end()) return {};
  auto taken = std::move(*found);
  from.erase(found);
  return taken;
}

/// Rebuilds the lists that `gone` is in. If there is no memory for a new one it stays in the old
/// one, where it refuses. Returns the old ones.
template <class T>
typename routing<T>::rebuilt routing<T>::lists_without(const subscriber<T>& gone) noexcept {
  std::erase_if(rounds_, [&](const auto& turns) {
    return std::none_of(subscribers_.begin(), subscribers_.end(),
                        [&](const auto& each) { return each->group() == turns->name; });
  });
  rebuilt old;
  std::exception_ptr no_memory;
  run_guarded([&] { old = rebuild_matching(gone.filter()); }, no_memory);
  return old;
}

/// The destinations of a name, from the subscribers of this moment.
template <class T>
ref<const destinations<T>> routing<T>::build(std::string_view name) {
  auto made = make_counted<destinations<T>>();
  for (const auto& each : subscribers_) {
    if (!each->filter().matches(name)) continue;
    auto found = made->all.end();
    if (!each->group().empty()) {
      found = std::find_if(made->all.begin(), made->all.end(), [&](const auto& candidate) {
        return candidate.turns && candidate.turns->name == each->group(); // (I2)
      });
    }
    if (found != made->all.end()) {
      found->members.push_back(each);
    } else {
      made->all.push_back({{each}, each->group().empty() ? ref<round>{} : round_of(each->group())});
    }
  }
  return made;
}

template <class T>
ref<round> routing<T>::round_of(const std::string& group) {
  for (const auto& turns : rounds_) {
    if (turns->name == group) return turns;
  }
  return rounds_.emplace_back(make_counted<round>(group));
}

/// Puts new lists in place for the topics that the filter matches: for all of them, or for none.
/// Returns the old ones.
template <class T>
typename routing<T>::rebuilt routing<T>::rebuild_matching(const topic_filter& filter) {
  rebuilt lists;
  if (filter.is_literal()) {
    route<T>* const known = routes_.find(filter.pattern());
    if (known != nullptr) lists.emplace_back(known, build(known->name()));
  } else {
    for (const auto& each : routes_.entries()) {
      if (filter.matches(each->name())) lists.emplace_back(each.get(), build(each->name()));
    }
  }
  for (auto& [at, place] : lists) place = at->list.replace(std::move(place));
  if (!lists.empty()) period_.wait_for_readers();
  return lists;
}

} // namespace detail
} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_TOPIC_ROUTING_HPP

// ---- <mailroom/topic/subscription.hpp>

#ifndef MAILROOM_TOPIC_SUBSCRIPTION_HPP
#define MAILROOM_TOPIC_SUBSCRIPTION_HPP

// The right to receive what is published to the topics that a filter matches; given back when it is
// destroyed or cancelled. Made by dispatcher.
//
//      dispatcher::subscribe   a subscription with a mailbox of its own: pop, try_pop, run
//      dispatcher::on          a subscription with a handler, which runs in the publisher's thread
//
// A slow subscriber is its own problem: its mailbox has a capacity and an overflow policy. What the
// policy discards is told with the next delivery (missed) and to the publisher (publish_result).

#include <cstdint>  // uint64_t
#include <optional> // optional
#include <utility>  // exchange, move

namespace mailroom::inline MAILROOM_ABI {

/// Keep it: a subscription that is thrown away is cancelled at once.
template <message T>
class [[nodiscard]] subscription {
public:
  /// Subscribed to nothing.
  subscription() noexcept = default;
  subscription(subscription&& other) noexcept
      : subscriber_{std::move(other.subscriber_)}, box_{std::exchange(other.box_, nullptr)} {}
  subscription& operator=(subscription&& other) noexcept {
    if (this != &other) {
      cancel();
      subscriber_ = std::move(other.subscriber_);
      box_ = std::exchange(other.box_, nullptr);
    }
    return *this;
  }

  /// Cancels.
  ~subscription() { cancel(); }

  /// Takes the next message; waits for one.
  ///
  /// Caller    anyone, but not while the subscription is moved or destroyed
  /// Progress  blocking: waits for a message
  /// Returns   the message; nullopt once the dispatcher is closed, or this drained, and everything
  ///           was delivered; after cancel(), when stopped, and for a subscription with a handler
  std::optional<delivery<T>> pop() { return pop(never_stop{}); }
  template <stoppable_token S>
  std::optional<delivery<T>> pop(S token) {
    if (box_ == nullptr) return std::nullopt;
    return box_->pop(token);
  }

  /// Takes the next message if there is one.
  ///
  /// Caller    as for pop
  /// Progress  lock-free
  /// Returns   the message; empty; closed; busy
  expected<delivery<T>, queue_status> try_pop() {
    if (box_ == nullptr) return unexpected{queue_status::closed};
    return box_->try_pop();
  }

  /// Hands every message to `handler`, waiting for the next one. It takes a delivery<T>, or just a
  /// T; what takes both gets the delivery.
  ///
  /// Caller    as for pop; several threads share the messages
  /// Progress  blocking: waits for messages
  /// Throws    what `handler` throws; its message is consumed, and run may be called again
  /// Returns   closed, when everything was delivered or after cancel(); or stopped
  template <detail::handler_of<T> F, stoppable_token S = never_stop>
  queue_status run(F&& handler, S token = {}) {
    if (box_ == nullptr) return queue_status::closed;
    const auto kept = subscriber_; // the handler may destroy the subscription
    auto* const box = box_;
    return box->run(handler, token);
  }

  /// Ends the subscription. When it returns no handler of it runs in another thread, and none will;
  /// what was queued is gone, and publishers that waited for room are released. Called by a handler
  /// of the subscription, it does not wait for other handlers of it that have called it too.
  ///
  /// Caller    anyone, also a handler of the subscription itself, even in several threads at once.
  ///           But handlers of two subscriptions that cancel each other's at the same time wait for
  ///           each other
  /// Progress  blocking: waits for handlers in other threads, for other changes of subscriptions,
  ///           and for publishers that are just picking up their list
  void cancel() noexcept {
    const auto kept = subscriber_; // a handler that is destroyed may own this subscription
    if (kept) kept->cancel();
  }

  /// Ends the intake, and waits until the threads that are in run() have handed out what is queued.
  /// What nobody runs is not waited for: it can be popped, and then the answer is closed. Called by
  /// a handler of the subscription, it waits for nobody, and run() goes on to the end of what is
  /// queued. A subscription that was made with on() is cancelled.
  ///
  /// Caller    anyone, also a handler of the subscription; but not a stop callback of its run.
  ///           Handlers of two subscriptions that drain each other's at the same time wait for each
  ///           other
  /// Progress  blocking: waits for handlers, for other changes of subscriptions, and for publishers
  ///           that are just picking up their list
  void drain() noexcept {
    const auto kept = subscriber_; // a handler may destroy the subscription
    if (kept) kept->drain();
  }

  /// Can it still get new messages? Not after cancel() or drain(), nor when the dispatcher is
  /// closed.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  bool is_active() const noexcept { return subscriber_ && subscriber_->is_open(); }

  /// What it was called in the options.
  const char* name() const noexcept { return subscriber_ ? subscriber_->name() : ""; }

  /// How many messages the overflow policy has discarded so far.
  std::uint64_t missed() const noexcept { return box_ == nullptr ? 0 : box_->missed(); }

private:
  template <message U>
  friend class dispatcher;
  explicit subscription(detail::ref<detail::queued_subscriber<T>> made) noexcept
      : subscriber_{made}, box_{made.get()} {}
  explicit subscription(detail::ref<detail::subscriber<T>> made) noexcept
      : subscriber_{std::move(made)} {}

  detail::ref<detail::subscriber<T>> subscriber_;
  detail::queued_subscriber<T>* box_ = nullptr; // the same, if it has a mailbox
};

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_TOPIC_SUBSCRIPTION_HPP

// ---- <mailroom/topic/dispatcher.hpp>

#ifndef MAILROOM_TOPIC_DISPATCHER_HPP
#define MAILROOM_TOPIC_DISPATCHER_HPP

// Publish and subscribe inside one program: a message goes to everybody whose filter matches its
// topic, and to one member of each group.
//
// Use it       when the same message is for several receivers, or the sender should not know them.
// Instead use  mailbox for one receiver, or for several that share the work.
//
//      publish("orders.eu", m) --> "orders.*"   a mailbox of its own  --> pop, run
//                              --> ">"          a handler, called here and now
//                              --> "orders.eu"  group "audit": one of its members
//
// Publishing to a name that was used before takes no lock. A handle from topic() also spares the
// look-up: as long as no subscription changes, a publish is one load and then the pushes.
//
// Guarantees
//   Order    the messages of one handle, or of one thread that publishes by name, reach a
//            subscription in the order in which they were published. Between publishers there is no
//            order, nor between a message and one that was published because of it.
//   Loss     none with overflow::block and reject answers it; what a policy discards is counted,
//            told to the subscriber with the next delivery, and to the publisher.
//   Failure  a handler that throws costs its own message; all others are still served. The
//            exception goes to on_error, if the dispatcher was made with one.
//   Life     subscribing, cancelling, publishing and closing are legal inside handlers. Dispatcher,
//            subscriptions, handles and deliveries may be destroyed in any order.
//
// A publish in a handler never waits for the subscription of that handler, which would be for
// ever: it is refused there, and says so. Where several handlers wait for each other in a circle,
// only a limit of the publish ends it.
//
// Sources: the words and rules are those of NATS (subjects, queue groups). In dialect mqtt a filter
// `$share/group/filter` makes a group too, as in MQTT Version 5.0 (OASIS Standard), 4.8.2.

#include <concepts>    // copy_constructible, invocable
#include <cstdint>     // uint64_t
#include <string_view> // string_view
#include <type_traits> // decay
#include <utility>     // exchange, forward, move

namespace mailroom::inline MAILROOM_ABI {

template <message T>
class dispatcher;

/// A name to publish to, looked up once. Each copy is a publisher of its own, for one thread, whose
/// sequence begins at 0; a move keeps the publisher.
template <message T>
class topic {
public:
  topic(const topic& other) noexcept : routing_{other.routing_}, route_{other.route_} {}
  topic(topic&& other) noexcept
      : routing_{other.routing_}, route_{other.route_}, seen_{std::move(other.seen_)},
        sequence_{other.sequence_} {}
  topic& operator=(topic other) noexcept {
    routing_ = std::move(other.routing_);
    route_ = other.route_;
    seen_ = std::move(other.seen_);
    sequence_ = other.sequence_;
    return *this;
  }
  ~topic() {
    for (borrowed* each = publishing_; each != nullptr; each = each->outer) each->handle = nullptr;
  }

  /// Publishes to the name. Waits for subscribers whose mailbox is full and whose policy is block.
  ///
  /// Caller    one thread at a time, for each copy
  /// Progress  lock-free with other policies than block, and no handlers; else blocking: waits for
  ///           room, one full mailbox after the other, when all others (of the first 64) have the
  ///           message
  /// Cost      one load, and a push for each destination; a copy of the message for each but one
  /// Throws    the first exception of a handler (unless there is an on_error), or of a copy of the
  ///           message, after everybody else was served
  /// Orders    all before the call happens before the handling of the message
  publish_result publish(const T& value) { return send(value, detail::for_ever); }
  publish_result publish(T&& value) { return send(std::move(value), detail::for_ever); }

  /// The same, but waits for room no longer than a duration, a point in time on any clock, a stop
  /// token, or one of the first two and a token say: publish(value, 10ms, token).
  template <class... Limits>
    requires wait_limit<Limits...>
  publish_result publish(const T& value, Limits... limits) {
    return send(value, detail::patience_of(std::move(limits)...));
  }
  template <class... Limits>
    requires wait_limit<Limits...>
  publish_result publish(T&& value, Limits... limits) {
    return send(std::move(value), detail::patience_of(std::move(limits)...));
  }

  /// Would anybody get a message that is published now?
  ///
  /// Caller    as for publish
  /// Progress  wait-free
  bool interested() { return !current().all.empty(); }

  /// Lives as long as the handle.
  std::string_view name() const noexcept { return route_->name(); }

private:
  friend class dispatcher<T>;
  using destinations = detail::destinations<T>;
  using list = detail::ref<const destinations>;

  topic(detail::ref<detail::routing<T>> routing, detail::route<T>& to) noexcept
      : routing_{std::move(routing)}, route_{&to} {}

  /// The list that a publish goes through. A handler may publish through the same handle meanwhile,
  /// assign to it, or destroy it.
  struct borrowed {
    topic* handle;
    borrowed* outer;
    list held;
    explicit borrowed(topic& from) noexcept
        : handle{&from}, outer{std::exchange(from.publishing_, this)}, held{std::move(from.seen_)} {
    }
    borrowed(const borrowed&) = delete;
    borrowed& operator=(const borrowed&) = delete;
    ~borrowed() {
      if (handle == nullptr) return;
      handle->publishing_ = outer;
      if (!handle->seen_) handle->seen_ = std::move(held);
    }
  };

  const destinations& current() {
    if (!seen_ || !route_->list.is_current(seen_)) seen_ = route_->list.load(routing_->period());
    return *seen_;
  }
  template <class U, class Limit>
  publish_result send(U&& value, const Limit& limit);

  detail::ref<detail::routing<T>> routing_; // keeps the route
  detail::route<T>* route_;
  list seen_; // of the last publish
  borrowed* publishing_ = nullptr;
  std::uint64_t sequence_ = 0;
};

template <message T>
class dispatcher {
  static_assert(std::copy_constructible<T>,
                "mailroom: a message for several receivers must be copyable; send a shared_ptr");
  static_assert(nothrow_message<T>,
                "mailroom: a dispatcher needs a message whose move cannot throw");

public:
  /// Makes a dispatcher whose names and filters are read in one dialect.
  explicit dispatcher(dialect rules = dialect::nats)
      : routing_{detail::make_counted<detail::routing<T>>(rules)} {}

  /// The same with somebody who is told, by the thread in which it happens, in several perhaps at
  /// once, when a handler throws. `on_error` gets a `const handler_failure<T>&` and may not throw.
  /// Without one the exception goes to the publisher, or to the caller of run.
  template <class F>
    requires std::invocable<std::decay_t<F>&, const handler_failure<T>&>
  dispatcher(dialect rules, F&& on_error)
      : routing_{detail::make_counted<detail::routing<T>>(
            rules, detail::error_hook<T>{std::forward<F>(on_error)})} {}

  /// Closes. Subscriptions and handles may live on.
  ~dispatcher() { close(); }

  dispatcher(const dispatcher&) = delete;
  dispatcher& operator=(const dispatcher&) = delete;

  /// Publishes to a name. The dispatcher is then the publishing handle of that name; everything
  /// else is as for topic::publish.
  ///
  /// Caller    anyone
  /// Progress  as for topic::publish; the first use of a name takes the dispatcher's lock
  /// Cost      finding the name and five RMWs more than with a handle; a name is remembered as long
  ///           as the dispatcher or anything of it lives
  /// Throws    also std::invalid_argument for a name that the dialect does not allow
  publish_result publish(std::string_view name, const T& value) {
    return send(name, value, detail::for_ever);
  }
  publish_result publish(std::string_view name, T&& value) {
    return send(name, std::move(value), detail::for_ever);
  }

  /// The same with a limit, as for topic::publish: publish(name, value, 10ms, token).
  template <class... Limits>
    requires wait_limit<Limits...>
  publish_result publish(std::string_view name, const T& value, Limits... limits) {
    return send(name, value, detail::patience_of(std::move(limits)...));
  }
  template <class... Limits>
    requires wait_limit<Limits...>
  publish_result publish(std::string_view name, T&& value, Limits... limits) {
    return send(name, std::move(value), detail::patience_of(std::move(limits)...));
  }

  /// Makes a handle for a name.
  ///
  /// Caller    anyone
  /// Progress  blocking: takes the lock, which a change of subscriptions may hold, unless the name
  ///           was used before
  /// Cost      a name is remembered as long as the dispatcher or anything of it lives
  /// Throws    std::invalid_argument for a name that the dialect does not allow; std::bad_alloc
  mailroom::topic<T> topic(std::string_view name) {
    return mailroom::topic<T>{routing_, routing_->intern(name)};
  }

  /// Subscribes with a mailbox. What is published after the return is received.
  ///
  /// Caller    anyone, also a handler
  /// Progress  blocking: waits for other changes of subscriptions, and for publishers that are just
  ///           picking up their list
  /// Cost      O(names that the filter matches * subscriptions)
  /// Throws    std::invalid_argument for a filter that the dialect does not allow, no capacity, or
  ///           groups in filter and options; std::bad_alloc; nothing is subscribed then
  /// Returns   the subscription; closed already if the dispatcher is
  subscription<T> subscribe(std::string_view filter, subscription_options options = {}) {
    using made = detail::queued_subscriber<T>;
    auto subscriber = detail::make_counted<made>(topic_filter{filter, routing_->rules()}, options,
                                                 detail::ref<detail::subscriber_list<T>>{routing_});
    routing_->add(subscriber);
    return subscription<T>{std::move(subscriber)};
  }

  /// Subscribes with a handler, which every publisher calls in its own thread: it may run in
  /// several threads at a time. It takes a delivery<T>, which costs a copy of the message, or just
  /// a T; what takes both gets the delivery. Otherwise as subscribe. The handler is destroyed as
  /// soon as the subscription is cancelled and no thread runs it.
  template <class F>
    requires detail::handler_of<std::decay_t<F>, T>
  subscription<T> on(std::string_view filter, F&& handler) {
    using made = detail::direct_subscriber<T, std::decay_t<F>>;
    detail::ref<detail::subscriber<T>> subscriber = detail::make_counted<made>(
        topic_filter{filter, routing_->rules()}, detail::ref<detail::subscriber_list<T>>{routing_},
        std::forward<F>(handler));
    routing_->add(subscriber);
    return subscription<T>{std::move(subscriber)};
  }

  /// Would anybody get a message that is published to this name now?
  ///
  /// Caller    anyone
  /// Progress  wait-free for a name that was used before; else blocking: takes the lock
  /// Returns   false also for a name that the dialect does not allow
  bool interested(std::string_view name) const noexcept { return routing_->is_wanted(name); }

  /// Ends the intake: what is published from now on matches nobody. Subscribers still get what is
  /// queued, and then closed. Publishers that wait for room are released. Waits for handlers that
  /// run in other threads; a call that finds the dispatcher closed already does not.
  ///
  /// Caller    anyone, also a handler
  /// Progress  blocking: waits for handlers, for changes of subscriptions, and for publishers that
  ///           are just picking up their list
  void close() noexcept { routing_->close(); }

  /// The same, and waits until what is queued was taken, for a duration, until a point in time, a
  /// stop, or one of the first two and a stop: close(1s, token). In a handler that a subscription's
  /// run calls, that subscription is not waited for. The limit is for what is queued, not for
  /// handlers of on(). May be called behind close().
  ///
  /// Caller    anyone, also a handler
  /// Progress  blocking: as close(), and waits for the pops of all subscriptions
  /// Throws    std::bad_alloc; it is closed then
  /// Returns   closed, or why it was not waited for any longer; and how much was left then
  template <class... Limits>
    requires wait_limit<Limits...>
  close_report close(Limits... limits) {
    return routing_->close(detail::patience_of(std::move(limits)...));
  }

private:
  template <class U, class Limit>
  publish_result send(std::string_view name, U&& value, const Limit& limit);

  detail::ref<detail::routing<T>> routing_;
};

// ---- Definitions, in the order of the classes

template <message T>
template <class U, class Limit>
publish_result topic<T>::send(U&& value, const Limit& limit) {
  const std::uint64_t number = sequence_++;
  if (current().all.empty()) return {0, 0, 0};
  detail::envelope<T> sent{T(std::forward<U>(value)), number, route_->name(), 0};
  const borrowed now{*this}; // its subscribers keep the name, should a handler destroy the handle
  return now.held->publish(sent, limit);
}

template <message T>
template <class U, class Limit>
publish_result dispatcher<T>::send(std::string_view name, U&& value, const Limit& limit) {
  detail::route<T>& to = routing_->intern(name);
  const std::uint64_t number = to.next_sequence();
  const auto list = to.list.load(routing_->period());
  if (list->all.empty()) return {0, 0, 0};
  detail::envelope<T> sent{T(std::forward<U>(value)), number, to.name(), 0};
  return list->publish(sent, limit);
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_TOPIC_DISPATCHER_HPP

// ---- <mailroom/mailroom.hpp>

#ifndef MAILROOM_MAILROOM_HPP
#define MAILROOM_MAILROOM_HPP

// mailroom: messages between the threads of one program. The whole library in one include.
//
//      queue/     never waits            spsc_queue, mpmc_queue, mpmc_ticket_queue, mpsc_queue,
//                                        intrusive_mpsc_queue, broadcast_queue
//      mailbox/   waits and closes       mailbox over any queue, select, selector, channel,
//                                        coroutines
//      topic/     fans out               topic_filter, dispatcher, subscription, topic
//      core/      the words they share   queue_status, expected, message, queue_facts, wait_policy
//
// A floor rests on the floors above it in this list's reverse: whoever needs only a queue includes
// only that header, and parses no clock, no thread and no string.

#endif // MAILROOM_MAILROOM_HPP
