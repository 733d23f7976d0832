// SPDX-License-Identifier: MIT
#include <mailroom/core/status.hpp>

#include <doctest/doctest.h>
#include <support/print.hpp>
#include <support/tracked.hpp>

#include <any>         // any
#include <memory>      // unique_ptr, make_unique
#include <string>      // string
#include <type_traits> // is_*_constructible
#include <utility>     // move
#include <version>     // __cpp_lib_expected

#if defined(__cpp_lib_expected)
#include <expected> // expected
#endif

namespace {

using mailroom::queue_status;
using mailroom::to_string;
using mailroom::unexpected;

template <class T>
using answer = mailroom::expected<T, queue_status>;

} // namespace

TEST_CASE("status: every status has the name that the program uses") {
  CHECK(to_string(queue_status::success) == "success");
  CHECK(to_string(queue_status::empty) == "empty");
  CHECK(to_string(queue_status::full) == "full");
  CHECK(to_string(queue_status::closed) == "closed");
  CHECK(to_string(queue_status::busy) == "busy");
  CHECK(to_string(queue_status::busy_async) == "busy_async");
  CHECK(to_string(queue_status::timeout) == "timeout");
  CHECK(to_string(queue_status::stopped) == "stopped");
  CHECK(to_string(queue_status::dropped) == "dropped");
  CHECK(to_string(queue_status::lagged) == "lagged");
  CHECK(to_string(static_cast<queue_status>(99)) == "unknown");
  static_assert(to_string(queue_status::full) == "full");
}

TEST_CASE("status: success is zero, and the first six are P0260's in its order") {
  static_assert(static_cast<int>(queue_status::success) == 0);
  static_assert(static_cast<int>(queue_status::empty) == 1);
  static_assert(static_cast<int>(queue_status::full) == 2);
  static_assert(static_cast<int>(queue_status::closed) == 3);
  static_assert(static_cast<int>(queue_status::busy) == 4);
  static_assert(static_cast<int>(queue_status::busy_async) == 5);
  static_assert(sizeof(queue_status) == 1);
}

TEST_CASE("expected: it holds a value, or the reason why not") {
  const answer<int> five{5};
  CHECK(five.has_value());
  CHECK(static_cast<bool>(five));
  CHECK(*five == 5);
  CHECK(five.error() == queue_status::success);

  const answer<int> none{unexpected{queue_status::empty}};
  CHECK(!none.has_value());
  CHECK(!static_cast<bool>(none));
  CHECK(none.error() == queue_status::empty);
}

TEST_CASE("expected: the value is reached as through a pointer, and moved out of an rvalue") {
  answer<std::string> text{std::string{"abc"}};
  CHECK(text->size() == 3);
  text->push_back('d');
  *text += 'e';
  const auto& same = text;
  CHECK(same->size() == 5);
  CHECK(*same == "abcde");
  const std::string taken = *std::move(text);
  CHECK(taken == "abcde");

  answer<std::unique_ptr<int>> owner{std::make_unique<int>(3)};
  const std::unique_ptr<int> number = *std::move(owner);
  CHECK(*number == 3);
}

TEST_CASE("expected: value_or gives the value, or the other") {
  const answer<int> five{5};
  const answer<int> none{unexpected{queue_status::full}};
  CHECK(five.value_or(9) == 5);
  CHECK(none.value_or(9) == 9);
  CHECK(answer<std::unique_ptr<int>>{std::make_unique<int>(4)}.value_or(nullptr) != nullptr);
  CHECK(answer<std::unique_ptr<int>>{unexpected{queue_status::full}}.value_or(nullptr) == nullptr);
}

TEST_CASE("expected: it is copied where its value is") {
  test::ledger book;
  {
    const answer<test::tracked> five{test::tracked{5}};
    const answer<test::tracked> none{unexpected{queue_status::closed}};
    const answer<test::tracked> same{five};
    const answer<test::tracked> same_none{none};
    CHECK(same->value() == 5);
    CHECK(five->value() == 5);
    CHECK(same_none.error() == queue_status::closed);
    const test::tracked six{6};
    CHECK(answer<test::tracked> { six } -> value() == 6);
    CHECK(six.value() == 6);
  }
  CHECK(book.is_balanced());
  static_assert(std::is_copy_constructible_v<answer<int>>);
  static_assert(std::is_copy_assignable_v<answer<int>>);
  static_assert(!std::is_copy_constructible_v<answer<test::move_only>>);
  static_assert(!std::is_copy_assignable_v<answer<test::move_only>>);
  static_assert(!std::is_default_constructible_v<answer<int>>);
}

TEST_CASE("expected: a move cannot fail where the value's cannot") {
  static_assert(std::is_nothrow_move_constructible_v<answer<test::move_only>>);
  static_assert(std::is_nothrow_move_assignable_v<answer<test::move_only>>);
  static_assert(!std::is_nothrow_move_constructible_v<answer<test::throwing_move>>);
  static_assert(!std::is_nothrow_move_assignable_v<answer<test::throwing_move>>);
}

TEST_CASE("expected: any state is assigned to any other") {
  test::ledger book;
  {
    using thing = answer<test::tracked>;
    const thing states[] = {thing{test::tracked{1}}, thing{test::tracked{2}},
                            thing{unexpected{queue_status::empty}},
                            thing{unexpected{queue_status::busy}}};
    for (const thing& from : states) {
      for (const thing& before : states) {
        thing copied{before};
        copied = from;
        thing moved{before};
        moved = thing{from};
        for (const thing* to : {&copied, &moved}) {
          CHECK(to->has_value() == from.has_value());
          CHECK(to->error() == from.error());
          if (from) CHECK((*to)->value() == from->value());
        }
      }
    }
  }
  CHECK(book.is_balanced());
}

TEST_CASE("expected: an assignment to itself changes nothing") {
  test::ledger book;
  {
    answer<test::tracked> five{test::tracked{5}};
    auto& same = five;
    five = same;
    CHECK(five->value() == 5);
    five = std::move(same);
    CHECK(five->value() == 5);
  }
  CHECK(book.is_balanced());
}

namespace {

/// A list of one kind of thing: each holds the next.
struct chain_link {
  int value;
  std::unique_ptr<answer<chain_link>> next;
};

} // namespace

TEST_CASE("expected: it may be replaced by a part of its own value") {
  answer<chain_link> list{
      chain_link{1, std::make_unique<answer<chain_link>>(chain_link{2, nullptr})}};
  list = std::move(*list->next);
  REQUIRE(list.has_value());
  CHECK(list->value == 2);
  CHECK(list->next == nullptr);
}

TEST_CASE("expected: a throw leaves it with a value or with none, never between") {
  test::ledger book;
  {
    using thing = answer<test::throwing_move>;
    thing five{test::throwing_move{5}};
    const thing six{test::throwing_move{6}};
    book.fail_at(1);
    CHECK_THROWS_AS((void)thing{six}, test::boom);
    book.fail_at(1);
    CHECK_THROWS_AS((void)thing{std::move(five)}, test::boom);
    CHECK(five->value() == 5);
    for (int n = 1; n != 3; ++n) {
      thing none{unexpected{queue_status::full}};
      book.fail_at(n);
      try {
        none = six;
      } catch (const test::boom&) {
        CHECK(!none.has_value());
      }
      thing seven{test::throwing_move{7}};
      book.fail_at(n);
      try {
        seven = six;
      } catch (const test::boom&) {
        CHECK((!seven.has_value() || seven->value() == 7));
      }
      book.fail_at(0);
    }
  }
  CHECK(book.is_balanced());
}

TEST_CASE("expected: taking commits after the move, and only then") {
  test::ledger book;
  {
    test::throwing_move source{8};
    int commits = 0;
    const auto commit = [&commits] { ++commits; };
    {
      const answer<test::throwing_move> taken{mailroom::detail::take, source, commit};
      CHECK(taken->value() == 8);
      CHECK(commits == 1);
    }
    test::throwing_move other{9};
    book.fail_at(1);
    CHECK_THROWS_AS((void)(answer<test::throwing_move>{mailroom::detail::take, other, commit}),
                    test::boom);
    CHECK(commits == 1);
    CHECK(other.value() == 9);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("expected: taking what others still read copies it, and then commits") {
  test::ledger book;
  {
    const test::tracked source{8};
    int commits = 0;
    const auto commit = [&commits] { ++commits; };
    book.fail_at(1);
    CHECK_THROWS_AS((void)(answer<test::tracked>{mailroom::detail::take, source, commit}),
                    test::boom);
    CHECK(commits == 0);
    const answer<test::tracked> taken{mailroom::detail::take, source, commit};
    CHECK(taken->value() == 8);
    CHECK(source.value() == 8);
    CHECK(commits == 1);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("expected: a value may be of a type that holds anything, or of the status itself") {
  const answer<std::any> thing{std::any{5}};
  const auto same = thing;
  CHECK(std::any_cast<int>(*same) == 5);
  const answer<queue_status> full{queue_status::full};
  CHECK(full.has_value());
  CHECK(*full == queue_status::full);
  const answer<queue_status> none{unexpected{queue_status::empty}};
  CHECK(!none.has_value());
  CHECK(none.error() == queue_status::empty);
}

#if defined(__cpp_lib_expected)
TEST_CASE("expected: it converts to the one of the standard library") {
  std::expected<std::unique_ptr<int>, queue_status> number =
      answer<std::unique_ptr<int>>{std::make_unique<int>(3)};
  REQUIRE(number.has_value());
  CHECK(**number == 3);
  std::expected<int, queue_status> none = answer<int>{unexpected{queue_status::timeout}};
  REQUIRE(!none.has_value());
  CHECK(none.error() == queue_status::timeout);
}
#endif
