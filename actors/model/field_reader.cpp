// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/field_reader.hpp"

#include "actors/model/text_rules.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace marchproxy::model {

namespace {

// A request of megabytes of unknown fields is answered with a page, not with megabytes.
constexpr std::size_t most_faults = 100;

} // namespace

field_reader::field_reader(const nlohmann::json& input, std::string prefix)
  : input_{input}, prefix_{std::move(prefix)} {
  if (!input_.is_object()) {
    std::string at = prefix_.empty() ? "body" : prefix_.substr(0, prefix_.size() - 1);
    refuse(std::move(at), "must be an object");
  }
}

field_reader::field field_reader::take(names of) {
  field found{nullptr, path(*of.begin())};
  for (const auto name : of) {
    known_.push_back(name);
    if (!input_.is_object())
      continue;
    const auto it = input_.find(name);
    if (it == input_.end() || it->is_null())
      continue;
    if (found) {
      refuse(path(name), "means the same as `" + found.path + "`: give one of them");
      continue;
    }
    found = {&*it, path(name)};
  }
  return found;
}

std::string field_reader::text(names of, const text_limits& limits) {
  const auto given = take(of);
  if (!given) {
    if (limits.required)
      refuse(given.path, "is required");
    return {};
  }
  const auto* value = given.value->get_ptr<const std::string*>();
  if (value == nullptr) {
    refuse(given.path, "must be a text");
  } else if (value->empty()) {
    if (limits.required)
      refuse(given.path, "must not be empty");
  } else if (value->size() > limits.max_bytes) {
    refuse(given.path, "must be at most " + std::to_string(limits.max_bytes) + " bytes long");
  } else if (const auto fault = text_fault(*value)) {
    refuse(given.path, std::string{*fault});
  } else if (limits.accepts != nullptr && !limits.accepts(*value)) {
    refuse(given.path, std::string{limits.form});
  } else {
    return *value;
  }
  return {};
}

bool field_reader::boolean(names of, bool otherwise) {
  const auto given = take(of);
  if (!given)
    return otherwise;
  if (!given.value->is_boolean()) {
    refuse(given.path, "must be true or false");
    return otherwise;
  }
  return given.value->get<bool>();
}

std::optional<std::uint64_t> field_reader::number(names of, const number_limits& limits) {
  const auto given = take(of);
  if (!given)
    return std::nullopt;
  // A value made in C++ from a signed number is number_integer even when it is not negative.
  const auto& value = *given.value;
  const bool whole =
    value.is_number_unsigned() || (value.is_number_integer() && value.get<std::int64_t>() >= 0);
  if (whole) {
    const auto number = value.get<std::uint64_t>();
    if (number >= limits.least && number <= limits.most)
      return number;
  }
  refuse(given.path, "must be a whole number from " + std::to_string(limits.least) + " to "
                       + std::to_string(limits.most));
  return std::nullopt;
}

void field_reader::ignore(names fields) {
  known_.insert(known_.end(), fields);
}

void field_reader::refuse(std::string path, std::string message) {
  if (faults_.size() < most_faults)
    faults_.push_back({std::move(path), std::move(message)});
}

void field_reader::absorb(const error& nested) {
  for (const auto& fault : nested.fields)
    refuse(fault.field, fault.message);
}

std::optional<error> field_reader::finish() {
  if (input_.is_object())
    for (const auto& item : input_.items()) {
      const auto& key = item.key();
      if (std::find(known_.begin(), known_.end(), key) != known_.end())
        continue;
      std::string message = "is not a known field";
      if (const auto near = nearest_name(key, known_))
        message += "; did you mean `" + std::string{*near} + "`?";
      refuse(path(printable(key)), std::move(message));
    }
  if (faults_.empty())
    return std::nullopt;
  std::string message = faults_.size() == 1
                          ? faults_.front().field + " " + faults_.front().message
                          : std::to_string(faults_.size()) + " fields are not valid";
  return error{errc::invalid_argument, std::move(message), std::move(faults_)};
}

} // namespace marchproxy::model
