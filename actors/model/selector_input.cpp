// SPDX-License-Identifier: AGPL-3.0-only
// Reads the sides of a mapping in every encoding that clients use (POL-2, COMPAT-2).
#include "actors/model/input_parts.hpp"
#include "actors/model/text_rules.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace marchproxy::model {

namespace {

constexpr std::size_t most_selectors = 1024;
constexpr std::string_view form =
  "must be a service's id or name, `collection:NAME`, `all`, or an object with type, id or name";

class selector_reader {
public:
  selector_reader(field_reader& in, mapping_side side, const service_directory& services)
    : in_{in}, side_{side}, services_{services} {}

  void read(const nlohmann::json& value, const std::string& path) {
    if (const auto* text = value.get_ptr<const std::string*>())
      read_texts(*text, path);
    else if (value.is_object())
      read_object(value, path);
    else if (const auto id = whole_number(value))
      add_id(*id, path);
    else
      in_.refuse(path, std::string{form});
  }

  std::vector<selector> finish() {
    std::sort(found_.begin(), found_.end());
    found_.erase(std::unique(found_.begin(), found_.end()), found_.end());
    return std::move(found_);
  }

private:
  void add_service(service_id id, const std::string& path) {
    const auto address = services_.address_of(id);
    if (side_ == mapping_side::sources && address && std::holds_alternative<dns_name>(*address))
      in_.refuse(path, "service " + std::to_string(id.value) + " is at a name, `"
                         + to_string(*address) + "`; a source is recognised by its address");
    else
      found_.emplace_back(id);
  }

  void add_id(std::uint64_t id, const std::string& path) {
    if (services_.exists(service_id{id}))
      add_service(service_id{id}, path);
    else
      in_.refuse(path, "there is no service " + std::to_string(id) + " in this cluster");
  }

  void add_name(std::string_view name, const std::string& path) {
    if (const auto id = services_.find_by_name(name))
      add_service(*id, path);
    else
      in_.refuse(path, "there is no service `" + printable(name) + "` in this cluster");
  }

  void add_collection(std::string_view name, const std::string& path) {
    if (!is_service_name(name))
      in_.refuse(path, "`" + printable(name) + "` is not the name of a collection");
    else if (services_.collection_exists(name))
      found_.emplace_back(select_collection{std::string{name}});
    else
      in_.refuse(path, "no service of this cluster is in the collection `" + printable(name) + "`");
  }

  /// `all`, `collection:NAME`, an id in digits, a name; or several of them with commas between.
  void read_texts(std::string_view text, const std::string& path) {
    for (std::size_t at = 0; at <= text.size();) {
      const auto comma = std::min(text.find(',', at), text.size());
      auto one = text.substr(at, comma - at);
      at = comma + 1;
      while (!one.empty() && one.front() == ' ')
        one.remove_prefix(1);
      while (!one.empty() && one.back() == ' ')
        one.remove_suffix(1);
      read_text(one, path);
    }
  }

  void read_text(std::string_view text, const std::string& path) {
    constexpr std::string_view head = "collection:";
    if (text.empty())
      in_.refuse(path, std::string{form});
    else if (text == "all")
      found_.emplace_back(select_all{});
    else if (text.substr(0, head.size()) == head)
      add_collection(text.substr(head.size()), path);
    else if (const auto id = whole_number(text))
      add_id(*id, path);
    else
      add_name(text, path);
  }

  /// {"type":"service","id":7} and its relatives. The earlier MarchProxy returned further fields of
  /// the service in it (cluster_id, ip_fqdn, port, service_ids, count): they are let pass.
  void read_object(const nlohmann::json& object, const std::string& path) {
    field_reader fields{object, path + "."};
    fields.ignore({"cluster_id", "ip_fqdn", "port", "service_ids", "count"});
    const auto type =
      read_word(fields, {"type"}, {"service", "collection", "all"}, presence::required);
    const auto id = fields.number({"id"}, {.least = 1, .most = UINT64_MAX});
    const auto name = fields.text({"name"}, {.max_bytes = 100});
    if (const auto e = fields.finish())
      return in_.absorb(*e);
    if (*type == 2)
      found_.emplace_back(select_all{});
    else if (*type == 1)
      add_collection(name, path + ".name");
    else if (id)
      add_id(*id, path + ".id"); // the earlier encoding carries the name beside the id
    else if (!name.empty())
      add_name(name, path + ".name");
    else
      in_.refuse(path, "needs an id or a name");
  }

  field_reader& in_;
  mapping_side side_;
  const service_directory& services_;
  std::vector<selector> found_;
};

} // namespace

std::vector<selector> read_selectors(field_reader& in,
                                     field_reader::names of,
                                     mapping_side side,
                                     const service_directory& services) {
  const auto given = in.take(of);
  if (!given) {
    in.refuse(given.path, "is required");
    return {};
  }
  const auto& value = *given.value;
  if (value.is_array() && (value.empty() || value.size() > most_selectors)) {
    in.refuse(given.path, value.empty() ? "must name at least one service, collection or `all`"
                                        : "must have at most 1024 elements");
    return {};
  }
  selector_reader reader{in, side, services};
  if (!value.is_array())
    reader.read(value, given.path);
  for (std::size_t i = 0; value.is_array() && i < value.size(); ++i)
    reader.read(value[i], given.path + "[" + std::to_string(i) + "]");
  return reader.finish();
}

} // namespace marchproxy::model
