// SPDX-License-Identifier: MIT
// broadcast_queue, lossless, with the one reader that takes the part of a consumer here: what it
// costs that there could be more of them.
#include <bench/harness/program.hpp>

#include <mailroom/queue/broadcast_queue.hpp>

namespace {

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

template <mailroom::arity Producers>
constexpr bench::facts about_one_reader(const char* name) {
  using promises = mailroom::queue_facts<
      mailroom::broadcast_queue<bench::number, mailroom::broadcast_mode::lossless, Producers>>;
  return {.name = name,
          .header = "mailroom/queue/broadcast_queue.hpp",
          .from = bench::origin::ours,
          .producers = Producers,
          .consumers = mailroom::arity::one,
          .order = promises::order,
          .lock_free = promises::push_progress <= mailroom::progress::lock_free &&
                       promises::pop_progress <= mailroom::progress::lock_free};
}

struct from_one {
  static constexpr bench::facts about =
      about_one_reader<mailroom::arity::one>("broadcast_queue, one producer and reader");
  template <class T>
  using queue = adapter<T, mailroom::arity::one>;
};

struct from_many {
  static constexpr bench::facts about =
      about_one_reader<mailroom::arity::many>("broadcast_queue, one reader");
  template <class T>
  using queue = adapter<T, mailroom::arity::many>;
};

} // namespace

void bench::enter_all() {
  enter<from_one>();
  enter<from_many>();
}
