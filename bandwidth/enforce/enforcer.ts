import { setImmediate as immediate } from 'node:timers/promises';
import { possibleCpus } from '../../lib/bpf/index.ts';
import { NetloomError, sentenceOf } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import { NetlinkMonitor, NetlinkSocket, TC_CLSACT_PARENT, kernelHasFq, type Changes } from '../../lib/netlink/index.ts';
import type { KnownPlaces } from '../interfaces/find.ts';
import type { Left } from '../kernel/left.ts';
import { LimitKernel } from '../kernel/limit-kernel.ts';
import type { LimitPins } from '../kernel/pins.ts';
import { applyNeeds, type Applied } from '../qdiscs/apply.ts';
import type { DeviceState } from '../qdiscs/types.ts';
import type { LimitReport } from '../status/report.ts';
import { Watcher } from '../status/watcher.ts';
import { decide, isLimited } from './decide.ts';
import { standingsWith } from './faults.ts';
import { lookAtNode, placesLeft } from './look.ts';
import { Settings, type AnnotatedPod } from './settings.ts';
import { Slots, ownerOf } from './slots.ts';
import { attempt, takeAway } from './take-away.ts';
import type { Desired, Fault, NodeView, Purpose, Standing, WishingPod } from './types.ts';
import type { Direction } from '../contract/bandwidth.ts';

export const DEFAULT_SLOTS = 1024;

export interface EnforcerOptions {
  readonly node: string;
  readonly purpose: Purpose;
  /** Where limits outlive this process; not for purpose `dry-run`. */
  readonly pins?: LimitPins | undefined;
  /** Directions of pods that may have a limit, and one: 16 KiB of kernel memory each, once the first pod needs one. */
  readonly slots?: number | undefined;
  /** Names of the uplinks. Default: those that routes lead to. */
  readonly uplinks?: readonly string[] | undefined;
  /** Default: tcx where the kernel has it. */
  readonly hooks?: 'tcx' | 'clsact' | undefined;
  /** The compiled limit.bpf.c. Default: where scripts/build-bpf.sh puts it. */
  readonly bpfObject?: string | undefined;
  readonly logger: Logger;
  /** Counters are read so often, ms. Default: once a second, on which `netloom limits --suggest` counts. */
  readonly sampleMs?: number | undefined;
  /** Told of each change of how a direction of a pod stands. */
  readonly onStanding?: (pod: WishingPod, direction: Direction, standing: Standing) => void;
}

/** The least time between two looks at everything; a change after a quiet time is acted on at once. */
const LEAST_GAP_MS = 100;
/** Everything is looked at anew, whatever was heard. */
const RESYNC_MS = 10_000;
/** While a pod's interface is looked for, or something could not be done: doubled each time, up to RESYNC_MS. */
const RETRY_MS = 250;
const SAMPLE_MS = 1_000;
/** A class tree that could not be set up is tried again after this time. */
const UNSHAPABLE_MS = 60_000;

/**
 * Keeps the kernel as the pods' annotations say, and tells how that goes. It looks, decides and does, over and over:
 * whatever came between (pods, devices, other programs, its own death) shows in the next look.
 *
 * `pods` not called yet: nothing is touched, and what an agent before this one left stays in force.
 */
export class Enforcer {
  readonly #options: EnforcerOptions;
  readonly #slots: Slots;
  readonly #watcher: Watcher;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #unshapable = new Map<number, { readonly reason: string; readonly untilMs: number }>();
  readonly #settings = new Settings();
  #socket: NetlinkSocket | undefined;
  #monitor: NetlinkMonitor | undefined;
  /** Devices whose qdiscs this process changed and looked at again a moment ago: what it hears of them now is no news. */
  #justSeen: ReadonlySet<number> = new Set();
  #kernel: LimitKernel | undefined;
  #fq: boolean | undefined;
  #pods: readonly AnnotatedPod[] | undefined;
  #known: KnownPlaces = new Map();
  /** What an agent before this one left, until everything was looked at once. */
  #left: Left | undefined;
  #desired: Desired | undefined;
  #standings = new Map<string, Standing>();
  #warnings: readonly string[] = [];
  /** Texts of what could not be done at the last look. */
  #faults: ReadonlySet<string> = new Set();
  #next: NodeJS.Timeout | undefined;
  #again: NodeJS.Timeout | undefined;
  #retryMs = RETRY_MS;
  #running: Promise<void> | undefined;
  #dirty = false;
  #lastMs = Number.NEGATIVE_INFINITY;
  #stopped = false;

  constructor(options: EnforcerOptions) {
    this.#options = options;
    this.#slots = new Slots(options.slots ?? DEFAULT_SLOTS);
    this.#watcher = new Watcher(options.node);
  }

  /** Takes up what is in force. @throws NetloomError of lib/bpf and lib/netlink: what cannot work here at all */
  async start(): Promise<void> {
    const { pins, purpose } = this.#options;
    const socket = this.#netlink();
    this.#fq = kernelHasFq(socket);
    if (purpose !== 'dry-run' && pins !== undefined && (pins.mapsDirs().length > 0 || pins.links().length > 0)) {
      await this.#load();
    }
    this.#listen();
    this.#timers.push(
      setInterval(() => this.#trigger(), RESYNC_MS),
      setInterval(() => this.#sample(), this.#options.sampleMs ?? SAMPLE_MS),
    );
  }

  /** All pods of the node, after each change. */
  pods(pods: readonly AnnotatedPod[]): void {
    this.#pods = pods;
    this.#retryMs = RETRY_MS;
    this.#trigger();
  }

  report(): LimitReport {
    return this.#watcher.report({
      purpose: this.#options.purpose,
      fq: this.#fq ?? false,
      hooks: this.#kernel?.hookKind ?? null,
      slots: { used: this.#slots.used, most: this.#slots.most },
      warnings:
        this.#pods === undefined && this.#slots.used > 0 ? [this.#waiting(), ...this.#warnings] : this.#warnings,
    });
  }

  #waiting(): string {
    return `limits of the agent before stay in force (${this.#slots.used}); which pods they are of is not known yet`;
  }

  /** Resolves once what was asked for last is done, or could not be done. */
  async settled(): Promise<void> {
    while (this.#running !== undefined || this.#dirty) {
      await (this.#running ?? new Promise((resolve) => setTimeout(resolve, LEAST_GAP_MS)));
    }
  }

  /** Limits stay in force. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
    clearTimeout(this.#next);
    clearTimeout(this.#again);
    this.#dirty = false;
    await this.#running;
    this.#monitor?.stop();
    this.#socket?.close();
    this.#kernel?.close();
  }

  #trigger(): void {
    if (this.#stopped) return;
    this.#dirty = true;
    if (this.#running !== undefined) return;
    clearTimeout(this.#next);
    const waitMs = Math.max(0, this.#lastMs + LEAST_GAP_MS - performance.now());
    this.#next = setTimeout(() => this.#run(), waitMs);
  }

  #run(): void {
    if (this.#stopped) return;
    this.#dirty = false;
    this.#running = this.#reconcile()
      .catch((error: unknown) => {
        this.#warn([`limits could not be set: ${sentenceOf(error)}`]);
        this.#retry();
      })
      .finally(() => {
        this.#running = undefined;
        this.#lastMs = performance.now();
        if (this.#dirty) this.#trigger();
      });
  }

  #retry(): void {
    if (this.#stopped) return;
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.#trigger(), this.#retryMs);
    this.#retryMs = Math.min(RESYNC_MS, 2 * this.#retryMs);
  }

  async #reconcile(): Promise<void> {
    const pods = this.#pods;
    if (pods === undefined) return;
    const wishing = this.#settings.read(pods);
    const view = this.#look(wishing);
    const decided = decide(view, {
      purpose: this.#options.purpose,
      slots: this.#slots,
      lastBps: (uid, direction) => this.#settings.lastBps(uid, direction),
    });
    const faults = this.#options.purpose === 'dry-run' ? [] : await this.#apply(decided, view);
    const released = this.#releaseSlots(decided);
    const standings = standingsWith(decided, view, faults, this.#faults);
    this.#faults = new Set(faults.map(({ text }) => text));
    this.#desired = { ...decided, standings };
    this.#watcher.set(this.#desired, view);
    this.#tell();
    this.#warn([...this.#faults]);
    const states = [...standings.values()].flatMap((of) => Object.values(of).map(({ state }) => state));
    if (states.includes('pending') || faults.length > 0) this.#retry();
    // Somebody may have waited for a slot.
    if (released > 0 && this.#kernel !== undefined && states.includes('unsupported')) this.#trigger();
  }

  #look(pods: readonly WishingPod[]): NodeView {
    const nowMs = performance.now();
    for (const [ifindex, { untilMs }] of this.#unshapable) if (untilMs <= nowMs) this.#unshapable.delete(ifindex);
    const left = this.#left;
    const view = lookAtNode(this.#netlink(), {
      pods,
      known: (network) => (left === undefined ? this.#known : placesLeft(left, network, pods)),
      uplinks: this.#options.uplinks,
      abilities: {
        fq: this.#fq ?? false,
        cpus: possibleCpus(),
        unshapable: new Map([...this.#unshapable].map(([ifindex, { reason }]) => [ifindex, reason])),
      },
    });
    this.#left = undefined;
    this.#known = new Map(
      [...view.places].flatMap(([uid, place]) => (place.found ? [[uid, place.interfaces] as const] : [])),
    );
    return view;
  }

  /** What is new is made before what refers to it, and what is old goes after. */
  async #apply(desired: Desired, { devices }: NodeView): Promise<Fault[]> {
    if (this.#kernel === undefined) {
      if (desired.slots.length === 0) return this.#applyQdiscs(desired, devices);
      await this.#load();
    }
    const kernel = this.#kernel!;
    const clsact = new Set(devices.filter(hasClsact).map(({ ifindex }) => ifindex));
    kernel.seeQdiscs((ifindex) => clsact.has(ifindex));
    for (const use of desired.slots) kernel.setSlot(use);
    const faults = this.#applyQdiscs(desired, devices);
    for (const [ifindex, entry] of desired.interfaces) kernel.setInterface(ifindex, entry);
    for (const { ifindex, role } of desired.hooks) {
      // Its flags say whether the clsact qdisc there is ours.
      if (role === 'leave') kernel.setInterface(ifindex, {});
    }
    const isComplete = await this.#setHooks(kernel, desired, faults);
    faults.push(...takeAway(kernel, desired));
    if (isComplete && faults.length === 0) kernel.dropOthers();
    return faults;
  }

  /** Hears what this process did itself, right after it looked at that. */
  #hearOwn(verified: ReadonlySet<number>): void {
    if (verified.size === 0) return;
    this.#justSeen = verified;
    this.#monitor?.look();
    this.#justSeen = new Set();
  }

  #isOwn({ topics, ifindexes, overrun }: Changes): boolean {
    const isOfQdiscs = [...topics].every((topic) => topic === 'tc');
    return isOfQdiscs && !overrun && [...ifindexes].every((ifindex) => this.#justSeen.has(ifindex));
  }

  /**
   * The event loop turns in between: 110 pods take 3 s. What only keeps pods without limits in order can wait for pods
   * that changed meanwhile. @returns whether all were set, or tried
   */
  async #setHooks(kernel: LimitKernel, desired: Desired, faults: Fault[]): Promise<boolean> {
    const pods = this.#pods;
    for (const hook of desired.hooks) {
      const { ifindex, role } = hook;
      let isNew = false;
      faults.push(...attempt({ ifindex, part: role }, () => (isNew = kernel.setHook(hook))));
      if (!isNew) continue;
      await immediate();
      const canWait = role !== 'leave' && !isLimited(desired.interfaces.get(ifindex)!);
      if (this.#stopped || (canWait && this.#pods !== pods)) return false;
    }
    return true;
  }

  /** After the kernel forgot them. @returns how many */
  #releaseSlots(desired: Desired): number {
    const owners = new Set(desired.slots.map(({ uid, direction }) => ownerOf(uid, direction)));
    const others = this.#slots.others(owners);
    for (const [owner, slot] of others) {
      this.#kernel?.clearSlot(slot);
      this.#slots.release(owner);
    }
    return others.length;
  }

  #applyQdiscs(desired: Desired, devices: readonly DeviceState[]): Fault[] {
    let applied: Applied;
    try {
      applied = applyNeeds(this.#netlink(), desired.needs, devices);
    } catch (error) {
      return desired.needs.map(({ ifindex }) => ({ ifindex, part: 'qdisc', text: sentenceOf(error) }));
    }
    this.#hearOwn(applied.verified);
    const untilMs = performance.now() + UNSHAPABLE_MS;
    return applied.failures.map(({ operation, outcome }) => {
      const { ifindex } = operation.place;
      const reason =
        outcome.outcome === 'kind-unknown'
          ? `the kernel has no ${outcome.kind} (module ${outcome.module})`
          : `${operation.op}: ${outcome.words}`;
      if (outcome.outcome === 'kind-unknown') this.#unshapable.set(ifindex, { reason, untilMs });
      return { ifindex, part: 'qdisc', text: `device ${ifindex}: ${reason}` };
    });
  }

  async #load(): Promise<void> {
    const { pins, slots = DEFAULT_SLOTS, hooks, bpfObject, logger } = this.#options;
    if (pins === undefined) throw new NetloomError('BPFFS_UNUSABLE', 'limits need a folder in which they are pinned');
    this.#kernel = await LimitKernel.load({
      pins,
      slots,
      judgeSenders: this.#fq === false,
      ...(hooks === undefined ? {} : { hooks }),
      ...(bpfObject === undefined ? {} : { object: bpfObject }),
    });
    const left = await this.#kernel.takeUp();
    for (const { slot, owner } of left.slots) if (slot !== undefined) this.#slots.adopt(slot, owner);
    this.#settings.takeUp(new Map(left.slots.map(({ owner, bps }) => [owner, bps])));
    this.#left = left;
    this.#watcher.useKernel(this.#kernel);
    logger.info('limits', {
      hooks: this.#kernel.hookKind,
      holdingBack: this.#fq === true ? 'fq' : 'htb',
      slots,
      takenUp: left.slots.length,
    });
  }

  #tell(): void {
    const standings = new Map<string, Standing>();
    for (const { pod, direction, standing } of this.#watcher.standings()) {
      const key = `${pod.uid} ${direction}`;
      const before = this.#standings.get(key);
      standings.set(key, standing);
      const same =
        before !== undefined &&
        before.state === standing.state &&
        before.reason === standing.reason &&
        before.bps === standing.bps;
      if (!same) this.#options.onStanding?.(pod, direction, standing);
    }
    this.#standings = standings;
  }

  #warn(problems: readonly string[]): void {
    for (const problem of problems) if (!this.#warnings.includes(problem)) this.#options.logger.warn(problem);
    this.#warnings = problems.slice(0, 20);
  }

  #sample(): void {
    if (this.#kernel === undefined || this.#desired === undefined) return;
    try {
      const inPlace = this.#watcher.sample(performance.now(), this.#netlink());
      this.#tell();
      if (!inPlace) this.#trigger();
    } catch (error) {
      this.#options.logger.warn('the counters of limits could not be read', { problem: sentenceOf(error) });
    }
  }

  #listen(): void {
    this.#monitor = new NetlinkMonitor({
      topics: ['links', 'addresses', 'routes', 'tc'],
      onChange: (changes) => {
        if (!this.#isOwn(changes)) this.#trigger();
      },
      onError: (error) => {
        this.#options.logger.warn('changes of the network are not heard; looking again', {
          problem: sentenceOf(error),
        });
        // What would make it fail again at once is told again by the next look.
        if (!this.#stopped) this.#timers.push(setTimeout(() => this.#listen(), RESYNC_MS));
        this.#trigger();
      },
    });
  }

  /** A socket that failed is out of step: the next look opens another. */
  #netlink(): NetlinkSocket {
    if (this.#socket?.closed !== false) this.#socket = new NetlinkSocket();
    return this.#socket;
  }
}

function hasClsact({ qdiscs }: DeviceState): boolean {
  return qdiscs.some(({ parent }) => parent === TC_CLSACT_PARENT);
}
