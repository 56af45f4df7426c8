import { setImmediate as immediate } from 'node:timers/promises';
import { possibleCpus } from '../../lib/bpf/index.ts';
import { NetloomError, sentenceOf } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import { NetlinkMonitor, NetlinkSocket, TC_CLSACT_PARENT, dumpLinks, kernelHasFq } from '../../lib/netlink/index.ts';
import type { KnownPlaces } from '../interfaces/find.ts';
import type { Left } from '../kernel/left.ts';
import { LimitKernel } from '../kernel/limit-kernel.ts';
import type { LimitPins } from '../kernel/pins.ts';
import type { DeviceState } from '../qdiscs/types.ts';
import type { LimitReport } from '../status/report.ts';
import { Watcher } from '../status/watcher.ts';
import { isLimited } from '../slot-config.ts';
import { BesideWatch } from './beside-watch.ts';
import { standingsBeside } from './beside.ts';
import { decide } from './decide.ts';
import { standingsWith } from './faults.ts';
import { lookAtNode, placesLeft } from './look.ts';
import { ListDoubt } from './list-doubt.ts';
import { Patience } from './patience.ts';
import { QdiscWork } from './qdisc-work.ts';
import { RESYNC_MS, Rounds } from './rounds.ts';
import { Settings, type AnnotatedPod } from './settings.ts';
import { Slots, ownerOf } from './slots.ts';
import { attempt, takeAway } from './take-away.ts';
import { Teller, warning, type OnStanding, type Warning } from './teller.ts';
import type { Desired, Fault, NodeView, Purpose, WishingPod } from './types.ts';

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
  readonly onStanding?: OnStanding;
}

const SAMPLE_MS = 1_000;

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
  readonly #qdiscs = new QdiscWork();
  readonly #settings = new Settings();
  readonly #patience = new Patience();
  readonly #doubt: ListDoubt;
  readonly #rounds = new Rounds(() => this.#round());
  readonly #teller: Teller;
  /** Of a dry run: other agents looked for others' limits at their start, and keep others off. */
  readonly #beside: BesideWatch | undefined;
  #socket: NetlinkSocket | undefined;
  #monitor: NetlinkMonitor | undefined;
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
  /** Texts of what could not be done at the last look. */
  #faults: ReadonlySet<string> = new Set();

  constructor(options: EnforcerOptions) {
    this.#options = options;
    this.#slots = new Slots(options.slots ?? DEFAULT_SLOTS);
    this.#watcher = new Watcher(options.node);
    this.#doubt = new ListDoubt(options.doubtMs);
    this.#teller = new Teller(options.logger, options.onStanding);
    const { purpose, pinsDir } = options;
    this.#beside = purpose === 'dry-run' && pinsDir !== undefined ? new BesideWatch(pinsDir) : undefined;
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
      setInterval(() => this.#rounds.trigger(), RESYNC_MS),
      setInterval(() => this.#sample(), this.#options.sampleMs ?? SAMPLE_MS),
    );
  }

  /** All pods of the node, after each change. */
  pods(pods: readonly AnnotatedPod[]): void {
    this.#pods = pods;
    this.#rounds.resetRetry();
    this.#rounds.trigger();
  }

  report(): LimitReport {
    return this.#watcher.report({
      purpose: this.#options.purpose,
      fq: this.#fq ?? false,
      hooks: this.#kernel?.hookKind ?? null,
      slots: { used: this.#slots.used, most: this.#slots.most },
      podsKnown: this.#believed !== undefined,
      warnings: [...this.#waiting(), ...this.#teller.warnings],
    });
  }

  #waiting(): string[] {
    if (this.#pods !== undefined || this.#slots.used === 0) return [];
    return [`limits of the agent before stay in force (${this.#slots.used}); which pods they are of is not known yet`];
  }

  /** Resolves once what was asked for last is done, or could not be done. */
  settled(): Promise<void> {
    return this.#rounds.settled();
  }

  /** Limits stay in force. Idempotent. */
  async stop(): Promise<void> {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
    await this.#rounds.stop();
    this.#monitor?.stop();
    this.#socket?.close();
    this.#kernel?.close();
  }

  async #round(): Promise<void> {
    try {
      await this.#reconcile();
    } catch (error) {
      this.#teller.warn([...this.#besideWarnings, warning(`limits could not be set: ${sentenceOf(error)}`)]);
      this.#tellMissing(sentenceOf(error));
      this.#rounds.retry();
    }
  }

  get #besideWarnings(): readonly Warning[] {
    return this.#beside?.warnings ?? [];
  }

  async #reconcile(): Promise<void> {
    const doubts = this.#believe();
    const pods = this.#believed;
    if (pods === undefined) {
      this.#teller.warn(doubts);
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
    this.#beside?.look(this.#netlink(), performance.now());
    const standings = this.#show(faults);
    const [looked, done] = [view.warnings.map(warning), [...this.#faults].map(warning)];
    this.#teller.warn([...doubts, ...looked, ...this.#besideWarnings, ...done]);
    const states = [...standings.values()].flatMap((of) => Object.values(of).map(({ state }) => state));
    if (states.includes('pending') || faults.length > 0) this.#rounds.retry();
    // Somebody may have waited for a slot.
    if (released > 0 && this.#kernel !== undefined && states.includes('unsupported')) this.#rounds.trigger();
  }

  /** Tells how the pods stand with these faults. */
  #show(faults: readonly Fault[]): Desired['standings'] {
    const { desired, view } = this.#decided!;
    const held = standingsWith(desired, view, faults, this.#faults);
    const besides = this.#beside?.ifindexes ?? new Set<number>();
    const standings = standingsBeside(held, view, besides, 'limits of another agent are in force there');
    this.#faults = new Set(faults.map(({ text }) => text));
    this.#desired = { ...desired, standings };
    this.#watcher.set(this.#desired, view);
    this.#teller.tell(this.#watcher.standings());
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

  #look(pods: readonly WishingPod[]): NodeView {
    const nowMs = performance.now();
    const left = this.#left;
    const view = lookAtNode(this.#netlink(), {
      pods,
      known: (network) => (left === undefined ? this.#known : placesLeft(left, network, pods)),
      uplinks: this.#options.uplinks,
      abilities: {
        fq: this.#fq ?? false,
        cpus: possibleCpus(),
        unshapable: this.#qdiscs.unshapable(nowMs),
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
      if (this.#rounds.stopped || (canWait && this.#pods !== pods)) return false;
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

  #applyQdiscs({ needs }: Desired, devices: readonly DeviceState[]): Fault[] {
    return this.#qdiscs.apply(this.#netlink(), needs, devices, () => this.#monitor?.look());
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

  #sample(): void {
    if (this.#kernel === undefined || this.#desired === undefined) return;
    try {
      const inPlace = this.#watcher.sample(performance.now(), this.#netlink());
      this.#teller.tell(this.#watcher.standings());
      if (!inPlace || this.#options.pins?.isThere === false) this.#rounds.trigger();
    } catch (error) {
      this.#options.logger.warn('the counters of limits could not be read', { problem: sentenceOf(error) });
    }
  }

  #listen(): void {
    this.#monitor = new NetlinkMonitor({
      topics: ['links', 'addresses', 'routes', 'tc'],
      onChange: (changes) => {
        if (!this.#qdiscs.isOwn(changes)) this.#rounds.trigger();
      },
      onError: (error) => {
        this.#options.logger.warn('changes of the network are not heard; looking again', {
          problem: sentenceOf(error),
        });
        // What would make it fail again at once is told again by the next look.
        if (!this.#rounds.stopped) this.#timers.push(setTimeout(() => this.#listen(), RESYNC_MS));
        this.#rounds.trigger();
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
