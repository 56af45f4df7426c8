import type { Readable } from 'node:stream';
import { fullJitterMs } from '../backoff.ts';
import { asCount, asObject, asText, type JsonObject } from '../json/json-access.ts';
import { sameData } from '../json/same-data.ts';
import type { Logger } from '../log.ts';
import { ApiRefusal, type Status } from './api-refusal.ts';
import type { Change, Collection, Identified } from './collection.ts';
import type { KubeApi, KubeReply } from './kube-client.ts';
import { lines } from './lines.ts';
import { readPage, type PageEnd } from './page.ts';

export interface ReflectorLimits {
  /** Objects of a list's page; a list that expires under way is begun again with larger ones. */
  readonly pageSizes: readonly number[];
  /** A watch is asked to end after something between the two, so that not all end together. */
  readonly watchSeconds: readonly [number, number];
  /** The API server sends a bookmark a minute; a watch on which nothing came for this long is opened anew. */
  readonly idleMs: number;
  readonly leastBackoffMs: number;
  readonly mostBackoffMs: number;
  /** A watch that ended sooner, whatever its reason, is waited for like one that failed. */
  readonly steadyMs: number;
  readonly maxLineBytes: number;
}

export const DEFAULT_REFLECTOR_LIMITS: ReflectorLimits = {
  pageSizes: [500, 2_000, 10_000],
  watchSeconds: [300, 600],
  idleMs: 130_000,
  leastBackoffMs: 500,
  mostBackoffMs: 30_000,
  steadyMs: 5_000,
  maxLineBytes: 16 << 20,
};

export interface ReflectorSink<R> {
  /** The collection was listed: what it was, and all that it is now. By key. */
  listed(before: ReadonlyMap<string, R>, after: ReadonlyMap<string, R>): Promise<void>;
  /** What came together on the watch. */
  apply(changes: readonly Change<R>[]): void;
  /** The watch stands: what is known is what the API server knows. */
  current(): void;
  failed(error: unknown): void;
}

/** Counted since the start. */
export interface ReflectorCounts {
  lists: number;
  pages: number;
  watches: number;
  events: number;
  bookmarks: number;
  /** 410 Gone, of a watch or of a page. */
  expired: number;
  failures: number;
  /** Objects that could not be used. */
  unusable: number;
}

export const NO_COUNTS: Readonly<ReflectorCounts> = {
  lists: 0,
  pages: 0,
  watches: 0,
  events: 0,
  bookmarks: 0,
  expired: 0,
  failures: 0,
  unusable: 0,
};

export interface ReflectorDeps<R> {
  readonly api: Pick<KubeApi, 'get'>;
  readonly sink: ReflectorSink<R>;
  readonly logger: Logger;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  readonly random?: () => number;
  readonly limits?: Partial<ReflectorLimits>;
}

/**
 * Refusals of a watch after which its version is given up, and the collection listed again: waiting alone would never
 * mend a version that the server cannot read, or that of another server's past.
 */
const LOST_VERSION: ReadonlySet<number> = new Set([400, 404, 406, 422]);
/**
 * So many watches on which nothing came: the version may lie in this server's future (etcd was restored from a backup),
 * for then it sends nothing, without an error.
 */
const MUTE_WATCHES = 2;
/** The API server asks for a second or a few (priority and fairness); a proxy that asks for hours is not obeyed. */
const MOST_RETRY_AFTER_MS = 60_000;

/** Nothing came on a connection for too long. */
class Silence extends Error {}

/**
 * Keeps one collection as the API server has it: lists it in pages, then watches from there on with bookmarks; lists
 * again only when the server no longer knows the version (410), and what was delivered stays until then. Objects are
 * reduced as they come: none is kept whole. As client-go's Reflector (tools/cache/reflector.go).
 */
export class Reflector<R extends Identified> {
  readonly counts: ReflectorCounts = { ...NO_COUNTS };
  readonly #collection: Collection<R>;
  readonly #deps: ReflectorDeps<R>;
  readonly #limits: ReflectorLimits;
  readonly #abort = new AbortController();
  #known: Map<string, R> = new Map();
  #version: string | undefined;
  /** The next list may come from the API server's cache if it is at least of this version; undefined: it must not. */
  #cachedFrom: string | undefined;
  /** Index into pageSizes. */
  #pageSize = 0;
  #attempt = 0;
  /** Watches in a row that were answered and then brought nothing, not even a bookmark. */
  #mute = 0;
  #running: Promise<void> | undefined;
  /** Of when what is known is: the start of the list, then whatever came last on the watch; undefined: not listed yet. */
  heardMs: number | undefined;

  constructor(collection: Collection<R>, deps: ReflectorDeps<R>) {
    this.#collection = collection;
    this.#deps = deps;
    // 0: any version at all.
    this.#cachedFrom = collection.fromCache === true ? '0' : undefined;
    this.#limits = { ...DEFAULT_REFLECTOR_LIMITS, ...deps.limits };
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      try {
        this.#version ??= await this.#list();
        const steady = await this.#watch(this.#version);
        if (!steady) await this.#pause(0);
      } catch (error) {
        if (signal.aborted) return;
        await this.#afterFailure(error);
      }
    }
  }

  async #afterFailure(error: unknown): Promise<void> {
    const { sink, logger } = this.#deps;
    if (error instanceof ApiRefusal && error.code === 410) {
      this.counts.expired++;
      this.#cachedFrom = this.#collection.fromCache === true ? this.#version : undefined;
      this.#version = undefined;
      logger.info('the API server no longer knows our version; listing again', { path: this.#collection.path });
      await this.#pause(0);
      return;
    }
    this.counts.failures++;
    sink.failed(error);
    const lost = error instanceof ApiRefusal && LOST_VERSION.has(error.code);
    if (lost || this.#mute >= MUTE_WATCHES) {
      this.#mute = 0;
      this.#version = undefined;
      this.#cachedFrom = undefined;
    }
    // The cache has not come so far within the time that the server waits for it.
    if (error instanceof ApiRefusal && error.code === 504) this.#cachedFrom = undefined;
    const retryAfterMs = error instanceof ApiRefusal ? (error.retryAfter ?? 0) * 1000 : 0;
    await this.#pause(Math.min(retryAfterMs, MOST_RETRY_AFTER_MS));
  }

  /** Waits with backoff, at least `leastMs`; ends at once when stopped. */
  async #pause(leastMs: number): Promise<void> {
    const { leastBackoffMs, mostBackoffMs } = this.#limits;
    const waitMs = leastMs + fullJitterMs(this.#attempt++, leastBackoffMs, mostBackoffMs, this.#deps.random);
    const { signal } = this.#abort;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      signal.addEventListener('abort', done);
    });
  }

  /** @returns the version from which to watch */
  async #list(): Promise<string> {
    const { pageSizes } = this.#limits;
    const limit = pageSizes[Math.min(this.#pageSize, pageSizes.length - 1)]!;
    const listed = new Map<string, R>();
    const startedMs = this.#deps.now();
    let next = '';
    for (;;) {
      const page = await this.#page(this.#path(this.#listQuery(limit, next)), (item) => {
        const record = this.#project(item);
        if (record === undefined) return;
        const key = this.#collection.keyOf(record);
        const known = this.#known.get(key);
        listed.set(key, known !== undefined && sameData(known, record) ? known : record);
      }).catch((error: unknown) => {
        // The version of the first page was compacted before the last was read: a larger page needs less time.
        if (next !== '' && error instanceof ApiRefusal && error.code === 410) this.#pageSize++;
        throw error;
      });
      this.counts.pages++;
      next = page.next;
      if (next !== '') continue;
      const { version } = page;
      if (version === undefined)
        throw new Error(`the list of ${this.#collection.path} has no metadata.resourceVersion`);
      this.counts.lists++;
      this.#pageSize = 0;
      const before = this.#known;
      this.#known = listed;
      this.heardMs = startedMs;
      await this.#deps.sink.listed(before, listed);
      return version;
    }
  }

  /** Of the cache all at once: it knows no pages (client-go's reflector does the same). */
  #listQuery(limit: number, next: string): string {
    if (next !== '') return `limit=${limit}&continue=${encodeURIComponent(next)}`;
    if (this.#cachedFrom === undefined) return `limit=${limit}`;
    return `resourceVersion=${encodeURIComponent(this.#cachedFrom)}&resourceVersionMatch=NotOlderThan`;
  }

  #path(query: string): string {
    const { path, selector } = this.#collection;
    return `${path}?${selector === undefined ? '' : `${selector}&`}${query}`;
  }

  /**
   * Until the server ends the watch; it is opened again from `#version`.
   * @returns whether it stood long enough for the next to be opened at once
   */
  async #watch(version: string): Promise<boolean> {
    const { watchSeconds, idleMs, maxLineBytes, steadyMs } = this.#limits;
    const [least, most] = watchSeconds;
    const seconds = Math.round(least + (this.#deps.random ?? Math.random)() * (most - least));
    const path = this.#path(
      `watch=1&allowWatchBookmarks=true&timeoutSeconds=${seconds}&resourceVersion=${encodeURIComponent(version)}`,
    );
    const heardBeforeMs = this.heardMs;
    let openedMs = Number.POSITIVE_INFINITY;
    let taken = 0;
    try {
      await this.#ask(path, idleMs, async (reply, alive) => {
        await this.#refuseUnless200(reply);
        openedMs = this.#deps.now();
        this.counts.watches++;
        this.#heard();
        this.#deps.sink.current();
        for await (const batch of lines(reply.body, maxLineBytes)) {
          alive();
          this.#heard();
          const changes: Change<R>[] = [];
          try {
            for (const line of batch) {
              this.#take(JSON.parse(line), changes);
              taken++;
            }
          } finally {
            if (changes.length > 0) this.#deps.sink.apply(changes);
          }
        }
      });
    } catch (error) {
      // Opened only to hear that the version is too old: what is known is as old as before.
      if (taken === 0 && error instanceof ApiRefusal) this.heardMs = heardBeforeMs;
      if (taken === 0 && error instanceof Silence && openedMs < Number.POSITIVE_INFINITY) this.#mute++;
      throw error;
    } finally {
      if (taken > 0) this.#mute = 0;
      if (this.#deps.now() - openedMs >= steadyMs) this.#attempt = 0;
    }
    return this.#deps.now() - openedMs >= steadyMs;
  }

  #take(message: unknown, changes: Change<R>[]): void {
    const event = asObject(message);
    const object = asObject(event?.['object']);
    const type = event?.['type'];
    if (type === 'ERROR') throw new ApiRefusal(statusOf(object), retryAfterOf(object));
    const version = asText(asObject(object?.['metadata'])?.['resourceVersion']);
    if (type === 'BOOKMARK') this.counts.bookmarks++;
    else {
      this.counts.events++;
      const record = this.#project(object);
      if (record !== undefined) this.#change(type === 'DELETED', record, changes);
    }
    if (version !== undefined) this.#version = version;
  }

  #change(deleted: boolean, record: R, changes: Change<R>[]): void {
    const key = this.#collection.keyOf(record);
    const known = this.#known.get(key);
    if (deleted) {
      if (known === undefined || known.uid !== record.uid) return;
      this.#known.delete(key);
      changes.push({ op: 'delete', record: known });
      return;
    }
    if (known !== undefined && sameData(known, record)) return;
    if (known !== undefined && known.uid !== record.uid) changes.push({ op: 'delete', record: known });
    this.#known.set(key, record);
    changes.push({ op: 'upsert', record });
  }

  #project(object: unknown): R | undefined {
    const record = this.#collection.project(object);
    if (record === undefined) this.counts.unusable++;
    return record;
  }

  #heard(): void {
    this.heardMs = this.#deps.now();
  }

  #page(path: string, take: (item: unknown) => void): Promise<PageEnd> {
    return this.#ask(path, this.#limits.idleMs, async (reply, alive) => {
      await this.#refuseUnless200(reply);
      return readPage(reply.body, take, alive);
    });
  }

  async #refuseUnless200(reply: KubeReply): Promise<void> {
    if (reply.status === 200) return;
    const said = await statusBody(reply.body);
    throw new ApiRefusal({ ...statusOf(said), code: reply.status }, reply.retryAfter ?? retryAfterOf(said));
  }

  /** One request that is given up when `alive` was not called for idleMs; its connection is closed whatever happens. */
  async #ask<T>(path: string, idleMs: number, use: (reply: KubeReply, alive: () => void) => Promise<T>): Promise<T> {
    const idle = new AbortController();
    const timer = setTimeout(() => idle.abort(new Silence(`nothing came for ${idleMs / 1000} s`)), idleMs);
    const stopped = () => idle.abort(new Error('stopped'));
    this.#abort.signal.addEventListener('abort', stopped);
    if (this.#abort.signal.aborted) stopped();
    let body: Readable | undefined;
    const giveUp = () => body?.destroy(idle.signal.reason as Error);
    idle.signal.addEventListener('abort', giveUp);
    try {
      const reply = await this.#deps.api.get(path, idle.signal);
      body = reply.body;
      if (idle.signal.aborted) giveUp();
      return await use(reply, () => timer.refresh());
    } catch (error) {
      throw idle.signal.aborted ? idle.signal.reason : error;
    } finally {
      clearTimeout(timer);
      this.#abort.signal.removeEventListener('abort', stopped);
      idle.signal.removeEventListener('abort', giveUp);
      body?.on('error', () => undefined);
      body?.destroy();
    }
  }
}

function statusOf(object: JsonObject | undefined): Status {
  return {
    code: asCount(object?.['code']) ?? 0,
    reason: asText(object?.['reason']) ?? '',
    message: asText(object?.['message']) ?? '',
  };
}

/** Seconds (meta/v1 StatusDetails). */
function retryAfterOf(status: JsonObject | undefined): number | undefined {
  return asCount(asObject(status?.['details'])?.['retryAfterSeconds']);
}

/** Of an error the server's own words, as far as it has any; a proxy may answer HTML. */
async function statusBody(body: Readable): Promise<JsonObject | undefined> {
  let said = '';
  try {
    for await (const chunk of body) {
      said += String(chunk);
      if (said.length > 65_536) break;
    }
    return asObject(JSON.parse(said));
  } catch {
    return { message: said.slice(0, 200) };
  }
}
