// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/wanted.hpp"

#include "actors/model/field_reader.hpp"

#include <nlohmann/json.hpp>

#include <charconv>
#include <map>
#include <utility>

namespace marchproxy::sriov {

namespace {

using model::field_reader;
using nlohmann::json;

constexpr std::uint64_t most_functions = 65'535;
constexpr std::uint64_t last_vlan = 4094; // IEEE 802.1Q: 4095 is reserved
constexpr std::uint64_t last_priority = 7;

std::optional<bool> yes_or_no(field_reader& in, field_reader::names of) {
  const auto given = in.take(of);
  if (!given)
    return std::nullopt;
  if (given.value->is_boolean())
    return given.value->get<bool>();
  in.refuse(given.path, "must be true or false");
  return std::nullopt;
}

bool is_mac(std::string_view text) noexcept {
  const auto mac = parse_mac(text);
  return mac && *mac != mac_address{} && ((*mac)[0] & 1U) == 0;
}

bool is_link_state(std::string_view text) noexcept {
  return parse_link_state(text).has_value();
}

bool is_driver(std::string_view text) noexcept {
  return text == "kernel" || text == "vfio-pci";
}

void read_vlan(field_reader& in, vf_settings& out) {
  const auto vlan = in.number({"vlan"}, {0, last_vlan});
  const auto priority = in.number({"priority"}, {0, last_priority});
  if (priority && vlan.value_or(0) == 0)
    in.refuse(in.path("priority"), "needs a vlan beside it: the tag carries both");
  if (vlan)
    out.vlan =
      vlan_tag{static_cast<std::uint16_t>(*vlan), static_cast<std::uint8_t>(priority.value_or(0))};
}

result<wanted_function> read_function(const json& input, const std::string& prefix) {
  field_reader in{input, prefix};
  wanted_function out;
  if (auto mac = in.text({"mac"}, {.max_bytes = 17,
                                   .accepts = is_mac,
                                   .form = "must be the address of one card, such as "
                                           "02:00:00:00:00:01"});
      !mac.empty())
    out.settings.mac = parse_mac(mac);
  read_vlan(in, out.settings);
  out.settings.spoof_check = yes_or_no(in, {"spoof_check"});
  out.settings.trust = yes_or_no(in, {"trust"});
  if (auto state = in.text(
        {"link_state"},
        {.max_bytes = 16, .accepts = is_link_state, .form = "must be auto, enable or disable"});
      !state.empty())
    out.settings.state = parse_link_state(state);
  if (auto driver = in.text(
        {"driver"}, {.max_bytes = 16, .accepts = is_driver, .form = "must be kernel or vfio-pci"});
      !driver.empty())
    out.driver = driver == "kernel" ? driver_choice::kernel : driver_choice::vfio_pci;
  if (auto faults = in.finish())
    return tl::unexpected(*faults);
  return out;
}

template <class T>
void replace(std::optional<T>& of, const std::optional<T>& by) {
  if (by)
    of = by;
}

void lay_over(wanted_function& below, const wanted_function& above) {
  replace(below.settings.mac, above.settings.mac);
  replace(below.settings.vlan, above.settings.vlan);
  replace(below.settings.spoof_check, above.settings.spoof_check);
  replace(below.settings.trust, above.settings.trust);
  replace(below.settings.state, above.settings.state);
  replace(below.driver, above.driver);
}

std::optional<std::size_t> index_of(const std::string& text) {
  std::size_t out = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), out);
  const bool plain = wrong == std::errc{} && end == text.data() + text.size()
                     && std::to_string(out) == text; // neither 01 nor 1x
  return plain ? std::optional{out} : std::nullopt;
}

void read_one_by_one(field_reader& in, const field_reader::field& given, wanted_state& out) {
  if (!given.value->is_object())
    return in.refuse(given.path, R"(must be an object by index: {"0": {...}})");
  for (const auto& [name, value] : given.value->items()) {
    const auto path = given.path + "." + name;
    const auto index = index_of(name);
    if (!index || *index >= out.functions.size()) {
      in.refuse(path, "is no virtual function: count is " + std::to_string(out.functions.size()));
      continue;
    }
    auto one = read_function(value, path + ".");
    if (one)
      lay_over(out.functions[*index], *one);
    else
      in.absorb(one.error());
  }
}

void refuse_twins(field_reader& in, const wanted_state& of) {
  std::map<mac_address, std::size_t> seen;
  for (std::size_t i = 0; i < of.functions.size(); ++i)
    if (const auto& mac = of.functions[i].settings.mac)
      if (auto [first, is_new] = seen.emplace(*mac, i); !is_new)
        in.refuse("functions." + std::to_string(i) + ".mac",
                  "function " + std::to_string(first->second) + " has the same");
}

} // namespace

result<wanted_state> read_wanted(const json& input) {
  field_reader in{input};
  wanted_state out;
  out.device = in.text({"device"}, {.max_bytes = 32, .required = true});
  out.no_iommu = in.boolean({"no_iommu"}, false);
  const auto counted = in.take({"count"});
  const auto count = in.number({"count"}, {0, most_functions});
  if (!counted)
    in.refuse("count", "is required");
  wanted_function every;
  if (const auto all = in.take({"all"})) {
    if (auto read = read_function(*all.value, all.path + "."))
      every = *read;
    else
      in.absorb(read.error());
  }
  out.functions.assign(count.value_or(0), every);
  if (const auto one_by_one = in.take({"functions"}); one_by_one && count)
    read_one_by_one(in, one_by_one, out);
  refuse_twins(in, out);
  if (auto faults = in.finish())
    return tl::unexpected(*faults);
  return out;
}

} // namespace marchproxy::sriov
