-- SPDX-License-Identifier: AGPL-3.0-only
-- Times are microseconds since the epoch, UTC; flags are 0 and 1. `body` is the model's canonical JSON; the columns
-- beside it are those that constraints and filters need.

CREATE TABLE clusters (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  max_proxies BIGINT NOT NULL,
  revision BIGINT NOT NULL DEFAULT 0,
  body TEXT NOT NULL,
  version BIGINT NOT NULL DEFAULT 1,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

CREATE TABLE services (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  cluster_id BIGINT NOT NULL REFERENCES clusters (id),
  name TEXT NOT NULL,
  collection TEXT NOT NULL,
  active BIGINT NOT NULL,
  body TEXT NOT NULL,
  version BIGINT NOT NULL DEFAULT 1,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (cluster_id, name)
);
CREATE INDEX services_by_collection ON services (cluster_id, collection);

CREATE TABLE mappings (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  cluster_id BIGINT NOT NULL REFERENCES clusters (id),
  name TEXT NOT NULL,
  active BIGINT NOT NULL,
  body TEXT NOT NULL,
  version BIGINT NOT NULL DEFAULT 1,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX mappings_by_cluster ON mappings (cluster_id);

-- Which services a mapping names by id: they cannot be deleted while it does.
CREATE TABLE mapping_services (
  mapping_id BIGINT NOT NULL REFERENCES mappings (id) ON DELETE CASCADE,
  service_id BIGINT NOT NULL REFERENCES services (id),
  side TEXT NOT NULL CHECK (side IN ('source', 'destination')),
  PRIMARY KEY (mapping_id, service_id, side)
);
CREATE INDEX mapping_services_by_service ON mapping_services (service_id);

-- verifier: the bytes, or sealed with the key-encryption key where sealed = 1 (shared secrets).
CREATE TABLE credentials (
  service_id BIGINT NOT NULL REFERENCES services (id) ON DELETE CASCADE,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  algorithm TEXT NOT NULL,
  verifier BLOB NOT NULL,
  sealed BIGINT NOT NULL,
  expires_at BIGINT,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (service_id, id)
);

CREATE TABLE proxies (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  cluster_id BIGINT NOT NULL REFERENCES clusters (id),
  name TEXT NOT NULL,
  nkey TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('egress', 'ingress')),
  version TEXT NOT NULL,
  hostname TEXT NOT NULL,
  addresses TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('joined', 'active', 'stale', 'revoked', 'retired')),
  tier TEXT NOT NULL DEFAULT '',
  applied_revision BIGINT NOT NULL DEFAULT 0,
  applied_hash TEXT NOT NULL DEFAULT '',
  status TEXT NOT NULL DEFAULT '{}',
  enrolled_at BIGINT NOT NULL,
  last_seen BIGINT NOT NULL,
  UNIQUE (cluster_id, name)
);
CREATE INDEX proxies_by_state ON proxies (state, last_seen);

-- One row: whoever counts seats updates it first, so that two enrolments never count at once.
CREATE TABLE seat_lock (
  id BIGINT PRIMARY KEY CHECK (id = 1),
  taken BIGINT NOT NULL
);
INSERT INTO seat_lock (id, taken) VALUES (1, 0);

CREATE TABLE join_keys (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  cluster_id BIGINT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
  public_key TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  retired_at BIGINT
);
CREATE INDEX join_keys_by_cluster ON join_keys (cluster_id);

-- content: the ruleset's canonical bytes, sealed; NULL once it is given up for its size.
CREATE TABLE revisions (
  cluster_id BIGINT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
  number BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  created_by TEXT NOT NULL,
  reason TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'committed', 'aborted', 'superseded')),
  ruleset_hash TEXT NOT NULL,
  program_hash TEXT NOT NULL DEFAULT '',
  decided_at BIGINT,
  decision_reason TEXT NOT NULL DEFAULT '',
  finished_at BIGINT,
  outcome TEXT NOT NULL DEFAULT '',
  expected BIGINT NOT NULL DEFAULT 0,
  applied BIGINT NOT NULL DEFAULT 0,
  content BLOB,
  content_size BIGINT NOT NULL,
  PRIMARY KEY (cluster_id, number)
);
CREATE INDEX revisions_by_state ON revisions (cluster_id, state, number);

CREATE TABLE users (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  password_hash TEXT NOT NULL,
  active BIGINT NOT NULL,
  must_change BIGINT NOT NULL,
  version BIGINT NOT NULL DEFAULT 1,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  last_login BIGINT
);

-- cluster_id 0: in every cluster.
CREATE TABLE user_roles (
  user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  cluster_id BIGINT NOT NULL,
  role TEXT NOT NULL,
  PRIMARY KEY (user_id, cluster_id, role)
);

CREATE TABLE sessions (
  token_hash TEXT PRIMARY KEY,
  user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  csrf_hash TEXT NOT NULL,
  source TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  last_seen BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE api_keys (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  key_hash TEXT NOT NULL UNIQUE,
  scopes TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  last_used BIGINT,
  UNIQUE (user_id, name)
);

CREATE TABLE login_throttle (
  subject TEXT PRIMARY KEY,
  failures BIGINT NOT NULL,
  last_failure BIGINT NOT NULL,
  locked_until BIGINT
);

-- One row a ledger: whoever appends updates it first, so that a ledger has one writer at a time.
CREATE TABLE audit_heads (
  ledger TEXT PRIMARY KEY,
  sequence BIGINT NOT NULL,
  hash TEXT NOT NULL
);

-- change_id: one number for each change, found again when the answer to its commit was lost.
CREATE TABLE audit (
  ledger TEXT NOT NULL,
  sequence BIGINT NOT NULL,
  change_id TEXT NOT NULL UNIQUE,
  at BIGINT NOT NULL,
  record TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (ledger, sequence)
);

CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  cluster_id BIGINT NOT NULL,
  subject TEXT NOT NULL,
  payload TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  sent_at BIGINT
);
CREATE INDEX outbox_unsent ON outbox (id) WHERE sent_at IS NULL;
CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;

CREATE TABLE idempotency (
  principal TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  request_hash TEXT NOT NULL,
  resource_id BIGINT NOT NULL,
  revision BIGINT NOT NULL,
  sequence BIGINT NOT NULL,
  version BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (principal, idempotency_key)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);

CREATE TABLE secrets (
  name TEXT PRIMARY KEY,
  sealed BLOB NOT NULL,
  updated_at BIGINT NOT NULL
);

-- Append-only, even for our own mistakes.
CREATE TRIGGER audit_keeps_updates BEFORE UPDATE ON audit
BEGIN
  SELECT RAISE(ABORT, 'the audit table is append-only');
END;
CREATE TRIGGER audit_keeps_deletes BEFORE DELETE ON audit
BEGIN
  SELECT RAISE(ABORT, 'the audit table is append-only');
END;
