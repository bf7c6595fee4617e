// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "dpdk/sriov/apply.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace marchproxy::sriov::testing {

/// A card with SR-IOV of a fake machine.
struct fake_card {
  std::string address = "0000:01:00.0";
  std::string interface = "eth1";
  int index = 11;
  unsigned most = 8;
  unsigned count = 0;
  std::optional<unsigned> group = 20; ///< its virtual functions have the numbers after it
  bool one_group = false;             ///< its virtual functions are all in the group after it
};

/// A sysfs tree in a directory that does what the kernel does when one writes to it
/// (drivers/pci/iov.c, drivers/pci/pci-sysfs.c, drivers/base/bus.c), a netlink that keeps what is
/// set for virtual functions, and a proc tree. It says what it was told, in order.
class fake_machine final : public attribute_writer, public netlink_transport {
public:
  fake_machine();
  fake_machine(const fake_machine&) = delete;
  fake_machine& operator=(const fake_machine&) = delete;
  ~fake_machine() override;

  void add_card(const fake_card& card);
  /// An interface without a device below it: a bond, a bridge, a VLAN, on top of @p lower.
  void add_stacked(const std::string& name, int index, const std::vector<std::string>& lower);
  void set_up(const std::string& interface, bool up);
  /// A file or link of the tree.
  void put(const std::string& file, const std::string& text) const;
  [[nodiscard]] std::string get(const std::string& file) const;
  void link(const std::string& file, const std::string& to) const;
  void remove(const std::string& file) const;
  /// A line of /proc/net/tcp with these words for its local end and state.
  void add_connection(const std::string& local, const std::string& state);
  /// A process that has @p file open.
  void add_open_file(const std::string& file);
  /// Binds a device as the kernel does.
  void bind(const std::string& address, const std::string& driver);

  [[nodiscard]] result<void> write(const std::string& file, std::string_view text) override;
  [[nodiscard]] result<message> ask(std::span<const std::byte> request) override;

  [[nodiscard]] machine at() { return {reader, *this, *this, proc, management}; }
  [[nodiscard]] observed look();

  std::string root;
  std::string proc;
  sysfs_reader reader{""};
  management_options management;
  std::set<int> default_routes;
  std::multimap<ip_address, int> addresses;
  std::map<int, std::map<unsigned, vf_settings>> settings; ///< by interface and function
  std::vector<std::string> log;   ///< `sriov_numvfs=4`, `vf 0 mac 02:...`: what was told
  std::string refuses;            ///< what is told so is refused
  std::size_t refuse_at = 0;      ///< so is what is told then, counted from 1
  std::string ignores;            ///< accepted, and nothing happens
  unsigned makes_at_most = 65535; ///< virtual functions, whatever is asked for
  bool tells_settings = true;     ///< the card's driver does

private:
  void make_device(const std::string& address, const std::string& kind) const;
  void make_interface(const std::string& name, int index, const std::string& device) const;
  [[nodiscard]] result<void> set_count(const fake_card& card, unsigned count);
  void make_function(const fake_card& card, unsigned index);
  void remove_function(const fake_card& card, unsigned index);
  [[nodiscard]] result<void> change_driver(const std::string& file, const std::string& text);
  void unbind(const std::string& address);
  void probe(const std::string& address);
  [[nodiscard]] const fake_card* parent_of(const std::string& address) const;
  [[nodiscard]] std::string function_address(const fake_card& card, unsigned index) const;

  std::vector<fake_card> cards_;
  int open_files_ = 0;
};

} // namespace marchproxy::sriov::testing
