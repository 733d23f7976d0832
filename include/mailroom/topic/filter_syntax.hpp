// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TOPIC_FILTER_SYNTAX_HPP
#define MAILROOM_TOPIC_FILTER_SYNTAX_HPP

// How a filter or a topic name is written: its tokens, and what is wrong with it.
//
// A text is read as tokens between separators. A token of a filter that is a wildcard and nothing
// else stands for other tokens:
//
//      dialect  separator  one token  several            empty token  longest text
//      exact    none                                     no           any
//      nats     .          *          >  one or more     no           any
//      mqtt     /          +          #  none or more    yes          65535 bytes
//      amqp     .          *          #  none or more    yes          255 bytes
//
// `>`, and the `#` of mqtt, end a filter; the `#` of amqp stands anywhere, as often as it likes. In
// mqtt a wildcard inside a level is refused; elsewhere it is a character like others. No name has a
// wildcard, but in amqp, where names know no wildcards. The empty text is a name in amqp only: it
// has no token, so there is no name whose only token is empty. No text holds a NUL.
//
// In mqtt a filter may name its group: `$share/group/filter`. A name that looks so is only a name.
//
// Sources: nats-server, server/sublist.go; MQTT Version 5.0 (OASIS Standard), 4.7 and 4.8.2; AMQP
// 0-9-1, 3.1.3.3 (words), 4.2.5.3 (short strings: 255 bytes, no NUL).

#include <mailroom/detail/config.hpp>

#include <algorithm>   // min
#include <cstddef>     // size_t
#include <string>      // string, to_string
#include <string_view> // string_view

namespace mailroom::inline MAILROOM_ABI {

/// How topic names and filters are read.
enum class dialect : unsigned char { exact, nats, mqtt, amqp };

/// What is wrong with a filter or a name, and at which byte; false when nothing is.
struct name_fault {
  const char* reason = nullptr; ///< lives for ever
  std::size_t at = 0;

  constexpr explicit operator bool() const noexcept { return reason != nullptr; }
};

namespace detail {

/// What a text is meant to be.
enum class name_kind : unsigned char { filter, topic };

/// What a token of a filter stands for: itself, one token, one or more, none or more.
enum class token_kind : unsigned char { plain, one, some, many };

/// The characters that mean something in a dialect; NUL, which is in no text, where there is none.
struct spelling {
  char separator;
  char one;
  char several;
  token_kind meaning; // of several
};

constexpr spelling spelling_of(dialect rules) noexcept {
  if (rules == dialect::nats) return {'.', '*', '>', token_kind::some};
  if (rules == dialect::mqtt) return {'/', '+', '#', token_kind::many};
  if (rules == dialect::amqp) return {'.', '*', '#', token_kind::many};
  return {'\0', '\0', '\0', token_kind::plain};
}

/// A place in a text: at one of its tokens, or behind the last one.
class token_cursor {
public:
  constexpr token_cursor(std::string_view text, dialect rules) noexcept
      : text_{text}, spelling_{spelling_of(rules)} {
    if (text.empty()) {
      begin_ = 1;
    } else {
      find_end();
    }
  }

  constexpr bool is_over() const noexcept { return begin_ > text_.size(); }

  /// Not when is_over, as all that follows.
  constexpr void next() noexcept {
    begin_ = end_ + 1;
    if (!is_over()) find_end();
  }
  constexpr std::string_view token() const noexcept { return text_.substr(begin_, end_ - begin_); }

  /// What the token of a filter stands for.
  constexpr token_kind kind() const noexcept {
    if (end_ - begin_ != 1) return token_kind::plain;
    if (text_[begin_] == spelling_.one) return token_kind::one;
    if (text_[begin_] == spelling_.several) return spelling_.meaning;
    return token_kind::plain;
  }
  constexpr bool is_plain() const noexcept { return kind() == token_kind::plain; }

  /// All from here to another place in the same text, without the separator before that place;
  /// without data() when there is no token between them.
  constexpr std::string_view until(const token_cursor& behind) const noexcept {
    if (begin_ == behind.begin_) return {};
    return text_.substr(begin_, behind.begin_ - 1 - begin_);
  }

private:
  constexpr void find_end() noexcept {
    end_ = std::min(text_.find(spelling_.separator, begin_), text_.size());
  }

  std::string_view text_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  spelling spelling_;
};

inline constexpr std::string_view share_prefix = "$share/";

/// The group that a valid filter names; empty if it names none.
constexpr std::string_view group_of(std::string_view filter, dialect rules) noexcept {
  if (rules != dialect::mqtt || !filter.starts_with(share_prefix)) return {};
  const std::size_t begin = share_prefix.size();
  return filter.substr(begin, filter.find('/', begin) - begin);
}

/// What of a valid filter is compared with names: all but the group.
constexpr std::string_view body_of(std::string_view filter, dialect rules) noexcept {
  const std::string_view group = group_of(filter, rules);
  return group.empty() ? filter : filter.substr(share_prefix.size() + group.size() + 1);
}

/// Why no token of dialect nats may hold `c`; nullptr when it may.
constexpr const char* refusal_of(char c) noexcept {
  if (c == '\0') return "forbidden NUL";
  if (c == ' ') return "forbidden space";
  if (c == '\t') return "forbidden tab";
  if (c == '\r') return "forbidden carriage return";
  if (c == '\n') return "forbidden line feed";
  if (c == '\f') return "forbidden form feed";
  return nullptr;
}

/// The first NUL of a text, or that it is empty, where it must not be.
constexpr name_fault find_fault_exact(std::string_view text) noexcept {
  if (text.empty()) return {"empty name", 0};
  const std::size_t nul = text.find('\0');
  if (nul != text.npos) return {refusal_of('\0'), nul};
  return {};
}

/// The first fault of a text in dialect nats.
constexpr name_fault find_fault_nats(std::string_view text, name_kind kind) noexcept {
  for (std::size_t begin = 0, end = 0;; begin = ++end) {
    for (; end != text.size() && text[end] != '.'; ++end) {
      if (const char* reason = refusal_of(text[end])) return {reason, end};
    }
    if (end == begin) return {"empty token", begin};
    const bool tail = end - begin == 1 && text[begin] == '>';
    const bool star = end - begin == 1 && text[begin] == '*';
    if (kind == name_kind::topic && (tail || star)) return {"wildcard in a topic name", begin};
    if (tail && end != text.size()) return {"'>' before the last token", begin};
    if (end == text.size()) return {};
  }
}

/// The first fault of what stands before the filter in `$share/group/filter`.
constexpr name_fault find_fault_group(std::string_view text) noexcept {
  const std::size_t begin = share_prefix.size();
  const std::size_t end = std::min(text.find('/', begin), text.size());
  if (begin == end) return {"empty group name", begin};
  for (std::size_t at = begin; at != end; ++at) {
    if (text[at] == '\0') return {refusal_of('\0'), at};
    if (text[at] == '+' || text[at] == '#') return {"wildcard in a group name", at};
  }
  if (end == text.size() || end + 1 == text.size()) return {"no filter after the group", end};
  return {};
}

/// The first fault of a text in dialect mqtt.
constexpr name_fault find_fault_mqtt(std::string_view text, name_kind kind) noexcept {
  std::size_t at = 0;
  if (kind == name_kind::filter && text.starts_with(share_prefix)) {
    if (const name_fault fault = find_fault_group(text)) return fault;
    at = text.find('/', share_prefix.size()) + 1;
  }
  if (text.empty()) return {"empty name", 0};
  for (; at != text.size(); ++at) {
    if (text[at] == '\0') return {refusal_of('\0'), at};
    if (text[at] != '+' && text[at] != '#') continue;
    if (kind == name_kind::topic) return {"wildcard in a topic name", at};
    const bool begins = at == 0 || text[at - 1] == '/';
    const bool ends = at + 1 == text.size() || text[at + 1] == '/';
    if (!begins || !ends) return {"wildcard inside a level", at};
    if (text[at] == '#' && at + 1 != text.size()) return {"'#' before the last level", at};
  }
  if (text.size() > 65535) return {"more than 65535 bytes", 65535};
  return {};
}

/// The first fault of a text in dialect amqp.
constexpr name_fault find_fault_amqp(std::string_view text) noexcept {
  if (text.empty()) return {};
  if (const name_fault fault = find_fault_exact(text)) return fault;
  if (text.size() > 255) return {"more than 255 bytes", 255};
  return {};
}

/// The first fault of a text: the one place that knows which filters and names are valid.
constexpr name_fault find_fault(std::string_view text, dialect rules, name_kind kind) noexcept {
  if (rules == dialect::exact) return find_fault_exact(text);
  if (rules == dialect::mqtt) return find_fault_mqtt(text, kind);
  if (rules == dialect::amqp) return find_fault_amqp(text);
  return find_fault_nats(text, kind);
}

/// Throws    std::invalid_argument: mailroom: filter "a..b": empty token at byte 2
[[noreturn]] inline void throw_fault(std::string_view text, name_kind kind, name_fault fault) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string what = kind == name_kind::filter ? "mailroom: filter \"" : "mailroom: topic \"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      what += c;
    } else { // a NUL would end the message here, a line feed would split it
      what += "\\x";
      what += digits[byte / 16U];
      what += digits[byte % 16U];
    }
  }
  what += "\": ";
  what += fault.reason;
  what += " at byte " + std::to_string(fault.at);
  throw_invalid_argument(what.c_str());
}

/// Throws    std::invalid_argument for a name that cannot be published to: what is wrong, and where
inline void check_topic(std::string_view name, dialect rules) {
  if (const name_fault fault = find_fault(name, rules, name_kind::topic)) {
    throw_fault(name, name_kind::topic, fault);
  }
}

} // namespace detail
} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_TOPIC_FILTER_SYNTAX_HPP
