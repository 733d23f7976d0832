// SPDX-License-Identifier: MIT
#ifndef MAILROOM_QUEUE_INTRUSIVE_MPSC_QUEUE_HPP
#define MAILROOM_QUEUE_INTRUSIVE_MPSC_QUEUE_HPP

// A queue of the caller's own objects, from many producer threads to one consumer thread.
//
// Use it       when the messages are objects that exist anyway, as tasks and actors do: nothing is
//              allocated, copied or moved, a push cannot fail, and a producer that stands still
//              hides nothing.
// Instead use  mpsc_queue when the queue shall own its messages.
//
//      struct job : mailroom::intrusive_node { ... };
//      mailroom::intrusive_mpsc_queue<job> jobs;
//
// One word is all that the threads share: the newest of the nodes that nobody has taken. A push
// puts its node before it; the consumer takes them all by one exchange, turns them round, and hands
// them out from there.
//
//      newest --> [4] --> [3] --> nothing        exchange, reverse --> [3] [4]
//
// The word has a third value: the consumer is at rest. Exactly one push ends the rest, and is told;
// so a runtime schedules an actor once, however many send to it at a time:
//
//      sender      if (inbox.push(mail)) schedule(actor);
//      actor       do inbox.consume_all(handle); while (!inbox.try_rest());
//
// Ownership. A node belongs to the caller. From push() until the consumer gets it back it must stay
// alive and in place, and be in no other queue; the queue writes its link and nothing else. Nodes
// that are inside when the queue ends are left as they are: whoever owns them takes them out first.
//
// Invariants
//   (I1)  only the consumer takes nodes out of the word, all at once; so a push that finds the same
//         address as before may rely on it (no ABA)
//   (I2)  a value that a CAS or an exchange checks orders nothing
//
// Memory order
//   (F)   filled: the node as it was pushed -> the consumer that takes it. A later push continues
//         the release sequence, so one acquire is enough for all.
//   (R)   rest: what the consumer did before it went to rest -> the push that ends the rest, and so
//         whoever it tells to go on.
//
// Sources: Treiber, Systems Programming: Coping with Parallelism, 1986 (the list); the third value
// is how CAF's mailboxes and Folly's AtomicNotificationQueue put their reader to sleep.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/core/concepts.hpp>

#include <concepts> // derived_from, invocable
#include <cstddef>  // size_t
#include <memory>   // addressof

namespace mailroom::inline MAILROOM_ABI {

template <class Node>
class intrusive_mpsc_queue;

/// The base of what can be in an intrusive queue. A copy is in no queue.
class intrusive_node {
public:
  intrusive_node() noexcept = default;
  intrusive_node(const intrusive_node&) noexcept {}
  intrusive_node& operator=(const intrusive_node&) noexcept { return *this; }

protected:
  ~intrusive_node() = default;

private:
  template <class Node>
  friend class intrusive_mpsc_queue;
  intrusive_node* next_ = nullptr;
};

template <class Node>
class intrusive_mpsc_queue {
public:
  using node_type = Node;
  using size_type = std::size_t;

  /// Makes an empty queue, at rest. Throws nothing.
  intrusive_mpsc_queue() noexcept : newest_{&rest_} {
    static_assert(std::derived_from<Node, intrusive_node>,
                  "mailroom: what is put into an intrusive queue derives from intrusive_node");
  }

  /// Leaves the nodes inside alone.
  ///
  /// Caller    anyone, once no other thread uses the queue
  ~intrusive_mpsc_queue() = default;

  intrusive_mpsc_queue(const intrusive_mpsc_queue&) = delete;
  intrusive_mpsc_queue& operator=(const intrusive_mpsc_queue&) = delete;

  // ---- Producers

  /// Puts a node at the back.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  /// Cost      O(1): one RMW; more when others are faster
  /// Throws    nothing
  /// Orders    all before the call happens before the return of the pop that takes the node; and
  ///           all before try_rest() before the return of the push that answers true
  /// Returns   whether it has ended the consumer's rest: then the caller sees to it that the
  ///           consumer goes on. Where the consumer never rests this may be ignored
  bool push(Node& node) noexcept;

  // ---- The consumer

  /// Takes the node at the front.
  ///
  /// Caller    the consumer
  /// Progress  wait-free
  /// Cost      O(1) on the average: what was pushed meanwhile is taken by one RMW and turned round
  /// Orders    see push
  /// Returns   the node, which is the caller's again; or nullptr if the queue is empty, exactly
  Node* try_pop() noexcept;

  /// Hands the nodes that are there at the call to `handler`, as Node&, in order. The handler may
  /// push and destroy them, and push others, but not pop.
  ///
  /// Caller    the consumer
  /// Progress  wait-free, if the handler is
  /// Throws    what `handler` throws; the node that it was given is out, the others stay
  /// Returns   how many were handed over
  template <std::invocable<Node&> F>
  size_type consume_all(F&& handler);

  /// Goes to rest, if the queue is empty: the next push will answer true.
  ///
  /// Caller    the consumer. After true it is no longer that: the next one is whom the push that
  ///           answers true tells to go on
  /// Progress  wait-free
  /// Orders    see push
  /// Returns   false if there is a node, and the consumer goes on
  bool try_rest() noexcept;

private:
  using enum detail::memory_order;
  using link = intrusive_node*;

  bool take_all() noexcept;
  Node& take_first() noexcept;

  // The producers' line.
  alignas(detail::cache_line) detail::atomic<link> newest_;

  // The consumer's line: what it has taken, in order; and nobody's node, which stands in the word
  // while the consumer is at rest.
  alignas(detail::cache_line) link first_ = nullptr;
  intrusive_node rest_;
};

template <class Node>
struct queue_facts<intrusive_mpsc_queue<Node>> {
  static constexpr arity producers = arity::many;
  static constexpr arity consumers = arity::one;
  static constexpr ordering order = ordering::fifo;
  static constexpr progress push_progress = progress::lock_free;
  static constexpr progress pop_progress = progress::wait_free;
  static constexpr bool bounded = false;
  static constexpr bool sequentially_consistent = false;
};

// ---- Definitions, in the order of the class

template <class Node>
bool intrusive_mpsc_queue<Node>::push(Node& node) noexcept {
  intrusive_node& own = node;
  link seen = newest_.load(relaxed); // (I2)
  do {
    own.next_ = seen == &rest_ ? nullptr : seen;
  } while (!newest_.compare_exchange(seen, &own, acq_rel, // (F) (R)
                                     relaxed)); // (I2)
  return seen == &rest_;
}

template <class Node>
Node* intrusive_mpsc_queue<Node>::try_pop() noexcept {
  if (first_ == nullptr && !take_all()) return nullptr;
  return std::addressof(take_first());
}

template <class Node>
template <std::invocable<Node&> F>
std::size_t intrusive_mpsc_queue<Node>::consume_all(F&& handler) {
  size_type count = 0;
  for (; first_ != nullptr; ++count) handler(take_first()); // is older than what is in the word
  if (take_all()) {
    for (; first_ != nullptr; ++count) handler(take_first());
  }
  return count;
}

template <class Node>
bool intrusive_mpsc_queue<Node>::try_rest() noexcept {
  if (first_ != nullptr) return false;
  link seen = nullptr;
  return newest_.compare_exchange(seen, &rest_, release, // (R)
                                  relaxed) ||            // (I2)
         seen == &rest_;
}

/// Takes all nodes out of the word, the newest first, and turns them round. There are none in hand.
template <class Node>
bool intrusive_mpsc_queue<Node>::take_all() noexcept {
  const link newest = newest_.load(relaxed); // (I2)
  if (newest == nullptr || newest == &rest_) return false;
  for (link each = newest_.exchange(nullptr, acquire); each != nullptr;) { // (F)
    const link next = each->next_;
    each->next_ = first_;
    first_ = each;
    each = next;
  }
  return true;
}

template <class Node>
Node& intrusive_mpsc_queue<Node>::take_first() noexcept {
  const link first = first_;
  first_ = first->next_;
  return static_cast<Node&>(*first);
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_QUEUE_INTRUSIVE_MPSC_QUEUE_HPP
