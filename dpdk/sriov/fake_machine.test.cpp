// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/fake_machine.test.hpp"

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace marchproxy::sriov::testing {

namespace {

namespace fs = std::filesystem;

constexpr unsigned first_offset = 16; // of a virtual function's routing id
const std::string devices = "bus/pci/devices/";

tl::unexpected<error> refused(const std::string& file, int number) {
  return fail(number == ENOENT ? errc::not_found : errc::refused,
              file + ": " + std::strerror(number));
}

/// Answers are made with room for hundreds of functions.
struct answer {
  std::vector<char> room = std::vector<char>(65'536);
  nlmsghdr* head = mnl_nlmsg_put_header(room.data());

  template <class T>
  T* fixed(std::uint16_t type) {
    head->nlmsg_type = type;
    return static_cast<T*>(mnl_nlmsg_put_extra_header(head, sizeof(T)));
  }
  template <class T>
  void put(std::uint16_t type, const T& value) {
    mnl_attr_put(head, type, sizeof value, &value);
  }
  [[nodiscard]] message taken() const {
    const auto* first = reinterpret_cast<const std::byte*>(room.data());
    return {first, first + head->nlmsg_len};
  }
};

void put_settings(answer& to, unsigned vf, const vf_settings& s) {
  ifla_vf_mac mac{vf, {}};
  if (s.mac)
    std::copy(s.mac->begin(), s.mac->end(), mac.mac);
  constexpr auto untold = 0xffff'ffffU; // as the kernel says when a driver does not
  auto* one = mnl_attr_nest_start(to.head, IFLA_VF_INFO);
  to.put(IFLA_VF_MAC, mac);
  to.put(IFLA_VF_VLAN,
         ifla_vf_vlan{vf, s.vlan.value_or(vlan_tag{}).id, s.vlan.value_or(vlan_tag{}).priority});
  to.put(IFLA_VF_SPOOFCHK, ifla_vf_spoofchk{vf, s.spoof_check ? *s.spoof_check : untold});
  to.put(IFLA_VF_TRUST, ifla_vf_trust{vf, s.trust ? *s.trust : untold});
  to.put(IFLA_VF_LINK_STATE, ifla_vf_link_state{vf, static_cast<std::uint32_t>(
                                                      s.state.value_or(link_state::automatic))});
  mnl_attr_nest_end(to.head, one);
}

/// The one setting that a request has.
vf_setting only(const vf_settings& s) {
  if (s.mac)
    return *s.mac;
  if (s.vlan)
    return *s.vlan;
  if (s.spoof_check)
    return spoof_check_value{*s.spoof_check};
  if (s.trust)
    return trust_value{*s.trust};
  return s.state.value_or(link_state::automatic);
}

} // namespace

fake_machine::fake_machine() {
  auto pattern = (fs::temp_directory_path() / "mp-sriov-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    ADD_FAILURE() << "no directory";
  root = pattern + "/sys";
  proc = pattern + "/proc";
  reader = sysfs_reader{root};
  for (const auto* driver : {"ice", "iavf", "vfio-pci"})
    for (const auto* file : {"bind", "unbind"})
      put(std::string{"bus/pci/drivers/"} + driver + "/" + file, "");
  put("bus/pci/drivers_probe", "");
  put("class/net/bonding_masters", ""); // no interface, and always there with bonding
  fs::create_directories(proc + "/net");
  std::ofstream{proc + "/net/tcp"} << "  sl  local_address rem_address   st tx_queue rx_queue\n";
}

fake_machine::~fake_machine() {
  std::error_code ignored;
  fs::remove_all(fs::path{root}.parent_path(), ignored);
}

void fake_machine::put(const std::string& file, const std::string& text) const {
  fs::create_directories(fs::path{root + "/" + file}.parent_path());
  std::ofstream{root + "/" + file} << text << "\n";
}

std::string fake_machine::get(const std::string& file) const {
  return reader.text(file).value_or(std::nullopt).value_or("");
}

void fake_machine::link(const std::string& file, const std::string& to) const {
  fs::create_directories(fs::path{root + "/" + file}.parent_path());
  fs::create_symlink(root + "/" + to, root + "/" + file);
}

void fake_machine::remove(const std::string& file) const {
  fs::remove_all(root + "/" + file);
}

void fake_machine::make_device(const std::string& address, const std::string& kind) const {
  const auto place = "devices/pci0000:00/" + address;
  put(place + "/class", kind);
  put(place + "/vendor", "0x8086");
  put(place + "/device", "0x1592");
  put(place + "/driver_override", "(null)");
  put(place + "/numa_node", "-1");
  link(devices + address, place);
}

void fake_machine::make_interface(const std::string& name,
                                  int index,
                                  const std::string& device) const {
  const auto place = device + "/net/" + name;
  put(place + "/ifindex", std::to_string(index));
  put(place + "/flags", "0x1002");
  link("class/net/" + name, place);
}

void fake_machine::add_card(const fake_card& card) {
  make_device(card.address, "0x020000");
  const auto device = devices + card.address;
  put(device + "/sriov_totalvfs", std::to_string(card.most));
  put(device + "/sriov_numvfs", "0");
  put(device + "/sriov_offset", std::to_string(first_offset));
  put(device + "/sriov_stride", "1");
  put(device + "/sriov_drivers_autoprobe", "1");
  put(device + "/numa_node", "1");
  if (card.group)
    link(device + "/iommu_group", "kernel/iommu_groups/" + std::to_string(*card.group));
  link(device + "/driver", "bus/pci/drivers/ice");
  make_interface(card.interface, card.index, device);
  cards_.push_back(card);
  if (card.count != 0 && !set_count(card, card.count))
    ADD_FAILURE() << "no virtual functions";
}

void fake_machine::add_stacked(const std::string& name,
                               int index,
                               const std::vector<std::string>& lower) {
  make_interface(name, index, "devices/virtual");
  for (const auto& below : lower) {
    link("class/net/" + name + "/lower_" + below, "class/net/" + below);
    link("class/net/" + below + "/upper_" + name, "class/net/" + name);
  }
}

void fake_machine::set_up(const std::string& interface, bool up) {
  put("class/net/" + interface + "/flags", up ? "0x1003" : "0x1002");
}

void fake_machine::add_connection(const std::string& local, const std::string& state) {
  std::ofstream{proc + "/net/tcp", std::ios::app} << "   0: " << local << " 0A00000A:C000 " << state
                                                  << " 00000000:00000000 00:00000000 0 0\n";
}

void fake_machine::add_open_file(const std::string& file) {
  fs::create_directories(proc + "/4711/fd");
  fs::create_symlink(file, proc + "/4711/fd/" + std::to_string(open_files_++));
}

observed fake_machine::look() {
  auto seen = observe(at());
  EXPECT_TRUE(seen) << to_string(seen.error());
  return std::move(*seen);
}

const fake_card* fake_machine::parent_of(const std::string& address) const {
  for (const auto& card : cards_)
    for (unsigned i = 0; i < card.most; ++i)
      if (function_address(card, i) == address)
        return &card;
  return nullptr;
}

std::string fake_machine::function_address(const fake_card& card, unsigned index) const {
  auto at = *parse_pci_address(card.address);
  at.routing_id = static_cast<std::uint16_t>(at.routing_id + first_offset + index);
  return to_string(at);
}

void fake_machine::make_function(const fake_card& card, unsigned index) {
  const auto address = function_address(card, index);
  make_device(address, "0x020000");
  link(devices + card.address + "/virtfn" + std::to_string(index), devices + address);
  link(devices + address + "/physfn", devices + card.address);
  if (card.group) {
    const auto group =
      "kernel/iommu_groups/" + std::to_string(*card.group + 1 + (card.one_group ? 0 : index));
    link(devices + address + "/iommu_group", group);
    link(group + "/devices/" + address, devices + address);
  }
  auto& s = settings[card.index][index];
  s = {mac_address{}, vlan_tag{}, true, false, link_state::automatic};
  if (get(devices + card.address + "/sriov_drivers_autoprobe") == "1")
    bind(address, "iavf");
}

void fake_machine::remove_function(const fake_card& card, unsigned index) {
  const auto address = function_address(card, index);
  unbind(address);
  remove(devices + card.address + "/virtfn" + std::to_string(index));
  remove("devices/pci0000:00/" + address);
  remove(devices + address);
  if (card.group)
    remove("kernel/iommu_groups/" + std::to_string(*card.group + 1 + (card.one_group ? 0 : index))
           + "/devices/" + address);
  settings[card.index].erase(index);
}

result<void> fake_machine::set_count(const fake_card& card, unsigned count) {
  const auto file = devices + card.address + "/sriov_numvfs";
  const auto now = static_cast<unsigned>(std::stoul(get(file)));
  if (count > card.most)
    return refused(file, ERANGE);
  if (now != 0 && count != 0 && count != now)
    return refused(file, EBUSY);
  const auto made = std::min(count, makes_at_most);
  for (unsigned i = 0; i < now && count == 0; ++i)
    remove_function(card, i);
  for (unsigned i = now; i < made; ++i)
    make_function(card, i);
  put(file, std::to_string(count == 0 ? 0 : made));
  return {};
}

void fake_machine::bind(const std::string& address, const std::string& driver) {
  link(devices + address + "/driver", "bus/pci/drivers/" + driver);
  const auto* card = parent_of(address);
  if (driver != "iavf" || card == nullptr)
    return;
  for (unsigned i = 0; i < card->most; ++i)
    if (function_address(*card, i) == address)
      make_interface(card->interface + "v" + std::to_string(i),
                     100 * card->index + static_cast<int>(i), devices + address);
}

void fake_machine::unbind(const std::string& address) {
  remove(devices + address + "/driver");
  for (const auto& name :
       reader.names(devices + address + "/net").value_or(std::vector<std::string>{}))
    remove("class/net/" + name);
  remove(devices + address + "/net");
}

void fake_machine::probe(const std::string& address) {
  const auto by = get(devices + address + "/driver_override");
  const auto* card = parent_of(address);
  const bool kept_away = by == "(null)" && card != nullptr
                         && get(devices + card->address + "/sriov_drivers_autoprobe") == "0";
  if (!kept_away && !reader.exists(devices + address + "/driver"))
    bind(address, by == "(null)" ? "iavf" : by);
}

result<void> fake_machine::change_driver(const std::string& file, const std::string& text) {
  const auto device = devices + text;
  const auto driver = fs::path{file}.parent_path().filename().string();
  if (!reader.exists(device))
    return refused(file, ENODEV);
  const bool bound = reader.exists(device + "/driver");
  if (file.ends_with("drivers_probe")) {
    probe(text);
  } else if (file.ends_with("/unbind")) {
    if (!bound)
      return refused(file, ENODEV);
    unbind(text);
  } else {
    // A driver takes what it knows, and what it was named for.
    if (bound || (driver == "vfio-pci" && get(device + "/driver_override") != driver))
      return refused(file, bound ? EBUSY : ENODEV);
    bind(text, driver);
  }
  return {};
}

result<void> fake_machine::write(const std::string& file, std::string_view text) {
  const auto name = file.substr(file.rfind('/') + 1);
  const std::string value{text == "\n" ? "" : text};
  log.push_back((name == "bind" ? fs::path{file}.parent_path().filename().string() + "/" : "")
                + name + "=" + value);
  if (log.back() == refuses || log.size() == refuse_at)
    return refused(file, EIO);
  if (!reader.exists(file))
    return refused(file, ENOENT);
  if (log.back() == ignores)
    return {};
  if (name == "sriov_numvfs") {
    for (const auto& card : cards_)
      if (file == devices + card.address + "/sriov_numvfs")
        return set_count(card, static_cast<unsigned>(std::stoul(value)));
  } else if (name == "bind" || name == "unbind" || name == "drivers_probe") {
    return change_driver(file, value);
  }
  put(file, name == "driver_override" && value.empty() ? "(null)" : value);
  return {};
}

result<message> fake_machine::ask(std::span<const std::byte> request) {
  nlmsghdr head{};
  std::memcpy(&head, request.data(), sizeof head);
  answer out;
  if (head.nlmsg_type == RTM_GETROUTE) {
    rtmsg asked{};
    std::memcpy(&asked, request.data() + sizeof head, sizeof asked);
    message all;
    for (const int index : default_routes) {
      answer one;
      auto* route = one.fixed<rtmsg>(RTM_NEWROUTE);
      route->rtm_family = asked.rtm_family;
      route->rtm_type = RTN_UNICAST;
      one.put(RTA_OIF, index);
      auto bytes = one.taken();
      all.insert(all.end(), bytes.begin(), bytes.end());
    }
    return all;
  }
  if (head.nlmsg_type == RTM_GETADDR) {
    message all;
    for (const auto& [address, index] : addresses) {
      answer one;
      auto* fixed = one.fixed<ifaddrmsg>(RTM_NEWADDR);
      fixed->ifa_family = address.family == ip_family::v4 ? AF_INET : AF_INET6;
      fixed->ifa_index = static_cast<unsigned>(index);
      mnl_attr_put(one.head, IFA_ADDRESS, address.width() / 8, address.bytes.data());
      auto bytes = one.taken();
      all.insert(all.end(), bytes.begin(), bytes.end());
    }
    return all;
  }
  ifinfomsg link{};
  std::memcpy(&link, request.data() + sizeof head, sizeof link);
  const auto card = std::find_if(cards_.begin(), cards_.end(),
                                 [&](const auto& c) { return c.index == link.ifi_index; });
  if (card == cards_.end())
    return fail(errc::refused, "No such device");
  auto& of = settings[card->index];
  if (head.nlmsg_type == RTM_GETLINK) {
    out.fixed<ifinfomsg>(RTM_NEWLINK)->ifi_index = link.ifi_index;
    mnl_attr_put_strz(out.head, IFLA_IFNAME, card->interface.c_str());
    auto* list = mnl_attr_nest_start(out.head, IFLA_VFINFO_LIST);
    for (const auto& [vf, s] : of)
      if (tells_settings)
        put_settings(out, vf, s);
    mnl_attr_nest_end(out.head, list);
    return out.taken();
  }
  for (const auto& [vf, s] : read_vfs(request)) {
    const auto to = only(s);
    log.push_back("vf " + std::to_string(vf) + " " + to_string(to));
    if (log.back() == refuses || log.size() == refuse_at)
      return fail(errc::refused, "Operation not supported");
    if (of.count(vf) == 0)
      return fail(errc::refused, "Invalid argument");
    auto& into = of[vf];
    into.mac = s.mac ? s.mac : into.mac;
    into.vlan = s.vlan ? s.vlan : into.vlan;
    into.spoof_check = s.spoof_check ? s.spoof_check : into.spoof_check;
    into.trust = s.trust ? s.trust : into.trust;
    into.state = s.state ? s.state : into.state;
  }
  return message{};
}

} // namespace marchproxy::sriov::testing
