import type { FIGURES } from '../graph/traffic-rows.ts';

/** "NLgr", in the header of the file: it is ours, and a graph. */
export const APPLICATION_ID = 0x4e4c6772;
/** In PRAGMA user_version. A file of a higher version is not touched. */
export const SCHEMA_VERSION = 1;

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
