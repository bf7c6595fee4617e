// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/cli/table.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>
#include <vector>

namespace marchproxy::cli {

namespace {

using nlohmann::json;

std::string shown(const std::string& text) {
  constexpr std::string_view hex = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (code >= 0x20 && code != 0x7f) {
      out += c;
      continue;
    }
    out += "\\x";
    out += hex[code >> 4U];
    out += hex[code & 15U];
  }
  return out;
}

std::string object_cell(const json& value) {
  const auto type = value.find("type");
  if (type != value.end() && *type == "service" && value.contains("id"))
    return "#" + cell(value.at("id"));
  if (type != value.end() && *type == "collection" && value.contains("name"))
    return "collection:" + cell(value.at("name"));
  if (type != value.end() && *type == "all")
    return "all";
  if (const auto role = value.find("role"); role != value.end()) {
    const auto cluster = value.value("cluster_id", json(nullptr));
    return cell(*role) + (cluster.is_null() ? "" : "@" + cell(cluster));
  }
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(
    std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string line(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) {
  std::string out;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    out += cells[i];
    if (i + 1 < cells.size())
      out.append(widths[i] - width(cells[i]) + 2, ' ');
  }
  return out + "\n";
}

std::string capitals(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'a' && c <= 'z')
      c = static_cast<char>(c - 'a' + 'A');
  return out;
}

std::vector<std::string> cells_of(const json& row, const std::vector<std::string_view>& columns) {
  std::vector<std::string> out;
  for (const auto column : columns)
    out.push_back(row.is_object() && row.contains(column) ? cell(row.at(std::string(column)))
                                                          : "-");
  return out;
}

} // namespace

std::string cell(const json& value) {
  if (value.is_string())
    return shown(value.get<std::string>());
  if (value.is_null())
    return "-";
  if (value.is_object())
    return object_cell(value);
  if (!value.is_array())
    return value.dump();
  std::string out;
  for (const auto& item : value)
    out += (out.empty() ? "" : ",") + cell(item);
  return out;
}

std::string table(const json& rows, std::span<const std::string_view> columns) {
  std::vector<std::string_view> names;
  std::copy_if(columns.begin(), columns.end(), std::back_inserter(names),
               [](std::string_view name) { return !name.empty(); });
  std::vector<std::vector<std::string>> lines(1);
  std::transform(names.begin(), names.end(), std::back_inserter(lines.front()), capitals);
  for (const auto& row : rows)
    lines.push_back(cells_of(row, names));
  std::vector<std::size_t> widths(names.size());
  for (const auto& cells : lines)
    for (std::size_t i = 0; i < cells.size(); ++i)
      widths[i] = std::max(widths[i], width(cells[i]));
  std::string out;
  for (const auto& cells : lines)
    out += line(cells, widths);
  return out;
}

std::string fields(const json& value, std::size_t indent) {
  const std::string margin(indent, ' ');
  if (!value.is_object())
    return margin + cell(value) + "\n";
  std::string out;
  for (const auto& [name, inner] : value.items()) {
    const bool nested = inner.is_object() && !inner.empty() && !inner.contains("type");
    const bool listed = inner.is_array() && !inner.empty() && inner.front().is_object()
                        && !inner.front().contains("type") && !inner.front().contains("role");
    if (nested) {
      out += margin + shown(name) + ":\n" + fields(inner, indent + 2);
    } else if (listed) {
      out += margin + shown(name) + ":\n";
      for (const auto& item : inner) {
        auto text = fields(item, indent + 4);
        text.replace(indent + 2, 1, "-");
        out += text;
      }
    } else {
      out += margin + shown(name) + ": " + cell(inner) + "\n";
    }
  }
  return out;
}

} // namespace marchproxy::cli
