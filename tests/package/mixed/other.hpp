// SPDX-License-Identifier: MIT
#pragma once

#include <mailroom/mailroom.hpp>

using letter_box = mailroom::mailbox<int>;
using letter = mailroom::expected<int, mailroom::queue_status>;

// Compiled as C++23, optimised, without exceptions and without run-time types.
void send(letter_box& box, int value);
letter receive(letter_box& box);
