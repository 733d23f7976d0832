// SPDX-License-Identifier: MIT
#include <mailroom/topic/filter_syntax.hpp>

#include <doctest/doctest.h>

#include <cstddef>     // size_t
#include <stdexcept>   // invalid_argument
#include <string>      // string
#include <string_view> // string_view
#include <vector>      // vector

namespace {

using mailroom::dialect;
using mailroom::name_fault;
using mailroom::detail::body_of;
using mailroom::detail::check_topic;
using mailroom::detail::find_fault;
using mailroom::detail::group_of;
using mailroom::detail::name_kind;
using mailroom::detail::token_cursor;
using mailroom::detail::token_kind;
using enum token_kind;
using namespace std::string_view_literals;

using views = std::vector<std::string_view>;
using kinds = std::vector<token_kind>;

static_assert(noexcept(find_fault({}, dialect::nats, name_kind::filter)));
static_assert(find_fault("a..b", dialect::nats, name_kind::filter).at == 2);
static_assert(!find_fault("a..b", dialect::amqp, name_kind::filter));

views tokens(std::string_view text, dialect rules) {
  views all;
  for (token_cursor at{text, rules}; !at.is_over(); at.next()) all.push_back(at.token());
  return all;
}

kinds kinds_of(std::string_view filter, dialect rules) {
  kinds all;
  for (token_cursor at{filter, rules}; !at.is_over(); at.next()) all.push_back(at.kind());
  return all;
}

/// "reason at byte n", or nothing.
std::string fault(std::string_view text, dialect rules, name_kind kind = name_kind::filter) {
  const name_fault found = find_fault(text, rules, kind);
  if (!found) return "";
  return std::string{found.reason} + " at " + std::to_string(found.at);
}

std::string name_error(std::string_view name, dialect rules) {
  return fault(name, rules, name_kind::topic);
}

} // namespace

// ---- Tokens

TEST_CASE("filter_syntax: each dialect has its separator, and exact has none") {
  CHECK(tokens("a.b/c", dialect::nats) == views{"a", "b/c"});
  CHECK(tokens("a.b/c", dialect::mqtt) == views{"a.b", "c"});
  CHECK(tokens("a.b/c", dialect::amqp) == views{"a", "b/c"});
  CHECK(tokens("a.b/c", dialect::exact) == views{"a.b/c"});
}

TEST_CASE("filter_syntax: empty tokens are tokens, and the empty text has none") {
  CHECK(tokens("/", dialect::mqtt) == views{"", ""});
  CHECK(tokens("a//", dialect::mqtt) == views{"a", "", ""});
  CHECK(tokens(".a", dialect::amqp) == views{"", "a"});
  CHECK(tokens("..", dialect::amqp) == views{"", "", ""});
  CHECK(tokens("", dialect::amqp).empty());
}

TEST_CASE("filter_syntax: a wildcard is a whole token, of its own dialect") {
  CHECK(kinds_of("a.*.>", dialect::nats) == kinds{plain, one, some});
  CHECK(kinds_of("a*.>>.#.+", dialect::nats) == kinds{plain, plain, plain, plain});
  CHECK(kinds_of("a/+/#", dialect::mqtt) == kinds{plain, one, many});
  CHECK(kinds_of("*/>//", dialect::mqtt) == kinds{plain, plain, plain, plain});
  CHECK(kinds_of("#.*.#.a", dialect::amqp) == kinds{many, one, many, plain});
  CHECK(kinds_of("##.**.>.+.", dialect::amqp) == kinds{plain, plain, plain, plain, plain});
  CHECK(kinds_of("*", dialect::exact) == kinds{plain});
  CHECK(kinds_of("#", dialect::exact) == kinds{plain});
}

TEST_CASE("filter_syntax: what stands between two places is a piece of the text, or nothing") {
  const std::string_view text = "a..bc";
  const token_cursor first{text, dialect::amqp};
  token_cursor second = first;
  second.next();
  token_cursor third = second;
  third.next();
  token_cursor end = third;
  end.next();
  CHECK(end.is_over());
  CHECK(first.until(third) == "a.");
  CHECK(first.until(end) == text);
  CHECK(third.until(end) == "bc");
  CHECK(second.until(third) == "");
  CHECK(second.until(third).data() == text.data() + 2); // an empty token
  CHECK(second.until(second).data() == nullptr);        // no token
  CHECK(end.until(end).data() == nullptr);
}

TEST_CASE("filter_syntax: a group is named in front of a filter of mqtt") {
  CHECK(group_of("$share/g/a/b", dialect::mqtt) == "g");
  CHECK(body_of("$share/g/a/b", dialect::mqtt) == "a/b");
  CHECK(body_of("$share/g//", dialect::mqtt) == "/");
  CHECK(body_of("$share/g/$share/h/a", dialect::mqtt) == "$share/h/a");
  for (const auto rules : {dialect::exact, dialect::nats, dialect::amqp}) {
    CHECK(group_of("$share/g/a", rules).empty());
    CHECK(body_of("$share/g/a", rules) == "$share/g/a");
  }
  for (const auto filter : {"$share", "$shared/g/a", "a/$share/g/a", "$SHARE/g/a"}) {
    CHECK(group_of(filter, dialect::mqtt).empty());
    CHECK(body_of(filter, dialect::mqtt) == filter);
  }
}

// ---- Faults

TEST_CASE("filter_syntax: mqtt: a wildcard is a whole level, and # the last one") {
  CHECK(fault("a/+/b/#", dialect::mqtt) == "");
  CHECK(fault("+", dialect::mqtt) == "");
  CHECK(fault("#", dialect::mqtt) == "");
  CHECK(fault("/", dialect::mqtt) == "");
  CHECK(fault(" /\t", dialect::mqtt) == "");
  CHECK(fault("a/b+", dialect::mqtt) == "wildcard inside a level at 3");
  CHECK(fault("+a", dialect::mqtt) == "wildcard inside a level at 0");
  CHECK(fault("a/#b", dialect::mqtt) == "wildcard inside a level at 2");
  CHECK(fault("++", dialect::mqtt) == "wildcard inside a level at 0");
  CHECK(fault("a/#/", dialect::mqtt) == "'#' before the last level at 2");
  CHECK(fault("", dialect::mqtt) == "empty name at 0");
  CHECK(fault("a/\0"sv, dialect::mqtt) == "forbidden NUL at 2");
}

TEST_CASE("filter_syntax: mqtt: a group has a name without wildcards, and a filter behind it") {
  CHECK(fault("$share/g/a", dialect::mqtt) == "");
  CHECK(fault("$share/g//", dialect::mqtt) == "");
  CHECK(fault("$share", dialect::mqtt) == "");
  CHECK(fault("$share/", dialect::mqtt) == "empty group name at 7");
  CHECK(fault("$share//a", dialect::mqtt) == "empty group name at 7");
  CHECK(fault("$share/g", dialect::mqtt) == "no filter after the group at 8");
  CHECK(fault("$share/g/", dialect::mqtt) == "no filter after the group at 8");
  CHECK(fault("$share/g+/a", dialect::mqtt) == "wildcard in a group name at 8");
  CHECK(fault("$share/#/a", dialect::mqtt) == "wildcard in a group name at 7");
  CHECK(fault("$share/\0/a"sv, dialect::mqtt) == "forbidden NUL at 7");
  CHECK(fault("$share/g/#/a", dialect::mqtt) == "'#' before the last level at 9");
}

TEST_CASE("filter_syntax: mqtt: a name has no wildcard anywhere, and may look like a group") {
  CHECK(name_error("a//b/", dialect::mqtt) == "");
  CHECK(name_error("$share/", dialect::mqtt) == "");
  CHECK(name_error("a/b+c", dialect::mqtt) == "wildcard in a topic name at 3");
  CHECK(name_error("$share/+/a", dialect::mqtt) == "wildcard in a topic name at 7");
  CHECK(name_error("#", dialect::mqtt) == "wildcard in a topic name at 0");
  CHECK(name_error("", dialect::mqtt) == "empty name at 0");
}

TEST_CASE("filter_syntax: amqp: everything is a name and a filter that has no NUL") {
  for (const auto text : {"", ".", "..", "*", "#", "a*", "##", "#.#", "a. b.\t", "a.*.#.b."}) {
    CAPTURE(text);
    CHECK(fault(text, dialect::amqp) == "");
    CHECK(name_error(text, dialect::amqp) == "");
  }
  CHECK(fault("a.\0"sv, dialect::amqp) == "forbidden NUL at 2");
  CHECK(name_error("\0"sv, dialect::amqp) == "forbidden NUL at 0");
}

TEST_CASE("filter_syntax: a text may be as long as the dialect says, and no longer") {
  const auto of_length = [](std::size_t length) { return std::string(length, 'x'); };
  CHECK(fault(of_length(255), dialect::amqp) == "");
  CHECK(fault(of_length(256), dialect::amqp) == "more than 255 bytes at 255");
  CHECK(name_error(of_length(256), dialect::amqp) == "more than 255 bytes at 255");
  CHECK(fault(of_length(65535), dialect::mqtt) == "");
  CHECK(fault(of_length(65536), dialect::mqtt) == "more than 65535 bytes at 65535");
  CHECK(name_error(of_length(65536), dialect::mqtt) == "more than 65535 bytes at 65535");
  CHECK(fault(of_length(65536), dialect::nats) == "");
  CHECK(fault(of_length(65536), dialect::exact) == "");
  CHECK(fault(of_length(300) + '\0', dialect::amqp) == "forbidden NUL at 300");
}

TEST_CASE("filter_syntax: an exception tells the same reason and the same place") {
  try {
    check_topic("a/+\n", dialect::mqtt);
    FAIL("no exception");
  } catch (const std::invalid_argument& error) {
    CHECK(error.what() == R"(mailroom: topic "a/+\x0a": wildcard in a topic name at byte 2)"sv);
  }
}
