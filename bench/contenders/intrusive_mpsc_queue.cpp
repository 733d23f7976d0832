// SPDX-License-Identifier: MIT
// intrusive_mpsc_queue: the producer makes a node for each message, the consumer deletes it, and
// that is part of the figures. It has no bound.
#include <bench/harness/program.hpp>

#include <mailroom/queue/intrusive_mpsc_queue.hpp>

namespace {

template <class T>
struct mail : mailroom::intrusive_node {
  explicit mail(const T& from) : value{from} {}
  T value;
};

struct intrusive {
  using promises = mailroom::queue_facts<mailroom::intrusive_mpsc_queue<mail<bench::number>>>;
  static constexpr bench::facts about{.name = "intrusive_mpsc_queue",
                                      .header = "mailroom/queue/intrusive_mpsc_queue.hpp",
                                      .from = bench::origin::ours,
                                      .producers = promises::producers,
                                      .consumers = promises::consumers,
                                      .order = promises::order,
                                      .lock_free = true};

  template <class T>
  class queue {
  public:
    queue(std::size_t /*capacity*/, std::size_t /*threads*/) {}
    queue(const queue&) = delete;
    queue& operator=(const queue&) = delete;
    ~queue() {
      while (mail<T>* const left = line_.try_pop()) delete left;
    }
    bool try_push(const T& value) {
      line_.push(*new mail<T>{value});
      return true;
    }
    bool try_pop(T& into) {
      mail<T>* const first = line_.try_pop();
      if (first == nullptr) return false;
      into = first->value;
      delete first;
      return true;
    }

  private:
    mailroom::intrusive_mpsc_queue<mail<T>> line_;
  };
};

} // namespace

void bench::enter_all() { enter<intrusive>(); }
