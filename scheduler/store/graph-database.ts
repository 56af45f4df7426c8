import { renameSync, existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { NetloomError, messageOf } from '../../lib/errors.ts';
import type { EndpointClass } from '../graph/endpoint-table.ts';
import {
  type GraphDelta,
  KEYS,
  KEY_CLIENT,
  KEY_CODE,
  KEY_EPOCH,
  KEY_REPORTER,
  KEY_SERVER,
  KEY_VIEW,
  type SavedEndpoint,
  type SavedNode,
  type SavedState,
  type SavedTotals,
} from '../graph/saved-state.ts';
import { FIGURES, PORTS } from '../graph/traffic-rows.ts';
import type { NamedPlan } from '../plan/named-plan.ts';
import { lockStore } from './lock.ts';
import { loadPlan, writePlan } from './plan-tables.ts';
import { APPLICATION_ID, CREATE, CREATE_PLAN, FIGURE_COLUMNS, SCHEMA_VERSION } from './schema.ts';

export interface DatabaseOptions {
  readonly path: string;
  /** Most bytes of the file; 0: no bound. A save beyond it fails, as on a full disk. */
  readonly maxBytes: number;
  /** Wall clock: names a file that is moved aside. */
  readonly nowMs: number;
}

export interface Opened {
  readonly database: GraphDatabase;
  readonly state: SavedState;
  readonly plan: NamedPlan | undefined;
  /** STORE_UNREADABLE: what was there could not be read and was moved aside. */
  readonly movedAside: NetloomError | undefined;
}

/** Opens or makes the file. What cannot be read is moved aside, never deleted; throws STORE_IN_USE, or where no file can be made. */
export function openGraphDatabase(options: DatabaseOptions): Opened {
  try {
    mkdirSync(dirname(options.path), { recursive: true });
  } catch (error) {
    throw unwritable(options.path, error);
  }
  const lock = lockStore(options.path);
  try {
    return openLocked(options, lock);
  } catch (error) {
    lock.close();
    throw error;
  }
}

function openLocked(options: DatabaseOptions, lock: DatabaseSync): Opened {
  let movedAside: NetloomError | undefined;
  for (let attempt = 0; ; attempt++) {
    let database: GraphDatabase | undefined;
    try {
      database = new GraphDatabase(options, lock);
      return { database, state: database.load(), plan: database.loadPlan(), movedAside };
    } catch (error) {
      database?.close();
      if (attempt > 0 || !isUnreadable(error) || !existsSync(options.path)) throw unwritable(options.path, error);
      movedAside = moveAside(options, error);
    }
  }
}

/** Synchronous: lives in the store's thread. */
export class GraphDatabase {
  readonly #db: DatabaseSync;
  /** Held as long as the database is open. */
  readonly #lock: DatabaseSync | undefined;
  readonly #putEdge: StatementSync;
  readonly #dropEdge: StatementSync;
  readonly #putEndpoint: StatementSync;
  readonly #dropEndpoint: StatementSync;
  readonly #putNode: StatementSync;
  readonly #dropNode: StatementSync;
  readonly #putTotal: StatementSync;

  constructor({ path, maxBytes }: Pick<DatabaseOptions, 'path' | 'maxBytes'>, lock?: DatabaseSync) {
    this.#lock = lock;
    this.#db = new DatabaseSync(path, { timeout: 5_000 });
    try {
      this.#prepareFile(path, maxBytes);
      const marks = Array.from({ length: 7 + FIGURES }, () => '?').join(', ');
      const columns = `client, server, code, epoch, reporter, view, ports, ${FIGURE_COLUMNS.join(', ')}`;
      this.#putEdge = this.#db.prepare(`INSERT OR REPLACE INTO edge (${columns}) VALUES (${marks})`);
      this.#dropEdge = this.#db.prepare('DELETE FROM edge WHERE client = ? AND server = ? AND code = ?');
      this.#putEndpoint = this.#db.prepare(
        'INSERT OR REPLACE INTO endpoint (id, class, kind, namespace, name) VALUES (?, ?, ?, ?, ?)',
      );
      this.#dropEndpoint = this.#db.prepare('DELETE FROM endpoint WHERE id = ?');
      this.#putNode = this.#db.prepare(
        'INSERT OR REPLACE INTO node (id, name, watermark_ms, state) VALUES (?, ?, ?, ?)',
      );
      this.#dropNode = this.#db.prepare('DELETE FROM node WHERE id = ?');
      this.#putTotal = this.#db.prepare('INSERT OR REPLACE INTO total (name, value) VALUES (?, ?)');
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  #prepareFile(path: string, maxBytes: number): void {
    const db = this.#db;
    const pragma = (name: string): number =>
      Number(Object.values(db.prepare(`PRAGMA ${name}`).get() ?? { value: 0 })[0]);
    const version = pragma('user_version');
    const application = pragma('application_id');
    const tables = db.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'").get();
    const empty = tables?.['n'] === 0;
    if (!empty && application !== APPLICATION_ID) {
      throw unreadable(path, 'a graph saved by Netloom', 'a database of another program');
    }
    if (version > SCHEMA_VERSION) {
      throw unreadable(path, `format ${SCHEMA_VERSION} or lower`, `format ${version}, of a newer Netloom`);
    }
    // Readers beside us do not block saving; FULL: what an agent was told is safe also survives a power cut.
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF');
    if (maxBytes > 0) db.exec(`PRAGMA max_page_count = ${Math.max(16, Math.floor(maxBytes / pragma('page_size')))}`);
    if (!empty) {
      const [check] = db.prepare('PRAGMA quick_check(1)').all();
      const found = String(Object.values(check ?? { ok: 'no answer' })[0]);
      if (found !== 'ok') throw unreadable(path, 'an intact database', found);
      if (version < 2) db.exec(`BEGIN; ${CREATE_PLAN} PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`);
      return;
    }
    db.exec(
      `BEGIN; ${CREATE} ${CREATE_PLAN} PRAGMA application_id = ${APPLICATION_ID}; ` +
        `PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`,
    );
  }

  load(): SavedState {
    const db = this.#db;
    const endpoints = db.prepare('SELECT id, class, kind, namespace, name FROM endpoint ORDER BY id').all();
    const nodes = db.prepare('SELECT id, name, watermark_ms, state FROM node ORDER BY id').all();
    const totals = Object.fromEntries(
      db
        .prepare('SELECT name, value FROM total')
        .all()
        .map((row) => [String(row['name']), Number(row['value'])]),
    ) as Partial<Record<keyof SavedTotals, number>>;
    const n = Number(db.prepare('SELECT count(*) AS n FROM edge').get()?.['n']);
    const keys = new Int32Array(n * KEYS);
    const figures = new Float64Array(n * FIGURES);
    const ports = new Uint16Array(n * PORTS);
    let i = 0;
    for (const row of db.prepare('SELECT * FROM edge').iterate()) {
      const to = i * KEYS;
      for (const [key, column] of KEY_COLUMNS) keys[to + key] = Number(row[column]);
      for (const [f, column] of FIGURE_COLUMNS.entries()) figures[i * FIGURES + f] = Number(row[column]);
      const list = String(row['ports']);
      if (list !== '') ports.set(list.split(',').map(Number).slice(0, PORTS), i * PORTS);
      i++;
    }
    return {
      endpoints: endpoints.map((row): SavedEndpoint => ({
        id: Number(row['id']),
        cls: Number(row['class']) as EndpointClass,
        kind: String(row['kind']),
        namespace: String(row['namespace']),
        name: String(row['name']),
      })),
      nodes: nodes.map((row): SavedNode => {
        const state = JSON.parse(String(row['state'])) as Omit<SavedNode, 'id' | 'name' | 'watermarkMs'>;
        // JSON has no -Infinity: a node that never reported has null.
        const seenMs = state.seenMs ?? Number.NEGATIVE_INFINITY;
        return {
          ...state,
          seenMs,
          id: Number(row['id']),
          name: String(row['name']),
          watermarkMs: Number(row['watermark_ms']),
        };
      }),
      totals: {
        clockMs: totals.clockMs ?? Number.NEGATIVE_INFINITY,
        countedSinceMs: totals.countedSinceMs,
        missingReports: totals.missingReports ?? 0,
        duplicateReports: totals.duplicateReports ?? 0,
        heldDiscarded: totals.heldDiscarded ?? 0,
        workloadEdgesFolded: totals.workloadEdgesFolded ?? 0,
        outsidePeersFolded: totals.outsidePeersFolded ?? 0,
      },
      edges: { n, keys, figures, ports },
    };
  }

  loadPlan(): NamedPlan | undefined {
    return loadPlan(this.#db);
  }

  /** All of it or nothing. */
  save(delta: GraphDelta): void {
    this.#inTransaction(() => this.#write(delta));
  }

  savePlan(plan: NamedPlan): void {
    this.#inTransaction(() => writePlan(this.#db, plan));
  }

  #inTransaction(write: () => void): void {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      write();
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  #write({ endpoints, removedEndpoints, edges, removedEdges, nodes, removedNodes, totals }: GraphDelta): void {
    for (let i = 0; i + 2 < removedEdges.length; i += 3) {
      this.#dropEdge.run(removedEdges[i]!, removedEdges[i + 1]!, removedEdges[i + 2]!);
    }
    for (const id of removedEndpoints) this.#dropEndpoint.run(id);
    for (const { id, cls, kind, namespace, name } of endpoints) this.#putEndpoint.run(id, cls, kind, namespace, name);
    const { keys, figures, ports } = edges;
    for (let i = 0; i < edges.n; i++) {
      const row = [...keys.subarray(i * KEYS, (i + 1) * KEYS)];
      const list = ports.subarray(i * PORTS, (i + 1) * PORTS);
      this.#putEdge.run(
        ...row,
        list[0] === 0 ? '' : list.filter((port) => port !== 0).join(),
        ...figures.subarray(i * FIGURES, (i + 1) * FIGURES),
      );
    }
    for (const id of removedNodes) this.#dropNode.run(id);
    for (const { id, name, watermarkMs, ...state } of nodes)
      this.#putNode.run(id, name, watermarkMs, JSON.stringify(state));
    for (const [name, value] of Object.entries(totals)) {
      if (value !== undefined) this.#putTotal.run(name, value as number);
    }
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close();
    if (this.#lock?.isOpen === true) this.#lock.close();
  }
}

const KEY_COLUMNS = [
  [KEY_CLIENT, 'client'],
  [KEY_SERVER, 'server'],
  [KEY_CODE, 'code'],
  [KEY_EPOCH, 'epoch'],
  [KEY_REPORTER, 'reporter'],
  [KEY_VIEW, 'view'],
] as const;

function unreadable(path: string, expected: string, found: string): NetloomError {
  return new NetloomError('STORE_UNREADABLE', 'the saved graph cannot be used', { place: path, expected, found });
}

/** https://www.sqlite.org/rescode.html: SQLITE_ERROR (1; a table that is not as it should be), CORRUPT 11, NOTADB 26. */
const UNREADABLE_CODES: ReadonlySet<number> = new Set([1, 11, 26]);

function isUnreadable(error: unknown): boolean {
  if (error instanceof NetloomError) return error.code === 'STORE_UNREADABLE';
  if (error instanceof SyntaxError) return true;
  const code = (error as { errcode?: unknown }).errcode;
  return typeof code === 'number' && UNREADABLE_CODES.has(code & 0xff);
}

function unwritable(path: string, error: unknown): NetloomError {
  return new NetloomError('STORE_UNWRITABLE', `the graph cannot be saved: ${messageOf(error)}`, {
    place: path,
    expected: 'a file that can be read and written',
    cause: error,
  });
}

function moveAside({ path, nowMs }: DatabaseOptions, error: unknown): NetloomError {
  const aside = `${path}.unreadable-${new Date(nowMs).toISOString().replaceAll(/[-:.]/g, '')}`;
  // The log first: applied to another file of this name it would ruin that too.
  for (const suffix of ['-wal', '-shm', '']) {
    if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
  }
  const { expected, found } = error instanceof NetloomError ? error.details : {};
  return new NetloomError('STORE_UNREADABLE', 'the saved graph cannot be read: started with an empty one', {
    place: path,
    expected: expected ?? 'a graph saved by Netloom',
    found: found ?? messageOf(error),
    remedy: `The file is kept as ${aside}. Start the Netloom that wrote it, or delete it.`,
    cause: error,
  });
}
