-- SPDX-License-Identifier: AGPL-3.0-only
CREATE TABLE ingress_routes (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  cluster_id BIGINT NOT NULL REFERENCES clusters (id),
  name TEXT NOT NULL,
  protocol TEXT NOT NULL CHECK (protocol IN ('http', 'tcp')),
  listen_port BIGINT NOT NULL,
  host TEXT NOT NULL,
  path TEXT NOT NULL,
  path_match TEXT NOT NULL CHECK (path_match IN ('prefix', 'exact')),
  active BIGINT NOT NULL,
  body TEXT NOT NULL,
  version BIGINT NOT NULL DEFAULT 1,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (cluster_id, name),
  UNIQUE (cluster_id, listen_port, host, path, path_match)
);

-- Which services a route leads to: they cannot be deleted while it does.
CREATE TABLE ingress_route_services (
  route_id BIGINT NOT NULL REFERENCES ingress_routes (id) ON DELETE CASCADE,
  service_id BIGINT NOT NULL REFERENCES services (id),
  PRIMARY KEY (route_id, service_id)
);
CREATE INDEX ingress_route_services_by_service ON ingress_route_services (service_id);
