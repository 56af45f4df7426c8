import { setImmediate as immediate } from 'node:timers/promises';
import { possibleCpus } from '../../lib/bpf/index.ts';
import { NetloomError, sentenceOf } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import {
  NetlinkMonitor,
  NetlinkSocket,
  TC_CLSACT_PARENT,
  dumpLinks,
  kernelHasFq,
  type Changes,
} from '../../lib/netlink/index.ts';
import type { KnownPlaces } from '../interfaces/find.ts';
import { describeElsewhere, findElsewhere, interfacesOf, remedyFor } from '../kernel/elsewhere.ts';
import type { Left } from '../kernel/left.ts';
import { LimitKernel } from '../kernel/limit-kernel.ts';
import type { LimitPins } from '../kernel/pins.ts';
import { applyNeeds, type Applied } from '../qdiscs/apply.ts';
import type { DeviceState } from '../qdiscs/types.ts';
import type { LimitReport } from '../status/report.ts';
import { Watcher } from '../status/watcher.ts';
import { isLimited } from '../slot-config.ts';
import { standingsBeside } from './beside.ts';
import { decide } from './decide.ts';
import { standingsWith } from './faults.ts';
import { lookAtNode, placesLeft } from './look.ts';
import { ListDoubt } from './list-doubt.ts';
import { Patience } from './patience.ts';
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
  /** The folder of these pins; of a dry run: where an agent before may have pinned limits. */
  readonly pinsDir?: string | undefined;
  /** Directions of pods that may have a limit, and one: 16 KiB of kernel memory each, once the first pod needs one. */
  readonly slots?: number | undefined;
  /** Names of the uplinks, of whatever kind. Default: those that routes lead to. */
  readonly uplinks?: readonly string[] | undefined;
  /** Default: tcx where the kernel has it. */
  readonly hooks?: 'tcx' | 'clsact' | undefined;
  /** The compiled limit.bpf.c. Default: where scripts/build-bpf.sh puts it. */
  readonly bpfObject?: string | undefined;
  readonly logger: Logger;
  /** Counters are read so often, ms. Default: once a second, on which `netloom limits --suggest` counts. */
  readonly sampleMs?: number | undefined;
  /** How long a list of pods is not believed that would take all limits away, ms. Default: a minute. */
  readonly doubtMs?: number | undefined;
  /** Told of each change of how a direction of a pod stands; undefined: nothing is wished of it any more, or the pod went. */
  readonly onStanding?: (pod: WishingPod, direction: Direction, standing: Standing | undefined) => void;
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
  readonly #patience = new Patience();
  readonly #doubt: ListDoubt;
  #socket: NetlinkSocket | undefined;
  #monitor: NetlinkMonitor | undefined;
  /** Devices whose qdiscs this process changed and looked at again a moment ago: what it hears of them now is no news. */
  #justSeen: ReadonlySet<number> = new Set();
  #kernel: LimitKernel | undefined;
  #fq: boolean | undefined;
  /** As the source told them last, and as they are acted on. */
  #pods: readonly AnnotatedPod[] | undefined;
  #believed: readonly AnnotatedPod[] | undefined;
  #known: KnownPlaces = new Map();
  /** What an agent before this one left, until everything was looked at once. */
  #left: Left | undefined;
  /** Whose limits these are, until that. */
  #leftOwners: ReadonlySet<string> = new Set();
  /** What was decided last, before faults. */
  #decided: { readonly desired: Desired; readonly view: NodeView } | undefined;
  #desired: Desired | undefined;
  #standings = new Map<string, Told>();
  #warnings: readonly Warning[] = [];
  /** Limits that this agent does not look after, and when they were looked for. */
  #beside: { readonly ifindexes: ReadonlySet<number>; readonly warnings: readonly Warning[]; readonly atMs: number } = {
    ifindexes: new Set(),
    warnings: [],
    atMs: Number.NEGATIVE_INFINITY,
  };
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
    this.#doubt = new ListDoubt(options.doubtMs);
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
      podsKnown: this.#believed !== undefined,
      warnings: [...this.#waiting(), ...this.#warnings.map(({ text }) => text)],
    });
  }

  #waiting(): string[] {
    if (this.#pods !== undefined || this.#slots.used === 0) return [];
    return [`limits of the agent before stay in force (${this.#slots.used}); which pods they are of is not known yet`];
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
        this.#warn([...this.#beside.warnings, warning(`limits could not be set: ${sentenceOf(error)}`)]);
        this.#tellMissing(sentenceOf(error));
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
    const doubts = this.#believe();
    const pods = this.#believed;
    if (pods === undefined) {
      this.#warn(doubts);
      return;
    }
    const wishing = this.#settings.read(pods);
    const view = this.#look(wishing);
    const decided = decide(view, {
      purpose: this.#options.purpose,
      slots: this.#slots,
      lastBps: (uid, direction) => this.#settings.lastBps(uid, direction),
    });
    this.#decided = { desired: decided, view };
    const faults = this.#options.purpose === 'dry-run' ? [] : await this.#apply(decided, view);
    const released = this.#releaseSlots(decided);
    this.#lookBeside();
    const standings = this.#show(faults);
    this.#warn([...doubts, ...view.warnings.map(warning), ...this.#beside.warnings, ...[...this.#faults].map(warning)]);
    const states = [...standings.values()].flatMap((of) => Object.values(of).map(({ state }) => state));
    if (states.includes('pending') || faults.length > 0) this.#retry();
    // Somebody may have waited for a slot.
    if (released > 0 && this.#kernel !== undefined && states.includes('unsupported')) this.#trigger();
  }

  /** Tells how the pods stand with these faults. */
  #show(faults: readonly Fault[]): Desired['standings'] {
    const { desired, view } = this.#decided!;
    const held = standingsWith(desired, view, faults, this.#faults);
    const standings = standingsBeside(held, view, this.#beside.ifindexes, 'limits of another agent are in force there');
    this.#faults = new Set(faults.map(({ text }) => text));
    this.#desired = { ...desired, standings };
    this.#watcher.set(this.#desired, view);
    this.#tell();
    return standings;
  }

  /** After a look that failed: limits whose programs are not there do not hold. */
  #tellMissing(why: string): void {
    if (this.#decided === undefined) return;
    const missing = this.#decided.desired.hooks.filter((hook) => this.#kernel?.runsAt(hook) !== true);
    const faults = missing.map(({ ifindex, role }): Fault => ({ ifindex, part: role, text: why }));
    this.#show(faults);
  }

  /** Takes over what the source told, unless that is to be doubted. @returns what is doubted */
  #believe(): Warning[] {
    const told = this.#pods;
    if (told === undefined || told === this.#believed) return [];
    const kernel = this.#kernel;
    const uids = new Set(told.flatMap(({ uid }) => [ownerOf(uid, 'egress'), ownerOf(uid, 'ingress')]));
    const inForce = kernel === undefined ? [] : this.#slots.others(new Set());
    const facts = {
      listed: told.length,
      inForce: inForce.length,
      someListed: inForce.some(([owner]) => uids.has(owner)),
      someThere: kernel !== undefined && inForce.length > 0 && this.#isThere(kernel.limited()),
    };
    if (this.#doubt.believes(facts, performance.now())) {
      this.#believed = told;
      return [];
    }
    const { node } = this.#options;
    const found =
      told.length === 0 ? `no pod of node ${node} is known` : `none of their pods is among those of node ${node}`;
    const text = `limits are in force (${inForce.length}), but ${found}: they stay for a minute. Is --node right?`;
    return [{ text, level: 'error' }];
  }

  #isThere(ifindexes: readonly number[]): boolean {
    const there = new Set(dumpLinks(this.#netlink()).map(({ ifindex }) => ifindex));
    return ifindexes.some((ifindex) => there.has(ifindex));
  }

  /** A dry run looks for limits that are in force, now and then; other agents did at their start, and keep others off. */
  #lookBeside(): void {
    const { pinsDir, purpose } = this.#options;
    const nowMs = performance.now();
    if (purpose !== 'dry-run' || pinsDir === undefined || nowMs < this.#beside.atMs + RESYNC_MS) return;
    const ifindexes = new Set<number>();
    const warnings: Warning[] = [];
    const elsewhere = findElsewhere(this.#netlink(), pinsDir);
    if (elsewhere !== undefined) {
      for (const { ifindex } of elsewhere.interfaces) ifindexes.add(ifindex);
      warnings.push({ text: `${describeElsewhere(elsewhere)}. ${remedyFor(elsewhere)}`, level: 'error' });
    }
    const before = interfacesOf(this.#netlink(), pinsDir);
    if (before.length > 0) {
      for (const ifindex of before) ifindexes.add(ifindex);
      warnings.push(
        warning(`limits of an earlier agent are in force at ${before.length} interfaces, pinned in ${pinsDir}`),
      );
    }
    this.#beside = { ifindexes, warnings, atMs: nowMs };
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
    return { ...view, places: this.#patience.judge(view.places, nowMs) };
  }

  /** What is new is made before what refers to it, and what is old goes after. */
  async #apply(desired: Desired, { devices }: NodeView): Promise<Fault[]> {
    if (this.#kernel === undefined) {
      if (desired.slots.length === 0) return this.#applyQdiscs(desired, devices);
      await this.#load();
    }
    const kernel = this.#kernel!;
    kernel.keepPinned();
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
    const unknown = this.#leftOwners.size === 0 ? [] : others.filter(([owner]) => this.#leftOwners.has(owner));
    if (unknown.length > 0)
      this.#options.logger.info('limits of the agent before taken away', { limits: unknown.length });
    this.#leftOwners = new Set();
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
    const kernel = await LimitKernel.load({
      pins,
      slots,
      ...(hooks === undefined ? {} : { hooks }),
      ...(bpfObject === undefined ? {} : { object: bpfObject }),
    });
    let left: Left;
    try {
      left = await kernel.takeUp();
    } catch (error) {
      // What is in force is not known: nothing may be set beside it.
      kernel.close();
      throw error;
    }
    this.#kernel = kernel;
    for (const { slot, owner } of left.slots) if (slot !== undefined) this.#slots.adopt(slot, owner);
    this.#settings.takeUp(new Map(left.slots.map(({ owner, bps }) => [owner, bps])));
    this.#left = left;
    this.#leftOwners = new Set(left.slots.map(({ owner }) => owner));
    this.#watcher.useKernel(kernel);
    logger.info('limits', {
      hooks: kernel.hookKind,
      holdingBack: this.#fq === true ? 'fq' : 'htb',
      slots,
      takenUp: left.slots.length,
    });
  }

  #tell(): void {
    const standings = new Map<string, Told>();
    for (const one of this.#watcher.standings()) {
      const { pod, direction, standing } = one;
      const key = `${pod.uid} ${direction}`;
      const before = this.#standings.get(key)?.standing;
      standings.set(key, one);
      const same =
        before !== undefined &&
        before.state === standing.state &&
        before.reason === standing.reason &&
        before.bps === standing.bps;
      if (!same) this.#options.onStanding?.(pod, direction, standing);
    }
    for (const [key, { pod, direction }] of this.#standings) {
      if (!standings.has(key)) this.#options.onStanding?.(pod, direction, undefined);
    }
    this.#standings = standings;
  }

  #warn(problems: readonly Warning[]): void {
    const known = new Set(this.#warnings.map(({ text }) => text));
    for (const { text, level } of problems) if (!known.has(text)) this.#options.logger[level](text);
    this.#warnings = problems.slice(0, 20);
  }

  #sample(): void {
    if (this.#kernel === undefined || this.#desired === undefined) return;
    try {
      const inPlace = this.#watcher.sample(performance.now(), this.#netlink());
      this.#tell();
      if (!inPlace || this.#options.pins?.isThere === false) this.#trigger();
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

/** How a direction of a pod stood when that was told last. */
interface Told {
  readonly pod: WishingPod;
  readonly direction: Direction;
  readonly standing: Standing;
}

interface Warning {
  readonly text: string;
  readonly level: 'warn' | 'error';
}

function warning(text: string): Warning {
  return { text, level: 'warn' };
}

function hasClsact({ qdiscs }: DeviceState): boolean {
  return qdiscs.some(({ parent }) => parent === TC_CLSACT_PARENT);
}
