// SPDX-License-Identifier: MIT
// A lossy broadcast_queue copies a message while it may be overwritten, so it must be made of bytes.
// expect: a lossy broadcast_queue needs trivially copyable messages
#include <mailroom/queue/broadcast_queue.hpp>

#include <array>
#include <string>

#ifdef WRONG
using text = std::string;
#else
using text = std::array<char, 20>;
#endif

mailroom::broadcast_queue<text, mailroom::broadcast_mode::lossy> queue{1};
