import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LIMIT_CONFIG } from '../../../bandwidth/bpf/layout.ts';
import { ownerOf } from '../../../bandwidth/enforce/slots.ts';
import { PinnedMaps, readLeft, slotKey } from '../../../bandwidth/kernel/left.ts';
import { decodeSlotStat, type SlotStat } from '../../../bandwidth/slot-stat.ts';
import type { LimitReport, LimitRow } from '../../../bandwidth/status/report.ts';
import { askLimits } from '../../../cli/limits-client.ts';

/** A pod of the node with what its annotations ask for. */
export interface PodLimit {
  readonly namespace: string;
  readonly name: string;
  readonly ips: readonly string[];
  /** Bits a second. */
  readonly egress?: bigint;
  readonly ingress?: bigint;
}

export type Hooks = 'tcx' | 'clsact';

export type Direction = 'egress' | 'ingress';

/** Fields of struct limit_config that tests of the test change. */
export type Tuning = Readonly<Partial<Record<'small_bytes' | 'hard_ns', number>>>;

const NODE = 'n1';
/** The start of an agent reads the kernel's BTF, among others. */
const PATIENCE_MS = 60_000;
const POLL_MS = 100;
/** What the agent hears of, it acts on within this time. */
const HEAR_MS = 500;

/**
 * Limits as the product puts them in force: by an agent that reads the pods from a file. It runs while limits change; then
 * it stands stopped, for the guest has one CPU, and the programs and qdiscs go on without it. One call at a time.
 */
export class Limits {
  #agent!: ChildProcess;
  #dir!: string;
  /** What holds; undefined: to be looked at again. */
  #pods: readonly PodLimit[] | undefined;
  #published: readonly PodLimit[] = [];
  #report: LimitReport | undefined;
  #maps: PinnedMaps | undefined;
  #slots = new Map<string, number>();
  readonly #untune: (() => void)[] = [];
  #ended: string | undefined;

  static async open(): Promise<Limits> {
    const limits = new Limits();
    await limits.#start();
    return limits;
  }

  /** Another agent instead, without limits at first. @param hooks default: what the agent chooses */
  async reopen(hooks?: Hooks): Promise<void> {
    await this.close();
    await this.#start(hooks);
  }

  async #start(hooks?: Hooks): Promise<void> {
    this.#dir = `/run/netloom/agent-${hooks ?? 'own'}`;
    this.#pods = undefined;
    this.#published = [];
    this.#maps = undefined;
    this.#ended = undefined;
    mkdirSync(this.#dir, { recursive: true });
    const file = join(this.#dir, 'pods.json');
    writeFileSync(file, snapshot([]));
    const program =
      hooks === undefined
        ? ['cli/main.js', 'agent', '--enforce', '--node', NODE, '--snapshot', file, '--state', this.#dir]
        : ['test/pacing/guest/agent-with-hooks.ts', NODE, file, this.#dir, hooks];
    // As bin/netloom starts it.
    const agent = spawn('/bin/node', ['--max-semi-space-size=1', join('/netloom', program[0]!), ...program.slice(1)], {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, MALLOC_ARENA_MAX: '1' },
    });
    agent.on('exit', (code, signal) => (this.#ended = `the agent ended: ${code ?? signal}`));
    this.#agent = agent;
    await this.#until('it tells of its limits', () => true);
    agent.kill('SIGSTOP');
  }

  /** What holds packets back on this kernel. */
  get holdsBack(): 'fq' | 'htb' {
    return this.#report?.kernel.fq === true ? 'fq' : 'htb';
  }

  get report(): LimitReport {
    return this.#report!;
  }

  /** Every pod of the node. Resolves when all limits are in force and the agent stands stopped. */
  async applyLimits(pods: readonly PodLimit[]): Promise<void> {
    for (const undo of this.#untune.splice(0)) undo();
    if (this.#pods !== undefined && snapshot(this.#pods) === snapshot(pods)) return;
    await this.running(async () => {
      this.publish(pods);
      await sleep(HEAR_MS);
      await this.#until('all limits are in force', ({ rows }) => inForce(rows, pods));
    });
    await this.#findSlots();
  }

  /** The agent looks at the node again although no limit changes: devices came or went. */
  forget(): void {
    this.#pods = undefined;
  }

  /** Writes the file that the agent reads, and waits for nothing. */
  publish(pods: readonly PodLimit[]): void {
    this.#pods = pods;
    this.#published = pods;
    const path = join(this.#dir, 'pods.json');
    writeFileSync(`${path}.new`, snapshot(pods));
    renameSync(`${path}.new`, path);
  }

  /** Does `work` while the agent runs. */
  async running<T>(work: () => Promise<T>): Promise<T> {
    this.#agent.kill('SIGCONT');
    try {
      return await work();
    } finally {
      this.#agent.kill('SIGSTOP');
    }
  }

  /** Of the running agent. */
  async ask(): Promise<LimitReport> {
    return (this.#report = await askLimits(join(this.#dir, 'limits.sock')));
  }

  stat(pod: string, direction: Direction): SlotStat {
    return decodeSlotStat(this.#maps!.map('limit_stat').lookup(slotKey(this.#slotOf(pod, direction)))!);
  }

  /** Bits a second that the programs hold the pod to just now. */
  bpsInForce(pod: string, direction: Direction): bigint {
    const config = this.#configOf(pod, direction);
    return config.readBigUInt64LE(LIMIT_CONFIG.fields.rate.offset) * 8n;
  }

  /** For tests of the test: a configuration that the product never writes, until the next `applyLimits`. */
  tune(pod: string, direction: Direction, { small_bytes, hard_ns }: Tuning): void {
    const key = slotKey(this.#slotOf(pod, direction));
    const before = this.#configOf(pod, direction);
    const config = Buffer.from(before);
    if (small_bytes !== undefined) config.writeUInt16LE(small_bytes, LIMIT_CONFIG.fields.small_bytes.offset);
    if (hard_ns !== undefined) config.writeUInt32LE(hard_ns, LIMIT_CONFIG.fields.hard_ns.offset);
    const map = this.#maps!.map('limit_config');
    map.update(key, config);
    this.#untune.push(() => map.update(key, before));
  }

  /** The pods stay without limits: a list without them the agent would doubt for a minute. */
  async takeAway(): Promise<void> {
    await this.applyLimits(this.#published.map(({ namespace, name, ips }) => ({ namespace, name, ips })));
  }

  /** Takes all limits away and ends the agent. */
  async close(): Promise<void> {
    await this.takeAway();
    this.#maps?.close();
    const ended = new Promise((done) => this.#agent.once('exit', done));
    this.#agent.kill('SIGTERM');
    this.#agent.kill('SIGCONT');
    await ended;
  }

  async #until(what: string, holds: (report: LimitReport) => boolean): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    let told = 'it did not answer';
    while (performance.now() < deadline && this.#ended === undefined) {
      try {
        const report = await this.ask();
        if (holds(report)) return;
        told = JSON.stringify({ warnings: report.warnings, rows: report.rows.map(brief) });
      } catch (error) {
        told = String(error);
      }
      await sleep(POLL_MS);
    }
    throw new Error(`${this.#ended ?? 'the agent'}: not so that ${what}: ${told}`);
  }

  /** Where the maps are the agent knows by their layout; which slot is whose the kernel says. */
  async #findSlots(): Promise<void> {
    const pins = join(this.#dir, 'bpf', 'limits');
    const name = readdirSync(pins).find((entry) => entry.startsWith('maps_'));
    if (name === undefined) return;
    this.#maps ??= new PinnedMaps(join(pins, name));
    const { slots } = await readLeft(this.#maps.map);
    this.#slots = new Map(slots.map(({ slot, owner }) => [owner, slot]));
  }

  #slotOf(pod: string, direction: Direction): number {
    const slot = this.#slots.get(ownerOf(uidOf(pod), direction));
    if (slot === undefined) throw new Error(`${pod} has no slot for ${direction}`);
    return slot;
  }

  #configOf(pod: string, direction: Direction): Buffer {
    return Buffer.from(this.#maps!.map('limit_config').lookup(slotKey(this.#slotOf(pod, direction)))!);
  }
}

function uidOf(pod: string): string {
  return `uid-of-${pod}`;
}

/** What `kubectl get pods -A -o json` would say. */
function snapshot(pods: readonly PodLimit[]): string {
  const items = pods.map(({ namespace, name, ips, egress, ingress }) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      namespace,
      name,
      uid: uidOf(name),
      creationTimestamp: '2026-01-01T00:00:00Z',
      annotations: {
        ...(egress === undefined ? {} : { 'kubernetes.io/egress-bandwidth': String(egress) }),
        ...(ingress === undefined ? {} : { 'kubernetes.io/ingress-bandwidth': String(ingress) }),
      },
    },
    spec: { nodeName: NODE },
    status: { phase: 'Running', podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) },
  }));
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}

/** Each limit, and no other. */
function inForce(rows: readonly LimitRow[], pods: readonly PodLimit[]): boolean {
  const wanted = pods.flatMap(({ name, ...pod }) =>
    (['egress', 'ingress'] as const).flatMap((direction) =>
      pod[direction] === undefined ? [] : [`${name} ${direction} ${pod[direction]}`],
    ),
  );
  const held = rows
    .filter(({ state }) => state === 'enforced' || state === 'shaped-htb')
    .map(({ pod, direction, configuredBps }) => `${pod} ${direction} ${configuredBps}`);
  return held.length === rows.length && wanted.sort().join() === held.sort().join();
}

function brief({ pod, direction, state, configuredBps, reason }: LimitRow): string {
  return `${pod} ${direction} ${state} ${configuredBps} ${reason}`;
}
