// SPDX-License-Identifier: MIT
// The one file that compiles the harness itself; it has main().
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
