// SPDX-License-Identifier: MIT
#include <mailroom/detail/counted.hpp>

#include <doctest/doctest.h>
#include <support/threads.hpp>

#include <array>       // array
#include <functional>  // function
#include <stdexcept>   // runtime_error
#include <type_traits> // is_nothrow_move_constructible, is_convertible
#include <utility>     // move, as_const
#include <vector>      // vector

namespace {

using mailroom::detail::counted;
using mailroom::detail::make_counted;
using mailroom::detail::ref;

/// Says into `ends` that its life has ended.
struct thing : counted {
  explicit thing(int& told) : ends{&told} {}
  ~thing() override { ++*ends; }
  int* ends;
};
struct special : thing {
  using thing::thing;
  int more = 7;
};

struct never_made : counted {
  explicit never_made(int& told) : part{told} { throw std::runtime_error{"no"}; }
  struct piece {
    explicit piece(int& told) : ends{&told} {}
    piece(const piece&) = delete;
    piece& operator=(const piece&) = delete;
    ~piece() { ++*ends; }
    int* ends;
  } part;
};

static_assert(std::is_nothrow_move_constructible_v<ref<thing>>);
static_assert(std::is_nothrow_copy_constructible_v<ref<thing>>);
static_assert(std::is_convertible_v<const ref<special>&, ref<thing>>);
static_assert(std::is_convertible_v<const ref<thing>&, ref<const thing>>);
static_assert(!std::is_convertible_v<const ref<thing>&, ref<special>>);
static_assert(!std::is_convertible_v<thing*, ref<thing>>);

} // namespace

TEST_CASE("counted: an object lives until its last reference is gone, and is destroyed once") {
  int ends = 0;
  {
    const auto first = make_counted<thing>(ends);
    {
      const auto second = first;
      CHECK(second.get() == first.get());
    }
    CHECK(ends == 0);
  }
  CHECK(ends == 1);
}

TEST_CASE("counted: a moved reference is none, and nothing was counted") {
  int ends = 0;
  auto first = make_counted<thing>(ends);
  auto second = std::move(first);
  CHECK_FALSE(std::as_const(first));
  CHECK(first.get() == nullptr);
  CHECK(second);
  second = ref<thing>{};
  CHECK(ends == 1);
}

TEST_CASE("counted: assigning drops what was referred to before") {
  int ends_of_one = 0;
  int ends_of_other = 0;
  auto at = make_counted<thing>(ends_of_one);
  const auto other = make_counted<thing>(ends_of_other);
  at = other;
  CHECK(ends_of_one == 1);
  CHECK(ends_of_other == 0);
  CHECK(at.get() == other.get());
}

TEST_CASE("counted: assigning a reference to itself changes nothing") {
  int ends = 0;
  auto at = make_counted<thing>(ends);
  const auto& same = at;
  at = same;
  CHECK(at);
  CHECK(ends == 0);
  at = std::move(const_cast<ref<thing>&>(same));
  CHECK(at);
  CHECK(ends == 0);
}

TEST_CASE("counted: a reference to a base destroys the whole object") {
  int ends = 0;
  {
    ref<const counted> keeper;
    {
      const auto whole = make_counted<special>(ends);
      keeper = ref<const counted>{whole};
      CHECK(whole->more == 7);
    }
    CHECK(ends == 0);
  }
  CHECK(ends == 1);
}

TEST_CASE("counted: a reference can be made of an object that is referred to already") {
  int ends = 0;
  {
    const auto first = make_counted<thing>(ends);
    const ref<thing> second{first.get()};
    const ref<thing> none{static_cast<thing*>(nullptr)};
    CHECK(second.get() == first.get());
    CHECK_FALSE(none);
  }
  CHECK(ends == 1);
}

TEST_CASE("counted: an object whose constructor throws leaves nothing behind") {
  int ends = 0;
  CHECK_THROWS_AS((void)make_counted<never_made>(ends), std::runtime_error);
  CHECK(ends == 1);
}

TEST_CASE("counted: a reference may end the object that it is a part of") {
  struct link : counted {
    explicit link(int& told) : ends{&told} {}
    ~link() override { ++*ends; }
    int* ends;
    ref<link> next;
  };
  int ends = 0;
  auto first = make_counted<link>(ends);
  first->next = make_counted<link>(ends);
  first->next->next = make_counted<link>(ends);
  first = first->next; // the old one goes, the next one stays
  CHECK(ends == 1);
  first->next = ref<link>{};
  CHECK(ends == 2);
  first->next = first; // a circle is the user's to open
  auto& inside = *first;
  first = ref<link>{};
  CHECK(ends == 2);
  inside.next = ref<link>{};
  CHECK(ends == 3);
}

TEST_CASE("counted: the last of many threads destroys, once, and sees what all have done") {
  constexpr std::size_t threads = 4;
  struct board : counted {
    explicit board(int& told) : ends{&told} {}
    ~board() override {
      int sum = 0;
      for (const int each : marks) sum += each;
      *ends += sum;
    }
    int* ends;
    std::array<int, threads> marks{}; // plain: only the count orders who writes and who reads
  };
  const test::watchdog dog{"counted: threads"};
  int ends = 0;
  for (int round = 0; round != 200; ++round) {
    std::vector<ref<board>> hands(threads, make_counted<board>(ends));
    std::vector<std::function<void()>> bodies;
    for (std::size_t i = 0; i != threads; ++i) {
      bodies.emplace_back([mine = std::move(hands[i]), i]() mutable {
        for (int turn = 0; turn != 20; ++turn) {
          const ref<board> more{mine};
          const ref<const counted> base{more};
        }
        mine->marks[i] = 1;
        mine = ref<board>{};
      });
    }
    hands.clear();
    test::run_together(std::move(bodies));
  }
  CHECK(ends == 200 * static_cast<int>(threads));
}
