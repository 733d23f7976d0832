// SPDX-License-Identifier: MIT
// What the machine does without a queue, in the same run: two flags and nothing else between the
// threads, the raw hand-over of blocks through a shared buffer, each with a flag of its own, and
// two words to sleep on.
#include <bench/harness/program.hpp>

#include <atomic>   // atomic_ref, memory_order
#include <bit>      // bit_ceil
#include <cstddef>  // size_t
#include <cstdint>  // uint64_t, uintptr_t
#include <optional> // optional
#include <vector>   // vector

namespace {

using namespace bench;

constexpr facts two_flags{.name = "two bare flags", .header = "", .from = origin::limit};
constexpr facts same_block{.name = "raw hand-over", .header = "", .from = origin::limit};
constexpr facts half_buffer{
    .name = "raw hand-over, half the buffer at once", .header = "", .from = origin::limit};

/// A buffer for `capacity` messages, in blocks that are handed over whole. Flag and messages of a
/// small block share a cache line.
template <class T>
class blocks {
public:
  blocks(std::size_t capacity, std::size_t messages)
      : messages_{messages}, count_{std::max<std::size_t>(capacity / messages, 1)},
        words_(words_for(messages)), memory_(count_ * words_ + line_words),
        first_{memory_.data() + to_next_line(memory_.data())} {}

  std::size_t messages() const { return messages_; }

  /// Awaits the block's turn: it is empty for an even number, full for an odd one.
  bool await(std::uint64_t block, std::uint64_t full, patience& waits) {
    const std::uint64_t wanted = 2 * (block / count_) + full;
    while (flag_of(block).load(std::memory_order_acquire) != wanted) {
      if (!waits.lasts(block)) return false;
    }
    return true;
  }
  void hand_over(std::uint64_t block, std::uint64_t full) {
    const std::uint64_t round = block / count_;
    flag_of(block).store(2 * round + (full == 1 ? 1 : 2), std::memory_order_release);
  }
  T* content(std::uint64_t block) { return reinterpret_cast<T*>(at(block) + flag_words); }

private:
  static constexpr std::size_t flag_words = 1;
  static constexpr std::size_t line_words = 8;

  static std::size_t words_for(std::size_t messages) {
    const std::size_t words = flag_words + messages * sizeof(T) / sizeof(number);
    if (words <= line_words) return std::bit_ceil(words);
    return (words + line_words - 1) / line_words * line_words;
  }
  static std::size_t to_next_line(const number* memory) {
    const auto word = reinterpret_cast<std::uintptr_t>(memory) / sizeof(number);
    return (line_words - word % line_words) % line_words;
  }

  number* at(std::uint64_t block) { return first_ + block % count_ * words_; }
  std::atomic_ref<number> flag_of(std::uint64_t block) { return std::atomic_ref{*at(block)}; }

  std::size_t messages_;
  std::size_t count_;
  std::size_t words_;
  std::vector<number> memory_;
  number* first_;
};

template <class T>
outcome hand_over(blocks<T>& buffer, waiting how, std::uint64_t messages) {
  const std::uint64_t size = buffer.messages();
  const std::uint64_t count = (messages / size / parts::count + 1) * parts::count;
  receipt got;
  parts times;
  const auto fill = [&] {
    patience waits{how};
    number next = first_number(0);
    for (std::uint64_t block = 0; block != count; ++block) {
      if (!buffer.await(block, 0, waits)) return;
      T* const content = buffer.content(block);
      for (std::size_t i = 0; i != size; ++i) write(content[i], ++next);
      buffer.hand_over(block, 1);
    }
  };
  const auto empty = [&] {
    patience waits{how};
    private_book book{1};
    times.start();
    for (std::uint64_t block = 0; block != count; ++block) {
      if (!buffer.await(block, 1, waits)) break;
      T* const content = buffer.content(block);
      for (std::size_t i = 0; i != size; ++i) {
        T value = content[i];
        book.enter(read(value));
      }
      buffer.hand_over(block, 0);
      if ((block + 1) % (count / parts::count) == 0) {
        times.end_of_part(block / (count / parts::count));
      }
    }
    got = book.close();
  };
  run_pinned({fill, empty});
  outcome result;
  result.wrong = got.wrong;
  result.wrong.lost |= got.count != count * size;
  result.disturbed = times.one_is_far_longer();
  result.ns = static_cast<double>(times.last() - times.first()) / static_cast<double>(count * size);
  return result;
}

template <std::size_t Bytes>
void enter_hand_over(const facts& who, std::string cell, std::size_t capacity, std::size_t block) {
  for (const waiting how : ways_to_wait(2)) {
    cases().push_back({who, "one_to_one", cell, name_of(how), [=](double milliseconds) {
                         return measured(milliseconds, 2 * capacity, [&](std::uint64_t messages) {
                           blocks<message<Bytes>> buffer{capacity, block};
                           return hand_over(buffer, how, messages);
                         });
                       }});
  }
}

template <std::size_t Bytes>
void enter_hand_overs() {
  for (const std::size_t capacity : capacities) {
    const std::string cell = std::to_string(Bytes) + " B, " + std::to_string(capacity);
    enter_hand_over<Bytes>(same_block, cell, capacity, 1);
    enter_hand_over<Bytes>(half_buffer, cell, capacity, capacity / 2);
    enter_hand_over<Bytes>(same_block, cell + ", batches of 64", capacity, usual_batch);
  }
}

void enter_two_flags() {
  for (const waiting how : ways_to_wait(2)) {
    cases().push_back({two_flags, "ping_pong", "8 B", name_of(how), [=](double milliseconds) {
                         return measured(milliseconds, 1000, [&](std::uint64_t count) {
                           std::optional<round_trips> times;
                           outcome result;
                           times.emplace(count);
                           bare_ping_pong(count, how, [&] { times->end_of_one(); });
                           times->answer(result);
                           return result;
                         });
                       }});
  }
}

/// Room for one message, and a word that is slept on until it is there. Who waits sleeps at once,
/// and every push makes a system call. Only for who waits for an answer before he pushes again.
struct bare_futex {
  static constexpr facts about{.name = "two bare futexes", .header = "", .from = origin::limit};

  template <class T>
  class queue {
  public:
    queue(std::size_t /*capacity*/, std::size_t /*threads*/) {}
    bool push(const T& value) {
      value_ = value;
      full_.word.store(1, std::memory_order_release);
      mailroom::detail::futex_wake_one(full_);
      return true;
    }
    bool pop(T& into) {
      while (!try_pop(into)) {
        (void)mailroom::detail::futex_wait(full_, 0, mailroom::detail::never);
      }
      return read(into) != 0;
    }
    bool try_pop(T& into) {
      if (full_.word.load(std::memory_order_acquire) == 0) return false;
      into = value_;
      full_.word.store(0, std::memory_order_relaxed);
      return true;
    }
    void end() { push(T{}); }

  private:
    T value_{};
    mailroom::detail::futex full_;
  };
};

} // namespace

void bench::enter_all() {
  enter_sleeping<bare_futex>();
  enter_hand_overs<8>();
  enter_hand_overs<64>();
  enter_hand_overs<256>();
  enter_two_flags();
}
