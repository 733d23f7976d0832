// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TOPIC_NAME_TABLE_HPP
#define MAILROOM_TOPIC_NAME_TABLE_HPP

// Finds what belongs to a name, without a lock, while a writer adds names.
//
// Open addressing: a name is in the first free place from its hash on. A place is written once.
// When half of the places are taken a table of twice the size takes over; the old ones stay until
// the end, for a reader may still be in one. Together they are no larger than the newest.
//
// A reader in an old table may miss a name that was added since: it then asks the writer's side.
//
// Invariants
//   (I1)  a place, once written, never changes; an entry stays where it is
//   (I2)  one writer at a time
//
// Memory order
//   (N)   new: the entry, and the table with all its places -> the reader that loads the pointer.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>

#include <cstddef>     // size_t
#include <functional>  // hash
#include <memory>      // make_unique, unique_ptr
#include <string_view> // string_view
#include <utility>     // forward, move
#include <vector>      // vector

namespace mailroom::inline MAILROOM_ABI::detail {

/// Entries have a member name() and a constructor that takes the name first.
template <class Entry>
class name_table {
public:
  name_table() { grow(64); }
  name_table(const name_table&) = delete;
  name_table& operator=(const name_table&) = delete;
  ~name_table() = default;

  /// Caller    anyone
  /// Progress  wait-free
  /// Cost      O(name), and a few looks
  /// Returns   nullptr for a name that is not there, or was added a moment ago
  Entry* find(std::string_view name) const noexcept {
    const table& now = *current_.load(memory_order::acquire); // (N)
    for (std::size_t at = std::hash<std::string_view>{}(name);; ++at) {
      Entry* const entry = now.at(at).load(memory_order::acquire); // (N)
      if (entry == nullptr || entry->name() == name) return entry;
    }
  }

  /// Adds a name that is not there.
  ///
  /// Caller    one writer at a time
  /// Throws    std::bad_alloc and what the entry's constructor throws; nothing is added then
  template <class... Args>
  Entry& add(std::string_view name, Args&&... args) {
    if (entries_.size() * 2 >= tables_.back()->places) grow(tables_.back()->places * 2);
    entries_.push_back(std::make_unique<Entry>(name, std::forward<Args>(args)...));
    tables_.back()->put(*entries_.back());
    return *entries_.back();
  }

  /// All entries, for the writer.
  const std::vector<std::unique_ptr<Entry>>& entries() const noexcept { return entries_; }

private:
  struct table {
    explicit table(std::size_t size)
        : places{size}, slots{std::make_unique<atomic<Entry*>[]>(size)} {}
    atomic<Entry*>& at(std::size_t place) const noexcept { return slots[place & (places - 1)]; }
    void put(Entry& entry) const noexcept {
      std::size_t place = std::hash<std::string_view>{}(entry.name());
      while (at(place).load(memory_order::relaxed) != nullptr) ++place; // (I2)
      at(place).store(&entry, memory_order::release);                   // (N)
    }
    const std::size_t places; // a power of two
    const std::unique_ptr<atomic<Entry*>[]> slots;
  };

  void grow(std::size_t places) {
    auto next = std::make_unique<table>(places);
    for (const auto& entry : entries_) next->put(*entry);
    tables_.push_back(std::move(next));
    current_.store(tables_.back().get(), memory_order::release); // (N)
  }

  std::vector<std::unique_ptr<Entry>> entries_;
  std::vector<std::unique_ptr<table>> tables_;
  atomic<const table*> current_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_TOPIC_NAME_TABLE_HPP
