import { writeFileSync } from 'node:fs';
import { bpfObjectPath, loadBpf, type BpfLink, type BpfObject } from '../../../lib/bpf/index.ts';
import type { Running } from '../../support/netloom.ts';
import {
  forgetWhatIsNotHeld,
  noteSettings,
  wantedState,
  type ForeignRoot,
  type LimitState,
  type ModelNode,
  type ModelPod,
} from './limits-model.ts';
import { LimitsRig, type Annotations } from './limits-rig.ts';
import { StateReader, type FoundState } from './limits-state.ts';
import type { Pod } from './pods.ts';
import { Random } from './random.ts';
import { sleep } from './udp-stream.ts';

const VALID = ['64k', '1M', '8M', '24M', '1G', '1P'];
const BROKEN = ['much', '63k', '', '-8M'];
const ROOT_COMMAND: Readonly<Record<ForeignRoot, string>> = {
  tbf: 'root handle 7: tbf rate 1gbit burst 200k latency 25ms',
  pfifo: 'root handle 5: pfifo limit 777',
};
const MOST_PODS = 6;
const SETTLE_MS = 20_000;

export interface RandomRunOptions {
  readonly operations: number;
  readonly seed: number;
}

export interface RandomRunResult {
  readonly seconds: number;
  /** How often each operation was done. */
  readonly counts: Readonly<Record<string, number>>;
  readonly agents: number;
  /** Time from an operation until the kernel was as wanted, while an agent ran. */
  readonly settleMs: { readonly mean: number; readonly most: number };
}

/**
 * Random operations on a node, its pods, their annotations, the agent, and what others have there. After each one the
 * kernel must come to be as the model says, with nothing of others changed.
 * @throws Error with the seed, the last operations and what differs
 */
export async function randomRun({ operations, seed }: RandomRunOptions): Promise<RandomRunResult> {
  const run = new RandomRun(seed);
  try {
    return await run.go(operations);
  } finally {
    await run.remove();
  }
}

class RandomRun {
  readonly #seed: number;
  readonly #random: Random;
  readonly #rig = new LimitsRig();
  readonly #reader = new StateReader(this.#rig);
  readonly #uplink = this.#rig.outside.uplink;
  readonly #model: ModelNode = {
    pods: new Map(),
    uplinkRoot: undefined,
    podRoots: new Map(),
    purpose: 'enforce',
    hooks: 'tcx',
  };
  readonly #plugged = new Map<string, { pod: Pod; number: number }>();
  readonly #uids: string[] = [];
  /** What is there of others: text, device. */
  readonly #others = new Map<string, string>();
  readonly #programs = new Map<string, BpfLink>();
  #probes: BpfObject | undefined;
  #agent: Running | undefined;
  #agents = 0;
  #deadFor = 0;
  #held = new Set<string>();
  readonly #log: string[] = [];
  readonly #counts: Record<string, number> = {};
  readonly #settleMs: number[] = [];

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = new Random(seed);
  }

  async remove(): Promise<void> {
    this.#probes?.close();
    this.#reader.close();
    await this.#rig.remove();
  }

  async go(operations: number): Promise<RandomRunResult> {
    const started = performance.now();
    this.#probes = await loadBpf({ object: bpfObjectPath('limit-probes') });
    const bare = this.#rig.tc();
    this.#rig.publish();
    for (let i = 0; i < operations; i++) {
      await this.#step();
      if (this.#agent !== undefined) await this.#settle();
      if (i % 20 === 19 && this.#agent !== undefined) await this.#noLeaks();
    }
    await this.#end(bare);
    const sum = this.#settleMs.reduce((total, ms) => total + ms, 0);
    return {
      seconds: (performance.now() - started) / 1000,
      counts: this.#counts,
      agents: this.#agents,
      settleMs: { mean: sum / this.#settleMs.length, most: Math.max(...this.#settleMs) },
    };
  }

  async #step(): Promise<void> {
    const random = this.#random;
    if (this.#agent === undefined && (this.#deadFor++ >= 2 || random.chance(0.4))) return this.#start();
    const { pods } = this.#model;
    const operations: [name: string, weight: number, possible: boolean, work: () => unknown][] = [
      ['add pod', 4, pods.size < MOST_PODS, () => this.#addPod()],
      ['remove pod', 2, pods.size > 1, () => this.#removePod(this.#pickPod())],
      ['annotate', 6, pods.size > 0, () => this.#annotate(this.#pickPod())],
      ['break annotation', 3, pods.size > 0, () => this.#break(this.#pickPod())],
      ['remake interface', 2, this.#withInterface().length > 0, () => this.#remake(random.pick(this.#withInterface()))],
      ['unplug or plug', 1, pods.size > 0, () => this.#plugOrUnplug(this.#pickPod())],
      ['addresses', 1, pods.size > 0, () => this.#turnAddresses(this.#pickPod())],
      ['root of uplink', 2, true, () => this.#turnUplinkRoot()],
      ['root of pod', 2, this.#devices().length > 0, () => this.#turnPodRoot(random.pick(this.#devices()))],
      ['clsact', 2, true, () => this.#turnClsact(this.#anyDevice())],
      ['filter', 2, true, () => this.#turnFilter(this.#anyDevice())],
      ['tcx program', 2, true, () => this.#turnProgram(this.#anyDevice())],
      ['take ours away', 2, this.#agent !== undefined, () => this.#damage()],
      ['snapshot', 1, this.#agent !== undefined, () => this.#breakSnapshot()],
      ['kill', 2, this.#agent !== undefined, () => this.#stop('SIGKILL')],
      ['stop', 1, this.#agent !== undefined, () => this.#stop('SIGTERM')],
      ['kill in the middle', 2, this.#agent !== undefined, () => this.#killInTheMiddle()],
    ];
    const possible = operations.filter(([, , can]) => can);
    let at = random.next() * possible.reduce((sum, [, weight]) => sum + weight, 0);
    const [name, , , work] = possible.find(([, weight]) => (at -= weight) < 0) ?? possible[0]!;
    this.#counts[name] = (this.#counts[name] ?? 0) + 1;
    await work();
  }

  #say(text: string): void {
    this.#log.push(text);
  }

  #pickPod(): ModelPod {
    return this.#random.pick([...this.#model.pods.values()]);
  }

  #withInterface(): ModelPod[] {
    return [...this.#model.pods.values()].filter((pod) => pod.devices.length > 0);
  }

  #devices(): string[] {
    return this.#withInterface().flatMap((pod) => pod.devices);
  }

  #anyDevice(): string {
    return this.#random.pick([this.#uplink, ...this.#devices()]);
  }

  #annotations(): Annotations {
    const one = (): string | undefined => (this.#random.chance(0.3) ? undefined : this.#random.pick(VALID));
    const [egress, ingress] = [one(), one()];
    return { ...(egress === undefined ? {} : { egress }), ...(ingress === undefined ? {} : { ingress }) };
  }

  #tell(pod: ModelPod): void {
    const plugged = this.#plugged.get(pod.name);
    const ips = pod.addressed && plugged !== undefined ? [plugged.pod.address, plugged.pod.address6] : [];
    this.#rig.tell({ name: pod.name, uid: pod.uid, ips, hostNetwork: pod.hostNetwork, ...pod.annotations });
    this.#rig.publish();
  }

  #addPod(): void {
    let number = 1;
    while ([...this.#plugged.values()].some((plugged) => plugged.number === number)) number++;
    const name = `p${number}`;
    const uid = `uid-${this.#uids.length}`;
    this.#uids.push(uid);
    const hostNetwork = this.#random.chance(0.1);
    const pod = this.#rig.node.addPod(number);
    this.#plugged.set(name, { pod, number });
    const devices = hostNetwork ? [] : [pod.hostInterface];
    if (!hostNetwork && this.#random.chance(0.25)) {
      const second = `${pod.hostInterface}b`;
      this.#rig.node.run(`ip link add ${second} type veth peer name net1 netns ${pod.netns}; ip link set ${second} up`);
      pod.run('ip link set net1 up');
      devices.push(second);
    }
    const told: ModelPod = {
      name,
      uid,
      annotations: this.#annotations(),
      devices,
      hostNetwork,
      addressed: true,
      last: {},
    };
    this.#model.pods.set(name, told);
    this.#say(`add ${name} ${JSON.stringify(told.annotations)} at ${devices.join()}`);
    this.#tell(told);
  }

  #removePod(pod: ModelPod): void {
    const { pod: plugged } = this.#plugged.get(pod.name)!;
    this.#say(`remove ${pod.name}`);
    const forget = (): void => {
      this.#rig.forget(pod.name);
      this.#rig.publish();
    };
    const isToldFirst = this.#random.chance(0.5);
    if (isToldFirst) forget();
    for (const device of pod.devices) this.#deviceGone(device);
    if (pod.devices.length > 1) this.#rig.node.run(`ip link del ${pod.devices[1]!}`);
    this.#rig.node.removePod(plugged);
    if (!isToldFirst) forget();
    this.#plugged.delete(pod.name);
    this.#model.pods.delete(pod.name);
  }

  #annotate(pod: ModelPod): void {
    pod.annotations = this.#annotations();
    this.#say(`annotate ${pod.name} ${JSON.stringify(pod.annotations)}`);
    this.#tell(pod);
  }

  #break(pod: ModelPod): void {
    const direction = this.#random.pick(['egress', 'ingress'] as const);
    pod.annotations = { ...pod.annotations, [direction]: this.#random.pick(BROKEN) };
    this.#say(`annotate ${pod.name} ${JSON.stringify(pod.annotations)}`);
    this.#tell(pod);
  }

  /** Its first interface under the same name, now and then under the same index. */
  #remake(pod: ModelPod): void {
    const { pod: plugged } = this.#plugged.get(pod.name)!;
    const [device] = pod.devices as [string];
    const index = this.#random.chance(0.4) ? `index ${this.#rig.node.ifindex(device)}` : '';
    this.#say(`remake ${device} ${index}`);
    this.#rig.node.run(`ip link del ${device}`);
    this.#deviceGone(device);
    this.#plug(plugged, index);
  }

  #plug(pod: Pod, index: string): void {
    const { hostInterface: device, netns, address, address6 } = pod;
    this.#rig.node.run(`ip link add ${device} ${index} type veth peer name eth0 netns ${netns}; ip link set ${device} up
      ip route add ${address}/32 dev ${device}; ip -6 route add ${address6}/128 dev ${device}`);
    pod.run(`ip link set eth0 up; ip addr add ${address}/32 dev eth0; ip -6 addr add ${address6}/128 dev eth0 nodad`);
  }

  #plugOrUnplug(pod: ModelPod): void {
    const { pod: plugged } = this.#plugged.get(pod.name)!;
    if (pod.hostNetwork || pod.devices.length > 1) return;
    const [device] = pod.devices;
    this.#say(`${device === undefined ? 'plug' : 'unplug'} ${pod.name}`);
    if (device === undefined) {
      this.#plug(plugged, '');
      pod.devices = [plugged.hostInterface];
    } else {
      this.#rig.node.run(`ip link del ${device}`);
      this.#deviceGone(device);
      pod.devices = [];
    }
  }

  #turnAddresses(pod: ModelPod): void {
    pod.addressed = !pod.addressed;
    this.#say(`${pod.name} ${pod.addressed ? 'has' : 'lost'} its addresses`);
    this.#tell(pod);
  }

  #turnUplinkRoot(): void {
    const next = this.#model.uplinkRoot === undefined ? this.#random.pick(['tbf', 'pfifo'] as const) : undefined;
    this.#setRoot(this.#uplink, next);
    this.#model.uplinkRoot = next;
  }

  #turnPodRoot(device: string): void {
    const next = this.#model.podRoots.has(device) ? undefined : this.#random.pick(['tbf', 'pfifo'] as const);
    this.#setRoot(device, next);
    if (next === undefined) this.#model.podRoots.delete(device);
    else this.#model.podRoots.set(device, next);
  }

  #setRoot(device: string, root: ForeignRoot | undefined): void {
    this.#say(`root of ${device}: ${root ?? 'none'}`);
    for (const text of this.#others.keys()) if (text.startsWith(`${device} root `)) this.#others.delete(text);
    if (root === undefined) {
      this.#rig.node.run(`tc qdisc del dev ${device} root`);
    } else {
      this.#rig.node.run(`tc qdisc replace dev ${device} ${ROOT_COMMAND[root]}`);
      this.#others.set(`${device} root ${root} ${root === 'tbf' ? '7:' : '5:'}`, device);
    }
  }

  /** A clsact qdisc of somebody else, where there is none. */
  #turnClsact(device: string): void {
    const text = `${device} clsact`;
    if (this.#others.has(text)) {
      this.#say(`del clsact of ${device}`);
      this.#rig.node.run(`tc qdisc del dev ${device} clsact`);
      for (const other of [...this.#others.keys()]) {
        if (other === text || other.startsWith(`${device} filter `)) this.#others.delete(other);
      }
      return;
    }
    if (this.#tryRun(`tc qdisc add dev ${device} clsact`)) {
      this.#say(`add clsact to ${device}`);
      this.#others.set(text, device);
    }
  }

  #turnFilter(device: string): void {
    const point = this.#random.pick(['ingress', 'egress'] as const);
    const text = `${device} filter ${point} u32 77`;
    if (this.#others.has(text)) {
      this.#say(`del filter of ${device} ${point}`);
      this.#rig.node.run(`tc filter del dev ${device} ${point} pref 77`);
      this.#others.delete(text);
      return;
    }
    if (this.#tryRun(`tc qdisc add dev ${device} clsact`)) this.#others.set(`${device} clsact`, device);
    this.#say(`add filter to ${device} ${point}`);
    this.#rig.node.run(`tc filter add dev ${device} ${point} pref 77 protocol all u32 match u8 0 0 flowid 1:1`);
    this.#others.set(text, device);
  }

  #turnProgram(device: string): void {
    const point = this.#random.pick(['ingress', 'egress'] as const);
    const text = `${device} tcx ${point} empty`;
    const link = this.#programs.get(text);
    if (link !== undefined) {
      this.#say(`detach program of ${device} ${point}`);
      link.detach();
      this.#programs.delete(text);
      this.#others.delete(text);
      return;
    }
    this.#say(`attach program to ${device} ${point}`);
    const ifindex = this.#rig.node.ifindex(device);
    const attached = this.#rig.node.inside(() =>
      this.#probes!.program('empty').attachTcx(ifindex, point, { kind: 'tcx' }),
    );
    this.#programs.set(text, attached);
    this.#others.set(text, device);
  }

  #tryRun(command: string): boolean {
    try {
      this.#rig.node.run(command);
      return true;
    } catch {
      return false;
    }
  }

  #deviceGone(device: string): void {
    for (const [text, at] of [...this.#others]) {
      if (at !== device) continue;
      this.#others.delete(text);
      this.#programs.get(text)?.detach();
      this.#programs.delete(text);
    }
    this.#model.podRoots.delete(device);
  }

  /** Somebody deletes a qdisc or a class of ours. */
  #damage(): void {
    const { roots } = wantedState(this.#model, this.#uplink);
    if (roots.length === 0) return;
    const device = this.#random.pick(roots);
    const leaf = /class htb (4e4c:\S+) parent/.exec(this.#rig.node.run(`tc class show dev ${device}`))?.[1];
    const ways = [`tc qdisc del dev ${device} root`];
    if (leaf !== undefined) {
      ways.push(`tc qdisc del dev ${device} parent ${leaf}`);
      ways.push(`tc qdisc del dev ${device} parent ${leaf}; tc class del dev ${device} classid ${leaf}`);
    }
    const command = this.#random.pick(ways);
    this.#say(command);
    this.#rig.node.run(command);
  }

  /** No list at all: of an empty one, which is believed at once here, all limits would go. */
  async #breakSnapshot(): Promise<void> {
    const text = this.#random.pick(['{"kind":', '', '{"apiVersion":"v1","kind":"List","items":{}}']);
    this.#say(`snapshot ${JSON.stringify(text)}`);
    writeFileSync(this.#rig.snapshot, text);
    await sleep(400);
    await this.#settle();
    this.#rig.publish();
  }

  async #start(): Promise<void> {
    const random = this.#random;
    this.#model.hooks = random.chance(0.3) ? 'clsact' : 'tcx';
    this.#model.purpose = random.chance(0.1) ? 'shadow' : 'enforce';
    const slots = random.pick([64, 64, 64, 128, 16, 1024]);
    this.#say(`start ${this.#model.hooks} ${this.#model.purpose} slots ${slots}`);
    this.#counts['start'] = (this.#counts['start'] ?? 0) + 1;
    forgetWhatIsNotHeld(this.#model, this.#held);
    this.#deadFor = 0;
    this.#agents++;
    this.#rig.beginEra();
    this.#agent = this.#rig.startChild({
      ...{ hooks: this.#model.hooks, purpose: this.#model.purpose, slots },
      // What the snapshot says is to hold at once, also that there is no pod.
      doubtMs: 0,
    });
    // Now and then another operation comes before it is up.
    if (random.chance(0.7)) await this.#agent.says('limits of pods');
  }

  async #stop(signal: NodeJS.Signals): Promise<void> {
    this.#say(signal);
    const agent = this.#agent!;
    this.#agent = undefined;
    await agent.end(signal);
    const errors = agent.log().filter(({ level }) => level === 'error');
    if (errors.length > 0) this.#fail(`the agent said: ${JSON.stringify(errors)}`);
  }

  /** While it sets what changed a moment ago. */
  async #killInTheMiddle(): Promise<void> {
    const pods = [...this.#model.pods.values()];
    if (pods.length === 0 || (pods.length < MOST_PODS && this.#random.chance(0.5))) this.#addPod();
    else this.#annotate(this.#random.pick(pods));
    // The file is seen within 200 ms; then the work is a matter of milliseconds.
    await sleep(100 + this.#random.below(200));
    await this.#stop('SIGKILL');
    // What is valid now is the same for whoever looks; what was held before is what the last settling found.
    await this.#start();
  }

  async #settle(): Promise<void> {
    noteSettings(this.#model);
    const startedMs = performance.now();
    let differences: string[] = [];
    let found: FoundState | undefined;
    let rightSinceMs: number | undefined;
    for (;;) {
      if (!this.#agent!.running) this.#fail(`the agent ended:\n${this.#agent!.stderr}`);
      found = await this.#tryRead();
      if (found !== undefined) differences = await this.#differences(found);
      const nowMs = performance.now();
      if (found === undefined || differences.length > 0) rightSinceMs = undefined;
      else rightSinceMs ??= nowMs;
      // It must stay so: a change of the agent's own makes it look once more.
      if (rightSinceMs !== undefined && nowMs - rightSinceMs > 150) break;
      if (nowMs - startedMs > SETTLE_MS) this.#fail(`after ${SETTLE_MS} ms:\n${differences.join('\n')}`);
      await sleep(30);
    }
    this.#settleMs.push(rightSinceMs - startedMs);
    this.#held = new Set(found!.slots.filter((text) => !text.endsWith(' 0')).map((text) => heldKey(text)));
    this.#rig.note();
  }

  /** undefined: something went while it was read. */
  async #tryRead(): Promise<FoundState | undefined> {
    try {
      return await this.#reader.read(this.#uids);
    } catch (error) {
      if (performance.now() < 0) throw error;
      return undefined;
    }
  }

  async #differences(found: FoundState): Promise<string[]> {
    const wanted = wantedState(this.#model, this.#uplink);
    const told = await this.#rig
      .rows()
      .then((rows) =>
        rows.map(
          ({ pod, direction, state, configuredBps }) => `${pod} ${direction} ${state} ${configuredBps ?? 'none'}`,
        ),
      )
      .catch(() => ['nothing']);
    const differences = [...found.problems];
    const compare = (what: string, is: readonly string[], should: readonly string[]): void => {
      for (const text of should) if (!is.includes(text)) differences.push(`missing ${what}: ${text}`);
      for (const text of is) if (!should.includes(text)) differences.push(`unexpected ${what}: ${text}`);
      if (differences.length === 0 && is.length !== should.length) differences.push(`${what} twice: ${is.join(', ')}`);
    };
    for (const what of ['hooks', 'entries', 'slots', 'classes', 'roots'] satisfies (keyof LimitState)[]) {
      compare(what, found[what], wanted[what]);
    }
    compare('told', told, wanted.told);
    compare('of others', found.others, [...this.#others.keys()]);
    for (const device of found.made) {
      const isNeeded =
        (this.#model.hooks === 'clsact' && found.hooks.some((hook) => hook.startsWith(`${device} `))) ||
        [...this.#others.keys()].some((text) => text.startsWith(`${device} filter `));
      if (!isNeeded) differences.push(`a clsact qdisc of ours is left at ${device}`);
    }
    return differences;
  }

  /** Of all programs, maps and links that ever were ours only those of this agent are there. */
  async #noLeaks(): Promise<void> {
    const left = await this.#rig.leftOfOldEras();
    if (left.length > 0) this.#fail(`left in the kernel:\n${left.join('\n')}`);
  }

  async #end(bare: string): Promise<void> {
    if (this.#agent !== undefined) await this.#stop('SIGTERM');
    this.#rig.note();
    const detached = await this.#rig.detach();
    if (detached.status !== 0) this.#fail(`detach: ${detached.stderr}`);
    const found = await this.#reader.read(this.#uids);
    const ours = [...found.hooks, ...found.entries, ...found.roots, ...found.made, ...found.problems];
    if (ours.length > 0) this.#fail(`after detach: ${ours.join(', ')}`);
    const others = [...this.#others.keys()];
    // Where somebody has a filter in a qdisc of ours, it stays with him.
    for (const text of found.others) {
      const [device, what] = text.split(' ');
      const isInherited = what === 'clsact' && others.some((other) => other.startsWith(`${device!} filter `));
      if (!others.includes(text) && !isInherited) this.#fail(`after detach: unexpected ${text}`);
    }
    for (const text of others) if (!found.others.includes(text)) this.#fail(`after detach: missing ${text}`);
    const left = await this.#rig.leftInKernel();
    if (left.length > 0) this.#fail(`left in the kernel after detach:\n${left.join('\n')}`);

    // With all that others put there taken away, the node is as it was.
    for (const pod of [...this.#model.pods.values()]) this.#removePod(pod);
    if (this.#model.uplinkRoot !== undefined) this.#setRoot(this.#uplink, undefined);
    this.#deviceGone(this.#uplink);
    this.#tryRun(`tc qdisc del dev ${this.#uplink} clsact`);
    if (this.#rig.tc() !== bare) this.#fail(`at the end:\n${this.#rig.tc()}`);
  }

  #fail(text: string): never {
    const recent = this.#log
      .slice(-25)
      .map((line, i) => `  ${this.#log.length - Math.min(25, this.#log.length) + i} ${line}`);
    const agent = this.#agent?.stderr.split('\n').slice(-25).join('\n') ?? 'none runs';
    throw new Error(`seed ${this.#seed}: ${text}\nlast operations:\n${recent.join('\n')}\nthe agent:\n${agent}`);
  }
}

/** "UID DIRECTION" of "UID DIRECTION MODE RATE" */
function heldKey(text: string): string {
  return text.split(' ').slice(0, 2).join(' ');
}
