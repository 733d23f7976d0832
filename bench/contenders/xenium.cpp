// SPDX-License-Identifier: MIT
// xenium (libxenium-dev): Vyukov's ring, where try_push waits for whoever is in its way, or not
// ("weak"), and the unbounded queue by Michael and Scott.
#include <bench/harness/program.hpp>

#include <xenium/michael_scott_queue.hpp>
#include <xenium/reclamation/generic_epoch_based.hpp>
#include <xenium/vyukov_bounded_queue.hpp>

namespace {

template <class T, bool Weak>
class adapter {
public:
  adapter(std::size_t capacity, std::size_t /*threads*/) : line_(capacity) {}
  bool try_push(const T& value) {
    return Weak ? line_.try_push_weak(value) : line_.try_push_strong(value);
  }
  bool try_pop(T& into) { return Weak ? line_.try_pop_weak(into) : line_.try_pop_strong(into); }

private:
  xenium::vyukov_bounded_queue<T> line_;
};

/// Its authors call the weak form lock-free; but behind a thread that stands still in the middle of
/// a call all others find the queue full or empty for ever.
struct vyukov {
  static constexpr bench::facts about{.name = "xenium vyukov_bounded_queue",
                                      .header = "xenium/vyukov_bounded_queue.hpp"};
  template <class T>
  using queue = adapter<T, false>;
};

struct vyukov_weak {
  static constexpr bench::facts about{.name = "xenium vyukov_bounded_queue, weak",
                                      .header = "xenium/vyukov_bounded_queue.hpp"};
  template <class T>
  using queue = adapter<T, true>;
};

struct michael_scott {
  static constexpr bench::facts about{.name = "xenium michael_scott_queue",
                                      .header = "xenium/michael_scott_queue.hpp",
                                      .lock_free = true};
  template <class T>
  class queue {
  public:
    queue(std::size_t /*capacity*/, std::size_t /*threads*/) {}
    bool try_push(const T& value) {
      line_.push(value);
      return true;
    }
    bool try_pop(T& into) { return line_.try_pop(into); }

  private:
    using reclaimer = xenium::policy::reclaimer<xenium::reclamation::epoch_based<>>;
    xenium::michael_scott_queue<T, reclaimer> line_;
  };
};

} // namespace

void bench::enter_all() {
  enter<vyukov>();
  enter<vyukov_weak>();
  enter<michael_scott>();
}
