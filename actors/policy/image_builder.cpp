// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/image_builder.hpp"

#include "actors/base/error.hpp"

#include <algorithm>
#include <bit>

namespace marchproxy::policy {

static_assert(std::endian::native == std::endian::little,
              "mp_lookup6 reads key bytes in this order");

namespace {

/// Calls @p leaf_or_child(slot, pieces, base) for each of the 256 slots of @p 1<<shift keys from @p
/// base on. The pieces handed over are those that touch the slot, the first covering its start.
template <class F>
void for_each_slot(std::span<const radix_piece> pieces, radix_key base, unsigned shift, F&& visit) {
  std::size_t covering = 0;
  for (unsigned slot = 0; slot < 256; ++slot) {
    auto start = base + (radix_key{slot} << shift);
    auto last = start + ((radix_key{1} << shift) - 1);
    while (covering + 1 < pieces.size() && pieces[covering + 1].start <= start)
      ++covering;
    auto end = covering + 1;
    while (end < pieces.size() && pieces[end].start <= last)
      ++end;
    visit(slot, pieces.subspan(covering, end - covering), start);
  }
}

/// Fewer starts than this are not worth a table.
constexpr std::size_t least_starts = 64;

std::array<std::uint8_t, 16> key_bytes(radix_key key) noexcept {
  std::array<std::uint8_t, 16> out{};
  for (unsigned i = 0; i < 16; ++i)
    out[i] = static_cast<std::uint8_t>(key >> (120 - 8 * i));
  return out;
}

} // namespace

image_builder::image_builder(std::size_t expected_bytes) {
  buffer_.reserve(expected_bytes);
  buffer_.resize(MP_PAGE_SIZE);
}

std::size_t image_builder::take(std::size_t size, std::size_t alignment) {
  cursor_ = (cursor_ + alignment - 1) / alignment * alignment;
  auto at = cursor_;
  cursor_ += size;
  if (cursor_ > buffer_.size()) {
    if (cursor_ > buffer_.capacity())
      buffer_.reserve(cursor_ + cursor_ / 2);
    buffer_.resize(cursor_);
  }
  return at;
}

std::size_t image_builder::take_in_page(std::size_t size, std::size_t alignment) {
  auto at = (cursor_ + alignment - 1) / alignment * alignment;
  if (at / MP_PAGE_SIZE != (at + size - 1) / MP_PAGE_SIZE)
    alignment = MP_PAGE_SIZE;
  return take(size, alignment);
}

std::uint32_t image_builder::add_list(const mp_list& head, std::span<const mp_atom> atoms) {
  MP_INVARIANT(atoms.size() <= MP_LIST_ATOMS);
  auto at = take_in_page(sizeof head + atoms.size_bytes(), 16);
  put(at, head);
  if (!atoms.empty())
    std::memcpy(buffer_.data() + at + sizeof head, atoms.data(), atoms.size_bytes());
  return static_cast<std::uint32_t>(at / 16);
}

std::uint32_t image_builder::add_rules(std::span<const mp_rule> rules) {
  auto at = take(rules.size_bytes(), 16);
  if (!rules.empty())
    std::memcpy(buffer_.data() + at, rules.data(), rules.size_bytes());
  return static_cast<std::uint32_t>(at / 16);
}

std::uint32_t image_builder::add_entries(std::span<const std::uint32_t> entries) {
  auto at = take(entries.size_bytes(), 4);
  std::memcpy(buffer_.data() + at, entries.data(), entries.size_bytes());
  return static_cast<std::uint32_t>(at / 4);
}

mp_node image_builder::make_node(std::span<const std::uint32_t, 256> slots) {
  mp_node node{};
  std::array<std::uint32_t, 256> runs{};
  unsigned count = 0;
  for (unsigned slot = 0; slot < 256; ++slot) {
    if (slot % 64 == 0)
      node.rank[slot / 64] = static_cast<mp_u8>(count);
    if (slot == 0 || slots[slot] != slots[slot - 1]) {
      node.bitmap[slot / 64] |= mp_u64{1} << (slot % 64);
      runs[count++] = slots[slot];
    }
  }
  if (count <= 6)
    std::copy_n(runs.begin(), count, std::begin(node.inline_entries));
  else
    node.entries = add_entries(std::span{runs}.first(count));
  return node;
}

std::uint32_t
image_builder::build(std::span<const radix_piece> pieces, radix_key base, unsigned shift) {
  if (pieces.size() == 1)
    return pieces[0].value;
  std::array<std::uint32_t, 256> slots{};
  for_each_slot(pieces, base, shift, [&](unsigned slot, auto touching, radix_key start) {
    slots[slot] = touching.size() == 1 ? touching[0].value : build(touching, start, shift - 8);
  });
  auto node = make_node(slots);
  auto at = take(sizeof node, sizeof node);
  put(at, node);
  return static_cast<std::uint32_t>(at / 16) | MP_ENTRY_NODE;
}

std::uint32_t image_builder::add_tree4(std::span<const radix_piece> pieces) {
  std::vector<std::uint32_t> first(65536);
  std::size_t from = 0;
  for (unsigned block = 0; block < 256;
       ++block) { // two rounds of eight bits fill the 16-bit first level
    auto start = radix_key{block} << 24;
    while (from + 1 < pieces.size() && pieces[from + 1].start <= start)
      ++from;
    for_each_slot(pieces.subspan(from), start, 16, [&](unsigned slot, auto touching, radix_key at) {
      first[block * 256 + slot] = build(touching, at, 8);
    });
  }
  auto at = take(first.size() * 4, MP_PAGE_SIZE);
  std::memcpy(buffer_.data() + at, first.data(), first.size() * 4);
  return static_cast<std::uint32_t>(at / 4);
}

std::uint32_t
image_builder::build6(std::span<const radix_piece> pieces, place6 place, starts6& starts) {
  if (pieces.size() == 1)
    return pieces[0].value;
  auto base = place.base; // by name: clang 14 captures no structured binding
  auto shift = place.shift;
  const auto depth = place.depth;
  // Skip the bytes in which no piece starts, where one value surrounds all that lies deeper.
  if (pieces.front().value == pieces.back().value) {
    auto differ = pieces[1].start ^ pieces.back().start;
    while (shift > 0 && (differ >> shift) == 0) {
      base = pieces[1].start >> shift << shift;
      shift -= 8;
    }
  }
  std::array<std::uint32_t, 256> slots{};
  for_each_slot(pieces, base, shift, [&](unsigned slot, auto touching, radix_key start) {
    slots[slot] = touching.size() == 1 ? touching[0].value
                                       : build6(touching, {start, shift - 8, depth + 1}, starts);
  });
  mp_node6 node{};
  node.at = (120 - shift) / 8;
  node.outer = pieces.front().value;
  std::array<std::uint8_t, 16> mask{};
  std::fill_n(mask.begin(), node.at, std::uint8_t{0xff});
  auto prefix = key_bytes(base);
  for (std::size_t i = 0; i < 16; ++i)
    prefix[i] = static_cast<std::uint8_t>(prefix[i] & mask[i]);
  std::memcpy(node.prefix, prefix.data(), 16);
  std::memcpy(node.mask, mask.data(), 16);
  node.node = make_node(slots);
  auto at = take(sizeof node, sizeof node);
  put(at, node);
  auto entry = static_cast<std::uint32_t>(at / 16) | MP_ENTRY_NODE;
  auto gain = depth * static_cast<std::uint32_t>(pieces.size());
  for (auto bytes = (120 - place.shift) / 8; bytes <= node.at && bytes < starts.size(); ++bytes) {
    auto head = key_bytes(bytes == 0 ? 0 : base >> (128 - 8 * bytes) << (128 - 8 * bytes));
    start6 made{0, entry, gain};
    std::memcpy(&made.key, head.data(), sizeof made.key);
    starts[bytes].push_back(made);
  }
  return entry;
}

mp_jump image_builder::add_jump(const starts6& starts) {
  std::size_t best = 0;
  std::uint64_t best_gain = 0;
  for (std::size_t bytes = 1; bytes < starts.size(); ++bytes) {
    std::uint64_t gain = 0;
    for (const auto& s : starts[bytes])
      gain += s.gain;
    if (starts[bytes].size() >= least_starts && gain > best_gain) {
      best = bytes;
      best_gain = gain;
    }
  }
  if (best == 0)
    return {};
  // About two keys a bucket: few find theirs full. Those start at the root.
  auto bits = static_cast<unsigned>(std::bit_width(starts[best].size() / 2));
  std::vector<mp_jump_bucket> buckets(std::size_t{1} << bits);
  mp_jump jump{~mp_u64{0} >> (64 - 8 * best), 0, 64 - bits};
  for (const auto& s : starts[best]) {
    auto& bucket = buckets[(s.key * MP_JUMP_FACTOR) >> jump.shift];
    auto* place = std::find(std::begin(bucket.entry), std::end(bucket.entry), 0U);
    if (place == std::end(bucket.entry))
      continue;
    bucket.key[place - std::begin(bucket.entry)] = s.key;
    *place = s.entry;
  }
  auto size = buckets.size() * sizeof(mp_jump_bucket);
  auto at = take(size, sizeof(mp_jump_bucket));
  std::memcpy(buffer_.data() + at, buckets.data(), size);
  jump.buckets = static_cast<mp_u32>(at / 16);
  return jump;
}

image_builder::tree6 image_builder::add_tree6(std::span<const radix_piece> pieces) {
  starts6 starts;
  auto root = build6(pieces, {}, starts);
  return {root, add_jump(starts)};
}

std::uint32_t image_builder::add_index(std::span<const radix_piece> pieces) {
  return build(pieces, 0, 16);
}

std::uint32_t image_builder::add_ports(std::span<const radix_piece> pieces) {
  return build(pieces, 0, 8);
}

std::uint32_t image_builder::add_fan(const mp_fan& fan) {
  auto at = take(sizeof fan, sizeof fan);
  put(at, fan);
  return static_cast<std::uint32_t>(at / 16);
}

std::span<std::byte> image_builder::finish(mp_image_header header) {
  take(0, MP_PAGE_SIZE);
  buffer_.resize(cursor_);
  header.pages = static_cast<mp_u32>(cursor_ / MP_PAGE_SIZE);
  put(0, header);
  return buffer_;
}

} // namespace marchproxy::policy
