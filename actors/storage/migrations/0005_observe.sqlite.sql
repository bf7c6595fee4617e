-- SPDX-License-Identifier: AGPL-3.0-only
-- Mappings and clusters may be observed: none of those that are there. A manager that does not know the field does not
-- start on this database, where it would refuse what it reads.
UPDATE mappings SET body = json_set(body, '$.observe', json('false'));
UPDATE clusters SET body = json_set(body, '$.observe', json('false'));
