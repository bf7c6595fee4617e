// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/image_builder.hpp"

#include "actors/base/error.hpp"

#include <algorithm>
#include <bit>

namespace marchproxy::policy {

static_assert(std::endian::native == std::endian::little,
              "mp_lookup6 reads key bytes in this order");

namespace {

/// Walks over @p slots slots of 1 << @p shift keys each, from @p base on: @p fill(first, end,
/// value) for slots that one piece covers, @p child(slot, touching, start) for those in which
/// pieces start.
/// @param pieces    the first covers @p base
/// touching begins with the piece that covers the slot's start
template <class Fill, class Child>
void walk_slots(std::span<const radix_piece> pieces,
                radix_key base,
                unsigned shift,
                unsigned slots,
                Fill&& fill,
                Child&& child) {
  std::size_t covering = 0;
  for (unsigned slot = 0; slot < slots;) {
    auto start = base + (radix_key{slot} << shift);
    if (covering + 1 < pieces.size() && pieces[covering + 1].start <= start) {
      ++covering;
      continue;
    }
    auto next = covering + 1 < pieces.size()
                  ? std::min(radix_key{slots}, (pieces[covering + 1].start - base) >> shift)
                  : radix_key{slots};
    if (next > slot) {
      fill(slot, static_cast<unsigned>(next), pieces[covering].value);
      slot = static_cast<unsigned>(next);
      continue;
    }
    auto end = covering + 1;
    while (end < pieces.size() && ((pieces[end].start - base) >> shift) == slot)
      ++end;
    child(slot, pieces.subspan(covering, end - covering), start);
    covering = end - 1;
    ++slot;
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
  pages_.grow_to(expected_bytes + MP_PAGE_SIZE);
}

std::size_t image_builder::take(std::size_t size, std::size_t alignment) {
  auto at = (cursor_ + alignment - 1) / alignment * alignment;
  cursor_ = at + size;
  if (cursor_ > pages_.size())
    pages_.grow_to(cursor_ + cursor_ / 2);
  return at;
}

std::size_t image_builder::take_in_page(std::size_t size, std::size_t alignment) {
  auto at = (cursor_ + alignment - 1) / alignment * alignment;
  if (at / MP_PAGE_SIZE != (at + size - 1) / MP_PAGE_SIZE)
    alignment = MP_PAGE_SIZE;
  return take(size, alignment);
}

std::uint32_t image_builder::add_list(const mp_list& head,
                                      std::span<const mp_atom> atoms,
                                      std::span<const mp_rule> rules) {
  MP_INVARIANT(atoms.size() <= MP_LIST_ATOMS);
  auto at =
    take_in_page(sizeof head + atoms.size() * (sizeof(mp_atom) + sizeof(mp_rule)), sizeof head);
  put(at, head);
  auto put_next = [&, next = at + sizeof head](const auto& value) mutable {
    put(next, value);
    next += sizeof value;
  };
  for (const auto& atom : atoms)
    put_next(atom);
  for (const auto& atom : atoms)
    put_next(rules[atom.rank]);
  return static_cast<std::uint32_t>(at / 16);
}

std::uint32_t image_builder::add_limits(const mp_limits& limits) {
  auto at = take_in_page(MP_LIMITS_UNITS * 16, 16);
  put(at, limits);
  return static_cast<std::uint32_t>(at / 16);
}

std::uint32_t image_builder::add_limited(std::span<const mp_limited> entries, std::uint32_t next) {
  MP_INVARIANT(entries.size() <= MP_LIMITED_ENTRIES);
  const mp_limited_list head{next, static_cast<mp_u32>(entries.size()), {}};
  auto at = take_in_page(sizeof head + entries.size_bytes(), sizeof head);
  put(at, head);
  std::memcpy(pages_.data() + at + sizeof head, entries.data(), entries.size_bytes());
  return static_cast<std::uint32_t>(at / 16);
}

std::uint32_t image_builder::add_entries(std::span<const std::uint32_t> entries) {
  auto at = take(entries.size_bytes(), 4);
  std::memcpy(pages_.data() + at, entries.data(), entries.size_bytes());
  return static_cast<std::uint32_t>(at / 4);
}

void image_builder::slot_runs::add(unsigned slot, std::uint32_t entry) {
  if (count_ != 0 && entries_[count_ - 1] == entry)
    return;
  starts_[count_] = static_cast<std::uint8_t>(slot);
  entries_[count_++] = entry;
}

mp_node image_builder::make_node(const slot_runs& runs) {
  mp_node node{};
  for (auto slot : runs.starts())
    node.bitmap[slot / 64] |= mp_u64{1} << (slot % 64);
  for (unsigned word = 1; word < 4; ++word)
    node.rank[word] =
      static_cast<mp_u8>(node.rank[word - 1] + std::popcount(node.bitmap[word - 1]));
  auto entries = runs.entries();
  if (entries.size() <= std::size(node.inline_entries))
    std::copy(entries.begin(), entries.end(), std::begin(node.inline_entries));
  else
    node.entries = add_entries(entries);
  return node;
}

std::uint32_t
image_builder::build(std::span<const radix_piece> pieces, radix_key base, unsigned shift) {
  if (pieces.size() == 1)
    return pieces[0].value;
  slot_runs runs;
  walk_slots(
    pieces, base, shift, 256,
    [&](unsigned slot, unsigned, std::uint32_t value) { runs.add(slot, value); },
    [&](unsigned slot, auto touching, radix_key start) {
      runs.add(slot, build(touching, start, shift - 8));
    });
  auto node = make_node(runs);
  auto at = take(sizeof node, sizeof node);
  put(at, node);
  return static_cast<std::uint32_t>(at / 16) | MP_ENTRY_NODE;
}

std::uint32_t image_builder::add_tree4(std::span<const radix_piece> pieces) {
  std::vector<std::uint32_t> first(65536);
  walk_slots(
    pieces, 0, 16, 65536,
    [&](unsigned from, unsigned end, std::uint32_t value) {
      std::fill(first.begin() + from, first.begin() + end, value);
    },
    [&](unsigned slot, auto touching, radix_key start) {
      first[slot] = build(touching, start, 8);
    });
  auto at = take(first.size() * 4, MP_PAGE_SIZE);
  std::memcpy(pages_.data() + at, first.data(), first.size() * 4);
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
  slot_runs runs;
  walk_slots(
    pieces, base, shift, 256,
    [&](unsigned slot, unsigned, std::uint32_t value) { runs.add(slot, value); },
    [&](unsigned slot, auto touching, radix_key start) {
      runs.add(slot, build6(touching, {start, shift - 8, depth + 1}, starts));
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
  node.node = make_node(runs);
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
  std::memcpy(pages_.data() + at, buckets.data(), size);
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

std::uint32_t image_builder::place_fan() {
  return static_cast<std::uint32_t>(take(sizeof(mp_fan), 2 * sizeof(mp_fan)) / 16);
}

void image_builder::write_fan(std::uint32_t ref, const mp_fan& fan) {
  put(std::size_t{ref} * 16, fan);
}

image_pages image_builder::finish(mp_image_header header) {
  take(0, MP_PAGE_SIZE);
  header.pages = static_cast<mp_u32>(cursor_ / MP_PAGE_SIZE);
  put(0, header);
  pages_.grow_to(cursor_);
  pages_.shrink_to(cursor_);
  return std::move(pages_);
}

} // namespace marchproxy::policy
