// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_SUPPORT_TRACKED_HPP
#define MAILROOM_TESTS_SUPPORT_TRACKED_HPP

// Messages that are counted, and that fail when they are told to.
//
// Every object enters the ledger when its life begins and leaves it when it ends. The ledger knows
// each address, so a second destruction, the use of a dead object, an object at an address that
// its alignment forbids and an object that is never destroyed are all found, and named.
//
//      test::ledger book;                        // one for each test, first thing
//      book.fail_at(3);                          // the third operation that may fail throws
//      { mailroom::spsc_queue<test::tracked> q{4}; ... }
//      CHECK(book.is_balanced());
//
// The ledger is for one thread: a lock in it would hide the races that a sanitizer looks for.

#include <cstddef>       // size_t
#include <cstdint>       // uintptr_t
#include <functional>    // function
#include <string>        // string
#include <unordered_set> // unordered_set
#include <utility>       // exchange, move

namespace test {

/// What a message throws that was told to.
struct boom {};

class ledger {
public:
  ledger() noexcept : outer_{std::exchange(current_, this)} {}
  ledger(const ledger&) = delete;
  ledger& operator=(const ledger&) = delete;
  ~ledger() { current_ = outer_; }

  static ledger& current() noexcept { return *current_; }

  /// The n-th operation from now that may fail throws boom; 0 switches that off.
  void fail_at(int n) noexcept { fail_in_ = n; }

  /// Whether the operation that was to fail has not come yet.
  bool is_armed() const noexcept { return fail_in_ != 0; }

  std::size_t alive() const noexcept { return alive_.size(); }
  long copies() const noexcept { return copies_; }
  long moves() const noexcept { return moves_; }
  long constructions() const noexcept { return constructions_; }

  /// The first thing that went wrong, or nothing.
  const std::string& fault() const noexcept { return fault_; }

  /// Nobody is alive, and nothing went wrong.
  bool is_balanced() const noexcept { return alive_.empty() && fault_.empty(); }

  // ---- For the messages

  void may_fail() {
    if (fail_in_ != 0 && --fail_in_ == 0) throw boom{};
  }
  void begin(const void* object, std::size_t alignment) {
    ++constructions_;
    if (!alive_.insert(object).second) note("an object was built on a living one");
    if (reinterpret_cast<std::uintptr_t>(object) % alignment != 0) note("a crooked address");
  }
  void end(const void* object) noexcept {
    if (alive_.erase(object) == 0) note("an object was destroyed that did not live");
  }
  void use(const void* object) noexcept {
    if (alive_.count(object) == 0) note("an object was used that did not live");
  }
  void count_copy() noexcept { ++copies_; }
  void count_move() noexcept { ++moves_; }

private:
  void note(const char* what) {
    if (fault_.empty()) fault_ = what;
  }

  static inline ledger* current_ = nullptr;
  ledger* outer_;
  std::unordered_set<const void*> alive_;
  std::string fault_;
  int fail_in_ = 0;
  long constructions_ = 0;
  long copies_ = 0;
  long moves_ = 0;
};

/// The value of a message that was moved from.
inline constexpr int moved_from = -1;

/// What all messages have: a value, and a line in the ledger. Each says for itself what it throws.
class entry {
public:
  int value() const noexcept {
    ledger::current().use(this);
    return value_;
  }
  friend bool operator==(const entry& a, const entry& b) noexcept { return a.value_ == b.value_; }

protected:
  explicit entry(int value, std::size_t alignment = 1) : value_{value} {
    ledger::current().may_fail();
    ledger::current().begin(this, alignment);
  }
  entry(const entry& other, std::size_t alignment = 1) : value_{other.value()} {
    ledger::current().may_fail();
    ledger::current().count_copy();
    ledger::current().begin(this, alignment);
  }
  entry(entry&& other, std::size_t alignment = 1) noexcept : value_{other.take()} {
    ledger::current().count_move();
    ledger::current().begin(this, alignment);
  }
  entry& operator=(const entry& other) {
    ledger::current().may_fail();
    ledger::current().use(this);
    value_ = other.value();
    return *this;
  }
  entry& operator=(entry&& other) noexcept {
    ledger::current().use(this);
    if (this != std::addressof(other)) value_ = other.take();
    return *this;
  }
  ~entry() { ledger::current().end(this); }

private:
  int take() noexcept {
    ledger::current().use(this);
    return std::exchange(value_, moved_from);
  }

  int value_;
};

/// Copied and moved; its constructor and its copies fail when told to, its moves never. It has no
/// default constructor.
class tracked : public entry {
public:
  explicit tracked(int value) : entry{value} {}
};

/// Only moved.
class move_only : public entry {
public:
  explicit move_only(int value) : entry{value} {}
  move_only(move_only&&) noexcept = default;
  move_only& operator=(move_only&&) noexcept = default;
  ~move_only() = default;
};

/// Only copied: where others move it is copied, and that may fail.
class copy_only : public entry {
public:
  explicit copy_only(int value) : entry{value} {}
  copy_only(const copy_only& other) = default;
  copy_only& operator=(const copy_only& other) = default;
  ~copy_only() = default;
};

/// Everything about it may fail, a move too.
class throwing_move : public entry {
public:
  explicit throwing_move(int value) : entry{value} {}
  throwing_move(const throwing_move& other) = default;
  throwing_move(throwing_move&& other) noexcept(false) : entry{checked(other)} {}
  throwing_move& operator=(const throwing_move& other) = default;
  throwing_move& operator=(throwing_move&& other) noexcept(false) {
    entry::operator=(checked(other));
    return *this;
  }
  ~throwing_move() = default;

private:
  static entry&& checked(throwing_move& other) {
    ledger::current().may_fail();
    return std::move(static_cast<entry&>(other));
  }
};

/// Can be moved into a queue and out of it, but never assigned to.
class unassignable : public entry {
public:
  explicit unassignable(int value) : entry{value} {}
  unassignable(unassignable&&) noexcept = default;
  unassignable& operator=(unassignable&&) = delete;
  ~unassignable() = default;
};

/// Wants an address that is a multiple of `Alignment`, and says so when it gets another.
template <std::size_t Alignment>
class alignas(Alignment) aligned : public entry {
public:
  explicit aligned(int value) : entry{value, Alignment} {}
  aligned(const aligned& other) : entry{other, Alignment} {}
  aligned(aligned&& other) noexcept : entry{std::move(static_cast<entry&>(other)), Alignment} {}
  aligned& operator=(const aligned&) = default;
  aligned& operator=(aligned&&) noexcept = default;
  ~aligned() = default;
};

/// Hides its address, its room on the heap and what a comma means.
class secretive : public entry {
public:
  explicit secretive(int value) : entry{value} {}
  secretive* operator&() const = delete;
  static void* operator new(std::size_t) = delete;
  static void* operator new(std::size_t, void*) = delete;
  static void operator delete(void*) = delete;
};

/// Does something else whenever it is copied or moved into a new object. This brings about, in one
/// thread and at will, what otherwise only another thread does: the queue changes during a call.
class meddler : public entry {
public:
  explicit meddler(int value) : entry{value} {}
  meddler(const meddler& other) : entry{other} { meddle(); }
  meddler(meddler&& other) noexcept : entry{std::move(static_cast<entry&>(other))} { meddle(); }
  meddler& operator=(const meddler&) = default;
  meddler& operator=(meddler&&) noexcept = default;
  ~meddler() = default;

  /// What the next new object does, once.
  static inline std::function<void()> next;

private:
  static void meddle() {
    if (const auto now = std::exchange(next, nullptr)) now();
  }
};

} // namespace test

#endif // MAILROOM_TESTS_SUPPORT_TRACKED_HPP
