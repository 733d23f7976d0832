// SPDX-License-Identifier: MIT
// broadcast_queue, lossless, with the one reader that takes the part of a consumer here: what it
// costs that there could be more of them. And what a push costs when there are.
#include <bench/harness/fan_out.hpp>
#include <bench/harness/program.hpp>

#include <mailroom/queue/broadcast_queue.hpp>

namespace {

constexpr auto one = mailroom::arity::one;
constexpr auto many = mailroom::arity::many;

template <class T, mailroom::arity Producers>
class adapter {
  using line = mailroom::broadcast_queue<T, mailroom::broadcast_mode::lossless, Producers>;
  static constexpr auto success = mailroom::queue_status::success;

public:
  adapter(std::size_t capacity, std::size_t /*threads*/) : line_(capacity) {}
  bool try_push(const T& value) { return line_.try_push(value) == success; }
  bool try_pop(T& into) { return reader_.try_pop(into) == success; }
  std::size_t try_push_n(const T* first, std::size_t count) {
    return static_cast<std::size_t>(line_.try_push_range(first, first + count) - first);
  }
  std::size_t try_pop_n(T* into, std::size_t max) { return reader_.try_pop_n(into, max); }

private:
  line line_;
  typename line::reader reader_ = line_.subscribe();
};

template <mailroom::broadcast_mode Mode, mailroom::arity Producers>
constexpr bench::facts facts_of(const char* name, mailroom::arity consumers) {
  using promises = mailroom::queue_facts<mailroom::broadcast_queue<bench::number, Mode, Producers>>;
  return {.name = name,
          .header = "mailroom/queue/broadcast_queue.hpp",
          .from = bench::origin::ours,
          .producers = Producers,
          .consumers = consumers,
          .order = promises::order,
          .lock_free = promises::push_progress <= mailroom::progress::lock_free &&
                       promises::pop_progress <= mailroom::progress::lock_free};
}

struct from_one {
  static constexpr bench::facts about = facts_of<mailroom::broadcast_mode::lossless, one>(
      "broadcast_queue, one producer and reader", one);
  template <class T>
  using queue = adapter<T, one>;
};

struct from_many {
  static constexpr bench::facts about =
      facts_of<mailroom::broadcast_mode::lossless, many>("broadcast_queue, one reader", one);
  template <class T>
  using queue = adapter<T, many>;
};

template <mailroom::broadcast_mode Mode, mailroom::arity Producers>
constexpr const char* kind() {
  if (Mode == mailroom::broadcast_mode::lossless) {
    return Producers == one ? "broadcast_queue, one producer" : "broadcast_queue";
  }
  return Producers == one ? "broadcast_queue, lossy, one producer" : "broadcast_queue, lossy";
}

/// For fan_out, which subscribes as many readers as it wants.
template <mailroom::broadcast_mode Mode, mailroom::arity Producers>
struct to_readers {
  static constexpr bench::facts about = facts_of<Mode, Producers>(kind<Mode, Producers>(), many);
  template <class T>
  using queue = mailroom::broadcast_queue<T, Mode, Producers>;
};

} // namespace

void bench::enter_all() {
  enter<from_one>();
  enter<from_many>();
  enter_fan_out<to_readers<mailroom::broadcast_mode::lossless, one>>();
  enter_fan_out<to_readers<mailroom::broadcast_mode::lossless, many>>();
  enter_fan_out<to_readers<mailroom::broadcast_mode::lossy, one>>();
  enter_fan_out<to_readers<mailroom::broadcast_mode::lossy, many>>();
}
