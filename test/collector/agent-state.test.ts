import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EDGE_COUNTS, EDGE_KEY } from '../../collector/bpf/layout.ts';
import { Collector } from '../../collector/collector.ts';
import type { CollectorKernel } from '../../collector/kernel.ts';
import { ReportQueue, type NumberedPeriod } from '../../collector/report/report-queue.ts';
import { decodeState, encodeNumber, encodeState, type AgentState } from '../../collector/state/agent-state.ts';
import { onProcessClock, StateKeeper } from '../../collector/state/state-keeper.ts';
import { formatAddress, parseAddress } from '../../lib/ip.ts';
import { silentLogger } from '../../lib/log.ts';
import { IPPROTO_TCP, ROLE_SERVER } from '../../proto/report.ts';

/** The counters that outlive agents. */
class FakeKernel implements CollectorKernel {
  readonly maxEdges = 12;
  readonly identity = undefined;
  readonly edges = new Map<string, { key: Uint8Array; born: number; bytes: number }>();
  readonly truth = new Map<string, number>();
  lostBytes = 0;
  /** Called between two batches of a pass. */
  betweenBatches: () => void = () => undefined;
  #births = 1;

  move(remote: string, bytes: number): void {
    const edge = this.edges.get(remote) ?? { key: keyOf(remote), born: this.#births++, bytes: 0 };
    edge.bytes += bytes;
    this.edges.set(remote, edge);
    this.truth.set(remote, (this.truth.get(remote) ?? 0) + bytes);
  }

  async readEdges(visit: (keys: DataView, values: DataView, count: number) => void): Promise<number> {
    for (const [i, edge] of [...this.edges.values()].entries()) {
      if (i % 3 === 2) {
        await Promise.resolve();
        this.betweenBatches();
      }
      visit(new DataView(edge.key.buffer), this.#value(edge), 1);
    }
    return this.edges.size;
  }

  readEdge(key: Uint8Array): DataView | undefined {
    const edge = this.edges.get(remoteOf(key));
    return edge === undefined ? undefined : this.#value(edge);
  }

  deleteEdge(key: Uint8Array): void {
    this.edges.delete(remoteOf(key));
  }

  #value({ born, bytes }: { born: number; bytes: number }): DataView {
    const value = new DataView(new ArrayBuffer(EDGE_COUNTS.size));
    value.setBigUint64(EDGE_COUNTS.fields.bytes_sent.offset, BigInt(bytes), true);
    value.setUint32(EDGE_COUNTS.fields.born_ms.offset, born, true);
    return value;
  }

  losses = () => ({ mapFullConnections: 0, mapFullBytes: this.lostBytes, storageFailed: 0 });
  countLiveSockets = () => Promise.resolve(0);
  runs = () => [];
  setScope = () => undefined;
  setRanges = () => undefined;
  close = () => undefined;
}

function keyOf(remote: string): Uint8Array {
  const key = new Uint8Array(EDGE_KEY.size);
  key.set(parseAddress('10.0.0.1')!, EDGE_KEY.fields.local.offset);
  key.set(parseAddress(remote)!, EDGE_KEY.fields.remote.offset);
  key[EDGE_KEY.fields.role.offset] = ROLE_SERVER;
  key[EDGE_KEY.fields.protocol.offset] = IPPROTO_TCP;
  return key;
}

const remoteOf = (key: Uint8Array): string => formatAddress(key, EDGE_KEY.fields.remote.offset);

/** Books a number once, by identity, and commits what it booked some time later. */
class Scheduler {
  readonly committed = new Map<number, number>();
  readonly bytes = new Map<string, number>();
  droppedBytes = 0;
  lostBytes = 0;
  readonly #booked = new Map<number, number>();
  #underway: { mapId: number; report: NumberedPeriod }[] = [];

  receive(mapId: number, report: NumberedPeriod): void {
    if (report.seq <= (this.#booked.get(mapId) ?? 0)) return;
    this.#booked.set(mapId, report.seq);
    this.#underway.push({ mapId, report });
  }

  commit(count: number): void {
    for (const { mapId, report } of this.#underway.splice(0, count)) {
      this.committed.set(mapId, report.seq);
      const { edges, losses } = report.period;
      for (let row = 0; row < edges.n; row++) {
        const remote = formatAddress(edges.addresses, 16 * edges.remote[row]!);
        this.bytes.set(remote, (this.bytes.get(remote) ?? 0) + edges.bytesSent[row]!);
      }
      this.droppedBytes += losses.droppedBytes;
      this.lostBytes += losses.mapFullBytes;
    }
  }

  /** What it did not commit is gone. */
  restart(): void {
    this.#underway = [];
    this.#booked.clear();
    for (const [mapId, seq] of this.committed) this.#booked.set(mapId, seq);
  }
}

/** One file; `fails`: the disk is full. */
class Disk {
  readonly path = 'memory';
  file: Buffer | undefined;
  fails = false;

  write(state: AgentState): void {
    if (this.fails) throw new Error('no space left');
    this.file = Buffer.concat([...encodeState(state)].map((bytes) => Buffer.from(bytes)));
  }

  append(seq: number, edges: number): void {
    if (this.fails) throw new Error('no space left');
    this.file = Buffer.concat([this.file!, encodeNumber(seq, edges)]);
  }

  close(): void {
    // Nothing is open.
  }
}

class World {
  readonly kernel = new FakeKernel();
  readonly scheduler = new Scheduler();
  readonly disk = new Disk();
  readonly #maxBytes: number;
  /** Of the maps; undefined: an agent could not keep its state. */
  #mapId: number | undefined;
  #mapIds = 0;
  #nowMs = 0;
  /** Times that an agent did not know what the last one reported. */
  unknown = 0;
  #agent: { collector: Collector; queue: ReportQueue; keeper: StateKeeper; mapId: number } | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** As startAgent does. */
  async start(): Promise<void> {
    const { kernel, disk } = this;
    const loaded = disk.file === undefined ? undefined : decodeState(disk.file);
    const known = loaded !== undefined && this.#mapId !== undefined && loaded.mapId[0] === this.#mapId;
    const collector = new Collector({
      kernel,
      uplinks: { read: () => [], save: () => [], restore: () => undefined },
      logger: silentLogger,
      nowMs: () => (this.#nowMs += 10),
      idleMs: 0,
      keptMs: () => keeper.keptMs,
    });
    const queue = new ReportQueue(this.#maxBytes);
    if (known) {
      const state = onProcessClock(loaded);
      collector.restore(state.collector, state.baseline);
      queue.restore(state.queue);
    } else {
      if (kernel.truth.size > 0 || this.#mapId !== undefined) {
        this.unknown++;
        await collector.skipToPresent();
      }
      this.#mapId = ++this.#mapIds;
    }
    const mapId = this.#mapId!;
    const identity = { setMapId: (id: Uint8Array | undefined) => void (this.#mapId = id?.[0]) };
    const keeper: StateKeeper = new StateKeeper({
      file: disk,
      identity,
      mapId: new Uint8Array(16).fill(mapId),
      collector,
      queue,
      logger: silentLogger,
    });
    keeper.save();
    this.#agent = { collector, queue, keeper, mapId };
  }

  kill(): void {
    this.#agent = undefined;
    this.kernel.betweenBatches = () => undefined;
  }

  async collect(): Promise<void> {
    const agent = this.#agent;
    if (agent === undefined) return;
    const period = await agent.collector.collectPeriod();
    // Killed in the middle of it.
    if (this.#agent !== agent) return;
    agent.queue.offer(period, (this.#nowMs += 1000));
    if (agent.collector.isCrowded) agent.keeper.saveIfBehind();
  }

  /** `end`: where the agent is killed: when the number is given and kept, or torn in the keeping. */
  send(end?: 'kept' | 'torn'): void {
    if (this.#agent === undefined) return;
    const { queue, keeper, mapId } = this.#agent;
    const { lastSeq } = queue;
    const { file } = this.disk;
    const next = queue.next();
    if (next === undefined) return;
    if (queue.lastSeq !== lastSeq) keeper.noteNumber(next);
    const now = this.disk.file;
    if (end === 'torn' && file !== undefined && now !== undefined && now !== file) {
      // A whole state replaces the old one at once; an appended row may be there in part.
      this.disk.file =
        now.length > file.length && now.subarray(0, file.length).equals(file) ? now.subarray(0, -5) : file;
    }
    if (end !== undefined) this.kill();
    else this.scheduler.receive(mapId, next);
  }

  /** The scheduler cannot read a report: it is given up. */
  refuse(): void {
    if (this.#agent === undefined || this.#agent.queue.stats().unacknowledged > 0) return;
    const { queue, keeper } = this.#agent;
    const next = queue.next();
    if (next === undefined) return;
    keeper.noteNumber(next);
    queue.refuseOldest();
  }

  acknowledge(): void {
    const agent = this.#agent;
    agent?.queue.acknowledge(this.scheduler.committed.get(agent.mapId) ?? 0);
  }

  connect(maxEdges: number): void {
    const agent = this.#agent;
    agent?.queue.disconnected();
    agent?.queue.welcome(this.scheduler.committed.get(agent.mapId) ?? 0, maxEdges);
  }

  get isRunning(): boolean {
    return this.#agent !== undefined;
  }

  /** All that the kernel holds reaches the scheduler. */
  async settle(): Promise<void> {
    this.kernel.betweenBatches = () => undefined;
    if (!this.isRunning) await this.start();
    await this.collect();
    this.connect(0);
    const { queue } = this.#agent!;
    for (let i = 0; !queue.isEmpty; i++) {
      if (i > 10_000) throw new Error('it does not settle');
      this.send();
      this.scheduler.commit(100);
      this.acknowledge();
    }
  }
}

const traffic = fc.record({
  kind: fc.constant('move' as const),
  peer: fc.nat(40),
  bytes: fc.integer({ min: 1, max: 1000 }),
});
const step = fc.oneof(
  { weight: 8, arbitrary: traffic },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), bytes: fc.nat(50) }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('collect' as const), midway: fc.constantFrom('', '', 'send', 'kill') }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('send' as const), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('commit' as const), count: fc.nat(4), acked: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('connect' as const), maxEdges: fc.constantFrom(0, 3, 3, 9) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('kill' as const), at: fc.constantFrom('now', 'kept', 'torn') }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('schedulerRestart' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('refuse' as const) }) },
);
const trouble = fc.oneof(
  { weight: 20, arbitrary: step },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('diskFull' as const), on: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('copy' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('putBack' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('fileLost' as const) }) },
);
type Step = typeof trouble extends fc.Arbitrary<infer T> ? T : never;

async function live(world: World, steps: readonly Step[]): Promise<void> {
  const { kernel, scheduler, disk } = world;
  let copy: Buffer | undefined;
  await world.start();
  world.connect(0);
  for (const s of steps) {
    switch (s.kind) {
      case 'move':
        kernel.move(`10.1.0.${s.peer}`, s.bytes);
        break;
      case 'lose':
        kernel.lostBytes += s.bytes;
        break;
      case 'collect':
        kernel.betweenBatches = () => {
          if (s.midway === 'send') world.send();
          if (s.midway === 'kill') world.kill();
        };
        await world.collect();
        kernel.betweenBatches = () => undefined;
        break;
      case 'send':
        for (let i = 0; i < s.count; i++) world.send();
        break;
      case 'commit':
        scheduler.commit(s.count);
        if (s.acked) world.acknowledge();
        break;
      case 'kill':
        if (s.at === 'now') world.kill();
        else world.send(s.at);
        if (!world.isRunning) {
          await world.start();
          world.connect(0);
        }
        break;
      case 'connect':
        // A smaller limit than before comes from a scheduler that was restarted.
        scheduler.restart();
        world.connect(s.maxEdges);
        break;
      case 'schedulerRestart':
        scheduler.restart();
        world.connect(0);
        break;
      case 'refuse':
        world.refuse();
        break;
      case 'diskFull':
        disk.fails = s.on;
        break;
      case 'copy':
        copy = disk.file;
        break;
      case 'putBack':
        world.kill();
        disk.file = copy;
        break;
      case 'fileLost':
        world.kill();
        disk.file = undefined;
        break;
    }
    if (!world.isRunning && s.kind !== 'fileLost') {
      await world.start();
      world.connect(0);
    }
  }
}

const sum = (figures: Iterable<number>): number => [...figures].reduce((a, b) => a + b, 0);

describe('agents that end at any moment, one after the other on the same maps', () => {
  it('tell every byte once, or count it as dropped (property)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 90, size: 'max' }),
        fc.integer({ min: 10_000, max: 60_000 }),
        async (steps, maxBytes) => {
          const world = new World(maxBytes);
          await live(world, steps);
          await world.settle();
          const { scheduler, kernel } = world;
          expect(world.unknown).toBe(0);
          expect(sum(scheduler.bytes.values()) + scheduler.droppedBytes).toBe(sum(kernel.truth.values()));
          for (const [remote, bytes] of scheduler.bytes) expect(bytes).toBeLessThanOrEqual(kernel.truth.get(remote)!);
          if (scheduler.droppedBytes === 0) expect(scheduler.bytes).toEqual(new Map([...kernel.truth]));
          expect(scheduler.lostBytes).toBe(kernel.lostBytes);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('tell no byte twice where their file is lost, old or cannot be written (property)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(trouble, { maxLength: 90, size: 'max' }), async (steps) => {
        const world = new World(60_000);
        await live(world, steps);
        world.disk.fails = false;
        await world.settle();
        const { scheduler, kernel } = world;
        for (const [remote, bytes] of scheduler.bytes) expect(bytes).toBeLessThanOrEqual(kernel.truth.get(remote)!);
      }),
      { numRuns: 300 },
    );
  });
});
