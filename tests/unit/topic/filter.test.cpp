// SPDX-License-Identifier: MIT

#include <mailroom/topic/filter.hpp>

#include <doctest/doctest.h>

#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <cstdlib>     // getenv
#include <fstream>     // ifstream
#include <random>      // mt19937_64, random_device
#include <stdexcept>   // invalid_argument
#include <string>      // string, getline, stoull, to_string
#include <string_view> // string_view
#include <type_traits> // is_nothrow_move_constructible_v, is_convertible_v
#include <utility>     // move, declval
#include <vector>      // vector

namespace {

using mailroom::dialect;
using mailroom::topic_filter;
using mailroom::detail::check_topic;
using namespace std::string_literals;
using namespace std::string_view_literals;

constexpr auto npos = std::string_view::npos;

// ---- What the compiler knows

static_assert(noexcept(topic_filter::find_fault(std::string_view{}, dialect::nats)));
static_assert(noexcept(topic_filter::find_topic_fault(std::string_view{}, dialect::nats)));
static_assert(noexcept(topic_filter::valid(std::string_view{}, dialect::nats)));
static_assert(noexcept(topic_filter::valid_topic(std::string_view{}, dialect::nats)));
static_assert(noexcept(std::declval<const topic_filter&>().matches(std::string_view{})));
static_assert(noexcept(std::declval<const topic_filter&>().capture(std::string_view{}, {})));
static_assert(noexcept(std::declval<const topic_filter&>().wildcards()));
static_assert(noexcept(std::declval<const topic_filter&>().group()));
static_assert(noexcept(std::declval<const topic_filter&>().pattern()));
static_assert(noexcept(std::declval<const topic_filter&>().rules()));
static_assert(noexcept(std::declval<const topic_filter&>().is_literal()));
static_assert(noexcept(std::declval<const topic_filter&>() == std::declval<const topic_filter&>()));
static_assert(std::is_nothrow_move_constructible_v<topic_filter>);
static_assert(std::is_nothrow_move_assignable_v<topic_filter>);
static_assert(std::is_copy_constructible_v<topic_filter>);
static_assert(!std::is_convertible_v<std::string_view, topic_filter>);
static_assert(!std::is_default_constructible_v<topic_filter>);

// A filter written into a program can be checked while it is compiled.
static_assert(topic_filter::valid("orders.*.created", dialect::nats));
static_assert(!topic_filter::valid("orders..created", dialect::nats));
static_assert(!topic_filter::valid_topic("orders.>", dialect::nats));
static_assert(topic_filter::valid_topic("orders.>", dialect::exact));
static_assert(topic_filter::find_fault("orders/#/created", dialect::mqtt).at == 7);

// ---- Tools

/// The text of the exception that making a filter of `pattern` throws; empty when it throws none.
std::string complaint(std::string_view pattern, dialect rules = dialect::nats) {
  try {
    const topic_filter made{pattern, rules};
    return {};
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

/// The same for a topic name.
std::string topic_complaint(std::string_view name, dialect rules = dialect::nats) {
  try {
    check_topic(name, rules);
    return {};
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

bool match(std::string_view pattern, std::string_view topic, dialect rules = dialect::nats) {
  return topic_filter{pattern, rules}.matches(topic);
}

/// Splits a line at its tabs, then makes a tab of every \t and a NUL of every \0.
std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields{""};
  for (std::size_t i = 0; i != line.size(); ++i) {
    if (line[i] == '\t') {
      fields.emplace_back();
    } else if (line.compare(i, 2, "\\t") == 0) {
      fields.back() += '\t';
      ++i;
    } else if (line.compare(i, 2, "\\0") == 0) {
      fields.back() += '\0';
      ++i;
    } else {
      fields.back() += line[i];
    }
  }
  return fields;
}

/// A row of a table: which one, and its fields.
struct row {
  int line;
  std::vector<std::string> fields;
};

std::vector<row> rows_of(const std::string& table) {
  std::ifstream file{MAILROOM_TEST_DATA "/" + table};
  REQUIRE(file);
  std::vector<row> rows;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (!line.starts_with("# ")) rows.push_back({number, fields_of(line)});
  }
  return rows;
}

/// Checks all rows of a table: pattern, topic, expected. Returns how many there are.
std::size_t check_table(const std::string& table, dialect rules) {
  const std::vector<row> rows = rows_of(table);
  for (const row& each : rows) {
    CAPTURE(each.line);
    REQUIRE(each.fields.size() >= 4);
    const std::string& pattern = each.fields[0];
    const std::string& topic = each.fields[1];
    const std::string& expected = each.fields[2];
    CAPTURE(pattern);
    CAPTURE(topic);
    CAPTURE(expected);
    const bool valid = expected != "bad_pattern";
    CHECK(topic_filter::valid(pattern, rules) == valid);
    CHECK(complaint(pattern, rules).empty() == valid);
    if (!valid) continue;
    const bool valid_topic = expected != "bad_topic";
    CHECK(topic_filter::valid_topic(topic, rules) == valid_topic);
    CHECK(topic_complaint(topic, rules).empty() == valid_topic);
    CHECK(match(pattern, topic, rules) == (expected == "match"));
    if (valid_topic) CHECK((expected == "match" || expected == "no"));
  }
  return rows.size();
}

// ---- A second opinion: the rules as they are told, by recursion over the tokens.

std::string_view first(std::string_view text) { return text.substr(0, text.find('.')); }
bool is_last(std::string_view text) { return text.find('.') == npos; }
std::string_view rest(std::string_view text) { return text.substr(text.find('.') + 1); }
bool is_plain(std::string_view token) { return token.find_first_of(" \t\r\n\f\0"sv) == npos; }

bool reference_matches(std::string_view filter, std::string_view topic) {
  const std::string_view want = first(filter);
  const std::string_view have = first(topic);
  if (have.empty() || have == "*" || have == ">" || !is_plain(have)) return false;
  if (want == ">") return is_last(topic) || reference_matches(filter, rest(topic));
  if (want != "*" && want != have) return false;
  if (is_last(filter) || is_last(topic)) return is_last(filter) && is_last(topic);
  return reference_matches(rest(filter), rest(topic));
}

bool reference_valid(std::string_view filter) {
  const std::string_view token = first(filter);
  if (token.empty() || !is_plain(token)) return false;
  return is_last(filter) || (token != ">" && reference_valid(rest(filter)));
}

// ---- Random texts: few tokens and few spellings, so that many pairs match and many nearly do.

class random_texts {
public:
  explicit random_texts(std::uint64_t seed) : engine_{seed} {}

  /// Up to five tokens of `words`; about one text in eight gets a random byte put somewhere.
  template <std::size_t N>
  std::string text(const std::string_view (&words)[N]) {
    std::string made;
    for (std::size_t left = below(5) + 1; left != 0; --left) {
      made += words[below(N)];
      if (left != 1) made += '.';
    }
    if (below(8) == 0) made.insert(below(made.size() + 1), 1, bytes[below(bytes.size())]);
    return made;
  }

  std::size_t below(std::size_t bound) {
    return static_cast<std::size_t>((engine_() >> 33) % bound);
  }

private:
  static constexpr std::string_view bytes = ".. \t\r\n\f\0\v*>ab\x7f\xc3"sv;
  std::mt19937_64 engine_;
};

constexpr std::string_view filter_words[]{"a", "a", "b", "ab", "*", "*", "*", ">", "*a", ">>"};
constexpr std::string_view topic_words[]{"a", "a", "b", "ab", "a", "b", "*a", ">>"};

/// A new seed for each run; MAILROOM_TEST_SEED repeats an old one.
std::uint64_t new_seed() {
  const char* const wanted = std::getenv("MAILROOM_TEST_SEED");
  return wanted ? std::stoull(wanted) : std::random_device{}();
}

} // namespace

// ---- The vectors

TEST_CASE("topic_filter: agrees with NATS on every recorded case") {
  CHECK(check_table("nats.tsv", dialect::nats) == 61);
}

TEST_CASE("topic_filter: agrees with MQTT on every recorded case") {
  CHECK(check_table("mqtt.tsv", dialect::mqtt) == 93);
}

TEST_CASE("topic_filter: agrees with RabbitMQ on every recorded case") {
  CHECK(check_table("amqp.tsv", dialect::amqp) == 249);
}

TEST_CASE("topic_filter: covers and overlaps as NATS says in every recorded case") {
  const std::vector<row> rows = rows_of("nats_relations.tsv");
  for (const row& each : rows) {
    CAPTURE(each.line);
    REQUIRE(each.fields.size() >= 4);
    const std::string& a = each.fields[1];
    const std::string& b = each.fields[2];
    CAPTURE(a);
    CAPTURE(b);
    const bool expected = each.fields[3] == "true";
    if (!topic_filter::valid(a, dialect::nats) || !topic_filter::valid(b, dialect::nats)) {
      CHECK_FALSE(expected);
    } else if (each.fields[0] == "subset") {
      CHECK(topic_filter{b}.covers(topic_filter{a}) == expected);
    } else {
      CHECK(each.fields[0] == "collide");
      CHECK(topic_filter{a}.overlaps(topic_filter{b}) == expected);
    }
  }
  CHECK(rows.size() == 16);
}

TEST_CASE("topic_filter: matches in MQTT what its translation matches in NATS") {
  const std::vector<row> rows = rows_of("mqtt_as_nats.tsv");
  int matched = 0;
  for (const row& filter : rows) {
    const std::string& pattern = filter.fields[1];
    std::string other = filter.fields[2];
    if (filter.fields[0] != "filter" || other.ends_with("(leaks)")) continue;
    std::string second; // what one filter of NATS cannot say
    if (const auto plus = other.find(" + "); plus != npos) {
      second = other.substr(plus + 3);
      other.resize(plus);
    }
    for (const row& topic : rows) {
      const std::string& name = topic.fields[1];
      const std::string& translated = topic.fields[2];
      if (topic.fields[0] != "topic" || translated == "ERROR") continue;
      CAPTURE(filter.line);
      CAPTURE(topic.line);
      const bool expected = match(other, translated) || (second != "" && match(second, translated));
      CHECK(match(pattern, name, dialect::mqtt) == expected);
      matched += expected ? 1 : 0;
    }
  }
  CHECK(rows.size() == 33);
  CHECK(matched > 17);
}

// ---- Matching

TEST_CASE("topic_filter: * is exactly one token, anywhere, any number of times") {
  CHECK(match("*", "a"));
  CHECK_FALSE(match("*", "a.b"));
  CHECK(match("*.*.*", "a.b.c"));
  CHECK_FALSE(match("*.*.*", "a.b"));
  CHECK_FALSE(match("*.*.*", "a.b.c.d"));
  CHECK(match("a.*.c.*", "a.b.c.d"));
  CHECK_FALSE(match("a.*.c", "a.c"));
  CHECK_FALSE(match("a.*.c", "a.b.b.c"));
}

TEST_CASE("topic_filter: > is one token or more, at the end") {
  CHECK(match(">", "a"));
  CHECK(match(">", "a.b.c"));
  CHECK_FALSE(match("a.>", "a"));
  CHECK_FALSE(match("a.>", "ab.c"));
  CHECK(match("a.*.>", "a.b.c.d"));
  CHECK_FALSE(match("a.*.>", "a.b"));
}

TEST_CASE("topic_filter: a wildcard character inside a token is a plain character") {
  CHECK(match("a*", "a*"));
  CHECK_FALSE(match("a*", "ab"));
  CHECK(match("*.>>", "x.>>"));
  CHECK_FALSE(match("*.>>", "x.y"));
  CHECK(match("**", "**"));
  CHECK_FALSE(match("**", "a"));
  CHECK(match("*.a>b", "x.a>b"));
  CHECK_FALSE(match("*a.*", "xa.b"));
}

TEST_CASE("topic_filter: R-51: what other matchers got wrong, in our dialects") {
  // foo/# and foobar: the filter ends where a token ends.
  CHECK(match("foo.>", "foo.bar"));
  CHECK_FALSE(match("foo.>", "foobar"));
  CHECK_FALSE(match("foo.>", "foobar.x"));
  CHECK_FALSE(match("foo.*", "foobar"));
  // a/# and a: MQTT says yes, NATS says no.
  CHECK_FALSE(match("a.>", "a"));
  // sport/+ and sport; sport/+ and one level more
  CHECK_FALSE(match("sport.*", "sport"));
  CHECK_FALSE(match("sport.*", "sport.tennis.player1"));
  CHECK(match("sport.*", "sport.tennis"));
  // empty levels are no names at all, so nothing has to be guessed about them
  for (const auto name : {".", "a.", ".a", "a..b"}) {
    CHECK_FALSE(topic_filter::valid_topic(name, dialect::nats));
    CHECK_FALSE(topic_filter::valid(name, dialect::nats));
    CHECK_FALSE(match(">", name));
    CHECK_FALSE(match("*.*", name));
  }
  // $SYS and the like are plain names, for wildcards too
  CHECK(match(">", "$SYS.load"));
  CHECK(match("*.load", "$SYS.load"));
  CHECK(match("$SYS.>", "$SYS.load"));
  // MQTT's own: a/# and a; a/+ and a/; foo/# and foobar; what begins with $; empty levels
  CHECK(match("a/#", "a", dialect::mqtt));
  CHECK(match("+/#", "a", dialect::mqtt));
  CHECK(match("sport/+", "sport/", dialect::mqtt));
  CHECK_FALSE(match("sport/+", "sport", dialect::mqtt));
  CHECK_FALSE(match("foo/#", "foobar", dialect::mqtt));
  CHECK_FALSE(match("#", "$SYS/load", dialect::mqtt));
  CHECK_FALSE(match("+/load", "$SYS/load", dialect::mqtt));
  CHECK(match("$SYS/#", "$SYS/load", dialect::mqtt));
  CHECK(match("a/#", "a/$SYS", dialect::mqtt));
  CHECK_FALSE(match("a/b", "a//b", dialect::mqtt));
  CHECK(match("a/+/b", "a//b", dialect::mqtt));
  // and AMQP's
  CHECK(match("a.#.b", "a.b", dialect::amqp));
  CHECK(match("a.#.b", "a..b", dialect::amqp));
  CHECK_FALSE(match("a.#.b", "ab", dialect::amqp));
  CHECK_FALSE(match("*", "a.b", dialect::amqp));
  CHECK_FALSE(match("*", "", dialect::amqp));
  CHECK(match("#", "", dialect::amqp));
  // in dialect exact none of these characters means anything
  for (const auto name : {"a/#", "a/+", "a.>", "a.*", "$SYS", "/", "."}) {
    CHECK(topic_filter{name, dialect::exact}.matches(name));
  }
  CHECK_FALSE(topic_filter{"a.>", dialect::exact}.matches("a.b"));
}

TEST_CASE(
    "topic_filter: R-51: a topic that begins like the filter, or the other way round, is another") {
  CHECK_FALSE(match("*.abc", "x.ab"));
  CHECK_FALSE(match("*.ab", "x.abc"));
  CHECK_FALSE(match("*.ab", "x.ab.c"));
  CHECK_FALSE(match("*.ab.c", "x.ab"));
  CHECK_FALSE(match("ab.*", "abc.d"));
  CHECK_FALSE(match("abc.*", "ab.d"));
}

TEST_CASE("topic_filter: a topic that is not valid matches nothing, wherever the fault is") {
  for (const auto pattern : {">"sv, "*.>"sv, "*.*"sv, "*.*.*"sv, "a.*"sv, "*.a"sv, "a.>"sv}) {
    CAPTURE(pattern);
    for (const auto topic : {""sv, "."sv, ".a"sv, "a."sv, "a..a"sv, "a.*"sv, "*.a"sv, "a.>"sv,
                             ">"sv, "a.b c"sv, "a.\ta"sv, "a.a\n"sv, "a.\0"sv, "a.a."sv}) {
      CAPTURE(topic);
      CHECK_FALSE(topic_filter::valid_topic(topic, dialect::nats));
      CHECK_FALSE(match(pattern, topic));
    }
  }
}

TEST_CASE("topic_filter: exact reads the text whole, and nothing in it is special") {
  for (const auto name : {"a"sv, ">"sv, "*"sv, "."sv, "a..b"sv, "a.>.b"sv, " \t\r\n\f"sv}) {
    CAPTURE(name);
    CHECK(topic_filter::valid(name, dialect::exact));
    CHECK(topic_filter::valid_topic(name, dialect::exact));
    CHECK(topic_filter{name, dialect::exact}.is_literal());
    CHECK(match(name, name, dialect::exact));
    CHECK_FALSE(match(name, "b", dialect::exact));
  }
  CHECK_FALSE(match("a", "A", dialect::exact));
  CHECK_FALSE(match("a", "a ", dialect::exact));
  CHECK_FALSE(match("a", "a\0"sv, dialect::exact));
  CHECK_FALSE(match("a", "", dialect::exact));
}

TEST_CASE("topic_filter: bytes count as they are, whatever they spell") {
  CHECK(match("*.температура", "кухня.температура"));
  CHECK(match("传感器.>", "传感器.温度"));
  CHECK_FALSE(match("caf\xc3\xa9.*", "cafe\xcc\x81.x")); // two spellings of one letter
  CHECK(match("*.\xff\xfe", "\x80.\xff\xfe"));           // not UTF-8 at all
  CHECK_FALSE(match("*.a", "x.A"));
  CHECK(match("*.a\v", "\x01.a\v")); // only six bytes are refused
}

TEST_CASE("topic_filter: a token may be as long as it likes") {
  const std::string token(1'000'000, 'x');
  CHECK(match(token, token));
  CHECK(match("*." + token, token + "." + token));
  CHECK_FALSE(match("*." + token, token + "." + token + "x"));
  CHECK_FALSE(match("*." + token + "x", token + "." + token));
  CHECK(match(token + ".>", token + "." + token));
  CHECK_FALSE(match(">", token + " "));
}

TEST_CASE("topic_filter: many tokens under many wildcards take one pass") {
  std::string stars;
  std::string topic;
  for (int i = 0; i != 50'000; ++i) stars += "*.";
  for (int i = 0; i != 99'999; ++i) topic += "a.";
  const topic_filter filter{stars + ">"};
  CHECK(filter.matches(topic + "a"));
  CHECK_FALSE(filter.matches(topic));
  CHECK_FALSE(filter.matches(topic + "*"));
  CHECK_FALSE(topic_filter{stars + "b"}.matches(topic + "a"));
}

TEST_CASE("topic_filter: a name that is not valid matches nothing in mqtt and amqp either") {
  const std::string long_name(256, 'a');
  CHECK_FALSE(match("#", "", dialect::mqtt));
  CHECK_FALSE(match("a/#", "a/+", dialect::mqtt));
  CHECK_FALSE(match("a/+", "a/#", dialect::mqtt));
  CHECK_FALSE(match("+/b", "a\0/b"sv, dialect::mqtt));
  CHECK_FALSE(match("#", "a\0"sv, dialect::amqp));
  CHECK_FALSE(match("#.a", long_name + ".a", dialect::amqp));
  CHECK(match("#", long_name, dialect::mqtt));
}

TEST_CASE("topic_filter: in amqp the wildcards of a filter are plain words of a name") {
  CHECK(match("a.*", "a.*", dialect::amqp));
  CHECK(match("a.*", "a.#", dialect::amqp));
  CHECK_FALSE(match("a.b", "a.*", dialect::amqp));
  CHECK(match("a.#", "a.#", dialect::amqp));
}

TEST_CASE("topic_filter: a shared filter matches what the filter in it does") {
  const topic_filter shared{"$share/g/a/+", dialect::mqtt};
  CHECK(shared.group() == "g");
  CHECK(shared.pattern() == "$share/g/a/+");
  CHECK(shared.matches("a/b"));
  CHECK_FALSE(shared.matches("$share/g/a/b"));
  const topic_filter plain{"$share/g/a", dialect::mqtt};
  CHECK(plain.matches("a"));
  CHECK_FALSE(plain.matches("$share/g/a"));
  CHECK_FALSE(plain.is_literal()); // it is not the name that it matches
  CHECK(topic_filter{"$share", dialect::mqtt}.matches("$share"));
  CHECK(topic_filter{"a", dialect::mqtt}.group() == "");
  CHECK(topic_filter{"$share.g.a"}.group() == "");
}

// ---- Captures

TEST_CASE("topic_filter: tells what each wildcard stands for, as pieces of the topic") {
  const std::string_view topic = "eu.orders.new.42";
  const topic_filter filter{"*.orders.>"};
  std::vector<std::string_view> taken(filter.wildcards());
  REQUIRE(taken.size() == 2);
  REQUIRE(filter.capture(topic, taken));
  CHECK(taken[0] == "eu");
  CHECK(taken[1] == "new.42");
  CHECK(taken[0].data() == topic.data());
  CHECK(taken[1].data() == topic.data() + 10);
}

TEST_CASE("topic_filter: a wildcard that takes nothing leaves no data, an empty word leaves some") {
  std::string_view taken[1]{"before"};
  REQUIRE(topic_filter{"a/#", dialect::mqtt}.capture("a", taken));
  CHECK(taken[0].data() == nullptr);
  REQUIRE(topic_filter{"a/#", dialect::mqtt}.capture("a/", taken));
  CHECK(taken[0].empty());
  CHECK(taken[0].data() != nullptr);
  REQUIRE(topic_filter{"#", dialect::amqp}.capture("", taken));
  CHECK(taken[0].data() == nullptr);
  REQUIRE(topic_filter{"#.b", dialect::amqp}.capture("b", taken));
  CHECK(taken[0].data() == nullptr);
  REQUIRE(topic_filter{"#.b", dialect::amqp}.capture(".b", taken));
  CHECK(taken[0].data() != nullptr);
}

TEST_CASE(
    "topic_filter: of what several # could take each takes the least, and the last the rest") {
  std::string_view taken[3];
  REQUIRE(topic_filter{"#.#.#", dialect::amqp}.capture("a.b.c", taken));
  CHECK(taken[0].data() == nullptr);
  CHECK(taken[1].data() == nullptr);
  CHECK(taken[2] == "a.b.c");
  REQUIRE(topic_filter{"#.x.#", dialect::amqp}.capture("a.x.b.x.c", taken));
  CHECK(taken[0] == "a");
  CHECK(taken[1] == "b.x.c");
  REQUIRE(topic_filter{"#.x.#.x", dialect::amqp}.capture("a.x.b.x.c.x", taken));
  CHECK(taken[0] == "a");
  CHECK(taken[1] == "b.x.c");
  REQUIRE(topic_filter{"#.*.x.#", dialect::amqp}.capture("a.b.x", taken));
  CHECK(taken[0] == "a");
  CHECK(taken[1] == "b");
  CHECK(taken[2].data() == nullptr);
}

TEST_CASE("topic_filter: a capture writes as much as there is room for, and only when it matches") {
  std::string_view taken[3]{"0", "1", "2"};
  CHECK_FALSE(topic_filter{"*.*.c"}.capture("a.b.d", taken));
  CHECK_FALSE(topic_filter{"*.>"}.capture("a.b c", taken));
  CHECK_FALSE(topic_filter{"#.a.*.#.b", dialect::amqp}.capture("a.c.a", taken));
  CHECK(taken[0] == "0");
  REQUIRE(topic_filter{"*.*"}.capture("a.b", taken));
  CHECK(taken[0] == "a");
  CHECK(taken[1] == "b");
  CHECK(taken[2] == "2");
  std::string_view* const first = taken;
  REQUIRE(topic_filter{"*.*"}.capture("c.d", {first, 1}));
  CHECK(taken[0] == "c");
  CHECK(taken[1] == "b");
  CHECK(topic_filter{"*.*"}.capture("c.d", {}));
  CHECK(topic_filter{"a.b"}.capture("a.b", taken));
  CHECK(topic_filter{"a.b"}.wildcards() == 0);
  CHECK(topic_filter{"a.>", dialect::exact}.wildcards() == 0);
}

TEST_CASE("topic_filter: a group in the pattern is in no capture") {
  const topic_filter filter{"$share/g/+/b/#", dialect::mqtt};
  std::string_view taken[2];
  CHECK(filter.wildcards() == 2);
  REQUIRE(filter.capture("a/b/c/d", taken));
  CHECK(taken[0] == "a");
  CHECK(taken[1] == "c/d");
}

// ---- Relations

TEST_CASE("topic_filter: overlaps when some name matches both, covers when all names do") {
  const topic_filter all{"orders.>"};
  const topic_filter new_ones{"orders.*.new"};
  const topic_filter of_eu{"orders.eu.*"};
  const topic_filter bills{"bills.>"};
  CHECK(all.covers(new_ones));
  CHECK(all.covers(of_eu));
  CHECK(all.covers(all));
  CHECK_FALSE(new_ones.covers(all));
  CHECK_FALSE(new_ones.covers(of_eu));
  CHECK(new_ones.overlaps(of_eu));
  CHECK(of_eu.overlaps(new_ones));
  CHECK_FALSE(bills.overlaps(all));
  CHECK_FALSE(bills.covers(new_ones));
}

TEST_CASE("topic_filter: filters that are written differently may cover each other") {
  const auto same = [](std::string_view a, std::string_view b, dialect rules) {
    const topic_filter one{a, rules};
    const topic_filter other{b, rules};
    return one.covers(other) && other.covers(one);
  };
  CHECK(same("*.#", "#.*", dialect::amqp));
  CHECK(same("#.#.a", "#.a", dialect::amqp));
  CHECK(same("#", "+/#", dialect::mqtt));
  CHECK(same("/#", "/+/#", dialect::mqtt)); // there is no empty name
  CHECK(same("$share/g/a", "a", dialect::mqtt));
  CHECK_FALSE(same("a/#", "a/+/#", dialect::mqtt));
}

TEST_CASE("topic_filter: in mqtt a wildcard in front does not reach what begins with $") {
  const topic_filter all{"#", dialect::mqtt};
  const topic_filter system{"$SYS/#", dialect::mqtt};
  CHECK_FALSE(all.covers(system));
  CHECK_FALSE(all.overlaps(system));
  CHECK_FALSE(topic_filter("+/a", dialect::mqtt).overlaps(system));
  CHECK(topic_filter{"#"}.covers(topic_filter{"$SYS.>"}) == false); // nats has no # at all
  CHECK(topic_filter{">"}.covers(topic_filter{"$SYS.>"}));
}

TEST_CASE("topic_filter: filters of different dialects are not compared") {
  const topic_filter one{"a"};
  const topic_filter other{"a", dialect::amqp};
  CHECK_THROWS_AS((void)one.covers(other), std::invalid_argument);
  CHECK_THROWS_AS((void)one.overlaps(other), std::invalid_argument);
}

// ---- Validity

TEST_CASE("topic_filter: tells a fault without an exception, in the same words") {
  for (const auto rules : {dialect::exact, dialect::nats, dialect::mqtt, dialect::amqp}) {
    for (const auto text : {""sv, "a.."sv, "a+"sv, "a.*"sv, "a\0"sv, "$share/a"sv, "a/#"sv}) {
      CAPTURE(text);
      const auto fault = topic_filter::find_fault(text, rules);
      CHECK(topic_filter::valid(text, rules) == !fault);
      const std::string said = complaint(text, rules);
      CHECK(said.empty() == !fault);
      if (fault) CHECK(said.ends_with(fault.reason + " at byte "s + std::to_string(fault.at)));
      const auto name_fault = topic_filter::find_topic_fault(text, rules);
      CHECK(topic_filter::valid_topic(text, rules) == !name_fault);
      CHECK(topic_complaint(text, rules).empty() == !name_fault);
    }
  }
  CHECK(topic_filter::find_fault("a..b", dialect::nats).at == 2);
  CHECK(topic_filter::find_fault("a..b", dialect::nats).reason == "empty token"sv);
}

TEST_CASE("topic_filter: refuses a bad pattern with what is wrong and where") {
  CHECK(complaint("a..b") == R"(mailroom: filter "a..b": empty token at byte 2)");
  CHECK(complaint("") == R"(mailroom: filter "": empty token at byte 0)");
  CHECK(complaint(".") == R"(mailroom: filter ".": empty token at byte 0)");
  CHECK(complaint(".a") == R"(mailroom: filter ".a": empty token at byte 0)");
  CHECK(complaint("a.") == R"(mailroom: filter "a.": empty token at byte 2)");
  CHECK(complaint("a.>.b") == R"(mailroom: filter "a.>.b": '>' before the last token at byte 2)");
  CHECK(complaint(">.") == R"(mailroom: filter ">.": '>' before the last token at byte 0)");
  CHECK(complaint("a.b c") == R"(mailroom: filter "a.b c": forbidden space at byte 3)");
  CHECK(complaint("", dialect::exact) == R"(mailroom: filter "": empty name at byte 0)");
}

TEST_CASE("topic_filter: a control byte is shown as a number, so that no message is cut short") {
  CHECK(complaint("a\0b"sv) == R"(mailroom: filter "a\x00b": forbidden NUL at byte 1)");
  CHECK(complaint("a\0b"sv, dialect::exact) ==
        R"(mailroom: filter "a\x00b": forbidden NUL at byte 1)");
  CHECK(complaint("\ta") == R"(mailroom: filter "\x09a": forbidden tab at byte 0)");
  CHECK(complaint("a\r") == R"(mailroom: filter "a\x0d": forbidden carriage return at byte 1)");
  CHECK(complaint("a.\n") == R"(mailroom: filter "a.\x0a": forbidden line feed at byte 2)");
  CHECK(complaint("*\f") == R"(mailroom: filter "*\x0c": forbidden form feed at byte 1)");
  CHECK(complaint("\x7f\xc3\xa9.") == "mailroom: filter \"\\x7f\xc3\xa9.\": empty token at byte 4");
}

TEST_CASE("topic_filter: the first fault is the one that is told") {
  CHECK(complaint(">.a b..") ==
        R"(mailroom: filter ">.a b..": '>' before the last token at byte 0)");
  CHECK(topic_complaint("a b.*") == R"(mailroom: topic "a b.*": forbidden space at byte 1)");
}

TEST_CASE("check_topic: refuses a bad name with what is wrong and where") {
  CHECK(topic_complaint("a.b") == "");
  CHECK(topic_complaint("a*.>b") == "");
  CHECK(topic_complaint("a.*") == R"(mailroom: topic "a.*": wildcard in a topic name at byte 2)");
  CHECK(topic_complaint(">.a") == R"(mailroom: topic ">.a": wildcard in a topic name at byte 0)");
  CHECK(topic_complaint("a..b") == R"(mailroom: topic "a..b": empty token at byte 2)");
  CHECK(topic_complaint("a.*", dialect::exact) == "");
  CHECK(topic_complaint("", dialect::exact) == R"(mailroom: topic "": empty name at byte 0)");
}

// ---- The object

TEST_CASE("topic_filter: remembers what it was made of, after its maker is gone") {
  std::string pattern = "a.*.and.a.tail.that.needs.memory.>";
  const topic_filter filter{pattern};
  pattern.assign(pattern.size(), 'x');
  CHECK(filter.pattern() == "a.*.and.a.tail.that.needs.memory.>");
  CHECK(filter.rules() == dialect::nats);
  CHECK(topic_filter{"a", dialect::exact}.rules() == dialect::exact);
}

TEST_CASE("topic_filter: is literal when no whole token is a wildcard") {
  CHECK(topic_filter{"a.b"}.is_literal());
  CHECK(topic_filter{"a*.>>"}.is_literal());
  CHECK_FALSE(topic_filter{"a.*"}.is_literal());
  CHECK_FALSE(topic_filter{"*.b"}.is_literal());
  CHECK_FALSE(topic_filter{">"}.is_literal());
  CHECK(topic_filter{">", dialect::exact}.is_literal());
  CHECK(topic_filter{"a/*/>", dialect::mqtt}.is_literal());
  CHECK_FALSE(topic_filter{"a/+", dialect::mqtt}.is_literal());
  CHECK_FALSE(topic_filter{"a/#", dialect::mqtt}.is_literal());
  CHECK(topic_filter{"a.+.##", dialect::amqp}.is_literal());
  CHECK_FALSE(topic_filter{"#.a", dialect::amqp}.is_literal());
  CHECK(topic_filter{"", dialect::amqp}.is_literal());
}

TEST_CASE("topic_filter: equal means the same pattern in the same dialect") {
  CHECK(topic_filter{"a.*"} == topic_filter{"a.*"});
  CHECK(topic_filter{"a.*"} != topic_filter{"a.>"});
  CHECK(topic_filter{"a"} == topic_filter{"a", dialect::nats});
  CHECK(topic_filter{"a"} != topic_filter{"a", dialect::exact});
}

TEST_CASE("topic_filter: a copy and a moved filter match as the first did") {
  topic_filter filter{"a.*"};
  const topic_filter copy = filter;
  const topic_filter moved = std::move(filter);
  CHECK(copy.matches("a.b"));
  CHECK(moved.matches("a.b"));
  CHECK(moved == copy);
  filter = topic_filter{"b.*"};
  CHECK(filter.matches("b.c"));
  CHECK_FALSE(filter.matches("a.b"));
}

// ---- Properties

TEST_CASE("topic_filter: a million random pairs match as the recursive reference says") {
  const std::uint64_t seed = new_seed();
  MESSAGE("seed=" << seed);
  random_texts random{seed};
  std::vector<std::string> topics(100);
  int pairs = 0;
  int matched = 0;
  while (pairs != 1'000'000) {
    for (std::string& topic : topics) topic = random.text(topic_words);
    for (int filters = 0; filters != 100;) {
      const std::string pattern = random.text(filter_words);
      if (!topic_filter::valid(pattern, dialect::nats)) continue;
      ++filters;
      const topic_filter filter{pattern};
      for (const std::string& topic : topics) {
        ++pairs;
        const bool expected = reference_matches(pattern, topic);
        matched += expected ? 1 : 0;
        if (filter.matches(topic) != expected) {
          FAIL("seed=" << seed << " pattern=" << pattern << " topic=" << topic);
        }
      }
    }
  }
  CHECK(matched > pairs / 50); // or the texts are too far from each other to try much
  CHECK(matched < pairs / 2);
}

TEST_CASE("topic_filter: random texts are valid when the reference says so") {
  const std::uint64_t seed = new_seed();
  MESSAGE("seed=" << seed);
  random_texts random{seed};
  int valid = 0;
  for (int i = 0; i != 100'000; ++i) {
    const std::string text = random.text(filter_words);
    CAPTURE(seed);
    CAPTURE(text);
    const bool expected = reference_valid(text);
    const bool expected_topic = reference_matches(">", text);
    valid += expected ? 1 : 0;
    REQUIRE(topic_filter::valid(text, dialect::nats) == expected);
    REQUIRE(topic_filter::valid_topic(text, dialect::nats) == expected_topic);
    if (!expected) continue;
    const topic_filter filter{text};
    REQUIRE(filter.is_literal() == expected_topic);
    REQUIRE(filter.matches(text) == expected_topic); // a name matches itself, a wildcard is no name
  }
  CHECK(valid > 10'000);
  CHECK(valid < 90'000);
}
