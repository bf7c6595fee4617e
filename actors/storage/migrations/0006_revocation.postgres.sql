-- SPDX-License-Identifier: AGPL-3.0-only
-- Mappings say what becomes of their connections when a revision refuses them: as it was. A manager that does not know
-- the fields does not start on this database, where it would refuse what it reads.
UPDATE mappings SET body = (body::jsonb || '{"when_revoked": "cut", "drain_seconds": 30}'::jsonb)::text;
