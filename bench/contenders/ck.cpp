// SPDX-License-Identifier: MIT
// Concurrency Kit (libck-dev), its ring in both modes. Pointers travel in it; ours are numbers. The
// header is C: `false` has to be a null pointer for it, and -fpermissive does the rest.
#include <bench/harness/program.hpp>

#include <concepts> // same_as
#include <vector>   // vector

#define false 0
extern "C" {
#include <ck_ring.h>
}
#undef false

namespace {

/// One place of the ring stays empty, so it is made twice as large as it would have to be, and
/// holds more than it is asked for.
template <class Mode>
class ring {
public:
  ring(std::size_t capacity, std::size_t /*threads*/) : places_(2 * capacity) {
    ck_ring_init(&ring_, static_cast<unsigned>(places_.size()));
  }
  bool try_push(bench::number value) {
    return Mode::push(&ring_, places_.data(), reinterpret_cast<void*>(value));
  }
  bool try_pop(bench::number& into) {
    void* value = nullptr;
    if (!Mode::pop(&ring_, places_.data(), &value)) return {};
    into = reinterpret_cast<bench::number>(value);
    return true;
  }

private:
  ck_ring_t ring_{};
  std::vector<ck_ring_buffer_t> places_;
};

struct one_to_one {
  static constexpr bench::facts about{.name = "ck_ring, spsc",
                                      .header = "ck_ring.h",
                                      .producers = mailroom::arity::one,
                                      .consumers = mailroom::arity::one,
                                      .lock_free = true};
  static bool push(ck_ring_t* ring, ck_ring_buffer_t* places, void* value) {
    return ck_ring_enqueue_spsc(ring, places, value);
  }
  static bool pop(ck_ring_t* ring, ck_ring_buffer_t* places, void** into) {
    return ck_ring_dequeue_spsc(ring, places, into);
  }
  template <std::same_as<bench::number> T>
  using queue = ring<one_to_one>;
};

struct many_to_many {
  static constexpr bench::facts about{.name = "ck_ring, mpmc", .header = "ck_ring.h"};
  static bool push(ck_ring_t* ring, ck_ring_buffer_t* places, void* value) {
    return ck_ring_enqueue_mpmc(ring, places, value);
  }
  static bool pop(ck_ring_t* ring, ck_ring_buffer_t* places, void** into) {
    return ck_ring_dequeue_mpmc(ring, places, into);
  }
  template <std::same_as<bench::number> T>
  using queue = ring<many_to_many>;
};

} // namespace

void bench::enter_all() {
  enter<one_to_one>();
  enter<many_to_many>();
}
