// SPDX-License-Identifier: MIT
// What is fanned out is copied for each subscriber.
// expect: copy
#include <mailroom/topic/dispatcher.hpp>

#include <memory>

#ifdef WRONG
mailroom::dispatcher<std::unique_ptr<int>> news;
#else
mailroom::dispatcher<std::shared_ptr<int>> news;
#endif
