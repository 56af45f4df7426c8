import type { NetlinkSocket } from '../../lib/netlink/index.ts';
import { describeElsewhere, findElsewhere, interfacesOf, remedyFor } from '../kernel/elsewhere.ts';
import { RESYNC_MS } from './rounds.ts';
import { warning, type Warning } from './teller.ts';

/** Looks now and then for limits in force that this agent does not look after. */
export class BesideWatch {
  readonly #pinsDir: string;
  #atMs = Number.NEGATIVE_INFINITY;
  #ifindexes: ReadonlySet<number> = new Set();
  #warnings: readonly Warning[] = [];

  /** @param pinsDir where an agent before may have pinned limits */
  constructor(pinsDir: string) {
    this.#pinsDir = pinsDir;
  }

  /** Where these are. */
  get ifindexes(): ReadonlySet<number> {
    return this.#ifindexes;
  }

  get warnings(): readonly Warning[] {
    return this.#warnings;
  }

  look(socket: NetlinkSocket, nowMs: number): void {
    if (nowMs < this.#atMs + RESYNC_MS) return;
    const ifindexes = new Set<number>();
    const warnings: Warning[] = [];
    const elsewhere = findElsewhere(socket, this.#pinsDir);
    if (elsewhere !== undefined) {
      for (const { ifindex } of elsewhere.interfaces) ifindexes.add(ifindex);
      warnings.push({ text: `${describeElsewhere(elsewhere)}. ${remedyFor(elsewhere)}`, level: 'error' });
    }
    const before = interfacesOf(socket, this.#pinsDir);
    if (before.length > 0) {
      for (const ifindex of before) ifindexes.add(ifindex);
      const where = `at ${before.length} interfaces, pinned in ${this.#pinsDir}`;
      warnings.push(warning(`limits of an earlier agent are in force ${where}`));
    }
    this.#ifindexes = ifindexes;
    this.#warnings = warnings;
    this.#atMs = nowMs;
  }
}
