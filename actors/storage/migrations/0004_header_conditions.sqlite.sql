-- SPDX-License-Identifier: AGPL-3.0-only
-- Ingress routes may share host and path if their conditions on headers differ. SQLite alters no UNIQUE, so the tables
-- are made anew; ids that were given are not given again.
CREATE TABLE routes_anew (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  cluster_id BIGINT NOT NULL REFERENCES clusters (id),
  name TEXT NOT NULL,
  protocol TEXT NOT NULL CHECK (protocol IN ('http', 'tcp')),
  listen_port BIGINT NOT NULL,
  host TEXT NOT NULL,
  path TEXT NOT NULL,
  path_match TEXT NOT NULL CHECK (path_match IN ('prefix', 'exact')),
  conditions TEXT NOT NULL DEFAULT '', -- SHA-256 of their canonical form; empty: none
  active BIGINT NOT NULL,
  body TEXT NOT NULL,
  version BIGINT NOT NULL DEFAULT 1,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (cluster_id, name),
  UNIQUE (cluster_id, listen_port, host, path, path_match, conditions)
);
INSERT INTO routes_anew (id, cluster_id, name, protocol, listen_port, host, path, path_match, active, body, version,
                         created_at, updated_at)
  SELECT id, cluster_id, name, protocol, listen_port, host, path, path_match, active, body, version, created_at, updated_at
  FROM ingress_routes;
DELETE FROM sqlite_sequence WHERE name = 'routes_anew';
INSERT INTO sqlite_sequence (name, seq) SELECT 'routes_anew', seq FROM sqlite_sequence WHERE name = 'ingress_routes';

CREATE TABLE route_services_anew (
  route_id BIGINT NOT NULL REFERENCES routes_anew (id) ON DELETE CASCADE,
  service_id BIGINT NOT NULL REFERENCES services (id),
  PRIMARY KEY (route_id, service_id)
);
INSERT INTO route_services_anew SELECT route_id, service_id FROM ingress_route_services;
DROP TABLE ingress_route_services;
DROP TABLE ingress_routes;
ALTER TABLE routes_anew RENAME TO ingress_routes;
ALTER TABLE route_services_anew RENAME TO ingress_route_services;
CREATE INDEX ingress_route_services_by_service ON ingress_route_services (service_id);
