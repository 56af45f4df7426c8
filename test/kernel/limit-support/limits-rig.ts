import { readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ownerOf } from '../../../bandwidth/enforce/slots.ts';
import { slotKey } from '../../../bandwidth/kernel/left.ts';
import { decodeSlotStat, type SlotStat } from '../../../bandwidth/slot-stat.ts';
import type { LimitRow } from '../../../bandwidth/status/report.ts';
import type { LimitsOptions } from '../../../bandwidth/limits-agent.ts';
import { askLimits } from '../../../cli/limits-client.ts';
import { PinnedTcLink, ensureBpffs, openPinnedMap, unmountBpffs, type BpfMap } from '../../../lib/bpf/index.ts';
import { temporaryDir } from '../../support/bpf.ts';
import { BIN, Processes, until, type Ended, type Running } from '../../support/netloom.ts';
import { kernelObjects } from './kernel-objects.ts';
import { Node, type Outside, type Pod } from './pods.ts';
import { sleep } from './udp-stream.ts';

const CHILD = join(import.meta.dirname, 'limits-child.ts');

export interface Annotations {
  readonly egress?: string;
  readonly ingress?: string;
}

/** A pod as the snapshot tells of it. */
export interface ToldPod extends Annotations {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly ips: readonly string[];
  readonly hostNetwork?: boolean;
  readonly phase?: string;
}

export type Direction = 'egress' | 'ingress';

/**
 * A node with an uplink, and agents that hold its pods to what a snapshot says: real processes in the node's network
 * namespace, with a bpffs, a state folder and a snapshot of this test's own.
 */
export class LimitsRig {
  readonly node = new Node();
  readonly outside: Outside;
  readonly #dir = temporaryDir();
  readonly bpffs = join(this.#dir.path, 'bpf');
  /** As --pins; limits are in the folder below. */
  readonly pins = join(this.bpffs, 'netloom');
  limitPins = join(this.pins, 'limits');
  readonly state = join(this.#dir.path, 'state');
  readonly snapshot = join(this.#dir.path, 'pods.json');
  readonly processes = new Processes();
  readonly #told = new Map<string, ToldPod>();
  /** All of our objects that were seen: id -> era in which they were seen last. */
  readonly #seen = {
    programs: new Map<number, number>(),
    maps: new Map<number, number>(),
    links: new Map<number, number>(),
  };
  #era = 0;
  pinsArgs: readonly string[] = ['--pins', this.pins];

  constructor() {
    this.outside = this.node.addUplink();
    ensureBpffs(this.bpffs);
  }

  async remove(): Promise<void> {
    await this.processes.cleanup();
    unmountBpffs(this.bpffs);
    unmountBpffs(join(this.state, 'bpf'));
    this.node.remove();
    this.#dir.remove();
  }

  /** Puts a pod into the snapshot, or another one in its place. Takes effect with `publish`. */
  tell(pod: ToldPod): void {
    this.#told.set(pod.name, pod);
  }

  forget(name: string): void {
    this.#told.delete(name);
  }

  /** A pod of the node with these annotations, told. */
  addPod(number: number, annotations: Annotations = {}): Pod {
    const pod = this.node.addPod(number);
    this.tell({ name: `p${number}`, ips: [pod.address, pod.address6], ...annotations });
    return pod;
  }

  /** Other annotations for a pod that was told. */
  annotate(name: string, { egress, ingress }: Annotations): void {
    const { egress: _egress, ingress: _ingress, ...rest } = this.#told.get(name)!;
    this.tell({ ...rest, ...(egress === undefined ? {} : { egress }), ...(ingress === undefined ? {} : { ingress }) });
  }

  publish(): void {
    // A pod of another node keeps the list from ever being empty.
    const items = [...this.#told.values(), { name: 'elsewhere', ips: ['10.99.0.1'], node: 'other' }].map(podObject);
    writeFileSync(`${this.snapshot}.next`, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    renameSync(`${this.snapshot}.next`, this.snapshot);
  }

  /** Agents are told no --pins: limits are on a bpffs of their own below the state folder. */
  withoutPins(): void {
    this.limitPins = join(this.state, 'bpf', 'limits');
    this.pinsArgs = [];
  }

  /** `netloom agent` in the node's namespace. */
  start(...more: string[]): Running {
    return this.processes.startProgram('nsenter', [
      ...[`--net=/run/netns/${this.node.name}`, BIN, 'agent', '--node', 'n1', '--log-format', 'json'],
      ...['--scheduler', '127.0.0.1:1', '--snapshot', this.snapshot, ...this.pinsArgs, '--state', this.state],
      ...more,
    ]);
  }

  /** The limiting half alone. @param child limits-child.ts of another version */
  startChild(more: Partial<LimitsOptions> = {}, child = CHILD): Running {
    const options: Omit<LimitsOptions, 'logger'> = {
      node: 'n1',
      purpose: 'enforce',
      from: { snapshot: this.snapshot },
      pins: this.limitPins,
      state: this.state,
      ...more,
    };
    return this.processes.startProgram('nsenter', [
      ...[`--net=/run/netns/${this.node.name}`, process.execPath, '--disable-warning=ExperimentalWarning'],
      ...[child, JSON.stringify(options)],
    ]);
  }

  detach(): Promise<Ended> {
    return this.processes.program('nsenter', [
      ...[`--net=/run/netns/${this.node.name}`, BIN, 'agent', '--detach'],
      ...[...this.pinsArgs, '--state', this.state],
    ]);
  }

  get socket(): string {
    return join(this.state, 'limits.sock');
  }

  async rows(): Promise<readonly LimitRow[]> {
    return (await askLimits(this.socket)).rows;
  }

  async row(pod: string, direction: Direction): Promise<LimitRow | undefined> {
    const rows = await this.rows();
    return rows.find((row) => row.pod === pod && row.direction === direction);
  }

  /** Waits until a direction of a pod stands so, and says how. */
  async stands(pod: string, direction: Direction, wanted: Partial<LimitRow>, giveUpMs?: number): Promise<LimitRow> {
    let row: LimitRow | undefined;
    const isWanted = (): boolean =>
      row !== undefined && Object.entries(wanted).every(([key, value]) => row![key as keyof LimitRow] === value);
    try {
      await until(
        'it stands so',
        async () => {
          row = await this.row(pod, direction).catch(() => undefined);
          return isWanted();
        },
        giveUpMs,
      );
    } catch {
      throw new Error(`${pod} ${direction} should be ${JSON.stringify(wanted)} and is ${JSON.stringify(row)}`);
    }
    return row!;
  }

  /** A row after counters were read anew: it has all that the programs have counted by now. */
  async counted(pod: string, direction: Direction): Promise<LimitRow> {
    const { packets, droppedPackets, delayed } = await this.stat(pod, direction);
    await sleep(1200);
    let row: LimitRow | undefined;
    await until(`the counters of ${pod} ${direction} were read anew`, async () => {
      row = await this.row(pod, direction);
      if (row === undefined) throw new Error(`${pod} ${direction} has no row`);
      return row.passed >= packets && row.dropped >= droppedPackets && row.delayed >= delayed;
    });
    return row!;
  }

  /** What the programs counted of a direction of a pod, read from the pinned maps. */
  async stat(pod: string, direction: Direction): Promise<SlotStat> {
    const owner = ownerOf(this.#told.get(pod)?.uid ?? `uid-${pod}`, direction);
    const slot = (await this.owners())[owner];
    if (slot === undefined) throw new Error(`${pod} ${direction} has no slot`);
    using map = this.#map('limit_stat');
    return decodeSlotStat(map.lookup(slotKey(slot))!);
  }

  /** The slots that have an owner, by owner. */
  async owners(): Promise<Record<string, number>> {
    using map = this.#map('limit_owner');
    const found: Record<string, number> = {};
    await map.readAll((keys, values, count) => {
      for (let i = 0; i < count; i++) {
        const owner = Buffer.from(values.buffer, values.byteOffset + i * map.valueSize, map.valueSize);
        if (owner.some((byte) => byte !== 0)) found[owner.toString('hex')] = keys.getUint32(4 * i, true);
      }
    });
    return found;
  }

  #map(name: string): BpfMap & Disposable {
    const path = this.maps().find((candidate) => candidate.endsWith(`/${name}`));
    if (path === undefined) throw new Error(`no map ${name} is pinned`);
    const map = openPinnedMap(path, { readOnly: true });
    return Object.assign(map, { [Symbol.dispose]: () => map.close() });
  }

  /** Waits until tc shows a class of HTB with this text. */
  async classHas(device: string, text: string): Promise<void> {
    await until(`${device} has a class with ${text}`, () =>
      this.node.run(`tc class show dev ${device}`).includes(text),
    );
  }

  /** Waits until nothing changes any more, and fails where that does not come. */
  async settles(): Promise<void> {
    let before = '';
    let since = performance.now();
    let alike = 0;
    await until('qdiscs, classes and links stay as they are', () => {
      const now = this.tc() + this.links().join();
      if (now !== before) [since, alike] = [performance.now(), 0];
      before = now;
      // Looks are counted too: while the whole machine stands still nothing can change.
      return ++alike > 6 && performance.now() - since > 600;
    });
  }

  /** All that tc says of all devices of the node, without counters. */
  tc(): string {
    const text = this.node.run(`
      tc qdisc show
      for d in $(ls /sys/class/net); do
        echo "== $d"; tc class show dev $d; tc filter show dev $d ingress; tc filter show dev $d egress
      done`);
    return text.replaceAll(/ direct_packets_stat \d+/g, '');
  }

  /** Notes the ids of all that is ours just now. @returns how many programs, maps and links */
  note(): { programs: number; maps: number; links: number } {
    const found = { programs: new Set<number>(), maps: new Set<number>(), links: new Set<number>() };
    for (const path of this.links()) {
      const link = new PinnedTcLink(path);
      found.links.add(link.info.id);
      found.programs.add(link.info.programId);
      link.close();
    }
    for (const match of this.tc().matchAll(/(?:from_pod|to_pod|leave):\[\d+\].*? id (\d+) /g)) {
      found.programs.add(Number(match[1]));
    }
    for (const path of this.maps()) {
      const map = openPinnedMap(path, { readOnly: true });
      found.maps.add(map.id);
      map.close();
    }
    for (const kind of ['programs', 'maps', 'links'] as const) {
      for (const id of found[kind]) this.#seen[kind].set(id, this.#era);
    }
    return { programs: found.programs.size, maps: found.maps.size, links: found.links.size };
  }

  /** Ids of the programs at our hooks. */
  programs(): number[] {
    const ids = this.links().map((path) => {
      const link = new PinnedTcLink(path);
      const { programId } = link.info;
      link.close();
      return programId;
    });
    return [...new Set(ids)];
  }

  /** What is noted from now on is of another agent than what was noted before. */
  beginEra(): void {
    this.#era++;
  }

  /** What was noted, but not in this era, and is still in the kernel; it frees in the background, so that is waited for. */
  async leftOfOldEras(): Promise<string[]> {
    return this.#waitUntilGone((era) => era < this.#era);
  }

  /** What was noted and is still in the kernel. */
  async leftInKernel(): Promise<string[]> {
    return this.#waitUntilGone(() => true);
  }

  async #waitUntilGone(isMeant: (era: number) => boolean): Promise<string[]> {
    let left: string[] = [];
    await until('all is gone', () => {
      const there = kernelObjects();
      left = (['programs', 'maps', 'links'] as const).flatMap((kind) =>
        [...this.#seen[kind]]
          .filter(([id, era]) => isMeant(era) && there[kind].has(id))
          .map(([id]) => `${kind} ${id} ${there[kind].get(id)!}`),
      );
      return left.length === 0;
    }).catch(() => undefined);
    return left;
  }

  links(): string[] {
    return list(join(this.limitPins, 'links'));
  }

  mapsDirs(): string[] {
    return list(this.limitPins).filter((path) => /\/maps_[^/]*$/.test(path));
  }

  maps(): string[] {
    return this.mapsDirs().flatMap(list);
  }
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir).map((name) => join(dir, name));
  } catch {
    return [];
  }
}

function podObject(pod: ToldPod & { readonly node?: string }): unknown {
  const { name, namespace = 'default', uid = `uid-${name}`, ips, egress, ingress, node = 'n1' } = pod;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      uid,
      annotations: {
        ...(egress === undefined ? {} : { 'kubernetes.io/egress-bandwidth': egress }),
        ...(ingress === undefined ? {} : { 'kubernetes.io/ingress-bandwidth': ingress }),
      },
    },
    spec: { nodeName: node, hostNetwork: pod.hostNetwork ?? false },
    status: { phase: pod.phase ?? 'Running', podIPs: ips.map((ip) => ({ ip })) },
  };
}
