// SPDX-License-Identifier: MIT
#include <mailroom/topic/name_table.hpp>

#include <doctest/doctest.h>
#include <support/threads.hpp>

#include <atomic>      // atomic
#include <cstddef>     // size_t
#include <functional>  // hash
#include <stdexcept>   // runtime_error
#include <string>      // string, to_string
#include <string_view> // string_view
#include <vector>      // vector

namespace {

using mailroom::detail::name_table;
using namespace std::string_view_literals;

/// Has a name, and a number if it is told one.
class named {
public:
  explicit named(std::string_view name, int value = 0) : number{value}, name_{name} {
    if (value < 0) throw std::runtime_error{"negative"};
  }
  std::string_view name() const noexcept { return name_; }
  const int number;

private:
  const std::string name_;
};

using table = name_table<named>;

/// Names whose hashes end in the same bits: in a table of up to 2^bits places they all want one
/// place.
std::vector<std::string> colliding(std::size_t count, std::size_t bits, std::size_t end) {
  std::vector<std::string> found;
  const std::size_t mask = (std::size_t{1} << bits) - 1;
  for (int i = 0; found.size() != count; ++i) {
    std::string name = "name." + std::to_string(i);
    if ((std::hash<std::string_view>{}(name)&mask) == (end & mask))
      found.push_back(std::move(name));
  }
  return found;
}

} // namespace

TEST_CASE("name_table: an empty table finds nothing") {
  const table names;
  CHECK(names.find("a") == nullptr);
  CHECK(names.find("") == nullptr);
  CHECK(names.entries().empty());
}

TEST_CASE("name_table: what was added is found by its name, and by no other") {
  table names;
  named& made = names.add("orders.eu", 7);
  CHECK(made.name() == "orders.eu");
  CHECK(made.number == 7);
  CHECK(names.find("orders.eu") == &made);
  for (const auto other : {"orders.e"sv, "orders.eu."sv, "orders.EU"sv, ""sv, "orders.eu\0"sv}) {
    CHECK(names.find(other) == nullptr);
  }
}

TEST_CASE("name_table: any bytes are a name, of any length") {
  table names;
  const std::string longest(100'000, 'x');
  const std::vector<std::string_view> all{"",      "\0"sv,       "a\0b"sv, "a\0c"sv,
                                          "a\0"sv, "\xff\xfe"sv, "a",      longest};
  std::vector<const named*> made;
  for (const auto name : all) made.push_back(&names.add(name));
  for (std::size_t i = 0; i != all.size(); ++i) {
    CAPTURE(i);
    CHECK(names.find(all[i]) == made[i]);
    CHECK(names.find(all[i])->name() == all[i]);
  }
}

TEST_CASE("name_table: the name is a copy, the caller's text may end") {
  table names;
  std::string text = "short-lived";
  const named& made = names.add(text);
  text = "overwritten";
  CHECK(names.find("short-lived") == &made);
  CHECK(names.find(text) == nullptr);
}

TEST_CASE("name_table: R-52: while it grows every entry stays where it is, and is found") {
  table names;
  std::vector<const named*> made;
  for (int i = 0; i != 5000; ++i) {
    made.push_back(&names.add(std::to_string(i), i));
    if (i % 97 != 0 && i > 200) continue; // all of them each time would take minutes
    for (int k = 0; k <= i; ++k) {
      REQUIRE(names.find(std::to_string(k)) == made[static_cast<std::size_t>(k)]);
    }
    REQUIRE(names.find(std::to_string(i + 1)) == nullptr);
  }
  REQUIRE(names.entries().size() == made.size());
  for (std::size_t i = 0; i != made.size(); ++i) REQUIRE(names.entries()[i].get() == made[i]);
}

TEST_CASE("name_table: names that want the same place are told apart") {
  // 40 of them, in a table that begins with 64 places and then grows, beginning at its last place
  // so that they go round its end.
  const auto wanted = colliding(40, 8, 0xff);
  const auto others = colliding(41, 8, 0xff);
  table names;
  std::vector<const named*> made;
  for (const auto& name : wanted) {
    CHECK(names.find(name) == nullptr);
    made.push_back(&names.add(name));
    for (std::size_t i = 0; i != made.size(); ++i) REQUIRE(names.find(wanted[i]) == made[i]);
  }
  CHECK(names.find(others.back()) == nullptr);
}

TEST_CASE("name_table: an entry that cannot be made leaves the table as it was") {
  table names;
  for (int i = 0; i != 32; ++i) names.add(std::to_string(i), i); // the next one makes it grow
  CHECK_THROWS_AS(names.add("bad", -1), std::runtime_error);
  CHECK(names.find("bad") == nullptr);
  CHECK(names.entries().size() == 32);
  for (int i = 0; i != 32; ++i) REQUIRE(names.find(std::to_string(i))->number == i);
  CHECK(names.find("bad") == nullptr);
  const named& made = names.add("bad", 5);
  CHECK(names.find("bad") == &made);
  CHECK(names.entries().size() == 33);
}

TEST_CASE("name_table: R-06: readers find, without a lock, what they were told is there") {
  const test::watchdog dog{"name_table: find while adding"};
  constexpr int count = 4000;
  for (int round = 0; round != 3; ++round) {
    table names;
    std::atomic<int> added{0};
    std::atomic<int> faults{0};
    const auto read = [&] {
      unsigned step = 1;
      for (int known = 0; known != count;) {
        known = added.load();
        for (int i = 0; i != 50 && known != 0; ++i) {
          step = step * 1664525U + 1013904223U;
          const int which = static_cast<int>((step >> 8) % static_cast<unsigned>(known));
          const named* const found = names.find("topic." + std::to_string(which));
          if (found == nullptr || found->number != which) faults.fetch_add(1);
        }
        if (names.find("nobody." + std::to_string(known)) != nullptr) faults.fetch_add(1);
        // One that is just being added is found as a whole, or not yet.
        const named* const young = names.find("topic." + std::to_string(known));
        if (young != nullptr && young->number != known) faults.fetch_add(1);
      }
    };
    const auto write = [&] {
      for (int i = 0; i != count; ++i) {
        names.add("topic." + std::to_string(i), i);
        added.store(i + 1);
      }
    };
    test::run_together({read, read, read, write});
    CHECK(faults == 0);
  }
}
