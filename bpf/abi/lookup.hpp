// SPDX-License-Identifier: AGPL-3.0-only
/// The lookup of lookup.h in an image that lies in memory as one piece.
#pragma once

#include <cstddef>

#define MP_IMAGE const std::byte*
#define MP_PAGE(image, page) ((image) + std::size_t{page} * 4096)
#define MP_AHEAD(pointer) __builtin_prefetch(pointer)
// The C of the shared header is not held to the C++ rules on casts.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#include "bpf/abi/lookup_limits.h"
#pragma GCC diagnostic pop
