// SPDX-License-Identifier: AGPL-3.0-only
#include "bus-schemas/cpp/subjects.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>

namespace marchproxy::bus_schemas {
namespace {

TEST(subjects, are_the_addresses_of_the_asyncapi_document) {
  std::ifstream file(MP_BUS_SCHEMAS "/asyncapi.yaml");
  std::set<std::string> documented;
  const std::string mark = "    address: ";
  for (std::string line; std::getline(file, line);)
    if (line.substr(0, mark.size()) == mark)
      documented.insert(line.substr(mark.size()));
  documented.erase("null"); // replies go where the request says

  const std::set<std::string> ours{
    std::string(subjects::config_phase),
    std::string(subjects::config_active),
    std::string(subjects::request_mapping),
    std::string(subjects::event_ingress_route_changed),
    std::string(subjects::event_mapping_changed),
    std::string(subjects::event_service_changed),
    std::string(subjects::event_revision_created),
    std::string(subjects::event_revision_committed),
    std::string(subjects::event_revision_aborted),
    std::string(subjects::audit_record),
    subjects::enroll("{key}"),
    subjects::proxy_ack("{key}"),
    subjects::proxy_status("{key}"),
    subjects::verdict("{service}", "{verdict}"),
    "mp.v1.cfg.all.chunk.{sha256}.{index}",
  };
  EXPECT_EQ(documented, ours);
  EXPECT_EQ(subjects::config_chunk("ab", 7), "mp.v1.cfg.all.chunk.ab.7");
}

} // namespace
} // namespace marchproxy::bus_schemas
