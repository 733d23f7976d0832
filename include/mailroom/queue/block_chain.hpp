// SPDX-License-Identifier: MIT
#ifndef MAILROOM_QUEUE_BLOCK_CHAIN_HPP
#define MAILROOM_QUEUE_BLOCK_CHAIN_HPP

// An endless row of slots, of which only the part in use exists: blocks of slots, linked.
//
// Use it       never: it is the inside of mpsc_queue, which knows what is in the slots.
//
// A producer takes a ticket, which is a position in the row, finds its block and fills the slot.
// The one consumer walks along behind. Blocks that it has left come back as spare ones.
//
//      oldest       front              hint
//        v            v                  v
//      [ 0..63 ] -> [ 64..127 ] -> [ 128..191 ] -> [ 192..255 ]       linked up to limit = 256
//        left          ^ head             ^ ticket
//
// A ticket is only taken when its block is linked, or the producer has as many blocks in its hands
// as are missing. So memory that runs out is noticed before there is anything to be undone.
//
// Why no block ends while a producer may still touch it. A producer P with ticket t reads hint
// after it took t, walks from there to its own block, perhaps links blocks behind that, and writes
// its slot; that is the last that it touches.
//   - Its own block and later ones: the consumer does not get past t before P has written its slot.
//   - A block b before its own: P touches it only if the hint that it read was not yet past b.
//     Whoever moves hint past b reads the ticket word afterwards, by a RMW, and notes the number m
//     that it finds as the passed of b. If t >= m then P's ticket comes after that RMW, so P sees
//     the moved hint (T), and never comes to b. So t < m, and the consumer keeps b until its head
//     is at m: then P has written its slot, and the consumer has read it.
// For the same reason the pointer that P compares hint with is not that of a block made anew: hint
// only moves on, and a block behind it does not come back before P is done.
//
// Invariants
//   (I1)  limit never passes the end of the last block that is linked
//   (I2)  a block that is not in the chain is as new, and nobody else knows it
//   (I3)  a value that only decides whether to look closer, or that a CAS checks, orders nothing
//   (I4)  passed is a number. Who noted it, and everybody who could touch the block, has a ticket
//         below it; what they did to the block is seen with their slots, up to head >= passed
//   (I5)  positions do not wrap: 2^63 messages take centuries
//
// Memory order
//   (T)   ticket: the RMW on the ticket word, after hint has moved -> the CAS that takes a later
//         ticket, which continues its release sequence.
//   (D)   Dekker: taking a ticket is seq_cst, so that a producer who looks for sleepers afterwards,
//         by a seq_cst load, cannot miss one that found the row empty.
//   (L)   linked: the block, as it was made -> whoever finds it behind its predecessor; limit,
//         after a block was linked -> the producer that relies on it, so that its walk finds it.
//   (H)   hint: the block, as it was made -> whoever starts to walk there.
//   (R)   recycled: the block, as the consumer made it anew -> the producer that takes it.
//   (S)   sealed: what happened before the seal -> whoever is told closed.
//
// Decision: tickets are taken by CAS, not by fetch_add. Only so a producer knows its position
//   before it is committed to it, and leaves no hole when memory ends or the row is sealed.
// Decision: an address is enough for a spare block: it is swapped out whole, never unlinked from a
//   list, so nothing can be mistaken for what was there before (ABA).
//
// Sources: Yang, Mellor-Crummey, A Wait-free Queue as Fast as Fetch-and-Add, PPoPP 2016 (the row of
// blocks); Adas, Friedman, Jiffy: A Fast, Memory Efficient, Wait-Free Multi-Producers
// Single-Consumer Queue, 2020 (the consumer frees them); Tokio's mpsc channel (a number noted when
// the hint has moved).

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/capacity.hpp>
#include <mailroom/core/status.hpp>

#include <bit>     // bit_floor
#include <cstddef> // size_t
#include <cstdint> // uint64_t
#include <memory>  // allocator_traits, construct_at, destroy_at, pointer_traits, to_address

namespace mailroom::inline MAILROOM_ABI::detail {

/// `Slot` is made without arguments; how it is filled and emptied is the owner's matter.
template <class Slot, class Allocator>
class block_chain {
public:
  using position = std::uint64_t;

  /// How many slots a block has.
  static constexpr std::size_t block_slots =
      larger_of(least_block_slots, std::bit_floor(block_bytes / sizeof(Slot)));

  /// Makes an empty row that begins at position `first`.
  ///
  /// Throws    what the allocator throws
  block_chain(const Allocator& allocator, position first);

  /// Ends all blocks. What is in the slots is the owner's.
  ~block_chain();

  block_chain(const block_chain&) = delete;
  block_chain& operator=(const block_chain&) = delete;

  /// Takes the next slot, for its producer to fill, who touches nothing else here afterwards.
  ///
  /// Caller    anyone
  /// Progress  lock-free, if the allocator is
  /// Cost      one RMW; some more, once in block_slots calls. Allocates if no spare block is left
  /// Throws    what the allocator throws; then nothing was taken
  /// Returns   nullptr if the row is sealed
  Slot* claim();

  /// The slot at the front, claimed or not; nullptr if its block is not linked yet.
  ///
  /// Caller    the consumer
  /// Progress  wait-free but for giving blocks back
  Slot* front() noexcept;

  /// Goes on to the next slot, when the front one is done with.
  ///
  /// Caller    the consumer, after front() answered a slot
  void pop_front() noexcept { ++head_; }

  /// Where the consumer is.
  position head() const noexcept { return head_; }

  /// What a front slot that is not filled means: busy if it is claimed, else empty or closed.
  ///
  /// Caller    the consumer
  /// Progress  wait-free
  queue_status why_not() const noexcept;

  /// The first position that was not claimed.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  position end() const noexcept {
    return tickets_.load(memory_order::relaxed) & ~sealed; // (I3)
  }

  /// Ends the row if nothing was claimed beyond `head`, where the consumer is or has been.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Returns   whether it is sealed now
  bool seal(position head) noexcept;
  bool is_sealed() const noexcept {
    return (tickets_.load(memory_order::acquire) & sealed) != 0; // (S)
  }

private:
  static constexpr position sealed = position{1} << 63; // of the ticket word
  static constexpr position not_passed = ~position{0};  // is above every head

  struct block {
    position first = 0;
    block* before = nullptr; // in the chain; or the next one in the same hands
    atomic<block*> next;
    atomic<position> passed{not_passed};
    Slot slots[block_slots];

    position end() const noexcept { return first + block_slots; }
  };
  class carried;

  using allocator = typename std::allocator_traits<Allocator>::template rebind_alloc<block>;
  using traits = std::allocator_traits<allocator>;

  block& find(position ticket, carried& own) noexcept;
  void move_hint(block& from, block& to) noexcept;
  block* extend(block& last, carried& own) noexcept;
  void recycle_left() noexcept;
  block* take_spare() noexcept;
  void give(block& fresh) noexcept;
  block& allocate();
  void free(block& old) noexcept;

  [[no_unique_address]] const allocator allocator_;

  // The producers' lines: the word that all change, and what changes once in a block.
  alignas(cache_line) atomic<position> tickets_;
  alignas(cache_line) atomic<position> limit_;
  atomic<block*> hint_;

  // Between both sides.
  alignas(cache_line) atomic<block*> spares_[spare_blocks];

  // The consumer's line.
  alignas(cache_line) position head_;
  block* front_;
  block* oldest_;
};

// ---- Definitions, in the order of the class

/// The blocks that a producer has in its hands. What it does not need it gives back.
template <class Slot, class Allocator>
class block_chain<Slot, Allocator>::carried {
public:
  explicit carried(block_chain& chain) noexcept : chain_{chain} {}
  carried(const carried&) = delete;
  carried& operator=(const carried&) = delete;
  ~carried() {
    while (first_ != nullptr) chain_.give(pop());
  }

  /// Takes as many that the position would have a block.
  void provide(position ticket) {
    while (chain_.limit_.load(memory_order::acquire) + count_ * block_slots <= ticket) { // (L)
      if (!take_spare()) push(chain_.allocate());
    }
  }
  bool take_spare() noexcept {
    block* const spare = chain_.take_spare();
    if (spare != nullptr) push(*spare);
    return spare != nullptr;
  }

  void push(block& fresh) noexcept {
    fresh.before = first_;
    first_ = &fresh;
    ++count_;
  }
  block& pop() noexcept {
    block& fresh = *first_;
    first_ = fresh.before;
    --count_;
    return fresh;
  }

private:
  block_chain& chain_;
  block* first_ = nullptr;
  std::size_t count_ = 0;
};

template <class Slot, class Allocator>
block_chain<Slot, Allocator>::block_chain(const Allocator& source, position first)
    : allocator_(source), tickets_{first}, head_{first} {
  front_ = oldest_ = &allocate();
  front_->first = first - first % block_slots;
  hint_.store(front_, memory_order::relaxed);         // (I2)
  limit_.store(front_->end(), memory_order::relaxed); // (I2)
}

template <class Slot, class Allocator>
block_chain<Slot, Allocator>::~block_chain() {
  while (oldest_ != nullptr) {
    block& old = *oldest_;
    oldest_ = old.next.load(memory_order::relaxed); // (I2)
    free(old);
  }
  while (block* const spare = take_spare()) free(*spare);
}

template <class Slot, class Allocator>
Slot* block_chain<Slot, Allocator>::claim() {
  carried own{*this};
  position ticket = tickets_.load(memory_order::acquire); // (S)
  do {
    if ((ticket & sealed) != 0) return nullptr;
    own.provide(ticket);
  } while (!tickets_.compare_exchange(ticket, ticket + 1, memory_order::seq_cst, // (T) (D)
                                      memory_order::acquire)); // (S)
  block& mine = find(ticket, own);
  const std::size_t index = static_cast<std::size_t>(ticket) % block_slots;
  if (index == block_slots / 2 && mine.next.load(memory_order::relaxed) == nullptr && // (I3)
      own.take_spare()) {
    (void)extend(mine, own); // ahead of need, by one of all
  }
  return &mine.slots[index];
}

template <class Slot, class Allocator>
Slot* block_chain<Slot, Allocator>::front() noexcept {
  if (head_ == front_->end()) {
    block* const next = front_->next.load(memory_order::acquire); // (L)
    if (next == nullptr) return nullptr;
    front_ = next;
    recycle_left();
  }
  return &front_->slots[static_cast<std::size_t>(head_) % block_slots];
}

template <class Slot, class Allocator>
queue_status block_chain<Slot, Allocator>::why_not() const noexcept {
  const position ticket = tickets_.load(memory_order::acquire); // (S)
  if ((ticket & sealed) != 0) return queue_status::closed;
  return ticket == head_ ? queue_status::empty : queue_status::busy;
}

template <class Slot, class Allocator>
bool block_chain<Slot, Allocator>::seal(position head) noexcept {
  position ticket = head;
  return tickets_.compare_exchange(ticket, head | sealed, memory_order::release, // (S)
                                   memory_order::acquire) ||                     // (S)
         (ticket & sealed) != 0;
}

/// Walks from the hint to the block of the ticket: onwards, where missing blocks are linked; or
/// back, if others have moved the hint further.
template <class Slot, class Allocator>
auto block_chain<Slot, Allocator>::find(position ticket, carried& own) noexcept -> block& {
  block* const hinted = hint_.load(memory_order::acquire); // (H)
  block* at = hinted;
  while (at->end() <= ticket) {
    block* next = at->next.load(memory_order::acquire); // (L)
    if (next == nullptr) next = extend(*at, own);
    at = next;
  }
  if (at != hinted) move_hint(*hinted, *at);
  while (ticket < at->first) at = at->before;
  return *at;
}

/// Moves the hint to the own block, and notes in those it has passed who may still come to them. If
/// somebody else has moved it meanwhile, they do.
template <class Slot, class Allocator>
void block_chain<Slot, Allocator>::move_hint(block& from, block& to) noexcept {
  block* seen = &from;
  if (!hint_.compare_exchange(seen, &to, memory_order::release, // (H)
                              memory_order::relaxed)) {         // (I3)
    return;
  }
  const position ticket = tickets_.fetch_add(0, memory_order::release); // (T)
  for (block* each = &from; each != &to;) {
    block* const next = each->next.load(memory_order::relaxed); // (I3)
    each->passed.store(ticket, memory_order::relaxed);          // (I4)
    each = next;
  }
}

/// Links a block in hand behind the last one. Returns what is there now.
template <class Slot, class Allocator>
auto block_chain<Slot, Allocator>::extend(block& last, carried& own) noexcept -> block* {
  block& fresh = own.pop();
  fresh.first = last.end();
  fresh.before = &last;
  block* next = nullptr;
  if (last.next.compare_exchange(next, &fresh, memory_order::release, // (L)
                                 memory_order::acquire)) {            // (L)
    limit_.fetch_add(block_slots, memory_order::release);             // (L)
    return &fresh;
  }
  own.push(fresh);
  return next;
}

/// Makes the blocks that no producer can come to any more spare ones.
template <class Slot, class Allocator>
void block_chain<Slot, Allocator>::recycle_left() noexcept {
  while (oldest_ != front_ && oldest_->passed.load(memory_order::relaxed) <= head_) { // (I4)
    block& old = *oldest_;
    oldest_ = old.next.load(memory_order::relaxed); // (I4)
    std::destroy_at(&old);
    give(*std::construct_at(&old));
  }
}

template <class Slot, class Allocator>
auto block_chain<Slot, Allocator>::take_spare() noexcept -> block* {
  for (auto& place : spares_) {
    if (place.load(memory_order::relaxed) == nullptr) continue;                            // (I3)
    if (block* const spare = place.exchange(nullptr, memory_order::acquire)) return spare; // (R)
  }
  return nullptr;
}

/// Keeps a block for later, if there is a place for it.
template <class Slot, class Allocator>
void block_chain<Slot, Allocator>::give(block& fresh) noexcept {
  for (auto& place : spares_) {
    block* none = nullptr;
    if (place.load(memory_order::relaxed) == nullptr &&             // (I3)
        place.compare_exchange(none, &fresh, memory_order::release, // (R)
                               memory_order::relaxed)) {            // (I3)
      return;
    }
  }
  free(fresh);
}

template <class Slot, class Allocator>
auto block_chain<Slot, Allocator>::allocate() -> block& {
  allocator source{allocator_};
  return *std::construct_at(std::to_address(traits::allocate(source, 1)));
}

template <class Slot, class Allocator>
void block_chain<Slot, Allocator>::free(block& old) noexcept {
  allocator source{allocator_};
  std::destroy_at(&old);
  traits::deallocate(source, std::pointer_traits<typename traits::pointer>::pointer_to(old), 1);
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_QUEUE_BLOCK_CHAIN_HPP
