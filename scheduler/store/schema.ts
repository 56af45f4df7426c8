import type { FIGURES } from '../graph/traffic-rows.ts';

/** "NLgr", in the header of the file: it is ours, and a graph. */
export const APPLICATION_ID = 0x4e4c6772;
/** In PRAGMA user_version. A file of a higher version is not touched; one of version 1 gets the tables of a plan. */
export const SCHEMA_VERSION = 2;

/** In the order of TrafficRows' figures. */
export const FIGURE_COLUMNS = [
  'bytes_out',
  'bytes_in',
  'segments_out',
  'segments_in',
  'retransmits',
  'connections',
  'short_out',
  'short_in',
  'long_out',
  'long_in',
  'short_gap',
  'long_gap',
  'first_ms',
  'last_ms',
  'min_rtt_us',
  'smoothed_rtt_us',
] as const satisfies { length: typeof FIGURES };

/** Times are graph time, ms since 1970 UTC; class and code as in scheduler/graph (endpoint-table.ts, edge-code.ts). */
export const CREATE = `
CREATE TABLE endpoint (
  id INTEGER PRIMARY KEY,
  class INTEGER NOT NULL,
  kind TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL
) STRICT;
CREATE TABLE edge (
  client INTEGER NOT NULL,
  server INTEGER NOT NULL,
  code INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  reporter INTEGER NOT NULL,
  view INTEGER NOT NULL,
  ports TEXT NOT NULL,
  ${FIGURE_COLUMNS.map((column) => `${column} REAL NOT NULL`).join(',\n  ')},
  PRIMARY KEY (client, server, code)
) STRICT, WITHOUT ROWID;
CREATE TABLE node (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  watermark_ms REAL NOT NULL,
  -- map identities and their highest committed sequence, counters, interval: JSON
  state TEXT NOT NULL
) STRICT;
CREATE TABLE total (
  name TEXT PRIMARY KEY,
  value REAL NOT NULL
) STRICT, WITHOUT ROWID;
`;

/** The current plan: one row, and what it wants of every workload on every node. */
export const CREATE_PLAN = `
CREATE TABLE plan (
  version INTEGER PRIMARY KEY,
  hash TEXT NOT NULL,
  -- wall clock, ms since 1970 UTC
  made_at_ms REAL NOT NULL,
  compute_seconds REAL NOT NULL,
  iterations INTEGER NOT NULL,
  local_share_node REAL NOT NULL,
  local_share_zone REAL NOT NULL
) STRICT;
CREATE TABLE plan_target (
  -- namespace/Kind/name
  workload TEXT NOT NULL,
  node TEXT NOT NULL,
  replicas INTEGER NOT NULL,
  PRIMARY KEY (workload, node)
) STRICT, WITHOUT ROWID;
`;
