// SPDX-License-Identifier: MIT
// What is said of mailboxes of every kind is in contract/waiting.contract.hpp. Here is the rest: what
// the compiler knows, how a mailbox is made, and queues that somebody else wrote.

#include <mailroom/core/concepts.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/wait.hpp>
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <doctest/doctest.h>
#include <support/allocators.hpp>
#include <support/print.hpp>
#include <support/tracked.hpp>
#include <support/waiting.hpp>

#include <algorithm>   // count_if
#include <atomic>      // atomic
#include <chrono>      // milliseconds, steady_clock
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <ctime>       // CLOCK_THREAD_CPUTIME_ID
#include <deque>       // deque
#include <functional>  // function
#include <limits>      // numeric_limits
#include <memory>      // allocator, make_unique, unique_ptr
#include <optional>    // optional
#include <stdexcept>   // invalid_argument, length_error
#include <string>      // string
#include <string_view> // string_view
#include <thread>      // this_thread
#include <type_traits> // is_copy_constructible, is_move_constructible, is_same
#include <utility>     // exchange, move, pair
#include <vector>      // vector
#include <version>     // __cpp_lib_jthread

#if defined(__unix__)
#include <pthread.h>  // pthread_kill, pthread_self
#include <signal.h>   // sigaction
#include <sys/wait.h> // waitpid
#include <unistd.h>   // alarm, fork, _exit
#endif
#if defined(__cpp_lib_jthread)
#include <stop_token> // stop_callback, stop_source
#endif

namespace {

using mailroom::basic_concurrent_queue;
using mailroom::bounded_queue;
using mailroom::concurrent_queue;
using mailroom::mailbox;
using mailroom::mailbox_options;
using mailroom::mpmc_queue;
using mailroom::overflow;
using mailroom::queue_status;
using mailroom::spsc_queue;
using test::background;
using test::wait_for_pops;
using test::wait_for_pushes;
using namespace std::chrono_literals;
namespace wait_policy = mailroom::wait_policy;

// ---- What the compiler knows

static_assert(basic_concurrent_queue<mailbox<int>>);
static_assert(concurrent_queue<mailbox<int>>);
static_assert(concurrent_queue<mailbox<std::unique_ptr<int>>>);
static_assert(concurrent_queue<mailbox<int, spsc_queue<int>>>);
static_assert(concurrent_queue<mailbox<int, mpmc_queue<int, 8>, wait_policy::spin>>);
static_assert(concurrent_queue<mailbox<int, spsc_queue<int, 8>, wait_policy::yield>>);
static_assert(concurrent_queue<bounded_queue<std::string>>);
static_assert(!basic_concurrent_queue<mpmc_queue<int>>); // does not close
static_assert(mailroom::queue<mailbox<int>::queue_type>);

static_assert(std::is_same_v<mailbox<int>, mailbox<int, mpmc_queue<int>, wait_policy::park>>);
static_assert(std::is_same_v<mailbox<int>::value_type, int>);
static_assert(std::is_same_v<bounded_queue<int>, mailbox<int>>);
static_assert(std::is_same_v<bounded_queue<int, std::allocator<long>>::queue_type,
                             mpmc_queue<int, mailroom::dynamic_capacity, std::allocator<long>>>);

static_assert(!std::is_copy_constructible_v<mailbox<int>>);
static_assert(!std::is_move_constructible_v<mailbox<int>>);
static_assert(!std::is_convertible_v<std::size_t, mailbox<int>>);

template <class Mailbox>
concept pops_by_assignment =
    requires(Mailbox& mail, typename Mailbox::value_type& into) { mail.try_pop(into); };
static_assert(pops_by_assignment<mailbox<int>>);
static_assert(!pops_by_assignment<mailbox<test::unassignable>>);

template <class Queue>
concept asks_first =
    requires(Queue& queue) { queue.empty(); } || requires(Queue& queue) { queue.size(); };

template <class Mailbox>
concept says_without_throwing = requires(Mailbox& mail, const Mailbox& asked) {
  { mail.close() } noexcept;
  { asked.is_closed() } noexcept;
  { asked.is_drained() } noexcept;
  { asked.stats() } noexcept;
  { asked.size_approx() } noexcept;
  { asked.capacity() } noexcept;
  { asked.name() } noexcept;
};
static_assert(says_without_throwing<mailbox<int>>);
static_assert(says_without_throwing<mailbox<int, spsc_queue<int>, wait_policy::spin>>);

} // namespace

// ---- A queue that somebody else wrote

namespace elsewhere {

using mailroom::queue_status;

/// For one thread, or for two that take turns. It says busy as often as it is told to.
class moody_queue {
public:
  using value_type = int;

  queue_status try_push(int&& value) {
    if (is_moody()) return queue_status::busy;
    if (inside_.size() == capacity()) return queue_status::full;
    inside_.push_back(value);
    ++pushed_;
    return queue_status::success;
  }
  queue_status try_push(const int& value) { return try_push(int{value}); }
  mailroom::expected<int, queue_status> try_pop() {
    if (is_moody()) return mailroom::unexpected{queue_status::busy};
    if (inside_.empty()) return mailroom::unexpected{queue_status::empty};
    const int first = inside_.front();
    inside_.pop_front();
    return first;
  }
  std::size_t size_approx() const noexcept { return inside_.size(); }
  std::size_t capacity() const noexcept { return 2; }
  std::uint64_t pushed() const noexcept { return pushed_; }
  std::uint64_t popped() const noexcept { return pushed_ - inside_.size(); }

  static inline int moody_for = 0;

private:
  static bool is_moody() { return moody_for != 0 && --moody_for >= 0; }

  std::deque<int> inside_;
  std::uint64_t pushed_ = 0;
};

} // namespace elsewhere

template <>
struct mailroom::queue_facts<elsewhere::moody_queue> {
  static constexpr arity producers = arity::one;
  static constexpr arity consumers = arity::one;
  static constexpr ordering order = ordering::fifo;
  static constexpr progress push_progress = progress::obstruction_free;
  static constexpr progress pop_progress = progress::obstruction_free;
  static constexpr bool bounded = true;
  static constexpr bool sequentially_consistent = false;
};

using elsewhere::moody_queue;

TEST_CASE_TEMPLATE("mailbox: busy is waited for, though nobody wakes for it", Wait,
                   wait_policy::park, wait_policy::yield, wait_policy::spin) {
  for (const int times : {1, 10, 66, 67, 500}) {
    mailbox<int, moody_queue, Wait> mail;
    moody_queue::moody_for = times;
    CHECK(mail.push(1));
    moody_queue::moody_for = times;
    CHECK(mail.pop() == 1);
    moody_queue::moody_for = 1;
    CHECK(mail.try_push(1) == queue_status::busy);
    moody_queue::moody_for = 1;
    CHECK(mail.try_pop().error() == queue_status::busy);
    moody_queue::moody_for = 1'000'000'000;
    CHECK(mail.try_pop_for(200us).error() == queue_status::timeout);
    moody_queue::moody_for = times;
    mail.close();
    CHECK_FALSE(mail.pop().has_value());
    CHECK(moody_queue::moody_for == 0);
    CHECK(mail.is_drained());
  }
}

TEST_CASE("mailbox: a policy that does not wait still waits out busy") {
  mailbox<int, moody_queue> mail{mailbox_options{.on_full = overflow::reject}};
  moody_queue::moody_for = 100;
  CHECK(mail.push(1));
  CHECK(mail.push(2));
  moody_queue::moody_for = 100;
  CHECK_FALSE(mail.push(3));
  CHECK(mail.stats().rejected == 1);
}

// ---- How it is made

TEST_CASE("mailbox: it is made from a capacity or from options") {
  CHECK(mailbox<int>{7}.capacity() == 7);
  CHECK(mailbox<int>{}.capacity() == 1024);
  CHECK(mailbox<int>{mailbox_options{.capacity = 5}}.capacity() == 5);
  CHECK(std::string_view{mailbox<int>{}.name()}.empty());
  const mailbox<int> named{mailbox_options{.capacity = 1, .name = "orders"}};
  CHECK(std::string_view{named.name()} == "orders");
  CHECK(bounded_queue<int>{3}.capacity() == 3);
}

TEST_CASE("mailbox: a queue that fixes its capacity keeps it") {
  CHECK(mailbox<int, mpmc_queue<int, 3>>{}.capacity() == 3);
  CHECK(mailbox<int, mpmc_queue<int, 3>>{9}.capacity() == 3);
  CHECK(mailbox<int, spsc_queue<int, 2>>{mailbox_options{.capacity = 0}}.capacity() == 2);
}

TEST_CASE("mailbox: a capacity that cannot be had is refused") {
  CHECK_THROWS_AS(mailbox<int>{0}, std::invalid_argument);
  CHECK_THROWS_AS((mailbox<int, spsc_queue<int>>{0}), std::invalid_argument);
  const auto most = std::numeric_limits<std::size_t>::max();
  CHECK_THROWS_AS(mailbox<int>{most}, std::length_error);
}

TEST_CASE("mailbox: drop_oldest needs a queue that a push may pop from") {
  const mailbox_options options{.capacity = 2, .on_full = overflow::drop_oldest};
  CHECK_THROWS_AS((mailbox<int, spsc_queue<int>>{options}), std::invalid_argument);
  CHECK_THROWS_AS((mailbox<int, spsc_queue<int, 2>>{options}), std::invalid_argument);
  CHECK_NOTHROW(mailbox<int>{options});
  CHECK_NOTHROW((mailbox<int, mpmc_queue<int, 2>>{options}));
}

TEST_CASE("mailbox: an allocator goes to the queue, and nothing else allocates") {
  using alloc = test::logging_allocator<int>;
  test::allocation_log log;
  {
    using own = mailbox<int, mpmc_queue<int, mailroom::dynamic_capacity, alloc>>;
    own mail{mailbox_options{.capacity = 4}, alloc{log}};
    const auto at_first = log.allocations;
    CHECK(at_first > 0);
    for (int i = 0; i != 20; ++i) {
      CHECK(mail.push(i));
      CHECK(mail.pop() == i);
      CHECK(mail.try_pop_for(1us).error() == queue_status::timeout);
    }
    mail.close();
    CHECK_FALSE(mail.pop().has_value());
    CHECK(log.allocations == at_first);
  }
  CHECK(log.blocks == 0);
  {
    using own = bounded_queue<int, alloc>;
    CHECK_THROWS_AS((own{mailbox_options{.capacity = 0}, alloc{log}}), std::invalid_argument);
  }
  CHECK(log.blocks == 0);
}

TEST_CASE("mailbox: emplace passes on what a message is made of") {
  mailbox<std::pair<int, std::string>> mail{4};
  CHECK(mail.emplace(1, "one"));
  CHECK(mail.emplace(std::pair<int, std::string>{2, "two"}));
  CHECK(mail.pop() == std::pair<int, std::string>{1, "one"});
  CHECK(mail.pop()->second == "two");
  mailbox<std::string> texts{4};
  CHECK(texts.push("a text"));
  CHECK(texts.pop() == "a text");
}

// ---- What is not delivered

namespace {

/// Takes what a mailbox discards.
struct shredder {
  std::vector<int>* seen;
  void operator()(std::unique_ptr<int>&& message) const noexcept {
    seen->push_back(*std::move(message));
  }
};

} // namespace

TEST_CASE("mailbox: on_drop gets what the policy discards, and is told before the push returns") {
  std::vector<int> seen;
  const shredder shred{&seen};
  const auto one = [] { return std::make_unique<int>(1); };
  {
    mailbox<std::unique_ptr<int>> mail{{.capacity = 1, .on_full = overflow::drop_oldest}, shred};
    CHECK(mail.push(std::make_unique<int>(0)));
    std::size_t dropped = 0;
    CHECK(mail.try_push(one(), dropped) == queue_status::success);
    CHECK(dropped == 1);
    CHECK(seen == std::vector{0});
    CHECK(mail.stats().dropped == 1);
    CHECK(*mail.pop().value() == 1);
  }
  seen.clear();
  {
    mailbox<std::unique_ptr<int>> mail{{.capacity = 1, .on_full = overflow::drop_newest}, shred};
    CHECK(mail.push(std::make_unique<int>(0)));
    auto late = one();
    CHECK(mail.try_push(std::move(late)) == queue_status::dropped);
    CHECK(late != nullptr); // a handler that does not move it leaves it
    CHECK(seen == std::vector{1});
    CHECK_FALSE(mail.push(one()));
    CHECK(mail.try_push_for(one(), 1h) == queue_status::dropped);
    CHECK(seen == std::vector{1, 1, 1});
    CHECK(mail.stats().dropped == 3);
    mail.close();
    CHECK(mail.try_push(one()) == queue_status::closed); // is not discarded, but refused
    CHECK(seen.size() == 3);
  }
  CHECK(seen == std::vector{1, 1, 1, 0}); // the one that was still inside
}

TEST_CASE("mailbox: on_drop gets what close(discard) finds, and what the destructor does") {
  std::vector<int> seen;
  {
    mailbox<std::unique_ptr<int>, spsc_queue<std::unique_ptr<int>>> mail{{.capacity = 4},
                                                                         shredder{&seen}};
    for (int i = 0; i != 3; ++i) CHECK(mail.emplace(new int{i}));
    CHECK(*mail.pop().value() == 0);
    mail.close(mailroom::discard);
    CHECK(seen == std::vector{1, 2});
    CHECK(mail.stats().discarded == 2);
  }
  CHECK(seen == std::vector{1, 2});
  {
    mailbox<std::unique_ptr<int>> mail{{.capacity = 4}, shredder{&seen}};
    for (int i = 3; i != 6; ++i) CHECK(mail.emplace(new int{i}));
  }
  CHECK(seen == std::vector{1, 2, 3, 4, 5});
}

TEST_CASE("mailbox: drop_newest gives on_drop a copy of a message that the caller keeps") {
  std::vector<std::string> seen;
  const auto listen = [&](std::string&& message) noexcept { seen.push_back(std::move(message)); };
  mailbox<std::string> mail{{.capacity = 1, .on_full = overflow::drop_newest}, listen};
  const std::vector<std::string> letters{"first", "second", "third"};
  CHECK(mail.push_range(letters.begin(), letters.end()) == letters.end());
  CHECK(letters[2] == "third");
  CHECK(seen == std::vector<std::string>{"second", "third"});
}

TEST_CASE("mailbox: drop_newest counts nothing if the copy for on_drop throws") {
  struct fragile {
    bool breaks = false;
    explicit fragile(bool broken) noexcept : breaks{broken} {}
    fragile(fragile&&) noexcept = default;
    fragile(const fragile& other) : breaks{other.breaks} {
      if (breaks) throw test::boom{};
    }
    fragile& operator=(fragile&&) noexcept = default;
    fragile& operator=(const fragile&) = default;
    ~fragile() = default;
  };
  int seen = 0;
  mailbox<fragile> mail{{.capacity = 1, .on_full = overflow::drop_newest},
                        [&](fragile&&) noexcept { ++seen; }};
  CHECK(mail.push(fragile{false}));
  const fragile broken{true};
  CHECK_THROWS_AS((void)mail.try_push(broken), test::boom);
  CHECK(seen == 0);
  CHECK(mail.stats().dropped == 0);
}

// ---- Corners

TEST_CASE(
    "mailbox: R-46: behind 64 unfinished calls a push answers busy, and a timed one times out") {
  struct nested {
    int value = 0;
    std::function<void()>* act = nullptr;
    nested(int number, std::function<void()>* doing) : value{number}, act{doing} {}
    nested(nested&& other) noexcept : value{other.value}, act{std::exchange(other.act, nullptr)} {
      if (act != nullptr) (*std::exchange(act, nullptr))();
    }
    nested& operator=(nested&&) noexcept = default;
    ~nested() = default;
  };
  mailbox<nested> mail{200};
  int depth = 0;
  queue_status innermost = queue_status::success;
  queue_status timed = queue_status::success;
  std::function<void()> again = [&] {
    if (++depth == 64) { // 64 pushes have their cell in hand
      innermost = mail.try_push(nested{-1, nullptr});
      timed = mail.try_push_for(nested{-1, nullptr}, 1ms);
      return;
    }
    (void)mail.push(nested{depth, &again});
  };
  CHECK(mail.push(nested{0, &again}));
  CHECK(innermost == queue_status::busy);
  CHECK(timed == queue_status::timeout);
  CHECK(mail.stats().pushed == 64);
  CHECK(mail.push(nested{-1, nullptr}));
}

TEST_CASE("mailbox: drop_oldest discards nothing for a push that a close has overtaken") {
  struct letter {
    std::function<void()>* act = nullptr;
    explicit letter(std::function<void()>* doing) noexcept : act{doing} {}
    letter(letter&&) noexcept = default;
    letter(const letter& other) {
      if (other.act != nullptr) (*other.act)();
    }
    letter& operator=(letter&&) noexcept = default;
    letter& operator=(const letter&) = default;
    ~letter() = default;
  };
  mailbox<letter> mail{mailbox_options{.capacity = 1, .on_full = overflow::drop_oldest}};
  std::function<void()> close = [&] { mail.close(); };
  CHECK(mail.push(letter{nullptr}));
  const letter late{&close}; // there is no room, so it is copied before the oldest makes some
  CHECK(mail.try_push(late) == queue_status::closed);
  CHECK(mail.stats().dropped == 0);
  CHECK(mail.pop().has_value());
  CHECK(mail.try_pop().error() == queue_status::closed);
}

TEST_CASE("mailbox: drop_oldest destroys what it discards, once, and before the push returns") {
  const test::ledger book;
  {
    mailbox<test::tracked> mail{mailbox_options{.capacity = 2, .on_full = overflow::drop_oldest}};
    for (int i = 0; i != 10; ++i) {
      CHECK(mail.emplace(i));
      CHECK(book.alive() <= 2);
    }
    CHECK(mail.pop()->value() == 8);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mailbox: what happened before a push, a pop or close is seen after it") {
  // The thread sanitizer proves it: the plain variables would be races otherwise.
  mailbox<int> mail{1};
  int before_push = 0;
  int before_pop = 0;
  int before_close = 0;
  background other{[&] {
    before_push = 1;
    (void)mail.push(1);
    (void)mail.push(2); // waits for the pop
    const int seen = before_pop;
    before_close = 3;
    mail.close();
    return seen;
  }};
  before_pop = 2;
  CHECK(mail.pop() == 1);
  CHECK(before_push == 1);
  CHECK(mail.pop() == 2);
  CHECK_FALSE(mail.pop().has_value());
  CHECK(before_close == 3);
  CHECK(other.get() == 2);
}

TEST_CASE("mailbox: R-45: there is no way to ask first and take afterwards") {
  static_assert(!asks_first<mailbox<int>>);
  static_assert(!asks_first<mailbox<int, spsc_queue<int>>>);
  static_assert(!asks_first<mpmc_queue<int>>);
  static_assert(!asks_first<spsc_queue<int>>);
  mailbox<int> mail{1};
  CHECK(mail.try_pop().error() == queue_status::empty); // the message, or why there is none
}

#if defined(__cpp_lib_jthread)

TEST_CASE("mailbox: R-37: a stop at any moment of a pop ends it") {
  const test::watchdog guard{"mailbox: a stop at any moment"};
  for (int round = 0; round != 300; ++round) {
    mailbox<int> mail{1};
    std::stop_source source;
    background popped{[&] { return mail.pop(source.get_token()).has_value(); }};
    for (int i = 0; i != round % 30; ++i) std::this_thread::yield();
    CHECK(source.request_stop());
    CHECK_FALSE(popped.get());
  }
}

TEST_CASE("mailbox: R-37: who is called by a stop may use the mailbox, and the same token") {
  const test::watchdog guard{"mailbox: a callback of the user's"};
  for (int round = 0; round != 20; ++round) {
    mailbox<int> mail{1};
    std::stop_source source;
    const auto token = source.get_token();
    background popped{[&] { return mail.pop(token).value_or(0); }};
    wait_for_pops(mail, 1);
    int inside = 0;
    queue_status timed = queue_status::success;
    const std::stop_callback act{token, [&] {
                                   (void)mail.push(7, token);
                                   inside = mail.pop(token).value_or(0);
                                   timed = mail.try_pop_for(1h, token).error();
                                 }};
    CHECK(source.request_stop());
    CHECK(popped.get() + inside == 7); // one of the two got the message
    CHECK(timed == queue_status::stopped);
  }
}

#endif

// Without a futex there are condition variables in the mailbox, which cannot be destroyed while
// threads sleep on them, not even those that the child does not have.
#if defined(__unix__) && MAILROOM_DETAIL_FUTEX

namespace {

/// A message that notices when it ends twice, or ends without having begun.
struct whole {
  static inline std::atomic<int> ends{0};
  static inline std::atomic<int> broken{0};

  std::uint64_t number;
  std::uint64_t check;

  explicit whole(std::uint64_t value) noexcept : number{value}, check{~value} {}
  whole(const whole& other) noexcept = default;
  whole& operator=(const whole& other) noexcept = default;
  ~whole() {
    if (check != ~number) broken.fetch_add(1);
    ends.fetch_add(1);
    static_cast<volatile std::uint64_t&>(check) = number;
  }
};

/// Whether a child process that destroys the mailbox finds `least` to `most` messages, all whole.
/// A child that hangs is ended by its alarm.
template <class Mailbox>
bool child_destroys(std::unique_ptr<Mailbox>& mail, int least, int most) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(static_cast<unsigned>(test::patience.count()));
    whole::ends.store(0);
    mail.reset();
    const int ends = whole::ends.load();
    ::_exit(whole::broken.load() == 0 && ends >= least && ends <= most ? 0 : 1);
  }
  int status = 1;
  return ::waitpid(child, &status, 0) == child && status == 0;
}

} // namespace

TEST_CASE("mailbox: R-47: a child process may destroy what it inherited, while others use it") {
  const test::watchdog guard{"mailbox: fork among threads"};
  auto mail = std::make_unique<mailbox<whole>>(3);
  auto& used = *mail;
  std::vector<std::function<void()>> bodies;
  for (int i = 0; i != 2; ++i) {
    bodies.emplace_back([&used] {
      for (std::uint64_t number = 0; used.push(whole{number}); ++number) {
      }
    });
    bodies.emplace_back([&used] {
      while (used.pop()) {
      }
    });
  }
  int right = 0;
  bodies.emplace_back([&] {
    for (int i = 0; i != 30; ++i) right += child_destroys(mail, 0, 3) ? 1 : 0;
    used.close();
  });
  test::run_together(std::move(bodies));
  CHECK(right == 30);
  CHECK(whole::broken.load() == 0);
}

TEST_CASE_TEMPLATE("mailbox: R-47: a child process may destroy what others sleep in", Queue,
                   mpmc_queue<whole>, spsc_queue<whole>) {
  auto mail = std::make_unique<mailbox<whole, Queue>>(2);
  auto& used = *mail;
  background popped{[&used] { return used.pop().has_value(); }};
  wait_for_pops(used, 1);
  CHECK(child_destroys(mail, 0, 0));
  CHECK(used.push(whole{1}));
  CHECK(popped.get());

  CHECK(used.push(whole{2}));
  CHECK(used.push(whole{3}));
  background pushed{[&used] { return used.push(whole{4}); }};
  wait_for_pushes(used, 1);
  CHECK(child_destroys(mail, 2, 2));
  CHECK(used.pop().has_value());
  CHECK(pushed.get());
  CHECK(whole::broken.load() == 0);
}

#endif

// ---- How long it takes. Not a benchmark: a wake-up that gets lost, or comes by a later accident, is
// seconds late or never comes.

namespace {

/// Ends a blocked pop a hundred times, and says how often it took more than 50 ms. The machine may
/// have other things to do, so a few may.
template <class End>
std::ptrdiff_t slow_wake_ups(const End& end) {
  std::vector<std::chrono::nanoseconds> spans;
  for (int i = 0; i != 100; ++i) {
    mailbox<int> mail{4};
    test::calling_source source;
    std::chrono::steady_clock::time_point woken;
    background popped{[&] {
      const bool got = mail.pop(source.get_token()).has_value();
      woken = std::chrono::steady_clock::now();
      return got;
    }};
    test::wait_until([&] { return mail.stats().pop_waits == 1; }, "a pop waits");
    std::this_thread::sleep_for(std::chrono::microseconds{i % 10 * 40});
    const auto ended = std::chrono::steady_clock::now();
    end(mail, source);
    (void)popped.get();
    spans.push_back(woken - ended);
  }
  return std::count_if(spans.begin(), spans.end(), [](auto span) { return span > 50ms; });
}

} // namespace

TEST_CASE("mailbox: a push wakes a pop within 50 ms") {
  CHECK(slow_wake_ups([](auto& mail, auto&) { (void)mail.push(1); }) <= 3);
}

TEST_CASE("mailbox: R-31: close wakes a pop within 50 ms") {
  CHECK(slow_wake_ups([](auto& mail, auto&) { mail.close(); }) <= 3);
}

TEST_CASE("mailbox: a stop wakes a pop within 50 ms") {
  CHECK(slow_wake_ups([](auto&, auto& source) { source.request_stop(); }) <= 3);
}

#if defined(__unix__)

TEST_CASE("mailbox: a signal does not end a wait") {
  struct sigaction quiet{};
  struct sigaction before{};
  quiet.sa_handler = [](int) {};
  REQUIRE(::sigaction(SIGUSR1, &quiet, &before) == 0);
  mailbox<int> mail{1};
  std::atomic<bool> done{false};
  const pthread_t waiting = ::pthread_self();
  background signals{[&] {
    while (!done.load()) {
      ::pthread_kill(waiting, SIGUSR1);
      std::this_thread::sleep_for(500us);
    }
    return true;
  }};
  queue_status answer = queue_status::success;
  CHECK(test::time_of([&] { answer = mail.try_pop_for(30ms).error(); }) >= 30ms);
  CHECK(answer == queue_status::timeout);
  background pushed{[&] {
    std::this_thread::sleep_for(20ms);
    return mail.push(1);
  }};
  CHECK(mail.pop() == 1);
  done.store(true);
  CHECK(signals.get());
  CHECK(pushed.get());
  ::sigaction(SIGUSR1, &before, nullptr);
}

#endif

#if defined(CLOCK_THREAD_CPUTIME_ID)

TEST_CASE("mailbox: a pop, a push or a wait for the end uses no processor") {
  mailbox<int, spsc_queue<int>> mail{1};
  const auto pops = [&] { CHECK(mail.try_pop_for(100ms).error() == queue_status::timeout); };
  CHECK(test::cpu_time_of(pops, 2ms) < 2ms);
  CHECK(mail.push(1));
  const auto pushes = [&] { CHECK(mail.try_push_for(2, 100ms) == queue_status::timeout); };
  CHECK(test::cpu_time_of(pushes, 2ms) < 2ms);
  test::calling_source source;
  const auto ends = [&] {
    CHECK(mail.close_and_wait_for(100ms, source.get_token()) == queue_status::timeout);
  };
  CHECK(test::cpu_time_of(ends, 2ms) < 2ms);
}

#endif
