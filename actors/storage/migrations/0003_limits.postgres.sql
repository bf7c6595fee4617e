-- SPDX-License-Identifier: AGPL-3.0-only
-- Services and mappings have limits: none of those that are there. A manager that does not know the field does not start
-- on this database, where it would refuse what it reads.
UPDATE services SET body = (body::jsonb || '{"limits": null}'::jsonb)::text;
UPDATE mappings SET body = (body::jsonb || '{"limits": null}'::jsonb)::text;
