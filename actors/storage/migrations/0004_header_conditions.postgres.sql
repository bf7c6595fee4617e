-- SPDX-License-Identifier: AGPL-3.0-only
-- Ingress routes may share host and path if their conditions on headers differ. `conditions` is the SHA-256 of their
-- canonical form; empty: none.
ALTER TABLE ingress_routes ADD COLUMN conditions TEXT NOT NULL DEFAULT '';
DO $$
DECLARE
  known TEXT;
BEGIN
  -- The name is the server's, and cut short.
  SELECT conname INTO STRICT known FROM pg_constraint
    WHERE conrelid = 'ingress_routes'::regclass AND contype = 'u' AND array_length(conkey, 1) = 5;
  EXECUTE format('ALTER TABLE ingress_routes DROP CONSTRAINT %I', known);
END $$;
ALTER TABLE ingress_routes ADD CONSTRAINT ingress_routes_place
  UNIQUE (cluster_id, listen_port, host, path, path_match, conditions);
